"""Convolution and its gradients, on images with their channels last.

In float32, large 3 x 3 kernels go through ``winograd.py`` and small ones through ``direct.py``;
everything else is a product with columns, of which a 1 x 1 kernel needs none. The batch is cut into
rows of outputs, or of tiles, which are shared out over threads.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import convolution as numpy_set
from minigrad.kernels.blas import one_thread
from minigrad.kernels.compiled.columns import add_bias, add_columns, take_columns
from minigrad.kernels.compiled.direct import (
    PLACES,
    ROWS,
    convolve,
    convolve_back,
    convolve_weight,
    padded,
    pitch_of,
)
from minigrad.kernels.compiled.layout import (
    are_floats,
    are_single,
    channels_last,
    flat,
    integers,
    new_images,
    run,
    summed,
)
from minigrad.kernels.compiled.vectors import LANES
from minigrad.kernels.compiled.winograd import (
    BOTH,
    PRODUCTS,
    SIDE,
    TILE,
    from_tiles,
    spread_tiles,
    to_tiles,
)
from minigrad.kernels.scratch import scratch
from minigrad.kernels.windows import Windows

#: From so many images on, threads can take some each.
IMAGES = 4
#: The bytes of columns, or of tiles and their products, at a time: they stay in cache.
BLOCK = 1 << 20
#: The least number of tiles in one product of the gradient by the weight, whose result is large.
#: From WIDE pairs of channels on, tiles are large, too: with half as many of them, 128 channels to
#: 128 need 7 MB less on two threads; 64 to 128, of 56 x 56 pixels, take 8.9 ms instead of 11.1.
TILES, FEW_TILES, WIDE = 256, 128, 1 << 12
#: The most pixels over which BLAS sums in the gradient by the weight, in float32.
PIXELS = 1 << 12
#: Up to this many numbers under a window, a kernel stays in cache, and columns do not pay.
FEW = 1024
#: The outputs that are computed at a time where there are no columns.
ELEMENTS = 1 << 16
#: What one multiplication and one moved element take, in seconds.
MULTIPLY, MOVE = 2e-11, 3e-10


class Geometry(NamedTuple):
    """The integers that loops need, and which algorithms fit."""

    shape: tuple[int, ...]
    tiles: tuple[int, int]
    #: A 1 x 1 kernel, whose columns are the image.
    plain: bool
    winograd: bool
    #: Few numbers under a window, or one channel for each kernel.
    direct: bool
    depthwise: bool
    #: Whether the gradient by the input takes fewer steps when g is spread over windows than when
    #: it is a convolution itself.
    spreads: bool
    #: How many neighbouring pixels share vectors where there are no columns.
    together: int


@functools.lru_cache(maxsize=1024)
def _geometry(windows: Windows, channels: int, out_channels: int, groups: int) -> Geometry:
    tall, wide = tiles = (-(-windows.out[0] // TILE), -(-windows.out[1] // TILE))
    single = windows.stride == windows.dilation == (1, 1)
    fits = single and windows.kernel == (3, 3) and groups == 1
    # Outputs beyond the last tile are computed for nothing: at most three quarters of all.
    fits = fits and tall * wide * TILE * TILE * 4 <= windows.out[0] * windows.out[1] * 7
    direct = groups == 1 and channels * windows.kernel[0] * windows.kernel[1] <= FEW
    together = 1
    if direct and windows.dilation[1] == 1:
        row = windows.kernel[1], windows.stride[1], windows.out[1]
        together = _joint(*row, out_channels)[1]
    return Geometry(
        (*integers(windows, channels), groups),
        tiles,
        single and windows.kernel == (1, 1) and groups == 1 and windows.padding == ((0, 0), (0, 0)),
        fits and min(channels, out_channels) >= LANES,
        direct,
        1 < groups == channels == out_channels,
        groups == 1 and _spreads(windows, channels, out_channels),
        together,
    )  # fmt: skip


def _spreads(windows: Windows, channels: int, out_channels: int) -> bool:
    """Whether to spread slopes over windows, by the numbers that are multiplied.

    Measured: it takes a quarter longer for each than a convolution does; beside columns it pays for
    up to 32 output channels.
    """
    (kh, kw), (tall, wide), (oh, ow) = windows.kernel, windows.size, windows.out
    if windows.dilation[1] != 1 or out_channels * kh * kw > FEW:
        return False
    if windows.stride != (1, 1):
        return out_channels <= 2 * LANES
    vectors = padded(kh * (padded(kw * channels) // LANES), PLACES)
    return 1.25 * oh * ow * vectors * LANES < tall * wide * kh * _joint(kw, 1, wide, channels)[0]


def _joint(kernel: int, stride: int, wide: int, channels: int) -> tuple[float, int]:
    """The numbers that a row of a window takes at least, and how many pixels are then together.

    Where channels do not fill a vector, some pixels of a row are computed as if they were one of so
    many more channels. They have one window, which is wider: it holds zeros where it covers what
    only another one of them meets.
    """
    return min(
        (padded(many * channels) * (kernel + (many - 1) * stride) / many, many)
        for many in range(1, LANES + 1)
        if wide % many == 0
    )


def _suits_numpy(geometry: Geometry, *images: Any) -> bool:
    """Whether the functions written with NumPy are faster.

    They are for several groups at stride 1, unless each is one channel: 3 ms instead of 7 for the
    gradient by the weight of 32 images of 32 x 28 x 28 in 4 groups, in either order in memory. And
    for 1 x 1 kernels, whose columns are the images, where they need not be turned around: 5.3 ms
    instead of 6.5 for such images to 64 channels, with both gradients.
    """
    grouped = geometry.shape[-1] > 1 and geometry.shape[5:7] == (1, 1)
    if grouped and not (geometry.depthwise and are_single(*images)):
        return True
    return geometry.plain and all(
        a.flags.c_contiguous and not a.transpose(0, 2, 3, 1).flags.c_contiguous for a in images
    )


def conv2d(x: Any, w: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d``."""
    if not are_floats(x, w, bias) or not x.size or not w.size:
        return numpy_set.conv2d(x, w, bias, windows, groups)
    geometry = _geometry(windows, x.shape[1], len(w), groups)
    if _suits_numpy(geometry, x):
        return numpy_set.conv2d(x, w, bias, windows, groups)
    memory, y = new_images(len(x), len(w), *windows.out, x.dtype)
    pixels = channels_last(x)
    if are_single(x):
        if geometry.winograd and _winograd(pixels, w, bias, memory, geometry):
            return y
        if geometry.direct or geometry.depthwise:
            _direct(pixels, w, bias, memory, geometry)
            return y
    _by_columns(pixels, w, bias, memory, geometry)
    return y


def _by_group(images: Any, groups: int) -> Any:
    """Images with channels last as (groups, pixels, channels of one group)."""
    return images.reshape(-1, groups, images.shape[-1] // groups).transpose(1, 0, 2)


def _by_columns(pixels: Any, w: Any, bias: Any, memory: Any, geometry: Geometry) -> None:
    """Fill ``memory`` with products of columns."""
    groups, ow, out_channels = geometry.shape[-1], memory.shape[2], len(w)
    # For each group: what a window covers, by the output channels.
    matrix = np.ascontiguousarray(
        w.reshape(groups, -1, *w.shape[1:]).transpose(0, 3, 4, 2, 1)
    ).reshape(groups, -1, out_channels // groups)
    depth = matrix.shape[1]
    rows, products = flat(pixels), _by_group(memory, groups)
    shift = None if bias is None else flat(bias)

    def work(start: int, stop: int) -> None:
        a, b = start * ow, stop * ow
        columns = _columns(rows, geometry, start, stop, depth)
        np.matmul(columns, matrix, out=products[:, a:b])
        if shift is not None:
            add_bias(memory.reshape(-1), shift, a, b)

    places = memory.size // out_channels
    seconds = places * depth * (out_channels * MULTIPLY + groups * MOVE)
    run(work, places // ow, BLOCK // (ow * depth * groups * w.itemsize), seconds)


def _columns(rows: Any, geometry: Geometry, start: int, stop: int, depth: int) -> Any:
    """The columns of output rows start to stop: (groups, windows, depth)."""
    wide, groups = geometry.shape[-2:]
    if geometry.plain:
        return rows[start * wide * depth : stop * wide * depth].reshape(1, -1, depth)
    columns = scratch("columns", (groups, (stop - start) * wide, depth), rows.dtype)
    take_columns(rows, columns.reshape(-1), geometry.shape, start, stop)
    return columns


def _tiles(pixels: Any, geometry: Geometry, start: int, stop: int) -> Any:
    """The transformed tiles of rows of tiles start to stop: (36, tiles, C)."""
    wide, channels = geometry.tiles[1], pixels.shape[-1]
    tiles = scratch("columns", (PRODUCTS, (stop - start) * wide, channels), pixels.dtype)
    rows = scratch("image", (SIDE, (TILE * wide + 2) * channels + LANES), pixels.dtype)
    shape = (*pixels.shape[1:], *geometry.shape[9:11], *geometry.tiles)
    to_tiles(flat(pixels), tiles.reshape(-1), rows.reshape(-1), shape, start, stop)
    return tiles


def _winograd(pixels: Any, w: Any, bias: Any, memory: Any, geometry: Geometry) -> bool:
    """Fill ``memory`` by Winograd's algorithm; False if the result is not finite."""
    n, height, width, out_channels = memory.shape
    channels, (tall, wide) = w.shape[1], geometry.tiles
    kernels = np.ascontiguousarray(w.transpose(2, 3, 1, 0)).reshape(9, -1)
    with one_thread():  # BLAS's own threads would stay awake, and in the way of ours
        matrix = (BOTH.astype(w.dtype) @ kernels).reshape(PRODUCTS, channels, out_channels)
    shift = flat(np.zeros(out_channels, w.dtype) if bias is None else bias)
    shape = (height, width, out_channels, tall, wide)
    finite: list[bool] = []

    def work(start: int, stop: int) -> None:
        tiles = _tiles(pixels, geometry, start, stop)
        products = scratch("product", (*tiles.shape[:2], out_channels), w.dtype)
        np.matmul(tiles, matrix, out=products)
        flat_products = products.reshape(-1)
        finite.append(from_tiles(flat_products, shift, memory.reshape(-1), shape, start, stop))

    count = n * tall * wide * PRODUCTS
    seconds = count * (channels * out_channels * MULTIPLY + (channels + out_channels) * MOVE)
    most = BLOCK // (PRODUCTS * wide * (channels + out_channels) * w.itemsize)
    with np.errstate(over="ignore", invalid="ignore"):
        run(work, n * tall, most, seconds)
    return all(finite)


def _joined(shape: tuple[int, ...], many: int) -> tuple[int, ...]:
    """The integers for loops that take so many pixels of a row as one."""
    sizes = [*shape]
    sizes[4] += (many - 1) * sizes[6]
    sizes[6] *= many
    sizes[12] //= many
    return tuple(sizes)


@functools.lru_cache(maxsize=1024)
def _offsets(shape: tuple[int, ...], inner: int, below: int, by: int = 1) -> Any:
    """Where each place of a window lies in memory, where its rows are ``below`` numbers apart.

    Zeros fill up multiples.
    """
    p, q, c = np.indices((*shape[3:5], inner)).reshape(3, -1)
    offsets = np.zeros(padded(len(c), by), np.int64)
    offsets[: len(c)] = p * below + q * shape[8] * shape[2] + c
    return offsets


def _direct(pixels: Any, w: Any, bias: Any, memory: Any, geometry: Geometry) -> None:
    """Fill ``memory`` without columns."""
    together, shape = geometry.together, geometry.shape
    # 0.45 ms instead of 0.9 for 64 images of 28 x 28 to 6 channels by 5 x 5, on one thread. What
    # is not finite must not meet the zeros between kernels.
    if together > 1 and np.isfinite(pixels).all():
        step, wide = shape[6], w.shape[3]
        shape = _joined(shape, together)
        kernels = np.zeros((together, *w.shape[:3], shape[4]), w.dtype)
        for i in range(together):
            kernels[i, ..., i * step : i * step + wide] = w
        w = kernels.reshape(-1, *kernels.shape[2:])
        bias = None if bias is None else np.tile(bias, together)
    out_channels = len(w)
    many = padded(out_channels)
    matrix = np.zeros((w.size // out_channels, many), w.dtype)
    matrix[:, :out_channels] = w.transpose(2, 3, 1, 0).reshape(-1, out_channels)
    shift = np.zeros(many, w.dtype)
    if bias is not None:
        shift[:out_channels] = bias
    x, weight, y = flat(pixels), flat(matrix), memory.reshape(-1)
    offsets = _offsets(shape, w.shape[1], pitch_of(shape))
    size = (shape[3] * pitch_of(shape),)
    each = True if geometry.depthwise else None

    def work(start: int, stop: int) -> None:
        rows = scratch("image", size, w.dtype)
        convolve(x, weight, shift, y, offsets, rows, shape, out_channels, each, start, stop)

    places = memory.size // out_channels
    seconds = places * (len(matrix) + 2) * many * MULTIPLY
    run(work, places // shape[12], ELEMENTS // (shape[12] * many), seconds)


def conv2d_input_grad(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d_input_grad``."""
    if not are_floats(g, w) or not g.size or not w.size or not all(windows.size):
        return numpy_set.conv2d_input_grad(g, w, windows, groups)
    geometry = _geometry(windows, w.shape[1] * groups, len(w), groups)
    if geometry.spreads and are_single(g) and len(g) >= IMAGES:
        return _direct_input_grad(g, w, geometry, windows)
    if windows.stride == (1, 1) and numpy_set.is_finite(w):
        return conv2d(*numpy_set.flipped(g, w, windows, groups))
    n, out_channels, oh, ow = g.shape
    memory, x = new_images(n, geometry.shape[2], *windows.size, g.dtype)
    slopes = _by_group(channels_last(g), groups)
    # For each group: the output channels, by what a window covers.
    matrix = np.ascontiguousarray(
        w.reshape(groups, -1, *w.shape[1:]).transpose(0, 1, 3, 4, 2)
    ).reshape(groups, out_channels // groups, -1)
    depth = matrix.shape[2]
    band = max(1, BLOCK // (ow * depth * groups * g.itemsize))

    def work(first: int, last: int) -> None:  # images
        memory[first:last] = 0.0
        for start in range(first * oh, last * oh, band):
            stop = min(start + band, last * oh)
            columns = scratch("columns", (groups, (stop - start) * ow, depth), g.dtype)
            np.matmul(slopes[:, start * ow : stop * ow], matrix, out=columns)
            add_columns(columns.reshape(-1), memory.reshape(-1), geometry.shape, start, stop)

    seconds = n * oh * ow * depth * (out_channels * MULTIPLY + groups * MOVE)
    run(work, n, band // oh, seconds)
    return x


def _direct_input_grad(g: Any, w: Any, geometry: Geometry, windows: Windows) -> Any:
    """The gradient by the input without columns: 0.3 ms instead of 0.8 for LeNet's, on one thread.

    Most of the products of g with the flipped kernel would be of the zeros around g.
    """
    shape = geometry.shape
    channels, kh, kw, s1, s2, d1, left, tall, wide = (
        shape[i] for i in (2, 3, 4, 5, 6, 7, 10, 11, 12)
    )
    n, out_channels = g.shape[:2]
    pitch = max(left + shape[1], (wide - 1) * s2 + kw) * channels + LANES
    chunks = padded(kw * channels) // LANES
    places = padded(kh * chunks, PLACES)
    targets = np.zeros((places, 2), np.int64)
    p, c = np.indices((kh, chunks)).reshape(2, -1)
    targets[: len(p), 0] = p * d1 * pitch + c * LANES
    targets[: len(p), 1] = np.minimum(LANES, kw * channels - c * LANES)
    matrix = np.zeros((out_channels, places * LANES), w.dtype)
    by_row = matrix[:, : kh * chunks * LANES].reshape(out_channels, kh, -1)
    by_row[:, :, : kw * channels] = w.transpose(0, 2, 3, 1).reshape(out_channels, kh, -1)
    memory, x = new_images(n, channels, *windows.size, g.dtype)
    slopes, weight, target = flat(channels_last(g)), flat(matrix), memory.reshape(-1)
    size = ((tall - 1) * s1 + (kh - 1) * d1 + 1) * pitch

    def work(start: int, stop: int) -> None:
        image = scratch("image", (size,), g.dtype)
        convolve_back(slopes, weight, target, targets, image, shape, out_channels, start, stop)

    pixels = tall * wide
    seconds = n * pixels * out_channels * places * LANES * MULTIPLY
    run(work, n, ELEMENTS // (pixels * LANES), seconds)
    return x


def conv2d_weight_grad(x: Any, g: Any, windows: Windows, groups: int) -> Any:
    """``plain_conv2d_weight_grad``."""
    if not are_floats(x, g) or not x.size or not g.size:
        return numpy_set.conv2d_weight_grad(x, g, windows, groups)
    channels, out_channels = x.shape[1], g.shape[1]
    geometry = _geometry(windows, channels, out_channels, groups)
    if _suits_numpy(geometry, x, g):
        return numpy_set.conv2d_weight_grad(x, g, windows, groups)
    pixels, slopes = channels_last(x), channels_last(g)
    shape = (out_channels, channels // groups, *windows.kernel)
    if are_single(x):
        if geometry.winograd:
            found = _winograd_weight_grad(pixels, slopes, geometry)
            if np.isfinite(found).all():
                with one_thread():
                    kernels = BOTH.T.astype(x.dtype) @ found.reshape(PRODUCTS, -1)
                weight = kernels.reshape(3, 3, channels, out_channels).transpose(3, 2, 0, 1)
                return np.ascontiguousarray(weight)
        if geometry.direct or geometry.depthwise:
            return _direct_weight_grad(pixels, slopes, geometry, shape)
    rows, by_group = flat(pixels), _by_group(slopes, groups)
    oh, ow = windows.out
    depth = shape[1] * shape[2] * shape[3]

    def work(sums: Any, start: int, stop: int) -> None:
        columns = _columns(rows, geometry, start, stop, depth)
        sums += columns.swapaxes(1, 2) @ by_group[:, start * ow : stop * ow]

    seconds = len(x) * oh * ow * depth * (out_channels * MULTIPLY + groups * MOVE)
    most = min(PIXELS // ow, BLOCK // (ow * depth * groups * x.itemsize))
    found = summed(work, (groups, depth, out_channels // groups), len(x) * oh, most, seconds)
    by_channel = found.reshape(groups, *shape[2:], shape[1], -1).transpose(0, 4, 3, 1, 2)
    return by_channel.reshape(shape).astype(x.dtype)


def _direct_weight_grad(
    pixels: Any, slopes: Any, geometry: Geometry, w_shape: tuple[int, ...]
) -> Any:
    """The gradient by the weight without columns."""
    together, dtype = geometry.together, pixels.dtype
    out_channels, shape = slopes.shape[-1] * together, _joined(geometry.shape, together)
    kh, kw, s1, d1, wide = (shape[i] for i in (3, 4, 5, 7, 12))
    pitch, many, inner = pitch_of(shape), padded(out_channels), w_shape[1]
    offsets = _offsets(shape, inner, d1 * pitch, PLACES)
    each = True if geometry.depthwise else None
    x, g = flat(pixels), slopes.reshape(-1, out_channels).view()
    g.flags.writeable = False

    def work(sums: Any, start: int, stop: int) -> None:
        image = scratch("image", (((ROWS - 1) * s1 + (kh - 1) * d1 + 1) * pitch,), dtype)
        slopes = scratch("gradient", (ROWS * wide, many), dtype)
        slopes[:, out_channels:] = 0.0
        convolve_weight(x, g, offsets, image, slopes, shape, each, sums, start, stop)

    places, size = len(g), (len(offsets) * many,)
    seconds = places * (len(offsets) + 2) * many * MULTIPLY
    most = max(ROWS, ELEMENTS // (wide * many))
    found = summed(work, size, places // wide, most, seconds).astype(dtype).reshape(-1, many)
    by_place = found[: kh * kw * inner, :out_channels].reshape(kh, kw, inner, together, -1)
    step, wide = geometry.shape[6], w_shape[3]
    weight = by_place[:, :wide, :, 0]
    for i in range(1, together):
        weight = weight + by_place[:, i * step : i * step + wide, :, i]
    return np.ascontiguousarray(weight.transpose(3, 2, 0, 1))


def _winograd_weight_grad(pixels: Any, slopes: Any, geometry: Geometry) -> Any:
    """The products of tiles of both, summed over the batch: (36, C, O)."""
    n, height, width, out_channels = slopes.shape
    channels, (tall, wide) = pixels.shape[-1], geometry.tiles
    row = flat(slopes)

    def work(sums: Any, start: int, stop: int) -> None:
        tiles = _tiles(pixels, geometry, start, stop)
        spread = scratch("gradient", (*tiles.shape[:2], out_channels), slopes.dtype)
        spread_tiles(row, spread.reshape(-1), spread_shape, start, stop)
        product = scratch("product", size, slopes.dtype)
        np.add(sums, np.matmul(tiles.swapaxes(1, 2), spread, out=product), out=sums)

    spread_shape = (height, width, out_channels, tall, wide)
    size = (PRODUCTS, channels, out_channels)
    count = n * tall * wide * PRODUCTS
    seconds = count * (channels * out_channels * MULTIPLY + (channels + out_channels) * MOVE)
    most = BLOCK // (PRODUCTS * wide * (channels + out_channels) * slopes.itemsize)
    least = FEW_TILES if channels * out_channels >= WIDE else TILES
    with np.errstate(over="ignore", invalid="ignore"):
        found = summed(work, size, n * tall, max(most, least // wide), seconds)
        return found.astype(slopes.dtype)
