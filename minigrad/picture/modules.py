"""The modules of a picture: a tree of groups with the boxes as its leaves.

What a call of a module records is a run of consecutive operators. A group is such a run, never
"everything with this path": a module that is called twice gives two groups, so that no arrow leads
from a group through another and back into it, and any group can be closed without making a loop.
"""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.picture.boxes import Box, consumers


class Group:
    """One call of a module, or a stretch that stands for several: groups and boxes, in order."""

    __slots__ = ("children", "count", "depth", "id", "kind", "label", "last", "parent", "path")

    def __init__(self, path: str, kind: str, parent: Group | None) -> None:
        self.path = path
        self.kind = kind
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.children: list[Group | Box] = []
        self.id = ""
        #: How many equal groups in a row this one stands for, and the path of the last.
        self.count = 1
        self.last = ""
        self.label = ""

    def __repr__(self) -> str:
        return f"<group {self.path or '(root)'} of {len(self.children)}>"

    def boxes(self) -> Iterator[Box]:
        """All boxes inside."""
        for child in self.children:
            if isinstance(child, Group):
                yield from child.boxes()
            else:
                yield child

    def groups(self) -> Iterator[Group]:
        """All groups inside, outer ones first."""
        for child in self.children:
            if isinstance(child, Group):
                yield child
                yield from child.groups()


def tree(boxes: list[Box]) -> Group:
    """The root of the groups of these boxes."""
    root = Group("", "", None)
    home: dict[Box, Group] = {}
    open_groups = [root]
    for box in boxes:
        if box.kind != "operator":
            continue
        prefixes = _prefixes(box.scope)
        same = 0
        for group, prefix in zip(open_groups[1:], prefixes, strict=False):
            if group.path != prefix:
                break
            same += 1
        del open_groups[same + 1 :]
        for prefix in prefixes[same:]:
            parent = open_groups[-1]
            group = Group(prefix, _kind(box.scope, prefix), parent)
            parent.children.append(group)
            open_groups.append(group)
        open_groups[-1].children.append(box)
        home[box] = open_groups[-1]
    _place_leaves(boxes, home, root)
    for rank, group in enumerate(root.groups(), 1):
        group.id = f"module{rank}"
    return root


def _prefixes(scope: str) -> list[str]:
    parts = scope.split(".") if scope else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _kind(scope: str, path: str) -> str:
    """The class of the module at this path, when the scope knows it."""
    kinds: dict[str, str] = getattr(scope, "kinds", {})
    return kinds.get(path, "")


def _place_leaves(boxes: list[Box], home: dict[Box, Group], root: Group) -> None:
    """Put each parameter and input into the smallest group that holds all its uses."""
    uses = consumers(boxes)
    inserts: dict[Group, dict[Group | Box, list[Box]]] = {}
    for box in boxes:
        if box.kind == "output":
            root.children.append(box)
        elif box.kind != "operator":
            users = uses.get(box, [])
            group = _common([home.get(user, root) for user in users], root)
            first: Group | Box = users[0] if users else box
            where = home.get(users[0], root) if users else root
            while where is not group:
                first, parent = where, where.parent
                assert parent is not None  # noqa: S101 (the root holds everything)
                where = parent
            inserts.setdefault(group, {}).setdefault(first, []).append(box)
    for group, before in inserts.items():
        children: list[Group | Box] = []
        for child in group.children:
            children.extend(before.pop(child, ()))
            children.append(child)
        group.children = [*(box for rest in before.values() for box in rest), *children]


def _common(groups: list[Group], root: Group) -> Group:
    if not groups:
        return root
    found = groups[0]
    for group in groups[1:]:
        other = group
        while found is not other:
            if found.depth >= other.depth:
                found = found.parent or root
            else:
                other = other.parent or root
    return found
