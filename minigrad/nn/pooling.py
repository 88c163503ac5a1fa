"""Pooling layers: one value for each window of an image or a signal.

The arithmetic and the errors are those of the functions in :mod:`minigrad.nn.functional`.
"""

from __future__ import annotations

from typing import Annotated, Any

from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.kernels.windows import IntOrPair, padding_word
from minigrad.nn import functional as F
from minigrad.nn.layer import OfImages, SettingsLayer


class _Windows(SettingsLayer):
    """Windows of some size, in steps of that size by default."""

    _shown = "kernel_size=, stride=, padding="

    def _settle(self, given: dict[str, Any]) -> None:
        for name, value in given.items():
            if isinstance(value, tuple) and len(value) == 1:  # of a signal
                given[name] = value[0]
        if given["stride"] is None:
            given["stride"] = given["kernel_size"]
        given["padding"] = padding_word(type(self).__name__, given["padding"])


class MaxPool(_Windows):
    """Maxima under windows, which can tell where they are."""

    _shown = "kernel_size=, stride=, padding=, dilation=, ceil_mode="

    def forward(self, x: ArrayLike) -> Any:
        """(N, C, H, W) to (N, C, out_h, out_w), or to a pair with ``return_indices``."""
        return self._function(x, *map(self.__dict__.__getitem__, self._settings))


class MaxUnpool(_Windows):
    """Zeros with maxima put back in their places."""

    def forward(
        self, x: ArrayLike, indices: ArrayLike, output_size: tuple[int, ...] | None = None
    ) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        settings = map(self.__dict__.__getitem__, self._settings)
        return self._function(x, indices, *settings, output_size)


class MaxPool2d(MaxPool, function=F.max_pool2d):
    """The largest element under each window, as ``torch.nn.MaxPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default, padding
    is -inf; the first of equal elements gets the gradient. With ``return_indices`` the result is
    (maxima, where they are), for :class:`MaxUnpool2d`.

    >>> nn.MaxPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    kernel_size: Annotated[IntOrPair, "[1, inf)"]
    stride: Annotated[IntOrPair | None, "[1, inf)"] = None
    padding: Annotated[IntOrPair | str, "[0, inf)"] = 0
    dilation: Annotated[IntOrPair, "[1, inf)"] = 1
    return_indices: bool = False
    ceil_mode: bool = False


class MaxPool1d(MaxPool, function=F.max_pool1d):
    """The largest element under each window of a signal, as ``torch.nn.MaxPool1d``.

    x (N, C, L) gives (N, C, out_l); as :class:`MaxPool2d` otherwise.

    >>> nn.MaxPool1d(2)(mg.zeros((1, 3, 8))).shape
    (1, 3, 4)
    """

    kernel_size: Annotated[int | tuple[int], "[1, inf)"]
    stride: Annotated[int | tuple[int] | None, "[1, inf)"] = None
    padding: Annotated[int | tuple[int] | str, "[0, inf)"] = 0
    dilation: Annotated[int | tuple[int], "[1, inf)"] = 1
    return_indices: bool = False
    ceil_mode: bool = False


class AvgPool2d(_Windows, OfImages, function=F.avg_pool2d):
    """The mean under each window, as ``torch.nn.AvgPool2d``.

    x (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` by default; the zeros
    of the padding count as elements unless ``count_include_pad=False``.

    >>> nn.AvgPool2d(2)(mg.zeros((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    kernel_size: Annotated[IntOrPair, "[1, inf)"]
    stride: Annotated[IntOrPair | None, "[1, inf)"] = None
    padding: Annotated[IntOrPair | str, "[0, inf)"] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: Annotated[int | None, "[1, inf)"] = None


class AdaptiveAvgPool2d(OfImages, function=F.adaptive_avg_pool2d):
    """The means of a grid of ``output_size`` windows, as ``torch.nn.AdaptiveAvgPool2d``.

    x (N, C, H, W) gives (N, C, *output_size); None keeps that length.

    >>> nn.AdaptiveAvgPool2d((1, 1))(mg.zeros((2, 3, 7, 5))).shape
    (2, 3, 1, 1)
    """

    output_size: Annotated[int | tuple[int | None, int | None], "[1, inf)"]


class AvgPool1d(_Windows, OfImages, function=F.avg_pool1d):
    """The mean under each window of a signal, as ``torch.nn.AvgPool1d``.

    x (N, C, L) gives (N, C, out_l); as :class:`AvgPool2d` otherwise.

    >>> nn.AvgPool1d(2)(mg.zeros((1, 3, 8))).shape
    (1, 3, 4)
    """

    kernel_size: Annotated[int | tuple[int], "[1, inf)"]
    stride: Annotated[int | tuple[int] | None, "[1, inf)"] = None
    padding: Annotated[int | tuple[int] | str, "[0, inf)"] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def _settle(self, given: dict[str, Any]) -> None:
        super()._settle(given)
        for name in ("kernel_size", "stride", "padding"):  # in tuples, as PyTorch shows them
            if not isinstance(given[name], str):
                given[name] = (given[name],)


class AdaptiveAvgPool1d(OfImages, function=F.adaptive_avg_pool1d):
    """The means of ``output_size`` windows of a signal, as ``torch.nn.AdaptiveAvgPool1d``.

    x (N, C, L) gives (N, C, output_size).

    >>> nn.AdaptiveAvgPool1d(2)(mg.zeros((2, 3, 7))).shape
    (2, 3, 2)
    """

    output_size: Annotated[int | tuple[int], "[1, inf)"]


class AdaptiveMaxPool2d(OfImages, function=F.adaptive_max_pool2d):
    """The largest elements of a grid of windows, as ``torch.nn.AdaptiveMaxPool2d``.

    x (N, C, H, W) gives (N, C, *output_size); None keeps that length. ``return_indices`` as in
    :class:`MaxPool2d`.

    >>> nn.AdaptiveMaxPool2d((1, 1))(mg.zeros((2, 3, 7, 5))).shape
    (2, 3, 1, 1)
    """

    _shown = "output_size="
    output_size: Annotated[int | tuple[int | None, int | None], "[1, inf)"]
    return_indices: bool = False


class AdaptiveMaxPool1d(OfImages, function=F.adaptive_max_pool1d):
    """The largest elements of windows of a signal, as ``torch.nn.AdaptiveMaxPool1d``.

    x (N, C, L) gives (N, C, output_size).

    >>> nn.AdaptiveMaxPool1d(2)(mg.zeros((2, 3, 7))).shape
    (2, 3, 2)
    """

    _shown = "output_size="
    output_size: Annotated[int | tuple[int], "[1, inf)"]
    return_indices: bool = False


class MaxUnpool2d(MaxUnpool, function=F.max_unpool2d):
    """Images of zeros with maxima put back in their places, as ``torch.nn.MaxUnpool2d``.

    x (N, C, H, W) and indices from ``MaxPool2d(..., return_indices=True)`` give (N, C, out_h,
    out_w), of size `(H - 1) * stride - 2 * padding + kernel_size`, or ``output_size``. Raises
    ValueError as :func:`minigrad.nn.functional.max_unpool2d`.

    >>> y, places = nn.MaxPool2d(2, return_indices=True)(mg.ones((1, 3, 8, 8)))
    >>> nn.MaxUnpool2d(2)(y, places).shape
    (1, 3, 8, 8)
    """

    kernel_size: Annotated[IntOrPair, "[1, inf)"]
    stride: Annotated[IntOrPair | None, "[1, inf)"] = None
    padding: Annotated[IntOrPair, "[0, inf)"] = 0


class MaxUnpool1d(MaxUnpool, function=F.max_unpool1d):
    """Signals of zeros with maxima put back in their places, as ``torch.nn.MaxUnpool1d``.

    x (N, C, L) and indices from ``MaxPool1d(..., return_indices=True)`` give (N, C, out_l). Raises
    ValueError as :func:`minigrad.nn.functional.max_unpool1d`.

    >>> y, places = nn.MaxPool1d(2, return_indices=True)(mg.ones((1, 3, 8)))
    >>> nn.MaxUnpool1d(2)(y, places).shape
    (1, 3, 8)
    """

    kernel_size: Annotated[int | tuple[int], "[1, inf)"]
    stride: Annotated[int | tuple[int] | None, "[1, inf)"] = None
    padding: Annotated[int | tuple[int], "[0, inf)"] = 0
