"""The distribution function of the standard normal and its derivative, each in one pass.

The formulas and their coefficients are those of kernels/normal_distribution.py.
"""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
import math

import numpy as np

from minigrad.kernels import normal_distribution as numpy_set
from minigrad.kernels.compiled.elementwise import kernel_by_element
from minigrad.kernels.compiled.functions import exp_of_sum, least
from minigrad.kernels.compiled.vectors import (
    LANES,
    absolute,
    if_below,
    load,
    nearest,
    splat,
    store,
)
from minigrad.kernels.normal_distribution import SCALE, coefficients

FIRST, *_REST = coefficients(numpy_set.DEGREES[np.dtype(np.float32)])
REST = tuple(_REST)
#: From here on, the tail is 0 in float32.
FARTHEST = 14.5
kernel = functools.partial(kernel_by_element, numpy_set)
PER_ROOT = 1.0 / math.sqrt(2.0 * math.pi)


@kernel
def normal_cdf(x, out, start, stop):
    zero = splat(np.float32(0.0))
    for i in range(start, stop, LANES):
        value = load(x, i)
        a = least(absolute(value), FARTHEST)
        s = splat(np.float32(1.0)) / (a + SCALE)
        t = s * (-2.0 * SCALE) + 1.0
        tail = t * FIRST + REST[0]
        for k in range(1, len(REST)):
            tail = tail * t + REST[k]
        # a = h + r, with an h whose square is exact: see the NumPy set.
        h = nearest(a * 64.0) * (1.0 / 64.0)
        tail = tail * s * exp_of_sum(h * h * -0.5, (a - h) * (a + h) * -0.5)
        store(out, i, if_below(zero, value, tail * -1.0 + 1.0, tail))


@kernel
def normal_density(g, x, out, start, stop):
    for i in range(start, stop, LANES):
        a = least(absolute(load(x, i)), FARTHEST)
        h = nearest(a * 64.0) * (1.0 / 64.0)
        e = exp_of_sum(h * h * -0.5, (a - h) * (a + h) * -0.5)
        store(out, i, e * PER_ROOT * load(g, i))
