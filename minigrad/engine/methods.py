"""What a tensor can do by name: NumPy's methods and the operators that need no short path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
from minigrad.operators.declare import Axis

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


#: What people who know PyTorch look for, and what it is called here.
INSTEAD = {
    "add_": "x + y, or p.assign(array) for a parameter",
    "cpu": "the tensor as it is: there is one device",
    "cuda": "the tensor as it is: there is one device",
    "data": ".numpy() to read and .assign(array) to write",
    "dim": ".ndim",
    "double": '.astype("float64")',
    "expand": "mg.broadcast_to",
    "float": '.astype("float32")',
    "long": '.astype("int64")',
    "matmul": "x @ y",
    "mul_": "x * y, or p.assign(array) for a parameter",
    "numel": ".size",
    "permute": ".transpose(axes)",
    "requires_grad_": ".requires_grad = True",
    "to": ".astype(dtype): there is one device",
    "type": ".astype(dtype)",
    "unsqueeze": "mg.expand_dims",
    "view": ".reshape",
    "zero_": "p.assign(array) for a parameter",
}


class ArrayMethods:
    """Methods of :class:`Tensor` that call the function of the same name."""

    __slots__ = ()

    __hash__ = object.__hash__  # by identity, although == compares elements

    def __pow__(self, other: Any) -> Tensor:
        return exponential.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return exponential.power(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(other, self)

    if not TYPE_CHECKING:  # where checkers look, an unknown name stays an error

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            remedy = f"; use {INSTEAD[name]}" if name in INSTEAD else ""
            # With name and obj, Python adds the nearest name that there is.
            raise AttributeError(f"{kind!r} object has no {name!r}{remedy}", name=name, obj=self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return arithmetic.divmod(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return arithmetic.divmod(other, self)

    def __round__(self, decimals: int = 0) -> Tensor:
        return nondifferentiable.round(self, decimals)

    def __neg__(self) -> Tensor:
        return arithmetic.negative(self)

    def __abs__(self) -> Tensor:
        return arithmetic.abs(self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return nondifferentiable.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return nondifferentiable.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return nondifferentiable.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return nondifferentiable.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return nondifferentiable.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return nondifferentiable.greater_equal(self, other)

    def __and__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_and(self, other)

    def __or__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_or(self, other)

    def __xor__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_xor(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_and(other, self)

    def __ror__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_or(other, self)

    def __rxor__(self, other: Any) -> Tensor:
        return nondifferentiable.bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> Tensor:
        return nondifferentiable.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return nondifferentiable.left_shift(other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return nondifferentiable.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return nondifferentiable.right_shift(other, self)

    def __invert__(self) -> Tensor:
        return nondifferentiable.invert(self)

    def astype(self, dtype: Any) -> Tensor:
        """The elements converted to this dtype; a conversion to integers is not tracked."""
        return shapes.astype(self, dtype=np.dtype(dtype))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.sum`."""
        return reductions.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.mean`."""
        return reductions.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.var`."""
        return reductions.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.std`."""
        return reductions.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.max`."""
        return reductions.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.min`."""
        return reductions.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.prod`."""
        return reductions.prod(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.argmax`."""
        return nondifferentiable.argmax(self, axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.argmin`."""
        return nondifferentiable.argmin(self, axis, keepdims)

    def argsort(self, axis: int | None = -1) -> Tensor:
        """See :func:`minigrad.argsort`."""
        return nondifferentiable.argsort(self, axis)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.all`."""
        return nondifferentiable.all(self, axis, keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`minigrad.any`."""
        return nondifferentiable.any(self, axis, keepdims)

    def nonzero(self) -> tuple[Tensor, ...]:
        """See :func:`minigrad.nonzero`."""
        return nondifferentiable.nonzero(self)

    def round(self, decimals: int = 0) -> Tensor:
        """See :func:`minigrad.round`."""
        return nondifferentiable.round(self, decimals)

    def searchsorted(self, v: Any, side: str = "left") -> Tensor:
        """See :func:`minigrad.searchsorted`."""
        return nondifferentiable.searchsorted(self, v, side)

    def choose(self, choices: Any, mode: str = "raise") -> Tensor:
        """See :func:`minigrad.choose`."""
        return indexing.choose(self, choices, mode)

    def compress(self, condition: Any, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.compress`."""
        return indexing.compress(condition, self, axis)

    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> Tensor:
        """See :func:`minigrad.take`."""
        return indexing.take(self, indices, axis, mode)

    def repeat(self, repeats: Any, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.repeat`."""
        return shapes.repeat(self, repeats, axis)

    def cumsum(self, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.cumsum`."""
        from minigrad.operators import cumulative

        return cumulative.cumsum(self, axis=axis)

    def cumprod(self, axis: int | None = None) -> Tensor:
        """See :func:`minigrad.cumprod`."""
        from minigrad.operators import cumulative

        return cumulative.cumprod(self, axis=axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See :func:`minigrad.diagonal`."""
        from minigrad.operators import diagonals

        return diagonals.diagonal(self, offset=offset, axis1=axis1, axis2=axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See :func:`minigrad.trace`."""
        from minigrad.operators import diagonals

        return diagonals.trace(self, offset, axis1, axis2)

    def copy(self) -> Tensor:
        """See :func:`minigrad.copy`."""
        return shapes.copy(self)

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

    def clip(self, min: Any | None = None, max: Any | None = None) -> Tensor:
        """See :func:`minigrad.clip`."""
        return arithmetic.clip(self, min, max)

    def dot(self, other: Any) -> Tensor:
        """See :func:`minigrad.dot`."""
        return products.dot(self, other)

    def reshape(self, *shape: Any) -> Tensor:
        """See :func:`minigrad.reshape`; ``t.reshape(2, 3)`` and ``t.reshape((2, 3))`` both work."""
        one = len(shape) == 1
        return shapes.reshape(self, shape[0] if one else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """See :func:`minigrad.transpose`; ``t.transpose(1, 0)`` and ``((1, 0))`` both work."""
        if not axes:
            return shapes.transpose(self)
        one = len(axes) == 1
        return shapes.transpose(self, axes[0] if one else axes)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """See :func:`minigrad.swapaxes`."""
        return shapes.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Tensor:
        """See :func:`minigrad.squeeze`."""
        return shapes.squeeze(self, axis)

    def ravel(self) -> Tensor:
        """See :func:`minigrad.ravel`."""
        return shapes.ravel(self)

    def flatten(self) -> Tensor:
        """See :func:`minigrad.ravel`."""
        return shapes.ravel(self)

    def exp(self) -> Tensor:
        """See :func:`minigrad.exp`."""
        return exponential.exp(self)

    def log(self) -> Tensor:
        """See :func:`minigrad.log`."""
        return exponential.log(self)

    def sqrt(self) -> Tensor:
        """See :func:`minigrad.sqrt`."""
        return exponential.sqrt(self)

    def abs(self) -> Tensor:
        """See :func:`minigrad.abs`."""
        return arithmetic.abs(self)

    def tanh(self) -> Tensor:
        """See :func:`minigrad.tanh`."""
        return hyperbolic.tanh(self)

    def relu(self) -> Tensor:
        """See :func:`minigrad.nn.functional.relu`."""
        return activations.relu(self)

    def sigmoid(self) -> Tensor:
        """See :func:`minigrad.nn.functional.sigmoid`."""
        return activations.sigmoid(self)
