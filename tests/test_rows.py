"""All rows of a Jacobian in one backward pass are what one pass for each row gives."""

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, samples

import minigrad as mg
from minigrad import nn
from minigrad.engine import backward, rows, tape
from minigrad.engine.tree import flatten
from minigrad.operators.declare import Operator, engine

#: Operators with a rule that calls what takes no stack of cotangents. Theirs go one by one.
#: The rule of matrix_exp is matrix_exp of a matrix twice as large, whose blocks are joined.
ONE_BY_ONE = {"conv2d", "conv2d_input_grad", "conv2d_weight_grad", "getitem", "matrix_exp"}


def one_by_one(monkeypatch):
    monkeypatch.setattr(tape, "AT_ONCE", 0)


def check(f, args, monkeypatch):
    numbers = tuple(range(len(args)))
    together = flatten(mg.jacobian(f, numbers)(*args))
    with monkeypatch.context() as patch:
        one_by_one(patch)
        expected = flatten(mg.jacobian(f, numbers)(*args))
    assert len(together) == len(expected)
    for found, row_by_row in zip(together, expected, strict=True):
        assert found.shape == row_by_row.shape
        assert found.dtype == row_by_row.dtype
        np.testing.assert_allclose(found, row_by_row, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_rule_takes_many_cotangents_at_once(name, monkeypatch):
    alone = set()
    apply = backward._apply_rules

    def watched(node, edges, g, tensor):
        try:
            return apply(node, edges, g, tensor)
        except Exception:
            alone.add(node.op.name)
            raise

    monkeypatch.setattr(backward, "_apply_rules", watched)
    for sample in samples(name):
        function, arrays = call(name, sample, np.random.default_rng(0))

        def floats(*given, function=function):
            return [y for y in flatten(function(*given)) if y.dtype.kind == "f"]

        check(floats, arrays, monkeypatch)
    assert alone <= ONE_BY_ONE, (
        f"the rules of {alone - ONE_BY_ONE} take no stack of cotangents: give what they call a form "
        f"in minigrad/engine/rows.py, or name them in ONE_BY_ONE"
    )


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def test_second_derivatives_go_together_too(monkeypatch):
    x = np.random.default_rng(0).standard_normal(7)
    check(mg.grad(rosenbrock), (x,), monkeypatch)
    check(
        mg.grad(lambda a, b: np.sum(np.tanh(a @ b) ** 2), (0, 1)),
        (x[:6].reshape(2, 3), x[:3]),
        monkeypatch,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_of_several_kinds_of_layers(dtype, monkeypatch):
    mg.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.LayerNorm(12), nn.Linear(12, 5), nn.LogSoftmax(1),
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype(dtype)
    names = list(net.state_dict())
    weights = [np.array(w) for w in net.state_dict().values()]
    weights = [w.astype(dtype) if w.dtype.kind == "f" else w for w in weights]
    floats = [i for i, w in enumerate(weights) if w.dtype.kind == "f"]

    def run(x, *given):
        state = {**dict(zip(names, weights, strict=True))}
        state.update(
            {names[i]: w for i, w in zip(floats, given, strict=True) if "running" not in names[i]}
        )
        return nn.functional_call(net.eval(), state, x)

    args = (x, *(weights[i] for i in floats))
    together = mg.jacobian(run, tuple(range(len(args))))(*args)
    one_by_one(monkeypatch)
    expected = mg.jacobian(run, tuple(range(len(args))))(*args)
    for found, row_by_row in zip(together, expected, strict=True):
        assert found.dtype == row_by_row.dtype == dtype
        tolerance = 2e-6 if dtype is np.float32 else 1e-13
        np.testing.assert_allclose(found, row_by_row, rtol=tolerance, atol=tolerance)


def passes(monkeypatch):
    """A list that gets the number of cotangents of each backward pass."""
    found = []
    units = tape._units

    def counted(like, count, numbers):
        found.append(len(numbers))
        return units(like, count, numbers)

    monkeypatch.setattr(tape, "_units", counted)
    return found


def test_what_is_kept_at_once_has_a_bound(monkeypatch):
    x = np.arange(1.0, 11.0)
    expected = np.diag(2 * x)
    counted = passes(monkeypatch)
    for at_once, numbers in ((1 << 20, [10]), (40, [4, 4, 2]), (10, [1] * 10), (0, [1] * 10)):
        counted.clear()
        monkeypatch.setattr(tape, "AT_ONCE", at_once)
        np.testing.assert_array_equal(mg.jacobian(np.square)(x), expected)
        assert counted == numbers


def test_a_pass_that_is_recorded_or_watched_goes_row_by_row(monkeypatch):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    counted = passes(monkeypatch)
    found = mg.jacobian(lambda x: x**3)(x)
    assert counted == [1, 1]
    found.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    counted.clear()
    with mg.observe():
        mg.jacobian(np.square)(np.ones(3))
    assert counted == [1, 1, 1]


def test_batch_jacobian_takes_one_row_of_each_example(monkeypatch):
    w = np.random.default_rng(0).standard_normal((3, 2))
    found = []
    for at_once in (1 << 20, 0):
        monkeypatch.setattr(tape, "AT_ONCE", at_once)
        x = mg.tensor(np.random.default_rng(1).standard_normal((4, 3)), requires_grad=True)
        with mg.GradientTape() as t:
            y = np.tanh(x @ w)
        found.append(t.batch_jacobian(y, x))
        with pytest.raises(RuntimeError, match="spent"):
            t.batch_jacobian(y, x)
    assert found[0].shape == (4, 2, 3)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-14)
    slopes = 1 - np.tanh(x.numpy() @ w) ** 2
    np.testing.assert_allclose(found[0], slopes[:, :, None] * w.T, rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_jacobians_without_axes_or_elements(shape):
    found = mg.jacobian(lambda x: x * x)(np.ones(shape))
    assert found.shape == shape + shape
    assert mg.jacobian(lambda x: x.sum())(np.ones(shape)).shape == shape
    assert mg.jacobian(lambda x: np.zeros_like(x) * 1.0)(np.ones(shape)).shape == shape + shape


def test_a_source_that_has_no_part():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = mg.tensor([1.0], requires_grad=True)
    with mg.GradientTape(persistent=True) as t:
        z = x * x
    assert t.jacobian(z, {"x": x, "y": y})["y"] is None
    zeros = t.jacobian(z, [y], unconnected_gradients="zero")[0]
    assert zeros.shape == (2, 1)
    assert not zeros.numpy().any()


def test_of_a_target_without_elements_there_are_no_rows():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as t:
        z = x[2:]
    assert t.jacobian(z, x).shape == (0, 2)


def test_a_rule_may_give_the_same_for_every_cotangent():
    flat = Operator("flat", np.copy, (lambda g, _ans, x: np.zeros_like(x),), ("x",))
    found = mg.jacobian(lambda x: engine.run(flat, (x,), {}) + 2.0 * x)(np.ones(3))
    np.testing.assert_array_equal(found, 2.0 * np.eye(3))
    found = mg.jacobian(lambda x: engine.run(flat, (x,), {}))(np.ones(3))
    np.testing.assert_array_equal(found, np.zeros((3, 3)))


def test_a_refused_call_leaves_the_tape_as_it_was():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as t:
        z = x * x
    with pytest.raises(ValueError, match="unconnected_gradients"):
        t.jacobian(z, x, unconnected_gradients="no")
    assert t.jacobian(z, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_a_rule_that_looks_at_its_cotangent_gets_them_one_by_one():
    seen = []

    @mg.custom_gradient
    def doubled(x):
        def rule(g):
            seen.append((type(g), g.shape))
            return g * 2.0 if g.sum() > 0 else g

        return x * 2.0, rule

    np.testing.assert_array_equal(mg.jacobian(doubled)(np.ones(3)), 2 * np.eye(3))
    assert seen == [(mg.Tensor, (3,))] * 3


def test_the_error_of_a_rule_is_its_own():
    @mg.custom_gradient
    def broken(x):
        def rule(g):
            raise KeyError("mine")

        return x * 2.0, rule

    with pytest.raises(KeyError, match="mine"):
        mg.jacobian(broken)(np.ones(3))


# -- functions of NumPy on stacks ------------------------------------------------------------------

ONE, TWO, THREE = (
    np.random.default_rng(0).standard_normal((5, *s)) for s in ((3,), (2, 3), (1, 2, 3))
)
NUMBERS = np.random.default_rng(1).standard_normal(5)
W = np.random.default_rng(2).standard_normal((3, 4))


@pytest.mark.parametrize(
    ("f", "stack"),
    [
        (lambda g: g * W[:, 0] + 1.0, ONE), (lambda g: g * W, NUMBERS), (lambda g: W.T * g, ONE),
        (lambda g: g @ W, ONE), (lambda g: g @ W, TWO), (lambda g: g @ W[:, 0], TWO),
        (lambda g: g @ W, THREE), (lambda g: W.T @ g, ONE), (lambda g: np.eye(2) @ g, TWO),
        (lambda g: np.ones(2) @ g, TWO), (lambda g: W[:, 0] @ g, ONE), (lambda g: g @ W[:, 0], ONE),
        (lambda g: np.ones((2, 1, 3)) @ np.swapaxes(g, 0, 1), TWO),
        (lambda g: np.sum(g), NUMBERS), (lambda g: np.sum(g), TWO), (lambda g: np.sum(g, axis=0), TWO),
        (lambda g: np.sum(g, axis=-1, keepdims=True), TWO), (lambda g: np.mean(g, axis=(0, 2)), THREE),
        (lambda g: np.reshape(g, -1), TWO), (lambda g: np.reshape(g, (3, 2)), TWO), (lambda g: g.reshape(1, 6), TWO),
        (lambda g: np.transpose(g), TWO), (lambda g: np.transpose(g, (1, -1, 0)), THREE), (np.transpose, NUMBERS),
        (lambda g: np.swapaxes(g, 0, -1), THREE), (lambda g: np.moveaxis(g, (0, 1), (2, 0)), THREE),
        (lambda g: np.expand_dims(g, (0, -1)), ONE), (np.squeeze, THREE), (lambda g: np.squeeze(g, 0), THREE),
        (lambda g: np.broadcast_to(g, (2, 3)), ONE), (lambda g: np.broadcast_to(g, 2), NUMBERS),
        (lambda g: np.where(W.T > 0, g, 0.0), ONE), (lambda g: np.where([True, False, True], 0.0, g), TWO),
        (np.flip, TWO), (lambda g: np.flip(g, 0), TWO), (np.cumsum, TWO), (lambda g: np.cumsum(g, axis=0), TWO),
        (lambda g: np.concatenate([g, np.ones((1, 3))]), TWO), (lambda g: np.concatenate([g, g], axis=None), TWO),
        (lambda g: np.einsum("ab,bc->ac", g, W), TWO), (lambda g: np.einsum("ij,jk", g, W), TWO),
        (lambda g: g[..., None], ONE), (lambda g: g[1], TWO), (lambda g: g[[0, 0], 1], TWO), (lambda g: g[:, [1]], TWO),
        (np.tril, TWO), (lambda g: np.roll(g, 1), TWO), (lambda g: np.stack([g, g], axis=1), TWO),
        (np.zeros_like, TWO), (lambda g: np.ones_like(g) * g.ndim * np.ndim(g) * g.size, TWO),
        (lambda g: g.astype(np.float32), TWO), (lambda g: g * np.ones(np.shape(g), np.result_type(g, 1.0)), TWO),
    ],
)  # fmt: skip
def test_functions_of_a_stack(f, stack):
    found = f(rows.Rows(stack))
    expected = np.stack([f(stack[i, ...]) for i in range(len(stack))])
    found = found.stack if isinstance(found, rows.Rows) else np.broadcast_to(found, expected.shape)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(
    "call",
    [
        np.asarray,
        bool,
        iter,
        float,
        lambda g: g[[0], :, [0]],
        lambda g: np.add(g, 1, out=np.ones((1, 2, 3))),
        lambda g: np.add.at(np.ones((1, 2, 3)), ..., g),
        lambda g: np.copyto(np.ones((1, 2, 3)), g),
        lambda g: np.sum(g, axis=0, out=np.ones((2, 3))),
        lambda g: np.cumprod(g, out=np.ones(6)),
    ],
)
def test_a_stack_is_refused_where_it_would_be_taken_for_one_array(call):
    with pytest.raises((TypeError, ValueError)):
        call(rows.Rows(THREE))
