"""Products of the linear layer, on one thread of BLAS where they are small."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.blas import multiplies_unpacked
from minigrad.kernels.threads import small_product

#: OpenBLAS multiplies x W^T without packing W first up to this many multiplications, and only for
#: so few results; from so many rows on that pays.
UNPACKED, RESULTS, LEAST_ROWS = 1_000_000, 1200, 8
#: Beyond this many multiplications, packing costs little.
MOST_IN_PIECES = 1e7


def plain_product(a: Any, b: Any) -> Any:
    """``a @ b``, of arrays or tensors."""
    return a @ b


def product(a: Any, b: Any) -> Any:
    """``plain_product``; b has two axes."""
    with small_product(a.size * b.shape[1]):
        return a @ b


def plain_linear(x: Any, w: Any, bias: Any) -> Any:
    """``x @ w.T + bias``: x (..., in), w (out, in), bias (out,) or None give (..., out)."""
    ans = x @ w.T
    return ans if bias is None else ans + bias


def linear(x: Any, w: Any, bias: Any) -> Any:
    """``plain_linear``, the bias added in place where the dtype allows it."""
    multiplications = x.size * len(w)
    with small_product(multiplications):
        rows = _rows_at_once(x, w, multiplications)
        if rows:
            # 50 us instead of 65 for 32 x 784 times 784 x 100, and 26 instead of 52 for 64 x 1690
            # times 1690 x 10.
            wt = w.T
            ans = np.empty((len(x), len(w)), x.dtype)
            for i in range(0, len(x), rows):
                np.matmul(x[i : i + rows], wt, out=ans[i : i + rows])
        elif x.ndim == 2 and len(x) < len(w) and bias is not None:
            # BLAS likes the longer side on the left (65 us instead of 87 for 32 x 784 times
            # 784 x 100), and adding the bias turns the product around at no cost.
            transposed = (w @ x.T).T
            ans = np.empty(transposed.shape, np.result_type(transposed, bias))
            return np.add(transposed, bias, out=ans)
        else:
            ans = x @ w.T
    if bias is None:
        return ans
    return np.add(ans, bias, out=ans if ans.dtype == bias.dtype else None)


def _rows_at_once(x: Any, w: Any, multiplications: int) -> int:
    """How many rows of x to multiply at a time, or 0 for all of them."""
    if not UNPACKED < multiplications <= MOST_IN_PIECES or x.ndim != 2 or x.dtype != w.dtype:
        return 0
    rows = min(RESULTS // len(w), UNPACKED // w.size)
    return rows if rows >= LEAST_ROWS and x.dtype.char in "fd" and multiplies_unpacked() else 0
