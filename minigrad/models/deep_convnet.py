"""DeepConvNet: six 3 x 3 convolutions that read handwritten digits as well as people do.

The network of chapter 8 of Saitoh, "Deep learning from scratch", 2016 (O'Reilly Japan). It gets
9,935 of MNIST's 10,000 test images right with the weights that come with the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor


class DeepConvNet(nn.Module):
    """Three pairs of convolutions with pooling, two dense layers: (N, 1, 28, 28) to (N, classes).

    Pixels are from 0 to 1. Weights start with He's values, biases at 0. ``load_book`` raises
    ValueError for other arrays than the book has.

    >>> mg.models.deep_convnet()(mg.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """

    @checked(num_classes="[0, inf)", dropout="[0, 1]")
    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        # The fourth padding is 2, so that the images go from 28 to 14, 8 and 4 pixels.
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(64 * 4 * 4, 50), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(50, num_classes), nn.Dropout(dropout),
        )  # fmt: skip
        for layer in self._layers():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def _layers(self) -> list[Any]:
        """Those with weights, in order."""
        return [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, 1, 28, 28) to (N, num_classes)."""
        ans: Tensor = self.classifier(nn.functional.flatten(self.features(x), 1))
        return ans

    @checked()
    def load_book(self, arrays: Mapping[str, Any]) -> None:
        """Take the weights that come with the book: W1 to W8 and b1 to b8, as ``np.load`` gives.

        Its dense layers compute x @ W, and its dropout scales in evaluation (by 1 - p) where ours
        scales in training, so that the last weights and bias take over those factors.

        Raises ValueError for missing or unexpected arrays and wrong shapes, TypeError for a single
        array.
        """
        given: Any = arrays
        if not isinstance(given, Mapping):
            raise TypeError(
                f"load_book: expected the arrays W1 to W8 and b1 to b8 by name, as in an .npz, "
                f"got {type(given).__name__}"
            )
        state: dict[str, Any] = {}
        known = {f"{name}{i}" for name in "Wb" for i in range(1, 9)}
        if set(arrays) != known:
            raise ValueError(
                f"load_book: expected the arrays W1 to W8 and b1 to b8, got {sorted(arrays)}"
            )
        names = [name.removesuffix(".weight") for name in self.state_dict() if "weight" in name]
        for i, name in enumerate(names, start=1):
            weight, bias = np.asarray(arrays[f"W{i}"]), np.asarray(arrays[f"b{i}"])
            state[f"{name}.weight"] = weight.T if weight.ndim == 2 else weight
            state[f"{name}.bias"] = bias
        keep, last = 0.5, names[-1]
        state[f"{last}.weight"] = state[f"{last}.weight"] * keep * keep
        state[f"{last}.bias"] = state[f"{last}.bias"] * keep
        self.load_state_dict(state)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def deep_convnet(num_classes: int = 10, dropout: float = 0.5) -> DeepConvNet:
    """DeepConvNet with 123,552 parameters (for 10 classes), for images (N, 1, 28, 28).

    See :class:`DeepConvNet`.
    """
    return DeepConvNet(num_classes, dropout)
