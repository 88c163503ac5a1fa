"""Winograd's algorithm for kernels of height 3 and stride 1, along the rows: F(4, 3).

Four output rows of one column of the kernel take 6 multiplications in place of 12:
y = A^T ((G w) * (B^T d)), with d six input rows, w three rows of the kernel, y four rows of the
output. Each of the three transforms is a product with a matrix of a few numbers; along the columns
the convolution stays as it is. The gradient by the weight is the adjoint, G^T ((A g) * (B^T d)).
Winograd, 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.

Images lie with their channels last: then what a kernel of three columns meets, three neighbouring
pixels with all their channels, is one run of memory. Every third window begins where the last one
ends, so that a third of all windows is a matrix that lies there already, and nothing is copied for
the columns of the kernel. Images that lie otherwise are turned around, a block at a time.

Only float32 is computed in this way, so that float64 keeps all of its digits.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.blas import multiplies_unpacked
from minigrad.kernels.blocks import LEAST, Block, Shape, cut, view
from minigrad.kernels.columns import Layout
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


#: The least windows in one product of their pixels, and in one whose sum goes over them, where that
#: is faster: 64 channels to 64 then take 115 GFLOP/s instead of 96, and 110 instead of 94.
FEW_WINDOWS, SOME_WINDOWS = 16, 48
#: The least channels, of input and output, for which this is faster than ``Runs``: by measuring.
FEWEST = 16


def suits(shape: Shape) -> bool:
    """Whether kernel and image fit."""
    windows, height = shape.windows, shape.windows.out[0]
    fits = (
        windows.kernel[0] == 3
        and windows.kernel[1] > 1
        and windows.stride == (1, 1)
        and windows.dilation == (1, 1)
        and shape.groups == 1
    )
    # Rows beyond the last tile are computed for nothing: at most a third of all.
    return fits and -(-height // TILE) * TILE * 3 <= height * 4


def saves(shape: Shape) -> bool:
    """Whether this is faster than ``Runs``."""
    return min(shape.channels, shape.out_channels) >= FEWEST and suits(shape)


class Winograd(Layout):
    """Columns of transformed rows; see ``Runs`` for what the methods are.

    A row is one of the six kinds of transformed rows of one tile: ``pitch`` pixels, with the
    padding to the left and to the right. All rows of one kind lie in memory one after the other.
    """

    def __init__(self, shape: Shape, largest: Block, dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        windows = shape.windows
        self.across = windows.kernel[1]
        self.pitch = windows.out[1] + self.across - 1
        self.multiplications = self.across * shape.channels * shape.out_channels
        rows = (largest.last - largest.first) * tiles_of(largest)
        self.least = FEW_WINDOWS if multiplies_unpacked() else LEAST
        #: The most pixels in one kind of row: for each product, some windows may be for nothing.
        self.most = rows * self.pitch + self.across * (1 + self._cut(rows)[0])
        taps = scratch("columns", (TALL, self.most + self.across - 1, shape.channels), dtype)
        self.taps = taps
        left, width = windows.padding[1][0], windows.size[1]
        by_row = self._by_row(taps, rows, shape.channels)
        by_row[:, :, :left] = 0.0
        by_row[:, :, left + width :] = 0.0

    def _cut(self, rows: int) -> tuple[int, int]:
        """In how many products so many rows are multiplied, and how many windows each of them has.

        Each of the products stands for one of every ``across`` windows.
        """
        windows = -(-rows * self.pitch // self.across)
        return cut(windows, self.multiplications, self.least)

    def _by_row(self, memory: Any, rows: int, channels: int) -> Any:
        """(kinds, rows, pitch, channels) of (kinds, pixels, channels)."""
        kinds, pixels, _ = memory.shape
        steps = (pixels * channels, self.pitch * channels, channels, 1)
        return view(memory, (kinds, rows, self.pitch, channels), steps)

    def _windows(self, memory: Any, channels: int, wide: int) -> Any:
        """Products' operands: (6, across, parts, windows, wide), for the rows of this block."""
        across, step = self.across, memory.shape[1] * channels
        shape = (TALL, across, self.parts, self.part, wide)
        run = across * channels
        return view(memory, shape, (step, channels, self.part * run, run, 1))

    def columns(self, x: Any, block: Block) -> Any:
        """(6, across, parts, windows, across * C): of each kind of row, its windows."""
        self.tiles = tiles = tiles_of(block)
        n, c = block.last - block.first, self.shape.channels
        self.parts, self.part = self._cut(n * tiles)
        (above, _), (left, _) = self.shape.windows.padding
        height, width = self.shape.windows.size
        start = block.top - above
        end = min(start + tiles * TILE + TALL - TILE, height)
        top = min(max(start, 0), height)
        memory, begin, image, row = pixels(x, block, top, max(end, top), "image", self.dtype)
        # A tile meets rows [low, high) of its six inside the image.
        inside = [
            (max(0, -t), min(TALL, height - t)) for t in range(start, start + tiles * TILE, TILE)
        ]
        step = self.taps.shape[1] * c
        for first, last, (low, high) in neighbours(inside):
            size = (n, last - first, TALL, width * c)
            apart = (tiles * self.pitch * c, self.pitch * c, step, 1)
            target = view(self.taps, size, apart, (first * self.pitch + left) * c)
            if high <= low:
                target[...] = 0.0
                continue
            under = (n, last - first, high - low, width * c)
            at = begin + (start + first * TILE + low - top) * row
            source = view(memory, under, (image, TILE * row, row, 1), at)
            np.matmul(_some("B.T", low, high, self.dtype), source, out=target)
        self.taps[:, n * tiles * self.pitch :] = 0.0
        return self._windows(self.taps, c, self.across * c)

    @staticmethod
    def matrix(w: Any, shape: Shape, dtype: Any) -> Any:
        """``G @ w``: (6, 1, 1, kw * C, O)."""
        with small_product(len(G) * w.size):
            product = np.tensordot(G.astype(dtype), w, (1, 2))
        by_column = np.ascontiguousarray(product.transpose(0, 3, 2, 1), dtype)
        return by_column.reshape(TALL, 1, 1, -1, shape.out_channels)

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write A^T of the products, plus a bias if there is one, to (images, O, rows, out_w)."""
        n, o, rows, width = target.shape
        m = scratch("product", (TALL, self.most, o), self.dtype)
        np.matmul(cols, matrix, out=self._windows(m, o, o))
        last = target.transpose(0, 2, 3, 1)
        there = last[0, 0].flags.c_contiguous
        y = last if there else scratch("outputs", last.shape, self.dtype)
        by_row = y.reshape(n, rows, width * o)
        for first, count, tall in _tiles(rows):
            start = first * TILE
            out = by_row[:, start : start + count * tall].reshape(n, count, tall, width * o)
            size = (n, count, TALL, width * o)
            apart = (self.tiles * self.pitch * o, self.pitch * o, self.most * o, 1)
            source = view(m, size, apart, first * self.pitch * o)
            np.matmul(_some("A.T", 0, tall, self.dtype), source, out=out)
            if bias is not None:
                out += np.tile(bias, width)
        if not there:
            np.copyto(last, y)

    def prepare_gradient(self) -> None:
        """Memory for ``gradient``, zero where windows wrap around."""
        o, rows = self.shape.out_channels, self.most // self.pitch
        self.least = max(self.least, SOME_WINDOWS)
        self.g = scratch("gradient", (TALL, self.most, o), self.dtype)
        self._by_row(self.g, rows, o)[:, :, self.shape.windows.out[1] :] = 0.0

    def gradient(self, g: Any, block: Block) -> Any:
        """``A @ g``, transposed: (6, across, parts, O, windows)."""
        n, tiles, o = block.last - block.first, self.tiles, self.shape.out_channels
        rows, width = block.bottom - block.top, self.shape.windows.out[1]
        memory, begin, image, row = pixels(g, block, block.top, block.bottom, "slopes", self.dtype)
        for first, count, tall in _tiles(rows):
            size = (n, count, tall, width * o)
            source = view(memory, size, (image, TILE * row, row, 1), begin + first * TILE * row)
            apart = (tiles * self.pitch * o, self.pitch * o, self.most * o, 1)
            target = view(self.g, (n, count, TALL, width * o), apart, first * self.pitch * o)
            np.matmul(_some("A", 0, tall, self.dtype), source, out=target)
        self.g[:, n * tiles * self.pitch :] = 0.0
        return self._windows(self.g, o, o).swapaxes(-1, -2)

    def correlate(self, cols: Any, slopes: Any) -> Any:
        """The summed products of columns and cotangents: (6, O, kw * C)."""
        size = (TALL, self.parts, self.shape.out_channels, cols.shape[-1])
        product, summed = scratch("product", size, cols.dtype), 0.0
        for some in range(self.across):  # one by one, since weights may be large
            np.matmul(slopes[:, some], cols[:, some], out=product)
            summed = total(product, 1) + summed
        return summed

    @staticmethod
    def weight(summed: Any, shape: tuple[int, ...]) -> Any:
        """G^T of the summed products (6, O, kw * C), as a weight."""
        o, c, kh, kw = shape
        with small_product(kh * summed.size):
            product = np.tensordot(G.astype(summed.dtype), summed, (0, 0))
        return np.ascontiguousarray(product.reshape(kh, o, kw, c).transpose(1, 3, 0, 2))


def tiles_of(block: Block) -> int:
    """The tiles of one image in a block."""
    return -(-(block.bottom - block.top) // TILE)


@functools.lru_cache(maxsize=128)
def _some(which: str, first: int, last: int, dtype: Any) -> Any:
    """Columns [first, last) of A or B^T, or rows of A^T, in this dtype."""
    matrix = {"A": A[:, first:last], "A.T": A.T[first:last], "B.T": B.T[:, first:last]}[which]
    return np.ascontiguousarray(matrix, dtype)


def neighbours(values: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Runs of equal values: where each begins and ends, and the value."""
    start = 0
    for value, run in itertools.groupby(values):
        end = start + len(list(run))
        yield start, end, value
        start = end


def pixels(
    x: Any, block: Block, top: int, bottom: int, role: str, dtype: Any
) -> tuple[Any, int, int, int]:
    """Rows [top, bottom) of a block's images with their channels last, as contiguous memory.

    With it, in elements, where they begin, and the steps from image to image and from row to row.
    """
    last = x.transpose(0, 2, 3, 1)
    _, height, width, channels = last.shape
    row = width * channels
    if last.flags.c_contiguous and x.dtype == dtype:
        return last, (block.first * height + top) * row, height * row, row
    some = last[block.first : block.last, top:bottom]
    memory = scratch(role, some.shape, dtype)
    np.copyto(memory, some)
    return memory, 0, (bottom - top) * row, row


def _tiles(rows: int) -> Iterator[tuple[int, int, int]]:
    """So many output rows as tiles: of each kind the first, how many there are, and their rows.

    What is left of the last tile comes after the whole ones.
    """
    whole, rest = divmod(rows, TILE)
    if whole:
        yield 0, whole, TILE
    if rest:
        yield whole, 1, rest
