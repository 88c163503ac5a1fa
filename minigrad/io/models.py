"""Whole models on disk: structure and weights, without running code from the file.

A file holds the weights, as :func:`minigrad.save` writes them, and beside them the structure as
JSON. A layer is described by its class and its constructor's arguments, read off the attributes of
the same names; any other module, which is put together from layers, by its attributes. Loading
calls the constructors of the library's layers with plain values, and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from minigrad import nn
from minigrad.engine.node import Leaf
from minigrad.engine.parameter import Parameter
from minigrad.engine.tensor import Tensor
from minigrad.io.checkpoints import KIND, check_kind, decode, encode
from minigrad.io.tensors import DTYPES, opened, strict_json, write
from minigrad.nn import functional
from minigrad.nn.module import Module
from minigrad.nn.weights import TooManyError, as_parameter, shape_alone, shapes_only

__all__ = ["load_model", "save_model"]

Array = NDArray[Any]
Layers = Mapping[str, type[Module]]

VERSION = "1"
#: Where arrays that are arguments stand, apart from the weights.
ARGUMENTS = "arguments/"
#: What values that make no sense may raise.
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
#: How many weights a description may ask for beyond those in the file, so that they can be listed.
MORE_WEIGHTS = 1000
#: How many paths modules may have besides the first: sharing what is shared doubles them each time.
MORE_PATHS = 10_000
#: How many problems are listed.
MOST_PROBLEMS = 100
#: Names that a file may not assign to: they are Python's, and the module's own records.
RESERVED = frozenset(Module.__slots__)
#: Layers in name only: what they are is what was put into them.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def save_model(
    model: Module, path: str | os.PathLike[str], *, custom_layers: Layers | None = None
) -> None:
    """Write a model built of the library's layers to one file: structure and weights.

    Kept are also: what is shared, what is frozen, and which modules are in evaluation mode. Not
    kept: hooks, gradients, and a generator given to a dropout layer. The write is atomic. The file
    is a safetensors file under the keys of ``state_dict()``, which other programs can read.

    ``custom_layers``: name -> class for Modules of your own. They come back by their attributes
    (modules, parameters, tensors, numbers, text, functions of ``nn.functional``, and lists, tuples
    and dicts of them); their constructors are not called.

    Raises TypeError that lists every module of another class and every attribute that cannot be
    kept; ValueError for a layer that its arguments would not bring back, and as
    :func:`minigrad.save`.

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
    reader = _Reader(layers, weights, weights)
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

    Only classes of the library and those in ``custom_layers`` (name -> class) are used; no code in
    the file is run. No random numbers are drawn. The shapes that the layers ask for are compared
    with those in the file before any weight takes memory.

    Raises FileNotFoundError, and ValueError for a damaged file, another kind or version of file,
    and, all listed at once, unknown layers, missing and extra keys and wrong shapes.

    See :func:`save_model` for an example.
    """
    layers = _known(custom_layers, "load_model")
    with opened(path, "load_model") as file:
        check_kind(file.metadata, "model", VERSION, path, "load_model")
        reader = _Reader(layers, file.arrays, file.arrays.entries)
        try:
            model = reader.rebuild(strict_json(file.metadata["structure"]))
        except (*DAMAGE, RecursionError) as error:
            raise ValueError(f"load_model: {path} is damaged: {error!r:.400}") from error
        if reader.problems or model is None:
            raise ValueError(_listed(f"load_model: {path} does not fit:", reader.problems))
        for name, tensor in model._state():
            _fill(tensor, file.arrays[name])
    return model


def _known(custom: Any, function: str) -> dict[str, type[Module]]:
    """The classes a file may name: the library's layers and models, and those given."""
    importlib.import_module("minigrad.models")
    parts = [m for name, m in sys.modules.items() if name.startswith("minigrad.models.")]
    found = {name: getattr(nn, name) for name in nn.__all__}
    for part in parts:
        found.update((k, v) for k, v in vars(part).items() if _made_in(v, part.__name__))
    layers = {name: kind for name, kind in found.items() if _is_layer(kind)}
    if custom is None:
        return layers
    if not isinstance(custom, Mapping):
        raise TypeError(
            f"{function}: custom_layers maps names to classes, got {type(custom).__name__}; write "
            f"{{'Name': Name}}"
        )
    for name, kind in custom.items():
        if not _is_layer(kind):
            raise TypeError(f"{function}: custom_layers[{name!r}] is no Module class: {kind!r}")
        if name in layers:
            raise ValueError(
                f"{function}: {name!r} is a layer of the library; name yours otherwise"
            )
    return {**layers, **custom}


def _is_layer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Module) and kind is not Module


def _made_in(kind: Any, module: str) -> bool:
    return getattr(kind, "__module__", None) == module


def _by_arguments(kind: type[Module]) -> bool:
    """Whether a class is described by its constructor's arguments: a layer of the library."""
    return kind not in CONTAINERS and kind.__module__.startswith("minigrad.nn.")


def _is_function(value: Any, name: str) -> bool:
    """Whether this is the function of this name in ``nn.functional``."""
    return (
        inspect.isroutine(value)
        and not name.startswith("_")
        and getattr(functional, name, None) is value
        and value.__module__.startswith("minigrad.")
    )


def _listed(head: str, problems: list[str]) -> str:
    more = len(problems) - MOST_PROBLEMS
    rest = [f"and {more} more"] if more > 1 else problems[MOST_PROBLEMS:]
    return "\n  ".join([head, *problems[:MOST_PROBLEMS], *rest])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shared_parameters(model: Module) -> list[list[str]]:
    """The paths of each parameter that has several."""
    paths: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        paths.setdefault(id(p), []).append(name)
    return [names for names in paths.values() if len(names) > 1]


# A description is a list that starts with its kind. Of a module: "layer", its class and arguments;
# "assembled", its class and attributes; "same", the path where it was described. Of the value of an
# attribute: one of these, or "parameter" or "buffer", shape and dtype; "function" and its name;
# "list" or "tuple" and values; "dict" and pairs; "value" and what encode makes of it.


# -- from a model to its description ---------------------------------------------------------------


class _Writer:
    """Describes modules; puts arrays that are no weights among the others, collects problems."""

    def __init__(self, layers: dict[str, type[Module]], arrays: dict[str, Array]) -> None:
        self.names = {kind: name for name, kind in layers.items()}
        self.arrays = arrays
        self.paths: dict[int, str] = {}
        self.problems: list[str] = []

    def describe(self, module: Module, path: str) -> list[Any]:
        """The class of a module, and the arguments or the attributes that make it."""
        if id(module) in self.paths:
            return ["same", self.paths[id(module)]]
        self.paths[id(module)] = path
        kind = type(module)
        if kind not in self.names:
            self.problems.append(f"{path or 'the model'} is of class {kind.__name__}")
            return []
        if _by_arguments(kind):
            return ["layer", self.names[kind], self.arguments(module, path)]
        attributes = {
            name: self.attribute(module, name, value, _join(path, name))
            for name, value in vars(module).items()
            if name != "training"
        }
        return ["assembled", self.names[kind], attributes]

    def arguments(self, module: Module, path: str) -> dict[str, Any]:
        """The constructor's arguments, as the module holds them."""
        found: dict[str, Any] = {}
        for argument in inspect.signature(type(module)).parameters.values():
            name = argument.name
            if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                continue
            if name == "dtype":
                first = next(module.parameters(), None)
                value: Any = "float32" if first is None else first.dtype.name
            else:
                value = getattr(module, name)
                if isinstance(argument.default, bool) and not isinstance(value, bool):
                    value = value is not None  # bias=True makes the parameter `bias`
                if isinstance(value, np.random.Generator):
                    value = None
            found[name] = self.encoded(value, _join(path, name))
        return found

    def attribute(self, module: Module, name: str, value: Any, place: str) -> list[Any]:
        """The value of an attribute."""
        if name in module._buffers and value is not None:
            if module._buffers[name]:
                return ["buffer", list(value.shape), value.dtype.name]
            return ["value", self.encoded(value, place), "a buffer"]
        return self.value(value, place)

    def value(self, value: Any, place: str) -> list[Any]:
        """A value of an attribute, or inside of one."""
        if isinstance(value, Module):
            return self.describe(value, place)
        if type(value) is Parameter:
            return ["parameter", list(value.shape), value.dtype.name]
        if type(value) in (list, tuple):
            items = [self.value(one, f"{place}.{i}") for i, one in enumerate(value)]
            return ["list" if type(value) is list else "tuple", items]
        if type(value) is dict:
            pairs = [[key, self.value(one, f"{place}.{key}")] for key, one in value.items()]
            if all(type(key) in (str, int) for key in value):
                return ["dict", pairs]
        name = getattr(value, "__name__", "")
        if _is_function(value, name):
            return ["function", name]
        return ["value", self.encoded(value, place)]

    def encoded(self, value: Any, place: str) -> Any:
        try:
            return encode(value, ARGUMENTS + place, self.arrays)
        except TypeError:
            self.problems.append(
                f"{place} is {type(value).__name__}: expected modules, tensors, numbers, text, "
                f"functions of nn.functional, or lists, tuples and dicts of them"
            )
            return None


# -- from a description to a model -----------------------------------------------------------------


class UnfitError(Exception):
    """A part cannot be built; why stands among the problems."""


class GaveUpError(Exception):
    """So much does not fit that the rest is not looked at."""


class _Reader:
    """Builds modules from their description, and collects all that does not fit."""

    def __init__(
        self,
        layers: dict[str, type[Module]],
        arrays: Mapping[str, Array],
        entries: Mapping[str, Any],
    ) -> None:
        self.layers = layers
        self.arrays = arrays
        #: Of each array its shape and dtype.
        self.entries = entries
        self.problems: list[str] = []
        self.built: dict[str, Module] = {}
        self.begun: set[str] = set()
        #: How many paths there are so far, and below each module; and how many by sharing.
        self.paths = 0
        self.paths_below: dict[str, int] = {}
        self.shared_paths = 0
        #: The weights that were described, by path, also of modules that could not be built.
        self.tensors: dict[str, Tensor] = {}
        #: Modules that could not be built; of the opaque ones nobody knows what weights they have.
        self.failed: set[str] = set()
        self.opaque: set[str] = set()

    def rebuild(self, structure: dict[str, Any]) -> Module | None:
        """The model, its weights still to be filled in; ``problems`` tells what does not fit."""
        model = None
        frozen, evaluated = set(_names(structure["frozen"])), set(_names(structure["eval"]))
        try:
            with contextlib.suppress(UnfitError), shapes_only(len(self.entries) + MORE_WEIGHTS):
                model = self.module(structure["root"], "")
                self.share(model, [_names(group) for group in structure["shared"]])
        except GaveUpError:
            self.problems[MOST_PROBLEMS:] = ["and more; the rest was not looked at"]
            return None
        if model is not None:
            for name, p in model.named_parameters():
                p.requires_grad = name not in frozen
            for name, module in model.named_modules():
                module.training = name not in evaluated
        self.check_keys()
        return model

    def module(self, description: list[Any], path: str) -> Module:
        """One module with its parts."""
        how, name, *rest = description
        if path in self.begun:
            raise ValueError(f"{path!r} is described twice")
        self.begun.add(path)
        before = self.paths
        self.paths += 1
        if how == "same":
            if name in self.built:
                self.paths += self.paths_below[name]
                self.shared_paths += 1 + self.paths_below[name]
                if self.shared_paths > MORE_PATHS:
                    raise ValueError(f"shared modules have more than {MORE_PATHS:,} paths")
                self.claim(self.built[name], path)
                return self.built[name]
            if name in self.failed:
                self.opaque.add(path)
                raise UnfitError
            raise self.unfit(path, f"is to be the same as {name!r}, which is not there")
        kind = self.layers.get(name)
        if kind is None:
            raise self.unfit(path, f"unknown layer {name!r}; name it in custom_layers")
        if (how == "layer") != _by_arguments(kind):
            raise self.unfit(path, f"{name} is not described by its {how} form")
        build = self.layer if how == "layer" else self.assembled
        self.built[path] = module = build(kind, rest[0], path)
        self.paths_below[path] = self.paths - before - 1
        return module

    def layer(self, kind: type[Module], arguments: dict[str, Any], path: str) -> Module:
        """A layer of the library, by its constructor."""
        try:
            _check_dtype(arguments.get("dtype", "float32"))
            module = kind(**{k: decode(v, self.arrays) for k, v in arguments.items()})
            self.claim(module, path)
            return module
        except TooManyError as error:
            raise ValueError(f"{path or 'the model'}: {kind.__name__}: {error}") from None
        except DAMAGE as error:
            raise self.unfit(path, f"{kind.__name__} cannot be built: {error!r:.400}") from None

    def assembled(self, kind: type[Module], attributes: dict[str, Any], path: str) -> Module:
        """A module by its attributes; those that fail do not keep the rest from being looked at."""
        module = kind.__new__(kind)
        Module.__init__(module)
        failed = False
        for name, description in attributes.items():
            if name in RESERVED or name.startswith("__"):
                raise ValueError(f"{name!r} is no attribute of a model")
            try:
                value = self.value(description, _join(path, name))
                if description[0] == "buffer":
                    module.register_buffer(name, value, persistent=True)
                elif description[0] == "value" and description[2:]:
                    module.register_buffer(name, value, persistent=False)
                else:
                    setattr(module, name, value)
            except UnfitError:
                failed = True
        if failed:
            self.failed.add(path)
            raise UnfitError
        return module

    def claim(self, module: Module, path: str) -> None:
        """Note the weights of a module."""
        self.tensors.update((_join(path, name), tensor) for name, tensor in module._state())

    def value(self, description: list[Any], path: str) -> Any:
        """The value of an attribute, or inside of one."""
        kind, content = description[:2]
        match kind:
            case "parameter" | "buffer":
                _check_dtype(description[2])
                tensor: Tensor = Tensor(shape_alone(tuple(content), description[2]))
                if kind == "parameter":
                    tensor = as_parameter(tensor)
                self.tensors[path] = tensor
                return tensor
            case "list" | "tuple":
                items = self.values([(str(i), one) for i, one in enumerate(content)], path)
                return items if kind == "list" else tuple(items)
            case "dict":
                keys = [key for key, _ in content]
                if len(set(keys)) != len(keys) or not all(type(key) in (str, int) for key in keys):
                    raise ValueError(f"{path}: its keys are not different strings or integers")
                return dict(zip(keys, self.values(content, path), strict=True))
            case "function":
                found = getattr(functional, content, None)
                if not _is_function(found, content):
                    raise self.unfit(path, f"unknown function {content!r}")
                return found
            case "value":
                return decode(content, self.arrays)
            case _:
                return self.module(description, path)

    def values(self, pairs: Any, path: str) -> list[Any]:
        """Values inside of a list or dict; all are looked at, also when one fails."""
        found: list[Any] = []
        failed = False
        for name, description in pairs:
            try:
                found.append(self.value(description, _join(path, str(name))))
            except UnfitError:
                failed = True
        if failed:
            raise UnfitError
        return found

    def unfit(self, path: str, problem: str) -> UnfitError:
        """Note a problem; returns what to raise."""
        self.failed.add(path)
        self.opaque.add(path)
        self.problems.append(f"{path or 'the model'}: {problem}")
        if len(self.opaque) > MOST_PROBLEMS:
            raise GaveUpError
        return UnfitError()

    def share(self, model: Module, groups: list[list[str]]) -> None:
        """Make one parameter of those that were one."""
        if not groups:
            return
        holders = _holders(model)
        for first, *others in groups:
            parameter = holders[first][-1]
            for path in others:
                module, name, found = holders[path]
                if found is not parameter and found.shape == parameter.shape:
                    setattr(module, name, parameter)

    def check_keys(self) -> None:
        """Compare the weights that the modules have with those that the file has."""
        for key, tensor in self.tensors.items():
            entry = self.entries.get(key)
            if entry is None:
                self.problems.append(f"missing {key!r} {tensor.shape}")
            elif entry.shape != tensor.shape:
                self.problems.append(f"{key!r}: expected shape {tensor.shape}, got {entry.shape}")
            elif entry.dtype.kind != tensor.dtype.kind:
                self.problems.append(f"{key!r}: expected {tensor.dtype}, got {entry.dtype}")
        for key in self.entries:
            unknown = any(not path or key.startswith(f"{path}.") for path in self.opaque)
            if key not in self.tensors and not key.startswith(ARGUMENTS) and not unknown:
                self.problems.append(f"unexpected {key!r}")


def _holders(model: Module) -> dict[str, tuple[Module, str, Parameter]]:
    """By path: the module that holds a parameter, its name there, and the parameter."""
    return {
        _join(owner, name): (module, name, part)
        for owner, module in model.named_modules(remove_duplicate=False)
        for name, part in module._parts()
        if isinstance(part, Parameter)
    }


def _names(given: Any) -> list[str]:
    """A list of paths; ValueError for what is none."""
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"expected a list of paths, got {given!r:.80}")
    return given


def _check_dtype(name: Any) -> None:
    """Refuse dtypes that no file holds: text of a gigabyte among them."""
    if name not in DTYPES:
        raise ValueError(f"{name!r:.80} is no dtype of weights")


def _fill(tensor: Tensor, array: Array) -> None:
    """Give a tensor of a new model its value, and the dtype that comes with it."""
    node = tensor._node
    tensor._data = array
    if isinstance(node, Leaf) and node.dtype != array.dtype:
        tensor._node = None
        tensor.requires_grad = True
        cast(Leaf, tensor._node).name = node.name
