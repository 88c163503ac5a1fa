"""Files that earlier versions wrote still load: models, checkpoints and interrupted runs.

``write`` made the files in ``tests/old_files``, one folder for each state of the formats; whoever
changes a format runs ``python tests/test_old_files.py NAME`` with the version before the change.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

FOLDER = Path(__file__).parent / "old_files"


class Branches(nn.Module):
    """A class of one's own with everything that an attribute may hold."""

    def __init__(self, shared):
        super().__init__()
        self.sizes = (3, [1.5, None, {"deep": float("inf")}])
        self.weight = nn.Parameter(np.arange(3, dtype=np.float64))
        self.register_buffer("seen", mg.tensor(3))
        self.register_buffer("mask", mg.ones(3), persistent=False)
        self.activation = F.relu
        self.constant = mg.tensor([1.0, 2.0])
        self.array = np.arange(3)
        self.layers = [nn.Linear(3, 3), {"a": shared}, ()]

    def forward(self, x):
        x = self.layers[0](self.activation(x * self.weight) * self.mask)
        return self.layers[1]["a"](x.astype(np.float32)) + self.constant.sum()


CUSTOM = {"Branches": Branches}


def models():
    """Name -> model and the shape of its input."""
    shared = nn.Linear(3, 3)
    own = nn.Sequential(Branches(shared), shared, nn.Linear(3, 3, bias=False))
    own[2].weight = shared.weight
    shared.bias.requires_grad = False
    image = nn.Sequential(
        nn.Conv2d(1, 2, (3, 2), padding="same", dilation=2),
        nn.BatchNorm2d(2),
        nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5)).add(nn.LazyLinear(2), "head"),
    )
    image(mg.rand(4, 1, 6, 6))
    image[2].eval()
    several = nn.Sequential(nn.Embedding(5, 4, 2), nn.ReLU())
    several.to(np.float64)
    return {
        "own": (own, (2, 3)),
        "image": (image, (2, 1, 6, 6)),
        "embedding": (several, None),
        "recurrent": (nn.LSTM(2, 3, 2, False, True, 0.0, True), (2, 4, 2)),
        "attention": (nn.MultiheadAttention(4, 2, 0.0, False, 3, 5, True), None),
        "lazy": (nn.LazyConv2d(2, 3, 2, bias=False), None),
        "loss": (nn.CrossEntropyLoss(np.array([1.0, 2.0]), 7, "sum", 0.1), None),
    }


def trainer():
    """A run, and its data."""
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    made = mg.Trainer(
        nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3), nn.Linear(3, 2)),
        metrics=("accuracy", "confusion_matrix"),
    )
    return made, x, (x[:, 0] > x[:, 1]).astype(np.int64)


class StopAfter(mg.callbacks.Callback):
    """Break the run off in the middle of an epoch, once the file is written."""

    def __init__(self, path):
        self.path = path

    def on_batch_end(self, batch):
        if len(self.trainer.history) == 1 and batch == 2:
            self.trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def write(folder):
    """Write the files, with what loading them must give."""
    folder.mkdir(parents=True)
    mg.manual_seed(0)
    for name, (model, shape) in models().items():
        mg.save_model(model, folder / f"{name}.model.safetensors", custom_layers=CUSTOM)
        if shape is not None:
            x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
            out = model.eval()(x)
            out = out[0] if isinstance(out, tuple) else out
            mg.save({"x": x, "out": out}, folder / f"{name}.answer.safetensors")
    mg.save_checkpoint(
        folder / "state.safetensors",
        numbers=[1, 2.5, float("nan"), True, None, "text", b"\0\xff"],
        nested=({"a": {3: mg.ones(2)}}, [np.float16(2), np.zeros((0, 2))]),
        optimizer=mg.optim.Adam([mg.tensor([1.0], requires_grad=True)]),
        generator=np.random.default_rng(3),
    )
    run, x, y = trainer()
    run.fit(x, y, epochs=3, batch_size=8, validation_split=0.2, verbose=0,
            callbacks=[StopAfter(folder / "run.safetensors")])  # fmt: skip
    whole, x, y = trainer()
    whole.load_checkpoint(folder / "run.safetensors")
    whole.fit(x, y, epochs=3, batch_size=8, validation_split=0.2, verbose=0)
    mg.save_checkpoint(folder / "history.safetensors", history=whole.history)


VERSIONS = sorted(path.name for path in FOLDER.iterdir())
MODELS = sorted(FOLDER.glob("*/*.model.safetensors"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_models_load(path):
    model = mg.load_model(path, custom_layers=CUSTOM)
    name = path.name.partition(".")[0]
    expected, _ = models()[name]
    assert repr(model) == repr(expected)
    assert list(model.state_dict()) == list(expected.state_dict())
    for made, known in zip(model.parameters(), expected.parameters(), strict=True):
        assert (made.dtype, made.requires_grad) == (known.dtype, known.requires_grad)
    assert [m.training for m in model.modules()] == [m.training for m in expected.modules()]
    answer = path.with_name(f"{name}.answer.safetensors")
    if answer.exists():
        kept = mg.load(answer)
        out = model.eval()(kept["x"])
        out = out[0] if isinstance(out, tuple) else out
        np.testing.assert_allclose(out.numpy(), kept["out"].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_models_are_written_as_before(path, tmp_path):
    again = tmp_path / "again.safetensors"
    mg.save_model(mg.load_model(path, custom_layers=CUSTOM), again, custom_layers=CUSTOM)
    assert mg.load_metadata(again) == mg.load_metadata(path)
    assert list(mg.load(again)) == list(mg.load(path))


def test_own_classes_come_back_whole():
    for version in VERSIONS:
        own = mg.load_model(FOLDER / version / "own.model.safetensors", custom_layers=CUSTOM)
        first = own[0]
        assert first.sizes == (3, [1.5, None, {"deep": float("inf")}])
        assert first.activation is F.relu
        assert first._buffers == {"seen": True, "mask": False}
        assert first.array.tolist() == [0, 1, 2]
        assert first.layers[1]["a"] is own[1]
        assert first.layers[2] == ()
        assert own[2].weight is own[1].weight


@pytest.mark.parametrize("version", VERSIONS)
def test_checkpoints_load(version):
    state = mg.load_checkpoint(FOLDER / version / "state.safetensors")
    assert repr(state["numbers"]) == repr([1, 2.5, float("nan"), True, None, "text", b"\0\xff"])
    (one, (half, empty)) = state["nested"]
    assert one["a"][3].tolist() == [1.0, 1.0]
    assert (half.dtype, empty.shape) == (np.float16, (0, 2))
    generator = np.random.default_rng()
    generator.bit_generator.state = state["generator"]
    assert generator.random() == np.random.default_rng(3).random()
    mg.optim.Adam([mg.tensor([1.0], requires_grad=True)]).load_state_dict(state["optimizer"])


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interrupted_run_goes_on(version):
    run, x, y = trainer()
    run.load_checkpoint(FOLDER / version / "run.safetensors")
    history = run.fit(x, y, epochs=3, batch_size=8, validation_split=0.2, verbose=0)
    kept = mg.load_checkpoint(FOLDER / version / "history.safetensors")["history"]
    assert list(history.history) == list(kept)
    for name, values in kept.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-4, err_msg=name)


if __name__ == "__main__":
    write(FOLDER / sys.argv[1])
