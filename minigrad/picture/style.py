"""How things look: one palette for the DOT and the page, told apart by shape and by grey too.

The fills differ in lightness (parameters darkest, operators lightest), so that a black-and-white
print still tells them apart, and no meaning rests on colour alone.
"""

from __future__ import annotations

from typing import NamedTuple

FONT = "Helvetica,Arial,sans-serif"
INK = "#1f2937"
MUTED = "#64748b"
ARROW = "#64748b"


class Look(NamedTuple):
    """How one kind of box is drawn."""

    shape: str
    style: str
    fill: str
    line: str
    title: str


LOOKS: dict[str, Look] = {
    "operator": Look("box", "rounded,filled", "#f8fafc", "#64748b", "operator"),
    "parameter": Look("cylinder", "filled", "#e9b872", "#8a5a12", "parameter"),
    "input": Look("parallelogram", "filled", "#bfe3d0", "#2f7d5b", "input"),
    "output": Look("octagon", "filled,bold", "#c7d7f5", "#2f4f9e", "output"),
    "module": Look("box3d", "filled", "#e2e8f0", "#475569", "closed module"),
}
#: An operator that belongs to the computation of a gradient.
GRADIENT = Look("box", "rounded,filled,dashed", "#efe3f7", "#7a4a9e", "operator of a gradient")
#: Where a NaN or an infinity appeared first, and what it then reached.
BROKEN = ("#d92d20", "#ffffff")
TAINTED = ("#d92d20", "#fbe3e0")
#: Backgrounds of nested modules, by depth.
MODULE_FILLS = ("#f1f5f9", "#ffffff")
MODULE_LINE = "#cbd5e1"
