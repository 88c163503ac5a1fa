"""Arranges a graph in groups: modules are groups, repeated blocks one, deep modules closed."""

from __future__ import annotations

from collections.abc import Iterable

from minigrad.graph.collapse import Expanded, collapse, count_shown
from minigrad.graph.layout import Layout
from minigrad.graph.modules import module_tree, number_groups, place_leaves
from minigrad.graph.nodes import Graph, GraphNode
from minigrad.graph.repeats import fold_repeats


def arrange(
    graph: Graph,
    overlays: tuple[str, ...] = (),
    remarks: Iterable[str] = (),
    *,
    depth: int | None = None,
    expand: bool | str | Iterable[str] | None = None,
    max_nodes: int = 90,
    direction: str = "TB",
) -> tuple[Layout, dict[GraphNode, GraphNode]]:
    """The layout of a graph, and for each node of a folded block the one that is drawn for it.

    The arguments are those of :func:`minigrad.make_dot`.
    """
    root = module_tree(graph.nodes)
    expanded = Expanded(expand)
    expanded.check(root)
    stands_for: dict[GraphNode, GraphNode] = {}
    if not expanded.everything:
        fold_repeats(root, graph.nodes, expanded, stands_for)
        overfull = not any(root.groups()) and count_shown(root) > max_nodes
        if overfull or len(root.children) > max_nodes:
            fold_repeats(root, graph.nodes, expanded, stands_for, loose=True)
    closed = collapse(root, depth, expanded, max_nodes)
    place_leaves(root, graph.nodes)
    number_groups(root)
    layout = Layout(root, overlays, direction, [text for text in (closed, *remarks) if text])
    layout.connect(graph, stands_for)
    return layout, stands_for
