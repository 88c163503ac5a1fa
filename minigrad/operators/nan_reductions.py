"""Reductions that leave NaN out, as if it were not there; it gets gradient 0.

Most put a neutral element in its place and run the ordinary reduction, whose rule serves both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite
from minigrad.operators.domain import Domain, sample
from minigrad.operators.reductions import AXES
from minigrad.operators.rows import along_axis, over_axes, over_axis
from minigrad.operators.shapes import as_float


def _with_nan(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Distinct values away from 0, the last of every row of four or so missing."""
    drawn = Domain("distinct_nonzero", distinct=True, avoid=(0.0,)).draw(rng, shape)
    hidden = np.arange(drawn.size).reshape(shape) % 4 == 2
    return np.where(hidden, np.nan, drawn)


with_nan = Domain("with_nan", build=_with_nan)


def _filled(x: Any, value: float) -> Any:
    """x with another value in place of NaN; whole numbers have none and stay as they are."""
    return np.where(np.isnan(x), value, x) if x.dtype.kind == "f" else x


def _with(reduce: Any, neutral: float) -> Any:
    """The reduction with this number in place of NaN, so that it changes nothing."""

    def forward(a: Any, **axis: Any) -> Any:
        return reduce(_filled(a, neutral), **axis)

    return forward


#: What every row has in common.
NUMBERS: dict[str, Any] = {"domain": with_nan, "numbers": "real"}
_reduction = over_axes.sharing(**NUMBERS, samples=AXES, wide=True)
_running = along_axis.sharing(
    **NUMBERS, samples=[sample((2, 3)), sample((2, 3), axis=1), sample((0, 3), axis=0)]
)

nansum = _reduction.composite(
    np.nansum, _with(np.sum, 0.0), "tensor([1.0, np.nan, 2.0]) -> tensor(3.)"
)
"""The sum over the axes without NaN; of nothing, 0."""

nanprod = _reduction.composite(
    np.nanprod, _with(np.prod, 1.0), "tensor([3.0, np.nan, 2.0]) -> tensor(6.)"
)
"""The product over the axes without NaN; of nothing, 1."""


def _count(x: Any, axis: Axis, keepdims: bool) -> Any:
    """How many numbers there are, in x's dtype so that it divides without widening."""
    return np.sum((~np.isnan(x)).astype(as_float(x).dtype), axis=axis, keepdims=keepdims)


@composite(np.nanmean, **NUMBERS, samples=AXES, wide=True)
def nanmean(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over the axes without NaN; of nothing, NaN.

    >>> nanmean(tensor([1.0, float("nan"), 2.0]))
    tensor(1.5)
    """
    if a.dtype.kind != "f":
        return np.mean(a, axis=axis, keepdims=keepdims)
    return nansum(a, axis, keepdims) / _count(a, axis, keepdims)


@composite(np.nanvar, **NUMBERS, samples=AXES, wide=True)
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


@composite(np.nanstd, **NUMBERS, samples=[*AXES[1:5], AXES[-1]], wide=True)
def nanstd(a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    """The standard deviation over the axes without NaN; of a constant the gradient is 0.

    >>> nanstd(tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    variance = nanvar(a, axis, ddof, keepdims)
    flat = variance == 0
    return np.where(flat, 0.0, np.sqrt(np.where(flat, 1.0, variance)))


def _extreme(reduce: Any, neutral: float) -> Any:
    """The reduction without NaN; NaN where there is nothing else."""
    without = _with(reduce, neutral)

    def forward(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
        found = without(a, axis=axis, keepdims=keepdims)
        if a.dtype.kind != "f":
            return found
        return np.where(np.all(np.isnan(a), axis=axis, keepdims=keepdims), float("nan"), found)

    return forward


_extremes = over_axes.sharing(
    **NUMBERS, samples=AXES, says="Equal ones share the gradient evenly; of nothing, NaN."
)

nanmax = _extremes.composite(
    np.nanmax, _extreme(np.max, -math.inf), "tensor([1.0, np.nan, 3.0]) -> tensor(3.)"
)
"""The largest number over the axes, NaN left out; equal ones share the gradient evenly."""

nanmin = _extremes.composite(
    np.nanmin, _extreme(np.min, math.inf), "tensor([1.0, np.nan, 3.0]) -> tensor(1.)"
)
"""The smallest number over the axes, NaN left out; equal ones share the gradient evenly."""

nancumsum = _running.composite(
    np.nancumsum, _with(np.cumsum, 0.0), "tensor([1.0, np.nan, 3.0]) -> tensor([1., 1., 4.])"
)
"""Running sums with NaN counted as 0."""

nancumprod = _running.composite(
    np.nancumprod, _with(np.cumprod, 1.0), "tensor([2.0, np.nan, 3.0]) -> tensor([2., 2., 6.])"
)
"""Running products with NaN counted as 1."""

nanargmax = over_axis.constant(np.nanargmax, "tensor([1.0, np.nan, 3.0]) -> tensor(2)")
"""The index of the (first) largest number, NaN left out."""
nanargmin = over_axis.constant(np.nanargmin, "tensor([np.nan, 1.0, 3.0]) -> tensor(1)")
"""The index of the (first) smallest number, NaN left out."""
