"""Running sums and products along an axis: of each number and all before it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: From so many elements side by side on, whole rows are added: NumPy goes from column to column,
#: which takes ten times as long for 256 x 1024.
SIDE_BY_SIDE = 64


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
