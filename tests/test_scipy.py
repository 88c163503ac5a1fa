"""SciPy takes the derivatives of minigrad as they are: NumPy in, NumPy out."""

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("scipy", reason="SciPy is not installed")
from scipy import integrate, optimize, special

START = np.array([-1.0, 1.5, 0.5])
WITH_HESSIAN = {"Newton-CG", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"}
WITHOUT_GRADIENT = {"Nelder-Mead", "Powell", "COBYLA", "COBYQA"}
METHODS = [
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA",
    "SLSQP", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov",
]  # fmt: skip


def bowl(x, centre=1.0):
    """Convex, so that all methods agree, with its least value 0 where all of x is ``centre``."""
    d = x - centre
    return (d**4).sum() + (d * d).sum() + 0.5 * (d[1:] * d[:-1]).sum()


def kwargs(method):
    if method in WITHOUT_GRADIENT:
        return {}
    derivatives = {"jac": mg.grad(bowl)}
    if method in WITH_HESSIAN:
        derivatives["hess"] = mg.hessian(bowl)
    return derivatives


@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize("method", METHODS)
def test_minimize(method):
    derivatives = kwargs(method)
    found = optimize.minimize(bowl, START, method=method, **derivatives)
    assert found.success
    assert type(found.x) is np.ndarray
    np.testing.assert_allclose(found.x, 1.0, atol=2e-3)
    if "jac" in derivatives:
        both = {**derivatives, "jac": True}
        again = optimize.minimize(mg.value_and_grad(bowl), START, method=method, **both)
        np.testing.assert_array_equal(again.x, found.x)
        assert isinstance(again.fun, float)
        shifted = optimize.minimize(
            mg.value_and_grad(bowl), START, args=(2.0,), method=method, **both
        )
        np.testing.assert_allclose(shifted.x, 2.0, atol=2e-3)


@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_products_with_the_hessian_need_no_matrix(method):
    found = optimize.minimize(
        mg.value_and_grad(bowl), START, args=(2.0,), jac=True, hessp=mg.hvp(bowl), method=method
    )
    np.testing.assert_allclose(found.x, 2.0, atol=1e-3)


def test_constraints():
    found = optimize.minimize(
        mg.value_and_grad(bowl), START, jac=True, method="SLSQP", bounds=[(None, 0.8)] * 3,
        constraints=[{"type": "eq", "fun": lambda x: x.sum() - 1.5, "jac": mg.grad(np.sum)}],
    )  # fmt: skip
    np.testing.assert_allclose(found.x.sum(), 1.5, rtol=1e-9)
    circle = optimize.NonlinearConstraint(
        lambda x: x * x, 0.0, 0.25, jac=mg.jacobian(lambda x: x * x),
        hess=lambda x, v: mg.hessian(lambda x: (x * x * v).sum())(x),
    )  # fmt: skip
    found = optimize.minimize(
        mg.value_and_grad(bowl), np.zeros(3), jac=True, hess=mg.hessian(bowl),
        method="trust-constr", constraints=[circle],
    )  # fmt: skip
    np.testing.assert_allclose(found.x, 0.5, atol=1e-2)


TIMES = np.linspace(0.0, 2.0, 9)


def residuals(p):
    return p[0] * np.exp(-p[1] * TIMES) - 3.0 * np.exp(-2.0 * TIMES)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method):
    found = optimize.least_squares(residuals, [1.0, 1.0], jac=mg.jacobian(residuals), method=method)
    np.testing.assert_allclose(found.x, [3.0, 2.0], rtol=1e-9)


def pair(x):
    return [x[0] ** 2 + x[1] - 3.0, x[0] - 0.5 * x[1]]


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root_of_a_function_that_returns_a_list(method):
    found = optimize.root(pair, [0.5, 0.5], jac=mg.jacobian(pair), method=method)
    assert found.success
    np.testing.assert_allclose(found.x, [1.0, 2.0], rtol=1e-8)


def test_roots_of_one_number():
    def f(x):
        return x**3 - 2.0

    for method, more in (("newton", {}), ("halley", {"fprime2": mg.grad(mg.grad(f))})):
        found = optimize.root_scalar(
            f, x0=np.float64(1.0), fprime=mg.grad(f), method=method, **more
        )
        assert found.root == pytest.approx(2.0 ** (1 / 3), rel=1e-12)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_stiff_equations(method):
    def slope(t, y):
        return np.stack([y[1], 30.0 * (1.0 - y[0] ** 2) * y[1] - y[0]])

    given = {"t_span": (0.0, 1.0), "y0": [2.0, 0.0], "method": method, "rtol": 1e-8, "atol": 1e-10}
    found = integrate.solve_ivp(slope, jac=mg.jacobian(slope, argnums=1), **given)
    expected = integrate.solve_ivp(slope, **given)
    assert found.success
    np.testing.assert_allclose(found.y[:, -1], expected.y[:, -1], rtol=1e-6)


def test_a_tensor_is_a_starting_point_and_a_value():
    start = mg.tensor(START)
    found = optimize.minimize(mg.value_and_grad(bowl), start, jac=True, method="L-BFGS-B")
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)
    found = optimize.minimize(lambda x: bowl(mg.tensor(x)), START, method="Powell")
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)


def test_a_tracked_function_is_refused_in_words():
    weight = mg.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ValueError) as refused:
        optimize.minimize(mg.value_and_grad(lambda x: (x * weight).sum()), START, jac=True)
    assert "tracked tensor" in str(refused.value.__cause__)
    with mg.no_grad():
        optimize.minimize(mg.value_and_grad(lambda x: (x * x * weight).sum()), START, jac=True)


def test_what_has_no_derivative_takes_untracked_tensors():
    t = mg.tensor(np.array([0.5, 2.0]))
    assert type(special.jv(0, t)) is np.ndarray
    np.testing.assert_array_equal(special.jv(0, t), special.jv(0, t.numpy()))
    with pytest.raises(TypeError, match=r"^jv does not work on tensors.*\.numpy\(\)"):
        special.jv(0, mg.tensor(t.numpy(), requires_grad=True))
