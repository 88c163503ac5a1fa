"""Whole models on disk: structure and weights, without running code from the file.

A file holds the weights, as :func:`minigrad.save` writes them, and beside them the structure as
JSON: for each layer its class and the arguments that its constructor takes. Loading calls the
constructors of known classes and nothing else. The arguments are read off the attributes of the
same names, so that a layer says nothing twice: what it was made with is what it holds.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from minigrad import nn
from minigrad.checkpoint_files import KIND, check_kind, decode, encode
from minigrad.files import read, write
from minigrad.nn.module import Module
from minigrad.node import Leaf
from minigrad.parameter import Parameter
from minigrad.random import default_generator
from minigrad.tensor import Tensor

__all__ = ["load_model", "save_model"]

Array = NDArray[Any]
Layers = Mapping[str, type[Module]]

VERSION = "1"
#: Where arrays that are arguments stand, apart from the weights.
ARGUMENTS = "arguments/"
#: Modules that hold what was put into them; of all others the constructor makes the parts.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def save_model(
    model: Module, path: str | os.PathLike[str], *, custom_layers: Layers | None = None
) -> None:
    """Write a model built of the library's layers to one file: structure and weights.

    Kept are also: what is shared, what is frozen, and which modules are in evaluation mode. Not
    kept: hooks, gradients, and a generator given to a dropout layer. The write is atomic. The file
    is a safetensors file under the keys of ``state_dict()``, which other programs can read.

    ``custom_layers``: name -> class for Modules of your own. Their constructor's arguments must be
    attributes of the same names (numbers, text, tensors, Modules, and lists of the former), or
    what a method ``config()`` returns as a dict.

    Raises TypeError that lists every module of another class; ValueError for a model that its
    description would not bring back, and as :func:`minigrad.save`.

    >>> import minigrad as mg, tempfile, os
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> mg.save_model(model, path)
    >>> again = mg.load_model(path)
    >>> x = mg.ones((1, 4))
    >>> bool((again(x) == model(x)).all())
    True
    """
    layers = _known(custom_layers, "save_model")
    given: Any = model
    if not isinstance(given, Module):
        hint = "; for a dict of tensors use mg.save" if isinstance(given, Mapping) else ""
        raise TypeError(f"save_model: expected a Module, got {type(given).__name__}{hint}")
    weights = {name: tensor._data for name, tensor in model._state()}
    writer = _Writer(layers, weights)
    structure = {
        "root": writer.describe(model, ""),
        "shared": _shared_parameters(model),
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "eval": [name for name, module in model.named_modules() if not module.training],
    }
    if writer.problems:
        raise TypeError(
            _listed(
                "save_model: only layers of minigrad.nn are saved with their structure. For your "
                "own classes save the weights, mg.save(model.state_dict(), path), or name the "
                "classes: custom_layers={'Name': Name}",
                writer.problems,
            )
        )
    reader = _Reader(layers, weights)
    reader.rebuild(structure)
    if reader.problems:
        raise ValueError(
            _listed(
                "save_model: built from the arguments that its layers hold, this model would not "
                "be the same; save its weights: mg.save(model.state_dict(), path)",
                reader.problems,
            )
        )
    metadata = {KIND: "model", "version": VERSION, "structure": json.dumps(structure)}
    write(weights, path, metadata, "save_model")


def load_model(path: str | os.PathLike[str], *, custom_layers: Layers | None = None) -> Module:
    """Build the model that :func:`save_model` wrote, with its weights.

    Only the classes of ``minigrad.nn`` and those in ``custom_layers`` (name -> class) are called;
    no code in the file is run. The library's random numbers go on as if nothing had been built.

    Raises FileNotFoundError, and ValueError for a damaged file, another kind or version of file,
    and, all listed at once, unknown layers, missing and extra keys and wrong shapes.
    """
    layers = _known(custom_layers, "load_model")
    arrays, metadata = read(path, "load_model")
    check_kind(metadata, "model", VERSION, path, "load_model")
    reader = _Reader(layers, arrays)
    try:
        model = reader.rebuild(json.loads(metadata["structure"]))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"load_model: {path} is damaged: {error!r}") from error
    if reader.problems or model is None:
        raise ValueError(_listed(f"load_model: {path} does not fit:", reader.problems))
    for name, tensor in model._state():
        _fill(tensor, arrays[name])
    return model


def _known(custom: Any, function: str) -> dict[str, type[Module]]:
    """The classes a file may name."""
    layers: dict[str, type[Module]] = {}
    for name in nn.__all__:
        found = getattr(nn, name)
        if isinstance(found, type) and issubclass(found, Module) and found is not Module:
            layers[name] = found
    if custom is None:
        return layers
    if not isinstance(custom, Mapping):
        raise TypeError(
            f"{function}: custom_layers maps names to classes, got {type(custom).__name__}; write "
            f"{{'Name': Name}}"
        )
    for name, found in custom.items():
        if not isinstance(found, type) or not issubclass(found, Module):
            raise TypeError(f"{function}: custom_layers[{name!r}] is no Module class: {found!r}")
        if name in layers:
            raise ValueError(
                f"{function}: {name!r} is a layer of the library; name yours otherwise"
            )
    return {**layers, **custom}


def _listed(head: str, problems: list[str]) -> str:
    return "\n  ".join([head, *problems])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shared_parameters(model: Module) -> list[list[str]]:
    """The paths of each parameter that has several."""
    paths: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        paths.setdefault(id(p), []).append(name)
    return [names for names in paths.values() if len(names) > 1]


def _arguments(kind: type[Module]) -> Iterator[inspect.Parameter]:
    """What the constructor takes by name."""
    for argument in inspect.signature(kind).parameters.values():
        if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            yield argument


# -- from a model to its description ---------------------------------------------------------------


class _Writer:
    """Describes modules; puts arrays that are arguments among the others, collects problems."""

    def __init__(self, layers: dict[str, type[Module]], arrays: dict[str, Array]) -> None:
        self.names = {kind: name for name, kind in layers.items()}
        self.arrays = arrays
        self.paths: dict[int, str] = {}
        self.problems: list[str] = []

    def describe(self, module: Module, path: str) -> dict[str, Any]:
        """The class of a module, and the arguments or the parts that make it."""
        if id(module) in self.paths:
            return {"same as": self.paths[id(module)]}
        self.paths[id(module)] = path
        kind = type(module)
        if kind not in self.names:
            self.problems.append(f"{path or 'the model'} is of class {kind.__name__}")
            return {}
        if kind in CONTAINERS:
            parts = [[name, self.describe(part, _join(path, name))] for name, part in _held(module)]
            return {"layer": self.names[kind], "parts": parts}
        return {"layer": self.names[kind], "config": self.config(module, path)}

    def config(self, module: Module, path: str) -> dict[str, Any]:
        """The constructor's arguments."""
        if callable(getattr(module, "config", None)):
            given = cast(Any, module).config()
        else:
            given = {a.name: self.argument(module, a, path) for a in _arguments(type(module))}
        found: dict[str, Any] = {}
        for name, value in given.items():
            place = _join(path, name)
            if isinstance(value, Module):
                found[name] = {"module": self.describe(value, place)}
                continue
            try:
                found[name] = {"value": encode(value, ARGUMENTS + place, self.arrays)}
            except TypeError as error:
                self.problems.append(f"{path or 'the model'}: argument {name!r}: {error}")
        return found

    def argument(self, module: Module, argument: inspect.Parameter, path: str) -> Any:
        """An argument as the module holds it."""
        name = argument.name
        if name == "dtype":
            first = next(module.parameters(), None)
            return "float32" if first is None else first.dtype.name
        if not hasattr(module, name):
            self.problems.append(
                f"{path or 'the model'}: {type(module).__name__} takes an argument {name!r} that "
                f"is no attribute; keep it as self.{name}, or write a method config()"
            )
            return None
        value = getattr(module, name)
        if isinstance(argument.default, bool) and not isinstance(value, bool):
            return value is not None  # bias=True makes the parameter `bias`
        if isinstance(value, np.random.Generator):
            return None
        return value


def _held(module: Module) -> list[tuple[str, Module]]:
    """The modules put into a container, the same one twice if it is there twice."""
    return [(name, part) for name, part in module._parts() if isinstance(part, Module)]


# -- from a description to a model -----------------------------------------------------------------


class _Reader:
    """Builds modules from their description, and collects all that does not fit."""

    def __init__(self, layers: dict[str, type[Module]], arrays: dict[str, Array]) -> None:
        self.layers = layers
        self.arrays = arrays
        self.problems: list[str] = []
        self.built: dict[str, Module] = {}
        #: Modules in whose place nothing could be built, and the largest that could.
        self.unknown: list[str] = []
        self.whole: list[tuple[str, Module]] = []

    def rebuild(self, structure: dict[str, Any]) -> Module | None:
        """The model, still with weights of its own; None, or ``problems``, when it does not fit."""
        random = default_generator().bit_generator
        before = random.state
        try:
            model = self.build(structure["root"], "")
        finally:
            random.state = before
        if model is not None:
            self.whole = [("", model)]
            self.share(model, structure["shared"])
            for name, p in model.named_parameters():
                p.requires_grad = name not in structure["frozen"]
            for name, module in model.named_modules():
                module.training = name not in structure["eval"]
        self.check_keys()
        return model

    def build(self, node: dict[str, Any], path: str) -> Module | None:
        """One module with its parts, or None."""
        if "same as" in node:
            first = node["same as"]
            if first not in self.built and first not in self.unknown:
                self.fail(path, f"is to be the same as {first!r}, which is not there")
            return self.built.get(first)
        kind = self.layers.get(node["layer"])
        if kind is None:
            known = [name for name in self.layers if name not in nn.__all__]
            hint = f"; custom_layers names {', '.join(known)}" if known else ""
            self.fail(path, f"unknown layer {node['layer']!r}{hint}")
            return None
        if kind in CONTAINERS:
            module = self.build_container(kind, node["parts"], path)
        else:
            module = self.build_layer(kind, node["config"], path)
        if module is not None:
            self.built[path] = module
        return module

    def build_container(self, kind: type[Module], parts: Any, path: str) -> Module | None:
        places = [(name, _join(path, name)) for name, _ in parts]
        made = [
            self.build(node, place) for (_, node), (_, place) in zip(parts, places, strict=True)
        ]
        if any(part is None for part in made):
            self.keep_whole(zip(places, made, strict=True))
            return None
        module = kind()
        for (name, _), part in zip(places, made, strict=True):
            module.add_module(name, part)
        return module

    def build_layer(self, kind: type[Module], config: Any, path: str) -> Module | None:
        arguments: dict[str, Any] = {}
        parts: list[tuple[tuple[str, str], Module | None]] = []
        for name, value in config.items():
            if "module" in value:
                place = _join(path, name)
                arguments[name] = part = self.build(value["module"], place)
                parts.append(((name, place), part))
            else:
                arguments[name] = decode(value["value"], self.arrays)
        if any(part is None for _, part in parts):
            self.keep_whole(iter(parts))
            self.unknown.append(path)
            return None
        try:
            return kind(**arguments)
        except (ArithmeticError, AttributeError, LookupError, MemoryError) as error:
            self.fail(path, f"{kind.__name__} cannot be built: {error!r}")
        except (RuntimeError, TypeError, ValueError) as error:
            self.fail(path, f"{kind.__name__} cannot be built: {error}")
        return None

    def keep_whole(self, parts: Any) -> None:
        """Remember what was built of a module that was not, to check its weights all the same."""
        self.whole += [(place, part) for (_, place), part in parts if part is not None]

    def fail(self, path: str, problem: str) -> None:
        self.unknown.append(path)
        self.problems.append(f"{path or 'the model'}: {problem}")

    def share(self, model: Module, groups: list[list[str]]) -> None:
        """Make one parameter of those that were one."""
        for first, *others in groups:
            parameter = _holder(model, first)[-1]
            for path in others:
                module, name, found = _holder(model, path)
                if found is not parameter and found.shape == parameter.shape:
                    setattr(module, name, parameter)

    def check_keys(self) -> None:
        """Compare the weights that the modules have with those that the file has."""
        claimed: set[str] = set()
        for path, module in self.whole:
            for name, tensor in module._state():
                key = _join(path, name)
                claimed.add(key)
                array = self.arrays.get(key)
                if array is None:
                    self.problems.append(f"missing {key!r} {tensor.shape}")
                elif array.shape != tensor.shape:
                    self.problems.append(
                        f"{key!r}: expected shape {tensor.shape}, got {array.shape}"
                    )
                elif array.dtype.kind != tensor.dtype.kind:
                    self.problems.append(f"{key!r}: expected {tensor.dtype}, got {array.dtype}")
        for key in self.arrays:
            below = any(not path or key.startswith(f"{path}.") for path in self.unknown)
            if key not in claimed and not key.startswith(ARGUMENTS) and not below:
                self.problems.append(f"unexpected {key!r}")


def _holder(model: Module, path: str) -> tuple[Module, str, Parameter]:
    """The module that holds the parameter at this path, its name there, and the parameter."""
    for owner, module in model.named_modules(remove_duplicate=False):
        for name, part in module._parts():
            if isinstance(part, Parameter) and _join(owner, name) == path:
                return module, name, part
    raise KeyError(path)


def _fill(tensor: Tensor, array: Array) -> None:
    """Give a tensor of a new model its value, and the dtype that comes with it."""
    node = tensor._node
    tensor._data = array
    if isinstance(node, Leaf) and node.dtype != array.dtype:
        tensor._node = None
        tensor.requires_grad = True
        cast(Leaf, tensor._node).name = node.name
