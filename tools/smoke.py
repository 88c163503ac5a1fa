"""Does an installed minigrad work? Runs anywhere, without the repository, in seconds.

    python smoke.py

It needs nothing but what ``pip install minigrad`` installs; extras are used where they are. ``make
release`` runs it with the wheel and with the source distribution, in new environments.
"""

import importlib.metadata
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

CHECKS: list[Callable[[Path], None]] = []


def check(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Have this function called, with an empty folder."""
    CHECKS.append(function)
    return function


@check
def it_is_the_installed_package(_: Path) -> None:
    package = Path(mg.__file__).parent
    assert Path(sys.prefix) in package.parents, f"{package} is not in {sys.prefix}"
    assert mg.__version__ == importlib.metadata.version("minigrad")
    assert (package / "py.typed").exists()
    about = importlib.metadata.metadata("minigrad")
    assert about["License-Expression"] == "MIT"
    assert about["Requires-Python"] == ">=3.11"
    files = importlib.metadata.files("minigrad") or []
    assert any(file.name == "LICENSE" for file in files)
    assert not [file for file in files if file.parts[0] in ("tests", "nn", "optim", "docs")]


@check
def every_public_name_is_there(_: Path) -> None:
    for module in (mg, nn, optim, F, mg.data, mg.models, mg.callbacks, mg.metrics):
        for name in module.__all__:
            getattr(module, name)


@check
def gradients(_: Path) -> None:
    x = mg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    with mg.GradientTape() as outer:
        with mg.GradientTape() as inner:
            y = np.exp(2 * x) + x**3
        dy = inner.gradient(y, x)
    value = x.numpy()
    assert np.allclose(dy.numpy(), 2 * np.exp(2 * value) + 3 * value**2)
    assert np.allclose(outer.gradient(dy, x).numpy(), 4 * np.exp(2 * value) + 6 * value)
    leaf = mg.tensor(value, requires_grad=True)
    (leaf * leaf).sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad.numpy() == 2 * value).all()
    mg.testing.check_grads(lambda a: np.sin(a) * a, value)


def images_of_four_kinds() -> tuple[np.ndarray, np.ndarray]:
    """Images of 8 x 8 pixels: a bright patch in one of four corners, and noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    images = rng.normal(0.0, 0.2, (400, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.5
    return images, labels


def network() -> nn.Sequential:
    mg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 4),
    )  # fmt: skip


def train(epochs: int, saved: Path, start: Path | None = None) -> mg.Trainer:
    x, y = images_of_four_kinds()
    trainer = mg.Trainer(network(), optim.Adam(lr=0.01))
    if start is not None:
        trainer.load_checkpoint(start)
    trainer.fit(
        x[:300], y[:300], epochs=epochs, batch_size=30, validation_data=(x[300:], y[300:]),
        callbacks=mg.callbacks.ModelCheckpoint(saved), verbose=0,
    )  # fmt: skip
    trainer.save_checkpoint(saved.with_name("run.safetensors"))
    return trainer


@check
def training(folder: Path) -> None:
    train(2, folder / "best.safetensors")
    resumed = train(4, folder / "best.safetensors", start=folder / "run.safetensors")
    whole = train(4, folder / "best.safetensors")
    assert whole.history.history["val_accuracy"][-1] > 0.95, whole.history
    for name, value in whole.model.state_dict().items():
        assert (value.numpy() == resumed.model.state_dict()[name].numpy()).all(), name


@check
def files(folder: Path) -> None:
    (x, y), model = images_of_four_kinds(), network()
    F.cross_entropy(model(x), y)  # moves the running means
    model.eval()
    scores = model(x).numpy()
    mg.save(model.state_dict(), folder / "weights.safetensors")
    other = network().eval()
    other.load_state_dict(mg.load(folder / "weights.safetensors"))
    mg.save_model(model, folder / "model.safetensors")
    for same in (other, mg.load_model(folder / "model.safetensors").eval()):
        assert (same(x).numpy() == scores).all()
    assert "Linear" in str(mg.summary(model, (1, 8, 8)))


@check
def pictures(folder: Path) -> None:
    model, (x, y) = network(), images_of_four_kinds()
    with mg.observe():
        loss = F.cross_entropy(model(x[:8]), y[:8])
    picture = mg.make_dot(loss, params=dict(model.named_parameters()))
    picture.save(folder / "graph.dot")
    picture.save(folder / "graph.html")
    assert "Conv2d" in (folder / "graph.dot").read_text(encoding="utf-8")
    page = (folder / "graph.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "<script" in page

    with mg.film() as steps:
        F.cross_entropy(model(x[:8]), y[:8]).backward()
    steps.save(folder / "steps.html")
    film = (folder / "steps.html").read_text(encoding="utf-8")
    assert "rule of" in film
    assert len(film) < 1_000_000
    with mg.GradientTape() as tape:
        model(x[:2])
    assert "conv2d" in str(tape)


def message(call: Callable[[], object], kind: type[Exception]) -> str:
    """What a call that must fail says."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"nothing was raised: {kind.__name__} was expected")


def lacks(module: str) -> bool:
    return importlib.util.find_spec(module) is None


@check
def errors_say_what_to_do(_: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    told = message(lambda: model(mg.ones((2, 5))), ValueError)
    assert "0 (Linear)" in told, told
    assert "expected 3" in told, told
    assert "got 5" in told, told
    told = message(lambda: mg.ones(3, requires_grad=True).backward(), RuntimeError)
    assert "gradient=" in told, told
    told = message(lambda: getattr(mg, "make_dott"), AttributeError)  # noqa: B009
    assert "make_dot" in told, told
    if lacks("sklearn"):
        assert "minigrad[data]" in message(mg.data.load_digits, ImportError)
    if lacks("hypothesis"):
        assert "pip install" in message(lambda: mg.testing.given_grads, ModuleNotFoundError)
    if lacks("onnx"):
        call = lambda: mg.onnx.export(model, (mg.ones((1, 3)),), "model.onnx")
        assert "minigrad[onnx]" in message(call, ImportError)


def main() -> None:
    warnings.simplefilter("error")
    for function in CHECKS:
        with tempfile.TemporaryDirectory() as folder:
            function(Path(folder))
        print(f"ok: {function.__name__.replace('_', ' ')}", flush=True)
    print(f"minigrad {mg.__version__} works on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
