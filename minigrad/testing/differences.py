"""Derivatives by finite differences, each with an estimate of its own error.

At a step h the function is evaluated at x ± h, ± h/2 and ± h/4. The three central differences are
extrapolated to h = 0 (Richardson, 1911; the error estimate is that of Ridders, 1982). The same six
values also give the slopes from the left and from the right, which differ at a kink. A ladder of
ever smaller steps contains one that is small beside the features of the function and large beside
its rounding errors; the error estimates show which one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

#: An array of float64.
Vector: TypeAlias = Any

#: Positions in the flat input, and how far to move each.
Directions: TypeAlias = list[tuple[Any, Any]]

#: The first step, relative to the size of the input: near eps**(1/7), the best for three levels.
FIRST_STEP = 0.02
SHRINK = 8.0
#: The parts of a step at which the function is evaluated.
SIX = np.array([1.0, 1 / 2, 1 / 4, -1.0, -1 / 2, -1 / 4])
LADDER = 8
#: How many numbers the points of one evaluation may have together.
AT_ONCE = 2**17
#: How many times its estimate an error may be.
SAFETY = 4.0


class Slopes(NamedTuple):
    """Derivatives along several directions (rows) of all outputs (columns), with error bounds."""

    central: Vector
    central_error: Vector
    left: Vector
    right: Vector
    side_error: Vector
    step: Vector

    @property
    def bent(self) -> Vector:
        """Where the slopes from the left and from the right differ by more than their errors."""
        return np.abs(self.right - self.left) > SAFETY * self.side_error


class Estimate(NamedTuple):
    """The result of all rungs: the derivative lies within ``value ± (kink + error)``.

    ``kink`` is half of the difference between the two one-sided slopes, where there is a kink.
    """

    value: Vector
    error: Vector
    kink: Vector
    bent: Vector


class Differences:
    """Numerical derivatives of F at x along some directions, computed rung by rung as needed.

    ``function`` gives F at each row of a matrix, None outside its domain. ``directions`` are pairs
    of positions and a step per position, already scaled to the size of the input.
    """

    def __init__(
        self,
        function: Callable[[Vector], Sequence[Vector | None]],
        point: Vector,
        value: Vector,
        directions: Directions,
        epsilon: float,
    ) -> None:
        self._function, self._point, self._value = function, point, value
        self._directions = directions
        self._epsilon = epsilon
        self._first = FIRST_STEP if epsilon < 1e-10 else 4 * FIRST_STEP
        self._rungs: list[Slopes] = []
        self._estimates: dict[int, Estimate] = {}

    def estimate(self, depth: int) -> Estimate:
        """The estimate from the first ``depth`` rungs of the ladder."""
        if depth not in self._estimates:
            while len(self._rungs) < depth:
                self._rungs.append(self._rung(len(self._rungs)))
            self._estimates[depth] = _combine(self._rungs[:depth])
        return self._estimates[depth]

    @property
    def depth(self) -> int:
        """How many steps of the ladder have been used."""
        return len(self._rungs)

    @property
    def kinked(self) -> bool:
        """Whether a kink has been found, which takes all steps of the ladder."""
        return self.depth == LADDER and bool(self.estimate(LADDER).kink.any())

    def _rung(self, number: int) -> Slopes:
        rows, size = len(self._directions), len(self._value)
        h = np.full((rows, 1), self._first / SHRINK**number)
        if number >= LADDER - 2:
            small = [self._small_step(where, unit) for where, unit in self._directions]
            smallest = np.reshape(small, h.shape) / SHRINK ** (number - LADDER + 2)
            h = np.minimum(h, smallest)
        values = np.empty((rows, len(SIX), size))
        together = max(1, AT_ONCE // max(1, len(SIX) * self._point.size))
        for start in range(0, rows, together):
            part = slice(start, start + together)
            self._evaluate(self._directions[part], h[part] * SIX, values[part])
        return _slopes(self._value, values.swapaxes(0, 1), h, self._epsilon)

    def _evaluate(self, directions: Directions, parts: Vector, out: Vector) -> None:
        """The values at the point, moved by parts of each direction; NaN outside the domain."""
        points = np.tile(self._point, (len(directions), len(SIX), 1))
        for moved, (where, unit), t in zip(points, directions, parts, strict=True):
            moved[:, where] += np.multiply.outer(t, unit)
        count = len(directions) * len(SIX)
        out = out.reshape(count, len(self._value))
        for i, value in enumerate(self._function(points.reshape(count, len(self._point)))):
            known = value is not None and value.shape == self._value.shape
            out[i] = value if known else np.nan

    def complex_step(self, known: Estimate) -> tuple[Estimate, bool] | None:
        """A sharper estimate from F(x + ih), which needs no difference (Squire & Trapp, 1998).

        It is valid only for functions that are analytic and computed so. Returns None unless it
        lies within the errors of the real differences everywhere; else the estimate, and whether
        some of those differences are exact enough to trust it.
        """
        tiny = 1e-30
        values = np.empty(known.value.shape, complex)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # such as that an imaginary part is discarded
                for row, (where, unit) in enumerate(self._directions):
                    point = self._point[None].astype(complex)
                    point[0, where] += 1j * tiny * unit
                    (value,) = self._function(point)
                    if value is None:
                        return None
                    values[row] = value
        except (TypeError, ValueError, ArithmeticError, AttributeError, Warning):
            return None
        found = np.imag(values) / tiny
        if not np.isfinite(found).all() or known.kink.any():
            return None
        if np.any(np.abs(found - known.value) > SAFETY * known.error):
            return None
        sharp = known.error <= 1e-6 * np.abs(known.value)
        replaced = ~sharp & np.isfinite(known.error)
        error = np.where(replaced, 1e-13 * np.abs(found), known.error)
        value = np.where(replaced, found, known.value)
        return Estimate(value, error, known.kink, known.bent), bool(np.any(sharp))

    def _small_step(self, where: Any, unit: Any) -> float:
        """A step that is small even for an element much smaller than the others of its array."""
        sizes = np.abs(self._point[where] / unit)
        smallest = np.min(sizes, initial=1.0, where=sizes > 0)
        return self._first * float(smallest)


def _slopes(middle: Vector, values: Vector, h: Vector, epsilon: float) -> Slopes:
    """Richardson extrapolation of central and one-sided differences."""
    above, below = values[:3], values[3:]
    spans = h * SIX[:3, None, None]
    size = np.maximum(np.abs(values).max(axis=0), np.abs(middle))
    noise = 4.0 * epsilon * size / (h / 4)

    differences = (above - below) / (2 * spans)
    once, twice = (4 * differences[1:] - differences[:-1]) / 3
    central = (16 * twice - once) / 15
    error = np.abs(central - once) + noise

    differences = np.stack([middle - below, above - middle], axis=1) / spans[:, None]
    once, twice = 2 * differences[1:] - differences[:-1]
    left, right = sides = (4 * twice - once) / 3
    left_error, right_error = np.abs(sides - once)
    side_error = right_error + left_error + 8 * noise
    known = np.where(np.isnan(side_error), np.inf, side_error)
    return Slopes(*_known(central, error), left, right, known, h)


def _known(value: Vector, error: Vector) -> tuple[Vector, Vector]:
    """0 with an infinite error where the function could not be evaluated."""
    known = np.isfinite(value) & np.isfinite(error)
    if known.all():
        return value, error
    return np.where(known, value, 0.0), np.where(known, error, np.inf)


def _noise(rungs: list[Slopes]) -> Vector:
    """The rounding error in each output, seen in how the differences scatter at small steps.

    The values alone do not show it: a small output may be the difference of large numbers. Three
    differences may agree by chance, so they are assumed to scatter at least like those along the
    other directions: the rounding error of an output hardly depends on the direction.
    """
    if len(rungs) < LADDER or not rungs[0].central.size:
        return np.zeros_like(rungs[0].central)
    scatter = np.stack([rung.central_error * rung.step for rung in rungs[-3:]])
    scatter = np.where(np.isfinite(scatter), scatter, 0.0)
    each = np.median(scatter, axis=0)
    ordered = np.sort(each, axis=0)
    still = np.sum(each == 0, axis=0)  # directions in which the output stays exactly as it is
    middle = (still + len(each) - 1) // 2
    typical = np.take_along_axis(ordered, middle[None], axis=0)
    return 4.0 * np.where(each > 0, np.maximum(each, typical), 0.0)


def _confirmed(rungs: list[Slopes], value: Vector, error: Vector) -> Vector:
    """Whether two steps agree on the derivative: one alone may be right by chance."""
    count = np.zeros(value.shape, int)
    for rung in rungs:
        agrees = np.abs(rung.central - value) <= SAFETY * (rung.central_error + error)
        count += agrees & (rung.central_error <= 0.1 * np.abs(value))
    return count > 1


def _combine(rungs: list[Slopes]) -> Estimate:
    """The best estimate of each entry; where two steps disagree, the smaller one counts.

    A larger step is used only where it agrees with the smaller ones: it may have missed a feature
    of the function, which its error estimate does not show.
    """
    last = rungs[-1]
    if len(rungs) == 1:
        return Estimate(last.central, last.central_error, np.zeros_like(last.central), last.bent)
    noise = _noise(rungs)
    value, error = last.central, last.central_error + noise / last.step
    for rung in reversed(rungs[:-1]):
        its_error = rung.central_error + noise / rung.step
        agrees = np.abs(rung.central - value) <= SAFETY * (its_error + error)
        better = agrees & (its_error < error)
        value = np.where(better, rung.central, value)
        error = np.where(better, its_error, error)
    error = np.where(_confirmed(rungs, value, error), error, np.maximum(error, np.abs(value)))
    kink = np.zeros_like(value)
    bent = last.bent & (np.abs(last.right - last.left) > SAFETY * 8 * noise / last.step)
    if len(rungs) == LADDER and bent.any():
        # Left and right disagree for every step, and the derivative is between the two. Their
        # values are taken from the rung with the smallest error.
        sides = np.stack([r.side_error for r in rungs])
        best = np.argmin(sides, axis=0)[None]
        left = np.take_along_axis(np.stack([r.left for r in rungs]), best, 0)[0]
        right = np.take_along_axis(np.stack([r.right for r in rungs]), best, 0)[0]
        room = np.take_along_axis(sides, best, 0)[0]
        agree = (np.abs(last.right - right) + np.abs(last.left - left)) <= SAFETY * (
            room + last.side_error
        )
        kinked = bent & agree
        value = np.where(kinked, (left + right) / 2, value)
        kink = np.where(kinked, np.abs(right - left) / 2, 0.0)
        error = np.where(kinked, room, error)
    return Estimate(value, error, kink, bent)
