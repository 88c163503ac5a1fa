"""Normalisation to mean 0 and variance 1, for batch, layer and group norm.

The three differ only in the axes over which the moments are taken. The plain gradient is written
in NumPy's functions alone, so that it records itself on tensors: derivatives of second and higher
order are taken through it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.sums import mean as mean_of, total


def plain_moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """The mean and the biased variance over ``axis``, axes kept; 0 and 1 if there is no element."""
    if not x.size:
        return _moments_of_nothing(x, axis)
    mean = np.mean(x, axis=axis, keepdims=True)
    return mean, np.mean((x - mean) ** 2, axis=axis, keepdims=True)


def plain_normalize(
    x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, known: Any = None
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias.

    ``weight`` and ``bias``, with as many axes as x, may be None; ``known``: the moments, or None.
    """
    mean, var = known or plain_moments(x, axis)
    ans = (x - mean) / np.sqrt(var + eps)
    ans = ans if weight is None else ans * weight
    return ans if bias is None else ans + bias


def plain_normalize_grad(
    g: Any,
    needed: list[int],
    x: Any,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    known: Any = None,  # noqa: ARG001 (the arguments of every set are the same)
) -> list[Any]:
    """The gradients by x (0), weight (1) and bias (2), as far as they are needed.

    Of ``bias`` only the shape is asked. The moments are functions of x, so they are taken again.
    """
    mean, var = plain_moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    normal = (x - mean) * inv
    found: list[Any] = []
    for i in needed:
        if i == 0:
            gw = g if weight is None else g * weight
            level, slope = (plain_moments(part, axis)[0] for part in (gw, gw * normal))
            found.append((gw - level - normal * slope) * inv)
        else:
            found.append(_sum_to(g * normal, weight) if i == 1 else _sum_to(g, bias))
    return found


def plain_affine(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """(x - mean) * scale + shift; ``shift`` may be None."""
    ans = (x - mean) * scale
    return ans if shift is None else ans + shift


def _moments_of_nothing(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    gone = {a % x.ndim for a in axis}
    shape = [1 if a in gone else n for a, n in enumerate(x.shape)]
    return np.zeros(shape, x.dtype), np.ones(shape, x.dtype)


def _sum_to(x: Any, like: Any) -> Any:
    """The sum over the axes along which ``like``, which has as many axes as x, has length 1."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return total(x, axes, keepdims=True) if axes else x


def moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """``plain_moments``, whose sums do not drift."""
    if not x.size:
        return _moments_of_nothing(x, axis)
    mean = mean_of(x, axis, keepdims=True)
    centred = x - mean
    return mean, mean_of(centred * centred, axis, keepdims=True)


def _folds(weight: Any, mean: Any) -> bool:
    """Whether the weight is constant where the mean is taken, as in batch norm."""
    return weight is None or weight.shape == mean.shape


def normalize(
    x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, known: Any = None
) -> Any:
    """``plain_normalize``, in few passes."""
    mean, var = known or moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    ans = x - mean
    if weight is not None and _folds(weight, mean):
        ans *= inv * weight
    else:
        ans *= inv
        if weight is not None:
            ans *= weight
    if bias is not None:
        ans += bias
    return ans


def normalize_grad(
    g: Any,
    needed: list[int],
    x: Any,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    known: Any = None,
) -> list[Any]:
    """``plain_normalize_grad``, in few passes.

    2.8 ms in place of 4.8 for batch norm of 100 x 16 x 28 x 28.
    """
    mean, var = known or moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    count = max(1, math.prod([x.shape[a] for a in axis]))
    centred = x - mean
    product = g * centred
    found: dict[int, Any] = {}
    if 1 in needed:
        found[1] = (
            _sum_to(product * inv, weight)
            if not _folds(weight, mean)
            else (total(product, axis, keepdims=True) * inv)
        )
    if 2 in needed:
        found[2] = _sum_to(g, bias)
    if 0 in needed:
        gw, scale = g, inv
        if weight is not None and _folds(weight, mean):
            scale = inv * weight
        elif weight is not None:
            gw = g * weight
            product *= weight
        level = total(gw, axis, keepdims=True) / count
        slope = total(product, axis, keepdims=True) / count
        centred *= slope * (inv * inv)
        np.subtract(gw, centred, out=product)
        product -= level
        product *= scale
        found[0] = product
    return [found[i] for i in needed]


def affine(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """``plain_affine``, in place where the dtype allows it."""
    # The mean is taken away first: afterwards, a large one would have cost digits.
    ans = x - mean
    ans = np.multiply(ans, scale, out=ans if ans.dtype == np.result_type(ans, scale) else None)
    if shift is None:
        return ans
    return np.add(ans, shift, out=ans if ans.dtype == np.result_type(ans, shift) else None)
