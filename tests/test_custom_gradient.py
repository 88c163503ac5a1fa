"""custom_gradient and checkpoint: to second order, with several values, inside tapes."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


@mg.custom_gradient
def cube(x):
    return x**3, lambda g: g * 3 * x**2


def test_the_given_gradient_is_used():
    @mg.custom_gradient
    def clipped(x):
        return x * 1, lambda g: mg.clip(g, -1.0, 1.0)

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (clipped(x) * mg.tensor([10.0, 0.5])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.5]


def test_it_is_differentiable_again():
    assert mg.grad(mg.grad(cube))(2.0).item() == 12
    assert mg.grad(mg.grad(mg.grad(cube)))(2.0).item() == 6


def test_several_arguments_and_values():
    @mg.custom_gradient
    def both(x, y, power):
        def grad(g_sum, g_product):
            return g_sum + g_product * y, None if power else g_sum + g_product * x

        return (x + y, x * y), grad

    x, y = mg.tensor(2.0, requires_grad=True), mg.tensor([3.0, 4.0], requires_grad=True)
    with mg.GradientTape(persistent=True) as tape:
        s, p = both(x, y, 0)
        z = (s * 10).sum() + p.sum()
    assert [g.tolist() for g in tape.gradient(z, [x, y])] == [27, [12, 12]]
    with mg.GradientTape() as tape:
        s, p = both(x, y, 1)
    assert tape.gradient(p, y) is None


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (lambda x: x, TypeError, r"returns \(value, grad\)"),
        (lambda x: (x * 1, lambda g: (g, g)), ValueError, "2 gradients for 1"),
        (lambda x: (x * other, lambda g: g), RuntimeError, "not among its arguments"),
    ],
)
def test_mistakes_are_named(bad, error, message):
    x = mg.tensor(1.0, requires_grad=True)
    with pytest.raises(error, match=message):
        mg.custom_gradient(bad)(x).backward()


other = mg.tensor(1.0, requires_grad=True)


def test_checkpoint_gives_the_same_gradients():
    w = nn.Parameter(np.array([[1.0, 2.0], [3.0, 4.0]]))
    c = mg.tensor(np.array([0.5, -0.5]), requires_grad=True)
    x = mg.tensor(np.array([1.0, -1.0]), requires_grad=True)
    h = c * 2

    def f(x, scale):
        y = mg.tanh(x @ w + h) * scale
        return {"y": y, "rest": [y.sum()]}

    def loss(result):
        return (result["y"] ** 2).sum() + result["rest"][0] ** 3

    with mg.GradientTape(persistent=True) as outer:
        with mg.GradientTape(persistent=True) as tape:
            h = c * 2
            plain, again = loss(f(x, 2.0)), loss(mg.checkpoint(f, x, 2.0))
        first = tape.gradient(plain, [x, w, c])
        second = tape.gradient(again, [x, w, c])
        sums = [mg.sum(mg.stack([(g**2).sum() for g in gs])) for gs in (first, second)]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    pairs = [outer.gradient(s, [x, w, c]) for s in sums]
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_checkpoint_draws_the_same_random_numbers_again():
    x = mg.ones(1000, requires_grad=True)

    def drop(x):
        return x * (mg.rand(1000) > 0.5)

    y = mg.checkpoint(drop, x)
    after = mg.rand(1).item()
    y.sum().backward()
    assert (x.grad == y).all()
    mg.manual_seed(0)
    mg.rand(1000)
    assert mg.rand(1).item() == after


def test_checkpoint_keeps_only_its_arguments():
    x = mg.ones(10, requires_grad=True)

    def deep(x):
        for _ in range(20):
            x = mg.sin(x)
        return x

    with mg.GradientTape() as tape:
        mg.checkpoint(deep, x)
    assert [n.op.name for n in tape.nodes] == ["checkpoint"]


def test_checkpoint_needs_tensors():
    x = mg.ones(1, requires_grad=True)
    with pytest.raises(TypeError, match="float"):
        mg.checkpoint(lambda x: 1.0, x)


def test_a_parameter_updated_since_is_refused():
    @mg.custom_gradient
    def square(x):
        return x * x, lambda g: 2 * g * x  # reads x when it runs

    p = mg.tensor([3.0], requires_grad=True)
    y = square(p)
    p.assign([100.0])
    with pytest.raises(RuntimeError, match="updated in place after square"):
        y.backward()


def test_a_tracked_tensor_passed_by_name_is_refused():
    @mg.custom_gradient
    def scaled(x, *, by):
        return x * by, lambda g: g * by

    x = mg.tensor([3.0], requires_grad=True)
    assert scaled(x, by=mg.tensor(2.0)).numpy() == [6.0]
    with pytest.raises(TypeError, match=r"by= .*by position"):
        scaled(x, by=x)


def test_several_values_keep_their_dtypes():
    @mg.custom_gradient
    def both(x):
        return (2 * x, 3 * x.astype("float64")), lambda g, h: 2 * g + 3 * h.astype("float32")

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    u, v = both(x)
    assert (u.dtype, v.dtype) == (np.float32, np.float64)
    (u.sum() + (v * v).sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [20.0, 38.0])


@pytest.mark.parametrize("order", [1, 2])
def test_a_tape_sees_a_part_computed_again_only_where_the_pass_is_recorded(order):
    x = mg.tensor(np.array([0.3, 0.7]), requires_grad=True)
    with mg.GradientTape() as outer:
        if order == 2:
            with mg.GradientTape() as tape:
                y = mg.checkpoint(lambda x: mg.sin(x) * x, x)
            tape.gradient(y, x)
        else:
            y = mg.checkpoint(lambda x: mg.sin(x) * x, x)
            with outer.stop_recording():
                y.sum().backward(retain_graph=True)
    assert ("sin" in [n.op.name for n in outer.nodes]) == (order == 2)


def test_none_in_the_place_of_each_gradient():
    """One input after the other has none, whichever the others are."""
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([7.0, 11.0])]
    for missing in range(3):

        @mg.custom_gradient
        def product(a, b, c, missing=missing):
            def grad(g):
                found = [g * b * c, g * a * c, g * a * b]
                found[missing] = None
                return found

            return a * b * c, grad

        leaves = [mg.tensor(a, requires_grad=True) for a in arrays]
        product(*leaves).sum().backward()
        for i, leaf in enumerate(leaves):
            if i == missing:
                assert leaf.grad is None
            else:
                others = [a for j, a in enumerate(arrays) if j != i]
                np.testing.assert_array_equal(leaf.grad.numpy(), others[0] * others[1])


@pytest.mark.parametrize("shape", [(2,), (3,), (), (2, 2), (2, 1), (4, 2, 3)])
def test_a_gradient_of_a_wrong_shape_is_refused(shape):
    """Unless the input broadcasts to it, over which it is summed."""

    @mg.custom_gradient
    def f(x):
        return x * 1.0, lambda g: mg.ones(shape, dtype=np.float64)

    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    if shape == (4, 2, 3):
        f(x).sum().backward()
        assert x.grad.tolist() == [[4.0] * 3] * 2
    else:
        with pytest.raises(
            RuntimeError,
            match=rf"^f: its derivative rule gave shape {re.escape(str(shape))} for an input of shape \(2, 3\)",
        ):
            f(x).sum().backward()


def test_what_a_checkpoint_computed_instead_is_told():
    ways = iter([mg.sin, mg.cos])
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    y = mg.checkpoint(lambda x: next(ways)(x), x)
    with pytest.raises(RuntimeError, match=r"operator 0 was sin \(2, 3\), and is cos \(2, 3\)"):
        y.sum().backward()
    ways = iter([lambda x: x * 2.0, lambda x: mg.exp(x * 2.0)])
    y = mg.checkpoint(lambda x: next(ways)(x), x)
    with pytest.raises(RuntimeError, match=r"operator 1 was nothing, and is exp \(2, 3\)"):
        y.sum().backward()


@pytest.mark.parametrize("returned", [(1.0, 2.0), (1.0,), (1.0, abs, abs), [1.0, abs], 1.0])
def test_what_is_no_value_and_a_function_is_refused(returned):
    with pytest.raises(TypeError, match=r"returns \(value, grad\), where grad is a function"):
        mg.custom_gradient(lambda _: returned)(mg.tensor(1.0))
