"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import above_one, inside_unit

__all__ = [
    "acosh", "arccosh", "arcsinh", "arctanh", "asinh", "atanh", "cosh", "sinh", "tanh",
]  # fmt: skip


@operator(np.sinh, vjp=lambda g, _ans, x: g * np.cosh(x))
def sinh(x: Array) -> Array:
    """(e^x - e^-x) / 2.

    >>> sinh(tensor([0.0]))
    tensor([0.])
    """
    return np.sinh(x)


@operator(np.cosh, vjp=lambda g, _ans, x: g * np.sinh(x))
def cosh(x: Array) -> Array:
    """(e^x + e^-x) / 2.

    >>> cosh(tensor([0.0]))
    tensor([1.])
    """
    return np.cosh(x)


@operator(np.tanh, vjp=lambda g, ans, _x: g * (1.0 - ans * ans))
def tanh(x: Array) -> Array:
    """sinh(x) / cosh(x), in (-1, 1).

    >>> tanh(tensor([0.0]))
    tensor([0.])
    """
    return np.tanh(x)


@operator(np.arcsinh, vjp=lambda g, _ans, x: g / np.hypot(x, 1.0))
def arcsinh(x: Array) -> Array:
    """The inverse of sinh.

    >>> arcsinh(tensor([0.0]))
    tensor([0.])
    """
    return np.arcsinh(x)


@operator(
    np.arccosh,
    vjp=lambda g, _ans, x: g / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),
    domain=above_one,
)
def arccosh(x: Array) -> Array:
    """The inverse of cosh, for x >= 1.

    >>> arccosh(tensor([1.0]))
    tensor([0.])
    """
    return np.arccosh(x)


@operator(np.arctanh, vjp=lambda g, _ans, x: g / ((1.0 - x) * (1.0 + x)), domain=inside_unit)
def arctanh(x: Array) -> Array:
    """The inverse of tanh, for x in (-1, 1).

    >>> arctanh(tensor([0.0]))
    tensor([0.])
    """
    return np.arctanh(x)


acosh, asinh, atanh = arccosh, arcsinh, arctanh
