"""Statistics of data: weighted averages, covariance, correlation, counts."""

from __future__ import annotations

import math
from operator import index as operator_index
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, Axis, composite, engine
from minigrad.operators.domain import anywhere, distinct, positive, sample
from minigrad.operators.indexing import on_axis, scatter
from minigrad.operators.shapes import as_float


@composite(
    np.average,
    numbers="inexact",
    domain=(anywhere,),
    samples=[
        sample((2, 3)), sample((2, 3), axis=0),
        sample((2, 3), axis=1, weights=np.array([1.0, 2.0, 0.5])),
        sample((4,), weights=np.array([1.0, 2.0, 0.5, 0.25])),
        sample((2, 3), weights=np.array([[1.0, 2.0, 0.5], [0.25, 1.5, 1.0]]), keepdims=True),
    ],
)  # fmt: skip
def average(
    a: Array,
    axis: Axis = None,
    weights: Array = None,
    returned: bool = False,
    keepdims: bool = False,
) -> Any:
    """The mean over the axes, weighted: `sum(w a) / sum(w)`; with ``returned``, also the sum of w.

    ``weights``: of the same shape, or one for each element along ``axis``. Differentiable in both.
    Raises ValueError for weights of another shape.

    >>> average(tensor([1.0, 4.0]), weights=tensor([2.0, 1.0]))
    tensor(2.)
    """
    weights = engine.as_tensor(np.ones(a.shape, a.dtype) if weights is None else weights)
    if weights.dtype.kind in "biu":  # whose sum could wrap around
        weights = weights.astype(np.result_type(a.dtype, weights.dtype))
    if weights.shape != a.shape:
        if not isinstance(axis, int) or weights.shape != (a.shape[axis],):
            raise ValueError(
                f"expected weights of shape {a.shape}, or of the length of the one axis that is "
                f"given, got shape {weights.shape}"
            )
        weights = np.broadcast_to(on_axis(weights, axis, a.ndim), a.shape)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    found = np.sum(weights * a, axis=axis, keepdims=keepdims) / total
    return (found, total) if returned else found


COVARIANCES = [
    sample((2, 4)), sample((4, 2), rowvar=False), sample((5,)), sample((0, 3)),
]  # fmt: skip


@composite(
    np.cov,
    numbers="real",
    domain=distinct,
    samples=[
        *COVARIANCES,
        sample((2, 4), ddof=0),
        sample((1, 4), y=np.array([1.0, 0.5, 2.0, 0.0])),
    ],
    wide=True,
)
def cov(
    m: Array, y: Array = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Array:
    """The covariance matrix of variables in the rows of m (columns with ``rowvar=False``).

    ``y``: more variables. Divided by n - 1, by n with ``bias``, or by n - ``ddof``. m (variables,
    n) gives (variables, variables). Raises ValueError for more than two axes, and a
    ``ddof`` that is not whole.

    >>> cov(tensor([1.0, 3.0]))
    tensor(2.)
    """
    if m.ndim > 2:
        raise ValueError(f"expected at most two axes, got shape {m.shape}")
    given = [m] if y is None else [m, engine.as_tensor(y)]
    tables = [np.atleast_2d(x) if rowvar or x.ndim < 2 else np.transpose(x) for x in given]
    rows = np.concatenate(tables, axis=0)
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"ddof must be whole, got {ddof}")
    n = rows.shape[-1] - (ddof if ddof is not None else 0 if bias else 1)
    centred = rows - np.mean(rows, axis=-1, keepdims=True)
    return np.squeeze((centred @ np.transpose(centred)) / (float(n) if n > 0 else math.nan))


@composite(
    np.corrcoef,
    numbers="real",
    domain=distinct,
    samples=[sample((2, 4)), sample((4, 3), rowvar=False), sample((5,))],
    wide=True,
)
def corrcoef(x: Array, y: Array = None, rowvar: bool = True) -> Array:
    """The correlations of variables: their covariance divided by both standard deviations.

    x (variables, n) gives (variables, variables).

    >>> corrcoef(tensor([[1.0, 2.0], [3.0, 1.0]]))[0, 1]
    tensor(-1.)
    """
    c = cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    return c / np.expand_dims(deviation, -1) / deviation


@composite(
    np.bincount,
    arrays=0,
    domain=positive,
    samples=[
        sample(np.array([0, 2, 2, 1]), (4,)), sample(np.array([1, 1]), (2,), minlength=4),
        sample(np.array([0])[:0], (0,)),
    ],
    # Of nothing NumPy makes integers, whatever the weights are.
    reference=lambda x, w, **kw: np.bincount(x, w, **kw).astype(
        w.dtype if w.dtype.kind == "f" else float
    ),
)  # fmt: skip
def bincount(x: Array, weights: Array = None, minlength: int = 0) -> Array:
    """How often each whole number from 0 occurs in x; or the sums of the ``weights`` beside them.

    Differentiable in the weights. x (n,) and weights (n,) give (max(x) + 1,), or ``minlength`` if
    that is more. Whole weights are summed as float64. Raises ValueError for other weights and for
    negative numbers, TypeError for an x that holds no whole ones.

    >>> bincount([0, 2, 2], tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 5.])
    """
    places = np.asarray(engine.constant(x))
    if weights is None:
        return np.bincount(places, minlength=minlength)
    weights = as_float(engine.as_tensor(weights))
    if places.dtype.kind not in "iu" and places.size:
        raise TypeError(f"x must hold whole numbers, got {places.dtype}")
    if places.ndim != 1 or places.shape != weights.shape:
        raise ValueError(f"x has shape {places.shape}, the weights {weights.shape}")
    if operator_index(minlength) < 0 or places.min(initial=0) < 0:
        raise ValueError("x and minlength must not be negative")
    places = places.astype(np.intp)
    n = max(int(places.max(initial=-1)) + 1, minlength)
    return scatter(weights, (places,), (n,))
