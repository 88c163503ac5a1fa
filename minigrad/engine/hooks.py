"""Hooks called around every operator and rule, for anomaly detection and ``mg.observe``.

The engine calls ``State.hook`` after each operator, around each derivative rule, and where the
value of a tracked tensor becomes a constant. While no hook is set, that costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeAlias

from minigrad.engine.node import STATE, Node
from minigrad.engine.switches import Block
from minigrad.operators.declare import Operator

#: The inputs of a node whose cotangents are needed: their indices and nodes.
Edges: TypeAlias = Sequence[tuple[int, Node]]
#: Applies the derivative rules of a node: (node, edges, cotangent, tensor maker) -> cotangents.
ApplyRules: TypeAlias = Callable[[Node, Edges, Any, Any], list[Any]]


class Hook(Block):
    """A ``with`` block whose methods are called for each operator that runs inside. Blocks nest.

    Raises RuntimeError when it is opened inside itself.
    """

    _outer: Hook | None = None

    def __enter__(self) -> Self:
        if self in _all_hooks(STATE.get().hook):
            raise RuntimeError(f"{type(self).__name__}: this block is open already; make another")
        return super().__enter__()

    def _begin(self) -> None:
        state = STATE.get()
        self._outer = state.hook
        STATE.set(state.replace(hook=self))

    def _end(self) -> None:
        """Remove this hook, even from between others: blocks of generators may overlap."""
        state = STATE.get()
        if state.hook is self:
            STATE.set(state.replace(hook=self._outer))
        for other in _all_hooks(state.hook):
            if other._outer is self:
                other._outer = self._outer

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        """An operator computed ``value`` from ``arrays``; ``node`` is None for a constant.

        ``arrays`` is None when operators that were shown already are replaced by a single node.
        """
        if self._outer is not None:
            self._outer(op, arrays, metadata, value, node)

    def backward(
        self, apply: ApplyRules, node: Node, edges: Edges, g: Any, tensor: Any
    ) -> list[Any]:
        """Apply the rules of a node, whose cotangent ``g`` is complete.

        A leaf has no edges, and no rules.
        """
        if self._outer is not None:
            return self._outer.backward(apply, node, edges, g, tensor)
        return apply(node, edges, g, tensor)

    def detached(self, node: Node, how: str) -> None:
        """The value of a node became a constant, as by ``.numpy()``."""
        if self._outer is not None:
            self._outer.detached(node, how)


def note_detached(node: Node | None, how: str) -> None:
    """The value of this node becomes a constant by ``how``. Tells the hooks, if there are any."""
    hook = STATE.get().hook
    if hook is not None and node is not None:
        hook.detached(node, how)


def _all_hooks(latest: Hook | None) -> Iterator[Hook]:
    """This hook and those around it."""
    while latest is not None:
        yield latest
        latest = latest._outer
