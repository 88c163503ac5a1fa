"""Notes on each operator while it runs: the user's line, the time it took, what its values were.

Nothing of this is free (the line alone costs about as much as a small operator: measured by
``benchmarks/observation.py``), so a program asks for it.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import numpy as np

from minigrad.engine.hooks import ApplyRules, Inspector
from minigrad.engine.node import Node
from minigrad.engine.settings import checked
from minigrad.engine.source_line import SourceLine, current_line
from minigrad.operators.declare import Operator

__all__ = ["Observation", "Statistics", "observe"]

BINS = 24


def is_finite(value: Any) -> bool:
    """Whether there is neither a NaN nor an infinity in it."""
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        return True
    # One pass without a temporary array; a sum that overflows is looked at again.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


class Statistics:
    """An array in a few numbers; those of the finite elements, and how many are not."""

    __slots__ = ("histogram", "infinite", "max", "mean", "min", "nan", "size", "std")

    def __init__(self, array: Any, histogram: bool = True) -> None:
        values = np.asarray(array).ravel()
        self.size = values.size
        self.nan = self.infinite = 0
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                self.nan = int(np.isnan(values).sum())
                self.infinite = self.size - int(finite.sum()) - self.nan
                values = values[finite]
        values = values.astype(np.float64, copy=False)
        self.min = float(values.min()) if values.size else math.nan
        self.max = float(values.max()) if values.size else math.nan
        self.mean = float(values.mean()) if values.size else math.nan
        self.std = float(values.std()) if values.size else math.nan
        self.histogram: list[int] = []
        if histogram and values.size > 1 and self.max > self.min:
            self.histogram = np.histogram(values, BINS, (self.min, self.max))[0].tolist()

    @property
    def finite(self) -> bool:
        """Whether there is neither a NaN nor an infinity."""
        return not (self.nan or self.infinite)

    def __str__(self) -> str:
        if not self.size:
            return "empty"
        parts = []
        if self.size == 1 and self.finite:
            return f"{self.mean:.4g}"
        if self.size > self.nan + self.infinite:
            parts.append(f"min {self.min:.3g}, mean {self.mean:.3g}, max {self.max:.3g}")
        if self.nan:
            parts.append(f"{self.nan} NaN")
        if self.infinite:
            parts.append(f"{self.infinite} infinite")
        return ", ".join(parts)


class Observation:
    """What was noted of one operator. Fields that were not asked for are None."""

    __slots__ = ("backward_seconds", "gradient_norm", "line", "seconds", "values")

    line: SourceLine | None
    seconds: float | None
    backward_seconds: float | None
    values: Statistics | None
    gradient_norm: float | None

    def __init__(self) -> None:
        self.line = None
        self.seconds = None
        self.backward_seconds = None
        self.values = None
        self.gradient_norm = None


class observe(Inspector):
    """Inside, note of each operator your source line, its time, its values and its gradient.

    ``print(tape)`` then has a column for the lines, and ``mg.make_dot(..., show=("values",
    "gradients", "time", "line"))`` knows them all. The backward pass is observed when it, too,
    runs inside. The time of an operator counts from the end of the one before, so it includes
    your own Python between the two.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 4.0], requires_grad=True)
    >>> with mg.observe(), mg.GradientTape() as tape:
    ...     y = mg.sqrt(x)
    >>> tape.to_records()[0]["values"]
    'min 1, mean 1.5, max 2'
    """

    @checked()
    def __init__(self, *, lines: bool = True, time: bool = True, values: bool = True) -> None:
        self._lines = lines
        self._time = time
        self._values = values
        self._since = 0.0

    def __enter__(self) -> observe:
        self._since = perf_counter()
        return super().__enter__()

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        """Note what this operator did."""
        seconds = perf_counter() - self._since
        super().__call__(op, arrays, metadata, value, node)
        if node is not None:
            seen = node.seen = node.seen or Observation()
            if self._lines:
                seen.line = current_line()
            if self._time:
                seen.seconds = seconds
            if self._values:
                seen.values = Statistics(value)
        self._since = perf_counter()

    def backward(
        self, apply: ApplyRules, node: Node, hits: list[tuple[int, Node]], g: Any, tensor: Any
    ) -> list[Any]:
        """Note the size of the gradient and the time of the rules."""
        seen = node.seen = node.seen or Observation()
        if self._values:
            array = g if isinstance(g, (np.ndarray, np.generic)) else g.numpy()
            seen.gradient_norm = float(np.linalg.norm(array.astype(np.float64).ravel()))
        start = perf_counter()
        found = super().backward(apply, node, hits, g, tensor)
        if self._time:
            seen.backward_seconds = perf_counter() - start
        self._since = perf_counter()
        return found
