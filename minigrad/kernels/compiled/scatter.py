"""Adding elements at places that repeat, in one pass.

Choosing elements is left to NumPy, which copies whole rows as fast as memory gives them.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minigrad.kernels import scatter as numpy_set
from minigrad.kernels.compiled.build import compiled
from minigrad.kernels.compiled.layout import are_floats, at, flat, run
from minigrad.kernels.indices import is_basic
from minigrad.kernels.scatter import FEW, rows_of

#: The elements that one thread takes at a time.
BLOCK = 1 << 16


def scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """``plain_scatter``; sums that would drift are left to the function written with NumPy.

    0.13 ms instead of 0.55 for 8192 rows of 64 elements into 4096 places.
    """
    fits = not is_basic(index) and x.size and are_floats(x)
    found = rows_of(index, shape) if fits else None
    if found is None or _repeats(*found[:2]) > FEW:
        return numpy_set.scatter(x, index, shape)
    rows, n, before, after, wide = found
    out = np.zeros(shape, x.dtype)
    source, places = flat(np.broadcast_to(x, wide)), flat(rows)
    work = partial(_add, source, out.reshape(-1), places, n, after)
    run(work, before, BLOCK // max(1, len(places) * after), source.size * 1e-9)
    return out


def _repeats(rows: Any, n: int) -> int:
    """How often the most frequent of the places below n occurs."""
    return 0 if len(rows) <= FEW else int(_most(flat(rows), np.zeros(n, np.int64)))


@compiled
def _most(rows, counts):
    most = 0
    for r in rows:
        counts[at(r)] += 1
        most = max(most, counts[at(r)])
    return most


@compiled
def _add(x, out, rows, n, after, start, stop):
    many = len(rows)
    for b in range(start, stop):
        source = b * many * after
        if after == 1:
            base = b * n
            for k in range(many):
                out[at(base + rows[at(k)])] += x[at(source + k)]
        else:
            for k in range(many):
                target = (b * n + rows[at(k)]) * after
                for e in range(after):
                    out[at(target + e)] += x[at(source + k * after + e)]
