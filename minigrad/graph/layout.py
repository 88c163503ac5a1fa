"""What is drawn where: a tree of groups, open or closed, and lines between the nodes in it.

The DOT text and the interactive page are both written from a :class:`Layout`; where things stand on
the paper is left to Graphviz and to ``page.js``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minigrad.graph.modules import Group
from minigrad.graph.nodes import Graph, GraphNode
from minigrad.graph.repeats import shown_for


@dataclass
class Layout:
    """A tree of groups and nodes, lines between nodes, and remarks."""

    root: Group
    show: tuple[str, ...]
    direction: str
    remarks: list[str]
    #: (from, to), in order; True for those that lead from one round of a repeated block into the
    #: next.
    lines: dict[tuple[GraphNode, GraphNode], bool] = field(default_factory=dict)

    def connect(self, graph: Graph, stands_for: dict[GraphNode, GraphNode]) -> None:
        """Draw the lines between all nodes that are in the tree."""
        drawn = set(self.root.nodes())
        rank = {node: i for i, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            head = shown_for(node, stands_for)
            for source in node.inputs:
                tail = shown_for(source, stands_for)
                if tail in drawn and head in drawn:
                    self.lines[tail, head] = rank[tail] >= rank[head]

    def visible(self) -> dict[GraphNode, GraphNode | Group]:
        """What is seen of each node: itself, or the outermost closed group around it."""
        found: dict[GraphNode, GraphNode | Group] = {}
        stack: list[tuple[Group, Group | None]] = [(self.root, None)]
        while stack:
            group, cover = stack.pop()
            for child in group.children:
                if isinstance(child, GraphNode):
                    found[child] = cover or child
                else:
                    stack.append((child, cover or (child if child.closed else None)))
        return found
