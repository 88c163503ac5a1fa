"""What each operator of ONNX is here: a function of tensors, whose keywords are its attributes.

They are written with minigrad's own operators, so that gradients flow; only what is made of
integers and what chooses positions is plain NumPy. An operator that changed between versions of the
operator set asks for ``opset``; one whose number of outputs matters, for ``outputs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.random import default_generator
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.lazy import load_late
from minigrad.nn import functional as F
from minigrad.operators.indexing import scatter
from minigrad.operators.normal_distribution import normal_cdf

#: The public names, which the table uses as a program does.
mg: Any = load_late("minigrad")
#: ONNX's numbers of the types that arrays may have here.
TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
#: name in ONNX -> function.
OPERATIONS: dict[str, Callable[..., Any]] = {}
#: A value made from a shape in a file may have this many elements, so that memory has a bound.
MOST_ELEMENTS = 2**28


def op(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the function of the operators of these names."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return declare


def plain(x: Any) -> Any:
    """The array of a tensor, as a constant."""
    return x._data if isinstance(x, Tensor) else np.asarray(x)


def whole(x: Any) -> list[int]:
    """The elements of a tensor of integers."""
    return [int(n) for n in plain(x).ravel()]


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

OPERATIONS.update({
    "Abs": abs, "Neg": lambda x: -x, "Exp": mg.exp, "Sqrt": mg.sqrt, "Log": mg.log,
    "Sin": mg.sin, "Cos": mg.cos, "Tan": mg.tan, "Asin": mg.arcsin, "Acos": mg.arccos,
    "Atan": mg.arctan, "Sinh": mg.sinh, "Cosh": mg.cosh, "Tanh": mg.tanh, "Asinh": mg.arcsinh,
    "Acosh": mg.arccosh, "Atanh": mg.arctanh, "Relu": F.relu, "Sigmoid": F.sigmoid,
    "Reciprocal": lambda x: 1.0 / x, "Softplus": F.softplus, "MatMul": mg.matmul,
    "Softsign": lambda x: x / (1.0 + abs(x)), "Mish": lambda x: x * mg.tanh(F.softplus(x)),
    "Floor": mg.floor, "Ceil": mg.ceil, "Round": mg.rint,
    "Sign": mg.sign, "IsNaN": mg.isnan, "Identity": lambda x: x,
    "Not": mg.logical_not, "And": mg.logical_and,
    "Or": mg.logical_or, "Xor": mg.logical_xor,
    "Less": mg.less, "LessOrEqual": mg.less_equal,
    "Greater": mg.greater, "Equal": mg.equal,
    "GreaterOrEqual": mg.greater_equal,
    "BitwiseAnd": mg.bitwise_and, "BitwiseOr": mg.bitwise_or,
    "BitwiseXor": mg.bitwise_xor, "BitwiseNot": mg.invert,
    "Add": lambda x, y: x + y, "Sub": lambda x, y: x - y, "Mul": lambda x, y: x * y,
    "Det": mg.linalg.det, "Where": mg.where,
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1.0 / 6.0, 0.5),
})  # fmt: skip


@op("Div")
def _div(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return x / y
    a, b = plain(x), plain(y)
    return constant(_whole_division(a, b), a.dtype)


def _whole_division(a: Any, b: Any) -> Any:
    """Division of integers towards zero."""
    quotient = a // b
    return quotient + ((a % b != 0) & ((a < 0) != (b < 0)))


@op("Mod")
def _mod(x: Any, y: Any, *, fmod: int = 0) -> Any:
    return mg.fmod(x, y) if fmod else mg.remainder(x, y)


@op("Pow")
def _pow(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return like(mg.power(x, y.astype(x.dtype)), x)
    return constant(np.power(plain(x).astype(np.float64), plain(y)).astype(x.dtype))


@op("BitShift")
def _bit_shift(x: Any, y: Any, *, direction: str) -> Any:
    return constant(
        np.left_shift(plain(x), plain(y))
        if direction == "LEFT"
        else np.right_shift(plain(x), plain(y))
    )


@op("Erf")
def _erf(x: Any) -> Any:
    return like(2.0 * normal_cdf(x * math.sqrt(2.0)) - 1.0, x)


@op("IsInf")
def _is_inf(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    a = plain(x)
    return constant(
        (np.isposinf(a) & bool(detect_positive)) | (np.isneginf(a) & bool(detect_negative))
    )


def _fold(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def call(*x: Any) -> Any:
        found = x[0]
        for one in x[1:]:
            found = function(found, one)
        return found

    return call


OPERATIONS.update({
    "Max": _fold(mg.maximum), "Min": _fold(mg.minimum), "Sum": _fold(lambda x, y: x + y),
    "Mean": lambda *x: _fold(lambda a, b: a + b)(*x) / float(len(x)),
})  # fmt: skip


@op("Clip")
def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else mg.maximum(x, low)
    return x if high is None else mg.minimum(x, high)


@op("Cast")
def _cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    dtype = dtype_of(to)
    if x.dtype.kind == "f" and dtype.kind == "f":
        return x.astype(dtype)
    with np.errstate(invalid="ignore"):
        return constant(plain(x).astype(dtype))


@op("CastLike")
def _cast_like(x: Any, target: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    if x.dtype.kind == target.dtype.kind == "f":
        return x.astype(target.dtype)
    with np.errstate(invalid="ignore"):
        return constant(plain(x).astype(target.dtype))


@op("BitCast")
def _bit_cast(x: Any, *, to: int) -> Any:
    return constant(np.ascontiguousarray(plain(x)).view(dtype_of(to)).reshape(x.shape))


# -- activations -----------------------------------------------------------------------------------


@op("LeakyRelu")
def _leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    return F.leaky_relu(x, alpha)


@op("PRelu")
def _prelu(x: Any, slope: Any) -> Any:
    return mg.where(x < 0, x * slope, x)


@op("Elu")
def _elu(x: Any, *, alpha: float = 1.0) -> Any:
    return F.elu(x, alpha)


@op("Celu")
def _celu(x: Any, *, alpha: float = 1.0) -> Any:
    return alpha * F.elu(x / alpha)


@op("Selu")
def _selu(x: Any, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Any:
    return gamma * F.elu(x, alpha)


@op("ThresholdedRelu")
def _thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    return mg.where(x > alpha, x, 0.0)


@op("Shrink")
def _shrink(x: Any, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    return like(
        mg.where(
            x < -lambd, x + bias, mg.where(x > lambd, x - bias, 0.0 if x.dtype.kind == "f" else 0)
        ),
        x,
    )


def _hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    return mg.clip(x * alpha + beta, 0.0, 1.0)


@op("HardSigmoid")
def _hard_sigmoid_of(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return _hard_sigmoid(x, alpha, beta)


@op("Gelu")
def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return F.gelu(x, approximate=approximate)


@op("Swish")
def _swish(x: Any, *, alpha: float = 1.0) -> Any:
    return x * F.sigmoid(x * alpha)


@op("SwiGLU")
def _swiglu(gate: Any, x: Any, *, alpha: float = 1.0) -> Any:
    return gate * F.sigmoid(gate * alpha) * x


@op("Softmax")
def _softmax(x: Any, *, axis: int = -1) -> Any:
    if x.dtype == np.float16:  # in half precision throughout, as ONNX defines it
        e = mg.exp(x - mg.max(x, axis=axis, keepdims=True))
        return e / mg.sum(e, axis=axis, keepdims=True)
    return F.softmax(x, axis)


@op("LogSoftmax")
def _log_softmax(x: Any, *, axis: int = -1) -> Any:
    return F.log_softmax(x, axis)


@op("Hardmax")
def _hardmax(x: Any, *, axis: int = -1) -> Any:
    a = plain(x)
    found = np.zeros_like(a)
    np.put_along_axis(found, np.expand_dims(a.argmax(axis), axis), 1, axis)
    return constant(found)


# -- shapes ----------------------------------------------------------------------------------------


@op("Constant")
def _constant(
    *, value: Any = None, value_float: Any = None, value_floats: Any = None, value_int: Any = None,
    value_ints: Any = None,
) -> Any:  # fmt: skip
    for given, dtype in (
        (value_float, np.float32),
        (value_floats, np.float32),
        (value_int, np.int64),
        (value_ints, np.int64),
    ):
        if given is not None:
            return constant(given, dtype)
    if value is None:
        raise ValueError("a Constant without a value")
    return constant(value)


@op("ConstantOfShape")
def _constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    fill = np.zeros(1, np.float32) if value is None else value
    return constant(np.full(room(whole(shape)), fill.ravel()[0], fill.dtype))


@op("Shape")
def _shape(x: Any, *, start: int = 0, end: int | None = None) -> Any:
    return constant(np.array(x.shape[start:end], np.int64))


@op("Size")
def _size(x: Any) -> Any:
    return constant(np.array(x.size, np.int64))


@op("Reshape")
def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    wanted = whole(shape)
    if not allowzero:
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return mg.reshape(x, tuple(wanted))


@op("Flatten")
def _flatten(x: Any, *, axis: int = 1) -> Any:
    axis = axis + x.ndim if axis < 0 else axis
    return mg.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@op("Transpose")
def _transpose(x: Any, *, perm: list[int] | None = None) -> Any:
    return mg.transpose(x, None if perm is None else tuple(perm))


@op("Squeeze")
def _squeeze(x: Any, axes: Any = None) -> Any:
    return mg.squeeze(x, None if axes is None else tuple(whole(axes)))


@op("Unsqueeze")
def _unsqueeze(x: Any, axes: Any) -> Any:
    return mg.expand_dims(x, tuple(whole(axes)))


@op("Expand")
def _expand(x: Any, shape: Any) -> Any:
    return mg.broadcast_to(x, room(np.broadcast_shapes(x.shape, tuple(whole(shape)))))


@op("Tile")
def _tile(x: Any, repeats: Any) -> Any:
    times = whole(repeats)
    room([n * m for n, m in zip(x.shape, times, strict=True)])
    return mg.tile(x, tuple(times))


@op("Concat")
def _concat(*x: Any, axis: int) -> Any:
    return mg.concatenate(list(x), axis=axis)


@op("Split")
def _split(
    x: Any, split: Any = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int = 1
) -> Any:
    n = x.shape[axis]
    if split is None:
        parts = outputs
        if num_outputs not in (None, parts):
            raise ValueError(f"Split: {parts} outputs, and num_outputs={num_outputs}")
        size = -(-n // parts)
        sizes = [size] * (parts - 1) + [n - size * (parts - 1)]
    else:
        sizes = whole(split)
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise ValueError(f"Split: parts of {sizes} do not make up an axis of {n}")
    ends = np.cumsum(sizes).tolist()
    at = [slice(None)] * x.ndim
    return [x[(*at[: axis % x.ndim], slice(e - s, e))] for s, e in zip(sizes, ends, strict=True)]


@op("Slice")
def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    begin, stop = whole(starts), whole(ends)
    along = list(range(len(begin))) if axes is None else whole(axes)
    step = [1] * len(begin) if steps is None else whole(steps)
    index: list[Any] = [slice(None)] * x.ndim
    for a, i, j, k in zip(along, begin, stop, step, strict=True):
        n = x.shape[a]
        if k > 0:
            index[a] = slice(_clamp(i, n, 0, n), _clamp(j, n, 0, n), k)
        else:
            last = _clamp(j, n, -1, n - 1)
            index[a] = slice(_clamp(i, n, -1, n - 1), None if last < 0 else last, k)
            if _clamp(i, n, -1, n - 1) < 0:
                index[a] = slice(0, 0, 1)
    return x[tuple(index)]


def _clamp(i: int, n: int, low: int, high: int) -> int:
    return max(low, min(i + n if i < 0 else i, high))


@op("Gather")
def _gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    return x[(*[slice(None)] * (axis % x.ndim), plain(indices))]


@op("GatherElements")
def _gather_elements(x: Any, indices: Any, *, axis: int = 0) -> Any:
    return x[_along(plain(indices), axis)]


def _along(indices: Any, axis: int) -> tuple[Any, ...]:
    places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    places[axis] = indices
    return tuple(places)


def _batched(indices: Any, batch_dims: int) -> tuple[Any, ...]:
    """The index of each axis, from the last axis of ``indices``."""
    outer = indices.shape[:batch_dims]
    front = [
        np.arange(n).reshape((-1,) + (1,) * (indices.ndim - 2 - i)) for i, n in enumerate(outer)
    ]
    return (*front, *np.moveaxis(indices, -1, 0))


@op("GatherND")
def _gather_nd(x: Any, indices: Any, *, batch_dims: int = 0) -> Any:
    return x[_batched(plain(indices), batch_dims)]


def _scattered(x: Any, index: tuple[Any, ...], updates: Any, reduction: str) -> Any:
    """X with ``updates`` put, added, ... at an index."""
    base = plain(x)
    if reduction == "none":
        taken = np.zeros(base.shape, bool)
        taken[index] = True
        if x.dtype.kind != "f":
            found = base.copy()
            found[index] = plain(updates)
            return constant(found)
        # Where an element is written twice, the last one counts.
        order = np.full(base.shape, -1)
        shape = np.zeros(base.shape, bool)[index].shape
        numbers = np.arange(math.prod(shape)).reshape(shape)
        order[index] = numbers
        last = order[index] == numbers
        put = scatter(mg.where(last, updates, 0.0).astype(x.dtype), index, base.shape)
        return mg.where(taken, put, x)
    if reduction == "add" and x.dtype.kind == "f":
        return x + scatter(updates, index, base.shape)
    ways = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    if reduction not in ways:
        raise ValueError(f"reduction must be none, add, mul, max or min, got {reduction!r}")
    found = base.copy()
    ways[reduction].at(found, index, plain(updates))
    return constant(found)


@op("ScatterElements", "Scatter")
def _scatter_elements(
    x: Any, indices: Any, updates: Any, *, axis: int = 0, reduction: str = "none"
) -> Any:
    return _scattered(x, _along(plain(indices), axis), updates, reduction)


@op("ScatterND")
def _scatter_nd(x: Any, indices: Any, updates: Any, *, reduction: str = "none") -> Any:
    return _scattered(x, tuple(np.moveaxis(plain(indices), -1, 0)), updates, reduction)


@op("Pad")
def _pad(x: Any, pads: Any, value: Any = None, axes: Any = None, *, mode: str = "constant") -> Any:
    given = whole(pads)
    along = range(x.ndim) if axes is None else [a % x.ndim for a in whole(axes)]
    widths = [(0, 0)] * x.ndim
    for i, a in enumerate(along):
        widths[a] = (given[i], given[len(given) // 2 + i])
    cut = tuple(
        slice(max(-i, 0), n - max(-j, 0)) for (i, j), n in zip(widths, x.shape, strict=True)
    )
    x = x[cut] if any(i < 0 or j < 0 for i, j in widths) else x
    widths = [(max(i, 0), max(j, 0)) for i, j in widths]
    room([n + i + j for n, (i, j) in zip(x.shape, widths, strict=True)])
    if mode == "constant":
        fill = 0 if value is None else plain(value).item()
        if x.dtype.kind == "f":
            return mg.pad(x, widths, constant_values=fill)
        return constant(np.pad(plain(x), widths, constant_values=fill))
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes:
        raise ValueError(f"Pad: unknown mode {mode!r}")
    return mg.pad(x, widths, mode=modes[mode])


@op("CenterCropPad")
def _center_crop_pad(x: Any, shape: Any, *, axes: list[int] | None = None) -> Any:
    wanted = whole(shape)
    along = range(x.ndim) if axes is None else [a % x.ndim for a in axes]
    index: list[Any] = [slice(None)] * x.ndim
    widths = [(0, 0)] * x.ndim
    for a, m in zip(along, wanted, strict=True):
        n = x.shape[a]
        if m < n:
            start = (n - m) // 2
            index[a] = slice(start, start + m)
        else:
            widths[a] = ((m - n) // 2, m - n - (m - n) // 2)
    x = x[tuple(index)]
    room([n + i + j for n, (i, j) in zip(x.shape, widths, strict=True)])
    return mg.pad(x, widths) if x.dtype.kind == "f" else constant(np.pad(plain(x), widths))


@op("Range")
def _range(start: Any, limit: Any, delta: Any) -> Any:
    a, b, step = (plain(v).item() for v in (start, limit, delta))
    if not step:
        raise ValueError("Range: the step is 0")
    count = room([max(math.ceil((b - a) / step), 0)])[0]
    return constant((a + np.arange(count) * step).astype(start.dtype))


@op("EyeLike")
def _eye_like(x: Any, *, dtype: int | None = None, k: int = 0) -> Any:
    rows, columns = x.shape
    kind: Any = x.dtype if dtype is None else dtype_of(dtype)
    return constant(np.eye(rows, columns, k, dtype=kind))


@op("OneHot")
def _one_hot(indices: Any, depth: Any, values: Any, *, axis: int = -1) -> Any:
    n = int(plain(depth).ravel()[0])
    i = plain(indices).astype(np.int64)
    room([*i.shape, n])
    off, on = plain(values)
    inside = (i >= -n) & (i < n)
    hit = ((i % max(n, 1))[..., None] == np.arange(n)) & inside[..., None]
    return constant(np.moveaxis(np.where(hit, on, off).astype(values.dtype), -1, axis))


@op("Trilu")
def _trilu(x: Any, k: Any = None, *, upper: int = 1) -> Any:
    offset = 0 if k is None else int(plain(k).item())
    if x.dtype.kind != "f":
        return constant((np.triu if upper else np.tril)(plain(x), offset))
    return (mg.triu if upper else mg.tril)(x, offset)


@op("NonZero")
def _non_zero(x: Any) -> Any:
    return constant(np.array(np.nonzero(np.atleast_1d(plain(x))), np.int64))


@op("Compress")
def _compress(x: Any, condition: Any, *, axis: int | None = None) -> Any:
    taken = np.flatnonzero(plain(condition))
    if axis is None:
        return mg.reshape(x, (x.size,))[taken]
    return x[(*[slice(None)] * (axis % x.ndim), taken)]


@op("Unique")
def _unique(x: Any, *, axis: int | None = None, sorted: int = 1) -> Any:
    a = plain(x)
    values, first, inverse, counts = np.unique(
        a, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.ravel()
    if not sorted:
        order = np.argsort(first)
        values = np.take(values, order, axis or 0)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [constant(values), *[constant(v, np.int64) for v in (first, inverse, counts)]]


@op("ReverseSequence")
def _reverse_sequence(x: Any, lens: Any, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    batch, time = x.shape[batch_axis], x.shape[time_axis]
    places = np.tile(np.arange(time), (batch, 1))
    for i, n in enumerate(whole(lens)):
        places[i, :n] = places[i, :n][::-1]
    rows = np.arange(batch)[:, None]
    turned = x if batch_axis == 0 else mg.swapaxes(x, 0, 1)
    found = turned[rows, places]
    return found if batch_axis == 0 else mg.swapaxes(found, 0, 1)


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
    def call(size: Any, *, output_datatype: int = 1, periodic: int = 1) -> Any:
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
def _top_k(x: Any, k: Any, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    a, n = plain(x), int(plain(k).ravel()[0])
    if not 0 <= n <= a.shape[axis]:
        raise ValueError(f"TopK: {n} of an axis of {a.shape[axis]}")
    if largest:  # of equal ones, the first comes first
        order = np.flip(a.shape[axis] - 1 - np.argsort(np.flip(a, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(a, axis, kind="stable")
    order = np.take(order, np.arange(n), axis)
    return x[_along(order, axis)], constant(order, np.int64)


@op("TensorScatter")
def _tensor_scatter(
    past: Any, update: Any, at: Any = None, *, axis: int = -2, mode: str = "linear"
) -> Any:
    axis %= past.ndim
    steps = update.shape[axis]
    start = np.zeros(past.shape[0], np.int64) if at is None else plain(at)
    places = start.reshape((-1,) + (1,) * (past.ndim - 1)) + np.arange(steps).reshape(
        [-1 if i == axis else 1 for i in range(past.ndim)]
    )
    places = places % past.shape[axis] if mode == "circular" else places
    index = _along(np.broadcast_to(places, update.shape), axis)
    return _scattered(past, index, update, "none")


# -- reductions ------------------------------------------------------------------------------------


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(
        x: Any, given: Any = None, *, axes: list[int] | None = None, keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Any:  # fmt: skip
        chosen = axes if given is None else whole(given)
        if not chosen:
            if noop_with_empty_axes:
                return function(x, (), bool(keepdims)) if function in _ALWAYS else x
            chosen = list(range(x.ndim))
        return like(function(x, tuple(chosen), bool(keepdims)), x)

    return call


def _sum(x: Any, axes: Any, keep: bool) -> Any:
    if x.dtype.kind == "f":
        return mg.sum(x, axis=axes, keepdims=keep)
    return constant(np.sum(plain(x), axis=axes, keepdims=keep, dtype=x.dtype))


def _extreme(smooth: Any, numpy: Any, highest: bool) -> Callable[..., Any]:
    def call(x: Any, axes: Any, keep: bool) -> Any:
        if x.dtype.kind == "f" and x.size:
            return smooth(x, axis=axes, keepdims=keep)
        if x.dtype.kind == "f":
            start: Any = -math.inf if highest else math.inf
        elif x.dtype.kind == "b":
            start = not highest
        else:
            start = np.iinfo(x.dtype).min if highest else np.iinfo(x.dtype).max
        return constant(numpy(plain(x), axis=axes, keepdims=keep, initial=start))

    return call


def _l2(x: Any, axes: Any, keep: bool) -> Any:
    return (
        mg.sqrt(_sum(x * x, axes, keep))
        if x.dtype.kind == "f"
        else constant(np.sqrt(np.sum(plain(x) * plain(x), axis=axes, keepdims=keep)), x.dtype)
    )


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": _sum, "ReduceL2": _l2,
    "ReduceMean": lambda x, a, k: mg.mean(x, axis=a, keepdims=k),
    "ReduceProd": lambda x, a, k: mg.prod(x, axis=a, keepdims=k),
    "ReduceMax": _extreme(mg.max, np.max, True), "ReduceMin": _extreme(mg.min, np.min, False),
    "ReduceL1": lambda x, a, k: _sum(abs(x), a, k),
    "ReduceSumSquare": lambda x, a, k: _sum(x * x, a, k),
    "ReduceLogSum": lambda x, a, k: mg.log(_sum(x, a, k)),
    "ReduceLogSumExp": lambda x, a, k: mg.logsumexp(x, axis=a, keepdims=k),
}  # fmt: skip
#: Those that change an element also where nothing is reduced.
_ALWAYS = {_REDUCTIONS[n] for n in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum")}
OPERATIONS.update({name: _reduction(function) for name, function in _REDUCTIONS.items()})


def _arg(function: Any) -> Callable[..., Any]:
    def call(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        a = plain(x)
        if select_last_index:
            found = a.shape[axis] - 1 - function(np.flip(a, axis), axis=axis)
        else:
            found = function(a, axis=axis)
        return constant(np.expand_dims(found, axis) if keepdims else found, np.int64)

    return call


OPERATIONS.update({"ArgMax": _arg(np.argmax), "ArgMin": _arg(np.argmin)})


@op("CumSum")
def _cumsum(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    return _cumulative(
        x, axis, exclusive, reverse, mg.cumsum if x.dtype.kind == "f" else np.cumsum, 0
    )


@op("CumProd")
def _cumprod(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    return _cumulative(
        x, axis, exclusive, reverse, mg.cumprod if x.dtype.kind == "f" else np.cumprod, 1
    )


def _cumulative(x: Any, axis: Any, exclusive: int, reverse: int, function: Any, start: int) -> Any:
    a = int(plain(axis).item())
    floating = x.dtype.kind == "f"
    y = x if floating else plain(x)
    y = mg.flip(y, a) if reverse and floating else np.flip(y, a) if reverse else y
    if exclusive:
        first = [slice(None)] * x.ndim
        first[a] = slice(0, -1)
        shape = tuple(1 if i == a % x.ndim else n for i, n in enumerate(x.shape))
        ones = np.full(shape, start, x.dtype)
        y = (mg if floating else np).concatenate([ones, y[tuple(first)]], axis=a)
    y = function(y, axis=a)
    y = mg.flip(y, a) if reverse and floating else np.flip(y, a) if reverse else y
    return y if floating else constant(y, x.dtype)


@op("Einsum")
def _einsum(*x: Any, equation: str) -> Any:
    if x[0].dtype.kind != "f":
        return constant(np.einsum(equation.replace(" ", ""), *map(plain, x)), x[0].dtype)
    return mg.einsum(equation.replace(" ", ""), *x)


@op("Gemm")
def _gemm(
    a: Any, b: Any, c: Any = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
    transB: int = 0,
) -> Any:  # fmt: skip
    plain_layer = not transA and transB and alpha == beta == 1.0 and a.dtype.kind == "f"
    if plain_layer and c is not None and c.shape == b.shape[:1]:
        return F.linear(a, b, c)
    found = mg.matmul(a.T if transA else a, b.T if transB else b)
    found = found if alpha == 1.0 else found * alpha
    if c is not None:
        found = found + (c if beta == 1.0 else c * beta)
    return like(found, a)


# -- convolution and pooling -----------------------------------------------------------------------


def _geometry(
    size: Sequence[int], kernel: Sequence[int], strides: Any, dilations: Any, pads: Any,
    auto_pad: str, ceil_mode: int = 0,
) -> tuple[list[int], list[int], list[tuple[int, int]], list[int]]:  # fmt: skip
    """Strides, dilations, pads and output lengths on each axis."""
    rank = len(kernel)
    steps, gaps = list(strides or [1] * rank), list(dilations or [1] * rank)
    if len(steps) != rank or len(gaps) != rank or min(steps + gaps + list(kernel), default=1) < 1:
        raise ValueError(f"strides {steps} and dilations {gaps} do not fit a kernel {list(kernel)}")
    around: list[tuple[int, int]]
    reached = [d * (k - 1) + 1 for k, d in zip(kernel, gaps, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        around = []
        for n, r, s in zip(size, reached, steps, strict=True):
            total = max((-(-n // s) - 1) * s + r - n, 0)
            small, large = total // 2, total - total // 2
            around.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    elif auto_pad == "VALID" or pads is None:
        around = [(0, 0)] * rank
    else:
        around = [(pads[i], pads[rank + i]) for i in range(rank)]
    padded = room([n + i + j for n, (i, j) in zip(size, around, strict=True)])
    if len(size) != rank or any(r > n for r, n in zip(reached, padded, strict=True)):
        raise ValueError(f"a kernel {list(kernel)} does not fit an input of {list(padded)}")
    out = []
    for n, r, s, (i, j) in zip(size, reached, steps, around, strict=True):
        room_ = n + i + j - r
        count = (-(-room_ // s) if ceil_mode else room_ // s) + 1
        if ceil_mode and (count - 1) * s >= n + i:
            count -= 1
        out.append(count)
    return steps, gaps, around, out


@op("Conv")
def _conv(
    x: Any, w: Any, b: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    kernel = w.shape[2:]
    steps, gaps, around, _ = _geometry(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    if len(kernel) == 1:
        found = F.conv2d(
            x[:, :, None], w[:, :, None], b, (1, steps[0]), ((0, 0), around[0]), (1, gaps[0]), group
        )
        return found[:, :, 0]
    if len(kernel) == 2:
        return F.conv2d(
            x, w, b, (steps[0], steps[1]), (around[0], around[1]), (gaps[0], gaps[1]), group
        )
    return _conv_any(x, w, b, steps, gaps, around, group)


def _conv_any(x: Any, w: Any, b: Any, steps: Any, gaps: Any, around: Any, group: int) -> Any:
    """Convolution over any number of axes: a product for each place in the kernel."""
    x = mg.pad(x, [(0, 0), (0, 0), *around])
    kernel = w.shape[2:]
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, d, s in zip(x.shape[2:], kernel, gaps, steps, strict=True)
    ]
    room([x.shape[0], w.shape[0], *out])
    n, c = x.shape[:2]
    share = w.shape[0] // group
    total: Any = None
    for place in np.ndindex(*kernel):
        cut = tuple(
            slice(p * d, p * d + (o - 1) * s + 1, s)
            for p, d, o, s in zip(place, gaps, out, steps, strict=True)
        )
        part = mg.reshape(x[(slice(None), slice(None), *cut)], (n, group, c // group, -1))
        tap = mg.reshape(w[(slice(None), slice(None), *place)], (1, group, share, c // group))
        here = mg.matmul(tap, part)
        total = here if total is None else total + here
    found = mg.reshape(total, (n, w.shape[0], *out))
    return found if b is None else found + mg.reshape(b, (1, -1) + (1,) * len(out))


@op("ConvTranspose")
def _conv_transpose(
    x: Any, w: Any, b: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, output_padding: Any = None, output_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    kernel = w.shape[2:]
    rank = len(kernel)
    steps, gaps = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra = list(output_padding or [0] * rank)
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(x.shape[2:], steps, gaps, kernel, extra, strict=True)
    ]
    if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = list(output_shape or [n * s for n, s in zip(x.shape[2:], steps, strict=True)])
        wanted = wanted[-rank:]
        cuts = []
        for n, m in zip(full, wanted, strict=True):
            total = n - m
            small, large = total // 2, total - total // 2
            if total < 0:  # zeros at the end
                small, large = 0, total
            cuts.append((large, small) if auto_pad == "SAME_LOWER" else (small, large))
    else:
        cuts = [(0, 0)] * rank if pads is None or auto_pad == "VALID" else [
            (pads[i], pads[rank + i]) for i in range(rank)
        ]  # fmt: skip
    # Zeros between the elements, and a convolution with the kernel turned round.
    n, c = x.shape[:2]
    spread = x
    room([n, w.shape[1] * group, *[m + r for m, r in zip(full, kernel, strict=True)]])
    for axis, s in enumerate(steps, 2):
        if s > 1:
            wide = mg.expand_dims(spread, axis + 1)
            widths = [(0, 0)] * wide.ndim
            widths[axis + 1] = (0, s - 1)
            wide = mg.pad(wide, widths)
            shape = list(spread.shape)
            shape[axis] *= s
            wide = mg.reshape(wide, tuple(shape))
            keep = [slice(None)] * spread.ndim
            keep[axis] = slice(0, shape[axis] - s + 1)
            spread = wide[tuple(keep)]
    reached = [d * (k - 1) for k, d in zip(kernel, gaps, strict=True)]
    around = [(r - i, r - j + e) for r, (i, j), e in zip(reached, cuts, extra, strict=True)]
    share = w.shape[1]
    turned = mg.flip(w, tuple(range(2, 2 + rank)))
    turned = mg.reshape(turned, (group, c // group, share, *kernel))
    turned = mg.reshape(mg.swapaxes(turned, 1, 2), (group * share, c // group, *kernel))
    spread = _pad(spread, np.array([0, 0, *[i for i, _ in around], 0, 0, *[j for _, j in around]]))
    return _conv(spread, turned, b, group=group, dilations=gaps)


@op("DeformConv")
def _deform_conv(
    x: Any, w: Any, offset: Any, b: Any = None, mask: Any = None, *, dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, offset_group: int = 1, pads: Any = None,
    strides: Any = None,
) -> Any:  # fmt: skip
    kernel = w.shape[2:]
    steps, gaps, around, out = _geometry(x.shape[2:], kernel, strides, dilations, pads, "NOTSET")
    n, c, h, width = x.shape
    taps = math.prod(kernel)
    room([n, c, taps, *out])
    shift = mg.reshape(offset, (n, offset_group, taps, 2, *out))
    rows = (np.arange(out[0]) * steps[0] - around[0][0])[:, None]
    columns = (np.arange(out[1]) * steps[1] - around[1][0])[None]
    i, j = (np.array(v).reshape(taps, 1, 1) for v in zip(*np.ndindex(*kernel), strict=True))
    y = shift[:, :, :, 0] + (rows + i * gaps[0]).astype(x.dtype)
    z = shift[:, :, :, 1] + (columns + j * gaps[1]).astype(x.dtype)
    grouped = mg.reshape(x, (n * offset_group, c // offset_group, h, width))
    flat = [mg.reshape(v, (n * offset_group, taps, *out)) for v in (y, z)]
    taken = _bilinear(grouped, flat[0], flat[1])  # (n * og, c / og, taps, oh, ow)
    if mask is not None:
        taken = taken * mg.reshape(mask, (n * offset_group, 1, taps, *out))
    columns_ = mg.reshape(taken, (n, group, c // group * taps, math.prod(out)))
    weight = mg.reshape(w, (1, group, w.shape[0] // group, -1))
    found = mg.reshape(mg.matmul(weight, columns_), (n, w.shape[0], *out))
    return found if b is None else found + mg.reshape(b, (1, -1, 1, 1))


def _bilinear(x: Any, y: Any, z: Any) -> Any:
    """Images (N, C, H, W) at places y, z (N, ...), zero outside: (N, C, ...)."""
    n, _c, h, w = x.shape
    low_y, low_z = np.floor(plain(y)).astype(np.int64), np.floor(plain(z)).astype(np.int64)
    rows = np.arange(n).reshape((-1,) + (1,) * (y.ndim - 1))
    total: Any = 0.0
    turned = mg.moveaxis(x, 1, -1)
    for a in (0, 1):
        for b in (0, 1):
            i, j = low_y + a, low_z + b
            inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
            weight = (1.0 - abs(y - i.astype(x.dtype))) * (1.0 - abs(z - j.astype(x.dtype)))
            weight = mg.where(inside, weight, 0.0)
            taken = turned[rows, np.clip(i, 0, h - 1), np.clip(j, 0, w - 1)]
            total = total + taken * mg.expand_dims(weight, -1)
    return mg.moveaxis(total, -1, 1)


def _windows_of(
    x: Any, kernel: Any, steps: Any, gaps: Any, around: Any, out: Any, fill: float
) -> Any:
    """What each window covers: (N, C, *out, taps); ``fill`` where that is outside."""
    widths = [(0, 0), (0, 0)]
    for n, k, s, d, (i, j), o in zip(x.shape[2:], kernel, steps, gaps, around, out, strict=True):
        need = (o - 1) * s + d * (k - 1) + 1 - n - i
        widths.append((i, max(need, j, 0)))
    room([*x.shape[:2], *out, math.prod(kernel)])
    room([n + i + j for n, (i, j) in zip(x.shape, widths, strict=True)])
    x = mg.pad(x, widths, constant_values=fill)
    parts = []
    for place in np.ndindex(*kernel):
        cut = tuple(
            slice(p * d, p * d + (o - 1) * s + 1, s)
            for p, d, o, s in zip(place, gaps, out, steps, strict=True)
        )
        parts.append(x[(slice(None), slice(None), *cut)])
    return mg.stack(parts, axis=-1)


@op("MaxPool")
def _max_pool(
    x: Any, *, kernel_shape: list[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
    outputs: int = 1,
) -> Any:  # fmt: skip
    steps, gaps, around, out = _geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    simple = len(out) == 2 and not ceil_mode and x.dtype.kind == "f" and outputs == 1
    even = all(
        i == j and 2 * i <= d * (k - 1) + 1
        for (i, j), k, d in zip(around, kernel_shape, gaps, strict=True)
    )
    if simple and even:
        padding = (around[0][0], around[1][0])
        down, across = kernel_shape
        return F.max_pool2d(x, (down, across), (steps[0], steps[1]), padding, (gaps[0], gaps[1]))
    if x.dtype.kind == "f":
        windows = _windows_of(x, kernel_shape, steps, gaps, around, out, -math.inf)
        found = mg.max(windows, axis=-1)
    else:
        low = np.iinfo(x.dtype).min
        wide = _windows_of(x.astype(np.float64), kernel_shape, steps, gaps, around, out, low)
        windows = wide
        found = constant(plain(wide).max(-1), x.dtype)
    if outputs == 1:
        return found
    size = x.shape[2:]
    numbers = np.arange(math.prod(x.shape)).reshape(x.shape)
    if storage_order:
        flat = np.arange(math.prod(size)).reshape(size[::-1]).T
        numbers = flat + (np.arange(math.prod(x.shape[:2])) * math.prod(size)).reshape(
            *x.shape[:2], *[1] * len(size)
        )
    places = _windows_of(constant(numbers, np.float64), kernel_shape, steps, gaps, around, out, -1)
    best = plain(windows).argmax(-1)
    index = np.take_along_axis(plain(places), best[..., None], -1)[..., 0]
    return found, constant(index, np.int64)


@op("MaxUnpool")
def _max_unpool(
    x: Any, indices: Any, output_shape: Any = None, *, kernel_shape: list[int], pads: Any = None,
    strides: Any = None,
) -> Any:  # fmt: skip
    rank = len(kernel_shape)
    steps, around = strides or [1] * rank, pads or [0] * 2 * rank
    natural = [
        (n - 1) * s + k - around[i] - around[rank + i]
        for i, (n, s, k) in enumerate(zip(x.shape[2:], steps, kernel_shape, strict=True))
    ]
    inner = (*x.shape[:2], *natural)
    shape = inner if output_shape is None else tuple(whole(output_shape))
    room(shape)
    zeros = constant(np.zeros(shape, x.dtype))
    places = np.unravel_index(plain(indices), inner)
    return _scattered(zeros, places, x, "none")


@op("AveragePool")
def _average_pool(
    x: Any, *, kernel_shape: list[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    steps, gaps, around, out = _geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if count_include_pad:
        ones = np.pad(ones, [(0, 0), (0, 0), *around], constant_values=1)
        inside: list[tuple[int, int]] = [(0, 0)] * len(out)
    else:
        inside = around
    counts = plain(_windows_of(constant(ones), kernel_shape, steps, gaps, inside, out, 0.0)).sum(-1)
    windows = _windows_of(x, kernel_shape, steps, gaps, around, out, 0.0)
    return like(mg.sum(windows, axis=-1) / counts, x)


@op("LpPool")
def _lp_pool(
    x: Any, *, kernel_shape: list[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, p: int = 2, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    steps, gaps, around, out = _geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    windows = _windows_of(x, kernel_shape, steps, gaps, around, out, 0.0)
    return like(mg.sum(abs(windows) ** p, axis=-1) ** (1.0 / p), x)


def _inner(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


OPERATIONS.update({
    "GlobalAveragePool": lambda x: mg.mean(x, axis=_inner(x), keepdims=True),
    "GlobalMaxPool": lambda x: mg.max(x, axis=_inner(x), keepdims=True),
})  # fmt: skip


@op("GlobalLpPool")
def _global_lp_pool(x: Any, *, p: int = 2) -> Any:
    return mg.sum(abs(x) ** p, axis=_inner(x), keepdims=True) ** (1.0 / p)


@op("Col2Im")
def _col2im(
    x: Any, image_shape: Any, block_shape: Any, *, dilations: Any = None, pads: Any = None,
    strides: Any = None,
) -> Any:  # fmt: skip
    image, block = whole(image_shape), whole(block_shape)
    steps, gaps, around, out = _geometry(image, block, strides, dilations, pads, "NOTSET")
    n, rows = x.shape[:2]
    c = rows // math.prod(block)
    if not c:
        raise ValueError(f"Col2Im: blocks of {block} need more than {rows} rows")
    frame = room([n, c, *[m + i + j for m, (i, j) in zip(image, around, strict=True)]])
    numbers = np.arange(math.prod(frame)).reshape(frame)
    places = []
    for place in np.ndindex(*block):
        cut = tuple(
            slice(p * d, p * d + (o - 1) * s + 1, s)
            for p, d, o, s in zip(place, gaps, out, steps, strict=True)
        )
        places.append(numbers[(slice(None), slice(None), *cut)].reshape(n, c, -1))
    index = np.stack(places, axis=2).reshape(x.shape)
    zeros = constant(np.zeros(math.prod(frame), x.dtype))
    added = mg.reshape(_scattered(zeros, (index,), x, "add"), frame)
    crop = tuple(slice(i, i + m) for m, (i, _) in zip(image, around, strict=True))
    return added[(slice(None), slice(None), *crop)]


# -- normalisation ---------------------------------------------------------------------------------


def _per_channel(v: Any, x: Any) -> Any:
    return mg.reshape(v, (1, -1) + (1,) * (x.ndim - 2))


def _normal(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    off = x - mg.mean(x, axis=axes, keepdims=True)
    return off / mg.sqrt(mg.mean(off * off, axis=axes, keepdims=True) + epsilon)


@op("BatchNormalization")
def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, var: Any, *, epsilon: float = 1e-5,
    momentum: float = 0.9, training_mode: int = 0,
) -> Any:  # fmt: skip
    if not training_mode:
        if x.dtype == scale.dtype == mean.dtype and x.ndim >= 2:
            return F.batch_norm(x, mean, var, scale, bias, eps=epsilon)
        spread = mg.sqrt(_per_channel(var, x) + epsilon)
        normal = (x - _per_channel(mean, x)) / spread
        return like(normal * _per_channel(scale, x) + _per_channel(bias, x), x)
    axes = (0, *range(2, x.ndim))
    a = plain(x)
    now, spread = a.mean(axes), a.var(axes)
    found = _normal(x, axes, epsilon) * _per_channel(scale, x) + _per_channel(bias, x)
    running = [
        constant(plain(old) * momentum + new * (1 - momentum), old.dtype)
        for old, new in ((mean, now), (var, spread))
    ]
    return [like(found, x), *running]


@op("InstanceNormalization")
def _instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    return like(_normal(x, _inner(x), epsilon) * _per_channel(scale, x) + _per_channel(bias, x), x)


@op("GroupNormalization")
def _group_norm(
    x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1,
    opset: int = 21,
) -> Any:  # fmt: skip
    if opset >= 21:
        return like(F.group_norm(x, num_groups, scale, bias, epsilon), x)
    # Before, scale and bias were those of groups.
    shape = (x.shape[0], num_groups, -1)
    y = _normal(mg.reshape(x, shape), (2,), epsilon)
    y = y * mg.reshape(scale, (1, -1, 1)) + mg.reshape(bias, (1, -1, 1))
    return mg.reshape(y, x.shape)


@op("LayerNormalization")
def _layer_norm(
    x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1, outputs: int = 1,
) -> Any:  # fmt: skip
    first = axis % x.ndim
    axes = tuple(range(first, x.ndim))
    if (
        outputs == 1
        and scale.shape == x.shape[first:]
        and (bias is None or bias.shape == scale.shape)
    ):
        return like(F.layer_norm(x, x.shape[first:], scale, bias, epsilon), x)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    mean = mg.mean(wide, axis=axes, keepdims=True)
    off = wide - mean
    inverse = 1.0 / mg.sqrt(mg.mean(off * off, axis=axes, keepdims=True) + epsilon)
    found = like(off * inverse, x) * scale
    return [like(found if bias is None else found + bias, x), mean, inverse]


@op("RMSNormalization")
def _rms_norm(
    x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    normal = wide / mg.sqrt(mg.mean(wide * wide, axis=axes, keepdims=True) + epsilon)
    return like(like(normal, x) * scale, scale)


@op("MeanVarianceNormalization")
def _mvn(x: Any, *, axes: Sequence[int] = (0, 2, 3)) -> Any:
    off = x - mg.mean(x, axis=tuple(axes), keepdims=True)
    return off / (mg.sqrt(mg.mean(off * off, axis=tuple(axes), keepdims=True)) + 1e-9)


@op("LpNormalization")
def _lp_norm(x: Any, *, axis: int = -1, p: int = 2) -> Any:
    size = (
        mg.sum(abs(x), axis=axis, keepdims=True)
        if p == 1
        else mg.sqrt(mg.sum(x * x, axis=axis, keepdims=True))
    )
    zero = plain(size) == 0
    return mg.where(zero, 0.0, x / mg.where(zero, 1.0, size))


@op("LRN")
def _lrn(x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    n = x.shape[1]
    band = np.zeros((n, n), x.dtype)
    for i in range(n):
        band[i, max(0, i - (size - 1) // 2) : i + -(-(size - 1) // 2) + 1] = 1
    flat = mg.reshape(x * x, (x.shape[0], n, -1))
    total = mg.reshape(mg.matmul(constant(band), flat), x.shape)
    return x / (bias + alpha / size * total) ** beta


@op("Dropout")
def _dropout(
    x: Any, ratio: Any = None, training_mode: Any = None, *, seed: int | None = None,
    outputs: int = 1,
) -> Any:  # fmt: skip
    kept = np.ones(x.shape, bool)
    share = 0.5 if ratio is None else float(plain(ratio).item())
    if training_mode is not None and plain(training_mode).item() and share:
        # A seed in a file is one of NumPy's older generator.
        rng: Any = default_generator() if seed is None else np.random.RandomState(seed)
        kept = rng.uniform(size=x.shape) >= share
        x = like(mg.where(kept, x, 0.0) * (1.0 / (1.0 - share) if share < 1 else 0.0), x)
    return [x, constant(kept)][:outputs]


# -- losses ----------------------------------------------------------------------------------------


def _nll(x: Any, target: Any, weight: Any, ignore_index: int | None, reduction: str) -> Any:
    t = plain(target)
    ignored = np.zeros(t.shape, bool) if ignore_index is None else t == ignore_index
    safe = np.where(ignored, 0, t)
    index = _along(np.expand_dims(safe, 1), 1)
    taken = -mg.squeeze(x[index], axis=1)
    w = constant(np.ones(x.shape[1], x.dtype)) if weight is None else weight
    share = mg.where(ignored, 0.0, w[safe]).astype(x.dtype)
    losses = taken * share
    if reduction == "none":
        return losses
    total = mg.sum(losses)
    return total if reduction == "sum" else total / mg.sum(share)


@op("NegativeLogLikelihoodLoss")
def _nll_loss(
    x: Any, target: Any, weight: Any = None, *, ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    return _nll(x, target, weight, ignore_index, reduction)


@op("SoftmaxCrossEntropyLoss")
def _cross_entropy(
    x: Any, target: Any, weight: Any = None, *, ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    log_p = F.log_softmax(x, 1)
    return _nll(log_p, target, weight, ignore_index, reduction), log_p


# -- images ----------------------------------------------------------------------------------------


def _cubic(t: Any, a: float) -> Any:
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _resize_matrix(
    n: int, m: int, scale: float, mode: str, place: str, nearest: str, a: float, antialias: bool,
    exclude: bool, roi: tuple[float, float], outside: float,
) -> tuple[Any, Any]:  # fmt: skip
    """The weights (m, n) of one axis, and where a new element lies outside the old ones."""
    i = np.arange(m, dtype=np.float64)
    if place == "half_pixel":
        at = (i + 0.5) / scale - 0.5
    elif place == "half_pixel_symmetric":
        adjust = m / (scale * n)
        at = n / 2 * (1 - adjust) + (i + 0.5) / scale - 0.5
    elif place == "pytorch_half_pixel":
        at = (i + 0.5) / scale - 0.5 if m > 1 else np.zeros(m)
    elif place == "align_corners":
        at = i * ((n - 1) / (scale * n - 1)) if m > 1 else np.zeros(m)
    elif place == "asymmetric":
        at = i / scale
    elif place == "tf_crop_and_resize":
        start, end = roi
        at = (
            start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
            if m > 1
            else np.full(m, 0.5 * (start + end) * (n - 1))
        )
    else:
        raise ValueError(f"Resize: unknown coordinate_transformation_mode {place!r}")
    gone = (at < 0) | (at > n - 1) if place == "tf_crop_and_resize" else np.zeros(m, bool)
    if mode == "nearest":
        ways: dict[str, Callable[[Any], Any]] = {
            "round_prefer_floor": lambda v: np.ceil(v - 0.5),
            "round_prefer_ceil": lambda v: np.floor(v + 0.5), "floor": np.floor, "ceil": np.ceil,
        }  # fmt: skip
        if nearest not in ways:
            raise ValueError(f"Resize: unknown nearest_mode {nearest!r}")
        taken = np.clip(ways[nearest](at), 0, n - 1).astype(int)
        return np.eye(n)[taken], gone
    shrink = min(scale, 1.0) if antialias else 1.0
    radius = (1.0 if mode == "linear" else 2.0) / shrink
    count = 2 * int(np.ceil(radius)) + 1
    base = np.floor(at).astype(int)
    matrix = np.zeros((m, n))
    places = base[:, None] + np.arange(-count, count + 1)
    t = (places - at[:, None]) * shrink
    weights = np.maximum(1 - np.abs(t), 0) if mode == "linear" else _cubic(t, a)
    if exclude:
        weights = np.where((places < 0) | (places >= n), 0.0, weights)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    rows = np.repeat(np.arange(m), places.shape[1])
    np.add.at(matrix, (rows, np.clip(places, 0, n - 1).ravel()), weights.ravel())
    return matrix, gone


@op("Resize")
def _resize(
    x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, *, antialias: int = 0,
    axes: list[int] | None = None, coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Any:  # fmt: skip
    if mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"Resize: unknown mode {mode!r}")
    along = list(range(x.ndim)) if axes is None else [a % x.ndim for a in axes]
    old = [x.shape[a] for a in along]
    if scales is not None and scales.size:
        factors = [float(v) for v in plain(scales)]
        new = [math.floor(n * f) for n, f in zip(old, factors, strict=True)]
    else:
        new = whole(sizes)
        factors = [m / n if n else 1.0 for n, m in zip(old, new, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            choose = min if keep_aspect_ratio_policy == "not_larger" else max
            factor = choose(factors)
            factors = [factor] * len(old)
            new = [math.floor(n * factor + 0.5) for n in old]
    shape = list(x.shape)
    for a, m in zip(along, new, strict=True):
        shape[a] = m
    room(shape)
    corners = None if roi is None or not roi.size else [float(v) for v in plain(roi)]
    found, outside = x, np.zeros((1,) * x.ndim, bool)
    for k, (a, n, m, f) in enumerate(zip(along, old, new, factors, strict=True)):
        part = (0.0, 1.0) if corners is None else (corners[k], corners[len(old) + k])
        if n == m and f == 1.0 and coordinate_transformation_mode != "tf_crop_and_resize":
            continue
        room([m, n])
        matrix, gone = _resize_matrix(
            n, m, f, mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a,
            bool(antialias), bool(exclude_outside), part, extrapolation_value,
        )  # fmt: skip
        outside = outside | gone.reshape([-1 if i == a else 1 for i in range(x.ndim)])
        if mode == "nearest":
            found = found[(*[slice(None)] * a, matrix.argmax(1))]
        else:
            turned = mg.moveaxis(found, a, -1)
            kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
            found = mg.moveaxis(mg.matmul(turned, constant(matrix.T.astype(kind))), -1, a)
    if outside.any():
        found = mg.where(outside, extrapolation_value, found)
    return like(found, x)


@op("AffineGrid")
def _affine_grid(theta: Any, size: Any, *, align_corners: int = 0) -> Any:
    n, _, *inner = whole(size)
    room([n, *inner, len(inner)])
    lines = []
    for m in inner:
        line = (
            np.linspace(-1, 1, m)
            if align_corners and m > 1
            else np.zeros(m)
            if align_corners
            else ((np.arange(m) * 2 + 1) / m - 1)
        )
        lines.append(line)
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(inner)], -1)
    flat = constant(grid.reshape(-1, len(inner) + 1).astype(theta.dtype))
    found = mg.matmul(flat, mg.swapaxes(theta, 1, 2))
    return mg.reshape(found, (n, *inner, len(inner)))


@op("GridSample")
def _grid_sample(
    x: Any, grid: Any, *, align_corners: int = 0, mode: str = "linear",
    padding_mode: str = "zeros",
) -> Any:  # fmt: skip
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if mode not in ("linear", "nearest", "cubic") or padding_mode not in (
        "zeros",
        "border",
        "reflection",
    ):
        raise ValueError(f"GridSample: unknown mode {mode!r} or padding {padding_mode!r}")
    size = x.shape[2:]
    rank = len(size)
    places = []
    for k, n in enumerate(size):
        g = grid[..., rank - 1 - k]
        at = (g + 1.0) * ((n - 1) / 2.0) if align_corners else ((g + 1.0) * float(n) - 1.0) * 0.5
        places.append(at)
    if mode != "cubic":
        places = [
            _confined(p, n, padding_mode, bool(align_corners))
            for p, n in zip(places, size, strict=True)
        ]
    taps = {"nearest": [0], "linear": [0, 1], "cubic": [-1, 0, 1, 2]}[mode]
    low = [
        (np.rint(plain(p)) if mode == "nearest" else np.floor(plain(p))).astype(np.int64)
        for p in places
    ]
    turned = mg.moveaxis(x, 1, -1)
    rows = np.arange(x.shape[0]).reshape((-1,) + (1,) * (grid.ndim - 2))
    total: Any = 0.0
    for tap in np.ndindex(*[len(taps)] * rank):
        weight: Any = 1.0
        index = []
        inside = np.ones(low[0].shape, bool)
        for t, i, p, n in zip(tap, low, places, size, strict=True):
            j = i + taps[t]
            if mode == "linear":
                weight = weight * (1.0 - abs(p - j.astype(x.dtype)))
            elif mode == "cubic":
                weight = weight * _smooth_cubic(p - j.astype(x.dtype))
                if padding_mode != "zeros":
                    j = np.rint(
                        plain(
                            _confined(constant(j, np.float64), n, padding_mode, bool(align_corners))
                        )
                    ).astype(int)
            inside &= (j >= 0) & (j < n)
            index.append(np.clip(j, 0, n - 1))
        taken = turned[(rows, *index)]
        kept = (
            mg.where(inside, weight, 0.0) if mode != "nearest" else constant(inside.astype(x.dtype))
        )
        total = total + taken * mg.expand_dims(kept, -1)
    return like(mg.moveaxis(total, -1, 1), x)


def _smooth_cubic(t: Any, a: float = -0.75) -> Any:
    t = abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1.0
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return mg.where(t <= 1, near, mg.where(t < 2, far, 0.0))


def _confined(p: Any, n: int, how: str, align: bool) -> Any:
    """Places on an axis of n elements, brought into it."""
    if how == "border":
        return mg.clip(p, 0.0, float(n - 1))
    if how == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        span = high - low
        if span <= 0:
            return p * 0.0
        off = abs(p - low)
        turns = np.floor(plain(off) / span)
        rest = off - turns * span
        p = mg.where(turns % 2 == 0, rest + low, high - rest)
        return mg.clip(p, 0.0, float(n - 1)) if not align else p
    return p


@op("RoiAlign")
def _roi_align(
    x: Any, rois: Any, batch: Any, *, coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg", output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Any:  # fmt: skip
    _n, c, h, w = x.shape
    shift = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    found = []
    for box, b in zip(plain(rois).astype(np.float64), whole(batch), strict=True):
        x1, y1, x2, y2 = box * spatial_scale - shift
        width, height = x2 - x1, y2 - y1
        if not shift:
            width, height = max(width, 1.0), max(height, 1.0)
        sizes = (height / output_height, width / output_width)
        counts = [sampling_ratio or max(math.ceil(s), 1) for s in sizes]
        room([output_height, output_width, *counts, c])
        ys = y1 + sizes[0] * (np.arange(output_height * counts[0]) + 0.5) / counts[0]
        xs = x1 + sizes[1] * (np.arange(output_width * counts[1]) + 0.5) / counts[1]
        rows, row_low, row_high = _line(ys, h)
        columns, column_low, column_high = _line(xs, w)
        del row_low, row_high, column_low, column_high
        image = x[b]
        kind = x.dtype
        if mode == "avg":
            sampled = mg.matmul(
                mg.matmul(constant(rows.astype(kind)), image), constant(columns.T.astype(kind))
            )
            grid = mg.reshape(sampled, (c, output_height, counts[0], output_width, counts[1]))
            found.append(mg.mean(grid, axis=(2, 4)))
        else:  # the largest of the weighed corners of each sample
            parts = []
            for i, u in _corners(ys, h):
                for j, v in _corners(xs, w):
                    parts.append(image[:, i[:, None], j] * (u[:, None] * v).astype(kind))
            best = mg.max(mg.stack(parts), axis=0)
            grid = mg.reshape(best, (c, output_height, counts[0], output_width, counts[1]))
            found.append(mg.max(grid, axis=(2, 4)))
    return (
        mg.stack(found)
        if found
        else constant(np.zeros((0, c, output_height, output_width), x.dtype))
    )


def _corners(at: Any, n: int) -> list[tuple[Any, Any]]:
    gone = (at < -1) | (at > n)
    at = np.maximum(at, 0)
    low = np.minimum(at.astype(int), n - 1)
    high = np.minimum(low + 1, n - 1)
    at = np.where(low >= n - 1, low, at)
    far = at - low
    return [(low, np.where(gone, 0.0, 1 - far)), (high, np.where(gone, 0.0, far))]


def _line(at: Any, n: int) -> tuple[Any, Any, Any]:
    """The weights (places, n) of linear interpolation, none far outside."""
    matrix = np.zeros((len(at), n))
    for index, weight in _corners(at, n):
        np.add.at(matrix, (np.arange(len(at)), index), weight)
    return matrix, None, None


@op("NonMaxSuppression")
def _non_max_suppression(
    boxes: Any, scores: Any, most: Any = None, iou: Any = None, least: Any = None, *,
    center_point_box: int = 0,
) -> Any:  # fmt: skip
    limit = 0 if most is None else int(plain(most).ravel()[0])
    overlap = 0.0 if iou is None else float(plain(iou).ravel()[0])
    lowest = -math.inf if least is None else float(plain(least).ravel()[0])
    b, s = plain(boxes).astype(np.float64), plain(scores)
    if center_point_box:
        x, y, w, h = np.moveaxis(b, -1, 0)
        b = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    top, bottom = np.minimum(b[..., 0], b[..., 2]), np.maximum(b[..., 0], b[..., 2])
    left, right = np.minimum(b[..., 1], b[..., 3]), np.maximum(b[..., 1], b[..., 3])
    area = (bottom - top) * (right - left)
    found = []
    for n in range(s.shape[0]):
        for c in range(s.shape[1]):
            order = [i for i in np.argsort(-s[n, c], kind="stable") if s[n, c, i] > lowest]
            kept: list[int] = []
            for i in order:
                if len(kept) >= limit:
                    break
                high = np.minimum(bottom[n, kept], bottom[n, i]) - np.maximum(
                    top[n, kept], top[n, i]
                )
                wide = np.minimum(right[n, kept], right[n, i]) - np.maximum(
                    left[n, kept], left[n, i]
                )
                shared = np.maximum(high, 0) * np.maximum(wide, 0)
                union = area[n, kept] + area[n, i] - shared
                if not np.any(shared > overlap * union):
                    kept.append(int(i))
            found += [(n, c, i) for i in kept]
    return constant(np.array(found, np.int64).reshape(-1, 3))


# -- sequences -------------------------------------------------------------------------------------


def _activation(name: str, alpha: float | None, beta: float | None) -> Callable[[Any], Any]:
    def given(default: float, value: float | None) -> float:
        return default if value is None else value

    ways: dict[str, Callable[[Any], Any]] = {
        "relu": F.relu, "tanh": mg.tanh, "sigmoid": F.sigmoid, "softplus": F.softplus,
        "softsign": lambda x: x / (1.0 + abs(x)),
        "leakyrelu": lambda x: F.leaky_relu(x, given(0.01, alpha)),
        "elu": lambda x: F.elu(x, given(1.0, alpha)),
        "thresholdedrelu": lambda x: mg.where(x > given(1.0, alpha), x, 0.0),
        "hardsigmoid": lambda x: _hard_sigmoid(x, given(0.2, alpha), given(0.5, beta)),
        "affine": lambda x: x * given(1.0, alpha) + given(0.0, beta),
        "scaledtanh": lambda x: given(1.0, alpha) * mg.tanh(x * given(1.0, beta)),
    }  # fmt: skip
    if name.lower() not in ways:
        raise ValueError(f"unknown activation {name!r}")
    return ways[name.lower()]


def _recurrent(
    kind: str, x: Any, w: Any, r: Any, b: Any, lens: Any, states: list[Any], peephole: Any,
    settings: dict[str, Any],
) -> list[Any]:  # fmt: skip
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    default = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
    direction, layout = settings["direction"], settings["layout"]
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"{kind}: unknown direction {direction!r}")
    ends = 2 if direction == "bidirectional" else 1
    size = r.shape[-1]
    if r.shape != (ends, gates * size, size) or w.shape[:2] != (ends, gates * size):
        raise ValueError(f"{kind}: weights of shape {w.shape} and {r.shape} do not fit {direction}")
    names = settings["activations"] or default[kind] * ends
    alphas, betas = (
        list(settings["activation_alpha"] or []),
        list(settings["activation_beta"] or []),
    )
    given = [
        _activation(n, alphas[i] if i < len(alphas) else None, betas[i] if i < len(betas) else None)
        for i, n in enumerate(names)
    ]
    each = len(default[kind])
    if len(given) != each * ends:
        raise ValueError(f"{kind}: expected {each * ends} activations, got {len(given)}")
    if layout:
        x = mg.swapaxes(x, 0, 1)
        states = [None if s is None else mg.swapaxes(s, 0, 1) for s in states]
    steps, batch = x.shape[:2]
    lengths = None if lens is None else plain(lens)
    clip = settings["clip"]
    outputs, lasts = [], []
    for d in range(ends):
        reverse = direction == "reverse" or d == 1
        act = given[each * d : each * (d + 1)]
        zeros = constant(np.zeros((batch, size), x.dtype))
        now = [zeros if s is None else s[d] for s in states]
        bias = None if b is None else (b[d][: gates * size], b[d][gates * size :])
        hidden: list[Any] = [zeros] * steps
        into = mg.matmul(x, w[d].T)
        into = into if bias is None else into + bias[0]
        for t in range(steps - 1, -1, -1) if reverse else range(steps):
            new = _step(
                kind, into[t], now, r[d], None if bias is None else bias[1],
                None if peephole is None else peephole[d], act, clip, settings,
            )  # fmt: skip
            if lengths is None:
                hidden[t], now = new[0], new
            else:
                alive = (t < lengths)[:, None]
                hidden[t] = mg.where(alive, new[0], 0.0)
                now = [mg.where(alive, a, o) for a, o in zip(new, now, strict=True)]
        outputs.append(mg.stack(hidden))
        lasts.append(now)
    y = mg.stack(outputs, axis=1)
    last = [mg.stack([one[i] for one in lasts]) for i in range(len(states))]
    if layout:
        y = mg.transpose(y, (2, 0, 1, 3))
        last = [mg.swapaxes(s, 0, 1) for s in last]
    return [y, *last]


def _step(
    kind: str, x: Any, now: list[Any], r: Any, bias: Any, peephole: Any, act: Any,
    clip: float | None, settings: dict[str, Any],
) -> list[Any]:  # fmt: skip
    def limited(v: Any) -> Any:
        return v if clip is None else mg.clip(v, -clip, clip)

    h = now[0]
    size = h.shape[-1]

    def part(v: Any, i: int) -> Any:
        return v[..., i * size : (i + 1) * size]

    if kind == "GRU":
        after = bool(settings["linear_before_reset"])
        whole_ = mg.matmul(h, r.T[:, : 3 * size if after else 2 * size])
        if bias is not None:
            whole_ = whole_ + (bias if after else bias[: 2 * size])
        z = act[0](limited(part(x, 0) + part(whole_, 0)))
        reset = act[0](limited(part(x, 1) + part(whole_, 1)))
        if after:
            mixed = reset * part(whole_, 2)
        else:
            mixed = mg.matmul(reset * h, r.T[:, 2 * size :])
            mixed = mixed if bias is None else mixed + bias[2 * size :]
        n = act[1](limited(part(x, 2) + mixed))
        return [(1.0 - z) * n + z * h]
    total = x + mg.matmul(h, r.T)
    total = total if bias is None else total + bias
    if kind == "RNN":
        return [act[0](limited(total))]
    c = now[1]
    i, o, f, g = (part(total, k) for k in range(4))
    if peephole is not None:
        i, f = i + part(peephole, 0) * c, f + part(peephole, 2) * c
    i = act[0](limited(i))
    f = 1.0 - i if settings["input_forget"] else act[0](limited(f))
    new = f * c + i * act[1](limited(g))
    if peephole is not None:
        o = o + part(peephole, 1) * new
    return [act[0](limited(o)) * act[2](new), new]


def _settings(**given: Any) -> dict[str, Any]:
    return given


@op("RNN")
def _rnn(
    x: Any, w: Any, r: Any, b: Any = None, lens: Any = None, h: Any = None, *,
    activation_alpha: Any = None, activation_beta: Any = None, activations: Any = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    layout: int = 0,
) -> Any:  # fmt: skip
    s = _settings(
        activations=activations, activation_alpha=activation_alpha, activation_beta=activation_beta,
        clip=clip, direction=direction, layout=layout,
    )  # fmt: skip
    return _recurrent("RNN", x, w, r, b, lens, [h], None, s)


@op("GRU")
def _gru(
    x: Any, w: Any, r: Any, b: Any = None, lens: Any = None, h: Any = None, *,
    activation_alpha: Any = None, activation_beta: Any = None, activations: Any = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    layout: int = 0, linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    s = _settings(
        activations=activations, activation_alpha=activation_alpha, activation_beta=activation_beta,
        clip=clip, direction=direction, layout=layout, linear_before_reset=linear_before_reset,
    )  # fmt: skip
    return _recurrent("GRU", x, w, r, b, lens, [h], None, s)


@op("LSTM")
def _lstm(
    x: Any, w: Any, r: Any, b: Any = None, lens: Any = None, h: Any = None, c: Any = None,
    p: Any = None, *, activation_alpha: Any = None, activation_beta: Any = None,
    activations: Any = None, clip: float | None = None, direction: str = "forward",
    hidden_size: int | None = None, input_forget: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    s = _settings(
        activations=activations, activation_alpha=activation_alpha, activation_beta=activation_beta,
        clip=clip, direction=direction, layout=layout, input_forget=input_forget,
    )  # fmt: skip
    return _recurrent("LSTM", x, w, r, b, lens, [h, c], p, s)


@op("RotaryEmbedding")
def _rotary(
    x: Any, cos: Any, sin: Any, positions: Any = None, *, interleaved: int = 0, num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Any:  # fmt: skip
    shape = x.shape
    if x.ndim == 3:
        x = mg.swapaxes(mg.reshape(x, (*shape[:2], num_heads, -1)), 1, 2)
    width = rotary_embedding_dim or x.shape[-1]
    turned, rest = x[..., :width], x[..., width:]
    if positions is not None:
        cos, sin = cos[plain(positions)], sin[plain(positions)]
    cos, sin = (mg.expand_dims(v[..., : width // 2], 1) for v in (cos, sin))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : width // 2], turned[..., width // 2 :]
    real, imaginary = a * cos - b * sin, a * sin + b * cos
    if interleaved:
        found = mg.reshape(mg.stack([real, imaginary], axis=-1), turned.shape)
    else:
        found = mg.concatenate([real, imaginary], axis=-1)
    found = mg.concatenate([found, rest], axis=-1)
    return mg.reshape(mg.swapaxes(found, 1, 2), shape) if len(shape) == 3 else found


@op("Attention")
def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, past_key: Any = None, past_value: Any = None,
    lens: Any = None, *, is_causal: int = 0, kv_num_heads: int = 0, left_window_size: int = -1,
    q_num_heads: int = 0, qk_matmul_output_mode: int = 0, right_window_size: int = -1,
    scale: float | None = None, softcap: float = 0.0, softmax_precision: int | None = None,
) -> Any:  # fmt: skip
    shape = q.shape
    if q.ndim == 3:

        def split(x: Any, heads: int) -> Any:
            return mg.swapaxes(mg.reshape(x, (*x.shape[:2], heads, -1)), 1, 2)

        q, k, v = split(q, q_num_heads), split(k, kv_num_heads), split(v, kv_num_heads)
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
    if is_causal:
        allowed = allowed & (keys_at <= queries_at)
    if left_window_size >= 0:
        allowed = allowed & (keys_at >= queries_at - left_window_size)
    if right_window_size >= 0:
        allowed = allowed & (keys_at <= queries_at + right_window_size)
    if filled is not None:
        allowed = allowed & (keys_at < filled)
    added: Any = None
    if mask is not None:
        if mask.shape[-1] < total:
            fill = False if mask.dtype == np.bool_ else -math.inf
            widths = [(0, 0)] * (mask.ndim - 1) + [(0, total - mask.shape[-1])]
            mask = constant(np.pad(plain(mask), widths, constant_values=fill))
        if mask.dtype == np.bool_:
            allowed = allowed & plain(mask)
        else:
            added = mask
    if softcap:
        scores = softcap * mg.tanh(scores / softcap)
    capped = scores
    scores = scores if added is None else scores + added
    scores = mg.where(allowed, scores, -math.inf)
    high = plain(scores).max(-1, keepdims=True)
    blind = ~np.isfinite(high)
    wide = scores if softmax_precision is None else scores.astype(dtype_of(softmax_precision))
    weights = _softmax(mg.where(blind, 0.0, wide))
    weights = like(mg.where(blind, 0.0, weights), q)
    shown = [raw, capped, scores, weights]
    y = mg.matmul(weights, v)
    if len(shape) == 3:
        y = mg.reshape(mg.swapaxes(y, 1, 2), (shape[0], shape[1], -1))
    return [like(y, q), keys, values, like(as_tensor(shown[qk_matmul_output_mode]), q)]
