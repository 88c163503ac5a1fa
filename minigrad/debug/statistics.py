"""A few numbers about an array, for messages, tables and pictures; and whether it is finite.

They are taken in double precision over the finite elements, so that one NaN does not hide the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BINS = 24


def is_finite(value: Any) -> bool:
    """Whether the array has neither NaN nor infinity."""
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        return True
    # One pass without a temporary array; a sum that overflows is looked at again.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def euclidean_norm(array: Any) -> float:
    """The norm of all elements, summed in double precision."""
    return float(np.linalg.norm(array.astype(np.float64).ravel()))


class Statistics:
    """Minimum, maximum and mean of the finite elements; and how many are not finite.

    Of complex numbers they are those of their magnitudes.
    """

    __slots__ = ("histogram", "infinite", "max", "mean", "min", "nan", "size")

    def __init__(self, array: Any, histogram: bool = True) -> None:
        array = np.asarray(array)
        self.size = array.size
        # Each element once that stands for many, as in a broadcast array; in the order of memory.
        once = array[tuple(slice(None) if stride else slice(1) for stride in array.strides)]
        times = self.size // max(once.size, 1)
        values = once.ravel(order="K")
        self.nan = self.infinite = 0
        if values.dtype.kind == "c":
            values = np.abs(values)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                self.nan = times * int(np.isnan(values).sum())
                self.infinite = self.size - times * int(finite.sum()) - self.nan
                values = values[finite]
        self.min = float(values.min()) if values.size else math.nan
        self.max = float(values.max()) if values.size else math.nan
        self.mean = float(values.mean(dtype=np.float64)) if values.size else math.nan
        self.histogram: list[int] = []
        if histogram and values.size > 1 and self.max > self.min:
            values = values.astype(np.float64, copy=False)
            counts = np.histogram(values, BINS, (self.min, self.max))[0]
            self.histogram = (times * counts).tolist()

    @property
    def finite(self) -> bool:
        """Whether there is neither NaN nor infinity."""
        return not (self.nan or self.infinite)

    def __str__(self) -> str:
        if not self.size:
            return "empty"
        if self.size == 1 and self.finite:
            return f"{self.mean:.4g}"
        parts = []
        if self.size > self.nan + self.infinite:
            parts.append(f"min {self.min:.3g}, mean {self.mean:.3g}, max {self.max:.3g}")
        if self.nan:
            parts.append(f"{self.nan} NaN")
        if self.infinite:
            parts.append(f"{self.infinite} infinite")
        return ", ".join(parts)
