"""What is drawn where: a tree of groups, open or closed, and lines between the nodes in it.

The DOT text and the interactive page are both written from a :class:`Layout`; where things stand on
the paper is left to Graphviz and to ``page.js``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from minigrad.graph.collapse import Expanded, collapse, count_shown
from minigrad.graph.modules import Group, module_tree, place_leaves
from minigrad.graph.nodes import Graph, GraphNode
from minigrad.graph.repeats import Repeats


@dataclass
class Layout:
    """A tree of groups and nodes, lines between nodes, and remarks."""

    root: Group
    repeats: Repeats
    show: tuple[str, ...]
    direction: str
    remarks: list[str]
    #: (from, to), in order; True for those that lead from one round of a repeated block into the
    #: next.
    lines: dict[tuple[GraphNode, GraphNode], bool] = field(default_factory=dict)

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


def arrange(
    graph: Graph,
    overlays: tuple[str, ...] = (),
    remarks: Iterable[str] = (),
    *,
    depth: int | None = None,
    expand: bool | str | Iterable[str] | None = None,
    max_nodes: int = 90,
    direction: str = "TB",
) -> Layout:
    """The layout of a graph: modules are groups, repeated blocks one, deep modules closed.

    The arguments are those of :func:`minigrad.make_dot`.
    """
    root = module_tree(graph.nodes)
    expanded = Expanded(expand, root)
    repeats = Repeats(graph.nodes, expanded)
    if not expanded.everything:
        repeats.fold(root)
        overfull = not any(root.groups()) and count_shown(root) > max_nodes
        if overfull or len(root.children) > max_nodes:
            repeats.fold(root, loose=True)
    closed = collapse(root, depth, expanded, max_nodes)
    place_leaves(root, graph.nodes)
    for number, group in enumerate(root.groups(), 1):
        group.id = f"module{number}"
    layout = Layout(root, repeats, overlays, direction, [t for t in (closed, *remarks) if t])
    drawn = set(root.nodes())
    rank = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        head = repeats.shown_for(node)
        for source in node.inputs:
            tail = repeats.shown_for(source)
            if tail in drawn and head in drawn:
                layout.lines[tail, head] = rank[tail] >= rank[head]
    return layout
