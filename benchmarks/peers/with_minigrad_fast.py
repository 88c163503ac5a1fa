"""minigrad as it runs where numba is installed: small arrays go to NumPy, large ones to numba."""

from __future__ import annotations

import os

import numba  # pyright: ignore[reportMissingImports]

os.environ.pop("MINIGRAD_KERNELS", None)  # before a kernel is needed
# numba loads its compiler (64 MB: LLVM, and tables of types) when the first function is called, not
# when it is imported. That belongs to the imported framework, as PyTorch's libraries do; what the
# kernels' own code takes is minigrad's, and counts.
numba.njit(lambda: 0)()

from benchmarks.peers.with_minigrad import build as build, version as version  # noqa: E402

NAME = "minigrad[fast]"
