"""Property tests of gradients: drawn inputs and the checker joined in one decorator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from minigrad.testing.check import called, check_grads
from minigrad.testing.report import GradientInconclusive


def given_grads(
    *drawn: st.SearchStrategy[Any],
    order: int = 2,
    settings: hypothesis.settings | None = None,
    **named: st.SearchStrategy[Any],
) -> Callable[[Callable[..., Any]], Callable[[], None]]:
    """Make a function into a test that proves its gradients at drawn arguments.

    ``drawn``, ``named``: a strategy per parameter, by position or by name, see
    :mod:`minigrad.testing.strategies`. ``order``: as for :func:`check_grads`. ``settings``:
    hypothesis's, without its deadline; 100 examples when left out. A wrong gradient is shrunk to
    a small example and raises :class:`GradientMismatch`; when more than half of the examples
    could not be decided, :class:`GradientInconclusive` is raised.

    >>> import minigrad as mg
    >>> from minigrad.testing import given_grads, strategies as some
    >>> @given_grads(some.arrays((3,)), y=some.positive((3,)))
    ... def test_ratio(x, y):
    ...     return x / y
    >>> test_ratio()
    """

    def decorate(f: Callable[..., Any]) -> Callable[[], None]:
        parameters = list(inspect.signature(f).parameters)
        unknown = sorted(set(named) - set(parameters))
        if unknown or len(drawn) + len(named) != len(parameters):
            raise TypeError(
                f"given_grads: {called(f)} takes ({', '.join(parameters)}), got {len(drawn)} "
                f"strategies by position and {sorted(named)} by name; give one for each"
            )
        strategies = dict(zip(parameters, drawn, strict=False)) | named
        counts = {"all": 0, "undecided": 0}

        def example(**arguments: Any) -> None:
            counts["all"] += 1
            try:
                check_grads(f, *(arguments[name] for name in parameters), order=order)
            except GradientInconclusive:
                counts["undecided"] += 1

        example.__name__ = example.__qualname__ = called(f)
        chosen = hypothesis.settings(parent=settings, deadline=None)
        run = chosen(hypothesis.given(**strategies)(example))

        @functools.wraps(f)
        def test() -> None:
            counts["all"] = counts["undecided"] = 0
            run()
            if 2 * counts["undecided"] > counts["all"]:
                raise GradientInconclusive(
                    f"{called(f)}: {counts['undecided']} of {counts['all']} drawn examples could "
                    f"not be decided, so the gradient is not proven; draw from a smoother domain"
                )

        # pytest must not take the parameters for fixtures.
        del test.__wrapped__
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return test

    return decorate
