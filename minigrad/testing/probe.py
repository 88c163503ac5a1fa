"""One order of a check: draw directions, take differences, and compare the tape's gradients.

The outputs are weighted with random cotangents, and the inputs are moved along directions: each
element of a small argument, random directions and some elements of a large one. The differences
are computed once; the gradients may be compared with them again, as the tests of wrong rules do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minigrad.testing.differences import (
    LADDER,
    SAFETY,
    Differences,
    Directions,
    Estimate,
    Vector,
)
from minigrad.testing.flat_function import Argument, FlatFunction, random_signs
from minigrad.testing.report import WEIGHTED, GradientMismatch, Verdict

#: Arguments up to this size are checked element by element, larger ones along some directions.
SMALL = 40
DIRECTIONS, ELEMENTS, COTANGENTS = 4, 12, 2
#: A refuted gradient is computed again at so many points, a few rounding units away.
NEARBY = 8
#: If there are more outputs than this, they are projected to this many.
MANY = 512
#: A derivative counts as known when its error is below this part of the largest one.
RESOLVED = 1e-4


@dataclass
class Comparison:
    """Analytic and numeric derivatives of one argument: rows cotangents, columns directions.

    A verdict needs more than a tolerance: the numeric derivative has an error of its own, which
    says whether it can confirm the analytic one, refute it, or do neither.
    """

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

    @property
    def worst(self) -> tuple[int, int]:
        """The cotangent and the direction where the two are most times their bound apart."""
        return most_over(self.apart, self.kink + self.bound)

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


class Probe:
    """The first derivatives of a function at a point, by differences and by the tape."""

    def __init__(self, function: FlatFunction, seed: int) -> None:
        self.function = function
        self.rng = np.random.default_rng([seed, function.order])
        self.first = function.examine()
        size = len(self.first)
        #: What very many outputs are multiplied with before they are added up to ``MANY`` sums.
        self.mixed = random_signs(self.rng, size) if size > MANY else None
        self.value = self._few(self.first)
        weights = [random_signs(self.rng, len(self.value)) for _ in range(COTANGENTS)]
        self.weights = np.array(weights).reshape(COTANGENTS, -1)
        self.cotangents = list(self.weights)
        if self.mixed is not None:
            self.cotangents = [np.resize(row, size) * self.mixed for row in self.weights]
        self.directions: list[tuple[Argument, Directions]] = [
            (a, self._draw_directions(a)) for a in function.arguments
        ]
        self.differences = self._differences([d for _, rows in self.directions for d in rows])

    def _few(self, y: Vector) -> Vector:
        """The sums of very many outputs; fewer outputs as they are."""
        if self.mixed is None or y.size != self.mixed.size:
            return y
        padding = np.zeros(-y.size % MANY, y.dtype)
        return np.concatenate([y * self.mixed, padding]).reshape(-1, MANY).sum(axis=0)

    def _draw_directions(self, argument: Argument) -> Directions:
        """Pairs (positions, steps): each element if there are few, else some and whole arrays."""
        unit = argument.units
        chosen = np.flatnonzero(unit)
        if chosen.size <= SMALL:
            return element_directions(argument, chosen)
        dense = [(argument.at, unit * random_signs(self.rng, unit.size)) for _ in range(DIRECTIONS)]
        some = self.rng.choice(chosen, ELEMENTS, replace=False)
        return [*dense, *element_directions(argument, some)]

    def _differences(self, directions: Directions) -> Differences:
        """The numeric derivatives of the function along some directions."""
        function = self.function

        def projected(points: Vector) -> list[Vector | None]:
            return [None if y is None else self._few(y) for y in function.values(points)]

        return Differences(projected, function.point, self.value, directions, function.epsilon)

    def gradient(self) -> FlatFunction:
        """The gradient of the function, to be checked next."""
        gradient = self.function.gradient(self.rng)
        # A gradient may be zero by cancellation, of numbers as large as the values.
        steps = [float(np.min(np.abs(u), initial=np.inf)) for _, d in self.directions for _, u in d]
        largest = float(np.max(np.abs(self.weights) @ np.abs(self.value), initial=0.0))
        gradient.magnitude = max(largest, self.function.magnitude) / min([*steps, 1.0])
        gradient.beside_kinks = self.function.beside_kinks or self.differences.kinked
        return gradient

    # -- comparing -----------------------------------------------------------------------------

    def compare(self, depths: Sequence[int] = (1, 2, LADDER)) -> list[Comparison]:
        """Analytic beside numeric, for each argument, with as many steps as the verdicts need."""
        value, rows = self.function.pullback(self.function.point, self.cotangents)
        self._check_recorded(self._few(value))
        comparisons: list[Comparison] = []
        for depth in depths:
            comparisons = self._comparisons(rows, self.differences.estimate(depth))
            if all(c.settled(depth) for c in comparisons):
                break
        else:
            comparisons = self._sharpened(rows, comparisons)
        return self.with_rounding(comparisons, self.cotangents)

    def compare_along(
        self, argument: Argument, directions: Directions, rows: Vector
    ) -> tuple[Estimate, Comparison]:
        """The same for other directions of one argument, from all steps."""
        estimate = self._differences(directions).estimate(LADDER)
        return estimate, self.comparison(argument, directions, estimate, rows, self.weights)

    def comparison(
        self,
        argument: Argument,
        directions: Directions,
        estimate: Estimate,
        rows: Vector,
        weights: Vector,
    ) -> Comparison:
        """The gradients ``rows`` of the outputs weighted with ``weights``, beside the numeric."""
        function, sizes = self.function, np.abs(weights)
        return Comparison(
            argument,
            directions,
            _derivatives_along(directions, rows),
            weights @ estimate.value.T,
            _weighted(sizes, estimate.error),
            sizes @ estimate.kink.T,
            _touched(sizes, estimate.bent),
            (sizes @ np.abs(self.value) + function.magnitude)[:, None],
            function.epsilon,
            function.magnitude,
        )

    def _comparisons(self, rows: Vector, estimate: Estimate) -> list[Comparison]:
        found, start = [], 0
        for argument, directions in self.directions:
            end = start + len(directions)
            part = Estimate(*(array[start:end] for array in estimate))
            found.append(self.comparison(argument, directions, part, rows, self.weights))
            start = end
        return found

    def _check_recorded(self, value: Vector) -> None:
        """Raise GradientMismatch if the value differs when it is computed under a tape."""
        function = self.function
        largest = float(np.max(np.abs(self.value), initial=0.0))
        room = function.epsilon * (4e6 * largest + 64 * function.magnitude)
        apart = np.abs(value - self.value)
        if np.all(apart <= room):
            return
        function.confirm(self.first, calls=8)
        worst = int(np.argmax(apart))
        output = function.output_label(worst) if self.mixed is None else WEIGHTED
        recorded, plain = float(value[worst]), float(self.value[worst])
        message = (
            f"{function.name}: {output} is {recorded:.12g} when it is recorded on a tape, and "
            f"{plain:.12g} when it is not: a rule, or the function, computes differently on "
            f"tracked tensors. Its second derivatives are those of another function"
        )
        pattern = "recorded and plain differ"
        raise GradientMismatch(message, output, (), recorded, plain, room, pattern, function.order)

    def _sharpened(self, rows: Vector, comparisons: list[Comparison]) -> list[Comparison]:
        """Decide by the complex step what differences cannot, if it can be trusted."""
        if all(np.all(c.resolved | c.wrong) for c in comparisons):
            return comparisons
        exact = self.differences.complex_step(self.differences.estimate(LADDER))
        if exact is None:
            return comparisons
        estimate, trusted = exact
        sharper = self._comparisons(rows, estimate)
        # If all three methods agree, that is enough; a contradiction needs a trusted estimate.
        agreed = not any(np.any(c.wrong) for c in sharper)
        return sharper if trusted or agreed else comparisons

    def with_rounding(
        self, comparisons: list[Comparison], cotangents: Sequence[Vector]
    ) -> list[Comparison]:
        """Where a gradient is refuted, add the rounding error of its rule to the error.

        That error shows in how the gradient scatters between points a few rounding units apart. The
        gradient at the point itself is left out, or one that is wrong just there would seem rough.
        At a kink the gradient jumps, which is not rounding.
        """
        function = self.function
        refuted = any(np.any(c.refuted) for c in comparisons)
        if not refuted or function.beside_kinks or self.differences.kinked:
            return comparisons
        rng = np.random.default_rng(function.order)
        near = []
        for _ in range(NEARBY):
            move = rng.choice([-4.0, 4.0], function.point.shape) * function.epsilon
            try:
                near.append(function.pullback(function.point * (1 + move), cotangents)[1])
            except (ValueError, ArithmeticError):  # outside of its domain
                return comparisons
        found = []
        for comparison in comparisons:
            values = np.array([_derivatives_along(comparison.directions, rows) for rows in near])
            scatter = np.max(np.abs(values - np.median(values, axis=0)), axis=0)
            known = np.where(np.isfinite(scatter), scatter, 0.0)
            found.append(replace(comparison, error=comparison.error + known))
        return found


def most_over(apart: Vector, bound: Vector) -> tuple[int, int]:
    """The row and the column where numbers are most times their bound apart."""
    over = np.nan_to_num(apart / np.maximum(bound, 1e-300), nan=np.inf)
    row, column = np.unravel_index(int(np.argmax(over)), over.shape)
    return int(row), int(column)


def element_directions(argument: Argument, positions: Vector) -> Directions:
    """A direction for each of these elements of an argument."""
    unit = argument.units
    return [(argument.at.start + int(i), unit[i]) for i in positions]


def _derivatives_along(directions: Directions, rows: Vector) -> Vector:
    """The derivatives along the directions; those of whole arrays come before single elements."""
    whole = [(at, step) for at, step in directions if isinstance(at, slice)]
    single = directions[len(whole) :]
    positions = np.array([at for at, _ in single], dtype=np.intp)
    elements = rows[:, positions] * np.array([step for _, step in single], dtype=float)
    if not whole:
        return elements
    dense = [[np.sum(g[at] * step, where=step != 0) for at, step in whole] for g in rows]
    return np.hstack([np.array(dense).reshape(len(rows), len(whole)), elements])


def _weighted(sizes: Vector, error: Vector) -> Vector:
    """Errors added up over the outputs, where 0 times an infinite error is 0."""
    infinite = np.isinf(error)
    if not infinite.any():
        return sizes @ error.T
    known = np.where(infinite, 0.0, error)
    return np.where(_touched(sizes, infinite), np.inf, sizes @ known.T)


def _touched(sizes: Vector, found: Vector) -> Vector:
    """Whether ``found`` is true for any output that has a weight."""
    return (sizes > 0).astype(float) @ found.T > 0
