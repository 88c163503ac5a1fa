"""The history of some tensors as a graph to draw: the first step of every picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.engine.backward import edges_towards, reachable
from minigrad.engine.node import FREED, Leaf, Node, ShapeDtype
from minigrad.engine.parameter import Parameter
from minigrad.engine.printable import each_setting, shortened
from minigrad.engine.tape import GradientTape
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import flatten
from minigrad.graph.nodes import Graph, GraphNode, Kind


def graph_of(target: Any, params: Mapping[str, Any] | None, between: Any = None) -> Graph:
    """The graph of everything the target was computed from; see :func:`minigrad.make_dot`.

    Raises TypeError if something is not a tensor, ValueError for a tensor without history.
    """
    outputs = _named_outputs(target)
    roots = [tensor._node for _, tensor in outputs if tensor._node is not None]
    if not roots:
        raise ValueError(
            "make_dot: the target has no history, so there is nothing to draw. Compute it from "
            "tensors with requires_grad=True (Parameters are) or watched by an open tape, "
            "outside no_grad()"
        )
    builder = _Builder(reachable(roots), params or {}, between)
    graph = builder.graph
    for node in builder.history:
        if not isinstance(node, Leaf) and node in builder.wanted:
            builder.add_operator(node)
    for name, tensor in outputs:
        source = tensor._node
        if source is None or source not in builder.wanted:
            continue
        output = GraphNode("output", name, tensor.shape, str(tensor.dtype))
        output.inputs.append(builder.drawn(source))
        graph.nodes.append(output)
        if not isinstance(target, GradientTape):
            graph.arrays[output] = tensor._data
    unknown = [n for n in graph.nodes if n.kind == "input" and n.shape is None]
    constants = [(str(name), t) for name, t in (params or {}).items() if t._node is None]
    if len(unknown) == len(constants) == 1:  # a backward pass has left nothing else to tell it by
        (only,), ((name, tensor),) = unknown, constants
        only.name, only.shape, only.dtype = name, tensor.shape, str(tensor.dtype)
    for rank, drawn in enumerate(graph.nodes, 1):
        drawn.id = f"{drawn.kind}{rank}"
    return graph


def _named_outputs(target: Any) -> list[tuple[str, Tensor]]:
    """The targets with the names they are drawn with."""
    if isinstance(target, GradientTape):
        target = ends_of(target.nodes)
        if not target:
            raise ValueError("make_dot: this tape has recorded nothing yet")
    if isinstance(target, Mapping):
        named = [(str(name), one) for name, one in target.items()]
    else:
        tensors = flatten(target)
        named = [(f"output {i}", tensor) for i, tensor in enumerate(tensors)]
        if len(tensors) == 1:
            named = [("output", tensors[0])]
    for _, one in named:
        if not isinstance(one, Tensor):
            raise TypeError(
                f"make_dot: expected a tensor, a list or a dict of tensors, or a tape, "
                f"got {type(one).__name__}"
            )
    return named


def ends_of(nodes: list[Node]) -> list[Tensor]:
    """Tensors for the nodes that no other one uses; only their shape and dtype are drawn."""
    used = {parent for node in nodes for parent in node.parents}
    last = [node for node in dict.fromkeys(nodes) if node not in used]
    return [Tensor(np.broadcast_to(np.zeros((), n.dtype), n.shape), n) for n in last]


class _Builder:
    """Makes nodes of the graph from nodes of the history, each once."""

    def __init__(self, history: list[Node], params: Mapping[str, Any], between: Any) -> None:
        self.graph = Graph()
        self.history = history
        #: The user's names, of nodes and of the identities of arrays.
        self.name_of: dict[Node | int, str] = {}
        for name, tensor in params.items():
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"make_dot: params maps names to tensors, got {type(tensor).__name__} for "
                    f"{name!r}; use dict(model.named_parameters())"
                )
            self.name_of.setdefault(tensor._node or id(tensor._data), str(name))
        #: Whether parameters can be told by their class: a plain tensor is then an input.
        self.has_parameters = any(
            isinstance(node, Leaf) and _is_parameter(node) for node in history
        )
        #: The part to draw.
        self.wanted = set(history) if between is None else self._between(between)

    def add_operator(self, node: Node) -> None:
        """Add an operator, and what it uses that is not there yet."""
        drawn = GraphNode("operator", node.shown, node.shape, str(node.dtype), node.scope)
        details = [
            f"{key}={_value_text(value)}" for key, value in each_setting(node.metadata).items()
        ]
        saved = None if node.saved is FREED or node.saved is None else node.saved[1:]
        parameters = sum(isinstance(p, Leaf) and p.trainable for p in node.parents)
        for i, parent in enumerate(node.parents):
            if parent is not None:
                drawn.inputs.append(self.drawn(parent))
                continue
            kept = None if saved is None else saved[i]
            if kept is None and parameters == len(node.parents) - 1:
                # Nothing is known of this input, yet an operator without inputs looks wrong.
                kept = ShapeDtype((), None)
            constant = self._constant(kept)
            if constant is not None:
                drawn.inputs.append(constant)
            elif kept is not None:
                details.append(_value_text(kept))
        drawn.arguments = ", ".join(details)
        self._add(drawn, node)

    def drawn(self, node: Node) -> GraphNode:
        """The node of the graph for a node of the history; new if it is a leaf or outside."""
        if node in self.graph.of_node:
            return self.graph.of_node[node]
        if isinstance(node, Leaf):
            name = self.name_of.get(node) or node.name
            named = _is_parameter(node) or (bool(name) and not self.has_parameters)
            kind: Kind = "parameter" if node.trainable and named else "input"
        else:
            kind, name = "input", f"result of {node.shown}"
        return self._add(GraphNode(kind, name or kind, node.shape, str(node.dtype)), node)

    def _constant(self, kept: Any) -> GraphNode | None:
        """A node for an input without history; None for a number, which needs no node."""
        name = ""
        if isinstance(kept, np.ndarray):
            name = self.name_of.get(id(kept), "")
            if kept.size == 1 and not name:
                return None
        elif not isinstance(kept, ShapeDtype):
            return None
        if id(kept) not in self.graph.of_array:
            known = kept.dtype is not None
            # The first is the input of the model; others it made itself, such as dropout's mask.
            name = name or ("constant" if self.graph.nodes else "input")
            shape, dtype = (kept.shape, str(kept.dtype)) if known else (None, "")
            node = GraphNode("input", name, shape, dtype)
            self.graph.of_array[id(kept)] = node
            self.graph.arrays[node] = kept
            self.graph.nodes.append(node)
        return self.graph.of_array[id(kept)]

    def _add(self, drawn: GraphNode, node: Node) -> GraphNode:
        self.graph.of_node[node] = drawn
        self.graph.nodes.append(drawn)
        return drawn

    # -- a part of the graph -----------------------------------------------------------------------

    def _between(self, between: Any) -> set[Node]:
        """The nodes on a path from the first to the second."""
        start, end = map(self._end_nodes, between)
        after = edges_towards(set(start), self.history, None)
        wanted = {*start, *after}.intersection(reachable(end))
        if isinstance(between[0], Tensor):
            wanted.difference_update(start)  # the picture begins with it, not with how it was made
        if not wanted:
            first, second = (
                repr(one) if isinstance(one, str) else f"the tensor of shape {one.shape}"
                for one in between
            )
            raise ValueError(
                f"make_dot: there is no way from {first} to {second}. Is their order right? "
                f"mg.explain(to, from) says more"
            )
        return wanted

    def _end_nodes(self, end: Any) -> list[Node]:
        """The nodes that one end of ``between`` names."""
        if isinstance(end, Tensor):
            if end._node is None or end._node not in self.history:
                raise ValueError(
                    f"make_dot: the target was not computed from the tensor of shape {end.shape} "
                    f"in between"
                )
            return [end._node]
        if not isinstance(end, str):
            raise TypeError(f"make_dot: between takes tensors or paths, got {type(end).__name__}")
        found: list[Node] = []
        for node in self.history:
            path = node.scope.path
            if isinstance(node, Leaf):
                path = self.name_of.get(node) or node.name
            if path == end or path.startswith(f"{end}."):
                found.append(node)
        if not found:
            paths = sorted({node.scope.path for node in self.history if node.scope})
            raise ValueError(
                f"make_dot: there is no module or parameter {end!r} in this graph; it has "
                f"{', '.join(paths[:12]) or 'no modules'}"
            )
        return found


def _is_parameter(leaf: Leaf) -> bool:
    return bool(leaf.name) or isinstance(leaf.owner(), Parameter)


def _value_text(value: Any) -> str:
    """Metadata or a constant in a few characters."""
    if isinstance(value, (np.ndarray, np.generic)):
        if value.size != 1:
            return f"{value.dtype} {value.shape}"
        value = value.item()
    if isinstance(value, (tuple, list)) and any(isinstance(v, np.ndarray) for v in value):
        return f"({', '.join(map(_value_text, value))})"
    return f"{value:.4g}" if isinstance(value, float) else shortened(repr(value))
