"""Normalisation of rows that lie side by side, as layer, group and instance norm need it.

A row is read from memory once: what follows finds it in cache. Numbers are added in many lanes,
RUN of them at a time, and such sums go on in float64, so that long rows do not drift.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import at, flat, run, summed
from minigrad.kernels.normalisation import Runs

#: How many numbers are added before the sum goes on in float64.
RUN = 1024
#: The elements of the rows that one thread takes at a time.
BLOCK = 1 << 16
#: Rows longer than this are given out in few pieces: each keeps sums as long as a row.
LONG = 1 << 14
#: The sum of a loop may be taken in lanes, and a product and a sum may be rounded once.
IN_LANES = {"reassoc", "contract"}


def _most(rows: int, length: int) -> int:
    """How many rows one thread takes at a time."""
    return -(-rows // 4) if length > LONG else BLOCK // length


def moments(x: Any, shape: tuple[int, ...], length: int) -> tuple[Any, Any]:
    """The mean and the biased variance of each row of x, in arrays of this shape."""
    rows = x.size // length
    mean, var = np.empty((2, rows), x.dtype)
    work = partial(_moments, flat(x), mean, var, length)
    run(work, rows, _most(rows, length), x.size * 2e-10)
    return mean.reshape(shape), var.reshape(shape)


@compiled(fastmath=IN_LANES)
def total_of(x, first, n):
    """The sum of n numbers from the first on."""
    total = x.dtype.type(0)
    for i in range(n):
        total += x[at(first + i)]
    return total


@compiled(fastmath=IN_LANES)
def _spread(x, near, first, n):
    """The sums of x - near and of its squares."""
    rest, squares = x.dtype.type(0), x.dtype.type(0)
    for i in range(n):
        d = x[at(first + i)] - near
        rest += d
        squares += d * d
    return rest, squares


@compiled
def _moments(x, mean, var, length, start, stop):
    for r in range(start, stop):
        total, centre, squares, done = 0.0, 0.0, 0.0, 0
        for k in range(0, length, RUN):
            n = min(RUN, length - k)
            part = total_of(x, r * length + k, n)
            total += part
            near = x.dtype.type(part / n)
            rest, square = _spread(x, near, r * length + k, n)
            # Chan's way to put two means and sums of squares together.
            far = near + rest / n - centre
            centre += far * n / (done + n)
            squares += square - rest * (rest / n) + far * far * done * n / (done + n)
            done += n
        mean[r], var[r] = total / length, squares / length


def normalize(x: Any, mean: Any, inv: Any, weight: Any, bias: Any, runs: Runs) -> Any:
    """(x - mean) * inv * weight + bias."""
    out = np.empty(x.shape, x.dtype)
    w, b = _beside(weight, 1, runs, x.dtype), _beside(bias, 0, runs, x.dtype)
    work = partial(_normalize, flat(x), flat(mean), flat(inv), w, b, out.reshape(-1), *runs)
    run(work, mean.size, _most(mean.size, runs.length), x.size * 3e-10)
    return out


def _beside(array: Any, instead: float, runs: Runs, dtype: Any) -> Any:
    """Weight or bias as one row."""
    return flat(np.full(runs.groups * runs.channels, instead, dtype) if array is None else array)


@compiled
def _normalize(x, mean, inv, weight, bias, out, groups, channels, run, start, stop):
    for r in range(start, stop):
        level, scale, beside = mean[r], inv[r], r % groups * channels
        if run == 1:
            for c in range(channels):
                i, k = at(r * channels + c), at(beside + c)
                out[i] = (x[i] - level) * scale * weight[k] + bias[k]
            continue
        for c in range(channels):
            slope, shift = scale * weight[beside + c], bias[beside + c]
            first = (r * channels + c) * run
            for p in range(run):
                i = at(first + p)
                out[i] = (x[i] - level) * slope + shift


def normalize_grad(
    g: Any, needed: list[int], x: Any, weight: Any, bias: Any, mean: Any, inv: Any, runs: Runs
) -> list[Any]:
    """The gradients by x, weight and bias that are needed."""
    by_x = np.empty(x.shape, x.dtype)
    w = _beside(weight, 1, runs, x.dtype)
    a, b, m, s, target = flat(g), flat(x), flat(mean), flat(inv), by_x.reshape(-1)
    by_element = runs.run == 1 and not {1, 2}.isdisjoint(needed)

    def work(sums: Any, start: int, stop: int) -> None:
        _turn_back(a, b, m, s, w, target, sums, *runs, start, stop)
        if by_element:
            _add_rows(a, b, m, s, sums, *runs[:2], start, stop)

    sums = summed(work, (2, len(w)), len(m), _most(len(m), runs.length), x.size * 8e-10)
    found = {0: by_x}
    for i, like in ((1, weight), (2, bias)):
        if like is not None:
            found[i] = sums[i - 1].astype(x.dtype).reshape(like.shape)
    return [found[i] for i in needed]


@compiled(fastmath=IN_LANES)
def _slopes(g, x, near, first, n):
    """The sums of g and of g * (x - near)."""
    level, slope = x.dtype.type(0), x.dtype.type(0)
    for p in range(n):
        i = at(first + p)
        level += g[i]
        slope += g[i] * (x[i] - near)
    return level, slope


@compiled(fastmath=IN_LANES)
def _weighed_slopes(g, x, near, weight, first, beside, n):
    """The sums of g * weight and of g * weight * (x - near)."""
    level, slope = x.dtype.type(0), x.dtype.type(0)
    for p in range(n):
        i = at(first + p)
        share = g[i] * weight[at(beside + p)]
        level += share
        slope += share * (x[i] - near)
    return level, slope


@compiled
def _turn_back(g, x, mean, inv, weight, out, sums, groups, channels, run, start, stop):
    length = channels * run
    for r in range(start, stop):
        near, beside, level, slope = mean[r], r % groups * channels, 0.0, 0.0
        if run == 1:
            for c in range(0, channels, RUN):
                n = min(RUN, channels - c)
                one, other = _weighed_slopes(g, x, near, weight, r * length + c, beside + c, n)
                level += one
                slope += other
        else:
            for c in range(channels):
                by_weight, by_bias = 0.0, 0.0
                for p in range(0, run, RUN):
                    one, other = _slopes(g, x, near, r * length + c * run + p, min(RUN, run - p))
                    by_bias += one
                    by_weight += other
                sums[0, beside + c] += by_weight * inv[r]
                sums[1, beside + c] += by_bias
                level += by_bias * weight[beside + c]
                slope += by_weight * weight[beside + c]
        scale = inv[r]
        shift = x.dtype.type(level / length * scale)
        bend = x.dtype.type(slope / length * scale * scale * scale)
        if run == 1:
            for c in range(channels):
                i = at(r * length + c)
                out[i] = g[i] * weight[at(beside + c)] * scale - shift - (x[i] - near) * bend
            continue
        for c in range(channels):
            rise, first = scale * weight[beside + c], r * length + c * run
            for p in range(run):
                i = at(first + p)
                out[i] = g[i] * rise - shift - (x[i] - near) * bend


@compiled
def _add_rows(g, x, mean, inv, sums, groups, channels, start, stop):
    """Add up the gradients by a weight and a bias for each element."""
    by_weight, by_bias = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
    for group in range(groups):
        first = start + (group - start) % groups
        for k in range(first, stop, RUN * groups):
            for r in range(k, min(k + RUN * groups, stop), groups):
                near, scale = mean[r], inv[r]
                for c in range(channels):
                    i = at(r * channels + c)
                    by_weight[c] += g[i] * ((x[i] - near) * scale)
                    by_bias[c] += g[i]
            for c in range(channels):
                sums[0, group * channels + c] += by_weight[c]
                sums[1, group * channels + c] += by_bias[c]
                by_weight[c], by_bias[c] = 0.0, 0.0
