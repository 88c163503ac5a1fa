"""After a failure: which element of which output is wrong, and what mistake it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.testing import report
from minigrad.testing.comparison import Comparison
from minigrad.testing.differences import LADDER, Estimate, Vector
from minigrad.testing.report import GradientMismatch
from minigrad.testing.subject import Argument, spread

if TYPE_CHECKING:
    from minigrad.testing.check import Check

#: Up to this many elements of an argument, and of the output, are looked at one by one.
ELEMENTS, OUTPUTS = 200, 256
#: What stands in the place of an output where there are too many.
WEIGHTED = "a sum of the outputs with random weights"


def diagnose(check: Check, argument: Argument) -> GradientMismatch:
    """Check the argument again, element by element and output by output, and say what is wrong."""
    subject = check.subject
    _, rows = subject.pullback(subject.point, check.cotangents)
    size = argument.at.stop - argument.at.start
    chosen = _worth_a_look(check, argument, rows)
    estimate, comparison, units = _along(check, argument, chosen, rows)
    if len(chosen) < size and not comparison.wrong.any():
        chosen = np.union1d(chosen, _by_halving(check, argument, rows))
        estimate, comparison, units = _along(check, argument, chosen, rows)
    looked_at = len(chosen)
    wrong = np.any(comparison.wrong, axis=0)
    pattern = _pattern(check, comparison, estimate, units)

    output = WEIGHTED
    if len(check.value) <= OUTPUTS:
        each = np.eye(len(check.value))
        _, rows = subject.pullback(subject.point, list(each))
        directions = check.along_elements(argument, chosen)
        plain = check.comparison(argument, directions, estimate, rows, each)
        (plain,) = check.with_rounding([plain], [directions], list(each))
        if plain.wrong.any():
            comparison, output = plain, ""
            wrong = wrong | np.any(plain.wrong, axis=0)
    row, column = _worst(comparison)
    unit = float(units[column])
    return report.mismatch(
        name=subject.name,
        order=subject.order,
        label=argument.label,
        shape=argument.shape,
        dtype=argument.dtype,
        index=argument.index(int(chosen[column])),
        output=output or subject.output_place(row),
        analytic=float(comparison.analytic[row, column]) / unit,
        numeric=float(comparison.numeric[row, column]) / unit,
        bound=float(comparison.bound[row, column]) / unit,
        kink=float(comparison.kink[row, column]) / unit,
        wrong=f"{np.sum(wrong)} of {size} elements"
        + ("" if looked_at == size else f", of which {looked_at} were looked at"),
        pattern=pattern,
        snippet=check.snippet(),
    )


def recorded_differs(check: Check, value: Vector, worst: int, room: float) -> GradientMismatch:
    """The exception for a value that changes when it is computed under a tape."""
    subject = check.subject
    output = WEIGHTED if check.fold.weights is not None else subject.output_place(worst)
    recorded, plain = float(value[worst]), float(check.value[worst])
    message = (
        f"{subject.name}: {output} is {recorded:.12g} when it is recorded on a tape, and "
        f"{plain:.12g} when it is not: a rule, or the function, computes differently on tracked "
        f"tensors. Its second derivatives are those of another function"
    )
    pattern = "recorded and plain differ"
    return GradientMismatch(message, output, (), recorded, plain, room, pattern, subject.order)


def _worth_a_look(check: Check, argument: Argument, rows: Vector) -> Vector:
    """The elements with the largest gradients, and those that the check itself has looked at."""
    usable = np.flatnonzero(argument.units)
    sizes = np.nan_to_num(np.abs(rows[0][argument.at])[usable], nan=np.inf)
    largest = usable[np.argsort(-sizes, kind="stable")[:ELEMENTS]]
    directions = next(d for a, d in check.directions if a is argument)
    single = [at - argument.at.start for at, _ in directions if isinstance(at, int)]
    return np.unique(np.array([*largest, *single], dtype=np.intp))


def _along(
    check: Check, argument: Argument, chosen: Vector, rows: Vector
) -> tuple[Estimate, Comparison, Vector]:
    """The derivatives by these elements, beside the analytic ones, and the units of both."""
    directions = check.along_elements(argument, chosen)
    estimate = check.differences_along(directions).estimate(LADDER)
    comparison = check.comparison(argument, directions, estimate, rows, check.weights)
    (comparison,) = check.with_rounding([comparison], [directions], check.cotangents)
    return estimate, comparison, np.array([unit for _, unit in directions])


def _by_halving(check: Check, argument: Argument, rows: Vector) -> Vector:
    """A wrong element among very many: the half with the larger error, again and again."""
    unit = argument.units
    part = np.flatnonzero(unit)
    while len(part) > 1:
        halves = np.array_split(part, 2)
        directions: list[tuple[Any, Any]] = []
        for half in halves:
            step = np.zeros_like(unit)
            step[half] = unit[half] * spread(check.rng, len(half))
            directions.append((argument.at, step))
        estimate = check.differences_along(directions).estimate(LADDER)
        comparison = check.comparison(argument, directions, estimate, rows, check.weights)
        part = halves[_worst(comparison)[1]]
    return part


def _excess(comparison: Comparison) -> Vector:
    """How many times what can be error the two are apart."""
    apart = np.abs(comparison.analytic - comparison.numeric)
    room = np.maximum(comparison.kink + comparison.bound, 1e-300)
    return np.nan_to_num(apart / room, nan=np.inf)


def _worst(comparison: Comparison) -> tuple[int, int]:
    over = _excess(comparison)
    worst = int(np.argmax(over))
    row, column = np.unravel_index(worst, over.shape)
    return int(row), int(column)


def _pattern(check: Check, comparison: Comparison, estimate: Estimate, units: Vector) -> str:
    looked_at = comparison.analytic.shape[1]
    whole = looked_at == comparison.argument.given.size
    shape = (len(check.weights), *(comparison.argument.shape if whole else (looked_at,)))
    parts = None
    if whole and len(check.subject.output_shapes) == 1 and check.fold.weights is None:
        parts = check.weights[:, None, :] * (estimate.value / units[:, None])
        parts = parts.reshape(*shape, *check.subject.output_shapes[0])
    return report.guess(
        (comparison.analytic / units).reshape(shape),
        (comparison.numeric / units).reshape(shape),
        (comparison.bound / units).reshape(shape),
        parts,
        whole=whole,
    )
