"""What a picture shows: the history of some tensors as boxes, each after its inputs.

A box refers to its inputs, so the boxes are the graph. They are plain data: once they are made, no
picture keeps a node, and with it a whole history, alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from minigrad.debug.names import op_name
from minigrad.debug.statistics import Statistics
from minigrad.engine.backward import reachable
from minigrad.engine.node import FREED, Leaf, Node, Scope, ShapeDtype
from minigrad.engine.parameter import Parameter
from minigrad.engine.source_line import SourceLine
from minigrad.engine.tape import GradientTape, flatten
from minigrad.engine.tensor import Tensor

Kind = Literal["operator", "parameter", "input", "output"]


class Box:
    """An operator, a parameter, an input or an output."""

    __slots__ = (
        "arguments", "backward_seconds", "bytes", "dtype", "gradient_norm", "id", "inputs", "kind",
        "line", "mark", "module", "name", "scope", "seconds", "shape", "values",
    )  # fmt: skip

    def __init__(
        self, kind: Kind, name: str, shape: tuple[int, ...] | None, dtype: str, scope: str = ""
    ) -> None:
        self.kind = kind
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.scope = Scope.of(scope)
        self.id = ""
        self.inputs: list[Box] = []
        self.arguments = ""
        #: "path: Class" of a module that consists of this operator alone.
        self.module = ""
        #: "first" where a NaN or an infinity appeared, "after" where it went.
        self.mark: Literal["", "first", "after"] = ""
        self.values: Statistics | None = None
        self.gradient_norm: float | None = None
        self.bytes: int | None = None
        self.seconds: float | None = None
        self.backward_seconds: float | None = None
        self.line: SourceLine | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.shape}>"

    @property
    def look(self) -> str:
        """The kind as it is drawn: the operators of a derivative look different."""
        return "gradient" if self.kind == "operator" and self.scope.order else self.kind


class Content:
    """The boxes of a picture, and which node or array each was made from."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.of_node: dict[Node, Box] = {}
        self.of_array: dict[int, Box] = {}
        #: The arrays themselves, so that no identity is used twice while the picture is made.
        self.arrays: dict[Box, Any] = {}


def content_of(target: Any, params: Mapping[str, Any] | None, between: Any = None) -> Content:
    """The boxes of everything the target was computed from.

    ``between``: (from, to), each a tensor or the path of a module or parameter: only what lies on
    a way between the two.

    Raises TypeError for what is no tensor and ValueError for a tensor without history.
    """
    outputs = _outputs(target)
    _check_params(params)
    roots = [t._node for _, t in outputs if t._node is not None]
    if not roots:
        raise ValueError(
            "make_dot: the target has no history, so there is nothing to draw. Compute it from "
            "tensors with requires_grad=True (Parameters are) or watched by an open tape, "
            "outside no_grad()"
        )
    nodes = reachable(roots)
    names = _Names(params, nodes)
    wanted = None if between is None else _between(nodes, between, names)
    content = Content()
    for node in nodes:
        if not isinstance(node, Leaf) and (wanted is None or node in wanted):
            _operator(node, names, content, wanted)
    for name, tensor in outputs:
        source = tensor._node
        if source is None or (wanted is not None and source not in wanted):
            continue
        if isinstance(source, Leaf):
            _leaf(source, names, content)
        box = Box("output", name, tensor.shape, str(tensor.dtype))
        box.inputs.append(content.of_node[source])
        content.boxes.append(box)
        if not isinstance(target, GradientTape):
            content.arrays[box] = tensor._data
    _name_the_unknown(content, params)
    for rank, box in enumerate(content.boxes, 1):
        box.id = f"{box.kind}{rank}"
    return content


def _name_the_unknown(content: Content, params: Mapping[str, Any] | None) -> None:
    """After a backward pass nothing is known of the one constant input but what params says."""
    unknown = [box for box in content.boxes if box.kind == "input" and box.shape is None]
    given = [(str(n), t) for n, t in dict(params or {}).items() if t._node is None]
    if len(unknown) == len(given) == 1:
        ((name, tensor),) = given
        (box,) = unknown
        box.name, box.shape, box.dtype = name, tensor.shape, str(tensor.dtype)


def _outputs(target: Any) -> list[tuple[str, Tensor]]:
    """The targets with the names they are drawn with."""
    if isinstance(target, GradientTape):
        used = {parent for node in target.nodes for parent in node.parents}
        last = [node for node in target.nodes if node not in used]
        if not last:
            raise ValueError("make_dot: this tape has recorded nothing yet")
        # The values are gone or not ours to keep: only shape and dtype are drawn.
        empty = [np.broadcast_to(np.zeros((), node.dtype), node.shape) for node in last]
        return _numbered([Tensor(array, node) for array, node in zip(empty, last, strict=True)])
    if isinstance(target, Mapping):
        named = [(str(name), one) for name, one in target.items()]
    else:
        named = _numbered(flatten(target))
    for _, one in named:
        if not isinstance(one, Tensor):
            raise TypeError(
                f"make_dot: expected a tensor, a list or a dict of tensors, or a tape, "
                f"got {type(one).__name__}"
            )
    return named


def _numbered(tensors: list[Any]) -> list[tuple[str, Any]]:
    if len(tensors) == 1:
        return [("output", tensors[0])]
    return [(f"output {i}", tensor) for i, tensor in enumerate(tensors)]


def _check_params(params: Mapping[str, Any] | None) -> None:
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(
            f"make_dot: params maps names to tensors, got {type(params).__name__}; use "
            f"dict(model.named_parameters())"
        )
    for name, tensor in (params or {}).items():
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"make_dot: params maps names to tensors, got {type(tensor).__name__} for "
                f"{name!r}; use dict(model.named_parameters())"
            )


class _Names:
    """The names the user gave to tensors."""

    def __init__(self, params: Mapping[str, Any] | None, nodes: list[Node]) -> None:
        self.of_node: dict[Node, str] = {}
        self.of_array: dict[int, str] = {}
        #: Whether the parameters are told by their class: a plain tensor is then an input.
        self.has_parameters = any(
            isinstance(node, Leaf) and (node.name or isinstance(node.owner(), Parameter))
            for node in nodes
        )
        for name, tensor in dict(params or {}).items():
            if tensor._node is not None:
                self.of_node.setdefault(tensor._node, str(name))
            else:
                self.of_array.setdefault(id(tensor._data), str(name))

    def of_leaf(self, leaf: Leaf) -> str:
        """The name of a leaf: the user's, or that of the module's attribute."""
        return self.of_node.get(leaf) or leaf.name


def _operator(node: Node, names: _Names, content: Content, wanted: set[Node] | None) -> None:
    box = Box("operator", op_name(node), node.shape, str(node.dtype), node.scope)
    details = [f"{key}={_short(value)}" for key, value in node.metadata.items()]
    saved = None if node.saved is FREED or node.saved is None else node.saved[1:]
    parameters = sum(isinstance(p, Leaf) and p.trainable for p in node.parents)
    for i, parent in enumerate(node.parents):
        if isinstance(parent, Leaf):
            box.inputs.append(_leaf(parent, names, content))
        elif parent is not None:
            if wanted is not None and parent not in wanted:
                box.inputs.append(_cut(parent, content))
            else:
                box.inputs.append(content.of_node[parent])
        else:
            kept = None if saved is None else saved[i]
            if kept is None and parameters == len(node.parents) - 1:
                # Nothing is known of it, yet an operator on nothing looks wrong.
                kept = ShapeDtype((), None)
            constant = _constant(kept, names, content)
            if constant is not None:
                box.inputs.append(constant)
            elif kept is not None:
                details.append(_short(kept))
    box.arguments = ", ".join(details)
    content.of_node[node] = box
    content.boxes.append(box)


def _leaf(leaf: Leaf, names: _Names, content: Content) -> Box:
    if leaf not in content.of_node:
        name = names.of_leaf(leaf)
        own = bool(leaf.name) or isinstance(leaf.owner(), Parameter)
        is_parameter = own or (bool(name) and not names.has_parameters)
        kind: Kind = "parameter" if leaf.trainable and is_parameter else "input"
        box = content.of_node[leaf] = Box(kind, name or kind, leaf.shape, str(leaf.dtype))
        content.boxes.append(box)
    return content.of_node[leaf]


def _cut(node: Node, content: Content) -> Box:
    """A value that comes from outside the part that is drawn."""
    if node not in content.of_node:
        box = Box("input", f"result of {op_name(node)}", node.shape, str(node.dtype))
        content.of_node[node] = box
        content.boxes.append(box)
    return content.of_node[node]


def _constant(kept: Any, names: _Names, content: Content) -> Box | None:
    """A box for an input without history, or None when it is a number that needs none."""
    if isinstance(kept, np.ndarray):
        name = names.of_array.get(id(kept), "")
        if kept.size == 1 and not name:
            return None
    elif isinstance(kept, ShapeDtype):
        name = ""
    else:
        return None
    if id(kept) not in content.of_array:
        known = kept.dtype is not None
        shape = kept.shape if known else None
        # What comes first is the input of the model, the rest it made itself, as dropout's mask.
        name = name or ("constant" if content.boxes else "input")
        box = Box("input", name, shape, str(kept.dtype) if known else "")
        content.of_array[id(kept)] = box
        content.arrays[box] = kept
        content.boxes.append(box)
    return content.of_array[id(kept)]


def _short(value: Any) -> str:
    """Metadata or a constant in a few characters."""
    if isinstance(value, (np.ndarray, np.generic)):
        if value.size != 1:
            return f"{value.dtype} {value.shape}"
        value = value.item()
    if isinstance(value, (tuple, list)) and any(isinstance(v, np.ndarray) for v in value):
        return f"({', '.join(map(_short, value))})"
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def consumers(boxes: Iterable[Box]) -> dict[Box, list[Box]]:
    """Which boxes use each box, in order."""
    found: dict[Box, list[Box]] = {}
    for box in boxes:
        for source in box.inputs:
            found.setdefault(source, []).append(box)
    return found


# -- a part of the graph ---------------------------------------------------------------------------


def _between(nodes: list[Node], between: Any, names: _Names) -> set[Node]:
    """The nodes on a way from the first to the second."""
    if not isinstance(between, (tuple, list)) or len(between) != 2:
        raise TypeError(
            "make_dot: between is (from, to), each a tensor or the path of a module or parameter"
        )
    start, end = (_named(nodes, one, names) for one in between)
    after = set(start)
    for node in nodes:
        if any(parent in after for parent in node.parents if parent is not None):
            after.add(node)
    wanted = {node for node in reachable(end) if node in after}
    if isinstance(between[0], Tensor):
        wanted.difference_update(start)  # it is where the picture begins, not how it was made
    if not wanted:
        raise ValueError(
            f"make_dot: there is no way from {_label(between[0])} to {_label(between[1])}. Is "
            f"their order right? mg.explain(to, from) says more"
        )
    return wanted


def _label(end: Any) -> str:
    return repr(end) if isinstance(end, str) else f"the tensor of shape {end.shape}"


def _named(nodes: list[Node], end: Any, names: _Names) -> list[Node]:
    if isinstance(end, Tensor):
        found = [node for node in nodes if node is end._node]
        if not found:
            raise ValueError(
                f"make_dot: the target was not computed from the tensor of shape {end.shape} in "
                f"between"
            )
        return found
    if not isinstance(end, str):
        raise TypeError(f"make_dot: between takes tensors or paths, got {type(end).__name__}")
    found = []
    for node in nodes:
        path = names.of_leaf(node) if isinstance(node, Leaf) else Scope.of(node.scope).path
        if path == end or path.startswith(f"{end}."):
            found.append(node)
    if not found:
        paths = sorted({Scope.of(n.scope).path for n in nodes if n.scope})
        raise ValueError(
            f"make_dot: there is no module or parameter {end!r} in this graph; it has "
            f"{', '.join(paths[:12]) or 'no modules'}"
        )
    return found
