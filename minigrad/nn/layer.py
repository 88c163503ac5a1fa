"""What the library's own layers share: how they print, and how they run a function.

The repr of a layer is built from the arguments of its constructor, in one place. Most activations,
losses and poolings are a function of :mod:`minigrad.nn.functional` with settings in attributes;
such a class only names the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

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
    """A layer that runs a function with the settings that it holds.

    ``class Softplus(SameShape, function=F.softplus)``: the arguments of the constructor are
    attributes of the same names, and follow the inputs in the order in which the function has
    them. The repr shows all of them, unless ``_shown`` says otherwise.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _settings: ClassVar[list[str]]

    @checked()
    def __init__(self) -> None:
        super().__init__()

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


def settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a constructor was given, from its ``locals()``."""
    return {k: v for k, v in arguments.items() if k not in ("self", "__class__")}


class SameShape(FunctionLayer):
    """A function of one array, which keeps its shape."""

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        if not self._settings:  # as most: a ReLU of 4 x 4 takes 3 us, gathering nothing 0.2 us
            return self._function(x)
        return self._function(x, *map(self.__dict__.__getitem__, self._settings))


class OfImages(FunctionLayer):
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
