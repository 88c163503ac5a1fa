"""Array code that is more than a few NumPy calls: one function for each job.

Each kernel has a plain definition in the same file, and the tests compare the two. Operators call
kernels through ``current.py``, where another set of functions can replace them. ``windows.py`` has
the geometry of sliding windows, which kernels and operators share.
"""
