"""Softmax, its logarithm and cross-entropy along rows, and the logistic loss, in float32.

A row stays in cache from its largest number to its result. The last chunk of a row begins early
enough to be whole: it overlaps the one before, which only sums must look out for.
"""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import softmax as numpy_set
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.elementwise import kernel_by_element
from minigrad.kernels.compiled.functions import exp, log1p
from minigrad.kernels.compiled.layout import are_single, at, flat, run
from minigrad.kernels.compiled.rows import IN_LANES, total_of
from minigrad.kernels.compiled.vectors import LANES, absolute, if_below, load, part, splat, store

#: How many numbers are added before the sum goes on in float64.
RUN = 4096
#: The elements of the rows that one thread takes at a time.
BLOCK = 1 << 16
kernel = functools.partial(kernel_by_element, numpy_set)


def _fit_rows(axis: int, *arrays: Any) -> bool:
    """Whether the axis is the last one of float32 arrays of one shape, and as long as a vector."""
    x = arrays[0]
    return (
        x.ndim > 0
        and x.size > 0
        and axis in (-1, x.ndim - 1)
        and x.shape[-1] >= LANES
        and are_single(*arrays)
        and all(a.shape == x.shape for a in arrays)
    )


def kernel_by_row(loop: Callable[..., None]) -> Callable[..., Any]:
    """The kernel of a loop's name, which leaves to NumPy what does not fit.

    The loop's arguments are the arrays of the kernel as rows, one for its result, the length of a
    row, and the numbers of the rows.
    """
    numpy, runs = getattr(numpy_set, loop.__name__), compiled(loop)

    @functools.wraps(numpy)
    def call(*given: Any) -> Any:
        *arrays, axis = given
        if not _fit_rows(axis, *arrays):
            return numpy(*given)
        out = np.empty(arrays[0].shape, np.float32)
        _by_rows(runs, *map(flat, arrays), out.reshape(-1), out.shape[-1])
        return out

    call.__module__ = __name__
    return call


def _by_rows(loop: Callable[..., None], x: Any, *rest: Any) -> None:
    """Call ``loop(x, *rest, start, stop)`` for some rows at a time; their length comes last."""
    length = rest[-1]
    work = functools.partial(loop, x, *rest)
    run(work, x.size // length, BLOCK // length, x.size * 5e-10, part=1.0)


@compiled
def _largest(x, first, n, lanes):
    """The largest of n numbers. NaN may be passed over: it comes back in the sum."""
    top = load(x, first)
    for k in range(LANES, n, LANES):
        value = load(x, first + min(k, n - LANES))
        top = if_below(top, value, value, top)
    store(lanes, 0, top)
    best = lanes[0]
    for lane in lanes:
        best = max(best, lane)
    return best


@compiled
def _exponentials(x, near, out, first, n, lanes, keep):
    """The sum of e^(x - near), which are kept in ``out`` if so wished."""
    total = 0.0
    for k in range(0, n, RUN):
        end = min(k + RUN, n)
        sums = splat(np.float32(0.0))
        for chunk in range(k, end - LANES + 1, LANES):
            e = exp(load(x, first + chunk) - near)
            if keep:
                store(out, first + chunk, e)
            sums = sums + e
        again = -(end - k) % LANES
        if again:
            last = end - LANES
            e = exp(load(x, first + last) - near)
            if keep:
                store(out, first + last, e)
            sums = sums + part(e, again, LANES)
        store(lanes, 0, sums)
        for lane in lanes:
            total += lane
    return total


@compiled(fastmath=IN_LANES)
def _product(x, y, first, n):
    total = np.float32(0.0)
    for p in range(n):
        total += x[at(first + p)] * y[at(first + p)]
    return total


@kernel_by_row
def softmax(x, out, n, start, stop):
    lanes = np.zeros(LANES, np.float32)
    for r in range(start, stop):
        near = _largest(x, r * n, n, lanes)
        scale = np.float32(1.0 / _exponentials(x, near, out, r * n, n, lanes, True))
        for p in range(n):
            out[at(r * n + p)] *= scale


@kernel_by_row
def softmax_grad(g, ans, out, n, start, stop):
    for r in range(start, stop):
        total = 0.0
        for k in range(0, n, RUN):
            total += _product(g, ans, r * n + k, min(RUN, n - k))
        level = np.float32(total)
        for p in range(n):
            i = at(r * n + p)
            out[i] = ans[i] * (g[i] - level)


@kernel_by_row
def log_softmax(x, out, n, start, stop):
    lanes = np.zeros(LANES, np.float32)
    for r in range(start, stop):
        near = _largest(x, r * n, n, lanes)
        shift = np.float32(math.log(_exponentials(x, near, out, r * n, n, lanes, False)))
        for p in range(n):
            i = at(r * n + p)
            out[i] = (x[i] - near) - shift


@kernel_by_row
def log_softmax_grad(g, ans, out, n, start, stop):
    for r in range(start, stop):
        total = 0.0
        for k in range(0, n, RUN):
            total += total_of(g, r * n + k, min(RUN, n - k))
        for k in range(0, n, LANES):
            i = r * n + min(k, n - LANES)
            store(out, i, load(g, i) - exp(load(ans, i)) * np.float32(total))


def _fit_labels(logits: Any, labels: Any) -> bool:
    """Whether rows and labels fit the loops, which do not check where they read."""
    return (
        _fit_rows(1, logits)
        and labels.shape == logits.shape[:1]
        and labels.dtype.kind in "iu"
        and labels.min() >= 0
        and labels.max() < logits.shape[1]
    )


def cross_entropy(logits: Any, labels: Any) -> Any:
    """``plain_cross_entropy``."""
    if not _fit_labels(logits, labels):
        return numpy_set.cross_entropy(logits, labels)
    n, classes = logits.shape
    losses = np.empty(n, np.float32)
    rows = flat(logits), flat(labels.astype(np.int64))
    _by_rows(_cross_entropy, *rows, losses, classes)
    return losses


@compiled
def _cross_entropy(x, labels, losses, n, start, stop):
    lanes = np.zeros(LANES, np.float32)
    for r in range(start, stop):
        near = _largest(x, r * n, n, lanes)
        total = _exponentials(x, near, lanes, r * n, n, lanes, False)
        losses[r] = math.log(total) - (x[r * n + labels[r]] - near)


def cross_entropy_grad(g: Any, logits: Any, labels: Any) -> Any:
    """``plain_cross_entropy_grad``."""
    if not (_fit_labels(logits, labels) and are_single(g)):
        return numpy_set.cross_entropy_grad(g, logits, labels)
    by_x = np.empty(logits.shape, np.float32)
    rows = flat(logits), flat(labels.astype(np.int64)), flat(np.broadcast_to(g, labels.shape))
    _by_rows(_cross_entropy_grad, *rows, by_x.reshape(-1), logits.shape[1])
    return by_x


@compiled
def _cross_entropy_grad(x, labels, g, out, n, start, stop):
    lanes = np.zeros(LANES, np.float32)
    for r in range(start, stop):
        near = _largest(x, r * n, n, lanes)
        scale = np.float32(g[r] / _exponentials(x, near, out, r * n, n, lanes, True))
        for p in range(n):
            out[at(r * n + p)] *= scale
        out[r * n + labels[r]] -= g[r]


@kernel
def logistic_loss(x, t, out, start, stop):
    zero = splat(np.float32(0.0))
    for i in range(start, stop, LANES):
        value, share = load(x, i), load(t, i)
        size = absolute(value)
        share = if_below(zero, value, share * -1.0 + 1.0, share)
        store(out, i, log1p(exp(size * -1.0)) + size * share)


@kernel
def logistic_loss_grad(g, x, t, out, start, stop):
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    for i in range(start, stop, LANES):
        value, share = load(x, i), load(t, i)
        e = exp(absolute(value) * -1.0)
        up, down = if_below(zero, value, one, e), if_below(zero, value, e, one)
        slope = (share * -1.0 + 1.0) * up - share * down
        store(out, i, slope / (e + 1.0) * load(g, i))
