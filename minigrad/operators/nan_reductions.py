"""Reductions that leave NaN out, as if it were not there; it gets gradient 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite
from minigrad.operators.domain import Domain, sample
from minigrad.operators.reductions import AXES
from minigrad.operators.shapes import as_float

__all__ = [
    "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar",
]  # fmt: skip


def _with_nan(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Distinct values away from 0, the last of every row of four or so missing."""
    drawn = Domain("distinct_nonzero", distinct=True, avoid=(0.0,)).draw(rng, shape)
    hidden = np.arange(drawn.size).reshape(shape) % 4 == 2
    return np.where(hidden, np.nan, drawn)


with_nan = Domain("with_nan", build=_with_nan)


def _filled(x: Any, value: float) -> Any:
    """x with another value in place of NaN; whole numbers have none and stay as they are."""
    return np.where(np.isnan(x), value, x) if x.dtype.kind == "f" else x


RUNNING = [sample((2, 3)), sample((2, 3), axis=1), sample((0, 3), axis=0)]


@composite(
    np.nansum,
    domain=with_nan,
    samples=AXES,
    wide=True,
    numbers="real",
)
def nansum(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over the axes without NaN; of nothing, 0.

    >>> nansum(tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    return np.sum(_filled(a, 0.0), axis=axis, keepdims=keepdims)


@composite(
    np.nanprod,
    domain=with_nan,
    samples=AXES,
    wide=True,
    numbers="real",
)
def nanprod(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The product over the axes without NaN; of nothing, 1.

    >>> nanprod(tensor([3.0, float("nan"), 2.0]))
    tensor(6.)
    """
    return np.prod(_filled(a, 1.0), axis=axis, keepdims=keepdims)


def _count(x: Any, axis: Axis, keepdims: bool) -> Any:
    """How many numbers there are, in x's dtype so that it divides without widening."""
    return np.sum((~np.isnan(x)).astype(as_float(x).dtype), axis=axis, keepdims=keepdims)


@composite(
    np.nanmean,
    domain=with_nan,
    samples=AXES,
    wide=True,
    numbers="real",
)
def nanmean(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over the axes without NaN; of nothing, NaN.

    >>> nanmean(tensor([1.0, float("nan"), 2.0]))
    tensor(1.5)
    """
    if a.dtype.kind != "f":
        return np.mean(a, axis=axis, keepdims=keepdims)
    return nansum(a, axis, keepdims) / _count(a, axis, keepdims)


@composite(
    np.nanvar,
    domain=with_nan,
    samples=AXES,
    wide=True,
    numbers="real",
)
def nanvar(a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    """The variance over the axes without NaN, as in :func:`minigrad.var`.

    >>> nanvar(tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    if a.dtype.kind != "f":
        return np.var(a, axis=axis, ddof=ddof, keepdims=keepdims)
    mean = nanmean(a, axis, True)
    squares = np.square(np.where(np.isnan(a), mean, a) - mean)
    n = _count(a, axis, keepdims) - ddof
    return np.sum(squares, axis=axis, keepdims=keepdims) / np.where(n > 0, n, float("nan"))


@composite(
    np.nanstd,
    domain=with_nan,
    samples=[*AXES[1:5], AXES[-1]],
    wide=True,
    numbers="real",
)
def nanstd(a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    """The standard deviation over the axes without NaN; of a constant the gradient is 0.

    >>> nanstd(tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    variance = nanvar(a, axis, ddof, keepdims)
    flat = variance == 0
    return np.where(flat, 0.0, np.sqrt(np.where(flat, 1.0, variance)))


def _or_nan(found: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """What was found, but NaN where there was nothing but NaN."""
    if x.dtype.kind != "f":
        return found
    return np.where(np.all(np.isnan(x), axis=axis, keepdims=keepdims), float("nan"), found)


@composite(np.nanmax, domain=with_nan, numbers="real", samples=AXES)
def nanmax(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest number over the axes, NaN left out; equal ones share the gradient evenly.

    >>> nanmax(tensor([1.0, float("nan"), 3.0]))
    tensor(3.)
    """
    found = np.max(_filled(a, -float("inf")), axis=axis, keepdims=keepdims)
    return _or_nan(found, a, axis, keepdims)


@composite(np.nanmin, domain=with_nan, numbers="real", samples=AXES)
def nanmin(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest number over the axes, NaN left out; equal ones share the gradient evenly.

    >>> nanmin(tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    found = np.min(_filled(a, float("inf")), axis=axis, keepdims=keepdims)
    return _or_nan(found, a, axis, keepdims)


@composite(np.nancumsum, domain=with_nan, numbers="real", samples=RUNNING)
def nancumsum(a: Array, axis: int | None = None) -> Array:
    """Running sums with NaN counted as 0.

    >>> nancumsum(tensor([1.0, float("nan"), 3.0]))
    tensor([1., 1., 4.])
    """
    return np.cumsum(_filled(a, 0.0), axis=axis)


@composite(np.nancumprod, domain=with_nan, numbers="real", samples=RUNNING)
def nancumprod(a: Array, axis: int | None = None) -> Array:
    """Running products with NaN counted as 1.

    >>> nancumprod(tensor([2.0, float("nan"), 3.0]))
    tensor([2., 2., 6.])
    """
    return np.cumprod(_filled(a, 1.0), axis=axis)
