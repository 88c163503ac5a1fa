"""One image instead of a batch, and signals as images: what functions of (N, C, H, W) take as well.

``unbatched`` lets them take (C, H, W), and ``on_images`` runs them on signals (N, C, L).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from minigrad.kernels.windows import Windows, check_rank, single
from minigrad.operators.declare import COMPOSITES, PLAIN, engine

P = ParamSpec("P")
R = TypeVar("R")

PLAIN.add(Windows)  # a setting of operators, in which there are only integers


def unbatched(axes: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function of arrays with this many axes, so that the first one may be missing.

    The array comes first and is called ``input``. All results then lack the first axis as well.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        run: Callable[..., Any] = function

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = args[0] if args else kwargs.get("input")
            x: Any = given
            if isinstance(given, (list, tuple)):
                with contextlib.suppress(ValueError, TypeError):
                    x = engine.as_tensor(given)
            if getattr(x, "ndim", None) != axes - 1:
                return function(*args, **kwargs)
            if not args:
                del kwargs["input"]
            found = run(x[None], *args[1:], **kwargs)
            found = tuple(y[0] for y in found) if isinstance(found, tuple) else found[0]
            return cast("R", found)

        declared = COMPOSITES.get(function.__name__)
        if declared is not None and declared.function is function:
            declared.function = call
        return call

    return decorate


#: Settings that have one value for each axis of an image.
BY_AXIS = {
    "kernel_size", "stride", "padding", "output_padding", "dilation", "output_size", "size",
    "scale_factor",
}  # fmt: skip


def on_images(function: Callable[..., Any], name: str, **given: Any) -> Any:
    """A function of images on signals, which are images of height 1; or on one signal (C, L).

    ``given``: the arguments of the function of signals, by the names that they have in both.
    """
    if given["input"].ndim != 2:
        check_rank(name, "input", given["input"].shape, "(N, C, L)")

    def widened(what: str, value: Any) -> Any:
        if what in ("input", "weight", "indices"):
            return (value if hasattr(value, "ndim") else engine.as_tensor(value))[..., None, :]
        if what not in BY_AXIS or value is None or isinstance(value, str):
            return value
        sides: Any = value if what == "padding" and isinstance(value, (tuple, list)) else ()
        if [*map(np.shape, sides)] == [(2,)]:  # ((left, right),)
            return (0, 0), sides[0]
        return 0 if "padding" in what else 1, single(name, what, value)

    found = function(**{what: widened(what, value) for what, value in given.items()})
    return tuple(y[..., 0, :] for y in found) if isinstance(found, tuple) else found[..., 0, :]
