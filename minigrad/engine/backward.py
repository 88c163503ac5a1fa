"""The backward pass: cotangents flow from targets to sources, latest operation first.

A node's number is larger than those of its inputs, so going through the nodes by falling number
meets every use of a value before the value itself. There is no recursion, and each node is
visited once however many paths lead to it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

import numpy as np

from minigrad.engine.hooks import ApplyRules, Edges
from minigrad.engine.node import FREED, STATE, Leaf, Node, ShapeDtype
from minigrad.engine.rows import Rows
from minigrad.kernels import current as kernels, lent
from minigrad.operators.indexing import Placed

#: Tells whether a node belongs to the part of history that a pass goes through.
InTape: TypeAlias = Callable[[Node], bool]
#: Makes a tensor of an array and its node.
MakeTensor: TypeAlias = Callable[[Any, Node | None], Any]
by_number = attrgetter("number")


class Reducer(Protocol):
    """What replaces gradients of leaves, such as by their mean over several processes.

    It is told of each gradient as soon as it is complete, while the backward pass goes on.
    """

    def begin(self, leaves: set[Node], *, accumulate: bool, recorded: bool) -> Iterable[Node]:
        """A pass begins that ends at these leaves; returns those whose gradients are wanted.

        ``accumulate``: it is one of ``backward()``, which adds to ``.grad``. ``recorded``: it is
        recorded itself, for higher orders.
        """
        ...

    def ready(self, leaf: Node, g: Any) -> None:
        """The gradient of a wanted leaf is complete."""
        ...

    def finish(self, sums: dict[Node, Any]) -> None:
        """The pass is over: put tensors in place of its gradients."""
        ...


#: Those who are asked to take part in every ``backward()`` and ``tape.gradient()``. They are held
#: weakly, and who adds one takes out the dead ones: a collection, which may begin while the list is
#: copied, must not shorten it.
REDUCERS: list[weakref.ref[Reducer]] = []
Reducers: TypeAlias = Sequence[weakref.ref[Reducer]]


def backward(
    seeds: Sequence[tuple[Node, Any]],
    sources: Iterable[Node] | None,
    *,
    in_tape: InTape | None = None,
    tensor: MakeTensor | None = None,
    release: bool = False,
    reducers: Reducers = (),
) -> dict[Node, Any]:
    """The cotangent of each source that has one; of every trainable leaf if sources is None.

    ``seeds``: pairs of a node and its cotangent, or ``Rows`` of several. ``in_tape``: the part of
    history to go through. ``tensor``: given to have the pass itself recorded, for higher orders;
    the rules then run on tensors that it makes, and set scopes that the caller must restore.
    ``release``: drop what a node saved as soon as its rules have run, so that later rules can reuse
    the memory. ``reducers``: who may replace the gradients of leaves; see :class:`Reducer`.
    """
    lent.keep_freed()
    order = reachable(dict(seeds), in_tape)
    ends: set[Node] = (
        {n for n in order if type(n) is Leaf and n.trainable} if sources is None else {*sources}
    )
    needed = edges_towards(ends, order, in_tape)
    grads = Accumulator(recorded=tensor is not None)
    for node, g in seeds:
        if node in needed or node in ends:
            grads.add(node, g)
    sums, state = grads.sums, STATE.get()
    hook = state.hook
    several = bool(seeds) and isinstance(seeds[0][1], Rows)
    apply: ApplyRules = _apply_to_rows if several else _apply_rules
    if hook is not None:
        apply = partial(hook.backward, partial(_apply_in_full, apply))
    taking_part = [r for ref in reducers if (r := ref()) is not None] if reducers else []
    tell = None
    if taking_part:
        how = {"accumulate": sources is None, "recorded": tensor is not None}
        wanted = {leaf: r for r in taking_part for leaf in r.begin(ends, **how)}
        tell = _telling(wanted, needed, sums)
    lends = tensor is None and hook is None and not several and not taking_part
    h = found = None
    try:
        for node in reversed(needed):
            # Complete by now. That of a source stays where it is, because it is a result.
            g = sums.get(node) if node in ends else sums.pop(node, None)
            if g is None:
                continue
            spent = lends and node.op.spends and g.nbytes >= lent.LARGE
            if spent:
                h = found = None  # which may hold g
                lent.lend(g)
            if tensor is not None:
                # Whoever draws the history can then tell derivatives from what the user computed.
                STATE.set(state.replace(scope=node.scope.gradient()))
            edges = needed[node]
            found = zip(edges, apply(node, edges, g, tensor), strict=True)
            if spent:
                lent.lend(None)
            if release:
                node.saved = FREED
            for (_, parent), h in found:
                if h is not None:
                    if h.shape != parent.shape or h.dtype != parent.dtype:
                        h = match_input(h, parent, node)
                    if parent in sums or type(h) is Placed:
                        grads.add(parent, h)
                    else:  # the first to come, as most are: a call less for each
                        sums[parent] = h
            if tell is not None:
                tell(edges)
    finally:
        lent.lend(None)
    if hook is not None:
        for node, g in sums.items():
            if node not in needed:  # a leaf, which has no rules
                hook.backward(lambda *_: [], node, (), g, tensor)
    for reducer in taking_part:
        reducer.finish(sums)
    if release:
        for node in order:  # also those that no cotangent has reached
            if node.parents and (in_tape is None or in_tape(node)):
                node.saved = FREED
    return sums


def reachable(roots: Iterable[Node], in_tape: InTape | None = None) -> list[Node]:
    """The roots and all nodes that they were made from, oldest first.

    ``in_tape`` tells which nodes to follow to their inputs; the others are listed, not followed.
    """
    stack = list(roots)
    seen = set(stack)
    while stack:
        node = stack.pop()
        if in_tape is None or in_tape(node):
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    if parent.parents:
                        stack.append(parent)
    return sorted(seen, key=by_number)


def edges_towards(
    sources: set[Node], order: list[Node], in_tape: InTape | None
) -> dict[Node, list[tuple[int, Node]]]:
    """For each node that was made from a source, the inputs that lead to a source."""
    leading = set(sources)
    needed: dict[Node, list[tuple[int, Node]]] = {}
    for node in order:
        if node.parents and (in_tape is None or in_tape(node)):
            for i, parent in enumerate(node.parents):
                if parent is not None and parent in leading:
                    needed.setdefault(node, []).append((i, parent))
            if node in needed:
                leading.add(node)
    return needed


class Accumulator:
    """Adds up the cotangents of each node: in place, where this pass has made the array itself."""

    __slots__ = ("_recorded", "_writable", "sums")

    def __init__(self, recorded: bool) -> None:
        self.sums: dict[Node, Any] = {}
        self._recorded = recorded
        self._writable: set[Node] = set()

    def add(self, node: Node, g: Any) -> None:
        """Add the cotangent that comes from one use of this node."""
        before = self.sums.get(node)
        if type(g) is Placed:
            self._place(node, before, g)
        elif before is None:
            self.sums[node] = g
        elif node in self._writable:
            np.add(before, g, out=before)
        else:
            self.sums[node] = both = before + g
            if not self._recorded and type(both) is np.ndarray:
                self._writable.add(node)

    def _place(self, node: Node, before: Any, g: Placed) -> None:
        """Add the cotangent of a slice, where the slice was."""
        if node not in self._writable:
            shape, dtype = g.shape, g.dtype
            before = np.zeros(shape, dtype) if before is None else before.astype(dtype)
            self._writable.add(node)
        self.sums[node] = g.added_to(before)


def _telling(
    wanted: dict[Node, Reducer], needed: Mapping[Node, Edges], sums: dict[Node, Any]
) -> Callable[[Edges], None]:
    """What tells the reducers which gradients are complete, after the rules of each node.

    A gradient is complete when the rules of all nodes that use the leaf have run. If one of those
    has no cotangent, its rules do not run, and the reducer finds the gradient at the end.
    """
    uses = Counter(p for edges in needed.values() for _, p in edges if p in wanted)

    def tell(edges: Edges) -> None:
        for _, parent in edges:
            if parent in uses:
                uses[parent] -= 1
                if not uses[parent] and parent in sums:
                    wanted[parent].ready(parent, sums[parent])

    return tell


def _apply_rules(node: Node, edges: Edges, g: Any, tensor: MakeTensor | None) -> list[Any]:
    """The cotangents of these inputs of a node."""
    op = node.op
    arguments = _arguments(node, tensor)
    found = []
    if op.vjp_all is not None:
        found = op.vjp_all(g, [i for i, _ in edges], *arguments, **node.metadata)
    else:
        for i, _ in edges:
            rule = op.rules[i]
            found.append(rule and rule(g, *arguments, **node.metadata))
    if tensor is None:
        for at, h in enumerate(found):
            if type(h) is not np.ndarray and type(h) is not Placed:
                found[at] = _as_plain(h)
    return found


def _apply_in_full(apply: ApplyRules, *arguments: Any) -> list[Any]:
    """The cotangents as whole arrays, for hooks, which look at them."""
    return [h._data if type(h) is Placed else h for h in apply(*arguments)]


def _apply_to_rows(node: Node, edges: Edges, g: Any, tensor: MakeTensor | None) -> list[Any]:
    """``_apply_rules`` for many cotangents: all together, or one by one where a rule cannot."""
    try:
        found = _apply_rules(node, edges, g, tensor)
    except Exception:  # noqa: BLE001 (whatever it is, the rule raises it again if it is its own)
        each = [_apply_rules(node, edges, g.stack[i, ...], tensor) for i in range(len(g.stack))]
        return [None if h[0] is None else Rows(np.stack(h)) for h in zip(*each, strict=True)]
    return [h if h is None or isinstance(h, Rows) else g.repeated(h) for h in found]


def _arguments(node: Node, tensor: MakeTensor | None) -> list[Any]:
    """(output, input 0, input 1, ...): each an array, or only a shape and dtype, or None.

    Raises RuntimeError if a rule would read a leaf that was written in place after the node was
    recorded, even when the gradient by that leaf was not asked for.
    """
    saved = node.saved
    if saved is None:
        return [node, *node.parents]
    if saved is FREED:
        raise RuntimeError(
            f"the graph has been used up: what {node.place} kept for the backward pass was "
            f"released by an earlier one. Compute the value again, or keep the graph with "
            f"backward(retain_graph=True) or GradientTape(persistent=True)"
        )
    ans = saved[0]
    found = [node if ans is None else ans if tensor is None else tensor(ans, node)]
    # Such a rule may read inputs that it did not save.
    together = node.op.vjp_all is not None and not node.op.variadic
    for array, parent in zip(saved[1:], node.parents, strict=True):
        read = together or array is not None
        if read and type(parent) is Leaf and parent.assigned > node.number:
            raise RuntimeError(_out_of_date(node, parent))
        if array is None:
            found.append(parent)
        elif tensor is None or parent is None or isinstance(array, ShapeDtype):
            found.append(array)
        else:
            found.append(tensor(array, parent))
    return found


def _as_plain(h: Any) -> Any:
    """The array that a rule returned; a rule that calls our operators returns a constant tensor."""
    if h is None or isinstance(h, (np.generic, Rows)):
        return h
    return h._data if hasattr(h, "_data") else np.asarray(h)


def match_input(h: Any, parent: Node, node: Node) -> Any:
    """The cotangent that a rule of ``node`` returned, in the shape and dtype of the input."""
    if h.shape != parent.shape:
        h = _unbroadcast(h, parent.shape, node)
    if h.dtype == parent.dtype:
        return h
    return (h._data if type(h) is Placed else h).astype(parent.dtype)


def _unbroadcast(h: Any, shape: tuple[int, ...], node: Node) -> Any:
    """Sum over the axes along which an input of this shape was repeated."""
    extra = h.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, h.shape[extra:], strict=True)):
        raise RuntimeError(
            f"{node.op.shown}: its derivative rule gave shape {h.shape} for an input of shape "
            f"{shape}; a rule returns the shape of its input, or one that it broadcasts to"
        )
    stretched = [i + extra for i, n in enumerate(shape) if n == 1 and h.shape[i + extra] != 1]
    h = kernels.total(h, (*range(extra), *stretched))
    return np.reshape(h, shape) if stretched else h


def _out_of_date(node: Node, leaf: Leaf) -> str:
    name = f"parameter {leaf.name!r}" if leaf.name else f"a leaf of shape {leaf.shape}"
    return (
        f"{name} was updated in place after {node.place} recorded it, so the gradient would mix "
        f"old and new values. Take the gradient before the update, or compute the value again "
        f"after it"
    )
