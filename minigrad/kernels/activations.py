"""Activation functions and their gradients, with few steps for each element.

On a tensor, the logistic function is an operator that records itself. Kernels do not import
operators, so ``operators/activations.py`` sets that operator in ``current.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.current import Recorded
from minigrad.kernels.elementwise import by_element, each

#: An x at which the value is 1 already and e^x does not overflow yet, by dtype; else 50.
MOST = {"e": 11.0}
#: GELU by tanh is x s(u), with u = LINEAR x + CUBIC x^3. Beyond FARTHEST, s(u) is 0 or 1 in
#: every dtype, and a cube would overflow before long.
LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
CUBIC = LINEAR * 0.044715
FARTHEST = 60.0
#: np.clip takes half of the time of np.minimum and np.maximum with a number.
INF = math.inf


def plain_logistic(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return Recorded.logistic(x)
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(np.negative(x)))


def logistic(x: Any) -> Any:
    """``plain_logistic`` without overflow.

    Accurate everywhere. For 1 - logistic(x) use logistic(-x): the subtraction would lose digits.
    """
    if not isinstance(x, (np.ndarray, np.generic)):
        return Recorded.logistic(x)
    return each(_logistic, 1, x)


def _logistic(out: Any, s: Any, x: Any) -> None:
    np.clip(x, -INF, MOST.get(x.dtype.char, 50.0), out=out)
    np.exp(out, out=out)
    np.add(out, 1.0, out=s)
    np.divide(out, s, out=out)


def plain_logistic_grad(g: Any, x: Any) -> Any:
    """``g * s(x) * s(-x)``, with s the logistic function."""
    return g * (plain_logistic(x) * plain_logistic(-x))


@by_element(plain_logistic_grad, spare=1)
def logistic_grad(out: Any, s: Any, g: Any, x: Any) -> None:
    """``plain_logistic_grad`` with one exponential: e^-|x| / (1 + e^-|x|)^2."""
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.add(out, 1.0, out=s)
    np.multiply(s, s, out=s)
    np.divide(out, s, out=out)
    np.multiply(out, g, out=out)


def plain_relu(x: Any) -> Any:
    """max(x, 0)."""
    return np.maximum(x, 0)


def relu(x: Any) -> Any:
    """``plain_relu``, by clipping: 24 us instead of 80 for 32 x 10 x 26 x 26."""
    if x.dtype.kind != "f" or x.size < LARGE:
        return np.maximum(x, 0)
    return each(lambda out, x: np.clip(x, 0.0, INF, out=out), 0, x, seconds=5e-10)


#: From so many elements on, what each call of NumPy takes matters less than how it does it.
LARGE = 1 << 16


def plain_relu_grad(g: Any, ans: Any) -> Any:
    """``g`` where the value of relu is positive, else 0."""
    return g * (ans > 0)


def relu_grad(g: Any, ans: Any) -> Any:
    """``plain_relu_grad``, over g where the backward pass lends it."""
    if g.size < LARGE or g.dtype != ans.dtype:
        return plain_relu_grad(g, ans)
    return each(
        lambda out, g, ans: np.multiply(g, ans > 0, out=out), 0, g, ans, seconds=8e-10, over=True
    )


def plain_silu(x: Any) -> Any:
    """``x * s(x)``, with s the logistic function."""
    return x * plain_logistic(x)


@by_element(plain_silu, spare=1)
def silu(out: Any, s: Any, x: Any) -> None:
    """``plain_silu`` without overflow."""
    _logistic(out, s, x)
    np.multiply(out, x, out=out)


def plain_silu_grad(g: Any, x: Any) -> Any:
    """``g * s(x) * (1 + x * s(-x))``, with x kept finite: beyond 800, s(x) is 0 or 1."""
    near = np.clip(x, -800.0, 800.0)
    return g * (plain_logistic(x) * (1.0 + near * plain_logistic(-x)))


@by_element(plain_silu_grad, spare=2)
def silu_grad(out: Any, s: Any, t: Any, g: Any, x: Any) -> None:
    """``plain_silu_grad`` with one exponential: s(-x) = 1 / (1 + e^x)."""
    np.clip(x, -800.0, 50.0, out=out)
    np.exp(out, out=s)
    np.add(s, 1.0, out=t)
    np.divide(out, t, out=out)  # x s(-x), which is 0 beyond 50
    np.divide(s, t, out=s)
    np.add(out, 1.0, out=out)
    np.multiply(out, s, out=out)
    np.multiply(out, g, out=out)


def plain_gelu_tanh(x: Any) -> Any:
    """``x s(u)``, with s the logistic function and u = LINEAR x + CUBIC x^3."""
    near = np.clip(x, -FARTHEST, FARTHEST)
    return x * plain_logistic(near * (LINEAR + CUBIC * (near * near)))


def _exponential(square: Any, near: Any, most: float) -> None:
    """Write e^u over the square of ``near``, x: u = LINEAR x + CUBIC x^3, at most ``most``."""
    np.multiply(square, CUBIC, out=square)
    np.add(square, LINEAR, out=square)
    np.multiply(square, near, out=square)
    np.clip(square, -INF, most, out=square)
    np.exp(square, out=square)


@by_element(plain_gelu_tanh, spare=1)
def gelu_tanh(out: Any, s: Any, x: Any) -> None:
    """``plain_gelu_tanh`` without overflow."""
    np.clip(x, -FARTHEST, FARTHEST, out=out)
    np.multiply(out, out, out=s)
    _exponential(s, out, MOST.get(out.dtype.char, 50.0))
    np.add(s, 1.0, out=out)
    np.divide(s, out, out=out)
    np.multiply(out, x, out=out)


def plain_gelu_tanh_grad(g: Any, x: Any) -> Any:
    """``g s(u) (1 + x u' s(-u))``, with u' = LINEAR + 3 CUBIC x^2."""
    near = np.clip(x, -FARTHEST, FARTHEST)
    square = near * near
    u, slope = near * (LINEAR + CUBIC * square), LINEAR + (3.0 * CUBIC) * square
    return g * (plain_logistic(u) * (1.0 + near * slope * plain_logistic(-u)))


@by_element(plain_gelu_tanh_grad, spare=2, seconds=2e-9)
def gelu_tanh_grad(out: Any, s: Any, t: Any, g: Any, x: Any) -> None:
    """``plain_gelu_tanh_grad`` with one exponential: s(-u) = 1 / (1 + e^u)."""
    np.clip(x, -FARTHEST, FARTHEST, out=t)
    np.multiply(t, t, out=s)
    np.multiply(s, 3.0 * CUBIC, out=out)
    np.add(out, LINEAR, out=out)
    np.multiply(out, t, out=out)
    _exponential(s, t, MOST.get(out.dtype.char, 50.0))
    np.add(s, 1.0, out=t)
    np.divide(out, t, out=out)
    np.divide(s, t, out=s)
    np.add(out, 1.0, out=out)
    np.multiply(out, s, out=out)
    np.multiply(out, g, out=out)


def plain_leaky_relu(x: Any, slope: float) -> Any:
    """``x`` where it is positive, else ``slope * x``."""
    return np.where(x > 0, x, x * slope)


def leaky_relu(x: Any, slope: float) -> Any:
    """``plain_leaky_relu`` as a maximum, where that is the same."""
    if not 0.0 < slope <= 1.0:  # 0 * inf is not below inf
        return plain_leaky_relu(x, slope)

    def formula(out: Any, x: Any) -> None:
        np.multiply(x, slope, out=out)
        np.maximum(x, out, out=out)

    return each(formula, 0, x, seconds=3e-10)


def plain_leaky_relu_grad(g: Any, x: Any, slope: float) -> Any:
    """``g`` where x is positive, else ``slope * g``."""
    return np.where(x > 0, g, g * slope)


def leaky_relu_grad(g: Any, x: Any, slope: float) -> Any:
    """``plain_leaky_relu_grad``, by clipping 0 and 1: np.where takes twice as long."""
    if not 0.0 <= slope <= 1.0:
        return plain_leaky_relu_grad(g, x, slope)

    def formula(out: Any, g: Any, x: Any) -> None:
        np.greater(x, 0.0, out=out)
        np.clip(out, slope, 1.0, out=out)
        np.multiply(out, g, out=out)

    return each(formula, 0, g, x, seconds=6e-10)


def plain_elu(x: Any, alpha: float, scale: float) -> Any:
    """``scale * x`` where x is positive, else ``scale * alpha * (exp(x) - 1)``."""
    return scale * (np.maximum(x, 0.0) + alpha * np.expm1(np.minimum(x, 0.0)))


def elu(x: Any, alpha: float, scale: float) -> Any:
    """``plain_elu``."""

    def formula(out: Any, s: Any, x: Any) -> None:
        np.clip(x, -INF, 0.0, out=out)
        np.expm1(out, out=out)
        if alpha != 1.0:
            np.multiply(out, alpha, out=out)
        np.clip(x, 0.0, INF, out=s)
        np.add(out, s, out=out)
        if scale != 1.0:
            np.multiply(out, scale, out=out)

    return each(formula, 1, x)


def plain_elu_grad(g: Any, x: Any, alpha: float, scale: float) -> Any:
    """``scale * g`` where x is positive, else ``scale * alpha * exp(x) * g``."""
    below = np.exp(np.where(x >= 0.0, 0.0, x))
    return scale * np.where(x > 0, g, g * (alpha * below))


def elu_grad(g: Any, x: Any, alpha: float, scale: float) -> Any:
    """``plain_elu_grad``: e^x of the negative part, times 1 or alpha, found by clipping."""
    if not 1.0 <= alpha < INF:
        return plain_elu_grad(g, x, alpha, scale)

    def formula(out: Any, s: Any, g: Any, x: Any) -> None:
        np.clip(x, -INF, 0.0, out=out)
        np.exp(out, out=out)
        if alpha > 1.0:
            np.less_equal(x, 0.0, out=s)
            np.multiply(s, alpha, out=s)
            np.clip(s, 1.0, alpha, out=s)
            np.multiply(out, s, out=out)
        np.multiply(out, g, out=out)
        if scale != 1.0:
            np.multiply(out, scale, out=out)

    return each(formula, 1, g, x)


def plain_softplus(x: Any, beta: float) -> Any:
    """log(1 + e^(beta x)) / beta."""
    return np.logaddexp(0.0, beta * x) * (1.0 / beta)


def softplus(x: Any, beta: float) -> Any:
    """``plain_softplus`` without np.logaddexp, which takes ten times as long."""

    def formula(out: Any, s: Any, x: Any) -> None:
        if beta != 1.0:
            x = np.multiply(x, beta, out=s)
        np.abs(x, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        np.clip(x, 0.0, INF, out=s)
        np.add(out, s, out=out)
        if beta != 1.0:
            np.multiply(out, 1.0 / beta, out=out)

    return each(formula, 1, x)
