"""Sums of many float32 numbers, whose rounding errors do not pile up, and running sums.

NumPy adds pairwise along the axis whose elements lie side by side, but one after the other along
the others: over a million rows of equal float32 numbers that is 1 % off. Here such an axis is cut
into blocks, and the sums of the blocks are summed in the same way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.threads import small_product

#: How many numbers are added one after the other, and from how many on blocks are made.
BLOCK, MANY = 512, 1024
#: Up to this length of rows, or while all of them stay in cache, a product with ones adds rows
#: faster than NumPy's loop over them: 35 us for 155 of 10,000 x 10, 99 for 133 of 4096 x 256.
NARROW, CACHED = 64, 1 << 23
#: From so many elements side by side on, whole rows are added: NumPy goes from column to column,
#: which takes ten times as long for 256 x 1024.
SIDE_BY_SIDE = 64
#: What ``np.sum`` calls, which itself takes as long as adding up a small array.
_add_up: Any = np.add.reduce


def plain_total(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """``np.sum``, of an array or a tensor, which records it."""
    return np.sum(x, axis=axis, keepdims=keepdims)


def plain_mean(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """``np.mean``, of an array or a tensor, which records it."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def total(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """``plain_total`` of floats, within a few units in the last place, however many there are.

    float16 is added up in float32.
    """
    if type(x) is not np.ndarray or x.dtype.char not in "ef":
        return np.sum(x, axis=axis, keepdims=keepdims)
    if x.dtype.char == "e":
        with np.errstate(over="ignore"):
            return total(x.astype(np.float32), axis, keepdims).astype(np.float16)
    if x.size <= MANY or (axis == 0 and len(x) <= MANY):
        return _add_up(x, axis, None, None, keepdims)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {a % x.ndim for a in axes if -x.ndim <= a < x.ndim}
    if len(gone) != len(axes) or _is_exact(x, gone):
        return np.sum(x, axis=axis, keepdims=keepdims)
    ans = _sum(x, gone)
    if keepdims:
        return ans.reshape([1 if a in gone else n for a, n in enumerate(x.shape)])
    return ans if ans.ndim else ans[()]


def mean(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """``plain_mean`` by way of ``total``."""
    if type(x) is not np.ndarray or x.dtype.char not in "ef" or not x.size:
        return np.mean(x, axis=axis, keepdims=keepdims)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    ans = total(wide, axis, keepdims)
    return (ans / (x.size // ans.size)).astype(x.dtype, copy=False)


def _is_exact(x: Any, gone: set[int]) -> bool:
    """Whether NumPy's own sum is as exact: of few numbers, or pairwise."""
    many = math.prod([x.shape[a] for a in gone]) > MANY
    if many and x.flags.c_contiguous:
        many = not all(a in gone for a in range(min(gone), x.ndim))
    return not many


def _sum(x: Any, gone: set[int]) -> Any:
    """The sum over these axes, from the innermost one outwards."""
    if x.flags.c_contiguous:
        # Neighbouring axes that go together are one long axis.
        lengths: list[int] = []
        marks: list[bool] = []
        kept = tuple(n for a, n in enumerate(x.shape) if a not in gone)
        for a, n in enumerate(x.shape):
            if marks and marks[-1] == (a in gone):
                lengths[-1] *= n
            else:
                lengths.append(n)
                marks.append(a in gone)
        x = x.reshape(lengths)
        return _one_by_one(x, {a for a, mark in enumerate(marks) if mark}).reshape(kept)
    # Images may have their channels last in memory.
    order = sorted(range(x.ndim), key=lambda a: -x.strides[a])
    left = [a for a in order if a not in gone]
    transposed = x.transpose(order)
    if left == sorted(left) and transposed.flags.c_contiguous:
        return _sum(transposed, {i for i, a in enumerate(order) if a in gone})
    return _one_by_one(x, gone)


def _one_by_one(x: Any, axes: set[int]) -> Any:
    strides = x.strides
    for a in sorted(axes, key=lambda a: abs(strides[a])):
        x = _sum_axis(x, a)
    return np.squeeze(x, axis=tuple(axes))


def _sum_axis(x: Any, axis: int) -> Any:
    """The sum along one axis, which is kept: pairwise, or by blocks."""
    n = x.shape[axis]
    if NARROW <= n <= MANY and axis == x.ndim - 1 and x.flags.c_contiguous:
        # A third of the time of np.sum. BLAS adds in many lanes, so that so few do not drift.
        with small_product(x.size):
            return (x.reshape(-1, n) @ np.ones(n, x.dtype)).reshape(*x.shape[:-1], 1)
    if n <= MANY or x.strides[axis] == x.itemsize:
        return np.sum(x, axis=axis, keepdims=True)
    blocks = n // BLOCK
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    start = (slice(None),) * axis
    # Cutting an axis in two never copies.
    cut = x[(*start, slice(blocks * BLOCK))].reshape(*before, blocks, BLOCK, *after)
    fast = x.ndim == 2 and (x.shape[1] <= NARROW or x.nbytes <= CACHED)
    if fast and axis == 0 and x.flags.c_contiguous:
        sums = np.matmul(np.ones((1, BLOCK), x.dtype), cut)[:, 0]
    else:
        sums = np.sum(cut, axis=axis + 1)
    rest = np.sum(x[(*start, slice(blocks * BLOCK, None))], axis=axis, keepdims=True)
    return _sum_axis(sums, axis) + rest


def plain_running_sum(x: Any, axis: int) -> Any:
    """``np.cumsum`` along an axis that is counted from 0."""
    return np.cumsum(x, axis=axis)


def plain_running_product(x: Any, axis: int) -> Any:
    """``np.cumprod`` along an axis that is counted from 0."""
    return np.cumprod(x, axis=axis)


def running_sum(x: Any, axis: int) -> Any:
    """``plain_running_sum``, with the same numbers, row by row where rows are long."""
    return _row_by_row(np.add, np.cumsum, x, axis)


def running_product(x: Any, axis: int) -> Any:
    """``plain_running_product``, with the same numbers, row by row where rows are long."""
    return _row_by_row(np.multiply, np.cumprod, x, axis)


def _row_by_row(ufunc: Any, numpy: Any, x: Any, axis: int) -> Any:
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if after < SIDE_BY_SIDE:
        return numpy(x, axis=axis)
    ans = np.array(x, order="C")
    rows = ans.reshape(before, x.shape[axis], after)
    for i in range(1, x.shape[axis]):
        ufunc(rows[:, i - 1], rows[:, i], out=rows[:, i])
    return ans
