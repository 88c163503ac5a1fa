"""The backward pass: cotangents flow from targets to sources, latest operation first.

A node's number is larger than those of its inputs, so going through the nodes by falling number
meets every use of a value before the value itself. There is no recursion, and each node is
visited once however many paths lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.node import FREED, STATE, Leaf, Node, Scope, ShapeDtype
from minigrad.kernels.scratch import keep_freed
from minigrad.kernels.sums import total

Inside = Callable[[Node], bool]


def reachable(roots: Iterable[Node], inside: Inside | None = None) -> list[Node]:
    """All nodes that the roots were made from, oldest first.

    ``inside`` tells which nodes to look behind; the others are listed as ends.
    """
    stack = list(roots)
    seen = set(stack)
    while stack:
        node = stack.pop()
        if inside is None or inside(node):
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
    return sorted(seen, key=_number)


def _number(node: Node) -> int:
    return node.number


def backward(
    seeds: Iterable[tuple[Node, Any]],
    sources: Iterable[Node] | None,
    *,
    inside: Inside | None = None,
    tensor: Callable[[Any, Node | None], Any] | None = None,
    release: bool = False,
) -> dict[Node, Any]:
    """The cotangent of each source that has one; of every trainable leaf if sources is None.

    ``seeds``: pairs of a node and its cotangent. ``inside``: the part of history to go through.
    ``tensor``: given to have the pass itself recorded, for higher orders; it makes a tensor of
    an array and its node, the rules then run on tensors, in scopes that the caller must undo.
    ``release``: drop what the nodes kept.
    """
    keep_freed()
    seeds = list(seeds)
    order = reachable((node for node, _ in seeds), inside)
    ends = set(_trainable(order) if sources is None else sources)

    # Forwards: which inputs of which nodes lead to a source.
    needed = set(ends)
    wanted: dict[Node, list[tuple[int, Node]]] = {}
    for node in order:
        if node.parents and (inside is None or inside(node)):
            leading = [(i, p) for i, p in enumerate(node.parents) if p is not None and p in needed]
            if leading:
                needed.add(node)
                wanted[node] = leading

    # Backwards: every cotangent is complete when its node comes up.
    cotangents: dict[Node, Any] = {}
    for node, g in seeds:
        cotangents[node] = cotangents[node] + g if node in cotangents else g
    # Arrays that this pass made by adding, and may therefore add to in place.
    own: set[Node] = set()
    found: dict[Node, Any] = {}
    state = STATE.get()
    inspect = state.inspect
    apply = _apply_rules if inspect is None else partial(inspect.backward, _apply_rules)
    for node in reversed(order):
        g = cotangents.pop(node, None)
        if g is None:
            continue
        if node in ends:
            found[node] = g
        hits = wanted.get(node)
        if hits is None:
            if inspect is not None:  # it is shown the cotangents of leaves, too
                inspect.backward(lambda *_: [], node, [], g, tensor)
            continue
        if tensor is not None:
            # Whoever draws the history can then tell derivatives from what the user computed.
            STATE.set(state.replace(scope=Scope.of(node.scope).gradient()))
        for (_, parent), h in zip(hits, apply(node, hits, g, tensor), strict=True):
            if h is None:
                continue
            h = _fit(h, parent, node, tensor is not None)
            before = cotangents.get(parent)
            if before is None:
                cotangents[parent] = h
            elif parent in own:
                np.add(before, h, out=before)
            else:
                cotangents[parent] = total = before + h
                if tensor is None and type(total) is np.ndarray:
                    own.add(parent)
        if release:
            # At once: what the later rules allocate then takes the place of what is done with.
            node.saved = FREED
    if release:
        for node in order:
            if node.parents and (inside is None or inside(node)):
                node.saved = FREED
    return found


def _trainable(nodes: list[Node]) -> list[Node]:
    return [n for n in nodes if type(n) is Leaf and n.trainable]


def _apply_rules(
    node: Node,
    hits: list[tuple[int, Node]],
    g: Any,
    tensor: Callable[[Any, Node | None], Any] | None,
) -> list[Any]:
    """The cotangents of those inputs of a node that are asked for."""
    if node.saved is FREED:
        raise RuntimeError(_freed(node))
    if node.saved is not None:
        _check_current(node, node.saved)
    op = node.op
    arguments = _arguments(node, tensor)
    if op.vjp_all is not None:
        together: list[Any] = op.vjp_all(g, [i for i, _ in hits], *arguments, **node.metadata)
        return together
    rules = [op.rule(i) for i, _ in hits] if op.variadic else [op.rules[i] for i, _ in hits]
    return [rule and rule(g, *arguments, **node.metadata) for rule in rules]


def _arguments(node: Node, tensor: Callable[[Any, Node | None], Any] | None) -> list[Any]:
    """(output, input 0, input 1, ...) as a rule wants them: an array, or a spec, or None."""
    saved = node.saved
    if saved is None:
        return [node, *node.parents]
    ans = saved[0]
    if tensor is None:
        found = [node if ans is None else ans]
        for array, parent in zip(saved[1:], node.parents, strict=True):
            found.append(parent if array is None else array)
        return found
    found = [node if ans is None else tensor(ans, node)]
    for array, parent in zip(saved[1:], node.parents, strict=True):
        if array is None:
            found.append(parent)
        elif parent is None or isinstance(array, ShapeDtype):
            found.append(array)
        else:
            found.append(tensor(array, parent))
    return found


def _fit(h: Any, parent: Node, node: Node, recorded: bool) -> Any:
    """Check a rule's result against its input: undo broadcasting, keep the dtype."""
    if not recorded and not isinstance(h, (np.ndarray, np.generic)):
        # A rule that calls one of our own operators on plain arrays gets a constant tensor.
        h = h._data if hasattr(h, "_data") else np.asarray(h)
    if h.shape != parent.shape:
        h = _unbroadcast(h, parent.shape, node)
    if h.dtype != parent.dtype:
        h = h.astype(parent.dtype)
    return h


def _unbroadcast(h: Any, shape: tuple[int, ...], node: Node) -> Any:
    """Sum over the axes along which an input of this shape was repeated."""
    extra = h.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, h.shape[extra:], strict=True)):
        raise RuntimeError(
            f"{node.op.name}: its derivative rule gave shape {h.shape} for an input of shape "
            f"{shape}; a rule returns the shape of its input, or one that it broadcasts to"
        )
    stretched = [i + extra for i, n in enumerate(shape) if n == 1 and h.shape[i + extra] != 1]
    h = total(h, (*range(extra), *stretched))
    return np.reshape(h, shape) if stretched else h


def place(node: Node) -> str:
    """Name the operator and its module path, for messages."""
    return f"{node.op.name} in {node.scope}" if node.scope else node.op.name


def _freed(node: Node) -> str:
    return (
        f"the graph has been used up: what {place(node)} kept for the backward pass was released "
        f"by an earlier one. Compute the value again, or keep the graph with "
        f"backward(retain_graph=True) or GradientTape(persistent=True)"
    )


def _check_current(node: Node, saved: tuple[Any, ...]) -> None:
    """Refuse a node whose rules would read a leaf that was written since, asked for or not."""
    together = node.op.vjp_all is not None  # may read its inputs again although it kept none
    for array, leaf in zip(saved[1:], node.parents, strict=True):
        if type(leaf) is Leaf and leaf.assigned > node.number and (together or array is not None):
            name = f"parameter {leaf.name!r}" if leaf.name else f"a leaf of shape {leaf.shape}"
            raise RuntimeError(
                f"{name} was updated in place after {place(node)} recorded it, so the gradient "
                f"would mix old and new values. Take the gradient before the update, or compute "
                f"the value again after it"
            )
