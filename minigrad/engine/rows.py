"""Many cotangents in one backward pass: all rows of a Jacobian at once.

A rule is linear in its cotangent and written in NumPy. So it gets a :class:`Rows` in place of an
array: a stack of cotangents that says it has the shape of one of them, and for which each function
of NumPy computes all of them together. ``row_forms.py`` has these forms, which are imported with
the first Jacobian. A rule that looks at values gets its cotangents one by one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.lazy import load_late

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rows(np.lib.mixins.NDArrayOperatorsMixin):
    """A stack of arrays of one shape, along the first axis of ``stack``, used like one of them.

    >>> rows = Rows(np.arange(6.0).reshape(3, 2))
    >>> rows.shape, np.sum(rows * [1.0, 10.0]).stack
    ((2,), array([10., 32., 54.]))
    """

    __slots__ = ("dtype", "shape", "stack")

    def __init__(self, stack: NDArray[Any]) -> None:
        self.stack = stack
        self.dtype: Any = stack.dtype
        self.shape: tuple[int, ...] = stack.shape[1:]

    @property
    def ndim(self) -> int:
        """The number of axes of one of the arrays."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements of one of the arrays."""
        return math.prod(self.shape)

    @property
    def T(self) -> Rows:
        """Each array with its axes in reverse order."""
        return Rows(self.stack.transpose(0, *range(self.ndim, 0, -1)))

    def astype(self, dtype: Any, copy: bool = True) -> Rows:
        """The elements converted to this dtype."""
        return Rows(self.stack.astype(dtype, copy=copy))

    def reshape(self, *shape: int) -> Rows:
        """Each array in another shape; one length may be -1."""
        return Rows(self.stack.reshape(len(self.stack), *shape))

    def repeated(self, array: Any) -> Rows:
        """As many copies of an array as are stacked here."""
        return Rows(np.broadcast_to(array, (len(self.stack), *array.shape)))

    def __getitem__(self, index: Any) -> Rows:
        return Rows(self.stack[forms().within(index)])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return forms().call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return forms().call_function(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("a stack of cotangents is not one array")

    def __bool__(self) -> bool:
        raise TypeError("a stack of cotangents has no truth value")

    __iter__ = None


def forms() -> Any:
    """What functions of NumPy, and operators, do with rows."""
    return load_late("minigrad.engine.row_forms")
