"""Pooling layers: one value for each window of an image.

The arithmetic and the errors are those of the functions in :mod:`minigrad.nn.functional`.
"""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.kernels.windows import IntOrPair, padding_word
from minigrad.nn import functional as F
from minigrad.nn.layer import OfImages


class MaxPool2d(OfImages, function=F.max_pool2d):
    """The largest element under each window, as ``torch.nn.MaxPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default, padding
    is -inf; the first of equal elements gets the gradient.

    >>> nn.MaxPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    @checked(kernel_size="[1, inf)", stride="[1, inf)", padding="[0, inf)", dilation="[1, inf)")
    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding_word(type(self).__name__, padding)
        self.dilation = dilation
        self.ceil_mode = ceil_mode


class AvgPool2d(OfImages, function=F.avg_pool2d):
    """The mean under each window, as ``torch.nn.AvgPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default; the zeros
    of the padding count as elements unless ``count_include_pad=False``.

    >>> nn.AvgPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _shown = "kernel_size=, stride=, padding="

    @checked(
        kernel_size="[1, inf)",
        stride="[1, inf)",
        padding="[0, inf)",
        divisor_override="[1, inf)",
    )
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
