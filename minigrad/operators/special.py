"""Special functions that NumPy lacks: erf, the logarithm of gamma and its derivatives, x log y.

They are computed in float64 and rounded to the dtype of x. The series are the classic ones, from
Abramowitz and Stegun, *Handbook of Mathematical Functions*, chapters 6 and 7.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minigrad.kernels.normal_distribution import scaled_tail
from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import Domain, anywhere, positive, sample
from minigrad.operators.rows import PAIRS

#: Bernoulli's numbers B2, B4, ..., for the expansions of gamma at infinity.
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
)  # fmt: skip
#: From here on, that many terms are exact to rounding.
LARGE = 10.0
#: On both sides of the poles, which are 0 and the negative integers, and of the zeros 1 and 2.
_near_gamma = Domain("gamma", low=-1.9, high=4.0, avoid=(-1.0, 0.0), margin=0.2)


def _wide(x: Any) -> Any:
    return np.asarray(x, np.float64)


def _back(ans: Any, x: Any) -> Any:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(ans).astype(
            np.result_type(x, np.float16) if x.dtype.kind == "f" else np.float64
        )


# -- the error function ----------------------------------------------------------------------------


def _bell(g: Any, x: Any) -> Any:
    """g times the derivative of erf, `2 / sqrt(pi)` e^(-x^2)."""
    near = np.clip(x, -30.0, 30.0)
    return g * (np.exp(-(near * near)) * (2.0 / math.sqrt(math.pi)))


def _erf_near_0(x: Any) -> Any:
    """The power series, for |x| < 1."""
    terms = [(-1.0) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(20)]
    return x * (np.polyval(terms[::-1], x * x) * (2.0 / math.sqrt(math.pi)))


def _erfc_far(x: Any) -> Any:
    """1 - erf(x) for x >= 0, with all digits, from the tail of the normal distribution."""
    near = np.minimum(x, 30.0)
    # e^(-x^2) with x^2 in two parts, because rounding it would cost digits.
    high = np.rint(near * 64.0) * (1.0 / 64.0)
    bell = np.exp(-high * high) * np.exp(-(near - high) * (near + high))
    return 2.0 * scaled_tail(near * math.sqrt(2.0)) * bell


@operator(vjp=lambda g, _ans, x: _bell(g, x), numbers="float")
def erf(x: Array) -> Array:
    """The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x.

    As ``scipy.special.erf``, which calls this for a tracked tensor.

    >>> erf(tensor([0.0, 1.0]))
    tensor([0.       , 0.8427008])
    """
    wide = _wide(x)
    size = np.abs(wide)
    far = np.copysign(1.0 - _erfc_far(size), wide)
    return _back(np.where(size < 1.0, _erf_near_0(np.clip(wide, -1.0, 1.0)), far), x)


@operator(vjp=lambda g, _ans, x: -_bell(g, x), numbers="float")
def erfc(x: Array) -> Array:
    """1 - erf(x), with all digits also where that is nearly 0.

    As ``scipy.special.erfc``, which calls this for a tracked tensor.

    >>> erfc(tensor([0.0, 5.0]))
    tensor([1.0000000e+00, 1.5374598e-12])
    """
    wide = _wide(x)
    tail = _erfc_far(np.abs(wide))
    return _back(np.where(wide < 0, 2.0 - tail, tail), x)


# -- gamma -----------------------------------------------------------------------------------------


def _zeta(n: int, start: Any) -> Any:
    """The sum of 1 / (start + k)^n for k = 0, 1, 2, ...: Hurwitz's zeta, for n > 1, start > 0.

    Ten terms, then the rest by Euler and Maclaurin.
    """
    total = np.zeros_like(start)
    for k in range(10):
        total = total + (start + k) ** -float(n)
    a = start + 10.0
    total = total + a ** (1.0 - n) / (n - 1.0) + 0.5 * a ** -float(n)
    factor = float(n)
    for k, b in enumerate(BERNOULLI, 1):
        total = total + b * factor / math.factorial(2 * k) * a ** (1.0 - n - 2 * k)
        factor *= (n + 2 * k - 1) * (n + 2 * k)
    return total


@functools.cache
def _near_2() -> tuple[float, ...]:
    """Coefficients of log gamma(2 + z) / z, highest power first."""
    zetas = [float(_zeta(n, np.asarray(2.0))) for n in range(2, 32)]
    return (*[(-1.0) ** n * z / n for n, z in enumerate(zetas, 2)][::-1], 1.0 - _EULER)


_EULER = 0.5772156649015329


def _gammaln_positive(x: Any) -> Any:
    """For x > 0: by the recurrence from the power series about 2, or by Stirling's series."""
    small = np.minimum(x, LARGE)
    # z = small - 2, without rounding for what lies below 2.5.
    steps = [small < 0.5, small < 1.5]
    z = np.select(steps, [small, small - 1.0], small - 2.0)
    extra = -np.where(steps[1], np.log(small), 0.0) - np.where(steps[0], np.log1p(small), 0.0)
    product = np.ones_like(x)
    for _ in range(8):
        high = z > 0.5
        z = np.where(high, z - 1.0, z)
        product = np.where(high, product * (z + 2.0), product)
    near = z * np.polyval(_near_2(), z) + extra + np.log(product)
    large = np.maximum(x, LARGE)
    inverse = 1.0 / large
    square = inverse * inverse
    series = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, 1)][::-1]
    rest = inverse * np.polyval(series, square) + 0.5 * math.log(2.0 * math.pi)
    # In this order nothing overflows before the answer does.
    stirling = (large - 0.5) * (np.log(large) - 1.0) - 0.5 + rest
    return np.where(x < LARGE, near, np.where(x == np.inf, np.inf, stirling))


def _sine(x: Any) -> Any:
    """sin(pi x), exact 0 at whole numbers."""
    nearest = np.rint(x)
    sign = np.where(np.remainder(nearest, 2.0) == 0, 1.0, -1.0)
    return sign * np.sin(math.pi * (x - nearest))


def _gammaln_vjp(g: Any, _ans: Any, x: Any) -> Any:
    return g * digamma(x)


@operator(vjp=_gammaln_vjp, domain=_near_gamma, numbers="float")
def gammaln(x: Array) -> Array:
    """The logarithm of |gamma(x)|; inf at 0 and the negative integers.

    As ``scipy.special.gammaln``, which calls this for a tracked tensor, and ``torch.lgamma``.

    >>> gammaln(tensor([1.0, 5.0]))  # log(4!)
    tensor([0.       , 3.1780539])
    """
    wide = _wide(x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = wide <= 0
        direct = _gammaln_positive(np.where(below, 1.0 - wide, wide))
        mirrored = math.log(math.pi) - np.log(np.abs(_sine(wide))) - direct
        ans = np.where(below, np.where(wide == -np.inf, np.inf, mirrored), direct)
    return _back(ans, x)


def _digamma_positive(x: Any) -> Any:
    total = np.zeros_like(x)
    for _ in range(10):
        low = x < LARGE
        total = total - np.where(low, 1.0 / np.where(low, x, 1.0), 0.0)
        x = np.where(low, x + 1.0, x)
    square = 1.0 / (x * x)
    series = [b / (2 * k) for k, b in enumerate(BERNOULLI, 1)][::-1]
    return total + (np.log(x) - 0.5 / x - square * np.polyval(series, square))


def _digamma_vjp(g: Any, _ans: Any, x: Any) -> Any:
    return g * _polygamma(x, n=1)


@operator(vjp=_digamma_vjp, domain=_near_gamma, numbers="float")
def digamma(x: Array) -> Array:
    """The derivative of gammaln; -inf at 0, NaN at the negative integers.

    As ``scipy.special.digamma``, which calls this for a tracked tensor.

    >>> digamma(tensor([1.0]))
    tensor([-0.5772157])
    """
    wide = _wide(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = wide < 0
        direct = _digamma_positive(np.where(below, 1.0 - wide, wide))
        mirrored = direct - math.pi / np.tan(math.pi * (wide - np.rint(wide)))
        whole = (wide == np.rint(wide)) | (wide == -np.inf)
        ans = np.where(below, np.where(whole, np.nan, mirrored), direct)
    return _back(np.where(wide == 0, -np.copysign(np.inf, wide), ans), x)


@functools.cache
def _of_cotangent(n: int) -> tuple[float, ...]:
    """The n-th derivative of cot as a polynomial in cot, highest power first."""
    polynomial = np.array([1.0, 0.0])
    for _ in range(n):
        polynomial = np.polymul(np.polyder(polynomial), [-1.0, 0.0, -1.0])
    return tuple(polynomial.tolist())


def _polygamma_vjp(g: Any, _ans: Any, x: Any, n: int) -> Any:
    return g * _polygamma(x, n=n + 1)


@operator(
    vjp=_polygamma_vjp,
    domain=_near_gamma,
    samples=[sample((2, 3), n=1), sample((), n=2), sample((0,), n=1)],
    numbers="float",
    name="polygamma",
)
def _polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of digamma, for n >= 1; at its poles inf or, for even n, NaN."""
    wide = _wide(x)
    sign = 1.0 if n % 2 else -1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = wide < 0
        positive = np.where(below, 1.0 - wide, wide)
        direct = sign * math.factorial(n) * _zeta(n + 1, positive)
        tangent = np.tan(math.pi * (wide - np.rint(wide)))
        derivative = np.polyval(_of_cotangent(n), 1.0 / tangent) * math.pi ** (n + 1)
        pole = np.inf if n % 2 else np.nan
        mirrored = np.where(tangent == 0, pole, -sign * direct - derivative)
        ans = np.where(below, mirrored, direct)
    return _back(ans, x)


# -- x log y ---------------------------------------------------------------------------------------


@operator(
    vjp=(
        lambda g, _ans, x, y: g * np.log(np.where((x == 0) & (y <= 0), 1.0, y)),
        # 0 where x is 0 and y not positive, and so is its derivative by x.
        lambda g, _ans, x, y: g * (x / np.where((x == 0) & (y <= 0), np.inf, y)),
    ),
    domain=(anywhere, positive),
    samples=[*PAIRS, sample(np.array([0, 2], np.int8), np.array([-1.0, 1.5]))],
    numbers="float",
)
def xlogy(x: Array, y: Array) -> Array:
    """`x log(y)`, and 0 where x is 0, whatever y is but NaN.

    As ``scipy.special.xlogy``, which calls this for a tracked tensor, and ``torch.xlogy``. Where x
    is 0 and y is not positive, the derivatives are 0.

    >>> xlogy(tensor([0.0, 2.0]), tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    y = np.asarray(y, np.result_type(x, y))  # a Python number, too, in the digits of x
    return x * np.log(np.where((x == 0) & ~np.isnan(y), 1.0, y))
