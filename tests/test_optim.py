"""The optimizers, step for step beside PyTorch's."""

import tracemalloc
import weakref

import numpy as np
import pytest
from optim_cases import CASES, give, gradients, tensors, torch, values

import minigrad as mg
from minigrad import nn, optim

__all__ = ["torch"]  # a fixture


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_equals_pytorch_for_25_steps(torch, name, settings, dtype):
    ours, theirs = (
        tensors(values(dtype)),
        [torch.tensor(v, requires_grad=True) for v in values(dtype)],
    )
    optimizer = getattr(optim, name)(ours, **settings)
    oracle = getattr(torch.optim, name)(theirs, **settings)
    rtol = 1e-12 if dtype == np.float64 else 3e-6
    for arrays in gradients(dtype):
        give(ours, arrays, mg.tensor)
        give(theirs, arrays, torch.tensor)
        optimizer.step()
        oracle.step()
        for p, q in zip(ours, theirs, strict=True):
            assert p.dtype == dtype
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol, rtol)


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam"]
)
def test_defaults_are_those_of_pytorch(torch, name):
    oracle = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    for setting, value in getattr(optim, name)().defaults.items():
        assert value == oracle[setting], setting


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_apply_gradients_does_what_step_does(name, settings):
    by_step, by_pairs = tensors(values(np.float32)), tensors(values(np.float32))
    stepping, applying = getattr(optim, name)(by_step, **settings), getattr(optim, name)(**settings)
    for arrays in gradients(np.float32, 6):
        give(by_step, arrays, mg.tensor)
        stepping.step()
        grads = [None if g is None else mg.tensor(g) for g in arrays]
        applying.apply_gradients(zip(grads, by_pairs, strict=True))
    for p, q in zip(by_step, by_pairs, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize(
    "name", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam"]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_of_parameters_and_state_stays(name, dtype):
    params = tensors(values(dtype))
    settings = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)(params, **settings, weight_decay=0.1)
    for arrays in gradients(np.float64, 3):  # of another dtype than the parameters
        optimizer.apply_gradients(zip(arrays, params, strict=True))
    assert [p.dtype for p in params] == [dtype] * 4
    for p in params:
        for value in optimizer.state[p].values():
            assert not isinstance(value, mg.Tensor) or value.dtype == dtype
        assert optimizer.state[p]


def test_one_optimizer_takes_parameters_of_several_dtypes():
    mixed = [np.float32, np.float64, np.float16, np.float32]
    params = [mg.tensor(np.ones(2, dtype), requires_grad=True) for dtype in mixed]
    optim.SGD(lr=0.5).apply_gradients([(np.ones(2, np.float32), p) for p in params])
    assert [p.dtype for p in params] == mixed
    assert [p.tolist() for p in params] == [[0.5, 0.5]] * 4


def test_a_parameter_larger_than_a_chunk_is_updated_throughout(monkeypatch):
    monkeypatch.setattr("minigrad.optim.buffer.CHUNK_SIZE", 5)
    shapes = [(3,), (4, 4), (0,), (2,), (11,)]
    params, whole = tensors(values(np.float64, shapes)), values(np.float64, shapes)
    optimizer = optim.SGD(params, lr=0.5, weight_decay=0.1)
    for arrays in gradients(np.float64, 8, shapes):
        give(params, arrays, mg.tensor)
        optimizer.step()
        for i, g in enumerate(arrays):
            if g is not None:
                whole[i] = whole[i] - 0.5 * (g + 0.1 * whole[i])
    for p, expected in zip(params, whole, strict=True):
        np.testing.assert_allclose(p.numpy(), expected, 1e-14, 1e-14)


def test_a_parameter_without_gradient_is_neither_decayed_nor_counted():
    used, unused = tensors(values(np.float32, [(3,), (3,)]))
    before = unused.numpy()
    optimizer = optim.AdamW([used, unused], weight_decay=0.5)
    used.grad = mg.ones(3)
    optimizer.step()
    np.testing.assert_array_equal(unused.numpy(), before)
    assert set(optimizer.state) == {used}


def test_zeroed_gradients_still_decay():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5, weight_decay=1.0)
    w.grad = mg.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.step()
    assert w.tolist() == [0.5, 1.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_a_shared_parameter_is_updated_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
            self.decode = self.encode

        def forward(self, x):
            return x @ self.encode @ self.decode.T

    model = Tied()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    before, shared = model.encode.numpy(), model.encode
    model(mg.ones((1, 2))).sum().backward()
    gradient = shared.grad.numpy()
    optimizer.step()
    assert model.decode is model.encode is shared
    np.testing.assert_allclose(model.encode.numpy(), before - 0.5 * gradient)


def test_steps_of_equal_history_and_of_different_history_agree():
    """Parameters with equal counts of steps are updated as one; others must not follow them."""
    alone, together = tensors(values(np.float64)), tensors(values(np.float64))
    separate = [optim.Adam([p], lr=0.1) for p in alone]
    joint = optim.Adam(together, lr=0.1)
    for step, arrays in enumerate(gradients(np.float64, 12)):
        kept = [g if step >= 2 * i else None for i, g in enumerate(arrays)]
        give(alone, kept, mg.tensor)
        give(together, kept, mg.tensor)
        for one in separate:
            one.step()
        joint.step()
    for p, q in zip(alone, together, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_a_closure_computes_the_gradients_and_its_loss_is_returned():
    w = mg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert w.tolist() == [1.0]
    assert optimizer.step() is None


def test_optimizers_take_groups_or_tensors():
    p, q = (mg.tensor(np.ones(1), requires_grad=True) for _ in range(2))
    for mixed in ([{"params": [p]}, q], [{"params": [p]}, None]):
        with pytest.raises(TypeError, match="SGD: a group is a dict with 'params', got"):
            optim.SGD(mixed, lr=0.1)
    with pytest.raises(TypeError, match="SGD: "):
        optim.SGD([p, {"params": [q]}], lr=0.1)


def test_a_graph_from_before_the_step_refuses_its_backward_pass():
    w = mg.tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    w.grad = mg.ones(1)
    optim.SGD([w], lr=0.25).step()
    with pytest.raises(RuntimeError, match="updated in place"):
        loss.backward()


def test_what_was_read_before_the_step_does_not_change():
    w = mg.tensor([2.0], requires_grad=True)
    g = mg.ones(1)
    w.grad = g
    optimizer = optim.SGD([w], lr=0.25, momentum=0.9, weight_decay=1.0, nesterov=True)
    optimizer.step()
    array, constant, state = w.numpy(), w.detach(), optimizer.state[w]["momentum_buffer"]
    seen = [array.copy(), constant.numpy().copy(), state.numpy().copy()]
    optimizer.step()
    np.testing.assert_array_equal([array, constant.numpy(), state.numpy()], seen)
    assert g.tolist() == [1.0]


def test_the_array_a_parameter_was_made_of_does_not_change():
    array = np.ones(2, np.float32)
    w = mg.tensor(array, requires_grad=True)
    constant = mg.tensor(array).detach()
    shared = constant.detach()
    shared.requires_grad = True
    optimizer = optim.SGD(lr=0.5)
    optimizer.apply_gradients([(mg.ones(2), w), (mg.ones(2), shared)])
    assert array.tolist() == constant.tolist() == [1.0, 1.0]
    assert w.tolist() == shared.tolist() == [0.5, 0.5]


def test_a_graph_that_holds_a_frozen_parameter_keeps_its_value():
    w, x = nn.Parameter([2.0]), mg.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    w.grad = mg.ones(1)
    optimizer.step()
    w.requires_grad = False
    y = (w * x).sum()
    w.requires_grad = True
    w.grad = mg.ones(1)
    optimizer.step()
    y.backward()
    assert (w.item(), x.grad.item()) == (1.0, 1.5)


def test_a_model_that_changes_its_dtype_keeps_its_state():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    model(mg.ones((1, 2))).sum().backward()
    optimizer.step()
    model.to(np.float64)
    expected = model.weight.numpy() - 0.5 * (0.5 + 1.0)
    model.zero_grad()
    model(mg.ones((1, 2), np.float64)).sum().backward()
    optimizer.step()
    assert model.weight.dtype == np.float64
    np.testing.assert_allclose(model.weight.numpy(), expected)


def test_a_value_assigned_between_steps_is_kept():
    w = nn.Parameter([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.5)
    w.grad = mg.ones(2)
    optimizer.step()
    w.assign([10.0, 20.0])
    optimizer.step()
    assert w.tolist() == [9.5, 19.5]
    w.requires_grad = False
    w.assign([3.0, 4.0])  # replaces the buffer
    w.requires_grad = True
    w.grad = mg.ones(2)
    optimizer.step()
    assert w.tolist() == [2.5, 3.5]


def test_two_optimizers_may_take_turns_on_one_parameter():
    w = nn.Parameter([1.0, 2.0])
    first, second = optim.SGD([w], lr=0.5), optim.SGD([w], lr=0.25)
    w.grad = mg.ones(2)
    for optimizer in (first, second, first):
        optimizer.step()
    assert w.tolist() == [-0.25, 0.75]


def test_settings_may_change_between_steps():
    w = mg.tensor(np.ones(2), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    w.grad = mg.ones(2, np.float64)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = np.float64(0.25)
    optimizer.param_groups[0]["momentum"] = 0.5  # brings a buffer with it
    optimizer.step()
    optimizer.step()
    assert w.tolist() == [0.5 - 0.25 - 0.25 * 1.5] * 2


@pytest.mark.parametrize("name", ["lr", "learning_rate", "momentum", "weight_decay"])
def test_a_setting_written_to_the_optimizer_itself_is_refused(name):
    w = mg.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    key = "lr" if name == "learning_rate" else name
    with pytest.raises(AttributeError, match=rf"group\['{key}'\] = 0.5") as failed:
        setattr(optimizer, name, 0.5)
    exec(str(failed.value).split("write\n")[1].strip(), {"optimizer": optimizer})
    assert optimizer.param_groups[0][key] == 0.5
    optimizer.note = "mine"  # other names are free


def test_divergence_shows_in_the_values_and_not_as_warnings():
    w = mg.tensor(np.full(3, 1e300), requires_grad=True)
    optimizer = optim.Adam([w])
    w.grad = mg.tensor(np.array([1e300, np.inf, 1.0]))
    optimizer.step()
    assert np.isnan(w.numpy()[1])


def test_a_step_allocates_nothing_once_it_has_run():
    params = tensors(values(np.float32, [(200, 200), (200,)]))
    for p in params:
        p.grad = mg.ones(p.shape)
    optimizer = optim.Adam(params, weight_decay=0.1, amsgrad=True)
    optimizer.step()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(3):
        optimizer.step()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 8_000  # small Python objects, where one array of floats has 160,000
    assert after - before < 2_000


@pytest.mark.parametrize("large", [1.0, 1e25], ids=["", "too large to square"])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_step_leaves_the_gradients_as_they_are(name, settings, large):
    p = mg.tensor(np.linspace(0.5, 1.0, 6, dtype=np.float32), requires_grad=True)
    g = np.linspace(-1.0, 1.0, 6, dtype=np.float32) * np.float32(large)
    p.grad = mg.tensor(g)
    optimizer = getattr(optim, name)([p], **settings)
    for _ in range(2):
        optimizer.step()
        np.testing.assert_array_equal(p.grad.numpy(), g)
    gradient = weakref.ref(p.grad._data)
    p.grad = None
    assert gradient() is None, "the optimizer keeps no gradient"


def test_the_memory_of_an_optimizer_begins_at_different_places_of_a_page():
    p = mg.ones(70_000)
    p.requires_grad = True
    optimizer = optim.Adam([p])
    optimizer.apply_gradients([(mg.ones(70_000), p)])
    buffer = optimizer._buffers[0][0]
    arrays = [buffer.data, *buffer.state.values(), *buffer.scratch]
    places = [a.__array_interface__["data"][0] % 4096 for a in arrays]
    assert len(set(places)) == 6
    assert all(place % 64 == 0 for place in places)


def test_training_reaches_the_minimum_by_tape_and_by_backward():
    for name, lr in (("SGD", 0.05), ("Adam", 0.1), ("NAdam", 0.1), ("RMSprop", 0.05)):
        w = mg.tensor(np.zeros(3), requires_grad=True)
        goal = np.array([1.0, -2.0, 3.0])
        optimizer = getattr(optim, name)(lr=lr)
        for _ in range(300):
            with mg.GradientTape() as tape:
                loss = ((w - goal) ** 2).sum()
            optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w], strict=True))
        np.testing.assert_allclose(w.numpy(), goal, atol=0.1)


@pytest.mark.parametrize("dampening", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_dampening_follows_its_formula(momentum, dampening):
    w = mg.tensor(np.zeros(2), requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0, momentum=momentum, dampening=dampening)
    expected, b = np.zeros(2), None
    for g in np.random.default_rng(0).normal(size=(4, 2)):
        optimizer.apply_gradients([(mg.tensor(g), w)])
        b = g if b is None else momentum * b + (1.0 - dampening) * g
        expected = expected - b
        np.testing.assert_allclose(w.numpy(), expected, 1e-12)


@pytest.mark.parametrize("beta2", [0.5, 0.7, 0.8, 0.9, 0.999])
def test_radam_trusts_the_second_moment_as_far_as_it_is_known(beta2):
    rng, p = np.random.default_rng(0), mg.tensor(np.array([1.0, -2.0]), requires_grad=True)
    optimizer = optim.RAdam([p], lr=0.1, betas=(0.8, beta2), eps=1e-8)
    expected, m, v = p.numpy().copy(), 0.0, 0.0
    limit = 2 / (1 - beta2) - 1
    for t in range(1, 16):
        g = rng.normal(size=2)
        p.grad = mg.tensor(g)
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, beta2 * v + (1 - beta2) * g * g
        step = m / (1 - 0.8**t)
        length = limit - 2 * t * beta2**t / (1 - beta2**t)
        if length > 5:
            trust = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            step = step * np.sqrt(trust * (1 - beta2**t)) / (np.sqrt(v) + 1e-8)
        expected = expected - 0.1 * step
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-11)


# -- L-BFGS ----------------------------------------------------------------------------------------


def rosenbrock(p):
    x, y = p[:, 0], p[:, 1]
    return ((1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lbfgs_with_a_line_search_finds_the_end_of_a_curved_valley(dtype):
    p = mg.tensor(np.array([[-1.2, 1.0], [2.0, -3.0]], dtype), requires_grad=True)
    optimizer = optim.LBFGS([p], max_iter=200, tolerance_change=0.0, line_search_fn="strong_wolfe")
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        calls.append(loss.item())
        return loss

    first = optimizer.step(closure)
    assert first.item() == calls[0]
    np.testing.assert_allclose(
        p.numpy(), np.ones((2, 2)), atol=1e-3 if dtype == np.float32 else 1e-6
    )
    assert p.dtype == dtype
    assert len(calls) < 150


def test_every_step_of_the_line_search_meets_the_strong_wolfe_conditions():
    from minigrad.optim.lbfgs import Point, strong_wolfe

    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c = rng.uniform(0.1, 3.0, 3)

        def at(t, a=a, b=b, c=c):
            slope = -a + 2.0 * b * t + c * np.cos(5.0 * t)
            return Point(
                t, -a * t + b * t * t + 0.2 * c * np.sin(5.0 * t), np.array([slope]), slope
            )

        start = at(0.0)
        if start.slope >= -0.05:
            continue
        found, tried = strong_wolfe(at, start, float(10.0 ** rng.uniform(-3, 2)), 1e-12)
        assert tried < 25
        assert found.loss <= start.loss + 1e-4 * found.t * start.slope
        assert abs(found.slope) <= 0.9 * abs(start.slope)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: optim.LBFGS([p]).step(), TypeError, r"step\(closure\)"),
        (lambda p: optim.LBFGS([p], line_search_fn="armijo"), ValueError, "'strong_wolfe' or None"),
        (lambda p: optim.LBFGS([{"params": [p]}, {"params": [mg.tensor([1.0], requires_grad=True)]}]),
         ValueError, "one group"),
    ],
)  # fmt: skip
def test_lbfgs_says_what_it_needs(make, error, words):
    with pytest.raises(error, match=words):
        make(mg.tensor([1.0], requires_grad=True))


def test_lbfgs_learns_nothing_from_where_the_loss_curves_down():
    x = mg.tensor(np.array([0.3]), requires_grad=True)
    optimizer = optim.LBFGS([x], lr=0.1, max_iter=4)

    def closure():
        optimizer.zero_grad()
        loss = np.cos(x).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = 0.3
    for _ in range(4):  # plain steps downhill, of which none is scaled by what the last one saw
        expected += 0.1 * np.sin(expected)
    np.testing.assert_allclose(x.numpy(), [expected], rtol=1e-12)


def test_lbfgs_takes_a_length_at_which_the_slope_is_less_than_nine_tenths():
    x = mg.tensor(np.array([1.0]), requires_grad=True)
    optimizer = optim.LBFGS([x], lr=0.5, max_iter=1, line_search_fn="strong_wolfe")
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (x * x).sum()
        loss.backward()
        seen.append(x.item())
        return loss

    optimizer.step(closure)
    assert (seen, x.item()) == ([1.0, 0.5], 0.5)


@pytest.mark.parametrize(
    ("slope", "curved", "least", "small", "asked"),
    [
        # The loss is slope x + curved (x - 1)**2 / 2, from x = 1 on.
        (0.5, 0.0, 0.5, 0.0, 1),  # the gradient is small at once
        (0.5, 0.0, np.nextafter(0.5, 0.0), 0.0, 3),
        (0.5, 0.5, 0.375, 0.0, 2),  # after one move
        (0.5, 0.5, np.nextafter(0.375, 0.0), 0.0, 3),
        (0.5, 0.0, 0.0, 0.25, 1),  # the slope along the line, -0.25
        (0.5, 0.0, 0.0, np.nextafter(0.25, 0.0), 2),  # the loss falls by 0.125
        (2.0, 0.0, 0.0, 0.5, 2),  # the move
        (2.0, 0.0, 0.0, np.nextafter(0.5, 0.0), 3),
    ],
)
def test_lbfgs_ends_where_a_number_is_exactly_as_small_as_it_may_be(
    slope, curved, least, small, asked
):
    x = mg.tensor(np.array([1.0]), requires_grad=True)
    optimizer = optim.LBFGS(
        [x], lr=0.5, max_iter=3, max_eval=99, tolerance_grad=least, tolerance_change=small
    )
    calls = []

    def closure():
        optimizer.zero_grad()
        calls.append(x.item())
        loss = (slope * x + 0.5 * curved * (x - 1.0) ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert len(calls) == asked
    assert optimizer.steps == 1


@pytest.mark.parametrize(
    ("curvature", "learned"), [(1e-10, False), (np.nextafter(1e-10, 1.0), True)]
)
def test_lbfgs_learns_from_a_curvature_above_its_bound(curvature, learned):
    optimizer = optim.LBFGS([mg.tensor(np.zeros(1), requires_grad=True)])
    optimizer._before = np.zeros(1), np.ones(1), 1.0
    direction = optimizer._direction(np.array([curvature]), 5)
    np.testing.assert_allclose(direction, [-1.0] if learned else [-curvature], rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "LBFGS"])
def test_a_closure_is_a_function(name):
    x = mg.tensor([1.0], requires_grad=True)
    optimizer = getattr(optim, name)([x])
    for wrong in (5, 0.0, "loss", x):
        with pytest.raises(TypeError, match=r"step.* function"):
            optimizer.step(wrong)
    assert x.tolist() == [1.0]


# -- L-BFGS: the cubic through two points ----------------------------------------------------------


def test_the_minimum_of_a_cubic_is_found_from_any_two_points_around_it():
    from minigrad.optim.lbfgs import Point, _between

    def at(t):  # its minimum is at 0.3, its maximum at -0.5666...
        return Point(t, (t - 0.3) ** 2 * (t + 1), np.zeros(1), (t - 0.3) * (3 * t + 1.7))

    for a, b in [(0.0, 1.0), (1.0, 0.0), (0.25, 0.5), (-0.5, 0.4), (0.3, 2.0)]:
        assert _between(at(a), at(b), -1.0, 2.0) == pytest.approx(0.3)
    assert _between(at(0.0), at(1.0), 0.4, 0.8) == 0.4  # inside what is allowed
    assert _between(at(0.0), at(1.0), -0.8, 0.2) == 0.2
    # Where there is none, the middle: one point, a line, and a cubic that only rises or is not finite.
    rising = [Point(t, t**3 + t, np.zeros(1), 3 * t * t + 1) for t in (-1.0, 1.0)]
    line = [Point(t, 2.0 * t, np.zeros(1), 2.0) for t in (0.0, 1.0)]
    broken = [at(0.0), Point(1.0, np.inf, np.zeros(1), 1.0)]
    for pair in ([at(0.5), at(0.5)], rising, line, broken):
        assert _between(*pair, 0.0, 3.0) == 1.5


# -- L-BFGS, written down once more: every point at which it looks ---------------------------------


def lowest_of_cubic(a, b, least, most):
    """The minimum of the cubic through two points (t, loss, slope), by its coefficients."""
    (t, f, s), (u, g, r) = sorted([a, b])
    middle = (least + most) / 2
    if t == u:
        return middle
    h = u - t
    c2, c3 = (3 * (g - f) / h - 2 * s - r) / h, (s + r - 2 * (g - f) / h) / h / h
    inside = c2 * c2 - 3 * c3 * s
    if not 0 <= inside < np.inf:
        return middle
    below = np.sqrt(inside) + c2  # the root of the slope where the curve turns upwards
    return min(max(t - s / below, least), most) if below else middle


def search_by_hand(at, start, t, small):
    """Nocedal and Wright, algorithms 3.5 and 3.6; points are (t, loss, slope, largest of g)."""
    _, loss, slope, _ = start
    tried = []

    def look(t):
        tried.append((t, *at(t)))
        p = tried[-1]
        return p, not p[1] <= loss + 1e-4 * p[0] * slope, abs(p[2]) <= -0.9 * slope

    low = start
    for i in range(25):
        p, too_high, flat = look(t)
        if too_high or (i and p[1] >= low[1]):
            high = p
            break
        if flat:
            return p, tried
        if p[2] >= 0:
            low, high = p, low
            break
        low, t = p, lowest_of_cubic(low[:3], p[:3], 1.01 * p[0], 10 * p[0])
    else:
        return low, tried
    while len(tried) < 25 and abs(high[0] - low[0]) * low[3] >= small:
        near, far = min(low[0], high[0]), max(low[0], high[0])
        edge = 0.1 * (far - near)
        p, too_high, flat = look(lowest_of_cubic(low[:3], high[:3], near + edge, far - edge))
        if too_high or p[1] >= low[1]:
            high = p
        elif flat:
            return p, tried
        else:
            low, high = p, low if p[2] * (high[0] - low[0]) >= 0 else high
    return low, tried


#: Losses along a line, and their slopes.
LINES = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "steep": (lambda t: np.exp(2 * t) - 40 * t, lambda t: 2 * np.exp(2 * t) - 40),
    "waves": (lambda t: 0.3 * np.sin(7 * t) - t + t * t / 9, lambda t: 2.1 * np.cos(7 * t) - 1 + 2 * t / 9),
    "falling": (lambda t: -(t**1.5) - t, lambda t: -1.5 * t**0.5 - 1),
    "corner": (lambda t: abs(t - 1.3) + 0.1 * t**3, lambda t: np.sign(t - 1.3) + 0.3 * t * t),
    "wall": (lambda t: -(t**1.5) - t if t < 0.7 else np.inf, lambda t: -1.5 * t**0.5 - 1 if t < 0.7 else np.nan),
    "hole": (lambda t: -(t**1.5) - t if t < 0.7 else np.nan, lambda t: -1.5 * t**0.5 - 1 if t < 0.7 else np.nan),
    "uphill": (lambda t: -1e-9 * t + t**2, lambda t: -1e-9 + 2 * t),
    "quartic": (lambda t: (t - 1) ** 4 - 0.1 * t, lambda t: 4 * (t - 1) ** 3 - 0.1),
    # Numbers that equal a bound of the conditions, or that rounding makes equal.
    "as low as at first": (lambda t: -t * (t - 1) ** 2, lambda t: -((t - 1) ** 2) - 2 * t * (t - 1)),
    "just low enough": (lambda t: -t * (t - 1) ** 2 - 1e-4 * t * t, lambda t: -((t - 1) ** 2) - 2 * t * (t - 1) - 2e-4 * t),
    "just flat enough": (lambda t: -t + 0.05 * t * t, lambda t: -1 + 0.1 * t),
    "high up": (lambda t: 1e18 + (t - 3) ** 2, lambda t: 2 * (t - 3)),
}  # fmt: skip


@pytest.mark.parametrize("t", [1e-3, 0.4, 1.0, 8.0])
@pytest.mark.parametrize("name", LINES)
def test_the_line_search_looks_where_the_textbook_does(name, t):
    from minigrad.optim.lbfgs import Point, strong_wolfe

    loss, slope = LINES[name]
    looked = []

    def at(t):
        looked.append(t)
        return Point(t, float(loss(t)), np.array([0.0, -3.0 * slope(t)]), float(slope(t)))

    with np.errstate(over="ignore"):
        start = at(0.0)
        for small in (0.0, 1e-9, 0.5):
            del looked[:]
            found, count = strong_wolfe(at, start, t, small)
            (expected, *_), tried = search_by_hand(
                lambda t: (float(loss(t)), float(slope(t)), abs(3.0 * slope(t))),
                (0.0, start.loss, start.slope, abs(3.0 * start.slope)),
                t,
                small,
            )
            assert count == len(looked) == len(tried)
            np.testing.assert_allclose(looked, [p[0] for p in tried], rtol=1e-7)
            assert found.t == pytest.approx(expected, rel=1e-7)


def moves_by_hand(f, x, steps, lr, max_iter, limit, least, small, history, wolfe):
    """L-BFGS with the matrix H itself; the points at which it asks for the loss."""
    asked, pairs, before = [], [], None

    def look(x):
        asked.append(x)
        return f(x)

    for _ in range(steps):
        (loss, g), count = look(x), 1
        if np.abs(g).max() <= least:
            continue
        for move in range(max_iter):
            fresh = before is None
            if not fresh:
                y, s = g - before[0], before[1]
                if y @ s > 1e-10:
                    pairs = [*pairs, (y, s)][-history:]
                    scale = (y @ s) / (y @ y)
            h = np.eye(len(x)) * (scale if pairs else 1.0)
            for y, s in pairs:
                turn = np.eye(len(x)) - np.outer(s, y) / (y @ s)
                h = turn @ h @ turn.T + np.outer(s, s) / (y @ s)
            d = -h @ g
            t = min(1.0, 1.0 / np.abs(g).sum()) * lr if fresh else lr
            if g @ d >= -small:
                break
            old, at, gone = loss, x, g
            if wolfe:
                line = {}

                def along(t, at=at, d=d, line=line):
                    line[t] = look(at + t * d)
                    value, g = line[t]
                    return value, g @ d, np.abs(g).max()

                start = (0.0, loss, g @ d, np.abs(g).max())
                (t, loss, *_), tried = search_by_hand(along, start, t, small)
                count += len(tried)
                g = line[t][1] if t else g
                x = at + t * d
            else:
                x = at + t * d
                if move < max_iter - 1:
                    loss, g = look(x)
                    count += 1
            before = gone, t * d
            ends = count >= limit, np.abs(g).max() <= least, np.abs(t * d).max() <= small
            if any(ends) or abs(loss - old) < small:
                break
    return asked, x


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"lr": 0.3},
        {"max_iter": 3},
        {"max_iter": 9},  # 11 evaluations
        {"max_eval": 5},
        {"history": 2},
        {"history": 1},
        {"least": 0.5},
        {"small": 0.02},
        {"small": 0.3},
        {"steps": 3, "max_iter": 2},
        {"steps": 3, "max_iter": 1},
        {"steps": 2, "max_iter": 4, "lr": 1e-3},
    ],
    ids=str,
)
@pytest.mark.parametrize("wolfe", [False, True])
def test_lbfgs_looks_where_the_textbook_does(wolfe, changed):
    wanted = {"steps": 1, "lr": 1.0, "max_iter": 20, "max_eval": None, "history": 100,
              "least": 1e-7, "small": 1e-9} | changed  # fmt: skip
    scales = np.array([1.0, 4.0, 9.0, 0.5, 2.0])

    def losses(x):
        return (scales * (x - 1) ** 2).sum() + 0.1 * (x[1:] * x[:-1]).sum() ** 2

    def reference(x):
        cross = (x[1:] * x[:-1]).sum()
        g = 2 * scales * (x - 1)
        g[:-1] += 0.2 * cross * x[1:]
        g[1:] += 0.2 * cross * x[:-1]
        return losses(x), g

    start = np.array([-1.0, 0.5, 2.0, 3.0, 0.1])
    params = [mg.tensor(part, requires_grad=True) for part in (start[:2], start[2:].reshape(3, 1))]
    unused = mg.tensor(np.ones((2, 2)), requires_grad=True)
    optimizer = optim.LBFGS(
        [*params, unused],
        lr=wanted["lr"],
        max_iter=wanted["max_iter"],
        max_eval=wanted["max_eval"],
        tolerance_grad=wanted["least"],
        tolerance_change=wanted["small"],
        history_size=wanted["history"],
        line_search_fn="strong_wolfe" if wolfe else None,
    )
    asked = []

    def closure():
        optimizer.zero_grad()
        x = mg.concatenate([p.reshape(-1) for p in params])
        asked.append(x.numpy().copy())
        loss = losses(x)
        loss.backward()
        return loss

    first = [optimizer.step(closure).item() for _ in range(wanted["steps"])]
    limit = wanted.pop("max_eval") or wanted["max_iter"] * 5 // 4
    expected, end = moves_by_hand(reference, start, limit=limit, wolfe=wolfe, **wanted)
    assert len(asked) == len(expected)
    np.testing.assert_allclose(asked, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        np.concatenate([p.numpy().ravel() for p in params]), end, rtol=1e-6, atol=1e-9
    )
    assert first[0] == pytest.approx(reference(start)[0], rel=1e-12)
    np.testing.assert_array_equal(unused.numpy(), np.ones((2, 2)))
