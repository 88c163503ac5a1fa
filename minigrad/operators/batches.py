"""One image instead of a batch: functions of (N, C, H, W) that take (C, H, W) as well."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from minigrad.operators.declare import COMPOSITES

P = ParamSpec("P")
R = TypeVar("R")


def unbatched(axes: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function of arrays with this many axes, so that the first one may be missing.

    The array comes first and is called ``input``. All results then lack the first axis as well.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        run: Callable[..., Any] = function

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            x: Any = args[0] if args else kwargs.get("input")
            if _axes(x) != axes - 1:
                return function(*args, **kwargs)
            if not args:
                del kwargs["input"]
            found = run(_with_batch(x), *args[1:], **kwargs)
            found = tuple(y[0] for y in found) if isinstance(found, tuple) else found[0]
            return cast("R", found)

        declared = COMPOSITES.get(function.__name__)
        if declared is not None and declared.function is function:
            declared.function = call
        return call

    return decorate


def _axes(x: Any) -> int | None:
    found = getattr(x, "ndim", None)
    if found is None and isinstance(x, (list, tuple)):
        with contextlib.suppress(ValueError, TypeError):
            return np.ndim(cast("Any", x))
    return found


def _with_batch(x: Any) -> Any:
    return x[None] if hasattr(x, "ndim") else [x]
