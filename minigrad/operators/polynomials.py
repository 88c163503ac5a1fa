"""Polynomials in the old style of NumPy: coefficients from the highest power down."""

from __future__ import annotations

from operator import index as operator_index
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, engine
from minigrad.operators.domain import sample


@composite(
    np.polyval,
    arrays=2,
    samples=[sample((3,), (2, 3)), sample((1,), ()), sample((2,), (0,)), sample((4,), (2,))],
)
def polyval(p: Array, x: Array) -> Array:
    """`p[0] x^(n-1) + ... + p[n-1]`, by Horner's rule; differentiable in both.

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

    x (n,) gives (n, N). Raises ValueError for x of several axes and a negative N.

    >>> vander(tensor([2.0]), 3)
    tensor([[4., 2., 1.]])
    """
    if x.ndim != 1:
        raise ValueError(f"expected x with one axis, got shape {x.shape}")
    x = _at_least_whole(x)
    if N is not None and N < 0:
        raise ValueError(f"N must not be negative, got {N}")
    powers = np.arange(x.size if N is None else operator_index(N), dtype=x.dtype)
    return np.power(np.expand_dims(x, -1), powers if increasing else powers[::-1])


def _at_least_whole(p: Any) -> Any:
    """Booleans and short integers as NumPy's usual ones; floats keep their dtype."""
    return p if p.dtype.kind in "fc" else p.astype(np.result_type(p.dtype, int))


def _coefficients(p: Any) -> Any:
    if p.ndim != 1:
        raise ValueError(f"expected coefficients along one axis, got shape {p.shape}")
    return _at_least_whole(p)


def _trimmed(p: Any) -> Any:
    """The polynomial without leading zeros; at least one coefficient is left."""
    p = np.atleast_1d(p)
    (places,) = np.nonzero(engine.constant(p))
    if not places.size:
        return np.zeros(1, p.dtype)
    return p[int(places[0]) :]


SUMS = [sample((3,), (3,)), sample((2,), (4,)), sample((3,), (1,)), sample((0,), (2,))]


def _as_long(p: Any, n: int) -> Any:
    """The same polynomial with zeros as highest coefficients, n of all."""
    return np.concatenate([np.zeros(n - p.size, dtype=p.dtype), p]) if p.size < n else p


@composite(np.polyadd, arrays=2, samples=SUMS)
def polyadd(a1: Array, a2: Array) -> Array:
    """The sum of two polynomials.

    Coefficients (n,) and (m,), the highest power first, give (max(n, m),).

    >>> polyadd(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([1., 5.])
    """
    n = max(a1.size, a2.size)
    return _as_long(np.atleast_1d(a1), n) + _as_long(np.atleast_1d(a2), n)


@composite(np.polysub, arrays=2, samples=SUMS)
def polysub(a1: Array, a2: Array) -> Array:
    """The difference of two polynomials.

    Shapes as for :func:`minigrad.polyadd`.

    >>> polysub(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([ 1., -1.])
    """
    return polyadd(a1, -a2)


@composite(np.polymul, arrays=2, samples=SUMS[:3])
def polymul(a1: Array, a2: Array) -> Array:
    """The product of two polynomials: the convolution of their coefficients.

    Coefficients (n,) and (m,) give (n + m - 1,), without leading zeros.

    >>> polymul(tensor([1.0, 2.0]), tensor([3.0]))
    tensor([3., 6.])
    """
    return np.convolve(_trimmed(a1), _trimmed(a2))


@composite(np.polyder, samples=[sample((4,)), sample((4,), m=2), sample((0,)), sample((2,), m=0)])
def polyder(p: Array, m: int = 1) -> Array:
    """The derivative of a polynomial, taken m times.

    p (n,) gives (n - m,). Raises ValueError for a negative m.

    >>> polyder(tensor([1.0, 1.0, 1.0]))
    tensor([2., 1.])
    """
    if m < 0:
        raise ValueError(f"m must not be negative, got {m}")
    whole = _coefficients(p)
    p = whole if m else p
    for _ in range(min(m, p.size)):
        p = p[:-1] * np.arange(p.size - 1, 0, -1, dtype=p.dtype)
    return p


@composite(np.polyint, samples=[sample((3,)), sample((2,), m=2, k=[1.0, 2.0]), sample((0,))])
def polyint(p: Array, m: int = 1, k: Any = 0.0) -> Array:
    """The integral of a polynomial, taken m times, with constants ``k``.

    p (n,) gives (n + m,). Raises ValueError for m outside 0 to 10,000.

    >>> polyint(tensor([2.0, 1.0]))
    tensor([1., 1., 0.])
    """
    p = _coefficients(p)
    p = p if p.dtype.kind in "fc" else p.astype(np.float64)
    if not 0 <= m <= 10_000:
        raise ValueError(f"m must be 0 to 10,000, got {m}")
    constants = np.broadcast_to(np.asarray(0.0 if k is None else k, dtype=p.dtype), (m,))
    for constant in constants:
        powers = np.arange(p.size, 0, -1, dtype=p.dtype)
        p = np.concatenate([p / powers, np.asarray([constant], dtype=p.dtype)])
    return p
