"""What a picture is made of: operators, parameters, inputs and outputs, and modules around them.

A node refers to its inputs and stands after them, so the nodes are the graph. They are plain data:
once they are made, no picture keeps a node of the history, and with it all that came before, alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from minigrad.debug.profile import Observation
from minigrad.engine.node import NO_SCOPE, Node, Scope

Kind = Literal["operator", "parameter", "input", "output"]


@dataclass(eq=False, slots=True)
class GraphNode:
    """An operator, a parameter, an input or an output; ``shape`` is None if it is not known."""

    kind: Kind
    name: str
    shape: tuple[int, ...] | None
    dtype: str
    scope: Scope = NO_SCOPE
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


# -- modules ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Group:
    """One call of a module, or a sequence that stands for several: groups and nodes, in order.

    A call of a module records a run of consecutive operators. A group is such a run, never
    "everything with this path": a module that is called twice gives two groups. So no arrow leads
    from a group through another and back into it, and any group can be closed without a loop.
    """

    path: str
    kind: str
    parent: Group | None
    #: 0, or the order of the derivative that the operators belong to.
    order: int = 0
    #: Equal for consecutive operators of one group.
    key: object = None
    children: list[Group | GraphNode] = field(default_factory=list["Group | GraphNode"])
    id: str = ""
    closed: bool = False
    #: How many equal groups in a row this one stands for.
    count: int = 1

    def __post_init__(self) -> None:
        self.depth: int = 0 if self.parent is None else self.parent.depth + 1
        #: 0 for a model, 1 for its parts, ...; -1 for what is around models.
        self.level: int = -1 if self.parent is None else self.parent.level + 1
        #: The path of the last of the groups it stands for; its own is that of the first.
        self.last = self.path

    @property
    def name(self) -> str:
        """The path, or both ends of the paths it stands for."""
        return self.path if self.path == self.last else f"{self.path} … {self.last}"

    @property
    def mark(self) -> str:
        """The worst mark of a node inside."""
        marks = {node.mark for node in self.nodes()}
        return next((mark for mark in ("first", "after") if mark in marks), "")

    def nodes(self) -> Iterator[GraphNode]:
        """All nodes inside."""
        return nodes_in(self.children)

    def groups(self) -> Iterator[Group]:
        """All groups inside, outer ones first."""
        for child in self.children:
            if isinstance(child, Group):
                yield child
                yield from child.groups()


def nodes_in(items: Iterable[Group | GraphNode]) -> Iterator[GraphNode]:
    """These nodes, and those in these groups."""
    for item in items:
        if isinstance(item, Group):
            yield from nodes_in(item.children)
        else:
            yield item


def module_tree(nodes: list[GraphNode]) -> Group:
    """The operators and outputs in the groups of their modules."""
    root = Group("", "", None)
    open_groups = [root]
    for node in nodes:
        if node.kind in ("parameter", "input"):
            continue
        chain = _modules_around(node.scope)
        same = 0
        for group, (key, *_) in zip(open_groups[1:], chain, strict=False):
            if group.key != key:
                break
            same += 1
        del open_groups[same + 1 :]
        for key, path, kind in chain[same:]:
            parent = open_groups[-1]
            group = Group(path, kind, parent, node.scope.order, key)
            if kind and not path and key[0] == "gradient":
                group.level -= 1
            parent.children.append(group)
            open_groups.append(group)
        open_groups[-1].children.append(node)
    _inline_single_operators(root)
    return root


def _modules_around(scope: Scope) -> list[tuple[tuple[object, ...], str, str]]:
    """(key of the group, path, class) of each module around an operator, from the outside in."""
    chain: list[tuple[tuple[object, ...], str, str]] = []
    if scope.order:
        kind = "gradient" if scope.order == 1 else f"gradient of order {scope.order}"
        chain.append((("gradient", scope.order), "", kind))
    parts = scope.path.split(".") if scope.path else []
    paths = [".".join(parts[:i]) for i in range(0 if "" in scope.kinds else 1, len(parts) + 1)]
    model = id(scope.kinds)  # two models may have equal paths
    return chain + [((scope.order, model, path), path, scope.kinds.get(path, "")) for path in paths]


def _inline_single_operators(group: Group) -> None:
    """Replace each module that is one operator without parameters by that operator."""
    for i, child in enumerate(group.children):
        if not isinstance(child, Group):
            continue
        _inline_single_operators(child)
        if len(child.children) == 1 and child.path:
            (only,) = child.children
            if isinstance(only, GraphNode) and not any(s.kind == "parameter" for s in only.inputs):
                only.module = ": ".join(filter(None, (child.path, child.kind)))
                group.children[i] = only


def place_leaves(root: Group, nodes: list[GraphNode]) -> None:
    """Put each parameter and input that is used into the smallest group that holds all its uses."""
    home: dict[GraphNode, Group] = {}
    for group in (root, *root.groups()):
        home.update({child: group for child in group.children if isinstance(child, GraphNode)})
    uses = consumers(node for node in nodes if node in home)
    inserts: dict[tuple[Group, Group | GraphNode], list[GraphNode]] = {}
    for node in nodes:
        users = uses.get(node)
        if node.kind not in ("parameter", "input") or not users:
            continue
        # Inputs stand outside all modules, except constants that a module made itself.
        outside = node.kind == "input" and (node.name != "constant" or node is nodes[0])
        group = root if outside else _smallest_common([home[user] for user in users], root)
        first: Group | GraphNode = users[0]
        where = home[users[0]]
        while where is not group:
            first, where = where, where.parent or root
        inserts.setdefault((group, first), []).append(node)
    for group in {group: None for group, _ in inserts}:
        children: list[Group | GraphNode] = []
        for child in group.children:
            children.extend(inserts.get((group, child), ()))
            children.append(child)
        group.children = children


def _smallest_common(groups: list[Group], root: Group) -> Group:
    found = groups[0]
    for group in groups[1:]:
        other = group
        while found is not other:
            if found.depth >= other.depth:
                found = found.parent or root
            else:
                other = other.parent or root
    return found
