"""Array code that is more than a few NumPy calls: one function for each job.

Beside each kernel, in the same file, stands its plain definition, which the tests compare it with.
Operators call kernels through ``current``, where another set of functions may take their place.
``windows.py`` is the geometry that both share.
"""
