"""Choosing elements: indexing of every kind, take, where, and functions given piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index as operator_index
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.kernels.indices import is_basic
from minigrad.operators.declare import Array, composite, dtypes_of, engine, operator, weak
from minigrad.operators.domain import positive, sample


def one_axis(axis: Any, ndim: int) -> int:
    """The axis, counted from the front. Raises AxisError for one that is not there."""
    axis = operator_index(axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return int(axis % ndim)


def take_axis(x: Any, axis: int, index: Any) -> Any:
    """The elements of x at this index of one axis."""
    return x[(slice(None),) * one_axis(axis, x.ndim) + (index,)]


class Placed:
    """A gradient that is 0 but for ``values`` at an index without repeated places.

    The backward pass adds it to what other slices of the same array gave, at its place only: a
    whole array for each slice would make a loop over slices quadratic.
    """

    def __init__(self, values: Any, index: Any, shape: tuple[int, ...]) -> None:
        self.values, self.index, self.shape = values, index, shape
        self.dtype = values.dtype

    @property
    def _data(self) -> Any:
        return self.added_to(np.zeros(self.shape, self.dtype))

    def added_to(self, total: Any) -> Any:
        """``total``, written in place."""
        total[self.index] += self.values
        return total


def _getitem_vjp(g: Any, _ans: Any, _x: Any, index: Any) -> Any:
    if type(g) is np.ndarray and is_basic(index):
        return Placed(g, index, _x.shape)
    return scatter(g, index, _x.shape)


@operator(
    vjp=_getitem_vjp,
    view=True,
    reference=lambda x, index: x[index],
    samples=[
        sample((4,), index=2), sample((4, 3), index=(slice(None, None, -2), 1)),
        sample((4, 3), index=(..., None, 0)), sample((4, 3), index=([0, 0, 2],)),
        sample((4, 3), index=(np.array([[0, 1], [1, 1]]), slice(1, None))),
        sample((2, 3), index=np.array([[True, False, True], [False, False, True]])),
        sample((4, 3), index=(np.array([1, 1]), np.array([0, 0]))), sample((3,), index=slice(0, 0)),
        sample((0, 3), index=(slice(None), [1, 1])),
        sample((), index=...), sample((4, 3, 2), index=(np.array([0, 3]), slice(None), 1)),
    ],
)  # fmt: skip
def getitem(x: Array, index: Any) -> Array:
    """x[index], for every index that NumPy knows; repeated elements add up their gradients.

    >>> getitem(tensor([1.0, 2.0, 3.0]), [0, 0, 2])
    tensor([1., 1., 3.])
    """
    return kernels.gather(x, index)


@operator(
    vjp=lambda g, _ans, _x, index, shape: kernels.on(g).gather(g, index),
    samples=[
        sample((2,), index=([0, 3],), shape=(4,)), sample((2,), index=([1, 1],), shape=(4,)),
        sample((2, 2, 3), index=np.array([[0, -1], [0, 1]]), shape=(4, 3)),
        sample((2, 3), index=slice(1, 3), shape=(4, 3)),
        sample((0,), index=slice(0, 0), shape=(3,)),
    ],
)  # fmt: skip
def scatter(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of this shape with x added at ``index``: the adjoint of indexing.

    >>> scatter(tensor([1.0, 2.0]), ([1, 1],), (3,))
    tensor([0., 3., 0.])
    """
    return kernels.scatter(x, index, shape)


@operator(
    np.where,
    vjp=(
        None,
        lambda g, _ans, condition, *_: np.where(condition, g, 0.0),
        lambda g, _ans, condition, *_: np.where(condition, 0.0, g),
    ),
    samples=[
        sample(np.array([True, False, True]), (3,), (3,)),
        sample(np.array([[True], [False]]), (3,), ()),
        sample(np.array(True), (2, 2), (1, 2)),
        sample(np.array(False), (0, 2), ()),
    ],
)
def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, y elsewhere.

    Both sides are computed: a NaN in the side not taken reaches the gradient through its own rule
    (0 * inf). :func:`minigrad.where_safe` computes only what is taken. The shapes broadcast. Raises
    ValueError when only the condition is given.

    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if x is None or y is None:
        raise ValueError("where: expected a condition and two values; np.nonzero gives indices")
    return np.where(condition, x, y)


@composite(
    arrays=0,
    domain=(positive, positive),
    samples=[
        sample(np.array([True, False, True]), np.sqrt, (3,)),
        sample(np.array([[True], [False]]), np.log, (2, 3)), sample(np.array(True), np.sin, ()),
        sample(np.array([False, False]), np.log, (2,), fill_value=2.0),
        sample(np.ones((0, 2), dtype=bool), np.exp, (0, 2)),
        sample(np.array([True, False]), np.power, (2,), (1,)),
    ],
)  # fmt: skip
def where_safe(
    condition: Array, function: Callable[..., Any], *arrays: Array, fill_value: Array = 0.0
) -> Array:
    """function(*arrays) where the condition holds, and ``fill_value`` elsewhere.

    ``function`` works elementwise: it gets just the elements that are taken, in one axis, so no NaN
    of an element that is not taken can reach the value or a gradient. Raises ValueError when it
    gives another number of elements.

    >>> x = tensor([4.0, 0.0], requires_grad=True)
    >>> where_safe(x > 0, np.sqrt, x).sum().backward()
    >>> x.grad
    tensor([0.25, 0.  ])
    """
    taken = engine.constant(condition)
    tensors = np.broadcast_arrays(taken, *map(engine.as_tensor, arrays))
    taken = engine.constant(tensors[0]).astype(bool)
    found = function(*[t[taken] for t in tensors[1:]])
    made, n = engine.as_tensor(weak(found, dtypes_of(tensors[1:]))), int(np.count_nonzero(taken))
    if made.shape != (n,) and not isinstance(found, (int, float)):
        raise ValueError(
            f"expected an elementwise function, but {n} elements gave shape {made.shape}"
        )
    placed = scatter(np.broadcast_to(made, (n,)), taken, taken.shape)
    return np.where(taken, placed, fill_value)


def on_axis(x: Any, axis: int, ndim: int) -> Any:
    """A vector along one of so many axes."""
    return np.reshape(x, [-1 if a == one_axis(axis, ndim) else 1 for a in range(ndim)])


def one_line(x: Any, axis: int | None) -> tuple[Any, int]:
    """x, flattened when the axis is None, and that axis counted from the front."""
    if axis is None:
        return np.reshape(x, x.size), 0
    return x, one_axis(axis, x.ndim)


def _inside(places: Any, n: int, mode: str) -> Any:
    """The places, with those outside n elements wrapped or clipped."""
    if mode == "wrap":
        return places % n
    if mode == "clip":
        return np.clip(places, 0, n - 1)
    if mode != "raise":
        raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    return places


@composite(
    np.take,
    samples=[
        sample((4,), np.array([0, 0, 2])), sample((2, 3), np.array([[0, 2], [2, 2]]), axis=1),
        sample((2, 3), 4), sample((0, 3), np.array([1]), axis=1), sample((4, 2), -1, axis=0),
        sample((3,), np.array([5, -1]), mode="wrap"), sample((3,), np.array([5, -1]), mode="clip"),
    ],
)  # fmt: skip
def take(a: Array, indices: Array, axis: int | None = None, mode: str = "raise") -> Array:
    """The elements of ``a`` at ``indices`` along ``axis``; flattened first when None.

    ``mode``: what becomes of an index outside: "raise" (IndexError), "wrap" round or "clip". a (n,)
    and indices (...) give (...). Raises as ``mode`` tells, and ValueError for another mode.

    >>> take(tensor([1.0, 2.0, 3.0]), [2, 0])
    tensor([3., 1.])
    """
    a, line = one_line(a if np.ndim(a) else np.reshape(a, 1), axis)
    places = np.asarray(engine.constant(indices))
    places = places.astype(np.intp) if places.dtype.kind == "b" else places
    places = _inside(places, a.shape[line], mode)
    return take_axis(a, line, places)


@composite(
    np.take_along_axis,
    samples=[
        sample((2, 3), np.array([[0, 0], [2, 1]]), axis=1),
        sample((4,), np.array([3, 3]), axis=None),
        sample((3, 2), np.array([[2, 0]]), axis=0),
        sample((0, 2), np.ones((0, 1), dtype=int), axis=1),
        sample((2, 1, 3), np.array([[[1], [0], [2]]]), axis=-1),
    ],
)  # fmt: skip
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    """For each row along ``axis``, its own elements: arr[i, indices[i, j]] for the last of two.

    ``indices`` broadcasts against arr on the other axes, as what argsort and argmax give. Raises
    ValueError for indices with another number of axes.

    >>> take_along_axis(tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    arr, line = one_line(arr, axis)
    places = np.asarray(engine.constant(indices))
    if places.ndim != arr.ndim:
        raise ValueError(f"expected indices with {arr.ndim} axes, got shape {places.shape}")
    index: list[Any] = [*np.indices(arr.shape, sparse=True)]
    index[line] = places
    return arr[tuple(index)]


@composite(
    np.compress,
    arrays=0,
    samples=[
        sample(np.array([True, False, True]), (3,)),
        sample(np.array([False, True]), (3, 2), axis=1),
        sample(np.array([True]), (0, 2), axis=1),
    ],
)  # fmt: skip
def compress(condition: Array, a: Array, axis: int | None = None) -> Array:
    """The elements of ``a`` along ``axis`` where the condition, of one axis, holds.

    Raises ValueError for a condition of several axes.

    >>> compress([True, False], tensor([1.0, 2.0]))
    tensor([1.])
    """
    chosen = np.asarray(engine.constant(condition))
    if chosen.ndim != 1:
        raise ValueError(f"condition must have one axis, got shape {chosen.shape}")
    return take(a, np.flatnonzero(chosen), axis)


@composite(
    np.extract,
    arrays=0,
    samples=[sample(np.array([[True, False], [True, True]]), (2, 2)), sample(np.array([]), (0,))],
)
def extract(condition: Array, arr: Array) -> Array:
    """The elements of arr where the condition, of the same shape, holds, in one axis.

    >>> extract(tensor([True, False]), tensor([1.0, 2.0]))
    tensor([1.])
    """
    return take(arr, np.flatnonzero(engine.constant(condition)))


@composite(
    np.choose,
    arrays=0,
    samples=[
        sample(np.array([0, 1, 1]), [(3,), ()]),
        sample(np.array([[2, -1]]), [(2,), (2, 1)], mode="wrap"),
        sample(np.array([0], dtype=int)[:0], [(0,), ()]),
    ],
)  # fmt: skip
def choose(a: Array, choices: Sequence[Array], mode: str = "raise") -> Array:
    """For each element i of ``a``, the element at its place of choices[i]; all broadcast.

    ``mode``: what becomes of an index outside: "raise" (ValueError), "wrap" round or "clip". Raises
    ValueError for another mode, TypeError for an ``a`` that holds no whole numbers.

    >>> choose([1, 0], [tensor([1.0, 2.0]), tensor([10.0, 20.0])])
    tensor([10.,  2.])
    """
    n = len(choices)
    which = np.asarray(engine.constant(a))
    if which.dtype.kind not in "iub" and which.size:
        raise TypeError(f"a must hold whole numbers, got {which.dtype}")
    which = _inside(which, n, mode)
    if which.size and not 0 <= which.min() <= which.max() < n:
        raise ValueError(f"indices {which.min()} to {which.max()} for {n} choices; see mode=")
    return select([which == i for i in range(n)], choices, choices[0])


@composite(
    np.select,
    arrays=0,
    samples=[
        sample([np.array([True, False, False]), np.array([True, True, False])], [(3,), (3,)]),
        sample([np.array([[True], [False]])], [(3,)], 0.5),
        sample([np.ones(0, dtype=bool)], [(0,)]),
    ],
)  # fmt: skip
def select(condlist: Sequence[Array], choicelist: Sequence[Array], default: Array = 0) -> Array:
    """At each place the choice whose condition is the first to hold there, else ``default``.

    Raises ValueError when there are not as many choices as conditions.

    >>> x = tensor([-1.0, 0.5, 2.0])
    >>> select([x < 0, x > 1], [-x, x * 10.0])
    tensor([ 1.,  0., 20.])
    """
    if len(condlist) != len(choicelist) or not len(choicelist):
        raise ValueError(f"got {len(condlist)} conditions and {len(choicelist)} choices")
    chosen = engine.as_tensor(weak(choicelist[-1], dtypes_of([*choicelist, default])))
    chosen = np.where(condlist[-1], chosen, default)
    for condition, choice in zip(condlist[-2::-1], choicelist[-2::-1], strict=True):
        chosen = np.where(condition, choice, chosen)
    return chosen


def _masks(conditions: Any, shape: tuple[int, ...]) -> list[Any]:
    """One mask of this shape for each condition; NumPy's rule tells whether there is only one."""
    given = conditions if isinstance(conditions, (list, tuple)) else engine.constant(conditions)
    one = not isinstance(given, (list, tuple)) and not np.ndim(given)
    if not one and shape and len(given):
        one = not isinstance(engine.constant(given[0]), (list, np.ndarray))
    masks = [np.asarray(engine.constant(c), bool) for c in ([given] if one else given)]
    # One of fewer axes is about the first ones, as where it is an index.
    whole = [np.reshape(m, m.shape + (1,) * (len(shape) - m.ndim)) for m in masks]
    return [np.broadcast_to(m, shape) for m in whole]


_HALF = np.array([True, False, True])


@composite(
    np.piecewise,
    domain=positive,
    samples=[
        sample((3,), [_HALF, ~_HALF], [np.log, np.sin]), sample((3,), [_HALF], [np.square]),
        sample((2, 3), [np.ones((2, 3), dtype=bool)], [np.exp, 1.0]),
        sample((0,), [np.ones(0, dtype=bool)], [np.sqrt]),
    ],
)  # fmt: skip
def piecewise(
    x: Array, condlist: Sequence[Array], funclist: Sequence[Any], *args: Any, **kw: Any
) -> Array:
    """A function given in pieces: funclist[i](x) where condlist[i] holds (the last that does).

    One function more than conditions: the last one is for where none holds; else that is 0. A
    number may stand for a function. As in :func:`minigrad.where_safe`, each function gets only
    its own elements. Raises ValueError for other numbers of functions.

    >>> x = tensor([-4.0, 9.0])
    >>> piecewise(x, [x < 0, x >= 0], [np.negative, np.sqrt])
    tensor([4., 3.])
    """
    masks = _masks(condlist, x.shape)
    if len(funclist) not in (len(masks), len(masks) + 1):
        raise ValueError(f"got {len(masks)} conditions and {len(funclist)} functions")
    rest = ~np.any(masks, axis=0) if masks else np.ones(x.shape, bool)
    pieces = [*zip(masks, funclist, strict=False)]
    pieces += [(rest, funclist[-1])] if len(funclist) > len(masks) else []
    total = np.zeros_like(x)
    for mask, function in pieces:

        def piece(t: Any, f: Any = function) -> Any:
            made = weak(f(t, *args, **kw) if callable(f) else f, [t.dtype])
            made = engine.as_tensor(made).astype(x.dtype)
            return made if made.ndim else np.broadcast_to(made, t.shape)

        total = where_safe(mask, piece, x, fill_value=total)
    return total
