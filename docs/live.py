"""The live pages of the site: computations to be played, and graphs whose modules open on a click.

`make docs` writes them beside the pictures; nothing of them is kept in the repository.
"""

from pathlib import Path

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


def make_live(out: Path) -> list[Path]:
    """Write every live page to `out`, and give the paths."""
    out.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for name, make in (
        ("film-index", digits),
        ("film-second-order", second_order),
        ("live-resnet", resnet),
        ("live-transformer", transformer),
    ):
        mg.manual_seed(0)
        made.append(make(out / f"{name}.html"))
    return made


def digits(path: Path) -> Path:
    """A step of training of a small convolutional network."""
    (images, labels), _ = mg.data.load_digits()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )
    with mg.film() as steps:
        F.cross_entropy(model(mg.tensor(images[:3])), labels[:3]).backward()
    steps.save(path, dict(model.named_parameters()))
    return path


def second_order(path: Path) -> Path:
    """A derivative of a derivative."""
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.film() as steps:
        with mg.GradientTape() as outer:
            with mg.GradientTape() as inner:
                y = np.sum(np.sin(w) * w)
            slope = inner.gradient(y, w)
        outer.gradient(slope, w)
    steps.save(path, {"w": w})
    return path


def resnet(path: Path) -> Path:
    """ResNet-18, its blocks closed at first."""
    model = mg.models.resnet18()
    x = mg.randn(1, 3, 64, 64)
    picture = mg.make_dot({"scores": model(x)}, dict(model.named_parameters(), x=x), depth=2)
    return Path(picture.save(path))


def transformer(path: Path) -> Path:
    """Two layers of a transformer."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    x = mg.randn(1, 5, 16)
    picture = mg.make_dot({"y": model(x)}, dict(model.named_parameters(), x=x), depth=3)
    return Path(picture.save(path))
