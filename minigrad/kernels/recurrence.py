"""One step of an LSTM or a GRU, and its gradients.

The last axis of ``gates`` holds the gates of all states side by side: i, f, g, o of an LSTM
(..., 4 H), r, z, n of a GRU (..., 3 H). Everything is written in functions that record themselves
on tensors: derivatives of higher order are taken through it. Neighbouring gates go through
the logistic function together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.activations import logistic


def _lstm_gates(gates: Any) -> tuple[Any, Any, Any]:
    """Input gate, forget gate and candidate state."""
    n = gates.shape[-1] // 4
    both = logistic(gates[..., : 2 * n])
    return both[..., :n], both[..., n:], np.tanh(gates[..., 2 * n : 3 * n])


def plain_lstm_cell(gates: Any, cell: Any) -> Any:
    """The new cell state: sigmoid(f) * cell + sigmoid(i) * tanh(g)."""
    enter, forget, new = _lstm_gates(gates)
    return forget * cell + enter * new


def plain_lstm_cell_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """The gradients of the new cell state by the gates and by the cell state."""
    enter, forget, new = _lstm_gates(gates)
    to_new, to_cell = g * enter, g * forget
    by_gates = [
        to_new * new * (1.0 - enter),
        to_cell * cell * (1.0 - forget),
        to_new * (1.0 - new * new),
        np.zeros_like(g),
    ]
    return np.concatenate(by_gates, axis=-1), to_cell


def _lstm_output(gates: Any, cell: Any) -> tuple[Any, Any]:
    """Output gate, and what it lets through."""
    return logistic(gates[..., gates.shape[-1] // 4 * 3 :]), np.tanh(cell)


def plain_lstm_hidden(gates: Any, cell: Any) -> Any:
    """The new hidden state: sigmoid(o) * tanh(cell), of the new cell state."""
    out, t = _lstm_output(gates, cell)
    return out * t


def plain_lstm_hidden_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """The gradients of the new hidden state by the gates and by the cell state."""
    out, t = _lstm_output(gates, cell)
    to_cell, none = g * out, np.zeros_like(g)
    by_gates = np.concatenate([none, none, none, to_cell * t * (1.0 - out)], axis=-1)
    return by_gates, to_cell * (1.0 - t * t)


def _gru_gates(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Reset gate, update gate and candidate state."""
    n = a.shape[-1] // 3
    both = logistic(a[..., : 2 * n] + b[..., : 2 * n])
    reset = both[..., :n]
    return reset, both[..., n:], np.tanh(a[..., 2 * n :] + reset * b[..., 2 * n :])


def plain_gru_hidden(a: Any, b: Any, hidden: Any) -> Any:
    """The new hidden state: (1 - z) * n + z * hidden; ``a`` and ``b``: gates of input and state."""
    _, update, new = _gru_gates(a, b)
    return (1.0 - update) * new + update * hidden


def plain_gru_hidden_grad(g: Any, a: Any, b: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """The gradients of the new hidden state by the gates of input and state, and by the state."""
    reset, update, new = _gru_gates(a, b)
    to_hidden = g * update
    to_new = (g - to_hidden) * (1.0 - new * new)
    to_state = to_new * reset
    to_reset = to_state * b[..., b.shape[-1] // 3 * 2 :] * (1.0 - reset)
    to_update = to_hidden * (hidden - new) * (1.0 - update)
    by_a = np.concatenate([to_reset, to_update, to_new], axis=-1)
    by_b = np.concatenate([to_reset, to_update, to_state], axis=-1)
    return by_a, by_b, to_hidden


#: As they are defined.
lstm_cell, lstm_cell_grad = plain_lstm_cell, plain_lstm_cell_grad
lstm_hidden, lstm_hidden_grad = plain_lstm_hidden, plain_lstm_hidden_grad
gru_hidden, gru_hidden_grad = plain_gru_hidden, plain_gru_hidden_grad
