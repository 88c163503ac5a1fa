"""Kernels compiled by numba, with the names and arguments of those written with NumPy.

``kernels/current.py`` takes them where numba is installed (the extra ``fast``). Each function here
looks at its arguments first, and hands what it was not made for (other dtypes than float32 and
float64, empty arrays) to the function that is written with NumPy.

Images are kept with their channels last in memory: the shape is (N, C, H, W), as everywhere, but
the numbers of one pixel lie side by side, so that every loop over channels is a few vector
instructions. NumPy's element-wise functions keep that order, so arrays are seldom transposed.
"""
