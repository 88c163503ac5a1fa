"""What is drawn where: a tree of groups, open or closed, and lines between the nodes in it.

The DOT text and the interactive page are both written from a :class:`Layout`; where things stand on
the paper is left to Graphviz and to ``page.js``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from minigrad.graph.nodes import Graph, GraphNode, Group, module_tree, place_leaves
from minigrad.graph.repeats import Repeats

#: How many items are put into one group when the middle of a long sequence is summed up.
CHUNK = 40


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


# -- which modules are drawn closed, as one box ----------------------------------------------------


class Expanded:
    """Which modules the user wants to see inside. Raises ValueError if a pattern fits none."""

    def __init__(self, expand: bool | str | Iterable[str] | None, root: Group) -> None:
        self.everything = expand is True
        if expand is None or isinstance(expand, bool):
            expand = ()
        self.patterns = [expand] if isinstance(expand, str) else list(expand)
        paths = sorted({group.path for group in root.groups() if group.path})
        for pattern in self.patterns:
            if not any(fnmatchcase(path, pattern) for path in paths):
                raise ValueError(
                    f"make_dot: expand names {pattern!r}, but the modules here are "
                    f"{', '.join(paths[:12]) or 'none'}"
                )

    def __call__(self, group: Group) -> bool:
        """Whether this group, or one inside it, is to be open."""
        if self.everything:
            return True
        if not group.path:  # a whole model, or a repeated sequence
            return bool(self.patterns) and group.kind != "repeated"
        return any(
            fnmatchcase(path, pattern) or pattern.startswith(f"{path}.")
            for path in (group.path, group.last)
            for pattern in self.patterns
        )


def collapse(root: Group, depth: int | None, expanded: Expanded, max_nodes: int) -> str:
    """Close groups; returns a remark if some had to be closed to stay under ``max_nodes``."""
    groups = list(root.groups())
    for group in groups:
        too_deep = depth is not None and group.level >= depth
        group.closed = too_deep and group.level >= 0 and not expanded(group)
    if expanded.everything:
        return ""
    closed = 0
    for level in sorted({group.level for group in groups}, reverse=True):
        if count_shown(root) <= max_nodes:
            break
        for group in groups:
            if group.level == level >= 0 and not group.closed and not expanded(group):
                group.closed = True
                closed += bool(group.path)
    hidden = _sum_up_middles(root, max_nodes)
    remarks = []
    if closed:
        remarks.append(
            f"{closed} deep module{'s are' if closed > 1 else ' is'} closed to stay under "
            f"max_nodes={max_nodes}; expand=[path] opens one"
        )
    if hidden:
        remarks.append(f"{hidden:,} operators in the middle are summed up (max_nodes={max_nodes})")
    return "; ".join(remarks)


def count_shown(group: Group) -> int:
    """How many nodes and closed groups are drawn."""
    total = 0
    stack = [group]
    while stack:
        for child in stack.pop().children:
            if isinstance(child, GraphNode):
                total += 1 + sum(source.kind in ("parameter", "input") for source in child.inputs)
            elif child.closed:
                total += 1
            else:
                stack.append(child)
    return total


def _sum_up_middles(root: Group, max_nodes: int) -> int:
    """Put the middle of long groups into closed groups while too much is shown; how much it is."""
    hidden = 0
    while count_shown(root) > max_nodes:
        is_open = [g for g in (root, *root.groups()) if not g.closed]
        longest = max(is_open, key=lambda group: len(group.children))
        if len(longest.children) < 12:
            break
        keep = max(4, min(max_nodes // 4, len(longest.children) // 3))
        children = longest.children
        middle = children[keep:-keep]
        chunks = _chunks(middle, longest)
        longest.children = [*children[:keep], chunks, *children[-keep:]]
        hidden += sum(1 for _ in chunks.nodes())
    return hidden


def _chunks(items: list[Group | GraphNode], parent: Group) -> Group:
    """Groups of groups of at most CHUNK items."""
    group = Group("", "more operators", parent)
    group.closed = True
    if len(items) <= CHUNK:
        group.children = items
    else:
        size = CHUNK
        while size * CHUNK < len(items):
            size *= CHUNK
        group.children = [_chunks(items[i : i + size], group) for i in range(0, len(items), size)]
    for item in group.children:
        if isinstance(item, Group) and item.parent is not group:
            item.parent = group
    return group
