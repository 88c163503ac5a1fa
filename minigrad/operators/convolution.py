"""Convolution, its two gradients as operators of their own, and the patches of an image as columns.

A convolution is linear in the image and in the weight, so it and its two gradients are three faces
of one trilinear form <g, conv(x, w)>. Each of the three operators has the other two as rules, and
so derivatives of every order stay within them. Their definitions, ``weight @ im2col(x)`` and its
two gradients, stand at the top of ``kernels/convolution.py``. im2col and col2im are adjoint,
<im2col(x), c> = <x, col2im(c)>, and therefore the derivative rules of each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.kernels.windows import (
    IntOrPair,
    Padding,
    Windows,
    as_int,
    check_rank,
    sliding,
    transposed,
)
from minigrad.operators import padding as padding_modes
from minigrad.operators.batches import on_images, unbatched
from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import Sample, sample


def _windows(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Windows, int]:
    """The windows of conv2d, and the groups. Raises ValueError for shapes that do not fit."""
    check_rank("conv2d", "input", x_shape, "(N, C, H, W)")
    check_rank("conv2d", "weight", w_shape, "(out_channels, in_channels / groups, kh, kw)")
    groups = _check_weight("conv2d", x_shape, w_shape, groups)
    return sliding("conv2d", x_shape[2:], w_shape[2:], stride, padding, dilation), groups


def _check_weight(
    name: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    groups: int,
    transpose: bool = False,
) -> int:
    """The groups. Raises ValueError for channels, of the input or the weight, that do not fit."""
    groups, channels = as_int(name, "groups", groups), x_shape[1]
    divided = channels if transpose else w_shape[0]
    if groups < 1 or divided % groups:
        whose = f"input's {divided}" if transpose else f"weight's {divided} output"
        raise ValueError(
            f"{name}: groups={groups} must be at least 1 and divide the {whose} channels"
        )
    expected = w_shape[0] if transpose else w_shape[1] * groups
    if channels == expected:
        return groups
    fitting = (channels, w_shape[1]) if transpose else (w_shape[0], channels // groups)
    remedy = f"{channels} channels need a weight {(*fitting, *w_shape[2:])}"
    if channels % groups:
        remedy = f"groups={groups} does not divide {channels} channels"
    if x_shape[-1] == expected:
        remedy += "; are the channels last?"
    if expected == 1 and x_shape[0] == 1:  # the batch axis that images (C, H, W) were given
        remedy += "; images (N, H, W) of one channel need its axis: x[:, None]"
    raise ValueError(
        f"{name}: expected {expected} channels, got {channels} (input of shape {x_shape}, weight "
        f"of shape {w_shape}); {remedy}"
    )


def _check_bias(name: str, bias: Any, channels: int) -> None:
    if bias is not None and np.shape(bias) != (channels,):
        raise ValueError(f"{name}: bias must have shape ({channels},), got {np.shape(bias)}")


_SAMPLES = [
    sample((2, 3, 5, 4), (4, 3, 3, 2), (4,)),
    sample((2, 1, 6, 5), (2, 1, 3, 3), (2,), stride=2, padding="same"),
    sample((1, 4, 5, 5), (6, 2, 2, 2), (6,), groups=2, dilation=2),
    sample((0, 2, 3, 3), (1, 2, 2, 2), (1,)),
]


def _conv2d_vjp_input(g: Any, _ans: Any, _x: Any, w: Any, _b: Any, **geometry: Any) -> Any:
    return conv2d_input_grad(g, w, *_windows(_x.shape, w.shape, **geometry))


def _conv2d_vjp_weight(g: Any, _ans: Any, x: Any, _w: Any, _b: Any, **geometry: Any) -> Any:
    return conv2d_weight_grad(x, g, *_windows(x.shape, _w.shape, **geometry))


@unbatched(4)
@operator(
    numbers="float",
    vjp=(
        _conv2d_vjp_input,
        _conv2d_vjp_weight,
        lambda g, *_, **_geometry: kernels.total(g, (0, 2, 3)),
    ),
    samples=[
        *_SAMPLES, sample((1, 2, 5, 5), (3, 2, 3, 3), padding=1),
        sample((2, 3, 4, 4), (3, 1, 3, 3), groups=3, padding=((0, 2), (1, 1))),
        sample((1, 2, 3, 4), (3, 2, 1, 1), (3,)),
    ],
    wide=True,
)  # fmt: skip
def conv2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Array:
    """2-D convolution (cross-correlation) of images with a bank of kernels, as PyTorch's.

    `y[n, o, i, j] = bias[o] + sum over c, p, q of
    weight[o, c, p, q] * input[n, c, i * stride + p * dilation, j * stride + q * dilation]`.

    input (N, C, H, W), weight (O, C / groups, kh, kw), bias (O,) give (N, O, out_h, out_w); here
    and in the other functions of images, N may be missing on both sides.
    ``padding``: zeros around the image, an int, a pair (vertical, horizontal),
    ((top, bottom), (left, right)), "valid" or "same" (as TensorFlow: `ceil(H / stride)` rows, the
    odd zero to the bottom and right). ``groups`` splits the channels; groups=C is depthwise.
    An infinite or NaN weight gives NaN where it meets padding as well; PyTorch skips padding.
    Raises ValueError for shapes that do not fit, naming one that would; TypeError for sizes that
    are not integers.

    >>> x = tensor([[[[1.0, 2.0, 3.0]]]])
    >>> conv2d(x, tensor([[[[1.0, -1.0]]]]))
    tensor([[[[-1., -1.]]]])
    """
    windows, groups = _windows(input.shape, weight.shape, stride, padding, dilation, groups)
    _check_bias("conv2d", bias, weight.shape[0])
    return kernels.conv2d(input, weight, bias, windows, groups)


def _over(windows: Windows) -> dict[str, Any]:
    """The settings of conv2d that give these windows."""
    return {name: getattr(windows, name) for name in ("stride", "padding", "dilation")}


def _samples(*arrays: int) -> list[Sample]:
    """Samples of a gradient, whose arrays are two of image (0), weight (1) and cotangent (2)."""
    found = []
    for one in _SAMPLES:
        x, w = one.arrays[:2]
        windows, groups = _windows(x, w, **one.metadata)
        shapes = (x, w, (x[0], w[0], *windows.out))
        found.append(sample(*[shapes[i] for i in arrays], windows=windows, groups=groups))
    return found


def _input_grad_vjp_weight(c: Any, _ans: Any, g: Any, _w: Any, **over: Any) -> Any:
    return conv2d_weight_grad(c, g, **over)


@operator(
    vjp=(
        lambda c, _ans, _g, w, windows, groups: conv2d(c, w, **_over(windows), groups=groups),
        _input_grad_vjp_weight,
    ),
    samples=_samples(2, 1),
    wide=True,
)
def conv2d_input_grad(g: Array, weight: Array, windows: Windows, groups: int) -> Array:
    """The gradient of conv2d by its input: g (N, O, out_h, out_w) gives (N, C, H, W)."""
    return kernels.conv2d_input_grad(g, weight, windows, groups)


@operator(
    vjp=(
        lambda c, _ans, _x, g, windows, groups: conv2d_input_grad(g, c, windows, groups),
        lambda c, _ans, x, _g, windows, groups: conv2d(x, c, **_over(windows), groups=groups),
    ),
    samples=_samples(0, 2),
    wide=True,
)
def conv2d_weight_grad(x: Array, g: Array, windows: Windows, groups: int) -> Array:
    """The gradient of conv2d by its weight: g (N, O, out_h, out_w) gives the weight's shape."""
    return kernels.conv2d_weight_grad(x, g, windows, groups)


@unbatched(3)
@composite(
    numbers="float",
    arrays=2,
    samples=[
        sample((2, 3, 6), (4, 3, 3)),
        sample((1, 2, 7), (4, 1, 2), stride=2, padding=1, groups=2),
        sample((1, 2, 7), (2, 2, 3), dilation=2, padding="same"),
        sample((0, 2, 5), (2, 2, 3)),
    ],
)
def conv1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[Any] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Array:
    """1-D convolution: conv2d on signals, images of height 1.

    input (N, C, L), weight (O, C / groups, k), bias (O,) give (N, O, out_l). ``padding``: an int,
    (both,), ((before, after),), "valid" or "same". Raises ValueError as :func:`conv2d`.

    >>> conv1d(tensor([[[1.0, 2.0, 4.0]]]), tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    check_rank("conv1d", "input", input.shape, "(N, C, L)")
    check_rank("conv1d", "weight", weight.shape, "(out_channels, in_channels / groups, k)")
    _check_weight("conv1d", input.shape, weight.shape, groups)  # before the shapes are those of 2-D
    return on_images(conv2d, "conv1d", **locals())


@unbatched(4)
@composite(
    numbers="float",
    arrays=2,
    samples=[
        sample((2, 3, 3, 2), (3, 4, 3, 2)),
        sample((1, 2, 3, 3), (2, 3, 3, 3), stride=2, padding=1, output_padding=1),
        sample((1, 4, 3, 3), (4, 2, 2, 2), groups=2, dilation=2, stride=(2, 1)),
        sample((0, 2, 3, 3), (2, 1, 2, 2)),
    ],
)
def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Array:
    """The transpose of conv2d (its gradient by the input), as PyTorch's: it enlarges images.

    input (N, C, H, W), weight (C, O / groups, kh, kw), bias (O,) give (N, O, out_h, out_w) with
    `out_h = (H - 1) * stride - 2 * padding + dilation * (kh - 1) + output_padding + 1`; with
    ``padding`` "same", as in TensorFlow, `out_h = H * stride`, and "valid" is 0.
    ``output_padding`` (less than stride or dilation) chooses among the sizes that conv2d maps to
    H. Raises ValueError for shapes that do not fit.

    >>> conv_transpose2d(tensor([[[[1.0, 2.0]]]]), tensor([[[[1.0, 1.0]]]]), stride=2)
    tensor([[[[1., 1., 2., 2.]]]])
    """
    name = "conv_transpose2d"
    check_rank(name, "input", input.shape, "(N, C, H, W)")
    check_rank(name, "weight", weight.shape, "(in_channels, out_channels / groups, kh, kw)")
    groups = _check_weight(name, input.shape, weight.shape, groups, transpose=True)
    windows, zeros = transposed(
        name, input.shape[2:], weight.shape[2:], stride, padding, output_padding, dilation
    )
    _check_bias(name, bias, weight.shape[1] * groups)
    y = conv2d_input_grad(input, weight, windows, groups)
    if any(zeros):
        y = padding_modes.pad(y, ((0, 0), (0, 0), *((0, after) for after in zeros)))
    return y if bias is None else y + np.reshape(bias, (-1, 1, 1))


@composite(
    numbers="float",
    arrays=2,
    samples=[
        sample((2, 3, 4), (3, 4, 3)),
        sample((1, 4, 3), (4, 2, 3), stride=2, padding=1, output_padding=1, groups=2),
        sample((0, 2, 3), (2, 1, 2)),
    ],
)
def conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    output_padding: int | tuple[int] = 0,
    groups: int = 1,
    dilation: int | tuple[int] = 1,
) -> Array:
    """conv_transpose2d on signals, images of height 1, as PyTorch's.

    input (N, C, L), weight (C, O / groups, k), bias (O,) give (N, O, out_l).

    >>> conv_transpose1d(tensor([[[1.0, 2.0]]]), tensor([[[1.0, 1.0]]]), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    name = "conv_transpose1d"
    check_rank(name, "weight", weight.shape, "(in_channels, out_channels / groups, k)")
    return on_images(conv_transpose2d, **locals())


# -- patches as columns, and columns as an image ---------------------------------------------------


def _im2col_vjp(g: Any, _ans: Any, _x: Any, **geometry: Any) -> Any:
    return col2im(g, _x.shape, **geometry)


@operator(
    vjp=_im2col_vjp,
    samples=[
        sample((2, 3, 4, 5), kernel_size=3), sample((1, 2, 4, 5), kernel_size=(2, 3), padding=1),
        sample((1, 1, 5, 6), kernel_size=2, stride=2),
        sample((2, 1, 5, 4), kernel_size=2, dilation=2, padding=((0, 1), (2, 0))),
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding="same"),
        sample((0, 2, 3, 3), kernel_size=2),
    ],
)  # fmt: skip
def im2col(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
) -> Array:
    """The patches under a sliding window as columns, as torch.nn.functional.unfold.

    x (N, C, H, W) gives (N, C * kh * kw, out_h * out_w): column p holds what the p-th window
    covers, channel by channel. ``padding`` as in :func:`conv2d`.
    Raises ValueError for a window that does not fit.

    >>> im2col(tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), kernel_size=(2, 1))
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    check_rank("im2col", "x", x.shape, "(N, C, H, W)")
    windows = sliding("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    return kernels.im2col(x, windows)


@operator(
    numbers="float",
    vjp=lambda g, _ans, _cols, x_shape, **geometry: im2col(g, **geometry),
    samples=[
        sample((2, 12, 6), x_shape=(2, 3, 3, 4), kernel_size=2),
        sample((1, 4, 9), x_shape=(1, 1, 3, 3), kernel_size=2, stride=2, padding=((1, 2), (2, 1))),
        sample((1, 4, 6), x_shape=(1, 1, 4, 5), kernel_size=2, dilation=2),
        sample((0, 4, 4), x_shape=(0, 1, 3, 3), kernel_size=2),
    ],
    wide=True,
)
def col2im(
    cols: Array,
    x_shape: tuple[int, ...],
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
) -> Array:
    """The columns of :func:`im2col` added up into an image, as torch.nn.functional.fold.

    cols (N, C * kh * kw, out_h * out_w) gives ``x_shape`` (N, C, H, W): each pixel is the sum of
    its appearances in the columns. Raises ValueError for columns of another shape.

    >>> col2im(tensor([[[1.0, 2.0], [3.0, 4.0]]]), (1, 1, 1, 3), kernel_size=(1, 2))
    tensor([[[[1., 5., 4.]]]])
    """
    if not isinstance(x_shape, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"col2im: x_shape must be four ints (N, C, H, W), got {x_shape!r}")
    check_rank("col2im", "x_shape", tuple(x_shape), "(N, C, H, W)")
    n, c, h, w = (as_int("col2im", "x_shape", m, "four ints (N, C, H, W)") for m in x_shape)
    if min(n, c, h, w) < 0:
        raise ValueError(f"col2im: x_shape must not have negative lengths, got {tuple(x_shape)}")
    windows = sliding("col2im", (h, w), kernel_size, stride, padding, dilation)
    (kh, kw), (oh, ow) = windows.kernel, windows.out
    expected = (n, c * kh * kw, oh * ow)
    if cols.shape != expected:
        raise ValueError(
            f"col2im: columns of an image {tuple(x_shape)} under a {kh} x {kw} window that fits "
            f"{oh} x {ow} times have shape {expected}, got {cols.shape}"
        )
    return kernels.col2im(cols, windows)
