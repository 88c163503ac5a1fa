"""Proving gradients: the checker.

>>> import numpy as np, minigrad as mg
>>> mg.testing.check_grads(np.tanh, np.array([0.3, -1.2]))
<gradients of tanh: pass, 12 derivatives to order 2>
"""

from __future__ import annotations

from minigrad.testing.check import check_grads
from minigrad.testing.report import GradientInconclusive, GradientMismatch, GradientReport, Verdict

__all__ = [
    "GradientInconclusive",
    "GradientMismatch",
    "GradientReport",
    "Verdict",
    "check_grads",
]
