"""The order of images (N, C, H, W) in memory: as their axes say, or with their channels last.

The numbers are the same, and so is their shape. With channels last, what a kernel of a convolution
meets lies side by side, and pooling works on whole pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.scratch import scratch


def are_last(x: Any) -> bool:
    """Whether images lie as (N, H, W, C) in memory, and not as (N, C, H, W) as well."""
    return not x.flags.c_contiguous and bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)


def new_images(shape: tuple[int, ...], dtype: Any, last: bool, role: str = "") -> Any:
    """Uninitialised memory for images (N, C, H, W); with a ``role``, scratch memory."""
    n, channels, height, width = shape
    if last:
        shape = (n, height, width, channels)
    memory = scratch(role, shape, dtype) if role else np.empty(shape, dtype)
    return memory.transpose(0, 3, 1, 2) if last else memory


def as_ordered(x: Any, last: bool) -> Any:
    """Images in one of the two orders: copied unless they lie so."""
    if not last:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
