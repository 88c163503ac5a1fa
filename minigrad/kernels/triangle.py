"""The lower or upper triangle of matrices, in bands of rows.

NumPy's functions look at every element through a mask; most rows of a band need none.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

#: The rows of a band: only a square of so many columns needs a mask.
BAND = 32


def plain_triangle(x: Any, k: int, upper: bool) -> Any:
    """``np.triu``, or ``np.tril``: zeros below, or above, the k-th diagonal."""
    return np.triu(x, k) if upper else np.tril(x, k)


def triangle(x: Any, k: int, upper: bool) -> Any:
    """``plain_triangle``, which masks everything; here most of a row is copied or cleared."""
    if x.ndim < 2 or x.dtype.hasobject:
        return plain_triangle(x, k, upper)
    out = np.empty_like(x, order="C", subok=False)
    m, n = x.shape[-2:]
    for top in range(0, m, BAND):
        rows = slice(top, min(top + BAND, m))
        # Row i is cut at column i + k, behind it in a lower triangle.
        left, right = (min(max(i + k + (not upper), 0), n) for i in (top, rows.stop - 1))
        whole, nothing = slice(0, left), slice(right, n)
        if upper:
            whole, nothing = nothing, whole
        out[..., rows, whole] = x[..., rows, whole]
        out[..., rows, nothing] = 0
        if left < right:
            part = (..., rows, slice(left, right))
            mask = _mask(rows.stop - top, right - left, top + k - left, upper)
            out[part] = np.where(mask, x[part], x.dtype.type(0))
    return out


@functools.lru_cache(maxsize=64)
def _mask(rows: int, columns: int, k: int, upper: bool) -> Any:
    below = np.tri(rows, columns, k - upper, dtype=bool)
    return ~below if upper else below
