"""Operators that move elements about without computing: reshape, transpose, flip, repeat."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index as operator_index
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.operators.declare import (
    Array,
    Axis,
    composite,
    composite_of_many,
    constant,
    engine,
    operator,
)
from minigrad.operators.domain import sample
from minigrad.operators.indexing import one_axis, one_line, take_axis

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


@operator(
    getattr(np, "astype", None),
    vjp=lambda g, *_, dtype=np.float32: g,
    reference=lambda x, dtype: x.astype(dtype),
    view=True,
    samples=[sample(shape, dtype=np.dtype(np.float64)) for shape in ((), (2, 3), (0, 2))],
)
def astype(x: Array, dtype: Any = np.float32) -> Array:
    """The elements converted to ``dtype``; a conversion to integers or booleans is constant.

    Raises TypeError for a dtype that is not one of numbers.

    >>> astype(tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    wanted = np.dtype(dtype)
    if wanted.kind not in "fiubc":
        raise TypeError(f"dtype must be one of numbers, got {wanted}")
    return np.asarray(x).astype(wanted, copy=False)


@operator(
    np.reshape,
    vjp=lambda g, _ans, _x, shape: np.reshape(g, _x.shape),
    view=True,
    samples=[
        sample((2, 3), shape=(3, 2)), sample((2, 3), shape=-1), sample((), shape=(1, 1)),
        sample((0, 2), shape=(2, 0)), sample((2, 3, 2), shape=(-1, 2)),
    ],
    reference=lambda x, shape: np.reshape(x, shape),  # noqa: PLW0108 (NumPy 2.0 calls it newshape)
)  # fmt: skip
def reshape(a: Array, shape: Any) -> Array:
    """The same elements in another shape; one length may be -1, to be worked out.

    >>> reshape(tensor([1.0, 2.0, 3.0, 4.0]), (2, 2))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return a.reshape(shape)


@composite(np.ravel)
def ravel(a: Array) -> Array:
    """All elements along one axis, in C order.

    >>> ravel(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return np.reshape(a, -1)


def _inverse(axes: Any, ndim: int) -> Any:
    """The order of axes that undoes this one."""
    return None if axes is None else np.argsort(np.atleast_1d(axes) % ndim).tolist()


@operator(
    np.transpose,
    vjp=lambda g, _ans, _x, axes=None: np.transpose(g, _inverse(axes, _x.ndim)),
    view=True,
    samples=[
        sample((2, 3)), sample((2, 3, 4), axes=(1, 2, 0)), sample(()), sample((2, 0, 3)),
        sample((2, 3, 4), axes=(-1, 0, 1)),
    ],
)  # fmt: skip
def transpose(a: Array, axes: tuple[int, ...] | None = None) -> Array:
    """The axes in another order; reversed when ``axes`` is None.

    >>> transpose(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """


@operator(
    np.swapaxes,
    vjp=lambda g, _ans, _x, axis1, axis2: np.swapaxes(g, axis1, axis2),
    view=True,
    samples=[sample((2, 3, 4), axis1=0, axis2=-1), sample((2, 0), axis1=0, axis2=1)],
)
def swapaxes(a: Array, axis1: int, axis2: int) -> Array:
    """Two axes exchanged.

    >>> swapaxes(tensor([[1.0, 2.0]]), 0, 1).shape
    (2, 1)
    """


@operator(
    np.moveaxis,
    vjp=lambda g, _ans, _x, source, destination: np.moveaxis(g, destination, source),
    view=True,
    samples=[
        sample((2, 3, 4), source=0, destination=-1),
        sample((2, 3, 4), source=(0, 1), destination=(2, 0)),
        sample((2, 0, 4), source=2, destination=1),
    ],
)
def moveaxis(a: Array, source: Any, destination: Any) -> Array:
    """Axes moved to other places; the rest keeps its order.

    >>> moveaxis(tensor([[[1.0], [2.0]]]), 0, -1).shape
    (2, 1, 1)
    """


@operator(
    np.squeeze,
    vjp=lambda g, _ans, _x, axis=None: np.reshape(g, _x.shape),
    view=True,
    samples=[
        sample((1, 3, 1)), sample((1, 3, 1), axis=0), sample((1, 2, 1), axis=(0, -1)),
        sample((1, 1)), sample((1, 0)),
    ],
)  # fmt: skip
def squeeze(a: Array, axis: Axis = None) -> Array:
    """Axes of length 1 removed: those given, or all.

    >>> squeeze(tensor([[[1.0, 2.0]]])).shape
    (2,)
    """


@operator(
    np.expand_dims,
    vjp=lambda g, _ans, _x, axis: np.reshape(g, _x.shape),
    view=True,
    samples=[
        sample((2, 3), axis=1),
        sample((), axis=0),
        sample((3,), axis=(0, -1)),
        sample((0,), axis=1),
    ],
)
def expand_dims(a: Array, axis: int | tuple[int, ...]) -> Array:
    """New axes of length 1 at these places of the result.

    >>> expand_dims(tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """


@operator(
    np.broadcast_to,
    # The engine sums g back to the input's shape: here, that is the whole derivative.
    vjp=lambda g, *_, shape: g,
    view=True,
    samples=[
        sample((3,), shape=(2, 3)), sample((), shape=(2, 2)), sample((4, 1), shape=(2, 4, 3)),
        sample((1, 2), shape=(0, 2)), sample((0, 1), shape=(2, 0, 3)),
    ],
)  # fmt: skip
def broadcast_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The array repeated along new axes and axes of length 1, up to ``shape``.

    >>> broadcast_to(tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """


@composite(
    (np.matrix_transpose, np.linalg.matrix_transpose), samples=[sample((2, 3)), sample((0, 2, 3))]
)
def matrix_transpose(x: Array) -> Array:
    """The last two axes exchanged, as x.mT.

    x (..., m, n) gives (..., n, m). Raises ValueError for fewer than two axes.

    >>> matrix_transpose(tensor([[1.0, 2.0]])).shape
    (2, 1)
    """
    if x.ndim < 2:
        raise ValueError(f"expected at least two axes, got shape {x.shape}")
    return np.swapaxes(x, -1, -2)


@composite(np.rollaxis, samples=[sample((2, 3, 4), axis=2), sample((2, 0, 3), axis=0, start=2)])
def rollaxis(a: Array, axis: int, start: int = 0) -> Array:
    """One axis moved back until it lies before ``start``; see :func:`minigrad.moveaxis`.

    Raises ValueError for axes that are not there.

    >>> rollaxis(tensor([[1.0, 2.0]]), 1).shape
    (2, 1)
    """
    axis, start = one_axis(axis, a.ndim), start + a.ndim if start < 0 else start
    if not 0 <= start <= a.ndim:
        raise np.exceptions.AxisError(start, a.ndim + 1)
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


def as_float(x: Any) -> Any:
    """The tensor itself, or its whole numbers or booleans in float64, as NumPy's own way is.

    Raises TypeError for complex numbers, which would lose their imaginary parts.
    """
    if x.dtype.kind == "c":
        raise TypeError(f"expected real numbers, got {x.dtype}")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


@composite((np.copy, np.real, np.real_if_close))
def copy(a: Array) -> Array:
    """The same values as a new node. A tensor cannot be changed, so nothing is copied.

    >>> copy(tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return np.positive(a) if a.dtype.kind == "f" else a


@constant(np.imag)
def imag(val: Array) -> Array:
    """The imaginary part: zeros, as tensors are real.

    >>> imag(tensor([1.0, 2.0]))
    tensor([0., 0.])
    """


_SHAPES = [sample(shape) for shape in ((), (3,), (2, 3), (0, 2), (2, 1, 3))] + [sample((), (2,))]


def _at_least(arrays: tuple[Any, ...], reshaped: Callable[[tuple[int, ...]], Any]) -> Any:
    """Each array in another shape; one alone, several in a tuple."""
    made = [np.reshape(t, reshaped(t.shape)) for t in map(engine.as_tensor, arrays)]
    return made[0] if len(made) == 1 else tuple(made)


@composite(np.atleast_1d, arrays=0, samples=_SHAPES)
def atleast_1d(*arrays: Array) -> Any:
    """Each array with at least one axis; several arrays give a tuple.

    >>> atleast_1d(tensor(1.0))
    tensor([1.])
    """
    return _at_least(arrays, lambda shape: shape or (1,))


@composite(np.atleast_2d, arrays=0, samples=_SHAPES)
def atleast_2d(*arrays: Array) -> Any:
    """Each array with at least two axes, new ones first; several arrays give a tuple.

    >>> atleast_2d(tensor([1.0, 2.0])).shape
    (1, 2)
    """
    return _at_least(arrays, lambda shape: (1,) * (2 - len(shape)) + shape)


@composite(np.atleast_3d, arrays=0, samples=_SHAPES)
def atleast_3d(*arrays: Array) -> Any:
    """Each array with at least three axes: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1).

    >>> atleast_3d(tensor([1.0, 2.0])).shape
    (1, 2, 1)
    """
    known: dict[int, Any] = {0: lambda s: (1, 1, 1), 1: lambda s: (1, *s, 1), 2: lambda s: (*s, 1)}
    return _at_least(arrays, lambda s: known.get(len(s), tuple)(s))


@composite_of_many(
    np.broadcast_arrays, arrays=0, samples=[sample((2, 1), (3,)), sample((0, 1), ())]
)
def broadcast_arrays(*arrays: Array) -> tuple[Tensor, ...]:
    """The arrays broadcast against each other, in a tuple.

    >>> [t.shape for t in broadcast_arrays(tensor([1.0, 2.0]), 3.0)]
    [(2,), (2,)]
    """
    tensors: list[Any] = [engine.as_tensor(a) for a in arrays]
    shape = np.broadcast_shapes(*[t.shape for t in tensors])
    wide: list[Any] = [np.broadcast_to(t, shape) for t in tensors]
    return tuple(wide)


@composite_of_many(
    np.meshgrid, arrays=0, samples=[sample((2,), (3,)), sample((2,), (3,), (0,), indexing="ij")]
)
def meshgrid(*arrays: Array, indexing: str = "xy", sparse: bool = False) -> tuple[Tensor, ...]:
    """Coordinates of a grid from those of its axes: x runs along the columns with "xy".

    Raises ValueError for an ``indexing`` other than "xy" and "ij".

    >>> meshgrid(tensor([1.0, 2.0]), tensor([5.0]))[0]
    tensor([[1., 2.]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', got {indexing!r}")
    places = [*range(len(arrays))]
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = [1, 0]
    made: list[Any] = [
        np.reshape(t, [t.size if i == place else 1 for i in range(len(arrays))])
        for t, place in zip(map(engine.as_tensor, arrays), places, strict=True)
    ]
    return tuple(made) if sparse else broadcast_arrays(*made)


@operator(
    np.flip,
    vjp=lambda g, _ans, _x, axis=None: np.flip(g, axis),
    view=True,
    samples=[sample((2, 3)), sample((2, 3), axis=1), sample((0, 2), axis=(0, 1)), sample(())],
)
def flip(m: Array, axis: Axis = None) -> Array:
    """The order of elements reversed along the axes; along all when ``axis`` is None.

    >>> flip(tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """


@composite(np.flipud, samples=[sample((2, 3)), sample((3,)), sample((0, 2))])
def flipud(m: Array) -> Array:
    """The order reversed along the first axis: upside down.

    >>> flipud(tensor([1.0, 2.0]))
    tensor([2., 1.])
    """
    return np.flip(m, 0)


@composite(np.fliplr, samples=[sample((2, 3)), sample((0, 2, 2))])
def fliplr(m: Array) -> Array:
    """The order reversed along the second axis: left to right.

    >>> fliplr(tensor([[1.0, 2.0]]))
    tensor([[2., 1.]])
    """
    return np.flip(m, 1)


@composite(
    np.rot90,
    samples=[sample((2, 3), k=k) for k in (0, 1, 2, 3, -1)]
    + [sample((2, 3, 4), axes=(2, 0)), sample((0, 3))],
)
def rot90(m: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """m turned ``k`` times by 90 degrees, from the first of the two axes towards the second.

    Raises ValueError for axes that are one and the same, or not there.

    >>> rot90(tensor([[1.0, 2.0]]))
    tensor([[2.],
            [1.]])
    """
    first, second = (one_axis(a, m.ndim) for a in axes)
    if first == second:
        raise ValueError(f"axes must be two different ones, got {axes}")
    flipped = np.flip(m, ((), second, (first, second), first)[k % 4])
    return np.swapaxes(flipped, first, second) if k % 2 else flipped


@operator(
    np.roll,
    vjp=lambda g, _ans, _x, shift, axis=None: np.roll(g, np.negative(shift), axis),
    samples=[
        sample((4,), shift=1), sample((2, 3), shift=-2), sample((2, 3), shift=4, axis=1),
        sample((2, 3, 2), shift=(1, 2), axis=(0, -1)), sample((0, 2), shift=1), sample((), shift=1),
    ],
)  # fmt: skip
def roll(a: Array, shift: Any, axis: Axis = None) -> Array:
    """The elements moved by ``shift`` places along the axes; what leaves comes in at the start.

    >>> roll(tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """


@composite(
    np.repeat,
    samples=[
        sample((2, 3), repeats=2), sample((2, 3), repeats=2, axis=1), sample((), repeats=3),
        sample((3,), repeats=[1, 0, 2]), sample((0, 2), repeats=2, axis=0),
        sample((2, 3), repeats=np.array([3, 1]), axis=-2), sample((3,), repeats=0),
    ],
)  # fmt: skip
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    """Each element ``repeats`` times in a row, along ``axis``; flattened first when None.

    ``repeats``: one number, or one for each element of the axis.

    >>> repeat(tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    a, line = one_line(a, axis)
    times = np.asarray(engine.constant(repeats))
    if times.size == 1 and times.dtype.kind == "i":
        n = int(times.reshape(()))
        wide = np.broadcast_to(
            np.expand_dims(a, line + 1), (*a.shape[: line + 1], n, *a.shape[line + 1 :])
        )
        return np.reshape(wide, (*a.shape[:line], a.shape[line] * n, *a.shape[line + 1 :]))
    return take_axis(a, line, np.repeat(np.arange(a.shape[line]), times))


@composite(
    np.tile,
    samples=[
        sample((2, 3), reps=2), sample((3,), reps=(2, 2)), sample((), reps=(2, 3)),
        sample((2, 3, 2), reps=(2, 1)), sample((0, 2), reps=2), sample((3,), reps=0),
    ],
)  # fmt: skip
def tile(A: Array, reps: Any) -> Array:
    """``A`` laid side by side ``reps`` times along each axis (the last ones, when fewer are given).

    >>> tile(tensor([1.0, 2.0]), 2)
    tensor([1., 2., 1., 2.])
    """
    times = tuple(operator_index(n) for n in np.atleast_1d(engine.constant(reps)))
    ndim = max(A.ndim, len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - A.ndim) + A.shape
    thin = np.reshape(A, [n for length in shape for n in (1, length)])
    wide = np.broadcast_to(thin, [n for pair in zip(times, shape, strict=True) for n in pair])
    return np.reshape(wide, [t * n for t, n in zip(times, shape, strict=True)])


@composite(
    np.resize,
    samples=[
        sample((2, 3), new_shape=(3, 3)),
        sample((3,), new_shape=2),
        sample((0,), new_shape=0),
    ],
)
def resize(a: Array, new_shape: Any) -> Array:
    """A new shape, filled with as many copies of the elements of ``a`` as it takes.

    Raises ValueError for negative lengths.

    >>> resize(tensor([1.0, 2.0]), (3,))
    tensor([1., 2., 1.])
    """
    size = math.prod(new_shape) if isinstance(new_shape, (tuple, list)) else new_shape
    if size < 0:
        raise ValueError(f"new_shape must not be negative, got {new_shape}")
    if not a.size:
        return np.zeros(new_shape, dtype=a.dtype)
    return np.reshape(np.ravel(a)[np.arange(size) % a.size], new_shape)


permute_dims = transpose
real = copy
