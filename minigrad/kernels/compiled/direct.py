"""Convolution without columns, in float32.

Copying what windows cover costs more than it saves, unless they are large. Here the sums of some
neighbouring pixels stay in registers while their windows are walked through once.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import numpy as np

from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.layout import at
from minigrad.kernels.compiled.vectors import (
    LANES,
    clear,
    copy,
    load,
    part as part_of,
    splat,
    store,
    store_first,
)

#: The pixels whose sums are kept in registers, where there are fewer, and the places of a window.
PIXELS, FEWER, PLACES = 8, 5, 5
#: Rows of outputs after which sums in float32 are added up in float64.
ROWS = 16


def padded(count: int, by: int = LANES) -> int:
    """The next multiple."""
    return count + -count % by


def pitch_of(geometry: tuple[int, ...]) -> int:
    """The numbers in one padded row of pixels, as many as the last block of pixels reads."""
    channels, kw, s2, d2, wide = (geometry[i] for i in (2, 4, 6, 8, 12))
    return ((padded(wide, PIXELS) - 1) * s2 + (kw - 1) * d2 + 1) * channels + LANES


@inlined
def _take_rows(x, rows, geometry, r, pitch):
    """Copy the rows of pixels that output row r meets; what pads them is zero already."""
    height, width, channels, kh, _, s1, _, d1, _, top, left, tall, _, _ = geometry
    n, i = r // tall, r % tall
    first = min(left * channels, pitch)
    count = min(width * channels, pitch - first)
    for p in range(kh):
        y = i * s1 - top + p * d1
        if 0 <= y < height:
            copy(rows, p * pitch + first, x, (n * height + y) * width * channels, count)
        else:
            clear(rows, p * pitch + first, count)


@inlined
def _factor(pixels, i, channel, each):
    """What a vector of output channels meets: one number, or its own channels of a pixel."""
    if each is None:  # decided when it is compiled
        return splat(pixels[at(i)])
    return load(pixels, i + channel)


@compiled
def convolve(x, weight, bias, y, offsets, rows, geometry, out_channels, each, start, stop):
    """Output rows start to stop.

    ``weight``: (kh * kw * C, O), with O padded to whole vectors, as in ``bias``. ``offsets``: where
    each place of the window lies in ``rows``, scratch memory for the kh padded rows of pixels.
    ``each``: None, unless each channel has a kernel of its own.
    """
    _, _, channels, kh, _, _, s2, _, _, _, _, _, wide, _ = geometry
    all_channels, pitch, step = len(bias), len(rows) // kh, s2 * channels
    sums = np.empty(PIXELS * LANES, np.float32)
    clear(rows, 0, len(rows))
    for r in range(start, stop):
        _take_rows(x, rows, geometry, r, pitch)
        j = 0
        while j < wide:
            # Nine or ten pixels are two times five: less is computed for nothing than by eights.
            rest = wide - j
            pixels = FEWER if rest <= FEWER or PIXELS < rest <= 2 * FEWER else PIXELS
            for o in range(0, all_channels, LANES):
                b = load(bias, o)
                a0, a1, a2, a3, a4, a5, a6, a7 = b, b, b, b, b, b, b, b
                place = o
                target, count = (r * wide + j) * out_channels + o, out_channels - o
                # One loop over all places: one for each row would be too short to be predicted.
                if pixels == FEWER:
                    for k in range(len(offsets)):
                        w, s = load(weight, place), offsets[at(k)] + j * step
                        a0 = a0 + _factor(rows, s, o, each) * w
                        a1 = a1 + _factor(rows, s + step, o, each) * w
                        a2 = a2 + _factor(rows, s + 2 * step, o, each) * w
                        a3 = a3 + _factor(rows, s + 3 * step, o, each) * w
                        a4 = a4 + _factor(rows, s + 4 * step, o, each) * w
                        place += all_channels
                else:
                    for k in range(len(offsets)):
                        w, s = load(weight, place), offsets[at(k)] + j * step
                        a0 = a0 + _factor(rows, s, o, each) * w
                        a1 = a1 + _factor(rows, s + step, o, each) * w
                        a2 = a2 + _factor(rows, s + 2 * step, o, each) * w
                        a3 = a3 + _factor(rows, s + 3 * step, o, each) * w
                        a4 = a4 + _factor(rows, s + 4 * step, o, each) * w
                        a5 = a5 + _factor(rows, s + 5 * step, o, each) * w
                        a6 = a6 + _factor(rows, s + 6 * step, o, each) * w
                        a7 = a7 + _factor(rows, s + 7 * step, o, each) * w
                        place += all_channels
                store(sums, 0, a0)
                store(sums, LANES, a1)
                store(sums, 2 * LANES, a2)
                store(sums, 3 * LANES, a3)
                store(sums, 4 * LANES, a4)
                store(sums, 5 * LANES, a5)
                store(sums, 6 * LANES, a6)
                store(sums, 7 * LANES, a7)
                for t in range(min(pixels, rest)):
                    store_first(y, target + t * out_channels, load(sums, t * LANES), count)
            j += pixels


@inlined
def _add_products(
    sums, part, image, offsets, slopes, base, gap, geometry, pitch, tall, channels, each
):
    """Add the products of ``tall`` rows of outputs, whose slopes lie ``gap`` numbers apart."""
    step, wide, below = geometry[6] * geometry[2], geometry[12], geometry[5] * pitch
    for o in range(0, channels, LANES):
        for k in range(0, len(offsets), PLACES):
            s0, s1, s2 = offsets[k], offsets[k + 1], offsets[k + 2]
            s3, s4 = offsets[k + 3], offsets[k + 4]
            zero = splat(np.float32(0.0))
            a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
            for i in range(tall):
                for j in range(wide):
                    e, f = i * below + j * step, base + (i * wide + j) * gap + o
                    slope = load(slopes, f)
                    a0 = a0 + _factor(image, s0 + e, o, each) * slope
                    a1 = a1 + _factor(image, s1 + e, o, each) * slope
                    a2 = a2 + _factor(image, s2 + e, o, each) * slope
                    a3 = a3 + _factor(image, s3 + e, o, each) * slope
                    a4 = a4 + _factor(image, s4 + e, o, each) * slope
            store(part, 0, a0)
            store(part, LANES, a1)
            store(part, 2 * LANES, a2)
            store(part, 3 * LANES, a3)
            store(part, 4 * LANES, a4)
            for m in range(PLACES):
                for lane in range(LANES):
                    sums[at((k + m) * channels + o + lane)] += part[at(m * LANES + lane)]


@compiled
def convolve_weight(x, g, offsets, image, slopes, geometry, each, sums, start, stop):
    """Add the products of output rows start to stop to ``sums``: (places, O), both padded.

    ``image``: scratch memory for the padded rows of pixels that up to ROWS rows of outputs meet.
    ``offsets``: where each place of the window lies in it. ``slopes``: scratch memory for the last
    rows of g, where the channels are padded to whole vectors. In the other rows, what belongs to
    the next pixel is added to sums that nobody reads.
    """
    height, width, channels, kh, _, s1, _, d1, _, top, left, tall, wide, _ = geometry
    out_channels, all_channels = g.shape[1], slopes.shape[1]
    pitch = len(image) // ((ROWS - 1) * s1 + (kh - 1) * d1 + 1)
    flat_slopes, flat_g = slopes.reshape(-1), g.reshape(-1)
    part = np.empty(PLACES * LANES, np.float32)
    clear(image, 0, len(image))
    first = min(left * channels, pitch)
    count = min(width * channels, pitch - first)
    r = start
    while r < stop:
        n, i = r // tall, r % tall
        many = min(ROWS, stop - r, tall - i)
        for p in range((many - 1) * s1 + (kh - 1) * d1 + 1):
            y = i * s1 - top + p
            if 0 <= y < height:
                copy(image, p * pitch + first, x, (n * height + y) * width * channels, count)
            else:
                clear(image, p * pitch + first, count)
        base = r * wide * out_channels
        if base + (many * wide - 1) * out_channels + all_channels <= len(flat_g):
            _add_products(
                sums, part, image, offsets, flat_g, base, out_channels, geometry, pitch, many,
                all_channels, each,
            )  # fmt: skip
        else:
            for j in range(many * wide):
                copy(flat_slopes, j * all_channels, flat_g, base + j * out_channels, out_channels)
            _add_products(
                sums, part, image, offsets, flat_slopes, 0, all_channels, geometry, pitch, many,
                all_channels, each,
            )  # fmt: skip
        r += many


@inlined
def _add_part(image, i, value, count):
    """Add the first numbers of a vector to memory."""
    store(image, i, load(image, i) + part_of(value, 0, count))


@compiled
def convolve_back(g, weight, x, targets, image, geometry, out_channels, start, stop):
    """The gradient by x of images start to stop: each slope is spread over its window.

    ``weight``: (O, places, 16), the vectors of a window, row by row. ``targets``: where each of
    them is added to in ``image``, scratch memory for one padded image, and how many of its numbers
    count. Two pixels, half a row apart, share what is read of the weight.
    """
    height, width, channels, kh, _, s1, s2, d1, _, top, left, tall, wide, _ = geometry
    reach = (tall - 1) * s1 + (kh - 1) * d1 + 1
    pitch, step, row = len(image) // reach, s2 * channels, width * channels
    gap, half = len(targets) * LANES, (wide + 1) // 2
    zero = splat(np.float32(0.0))
    for n in range(start, stop):
        clear(image, 0, len(image))
        for i in range(tall):
            for j in range(half):
                other = half if j + half < wide else 0  # 0: there is none, in an odd row
                s = ((n * tall + i) * wide + j) * out_channels
                t = s + other * out_channels
                for k in range(0, len(targets), PLACES):
                    a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
                    b0, b1, b2, b3, b4 = zero, zero, zero, zero, zero
                    place = k * LANES
                    for o in range(out_channels):
                        a, b = splat(g[at(s + o)]), splat(g[at(t + o)])
                        w0, w1 = load(weight, place), load(weight, place + LANES)
                        w2, w3 = load(weight, place + 2 * LANES), load(weight, place + 3 * LANES)
                        w4 = load(weight, place + 4 * LANES)
                        a0, b0 = a0 + a * w0, b0 + b * w0
                        a1, b1 = a1 + a * w1, b1 + b * w1
                        a2, b2 = a2 + a * w2, b2 + b * w2
                        a3, b3 = a3 + a * w3, b3 + b * w3
                        a4, b4 = a4 + a * w4, b4 + b * w4
                        place += gap
                    e = i * s1 * pitch + j * step
                    _add_part(image, targets[k, 0] + e, a0, targets[k, 1])
                    _add_part(image, targets[k + 1, 0] + e, a1, targets[k + 1, 1])
                    _add_part(image, targets[k + 2, 0] + e, a2, targets[k + 2, 1])
                    _add_part(image, targets[k + 3, 0] + e, a3, targets[k + 3, 1])
                    _add_part(image, targets[k + 4, 0] + e, a4, targets[k + 4, 1])
                    if other:
                        e += other * step
                        _add_part(image, targets[k, 0] + e, b0, targets[k, 1])
                        _add_part(image, targets[k + 1, 0] + e, b1, targets[k + 1, 1])
                        _add_part(image, targets[k + 2, 0] + e, b2, targets[k + 2, 1])
                        _add_part(image, targets[k + 3, 0] + e, b3, targets[k + 3, 1])
                        _add_part(image, targets[k + 4, 0] + e, b4, targets[k + 4, 1])
        for y in range(height):
            to = (n * height + y) * row
            if y + top < reach:
                copy(x, to, image, (y + top) * pitch + left * channels, row)
            else:
                clear(x, to, row)
