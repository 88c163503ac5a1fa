"""Gradients in float32 (or less) compared with those in float64, which have been checked.

What differs may be rounding: how far the gradient moves when its inputs move by a few units in the
last place is measured, and a wrong rule has to stand out from that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.testing import report
from minigrad.testing.probe import Probe


def compare_low_precision(probe: Probe, snippet: Callable[[], str]) -> None:
    """Raise GradientMismatch if rounding does not explain the difference.

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
        over = np.nan_to_num(apart / np.maximum(bound, 1e-300), nan=np.inf)
        row, column = (int(i) for i in np.unravel_index(int(np.argmax(over)), over.shape))
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
