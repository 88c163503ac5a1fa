"""The in-place steps of optimizers, and the whole rules of Adam and of gradient descent.

They write their result into an array that is there already, because allocating one for each step
would cost more than the arithmetic. ``s`` is a scratch array whose contents are lost; the gradient
``g`` is only read.
"""

from __future__ import annotations

import math
import threading
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def average(m: Array, g: Array, s: Array, beta: float) -> None:
    """Update the running average, m = beta * m + (1 - beta) * g."""
    np.multiply(m, beta, out=m)
    np.multiply(g, 1.0 - beta, out=s)
    np.add(m, s, out=m)


def average_square(v: Array, g: Array, s: Array, beta: float) -> Array:
    """Update the running average of the square, v = beta * v + (1 - beta) * g²; returns g.

    As :func:`square`, it returns the gradient to go on with.
    """
    np.multiply(v, beta, out=v)
    g = square(g, s)
    np.multiply(s, 1.0 - beta, out=s)
    np.add(v, s, out=v)
    return g


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


def square(g: Array, s: Array) -> Array:
    """Write g² to s; returns g, limited where its square would overflow (in float32, from 1.8e19).

    An infinite square would stay in the running averages, and the parameter would never move
    again. Steps are ratios of gradients, so limiting the largest of them changes little. Infinite
    and NaN gradients are kept, so that they are noticed. Call this inside ``overflow_noted()``, and
    go on with what it returns.
    """
    if _overflows(np.multiply, g, g, s):
        limit = math.sqrt(float(np.finfo(g.dtype).max)) * (1.0 - float(np.finfo(g.dtype).eps))
        g = np.where(np.isfinite(g), np.clip(g, -limit, limit), g)
        np.multiply(g, g, out=s)
    return g


def add_square(v: Array, g: Array, s: Array) -> Array:
    """Add g² to the sum v, which stays at the largest number where it would overflow; returns g.

    As :func:`square`, it returns the gradient to go on with.
    """
    g = square(g, s)
    if _overflows(np.add, v, s, v):
        np.copyto(v, np.finfo(v.dtype).max, where=np.isinf(v) & np.isfinite(g))
    return g


# -- whole rules -----------------------------------------------------------------------------------


def plain_adam(
    p: Array,
    g: Array,
    s: Array,  # noqa: ARG001 (the arguments of every set are the same)
    m: Array,
    v: Array,
    largest: Array | None,
    beta1: float,
    beta2: float,
    size: float,
    eps: float,
) -> None:
    """Let m and v average g and g², and p -= size * m / (sqrt(v) + eps).

    ``largest``, if there is one, is the largest v so far, and takes its place.
    """
    m[...] = beta1 * m + (1.0 - beta1) * g
    v[...] = beta2 * v + (1.0 - beta2) * g * g
    if largest is not None:
        largest[...] = v = np.maximum(largest, v)
    p[...] -= size * m / (np.sqrt(v) + eps)


def plain_sgd(
    p: Array,
    g: Array,
    s: Array,  # noqa: ARG001 (the arguments of every set are the same)
    b: Array | None,
    lr: float,
    momentum: float,
    fresh: float,
    nesterov: bool,
) -> None:
    """Step along b = momentum * b + fresh * g: p -= lr * b; without ``b``, p -= lr * g.

    ``nesterov``: p -= lr * (g + momentum * b).
    """
    if b is not None:
        b[...] = momentum * b + fresh * g
        g = g + momentum * b if nesterov else b
    p[...] -= lr * g


def adam(
    p: Array,
    g: Array,
    s: Array,
    m: Array,
    v: Array,
    largest: Array | None,
    beta1: float,
    beta2: float,
    size: float,
    eps: float,
) -> None:
    """``plain_adam``, also where g² would overflow."""
    g = average_square(v, g, s, beta2)
    average(m, g, s, beta1)
    if largest is not None:
        v = np.maximum(largest, v, out=largest)
    scaled_step(p, m, v, s, size, eps)


def sgd(
    p: Array,
    g: Array,
    s: Array,
    b: Array | None,
    lr: float,
    momentum: float,
    fresh: float,
    nesterov: bool,
) -> None:
    """``plain_sgd``."""
    if b is not None:
        np.multiply(b, momentum, out=b)
        np.add(b, g if fresh == 1.0 else np.multiply(g, fresh, out=s), out=b)
        if nesterov:
            np.multiply(b, momentum, out=s)
            g = np.add(g, s, out=s)
        else:
            g = b
    np.multiply(g, lr, out=s)
    np.subtract(p, s, out=p)
