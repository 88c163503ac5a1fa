"""Operators that move elements about without computing: reshape, transpose, join, pad, convert."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite, operator
from minigrad.operators.domain import sample

__all__ = [
    "astype", "broadcast_to", "concatenate", "expand_dims", "moveaxis", "pad", "ravel",
    "reshape", "squeeze", "stack", "swapaxes", "transpose",
]  # fmt: skip


@operator(
    vjp=lambda g, *_, dtype=None: g,
    view=True,
    samples=[sample(shape, dtype=np.dtype(np.float64)) for shape in ((), (2, 3), (0, 2))],
)
def astype(x: Array, dtype: Any = np.float32) -> Array:
    """The elements converted to ``dtype``; a conversion to integers or booleans is constant.

    >>> astype(tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    return np.asarray(x).astype(dtype, copy=False)


@operator(
    np.reshape,
    vjp=lambda g, _ans, _x, shape=None: np.reshape(g, _x.shape),
    view=True,
    samples=[
        sample((2, 3), shape=(3, 2)), sample((2, 3), shape=-1), sample((), shape=(1, 1)),
        sample((0, 2), shape=(2, 0)), sample((2, 3, 2), shape=(-1, 2)),
    ],
)  # fmt: skip
def reshape(x: Array, shape: Any) -> Array:
    """The same elements in another shape; one length may be -1, to be worked out.

    >>> reshape(tensor([1.0, 2.0, 3.0, 4.0]), (2, 2))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return np.reshape(x, shape)


@composite(np.ravel)
def ravel(x: Array) -> Array:
    """All elements along one axis, in C order.

    >>> ravel(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return np.reshape(x, -1)


def _inverse(axes: tuple[int, ...] | None, ndim: int) -> list[int] | None:
    """The order of axes that undoes this one."""
    return None if axes is None else [int(i) for i in np.argsort([a % ndim for a in axes])]


@operator(
    np.transpose,
    vjp=lambda g, _ans, _x, axes=None: np.transpose(g, _inverse(axes, _x.ndim)),
    view=True,
    samples=[
        sample((2, 3)), sample((2, 3, 4), axes=(1, 2, 0)), sample(()), sample((2, 0, 3)),
        sample((2, 3, 4), axes=(-1, 0, 1)),
    ],
)  # fmt: skip
def transpose(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """The axes in another order; reversed when ``axes`` is None.

    >>> transpose(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    return np.transpose(x, axes)


@operator(
    np.swapaxes,
    vjp=lambda g, _ans, _x, axis1, axis2: np.swapaxes(g, axis1, axis2),
    view=True,
    samples=[sample((2, 3, 4), axis1=0, axis2=-1), sample((2, 0), axis1=0, axis2=1)],
)
def swapaxes(x: Array, axis1: int, axis2: int) -> Array:
    """Two axes exchanged.

    >>> swapaxes(tensor([[1.0, 2.0]]), 0, 1).shape
    (2, 1)
    """
    return np.swapaxes(x, axis1, axis2)


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
def moveaxis(x: Array, source: Any, destination: Any) -> Array:
    """Axes moved to other places; the rest keeps its order.

    >>> moveaxis(tensor([[[1.0], [2.0]]]), 0, -1).shape
    (2, 1, 1)
    """
    return np.moveaxis(x, source, destination)


@operator(
    np.squeeze,
    vjp=lambda g, _ans, _x, axis=None: np.reshape(g, _x.shape),
    view=True,
    samples=[
        sample((1, 3, 1)), sample((1, 3, 1), axis=0), sample((1, 2, 1), axis=(0, -1)),
        sample((1, 1)), sample((1, 0)),
    ],
)  # fmt: skip
def squeeze(x: Array, axis: Axis = None) -> Array:
    """Axes of length 1 removed: those given, or all.

    >>> squeeze(tensor([[[1.0, 2.0]]])).shape
    (2,)
    """
    return np.squeeze(x, axis=axis)


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
def expand_dims(x: Array, axis: int | tuple[int, ...]) -> Array:
    """New axes of length 1 at these places of the result.

    >>> expand_dims(tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    return np.expand_dims(x, axis)


@operator(
    np.broadcast_to,
    # The engine sums g back to the input's shape: here, that is the whole derivative.
    vjp=lambda g, *_, shape=None: g,
    view=True,
    samples=[
        sample((3,), shape=(2, 3)), sample((), shape=(2, 2)), sample((4, 1), shape=(2, 4, 3)),
        sample((1, 2), shape=(0, 2)), sample((0, 1), shape=(2, 0, 3)),
    ],
)  # fmt: skip
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    """x repeated along new axes and axes of length 1, up to ``shape``.

    >>> broadcast_to(tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return np.broadcast_to(x, shape)


def _concatenate_vjp(i: int, g: Any, _ans: Any, *_xs: Any, axis: int | None = 0) -> Any:
    if axis is None:
        start = int(np.sum([x.size for x in _xs[:i]]))
        return np.reshape(g[start : start + _xs[i].size], _xs[i].shape)
    start = int(np.sum([x.shape[axis] for x in _xs[:i]]))
    along = slice(start, start + _xs[i].shape[axis])
    return g[(slice(None),) * (axis % g.ndim) + (along,)]


@operator(
    np.concatenate,
    vjp=_concatenate_vjp,
    variadic=True,
    samples=[
        sample([(2, 3), (4, 3)]), sample([(2, 3), (2, 1), (2, 0)], axis=-1), sample([(3,)]),
        sample([(2, 2), (3,)], axis=None),
    ],
)  # fmt: skip
def concatenate(arrays: Array, axis: int | None = 0) -> Array:
    """Arrays joined along an existing axis; flattened first when ``axis`` is None.

    >>> concatenate([tensor([1.0]), tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    return np.concatenate(arrays, axis=axis)


def _stack_vjp(i: int, g: Any, _ans: Any, *_xs: Any, axis: int = 0) -> Any:
    return g[(slice(None),) * (axis % g.ndim) + (i,)]


@operator(
    np.stack,
    vjp=_stack_vjp,
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
    return np.stack(arrays, axis=axis)


def _pad_vjp(
    g: Any, _ans: Any, _x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0
) -> Any:
    widths = np.broadcast_to(pad_width, (_x.ndim, 2))
    inner = tuple(
        slice(int(low), int(low) + n) for (low, _), n in zip(widths, _x.shape, strict=True)
    )
    return g[inner]


@operator(
    np.pad,
    vjp=_pad_vjp,
    samples=[
        sample((2, 3), pad_width=1), sample((2, 3), pad_width=((0, 1), (2, 0))),
        sample((3,), pad_width=(1, 2), constant_values=5.0),
        sample((0, 2), pad_width=1),
    ],
)  # fmt: skip
def pad(x: Array, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Array:
    """x with ``pad_width`` elements of ``constant_values`` put around it, as in np.pad.

    >>> pad(tensor([1.0, 2.0]), 1)
    tensor([0., 1., 2., 0.])
    """
    if mode != "constant":
        raise ValueError(f"pad: unknown mode {mode!r}; expected 'constant'")
    return np.pad(x, pad_width, constant_values=constant_values)
