"""A cotangent that a kernel may overwrite with its result, because nobody else holds it.

Of the two large arrays of ReLU's gradient, one is then enough: a step of the benchmarks' VGG block
needs 12 MB less.
"""

from __future__ import annotations

import sys
from _thread import _local  # threading.local, which takes half a millisecond to import
from typing import Any

import numpy as np

#: From so many bytes on, it is worth asking.
LARGE = 1 << 18


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
    return found


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
