"""minigrad itself."""

from __future__ import annotations

from collections.abc import Callable

import minigrad as mg
import minigrad.nn.functional as F
from benchmarks.models import after_pooling, inputs
from minigrad import nn, optim

NAME = "minigrad"


def version() -> str:
    return mg.__version__


class Residual(nn.Module):
    """Two convolutions with batch norm, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return F.relu(self.body(x) + x)


def network(name: str, size: int) -> nn.Sequential:
    features = after_pooling(name, size)
    layers: list[nn.Module]
    if name == "dense":
        layers = [nn.Flatten(), nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 10)]
    elif name == "ConvolutionNetwork":
        layers = [
            nn.Conv2d(1, 10, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(features, 10), nn.ReLU(), nn.Linear(10, 10),
        ]  # fmt: skip
    elif name == "DeepConvNet":
        layers = [
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(features, 50), nn.ReLU(), nn.Dropout(),
            nn.Linear(50, 10), nn.Dropout(),
        ]  # fmt: skip
    elif name == "LeNet":
        layers = [
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        ]  # fmt: skip
    elif name == "residual block":
        layers = [Residual(64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10)]
    else:
        layers = [
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(features, 10),
        ]  # fmt: skip
    return nn.Sequential(*layers)


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    model, trained = network(name, size), network(name, size).eval()
    optimizer = optim.Adam(model.parameters())
    images, labels = inputs(name, batch, size)
    x, y = mg.tensor(images), mg.tensor(labels)

    def step() -> object:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def infer() -> object:
        with mg.no_grad():
            return trained(x)

    return step, infer
