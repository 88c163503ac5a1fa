"""Linear maps, and the identity.

``Linear`` holds the weight as (out, in), like PyTorch, so that files of weights fit either way.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer, from_integers
from minigrad.nn.lazy import LazyModule
from minigrad.nn.module import Module
from minigrad.nn.weights import draw, new_parameter


class Linear(Layer):
    """`y = x W^T + b`.

    x (..., in_features) gives (..., out_features). ``weight`` has shape (out_features,
    in_features) and ``bias`` (out_features,); both start uniform in [-k, k] with
    `k = 1 / sqrt(in_features)`. As ``torch.nn.Linear``.

    Raises ValueError for an input with another number of features.

    >>> layer = nn.Linear(3, 2)
    >>> layer(mg.ones((4, 3))).shape
    (4, 2)
    """

    _shown = "in_features=, out_features=, bias="
    weight: Parameter
    bias: Parameter | None

    @checked(in_features="[0, inf)", out_features="[0, inf)", dtype="floating")
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = new_parameter((out_features, in_features), dtype)
        self.bias = new_parameter(out_features, dtype) if bias else None
        draw(self)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.weight_and_bias_(self.weight, self.bias)

    def forward(self, x: ArrayLike) -> Tensor:
        """Map the last axis of x."""
        return F.linear(from_integers(x, self.weight), self.weight, self.bias)


class Bilinear(Layer):
    """`y[o] = x1^T weight[o] x2 + bias[o]`, as ``torch.nn.Bilinear``.

    x1 (..., in1_features) and x2 (..., in2_features) give (..., out_features). ``weight`` has shape
    (out_features, in1_features, in2_features), ``bias`` (out_features,); both start uniform in
    [-k, k] with `k = 1 / sqrt(in1_features)`.

    Raises ValueError for inputs of other shapes.

    >>> nn.Bilinear(3, 4, 2)(mg.ones((5, 3)), mg.ones((5, 4))).shape
    (5, 2)
    """

    _shown = "in1_features=, in2_features=, out_features=, bias="
    weight: Parameter
    bias: Parameter | None

    @checked()
    def __init__(
        self,
        in1_features: Annotated[int, "[1, inf)"],
        in2_features: Annotated[int, "[1, inf)"],
        out_features: Annotated[int, "[0, inf)"],
        bias: bool = True,
        *,
        dtype: Annotated[DTypeLike, "floating"] = np.float32,
    ) -> None:
        super().__init__()
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = new_parameter((out_features, in1_features, in2_features), dtype)
        self.bias = new_parameter(out_features, dtype) if bias else None
        draw(self)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        k = 1.0 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -k, k)

    def forward(self, x1: ArrayLike, x2: ArrayLike) -> Tensor:
        """(..., in1_features) and (..., in2_features) to (..., out_features)."""
        first, second = (from_integers(x, self.weight) for x in (x1, x2))
        return F.bilinear(first, second, self.weight, self.bias)


class LazyLinear(LazyModule, Linear):
    """A Linear that takes ``in_features`` from its first input, and is a Linear from then on.

    Raises ValueError for a first input without axes, and after that as Linear does.

    >>> layer = nn.LazyLinear(2)
    >>> layer(mg.ones((4, 3))).shape
    (4, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    becomes = Linear

    @checked(out_features="[0, inf)", dtype="floating")
    def __init__(
        self, out_features: int, bias: bool = True, *, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__(0, 0, False, dtype=dtype)
        self.out_features = out_features
        self._await_input(bias, dtype)

    def parameter_shapes(self, x: Tensor) -> dict[str, tuple[int, ...]]:
        """Take the number of features from the last axis."""
        if not x.ndim:
            raise self._error("expected at least one axis, got a number")
        self.in_features = x.shape[-1]
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


class Identity(Module):
    """Gives back its input; takes and ignores any arguments at construction.

    x (...) gives x.

    >>> nn.Identity()(3)
    3
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The input itself."""
        return x
