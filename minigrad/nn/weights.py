"""How layers allocate their weights, or only note their shapes while a file is read.

While a model is built from a file, its weights take no memory and are not drawn, and their number
is limited: a damaged file may describe a layer of 20,000 x 20,000 weights without holding them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.engine.parameter import Parameter
from minigrad.engine.tensor import Tensor, new_leaf

Shape = int | tuple[int, ...]


class _Resettable(Protocol):
    def reset_parameters(self) -> None: ...


#: How many more weights may be made as shapes only; None where they are allocated.
_left: ContextVar[list[int] | None] = ContextVar("minigrad_weights_left", default=None)


@contextlib.contextmanager
def shapes_only(limit: int) -> Generator[None]:
    """Within the block, new weights have a shape and a dtype but no memory.

    Raises ValueError if more than ``limit`` of them are made.
    """
    token = _left.set([limit])
    try:
        yield
    finally:
        _left.reset(token)


def new_parameter(shape: Shape, dtype: DTypeLike) -> Parameter:
    """A parameter without values: the layer draws them next."""
    if _left.get() is None:
        return Parameter(np.empty(shape, dtype))
    return as_parameter(Tensor(shape_alone(shape, dtype)))


def as_parameter(tensor: Tensor) -> Parameter:
    """A parameter that shares the memory of a tensor: Parameter(tensor) would copy it."""
    parameter = Parameter.__new__(Parameter)
    Tensor.__init__(parameter, tensor._data)
    parameter._node = new_leaf(parameter, trainable=True)
    return parameter


def new_buffer(shape: Shape, dtype: DTypeLike) -> Tensor:
    """A tensor that is not trained, of zeros."""
    return Tensor(np.zeros(shape, dtype) if _left.get() is None else shape_alone(shape, dtype))


def draw(layer: _Resettable) -> None:
    """Draw the values of a new layer, unless they come from a file."""
    if _left.get() is None:
        layer.reset_parameters()


def shape_alone(shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
    """An array of this shape and dtype that takes no memory, since its elements are one."""
    left = _left.get()
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise ValueError("more weights than the file has")
    if np.dtype(dtype).kind not in "fiub":  # text may have a gigabyte in each element
        raise ValueError(f"{dtype!r:.80} is not a dtype of weights")
    return np.broadcast_to(np.zeros((), dtype), shape)
