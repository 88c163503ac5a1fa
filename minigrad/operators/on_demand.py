"""The operators that most programs never call: loaded when one of them is first asked for.

``mg.cov`` and ``np.cov(tensor)`` find them here. Without them, ``import minigrad`` takes half as
long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minigrad.lazy import load_late
from minigrad.operators.declare import NUMPY

#: The files with operators, those that are called more often first.
FILES = (
    "joining", "trigonometric", "cumulative", "sorting", "einsum", "diagonals", "padding",
    "sets_and_bins", "nan_reductions", "statistics", "norms", "matrix_inverses",
    "decompositions", "special", "polynomials", "signals", "linalg",
)  # fmt: skip


def modules() -> Iterator[Any]:
    """The files as modules, each imported when it is reached, which fills the tables."""
    for name in FILES:
        yield load_late(f"minigrad.operators.{name}")


def standing_for(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The operator for a function of NumPy; None if there is none."""
    return next((NUMPY[function] for _ in modules() if function in NUMPY), None)


def __getattr__(name: str) -> Any:
    """The operator of this name, from the file that defines it, or the namespace ``linalg``."""
    if name == "linalg":
        return load_late("minigrad.operators.linalg")
    for module in modules():
        found = getattr(module, name, None)
        if getattr(found, "__module__", "") == module.__name__:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
