"""A module as a function of its parameters, for derivatives with respect to them.

During the call the module holds the given tensors in place of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from minigrad.engine.checkpoint import also_when_recomputed
from minigrad.engine.settings import checked
from minigrad.engine.switches import afterwards
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.engine.tree import flatten, map_leaves
from minigrad.nn.module import Module


@checked()
def functional_call(
    module: Module, parameters: Mapping[str, ArrayLike], *args: Any, **kwargs: Any
) -> Any:
    """``module(*args, **kwargs)`` with other values in place of these parameters and buffers.

    Use it to differentiate with respect to the parameters, e.g. with ``mg.hessian`` or ``mg.jvp``.
    The module is unchanged afterwards. Shared parameters are replaced everywhere. Do not call it
    for one module in several threads at once. After ``torch.func.functional_call``.

    Raises KeyError for an unknown name, ValueError if a shape differs.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> f = lambda w: nn.functional_call(layer, {"weight": w}, mg.tensor([[3.0, 4.0]])).sum()
    >>> mg.grad(f)(mg.ones((1, 2)))
    tensor([[3., 4.]])
    """
    own: dict[str, Tensor] = {**dict(module.named_buffers()), **dict(module._state())}
    replacement: dict[int, Tensor] = {}
    for name, value in parameters.items():
        if name not in own:
            raise KeyError(
                f"functional_call: no parameter or buffer {name!r}; known are {', '.join(own)}"
            )
        tensor = as_tensor(value)
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"functional_call: {name!r} has shape {own[name].shape}, got {tensor.shape}"
            )
        replacement[id(own[name])] = tensor
    with also_when_recomputed(lambda: _holding(module, replacement)):
        return module(*args, **kwargs)


@contextmanager
def _holding(module: Module, replacement: Mapping[int, Tensor]) -> Generator[None]:
    """Within the block, the module holds these tensors in place of its own."""
    before: list[tuple[Module, str, Any]] = []

    def undo() -> None:
        for one, attribute, held in before:
            one.__dict__[attribute] = held

    with afterwards(undo):
        for one in module.modules():
            for attribute, held in list(one.__dict__.items()):
                if any(id(leaf) in replacement for leaf in flatten(held)):
                    before.append((one, attribute, held))
                    one.__dict__[attribute] = map_leaves(
                        lambda leaf: replacement.get(id(leaf), leaf), held
                    )
        yield
