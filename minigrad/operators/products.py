"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import sample

__all__ = ["dot", "matmul"]


def _flip(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _rows(x: Any) -> Any:
    return np.reshape(x, (-1, x.shape[-1]))


def _matmul_vjp_x(g: Any, _ans: Any, _x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if _x.ndim == 1:
        return (np.expand_dims(g, -2) @ _flip(y))[..., 0, :]
    return g @ _flip(y)


def _matmul_vjp_y(g: Any, _ans: Any, x: Any, _y: Any) -> Any:
    if x.ndim == 1:
        return x * g if _y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if _y.ndim == 1:
        return (_flip(x) @ np.expand_dims(g, -1))[..., 0]
    if _y.ndim == 2 and x.ndim > 2:
        # One product over all rows at once, instead of one per matrix and a sum.
        return _flip(_rows(x)) @ _rows(g)
    return _flip(x) @ g


@operator(
    np.matmul,
    vjp=(_matmul_vjp_x, _matmul_vjp_y),
    samples=[
        sample((2, 3), (3, 4)), sample((3,), (3,)), sample((2, 3), (3,)), sample((3,), (3, 2)),
        sample((5, 2, 3), (3, 4)), sample((2, 3), (5, 3, 4)), sample((2, 1, 2, 3), (4, 3, 1)),
        sample((3,), (2, 3, 4)), sample((2, 4, 3), (3,)), sample((0, 3), (3, 2)),
        sample((2, 0), (0, 3)), sample((1, 2, 3), (5, 3, 4)),
    ],
)  # fmt: skip
def matmul(x: Array, y: Array) -> Array:
    """The matrix product over the last two axes, the leading ones broadcast, as x @ y.

    Shapes (..., n, k) and (..., k, m) give (..., n, m); a vector stands for a row on the left
    and a column on the right.

    >>> matmul(tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    return np.matmul(x, y)


@composite(
    np.dot,
    arrays=2,
    samples=[
        sample((3,), (3,)),
        sample((2, 3), (3, 2)),
        sample((), (2,)),
        sample((2, 2, 3), (3,)),
        sample((2, 0), (0, 3)),
        sample((2, 3), (2, 3, 4)),
    ],
)
def dot(x: Array, y: Array) -> Array:
    """The inner product of vectors, the matrix product of matrices, as in np.dot.

    >>> dot(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if y.ndim <= 2:
        return x @ y
    # np.dot of higher dimensions pairs all leading axes of both.
    columns = np.reshape(np.moveaxis(y, -2, 0), (y.shape[-2], -1))
    return np.reshape(x @ columns, (*x.shape[:-1], *y.shape[:-2], y.shape[-1]))
