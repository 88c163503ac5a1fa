"""The logistic function, which NumPy does not have.

On what is no array, a tensor, it is an operator that records itself. ``operators/`` stands to the
right of this folder, so it puts that operator here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Where the value has become 1 and e^x does not overflow yet, by dtype; 50 in all wider ones.
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

    Right to the last digits everywhere; 1 minus it is logistic(-x), whose digits 1 - ans has lost.
    """
    if not isinstance(x, (np.ndarray, np.generic)):
        return Recorded.logistic(x)
    e = np.exp(np.minimum(x, MOST.get(x.dtype.char, 50.0)))
    return e / (1.0 + e)
