"""Convolution: ``weight @ im2col(x)``, and the same result faster.

The three definitions come first. They are the fastest way for little work, and the tests compare
every other way with them. The other ways cut the batch into blocks whose columns stay in cache,
multiply one block after the other, and share the blocks out over threads: ``columns.py`` and
``winograd.py`` make the columns.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import numpy as np

from minigrad.kernels.blocks import BLOCK, Block, Shape, pitch
from minigrad.kernels.columns import Patches, Runs, as_matrix
from minigrad.kernels.im2col import col2im, im2col
from minigrad.kernels.order import new_images
from minigrad.kernels.sums import total
from minigrad.kernels.threads import run, run_each, slices, small_product
from minigrad.kernels.windows import Windows
from minigrad.kernels.winograd import FEWEST, TALL, TILE, Winograd, saves, suits

#: Up to this many elements in all columns, the definition is as fast as anything: it takes few
#: calls of NumPy. 21 us instead of 60 for 4 images of 4 x 8 x 8; 82 instead of 142 for one of
#: 32 x 14 x 14.
FEW = 1 << 16


def plain_conv2d(x: Any, w: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """Of images (N, C, H, W) with w (O, C / groups, kh, kw): (N, O, out_h, out_w)."""
    weight, columns = as_matrix(w, groups), _by_group(im2col(x, windows), groups)
    y = (weight @ columns).reshape(len(x), len(w), *windows.out)
    return y if bias is None else y + bias[:, None, None]


def plain_conv2d_input_grad(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """The gradient by x, whose columns reach the output through the weight."""
    columns = np.swapaxes(as_matrix(w, groups), 1, 2) @ _by_group(g, groups)
    _, depth, places = columns.shape[1:]
    return col2im(columns.reshape(len(g), groups * depth, places), windows)


def plain_conv2d_weight_grad(x: Any, g: Any, windows: Windows, groups: int) -> Any:
    """The gradient by w, which meets the columns of each image."""
    columns = _by_group(im2col(x, windows), groups)
    found = total(_by_group(g, groups) @ np.swapaxes(columns, 2, 3), axis=0)
    return found.reshape(g.shape[1], x.shape[1] // groups, *windows.kernel)


def _by_group(x: Any, groups: int) -> Any:
    """(N, M, ...) as (N, groups, M / groups, places)."""
    places = x.shape[2] if x.ndim == 3 else x.shape[2] * x.shape[3]
    return x.reshape(len(x), groups, x.shape[1] // groups, places)


def _is_little(x: Any, windows: Windows) -> bool:
    (kh, kw), (oh, ow) = windows.kernel, windows.out
    return bool(len(x) * x.shape[1] * kh * kw * oh * ow <= FEW)


def conv2d(x: Any, w: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d``, a block at a time."""
    if _is_little(x, windows) or not len(w):
        with small_product(x.size * w.size):
            return plain_conv2d(x, w, bias, windows, groups)
    dtype = np.result_type(x, w) if bias is None else np.result_type(x, w, bias)
    shape = Shape(windows, x.shape[1], len(w), groups)
    y = new_images((len(x), len(w), *windows.out), dtype, _puts_last(shape, dtype))
    if _is_product(windows):
        _products(as_matrix(np.ascontiguousarray(w, dtype), groups), x, bias, y)
        return y

    def compute(*without: type[Columns]) -> type[Columns]:
        layout, blocks, seconds = _plan(shape, len(x), dtype.itemsize, without)
        matrix = layout.matrix(w, shape, dtype)

        def work(some: Sequence[Block]) -> None:
            with _quiet(layout is Winograd):
                columns = layout(shape, blocks[0], dtype)
                for block in some:
                    first, last, top, bottom = block
                    target = y[first:last, :, top:bottom]
                    columns.multiply(matrix, columns.columns(x, block), bias, target)

        run(work, blocks, seconds)
        return layout

    # In Winograd's result, one NaN spoils a tile; to look takes 0.4 %.
    if compute(*_unfit(dtype)) is Winograd and not np.isfinite(y).all():
        compute(Winograd)
    return y


def _puts_last(shape: Shape, dtype: Any) -> bool:
    """Whether the channels of the result lie last in memory, where Winograd's way takes them."""
    return bool(dtype == np.float32 and suits(shape) and shape.out_channels >= FEWEST)


def _is_product(windows: Windows) -> bool:
    """Whether the columns of an image are the image itself."""
    return windows.kernel == windows.stride == (1, 1) and windows.out == windows.size


def _products(matrix: Any, x: Any, bias: Any, y: Any) -> None:
    """Write the products of matrices (groups, O / groups, C / groups) and the images to y."""
    source = _by_group(np.ascontiguousarray(x, y.dtype), len(matrix))
    target = _by_group(y, len(matrix))  # a view

    def work(some: Sequence[int]) -> None:
        part = slice(some[0], some[-1] + 1)
        np.matmul(matrix, source[part], out=target[part])
        if bias is not None:
            y[part] += bias[:, None, None]

    places = y.size // y.shape[1]
    seconds = places * (matrix.size * 2e-11 + y.shape[1] * 2e-10)
    run(work, range(len(x)), seconds)


def conv2d_weight_grad(x: Any, g: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d_weight_grad``, a block at a time."""
    if _is_little(x, windows) or not g.size:
        with small_product(g.size * x.shape[1] * math.prod(windows.kernel)):
            return plain_conv2d_weight_grad(x, g, windows, groups)
    dtype = np.result_type(x, g)
    shape = Shape(windows, x.shape[1], g.shape[1], groups)

    def compute(*without: type[Columns]) -> tuple[type[Columns], Any]:
        layout, blocks, seconds = _plan(shape, len(x), dtype.itemsize, without)
        sums: dict[Block, Any] = {}

        def work(some: Sequence[Block]) -> None:
            with _quiet(layout is not Patches):
                columns = layout(shape, blocks[0], dtype)
                columns.prepare_gradient()
                mine = np.zeros((), np.float64)  # however many blocks there are
                for block in some:
                    cols, slopes = columns.columns(x, block), columns.gradient(g, block)
                    mine = mine + columns.correlate(cols, slopes)
                sums[some[0]] = mine

        run(work, blocks, seconds)
        # In an order that does not depend on which thread was first.
        return layout, np.asarray(sum(sums[first] for first in sorted(sums)), dtype)

    without = _unfit(dtype)
    layout, found = compute(*without)
    # What is infinite must not meet the zeros where columns of ``Runs`` wrap around, either.
    while layout is not Patches and not np.isfinite(found).all():
        without = (*without, layout)
        layout, found = compute(*without)
    return layout.weight(found, (g.shape[1], x.shape[1] // groups, *windows.kernel))


def conv2d_input_grad(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d_input_grad``: at stride 1 as a convolution, else some images at a time."""
    if not g.size or not w.size:
        return plain_conv2d_input_grad(g, w, windows, groups)
    if windows.stride == (1, 1) and is_finite(w):
        return conv2d(*flipped(g, w, windows, groups))
    n, _, oh, ow = g.shape
    x = np.empty((n, w.shape[1] * groups, *windows.size), np.result_type(g, w))
    elements = x.shape[1] * windows.kernel[0] * windows.kernel[1] * oh * ow

    def work(some: slice) -> None:
        x[some] = plain_conv2d_input_grad(g[some], w, windows, groups)

    seconds = n * oh * ow * w.size * 2e-11 + n * elements * 4e-10
    run_each(work, slices(n, BLOCK // (elements * x.itemsize)), seconds)
    return x


def is_finite(w: Any) -> bool:
    """Whether a weight is, which otherwise must not meet the zeros around an image.

    To square few numbers takes 0.5 us instead of 1.4; of more, BLAS would share them out.
    """
    few = w.size < 10_000 and math.isfinite(np.vdot(w, w))
    return few or bool(np.isfinite(w).all())


def flipped(g: Any, w: Any, windows: Windows, groups: int) -> tuple[Any, Any, None, Windows, int]:
    """The arguments of ``conv2d`` that make it the gradient by the input at stride 1.

    It is a convolution of g with the kernel flipped. Nothing is scattered: 6 ms instead of 11.
    """
    out_channels, inner, kh, kw = w.shape
    kernel = w.reshape(groups, out_channels // groups, inner, kh, kw)
    kernel = kernel.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1]
    kernel = kernel.reshape(groups * inner, out_channels // groups, kh, kw)
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
    return g, kernel, None, back, groups


Columns: TypeAlias = Runs | Patches | Winograd


@functools.lru_cache(maxsize=1024)
def _plan(
    shape: Shape, images: int, itemsize: int, without: tuple[type[Columns], ...]
) -> tuple[type[Columns], list[Block], float]:
    """The layout of columns, the blocks, and about how many seconds one thread takes."""
    windows = shape.windows
    height, width = windows.out
    row = shape.channels * windows.kernel[0] * windows.kernel[1] * itemsize
    layout: type[Columns]
    if Winograd not in without and saves(shape):
        layout = Winograd
        wide = max(shape.channels, shape.out_channels) * itemsize * TALL // TILE
        blocks = shape.blocks(images, wide * (width + windows.kernel[1] - 1), TILE)
    elif Runs not in without and windows.stride == (1, 1) and height * width >= 40:
        layout, blocks = Runs, shape.blocks(images, row * pitch(windows))
    else:
        # Below 40 places a product with the columns of one image is too narrow.
        layout, blocks = Patches, shape.blocks(images, row * width)
    places = images * height * width
    moved = places * (shape.groups * shape.depth + 2 * shape.out_channels)
    seconds = places * shape.depth * shape.out_channels * 2e-11 + moved * 2e-10
    return layout, blocks, seconds


def _unfit(dtype: Any) -> tuple[type[Columns], ...]:
    """The layouts that are not for this dtype."""
    return () if dtype == np.float32 else (Winograd,)


def _quiet(retries: bool) -> AbstractContextManager[Any]:
    """Sums may overflow where the convolution does not, if it is computed again then."""
    return np.errstate(over="ignore", invalid="ignore") if retries else nullcontext()
