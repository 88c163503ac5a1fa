"""Joining arrays and splitting them up: concatenate, stack and split, with their families."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import (
    Array,
    composite,
    composite_of_many,
    dtypes_of,
    engine,
    operator,
    weak,
)
from minigrad.operators.domain import sample
from minigrad.operators.indexing import one_axis, one_line, take_axis

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


def _concatenate_vjp(
    g: Any, needed: list[int], _ans: Any, *_xs: Any, axis: int | None = 0
) -> list[Any]:
    # For all inputs at once: to add up the lengths for each of thousands would be quadratic.
    lengths = [x.size if axis is None else x.shape[axis] for x in _xs]
    starts = [0, *itertools.accumulate(lengths)]
    line = 0 if axis is None else axis
    parts = [take_axis(g, line, slice(starts[i], starts[i + 1])) for i in needed]
    if axis is not None:
        return parts
    return [np.reshape(part, _xs[i].shape) for i, part in zip(needed, parts, strict=True)]


@operator(
    np.concatenate,
    vjp_all=_concatenate_vjp,
    variadic=True,
    samples=[
        sample([(2, 3), (4, 3)]), sample([(2, 3), (2, 1), (2, 0)], axis=-1), sample([(3,)]),
        sample([(2, 2), (3,)], axis=None),
    ],
)  # fmt: skip
def concatenate(arrays: Array, axis: int | None = 0) -> Array:
    """Arrays joined along an existing axis; flattened first when ``axis`` is None.

    (..., n, ...) and (..., m, ...) give (..., n + m, ...).

    >>> concatenate([tensor([1.0]), tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """


def _stack_vjp(g: Any, needed: list[int], _ans: Any, *_xs: Any, axis: int = 0) -> list[Any]:
    before = (slice(None),) * one_axis(axis, g.ndim)
    return [g[(*before, i)] for i in needed]


@operator(
    np.stack,
    vjp_all=_stack_vjp,
    variadic=True,
    samples=[
        sample([(2, 3), (2, 3)]), sample([(), (), ()]), sample([(2,), (2,)], axis=-1),
        sample([(0, 2), (0, 2)], axis=1),
    ],
)  # fmt: skip
def stack(arrays: Array, axis: int = 0) -> Array:
    """Arrays of one shape joined along a new axis.

    >>> stack([tensor([1.0, 2.0]), tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """


@composite(
    np.hstack,
    sequence=True,
    samples=[sample([(2,), (3,)]), sample([(2, 1), (2, 0)]), sample([(), ()])],
)
def hstack(tup: Array) -> Array:
    """Arrays side by side: joined along the second axis, vectors along their only one.

    (n, a) and (n, b) give (n, a + b).

    >>> hstack([tensor([1.0]), tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    flat = [np.atleast_1d(a) for a in tup]
    return np.concatenate(flat, axis=0 if not flat or flat[0].ndim == 1 else 1)


@composite(np.vstack, sequence=True, samples=[sample([(3,), (2, 3)]), sample([(0, 2), (1, 2)])])
def vstack(tup: Array) -> Array:
    """Arrays on top of each other: joined along the first axis, vectors as rows.

    >>> vstack([tensor([1.0, 2.0]), tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    return np.concatenate([np.atleast_2d(a) for a in tup], axis=0)


@composite(np.dstack, sequence=True, samples=[sample([(3,), (1, 3, 2)]), sample([(0, 2), (0, 2)])])
def dstack(tup: Array) -> Array:
    """Arrays behind each other: joined along the third axis.

    >>> dstack([tensor([1.0, 2.0]), tensor([3.0, 4.0])]).shape
    (1, 2, 2)
    """
    return np.concatenate([np.atleast_3d(a) for a in tup], axis=2)


@composite(np.column_stack, sequence=True, samples=[sample([(3,), (3, 2)]), sample([(0,), (0, 2)])])
def column_stack(tup: Array) -> Array:
    """Vectors as the columns of a matrix; matrices are put beside them.

    Vectors (n,) and matrices (n, m) give (n, their number of columns).

    >>> column_stack([tensor([1.0, 2.0]), tensor([3.0, 4.0])])
    tensor([[1., 3.],
            [2., 4.]])
    """
    return np.concatenate([a if a.ndim > 1 else np.reshape(a, (-1, 1)) for a in tup], axis=1)


@composite(
    np.append,
    arrays=2,
    samples=[sample((2, 2), (3,)), sample((2, 3), (1, 3), axis=0), sample((0,), (2,))],
)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    """arr with ``values`` after it along ``axis``; both flattened first when None.

    arr (n,) and values (m,) give (n + m,).

    >>> append(tensor([1.0]), [2.0, 3.0])
    tensor([1., 2., 3.])
    """
    return np.concatenate([arr, values], axis=axis)


def _nested(blocks: Any, depth: int, dtypes: set[Any]) -> Any:
    """Join the innermost lists along the last axis, those around them along the one before."""
    if not isinstance(blocks, list):
        return engine.as_tensor(weak(blocks, dtypes))
    parts = [_nested(b, depth - 1, dtypes) for b in blocks]
    ndim = max([depth, *[p.ndim for p in parts]])
    parts = [np.reshape(p, (1,) * (ndim - p.ndim) + p.shape) for p in parts]
    return np.concatenate(parts, axis=-depth)


def _leaves(blocks: Any) -> list[Any]:
    return [x for b in blocks for x in _leaves(b)] if isinstance(blocks, list) else [blocks]


def _depth(blocks: Any) -> int:
    return 1 + max(map(_depth, blocks), default=0) if isinstance(blocks, list) else 0


@composite(
    np.block,
    arrays=0,
    samples=[
        sample([(2,), (3,)]),
        sample([[(2, 1), (2, 2)], [(1, 3)]]),
        sample([(), (2,)]),
        sample([(0,), (1,)]),
    ],
)
def block(arrays: Any) -> Array:
    """A matrix from arrays in nested lists: inner lists side by side, outer ones downwards.

    Blocks beside each other have the same height.

    >>> block([[tensor([[1.0]]), tensor([[2.0]])], [tensor([[3.0, 4.0]])]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return _nested(arrays, _depth(arrays), dtypes_of(_leaves(arrays)))


SPLITS = [
    sample((4,), 2), sample((5, 2), [1, 3]), sample((2, 6), 3, axis=1), sample((0, 2), 2, axis=1),
    sample((4,), np.array([1, 1, 9])),
]  # fmt: skip


@composite_of_many(np.array_split, samples=[*SPLITS, sample((5,), 3)])
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """ary cut along ``axis`` into so many parts (the first ones longer), or at these places.

    Raises ValueError for fewer than one part.

    >>> array_split(tensor([1.0, 2.0, 3.0]), 2)
    [tensor([1., 2.]), tensor([3.])]
    """
    n = ary.shape[one_axis(axis, ary.ndim)]
    where = engine.constant(indices_or_sections)
    if np.ndim(where) == 0:
        if where < 1:
            raise ValueError(f"expected at least one part, got {where}")
        short, longer = divmod(n, int(where))
        sizes = [short + 1] * longer + [short] * (int(where) - longer)
        where = np.cumsum(sizes)[:-1]
    ends = [0, *[int(w) for w in where], n]
    return [take_axis(ary, axis, slice(start, end)) for start, end in itertools.pairwise(ends)]


@composite_of_many(np.split, samples=SPLITS)
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """ary cut along ``axis`` into so many equal parts, or at these places.

    Raises ValueError when the length is not a multiple of the number of parts.

    >>> split(tensor([1.0, 2.0, 3.0]), [1])
    [tensor([1.]), tensor([2., 3.])]
    """
    parts, n = engine.constant(indices_or_sections), ary.shape[one_axis(axis, ary.ndim)]
    if np.ndim(parts) == 0 and parts > 0 and n % parts:
        raise ValueError(
            f"axis {axis} has length {n}, not a multiple of {parts}; "
            f"array_split makes unequal parts"
        )
    return array_split(ary, parts, axis)


@composite_of_many(np.hsplit, samples=[sample((4,), 2), sample((2, 3), [1]), sample((0, 2), 2)])
def hsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """ary cut into parts side by side; see :func:`minigrad.hstack`. Raises ValueError for 0-d ary.

    >>> hsplit(tensor([1.0, 2.0]), 2)
    [tensor([1.]), tensor([2.])]
    """
    if not ary.ndim:
        raise ValueError(f"expected at least one axis, got shape {ary.shape}")
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


@composite_of_many(np.vsplit, samples=[sample((4, 2), 2), sample((2, 0), [1])])
def vsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """ary cut along its first axis; see :func:`minigrad.vstack`. Raises ValueError below two axes.

    >>> vsplit(tensor([[1.0], [2.0]]), 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    if ary.ndim < 2:
        raise ValueError(f"expected at least two axes, got shape {ary.shape}")
    return split(ary, indices_or_sections, 0)


@composite_of_many(np.dsplit, samples=[sample((2, 1, 4), 2), sample((0, 2, 2), [1])])
def dsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """ary cut along its third axis; see :func:`minigrad.dstack`. Raises ValueError below three.

    >>> [part.shape for part in dsplit(tensor([[[1.0, 2.0]]]), 2)]
    [(1, 1, 1), (1, 1, 1)]
    """
    if ary.ndim < 3:
        raise ValueError(f"expected at least three axes, got shape {ary.shape}")
    return split(ary, indices_or_sections, 2)


@composite_of_many(
    getattr(np, "unstack", None), samples=[sample((2, 3)), sample((2, 3), axis=1), sample((2, 0))]
)
def unstack(x: Array, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along ``axis``, in a tuple: the opposite of stack.

    >>> unstack(tensor([1.0, 2.0]))
    (tensor(1.), tensor(2.))
    """
    line = one_axis(axis, x.ndim)
    parts = [x]
    # By halves: each cut of a recorded gradient fills an array as large as what it was cut from.
    while parts and parts[0].shape[line] > 1:
        parts = [half for part in parts for half in _halves(part, line)]
    return tuple([take_axis(part, line, 0) for part in parts if part.shape[line]])


def _halves(x: Array, axis: int) -> tuple[Array, ...]:
    """The first half, which is not the shorter one, and the rest; x itself if it cannot be cut."""
    size = x.shape[axis]
    if size < 2:
        return (x,)
    middle = (size + 1) // 2
    return take_axis(x, axis, slice(None, middle)), take_axis(x, axis, slice(middle, None))


@composite(
    np.insert,
    samples=[
        sample((4,), obj=1, values=5.0), sample((4,), obj=[0, 2], values=np.array([5.0, 6.0])),
        sample((2, 3), obj=1, values=np.array([7.0, 8.0]), axis=1),
        sample((2, 2), obj=1, values=1.0),
        sample((0, 2), obj=0, values=1.0, axis=0), sample((3, 2), obj=-1, values=2.0, axis=0),
    ],
)  # fmt: skip
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    """arr with ``values`` put before the places ``obj`` along ``axis``; flattened first when None.

    Raises TypeError for complex values among real ones.

    >>> insert(tensor([1.0, 3.0]), 1, 2.0)
    tensor([1., 2., 3.])
    """
    arr, axis = one_line(arr, axis)
    values = engine.as_tensor(weak(values, [arr.dtype]))
    if values.dtype.kind == "c" and arr.dtype.kind != "c":
        raise TypeError(f"values must be real, as arr is, got {values.dtype}")
    values = values if values.dtype == arr.dtype else values.astype(arr.dtype)
    # Where everything comes from: NumPy inserts the numbers of the new elements among the old.
    n, places = arr.shape[axis], engine.constant(obj)
    new = len(np.insert(np.arange(n), places, -1)) - n
    if new == 1:  # one place takes all that the values have along the axis
        values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
        if np.ndim(places) == 0 and not isinstance(places, slice):
            values = np.moveaxis(values, 0, axis)
        new = values.shape[axis]
    sources = np.insert(np.arange(n), places, np.arange(n, n + new))
    shape = [*arr.shape]
    shape[axis] = new
    both = np.concatenate([arr, np.broadcast_to(values, shape)], axis=axis)
    return take_axis(both, axis, sources)


@composite(
    np.delete,
    samples=[
        sample((4,), obj=1), sample((2, 3), obj=[0, -1], axis=1), sample((2, 3), obj=slice(0, 2)),
        sample((0, 2), obj=1, axis=1),
    ],
)  # fmt: skip
def delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    """arr without the places ``obj`` along ``axis``; flattened first when None.

    >>> delete(tensor([1.0, 2.0, 3.0]), 1)
    tensor([1., 3.])
    """
    arr, axis = one_line(arr, axis)
    left = np.delete(np.arange(arr.shape[axis]), engine.constant(obj))
    return take_axis(arr, axis, left)


concat = concatenate
