"""The in-place steps that several update rules share.

They write their result into an array that is there already, because allocating one for each step
would cost more than the arithmetic. ``s`` is a scratch array whose contents are lost.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from minigrad.optim.buffer import Array


def average(m: Array, g: Array, s: Array, beta: float) -> None:
    """Update the running average, m = beta * m + (1 - beta) * g."""
    np.multiply(m, beta, out=m)
    np.multiply(g, 1.0 - beta, out=s)
    np.add(m, s, out=m)


def average_square(v: Array, g: Array, s: Array, beta: float) -> None:
    """Update the running average of the square, v = beta * v + (1 - beta) * g²."""
    np.multiply(v, beta, out=v)
    square(g, s)
    np.multiply(s, 1.0 - beta, out=s)
    np.add(v, s, out=v)


def scaled_step(p: Array, m: Array, v: Array, s: Array, size: float, eps: float) -> None:
    """Update the parameter, p -= size * m / (sqrt(v) + eps)."""
    np.sqrt(v, out=s)
    np.add(s, eps, out=s)
    np.divide(m, s, out=s)
    np.multiply(s, size, out=s)
    np.subtract(p, s, out=p)


class _Overflow(threading.local):
    """Whether a number has become too large in this thread."""

    seen = False


_overflow = _Overflow()


def _note_overflow(*_: Any) -> None:
    _overflow.seen = True


def overflow_noted() -> np.errstate:
    """The block in which update rules run: NumPy's warnings are off, and overflow is noted.

    One such block for a step costs less than one around each operation that may overflow.
    """
    return np.errstate(all="ignore", over="call", call=_note_overflow)


def _overflows(ufunc: np.ufunc, x: Array, y: Array, out: Array) -> bool:
    """Compute ``ufunc(x, y, out=out)``, and tell whether a finite result was too large."""
    _overflow.seen = False
    ufunc(x, y, out=out)
    return _overflow.seen


def square(g: Array, s: Array) -> None:
    """Write g² to s, and limit finite g whose square would overflow (in float32, from 1.8e19 on).

    An infinite square would stay in the running averages, and the parameter would never move
    again. Steps are ratios of gradients, so limiting the largest of them changes little. Infinite
    and NaN gradients are kept, so that they are noticed. Call this before g is used otherwise, and
    inside ``overflow_noted()``.
    """
    if _overflows(np.multiply, g, g, s):
        limit = math.sqrt(float(np.finfo(g.dtype).max)) * (1.0 - float(np.finfo(g.dtype).eps))
        np.clip(g, -limit, limit, out=g, where=np.isfinite(g))
        np.multiply(g, g, out=s)


def add_square(v: Array, g: Array, s: Array) -> None:
    """Add g² to the sum v, which stays at the largest number where it would overflow."""
    square(g, s)
    if _overflows(np.add, v, s, s):
        most = np.finfo(v.dtype).max
        np.copyto(s, most, where=np.isinf(s) & np.isfinite(g) & np.isfinite(v))
    v[...] = s
