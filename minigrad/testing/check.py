"""The gradient checker: what the tape computes against what differences of the values say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.node import MODE
from minigrad.testing import report
from minigrad.testing.comparison import Comparison
from minigrad.testing.differences import LADDER, Differences, Estimate, Vector
from minigrad.testing.modules import is_module, of_module
from minigrad.testing.report import (
    GradientInconclusive,
    GradientMismatch,
    GradientReport,
    Verdict,
)
from minigrad.testing.subject import Argument, Subject, check_arity, spread

#: Arguments up to this size are checked element by element, larger ones along some directions.
SMALL = 40
DIRECTIONS, ELEMENTS, COTANGENTS = 4, 12, 2
#: More outputs than this are added up, with random weights, to this many.
MANY = 512


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
    gradient must agree within those. float32 arguments are checked so too, and then the float32
    gradient is compared with the float64 one. At a kink it must lie between the slopes of the two
    sides. Arguments of up to 40 elements are checked element by element, larger ones along random
    directions and at some elements.

    Raises :class:`GradientMismatch` (an AssertionError) for a wrong gradient,
    :class:`GradientInconclusive` (another) when most derivatives could not be determined,
    TypeError for a function that takes other arguments or returns no tensor, RuntimeError for one
    that is not deterministic or writes into its arguments, ValueError where it has no finite value.

    >>> import numpy as np, minigrad as mg
    >>> mg.testing.check_grads(lambda x, y: x / y, np.array([1.0, 2.0]), 3.0, name="x / y")
    <gradients of x / y: pass, 16 derivatives to order 2>
    """
    if order < 1:
        raise ValueError(f"check_grads: order must be 1, 2, ..., got {order!r}")
    label = name or called(f)
    check_arity(f, args, label)
    subject = of_module(f, args, label) if is_module(f) else Subject(f, args, label)
    if not subject.arguments:
        raise TypeError(
            f"{subject.name}: check_grads was given no floating-point argument; integers are held "
            f"constant, so pass 2.0 instead of 2"
        )
    result = GradientReport(subject.name, order)
    # Open tapes must not see the thousands of calls made here.
    token = MODE.set(MODE.get().but(recording=True, tapes=()))
    try:
        with np.errstate(all="ignore"):
            for each in range(1, order + 1):
                check = Check(subject, seed, lambda: _snippet(f, args, name, order, seed))
                check.run(result)
                if each < order:
                    subject = check.gradient()
    finally:
        MODE.reset(token)
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
        value = subject.examine()
        self.fold = Fold(self.rng, len(value))
        self.value = self.fold(value)
        weights = [spread(self.rng, len(self.value)) for _ in range(COTANGENTS)]
        self.weights = np.array(weights).reshape(COTANGENTS, -1)
        self.cotangents = [self.fold.transpose(row) for row in self.weights]
        self.directions: list[tuple[Argument, list[tuple[Any, Any]]]] = [
            (a, self._directions(a)) for a in subject.arguments
        ]
        self.differences = self._differences([d for _, rows in self.directions for d in rows])

    def _differences(self, directions: list[tuple[Any, Any]]) -> Differences:
        subject = self.subject

        def function(point: Vector) -> Vector:
            return self.fold(subject.value(point, point.dtype))

        return Differences(function, subject.point, self.value, directions, subject.epsilon)

    def gradient(self) -> Subject:
        """The gradient of the subject, itself to be checked next."""
        gradient = self.subject.gradient(self.rng)
        # A gradient may be zero by cancellation; what is cancelled is as large as the values.
        steps = [float(np.min(np.abs(u), initial=np.inf)) for _, d in self.directions for _, u in d]
        largest = float(np.max(np.abs(self.weights) @ np.abs(self.value), initial=0.0))
        gradient.magnitude = max(largest, self.subject.magnitude) / min([*steps, 1.0])
        return gradient

    def _directions(self, argument: Argument) -> list[tuple[Any, Any]]:
        """(positions, steps): each element if there are few, else some and whole directions."""
        x = self.subject.point[argument.at]
        sizes = np.abs(x)
        usable = np.isfinite(x)
        largest = float(np.max(sizes, initial=0.0, where=usable)) or 1.0
        unit = np.maximum(sizes, 0.1 * largest)
        chosen = np.flatnonzero(usable)
        rows: list[tuple[Any, Any]] = []
        if chosen.size > SMALL:
            for _ in range(DIRECTIONS):
                dense = np.where(usable, unit, 0.0) * spread(self.rng, x.size)
                rows.append((argument.at, dense))
            chosen = self.rng.choice(chosen, ELEMENTS, replace=False)
        return rows + [(argument.at.start + int(i), unit[i]) for i in chosen]

    def run(self, result: GradientReport) -> None:
        """Compare at float64, then float32 where that was given, and count the verdicts."""
        comparisons = self.compare()
        for comparison in comparisons:
            verdicts = comparison.verdicts()
            if np.any(verdicts == Verdict.FAIL):
                raise self._mismatch(comparison.argument)
            result.passed += int(np.sum(verdicts == Verdict.PASS))
            result.kinks += int(np.sum(verdicts == Verdict.KINK))
            result.inconclusive += int(np.sum(verdicts == Verdict.INCONCLUSIVE))
        if self.subject.low_precision:
            self._compare_low_precision()

    def compare(self) -> list[Comparison]:
        """Analytic beside numeric, argument by argument, with steps as small as it takes."""
        value, rows = self.subject.pullback(self.subject.point, self.cotangents)
        self._check_recorded(value)
        comparisons: list[Comparison] = []
        for depth in (1, 2, LADDER):
            comparisons = self._comparisons(rows, self.differences.estimate(depth))
            if all(c.settled(depth) for c in comparisons):
                return comparisons
        return self._sharpened(rows, comparisons)

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
        value = self.fold(value)
        room = 4e6 * self.subject.epsilon * np.max(np.abs(self.value), initial=0.0)
        room += 64 * self.subject.epsilon * self.subject.magnitude
        if value.shape != self.value.shape or np.any(np.abs(value - self.value) > room):
            what = "the value" if self.subject.order == 1 else "the gradient"
            raise GradientMismatch(
                f"{self.subject.name}: {what} is another when it is recorded on a tape: a rule "
                f"computes differently on tensors than on plain arrays",
                "", (), 0.0, 0.0, 0.0, "recorded and plain differ", self.subject.order,
            )  # fmt: skip

    def _comparisons(self, rows: Vector, estimate: Estimate) -> list[Comparison]:
        sizes = np.abs(self.weights)
        natural = sizes @ np.abs(self.value) + self.subject.magnitude
        numeric = self.weights @ estimate.value.T
        with np.errstate(invalid="ignore"):
            error = np.where(sizes.shape[1], sizes @ estimate.error.T, 0.0)
        kink, bent = sizes @ estimate.kink.T, np.any(estimate.bent, axis=1)
        found, start = [], 0
        for argument, directions in self.directions:
            part = slice(start, start + len(directions))
            start = part.stop
            analytic = np.array([[np.sum(g[w] * u) for w, u in directions] for g in rows])
            found.append(
                Comparison(
                    argument,
                    analytic.reshape(COTANGENTS, -1),
                    numeric[:, part],
                    error[:, part],
                    kink[:, part],
                    np.broadcast_to(bent[part], (COTANGENTS, len(directions))),
                    natural[:, None],
                    self.subject.epsilon,
                    self.subject.magnitude,
                )
            )
        return found

    # -- failures --------------------------------------------------------------------------------

    def _mismatch(self, argument: Argument) -> GradientMismatch:
        """Look at the argument element by element, to tell what is wrong with its gradient."""
        subject = self.subject
        _, rows = subject.pullback(subject.point, self.cotangents)
        comparison, estimate, chosen = self._elementwise(argument, rows)
        units = np.array([u for _, u in chosen])
        wrong = int(np.sum(np.any(comparison.wrong, axis=0)))
        size = argument.at.stop - argument.at.start
        of = f"of {size}" if len(chosen) == size else f"of the {len(chosen)} looked at (of {size})"
        pattern = self._pattern(comparison, estimate, units) if len(chosen) == size else ""
        output = "a sum of the outputs with random weights"
        if len(self.value) <= MANY // 2 and self.fold.weights is None:
            each = self._output_by_output(comparison, estimate, list(chosen))
            if each.wrong.any():
                comparison, output = each, ""
        over = np.abs(comparison.analytic - comparison.numeric) / (
            comparison.kink + comparison.bound
        )
        worst = int(np.argmax(np.where(comparison.wrong, np.nan_to_num(over, nan=np.inf), 0.0)))
        row, column = (int(i) for i in np.unravel_index(worst, over.shape))
        unit = float(units[column])
        position = chosen[column][0] - argument.at.start
        return report.mismatch(
            name=subject.name,
            order=subject.order,
            label=argument.label,
            shape=argument.shape,
            dtype=argument.dtype,
            index=tuple(int(i) for i in np.unravel_index(position, argument.shape)),
            output=output or subject.output_place(row),
            analytic=float(comparison.analytic[row, column]) / unit,
            numeric=float(comparison.numeric[row, column]) / unit,
            bound=float(comparison.bound[row, column]) / unit,
            kink=float(comparison.kink[row, column]) / unit,
            wrong=f"{wrong} {of} elements",
            pattern=pattern,
            snippet=self.snippet(),
        )

    def _output_by_output(
        self, comparison: Comparison, estimate: Estimate, chosen: list[tuple[int, Any]]
    ) -> Comparison:
        """The same comparison, a row for each output: plain derivatives, which say more."""
        size = len(self.value)
        _, rows = self.subject.pullback(self.subject.point, list(np.eye(size)))
        return Comparison(
            comparison.argument,
            np.array([[g[w] * u for w, u in chosen] for g in rows]),
            estimate.value.T,
            estimate.error.T,
            estimate.kink.T,
            estimate.bent.T,
            np.abs(self.value)[:, None] + self.subject.magnitude,
            self.subject.epsilon,
            self.subject.magnitude,
        )

    def _elementwise(
        self, argument: Argument, rows: Vector
    ) -> tuple[Comparison, Estimate, list[tuple[int, Any]]]:
        x = self.subject.point[argument.at]
        unit = np.maximum(np.abs(x), 0.1 * (np.max(np.abs(x), initial=0.0) or 1.0))
        largest_first = np.argsort(-np.abs(rows[0][argument.at]), kind="stable")[:200]
        chosen = [(argument.at.start + int(i), unit[i]) for i in np.sort(largest_first)]
        estimate = self._differences(list(chosen)).estimate(LADDER)
        kept, self.directions = self.directions, [(argument, list(chosen))]
        (comparison,) = self._comparisons(rows, estimate)
        self.directions = kept
        return comparison, estimate, chosen

    def _pattern(self, comparison: Comparison, estimate: Estimate, units: Vector) -> str:
        shape = (COTANGENTS, *comparison.argument.shape)
        parts = None
        if len(self.subject.output_shapes) == 1 and self.fold.weights is None:
            parts = self.weights[:, None, :] * (estimate.value / units[:, None])
            parts = parts.reshape(*shape, *self.subject.output_shapes[0])
        return report.guess(
            (comparison.analytic / units).reshape(shape),
            (comparison.numeric / units).reshape(shape),
            (comparison.bound / units).reshape(shape),
            parts,
        )

    # -- less than double precision ----------------------------------------------------------------

    def _compare_low_precision(self) -> None:
        """The gradient in the given dtype against the one in float64, now known to be right.

        How far rounding may carry them apart is measured: the float64 gradient is taken again at
        inputs moved by the rounding unit of the smaller dtype.
        """
        subject = self.subject
        own = [a.dtype for a in subject.arguments]
        epsilon = max(float(np.finfo(d).eps) for d in own)
        _, exact = subject.pullback(subject.point, self.cotangents)
        room = np.zeros_like(exact)
        for _ in range(2):
            signs = self.rng.choice([-1.0, 1.0], subject.point.shape)
            moved = subject.point * (1 + 4 * epsilon * signs)
            _, near = subject.pullback(moved, self.cotangents)
            room = np.maximum(room, np.abs(near - exact))
        _, low = subject.pullback(subject.point, self.cotangents, None)
        for argument in subject.arguments:
            part = argument.at
            scale = np.max(np.abs(exact[:, part]), axis=1, keepdims=True, initial=0.0)
            bound = 16 * np.max(room[:, part], axis=1, keepdims=True, initial=0.0)
            bound = bound + 512 * epsilon * (scale + np.abs(exact[:, part]))
            apart = np.abs(low[:, part] - exact[:, part])
            if np.any(~(apart <= bound)):
                over = np.nan_to_num(apart / np.maximum(bound, 1e-300), nan=np.inf)
                row, column = np.unravel_index(int(np.argmax(over)), over.shape)
                raise report.mismatch(
                    name=subject.name,
                    order=subject.order,
                    label=argument.label,
                    shape=argument.shape,
                    dtype=argument.dtype,
                    index=tuple(int(i) for i in np.unravel_index(int(column), argument.shape)),
                    output="a sum of the outputs with random weights",
                    analytic=float(low[row, part][column]),
                    numeric=float(exact[row, part][column]),
                    bound=float(bound[row, 0] if bound.shape[1] == 1 else bound[row, column]),
                    kink=0.0,
                    wrong=f"only in {argument.dtype}: the same gradient in float64 is right, and "
                    f"stands here as the numeric one",
                    pattern="precision lost in a rule",
                    snippet=self.snippet(),
                )
