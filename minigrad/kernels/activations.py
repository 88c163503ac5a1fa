"""The logistic function, which NumPy does not have.

On a tensor, it is an operator that records itself. Kernels do not import operators, so
``operators/activations.py`` sets that operator here when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: An x at which the value is 1 already and e^x does not overflow yet, by dtype; else 50.
MOST = {"e": 11.0}


class Recorded:
    """Functions of tensors that kernels need and NumPy does not have."""

    logistic: Callable[[Any], Any]


def plain_logistic(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return Recorded.logistic(x)
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(np.negative(x)))


def logistic(x: Any) -> Any:
    """``plain_logistic`` without overflow.

    Accurate everywhere. For 1 - logistic(x) use logistic(-x): the subtraction would lose digits.
    """
    if not isinstance(x, (np.ndarray, np.generic)):
        return Recorded.logistic(x)
    e = np.exp(np.minimum(x, MOST.get(x.dtype.char, 50.0)))
    return e / (1.0 + e)
