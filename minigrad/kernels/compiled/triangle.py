"""The lower or upper triangle of matrices: each row is copied and cleared in two pieces."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.kernels import triangle as numpy_set
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import are_floats, flat, pieces, run
from minigrad.kernels.compiled.vectors import clear, copy

#: The elements of one piece.
BLOCK = 1 << 16


def triangle(x: Any, k: int, upper: bool) -> Any:
    """``plain_triangle``."""
    if x.ndim < 2 or not x.size or not are_floats(x) or not isinstance(k, (int, np.integer)):
        return numpy_set.triangle(x, k, upper)
    out = np.empty(x.shape, x.dtype)
    a, target, (m, n) = flat(x), out.reshape(-1), x.shape[-2:]
    shift = max(-x.size, min(int(k), x.size)) + (not upper)  # farther away changes nothing

    def work(some: Sequence[tuple[int, int]]) -> None:
        for start, stop in some:
            _triangle(a, target, m, n, shift, upper, start, stop)

    run(work, pieces(x.size // n, max(1, BLOCK // n)), x.size * 2e-10)
    return out


@compiled
def _triangle(x, out, m, n, shift, upper, start, stop):
    for r in range(start, stop):
        cut, first = min(max(r % m + shift, 0), n), r * n
        if upper:
            clear(out, first, cut)
            copy(out, first + cut, x, first + cut, n - cut)
        else:
            copy(out, first, x, first, cut)
            clear(out, first + cut, n - cut)
