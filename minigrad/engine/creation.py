"""Functions that make tensors: of data, of one value everywhere, of numbers in sequence.

Python numbers become float32 or int64; arrays and NumPy's numbers keep their dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_array, as_tensor
from minigrad.operators.declare import NUMPY, named

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Shape = int | tuple[int, ...]


@named
@checked()
def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of ``data``: a number, nested lists, an ndarray, a tensor.

    Python floats become float32, Python ints int64; an ndarray keeps its dtype.

    Raises TypeError for a dtype that is not numeric, for a tracked tensor (its graph would be
    lost: use it as it is, ``.detach()`` or ``mg.stack``) and for an integer tensor with
    ``requires_grad``; ValueError for ragged lists.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    >>> mg.tensor([1.5, 2.5]).dtype
    dtype('float32')
    """
    if isinstance(data, Tensor) and data.requires_grad:
        raise TypeError(
            "tensor: this is already a tracked tensor, whose graph a copy would lose; "
            "use it as it is, or .detach() for a constant copy"
        )
    return constant_or_leaf(as_array(data, dtype), requires_grad)


@checked()
def zeros(shape: Shape, dtype: DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """Zeros everywhere; ``shape`` is a number or a tuple.

    >>> zeros(2)
    tensor([0., 0.])
    """
    return constant_or_leaf(np.zeros(shape, dtype), requires_grad)


@checked()
def ones(shape: Shape, dtype: DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """Ones everywhere; ``shape`` is a number or a tuple.

    >>> ones(2)
    tensor([1., 1.])
    """
    return constant_or_leaf(np.ones(shape, dtype), requires_grad)


@checked()
def full(
    shape: Shape, value: Any, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere; its dtype as in :func:`tensor`.

    Raises TypeError for a tracked tensor.

    >>> full((2,), 7.0)
    tensor([7., 7.])
    """
    if isinstance(value, Tensor) and value._node is not None:
        raise TypeError(
            "full: the value is a tracked tensor, whose graph would be lost; "
            "use mg.broadcast_to(value, shape), or value.detach() for a constant"
        )
    fill = as_array(value, dtype)
    return constant_or_leaf(np.full(shape, fill, fill.dtype), requires_grad)


@checked()
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: DTypeLike | None = None) -> Tensor:
    """Numbers from start (0 when only one bound is given) up to, without, stop.

    Raises ValueError for a step of 0.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    first, last = (0, start) if stop is None else (start, stop)
    if isinstance(step, (int, float)) and step == 0:
        raise ValueError("arange: step must not be 0")
    numbers: Any = np.arange(first, last, step)
    numbers = numbers if dtype is None else numbers.astype(dtype)
    return Tensor(_default_float(numbers, dtype, first, last, step))


@checked(num="[0, inf)")
def linspace(start: Any, stop: Any, num: int = 50, dtype: DTypeLike | None = None) -> Tensor:
    """``num`` numbers evenly from start to stop, both included.

    >>> linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    return Tensor(_default_float(np.linspace(start, stop, num, dtype=dtype), dtype, start, stop))


@checked(n="[0, inf)", m="[0, inf)")
def eye(n: int, m: int | None = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Ones on the main diagonal of an (n, m) matrix; m = n by default.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return Tensor(np.eye(n, m, dtype=dtype))


@checked()
def zeros_like(a: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape and dtype of ``a``.

    >>> zeros_like(ones(2))
    tensor([0., 0.])
    """
    return Tensor(np.zeros_like(as_tensor(a)._data, dtype=dtype))


@checked()
def ones_like(a: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape and dtype of ``a``.

    >>> ones_like(zeros(2))
    tensor([1., 1.])
    """
    return Tensor(np.ones_like(as_tensor(a)._data, dtype=dtype))


@checked()
def full_like(a: Any, fill_value: Any, dtype: DTypeLike | None = None) -> Tensor:
    """One value everywhere, in the shape and dtype of ``a``.

    >>> full_like(ones(2), 7)
    tensor([7., 7.])
    """
    return Tensor(np.full_like(as_tensor(a)._data, fill_value, dtype=dtype))


NUMPY.update({np.zeros_like: zeros_like, np.ones_like: ones_like, np.full_like: full_like})


def constant_or_leaf(array: Any, requires_grad: bool) -> Tensor:
    """A tensor of this array, which gradients may reach if ``requires_grad``."""
    made = Tensor(array)
    made.requires_grad = requires_grad
    return made


def _default_float(numbers: Any, dtype: DTypeLike | None, *given: Any) -> Any:
    """float64 out of Python numbers becomes float32, as everywhere."""
    numpy_given = any(isinstance(g, (np.ndarray, np.generic)) for g in given)
    if dtype is None and numbers.dtype == np.float64 and not numpy_given:
        return numbers.astype(np.float32)
    return numbers
