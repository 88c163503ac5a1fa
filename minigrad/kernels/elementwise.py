"""Formulas for each element, written in steps that reuse memory, a piece at a time.

A formula of NumPy's functions makes a new array at every step. Here the steps write into memory
that is there already, for one piece after another, and the pieces are split over threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.kernels import threads
from minigrad.kernels.lent import is_lent

#: Writes its result to the first array; the spare ones, of the same size, come next.
Formula: TypeAlias = Callable[..., object]

#: The elements of one piece. Smaller ones would stay in a nearer cache, but two threads that call
#: NumPy more often than every 30 us wait for each other: 1,048,576 values of the normal
#: distribution take 4.1 ms on two threads, 5.0 in pieces of 32,768, and 6.9 on one thread.
PIECE = 1 << 17
#: Seconds for one element of a formula of some eight steps.
STEPS = 1e-9


def each(
    formula: Formula, spare: int, *arrays: Any, seconds: float = STEPS, over: bool = False
) -> Any:
    """``formula(out, *spare arrays, *arrays)`` on arrays of one shape; returns ``out``.

    ``seconds``: about how long one element takes. ``over``: the first array may be ``out``, if the
    backward pass lends it.
    """
    first = np.asarray(arrays[0])
    dtype = first.dtype
    for a in arrays:
        if a.dtype != dtype:
            dtype = np.result_type(*arrays)
            break
    if over and is_lent(first) and first.dtype == dtype:
        out = first
    else:
        out = np.empty_like(first, dtype, subok=False)
    # Without spare arrays, pieces are for threads alone: one call takes 40 us for the ReLU of
    # 32 x 10 x 26 x 26, and two take 63.
    if out.size <= PIECE or (not spare and out.size * seconds < threads.WORTH_SPLITTING):
        formula(out, *[np.empty_like(out) for _ in range(spare)], *arrays)
        return out
    if all(a.strides == out.strides and a.dtype == dtype for a in arrays):
        flat = [a.ravel("K") for a in arrays]  # views: the elements lie side by side
    else:
        out = np.empty(first.shape, dtype)
        wide = [np.broadcast_to(a, first.shape) for a in arrays]
        flat = [np.ascontiguousarray(a, dtype).reshape(-1) for a in wide]
    target, n = out.ravel("K"), out.size

    def work(starts: Sequence[int]) -> None:
        memory = np.empty((spare, PIECE), dtype)
        for a in starts:
            b = min(a + PIECE, n)
            formula(target[a:b], *memory[:, : b - a], *[x[a:b] for x in flat])

    threads.run(work, range(0, n, PIECE), n * seconds)
    return out


def by_element(
    plain: Callable[..., Any], spare: int = 0, seconds: float = STEPS
) -> Callable[[Formula], Callable[..., Any]]:
    """Decorate a formula to make it the kernel that ``plain`` defines; see ``each``."""

    def decorate(formula: Formula) -> Callable[..., Any]:
        def kernel(*arrays: Any) -> Any:
            return each(formula, spare, *arrays, seconds=seconds)

        return defined_by(plain, formula, kernel)

    return decorate


def defined_by(
    plain: Callable[..., Any], formula: Formula, kernel: Callable[..., Any]
) -> Callable[..., Any]:
    """The kernel with the arguments of its definition, and the name of the formula."""
    functools.update_wrapper(kernel, formula)
    vars(kernel)["__wrapped__"] = plain
    return kernel
