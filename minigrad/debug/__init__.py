"""Looking into a computation: its operators, its NaNs, its tape and its model as tables."""
