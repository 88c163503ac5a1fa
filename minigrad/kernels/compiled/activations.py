"""Activation functions and their gradients, each in one pass.

Their plain definitions are in kernels/activations.py. Exponentials are a polynomial that the
compiler turns into vector instructions.
"""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools

import numpy as np

from minigrad.kernels import activations as numpy_set
from minigrad.kernels.activations import CUBIC, FARTHEST, LINEAR
from minigrad.kernels.compiled.elementwise import kernel_by_element
from minigrad.kernels.compiled.functions import (
    exp,
    expm1,
    least,
    log1p,
    logistic as logistic_of,
    most,
)
from minigrad.kernels.compiled.vectors import LANES, absolute, if_below, load, splat, store

ZERO = np.float32(0.0)
kernel = functools.partial(kernel_by_element, numpy_set)


@kernel
def logistic(x, out, start, stop):
    for i in range(start, stop, LANES):
        store(out, i, logistic_of(load(x, i)))


@kernel
def logistic_grad(g, x, out, start, stop):
    for i in range(start, stop, LANES):
        e = exp(absolute(load(x, i)) * -1.0)
        t = e + 1.0
        store(out, i, e / (t * t) * load(g, i))


@kernel
def silu(x, out, start, stop):
    for i in range(start, stop, LANES):
        value = load(x, i)
        store(out, i, logistic_of(value) * value)


@kernel
def silu_grad(g, x, out, start, stop):
    for i in range(start, stop, LANES):
        near = most(least(load(x, i), 50.0), -800.0)
        e = exp(near)
        t = e + 1.0
        store(out, i, (near / t + 1.0) * (e / t) * load(g, i))


@kernel
def gelu_tanh(x, out, start, stop):
    for i in range(start, stop, LANES):
        value = load(x, i)
        near = most(least(value, FARTHEST), -FARTHEST)
        store(out, i, logistic_of(near * (near * near * CUBIC + LINEAR)) * value)


@kernel
def gelu_tanh_grad(g, x, out, start, stop):
    for i in range(start, stop, LANES):
        near = most(least(load(x, i), FARTHEST), -FARTHEST)
        square = near * near
        e = exp(least(near * (square * CUBIC + LINEAR), 50.0))
        t = e + 1.0
        slope = near * (square * (3.0 * CUBIC) + LINEAR)
        store(out, i, (slope / t + 1.0) * (e / t) * load(g, i))


@kernel
def relu(x, out, start, stop):
    for i in range(start, stop, LANES):
        store(out, i, most(load(x, i), ZERO))


@kernel
def relu_grad(g, ans, out, start, stop):
    zero = splat(ZERO)
    for i in range(start, stop, LANES):
        store(out, i, if_below(zero, load(ans, i), load(g, i), zero))


@kernel
def leaky_relu(x, out, slope, start, stop):
    zero = splat(ZERO)
    for i in range(start, stop, LANES):
        value = load(x, i)
        store(out, i, if_below(zero, value, value, value * slope))


@kernel
def leaky_relu_grad(g, x, out, slope, start, stop):
    zero = splat(ZERO)
    for i in range(start, stop, LANES):
        share = load(g, i)
        store(out, i, if_below(zero, load(x, i), share, share * slope))


@kernel
def elu(x, out, alpha, scale, start, stop):
    for i in range(start, stop, LANES):
        value = load(x, i)
        store(out, i, (most(value, ZERO) + expm1(least(value, ZERO)) * alpha) * scale)


@kernel
def elu_grad(g, x, out, alpha, scale, start, stop):
    zero = splat(ZERO)
    for i in range(start, stop, LANES):
        value, share = load(x, i), load(g, i)
        below = share * (exp(least(value, ZERO)) * alpha)
        store(out, i, if_below(zero, value, share, below) * scale)


@kernel
def softplus(x, out, beta, start, stop):
    for i in range(start, stop, LANES):
        value = load(x, i) * beta
        value = log1p(exp(absolute(value) * -1.0)) + most(value, ZERO)
        store(out, i, value * (1.0 / beta))
