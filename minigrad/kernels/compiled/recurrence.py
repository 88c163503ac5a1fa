"""The steps of LSTM and GRU cells, each in one pass over the gates, in float32.

Their plain definitions, in kernels/recurrence.py, make a new array for each operation.
"""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import recurrence as numpy_set
from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.functions import logistic, tanh
from minigrad.kernels.compiled.layout import are_single, flat
from minigrad.kernels.compiled.vectors import LANES, load, splat, store


def _fit(*arrays: Any) -> bool:
    """Whether these are float32, and their last axis is long enough for a vector."""
    last = arrays[-1]
    return are_single(*arrays) and last.ndim > 0 and last.shape[-1] >= LANES and last.size > 0


def kernel(loop: Callable[..., None]) -> Callable[..., Any]:
    """The kernel of a loop's name, which leaves to NumPy what does not fit.

    The loop's arguments are those of the kernel as rows, rows for its results (a gradient for each
    input, or what is shaped as the state) and the length of the last axis.
    """
    numpy, runs = getattr(numpy_set, loop.__name__), compiled(loop)
    grads = loop.__name__.endswith("_grad")

    @functools.wraps(numpy)
    def call(*given: Any) -> Any:
        if not _fit(*given):
            return numpy(*given)
        found = [np.empty(a.shape, a.dtype) for a in (given[1:] if grads else given[-1:])]
        runs(*map(flat, given), *[a.reshape(-1) for a in found], given[-1].shape[-1])
        return tuple(found) if grads else found[0]

    call.__module__ = __name__
    return call


@inlined
def _opposite(x):
    return x * -1.0 + 1.0


@kernel
def lstm_cell(gates, cell, out, n):
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            enter, forget = logistic(load(gates, k)), logistic(load(gates, k + n))
            store(out, i, forget * load(cell, i) + enter * tanh(load(gates, k + 2 * n)))


@kernel
def lstm_cell_grad(g, gates, cell, by_gates, by_cell, n):
    zero = splat(np.float32(0.0))
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            enter, forget = logistic(load(gates, k)), logistic(load(gates, k + n))
            new, slope = tanh(load(gates, k + 2 * n)), load(g, i)
            to_new, to_cell = slope * enter, slope * forget
            store(by_gates, k, to_new * new * _opposite(enter))
            store(by_gates, k + n, to_cell * load(cell, i) * _opposite(forget))
            store(by_gates, k + 2 * n, to_new * _opposite(new * new))
            store(by_gates, k + 3 * n, zero)
            store(by_cell, i, to_cell)


@kernel
def lstm_hidden(gates, cell, out, n):
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            store(out, i, logistic(load(gates, k + 3 * n)) * tanh(load(cell, i)))


@kernel
def lstm_hidden_grad(g, gates, cell, by_gates, by_cell, n):
    zero = splat(np.float32(0.0))
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            out, t = logistic(load(gates, k + 3 * n)), tanh(load(cell, i))
            to_cell = load(g, i) * out
            store(by_gates, k, zero)
            store(by_gates, k + n, zero)
            store(by_gates, k + 2 * n, zero)
            store(by_gates, k + 3 * n, to_cell * t * _opposite(out))
            store(by_cell, i, to_cell * _opposite(t * t))


@kernel
def gru_hidden(a, b, hidden, out, n):
    for r in range(len(hidden) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 3 * r * n + c, r * n + c
            reset = logistic(load(a, k) + load(b, k))
            update = logistic(load(a, k + n) + load(b, k + n))
            new = tanh(load(a, k + 2 * n) + reset * load(b, k + 2 * n))
            store(out, i, _opposite(update) * new + update * load(hidden, i))


@kernel
def gru_hidden_grad(g, a, b, hidden, by_a, by_b, by_hidden, n):
    for r in range(len(hidden) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 3 * r * n + c, r * n + c
            reset = logistic(load(a, k) + load(b, k))
            update = logistic(load(a, k + n) + load(b, k + n))
            state, slope, before = load(b, k + 2 * n), load(g, i), load(hidden, i)
            new = tanh(load(a, k + 2 * n) + reset * state)
            to_hidden = slope * update
            to_new = (slope - to_hidden) * _opposite(new * new)
            to_state = to_new * reset
            to_reset = to_state * state * _opposite(reset)
            to_update = to_hidden * (before - new) * _opposite(update)
            store(by_a, k, to_reset)
            store(by_b, k, to_reset)
            store(by_a, k + n, to_update)
            store(by_b, k + n, to_update)
            store(by_a, k + 2 * n, to_new)
            store(by_b, k + 2 * n, to_state)
            store(by_hidden, i, to_hidden)
