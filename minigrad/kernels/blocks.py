"""Cutting a convolution into blocks: a few images, or some rows of one, at a time.

The columns of a block stay in cache while they are multiplied. What the layouts of columns
(``columns.py``, ``winograd.py``) share is here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels.windows import Windows

#: The bytes of one block's columns: they stay in cache, and calls of NumPy are few.
BLOCK = 1 << 21
#: Up to this many multiplications OpenBLAS multiplies without packing its operands first, at 108
#: GFLOP/s instead of 83 for 16 channels; other libraries do not mind. Below LEAST columns the
#: calls themselves would cost more than that saves.
SMALL_PRODUCT, LEAST = 1_000_000, 96


class Block(NamedTuple):
    """Images [first, last) and output rows [top, bottom) of a convolution."""

    first: int
    last: int
    top: int
    bottom: int


class Shape(NamedTuple):
    """What a convolution's columns depend on, besides the batch."""

    windows: Windows
    channels: int
    out_channels: int
    groups: int

    @property
    def depth(self) -> int:
        """The elements under one window, in one group."""
        kh, kw = self.windows.kernel
        return self.channels // self.groups * kh * kw

    @property
    def out_depth(self) -> int:
        """The output channels of one group."""
        return self.out_channels // self.groups

    def blocks(self, images: int, row: int, step: int = 1) -> list[Block]:
        """A whole batch in blocks, the largest first, if an output row has ``row`` bytes of them.

        ``step``: each block begins at a multiple of this many rows.
        """
        height = self.windows.out[0]
        rows = min(height, max(1, BLOCK // row))
        bands = -(-height // rows)
        rows = -(-height // bands)
        rows += -rows % step
        many = max(1, BLOCK // (row * rows)) if rows >= height else 1
        # An even share for each of a multiple of four blocks, so that threads end together.
        count = -(-images // many)
        many = -(-images // (count + -count % 4))
        return [
            Block(i, min(i + many, images), top, min(top + rows, height))
            for i in range(0, images, many)
            for top in range(0, height, rows)
        ]


def pitch(windows: Windows) -> int:
    """How far apart image rows lie when flat: neighbours share their padding where they can."""
    (left, right), width = windows.padding[1], windows.size[1]
    shared = width + max(left, right)
    return shared if windows.out[1] <= shared else width + left + right


def cut(length: int, multiplications: int, least: int = LEAST) -> tuple[int, int]:
    """In how many products this many columns are multiplied, and how many each of them gets.

    ``multiplications``: those of one column.
    """
    limit = SMALL_PRODUCT // multiplications
    count = -(-length // limit) if limit >= least else 1
    return count, -(-length // count)


def view(memory: Any, shape: tuple[int, ...], steps: Sequence[int], start: int = 0) -> Any:
    """An array over contiguous memory; ``steps`` and ``start`` count elements.

    Made directly: as_strided does the same ten times as slowly.
    """
    size = memory.itemsize
    return np.ndarray(shape, memory.dtype, memory, start * size, [step * size for step in steps])
