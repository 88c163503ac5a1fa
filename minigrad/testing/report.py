"""Verdicts, the report, and the messages that help to find the mistake in a derivative rule.

A message names the element, both gradients and their likely relation, and gives a program that
shows it again.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.testing.differences import Vector
from minigrad.testing.flat_function import Argument, FlatFunction, element_label

#: The label of an output where there are too many to look at each.
WEIGHTED = "a sum of the outputs with random weights"


class Verdict(enum.StrEnum):
    """The result of one comparison, or of all together.

    >>> mg.testing.check_grads(np.abs, 0.0, order=1).verdict
    <Verdict.KINK: 'kink'>
    """

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    #: The function has a kink here, and the gradient lies between the slopes on its two sides.
    KINK = "kink"
    #: Differences cannot tell: the function is too rough or too noisy at this point.
    INCONCLUSIVE = "inconclusive"


class GradientMismatch(AssertionError):  # noqa: N818 (named as a finding)
    """A gradient that differs from the finite differences by more than their error allows.

    ``argument``: its label; ``index``: its worst element; ``analytic`` and ``numeric``: the two
    derivatives there, ``bound``: how far they may be apart; ``pattern``: a guess at the mistake;
    ``order``: 1 for the gradient, 2 for its own derivative.

    >>> @mg.custom_gradient
    ... def twice(x):
    ...     return 2 * x, lambda g: 3 * g
    >>> try:
    ...     mg.testing.check_grads(twice, 1.0)
    ... except mg.testing.GradientMismatch as wrong:
    ...     print(f"{wrong.analytic:.1f} {wrong.numeric:.1f} {wrong.pattern}")
    3.0 2.0 off by a factor 3/2
    """

    def __init__(
        self,
        message: str,
        argument: str,
        index: tuple[int, ...],
        analytic: float,
        numeric: float,
        bound: float,
        pattern: str,
        order: int,
    ) -> None:
        super().__init__(message)
        self.argument, self.index = argument, index
        self.analytic, self.numeric, self.bound = analytic, numeric, bound
        self.pattern, self.order = pattern, order


class GradientInconclusive(AssertionError):  # noqa: N818 (named as a finding)
    """Most derivatives could not be determined, so nothing has been proven.

    >>> try:
    ...     mg.testing.check_grads(lambda x: np.abs(x) + 1e13, 1.0, order=1)
    ... except mg.testing.GradientInconclusive:
    ...     print("who knows?")
    who knows?
    """


@dataclass
class GradientReport:
    """How many derivatives were compared and what came of it.

    >>> report = mg.testing.check_grads(np.tanh, 0.5)
    >>> report.compared, report.kinks, report.inconclusive
    (6, 0, 0)
    """

    name: str
    order: int
    passed: int = 0
    kinks: int = 0
    inconclusive: int = 0

    @property
    def compared(self) -> int:
        """The number of comparisons."""
        return self.passed + self.kinks + self.inconclusive

    @property
    def verdict(self) -> Verdict:
        """INCONCLUSIVE if more than half of the comparisons are; else KINK if any is."""
        if 2 * self.inconclusive > self.compared:
            return Verdict.INCONCLUSIVE
        return Verdict.KINK if self.kinks else Verdict.PASS

    def __repr__(self) -> str:
        counts = f"{self.compared} derivatives to order {self.order}"
        if self.kinks:
            counts += f", {self.kinks} of them at kinks"
        if self.inconclusive:
            counts += f", {self.inconclusive} undecided"
        return f"<gradients of {self.name}: {self.verdict.value}, {counts}>"


def mismatch(
    function: FlatFunction,
    argument: Argument,
    position: int,
    *,
    output: str,
    analytic: float,
    numeric: float,
    bound: float,
    kink: float = 0.0,
    wrong: str,
    pattern: str,
    snippet: str,
) -> GradientMismatch:
    """The exception for a wrong gradient at a position in the flattened argument."""
    label, order = argument.label, function.order
    index = tuple(int(i) for i in np.unravel_index(position, argument.shape))
    what = f"the gradient with respect to {label}"
    if order > 1:
        what = f"the derivative of order {order}, of the gradient, with respect to {label}"
    lines = [
        f"{function.name}: {what} is wrong (shape {argument.shape}, {argument.dtype})",
        f"  worst element  {element_label(label, index)}, in the derivative of {output}",
        f"  analytic       {analytic:.12g}   (what the derivative rules give)",
        f"  numeric        {numeric:.12g}   (what differences of the values give)",
        f"  apart by       {abs(analytic - numeric):.3g}, at most {bound:.3g} can be error",
    ]
    if kink:
        lines.append(
            f"  kink           the slopes on its two sides are {numeric - kink:.6g} and "
            f"{numeric + kink:.6g}; a gradient lies between them"
        )
    lines.append(f"  wrong          {wrong}")
    if pattern:
        lines.append(f"  looks like     {pattern}")
    lines += ["Reproduce it with", "", *("    " + line for line in snippet.splitlines())]
    return GradientMismatch(
        "\n".join(lines), label, index, analytic, numeric, bound, pattern, order
    )


# -- a guess at the mistake ----------------------------------------------------------------------


def guess(
    analytic: Vector,
    numeric: Vector,
    error: Vector,
    parts: Vector | None = None,
    *,
    whole: bool = True,
) -> str:
    """The mistake that would turn the numeric gradients into the analytic ones, or "".

    Shapes (cotangents, *argument). ``parts``: the numeric gradient before the sum over the
    outputs, (cotangents, *argument, *output), if known. ``whole``: whether these are all elements
    of the argument, in its shape.
    """

    def same(a: Vector, b: Vector) -> bool:
        room = 16 * error + 1e-6 * np.max(np.abs(numeric), initial=0.0)
        return a.shape == b.shape and bool(np.all(np.abs(a - b) <= room))

    if not np.isfinite(analytic).all():
        return "a NaN or an infinity"
    if not analytic.any():
        return "zero: is the graph left on the way (.numpy(), detach, an integer)?"
    if same(analytic, -numeric):
        return "the sign"
    factor = float(np.vdot(numeric, analytic)) / max(float(np.vdot(numeric, numeric)), 1e-300)
    if same(analytic, factor * numeric):
        return f"off by a factor {_as_fraction(factor)}"
    if len(analytic) > 1 and np.allclose(analytic, analytic[0], rtol=1e-12, atol=0):
        return "the cotangent is left out: is the result multiplied by g?"
    for guessed, pattern in _rearranged(numeric) if whole else ():
        if same(analytic, guessed):
            return pattern
    if parts is not None:
        for guessed, pattern in _unsummed(parts, numeric.shape):
            if same(analytic, guessed):
                return pattern
    apart = np.abs(analytic - numeric) > 16 * error + 1e-6 * np.abs(numeric)
    elements = int(np.sum(np.any(apart, axis=0)))
    if elements == 1 and apart[0].size > 1:
        return "one element only: an index or a boundary case?"
    if elements < apart[0].size and not np.any(analytic, where=apart):
        return "zero at some elements, right at the others: a mask or a condition?"
    shift = analytic - numeric
    if shift.size > 1 and same(shift, np.broadcast_to(np.mean(shift), shift.shape)):
        return "off by a constant"
    return ""


def _as_fraction(x: float) -> str:
    """2, 1/3, -1/2, or decimals where no small fraction fits."""
    fraction = Fraction(x).limit_denominator(12)
    return str(fraction) if fraction and abs(x - fraction) < 1e-5 * abs(x) else f"{x:.6g}"


def _rearranged(numeric: Vector) -> Iterator[tuple[Vector, str]]:
    shape = numeric.shape[1:]
    if len(shape) >= 2:
        swapped = np.swapaxes(numeric, -1, -2)
        yield swapped.reshape(numeric.shape), "transposed"
        yield -swapped.reshape(numeric.shape), "transposed, with the sign wrong"
    for axis, n in enumerate(shape, 1):
        if n > 1:
            yield np.flip(numeric, axis), f"reversed along axis {axis - 1}"
            for shift in range(1, min(n, 8)):
                rolled = np.roll(numeric, shift, axis)
                yield rolled, f"shifted by {shift} along axis {axis - 1}"


def _unsummed(parts: Vector, shape: tuple[int, ...]) -> Iterator[tuple[Vector, str]]:
    """The gradients that a rule without the sum over a broadcast axis would give."""
    first = len(shape)
    for axis in range(first, parts.ndim):
        if parts.shape[axis] > 1:
            for at in (0, -1):
                kept = np.take(parts, at, axis=axis)
                total = kept.reshape(*shape, -1).sum(axis=-1)
                yield total, f"a broadcast sum is missing (over axis {axis - first} of the output)"


# -- a snippet -------------------------------------------------------------------------------------


def function_name(f: Callable[..., Any]) -> str:
    """The name of a function in messages."""
    return getattr(f, "__name__", None) or type(f).__name__


def snippet(
    f: Callable[..., Any], arguments: Sequence[Any], name: str | None, order: int, seed: int
) -> str:
    """A program that raises the same error, with the arguments to the last bit."""
    lines = ["import numpy as np", "import minigrad as mg"]
    full = name or function_name(f)
    label = full if full.isidentifier() else "f"
    module = getattr(f, "__module__", "") or ""
    if module.startswith("minigrad.") and name is None and inspect.isfunction(f):
        label = f"mg.{label}"
    else:
        code = getattr(inspect.unwrap(f), "__code__", None)
        place = f" at {Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""
        lines.append(f"{label} = ...  # {full}{place}")
    names = [f"a{i}" for i in range(len(arguments))]
    lines += [f"{name} = {written(one)}" for name, one in zip(names, arguments, strict=True)]
    options = f"order={order}" + (f", seed={seed}" if seed else "")
    lines.append(f"mg.testing.check_grads({', '.join([label, *names])}, {options})")
    return "\n".join(lines)


def written(value: Any) -> str:
    """An expression for the value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{written(v)}, " for v in value) + ")"
    array = getattr(value, "_data", value)
    if not isinstance(array, (np.ndarray, np.generic)):
        return repr(array)
    if array.size > 400:
        return f"...  # the {array.dtype} array of shape {array.shape} that you passed"
    if not array.size:
        return f"np.zeros({array.shape}, np.{array.dtype})"
    return f"np.array({array.tolist()}, np.{array.dtype.name})"
