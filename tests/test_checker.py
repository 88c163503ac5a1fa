"""The gradient checker: right gradients pass, wrong ones are named, bad functions are told apart."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.testing import GradientMismatch, Verdict, check_grads

X = np.array([0.3, -1.2, 2.0])


def scaled(factor):
    """x**2 with its gradient multiplied by a wrong factor: all of it, or elementwise."""

    def square(x):
        y = mg.stop_gradient(x)
        return x * y * (2 * factor) + mg.stop_gradient(x * x * (1 - 2 * factor))

    return square


def failure(f, *args, **options):
    with pytest.raises(GradientMismatch) as caught:
        check_grads(f, *args, **options)
    return caught.value


# -- right gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (np.tanh, [X]),
        (lambda x: x**2, [1e6]),
        (lambda x: x**2, [1e-9]),
        (np.log, [np.array([1e-8, 1.0])]),
        (np.sin, [np.array([1e6, 1.0])]),
        (lambda x: 1e8 + np.sin(x), [X]),
        (lambda x: 1e-12 * np.exp(x), [X]),
        (lambda x: (x * x).sum(), [np.linspace(-1, 1, 500)]),
        (lambda x, y: x @ y, [np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)]),
        (lambda x: x.sum(axis=0), [np.zeros((0, 3))]),
        (lambda x: x * 2.0, [np.zeros((0, 3))]),
        (lambda x: x * 3.0, [np.zeros(3)]),
    ],
)
def test_right_gradients_pass(f, args):
    report = check_grads(f, *args)
    assert report.verdict is Verdict.PASS
    assert not report.inconclusive


def test_float32_is_checked_against_float64():
    report = check_grads(lambda x: np.exp(x) / (1 + np.exp(x)), X.astype(np.float32))
    assert report.verdict is Verdict.PASS


# -- wrong gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("point", [1e6, 1.0, 1e-6, X, np.linspace(1, 2, 500)])
@pytest.mark.parametrize("factor", [1.01, 0.99, -1, 2, 0.5])
def test_wrong_factors_are_found(point, factor):
    error = failure(scaled(factor), point, order=1)
    assert error.analytic == pytest.approx(factor * error.numeric, rel=1e-6)


# -- functions that are none ---------------------------------------------------------------------


def test_a_function_that_is_not_deterministic_is_called_so():
    with pytest.raises(RuntimeError, match="not deterministic"):
        check_grads(lambda x: x * mg.randn(3), X)


def test_a_function_that_returns_no_tensor_is_called_so():
    with pytest.raises(TypeError, match=re.escape("must return a tensor")):
        check_grads(lambda x: x.numpy(), X)


def test_a_function_with_other_arguments_is_called_so():
    with pytest.raises(TypeError, match="was given 2 arguments"):
        check_grads(lambda x: x, X, X)


def test_a_function_that_writes_into_its_argument_is_called_so():
    def f(x):
        y = x * 1.0
        x.assign(np.zeros(3))
        return y

    with pytest.raises(RuntimeError, match=r"wrote into argument 0 \(x\)"):
        check_grads(f, X)
