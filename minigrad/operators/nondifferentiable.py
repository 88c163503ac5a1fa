"""Functions without a derivative: comparisons, logic, rounding, positions. Never tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import Array, Axis, constant, constant_of_many

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

__all__ = [
    "all", "angle", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere",
    "bitwise_and", "bitwise_count", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil",
    "count_nonzero", "digitize", "equal", "fix", "flatnonzero", "floor", "gcd", "greater",
    "greater_equal", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd",
    "intersect1d", "invert", "isclose", "iscomplex", "isfinite", "isin", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "lcm", "left_shift", "less", "less_equal", "lexsort",
    "logical_and", "logical_not", "logical_or", "logical_xor", "nanargmax", "nanargmin",
    "nonzero", "not_equal", "packbits", "ravel_multi_index", "right_shift", "rint", "round",
    "searchsorted", "setdiff1d", "setxor1d", "signbit", "trunc", "union1d", "unique",
    "unpackbits", "unravel_index",
]  # fmt: skip

#: Functions whose results change with a float input and are constants all the same, and why.
ALTHOUGH = {
    "heaviside": "its second input shows only where the first is exactly 0",
    "histogram": "its edges follow the least and the largest element; it is made for looking",
    "histogram2d": "as histogram",
    "histogram_bin_edges": "as histogram",
    "histogramdd": "as histogram",
    "intersect1d": "a set; x[index], with the index from return_index=True of unique, is tracked",
    "setdiff1d": "as intersect1d",
    "setxor1d": "as intersect1d",
    "union1d": "as intersect1d",
    "unique": "as intersect1d",
}


@constant(np.equal)
def equal(x: Array, y: Array) -> Array:
    """x == y, elementwise.

    >>> equal(tensor([1.0, 2.0]), 2.0)
    tensor([False,  True])
    """
    return np.equal(x, y)


@constant(np.not_equal)
def not_equal(x: Array, y: Array) -> Array:
    """x != y, elementwise.

    >>> not_equal(tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """
    return np.not_equal(x, y)


@constant(np.less)
def less(x: Array, y: Array) -> Array:
    """x < y, elementwise.

    >>> less(tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """
    return np.less(x, y)


@constant(np.less_equal)
def less_equal(x: Array, y: Array) -> Array:
    """x <= y, elementwise.

    >>> less_equal(tensor([1.0, 2.0]), 1.5)
    tensor([ True, False])
    """
    return np.less_equal(x, y)


@constant(np.greater)
def greater(x: Array, y: Array) -> Array:
    """x > y, elementwise.

    >>> greater(tensor([1.0, 2.0]), 1.0)
    tensor([False,  True])
    """
    return np.greater(x, y)


@constant(np.greater_equal)
def greater_equal(x: Array, y: Array) -> Array:
    """x >= y, elementwise.

    >>> greater_equal(tensor([1.0, 2.0]), 1.5)
    tensor([False,  True])
    """
    return np.greater_equal(x, y)


@constant(np.logical_and)
def logical_and(x: Array, y: Array) -> Array:
    """Both true, elementwise.

    >>> logical_and(tensor([True, False]), True)
    tensor([ True, False])
    """
    return np.logical_and(x, y)


@constant(np.logical_or)
def logical_or(x: Array, y: Array) -> Array:
    """At least one true, elementwise.

    >>> logical_or(tensor([True, False]), False)
    tensor([ True, False])
    """
    return np.logical_or(x, y)


@constant(np.logical_xor)
def logical_xor(x: Array, y: Array) -> Array:
    """Exactly one true, elementwise.

    >>> logical_xor(tensor([True, False]), True)
    tensor([False,  True])
    """
    return np.logical_xor(x, y)


@constant(np.logical_not)
def logical_not(x: Array) -> Array:
    """Not true, elementwise.

    >>> logical_not(tensor([True, False]))
    tensor([False,  True])
    """
    return np.logical_not(x)


@constant(np.bitwise_and)
def bitwise_and(x: Array, y: Array) -> Array:
    """x & y of booleans or integers.

    >>> bitwise_and(tensor([6, 5]), 3)
    tensor([2, 1])
    """
    return np.bitwise_and(x, y)


@constant(np.bitwise_or)
def bitwise_or(x: Array, y: Array) -> Array:
    """x | y of booleans or integers.

    >>> bitwise_or(tensor([6, 5]), 3)
    tensor([7, 7])
    """
    return np.bitwise_or(x, y)


@constant(np.bitwise_xor)
def bitwise_xor(x: Array, y: Array) -> Array:
    """x ^ y of booleans or integers.

    >>> bitwise_xor(tensor([6, 5]), 3)
    tensor([5, 6])
    """
    return np.bitwise_xor(x, y)


@constant(np.invert)
def invert(x: Array) -> Array:
    """~x of booleans or integers.

    >>> invert(tensor([True, False]))
    tensor([False,  True])
    """
    return np.invert(x)


@constant(np.isfinite)
def isfinite(x: Array) -> Array:
    """Neither NaN nor infinite, elementwise.

    >>> isfinite(tensor([1.0, np.inf]))
    tensor([ True, False])
    """
    return np.isfinite(x)


@constant(np.isnan)
def isnan(x: Array) -> Array:
    """Whether NaN, elementwise.

    >>> isnan(tensor([1.0, np.nan]))
    tensor([False,  True])
    """
    return np.isnan(x)


@constant(np.isinf)
def isinf(x: Array) -> Array:
    """Whether infinite, elementwise.

    >>> isinf(tensor([1.0, -np.inf]))
    tensor([False,  True])
    """
    return np.isinf(x)


@constant(np.isclose)
def isclose(x: Array, y: Array, rtol: float = 1e-5, atol: float = 1e-8) -> Array:
    """|x - y| <= atol + rtol |y|, elementwise.

    >>> isclose(tensor([1.0, 2.0]), 1.0 + 1e-7)
    tensor([ True, False])
    """
    return np.isclose(x, y, rtol=rtol, atol=atol)


@constant(np.signbit)
def signbit(x: Array) -> Array:
    """Whether the sign is negative, elementwise.

    >>> signbit(tensor([-0.0, 1.0]))
    tensor([ True, False])
    """
    return np.signbit(x)


@constant(np.floor)
def floor(x: Array) -> Array:
    """The largest whole number not above x.

    >>> floor(tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return np.floor(x)


@constant(np.ceil)
def ceil(x: Array) -> Array:
    """The smallest whole number not below x.

    >>> ceil(tensor([-1.5, 1.5]))
    tensor([-1.,  2.])
    """
    return np.ceil(x)


@constant(np.trunc)
def trunc(x: Array) -> Array:
    """x without its fraction.

    >>> trunc(tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """
    return np.trunc(x)


@constant(np.rint)
def rint(x: Array) -> Array:
    """The nearest whole number, ties to even.

    >>> rint(tensor([0.5, 1.5]))
    tensor([0., 2.])
    """
    return np.rint(x)


@constant((np.round, np.around))
def round(x: Array, decimals: int = 0) -> Array:
    """x rounded to ``decimals`` decimal places.

    >>> round(tensor([0.126, 2.0]), 2)
    tensor([0.13, 2.  ])
    """
    return np.round(x, decimals)


@constant(np.argmax)
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) largest element.

    >>> argmax(tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1)
    tensor([1, 0])
    """
    return np.argmax(x, axis=axis, keepdims=keepdims)


@constant(np.argmin)
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) smallest element.

    >>> argmin(tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1)
    tensor([0, 1])
    """
    return np.argmin(x, axis=axis, keepdims=keepdims)


@constant(np.argsort)
def argsort(x: Array, axis: int | None = -1, kind: str | None = None) -> Array:
    """The indices that sort x, stable, whatever the ``kind``. Raises ValueError for an unknown one.

    >>> argsort(tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(f"kind must be 'stable' or another of NumPy's, got {kind!r}")
    return np.argsort(x, axis=axis, kind="stable")


@constant(np.argpartition)
def argpartition(x: Array, kth: Array, axis: int | None = -1) -> Array:
    """The indices that bring the ``kth`` element to its sorted place, smaller ones before it.

    >>> argpartition(tensor([3.0, 1.0, 2.0]), 0)[0]
    tensor(1)
    """
    return np.argpartition(x, kth, axis=axis)


@constant(np.all)
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether all elements are true.

    >>> all(tensor([[1, 0], [1, 1]]), axis=1)
    tensor([False,  True])
    """
    return np.all(x, axis=axis, keepdims=keepdims)


@constant(np.any)
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether any element is true.

    >>> any(tensor([[1, 0], [0, 0]]), axis=1)
    tensor([ True, False])
    """
    return np.any(x, axis=axis, keepdims=keepdims)


@constant(np.fix)
def fix(x: Array) -> Array:
    """x rounded towards 0, as trunc.

    >>> fix(tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """
    return np.trunc(x)


@constant(np.angle)
def angle(x: Array, deg: bool = False) -> Array:
    """The angle of a real number in the complex plane: 0, or pi for negative ones.

    >>> angle(tensor([1.0, -1.0]))
    tensor([0.       , 3.1415927])
    """
    return np.angle(x, deg)


@constant(np.isposinf)
def isposinf(x: Array) -> Array:
    """Whether +inf, elementwise.

    >>> isposinf(tensor([np.inf, -np.inf]))
    tensor([ True, False])
    """
    return np.isposinf(x)


@constant(np.isneginf)
def isneginf(x: Array) -> Array:
    """Whether -inf, elementwise.

    >>> isneginf(tensor([np.inf, -np.inf]))
    tensor([False,  True])
    """
    return np.isneginf(x)


@constant(np.isreal)
def isreal(x: Array) -> Array:
    """Whether the imaginary part is 0: true, as tensors are real.

    >>> isreal(tensor([1.0, 2.0]))
    tensor([ True,  True])
    """
    return np.isreal(x)


@constant(np.iscomplex)
def iscomplex(x: Array) -> Array:
    """Whether the imaginary part is not 0: false, as tensors are real.

    >>> iscomplex(tensor([1.0, 2.0]))
    tensor([False, False])
    """
    return np.iscomplex(x)


@constant(np.isin)
def isin(element: Array, test_elements: Array, invert: bool = False) -> Array:
    """Whether each element occurs among the others.

    >>> isin(tensor([1, 2, 3]), [1, 3])
    tensor([ True, False,  True])
    """
    return np.isin(element, test_elements, invert=invert)


# -- whole numbers ---------------------------------------------------------------------------------


@constant(np.gcd)
def gcd(x: Array, y: Array) -> Array:
    """The greatest common divisor of whole numbers.

    >>> gcd(tensor([4, 9]), 6)
    tensor([2, 3])
    """
    return np.gcd(x, y)


@constant(np.lcm)
def lcm(x: Array, y: Array) -> Array:
    """The least common multiple of whole numbers.

    >>> lcm(tensor([4, 9]), 6)
    tensor([12, 18])
    """
    return np.lcm(x, y)


@constant(np.left_shift)
def left_shift(x: Array, y: Array) -> Array:
    """x << y of whole numbers.

    >>> left_shift(tensor([1, 3]), 2)
    tensor([ 4, 12])
    """
    return np.left_shift(x, y)


@constant(np.right_shift)
def right_shift(x: Array, y: Array) -> Array:
    """x >> y of whole numbers.

    >>> right_shift(tensor([4, 12]), 2)
    tensor([1, 3])
    """
    return np.right_shift(x, y)


@constant(np.bitwise_count)
def bitwise_count(x: Array) -> Array:
    """The number of bits that are 1 in whole numbers.

    >>> bitwise_count(tensor([3, 8]))
    tensor([2, 1], dtype=uint8)
    """
    return np.bitwise_count(x)


@constant(np.packbits)
def packbits(a: Array, axis: int | None = None, bitorder: Any = "big") -> Array:
    """Booleans as the bits of bytes.

    >>> packbits(tensor([1, 0, 0, 0, 0, 0, 1, 1], dtype=bool))
    tensor([131], dtype=uint8)
    """
    return np.packbits(a, axis=axis, bitorder=bitorder)


@constant(np.unpackbits)
def unpackbits(
    a: Array, axis: int | None = None, count: int | None = None, bitorder: Any = "big"
) -> Array:
    """The bits of bytes.

    >>> unpackbits(tensor([131], dtype=np.uint8))
    tensor([1, 0, 0, 0, 0, 0, 1, 1], dtype=uint8)
    """
    return np.unpackbits(a, axis=axis, count=count, bitorder=bitorder)


# -- positions and counts --------------------------------------------------------------------------


@constant(np.nanargmax)
def nanargmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) largest number, NaN left out.

    >>> nanargmax(tensor([1.0, np.nan, 3.0]))
    tensor(2)
    """
    return np.nanargmax(x, axis=axis, keepdims=keepdims)


@constant(np.nanargmin)
def nanargmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) smallest number, NaN left out.

    >>> nanargmin(tensor([np.nan, 1.0, 3.0]))
    tensor(1)
    """
    return np.nanargmin(x, axis=axis, keepdims=keepdims)


@constant(np.lexsort)
def lexsort(keys: Array, axis: int = -1) -> Array:
    """The indices that sort by the last key, then by the one before, ...

    >>> lexsort((tensor([3, 1, 2]), tensor([0, 1, 0])))
    tensor([2, 0, 1])
    """
    return np.lexsort(keys, axis)


@constant_of_many(np.nonzero)
def nonzero(x: Array) -> tuple[Tensor, ...]:
    """The indices of elements that are not 0: one tensor for each axis, to index with.

    >>> nonzero(tensor([[0, 5], [7, 0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    return np.nonzero(x)  # type: ignore[return-value]


@constant(np.flatnonzero)
def flatnonzero(x: Array) -> Array:
    """The indices, in the flattened x, of elements that are not 0.

    >>> flatnonzero(tensor([[0, 5], [7, 0]]))
    tensor([1, 2])
    """
    return np.flatnonzero(x)


@constant(np.argwhere)
def argwhere(x: Array) -> Array:
    """The indices of elements that are not 0, one row for each.

    >>> argwhere(tensor([[0, 5], [7, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return np.argwhere(x)


@constant(np.count_nonzero)
def count_nonzero(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """How many elements are not 0.

    >>> count_nonzero(tensor([[0, 5], [7, 8]]), axis=1)
    tensor([1, 2])
    """
    return np.count_nonzero(x, axis=axis, keepdims=keepdims)


@constant(np.searchsorted)
def searchsorted(a: Array, v: Array, side: Any = "left", sorter: Array = None) -> Array:
    """Where in the sorted ``a`` each element of v belongs.

    >>> searchsorted(tensor([1.0, 2.0, 3.0]), [0.5, 2.5])
    tensor([0, 2])
    """
    return np.searchsorted(a, v, side=side, sorter=sorter)


@constant(np.digitize)
def digitize(x: Array, bins: Array, right: bool = False) -> Array:
    """Which of the bins each element falls into.

    >>> digitize(tensor([0.5, 2.5]), [1.0, 2.0, 3.0])
    tensor([0, 2])
    """
    return np.digitize(x, bins, right)


@constant_of_many(np.unravel_index)
def unravel_index(indices: Array, shape: Any) -> tuple[Tensor, ...]:
    """Indices into a flattened array as one index for each axis.

    >>> unravel_index(tensor([1, 2]), (2, 2))
    (tensor([0, 1]), tensor([1, 0]))
    """
    return np.unravel_index(indices, shape)  # type: ignore[return-value]


@constant(np.ravel_multi_index)
def ravel_multi_index(multi_index: Array, dims: Any, mode: Any = "raise") -> Array:
    """One index for each axis as indices into the flattened array.

    >>> ravel_multi_index((tensor([0, 1]), tensor([1, 0])), (2, 2))
    tensor([1, 2])
    """
    return np.ravel_multi_index(multi_index, dims, mode)


@constant_of_many(np.histogram)
def histogram(
    x: Array, bins: Any = 10, range: Any = None, density: bool = False
) -> tuple[Tensor, Tensor]:
    """(counts, edges) of elements in equal bins, or between given edges.

    >>> histogram(tensor([1.0, 1.5, 3.0]), bins=2)
    (tensor([2, 1]), tensor([1., 2., 3.]))
    """
    return np.histogram(x, bins, range, density)  # type: ignore[return-value]


@constant(np.histogram_bin_edges)
def histogram_bin_edges(x: Array, bins: Any = 10, range: Any = None) -> Array:
    """The edges of the bins of a histogram.

    >>> histogram_bin_edges(tensor([1.0, 1.5, 3.0]), bins=2)
    tensor([1., 2., 3.])
    """
    return np.histogram_bin_edges(x, bins, range)


@constant_of_many(np.histogram2d)
def histogram2d(
    x: Array, y: Array, bins: Any = 10, range: Any = None, density: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """(counts, edges of x, edges of y) of points in the plane.

    >>> counts, x_edges, y_edges = histogram2d(tensor([0.0, 1.0]), tensor([0.0, 1.0]), bins=2)
    >>> counts
    tensor([[1., 0.],
            [0., 1.]], dtype=float64)
    """
    found: Any = np.histogram2d(x, y, bins, range, density)
    return found  # type: ignore[no-any-return]


@constant_of_many(np.histogramdd)
def histogramdd(
    x: Array, bins: Any = 10, range: Any = None, density: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(counts, edges for each axis) of points in space, one in each row.

    >>> counts, edges = histogramdd(tensor([[0.0, 0.0], [1.0, 1.0]]), bins=2)
    >>> counts.shape, len(edges)
    ((2, 2), 2)
    """
    return np.histogramdd(x, bins, range, density)  # type: ignore[return-value]


# -- sets ------------------------------------------------------------------------------------------


@constant_of_many(np.unique)
def unique(
    x: Array,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """The different elements, sorted; also where they were, and how often.

    >>> unique(tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return np.unique(  # type: ignore[call-overload]
        x, return_index, return_inverse, return_counts, axis
    )


@constant(np.intersect1d)
def intersect1d(x: Array, y: Array) -> Array:
    """The different elements that both have, sorted.

    >>> intersect1d(tensor([1, 2, 3]), tensor([2, 3, 4]))
    tensor([2, 3])
    """
    return np.intersect1d(x, y)


@constant(np.union1d)
def union1d(x: Array, y: Array) -> Array:
    """The different elements of both, sorted.

    >>> union1d(tensor([1, 2]), tensor([2, 3]))
    tensor([1, 2, 3])
    """
    return np.union1d(x, y)


@constant(np.setdiff1d)
def setdiff1d(x: Array, y: Array) -> Array:
    """The different elements of x that y does not have, sorted.

    >>> setdiff1d(tensor([1, 2, 3]), tensor([2]))
    tensor([1, 3])
    """
    return np.setdiff1d(x, y)


@constant(np.setxor1d)
def setxor1d(x: Array, y: Array) -> Array:
    """The different elements that one of both has, sorted.

    >>> setxor1d(tensor([1, 2]), tensor([2, 3]))
    tensor([1, 3])
    """
    return np.setxor1d(x, y)


bitwise_not = invert
