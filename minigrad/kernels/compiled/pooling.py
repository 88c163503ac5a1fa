"""Pooling on images with their channels last: a window is a few loops over channels."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.kernels import pooling as numpy_set
from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.layout import are_floats, channels_last, flat, new_images, pieces
from minigrad.kernels.threads import run
from minigrad.kernels.windows import Windows

#: The bytes of the images that are pooled at a time.
BLOCK = 1 << 20
at = np.uint64


def _geometry(windows: Windows, channels: int) -> tuple[int, ...]:
    (top, _), (left, _) = windows.padding
    return (
        *windows.size, channels, *windows.kernel, *windows.stride, *windows.dilation, top, left,
        *windows.out,
    )  # fmt: skip


def _by_images(loop: Any, arrays: Sequence[Any], n: int, geometry: tuple[int, ...]) -> None:
    """Call a loop for a few images at a time, on as many threads as pay."""
    elements = geometry[0] * geometry[1] * geometry[2]

    def work(some: Sequence[tuple[int, int]]) -> None:
        for first, last in some:
            loop(*arrays, geometry, first, last)

    windows = n * geometry[-1] * geometry[-2] * geometry[2] * geometry[3] * geometry[4]
    run(work, pieces(n, BLOCK // (4 * elements)), (n * elements + windows) * 2e-10)


def max_pool2d(x: Any, windows: Windows) -> Any:
    """``plain_max_pool2d``."""
    if not are_floats(x) or not x.size:
        return numpy_set.max_pool2d(x, windows)
    n, channels = x.shape[:2]
    memory, y = new_images(n, channels, *windows.out, x.dtype)
    geometry = _geometry(windows, channels)
    _by_images(_largest, (flat(channels_last(x)), memory.reshape(-1)), n, geometry)
    return y


def max_pool2d_grad(g: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """``plain_max_pool2d_grad``, which finds the maxima of x again."""
    if not are_floats(g, x) or not x.size:
        return numpy_set.max_pool2d_grad(g, x, ans, windows)
    n, channels = x.shape[:2]
    memory, back = new_images(n, channels, *windows.size, x.dtype)
    arrays = (flat(channels_last(g)), flat(channels_last(x)), memory.reshape(-1))
    _by_images(_to_largest, arrays, n, _geometry(windows, channels))
    return back


def sum_pool2d(x: Any, windows: Windows) -> Any:
    """``plain_sum_pool2d``."""
    if not are_floats(x) or not x.size:
        return numpy_set.sum_pool2d(x, windows)
    n, channels = x.shape[:2]
    memory, y = new_images(n, channels, *windows.out, x.dtype)
    geometry = _geometry(windows, channels)
    _by_images(_sum, (flat(channels_last(x)), memory.reshape(-1)), n, geometry)
    return y


def sum_pool2d_grad(g: Any, windows: Windows) -> Any:
    """``plain_sum_pool2d_grad``."""
    if not are_floats(g) or not g.size:
        return numpy_set.sum_pool2d_grad(g, windows)
    n, channels = g.shape[:2]
    memory, back = new_images(n, channels, *windows.size, g.dtype)
    arrays = (flat(channels_last(g)), memory.reshape(-1))
    _by_images(_to_all, arrays, n, _geometry(windows, channels))
    return back


@inlined
def _larger(value, best):
    """Whether a value takes the place of the best before it: NaN always does."""
    return value > best or value != value


@compiled
def _largest(x, out, geometry, first, last):
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide = geometry
    for place in range(first * tall * wide, last * tall * wide):
        n, i, j = place // (tall * wide), place // wide % tall, place % wide
        target = place * channels
        fresh = True
        for p in range(kh):
            row = i * s1 - top + p * d1
            if row < 0 or row >= height:
                continue
            for q in range(kw):
                column = j * s2 - left + q * d2
                if column < 0 or column >= width:
                    continue
                source = ((n * height + row) * width + column) * channels
                if fresh:
                    for c in range(channels):
                        out[at(target + c)] = x[at(source + c)]
                    fresh = False
                else:
                    for c in range(channels):
                        value, best = x[at(source + c)], out[at(target + c)]
                        out[at(target + c)] = value if _larger(value, best) else best
        if fresh:
            for c in range(channels):
                out[at(target + c)] = -np.inf


@compiled
def _to_largest(g, x, out, geometry, first, last):
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide = geometry
    pixels = height * width * channels
    for e in range(first * pixels, last * pixels):
        out[at(e)] = 0.0
    best = np.empty(channels, x.dtype)
    where = np.empty(channels, np.int32)
    for place in range(first * tall * wide, last * tall * wide):
        n, i, j = place // (tall * wide), place // wide % tall, place % wide
        fresh = True
        for step in range(2):
            for p in range(kh):
                row = i * s1 - top + p * d1
                if row < 0 or row >= height:
                    continue
                for q in range(kw):
                    column = j * s2 - left + q * d2
                    if column < 0 or column >= width:
                        continue
                    pixel = ((n * height + row) * width + column) * channels
                    tap = np.int32(p * kw + q)
                    if step == 1:
                        for c in range(channels):
                            share = g[at(place * channels + c)]
                            here = out[at(pixel + c)]
                            out[at(pixel + c)] = here + share if where[c] == tap else here
                    elif fresh:
                        for c in range(channels):
                            best[c] = x[at(pixel + c)]
                            where[c] = tap
                        fresh = False
                    else:
                        for c in range(channels):
                            value, most = x[at(pixel + c)], best[c]
                            best[c] = value if _larger(value, most) else most
                            where[c] = tap if _larger(value, most) else where[c]


@compiled
def _sum(x, out, geometry, first, last):
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide = geometry
    for place in range(first * tall * wide, last * tall * wide):
        n, i, j = place // (tall * wide), place // wide % tall, place % wide
        for c in range(channels):
            out[at(place * channels + c)] = 0.0
        for p in range(kh):
            row = i * s1 - top + p * d1
            for q in range(kw):
                column = j * s2 - left + q * d2
                if 0 <= row < height and 0 <= column < width:
                    source = ((n * height + row) * width + column) * channels
                    for c in range(channels):
                        out[at(place * channels + c)] += x[at(source + c)]


@compiled
def _to_all(g, out, geometry, first, last):
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide = geometry
    pixels = height * width * channels
    for e in range(first * pixels, last * pixels):
        out[at(e)] = 0.0
    for place in range(first * tall * wide, last * tall * wide):
        n, i, j = place // (tall * wide), place // wide % tall, place % wide
        for p in range(kh):
            row = i * s1 - top + p * d1
            for q in range(kw):
                column = j * s2 - left + q * d2
                if 0 <= row < height and 0 <= column < width:
                    target = ((n * height + row) * width + column) * channels
                    for c in range(channels):
                        out[at(target + c)] += g[at(place * channels + c)]
