"""Module: a part of a model, with its parameters, buffers and submodules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minigrad.node import MODE, Leaf, Mode
from minigrad.parameter import Parameter
from minigrad.tensor import Tensor


class Module:
    """Base of layers and models, after ``torch.nn.Module``.

    Parameters, modules, and lists and dicts of modules that are assigned to an attribute register
    themselves. Subclasses write ``forward``; call the module itself to run it.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(mg.ones(2))
    tensor([2., 2.], op=multiply)
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _modules: dict[str, Module | None]
    _buffers: dict[str, Tensor | None]

    def __init__(self) -> None:
        for name in ("_parameters", "_modules", "_buffers"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; written by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``; what it records carries this module's path."""
        mode = MODE.get()
        scope = mode.scope
        # The path of a module is the name its parent holds it by, given by _register_module.
        name = self.__dict__.get("_name", "")
        path = f"{scope}.{name}" if scope and name else scope or name
        token = MODE.set(Mode(mode.recording, mode.tapes, path, mode.inspect))
        try:
            return self.forward(*args, **kwargs)
        finally:
            MODE.reset(token)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        for registry in (self._parameters, self._modules, self._buffers):
            registry.pop(name, None)
        self.__dict__.pop(name, None)
        if isinstance(value, Parameter):
            self._parameters[name] = value
            if type(value._node) is Leaf and not value._node.name:
                value._node.name = name
        elif isinstance(value, Module):
            value.__dict__["_name"] = name
            self._modules[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_modules", "_buffers"):
            found = self.__dict__.get(registry, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths; shared ones once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            children = [
                (f"{path}.{name}" if path else name, child)
                for name, child in module._modules.items()
                if child is not None
            ]
            stack.extend(reversed(children))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; shared ones once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, parameter in module._parameters.items():
                if parameter is not None and id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield (f"{path}.{name}" if path else name), parameter

    def parameters(self) -> Iterator[Parameter]:
        """All parameters; shared ones once."""
        return (parameter for _, parameter in self.named_parameters())

    def apply(self, function: Callable[[Module], None]) -> Module:
        """Call ``function`` on every module, children first."""
        for _, module in reversed(list(self.named_modules())):
            function(module)
        return self
