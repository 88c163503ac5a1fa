"""Make the pictures of the gallery: `python docs/gallery.py [--out docs/images/gallery]`.

Everything is seeded, so the same version makes the same pictures.
"""

import argparse
import re
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.graph import Picture
from minigrad.nn import functional as F


def main() -> None:
    here = Path(__file__).parent
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=here / "images" / "gallery")
    out: Path = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for make in (convolution, deep_convnet, residual, resnet50, googlenet, recurrent, attention,
                 second_order, overlays, broken, training):  # fmt: skip
        mg.manual_seed(0)
        make(out)


def save(picture: Picture, path: Path) -> None:
    """Write an SVG, without the version of the layout engine."""
    text = picture.pipe("svg", encoding="utf-8")
    path.write_text(re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL), encoding="utf-8")
    print(path)


def named(model: nn.Module, **inputs: mg.Tensor) -> dict[str, mg.Tensor]:
    return {**dict(model.named_parameters()), **inputs}


def convolution(out: Path) -> None:
    """A small convolutional network and its loss."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )
    x = mg.randn(32, 1, 8, 8)
    loss = F.cross_entropy(model(x), np.arange(32) % 10)
    save(mg.make_dot({"loss": loss}, named(model, x=x)), out / "convolution.svg")


def deep_convnet(out: Path) -> None:
    """DeepConvNet, opened down to its operators."""
    model = mg.models.deep_convnet()
    x = mg.randn(4, 1, 28, 28)
    picture = mg.make_dot({"scores": model(x)}, named(model, x=x))
    save(picture, out / "deep-convnet.svg")


def residual(out: Path) -> None:
    """One residual block of a ResNet, cut out of the model."""
    model = mg.models.resnet_small(in_channels=1)
    x = mg.randn(2, 1, 28, 28)
    scores = model(x)
    paths = [path for path, _ in model.named_modules() if path.endswith(".downsample")]
    block = paths[0].removesuffix(".downsample")
    picture = mg.make_dot(scores, named(model), between=(block, block), depth=3)
    save(picture, out / "residual-block.svg")


def resnet50(out: Path) -> None:
    """ResNet-50 on a page: equal blocks are drawn once, with their count."""
    model = mg.models.resnet50()
    x = mg.randn(2, 3, 64, 64)
    picture = mg.make_dot({"scores": model(x)}, named(model, x=x))
    save(picture, out / "resnet50.svg")


def googlenet(out: Path) -> None:
    """Inception modules side by side."""
    model = mg.models.googlenet_small()
    x = mg.randn(2, 3, 32, 32)
    picture = mg.make_dot({"scores": model(x)}, named(model, x=x), depth=2)
    save(picture, out / "googlenet.svg")


class Reader(nn.Module):
    """The last state of an LSTM, read out."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16)
        self.read = nn.Linear(16, 3)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        outputs, _ = self.lstm(x)
        scores: mg.Tensor = self.read(outputs[-1])
        return scores


def recurrent(out: Path) -> None:
    """An LSTM over 16 steps: its loop through time is drawn once, with the way back."""
    model = Reader()
    x = mg.randn(16, 4, 8)
    save(mg.make_dot({"scores": model(x)}, named(model, x=x)), out / "lstm.svg")


def attention(out: Path) -> None:
    """Self-attention over a short sequence."""
    model = nn.MultiheadAttention(16, 4, batch_first=True)
    x = mg.randn(2, 5, 16)
    x.requires_grad = True
    y, _ = model(x, x, x)
    save(mg.make_dot({"y": y}, named(model, x=x)), out / "attention.svg")


def second_order(out: Path) -> None:
    """A gradient that was itself recorded: dashed, beside what it is the gradient of."""
    x = mg.tensor([0.5, 1.5], requires_grad=True)
    with mg.GradientTape():
        with mg.GradientTape() as inner:
            y = (mg.sin(x) * x).sum()
        g = inner.gradient(y, x)
    save(mg.make_dot({"y": y, "dy/dx": g}, {"x": x}), out / "second-order.svg")


def overlays(out: Path) -> None:
    """Values, gradients, bytes and times of a forward and a backward pass."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x = mg.randn(16, 4)
    with mg.observe(time=False):  # times differ from run to run
        loss = (model(x) ** 2).mean()
        loss.backward(retain_graph=True)
    show = ("values", "gradients", "bytes", "line")
    save(mg.make_dot({"loss": loss}, named(model, x=x), show=show), out / "overlays.svg")


def broken(out: Path) -> None:
    """Where a NaN came from."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = mg.randn(16, 4)
    with np.errstate(all="ignore"), mg.observe(time=False):
        e = mg.exp(model(x) * 1000.0)
        loss = -mg.log(e / e.sum(axis=1, keepdims=True))[:, 0].mean()
    save(mg.make_dot({"loss": loss}, named(model, x=x), show="values"), out / "nan.svg")


def training(out: Path) -> None:
    """What mg.viz draws of a network that learns the digits."""
    (x_train, y_train), (x_test, y_test) = mg.data.load_digits()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 10),
    )  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    generator = np.random.default_rng(0)
    curves: dict[str, list[float]] = {
        "loss": [],
        "val_loss": [],
        "accuracy": [],
        "val_accuracy": [],
    }
    layers = mg.viz.LayerHistograms(model)
    for _ in range(6):
        for batch in generator.permutation(len(x_train) // 32 * 32).reshape(-1, 32):
            optimizer.zero_grad()
            F.cross_entropy(model(mg.tensor(x_train[batch])), y_train[batch]).backward()
            layers.record()
            optimizer.step()
        for prefix, x, y in (("", x_train, y_train), ("val_", x_test, y_test)):
            with mg.no_grad():
                scores = model(mg.tensor(x))
                curves[f"{prefix}loss"].append(F.cross_entropy(scores, y).item())
            right = scores.argmax(axis=1).numpy() == y
            curves[f"{prefix}accuracy"].append(float(right.mean()))
    layers.close()
    with mg.no_grad():
        scores = model(mg.tensor(x_test))
    x, y = mg.tensor(x_train[:256]), y_train[:256]
    figures = {
        "curves": mg.viz.learning_curves(curves),
        "filters": mg.viz.filters(model[0]),
        "feature-maps": mg.viz.feature_maps(model, x_test[3]),
        "activations": layers.plot("activations"),
        "gradients": layers.plot("gradients"),
        "confusion": mg.viz.confusion_matrix(y_test, scores),
        "misclassified": mg.viz.misclassified(x_test, y_test, scores),
        "landscape": mg.viz.loss_landscape(
            model, lambda: F.cross_entropy(model(x), y), generator=np.random.default_rng(1)
        ),
    }
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=110, metadata={"Software": None})
        print(out / f"{name}.png")


if __name__ == "__main__":
    main()
