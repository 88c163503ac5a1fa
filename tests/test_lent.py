"""A kernel may overwrite a cotangent that nobody else holds, and no other."""

import sys

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.kernels import activations, current as kernels, lent, softmax as kernels_softmax
from minigrad.operators.declare import OPERATORS

SHAPE = (2, 3, 4, 4)
#: Python 3.14 counts references in another way, so nothing is lent.
LENDS = bool(lent._ALONE)


@pytest.fixture
def overwritten(monkeypatch):
    """Arrays of any size are lent; a list that tells of each gradient of ReLU whether it was."""
    monkeypatch.setattr(lent, "LARGE", 0)
    monkeypatch.setattr(activations, "LARGE", 0)
    seen = []

    def relu_grad(g, ans):
        found = activations.relu_grad(g, ans)
        seen.append(found is g)
        return found

    before = kernels.use({"relu_grad": relu_grad})
    yield seen
    kernels.use(before)


def draw(seed=0):
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def used_twice(a, b):
    y = F.relu(a * b)
    return F.relu(y) * y


def turned(x):
    return mg.reshape(x, (6, 16)).T


#: Functions of two arrays, and of each ReLU, the last one first, whether its cotangent is alone.
GRAPHS = {
    "product": (lambda a, b: F.relu(a) * b, [True]),
    "chain": (lambda a, b: F.relu(F.relu(a * 2.0) - 0.1) * b, [True, True]),
    "a sum shares its cotangent": (lambda a, b: F.relu(F.relu(a) + F.relu(b)) * b, [True, False, True]),
    "used twice": (used_twice, [True, True]),
    "a view": (lambda a, b: mg.reshape(F.relu(turned(a)), (96,)) * mg.reshape(b, (96,)), [True]),
    "pooled": (lambda a, b: F.max_pool2d(F.relu(a), 2) * b[:, :, :2, :2], [True]),
    "broadcast": (lambda a, b: mg.sum(F.relu(a)) * b, [False]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_are_those_without_lending(name, overwritten, monkeypatch):
    function, alone = GRAPHS[name]
    found = []
    for lends in (True, False):
        if not lends:
            monkeypatch.setattr(lent, "_ALONE", set())
        a, b = mg.tensor(draw(), requires_grad=True), mg.tensor(draw(1), requires_grad=True)
        overwritten.clear()
        mg.sum(function(a, b) ** 2).backward()
        assert overwritten == [lends and LENDS and one for one in alone]
        found.append([a.grad.numpy(), b.grad.numpy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cotangent_that_the_caller_holds_is_not_overwritten(overwritten):
    a, g = mg.tensor(draw(), requires_grad=True), draw(1)
    seed = mg.tensor(g)
    F.relu(a).backward(seed)
    np.testing.assert_array_equal(seed.numpy(), g)
    assert overwritten == [False]


def test_the_gradient_of_what_lies_between_is_not_overwritten(overwritten):
    a = mg.tensor(draw(), requires_grad=True)
    with mg.GradientTape() as tape:
        y = F.relu(a)
        z = mg.sum(y * y)
    by_y, by_a = tape.gradient(z, [y, a])
    np.testing.assert_array_equal(by_y.numpy(), 2 * np.maximum(draw(), 0))
    np.testing.assert_array_equal(by_a.numpy(), 2 * np.maximum(draw(), 0))
    assert overwritten == [False]


def test_only_operators_that_spend_a_cotangent_are_lent_one(overwritten):
    assert all(op.rules_for_one for op in OPERATORS.values() if op.spends)
    seen = []

    @mg.custom_gradient
    def function(x):
        def grad(g):
            with mg.observe():  # in which nothing is lent, so that nothing is taken back
                (found,) = mg.vjp(F.relu, x.detach())[1](g)
            seen.append(lent._lent.array)
            return found + g

        return x * 1.0, grad

    a, c = mg.tensor(draw(), requires_grad=True), draw(1)
    mg.sum(F.relu(function(a)) * mg.tensor(c)).backward()
    assert seen == [None]
    assert overwritten == [LENDS, False]
    g = c * (draw() > 0)
    np.testing.assert_array_equal(a.grad.numpy(), g * (draw() > 0) + g)


def test_a_loss_by_input_and_target_reads_its_cotangent_twice(overwritten):
    def over(g, x, t):
        found = kernels_softmax.logistic_loss_grad(g, x, t)
        if lent.is_lent(g):
            g[...] = found
        return found

    kernels.use({"logistic_loss_grad": over})
    x, t = mg.tensor(draw(), requires_grad=True), mg.tensor(draw(1), requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(x, mg.sigmoid(t), reduction="none")
    mg.sum(losses * mg.tensor(draw(2))).backward()
    s = 1 / (1 + np.exp(-draw(1)))
    expected = -draw(2) * draw() * s * (1 - s)
    np.testing.assert_allclose(t.grad.numpy(), expected, 1e-4, 1e-6)


def test_counts_under_a_tracer_that_holds_variables_let_nothing_be_lent():
    def trace(frame, event, arg):
        held.append(frame.f_locals)
        return trace

    held, before = [], sys.gettrace()
    sys.settrace(trace)
    try:
        found = lent._find_alone()
    finally:
        sys.settrace(before)
    assert held
    assert found <= lent._find_alone()


def test_nothing_stays_lent_after_an_error(overwritten, monkeypatch):
    def broken(g, ans):
        assert lent.is_lent(g) == LENDS
        raise ArithmeticError

    kernels.use({"relu_grad": broken})
    a = mg.tensor(draw(), requires_grad=True)
    with pytest.raises(ArithmeticError):
        mg.sum(F.relu(a) ** 2).backward()
    assert lent._lent.array is None
