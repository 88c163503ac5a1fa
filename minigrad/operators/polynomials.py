"""Polynomials in the old style of NumPy: coefficients from the highest power down."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite
from minigrad.operators.domain import sample

__all__ = ["polyadd", "polyder", "polyint", "polymul", "polysub", "polyval", "vander"]


@composite(
    np.polyval,
    arrays=2,
    samples=[sample((3,), (2, 3)), sample((1,), ()), sample((2,), (0,)), sample((4,), (2,))],
)
def polyval(p: Array, x: Array) -> Array:
    """p[0] x^(n-1) + ... + p[n-1], by Horner's rule; differentiable in both.

    p (n,) and x (...) give (...).

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

    x (n,) gives (n, N).

    >>> vander(tensor([2.0]), 3)
    tensor([[4., 2., 1.]])
    """
    powers = np.arange(x.size if N is None else N, dtype=x.dtype)
    return np.power(np.expand_dims(x, -1), powers if increasing else powers[::-1])


SUMS = [sample((3,), (3,)), sample((2,), (4,)), sample((3,), (1,)), sample((0,), (2,))]


def _as_long(p: Any, n: int) -> Any:
    """The same polynomial with zeros as highest coefficients, n of all."""
    return np.concatenate([np.zeros(n - p.size, dtype=p.dtype), p]) if p.size < n else p


@composite(np.polyadd, arrays=2, samples=SUMS)
def polyadd(p: Array, q: Array) -> Array:
    """The sum of two polynomials.

    Coefficients (n,) and (m,), the highest power first, give (max(n, m),).

    >>> polyadd(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([1., 5.])
    """
    n = max(p.size, q.size)
    return _as_long(np.atleast_1d(p), n) + _as_long(np.atleast_1d(q), n)


@composite(np.polysub, arrays=2, samples=SUMS)
def polysub(p: Array, q: Array) -> Array:
    """The difference of two polynomials.

    Shapes as for :func:`minigrad.polyadd`.

    >>> polysub(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([ 1., -1.])
    """
    return polyadd(p, -q)


@composite(np.polymul, arrays=2, samples=SUMS[:3])
def polymul(p: Array, q: Array) -> Array:
    """The product of two polynomials: the convolution of their coefficients.

    Coefficients (n,) and (m,) give (n + m - 1,).

    >>> polymul(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([3., 6.])
    """
    return np.convolve(np.atleast_1d(p), np.atleast_1d(q))


@composite(np.polyder, samples=[sample((4,)), sample((4,), m=2), sample((0,)), sample((2,), m=0)])
def polyder(p: Array, m: int = 1) -> Array:
    """The derivative of a polynomial, taken m times.

    p (n,) gives (n - m,).

    >>> polyder(tensor([1.0, 1.0, 1.0]))
    tensor([2., 1.])
    """
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1, dtype=p.dtype)
    return p


@composite(np.polyint, samples=[sample((3,)), sample((2,), m=2, k=[1.0, 2.0]), sample((0,))])
def polyint(p: Array, m: int = 1, k: Any = 0.0) -> Array:
    """The integral of a polynomial, taken m times, with constants ``k``.

    p (n,) gives (n + m,).

    >>> polyint(tensor([2.0, 1.0]))
    tensor([1., 1., 0.])
    """
    constants = np.broadcast_to(np.asarray(k, dtype=p.dtype), (m,))
    for constant in constants:
        powers = np.arange(p.size, 0, -1, dtype=p.dtype)
        p = np.concatenate([p / powers, np.asarray([constant], dtype=p.dtype)])
    return p
