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
        Model("LeNet", 64, 28, 1, "6-16 kernels 5 x 5, dense 120-84-10"),
        Model("VGG block", 8, 56, 64, "64 to 128 channels, twice 3 x 3, max-pool, dense 10"),
        Model("residual block", 32, 28, 64, "64 channels, twice 3 x 3, batch norm, mean, dense 10"),
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
    if name == "LeNet":
        return 16 * ((size // 2 - 4) // 2) ** 2
    if name == "residual block":
        return 64
    if name == "DeepConvNet":
        # The fourth convolution pads by 2, which adds two pixels.
        return 64 * ((size // 2 + 2) // 2 // 2) ** 2
    return 128 * (size // 2) ** 2


def work(name: str, batch: int, size: int) -> tuple[float, float]:
    """The least that a training step must do: operations in products, and bytes moved.

    Each product is done once forwards and twice backwards (once for the first layer, whose input
    needs no gradient). Each activation is written and read forwards and backwards, and its
    gradient too; each parameter, its gradient and Adam's two moments are read and all but the
    gradient written.
    """
    layers: list[tuple[float, int, int]] = []  # multiplications, parameters, activations
    side, channels = size, MODELS[name].channels
    kernels = {
        "dense": [], "ConvolutionNetwork": [(10, 0, 3)], "LeNet": [(6, 2, 5), (16, 0, 5)],
        "VGG block": [(128, 1, 3), (128, 1, 3)], "residual block": [(64, 1, 3), (64, 1, 3)],
        "DeepConvNet": [(16, 1, 3), (16, 1, 3), (32, 1, 3), (32, 2, 3), (64, 1, 3), (64, 1, 3)],
    }  # fmt: skip
    pooled = {
        "ConvolutionNetwork": (0,), "LeNet": (0, 1), "VGG block": (1,), "DeepConvNet": (1, 3, 5),
    }  # fmt: skip
    for i, (out, padding, kernel) in enumerate(kernels[name]):
        side += 2 * padding + 1 - kernel
        places, taps = side * side, kernel * kernel
        layers.append(
            (1.0 * taps * channels * out * places, (taps * channels + 1) * out, 2 * out * places)
        )
        channels = out
        if i in pooled.get(name, ()):
            side //= 2
    before = after_pooling(name, size)
    widths = {
        "dense": [100, 10], "ConvolutionNetwork": [10, 10], "DeepConvNet": [50, 10],
        "LeNet": [120, 84, 10],
    }  # fmt: skip
    for width in widths.get(name, [10]):
        layers.append((1.0 * before * width, (before + 1) * width, 2 * width))
        before = width
    products = sum(3 * m for m, _, _ in layers) - layers[0][0]
    parameters = sum(p for _, p, _ in layers)
    activations = sum(a for _, _, a in layers)
    return 2 * products * batch, 4.0 * (7 * parameters + 4 * activations * batch)
