"""The gradient checker, strategies that draw inputs for it, and property tests that use both.

>>> mg.testing.check_grads(np.tanh, np.array([0.3, -1.2]))
<gradients of tanh: pass, 12 derivatives to order 2>
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.lazy import listed, load_late
from minigrad.testing.check import check_grads
from minigrad.testing.report import GradientInconclusive, GradientMismatch, GradientReport, Verdict

if TYPE_CHECKING:
    from minigrad.testing import strategies as strategies
    from minigrad.testing.given import given_grads as given_grads

__all__ = [
    "GradientInconclusive", "GradientMismatch", "GradientReport", "Verdict",
    "check_grads", "given_grads", "strategies",
]  # fmt: skip

__dir__ = listed(__name__)


def __getattr__(name: str) -> Any:
    """Import the names that need hypothesis at their first use."""
    if name not in ("given_grads", "strategies"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        given = load_late("minigrad.testing.given")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ModuleNotFoundError(
            f"mg.testing.{name} draws its examples with hypothesis, which is not installed: "
            f"pip install hypothesis. mg.testing.check_grads works without it",
            name="hypothesis",
        ) from None
    return given.given_grads if name == "given_grads" else load_late(f"{__name__}.strategies")
