"""The namespace ``mg.linalg``, as np.linalg: gathered from other files.

It reads ``diagonal`` and ``trace`` in its own way: they are those of the last two axes.
"""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, composite
from minigrad.operators.decompositions import (
    cholesky,
    eigh,
    eigvalsh,
    lstsq,
    matrix_rank,
    qr,
    svd,
    svdvals,
)
from minigrad.operators.diagonals import diagonal as _diagonal, trace as _trace
from minigrad.operators.domain import sample
from minigrad.operators.einsum import tensordot
from minigrad.operators.matrix_inverses import (
    det,
    inv,
    matrix_exp,
    matrix_power,
    pinv,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from minigrad.operators.norms import cond, matrix_norm, norm, vector_norm
from minigrad.operators.products import cross, matmul, multi_dot, outer, vecdot
from minigrad.operators.shapes import matrix_transpose

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot",
    "norm", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
    "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip

STACKS = [sample((2, 3, 4)), sample((2, 2), offset=1), sample((0, 2, 2))]


@composite(np.linalg.diagonal, name="linalg.diagonal", samples=STACKS)
def diagonal(x: Array, offset: int = 0) -> Array:
    """The diagonals of matrices (..., m, n); see :func:`minigrad.diagonal`.

    >>> diagonal(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    return _diagonal(x, offset, -2, -1)


@composite(np.linalg.trace, name="linalg.trace", samples=STACKS)
def trace(x: Array, offset: int = 0) -> Array:
    """The sums of the diagonals of matrices (..., m, n); see :func:`minigrad.trace`.

    >>> trace(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return _trace(x, offset, -2, -1)
