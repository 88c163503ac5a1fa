"""The gradient checker: compares the gradients of the tape with finite differences.

The function is made flat (``flat_function.py``), directions are drawn and gradients compared with
differences along them (``probe.py``), and each comparison gets a verdict. A gradient in float32 (or
less) is compared with that in float64. A failure is looked into (``diagnosis.py``), and reported
(``report.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.switches import replaced
from minigrad.testing import report
from minigrad.testing.diagnosis import diagnose
from minigrad.testing.differences import LADDER
from minigrad.testing.flat_function import FlatFunction, check_arity, flat_module
from minigrad.testing.probe import Probe, most_over
from minigrad.testing.report import GradientInconclusive, GradientReport, Verdict, function_name


@checked(order="[1, inf)", seed="[0, inf)")
def check_grads(
    f: Callable[..., Any], *args: Any, order: int = 2, seed: int = 0, name: str | None = None
) -> GradientReport:
    """Check the gradients of ``f`` at ``args`` against finite differences.

    Every floating-point array, tensor or number in ``args`` (also inside lists, tuples and dicts)
    is an input, everything else is held constant; ``f`` gets tensors and returns one tensor or
    several. The parameters of a module are inputs, too. With ``order=2`` the gradient is itself
    checked as a function of the inputs and the cotangent. The cotangents and directions are drawn
    from ``seed``; ``name`` is for messages.

    The differences are taken in float64, extrapolated, and carry their own error bounds: the
    gradient must agree within those (or to one part in ten million, if they are smaller). For
    float32 arguments the float32 gradient is then compared with that in float64. At a kink the
    gradient must lie between the slopes on the two sides. Arguments of up to 40 elements are
    checked element by element, larger ones along random directions and at some elements.

    Raises :class:`GradientMismatch` (an AssertionError) for a wrong gradient,
    :class:`GradientInconclusive` (also one) if most derivatives could not be determined,
    TypeError for a function that takes other arguments or returns no tensor, RuntimeError for one
    that is not deterministic or writes into its arguments, ValueError if it has no finite value.

    >>> mg.testing.check_grads(lambda x, y: x / y, np.array([1.0, 2.0]), 3.0, name="x / y")
    <gradients of x / y: pass, 16 derivatives to order 2>
    """
    label = name or function_name(f)
    check_arity(f, args, label)
    is_module = callable(getattr(f, "named_parameters", None))
    function = flat_module(f, args, label) if is_module else FlatFunction(f, args, label)
    if not function.arguments:
        raise TypeError(
            f"{label}: check_grads was given no floating-point argument, only {function.kinds}; "
            f"all else is held constant, so pass 2.0 instead of 2"
        )
    result = GradientReport(label, order)
    snippet = partial(report.snippet, f, args, name, order, seed)
    # Open tapes must not see the thousands of calls made here.
    with replaced(recording=True, tapes=(), pauses=()), np.errstate(all="ignore"):
        for each in range(1, order + 1):
            probe = Probe(function, seed)
            _judge(probe, result, snippet)
            if each < order:
                function = probe.gradient()
    if result.verdict is Verdict.INCONCLUSIVE:
        raise GradientInconclusive(
            f"{label}: {result.inconclusive} of {result.compared} derivatives could not be "
            f"determined by differences, so the gradient is not proven. The function is very rough "
            f"or noisy at this point, or its values are huge beside its slopes; choose other points"
        )
    return result


def _judge(probe: Probe, result: GradientReport, snippet: Callable[[], str]) -> None:
    """Count the verdicts in float64, then check float32 where it was given.

    Raises GradientMismatch for a wrong gradient.
    """
    function = probe.function
    comparisons = probe.compare()
    if any(np.any(c.refuted) for c in comparisons):
        # The function may change from call to call, so rarely that the first calls agreed.
        function.confirm(probe.first, calls=8)
        comparisons = probe.compare((LADDER,))
    for comparison in comparisons:
        verdicts = comparison.verdicts()
        if np.any(verdicts == Verdict.FAIL):
            raise diagnose(probe, comparison.argument, snippet)
        result.passed += int(np.sum(verdicts == Verdict.PASS))
        result.kinks += int(np.sum(verdicts == Verdict.KINK))
        result.inconclusive += int(np.sum(verdicts == Verdict.INCONCLUSIVE))
    if any(a.dtype.itemsize < 8 for a in function.arguments):
        _compare_low_precision(probe, snippet)
    function.confirm(probe.first, calls=8 if probe.differences.depth > 1 else 1)


def _compare_low_precision(probe: Probe, snippet: Callable[[], str]) -> None:
    """Raise GradientMismatch if the given dtype's gradient differs by more than rounding explains.

    How much rounding can explain is measured: the float64 gradient is computed again at inputs
    that are moved by the rounding unit of the smaller dtype.
    """
    function, cotangents = probe.function, probe.cotangents
    point = function.point
    epsilon = max(float(np.finfo(a.dtype).eps) for a in function.arguments)
    _, exact = function.pullback(point, cotangents)
    moves = [probe.rng.choice([-1.0, 1.0], point.shape) for _ in range(2)]
    near = [function.pullback(point * (1 + 4 * epsilon * m), cotangents)[1] for m in moves]
    moved = np.max(np.abs(np.array(near) - exact), axis=0, initial=0.0)
    _, low = function.pullback(point, cotangents, None)
    # The numbers that cancel to a small gradient are as large as this.
    natural = np.abs(probe.weights) @ np.abs(probe.value) + function.magnitude
    for argument in function.arguments:
        part = argument.at
        size = np.max(np.abs(exact[:, part]), axis=1, initial=0.0)
        step = float(np.max(argument.units, initial=0.0)) or 1.0
        change = np.max(moved[:, part], axis=1, initial=0.0)
        common = 16 * change + epsilon * (512 * size + 4 * natural / step)
        bound = common[:, None] + 512 * epsilon * np.abs(exact[:, part])
        apart = np.abs(low[:, part] - exact[:, part])
        if np.all(apart <= bound):
            continue
        row, column = most_over(apart, bound)
        raise report.mismatch(
            function,
            argument,
            column,
            output=report.WEIGHTED,
            analytic=float(low[row, part][column]),
            numeric=float(exact[row, part][column]),
            bound=float(bound[row, column]),
            wrong=f"in {argument.dtype} only: in float64 the same gradient is right, and stands "
            f"here as the numeric one",
            pattern="precision lost in a rule",
            snippet=snippet(),
        )
