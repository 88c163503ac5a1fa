"""Sums of neighbours with fixed weights: a product with a matrix that is mostly zeros.

The zeros say that an element has no part in a sum. So that 0 * inf does not make it NaN, a product
that is not finite is taken again, without what is multiplied by 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample

__all__ = ["weigh"]


def _weigh_vjp(g: Any, _ans: Any, _x: Any, matrix: Any, axis: int) -> Any:
    return weigh(g, matrix=matrix.T, axis=axis)


@operator(
    vjp=_weigh_vjp,
    samples=[
        sample((2, 3), matrix=np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]]), axis=-1),
        sample((3, 2), matrix=np.array([[0.5, 0.5, 0.0], [0.0, 0.25, -0.75]]), axis=-2),
        sample((0, 2), matrix=np.ones((3, 2)), axis=-1),
    ],
    wide=True,
)
def weigh(x: Array, matrix: Array, axis: int) -> Array:
    """The products of ``matrix`` (m, n) with the vectors of x along its last or last but one axis.

    A weight of 0 leaves an element out, even inf or NaN.

    >>> weigh(tensor([1.0, np.inf]), np.eye(2), -1)
    tensor([ 1., inf])
    """
    matrix = matrix.astype(np.result_type(x.dtype, 1.0), copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        ans = _product(x, matrix, axis)
        return ans if np.isfinite(ans).all() else _left_out(x, matrix, axis)


def _product(x: Any, matrix: Any, axis: int) -> Any:
    return x @ matrix.T if axis == -1 else matrix @ x


def _left_out(x: Any, matrix: Any, axis: int) -> Any:
    """The product of the finite elements; then what the others make of the sums they belong to."""
    ans = _product(np.where(np.isfinite(x), x, 0.0).astype(x.dtype, copy=False), matrix, axis)
    up, down = (matrix > 0).astype(matrix.dtype), (matrix < 0).astype(matrix.dtype)

    def reached(where: Any, by: Any) -> Any:
        return _product(where.astype(matrix.dtype), by, axis) > 0

    high, low = x == np.inf, x == -np.inf
    ans = np.where(reached(high, up) | reached(low, down), np.inf, ans)
    # As in a sum: inf - inf is NaN.
    ans = np.where(reached(high, down) | reached(low, up), ans - np.inf, ans)
    ans = np.where(reached(np.isnan(x), up + down), np.nan, ans)
    return ans.astype(matrix.dtype, copy=False)
