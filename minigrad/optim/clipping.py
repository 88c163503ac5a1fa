"""Gradient clipping: shorten the gradients of one step before the optimizer uses them.

The functions that end in ``_`` change ``.grad`` and follow PyTorch; ``clip_by_global_norm`` takes
the gradients of a tape and follows TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.optim.buffer import Array


@checked(max_norm="[0, inf)", norm_type="(0, inf]")
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all ``.grad`` together so that their norm, taken as one vector, is at most max_norm.

    Each becomes `grad * min(1, max_norm / (norm + 1e-6))`, as in PyTorch. Returns the norm before
    clipping. ``norm_type``: a number above 0, or ``inf`` for the largest absolute value.

    Raises ValueError for max_norm or norm_type out of range, and with ``error_if_nonfinite``
    RuntimeError for a norm that is inf or nan (otherwise all gradients become nan, as in PyTorch).
    Pascanu et al. 2013.

    >>> w = mg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> optim.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad.numpy().round(4).tolist()
    [0.6, 0.8]
    """
    owners = _with_gradients("clip_grad_norm_", parameters)
    gradients = [g._data for _, g in owners]
    norm = _norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        bad = [_describe(p) for p, g in owners if not np.isfinite(g._data).all()]
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be scaled; "
            f"not finite in: {', '.join(bad) or 'none of them, but their norm overflows'}"
        )
    scale = _scale(max_norm, norm + 1e-6)
    if not scale >= 1.0:
        for p, g in owners:
            p.grad = Tensor(_scaled(g._data, scale))
    return Tensor(np.asarray(norm, _dtype(gradients)))


@checked(clip_value="[0, inf)")
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every ``.grad`` to [-clip_value, clip_value].

    Raises ValueError for a negative or non-finite clip_value.

    >>> w = mg.tensor([3.0, -4.0, 0.5], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> optim.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1. , -1. ,  0.5])
    """
    for p, g in _with_gradients("clip_grad_value_", parameters):
        p.grad = Tensor(np.clip(g._data, -float(clip_value), float(clip_value)))


@checked(max_norm="[0, inf)")
def clip_by_global_norm(
    grads: Sequence[Any], max_norm: float
) -> tuple[list[Tensor | None], Tensor]:
    """Clip a list of gradients together, for ``apply_gradients``, after TensorFlow's.

    Returns the clipped gradients, constants each times `min(1, max_norm / norm)`, and the norm of
    all before clipping. None stays None.

    Raises ValueError for a negative or non-finite max_norm. Pascanu et al. 2013.

    >>> grads, norm = optim.clip_by_global_norm([mg.tensor([3.0]), None, mg.tensor([4.0])], 1.0)
    >>> norm
    tensor(5.)
    >>> [None if g is None else round(g.item(), 4) for g in grads]
    [0.6, None, 0.8]
    """
    if isinstance(grads, (Tensor, np.ndarray)):
        raise TypeError("clip_by_global_norm: expected a list of gradients, got one; write [g]")
    given = [None if g is None else as_tensor(g)._data for g in grads]
    arrays = [g for g in given if g is not None]
    norm = _norm(arrays, 2.0)
    scale = _scale(max_norm, norm)
    clipped = [
        None if g is None else Tensor(g if scale >= 1.0 else _scaled(g, scale)) for g in given
    ]
    return clipped, Tensor(np.asarray(norm, _dtype(arrays)))


def _with_gradients(function: str, parameters: Any) -> list[tuple[Tensor, Tensor]]:
    """The parameters that have a gradient, each once, with it."""
    given: list[Any] = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for i, p in enumerate(given):
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{function}: expected tensors, got {type(p).__name__} at {i}; pass "
                f"model.parameters() (for gradients of a tape: clip_by_global_norm)"
            )
    return [(p, p.grad) for p in dict.fromkeys(given) if p.grad is not None]


def _norm(arrays: list[Array], norm_type: float) -> float:
    if norm_type == math.inf:
        # np.max, unlike Python's, passes nan on.
        return float(np.max([np.max(np.abs(a)) for a in arrays if a.size] or [0.0]))
    with np.errstate(over="ignore"):
        if norm_type == 2.0:
            squares = 0.0
            for a in arrays:
                flat = a.reshape(-1)
                flat = flat.astype(np.float32) if flat.dtype == np.float16 else flat
                square = float(np.dot(flat, flat))
                if square == math.inf and flat.dtype == np.float32:
                    flat = flat.astype(np.float64)  # float32 overflows from 2e19 on
                    square = float(np.dot(flat, flat))
                squares += square
            return math.sqrt(squares)
        total = sum(float(np.sum(np.abs(a).astype(np.float64) ** norm_type)) for a in arrays)
        return float(total ** (1.0 / norm_type))


def _scale(max_norm: float, norm: float) -> float:
    if math.isnan(norm):
        return math.nan
    return 1.0 if norm <= max_norm else max_norm / norm


def _scaled(array: Array, scale: float) -> Array:
    with np.errstate(invalid="ignore"):  # inf * 0
        return np.asarray(array * scale)


def _dtype(arrays: list[Array]) -> Any:
    return np.result_type(*arrays) if arrays else np.float32


def _describe(p: Tensor) -> str:
    name = getattr(p._node, "name", "")
    return f"{name!r} {p.shape}" if name else f"a tensor of shape {p.shape}"
