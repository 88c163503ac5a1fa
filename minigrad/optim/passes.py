"""The passes over memory that several update formulas share; s is scratch."""

from __future__ import annotations

import math

import numpy as np

from minigrad.optim.flat import Array


def add_decay(p: Array, g: Array, s: Array, decay: float, maximize: bool) -> None:
    """Turn g into the direction to descend: negated to maximize, plus the gradient of L2 decay."""
    if maximize:
        np.negative(g, out=g)
    if decay:
        np.multiply(p, decay, out=s)
        np.add(g, s, out=g)


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


def square(g: Array, s: Array) -> None:
    """g² in s. A finite g whose square has no place, from 1.8e19 on in float32, becomes 1.8e19.

    Its square would stay infinite in the running averages, and the parameter where it is. Steps are
    ratios of gradients, so that a smaller unit for the largest of them is as good. Infinite and NaN
    gradients stay what they are, to be seen. Call it before g is used otherwise.
    """
    try:
        with np.errstate(over="raise"):
            np.multiply(g, g, out=s)
    except FloatingPointError:
        limit = math.sqrt(float(np.finfo(g.dtype).max)) * (1.0 - float(np.finfo(g.dtype).eps))
        np.clip(g, -limit, limit, out=g, where=np.isfinite(g))
        np.multiply(g, g, out=s)


def add_square(v: Array, g: Array, s: Array) -> None:
    """Add g² to the sum v, which stays at the largest number where it would overflow."""
    square(g, s)
    try:
        with np.errstate(over="raise"):
            np.add(v, s, out=s)
        np.copyto(v, s)
    except FloatingPointError:
        most = np.finfo(v.dtype).max
        np.copyto(s, most, where=np.isinf(s) & np.isfinite(g) & np.isfinite(v))
        np.copyto(v, s)
