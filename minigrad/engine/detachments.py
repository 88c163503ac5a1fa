"""Where values left the graph of late, so that ``mg.explain`` can say why a gradient is None.

A note refers to no tensor and no node, only to the node's number: it keeps nothing alive.
"""

from __future__ import annotations

from collections import deque
from types import CodeType
from typing import NamedTuple

from minigrad.engine.node import Node
from minigrad.engine.source_line import SourceLine, line_at, user_frame


class Departure(NamedTuple):
    """The value of node ``number`` became a constant by ``how``."""

    number: int
    how: str
    op: str
    scope: str
    line: SourceLine | None


#: The latest ones; a bounded number, because nobody may ever ask. The line is still the code object
#: and the instruction: turning them into a line takes longer than all the rest.
_notes: deque[tuple[int, str, str, str, CodeType | None, int]] = deque(maxlen=512)


def depart(node: Node, how: str) -> None:
    """Note that the value of this node became a constant, and where."""
    frame = user_frame()
    if frame is None:
        depart_quickly(node, how)
    else:
        _notes.append((node.number, how, node.op.name, node.scope, frame.f_code, frame.f_lasti))


def depart_quickly(node: Node, how: str) -> None:
    """The same without the line, for what happens at every operator of an inference."""
    _notes.append((node.number, how, node.op.name, node.scope, None, 0))


def recent() -> list[Departure]:
    """What left the graph of late, oldest first."""
    return [
        Departure(number, how, op, scope, None if code is None else line_at(code, instruction))
        for number, how, op, scope, code, instruction in list(_notes)
    ]
