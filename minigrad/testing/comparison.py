"""Analytic beside numeric derivatives, and the verdict on each pair.

A verdict needs more than a tolerance: the numeric derivative has an error of its own, which says
whether it can confirm the analytic one, refute it, or do neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minigrad.testing.differences import SAFETY, Directions, Vector
from minigrad.testing.flat_function import Argument
from minigrad.testing.report import Verdict

#: A derivative counts as known when its error is below this part of the largest one.
RESOLVED = 1e-4


@dataclass
class Comparison:
    """Analytic and numeric derivatives of one argument: rows cotangents, columns directions."""

    argument: Argument
    directions: Directions
    analytic: Vector
    numeric: Vector
    error: Vector
    kink: Vector
    bent: Vector
    #: The derivatives if the function changed by its own size along a direction.
    natural: Vector
    #: The rounding unit of the function's values.
    epsilon: float
    #: The size of the numbers from which the analytic derivatives are computed.
    magnitude: float

    def __post_init__(self) -> None:
        known = np.where(np.isfinite(self.error), np.abs(self.numeric), 0.0)
        finite = np.where(np.isfinite(self.analytic), np.abs(self.analytic), 0.0)
        self.scale = np.max(np.maximum(known, finite), axis=1, keepdims=True, initial=0.0)
        floor = 1e-7 * np.maximum(known, finite) + 1e-12 * self.scale
        floor = floor + 4 * self.epsilon * self.magnitude
        self.bound = SAFETY * self.error + floor
        self.apart = np.abs(self.analytic - self.numeric)
        self.wrong = ~(self.apart <= self.kink + self.bound)

    @cached_property
    def resolved(self) -> Vector:
        """Where the error is small enough for an agreement to mean something.

        That is small beside the derivatives, or, where those cannot be told from zero because of
        the rounding of the function's values, small beside those values.
        """
        finite = np.where(np.isfinite(self.analytic), np.abs(self.analytic), np.inf)
        largest = np.max(finite, axis=1, keepdims=True, initial=0.0)
        zero = largest <= 4 * self.epsilon * self.natural
        nothing = zero & (self.error <= 1e5 * self.epsilon * self.natural)
        return (self.error <= RESOLVED * self.scale) | nothing

    @property
    def refuted(self) -> Vector:
        """Where the gradient is certainly wrong.

        An estimate with a large error refutes nothing, however far it is from the gradient.
        """
        room = max(1e-6, 1e3 * self.epsilon) * self.natural
        clear = self.error <= np.maximum(1e-2 * np.abs(self.numeric), room)
        # An infinite slope may be right where the differences grow without bound.
        return self.wrong & np.isfinite(self.error) & (clear | np.isnan(self.analytic))

    def settled(self, depth: int) -> bool:
        """Whether smaller steps could not change the verdict.

        A feature of the function smaller than the steps can make the error look too small, so a
        contradiction settles nothing unless it is large, and two steps agree on it.
        """
        agreed = ~self.wrong & self.resolved
        if agreed.all():
            return not self.bent.any()
        gross = (self.apart > 25 * self.bound) & (
            self.error <= 10 * RESOLVED * np.abs(self.numeric)
        )
        return bool(np.all((agreed | (gross & (depth > 1))) & ~self.bent))

    def verdicts(self) -> Vector:
        """A verdict for each entry, once smaller steps do not help any more."""
        failed = self.refuted
        kinks = ~failed & (self.kink > self.bound)
        passed = ~failed & ~kinks & self.resolved & ~self.wrong
        names = [Verdict.FAIL, Verdict.KINK, Verdict.PASS]
        return np.select([failed, kinks, passed], names, Verdict.INCONCLUSIVE)
