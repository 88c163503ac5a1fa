"""HIPS autograd, with its own Adam formula by hand; it has no fast convolution, so dense only."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.scipy.special import logsumexp

from benchmarks.models import inputs

NAME = "HIPS autograd"


def version() -> str:
    return metadata.version("autograd")


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    if name != "dense":
        raise NotImplementedError("autograd convolves with SciPy's correlate only")
    rng = np.random.default_rng(0)
    shapes = [(size * size, 100), (100,), (100, 10), (10,)]
    params = [rng.normal(0, 0.1, s).astype(np.float32) for s in shapes]
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
    images, labels = inputs(name, batch, size)
    x = images.reshape(batch, -1)
    rows = np.arange(batch)
    count = 0

    def forward(params: list[Any]) -> Any:
        w, b, u, c = params
        return anp.dot(anp.maximum(anp.dot(x, w) + b, 0), u) + c

    def loss(params: list[Any]) -> Any:
        logits = forward(params)
        return anp.mean(logsumexp(logits, axis=1) - logits[rows, labels])

    gradient = value_and_grad(loss)

    def step() -> object:
        nonlocal count
        count += 1
        value, grads = gradient(params)
        rate = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, g, (m, v) in zip(params, grads, moments, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= (rate * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
        return value

    return step, lambda: forward(params)
