"""Pooling: the largest or the mean element under a sliding window, and windows that adapt.

The gradient of a maximum goes to the first element that attains it: ``max_pool2d_grad`` sends it
there, ``max_pool2d_pick`` fetches from there. Each is the other's derivative, so every order is
at hand. Neither needs stored indices: input and output tell where the maximum was.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import OPERATORS, Array, operator
from minigrad.operators.domain import Sample, distinct, sample
from minigrad.operators.im2col import add_patches, pad_image, patches
from minigrad.operators.windows import IntOrPair, Windows, check_rank, pooling

__all__ = ["max_pool2d"]


def _windows(
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Windows:
    check_rank("max_pool2d", "input", shape, "(N, C, H, W)")
    return pooling("max_pool2d", shape[2:], kernel_size, stride, padding, dilation, ceil_mode)


def _framed(x: Any, windows: Windows) -> Any:
    """The patches of x, padded with what no maximum is."""
    return patches(pad_image(x, windows, -np.inf), windows)


def _first_hits(x: Any, ans: Any, windows: Windows) -> Any:
    """A mask like the patches: True at the first maximum of each window."""
    under = _framed(x, windows)
    hits = under == ans[:, :, None, None]
    taken = np.zeros(ans.shape, dtype=bool)
    for i in range(windows.kernel[0]):
        for j in range(windows.kernel[1]):
            hits[:, :, i, j] &= ~taken
            taken |= hits[:, :, i, j]
    return hits


def _max_pool2d_vjp(g: Any, ans: Any, x: Any, **geometry: Any) -> Any:
    return max_pool2d_grad(g, x, ans, **geometry)


@operator(
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
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The largest element under each window, as PyTorch's; padding is -inf.

    input (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` when None; windows
    may overlap. Of equal elements the first (row by row) gets the gradient.
    Raises ValueError for a window that does not fit or padding of more than half the kernel.

    >>> max_pool2d(tensor([[[[1.0, 5.0], [3.0, 2.0]]]]), 2)
    tensor([[[[5.]]]])
    """
    windows = _windows(input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    under = _framed(input, windows)
    ans = under[:, :, 0, 0].copy()
    for i in range(windows.kernel[0]):
        for j in range(windows.kernel[1]):
            np.maximum(ans, under[:, :, i, j], out=ans)
    return ans


def _samples(*geometries: tuple[tuple[int, ...], dict[str, Any]]) -> list[Sample]:
    """A drawn cotangent, a fixed image of which no two elements are equal, and its maxima."""
    found = []
    for shape, geometry in geometries:
        x = np.random.default_rng(0).permutation(math.prod(shape)).astype(float).reshape(shape)
        ans = OPERATORS["max_pool2d"].value(x, **geometry)
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
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """Each element of g added where its window of x has the first maximum, ``ans``."""
    windows = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    hits = _first_hits(x, ans, windows)
    return add_patches(hits * g[:, :, None, None], windows)


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
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The elements of c at the first maximum, ``ans``, of each window of x."""
    windows = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    hits = _first_hits(x, ans, windows)
    return np.sum(patches(pad_image(c, windows), windows), axis=(2, 3), where=hits)
