"""JAX, the whole step compiled by jit. Adam by hand, as JAX itself has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.models import after_pooling, inputs
from benchmarks.peers.layouts import CONVOLUTIONS, DENSE

NAME = "JAX jit"


def version() -> str:
    return str(jax.__version__)


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = []
    for layer in CONVOLUTIONS[name]:
        if layer:
            shapes += [(layer[1], layer[0], 3, 3), (layer[1],)]
    before = after_pooling(name, size)
    for width in DENSE[name]:
        shapes += [(before, width), (width,)]
        before = width
    params = [jnp.asarray(rng.normal(0, 0.1, s).astype(np.float32)) for s in shapes]
    images, targets = inputs(name, batch, size)
    x, labels = jnp.asarray(images), jnp.asarray(targets)

    def forward(params: list[Any], x: Any) -> Any:
        some = iter(params)
        for layer in CONVOLUTIONS[name]:
            if layer:
                pads = [(layer[2], layer[2])] * 2
                x = lax.conv_general_dilated(x, next(some), (1, 1), pads)
                x = jax.nn.relu(x + next(some)[:, None, None])
            else:
                window = (1, 1, 2, 2)
                x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        x = x.reshape(len(x), -1)
        for i in range(len(DENSE[name])):
            x = x @ next(some) + next(some)
            x = x if i == len(DENSE[name]) - 1 else jax.nn.relu(x)
        return x

    def loss(params: list[Any], x: Any, labels: Any) -> Any:
        logits = jax.nn.log_softmax(forward(params, x))
        return -logits[jnp.arange(len(labels)), labels].mean()

    def update(params: Any, m: Any, v: Any, count: Any, x: Any, labels: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, labels)
        m = [0.9 * a + 0.1 * g for a, g in zip(m, grads, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, grads, strict=True)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        new = [p - rate * a / (jnp.sqrt(b) + 1e-8) for p, a, b in zip(params, m, v, strict=True)]
        return new, m, v, value

    compiled, predict = jax.jit(update), jax.jit(forward)
    m, v = [jnp.zeros_like(p) for p in params], [jnp.zeros_like(p) for p in params]
    state = [params, m, v]
    count = 0

    def step() -> object:
        nonlocal count
        count += 1
        *state[:], value = compiled(*state, float(count), x, labels)
        return value.block_until_ready()

    return step, lambda: predict(params, x).block_until_ready()
