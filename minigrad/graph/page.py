"""The interactive page: one file that needs no network and no layout engine.

``page.html`` is the template, ``page.js`` lays out and draws; this file hands them the data.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from minigrad.engine.printable import clean
from minigrad.graph import looks
from minigrad.graph.layout import Layout
from minigrad.graph.nodes import GraphNode, Group
from minigrad.io.file_system import as_path, write_file


class Page:
    """An interactive page that a notebook shows inside a cell; ``str(page)`` is its HTML."""

    def __init__(self, text: str, height: int) -> None:
        self._text = text
        self._height = height

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "<a page: shown in a notebook, and written by .save('graph.html')>"

    def save(self, path: Any, name: str = "page.save") -> str:
        """Write the page to ``path`` (.html) and give the path, as :func:`minigrad.save` does.

        Raises ValueError for another suffix, and OSError if the file cannot be written; ``name``
        is what the messages begin with.
        """
        target: Path = as_path(path, name)
        if target.suffix.lower() != ".html":
            raise ValueError(f"{name}: the suffix must be .html, got {target.name!r}")
        write_file(target, self._text.encode(), name)
        return str(target)

    def _repr_html_(self) -> str:
        # A frame of its own, so that the page's styles and names do not meet the notebook's.
        text = html.escape(self._text, quote=True)
        style = "border:0;width:100%"
        return f'<iframe srcdoc="{text}" height="{self._height}" style="{style}"></iframe>'


def write_page(layout: Layout, steps: Sequence[dict[str, Any]] = ()) -> str:
    """The page of a layout: template, style, program and data in one text.

    ``steps``: what a player goes through, as :class:`minigrad.film` records it.
    """
    files = resources.files("minigrad.graph")
    text = files.joinpath("page.html").read_text(encoding="utf-8")
    player = ["player.html", "player.css", "player.js"] if steps else ["", "", ""]
    places = ["<!--PLAYER-->", "/*PLAYER CSS*/", "/*PLAYER JS*/", "/*CSS*/", "/*JS*/"]
    for place, name in zip(places, [*player, "page.css", "page.js"], strict=True):
        part = files.joinpath(name).read_text(encoding="utf-8") if name else ""
        text = text.replace(place, part)
    content = _page_data(layout)
    if steps:
        content["steps"] = list(steps)
    data = json.dumps(_cleaned(content), ensure_ascii=False, separators=(",", ":"))
    # "<" could end the script element that the data stands in.
    return text.replace("/*DATA*/", data.replace("<", "\\u003c"))


def _cleaned(value: Any) -> Any:
    """The same with every text made harmless."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {key: _cleaned(one) for key, one in value.items()}
    return value


def _page_data(layout: Layout) -> dict[str, Any]:
    groups = [layout.root, *layout.root.groups()]
    home = {
        node: group for group in groups for node in group.children if isinstance(node, GraphNode)
    }
    nodes = list(layout.root.nodes())
    items: list[GraphNode | Group] = [*nodes, *groups]
    index = {item: i for i, item in enumerate(items)}
    kinds = {node.look for node in nodes} | ({"module"} if len(groups) > 1 else set())
    return {
        "boxes": [_node_data(node, home[node], layout.show) for node in nodes],
        "groups": [
            _group_data(group, layout.show) | {"children": [index[c] for c in group.children]}
            for group in groups
        ],
        "lines": [
            [index[tail], index[head], int(again)] for (tail, head), again in layout.lines.items()
        ],
        "closed": [i for i, group in enumerate(groups) if group.closed],
        "looks": {
            kind: {"fill": look.fill, "line": look.line, "title": look.title}
            for kind, look in looks.LOOKS.items()
        },
        "legend": sorted(kinds),
        "broken": {mark: list(colours) for mark, colours in looks.BROKEN.items()},
        "fills": looks.MODULE_FILLS,
        "remarks": layout.remarks,
        "direction": layout.direction,
    }


def _node_data(node: GraphNode, group: Group, show: tuple[str, ...]) -> dict[str, Any]:
    module = node.module or _module_text(group)
    known = looks.overlay_texts(node)
    line, values = node.seen.line, node.seen.values
    rows: list[list[Any]] = [
        ["kind", looks.LOOKS[node.look].title],
        ["module", module],
        ["shape", looks.shape_text(node)],
        ["dtype", node.dtype],
        ["elements", f"{looks.node_size(node):,}" if node.kind == "parameter" else ""],
        ["arguments", node.arguments],
        ["values", known["values"]],
        ["gradient", known["gradients"] and f"norm {known['gradients']}"],
        ["kept", known["bytes"]],
        ["time", known["time"]],
        ["line", known["line"]],
        ["", line.text if line is not None else "", 1],
    ]
    found: dict[str, Any] = {
        "kind": node.kind,
        "look": node.look,
        "name": looks.short_name(node, group) or " ",
        "full": node.name or " ",
        "module": module,
        "mark": node.mark,
        "lines": looks.node_lines(node, show),
        "details": [row for row in rows if row[1]],
    }
    if values is not None and values.histogram:
        found["values"] = values.histogram
        if "values" in show:
            found["histogram"] = values.histogram
    return found


def _module_text(group: Group | None) -> str:
    """The module that a group belongs to, as "path: Class"."""
    while group is not None and (group.kind == "repeated" or not (group.path or group.kind)):
        group = group.parent
    return "" if group is None else ": ".join(filter(None, (group.path, group.kind)))


def _group_data(group: Group, show: tuple[str, ...]) -> dict[str, Any]:
    operators = sum(node.kind == "operator" for node in group.nodes())
    lines = looks.group_lines(group, show)
    rows = [["path", group.name], ["class", group.kind], ["operators", f"{operators:,}"]]
    rows += [["", line] for line in lines]
    return {
        "name": group.name,
        "kind": group.kind,
        "count": group.count,
        "level": group.level,
        "depth": group.depth,
        "mark": group.mark,
        "lines": lines,
        "details": [row for row in rows if row[1]],
    }
