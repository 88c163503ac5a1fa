"""Log of recent detachments, for ``mg.explain``: where tracked values became constants.

It is written inside ``with mg.observe():`` only. A line of it refers to no tensor and no node, only
to the node's number, so it keeps nothing alive.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from minigrad.debug.source_line import SourceLine, current_line
from minigrad.engine.node import Node


class Detachment(NamedTuple):
    """The value of node ``number`` became a constant by ``how``."""

    number: int
    how: str
    op: str
    scope: str
    line: SourceLine | None


#: The latest ones, oldest first. Their number is bounded, because nobody may ever ask.
LOG: deque[Detachment] = deque(maxlen=512)


def log_detachment(node: Node, how: str) -> None:
    """Note that the value of this node became a constant, and on which line."""
    LOG.append(Detachment(node.number, how, node.op.name, node.scope, current_line()))
