"""Functions without a derivative: comparisons, logic, rounding, positions. Never tracked."""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, Axis, constant

__all__ = [
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "bitwise_and", "bitwise_or",
    "bitwise_xor",
    "ceil", "equal", "floor", "greater", "greater_equal", "invert", "isclose", "isfinite",
    "isinf", "isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "not_equal", "rint", "round", "signbit", "trunc",
]  # fmt: skip


@constant(np.equal)
def equal(x: Array, y: Array) -> Array:
    """x == y, elementwise."""
    return np.equal(x, y)


@constant(np.not_equal)
def not_equal(x: Array, y: Array) -> Array:
    """x != y, elementwise."""
    return np.not_equal(x, y)


@constant(np.less)
def less(x: Array, y: Array) -> Array:
    """x < y, elementwise."""
    return np.less(x, y)


@constant(np.less_equal)
def less_equal(x: Array, y: Array) -> Array:
    """x <= y, elementwise."""
    return np.less_equal(x, y)


@constant(np.greater)
def greater(x: Array, y: Array) -> Array:
    """x > y, elementwise."""
    return np.greater(x, y)


@constant(np.greater_equal)
def greater_equal(x: Array, y: Array) -> Array:
    """x >= y, elementwise."""
    return np.greater_equal(x, y)


@constant(np.logical_and)
def logical_and(x: Array, y: Array) -> Array:
    """Both true, elementwise."""
    return np.logical_and(x, y)


@constant(np.logical_or)
def logical_or(x: Array, y: Array) -> Array:
    """At least one true, elementwise."""
    return np.logical_or(x, y)


@constant(np.logical_xor)
def logical_xor(x: Array, y: Array) -> Array:
    """Exactly one true, elementwise."""
    return np.logical_xor(x, y)


@constant(np.logical_not)
def logical_not(x: Array) -> Array:
    """Not true, elementwise."""
    return np.logical_not(x)


@constant(np.bitwise_and)
def bitwise_and(x: Array, y: Array) -> Array:
    """x & y of booleans or integers."""
    return np.bitwise_and(x, y)


@constant(np.bitwise_or)
def bitwise_or(x: Array, y: Array) -> Array:
    """x | y of booleans or integers."""
    return np.bitwise_or(x, y)


@constant(np.bitwise_xor)
def bitwise_xor(x: Array, y: Array) -> Array:
    """x ^ y of booleans or integers."""
    return np.bitwise_xor(x, y)


@constant(np.invert)
def invert(x: Array) -> Array:
    """~x of booleans or integers."""
    return np.invert(x)


@constant(np.isfinite)
def isfinite(x: Array) -> Array:
    """Neither NaN nor infinite, elementwise."""
    return np.isfinite(x)


@constant(np.isnan)
def isnan(x: Array) -> Array:
    """Whether NaN, elementwise."""
    return np.isnan(x)


@constant(np.isinf)
def isinf(x: Array) -> Array:
    """Whether infinite, elementwise."""
    return np.isinf(x)


@constant(np.isclose)
def isclose(x: Array, y: Array, rtol: float = 1e-5, atol: float = 1e-8) -> Array:
    """|x - y| <= atol + rtol |y|, elementwise."""
    return np.isclose(x, y, rtol=rtol, atol=atol)


@constant(np.signbit)
def signbit(x: Array) -> Array:
    """Whether the sign is negative, elementwise."""
    return np.signbit(x)


@constant(np.floor)
def floor(x: Array) -> Array:
    """The largest whole number not above x."""
    return np.floor(x)


@constant(np.ceil)
def ceil(x: Array) -> Array:
    """The smallest whole number not below x."""
    return np.ceil(x)


@constant(np.trunc)
def trunc(x: Array) -> Array:
    """x without its fraction."""
    return np.trunc(x)


@constant(np.rint)
def rint(x: Array) -> Array:
    """The nearest whole number, ties to even."""
    return np.rint(x)


@constant((np.round, np.around))
def round(x: Array, decimals: int = 0) -> Array:
    """x rounded to ``decimals`` decimal places."""
    return np.round(x, decimals)


@constant(np.argmax)
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) largest element."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


@constant(np.argmin)
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) smallest element."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


@constant(np.argsort)
def argsort(x: Array, axis: int | None = -1, kind: str | None = None) -> Array:
    """The indices that sort x, stable."""
    return np.argsort(x, axis=axis, kind="stable")


@constant(np.argpartition)
def argpartition(x: Array, kth: Array, axis: int | None = -1) -> Array:
    """The indices that bring the ``kth`` element to its sorted place, smaller ones before it."""
    return np.argpartition(x, kth, axis=axis)


@constant(np.all)
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether all elements are true."""
    return np.all(x, axis=axis, keepdims=keepdims)


@constant(np.any)
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether any element is true."""
    return np.any(x, axis=axis, keepdims=keepdims)
