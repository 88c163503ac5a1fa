"""Diagonals and triangles of matrices.

Taking a diagonal and placing one are each other's derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import sample
from minigrad.operators.indexing import scatter
from minigrad.operators.rows import triangle

DIAGONALS = [
    sample((3, 3)), sample((2, 4), offset=1), sample((4, 2), offset=-1), sample((2, 3, 4), axis1=2),
    sample((2, 3, 4), offset=1, axis1=1, axis2=2), sample((0, 2)), sample((2, 2), offset=5),
]  # fmt: skip


def _place_on_diagonal(
    g: Any, _ans: Any, _x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Any:
    """Zeros of x's shape with g on that diagonal."""
    i = np.arange(g.shape[-1])
    pair = (axis1 % _x.ndim, axis2 % _x.ndim)
    rest = [length for a, length in enumerate(_x.shape) if a not in pair]
    shape = (*rest, _x.shape[axis1], _x.shape[axis2])
    leading = (...,) if rest else ()
    placed: Any = scatter(g, (*leading, i + max(-offset, 0), i + max(offset, 0)), shape)
    return np.moveaxis(placed, (-2, -1), (axis1, axis2))


@operator(np.diagonal, vjp=_place_on_diagonal, view=True, samples=DIAGONALS)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The elements a[..., i, i + offset] over the two axes, along a new last axis.

    >>> diagonal(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """


@composite(np.trace, samples=DIAGONALS)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of a diagonal.

    >>> trace(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@composite(
    np.diag,
    samples=[
        sample((3,)), sample((2,), k=1), sample((2,), k=-2), sample((3, 3)), sample((2, 3), k=1),
        sample((0, 2)), sample((0,)),
    ],
)  # fmt: skip
def diag(v: Array, k: int = 0) -> Array:
    """The k-th diagonal of a matrix; of a vector, the matrix with it as k-th diagonal.

    Raises ValueError for other numbers of axes. v (m, n) gives (min(m, n),), and v (n,) gives (n,
    n), for k = 0.

    >>> diag(tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"expected one or two axes, got shape {v.shape}")
    n = v.size + abs(k)
    i = np.arange(v.size)
    return scatter(v, (i + max(-k, 0), i + max(k, 0)), (n, n))


@composite(np.diagflat, samples=[sample((2, 2)), sample((2,), k=1), sample((0,)), sample(())])
def diagflat(v: Array, k: int = 0) -> Array:
    """The matrix with all elements of v on its k-th diagonal.

    >>> diagflat(tensor([[1.0, 2.0]]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return diag(np.ravel(v), k)


_triangle = triangle.sharing(
    samples=[
        sample((3, 3)), sample((2, 4), k=1), sample((2, 3, 2), k=-1), sample((0, 2)), sample((3,)),
    ]
)  # fmt: skip


tril = _triangle(
    np.tril,
    lambda g, _ans, _x, k=0: kernels.on(g).triangle(g, k, False),
    runs=lambda m, k=0: kernels.triangle(m, k, False),
    example="tensor([[1.0, 2.0], [3.0, 4.0]]) -> tensor([[1., 0.],\n        [3., 4.]])",
)
"""The lower triangle of matrices: zeros above the k-th diagonal."""

triu = _triangle(
    np.triu,
    lambda g, _ans, _x, k=0: kernels.on(g).triangle(g, k, True),
    runs=lambda m, k=0: kernels.triangle(m, k, True),
    example="tensor([[1.0, 2.0], [3.0, 4.0]]) -> tensor([[1., 2.],\n        [0., 4.]])",
)
"""The upper triangle of matrices: zeros below the k-th diagonal."""
