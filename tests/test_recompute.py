"""checkpoint: whatever the function reads is differentiated as without it, or refused."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Holder(nn.Module):
    """A layer that uses a tensor, which may be a parameter or not."""

    def __init__(self, w):
        super().__init__()
        self.inside = [{"w": w}]

    def forward(self, x):
        return mg.tanh(x * self.inside[0]["w"])


def model_of(checkpoint):
    """A module that recomputes a part of itself, or does not."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Linear(3, 3)
            self.scale = nn.Parameter(np.full(3, 0.5, np.float32))

        def forward(self, x):
            return checkpoint(lambda y: mg.tanh(self.part(y)) * self.scale, x)

    mg.manual_seed(0)
    return Model()


def directly(f, *args):
    return f(*args)


def of(f, *held):
    """A function of x that closes over the other arguments."""
    return lambda x: f(x, *held)


def nested(f, *args):
    return mg.checkpoint(lambda *inner: mg.checkpoint(f, *inner), *args)


#: How f comes by the tensor w, besides its argument x.
WAYS = {
    "closure": lambda call, x, w: call(lambda x: mg.tanh(x * w), x),
    "list": lambda call, x, w: call(lambda x, held: mg.tanh(x * held[0]["w"]), x, [{"w": w}]),
    "module": lambda call, x, w: call(Holder(w), x),
    "default": lambda call, x, w: call(lambda x, *, v=w: mg.tanh(x * v), x),
    "earlier": lambda call, x, w: call(of(lambda x, h: mg.tanh(x * h), mg.sin(w) * 2), x),
    "argument too": lambda call, x, w: call(lambda v, x: mg.tanh(x * v) + w, w, x),
    "only": lambda call, x, w: call(lambda: mg.tanh(x * w)),
    "returned": lambda call, x, w: call(lambda x: [x * w, w], x)[1] * x,
    "assigned to a constant": lambda call, x, w: call(lambda x: x * mg.stack([w])[0], x),
    "functional_call inside": lambda call, x, w: call(
        lambda x: nn.functional_call(model_of(directly), {"scale": w}, x), x
    ),
    "functional_call outside": lambda call, x, w: nn.functional_call(
        model_of(call), {"scale": w, "part.bias": w * w}, x
    ),
}


def by_watching(f, x, w, order):
    """The derivative of this order along fixed directions; tapes are closed when asked."""
    with mg.GradientTape() as outer:
        outer.watch((x, w))
        with mg.GradientTape() as tape:
            tape.watch((x, w))
            y = (f(x, w) ** 2).sum()
        grads = tape.gradient(y, [x, w])
        total = (grads[0] * 0.3).sum() + (grads[1] * grads[1]).sum()
    return grads if order == 1 else outer.gradient(total, [x, w])


def by_transforms(f, x, w, order):
    def loss(x, w):
        return (f(x, w) ** 2).sum()

    def second(x, w):
        gx, gw = mg.grad(loss, (0, 1))(x, w)
        return (gx * 0.3).sum() + (gw * gw).sum()

    return mg.grad(loss if order == 1 else second, (0, 1))(x, w)


def by_backward(f, x, w, order):
    x, w = (mg.tensor(t.numpy(), requires_grad=True) for t in (x, w))
    (f(x, w) ** 2).sum().backward(create_graph=order == 2)
    if order == 2:
        gx, gw = x.grad, w.grad
        x.grad = w.grad = None
        ((gx * 0.3).sum() + (gw * gw).sum()).backward()
    return x.grad, w.grad


def under_no_grad(f, x, w, order):
    """The backward pass runs where nothing is recorded."""
    x, w = (mg.tensor(t.numpy(), requires_grad=True) for t in (x, w))
    y = (f(x, w) ** 2).sum()
    with mg.no_grad():
        y.backward()
    return x.grad, w.grad


ASKED = [by_watching, by_transforms, by_backward, under_no_grad]


@pytest.mark.parametrize(
    ("way", "ask", "order", "call"),
    [
        case
        for case in itertools.product(WAYS, ASKED, (1, 2), (mg.checkpoint, nested))
        if case[1:3] != (under_no_grad, 2)
    ],
)
def test_what_the_function_reads_gets_its_gradient(way, ask, order, call):
    x = mg.tensor(np.array([0.3, -0.7, 1.1], np.float32))
    w = mg.tensor(np.array([0.8, 0.4, -0.6], np.float32))
    wanted = ask(lambda x, w: WAYS[way](directly, x, w), x, w, order)
    found = ask(lambda x, w: WAYS[way](call, x, w), x, w, order)
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(b.numpy()).min() > 0
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_a_tensor_watched_anew_keeps_its_new_node():
    x, w = mg.tensor([2.0]), mg.tensor([3.0])
    with mg.GradientTape() as first:
        first.watch(w)
        y = mg.checkpoint(lambda x: x * w, x)
    with mg.GradientTape() as second:
        second.watch(w)
        assert first.gradient(y, w).tolist() == [2.0]
        z = w * w
    assert second.gradient(z, w).tolist() == [6.0]


def test_a_lazy_layer_that_is_built_inside_gets_its_gradient():
    mg.manual_seed(0)
    layer = nn.LazyLinear(2)
    mg.checkpoint(layer, mg.ones((3, 4))).sum().backward()
    assert layer.weight.grad.tolist() == [[3.0] * 4] * 2
    assert layer.bias.grad.tolist() == [3.0] * 2


def test_buffers_are_assigned_once():
    x = mg.tensor(np.arange(6.0, dtype=np.float32).reshape(3, 2), requires_grad=True)
    once, twice = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    (once(x) ** 3).sum().backward()
    wanted, x.grad = x.grad, None
    (mg.checkpoint(twice, x) ** 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), wanted.numpy())
    for (name, a), (_, b) in zip(once.named_buffers(), twice.named_buffers(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)


def test_a_function_that_computes_something_else_is_refused():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    layers = [nn.Parameter([1.0, 2.0]), nn.Parameter([3.0, 4.0])]
    y = x
    for p in layers:
        y = mg.checkpoint(lambda x: x * p, y)  # noqa: B023 (the mistake that is meant)
    with pytest.raises(RuntimeError, match=r"tracked tensor of shape \(2,\) that it had not used"):
        y.sum().backward()
    drop = nn.Dropout(0.5)
    y = mg.checkpoint(lambda x: mg.sin(drop(x)), x)
    drop.eval()
    with pytest.raises(RuntimeError, match=r"computed something else .* operator 0 was multiply"):
        y.sum().backward()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_recompute_leaves_everything_as_it_was(error):
    mg.manual_seed(0)
    model, calls = nn.BatchNorm1d(2), []
    x, w = mg.tensor(np.eye(3, 2, dtype=np.float32)), mg.ones(2)

    def f(x):
        calls.append(1)
        y = model(x) * w * mg.rand(2)
        if len(calls) == 2:
            raise error
        return y

    with mg.GradientTape() as tape:
        tape.watch((x, w))
        y = mg.checkpoint(f, x)
    state = {name: b.tolist() for name, b in model.named_buffers()}
    drawn = mg.engine.random.default_generator().bit_generator.state
    with pytest.raises(error):
        tape.gradient(y, w)
    assert not w.requires_grad
    assert w._node is None
    assert {name: b.tolist() for name, b in model.named_buffers()} == state
    assert mg.engine.random.default_generator().bit_generator.state == drawn
    assert mg.is_recording()
