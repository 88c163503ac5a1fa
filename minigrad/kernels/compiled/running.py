"""Running sums and products, of some rows at a time: one alone waits for every addition."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from minigrad.kernels import running as numpy_set
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import are_floats, at, flat, run

#: The elements that one thread takes at a time.
BLOCK = 1 << 16


def running_sum(x: Any, axis: int) -> Any:
    """``plain_running_sum``, with the same numbers."""
    return _run(x, axis, False) if _fits(x) else numpy_set.running_sum(x, axis)


def running_product(x: Any, axis: int) -> Any:
    """``plain_running_product``, with the same numbers."""
    return _run(x, axis, True) if _fits(x) else numpy_set.running_product(x, axis)


def _fits(x: Any) -> bool:
    return bool(are_floats(x) and x.size)


def _run(x: Any, axis: int, multiply: bool) -> Any:
    # 0.15 ms instead of 0.86 for 256 x 1024 along its rows.
    out = np.empty(x.shape, x.dtype)
    before, n, after = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    arguments = flat(x), out.reshape(-1), multiply, n
    loop = partial(_along, *arguments) if after == 1 else partial(_across, *arguments, after)
    run(loop, before, BLOCK // (n * after), x.size * 5e-10)
    return out


@compiled
def _along(x, out, multiply, n, start, stop):
    # Nothing changes when these are added or multiplied, not even the sign of a zero.
    one = x.dtype.type(1.0 if multiply else -0.0)
    for row in range(start, stop, 4):
        p = row * n
        # Beyond the last row, the last one is computed again.
        q, r, s = min(row + 1, stop - 1) * n, min(row + 2, stop - 1) * n, min(row + 3, stop - 1) * n
        a, b, c, d = one, one, one, one
        for i in range(n):
            if multiply:
                a, b = a * x[at(p + i)], b * x[at(q + i)]
                c, d = c * x[at(r + i)], d * x[at(s + i)]
            else:
                a, b = a + x[at(p + i)], b + x[at(q + i)]
                c, d = c + x[at(r + i)], d + x[at(s + i)]
            out[at(p + i)], out[at(q + i)] = a, b
            out[at(r + i)], out[at(s + i)] = c, d


@compiled
def _across(x, out, multiply, n, after, start, stop):
    for row in range(start, stop):
        p = row * n * after
        for e in range(p, p + after):
            out[at(e)] = x[at(e)]
        for e in range(p + after, p + n * after):
            before, here = out[at(e - after)], x[at(e)]
            out[at(e)] = before * here if multiply else before + here
