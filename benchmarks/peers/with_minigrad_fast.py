"""minigrad on kernels compiled by numba."""

from __future__ import annotations

import os

import numba as numba  # so that the memory it takes counts as imported

os.environ["MINIGRAD_KERNELS"] = "numba"  # before a kernel is needed

from benchmarks.peers.with_minigrad import build as build, version as version

NAME = "minigrad[fast]"
