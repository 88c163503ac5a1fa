"""Losses that ask for a margin, and the distances and angles that some of them are made of.

``reduction`` as in ``losses.py``: "mean", "sum" or "none". The slope at a corner is 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.activations import relu, softplus
from minigrad.operators.declare import Array, composite_of_floats, engine
from minigrad.operators.domain import Domain, between, distinct, lattice, sample
from minigrad.operators.losses import (
    binary_cross_entropy_with_logits,
    check_classes,
    check_shapes,
    check_weight,
    class_weights,
    picked,
    reduce,
)
from minigrad.operators.norms import vector_norm

_SIGNS = np.array([[1, -1], [-1, 1], [1, 1]])
_NONE = np.zeros((0, 2), int)
#: Away from the corners of margins of 1 and 0.
_off_margin = Domain("off_margin", avoid=(-1.0, 0.0, 1.0))


_SIGNED = [
    sample((3, 2), target=_SIGNS), sample((3, 2), target=_SIGNS, reduction="none"),
    sample((0, 2), target=_NONE, reduction="sum"),
]  # fmt: skip


def _signs(name: str, target: Any, *inputs: Any) -> Any:
    """The target as a tensor. Raises ValueError unless it has the inputs' shape, and 1 and -1."""
    target = engine.as_tensor(target)
    check_shapes(name, *inputs, target)
    values = engine.constant(target)
    # NaN passes: it says that something went wrong before, and shows in the loss.
    wrong = ~((values == 1) | (values == -1) | np.isnan(values))
    if wrong.any():
        raise ValueError(
            f"{name}: target must hold 1 and -1, got {values[wrong].flat[0]}; for 0 and 1 use "
            f"2 * target - 1"
        )
    return target


@composite_of_floats(
    domain=_off_margin, samples=[*_SIGNED, sample((3, 2), target=_SIGNS, margin=0.5)]
)
def hinge_embedding_loss(
    input: Array, target: Array, margin: float = 1.0, reduction: str = "mean"
) -> Array:
    """input where the target is 1, `max(0, margin - input)` where it is -1.

    For distances: small ones between like things, of at least the margin between others. input and
    target (...) of one shape give (), or (...) with ``reduction`` "none". As PyTorch's. Raises
    ValueError for other targets and for different shapes.

    >>> hinge_embedding_loss(tensor([0.5, 0.25]), tensor([1, -1]), reduction="none")
    tensor([0.5 , 0.75])
    """
    name = "hinge_embedding_loss"
    like = engine.constant(_signs(name, target, input)) != -1
    return reduce(name, np.where(like, input, relu(float(margin) - input)), reduction)


@composite_of_floats(
    arrays=2,
    domain=(lattice, between),
    samples=[
        sample((3, 2), (3, 2), target=_SIGNS), sample((3, 2), (3, 2), target=_SIGNS, margin=0.4),
        sample((0, 2), (0, 2), target=_NONE, reduction="sum"),
    ],
)  # fmt: skip
def margin_ranking_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """`max(0, margin - target * (input1 - input2))`: which of two should be the larger.

    Target 1: the first, -1: the second. All three (...) of one shape give (), or (...) with
    ``reduction`` "none". As PyTorch's. Raises ValueError for other targets and for different
    shapes.

    >>> margin_ranking_loss(tensor([1.0, 1.0]), tensor([3.0, 0.0]), tensor([1, 1]))
    tensor(1.)
    """
    name = "margin_ranking_loss"
    target = _signs(name, target, input1, input2)
    ahead = (input1 - input2) * target.astype(input1.dtype)
    return reduce(name, relu(float(margin) - ahead), reduction)


@composite_of_floats(samples=_SIGNED)
def soft_margin_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """`log(1 + exp(-target * input))`, for targets of 1 and -1; exact for inputs of any size.

    input and target (...) of one shape give (), or (...) with ``reduction`` "none". As PyTorch's.
    Raises ValueError for other targets and for different shapes.

    >>> soft_margin_loss(tensor([0.0, 1000.0]), tensor([1, 1]))
    tensor(0.3465736)
    """
    target = _signs("soft_margin_loss", target, input)
    losses = softplus(-input * target.astype(input.dtype))
    return reduce("soft_margin_loss", losses, reduction)


@composite_of_floats(
    samples=[
        sample((3, 2), target=_SIGNS > 0),
        sample((3, 2), target=_SIGNS > 0, weight=np.array([0.5, 2.0]), reduction="none"),
        sample((0, 2), target=_NONE, reduction="sum"),
    ]
)
def multilabel_soft_margin_loss(
    input: Array, target: Array, weight: Array = None, reduction: str = "mean"
) -> Array:
    """The mean over classes of `-(t log s + (1 - t) log(1 - s))`; `s = sigmoid(input), t = target`.

    input (..., C), target of its shape with 1 for each class that holds, weight (C,) give (), or
    (...) with ``reduction`` "none". As PyTorch's. Raises ValueError for targets outside [0, 1] and
    shapes that do not fit.

    >>> multilabel_soft_margin_loss(tensor([[0.0, 1000.0]]), tensor([[1, 1]]))
    tensor(0.3465736)
    """
    name = "multilabel_soft_margin_loss"
    if not input.ndim:
        raise ValueError(f"{name}: expected input (..., C), got a number")
    check_weight(name, weight, input.shape[-1])
    losses = binary_cross_entropy_with_logits(input, target, weight, "none")
    return reduce(name, np.mean(losses, axis=-1), reduction)


@composite_of_floats(
    domain=distinct,
    samples=[
        sample((3, 4), target=np.array([0, 3, 1])), sample((3,), target=np.array(1)),
        sample((3, 4), target=np.array([0, 3, 1]), p=2, margin=0.7,
               weight=np.array([0.5, 2.0, 1.0, 0.1]), reduction="none"),
        sample((0, 3), target=np.zeros(0, int), reduction="sum"),
    ],
)  # fmt: skip
def multi_margin_loss(
    input: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array = None,
    reduction: str = "mean",
) -> Array:
    """The sum over the other classes of `max(0, margin - x[target] + x[class])**p`, divided by C.

    input x (N, C) and labels (N,), or (C,) and (), and weight (C,), by which each loss is
    multiplied, give (), or (N,) with ``reduction`` "none". ``p``: 1 or 2. As PyTorch's; Crammer and
    Singer, "On the algorithmic implementation of multiclass kernel-based vector machines", 2001.
    Raises ValueError for another p, labels out of range and shapes that do not fit.

    >>> multi_margin_loss(tensor([[1.0, 0.5, 3.0]]), tensor([0]))
    tensor(1.1666667)
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p!r}")
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: expected input (N, C) or (C,), got shape {input.shape}")
    axis, labels = check_classes(name, input, target, weight)
    own = picked(input, labels, axis)
    over: Any = relu(float(margin) - own[..., None] + input)
    over = over if p == 1 else np.square(over)
    others = np.arange(input.shape[axis]) != labels[..., None]
    losses = np.sum(np.where(others, over, 0.0), axis=-1) * (1.0 / max(input.shape[axis], 1))
    if weight is not None:
        losses = losses * class_weights(weight, input)[labels]
    return reduce(name, losses, reduction)


# -- distances and angles --------------------------------------------------------------------------


@composite_of_floats(
    arrays=2,
    domain=(lattice, between),
    samples=[
        sample((3, 4), (3, 4)), sample((3, 4), (4,), p=1.0, keepdims=True),
        sample((2,), (2,), p=3.0), sample((0, 2), (0, 2)),
    ],
)  # fmt: skip
def pairwise_distance(
    x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Array:
    """The p-norm of x1 - x2 + eps along the last axis.

    x1 and x2 (..., D), broadcast, give (...), or (..., 1) with ``keepdims``. As PyTorch's.

    >>> pairwise_distance(tensor([[3.0, 4.0]]), tensor([[0.0, 0.0]]), eps=0.0)
    tensor([5.])
    """
    return vector_norm(x1 - x2 + float(eps), axis=-1, ord=p, keepdims=keepdims)


@composite_of_floats(
    arrays=2,
    domain=(lattice, between),
    samples=[
        sample((3, 4), (3, 4)), sample((3, 4), (1, 4), axis=-1), sample((4,), (4,), axis=0),
        sample((1, 2, 3), (2, 1, 3)), sample((4, 2), (3, 4, 2)),
        sample((0, 2), (0, 2)),
    ],
)  # fmt: skip
def cosine_similarity(x1: Array, x2: Array, axis: int = 1, eps: float = 1e-8) -> Array:
    """`x1 . x2 / (max(norm(x1), eps) * max(norm(x2), eps))` along ``axis``, in [-1, 1].

    x1 and x2 broadcast; the result lacks the axis: (N, D) and (N, D) give (N,). As PyTorch's.
    Raises ValueError unless eps is positive.

    >>> cosine_similarity(tensor([[1.0, 0.0]]), tensor([[1.0, 1.0]]))
    tensor([0.70710677])
    """
    if not 0.0 < eps < math.inf:
        raise ValueError(f"cosine_similarity: eps must be positive, got {eps}")
    if x1.shape != x2.shape:  # the norms are those of the rows as they meet
        x1, x2 = np.broadcast_arrays(x1, x2)
    first, second = (
        x / np.maximum(vector_norm(x, axis=axis, keepdims=True), float(eps)) for x in (x1, x2)
    )
    return np.sum(first * second, axis=axis)


@composite_of_floats(
    arrays=2,
    domain=(lattice, between),
    samples=[
        sample((3, 4), (3, 4), target=np.array([1, -1, 1])),
        sample((4,), (4,), target=np.array(1), margin=0.2, reduction="none"),
        sample((0, 2), (0, 2), target=np.zeros(0, int), reduction="sum"),
    ],
)
def cosine_embedding_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """`1 - cos(input1, input2)` where the target is 1, `max(0, cos - margin)` where it is -1.

    input1 and input2 (N, D) and target (N,), or (D,) and (), give (), or (N,) with ``reduction``
    "none". As PyTorch's. Raises ValueError for other targets and for shapes that do not fit.

    >>> a, b = tensor([[1.0, 0.0]]), tensor([[1.0, 1.0]])
    >>> cosine_embedding_loss(a, b, tensor([-1]))
    tensor(0.70710677)
    """
    name = "cosine_embedding_loss"
    check_shapes(name, input1, input2)
    like = engine.constant(_signs(name, target)) != -1
    if input1.ndim not in (1, 2) or like.shape != input1.shape[:-1]:
        raise ValueError(
            f"{name}: expected inputs (N, D) and target (N,), or (D,) and (), got {input1.shape} "
            f"and {like.shape}"
        )
    tiny = 1e-12
    squares = [np.sum(x * x, axis=-1) + tiny for x in (input1, input2)]
    cos = np.sum(input1 * input2, axis=-1) / np.sqrt(squares[0] * squares[1])
    return reduce(name, np.where(like, 1.0 - cos, relu(cos - float(margin))), reduction)


@composite_of_floats(
    arrays=3,
    domain=(lattice, between, distinct),
    samples=[
        sample((3, 4), (3, 4), (3, 4), margin=3.0),
        sample((3, 4), (3, 4), (3, 4), margin=4.0, p=1.0, swap=True, reduction="none"),
        sample((0, 2), (0, 2), (0, 2), reduction="sum"),
    ],
)
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`, d the p-norm of the difference.

    ``swap`` takes d(positive, negative) instead where it is smaller than d(anchor, negative). All
    three (N, D) or (D,) of one shape give (), or (N,) with ``reduction`` "none". As PyTorch's;
    Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional
    neural networks", 2016. Raises ValueError for different shapes.

    >>> a, p, n = tensor([[0.0]]), tensor([[2.0]]), tensor([[1.5]])
    >>> triplet_margin_loss(a, p, n, eps=0.0)
    tensor(1.5)
    """
    name = "triplet_margin_loss"
    check_shapes(name, anchor, positive, negative)
    if not anchor.ndim:
        raise ValueError(f"{name}: expected (N, D) or (D,), got a number")
    near = pairwise_distance(anchor, positive, p, eps)
    far: Any = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduce(name, relu(near - far + float(margin)), reduction)
