"""Gradients in float32 (or less) against the same in float64, known to be right by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.testing import report
from minigrad.testing.diagnosis import WEIGHTED

if TYPE_CHECKING:
    from minigrad.testing.check import Check


def compare_low_precision(check: Check) -> None:
    """Raise GradientMismatch where rounding does not explain the difference.

    How far rounding may carry the two apart is measured: the float64 gradient is taken again at
    inputs that are moved by the rounding unit of the smaller dtype.
    """
    subject = check.subject
    point, cotangents = subject.point, check.cotangents
    epsilon = max(float(np.finfo(a.dtype).eps) for a in subject.arguments)
    _, exact = subject.pullback(point, cotangents)
    moves = [check.rng.choice([-1.0, 1.0], point.shape) for _ in range(2)]
    near = [subject.pullback(point * (1 + 4 * epsilon * m), cotangents)[1] for m in moves]
    moved = np.max(np.abs(np.array(near) - exact), axis=0, initial=0.0)
    _, low = subject.pullback(point, cotangents, None)
    # What cancels to a small gradient was as large as this.
    natural = np.abs(check.weights) @ np.abs(check.value) + subject.magnitude
    for argument in subject.arguments:
        part = argument.at
        size = np.max(np.abs(exact[:, part]), axis=1, initial=0.0)
        step = float(np.max(argument.units, initial=0.0)) or 1.0
        spread = np.max(moved[:, part], axis=1, initial=0.0)
        whole = 16 * spread + epsilon * (512 * size + 4 * natural / step)
        bound = whole[:, None] + 512 * epsilon * np.abs(exact[:, part])
        apart = np.abs(low[:, part] - exact[:, part])
        if np.all(apart <= bound):
            continue
        over = np.nan_to_num(apart / np.maximum(bound, 1e-300), nan=np.inf)
        row, column = (int(i) for i in np.unravel_index(int(np.argmax(over)), over.shape))
        raise report.mismatch(
            name=subject.name,
            order=subject.order,
            label=argument.label,
            shape=argument.shape,
            dtype=argument.dtype,
            index=argument.index(column),
            output=WEIGHTED,
            analytic=float(low[row, part][column]),
            numeric=float(exact[row, part][column]),
            bound=float(bound[row, column]),
            kink=0.0,
            wrong=f"in {argument.dtype} only: in float64 the same gradient is right, and stands "
            f"here as the numeric one",
            pattern="precision lost in a rule",
            snippet=check.snippet(),
        )
