"""Sums, products and what is piecewise linear.

Where two elements tie, as in a maximum, each has half of the gradient, so that no order is
preferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import Array, Rule, composite_of_many, operator
from minigrad.operators.domain import Domain, anywhere, between, lattice, nonzero, sample
from minigrad.operators.rows import binary, of_two, unary
from minigrad.operators.shapes import as_float

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

add = binary(
    np.add,
    lambda g, *_: g,
    lambda g, *_: g,
    example="tensor([1.0, 2.0]), 10.0 -> tensor([11., 12.])",
)
"""x1 + x2, elementwise with broadcasting."""

subtract = binary(
    np.subtract,
    lambda g, *_: g,
    lambda g, *_: -g,
    example="tensor([1.0, 2.0]), 1.0 -> tensor([0., 1.])",
)
"""x1 - x2, elementwise with broadcasting."""

multiply = binary(
    np.multiply,
    lambda g, _ans, _x, y: g * y,
    lambda g, _ans, x, _y: g * x,
    example="tensor([1.0, 2.0]), tensor([3.0, 4.0]) -> tensor([3., 8.])",
)
"""x1 x2, elementwise with broadcasting."""

divide = binary(
    (np.divide, np.true_divide),
    lambda g, _ans, _x, y: g / y,
    lambda g, ans, _x, y: -g * ans / y,
    domain=(anywhere, nonzero),
    example="tensor([1.0, 2.0]), 2.0 -> tensor([0.5, 1. ])",
)
"""x1 / x2, elementwise with broadcasting."""


def divide_or_zero(x: Any, y: Any) -> Any:
    """x / y, and 0 where y is 0: a gradient where no direction is better than another."""
    zero = y == 0
    if not np.any(zero):
        return x / y
    return np.where(zero, 0.0, x / np.where(zero, 1.0, y))


negative = unary(np.negative, lambda g, *_: -g, example="tensor([1.0, -2.0]) -> tensor([-1.,  2.])")
"""-x."""

positive = unary(
    (np.positive, np.conjugate),
    lambda g, *_: g,
    example="tensor([1.0, -2.0]) -> tensor([ 1., -2.])",
)
"""+x: the same values as a new node."""


abs = unary(
    (np.abs, np.fabs),
    lambda g, _ans, x: g * np.sign(x),
    domain=nonzero,
    name="abs",
    says="The derivative at 0 is 0.",
    example="tensor([-1.0, 2.0]) -> tensor([1., 2.])",
)
"""The absolute value; its derivative at 0 is 0."""


def _winner(beats: Any, over_nan: bool = False) -> tuple[Rule, Rule]:
    """The rules of a choice between two: the winner has all of g, of two that tie each has half.

    NaN neither wins nor loses; with ``over_nan``, a number wins against it.
    """

    def share(g: Any, mine: Any, other: Any) -> Any:
        wins, loses = beats(mine, other), beats(other, mine)
        if over_nan:
            missing, alone = np.isnan(mine), np.isnan(other)
            wins, loses = wins | (alone & ~missing), loses | (missing & ~alone)
        return np.where(wins, g, np.where(loses, 0.0, 0.5 * g))

    return lambda g, _ans, x, y: share(g, x, y), lambda g, _ans, x, y: share(g, y, x)


_choice = binary.sharing(
    domain=(lattice, between), says="A tie gives half of the gradient to each."
)

maximum = _choice(
    np.maximum, *_winner(np.greater), example="tensor([1.0, 5.0]), 3.0 -> tensor([3., 5.])"
)
"""The larger of x1 and x2, elementwise; a tie gives half of the gradient to each."""

minimum = _choice(
    np.minimum, *_winner(np.less), example="tensor([1.0, 5.0]), 3.0 -> tensor([1., 3.])"
)
"""The smaller of x1 and x2, elementwise; a tie gives half of the gradient to each."""

fmax = _choice(
    np.fmax,
    *_winner(np.greater, over_nan=True),
    example="tensor([1.0, np.nan]), 3.0 -> tensor([3., 3.])",
)
"""The larger of x1 and x2, elementwise; of a number and a NaN, the number."""

fmin = _choice(
    np.fmin,
    *_winner(np.less, over_nan=True),
    example="tensor([1.0, np.nan]), 3.0 -> tensor([1., 3.])",
)
"""The smaller of x1 and x2, elementwise; of a number and a NaN, the number."""


def _clip_vjp_x(g: Any, _ans: Any, x: Any, min: Any, max: Any) -> Any:
    if min is not None:
        g = np.where(x < min, 0.0, g)
    return g if max is None else np.where(x > max, 0.0, g)


def _clip_vjp_min(g: Any, _ans: Any, x: Any, min: Any, max: Any) -> Any:
    # Where the bounds cross, NumPy's answer is max.
    binds = x < min if max is None else (x < min) & (min <= max)
    return np.where(binds, g, 0.0)


def _clip_vjp_max(g: Any, _ans: Any, x: Any, min: Any, max: Any) -> Any:
    binds = x > max if min is None else (x > max) | (min > max)
    return np.where(binds, g, 0.0)


@operator(
    np.clip,
    vjp=(_clip_vjp_x, _clip_vjp_min, _clip_vjp_max),
    domain=(lattice, Domain("below", low=-0.74, high=-0.66), Domain("above", low=0.66, high=0.74)),
    samples=[
        sample((2, 3), min=-0.7, max=0.71), sample((5,), min=-0.7),
        sample((), max=-0.1), sample((0, 2), max=1.0), sample((2, 3), (2, 1), None),
        sample((2, 3), (3,), ()),
        sample((4,), np.array(3.0), np.array(2.0)),
    ],
    # NumPy 2.0 does not know min= and max=.
    reference=lambda x, *both, **one: np.clip(x, *(both or (one.get("min"), one.get("max")))),
)  # fmt: skip
def clip(a: Array, min: Array = None, max: Array = None) -> Array:
    """``a`` limited to [min, max]; None leaves that side open.

    Where a bound is passed, the gradient goes to the bound instead; on it, to ``a``.

    >>> clip(tensor([-2.0, 0.5, 2.0]), -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    """
    return np.clip(a, min, max)


# No quotient of these is near a whole number, where a remainder jumps.
_fractions = Domain("fractions", low=-0.8, high=1.7, avoid=(0.0, 1.0), margin=0.2)
_near_one = Domain("near_one", low=0.9, high=1.1)

_division = binary.sharing(domain=(_fractions, _near_one))

remainder = _division(
    (np.remainder, np.mod),
    lambda g, *_: g,
    lambda g, _ans, x, y: -g * np.floor_divide(x, y),
    example="tensor([5.0, -5.0]), 3.0 -> tensor([2., 1.])",
)
"""x1 - floor(x1 / x2) x2, with the sign of x2."""

fmod = _division(
    np.fmod,
    lambda g, *_: g,
    lambda g, _ans, x, y: -g * np.trunc(x / y),
    example="tensor([5.0, -5.0]), 3.0 -> tensor([ 2., -2.])",
)
"""x1 - trunc(x1 / x2) x2, with the sign of x1, as in C."""


@composite_of_many(np.divmod, arrays=2, domain=(_fractions, _near_one))
def divmod(x1: Array, x2: Array) -> tuple[Tensor, Tensor]:
    """(floor_divide(x1, x2), remainder(x1, x2)); only the remainder has a derivative.

    >>> divmod(tensor([5.0, -5.0]), 3.0)
    (tensor([ 1., -2.]), tensor([2., 1.]))
    """
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


@composite_of_many(np.modf, domain=_fractions)
def modf(x: Array) -> tuple[Tensor, Tensor]:
    """(fraction, whole part), both with the sign of x; only the fraction has a derivative.

    >>> modf(tensor([1.5, -2.25]))
    (tensor([ 0.5 , -0.25]), tensor([ 1., -2.]))
    """
    x = as_float(x)
    whole = np.trunc(x)
    return x - whole, whole


copysign = of_two(
    np.copysign,
    lambda g, _ans, x, y: g * (np.sign(x) * np.copysign(1.0, y)),
    None,
    domain=nonzero,
    says="Constant in x2, and of derivative 0 at x1 = 0.",
    example="tensor([1.0, 2.0]), -1.0 -> tensor([-1., -2.])",
)
"""abs(x1) with the sign of x2; constant in x2, and of derivative 0 at x1 = 0."""


@operator(
    np.ldexp,
    vjp=(lambda g, _ans, _x, i: np.ldexp(g, i), None),
    samples=[sample((3,), np.array([0, 1, -2])), sample((), 3), sample((0,), np.array(2))],
)
def ldexp(x: Array, i: Array) -> Array:
    """x times 2 to the power i, for whole i.

    >>> ldexp(tensor([1.0, 3.0]), 2)
    tensor([ 4., 12.])
    """


@operator(
    np.nan_to_num,
    vjp=lambda g, _ans, x, **_: np.where(np.isfinite(x), g, 0.0),
    samples=[
        sample((2, 3)), sample((0,)), sample(()),
    ],
)  # fmt: skip
def nan_to_num(
    x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """x with NaN replaced by ``nan``, and the infinities by the largest numbers or as given.

    What is replaced has gradient 0.

    >>> nan_to_num(tensor([1.0, float("nan")]))
    tensor([1., 0.])
    """


_FLAT = "Not differentiable: the derivative is 0 wherever it exists."

floor_divide = binary.constant(
    np.floor_divide, "tensor([-3.0, 3.0]), 2.0 -> tensor([-2.,  1.])", says=_FLAT
)
"""floor(x1 / x2); not differentiable (its derivative is 0 wherever it exists)."""


sign = unary.constant(np.sign, "tensor([-2.0, 0.0, 3.0]) -> tensor([-1.,  0.,  1.])", says=_FLAT)
"""-1, 0 or 1; not differentiable (its derivative is 0 wherever it exists)."""


heaviside = binary.constant(
    np.heaviside, "tensor([-1.0, 0.0, 1.0]), 0.5 -> tensor([0. , 0.5, 1. ])", says=_FLAT
)
"""0 for x1 < 0, x2 at 0, 1 above; not differentiable (its derivative is 0 where it exists)."""


absolute = fabs = abs
true_divide = divide
mod = remainder
