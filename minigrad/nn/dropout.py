"""Dropout: in training, some of the signal is left out at random."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.layer import SettingsLayer


class Dropout(SettingsLayer, function=F.dropout):
    """In training, zero each element with probability p and divide the others by 1 - p.

    In evaluation it does nothing ("inverted" dropout). ``generator``: the source of the masks,
    the library's (``mg.manual_seed``) by default. Srivastava et al., "Dropout", 2014.

    Raises ValueError for p outside [0, 1]. x (...) to the same shape.

    >>> nn.Dropout(0.5).eval()(mg.ones(3))
    tensor([1., 1., 1.])
    """

    _shown = "p="
    p: Annotated[float, "[0, 1]"] = 0.5
    generator: np.random.Generator | None = None

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.dropout(x, self.p, self.training, self.generator)


class Dropout2d(Dropout):
    """Dropout of whole channels: x (N, C, H, W) loses each of its N * C images with probability p.

    Raises ValueError for another number of axes. Tompson et al., "Efficient object localization
    using convolutional networks", 2015.

    >>> nn.Dropout2d(1.0)(mg.ones((1, 2, 1, 1))).tolist()
    [[[[0.0]], [[0.0]]]]
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to the same shape."""
        x = as_tensor(x)
        if x.ndim != 4:
            raise self._error(f"expected 4 axes (N, C, H, W), got shape {x.shape}")
        if not self.training or self.p == 0.0:
            return x
        dtype = np.float64 if x.dtype.kind in "iub" else x.dtype
        channels = Tensor(np.ones((*x.shape[:2], 1, 1), dtype))
        return x * F.dropout(channels, self.p, True, self.generator)
