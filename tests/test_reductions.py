"""dtype=, where= and initial= of reductions: NumPy's values, and gradients of the chosen elements."""

import inspect
import warnings

import numpy as np
import pytest

import minigrad as mg

MASK = np.array([[True, False, True], [True, True, False]])
#: Whole rows and columns without an element, and a mask that broadcasts.
EMPTY_ROW = np.array([[False, False, False], [True, True, True]])
OVER = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 1)}]
NAMES = ("sum", "prod", "mean", "var", "std", "max", "min")
EXTREMES = ("max", "min")
X = np.array([[0.5, -1.5, 2.5], [3.0, 1.25, -0.75]])


def settings(name):
    """Everything that NumPy's function of this name takes besides the axes."""
    first = {"initial": 0.4} if name in EXTREMES else {}
    yield {"where": MASK, **first}
    yield {"where": MASK[:1], **first}
    if name in ("sum", "prod", *EXTREMES):
        yield {"initial": 1.5}
        yield {"initial": 1.5, "where": EMPTY_ROW}
    if name in ("var", "std"):
        yield {"where": MASK, "ddof": 1}
    if name not in EXTREMES:
        yield {"dtype": np.float32}
        yield {"dtype": np.float32, "where": MASK}


CASES = [(name, {**over, **given}) for name in NAMES for over in OVER for given in settings(name)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is left
@pytest.mark.parametrize(("name", "given"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_values_are_numpys_and_gradients_are_proven(name, given):
    expected = getattr(np, name)(X, **given)
    for function in (getattr(mg, name), getattr(np, name)):
        found = function(mg.tensor(X), **given)
        assert found.shape == np.shape(expected)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    if "dtype" not in given and np.isfinite(expected).all():
        mg.testing.check_grads(lambda x: getattr(mg, name)(x, **given), X)
    method = getattr(mg.tensor(X), name)(**given)
    np.testing.assert_array_equal(method.numpy(), found.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_elements_that_are_left_out_do_not_matter(name):
    first = {"initial": -9.0 if name == "max" else 9.0} if name in EXTREMES else {}
    x = X.copy()
    x[~MASK] = np.nan
    t = mg.tensor(x, requires_grad=True)
    y = getattr(mg, name)(t, where=MASK, **first)
    y.backward()
    np.testing.assert_allclose(y.numpy(), getattr(np, name)(X, where=MASK, **first), rtol=1e-12)
    assert np.isfinite(t.grad.numpy()).all()
    assert (t.grad.numpy()[~MASK] == 0).all()


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_the_initial_value_has_a_gradient(name):
    mg.testing.check_grads(
        lambda x, first: getattr(mg, name)(x, axis=0, initial=first), X, np.array(2.0)
    )
    none = np.zeros((0, 2))
    found = getattr(mg, name)(none, axis=0, initial=3.0)
    np.testing.assert_array_equal(found.numpy(), getattr(np, name)(none, axis=0, initial=3.0))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_whole_numbers_are_added_in_the_dtype_that_is_asked_for(dtype):
    whole = np.array([100, 100, -3], np.int8)
    for name in ("sum", "prod"):
        found = getattr(mg, name)(mg.tensor(whole), dtype=dtype)
        expected = getattr(np, name)(whole, dtype=dtype)
        assert found.dtype == expected.dtype == dtype
        assert found.item() == expected.item()


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused_by_name(name):
    function = getattr(mg, name)
    with pytest.raises(ValueError, match=name):
        function(X, where=np.ones(5, bool), **({"initial": 1.0} if name in EXTREMES else {}))
    with pytest.raises(TypeError, match=f"{name}: where must hold booleans"):
        function(X, where=np.ones(3), **({"initial": 1.0} if name in EXTREMES else {}))
    with pytest.raises(TypeError):
        function(X, 0, 0, False, np.float32)
    assert {"where"} <= inspect.signature(function).parameters.keys()
    if name in EXTREMES:
        with pytest.raises(ValueError, match=f"{name}: where= needs initial="):
            function(X, where=MASK)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is left
@pytest.mark.parametrize("name", NAMES)
def test_all_or_nothing_may_be_chosen_by_a_single_truth(name):
    for where in (True, False, np.True_, np.False_):
        first = {} if where is True or name not in EXTREMES else {"initial": 0.4}
        for over in OVER:
            found = getattr(mg, name)(mg.tensor(X), where=where, **over, **first)
            expected = getattr(np, name)(X, where=where, **over, **first)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_deviation_of_equal_chosen_elements_has_gradient_zero():
    x = mg.tensor([[2.0, 5.0, 2.0], [1.0, 3.0, 7.0]], requires_grad=True)
    y = mg.std(x, axis=1, where=np.array([[True, False, True], [True, True, False]]))
    y.sum().backward()
    np.testing.assert_allclose(y.detach(), [0.0, 1.0])
    np.testing.assert_allclose(x.grad, [[0.0, 0.0, 0.0], [-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("name", ["var", "std"])
def test_without_degrees_of_freedom_the_gradient_is_nan(name):
    for ddof in (3, 3.5, 4, 5):
        x = mg.tensor([1.0, 2.0, 4.0], requires_grad=True)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(mg, name)(x, ddof=ddof).backward()
        assert np.isnan(x.grad.numpy()).all(), ddof


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is left
@pytest.mark.parametrize("name", ["var", "std"])
def test_chosen_elements_without_degrees_of_freedom_are_numpys(name):
    for ddof in (0, 1, 1.5, 2, 2.5, 3, 4):
        for axis in (0, 1, None):
            found = getattr(mg, name)(mg.tensor(X), axis=axis, ddof=ddof, where=MASK)
            expected = getattr(np, name)(X, axis=axis, ddof=ddof, where=MASK)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1, -2, (0, 1), (-1, -2), None])
def test_products_with_a_zero_among_the_factors(axis):
    x = np.array([[2.0, 0.0, 3.0], [1.5, 4.0, 0.0]])
    t = mg.tensor(x, requires_grad=True)
    mg.prod(t, axis=axis).sum().backward()
    for place in np.ndindex(x.shape):
        ends = []
        for step in (1.0, -1.0):
            moved = x.copy()
            moved[place] += step
            ends.append(np.prod(moved, axis=axis).sum())
        np.testing.assert_allclose(t.grad.numpy()[place], (ends[0] - ends[1]) / 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of rows that hold nothing else
def test_nan_reductions_leave_nan_out():
    x = np.array([[0.5, np.nan, -2.5], [np.nan, -1.25, 3.0], [np.nan] * 3, [-4.0, -3.0, -0.5]])
    names = ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin"]
    for name in (*names, "nancumsum", "nancumprod"):
        for axis in (0, 1, None):
            found = getattr(mg, name)(mg.tensor(x), axis=axis)
            expected = getattr(np, name)(x, axis=axis)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, err_msg=name)
