"""One step of the recurrent layers, from their gates to their new state.

A step is a handful of products and squashing functions on small arrays. As one operator each,
instead of a dozen, they record and keep a fraction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.activations import logistic
from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample

__all__ = ["gru_hidden", "lstm_cell", "lstm_hidden"]


def _part(gates: Any, i: int, of: int) -> Any:
    """Gate i, where the last axis holds ``of`` gates side by side."""
    n = gates.shape[-1] // of
    return gates[..., i * n : (i + 1) * n]


def _check_gates(name: str, gates: Any, state: Any, of: int) -> None:
    if gates.shape[-1] != of * state.shape[-1]:
        raise ValueError(
            f"{name}: expected {of} gates for each of {state.shape[-1]} states, "
            f"got {gates.shape[-1]} in all"
        )


def _lstm_cell_vjp(g: Any, _ans: Any, gates: Any, cell: Any) -> Any:
    enter, forget = logistic(_part(gates, 0, 4)), logistic(_part(gates, 1, 4))
    new = np.tanh(_part(gates, 2, 4))
    return np.concatenate(
        [
            g * new * (enter * (1.0 - enter)),
            g * cell * (forget * (1.0 - forget)),
            g * enter * (1.0 - new * new),
            np.zeros_like(g),
        ],
        axis=-1,
    )


@operator(
    vjp=(_lstm_cell_vjp, lambda g, _ans, gates, _cell: g * logistic(_part(gates, 1, 4))),
    samples=[sample((2, 12), (2, 3)), sample((8,), (2,)), sample((0, 4), (0, 1))],
    wide=True,
)
def lstm_cell(gates: Array, cell: Array) -> Array:
    """The new cell state of an LSTM: sigmoid(f) * cell + sigmoid(i) * tanh(g).

    gates (..., 4 H) are i, f, g, o side by side; cell (..., H).

    >>> lstm_cell(mg.zeros(4), tensor([3.0]))
    tensor([1.5])
    """
    _check_gates("lstm_cell", gates, cell, 4)
    enter, forget = logistic(_part(gates, 0, 4)), logistic(_part(gates, 1, 4))
    return forget * cell + enter * np.tanh(_part(gates, 2, 4))


def _lstm_hidden_vjp(g: Any, _ans: Any, gates: Any, cell: Any) -> Any:
    out = logistic(_part(gates, 3, 4))
    none = np.zeros_like(g)
    last = g * np.tanh(cell) * (out * (1.0 - out))
    return np.concatenate([none, none, none, last], axis=-1)


def _lstm_hidden_vjp_cell(g: Any, _ans: Any, gates: Any, cell: Any) -> Any:
    t = np.tanh(cell)
    return g * logistic(_part(gates, 3, 4)) * (1.0 - t * t)


@operator(
    vjp=(_lstm_hidden_vjp, _lstm_hidden_vjp_cell),
    samples=[sample((2, 12), (2, 3)), sample((8,), (2,)), sample((0, 4), (0, 1))],
    wide=True,
)
def lstm_hidden(gates: Array, cell: Array) -> Array:
    """The new hidden state of an LSTM: sigmoid(o) * tanh(cell), of the new cell state.

    gates (..., 4 H) are i, f, g, o side by side; cell (..., H).

    >>> lstm_hidden(mg.zeros(4), tensor([0.0]))
    tensor([0.])
    """
    _check_gates("lstm_hidden", gates, cell, 4)
    return logistic(_part(gates, 3, 4)) * np.tanh(cell)


def _gru_gates(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Reset gate, update gate and candidate state."""
    reset = logistic(_part(a, 0, 3) + _part(b, 0, 3))
    update = logistic(_part(a, 1, 3) + _part(b, 1, 3))
    return reset, update, np.tanh(_part(a, 2, 3) + reset * _part(b, 2, 3))


def _gru_vjp(g: Any, a: Any, b: Any, hidden: Any, scaled: bool) -> Any:
    """The gradient of the gates of the input, or of the state (the last is scaled by reset)."""
    reset, update, new = _gru_gates(a, b)
    to_new = g * (1.0 - update) * (1.0 - new * new)
    to_reset = to_new * _part(b, 2, 3) * (reset * (1.0 - reset))
    to_update = g * (hidden - new) * (update * (1.0 - update))
    last = to_new * reset if scaled else to_new
    return np.concatenate([to_reset, to_update, last], axis=-1)


@operator(
    vjp=(
        lambda g, _ans, a, b, hidden: _gru_vjp(g, a, b, hidden, scaled=False),
        lambda g, _ans, a, b, hidden: _gru_vjp(g, a, b, hidden, scaled=True),
        lambda g, _ans, a, b, _hidden: g * _gru_gates(a, b)[1],
    ),
    samples=[
        sample((2, 9), (2, 9), (2, 3)),
        sample((6,), (6,), (2,)),
        sample((0, 3), (0, 3), (0, 1)),
    ],
    wide=True,
)
def gru_hidden(input_gates: Array, hidden_gates: Array, hidden: Array) -> Array:
    """The new hidden state of a GRU: (1 - z) * n + z * hidden.

    With r and z the sigmoids of the sums of the first and second gates, and n =
    tanh(input_gates_n + r * hidden_gates_n). Gates (..., 3 H) are r, z, n side by side.

    >>> gru_hidden(mg.zeros(3), mg.zeros(3), tensor([2.0]))
    tensor([1.])
    """
    _check_gates("gru_hidden", input_gates, hidden, 3)
    _, update, new = _gru_gates(input_gates, hidden_gates)
    return (1.0 - update) * new + update * hidden
