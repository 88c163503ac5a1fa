"""Convolution layers: images, a bank of kernels, and the geometry of their windows.

The functions in :mod:`minigrad.nn.functional` check that shapes and settings fit together.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.kernels.windows import IntOrPair, Padding, Pair, check_rank, padding_word
from minigrad.nn import functional as F, init
from minigrad.nn.layer import FunctionLayer, from_integers, settings
from minigrad.nn.lazy import LazyModule
from minigrad.nn.weights import draw, new_parameter

#: What the arguments of these layers may be, but for the few that only some of them have.
RANGES = {
    "out_channels": "[0, inf)", "groups": "[1, inf)", "kernel_size": "[1, inf)",
    "stride": "[1, inf)", "padding": "[0, inf)", "dilation": "[1, inf)", "dtype": "floating",
}  # fmt: skip


class _Convolution(FunctionLayer):
    """What convolution and transposed convolution share: sizes, weight and bias."""

    _shown = "in_channels, out_channels, kernel_size=, stride=, padding?, dilation?, groups?, bias?"
    axes: ClassVar[int] = 2
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int,
        bias: bool,
        dtype: DTypeLike,
        **windows: Any,
    ) -> None:
        """``windows``: ``kernel_size`` and the like, in which a number is for every axis."""
        super().__init__()
        name = type(self).__name__
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and "
                f"out_channels={out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        windows["padding"] = padding_word(name, windows["padding"])
        for what, value in windows.items():
            setattr(self, what, (value,) * self.axes if isinstance(value, int) else value)
        self.weight = new_parameter(self._weight_shape(), dtype)
        self.bias = new_parameter(out_channels, dtype) if bias else None
        draw(self)

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.weight_and_bias_(self.weight, self.bias)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, ...) to (N, out_channels, ...), as the class tells."""
        rest = map(self.__dict__.__getitem__, self._settings)  # the bias, then the settings
        return self._function(from_integers(x, self.weight), self.weight, *rest)


class _Transposed(_Convolution):
    """What transposed convolutions of images and of signals share."""

    _shown = (
        "in_channels, out_channels, kernel_size=, stride=, padding?"
        ", dilation?, output_padding?, groups?, bias?"
    )

    output_padding: tuple[int, ...]

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)


class Conv2d(_Convolution, function=F.conv2d):
    """Convolution (cross-correlation) of images with a bank of kernels, as ``torch.nn.Conv2d``.

    x (N, in_channels, H, W) gives (N, out_channels, out_h, out_w) with
    `out_h = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1`. ``weight`` has shape
    (out_channels, in_channels / groups, kh, kw), ``bias`` (out_channels,); both start uniform in
    [-k, k], `k = 1 / sqrt(in_channels / groups * kh * kw)`. ``padding``: an int, a pair,
    ((top, bottom), (left, right)), "same" (as TensorFlow's, also with a stride) or "valid", in
    small letters or capitals.

    Raises ValueError unless the input is images with ``in_channels`` channels.

    >>> layer = nn.Conv2d(3, 8, kernel_size=3, padding=1)
    >>> layer(mg.zeros((2, 3, 16, 16))).shape
    (2, 8, 16, 16)
    """

    @checked(in_channels="[0, inf)", **RANGES)
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(**settings(locals()))


class LazyConv2d(LazyModule, Conv2d):
    """A Conv2d that takes ``in_channels`` from its first input, and is a Conv2d from then on.

    Raises ValueError for a first input that is not images or that ``groups`` does not divide.

    >>> layer = nn.LazyConv2d(8, kernel_size=3)
    >>> layer(mg.zeros((2, 3, 5, 5))).shape
    (2, 8, 3, 3)
    >>> layer.in_channels
    3
    """

    becomes = Conv2d

    @checked(**RANGES)
    def __init__(
        self,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            0, 0, kernel_size, stride, padding, dilation, groups, bias=False, dtype=dtype
        )
        self.out_channels = out_channels
        self._await_input(bias, dtype)

    def parameter_shapes(self, x: Tensor) -> dict[str, tuple[int, ...]]:
        """Take the number of channels from the second axis."""
        if x.ndim != 3:
            check_rank(self._who(), "input", x.shape, "(N, C, H, W)")
        channels = x.shape[-3]
        if channels % self.groups or self.out_channels % self.groups:
            raise self._error(
                f"groups={self.groups} must divide the {channels} channels of the input and "
                f"out_channels={self.out_channels}"
            )
        self.in_channels = channels
        return {"weight": self._weight_shape(), "bias": (self.out_channels,)}


class ConvTranspose2d(_Transposed, function=F.conv_transpose2d):
    """The transpose of a convolution, which enlarges images, as ``torch.nn.ConvTranspose2d``.

    x (N, in_channels, H, W) gives (N, out_channels, out_h, out_w) with `out_h = (H - 1) * stride -
    2 * padding + dilation * (kh - 1) + output_padding + 1`; with ``padding`` "same", as in
    TensorFlow, `out_h = H * stride`. ``weight`` has shape (in_channels, out_channels / groups, kh,
    kw). Zeiler et al., "Deconvolutional networks", 2010.

    Raises ValueError unless the input is images with ``in_channels`` channels.

    >>> layer = nn.ConvTranspose2d(8, 3, kernel_size=2, stride=2)
    >>> layer(mg.zeros((2, 8, 5, 5))).shape
    (2, 3, 10, 10)
    """

    @checked(in_channels="[0, inf)", output_padding="[0, inf)", **RANGES)
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        output_padding: IntOrPair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrPair = 1,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(**settings(locals()))


class Conv1d(_Convolution, function=F.conv1d):
    """Convolution (cross-correlation) of signals with a bank of kernels, as ``torch.nn.Conv1d``.

    x (N, in_channels, L) gives (N, out_channels, out_l) with
    `out_l = (L + 2 * padding - dilation * (k - 1) - 1) // stride + 1`. ``weight`` has shape
    (out_channels, in_channels / groups, k); all else as in :class:`Conv2d`.

    Raises ValueError unless the input is signals with ``in_channels`` channels.

    >>> nn.Conv1d(3, 8, kernel_size=3, padding=1)(mg.zeros((2, 3, 16))).shape
    (2, 8, 16)
    """

    axes = 1

    @checked(in_channels="[0, inf)", **RANGES)
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | tuple[Pair] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(**settings(locals()))


class ConvTranspose1d(_Transposed, function=F.conv_transpose1d):
    """The transpose of a convolution of signals, as ``torch.nn.ConvTranspose1d``.

    x (N, in_channels, L) gives (N, out_channels, out_l); ``weight`` has shape (in_channels,
    out_channels / groups, k). As :class:`ConvTranspose2d` otherwise.

    Raises ValueError unless the input is signals with ``in_channels`` channels.

    >>> nn.ConvTranspose1d(8, 3, kernel_size=2, stride=2)(mg.zeros((2, 8, 5))).shape
    (2, 3, 10)
    """

    axes = 1

    @checked(in_channels="[0, inf)", output_padding="[0, inf)", **RANGES)
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        output_padding: int | tuple[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int] = 1,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(**settings(locals()))
