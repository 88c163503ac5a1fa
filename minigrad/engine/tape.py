"""GradientTape, after TensorFlow's: an interval of the history.

Nodes are attached to values whether or not a tape is open. A tape notes the numbers between which
it was recording, and so knows which nodes belong to it; and it notes which constants are watched.
"""

from __future__ import annotations

import _thread
import math
import weakref
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import numpy as np

from minigrad.engine.backward import REDUCERS, Reducers
from minigrad.engine.node import STATE, Leaf, Node, next_number
from minigrad.engine.rows import Rows
from minigrad.engine.settings import checked
from minigrad.engine.switches import Block, Switch, afterwards
from minigrad.engine.tensor import Tensor, gradients, named, new_leaf
from minigrad.engine.tree import flatten, rebuild
from minigrad.lazy import load_late
from minigrad.operators.shapes import moveaxis, reshape


class GradientTape(Block):
    """Records what runs inside its ``with`` block and differentiates it, as ``tf.GradientTape``.

    Parameters and other tensors with ``requires_grad=True`` are watched by themselves (unless
    ``watch_accessed_variables=False``); others need :meth:`watch`. What ran before the tape opened
    is constant to it. A tape gives one gradient, then it is spent, unless ``persistent=True``.
    Tapes nest to any order: a gradient taken while another tape is open is itself recorded.

    Raises RuntimeError if it is used after it is spent or opened twice, TypeError if a target or
    source is not a tensor, or if an integer tensor is watched.

    >>> import numpy as np, minigrad as mg
    >>> x = mg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    >>> with mg.GradientTape() as tape:
    ...     y = x**3 + 2*x + 5
    >>> tape.gradient(y, x)
    tensor([ 5., 14., 29.], dtype=float64)
    """

    #: The tape opened last, for mg.explain.
    latest: ClassVar[weakref.ref[GradientTape] | None] = None

    @checked()
    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self.nodes: list[Node] = []
        self._watch_accessed = watch_accessed_variables
        # By identity, because a watched tensor loses its node when the tape closes.
        self._watched: dict[int, tuple[Tensor, Node]] = {}
        # Numbers [start, end) during which this tape was recording; the last may be open.
        self._intervals: list[list[float]] = []
        self._open = False
        # No other tape was open at the same time, so a gradient may release what nodes saved.
        self._alone = True
        self._spent = False
        # Whether its gradients are recorded; None: if any tape is open when they are taken.
        self._recorded: bool | None = None

    # -- reading -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        return str(load_late("minigrad.debug.tape_table").as_text(self))

    def _repr_html_(self) -> str:
        return str(load_late("minigrad.debug.tape_table").as_html(self))

    def to_records(self) -> list[dict[str, Any]]:
        """One dict per recorded operator, oldest first: what ``print(tape)`` shows, for programs.

        Keys: number, module, op, inputs (numbers of rows, or names of leaves), shape, dtype,
        bytes (kept for the backward pass; None once released), metadata, line; and what
        ``mg.observe()`` noted: file, line_number, seconds, backward_seconds, values,
        gradient_norm.
        """
        return list(load_late("minigrad.debug.tape_table").records(self))

    # -- recording ---------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self in STATE.get().tapes:
            raise RuntimeError("GradientTape: this tape is already recording")
        return super().__enter__()

    def _begin(self) -> None:
        for tape in STATE.get().tapes:
            self._alone = tape._alone = False
        with _watching:
            for tensor, node in self._watched.values():
                if tensor._node is None:
                    tensor._node = node
                if type(node) is Leaf:
                    node.watchers.add(id(self))
        GradientTape.latest = weakref.ref(self)
        self._open = True
        self._resume()

    def _end(self) -> None:
        self._open = False
        self._pause()
        self._unwatch()

    def _resume(self) -> None:
        self._intervals.append([next_number(), float("inf")])
        state = STATE.get()
        STATE.set(state.replace(tapes=(*state.tapes, self)))

    def _pause(self) -> None:
        if self._intervals:
            # An interval that has ended already stays as it is.
            self._intervals[-1][1] = min(self._intervals[-1][1], next_number())
        state = STATE.get()
        if self in state.tapes:
            STATE.set(state.replace(tapes=tuple(t for t in state.tapes if t is not self)))

    def stop_recording(self) -> Switch:
        """A block in which this tape does not record: what runs there is constant to it.

        Raises RuntimeError when the tape is not recording.
        """
        return Switch(self._stopped, (), {})

    def _stopped(self) -> Generator[None]:
        if self not in STATE.get().tapes:
            raise RuntimeError("stop_recording: this tape is not recording")

        def resume() -> None:
            if self._open and self not in STATE.get().tapes:
                self._resume()

        with afterwards(resume):
            self._pause()
            yield

    def reset(self) -> None:
        """Forget everything recorded and watched so far; recording goes on if it was on."""
        recording = self in STATE.get().tapes
        self.nodes = []
        self._unwatch()
        self._watched = {}
        self._spent = False
        self._intervals = [[next_number(), float("inf")]] if recording else []

    def watch(self, tensor: Any) -> None:
        """Follow this tensor (or each of a nested list, tuple or dict) although it is a constant.

        Raises TypeError if one of them is not a tensor, or is a tensor of integers.
        """
        for one in flatten(tensor):
            if not isinstance(one, Tensor):
                raise TypeError(f"watch: expected a tensor, got {type(one).__name__}")
            if one.dtype.kind != "f":
                raise TypeError(
                    f"watch: only floating-point tensors have gradients, got {one.dtype}; "
                    f"convert it first, e.g. t.astype(np.float32)"
                )
            with _watching:
                node = one._node or new_leaf(one, trainable=False)
                # Noted first, so that closing the tape undoes it even after Ctrl-C just below.
                self._watched[id(one)] = (one, node)
                if type(node) is Leaf:
                    node.watchers.add(id(self))
                one._node = node

    def _unwatch(self) -> None:
        """Turn tensors back into constants if they were tracked only because tapes watched them."""
        with _watching:
            for tensor, node in self._watched.values():
                if type(node) is Leaf:
                    node.watchers.discard(id(self))
                    if not node.watchers and not node.trainable and tensor._node is node:
                        tensor._node = None

    def watched_variables(self) -> tuple[Tensor, ...]:
        """The tensors watched by hand and the leaves that recorded operations have used."""
        found: dict[Node, Tensor] = {node: tensor for tensor, node in self._watched.values()}
        if self._watch_accessed:
            for node in self.nodes:
                for parent in node.parents:
                    if type(parent) is Leaf and parent.trainable and parent not in found:
                        owner = parent.owner()
                        if owner is not None:
                            found[parent] = owner
        return tuple(found.values())

    # -- gradients ---------------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The gradient of ``target`` by each source, nested (list, tuple, dict) like ``sources``.

        Several targets, and the elements of a target that is not a scalar, are summed, weighted by
        ``output_gradients`` (of the targets' shapes). A source that the target does not depend
        on, or that this tape does not watch, gives None, or zeros with
        ``unconnected_gradients="zero"``; ``mg.explain(target, source)`` says why.

        Raises RuntimeError if the tape is spent, TypeError if a target or source is not a tensor,
        ValueError for an unknown ``unconnected_gradients`` or ill-shaped ``output_gradients``.
        """
        self._refuse_if_spent()
        return self._gradient(
            target, sources, output_gradients, unconnected_gradients, reducers=REDUCERS
        )

    def _gradient(
        self,
        target: Any,
        sources: Any,
        cotangents: Any,
        unconnected: str,
        release: bool = True,
        reducers: Reducers = (),
    ) -> Any:
        _check_unconnected(unconnected)
        flat = flatten(sources)
        for one in flat:
            if not isinstance(one, Tensor):
                raise TypeError(f"gradient: a source must be a tensor, got {type(one).__name__}")
        nodes = [self._node_of(one) for one in flat]
        seeds = self._seeds(target, cotangents)
        self._use_up()  # only now: a call that is refused leaves the tape as it was
        recorded = bool(STATE.get().tapes) if self._recorded is None else self._recorded
        found = gradients(
            seeds,
            [n for n in nodes if n is not None],
            in_tape=self._in_tape(),
            recorded=recorded,
            release=release and self._spent and self._alone and not recorded,
            reducers=reducers,
        )
        result: list[Tensor | None] = []
        for one, node in zip(flat, nodes, strict=True):
            g = None if node is None else found.get(node)
            if g is None and unconnected == "zero":
                g = Tensor(np.zeros_like(one._data))
            result.append(g)
        return rebuild(sources, iter(result))

    def jacobian(self, target: Tensor, sources: Any, unconnected_gradients: str = "none") -> Any:
        """All derivatives: shape target.shape + source.shape for each source.

        All elements of the target go through the backward pass together, as many at a time as
        memory allows; one by one if the pass itself is recorded, or watched by ``mg.observe`` or
        ``mg.detect_anomaly``. Raises RuntimeError if the tape is spent, TypeError if the target or
        a source is not a tensor, ValueError for an unknown ``unconnected_gradients``.

        >>> import minigrad as mg
        >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> with mg.GradientTape() as tape:
        ...     y = x * x
        >>> tape.jacobian(y, x)
        tensor([[2., 0.],
                [0., 4.]])
        """
        self._require_tensor("jacobian", "target", target)
        columns = self._gradients_for_each(target, sources, target.size, unconnected_gradients)
        blocks = (
            _assemble(column, 0, target.shape + source.shape)
            for column, source in zip(columns, flatten(sources), strict=True)
        )
        return rebuild(sources, blocks)

    def batch_jacobian(
        self, target: Tensor, source: Tensor, unconnected_gradients: str = "none"
    ) -> Any:
        """The Jacobian of each row: shapes (N, ...) and (N, ...) give (N, ..., ...).

        Row n of the target may depend on row n of the source only (else the result mixes rows).
        Raises RuntimeError if the tape is spent, TypeError if target or source is not a tensor,
        ValueError if their first axes differ or for an unknown ``unconnected_gradients``.
        """
        self._require_tensor("batch_jacobian", "target", target)
        self._require_tensor("batch_jacobian", "source", source)
        if not target.ndim or not source.ndim or target.shape[0] != source.shape[0]:
            raise ValueError(
                f"batch_jacobian: expected target and source with the same first axis, "
                f"got {target.shape} and {source.shape}"
            )
        count = math.prod(target.shape[1:])
        (column,) = self._gradients_for_each(target, source, count, unconnected_gradients)
        return _assemble(column, 1, target.shape + source.shape[1:])

    def _gradients_for_each(
        self, target: Tensor, sources: Any, count: int, unconnected: str
    ) -> list[Tensor | None]:
        """For each source its gradients by the elements of the target, along a first axis.

        ``count``: how many elements the target has, or one of its samples. Then a gradient is that
        of the sum of an element over all samples.
        """
        self._refuse_if_spent()
        _check_unconnected(unconnected)
        state = STATE.get()
        recorded = bool(state.tapes) if self._recorded is None else self._recorded
        most = max([node.size for node in self.nodes], default=1)
        step = 1 if recorded or state.hook is not None else max(1, AT_ONCE // max(1, most))
        passes: list[list[Any]] = []
        for start in range(0, count, step):
            units = _units(target, count, range(start, min(start + step, count)))
            g = Tensor(units[0]) if step == 1 else Rows(units)
            passes.append(flatten(self._gradient(target, sources, g, "none", release=False)))
        found: list[Tensor | None] = []
        for i, source in enumerate(flatten(sources)):
            parts = [one[i] for one in passes]
            if parts and parts[0] is not None:
                found.append(np.stack(parts) if step == 1 else np.concatenate(parts))  # type: ignore[arg-type]
            elif unconnected == "zero" or not count:
                found.append(Tensor(np.zeros((count, *source.shape), source.dtype)))
            else:
                found.append(None)
        self._use_up()
        return found

    # -- what belongs to this tape -----------------------------------------------------------

    def _refuse_if_spent(self) -> None:
        if self._spent and not self.persistent:
            raise RuntimeError(
                "this tape has given its gradient and is spent. Ask for all sources in one "
                "call, or open it as GradientTape(persistent=True)"
            )

    def _use_up(self) -> None:
        if not self.persistent:
            self._spent = True
            self._pause()

    def _require_tensor(self, function: str, role: str, one: Any) -> None:
        if not isinstance(one, Tensor):
            raise TypeError(f"{function}: expected a tensor as {role}, got {type(one).__name__}")

    def _in_tape(self) -> Callable[[Node], bool]:
        """A function that tells whether a node was recorded while this tape was on."""
        if len(self._intervals) == 1:
            ((start, end),) = self._intervals
            return lambda node: start <= node.number < end
        return lambda node: any(start <= node.number < end for start, end in self._intervals)

    def _node_of(self, source: Tensor) -> Node | None:
        """The source's node, if this tape follows it."""
        if id(source) in self._watched:
            return self._watched[id(source)][1]
        node = source._node
        if type(node) is Leaf:
            return node if node.trainable and self._watch_accessed else None
        return node if node is not None and self._in_tape()(node) else None

    def _seeds(self, target: Any, output_gradients: Any) -> list[tuple[Node, Any]]:
        targets = flatten(target)
        given = [None] * len(targets) if output_gradients is None else flatten(output_gradients)
        if len(given) != len(targets):
            raise ValueError(
                f"gradient: got {len(given)} output_gradients for {len(targets)} targets"
            )
        pairs = []
        for one, g in zip(targets, given, strict=True):
            if not isinstance(one, Tensor):
                raise TypeError(f"gradient: a target must be a tensor, got {type(one).__name__}")
            seed: Any = g
            if g is None:
                seed = Tensor(np.ones_like(one._data))
            elif not isinstance(g, Rows):
                seed = one._seed(named("gradient", g))
            node = self._node_of(one)
            if node is not None:
                pairs.append((node, seed))
        return pairs


#: How many elements of an intermediate result a backward pass for several cotangents may hold.
AT_ONCE = 1 << 20
#: Held while tensors are watched, because tapes on several threads may share the leaf of one.
_watching = _thread.allocate_lock()  # as threading.Lock, which takes half a millisecond to import


def _check_unconnected(given: Any) -> None:
    if not isinstance(given, str) or given not in ("none", "zero"):
        raise ValueError(f"gradient: unconnected_gradients must be 'none' or 'zero', got {given!r}")


def _units(like: Tensor, count: int, numbers: range) -> Any:
    """Zeros of this shape for each number, with ones at that element of each ``count`` elements."""
    units = np.zeros((len(numbers), *like.shape), like.dtype)
    rows = units.reshape(len(numbers), -1 if like.size else 0, count)
    rows[range(len(numbers)), :, numbers] = 1
    return units


def _assemble(found: Tensor | None, axis: int, shape: tuple[int, ...]) -> Any:
    """The Jacobian of this shape, whose slices along ``axis`` are these gradients."""
    if found is None:
        return None
    return reshape(moveaxis(found, 0, axis) if axis else found, shape)


def stop_gradient(x: Any) -> Tensor:
    """The value of x as a constant: no gradient flows through it.

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (x * mg.stop_gradient(x)).backward()
    >>> x.grad
    tensor(3.)
    """
    return named("stop_gradient", x).detach()
