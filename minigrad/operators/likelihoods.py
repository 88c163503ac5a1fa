"""Losses of distributions: how unlikely the targets are where the network gives a distribution.

``reduction`` as in ``losses.py``: "mean", "sum" or "none".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite_of_floats, engine
from minigrad.operators.domain import Domain, anywhere, positive, sample
from minigrad.operators.losses import REDUCTIONS, check_shapes, reduce


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


_count = Domain("count", low=1.2, high=4.0)


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
