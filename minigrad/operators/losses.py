"""Losses: how far predictions are from targets, with PyTorch's arguments.

Each takes ``reduction``: "mean" over all elements (or by the weights, where there are any), "sum",
or "none" for the loss of each element.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.activations import log_softmax, softplus
from minigrad.operators.declare import OPERATORS, Array, composite_of_floats, engine, operator
from minigrad.operators.domain import Domain, anywhere, between, lattice, positive, sample

REDUCTIONS = [
    sample((3, 2), (3, 2)), sample((4,), (4,), reduction="sum"), sample((), ()),
    sample((2,), (2,), reduction="none"), sample((0, 2), (0, 2), reduction="sum"),
]  # fmt: skip
_probability = Domain("probability", low=0.05, high=0.95)
_log_probability = Domain("log_probability", low=-3.0, high=-0.1)
_count = Domain("count", low=1.2, high=4.0)


def reduce(name: str, losses: Any, reduction: str) -> Any:
    """The mean or the sum of the losses, or the losses. Raises ValueError for another word."""
    if reduction == "mean":
        return np.mean(losses)
    if reduction == "sum":
        return np.sum(losses)
    if reduction != "none":
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return losses


def check_shapes(name: str, input: Any, *targets: Any) -> None:
    """Raise ValueError unless all have one shape."""
    for target in targets:
        if input.shape != target.shape:
            remedy = (
                "reshape one: broadcasting them would compare every prediction with every target"
                if input.size == target.size
                else "give one target for each prediction"
            )
            raise ValueError(
                f"{name}: expected input and target of one shape, got {input.shape} and "
                f"{target.shape}; {remedy}"
            )


def probabilities(name: str, target: Any, dtype: Any, most: float = 1.0) -> Any:
    """Targets in the dtype of the input. Raises ValueError for those outside [0, most]."""
    values = engine.constant(target)
    # NaN passes: it says that something went wrong before, and shows in the loss.
    if values.size and (values.min() < 0 or values.max() > most):
        raise ValueError(
            f"{name}: target must hold probabilities, got {values.min()} to {values.max()}"
        )
    return target if target.dtype == dtype else target.astype(dtype)


@composite_of_floats(arrays=2, samples=REDUCTIONS)
def mse_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """`(input - target)**2`. Raises ValueError unless both have one shape.

    >>> mse_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]))
    tensor(2.5)
    """
    check_shapes("mse_loss", input, target)
    return reduce("mse_loss", np.square(input - target), reduction)


@composite_of_floats(arrays=2, domain=(lattice, between), samples=REDUCTIONS)
def l1_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """`abs(input - target)`. Raises ValueError unless both have one shape.

    >>> l1_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]))
    tensor(1.5)
    """
    check_shapes("l1_loss", input, target)
    return reduce("l1_loss", np.abs(input - target), reduction)


@operator(
    vjp=lambda g, _ans, d, delta: g * np.clip(d, -delta, delta),
    domain=lattice,
    samples=[sample((4, 3), delta=1.0), sample((5,), delta=0.73), sample((0,), delta=1.0)],
    wide=True,
)
def _huber(d: Array, delta: float) -> Array:
    near = np.clip(d, -delta, delta)
    return near * (d - 0.5 * near)


@composite_of_floats(
    arrays=2, domain=(lattice, between), samples=[*REDUCTIONS, sample((4, 3), (4, 3), delta=0.73)]
)
def huber_loss(input: Array, target: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    """`d² / 2` if `|d| <= delta`, else `delta * (|d| - delta / 2)`, with `d = input - target`.

    Raises ValueError unless delta is positive and the shapes are equal. Huber, "Robust estimation
    of a location parameter", 1964.

    >>> huber_loss(tensor([0.5, 3.0]), tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    check_shapes("huber_loss", input, target)
    if not 0 < delta < math.inf:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    delta = float(delta)  # a NumPy float64 would widen float32, here and below
    return reduce("huber_loss", _huber(input - target, delta), reduction)


@composite_of_floats(
    arrays=2,
    domain=(lattice, between),
    samples=[*REDUCTIONS, sample((4, 3), (4, 3), beta=0.73), sample((3,), (3,), beta=0.0)],
)
def smooth_l1_loss(
    input: Array, target: Array, reduction: str = "mean", beta: float = 1.0
) -> Array:
    """`huber_loss(delta=beta) / beta`; with beta 0 it is l1_loss.

    Raises ValueError for a negative beta and for different shapes.

    >>> smooth_l1_loss(tensor([0.5, 3.0]), tensor([0.0, 0.0]), reduction="none", beta=2.0)
    tensor([0.0625, 2.    ])
    """
    if not 0 <= beta < math.inf:
        raise ValueError(f"smooth_l1_loss: beta must be 0 or a positive number, got {beta}")
    check_shapes("smooth_l1_loss", input, target)
    if beta == 0:
        return l1_loss(input, target, reduction)
    return huber_loss(input, target, reduction, beta) * (1.0 / float(beta))


# -- classification --------------------------------------------------------------------------------


def check_classes(
    name: str, input: Any, target: Any, weight: Any, ignore_index: int | None = None
) -> tuple[int, Any]:
    """The class axis of the input, and the targets as an integer array, checked."""
    if not input.ndim:
        raise ValueError(f"{name}: expected input (N, C) or (C,), got a number")
    axis = 0 if input.ndim == 1 else 1
    classes, expected = input.shape[axis], input.shape[:axis] + input.shape[axis + 1 :]
    labels = np.asarray(engine.constant(target))
    if labels.shape != expected or labels.dtype.kind not in "iub":
        hint = ""
        if labels.size == int(np.prod(expected)) and labels.dtype.kind in "iub":
            hint = f"; use target.reshape({expected})"
        elif labels.dtype.kind == "f" and labels.shape == expected:
            hint = "; convert it with target.astype(np.int64)"
        raise ValueError(
            f"{name}: input {input.shape} has {classes} classes, so the target must be "
            f"integer class indices of shape {expected}, got {labels.dtype} "
            f"{labels.shape}{hint}"
        )
    labels = labels.astype(np.int64)
    wrong = (labels != ignore_index) & ((labels < 0) | (labels >= classes))
    if wrong.any():
        raise ValueError(
            f"{name}: input {input.shape} has {classes} classes, so labels are 0 to "
            f"{classes - 1}, got {labels[wrong].flat[0]}"
        )
    check_weight(name, weight, classes)
    return axis, labels


def check_weight(name: str, weight: Any, classes: int) -> None:
    """Raise ValueError unless there is one weight for each class, or none."""
    if weight is not None and np.shape(weight) != (classes,):
        raise ValueError(
            f"{name}: weight must have one number for each of {classes} classes, "
            f"got shape {np.shape(weight)}"
        )


def class_weights(weight: Any, like: Any) -> Any:
    """Class weights as a constant array of the input's dtype."""
    return np.asarray(engine.constant(weight)).astype(like.dtype)


def picked(log_probabilities: Any, labels: Any, axis: int) -> Any:
    """The entries at the labels, in the shape of the labels."""
    places = list(np.indices(labels.shape, sparse=True))
    places.insert(axis, labels)
    return log_probabilities[tuple(places)]


@composite_of_floats(
    domain=_log_probability,
    samples=[
        sample((3, 4), target=np.array([0, 3, 3])),
        sample((3, 4), target=np.array([0, -100, 3])),
        sample((3, 4), target=np.array([0, 1, 3]), ignore_index=1),
        sample((2, 3), target=np.array([2, 0]), reduction="none"),
        sample((2, 3, 2), target=np.array([[0, 2], [1, -100]]), weight=np.array([0.5, 2.0, 1.0])),
        sample((3,), target=np.array(1), reduction="none"),
        sample((2, 3), target=np.array([1, 2]), reduction="sum", ignore_index=2),
        sample((0, 3), target=np.zeros(0, np.int64), reduction="sum"),
    ],
)
def nll_loss(
    input: Array,
    target: Array,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """`-weight[target] * input[target]`, for log-probabilities (N, C, ...) and labels (N, ...).

    "mean" divides by the sum of the weights of the labels. Labels equal to ``ignore_index`` count
    for nothing. Raises ValueError for labels out of range and shapes that do not fit.

    >>> nll_loss(tensor([[-0.1, -2.0]]), tensor([1]))
    tensor(2.)
    """
    return _of_labels("nll_loss", input, target, weight, ignore_index, reduction)


def _of_labels(
    name: str,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    smoothing: float | None = None,
) -> Any:
    """The loss of class labels for logits or, with ``smoothing`` None, for log-probabilities."""
    axis, labels = check_classes(name, input, target, weight, ignore_index)
    kept = labels != ignore_index
    if not kept.all():  # 0 times inf or NaN would not be 0
        input = np.where(np.expand_dims(kept, axis), input, 0.0)
    log_p = input if smoothing is None else log_softmax(input, axis)
    labels = np.where(kept, labels, 0)
    classes = log_p.shape[axis]
    each = np.ones(classes, log_p.dtype) if weight is None else class_weights(weight, log_p)
    share = each[labels] * kept
    losses = -picked(log_p, labels, axis) * share
    if smoothing:
        even = np.sum(log_p * _along(each, axis, log_p), axis=axis) * kept.astype(log_p.dtype)
        losses = losses * (1.0 - smoothing) - even * (smoothing / classes)
    if reduction != "mean":
        return reduce(name, losses, reduction)
    total = np.sum(losses)
    # With every label ignored NaN, a constant: the gradients are then 0.
    return total / share.sum() if kept.any() or not kept.size else total + math.nan


def _along(weights: Any, axis: int, like: Any) -> Any:
    """Class weights beside an array with the classes along this axis."""
    return np.reshape(weights, (-1,) + (1,) * (like.ndim - 1 - axis))


def _index_cross_entropy_vjp(g: Any, _ans: Any, logits: Any, labels: Any, reduction: str) -> Any:
    if reduction == "mean":
        g = g * (1.0 / len(labels))
    return kernels.on(g, logits).cross_entropy_grad(g, logits, labels)


@operator(
    vjp=_index_cross_entropy_vjp,
    samples=[
        sample((3, 4), labels=np.array([0, 3, 1]), reduction="mean"),
        sample((2, 3), labels=np.array([2, 2]), reduction="none"),
        sample((0, 3), labels=np.zeros(0, int), reduction="sum"),
    ],
    wide=True,
)
def index_cross_entropy(logits: Array, labels: Array, reduction: str) -> Array:
    """logsumexp(logits[n]) - logits[n, labels[n]], reduced."""
    losses = kernels.cross_entropy(logits, labels)
    if reduction == "mean" and len(losses):
        return np.add.reduce(losses) / len(losses)
    return reduce("cross_entropy", losses, reduction)


_INDEX_CROSS_ENTROPY = OPERATORS["index_cross_entropy"]


def _usual_cross_entropy(
    input: Any, target: Any, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """That of logits (N, C) and class indices as one operator; NotImplemented for other arguments.

    It takes a quarter of the time of the general way.
    """
    logits, labels = engine.constant(input), engine.constant(target)
    if logits is input or not type(logits) is type(labels) is np.ndarray:  # an array, or lists
        return NotImplemented
    usual = (
        logits.ndim == 2
        and logits.dtype.kind == "f"
        and labels.dtype == np.int64
        and labels.shape == logits.shape[:1]
        and labels.size > 0
        and not 0 <= ignore_index < logits.shape[1]
        # As unsigned numbers the negative ones are larger than any class.
        and int(np.maximum.reduce(labels.view(np.uint64))) < logits.shape[1]
    )
    if not usual:
        return NotImplemented
    metadata = {"labels": labels.copy(), "reduction": reduction}
    return engine.run(_INDEX_CROSS_ENTROPY, (input,), metadata)


@composite_of_floats(
    short=_usual_cross_entropy,
    samples=[
        sample((3, 4), target=np.array([0, 3, 3])),
        sample((3, 4), target=np.array([0, -100, 3])),
        sample((2, 3, 2), target=np.array([[0, 2], [1, -100]]), weight=np.array([0.5, 2.0, 1.0])),
        sample((3, 4), target=np.array([0, -100, 3]), label_smoothing=0.1,
               weight=np.array([0.5, 2.0, 1.0, 0.1])),
        sample((2, 3), target=np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), label_smoothing=0.2),
        sample((3,), target=np.array(1), reduction="none"),
        sample((0, 3), target=np.zeros(0, np.int64), reduction="sum"),
    ],
)  # fmt: skip
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """`-log softmax(input)[target]`, for logits (N, C, ...) and labels (N, ...), or (C,) and ().

    The target may also be probabilities, of the input's shape: `-sum(target * log softmax(input))`.
    ``weight`` (C,): one for each class; "mean" divides by the weights of the labels (by N for
    probabilities). ``label_smoothing`` e: the target becomes `(1 - e) target + e / C`. As
    PyTorch's.

    Raises ValueError for labels out of range and shapes that do not fit.

    >>> cross_entropy(tensor([[0.0, 0.0], [0.0, 1000.0]]), tensor([1, 1]))
    tensor(0.3465736)
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(
            f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}"
        )
    label_smoothing = float(label_smoothing)
    labels = np.asarray(engine.constant(target))
    if input.ndim and labels.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    if weight is None and not label_smoothing:
        if labels.dtype.kind in "iu":  # such as the bytes of MNIST's labels
            labels = labels.astype(np.int64, copy=False)
        usual = _usual_cross_entropy(input, labels, ignore_index, reduction)
        if usual is not NotImplemented:
            return usual
    return _of_labels(
        "cross_entropy", input, labels, weight, ignore_index, reduction, label_smoothing
    )


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    check_weight("cross_entropy", weight, classes)
    target = probabilities("cross_entropy", engine.as_tensor(target), input.dtype, math.inf)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    terms = -log_softmax(input, axis) * target
    if weight is not None:
        terms = terms * _along(class_weights(weight, input), axis, input)
    return reduce("cross_entropy", np.sum(terms, axis=axis), reduction)


@operator(
    vjp=(
        lambda g, _ans, x, t: kernels.on(g, x, t).logistic_loss_grad(g, x, t),
        lambda g, _ans, x, _t: -g * x,
    ),
    domain=(anywhere, _probability),
    samples=[sample((3, 2), (3, 2)), sample((), ()), sample((0, 2), (0, 2))],
    numbers="float",
    wide=True,
)
def _logistic_loss(x: Array, t: Array) -> Array:
    return kernels.logistic_loss(x, t)


@composite_of_floats(
    arrays=2,
    domain=(anywhere, _probability),
    samples=[*REDUCTIONS, sample((3, 2), (3, 2), pos_weight=np.array([0.5, 3.0]), weight=2.0)],
)
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array = None,
    reduction: str = "mean",
    pos_weight: Array = None,
) -> Array:
    """`-(w t log s + (1 - t) log(1 - s))`; `s = sigmoid(input), t = target, w = pos_weight`.

    Exact for logits of any size. ``weight`` multiplies the loss of each element. As PyTorch's.
    input and target (...) of one shape give (), or (...) with ``reduction="none"``.

    >>> binary_cross_entropy_with_logits(tensor([0.0, 1000.0]), tensor([0.0, 1.0]))
    tensor(0.3465736)
    """
    name = "binary_cross_entropy_with_logits"
    check_shapes(name, input, target)
    target = probabilities(name, target, input.dtype)
    if pos_weight is None:
        losses = _logistic_loss(input, target)
    else:
        p = class_weights(pos_weight, input)
        losses = (1.0 - target) * softplus(input) + p * target * softplus(-input)
    if weight is not None:
        losses = losses * class_weights(weight, input)
    return reduce(name, losses, reduction)


def _log_or_floor(log: Any, p: Any) -> Any:
    """The logarithm, not below -100: one wrong certainty does not make the loss infinite."""
    with np.errstate(divide="ignore"):
        return np.maximum(log(p), -100.0)


@operator(
    vjp=(
        lambda g, _ans, p, t: g * (p - t) / np.maximum(p * (1.0 - p), 1e-12),
        lambda g, _ans, p, _t: g * (_log_or_floor(np.log1p, -p) - _log_or_floor(np.log, p)),
    ),
    domain=_probability,
    samples=[sample((3, 2), (3, 2)), sample((), ()), sample((0, 2), (0, 2))],
    name="binary_cross_entropy_of_each",
)
def _binary_cross_entropy(p: Array, t: Array) -> Array:
    return -(t * _log_or_floor(np.log, p) + (1.0 - t) * _log_or_floor(np.log1p, -p))


@composite_of_floats(arrays=2, domain=_probability, samples=REDUCTIONS)
def binary_cross_entropy(
    input: Array, target: Array, weight: Array = None, reduction: str = "mean"
) -> Array:
    """`-(t log p + (1 - t) log(1 - p))`, with `p = input, t = target` and no log below -100.

    From logits, binary_cross_entropy_with_logits is more exact. As PyTorch's. Raises ValueError for
    inputs outside [0, 1]. input and target (...) of one shape give (), or (...) with
    ``reduction="none"``.

    >>> binary_cross_entropy(tensor([0.5, 1.0]), tensor([0.0, 1.0]), reduction="sum")
    tensor(0.6931472)
    """
    check_shapes("binary_cross_entropy", input, target)
    p = engine.constant(input)
    if not ((p >= 0) & (p <= 1) | np.isnan(p)).all():
        raise ValueError(
            "binary_cross_entropy: the input must be probabilities in [0, 1]; "
            "for logits use binary_cross_entropy_with_logits"
        )
    target = probabilities("binary_cross_entropy", target, input.dtype)
    losses = _binary_cross_entropy(input, target)
    if weight is not None:
        losses = losses * class_weights(weight, input)
    return reduce("binary_cross_entropy", losses, reduction)


# -- distributions: how unlikely the targets are where the network gives a distribution ------------


@composite_of_floats(
    arrays=2,
    domain=(anywhere, positive),
    samples=[
        *REDUCTIONS, sample((3, 2), (3, 2), reduction="batchmean"),
        sample((3, 2), (3, 2), log_target=True),
    ],
)  # fmt: skip
def kl_div(input: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    """`target * (log(target) - input)`: the divergence of log-probabilities from probabilities.

    ``input`` holds logarithms; ``log_target``: the target does as well. A target of 0 counts for
    nothing. ``reduction`` "batchmean" divides the sum by the length of the first axis, which is the
    divergence as it is defined; "mean" divides by the number of elements, as PyTorch's. input and
    target (...) of one shape give (), or (...) with "none". Kullback and Leibler, "On information
    and sufficiency", 1951. Raises ValueError for different shapes.

    >>> kl_div(mg.log(tensor([[0.5, 0.5]])), tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931472)
    """
    check_shapes("kl_div", input, target)
    if log_target:
        losses = np.exp(target) * (target - input)
    else:
        known = np.where(target == 0, 1.0, target)  # 0 log 0 is 0
        losses = target * (np.log(known) - input)
    if reduction != "batchmean":
        return reduce("kl_div", losses, reduction)
    return np.sum(losses) * (1.0 / (len(input) or 1) if input.ndim else 1.0)


@composite_of_floats(
    arrays=3,
    domain=(anywhere, anywhere, positive),
    samples=[
        sample((3, 2), (3, 2), (3, 2)), sample((3, 2), (3, 2), (3,), reduction="sum"),
        sample((3, 2), (3, 2), (3, 1), full=True, reduction="none"),
        sample((0, 2), (0, 2), (0, 2), reduction="sum"),
    ],
)  # fmt: skip
def gaussian_nll_loss(
    input: Array,
    target: Array,
    var: Array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:
    """`(log(var) + (input - target)**2 / var) / 2`, for normal targets of this mean and variance.

    input and target (..., n) of one shape; ``var`` of that shape, or (..., 1) or (...), one
    variance for all n. A variance below ``eps`` counts as eps, and its gradient is that at eps.
    ``full`` adds the constant `log(2 pi) / 2`. They give (), or (..., n) with ``reduction`` "none".
    As PyTorch's; Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", 1994. Raises ValueError for negative variances, an eps that is not positive, and
    shapes that do not fit.

    >>> gaussian_nll_loss(tensor([1.0]), tensor([3.0]), tensor([4.0]))
    tensor(1.1931472)
    """
    name = "gaussian_nll_loss"
    check_shapes(name, input, target)
    if not 0.0 < eps < math.inf:
        raise ValueError(f"{name}: eps must be positive, got {eps}")
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var[..., None]
    if var.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise ValueError(
            f"{name}: var must have shape {input.shape}, {input.shape[:-1]} or "
            f"{(*input.shape[:-1], 1)}, got {var.shape}"
        )
    given = engine.constant(var)
    if (given < 0).any():
        raise ValueError(f"{name}: var must be 0 or more, got {given.min()}")
    var = var + np.maximum(eps - given, 0.0)
    losses = 0.5 * (np.log(var) + np.square(input - target) / var)
    if full:
        losses = losses + 0.5 * math.log(2.0 * math.pi)
    return reduce(name, losses, reduction)


@composite_of_floats(
    arrays=2, domain=(anywhere, _count), samples=[*REDUCTIONS, sample((3, 2), (3, 2), full=True)]
)
def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Array:
    """`exp(input) - target * input`, for counts whose expected number has the logarithm ``input``.

    Without ``log_input``, `input - target * log(input + eps)`. ``full`` adds Stirling's
    approximation of `log(target!)`, `target * log(target) - target + log(2 pi target) / 2`, to
    targets above 1. input and target (...) of one shape give (), or (...) with ``reduction``
    "none". As PyTorch's. Raises ValueError for different shapes.

    >>> poisson_nll_loss(tensor([0.0]), tensor([2.0]))
    tensor(1.)
    """
    check_shapes("poisson_nll_loss", input, target)
    if log_input:
        losses = np.exp(input) - target * input
    else:
        losses = input - target * np.log(input + float(eps))
    if full:
        large = engine.constant(target) > 1
        n: Any = np.where(large, target, 1.0)
        rest = n * np.log(n) - n + 0.5 * np.log(2.0 * math.pi * n)
        losses = losses + np.where(large, rest, 0.0)
    return reduce("poisson_nll_loss", losses, reduction)
