"""Drawn arrays keep what they promise, also after shrinking; and property tests made of them."""

import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.testing import GradientInconclusive, GradientMismatch, given_grads, strategies as some

fixed = hypothesis.settings(deadline=None, max_examples=50)


def gaps(x):
    return np.diff(np.sort(x, axis=None))


def simplest(strategy, wanted=lambda x: True):
    return hypothesis.find(strategy, wanted)


# -- what each strategy promises -------------------------------------------------------------------


@fixed
@given(some.separated((3, 4)))
def test_separated_arrays_have_no_ties(x):
    assert x.shape == (3, 4)
    assert np.min(gaps(x)) >= 4 / 24 - 1e-12


@fixed
@given(some.away_from([0.0, 1.0], (20,), margin=0.2))
def test_arrays_keep_away_from_points(x):
    assert np.min(np.abs(x)) >= 0.2 - 1e-12
    assert np.min(np.abs(x - 1)) >= 0.2 - 1e-12
    assert np.max(np.abs(x)) <= 2


@fixed
@given(some.away_from(0.0, (20,), margin=0.2, distinct=True))
def test_arrays_can_keep_away_from_points_and_each_other(x):
    assert np.min(np.abs(x)) >= 0.2 - 1e-12
    assert np.min(gaps(x)) > 0.05


def test_nothing_left_of_the_interval_is_an_error():
    with pytest.raises(ValueError, match="nothing is left"):
        some.away_from(0.0, low=-0.1, high=0.1, margin=0.2)


@fixed
@given(some.positive((5,), dtype=np.float32))
def test_positive_arrays_are_positive(x):
    assert x.dtype == np.float32
    assert np.min(x) >= np.float32(0.2)


@fixed
@given(some.positive_definite(batch=(2,)))
def test_positive_definite_matrices_are_so(m):
    assert np.array_equal(m, np.swapaxes(m, -1, -2))
    assert np.min(np.linalg.eigvalsh(m)) > 0.4


@fixed
@given(some.broadcastable(3, shape=some.shapes(max_dims=3)))
def test_broadcastable_arrays_broadcast(xs):
    assert len(xs) == 3
    result = np.broadcast_shapes(*(x.shape for x in xs))
    assert any(x.shape == result for x in xs)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda xs: xs[0].ndim != xs[1].ndim,
        lambda xs: any(1 in x.shape and x.size > 1 for x in xs),
        lambda xs: any(x.size == 0 for x in xs),
        lambda xs: all(x.ndim == 0 for x in xs),
        lambda xs: xs[0].shape[:1] == (1,) and xs[1].shape[:1] > (1,),
    ],
)
def test_broadcastable_arrays_come_in_all_kinds(wanted):
    assert wanted(simplest(some.broadcastable(2), wanted))


@fixed
@given(some.non_contiguous(some.separated(some.shapes(min_dims=1, min_side=2))))
def test_views_are_not_contiguous_and_hold_the_same_numbers(x):
    assert not x.flags.c_contiguous
    assert np.min(gaps(x)) > 0


@fixed
@given(some.indices(4, (3,)))
def test_indices_are_valid_and_repeat(index):
    np.arange(4)[index]
    assert index[0] % 4 == index[-1] % 4


def test_shapes_are_also_empty_and_0d():
    assert simplest(some.shapes(), lambda s: 0 in s).count(0) == 1
    assert simplest(some.shapes()) == ()


# -- shrinking -------------------------------------------------------------------------------------


def test_shrinking_stays_away_from_zero_and_from_ties():
    x = simplest(some.arrays((6,)))
    assert np.min(np.abs(x)) > 0.05
    assert np.min(gaps(x)) > 0.05
    assert np.any(np.diff(x) > 0)
    assert np.any(np.diff(x) < 0)


def test_shrinking_separated_arrays_does_not_sort_them():
    x = simplest(some.separated((6,)))
    assert np.any(np.diff(x) > 0)
    assert np.any(np.diff(x) < 0)


# -- property tests --------------------------------------------------------------------------------


@given_grads(some.away_from(0.0), settings=fixed)
def test_pytest_runs_a_property_test(x):
    return np.abs(x) * x


def test_a_right_gradient_passes():
    @given_grads(some.broadcastable(2), settings=fixed)
    def product(pair):
        x, y = pair
        return x * y

    product()


def test_arguments_are_given_by_position_and_by_name():
    @given_grads(some.arrays((3,)), y=some.positive((3,)), settings=fixed)
    def ratio(x, y):
        return x / y

    ratio()


@pytest.mark.slow
def test_a_wrong_gradient_is_found_and_named():
    @given_grads(some.away_from(0.0, (3,)), settings=fixed)
    def wrong(x):
        return x * mg.stop_gradient(x)

    with pytest.raises(GradientMismatch, match="off by a factor 1/2"):
        wrong()


@pytest.mark.slow
def test_a_mistake_for_negative_numbers_only_is_found():
    @given_grads(some.away_from(0.0, (4,)), settings=fixed)
    def wrong(x):
        return np.where(x._data < -1.5, mg.stop_gradient(x), x)

    with pytest.raises(GradientMismatch, match="wrong          1 of 4"):
        wrong()


def test_index_arrays_are_held_constant():
    @given_grads(some.arrays((4,)), some.indices(4), settings=fixed)
    def take(x, index):
        return x[index]

    take()


def test_a_function_that_nothing_can_be_said_about_is_undecided():
    @given_grads(some.away_from(0.0, (2,)), order=1, settings=fixed)
    def coarse(x):
        return np.abs(x) + 1e13

    with pytest.raises(GradientInconclusive):
        coarse()


def test_a_strategy_is_needed_for_each_parameter():
    with pytest.raises(TypeError, match=r"takes \(x, y\)"):

        @given_grads(some.arrays())
        def add(x, y):
            return x + y


def test_the_checker_itself_works_without_hypothesis():
    program = """
import sys
sys.modules["hypothesis"] = None
import numpy as np, minigrad as mg
mg.testing.check_grads(np.sin, 1.0)
try:
    mg.testing.given_grads
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install hypothesis" in done.stdout


def test_importing_minigrad_does_not_import_hypothesis():
    program = "import sys, minigrad; print('hypothesis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# -- wrong arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: some.arrays((-1,)), ValueError, "shape must not have negative lengths"),
        (lambda: some.arrays((2.5,)), TypeError, "shape must be a tuple of ints, or a strategy"),
        (lambda: some.arrays((3,), low=2), ValueError, "arrays: low must be less than high"),
        (lambda: some.arrays(high=np.inf), ValueError, "arrays: low must be less than high"),
        (lambda: some.arrays(low=np.nan), ValueError, "arrays: low must be less than high"),
        (lambda: some.arrays(high=1e6, dtype=np.float16), ValueError, "be float16 numbers"),
        (lambda: some.arrays(dtype=int), TypeError, "arrays: dtype must be one of floats, got int"),
        (lambda: some.arrays(dtype=complex), TypeError, "dtype must be one of floats, got complex"),
        (lambda: some.separated(low=1.0, high=1.0), ValueError, "separated: low must be less"),
        (lambda: some.positive(low=5.0), ValueError, "positive: low must be less than high"),
        (lambda: some.away_from(0.0, margin=-1.0), ValueError, "a positive margin"),
        (lambda: some.away_from(np.nan), ValueError, "expected finite points"),
        (lambda: some.positive_definite(-1), ValueError, "n must be 0 or more"),
        (lambda: some.positive_definite(2.0), TypeError, "n must be an int or a SearchStrategy"),
        (lambda: simplest(some.broadcastable(0)), ValueError, "count must be at least 1"),
        (lambda: simplest(some.indices(2.5)), TypeError, "indices: length must be an int"),
    ],
)
def test_strategies_refuse_what_cannot_be_drawn(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_shapes_may_be_lists_and_single_lengths():
    assert simplest(some.arrays([3, 2])).shape == (3, 2)
    assert simplest(some.arrays(np.int64(3))).shape == (3,)


@fixed
@given(some.away_from([5.0, -7.0, 1.9], (10,), margin=3.0, low=-6.0, high=3.0))
def test_points_outside_do_not_widen_the_interval(x):
    assert np.min(x) >= -4 - 1e-12
    assert np.max(x) <= -1.1 + 1e-12


@fixed
@given(some.non_contiguous(some.arrays(())))
def test_a_single_number_keeps_its_shape(x):
    assert x.shape == ()


@pytest.mark.parametrize(
    ("decorate", "words"),
    [
        (lambda: given_grads(lambda x: x), "expected a strategy for each parameter"),
        (lambda: given_grads(np.ones(3)), "expected a strategy for each parameter"),
        (lambda: given_grads(some.arrays())(3), "expected a function, got int"),
        (lambda: given_grads(some.arrays(), x=some.arrays())(lambda x, y: x), "give one for each"),
        (lambda: given_grads(y=some.arrays())(lambda x, y=1.0: x), "give one for each"),
        (lambda: given_grads(some.arrays())(lambda x, *, k: x), "give one for each"),
    ],
)
def test_what_does_not_fit_the_function_is_refused_at_once(decorate, words):
    with pytest.raises(TypeError, match=f"^given_grads: .*{words}"):
        decorate()


def test_parameters_may_keep_their_defaults():
    vectors = some.arrays((3,))
    given_grads(vectors, settings=fixed)(np.sin)()
    given_grads(vectors, settings=fixed)(lambda x, k=2.0: x * k)()
    given_grads(vectors, settings=fixed)(mg.nn.Tanh())()


def test_a_failure_of_a_lambda_is_told():
    with pytest.raises(RuntimeError, match="not deterministic"):
        given_grads(some.arrays((3,)), settings=fixed)(lambda x: x * mg.randn(3))()
