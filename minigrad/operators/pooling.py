"""Pooling: the largest or the mean element under a sliding window, and windows that adapt.

The gradient of a maximum goes to the first element that attains it: ``max_pool2d_grad`` sends it
there, ``max_pool2d_pick`` fetches from there. Each is the other's derivative, so derivatives of
every order exist. Neither needs stored indices: input and output tell where the maximum was.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.kernels.windows import (
    IntOrPair,
    Windows,
    as_int,
    check_image,
    check_rank,
    covered,
    pair,
    pooling,
)
from minigrad.operators.declare import OPERATORS, Array, composite, operator
from minigrad.operators.domain import Sample, distinct, sample
from minigrad.operators.weighing import weigh

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "global_avg_pool2d", "global_max_pool2d", "max_pool2d",
]  # fmt: skip


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
    return kernels.max_pool2d(input, windows)


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
    return kernels.max_pool2d_grad(g, x, ans, windows)


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
    return kernels.max_pool2d_pick(c, x, ans, windows)


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
    return kernels.sum_pool2d(input, windows)


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
    return kernels.sum_pool2d_grad(g, windows)


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
    rows, columns = (covered(windows, axis, limit[axis]) for axis in (0, 1))
    if rows.min() == rows.max() and columns.min() == columns.max():
        return total * (1.0 / (int(rows[0]) * int(columns[0])))
    return total * (1.0 / (rows[:, None] * columns)).astype(total.dtype)


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
