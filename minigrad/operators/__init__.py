"""Every operator: its value and derivative rules, in plain NumPy, grouped by mathematics."""
