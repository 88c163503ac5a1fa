"""Enlarging (and shrinking) images: nearest neighbour and bilinear."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from minigrad.kernels.windows import check_image, pair
from minigrad.operators.declare import Array, composite
from minigrad.operators.domain import sample
from minigrad.operators.pooling import sum_pool2d_grad
from minigrad.operators.weighing import weigh

__all__ = ["interpolate"]


@composite(
    numbers="real",
    samples=[
        sample((2, 1, 2, 3), scale_factor=2), sample((1, 2, 3, 4), size=(5, 3)),
        sample((1, 1, 3, 4), scale_factor=(1.5, 2.5)), sample((0, 1, 2, 2), size=3),
        sample((1, 2, 3, 4), size=(5, 2), mode="bilinear"),
        sample((1, 2, 3, 4), scale_factor=1.7, mode="bilinear"),
        sample((1, 1, 3, 4), size=(5, 1), mode="bilinear", align_corners=True),
    ],
    wide=True,
)  # fmt: skip
def interpolate(
    input: Array,
    size: int | tuple[int, int] | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Array:
    """Images of another size, as torch.nn.functional.interpolate on (N, C, H, W).

    Give ``size`` (out_h, out_w) or ``scale_factor``. ``mode``: "nearest" repeats pixels;
    "bilinear" weighs the four nearest ones by distance, between pixel centres, or between the
    corner pixels with ``align_corners=True``. Raises ValueError for anything else.

    >>> interpolate(tensor([[[[1.0, 3.0]]]]), scale_factor=(1, 2))
    tensor([[[[1., 1., 3., 3.]]]])
    >>> interpolate(tensor([[[[1.0, 3.0]]]]), size=(1, 3), mode="bilinear", align_corners=True)
    tensor([[[[1., 2., 3.]]]])
    """
    check_image("interpolate", input.shape)
    before: tuple[int, int] = input.shape[2:]
    after, steps = _sizes(before, size, scale_factor)
    check_mode("interpolate", mode)
    if mode == "nearest":
        if align_corners is not None:
            raise ValueError("interpolate: align_corners is for mode='bilinear' only")
        return _nearest(input, after, steps)
    rows, columns = (
        _between(n, m, step, bool(align_corners))
        for n, m, step in zip(before, after, steps, strict=True)
    )
    return weigh(weigh(input, matrix=rows, axis=-2), matrix=columns, axis=-1)


def check_mode(name: str, mode: str) -> None:
    """Raise ValueError unless this is a way of filling in pixels."""
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"{name}: mode must be 'nearest' or 'bilinear', got {mode!r}")


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


def _nearest(x: Any, after: tuple[int, int], steps: list[float]) -> Any:
    n, c, h, w = x.shape
    # And one that doubles it, it doubles evenly.
    doubled = (m == 2 * n for m, n in zip(after, (h, w), strict=True))
    steps = [0.5 if even else step for even, step in zip(doubled, steps, strict=True)]
    i, j = after[0] // h, after[1] // w
    if after == (i * h, j * w) and steps == [1 / i, 1 / j]:
        # Whole factors: its gradient is a sum and no scatter.
        return sum_pool2d_grad(x, (n, c, *after), (i, j))
    rows, columns = (
        np.minimum((np.arange(m) * step).astype(int), n - 1)
        for m, step, n in zip(after, steps, (h, w), strict=True)
    )
    return x[:, :, rows[:, None], columns]


def _between(n: int, m: int, step: float, align_corners: bool) -> Any:
    """The matrix (m, n) that weighs the two old pixels around each new one."""
    if align_corners:
        place = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        place = np.maximum((np.arange(m) + 0.5) * step - 0.5, 0.0)
    low = np.minimum(place.astype(int), n - 1)
    weight = np.where(low < n - 1, place - low, 0.0)
    matrix = np.zeros((m, n))
    matrix[np.arange(m), low] = 1.0 - weight
    matrix[np.arange(m), np.minimum(low + 1, n - 1)] += weight
    return matrix
