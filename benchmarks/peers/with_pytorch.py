"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.models import after_pooling, inputs

NAME = "PyTorch"


def version() -> str:
    return str(torch.__version__)


class Residual(nn.Module):  # type: ignore[misc]
    """Two convolutions with batch norm, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return torch.relu(self.body(x) + x)


def network(name: str, size: int) -> Any:
    features = after_pooling(name, size)
    if name == "dense":
        return nn.Sequential(nn.Flatten(), nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 10))
    if name == "ConvolutionNetwork":
        return nn.Sequential(
            nn.Conv2d(1, 10, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(features, 10), nn.ReLU(), nn.Linear(10, 10),
        )  # fmt: skip
    if name == "DeepConvNet":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(features, 50), nn.ReLU(), nn.Dropout(),
            nn.Linear(50, 10), nn.Dropout(),
        )  # fmt: skip
    if name == "LeNet":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    if name == "residual block":
        return nn.Sequential(
            Residual(64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10)
        )
    return nn.Sequential(
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(),
        nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(features, 10),
    )  # fmt: skip


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    model, trained = network(name, size), network(name, size).eval()
    optimizer = torch.optim.Adam(model.parameters())
    images, labels = inputs(name, batch, size)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)

    def step() -> object:
        optimizer.zero_grad()
        loss: Any = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def infer() -> object:
        with torch.no_grad():
            return trained(x)

    return step, infer
