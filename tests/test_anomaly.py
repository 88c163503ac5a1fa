"""detect_anomaly: the first NaN or infinity raises where it is made."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.hooks import Hook
from minigrad.engine.node import STATE


class Log(nn.Module):
    def forward(self, x):
        return mg.log(x)


def model():
    outer = nn.Module()
    outer.head = Log()
    return outer.head


def test_forward_names_operator_module_line_inputs_and_cause():
    x = mg.tensor([0.0, 1.0, 2.0], requires_grad=True)
    with pytest.raises(mg.AnomalyError) as caught, mg.detect_anomaly():
        model()(x * 1.0)
    message = str(caught.value)
    assert message.startswith("log in head made 1 infinite value")
    assert f'File "{__file__}"' in message
    assert "return mg.log(x)" in message
    assert "min 0, mean 1, max 2, 1 of 3 are zero" in message
    assert "log of zero" in message


@pytest.mark.parametrize(
    ("make", "x", "what", "cause"),
    [
        (lambda x: mg.log(x), [-1.0, 1.0], "1 NaN", "negative number"),
        (lambda x: x / x, [0.0, 1.0], "1 NaN", "0/0 is NaN"),
        (lambda x: 1 / x, [0.0, 0.0], "2 infinite values", "division by zero"),
        (lambda x: mg.exp(x), [100.0, 0.0], "1 infinite value", "overflow"),
        (lambda x: mg.sqrt(x), [-1.0, 0.0], "1 NaN", "Clip"),
        (lambda x: x * x, [1e30, 0.0], "1 infinite value", "learning rate"),
    ],
)
def test_usual_causes(make, x, what, cause):
    x = mg.tensor(x, requires_grad=True)
    with pytest.raises(mg.AnomalyError, match=f"made {what}") as caught, mg.detect_anomaly():
        make(x)
    assert cause in str(caught.value)


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_names_the_forward_line(create_graph):
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    with mg.detect_anomaly():
        y = mg.sqrt(x).sum()
        with pytest.raises(mg.AnomalyError) as caught:
            y.backward(create_graph=create_graph)
    message = str(caught.value)
    assert "the derivative of sqrt" in message
    assert "y = mg.sqrt(x).sum()" in message
    assert "usual cause: the derivative of sqrt at 0 is infinite" in message


def test_backward_only_says_how_to_learn_the_line():
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    y = mg.sqrt(x).sum()
    with pytest.raises(mg.AnomalyError, match="run the forward pass, too"), mg.detect_anomaly():
        y.backward()


def test_a_cotangent_that_comes_in_broken_is_named():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    what = "the gradient that reaches multiply has 1 NaN"
    with pytest.raises(mg.AnomalyError, match=what), mg.detect_anomaly():
        y.backward(mg.tensor([np.nan, 1.0]))


def test_the_operator_that_makes_it_is_blamed_not_those_that_pass_it_on():
    x = mg.tensor([1.0, np.inf])
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.detect_anomaly():
        y = w * x  # the infinity was the user's, as in a mask of attention scores
    assert np.isinf(y.numpy()[1])


def test_without_a_gradient_too():
    with pytest.raises(mg.AnomalyError, match="log made"), mg.detect_anomaly(), mg.no_grad():
        mg.log(mg.tensor([0.0]))


def test_finite_work_is_undisturbed_and_the_mode_restored():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.detect_anomaly():
        mg.log(x).sum().backward()
    assert np.allclose(x.grad.numpy(), [1.0, 0.5])
    assert STATE.get().hook is None
    with np.errstate(divide="ignore"):
        assert np.isinf(mg.log(mg.tensor([0.0])).numpy()[0])


def test_only_this_thread_looks():
    found = []

    def elsewhere():
        with np.errstate(divide="ignore"):
            found.append(mg.log(mg.tensor([0.0])))

    with mg.detect_anomaly():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert np.isinf(found[0].numpy()[0])


def test_is_a_floating_point_error():
    assert issubclass(mg.AnomalyError, FloatingPointError)


def test_hooks_see_the_gradient_of_a_slice_as_a_whole_array():
    found = {}

    class Watch(Hook):
        def backward(self, apply, node, edges, g, tensor):
            found[node.op.name] = apply(node, edges, g, tensor)
            return found[node.op.name]

    x = mg.tensor([2.0, 3.0, 4.0], requires_grad=True)
    with Watch():
        (x * 2.0)[1].backward()
    assert [h.tolist() for h in found["getitem"]] == [[0.0, 1.0, 0.0]]
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


def test_a_layer_without_a_name_is_told_with_its_class():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh(), nn.Linear(2, 1)))
    model[1][1].weight.assign(np.full((1, 2), 3e38, np.float32))
    x = mg.tensor([[9.0, 9.0]])
    model[0].weight.assign(np.full((2, 2), 9.0, np.float32))
    with (
        pytest.raises(mg.AnomalyError, match=r"^linear in 1\.1 \(Linear\) made"),
        mg.detect_anomaly(),
    ):
        model(x)
