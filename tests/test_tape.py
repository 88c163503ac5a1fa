"""GradientTape and backward(): what belongs to a tape, and what they refuse."""

import array
import math
import operator
import re
import statistics
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine import tensor
from minigrad.engine.hooks import Hook
from minigrad.engine.node import FREED


def leaf(*values):
    return mg.tensor(np.array(values), requires_grad=True)


def test_the_lesson():
    x = mg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    with mg.GradientTape() as tape:
        y = x**3 + 2 * x + 5
    g = tape.gradient(y, x)
    assert g.tolist() == [5.0, 14.0, 29.0]
    assert g.dtype == np.float64


def test_a_spent_tape_raises():
    x = leaf(1.0)
    with mg.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(y, x)


def test_a_persistent_tape_gives_several():
    x = leaf(2.0)
    with mg.GradientTape(persistent=True) as tape:
        y = x * x
        z = y * y
    assert tape.gradient(z, x).item() == 32
    assert tape.gradient(y, x).item() == 4
    assert tape.gradient(z, y).item() == 8


def test_a_constant_must_be_watched():
    x = mg.tensor(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x).item() == 6
    with mg.GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, x) is None


def test_watching_ends_with_the_tape():
    x = mg.tensor(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
    assert not (x * x).requires_grad


def test_another_tapes_watched_tensor_is_a_constant():
    x = mg.tensor(3.0)
    with mg.GradientTape() as one, mg.GradientTape() as two:
        one.watch(x)
        y = x * x
    assert two.gradient(y, x) is None
    assert one.gradient(y, x).item() == 6


def test_what_ran_before_the_tape_is_constant():
    x = leaf(3.0)
    before = x * x
    with mg.GradientTape() as tape:
        y = before * x
    assert tape.gradient(y, x).item() == 9


def test_stopped_recording_is_constant():
    x = leaf(3.0)
    with mg.GradientTape() as tape:
        with tape.stop_recording():
            c = x * x
        y = c * x
    assert tape.gradient(y, x).item() == 9


def test_the_nesting_of_sources_comes_back():
    a, b = leaf(1.0), leaf(2.0)
    with mg.GradientTape() as tape:
        y = a * b
    g = tape.gradient(y, {"a": a, "rest": [b, (a,)]})
    assert g["a"].item() == 2
    assert g["rest"][0].item() == 1
    assert isinstance(g["rest"][1], tuple)


def test_unconnected_gradients():
    a, b = leaf(1.0), leaf(2.0, 3.0)
    with mg.GradientTape(persistent=True) as tape:
        y = a * a
    assert tape.gradient(y, b) is None
    assert tape.gradient(y, b, unconnected_gradients="zero").tolist() == [0, 0]
    with pytest.raises(ValueError, match="'none' or 'zero'"):
        tape.gradient(y, b, unconnected_gradients="zeros")


def test_several_targets_and_output_gradients():
    x = leaf(1.0, 2.0)
    with mg.GradientTape(persistent=True) as tape:
        y, z = x * x, 3 * x
    assert tape.gradient([y, z], x).tolist() == [5, 7]
    assert tape.gradient(y, x, output_gradients=np.array([1.0, 10.0])).tolist() == [2, 40]
    with pytest.raises(ValueError, match=r"\(3,\)"):
        tape.gradient(y, x, output_gradients=np.ones(3))


def test_tapes_nest_to_any_order():
    x = leaf(2.0)
    with mg.GradientTape() as t3, mg.GradientTape() as t2:
        with mg.GradientTape() as t1:
            y = x**4
        first = t1.gradient(y, x)
        second = t2.gradient(first, x)
    third = t3.gradient(second, x)
    assert [first.item(), second.item(), third.item()] == [32, 48, 48]


def test_a_gradient_inside_a_persistent_tape_is_recorded():
    x = leaf(2.0)
    with mg.GradientTape(persistent=True) as tape:
        y = x**3
        dy = tape.gradient(y, x)
    assert tape.gradient(dy, x).item() == 12


def test_perturbations_are_not_confused():
    f = mg.grad(lambda x: x * mg.grad(lambda y: x + y)(x))
    assert f(1.0).item() == 1.0


def test_watch_accessed_variables():
    a, b = leaf(1.0), leaf(2.0)
    with mg.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
        tape.watch(b)
        y = a * b
    assert tape.gradient(y, a) is None
    assert tape.gradient(y, b).item() == 1
    assert tape.watched_variables() == (b,)
    with mg.GradientTape() as tape:
        y = a * b
    assert tape.watched_variables() == (a, b)


@pytest.mark.parametrize("bad", [mg.tensor([1, 2]), np.ones(2), 3.0])
def test_only_floating_point_tensors_are_watched(bad):
    with mg.GradientTape() as tape, pytest.raises(TypeError, match="watch"):
        tape.watch(bad)


def test_jacobian_and_batch_jacobian():
    x = leaf(1.0, 2.0)
    with mg.GradientTape() as tape:
        y = mg.stack([x[0] * x[1], x[0] ** 2, x[1]])
    assert tape.jacobian(y, x).tolist() == [[2, 1], [2, 0], [0, 1]]
    x = mg.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    with mg.GradientTape() as tape:
        y = x * x
    expected = [np.diag(2 * row) for row in x.numpy()]
    np.testing.assert_array_equal(tape.batch_jacobian(y, x), expected)


def test_backward_accumulates_and_frees():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_a_diamond_is_passed_once_per_use():
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_gradients_share_memory_with_nothing():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.tensor(np.array([1.0, 1.0]))
    with mg.GradientTape() as tape:
        y = a + b
    ga, gb = tape.gradient(y, [a, b], output_gradients=seed)
    for one, other in ((ga, gb), (ga, seed), (gb, seed)):
        assert not np.shares_memory(one.numpy(), other.numpy())


def test_only_a_view_of_all_of_an_array_that_nobody_holds_is_alone():
    whole = np.ones(6)
    alone = tensor._is_alone(np.ones(6).reshape(2, 3).T)  # an assert would hold the array itself
    assert alone
    assert not tensor._is_alone(whole.reshape(2, 3))
    assert not tensor._is_alone(np.ones(6)[1:])
    assert not tensor._is_alone(np.broadcast_to(np.ones(1), (6,)))
    assert not tensor._is_alone(np.frombuffer(bytes(8)))
    views = [np.ones(6).reshape(2, 3)]
    views.append(views[0].base.reshape(3, 2))
    assert not any(map(tensor._is_alone, views))


def test_the_gradients_of_reshaped_leaves_share_memory_with_nothing():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.tensor(np.ones((2, 1)))
    (a.reshape(2, 1) + b.reshape(2, 1)).backward(seed)
    for one, other in ((a.grad, b.grad), (a.grad, seed), (b.grad, seed)):
        assert not np.shares_memory(one.numpy(), other.numpy())


def test_a_stale_graph_names_the_parameter():
    p = mg.nn.Parameter([2.0])
    layer = mg.nn.Module()
    layer.weight = p
    y = (p * p).sum()
    p.assign([3.0])
    with pytest.raises(RuntimeError, match="'weight'"):
        y.backward()
    y = (p + 1).sum()
    p.assign([4.0])
    y.backward()  # addition kept no value, so nothing is out of date
    assert p.grad.tolist() == [1]


def test_create_graph_gives_second_order_through_grad():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.backward()
    assert x.grad.item() == 12


def test_no_grad_records_nothing():
    x = leaf(2.0)
    with mg.no_grad():
        y = x * x
    assert not y.requires_grad


def test_a_used_tape_releases_what_was_kept():
    x = leaf(2.0)
    with mg.GradientTape() as tape:
        y = mg.exp(x)
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_a_mistaken_source_or_target_is_named():
    x = leaf(2.0)
    with mg.GradientTape(persistent=True) as tape:
        y = x * x
    with pytest.raises(TypeError, match="source must be a tensor, got float"):
        tape.gradient(y, 2.0)
    with pytest.raises(TypeError, match="target must be a tensor, got ndarray"):
        tape.gradient(y.numpy(), x)


@pytest.mark.parametrize("f", [np.multiply, np.matmul, np.power, np.maximum])
def test_a_stale_graph_is_refused_though_only_the_other_input_is_asked_for(f):
    x, p = leaf(1.0, 2.0), leaf(4.0, 5.0)
    with mg.GradientTape() as tape:
        y = f(x, p)
    p.assign([100.0, 100.0])
    with pytest.raises(RuntimeError, match="updated in place"):
        tape.gradient(y, x)


@pytest.mark.parametrize("f", [np.sum, np.ravel, lambda x: x[::-1], lambda x: x + 1])
def test_what_keeps_no_value_survives_an_update(f):
    p = leaf(1.0, 2.0)
    y = f(p).sum()
    p.assign([3.0, 4.0])
    y.backward()
    np.testing.assert_array_equal(p.grad.numpy(), [1.0, 1.0])


def test_threads_may_watch_the_same_constant():
    x = mg.tensor([3.0])
    watched, left = threading.Event(), threading.Event()
    found = []

    def late():
        with mg.GradientTape() as tape:
            tape.watch(x)
            watched.set()
            left.wait(10)
            y = x * x
        found.append(tape.gradient(y, x))

    thread = threading.Thread(target=late)
    thread.start()
    with mg.GradientTape() as tape:
        tape.watch(x)
        watched.wait(10)
    left.set()
    thread.join(10)
    np.testing.assert_array_equal(found[0].numpy(), [6.0])
    assert x._node is None


def test_a_closed_tape_knows_its_source_while_another_watches_it():
    x = mg.tensor(3.0)
    with mg.GradientTape() as first:
        first.watch(x)
        y = x * x
    with mg.GradientTape() as second:
        second.watch(x)
        g = first.gradient(y, x)
    assert g.item() == 6.0


def test_reset_makes_a_watched_tensor_a_constant_again():
    x = mg.tensor([1.0])
    with mg.GradientTape() as tape:
        tape.watch(x)
        tape.reset()
        np.testing.assert_array_equal(np.asarray(x), [1.0])  # raises for tracked tensors


@pytest.mark.parametrize(
    "ask",
    [
        lambda tape, y, x: tape.gradient(y, x, unconnected_gradients="zeros"),
        lambda tape, y, x: tape.gradient(y, 2.0),
        lambda tape, y, x: tape.gradient(None, x),
        lambda tape, y, x: tape.gradient(y, x, output_gradients=mg.ones(3)),
        lambda tape, y, x: tape.jacobian(y, "x"),
        lambda tape, y, x: tape.batch_jacobian(y, [x]),
    ],
)
def test_a_refused_call_does_not_use_the_tape_up(ask):
    x = leaf(3.0)
    with mg.GradientTape() as tape:
        y = x * x
    with pytest.raises((TypeError, ValueError)):
        ask(tape, y, x)
    assert tape.gradient(y, x).item() == 6.0


def test_no_grad_decorates_with_and_without_brackets():
    x = leaf(3.0)
    for decorate in (mg.no_grad, mg.no_grad()):
        assert not decorate(lambda x: x * x)(x).requires_grad
    assert (x * x).requires_grad


def test_a_derivative_is_taken_under_no_grad_too():
    p = leaf(5.0)
    x = mg.tensor(np.array([2.0]))

    def f(x):
        return (p * x**2).sum()

    with mg.GradientTape() as tape, mg.no_grad():
        value, g = mg.value_and_grad(f)(x)
        others = mg.jacobian(f)(x), mg.jvp(f, x, x)[1] / 2, mg.vjp(f, x)[1](1.0)[0]
        second = mg.hvp(f, x, x), mg.hessian(f)(x)
        assert not mg.is_recording()
    for one in (g, *others):
        np.testing.assert_array_equal(one.numpy(), [20.0])
    assert [one.item() for one in second] == [20.0, 10.0]
    assert not value.requires_grad
    assert tape.gradient(g, p) is None  # as all that ran under no_grad


def test_derivatives_of_nested_arguments_and_results():
    p = {"a": mg.tensor(2.0), "b": mg.tensor(3.0)}

    def f(p):
        return p["a"] ** 2 * p["b"]

    h = mg.hessian(f)(p)
    assert {k: {n: v.item() for n, v in row.items()} for k, row in h.items()} == {
        "a": {"a": 6.0, "b": 4.0},
        "b": {"a": 4.0, "b": 0.0},
    }
    product = mg.hvp(f, p, {"a": mg.tensor(1.0), "b": mg.tensor(2.0)})
    assert {k: v.item() for k, v in product.items()} == {"a": 14.0, "b": 4.0}
    both = mg.hessian(lambda a, b: a**2 * b, argnums=(0, 1))(2.0, 3.0)
    assert [[one.item() for one in row] for row in both] == [[6.0, 4.0], [4.0, 0.0]]
    with pytest.raises(ValueError, match="hvp: x has shapes"):
        mg.hvp(f, p, {"a": mg.tensor(1.0), "b": mg.ones(2)})
    with pytest.raises(TypeError, match="one tensor, got tuple"):
        mg.grad(lambda x: (x, x))(1.0)


# -- what would lose the gradient without a word ---------------------------------------------------


def number(value):
    return mg.tensor(np.array(value), requires_grad=True)


def written(target, index, value):
    target[index] = value
    return target


#: Ways in which a tensor turns into a number by itself, or is written into something else.
INTO_NUMBERS = {
    "float": float,
    "int": int,
    "complex": complex,
    "np.float64": np.float64,
    "np.float32": np.float32,
    "math.sqrt": math.sqrt,
    "math.floor": math.floor,
    "math.fsum": lambda t: math.fsum([t, t]),
    "statistics.fmean": lambda t: statistics.fmean([t, t]),
    "array.array": lambda t: array.array("d", [t]),
    "np.fromiter": lambda t: np.fromiter([t, t], float),
    "np.full": lambda t: np.full(2, t, float),
    "a.fill": lambda t: np.zeros(2).fill(t),
    "a += t": lambda t: operator.iadd(np.zeros(2), t),
    "np.put": lambda t: np.put(np.zeros(2), 0, t),
    "np.copyto": lambda t: np.copyto(np.zeros(2), t),
    "out=": lambda t: np.add(t, 1, out=np.zeros(())),
    "np.array([t])": lambda t: np.array([t]),
    "np.asarray": np.asarray,
    "np.array([t], float)": lambda t: np.array([t], float),
    "mg.tensor([t])": lambda t: mg.tensor([t]),
    "mg.full": lambda t: mg.full((2,), t),
    "[t] into an array": lambda t: written(np.zeros(2), [0, 1], [t, t]),
    "into flat": lambda t: written(np.zeros(2).flat, 0, t),
    "into a record": lambda t: written(np.zeros(2, [("a", float)]), 0, (t,)),
    **{
        f"{dtype.__name__} array[{index!r}]": (
            lambda t, dtype=dtype, index=index, shape=shape: written(
                np.zeros(shape, dtype), index, t
            )
        )
        for dtype in (float, np.float32, complex, int)
        for shape, index in [(2, 0), (2, (0,)), (2, [0]), (2, slice(None)), (2, ...), ((), ())]
    },
}
#: As plain numbers these work, outside of tapes.
FOR_LOGGING = [
    "float", "int", "complex", "np.float64", "math.sqrt", "math.floor", "math.fsum",
    "statistics.fmean", "array.array", "np.fromiter", "a.fill", "into flat", "into a record",
    "float array[0]", "float32 array[0]", "complex array[0]", "int array[0]",
    "float array[(0,)]", "float array[()]",
]  # fmt: skip


def followed_ways():
    """Each way to be followed: the tensor, inside what follows it."""

    def by_watching(use):
        with mg.GradientTape() as tape:
            t = mg.tensor(2.0)
            tape.watch(t)
            use(t)

    def by_result(use):
        t = number(2.0)
        with mg.GradientTape():
            use(t * 1.0)

    def by_leaf(use):
        t = number(2.0)
        with mg.GradientTape():
            use(t)

    def by_grad(use):
        mg.grad(lambda t: [use(t), t][1])(2.0)

    def by_jvp(use):
        mg.jvp(lambda t: [use(t * 1.0), t][1], 2.0, 1.0)

    def under_no_grad(use):
        with mg.no_grad():
            mg.grad(lambda t: [use(t), t][1])(2.0)

    def by_outer_tape(use):
        t = number(2.0)
        with mg.GradientTape():
            t = t * 1.0
            with mg.GradientTape():
                use(t)

    return [by_watching, by_result, by_leaf, by_grad, by_jvp, under_no_grad, by_outer_tape]


@pytest.mark.parametrize("follow", followed_ways())
@pytest.mark.parametrize("name", INTO_NUMBERS)
def test_a_followed_tensor_is_never_lost_in_a_number(name, follow):
    def use(t):
        with pytest.raises((TypeError, ValueError)) as caught:
            INTO_NUMBERS[name](t)
        # Where NumPy asks for a number, it says "setting an array element" because of our error.
        error = caught.value
        while type(error) is ValueError:
            error = error.__cause__
        if name != "into flat":  # where NumPy drops our error and raises one of its own
            assert type(error) is TypeError
            assert re.search(r"np\.stack|\.numpy\(\)|mg\.|np\.where", str(error))
        assert t.item() == 2.0
        assert (f"{t:.2f}", f"{t!s}"[:6], bool(t), round(t).item()) == ("2.00", "tensor", True, 2)

    follow(use)


@pytest.mark.parametrize("name", FOR_LOGGING)
def test_outside_of_tapes_it_is_a_number(name):
    t = number(2.0) * 1.0
    INTO_NUMBERS[name](t)
    with mg.GradientTape() as tape:
        INTO_NUMBERS[name](t)  # it was made before the tape opened, and is constant to it
        u = t * number(1.0)
        with tape.stop_recording():
            INTO_NUMBERS[name](u)
        with mg.no_grad():
            INTO_NUMBERS[name](u)
        INTO_NUMBERS[name](mg.stop_gradient(u))
    INTO_NUMBERS[name](u)


def test_the_error_names_the_way_out():
    with mg.GradientTape(), pytest.raises(TypeError, match=r"float: .*np\.stack.*t\.item\(\)"):
        float(number(2.0) * 2)
    with mg.GradientTape(), pytest.raises(ValueError, match="array element") as caught:
        np.zeros(2)[0] = number(2.0) * 2
    assert "np.stack" in str(caught.value.__cause__)
    assert [float(number(2.5)), int(number(2.5)), complex(number(2.5))] == [2.5, 2, 2.5 + 0j]


# -- the backward pass -----------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True])
def test_a_source_on_the_way_to_another_source_gets_its_gradient_too(recorded):
    x = mg.tensor([2.0, 3.0])
    with mg.GradientTape(persistent=recorded) as outer:
        with mg.GradientTape() as tape:
            tape.watch(x)
            h = x * x
            y = (h * h).sum()
        if recorded:
            dh, dx = tape.gradient(y, [h, x])
    if not recorded:
        del outer
        dh, dx = tape.gradient(y, [h, x])
    np.testing.assert_array_equal(dh.numpy(), [8.0, 18.0])
    np.testing.assert_array_equal(dx.numpy(), [32.0, 108.0])


def test_a_node_is_released_as_soon_as_its_rules_have_run():
    class Watch(Hook):
        def backward(self, apply, node, edges, g, tensor):
            kept.append([n.saved is not FREED for n in nodes])
            return apply(node, edges, g, tensor)

    kept = []
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = mg.sin(x)
    z = mg.exp(y)
    nodes = (y._node, z._node)
    with Watch():
        z.backward(mg.ones(2))
    assert kept == [[True, True], [True, False], [False, False]]  # at z, at y, at the leaf


def test_nodes_that_lead_to_no_source_are_released_too():
    x, unused = (mg.tensor([1.0], requires_grad=True) for _ in range(2))
    with mg.GradientTape() as tape:
        h = mg.exp(unused)
        y = h * x
    tape.gradient(y, x)
    assert h._node.saved is FREED


def test_a_constant_that_is_watched_gathers_no_grad():
    x = mg.tensor([1.0])
    with mg.GradientTape() as tape:
        tape.watch(x)
        x.backward()
        assert x.grad is None


def test_a_tape_that_was_reset_gives_a_gradient_again():
    x, tape = mg.tensor(3.0), mg.GradientTape()
    for times in (2.0, 5.0):
        with tape:
            tape.watch(x)
            y = x * times
        assert tape.gradient(y, x).item() == times
        with pytest.raises(RuntimeError):
            tape.gradient(y, x)
        tape.reset()


def test_of_two_tapes_the_first_asked_leaves_the_other_what_it_needs():
    x = mg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    for first in (0, 1):
        with mg.GradientTape() as outer, mg.GradientTape() as inner:
            y = mg.exp(x * x)
        tapes = [outer, inner]
        expected = 2 * np.exp([1.0, 4.0]) * [1.0, 2.0]
        for tape in (tapes[first], tapes[1 - first]):
            np.testing.assert_allclose(tape.gradient(y, x).numpy(), expected)


def test_a_tape_that_is_opened_again_watches_again():
    x = mg.tensor(3.0)
    tape = mg.GradientTape(persistent=True)
    with tape:
        tape.watch(x)
        y = x * x
    assert not x.requires_grad
    outside = x * 7.0
    with tape:
        z = x * 5.0
    assert [tape.gradient(one, x).item() for one in (y, z)] == [6.0, 5.0]
    assert tape.gradient(outside, x) is None


@pytest.mark.parametrize("shapes", [((), (2,)), ((2,), ()), ((), ()), ((2,), (3,))])
def test_rows_of_what_has_no_rows(shapes):
    x = mg.tensor(np.ones(shapes[1]), requires_grad=True)
    with mg.GradientTape() as tape:
        y = mg.sum(x) * np.ones(shapes[0])
    with pytest.raises(
        ValueError, match="batch_jacobian: expected target and source with the same"
    ):
        tape.batch_jacobian(y, x)


def test_a_gradient_leaves_alone_what_was_recorded_before_its_tape():
    x = mg.tensor(2.0, requires_grad=True)
    y = mg.exp(x)
    with mg.GradientTape() as tape:
        z = y * y * x
    assert tape.gradient(z, x).item() == pytest.approx(math.exp(4.0))
    y.backward()
    assert x.grad.item() == pytest.approx(math.exp(2.0))


def test_watched_variables_are_leaves_each_once():
    x, w = mg.tensor(2.0, requires_grad=True), mg.tensor(3.0, requires_grad=True)
    c = mg.tensor(4.0)
    with mg.GradientTape() as tape:
        tape.watch(c)
        _ = (x * w + x * c) * x
    assert {id(t) for t in tape.watched_variables()} == {id(c), id(x), id(w)}
    assert len(tape.watched_variables()) == 3
    with mg.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(c)
        _ = x * c
    assert [t is c for t in tape.watched_variables()] == [True]
