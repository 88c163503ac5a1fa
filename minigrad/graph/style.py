"""The shapes and colours of DOT and the interactive page.

The fills differ in lightness, so that they can be distinguished in a black-and-white print, and no
meaning rests on colour alone: each kind of node has a shape of its own.
"""

from __future__ import annotations

from typing import NamedTuple

FONT = "Helvetica,Arial,sans-serif"
INK = "#1f2937"
MUTED = "#394659"  # dark enough for small letters on each of the fills
ARROW = "#475569"
#: The arrows of parameters stay in the background.
FAINT = "#b8a07a"


class Look(NamedTuple):
    """How one kind of box is drawn."""

    shape: str
    style: str
    fill: str
    line: str
    title: str


LOOKS: dict[str, Look] = {
    "operator": Look("box", "rounded,filled", "#ffffff", "#64748b", "operator"),
    "gradient": Look("box", "rounded,filled,dashed", "#f1e8f8", "#7a4a9e", "gradient operator"),
    "parameter": Look("note", "filled", "#efc27f", "#8a5a12", "parameter"),
    "input": Look("ellipse", "filled", "#d3eedf", "#2f7d5b", "input"),
    "output": Look("octagon", "filled,bold", "#9fb9ec", "#2f4f9e", "output"),
    "module": Look("folder", "filled", "#dfe6ee", "#475569", "closed module"),
}
#: Where a NaN or an infinity appeared first (fill, text), and what it then reached.
BROKEN = {"first": ("#d92d20", "#ffffff"), "after": ("#fbdcd8", "#7a1d14")}
#: Backgrounds of nested modules, by level, and the line around them.
MODULE_FILLS = ("#f6f8fa", "#edf1f5", "#f6f8fa", "#e6ebf1")
MODULE_LINE = "#c3ccd6"
REPEAT_LINE = "#475569"
