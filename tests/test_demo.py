"""The demo, shortened: it trains, and leaves its three files."""

import runpy
import sys
from pathlib import Path

import pytest

import minigrad as mg

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
DEMO = Path(__file__).parents[1] / "examples" / "digits.py"


def test_the_demo_learns_and_leaves_its_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["digits.py", "--epochs", "2", "--out", str(tmp_path)])
    names = runpy.run_path(str(DEMO), run_name="__main__")
    out = capsys.readouterr().out
    assert names["accuracies"][-1] > 0.9
    assert names["losses"][1] < 0.7 * names["losses"][0]
    for name in ("curve.png", "graph.svg", "digits.safetensors"):
        assert name in out
        assert (tmp_path / name).stat().st_size > 1000
    model = names["model"]
    again = mg.load_model(tmp_path / "digits.safetensors")
    x = mg.ones((2, 1, 8, 8))
    assert (again.eval()(x) == model.eval()(x)).all()
    graph = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert "</svg>" in graph
    assert "32 × 1 × 8 × 8" in graph
