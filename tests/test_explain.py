"""mg.explain: why there is no gradient, and the path where there is one."""

import gc

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.debug.profile import DETACHMENTS


@pytest.fixture(autouse=True)
def _nothing_earlier(monkeypatch):
    monkeypatch.setattr(mg.GradientTape, "latest", None)
    DETACHMENTS.clear()


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0], requires_grad=True)


def says(explanation, *words):
    assert not explanation.connected
    for word in words:
        assert word in explanation


def test_a_path_is_shown_in_the_order_of_the_computation(x):
    found = mg.explain(mg.sin(x * 2).sum(), x)
    assert found.connected
    assert found.path == ("source", "multiply", "sin", "sum")
    assert str(found) == "A gradient flows: source -> multiply -> sin -> sum -> target."
    assert repr(found) == str(found)


def test_a_path_names_parameters_and_modules():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter([2.0])

        def forward(self, x):
            return x * self.factor

    outer = nn.Module()
    outer.inner = Scale()
    y = outer.inner(mg.ones(3))
    assert "inner.factor -> multiply in inner -> target" in mg.explain(y, outer.inner.factor)


def test_a_long_path_loses_its_middle_and_does_not_recurse(x):
    y = x
    for _ in range(5000):
        y = mg.sin(y)
    found = mg.explain(y, x)
    assert len(found.path) == 5001
    assert "(4989 more)" in found
    assert len(found) < 300


def test_lines_are_shown_when_they_were_observed(x):
    with mg.observe(values=False):
        y = mg.sin(x)
    assert "sin (test_explain.py:" in mg.explain(y, x)


def test_not_watched(x):
    says(mg.explain(x * 2, mg.tensor([1.0])), "not watched", "tape.watch(x)", "requires_grad=True")


def test_not_watched_by_this_tape(x):
    with mg.GradientTape(watch_accessed_variables=False) as tape:
        y = x * 2
    assert tape.gradient(y, x) is None
    says(mg.explain(y, x, tape), "this tape does not watch the source")


def test_watched_by_hand():
    x = mg.tensor([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = (x * x).sum()
    assert tape.gradient(y, x) is not None
    assert mg.explain(y, x, tape).connected


def test_watched_too_late():
    x = mg.tensor([1.0, 2.0])
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as tape:
        y = x * w
        tape.watch(x)
        found = mg.explain(y, x, tape)
    says(found, "only after the target had been computed", "watch it first")


def test_integers(x):
    says(mg.explain(x * 2, mg.tensor([1, 2])), "integer tensor (int64)", "astype")
    with mg.observe():
        y = mg.argmax(x * 2)
    says(mg.explain(y, x), "int64 tensor", "argmax, which has no derivative")


WAYS = [
    (lambda h: mg.tensor(np.sin(h.numpy())), ".numpy()"),
    (lambda h: mg.stop_gradient(h) * 3, "stop_gradient"),
    (lambda h: h.detach() * 3, ".detach()"),
    (lambda h: mg.tensor(h.tolist()), ".tolist()"),
    (lambda h: mg.tensor(h.sum().item()), ".item()"),
    (lambda h: mg.floor(h), "floor, which has no derivative"),
    (lambda h: h.astype(np.int64).astype(np.float32), "astype, which has no derivative"),
    (lambda h: (h > 1.0).astype(np.float32), "greater, which has no derivative"),
]
LEAVE = [leave for leave, _ in WAYS]


def test_an_input_for_which_an_operator_has_no_derivative_is_named():
    x, w = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    chosen = mg.where(mg.exp(x), w, 0.0)
    says(mg.explain(chosen.sum(), x), "the only path leads into input 0 of where", "no derivative")
    assert mg.explain(chosen + x, x).connected
    assert mg.explain(chosen, w).connected


@pytest.mark.parametrize(("leave", "how"), WAYS)
def test_left_the_graph(x, leave, how):
    with mg.observe(), mg.GradientTape() as tape:
        h = x * x
        y = leave(h).sum()
    assert tape.gradient(y, x) is None
    says(mg.explain(y, x, tape), "left the graph through", how, "at test_explain.py:")
    says(mg.explain(y, x), how)  # and without being told the tape


@pytest.mark.parametrize("leave", LEAVE)
def test_without_observation_the_ways_out_and_the_remedy_are_named(x, leave):
    with mg.GradientTape() as tape:
        y = leave(x * x).sum()
    for found in (mg.explain(y, x, tape), mg.explain(y, x)):
        says(found, "A value leaves the graph under no_grad(), through .numpy()")
        says(found, "Remedy: run the computation again inside `with mg.observe():`")


def test_outside_observe_nothing_is_logged(x):
    with mg.observe():
        pass
    for leave in LEAVE:
        leave(x * x)
    with mg.no_grad():
        x * x
    assert not DETACHMENTS


def test_observation_logs_once_and_under_other_hooks(x):
    with mg.observe(), mg.observe(), mg.detect_anomaly():
        (x * x).numpy()
    assert [d.how for d in DETACHMENTS] == [".numpy()"]


def test_a_target_that_is_no_tensor_any_more(x):
    with mg.observe():
        y = (x * 2).numpy()
    says(mg.explain(y, x), "an ndarray", "left the graph through .numpy()")


def test_no_grad(x):
    with mg.observe(), mg.GradientTape() as tape:
        with mg.no_grad():
            h = x * 2
        y = (h * x).sum()
    says(
        mg.explain(h, x, tape),
        "under no_grad() at test_explain.py:",
        "Remedy: compute it outside no_grad()",
    )
    says(mg.explain(y, h, tape), "not watched")


def test_one_branch_that_left_does_not_hide_the_one_that_stayed(x):
    y = (mg.stop_gradient(x) * x).sum()
    assert mg.explain(y, x).connected


def test_made_before_the_tape_opened(x):
    h = x * x
    with mg.GradientTape() as tape:
        y = (h + 1).sum()
    assert tape.gradient(y, x) is None
    says(mg.explain(y, x, tape), "result of multiply", "before the tape opened")


def test_made_after_the_tape_closed(x):
    with mg.GradientTape() as tape:
        h = x * x
    y = mg.sin(h)
    assert tape.gradient(y, x) is None
    says(mg.explain(y, x, tape), "result of sin", "after the tape had closed")


def test_stop_recording(x):
    with mg.GradientTape() as tape:
        h = x * x
        with tape.stop_recording():
            k = mg.exp(h)
        y = k.sum()
    assert tape.gradient(y, x) is None
    says(mg.explain(y, x, tape), "result of exp", "stop_recording()")


def test_no_path(x):
    w = mg.tensor([3.0], requires_grad=True)
    with mg.GradientTape() as tape:
        y = (w * 2).sum()
        mg.sin(x)
    says(mg.explain(y, x, tape), "no path", "used by sin, which leads elsewhere")
    with mg.GradientTape() as tape:
        y = (w * 2).sum()
    says(mg.explain(y, x, tape), "no path", "no operator that uses the source")


@pytest.mark.parametrize(
    ("f", "operator"),
    [
        (lambda x: (-x).relu().sum(), "relu"),
        (lambda x: mg.where(np.array([True, True]), 1.0, x).sum(), "where"),
        (lambda x: mg.maximum(x, 5.0).sum(), "maximum"),
        (lambda x: (x * 0.0).sum(), "multiply"),
    ],
)
def test_a_zero_gradient_and_where_it_vanishes(x, f, operator):
    y = f(x)
    found = mg.explain(y, x)
    assert found.connected
    assert f"The gradient is zero, although there is a path: it vanishes in {operator}" in found
    y.backward()  # explaining has used nothing up
    assert not np.any(x.grad.numpy())


def test_contributions_that_cancel(x):
    assert "cancel" in mg.explain((x - x).sum(), x)


def test_a_used_up_graph_still_has_a_path(x):
    y = (x * x).sum()
    y.backward()
    assert mg.explain(y, x).path == ("source", "multiply", "sum")


def test_what_is_no_tensor_is_refused(x):
    with pytest.raises(TypeError, match="explain: the source must be a tensor, got list"):
        mg.explain(x, [x])


def test_notes_keep_nothing_alive(x):
    y = x * 2
    node = y._node
    with mg.observe():
        y.numpy()
    assert DETACHMENTS
    assert node not in [
        one for holder in gc.get_referrers(node) if isinstance(holder, tuple) for one in holder
    ]


def test_without_a_tape_the_latest_detachment_is_named_as_such(x):
    with mg.observe():
        y = mg.tensor(np.sin((x * 2).numpy()))
    says(mg.explain(y, x), "Most recently, the result of multiply left the graph", ".numpy()")
    w = mg.tensor([3.0], requires_grad=True)
    with mg.observe():
        (w * w).sum().item()
    found = mg.explain((w * 2).sum(), x)
    says(found, "nothing that the target was computed from depends on the source")
    assert "On the way" not in found


def test_the_tape_opened_last_is_found_by_itself(x, monkeypatch):
    monkeypatch.undo()
    h = x * x
    with mg.GradientTape() as tape:
        y = (h + 1).sum()
    says(mg.explain(y, x), "before the tape opened")
    z = mg.sin(x)
    assert mg.explain(z, x).connected  # backward() may have been asked
    assert "For the tape opened last there is none" in mg.explain(z, x)
    del tape
    assert "tape" not in mg.explain(y, x)
