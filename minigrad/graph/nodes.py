"""What a picture is made of: operators, parameters, inputs and outputs, each after its inputs.

A node refers to its inputs, so the nodes are the graph. They are plain data: once they are made, no
picture keeps a node of the history, and with it all that came before, alive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from minigrad.debug.profile import Observation
from minigrad.engine.node import Node, Scope

Kind = Literal["operator", "parameter", "input", "output"]
_NO_SCOPE = Scope("")


@dataclass(eq=False, slots=True)
class GraphNode:
    """An operator, a parameter, an input or an output; ``shape`` is None if it is not known."""

    kind: Kind
    name: str
    shape: tuple[int, ...] | None
    dtype: str
    scope: Scope = _NO_SCOPE
    inputs: list[GraphNode] = field(default_factory=list["GraphNode"])
    id: str = ""
    arguments: str = ""
    #: "path: Class" of a module that consists of this operator alone.
    module: str = ""
    #: "first" where a NaN or an infinity appeared, "after" where it spread.
    mark: Literal["", "first", "after"] = ""
    #: Bytes kept for the backward pass.
    bytes: int | None = None
    seen: Observation = field(default_factory=Observation)

    @property
    def look(self) -> str:
        """The kind as it is drawn: the operators of a derivative look different."""
        return "gradient" if self.kind == "operator" and self.scope.order else self.kind


@dataclass
class Graph:
    """The nodes of a picture, and which node of the history or array each was made from."""

    nodes: list[GraphNode] = field(default_factory=list[GraphNode])
    of_node: dict[Node, GraphNode] = field(default_factory=dict[Node, GraphNode])
    of_array: dict[int, GraphNode] = field(default_factory=dict[int, GraphNode])
    #: The arrays themselves, so that no identity is used twice while the picture is made.
    arrays: dict[GraphNode, Any] = field(default_factory=dict[GraphNode, Any])


def consumers(nodes: Iterable[GraphNode]) -> dict[GraphNode, list[GraphNode]]:
    """Which nodes use each node, in order."""
    found: dict[GraphNode, list[GraphNode]] = {}
    for node in nodes:
        for source in node.inputs:
            found.setdefault(source, []).append(node)
    return found
