"""Functions without a derivative: comparisons, logic, rounding, positions. Never tracked.

Sets, histograms and the like, which few programs call, are in ``sets_and_bins.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import Array, constant, constant_of_many
from minigrad.operators.rows import binary, over_axes, over_axis, unary

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


# -- positions and counts --------------------------------------------------------------------------

all = over_axes.constant(np.all, "tensor([[1, 0], [1, 1]]), axis=1 -> tensor([False,  True])")
"""Whether all elements are true."""
any = over_axes.constant(np.any, "tensor([[1, 0], [0, 0]]), axis=1 -> tensor([ True, False])")
"""Whether any element is true."""

argmax = over_axis.constant(np.argmax, "tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1 -> tensor([1, 0])")
"""The index of the (first) largest element."""
argmin = over_axis.constant(np.argmin, "tensor([[1.0, 3.0], [4.0, 2.0]]), axis=1 -> tensor([0, 1])")
"""The index of the (first) smallest element."""

count_nonzero = over_axes.constant(
    np.count_nonzero, "tensor([[0, 5], [7, 8]]), axis=1 -> tensor([1, 2])"
)
"""How many elements are not 0."""


# -- what needs more than a row --------------------------------------------------------------------


@constant(np.isclose)
def isclose(a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8) -> Array:
    """`|a - b| <= atol + rtol |b|`, elementwise.

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


@constant_of_many(np.nonzero)
def nonzero(a: Array) -> tuple[Tensor, ...]:
    """The indices of elements that are not 0: one tensor for each axis, to index with.

    >>> nonzero(tensor([[0, 5], [7, 0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    return np.nonzero(a)  # type: ignore[return-value]


@constant(np.searchsorted)
def searchsorted(a: Array, v: Array, side: Any = "left", sorter: Array = None) -> Array:
    """Where in the sorted ``a`` each element of v belongs.

    >>> searchsorted(tensor([1.0, 2.0, 3.0]), [0.5, 2.5])
    tensor([0, 2])
    """


bitwise_not = invert
