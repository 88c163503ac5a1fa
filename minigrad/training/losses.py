"""What training minimises: losses by name, and which outputs and targets each of them takes.

Most mistakes in training code are targets that do not fit the outputs: a wrong length, labels out
of range, floats for classes, (N,) against (N, 1). They are found here before the first step, and
the message has the numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad import nn
from minigrad.debug.statistics import is_finite
from minigrad.engine.hooks import Hook
from minigrad.engine.node import Node
from minigrad.engine.tensor import Tensor
from minigrad.nn import functional as F
from minigrad.operators.declare import Operator

Array: TypeAlias = NDArray[Any]

CLASSES, BINARY, REGRESSION, OTHER = "classes", "binary", "regression", "other"

#: Each loss of nn.functional: the kind of targets that it takes, and the module of the formula.
LOSSES: dict[str, tuple[str, type[nn.Module]]] = {
    "cross_entropy": (CLASSES, nn.CrossEntropyLoss),
    "nll_loss": (CLASSES, nn.NLLLoss),
    "binary_cross_entropy_with_logits": (BINARY, nn.BCEWithLogitsLoss),
    "binary_cross_entropy": (BINARY, nn.BCELoss),
    "mse_loss": (REGRESSION, nn.MSELoss),
    "l1_loss": (REGRESSION, nn.L1Loss),
    "huber_loss": (REGRESSION, nn.HuberLoss),
    "smooth_l1_loss": (REGRESSION, nn.SmoothL1Loss),
}
MODULES = {module: name for name, (_, module) in LOSSES.items()}
#: Shorter names, as in Keras.
SHORT = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss"}
#: The label that cross_entropy and nll_loss leave out.
IGNORED = -100


class Loss:
    """A loss, and how targets are brought into the form that it takes.

    ``loss``: a name, or a function of (output, target) tensors that gives a scalar tensor.
    Raises ValueError for an unknown name, with the known ones, TypeError for anything else.
    """

    def __init__(self, loss: Any) -> None:
        known = ", ".join((*LOSSES, *SHORT))
        if isinstance(loss, str):
            self.name = SHORT.get(loss, loss)
            if self.name not in LOSSES:
                raise ValueError(f"unknown loss {loss!r}; known are {known}")
            self.function: Callable[..., Any] = getattr(F, self.name)
        elif callable(loss):
            self.function = loss
            inner: Any = loss.func if isinstance(loss, functools.partial) else loss
            name = getattr(inner, "__name__", type(inner).__name__)
            ours = name in LOSSES and inner is getattr(F, name)
            self.name = name if ours else MODULES.get(type(inner), f"{name} (your own)")
        else:
            raise TypeError(
                f"loss: expected a name or a function of (output, target), "
                f"got {type(loss).__name__}; known names are {known}"
            )
        self.kind = LOSSES[self.name][0] if self.name in LOSSES else OTHER
        #: An output (N,) or (N, 1) above it means class 1.
        self.threshold = 0.5 if self.name == "binary_cross_entropy" else 0.0

    def target(self, y: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        """One batch of targets in the form the loss takes, for outputs of this shape and dtype."""
        if self.kind is CLASSES:
            return y.astype(np.int64) if y.dtype.kind == "b" else y
        if self.kind is OTHER:
            return y
        if y.ndim + 1 == len(shape) and shape[-1] == 1:
            y = y[..., None]
        return y if y.dtype == dtype else y.astype(dtype)

    def check_targets(self, y: Array, output: Tensor, name: str) -> None:
        """Raise ValueError or TypeError, with the numbers, unless targets and outputs fit.

        ``y`` may be longer than the batch that ``output`` was made of.
        """
        if y.dtype.kind == "f":
            check_finite(y, name)
        elif y.dtype.kind not in "iub":
            raise TypeError(f"{name}: expected numbers, got dtype {y.dtype}")
        if self.kind is CLASSES:
            self._check_classes(y, output, name)
        elif self.kind is not OTHER:
            self._check_like(y, output, name)

    def try_out(self, output: Tensor, target: Tensor) -> None:
        """Compute the loss of the trial batch, which must be a scalar tensor (else TypeError).

        ValueError for a loss that broadcasts (N, 1) and (N,) to (N, N). Losses by name get targets
        in the shape of the outputs; of any other function this is known only when it runs.
        """
        with _Spreading(output.shape, target.shape) as spreading:
            loss = self.function(output, target)
        if spreading.found and self.kind is OTHER and output.shape == (*target.shape, 1):
            raise ValueError(
                f"loss {self.name}: it spreads outputs {output.shape} and targets {target.shape} "
                f"over {spreading.found}, every output against every target. Give y the shape of "
                f"the outputs, y[..., None], or take output[..., 0] in the loss"
            )
        if not isinstance(loss, Tensor) or loss.shape != ():
            got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(
                f"loss {self.name}: expected a scalar tensor, got {got} for an output "
                f"{output.shape} and targets {target.shape}; reduce it, e.g. with .mean()"
            )

    def _check_classes(self, y: Array, output: Tensor, name: str) -> None:
        shape = output.shape
        if len(shape) < 2 or shape[1] < 2:
            raise ValueError(
                f"{self.name} needs one output per class, (N, C) with C of at least 2; the model "
                f"gives {shape}. For yes or no use loss='binary_cross_entropy_with_logits', for "
                f"numbers loss='mse'"
            )
        count = shape[1]
        if y.ndim == len(shape) and y.shape[1:] == shape[1:]:
            if self.name == "cross_entropy" and y.dtype.kind == "f":
                return
            raise TypeError(
                f"{name}: {self.name} takes class indices (N,); got {y.dtype} {y.shape}, which "
                f"looks one-hot: pass {name}.argmax(1)"
            )
        if y.dtype.kind == "f":
            raise TypeError(
                f"{name}: {self.name} takes integer class indices, got {y.dtype}; "
                f"pass {name}.astype(np.int64), or loss='mse' if they are no classes"
            )
        if y.shape[1:] != shape[2:]:
            hint = f"; pass {name}.ravel()" if y.shape[1:] == (1,) and len(shape) == 2 else ""
            raise ValueError(
                f"{name}: for outputs {_shape_of_batch(shape)} {self.name} takes class indices "
                f"{_shape_of_batch(shape[1:])}, got {y.shape}{hint}"
            )
        wrong = ((y < 0) | (y >= count)) & (y != IGNORED)
        if wrong.any():
            where = np.unravel_index(int(wrong.argmax()), y.shape)
            raise ValueError(
                f"{name}: the model has {count} outputs, so labels go from 0 to {count - 1}; "
                f"{np.count_nonzero(wrong)} of {y.size} are outside, from {y.min()} to {y.max()}, "
                f"the first at {_index(where)}"
            )

    def _check_like(self, y: Array, output: Tensor, name: str) -> None:
        shape = output.shape
        column = (*y.shape[1:], 1) == shape[1:]
        if y.shape[1:] != shape[1:] and not column:
            raise ValueError(
                f"{self.name}: the model gives {_shape_of_batch(shape)} and {name} is "
                f"{_shape_of_batch(y.shape)}; apart from the number of samples they must have one "
                f"shape"
            )
        if self.kind is BINARY and y.size and not 0 <= y.min() <= y.max() <= 1:
            raise ValueError(
                f"{name}: {self.name} takes targets from 0 to 1, got {y.min()} to {y.max()}"
            )


class _Spreading(Hook):
    """Sees an operator broadcast outputs (..., 1) against targets (...)."""

    def __init__(self, output: tuple[int, ...], target: tuple[int, ...]) -> None:
        self.shapes = {output, target}
        self.found: tuple[int, ...] = ()

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        super().__call__(op, arrays, metadata, value, node)
        given = {np.shape(a) for a in arrays or () if a is not None}
        if self.shapes <= given and np.shape(value) not in self.shapes and np.shape(value):
            self.found = np.shape(value)


def check_finite(array: Array, name: str) -> None:
    """Raise ValueError that counts the NaNs and infinities, if there are any."""
    if is_finite(array):
        return
    wrong = ~np.isfinite(array)
    where = np.unravel_index(int(wrong.argmax()), array.shape)
    raise ValueError(
        f"{name}: {np.count_nonzero(wrong)} of {array.size} values are not finite, the first is "
        f"{array[where]} at {_index(where)}; drop or replace them, e.g. with np.nan_to_num"
    )


def _index(where: Any) -> str:
    return f"index {int(where[0]) if len(where) == 1 else tuple(map(int, where))}"


def _shape_of_batch(shape: tuple[int, ...]) -> str:
    return f"(N{''.join(f', {n}' for n in shape[1:])}{',' * (len(shape) == 1)})"
