"""Operators declared in one row: NumPy's function, its derivative rules, and an example.

Most of NumPy's functions share a handful of signatures. Where a function has one of these, and its
value is what NumPy computes, there is nothing to write out: ``sinh = unary(np.sinh, rule, ...)``.
The string below a row is what editors show; ``help()`` shows NumPy's own first line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, cast

from minigrad.operators.declare import Array, Axis, Rule, by_name, composite, constant, operator

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

P = ParamSpec("P")


class Signature(Generic[P]):
    """Declares operators with the parameters of ``like``, whose body never runs."""

    def __init__(self, like: Callable[P, Any], **shared: Any) -> None:
        self._like = cast("FunctionType", like)
        self._shared = shared

    def __call__(
        self,
        numpy: Any,
        *rules: Rule | None,
        example: str,
        name: str = "",
        **row: Any,
    ) -> Callable[P, Tensor]:
        """A differentiable operator, with a rule for each array; ``row`` as for ``operator``.

        ``says``: what the derivative is at a singular point.
        """
        first = numpy[0] if isinstance(numpy, tuple) else numpy
        row = {"runs": first, **self._shared, **row}
        like = self._named(name or first.__name__, first, example, row.pop("says", ""))
        return operator(numpy, vjp=rules, **row)(like)

    def sharing(self, **shared: Any) -> Signature[P]:
        """The same signature, for rows that have this part in common."""
        return Signature(cast("Callable[P, Any]", self._like), **{**self._shared, **shared})

    def composite(
        self, numpy: Any, forward: Callable[..., Any], example: str, **row: Any
    ) -> Callable[P, Tensor]:
        """A function written with other operators; ``row`` as for ``composite``."""
        arrays = self._like.__code__.co_argcount - len(self._like.__defaults__ or ())
        row = {"arrays": arrays, **self._shared, **row}
        like = self._named(numpy.__name__, numpy, example, row.pop("says", ""))
        return composite(numpy, runs=by_name(forward, like), **row)(like)

    def constant(self, numpy: Any, example: str, says: str = "") -> Callable[P, Tensor]:
        """A function without a derivative."""
        return constant(numpy, runs=numpy)(self._named(numpy.__name__, numpy, example, says))

    def _named(self, name: str, numpy: Callable[..., Any], example: str, says: str) -> Any:
        """The signature as a function of this name, in the module that declares it."""
        like = self._like
        made = FunctionType(like.__code__, like.__globals__, name, like.__defaults__)
        made.__annotations__ = like.__annotations__
        made.__kwdefaults__ = like.__kwdefaults__
        made.__qualname__ = name
        made.__module__ = sys._getframe(2).f_globals["__name__"]
        given, _, result = example.partition(" -> ")
        says = f"{says}\n\n" if says else ""
        made.__doc__ = f"{first_line(numpy)}\n\n{says}>>> {name}({given})\n{result}\n"
        return made


def first_line(numpy: Callable[..., Any]) -> str:
    """The first sentence of a docstring of NumPy; a paragraph with the signature may precede it."""
    said = (numpy.__doc__ or "")[:1000].split("\n\n", 2)
    line = said[len(said) > 1 and said[0].startswith(numpy.__name__)]
    return " ".join(line.split()).partition(". ")[0].rstrip(".") + "."


# The names are NumPy's; ``unary`` and ``binary`` take arrays by place only, ``of_two`` by name as
# well. A docstring here would be shown beside that of each function.
# ruff: noqa: D103


@Signature
def unary(x: Array, /) -> Array: ...


@Signature
def binary(x1: Array, x2: Array, /) -> Array: ...


@Signature
def of_two(x1: Array, x2: Array) -> Array: ...


@Signature
def of_array(a: Array) -> Array: ...


@Signature
def of_sets(ar1: Array, ar2: Array) -> Array: ...


@Signature
def over_axes(a: Array, axis: Axis = None, keepdims: bool = False) -> Array: ...


@Signature
def over_axes_from(
    a: Array, axis: Axis = None, keepdims: bool = False, *, initial: Any = None, where: Any = True
) -> Array: ...


@Signature
def accumulation(
    a: Array,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dtype: Any = None,
    initial: Any = None,
    where: Any = True,
) -> Array: ...


@Signature
def spread(
    a: Array,
    axis: Axis = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    dtype: Any = None,
    where: Any = True,
) -> Array: ...


@Signature
def spread_over_axes(
    a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False
) -> Array: ...


@Signature
def quantiles(
    a: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array: ...


@Signature
def over_axis(a: Array, axis: int | None = None, keepdims: bool = False) -> Array: ...


@Signature
def along_axis(a: Array, axis: int | None = None) -> Array: ...


@Signature
def triangle(m: Array, k: int = 0) -> Array: ...
