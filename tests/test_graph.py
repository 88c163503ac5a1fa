"""The picture of a computation: what is drawn, how it is written, and what is refused."""

import builtins
import html
import os
import re
import shutil
import subprocess
import sys
import types
import weakref
from contextlib import nullcontext
from pathlib import Path

import graphviz
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Affine(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(np.full((n, m), 1 / n, np.float32))
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
    x = mg.ones((5, 4))
    tape.gradient(loss, list(model.parameters()))
    source = mg.make_dot(loss, dict(model.named_parameters(), x=x)).source
    assert "fc2.weight" in source
    assert "<B>x</B>" in source
    assert "matmul" in source


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_saves_by_suffix_without_dot(tmp_path, suffix, without_dot):
    pytest.importorskip("pygraphviz")
    loss, params = net_loss()
    path = tmp_path / f"net{suffix}"
    assert mg.make_dot(loss, params).save(path) == str(path)
    start = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)


def test_what_fontconfig_says_of_the_system_is_held_back(without_dot, monkeypatch, capfd):
    class Engine:
        def __init__(self, string):
            pass

        def draw(self, format, prog):
            os.write(2, b'Fontconfig warning: "x.conf", line 6\nsomething else\nFontconfig warning')
            return b"drawn"

    monkeypatch.setitem(sys.modules, "pygraphviz", types.SimpleNamespace(AGraph=Engine))
    assert mg.make_dot(net_loss()[0]).pipe("svg") == b"drawn"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "something else\nafter\n"


@pytest.fixture
def without_engine(without_dot, monkeypatch):
    real = builtins.__import__

    def no_pygraphviz(name, *args, **kwargs):
        if name == "pygraphviz":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pygraphviz)


def test_without_any_engine_says_how_to_install_one(tmp_path, without_engine):
    loss, params = net_loss()
    picture = mg.make_dot(loss, params)
    with pytest.raises(RuntimeError, match=r"(?s)apt install graphviz.*minigrad\[viz\]"):
        picture.save(tmp_path / "net.svg")
    picture.save(tmp_path / "net.dot")
    picture.save(tmp_path / "net.html")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == picture.source
    assert (tmp_path / "net.html").read_text(encoding="utf-8") == picture.html
    assert picture._repr_mimebundle_()["text/html"].startswith("<iframe srcdoc=")


def test_another_process_writes_the_same_text():
    program = """
import sys, numpy as np, minigrad as mg
from minigrad import nn
x = mg.tensor(np.ones((2, 3), np.float32), requires_grad=True)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
with mg.GradientTape():
    with mg.GradientTape() as tape:
        y = (model(x) ** 2).sum()
    g = tape.gradient(y, x)
picture = mg.make_dot([y, g], dict(model.named_parameters(), x=x))
sys.stdout.buffer.write((picture.source + picture.html).encode())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert b"gradient" in found.pop()


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    loss, params = net_loss()
    with pytest.raises(ValueError, match=r"\.svg.*\.html"):
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


# -- modules, repetition, size -------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = Affine(n, n)
        self.outer = Affine(n, n)

    def forward(self, x):
        return x + self.outer(mg.tanh(self.inner(x)))


class Residual(nn.Module):
    def __init__(self, depth, n=4):
        super().__init__()
        self.first = Affine(3, n)
        self.blocks = nn.ModuleList([Block(n) for _ in range(depth)])
        self.last = Affine(n, 1)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


def residual(blocks, **options):
    model, x = Residual(blocks), mg.ones((2, 3))
    return mg.make_dot(model(x), dict(model.named_parameters(), x=x), **options)


def text(picture):
    """The DOT without its markup."""
    return html.unescape(re.sub(r"<[^<>]*>", "", picture.source))


def nodes(picture):
    """The ids of the boxes that are drawn."""
    return re.findall(r"^\t*(\w+) \[label=", picture.source, re.MULTILINE)


def test_modules_are_clusters_with_path_and_class():
    found = text(residual(1))
    for title in ("Residual", "first: Affine", "blocks.0: Block", "blocks.0.inner: Affine"):
        assert f"label=<{title}>" in found


def test_inside_its_module_a_parameter_goes_by_its_short_name():
    source = residual(1).source
    assert "<B>weight</B>" in source
    assert "blocks.0.inner.weight" in source  # hovering shows the whole


def test_equal_blocks_are_drawn_once_with_their_count():
    small, large = residual(5), residual(50)
    assert "blocks.0 … blocks.4: Block × 5" in text(small)
    assert "blocks.0 … blocks.49: Block × 50" in text(large)
    assert len(nodes(small)) == len(nodes(large))


def test_blocks_of_another_shape_or_wiring_are_not_folded_together():
    class Uneven(Residual):
        def forward(self, x):
            early = x = self.first(x)
            for i, block in enumerate(self.blocks):
                if i == 3:
                    third, x = x, early
                x = block(x)
            return self.last(x + third)

    model = Uneven(6)
    found = text(mg.make_dot(model(mg.ones((2, 3)))))
    assert "× 6" not in found
    assert "blocks.0 … blocks.2: Block × 3" in found
    assert "blocks.3 … blocks.5: Block × 3" in found


def test_blocks_side_by_side_are_folded_only_when_used_alike():
    def draw(join):
        x = mg.tensor(np.ones((2, 2)), requires_grad=True)
        parts = [mg.tanh(mg.cos(mg.sin(x))) for _ in range(4)]
        return text(mg.make_dot(join(parts)))

    assert "× 4" in draw(lambda parts: mg.stack(parts))
    apart = draw(lambda parts: parts[0] @ mg.exp(parts[1]) + mg.log(parts[2]) * mg.abs(parts[3]))
    assert not re.search(r"repeated × \d", apart)
    last_apart = draw(lambda parts: mg.stack(parts[:3]).sum() + mg.exp(parts[3]))
    assert "repeated × 4" not in last_apart


def test_expand_true_folds_and_closes_nothing():
    found = residual(5, expand=True, max_nodes=3)
    assert "×" not in text(found).replace(" × ", "")
    assert len([n for n in nodes(found) if n.startswith("operator")]) == 4 + 5 * 6


def test_depth_closes_modules():
    kinds = [re.sub(r"\d+", "", name) for name in nodes(residual(5, depth=0))]
    assert sorted(kinds) == ["input", "module", "output"]
    by_one = residual(5, depth=1)
    assert not [n for n in nodes(by_one) if n.startswith("operator")]
    assert "first: Affine" in text(by_one)
    assert "16 parameters" in text(by_one)


def test_expand_opens_a_module_and_those_around_it():
    closed = residual(3, depth=0)
    assert "blocks.1.inner" not in closed.source
    opened = residual(3, depth=0, expand=["blocks.1.inner"])
    assert "blocks.1.inner.weight" in opened.source
    assert "blocks.2.inner.weight" not in opened.source
    with pytest.raises(ValueError, match=r"expand names 'nothing'.*first"):
        residual(3, expand="nothing")


def test_beyond_max_nodes_deep_modules_close_and_a_note_says_so():
    class Chain(nn.Module):
        def __init__(self, parts):
            super().__init__()
            self.parts = nn.ModuleList(parts)

        def forward(self, x):
            for part in self.parts:
                x = part(x)
            return x

    model = Chain([Affine(n, n + 1) for n in range(1, 41)])
    picture = mg.make_dot(model(mg.ones((2, 1))), dict(model.named_parameters()), max_nodes=60)
    assert len(nodes(picture)) <= 60
    assert "closed to stay under max_nodes=60" in text(picture)
    assert "closed" not in text(mg.make_dot(model(mg.ones((2, 1))), max_nodes=1000))


def test_a_chain_of_20000_operators():
    x = mg.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20_000):
        y = mg.sin(y)
    picture = mg.make_dot(y)
    assert "× 20,000" in text(picture)
    assert len(nodes(picture)) < 5
    assert len(picture.html) < 100_000


def test_a_chain_without_any_repetition_is_summed_up():
    x = mg.tensor([1.0], requires_grad=True)
    y, state = x, 1
    for _ in range(5000):
        state = state * 1103515245 % 2**31
        y = mg.sin(y) if state & (1 << 20) else mg.cos(y)
    picture = mg.make_dot(y, max_nodes=50)
    assert len(nodes(picture)) <= 50
    assert "operators in the middle are summed up" in text(picture)


def test_a_loop_through_time_is_folded_with_its_way_back():
    w = mg.tensor(np.eye(3), requires_grad=True)
    h = mg.ones((2, 3)).astype(np.float64)
    for _ in range(30):
        h = mg.tanh(h @ w + 1.0)
    picture = mg.make_dot(h, {"w": w})
    assert re.search(r"× (29|30)", text(picture))
    assert "style=dashed" in picture.source


def test_a_module_called_twice_is_two_clusters():
    layer = Affine(3, 3)
    outer = nn.Module()
    outer.layer = layer
    y = layer(mg.exp(layer(mg.ones((2, 3)))))
    assert text(mg.make_dot(y)).count("label=<layer: Affine>") == 2


def test_between_draws_a_part():
    model, x = Residual(3), mg.ones((2, 3))
    x.requires_grad = True
    h = model.first(x)
    z = model.last(model.blocks[1](model.blocks[0](h)))
    part = text(mg.make_dot(z, between=("blocks.0", "blocks.1")))
    assert "blocks.1" in part
    assert "last" not in part
    assert "first.weight" not in part
    part = mg.make_dot(z, between=(h, z))
    assert "last.weight" in part.source
    assert "first.weight" not in part.source
    assert sum(n.startswith("input") for n in nodes(part)) == 1  # h itself
    with pytest.raises(ValueError, match="there is no way"):
        mg.make_dot(z, between=("last", "first"))
    with pytest.raises(ValueError, match=r"no module or parameter 'nowhere'.*blocks\.0"):
        mg.make_dot(z, between=("nowhere", "last"))
    with pytest.raises(
        TypeError, match=r"between must be a tuple of 2 values or None, got .first."
    ):
        mg.make_dot(z, between="first")


def test_direction():
    assert "rankdir=LR" in residual(1, direction="LR").source
    with pytest.raises(ValueError, match=r"direction must be .TB. or .LR. or"):
        residual(1, direction="up")


# -- gradients, overlays, broken values ------------------------------------------------------------


def test_gradients_are_told_apart():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.GradientTape() as outer:
        with mg.GradientTape() as inner:
            y = (mg.sin(x) * x).sum()
        g = inner.gradient(y, x)
        z = (g * g).sum()
    second = outer.gradient(z, x)
    assert second is not None
    source = mg.make_dot(z, {"x": x}).source
    assert "label=<<B>gradient</B>>" in source
    assert source.count("dashed") >= 3
    plain = mg.make_dot(y, {"x": x}).source
    assert "gradient" not in plain
    assert "dashed" not in plain


def test_gradients_of_modules_stand_in_modules_of_their_own():
    model = Net()
    loss = (model(mg.ones((5, 4))) ** 2).mean()
    loss.backward(create_graph=True)
    found = text(mg.make_dot(model.fc1.weight.grad))
    assert found.count("label=<fc2: Affine>") == 2  # forwards, and backwards


def test_overlays_show_what_was_observed():
    model, x = Net(), mg.ones((5, 4))
    with mg.observe():
        loss = (model(x) ** 2).mean()
        loss.backward(retain_graph=True)
    everything = ("values", "gradients", "bytes", "time", "line", "shapes")
    found = text(mg.make_dot(loss, dict(model.named_parameters(), x=x), show=everything))
    for part in ("mean 0.762", "|gradient|", " kept", "µs", "backward", "test_graph.py:", "5 × 3"):
        assert part in found
    assert "-> operator" in found


def test_values_that_are_still_there_need_no_observation():
    x = mg.tensor([3.0, 5.0], requires_grad=True)
    found = text(mg.make_dot(mg.exp(x * 0.0).sum(), {"x": x}, show="values"))
    assert "min 3, mean 4, max 5" in found
    assert "min 1, mean 1, max 1" in found
    assert "mg.observe()" in text(mg.make_dot(x * 2.0, show="time"))


def test_an_unknown_overlay_names_the_known_ones():
    loss, params = net_loss()
    with pytest.raises(ValueError, match=r"show has no 'colour'.*'values'.*'line'"):
        mg.make_dot(loss, params, show=("colour",))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("observed", [False, True])
def test_the_first_nan_is_red_and_what_follows_lighter(observed):
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    with mg.observe() if observed else nullcontext():
        y = mg.exp(x) * mg.log(x) * 2.0
        z = y.sum()
    lines = mg.make_dot(z, {"x": x}).source.splitlines()
    colour = {
        name: next(
            re.search('fillcolor="(#......)"', s)[1] for s in lines if f"label=<{name}<" in s
        )
        for name in ("exp", "log", "multiply", "sum")
    }
    assert colour["log"] == "#d92d20"
    assert colour["multiply"] == colour["sum"] == "#fbdcd8"
    assert colour["exp"] == "#ffffff"


def test_a_picture_keeps_no_graph_alive():
    x = mg.tensor(np.ones(1000), requires_grad=True)
    y = mg.exp(x)
    node = weakref.ref(y)
    picture = mg.make_dot(y.sum(), {"x": x}, show="values")
    array = weakref.ref(y._data)
    del y
    assert node() is None
    assert array() is None
    assert picture.html


def test_a_tape_is_drawn_whole():
    x = mg.tensor([1.0], requires_grad=True)
    with mg.GradientTape() as tape:
        mg.sin(x)
        mg.cos(x)
    found = text(mg.make_dot(tape))
    assert "sin" in found
    assert "cos" in found
    assert "output 1" in found
    with pytest.raises(ValueError, match="recorded nothing"):
        mg.make_dot(mg.GradientTape())


def test_it_is_a_digraph(tmp_path):
    loss, params = net_loss()
    picture = mg.make_dot(loss, params)
    assert isinstance(picture, graphviz.Digraph)
    picture.node("mine")
    assert "mine" in picture.source
    assert picture.copy().html == picture.html
    assert Path(picture.save(directory=tmp_path)).read_text(encoding="utf-8") == picture.source
    with pytest.raises(ValueError, match="only a picture that make_dot made"):
        type(picture)("empty").html


def test_a_notebook_shows_it_without_dot(without_dot):
    pytest.importorskip("pygraphviz")
    loss, params = net_loss()
    bundle = mg.make_dot(loss, params)._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<?xml")


def test_resnet_sized_graphs_close_to_a_page():
    class Bottleneck(nn.Module):
        def __init__(self, n, m):
            super().__init__()
            self.a, self.b, self.c = Affine(n, m), Affine(m, m), Affine(m, 4 * m)
            self.skip = Affine(n, 4 * m) if n != 4 * m else None

        def forward(self, x):
            h = self.c(mg.tanh(self.b(mg.tanh(self.a(x)))))
            return mg.tanh(h + (x if self.skip is None else self.skip(x)))

    n, stages = 2, []
    for m, count in ((2, 3), (4, 4), (8, 6), (16, 3)):
        stages.append(
            nn.Sequential(Bottleneck(n, m), *(Bottleneck(4 * m, m) for _ in range(count - 1)))
        )
        n = 4 * m
    model = nn.Sequential(*stages)
    picture = mg.make_dot(model(mg.ones((1, 2))), dict(model.named_parameters()), max_nodes=40)
    assert len(nodes(picture)) <= 12
    for title in ("0.1 … 0.2: Bottleneck × 2", "2.1 … 2.5: Bottleneck × 5"):
        assert title in text(picture)


def test_functions_with_a_rule_of_their_own_are_one_box():
    @mg.custom_gradient
    def clipped(x):
        return x * 2, lambda g: g

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.observe():
        y = mg.checkpoint(lambda t: mg.sin(t) * t, clipped(x))
        y.sum().backward(retain_graph=True)
    found = text(mg.make_dot(y, {"x": x}, show=("values", "line")))
    assert "clipped" in found
    assert "checkpoint" in found or "<lambda>" in found
    assert "test_graph.py:" in found


def test_empty_arrays():
    x = mg.tensor(np.zeros((0, 3)), requires_grad=True)
    with mg.observe(), mg.detect_anomaly():
        y = mg.exp(x)
        z = y.sum()
    found = text(mg.make_dot(z, {"x": x}, show="values"))
    assert "0 × 3" in found
    assert "empty" in found


def test_a_parameter_that_two_modules_share_stands_outside_both():
    model = nn.Module()
    model.a = Affine(3, 3)
    model.b = Affine(3, 3)
    model.b.weight = model.a.weight
    y = model.b(model.a(mg.ones((2, 3))))
    source = mg.make_dot(y).source
    assert source.count("<B>a.weight</B>") == 1
    (line,) = (line for line in source.splitlines() if "<B>a.weight</B>" in line)
    assert re.match(r"\t\tparameter", line)  # in the model; in a or b it would be one deeper


def test_shapes_on_the_arrows():
    x = mg.tensor(np.ones((5, 4)), requires_grad=True)
    source = mg.make_dot(mg.sin(x).sum(), {"x": x}, show="shapes").source
    assert re.search(r"parameter\d+ -> operator\d+ \[label=<5 × 4 float64>", source)
