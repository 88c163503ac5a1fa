"""minigrad as it runs where numba is installed: small arrays go to NumPy, large ones to numba."""

from __future__ import annotations

import os

import numba as numba  # so that the memory it takes counts as imported

os.environ.pop("MINIGRAD_KERNELS", None)  # before a kernel is needed

from benchmarks.peers.with_minigrad import build as build, version as version

NAME = "minigrad[fast]"
