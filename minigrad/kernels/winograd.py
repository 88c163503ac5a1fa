"""Winograd's algorithm for kernels of height 3 and stride 1, along the rows: F(4, 3).

Four output rows of one column of the kernel take 6 multiplications in place of 12:
y = A^T ((G w) * (B^T d)), with d six input rows, w three rows of the kernel, y four rows of the
output. Rows of a kind (every fourth) are kept side by side, so that B^T and A^T are a few long
additions; along the columns the convolution stays as it is. The gradient by the weight is the
adjoint, G^T ((A g) * (B^T d)). Winograd, 1980; Lavin and Gray, "Fast algorithms for convolutional
neural networks", 2016.

One thread takes 28 ms in place of 43 for 8 images of 64 x 56 x 56 to 128 channels, and the largest
error in float32 is 3e-6 of the largest value in place of 6e-7. Only float32 is computed in this
way, so that float64 keeps all of its digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.kernels.blocks import Block, Shape, cut, pitch, view
from minigrad.kernels.scratch import scratch
from minigrad.kernels.sums import total
from minigrad.kernels.threads import small_product

#: Output rows of one tile, input rows that they take, and products that they cost.
TILE, TALL = 4, 6
G = np.array(
    [
        [1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
    ]
)  # fmt: skip


def saves(shape: Shape) -> bool:
    """Whether this is faster than ``Runs``: found by measuring, with 16 to 128 channels."""
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
    return fits and tiles * TILE * 3 <= height * 4 and min(shape.channels, shape.out_channels) >= 32


class Winograd:
    """Columns of transformed rows; see ``Runs`` for what the methods are."""

    def __init__(self, shape: Shape, blocks: Sequence[Block], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        windows = shape.windows
        self.pitch = pitch(windows)
        self.images = max(b.last - b.first for b in blocks)
        self.tiles = -(-max(b.bottom - b.top for b in blocks) // TILE)
        n, c, kw = self.images, shape.channels, windows.kernel[1]
        #: What belongs to one image and channel: of each kind one row more than there are tiles.
        self.plane = plane = (self.tiles + 1) * self.pitch
        self.used = self.tiles * self.pitch
        depth = c * kw
        used = n * self.used
        self.parts, self.part = cut(used, depth * shape.out_channels)
        self.length = self.parts * self.part
        self.rows = scratch("image", (TILE, c, n, plane), dtype)
        self.rows.fill(0.0)
        left = windows.padding[1][0]
        self.inner = view(
            self.rows,
            (TILE, c, n, self.tiles + 1, windows.size[1]),
            (c * n * plane, n * plane, plane, self.pitch, 1),
            left,
        )
        self.transformed = scratch("transformed", (TALL, c, n, plane), dtype)
        self.transformed.fill(0.0)
        taps = (TALL, c, kw, n, self.used)
        self.source = view(self.transformed, taps, (c * n * plane, n * plane, 1, plane, 1))
        columns = scratch("columns", (TALL, depth, self.length), dtype)
        columns[:, :, used:] = 0.0
        steps = (depth * self.length, kw * self.length, self.length, self.used, 1)
        self.target = view(columns, taps, steps)
        self.cols = self._in_parts(columns)
        self.passes = scratch("passes", (4, c * n * plane - self.pitch), dtype)

    def _in_parts(self, array: Any) -> Any:
        """(kinds, rows, length) as (kinds, parts, rows, part), for small products."""
        kinds, rows, length = array.shape
        steps = (rows * length, self.part, length, 1)
        return view(array, (kinds, self.parts, rows, self.part), steps)

    def columns(self, x: Any, block: Block) -> Any:
        """(6, parts, C * kw, part): the transformed rows, once for each column of the kernel."""
        first, last, top, _ = block
        n, height = last - first, self.shape.windows.size[0]
        start = top - self.shape.windows.padding[0][0]
        for kind in range(TILE):
            inner = self.inner[kind, :, :n]
            # Input row start + kind + 4 q is row q of its kind: those outside are zero.
            before = max(0, -(-(-start - kind) // TILE))
            after = min(self.tiles + 1, max(0, -(-(height - start - kind) // TILE)))
            inner[:, :, :before] = 0.0
            inner[:, :, after:] = 0.0
            if after > before:
                rows = x[first:last, :, start + kind + TILE * before : height : TILE]
                inner[:, :, before:after] = rows[:, :, : after - before].transpose(1, 0, 2, 3)
        self._transform()
        np.copyto(self.target[:, :, :, :n], self.source[:, :, :, :n])
        return self.cols

    def _transform(self) -> None:
        """B^T d, with as few passes as it takes."""
        flat, long = self.rows.reshape(TILE, -1), self.passes.shape[1]
        d0, d1, d2, d3 = (kind[:long] for kind in flat)
        d4, d5 = (kind[self.pitch :] for kind in flat[:2])
        t0, t1, t2, t3, t4, t5 = (kind[:long] for kind in self.transformed.reshape(TALL, -1))
        a, b, c, e = self.passes
        np.multiply(d2, 4.0, out=a)
        np.subtract(d4, a, out=a)
        np.multiply(d1, 4.0, out=b)
        np.subtract(d3, b, out=b)
        np.add(a, b, out=t1)
        np.subtract(a, b, out=t2)
        np.subtract(d4, d2, out=c)
        np.subtract(d3, d1, out=e)
        np.multiply(e, 2.0, out=e)
        np.add(c, e, out=t3)
        np.subtract(c, e, out=t4)
        np.subtract(d0, d2, out=a)
        np.multiply(a, 4.0, out=a)
        np.add(a, c, out=t0)
        np.subtract(d5, d3, out=b)
        np.subtract(b, e, out=b)
        np.subtract(b, e, out=t5)

    @staticmethod
    def matrix(w: Any, _shape: Shape, dtype: Any) -> Any:
        """``G @ w``: (6, 1, O, C * kw)."""
        with small_product(len(G) * w.size):
            product = np.tensordot(G.astype(dtype), w, (1, 2))
        return np.ascontiguousarray(product.reshape(TALL, 1, len(w), -1), dtype)

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write A^T of the products, plus a bias if there is one, to (images, O, rows, out_w)."""
        o = self.shape.out_channels
        m = scratch("product", (TALL, o, self.length), self.dtype)
        np.matmul(matrix, cols, out=self._in_parts(m))
        m0, m1, m2, m3, m4, m5 = m
        a, b = scratch("sums", (2, o, self.length), self.dtype)
        if bias is not None:
            m1 += bias[:, None]  # which is once in each output row
        np.add(m1, m2, out=a)
        np.subtract(m1, m2, out=m1)
        np.add(m3, m4, out=b)
        np.subtract(m3, m4, out=m3)
        m0 += a
        m0 += b
        np.multiply(m3, 2.0, out=m2)
        m2 += m1
        b *= 4.0
        b += a
        m3 *= 8.0
        m3 += m1
        m3 += m5
        n, _, rows, out_w = target.shape
        for kind, y in enumerate((m0, m2, b, m3)):
            some = -(-(rows - kind) // TILE)
            steps = (self.used, self.length, self.pitch, 1)
            target[:, :, kind::TILE] = view(y, (n, o, some, out_w), steps)

    def prepare_gradient(self, dtype: Any) -> None:
        """Memory for ``gradient``, zero where columns wrap around."""
        o = self.shape.out_channels
        self.g = scratch("gradient", (TILE, self.length, o), dtype)
        self.g.fill(0.0)
        self.z = scratch("transformed gradient", (TALL, self.length, o), dtype)

    def gradient(self, g: Any, block: Block) -> Any:
        """``A @ g``, transposed as in ``Runs``: (6, parts, part, O)."""
        first, last, top, bottom = block
        n, o = last - first, self.shape.out_channels
        size = (self.images, self.tiles, self.shape.windows.out[1], o)
        for kind in range(TILE):
            inner = view(self.g[kind], size, (self.used * o, self.pitch * o, o, 1))
            rows = g[first:last, :, top + kind : bottom : TILE].transpose(0, 2, 3, 1)
            inner[:n, : rows.shape[1]] = rows
            inner[:n, rows.shape[1] :] = 0.0
            inner[n:] = 0.0
        g0, g1, g2, g3 = self.g
        z0, z1, z2, z3, z4, z5 = self.z
        np.add(g0, g2, out=z3)
        np.add(g1, g3, out=z4)
        np.add(z3, z4, out=z1)
        np.subtract(z3, z4, out=z2)
        np.multiply(g2, 4.0, out=z0)
        np.add(z0, g0, out=z0)
        np.multiply(g3, 4.0, out=z5)
        np.add(z5, g1, out=z5)
        np.multiply(z5, 2.0, out=z5)
        np.add(z0, z5, out=z3)
        np.subtract(z0, z5, out=z4)
        np.copyto(z0, g0)
        np.copyto(z5, g3)
        return self.z.reshape(TALL, self.parts, self.part, o)

    @staticmethod
    def reduce(product: Any) -> Any:
        """The sum over parts."""
        return total(product, 1)

    @staticmethod
    def weight(summed: Any, shape: tuple[int, ...]) -> Any:
        """G^T of the summed products (6, C * kw, O), as a weight."""
        o, c, kh, kw = shape
        with small_product(kh * summed.size):
            product = np.tensordot(G.astype(summed.dtype), summed, (0, 0))
        return np.ascontiguousarray(product.reshape(kh, c, kw, o).transpose(3, 1, 0, 2))
