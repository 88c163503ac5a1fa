"""What each operator of ONNX is here: a function of tensors, whose keywords are its attributes.

They are written with minigrad's own operators, so that gradients flow; only what is made of
integers and what chooses positions is plain NumPy. A function is given the attributes that it
names, or all where it ends in ``**``: as the file has them, or else ONNX's own defaults, or None
where there is neither. A default here is for the versions of the operator set that do not have the
attribute. An operator that changed between versions asks for ``opset``; one whose number of outputs
matters, for ``outputs``.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.engine.random import default_generator
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.lazy import load_late
from minigrad.nn import functional as F
from minigrad.operators.indexing import scatter

#: The public names, which the table uses as a program does.
mg: Any = load_late("minigrad")
#: ONNX's numbers of the types that arrays may have here.
TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
#: name in ONNX -> function.
OPERATIONS: dict[str, Callable[..., Any]] = {}
#: Attributes that say what the inputs say, or how a type is handled that is not supported.
WITHOUT_EFFECT = {
    "kernel_shape", "hidden_size", "saturate", "round_mode", "stash_type", "sorted",
}  # fmt: skip
#: A value made from a shape in a file may have this many elements, so that memory has a bound.
MOST_ELEMENTS = 2**28
#: Operators that are the same in ONNX under another name: here -> there.
SAME = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "negative": "Neg", "abs": "Abs",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "sinh": "Sinh",
    "cosh": "Cosh", "tanh": "Tanh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos",
    "arctan": "Atan", "relu": "Relu", "sigmoid": "Sigmoid", "matmul": "MatMul", "floor": "Floor",
    "ceil": "Ceil", "rint": "Round", "sign": "Sign", "positive": "Identity", "erf": "Erf",
}  # fmt: skip
COMPARISONS = {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}  # fmt: skip
LOGICAL = {
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not",
}  # fmt: skip
BITWISE = {
    "bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor",
    "invert": "BitwiseNot",
}  # fmt: skip


def op(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the function of the operators of these names."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return declare


def plain(x: Any) -> Any:
    """The array of a tensor, as a constant."""
    return x._data if isinstance(x, Tensor) else np.asarray(x)


def whole(x: Any) -> tuple[int, ...]:
    """The elements of a tensor of integers."""
    return tuple([int(n) for n in plain(x).ravel()])


def number(x: Any, default: Any = None) -> Any:
    """The first element of a tensor; the default where there is no tensor."""
    return default if x is None else plain(x).ravel()[0].item()


def room(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that a value may have. Raises ValueError for one that memory would not hold."""
    found = tuple(int(n) for n in shape)
    if any(n < 0 for n in found) or math.prod(found) > MOST_ELEMENTS:
        raise ValueError(f"a value of shape {found} is asked for, which is negative or too large")
    return found


def constant(array: Any, dtype: Any = None) -> Tensor:
    """A tensor without history."""
    return Tensor(np.asarray(array, dtype))


def dtype_of(number: int) -> Any:
    """The dtype of a number of ONNX's. Raises ValueError for types that are not supported."""
    if number not in TYPES:
        raise ValueError(f"type {number} of ONNX is not supported")
    return np.dtype(TYPES[number])


def like(x: Any, y: Any) -> Any:
    """A result in the dtype of an input."""
    return x if x.dtype == y.dtype else x.astype(y.dtype)


# -- element by element ----------------------------------------------------------------------------


def _hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    return mg.clip(x * alpha + beta, 0.0, 1.0)


OPERATIONS.update({
    there: getattr(mg, here)
    for here, there in {**SAME, **COMPARISONS, **LOGICAL, **BITWISE}.items()
})  # fmt: skip
OPERATIONS.update({
    "IsNaN": mg.isnan, "Where": mg.where, "Det": mg.linalg.det,
    # Of integers, towards zero.
    "Div": lambda x, y: x / y if x.dtype.kind == "f" else (x - mg.fmod(x, y)) // y,
    "Mod": lambda x, y, fmod: mg.fmod(x, y) if fmod else mg.remainder(x, y),
    "BitShift": lambda x, y, direction: (
        mg.left_shift(x, y) if direction == "LEFT" else mg.right_shift(x, y)
    ),
    "IsInf": lambda x, detect_negative, detect_positive: (
        (mg.isposinf(x) & bool(detect_positive)) | (mg.isneginf(x) & bool(detect_negative))
    ),
    "Max": lambda *x: functools.reduce(mg.maximum, x),
    "Min": lambda *x: functools.reduce(mg.minimum, x),
    "Sum": lambda *x: functools.reduce(operator.add, x),
    "Mean": lambda *x: functools.reduce(operator.add, x) / float(len(x)),
    "Softplus": F.softplus, "Softsign": F.softsign, "Mish": F.mish, "HardSwish": F.hardswish,
    "LeakyRelu": lambda x, *, alpha: F.leaky_relu(x, alpha),
    "PRelu": lambda x, slope: mg.where(x < 0, x * slope, x),
    "Elu": F.elu, "Celu": F.celu, "Gelu": F.gelu,
    "Selu": lambda x, alpha, gamma: gamma * F.elu(x, alpha),
    "ThresholdedRelu": lambda x, alpha: mg.where(x > alpha, x, 0.0),
    "HardSigmoid": _hard_sigmoid,
    "Swish": lambda x, alpha: x * F.sigmoid(x * alpha),
    "SwiGLU": lambda gate, x, alpha: gate * F.sigmoid(gate * alpha) * x,
    "LogSoftmax": F.log_softmax,
})  # fmt: skip


@op("Pow")
def _pow(x: Any, y: Any) -> Any:
    wide = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    return like(mg.power(x.astype(wide), y.astype(wide)), x)


@op("Clip")
def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else mg.maximum(x, low)
    return x if high is None else mg.minimum(x, high)


def _cast(x: Any, dtype: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return x.astype(dtype)


OPERATIONS.update({
    "Cast": lambda x, to: _cast(x, dtype_of(to)),
    "CastLike": lambda x, target: _cast(x, target.dtype),
    "BitCast": lambda x, to: constant(
        np.ascontiguousarray(plain(x)).view(dtype_of(to)).reshape(x.shape)
    ),
})  # fmt: skip


@op("Shrink")
def _shrink(x: Any, *, bias: float, lambd: float) -> Any:
    return like(mg.where(x < -lambd, x + bias, mg.where(x > lambd, x - bias, 0)), x)


@op("Softmax")
def _softmax(x: Any, *, axis: int) -> Any:
    if x.dtype == np.float16:  # in half precision throughout, as ONNX defines it
        e = mg.exp(x - mg.max(x, axis=axis, keepdims=True))
        return e / mg.sum(e, axis=axis, keepdims=True)
    return F.softmax(x, axis)


@op("Hardmax")
def _hardmax(x: Any, *, axis: int) -> Any:
    a = plain(x)
    found = np.zeros_like(a)
    np.put_along_axis(found, np.expand_dims(a.argmax(axis), axis), 1, axis)
    return constant(found)


# -- shapes ----------------------------------------------------------------------------------------


@op("Constant")
def _constant(
    *, value: Any, value_float: Any, value_floats: Any, value_int: Any, value_ints: Any
) -> Any:
    kinds = (None, np.float32, np.float32, np.int64, np.int64)
    given = (value, value_float, value_floats, value_int, value_ints)
    for one, dtype in zip(given, kinds, strict=True):
        if one is not None:
            return constant(one, dtype)
    raise ValueError("a Constant without a value")


@op("ConstantOfShape")
def _constant_of_shape(shape: Any, *, value: Any) -> Any:
    fill = np.zeros(1, np.float32) if value is None else value
    return constant(np.full(room(whole(shape)), fill.ravel()[0], fill.dtype))


OPERATIONS.update({
    "Shape": lambda x, start=0, end=None: constant(x.shape[start:end], np.int64),
    "Size": lambda x: constant(x.size, np.int64),
    "Flatten": lambda x, axis: mg.reshape(
        x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    ),
    "Transpose": lambda x, *, perm: mg.transpose(x, perm),
    "Squeeze": lambda x, axes=None: mg.squeeze(x, None if axes is None else whole(axes)),
    "Unsqueeze": lambda x, axes: mg.expand_dims(x, whole(axes)),
    "Expand": lambda x, shape: mg.broadcast_to(
        x, room(np.broadcast_shapes(x.shape, whole(shape)))
    ),
    "Concat": lambda *x, axis: mg.concatenate(x, axis=axis),
    "EyeLike": lambda x, dtype, k: constant(
        np.eye(x.shape[0], x.shape[1], k), x.dtype if dtype is None else dtype_of(dtype)
    ),
    "Trilu": lambda x, k=None, *, upper: (mg.triu if upper else mg.tril)(x, number(k, 0)),
    "NonZero": lambda x: constant(np.nonzero(np.atleast_1d(plain(x))), np.int64),
    "Compress": lambda x, condition, axis: mg.take(
        x, np.flatnonzero(plain(condition)), axis=axis
    ),
    "Gather": lambda x, indices, axis: mg.take(x, plain(indices), axis=axis),
    "GatherElements": lambda x, indices, axis: x[_along(plain(indices), axis)],
    "GatherND": lambda x, indices, batch_dims=0: x[_batched(plain(indices), batch_dims)],
    "ScatterElements": lambda x, indices, updates, axis, reduction="none": _scattered(
        x, _along(plain(indices), axis), updates, reduction
    ),
    "ScatterND": lambda x, indices, updates, reduction="none": _scattered(
        x, tuple(np.moveaxis(plain(indices), -1, 0)), updates, reduction
    ),
})  # fmt: skip
OPERATIONS["Scatter"] = OPERATIONS["ScatterElements"]


@op("Reshape")
def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    wanted = whole(shape)
    if not allowzero:
        wanted = tuple([x.shape[i] if n == 0 else n for i, n in enumerate(wanted)])
    return mg.reshape(x, wanted)


@op("Tile")
def _tile(x: Any, repeats: Any) -> Any:
    times = whole(repeats)
    room([n * m for n, m in zip(x.shape, times, strict=True)])
    return mg.tile(x, times)


@op("Split")
def _split(
    x: Any, split: Any = None, *, axis: int, num_outputs: int | None = None, outputs: int
) -> Any:
    n = x.shape[axis]
    if split is None:
        if num_outputs not in (None, outputs):
            raise ValueError(f"Split: {outputs} outputs, and num_outputs={num_outputs}")
        size = -(-n // outputs)
        sizes = (*[size] * (outputs - 1), n - size * (outputs - 1))
    else:
        sizes = whole(split)
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise ValueError(f"Split: parts of {list(sizes)} do not make up an axis of {n}")
    return mg.split(x, np.cumsum(sizes)[:-1].tolist(), axis=axis)


@op("Slice")
def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    begin, stop = whole(starts), whole(ends)
    along = range(len(begin)) if axes is None else whole(axes)
    step = [1] * len(begin) if steps is None else whole(steps)
    index = [slice(None)] * x.ndim
    for a, *part in zip(along, begin, stop, step, strict=True):
        index[a] = slice(*part)
    return x[tuple(index)]


def _along(indices: Any, axis: int) -> tuple[Any, ...]:
    places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    places[axis] = indices
    return tuple(places)


def _batched(indices: Any, batch_dims: int) -> tuple[Any, ...]:
    """The index of each axis, from the last axis of ``indices``."""
    front = np.ogrid[tuple(slice(n) for n in indices.shape[:-1])][:batch_dims]
    return (*front, *np.moveaxis(indices, -1, 0))


def _scattered(x: Any, index: tuple[Any, ...], updates: Any, reduction: str) -> Any:
    """X with ``updates`` put, added, ... at an index."""
    if reduction == "none":
        # The number of the update that each element gets: of several, the last one counts.
        taken = np.full(x.shape, -1)
        shape = taken[index].shape
        taken[index] = np.arange(math.prod(shape)).reshape(shape)
        line = mg.reshape(mg.broadcast_to(updates, shape), (-1,))
        return mg.where(taken < 0, x, line[taken]) if line.size else x
    if reduction == "add":
        return x + scatter(updates, index, x.shape)
    ways = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}
    if reduction not in ways:
        raise ValueError(f"reduction must be none, add, mul, max or min, got {reduction!r}")
    found = plain(x).copy()
    ways[reduction].at(found, index, plain(updates))
    return constant(found)


@op("Pad")
def _pad(x: Any, pads: Any, value: Any = None, axes: Any = None, *, mode: str) -> Any:
    given = whole(pads)
    along = range(x.ndim) if axes is None else whole(axes)
    widths = [(0, 0)] * x.ndim
    for i, a in enumerate(along):
        widths[a] = (given[i], given[len(given) // 2 + i])
    return _padded(x, widths, mode, number(value, 0))


def _padded(x: Any, widths: Any, mode: str = "constant", fill: Any = 0) -> Any:
    """X with more before and after each axis, or less where a width is negative."""
    sides = [*zip(x.shape, widths, strict=True)]
    room([n + i + j for n, (i, j) in sides])
    if any(min(i, j) < 0 for i, j in widths):
        x = x[tuple([slice(max(-i, 0), n - max(-j, 0)) for n, (i, j) in sides])]
        widths = [(max(i, 0), max(j, 0)) for i, j in widths]
    more = {"constant_values": fill} if mode == "constant" else {}
    return mg.pad(x, widths, mode=mode, **more)


@op("CenterCropPad")
def _center_crop_pad(x: Any, shape: Any, *, axes: list[int] | None) -> Any:
    widths = [(0, 0)] * x.ndim
    for a, m in zip(range(x.ndim) if axes is None else axes, whole(shape), strict=True):
        more = m - x.shape[a]
        before = math.trunc(more / 2)
        widths[a] = (before, more - before)
    return _padded(x, widths)


@op("Range")
def _range(start: Any, limit: Any, delta: Any) -> Any:
    a, b, step = map(number, (start, limit, delta))
    if not step:
        raise ValueError("Range: the step is 0")
    count = room([max(math.ceil((b - a) / step), 0)])[0]
    return constant((a + np.arange(count) * step).astype(start.dtype))


@op("OneHot")
def _one_hot(indices: Any, depth: Any, values: Any, *, axis: int) -> Any:
    n = int(number(depth))
    i = plain(indices).astype(np.int64)
    room([*i.shape, n])
    off, on = plain(values)
    inside = (i >= -n) & (i < n)
    hit = ((i % max(n, 1))[..., None] == np.arange(n)) & inside[..., None]
    return constant(np.moveaxis(np.where(hit, on, off).astype(values.dtype), -1, axis))


@op("Unique")
def _unique(x: Any, *, axis: int | None, sorted: int) -> Any:
    values, first, inverse, counts = np.unique(
        plain(x), return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.ravel()
    if not sorted:
        order = np.argsort(first)
        values = np.take(values, order, axis or 0)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [constant(values), *[constant(v, np.int64) for v in (first, inverse, counts)]]


@op("ReverseSequence")
def _reverse_sequence(x: Any, lens: Any, *, batch_axis: int, time_axis: int) -> Any:
    steps, ends = np.arange(x.shape[time_axis]), plain(lens)[:, None]
    places = np.where(steps < ends, ends - 1 - steps, steps)
    turned = mg.swapaxes(x, 0, batch_axis)
    return mg.swapaxes(turned[np.arange(len(places))[:, None], places], 0, batch_axis)


@op("DepthToSpace")
def _depth_to_space(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        y = mg.transpose(mg.reshape(x, (n, b, b, c // b**2, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = mg.transpose(mg.reshape(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return mg.reshape(y, (n, c // b**2, h * b, w * b))


@op("SpaceToDepth")
def _space_to_depth(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    y = mg.reshape(x, (n, c, h // b, b, w // b, b))
    y = mg.transpose(y, (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return mg.reshape(y, (n, c * b * b, h // b, w // b))


def _window(*weights: float) -> Callable[..., Any]:
    def call(size: Any, *, output_datatype: int, periodic: int) -> Any:
        n = room(whole(size))[0]
        angle = 2 * math.pi * np.arange(n) / max(n if periodic else n - 1, 1)
        total = sum(w * np.cos(k * angle) for k, w in enumerate(weights))
        return constant(total, dtype_of(output_datatype))

    return call


OPERATIONS.update({
    "HannWindow": _window(0.5, -0.5), "HammingWindow": _window(25 / 46, -21 / 46),
    "BlackmanWindow": _window(0.42, -0.5, 0.08),
})  # fmt: skip


@op("TopK")
def _top_k(x: Any, k: Any, *, axis: int, largest: int) -> Any:
    a, n = plain(x), number(k)
    if not 0 <= n <= a.shape[axis]:
        raise ValueError(f"TopK: {n} of an axis of {a.shape[axis]}")
    if largest:  # of equal ones, the first comes first
        order = np.flip(a.shape[axis] - 1 - np.argsort(np.flip(a, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(a, axis, kind="stable")
    order = np.take(order, np.arange(n), axis)
    return x[_along(order, axis)], constant(order, np.int64)


@op("TensorScatter")
def _tensor_scatter(past: Any, update: Any, start: Any = None, *, axis: int, mode: str) -> Any:
    axis %= past.ndim
    steps = np.arange(update.shape[axis]).reshape((-1,) + (1,) * (past.ndim - 1 - axis))
    first = np.zeros(len(past), np.int64) if start is None else plain(start)
    places = first.reshape((-1,) + (1,) * (past.ndim - 1)) + steps
    places = places % past.shape[axis] if mode == "circular" else places
    index = _along(np.broadcast_to(places, update.shape), axis)
    return _scattered(past, index, update, "none")


# -- reductions ------------------------------------------------------------------------------------


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(
        x: Any, given: Any = None, *, axes: Any = None, keepdims: int, noop_with_empty_axes: int = 0
    ) -> Any:
        chosen = axes if given is None else whole(given)
        if not chosen:
            chosen = () if noop_with_empty_axes else range(x.ndim)
        return like(function(x, axis=tuple(chosen), keepdims=bool(keepdims)), x)

    return call


def _extreme(function: Any, highest: bool) -> Callable[..., Any]:
    def call(x: Any, **axes: Any) -> Any:
        if x.size:
            return function(x, **axes)
        numpy = np.max if highest else np.min
        return constant(numpy(plain(x), initial=_end(x.dtype, not highest), **axes))

    return call


def _end(dtype: Any, highest: bool) -> Any:
    """The largest or least number of a dtype."""
    if dtype.kind == "f":
        return math.inf if highest else -math.inf
    if dtype.kind == "b":
        return highest
    return np.iinfo(dtype).max if highest else np.iinfo(dtype).min


OPERATIONS.update({
    name: _reduction(function)
    for name, function in {
        "ReduceSum": mg.sum, "ReduceMean": mg.mean, "ReduceProd": mg.prod,
        "ReduceMax": _extreme(mg.max, True), "ReduceMin": _extreme(mg.min, False),
        "ReduceL1": lambda x, **axes: mg.sum(abs(x), **axes),
        "ReduceL2": lambda x, **axes: mg.sqrt(mg.sum(x * x, **axes)),
        "ReduceSumSquare": lambda x, **axes: mg.sum(x * x, **axes),
        "ReduceLogSum": lambda x, **axes: mg.log(mg.sum(x, **axes)),
        "ReduceLogSumExp": mg.logsumexp,
    }.items()
})  # fmt: skip


def _arg(function: Any) -> Callable[..., Any]:
    def call(x: Any, *, axis: int, keepdims: int, select_last_index: int = 0) -> Any:
        a = plain(x)
        if select_last_index:
            found = a.shape[axis] - 1 - function(np.flip(a, axis), axis=axis)
        else:
            found = function(a, axis=axis)
        return constant(np.expand_dims(found, axis) if keepdims else found, np.int64)

    return call


def _cumulative(function: Any, start: int) -> Callable[..., Any]:
    def call(x: Any, axis: Any, *, exclusive: int, reverse: int) -> Any:
        a = number(axis) % x.ndim
        y = mg.flip(x, a) if reverse else x
        if exclusive:
            widths = [(1, -1) if i == a else (0, 0) for i in range(x.ndim)]
            y = _padded(y, widths, fill=start)
        y = like(function(y, axis=a), x)
        return mg.flip(y, a) if reverse else y

    return call


OPERATIONS.update({
    "ArgMax": _arg(np.argmax), "ArgMin": _arg(np.argmin),
    "CumSum": _cumulative(mg.cumsum, 0), "CumProd": _cumulative(mg.cumprod, 1),
    "Einsum": lambda *x, equation: like(mg.einsum(equation, *x), x[0]),
})  # fmt: skip


@op("Gemm")
def _gemm(
    a: Any, b: Any, c: Any = None, *, alpha: float, beta: float, transA: int, transB: int
) -> Any:
    plain_layer = not transA and transB and alpha == beta == 1.0 and a.dtype.kind == "f"
    if plain_layer and c is not None and c.shape == b.shape[:1]:
        return F.linear(a, b, c)
    found = mg.matmul(a.T if transA else a, b.T if transB else b)
    found = found if alpha == 1.0 else found * alpha
    if c is not None:
        found = found + (c if beta == 1.0 else c * beta)
    return like(found, a)


# -- convolution and pooling -----------------------------------------------------------------------


class Windows(NamedTuple):
    """Where the windows of a kernel stand; one entry for each axis.

    ``reached``: the elements from the first to the last that a window touches.
    """

    kernel: tuple[int, ...]
    steps: list[int]
    gaps: list[int]
    reached: list[int]
    around: list[tuple[int, int]]
    out: list[int]

    def cuts(self) -> Iterator[tuple[Any, ...]]:
        """For each place in the kernel, the index of what it meets in padded images (N, C, ...)."""
        for place in np.ndindex(*self.kernel):
            axes = zip(place, self.gaps, self.out, self.steps, strict=True)
            yield (..., *[slice(p * d, p * d + (o - 1) * s + 1, s) for p, d, o, s in axes])


def _sides(pads: Any, rank: int) -> list[tuple[Any, Any]]:
    """Those before and after each axis, from all before and then all after."""
    return [(pads[i], pads[rank + i]) for i in range(rank)] if pads else [(0, 0)] * rank


def _halves(total: int, lower: bool) -> tuple[int, int]:
    small = max(total, 0) // 2
    return (total - small, small) if lower else (small, total - small)


def _windows(
    size: Sequence[int], kernel: Sequence[int], *, strides: Any, dilations: Any = None, pads: Any,
    auto_pad: str = "NOTSET", ceil_mode: int = 0,
) -> Windows:  # fmt: skip
    rank = len(kernel)
    steps, gaps = list(strides or [1] * rank), list(dilations or [1] * rank)
    if len(steps) != rank or len(gaps) != rank or min(steps + gaps + list(kernel), default=1) < 1:
        raise ValueError(f"strides {steps} and dilations {gaps} do not fit a kernel {list(kernel)}")
    reached = [d * (k - 1) + 1 for k, d in zip(kernel, gaps, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        around = [
            _halves(max((-(-n // s) - 1) * s + r - n, 0), auto_pad == "SAME_LOWER")
            for n, r, s in zip(size, reached, steps, strict=True)
        ]
    else:
        around = _sides(None if auto_pad == "VALID" else pads, rank)
    padded = room([n + i + j for n, (i, j) in zip(size, around, strict=True)])
    if any(r > n for r, n in zip(reached, padded, strict=True)):
        raise ValueError(f"a kernel {list(kernel)} does not fit an input of {list(padded)}")
    out = []
    for n, m, r, s, (i, _) in zip(size, padded, reached, steps, around, strict=True):
        count = (-(-(m - r) // s) if ceil_mode else (m - r) // s) + 1
        out.append(count - 1 if ceil_mode and (count - 1) * s >= n + i else count)
    return Windows(tuple(kernel), steps, gaps, reached, around, out)


@op("Conv")
def _conv(x: Any, w: Any, b: Any = None, *, group: int, **windows: Any) -> Any:
    v = _windows(x.shape[2:], w.shape[2:], **windows)
    if len(v.kernel) > 2:
        return _conv_any(x, w, b, v, group)
    settings: Any = (tuple(v.steps), tuple(v.around), tuple(v.gaps), group)
    return (F.conv1d if len(v.kernel) == 1 else F.conv2d)(x, w, b, *settings)


def _conv_any(x: Any, w: Any, b: Any, v: Windows, group: int) -> Any:
    """Convolution over any number of axes: a product for each place in the kernel."""
    x = mg.pad(x, [(0, 0), (0, 0), *v.around])
    n, c = x.shape[:2]
    room([n, len(w), *v.out])
    total: Any = None
    for place, cut in zip(np.ndindex(*v.kernel), v.cuts(), strict=True):
        part = mg.reshape(x[cut], (n, group, c // group, -1))
        tap = mg.reshape(w[(..., *place)], (1, group, -1, c // group))
        here = mg.matmul(tap, part)
        total = here if total is None else total + here
    found = mg.reshape(total, (n, len(w), *v.out))
    return found if b is None else found + _per_channel(b, found)


@op("ConvTranspose")
def _conv_transpose(
    x: Any, w: Any, b: Any = None, *, auto_pad: str, dilations: Any, group: int,
    output_padding: Any, output_shape: Any, pads: Any, strides: Any,
) -> Any:  # fmt: skip
    size, (c, share, *kernel) = x.shape[2:], w.shape
    rank = len(kernel)
    steps, gaps = strides or [1] * rank, dilations or [1] * rank
    extra = output_padding or [0] * rank
    reached = [d * (k - 1) for k, d in zip(kernel, gaps, strict=True)]
    spread = [(n - 1) * s + 1 for n, s in zip(size, steps, strict=True)]
    full = [n + r + e for n, r, e in zip(spread, reached, extra, strict=True)]
    if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = output_shape or [n * s for n, s in zip(size, steps, strict=True)]
        lower = auto_pad == "SAME_LOWER"
        cuts = [_halves(n - m, lower) for n, m in zip(full, wanted[-rank:], strict=True)]
    else:
        cuts = _sides(None if auto_pad == "VALID" else pads, rank)
    # Zeros between the elements, and a convolution with the kernel turned round.
    room([len(x), share * group, *[m + k for m, k in zip(full, kernel, strict=True)]])
    between = (..., *[slice(None, None, s) for s in steps])
    wide = scatter(x, between, (len(x), c, *spread))
    turned = mg.flip(w, tuple(range(2, 2 + rank)))
    turned = mg.swapaxes(mg.reshape(turned, (group, c // group, share, *kernel)), 1, 2)
    turned = mg.reshape(turned, (group * share, c // group, *kernel))
    sides = zip(reached, cuts, extra, strict=True)
    wide = _padded(wide, [(0, 0), (0, 0), *[(r - i, r - j + e) for r, (i, j), e in sides]])
    return _conv(wide, turned, b, group=group, dilations=gaps, strides=None, pads=None)


@op("DeformConv")
def _deform_conv(
    x: Any, w: Any, offset: Any, b: Any = None, mask: Any = None, *, group: int, offset_group: int,
    **windows: Any,
) -> Any:  # fmt: skip
    v = _windows(x.shape[2:], w.shape[2:], **windows)
    n, c = x.shape[:2]
    images, taps = n * offset_group, math.prod(v.kernel)
    room([n, c, taps, *v.out])
    shift = mg.reshape(offset, (images, taps, 2, *v.out))
    places = []
    for axis, step in enumerate(np.ix_(*map(np.arange, v.out))):
        tap = np.indices(v.kernel)[axis].reshape(-1, 1, 1) * v.gaps[axis]
        start = step * v.steps[axis] - v.around[axis][0] + tap
        places.append(shift[:, :, axis] + start.astype(x.dtype))
    grouped = mg.reshape(x, (images, c // offset_group, *x.shape[2:]))
    taken = _sampled(grouped, places, (0, 1), _linear)  # (n * og, c / og, taps, oh, ow)
    if mask is not None:
        taken = taken * mg.reshape(mask, (images, 1, taps, *v.out))
    columns = mg.reshape(taken, (n, group, c // group * taps, -1))
    weight = mg.reshape(w, (1, group, len(w) // group, -1))
    found = mg.reshape(mg.matmul(weight, columns), (n, len(w), *v.out))
    return found if b is None else found + _per_channel(b, found)


def _linear(t: Any) -> Any:
    return 1.0 - abs(t)


def _cubic(t: Any, a: float = -0.75) -> Any:
    t = abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1.0
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _sampled(
    x: Any, places: list[Any], taps: Sequence[int], weigh: Callable[[Any], Any],
    confine: Callable[[Any, int], Any] = lambda j, _: j,
) -> Any:  # fmt: skip
    """Images (N, C, ...) between their elements, zero outside: (N, C, ...).

    ``places``: one tensor (N, ...) for each axis. ``taps``: which elements count, from the one
    below; ``weigh``: how much, at this distance; ``confine`` brings their numbers into an axis.
    """
    low = [np.floor(plain(p)).astype(np.int64) for p in places]
    turned = mg.moveaxis(x, 1, -1)
    rows = np.arange(len(x)).reshape((-1,) + (1,) * (places[0].ndim - 1))
    total: Any = 0.0
    for tap in itertools.product(taps, repeat=len(places)):
        weight, inside, index = 1.0, True, []
        for t, i, p, n in zip(tap, low, places, x.shape[2:], strict=True):
            weight = weight * weigh(p - (i + t).astype(x.dtype))
            j = confine(i + t, n)
            inside = inside & (j >= 0) & (j < n)
            index.append(np.clip(j, 0, n - 1))
        weight = mg.where(inside, weight, 0.0)
        total = total + turned[(rows, *index)] * mg.expand_dims(weight, -1)
    return mg.moveaxis(total, -1, 1)


def _covered(x: Any, v: Windows, fill: Any) -> Any:
    """What each window covers: (N, C, *out, taps); ``fill`` where that is outside."""
    widths = [(0, 0), (0, 0)]
    for n, r, s, (i, j), o in zip(x.shape[2:], v.reached, v.steps, v.around, v.out, strict=True):
        widths.append((i, max((o - 1) * s + r - n - i, j, 0)))
    room([*x.shape[:2], *v.out, math.prod(v.kernel)])
    x = _padded(x, widths, fill=fill)
    return mg.stack([x[cut] for cut in v.cuts()], axis=-1)


@op("MaxPool")
def _max_pool(
    x: Any, *, kernel_shape: list[int], storage_order: int, outputs: int, **windows: Any
) -> Any:
    v = _windows(x.shape[2:], kernel_shape, **windows)
    even = all(i == j and 2 * i <= r for (i, j), r in zip(v.around, v.reached, strict=True))
    fits = even and len(v.out) == 2 and not windows["ceil_mode"]
    if fits and x.dtype.kind == "f" and outputs == 1:
        padding = [i for i, _ in v.around]
        settings: Any = [tuple(one) for one in (v.kernel, v.steps, padding, v.gaps)]
        return F.max_pool2d(x, *settings)
    covered = _covered(x, v, _end(x.dtype, False))
    found = mg.max(covered, axis=-1)
    if outputs == 1:
        return found
    numbers = np.arange(x.size).reshape(x.shape)
    if storage_order:  # the first of the inner axes runs fastest
        numbers = numbers.reshape(*x.shape[:2], *x.shape[:1:-1])
        numbers = numbers.transpose(0, 1, *range(x.ndim - 1, 1, -1))
    places = plain(_covered(constant(numbers), v, -1))
    index = np.take_along_axis(places, plain(covered).argmax(-1)[..., None], -1)[..., 0]
    return found, constant(index, np.int64)


@op("MaxUnpool")
def _max_unpool(
    x: Any, indices: Any, output_shape: Any = None, *, kernel_shape: list[int], pads: Any,
    strides: Any,
) -> Any:  # fmt: skip
    rank = len(kernel_shape)
    axes = zip(x.shape[2:], strides or [1] * rank, kernel_shape, _sides(pads, rank), strict=True)
    inner = (*x.shape[:2], *[(n - 1) * s + k - i - j for n, s, k, (i, j) in axes])
    shape = room(inner if output_shape is None else whole(output_shape))
    places = np.unravel_index(plain(indices), inner)
    return _scattered(constant(np.zeros(shape, x.dtype)), places, x, "none")


@op("AveragePool")
def _average_pool(
    x: Any, *, kernel_shape: list[int], count_include_pad: int, **windows: Any
) -> Any:
    v = _windows(x.shape[2:], kernel_shape, **windows)
    ones, inside = np.ones((1, 1, *x.shape[2:]), x.dtype), v
    if count_include_pad:
        ones = np.pad(ones, [(0, 0), (0, 0), *v.around], constant_values=1)
        inside = v._replace(around=_sides(None, len(v.out)))
    counts = plain(_covered(constant(ones), inside, 0.0)).sum(-1)
    return like(mg.sum(_covered(x, v, 0.0), axis=-1) / counts, x)


@op("LpPool")
def _lp_pool(x: Any, *, kernel_shape: list[int], p: int, **windows: Any) -> Any:
    covered = _covered(x, _windows(x.shape[2:], kernel_shape, **windows), 0.0)
    return like(mg.sum(abs(covered) ** p, axis=-1) ** (1.0 / p), x)


def _inner(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


OPERATIONS.update({
    "GlobalAveragePool": lambda x: mg.mean(x, axis=_inner(x), keepdims=True),
    "GlobalMaxPool": lambda x: mg.max(x, axis=_inner(x), keepdims=True),
    "GlobalLpPool": lambda x, p: (
        mg.sum(abs(x) ** p, axis=_inner(x), keepdims=True) ** (1.0 / p)
    ),
})  # fmt: skip


@op("Col2Im")
def _col2im(x: Any, image_shape: Any, block_shape: Any, **windows: Any) -> Any:
    image, block = whole(image_shape), whole(block_shape)
    v = _windows(image, block, **windows)
    n, taps = len(x), math.prod(block)
    c = x.shape[1] // taps
    if not c:
        raise ValueError(f"Col2Im: blocks of {list(block)} need more than {x.shape[1]} rows")
    frame = room([n, c, *[m + i + j for m, (i, j) in zip(image, v.around, strict=True)]])
    parts = mg.reshape(x, (n, c, taps, *v.out))
    total: Any = sum(scatter(parts[:, :, k], cut, frame) for k, cut in enumerate(v.cuts()))
    return total[(..., *[slice(i, i + m) for m, (i, _) in zip(image, v.around, strict=True)])]


# -- normalisation ---------------------------------------------------------------------------------


def _per_channel(v: Any, x: Any) -> Any:
    return mg.reshape(v, (1, -1) + (1,) * (x.ndim - 2))


def _normal(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    off = x - mg.mean(x, axis=axes, keepdims=True)
    return off / mg.sqrt(mg.mean(off * off, axis=axes, keepdims=True) + epsilon)


@op("BatchNormalization")
def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, var: Any, *, epsilon: float, momentum: float,
    training_mode: int = 0,
) -> Any:  # fmt: skip
    if not training_mode:
        return like(F.batch_norm(x, mean, var, scale, bias, eps=epsilon), x)
    axes = (0, *_inner(x))
    a = plain(x)
    found = _normal(x, axes, epsilon) * _per_channel(scale, x) + _per_channel(bias, x)
    running = [
        constant(plain(old) * momentum + new * (1 - momentum), old.dtype)
        for old, new in ((mean, a.mean(axes)), (var, a.var(axes)))
    ]
    return [like(found, x), *running]


@op("InstanceNormalization")
def _instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float) -> Any:
    return like(_normal(x, _inner(x), epsilon) * _per_channel(scale, x) + _per_channel(bias, x), x)


@op("GroupNormalization")
def _group_norm(
    x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float, opset: int
) -> Any:
    if opset < 21:  # scale and bias were those of groups
        scale, bias = (mg.repeat(v, x.shape[1] // num_groups) for v in (scale, bias))
    return like(F.group_norm(x, num_groups, scale, bias, epsilon), x)


@op("LayerNormalization")
def _layer_norm(
    x: Any, scale: Any, bias: Any = None, *, axis: int, epsilon: float, outputs: int
) -> Any:
    shape = x.shape[axis:]
    if outputs == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
        return like(F.layer_norm(x, shape, scale, bias, epsilon), x)
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    mean = mg.mean(wide, axis=axes, keepdims=True)
    off = wide - mean
    inverse = 1.0 / mg.sqrt(mg.mean(off * off, axis=axes, keepdims=True) + epsilon)
    found = like(off * inverse, x) * scale
    return [like(found if bias is None else found + bias, x), mean, inverse]


@op("RMSNormalization")
def _rms_norm(x: Any, scale: Any, *, axis: int, epsilon: float) -> Any:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    normal = wide / mg.sqrt(mg.mean(wide * wide, axis=axes, keepdims=True) + epsilon)
    return like(like(normal, x) * scale, scale)


@op("MeanVarianceNormalization")
def _mvn(x: Any, *, axes: Sequence[int]) -> Any:
    off = x - mg.mean(x, axis=tuple(axes), keepdims=True)
    return off / (mg.sqrt(mg.mean(off * off, axis=tuple(axes), keepdims=True)) + 1e-9)


@op("LpNormalization")
def _lp_norm(x: Any, *, axis: int, p: int) -> Any:
    size = mg.linalg.norm(x, p, axis=axis, keepdims=True)
    zero = plain(size) == 0
    return mg.where(zero, 0.0, x / mg.where(zero, 1.0, size))


@op("LRN")
def _lrn(x: Any, *, size: int, alpha: float, beta: float, bias: float) -> Any:
    n = x.shape[1]
    off = np.subtract.outer(np.arange(n), np.arange(n))
    band = (off <= (size - 1) // 2) & (-off <= size // 2)
    flat = mg.reshape(x * x, (len(x), n, -1))
    total = mg.reshape(mg.matmul(band.astype(x.dtype), flat), x.shape)
    return x / (bias + alpha / size * total) ** beta


@op("Dropout")
def _dropout(
    x: Any, ratio: Any = None, training_mode: Any = None, *, seed: int | None, outputs: int
) -> Any:
    kept = np.ones(x.shape, bool)
    share = number(ratio, 0.5)
    if number(training_mode, False) and share:
        # A seed in a file is one of NumPy's older generator.
        rng: Any = default_generator() if seed is None else np.random.RandomState(seed)
        kept = rng.uniform(size=x.shape) >= share
        x = like(mg.where(kept, x, 0.0) * (1.0 / (1.0 - share) if share < 1 else 0.0), x)
    return [x, constant(kept)][:outputs]


# -- losses ----------------------------------------------------------------------------------------


@op("NegativeLogLikelihoodLoss")
def _nll(
    x: Any, target: Any, weight: Any = None, *, ignore_index: int | None, reduction: str
) -> Any:
    t = plain(target)
    ignored = np.zeros(t.shape, bool) if ignore_index is None else t == ignore_index
    safe = np.where(ignored, 0, t)
    taken = mg.squeeze(x[_along(np.expand_dims(safe, 1), 1)], axis=1)
    w = constant(np.ones(x.shape[1], x.dtype)) if weight is None else weight
    share = like(mg.where(ignored, 0.0, w[safe]), x)
    losses = -taken * share
    if reduction == "none":
        return losses
    total = mg.sum(losses)
    return total if reduction == "sum" else total / mg.sum(share)


@op("SoftmaxCrossEntropyLoss")
def _cross_entropy(x: Any, target: Any, weight: Any = None, **settings: Any) -> Any:
    log_p = F.log_softmax(x, 1)
    return _nll(log_p, target, weight, **settings), log_p


# -- images ----------------------------------------------------------------------------------------


def _resize_places(m: int, n: int, scale: float, place: str, roi: tuple[float, float]) -> Any:
    """Where each of m new elements lies among n old ones."""
    i = np.arange(m, dtype=np.float64)
    start, end = roi
    if m == 1 and place in ("pytorch_half_pixel", "align_corners"):
        return np.zeros(1)
    if place in ("half_pixel", "pytorch_half_pixel"):
        return (i + 0.5) / scale - 0.5
    if place == "half_pixel_symmetric":
        return n / 2 * (1 - m / (scale * n)) + (i + 0.5) / scale - 0.5
    if place == "align_corners":
        return i * ((n - 1) / (scale * n - 1))
    if place == "asymmetric":
        return i / scale
    if place == "tf_crop_and_resize":
        if m == 1:
            return np.array([0.5 * (start + end) * (n - 1)])
        return start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
    raise ValueError(f"Resize: unknown coordinate_transformation_mode {place!r}")


NEAREST: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda v: np.ceil(v - 0.5),
    "round_prefer_ceil": lambda v: np.floor(v + 0.5), "floor": np.floor, "ceil": np.ceil,
}  # fmt: skip


def _resize_matrix(
    at: Any, n: int, scale: float, linear: bool, a: float, antialias: int, exclude: int
) -> Any:
    """The weights (m, n) of n elements at m places between them."""
    shrink = min(scale, 1.0) if antialias else 1.0
    count = 2 * math.ceil((1.0 if linear else 2.0) / shrink) + 1
    places = np.floor(at).astype(int)[:, None] + np.arange(-count, count + 1)
    t = (places - at[:, None]) * shrink
    weights = np.maximum(_linear(t), 0) if linear else _cubic(t, a)
    if exclude:
        weights = np.where((places < 0) | (places >= n), 0.0, weights)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    matrix = np.zeros((len(at), n))
    np.add.at(matrix, (np.arange(len(at))[:, None], np.clip(places, 0, n - 1)), weights)
    return matrix


@op("Resize")
def _resize(
    x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, *, antialias: int = 0,
    axes: list[int] | None = None, coordinate_transformation_mode: str, cubic_coeff_a: float,
    exclude_outside: int, extrapolation_value: float, keep_aspect_ratio_policy: str = "stretch",
    mode: str, nearest_mode: str,
) -> Any:  # fmt: skip
    if mode not in ("nearest", "linear", "cubic") or nearest_mode not in NEAREST:
        raise ValueError(f"Resize: unknown mode {mode!r} or nearest_mode {nearest_mode!r}")
    along = [a % x.ndim for a in (range(x.ndim) if axes is None else axes)]
    old = [x.shape[a] for a in along]
    if scales is not None and scales.size:
        factors = [float(v) for v in plain(scales)]
        new = [math.floor(n * f) for n, f in zip(old, factors, strict=True)]
    else:
        new = list(whole(sizes))
        factors = [m / n if n else 1.0 for n, m in zip(old, new, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            factor = (min if keep_aspect_ratio_policy == "not_larger" else max)(factors)
            factors = [factor] * len(old)
            new = [math.floor(n * factor + 0.5) for n in old]
    shape = list(x.shape)
    for a, m in zip(along, new, strict=True):
        shape[a] = m
    room(shape)
    cropped = coordinate_transformation_mode == "tf_crop_and_resize"
    corners: list[tuple[Any, Any]] = [(0.0, 1.0)] * len(old)
    if roi is not None and roi.size:
        corners = _sides(plain(roi).tolist(), len(old))
    found, outside = x, np.zeros((1,) * x.ndim, bool)
    for a, n, m, f, part in zip(along, old, new, factors, corners, strict=True):
        if n == m and f == 1.0 and not cropped:
            continue
        room([m, n])
        places = _resize_places(m, n, f, coordinate_transformation_mode, part)
        if cropped:
            gone = (places < 0) | (places > n - 1)
            outside = outside | gone.reshape([-1 if i == a else 1 for i in range(x.ndim)])
        if mode == "nearest":
            nearest = np.clip(NEAREST[nearest_mode](places), 0, n - 1).astype(int)
            found = mg.take(found, nearest, axis=a)
            continue
        matrix = _resize_matrix(
            places, n, f, mode == "linear", cubic_coeff_a, antialias, exclude_outside
        )
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
        turned = mg.moveaxis(found, a, -1)
        found = mg.moveaxis(mg.matmul(turned, matrix.T.astype(kind)), -1, a)
    if outside.any():
        found = mg.where(outside, extrapolation_value, found)
    return like(found, x)


@op("AffineGrid")
def _affine_grid(theta: Any, size: Any, *, align_corners: int) -> Any:
    n, _, *inner = whole(size)
    room([n, *inner, len(inner)])
    lines = []
    for m in inner:
        if align_corners:
            lines.append(np.linspace(-1, 1, m) if m > 1 else np.zeros(m))
        else:
            lines.append((np.arange(m) * 2 + 1) / m - 1)
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(inner)], -1)
    flat = grid.reshape(-1, len(inner) + 1).astype(theta.dtype)
    return mg.reshape(mg.matmul(flat, mg.swapaxes(theta, 1, 2)), (n, *inner, len(inner)))


@op("GridSample")
def _grid_sample(x: Any, grid: Any, *, align_corners: int, mode: str, padding_mode: str) -> Any:
    def confine(p: Any, n: int) -> Any:
        return _confined(p, n, padding_mode, bool(align_corners))

    def whole_places(j: Any, n: int) -> Any:
        return np.rint(confine(j.astype(np.float64), n)).astype(int)

    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    paddings = ("zeros", "border", "reflection")
    if mode not in ("linear", "nearest", "cubic") or padding_mode not in paddings:
        raise ValueError(f"GridSample: unknown mode {mode!r} or padding {padding_mode!r}")
    places = []
    for k, n in enumerate(x.shape[2:], 1):
        g = grid[..., -k] + 1.0
        places.append(g * ((n - 1) / 2.0) if align_corners else (g * float(n) - 1.0) * 0.5)
    if mode == "cubic":
        return like(_sampled(x, places, (-1, 0, 1, 2), _cubic, whole_places), x)
    places = [confine(p, n) for p, n in zip(places, x.shape[2:], strict=True)]
    if mode == "nearest":
        return like(_sampled(x, [np.rint(plain(p)) for p in places], (0,), _linear), x)
    return like(_sampled(x, places, (0, 1), _linear), x)


def _confined(p: Any, n: int, how: str, align: bool) -> Any:
    """Places on an axis of n elements, brought into it."""
    if how == "zeros":
        return p
    if how == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        span = high - low
        if span <= 0:
            return p * 0.0
        off = abs(p - low)
        turns = np.floor(plain(off) / span)
        rest = off - turns * span
        p = np.where(turns % 2 == 0, rest + low, high - rest)
    return np.clip(p, 0.0, n - 1.0)


@op("RoiAlign")
def _roi_align(
    x: Any, rois: Any, batch: Any, *, coordinate_transformation_mode: str = "half_pixel",
    mode: str, output_height: int, output_width: int, sampling_ratio: int, spatial_scale: float,
) -> Any:  # fmt: skip
    _n, c, *size = x.shape
    shift = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    gather, pool = (mg.sum, mg.mean) if mode == "avg" else (mg.max, mg.max)
    out = (output_height, output_width)
    found = [constant(np.zeros((0, c, *out), x.dtype))]
    for box, b in zip(plain(rois).astype(np.float64), whole(batch), strict=True):
        corners = box * spatial_scale - shift
        starts, spans = corners[1::-1], (corners[2:] - corners[:2])[::-1]
        steps = (spans if shift else np.maximum(spans, 1.0)) / out
        counts = [sampling_ratio or max(math.ceil(s), 1) for s in steps]
        room([*out, *counts, c])
        down, across = (
            _corners(start + step * (np.arange(o * k) + 0.5) / k, n)
            for start, step, o, k, n in zip(starts, steps, out, counts, size, strict=True)
        )
        # The weighed corners of each sample: their sum, or the largest of them.
        image = x[b]
        parts = [
            image[:, i[:, None], j] * (u[:, None] * v).astype(x.dtype)
            for i, u in down
            for j, v in across
        ]
        samples = gather(mg.stack(parts), axis=0)
        grid = mg.reshape(samples, (1, c, out[0], counts[0], out[1], counts[1]))
        found.append(pool(grid, axis=(3, 5)))
    return mg.concatenate(found)


def _corners(places: Any, n: int) -> list[tuple[Any, Any]]:
    """The elements below and above each place, and how much they count."""
    gone = (places < -1) | (places > n)
    places = np.maximum(places, 0)
    low = np.minimum(places.astype(int), n - 1)
    high = np.minimum(low + 1, n - 1)
    far = np.where(low >= n - 1, 0.0, places - low)
    return [(low, np.where(gone, 0.0, 1 - far)), (high, np.where(gone, 0.0, far))]


@op("NonMaxSuppression")
def _non_max_suppression(
    boxes: Any, scores: Any, most: Any = None, iou: Any = None, least: Any = None, *,
    center_point_box: int,
) -> Any:  # fmt: skip
    limit, overlap, lowest = number(most, 0), number(iou, 0.0), number(least, -math.inf)
    b, s = plain(boxes).astype(np.float64), plain(scores)
    if center_point_box:
        b = np.concatenate([b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], -1)
    low, high = np.minimum(b[..., :2], b[..., 2:]), np.maximum(b[..., :2], b[..., 2:])
    area = (high - low).prod(-1)
    found = []
    for n, c in np.ndindex(s.shape[:2]):
        order = [i for i in np.argsort(-s[n, c], kind="stable") if s[n, c, i] > lowest]
        kept: list[int] = []
        for i in order:
            if len(kept) >= limit:
                break
            sides = np.minimum(high[n, kept], high[n, i]) - np.maximum(low[n, kept], low[n, i])
            shared = np.maximum(sides, 0).prod(-1)
            if not np.any(shared > overlap * (area[n, kept] + area[n, i] - shared)):
                kept.append(int(i))
        found += [(n, c, i) for i in kept]
    return constant(np.array(found, np.int64).reshape(-1, 3))


# -- sequences -------------------------------------------------------------------------------------

#: Activations by name in lower case: the function, and alpha and beta where a file gives none.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], dict[str, float]]] = {
    "relu": (F.relu, {}), "tanh": (mg.tanh, {}), "sigmoid": (F.sigmoid, {}),
    "softplus": (F.softplus, {}), "softsign": (F.softsign, {}),
    "leakyrelu": (OPERATIONS["LeakyRelu"], {"alpha": 0.01}), "elu": (F.elu, {"alpha": 1.0}),
    "thresholdedrelu": (OPERATIONS["ThresholdedRelu"], {"alpha": 1.0}),
    "hardsigmoid": (_hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "affine": (lambda x, alpha, beta: x * alpha + beta, {"alpha": 1.0, "beta": 0.0}),
    "scaledtanh": (lambda x, alpha, beta: alpha * mg.tanh(x * beta), {"alpha": 1.0, "beta": 1.0}),
}  # fmt: skip


def _activation(name: str, **given: float | None) -> Callable[[Any], Any]:
    if name.lower() not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}")
    function, settings = ACTIVATIONS[name.lower()]
    told = {k: v for k, v in given.items() if k in settings and v is not None}
    return functools.partial(function, **{**settings, **told})


def _parts(x: Any, count: int) -> list[Any]:
    """Equal parts of the last axis."""
    n = x.shape[-1] // count
    return [x[..., i * n : (i + 1) * n] for i in range(count)]


def _rnn_cell(x: Any, state: Any, r: Any, bias: Any, act: Any, clip: Any) -> list[Any]:
    return [act[0](clip(x + mg.matmul(state[0], r.T) + bias))]


def _gru_cell(
    x: Any, state: Any, r: Any, bias: Any, act: Any, clip: Any, *, linear_before_reset: int
) -> list[Any]:
    h = state[0]
    xz, xr, xn = _parts(x, 3)
    hz, hr, hn = _parts(mg.matmul(h, r.T) + bias, 3)
    z, reset = act[0](clip(xz + hz)), act[0](clip(xr + hr))
    if linear_before_reset:
        hn = reset * hn
    else:
        size = h.shape[-1]
        hn = mg.matmul(reset * h, r.T[:, 2 * size :]) + bias[2 * size :]
    return [(1.0 - z) * act[1](clip(xn + hn)) + z * h]


def _lstm_cell(
    x: Any, state: Any, r: Any, bias: Any, act: Any, clip: Any, peephole: Any = None, *,
    input_forget: int,
) -> list[Any]:  # fmt: skip
    h, c = state
    i, o, f, g = _parts(x + mg.matmul(h, r.T) + bias, 4)
    parts = None if peephole is None else _parts(peephole, 3)
    if parts:
        i, f = i + parts[0] * c, f + parts[2] * c
    i = act[0](clip(i))
    f = 1.0 - i if input_forget else act[0](clip(f))
    new = f * c + i * act[1](clip(g))
    o = o + parts[1] * new if parts else o
    return [act[0](clip(o)) * act[2](new), new]


def _recurrent(
    cell: Callable[..., list[Any]], gates: int, states: int, *default: str
) -> Callable[..., Any]:
    def call(
        x: Any, w: Any, r: Any, b: Any = None, lens: Any = None, *given: Any, direction: str,
        activations: Any, activation_alpha: Any, activation_beta: Any, clip: float | None,
        layout: int = 0, **settings: Any,
    ) -> list[Any]:  # fmt: skip
        def limited(v: Any) -> Any:
            return v if clip is None else mg.clip(v, -clip, clip)

        if direction not in ("forward", "reverse", "bidirectional"):
            raise ValueError(f"unknown direction {direction!r}")
        ends = 2 if direction == "bidirectional" else 1
        rows, size = gates * r.shape[-1], r.shape[-1]
        if r.shape != (ends, rows, size) or w.shape[:2] != (ends, rows):
            raise ValueError(f"weights of shape {w.shape} and {r.shape} do not fit {direction}")
        count = len(default) * ends
        names = activations or default * ends
        if len(names) not in (count, 2 * len(default)):  # ONNX's default for RNN is of two ends
            raise ValueError(f"expected {count} activations, got {len(names)}")
        settled = itertools.zip_longest(
            names[:count], activation_alpha or (), activation_beta or ()
        )
        acts = [_activation(n, alpha=alpha, beta=beta) for n, alpha, beta in settled]
        if layout:
            x = mg.swapaxes(x, 0, 1)
        steps, batch = x.shape[:2]
        first = [*given[:states], *[None] * states][:states]
        zeros = constant(np.zeros((batch, size), x.dtype))
        outputs, lasts = [], []
        for d in range(ends):
            act = acts[d * len(default) :][: len(default)]
            now = [zeros if s is None else (s[:, d] if layout else s[d]) for s in first]
            peephole = [p[d] for p in given[states:] if p is not None]
            bias = np.zeros(2 * rows, x.dtype) if b is None else b[d]
            into = mg.matmul(x, w[d].T) + bias[:rows]
            hidden: list[Any] = [zeros] * steps
            backwards = direction == "reverse" or d == 1
            for t in reversed(range(steps)) if backwards else range(steps):
                new = cell(into[t], now, r[d], bias[rows:], act, limited, *peephole, **settings)
                hidden[t] = new[0]
                if lens is not None:
                    alive = (t < plain(lens))[:, None]
                    hidden[t] = mg.where(alive, new[0], 0.0)
                    new = [mg.where(alive, a, o) for a, o in zip(new, now, strict=True)]
                now = new
            outputs.append(mg.stack(hidden))
            lasts.append(now)
        y = mg.stack(outputs, axis=1)
        last = [mg.stack(one, axis=layout) for one in zip(*lasts, strict=True)]
        return [mg.transpose(y, (2, 0, 1, 3)) if layout else y, *last]

    return call


OPERATIONS.update({
    "RNN": _recurrent(_rnn_cell, 1, 1, "Tanh"),
    "GRU": _recurrent(_gru_cell, 3, 1, "Sigmoid", "Tanh"),
    "LSTM": _recurrent(_lstm_cell, 4, 2, "Sigmoid", "Tanh", "Tanh"),
})  # fmt: skip


def _heads(x: Any, count: int) -> Any:
    """(N, L, count E) as (N, count, L, E)."""
    return mg.swapaxes(mg.reshape(x, (*x.shape[:2], count, -1)), 1, 2)


@op("RotaryEmbedding")
def _rotary(
    x: Any, cos: Any, sin: Any, positions: Any = None, *, interleaved: int, num_heads: int,
    rotary_embedding_dim: int,
) -> Any:  # fmt: skip
    shape = x.shape
    x = _heads(x, num_heads) if x.ndim == 3 else x
    width = rotary_embedding_dim or x.shape[-1]
    turned, rest = x[..., :width], x[..., width:]
    if positions is not None:
        cos, sin = cos[plain(positions)], sin[plain(positions)]
    cos, sin = (mg.expand_dims(v[..., : width // 2], 1) for v in (cos, sin))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : width // 2], turned[..., width // 2 :]
    parts = [a * cos - b * sin, a * sin + b * cos]
    if interleaved:
        found = mg.reshape(mg.stack(parts, axis=-1), turned.shape)
    else:
        found = mg.concatenate(parts, axis=-1)
    found = mg.concatenate([found, rest], axis=-1)
    return mg.reshape(mg.swapaxes(found, 1, 2), shape) if len(shape) == 3 else found


@op("Attention")
def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, past_key: Any = None, past_value: Any = None,
    lens: Any = None, *, is_causal: int, kv_num_heads: int, left_window_size: int = -1,
    q_num_heads: int, qk_matmul_output_mode: int, right_window_size: int = -1,
    scale: float | None, softcap: float, softmax_precision: int | None,
) -> Any:  # fmt: skip
    shape = q.shape
    if q.ndim == 3:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        k, v = mg.concatenate([past_key, k], axis=2), mg.concatenate([past_value, v], axis=2)
    keys, values = k, v
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (mg.repeat(x, groups, axis=1) for x in (k, v))
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    root = math.sqrt(factor) if factor > 0 else factor
    scores = raw = mg.matmul(q * root, mg.swapaxes(k, -1, -2) * root)
    length, total = scores.shape[-2:]
    filled = None if lens is None else plain(lens).reshape(-1, 1, 1, 1)
    offset = past if past_key is not None or filled is None else filled - length
    keys_at, queries_at = np.arange(total), np.arange(length)[:, None] + offset
    allowed = np.ones((length, total), bool)
    if left_window_size >= 0:
        allowed = allowed & (keys_at >= queries_at - left_window_size)
    ahead = 0 if is_causal else right_window_size
    if ahead >= 0:
        allowed = allowed & (keys_at <= queries_at + ahead)
    if filled is not None:
        allowed = allowed & (keys_at < filled)
    if softcap:
        scores = softcap * mg.tanh(scores / softcap)
    capped = scores
    if mask is not None:
        short = total - mask.shape[-1]
        if short > 0:
            fill = False if mask.dtype == np.bool_ else -math.inf
            mask = mg.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, short)], constant_values=fill)
        if mask.dtype == np.bool_:
            allowed = allowed & plain(mask)
        else:
            scores = scores + mask
    scores = mg.where(allowed, scores, -math.inf)
    blind = ~np.isfinite(plain(scores).max(-1, keepdims=True))
    wide = scores if softmax_precision is None else scores.astype(dtype_of(softmax_precision))
    weights = _softmax(mg.where(blind, 0.0, wide), axis=-1)
    weights = like(mg.where(blind, 0.0, weights), q)
    shown = [raw, capped, scores, weights]
    y = mg.matmul(weights, v)
    if len(shape) == 3:
        y = mg.reshape(mg.swapaxes(y, 1, 2), (*shape[:2], -1))
    return [like(y, q), keys, values, like(as_tensor(shown[qk_matmul_output_mode]), q)]
