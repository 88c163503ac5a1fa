"""Polynomials in the old style of NumPy: coefficients from the highest power down."""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, composite
from minigrad.operators.domain import sample

__all__ = ["polyval", "vander"]


@composite(
    np.polyval,
    arrays=2,
    samples=[sample((3,), (2, 3)), sample((1,), ()), sample((2,), (0,)), sample((4,), (2,))],
)
def polyval(p: Array, x: Array) -> Array:
    """p[0] x^(n-1) + ... + p[n-1], by Horner's rule; differentiable in both.

    >>> polyval(tensor([1.0, 0.0, 2.0]), tensor([3.0]))
    tensor([11.])
    """
    total = np.zeros_like(x)
    for coefficient in p:
        total = total * x + coefficient
    return total


@composite(np.vander, samples=[sample((3,)), sample((2,), N=4, increasing=True), sample((0,), N=2)])
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """The powers of the elements of x as columns, N of them, from the highest down.

    >>> vander(tensor([2.0]), 3)
    tensor([[4., 2., 1.]])
    """
    powers = np.arange(x.size if N is None else N, dtype=x.dtype)
    return np.power(np.expand_dims(x, -1), powers if increasing else powers[::-1])
