"""Sums, products and what is piecewise linear."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, constant, operator
from minigrad.operators.domain import Domain, anywhere, between, lattice, nonzero, sample

__all__ = [
    "abs", "add", "clip", "divide", "floor_divide", "maximum", "minimum", "multiply",
    "negative", "positive", "remainder", "sign", "subtract",
]  # fmt: skip

PAIRS = [
    sample((), ()), sample((3,), ()), sample((2, 3), (3,)), sample((4, 1), (1, 3)),
    sample((2, 1, 3), (4, 1)), sample((0, 2), (2,)), sample((1,), (2, 2)),
]  # fmt: skip


@operator(np.add, vjp=(lambda g, *_: g, lambda g, *_: g), samples=PAIRS)
def add(x: Array, y: Array) -> Array:
    """x + y, elementwise with broadcasting.

    >>> add(tensor([1.0, 2.0]), 10.0)
    tensor([11., 12.])
    """
    return np.add(x, y)


@operator(np.subtract, vjp=(lambda g, *_: g, lambda g, *_: -g), samples=PAIRS)
def subtract(x: Array, y: Array) -> Array:
    """x - y, elementwise with broadcasting.

    >>> subtract(tensor([1.0, 2.0]), 1.0)
    tensor([0., 1.])
    """
    return np.subtract(x, y)


@operator(
    np.multiply,
    vjp=(lambda g, _ans, _x, y: g * y, lambda g, _ans, x, _y: g * x),
    samples=PAIRS,
)
def multiply(x: Array, y: Array) -> Array:
    """x y, elementwise with broadcasting.

    >>> multiply(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor([3., 8.])
    """
    return np.multiply(x, y)


@operator(
    (np.divide, np.true_divide),
    vjp=(lambda g, _ans, _x, y: g / y, lambda g, ans, _x, y: -g * ans / y),
    domain=(anywhere, nonzero),
    samples=PAIRS,
)
def divide(x: Array, y: Array) -> Array:
    """x / y, elementwise with broadcasting.

    >>> divide(tensor([1.0, 2.0]), 2.0)
    tensor([0.5, 1. ])
    """
    return np.divide(x, y)


@operator(np.negative, vjp=lambda g, *_: -g)
def negative(x: Array) -> Array:
    """-x.

    >>> negative(tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return np.negative(x)


@operator(np.positive, vjp=lambda g, *_: g)
def positive(x: Array) -> Array:
    """+x: the same values as a new node.

    >>> positive(tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    return np.positive(x)


@operator((np.abs, np.fabs), vjp=lambda g, _ans, x: g * np.sign(x), domain=nonzero)
def abs(x: Array) -> Array:
    """The absolute value; its derivative at 0 is 0.

    >>> abs(tensor([-1.0, 2.0]))
    tensor([1., 2.])
    """
    return np.abs(x)


def _share(g: Any, wins: Any, ties: Any) -> Any:
    """All of g where this input wins, half of it where both are equal."""
    return np.where(wins, g, np.where(ties, 0.5 * g, 0.0))


@operator(
    (np.maximum, np.fmax),
    vjp=(
        lambda g, _ans, x, y: _share(g, x > y, x == y),
        lambda g, _ans, x, y: _share(g, y > x, x == y),
    ),
    domain=(lattice, between),
    samples=PAIRS,
)
def maximum(x: Array, y: Array) -> Array:
    """The larger of x and y, elementwise; a tie gives half of the gradient to each.

    >>> maximum(tensor([1.0, 5.0]), 3.0)
    tensor([3., 5.])
    """
    return np.maximum(x, y)


@operator(
    (np.minimum, np.fmin),
    vjp=(
        lambda g, _ans, x, y: _share(g, x < y, x == y),
        lambda g, _ans, x, y: _share(g, y < x, x == y),
    ),
    domain=(lattice, between),
    samples=PAIRS,
)
def minimum(x: Array, y: Array) -> Array:
    """The smaller of x and y, elementwise; a tie gives half of the gradient to each.

    >>> minimum(tensor([1.0, 5.0]), 3.0)
    tensor([1., 3.])
    """
    return np.minimum(x, y)


@composite(
    np.clip,
    samples=[
        sample((2, 3), min=-0.51, max=0.72),
        sample((5,), min=0.13),
        sample((), max=0.1),
        sample((0, 2), max=1.0),
    ],
)
def clip(x: Array, min: Array = None, max: Array = None) -> Array:
    """x limited to [min, max]; None leaves that side open. Zero gradient outside.

    >>> clip(tensor([-2.0, 0.5, 2.0]), -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is not None:
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


_near_one = Domain("near_one", low=0.9, high=1.1)


@operator(
    (np.remainder, np.mod),
    vjp=(lambda g, *_: g, lambda g, _ans, x, y: -g * np.floor_divide(x, y)),
    # No quotient is near a whole number, where the remainder jumps.
    domain=(Domain("fractions", low=-0.8, high=1.7, avoid=(0.0, 1.0), margin=0.2), _near_one),
    samples=PAIRS,
)
def remainder(x: Array, y: Array) -> Array:
    """x - floor(x / y) y, with the sign of y.

    >>> remainder(tensor([5.0, -5.0]), 3.0)
    tensor([2., 1.])
    """
    return np.remainder(x, y)


@constant(np.floor_divide)
def floor_divide(x: Array, y: Array) -> Array:
    """floor(x / y); not differentiable (its derivative is 0 wherever it exists)."""
    return np.floor_divide(x, y)


@constant(np.sign)
def sign(x: Array) -> Array:
    """-1, 0 or 1; not differentiable (its derivative is 0 wherever it exists)."""
    return np.sign(x)
