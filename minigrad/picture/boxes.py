"""What a picture shows: the history of some tensors as boxes, oldest first.

A box refers to its inputs, so the boxes are the graph. They are plain data: once they are made, no
picture keeps a node, and with it a whole history, alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from minigrad.backward import reachable
from minigrad.node import FREED, Leaf, Node, Spec
from minigrad.parameter import Parameter
from minigrad.tape import GradientTape, flatten
from minigrad.tensor import Tensor

Kind = Literal["operator", "parameter", "input", "output"]


class Box:
    """An operator, a parameter, an input or an output."""

    __slots__ = ("arguments", "dtype", "id", "inputs", "kind", "name", "notes", "scope", "shape")

    def __init__(
        self, kind: Kind, name: str, shape: tuple[int, ...] | None, dtype: str, scope: str = ""
    ) -> None:
        self.kind = kind
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.scope = scope
        self.id = ""
        self.inputs: list[Box] = []
        self.arguments = ""
        #: What an overlay says of it: label -> text.
        self.notes: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.shape}>"


def boxes_of(target: Any, params: Mapping[str, Any] | None) -> list[Box]:
    """The boxes of everything the target was computed from, each after its inputs.

    Raises TypeError for what is no tensor and ValueError for a tensor without history.
    """
    outputs = _outputs(target)
    names = _Names(params)
    roots = [t._node for _, t in outputs if t._node is not None]
    if not roots:
        raise ValueError(
            "make_dot: the target has no history, so there is nothing to draw. Compute it from "
            "tensors with requires_grad=True (Parameters are) or watched by an open tape, "
            "outside no_grad()"
        )
    nodes = target.nodes if isinstance(target, GradientTape) else reachable(roots)
    made: dict[Any, Box] = {}
    boxes: list[Box] = []
    for node in sorted({*nodes, *reachable(roots)}, key=lambda n: n.number):
        if not isinstance(node, Leaf):
            _operator(node, names, made, boxes)
    for name, tensor in outputs:
        box = Box("output", name, tensor.shape, str(tensor.dtype))
        source = tensor._node
        if source is not None:
            if isinstance(source, Leaf):
                _leaf(source, "", names, made, boxes)
            box.inputs.append(made[source])
            boxes.append(box)
    for rank, box in enumerate(boxes, 1):
        box.id = f"{box.kind}{rank}"
    return boxes


def _outputs(target: Any) -> list[tuple[str, Tensor]]:
    """The targets with the names they are drawn with."""
    if isinstance(target, GradientTape):
        used = {parent for node in target.nodes for parent in node.parents}
        last = [node for node in target.nodes if node not in used]
        if not last:
            raise ValueError("make_dot: this tape has recorded nothing yet")
        # The values are gone or not ours to keep: only shape and dtype are drawn.
        return [
            ("output", Tensor(np.broadcast_to(np.zeros((), node.dtype), node.shape), node))
            for node in last
        ]
    if isinstance(target, Mapping):
        named = [(str(name), one) for name, one in target.items()]
    else:
        flat = flatten(target)
        named = [("output" if len(flat) == 1 else f"output {i}", t) for i, t in enumerate(flat)]
    for _, one in named:
        if not isinstance(one, Tensor):
            raise TypeError(
                f"make_dot: expected a tensor, a list or a dict of tensors, or a tape, "
                f"got {type(one).__name__}"
            )
    return named


class _Names:
    """The names the user gave to tensors."""

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        self.of_node: dict[Node, str] = {}
        self.of_array: dict[int, str] = {}
        for name, tensor in dict(params or {}).items():
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"make_dot: params maps names to tensors, got {type(tensor).__name__} "
                    f"for {name!r}; use dict(model.named_parameters())"
                )
            if tensor._node is not None:
                self.of_node.setdefault(tensor._node, str(name))
            else:
                self.of_array.setdefault(id(tensor._data), str(name))


def _operator(node: Node, names: _Names, made: dict[Any, Box], boxes: list[Box]) -> None:
    box = Box("operator", node.op.name, node.shape, str(node.dtype), node.scope)
    details = [f"{key}={_short(value)}" for key, value in node.metadata.items()]
    saved = None if node.saved is FREED or node.saved is None else node.saved[1:]
    others = sum(isinstance(p, Leaf) and p.trainable for p in node.parents)
    for i, parent in enumerate(node.parents):
        if isinstance(parent, Leaf):
            box.inputs.append(_leaf(parent, node.scope, names, made, boxes))
        elif parent is not None:
            if parent in made:
                box.inputs.append(made[parent])
        else:
            kept = None if saved is None else saved[i]
            if kept is None and others == len(node.parents) - 1:
                kept = Spec((), None)  # nothing is known, yet an operator on nothing looks wrong
            constant = _constant(kept, names, made, boxes)
            if constant is not None:
                box.inputs.append(constant)
            elif kept is not None:
                details.append(_short(kept))
    box.arguments = ", ".join(details)
    made[node] = box
    boxes.append(box)


def _leaf(leaf: Leaf, scope: str, names: _Names, made: dict[Any, Box], boxes: list[Box]) -> Box:
    if leaf in made:
        return made[leaf]
    owner = leaf.owner()
    name = names.of_node.get(leaf, "")
    is_parameter = leaf.trainable and bool(name or leaf.name or isinstance(owner, Parameter))
    name = name or leaf.name
    kind: Kind = "parameter" if is_parameter else "input"
    box = made[leaf] = Box(kind, name or kind, leaf.shape, str(leaf.dtype), scope)
    boxes.append(box)
    return box


def _constant(kept: Any, names: _Names, made: dict[Any, Box], boxes: list[Box]) -> Box | None:
    """A box for an input without history, or None when it is a number that needs none."""
    if isinstance(kept, np.ndarray):
        key: Any = id(kept)
        name = names.of_array.get(key, "")
        if kept.size == 1 and not name:
            return None
    elif isinstance(kept, Spec):
        key, name = id(kept), ""
    else:
        return None
    if key not in made:
        known = kept.dtype is not None
        shape = kept.shape if known else None
        made[key] = Box("input", name or "input", shape, str(kept.dtype) if known else "")
        boxes.append(made[key])
    return made[key]


def _short(value: Any) -> str:
    """Metadata in a few characters."""
    if isinstance(value, np.ndarray):
        return (
            f"{value.item():.4g}" if value.size == 1 and value.dtype.kind == "f" else _array(value)
        )
    text = repr(value)
    return text if len(text) <= 24 else text[:23] + "…"


def _array(value: Any) -> str:
    return str(value.item()) if value.size == 1 else f"{value.dtype} {value.shape}"


def consumers(boxes: Iterable[Box]) -> dict[Box, list[Box]]:
    """Which boxes use each box, in order."""
    found: dict[Box, list[Box]] = {}
    for box in boxes:
        for source in box.inputs:
            found.setdefault(source, []).append(box)
    return found
