"""Checkpointing: keep only the arguments of a function, and run it again in the backward pass.

This trades time for memory (Chen et al., 2016, arXiv:1604.06174). The second run must do what the
first did: with the same tensors tracked, the same replacements in force and the same random
numbers. If it does something else, an error is raised. (Files are in ``io/checkpoints.py``.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minigrad.engine.backward import reachable
from minigrad.engine.custom_gradient import history_before, unpack, with_rule
from minigrad.engine.node import ASSIGNED, STATE, Leaf, Node, ShapeDtype, next_number
from minigrad.engine.random import default_generator, generator_restored
from minigrad.engine.settings import checked
from minigrad.engine.switches import afterwards, replaced
from minigrad.engine.tensor import Tensor, gradients, tensors_in
from minigrad.engine.tree import flatten

Block = Callable[[], AbstractContextManager[Any]]
#: Blocks that are open around the code that runs, and must be open again when it is recomputed.
AROUND: ContextVar[tuple[Block, ...]] = ContextVar("minigrad_around", default=())


@contextmanager
def also_when_recomputed(block: Block) -> Generator[None]:
    """Enter ``block()`` here, and again around whatever part of this is computed a second time."""
    with afterwards(lambda: AROUND.set(tuple(b for b in AROUND.get() if b is not block))):
        AROUND.set((*AROUND.get(), block))
        with block():
            yield


@checked()
def checkpoint(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)``, of which only the arguments are kept; the backward pass runs f again.

    f may use parameters and other tracked tensors besides its arguments, and random numbers of
    the library (a dropout mask is the same both times); buffers that it assigns, such as running
    means, are assigned once. It must compute the same both times.

    Raises TypeError if f returns anything but tensors (which may be nested), and on the backward
    pass RuntimeError if f used other operators or other tensors than the first time.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> mg.checkpoint(lambda x: (mg.exp(x) * x).sum(), x).backward()
    >>> x.grad
    tensor([ 5.43656, 22.16717])
    """
    state = STATE.get()
    if not state.recording:
        return f(*args)
    generator = default_generator()
    before = generator.bit_generator.state
    around = AROUND.get()

    def run(tapes: Any) -> tuple[int, Any]:
        """The number after which f ran, and what it gave."""
        start = next_number()
        # f is recorded, whether or not recording is on where the gradient is taken.
        with replaced(tapes=tapes, scope=state.scope, recording=True, pauses=()):
            return start, f(*args)

    # This first graph only tells which tensors f reads; it is dropped at once.
    start, values = run(())
    flat = tensors_in(values, "checkpoint: the function must return tensors")
    made = [v._node for v in flat]
    read = history_before(start, made)
    specs = [ShapeDtype(v.shape, v.dtype) for v in flat]
    steps = _operators_since(start, made)

    def rule(g: Any, wanted: list[int], *_: Any) -> list[Any]:
        recorded = isinstance(g, Tensor)
        with ExitStack() as stack:
            stack.enter_context(generator_restored())
            generator.bit_generator.state = before
            stack.enter_context(_assignments_undone())
            for block in around:
                stack.enter_context(also_when_recomputed(block))
            stack.enter_context(_watched_again(read))
            start, values = run(STATE.get().tapes if recorded else ())
            # f may return what it reads, so the nodes are looked at while those are still watched.
            made = [value._node for value in flatten(values)]
        _refuse_other_operators(steps, _operators_since(start, made))
        for node in history_before(start, made):
            if node not in read and node.number <= start:
                raise RuntimeError(
                    f"checkpoint: when it ran again for the backward pass, the function used a "
                    f"tracked tensor of shape {node.shape} that it had not used before. Pass what "
                    f"changes, such as the variable of a loop, as an argument"
                )
        cotangents = unpack(g if recorded else Tensor(np.asarray(g)), specs)
        seeds = [
            (node, cotangent)
            for node, cotangent in zip(made, cotangents, strict=True)
            if node is not None
        ]
        sources = [read[i] for i in wanted]
        found = gradients(
            seeds,
            sources,
            in_tape=lambda n: n.number > start,
            recorded=recorded,
            release=not recorded,
        )
        return [found.get(node) for node in sources]

    return with_rule("checkpoint", values, read, rule)


# -- running it again ------------------------------------------------------------------------------


def _operators_since(start: int, made: list[Node | None]) -> list[tuple[str, tuple[int, ...]]]:
    """The operators since number ``start`` that led to these nodes, with their shapes."""
    inside = reachable((n for n in made if n is not None), lambda n: n.number > start)
    return [(n.op.name, n.shape) for n in inside if n.parents and n.number > start]


def _refuse_other_operators(first: list[Any], second: list[Any]) -> None:
    if first == second:
        return
    pairs = [*zip(first, second, strict=False)]
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    was, now = (
        f"{steps[at][0]} {steps[at][1]}" if at < len(steps) else "nothing"
        for steps in (first, second)
    )
    raise RuntimeError(
        f"checkpoint: the function computed something else when it ran again for the backward "
        f"pass: operator {at} was {was}, and is {now}. It must not depend on what changes in "
        f"between, such as train() and eval() or the variable of a loop"
    )


@contextmanager
def _watched_again(nodes: list[Node]) -> Generator[None]:
    """A block in which watched tensors have the nodes that they lost when their tape closed."""
    before: list[tuple[Tensor, Node | None]] = []

    def undo() -> None:
        for tensor, own in before:
            tensor._node = own

    with afterwards(undo):
        for node in nodes:
            tensor = node.owner() if type(node) is Leaf else None
            if tensor is not None and tensor._node is not node:
                before.append((tensor, tensor._node))
                tensor._node = node
        yield


@contextmanager
def _assignments_undone() -> Generator[None]:
    """A block that undoes, at its end, the assignments to tensors inside it."""
    assigned: list[tuple[Tensor, Any]] = []

    def undo() -> None:
        ASSIGNED.set(tuple(one for one in ASSIGNED.get() if one is not assigned))
        for tensor, data in reversed(assigned):
            tensor._data = data

    with afterwards(undo):
        ASSIGNED.set((*ASSIGNED.get(), assigned))
        yield
