"""Choosing elements by an index, and its adjoint: adding elements at one, of which some repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.indices import is_basic
from minigrad.kernels.sums import total

#: In how many steps rows that repeat are added one by one; from how many equal places on average
#: rows are summed place by place; and up to how many elements no sum drifts.
ROUNDS, LONG, FEW = 8, 32, 512
#: The longest axis whose places fit into 16 bits, which NumPy sorts ten times as fast.
SHORT = 1 << 16


def plain_gather(x: Any, index: Any) -> Any:
    """The elements of x at ``index``, which may be any index that NumPy knows."""
    return x[index]


def gather(x: Any, index: Any) -> Any:
    """``plain_gather``, by way of np.take where that is the same: it takes a third of the time."""
    if is_basic(index) or not x.size or not x.flags.c_contiguous:
        return x[index]
    axis, one = only_array(index, x.shape)
    if one is not None:
        return x.take(one, axis)
    places = places_of(index, x.shape)
    return x[index] if places is None else x.reshape(-1).take(places)


def plain_scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of this shape with x added at ``index``."""
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


def scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """``plain_scatter``, without ``np.add.at`` where something faster will do."""
    out = np.zeros(shape, dtype=x.dtype)
    if is_basic(index):
        out[index] = x
        return out
    found = rows_of(index, shape) if x.size else None
    if found is None and x.size and x.dtype.char in "efd":
        places = np.arange(out.size).reshape(shape)[index]
        found = places.ravel(), out.size, 1, 1, places.shape
    if found is None:
        np.add.at(out, index, x)
        return out
    rows, n, before, after, wide = found
    x = np.broadcast_to(x, wide)
    if after > 1 or (before > 1 and len(rows) <= FEW):
        rows = (np.arange(0, before * n, n)[:, None] + rows).ravel()
        n, before = before * n, 1
    if after == 1:
        _add_elements(out.reshape(before, n), rows, x.reshape(before, -1))
    else:
        _add_rows(out.reshape(n, after), rows, x.reshape(len(rows), after))
    return out


def rows_of(index: Any, shape: tuple[int, ...]) -> Any:
    """The places along an axis, its length, that of what is before and after it, and their shape.

    None for an index that is more than that, or leads nowhere.
    """
    axis, one = only_array(index, shape)
    if one is not None:
        if not one.size or not shape[axis]:
            return None
        before, n, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        return along(one, axis, n), n, before, after, shape[:axis] + one.shape + shape[axis + 1 :]
    places = places_of(index, shape)
    if places is None:
        return None
    return places.ravel(), math.prod(shape), 1, 1, places.shape


def along(index: Any, axis: int, n: int) -> Any:
    """The places along an axis of this length, from 0 on, as one row.

    Raises IndexError for the first one beyond the axis.
    """
    rows = index.ravel().astype(np.intp)  # bytes could not hold the length
    if rows.min() < -n or rows.max() >= n:
        wrong = rows[(rows < -n) | (rows >= n)][0]
        raise IndexError(f"index {wrong} is out of bounds for axis {axis} with size {n}")
    rows %= n
    return rows


def only_array(index: Any, shape: tuple[int, ...]) -> tuple[int, Any]:
    """The axis and the array of whole numbers that choose along it, where other axes stay whole."""
    parts = index if isinstance(index, tuple) else (index,)
    axis, one = 0, None
    if len(parts) > len(shape):
        return 0, None
    for a, part in enumerate(parts):
        if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and one is None:
            axis, one = a, part
        elif not isinstance(part, slice) or part != slice(None):
            return 0, None
    return axis, one


def places_of(index: Any, shape: tuple[int, ...]) -> Any:
    """Where a mask, or arrays of whole numbers for all axes, lead in the flat array; else None."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "b":
        return np.flatnonzero(index) if index.shape == shape else None
    if not isinstance(index, tuple) or len(index) != len(shape):
        return None
    places: Any = 0
    for i, n in zip(index, shape, strict=True):
        if not isinstance(i, np.ndarray) or i.dtype.kind not in "iu" or not i.size:
            return None
        low, high = i.min(), i.max()
        if low < -n or high >= n:
            return None  # which NumPy refuses in words
        i = i.astype(np.intp, copy=False)
        places = places * n + (i if low >= 0 else np.where(i < 0, i + n, i))
    return places


def _add_elements(out: Any, places: Any, x: Any) -> None:
    """To each row of ``out``, add the elements of that row of x.

    In float64, so that many numbers in one place do not drift.
    """
    few = len(places) <= FEW or x.dtype.char not in "efd"
    differ = not few and _differ(places, out.shape[1])
    for row, numbers in zip(out, x, strict=True):
        if few:
            np.add.at(row, places, numbers)
        elif differ:
            row[places] = numbers
        else:
            row[:] = np.bincount(places, numbers, len(row))


def _differ(places: Any, size: int) -> bool:
    """Whether no two places are the same."""
    if len(places) * 16 < size:
        ordered = np.sort(places)
        return bool((ordered[1:] != ordered[:-1]).all())
    seen = np.zeros(size, bool)
    seen[places] = True
    return bool(np.count_nonzero(seen) == len(places))


def _add_rows(out: Any, rows: Any, x: Any) -> None:
    """Add rows, as of an embedding's gradient.

    Sorted by place, the first of each place are copied, then the second are added, and so on; what
    repeats more often is summed in runs. Half of the time of np.add.reduceat alone for 8192 rows of
    64 elements into 4096 places.
    """
    order = np.argsort(rows.astype(np.uint16) if len(out) <= SHORT else rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    places, counts = ordered[starts], np.diff(starts, append=len(rows))
    if len(rows) >= LONG * len(starts):
        for place, start, count in zip(places, starts, counts, strict=True):
            out[place] = total(x[order[start : start + count]], 0)
        return
    out[places] = x[order[starts]]
    for k in range(1, min(ROUNDS, counts.max())):
        again = np.flatnonzero(counts > k)
        out[places[again]] += x[order[starts[again] + k]]
    left = np.flatnonzero(counts > ROUNDS)
    if left.size:
        many = counts[left] - ROUNDS
        ends = np.cumsum(many)
        # Of each place that has so many, those from number ROUNDS on.
        which = np.arange(ends[-1]) + np.repeat(starts[left] + ROUNDS - (ends - many), many)
        out[places[left]] += np.add.reduceat(x[order[which]], ends - many, axis=0)
