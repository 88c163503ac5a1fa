"""Layers and losses as functions, with PyTorch's names and argument order (``axis`` for ``dim``).

>>> import minigrad.nn.functional as F
>>> F.relu(mg.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minigrad.nn.module import Module
from minigrad.operators.activations import *
from minigrad.operators.convolution import *
from minigrad.operators.hyperbolic import tanh as tanh
from minigrad.operators.im2col import *
from minigrad.operators.linear import *
from minigrad.operators.losses import *
from minigrad.operators.normalisation import *
from minigrad.operators.pooling import *
from minigrad.operators.shapes import pad as pad, reshape
from minigrad.operators.upsampling import *
from minigrad.random import default_generator
from minigrad.tensor import ArrayLike, Tensor, as_tensor


def dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """In training, zero each element with probability p and divide the others by 1 - p.

    So the expectation stays, and nothing is to be done in evaluation ("inverted" dropout).
    Srivastava et al., "Dropout", 2014. Raises ValueError for p outside [0, 1].

    >>> dropout(mg.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be between 0 and 1, got {p}")
    x = as_tensor(input)
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return np.where(np.zeros(x.shape, bool), x, 0.0)  # type: ignore[return-value]
    drawn = (generator or default_generator()).random(x.shape, np.float32)
    scale = np.asarray(1.0 / (1.0 - p), x.dtype)
    return x * Tensor((drawn >= p) * scale)


def flatten(input: ArrayLike, start_axis: int = 1, end_axis: int = -1) -> Tensor:
    """The axes from ``start_axis`` to ``end_axis`` joined into one.

    Unlike in PyTorch the first axis is kept by default, as by the layer.

    >>> flatten(mg.zeros((2, 3, 4))).shape
    (2, 12)
    """
    x = as_tensor(input)
    start, end = (axis + x.ndim if axis < 0 else axis for axis in (start_axis, end_axis))
    if not 0 <= start <= end < x.ndim:
        raise ValueError(
            f"flatten: expected axes {start_axis} to {end_axis} in an input with at least "
            f"{max(start, 0) + 1} axes, got shape {x.shape}"
        )
    # The length is worked out here: -1 is ambiguous for an empty array.
    joined = int(np.prod(x.shape[start : end + 1]))
    return reshape(x, (*x.shape[:start], joined, *x.shape[end + 1 :]))


def l2_penalty(parameters: Module | Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """Weight / 2 times the sum of the squares of all parameters, to be added to a loss.

    Its gradient is weight * p, which is what ``weight_decay=weight`` adds in SGD. ``parameters``:
    tensors, or a model with all of its parameters. Shared ones count once.

    >>> l2_penalty([mg.tensor([3.0, 4.0])], weight=0.1)
    tensor(1.25)
    """
    given = parameters.parameters() if isinstance(parameters, Module) else parameters
    total = Tensor(np.zeros((), np.float32))
    for p in {id(p): p for p in given}.values():
        total = total + (p * p).sum()
    return total * (0.5 * weight)
