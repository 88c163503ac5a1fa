"""NumPy alone, as textbooks write it: im2col of the whole batch, gradients by hand, Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models import MODELS, after_pooling, inputs

NAME = "textbook NumPy"
RNG = np.random.default_rng(0)


def version() -> str:
    return np.__version__


def im2col(x: Any, k: int, stride: int, pad: int) -> Any:
    n, c, h, w = x.shape
    oh, ow = (h + 2 * pad - k) // stride + 1, (w + 2 * pad - k) // stride + 1
    image = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    col = np.zeros((n, c, k, k, oh, ow), x.dtype)
    for i in range(k):
        for j in range(k):
            col[:, :, i, j] = image[
                :, :, i : i + stride * oh : stride, j : j + stride * ow : stride
            ]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * oh * ow, -1)


def col2im(col: Any, shape: Any, k: int, stride: int, pad: int) -> Any:
    n, c, h, w = shape
    oh, ow = (h + 2 * pad - k) // stride + 1, (w + 2 * pad - k) // stride + 1
    col = col.reshape(n, oh, ow, c, k, k).transpose(0, 3, 4, 5, 1, 2)
    image = np.zeros((n, c, h + 2 * pad, w + 2 * pad), col.dtype)
    for i in range(k):
        for j in range(k):
            image[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += col[
                :, :, i, j
            ]
    return image[:, :, pad : h + pad, pad : w + pad]


class Convolution:
    def __init__(self, c: int, o: int, pad: int) -> None:
        self.pad = pad
        self.params = [RNG.normal(0, 0.1, (o, c, 3, 3)), np.zeros(o)]

    def forward(self, x: Any) -> Any:
        w, b = self.params
        self.shape, self.col = x.shape, im2col(x, 3, 1, self.pad)
        n, _, h, width = x.shape
        y = self.col @ w.reshape(len(w), -1).T + b
        oh, ow = h + 2 * self.pad - 2, width + 2 * self.pad - 2
        return y.reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)

    def backward(self, g: Any) -> Any:
        w = self.params[0]
        g = g.transpose(0, 2, 3, 1).reshape(-1, len(w))
        self.grads = [(self.col.T @ g).T.reshape(w.shape), g.sum(axis=0)]
        return col2im(g @ w.reshape(len(w), -1), self.shape, 3, 1, self.pad)


class Pooling:
    params: list[Any] = []

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        self.shape = x.shape
        col = im2col(x, 2, 2, 0).reshape(-1, 4)
        self.best = col.argmax(axis=1)
        return col.max(axis=1).reshape(n, h // 2, w // 2, c).transpose(0, 3, 1, 2)

    def backward(self, g: Any) -> Any:
        g = g.transpose(0, 2, 3, 1)
        spread = np.zeros((g.size, 4), g.dtype)
        spread[np.arange(g.size), self.best] = g.ravel()
        n, oh, ow, _ = g.shape
        self.grads: list[Any] = []
        return col2im(spread.reshape(n * oh * ow, -1), self.shape, 2, 2, 0)


class ReLU:
    params: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.off = x <= 0
        return np.where(self.off, 0, x)

    def backward(self, g: Any) -> Any:
        self.grads: list[Any] = []
        return np.where(self.off, 0, g)


class Dense:
    def __init__(self, n: int, m: int) -> None:
        self.params = [RNG.normal(0, 0.1, (n, m)), np.zeros(m)]

    def forward(self, x: Any) -> Any:
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.params[0] + self.params[1]

    def backward(self, g: Any) -> Any:
        self.grads = [self.x.T @ g, g.sum(axis=0)]
        return (g @ self.params[0].T).reshape(self.shape)


def network(name: str, size: int) -> list[Any]:
    features = after_pooling(name, size)
    if name == "dense":
        return [Dense(features, 100), ReLU(), Dense(100, 10)]
    if name == "ConvolutionNetwork":
        return [
            Convolution(1, 10, 0), ReLU(), Pooling(), Dense(features, 10), ReLU(), Dense(10, 10),
        ]  # fmt: skip
    if name == "DeepConvNet":
        return [
            Convolution(1, 16, 1), ReLU(), Convolution(16, 16, 1), ReLU(), Pooling(),
            Convolution(16, 32, 1), ReLU(), Convolution(32, 32, 2), ReLU(), Pooling(),
            Convolution(32, 64, 1), ReLU(), Convolution(64, 64, 1), ReLU(), Pooling(),
            Dense(features, 50), ReLU(), Dense(50, 10),
        ]  # fmt: skip
    if name != "VGG block":
        raise NotImplementedError(f"the textbook does not have {name}")
    return [
        Convolution(64, 128, 1), ReLU(), Convolution(128, 128, 1), ReLU(), Pooling(),
        Dense(features, 10),
    ]  # fmt: skip


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    layers = network(name, size)
    for layer in layers:
        layer.params = [p.astype(np.float32) for p in layer.params]
    moments = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer.params] for layer in layers]
    x, labels = inputs(name, batch, size)
    x = x[:, : MODELS[name].channels]
    count = 0

    def infer() -> Any:
        y = x
        for layer in layers:
            y = layer.forward(y)
        return y

    def step() -> object:
        nonlocal count
        count += 1
        logits = infer()
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(batch), labels] + 1e-7).mean()
        g = p
        g[np.arange(batch), labels] -= 1
        g /= batch
        for layer in reversed(layers):
            g = layer.backward(g)
        rate = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for layer, pairs in zip(layers, moments, strict=True):
            for w, d, (m, v) in zip(layer.params, layer.grads, pairs, strict=True):
                m += 0.1 * (d - m)
                v += 0.001 * (d**2 - v)
                w -= (rate * m / (np.sqrt(v) + 1e-7)).astype(np.float32)
        return loss

    return step, infer
