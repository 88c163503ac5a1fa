"""Winograd's algorithm for kernels of height 3 and stride 1, along the rows: F(4, 3).

Four output rows of one column of the kernel take 6 multiplications in place of 12:
y = A^T ((G w) * (B^T d)), with d six input rows, w three rows of the kernel, y four rows of the
output. The rows of all tiles lie side by side, so that each of the three transforms is a product
with a matrix of a few numbers; along the columns the convolution stays as it is. The gradient by
the weight is the adjoint, G^T ((A g) * (B^T d)). Winograd, 1980; Lavin and Gray, "Fast algorithms
for convolutional neural networks", 2016.

Only float32 is computed in this way, so that float64 keeps all of its digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.blocks import Block, Shape, cut, pitch, view
from minigrad.kernels.scratch import scratch
from minigrad.kernels.sums import total
from minigrad.kernels.threads import small_product

#: Output rows of one tile, input rows that they take, and products that they cost.
TILE, TALL = 4, 6
#: Where polynomials are multiplied, besides infinity. At 0, ±1, ±2 more digits would be lost.
POINTS = np.array([0.0, 0.75, -0.75, 1.5, -1.5])
_OTHERS = [np.delete(POINTS, i) for i in range(len(POINTS))]


def _at_points(length: int) -> Any:
    """The values of a polynomial with so many coefficients at the points and infinity."""
    return np.vstack([np.vander(POINTS, length, increasing=True), np.eye(length)[-1]])


A, G = _at_points(TILE), _at_points(3)
G[:-1] /= [[np.prod(p - others)] for p, others in zip(POINTS, _OTHERS, strict=True)]
#: The coefficients of the polynomials that are 0 at all points, or at all but one.
B = np.array([[*np.poly(others)[::-1], 0] for others in _OTHERS] + [np.poly(POINTS)[::-1]]).T


def saves(shape: Shape) -> bool:
    """Whether this is faster than ``Runs``: found by measuring, with 8 to 128 channels."""
    windows, height = shape.windows, shape.windows.out[0]
    fits = (
        windows.kernel[0] == 3
        and windows.kernel[1] > 1
        and windows.stride == (1, 1)
        and windows.dilation == (1, 1)
        and shape.groups == 1
    )
    # Rows beyond the last tile are computed for nothing: at most a third of all.
    tiles = -(-height // TILE)
    return fits and tiles * TILE * 3 <= height * 4 and min(shape.channels, shape.out_channels) >= 24


class Winograd:
    """Columns of transformed rows; see ``Runs`` for what the methods are."""

    def __init__(self, shape: Shape, blocks: Sequence[Block], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        windows = shape.windows
        self.pitch = pitch(windows)
        self.images = n = max(b.last - b.first for b in blocks)
        self.tiles = -(-max(b.bottom - b.top for b in blocks) // TILE)
        c, kw = shape.channels, windows.kernel[1]
        #: From one row to the next: that of all images lies in between.
        self.step = step = n * self.pitch
        used = self.tiles * step
        self.parts, self.part = cut(used, c * kw * shape.out_channels)
        self.length = length = self.parts * self.part
        self.tall = tall = self.tiles * TILE + TALL - TILE
        image = scratch("image", (c, tall * step), dtype)
        image.fill(0.0)
        size = (c, tall, n, windows.size[1])
        self.inner = view(image, size, (tall * step, step, self.pitch, 1), windows.padding[1][0])
        self.filled = (0, tall)
        under = (c, self.tiles, TALL, step)
        self.tile = view(image, under, (tall * step, TILE * step, step, 1))
        taps = scratch("columns", (TALL, kw, c, length), dtype)
        taps[..., used:] = 0.0
        taps[:, :, -1, -kw:] = 0.0  # which no window covers
        self.source = view(taps, under, (length, step, taps[0].size, 1))
        self.taps = taps.reshape(TALL, kw, -1)
        steps = (taps[0].size, self.part, length, 1)
        self.cols = view(taps, (TALL, self.parts, kw * c, self.part), steps)

    def columns(self, x: Any, block: Block) -> Any:
        """(6, parts, kw * C, part): the transformed rows, once for each column of the kernel."""
        first, last, top, _ = block
        height = self.shape.windows.size[0]
        start = top - self.shape.windows.padding[0][0]
        before = min(max(-start, 0), self.tall)
        after = max(min(height - start, self.tall), before)
        if self.filled != (before, after):
            self.inner[:, :before] = 0.0
            self.inner[:, after:] = 0.0
            self.filled = (before, after)
        rows = x[first:last, :, start + before : start + after]
        self.inner[:, before:after, : last - first] = rows.transpose(1, 2, 0, 3)
        np.matmul(B.T.astype(self.dtype), self.tile, out=self.source)
        for column in range(1, self.taps.shape[1]):
            np.copyto(self.taps[:, column, :-column], self.taps[:, 0, column:])
        return self.cols

    @staticmethod
    def matrix(w: Any, _shape: Shape, dtype: Any) -> Any:
        """``G @ w``: (6, 1, O, kw * C)."""
        with small_product(len(G) * w.size):
            product = np.tensordot(G.astype(dtype), w, (1, 2))
        by_column = np.swapaxes(product, 2, 3)
        return np.ascontiguousarray(by_column.reshape(TALL, 1, len(w), -1), dtype)

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write A^T of the products, plus a bias if there is one, to (images, O, rows, out_w)."""
        o, length = self.shape.out_channels, self.length
        m = scratch("product", (TALL, o * length), self.dtype)
        steps = (o * length, self.part, length, 1)
        np.matmul(matrix, cols, out=view(m, (TALL, self.parts, o, self.part), steps))
        y = scratch("outputs", (TILE, o * length), self.dtype)
        np.matmul(A.T.astype(self.dtype), m, out=y)
        if bias is not None:
            by_channel = y.reshape(TILE, o, length)
            by_channel += bias[:, None]
        for rows, some in _tiles(target):
            size = (len(some), o, *some.shape[2:])
            apart = (self.pitch, length, self.step, o * length, 1)
            some[...] = view(y, size, apart, rows // TILE * self.step)

    def prepare_gradient(self, dtype: Any) -> None:
        """Memory for ``gradient``, zero where columns wrap around."""
        o = self.shape.out_channels
        self.g = scratch("gradient", (TILE, self.length, o), dtype)
        self.g.fill(0.0)

    def gradient(self, g: Any, block: Block) -> Any:
        """``A @ g``, transposed as in ``Runs``: (6, parts, part, O)."""
        first, last, top, bottom = block
        n, o = last - first, self.shape.out_channels
        inner = view(
            self.g,
            (TILE, self.tiles, self.images, self.shape.windows.out[1], o),
            (self.length * o, self.step * o, self.pitch * o, o, 1),
        )
        if bottom - top < self.tiles * TILE:
            inner[:, (bottom - top) // TILE :] = 0.0
        inner[:, :, n:] = 0.0
        for rows, some in _tiles(g[first:last, :, top:bottom]):
            kinds = some.shape[3]
            t = rows // TILE
            inner[:kinds, t : t + some.shape[2], :n] = some.transpose(3, 2, 0, 4, 1)
        z = scratch("transformed gradient", (TALL, self.length * o), self.dtype)
        np.matmul(A.astype(self.dtype), self.g.reshape(TILE, -1), out=z)
        return z.reshape(TALL, self.parts, self.part, o)

    @staticmethod
    def reduce(product: Any) -> Any:
        """The sum over parts."""
        return total(product, 1)

    @staticmethod
    def weight(summed: Any, shape: tuple[int, ...]) -> Any:
        """G^T of the summed products (6, kw * C, O), as a weight."""
        o, c, kh, kw = shape
        with small_product(kh * summed.size):
            product = np.tensordot(G.astype(summed.dtype), summed, (0, 0))
        return np.ascontiguousarray(product.reshape(kh, kw, c, o).transpose(3, 2, 0, 1))


def _tiles(x: Any) -> Iterator[tuple[int, Any]]:
    """Images (N, C, rows, W) as (N, C, tiles, rows of a tile, W), and where those begin.

    What is left of the last tile comes after the whole ones.
    """
    n, c, height, width = x.shape
    whole = height - height % TILE
    for rows, part, tall in ((0, x[:, :, :whole], TILE), (whole, x[:, :, whole:], height - whole)):
        if part.size:
            yield rows, part.reshape(n, c, -1, tall, width)
