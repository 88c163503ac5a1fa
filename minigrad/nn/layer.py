"""What the library's own layers share: how they print, and how they run a function.

The repr of a layer is built from the arguments of its constructor, in one place. Most activations,
losses and poolings are a function of :mod:`minigrad.nn.functional` with settings; such a class only
names the function and states the settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, dataclass_transform

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn.module import Module


class Layer(Module):
    """A module whose repr shows arguments of its constructor, as PyTorch's does.

    ``_shown`` says which: ``name`` shows the value alone, ``name=`` the name and the value, and
    ``name?`` both of them where the value is not the default of the constructor beside ``_shown``.
    """

    _shown: ClassVar[str] = ""

    def extra_repr(self) -> str:
        """The arguments between the brackets of the repr."""
        import inspect  # slow to import

        owner = next(kind for kind in type(self).__mro__ if "_shown" in vars(kind))
        parameters = inspect.signature(owner).parameters
        texts: list[str] = []
        for item in self._shown.split(", ") if self._shown else ():
            name = item.rstrip("=?")
            value, default = self.__dict__[name], parameters[name].default
            if isinstance(default, bool) and not isinstance(value, bool):
                value = value is not None  # a bias: the parameter, or None without one
            if item.endswith("?") and value in (default, (default,), (default, default)):
                continue
            text = str(value) if name == "padding" else repr(value)  # PyTorch's padding=same
            texts.append(text if item == name else f"{name}={text}")
        return ", ".join(texts)


class FunctionLayer(Layer):
    """A layer that runs a function, the argument ``function`` of its class statement.

    Settings follow the inputs in the order in which the function has them. The repr shows all of
    them, unless ``_shown`` says otherwise.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _settings: ClassVar[list[str]]

    def __init_subclass__(
        cls, *, function: Callable[..., Tensor] | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if function is None:  # of a family of layers, or of a user, who may have other arguments
            return
        cls._function = staticmethod(function)
        own = _parameters(cls.__init__)
        cls._settings = [name for name in _parameters(function) if name in own]
        cls._shown = cls._shown or ", ".join(f"{name}=" for name in own[1:])


def _parameters(function: Any) -> tuple[str, ...]:
    """The names of the parameters, as ``inspect`` tells them, which is slow to import."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    return code.co_varnames[: code.co_argcount]  # type: ignore[no-any-return]


@dataclass_transform(eq_default=False)
class SettingsLayer(FunctionLayer):
    """A layer that holds nothing but settings, which it states as the fields of a dataclass.

    ``beta: Annotated[float, "(0, inf)"] = 1.0`` is an argument of the constructor, what it may be,
    its default, and the attribute that holds it.
    """

    _hints: ClassVar[dict[str, Any]] = {}
    _defaults: ClassVar[dict[str, Any]] = {}

    @checked()
    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(
        cls, *, function: Callable[..., Tensor] | None = None, **kwargs: Any
    ) -> None:
        if function is not None and cls.__annotations__:
            setattr(cls, "__init__", _constructor(cls))  # noqa: B010 (type checkers make their own)
        super().__init_subclass__(function=function, **kwargs)

    def _hold(self, given: dict[str, Any]) -> None:
        """Hold what the constructor was given."""
        del given["self"]
        Module.__init__(self)
        self._settle(given)
        for name, value in given.items():
            setattr(self, name, value)

    def _settle(self, given: dict[str, Any]) -> None:
        """Check the settings together, and bring them into the form in which they are held."""

    def _of(self, *inputs: Any) -> Tensor:
        """The function of these inputs, with the settings."""
        return self._function(*inputs, *map(self.__dict__.__getitem__, self._settings))


def _constructor(kind: type[SettingsLayer]) -> Callable[..., None]:
    """``__init__`` with the annotated names of a class and its bases as its arguments.

    The code of ``constructor`` gets them as its parameters: Python then binds them, ``locals()``
    holds them, and messages, ``inspect`` and ``help()`` are as if it had been written out.
    """

    def constructor(self: SettingsLayer) -> None:
        self._hold(locals())

    own = kind.__annotations__
    hints = kind._hints = {**kind._hints, **own}
    given = {name: value for name, value in vars(kind).items() if name in own}
    defaults = kind._defaults = {**kind._defaults, **given}
    names = ("self", *hints)
    code = constructor.__code__.replace(
        co_name="__init__", co_qualname=f"{kind.__qualname__}.__init__",
        co_varnames=names, co_argcount=len(names), co_nlocals=len(names),
    )  # fmt: skip
    made = FunctionType(code, vars(sys.modules[kind.__module__]))
    made.__defaults__ = tuple(defaults[name] for name in hints if name in defaults)
    made.__annotations__ = {**hints, "return": "None"}
    ready = checked()(made)
    # It has taken the ranges out of the annotations. The documents read those of the class.
    own.update((name, made.__annotations__[name]) for name in own)
    return ready


def settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a constructor was given, from its ``locals()``."""
    return {k: v for k, v in arguments.items() if k not in ("self", "__class__")}


class SameShape(SettingsLayer):
    """A function of one array, which keeps its shape."""

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        if not self._settings:  # as most: a ReLU of 4 x 4 takes 3 us, gathering nothing 0.2 us
            return self._function(x)
        return self._function(x, *map(self.__dict__.__getitem__, self._settings))


class OfImages(SettingsLayer):
    """A function of images, which changes their height and width."""

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, H, W) to (N, C, out_h, out_w)."""
        return self._function(x, *map(self.__dict__.__getitem__, self._settings))


def from_integers(x: ArrayLike, weight: Tensor) -> Tensor:
    """Integers, such as pixels, in the dtype of the weight: NumPy would make them float64."""
    if not isinstance(x, Tensor):
        try:
            x = as_tensor(x)
        except (TypeError, ValueError):
            return x  # type: ignore[return-value]  # the function says what is wrong with it
    return x.astype(weight._data.dtype) if x._data.dtype.kind in "iub" else x
