"""Recompute instead of keeping: memory traded for time (Chen et al., 2016, arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.custom_rule import attach, history_before, unpack
from minigrad.node import MODE, Node, Spec, next_number
from minigrad.operators.arithmetic import positive
from minigrad.random import default_generator
from minigrad.tape import flatten
from minigrad.tensor import Tensor, gradients, new_leaf

__all__ = ["checkpoint"]


def checkpoint(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)``, keeping for the backward pass only the arguments; f runs again then.

    f may use parameters and other tracked tensors besides its arguments, and random numbers of
    the library (a dropout mask comes out the same again). It must compute the same thing twice.

    Raises TypeError when f returns something other than tensors (nested as it likes).

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> mg.checkpoint(lambda x: (mg.exp(x) * x).sum(), x).backward()
    >>> x.grad
    tensor([ 5.43656, 22.16717])
    """
    mode = MODE.get()
    if not mode.recording:
        return f(*args)
    generator = default_generator()
    before = generator.bit_generator.state
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a._node is not None]
    nodes: list[Node | None] = [args[i]._node for i in places]

    def run(inputs: list[Tensor], tapes: Any) -> tuple[int, Any]:
        """``f`` on these tensors, and the number after which it ran."""
        given = list(args)
        for i, tensor in zip(places, inputs, strict=True):
            given[i] = tensor
        start = next_number()
        current = MODE.get()
        token = MODE.set(current.but(tapes=tapes, scope=mode.scope))
        try:
            return start, f(*given)
        finally:
            MODE.reset(token)

    # This first graph only tells which tensors f reads; it is dropped at once.
    variables = [_variable(args[i]) for i in places]
    start, values = run(variables, ())
    flat = flatten(values)
    for value in flat:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"checkpoint: the function must return tensors, got {type(value).__name__}"
            )
    own = {v._node for v in variables}
    others: list[Node | None] = [n for n in history_before(start, flat) if n not in own]
    specs = [Spec(v.shape, v.dtype) for v in flat]

    def rule(g: Any, wanted: list[int], _ans: Any, *inputs: Any) -> list[Any]:
        recorded = isinstance(g, Tensor)
        again = [
            positive(x) if isinstance(x, Tensor) else _variable(Tensor(x))
            for x in inputs[: len(places)]
        ]
        now = generator.bit_generator.state
        generator.bit_generator.state = before
        try:
            start, values = run(again, MODE.get().tapes if recorded else ())
        finally:
            generator.bit_generator.state = now
        cotangents = unpack(g if recorded else Tensor(np.asarray(g)), specs)
        seeds = [
            (value._node, cotangent)
            for value, cotangent in zip(flatten(values), cotangents, strict=True)
            if value._node is not None
        ]
        candidates = [*(v._node for v in again), *others]
        sources = [node for i in wanted if (node := candidates[i]) is not None]
        found = gradients(
            seeds,
            sources,
            inside=lambda n: n.number > start,
            recorded=recorded,
            release=not recorded,
        )
        return [found.get(node) for node in sources]

    saved = (None, *(args[i]._data for i in places), *(None for _ in others))
    return attach("checkpoint", values, nodes + others, saved, rule)


def _variable(tensor: Tensor) -> Tensor:
    """The same value as the beginning of a history of its own."""
    made = Tensor(tensor._data)
    made._node = new_leaf(made, trainable=False)
    return made
