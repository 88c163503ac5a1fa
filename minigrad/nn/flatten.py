"""Joining axes and splitting them, as layers.

They stand between convolutions, which want images, and linear layers, which want vectors.
"""

from __future__ import annotations

import math

from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.layer import SettingsLayer
from minigrad.operators.shapes import reshape


class Flatten(SettingsLayer, function=F.flatten):
    """Join the axes from ``start_axis`` to ``end_axis``: (N, C, H, W) gives (N, C * H * W).

    >>> nn.Flatten()(mg.zeros((2, 3, 4))).shape
    (2, 12)
    """

    start_axis: int = 1
    end_axis: int = -1

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to fewer axes."""
        return F.flatten(x, self.start_axis, self.end_axis)


class Unflatten(SettingsLayer, function=reshape):
    """Split one axis into several: (N, 12) with axis 1 and (3, 4) gives (N, 3, 4).

    One of the sizes may be -1. Raises ValueError where the sizes do not fit.

    >>> nn.Unflatten(1, (3, 4))(mg.zeros((2, 12))).shape
    (2, 3, 4)
    """

    axis: int
    unflattened_size: tuple[int, ...]

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to more axes."""
        x = as_tensor(x)
        if not -x.ndim <= self.axis < x.ndim:
            raise self._error(f"expected an axis {self.axis}, got shape {x.shape}")
        axis = self.axis % x.ndim
        length, sizes = x.shape[axis], list(self.unflattened_size)
        if sizes.count(-1) == 1:
            known = math.prod(size for size in sizes if size != -1)
            sizes[sizes.index(-1)] = length // known if known else 0
        if math.prod(sizes) != length:
            raise self._error(
                f"expected axis {axis} to have the length of {self.unflattened_size}, got {length}"
            )
        return self._function(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))
