"""Containers: modules that hold modules, in order or by name.

They hold them as attributes, as every module does; the order is that of the attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from minigrad.engine.settings import checked
from minigrad.nn.module import Module


class _Row(Module):
    """Modules in order, held as the attributes "0", "1", ... or by names of their own."""

    def _named(self) -> list[tuple[str, Module]]:
        return [(name, part) for name, part in self.__dict__.items() if isinstance(part, Module)]

    def _check(self, module: Any) -> None:
        if not isinstance(module, Module):
            hint = f"; write {module.__name__}()" if isinstance(module, type) else ""
            if isinstance(module, (list, tuple)):
                hint = f"; write {type(self).__name__}(*layers)"
            raise TypeError(
                f"{type(self).__name__}: expected a Module, got {type(module).__name__}{hint}"
            )

    def _name_at(self, index: int) -> str:
        named = self._named()
        if not -len(named) <= index < len(named):
            raise IndexError(
                f"{type(self).__name__}: index {index} is out of range for {len(named)} modules"
            )
        return named[index][0]

    def _renew(self, modules: Iterable[Module]) -> None:
        """Hold these modules instead, numbered from 0."""
        given = list(modules)
        for name, _ in self._named():
            delattr(self, name)
        for module in given:
            self.append(module)

    @checked()
    def append(self, module: Module) -> Self:
        """Add a module at the end; returns the container."""
        self._check(module)
        setattr(self, str(len(self)), module)
        return self

    @checked()
    def extend(self, modules: Iterable[Module]) -> Self:
        """Add these modules at the end; returns the container."""
        for module in list(modules):
            self.append(module)
        return self

    @checked()
    def insert(self, index: int, module: Module) -> Self:
        """Insert a module before the one at ``index``; the modules are renumbered."""
        self._check(module)
        modules = list(self)
        modules.insert(index, module)
        self._renew(modules)
        return self

    @checked()
    def pop(self, index: int = -1) -> Module:
        """Remove a module and return it; the modules are renumbered."""
        module: Module = self[index]
        del self[index]
        return module

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._named()])

    def __contains__(self, module: object) -> bool:
        return any(one is module for one in self)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part: Any = type(self)()
            for name, module in self._named()[index]:
                part.append(module) if name.isdigit() else setattr(part, name, module)
            return part
        return self.__dict__[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self._check(module)
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        named = self._named()
        gone = named[index] if isinstance(index, slice) else [(self._name_at(index), None)]
        for name, _ in gone:
            delattr(self, name)
        rest = self._named()
        if all(name.isdigit() for name, _ in rest):
            self._renew([module for _, module in rest])


class Sequential(_Row):
    """Modules run one after the other, each on the output of the one before.

    ``Sequential(a, b)`` numbers them "0", "1"; a dict (or OrderedDict) names them; ``add`` adds
    one at the end. Slices are Sequentials of the same modules. As ``torch.nn.Sequential``.

    Raises TypeError if an argument is not a Module.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU()).add(nn.Linear(8, 2), name="head")
    >>> model(mg.zeros((5, 4))).shape
    (5, 2)
    >>> model.head
    Linear(in_features=8, out_features=2, bias=True)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add(module, name)
        else:
            for each in modules:
                self._check(each)
                self.add(each)  # type: ignore[arg-type]

    @checked()
    def add(self, module: Module, name: str | None = None) -> Self:
        """Add a module at the end, under a name if one is given; returns the Sequential."""
        if name is None:
            return self.append(module)
        self._check(module)
        self.add_module(name, module)
        return self

    def __getattr__(self, name: str) -> Any:
        # Tells type checkers that there are attributes by name; runs only where there is none.
        return super().__getattr__(name)  # type: ignore[misc]  # type checkers see none

    def forward(self, x: Any) -> Any:
        """Run the modules in order."""
        for part in list(self.__dict__.values()):
            if isinstance(part, Module):
                x = part(x)
        return x


class ModuleList(_Row):
    """A list of modules; for attributes, a plain list does as well. It is not called.

    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    @checked()
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class ModuleDict(Module):
    """A dict of modules; for attributes, a plain dict does as well. It is not called.

    Raises KeyError, with a list of the names, for a name that it does not have.

    >>> heads = nn.ModuleDict({"left": nn.Linear(2, 1), "right": nn.Linear(2, 1)})
    >>> list(heads.keys())
    ['left', 'right']
    """

    @checked()
    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def _named(self) -> dict[str, Module]:
        return {name: part for name, part in self.__dict__.items() if isinstance(part, Module)}

    def __getitem__(self, key: str) -> Any:
        named = self._named()
        if key not in named:
            known = ", ".join(map(repr, named))
            raise KeyError(f"ModuleDict has no module {key!r}; known are {known or 'none'}")
        return named[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __contains__(self, key: object) -> bool:
        return key in self._named()

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._named().keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._named().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and module."""
        return self._named().items()

    @checked()
    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add these modules, replacing those of the same name."""
        for key, module in dict(modules).items():
            self[key] = module

    @checked()
    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        module: Module = self[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self):
            del self[key]
