"""Products of the linear layer, on one thread of BLAS where they are small.

Waking the threads of BLAS takes longer than a small product, and packing its operands takes a part
that cutting the product into pieces saves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.blas import multiplies_unpacked
from minigrad.kernels.threads import UNSHARED, small_product

#: OpenBLAS multiplies without packing its operands first, and on one thread, up to this many
#: multiplications, and with W^T on the right only for so few results.
UNPACKED, RESULTS = 1_000_000, 1200
#: From so many rows at a time on that pays, with W^T on the right and otherwise.
LEAST_ROWS, LEAST_ROWS_OTHERWISE = 8, 28
#: Beyond this many multiplications, packing costs little.
MOST_IN_PIECES = 1e7


def plain_product(a: Any, b: Any) -> Any:
    """``a @ b``, of arrays or tensors."""
    return a @ b


def product(a: Any, b: Any) -> Any:
    """``plain_product``; b has two axes."""
    multiplications = a.size * b.shape[1]
    if multiplications <= UNSHARED:  # the block would take longer than a very small product
        return a @ b
    rows = _rows_at_once(a, b, multiplications)
    if rows:
        # 51 us instead of 55 for 100 x 32 times 32 x 784, the gradient of a first layer's weights,
        # and no need of the block, which takes another 4 in a training step.
        return _in_pieces(a, b, rows)
    with small_product(multiplications):
        return a @ b


def _rows_at_once(a: Any, b: Any, multiplications: int) -> int:
    """How many rows of a to multiply at a time with b, or 0 for all of them."""
    if not UNPACKED < multiplications <= MOST_IN_PIECES or a.ndim != 2 or a.dtype != b.dtype:
        return 0
    rows: int = UNPACKED // b.size
    least = LEAST_ROWS_OTHERWISE
    if b.flags.f_contiguous:
        rows, least = min(RESULTS // b.shape[1], rows), LEAST_ROWS
    if rows < least or a.dtype.char not in "fd" or not multiplies_unpacked():
        return 0
    return rows if least == LEAST_ROWS else -(-len(a) // -(-len(a) // rows))  # even pieces


def _in_pieces(a: Any, b: Any, rows: int) -> Any:
    """``a @ b``, so many rows of a at a time."""
    ans = np.empty((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a), rows):
        np.matmul(a[i : i + rows], b, out=ans[i : i + rows])
    return ans


def plain_linear(x: Any, w: Any, bias: Any) -> Any:
    """``x @ w.T + bias``: x (..., in), w (out, in), bias (out,) or None give (..., out)."""
    ans = x @ w.T
    return ans if bias is None else ans + bias


def linear(x: Any, w: Any, bias: Any) -> Any:
    """``plain_linear``, the bias added in place where the dtype allows it."""
    multiplications = x.size * len(w)
    rows = _rows_at_once(x, w.T, multiplications)
    if rows or multiplications <= UNSHARED:
        return _linear(x, w, bias, rows)
    with small_product(multiplications):
        return _linear(x, w, bias, 0)


def _linear(x: Any, w: Any, bias: Any, rows: int) -> Any:
    """``linear``, so many rows of x at a time, or all of them."""
    if rows:
        # 50 us instead of 65 for 32 x 784 times 784 x 100, and 26 instead of 52 for 64 x 1690
        # times 1690 x 10.
        ans = _in_pieces(x, w.T, rows)
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
