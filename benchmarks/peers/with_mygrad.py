"""MyGrad, with Adam by hand, as MyGrad itself has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import conv_nd, max_pool, relu
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.models import after_pooling, inputs
from benchmarks.peers.layouts import CONVOLUTIONS, DENSE

NAME = "MyGrad"


def version() -> str:
    return str(mg.__version__)


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = []
    for layer in CONVOLUTIONS[name]:
        if layer:
            shapes += [(layer[1], layer[0], 3, 3), (1, layer[1], 1, 1)]
    before = after_pooling(name, size)
    for width in DENSE[name]:
        shapes += [(before, width), (width,)]
        before = width
    params = [mg.tensor(rng.normal(0, 0.1, s).astype(np.float32)) for s in shapes]
    moments = [(np.zeros_like(p.data), np.zeros_like(p.data)) for p in params]
    x, labels = inputs(name, batch, size)
    count = 0

    def infer() -> Any:
        some = iter(params)
        y: Any = x
        for layer in CONVOLUTIONS[name]:
            if layer:
                y = relu(conv_nd(y, next(some), stride=1, padding=layer[2]) + next(some))
            else:
                y = max_pool(y, (2, 2), 2)
        y = y.reshape(batch, -1)
        for i in range(len(DENSE[name])):
            y = y @ next(some) + next(some)
            y = y if i == len(DENSE[name]) - 1 else relu(y)
        return y

    def step() -> object:
        nonlocal count
        count += 1
        loss = softmax_crossentropy(infer(), labels)
        loss.backward()
        rate = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, (m, v) in zip(params, moments, strict=True):
            g = p.grad
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p.data[...] -= (rate * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
        return loss.item()

    def predict() -> object:
        with mg.no_autodiff:
            return infer()

    return step, predict
