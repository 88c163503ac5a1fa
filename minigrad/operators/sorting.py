"""Order: sort, partition, and what is read off it: median, quantile, percentile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite, engine
from minigrad.operators.domain import distinct, sample
from minigrad.operators.nan_reductions import with_nan
from minigrad.operators.reductions import AXES, axes_of
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
    if axis is None:
        a, axis = np.ravel(a), -1
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
    if axis is None:
        a, axis = np.ravel(a), -1
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis), axis)


def _rows(x: Any, axis: Axis) -> Any:
    """x with the axes to reduce joined into the last one."""
    last = axes_of(axis, x.ndim)
    kept = [a for a in range(x.ndim) if a not in last]
    shape = (*[x.shape[a] for a in kept], _length(x, axis))
    return np.reshape(np.transpose(x, [*kept, *last]), shape)


def _kept(found: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """``found``, whose last axes are x's that remain, with the reduced ones back at length 1."""
    if not keepdims:
        return found
    last = axes_of(axis, x.ndim)
    ones = tuple(1 if a in last else n for a, n in enumerate(x.shape))
    return np.reshape(found, found.shape[: found.ndim - x.ndim + len(last)] + ones)


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
    place = np.clip(place, 0.0, np.maximum(n - 1.0, 0.0))
    low = np.floor(place)
    high = np.minimum(low + 1.0, np.maximum(n - 1.0, 0.0))
    weight = place - low
    return low.astype(np.intp), high.astype(np.intp), weight


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


def _quantile(x: Any, q: Any, n: Any, axis: Axis, method: str, keepdims: bool) -> Any:
    """Quantiles of the first n elements of each sorted row; NaN where n is 0."""
    q = np.asarray(engine.constant(q), dtype=np.float64)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError("quantiles must be in the range [0, 1]")
    whole = method in ("lower", "higher", "nearest")
    if x.dtype.kind == "b" and not whole:
        raise TypeError(f"a must hold numbers to go between, got {x.dtype}")
    rows = _rows(x if whole else as_float(x), axis)
    wide = q.reshape(q.shape + (1,) * (rows.ndim - 1))
    low, high, weight = _place(wide, n, method)
    if rows.shape[-1] == 0:
        raise ValueError("expected at least one element")

    def at(places: Any) -> Any:
        # One row of places for each row of x, then the axes of q in front.
        flat = np.broadcast_to(places, q.shape + rows.shape[:-1]).reshape(q.size, *rows.shape[:-1])
        plain = np.ascontiguousarray(engine.constant(rows))
        chosen = _in_order(plain, np.moveaxis(flat, 0, -1))
        found = np.take_along_axis(rows, chosen, -1)
        return np.reshape(np.moveaxis(found, -1, 0), q.shape + rows.shape[:-1])

    if whole:
        return _kept(at(low), x, axis, keepdims)
    below, above = at(low), at(high)
    weight = np.broadcast_to(weight, below.shape).astype(rows.dtype)
    # Of weight 0, only the one below: between infinities the difference would be NaN.
    found = np.where(weight == 0, below, below + (above - below) * weight)
    return _kept(found, x, axis, keepdims)


QUANTILES = [
    sample((5,), q=0.3), sample((2, 3), q=0.5), sample((2, 3), q=[0.0, 0.25, 1.0], axis=1),
    sample((2, 3, 4), q=0.7, axis=(0, 2), keepdims=True), sample((0, 3), q=0.5, axis=1),
    sample((4, 2), q=[[0.1], [0.9]], axis=0, keepdims=True), sample((), q=0.5),
]  # fmt: skip


def _known(x: Any, axis: Axis, keepdims: bool, found: Any) -> Any:
    """What was found, but NaN for rows that hold a NaN, as in NumPy."""
    missing = np.any(np.isnan(x), axis=axis, keepdims=keepdims)
    return np.where(missing, float("nan"), found) if np.any(missing) else found


def _length(x: Any, axis: Axis) -> int:
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim))


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
    found = _quantile(a, q, float(_length(a, axis)), axis, method, keepdims)
    return _known(a, axis, keepdims, found)


def _hundredths(q: Any) -> Any:
    return np.asarray(engine.constant(q), dtype=np.float64) / 100.0


PERCENTILES = [
    sample((5,), q=30),
    sample((2, 3), q=[10, 75.5], axis=1),
    sample((0, 3), q=1, axis=1),
]


@composite(np.percentile, numbers="real", domain=distinct, samples=PERCENTILES)
def percentile(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """:func:`minigrad.quantile` with ``q`` in percent.

    >>> percentile(tensor([1.0, 2.0, 4.0]), 25)
    tensor(1.5)
    """
    return quantile(a, _hundredths(q), axis, method, keepdims)


@composite(
    np.median,
    numbers="real",
    domain=distinct,
    samples=[*AXES, sample((4, 3), axis=0), sample((2, 2))],
)
def median(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The middle element over the axes; of an even number, the mean of the two in the middle.

    >>> median(tensor([5.0, 1.0, 2.0]))
    tensor(2.)
    """
    return quantile(as_float(a), 0.5, axis, "linear", keepdims)


@composite(np.nanquantile, numbers="real", domain=with_nan, samples=QUANTILES)
def nanquantile(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """:func:`minigrad.quantile` with NaN left out; of nothing, NaN.

    >>> nanquantile(tensor([1.0, float("nan"), 4.0]), 0.5)
    tensor(2.5)
    """
    numbers = engine.constant(_rows(~np.isnan(a), axis))
    n = np.count_nonzero(numbers, axis=-1).astype(np.float64)
    return _quantile(a, q, n, axis, method, keepdims)


@composite(np.nanpercentile, numbers="real", domain=with_nan, samples=PERCENTILES)
def nanpercentile(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """:func:`minigrad.nanquantile` with ``q`` in percent.

    >>> nanpercentile(tensor([1.0, float("nan"), 4.0]), 50)
    tensor(2.5)
    """
    return nanquantile(a, _hundredths(q), axis, method, keepdims)


@composite(np.nanmedian, numbers="real", domain=with_nan, samples=[*AXES, sample((4, 3), axis=0)])
def nanmedian(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The median over the axes, NaN left out; of nothing, NaN.

    >>> nanmedian(tensor([1.0, float("nan"), 4.0]))
    tensor(2.5)
    """
    return nanquantile(as_float(a), 0.5, axis, "linear", keepdims)
