"""The picture as text in the DOT language."""

from __future__ import annotations

import html
import math
from typing import Any

from minigrad.debug.table import readable_bytes
from minigrad.engine.printable import clean
from minigrad.graph.layout import Drawing
from minigrad.graph.modules import Group
from minigrad.graph.nodes import Box
from minigrad.graph.style import (
    ARROW,
    BROKEN,
    FAINT,
    FONT,
    INK,
    LOOKS,
    MODULE_FILLS,
    MODULE_LINE,
    MUTED,
    REPEAT_LINE,
)


def write(graph: Any, plan: Drawing) -> None:
    """Write a plan into a ``graphviz.Digraph``."""
    graph.attr(
        "graph", rankdir=plan.direction, fontname=FONT, fontsize="11", fontcolor=INK,
        nodesep="0.18", ranksep="0.28", pad="0.15", bgcolor="white",
    )  # fmt: skip
    graph.attr(
        "node", fontname=FONT, fontsize="11", fontcolor=INK, height="0.25", width="0.4",
        margin="0.1,0.055", penwidth="1",
    )  # fmt: skip
    graph.attr("edge", color=ARROW, arrowsize="0.55", penwidth="1", fontname=FONT,
               fontsize="8", fontcolor=MUTED)  # fmt: skip
    _write_group(graph, plan.root, plan)
    visible = plan.visible()
    lines: dict[tuple[str, str], tuple[Box, bool]] = {}
    for tail, head in plan.lines:
        ends = visible[tail].id, visible[head].id
        if ends[0] != ends[1] or visible[tail] is head:
            lines.setdefault(ends, (tail, (tail, head) in plan.again))
    for (start, end), (source, again) in lines.items():
        faint = source.kind == "parameter"
        label = shape_text(source) if "shapes" in plan.show else ""
        graph.edge(
            start, end,
            **({"label": f"<{_text(label)}>"} if label else {}),
            **({"color": FAINT, "arrowhead": "none"} if faint else {}),
            **({"color": BROKEN["first"][0]} if source.mark else {}),
            **({"style": "dashed", "constraint": "false"} if again else {}),
        )  # fmt: skip
    first = next(iter(visible), None)
    if first is not None and first.kind == "input" and visible[first] is first:
        with graph.subgraph() as top:
            top.attr(rank="source")
            top.node(first.id)
    if plan.remarks:
        note = "<BR/>".join(_small(clean(remark)) for remark in plan.remarks)
        graph.attr("graph", label=f"<{note}>", labelloc="b", labeljust="l")


def _write_group(graph: Any, group: Group, plan: Drawing) -> None:
    for child in group.children:
        if isinstance(child, Box):
            _write_box(graph, child, plan.show, group)
        elif child.closed:
            _write_closed(graph, child, plan.show)
        else:
            repeated = child.count > 1
            with graph.subgraph(name=f"cluster_{child.id}") as cluster:
                cluster.attr(
                    label=f"<{group_title(child)}>", labeljust="l", margin="8", fontsize="10",
                    style="rounded,filled", color=REPEAT_LINE if repeated else MODULE_LINE,
                    fillcolor=MODULE_FILLS[max(child.level, 0) % len(MODULE_FILLS)],
                    penwidth="1.5" if repeated else "1", tooltip=_attribute(child.name),
                )  # fmt: skip
                _write_group(cluster, child, plan)


def _write_box(graph: Any, box: Box, show: tuple[str, ...], group: Group) -> None:
    look = LOOKS[box.look]
    name = short_name(box, group)
    fill, ink = BROKEN[box.mark] if box.mark else (look.fill, "")
    lines = [_text(name) if box.kind == "operator" else f"<B>{_text(name)}</B>"]
    lines += [_small(text, ink) for text in details(box, show)]
    graph.node(
        box.id, label=f"<{'<BR/>'.join(lines)}>", shape=look.shape, style=look.style,
        fillcolor=fill, color=BROKEN["first"][0] if box.mark else look.line,
        tooltip=_attribute(tooltip(box)), **({"fontcolor": ink} if ink else {}),
    )  # fmt: skip


def short_name(box: Box, group: Group) -> str:
    """The name of a box inside a group, which shows the path already."""
    around: Group | None = group
    while around is not None and not around.path:
        around = around.parent
    if box.kind != "parameter" or around is None:
        return box.name
    return box.name.removeprefix(f"{around.path}.")


def _write_closed(graph: Any, group: Group, show: tuple[str, ...]) -> None:
    look = LOOKS["module"]
    marks = {box.mark for box in group.boxes()} - {""}
    mark = "first" if "first" in marks else "after" if marks else ""
    fill, ink = BROKEN[mark] if mark else (look.fill, "")
    lines = [group_title(group, ink), *(_small(text, ink) for text in group_details(group, show))]
    graph.node(
        group.id, label=f"<{'<BR/>'.join(lines)}>", shape=look.shape, style=look.style,
        fillcolor=fill, color=BROKEN["first"][0] if mark else look.line,
        tooltip=_attribute(f"{group.name} {group.kind}".strip()),
        **({"peripheries": "2"} if group.count > 1 else {}),
        **({"fontcolor": ink} if ink else {}),
    )  # fmt: skip


def group_title(group: Group, ink: str = "") -> str:
    """The path and class of a group, and how many it stands for."""
    parts = []
    if group.name:
        parts.append(f"<B>{_text(group.name)}</B>")
    if group.kind:
        kind = _text(group.kind)
        parts.append(f'<FONT COLOR="{ink or MUTED}">{kind}</FONT>' if parts else f"<B>{kind}</B>")
    count = f" <B>× {group.count:,}</B>" if group.count > 1 else ""
    return ": ".join(parts) + count


def details(box: Box, show: tuple[str, ...]) -> list[str]:
    """The lines under the name of a box."""
    lines = [box.module, shape_text(box)]
    if "values" in show and box.values is not None:
        lines.append(str(box.values))
    if "gradients" in show and box.gradient_norm is not None:
        lines.append(f"|gradient| {box.gradient_norm:.3g}")
    if "bytes" in show and box.bytes:
        lines.append(f"{readable_bytes(box.bytes)} kept")
    if "time" in show and box.seconds is not None:
        lines.append(time_text(box.seconds, box.backward_seconds))
    if "line" in show and box.line is not None:
        lines.append(str(box.line))
    return [line for line in lines if line]


def group_details(group: Group, show: tuple[str, ...]) -> list[str]:
    """The lines under the title of a closed group."""
    boxes = list(group.boxes())
    operators = [box for box in boxes if box.kind == "operator"]
    elements = sum(size(box) for box in boxes if box.kind == "parameter")
    lines = []
    if elements:
        each = " each" if group.count > 1 else ""
        lines.append(f"{elements:,} parameters{each}")
    if group.kind == "more operators":
        lines.append(f"{len(operators):,}")
    elif operators:
        lines.append(shape_text(operators[-1]))
    if "bytes" in show and any(box.bytes for box in operators):
        lines.append(f"{readable_bytes(sum(box.bytes or 0 for box in operators))} kept")
    if "time" in show and any(box.seconds is not None for box in operators):
        forward = sum(box.seconds or 0.0 for box in operators)
        backward = sum(box.backward_seconds or 0.0 for box in operators)
        lines.append(time_text(forward, backward or None))
    return lines


def tooltip(box: Box) -> str:
    """What hovering over a box in an SVG tells."""
    parts = [box.name, box.module, shape_text(box), box.dtype, box.arguments]
    parts += [str(box.line)] if box.line is not None else []
    return "  ".join(part for part in parts if part)


def size(box: Box) -> int:
    """The number of elements."""
    return math.prod(box.shape or ())


def shape_text(box: Box) -> str:
    """As ``32 × 10``; a dtype other than float32 is added."""
    if box.shape is None:
        return ""
    shape = " × ".join(map(str, box.shape)) or "scalar"
    return shape if box.dtype == "float32" else f"{shape} {box.dtype}"


def time_text(forward: float, backward: float | None) -> str:
    """As ``1.2 ms + 3 ms backward``."""
    text = _seconds(forward)
    return text if backward is None else f"{text} + {_seconds(backward)} backward"


def _seconds(value: float) -> str:
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _text(text: str) -> str:
    r"""Any text inside an HTML-like label, where ``\N`` would become the name of the node."""
    lines = [html.escape(line).replace("\\", 2 * "&#92;") for line in clean(text).splitlines()]
    return "<BR/>".join(line or " " for line in lines) or " "


def _small(text: str, ink: str = "") -> str:
    return f'<FONT POINT-SIZE="8.5" COLOR="{ink or MUTED}">{_text(text)}</FONT>'


def _attribute(text: str) -> str:
    r"""Any text as the value of an attribute.

    A value like ``<...>`` would be taken for HTML, by the graphviz package and by layout engines
    that write the graph anew; so what XML gives a meaning to is spelled out. Engines look for
    ``\N``, ``\G``... twice, and each time halve the backslashes.
    """
    line = html.escape(" ".join(clean(text).splitlines())).replace("\\", 4 * "&#92;")
    return line or " "
