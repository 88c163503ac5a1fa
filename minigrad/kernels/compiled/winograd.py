"""Winograd's algorithm for kernels of 3 x 3 at stride 1: F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs takes 36 multiplications for each pair of channels in place of 144:
Y = A^T ((G w G^T) * (B^T d B)) A, with d the 6 x 6 pixels under the tile. For all tiles together
these are 36 products of matrices. The gradient by the weight is the adjoint,
G^T ((B^T d B) * (A g A^T)) G. Lavin and Gray, "Fast algorithms for convolutional neural networks",
2016.

The matrices come from the points 0, ±3/4, ±3/2 and infinity, at which polynomials are multiplied.
The paper's points, 0, ±1, ±2, lose four times as many digits: with these, the error is 2e-6 of the
largest value. Only float32 is computed in this way, so that float64 keeps all of its digits.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import numpy as np

from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.vectors import LANES, clear, copy, load, splat, store

#: Outputs on a side of a tile, pixels on a side of what it covers, and products of one tile.
TILE, SIDE, PRODUCTS = 4, 6, 36
#: The points, and their squares.
P, Q = 0.75, 1.5
PP, QQ = P * P, Q * Q
_POINTS = np.array([0.0, P, -P, Q, -Q])
_OTHERS = np.array([PP * QQ, *2 * [2 * PP * (PP - QQ)], *2 * [2 * QQ * (QQ - PP)]])
#: G (6 x 3), and G for both sides at once (36 x 9).
G = np.vstack([np.stack([_POINTS**0, _POINTS, _POINTS**2], 1) / _OTHERS[:, None], [0, 0, 1]])
BOTH = np.kron(G, G)


@inlined
def _load_six(x, i, step):
    """Six vectors that lie ``step`` numbers apart, from i on."""
    j = i + 3 * step
    return (
        load(x, i), load(x, i + step), load(x, i + 2 * step),
        load(x, j), load(x, j + step), load(x, j + 2 * step),
    )  # fmt: skip


@inlined
def _store_six(out, i, step, six):
    """Write six vectors ``step`` numbers apart, from i on."""
    a, b, c, d, e, f = six
    store(out, i, a)
    store(out, i + step, b)
    store(out, i + 2 * step, c)
    store(out, i + 3 * step, d)
    store(out, i + 4 * step, e)
    store(out, i + 5 * step, f)


@inlined
def _forward(d):
    """B^T d."""
    d0, d1, d2, d3, d4, d5 = d
    even, odd = d4 - QQ * d2, P * (d3 - QQ * d1)
    far_even, far_odd = d4 - PP * d2, Q * (d3 - PP * d1)
    t0 = (PP * QQ) * d0 + (d4 - (PP + QQ) * d2)
    t5 = (PP * QQ) * d1 + (d5 - (PP + QQ) * d3)
    return t0, even + odd, even - odd, far_even + far_odd, far_even - far_odd, t5


@inlined
def _back(m):
    """A^T m."""
    m0, m1, m2, m3, m4, m5 = m
    even, odd, far_even, far_odd = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + (even + far_even),
        P * odd + Q * far_odd,
        PP * even + QQ * far_even,
        (P * PP) * odd + ((Q * QQ) * far_odd + m5),
    )


@inlined
def _spread(g0, g1, g2, g3):
    """A g."""
    even, odd = g0 + PP * g2, P * (g1 + PP * g3)
    far_even, far_odd = g0 + QQ * g2, Q * (g1 + QQ * g3)
    return g0, even + odd, even - odd, far_even + far_odd, far_even - far_odd, g3


@compiled
def to_tiles(x, out, rows, geometry, start, stop):
    """B^T d B of the rows of tiles from start to stop: (36, tiles, C).

    ``rows``: scratch memory for six rows of pixels. ``geometry``: height, width and channels of x,
    the padding above and to the left, the tiles on a side.
    """
    height, width, channels, top, left, tall, wide = geometry
    many = (stop - start) * wide
    step = many * channels
    length = (TILE * wide + 2) * channels
    pitch = length + (-length) % LANES
    first = left * channels
    last = min(first + width * channels, length)
    t = 0
    for place in range(start, stop):
        n, i = place // tall, place % tall
        for k in range(SIDE):
            y = TILE * i - top + k
            base = k * pitch
            if 0 <= y < height:
                clear(rows, base, first)
                copy(rows, base + first, x, (n * height + y) * width * channels, last - first)
                clear(rows, base + last, pitch - last)
            else:
                clear(rows, base, pitch)
        for e in range(0, pitch, LANES):
            _store_six(rows, e, pitch, _forward(_load_six(rows, e, pitch)))
        for j in range(wide):
            for k in range(SIDE):
                for chunk in range(0, channels, LANES):
                    # The last chunk overlaps the one before.
                    c = min(chunk, channels - LANES)
                    s = k * pitch + TILE * j * channels + c
                    p = k * SIDE * step + t * channels + c
                    _store_six(out, p, step, _forward(_load_six(rows, s, channels)))
            t += 1


@compiled
def from_tiles(products, bias, y, geometry, start, stop):
    """Write A^T m A + bias to rows of tiles; return whether everything is finite.

    ``geometry``: height, width and channels of y, the tiles on a side.
    """
    height, width, channels, tall, wide = geometry
    step = (stop - start) * wide * channels
    row = width * channels
    part = np.empty(4 * SIDE * LANES, np.float32)
    nothing = splat(np.float32(0.0))
    zeros = nothing
    t = 0
    for place in range(start, stop):
        n, i = place // tall, place % tall
        for j in range(wide):
            for chunk in range(0, channels, LANES):
                c = min(chunk, channels - LANES)
                for k in range(SIDE):
                    s = k * SIDE * step + t * channels + c
                    y0, y1, y2, y3 = _back(_load_six(products, s, step))
                    store(part, 4 * k * LANES, y0)
                    store(part, (4 * k + 1) * LANES, y1)
                    store(part, (4 * k + 2) * LANES, y2)
                    store(part, (4 * k + 3) * LANES, y3)
                b = load(bias, c)
                for m in range(min(TILE, width - TILE * j)):
                    s = m * LANES
                    y0, y1, y2, y3 = _back(_load_six(part, s, 4 * LANES))
                    y0, y1, y2, y3 = y0 + b, y1 + b, y2 + b, y3 + b
                    p = ((n * height + TILE * i) * width + TILE * j + m) * channels + c
                    store(y, p, y0)
                    if TILE * i + 1 < height:
                        store(y, p + row, y1)
                    if TILE * i + 2 < height:
                        store(y, p + 2 * row, y2)
                    if TILE * i + 3 < height:
                        store(y, p + 3 * row, y3)
                    # What is infinite or NaN in a tile makes all of it NaN here.
                    zeros = zeros + nothing * ((y0 + y1) + (y2 + y3))
            t += 1
    store(part, 0, zeros)
    return part[:LANES].sum() == 0.0


@compiled
def spread_tiles(g, out, geometry, start, stop):
    """A g A^T of the rows of tiles from start to stop: (36, tiles, O).

    ``geometry``: height, width and channels of g, the tiles on a side.
    """
    height, width, channels, tall, wide = geometry
    step = (stop - start) * wide * channels
    row = width * channels
    part = np.empty(4 * SIDE * LANES, np.float32)
    nothing = splat(np.float32(0.0))
    t = 0
    for place in range(start, stop):
        n, i = place // tall, place % tall
        for j in range(wide):
            for chunk in range(0, channels, LANES):
                c = min(chunk, channels - LANES)
                for m in range(TILE):
                    g0, g1, g2, g3 = nothing, nothing, nothing, nothing
                    if TILE * j + m < width:
                        p = ((n * height + TILE * i) * width + TILE * j + m) * channels + c
                        g0 = load(g, p)
                        if TILE * i + 1 < height:
                            g1 = load(g, p + row)
                        if TILE * i + 2 < height:
                            g2 = load(g, p + 2 * row)
                        if TILE * i + 3 < height:
                            g3 = load(g, p + 3 * row)
                    _store_six(part, m * LANES, 4 * LANES, _spread(g0, g1, g2, g3))
                for k in range(SIDE):
                    s = 4 * k * LANES
                    d = _spread(
                        load(part, s),
                        load(part, s + LANES),
                        load(part, s + 2 * LANES),
                        load(part, s + 3 * LANES),
                    )
                    _store_six(out, k * SIDE * step + t * channels + c, step, d)
            t += 1
