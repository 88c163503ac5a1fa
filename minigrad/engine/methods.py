"""The methods of a tensor, as NumPy's arrays have them, and the operators without a short path.

Each is the function of the same name, assigned rather than written again: its signature and
docstring are the function's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from minigrad.lazy import load_late
from minigrad.operators import (
    activations,
    arithmetic,
    exponential,
    hyperbolic,
    indexing,
    nondifferentiable,
    products,
    reductions,
    shapes,
)
from minigrad.operators.declare import named

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _on_both_sides(function: Callable[P, R]) -> tuple[Callable[P, R], Callable[[Any, Any], R]]:
    """The methods of one of Python's operators: with the tensor on its left, and on its right."""
    either: Callable[..., R] = function
    return function, lambda self, other: either(other, self)


class ArrayMethods:
    """Methods of :class:`Tensor` that are functions of the library: ``t.sum(0)`` is ``sum(t, 0)``.

    The rest calls the function of the same name.
    """

    __slots__ = ()

    __hash__ = object.__hash__  # by identity, although == compares elements

    __pow__, __rpow__ = _on_both_sides(exponential.power)
    __mod__, __rmod__ = _on_both_sides(arithmetic.remainder)
    __floordiv__, __rfloordiv__ = _on_both_sides(arithmetic.floor_divide)
    __divmod__, __rdivmod__ = _on_both_sides(arithmetic.divmod)
    __neg__ = arithmetic.negative
    __abs__ = arithmetic.abs
    __round__ = nondifferentiable.round
    __eq__ = nondifferentiable.equal  # type: ignore[assignment]
    __ne__ = nondifferentiable.not_equal  # type: ignore[assignment]
    __lt__ = nondifferentiable.less
    __le__ = nondifferentiable.less_equal
    __gt__ = nondifferentiable.greater
    __ge__ = nondifferentiable.greater_equal
    __and__, __rand__ = _on_both_sides(nondifferentiable.bitwise_and)
    __or__, __ror__ = _on_both_sides(nondifferentiable.bitwise_or)
    __xor__, __rxor__ = _on_both_sides(nondifferentiable.bitwise_xor)
    __lshift__, __rlshift__ = _on_both_sides(nondifferentiable.left_shift)
    __rshift__, __rrshift__ = _on_both_sides(nondifferentiable.right_shift)
    __invert__ = nondifferentiable.invert

    abs = arithmetic.abs
    """The absolute value; its derivative at 0 is 0."""
    clip = arithmetic.clip
    exp = exponential.exp
    """e to the power x."""
    log = exponential.log
    """The natural logarithm, for x > 0; -inf at 0 and nan below, as in NumPy."""
    sqrt = exponential.sqrt
    """The square root, for x >= 0; its derivative at 0 is inf."""
    tanh = hyperbolic.tanh
    """sinh(x) / cosh(x), in (-1, 1)."""
    relu = activations.relu
    sigmoid = activations.sigmoid

    sum = reductions.sum
    mean = reductions.mean
    var = reductions.var
    std = reductions.std
    max = reductions.max
    """The largest element over the axes; equal ones share the gradient evenly."""
    min = reductions.min
    """The smallest element over the axes; equal ones share the gradient evenly."""
    prod = reductions.prod

    all = nondifferentiable.all
    """Whether all elements are true."""
    any = nondifferentiable.any
    """Whether any element is true."""
    argmax = nondifferentiable.argmax
    """The index of the (first) largest element."""
    argmin = nondifferentiable.argmin
    """The index of the (first) smallest element."""
    argsort = nondifferentiable.argsort
    nonzero = nondifferentiable.nonzero
    round = nondifferentiable.round
    searchsorted = nondifferentiable.searchsorted

    choose = indexing.choose
    take = indexing.take
    copy = shapes.copy
    dot = products.dot
    ravel = shapes.ravel
    repeat = shapes.repeat
    squeeze = shapes.squeeze
    swapaxes = shapes.swapaxes

    if not TYPE_CHECKING:  # where checkers look, an unknown name stays an error

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # NumPy, copy and notebooks look for many of these
                kind = type(self).__name__
                raise AttributeError(f"{kind!r} object has no {name!r}", name=name, obj=self)
            return load_late("minigrad.spellings").of_object(self, name, "x")

    def astype(self, dtype: Any) -> Tensor:
        """The elements converted to this dtype; a conversion to integers is not tracked."""
        return shapes.astype(self, dtype=np.dtype(dtype))

    def compress(self, condition: Any, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.compress`."""
        return indexing.compress(condition, self, axis)

    @named
    def cumsum(self, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.cumsum`."""
        from minigrad.operators import cumulative

        return cumulative.cumsum(self, axis=axis)

    @named
    def cumprod(self, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.cumprod`."""
        from minigrad.operators import cumulative

        return cumulative.cumprod(self, axis=axis)

    @named
    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See :func:`minigrad.diagonal`."""
        from minigrad.operators import diagonals

        return diagonals.diagonal(self, offset=offset, axis1=axis1, axis2=axis2)

    @named
    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See :func:`minigrad.trace`."""
        from minigrad.operators import diagonals

        return diagonals.trace(self, offset, axis1, axis2)

    def conj(self) -> Tensor:
        """The same values: they are real."""
        return shapes.copy(self)

    conjugate = conj

    @property
    def real(self) -> Tensor:
        """The same values: they are real."""
        return shapes.copy(self)

    @property
    def imag(self) -> Tensor:
        """Zeros, as the values are real."""
        return shapes.imag(self)

    @named
    def flatten(self, start_axis: int | str = 0, end_axis: int = -1) -> Tensor:
        """The axes from ``start_axis`` to ``end_axis`` joined into one: all of them by default.

        NumPy's order "C" may stand in the first place. Raises ValueError for axes that are not
        there.
        """
        if start_axis in (0, "C") and end_axis == -1:
            return shapes.ravel(self)
        joined: Tensor = load_late("minigrad.nn.functional").flatten(self, start_axis, end_axis)
        return joined

    def reshape(self, *shape: Any) -> Tensor:
        """See :func:`minigrad.reshape`; ``t.reshape(2, 3)`` and ``t.reshape((2, 3))`` both work."""
        one = len(shape) == 1
        return shapes.reshape(self, shape[0] if one else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """See :func:`minigrad.transpose`; ``t.transpose(1, 0)`` and ``((1, 0))`` both work."""
        if not axes:
            return shapes.transpose(self)
        x: Any = self
        ndim = x.ndim
        if len(axes) == 2 and ndim > 2:
            raise ValueError(
                f"transpose: expected all {ndim} axes in their new order, got {axes}; "
                f"x.swapaxes{axes} exchanges two"
            )
        one = len(axes) == 1
        return shapes.transpose(self, axes[0] if one else axes)
