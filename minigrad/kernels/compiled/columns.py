"""Columns for the products of a convolution, with channels last, and the way back.

A row of the columns is what one window covers: (kh, kw, C), so that one copy takes a whole row of
the kernel.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.layout import at
from minigrad.kernels.compiled.vectors import clear, copy


@inlined
def _move(target, i, source, j, count):
    if count < 12:
        for e in range(count):
            target[at(i + e)] = source[at(j + e)]
    else:
        copy(target, i, source, j, count)


@compiled
def take_columns(x, out, geometry, start, stop):
    """What the windows of output rows start to stop cover: (groups, windows, kh * kw * C).

    ``geometry``: height, width and channels of x, kernel, stride, dilation, the padding above and
    to the left, height and width of the output, groups.
    """
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide, groups = geometry
    inner = channels // groups
    depth = kh * kw * inner
    many = (stop - start) * wide
    for r in range(start, stop):
        n, i = r // tall, r % tall
        for p in range(kh):
            y = i * s1 - top + p * d1
            for j in range(wide):
                place = j * s2 - left
                target = ((r - start) * wide + j) * depth + p * kw * inner
                row = (n * height + y) * width
                if y < 0 or y >= height:
                    for g in range(groups):
                        clear(out, g * many * depth + target, kw * inner)
                elif groups == 1 and d2 == 1:
                    low = min(kw, max(0, -place))
                    high = max(low, min(kw, width - place))
                    clear(out, target, low * inner)
                    source = (row + place + low) * inner
                    _move(out, target + low * inner, x, source, (high - low) * inner)
                    clear(out, target + high * inner, (kw - high) * inner)
                else:
                    for q in range(kw):
                        column = place + q * d2
                        for g in range(groups):
                            to = g * many * depth + target + q * inner
                            if 0 <= column < width:
                                source = (row + column) * channels + g * inner
                                _move(out, to, x, source, inner)
                            else:
                                clear(out, to, inner)


@compiled
def add_columns(columns, x, geometry, start, stop):
    """Add the columns of output rows start to stop to the pixels that they came from."""
    height, width, channels, kh, kw, s1, s2, d1, d2, top, left, tall, wide, groups = geometry
    inner = channels // groups
    depth = kh * kw * inner
    many = (stop - start) * wide
    for r in range(start, stop):
        n, i = r // tall, r % tall
        for p in range(kh):
            y = i * s1 - top + p * d1
            if 0 <= y < height:
                for j in range(wide):
                    for q in range(kw):
                        column = j * s2 - left + q * d2
                        if 0 <= column < width:
                            pixel = ((n * height + y) * width + column) * channels
                            window = ((r - start) * wide + j) * depth + (p * kw + q) * inner
                            for g in range(groups):
                                to, source = pixel + g * inner, g * many * depth + window
                                for e in range(inner):
                                    x[at(to + e)] += columns[at(source + e)]


@compiled
def add_bias(y, bias, start, stop):
    """Add a bias to the pixels from start to stop."""
    channels = len(bias)
    for p in range(start, stop):
        for c in range(channels):
            y[at(p * channels + c)] += bias[at(c)]
