"""Products of vectors and matrices.

Each rule is again a product; axes that were broadcast are summed by the engine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import sample


def transposed(x: Any) -> Any:
    """The last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


def rows(x: Any) -> Any:
    """The last axis of x as the rows of one matrix."""
    # The number of rows is worked out here: -1 is ambiguous for an empty axis.
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _matmul_vjp_x(g: Any, _ans: Any, _x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if _x.ndim == 1:
        return (np.expand_dims(g, -2) @ transposed(y))[..., 0, :]
    return g @ transposed(y)


def _matmul_vjp_y(g: Any, _ans: Any, x: Any, _y: Any) -> Any:
    if x.ndim == 1:
        return x * g if _y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if _y.ndim == 1:
        return (transposed(x) @ np.expand_dims(g, -1))[..., 0]
    if _y.ndim == 2 and x.ndim > 2:
        # One product over all rows at once, instead of one per matrix and a sum.
        return transposed(rows(x)) @ rows(g)
    return transposed(x) @ g


PRODUCTS = [
    sample((3,), (3,)), sample((2, 3), (3, 4)), sample((2, 3), (3,)), sample((3,), (3, 2)),
    sample((2, 0), (0, 3)),
]  # fmt: skip


@operator(
    (np.matmul, np.linalg.matmul),
    vjp=(_matmul_vjp_x, _matmul_vjp_y),
    samples=[
        *PRODUCTS, sample((5, 2, 3), (3, 4)), sample((2, 3), (5, 3, 4)), sample((0, 3), (3, 2)),
        sample((3,), (2, 3, 4)), sample((2, 4, 3), (3,)), sample((2, 1, 2, 3), (4, 3, 1)),
        sample((1, 2, 3), (5, 3, 4)),
    ],
)  # fmt: skip
def matmul(x1: Array, x2: Array) -> Array:
    """The matrix product over the last two axes, the leading ones broadcast, as x1 @ x2.

    Shapes (..., n, k) and (..., k, m) give (..., n, m); a vector stands for a row on the left
    and a column on the right.

    >>> matmul(tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """


@composite(
    np.dot,
    arrays=2,
    samples=[*PRODUCTS, sample((), (2,)), sample((2, 2, 3), (3,)), sample((2, 3), (2, 3, 4))],
)
def dot(a: Array, b: Array) -> Array:
    """The inner product of vectors, the matrix product of matrices, as in np.dot.

    >>> dot(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return a @ b
    # np.dot of higher dimensions pairs all leading axes of both.
    columns = np.reshape(np.moveaxis(b, -2, 0), (b.shape[-2], -1))
    return np.reshape(a @ columns, (*a.shape[:-1], *b.shape[:-2], b.shape[-1]))


@composite(
    np.vdot,
    numbers="real",
    arrays=2,
    samples=[sample((3,), (3,)), sample((2, 2), (4,)), sample((), ()), sample((0,), (0,))],
)
def vdot(a: Array, b: Array) -> Array:
    """The inner product of all elements, both flattened.

    >>> vdot(tensor([[1.0, 2.0]]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    return np.ravel(a) @ np.ravel(b)


@composite(
    np.inner,
    arrays=2,
    samples=[
        sample((3,), (3,)), sample((2, 3), (4, 3)), sample((), (2,)), sample((2, 3), (2, 2, 3)),
        sample((2, 0), (3, 0)),
    ],
)  # fmt: skip
def inner(a: Array, b: Array) -> Array:
    """The sum of products over the last axes of both.

    >>> inner(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return np.tensordot(a, b, axes=(-1, -1))


@composite(
    (np.outer, np.linalg.outer),
    arrays=2,
    samples=[sample((2,), (3,)), sample((2, 2), ()), sample((0,), (2,))],
)
def outer(a: Array, b: Array) -> Array:
    """All products a[i] b[j], both flattened.

    (n,) and (m,) give (n, m).

    >>> outer(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return np.reshape(a, (a.size, 1)) * np.reshape(b, (1, b.size))


ROWS = [
    sample((2, 3), (3,)), sample((3,), (3,)), sample((2, 1, 3), (4, 3)), sample((0, 2), (2,)),
]  # fmt: skip


@composite(
    (np.vecdot, np.linalg.vecdot),
    numbers="real",
    arrays=2,
    samples=[*ROWS, sample((3, 2), (3, 2), axis=0)],
    wide=True,
)
def vecdot(x1: Array, x2: Array, axis: int = -1) -> Array:
    """The sum of products along one axis; the others broadcast.

    (..., n) and (..., n) give (...).

    >>> vecdot(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x1, x2 = np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
    if x1.dtype.kind in "iub" and x2.dtype.kind in "iub":  # a sum would widen them
        return np.matmul(np.expand_dims(x1, -2), np.expand_dims(x2, -1))[..., 0, 0]
    return np.sum(x1 * x2, axis=-1)


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
def matvec(x1: Array, x2: Array) -> Array:
    """Matrices (..., n, k) times vectors (..., k); leading axes broadcast.

    >>> matvec(tensor([[1.0, 2.0]]), tensor([3.0, 4.0]))
    tensor([11.])
    """
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


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
def vecmat(x1: Array, x2: Array) -> Array:
    """Vectors (..., k) times matrices (..., k, m); leading axes broadcast.

    >>> vecmat(tensor([3.0, 4.0]), tensor([[1.0], [2.0]]))
    tensor([11.])
    """
    return np.matmul(np.expand_dims(x1, -2), x2)[..., 0, :]


@composite(
    np.kron,
    arrays=2,
    samples=[
        sample((2,), (3,)), sample((2, 2), (1, 3)), sample((2,), (2, 2)), sample((), (2,)),
        sample((2, 1, 2), (2, 2)), sample((0, 2), (2, 2)),
    ],
)  # fmt: skip
def kron(a: Array, b: Array) -> Array:
    """The Kronecker product: ``b`` times each element of ``a``, in blocks.

    (m, n) and (p, q) give (m p, n q).

    >>> kron(tensor([1.0, 10.0]), tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    ndim = max(a.ndim, b.ndim)
    first = (1,) * (ndim - a.ndim) + a.shape
    second = (1,) * (ndim - b.ndim) + b.shape
    wide = np.reshape(a, [n for length in first for n in (length, 1)])
    tall = np.reshape(b, [n for length in second for n in (1, length)])
    return np.reshape(wide * tall, [n * m for n, m in zip(first, second, strict=True)])


@composite(
    (np.cross, np.linalg.cross),
    arrays=2,
    samples=[
        sample((3,), (3,)), sample((2, 3), (3,)), sample((3, 2), (3, 2), axis=0),
        sample((0, 3), (3,)), sample((3, 2), (2, 3), axisa=0, axisc=0),
    ],
    wide=True,
)  # fmt: skip
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """The vector product of vectors of three elements along ``axis``; the other axes broadcast.

    Raises ValueError for another length (vectors of two are x0 y1 - x1 y0: write that).

    >>> cross(tensor([1.0, 0.0, 0.0]), tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(f"expected vectors of 3 elements, got {a.shape[-1]} and {b.shape[-1]}")
    next_, after = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(a[..., next_] * b[..., after] - a[..., after] * b[..., next_], -1, axisc)


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
    n = len(arrays)
    lengths = [*(arrays[0].shape[:-1] or (1,)), *[a.shape[0] for a in arrays[1:]]]
    lengths += arrays[-1].shape[1:] or (1,)
    # cost[i, j]: (multiplications, where to split) for the product of arrays i to j.
    cost: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(n)}

    def split_at(i: int, k: int, j: int) -> Any:
        return cost[i, k][0] + cost[k + 1, j][0] + lengths[i] * lengths[k + 1] * lengths[j + 1]

    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            cost[i, j] = min((split_at(i, k, j), k) for k in range(i, j))

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = cost[i, j][1]
        return product(i, k) @ product(k + 1, j)

    return product(0, n - 1)
