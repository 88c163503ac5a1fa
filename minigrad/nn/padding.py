"""Padding layers: elements put around signals and images, or taken away by negative widths.

The arithmetic and the errors are those of :func:`minigrad.nn.functional.pad`.
"""

from __future__ import annotations

from typing import Annotated, Any

from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F
from minigrad.nn.layer import SettingsLayer

Widths1d = int | tuple[int, int]
Widths2d = int | tuple[int, int, int, int]


class _Pad(SettingsLayer):
    """What padding layers share: the widths, and one way of filling them, at first with zeros."""

    _shown = "padding"
    mode = "constant"
    axes = 1
    padding: Any
    value = 0.0

    def _settle(self, given: dict[str, Any]) -> None:
        if not isinstance(given["padding"], tuple):
            given["padding"] = (given["padding"],) * (2 * self.axes)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, ...) or (C, ...) to longer last axes."""
        return self._function(x, self.padding, self.mode, self.value)


class _Pad1d(_Pad, function=F.pad):
    padding: Widths1d


class _Pad2d(_Pad, function=F.pad):
    axes = 2
    padding: Widths2d


class ConstantPad1d(_Pad1d, function=F.pad):
    """Signals with ``padding`` (left, right) values at their ends, as ``torch.nn.ConstantPad1d``.

    x (N, C, L) gives (N, C, left + L + right). Raises ValueError for taking away more than there
    is.

    >>> nn.ConstantPad1d((1, 2), 5.0)(mg.ones((1, 1)))
    tensor([[5., 1., 5., 5.]])
    """

    _shown = "padding=, value="
    value: Annotated[float, "(-inf, inf)"]


class ConstantPad2d(_Pad2d, function=F.pad):
    """Images with a frame of one value, as ``torch.nn.ConstantPad2d``.

    x (N, C, H, W) gives (N, C, top + H + bottom, left + W + right); ``padding``: one width, or
    (left, right, top, bottom). Raises ValueError for taking away more than there is.

    >>> nn.ConstantPad2d(1, 5.0)(mg.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    _shown = "padding=, value="
    value: Annotated[float, "(-inf, inf)"]


class ZeroPad1d(_Pad1d):
    """Signals continued by zeros, as ``torch.nn.ZeroPad1d``.

    x (N, C, L) gives (N, C, left + L + right).

    >>> nn.ZeroPad1d(1)(mg.tensor([[1.0, 2.0, 3.0]]))
    tensor([[0., 1., 2., 3., 0.]])
    """


class ZeroPad2d(_Pad2d):
    """Each image framed by zeros, as ``torch.nn.ZeroPad2d``.

    x (N, C, H, W) gives (N, C, top + H + bottom, left + W + right); ``padding``: one width, or
    (left, right, top, bottom).

    >>> nn.ZeroPad2d((1, 1, 0, 0))(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[0., 1., 2., 3., 0.]]])
    """


class ReflectionPad1d(_Pad1d):
    """Signals continued by their mirror image, as ``torch.nn.ReflectionPad1d``.

    x (N, C, L) gives (N, C, left + L + right).

    >>> nn.ReflectionPad1d(1)(mg.tensor([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]])
    """

    mode = "reflect"


class ReflectionPad2d(_Pad2d):
    """Each image framed by its mirror image, as ``torch.nn.ReflectionPad2d``.

    x (N, C, H, W) gives (N, C, top + H + bottom, left + W + right); ``padding``: one width, or
    (left, right, top, bottom).

    >>> nn.ReflectionPad2d((1, 1, 0, 0))(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[2., 1., 2., 3., 2.]]])
    """

    mode = "reflect"


class ReplicationPad1d(_Pad1d):
    """Signals continued by their first and last values, as ``torch.nn.ReplicationPad1d``.

    x (N, C, L) gives (N, C, left + L + right).

    >>> nn.ReplicationPad1d(1)(mg.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]])
    """

    mode = "replicate"


class ReplicationPad2d(_Pad2d):
    """Each image framed by its outermost pixels, as ``torch.nn.ReplicationPad2d``.

    x (N, C, H, W) gives (N, C, top + H + bottom, left + W + right); ``padding``: one width, or
    (left, right, top, bottom).

    >>> nn.ReplicationPad2d((1, 1, 0, 0))(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[1., 1., 2., 3., 3.]]])
    """

    mode = "replicate"


class CircularPad1d(_Pad1d):
    """Signals continued by values from the other end, as ``torch.nn.CircularPad1d``.

    x (N, C, L) gives (N, C, left + L + right).

    >>> nn.CircularPad1d(1)(mg.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    mode = "circular"


class CircularPad2d(_Pad2d):
    """Each image framed by pixels from the other side, as ``torch.nn.CircularPad2d``.

    x (N, C, H, W) gives (N, C, top + H + bottom, left + W + right); ``padding``: one width, or
    (left, right, top, bottom).

    >>> nn.CircularPad2d((1, 1, 0, 0))(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3., 1., 2., 3., 1.]]])
    """

    mode = "circular"
