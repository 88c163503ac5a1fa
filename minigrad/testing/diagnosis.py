"""After a failure: which element of which output is wrong, and what mistake it looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.testing import report
from minigrad.testing.differences import Estimate, Vector
from minigrad.testing.flat_function import Argument, random_signs
from minigrad.testing.probe import Comparison, Probe, element_directions
from minigrad.testing.report import GradientMismatch

#: Up to this many elements of an argument, and of the output, are checked one by one.
ELEMENTS, OUTPUTS = 200, 256


def diagnose(probe: Probe, argument: Argument, snippet: Callable[[], str]) -> GradientMismatch:
    """Check the argument again, element by element and output by output, and say what is wrong."""
    function = probe.function
    _, rows = function.pullback(function.point, probe.cotangents)
    size = argument.at.stop - argument.at.start
    chosen = _suspects(probe, argument, rows)
    estimate, comparison = _compare_elements(probe, argument, chosen, rows)
    if len(chosen) < size and not comparison.wrong.any():
        chosen = np.union1d(chosen, _by_halving(probe, argument, rows))
        estimate, comparison = _compare_elements(probe, argument, chosen, rows)
    units = np.array([unit for _, unit in comparison.directions])
    wrong = np.any(comparison.wrong, axis=0)
    pattern = _pattern(probe, comparison, estimate, units)

    output = report.WEIGHTED
    if len(probe.value) <= OUTPUTS:
        each = np.eye(len(probe.value))
        _, rows = function.pullback(function.point, list(each))
        plain = probe.comparison(argument, comparison.directions, estimate, rows, each)
        (plain,) = probe.with_rounding([plain], list(each))
        if plain.wrong.any():
            comparison, output = plain, ""
            wrong = wrong | np.any(plain.wrong, axis=0)
    row, column = comparison.worst
    unit = float(units[column])
    return report.mismatch(
        function,
        argument,
        int(chosen[column]),
        output=output or function.output_label(row),
        analytic=float(comparison.analytic[row, column]) / unit,
        numeric=float(comparison.numeric[row, column]) / unit,
        bound=float(comparison.bound[row, column]) / unit,
        kink=float(comparison.kink[row, column]) / unit,
        wrong=f"{np.sum(wrong)} of {size} elements"
        + ("" if len(chosen) == size else f", of which {len(chosen)} were looked at"),
        pattern=pattern,
        snippet=snippet(),
    )


def _suspects(probe: Probe, argument: Argument, rows: Vector) -> Vector:
    """The elements with the largest gradients, and those that the check has compared."""
    usable = np.flatnonzero(argument.units)
    sizes = np.nan_to_num(np.abs(rows[0][argument.at])[usable], nan=np.inf)
    largest = usable[np.argsort(-sizes, kind="stable")[:ELEMENTS]]
    directions = next(d for a, d in probe.directions if a is argument)
    single = [at - argument.at.start for at, _ in directions if isinstance(at, int)]
    return np.unique(np.array([*largest, *single], dtype=np.intp))


def _compare_elements(
    probe: Probe, argument: Argument, chosen: Vector, rows: Vector
) -> tuple[Estimate, Comparison]:
    directions = element_directions(argument, chosen)
    estimate, comparison = probe.compare_along(argument, directions, rows)
    (comparison,) = probe.with_rounding([comparison], probe.cotangents)
    return estimate, comparison


def _by_halving(probe: Probe, argument: Argument, rows: Vector) -> Vector:
    """A wrong element among very many: the half with the larger error, again and again."""
    unit = argument.units
    part = np.flatnonzero(unit)
    while len(part) > 1:
        halves = np.array_split(part, 2)
        directions: list[tuple[Any, Any]] = []
        for half in halves:
            step = np.zeros_like(unit)
            step[half] = unit[half] * random_signs(probe.rng, len(half))
            directions.append((argument.at, step))
        part = halves[probe.compare_along(argument, directions, rows)[1].worst[1]]
    return part


def _pattern(probe: Probe, comparison: Comparison, estimate: Estimate, units: Vector) -> str:
    count = comparison.analytic.shape[1]
    whole = count == comparison.argument.given.size
    shape = (len(probe.weights), *(comparison.argument.shape if whole else (count,)))
    parts = None
    if whole and len(probe.function.output_shapes) == 1 and probe.mixed is None:
        parts = probe.weights[:, None, :] * (estimate.value / units[:, None])
        parts = parts.reshape(*shape, *probe.function.output_shapes[0])
    return report.guess(
        (comparison.analytic / units).reshape(shape),
        (comparison.numeric / units).reshape(shape),
        (comparison.bound / units).reshape(shape),
        parts,
        whole=whole,
    )
