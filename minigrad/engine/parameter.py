"""Parameter: the one kind of tensor that is written in place, by optimizers.

A graph that saved the old value then raises RuntimeError in its backward pass; see ``backward.py``.
"""

from __future__ import annotations

from typing import Any

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_array, new_leaf


class Parameter(Tensor):
    """A tensor with ``requires_grad=True`` that a Module owns and an optimizer updates in place.

    ``Parameter(data)`` copies ``data``, anything that :func:`minigrad.tensor` takes.

    >>> from minigrad import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter(tensor([1., 2.], requires_grad=True))
    """

    __slots__ = ()

    @checked()
    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(as_array(data))
        if requires_grad:
            self._node = new_leaf(self, trainable=True)

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__()})"
