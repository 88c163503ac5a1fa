"""``mg.observe``: of each operator, the user's source line, the time it took, and its values.

None of this is free (the line alone costs about as much as a small operator, as
``benchmarks/observation.py`` measures), so a program asks for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from minigrad.debug.source_line import SourceLine, current_line
from minigrad.debug.statistics import Statistics, euclidean_norm
from minigrad.engine.hooks import ApplyRules, Edges, Hook
from minigrad.engine.node import Node
from minigrad.engine.settings import checked
from minigrad.operators.declare import Operator


@dataclass(slots=True)
class Observation:
    """What was noted about one operator. Fields that were not asked for are None."""

    line: SourceLine | None = None
    seconds: float | None = None
    backward_seconds: float | None = None
    values: Statistics | None = None
    gradient_norm: float | None = None


class Detachment(NamedTuple):
    """The value of node ``number`` became a constant by ``how``.

    It refers to the number of a node, not to the node or a tensor, so it keeps nothing alive.
    """

    number: int
    how: str
    place: str
    line: SourceLine | None


#: The latest ones, oldest first; a bounded number, since they may never be asked for.
DETACHMENTS: deque[Detachment] = deque(maxlen=512)


class observe(Hook):
    """Inside, note for each operator your source line, its time, its values and its gradient.

    ``print(tape)`` then has a column for the lines, and ``mg.make_dot(..., show=("values",
    "gradients", "time", "line"))`` draws them all. It also notes where tracked values become
    constants, for :func:`minigrad.explain`. The backward pass is observed if it runs inside, too.
    The time of an operator is measured from the end of the previous one, so it includes your own
    Python code between the two.

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

    def _begin(self) -> None:
        self._since = perf_counter()
        super()._begin()

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
        self, apply: ApplyRules, node: Node, edges: Edges, g: Any, tensor: Any
    ) -> list[Any]:
        """Note the size of the gradient and the time of the rules."""
        seen = node.seen = node.seen or Observation()
        if self._values:
            array = g if isinstance(g, (np.ndarray, np.generic)) else g.numpy()
            seen.gradient_norm = euclidean_norm(array)
        start = perf_counter()
        found = super().backward(apply, node, edges, g, tensor)
        if self._time:
            seen.backward_seconds = perf_counter() - start
        self._since = perf_counter()
        return found

    def detached(self, node: Node, how: str) -> None:
        """Note where a value became a constant, once, however many blocks are open."""
        DETACHMENTS.append(Detachment(node.number, how, node.place, current_line()))
