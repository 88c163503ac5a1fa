"""How each operator, and each layer, is written in ONNX: one row for each.

A row is called with the file so far (``b``), the step as recorded (``s``: shapes and dtypes of its
outputs), the inputs and the operator's settings, and gives the name of the result. An operator that
ONNX cannot express has the reason as its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.kernels.windows import Windows, pooling, sliding
from minigrad.onnx.builder import Builder, Value
from minigrad.onnx.graph import Merged, Step, Varying
from minigrad.onnx.load import Operation

Row = Callable[..., Any]

#: Operators: name -> row, or the reason why there is none.
ROWS: dict[str, Row | str] = {}


class Layer:
    """A row for the calls of a layer, and for which calls it holds."""

    def __init__(self, row: Row, fits: Callable[[Any], bool], axes: int) -> None:
        self.row = row
        self._fits = fits
        self._axes = axes

    def fits(self, step: Step) -> bool:
        """Whether this call can stand as the layer's own nodes."""
        return self._fits(step.module) and self._axes in (0, step.outputs[0].ndim)

    def __call__(self, *args: Any) -> Any:
        """Write the nodes."""
        return self.row(*args)


#: Layers: class -> row.
LAYERS: dict[type[Any], Layer] = {}


def row(*names: str) -> Callable[[Row], Row]:
    """Declare the row of the operators of these names."""

    def declare(function: Row) -> Row:
        ROWS.update(dict.fromkeys(names, function))
        return function

    return declare


def layer(
    *kinds: type[Any], fits: Callable[[Any], bool] = lambda _: True, axes: int = 0
) -> Callable[[Row], Row]:
    """Declare the row of the layers of these classes, for those modules that ``fits`` accepts.

    ``axes``: only for outputs with this many; 0 for any number.
    """

    def declare(function: Row) -> Row:
        LAYERS.update({kind: Layer(function, fits, axes) for kind in kinds})
        return function

    return declare


# -- element by element ----------------------------------------------------------------------------

#: Those that ONNX has under another name; inputs are cast to the dtype of the result.
SAME = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "negative": "Neg",
    "abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal",
    "power": "Pow", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "arcsinh": "Asinh",
    "arccosh": "Acosh", "arctanh": "Atanh", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "relu": "Relu", "sigmoid": "Sigmoid",
    "selu": "Selu", "matmul": "MatMul", "maximum": "Max", "minimum": "Min", "floor": "Floor",
    "ceil": "Ceil", "rint": "Round", "sign": "Sign", "positive": "Identity", "det": "Det",
}  # fmt: skip


def _same(kind: str) -> Row:
    def write(b: Builder, s: Merged, *x: Any) -> Any:
        return b(kind, *[b.of(each, s.dtypes[0]) for each in x])

    return write


ROWS.update({name: _same(kind) for name, kind in SAME.items()})


def _common(x: tuple[Any, ...]) -> Any:
    """The dtype in which NumPy compares these."""
    return np.result_type(*[v.dtype if isinstance(v, Value) else v for v in x])


def _compare(kind: str, negate: bool = False) -> Row:
    def write(b: Builder, s: Merged, x: Any, y: Any) -> Any:
        dtype = _common((x, y))
        if dtype == np.bool_ and kind != "Equal":
            dtype = np.dtype(np.int32)
        found = b(kind, b.of(x, dtype), b.of(y, dtype))
        return b("Not", found) if negate else found

    return write


for _name, _kind in {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}.items():  # fmt: skip
    ROWS[_name] = _compare(_kind)
ROWS["not_equal"] = _compare("Equal", negate=True)


def _logical(kind: str) -> Row:
    def write(b: Builder, s: Merged, *x: Any) -> Any:
        return b(kind, *[b.of(each, np.bool_) for each in x])

    return write


ROWS.update({
    f"logical_{n}": _logical(k) for n, k in
    {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}.items()
})  # fmt: skip


def _bitwise(kind: str, logical: str) -> Row:
    def write(b: Builder, s: Merged, *x: Any) -> Any:
        of = [b.of(each, s.dtypes[0]) for each in x]
        return b(logical if s.dtypes[0] == np.bool_ else kind, *of)

    return write


ROWS["bitwise_and"], ROWS["bitwise_or"] = _bitwise("BitwiseAnd", "And"), _bitwise("BitwiseOr", "Or")
ROWS["bitwise_xor"], ROWS["invert"] = _bitwise("BitwiseXor", "Xor"), _bitwise("BitwiseNot", "Not")


class Maths:
    """Arithmetic in one dtype, so that a row with a formula reads like the formula."""

    def __init__(self, b: Builder, dtype: Any) -> None:
        self.b, self.dtype = b, dtype

    def __call__(self, kind: str, *x: Any, **settings: Any) -> Value:
        """A node whose inputs are numbers or values of this dtype."""
        name = self.b(kind, *[self.b.of(each, self.dtype) for each in x], **settings)
        return Value(name, self.dtype, ())

    def where(self, condition: str, x: Any, y: Any) -> Value:
        """X where the condition holds, y elsewhere."""
        of = [self.b.of(each, self.dtype) for each in (x, y)]
        return Value(self.b("Where", condition, *of), self.dtype, ())

    def test(self, kind: str, *x: Any) -> str:
        """A node whose result is of booleans."""
        found: str = self.b(kind, *[self.b.of(each, self.dtype) for each in x])
        return found


def formula(*names: str) -> Callable[[Row], Row]:
    """Declare a row that is a formula in the dtype of the result."""

    def declare(function: Row) -> Row:
        def write(b: Builder, s: Merged, *x: Any, **settings: Any) -> Any:
            m = Maths(b, s.dtypes[0])
            inputs = [None if each is None else b.of(each, s.dtypes[0]) for each in x]
            return function(m, *inputs, **settings)

        ROWS.update(dict.fromkeys(names, write))
        return function

    return declare


@formula("square")
def _square(m: Maths, x: Any) -> Any:
    return m("Mul", x, x)


@formula("exp2")
def _exp2(m: Maths, x: Any) -> Any:
    return m("Pow", 2.0, x)


@formula("expm1")
def _expm1(m: Maths, x: Any) -> Any:
    # exp(x) - 1 = 2 tanh(x / 2) / (1 - tanh(x / 2)), which keeps its digits near 0.
    t = m("Tanh", m("Mul", x, 0.5))
    near = m("Div", m("Mul", t, 2.0), m("Sub", 1.0, t))
    far = m("Sub", m("Exp", x), 1.0)
    return m.where(m.test("Less", m("Abs", x), 1.0), near, far)


def _log1p(m: Maths, x: Any) -> Any:
    # log(1 + x) x / ((1 + x) - 1), which makes up for the rounding of 1 + x near 0.
    u = m("Add", x, 1.0)
    d = m("Sub", u, 1.0)
    still = m.test("Equal", d, 0.0)
    ratio = m("Div", x, m.where(still, 1.0, d))
    ratio = m.where(m.test("Less", m("Abs", x), 1.0), ratio, 1.0)
    return m.where(still, x, m("Mul", m("Log", u), ratio))


formula("log1p")(_log1p)


@formula("log2")
def _log2(m: Maths, x: Any) -> Any:
    return m("Mul", m("Log", x), 1.0 / math.log(2.0))


@formula("log10")
def _log10(m: Maths, x: Any) -> Any:
    return m("Mul", m("Log", x), 1.0 / math.log(10.0))


def _log_add(m: Maths, x: Any, y: Any, base: float) -> Any:
    gap = m("Mul", m("Abs", m("Sub", x, y)), -math.log(base))
    return m("Add", m("Max", x, y), m("Mul", _log1p(m, m("Exp", gap)), 1.0 / math.log(base)))


formula("logaddexp")(lambda m, x, y: _log_add(m, x, y, math.e))
formula("logaddexp2")(lambda m, x, y: _log_add(m, x, y, 2.0))


@formula("cbrt")
def _cbrt(m: Maths, x: Any) -> Any:
    return m("Mul", m("Sign", x), m("Pow", m("Abs", x), 1.0 / 3.0))


@formula("power_constant")
def _power_constant(m: Maths, x: Any, exponent: float) -> Any:
    return m("Pow", x, exponent)


@formula("hypot")
def _hypot(m: Maths, x: Any, y: Any) -> Any:
    return m("Sqrt", m("Add", m("Mul", x, x), m("Mul", y, y)))


@formula("deg2rad")
def _deg2rad(m: Maths, x: Any) -> Any:
    return m("Mul", x, math.pi / 180.0)


@formula("rad2deg")
def _rad2deg(m: Maths, x: Any) -> Any:
    return m("Mul", x, 180.0 / math.pi)


@formula("arctan2")
def _arctan2(m: Maths, y: Any, x: Any) -> Any:
    # atan(y / x), moved by half a turn where x is negative; a quarter of a turn where x is 0.
    level = m.test("Equal", x, 0.0)
    angle = m("Atan", m("Div", y, m.where(level, 1.0, x)))
    up = m.where(m.test("Less", y, 0.0), -1.0, 1.0)
    turned = m.where(m.test("Less", x, 0.0), m("Add", angle, m("Mul", up, math.pi)), angle)
    return m.where(level, m("Mul", m("Sign", y), math.pi / 2.0), turned)


def _number_of_two(kind: str) -> Row:
    def write(m: Maths, x: Any, y: Any) -> Any:
        either = m.where(m.test("IsNaN", y), x, m(kind, x, y))
        return m.where(m.test("IsNaN", x), y, either)

    return write


formula("fmax")(_number_of_two("Max"))
formula("fmin")(_number_of_two("Min"))


@formula("hardtanh")
def _hardtanh(m: Maths, x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return m("Min", m("Max", x, min_val), max_val)


@formula("mish")
def _mish(m: Maths, x: Any) -> Any:
    return m("Mul", x, m("Tanh", m("Softplus", x)))


@formula("softsign")
def _softsign(m: Maths, x: Any) -> Any:
    return m("Softsign", x)


@formula("hardswish")
def _hardswish(m: Maths, x: Any) -> Any:
    return m("HardSwish", x)


@formula("prelu")
def _prelu(m: Maths, x: Any, weight: Any) -> Any:
    # The slopes broadcast to the input, as in PRelu.
    return m("PRelu", x, weight)


@row("clip")
def _clip(b: Builder, s: Merged, x: Any, low: Any = None, high: Any = None) -> Any:
    found = b.of(x, s.dtypes[0])
    for kind, limit in (("Max", low), ("Min", high)):
        if limit is not None:
            found = Value(b(kind, found, b.of(limit, s.dtypes[0])), s.dtypes[0], ())
    return b("Identity", found) if low is high is None else found


@row("remainder")
def _remainder(b: Builder, s: Merged, x: Any, y: Any) -> Any:
    m = Maths(b, s.dtypes[0])
    if s.dtypes[0].kind in "iu":
        return m("Mod", x, y)
    return m("Sub", x, m("Mul", m("Floor", m("Div", x, y)), y))


@formula("fmod")
def _fmod(m: Maths, x: Any, y: Any) -> Any:
    return m("Mod", x, y, fmod=1)


@formula("floor_divide")
def _floor_divide(m: Maths, x: Any, y: Any) -> Any:
    if m.dtype.kind == "f":
        return m("Floor", m("Div", x, y))
    rest = m("Mod", x, y)  # with the sign of y, so what is left divides evenly
    return m("Div", m("Sub", x, rest), y)


@formula("trunc", "fix")
def _trunc(m: Maths, x: Any) -> Any:
    return m("Mul", m("Sign", x), m("Floor", m("Abs", x)))


@row("round")
def _round(b: Builder, s: Merged, x: Any, decimals: Any = 0) -> Any:
    if decimals != 0:
        b.refuse(f"ONNX rounds to whole numbers only, got decimals={decimals}")
    return b("Round" if s.dtypes[0].kind == "f" else "Identity", b.of(x, s.dtypes[0]))


@formula("copysign")
def _copysign(m: Maths, x: Any, y: Any) -> Any:
    # The sign of a zero shows in its reciprocal.
    negative = m.test("Less", m.where(m.test("Equal", y, 0.0), m("Reciprocal", y), y), 0.0)
    size = m("Abs", x)
    return m.where(negative, m("Neg", size), size)


@row("signbit")
def _signbit(b: Builder, s: Merged, x: Any) -> Any:
    m = Maths(b, x.dtype)
    if x.dtype.kind != "f":
        return m.test("Less", x, 0)
    return m.test("Less", m.where(m.test("Equal", x, 0.0), m("Reciprocal", x), x), 0.0)


@formula("ldexp")
def _ldexp(m: Maths, x: Any, i: Any) -> Any:
    return m("Mul", x, m("Pow", 2.0, i))


@formula("nan_to_num")
def _nan_to_num(
    m: Maths, x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    if m.dtype.kind != "f":
        return m("Identity", x)
    limits = np.finfo(m.dtype)
    found = m.where(m.test("IsNaN", x), nan, x)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    found = m.where(m.test("Equal", x, math.inf), high, found)
    return m.where(m.test("Equal", x, -math.inf), low, found)


@row("isnan")
def _isnan(b: Builder, s: Merged, x: Any) -> Any:
    m = Maths(b, x.dtype if x.dtype.kind == "f" else np.dtype(np.float32))
    return m.test("IsNaN", x)


@row("isinf")
def _isinf(b: Builder, s: Merged, x: Any) -> Any:
    m = Maths(b, x.dtype if x.dtype.kind == "f" else np.dtype(np.float32))
    return m.test("Equal", m("Abs", x), math.inf)


@row("isfinite")
def _isfinite(b: Builder, s: Merged, x: Any) -> Any:
    m = Maths(b, x.dtype if x.dtype.kind == "f" else np.dtype(np.float32))
    return m.test("Less", m("Abs", x), math.inf)


@formula("heaviside")
def _heaviside(m: Maths, x: Any, y: Any) -> Any:
    step = m.where(m.test("Less", x, 0.0), 0.0, m.where(m.test("Greater", x, 0.0), 1.0, y))
    return m.where(m.test("IsNaN", x), x, step)


@formula("erf")
def _erf(m: Maths, x: Any) -> Any:
    return m("Erf", x)


@formula("xlogy")
def _xlogy(m: Maths, x: Any, y: Any) -> Any:
    level = m.b("And", m.test("Equal", x, 0.0), m.b("Not", m.test("IsNaN", y)))
    return m("Mul", x, m("Log", m.where(level, 1.0, y)))


@formula("sinc")
def _sinc(m: Maths, x: Any, order: int) -> Any:
    if order:
        m.b.refuse("the derivatives of sinc have no row; export the model, not its gradient")
    level = m.test("Equal", x, 0.0)
    angle = m("Mul", m.where(level, 1.0, x), math.pi)
    return m.where(level, 1.0, m("Div", m("Sin", angle), angle))


@row("where")
def _where(b: Builder, s: Merged, condition: Any, x: Any, y: Any) -> Any:
    return b("Where", b.of(condition, np.bool_), *[b.of(each, s.dtypes[0]) for each in (x, y)])


# -- activations -----------------------------------------------------------------------------------


@row("softmax", "log_softmax")
def _softmax(b: Builder, s: Merged, x: Any, axis: int = -1) -> Any:
    kind = "Softmax" if s.step.name == "softmax" else "LogSoftmax"
    return b(kind, b.of(x, s.dtypes[0]), axis=axis)


@row("leaky_relu")
def _leaky_relu(b: Builder, s: Merged, x: Any, negative_slope: float = 0.01) -> Any:
    return b("LeakyRelu", b.of(x, s.dtypes[0]), alpha=float(negative_slope))


@row("elu")
def _elu(b: Builder, s: Merged, x: Any, alpha: float = 1.0) -> Any:
    return b("Elu", b.of(x, s.dtypes[0]), alpha=float(alpha))


@formula("softplus")
def _softplus(m: Maths, x: Any, beta: float = 1.0) -> Any:
    if beta == 1.0:
        return m("Softplus", x)
    return m("Div", m("Softplus", m("Mul", x, float(beta))), float(beta))


@formula("huber")
def _huber(m: Maths, d: Any, delta: float) -> Any:
    near = m("Min", m("Max", d, -delta), delta)
    return m("Mul", near, m("Sub", d, m("Mul", near, 0.5)))


@formula("silu")
def _silu(m: Maths, x: Any) -> Any:
    return m("Mul", x, m("Sigmoid", x))


@formula("normal_cdf")
def _normal_cdf(m: Maths, x: Any) -> Any:
    return m("Mul", m("Add", m("Erf", m("Mul", x, 1.0 / math.sqrt(2.0))), 1.0), 0.5)


@formula("gelu_tanh")
def _gelu_tanh(m: Maths, x: Any) -> Any:
    if m.b.opset >= 20:
        return m("Gelu", x, approximate="tanh")
    cube = m("Mul", m("Mul", x, x), m("Mul", x, 0.044715))
    inner = m("Mul", m("Add", x, cube), math.sqrt(2.0 / math.pi))
    return m("Mul", m("Mul", x, 0.5), m("Add", m("Tanh", inner), 1.0))


@layer(nn.GELU)
def _gelu(b: Builder, s: Merged, x: Any) -> Any:
    if s.step.module.approximate == "tanh":  # type: ignore[union-attr]
        return _gelu_tanh(Maths(b, s.dtypes[0]), x)
    m = Maths(b, s.dtypes[0])
    return m("Gelu", x) if b.opset >= 20 else m("Mul", x, _normal_cdf(m, x))


# -- shapes ----------------------------------------------------------------------------------------


@row("astype")
def _astype(b: Builder, s: Merged, x: Any, dtype: Any = None) -> Any:
    return b("Cast", x, to=b.onnx.helper.np_dtype_to_tensor_dtype(s.dtypes[0]))


@row("reshape")
def _reshape(b: Builder, s: Merged, x: Any, shape: Any) -> Any:
    return b.reshape(x, s.shapes[0])


@row("transpose", "swapaxes", "moveaxis")
def _transpose(b: Builder, s: Merged, x: Any, *_: Any, **settings: Any) -> Any:
    places = np.arange(x.ndim)
    name = s.step.name
    if name == "transpose":
        axes = settings.get("axes")
        perm = list(places[::-1]) if axes is None else [int(a) % x.ndim for a in axes]
    else:
        fixed = {k: b.fixed(v) for k, v in settings.items()}
        perm = list(range(x.ndim))
        if name == "swapaxes":
            i, j = fixed["axis1"] % x.ndim, fixed["axis2"] % x.ndim
            perm[i], perm[j] = perm[j], perm[i]
        else:
            source, target = (
                [int(a) % x.ndim for a in np.atleast_1d(fixed[k])]
                for k in ("source", "destination")
            )
            perm = [a for a in perm if a not in source]
            for to, a in sorted(zip(target, source, strict=True)):
                perm.insert(to, a)
    return b("Transpose", x, perm=[int(a) for a in perm]) if perm else x


@row("squeeze")
def _squeeze(b: Builder, s: Merged, x: Any, axis: Any = None) -> Any:
    if axis is None:
        axis = [i for i, n in enumerate(x.shape) if n == 1]
    axes = np.atleast_1d(np.array(axis, np.int64))
    return b("Squeeze", x, axes) if axes.size else x


@row("expand_dims")
def _expand_dims(b: Builder, s: Merged, x: Any, axis: Any) -> Any:
    return b("Unsqueeze", x, np.atleast_1d(np.array(axis, np.int64)))


@row("broadcast_to")
def _broadcast_to(b: Builder, s: Merged, x: Any, shape: Any) -> Any:
    x = b.of(x, s.dtypes[0])
    old = (1,) * (len(s.shapes[0]) - x.ndim) + tuple(x.shape)
    # An axis that has its length already is broadcast with 1.
    wanted = [
        1 if isinstance(n, Varying) and isinstance(m, Varying) else n
        for n, m in zip(s.shapes[0], old, strict=True)
    ]
    return b("Expand", x, b.lengths(wanted))


def _slice(b: Builder, x: str, parts: list[tuple[int, Any, Any, int]]) -> str:
    """Slices (axis, start, end, step) of a value."""
    axes, steps = (np.array([p[i] for p in parts], np.int64) for i in (0, 3))
    starts, ends = (b.lengths([p[i] for p in parts]) for i in (1, 2))
    one = None if (steps == 1).all() else steps
    found: str = b("Slice", x, starts, ends, axes, one)
    return found


#: Beyond every end: a slice to here takes the rest.
END, START = 2**63 - 1, -(2**63) + 1


@row("flip")
def _flip(b: Builder, s: Merged, x: Any, axis: Any = None) -> Any:
    axes = range(x.ndim) if axis is None else [int(a) for a in np.atleast_1d(axis)]
    return _slice(b, x, [(a, -1, START, -1) for a in axes]) if x.ndim else x


@row("roll")
def _roll(b: Builder, s: Merged, x: Any, shift: Any, axis: Any = None) -> Any:
    shift, axis = b.fixed(shift), b.fixed(axis)
    if axis is None:
        count = math.prod(b.fixed(n) for n in x.shape)
        line = Value(b.reshape(x, (count,)), x.dtype, (count,))
        return b.reshape(_roll(b, s, line, shift, 0), x.shape)
    found = x
    for move, a in np.broadcast(shift, axis):
        n = b.fixed(x.shape[int(a)])
        cut = -int(move) % n if n else 0
        if cut:
            parts = [_slice(b, found, [(int(a), i, j, 1)]) for i, j in ((cut, END), (0, cut))]
            found = b("Concat", *parts, axis=int(a))
    return found


@row("concatenate")
def _concatenate(b: Builder, s: Merged, *x: Any, axis: int | None = 0) -> Any:
    parts: list[Any] = [b.of(each, s.dtypes[0]) for each in x]
    if axis is None:
        parts = [b.reshape(p, (-1,)) for p in parts]
    return b("Concat", *parts, axis=axis or 0)


@row("stack")
def _stack(b: Builder, s: Merged, *x: Any, axis: int = 0) -> Any:
    at = np.array([axis], np.int64)
    return b("Concat", *[b("Unsqueeze", b.of(each, s.dtypes[0]), at) for each in x], axis=axis)


@row("tril", "triu")
def _tri(b: Builder, s: Merged, x: Any, k: int = 0) -> Any:
    if x.ndim < 2:
        x = Value(b("Expand", x, b.lengths(s.shapes[0])), x.dtype, s.shapes[0])
    return b("Trilu", x, np.array(k, np.int64), upper=int(s.step.name == "triu"))


@row("pad")
def _pad(b: Builder, s: Merged, x: Any, pad_width: Any, constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(np.array(b.fixed(pad_width)), (x.ndim, 2)).astype(np.int64)
    values = np.broadcast_to(np.array(b.fixed(constant_values)), (x.ndim, 2))
    if (values == values.ravel()[:1]).all():
        return (
            b(
                "Pad",
                x,
                widths.T.ravel(),
                b.constant(values.ravel()[0] if values.size else 0, x.dtype),
            )
            if x.ndim
            else b("Identity", x)
        )
    found: Any = x
    for axis in range(x.ndim):  # a later axis pads over the corners, as in NumPy
        for side in (0, 1):
            if widths[axis, side]:
                one = np.zeros((2, x.ndim), np.int64)
                one[side, axis] = widths[axis, side]
                found = b("Pad", found, one.ravel(), b.constant(values[axis, side], x.dtype))
    return found


@row("diagonal")
def _diagonal(
    b: Builder, s: Merged, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Any:
    i, j = axis1 % x.ndim, axis2 % x.ndim
    rows, columns = b.fixed(x.shape[i]), b.fixed(x.shape[j])
    rest = [a for a in range(x.ndim) if a not in (i, j)]
    turned = b("Transpose", x, perm=[i, j, *rest])
    down, across = max(-offset, 0), max(offset, 0)
    n = max(min(rows - down, columns - across), 0)
    places = np.stack([np.arange(n) + down, np.arange(n) + across], axis=-1).astype(np.int64)
    taken = b("GatherND", turned, places)
    return b("Transpose", taken, perm=[*range(1, len(rest) + 1), 0])


@row("getitem")
def _getitem(b: Builder, s: Merged, x: Any, index: Any) -> Any:
    x = b.fixed(x)
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [np.array(p) if isinstance(p, list) else p for p in parts]
    parts = [b.constant(p) if isinstance(p, np.ndarray) else p for p in parts]
    for p in parts:
        if not isinstance(p, (slice, Value)) and p is not None and p is not Ellipsis:
            b.fixed(p)
        if isinstance(p, (bool, np.bool_)) or (
            isinstance(p, Value) and p.dtype == np.bool_ and p not in b.constants
        ):
            b.refuse(
                "indexing with a mask gives a result whose length depends on the data; choose with "
                "mg.where"
            )
    # A constant mask is the positions where it holds.
    wide: list[Any] = []
    for p in parts:
        if isinstance(p, Value) and p.dtype == np.bool_:
            wide += [b.constant(a.astype(np.int64)) for a in np.nonzero(b.constants[p])]
        else:
            wide.append(p)
    taken = sum(p is not None and p is not Ellipsis for p in wide)
    full = [slice(None)] * (x.ndim - taken)
    at = next((i for i, p in enumerate(wide) if p is Ellipsis), None)
    wide = [*wide, *full] if at is None else [*wide[:at], *full, *wide[at + 1 :]]
    return _indexed(b, s, x, wide)


def _indexed(b: Builder, s: Merged, x: Value, parts: list[Any]) -> Any:
    """``parts`` has one entry for each axis of x, and None for each new one."""
    axes = [p for p in parts if p is not None]
    found: Any = x
    slices = []
    for a, p in enumerate(axes):
        if isinstance(p, slice) and (p.start, p.stop, p.step) != (None, None, None):
            step = 1 if p.step is None else b.fixed(p.step)
            start, stop = p.start, p.stop
            if start is None:
                start = 0 if step > 0 else -1
            if stop is None:
                stop = END if step > 0 else START
            slices.append((a, start, stop, int(step)))
    if slices:
        found = _slice(b, found, slices)
    arrays = [a for a, p in enumerate(axes) if isinstance(p, Value) and p.ndim]
    numbers = [a for a, p in enumerate(axes) if not isinstance(p, slice)]
    new_axes: list[int]
    if not arrays:
        # Only numbers and slices: the numbers' axes go, and new ones come.
        values = {a: axes[a] for a in numbers}
        plain = [a for a in numbers if not isinstance(values[a], Value)]
        linked = sorted((a for a in numbers if isinstance(values[a], Value)), reverse=True)
        if plain:
            ends = [(a, int(values[a]), int(values[a]) + 1 or END, 1) for a in plain]
            found = _slice(b, found, ends)
        for a in linked:
            found = b("Gather", found, values[a], axis=a)
        gone = [a - sum(other < a for other in linked) for a in plain]
        if gone:
            found = b("Squeeze", found, np.array(gone, np.int64))
        order = [p for p in parts if p is None or isinstance(p, slice)]
        new_axes = [i for i, p in enumerate(order) if p is None]
    else:
        chosen = numbers  # numbers beside arrays are arrays of one element
        indices = [
            b.of(axes[a] if isinstance(axes[a], Value) else np.array(axes[a]), np.int64)
            for a in chosen
        ]
        width = max(i.ndim for i in indices)
        shape = _broadcast([i.shape for i in indices], b)
        if len(chosen) == 1:
            found = b("Gather", found, indices[0], axis=chosen[0])
            front = chosen[0]
        else:
            rest = [a for a in range(len(axes)) if a not in chosen]
            if chosen != list(range(len(chosen))):
                found = b("Transpose", found, perm=[*chosen, *rest])
            spread = [
                i if tuple(i.shape) == shape else b("Expand", i, b.lengths(shape)) for i in indices
            ]
            last = np.array([-1], np.int64)
            joined = b("Concat", *[b("Unsqueeze", i, last) for i in spread], axis=-1)
            found = b("GatherND", found, joined)
            front = 0
        # NumPy puts the axes of the indices where they stood together, and else in front.
        places = [i for i, p in enumerate(parts) if isinstance(p, (Value, int, np.integer))]
        together = places == list(range(places[0], places[-1] + 1))
        before = sum(isinstance(p, slice) for p in parts[: places[0]]) if together else 0
        rest_count = sum(isinstance(p, slice) for p in parts)
        if front != before:
            order_ = [*range(width + rest_count)]
            block = order_[front : front + width]
            others = [a for a in order_ if a not in block]
            found = b("Transpose", found, perm=[*others[:before], *block, *others[before:]])
        layout: list[Any] = []
        for i, p in enumerate(parts):
            if together and i == places[0]:
                layout += ["index"] * width
            if p is None or isinstance(p, slice):
                layout.append(p)
        if not together:
            layout = ["index"] * width + layout
        new_axes = [i for i, p in enumerate(layout) if p is None]
    if new_axes:
        found = b("Unsqueeze", found, np.array(new_axes, np.int64))
    return found


def _broadcast(shapes: list[Any], b: Builder) -> tuple[Any, ...]:
    width = max(map(len, shapes))
    found = []
    for i in range(width):
        lengths = [s[i - width + len(s)] for s in shapes if i >= width - len(s)]
        longer = [n for n in lengths if isinstance(n, Varying) or n != 1]
        found.append(longer[0] if longer else 1)
    return tuple(found)


@row("scatter")
def _scatter(b: Builder, s: Merged, x: Any, index: Any, shape: Any) -> Any:
    shape = tuple(b.fixed(s.shapes[0]))
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, Value) and p not in b.constants for p in parts):
        b.refuse("it adds at positions that depend on the data")
    plain = tuple([b.constants[p] if isinstance(p, Value) else b.fixed(p) for p in parts])
    places = np.arange(math.prod(shape)).reshape(shape)
    places = places[plain if isinstance(index, tuple) else plain[0]].astype(np.int64)
    zeros = b.constant(np.zeros(math.prod(shape), s.dtypes[0]))
    wide = b("Expand", x, b.lengths(places.shape))
    added = b(
        "ScatterElements", zeros, places.ravel(), b.reshape(wide, (places.size,)), axis=0,
        reduction="add",
    )  # fmt: skip
    return b.reshape(added, shape)


# -- sums and products -----------------------------------------------------------------------------


def _axes(axis: Any) -> Any:
    return None if axis is None else np.atleast_1d(np.array(axis, np.int64))


def _reduce(kind: str) -> Row:
    def write(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
        axes = _axes(b.fixed(axis))
        none = None if axes is None or axes.size else 1
        return b(
            kind, b.of(x, s.dtypes[0]), None if none else axes, keepdims=int(keepdims),
            noop_with_empty_axes=none,
        )  # fmt: skip

    return write


for _name, _kind in {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp", "euclidean_norm": "ReduceL2",
}.items():  # fmt: skip
    ROWS[_name] = _reduce(_kind)


def _variance(b: Builder, s: Merged, x: Any, axis: Any, ddof: float, keepdims: bool) -> Value:
    m = Maths(b, s.dtypes[0])
    axes = _axes(b.fixed(axis))
    x = b.of(x, s.dtypes[0])
    off = m("Sub", x, Value(b("ReduceMean", x, axes, keepdims=1), s.dtypes[0], ()))
    found = Value(
        b("ReduceMean", m("Mul", off, off), axes, keepdims=int(keepdims)), s.dtypes[0], ()
    )
    if not ddof:
        return found
    along = range(x.ndim) if axes is None else axes
    n = math.prod(b.fixed(x.shape[int(a)]) for a in along)
    return m("Mul", found, n / (n - ddof))


@row("var")
def _var(
    b: Builder, s: Merged, x: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False
) -> Any:
    return _variance(b, s, x, axis, ddof, keepdims)


@row("std")
def _std(
    b: Builder, s: Merged, x: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False
) -> Any:
    return b("Sqrt", _variance(b, s, x, axis, ddof, keepdims))


@row("p_norm")
def _p_norm(
    b: Builder, s: Merged, x: Any, p: float, axis: Any = None, keepdims: Any = False
) -> Any:
    m, axes = Maths(b, s.dtypes[0]), _axes(b.fixed(axis))
    size = m("Abs", x)
    if math.isinf(p):
        return b("ReduceMax" if p > 0 else "ReduceMin", size, axes, keepdims=int(keepdims))
    if p == 0:
        size = b.of(Value(b("Cast", x, to=9), np.bool_, ()), s.dtypes[0])
        return b("ReduceSum", size, axes, keepdims=int(keepdims))
    total = b("ReduceSum", m("Pow", size, float(p)), axes, keepdims=int(keepdims))
    return m("Pow", Value(total, s.dtypes[0], ()), 1.0 / p)


@row("cumsum")
def _cumsum(b: Builder, s: Merged, x: Any, axis: Any = None) -> Any:
    x = b.of(x, s.dtypes[0])
    line = b.reshape(x, s.shapes[0]) if axis is None else x
    return b("CumSum", line, np.array(axis or 0, np.int64))


@row("einsum")
def _einsum(b: Builder, s: Merged, *x: Any, subscripts: str) -> Any:
    return b("Einsum", *[b.of(each, s.dtypes[0]) for each in x], equation=subscripts)


@row("argmax", "argmin")
def _arg(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    kind = "ArgMax" if s.step.name == "argmax" else "ArgMin"
    if x.dtype == np.bool_:
        x = b.of(x, np.int32)
    if axis is None:
        found = b(kind, b.reshape(x, (-1,)), axis=0, keepdims=0)
        return b.reshape(found, s.shapes[0])
    return b(kind, x, axis=int(axis), keepdims=int(bool(keepdims)))


@row("any", "all")
def _any(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    kind = "ReduceMax" if s.step.name == "any" else "ReduceMin"
    whole = b.of(b.of(x, np.bool_), np.int32)
    found = b(kind, whole, _axes(axis), keepdims=int(bool(keepdims)))
    return b("Cast", found, to=9)


@row("count_nonzero")
def _count_nonzero(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    whole = b.of(b.of(x, np.bool_), np.int64)
    return b("ReduceSum", whole, _axes(axis), keepdims=int(bool(keepdims)))


@row("argsort")
def _argsort(b: Builder, s: Merged, x: Any, axis: Any = -1, *rest: Any) -> Any:
    if axis is None:
        b.refuse("sorting a flattened array is not in the table; give an axis")
    n = b.lengths([x.shape[axis]])
    return b("TopK", x, n, axis=int(axis), largest=0, sorted=1, outputs=2)[1]


# -- layers' operators -----------------------------------------------------------------------------


def _pads(windows: Any) -> list[int]:
    (top, bottom), (left, right) = windows.padding
    return [top, left, bottom, right]


@row("conv2d")
def _conv2d(
    b: Builder, s: Merged, x: Any, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    size = tuple(b.fixed(n) for n in x.shape[2:])
    windows = sliding("conv2d", size, weight.shape[2:], stride, padding, dilation)
    of = [None if each is None else b.of(each, s.dtypes[0]) for each in (x, weight, bias)]
    return b(
        "Conv", *of, kernel_shape=list(weight.shape[2:]), strides=list(windows.stride),
        pads=_pads(windows), dilations=list(windows.dilation), group=groups,
    )  # fmt: skip


def _transposed(b: Builder, x: Any, weight: Any, bias: Any, windows: Any, groups: int) -> Any:
    """The transpose of a convolution over these windows."""
    spans = zip(
        windows.padded, windows.out, windows.kernel, windows.stride, windows.dilation, strict=True
    )
    extra = [n - ((o - 1) * st + d * (k - 1) + 1) for n, o, k, st, d in spans]
    return b(
        "ConvTranspose", x, weight, bias, kernel_shape=list(windows.kernel),
        strides=list(windows.stride), pads=_pads(windows), dilations=list(windows.dilation),
        output_padding=extra, group=groups,
    )  # fmt: skip


@row("conv2d_input_grad")
def _conv2d_input_grad(
    b: Builder, s: Merged, g: Any, weight: Any, windows: Any, groups: int
) -> Any:  # fmt: skip
    windows = Windows(*b.fixed(windows))
    return _transposed(b, b.of(g, s.dtypes[0]), b.of(weight, s.dtypes[0]), None, windows, groups)


def _taps(windows: Any, channels: int, dtype: Any) -> Any:
    """The kernels, one for each channel and place in the window, that pick one element each."""
    taps = math.prod(windows.kernel)
    return np.tile(np.eye(taps, dtype=dtype).reshape(taps, 1, *windows.kernel), (channels, 1, 1, 1))


@row("im2col")
def _im2col(
    b: Builder, s: Merged, x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1,
) -> Any:  # fmt: skip
    _n, c, h, w = x.shape
    windows = sliding("im2col", (b.fixed(h), b.fixed(w)), kernel_size, stride, padding, dilation)
    found = b(
        "Conv", x, _taps(windows, b.fixed(c), x.dtype), kernel_shape=list(windows.kernel),
        strides=list(windows.stride), pads=_pads(windows), dilations=list(windows.dilation),
        group=b.fixed(c),
    )  # fmt: skip
    return b.reshape(found, s.shapes[0])


@row("col2im")
def _col2im(
    b: Builder, s: Merged, cols: Any, x_shape: Any, kernel_size: Any, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1,
) -> Any:  # fmt: skip
    n, c, h, w = s.shapes[0]
    windows = sliding("col2im", (b.fixed(h), b.fixed(w)), kernel_size, stride, padding, dilation)
    image = b.reshape(cols, (n, cols.shape[1], *windows.out))
    return _transposed(b, image, _taps(windows, b.fixed(c), cols.dtype), None, windows, b.fixed(c))


@row("linear")
def _linear(b: Builder, s: Merged, x: Any, weight: Any, bias: Any = None) -> Any:
    x, weight = b.of(x, s.dtypes[0]), b.of(weight, s.dtypes[0])
    bias = None if bias is None else b.of(bias, s.dtypes[0])
    if x.ndim == 2:
        return b("Gemm", x, weight, bias, transB=1)
    product = b("MatMul", x, b("Transpose", weight, perm=[1, 0]))
    return product if bias is None else b("Add", product, bias)


@row("weigh")
def _weigh(b: Builder, s: Merged, x: Any, matrix: Any, axis: int) -> Any:
    x, matrix = b.of(x, s.dtypes[0]), np.asarray(b.fixed(matrix), s.dtypes[0])
    return b("MatMul", x, matrix.T.copy()) if axis == -1 else b("MatMul", matrix, x)


@row("normalize")
def _normalize(
    b: Builder, s: Merged, x: Any, weight: Any = None, bias: Any = None, axis: Any = (0,),
    eps: float = 1e-5, moments: Any = None,
) -> Any:  # fmt: skip
    dtype, m = s.dtypes[0], Maths(b, s.dtypes[0])
    x = b.of(x, dtype)
    axes = sorted(a % x.ndim for a in axis)
    last = axes == list(range(x.ndim - len(axes), x.ndim))
    parts = [p for p in (weight, bias) if p is not None]
    outer = x.ndim - len(axes)
    along = all(all(n == 1 for n in p.shape[:outer]) for p in parts)
    if last and along:
        shape = tuple(b.fixed(n) for n in x.shape[outer:])
        if math.prod(shape):
            scale = np.ones(shape, dtype) if weight is None else _without_ones(b, weight, outer)
            shift = None if bias is None else _without_ones(b, bias, outer)
            return b("LayerNormalization", x, scale, shift, axis=outer - x.ndim, epsilon=float(eps))
    at = np.array(axes, np.int64)
    off = m("Sub", x, Value(b("ReduceMean", x, at, keepdims=1), dtype, ()))
    var = Value(b("ReduceMean", m("Mul", off, off), at, keepdims=1), dtype, ())
    found = m("Div", off, m("Sqrt", m("Add", var, float(eps))))
    found = found if weight is None else m("Mul", found, weight)
    return found if bias is None else m("Add", found, bias)


def _without_ones(b: Builder, x: Any, count: int) -> Any:
    """The parameter that was given as many axes as the input, without these."""
    if not count:
        return x
    made = next((n for n in reversed(b.nodes) if n.output[0] == x and n.op_type == "Reshape"), None)
    if made is not None:
        b.nodes.remove(made)
        return made.input[0]
    return b("Squeeze", x, np.arange(count, dtype=np.int64))


@formula("affine")
def _affine(m: Maths, x: Any, scale: Any, shift: Any = None, mean: Any = None) -> Any:
    found = m("Mul", m("Sub", x, np.asarray(m.b.fixed(mean), m.dtype)), scale)
    return found if shift is None else m("Add", found, shift)


@row("max_pool2d")
def _max_pool2d(
    b: Builder, s: Merged, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil_mode: bool = False,
) -> Any:  # fmt: skip
    size = tuple(b.fixed(n) for n in x.shape[2:])
    windows = pooling("max_pool2d", size, kernel_size, stride, padding, dilation, ceil_mode)
    return b(
        "MaxPool", x, kernel_shape=list(windows.kernel), strides=list(windows.stride),
        pads=_pads(windows), dilations=list(windows.dilation),
    )  # fmt: skip


@row("sum_pool2d")
def _sum_pool2d(b: Builder, s: Merged, x: Any, windows: Any) -> Any:
    windows, c = Windows(*b.fixed(windows)), b.fixed(x.shape[1])
    ones = np.ones((c, 1, *windows.kernel), s.dtypes[0])
    return b(
        "Conv", b.of(x, s.dtypes[0]), ones, kernel_shape=list(windows.kernel),
        strides=list(windows.stride), pads=_pads(windows), group=c,
    )  # fmt: skip


@row("sum_pool2d_grad")
def _sum_pool2d_grad(b: Builder, s: Merged, g: Any, windows: Any) -> Any:
    windows, c = Windows(*b.fixed(windows)), b.fixed(g.shape[1])
    return _transposed(b, g, np.ones((c, 1, *windows.kernel), s.dtypes[0]), None, windows, c)


def _gates(b: Builder, x: Any, count: int) -> list[Any]:
    n = b.fixed(x.shape[-1]) // count
    sizes = np.array([n] * count, np.int64)
    return [Value(g, x.dtype, ()) for g in b("Split", x, sizes, axis=-1, outputs=count)]


@row("lstm_cell")
def _lstm_cell(b: Builder, s: Merged, gates: Any, cell: Any) -> Any:
    m = Maths(b, s.dtypes[0])
    i, f, g, _ = _gates(b, b.of(gates, s.dtypes[0]), 4)
    kept = m("Mul", m("Sigmoid", f), cell)
    return m("Add", kept, m("Mul", m("Sigmoid", i), m("Tanh", g)))


@row("lstm_hidden")
def _lstm_hidden(b: Builder, s: Merged, gates: Any, cell: Any) -> Any:
    m = Maths(b, s.dtypes[0])
    o = _gates(b, b.of(gates, s.dtypes[0]), 4)[3]
    return m("Mul", m("Sigmoid", o), m("Tanh", cell))


@row("gru_hidden")
def _gru_hidden(b: Builder, s: Merged, x: Any, h: Any, hidden: Any) -> Any:
    m = Maths(b, s.dtypes[0])
    a, c = (_gates(b, b.of(each, s.dtypes[0]), 3) for each in (x, h))
    r, z = (m("Sigmoid", m("Add", a[i], c[i])) for i in (0, 1))
    n = m("Tanh", m("Add", a[2], m("Mul", r, c[2])))
    return m("Add", m("Mul", m("Sub", 1.0, z), n), m("Mul", z, hidden))


@row("index_cross_entropy")
def _index_cross_entropy(b: Builder, s: Merged, logits: Any, labels: Any, reduction: str) -> Any:
    return b("SoftmaxCrossEntropyLoss", logits, b.of(labels, np.int64), reduction=reduction)


@formula("logistic_loss")
def _logistic_loss(m: Maths, x: Any, t: Any) -> Any:
    loss = m("Sub", m("Relu", x), m("Mul", x, t))
    return m("Add", loss, _log1p(m, m("Exp", m("Neg", m("Abs", x)))))


# -- layers ----------------------------------------------------------------------------------------


def _held(b: Builder, s: Merged, name: str) -> Any:
    """A parameter or buffer of the layer as a value, None where it has none."""
    module: Any = s.step.module
    tensor = module.__dict__.get(name)
    return None if tensor is None else b.parameter(tensor)


@layer(nn.BatchNorm1d, nn.BatchNorm2d, fits=lambda module: module.running_mean is not None)
def _batch_norm(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    dtype, n = s.dtypes[0], module.num_features
    scale, shift = _held(b, s, "weight"), _held(b, s, "bias")
    scale = np.ones(n, dtype) if scale is None else scale
    shift = np.zeros(n, dtype) if shift is None else shift
    of = [b.of(each, dtype) for each in (x, scale, shift)]
    stats = [b.of(_held(b, s, f"running_{k}"), dtype) for k in ("mean", "var")]
    return b("BatchNormalization", *of, *stats, epsilon=float(module.eps))


@layer(nn.Embedding, fits=lambda module: not isinstance(module, nn.EmbeddingBag))
def _embedding(b: Builder, s: Merged, x: Any) -> Any:
    return b("Gather", _held(b, s, "weight"), x, axis=0)


@layer(nn.GroupNorm)
def _group_norm(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    dtype = s.dtypes[0]
    x = b.of(x, dtype)
    scale, shift = _held(b, s, "weight"), _held(b, s, "bias")
    if b.opset >= 21:
        scale = np.ones(module.num_channels, dtype) if scale is None else scale
        shift = np.zeros(module.num_channels, dtype) if shift is None else shift
        of = [b.of(each, dtype) for each in (scale, shift)]
        return b(
            "GroupNormalization", x, *of, num_groups=module.num_groups, epsilon=float(module.eps)
        )
    # Before, the scales were those of groups: instances of one long signal for each group.
    m, groups = Maths(b, dtype), module.num_groups
    lines = b("Reshape", x, np.array([0, groups, -1], np.int64))
    found = b(
        "InstanceNormalization", lines, np.ones(groups, dtype), np.zeros(groups, dtype),
        epsilon=float(module.eps),
    )  # fmt: skip
    found = Value(b.reshape(found, x.shape), dtype, x.shape)
    for kind, part in (("Mul", scale), ("Add", shift)):
        if part is not None:
            wide = b("Reshape", part, np.array([-1] + [1] * (x.ndim - 2), np.int64))
            found = m(kind, found, Value(wide, dtype, ()))
    return found


@layer(nn.AdaptiveAvgPool2d, fits=lambda module: module.output_size in (1, (1, 1)), axes=4)
def _global_pool(b: Builder, s: Merged, x: Any) -> Any:
    return b("GlobalAveragePool", b.of(x, s.dtypes[0]))


@layer(
    nn.AvgPool2d,
    fits=lambda m: (
        not m.ceil_mode and m.divisor_override is None and not isinstance(m.padding, str)
    ),
    axes=4,
)
def _avg_pool(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    size = tuple(b.fixed(n) for n in x.shape[2:])
    windows = pooling("avg_pool2d", size, module.kernel_size, module.stride, module.padding)
    return b(
        "AveragePool", b.of(x, s.dtypes[0]), kernel_shape=list(windows.kernel),
        strides=list(windows.stride), pads=_pads(windows),
        count_include_pad=int(module.count_include_pad),
    )  # fmt: skip


@layer(nn.LocalResponseNorm, fits=lambda module: module.size % 2 == 1)
def _local_response_norm(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    settings: dict[str, Any] = {n: float(getattr(module, n)) for n in ("alpha", "beta")}
    if x.ndim == 4:
        return b("LRN", b.of(x, s.dtypes[0]), size=module.size, bias=float(module.k), **settings)
    wide = b("Unsqueeze", b.of(x, s.dtypes[0]), np.array([-1], np.int64)) if x.ndim == 3 else x
    found = b("LRN", wide, size=module.size, bias=float(module.k), **settings)
    return b("Squeeze", found, np.array([-1], np.int64)) if x.ndim == 3 else found


@layer(nn.ConvTranspose2d, axes=4)
def _conv_transpose(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    size = tuple(b.fixed(n) for n in s.shapes[0][2:])
    weight = b.of(_held(b, s, "weight"), s.dtypes[0])
    bias = _held(b, s, "bias")
    padding = module.padding
    if isinstance(padding, (int, tuple)):
        both = padding if isinstance(padding, tuple) else (padding, padding)
        padding = tuple((p, p) for p in both)
    windows = sliding("conv2d", size, weight.shape[2:], module.stride, padding, module.dilation)
    x = b.of(x, s.dtypes[0])
    return _transposed(
        b, x, weight, None if bias is None else b.of(bias, s.dtypes[0]), windows, module.groups
    )


@layer(nn.Upsample, fits=lambda module: module.mode in ("nearest", "bilinear"), axes=4)
def _upsample(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    linear = module.mode == "bilinear"
    place = (
        "align_corners"
        if linear and module.align_corners
        else "half_pixel"
        if linear
        else "asymmetric"
    )
    sizes = scales = None
    if module.size is not None or place == "align_corners":
        sizes = np.array(b.fixed(s.shapes[0][2:]), np.int64)
    else:
        both = module.scale_factor
        both = both if isinstance(both, (tuple, list)) else (both, both)
        pairs = zip(both, x.shape[2:], s.shapes[0][2:], strict=True)
        scales = np.array([1.0 if n == m else f for f, n, m in pairs], np.float32)
    return b(
        "Resize", x, None, scales, sizes, axes=[2, 3], mode="linear" if linear else "nearest",
        coordinate_transformation_mode=place, nearest_mode=None if linear else "floor",
    )  # fmt: skip


# Where the gates of ONNX stand in PyTorch's order: i o f c of i f g o; z r h of r z n.
ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}


def _same_dtypes(module: Any) -> bool:
    return len({p.dtype for p in module.parameters()}) == 1


@layer(nn.LSTM, nn.GRU, nn.RNN, fits=_same_dtypes)
def _recurrent(b: Builder, s: Merged, x: Any, state: Any = None) -> Any:
    module: Any = s.step.module
    kind, dtype, size = type(module).__name__, s.dtypes[0], module.hidden_size
    order = np.concatenate([np.arange(size) + i * size for i in ORDER[kind]]).astype(np.int64)
    ends = module._directions()
    first = np.array([0], np.int64)
    x = b.of(x, dtype)
    batched, _ndim = x.ndim == 3, x.ndim
    now: Any = x
    if not batched:
        now = b("Unsqueeze", now, np.array([1], np.int64))
    elif module.batch_first:
        now = b("Transpose", now, perm=[1, 0, 2])
    states: list[Any] = [None] * 2
    given = [] if state is None else state if isinstance(state, list) else [state]
    for i, one in enumerate(given):
        one = b.of(one, dtype)
        states[i] = one if batched else b("Unsqueeze", one, np.array([1], np.int64))

    def gathered(name: str, layer_: int) -> Any:
        parts = []
        for end in ends:
            part = b.of(_held(b, s, f"{name}_l{layer_}{end}"), dtype)
            part = part if kind == "RNN" else b("Gather", part, order, axis=0)
            parts.append(b("Unsqueeze", part, first))
        return parts[0] if len(parts) == 1 else b("Concat", *parts, axis=0)

    last: list[list[Any]] = [[], []]
    for layer_ in range(module.num_layers):
        weights = [gathered(n, layer_) for n in ("weight_ih", "weight_hh")]
        bias = None
        if module.bias:
            bias = b("Concat", *[gathered(n, layer_) for n in ("bias_ih", "bias_hh")], axis=1)
        here = [
            None if one is None else one if module.num_layers == 1
            else _slice(b, one, [(0, layer_ * len(ends), (layer_ + 1) * len(ends), 1)])
            for one in states
        ]  # fmt: skip
        if kind != "LSTM":
            here = here[:1]
        activation = None
        if kind == "RNN":
            name = "Relu" if module.nonlinearity == "relu" else "Tanh"
            activation = [name] * len(ends)
        y, *end_states = b(
            kind, now, *weights, bias, None, *here, outputs=3 if kind == "LSTM" else 2,
            hidden_size=size, direction="bidirectional" if len(ends) == 2 else "forward",
            linear_before_reset=1 if kind == "GRU" else None, activations=activation,
        )  # fmt: skip
        if len(ends) == 1:
            now = b("Squeeze", y, np.array([1], np.int64))
        else:
            turned = b("Transpose", y, perm=[0, 2, 1, 3])
            now = b("Reshape", turned, np.array([0, 0, -1], np.int64))
        for one, end_state in zip(last, end_states, strict=False):
            one.append(end_state)
    outputs = [now]
    outputs += [one[0] if len(one) == 1 else b("Concat", *one, axis=0) for one in last if one]
    if not batched:
        outputs = [b("Squeeze", o, np.array([1], np.int64)) for o in outputs]
    elif module.batch_first:
        outputs[0] = b("Transpose", outputs[0], perm=[1, 0, 2])
    return outputs


@layer(Operation)
def _operation(b: Builder, s: Merged, *x: Any) -> Any:
    # The node of a file that was read is written as it stood there.
    module: Any = s.step.module
    return b.node(module.name, s.step.name, x, module.results, module.given)


# -- those without a row ---------------------------------------------------------------------------

GRADIENT = "it is the derivative of a layer; export the model, not its training step"
MATRIX = "ONNX has no operator for it"
ROWS.update({
    "conv2d_weight_grad": GRADIENT, "max_pool2d_grad": GRADIENT, "max_pool2d_pick": GRADIENT,
    "inv": MATRIX, "solve": MATRIX, "pinv": MATRIX, "cholesky": MATRIX, "eigh": MATRIX,
    "svd": MATRIX, "qr": MATRIX, "matrix_exp": MATRIX,
    "cumprod": "ONNX has products of this kind from opset 26 on only",
    "unwrap": MATRIX,
    "gammaln": MATRIX, "digamma": MATRIX, "polygamma": MATRIX,
    "logcumsumexp": "ONNX has no such sums of logarithms",
    "erfc": "ONNX has erf, and 1 - erf(x) loses the digits that erfc keeps",
})  # fmt: skip


@formula("logabsdet")
def _logabsdet(m: Maths, x: Any) -> Any:
    return m("Log", m("Abs", m("Det", x)))


@row("convolve")
def _convolve(b: Builder, s: Merged, x: Any, y: Any) -> Any:
    x, y = b.of(x, s.dtypes[0]), b.of(y, s.dtypes[0])
    n = b.fixed(y.shape[0])
    turned = _slice(b, y, [(0, -1, START, -1)])
    image, kernel = (b("Unsqueeze", v, np.array([0, 1], np.int64)) for v in (x, turned))
    found = b("Conv", image, kernel, kernel_shape=[n], pads=[n - 1, n - 1])
    return b("Squeeze", found, np.array([0, 1], np.int64))


@formula("binary_cross_entropy_of_each")
def _binary_cross_entropy(m: Maths, p: Any, t: Any) -> Any:
    # As PyTorch: a logarithm is never below -100.
    yes = m("Max", m("Log", p), -100.0)
    no = m("Max", _log1p(m, m("Neg", p)), -100.0)
    return m("Neg", m("Add", m("Mul", t, yes), m("Mul", m("Sub", 1.0, t), no)))
