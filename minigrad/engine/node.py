"""The history of a tensor: nodes that point backwards, and the state that says what is recorded.

A node refers neither to its output nor to a tape. So there are no cycles, and reference counting
frees a graph the moment its output is freed.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from minigrad.operators.declare import Operator

if TYPE_CHECKING:
    from minigrad.debug.profile import Observation
    from minigrad.engine.hooks import Hook
    from minigrad.engine.tape import GradientTape
    from minigrad.engine.tensor import Tensor

#: Numbers every recorded operation; a larger number was recorded later. Safe between threads.
next_number = itertools.count(1).__next__

NO_METADATA: dict[str, Any] = {}
#: Replaces what a node saved, once a backward pass has used and released it.
FREED: Any = ("freed",)


class Scope(str):
    """Where an operation was recorded: the path of the module, and whether in a gradient of it.

    It is a string, so that messages can show it. ``kinds`` maps the paths of the model to class
    names; ``order`` is 0 for what the user computes, 1 for the operations of its derivative, ...
    """

    __slots__ = ("kinds", "order", "path")

    kinds: dict[str, str]
    order: int
    path: str

    def __new__(cls, path: str, kinds: dict[str, str] = NO_METADATA, order: int = 0) -> Scope:
        """A scope of this path."""
        name = f"{path} (gradient)" if path else "the gradient"
        scope = str.__new__(cls, name if order else path)
        scope.path, scope.kinds, scope.order = path, kinds, order
        return scope

    def told(self) -> str:
        """The path for a message: a number says little, so its class follows, "2 (Linear)"."""
        kind = self.kinds.get(self.path, "") if self.path.rpartition(".")[2].isdigit() else ""
        return f"{self.path} ({kind}){self[len(self.path) :]}" if kind else str(self)

    def gradient(self) -> Scope:
        """The scope of the derivatives of what was recorded in this one."""
        return Scope(self.path, self.kinds, self.order + 1)


#: Outside of modules.
NO_SCOPE = Scope("")


def within(name: str, module: str) -> str:
    """A name with the module around it, as ``multiply in fc1`` or ``linear in 2 (Linear)``."""
    return f"{name} in {module}" if module else name


class Shaped:
    """What has a shape and a dtype, and no elements."""

    __slots__ = ("dtype", "shape")

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size


class ShapeDtype(Shaped):
    """The shape and dtype of an array that is not kept."""

    __slots__ = ()

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype


class Node(Shaped):
    """One recorded operation. Its shape and dtype are those of its output.

    ``saved`` is (output, input 0, input 1, ...): the arrays that a rule needs, and a ``ShapeDtype``
    or None in place of the others. It is None when no rule needs an array. ``seen`` is what
    ``mg.observe()`` noted, if it was open.
    """

    __slots__ = ("metadata", "number", "op", "parents", "saved", "scope", "seen")

    op: Operator
    parents: tuple[Node | None, ...]
    saved: tuple[Any, ...] | None
    metadata: dict[str, Any]
    number: int
    scope: Scope
    seen: Observation | None

    def __repr__(self) -> str:
        return f"<{self.op.shown} #{self.number} {self.shape}>"

    @property
    def shown(self) -> str:
        """The name in tables, messages and pictures: the operator's, as its caller knows it."""
        return self.op.shown

    @property
    def place(self) -> str:
        """The name, and the module in which it was recorded."""
        return within(self.shown, self.scope.told())


#: The operator of leaves: it computes nothing and has no rules.
LEAF = Operator("leaf", lambda: None, (), ())


class Leaf(Node):
    """The beginning of a history: a watched tensor, or one with ``requires_grad``.

    ``assigned`` is the number at which its buffer was last written in place. A node with a smaller
    number that kept the buffer is out of date: no other bookkeeping of versions is needed.
    ``watchers`` are the ids of the tapes that watch this tensor; when the last one closes, a leaf
    that is not ``trainable`` is a constant again.
    """

    __slots__ = ("assigned", "grad", "name", "owner", "trainable", "watchers")

    assigned: int
    grad: Tensor | None
    name: str
    owner: Callable[[], Tensor | None]
    trainable: bool
    watchers: set[int]

    def __init__(self, tensor: Tensor, trainable: bool) -> None:
        self.op = LEAF
        self.parents = ()
        self.saved = self.seen = None
        self.metadata = NO_METADATA
        self.scope = NO_SCOPE
        self.shape, self.dtype = tensor.shape, tensor.dtype
        self.number = next_number()
        self.owner = weakref.ref(tensor)
        self.assigned = 0
        self.grad = None
        self.name = ""
        self.trainable = trainable
        self.watchers = set()

    @property
    def shown(self) -> str:
        """The name, e.g. ``conv1.weight``; without a name, ``leaf`` or ``watched``."""
        return self.name or ("leaf" if self.trainable else "watched")


class State:
    """What the current thread (or task) does with operations. Never changed, only replaced.

    ``pauses`` are the open blocks that keep it from recording. ``hook`` is called around each
    operator and each derivative rule; anomaly detection and ``mg.observe()`` set it.
    """

    __slots__ = ("hook", "pauses", "recording", "scope", "tapes")

    def __init__(
        self,
        recording: bool = True,
        tapes: tuple[GradientTape, ...] = (),
        scope: Scope = NO_SCOPE,
        hook: Hook | None = None,
        pauses: tuple[object, ...] = (),
    ) -> None:
        self.recording = recording
        self.tapes = tapes
        self.scope = scope
        self.hook = hook
        self.pauses = pauses

    def replace(self, **changes: Any) -> State:
        """A copy with these fields changed."""
        state = State(self.recording, self.tapes, self.scope, self.hook, self.pauses)
        for name, value in changes.items():
            setattr(state, name, value)
        return state


#: A context variable is per thread and per asyncio task, and cheaper to read than a thread-local.
STATE: ContextVar[State] = ContextVar("minigrad_state", default=State())  # noqa: B039 (a State is replaced, never changed)


def in_module(name: str) -> str:
    """An operator's name and the module that calls it, as messages begin: "linear in 2 (Linear)".

    The outermost module has no path, so it is named by its class.
    """
    scope = STATE.get().scope
    return within(name, scope.told() or scope.kinds.get("", ""))


#: For each open block that restores buffers: the tensors assigned in it, with their old arrays.
ASSIGNED: ContextVar[tuple[list[tuple[Tensor, Any]], ...]] = ContextVar(
    "minigrad_assigned", default=()
)
