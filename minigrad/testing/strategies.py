"""Hypothesis strategies for arrays at which functions have derivatives.

Arrays of plain drawn floats mostly contain ties or values near zero, where many functions have
kinks, and shrinking leads to these. Here the numbers keep a distance by construction, so that
nothing is drawn and rejected. The simplest array consists of multiples of the golden ratio: it has
no ties, order or symmetry.

>>> from minigrad.testing import strategies as some
>>> pairs = some.broadcastable(2)
>>> images = some.separated((2, 1, 4, 4))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from minigrad.engine.settings import checked
from minigrad.kernels.windows import as_int
from minigrad.operators.domain import Domain

__all__ = [
    "arrays", "away_from", "broadcastable", "indices", "non_contiguous", "positive",
    "positive_definite", "separated", "shapes",
]  # fmt: skip

Shape: TypeAlias = tuple[int, ...]
Strategy: TypeAlias = st.SearchStrategy[Any]
#: A shape, what draws one, or None for any shape.
Shapes: TypeAlias = Shape | st.SearchStrategy[Shape] | None

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_FINE = 1000


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> st.SearchStrategy[Shape]:
    """Shapes, among them () and empty ones; they shrink to sides of length 2.

    ``min_side=1`` leaves out empty arrays, ``min_dims=1`` single numbers.

    >>> from hypothesis import find
    >>> find(shapes(), lambda shape: 0 in shape)
    (0,)
    """
    simplest_first = sorted(range(min_side, max_side + 1), key=lambda n: (n == 0, abs(n - 2)))
    sides = st.sampled_from(simplest_first)
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


def _shape_strategy(shape: Shapes) -> st.SearchStrategy[Shape]:
    if shape is None:
        return shapes()
    if isinstance(shape, st.SearchStrategy):
        return shape
    given: Any = shape
    lengths = given if isinstance(given, (tuple, list)) else [given]
    form = "a tuple of ints, or a strategy for one"
    sides = tuple([as_int("strategies", "shape", n, form) for n in lengths])
    if min(sides, default=0) < 0:
        raise ValueError(f"strategies: shape must not have negative lengths, got {shape}")
    return st.just(sides)


def _check_range(name: str, low: float, high: float, dtype: Any) -> None:
    """Raise unless floats between these can be drawn."""
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise TypeError(
            f"{name}: dtype must be one of floats, got {kind}; indices() draws integers"
        )
    largest = float(np.finfo(kind).max)
    if not -largest <= low < high <= largest:
        raise ValueError(
            f"{name}: low must be less than high, and both be {kind} numbers, got low={low} and "
            f"high={high}"
        )


@st.composite
def _drawn(draw: st.DrawFn, shape: Strategy, domain: Domain, dtype: Any) -> Any:
    lengths = draw(shape)
    size = math.prod(lengths)
    golden = np.arange(1, size + 1) * _GOLDEN % 1.0
    fine = np.array(draw(st.lists(st.integers(0, _FINE - 1), min_size=size, max_size=size)))
    if domain.distinct:
        order = np.argsort(golden)[draw(st.permutations(range(size)))] if size else golden
        unit = (order + 0.25 + 0.5 * fine / _FINE) / max(size, 1)
    else:
        unit = (golden + fine / _FINE) % 1.0
    return domain._place(unit).reshape(lengths).astype(dtype)


def arrays(
    shape: Shapes = None,
    *,
    low: float = -2.0,
    high: float = 2.0,
    dtype: Any = np.float64,
) -> Strategy:
    """Arrays of numbers in [low, high], for functions that are smooth there.

    ``shape``: a tuple, or a strategy that draws one; :func:`shapes` when left out.
    Raises ValueError unless `low < high`, TypeError for a dtype that is not of floats.

    >>> from hypothesis import find
    >>> find(arrays((2,)), lambda x: True)
    array([ 0.47213595, -1.05572809])
    """
    _check_range("arrays", low, high, dtype)
    return _drawn(_shape_strategy(shape), Domain("arrays", low, high), dtype)


def separated(
    shape: Shapes = None,
    *,
    low: float = -2.0,
    high: float = 2.0,
    dtype: Any = np.float64,
) -> Strategy:
    """Arrays without ties, for max, sort and their like.

    No two of n elements are nearer than `(high - low) / 2n`. Raises ValueError unless `low < high`,
    TypeError for a dtype that is not of floats.

    >>> from hypothesis import find
    >>> len(np.unique(find(separated((5,)), lambda x: True)))
    5
    """
    _check_range("separated", low, high, dtype)
    return _drawn(_shape_strategy(shape), Domain("separated", low, high, distinct=True), dtype)


def away_from(
    points: float | Sequence[float],
    shape: Shapes = None,
    *,
    low: float = -2.0,
    high: float = 2.0,
    margin: float = 0.1,
    distinct: bool = False,
    dtype: Any = np.float64,
) -> Strategy:
    """Arrays in [low, high] of which no element is nearer than ``margin`` to one of the points.

    For functions with kinks or poles there. ``distinct``: without ties, too.
    Raises ValueError if nothing is left of the interval or unless `low < high`, TypeError for a
    dtype that is not of floats.

    >>> from hypothesis import find
    >>> find(away_from(0.0, (3,), margin=0.5), lambda x: True)
    array([ 0.85410197, -1.29179607,  1.5623059 ])
    """
    _check_range("away_from", low, high, dtype)
    avoid = (points,) if isinstance(points, (int, float)) else tuple(points)
    if not margin > 0 or not all(math.isfinite(point) for point in avoid):
        raise ValueError(
            f"away_from: expected finite points and a positive margin, got {points} and "
            f"margin={margin}"
        )
    domain = Domain("away_from", low, high, avoid, margin, distinct)
    middle = float(domain._place(np.array([0.5]))[0])
    if any(abs(middle - point) < 0.999 * margin for point in avoid):
        raise ValueError(f"away_from: nothing is left of [{low}, {high}] away from {points}")
    return _drawn(_shape_strategy(shape), domain, dtype)


@checked(low="(0, inf)")
def positive(
    shape: Shapes = None,
    *,
    low: float = 0.2,
    high: float = 3.0,
    dtype: Any = np.float64,
) -> Strategy:
    """Arrays of positive numbers, for logarithms, roots and powers.

    Raises ValueError when ``low`` is not positive.

    >>> from hypothesis import find
    >>> find(positive((3,)), lambda x: True)
    array([1.93049517, 0.86099034, 2.59148551])
    """
    _check_range("positive", low, high, dtype)
    return _drawn(_shape_strategy(shape), Domain("positive", low, high), dtype)


@st.composite
def _positive_definite(draw: st.DrawFn, sides: Strategy, batch: Strategy, dtype: Any) -> Any:
    n, leading = draw(sides), draw(batch)
    m = draw(arrays((*leading, n, n), low=-1.0, high=1.0))
    apart = np.diag(0.5 + 0.5 * np.arange(n))
    return (m @ np.swapaxes(m, -1, -2) + apart).astype(dtype)


@checked(n="[0, inf)")
def positive_definite(
    n: int | st.SearchStrategy[int] | None = None,
    *,
    batch: Shape | st.SearchStrategy[Shape] = (),
    dtype: Any = np.float64,
) -> Strategy:
    """Symmetric positive definite matrices (*batch, n, n), for Cholesky, eigenvalues, solve.

    ``n``: the side, or a strategy for it; 1 to 4 when left out. The smallest eigenvalue is at
    least 0.5. Raises ValueError for a negative ``n``.

    >>> from hypothesis import find
    >>> np.linalg.cholesky(find(positive_definite(2), lambda x: True)).shape
    (2, 2)
    """
    _check_range("positive_definite", 0.0, 1.0, dtype)
    if n is None:
        sides: Strategy = st.sampled_from([2, 1, 3, 4])
    elif isinstance(n, st.SearchStrategy):
        sides = n
    else:
        sides = st.just(n)
    return _positive_definite(sides, _shape_strategy(batch), dtype)


@st.composite
def broadcastable(
    draw: st.DrawFn,
    count: int = 2,
    *,
    shape: Shapes = None,
    of: Any = arrays,
) -> tuple[Any, ...]:
    """Tuples of arrays that broadcast together: some axes missing, some of length 1.

    ``shape``: of the result. ``of``: what draws an array of a given shape, or one for each.
    Raises ValueError for ``count`` below 1.

    >>> from hypothesis import find
    >>> x, y = find(broadcastable(2, shape=(2, 3)), lambda pair: pair[0].shape != pair[1].shape)
    >>> (x + y).shape
    (2, 3)
    """
    if as_int("broadcastable", "count", count) < 1:
        raise ValueError(f"broadcastable: count must be at least 1, got {count}")
    full = draw(_shape_strategy(shape))
    makers = of if isinstance(of, (list, tuple)) else [of] * count
    # One array keeps the full shape, so that the result has it; which one, is drawn.
    keeper = draw(st.integers(0, count - 1))
    made: list[Any] = []
    for i, make in enumerate(makers):
        if i == keeper:
            made.append(draw(make(full)))
            continue
        missing = draw(st.integers(0, len(full)))
        ones = draw(st.lists(st.booleans(), min_size=len(full), max_size=len(full)))
        part = [1 if one else n for n, one in zip(full, ones, strict=True)]
        made.append(draw(make(tuple(part[missing:]))))
    return tuple(made)


@st.composite
def non_contiguous(draw: st.DrawFn, array: Strategy) -> Any:
    """The arrays of another strategy in another memory layout: transposed, strided, reversed.

    >>> from hypothesis import find
    >>> find(non_contiguous(arrays((2, 3))), lambda x: True).flags.c_contiguous
    False
    """
    x = draw(array)
    if not x.ndim:
        return x  # there is no other layout
    kind = draw(st.sampled_from(["every second", "backwards", "transposed"]))
    view = x
    if kind == "transposed":
        view = np.asfortranarray(x)
    elif kind == "backwards":
        view = np.flip(np.flip(x).copy())
    # A vector has no other order of its axes.
    return np.repeat(x, 2, axis=-1)[..., ::2] if view.flags.c_contiguous else view


@st.composite
def indices(draw: st.DrawFn, length: int, shape: Shapes = None) -> Any:
    """Integer arrays that index an axis of this length, from either end, with repeats.

    Wherever there are two or more, the last points to the same element as the first.
    Raises ValueError when the axis is empty.

    >>> from hypothesis import find
    >>> find(indices(3, (4,)), lambda index: True)
    array([ 0,  0,  0, -3])
    """
    if as_int("indices", "length", length) < 1:
        raise ValueError("indices: an axis of length 0 has no index")
    lengths = draw(shapes(1, 2, 0, 4) if shape is None else _shape_strategy(shape))
    size = math.prod(lengths)
    found = draw(st.lists(st.integers(-length, length - 1), min_size=size, max_size=size))
    if size > 1:
        found[-1] = found[0] - length if found[0] >= 0 else found[0] + length
    return np.array(found, dtype=np.int64).reshape(lengths)
