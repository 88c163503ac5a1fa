"""Activation functions of neural networks."""

from __future__ import annotations

import numpy as np

from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import nonzero, sample

__all__ = ["log_softmax", "relu", "sigmoid", "softmax"]

ALONG = [sample((3,)), sample((2, 3)), sample((2, 3), axis=0), sample((0, 3))]


@operator(vjp=lambda g, ans, _x: g * (ans > 0), domain=nonzero)
def relu(x: Array) -> Array:
    """max(x, 0); its derivative at 0 is 0.

    >>> relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return np.maximum(x, 0)


@operator(vjp=lambda g, ans, _x: g * (ans * (1.0 - ans)))
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), in (0, 1), written with tanh so that no x overflows.

    >>> sigmoid(tensor([0.0]))
    tensor([0.5])
    """
    return 0.5 * np.tanh(0.5 * x) + 0.5


@operator(
    vjp=lambda g, ans, _x, axis=-1: ans * (g - np.sum(g * ans, axis=axis, keepdims=True)),
    samples=ALONG,
)
def softmax(x: Array, axis: int = -1) -> Array:
    """e^x / sum(e^x) along ``axis``: positive and of sum 1.

    >>> softmax(tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@operator(
    vjp=lambda g, ans, _x, axis=-1: g - np.exp(ans) * np.sum(g, axis=axis, keepdims=True),
    samples=ALONG,
)
def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, exact also where softmax underflows.

    >>> log_softmax(tensor([0.0, 0.0]))
    tensor([-0.6931472, -0.6931472])
    """
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
