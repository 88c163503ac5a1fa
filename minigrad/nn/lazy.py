"""Layers that take their input size from the first batch.

A lazy layer is an ordinary one whose parameters have no shape yet. Its first input tells the shape;
the parameters are then drawn in place, and the layer turns into an object of the ordinary class.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.node import Leaf
from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, named, new_leaf
from minigrad.nn.module import Module


class UninitializedParameter(Parameter):
    """A parameter whose shape the first batch decides.

    Optimizers and models may hold it before (empty, of shape (0,)): it becomes an ordinary
    Parameter in place.

    >>> nn.LazyLinear(3).weight
    <UninitializedParameter float32>
    """

    __slots__ = ()

    @checked(dtype="floating")
    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        super().__init__(np.empty(0, dtype))

    @checked()
    def materialize(self, shape: tuple[int, ...]) -> None:
        """Become a Parameter of this shape; its values are still to be drawn."""
        trained = self.requires_grad
        old = self._node
        self.__class__ = Parameter  # type: ignore[assignment]
        self._data = np.zeros(shape, self._data.dtype)
        self._node = new_leaf(self, trainable=True) if trained else None
        if isinstance(old, Leaf) and isinstance(self._node, Leaf):
            self._node.name = old.name

    def __repr__(self) -> str:
        return f"<UninitializedParameter {self._data.dtype}>"


class LazyModule(Module):
    """Mixed into a layer whose parameters wait for the first input.

    ``becomes`` is the class that it turns into then; ``parameter_shapes(x)`` says how large the
    parameters are, and sets the attributes that tell the sizes.
    """

    becomes: ClassVar[type[Module]]
    weight: Parameter
    bias: Parameter | None

    def _await_input(self, bias: bool, dtype: DTypeLike) -> None:
        """Hold a weight, and a bias unless there is none, whose shapes are still to come."""
        self.weight = UninitializedParameter(dtype)
        self.bias = UninitializedParameter(dtype) if bias else None

    def parameter_shapes(self, x: Tensor) -> dict[str, tuple[int, ...]]:
        """The shape of each waiting parameter; written by each lazy layer."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw the parameters, once their shapes are known."""
        if not any(isinstance(p, UninitializedParameter) for p in self.parameters()):
            super().reset_parameters()  # type: ignore[misc]

    @checked()
    def materialize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Give the parameters these shapes and turn into the ordinary layer."""
        for name, shape in shapes.items():
            parameter = self.__dict__[name]
            if isinstance(parameter, UninitializedParameter):
                parameter.materialize(shape)
        self._path.kinds[self._path] = self.becomes.__name__
        self.__class__ = self.becomes  # type: ignore[assignment]
        self.reset_parameters()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take the sizes from the first argument, then run as the ordinary layer."""
        first = args[0] if args else next(iter(kwargs.values()))
        self.materialize(self.parameter_shapes(named(type(self).__name__, first)))
        return self(*args, **kwargs)
