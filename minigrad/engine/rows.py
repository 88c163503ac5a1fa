"""Many cotangents in one backward pass: all rows of a Jacobian at once.

A rule is linear in its cotangent and written in NumPy. So it gets a :class:`Rows` in place of an
array: a stack of cotangents that says it has the shape of one of them. Each function of NumPy in
``TOGETHER`` computes all of them together, and the others are called for each in turn. A rule that
looks at values gets its cotangents one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.engine.tree import flatten, rebuild
from minigrad.kernels import current as kernels
from minigrad.operators.declare import Operator

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
        return Rows(self.stack[_index_of_stack(index)])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc.nout > 1:
            return _one_by_one(getattr(ufunc, method), inputs, kwargs)
        if ufunc is np.matmul:
            return _matmul(*inputs)
        if ufunc.signature is not None:
            return _one_by_one(ufunc, inputs, kwargs)
        return Rows(ufunc(*_aligned(inputs)))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        together = TOGETHER.get(func)
        return together(*args, **kwargs) if together else _one_by_one(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("a stack of cotangents is not one array")

    def __bool__(self) -> bool:
        raise TypeError("a stack of cotangents has no truth value")

    __iter__ = None


def count(arguments: Any) -> int:
    """How many arrays are stacked in these arguments."""
    return next(len(one.stack) for one in flatten(arguments) if isinstance(one, Rows))


def _index_of_stack(index: Any) -> tuple[Any, ...]:
    """An index of one array as an index of the stack. Raises TypeError where NumPy has none.

    With arrays that are not neighbours in an index, NumPy puts their axes first.
    """
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [i for i, one in enumerate(parts) if not isinstance(one, (slice, type(None)))
              and one is not Ellipsis]  # fmt: skip
    several = any(not isinstance(parts[i], int) for i in arrays)
    if several and arrays[-1] - arrays[0] >= len(arrays):
        raise TypeError("the axes of this index move")
    return (slice(None), *parts)


def _aligned(inputs: Any) -> list[Any]:
    """The inputs as arrays that broadcast against each other, stacks along the first axis."""
    ndim = max([x.ndim if isinstance(x, Rows) else np.ndim(x) for x in inputs])
    return [_as_stack(x, ndim) if isinstance(x, Rows) else getattr(x, "_data", x) for x in inputs]


def _as_stack(x: Rows, ndim: int) -> Any:
    """The stack, its arrays with new axes of length 1 in front, up to ``ndim``."""
    stack = x.stack
    if x.ndim >= ndim:
        return stack
    return stack.reshape(len(stack), *(1,) * (ndim - x.ndim), *x.shape)


def _one_by_one(function: Callable[..., Any], args: Any, kwargs: Any) -> Rows:
    """The function of each array in turn. Raises TypeError for one that writes into an array."""
    given = (args, kwargs)
    leaves = flatten(given)
    found = []
    for i in range(count(given)):
        one = iter([x.stack[i] if isinstance(x, Rows) else x for x in leaves])
        these, named = rebuild(given, one)
        found.append(function(*these, **named))
        if found[-1] is None or kwargs.get("out") is not None:
            raise TypeError("all cotangents would be written into one array")
    return Rows(np.stack(found))


def _matmul(x: Any, y: Any) -> Rows:
    if isinstance(x, Rows) and not isinstance(y, Rows) and y.ndim == 2 and x.ndim:
        # One large product in place of many small ones.
        flat = x.stack.reshape(-1, x.shape[-1]) @ y
        return Rows(flat.reshape(*x.stack.shape[:-1], y.shape[1]))
    found = np.matmul(*_aligned((x[None] if x.ndim == 1 else x, y[:, None] if y.ndim == 1 else y)))
    if x.ndim == 1:
        found = found[..., 0, :]
    return Rows(found[..., 0] if y.ndim == 1 else found)


# -- operators that rules call ---------------------------------------------------------------------


def in_rows(op: Operator, inputs: Sequence[Any], metadata: dict[str, Any]) -> Rows:
    """The value of an operator that a rule calls on its cotangents."""
    together = OPERATORS.get(op.name)
    if together is None:
        found: Rows = op.forward(*inputs, **metadata)
        return found
    return together(op.forward, *inputs, **metadata)


def _scatter(forward: Any, x: Any, index: Any, shape: tuple[int, ...]) -> Rows:
    return Rows(forward(x.stack, _index_of_stack(index), (len(x.stack), *shape)))


def _over_images(forward: Any, *images: Any, x_shape: Any = None, **settings: Any) -> Rows:
    """An operator that treats each image alone, of all images of all cotangents."""
    n = count(images)
    flat = []
    for one in images:
        stack = one.stack if isinstance(one, Rows) else np.broadcast_to(one, (n, *one.shape))
        flat.append(stack.reshape(n * stack.shape[1], *stack.shape[2:]))
    if x_shape is not None:
        settings["x_shape"] = (n * x_shape[0], *x_shape[1:])
    found = forward(*flat, **settings)
    return Rows(found.reshape(n, len(found) // n, *found.shape[1:]))


def _with_kernel(forward: Any, images: Any, weight: Any, *bias: Any, **settings: Any) -> Rows:
    return _over_images(lambda x, **given: forward(x, weight, *bias, **given), images, **settings)


def _weigh(forward: Any, x: Rows, matrix: Any, axis: int) -> Rows:
    return Rows(forward(x.stack, matrix, _axes(axis, x.ndim)))


#: Operators whose value is that of the whole stack, reshaped, where NumPy's functions would not do.
OPERATORS: dict[str, Callable[..., Rows]] = {
    "scatter": _scatter,
    "conv2d": _with_kernel, "conv2d_input_grad": _with_kernel,
    "max_pool2d_grad": _over_images, "max_pool2d_pick": _over_images,
    "im2col": _over_images, "col2im": _over_images,
    "weigh": _weigh,
    "sum_pool2d": _over_images, "sum_pool2d_grad": _over_images,
}  # fmt: skip


# -- functions of NumPy ----------------------------------------------------------------------------


def _axes(axis: Any, ndim: int) -> Any:
    """Axes of one array as axes of the stack; all of them for None."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, (tuple, list)):
        return tuple([_axes(a, ndim) for a in axis])
    return axis + 1 if axis >= 0 else axis


def _stack_of(x: Any) -> Any:
    return x.stack if isinstance(x, Rows) else x


def _over_axes(compute: Callable[..., Any]) -> Callable[..., Rows]:
    """The form of a function whose arguments by place are axes of one array, by default all."""

    def form(a: Rows, *axes: Any, **named: Any) -> Rows:
        places = axes or (named.pop("axis", None),)
        return Rows(compute(a.stack, *[_axes(axis, a.ndim) for axis in places], **named))

    return form


def _reshape(a: Rows, shape: Any) -> Rows:
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    return Rows(a.stack.reshape(len(a.stack), *lengths))


def _transpose(a: Rows, axes: Any = None) -> Rows:
    order = range(a.ndim)[::-1] if axes is None else axes
    return Rows(np.transpose(a.stack, (0, *[i % a.ndim + 1 for i in order])))


def _squeeze(a: Rows, axis: Any = None) -> Rows:
    if axis is None:
        axis = tuple([i for i, n in enumerate(a.shape) if n == 1])
    return Rows(np.squeeze(a.stack, _axes(axis, a.ndim)))


def _broadcast_to(array: Rows, shape: Any) -> Rows:
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    stack = _as_stack(array, len(lengths))
    return Rows(np.broadcast_to(stack, (len(stack), *lengths)))


def _cumsum(a: Rows, axis: Any = None) -> Rows:
    if axis is None:
        a, axis = _reshape(a, a.size), 0
    return Rows(np.cumsum(a.stack, _axes(axis, a.ndim)))


def _concatenate(arrays: Any, axis: int | None = 0) -> Rows:
    n = count(arrays)
    stacks = [x if isinstance(x, Rows) else Rows(np.broadcast_to(x, (n, *x.shape))) for x in arrays]
    if axis is None:
        stacks, axis = [_reshape(x, x.size) for x in stacks], 0
    return Rows(np.concatenate([x.stack for x in stacks], _axes(axis, stacks[0].ndim)))


def _einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Rows:
    left, arrow, out = subscripts.partition("->")
    if not arrow or "." in subscripts:
        return _one_by_one(np.einsum, (subscripts, *operands), {"optimize": optimize})
    row = next(letter for letter in map(chr, range(97, 123)) if letter not in subscripts)
    terms = [
        row + term if isinstance(x, Rows) else term
        for term, x in zip(left.split(","), operands, strict=True)
    ]
    found = np.einsum(
        f"{','.join(terms)}->{row}{out}", *map(_stack_of, operands), optimize=optimize
    )
    return Rows(found)


#: The form of a function of NumPy that computes all cotangents together.
TOGETHER: dict[Callable[..., Any], Callable[..., Any]] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.result_type: lambda *inputs: np.result_type(*map(_stack_of, inputs)),
    np.zeros_like: lambda a: np.zeros(a.shape, a.dtype),
    np.ones_like: lambda a: np.ones(a.shape, a.dtype),
    np.where: lambda *inputs: Rows(np.where(*_aligned(inputs))),
    np.sum: _over_axes(lambda a, axis, keepdims=False: kernels.total(a, axis, keepdims)),
    np.mean: _over_axes(lambda a, axis, keepdims=False: kernels.mean(a, axis, keepdims)),
    np.flip: _over_axes(np.flip),
    np.swapaxes: _over_axes(np.swapaxes),
    np.moveaxis: _over_axes(np.moveaxis),
    np.expand_dims: _over_axes(np.expand_dims),
    np.squeeze: _squeeze,
    np.cumsum: _cumsum,
    np.reshape: _reshape,
    np.transpose: _transpose,
    np.broadcast_to: _broadcast_to,
    np.concatenate: _concatenate,
    np.einsum: _einsum,
}
