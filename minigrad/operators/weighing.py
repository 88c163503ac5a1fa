"""Sums of neighbours with fixed weights, as bilinear interpolation and averages need them.

A product with a small matrix along one axis does this; its derivative is that with the transpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample


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
    return kernels.weigh(x, matrix, axis)
