"""The distribution function of the standard normal, which NumPy lacks and GELU needs.

NumPy has no erf, and calling Python's ``math.erf`` for each element takes 50 times as long as tanh.
The tail of the distribution is exp(-a**2 / 2) / (a + SCALE) times a function of 0.4 to 2, which is
interpolated here by a polynomial, whose coefficients are worked out when they are first needed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minigrad.kernels.elementwise import by_element, each

#: t = 1 - 2 * SCALE / (a + SCALE) maps [0, inf) to [-1, 1); this scale needs the lowest degree.
SCALE = 4.0
#: Degrees at which the interpolation is as exact as rounding allows.
DEGREES = {np.dtype(np.float16): 10, np.dtype(np.float32): 10, np.dtype(np.float64): 22}
#: Masks that leave so few digits of a number that its square is exact.
FEW_DIGITS = {2: -(1 << 6), 4: -(1 << 12), 8: -(1 << 27)}
#: Beyond this the tail is 0 in every dtype, and a**2 would overflow before long.
FARTHEST = 40.0


def _scaled_tail(a: float) -> float:
    """(a + SCALE) exp(a**2 / 2) times the probability beyond a.

    By erfc, and by Laplace's fraction a + 1 / (a + 2 / (a + ...)) where a**2 / 2 would cost digits.
    """
    if a < 1.5:
        return (a + SCALE) * 0.5 * math.erfc(a * math.sqrt(0.5)) * math.exp(0.5 * a * a)
    below = a
    for k in range(300, 0, -1):
        below = a + k / below
    return (1.0 + (SCALE - (below - a)) / below) / math.sqrt(2.0 * math.pi)


@functools.cache
def coefficients(degree: int) -> tuple[float, ...]:
    """The polynomial in t through the Chebyshev points, highest power first."""
    from numpy.polynomial import chebyshev

    n = degree + 1
    # The cosines of multiples of pi / 2n, at whole numbers, so that no angle is rounded twice.
    cosines = [math.cos(math.pi * m / (2 * n)) for m in range(4 * n)]
    points = [cosines[2 * i + 1] for i in range(n)]
    values = [_scaled_tail(SCALE * (1 + t) / (1 - t)) for t in points]
    series = [
        (1 if k == 0 else 2)
        / n
        * math.fsum(value * cosines[k * (2 * i + 1) % (4 * n)] for i, value in enumerate(values))
        for k in range(n)
    ]
    return tuple(float(c) for c in chebyshev.cheb2poly(series)[::-1])


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def plain_normal_cdf(x: Any) -> Any:
    """(1 + erf(x / sqrt(2))) / 2."""
    return (0.5 * _erfc(x * -math.sqrt(0.5))).astype(x.dtype)


def normal_cdf(x: Any) -> Any:
    """``plain_normal_cdf`` by a polynomial."""
    if x.dtype.itemsize not in FEW_DIGITS or not x.dtype.isnative:
        return plain_normal_cdf(x)
    first, *rest = coefficients(DEGREES.get(x.dtype, 22))
    whole, mask = np.dtype(f"i{x.dtype.itemsize}"), FEW_DIGITS[x.dtype.itemsize]

    def formula(out: Any, a: Any, s: Any, t: Any, x: Any) -> None:
        np.abs(x, out=a)
        np.clip(a, 0.0, FARTHEST, out=a)
        np.add(a, SCALE, out=s)
        np.reciprocal(s, out=s)
        np.multiply(s, -2.0 * SCALE, out=t)
        np.add(t, 1.0, out=t)
        np.multiply(t, first, out=out)
        np.add(out, rest[0], out=out)
        for c in rest[1:]:
            np.multiply(out, t, out=out)
            np.add(out, c, out=out)
        np.multiply(out, s, out=out)
        # The rounding of a^2 would show in the exponential: a = h + r, with an h that has few
        # digits, so that h^2 is exact, and a^2 = h^2 + r (a + h).
        np.bitwise_and(a.view(whole), mask, out=s.view(whole))
        np.subtract(a, s, out=t)
        np.add(a, s, out=a)
        np.multiply(t, a, out=t)
        for part in (t, np.multiply(s, s, out=s)):
            np.multiply(part, -0.5, out=part)
            np.exp(part, out=part)
            np.multiply(out, part, out=out)
        # 1 - tail for x > 0, without np.where: m + (1 - 2 m) * tail, with m = 1 or 0.
        np.greater(x, 0.0, out=s)
        np.multiply(s, -2.0, out=t)
        np.add(t, 1.0, out=t)
        np.multiply(out, t, out=out)
        np.add(out, s, out=out)

    return each(formula, 3, x, seconds=6e-9)


def plain_normal_density(g: Any, x: Any) -> Any:
    """``g * exp(-x**2 / 2) / sqrt(2 * pi)``."""
    near = np.clip(x, -FARTHEST, FARTHEST)
    return g * (np.exp(-0.5 * (near * near)) * (1.0 / math.sqrt(2.0 * math.pi)))


@by_element(plain_normal_density)
def normal_density(out: Any, g: Any, x: Any) -> None:
    """``plain_normal_density``."""
    np.clip(x, -FARTHEST, FARTHEST, out=out)
    np.multiply(out, out, out=out)
    np.multiply(out, -0.5, out=out)
    np.exp(out, out=out)
    np.multiply(out, 1.0 / math.sqrt(2.0 * math.pi), out=out)
    np.multiply(out, g, out=out)
