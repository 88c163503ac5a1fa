"""Sets, bins, bits and positions: functions without a derivative that few programs call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import Array, constant, constant_of_many
from minigrad.operators.rows import binary, of_array, of_sets, unary

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

# -- sets ------------------------------------------------------------------------------------------

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


@constant(np.isin)
def isin(element: Array, test_elements: Array, invert: bool = False) -> Array:
    """Whether each element occurs among the others.

    >>> isin(tensor([1, 2, 3]), [1, 3])
    tensor([ True, False,  True])
    """


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


# -- bins ------------------------------------------------------------------------------------------


@constant(np.digitize)
def digitize(x: Array, bins: Array, right: bool = False) -> Array:
    """Which of the bins each element falls into.

    >>> digitize(tensor([0.5, 2.5]), [1.0, 2.0, 3.0])
    tensor([0, 2])
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


# -- bits and divisors -----------------------------------------------------------------------------

bitwise_count = unary.constant(np.bitwise_count, "tensor([3, 8]) -> tensor([2, 1], dtype=uint8)")
"""The number of bits that are 1 in whole numbers."""
gcd = binary.constant(np.gcd, "tensor([4, 9]), 6 -> tensor([2, 3])")
"""The greatest common divisor of whole numbers."""
lcm = binary.constant(np.lcm, "tensor([4, 9]), 6 -> tensor([12, 18])")
"""The least common multiple of whole numbers."""


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


# -- positions -------------------------------------------------------------------------------------

flatnonzero = of_array.constant(np.flatnonzero, "tensor([[0, 5], [7, 0]]) -> tensor([1, 2])")
"""The indices, in the flattened a, of elements that are not 0."""


@constant(np.argpartition)
def argpartition(a: Array, kth: Array, axis: int | None = -1) -> Array:
    """The indices that bring the ``kth`` element to its sorted place, smaller ones before it.

    >>> argpartition(tensor([3.0, 1.0, 2.0]), 0)[0]
    tensor(1)
    """


@constant(np.lexsort)
def lexsort(keys: Array, axis: int = -1) -> Array:
    """The indices that sort by the last key, then by the one before, ...

    >>> lexsort((tensor([3, 1, 2]), tensor([0, 1, 0])))
    tensor([2, 0, 1])
    """


@constant(np.argwhere)
def argwhere(a: Array) -> Array:
    """The indices of elements that are not 0, one row for each.

    >>> argwhere(tensor([[0, 5], [7, 0]]))
    tensor([[0, 1],
            [1, 0]])
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
