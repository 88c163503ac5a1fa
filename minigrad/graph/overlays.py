"""What a picture tells of each operator beyond its name: values, gradients, bytes, time, line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.debug.statistics import Statistics, is_finite
from minigrad.debug.tape_table import kept_bytes
from minigrad.engine.node import FREED, Leaf, Node
from minigrad.graph.nodes import Box, Content

OVERLAYS = ("values", "gradients", "bytes", "time", "line", "shapes")


def checked(show: Iterable[str] | str) -> tuple[str, ...]:
    """The overlays asked for. Raises ValueError for an unknown one."""
    wanted = (show,) if isinstance(show, str) else tuple(show)
    for name in wanted:
        if name not in OVERLAYS:
            raise ValueError(
                f"make_dot: show has no {name!r}; choose from {', '.join(map(repr, OVERLAYS))}"
            )
    return wanted


def annotate(content: Content, show: tuple[str, ...]) -> str:
    """Write what is known into the boxes; returns a remark on what is not known."""
    arrays = _arrays(content)
    count_new = kept_bytes()
    for node, box in content.of_node.items():
        seen = node.seen
        if seen is not None:
            box.seconds, box.backward_seconds = seen.seconds, seen.backward_seconds
            box.line = seen.line
            box.gradient_norm = seen.gradient_norm
            if "values" in show:
                box.values = seen.values
        if box.kind == "operator" and node.saved is not FREED:
            box.bytes = count_new(node)
        if isinstance(node, Leaf) and node.grad is not None and "gradients" in show:
            box.gradient_norm = float(np.linalg.norm(node.grad._data.astype(np.float64).ravel()))
    if "values" in show:
        for box, array in arrays.items():
            box.values = box.values or Statistics(array)
    _mark_broken(content, arrays)
    return _remark(content, show)


def _arrays(content: Content) -> dict[Box, Any]:
    """The values that are still there: kept by the box's own operator or by those that use it."""
    found: dict[Box, Any] = {
        box: array for box, array in content.arrays.items() if isinstance(array, np.ndarray)
    }
    for node, box in content.of_node.items():
        if isinstance(node, Leaf):
            owner = node.owner()
            if owner is not None:
                found[box] = owner._data
            continue
        for i, array in enumerate(() if node.saved is FREED else node.saved or ()):
            source: Node | None = node.parents[i - 1] if i else node
            if isinstance(array, np.ndarray) and source in content.of_node:
                found.setdefault(content.of_node[source], array)
    for box in content.boxes:
        if box.kind == "output" and box in found:
            found.setdefault(box.inputs[0], found[box])
    return found


def _mark_broken(content: Content, arrays: dict[Box, Any]) -> None:
    """Mark where a NaN or an infinity is known to appear first, and what it reached."""
    seen = {box: node.seen for node, box in content.of_node.items() if node.seen is not None}
    for box in content.boxes:
        values = seen[box].values if box in seen else None
        if values is not None:
            is_broken: bool | None = not values.finite
        elif box in arrays:
            is_broken = not is_finite(arrays[box])
        else:
            is_broken = None
        reached = any(source.mark for source in box.inputs)
        if is_broken or (is_broken is None and reached):
            box.mark = "after" if reached else "first"


def _remark(content: Content, show: tuple[str, ...]) -> str:
    operators = [box for box in content.boxes if box.kind == "operator"]
    needs = {
        "values": lambda box: box.values,
        "gradients": lambda box: box.gradient_norm,
        "time": lambda box: box.seconds,
        "line": lambda box: box.line,
    }
    missing = [
        name
        for name in show
        if name in needs and all(needs[name](box) is None for box in operators)
    ]
    if not missing:
        return ""
    return f"{', '.join(missing)}: run the computation inside `with mg.observe():` to see them"
