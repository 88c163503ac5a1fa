"""Where a NaN or an infinity came from, once the loss or a gradient is not finite.

A NaN in the backward pass spreads to everything nearer to the input. So a look at the first bias
after each backward pass notices it, at hardly any cost and before the update spoils all parameters.
Then the step is run again with a look at each operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from minigrad.debug.anomaly import AnomalyError, detect_anomaly
from minigrad.debug.statistics import is_finite
from minigrad.nn.module import Module

#: Of a loss that is not finite although all before it is.
WITHOUT_CAUSE = (
    "all values before it are finite, so the loss itself makes it, as the mean over no sample: "
    "are all targets of this batch ignored, or all its weights 0?"
)


class Diverged(FloatingPointError):  # noqa: N818 (a FloatingPointError to everybody else)
    """The loss or a gradient is not finite."""


def cause_of_divergence(model: Module, step: Callable[[], Any]) -> str:
    """What made the first value that is not finite when ``step`` runs again; "" if none is found.

    ``step``: computes the loss of a batch and its gradients.
    """
    names = [name for name, p in model.named_parameters() if not is_finite(p._data)]
    if names:
        return f"an earlier update has made {', '.join(names)} NaN or infinite"
    try:
        with detect_anomaly():
            step()
    except AnomalyError as error:
        return str(error)
    return ""


def described(name: str, array: NDArray[Any]) -> str:
    """The dtype, shape and range of an array, for messages."""
    text = f"{name} {array.dtype} {array.shape}"
    return f"{text} from {array.min():.4g} to {array.max():.4g}" if array.size else text
