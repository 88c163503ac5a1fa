"""The gradient checker: right gradients pass, wrong ones are named, bad functions are told apart."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.node import STATE
from minigrad.nn.functional import softmax
from minigrad.testing import GradientInconclusive, GradientMismatch, Verdict, check_grads

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
    if np.size(point) < 100:
        assert error.numeric == pytest.approx(2 * np.asarray(point)[error.index])
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


# -- several inputs, several outputs ---------------------------------------------------------------


def test_nested_arguments_and_outputs_are_checked_leaf_by_leaf():
    def f(parts, scale):
        a, b = parts["a"], parts["b"][0]
        return {"sum": a + b, "both": [a * b * scale, b]}

    parts = {"a": X, "b": [X * 2, 7]}
    assert check_grads(f, parts, 2.0).verdict is Verdict.PASS

    def wrong(parts, scale):
        return parts["a"] + mg.stop_gradient(parts["b"][0]) * scale

    error = failure(wrong, parts, 2.0)
    assert error.argument == "argument 0 (parts)['b'][0]"


def test_the_parameters_of_a_module_are_checked():
    class Affine(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.weight = nn.Parameter(np.ones((3, 2)))
            self.bias = nn.Parameter([0.5, -0.5])
            self.factor = factor

        def forward(self, x):
            bias = self.bias * self.factor - mg.stop_gradient(self.bias) * (self.factor - 1)
            return np.tanh(x @ self.weight + bias)

    right, wrong = Affine(1.0), Affine(1.5)
    before = right.bias.numpy().copy()
    assert check_grads(right, X[None]).verdict is Verdict.PASS
    assert np.array_equal(right.bias.numpy(), before)
    assert right.bias.requires_grad
    error = failure(wrong, X[None])
    assert error.argument == "parameter bias"
    assert error.pattern == "off by a factor 3/2"


def test_large_inputs_and_outputs_are_checked():
    x = np.linspace(-1, 1, 3000)
    assert check_grads(np.exp, x).verdict is Verdict.PASS

    def wrong(x):
        factor = np.ones(3000)
        factor[1234] = 1.01
        y = np.exp(mg.stop_gradient(x))
        return y * (x - mg.stop_gradient(x)) * factor + y

    error = failure(wrong, x, order=1)
    assert "of 3000" in str(error)


def test_memory_layout_is_kept():
    seen = []

    def f(x):
        seen.append(x.numpy().flags.c_contiguous)
        return x * x

    check_grads(f, np.arange(6.0).reshape(2, 3).T)
    check_grads(f, np.arange(6.0)[::2])
    assert not any(seen)


# -- kinks -----------------------------------------------------------------------------------------


def slope_at_zero(slope):
    """|x|, with a wrong or right derivative at 0 (and 1 or -1 elsewhere)."""

    @mg.custom_gradient
    def f(x):
        return np.abs(x), lambda g: g * np.where(x == 0, slope, np.sign(x))

    return f


@pytest.mark.parametrize("slope", [0.0, 1.0, -1.0, 0.3])
def test_a_gradient_between_the_slopes_of_a_kink_passes(slope):
    report = check_grads(slope_at_zero(slope), np.array([0.0, 1.0]), order=1)
    assert report.verdict is Verdict.KINK
    assert report.kinks == 2
    assert report.passed == 2


@pytest.mark.parametrize("slope", [1.01, -1.01, 5.0, np.nan])
def test_a_gradient_outside_the_slopes_of_a_kink_fails(slope):
    error = failure(slope_at_zero(slope), np.array([0.0, 1.0]), order=1)
    assert error.index == (0,)
    assert "the slopes on its two sides" in str(error)


def test_a_wrong_gradient_beside_a_kink_fails():
    def wrong(x):
        y = mg.stop_gradient(x)
        return np.abs(y) + (x - y) * 0.5

    error = failure(wrong, 1e-5, order=1)
    assert error.analytic == pytest.approx(0.5 * error.numeric)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1.25e-3, 1e-4, 1e-6])
def test_a_jump_of_the_second_derivative_nearby_does_not_fool_it(distance):
    def f(x):  # quadratic below 1, linear above
        return np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5)

    x = np.array([1 - distance, 1 + distance, -1.85])
    assert check_grads(f, x, order=1).verdict is Verdict.PASS


def test_shared_ties_lie_between_the_slopes():
    assert check_grads(mg.maximum, np.ones(2), np.ones(2), order=1).verdict is Verdict.KINK


# -- what cannot be decided ------------------------------------------------------------------------


def test_noise_is_inconclusive():
    with pytest.raises(GradientInconclusive, match="not proven"):
        check_grads(lambda x: x + np.sin(1e14 * x), X)


def test_slopes_lost_in_rounding_are_inconclusive():
    with pytest.raises(GradientInconclusive):
        check_grads(lambda x: 1e13 + np.abs(x), 1.0, order=1)


def test_the_complex_step_decides_where_differences_are_too_coarse():
    def f(slope):
        @mg.custom_gradient
        def g(x):
            return 1e12 + np.sin(x), lambda g: g * np.cos(x) * slope

        return lambda x: np.concatenate([g(x), np.cos(x)])

    x = np.array([0.5, 1.0, 2.0])
    report = check_grads(f(1.0), x, order=1)
    assert report.passed == 6
    assert failure(f(1.01), x, order=1).pattern


def test_an_infinite_slope_is_not_taken_for_a_finite_one():
    report = check_grads(np.sqrt, np.array([0.0, 1.0, 2.0]), order=1)
    assert (report.passed, report.inconclusive) == (4, 2)


@pytest.mark.parametrize("f", [np.sqrt, np.cbrt])
def test_a_vertical_tangent_is_no_mistake_of_the_rule(f):
    with pytest.raises(ValueError, match="the gradient is not finite at this point"):
        check_grads(f, np.array([0.0, 1.0]))


def test_a_staircase_is_flat():
    """From afar it looks like a slope: the smallest steps have the last word."""
    assert check_grads(lambda x: np.floor(x / 3e-3) * 3e-3, X).verdict is Verdict.PASS


def test_a_zero_gradient_is_proven_to_be_zero():
    assert not check_grads(lambda x: softmax(x).sum(), X).inconclusive
    assert failure(lambda x: mg.stop_gradient(x * x), X, order=1).pattern.startswith("zero")


# -- messages --------------------------------------------------------------------------------------


def linear(matrix, gradient_matrix):
    """matrix @ x, whose gradient is that of another matrix."""

    @mg.custom_gradient
    def f(x):
        return mg.tensor(matrix) @ x, lambda g: mg.tensor(gradient_matrix).T @ g

    return f


M = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 4.0], [2.5, 7.0, -2.0]])


@pytest.mark.parametrize(
    ("wrong", "pattern"),
    [
        (2 * M, "off by a factor 2"),
        (M / 3, "off by a factor 1/3"),
        (1.01 * M, "off by a factor 1.01"),
        (-M, "the sign"),
        (0 * M, "zero"),
        (M[:, ::-1], "reversed along axis 0"),
        (np.roll(M, 1, axis=1), "shifted by 1 along axis 0"),
        (M * [1.0, 1.0, 1.5], "one element only"),
        (M * np.nan, "a NaN"),
        (M * [1.0, 0.0, 0.0], "zero at some elements"),
        (M.T, ""),
    ],
)
def test_messages_guess_at_the_mistake(wrong, pattern):
    error = failure(linear(M, np.ascontiguousarray(wrong)), X)
    assert error.pattern.startswith(pattern)
    assert bool(error.pattern) == bool(pattern)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
def test_a_forgotten_cotangent_is_called_so(shape):
    @mg.custom_gradient
    def square(x):
        return x * x, lambda g: 2 * x

    x = np.random.default_rng(0).uniform(1, 2, shape)
    assert failure(square, x).pattern.startswith("the cotangent is left out")


@pytest.mark.parametrize(
    ("factor", "pattern"), [(2.0, "off by a factor 2"), (-1.0, "the sign"), (0.0, "zero")]
)
def test_the_mistake_is_guessed_for_large_arguments_too(factor, pattern):
    error = failure(scaled(factor), np.linspace(1, 2, 600))
    assert error.pattern.startswith(pattern)


@pytest.mark.parametrize("at", [2, 37, 599])
def test_one_wrong_element_of_very_many_is_found(at):
    """Also where its gradient is too small to be looked at first."""
    x = np.linspace(-1, 1, 600)
    x[at] = 1e-3
    factor = np.where(np.arange(600) == at, 0.0, 1.0)
    error = failure(scaled(factor), x)
    assert error.index == (at,)
    assert error.analytic == 0.0
    assert abs(error.numeric) > 1e-3
    assert "wrong          1 of 600" in str(error)
    assert error.pattern.startswith("one element only")


def test_a_transposed_gradient_is_called_so():
    @mg.custom_gradient
    def f(x):
        return x * 1.0, lambda g: g.T

    assert failure(f, M).pattern == "transposed"


def test_the_message_says_where_and_how_sure():
    error = failure(linear(M, M * [1.0, 1.0, 1.5]), X, name="mine")
    text = str(error)
    assert text.startswith("mine: the gradient with respect to argument 0")
    assert error.index == (2,)
    assert error.analytic == pytest.approx(1.5 * error.numeric)
    assert error.bound < 1e-6 * abs(error.numeric)
    for part in (
        "(x)[2], in the derivative of the output[",
        "analytic",
        "numeric",
        "can be error",
        "wrong          1 of 3",
    ):
        assert part in text


def test_the_message_reproduces_the_failure():
    error = failure(linear(M, 2 * M), X / 3, seed=5)
    program = str(error).split("Reproduce it with")[1]
    program = re.sub(r"^ {4}", "", program, flags=re.MULTILINE)
    program = re.sub(r"^f = .*$", "", program, flags=re.MULTILINE)
    with pytest.raises(GradientMismatch) as again:
        exec(program, {"f": linear(M, 2 * M)})
    assert again.value.numeric == error.numeric
    assert again.value.analytic == error.analytic


def test_a_wrong_second_order_is_told_from_a_wrong_first():
    @mg.custom_gradient
    def f(x):
        y = mg.stop_gradient(x)
        return np.sin(x), lambda g: g * np.cos(y)

    assert check_grads(f, X, order=1).verdict is Verdict.PASS
    error = failure(f, X)
    assert error.order == 2
    assert "derivative of order 2" in str(error)
    assert "in the derivative of the gradient of argument 0 (x)[" in str(error)
    assert error.analytic == 0


def test_a_wrong_derivative_of_the_cotangent_is_found():
    @mg.custom_gradient
    def f(x):
        return 2.0 * x, lambda g: 2.0 * mg.stop_gradient(g)

    assert failure(f, X).argument == "the cotangent"


def test_a_gradient_that_changes_under_a_tape_is_found():
    @mg.custom_gradient
    def f(x):
        return 2.0 * x, lambda g: g * (2.02 if STATE.get().tapes else 2.0)

    with pytest.raises(GradientMismatch, match="when it is recorded on a tape"):
        check_grads(f, X)


def test_a_rule_that_loses_precision_in_float32_is_found():
    @mg.custom_gradient
    def f(x):
        def back(g):
            return (g * np.exp(x) + 1e6) - 1e6

        return np.exp(x), back

    assert check_grads(f, X, order=1).verdict is Verdict.PASS
    error = failure(f, X.astype(np.float32), order=1)
    assert error.pattern == "precision lost in a rule"


# -- beside others ---------------------------------------------------------------------------------


def test_seeds_reproduce_and_differ():
    def f(x):
        return mg.stop_gradient(np.exp(x)) * x

    x = np.linspace(0.5, 1.0, 600)
    numbers = [failure(f, x, seed=seed, order=1).numeric for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_open_tapes_see_nothing_of_the_check():
    with mg.GradientTape() as tape:
        check_grads(np.sin, X)
    assert not tape.nodes


def test_it_works_inside_no_grad():
    with mg.no_grad():
        assert check_grads(np.sin, X).verdict is Verdict.PASS


def test_threads_do_not_disturb_each_other():
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda seed: check_grads(np.tanh, X, seed=seed), range(8)))
    assert all(report.verdict is Verdict.PASS for report in reports)


def test_higher_orders():
    assert check_grads(lambda x: x**3, np.array([0.5, 2.0]), order=3).verdict is Verdict.PASS


@pytest.mark.parity
@pytest.mark.parametrize("factor", [1.0, 1.01, -1.0, 0.0])
@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda x: x * x * x, lambda g, x, y: g * 3.0 * x * x),
        (lambda x: 1.0 / (x * x + 1.0), lambda g, x, y: g * -2.0 * x * y * y),
        (lambda x: x @ x, lambda g, x, y: 2.0 * g * x),
        (lambda x: x[0] * x[1] + x, lambda g, x, y: g + g.sum() * x[[1, 0, 2]] * (x != x[2])),
    ],
)
def test_torch_agrees_on_which_gradients_are_right(value, slope, factor):
    torch = pytest.importorskip("torch")

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = value(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return slope(g, x, y) * factor

    @mg.custom_gradient
    def ours(x):
        y = value(x)
        return y, lambda g: slope(g, x, y) * factor

    theirs = torch.autograd.gradcheck(
        Function.apply, (torch.tensor(X, requires_grad=True),), raise_exception=False
    )
    try:
        check_grads(ours, X, order=1)
        passes = True
    except GradientMismatch:
        passes = False
    assert passes == theirs == (factor == 1.0)


# -- more functions that are none ------------------------------------------------------------------


@pytest.mark.parametrize("calls", [5, 30, 55])
def test_a_function_that_changes_later_is_no_gradient_mismatch(calls):
    """It looks deterministic at first; then it doubles, or has been used up."""
    made = []

    def f(x):
        made.append(1)
        return x * (2.0 if len(made) > calls else 1.0)

    with pytest.raises(RuntimeError, match="f: is not deterministic"):
        check_grads(f, X)


@pytest.mark.parametrize("seed", range(5))
def test_rare_randomness_is_no_gradient_mismatch(seed):
    generator = np.random.default_rng(seed)

    def f(x):
        return x * (0.0 if generator.random() < 0.25 else 1.0)

    with pytest.raises(RuntimeError, match="f: is not deterministic"):
        check_grads(f, X)


def test_a_function_that_tries_to_write_is_called_so():
    def f(x):
        x.numpy()[0] = 1.0
        return x

    with pytest.raises(RuntimeError, match="f: tried to write into an array that is read-only"):
        check_grads(f, X)


def test_a_module_with_other_arguments_is_called_so():
    with pytest.raises(TypeError, match=r"Linear: takes \(x.*was given 0 arguments"):
        check_grads(nn.Linear(3, 2))


def test_a_module_that_has_not_seen_a_batch_is_called_so():
    layer = nn.LazyLinear(2, dtype=np.float64)
    with pytest.raises(ValueError, match="weight, bias have no values before the first batch"):
        check_grads(layer, X[None])
    layer(mg.tensor(X[None]))
    check_grads(layer, X[None])


def test_a_function_that_changes_a_list_is_called_so():
    def f(parts):
        return parts.pop() * 2.0

    with pytest.raises(RuntimeError, match="changed a list or dict"):
        check_grads(f, [X, X])


def test_a_function_that_writes_into_an_index_array_is_called_so():
    def f(x, index):
        y = x[index]
        index[0] = 0
        return y

    with pytest.raises(RuntimeError, match=r"wrote into argument 1 \(index\)"):
        check_grads(f, X, np.array([2, 1]))


def test_integers_alone_cannot_be_checked():
    with pytest.raises(TypeError, match="no floating-point argument, only int64"):
        check_grads(lambda x: x, np.arange(3))
    with pytest.raises(TypeError, match="no floating-point argument, only complex128"):
        check_grads(lambda x: x, X * 1j)


def test_an_integer_result_has_no_gradient():
    with pytest.raises(TypeError, match="no floating-point tensor"):
        check_grads(np.argmax, X)


def test_a_point_outside_the_domain_is_called_so():
    with pytest.raises(ValueError, match="not finite"):
        check_grads(np.log, np.array([1.0, -1.0]))


def test_an_order_below_1_is_refused():
    with pytest.raises(ValueError, match="order"):
        check_grads(np.sin, X, order=0)


@pytest.mark.parametrize("options", [{"order": 1.5}, {"order": "2"}, {"seed": 0.5}, {"seed": None}])
def test_options_that_are_no_integers_are_refused(options):
    with pytest.raises(TypeError, match=f"^check_grads: {next(iter(options))} must be an int, got"):
        check_grads(np.sin, X, **options)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        check_grads(np.sin, X, seed=-1)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="f must be a function"):
        check_grads(X, X)


def test_an_error_inside_the_function_comes_through():
    def f(x):
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        check_grads(f, X)


# -- ill-conditioned matrices ----------------------------------------------------------------------


def ill_conditioned(condition, seed, shape=(4, 4)):
    """A matrix whose singular values fall evenly, on a scale of logarithms, from 1."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal(shape))
    v, _ = np.linalg.qr(rng.standard_normal(shape[1:] * 2))
    return (u * np.geomspace(1.0, 1.0 / condition, shape[1])) @ v.T


B = np.array([0.5, -1.2, 0.8, 1.5, -0.4])
INVERSES = {
    "pinv": lambda x: np.linalg.pinv(x),
    "tall pinv": lambda x: np.linalg.pinv(x),
    "inv": lambda x: np.linalg.inv(x),
    "solve": lambda x: np.linalg.solve(x, B[:4]),
    "lstsq": lambda x: np.linalg.lstsq(x, B, rcond=None)[0],
    "cholesky": lambda x: np.linalg.cholesky(x @ x.T),
}


def matrix_for(name, condition, seed):
    """For the Cholesky factor of its square, the root of the condition."""
    shape = (5, 3) if name in ("tall pinv", "lstsq") else (4, 4)
    return ill_conditioned(condition**0.5 if name == "cholesky" else condition, seed, shape)


@pytest.mark.parametrize("condition", [pytest.param(5e3, marks=pytest.mark.slow), 1e5])
@pytest.mark.parametrize("name", INVERSES)
def test_rounding_is_no_mistake_of_the_rule(name, condition):
    for seed in range(4):
        x = matrix_for(name, condition, seed)
        assert check_grads(INVERSES[name], x, seed=seed).verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["pinv", "tall pinv", "lstsq"])
def test_where_rounding_leaves_no_digits_nothing_is_refuted(name):
    for seed in range(2):
        with suppress(GradientInconclusive):
            assert check_grads(INVERSES[name], matrix_for(name, 1e7, seed), seed=seed).inconclusive


@pytest.mark.parametrize("condition", [pytest.param(5e3, marks=pytest.mark.slow), 1e5])
@pytest.mark.parametrize("name", INVERSES)
def test_rounding_excuses_no_wrong_rule(name, condition):
    """One percent too much, in the gradient or only in the gradient of the gradient."""
    f = INVERSES[name]

    def wrong(order):
        @mg.custom_gradient
        def scaled(y):
            return y * 1.0, lambda g: times(g * 1.01 if order == 1 else g)

        @mg.custom_gradient
        def times(g):
            return g * 1.0, lambda h: h * (1.01 if order == 2 else 1.0)

        return lambda x: scaled(f(x))

    x = matrix_for(name, condition, 0)
    for order in (1, 2):
        with pytest.raises(GradientMismatch) as caught:
            check_grads(wrong(order), x)
        assert caught.value.order == order
