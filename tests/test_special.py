"""erf, gammaln and their kind, beside their textbook definitions and beside SciPy."""

import functools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

import minigrad as mg
from minigrad.operators.declare import OPERATORS, engine

REAL = np.concatenate(
    [np.linspace(-6, 6, 121), np.geomspace(1e-300, 1.0, 31), -np.geomspace(1e-9, 1.0, 31), [12, 25]]
)


def polygamma(x, n):
    return engine.record(OPERATORS["polygamma"], (x,), {"n": n})


def units(found, exact):
    error = np.abs(found - exact) / np.spacing(np.maximum(np.abs(exact), 1e-300))
    return np.where(found == exact, 0.0, error).max()


def power_series_of_erf(x):
    """`2 / sqrt(pi)` times the sum of `(-1)^n x^(2n + 1) / (n! (2n + 1))`, in 700 digits."""
    x = Decimal(float(x))
    term, total, n = x, x, 0
    while abs(term) > abs(total) * Decimal("1e-330"):
        n += 1
        term *= -x * x / n
        total += term / (2 * n + 1)
    return total * 2 / root_of_pi()


@functools.cache
def root_of_pi():
    """By Gauss's arithmetic-geometric mean, whose digits double with each step."""
    a, b, t = Decimal(1), 1 / Decimal(2).sqrt(), Decimal(1) / 4
    for n in range(10):
        a, b, last = (a + b) / 2, (a * b).sqrt(), a
        t -= 2**n * (a - last) ** 2
    return (a + b) / 2 / t.sqrt()


def test_error_functions_have_all_their_digits():
    with localcontext(prec=700):
        exact = [power_series_of_erf(x) for x in REAL]
        erf, erfc = ([float(e) for e in each] for each in (exact, [1 - e for e in exact]))
    assert units(mg.erf(REAL).numpy(), np.array(erf)) < 2
    assert units(mg.erfc(REAL).numpy(), np.array(erfc)) < 4
    assert mg.erf(np.array([np.inf, -np.inf, 0.0, -0.0])).tolist() == [1.0, -1.0, 0.0, 0.0]
    assert np.signbit(mg.erf(np.array([-0.0])).numpy())
    assert mg.erfc(np.array([np.inf, -np.inf])).tolist() == [0.0, 2.0]
    assert np.isnan(mg.erf(np.nan).numpy())


def test_gammaln_is_that_of_the_factorials():
    factorials = [math.log(math.factorial(n)) for n in range(2, 40)]
    np.testing.assert_allclose(mg.gammaln(np.arange(3.0, 41.0)), factorials, rtol=5e-15)
    halves = [
        math.log(math.sqrt(math.pi) * math.factorial(2 * n) / (4**n * math.factorial(n)))
        for n in range(80)
    ]
    found = mg.gammaln(np.arange(80) + 0.5)
    np.testing.assert_allclose(found, halves, rtol=5e-15)
    small = np.geomspace(1e-300, 1e-20, 29)
    np.testing.assert_allclose(mg.gammaln(small), -np.log(small), rtol=1e-15)
    large = np.geomspace(1e20, 1e300, 29)
    np.testing.assert_allclose(mg.gammaln(large), large * (np.log(large) - 1.0), rtol=1e-15)
    assert mg.gammaln(np.array([1e306])).tolist() == [np.inf]
    assert mg.gammaln(np.array([1.0, 2.0])).tolist() == [0.0, 0.0]
    # Near its zeros it keeps its digits: -Euler's constant times z.
    z = np.array([1e-9, -1e-9])
    np.testing.assert_allclose(
        mg.gammaln(1.0 + z), -0.5772156649015329 * ((1.0 + z) - 1.0), rtol=3e-9
    )
    np.testing.assert_allclose(
        mg.gammaln(2.0 + z), (1 - 0.5772156649015329) * ((2.0 + z) - 2.0), rtol=3e-9
    )
    poles = mg.gammaln(np.array([0.0, -0.0, -1.0, -7.0, np.inf, -np.inf])).numpy()
    assert (poles == np.inf).all()
    assert np.isnan(mg.gammaln(np.nan).numpy())


@pytest.mark.parametrize("x", [-3.7, -0.3, 0.2, 1.6, 5.5, 12.0])
def test_gamma_and_its_derivatives_obey_the_recurrence(x):
    """gamma(x + 1) = x gamma(x), and what follows for each derivative of its logarithm."""
    x = np.array(x)
    np.testing.assert_allclose(mg.gammaln(x + 1) - mg.gammaln(x), np.log(np.abs(x)), atol=5e-15)
    np.testing.assert_allclose(mg.digamma(x + 1) - mg.digamma(x), 1 / x, rtol=1e-13)
    for n in (1, 2, 3):
        step = (-1.0) ** n * math.factorial(n) / x ** (n + 1)
        np.testing.assert_allclose(polygamma(x + 1, n) - polygamma(x, n), step, rtol=1e-11)


def test_digamma_and_polygamma_at_known_places():
    euler = 0.5772156649015329
    np.testing.assert_allclose(
        mg.digamma(np.array([1.0, 0.5])), [-euler, -euler - 2 * math.log(2)], rtol=1e-15
    )
    np.testing.assert_allclose(
        polygamma(np.array([1.0, 0.5, -0.5]), 1),
        np.pi**2 * np.array([1 / 6, 0.5, 0.5]) + [0, 0, 4],
        rtol=1e-14,
    )
    assert mg.digamma(np.array([0.0, -0.0])).tolist() == [-np.inf, np.inf]
    assert np.isnan(mg.digamma(np.array([-1.0, -np.inf, np.nan])).numpy()).all()
    assert polygamma(np.array([0.0, -3.0]), 1).tolist() == [np.inf, np.inf]
    assert np.isnan(polygamma(np.array([-3.0]), 2).numpy()).all()


@pytest.mark.parametrize("name", ["erf", "erfc", "gammaln", "digamma"])
def test_smaller_dtypes_are_rounded_once(name):
    function = getattr(mg, name)
    x = np.linspace(0.1, 4.0, 40)
    for dtype in (np.float32, np.float16):
        found = function(x.astype(dtype))
        assert found.dtype == dtype
        np.testing.assert_array_equal(
            found, function(x.astype(dtype).astype(np.float64)).numpy().astype(dtype)
        )
    assert function(np.array([1, 2])).dtype == np.float64
    assert function(np.ones((0, 2))).shape == (0, 2)


def test_xlogy_is_0_where_x_is():
    x = np.array([0.0, 0.0, 0.0, 0.0, 2.0, 0.0])
    y = np.array([0.0, -1.0, np.inf, 5.0, 3.0, np.nan])
    found = mg.xlogy(x, y).numpy()
    np.testing.assert_array_equal(found[:5], [0, 0, 0, 0, 2 * np.log(3.0)])
    assert np.isnan(found[5])
    slopes = mg.grad(lambda x, y: mg.xlogy(x, y).sum(), (0, 1))(x[:5], y[:5])
    np.testing.assert_allclose(slopes[0], [0, 0, np.inf, np.log(5.0), np.log(3.0)])
    np.testing.assert_allclose(slopes[1], [0, 0, 0, 0, 2 / 3])
    entropy = mg.grad(lambda p: -mg.xlogy(p, p).sum())(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(entropy, [0.0, math.log(2) - 1, -1.0])


def test_the_mixed_second_derivative_of_xlogy_at_0():
    mixed = mg.grad(lambda y: mg.grad(mg.xlogy)(np.array(0.0), y))(np.array(4.0))
    assert mixed == 0.25


def test_logcumsumexp_never_overflows():
    x = np.array([-np.inf, -np.inf, 1.0, 1000.0, -1000.0, 1000.0])
    found = mg.logcumsumexp(x).numpy()
    np.testing.assert_allclose(found, [-np.inf, -np.inf, 1.0, 1000.0, 1000.0, 1000.0 + math.log(2)])
    g = np.array([3.0, 5.0, 1.0, 1.0, 1.0, 4.0])
    slopes = mg.vjp(mg.logcumsumexp, x)[1](g)[0]
    np.testing.assert_allclose(slopes, [0, 0, 1.0, 1 + 1 + 2, 0, 2.0])
    many = np.log(np.arange(1.0, 50.0)).reshape(7, 7)
    for axis in (None, 0, 1, -1):
        np.testing.assert_allclose(
            mg.logcumsumexp(many, axis), np.log(np.cumsum(np.exp(many), axis)), rtol=1e-14
        )
    assert mg.logcumsumexp(np.float32([1.0, 2.0])).dtype == np.float32


def test_beside_scipy():
    special = pytest.importorskip("scipy.special", reason="SciPy is not installed")
    x = np.linspace(-5.9, 9, 500)
    for name in ("erf", "erfc", "gammaln", "digamma"):
        np.testing.assert_allclose(
            getattr(mg, name)(x), getattr(special, name)(x), rtol=2e-12, atol=1e-13
        )
    for n in (1, 2, 3, 4):
        np.testing.assert_allclose(polygamma(x[300:], n), special.polygamma(n, x[300:]), rtol=1e-13)
    y = np.abs(x[::-1])
    np.testing.assert_allclose(mg.xlogy(x, y), special.xlogy(x, y), rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("erf", 1), ("erfc", 1), ("gammaln", 1), ("digamma", 1), ("psi", 1), ("xlogy", 2),
        ("expit", 1), ("log_expit", 1), ("ndtr", 1),
    ],
)  # fmt: skip
def test_functions_of_scipy_record_themselves(name, arrays):
    special = pytest.importorskip("scipy.special", reason="SciPy is not installed")
    function = getattr(special, name)
    x = [np.array([0.5, 1.5, 2.5]), np.array([2.0, 0.7, 1.1])][:arrays]
    given = [mg.tensor(one, requires_grad=True) for one in x]
    found = function(*given)
    assert found.requires_grad
    np.testing.assert_allclose(found.detach().numpy(), function(*x), rtol=1e-12)
    mg.testing.check_grads(function, *x)
    with pytest.raises(TypeError, match=r"jv|airy|.numpy\(\)"):
        special.jv(0, given[0])


@pytest.mark.parametrize("y", [0.5, 1.0, 3.0])
def test_xlogy_at_0_has_the_derivatives_of_its_formula(y):
    """x is 0, but y is positive: d/dx is log y, and d/dx d/dy is 1 / y."""
    x, y = np.array(0.0), np.array(y)
    np.testing.assert_allclose(mg.grad(mg.xlogy, (0, 1))(x, y), [np.log(y), 0.0], rtol=1e-15)
    mixed = mg.grad(lambda x: mg.grad(mg.xlogy, 1)(x, mg.tensor(y)))(x)
    np.testing.assert_allclose(mixed, 1 / y)


def far_away(x, n):
    """The n-th derivative of digamma at x > 0: a long sum, and three terms of the expansion beyond."""
    sign, m = (-1.0) ** (n + 1), x + 2000
    if n == 0:
        rest = math.log(m) - 1 / (2 * m) - 1 / (12 * m**2) + 1 / (120 * m**4)
        return math.fsum([rest, *(-1 / (x + k) for k in range(2000))])
    rest = math.factorial(n - 1) / m**n + math.factorial(n) / (2 * m ** (n + 1))
    rest += math.factorial(n + 1) / (12 * m ** (n + 2))
    return sign * math.fsum([rest, *(math.factorial(n) / (x + k) ** (n + 1) for k in range(2000))])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_digamma_and_its_derivatives_beside_their_sums(n):
    x = np.array(
        [1e-3, 0.1, 0.4, 0.9, 1.3, 1.7, 2.5, 4.2, 7.7, 9.3, 9.99, 10.0, 10.4, 13.0, 31.0, 250.0]
    )
    found = (mg.digamma(x) if n == 0 else polygamma(x, n)).numpy()
    exact = np.array([far_away(float(one), n) for one in x])
    np.testing.assert_allclose(found, exact, rtol=4e-15, atol=1e-15)
    # On the other side of 0: 1 - x instead of x, and a derivative of pi cot(pi x).
    below = -x[x < 9.5] - 0.05
    tangent = np.tan(np.pi * (below - np.rint(below)))
    cot = 1 / tangent
    extra = [np.pi * cot, -(np.pi**2) * (1 + cot**2), 2 * np.pi**3 * cot * (1 + cot**2)]
    extra.append(-2 * np.pi**4 * (1 + cot**2) * (1 + 3 * cot**2))
    mirrored = np.array([far_away(float(1 - one), n) for one in below])
    found = (mg.digamma(below) if n == 0 else polygamma(below, n)).numpy()
    np.testing.assert_allclose(found, (-1.0) ** n * mirrored - extra[n], rtol=2e-13)
