"""Operators that take several elements to one: sums, extremes, products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.arithmetic import divide_or_zero
from minigrad.operators.declare import Array, Axis, composite, engine, operator, weak
from minigrad.operators.domain import anywhere, distinct, nonzero, sample
from minigrad.operators.rows import accumulation, over_axes_from, spread

AXES = [
    sample(()), sample((2, 3)), sample((2, 3), axis=0), sample((2, 3), axis=-1, keepdims=True),
    sample((2, 3, 4), axis=(0, 2)), sample((2, 1, 3), axis=(-1, 0), keepdims=True),
    sample((0, 2), axis=1),
]  # fmt: skip
EMPTY = [sample((0, 2)), sample((0, 2), axis=0), sample((2, 0), axis=0, keepdims=True)]


def expand_reduced(g: Any, axis: Axis, keepdims: bool) -> Any:
    """g with the reduced axes at length 1 again, so that it broadcasts against the input."""
    return g if keepdims or axis is None or not g.ndim else np.expand_dims(g, axis)


def _count(x: Any, ans: Any) -> float:
    """How many elements went into each result."""
    return float(x.size) / ans.size if ans.size else 1.0


def _per_element(x: Any, ans: Any, ddof: float) -> float:
    """1 / (n - ddof), and NaN, as NumPy's variance, where nothing is left to divide by."""
    n = _count(x, ans) - ddof
    return 1.0 / n if n > 0 else math.nan


# -- dtype=, where= and initial=, as NumPy defines them --------------------------------------------


def _converted(a: Any, dtype: Any) -> Any:
    a = engine.as_tensor(a)
    return a if dtype is None else a.astype(dtype)


def _chosen(a: Any, where: Any, fill: Any) -> tuple[Any, Any]:
    """The array with ``fill`` where the condition does not hold, and the condition in full."""
    mask = np.asarray(engine.constant(where))
    if mask.dtype != np.bool_:
        raise TypeError(f"where must hold booleans, got {mask.dtype}")
    mask = np.broadcast_to(mask, a.shape)
    return np.where(mask, a, engine.as_tensor(fill).astype(a.dtype)), mask


def _first(a: Any, initial: Any, dtype: Any) -> Any:
    """What a reduction of ``a`` starts from, in this dtype."""
    return engine.as_tensor(weak(initial, [a.dtype])).astype(dtype)


def _accumulation(neutral: int, combine: Any) -> Any:
    """A sum or a product over chosen elements that starts from ``initial``."""

    def reduced(
        reduce: Any, a: Any, axis: Axis = None, keepdims: bool = False, *,
        dtype: Any = None, initial: Any = None, where: Any = True,
    ) -> Any:  # fmt: skip
        a = _converted(a, dtype)
        if where is not True:
            a, _ = _chosen(a, where, neutral)
        ans = reduce(a, axis, keepdims)
        ans = ans if dtype is None else ans.astype(dtype)
        return ans if initial is None else combine(ans, _first(ans, initial, ans.dtype))

    return reduced


def _extreme_of_chosen(combine: Any) -> Any:
    """A maximum or a minimum over chosen elements and ``initial``."""

    def reduced(
        reduce: Any, a: Any, axis: Axis = None, keepdims: bool = False, *,
        initial: Any = None, where: Any = True,
    ) -> Any:  # fmt: skip
        a = _converted(a, None)
        if initial is None:
            if where is True:
                return reduce(a, axis, keepdims)
            raise ValueError("where= needs initial=, which stands where there is nothing")
        first = _first(a, initial, np.result_type(a.dtype, engine.constant(initial)))
        if where is not True:
            a, _ = _chosen(a, where, first)
        if not a.size:
            shape = np.sum(np.zeros(a.shape), axis=axis, keepdims=keepdims).shape
            return np.broadcast_to(first, shape)
        return combine(reduce(a, axis, keepdims), first)

    return reduced


def _of_chosen_floats(of_chosen: Any) -> Any:
    """A mean or what is made of it: ``of_chosen(a, mask, ...)`` where there is a condition."""

    def reduced(
        reduce: Any, a: Any, *args: Any, dtype: Any = None, where: Any = True, **settings: Any
    ) -> Any:
        a = _converted(a, dtype)
        if where is True:
            return reduce(a, *args, **settings)
        a = a.astype(np.result_type(a.dtype, np.float64)) if a.dtype.kind in "iub" else a
        with np.errstate(invalid="ignore", divide="ignore"):  # of nothing, NaN
            return of_chosen(*_chosen(a, where, 0), *args, **settings)

    return reduced


def mean_of_chosen(a: Any, mask: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean of the elements under the mask; the others are 0."""
    count = np.sum(mask, axis=axis, keepdims=keepdims)
    return np.sum(a, axis=axis, keepdims=keepdims) / count.astype(a.dtype)


def variance_of_chosen(
    a: Any, mask: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False
) -> Any:
    """The variance of the elements under the mask; the others are 0."""
    squares = np.where(mask, np.square(a - mean_of_chosen(a, mask, axis, True)), 0.0)
    count = np.maximum(np.sum(mask, axis=axis, keepdims=keepdims) - ddof, 0)
    return np.sum(squares, axis=axis, keepdims=keepdims) / count.astype(a.dtype)


def deviation_of_chosen(*args: Any, **settings: Any) -> Any:
    """The root of ``variance_of_chosen``."""
    variance = variance_of_chosen(*args, **settings)
    constant = variance == 0  # whose gradient is 0, as that of std
    return np.where(constant, 0.0, np.sqrt(np.where(constant, 1.0, variance)))


# -- sums and means --------------------------------------------------------------------------------


@operator(
    np.sum,
    rarely=_accumulation(0, np.add),
    vjp=lambda g, _ans, _x, axis=None, keepdims=False: np.broadcast_to(
        expand_reduced(g, axis, keepdims), _x.shape
    ),
    samples=AXES + EMPTY,
)
def sum(
    a: Array,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dtype: Any = None,
    initial: Any = None,
    where: Any = True,
) -> Array:
    """The sum over the axes; over all of them when ``axis`` is None.

    It starts from ``initial`` and takes the elements where ``where``, a mask that broadcasts to
    ``a``, holds; ``dtype`` converts them first. So in the other reductions.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    >>> sum(tensor([1.0, 2.0, 3.0]), where=np.array([True, False, True]), initial=10.0)
    tensor(14.)
    """
    return kernels.total(a, axis, keepdims)


@operator(
    np.mean,
    rarely=_of_chosen_floats(mean_of_chosen),
    vjp=lambda g, _ans, _x, axis=None, keepdims=False: np.broadcast_to(
        expand_reduced(g / _count(_x, _ans), axis, keepdims), _x.shape
    ),
    samples=AXES,
    wide=True,
)
def mean(
    a: Array,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dtype: Any = None,
    where: Any = True,
) -> Array:
    """The arithmetic mean over the axes.

    >>> mean(tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    return kernels.mean(a, axis, keepdims)


def _centred(x: Any, axis: Axis) -> Any:
    return x - kernels.mean(x, axis, keepdims=True)


def _variance(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance, in two passes; of float32 with sums that do not drift, else by NumPy."""
    if x.dtype.char in "ef" and x.size:
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        squares = kernels.total(np.square(_centred(wide, axis)), axis, keepdims)
        if (n := x.size // squares.size - ddof) > 0:
            return (squares / float(n)).astype(x.dtype, copy=False)
    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


var = spread(
    np.var,
    lambda g, _ans, x, axis=None, ddof=0, keepdims=False: (
        expand_reduced(g * (2.0 * _per_element(x, _ans, ddof)), axis, keepdims) * _centred(x, axis)
    ),
    runs=_variance,
    rarely=_of_chosen_floats(variance_of_chosen),
    samples=[*AXES, sample((4, 3), axis=0, ddof=1)],
    wide=True,
    says="`mean((a - mean(a))**2)`, divided by n - ddof instead of n.",
    example="tensor([1.0, 3.0]) -> tensor(1.)",
)
"""The variance, `mean((a - mean(a))**2)`, divided by n - ddof instead of n."""


def _std_vjp(
    g: Any, ans: Any, x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False
) -> Any:
    slope = divide_or_zero(g, ans) * _per_element(x, ans, ddof)
    return expand_reduced(slope, axis, keepdims) * _centred(x, axis)


std = spread(
    np.std,
    _std_vjp,
    runs=lambda x, **settings: np.sqrt(_variance(x, **settings)),
    rarely=_of_chosen_floats(deviation_of_chosen),
    domain=distinct,
    samples=[sample((5,)), *AXES[1:5], sample((4, 3), axis=0, ddof=1), sample((0, 2), axis=1)],
    wide=True,
    says="The root of the variance; of a constant the gradient is 0.",
    example="tensor([1.0, 3.0]) -> tensor(1.)",
)
"""The standard deviation, the root of the variance; of a constant the gradient is 0."""


def _extreme_vjp(g: Any, ans: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    hit = (x == expand_reduced(ans, axis, keepdims)).astype(x.dtype)
    share = hit / kernels.total(hit, axis, keepdims=True)
    # Not only a product: a share of 0 of an infinite cotangent is 0.
    return np.where(share == 0.0, 0.0, expand_reduced(g, axis, keepdims)) * share


_extreme = over_axes_from.sharing(
    domain=distinct, samples=AXES, says="Equal ones share the gradient evenly."
)

max = _extreme(
    (np.max, np.amax),
    _extreme_vjp,
    name="max",
    rarely=_extreme_of_chosen(np.maximum),
    example="tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1 -> tensor([5., 3.])",
)
"""The largest element over the axes; equal ones share the gradient evenly."""

min = _extreme(
    (np.min, np.amin),
    _extreme_vjp,
    name="min",
    rarely=_extreme_of_chosen(np.minimum),
    example="tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1 -> tensor([1., 2.])",
)
"""The smallest element over the axes; equal ones share the gradient evenly."""


def axes_of(axis: Axis, ndim: int) -> list[int]:
    """The axes to reduce, counted from the front. Raises AxisError for one that is not there."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in axes:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    return [a % ndim for a in axes]


def along_last(x: Any, axis: Axis) -> tuple[Any, list[int], tuple[int, ...]]:
    """x with its reduced axes joined into the last; then how to undo that: order and shape."""
    last = axes_of(axis, x.ndim) if x.ndim else []  # NumPy's prod lets -1 pass
    order = [a for a in range(x.ndim) if a not in last] + last
    moved = np.transpose(x, order)
    lengths = moved.shape
    kept = x.ndim - len(last)
    flat = np.reshape(moved, (*lengths[:kept], math.prod(lengths[kept:])))
    return flat, np.argsort(order).tolist(), lengths


def products_of_others(x: Any) -> Any:
    """For each element along the last axis, the product of all others: those before and after."""

    def before(x: Any) -> Any:
        return np.concatenate([np.ones_like(x[..., :1]), np.cumprod(x[..., :-1], axis=-1)], axis=-1)

    return before(x) * np.flip(before(np.flip(x, -1)), -1)


def _prod_vjp(g: Any, ans: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    if np.all(ans != 0):
        return expand_reduced(g * ans, axis, keepdims) / x
    flat, back, shape = along_last(x, axis)
    others = np.transpose(np.reshape(products_of_others(flat), shape), back)
    return expand_reduced(g, axis, keepdims) * others


prod = accumulation(
    np.prod,
    _prod_vjp,
    rarely=_accumulation(1, np.multiply),
    domain=nonzero,
    samples=[
        *AXES,
        sample(np.array([[1.0, 0.0, 3.0], [2.0, -1.0, 0.5]]), axis=1),
        sample(np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 1.5]]), axis=(0, 1)),
        EMPTY[1],
    ],
    wide=True,
    says="Right also where factors are 0.",
    example="tensor([2.0, 3.0]) -> tensor(6.)",
)
"""The product over the axes; right also where factors are 0."""


def _finite_shift(x: Any) -> Any:
    """x with 0 in place of -inf and NaN, and the largest number in place of inf."""
    return np.nan_to_num(x, nan=0.0, neginf=0.0)


def _logsumexp_vjp(g: Any, ans: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    e = np.exp(x - expand_reduced(_finite_shift(ans), axis, keepdims))
    # The sum is 1 but for the rounding of ans, which for large x would show in the shares.
    total = kernels.total(e, axis, keepdims=True)
    return expand_reduced(g, axis, keepdims) * (e / np.where(total == 0, 1.0, total))


@operator(
    numbers="inexact",
    vjp=_logsumexp_vjp,
    domain=anywhere,
    samples=AXES,
    wide=True,
)
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` without overflow; of nothing but -inf it is -inf, with gradient 0.

    >>> logsumexp(tensor([1000.0, 1000.0]))
    tensor(1000.6932)
    """
    shift = _finite_shift(np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    with np.errstate(divide="ignore"):
        total = np.log(kernels.total(np.exp(x - shift), axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis=axis)


@composite(np.ptp, domain=distinct, samples=AXES)
def ptp(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The range of values over the axes: max - min ("peak to peak").

    >>> ptp(tensor([1.0, 5.0, 3.0]))
    tensor(4.)
    """
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


amax, amin = max, min
