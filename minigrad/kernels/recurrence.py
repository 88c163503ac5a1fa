"""One step of an LSTM or a GRU, and its gradients.

The last axis of ``gates`` holds the gates of all states side by side: i, f, g, o of an LSTM
(..., 4 H), r, z, n of a GRU (..., 3 H). The plain definitions are written in functions that record
themselves on tensors: derivatives of second and higher order are taken through them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.activations import logistic, plain_logistic


def _gate(gates: Any, i: int, of: int) -> Any:
    """Gate i, where the last axis holds ``of`` gates."""
    n = gates.shape[-1] // of
    return gates[..., i * n : (i + 1) * n]


def plain_lstm_cell(gates: Any, cell: Any) -> Any:
    """The new cell state: sigmoid(f) * cell + sigmoid(i) * tanh(g)."""
    enter, forget = plain_logistic(_gate(gates, 0, 4)), plain_logistic(_gate(gates, 1, 4))
    return forget * cell + enter * np.tanh(_gate(gates, 2, 4))


def plain_lstm_cell_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """The gradients of the new cell state by the gates and by the cell state."""
    enter, forget = plain_logistic(_gate(gates, 0, 4)), plain_logistic(_gate(gates, 1, 4))
    new = np.tanh(_gate(gates, 2, 4))
    by_gates = [
        g * new * (enter * (1.0 - enter)),
        g * cell * (forget * (1.0 - forget)),
        g * enter * (1.0 - new * new),
        np.zeros_like(g),
    ]
    return np.concatenate(by_gates, axis=-1), g * forget


def plain_lstm_hidden(gates: Any, cell: Any) -> Any:
    """The new hidden state: sigmoid(o) * tanh(cell), of the new cell state."""
    return plain_logistic(_gate(gates, 3, 4)) * np.tanh(cell)


def plain_lstm_hidden_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """The gradients of the new hidden state by the gates and by the cell state."""
    out, t = plain_logistic(_gate(gates, 3, 4)), np.tanh(cell)
    none = np.zeros_like(g)
    by_gates = [none, none, none, g * t * (out * (1.0 - out))]
    return np.concatenate(by_gates, axis=-1), g * out * (1.0 - t * t)


def plain_gru_hidden(a: Any, b: Any, hidden: Any) -> Any:
    """The new hidden state: (1 - z) * n + z * hidden; ``a`` and ``b``: gates of input and state."""
    _, update, new = _plain_gru_gates(a, b)
    return (1.0 - update) * new + update * hidden


def plain_gru_hidden_grad(g: Any, a: Any, b: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """The gradients of the new hidden state by the gates of input and state, and by the state."""
    reset, update, new = _plain_gru_gates(a, b)
    to_new = g * (1.0 - update) * (1.0 - new * new)
    to_reset = to_new * _gate(b, 2, 3) * (reset * (1.0 - reset))
    to_update = g * (hidden - new) * (update * (1.0 - update))
    by_a = np.concatenate([to_reset, to_update, to_new], axis=-1)
    by_b = np.concatenate([to_reset, to_update, to_new * reset], axis=-1)
    return by_a, by_b, g * update


def _plain_gru_gates(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Reset gate, update gate and candidate state."""
    reset = plain_logistic(_gate(a, 0, 3) + _gate(b, 0, 3))
    update = plain_logistic(_gate(a, 1, 3) + _gate(b, 1, 3))
    return reset, update, np.tanh(_gate(a, 2, 3) + reset * _gate(b, 2, 3))


# Faster: neighbouring gates go through the logistic function together, and results into one array.


def lstm_cell(gates: Any, cell: Any) -> Any:
    """``plain_lstm_cell``."""
    enter, forget, new = _lstm_gates(gates)
    return forget * cell + enter * new


def _lstm_gates(gates: Any) -> tuple[Any, Any, Any]:
    n = gates.shape[-1] // 4
    both = logistic(gates[..., : 2 * n])
    return both[..., :n], both[..., n:], np.tanh(gates[..., 2 * n : 3 * n])


def lstm_cell_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """``plain_lstm_cell_grad``."""
    enter, forget, new = _lstm_gates(gates)
    n, to_new, to_cell = g.shape[-1], g * enter, g * forget
    by_gates = np.zeros(gates.shape, np.result_type(g, gates, cell))
    by_gates[..., :n] = to_new * new * (1.0 - enter)
    by_gates[..., n : 2 * n] = to_cell * cell * (1.0 - forget)
    by_gates[..., 2 * n : 3 * n] = to_new * (1.0 - new * new)
    return by_gates, to_cell


def lstm_hidden(gates: Any, cell: Any) -> Any:
    """``plain_lstm_hidden``."""
    return logistic(_gate(gates, 3, 4)) * np.tanh(cell)


def lstm_hidden_grad(g: Any, gates: Any, cell: Any) -> tuple[Any, Any]:
    """``plain_lstm_hidden_grad``."""
    out, t = logistic(_gate(gates, 3, 4)), np.tanh(cell)
    to_cell = g * out
    by_gates = np.zeros(gates.shape, np.result_type(g, gates, cell))
    by_gates[..., 3 * g.shape[-1] :] = to_cell * t * (1.0 - out)
    return by_gates, to_cell * (1.0 - t * t)


def gru_hidden(a: Any, b: Any, hidden: Any) -> Any:
    """``plain_gru_hidden``."""
    _, update, new = _gru_gates(a, b)
    return (1.0 - update) * new + update * hidden


def _gru_gates(a: Any, b: Any) -> tuple[Any, Any, Any]:
    n = a.shape[-1] // 3
    both = logistic(a[..., : 2 * n] + b[..., : 2 * n])
    reset = both[..., :n]
    return reset, both[..., n:], np.tanh(a[..., 2 * n :] + reset * b[..., 2 * n :])


def gru_hidden_grad(g: Any, a: Any, b: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """``plain_gru_hidden_grad``."""
    reset, update, new = _gru_gates(a, b)
    n, to_hidden = g.shape[-1], g * update
    to_new = (g - to_hidden) * (1.0 - new * new)
    to_state = to_new * reset
    by_a = np.empty(a.shape, np.result_type(g, a, b, hidden))
    by_a[..., :n] = to_state * b[..., 2 * n :] * (1.0 - reset)
    by_a[..., n : 2 * n] = to_hidden * (hidden - new) * (1.0 - update)
    by_b = by_a.copy()
    by_a[..., 2 * n :] = to_new
    by_b[..., 2 * n :] = to_state
    return by_a, by_b, to_hidden
