"""Every example runs in its quick mode, learns, and leaves its files; what is missing is said."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example as the command line does; gives what it printed."""

    def run(name, *arguments):
        argv = [f"{name}.py", *arguments, "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def losses(monkeypatch):
    """The losses of each training, epoch by epoch. They must fall: how far, a few epochs cannot say."""
    found = []
    fit = mg.Trainer.fit

    def recording(self, *arguments, **options):
        history = fit(self, *arguments, **options)
        found.append(history.history["loss"])
        return history

    monkeypatch.setattr(mg.Trainer, "fit", recording)
    return found


def pictures(folder):
    """The names of the PNG files, none of which may be empty."""
    found = sorted(folder.glob("*.png"))
    assert all(path.stat().st_size > 1000 for path in found)
    return [path.name for path in found]


@pytest.mark.slow
def test_convolution_network(run, tmp_path, monkeypatch):
    curves = []
    draw = mg.viz.learning_curves
    monkeypatch.setattr(
        mg.viz, "learning_curves", lambda lines: curves.append(lines) or draw(lines)
    )
    out = run("convolution_network", "--quick", "--epochs", "2", "--lr", "0.1")
    assert "test accuracy: " in out
    for losses in curves[0].values():
        assert losses[1] < losses[0]
    assert pictures(tmp_path) == ["convolution_network_curve.png"]
    assert "hidden.weight" in mg.load(tmp_path / "convolution_network.safetensors")


@pytest.mark.slow
def test_dense_fashion_mnist(run, tmp_path):
    out = run("dense_fashion_mnist", "--quick", "--epochs", "2")
    table = out.split("ms/step\n")[-1].splitlines()
    assert [line[:12].strip() for line in table[:2]] == ["sigmoid, RMS", "ReLU, RMSpro"]
    losses = {line[:33].strip(): float(line[33:].split()[0]) for line in table[:6]}
    assert losses["ReLU, SGD with Nesterov momentum"] < losses["ReLU, SGD"] < 2.3
    assert "chapter" not in table[-1]
    assert pictures(tmp_path) == ["dense_curves.png"]


@pytest.mark.slow
def test_layers_from_scratch(run, losses, tmp_path):
    out = run("layers_from_scratch", "--quick", "--epochs", "2")
    assert "y = 2.99 x -1.01" in out
    assert "same answers: True" in out
    he, xavier, uniform = (
        [float(word) for word in line.split()[-5:]] for line in out.splitlines()[-5:-2]
    )
    assert len(losses) == 1 + 7 + 3  # a regression, the optimizers, the ways against overfitting
    assert all(one[-1] < one[0] for one in losses)
    assert he[-1] > 0.5 > xavier[-1] > 0.05 > uniform[-1]
    assert pictures(tmp_path) == [
        "layers_activations.png", "layers_optimizers.png", "layers_overfitting.png",
    ]  # fmt: skip


@pytest.mark.slow
def test_deep_convnet_mnist(run, losses, tmp_path):
    assert "test accuracy: " in run("deep_convnet_mnist", "--quick", "--epochs", "2", "--decay")
    assert losses[0][1] < losses[0][0]
    assert pictures(tmp_path) == [
        "deep_convnet_curve.png", "deep_convnet_filters.png", "deep_convnet_filters_at_start.png",
        "deep_convnet_mistakes.png",
    ]  # fmt: skip


@pytest.mark.slow
def test_transformer_text(run, tmp_path):
    out = run("transformer_text", "--quick", "--steps", "12")
    costs = [
        float(line.split(", ")[-1].split()[0]) for line in out.splitlines() if "unseen" in line
    ]
    assert len(costs) == 2
    assert all(2 < cost < np.log2(96) for cost in costs)  # better than knowing nothing
    assert out.count("writes:\nThe ") == 2
    assert pictures(tmp_path) == ["text_attention.png", "text_curve.png"]
    tape = (tmp_path / "text_tape.txt").read_text(encoding="utf-8")
    assert "blocks.1.attention" in tape
    assert "softmax" in tape
    assert "blocks.1.think.2.weight" in mg.load(tmp_path / "text_transformer.safetensors")


@pytest.mark.slow
def test_deep_convnet_scores_weights_of_a_file(run, tmp_path):
    generator = np.random.default_rng(0)
    arrays = {}
    state = mg.models.deep_convnet().state_dict()
    for i, name in enumerate([name for name in state if "weight" in name], start=1):
        shape = state[name].shape
        arrays[f"W{i}"] = generator.normal(size=shape if len(shape) == 4 else shape[::-1])
        arrays[f"b{i}"] = np.zeros(shape[0])
    np.savez(tmp_path / "weights.npz", **arrays)
    out = run("deep_convnet_mnist", "--quick", "--weights", str(tmp_path / "weights.npz"))
    assert "of 359" in out
    assert "trained for" not in out
    whole = (tmp_path / "weights.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[:5000])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("W1 = 0")
    np.savez(tmp_path / "others.npz", W1=np.zeros(3))
    np.save(tmp_path / "one.npy", np.zeros((2, 2)))
    for wrong in ("nothing.npz", "short.npz", "empty.npz", "text.npz", "others.npz", "one.npy"):
        with pytest.raises(SystemExit, match=r"^cannot read the weights: "):
            run("deep_convnet_mnist", "--quick", "--weights", str(tmp_path / wrong))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "resnet", "googlenet"])
def test_networks_on_a_loader(name, run, losses, tmp_path):
    example = {"alexnet": "alexnet_mnist"}.get(name, f"{name}_fashion")
    assert "test accuracy: " in run(example, "--quick", "--epochs", "2")
    assert losses[0][1] < losses[0][0]
    expected = [f"{name}_confusion.png", f"{name}_curve.png"]
    assert pictures(tmp_path) == expected[name == "alexnet" :]
    build = getattr(mg.models, f"{name}_small")
    model = build(num_classes=10, in_channels=1)
    model.load_state_dict(mg.load(tmp_path / f"{name}.safetensors"))


@pytest.mark.slow
def test_vgg16(run, tmp_path):
    out = run("vgg16", "--quick")
    assert "132,863,336" in out
    assert out.count("stage ") == 5
    assert pictures(tmp_path) == ["vgg16_evidence.png"]


# -- what goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "convolution_network", "dense_fashion_mnist", "alexnet_mnist", "layers_from_scratch",
        "deep_convnet_mnist", "googlenet_fashion", "resnet_fashion",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [ConnectionError, ValueError, PermissionError])
def test_missing_and_damaged_data_are_said_in_one_line(name, kind, run, monkeypatch):
    def unreachable(source, name, root):
        raise kind(f"could not read {name}: put it into a folder")

    monkeypatch.setattr("minigrad.data.datasets.fetch", unreachable)
    with pytest.raises(SystemExit) as stopped:
        run(name)
    text = str(stopped.value)
    assert text.startswith("no data: could not read")
    assert text.endswith("put it into a folder")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_what_cannot_be_written_is_said_before_the_training(path, tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(sys, "argv", [path.name, "--out", str(blocked)])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().err if stopped.value.code == 2 else str(stopped.value)
    assert f"File exists: '{blocked}'" in said.splitlines()[-1]


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(EXAMPLES.glob("*.py")) if path.stem != "vgg16"]
)
def test_impossible_lengths_of_the_training_are_refused(name, run, capsys):
    quick = [] if name == "digits" else ["--quick"]
    unit = "steps" if name == "transformer_text" else "epochs"
    with pytest.raises(SystemExit) as stopped:
        run(name, *quick, f"--{unit}", "-1")
    said = capsys.readouterr().err if stopped.value.code == 2 else str(stopped.value)
    assert f"{unit} must be" in said


def test_impossible_numbers_of_seeds_are_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("dense_fashion_mnist", "--quick", "--seeds", "0")
    assert "--seeds" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("steps", [1, 60])
def test_ctrl_c_in_the_demo_keeps_what_was_learnt(steps, run, tmp_path, monkeypatch, capsys):
    """In the first epoch of 44 steps, of which there is no curve, and in the second."""
    from minigrad import optim

    calls = []
    original = optim.Adam.apply_gradients

    def interrupting(self, pairs):
        calls.append(1)
        if len(calls) > steps:
            raise KeyboardInterrupt
        return original(self, pairs)

    monkeypatch.setattr(optim.Adam, "apply_gradients", interrupting)
    if steps < 44:
        with pytest.raises(SystemExit, match=r"^saved model: .*digits\.safetensors$"):
            run("digits", "--epochs", "3")
        assert "interrupted: what was learnt so far is kept" in capsys.readouterr().out
    else:
        assert "test accuracy: " in run("digits", "--epochs", "3")
        assert pictures(tmp_path) == ["curve.png"]
    assert isinstance(mg.load_model(tmp_path / "digits.safetensors"), mg.nn.Sequential)


def test_ctrl_c_outside_the_training_ends_in_one_line(run, monkeypatch):
    def interrupting():
        raise KeyboardInterrupt

    monkeypatch.setattr("minigrad.data.datasets.load_digits", interrupting)
    monkeypatch.setattr("minigrad.data.load_digits", interrupting)
    with pytest.raises(SystemExit, match=r"^resnet_fashion\.py: interrupted$"):
        run("resnet_fashion", "--quick")


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learnt(run, tmp_path, monkeypatch):
    """In the third batch, for the class with a loop of its own; in the second for the Trainer."""
    from minigrad import optim

    for example, optimizer, name in (
        ("convolution_network", optim.SGD, "apply_gradients"),
        ("deep_convnet_mnist", optim.Adam, "step"),
    ):
        calls = []
        original = getattr(optimizer, name)

        def interrupting(self, *arguments, calls=calls, original=original):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(optimizer, name, interrupting)
            out = run(example, "--quick", "--epochs", "2")
        assert len(calls) == 3
        assert "nterrupted" in out
        saved = mg.load(tmp_path / f"{example.removesuffix('_mnist')}.safetensors")
        assert all(np.isfinite(value.numpy()).all() for value in saved.values())
