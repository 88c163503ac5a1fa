"""Reductions that leave NaN out, as if it were not there; it gets gradient 0.

Most put a neutral element in its place and run the ordinary reduction, whose rule serves both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Axis
from minigrad.operators.domain import Domain, distinct_nonzero, sample
from minigrad.operators.reductions import (
    AXES,
    deviation_of_chosen,
    mean_of_chosen,
    variance_of_chosen,
)
from minigrad.operators.rows import along_axis, over_axes, over_axis, spread_over_axes


def _with_nan(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Distinct values away from 0, the last of every row of four or so missing."""
    hidden = np.arange(math.prod(shape)).reshape(shape) % 4 == 2
    return np.where(hidden, np.nan, distinct_nonzero.draw(rng, shape))


with_nan = Domain("with_nan", build=_with_nan)


def _with(reduce: Any, neutral: float) -> Any:
    """The reduction with this number in place of NaN, so that it changes nothing."""

    def forward(a: Any, **axis: Any) -> Any:
        # Whole numbers have no NaN and stay as they are.
        return reduce(np.where(np.isnan(a), neutral, a) if a.dtype.kind == "f" else a, **axis)

    return forward


def _of_numbers(reduce: Any, of_chosen: Any) -> Any:
    """The reduction of the elements that are not NaN; ``of_chosen`` as for ``where=``."""

    def forward(a: Any, **settings: Any) -> Any:
        if a.dtype.kind != "f":
            return reduce(a, **settings)
        missing = np.isnan(a)
        with np.errstate(invalid="ignore", divide="ignore"):  # of nothing, NaN
            return of_chosen(np.where(missing, 0.0, a), ~missing, **settings)

    return forward


def _or_nan(forward: Any) -> Any:
    """NaN where there are no numbers, or not more than ``ddof``."""

    def checked(a: Any, *, axis: Axis = None, keepdims: bool = False, **ddof: float) -> Any:
        found = forward(a, axis=axis, keepdims=keepdims, **ddof)
        if a.dtype.kind != "f":
            return found
        n = np.sum(~np.isnan(a), axis=axis, keepdims=keepdims)
        return np.where(n > ddof.get("ddof", 0), found, math.nan)

    return checked


#: What every row has in common.
NUMBERS: dict[str, Any] = {"domain": with_nan, "numbers": "real"}
_reduction = over_axes.sharing(**NUMBERS, samples=AXES, wide=True)
_spread = spread_over_axes.sharing(**NUMBERS, wide=True)
_extremes = over_axes.sharing(
    **NUMBERS, samples=AXES, says="Equal ones share the gradient evenly; of nothing, NaN."
)
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

nanmean = _reduction.composite(
    np.nanmean, _of_numbers(np.mean, mean_of_chosen), "tensor([1.0, np.nan, 2.0]) -> tensor(1.5)"
)
"""The mean over the axes without NaN; of nothing, NaN."""

nanvar = _spread.composite(
    np.nanvar,
    _or_nan(_of_numbers(np.var, variance_of_chosen)),
    "tensor([1.0, np.nan, 3.0]) -> tensor(1.)",
    samples=AXES,
    says="Divided by n - ddof; as :func:`minigrad.var`.",
)
"""The variance over the axes without NaN, as in :func:`minigrad.var`."""

nanstd = _spread.composite(
    np.nanstd,
    _or_nan(_of_numbers(np.std, deviation_of_chosen)),
    "tensor([1.0, np.nan, 3.0]) -> tensor(1.)",
    samples=[*AXES[1:5], AXES[-1]],
    says="Of a constant the gradient is 0.",
)
"""The standard deviation over the axes without NaN; of a constant the gradient is 0."""

nanmax = _extremes.composite(
    np.nanmax, _or_nan(_with(np.max, -math.inf)), "tensor([1.0, np.nan, 3.0]) -> tensor(3.)"
)
"""The largest number over the axes, NaN left out; equal ones share the gradient evenly."""

nanmin = _extremes.composite(
    np.nanmin, _or_nan(_with(np.min, math.inf)), "tensor([1.0, np.nan, 3.0]) -> tensor(1.)"
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
