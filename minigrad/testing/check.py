"""The gradient checker: what the tape computes against what differences of the values say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.switches import replaced
from minigrad.kernels.windows import as_int
from minigrad.testing import report
from minigrad.testing.comparison import Comparison
from minigrad.testing.diagnosis import diagnose, recorded_differs
from minigrad.testing.differences import LADDER, Differences, Directions, Estimate, Vector
from minigrad.testing.modules import is_module, of_module
from minigrad.testing.precision import compare_low_precision
from minigrad.testing.report import GradientInconclusive, GradientReport, Verdict
from minigrad.testing.subject import Argument, Subject, check_arity, spread

#: Arguments up to this size are checked element by element, larger ones along some directions.
SMALL = 40
DIRECTIONS, ELEMENTS, COTANGENTS = 4, 12, 2
#: At so many points, a few rounding units away, a refuted gradient is taken again.
NEARBY = 8
#: More outputs than this are added up, with random weights, to this many.
MANY = 512


@checked(order="[1, inf)", seed="[0, inf)")
def check_grads(
    f: Callable[..., Any], *args: Any, order: int = 2, seed: int = 0, name: str | None = None
) -> GradientReport:
    """Prove the gradients of ``f`` at ``args`` against finite differences.

    Every floating-point array, tensor or number in ``args`` (also inside lists, tuples and dicts)
    is an input, everything else is held constant; ``f`` gets tensors and returns a tensor, or
    several. Of a module the parameters are inputs, too. With ``order=2`` the gradient is itself
    checked as a function of the inputs and the cotangent. The cotangents and directions are drawn
    from ``seed``; ``name`` is for messages.

    The differences are taken in float64, extrapolated, and carry their own error bounds: the
    gradient must agree within those (or to one part in ten million, where they are smaller).
    float32 arguments are checked so too, and then the float32 gradient is compared with the float64
    one. At a kink it must lie between the slopes of the two sides. Arguments of up to 40 elements
    are checked element by element, larger ones along random directions and at some elements.

    Raises :class:`GradientMismatch` (an AssertionError) for a wrong gradient,
    :class:`GradientInconclusive` (another) when most derivatives could not be determined,
    TypeError for a function that takes other arguments or returns no tensor, RuntimeError for one
    that is not deterministic or writes into its arguments, ValueError where it has no finite value.

    >>> import numpy as np, minigrad as mg
    >>> mg.testing.check_grads(lambda x, y: x / y, np.array([1.0, 2.0]), 3.0, name="x / y")
    <gradients of x / y: pass, 16 derivatives to order 2>
    """
    if as_int("check_grads", "order", order) < 1:
        raise ValueError(f"check_grads: order must be 1, 2, ..., got {order!r}")
    if as_int("check_grads", "seed", seed) < 0:
        raise ValueError(f"check_grads: seed must not be negative, got {seed}")
    label = name or called(f)
    check_arity(f, args, label)
    subject = of_module(f, args, label) if is_module(f) else Subject(f, args, label)
    if not subject.arguments:
        raise TypeError(
            f"{subject.name}: check_grads was given no floating-point argument, only "
            f"{subject.kinds}; all else is held constant, so pass 2.0 instead of 2"
        )
    result = GradientReport(subject.name, order)
    # Open tapes must not see the thousands of calls made here.
    with replaced(recording=True, tapes=(), pauses=()), np.errstate(all="ignore"):
        for each in range(1, order + 1):
            check = Check(subject, seed, lambda: _snippet(f, args, name, order, seed))
            check.run(result)
            if each < order:
                subject = check.gradient()
    if result.verdict is Verdict.INCONCLUSIVE:
        raise GradientInconclusive(
            f"{subject.name}: {result.inconclusive} of {result.compared} derivatives could not be "
            f"determined by differences, so the gradient is not proven. The function is very rough "
            f"or noisy at this point, or its values are huge beside its slopes; choose other points"
        )
    return result


def called(f: Callable[..., Any]) -> str:
    """How messages call the function."""
    return getattr(f, "__name__", None) or type(f).__name__


def _snippet(
    f: Callable[..., Any], args: tuple[Any, ...], name: str | None, order: int, seed: int
) -> str:
    label, place = name or called(f), ""
    if not label.isidentifier():
        label = "f"
    module = getattr(f, "__module__", "") or ""
    code = getattr(inspect.unwrap(f), "__code__", None)
    if module.startswith("minigrad.") and name is None and inspect.isfunction(f):
        label = f"mg.{label}"
    elif code is None:
        place = name or called(f)
    else:
        place = f"{name or called(f)} at {Path(code.co_filename).name}:{code.co_firstlineno}"
    return report.snippet(label, place, args, order, seed)


class Fold:
    """Very many outputs as fewer: every so many added up with random weights."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.size = size
        self.weights = spread(rng, size) if size > MANY else None

    def __call__(self, y: Vector) -> Vector:
        """The outputs, or the sums that stand for them."""
        if self.weights is None or y.size != self.size:
            return y
        padding = np.zeros(-self.size % MANY, y.dtype)
        return np.concatenate([y * self.weights, padding]).reshape(-1, MANY).sum(axis=0)

    def transpose(self, folded: Vector) -> Vector:
        """The cotangent of all outputs that belongs to one of the sums."""
        return folded if self.weights is None else np.resize(folded, self.size) * self.weights


class Check:
    """The first derivatives of one subject: differences computed once, compared as often as asked.

    That the differences stay is for tests that compare many rules with the same function.
    """

    def __init__(self, subject: Subject, seed: int, snippet: Callable[[], str] = str) -> None:
        self.subject, self.snippet = subject, snippet
        self.rng = np.random.default_rng([seed, subject.order])
        self.first = subject.examine()
        self.fold = Fold(self.rng, len(self.first))
        self.value = self.fold(self.first)
        weights = [spread(self.rng, len(self.value)) for _ in range(COTANGENTS)]
        self.weights = np.array(weights).reshape(COTANGENTS, -1)
        self.cotangents = [self.fold.transpose(row) for row in self.weights]
        self.directions: list[tuple[Argument, Directions]] = [
            (a, self._directions(a)) for a in subject.arguments
        ]
        self.differences = self.differences_along([d for _, rows in self.directions for d in rows])

    def differences_along(self, directions: Directions) -> Differences:
        """The numeric derivatives of the subject, at its point, along some directions."""
        subject = self.subject

        def folded(points: Vector) -> list[Vector | None]:
            return [None if y is None else self.fold(y) for y in subject.values(points)]

        function = subject.values if self.fold.weights is None else folded
        return Differences(function, subject.point, self.value, directions, subject.epsilon)

    def gradient(self) -> Subject:
        """The gradient of the subject, itself to be checked next."""
        gradient = self.subject.gradient(self.rng)
        # A gradient may be zero by cancellation; what is cancelled is as large as the values.
        steps = [float(np.min(np.abs(u), initial=np.inf)) for _, d in self.directions for _, u in d]
        largest = float(np.max(np.abs(self.weights) @ np.abs(self.value), initial=0.0))
        gradient.magnitude = max(largest, self.subject.magnitude) / min([*steps, 1.0])
        gradient.beside_kinks = self.subject.beside_kinks or self.differences.kinked
        return gradient

    def _directions(self, argument: Argument) -> Directions:
        """(positions, steps): each element if there are few, else some and whole directions."""
        unit = argument.units
        chosen = np.flatnonzero(unit)
        if chosen.size <= SMALL:
            return self.along_elements(argument, chosen)
        dense = [(argument.at, unit * spread(self.rng, unit.size)) for _ in range(DIRECTIONS)]
        some = self.rng.choice(chosen, ELEMENTS, replace=False)
        return [*dense, *self.along_elements(argument, some)]

    def along_elements(self, argument: Argument, positions: Vector) -> Directions:
        """A direction for each of these elements of an argument."""
        unit = argument.units
        return [(argument.at.start + int(i), unit[i]) for i in positions]

    def run(self, result: GradientReport) -> None:
        """Compare at float64, then float32 where that was given, and count the verdicts."""
        comparisons = self.compare()
        if any(np.any(c.refuted) for c in comparisons if not c.passed):
            # A function that changes seldom may have passed for one that does not.
            self.subject.confirm(self.first, calls=8)
            comparisons = self.compare((LADDER,))
        for comparison in comparisons:
            if comparison.passed:
                result.passed += comparison.wrong.size
                continue
            verdicts = comparison.verdicts()
            if np.any(verdicts == Verdict.FAIL):
                raise diagnose(self, comparison.argument)
            result.passed += int(np.sum(verdicts == Verdict.PASS))
            result.kinks += int(np.sum(verdicts == Verdict.KINK))
            result.inconclusive += int(np.sum(verdicts == Verdict.INCONCLUSIVE))
        if self.subject.low_precision:
            compare_low_precision(self)
        self.subject.confirm(self.first, calls=8 if self.differences.depth > 1 else 1)

    def compare(self, depths: Sequence[int] = (1, 2, LADDER)) -> list[Comparison]:
        """Analytic beside numeric, argument by argument, with steps as small as it takes."""
        value, rows = self.subject.pullback(self.subject.point, self.cotangents)
        self._check_recorded(value)
        comparisons: list[Comparison] = []
        for depth in depths:
            comparisons = self._comparisons(rows, self.differences.estimate(depth))
            if all(c.settled(depth) for c in comparisons):
                break
        else:
            comparisons = self._sharpened(rows, comparisons)
        along = [directions for _, directions in self.directions]
        return self.with_rounding(comparisons, along, self.cotangents)

    def with_rounding(
        self,
        comparisons: list[Comparison],
        along: list[Directions],
        cotangents: Sequence[Vector],
    ) -> list[Comparison]:
        """The same, where a gradient is refuted, with the rounding in the rule as an error, too.

        That shows in how the gradient scatters between points a few rounding units apart. The
        gradient at the point itself is left out, or one that is wrong just there would seem rough.
        At a kink the gradient jumps, which is no rounding.
        """
        if not any(np.any(c.refuted) for c in comparisons):
            return comparisons
        subject = self.subject
        if subject.beside_kinks or self.differences.kinked:
            return comparisons
        rng = np.random.default_rng(subject.order)
        near = []
        for _ in range(NEARBY):
            move = rng.choice([-4.0, 4.0], subject.point.shape) * subject.epsilon
            try:
                near.append(subject.pullback(subject.point * (1 + move), cotangents)[1])
            except (ValueError, ArithmeticError):  # outside of its domain
                return comparisons
        found = []
        for comparison, directions in zip(comparisons, along, strict=True):
            values = np.array([_along(directions, rows) for rows in near])
            scatter = np.max(np.abs(values - np.median(values, axis=0)), axis=0)
            known = np.where(np.isfinite(scatter), scatter, 0.0)
            found.append(replace(comparison, error=comparison.error + known))
        return found

    def _sharpened(self, rows: Vector, comparisons: list[Comparison]) -> list[Comparison]:
        """Decide by the complex step what differences could not, where it is to be trusted."""
        if all(np.all(c.resolved | c.wrong) for c in comparisons):
            return comparisons
        exact = self.differences.complex_step(self.differences.estimate(LADDER))
        if exact is None:
            return comparisons
        estimate, trusted = exact
        sharper = self._comparisons(rows, estimate)
        # Three ways to one number need no more trust; a contradiction does.
        agreed = not any(np.any(c.wrong) for c in sharper)
        return sharper if trusted or agreed else comparisons

    def _check_recorded(self, value: Vector) -> None:
        """The value must be the same with and without a tape."""
        subject = self.subject
        largest = float(np.max(np.abs(self.value), initial=0.0))
        room = subject.epsilon * (4e6 * largest + 64 * subject.magnitude)
        apart = np.abs(self.fold(value) - self.value)
        if not np.all(apart <= room):
            subject.confirm(self.first, calls=8)
            raise recorded_differs(self, self.fold(value), int(np.argmax(apart)), room)

    def _comparisons(self, rows: Vector, estimate: Estimate) -> list[Comparison]:
        found, start = [], 0
        for argument, directions in self.directions:
            part = estimate.rows(slice(start, start + len(directions)))
            found.append(self.comparison(argument, directions, part, rows, self.weights))
            start += len(directions)
        return found

    def comparison(
        self,
        argument: Argument,
        directions: Directions,
        estimate: Estimate,
        rows: Vector,
        weights: Vector,
    ) -> Comparison:
        """The gradients ``rows``, each of the outputs with a row of ``weights``, beside numbers."""
        subject, sizes = self.subject, np.abs(weights)
        return Comparison(
            argument,
            _along(directions, rows),
            weights @ estimate.value.T,
            _weighted(sizes, estimate.error),
            sizes @ estimate.kink.T,
            _touched(sizes, estimate.bent),
            (sizes @ np.abs(self.value) + subject.magnitude)[:, None],
            subject.epsilon,
            subject.magnitude,
        )


def _along(directions: Directions, rows: Vector) -> Vector:
    """The derivatives along the directions, of which whole ones stand before single elements."""
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
    """Whether something was found in any of the outputs that have a weight."""
    return (sizes > 0).astype(float) @ found.T > 0
