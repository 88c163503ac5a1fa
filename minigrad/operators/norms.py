"""Norms of vectors and matrices, and condition numbers.

Where squares would leave the range of the dtype, the elements are scaled first, as BLAS does. At 0
a norm has the gradient 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.arithmetic import divide_or_zero
from minigrad.operators.declare import Array, Axis, composite, engine, operator
from minigrad.operators.decompositions import distinct_singular, svdvals
from minigrad.operators.domain import nonzero, sample, well_conditioned
from minigrad.operators.reductions import AXES, axes_of, expand_reduced
from minigrad.operators.shapes import as_float


def _order(ord: Any) -> Any:
    """``ord`` as a word or a number, also out of an array of one."""
    plain = engine.constant(ord)
    if not isinstance(plain, np.ndarray):
        return plain
    if plain.size != 1:
        raise TypeError(f"ord must be a number or a word, got an array of shape {plain.shape}")
    return plain.item()


def _of_scaled(total: Any, root: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """root(total(x)), or that of x over its largest element where the total would leave the range.

    ``total`` sums powers of x over the axes, and ``root`` undoes the power.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = np.asarray(total(x, axis=axis, keepdims=keepdims))
        limits = np.finfo(found.dtype)
        low = limits.tiny / limits.eps
        if not x.size or (found.min() >= low and found.max() <= limits.max):
            return root(found)
        largest = np.max(np.abs(x), axis=axis, keepdims=True)
        scale = np.where((largest > 0) & (largest <= limits.max), largest, 1)
        found = root(total(x / scale, axis=axis, keepdims=keepdims))
        return found * scale.reshape(np.shape(found))


@operator(
    vjp=lambda g, ans, x, axis=None, keepdims=False: (
        expand_reduced(g, axis, keepdims) * divide_or_zero(x, expand_reduced(ans, axis, keepdims))
    ),
    domain=nonzero,
    samples=AXES,
    wide=True,
)
def _euclidean_norm(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return _of_scaled(lambda x, **over: np.sum(x * x, **over), np.sqrt, x, axis, keepdims)


def _p_norm_vjp(
    g: Any, ans: Any, x: Any, p: float, axis: Axis = None, keepdims: bool = False
) -> Any:
    share = divide_or_zero(x, expand_reduced(ans, axis, keepdims))
    return (
        expand_reduced(g, axis, keepdims)
        * np.sign(x)
        * np.where(x == 0, 0.0, np.power(np.where(x == 0, 1.0, np.abs(share)), p - 1.0))
    )


@operator(
    vjp=_p_norm_vjp,
    domain=nonzero,
    samples=[
        sample((3,), p=3.0), sample((2, 3), p=1.5, axis=1),
        sample((2, 3), p=0.5, axis=0, keepdims=True),
        sample((0, 2), p=3.0, axis=1), sample((3,), p=-2.0),
    ],
    wide=True,
)  # fmt: skip
def _p_norm(x: Array, p: float, axis: Axis = None, keepdims: bool = False) -> Array:
    def total(x: Array, **over: Any) -> Array:
        return np.sum(np.power(np.abs(x), p), **over)

    return _of_scaled(total, lambda sums: np.power(sums, 1.0 / p), x, axis, keepdims)


@composite(
    np.linalg.vector_norm,
    domain=nonzero,
    samples=[
        *AXES, sample((2, 3), ord=1, axis=1), sample((4,), ord=np.inf), sample((4,), ord=-np.inf),
        sample((2, 3), ord=3, axis=(0, 1)), sample((4,), ord=-1.0),
    ],
    wide=True,
)  # fmt: skip
def vector_norm(x: Array, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """The p-norm `(sum |x|^p)^(1/p)`, with p = ``ord``, of all elements over the axes.

    ``ord`` may be inf (the largest |x|), -inf (the smallest) and 0 (how many are not 0; constant).
    Where the norm is 0, so is its gradient. Raises ValueError for another word as ``ord``.

    >>> vector_norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    x, ord = as_float(x), _order(ord)
    axes_of(axis, x.ndim)
    if ord == 2:
        return _euclidean_norm(x, axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.count_nonzero(x, axis=axis, keepdims=keepdims).astype(x.dtype)
    if ord in (math.inf, -math.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord in ("fro", "nuc"):
        raise ValueError(f"ord must be a number for vectors, got {ord!r}")
    return _p_norm(x, p=float(ord), axis=axis, keepdims=keepdims)


MATRIX_ORDERS = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@composite(
    np.linalg.matrix_norm,
    domain=distinct_singular,
    samples=[
        *[sample((3, 2), ord=o) for o in MATRIX_ORDERS], sample((2, 2, 2), keepdims=True),
        sample((0, 2, 2), ord="nuc"),
    ],
    wide=True,
)  # fmt: skip
def matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    """A norm of matrices (..., m, n), by ``ord``.

    "fro": the root of the sum of squares; "nuc": the sum of singular values; 2 and -2: the
    largest and smallest of them; 1 and -1: of the sums of |x| down a column; inf and -inf: along
    a row. Raises ValueError for another.

    >>> matrix_norm(tensor([[3.0, 0.0], [0.0, 4.0]]), ord="nuc")
    tensor(7.)
    """
    x, ord = as_float(x), _order(ord)
    if x.ndim < 2:
        raise ValueError(f"expected matrices, got shape {x.shape}")
    if ord in ("fro", "f"):
        return _euclidean_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        pick: Any = {"nuc": np.sum, 2: np.max, -2: np.min}[ord]
        found = pick(values, axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        found = (np.max if ord > 0 else np.min)(sums, axis=-1)
    else:
        raise ValueError(f"ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    return np.expand_dims(found, (-2, -1)) if keepdims else found


@composite(
    np.linalg.norm,
    domain=distinct_singular,
    samples=[
        sample((3, 2)), sample((3, 3), ord="nuc"), sample((2, 3), ord=3, axis=1), sample((2, 2, 2)),
        sample((2, 3), ord=1), sample((2, 2, 3), ord=2, axis=(0, 2)), sample((0, 2), axis=1),
        sample((2, 2), ord=np.inf, axis=0, keepdims=True),
        sample((2, 2, 3), axis=(1, 2), keepdims=True),
        sample((2, 3), ord="fro", keepdims=True),
    ],
    wide=True,
)  # fmt: skip
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """The norm of vectors along an axis, of matrices along two, or of all elements.

    ``ord`` None is the Euclidean (Frobenius) norm; the others are those of
    :func:`minigrad.linalg.vector_norm` along one axis (or for one-dimensional x) and
    :func:`minigrad.linalg.matrix_norm` along two. Where a norm is 0, so is its gradient. Raises
    ValueError for more axes than two, and for an ``ord`` that does not exist.

    >>> norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    x, ord = as_float(x), _order(ord)
    axes_of(axis, x.ndim)
    if ord is None:
        return _euclidean_norm(x, axis=axis, keepdims=keepdims)
    if axis is None:
        if x.ndim not in (1, 2):
            raise ValueError(f"expected one or two axes without axis=, got shape {x.shape}")
        axis = tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return vector_norm(x, axes[0], keepdims, ord)
    if len(axes) != 2:
        raise ValueError(f"axis must name one or two axes, got {axis!r}")
    found = matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord)
    return np.expand_dims(found, axes) if keepdims else found


@composite(
    np.linalg.cond,
    domain=well_conditioned,
    samples=[
        sample((2, 2)),
        sample((3, 3), p=1),
        sample((2, 2), p="fro"),
        sample((2, 2, 2), p=-2),
        sample((0, 2, 2)),
    ],
)
def cond(x: Array, p: Any = None) -> Array:
    """The condition number: norm(x) norm(inv(x)), with the norm of order ``p`` (None: 2).

    >>> cond(tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    p = _order(p)
    if p in (None, 2, -2):
        values = svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return matrix_norm(x, ord=p) * matrix_norm(np.linalg.inv(x), ord=p)
