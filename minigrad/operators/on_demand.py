"""The operators that most programs never call: loaded when one of them is first asked for.

``mg.cov`` and ``np.cov(tensor)`` find them here. Without them, ``import minigrad`` takes a third
less time.
"""

from __future__ import annotations

from typing import Any

from minigrad.lazy import load_late
from minigrad.operators import linalg as linalg

FILES = [
    load_late(f"minigrad.operators.{name}")
    for name in (
        "cumulative", "decompositions", "diagonals", "einsum", "matrix_inverses", "nan_reductions",
        "norms", "padding", "polynomials", "signals", "sorting", "special", "statistics",
    )
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The operator of this name, from the file that defines it."""
    for file in FILES:
        found = getattr(file, name, None)
        if getattr(found, "__module__", "") == file.__name__:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
