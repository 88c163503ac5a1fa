"""Log of recent detachments, for ``mg.explain``: where tracked values became constants.

It is written only inside ``with mg.observe():``. An entry refers to the number of a node, not to
the node or a tensor, so it keeps nothing alive.
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


#: The latest ones, oldest first; a bounded number, since they may never be asked for.
LOG: deque[Detachment] = deque(maxlen=512)


def log_detachment(node: Node, how: str) -> None:
    """Note that the value of this node became a constant, and on which line."""
    LOG.append(Detachment(node.number, how, node.op.shown, node.scope, current_line()))
