"""Functions with a gradient of their own, after TensorFlow's ``custom_gradient``.

What such a function records is dropped, and one node with the given rule takes its place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from minigrad.engine.backward import reachable
from minigrad.engine.node import NO_METADATA, STATE, Leaf, Node, next_number
from minigrad.engine.recording import attach
from minigrad.engine.settings import checked
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.engine.tree import flatten, map_leaves, rebuild
from minigrad.operators.declare import Operator
from minigrad.operators.indexing import getitem
from minigrad.operators.shapes import reshape


@checked()
def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that returns its value and the function that gives its gradient.

    ``f(*args)`` returns ``(value, grad)``; ``grad(*upstream)`` takes one cotangent per value and
    returns one gradient per tensor argument, or None in its place. What ``grad`` computes with
    tensors is recorded when a higher order is asked for. As ``tf.custom_gradient``.

    Raises TypeError if f does not return such a pair or a tracked tensor is passed by name,
    RuntimeError when f uses a tracked tensor that is not an argument (its gradient would be lost),
    and on the backward pass ValueError for a wrong number of gradients.

    >>> import minigrad as mg
    >>> @mg.custom_gradient
    ... def log1pexp(x):
    ...     e = mg.exp(x)
    ...     return mg.log(1 + e), lambda g: g * (1 - 1 / (1 + e))
    >>> with np.errstate(over="ignore"):  # exp overflows in float32, the gradient does not
    ...     mg.grad(log1pexp)(100.0)
    tensor(1.)
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        name = getattr(f, "__name__", "custom_gradient")
        start = next_number()
        returned = f(*args, **kwargs)
        if not isinstance(returned, tuple) or len(returned) != 2 or not callable(returned[1]):
            raise TypeError(
                f"{name}: a function under custom_gradient returns (value, grad), where grad is a "
                f"function of the cotangent; got {type(returned).__name__}"
            )
        values, grad = returned
        for key, value in kwargs.items():
            if isinstance(value, Tensor) and value._node is not None:
                raise TypeError(
                    f"{name}: the tracked tensor {key}= was passed by name and would get no "
                    f"gradient; pass it by position"
                )
        inputs = [a for a in args if isinstance(a, Tensor)]
        parents = [a._node for a in inputs]
        tensors = (v for v in flatten(values) if isinstance(v, Tensor))
        for node in history_before(start, [v._node for v in tensors]):
            if node not in parents:
                raise RuntimeError(
                    f"{name}: it uses a tracked tensor of shape {node.shape} that is not among "
                    f"its arguments, so that tensor would get no gradient. Pass it as an argument "
                    f"of its own, not in a list"
                )

        def rule(g: Any, wanted: list[int], *_: Any, **__: Any) -> list[Any]:
            recorded = isinstance(g, Tensor)
            with nullcontext() if recorded else no_grad():
                upstream = g if recorded else Tensor(np.asarray(g))
                grads = grad(*unpack(upstream, flatten(values)))
            found = list(grads) if isinstance(grads, (list, tuple)) else [grads]
            if len(found) != len(inputs):
                raise ValueError(
                    f"{name}: its gradient function returned {len(found)} gradients for "
                    f"{len(inputs)} tensor arguments"
                )
            return [None if found[i] is None else as_tensor(found[i]) for i in wanted]

        return with_rule(name, values, parents, rule)

    return call


def history_before(start: int, made: list[Node | None]) -> list[Node]:
    """The nodes from before number ``start`` that these were made from.

    Also parameters made since then, such as those of a lazy layer, which outlive the call.
    """
    found = reachable((n for n in made if n is not None), lambda n: n.number > start)
    return [n for n in found if n.number <= start or (type(n) is Leaf and n.trainable)]


def with_rule(
    name: str,
    values: Any,
    parents: Sequence[Node | None],
    rule: Callable[..., list[Any]],
) -> Any:
    """The same values (a tensor, or nested ones) with a single node with this rule as history.

    Several values are packed into one array, because a node has one output.
    """
    flat = [as_tensor(v) for v in flatten(values)]
    state = STATE.get()
    if not state.recording or all(p is None for p in parents):
        return map_leaves(lambda v: as_tensor(v).detach(), values)
    packed = flat[0]._data if len(flat) == 1 else np.concatenate([v._data.ravel() for v in flat])
    op = Operator(name, custom_gradient, (None,) * len(parents), ())
    op.vjp_all = rule
    # Nothing is saved. The tuple (rather than None) has the engine check every leaf for updates,
    # because the rule may refer to any input.
    saved = (None,) * (1 + len(parents))
    one = attach(op, tuple(parents), saved, None, NO_METADATA, packed, state)
    return rebuild(values, iter(unpack(one, flat)))


def unpack(packed: Tensor, like: list[Any]) -> list[Tensor]:
    """The tensors that were packed into one, in their shapes and dtypes."""
    if len(like) == 1:
        return [packed]
    parts = []
    start = 0
    for one in like:
        end = start + one.size
        part = reshape(getitem(packed, slice(start, end)), one.shape)
        parts.append(part if part.dtype == one.dtype else part.astype(one.dtype))
        start = end
    return parts
