"""The steps of LSTM and GRU cells, each in one pass over the gates, in float32."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import recurrence as numpy_set
from minigrad.kernels.compiled.build import compiled, inlined
from minigrad.kernels.compiled.functions import logistic, tanh
from minigrad.kernels.compiled.layout import flat
from minigrad.kernels.compiled.vectors import LANES, load, splat, store


def _fit(*arrays: Any) -> bool:
    """Whether these are arrays of float32, whose last axis is long enough for a vector."""
    return all(
        isinstance(a, np.ndarray) and a.dtype.char == "f" and a.dtype.isnative for a in arrays
    ) and (arrays[-1].ndim > 0 and arrays[-1].shape[-1] >= LANES and arrays[-1].size > 0)


def _new(like: Any) -> tuple[Any, Any]:
    """An array of this shape, and the same as one row."""
    out = np.empty(like.shape, like.dtype)
    return out, out.reshape(-1)


@inlined
def _opposite(x):
    return x * -1.0 + 1.0


def lstm_cell(gates: Any, cell: Any) -> Any:
    """``plain_lstm_cell``."""
    if not _fit(gates, cell):
        return numpy_set.lstm_cell(gates, cell)
    out, row = _new(cell)
    _lstm_cell(flat(gates), flat(cell), row, cell.shape[-1])
    return out


@compiled
def _lstm_cell(gates, cell, out, n):
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            enter, forget = logistic(load(gates, k)), logistic(load(gates, k + n))
            store(out, i, forget * load(cell, i) + enter * tanh(load(gates, k + 2 * n)))


def lstm_cell_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """``plain_lstm_cell_grad``."""
    if not _fit(g, gates, cell):
        return numpy_set.lstm_cell_grad(g, gates, cell)
    (by_gates, a), (by_cell, b) = _new(gates), _new(cell)
    _lstm_cell_grad(flat(g), flat(gates), flat(cell), a, b, cell.shape[-1])
    return by_gates, by_cell


@compiled
def _lstm_cell_grad(g, gates, cell, by_gates, by_cell, n):
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


def lstm_hidden(gates: Any, cell: Any) -> Any:
    """``plain_lstm_hidden``."""
    if not _fit(gates, cell):
        return numpy_set.lstm_hidden(gates, cell)
    out, row = _new(cell)
    _lstm_hidden(flat(gates), flat(cell), row, cell.shape[-1])
    return out


@compiled
def _lstm_hidden(gates, cell, out, n):
    for r in range(len(cell) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 4 * r * n + c, r * n + c
            store(out, i, logistic(load(gates, k + 3 * n)) * tanh(load(cell, i)))


def lstm_hidden_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """``plain_lstm_hidden_grad``."""
    if not _fit(g, gates, cell):
        return numpy_set.lstm_hidden_grad(g, gates, cell)
    (by_gates, a), (by_cell, b) = _new(gates), _new(cell)
    _lstm_hidden_grad(flat(g), flat(gates), flat(cell), a, b, cell.shape[-1])
    return by_gates, by_cell


@compiled
def _lstm_hidden_grad(g, gates, cell, by_gates, by_cell, n):
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


def gru_hidden(a: Any, b: Any, hidden: Any) -> Any:
    """``plain_gru_hidden``."""
    if not _fit(a, b, hidden):
        return numpy_set.gru_hidden(a, b, hidden)
    out, row = _new(hidden)
    _gru_hidden(flat(a), flat(b), flat(hidden), row, hidden.shape[-1])
    return out


@compiled
def _gru_hidden(a, b, hidden, out, n):
    for r in range(len(hidden) // n):
        for chunk in range(0, n, LANES):
            c = min(chunk, n - LANES)
            k, i = 3 * r * n + c, r * n + c
            reset = logistic(load(a, k) + load(b, k))
            update = logistic(load(a, k + n) + load(b, k + n))
            new = tanh(load(a, k + 2 * n) + reset * load(b, k + 2 * n))
            store(out, i, _opposite(update) * new + update * load(hidden, i))


def gru_hidden_grad(g: Any, a: Any, b: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """``plain_gru_hidden_grad``."""
    if not _fit(g, a, b, hidden):
        return numpy_set.gru_hidden_grad(g, a, b, hidden)
    (by_a, p), (by_b, q), (by_hidden, r) = _new(a), _new(b), _new(hidden)
    _gru_hidden_grad(flat(g), flat(a), flat(b), flat(hidden), p, q, r, hidden.shape[-1])
    return by_a, by_b, by_hidden


@compiled
def _gru_hidden_grad(g, a, b, hidden, by_a, by_b, by_hidden, n):
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
