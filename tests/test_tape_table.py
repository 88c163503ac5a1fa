"""The tape as a table, and what mg.observe() adds to it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.node import STATE


class Affine(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(np.ones((n, m), np.float32))

    def forward(self, x):
        return x @ self.weight


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = Affine(4, 3)

    def forward(self, x):
        return mg.tanh(self.fc(x))


def recorded(model=None):
    model = model or Net()
    with mg.GradientTape() as tape:
        loss = model(mg.ones((5, 4))).sum()
    return tape, loss, model


def test_a_row_for_each_operator():
    tape, _, _ = recorded()
    matmul, tanh, total = tape.to_records()
    assert [row["op"] for row in (matmul, tanh, total)] == ["matmul", "tanh", "sum"]
    assert matmul["number"] == 1
    assert matmul["module"] == "fc"
    assert matmul["inputs"] == ["constant", "fc.weight"]
    assert matmul["shape"] == (5, 3)
    assert matmul["dtype"] == "float32"
    assert matmul["bytes"] == 5 * 4 * 4  # the input, for the gradient of the weight
    assert tanh["inputs"] == [1]
    assert tanh["bytes"] == 5 * 3 * 4  # its own output
    assert total["inputs"] == [2]


def test_the_text_has_a_line_per_operator_and_totals():
    tape, _, _ = recorded()
    text = str(tape)
    assert text == repr(tape)
    lines = text.splitlines()
    assert [line.split()[1] for line in lines[2:4]] == ["fc", "tanh"]
    assert "3 operators, 140 B kept" in text
    assert "1 leaf with 12 elements" in text


def test_an_array_kept_twice_is_counted_once():
    x = mg.tensor(np.ones(100, np.float32), requires_grad=True)
    with mg.GradientTape() as tape:
        y = mg.exp(x)
        (y * y).sum()
    exp, product, _ = tape.to_records()
    assert exp["bytes"] == 400
    assert product["bytes"] == 0


def test_what_a_gradient_releases_is_said():
    tape, loss, model = recorded()
    tape.gradient(loss, model.fc.weight)
    assert all(row["bytes"] is None for row in tape.to_records())
    assert "released" in str(tape)


def test_a_long_tape_loses_its_middle():
    x = mg.tensor(1.0, requires_grad=True)
    with mg.GradientTape() as tape:
        y = x
        for _ in range(1000):
            y = mg.sin(y)
    text = str(tape)
    assert len(text.splitlines()) < 60
    assert "960 more operators" in text
    assert "\n1000  sin" in text
    assert len(tape.to_records()) == 1000


def test_an_empty_tape():
    assert "0 operators" in str(mg.GradientTape())
    assert mg.GradientTape().to_records() == []


def test_html_escapes_names():
    class Odd(nn.Module):
        def forward(self, x):
            return x * 2.0

    model, odd = nn.Module(), Odd()
    setattr(model, "<b>", odd)
    x = mg.tensor(1.0, requires_grad=True)
    with mg.GradientTape() as tape:
        odd(x)
    page = tape._repr_html_()
    assert page.startswith("<table>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_lines_are_of_the_users_program_and_only_on_request():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as tape:
        mg.sin(x)
    assert tape.to_records()[0]["line"] is None
    assert "mg.observe()" in str(tape)
    with mg.observe(), mg.GradientTape() as tape:
        np.mean(mg.sin(x), axis=0)  # through NumPy's own Python code
    for row in tape.to_records():
        assert row["file"] == __file__
        assert row["line"].startswith("test_tape_table.py:")
    assert "np.mean(mg.sin(x), axis=0)" in tape.nodes[0].seen.line.text
    assert STATE.get().hook is None


def test_values_times_and_gradients_are_observed():
    x = mg.tensor([3.0, 4.0], requires_grad=True)
    with mg.observe():
        with mg.GradientTape() as tape:
            y = mg.square(x)
            z = y.sum()
        tape.gradient(z, x)
    square, total = tape.to_records()
    assert square["values"] == "min 9, mean 12.5, max 16"
    assert square["gradient_norm"] == pytest.approx(np.sqrt(2))
    assert total["gradient_norm"] == pytest.approx(1.0)
    assert x._node.seen.gradient_norm == pytest.approx(10.0)
    assert all(row["seconds"] > 0 and row["backward_seconds"] > 0 for row in (square, total))


def test_observers_nest():
    x = mg.tensor([1.0], requires_grad=True)
    with mg.observe(values=False) as outer, mg.observe(lines=False, time=False):
        mg.sin(x)
        assert STATE.get().hook is not outer
        y = mg.cos(x)
    assert y._node.seen.line is not None
    assert y._node.seen.values is not None


def test_observing_does_not_change_what_is_computed():
    def step():
        tape, loss, model = recorded()
        return tape.gradient(loss, model.fc.weight).numpy()

    plain = step()
    with mg.observe():
        assert np.array_equal(step(), plain)


def test_html_shows_columns_of_numbers_to_the_right_and_what_was_left_out():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as tape:
        for _ in range(50):
            x = x * 2.0
    page = tape._repr_html_()
    rows = page.split("<tr>")[2:]
    assert len(rows) == 20 + 1 + 20
    assert rows[20].startswith('<td>⋮</td><td colspan="5">10 more operators')
    assert '<td style="text-align:right;padding-left:0.5em">1</td>' in page
    assert '<td style="text-align:left;padding-left:0.5em">multiply</td>' in page
