"""What is trained in the benchmarks: the models' names and sizes, and inputs for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Model(NamedTuple):
    """A model as the tables describe it. Each peer builds its own by the name."""

    name: str
    batch: int
    size: int
    channels: int
    text: str


MODELS = {
    m.name: m
    for m in (
        Model("dense", 32, 28, 1, "784-100-10"),
        Model("ConvolutionNetwork", 32, 28, 1, "10 kernels 3 x 3, max-pool, 10-10"),
        Model("DeepConvNet", 100, 28, 1, "16-16-32-32-64-64 kernels, dense 50-10"),
        Model("VGG block", 8, 56, 64, "64 to 128 channels, twice 3 x 3, max-pool, dense 10"),
    )
}


def inputs(name: str, batch: int, size: int) -> tuple[Any, Any]:
    """Images (N, C, H, W) in float32 and labels (N,), the same for every framework."""
    rng = np.random.default_rng(0)
    shape = (batch, MODELS[name].channels, size, size)
    return rng.random(shape, np.float32), rng.integers(0, 10, batch)


def after_pooling(name: str, size: int) -> int:
    """The features that go into the first dense layer."""
    if name == "dense":
        return size * size
    if name == "ConvolutionNetwork":
        return 10 * ((size - 2) // 2) ** 2
    if name == "DeepConvNet":
        # The fourth convolution pads by 2, which adds two pixels.
        return 64 * ((size // 2 + 2) // 2 // 2) ** 2
    return 128 * (size // 2) ** 2
