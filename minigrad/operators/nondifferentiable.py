"""Functions without a derivative: comparisons, logic, rounding, positions. Never tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import Array, constant, constant_of_many
from minigrad.operators.rows import binary, of_array, of_sets, over_axes, over_axis, unary

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

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


# -- comparisons, logic and bits -------------------------------------------------------------------

equal = binary.constant(np.equal, "tensor([1.0, 2.0]), 2.0 -> tensor([False,  True])")
"""x1 == x2, elementwise."""
not_equal = binary.constant(np.not_equal, "tensor([1.0, 2.0]), 2.0 -> tensor([ True, False])")
"""x1 != x2, elementwise."""
less = binary.constant(np.less, "tensor([1.0, 2.0]), 2.0 -> tensor([ True, False])")
"""x1 < x2, elementwise."""
less_equal = binary.constant(np.less_equal, "tensor([1.0, 2.0]), 1.5 -> tensor([ True, False])")
"""x1 <= x2, elementwise."""
greater = binary.constant(np.greater, "tensor([1.0, 2.0]), 1.0 -> tensor([False,  True])")
"""x1 > x2, elementwise."""
greater_equal = binary.constant(
    np.greater_equal, "tensor([1.0, 2.0]), 1.5 -> tensor([False,  True])"
)
"""x1 >= x2, elementwise."""

logical_and = binary.constant(
    np.logical_and, "tensor([True, False]), True -> tensor([ True, False])"
)
"""Both true, elementwise."""
logical_or = binary.constant(
    np.logical_or, "tensor([True, False]), False -> tensor([ True, False])"
)
"""At least one true, elementwise."""
logical_xor = binary.constant(
    np.logical_xor, "tensor([True, False]), True -> tensor([False,  True])"
)
"""Exactly one true, elementwise."""
logical_not = unary.constant(np.logical_not, "tensor([True, False]) -> tensor([False,  True])")
"""Not true, elementwise."""

bitwise_and = binary.constant(np.bitwise_and, "tensor([6, 5]), 3 -> tensor([2, 1])")
"""x1 & x2 of booleans or integers."""
bitwise_or = binary.constant(np.bitwise_or, "tensor([6, 5]), 3 -> tensor([7, 7])")
"""x1 | x2 of booleans or integers."""
bitwise_xor = binary.constant(np.bitwise_xor, "tensor([6, 5]), 3 -> tensor([5, 6])")
"""x1 ^ x2 of booleans or integers."""
invert = unary.constant(np.invert, "tensor([True, False]) -> tensor([False,  True])")
"""~x of booleans or integers."""
bitwise_count = unary.constant(np.bitwise_count, "tensor([3, 8]) -> tensor([2, 1], dtype=uint8)")
"""The number of bits that are 1 in whole numbers."""
left_shift = binary.constant(np.left_shift, "tensor([1, 3]), 2 -> tensor([ 4, 12])")
"""x1 << x2 of whole numbers."""
right_shift = binary.constant(np.right_shift, "tensor([4, 12]), 2 -> tensor([1, 3])")
"""x1 >> x2 of whole numbers."""

isfinite = unary.constant(np.isfinite, "tensor([1.0, np.inf]) -> tensor([ True, False])")
"""Neither NaN nor infinite, elementwise."""
isnan = unary.constant(np.isnan, "tensor([1.0, np.nan]) -> tensor([False,  True])")
"""Whether NaN, elementwise."""
isinf = unary.constant(np.isinf, "tensor([1.0, -np.inf]) -> tensor([False,  True])")
"""Whether infinite, elementwise."""
isposinf = unary.constant(np.isposinf, "tensor([np.inf, -np.inf]) -> tensor([ True, False])")
"""Whether +inf, elementwise."""
isneginf = unary.constant(np.isneginf, "tensor([np.inf, -np.inf]) -> tensor([False,  True])")
"""Whether -inf, elementwise."""
signbit = unary.constant(np.signbit, "tensor([-0.0, 1.0]) -> tensor([ True, False])")
"""Whether the sign is negative, elementwise."""
isreal = unary.constant(np.isreal, "tensor([1.0, 2.0]) -> tensor([ True,  True])")
"""Whether the imaginary part is 0: true, as tensors are real."""
iscomplex = unary.constant(np.iscomplex, "tensor([1.0, 2.0]) -> tensor([False, False])")
"""Whether the imaginary part is not 0: false, as tensors are real."""

# -- rounding and whole numbers --------------------------------------------------------------------

floor = unary.constant(np.floor, "tensor([-1.5, 1.5]) -> tensor([-2.,  1.])")
"""The largest whole number not above x."""
ceil = unary.constant(np.ceil, "tensor([-1.5, 1.5]) -> tensor([-1.,  2.])")
"""The smallest whole number not below x."""
trunc = unary.constant(np.trunc, "tensor([-1.5, 1.5]) -> tensor([-1.,  1.])")
"""x without its fraction."""
rint = unary.constant(np.rint, "tensor([0.5, 1.5]) -> tensor([0., 2.])")
"""The nearest whole number, ties to even."""

gcd = binary.constant(np.gcd, "tensor([4, 9]), 6 -> tensor([2, 3])")
"""The greatest common divisor of whole numbers."""
lcm = binary.constant(np.lcm, "tensor([4, 9]), 6 -> tensor([12, 18])")
"""The least common multiple of whole numbers."""

# -- positions, counts and sets --------------------------------------------------------------------

all = over_axes.constant(np.all, "tensor([[1, 0], [1, 1]]), axis=1 -> tensor([False,  True])")
"""Whether all elements are true."""
any = over_axes.constant(np.any, "tensor([[1, 0], [0, 0]]), axis=1 -> tensor([ True, False])")
"""Whether any element is true."""

argmax = over_axis.constant(np.argmax, "tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1 -> tensor([1, 0])")
"""The index of the (first) largest element."""
argmin = over_axis.constant(np.argmin, "tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1 -> tensor([0, 1])")
"""The index of the (first) smallest element."""
nanargmax = over_axis.constant(np.nanargmax, "tensor([1.0, np.nan, 3.0]) -> tensor(2)")
"""The index of the (first) largest number, NaN left out."""
nanargmin = over_axis.constant(np.nanargmin, "tensor([np.nan, 1.0, 3.0]) -> tensor(1)")
"""The index of the (first) smallest number, NaN left out."""

flatnonzero = of_array.constant(np.flatnonzero, "tensor([[0, 5], [7, 0]]) -> tensor([1, 2])")
"""The indices, in the flattened a, of elements that are not 0."""
count_nonzero = over_axes.constant(
    np.count_nonzero, "tensor([[0, 5], [7, 8]]), axis=1 -> tensor([1, 2])"
)
"""How many elements are not 0."""

intersect1d = of_sets.constant(
    np.intersect1d, "tensor([1, 2, 3]), tensor([2, 3, 4]) -> tensor([2, 3])"
)
"""The different elements that both have, sorted."""
union1d = of_sets.constant(np.union1d, "tensor([1, 2]), tensor([2, 3]) -> tensor([1, 2, 3])")
"""The different elements of both, sorted."""
setdiff1d = of_sets.constant(np.setdiff1d, "tensor([1, 2, 3]), tensor([2]) -> tensor([1, 3])")
"""The different elements of ar1 that ar2 does not have, sorted."""
setxor1d = of_sets.constant(np.setxor1d, "tensor([1, 2]), tensor([2, 3]) -> tensor([1, 3])")
"""The different elements that one of both has, sorted."""

# -- what needs more than a row --------------------------------------------------------------------


@constant(np.isclose)
def isclose(a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8) -> Array:
    """|a - b| <= atol + rtol |b|, elementwise.

    >>> isclose(tensor([1.0, 2.0]), 1.0 + 1e-7)
    tensor([ True, False])
    """


@constant((np.round, np.around))
def round(a: Array, decimals: int = 0) -> Array:
    """``a`` rounded to ``decimals`` decimal places.

    >>> round(tensor([0.126, 2.0]), 2)
    tensor([0.13, 2.  ])
    """


@constant(np.argsort)
def argsort(a: Array, axis: int | None = -1, kind: str | None = None) -> Array:
    """The indices that sort, stable, whatever the ``kind``. Raises ValueError for an unknown one.

    >>> argsort(tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(f"kind must be 'stable' or another of NumPy's, got {kind!r}")
    return np.argsort(a, axis=axis, kind="stable")


@constant(np.argpartition)
def argpartition(a: Array, kth: Array, axis: int | None = -1) -> Array:
    """The indices that bring the ``kth`` element to its sorted place, smaller ones before it.

    >>> argpartition(tensor([3.0, 1.0, 2.0]), 0)[0]
    tensor(1)
    """


@constant(np.fix)
def fix(x: Array) -> Array:
    """x rounded towards 0, as trunc.

    >>> fix(tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """
    return np.trunc(x)


@constant(np.angle)
def angle(z: Array, deg: bool = False) -> Array:
    """The angle of a real number in the complex plane: 0, or pi for negative ones.

    >>> angle(tensor([1.0, -1.0]))
    tensor([0.       , 3.1415927])
    """


@constant(np.isin)
def isin(element: Array, test_elements: Array, invert: bool = False) -> Array:
    """Whether each element occurs among the others.

    >>> isin(tensor([1, 2, 3]), [1, 3])
    tensor([ True, False,  True])
    """


@constant(np.packbits)
def packbits(a: Array, axis: int | None = None, bitorder: Any = "big") -> Array:
    """Booleans as the bits of bytes.

    >>> packbits(tensor([1, 0, 0, 0, 0, 0, 1, 1], dtype=bool))
    tensor([131], dtype=uint8)
    """


@constant(np.unpackbits)
def unpackbits(
    a: Array, axis: int | None = None, count: int | None = None, bitorder: Any = "big"
) -> Array:
    """The bits of bytes.

    >>> unpackbits(tensor([131], dtype=np.uint8))
    tensor([1, 0, 0, 0, 0, 0, 1, 1], dtype=uint8)
    """


@constant(np.lexsort)
def lexsort(keys: Array, axis: int = -1) -> Array:
    """The indices that sort by the last key, then by the one before, ...

    >>> lexsort((tensor([3, 1, 2]), tensor([0, 1, 0])))
    tensor([2, 0, 1])
    """


@constant_of_many(np.nonzero)
def nonzero(a: Array) -> tuple[Tensor, ...]:
    """The indices of elements that are not 0: one tensor for each axis, to index with.

    >>> nonzero(tensor([[0, 5], [7, 0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    return np.nonzero(a)  # type: ignore[return-value]


@constant(np.argwhere)
def argwhere(a: Array) -> Array:
    """The indices of elements that are not 0, one row for each.

    >>> argwhere(tensor([[0, 5], [7, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """


@constant(np.searchsorted)
def searchsorted(a: Array, v: Array, side: Any = "left", sorter: Array = None) -> Array:
    """Where in the sorted ``a`` each element of v belongs.

    >>> searchsorted(tensor([1.0, 2.0, 3.0]), [0.5, 2.5])
    tensor([0, 2])
    """


@constant(np.digitize)
def digitize(x: Array, bins: Array, right: bool = False) -> Array:
    """Which of the bins each element falls into.

    >>> digitize(tensor([0.5, 2.5]), [1.0, 2.0, 3.0])
    tensor([0, 2])
    """


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


@constant_of_many(np.histogram)
def histogram(
    a: Array, bins: Any = 10, range: Any = None, density: bool = False
) -> tuple[Tensor, Tensor]:
    """(counts, edges) of elements in equal bins, or between given edges.

    >>> histogram(tensor([1.0, 1.5, 3.0]), bins=2)
    (tensor([2, 1]), tensor([1., 2., 3.]))
    """
    return np.histogram(a, bins, range, density)  # type: ignore[return-value]


@constant(np.histogram_bin_edges)
def histogram_bin_edges(a: Array, bins: Any = 10, range: Any = None) -> Array:
    """The edges of the bins of a histogram.

    >>> histogram_bin_edges(tensor([1.0, 1.5, 3.0]), bins=2)
    tensor([1., 2., 3.])
    """


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
    sample: Array, bins: Any = 10, range: Any = None, density: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(counts, edges for each axis) of points in space, one in each row.

    >>> counts, edges = histogramdd(tensor([[0.0, 0.0], [1.0, 1.0]]), bins=2)
    >>> counts.shape, len(edges)
    ((2, 2), 2)
    """
    return np.histogramdd(sample, bins, range, density)  # type: ignore[return-value]


@constant_of_many(np.unique)
def unique(
    ar: Array,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """The different elements, sorted; also where they were, and how often.

    >>> unique(tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """


bitwise_not = invert
