"""Pooling layers."""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.kernels.windows import IntOrPair
from minigrad.nn import functional as F
from minigrad.nn.module import Module, padding_of


class MaxPool2d(Module):
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
        self.padding = padding_of(self, padding)
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean under each window, as ``torch.nn.AvgPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default; the zeros
    of the padding count as elements unless ``count_include_pad=False``.

    >>> nn.AvgPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

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
        self.padding = padding_of(self, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        return F.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The means of a grid of ``output_size`` windows, as ``torch.nn.AdaptiveAvgPool2d``.

    x (N, C, H, W) gives (N, C, *output_size); None keeps that length.

    >>> nn.AdaptiveAvgPool2d((1, 1))(mg.zeros((2, 3, 7, 5))).shape
    (2, 3, 1, 1)
    """

    @checked(output_size="[1, inf)")
    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to (N, C, *output_size)."""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"output_size={self.output_size}"
