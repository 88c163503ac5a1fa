"""Property tests of gradients: a decorator that checks them at inputs drawn by hypothesis."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from minigrad.engine.settings import checked
from minigrad.testing.check import check_grads
from minigrad.testing.report import GradientInconclusive, function_name


@checked(order="[1, inf)")
def given_grads(
    *drawn: st.SearchStrategy[Any],
    order: int = 2,
    settings: hypothesis.settings | None = None,
    **named: st.SearchStrategy[Any],
) -> Callable[[Callable[..., Any]], Callable[[], None]]:
    """Make a function into a test that proves its gradients at drawn arguments.

    ``drawn``, ``named``: a strategy for each parameter, by position or by name, see
    :mod:`minigrad.testing.strategies`. ``order``: as for :func:`check_grads`. ``settings``:
    those of hypothesis, whose deadline is ignored; by default 100 examples. A wrong gradient is
    shrunk to a small example and raises :class:`GradientMismatch`; if more than half of the
    examples could not be decided, :class:`GradientInconclusive` is raised.

    >>> from minigrad.testing import given_grads, strategies as some
    >>> @given_grads(some.arrays((3,)), y=some.positive((3,)))
    ... def test_ratio(x, y):
    ...     return x / y
    >>> test_ratio()
    """
    for one in (*drawn, *named.values()):
        if not isinstance(one, st.SearchStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"given_grads: expected a strategy for each parameter, as in "
                f"@given_grads(strategies.arrays((3,))), got {type(one).__name__}"
            )

    def decorate(f: Callable[..., Any]) -> Callable[[], None]:
        strategies = _for_parameters(f, drawn, named)
        counts = {"all": 0, "undecided": 0}

        def example(**arguments: Any) -> None:
            counts["all"] += 1
            try:
                check_grads(f, *(arguments[name] for name in strategies), order=order)
            except GradientInconclusive:
                counts["undecided"] += 1

        label = function_name(f)
        # Hypothesis would look for the source of a lambda.
        example.__name__ = example.__qualname__ = label if label.isidentifier() else "example"
        chosen = hypothesis.settings(parent=settings, deadline=None)
        run = chosen(hypothesis.given(**strategies)(example))

        @functools.wraps(f)
        def test() -> None:
            counts["all"] = counts["undecided"] = 0
            run()
            if 2 * counts["undecided"] > counts["all"]:
                raise GradientInconclusive(
                    f"{label}: {counts['undecided']} of {counts['all']} drawn examples could not "
                    f"be decided, so the gradient is not proven; draw from a smoother domain"
                )

        # pytest must not take the parameters for fixtures.
        del test.__wrapped__
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return test

    return decorate


def _for_parameters(
    f: Callable[..., Any],
    drawn: tuple[st.SearchStrategy[Any], ...],
    named: dict[str, st.SearchStrategy[Any]],
) -> dict[str, st.SearchStrategy[Any]]:
    """The strategy of each parameter, in the order of the signature; others keep their defaults."""
    if not callable(f):
        raise TypeError(f"given_grads: expected a function, got {type(f).__name__}")
    signature = inspect.signature(getattr(f, "forward", f))
    parameters = signature.parameters.values()
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    found = dict(zip(plain, drawn, strict=False)) | named
    needed = {p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_KEYWORD}
    # A parameter after one that keeps its default could not be given by position.
    fits = list(found) and sorted(found) == sorted(plain[: len(found)])
    if not fits or not needed <= set(found) or len(drawn) + len(named) != len(found):
        raise TypeError(
            f"given_grads: {function_name(f)} takes {signature}, got {len(drawn)} strategies by "
            f"position and {sorted(named)} by name; give one for each, and fix others with a lambda"
        )
    return {name: found[name] for name in plain if name in found}
