"""Analytic beside numeric derivatives, and the verdict on each pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minigrad.testing.differences import SAFETY, Vector
from minigrad.testing.report import Verdict
from minigrad.testing.subject import Argument

#: A derivative counts as known when its error is below this part of the largest one.
RESOLVED = 1e-4


@dataclass
class Comparison:
    """Analytic and numeric derivatives of one argument: rows cotangents, columns directions."""

    argument: Argument
    analytic: Vector
    numeric: Vector
    error: Vector
    kink: Vector
    bent: Vector
    #: What the derivatives would be if the function varied by its own size along a direction.
    natural: Vector
    #: The rounding unit of the function's values.
    epsilon: float
    #: How large the numbers are that the analytic derivatives were made from.
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

        That is small beside the derivatives, or, where those are zero as far as the rounding of
        the function's own values lets anybody tell, small beside those values.
        """
        finite = np.where(np.isfinite(self.analytic), np.abs(self.analytic), np.inf)
        largest = np.max(finite, axis=1, keepdims=True, initial=0.0)
        zero = largest <= 4 * self.epsilon * self.natural
        nothing = zero & (self.error <= 1e5 * self.epsilon * self.natural)
        return (self.error <= RESOLVED * self.scale) | nothing

    @property
    def refuted(self) -> Vector:
        """Where the gradient is wrong beyond doubt.

        An estimate that is mostly error refutes nothing, however far away it is.
        """
        room = max(1e-6, 1e3 * self.epsilon) * self.natural
        clear = self.error <= np.maximum(1e-2 * np.abs(self.numeric), room)
        # An infinite slope may be right where the differences find no end.
        return self.wrong & np.isfinite(self.error) & (clear | np.isnan(self.analytic))

    def settled(self, depth: int) -> bool:
        """Whether smaller steps could not change the verdict.

        A feature within the steps can make an estimate look surer than it is, so a contradiction
        settles nothing unless it is gross, and two steps agree on it.
        """
        agreed = ~self.wrong & self.resolved
        if agreed.all():
            return not self.bent.any()
        gross = (self.apart > 25 * self.bound) & (
            self.error <= 10 * RESOLVED * np.abs(self.numeric)
        )
        return bool(np.all((agreed | (gross & (depth > 1))) & ~self.bent))

    @property
    def passed(self) -> bool:
        """Whether all the verdicts are that."""
        kinks = self.kink > self.bound
        return bool(np.all(self.resolved & ~self.wrong & ~kinks))

    def verdicts(self) -> Vector:
        """A verdict for each entry, once the ladder has been climbed as far as it helps."""
        failed = self.refuted
        kinks = ~failed & (self.kink > self.bound)
        passed = ~failed & ~kinks & self.resolved & ~self.wrong
        names = [Verdict.FAIL, Verdict.KINK, Verdict.PASS]
        return np.select([failed, kinks, passed], names, Verdict.INCONCLUSIVE)
