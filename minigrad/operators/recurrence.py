"""One step of the recurrent layers, from their gates to their new state.

A step is a handful of products and squashing functions on small arrays. As one operator each,
instead of a dozen, they record and keep a fraction.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, Rule, operator
from minigrad.operators.domain import sample


def _check_gates(name: str, gates: Any, state: Any, of: int) -> None:
    if gates.shape[-1] != of * state.shape[-1]:
        raise ValueError(
            f"{name}: expected {of} gates for each of {state.shape[-1]} states, "
            f"got {gates.shape[-1]} in all"
        )


def _grads_by(kernel: str) -> Rule:
    """The rule of all inputs that a kernel of this name computes."""

    def vjp(g: Any, needed: list[int], _ans: Any, *inputs: Any) -> list[Any]:
        found = getattr(kernels.on(g, inputs[0]), kernel)(g, *inputs)
        return [found[i] for i in needed]

    return vjp


STATES = [sample((2, 12), (2, 3)), sample((8,), (2,)), sample((0, 4), (0, 1))]


@operator(vjp_all=_grads_by("lstm_cell_grad"), arrays=2, samples=STATES, wide=True)
def lstm_cell(gates: Array, cell: Array) -> Array:
    """The new cell state of an LSTM: `sigmoid(f) * cell + sigmoid(i) * tanh(g)`.

    gates (..., 4 H) are i, f, g, o side by side; cell (..., H).

    >>> lstm_cell(mg.zeros(4), tensor([3.0]))
    tensor([1.5])
    """
    _check_gates("lstm_cell", gates, cell, 4)
    return kernels.lstm_cell(gates, cell)


@operator(vjp_all=_grads_by("lstm_hidden_grad"), arrays=2, samples=STATES, wide=True)
def lstm_hidden(gates: Array, cell: Array) -> Array:
    """The new hidden state of an LSTM: `sigmoid(o) * tanh(cell)`, of the new cell state.

    gates (..., 4 H) are i, f, g, o side by side; cell (..., H).

    >>> lstm_hidden(mg.zeros(4), tensor([0.0]))
    tensor([0.])
    """
    _check_gates("lstm_hidden", gates, cell, 4)
    return kernels.lstm_hidden(gates, cell)


@operator(
    vjp_all=_grads_by("gru_hidden_grad"),
    arrays=3,
    samples=[
        sample((2, 9), (2, 9), (2, 3)),
        sample((6,), (6,), (2,)),
        sample((0, 3), (0, 3), (0, 1)),
    ],
    wide=True,
)
def gru_hidden(input_gates: Array, hidden_gates: Array, hidden: Array) -> Array:
    """The new hidden state of a GRU: `(1 - z) * n + z * hidden`.

    With r and z the sigmoids of the sums of the first and second gates, and n =
    tanh(input_gates_n + r * hidden_gates_n). Gates (..., 3 H) are r, z, n side by side.

    >>> gru_hidden(mg.zeros(3), mg.zeros(3), tensor([2.0]))
    tensor([1.])
    """
    _check_gates("gru_hidden", input_gates, hidden, 3)
    return kernels.gru_hidden(input_gates, hidden_gates, hidden)
