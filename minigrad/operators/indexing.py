"""Choosing elements: indexing of every kind, and where."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample

__all__ = ["getitem", "scatter", "where"]


def _getitem_vjp(g: Any, _ans: Any, _x: Any, index: Any) -> Any:
    return scatter(g, index, _x.shape)


@operator(
    vjp=_getitem_vjp,
    view=True,
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
    return x[index]


def _is_basic(index: Any) -> bool:
    """Whether an index picks every element at most once, as slices and integers do."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer))
        for part in parts
        if not isinstance(part, bool)
    ) and not any(isinstance(part, bool) for part in parts)


@operator(
    vjp=lambda g, _ans, _x, index, shape: g[index],
    samples=[
        sample((2,), index=([0, 3],), shape=(4,)), sample((2,), index=([1, 1],), shape=(4,)),
        sample((2, 3), index=slice(1, 3), shape=(4, 3)),
        sample((0,), index=slice(0, 0), shape=(3,)),
    ],
)  # fmt: skip
def scatter(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of this shape with x added at ``index``: the adjoint of indexing.

    >>> scatter(tensor([1.0, 2.0]), ([1, 1],), (3,))
    tensor([0., 3., 0.])
    """
    out = np.zeros(shape, dtype=x.dtype)
    if _is_basic(index):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


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

    Both sides are computed: a NaN in the side not taken reaches the gradient through its own
    rule (0 * inf). Make the argument safe first, e.g. ``log(where(x > 0, x, 1))``.

    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if x is None or y is None:
        raise ValueError("where: expected a condition and two values; see np.nonzero for indices")
    return np.where(condition, x, y)
