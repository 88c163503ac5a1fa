"""Sine, cosine, tangent and their inverses; angles in radians."""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import Domain, inside_unit

__all__ = ["arccos", "arcsin", "arctan", "cos", "sin", "tan"]

_away_from_poles = Domain("away_from_poles", low=-1.3, high=1.3)


@operator(np.sin, vjp=lambda g, _ans, x: g * np.cos(x))
def sin(x: Array) -> Array:
    """The sine.

    >>> sin(tensor([0.0]))
    tensor([0.])
    """
    return np.sin(x)


@operator(np.cos, vjp=lambda g, _ans, x: -g * np.sin(x))
def cos(x: Array) -> Array:
    """The cosine.

    >>> cos(tensor([0.0]))
    tensor([1.])
    """
    return np.cos(x)


@operator(np.tan, vjp=lambda g, ans, _x: g * (1.0 + ans * ans), domain=_away_from_poles)
def tan(x: Array) -> Array:
    """The tangent, infinite at odd multiples of pi / 2.

    >>> tan(tensor([0.0]))
    tensor([0.])
    """
    return np.tan(x)


@operator(np.arcsin, vjp=lambda g, _ans, x: g / np.sqrt(1.0 - x * x), domain=inside_unit)
def arcsin(x: Array) -> Array:
    """The inverse sine of x in [-1, 1], in [-pi/2, pi/2].

    >>> arcsin(tensor([0.0]))
    tensor([0.])
    """
    return np.arcsin(x)


@operator(np.arccos, vjp=lambda g, _ans, x: -g / np.sqrt(1.0 - x * x), domain=inside_unit)
def arccos(x: Array) -> Array:
    """The inverse cosine of x in [-1, 1], in [0, pi].

    >>> arccos(tensor([1.0]))
    tensor([0.])
    """
    return np.arccos(x)


@operator(np.arctan, vjp=lambda g, _ans, x: g / (1.0 + x * x))
def arctan(x: Array) -> Array:
    """The inverse tangent, in (-pi/2, pi/2).

    >>> arctan(tensor([0.0]))
    tensor([0.])
    """
    return np.arctan(x)
