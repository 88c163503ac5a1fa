"""The picture of a computation: what is drawn, how it is written, and what is refused."""

import builtins
import shutil

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Affine(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(np.ones((n, m), np.float32))
        self.bias = nn.Parameter(np.zeros(m, np.float32))

    def forward(self, x):
        return x @ self.weight + self.bias


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = Affine(4, 3)
        self.fc2 = Affine(3, 2)

    def forward(self, x):
        return self.fc2(mg.tanh(self.fc1(x)))


def net_loss():
    model, x = Net(), mg.ones((5, 4))
    return (model(x) ** 2).mean(), dict(model.named_parameters(), x=x)


@pytest.fixture
def without_dot(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


def test_names_operators_parameters_inputs_and_outputs():
    loss, params = net_loss()
    source = mg.make_dot(loss, params).source
    for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "matmul", "tanh", "mean"):
        assert name in source
    assert source.count("matmul") >= 2


def test_the_same_program_gives_the_same_text():
    loss, params = net_loss()
    first = mg.make_dot(loss, params).source
    again, params = net_loss()
    assert mg.make_dot(again, params).source == first


def test_can_be_drawn_after_the_gradient():
    model = Net()
    with mg.GradientTape() as tape:
        loss = (model(mg.ones((5, 4))) ** 2).mean()
    tape.gradient(loss, list(model.parameters()))
    source = mg.make_dot(loss, dict(model.named_parameters())).source
    assert "fc2.weight" in source
    assert "matmul" in source


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_saves_by_suffix_without_dot(tmp_path, suffix, without_dot):
    pytest.importorskip("pygraphviz")
    loss, params = net_loss()
    path = tmp_path / f"net{suffix}"
    assert mg.make_dot(loss, params).save(path) == str(path)
    start = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)


def test_without_any_engine_says_how_to_install_one(tmp_path, without_dot, monkeypatch):
    real = builtins.__import__

    def no_pygraphviz(name, *args, **kwargs):
        if name == "pygraphviz":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pygraphviz)
    loss, params = net_loss()
    picture = mg.make_dot(loss, params)
    with pytest.raises(RuntimeError, match=r"(?s)apt install graphviz.*minigrad\[viz\]"):
        picture.save(tmp_path / "net.svg")
    picture.save(tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == picture.source


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    loss, params = net_loss()
    with pytest.raises(ValueError, match=r"\.svg.*\.dot"):
        mg.make_dot(loss, params).save(tmp_path / "net.jpeg2")


def test_a_tensor_without_history_says_what_to_do():
    with pytest.raises(ValueError, match="requires_grad=True"):
        mg.make_dot(mg.ones(3))


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="ndarray"):
        mg.make_dot(np.ones(3))


@pytest.mark.parametrize(
    "name", ['a<b>|"{', "\\N\\l", "new\nline", "손실 값", "&amp;", "\x00\x1b", ""]
)
def test_any_name_is_drawn(name, without_dot):
    pytest.importorskip("pygraphviz")
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    svg = mg.make_dot({name: (w * w).sum()}, params={name: w}).pipe("svg", encoding="utf-8")
    assert "multiply" in svg
