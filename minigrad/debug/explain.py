"""``mg.explain``: says in a sentence or two why a gradient is None or zero, and where.

First the reasons that need no search (an integer source, a target that is not a tensor), then a
path through the graph or the lack of one, then whether the gradient vanishes on the path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.debug.profile import DETACHMENTS, Detachment
from minigrad.engine.backward import InTape, backward, edges_towards
from minigrad.engine.hooks import ApplyRules, Edges, Hook
from minigrad.engine.node import FREED, STATE, Leaf, Node
from minigrad.engine.printable import visible
from minigrad.engine.settings import checked
from minigrad.engine.tape import GradientTape
from minigrad.engine.tensor import Tensor
from minigrad.operators.errors import with_article

#: A longer path is shown by its beginning and its end.
STEPS_SHOWN = 12


class Explanation(str):
    """A text. ``connected``: whether a gradient flows; ``path``: the operators it flows through."""

    __slots__ = ("connected", "path")

    connected: bool
    path: tuple[str, ...]

    def __new__(cls, text: str, path: Iterable[str] | None = None) -> Explanation:
        """A text about a path, or about the lack of one."""
        explanation = str.__new__(cls, visible(text))
        explanation.connected = path is not None
        explanation.path = tuple(path or ())
        return explanation

    def __repr__(self) -> str:
        return str(self)


@checked()
def explain(target: Any, source: Any, tape: GradientTape | None = None) -> Explanation:
    """Say why ``target`` has no gradient with respect to ``source``, or a zero one, and where.

    When there is a gradient, the text shows the path it takes. ``tape``: the tape that was asked;
    by default the one opened last, if it still exists.

    Where a value left the graph, and your own source lines, are known only of what ran inside
    ``with mg.observe():``. Otherwise the text lists the ways in which a value can leave.

    Raises TypeError if ``source`` is not a tensor.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> with mg.observe():
    ...     y = (mg.stop_gradient(x) * 3).sum()
    >>> mg.explain(y, x)  # doctest: +ELLIPSIS
    No gradient: ... left the graph through stop_gradient (or .detach()) at ...
    >>> mg.explain((x * 3).sum(), x)
    A gradient flows: source -> multiply -> sum -> target.
    """
    if not isinstance(source, Tensor):
        raise TypeError(
            f"explain: the source must be a tensor, got {type(source).__name__}; call it once "
            f"for each tensor, as mg.explain(target, source)"
        )
    if not isinstance(target, Tensor):
        kind = with_article(type(target).__name__)
        return _no(
            f"the target is not a tensor but {kind}: only tensors have a history",
            _latest_detachment(),
            remedy="compute with the tensor itself; NumPy's functions take it",
        )
    if source.dtype.kind != "f":
        return _no(
            f"the source is an integer tensor ({source.dtype}), and only floating-point numbers "
            f"have gradients",
            remedy="convert it first: x.astype(np.float32)",
        )
    given = tape is not None
    if tape is None and GradientTape.latest is not None:
        tape = GradientTape.latest()
    start = source._node if tape is None else tape._node_of(source) or source._node
    if start is None:
        return _no(
            "the source is not watched: it is a constant, and nothing that used it was recorded",
            "If it was computed from tracked tensors, it lost its history on the way: under "
            "no_grad(), or through stop_gradient, .detach() or .numpy()",
            remedy="make it with requires_grad=True, or call tape.watch(x) before it is used",
        )
    if target is source:
        return Explanation("A gradient flows: the target is the source itself; it is 1.", [])
    end = target._node
    if end is None and tape is not None:
        end = tape._node_of(target)
    if end is None:
        return _target_is_constant(target, start, tape)
    path = _path(start, end)
    if path is None:
        return _not_connected(start, end, tape)
    if tape is not None:
        beyond = _outside(tape, source, path)
        if beyond is not None and (given or tape._in_tape()(end)):
            return beyond
        if beyond is not None:  # the question may be about backward() or about that tape
            why = beyond.removeprefix("No gradient: ")
            return _flows(path, f" (For the tape opened last there is none: {why})")
    return _flows(path)


def _no(why: str, *more: str, remedy: str = "") -> Explanation:
    sentences = [f"No gradient: {why}", *more]
    text = ". ".join(filter(None, sentences)) + "."
    return Explanation(f"{text} Remedy: {remedy}." if remedy else text)


# -- the parts of the graph ------------------------------------------------------------------------


def _path(
    start: Node, end: Node, inside: InTape | None = None, blocked: bool = False
) -> list[Node] | None:
    """A shortest path from start to end, both included, along inputs with a derivative.

    ``inside``: the part of history to look at. ``blocked``: along inputs without one as well.
    """
    next_of: dict[Node, Node] = {}
    queue = deque([end])
    while queue:
        node = queue.popleft()
        if node is start:
            path = [node]
            while path[-1] is not end:
                path.append(next_of[path[-1]])
            return path
        if node.number < start.number or not (inside is None or inside(node)):
            continue
        for i, parent in enumerate(node.parents):
            if parent is not None and parent not in next_of and (blocked or _has_rule(node, i)):
                next_of[parent] = node
                queue.append(parent)
    return None


def _has_rule(node: Node, i: int) -> bool:
    return node.op.vjp_all is not None or node.op.rules[i] is not None


def name_of(node: Node) -> str:
    """An operator or a leaf and where it stands, as ``multiply in fc1 (train.py:12)``."""
    if isinstance(node, Leaf):
        return node.shown if node.name else "source"
    line = f" ({node.seen.line})" if node.seen is not None and node.seen.line is not None else ""
    return node.place + line


# -- no path ---------------------------------------------------------------------------------------


#: What is said when the log is silent, which it is unless ``mg.observe()`` wrote it.
WAYS_OUT = (
    "A value leaves the graph under no_grad(), through .numpy(), .item(), .tolist(), .detach() or "
    "stop_gradient, and in a function that has no derivative"
)
LOOK_AGAIN = "run the computation again inside `with mg.observe():`, and ask again"


def _detachment_text(detachment: Detachment, source: Node | None) -> str:
    direct = source is not None and detachment.number == source.number
    what = "the source" if direct else f"the result of {detachment.place}"
    line = detachment.line
    at = f" at {line}{f' ({line.text})' if line.text else ''}" if line is not None else ""
    if detachment.how == "no_grad()":
        return f"{what} was used under no_grad(){at}, where nothing is recorded"
    return f"{what} left the graph through {detachment.how}{at}"


def _detachments(source: Node, tape: GradientTape | None) -> str:
    """How the source or values computed from it became constants, the latest first."""
    later = () if tape is None else edges_towards({source}, tape.nodes, None)
    numbers = {node.number for node in (source, *later)}
    found = [_detachment_text(d, source) for d in reversed(DETACHMENTS) if d.number in numbers]
    return "; ".join(list(dict.fromkeys(found))[:3])


def _latest_detachment(since: int = 0) -> str:
    """What became a constant most recently, related to the source or not."""
    later = [d for d in DETACHMENTS if d.number > since]
    return f"Most recently, {_detachment_text(later[-1], None)}" if later else ""


def _no_and_latest(text: str, start: Node, why: str = "") -> Explanation:
    """The text and what the log says; where it is silent, how to make it speak."""
    why = why or _latest_detachment(start.number)
    return _no(text, why) if why else _no(text, WAYS_OUT, remedy=LOOK_AGAIN)


def _target_is_constant(target: Tensor, start: Node, tape: GradientTape | None) -> Explanation:
    why = _detachments(start, tape)
    if target.dtype.kind != "f":
        kind = f"the target is {with_article(str(target.dtype))} tensor, which has no gradient"
        return _no_and_latest(kind, start, why[:1].upper() + why[1:])
    if why:
        return _no(f"the target has no history, because {why}", remedy=_remedy(why))
    if not STATE.get().recording:
        return _no("recording is off here (no_grad()), so the target has no history")
    text = "the target has no history: it was computed from constants only"
    return _no_and_latest(text, start)


def _remedy(why: str) -> str:
    if "no_grad()" in why:
        return "compute it outside no_grad()"
    if ".numpy()" in why or ".item()" in why or ".tolist()" in why:
        return "stay with tensors: NumPy's functions and operators take them"
    if "stop_gradient" in why:
        return "leave stop_gradient (or .detach()) out if the gradient should pass"
    return "use a function that has a derivative"


def _not_connected(start: Node, end: Node, tape: GradientTape | None) -> Explanation:
    blocked = _blocked(start, end)
    if blocked:
        return _no(blocked)
    if isinstance(start, Leaf) and start.number > end.number:
        return _no(
            "the source was watched (or got requires_grad=True) only after the target had been "
            "computed",
            remedy="watch it first",
        )
    why = _detachments(start, tape)
    if why:
        return _no(
            f"there is no path from the source to the target. On the way, {why}",
            remedy=_remedy(why),
        )
    text = "there is no path: nothing that the target was computed from depends on the source"
    if tape is None:
        return _no_and_latest(text, start)
    users = [node for node in tape.nodes if start in node.parents]
    if not users:
        return _no(
            text,
            "This tape recorded no operator that uses the source; what used it before it was "
            "watched (or got requires_grad=True) is constant",
        )
    return _no(text, f"The source is used by {name_of(users[-1])}, which leads elsewhere")


def _blocked(start: Node, end: Node) -> str:
    """Names the operator that has no derivative for the input through which the path leads."""
    for parent, node in pairwise(_path(start, end, blocked=True) or ()):
        inputs = [i for i, one in enumerate(node.parents) if one is parent]
        if not any(_has_rule(node, i) for i in inputs):
            return (
                f"the only path leads into input {inputs[0]} of {name_of(node)}, for which "
                f"{node.op.shown} has no derivative"
            )
    return ""


def _outside(tape: GradientTape, source: Tensor, path: list[Node]) -> Explanation | None:
    """Why this tape has no gradient although a path exists; None if it has one."""
    start, end = path[0], path[-1]
    if tape._node_of(source) is None and isinstance(start, Leaf):
        return _no(
            "this tape does not watch the source",
            remedy="call tape.watch(x) inside the tape, or leave watch_accessed_variables on",
        )
    inside = tape._in_tape()
    if _path(start, end, inside) is not None:
        return None
    strays = [node for node in path if not isinstance(node, Leaf) and not inside(node)]
    stray = strays[-1]
    first, last = tape._intervals[0][0], tape._intervals[-1][1]
    remedy = "compute it inside the tape"
    if stray.number < first:
        when = "was made before the tape opened, so it is constant to the tape"
    elif stray.number >= last:
        when = "was made after the tape had closed"
    else:
        when = "was made inside stop_recording(), so it is constant to the tape"
        remedy = "compute it outside stop_recording()"
    return _no(f"the result of {name_of(stray)} on the way {when}", remedy=remedy)


# -- a path ----------------------------------------------------------------------------------------


def _flows(path: list[Node], note: str = "") -> Explanation:
    steps = [name_of(node) for node in path]
    shown, half = steps, STEPS_SHOWN // 2
    if len(steps) > STEPS_SHOWN:
        shown = [*steps[:half], f"({len(steps) - 2 * half} more)", *steps[-half:]]
    route = " -> ".join([*shown, "target"])
    dead = _zero_on(path)
    if dead:
        text = f"The gradient is zero, although there is a path: {dead}. Path: {route}.{note}"
        return Explanation(text, steps)
    return Explanation(f"A gradient flows: {route}.{note}", steps)


#: Why the whole gradient of an operator's input is zero.
_ZERO = {
    "relu": "no element of its input is positive (a dead unit)",
    "clip": "every element of its input lies outside the bounds",
    "maximum": "the other input is larger everywhere",
    "minimum": "the other input is smaller everywhere",
    "where": "the other branch was taken everywhere",
    "multiply": "the other factor is zero",
    "matmul": "the other factor is zero",
    "tanh": "it is saturated: its input is far from zero",
    "sigmoid": "it is saturated: its input is far from zero",
    "getitem": "the part that was taken is not used further on",
    "std": "all elements are equal",
    "var": "all elements are equal",
}


class _ZeroFinder(Hook):
    """Records which cotangents are zero: those of nodes, and those passed between two nodes."""

    def __init__(self) -> None:
        self.zero: dict[Node, bool] = {}
        self.zero_from: dict[tuple[Node, Node], bool] = {}

    def backward(
        self, apply: ApplyRules, node: Node, edges: Edges, g: Any, tensor: Any
    ) -> list[Any]:
        """Look at the cotangent, and at those of the inputs."""
        self.zero[node] = not np.any(g)
        found = apply(node, edges, g, tensor)
        for (_, parent), h in zip(edges, found, strict=True):
            zero = h is None or not np.any(getattr(h, "_data", h))
            self.zero_from[node, parent] = self.zero_from.get((node, parent), True) and zero
        return found


def _zero_on(path: list[Node]) -> str:
    """Where on the path the gradient becomes zero; "" if it does not, or if it is unknown."""
    if any(node.saved is FREED for node in path):
        return ""
    finder = _ZeroFinder()
    try:
        with finder:
            backward([(path[-1], np.ones(path[-1].shape, path[-1].dtype))], [path[0]])
    except RuntimeError:
        return ""  # another part of the graph was released, or a parameter has changed since
    if not finder.zero.get(path[0], False):
        return ""
    for node, user in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        if finder.zero.get(node, False) and not finder.zero.get(user, True):
            if not finder.zero_from.get((user, node), True):
                return f"the contributions of several uses of {name_of(node)} cancel"
            cause = _ZERO.get(user.op.name, "")
            return f"it vanishes in {name_of(user)}{', where ' + cause if cause else ''}"
    return ""
