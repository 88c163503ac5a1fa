"""Module: a part of a model, with its parameters, buffers and submodules.

The attributes of a module are its registry: every parameter or module in an attribute, or in a
list, tuple or dict there, belongs to the model, even if it is added to the list later. There is no
second record that could disagree with the attributes. Only the names of buffers are written down.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.node import STATE, Leaf, Scope, State, next_number
from minigrad.engine.parameter import Parameter
from minigrad.engine.printable import visible
from minigrad.engine.settings import checked
from minigrad.engine.switches import afterwards
from minigrad.engine.tensor import Tensor, as_array, unmasked
from minigrad.lazy import load_late

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
#: The lines whose float64 inputs have been warned of.
_WARNED: set[Any] = set()
_new = object.__new__

PreHook = Callable[["Module", tuple[Any, ...]], Any]
Hook = Callable[["Module", tuple[Any, ...], Any], Any]


class Incompatible(NamedTuple):
    """What ``load_state_dict(strict=False)`` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


M = TypeVar("M", bound="Module")


class RemovableHandle:
    """Removes a hook: with ``handle.remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Remove the hook, unless it has been removed already."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Module:
    """Base of layers and models, after ``torch.nn.Module``.

    Assign parameters, modules, or lists, tuples and dicts of them to attributes, and they are
    registered. Subclasses write ``forward``; call the module itself to run it. Assigning anything
    else to the name of a parameter, module or buffer raises TypeError. An error in ``forward``
    names the path of the layer.

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

    # In slots, so that __dict__ holds the attributes that make the model, and nothing else.
    __slots__ = ("__dict__", "__weakref__", "_buffers", "_grows", "_hooks", "_path", "_pre_hooks")

    training: bool
    _buffers: dict[str, bool]
    _grows: dict[str, int]
    _hooks: dict[int, Hook]
    _path: Scope
    _pre_hooks: dict[int, PreHook]

    def __init__(self) -> None:
        self._buffers = {}  # name -> whether it belongs to the state_dict
        self._grows = {}  # name of a list or dict -> how many of its entries know their path
        self._hooks = {}
        # The path in the outermost model that holds this module; "" for a root.
        self._path = Scope("", {"": type(self).__name__})
        self._pre_hooks = {}
        self.__dict__["training"] = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and the hooks, and record operations under this module's path."""
        state = STATE.get()
        # A module that no model holds records under the path of the module that calls it.
        scope = state.scope if state.scope and not self._path else self._path
        if self._grows:
            self._adopt_new()
        if args and not self._path and getattr(args[0], "dtype", None) is FLOAT64:
            _warn_of_float64(self, args[0])
        run = self._run_with_hooks if self._hooks or self._pre_hooks else self.forward
        if scope is state.scope:
            return run(*args, **kwargs)
        try:
            inside = _new(State)  # as state.replace(scope=scope), which would be two calls
            inside.recording, inside.tapes, inside.scope = state.recording, state.tapes, scope
            inside.hook, inside.pauses = state.hook, state.pauses
            STATE.set(inside)
            return run(*args, **kwargs)
        except Exception as error:
            _add_path(error, scope, type(self).__name__)
            raise
        finally:
            STATE.set(state)

    def _run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        for before in list(self._pre_hooks.values()):
            changed = before(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for after in list(self._hooks.values()):
            changed = after(self, args, output)
            if changed is not None:
                output = changed
        return output

    def _who(self) -> str:
        """This module in a message: its path, or its class where it has none."""
        return self._path.told() or type(self).__name__

    def _error(self, text: str) -> ValueError:
        """A ValueError that names this module."""
        return ValueError(f"{self._who()}: {text}")

    # -- registration ------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Module.__slots__:
            object.__setattr__(self, name, value)
            return
        if "training" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        self._check_replacement(name, value)
        object.__setattr__(self, name, value)
        self._grows.pop(name, None)
        if isinstance(value, (list, dict)):
            self._grows[name] = len(value)
        for path, part in _named_parts(name, value):
            self._adopt(path, part)

    def _check_replacement(self, name: str, value: Any) -> None:
        """Refuse a value that would silently replace a parameter, module or buffer."""
        old = self.__dict__.get(name)
        kind = type(value).__name__
        where = f"{type(self).__name__}.{name}"
        if isinstance(old, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{where} is a parameter, got {kind}. Write {name}.assign(value) to change its "
                f"value, or assign nn.Parameter(value) to replace it"
            )
        if isinstance(old, Module) and isinstance(value, Tensor):
            raise TypeError(f"{where} is a module, got {kind}. Give the result another name")
        if name in self._buffers and not isinstance(value, Parameter):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"{where} is a buffer, got {kind}. Assign mg.tensor(value)")
        else:
            self._buffers.pop(name, None)

    if not TYPE_CHECKING:  # type checkers would take it to mean that every attribute exists

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name in Module.__slots__:
                raise AttributeError(f"{kind}: call super().__init__() in its __init__ first")
            if name.startswith("_"):
                message = f"{kind!r} object has no attribute {name!r}"
                raise AttributeError(message, name=name, obj=self)
            return load_late("minigrad.spellings").of_object(self, name, "model")

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._buffers.pop(name, None)
        self._grows.pop(name, None)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Hold a parameter (or None, for one that is switched off) under this name.

        Raises KeyError if the name is in use, empty or has a dot, TypeError if the value is not a
        Parameter.
        """
        hint = "; wrap it as nn.Parameter(value)"
        self._register("register_parameter", name, parameter, "a Parameter", Parameter, hint)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a tensor that is part of the state but not trained, e.g. running statistics.

        A buffer is converted by ``to(dtype)`` and, if ``persistent``, saved in the ``state_dict``.
        Raises KeyError if the name is in use, TypeError if the value is not a tensor.
        """
        if not isinstance(persistent, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"register_buffer: persistent must be True or False, got {persistent!r:.80}"
            )
        hint = "; convert it with mg.tensor(value)"
        self._register("register_buffer", name, tensor, "a tensor", Tensor, hint)
        self._buffers[name] = persistent

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold a submodule under this name.

        Raises KeyError if the name is in use, empty or has a dot, TypeError if the value is not a
        Module.
        """
        self._register("add_module", name, module, "a Module", Module)

    register_module = add_module

    def _register(
        self, method: str, name: str, value: Any, what: str, kind: type, hint: str = ""
    ) -> None:
        """Hold a value of this kind, or None, under a new name."""
        self._check_name(name)
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{method}: expected {what} or None for {name!r}, got {type(value).__name__}{hint}"
            )
        setattr(self, name, value)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{type(self).__name__}: expected a name, got {name!r:.80}")
        if not name or "." in name:
            raise KeyError(f"expected a name without dots, got {name!r}")
        old = getattr(self, name, None)
        if (
            old is not None
            and not isinstance(old, (Parameter, Module))
            and (name not in self._buffers)
        ):
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    def _adopt(self, name: str, part: Any) -> None:
        """Tell a parameter or module its path, unless it has one already."""
        if isinstance(part, Parameter):
            if type(part._node) is Leaf and not part._node.name:
                part._node.name = _subpath(self._path, name)
        elif isinstance(part, Module) and not part._path and part is not self:
            part._rename(_subpath(self._path, name), self._path.kinds)

    def _adopt_new(self) -> None:
        """Tell their paths to entries that lists and dicts have gained since the last call."""
        for name, told in self._grows.items():
            value = self.__dict__[name]
            if len(value) > told:
                self._grows[name] = len(value)
                entries = value.items() if isinstance(value, dict) else enumerate(value)
                for key, entry in itertools.islice(entries, told, None):
                    for path, part in _named_parts(f"{name}.{key}", entry):
                        self._adopt(path, part)

    def _rename(self, path: str, kinds: dict[str, str]) -> None:
        for name, module in self.named_modules(path):
            kinds[name] = type(module).__name__
            module._path = Scope(name, kinds)
        for name, parameter in self.named_parameters(path):
            if type(parameter._node) is Leaf:
                parameter._node.name = name

    # -- walking -----------------------------------------------------------------------------

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """The parameters and modules among the attributes, and in lists, tuples and dicts."""
        for name, value in list(self.__dict__.items()):
            yield from _named_parts(name, value)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, with their names; shared ones come once."""
        seen: set[int] = set()
        for name, part in self._parts():
            if isinstance(part, Module) and id(part) not in seen:
                seen.add(id(part))
                yield name, part

    def children(self) -> Iterator[Module]:
        """The modules directly below this one; shared ones come once."""
        return (child for _, child in self.named_children())

    @checked()
    def named_modules(
        self, prefix: str = "", *, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths.

        Shared modules come once, unless ``remove_duplicate`` is False.
        """
        seen: set[int] = set()
        # A module is skipped below itself even when duplicates are wanted: the walk must end.
        stack: list[tuple[str, Module, frozenset[int]]] = [(prefix, self, frozenset())]
        while stack:
            path, module, above = stack.pop()
            if id(module) in (seen if remove_duplicate else above):
                continue
            seen.add(id(module))
            yield path, module
            below = above if remove_duplicate else above | {id(module)}
            parts = [
                (_subpath(path, name), part, below)
                for name, part in module._parts()
                if isinstance(part, Module)
            ]
            stack.extend(reversed(parts))

    def modules(self) -> Iterator[Module]:
        """This module and all below it; shared ones come once."""
        return (module for _, module in self.named_modules())

    @checked()
    def named_parameters(
        self, prefix: str = "", recurse: bool = True, *, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; without ``recurse`` only this module's own.

        Shared parameters come once, unless ``remove_duplicate`` is False.
        """
        seen: set[int] = set()
        owners = (
            self.named_modules(prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in owners:
            for name, part in module._parts():
                if isinstance(part, Parameter) and not (remove_duplicate and id(part) in seen):
                    seen.add(id(part))
                    yield _subpath(path, name), part

    @checked()
    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; shared ones come once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    @checked()
    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths; shared ones come once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module._buffers:
                buffer = module.__dict__[name]
                if buffer is not None and id(buffer) not in seen:
                    seen.add(id(buffer))
                    yield _subpath(path, name), buffer

    @checked()
    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers; shared ones come once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    @checked()
    def get_submodule(self, path: str) -> Module:
        """The module at this path, e.g. ``"encoder.0"``. Raises KeyError listing the known ones."""
        for name, module in self.named_modules(remove_duplicate=False):
            if name == path:
                return module
        known = ", ".join(repr(name) for name, _ in self.named_modules() if name)
        raise KeyError(f"no module {path!r}; known are {known or 'none'}")

    # -- state -------------------------------------------------------------------------------

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers under all their paths, in PyTorch's order."""
        for path, module in self.named_modules(remove_duplicate=False):
            for name, part in module._parts():
                if isinstance(part, Parameter):
                    yield _subpath(path, name), part
            for name, persistent in module._buffers.items():
                buffer = module.__dict__[name]
                if persistent and buffer is not None:
                    yield _subpath(path, name), buffer

    @checked()
    def state_dict(self) -> OrderedDict[str, Tensor]:
        """A copy of all parameters and persistent buffers by path, with PyTorch's keys.

        Later training does not change the copy. Shared tensors appear under each of their paths.

        >>> from minigrad import nn
        >>> list(nn.Sequential(nn.Linear(2, 3), nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        return OrderedDict((name, tensor.detach()) for name, tensor in self._state())

    @checked()
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Incompatible:
        """Write these values into the parameters and buffers, which keep their dtypes.

        ``state_dict``: path -> tensor, ndarray, or anything that NumPy can read (such as PyTorch's
        tensors). Without ``strict``, missing and unexpected keys are skipped and returned.

        Raises ValueError with a list of all missing and unexpected keys and wrong shapes. The model
        is then unchanged.
        """
        uninitialized = load_late("minigrad.nn.lazy").UninitializedParameter
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = sorted([name for name in state_dict if name not in own], key=str)
        problems: list[str] = []
        if strict:
            # Old files of PyTorch, of which torchvision has some, have no counters of batches.
            counters = {name for name in missing if name.endswith("num_batches_tracked")}
            missing = [name for name in missing if name not in counters]
            problems += [f"missing {name!r} {own[name]._data.shape}" for name in missing]
            problems += [f"unexpected {name!r}" for name in unexpected]
        arrays: dict[str, Any] = {}
        for name, tensor in own.items():
            if name not in state_dict:
                continue
            try:
                arrays[name] = array = _new_array(state_dict[name])
            except (TypeError, ValueError, RuntimeError) as error:
                problems.append(f"{name!r}: {error}")
                continue
            if isinstance(tensor, uninitialized):
                problems.append(f"{name!r} is lazy: run one batch through the model first")
            elif array.shape != tensor.shape:
                problems.append(f"{name!r}: expected shape {tensor.shape}, got {array.shape}")
            elif not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
                problems.append(f"{name!r}: expected {tensor.dtype}, got {array.dtype}")
        first: dict[int, str] = {}
        for name, array in arrays.items():
            other = first.setdefault(id(own[name]), name)
            if other != name and not np.array_equal(arrays[other], array, equal_nan=True):
                problems.append(
                    f"{other!r} and {name!r} are one parameter, and differ in the state"
                )
        if problems:
            lines = "\n  ".join(problems)
            raise ValueError(
                f"load_state_dict: the state does not fit this {type(self).__name__}, which is "
                f"left as it was:\n  {lines}"
            )
        for name, array in arrays.items():
            own[name].assign(array)
        return Incompatible(missing, unexpected)

    # -- for the whole model -----------------------------------------------------------------

    @checked()
    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call ``function`` on every module below this one and on itself, children first."""
        for _, module in reversed(list(self.named_modules())):
            function(module)
        return self

    @checked()
    def train(self, mode: bool = True) -> Self:
        """Switch to training (dropout drops, batch norm uses the batch); returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation; returns the module."""
        return self.train(False)

    @checked()
    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or freeze them; returns the module."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad = requires_grad
            if type(parameter._node) is Leaf:
                parameter._node.name = parameter._node.name or _subpath(self._path, name)
        return self

    @checked()
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False`` make them zeros."""
        for parameter in self.parameters():
            old = parameter.grad
            keep = old is not None and not set_to_none
            parameter.grad = Tensor(np.zeros_like(parameter._data)) if keep else None

    def to(self, dtype: DTypeLike) -> Self:
        """Convert floating-point parameters, their gradients and buffers in place.

        ``to("cpu")`` changes nothing. Raises TypeError for a dtype that is not floating-point, and
        for another device.

        >>> from minigrad import nn
        >>> nn.Linear(2, 1).to("float64").weight.dtype
        dtype('float64')
        """
        if isinstance(dtype, str) and load_late("minigrad.spellings").on_cpu(dtype):
            return self
        return to(self, dtype)

    astype = to

    def float(self) -> Self:
        """``to(float32)``."""
        return self.to(np.float32)

    def double(self) -> Self:
        """``to(float64)``."""
        return self.to(np.float64)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made._buffers = dict(self._buffers)
        made._grows = dict(self._grows)
        made._hooks = copy.deepcopy(self._hooks, memo)
        made._pre_hooks = copy.deepcopy(self._pre_hooks, memo)
        made._path = Scope("")
        for name, value in self.__dict__.items():
            made.__dict__[name] = copy.deepcopy(value, memo)
        # A copy is a model of its own: its paths start here, until something comes to hold it.
        made._rename("", {})
        return made

    # -- hooks -------------------------------------------------------------------------------

    @checked()
    def register_forward_pre_hook(self, hook: PreHook) -> RemovableHandle:
        """Call ``hook(module, args)`` before each forward; what it returns replaces the args."""
        key = next_number()
        self._pre_hooks[key] = hook
        return RemovableHandle(self._pre_hooks, key)

    @checked()
    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each forward; its result replaces the output.

        A result of None changes nothing.

        >>> import minigrad as mg
        >>> from minigrad import nn
        >>> with nn.Identity().register_forward_hook(lambda module, args, output: output * 2):
        ...     pass
        """
        key = next_number()
        self._hooks[key] = hook
        return RemovableHandle(self._hooks, key)

    # -- printing ----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The text between the brackets of the repr, for subclasses to define."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({visible(name)}): {child!r}" for name, child in self.named_children()]
        extra = self.extra_repr()
        head = visible(type(self).__name__)
        if not lines:
            return f"{head}({extra})"
        inner = "\n".join(([extra] if extra else []) + lines).replace("\n", "\n  ")
        return f"{head}(\n  {inner}\n)"


def _warn_of_float64(model: Module, x: Any) -> None:
    """Warn, once for each line of the program, of an input that makes a float32 model slow."""
    single = next(model.children(), None) is None  # a layer by itself, as people try out
    if single or {p.dtype for p in model.parameters() if p.dtype.kind == "f"} != {FLOAT32}:
        return
    line = load_late("minigrad.debug.source_line").current_line()
    if line is None or line in _WARNED:
        return
    _WARNED.add(line)
    warnings.warn_explicit(
        f"{type(model).__name__}: the input {x.shape} is float64 and the parameters are float32, "
        f"so all is computed in float64, in twice the time. Convert the input with "
        f"x.astype(np.float32), or the model with model.to(np.float64)",
        UserWarning,
        line.filename,
        line.number,
    )


def _add_path(error: Exception, path: Scope, kind: str) -> None:
    """Name the innermost module that an error passes through, unless its message does."""
    told = path.told()
    if str(error).startswith("tensor: "):  # the input is not an array of numbers
        error.args = (f"{told or kind}: {str(error).removeprefix('tensor: ')}",)
    if not path or hasattr(error, "module_path"):
        return
    with contextlib.suppress(AttributeError):  # some exceptions take no attributes
        setattr(error, "module_path", str(path))  # noqa: B010 (type checkers know of no such attribute)
    text = str(error)
    if f"{told}: " not in text and f" in {path}" not in text:
        error.add_note(f"in module {told}")


def _subpath(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _named_parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A parameter or module, or those inside a list, tuple or dict, at any depth, with paths."""
    if isinstance(value, (Parameter, Module)):
        yield name, value
    elif isinstance(value, (list, tuple, dict)):
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            # Asked here already: a list of a million numbers should not cost a million calls.
            if isinstance(part, (Parameter, Module, list, tuple, dict)):
                yield from _named_parts(f"{name}.{key}", part)


def _new_array(value: Any) -> Any:
    """A tensor, an array, or another library's tensor, as a new array."""
    foreign = hasattr(value, "__array__") and not isinstance(value, Tensor)
    return as_array(np.asarray(unmasked("load_state_dict", value)) if foreign else value)


@contextlib.contextmanager
def modes_restored(model: Module) -> Generator[None]:
    """At the end, put each module in training or evaluation as it was at the start."""
    modes = [(module, module.training) for module in model.modules()]

    def restore() -> None:
        for module, training in modes:
            module.training = training

    with afterwards(restore):
        yield


def float_dtype(model: Module) -> np.dtype[Any]:
    """The dtype of the model's floating-point parameters; float32 when it has none."""
    return next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))


@checked()
def to(module: M, dtype: DTypeLike) -> M:
    """The module, its floating-point tensors converted in place."""
    wanted = np.dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(f"to: expected a floating-point dtype, got {wanted}")
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor._data.dtype.kind != "f":
            continue
        tensor._data = tensor._data.astype(wanted)
        leaf = tensor._node
        if type(leaf) is Leaf:
            leaf.dtype = wanted
            leaf.assigned = next_number()
            leaf.grad = None if leaf.grad is None else leaf.grad.detach().astype(wanted)
    return module
