"""Pooling on images with their channels last: a window is a few loops over channels."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from minigrad.kernels import pooling as numpy_set
from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.layout import (
    are_floats,
    at,
    channels_last,
    flat,
    integers,
    new_images,
    run,
)
from minigrad.kernels.compiled.vectors import (
    LANES,
    clear,
    if_equal,
    if_larger,
    load,
    part,
    splat,
    store,
    store_first,
)
from minigrad.kernels.windows import Windows

#: The bytes of the images that are pooled at a time.
BLOCK = 1 << 20


def _on_images(loop: Any, windows: Windows, size: tuple[int, int], *images: Any) -> Any:
    """Images of this size that a loop makes of others, a few at a time."""
    n, channels = images[0].shape[:2]
    geometry = integers(windows, channels)
    memory, found = new_images(n, channels, *size, images[0].dtype)
    work = partial(loop, *[flat(channels_last(a)) for a in images], memory.reshape(-1), geometry)
    elements = channels * math.prod(windows.size)
    under = n * channels * math.prod(windows.out) * math.prod(windows.kernel)
    run(work, n, BLOCK // (4 * elements), (n * elements + under) * 2e-10)
    return found


def _are_squares(windows: Windows) -> bool:
    """Whether all windows are squares of 2 x 2 that lie side by side inside the image."""
    return (
        windows.kernel == windows.stride == (2, 2)
        and windows.dilation == (1, 1)
        and windows.padding[0][0] == windows.padding[1][0] == 0
        and all(2 * o <= n for o, n in zip(windows.out, windows.size, strict=True))
    )


def _fitting(x: Any, windows: Windows, of_four: Any, by_vectors: Any, by_numbers: Any) -> Any:
    """The loop for these images."""
    if x.itemsize == 8:
        return by_numbers
    if _are_squares(windows):
        return of_four
    return by_vectors if x.shape[1] >= LANES else by_numbers


def max_pool2d(x: Any, windows: Windows) -> Any:
    """``plain_max_pool2d``."""
    if not are_floats(x) or not x.size:
        return numpy_set.max_pool2d(x, windows)
    loop = _fitting(x, windows, _largest_of_four, _largest, _largest_by_numbers)
    return _on_images(loop, windows, windows.out, x)


def max_pool2d_grad(g: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """``plain_max_pool2d_grad``."""
    if not are_floats(g, x, ans) or not x.size:
        return numpy_set.max_pool2d_grad(g, x, ans, windows)
    loop = _fitting(x, windows, _to_largest_of_four, _to_largest, _to_largest_by_numbers)
    return _on_images(loop, windows, windows.size, g, x, ans)


def sum_pool2d(x: Any, windows: Windows) -> Any:
    """``plain_sum_pool2d``."""
    if not are_floats(x) or not x.size:
        return numpy_set.sum_pool2d(x, windows)
    return _on_images(partial(_add, False), windows, windows.out, x)


def sum_pool2d_grad(g: Any, windows: Windows) -> Any:
    """``plain_sum_pool2d_grad``."""
    if not are_floats(g) or not g.size or not all(windows.size):
        return numpy_set.sum_pool2d_grad(g, windows)
    return _on_images(partial(_add, True), windows, windows.size, g)


@inlined
def _larger(value, best):
    """Whether a value takes the place of the best before it: NaN always does."""
    return value > best or value != value


@inlined
def _corner(geometry, place):
    """The image, and the row and the column of the pixel under the first place of a window."""
    _, _, _, _, _, s1, s2, _, _, top, left, tall, wide = geometry
    return place // (tall * wide), place // wide % tall * s1 - top, place % wide * s2 - left


@compiled
def _largest_of(x, out, geometry, place, c):
    """The largest element of one channel under a window."""
    height, width, channels, kh, kw, _, _, d1, d2, _, _, _, _ = geometry
    n, top, left = _corner(geometry, place)
    best, fresh = -np.inf, True
    for row in range(top, top + kh * d1, d1):
        for column in range(left, left + kw * d2, d2):
            if 0 <= row < height and 0 <= column < width:
                value = x[at(((n * height + row) * width + column) * channels + c)]
                if fresh or _larger(value, best):
                    best, fresh = value, False
    out[at(place * channels + c)] = best


@compiled
def _largest_by_numbers(x, out, geometry, first_image, last_image):
    """``_largest`` in float64, and of few channels."""
    channels, tall, wide = geometry[2], geometry[11], geometry[12]
    for place in range(first_image * tall * wide, last_image * tall * wide):
        for c in range(channels):
            _largest_of(x, out, geometry, place, c)


@compiled
def _largest(x, out, geometry, first_image, last_image):
    """The largest elements under the windows of some images, by vectors of channels."""
    height, width, channels, kh, kw, s1, s2, d1, d2, above, before, tall, wide = geometry
    place = first_image * tall * wide - 1
    for n in range(first_image, last_image):
        for i in range(tall):
            top = i * s1 - above
            for j in range(wide):  # divisions of the place would take as long as the rest
                place += 1
                left = j * s2 - before
                for chunk in range(0, channels, LANES):
                    c = min(chunk, channels - LANES)
                    best = splat(np.float32(-np.inf))
                    fresh = True
                    for row in range(top, top + kh * d1, d1):
                        if 0 <= row < height:
                            for column in range(left, left + kw * d2, d2):
                                if 0 <= column < width:
                                    source = ((n * height + row) * width + column) * channels
                                    value = load(x, source + c)
                                    best = value if fresh else if_larger(value, best, value, best)
                                    fresh = False
                    store(out, place * channels + c, best)


@compiled
def _largest_of_four(x, out, geometry, first_image, last_image):
    """``_largest`` of squares of 2 x 2, in half of its time."""
    height, width, channels, _, _, _, _, _, _, _, _, tall, wide = geometry
    row, end = width * channels, last_image * tall * wide * channels
    for line in range(first_image * tall, last_image * tall):
        source = (line // tall * height + line % tall * 2) * row
        place = line * wide * channels
        for _ in range(wide):
            if channels < LANES and source + row + channels + LANES > len(x):
                for c in range(channels):
                    _largest_of(x, out, geometry, place // channels, c)
            else:
                for chunk in range(0, channels, LANES):
                    c = max(0, min(chunk, channels - LANES))
                    a, b = load(x, source + c), load(x, source + channels + c)
                    best = if_larger(b, a, b, a)
                    a, b = load(x, source + row + c), load(x, source + row + channels + c)
                    best = if_larger(a, best, a, best)
                    best = if_larger(b, best, b, best)
                    if channels >= LANES or place + LANES <= end:
                        store(out, place + c, best)  # what it writes too much is written again
                    else:
                        store_first(out, place, best, channels)
            source += 2 * channels
            place += channels


@compiled
def _to_largest_of(g, x, ans, out, geometry, place, c):
    """Add the slope of one window to the pixel that was the largest of it, in one channel."""
    height, width, channels, kh, kw, _, _, d1, d2, _, _, _, _ = geometry
    n, top, left = _corner(geometry, place)
    best, where = ans[at(place * channels + c)], -1
    for row in range(top, top + kh * d1, d1):
        for column in range(left, left + kw * d2, d2):
            if 0 <= row < height and 0 <= column < width:
                pixel = ((n * height + row) * width + column) * channels + c
                value = x[at(pixel)]
                if (where < 0 and value == best) or value != value:
                    where = pixel
    if where >= 0:
        out[at(where)] += g[at(place * channels + c)]


@compiled
def _to_largest_by_numbers(g, x, ans, out, geometry, first_image, last_image):
    """``_to_largest`` in float64, and of few channels."""
    height, width, channels, _, _, _, _, _, _, _, _, tall, wide = geometry
    pixels = height * width * channels
    clear(out, first_image * pixels, (last_image - first_image) * pixels)
    for place in range(first_image * tall * wide, last_image * tall * wide):
        for c in range(channels):
            _to_largest_of(g, x, ans, out, geometry, place, c)


@compiled
def _to_largest(g, x, ans, out, geometry, first_image, last_image):
    """Each slope to the pixel that was the largest of its window, and zeros elsewhere."""
    height, width, channels, kh, kw, s1, s2, d1, d2, above, before, tall, wide = geometry
    pixels = height * width * channels
    # Each pixel is then written once at most, and nothing has to be added.
    alone = (kh - 1) * d1 < s1 and (kw - 1) * d2 < s2 and channels % LANES == 0
    every = alone and (above, before) == (0, 0) and (s1, s2) == (kh, kw) and (d1, d2) == (1, 1)
    if not (every and (tall * kh, wide * kw) == (height, width)):
        clear(out, first_image * pixels, (last_image - first_image) * pixels)
    nothing, nowhere = splat(np.float32(0.0)), splat(np.float32(-1.0))
    place = first_image * tall * wide - 1
    for n in range(first_image, last_image):
        for i in range(tall):
            top = i * s1 - above
            for j in range(wide):
                place += 1
                left = j * s2 - before
                for chunk in range(0, channels, LANES):
                    c = min(chunk, channels - LANES)
                    best, where, number = load(ans, place * channels + c), nowhere, np.float32(0.0)
                    for row in range(top, top + kh * d1, d1):
                        for column in range(left, left + kw * d2, d2):
                            if 0 <= row < height and 0 <= column < width:
                                source = ((n * height + row) * width + column) * channels
                                value = load(x, source + c)
                                here = splat(number)
                                free = if_equal(where, nowhere, here, where)
                                where = if_equal(value, best, free, where)
                                where = if_equal(value, value, where, here)  # the last NaN
                            number += np.float32(1.0)
                    # What the last chunk shares with the one before was added there.
                    slope = part(load(g, place * channels + c), chunk - c, LANES)
                    number = np.float32(0.0)
                    for row in range(top, top + kh * d1, d1):
                        for column in range(left, left + kw * d2, d2):
                            if 0 <= row < height and 0 <= column < width:
                                pixel = ((n * height + row) * width + column) * channels + c
                                share = if_equal(where, splat(number), slope, nothing)
                                if alone:
                                    store(out, pixel, share)
                                else:
                                    store(out, pixel, load(out, pixel) + share)
                            number += np.float32(1.0)


@compiled
def _to_largest_of_four(g, x, ans, out, geometry, first_image, last_image):
    """``_to_largest`` of squares of 2 x 2, in less than half of its time."""
    height, width, channels, _, _, _, _, _, _, _, _, tall, wide = geometry
    row, pixels = width * channels, height * width * channels
    if (2 * tall, 2 * wide) != (height, width):
        clear(out, first_image * pixels, (last_image - first_image) * pixels)
    nothing = splat(np.float32(0.0))
    for line in range(first_image * tall, last_image * tall):
        source = (line // tall * height + line % tall * 2) * row
        place = line * wide * channels
        for _ in range(wide):
            if channels < LANES and (
                source + row + channels + LANES > len(x) or place + LANES > len(g)
            ):
                clear(out, source, 2 * channels)
                clear(out, source + row, 2 * channels)
                for c in range(channels):
                    _to_largest_of(g, x, ans, out, geometry, place // channels, c)
            else:
                for chunk in range(0, channels, LANES):
                    c = max(0, min(chunk, channels - LANES))
                    s, t = source + c, source + row + c
                    a, b = load(x, s), load(x, s + channels)
                    d, e = load(x, t), load(x, t + channels)
                    best, rest = load(ans, place + c), load(g, place + c)
                    to_a = if_equal(a, best, rest, nothing)
                    rest = if_equal(a, best, nothing, rest)
                    to_b = if_equal(b, best, rest, nothing)
                    rest = if_equal(b, best, nothing, rest)
                    to_d = if_equal(d, best, rest, nothing)
                    rest = if_equal(d, best, nothing, rest)
                    to_e = if_equal(e, best, rest, nothing)
                    rest = if_equal(e, best, nothing, rest)
                    # What is left belongs to the last NaN.
                    to_e = if_equal(e, e, to_e, rest)
                    rest = if_equal(e, e, rest, nothing)
                    to_d = if_equal(d, d, to_d, rest)
                    rest = if_equal(d, d, rest, nothing)
                    to_b = if_equal(b, b, to_b, rest)
                    rest = if_equal(b, b, rest, nothing)
                    to_a = if_equal(a, a, to_a, rest)
                    store_first(out, s, to_a, channels)
                    store_first(out, s + channels, to_b, channels)
                    store_first(out, t, to_d, channels)
                    store_first(out, t + channels, to_e, channels)
            source += 2 * channels
            place += channels


@compiled
def _add(back, x, out, geometry, first, last):
    """Add up the pixels under each window, or with ``back`` add each window to its pixels."""
    height, width, channels, kh, kw, _, _, d1, d2, _, _, tall, wide = geometry
    size = (height * width if back else tall * wide) * channels
    clear(out, first * size, (last - first) * size)
    for place in range(first * tall * wide, last * tall * wide):
        n, top, left = _corner(geometry, place)
        for row in range(top, top + kh * d1, d1):
            for column in range(left, left + kw * d2, d2):
                if 0 <= row < height and 0 <= column < width:
                    pixel = ((n * height + row) * width + column) * channels
                    for c in range(channels):
                        if back:
                            out[at(pixel + c)] += x[at(place * channels + c)]
                        else:
                            out[at(place * channels + c)] += x[at(pixel + c)]
