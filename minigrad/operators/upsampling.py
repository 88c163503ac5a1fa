"""Enlarging (and shrinking) images and signals: nearest neighbour, linear, cubic and means."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from minigrad.kernels.windows import check_image, pair, sliding
from minigrad.operators.batches import on_images
from minigrad.operators.declare import Array, composite
from minigrad.operators.domain import sample
from minigrad.operators.pooling import adaptive_avg_pool2d, sum_pool2d_grad
from minigrad.operators.weighing import weigh

#: The modes for signals and for images.
MODES = {
    3: ("nearest", "nearest-exact", "linear", "area"),
    4: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
}


@composite(
    numbers="real",
    samples=[
        sample((2, 1, 2, 3), scale_factor=2), sample((1, 2, 3, 4), size=(5, 3)),
        sample((1, 1, 3, 4), scale_factor=(1.5, 2.5)), sample((0, 1, 2, 2), size=3),
        sample((1, 2, 3, 4), size=(5, 2), mode="bilinear"),
        sample((1, 2, 3, 4), scale_factor=1.7, mode="bilinear"),
        sample((1, 1, 3, 4), size=(5, 1), mode="bilinear", align_corners=True),
        sample((1, 1, 3, 4), size=(5, 3), mode="bicubic"),
        sample((1, 1, 3, 4), size=(2, 3), mode="area"), sample((1, 2, 4), size=7, mode="linear"),
    ],
    wide=True,
)  # fmt: skip
def interpolate(
    input: Array,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Array:
    """Images (N, C, H, W) or signals (N, C, L) of another size, as PyTorch's.

    Give ``size`` (out_h, out_w) or ``scale_factor``. ``mode``: "nearest" repeats pixels, by their
    corners, and "nearest-exact" by their centres; "bilinear" ("linear" of signals) weighs the four
    nearest ones by distance and "bicubic" the sixteen nearest ones (Keys, "Cubic convolution
    interpolation for digital image processing", 1981, with a = -0.75), both between pixel centres,
    or between the corner pixels with ``align_corners=True``; "area" takes means, as
    :func:`adaptive_avg_pool2d`. Raises ValueError for anything else.

    >>> interpolate(tensor([[[[1.0, 3.0]]]]), scale_factor=(1, 2))
    tensor([[[[1., 1., 3., 3.]]]])
    >>> interpolate(tensor([[[1.0, 3.0]]]), size=3, mode="linear", align_corners=True)
    tensor([[[1., 2., 3.]]])
    """
    if input.ndim == 3:
        check_mode("interpolate", mode, 3)
        mode = "bilinear" if mode == "linear" else mode
        return on_images(interpolate, "interpolate", **locals())
    check_image("interpolate", input.shape)
    before: tuple[int, int] = input.shape[2:]
    after, steps = _sizes(before, size, scale_factor)
    check_mode("interpolate", mode, 4)
    if align_corners is not None and mode not in WEIGHTS:
        raise ValueError("interpolate: align_corners is for mode='bilinear' and 'bicubic' only")
    if mode == "area":
        return adaptive_avg_pool2d(input, after)
    if mode not in WEIGHTS:
        return _nearest(input, after, steps, 0.5 if mode == "nearest-exact" else 0.0)
    rows, columns = (
        _weights(mode, n, m, step, bool(align_corners))
        for n, m, step in zip(before, after, steps, strict=True)
    )
    return weigh(weigh(input, matrix=rows, axis=-2), matrix=columns, axis=-1)


def check_mode(name: str, mode: str, axes: int | None = None) -> None:
    """Raise ValueError unless this is a way of filling in what has this many axes."""
    known = MODES[axes] if axes else tuple(dict.fromkeys([*MODES[4], *MODES[3]]))
    if mode not in known:
        *words, last = map(repr, known)
        of = {3: " of signals (N, C, L)", 4: " of images (N, C, H, W)"}.get(axes or 0, "")
        raise ValueError(f"{name}: mode{of} must be {', '.join(words)} or {last}, got {mode!r}")


def check_target(name: str, size: Any, scale_factor: Any) -> None:
    """Raise ValueError unless either the size or the factor is given."""
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"{name}: give either size or scale_factor, got size={size!r} and "
            f"scale_factor={scale_factor!r}"
        )


def _sizes(
    before: tuple[int, int], size: Any, scale_factor: Any
) -> tuple[tuple[int, int], list[float]]:
    """The new height and width, and how far one of their pixels is in old ones."""
    check_target("interpolate", size, scale_factor)
    if size is not None:
        after = pair("interpolate", "size", size)
        return after, [n / m for n, m in zip(before, after, strict=True)]
    both = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * 2
    if any(isinstance(s, bool) or not isinstance(s, Real) for s in both):
        raise TypeError(f"interpolate: scale_factor must be a number or two, got {scale_factor!r}")
    if len(both) != 2 or not all(0 < s < math.inf for s in both):
        raise ValueError(
            f"interpolate: scale_factor must be a positive number or two, got {scale_factor!r}"
        )
    after = (int(before[0] * both[0]), int(before[1] * both[1]))
    if 0 in after:
        raise ValueError(
            f"interpolate: scale_factor={scale_factor!r} leaves nothing of an image of "
            f"{before[0]} x {before[1]}"
        )
    # PyTorch leaves an axis that keeps its length as it is, whatever the factor.
    steps = [1.0 if n == m else 1.0 / s for n, m, s in zip(before, after, both, strict=True)]
    return after, steps


def _nearest(x: Any, after: tuple[int, int], steps: list[float], offset: float) -> Any:
    h, w = x.shape[2:]
    if not offset:
        # And one that doubles it, it doubles evenly.
        doubled = (m == 2 * n for m, n in zip(after, (h, w), strict=True))
        steps = [0.5 if even else step for even, step in zip(doubled, steps, strict=True)]
    i, j = after[0] // h, after[1] // w
    if after == (i * h, j * w) and steps == [1 / i, 1 / j]:
        # Whole factors: its gradient is a sum and no scatter.
        return sum_pool2d_grad(x, sliding("interpolate", after, (i, j), (i, j)))
    rows, columns = (
        ((np.arange(m) + offset) * step).astype(int) for m, step in zip(after, steps, strict=True)
    )
    return x[:, :, rows[:, None], columns]


@functools.lru_cache(maxsize=64)
def _weights(mode: str, n: int, m: int, step: float, align_corners: bool) -> Any:
    """The matrix (m, n) that weighs the old pixels around each new one."""
    if align_corners:
        place = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        place = (np.arange(m) + 0.5) * step - 0.5
    low, weight = np.floor(place).astype(int), WEIGHTS[mode]
    matrix = np.zeros((m, n))
    for tap in range(-1, 3):
        # The pixels at the border stand for those beyond.
        at = np.clip(low + tap, 0, n - 1)
        np.add.at(matrix, (np.arange(m), at), weight(np.abs(place - low - tap)))
    return matrix


def _cubic(d: Any) -> Any:
    a = -0.75
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    return np.where(d <= 1, near, ((d - 5) * d + 8) * d * a - 4 * a)


#: The weight of a pixel at a distance of 0 to 2.
WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "bilinear": lambda d: np.maximum(1.0 - d, 0.0), "bicubic": _cubic,
}  # fmt: skip
