"""The interactive page: one file that needs no network and no layout engine."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from minigrad.debug.table import readable_bytes
from minigrad.engine.printable import clean
from minigrad.graph.dot import (
    details,
    group_details,
    shape_text,
    short_name,
    size,
    time_text,
)
from minigrad.graph.layout import Drawing
from minigrad.graph.modules import Group
from minigrad.graph.nodes import Box
from minigrad.graph.style import BROKEN, LOOKS, MODULE_FILLS


def page(plan: Drawing) -> str:
    """The page of a plan: template, style, program and data in one text."""
    files = resources.files("minigrad.graph")
    text = files.joinpath("page.html").read_text(encoding="utf-8")
    for place, name in (("/*CSS*/", "page.css"), ("/*JS*/", "page.js")):
        text = text.replace(place, files.joinpath(name).read_text(encoding="utf-8"))
    data = json.dumps(_data(plan), ensure_ascii=False, separators=(",", ":"))
    # Inside a script element, only this character could end it; JSON knows it by its number too.
    return text.replace("/*DATA*/", data.replace("<", "\\u003c"))


def _data(plan: Drawing) -> dict[str, Any]:
    groups = [plan.root, *plan.root.groups()]
    boxes = list(plan.root.boxes())
    index: dict[Box | Group, int] = {box: i for i, box in enumerate(boxes)}
    index.update({group: len(boxes) + i for i, group in enumerate(groups)})
    home = {child: group for group in groups for child in group.children if isinstance(child, Box)}
    kinds = {box.look for box in boxes} | ({"module"} if len(groups) > 1 else set())
    return {
        "boxes": [_box(box, home[box], plan.show) for box in boxes],
        "groups": [
            _group(group, plan.show) | {"children": [index[child] for child in group.children]}
            for group in groups
        ],
        "lines": [
            [index[tail], index[head], int((tail, head) in plan.again)] for tail, head in plan.lines
        ],
        "closed": [i for i, group in enumerate(groups) if group.closed],
        "looks": {
            kind: {"fill": look.fill, "line": look.line, "title": look.title}
            for kind, look in LOOKS.items()
        },
        "legend": sorted(kinds),
        "broken": {mark: list(colours) for mark, colours in BROKEN.items()},
        "fills": MODULE_FILLS,
        "remarks": [clean(remark) for remark in plan.remarks],
        "direction": plan.direction,
    }


def _box(box: Box, group: Group, show: tuple[str, ...]) -> dict[str, Any]:
    module = box.module or _module(group)
    rows: list[list[Any]] = [
        ["kind", LOOKS[box.look].title],
        ["module", module],
        ["shape", shape_text(box)],
        ["dtype", box.dtype],
        ["elements", f"{size(box):,}" if box.kind == "parameter" else ""],
        ["arguments", box.arguments],
        ["values", str(box.values) if box.values is not None else ""],
        ["gradient", f"norm {box.gradient_norm:.3g}" if box.gradient_norm is not None else ""],
        ["kept", readable_bytes(box.bytes) if box.bytes else ""],
        ["time", time_text(box.seconds, box.backward_seconds) if box.seconds is not None else ""],
        ["line", str(box.line) if box.line is not None else ""],
        ["", box.line.text if box.line is not None else "", 1],
    ]
    histogram = box.values.histogram if box.values is not None else []
    found: dict[str, Any] = {
        "kind": box.kind,
        "look": box.look,
        "name": clean(short_name(box, group)) or " ",
        "full": clean(box.name) or " ",
        "module": clean(module),
        "mark": box.mark,
        "lines": [clean(line) for line in details(box, show)],
        "details": [[label, clean(text), *code] for label, text, *code in rows if text],
    }
    if histogram:
        found["values"] = histogram
        if "values" in show:
            found["histogram"] = histogram
    return found


def _module(group: Group | None) -> str:
    """The module that a group belongs to, as "path: Class"."""
    while group is not None and (group.kind == "repeated" or not (group.path or group.kind)):
        group = group.parent
    return "" if group is None else ": ".join(filter(None, (group.path, group.kind)))


def _group(group: Group, show: tuple[str, ...]) -> dict[str, Any]:
    boxes = list(group.boxes())
    operators = sum(box.kind == "operator" for box in boxes)
    marks = {box.mark for box in boxes}
    lines = [clean(line) for line in group_details(group, show)]
    rows = [["path", group.name], ["class", group.kind], ["operators", f"{operators:,}"]]
    rows += [["", line] for line in lines]
    return {
        "name": clean(group.name),
        "kind": clean(group.kind),
        "count": group.count,
        "level": group.level,
        "depth": group.depth,
        "mark": "first" if "first" in marks else "after" if "after" in marks else "",
        "lines": lines,
        "details": [[label, clean(text)] for label, text in rows if text],
    }
