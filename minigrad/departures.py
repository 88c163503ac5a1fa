"""Where values left the graph of late, so that ``mg.explain`` can say why a gradient is None.

A note refers to no tensor and no node, only to the node's number: it keeps nothing alive.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from minigrad.node import Node
from minigrad.source_line import SourceLine, current_line


class Departure(NamedTuple):
    """The value of node ``number`` became a constant by ``how``."""

    number: int
    how: str
    op: str
    scope: str
    line: SourceLine | None


#: The latest ones; a bounded number, because nobody may ever ask.
RECENT: deque[tuple[int, str, str, str, SourceLine | None]] = deque(maxlen=512)


def depart(node: Node, how: str) -> None:
    """Note that the value of this node became a constant, and where, in about two microseconds."""
    RECENT.append(Departure(node.number, how, node.op.name, node.scope, current_line()))


def depart_quickly(node: Node, how: str) -> None:
    """The same without the line, for what happens at every operator of an inference."""
    RECENT.append((node.number, how, node.op.name, node.scope, None))
