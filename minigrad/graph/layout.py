"""The finished plan of a picture: groups open or closed, and the lines between what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad.graph.collapse import Expanded, close, shown
from minigrad.graph.modules import Group, number, place_leaves, tree
from minigrad.graph.nodes import Box, content_of
from minigrad.graph.overlays import annotate, checked
from minigrad.graph.repeats import fold, shown_for


class Drawing:
    """What is drawn: a tree of groups and boxes, lines between boxes, and remarks."""

    def __init__(self, root: Group, show: tuple[str, ...], direction: str) -> None:
        self.root = root
        self.direction = direction
        #: (from, to), in order.
        self.lines: dict[tuple[Box, Box], None] = {}
        #: Those that lead from one time round a repeated block into the next.
        self.again: set[tuple[Box, Box]] = set()
        self.show = show
        self.remarks: list[str] = []

    def visible(self) -> dict[Box, Box | Group]:
        """What is seen of each box: itself, or the outermost closed group around it."""
        found: dict[Box, Box | Group] = {}
        stack: list[tuple[Group, Group | None]] = [(self.root, None)]
        while stack:
            group, cover = stack.pop()
            for child in group.children:
                if isinstance(child, Box):
                    found[child] = cover or child
                else:
                    stack.append((child, cover or (child if child.closed else None)))
        return found


def drawing(
    target: Any,
    params: Mapping[str, Any] | None,
    *,
    depth: int | None,
    expand: bool | str | Iterable[str] | None,
    show: Iterable[str] | str,
    between: Any,
    max_nodes: int,
    direction: str,
) -> Drawing:
    """Plan a picture; see :func:`minigrad.make_dot` for the arguments."""
    wanted = checked(show)
    content = content_of(target, params, between)
    remark = annotate(content, wanted)
    root = tree(content.boxes)
    expanded = Expanded(expand)
    expanded.check(root)
    stands_for: dict[Box, Box] = {}
    if not expanded.everything:
        fold(root, content.boxes, expanded, stands_for)
        if len(root.children) > max_nodes or (not any(root.groups()) and shown(root) > max_nodes):
            fold(root, content.boxes, expanded, stands_for, loose=True)
    plan = Drawing(root, wanted, direction)
    closed = close(root, depth, expanded, max_nodes)
    place_leaves(root, content.boxes)
    number(root)
    plan.remarks = [text for text in (closed, remark) if text]
    drawn = set(root.boxes())
    rank = {box: i for i, box in enumerate(content.boxes)}
    for box in content.boxes:
        head = shown_for(box, stands_for)
        for source in box.inputs:
            tail = shown_for(source, stands_for)
            if tail in drawn and head in drawn:
                plan.lines[tail, head] = None
                if rank[tail] >= rank[head]:
                    plan.again.add((tail, head))
    return plan
