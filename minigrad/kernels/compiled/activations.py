"""Activation functions and their gradients, each in one pass."""

# pyright: basic, reportMissingImports=false
# ruff: noqa: D103 (they take the docstrings of the kernels written with NumPy)
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.kernels import activations as numpy_set
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.functions import (
    exp,
    expm1,
    least,
    log1p,
    logistic as logistic_of,
    most,
)
from minigrad.kernels.compiled.layout import pieces
from minigrad.kernels.compiled.vectors import LANES, absolute, if_below, load, splat, store
from minigrad.kernels.threads import run

#: The elements of one piece.
PIECE = 1 << 16
ZERO = np.float32(0.0)


def _fit(*arrays: Any) -> bool:
    """Whether all of these lie in memory alike, without gaps, as float32."""
    first = arrays[0]
    return all(
        isinstance(a, np.ndarray)
        and a.dtype.char == "f"
        and a.dtype.isnative
        and a.shape == first.shape
        and a.strides == first.strides
        and a.size >= LANES
        and a.flags.aligned
        for a in arrays
    ) and bool(first.flags.c_contiguous or _has_no_gaps(first))


def _has_no_gaps(x: Any) -> bool:
    """Whether the elements lie side by side in some order of the axes."""
    order = sorted(range(x.ndim), key=lambda a: -x.strides[a])
    return bool(x.transpose(order).flags.c_contiguous)


def _each(loop: Callable[..., None], arrays: Sequence[Any], *numbers: float) -> Any:
    """Call ``loop`` on pieces of the arrays, which lie in memory alike."""
    out = np.empty_like(arrays[0], subok=False)
    rows = [a.ravel("K") for a in arrays]
    for row in rows:
        row.flags.writeable = False
    target, scalars = out.ravel("K"), [np.float32(number) for number in numbers]
    if out.size <= PIECE:  # one piece, which is not worth the preparations
        loop(*rows, target, *scalars, 0, out.size)
        return out

    def work(some: Sequence[tuple[int, int]]) -> None:
        for start, stop in some:
            loop(*rows, target, *scalars, start, stop)

    run(work, pieces(out.size, PIECE), out.size * 4e-10)
    return out


def kernel(loop: Callable[..., None]) -> Callable[..., Any]:
    """The kernel of a loop's name, which leaves to NumPy what does not fit.

    The loop's arguments are those of the kernel, arrays first, with ``out`` after the arrays.
    """
    count = loop.__code__.co_varnames.index("out")
    numpy, runs = getattr(numpy_set, loop.__name__), compiled(loop)

    @functools.wraps(numpy)
    def call(*given: Any) -> Any:
        arrays = given[:count]
        return _each(runs, arrays, *given[count:]) if _fit(*arrays) else numpy(*given)

    call.__module__ = __name__
    return call


@kernel
def logistic(x, out, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        store(out, i, logistic_of(load(x, i)))


@kernel
def logistic_grad(g, x, out, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        e = exp(absolute(load(x, i)) * -1.0)
        t = e + 1.0
        store(out, i, e / (t * t) * load(g, i))


@kernel
def silu(x, out, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        value = load(x, i)
        store(out, i, logistic_of(value) * value)


@kernel
def silu_grad(g, x, out, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        near = most(least(load(x, i), 50.0), -800.0)
        e = exp(near)
        t = e + 1.0
        store(out, i, (near / t + 1.0) * (e / t) * load(g, i))


@kernel
def relu(x, out, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        store(out, i, most(load(x, i), ZERO))


@kernel
def relu_grad(g, ans, out, start, stop):
    zero = splat(ZERO)
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        store(out, i, if_below(zero, load(ans, i), load(g, i), zero))


@kernel
def leaky_relu(x, out, slope, start, stop):
    zero = splat(ZERO)
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        value = load(x, i)
        store(out, i, if_below(zero, value, value, value * slope))


@kernel
def leaky_relu_grad(g, x, out, slope, start, stop):
    zero = splat(ZERO)
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        share = load(g, i)
        store(out, i, if_below(zero, load(x, i), share, share * slope))


@kernel
def elu(x, out, alpha, scale, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        value = load(x, i)
        store(out, i, (most(value, ZERO) + expm1(least(value, ZERO)) * alpha) * scale)


@kernel
def elu_grad(g, x, out, alpha, scale, start, stop):
    zero = splat(ZERO)
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        value, share = load(x, i), load(g, i)
        below = share * (exp(least(value, ZERO)) * alpha)
        store(out, i, if_below(zero, value, share, below) * scale)


@kernel
def softplus(x, out, beta, start, stop):
    for chunk in range(start, stop, LANES):
        i = min(chunk, len(out) - LANES)
        value = load(x, i) * beta
        value = log1p(exp(absolute(value) * -1.0)) + most(value, ZERO)
        store(out, i, value * (1.0 / beta))
