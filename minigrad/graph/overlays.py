"""What a picture shows of each operator beyond its name: values, gradients, bytes, time, line.

It comes from what ``mg.observe`` noted, and from the arrays that the history still keeps. NaN and
infinities are marked in any case.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.debug.profile import Observation
from minigrad.debug.statistics import Statistics, euclidean_norm, is_finite
from minigrad.debug.tape_table import kept_bytes
from minigrad.engine.node import FREED, Leaf, Node
from minigrad.graph.nodes import Graph, GraphNode

OVERLAYS = ("values", "gradients", "bytes", "time", "line", "shapes")


def add_overlays(graph: Graph, show: tuple[str, ...]) -> str:
    """Write what is known into the nodes; returns a remark on what is not known."""
    arrays = _known_arrays(graph)
    _mark_broken(graph, arrays)
    count_new = kept_bytes()
    for node, drawn in graph.of_node.items():
        drawn.seen = replace(node.seen or Observation())
        if drawn.kind == "operator" and node.saved is not FREED:
            drawn.bytes = count_new(node)
        if isinstance(node, Leaf) and node.grad is not None and "gradients" in show:
            drawn.seen.gradient_norm = euclidean_norm(node.grad._data)
    for drawn in graph.nodes:
        if "values" not in show:
            drawn.seen.values = None
        elif drawn in arrays and drawn.seen.values is None:
            drawn.seen.values = Statistics(arrays[drawn])
    return _remark(graph, show)


def _known_arrays(graph: Graph) -> dict[GraphNode, Any]:
    """Values that still exist: kept by the operator itself or by one that uses its result."""
    found: dict[GraphNode, Any] = {
        drawn: array for drawn, array in graph.arrays.items() if isinstance(array, np.ndarray)
    }
    for node, drawn in graph.of_node.items():
        if isinstance(node, Leaf):
            owner = node.owner()
            if owner is not None:
                found[drawn] = owner._data
            continue
        for i, array in enumerate(() if node.saved is FREED else node.saved or ()):
            source: Node | None = node.parents[i - 1] if i else node
            if isinstance(array, np.ndarray) and source in graph.of_node:
                found.setdefault(graph.of_node[source], array)
    for drawn in graph.nodes:
        if drawn.kind == "output" and drawn in found:
            found.setdefault(drawn.inputs[0], found[drawn])
    return found


def _mark_broken(graph: Graph, arrays: dict[GraphNode, Any]) -> None:
    """Mark where a NaN or an infinity is known to appear first, and where it spread."""
    seen = {drawn: node.seen for node, drawn in graph.of_node.items() if node.seen is not None}
    for node in graph.nodes:
        values = seen[node].values if node in seen else None
        if values is not None:
            is_broken: bool | None = not values.finite
        elif node in arrays:
            is_broken = not is_finite(arrays[node])
        else:
            is_broken = None
        reached = any(source.mark for source in node.inputs)
        if is_broken or (is_broken is None and reached):
            node.mark = "after" if reached else "first"


def _remark(graph: Graph, show: tuple[str, ...]) -> str:
    seen = [node.seen for node in graph.nodes if node.kind == "operator"]
    fields = {"values": "values", "gradients": "gradient_norm", "time": "seconds", "line": "line"}
    missing = [
        name
        for name in show
        if name in fields and all(getattr(one, fields[name]) is None for one in seen)
    ]
    if not missing:
        return ""
    return f"{', '.join(missing)}: run the computation inside `with mg.observe():` to see them"
