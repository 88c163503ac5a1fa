"""The passes over memory that several update formulas share; s is scratch."""

from __future__ import annotations

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
    np.multiply(g, g, out=s)
    np.multiply(s, 1.0 - beta, out=s)
    np.add(v, s, out=v)
