"""The steps of optimizers in one pass over the parameters.

Their plain definitions, in kernels/in_place.py, read and write memory once for each operation.
"""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
import math

import numpy as np

from minigrad.kernels import in_place as numpy_set
from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.layout import are_floats

#: The largest number of each dtype whose square does not overflow.
LIMITS = {"f": 1.8446743e19, "d": 1.3407807929942595e154}


@functools.wraps(numpy_set.adam)
def adam(p, g, s, m, v, largest, beta1, beta2, size, eps):
    if not are_floats(p, g, m, v, largest):
        numpy_set.adam(p, g, s, m, v, largest, beta1, beta2, size, eps)
    else:
        _adam(p, g, m, v, largest, beta1, beta2, size, eps, LIMITS[p.dtype.char])


@inlined
def _limited(g, limit):
    """A finite gradient whose square would overflow, cut off."""
    cut = limit if g > limit else -limit
    return cut if limit < abs(g) < np.inf else g


@compiled
def _adam(p, g, m, v, largest, beta1, beta2, size, eps, end):
    number = p.dtype.type
    b1, b2, step, small = number(beta1), number(beta2), number(size), number(eps)
    c1, c2, limit = number(1.0 - beta1), number(1.0 - beta2), number(end)
    for i in range(len(p)):
        slope = _limited(g[i], limit)
        m[i] = b1 * m[i] + c1 * slope
        v[i] = b2 * v[i] + c2 * (slope * slope)
        most = v[i]
        if largest is not None:  # decided when it is compiled
            before = largest[i]
            most = before if before > most or before != before else most
            largest[i] = most
        p[i] -= step * m[i] / (math.sqrt(most) + small)


@functools.wraps(numpy_set.sgd)
def sgd(p, g, s, b, lr, momentum, fresh, nesterov):
    if not are_floats(p, g, b):
        numpy_set.sgd(p, g, s, b, lr, momentum, fresh, nesterov)
    elif b is None:
        _descend(p, g, lr)
    else:
        _roll(p, g, b, lr, momentum, fresh, nesterov)


@compiled
def _descend(p, g, lr):
    rate = p.dtype.type(lr)
    for i in range(len(p)):
        p[i] -= rate * g[i]


@compiled
def _roll(p, g, b, lr, momentum, fresh, nesterov):
    number = p.dtype.type
    rate, mu, part = number(lr), number(momentum), number(fresh)
    for i in range(len(p)):
        b[i] = mu * b[i] + part * g[i]
        p[i] -= rate * (g[i] + mu * b[i] if nesterov else b[i])
