"""An array as a page shows it: shape, a few numbers about it, and its numbers or a small image.

The array itself is not kept: what is shown of it has at most some thousand bytes.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from minigrad.debug.statistics import Statistics
from minigrad.debug.table import readable_number

#: Arrays with so many elements at most are shown as numbers.
NUMBERS = 48
#: Maps beside each other, and their height and width in pixels.
MAPS, PIXELS = 6, 16


def snapshot(array: Any, filters: bool = False) -> dict[str, Any]:
    """What is shown of an array, ready for JSON.

    ``filters``: the first axes are (out, in), as of a convolution's weight; else (N, C).
    """
    array = np.asarray(array)
    found: dict[str, Any] = {
        "shape": " × ".join(map(str, array.shape)) or "scalar",
        "dtype": str(array.dtype),
        "about": str(Statistics(array, histogram=False)),
    }
    if 0 < array.size <= NUMBERS:
        flat = array.ndim < 2 or array.size == max(array.shape)
        rows = array.reshape(1 if flat else -1, -1 if flat else array.shape[-1])
        digits = 8 if array.size == 1 else 4
        found["numbers"] = [[readable_number(value, digits) for value in row] for row in rows]
    elif array.size and array.dtype.kind in "fiub":
        found["image"] = _image(array, filters)
    return found


def _image(array: np.ndarray[Any, Any], filters: bool) -> dict[str, Any]:
    """Up to six maps as bytes: 1 to 255 from the least to the largest value, 0 for NaN and inf."""
    maps, what = _maps(array, filters)
    steps = [max(1, -(-size // PIXELS)) for size in maps.shape[1:]]
    shown = maps[:MAPS, :: steps[0], :: steps[1]].astype(np.float64)
    finite = np.isfinite(shown)
    low, high = (float(f(shown[finite])) if finite.any() else 0.0 for f in (np.min, np.max))
    if low < 0 < high:  # so that 0 is in the middle
        low, high = -max(-low, high), max(-low, high)
    span = high - low or 1.0
    levels = np.where(finite, 1 + np.rint(254 * ((np.where(finite, shown, low) - low) / span)), 0)
    count, height, width = shown.shape
    if count < len(maps):
        what = f"the first {count} of {len(maps)} {what}"
    return {
        "count": count,
        "height": height,
        "width": width,
        "signed": low < 0,
        "bytes": base64.b64encode(levels.astype(np.uint8).tobytes()).decode(),
        "what": what if steps == [1, 1] else f"{what}, thinned out",
    }


def _maps(array: np.ndarray[Any, Any], filters: bool) -> tuple[np.ndarray[Any, Any], str]:
    """The array as maps (count, height, width), and what they are."""
    if array.ndim == 1:
        return array.reshape(1, 1, -1), "elements, from left to right"
    if array.ndim == 2:
        return array[None], "rows and columns"
    if array.ndim == 4 and filters:
        return array[:, 0], "filters, of the first channel"
    if array.ndim == 4:
        return array[0], "channels of the first sample"
    first = array.reshape(-1, *array.shape[-2:])
    return first[:1], "the first matrix"
