"""Loops over the elements of float32 arrays that lie in memory alike, a piece at a time.

The kernels in activations.py and normal_distribution.py are such loops; the pieces are what threads
share.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import are_single, flat, run
from minigrad.kernels.compiled.vectors import LANES
from minigrad.kernels.lent import is_lent
from minigrad.kernels.scratch import aligned

#: The elements of one piece.
PIECE = 1 << 16


def _fit(*arrays: Any) -> bool:
    """Whether all of these lie in memory alike, without gaps, as float32."""
    first = arrays[0]
    return all(
        isinstance(a, np.ndarray)
        and are_single(a)
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
    first = arrays[0]
    # As large as images of the same shape are, so that one fits where the other was freed.
    out = (
        first
        if is_lent(first)
        else np.ndarray(
            first.shape, first.dtype, aligned((first.size,), first.dtype), 0, first.strides
        )
    )
    rows = [a.ravel("K") for a in arrays]
    for row in rows:
        row.flags.writeable = False
    scalars, whole = [np.float32(number) for number in numbers], out.size - out.size % LANES
    # The last vector begins early enough to be whole. It has memory of its own, because a loop may
    # write over what it reads, and what two vectors share would be computed from its own result.
    target = out.ravel("K")
    if whole < out.size:
        last = np.empty(LANES, np.float32)
        loop(*[flat(row[-LANES:].copy()) for row in rows], last, *scalars, 0, LANES)

    def work(start: int, stop: int) -> None:
        loop(*rows, target, *scalars, start * LANES, stop * LANES)

    if out.size <= PIECE:  # one piece, which is not worth the preparations
        loop(*rows, target, *scalars, 0, whole)
    else:
        # Not from less work on, as convolutions do: a relu of 256 x 1024 took 0.5 ms, not 0.1.
        run(work, whole // LANES, PIECE // LANES, out.size * 4e-10, part=1.0)
    if whole < out.size:
        target[whole:] = last[whole - out.size :]
    return out


def kernel_by_element(numpy_set: Any, loop: Callable[..., None]) -> Callable[..., Any]:
    """The kernel of a loop's name, which leaves to NumPy what does not fit.

    The loop's arguments are those of the kernel, arrays first, with ``out`` after the arrays, and
    where it starts and stops, so that there are whole vectors between.
    """
    count = loop.__code__.co_varnames.index("out")
    numpy, runs = getattr(numpy_set, loop.__name__), compiled(loop)

    @functools.wraps(numpy)
    def call(*given: Any) -> Any:
        arrays = given[:count]
        return _each(runs, arrays, *given[count:]) if _fit(*arrays) else numpy(*given)

    call.__module__ = loop.__module__
    return call
