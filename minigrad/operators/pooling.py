"""Pooling: the largest or the mean element under a sliding window, and windows that adapt.

The gradient of a maximum goes to the first element that attains it: ``max_pool2d_grad`` sends it
there, ``max_pool2d_pick`` fetches from there. Each is the other's derivative, so every order is
at hand. Neither needs stored indices: input and output tell where the maximum was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.im2col import add_patches, crop_image, pad_image, tap
from minigrad.kernels.scratch import scratch
from minigrad.kernels.threads import run
from minigrad.kernels.windows import (
    IntOrPair,
    Windows,
    as_int,
    check_image,
    check_rank,
    pair,
    pooling,
)
from minigrad.operators.declare import OPERATORS, Array, composite, operator
from minigrad.operators.domain import Sample, distinct, sample
from minigrad.operators.weighing import weigh

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "global_avg_pool2d", "global_max_pool2d", "max_pool2d",
]  # fmt: skip

#: The bytes of the images that are pooled at a time.
BLOCK = 1 << 20


def _windows(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Windows:
    check_rank(name, "input", shape, "(N, C, H, W)")
    return pooling(name, shape[2:], kernel_size, stride, padding, dilation, ceil_mode)


def _by_blocks(work: Callable[[slice], None], x: Any, seconds: float) -> None:
    """Call ``work`` for a few images at a time, which stay in cache from one pass to the next.

    ``seconds``: about how long one element takes.
    """
    many = max(1, BLOCK // max(1, x.nbytes // max(1, len(x))))

    def some(starts: Sequence[int]) -> None:
        for start in starts:
            work(slice(start, start + many))

    run(some, range(0, len(x), many), x.size * seconds)


def _first_hits(x: Any, ans: Any, windows: Windows) -> Iterator[tuple[int, int, Any]]:
    """Each place (i, j) of the windows with a mask: True where it holds the first maximum.

    ``x`` is padded. The mask is used again for the next place.
    """
    if not np.all(ans > -math.inf):
        yield from _chosen(x, ans, windows)
        return
    hit, free = (scratch(role, ans.shape, np.dtype(bool)) for role in ("hit", "free"))
    free.fill(True)
    for i, j in windows.taps:
        np.equal(tap(x, windows, i, j), ans, out=hit)
        np.logical_and(hit, free, out=hit)
        np.not_equal(free, hit, out=free)
        yield i, j, hit


def _chosen(x: Any, ans: Any, windows: Windows) -> Iterator[tuple[int, int, Any]]:
    """The same where windows hold NaN or nothing above -inf, which is what the padding holds.

    As in PyTorch, the last NaN of a window is its maximum; the padding never is.
    """
    image = pad_image(np.ones((1, 1, *windows.size), bool), windows, False)
    place = np.full(ans.shape, -1)
    for k, (i, j) in enumerate(windows.taps):
        value = tap(x, windows, i, j)
        first = (place < 0) & (value == ans) & tap(image, windows, i, j)
        place[first | np.isnan(value)] = k
    for k, (i, j) in enumerate(windows.taps):
        yield i, j, place == k


def _least(dtype: Any) -> Any:
    """What no element of this dtype is below."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype.kind == "b" else -math.inf


def _max_pool2d_vjp(g: Any, ans: Any, x: Any, **geometry: Any) -> Any:
    return max_pool2d_grad(g, x, ans, **geometry)


@operator(
    numbers="real",
    vjp=_max_pool2d_vjp,
    domain=distinct,
    samples=[
        sample((2, 3, 4, 6), kernel_size=2),
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding=1),
        sample((1, 1, 5, 6), kernel_size=(3, 2), stride=(1, 2)),
        sample((1, 2, 6, 7), kernel_size=2, dilation=2), sample((0, 2, 4, 4), kernel_size=2),
        sample((1, 1, 5, 5), kernel_size=2, ceil_mode=True),
    ],
)  # fmt: skip
def max_pool2d(
    input: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The largest element under each window, as PyTorch's; padding is -inf.

    input (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` when None; windows
    may overlap. Of equal elements the first (row by row) gets the gradient, of NaN the last.
    Raises ValueError for a window that does not fit or padding of more than half the kernel.

    >>> max_pool2d(tensor([[[[1.0, 5.0], [3.0, 2.0]]]]), 2)
    tensor([[[[5.]]]])
    """
    windows = _windows("max_pool2d", input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    ans = np.empty((*input.shape[:2], *windows.out), input.dtype)
    (kh, kw), (s1, s2), (d1, d2) = windows.kernel, windows.stride, windows.dilation
    oh, ow = windows.out

    def work(block: slice) -> None:
        # First over rows, whose elements lie side by side, then over what is left of the columns.
        x = pad_image(input[block], windows, _least(input.dtype))
        rows = [x[:, :, i * d1 : i * d1 + s1 * (oh - 1) + 1 : s1] for i in range(kh)]
        tallest = rows[0]
        if kh > 1:
            tallest = scratch("rows", rows[0].shape, x.dtype)
            np.maximum(rows[0], rows[1], out=tallest)
        for row in rows[2:]:
            np.maximum(tallest, row, out=tallest)
        columns = [tallest[..., j * d2 : j * d2 + s2 * (ow - 1) + 1 : s2] for j in range(kw)]
        np.maximum(columns[0], columns[min(1, kw - 1)], out=ans[block])
        for column in columns[2:]:
            np.maximum(ans[block], column, out=ans[block])

    _by_blocks(work, input, 5e-10)
    return ans


def _samples(*geometries: tuple[tuple[int, ...], dict[str, Any]]) -> list[Sample]:
    """A drawn cotangent, a fixed image of which no two elements are equal, and its maxima."""
    found = []
    for shape, geometry in geometries:
        x = np.random.default_rng(0).permutation(math.prod(shape)).astype(float).reshape(shape)
        ans = OPERATORS["max_pool2d"].forward(x, **geometry)
        found.append(sample(ans.shape, x, ans, **geometry))
    return found


_SAMPLES = _samples(
    ((2, 1, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((0, 1, 4, 4), {"kernel_size": 2}),
)


def _max_pool2d_grad_vjp(c: Any, _ans: Any, _g: Any, x: Any, ans: Any, **geometry: Any) -> Any:
    return max_pool2d_pick(c, x, ans, **geometry)


@operator(
    vjp=(_max_pool2d_grad_vjp, None, None),
    samples=_SAMPLES,
)
def max_pool2d_grad(
    g: Array,
    x: Array,
    ans: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """Each element of g added where its window of x has the first maximum, ``ans``."""
    windows = _windows("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    dtype = np.result_type(g, x)
    steps = list(zip(windows.size, windows.out, windows.stride, windows.kernel, strict=True))
    apart = windows.dilation == (1, 1) and all(s >= k for _, _, s, k in steps)
    # Then every pixel lies under one window, and is written once.
    tiled = apart and windows.padded == windows.size
    tiled = tiled and all(s == k and n == m * s for n, m, s, k in steps)
    total = np.empty(x.shape, dtype) if tiled else np.zeros((*x.shape[:2], *windows.padded), dtype)

    def work(block: slice) -> None:
        framed, share = pad_image(x[block], windows, -math.inf), g[block]
        for i, j, hit in _first_hits(framed, ans[block], windows):
            target = tap(total[block], windows, i, j)
            if apart:
                np.multiply(hit, share, out=target)
            else:
                np.add(target, hit * share, out=target)

    _by_blocks(work, x, 1.5e-9 * math.prod(windows.kernel) / math.prod(windows.stride))
    return crop_image(total, windows)


@operator(
    vjp=(
        lambda g, _ans, _c, x, ans, **geometry: max_pool2d_grad(g, x, ans, **geometry),
        None,
        None,
    ),
    samples=[sample(s.arrays[1].shape, *s.arrays[1:], **s.metadata) for s in _SAMPLES],
)
def max_pool2d_pick(
    c: Array,
    x: Array,
    ans: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The elements of c at the first maximum, ``ans``, of each window of x."""
    windows = _windows("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    framed, values = pad_image(x, windows, -math.inf), pad_image(c, windows)
    total = np.zeros(ans.shape, c.dtype)
    for i, j, hit in _first_hits(framed, ans, windows):
        np.copyto(total, tap(values, windows, i, j), where=hit)
    return total


def _sum_pool2d_vjp(g: Any, _ans: Any, _x: Any, **geometry: Any) -> Any:
    return sum_pool2d_grad(g, _x.shape, **geometry)


@operator(
    vjp=_sum_pool2d_vjp,
    samples=[
        sample((2, 1, 4, 6), kernel_size=2),
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding=1),
        sample((0, 2, 4, 4), kernel_size=2),
    ],
    wide=True,
)  # fmt: skip
def sum_pool2d(
    input: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    ceil_mode: bool = False,
) -> Array:
    """The sum of the elements under each window."""
    windows = _windows("avg_pool2d", input.shape, kernel_size, stride, padding, 1, ceil_mode)
    padded = pad_image(input, windows)
    ans = tap(padded, windows, 0, 0).copy()
    for i, j in windows.taps[1:]:
        ans += tap(padded, windows, i, j)
    return ans


@operator(
    vjp=lambda c, _ans, _g, x_shape, **geometry: sum_pool2d(c, **geometry),
    samples=[
        sample((2, 1, 2, 3), x_shape=(2, 1, 4, 6), kernel_size=2),
        sample((1, 2, 3, 3), x_shape=(1, 2, 5, 5), kernel_size=3, stride=2, padding=1),
        sample((0, 1, 2, 2), x_shape=(0, 1, 4, 4), kernel_size=2),
    ],
    wide=True,
)  # fmt: skip
def sum_pool2d_grad(
    g: Array,
    x_shape: tuple[int, ...],
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    ceil_mode: bool = False,
) -> Array:
    """Each element of g added to all places under its window: the adjoint of ``sum_pool2d``."""
    windows = _windows("avg_pool2d", x_shape, kernel_size, stride, padding, 1, ceil_mode)
    n, c, oh, ow = g.shape
    return add_patches(
        np.broadcast_to(g[:, :, None, None], (n, c, *windows.kernel, oh, ow)), windows
    )


@composite(
    numbers="float",
    samples=[
        sample((2, 1, 4, 6), kernel_size=2),
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        sample((1, 1, 5, 5), kernel_size=2, padding=1, ceil_mode=True),
        sample((1, 1, 4, 4), kernel_size=2, divisor_override=3),
        sample((0, 2, 4, 4), kernel_size=2),
    ],
    wide=True,
)
def avg_pool2d(
    input: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of the elements under each window, as PyTorch's.

    input (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` when None. The
    zeros of the padding count as elements unless ``count_include_pad=False`` (those of "same"
    never do, as in TensorFlow);
    ``divisor_override`` divides by that number instead.
    Raises ValueError for a window that does not fit or padding of more than half the kernel.

    >>> avg_pool2d(tensor([[[[1.0, 5.0], [3.0, 3.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    windows = _windows("avg_pool2d", input.shape, kernel_size, stride, padding, 1, ceil_mode)
    if input.dtype.kind in "iub":  # whose sums would overflow
        input = input.astype(float)
    total = sum_pool2d(input, kernel_size, stride, padding, ceil_mode)
    if divisor_override is not None:
        divisor = as_int("avg_pool2d", "divisor_override", divisor_override)
        if divisor == 0:
            raise ValueError("avg_pool2d: divisor_override must not be 0")
        return total * (1.0 / divisor)
    counted = count_include_pad and not isinstance(padding, str)  # never in TensorFlow
    limit = pair("avg_pool2d", "padding", padding, 0) if counted else (0, 0)
    rows, columns = (_covered(windows, axis, limit[axis]) for axis in (0, 1))
    if rows.min() == rows.max() and columns.min() == columns.max():
        return total * (1.0 / (int(rows[0]) * int(columns[0])))
    return total * (1.0 / (rows[:, None] * columns)).astype(total.dtype)


def _covered(windows: Windows, axis: int, frame: int) -> Any:
    """How many places of the image, inside a frame of this width, each window covers."""
    start = windows.stride[axis] * np.arange(windows.out[axis]) - windows.padding[axis][0]
    end = np.minimum(start + windows.kernel[axis], windows.size[axis] + frame)
    return end - np.maximum(start, -frame)


@composite(
    numbers="float",
    samples=[
        sample((2, 1, 5, 7), output_size=(2, 3)), sample((1, 2, 4, 4), output_size=1),
        sample((1, 1, 2, 3), output_size=(None, 5)), sample((0, 1, 4, 4), output_size=2),
    ],
    wide=True,
)  # fmt: skip
def adaptive_avg_pool2d(input: Array, output_size: int | tuple[int | None, int | None]) -> Array:
    """The means over windows chosen to give ``output_size``, as PyTorch's.

    Output row i is the mean of rows floor(i H / out_h) to ceil((i + 1) H / out_h), columns alike.
    input (N, C, H, W) gives (N, C, out_h, out_w); None keeps a length.
    Raises ValueError for a length below 1 or an empty image.

    >>> adaptive_avg_pool2d(tensor([[[[1.0, 2.0, 6.0]]]]), (1, 2))
    tensor([[[[1.5, 4. ]]]])
    """
    name = "adaptive_avg_pool2d"
    check_image(name, input.shape)
    both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(both) != 2:
        raise ValueError(f"{name}: output_size must be an int or a pair, got {output_size!r}")
    size = input.shape[2:]
    filled = tuple(n if m is None else m for n, m in zip(size, both, strict=True))
    out = pair(name, "output_size", filled)
    if out == (1, 1):
        return np.mean(input, axis=(2, 3), keepdims=True)
    across, down = (_averaging(n, m) for n, m in zip(size, out, strict=True))
    return weigh(weigh(input, matrix=across, axis=-2), matrix=down, axis=-1)


def _averaging(size: int, out: int) -> Any:
    """The matrix (out, size) that takes the means of adaptive windows."""
    i, place = np.arange(out)[:, None], np.arange(size)
    inside = (place >= i * size // out) & (place < -(-(i + 1) * size // out))
    return inside / inside.sum(axis=1, keepdims=True)


@composite(samples=[sample((2, 3, 4, 5)), sample((0, 2, 2, 2))], numbers="float")
def global_avg_pool2d(input: Array) -> Array:
    """The mean of each channel: (N, C, H, W) gives (N, C), as Keras's GlobalAveragePooling2D.

    >>> global_avg_pool2d(tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[3.]])
    """
    check_image("global_avg_pool2d", input.shape)
    return np.mean(input, axis=(2, 3))


@composite(domain=distinct, samples=[sample((2, 3, 4, 5)), sample((0, 2, 2, 2))], numbers="real")
def global_max_pool2d(input: Array) -> Array:
    """The largest element of each channel: (N, C, H, W) gives (N, C).

    Of equal elements the first gets the gradient, as in :func:`max_pool2d`.

    >>> global_max_pool2d(tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[6.]])
    """
    check_image("global_max_pool2d", input.shape)
    return max_pool2d(input, input.shape[2:])[:, :, 0, 0]
