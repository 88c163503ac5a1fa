"""Enlarging images, as a layer.

The function is ``interpolate`` of :mod:`minigrad.nn.functional`, which has the modes and the
formulas.
"""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.nn import functional as F
from minigrad.nn.layer import OfImages
from minigrad.operators.upsampling import check_mode, check_target


class Upsample(OfImages, function=F.interpolate):
    """Images of another size, as ``torch.nn.Upsample``.

    x (N, C, H, W) gives (N, C, out_h, out_w), and x (N, C, L) (N, C, out_l): give ``size`` or
    ``scale_factor``. ``mode``: "nearest", "nearest-exact", "bilinear", "bicubic", "area", or of
    signals "linear". See :func:`minigrad.nn.functional.interpolate`. Raises ValueError for both or
    neither, and for other modes.

    >>> nn.Upsample(scale_factor=2)(mg.zeros((1, 3, 4, 4))).shape
    (1, 3, 8, 8)
    """

    _shown = "size?, scale_factor?, mode="

    @checked(size="[1, inf)", scale_factor="(0, inf)")
    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        check_target(type(self).__name__, size, scale_factor)
        check_mode(type(self).__name__, mode)
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
