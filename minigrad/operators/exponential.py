"""Exponentials, logarithms, powers and roots.

At the edges of their domains, as the root of 0 or 0 to a power, each says what its derivative is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, composite, engine, operator
from minigrad.operators.domain import PAIRS, anywhere, nonzero, positive, sample
from minigrad.operators.rows import binary, unary
from minigrad.operators.shapes import as_float

# Python floats, which leave float32 as it is.
LN2, LN10 = math.log(2.0), math.log(10.0)

exp = unary(
    np.exp, lambda g, ans, _x: g * ans, example="tensor([0.0, 1.0]) -> tensor([1.      , 2.718282])"
)
"""e to the power x."""

exp2 = unary(
    np.exp2, lambda g, ans, _x: g * (ans * LN2), example="tensor([0.0, 3.0]) -> tensor([1., 8.])"
)
"""2 to the power x."""

expm1 = unary(np.expm1, lambda g, _ans, x: g * np.exp(x), example="tensor([0.0]) -> tensor([0.])")
"""exp(x) - 1, exact near 0."""


_of_positive = unary.sharing(domain=positive)

log = _of_positive(
    np.log,
    lambda g, _ans, x: g / x,
    says="-inf at 0 and NaN below, as in NumPy.",
    example="tensor([1.0]) -> tensor([0.])",
)
"""The natural logarithm, for x > 0; -inf at 0 and nan below, as in NumPy."""

log2 = _of_positive(
    np.log2, lambda g, _ans, x: g / (x * LN2), example="tensor([8.0]) -> tensor([3.])"
)
"""The logarithm to base 2."""

log10 = _of_positive(
    np.log10, lambda g, _ans, x: g / (x * LN10), example="tensor([1.0]) -> tensor([0.])"
)
"""The logarithm to base 10."""

log1p = _of_positive(
    np.log1p, lambda g, _ans, x: g / (1.0 + x), example="tensor([0.0]) -> tensor([0.])"
)
"""log(1 + x), exact near 0, for x > -1."""


def _share(power: Any, scale: float, x: Any, y: Any) -> Any:
    """The part that b^x has in b^x + b^y; none where both are 0."""
    with np.errstate(invalid="ignore"):
        difference = x - y
    if np.all(np.isfinite(difference)):
        return kernels.logistic(difference * scale)
    most = engine.constant(np.maximum(x, y))
    shift, over = np.where(np.isfinite(most), most, 0.0), most == np.inf
    # An infinite power has all of an infinite sum; of two, each has half.
    x, y = (
        np.where(over & (z == np.inf), 0.0, np.where(over & (z < np.inf), -np.inf, z))
        for z in (x, y)
    )
    mine, other = power(x - shift), power(y - shift)
    total = mine + other
    return mine / np.where(total == 0, 1.0, total)


def _log_of_sum(power: Any, numpy: Any, scale: float) -> Any:
    """NumPy's function in several steps, which together take a fifth of its time."""

    def forward(x: Any, y: Any) -> Any:
        if np.result_type(x, y).char not in "fd":
            return numpy(x, y)
        with np.errstate(invalid="ignore", over="ignore"):
            s = np.asarray(np.subtract(x, y))
        if not np.isfinite(s).all():
            return numpy(x, y)
        np.negative(np.abs(s, out=s), out=s)
        np.log1p(power(s, out=s), out=s)
        if scale != 1.0:
            np.multiply(s, 1.0 / scale, out=s)
        return np.add(s, np.maximum(x, y), out=s)

    return forward


logaddexp = binary(
    np.logaddexp,
    lambda g, _ans, x, y: g * _share(np.exp, 1.0, x, y),
    lambda g, _ans, x, y: g * _share(np.exp, 1.0, y, x),
    runs=_log_of_sum(np.exp, np.logaddexp, 1.0),
    example="tensor([1000.0]), 0.0 -> tensor([1000.])",
)
"""log(e^x1 + e^x2) without overflow."""

logaddexp2 = binary(
    np.logaddexp2,
    lambda g, _ans, x, y: g * _share(np.exp2, LN2, x, y),
    lambda g, _ans, x, y: g * _share(np.exp2, LN2, y, x),
    runs=_log_of_sum(np.exp2, np.logaddexp2, LN2),
    example="tensor([3.0]), 3.0 -> tensor([4.])",
)
"""log2(2^x1 + 2^x2) without overflow."""


sqrt = _of_positive(
    np.sqrt,
    lambda g, ans, _x: 0.5 * g / ans,
    says="The derivative at 0 is inf.",
    example="tensor([4.0]) -> tensor([2.])",
)
"""The square root, for x >= 0; its derivative at 0 is inf."""


cbrt = unary(
    np.cbrt,
    lambda g, ans, _x: g / (3.0 * (ans * ans)),
    domain=nonzero,
    says="The derivative at 0 is inf.",
    example="tensor([-8.0]) -> tensor([-2.])",
)
"""The cube root, also of negative numbers; its derivative at 0 is inf."""


square = unary(np.square, lambda g, _ans, x: g * (2.0 * x), example="tensor([3.0]) -> tensor([9.])")
"""x squared."""

reciprocal = unary(
    np.reciprocal,
    lambda g, ans, _x: -g * (ans * ans),
    domain=nonzero,
    example="tensor([2.0]) -> tensor([0.5])",
)
"""1 / x."""


def _power_vjp_x(g: Any, _ans: Any, x: Any, y: Any) -> Any:
    # y x**(y-1), but 0 for y = 0, also at x = 0 where the formula would be 0 * inf. Where x < 0
    # y counts as a constant, here as below.
    flat = y == 0
    y = np.where(x >= 0, y, engine.constant(y))
    return g * np.where(flat, 0.0, y * np.power(x, np.where(flat, 1.0, y - 1.0)))


def _power_vjp_y(g: Any, ans: Any, x: Any, _y: Any) -> Any:
    # ans log(x), and 0 where x <= 0: there only whole y have a value, and no derivative. But for
    # x = 0 and y < 0, where ans is infinite, it is infinite too.
    pole = (x == 0) & np.isinf(ans)
    return g * ans * np.log(np.where(pole, 0.0, np.where(x > 0, x, 1.0)))


@operator(
    vjp=(_power_vjp_x, _power_vjp_y),
    reference=np.power,
    domain=(positive, anywhere),
)
def _power(x: Array, y: Array) -> Array:
    return np.power(x, y)


def _raised(x: Any, exponent: float) -> Any:
    """x**exponent. NumPy takes 60 ns for each negative number to a whole power."""
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or exponent % 1:
        return x**exponent
    size = abs(exponent)
    if size in (3, 4) or exponent == -2:
        base = x if exponent > 0 else 1.0 / x
        square = base * base
        return square if size == 2 else square * (base if size == 3 else square)
    if -2 < exponent < 5:
        return x**exponent  # which NumPy, too, does by one or two operations
    sizes = np.abs(x) ** exponent
    return np.copysign(sizes, x) if exponent % 2 else sizes


@operator(
    vjp=lambda g, _ans, x, exponent: (
        g * (exponent * _raised(x, exponent - 1) if exponent else np.zeros_like(x))
    ),
    domain=nonzero,
    samples=[
        sample((2, 3), exponent=3), sample((4,), exponent=-2), sample((3,), exponent=1),
        sample((3,), exponent=0), sample((), exponent=2.0), sample((0, 2), exponent=2),
        sample((3,), exponent=4), sample((3,), exponent=-3), sample((3,), exponent=7.0),
    ],
    reference=lambda x, exponent: np.power(x, np.array(exponent)),
)  # fmt: skip
def _power_constant(x: Array, exponent: float) -> Array:
    return _raised(x, exponent)


@composite(np.power, arrays=0, domain=(positive, anywhere), samples=PAIRS)
def power(x1: Array, x2: Array) -> Array:
    """x1 to the power x2, elementwise with broadcasting. The derivative of `x1^0` at 0 is 0.

    Where `x1 <= 0` the derivative by x2 is 0, because only whole x2 have a value there (on the
    left); at x1 = 0 with `x2 < 0` it is infinite, as the value is.

    >>> power(tensor([1.0, 2.0]), 3)
    tensor([1., 8.])
    """
    if isinstance(x2, (int, float)):
        return _power_constant(x1, x2)
    return _power(x1, x2)


@composite(np.float_power, arrays=0, domain=(positive, anywhere), samples=PAIRS)
def float_power(x1: Array, x2: Array) -> Array:
    """x1 to the power x2 in floating point, so that negative powers of integers have a value.

    Integers become float64, as in NumPy; floats keep their dtype.

    >>> float_power(tensor([1, 2]), -1)
    tensor([1. , 0.5], dtype=float64)
    """
    if isinstance(x1, (int, float)) and not isinstance(x2, (int, float)):
        return np.power(float(x1), as_float(engine.as_tensor(x2)))  # the dtype is that of y
    return np.power(as_float(engine.as_tensor(x1)), x2)


pow = power
