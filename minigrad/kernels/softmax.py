"""Softmax, its logarithm, and cross-entropy: some rows at a time, shared out over threads.

The plain definitions are written in functions that record themselves on tensors: derivatives of
second and higher order are taken through them.
"""

from __future__ import annotations

import functools
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.activations import plain_logistic
from minigrad.kernels.elementwise import Formula, by_element, defined_by
from minigrad.kernels.threads import run_each, slices

#: The elements of the rows that one thread does at once.
PIECE = 1 << 17
#: Up to this many, the exponentials of a value are kept for its gradient.
FEW = 1 << 14
#: What the methods of arrays call: for 32 rows of 10 they would take half as long again.
_add_up: Any = np.add.reduce
_largest: Any = np.maximum.reduce


@functools.lru_cache(maxsize=8)
def _numbers(count: int) -> Any:
    """The numbers of the rows."""
    return np.arange(count)


def plain_softmax(x: Any, axis: int) -> Any:
    """e^x / sum(e^x) along an axis."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-math.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


def plain_softmax_grad(g: Any, ans: Any, axis: int) -> Any:
    """The gradient of softmax at its value ``ans``."""
    return ans * (g - np.sum(g * ans, axis=axis, keepdims=True))


def plain_log_softmax(x: Any, axis: int) -> Any:
    """The logarithm of softmax."""
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    if not x.size:
        return shifted
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def plain_log_softmax_grad(g: Any, ans: Any, axis: int) -> Any:
    """The gradient of the logarithm of softmax at its value ``ans``."""
    return g - np.exp(ans) * np.sum(g, axis=axis, keepdims=True)


def plain_cross_entropy(logits: Any, labels: Any) -> Any:
    """logsumexp(logits[n]) - logits[n, labels[n]] for each row n of (N, C)."""
    return -plain_log_softmax(logits, 1)[np.arange(len(labels)), labels]


def plain_cross_entropy_grad(g: Any, logits: Any, labels: Any) -> Any:
    """The gradient by the logits; g (N,) or a number is that of the losses."""
    one_hot = np.zeros(logits.shape, logits.dtype)
    one_hot[np.arange(len(labels)), labels] = 1.0
    e = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    return (e / np.sum(e, axis=1, keepdims=True) - one_hot) * (g[:, None] if g.ndim else g)


def plain_logistic_loss(x: Any, t: Any) -> Any:
    """-(t log s(x) + (1 - t) log s(-x)), with s the logistic function."""
    # max(x, 0) - x t, without the difference of two numbers that may be huge and nearly equal.
    size = np.abs(x)
    return size * np.where(x > 0, 1.0 - t, t) + np.log1p(np.exp(-size))


def plain_logistic_loss_grad(g: Any, x: Any, t: Any) -> Any:
    """The gradient by x, s(x) - t, without the difference of two numbers near 1."""
    return g * ((1.0 - t) * plain_logistic(x) - t * plain_logistic(-x))


def _by_rows(work: Callable[[slice], object], x: Any) -> None:
    """Call ``work`` for some rows of x at a time, on all threads."""
    if x.size <= PIECE:
        work(slice(0, len(x)))
        return
    run_each(work, slices(len(x), PIECE // x.shape[1]), x.size * 1e-9)


def _in_rows(plain: Callable[..., Any]) -> Callable[[Formula], Callable[..., Any]]:
    """Decorate a formula of rows to make it the kernel that ``plain`` defines.

    ``plain`` itself computes where the rows do not lie along the axis.
    """

    def decorate(formula: Formula) -> Callable[..., Any]:
        def kernel(*given: Any) -> Any:
            *arrays, axis = given
            rows = _rows(axis, *arrays)
            if rows is None:
                return plain(*given)
            ans = np.empty(arrays[0].shape, arrays[0].dtype)
            to = ans.reshape(rows[0].shape)
            _by_rows(lambda some: formula(to[some], *[x[some] for x in rows]), to)
            return ans

        return defined_by(plain, formula, kernel)

    return decorate


def _rows(axis: int, x: Any, *others: Any) -> Any:
    """The arrays as matrices whose rows lie along this axis, or None where they do not."""
    if x.ndim < 1 or not x.size or axis not in (-1, x.ndim - 1) or x.dtype.char not in "fd":
        return None
    if any(a.dtype != x.dtype or a.shape != x.shape for a in others):
        return None
    # The copy of an array that is not contiguous takes less than its part of what follows.
    return [np.ascontiguousarray(a).reshape(-1, x.shape[-1]) for a in (x, *others)]


@_in_rows(plain_softmax)
def softmax(out: Any, x: Any) -> None:
    """``plain_softmax``."""
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, out.sum(axis=1, keepdims=True), out=out)


@_in_rows(plain_softmax_grad)
def softmax_grad(out: Any, g: Any, ans: Any) -> None:
    """``plain_softmax_grad``."""
    np.multiply(g, ans, out=out)
    np.subtract(g, out.sum(axis=1, keepdims=True), out=out)
    np.multiply(out, ans, out=out)


@_in_rows(plain_log_softmax)
def log_softmax(out: Any, x: Any) -> None:
    """``plain_log_softmax``."""
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    out -= np.log(np.exp(out).sum(axis=1, keepdims=True))


@_in_rows(plain_log_softmax_grad)
def log_softmax_grad(out: Any, g: Any, ans: Any) -> None:
    """``plain_log_softmax_grad``."""
    np.exp(ans, out=out)
    np.multiply(out, g.sum(axis=1, keepdims=True), out=out)
    np.subtract(g, out, out=out)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """``plain_cross_entropy``."""
    if not logits.size:
        return plain_cross_entropy(logits, labels)
    if logits.size <= FEW:
        e, sums, losses = _exponentials(logits, labels)
        _latest.kept = weakref.ref(logits), e, sums
        return losses
    losses = np.empty(len(labels), logits.dtype)

    def work(some: slice) -> None:
        losses[some] = _exponentials(logits[some], labels[some])[2]

    _by_rows(work, logits)
    return losses


def _exponentials(logits: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Those of the logits, but for a factor in each row, their sums, and the losses."""
    shifted = logits - _largest(logits, 1, None, None, True)
    own = shifted[_numbers(len(labels)), labels]
    np.exp(shifted, out=shifted)
    sums = _add_up(shifted, 1)
    return shifted, sums, np.log(sums) - own


class _Latest(threading.local):
    """The logits, exponentials and sums of the last few whose loss this thread computed.

    As a rule their gradient comes next, and then takes 5 us instead of 11 for 32 rows of 10. An
    array does not change between a value and its gradient.
    """

    kept: tuple[Any, Any, Any] = (lambda: None, None, None)


_latest = _Latest()


def cross_entropy_grad(g: Any, logits: Any, labels: Any) -> Any:
    """``plain_cross_entropy_grad``."""
    if not logits.size or g.dtype != logits.dtype:
        return plain_cross_entropy_grad(g, logits, labels)
    latest, e, sums = _latest.kept
    if latest() is logits:
        return _slopes(g, e, sums, labels)
    by_x = np.empty(logits.shape, logits.dtype)

    def work(some: slice) -> None:
        e, sums, _ = _exponentials(logits[some], labels[some])
        _slopes(g[some] if g.ndim else g, e, sums, labels[some], by_x[some])

    _by_rows(work, by_x)
    return by_x


def _slopes(g: Any, e: Any, sums: Any, labels: Any, out: Any = None) -> Any:
    """The gradient by some logits, from their exponentials and the sums of these."""
    ans = np.multiply(e, (g / sums)[:, None], out=out)
    ans[_numbers(len(labels)), labels] -= g
    return ans


@by_element(plain_logistic_loss, spare=2, seconds=2e-9)
def logistic_loss(out: Any, s: Any, size: Any, x: Any, t: Any) -> None:
    """``plain_logistic_loss``."""
    # 1 - t for x > 0, else t, without np.where: m + (1 - 2 m) t, with m = 1 or 0.
    np.greater(x, 0.0, out=s)
    np.multiply(s, -2.0, out=out)
    np.add(out, 1.0, out=out)
    np.multiply(out, t, out=out)
    np.add(out, s, out=out)
    np.abs(x, out=size)
    np.multiply(out, size, out=out)
    np.negative(size, out=size)
    np.exp(size, out=size)
    np.log1p(size, out=size)
    np.add(out, size, out=out)


@by_element(plain_logistic_loss_grad, spare=3, seconds=2e-9)
def logistic_loss_grad(out: Any, p: Any, q: Any, rest: Any, g: Any, x: Any, t: Any) -> None:
    """``plain_logistic_loss_grad`` with one exponential: ((1 - t) p - t q) / (p + q).

    p and q are s(x) and s(-x) but for their common denominator: 1 and e^-|x|, or the other way.
    """
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.maximum(out, np.greater(x, 0.0, out=p), out=p)
    np.maximum(out, np.less_equal(x, 0.0, out=q), out=q)
    np.multiply(p, np.subtract(1.0, t, out=rest), out=p)
    np.subtract(p, np.multiply(q, t, out=q), out=p)
    np.divide(p, np.add(out, 1.0, out=out), out=out)
    np.multiply(out, g, out=out)
