"""Order: sort, partition, and what is read off it: median, quantile, percentile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite, engine
from minigrad.operators.domain import distinct, sample
from minigrad.operators.indexing import one_line
from minigrad.operators.nan_reductions import with_nan
from minigrad.operators.reductions import AXES, along_last, axes_of
from minigrad.operators.rows import over_axes, quantiles
from minigrad.operators.shapes import as_float


@composite(
    np.sort,
    domain=distinct,
    samples=[sample((5,)), sample((2, 3), axis=0), sample((2, 3), axis=None), sample((0, 2))],
)
def sort(a: Array, axis: int | None = -1) -> Array:
    """The elements along ``axis`` from small to large, NaN last; flattened first when None.

    Each gradient goes back to where its element came from; equal elements keep their order.

    >>> sort(tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    a, axis = one_line(a, axis)
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind="stable"), axis)


@composite(
    np.partition,
    domain=distinct,
    samples=[sample((5,), kth=2), sample((2, 3), kth=0, axis=0), sample((0, 2), kth=1)],
)
def partition(a: Array, kth: Any, axis: int | None = -1) -> Array:
    """The elements along ``axis`` with the ``kth`` in its sorted place, smaller ones before it.

    >>> partition(tensor([3.0, 1.0, 2.0]), 0)[0]
    tensor(1.)
    """
    a, axis = one_line(a, axis)
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis), axis)


#: alpha and beta of the continuous methods (Hyndman and Fan, 1996).
METHODS = {
    "linear": (1.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "interpolated_inverted_cdf": (0.0, 1.0), "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
#: Those that take one element, or the middle of two.
ROUNDED: dict[str, Any] = {
    "lower": np.floor, "higher": np.ceil, "nearest": np.rint,
    "midpoint": lambda place: 0.5 * (np.floor(place) + np.ceil(place)),
}  # fmt: skip


def _place(q: Any, n: Any, method: str) -> tuple[Any, Any, Any]:
    """Which sorted elements to take for quantile q of n, and the weight of the second."""
    if method in METHODS:
        alpha, beta = METHODS[method]
        place = n * q + (alpha + q * (1.0 - alpha - beta)) - 1.0
    elif method in ROUNDED:
        place = ROUNDED[method](q * (n - 1.0))
    else:
        known = ", ".join(map(repr, (*METHODS, *ROUNDED)))
        raise ValueError(f"unknown method {method!r}; expected {known}")
    place = np.clip(place, 0.0, n - 1.0)
    low = np.floor(place)
    high = np.minimum(low + 1.0, n - 1.0)
    return low.astype(np.intp), high.astype(np.intp), place - low


def _in_order(rows: Any, places: Any) -> Any:
    """Where the elements are that sorting would put at these places of each row.

    To partition takes a tenth of the time of sorting. It does not keep equal elements in order, so
    rows where one of them is at its place are sorted, as are those with NaN.
    """
    kth = np.unique(places)
    if kth.size > MOST_PLACES or not places.shape[-1]:
        return np.take_along_axis(np.argsort(rows, axis=-1, kind="stable"), places, -1)
    values = np.take_along_axis(np.partition(rows, kth, axis=-1), places, -1)
    chosen = np.empty(places.shape, np.intp)
    sort = np.zeros(rows.shape[:-1], bool)
    for i in range(places.shape[-1]):
        equal = rows == values[..., i : i + 1]
        chosen[..., i] = equal.argmax(axis=-1)
        sort |= np.count_nonzero(equal, axis=-1) != 1
    if sort.any():
        order = np.argsort(rows[sort], axis=-1, kind="stable")
        chosen[sort] = np.take_along_axis(order, places[sort], -1)
    return chosen


#: So many places of sorted rows are found without sorting them.
MOST_PLACES = 4


def _quantile(x: Any, q: Any, axis: Axis, method: str, keepdims: bool, n: Any = None) -> Any:
    """Quantiles of each sorted row, or of its first n elements; NaN where n is 0."""
    q = np.asarray(engine.constant(q), dtype=np.float64)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError("quantiles must be in the range [0, 1]")
    whole = method in ("lower", "higher", "nearest")
    if x.dtype.kind == "b" and not whole:
        raise TypeError(f"a must hold numbers to go between, got {x.dtype}")
    rows = along_last(x if whole else as_float(x), axis)[0]
    wide = q.reshape(q.shape + (1,) * (rows.ndim - 1))
    low, high, weight = _place(wide, float(rows.shape[-1]) if n is None else n, method)
    if rows.shape[-1] == 0:
        raise ValueError("expected at least one element")

    def at(places: Any) -> Any:
        # One row of places for each row of x, then the axes of q in front.
        flat = np.broadcast_to(places, q.shape + rows.shape[:-1]).reshape(q.size, *rows.shape[:-1])
        plain = np.ascontiguousarray(engine.constant(rows))
        chosen = _in_order(plain, np.moveaxis(flat, 0, -1))
        found = np.take_along_axis(rows, chosen, -1)
        return np.reshape(np.moveaxis(found, -1, 0), q.shape + rows.shape[:-1])

    found = at(low)
    if not whole:
        weight = np.broadcast_to(weight, found.shape).astype(rows.dtype)
        # Of weight 0, only the one below: between infinities the difference would be NaN.
        found = np.where(weight == 0, found, found + (at(high) - found) * weight)
    reduced = tuple([q.ndim + a for a in axes_of(axis, x.ndim)])
    return np.expand_dims(found, reduced) if keepdims else found


QUANTILES = [
    sample((5,), q=0.3), sample((2, 3), q=0.5), sample((2, 3), q=[0.0, 0.25, 1.0], axis=1),
    sample((2, 3, 4), q=0.7, axis=(0, 2), keepdims=True), sample((0, 3), q=0.5, axis=1),
    sample((4, 2), q=[[0.1], [0.9]], axis=0, keepdims=True), sample((), q=0.5),
]  # fmt: skip


@composite(
    np.quantile,
    numbers="real",
    domain=distinct,
    samples=[*QUANTILES, *[sample((2, 5), q=0.37, axis=1, method=m) for m in (*METHODS, *ROUNDED)]],
)
def quantile(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """The value below which a part ``q`` (in [0, 1]) of the elements over the axes lies.

    The axes of ``q`` come first in the result. ``method``: how to go between two elements, as
    in np.quantile; those that jump ("inverted_cdf", ...) are not offered. Constant in q.
    Raises ValueError for q outside [0, 1], another method and for no elements.

    >>> quantile(tensor([1.0, 2.0, 4.0]), 0.25)
    tensor(1.5)
    """
    found = _quantile(a, q, axis, method, keepdims)
    missing = np.any(np.isnan(a), axis=axis, keepdims=keepdims)
    return np.where(missing, math.nan, found) if np.any(missing) else found


@composite(np.nanquantile, numbers="real", domain=with_nan, samples=QUANTILES)
def nanquantile(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """:func:`minigrad.quantile` with NaN left out; of nothing, NaN.

    >>> nanquantile(tensor([1.0, float("nan"), 4.0]), 0.5)
    tensor(2.5)
    """
    numbers = engine.constant(along_last(~np.isnan(a), axis)[0])
    n = np.count_nonzero(numbers, axis=-1).astype(np.float64)
    return _quantile(a, q, axis, method, keepdims, n)


PERCENTILES = [
    sample((5,), q=30),
    sample((2, 3), q=[10, 75.5], axis=1),
    sample((0, 3), q=1, axis=1),
]
_percentile = quantiles.sharing(arrays=1, numbers="real", samples=PERCENTILES)
_median = over_axes.sharing(numbers="real", samples=[*AXES, sample((4, 3), axis=0)])


def _in_percent(quantile_of: Any) -> Any:
    def forward(a: Any, q: Any, **settings: Any) -> Any:
        return quantile_of(a, np.asarray(engine.constant(q), dtype=np.float64) / 100.0, **settings)

    return forward


def _at_half(quantile_of: Any) -> Any:
    return lambda a, **settings: quantile_of(as_float(a), 0.5, **settings)


percentile = _percentile.composite(
    np.percentile,
    _in_percent(quantile),
    "tensor([1.0, 2.0, 4.0]), 25 -> tensor(1.5)",
    domain=distinct,
    says="As :func:`minigrad.quantile`, with ``q`` in percent.",
)
""":func:`minigrad.quantile` with ``q`` in percent."""

nanpercentile = _percentile.composite(
    np.nanpercentile,
    _in_percent(nanquantile),
    "tensor([1.0, np.nan, 4.0]), 50 -> tensor(2.5)",
    domain=with_nan,
    says="As :func:`minigrad.nanquantile`, with ``q`` in percent.",
)
""":func:`minigrad.nanquantile` with ``q`` in percent."""

median = _median.composite(
    np.median,
    _at_half(quantile),
    "tensor([5.0, 1.0, 2.0]) -> tensor(2.)",
    domain=distinct,
    says="Of an even number, the mean of the two in the middle.",
)
"""The middle element over the axes; of an even number, the mean of the two in the middle."""

nanmedian = _median.composite(
    np.nanmedian,
    _at_half(nanquantile),
    "tensor([1.0, np.nan, 4.0]) -> tensor(2.5)",
    domain=with_nan,
    says="Of nothing, NaN.",
)
"""The median over the axes, NaN left out; of nothing, NaN."""
