"""Pooling: the largest element or the sum under each window, and what their gradients need.

No indices are kept: input and output tell where a maximum was. Of equal elements it is the first,
row by row, of NaN the last (as in PyTorch), and never the padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.kernels.im2col import add_patches, crop_image, pad_image, patches, tap
from minigrad.kernels.order import are_last, as_ordered, new_images
from minigrad.kernels.threads import run_each, slices
from minigrad.kernels.windows import Windows

#: The bytes of the images that are pooled at a time.
BLOCK = 1 << 20


def plain_max_pool2d(x: Any, windows: Windows) -> Any:
    """The largest element under each window: (N, C, H, W) gives (N, C, out_h, out_w)."""
    framed = np.pad(x, ((0, 0), (0, 0), *windows.padding), constant_values=_lowest(x.dtype))
    return np.max(patches(framed, windows), axis=(2, 3))


def plain_max_pool2d_grad(g: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """Each element of g added where its window of x has its maximum, ``ans``."""
    return add_patches(np.where(_is_maximum(x, ans, windows), g[:, :, None, None], 0), windows)


def plain_max_pool2d_pick(c: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """The elements of c where each window of x has its maximum: the adjoint of the gradient."""
    chosen = np.where(_is_maximum(x, ans, windows), patches(pad_image(c, windows), windows), 0)
    return np.sum(chosen, axis=(2, 3))


def plain_sum_pool2d(x: Any, windows: Windows) -> Any:
    """The sum of the elements under each window."""
    framed = pad_image(x, windows)
    ans = tap(framed, windows, 0, 0).copy("K")
    for i, j in windows.taps[1:]:
        ans += tap(framed, windows, i, j)
    return ans


def plain_sum_pool2d_grad(g: Any, windows: Windows) -> Any:
    """Each element of g added to all places under its window: the adjoint of ``sum_pool2d``."""
    n, c, oh, ow = g.shape
    under = np.broadcast_to(g[:, :, None, None], (n, c, *windows.kernel, oh, ow))
    return add_patches(under, windows)


def _is_maximum(x: Any, ans: Any, windows: Windows) -> Any:
    """Whether each place of each window is where its maximum is: (N, C, kh, kw, out_h, out_w)."""
    inside = pad_image(np.ones((1, 1, *windows.size), bool), windows, False)
    place = np.full(ans.shape, -1)
    framed = pad_image(x, windows, _lowest(x.dtype))
    for k, (i, j) in enumerate(windows.taps):
        value = tap(framed, windows, i, j)
        first = (place < 0) & (value == ans) & tap(inside, windows, i, j)
        place[first | np.isnan(value)] = k
    return np.arange(len(windows.taps)).reshape(*windows.kernel, 1, 1) == place[:, :, None, None]


def _lowest(dtype: Any) -> Any:
    """What no element of this dtype is below."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype.kind == "b" else -math.inf


def _by_blocks(work: Callable[[slice], None], x: Any, seconds: float) -> None:
    """Call ``work`` for a few images at a time, which stay in cache from one pass to the next.

    ``seconds``: about how long one element takes.
    """
    many = BLOCK // max(1, x.nbytes // max(1, len(x)))
    run_each(work, slices(len(x), many), x.size * seconds)


def max_pool2d(x: Any, windows: Windows) -> Any:
    """``plain_max_pool2d``: first over rows, whose elements lie side by side, then over columns."""
    last = are_last(x)
    ans = new_images((*x.shape[:2], *windows.out), x.dtype, last)
    (kh, kw), (s1, s2), (d1, d2) = windows.kernel, windows.stride, windows.dilation
    oh, ow = windows.out

    def work(block: slice) -> None:
        framed = pad_image(x[block], windows, _lowest(x.dtype))
        rows = [framed[:, :, i * d1 : i * d1 + s1 * (oh - 1) + 1 : s1] for i in range(kh)]
        tallest = rows[0]
        if kh > 1:
            tallest = new_images(rows[0].shape, x.dtype, last, "rows")
            np.maximum(rows[0], rows[1], out=tallest)
        for row in rows[2:]:
            np.maximum(tallest, row, out=tallest)
        columns = [tallest[..., j * d2 : j * d2 + s2 * (ow - 1) + 1 : s2] for j in range(kw)]
        np.maximum(columns[0], columns[min(1, kw - 1)], out=ans[block])
        for column in columns[2:]:
            np.maximum(ans[block], column, out=ans[block])

    _by_blocks(work, x, 5e-10)
    return ans


def _maxima(x: Any, ans: Any, windows: Windows) -> Iterator[tuple[int, int, Any]]:
    """Each place (i, j) of the windows with a mask: True where it holds the maximum.

    The mask is used again for the next place.
    """
    if not np.all(ans > -math.inf):  # NaN, or nothing above -inf, which the padding holds, too
        found = _is_maximum(x, ans, windows)
        for i, j in windows.taps:
            yield i, j, found[:, :, i, j]
        return
    framed = pad_image(x, windows, -math.inf)
    last_axis = are_last(ans)
    hit, free = (new_images(ans.shape, np.dtype(bool), last_axis, role) for role in ("hit", "free"))
    free.fill(True)
    *places, last = windows.taps
    for i, j in places:
        np.equal(tap(framed, windows, i, j), ans, out=hit)
        np.logical_and(hit, free, out=hit)
        np.not_equal(free, hit, out=free)
        yield i, j, hit
    yield *last, free  # what is at no other place


def max_pool2d_grad(g: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """``plain_max_pool2d_grad``, a few images and one place of all windows at a time."""
    dtype = np.result_type(g, x)
    steps = list(zip(windows.size, windows.out, windows.stride, windows.kernel, strict=True))
    apart = windows.dilation == (1, 1) and all(s >= k for _, _, s, k in steps)
    # Then every pixel lies under one window, and is written once.
    tiled = apart and windows.padded == windows.size
    tiled = tiled and all(s == k and n == m * s for n, m, s, k in steps)
    last = are_last(x)
    summed = new_images((*x.shape[:2], *windows.padded), dtype, last)
    if not tiled:
        summed[...] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(np.sum(g))

    def work(block: slice) -> None:
        share = as_ordered(g[block], last)
        for i, j, hit in _maxima(x[block], as_ordered(ans[block], last), windows):
            target = tap(summed[block], windows, i, j)
            if not finite:  # 0 times infinity is not 0
                part = np.where(hit, share, 0)
                target[...] = part if apart else target + part
            elif apart:
                np.multiply(hit, share, out=target)
            else:
                np.add(target, hit * share, out=target)

    _by_blocks(work, x, 1.5e-9 * math.prod(windows.kernel) / math.prod(windows.stride))
    return crop_image(summed, windows)


def max_pool2d_pick(c: Any, x: Any, ans: Any, windows: Windows) -> Any:
    """``plain_max_pool2d_pick``, a few images and one place of all windows at a time."""
    picked = np.zeros(ans.shape, c.dtype)

    def work(block: slice) -> None:
        values = pad_image(c[block], windows)
        for i, j, hit in _maxima(x[block], ans[block], windows):
            np.copyto(picked[block], tap(values, windows, i, j), where=hit)

    _by_blocks(work, x, 1e-9 * math.prod(windows.kernel) / math.prod(windows.stride))
    return picked


#: As they are defined: the sums go place by place anyway.
sum_pool2d, sum_pool2d_grad = plain_sum_pool2d, plain_sum_pool2d_grad
