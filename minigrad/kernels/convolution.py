"""How convolutions are computed: patches copied into columns, a block at a time, and multiplied.

A block is a few images, or some rows of one, such that its columns stay in cache; its memory is
used again for the next block. Blocks are shared out over threads. Two ways to make
columns are here: ``Runs`` for stride 1, where one copy moves whole rows of the image at once, and
``Patches`` for everything else. ``winograd.py`` has a third, with fewer multiplications.

All times are of one thread, float32, on an AMD EPYC (Zen 4) with OpenBLAS, for the 3 x 3
convolution of 100 images 16 x 28 x 28 to 16 channels, unless something else is said.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import numpy as np

from minigrad.kernels.convolution_blocks import (
    BLOCK,
    LEAST,
    SMALL_PRODUCT,
    Block,
    Shape,
    pitch,
)
from minigrad.kernels.im2col import add_patches, pad_image, patches
from minigrad.kernels.scratch import scratch
from minigrad.kernels.sums import total
from minigrad.kernels.threads import run
from minigrad.kernels.windows import Windows, reach
from minigrad.kernels.winograd import TILE, Winograd, saves

#: Up to this depth, a cotangent that is not turned multiplies as fast.
UNTURNED = 32


class Layout:
    """What both layouts of columns share."""

    @staticmethod
    def matrix(w: Any, shape: Shape, dtype: Any) -> Any:
        """The weight as the left-hand side of products with columns."""
        return _matrix(w, shape.groups, dtype)

    @staticmethod
    def weight(total: Any, shape: tuple[int, ...]) -> Any:
        """The summed products of columns and cotangents, as a weight."""
        return np.ascontiguousarray(np.swapaxes(total, 1, 2)).reshape(shape)


class Runs(Layout):
    """Columns for stride 1, from images that lie flat: a patch row is one slice of them.

    In a zero-padded image flattened to (C, rows * pitch), what tap (i, j) of the kernel meets is
    the slice that begins at i * pitch + j. One copy moves all of it, in place of a copy for each
    row: 0.8 ms instead of 3. At the end of each output row come a few columns that wrap around to
    the next row: they are computed and dropped (one in 29 here, as neighbouring rows share their
    padding).
    """

    def __init__(self, shape: Shape, blocks: Sequence[Block], dtype: Any) -> None:
        self.shape = shape
        windows = shape.windows
        left = windows.padding[1][0]
        width = windows.size[1]
        self.left = left
        self.pitch = pitch(windows)
        self.images = max(b.last - b.first for b in blocks)
        self.rows = max(b.bottom - b.top for b in blocks)
        (kh, kw), (dh, dw) = windows.kernel, windows.dilation
        self.rows_in = self.rows - 1 + reach(kh, dh)
        places = self.rows * self.pitch
        limit = SMALL_PRODUCT // (shape.depth * shape.out_depth)
        self.parts = -(-places // limit) if limit >= LEAST else 1
        self.part = -(-places // self.parts)
        length = self.parts * self.part
        ahead = (kh - 1) * dh * self.pitch + (kw - 1) * dw
        self.flat = max(length + ahead, left + self.rows_in * self.pitch)
        n, c, size = self.images, shape.channels, dtype.itemsize
        image = scratch("image", (n, c, self.flat), dtype)
        image.fill(0.0)
        plane = self.flat * size
        # An ndarray made directly over its buffer: as_strided does the same ten times as slowly.
        self.inner = np.ndarray(
            (n, c, self.rows_in, width),
            dtype,
            image,
            left * size,
            (c * plane, plane, self.pitch * size, size),
        )
        self.source = np.ndarray(
            (n, self.parts, c, kh, kw, self.part),
            dtype,
            image,
            0,
            (c * plane, self.part * size, plane, dh * self.pitch * size, dw * size, size),
        )
        self.target = scratch("columns", self.source.shape, dtype)
        self.cols = self.target.reshape(n, self.parts, shape.groups, shape.depth, self.part)

    def columns(self, x: Any, block: Block) -> Any:
        """(images, parts, groups, depth, part): column p of a part is one window."""
        first, last, top, _ = block
        n = last - first
        above = self.shape.windows.padding[0][0]
        start = top - above
        end = start + self.rows_in
        inner = self.inner[:n]
        before, height = max(-start, 0), self.shape.windows.size[0]
        after = min(end, height) - start
        if before or end > height:
            inner[:, :, :before] = 0.0
            inner[:, :, after:] = 0.0
        inner[:, :, before:after] = x[first:last, :, start + before : start + after]
        np.copyto(self.target[:n], self.source[:n])
        return self.cols[:n]

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write the product, plus a bias if there is one, to (images, O, rows, out_w)."""
        n, g, o, length = len(cols), self.shape.groups, self.shape.out_depth, self.parts * self.part
        out = scratch("product", (n, g * o, length), cols.dtype)
        size = cols.itemsize
        parts = np.ndarray(
            (n, self.parts, g, o, self.part),
            cols.dtype,
            out,
            0,
            (g * o * length * size, self.part * size, o * length * size, length * size, size),
        )
        np.matmul(matrix, cols, out=parts)
        if bias is not None:
            # In long runs: 0.3 ms; while rows are copied to the output it would be 0.7.
            out += bias[:, None]
        rows = out[:, :, : self.rows * self.pitch].reshape(n, g * o, self.rows, self.pitch)
        target[...] = rows[:, :, : target.shape[2], : target.shape[3]]

    @staticmethod
    def reduce(product: Any) -> Any:
        """The sum over images and parts."""
        return total(product, (0, 1))

    def prepare_gradient(self, dtype: Any) -> None:
        """Memory for ``gradient``, zero where columns wrap around."""
        length, o = self.parts * self.part, self.shape.out_channels
        turned = self.shape.depth > UNTURNED
        self.g = scratch(
            "gradient", (self.images, *((length, o) if turned else (o, length))), dtype
        )
        self.g.fill(0.0)
        if not turned:
            self.g = self.g.swapaxes(1, 2)

    def gradient(self, g: Any, block: Block) -> Any:
        """The cotangent like the columns: (images, parts, groups, part, out_depth).

        Turned so that it is the right-hand side of a plain product. The other way about, the
        product runs at half the speed: 8.8 ms instead of 4.4, of which turning takes 0.6.
        """
        first, last, top, bottom = block
        n, o, shape = last - first, self.shape.out_channels, self.shape
        here = self.g[:n]
        image, place, channel = here.strides
        rows = np.ndarray(
            (n, self.rows, shape.windows.out[1], o),
            here.dtype,
            here.base,
            0,
            (image, self.pitch * place, place, channel),
        )
        used = bottom - top
        rows[:, :used] = g[first:last, :, top:bottom].transpose(0, 2, 3, 1)
        rows[:, used:] = 0.0
        return np.ndarray(
            (n, self.parts, shape.groups, self.part, shape.out_depth),
            here.dtype,
            here.base,
            0,
            (image, self.part * place, shape.out_depth * channel, place, channel),
        )


class Patches(Layout):
    """Columns for any windows, without a surplus: each row of the output is copied by itself."""

    def __init__(self, shape: Shape, blocks: Sequence[Block], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype

    def columns(self, x: Any, block: Block) -> Any:
        """(groups, depth, images * rows * out_w)."""
        first, last, top, bottom = block
        shape, windows = self.shape, self.shape.windows
        (above, _), sides = windows.padding
        start = top * windows.stride[0] - above
        end = (
            (bottom - 1) * windows.stride[0] - above + reach(windows.kernel[0], windows.dilation[0])
        )
        height = windows.size[0]
        rows = x[first:last, :, max(start, 0) : min(end, height)]
        band = windows._replace(
            size=rows.shape[2:],
            padding=((max(-start, 0), max(end - height, 0)), sides),
            out=(bottom - top, windows.out[1]),
        )
        under = patches(pad_image(rows, band), band).transpose(1, 2, 3, 0, 4, 5)
        target = scratch("columns", under.shape, self.dtype)
        np.copyto(target, under)
        self.places = under.shape[3:]
        return target.reshape(shape.groups, shape.depth, -1)

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write the product, plus a bias if there is one, to (images, O, rows, out_w)."""
        shape = self.shape
        out = scratch("product", (shape.groups, shape.out_depth, cols.shape[-1]), cols.dtype)
        np.matmul(matrix, cols, out=out)
        if bias is not None:
            out += bias.reshape(shape.groups, shape.out_depth, 1)
        out = out.reshape(shape.out_channels, *self.places).transpose(1, 0, 2, 3)
        target[...] = out

    @staticmethod
    def reduce(product: Any) -> Any:
        """The product itself: it is of all images."""
        return product

    def prepare_gradient(self, dtype: Any) -> None:
        """Nothing: the cotangent has no surplus to be zero."""

    def gradient(self, g: Any, block: Block) -> Any:
        """The cotangent like the columns: (groups, images * rows * out_w, out_depth)."""
        first, last, top, bottom = block
        shape = self.shape
        part = g[first:last, :, top:bottom].transpose(0, 2, 3, 1)
        target = scratch("gradient", part.shape, self.dtype)
        np.copyto(target, part)
        return target.reshape(-1, shape.groups, shape.out_depth).transpose(1, 0, 2)


Columns: TypeAlias = Runs | Patches | Winograd


@functools.lru_cache(maxsize=1024)
def _plan(
    shape: Shape, images: int, itemsize: int, single: bool
) -> tuple[type[Columns], list[Block], float]:
    """The way to make columns, the blocks, and about how many seconds one thread takes."""
    windows = shape.windows
    height, width = windows.out
    row = shape.channels * windows.kernel[0] * windows.kernel[1] * itemsize
    make: type[Columns]
    if single and images and saves(shape):
        make = Winograd
        blocks = shape.blocks(images, row * pitch(windows) // 2, TILE)
    elif windows.stride == (1, 1) and height * width >= 40:
        make, blocks = Runs, shape.blocks(images, row * pitch(windows))
    else:
        # Below 40 places a product with the columns of one image is too narrow.
        make, blocks = Patches, shape.blocks(images, row * width)
    places = images * height * width
    moved = places * (shape.groups * shape.depth + 2 * shape.out_channels)
    seconds = places * shape.depth * shape.out_channels * 2e-11 + moved * 2e-10
    return make, blocks, seconds


def _matrix(w: Any, groups: int, dtype: Any) -> Any:
    """The weight (O, C / groups, kh, kw) as (groups, out_depth, depth)."""
    out_channels = w.shape[0]
    depth = w.shape[1] * w.shape[2] * w.shape[3]
    return np.ascontiguousarray(w, dtype).reshape(groups, out_channels // groups, depth)


def _quiet(make: type[Columns]) -> AbstractContextManager[Any]:
    """Winograd's sums may overflow where the convolution does not: it is then computed again."""
    return np.errstate(over="ignore", invalid="ignore") if make is Winograd else nullcontext()


def convolve(
    x: Any, w: Any, bias: Any, windows: Windows, groups: int, *, plainly: bool = False
) -> Any:
    """The value of conv2d; ``plainly``: without Winograd's algorithm."""
    dtype = np.result_type(x, w) if bias is None else np.result_type(x, w, bias)
    y = np.empty((x.shape[0], w.shape[0], *windows.out), dtype)
    if not y.size or not w.size:
        y[...] = 0.0 if bias is None else bias[:, None, None]
        return y
    shape = Shape(windows, x.shape[1], w.shape[0], groups)
    single = dtype == np.float32 and not plainly
    make, blocks, seconds = _plan(shape, len(x), dtype.itemsize, single)
    matrix = make.matrix(w, shape, dtype)

    def work(some: Sequence[Block]) -> None:
        with _quiet(make):
            columns = make(shape, some, dtype)
            for block in some:
                first, last, top, bottom = block
                target = y[first:last, :, top:bottom]
                columns.multiply(matrix, columns.columns(x, block), bias, target)

    run(work, blocks, seconds)
    # One NaN spoils a whole tile. To look costs 0.4 % of the time.
    if make is Winograd and not np.isfinite(y).all():
        return convolve(x, w, bias, windows, groups, plainly=True)
    return y


def convolve_weight_grad(
    x: Any, g: Any, windows: Windows, groups: int, *, plainly: bool = False
) -> Any:
    """The gradient of conv2d by its weight; ``plainly``: without Winograd's algorithm."""
    dtype = np.result_type(x, g)
    shape = Shape(windows, x.shape[1], g.shape[1], groups)
    w_shape = (g.shape[1], x.shape[1] // groups, *windows.kernel)
    if not g.size or not x.size:
        return np.zeros(w_shape, dtype)
    single = dtype == np.float32 and not plainly
    make, blocks, seconds = _plan(shape, len(x), dtype.itemsize, single)
    sums: dict[Block, Any] = {}

    def work(some: Sequence[Block]) -> None:
        with _quiet(make):
            columns = make(shape, some, dtype)
            columns.prepare_gradient(dtype)
            mine = np.zeros((), np.float64)  # however many blocks there are
            for block in some:
                cols, turned = columns.columns(x, block), columns.gradient(g, block)
                product = scratch("product", (*cols.shape[:-1], turned.shape[-1]), dtype)
                np.matmul(cols, turned, out=product)
                mine = mine + columns.reduce(product)
            sums[some[0]] = mine

    run(work, blocks, seconds)
    # In an order that does not depend on which thread was first.
    found = np.asarray(sum(sums[first] for first in sorted(sums)), dtype)
    if make is Winograd and not np.isfinite(found).all():
        return convolve_weight_grad(x, g, windows, groups, plainly=True)
    return make.weight(found, w_shape)


def convolve_input_grad(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """The gradient of conv2d by its input."""
    if windows.stride == (1, 1):
        return _flipped(g, w, windows, groups)
    dtype = np.result_type(g, w)
    n, out_channels, oh, ow = g.shape
    kh, kw = windows.kernel
    channels = w.shape[1] * groups
    x = np.empty((n, channels, *windows.size), dtype)
    if not x.size or not g.size:
        x.fill(0.0)
        return x
    turned = np.swapaxes(_matrix(w, groups, dtype), 1, 2)
    many = max(1, BLOCK // max(1, channels * kh * kw * oh * ow * dtype.itemsize))

    def work(some: Sequence[int]) -> None:
        for i in some:
            part = g[i : i + many].reshape(-1, groups, out_channels // groups, oh * ow)
            cols = turned @ part
            x[i : i + many] = add_patches(cols.reshape(-1, channels, kh, kw, oh, ow), windows)

    products = n * oh * ow * w.size
    run(work, range(0, n, many), products * 2e-11 + n * channels * kh * kw * oh * ow * 4e-10)
    return x


def _flipped(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """At stride 1 the gradient by the input is a convolution of g with the kernel turned around.

    No scattering: 6 ms instead of 11.
    """
    out_channels, inner, kh, kw = w.shape
    turned = w.reshape(groups, out_channels // groups, inner, kh, kw)
    turned = turned.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1]
    turned = turned.reshape(groups * inner, out_channels // groups, kh, kw)
    # Where the padding is wider than the kernel reaches, the frame of g met nothing but padding.
    room = [
        [d * (k - 1) - p for p in pads]
        for k, d, pads in zip(windows.kernel, windows.dilation, windows.padding, strict=True)
    ]
    (top, bottom), (left, right) = [[max(-r, 0) for r in pads] for pads in room]
    oh, ow = windows.out
    g = g[:, :, top : oh - bottom, left : ow - right]
    (a, b), (c, d) = [[max(r, 0) for r in pads] for pads in room]
    back = windows._replace(
        size=(oh - top - bottom, ow - left - right),
        padding=((a, b), (c, d)),
        out=windows.size,
    )
    return convolve(g, turned, None, back, groups)
