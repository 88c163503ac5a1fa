"""Products of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import sample

__all__ = [
    "cross", "dot", "inner", "kron", "matmul", "matvec", "multi_dot", "outer", "vdot", "vecdot",
    "vecmat",
]  # fmt: skip


def turned(x: Any) -> Any:
    """Matrices turned over: their last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


def rows(x: Any) -> Any:
    """The last axis of x as the rows of one matrix."""
    # The number of rows is worked out here: -1 is ambiguous for an empty axis.
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _matmul_vjp_x(g: Any, _ans: Any, _x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if _x.ndim == 1:
        return (np.expand_dims(g, -2) @ turned(y))[..., 0, :]
    return g @ turned(y)


def _matmul_vjp_y(g: Any, _ans: Any, x: Any, _y: Any) -> Any:
    if x.ndim == 1:
        return x * g if _y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if _y.ndim == 1:
        return (turned(x) @ np.expand_dims(g, -1))[..., 0]
    if _y.ndim == 2 and x.ndim > 2:
        # One product over all rows at once, instead of one per matrix and a sum.
        return turned(rows(x)) @ rows(g)
    return turned(x) @ g


@operator(
    (np.matmul, np.linalg.matmul),
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


@composite(
    np.vdot,
    numbers="real",
    arrays=2,
    samples=[sample((3,), (3,)), sample((2, 2), (4,)), sample((), ()), sample((0,), (0,))],
)
def vdot(x: Array, y: Array) -> Array:
    """The inner product of all elements, both flattened.

    >>> vdot(tensor([[1.0, 2.0]]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    return np.ravel(x) @ np.ravel(y)


@composite(
    np.inner,
    arrays=2,
    samples=[
        sample((3,), (3,)), sample((2, 3), (4, 3)), sample((), (2,)), sample((2, 3), (2, 2, 3)),
        sample((2, 0), (3, 0)),
    ],
)  # fmt: skip
def inner(x: Array, y: Array) -> Array:
    """The sum of products over the last axes of both.

    >>> inner(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return np.tensordot(x, y, axes=(-1, -1))


@composite(
    (np.outer, np.linalg.outer),
    arrays=2,
    samples=[sample((2,), (3,)), sample((2, 2), ()), sample((0,), (2,))],
    reference=np.outer,
)
def outer(x: Array, y: Array) -> Array:
    """All products x[i] y[j], both flattened.

    (n,) and (m,) give (n, m).

    >>> outer(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return np.reshape(x, (x.size, 1)) * np.reshape(y, (1, y.size))


ROWS = [
    sample((2, 3), (3,)), sample((3,), (3,)), sample((2, 1, 3), (4, 3)), sample((0, 2), (2,)),
]  # fmt: skip


@composite(
    (getattr(np, "vecdot", None), getattr(np.linalg, "vecdot", None)),
    numbers="real",
    arrays=2,
    samples=[*ROWS, sample((3, 2), (3, 2), axis=0)],
    wide=True,
)
def vecdot(x: Array, y: Array, axis: int = -1) -> Array:
    """The sum of products along one axis; the others broadcast.

    (..., n) and (..., n) give (...).

    >>> vecdot(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    if x.dtype.kind in "iub" and y.dtype.kind in "iub":  # a sum would widen them
        return np.matmul(np.expand_dims(x, -2), np.expand_dims(y, -1))[..., 0, 0]
    return np.sum(x * y, axis=-1)


@composite(
    getattr(np, "matvec", None),
    arrays=2,
    samples=[
        sample((2, 3), (3,)),
        sample((4, 2, 3), (4, 3)),
        sample((2, 3), (5, 3)),
        sample((0, 3), (3,)),
    ],
)
def matvec(x: Array, y: Array) -> Array:
    """Matrices (..., n, k) times vectors (..., k); leading axes broadcast.

    >>> matvec(tensor([[1.0, 2.0]]), tensor([3.0, 4.0]))
    tensor([11.])
    """
    return np.matmul(x, np.expand_dims(y, -1))[..., 0]


@composite(
    getattr(np, "vecmat", None),
    numbers="real",
    arrays=2,
    samples=[
        sample((3,), (3, 2)),
        sample((4, 3), (4, 3, 2)),
        sample((5, 3), (3, 2)),
        sample((0,), (0, 2)),
    ],
)
def vecmat(x: Array, y: Array) -> Array:
    """Vectors (..., k) times matrices (..., k, m); leading axes broadcast.

    >>> vecmat(tensor([3.0, 4.0]), tensor([[1.0], [2.0]]))
    tensor([11.])
    """
    return np.matmul(np.expand_dims(x, -2), y)[..., 0, :]


@composite(
    np.kron,
    arrays=2,
    samples=[
        sample((2,), (3,)), sample((2, 2), (1, 3)), sample((2,), (2, 2)), sample((), (2,)),
        sample((2, 1, 2), (2, 2)), sample((0, 2), (2, 2)),
    ],
)  # fmt: skip
def kron(x: Array, y: Array) -> Array:
    """The Kronecker product: y times each element of x, in blocks.

    (m, n) and (p, q) give (m p, n q).

    >>> kron(tensor([1.0, 10.0]), tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    ndim = max(x.ndim, y.ndim)
    a = (1,) * (ndim - x.ndim) + x.shape
    b = (1,) * (ndim - y.ndim) + y.shape
    wide = np.reshape(x, [n for length in a for n in (length, 1)])
    tall = np.reshape(y, [n for length in b for n in (1, length)])
    return np.reshape(wide * tall, [n * m for n, m in zip(a, b, strict=True)])


@composite(
    (np.cross, np.linalg.cross),
    arrays=2,
    samples=[
        sample((3,), (3,)), sample((2, 3), (3,)), sample((3, 2), (3, 2), axis=0),
        sample((0, 3), (3,)), sample((3, 2), (2, 3), axisa=0, axisc=0),
    ],
    reference=np.cross,
    wide=True,
)  # fmt: skip
def cross(
    x: Array, y: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """The vector product of vectors of three elements along ``axis``; the other axes broadcast.

    Raises ValueError for another length (vectors of two are x0 y1 - x1 y0: write that).

    >>> cross(tensor([1.0, 0.0, 0.0]), tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(x, axisa, -1), np.moveaxis(y, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"expected vectors of 3 elements, got {x.shape[-1]} and {y.shape[-1]}")
    next_, after = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(x[..., next_] * y[..., after] - x[..., after] * y[..., next_], -1, axisc)


@composite(
    np.linalg.multi_dot,
    sequence=True,
    samples=[
        sample([(2, 3), (3, 4), (4, 2)]), sample([(3,), (3, 4), (4,)]), sample([(2, 3), (3, 2)]),
        sample([(2, 5), (5, 1), (1, 4), (4, 3)]), sample([(0, 3), (3, 4), (4, 2)]),
    ],
)  # fmt: skip
def multi_dot(arrays: Array) -> Array:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors. Raises ValueError for fewer than two arrays.

    >>> multi_dot([tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]]), tensor([[2.0]])])
    tensor([[22.]])
    """
    if len(arrays) < 2:
        raise ValueError(f"expected at least two arrays, got {len(arrays)}")
    if len(arrays) == 2:
        return np.dot(*arrays)
    lengths = [1 if arrays[0].ndim == 1 else arrays[0].shape[0]]
    lengths += [a.shape[0] if i and a.ndim == 1 else a.shape[-1] for i, a in enumerate(arrays)]
    if arrays[-1].ndim == 1:
        lengths = [*lengths[:-1], 1]
    n = len(arrays)
    # cost[i, j]: (multiplications, where to split) for the product of arrays i to j.
    cost: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(n)}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            cost[i, j] = min(
                (
                    cost[i, k][0]
                    + cost[k + 1, j][0]
                    + lengths[i] * lengths[k + 1] * lengths[j + 1],
                    k,
                )
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = cost[i, j][1]
        return product(i, k) @ product(k + 1, j)

    return product(0, n - 1)
