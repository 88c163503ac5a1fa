"""Normalisation in few passes: by channel for batch norm here, by example in ``rows.py``."""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.kernels import normalisation as numpy_set
from minigrad.kernels.compiled import rows
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import are_floats, at, channels_last, flat, run, summed

#: How many numbers are added one after the other before the sum goes on in float64.
RUN = 512
#: The rows that one thread takes at a time, in elements.
BLOCK = 1 << 16


def _by_channel(x: Any, axis: tuple[int, ...], *others: Any) -> bool:
    """Whether this is batch norm of images: one mean, weight and bias for each channel."""
    each = (1, x.shape[1], 1, 1) if x.ndim == 4 else None
    return (
        each is not None
        and x.size > 0
        and {a % 4 for a in axis} == {0, 2, 3}
        and are_floats(x, *others)
        and all(a is None or a.shape == each for a in others)
    )


def _by_row(x: Any, axis: tuple[int, ...], weight: Any, bias: Any) -> numpy_set.Runs | None:
    """How weight and bias lie beside rows that are normalised one by one, or None."""
    return numpy_set.Runs.of(x, axis, weight, bias) if are_floats(x, weight, bias) else None


def moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """``plain_moments``."""
    runs = _by_row(x, axis, None, None)
    if runs is not None:
        return rows.moments(x, (*x.shape[: -len(axis)], *[1] * len(axis)), runs.length)
    if not _by_channel(x, axis):
        return numpy_set.moments(x, axis)
    pixels = channels_last(x).reshape(-1, x.shape[1])
    mean = _means(pixels, pixels, np.zeros(x.shape[1], x.dtype), 0)
    var = _means(pixels, pixels, mean, 2)
    shape = (1, -1, 1, 1)
    return mean.reshape(shape), var.reshape(shape)


def _means(g: Any, x: Any, mean: Any, kind: int) -> Any:
    """The means of each column of x (0), of g * (x - mean) (1), of (x - mean)^2 (2)."""
    count, channels = x.shape
    work = functools.partial(_add_up, flat(g), flat(x), flat(mean), kind)
    sums = summed(work, (channels,), count, max(RUN, BLOCK // channels), x.size * 4e-10)
    return (sums / count).astype(x.dtype)


@compiled
def _add_up(g, x, mean, kind, sums, start, stop):
    channels = len(mean)
    part = np.zeros(channels, x.dtype)
    for first in range(start, stop, RUN):
        for r in range(first, min(first + RUN, stop)):
            if kind == 0:
                for c in range(channels):
                    part[c] += x[at(r * channels + c)]
            elif kind == 1:
                for c in range(channels):
                    part[c] += g[at(r * channels + c)] * (x[at(r * channels + c)] - mean[c])
            else:
                for c in range(channels):
                    d = x[at(r * channels + c)] - mean[c]
                    part[c] += d * d
        for c in range(channels):
            sums[c] += part[c]
            part[c] = 0.0


@functools.wraps(numpy_set.normalize)
def normalize(x, weight, bias, axis, eps, known=None):
    runs = _by_row(x, axis, weight, bias)
    if runs is None and not _by_channel(x, axis, weight, bias):
        return numpy_set.normalize(x, weight, bias, axis, eps, known)
    mean, var = known or moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    if runs is not None:
        return rows.normalize(x, mean, inv, weight, bias, runs)
    return _shifted(x, inv if weight is None else inv * weight, bias, mean)


def affine(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """``plain_affine``."""
    if not _by_channel(x, (0, 2, 3), scale, shift, mean):
        return numpy_set.affine(x, scale, shift, mean)
    return _shifted(x, scale, shift, mean)


def _shifted(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """(x - mean) * scale + shift, for each channel."""
    pixels = channels_last(x)
    out = np.empty_like(pixels)
    last = np.zeros_like(scale) if shift is None else shift
    _by_pixel(_scale, (pixels, mean, scale, last), out)
    return out.transpose(0, 3, 1, 2)


def _by_pixel(loop: Any, arrays: Sequence[Any], out: Any) -> None:
    """Call ``loop(*arrays, out, start, stop)`` for the pixels with numbers start to stop."""
    channels = out.shape[-1]
    work = functools.partial(loop, *map(flat, arrays), out.reshape(-1))
    run(work, out.size // channels, max(RUN, BLOCK // channels), out.size * 4e-10)


@compiled
def _scale(x, mean, scale, shift, out, start, stop):
    channels = len(mean)
    for r in range(start, stop):
        for c in range(channels):
            i = at(r * channels + c)
            out[i] = (x[i] - mean[c]) * scale[c] + shift[c]


@functools.wraps(numpy_set.normalize_grad)
def normalize_grad(g, needed, x, weight, bias, axis, eps, known=None):
    runs = _by_row(x, axis, weight, bias)
    if (runs is None and not _by_channel(x, axis, weight, bias)) or not are_floats(g, x):
        return numpy_set.normalize_grad(g, needed, x, weight, bias, axis, eps, known)
    mean, var = known or moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    if runs is not None:
        return rows.normalize_grad(g, needed, x, weight, bias, mean, inv, runs)
    pixels, slopes = channels_last(x), channels_last(g)
    count, channels = x.size // x.shape[1], x.shape[1]
    seen, back = pixels.reshape(-1, channels), slopes.reshape(-1, channels)
    level = _means(back, back, np.zeros(channels, x.dtype), 0)
    slope = _means(back, seen, mean, 1)
    found = {
        1: (slope.reshape(mean.shape) * inv) * count,
        2: level.reshape(mean.shape) * count,
    }
    if 0 in needed:
        scale = inv if weight is None else inv * weight
        out = np.empty_like(pixels)
        bend = slope.reshape(mean.shape) * (inv * inv)
        _by_pixel(_turn_back, (slopes, pixels, mean, scale, level, bend), out)
        found[0] = out.transpose(0, 3, 1, 2)
    return [found[i] for i in needed]


@compiled
def _turn_back(g, x, mean, scale, level, bend, out, start, stop):
    channels = len(mean)
    for r in range(start, stop):
        for c in range(channels):
            i = at(r * channels + c)
            out[i] = (g[i] - level[c] - (x[i] - mean[c]) * bend[c]) * scale[c]
