"""Enlarging images."""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F
from minigrad.nn.module import Module


class Upsample(Module):
    """Images of another size, as ``torch.nn.Upsample``.

    x (N, C, H, W) gives (N, C, out_h, out_w): give ``size`` or ``scale_factor``. ``mode``:
    "nearest" or "bilinear". Raises ValueError for both or neither, and for other modes.

    >>> nn.Upsample(scale_factor=2)(mg.zeros((1, 3, 4, 4))).shape
    (1, 3, 8, 8)
    """

    @checked(size="[1, inf)", scale_factor="(0, inf)")
    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(
                f"Upsample: give either size or scale_factor, got size={size!r} and "
                f"scale_factor={scale_factor!r}"
            )
        if mode not in ("nearest", "bilinear"):
            raise ValueError(f"Upsample: mode must be 'nearest' or 'bilinear', got {mode!r}")
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """Show the arguments."""
        how = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{how}, mode={self.mode!r}"
