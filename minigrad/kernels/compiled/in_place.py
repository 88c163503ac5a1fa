"""The step of Adam in one pass over the parameters.

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
from minigrad.kernels.compiled.layout import are_single

#: The largest number whose square does not overflow.
LIMIT = np.float32(1.8446743e19)


@functools.wraps(numpy_set.adam)
def adam(p, g, s, m, v, largest, beta1, beta2, size, eps):
    if not are_single(p, g, m, v, largest):
        numpy_set.adam(p, g, s, m, v, largest, beta1, beta2, size, eps)
    else:
        _adam(p, g, m, v, largest, beta1, beta2, size, eps)


@inlined
def _limited(g):
    """A finite gradient whose square would overflow, cut off."""
    cut = LIMIT if g > LIMIT else -LIMIT
    return cut if LIMIT < abs(g) < np.inf else g


@compiled
def _adam(p, g, m, v, largest, beta1, beta2, size, eps):
    b1, b2, step, small = np.float32(beta1), np.float32(beta2), np.float32(size), np.float32(eps)
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    for i in range(len(p)):
        slope = _limited(g[i])
        m[i] = b1 * m[i] + c1 * slope
        v[i] = b2 * v[i] + c2 * (slope * slope)
        most = v[i]
        if largest is not None:  # decided when it is compiled
            before = largest[i]
            most = before if before > most or before != before else most
            largest[i] = most
        p[i] -= step * m[i] / (math.sqrt(most) + small)
