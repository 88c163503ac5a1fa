"""Memory that is used again: what training frees, and cotangents that nobody else holds.

New memory costs time: the system clears it page by page, and it is not in cache yet. And where a
kernel may overwrite a cotangent with its result, one of the two large arrays of ReLU's gradient is
enough: a step of the benchmarks' VGG block needs 12 MB less.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from _thread import _local  # threading.local, which takes half a millisecond to import
from typing import Any

import numpy as np

#: Arrays up to this size come from memory that is kept, and this much of it is kept when free.
LARGEST, KEPT = 1 << 25, 1 << 29
#: From so many bytes on, it is worth asking whether an array is alone.
LARGE = 1 << 18
#: An array that one variable holds is counted no more often, with what has been called with it.
ALONE_COUNT = 4


@functools.cache
def keep_freed() -> None:
    """Have the C library keep freed memory of up to half a gigabyte, from the first call on.

    Each training step frees what the next one needs again. By default, glibc hands large blocks
    back to the system, which then clears them page by page when they are asked for: half of the
    time of a small CNN's step (1.7 ms instead of 3.2). Other C libraries have no such setting.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # from malloc.h
        mallopt(trim_threshold, KEPT)
        mallopt(mmap_threshold, LARGEST)


class _Lent(_local):
    """What this thread lends at the moment."""

    array: Any = None


_lent = _Lent()


def _counts(g: Any) -> tuple[int, int]:
    """How often an array is counted, and the one that it is a view of."""
    return sys.getrefcount(g), 0 if g.base is None else sys.getrefcount(g.base)


def _find_alone() -> set[tuple[int, int]]:
    """The counts of an array that only one variable of the caller's caller holds, or of its view.

    From Python 3.14 on they tell less, and so they do where threads run Python at the same time.
    """
    known = sys.implementation.name == "cpython" and sys.version_info < (3, 14)
    if not known or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return set()

    def counted(g: Any) -> tuple[int, int]:
        return _counts(g)

    found = set()
    for view in (False, True):
        g = np.empty((1, 1))
        if view:
            g = g[:]
        found.add(counted(g))
    # Where a tracer holds the variables of frames, these counts are those of shared arrays, too.
    return {counts for counts in found if counts[0] <= ALONE_COUNT}


_ALONE = _find_alone()


def lend(g: Any) -> None:
    """Let kernels overwrite this array, if it is alone, until another one is lent, or None."""
    _lent.array = None
    if g is None or _counts(g) not in _ALONE:
        return
    owner = g if g.base is None else g.base
    if type(owner) is np.ndarray and owner.flags.owndata and g.flags.writeable:
        _lent.array = g


def is_lent(g: Any) -> bool:
    """Whether a kernel may overwrite this array, once it has read what it writes over."""
    return _lent.array is g
