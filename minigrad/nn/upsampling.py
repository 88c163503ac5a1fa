"""Enlarging images, as a layer.

The function is ``interpolate`` of :mod:`minigrad.nn.functional`, which has the modes and the
formulas.
"""

from __future__ import annotations

from typing import Annotated, Any

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
    size: Annotated[int | tuple[int, ...] | None, "[1, inf)"] = None
    scale_factor: Annotated[float | tuple[float, ...] | None, "(0, inf)"] = None
    mode: str = "nearest"
    align_corners: bool | None = None

    def _settle(self, given: dict[str, Any]) -> None:
        check_target(type(self).__name__, given["size"], given["scale_factor"])
        check_mode(type(self).__name__, given["mode"])
