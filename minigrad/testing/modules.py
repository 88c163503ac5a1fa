"""A module as a function of its arguments and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.engine.tensor import Tensor
from minigrad.testing.subject import Subject, argument_names, paths


def is_module(f: Callable[..., Any]) -> bool:
    """Whether f has parameters that it would be a pity not to check."""
    return callable(getattr(f, "named_parameters", None))


def of_module(module: Any, args: tuple[Any, ...], name: str) -> Subject:
    """The module with its parameters as the last argument.

    While it runs, each parameter stands for the tensor given in its place: same value, same
    history. Afterwards it is what it was.
    """
    parameters: dict[str, Tensor] = dict(module.named_parameters())
    waiting = [key for key, p in parameters.items() if hasattr(p, "materialize")]
    if waiting:
        raise ValueError(
            f"{name}: {', '.join(waiting)} have no values before the first batch; call the module "
            f"once, then check it"
        )

    def call(*given: Any) -> Any:
        *rest, tensors = given
        before = {key: (p._data, p._node) for key, p in parameters.items()}
        try:
            for key, p in parameters.items():
                p._data, p._node = tensors[key]._data, tensors[key]._node
            return module(*rest)
        finally:
            for key, p in parameters.items():
                p._data, p._node = before[key]

    labels = [
        label
        for arg, top in zip(args, argument_names(module, args), strict=True)
        for label in paths(arg, top)
    ]
    values = {key: Tensor(p._data.copy()) for key, p in parameters.items()}
    labels += [f"parameter {key}" for key in parameters]
    return Subject(call, (*args, values), name, labels)
