"""Sums of neighbours with fixed weights: a product with a matrix that is mostly zeros.

A zero means that an element does not belong to a sum, but 0 * inf would make the sum NaN. So a
product that is not finite is computed again, without the elements that are multiplied by 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.threads import small_product


def plain_weigh(x: Any, matrix: Any, axis: int) -> Any:
    """The products of ``matrix`` (m, n) with the vectors of x along axis -1 or -2."""
    vectors = np.moveaxis(x, axis, -1)[..., None, :]
    matrix = matrix.astype(np.result_type(x.dtype, 1.0))
    with np.errstate(invalid="ignore"):
        terms = np.where(matrix == 0, 0.0, vectors * matrix)
        return np.moveaxis(np.sum(terms, axis=-1), -1, axis).astype(matrix.dtype)


def weigh(x: Any, matrix: Any, axis: int) -> Any:
    """``plain_weigh`` as a product of matrices, as long as everything is finite."""
    matrix = matrix.astype(np.result_type(x.dtype, 1.0), copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        ans = _product(x, matrix, axis)
        return ans if np.isfinite(ans).all() else _without_zeros(x, matrix, axis)


def _product(x: Any, matrix: Any, axis: int) -> Any:
    with small_product(x.size * len(matrix)):
        return x @ matrix.T if axis == -1 else matrix @ x


def _without_zeros(x: Any, matrix: Any, axis: int) -> Any:
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
