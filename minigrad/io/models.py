"""Whole models on disk: structure and weights, without running code from the file.

A file holds the weights, as :func:`minigrad.save` writes them, and the structure as JSON. A layer
is described by its class and its constructor's arguments, read from the attributes of the same
names; any other module, which is put together from layers, by its attributes. Loading calls the
constructors of the library's layers with plain values, and nothing else.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad import nn
from minigrad.engine.parameter import Parameter
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import flatten, rebuild
from minigrad.io.checkpoints import KIND, VERSION, check_kind, decode, encode, join_path
from minigrad.io.tensors import opened, strict_json, write
from minigrad.lazy import load_late
from minigrad.nn import functional
from minigrad.nn.module import Module
from minigrad.nn.weights import as_parameter, shape_alone, shapes_only

Array: TypeAlias = NDArray[Any]
Layers: TypeAlias = Mapping[str, type[Module]]

#: Arguments that layers got after files of them were written. Where they are not used they are not
#: written, so that earlier versions read the file.
ADDED_LATER = frozenset({"return_indices"})
#: The prefix of arrays that are arguments, not weights.
ARGUMENTS = "arguments/"
#: What values that make no sense may raise.
DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
#: How many weights a description may ask for beyond those in the file, so that they can be listed.
MORE_WEIGHTS = 1000
#: How many paths modules may have besides the first: sharing what is shared doubles them each time.
MORE_PATHS = 10_000
#: How many problems are listed.
MOST_PROBLEMS = 100
#: Names that a file may not assign to: they are Python's, and the module's own records.
RESERVED = frozenset(Module.__slots__)
#: Layers in name only: they are what was put into them.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.TransformerEncoder)


def save_model(
    model: Module, path: str | os.PathLike[str], *, custom_layers: Layers | None = None
) -> None:
    """Write a model built of the library's layers to one file: structure and weights.

    Shared modules and parameters stay shared, frozen parameters frozen, and modules in evaluation
    mode stay in it. Hooks, gradients, and the generator of a dropout layer are not kept. The write
    is atomic. The file is a safetensors file with the keys of ``state_dict()``, which other
    programs can read.

    ``custom_layers``: name -> class for your own Modules. They are restored from their attributes
    (modules, parameters, tensors, numbers, text, functions of ``nn.functional``, and lists, tuples
    and dicts of them); their constructors are not called.

    Raises TypeError that lists every module of another class and every attribute that cannot be
    saved; ValueError if a layer cannot be rebuilt from its constructor's arguments, because its
    weights were replaced by others; and the errors of :func:`minigrad.save`.

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
    layers = _layers(custom_layers, "save_model")
    given: Any = model
    if not isinstance(given, Module):
        hint = "; for a dict of tensors use mg.save" if isinstance(given, Mapping) else ""
        raise TypeError(f"save_model: expected a Module, got {type(given).__name__}{hint}")
    names = {kind: name for name, kind in layers.items()}
    weights = {name: tensor._data for name, tensor in model._state()}
    writer = _Writer(names, weights)
    structure = {
        "root": writer.describe(model, ""),
        "shared": _shared_parameters(model),
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "eval": [name for name, module in model.named_modules() if not module.training],
    }
    _refuse(
        writer.problems,
        TypeError,
        "save_model: only layers of minigrad.nn are saved with their structure. For your own "
        "classes save the weights, mg.save(model.state_dict(), path), or name the classes: "
        "custom_layers={'Name': Name}",
    )
    reader = _Reader(layers, weights, weights)
    reader.rebuild(structure)
    _refuse(
        reader.problems,
        ValueError,
        "save_model: rebuilt from the constructor arguments of its layers, this model would not be "
        "the same; save its weights: mg.save(model.state_dict(), path)",
    )
    metadata = {KIND: "model", "version": VERSION, "structure": json.dumps(structure)}
    write(weights, path, metadata, "save_model")


def load_model(path: str | os.PathLike[str], *, custom_layers: Layers | None = None) -> Module:
    """Build the model that :func:`save_model` wrote, with its weights.

    Only classes of the library and those in ``custom_layers`` (name -> class) are used; no code in
    the file is run. No random numbers are drawn. The shapes that the layers expect are compared
    with those in the file before any weight takes memory.

    Raises FileNotFoundError; and ValueError for a damaged file, a file of another kind or version,
    and for unknown layers, missing and unexpected keys and wrong shapes, all listed at once.

    See :func:`save_model` for an example.
    """
    layers = _layers(custom_layers, "load_model")
    with opened(path, "load_model") as file:
        check_kind(file.metadata, "model", path, "load_model")
        reader = _Reader(layers, file, file.entries)
        try:
            model = reader.rebuild(strict_json(file.metadata["structure"]))
        except DAMAGE as error:
            raise ValueError(f"load_model: {path} is damaged: {error!r:.400}") from error
        _refuse(reader.problems, ValueError, f"load_model: {path} does not fit:")
        for name, tensor in model._state():
            tensor._data = file[name]
            if tensor._node is not None:
                tensor._node.dtype = tensor.dtype  # not all weights may have that of their layer
    return model


def _layers(custom: Any, function: str) -> dict[str, type[Module]]:
    """The classes that a file may name: the library's layers and models, and the caller's own."""
    load_late("minigrad.models")
    parts = [m for name, m in [*sys.modules.items()] if name.startswith("minigrad.models.")]
    found = {name: kind for part in (nn, *parts) for name, kind in vars(part).items()}
    layers = {
        name: kind
        for name, kind in found.items()
        if _is_layer(kind) and kind.__module__.startswith("minigrad.")
    }
    if custom is None:
        return layers
    if not isinstance(custom, Mapping):
        raise TypeError(
            f"{function}: custom_layers maps names to classes, got {type(custom).__name__}; write "
            f"{{'Name': Name}}"
        )
    for name, kind in custom.items():
        if not _is_layer(kind):
            raise TypeError(f"{function}: custom_layers[{name!r}] is not a Module class: {kind!r}")
        if name in layers:
            raise ValueError(f"{function}: {name!r} is a layer of the library; use another name")
    return {**layers, **custom}


def _is_layer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Module) and kind is not Module


def _by_arguments(kind: type[Module]) -> bool:
    """Whether a class is described by its constructor's arguments: a layer of the library."""
    return kind not in CONTAINERS and kind.__module__.startswith("minigrad.nn.")


def _function(name: Any) -> Any:
    """The function of this name in ``nn.functional``, or None."""
    return getattr(functional, name) if name in functional.__all__ else None


def _refuse(problems: list[str], error: type[Exception], head: str) -> None:
    """Raise an error that lists the problems, if there are any."""
    if problems:
        rest = len(problems) - MOST_PROBLEMS
        more = [f"and {rest} more"] if rest > 0 else []
        raise error("\n  ".join([head, *problems[:MOST_PROBLEMS], *more]))


# A description is a list that starts with its kind. Of a module: "layer", its class and arguments;
# "assembled", its class and attributes; "same", the path where it was described. Of the value of an
# attribute: one of these, or "parameter" or "buffer", shape and dtype; "function" and its name;
# "list" or "tuple" and values; "dict" and pairs; "value" and its encoding as in a checkpoint.


# -- from a model to its description ---------------------------------------------------------------


@dataclass
class _Writer:
    """Describes modules; adds tensors that are not weights to the arrays of the file."""

    names: dict[type[Module], str]
    arrays: dict[str, Array]
    problems: list[str] = field(default_factory=list[str])
    paths: dict[int, str] = field(default_factory=dict[int, str])

    def describe(self, value: Any, path: str) -> list[Any]:
        """The description of a module, or of what an attribute holds."""
        if isinstance(value, Module):
            return self.module(value, path)
        if type(value) is Parameter:
            return ["parameter", list(value.shape), value.dtype.name]
        if type(value) in (list, tuple):
            items = [self.describe(one, join_path(path, i)) for i, one in enumerate(value)]
            return ["list" if type(value) is list else "tuple", items]
        if type(value) is dict and all(type(key) in (str, int) for key in value):
            pairs = value.items()
            return ["dict", [[key, self.describe(v, join_path(path, key))] for key, v in pairs]]
        name = getattr(value, "__name__", None)
        if value is not None and value is _function(name):
            return ["function", name]
        return ["value", self.encoded(value, path)]

    def module(self, module: Module, path: str) -> list[Any]:
        """The class of a module, and the arguments or the attributes that make it."""
        if id(module) in self.paths:
            return ["same", self.paths[id(module)]]
        self.paths[id(module)] = path
        kind = type(module)
        if kind not in self.names:
            self.problems.append(f"{path or 'the model'} is of class {kind.__name__}")
            return []
        if _by_arguments(kind):
            arguments = _constructor_arguments(module).items()
            encoded = {name: self.encoded(v, join_path(path, name)) for name, v in arguments}
            return ["layer", self.names[kind], encoded]
        described: dict[str, Any] = {}
        for name, value in vars(module).items():
            if name == "training":
                continue
            if value is not None and module._buffers.get(name):
                described[name] = ["buffer", list(value.shape), value.dtype.name]
                continue
            described[name] = self.describe(value, join_path(path, name))
            if value is not None and name in module._buffers:
                described[name].append("a buffer")
        return ["assembled", self.names[kind], described]

    def encoded(self, value: Any, path: str) -> Any:
        try:
            return encode(value, ARGUMENTS + path, self.arrays)
        except TypeError:
            self.problems.append(
                f"{path} is {type(value).__name__}: expected modules, tensors, numbers, text, "
                f"functions of nn.functional, or lists, tuples and dicts of them"
            )
            return None


def _constructor_arguments(layer: Module) -> dict[str, Any]:
    """The arguments that make a layer of the library: its attributes of the same names."""
    found: dict[str, Any] = {}
    for name, argument in inspect.signature(type(layer)).parameters.items():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if name == "dtype":
            first = next(layer.parameters(), None)
            found[name] = "float32" if first is None else first.dtype.name
            continue
        value = getattr(layer, name)
        if name in ADDED_LATER and value == argument.default:
            continue
        if isinstance(argument.default, bool) and not isinstance(value, bool):
            value = value is not None  # bias=True makes the parameter `bias`
        found[name] = None if isinstance(value, np.random.Generator) else value
    return found


# -- from a description to a model -----------------------------------------------------------------


class _Unknown(Module):
    """Stands where a module cannot be built; nobody knows which weights it has."""


@dataclass
class _Reader:
    """Builds modules from their description; their weights are shapes without memory so far.

    ``entries`` has the shape and dtype of each array of the file.
    """

    layers: dict[str, type[Module]]
    arrays: Mapping[str, Array]
    entries: Mapping[str, Any]
    problems: list[str] = field(default_factory=list[str])
    #: Modules by path; None for those whose parts are being built.
    built: dict[str, Module | None] = field(default_factory=dict[str, "Module | None"])

    def rebuild(self, structure: dict[str, Any]) -> Module:
        """The model, its weights still to be filled in."""
        with shapes_only(len(self.entries) + MORE_WEIGHTS):
            model = self.module(structure["root"], "")
        _check_paths(model)
        self.check_weights(model)
        if not any(type(module) is _Unknown for module in model.modules()):
            _tie_parameters(model, structure["shared"])
        frozen, evaluated = set(structure["frozen"]), set(structure["eval"])
        for name, p in model.named_parameters():
            p.requires_grad = name not in frozen
        for name, module in model.named_modules():
            module.training = name not in evaluated
        return model

    def module(self, description: list[Any], path: str) -> Module:
        """One module with its parts."""
        how, name, *rest = description
        if path in self.built:
            raise ValueError(f"{path!r} is described twice")
        self.built[path] = None
        if how == "same":
            module = self.built.get(name)
            if module is None:
                module = self.unknown(path, f"is to be the same as {name!r}, which is not there")
        elif name not in self.layers:
            module = self.unknown(path, f"unknown layer {name!r}; name it in custom_layers")
        else:
            kind = self.layers[name]
            if (how == "layer") != _by_arguments(kind):
                raise ValueError(f"{path}: {name} is not described by its {how} form")
            build = self.layer if how == "layer" else self.assembled
            module = build(kind, rest[0], path)
        self.built[path] = module
        return module

    def unknown(self, path: str, problem: str) -> Module:
        self.problems.append(f"{path or 'the model'}: {problem}")
        return _Unknown()

    def layer(self, kind: type[Module], arguments: dict[str, Any], path: str) -> Module:
        """A layer of the library, by its constructor."""
        try:
            return kind(**{k: decode(v, self.arrays) for k, v in arguments.items()})
        except DAMAGE as error:
            return self.unknown(path, f"{kind.__name__} cannot be built: {error!r:.400}")

    def assembled(self, kind: type[Module], attributes: dict[str, Any], path: str) -> Module:
        """A module by its attributes; its constructor is not called."""
        module = kind.__new__(kind)
        Module.__init__(module)
        for name, description in attributes.items():
            if name in RESERVED or name.startswith("__"):
                raise ValueError(f"{name!r} is not an attribute of a model")
            value = self.value(description, join_path(path, name))
            how, _, *rest = description
            if how == "buffer" or (how == "value" and rest):
                module.register_buffer(name, value, persistent=how == "buffer")
            else:
                setattr(module, name, value)
        return module

    def value(self, description: list[Any], path: str) -> Any:
        """What an attribute holds."""
        kind, content, *rest = description
        match kind:
            case "parameter" | "buffer":
                tensor: Tensor = Tensor(shape_alone(tuple(content), rest[0]))
                return as_parameter(tensor) if kind == "parameter" else tensor
            case "list" | "tuple":
                items = [self.value(one, join_path(path, i)) for i, one in enumerate(content)]
                return items if kind == "list" else tuple(items)
            case "dict":
                found = {key: self.value(one, join_path(path, key)) for key, one in content}
                if len(found) != len(content) or any(type(key) not in (str, int) for key in found):
                    raise ValueError(f"{path}: its keys are not different strings or integers")
                return found
            case "function":
                function = _function(content)
                if function is None:
                    self.problems.append(f"{path}: unknown function {content!r}")
                return function
            case "value":
                return decode(content, self.arrays)
            case _:
                return self.module(description, path)

    def check_weights(self, model: Module) -> None:
        """Compare the weights that the modules have with those that the file has."""
        known = set()
        for key, tensor in model._state():
            known.add(key)
            entry = self.entries.get(key)
            if entry is None:
                self.problems.append(f"missing {key!r} {tensor.shape}")
            elif entry.shape != tensor.shape:
                self.problems.append(f"{key!r}: expected shape {tensor.shape}, got {entry.shape}")
            elif entry.dtype.kind != tensor.dtype.kind:
                self.problems.append(f"{key!r}: expected {tensor.dtype}, got {entry.dtype}")
        modules = model.named_modules(remove_duplicate=False)
        unknown = [join_path(path, "") for path, one in modules if type(one) is _Unknown]
        for key in sorted(self.entries):
            if key not in known and not key.startswith((ARGUMENTS, *unknown)):
                self.problems.append(f"unexpected {key!r}")


def _check_paths(model: Module) -> None:
    """Refuse a small file whose shared modules, by holding each other, have billions of paths."""
    most = MORE_PATHS + sum(1 for _ in model.modules())
    paths = model.named_modules(remove_duplicate=False)
    if next(itertools.islice(paths, most, None), None) is not None:
        raise ValueError(f"shared modules have more than {MORE_PATHS:,} paths")


def _shared_parameters(model: Module) -> list[list[str]]:
    """The paths of each parameter that has several."""
    paths: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        paths.setdefault(id(p), []).append(name)
    return [names for names in paths.values() if len(names) > 1]


def _tie_parameters(model: Module, groups: list[list[str]]) -> None:
    """Make each group of paths lead to one parameter again."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    shared = {id(parameters[p]): parameters[first] for first, *others in groups for p in others}
    for module in model.modules():
        for name, value in list(vars(module).items()):
            leaves = flatten(value)
            if any(id(leaf) in shared for leaf in leaves):
                one = [shared.get(id(leaf), leaf) for leaf in leaves]
                setattr(module, name, rebuild(value, iter(one)))
