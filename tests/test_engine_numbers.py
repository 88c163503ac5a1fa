"""Small parts of the engine, one by one: what they take, give and refuse at their limits."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine import numpy_protocol, settings, tensor
from minigrad.engine.node import ASSIGNED, Scope
from minigrad.engine.printable import shown_settings

# -- arguments of operators ------------------------------------------------------------------------


def test_a_tracked_setting_is_refused_beside_any_other():
    """Also after a shape, and in a list: no gradient flows through it."""
    x, t = mg.ones((2, 3)), mg.tensor(1.0, requires_grad=True)
    for call in (
        lambda: mg.sum(x, (0, 1), t),
        lambda: mg.transpose(x, [t, 0]),
        lambda: mg.concatenate([x, x], [t]),
        lambda: mg.concatenate([x, x], (t,)),
    ):
        with pytest.raises(TypeError, match="is a setting, through which no gradient flows"):
            call()


def test_a_list_that_is_given_as_a_setting_may_be_changed_afterwards():
    x = mg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    order = [1, 0]
    y = mg.transpose(x, order)
    order[:] = [0, 1]
    y.backward(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(x.grad.numpy(), np.arange(6.0).reshape(3, 2).T)


def test_arrays_in_an_index_may_be_changed_afterwards():
    x = mg.tensor(np.zeros((2, 2)), requires_grad=True)
    places = np.array([0, 1])
    y = x[places, places]
    z = x[places]
    places[:] = [1, 0]
    y.backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    x.grad = None
    z.backward(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert x.grad.tolist() == [[1.0, 2.0], [3.0, 4.0]]


# -- NumPy's protocols -----------------------------------------------------------------------------


def test_call_function_passes_two_arguments_by_name_where_their_order_differs():
    x = mg.tensor([1.0, np.nan])
    assert np.nan_to_num(x, True).tolist() == [1.0, 0.0]
    assert np.nan_to_num(x, True, 2.0).tolist() == [1.0, 2.0]
    assert np.nan_to_num(x, nan=3.0).tolist() == [1.0, 3.0]


def test_call_function_finds_what_is_loaded_on_demand(monkeypatch):
    x = np.arange(6.0).reshape(2, 3) ** 2
    fewer = {f: ours for f, ours in numpy_protocol.NUMPY.items() if f not in (np.cov, np.median)}
    monkeypatch.setattr(numpy_protocol, "NUMPY", fewer)
    np.testing.assert_allclose(np.cov(mg.tensor(x)).numpy(), np.cov(x))
    np.testing.assert_allclose(np.median(mg.tensor(x), axis=1).numpy(), np.median(x, axis=1))

    fewer = {f: ours for f, ours in numpy_protocol.NUMPY.items() if f is not np.hypot}
    monkeypatch.setattr(numpy_protocol, "NUMPY", fewer)
    t = mg.tensor(3.0, requires_grad=True)
    np.hypot(t, 4.0).backward()
    assert t.grad.item() == pytest.approx(0.6)


def test_where_of_one_array_is_nonzero():
    (places,) = np.where(mg.tensor([0.0, 2.0, 3.0]))
    assert places.tolist() == [1, 2]


# -- tensors ---------------------------------------------------------------------------------------


def test_only_whole_numbers_without_axes_are_an_index():
    assert [5, 6, 7][mg.tensor(np.array(1))] == 6
    for wrong in (mg.tensor(1.0), mg.tensor([1]), mg.tensor(np.array([1.0])), mg.tensor(True)):
        with pytest.raises(
            TypeError, match=r"only an integer tensor of shape \(\) is an index, got"
        ):
            [5, 6, 7][wrong]


def test_more_than_200_elements_are_not_shown():
    assert "..." not in repr(mg.zeros(200))
    assert "..." in repr(mg.zeros(201))


def test_a_cotangent_is_rounded_to_the_dtype_of_its_tensor_first():
    rng = np.random.default_rng(0)
    a, g = rng.normal(size=(2, 1000))
    x = mg.tensor(np.ones(1000, np.float32), requires_grad=True)
    (x * a.astype(np.float32)).backward(g)
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), g.astype(np.float32) * a.astype(np.float32))
    x.grad = None
    (x * a.astype(np.float32)).backward(mg.tensor(g.astype(np.float32)))
    np.testing.assert_array_equal(x.grad.numpy(), g.astype(np.float32) * a.astype(np.float32))


def test_the_cotangent_that_passes_share_cannot_be_written_to():
    ones = tensor._ones((2,), np.dtype(np.float32))
    assert (ones.tolist(), ones.flags.writeable) == ([1.0, 1.0], False)


def test_size_says_which_length_was_asked_for():
    x = mg.ones((2, 3))
    for axis, told in (((), "x.shape"), ((1,), r"x.shape\[1\]"), ((0, 1), r"x.shape\[0\]")):
        with pytest.raises(TypeError, match=rf"not a method; write {told}$"):
            x.size(*axis)


# -- transforms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [3.0, [1.0, 2.0], np.ones(2)])
def test_a_function_to_differentiate_returns_tensors(result):
    x = np.ones(2)
    for call in (
        lambda: mg.vjp(lambda x: result, x),
        lambda: mg.jacobian(lambda x: result)(x),
    ):
        with pytest.raises(TypeError, match="the function must return a tensor, got"):
            call()


# -- what annotations allow ------------------------------------------------------------------------


def test_nan_is_no_number_whatever_the_range():
    @settings.checked()
    def take(x: float = 0.0, pair: tuple[float, float] = (0.0, 0.0)) -> tuple[Any, ...]:
        return x, pair

    assert take(3, (1, np.inf)) == (3, (1, np.inf))
    for given in ({"x": math.nan}, {"pair": (1.0, math.nan)}, {"x": np.float32("nan")}):
        with pytest.raises(ValueError, match=r"take: (x|pair) must be a number, got NaN"):
            take(**given)


def test_kinds_of_tuples():
    (kind,) = settings._tuple_of((int,))
    assert (kind.take((3,)), kind.take([3]), kind.length) == ((3,), (3,), 1)
    assert kind.words == "a tuple of 1 values, each an int"
    for wrong in ((3, 4), (), 3, ("a",), (1.5,)):
        assert kind.take(wrong) is settings.UNFIT
    (kind,) = settings._tuple_of((int, Ellipsis))
    assert (kind.take((3, 4, 5)), kind.take(()), kind.length) == ((3, 4, 5), (), None)
    assert kind.words == "a tuple of several values, each an int"
    assert kind.take((3, "a")) is settings.UNFIT
    (kind,) = settings._tuple_of((int, str))
    assert kind.take((3, "a")) == (3, "a")
    assert kind.take((3, 4)) is kind.take(("a", 3)) is settings.UNFIT
    assert not kind.choices


def test_kinds_of_iterables():
    kind = settings._iterable(list, (str,))
    assert kind.words == "a list of which each is a string"
    assert kind.take(["a", "b"]) == ["a", "b"]
    for wrong in (["a", 1], "ab", b"ab", 3, {"a": 1}, [["a"]]):
        assert kind.take(wrong) is settings.UNFIT
    kind = settings._iterable(list, (str | Callable,))
    assert kind.words == "a list of which each is a string"
    assert kind.take(["a", len]) == ["a", len]
    assert kind.take(["a", 1]) is settings.UNFIT
    for kind in (settings._iterable(list, ()), settings._iterable(list, (tuple[int, ...],))):
        assert kind.words == "a list"
        assert kind.take(["a", 1]) == ["a", 1]


def test_arrays_of_more_than_8_elements_are_told_by_their_shape():
    assert settings._short(np.zeros((2, 4))) == repr(np.zeros((2, 4)))
    assert settings._short(np.zeros(9)) == "ndarray of shape (9,)"


def _inside(body):
    """A function that the library itself could have."""
    names = {"__name__": "minigrad.made"}
    exec(f"def made(x: int = 0):\n    {body}", names)
    return settings.checked()(names["made"])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ValueError('x is too large')", "made: x is too large"),
        ("TypeError('Tensor: no x')", "made: no x"),
        ("ValueError('conv2d: x is too large')", "conv2d: x is too large"),
        ("ValueError('conv2d in block.0: x')", "conv2d in block.0: x"),
        ("KeyError('x')", "'x'"),
        ("ValueError()", "made: "),
    ],
)
def test_told_errors_are_named_once(error, words):
    with pytest.raises((ValueError, TypeError, KeyError)) as raised:
        _inside(f"raise {error}")()
    assert str(raised.value) == words


# -- cotangents, tapes, methods and blocks ---------------------------------------------------------


def test_a_cotangent_is_summed_over_the_axes_that_its_input_lacks_or_repeats():
    g = np.arange(10.0).reshape(2, 5, 1)
    for shape in ((1, 1), (5, 1), (1, 5, 1), (2, 1, 1), (1,), ()):
        x = mg.tensor(np.ones(shape), requires_grad=True)
        (x * g).sum().backward()
        assert x.grad.shape == shape
        np.testing.assert_array_equal(
            x.grad.numpy(), mg.grad(lambda t, shape=shape: (mg.broadcast_to(t, g.shape) * g).sum())(
                np.ones(shape)
            )
        )  # fmt: skip
        assert x.grad.numpy().sum() == g.sum()


def test_a_graph_that_is_used_up_is_named_with_its_module_if_it_has_one():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"what (sum|multiply) kept for the backward pass"):
        y.backward()
    model = mg.nn.Sequential(mg.nn.Linear(2, 1))
    y = model(np.ones((1, 2), np.float32)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"what linear in \S*0 kept|what sum kept"):
        y.backward()


def test_leaves_that_a_tape_has_used_are_those_that_are_trained_or_watched():
    x, c, other = mg.tensor(1.0, requires_grad=True), mg.tensor(2.0), mg.tensor(3.0)
    with mg.GradientTape() as outer:
        outer.watch(other)
        with mg.GradientTape() as tape:
            tape.watch(c)
            _ = (x * c) * (x + other) * 2.0
    assert [*map(id, tape.watched_variables())] == [id(c), id(x)]


def test_methods_have_the_defaults_of_their_functions():
    a = np.arange(9.0).reshape(3, 3)
    t = mg.tensor(a)
    np.testing.assert_array_equal(t.diagonal(), a.diagonal())
    np.testing.assert_array_equal(t.transpose((1, 0)), a.T)
    np.testing.assert_array_equal(t.transpose(1, 0), a.T)
    assert mg.ones((2, 3)).flatten(-1).shape == (2, 3)
    assert mg.ones((2, 3, 4)).transpose(0, 2, 1).shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"x.swapaxes\(0, 1\) exchanges two"):
        mg.ones((2, 3, 4)).transpose(0, 1)


def test_a_scope_of_gradients_says_so():
    assert Scope("fc", order=1) == "fc (gradient)"
    assert Scope("", order=1) == "the gradient"
    assert Scope("fc") == "fc"


@pytest.mark.parametrize("returned", [(1.0,), (1.0, 2.0), (1.0, len, 3.0), [1.0, len], 1.0])
def test_custom_gradient_needs_a_value_and_a_function(returned):
    with pytest.raises(TypeError, match=r"returns \(value, grad\)"):
        mg.custom_gradient(lambda x: returned)(mg.tensor(1.0))


def test_settings_are_shown_where_they_are_not_the_defaults():
    class Made:
        def __init__(self, betas=(0.5, 0.25), names=()):
            self.betas, self.names = betas, names

    assert shown_settings(Made()) == "Made()"
    assert shown_settings(Made(tuple([0.5, 0.25]))) == "Made()"  # noqa: C409 (equal, another one)
    assert shown_settings(Made((0.5, 0.5))) == "Made(betas=(0.5, 0.5))"
    assert shown_settings(Made(names=[1] * 8)) == "Made(names=[1, 1, 1, 1, 1, 1, 1, 1])"
    for n in (9, 30):
        assert shown_settings(Made(names=[np.ones(2)] * n)) == "Made(names=<list>)"


def test_checkpoint_needs_tensors():
    with pytest.raises(TypeError, match="checkpoint: the function must return tensors, got float"):
        mg.checkpoint(lambda x: (x, 1.0), mg.tensor(1.0, requires_grad=True))


def test_what_checkpoint_noted_of_assignments_is_gone_after_it():
    x = mg.tensor(2.0, requires_grad=True)
    mg.checkpoint(lambda x: x * x, x).backward()
    assert ASSIGNED.get() == ()
