"""The picture as text in the DOT language, for Graphviz.

Any text may come from the user, so it is escaped twice: for HTML-like labels and for Graphviz.
"""

from __future__ import annotations

import html
from typing import Any

from minigrad.engine.printable import clean
from minigrad.graph import looks
from minigrad.graph.layout import Layout
from minigrad.graph.nodes import GraphNode, Group


def write_dot(graph: Any, layout: Layout) -> None:
    """Write a layout into a ``graphviz.Digraph``."""
    graph.attr(
        "graph", rankdir=layout.direction, fontname=looks.FONT, fontsize="11", fontcolor=looks.INK,
        nodesep="0.18", ranksep="0.28", pad="0.15", bgcolor="white",
    )  # fmt: skip
    graph.attr(
        "node", fontname=looks.FONT, fontsize="11", fontcolor=looks.INK, height="0.25", width="0.4",
        margin="0.07,0.055", penwidth="1",
    )  # fmt: skip
    graph.attr("edge", color=looks.ARROW, arrowsize="0.55", penwidth="1", fontname=looks.FONT,
               fontsize="8", fontcolor=looks.MUTED)  # fmt: skip
    _write_group(graph, layout.root, layout)
    visible = layout.visible()
    lines: dict[tuple[str, str], tuple[GraphNode, bool]] = {}
    for (tail, head), again in layout.lines.items():
        ends = visible[tail].id, visible[head].id
        if ends[0] != ends[1] or visible[tail] is head:
            lines.setdefault(ends, (tail, again))
    for (start, end), (source, again) in lines.items():
        faint = source.kind == "parameter"
        label = looks.shape_text(source) if "shapes" in layout.show else ""
        graph.edge(
            start, end,
            **({"label": f"<{_escaped(label)}>"} if label else {}),
            **({"color": looks.FAINT, "arrowhead": "none"} if faint else {}),
            **({"color": looks.BROKEN["first"][0]} if source.mark else {}),
            **({"style": "dashed", "constraint": "false"} if again else {}),
        )  # fmt: skip
    first = next(iter(visible), None)
    if first is not None and first.kind == "input" and visible[first] is first:
        with graph.subgraph() as top:
            top.attr(rank="source")
            top.node(first.id)
    if layout.remarks:
        note = "<BR/>".join(_small(clean(remark)) for remark in layout.remarks)
        graph.attr("graph", label=f"<{note}>", labelloc="b", labeljust="l")


def _write_group(graph: Any, group: Group, layout: Layout) -> None:
    for child in group.children:
        more: dict[str, str] = {}
        if isinstance(child, GraphNode):
            look, lines = looks.LOOKS[child.look], looks.node_lines(child, layout.show)
            name = _escaped(looks.short_name(child, group))
            title = name if child.kind == "operator" else f"<B>{name}</B>"
            line = str(child.seen.line or "")
            known = [
                child.name,
                child.module,
                looks.shape_text(child),
                child.dtype,
                child.arguments,
                line,
            ]
            tooltip = "  ".join(filter(None, known))
        elif child.closed:
            look, lines = looks.LOOKS["module"], looks.group_lines(child, layout.show)
            title = group_title(child, looks.BROKEN[child.mark][1] if child.mark else "")
            tooltip = f"{child.name} {child.kind}".strip()
            more = {"peripheries": "2"} if child.count > 1 else {}
        else:
            _write_open_group(graph, child, layout)
            continue
        fill, ink = looks.BROKEN[child.mark] if child.mark else (look.fill, "")
        below = [_small(line, ink, 10 if i else 12) for i, line in enumerate(lines)]
        graph.node(
            child.id, label=f"<{'<BR/>'.join([title, *below])}>", shape=look.shape,
            style=look.style, fillcolor=fill, tooltip=_attribute(tooltip),
            color=looks.BROKEN["first"][0] if child.mark else look.line, **more,
            **({"fontcolor": ink} if ink else {}),
        )  # fmt: skip


def _write_open_group(graph: Any, group: Group, layout: Layout) -> None:
    repeated = group.count > 1
    with graph.subgraph(name=f"cluster_{group.id}") as cluster:
        cluster.attr(
            label=f"<{group_title(group)}>", labeljust="l", margin="8", fontsize="10",
            style="rounded,filled",
            color=looks.REPEAT_LINE if repeated else looks.MODULE_LINE,
            fillcolor=looks.MODULE_FILLS[max(group.level, 0) % len(looks.MODULE_FILLS)],
            penwidth="1.5" if repeated else "1", tooltip=_attribute(group.name),
        )  # fmt: skip
        _write_group(cluster, group, layout)


def group_title(group: Group, ink: str = "") -> str:
    """The path and class of a group, and how many it stands for."""
    parts = []
    if group.name:
        parts.append(f"<B>{_escaped(group.name)}</B>")
    if group.kind:
        kind = _escaped(group.kind)
        parts.append(
            f'<FONT COLOR="{ink or looks.MUTED}">{kind}</FONT>' if parts else f"<B>{kind}</B>"
        )
    count = f" <B>× {group.count:,}</B>" if group.count > 1 else ""
    return ": ".join(parts) + count


def _escaped(text: str) -> str:
    r"""Any text for an HTML-like label, where ``\N`` would become the name of the node."""
    lines = [html.escape(line).replace("\\", 2 * "&#92;") for line in clean(text).splitlines()]
    return "<BR/>".join(line or " " for line in lines) or " "


def _small(text: str, ink: str = "", height: int = 10) -> str:
    """A line of small letters, between taller blanks: some engines leave no room between lines."""
    blank = f'<FONT POINT-SIZE="{height}">&#160;</FONT>'
    return (
        f'{blank}<FONT POINT-SIZE="9" COLOR="{ink or looks.MUTED}">{_escaped(text)}</FONT>{blank}'
    )


def _attribute(text: str) -> str:
    r"""Any text as the value of an attribute.

    The graphviz package, and layout engines that write the graph anew, would take a value like
    ``<...>`` for HTML, so XML's special characters are escaped. Engines expand ``\N``, ``\G``...
    twice, and halve the backslashes each time.
    """
    line = html.escape(" ".join(clean(text).splitlines())).replace("\\", 4 * "&#92;")
    return line or " "
