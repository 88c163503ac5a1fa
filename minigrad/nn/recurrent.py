"""Recurrent layers: RNN, LSTM and GRU, several layers deep and in both directions.

They share everything but the step from one state to the next. What the input contributes to the
gates is one product for the whole sequence; only what the state contributes is computed by steps.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer, from_integers
from minigrad.nn.weights import draw, new_parameter
from minigrad.operators.hyperbolic import tanh
from minigrad.operators.joining import concatenate, stack, unstack
from minigrad.operators.recurrence import gru_hidden, lstm_cell, lstm_hidden

State = tuple[Tensor, ...]
#: More weights than fit into any memory. They are made layer by layer, so NumPy would fail late.
MAX_WEIGHTS = 2**40


class _Gated(Layer):
    """What whole layers and single steps share: how their weights start, and their states."""

    hidden_size: int

    def _add_weights(
        self, gates: int, width: int, bias: bool, dtype: DTypeLike, place: str = ""
    ) -> None:
        """What the gates take from an input of this width and from the state; names end so."""
        rows = gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]]
        shapes = {"weight_ih": (rows, width), "weight_hh": (rows, self.hidden_size)}
        if bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for kind, shape in shapes.items():
            setattr(self, kind + place, new_parameter(shape, dtype))

    def reset_parameters(self) -> None:
        """Draw new weights and biases: uniform in [-k, k], `k = 1 / sqrt(hidden_size)`."""
        k = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -k, k)

    def _states(
        self, given: Any, count: int, shape: tuple[int, ...], dtype: np.dtype[Any], what: str
    ) -> State:
        """The given states, or zeros. Raises ValueError unless so many of this shape are given."""
        if given is None:
            return tuple(Tensor(np.zeros(shape, dtype)) for _ in range(count))
        tensors = tuple(map(as_tensor, given if count > 1 else (given,)))
        if len(tensors) != count or any(t.shape != shape for t in tensors):
            got = ", ".join(str(t.shape) for t in tensors)
            raise self._error(f"expected {what} of {count} tensor(s) of shape {shape}, got {got}")
        return tensors


class _Recurrent(_Gated):
    """What the recurrent layers share: sizes, weights, the walk over layers and directions.

    A subclass says how many gates it has, how many tensors its state has, and what a step does.
    """

    _shown = "input_size, hidden_size, num_layers?, bias?, batch_first?, dropout?, bidirectional?"
    gates: ClassVar[int]
    states: ClassVar[int] = 1

    @checked()
    def __init__(
        self,
        input_size: Annotated[int, "[0, inf)"],
        hidden_size: Annotated[int, "[1, inf)"],
        num_layers: Annotated[int, "[1, inf)"] = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: Annotated[float, "[0, 1]"] = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Annotated[DTypeLike, "floating"] = np.float32,
    ) -> None:
        super().__init__()
        if num_layers * hidden_size**2 > MAX_WEIGHTS:
            raise ValueError(
                f"{type(self).__name__}: num_layers={num_layers} and hidden_size={hidden_size} are "
                f"too large for any memory"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        width = input_size
        for layer in range(num_layers):
            for direction in self._directions():
                self._add_weights(self.gates, width, bias, dtype, f"_l{layer}{direction}")
            width = hidden_size * len(self._directions())
        draw(self)

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        """The next state, from what the input contributes to the gates and the state."""
        raise NotImplementedError

    def _run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All layers and directions: x (L, N, input_size), state tensors (layers * D, N, H)."""
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs: list[Tensor] = []
            for direction in self._directions():
                weights = [self.__dict__[f"weight_{k}_l{layer}{direction}"] for k in ("ih", "hh")]
                biases = [self.__dict__.get(f"bias_{k}_l{layer}{direction}") for k in ("ih", "hh")]
                now = tuple(s[len(last)] for s in state)
                steps = unstack(F.linear(x, weights[0], biases[0]))
                hidden: list[Tensor] = []
                for part in reversed(steps) if direction else steps:
                    now = self._step(part, now, weights[1], biases[1])
                    hidden.append(now[0])
                last.append(now)
                outputs.append(stack(hidden[::-1] if direction else hidden))
            x = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
            if layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack(list(each)) for each in zip(*last, strict=True))

    def _initial_state(self, x: Tensor, given: Any, batched: bool) -> State:
        """The initial state, checked; zeros where none is given."""
        examples = x.shape[1:2] if batched else ()
        shape = (self.num_layers * len(self._directions()), *examples, self.hidden_size)
        dtype = np.result_type(x.dtype, self.__dict__["weight_ih_l0"].dtype)
        tensors = self._states(given, self.states, shape, dtype, "an initial state")
        return tensors if batched else tuple(t[:, None] for t in tensors)

    def _forward(self, x: ArrayLike, given: Any) -> tuple[Tensor, State]:
        x = as_tensor(x)
        layout = "(N, L, features)" if self.batch_first else "(L, N, features)"
        if x.ndim not in (2, 3):
            raise self._error(f"expected an input {layout} or (L, features), got shape {x.shape}")
        x = from_integers(x, self.__dict__["weight_ih_l0"])
        batched = x.ndim == 3
        swapped = batched and self.batch_first
        x = x.swapaxes(0, 1) if swapped else x if batched else x[:, None]
        if not x.shape[0]:
            raise self._error(f"expected at least one time step, got an input {layout} of none")
        output, state = self._run(x, self._initial_state(x, given, batched))
        output = output.swapaxes(0, 1) if swapped else output if batched else output[:, 0]
        return output, state if batched else tuple(s[:, 0] for s in state)


class _OneState(_Recurrent):
    """Recurrent layers whose state is one tensor."""

    def forward(self, x: ArrayLike, h_0: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
        """A sequence (and a state) to the output at each step and the last state."""
        output, (h_n,) = self._forward(x, h_0)
        return output, h_n


class RNN(_OneState):
    """`h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, over a sequence, as ``torch.nn.RNN``.

    x (L, N, input_size), or (N, L, input_size) with ``batch_first``, or (L, input_size), and
    optionally h_0 (num_layers * D, N, hidden_size), D = 2 if ``bidirectional`` else 1, give output
    (L, N, D * hidden_size) and h_n, of the shape of h_0. ``nonlinearity``: "tanh" or "relu".
    ``dropout`` acts between layers. Parameters are weight_ih_l0, weight_hh_l0, bias_ih_l0,
    bias_hh_l0, weight_ih_l0_reverse, ..., weight_ih_l1, ... Raises ValueError for another
    ``nonlinearity`` and for shapes that do not fit. Elman, "Finding structure in time", 1990.

    >>> output, h_n = nn.RNN(3, 5)(mg.zeros((7, 2, 3)))
    >>> output.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))
    """

    gates = 1

    @checked()
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        total = x + F.linear(state[0], weight, bias)
        return (tanh(total) if self.nonlinearity == "tanh" else F.relu(total),)


class LSTM(_Recurrent):
    """Long short-term memory over a sequence, as ``torch.nn.LSTM``.

    With the gates `i, f, g, o = W_ih x + b_ih + W_hh h + b_hh`:
    `c' = sigmoid(f) * c + sigmoid(i) * tanh(g)`, `h' = sigmoid(o) * tanh(c')`.

    Arguments, shapes and parameters as :class:`RNN`, but with two states: x and optionally
    (h_0, c_0) give output and (h_n, c_n), each state (num_layers * D, N, hidden_size).
    Hochreiter and Schmidhuber, "Long short-term memory", 1997.

    >>> output, (h_n, c_n) = nn.LSTM(3, 5, bidirectional=True)(mg.zeros((7, 2, 3)))
    >>> output.shape, c_n.shape
    ((7, 2, 10), (2, 2, 5))
    """

    gates = 4
    states = 2

    def forward(
        self, x: ArrayLike, hx: tuple[ArrayLike, ArrayLike] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """A sequence (and a state) to the output at each step and the last state."""
        output, (h_n, c_n) = self._forward(x, hx)
        return output, (h_n, c_n)

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        gates = x + F.linear(state[0], weight, bias)
        cell = lstm_cell(gates, state[1])
        return lstm_hidden(gates, cell), cell


class GRU(_OneState):
    """Gated recurrent units over a sequence, as ``torch.nn.GRU``.

    `r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)`, z likewise,
    `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`, `h' = (1 - z) * n + z * h`.

    Arguments, shapes (x (L, N, input_size) and h_0 give output and h_n) and parameters as
    :class:`RNN`. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    >>> output, h_n = nn.GRU(3, 5, num_layers=2, batch_first=True)(mg.zeros((2, 7, 3)))
    >>> output.shape, h_n.shape
    ((2, 7, 5), (2, 2, 5))
    """

    gates = 3

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return (gru_hidden(x, F.linear(state[0], weight, bias), state[0]),)


# -- one step --------------------------------------------------------------------------------------


class _Cell(_Gated):
    """One step of a recurrent layer: the same arithmetic, with weights that have no number."""

    _shown = "input_size, hidden_size, bias?"
    layer: ClassVar[type[_Recurrent]]
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None = None
    bias_hh: Parameter | None = None

    @checked(input_size="[0, inf)", hidden_size="[1, inf)", dtype="floating")
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self._add_weights(self.layer.gates, input_size, bias, dtype)
        draw(self)

    def _next(self, x: ArrayLike, given: Any) -> State:
        """The next state, without a batch axis where the input has none."""
        x = from_integers(as_tensor(x), self.weight_ih)
        if x.ndim not in (1, 2):
            raise self._error(
                f"expected an input (N, {self.input_size}) or ({self.input_size},), got shape "
                f"{x.shape}"
            )
        examples = x.shape[:-1] if given is not None else (1,) * (x.ndim - 1)  # zeros for all
        shape = (*examples, self.hidden_size)
        dtype = np.result_type(x.dtype, self.weight_ih.dtype)
        state = self._states(given, self.layer.states, shape, dtype, "a state")
        inputs = F.linear(x, self.weight_ih, self.bias_ih)
        step: Any = self.layer._step  # of the whole layer: it only asks for the nonlinearity
        found: State = step(self, inputs, state, self.weight_hh, self.bias_hh)
        return found


class RNNCell(_Cell):
    """`h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, one step of :class:`RNN`.

    As ``torch.nn.RNNCell``: x (N, input_size) and optionally h (N, hidden_size), or both without N,
    give h' (N, hidden_size). Parameters are weight_ih (hidden_size, input_size), weight_hh
    (hidden_size, hidden_size), bias_ih and bias_hh (hidden_size,). ``nonlinearity``: "tanh" or
    "relu". Raises ValueError for another word and for shapes that do not fit.

    >>> nn.RNNCell(3, 5)(mg.zeros((2, 3))).shape
    (2, 5)
    """

    _shown = "input_size, hidden_size, bias?, nonlinearity?"
    layer = RNN

    @checked(dtype="floating")
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, x: ArrayLike, hx: ArrayLike | None = None) -> Tensor:
        """An input (and a state) to the next state."""
        return self._next(x, hx)[0]


class GRUCell(_Cell):
    """One step of :class:`GRU`, with its formula; as ``torch.nn.GRUCell``.

    x (N, input_size) and optionally h (N, hidden_size), or both without N, give h' (N,
    hidden_size). Parameters as those of :class:`RNNCell`, with 3 * hidden_size rows. Raises
    ValueError for shapes that do not fit.

    >>> nn.GRUCell(3, 5)(mg.zeros((2, 3))).shape
    (2, 5)
    """

    layer = GRU

    def forward(self, x: ArrayLike, hx: ArrayLike | None = None) -> Tensor:
        """An input (and a state) to the next state."""
        return self._next(x, hx)[0]


class LSTMCell(_Cell):
    """One step of :class:`LSTM`, with its formula; as ``torch.nn.LSTMCell``.

    x (N, input_size) and optionally (h, c), each (N, hidden_size), or all without N, give (h', c').
    Parameters as those of :class:`RNNCell`, with 4 * hidden_size rows. Raises ValueError for shapes
    that do not fit.

    >>> h, c = nn.LSTMCell(3, 5)(mg.zeros((2, 3)))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    layer = LSTM

    def forward(
        self, x: ArrayLike, hx: tuple[ArrayLike, ArrayLike] | None = None
    ) -> tuple[Tensor, Tensor]:
        """An input (and two states) to the next two states."""
        h, c = self._next(x, hx)
        return h, c
