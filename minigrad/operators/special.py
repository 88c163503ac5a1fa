"""Special functions that NumPy lacks: erf, the logarithm of gamma and its derivatives, x log y.

They are computed in float64 and rounded to the dtype of x. What Python's ``math`` has comes from
there; the series are the classic ones, from Abramowitz and Stegun, *Handbook of Mathematical
Functions*, chapter 6.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import PAIRS, Domain, anywhere, positive, sample

#: Bernoulli's numbers B2, B4, ..., for the expansions of gamma at infinity.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
#: On both sides of the poles, which are 0 and the negative integers, and of the zeros 1 and 2.
_near_gamma = Domain("gamma", low=-1.9, high=4.0, avoid=(-1.0, 0.0), margin=0.2)


def _each(function: Callable[[float], float], x: Any) -> Any:
    """A function of Python's for each element."""
    return np.asarray(np.frompyfunc(function, 1, 1)(x), np.float64)


def _back(ans: Any, x: Any) -> Any:
    """The answer in the dtype of x."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(ans).astype(x.dtype)


# -- the error function ----------------------------------------------------------------------------


def _bell(g: Any, x: Any) -> Any:
    """g times the derivative of erf, `2 / sqrt(pi)` e^(-x^2)."""
    near = np.clip(x, -30.0, 30.0)
    return g * (np.exp(-(near * near)) * (2.0 / math.sqrt(math.pi)))


@operator(vjp=lambda g, _ans, x: _bell(g, x), numbers="float")
def erf(x: Array) -> Array:
    """The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x.

    As ``scipy.special.erf``, which calls this for a tracked tensor.

    >>> erf(tensor([0.0, 1.0]))
    tensor([0.       , 0.8427008])
    """
    return _back(_each(math.erf, x), x)


@operator(vjp=lambda g, _ans, x: -_bell(g, x), numbers="float")
def erfc(x: Array) -> Array:
    """1 - erf(x), with all digits also where that is nearly 0.

    As ``scipy.special.erfc``, which calls this for a tracked tensor.

    >>> erfc(tensor([0.0, 5.0]))
    tensor([1.0000000e+00, 1.5374598e-12])
    """
    return _back(_each(math.erfc, x), x)


# -- gamma -----------------------------------------------------------------------------------------


def _zeta(n: int, start: Any) -> Any:
    """The sum of 1 / (start + k)^n for k = 0, 1, 2, ...: Hurwitz's zeta, for n > 1, start > 0.

    Ten terms, then the rest by Euler and Maclaurin.
    """
    a = start + 10.0
    total = sum((start + k) ** -float(n) for k in range(10))
    total = total + a ** (1.0 - n) / (n - 1.0) + 0.5 * a ** -float(n)
    factor = float(n)
    for k, b in enumerate(BERNOULLI, 1):
        total = total + b * factor / math.factorial(2 * k) * a ** (1.0 - n - 2 * k)
        factor *= (n + 2 * k - 1) * (n + 2 * k)
    return total


def _digamma_positive(x: Any) -> Any:
    """For x >= 0: ten steps of the recurrence, then the expansion at infinity."""
    inverse = 1.0 / (x + 10.0)
    square = inverse * inverse
    series = [b / (2 * k) for k, b in enumerate(BERNOULLI, 1)][::-1]
    rest = np.log(x + 10.0) - 0.5 * inverse - square * np.polyval(series, square)
    return rest - sum(1.0 / (x + k) for k in range(9, 0, -1)) - 1.0 / x


@functools.cache
def _of_cotangent(n: int) -> tuple[float, ...]:
    """The n-th derivative of cot as a polynomial in cot, highest power first."""
    polynomial = np.array([1.0, 0.0])
    for _ in range(n):
        polynomial = np.polymul(np.polyder(polynomial), [-1.0, 0.0, -1.0])
    return tuple(polynomial.tolist())


def _derivative(x: Any, n: int) -> Any:
    """The n-th derivative of digamma, by the mirror formula for negative x."""
    wide = np.asarray(x, np.float64)
    sign = 1.0 if n % 2 else -1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = wide < 0
        positive = np.where(below, 1.0 - wide, wide)
        direct = (
            sign * math.factorial(n) * _zeta(n + 1, positive) if n else _digamma_positive(positive)
        )
        tangent = np.tan(math.pi * (wide - np.rint(wide)))
        derivative = np.polyval(_of_cotangent(n), 1.0 / tangent) * math.pi ** (n + 1)
        pole = np.inf if n % 2 else np.nan
        mirrored = np.where(tangent == 0, pole, -sign * direct - derivative)
        ans = np.where(below, mirrored, direct)
    return _back(ans, x)


def _polygamma_vjp(g: Any, _ans: Any, x: Any, n: int) -> Any:
    return g * _polygamma(x, n=n + 1)


@operator(
    vjp=_polygamma_vjp,
    domain=_near_gamma,
    samples=[sample((2, 3), n=1), sample((), n=2), sample((0,), n=1)],
    numbers="float",
)
def _polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of digamma, for n >= 1; at its poles inf or, for even n, NaN."""
    return _derivative(x, n)


@operator(vjp=lambda g, _ans, x: g * _polygamma(x, n=1), domain=_near_gamma, numbers="float")
def digamma(x: Array) -> Array:
    """The derivative of gammaln; -inf at 0, NaN at the negative integers.

    As ``scipy.special.digamma``, which calls this for a tracked tensor.

    >>> digamma(tensor([1.0]))
    tensor([-0.5772157])
    """
    return _derivative(x, 0)


@functools.cache
def _near_2() -> tuple[float, ...]:
    """Coefficients of log gamma(2 + z) / z, highest power first."""
    zetas = [float(_zeta(n, np.asarray(2.0))) for n in range(2, 32)]
    return (*[(-1.0) ** n * z / n for n, z in enumerate(zetas, 2)][::-1], 1.0 - _EULER)


_EULER = 0.5772156649015329
#: The logarithm of gamma of larger numbers is beyond float64.
LARGEST = 2.5563e305


@operator(vjp=lambda g, _ans, x: g * digamma(x), domain=_near_gamma, numbers="float")
def gammaln(x: Array) -> Array:
    """The logarithm of |gamma(x)|; inf at 0 and the negative integers.

    As ``scipy.special.gammaln``, which calls this for a tracked tensor, and ``torch.lgamma``.

    >>> gammaln(tensor([1.0, 5.0]))  # log(4!)
    tensor([0.       , 3.1780539])
    """
    wide = np.asarray(x, np.float64)
    infinite = (wide > LARGEST) | ((wide <= 0) & (wide == np.rint(wide)))
    python = np.where(infinite, np.inf, _each(math.lgamma, np.where(infinite, 1.0, wide)))
    # Near its zeros 1 and 2, the power series about 2 keeps all digits, and Python's does not.
    near = np.clip(wide, 0.5, 2.5)
    low = near < 1.5
    z = near - np.where(low, 1.0, 2.0)
    series = z * np.polyval(_near_2(), z) - np.where(low, np.log(near), 0.0)
    return _back(np.where(wide == near, series, python), x)


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
