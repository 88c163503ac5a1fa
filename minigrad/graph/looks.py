"""What DOT and the interactive page have in common: shapes, colours, and the texts in boxes.

The fills differ in lightness, so that they can be distinguished in a black-and-white print, and no
meaning rests on colour alone: each kind of node has a shape of its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.debug.table import readable_bytes
from minigrad.graph.nodes import GraphNode, Group

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
#: How each overlay is written on a node.
_OVERLAY_LINES = {
    "values": "{}", "gradients": "|gradient| {}", "bytes": "{} kept", "time": "{}", "line": "{}"
}  # fmt: skip


def short_name(node: GraphNode, group: Group) -> str:
    """The name of a node inside a group, which shows the path already."""
    around: Group | None = group
    while around is not None and not around.path:
        around = around.parent
    if node.kind != "parameter" or around is None:
        return node.name
    return node.name.removeprefix(f"{around.path}.")


def overlay_texts(node: GraphNode) -> dict[str, str]:
    """What is known for each overlay, "" if nothing."""
    seen = node.seen
    return {
        "values": "" if seen.values is None else str(seen.values),
        "gradients": "" if seen.gradient_norm is None else f"{seen.gradient_norm:.3g}",
        "bytes": readable_bytes(node.bytes) if node.bytes else "",
        "time": "" if seen.seconds is None else time_text(seen.seconds, seen.backward_seconds),
        "line": "" if seen.line is None else str(seen.line),
    }


def node_lines(node: GraphNode, show: tuple[str, ...]) -> list[str]:
    """The lines under the name of a node."""
    overlays = [
        _OVERLAY_LINES[name].format(text)
        for name, text in overlay_texts(node).items()
        if name in show and text
    ]
    return [line for line in (node.module, shape_text(node), *overlays) if line]


def group_lines(group: Group, show: tuple[str, ...]) -> list[str]:
    """The lines under the title of a closed group."""
    nodes = list(group.nodes())
    operators = [node for node in nodes if node.kind == "operator"]
    elements = sum(node_size(node) for node in nodes if node.kind == "parameter")
    lines = []
    if elements:
        each = " each" if group.count > 1 else ""
        lines.append(f"{elements:,} parameters{each}")
    if group.kind == "more operators":
        lines.append(f"{len(operators):,}")
    elif operators:
        lines.append(shape_text(operators[-1]))
    kept = sum(node.bytes or 0 for node in operators)
    if "bytes" in show and kept:
        lines.append(f"{readable_bytes(kept)} kept")
    if "time" in show and any(node.seen.seconds is not None for node in operators):
        forward = sum(node.seen.seconds or 0.0 for node in operators)
        backward = sum(node.seen.backward_seconds or 0.0 for node in operators)
        lines.append(time_text(forward, backward or None))
    return lines


def node_size(node: GraphNode) -> int:
    """The number of elements."""
    return math.prod(node.shape or ())


def shape_text(node: GraphNode) -> str:
    """As ``32 × 10``, with the dtype if it is not float32."""
    if node.shape is None:
        return ""
    shape = " × ".join(map(str, node.shape)) or "scalar"
    return shape if node.dtype == "float32" else f"{shape} {node.dtype}"


def time_text(forward: float, backward: float | None) -> str:
    """As ``1.2 ms + 3 ms backward``."""
    text = readable_seconds(forward)
    return text if backward is None else f"{text} + {readable_seconds(backward)} backward"


def readable_seconds(value: float) -> str:
    """As ``1.2 ms``."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
