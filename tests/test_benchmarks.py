"""The benchmarks' own code: that peers run, take turns, and are missing without a fuss."""

import io
import json
from types import SimpleNamespace

import pytest

from benchmarks.models import MODELS, after_pooling, work
from benchmarks.peers import with_minigrad, with_numpy
from benchmarks.training import (
    KEPT,
    ROOT,
    Peer,
    document,
    model_table,
    running,
    summary_table,
)


@pytest.mark.parametrize("name", MODELS)
def test_models_fit_their_inputs_and_learn(name):
    size = 8 if name.endswith("block") else 28
    step, infer = with_minigrad.build(name, 3, size)
    losses = [step().item() for _ in range(12)]
    assert min(losses[1:]) < losses[0]
    assert infer().shape == (3, 10)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("LeNet", "residual block")])
def test_the_textbook_has_the_same_parameters(name):
    ours = sum(p.size for p in with_minigrad.network(name, 28).parameters())
    theirs = sum(p.size for layer in with_numpy.network(name, 28) for p in layer.params)
    assert ours == theirs
    step, _ = with_numpy.build(name, 2, 28)
    losses = [step() for _ in range(12)]
    assert min(losses[1:]) < losses[0]


def test_work_counts_multiplications_and_bytes():
    operations, moved = work("dense", 32, 28)
    # Forwards and by the weights for both layers, by the input for the second only.
    assert operations == 2 * 32 * (2 * 784 * 100 + 3 * 100 * 10)
    parameters = 785 * 100 + 101 * 10
    assert moved == 4 * (7 * parameters + 4 * 32 * 2 * (100 + 10))
    assert after_pooling("DeepConvNet", 28) == 64 * 4 * 4


@pytest.mark.parametrize("name", MODELS)
def test_the_work_of_every_model_is_known(name):
    model = MODELS[name]
    operations, moved = work(name, model.batch, model.size)
    assert work(name, 2 * model.batch, model.size)[0] == 2 * operations > 0
    assert moved > 0


def test_peers_take_turns_and_tables_show_them():
    with running(("with_minigrad", "with_nothing"), "dense", 2, 28) as peers:
        (peer,) = peers
        peer.take_turn("step", 0.01)
        peer.take_turn("step", 0.01)
        peer.take_turn("inference", 0.01)
    assert len(peer.times["step"]) >= 2
    assert peer.process.returncode == 0
    results = [peer.result()]
    table = model_table(MODELS["dense"], results, 1e11, 1e10)
    assert any(line.startswith("| minigrad ") and "| 1.00 |" in line for line in table)
    assert "minigrad" in summary_table({"dense": results})[0]


def test_a_turn_that_others_disturbed_is_taken_again(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 5.0])
    monkeypatch.setattr("benchmarks.training.others_time", lambda _: next(clock))
    peer = object.__new__(Peer)
    peer.times = {"step": []}
    answers = iter([[9.0], [1.0, 2.0]])
    monkeypatch.setattr(peer, "_read", lambda: next(answers), raising=False)
    peer.process = SimpleNamespace(stdin=io.StringIO(), pid=1)
    peer.take_turn("step", 0.5)
    assert peer.times["step"] == [1.0, 2.0]
    assert peer.process.stdin.getvalue().count("\n") == 2


def test_the_tables_in_the_documentation_are_those_of_what_was_kept():
    text, tables = document(json.loads(KEPT.read_text()))
    assert (ROOT / "docs" / "benchmarks.md").read_text() == text
    for name, table in tables.items():
        assert table in (ROOT / name).read_text(), "python -m benchmarks.training writes it"


def test_a_framework_that_is_not_installed_is_missing():
    peer = Peer("with_nothing", "dense", 2, 28)
    peer.close()
    assert "with_nothing" in peer.about["missing"]
