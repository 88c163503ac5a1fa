"""Looking on while operators run: what anomaly detection and observation have in common.

The engine calls ``STATE.inspect`` after each operator and around each derivative rule when somebody
has set it, and pays one comparison when nobody has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from minigrad.engine.node import STATE, Node
from minigrad.operators.declare import Operator

#: Applies the derivative rules of a node: (node, wanted inputs, cotangent, tensor maker) -> list.
ApplyRules = Callable[[Node, list[tuple[int, Node]], Any, Any], list[Any]]


class Inspector:
    """A ``with`` block that is shown each operator that runs inside. Blocks nest.

    Raises RuntimeError when it is opened inside itself.
    """

    _outer: Inspector | None = None

    def __enter__(self) -> Self:
        state = STATE.get()
        if self in _looking_on(state.inspect):
            raise RuntimeError(f"{type(self).__name__}: this block is open already; make another")
        try:
            self._outer = state.inspect
            STATE.set(state.replace(inspect=self))
            return self
        except BaseException:  # Ctrl-C: then __exit__ is not called
            STATE.set(state)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._leave()
        except BaseException:  # Ctrl-C in the middle of it
            self._leave()
            raise

    def _leave(self) -> None:
        """Take this one out, also from between others: generators may take turns."""
        state = STATE.get()
        if state.inspect is self:
            STATE.set(state.replace(inspect=self._outer))
        for other in _looking_on(state.inspect):
            if other._outer is self:
                other._outer = self._outer

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        """An operator made ``value`` of ``arrays``; ``node`` is None when that is a constant.

        ``arrays`` is None where a function that was shown already is put under one node.
        """
        if self._outer is not None:
            self._outer(op, arrays, metadata, value, node)

    def backward(
        self, apply: ApplyRules, node: Node, hits: list[tuple[int, Node]], g: Any, tensor: Any
    ) -> list[Any]:
        """The complete cotangent ``g`` of a node is there; apply its rules."""
        if self._outer is not None:
            return self._outer.backward(apply, node, hits, g, tensor)
        return apply(node, hits, g, tensor)


def _looking_on(latest: Inspector | None) -> Iterator[Inspector]:
    """This inspector and those around it."""
    while latest is not None:
        yield latest
        latest = latest._outer
