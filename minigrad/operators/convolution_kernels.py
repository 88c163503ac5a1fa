"""How convolutions are computed: patches copied into columns, and one matrix product per block."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.im2col import add_patches, pad_image, patches
from minigrad.operators.windows import Windows


def _columns(x: Any, windows: Windows, groups: int) -> Any:
    """(N, groups, C / groups * kh * kw, out_h * out_w), copied from a padded image."""
    cols = patches(x, windows).copy()
    n, c, kh, kw, oh, ow = cols.shape
    return cols.reshape(n, groups, c // groups * kh * kw, oh * ow)


def _matrix(w: Any, groups: int) -> Any:
    out_channels, *inner = w.shape
    return w.reshape(groups, out_channels // groups, int(np.prod(inner)))


def convolve(x: Any, w: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """The value of conv2d."""
    cols = _columns(pad_image(x, windows), windows, groups)
    y = _matrix(w, groups) @ cols
    y = y.reshape(x.shape[0], w.shape[0], *windows.out)
    return y if bias is None else y + bias[:, None, None]


def convolve_input_grad(g: Any, w: Any, windows: Windows, groups: int) -> Any:
    """The gradient of conv2d by its input."""
    n, out_channels, oh, ow = g.shape
    g = g.reshape(n, groups, out_channels // groups, oh * ow)
    cols = np.swapaxes(_matrix(w, groups), 1, 2) @ g
    return add_patches(cols.reshape(n, w.shape[1] * groups, *windows.kernel, oh, ow), windows)


def convolve_weight_grad(x: Any, g: Any, windows: Windows, groups: int) -> Any:
    """The gradient of conv2d by its weight."""
    n, out_channels, oh, ow = g.shape
    cols = _columns(pad_image(x, windows), windows, groups)
    g = g.reshape(n, groups, out_channels // groups, oh * ow)
    total = np.sum(g @ np.swapaxes(cols, 2, 3), axis=0)
    return total.reshape(out_channels, x.shape[1] // groups, *windows.kernel)
