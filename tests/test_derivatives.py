"""grad, jacobian, hvp and the others: they record themselves, and give arrays for arrays."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.hooks import Hook
from minigrad.engine.random import generator_restored
from minigrad.engine.tree import flatten

X, W = np.array([0.3, -0.7, 1.1]), np.array([0.8, 0.4, -0.6])
V = np.array([0.5, 1.5, -2.0])


def g(x, w):
    return (mg.sin(x) * x * w * w).sum()


def each(x, w):
    return mg.sin(x) * x * w


def value_and_product(f, x):
    value, back = mg.vjp(f, x)
    return value, back(V)


#: A derivative of a function of x that also uses w, as (transform, x, w) -> whatever it gives.
TRANSFORMS = {
    "grad": lambda x, w: mg.grad(lambda x: g(x, w))(x),
    "grad of w, too": lambda x, w: mg.grad(g, (0, 1))(x, w),
    "value_and_grad": lambda x, w: mg.value_and_grad(lambda x: g(x, w))(x),
    "a nested argument": lambda x, w: mg.grad(lambda d: g(d["x"][0], w))({"x": [x]}),
    "jacobian": lambda x, w: mg.jacobian(lambda x: each(x, w))(x),
    "hessian": lambda x, w: mg.hessian(lambda x: g(x, w))(x),
    "grad of grad": lambda x, w: mg.grad(lambda x: mg.grad(lambda x: g(x, w))(x).sum())(x),
    "vjp": lambda x, w: value_and_product(lambda x: each(x, w), x),
    "vjp along w": lambda x, w: mg.vjp(lambda x: mg.sin(x) * x, x)[1](w),
    "jvp": lambda x, w: mg.jvp(lambda x: each(x, w), x, V),
    "jvp along w": lambda x, w: mg.jvp(lambda x: mg.sin(x) * x, x, w),
    "hvp": lambda x, w: mg.hvp(lambda x: g(x, w), x, V),
    "hvp along w": lambda x, w: mg.hvp(lambda x: (mg.sin(x) * x).sum(), x, w),
}


def loss_of(transform):
    """One number made of all that a transform gives."""

    def loss(x, w):
        parts = [mg.sin(one * (i + 1.0)).sum() for i, one in enumerate(flatten(transform(x, w)))]
        return mg.stack(parts).sum()

    return loss


def by_backward(loss, x, w):
    x, w = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
    loss(x, w).backward()
    return x.grad, w.grad


def by_tape(loss, x, w):
    x, w = mg.tensor(x), mg.tensor(w)
    with mg.GradientTape() as tape:
        tape.watch((x, w))
        y = loss(x, w)
    return tape.gradient(y, (x, w))


def by_results(loss, x, w):
    """Not leaves, but results of earlier operations are followed."""
    x, w = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
    loss(x * 1.0, w * 1.0).backward()
    return x.grad, w.grad


def by_grad(loss, x, w):
    return mg.grad(loss, (0, 1))(x, w)


def by_grad_in_a_tape(loss, x, w):
    with mg.GradientTape():
        return mg.grad(loss, (0, 1))(mg.tensor(x), mg.tensor(w))


def by_checkpoint(loss, x, w):
    return by_backward(lambda x, w: mg.checkpoint(loss, x, w), x, w)


def central_differences(loss, x, w, step=1e-5):
    found = np.zeros((2, x.size))
    for i, at in enumerate(np.ndindex(2, x.size)):
        shift = np.zeros(2 * x.size)
        shift[i] = step
        shift = shift.reshape(2, -1)
        ends = [
            loss(*(mg.tensor(a) for a in (x + s * shift[0], w + s * shift[1]))) for s in (1, -1)
        ]
        found[at] = (ends[0].item() - ends[1].item()) / (2 * step)
    return found


@pytest.mark.parametrize(
    "ask", [by_backward, by_tape, by_results, by_grad, by_grad_in_a_tape, by_checkpoint]
)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_derivative_of_a_tracked_argument_is_tracked(transform, ask):
    loss = loss_of(TRANSFORMS[transform])
    wanted = central_differences(loss, X, W)
    assert np.abs(wanted).min() > 1e-3
    found = [np.asarray(one) for one in ask(loss, X, W)]
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", ["x", "w", "neither"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_it_is_tracked_exactly_when_something_is(transform, kind):
    x, w = mg.tensor(X, requires_grad=kind == "x"), mg.tensor(W, requires_grad=kind == "w")
    for one in flatten(TRANSFORMS[transform](x, w)):
        assert isinstance(one, mg.Tensor)
        assert one.requires_grad == (kind != "neither")
    with mg.no_grad():
        for one in flatten(TRANSFORMS[transform](x, w)):
            assert not one.requires_grad


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_arrays_give_arrays(transform):
    for one in flatten(TRANSFORMS[transform](X, W)):
        assert type(one) is np.ndarray
        assert one.flags.writeable
    tracked = mg.tensor(W, requires_grad=True)
    for one in flatten(TRANSFORMS[transform](X, tracked)):
        assert isinstance(one, mg.Tensor)  # an array would lose what hangs on w


def test_each_argument_for_itself():
    made = mg.grad(lambda a, b, c: (a * b * c[0]).sum(), (0, 1, 2))(X, mg.tensor(W), [X])
    assert type(made[0]) is np.ndarray
    assert isinstance(made[1], mg.Tensor)
    assert type(made[2]) is list
    assert type(made[2][0]) is np.ndarray


class Count(Hook):
    """How many operators run on tensors."""

    def __init__(self):
        self.names = []

    def __call__(self, op, arrays, metadata, value, node):
        super().__call__(op, arrays, metadata, value, node)
        self.names.append(op.name)


@pytest.mark.parametrize("around", [mg.no_grad, mg.GradientTape, generator_restored])
def test_it_records_nothing_for_nobody(around):
    x, w = mg.tensor(X), mg.tensor(W)
    with around(), Count() as plain:
        g(x, w)
    with around(), Count() as asked:
        mg.value_and_grad(lambda x: g(x, w))(x)
    assert asked.names == plain.names


def test_a_gradient_penalty_trains_the_parameters_of_a_layer():
    mg.manual_seed(0)
    layer = nn.Linear(3, 1)
    x = np.ones((2, 3), np.float32)
    slope = mg.grad(lambda x: layer(x).sum())(x)
    (slope**2).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 4 * layer.weight.numpy(), rtol=1e-6)


def test_a_lazy_layer_built_inside_is_followed():
    mg.manual_seed(0)
    layer = nn.LazyLinear(1)
    (mg.grad(lambda x: layer(x).sum())(mg.ones((2, 3))) ** 2).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 4 * layer.weight.numpy(), rtol=1e-6)


@pytest.mark.parametrize("returned", ["x", "w"])
def test_a_function_that_only_returns_what_it_is_given(returned):
    x, w = mg.tensor(2.0, requires_grad=True), mg.tensor(3.0, requires_grad=True)
    value, slope = mg.value_and_grad(lambda x: x if returned == "x" else w)(x)
    value.backward()
    assert [None if t.grad is None else t.grad.item() for t in (x, w)] == (
        [1.0, None] if returned == "x" else [None, 1.0]
    )
    assert slope.item() == (1.0 if returned == "x" else 0.0)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_only_what_it_closes_over_is_tracked(transform):
    """The result of an operation, or a tensor that an open tape watches; x is a constant."""
    loss = loss_of(TRANSFORMS[transform])
    wanted = central_differences(loss, X, W)[1]
    leaf = mg.tensor(W, requires_grad=True)
    loss(mg.tensor(X), leaf * 1.0).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), wanted, rtol=1e-7, atol=1e-8)
    watched = mg.tensor(W)
    with mg.GradientTape() as tape:
        tape.watch(watched)
        y = loss(mg.tensor(X), watched)
    np.testing.assert_allclose(tape.gradient(y, watched).numpy(), wanted, rtol=1e-7, atol=1e-8)


def test_hvp_is_curried_like_its_siblings():
    product = mg.hvp(lambda x, w: (x**3 * w).sum())
    np.testing.assert_allclose(product(X, V, W), 6 * X * W * V)
    np.testing.assert_allclose(product(X, V, w=W), 6 * X * W * V)
    assert type(product(X, V, W)) is np.ndarray
    np.testing.assert_allclose(mg.hvp(lambda x: (x**3).sum(), X, V), 6 * X * V)
    np.testing.assert_allclose(mg.hvp(lambda x: (x**3).sum(), v=V, x=X), 6 * X * V)
    for given in ({"x": X}, {"v": V}):
        with pytest.raises(TypeError, match=r"hvp: expected x and v.*only one"):
            mg.hvp(lambda x: (x**3).sum(), **given)
    with pytest.raises(ValueError, match="hvp: x has shapes"):
        product(X, V[:2], W)
    with pytest.raises(ValueError, match=r"hvp: x has shapes \[\]"):  # before the function runs
        mg.hvp(lambda x: x[0].sum(), [], V)
    with pytest.raises(ValueError, match="jvp: x has shapes"):
        mg.jvp(pytest.fail, X, V[:2])


def test_a_vjp_may_be_asked_many_times():
    _, back = mg.vjp(lambda x: x * x, X)
    for v in (V, 2 * V, V):
        np.testing.assert_allclose(back(v)[0], 2 * X * v)


@pytest.mark.parametrize(
    ("argnums", "error"),
    [(1, ValueError), (-2, ValueError), ((0, 1), ValueError), ((0, -2), ValueError),
     (0.5, TypeError), ("0", TypeError), (None, TypeError), ((0, None), TypeError)],
)  # fmt: skip
def test_the_number_of_an_argument_is_one_of_those_given(argnums, error):
    with pytest.raises(error, match="argnums"):
        mg.grad(lambda x: (x * x).sum(), argnums)(X)


def test_a_branch_without_a_gradient_does_not_end_the_pass():
    """Its nodes are met among others that have one, whichever is older."""

    @mg.custom_gradient
    def closed(x):
        return x * 1.0, lambda g: None

    x = mg.tensor(X, requires_grad=True)
    first = x * 2.0
    hidden = mg.sin(x)
    second = x * 3.0
    (first + closed(hidden * second) + second).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full(3, 5.0))
