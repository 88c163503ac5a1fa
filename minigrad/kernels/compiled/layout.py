"""Arrays as the loops want them: contiguous, of one dtype, images with their channels last."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.kernels import threads
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.scratch import aligned
from minigrad.kernels.windows import Windows

#: The dtypes that loops are compiled for; those of vectors are for the first alone.
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
#: The elements that are transposed at a time.
PIECE = 1 << 16
#: Helpers are awake (``waiting.py``), so a quarter of the work is worth splitting.
AWAKE = 0.25 if hasattr(os, "sched_yield") else 1.0
#: An index that is known not to count from the end, so that loops over it are vectorised.
at = np.uint64


def are_single(*arrays: Any) -> bool:
    """Whether all of these that are not None are float32."""
    return all(a is None or a.dtype == SINGLE for a in arrays)


def are_floats(*arrays: Any) -> bool:
    """Whether all of these that are not None are float32, or all are float64."""
    return are_single(*arrays) or all(a is None or a.dtype == DOUBLE for a in arrays)


def flat(x: Any) -> Any:
    """A contiguous array as one long row that is only read: of one type to the compiler."""
    row = np.ascontiguousarray(x).reshape(-1)
    if not row.flags.aligned:
        row = row.copy()
    row.flags.writeable = False
    return row


def integers(windows: Windows, channels: int) -> tuple[int, ...]:
    """The integers of windows on images with so many channels, as loops take them."""
    (top, _), (left, _) = windows.padding
    return (
        *windows.size, channels, *windows.kernel, *windows.stride, *windows.dilation, top, left,
        *windows.out,
    )  # fmt: skip


def channels_last(x: Any) -> Any:
    """The images (N, C, H, W) as a contiguous array (N, H, W, C)."""
    last = x.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous:
        return last
    if not x.flags.c_contiguous or not are_floats(x) or not x.flags.aligned:
        return np.ascontiguousarray(last)
    out = np.empty(last.shape, x.dtype)
    n, channels, height, width = x.shape
    work = partial(_interleave, flat(x), out.reshape(-1), channels, height * width)
    run(work, n, PIECE // max(1, x.size // n), x.size * 1e-9)
    return out


def new_images(n: int, channels: int, height: int, width: int, dtype: Any) -> tuple[Any, Any]:
    """Memory for images as (N, H, W, C), and the same as (N, C, H, W)."""
    memory = aligned((n, height, width, channels), np.dtype(dtype))
    return memory, memory.transpose(0, 3, 1, 2)


@compiled
def _interleave(x, out, channels, places, first, last):
    # Some places or some channels at a time, so that what is written stays in cache; many channels
    # take 0.5 ms instead of 1 for 32 images of 64 x 28 x 28.
    for n in range(first, last):
        start = n * channels * places
        if channels < 16:
            for block in range(0, places, 16):
                for c in range(channels):
                    for p in range(block, min(block + 16, places)):
                        out[at(start + p * channels + c)] = x[at(start + c * places + p)]
        else:
            for block in range(0, channels, 16):
                count = min(16, channels - block)
                for p in range(places):
                    target, source = start + p * channels + block, start + block * places + p
                    for c in range(count):
                        out[at(target + c)] = x[at(source + c * places)]


def run(
    work: Callable[[int, int], object], total: int, most: int, seconds: float, part: float = AWAKE
) -> None:
    """Call ``work(start, stop)`` for ranges of up to ``most`` of the numbers below ``total``.

    The threads take turns as in ``threads.run``, from less work on; with four calls for each of
    them in place of two, VGG was 2 % slower.
    """
    ranges = pieces(total, most)
    threads.run_each(lambda ends: work(*ends), ranges, seconds, part, shares=2)


def summed(
    work: Callable[[Any, int, int], object],
    shape: tuple[int, ...],
    total: int,
    most: int,
    seconds: float,
) -> Any:
    """What ``work(sums, start, stop)`` adds to zeros of this shape, in all, in float64.

    The order does not depend on which thread was first.
    """
    early: dict[int, tuple[int, Any]] = {}
    lock, done, found = threading.Lock(), 0, None

    def some(ranges: Sequence[tuple[int, int]]) -> None:
        nonlocal done, found
        part = np.zeros(shape)
        for start, stop in ranges:
            work(part, start, stop)
        with lock:  # added as soon as those before it are, since weights may be large
            early[ranges[0][0]] = ranges[-1][1], part
            while done in early:
                done, part = early.pop(done)
                found = part if found is None else np.add(found, part, out=found)

    threads.run(some, pieces(total, most), seconds, AWAKE, shares=2)
    return found


def pieces(total: int, most: int) -> list[tuple[int, int]]:
    """The numbers below ``total`` as ranges of up to ``most``, in even shares for some threads."""
    count = -(-total // max(1, most))
    count = min(total, count + -count % 4)
    ends = [total * i // count for i in range(count + 1)] if count else [0]
    return list(itertools.pairwise(ends))
