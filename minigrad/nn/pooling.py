"""Pooling layers: one value for each window of an image or a signal.

The arithmetic and the errors are those of the functions in :mod:`minigrad.nn.functional`.
"""

from __future__ import annotations

from typing import Any

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.kernels.windows import IntOrPair, padding_word, single
from minigrad.nn import functional as F
from minigrad.nn.layer import FunctionLayer, OfImages

#: What the sizes of windows may be.
RANGES = {"kernel_size": "[1, inf)", "stride": "[1, inf)", "padding": "[0, inf)"}


class MaxPool2d(OfImages, function=F.max_pool2d):
    """The largest element under each window, as ``torch.nn.MaxPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default, padding
    is -inf; the first of equal elements gets the gradient. With ``return_indices`` the result is
    (maxima, where they are), for :class:`MaxUnpool2d`.

    >>> nn.MaxPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _shown = "kernel_size=, stride=, padding=, dilation=, ceil_mode="

    @checked(dilation="[1, inf)", **RANGES)
    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding_word(type(self).__name__, padding)
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: ArrayLike) -> Any:
        """(N, C, H, W) to (N, C, out_h, out_w), or to a pair with ``return_indices``."""
        return self._function(x, *map(self.__dict__.__getitem__, self._settings))


def _alone(name: str, *given: Any) -> Any:
    """Each setting of one axis as a number, where it came in a tuple."""
    return [single(name, "each setting", one) for one in given]


class MaxPool1d(MaxPool2d, function=F.max_pool1d):
    """The largest element under each window of a signal, as ``torch.nn.MaxPool1d``.

    x (N, C, L) gives (N, C, out_l); as :class:`MaxPool2d` otherwise.

    >>> nn.MaxPool1d(2)(mg.zeros((1, 3, 8))).shape
    (1, 3, 4)
    """

    @checked(dilation="[1, inf)", **RANGES)
    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        size, step, around, gap = _alone(
            type(self).__name__, kernel_size, stride, padding, dilation
        )
        super().__init__(size, step, around, gap, return_indices, ceil_mode)


class AvgPool2d(OfImages, function=F.avg_pool2d):
    """The mean under each window, as ``torch.nn.AvgPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default; the zeros
    of the padding count as elements unless ``count_include_pad=False``.

    >>> nn.AvgPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _shown = "kernel_size=, stride=, padding="

    @checked(divisor_override="[1, inf)", **RANGES)
    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair | str = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding_word(type(self).__name__, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override


class AdaptiveAvgPool2d(OfImages, function=F.adaptive_avg_pool2d):
    """The means of a grid of ``output_size`` windows, as ``torch.nn.AdaptiveAvgPool2d``.

    x (N, C, H, W) gives (N, C, *output_size); None keeps that length.

    >>> nn.AdaptiveAvgPool2d((1, 1))(mg.zeros((2, 3, 7, 5))).shape
    (2, 3, 1, 1)
    """

    @checked(output_size="[1, inf)")
    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        self.output_size = output_size


class AvgPool1d(OfImages, function=F.avg_pool1d):
    """The mean under each window of a signal, as ``torch.nn.AvgPool1d``.

    x (N, C, L) gives (N, C, out_l); as :class:`AvgPool2d` otherwise.

    >>> nn.AvgPool1d(2)(mg.zeros((1, 3, 8))).shape
    (1, 3, 4)
    """

    _shown = "kernel_size=, stride=, padding="

    @checked(**RANGES)
    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] | str = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = (single(name, "kernel_size", kernel_size),)
        self.stride = self.kernel_size if stride is None else (single(name, "stride", stride),)
        padding = padding_word(name, padding)
        self.padding = padding if isinstance(padding, str) else (single(name, "padding", padding),)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad


class AdaptiveAvgPool1d(OfImages, function=F.adaptive_avg_pool1d):
    """The means of ``output_size`` windows of a signal, as ``torch.nn.AdaptiveAvgPool1d``.

    x (N, C, L) gives (N, C, output_size).

    >>> nn.AdaptiveAvgPool1d(2)(mg.zeros((2, 3, 7))).shape
    (2, 3, 2)
    """

    @checked(output_size="[1, inf)")
    def __init__(self, output_size: int | tuple[int]) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveMaxPool2d(OfImages, function=F.adaptive_max_pool2d):
    """The largest elements of a grid of windows, as ``torch.nn.AdaptiveMaxPool2d``.

    x (N, C, H, W) gives (N, C, *output_size); None keeps that length. ``return_indices`` as in
    :class:`MaxPool2d`.

    >>> nn.AdaptiveMaxPool2d((1, 1))(mg.zeros((2, 3, 7, 5))).shape
    (2, 3, 1, 1)
    """

    _shown = "output_size="

    @checked(output_size="[1, inf)")
    def __init__(
        self, output_size: int | tuple[int | None, int | None], return_indices: bool = False
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices


class AdaptiveMaxPool1d(OfImages, function=F.adaptive_max_pool1d):
    """The largest elements of windows of a signal, as ``torch.nn.AdaptiveMaxPool1d``.

    x (N, C, L) gives (N, C, output_size).

    >>> nn.AdaptiveMaxPool1d(2)(mg.zeros((2, 3, 7))).shape
    (2, 3, 2)
    """

    _shown = "output_size="

    @checked(output_size="[1, inf)")
    def __init__(self, output_size: int | tuple[int], return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices


class MaxUnpool2d(FunctionLayer, function=F.max_unpool2d):
    """Images of zeros with maxima put back in their places, as ``torch.nn.MaxUnpool2d``.

    x (N, C, H, W) and indices from ``MaxPool2d(..., return_indices=True)`` give (N, C, out_h,
    out_w), of size `(H - 1) * stride - 2 * padding + kernel_size`, or ``output_size``. Raises
    ValueError as :func:`minigrad.nn.functional.max_unpool2d`.

    >>> y, places = nn.MaxPool2d(2, return_indices=True)(mg.ones((1, 3, 8, 8)))
    >>> nn.MaxUnpool2d(2)(y, places).shape
    (1, 3, 8, 8)
    """

    @checked(**RANGES)
    def __init__(
        self, kernel_size: IntOrPair, stride: IntOrPair | None = None, padding: IntOrPair = 0
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(
        self, x: ArrayLike, indices: ArrayLike, output_size: tuple[int, ...] | None = None
    ) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        return self._function(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(MaxUnpool2d, function=F.max_unpool1d):
    """Signals of zeros with maxima put back in their places, as ``torch.nn.MaxUnpool1d``.

    x (N, C, L) and indices from ``MaxPool1d(..., return_indices=True)`` give (N, C, out_l). Raises
    ValueError as :func:`minigrad.nn.functional.max_unpool1d`.

    >>> y, places = nn.MaxPool1d(2, return_indices=True)(mg.ones((1, 3, 8)))
    >>> nn.MaxUnpool1d(2)(y, places).shape
    (1, 3, 8)
    """

    @checked(**RANGES)
    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
    ) -> None:
        super().__init__(*_alone(type(self).__name__, kernel_size, stride, padding))
