"""Array code that is more than a few NumPy calls: convolution, threads, scratch, BLAS."""
