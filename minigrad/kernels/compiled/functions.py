"""The exponential and its kin for vectors of float32, within some units in the last place.

e^x is 2^n e^r, with n the whole number next to x / ln 2: e^r is a few terms of its series, and 2^n
a number written bit by bit.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import numpy as np

from minigrad.kernels.compiled.build import inlined
from minigrad.kernels.compiled.vectors import (
    absolute,
    if_below,
    nearest,
    power_of_two,
    splat,
)

#: 1 / ln 2, and ln 2 as the sum of a number of few digits and the rest.
PER_LN2, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.693359375, -2.12194440054690583e-4
#: Where e^x is 0 or infinite in float32.
LOWEST, HIGHEST = -104.0, 89.0


@inlined
def least(x, most):
    """The smaller of the numbers of a vector and one number; NaN stays."""
    top = splat(np.float32(most))
    return if_below(top, x, top, x)


@inlined
def most(x, least_one):
    """The larger of the numbers of a vector and one number; NaN stays."""
    bottom = splat(np.float32(least_one))
    return if_below(x, bottom, bottom, x)


@inlined
def _rest(r):
    """e^r - 1 for abs(r) up to ln 2 / 2."""
    s = r * (1.0 / 5040) + 1.0 / 720
    s = r * s + 1.0 / 120
    s = r * s + 1.0 / 24
    s = r * s + 1.0 / 6
    s = r * s + 0.5
    return r * (r * s) + r


@inlined
def exp(x):
    """e^x."""
    return exp_of_sum(most(least(x, HIGHEST), LOWEST), splat(np.float32(0.0)))


@inlined
def exp_of_sum(x, small):
    """e^(x + small), whose sum is not rounded; x must lie between LOWEST - 2 and HIGHEST."""
    n = nearest((x + small) * PER_LN2)
    r = ((x - n * LN2_HIGH) - n * LN2_LOW) + small
    # In two factors, because 2^n alone may be too large, or too small, for float32.
    half = nearest(n * 0.5)
    return ((_rest(r) + 1.0) * power_of_two(half)) * power_of_two(n - half)


@inlined
def expm1(x):
    """e^x - 1, exact near 0 as well."""
    x = most(least(x, 88.0), -80.0)
    n = nearest(x * PER_LN2)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    scale = power_of_two(n)
    return _rest(r) * scale + (scale - 1.0)


@inlined
def log1p(z):
    """log(1 + z) for z from 0 to 1: twice the inverse hyperbolic tangent of z / (2 + z)."""
    s = z / (z + 2.0)
    q = s * s
    t = q * (1.0 / 13) + 1.0 / 11
    t = q * t + 1.0 / 9
    t = q * t + 1.0 / 7
    t = q * t + 1.0 / 5
    t = q * t + 1.0 / 3
    return (s + s * (q * t)) * 2.0


@inlined
def logistic(x):
    """1 / (1 + e^-x), exact for negative x as well."""
    e = exp(least(x, 50.0))
    return e / (e + 1.0)


@inlined
def tanh(x):
    """The hyperbolic tangent: (e^2|x| - 1) / (e^2|x| + 1), with the sign of x."""
    size = absolute(x)
    e = expm1(least(size * 2.0, 40.0))
    t = e / (e + 2.0)
    return if_below(x, splat(np.float32(0.0)), t * -1.0, t)
