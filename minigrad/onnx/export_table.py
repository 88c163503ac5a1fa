"""How each operator, and each layer, is written in ONNX: one row for each.

A row is called with the file so far (``b``), the step as recorded (``s``: shapes and dtypes of its
outputs), the inputs and the operator's settings, and gives the name of the result. Where the row is
a formula, it is plain NumPy of the inputs, in the dtype of the result. An operator that ONNX cannot
express has the reason as its row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.kernels.windows import Windows, pooling, sliding
from minigrad.onnx.builder import Builder, Value
from minigrad.onnx.graph import Merged, Varying
from minigrad.onnx.load import Operation
from minigrad.onnx.load_table import BITWISE, COMPARISONS, LOGICAL, SAME

Row = Callable[..., Any]

#: Operators: name -> row, or the reason why there is none.
ROWS: dict[str, Row | str] = {}


class Layer(NamedTuple):
    """A row for the calls of a layer: those of modules that fit, with so many axes (0: any)."""

    row: Row
    fits: Callable[[Any], bool]
    axes: int


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
        LAYERS.update(dict.fromkeys(kinds, Layer(function, fits, axes)))
        return function

    return declare


def formula(function: Row) -> Row:
    """The row of a formula: a function of terms in the dtype of the result."""

    def write(b: Builder, s: Merged, *x: Any, **settings: Any) -> Any:
        return function(*[None if v is None else b.term(v, s.dtypes[0]) for v in x], **settings)

    return write


def formulas(table: dict[str, Row]) -> None:
    """Declare the rows of these operators, which are formulas."""
    ROWS.update({name: formula(function) for name, function in table.items()})


def _all_of(b: Builder, s: Merged, *x: Any, dtype: Any = None) -> list[Any]:
    """Values, arrays and numbers in this dtype, or else in that of the result; None stays."""
    return [None if each is None else b.of(each, dtype or s.dtypes[0]) for each in x]


# -- element by element ----------------------------------------------------------------------------


def _same(kind: str, dtype: Any = None) -> Row:
    """One node, with the inputs in this dtype, or else in that of the result."""

    def write(b: Builder, s: Merged, *x: Any) -> Any:
        return b(kind, *_all_of(b, s, *x, dtype=dtype))

    return write


def _compare(kind: str) -> Row:
    def write(b: Builder, s: Merged, *x: Any) -> Any:
        dtype = np.result_type(*[v.dtype if isinstance(v, Value) else v for v in x])
        if dtype == np.bool_ and kind != "Equal":
            dtype = np.dtype(np.int32)
        return b(kind, *[b.of(each, dtype) for each in x])

    return write


def _bitwise(kind: str, logical: str) -> Row:
    def write(b: Builder, s: Merged, *x: Any) -> Any:
        return _same(logical if s.dtypes[0] == np.bool_ else kind)(b, s, *x)

    return write


ROWS.update({name: _same(kind) for name, kind in {
    **SAME, "divide": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min", "det": "Det",
    "selu": "Selu", "softsign": "Softsign", "hardswish": "HardSwish", "prelu": "PRelu",
}.items()})  # fmt: skip
ROWS.update({name: _same(kind, np.bool_) for name, kind in LOGICAL.items()})
ROWS.update({name: _compare(kind) for name, kind in COMPARISONS.items()})
for (_name, _kind), _logical in zip(BITWISE.items(), LOGICAL.values(), strict=True):
    ROWS[_name] = _bitwise(_kind, _logical)


@row("not_equal")
def _not_equal(b: Builder, s: Merged, *x: Any) -> Any:
    return b("Not", _compare("Equal")(b, s, *x))


def _expm1(x: Any) -> Any:
    # exp(x) - 1 = 2 tanh(x / 2) / (1 - tanh(x / 2)), which keeps its digits near 0.
    t = np.tanh(x * 0.5)
    return np.where(abs(x) < 1.0, t * 2.0 / (1.0 - t), np.exp(x) - 1.0)


def _log1p(x: Any) -> Any:
    # log(1 + x) x / ((1 + x) - 1), which makes up for the rounding of 1 + x near 0.
    u = x + 1.0
    d = u - 1.0
    still = d == 0.0
    ratio = np.where(abs(x) < 1.0, x / np.where(still, 1.0, d), 1.0)
    return np.where(still, x, np.log(u) * ratio)


def _log_add(x: Any, y: Any, base: float) -> Any:
    gap = abs(x - y) * -math.log(base)
    return np.maximum(x, y) + _log1p(np.exp(gap)) * (1.0 / math.log(base))


def _arctan2(y: Any, x: Any) -> Any:
    # atan(y / x), moved by half a turn where x is negative; a quarter of a turn where x is 0.
    level = x == 0.0
    angle = np.arctan(y / np.where(level, 1.0, x))
    angle = np.where(x < 0.0, angle + np.where(y < 0.0, -1.0, 1.0) * math.pi, angle)
    return np.where(level, np.sign(y) * (math.pi / 2.0), angle)


def _number_of_two(function: Any) -> Row:
    def find(x: Any, y: Any) -> Any:
        return np.where(np.isnan(x), y, np.where(np.isnan(y), x, function(x, y)))

    return find


def _remainder(x: Any, y: Any) -> Any:
    return x("Mod", y) if x.dtype.kind in "iu" else x - np.floor(x / y) * y


def _floor_divide(x: Any, y: Any) -> Any:
    # The rest of integers has the sign of y, so that what is left divides evenly.
    return np.floor(x / y) if x.dtype.kind == "f" else (x - x("Mod", y)) / y


def _round(x: Any, decimals: Any = 0) -> Any:
    if decimals != 0:
        x.b.refuse(f"ONNX rounds to whole numbers only, got decimals={decimals}")
    return np.rint(x) if x.dtype.kind == "f" else x


def _trunc(x: Any) -> Any:
    return np.sign(x) * np.floor(abs(x))


def _negative(x: Any) -> Any:
    # The sign of a zero shows in its reciprocal.
    return np.where(x == 0.0, np.reciprocal(x), x) < 0.0


def _copysign(x: Any, y: Any) -> Any:
    size = abs(x)
    return np.where(_negative(y), -size, size)


def _nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    found = np.where(np.isnan(x), nan, x)
    found = np.where(x == math.inf, float(limits.max) if posinf is None else posinf, found)
    return np.where(x == -math.inf, float(limits.min) if neginf is None else neginf, found)


def _heaviside(x: Any, y: Any) -> Any:
    step = np.where(x < 0.0, 0.0, np.where(x > 0.0, 1.0, y))
    return np.where(np.isnan(x), x, step)


def _xlogy(x: Any, y: Any) -> Any:
    level = np.logical_and(x == 0.0, np.logical_not(np.isnan(y)))
    return x * np.log(np.where(level, 1.0, y))


def _sinc(x: Any, order: int) -> Any:
    if order:
        x.b.refuse("the derivatives of sinc have no row; export the model, not its gradient")
    level = x == 0.0
    angle = np.where(level, 1.0, x) * math.pi
    return np.where(level, 1.0, np.sin(angle) / angle)


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _softplus(x: Any, beta: float = 1.0) -> Any:
    return x("Softplus") if beta == 1.0 else (x * float(beta))("Softplus") / float(beta)


def _huber(d: Any, delta: float) -> Any:
    near = _clip(d, -delta, delta)
    return near * (d - near * 0.5)


def _normal_cdf(x: Any) -> Any:
    return ((x * (1.0 / math.sqrt(2.0)))("Erf") + 1.0) * 0.5


def _gelu_tanh(x: Any) -> Any:
    if x.b.opset >= 20:
        return x("Gelu", approximate="tanh")
    inner = (x + x * x * (x * 0.044715)) * math.sqrt(2.0 / math.pi)
    return x * 0.5 * (np.tanh(inner) + 1.0)


def _logistic_loss(x: Any, t: Any) -> Any:
    return x("Relu") - x * t + _log1p(np.exp(-abs(x)))


def _binary_cross_entropy(p: Any, t: Any) -> Any:
    # As PyTorch: a logarithm is never below -100.
    yes, no = np.maximum(np.log(p), -100.0), np.maximum(_log1p(-p), -100.0)
    return -(t * yes + (1.0 - t) * no)


def _affine(x: Any, scale: Any, shift: Any = None, mean: Any = None) -> Any:
    found = (x - mean) * scale
    return found if shift is None else found + shift


formulas({
    "square": lambda x: x * x, "exp2": lambda x: 2.0**x, "expm1": _expm1, "log1p": _log1p,
    "log2": lambda x: np.log(x) * (1.0 / math.log(2.0)),
    "log10": lambda x: np.log(x) * (1.0 / math.log(10.0)),
    "logaddexp": lambda x, y: _log_add(x, y, math.e),
    "logaddexp2": lambda x, y: _log_add(x, y, 2.0),
    "cbrt": lambda x: np.sign(x) * abs(x) ** (1.0 / 3.0),
    "hypot": lambda x, y: np.sqrt(x * x + y * y), "ldexp": lambda x, i: x * 2.0**i,
    "deg2rad": lambda x: x * (math.pi / 180.0), "rad2deg": lambda x: x * (180.0 / math.pi),
    "arctan2": _arctan2, "sinc": _sinc, "heaviside": _heaviside, "xlogy": _xlogy,
    "fmax": _number_of_two(np.maximum), "fmin": _number_of_two(np.minimum),
    "remainder": _remainder, "fmod": lambda x, y: x("Mod", y, fmod=1),
    "floor_divide": _floor_divide, "round": _round, "nan_to_num": _nan_to_num, "clip": _clip,
    "trunc": _trunc, "fix": _trunc, "power_constant": lambda x, exponent: x**exponent,
    "copysign": _copysign,
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: _clip(x, min_val, max_val),
    "mish": lambda x: x * np.tanh(x("Softplus")), "silu": lambda x: x * x("Sigmoid"),
    "softplus": _softplus, "normal_cdf": _normal_cdf, "gelu_tanh": _gelu_tanh,
    "softmax": lambda x, axis=-1: x("Softmax", axis=axis),
    "log_softmax": lambda x, axis=-1: x("LogSoftmax", axis=axis),
    "leaky_relu": lambda x, negative_slope=0.01: x("LeakyRelu", alpha=float(negative_slope)),
    "elu": lambda x, alpha=1.0: x("Elu", alpha=float(alpha)), "huber": _huber,
    "logistic_loss": _logistic_loss, "binary_cross_entropy_of_each": _binary_cross_entropy,
    "affine": _affine, "logabsdet": lambda x: np.log(abs(x("Det"))),
})  # fmt: skip
#: Those with a result of booleans.
TESTS: dict[str, Row] = {
    "isnan": np.isnan, "isinf": lambda x: abs(x) == math.inf,
    "isfinite": lambda x: abs(x) < math.inf, "signbit": _negative,
}  # fmt: skip


@row(*TESTS)
def _test(b: Builder, s: Merged, x: Any) -> Any:
    return TESTS[s.step.name](b.term(x, x.dtype if x.dtype.kind == "f" else np.float32))


@row("where")
def _where(b: Builder, s: Merged, condition: Any, x: Any, y: Any) -> Any:
    return b("Where", b.of(condition, np.bool_), *_all_of(b, s, x, y))


# -- shapes ----------------------------------------------------------------------------------------


@row("astype")
def _astype(b: Builder, s: Merged, x: Any, dtype: Any = None) -> Any:
    return b.of(x, s.dtypes[0])


@row("reshape")
def _reshape(b: Builder, s: Merged, x: Any, shape: Any) -> Any:
    return b.reshape(x, s.shapes[0])


@row("transpose", "swapaxes", "moveaxis")
def _transpose(b: Builder, s: Merged, x: Any, *_: Any, **settings: Any) -> Any:
    # NumPy says how, of an array in which the length of each axis is the number of the axis.
    numbered = np.empty(tuple(range(x.ndim)))
    move = getattr(np, s.step.name)
    perm = move(numbered, **{k: b.fixed(v) for k, v in settings.items()}).shape
    return b("Transpose", x, perm=perm) if perm else x


@row("squeeze")
def _squeeze(b: Builder, s: Merged, x: Any, axis: Any = None) -> Any:
    if axis is None:
        axis = [i for i, n in enumerate(x.shape) if n == 1]
    axes = _axes(axis)
    return b("Squeeze", x, axes) if axes.size else x


@row("expand_dims")
def _expand_dims(b: Builder, s: Merged, x: Any, axis: Any) -> Any:
    return b("Unsqueeze", x, _axes(axis))


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
        count = math.prod(b.fixed(x.shape))
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
    parts = _all_of(b, s, *x)
    if axis is None:
        parts = [b.reshape(p, (-1,)) for p in parts]
    return b("Concat", *parts, axis=axis or 0)


@row("stack")
def _stack(b: Builder, s: Merged, *x: Any, axis: int = 0) -> Any:
    parts = [b("Unsqueeze", each, _axes(axis)) for each in _all_of(b, s, *x)]
    return b("Concat", *parts, axis=axis)


@row("tril", "triu")
def _tri(b: Builder, s: Merged, x: Any, k: int = 0) -> Any:
    if x.ndim < 2:
        x = Value(b("Expand", x, b.lengths(s.shapes[0])), x.dtype, s.shapes[0])
    return b("Trilu", x, np.array(k, np.int64), upper=int(s.step.name == "triu"))


@row("pad")
def _pad(b: Builder, s: Merged, x: Any, pad_width: Any, constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(np.array(b.fixed(pad_width)), (x.ndim, 2)).astype(np.int64).T
    values = np.broadcast_to(np.array(b.fixed(constant_values)), (x.ndim, 2)).T
    if not x.ndim:
        return x
    if (values == values[0, 0]).all():
        return b("Pad", x, widths.ravel(), b.constant(values[0, 0], x.dtype))
    found: Any = x
    for axis, side in np.ndindex(x.ndim, 2):  # a later axis pads over the corners, as in NumPy
        if widths[side, axis]:
            one = np.zeros_like(widths)
            one[side, axis] = widths[side, axis]
            found = b("Pad", found, one.ravel(), b.constant(values[side, axis], x.dtype))
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
    wide: list[Any] = []
    for part in index if isinstance(index, tuple) else (index,):
        p: Any = b.fixed(part)
        if isinstance(p, (list, tuple, np.ndarray)):
            p = b.constant(np.array(p))
        mask = isinstance(p, (bool, np.bool_)) or (isinstance(p, Value) and p.dtype == np.bool_)
        if mask and p not in b.constants:
            b.refuse(
                "indexing with a mask gives a result whose length depends on the data; choose with "
                "mg.where"
            )
        if mask:  # the positions where it holds
            wide += [b.constant(a, np.int64) for a in np.nonzero(b.constants[str(p)])]
        else:
            wide.append(p)
    taken = sum(p is not None and p is not Ellipsis for p in wide)
    full = [slice(None)] * (x.ndim - taken)
    at = next((i for i, p in enumerate(wide) if p is Ellipsis), None)
    return _indexed(b, x, [*wide, *full] if at is None else [*wide[:at], *full, *wide[at + 1 :]])


def _indexed(b: Builder, x: Value, parts: list[Any]) -> Any:
    """``parts`` has one entry for each axis of x, and None for each new one."""
    numbers = iter(range(x.ndim))
    labels = [None if p is None else next(numbers) for p in parts]
    axes = [p for p in parts if p is not None]
    slices = []
    for a, p in enumerate(axes):
        if isinstance(p, slice) and (p.start, p.stop, p.step) != (None, None, None):
            step = 1 if p.step is None else int(b.fixed(p.step))
            first, last = (0, END) if step > 0 else (-1, START)
            start, stop = (d if n is None else n for n, d in ((p.start, first), (p.stop, last)))
            slices.append((a, start, stop, step))
    found: Any = _slice(b, x, slices) if slices else x
    chosen = [a for a, p in enumerate(axes) if not isinstance(p, slice)]
    index = [b.of(axes[a], np.int64) for a in chosen]
    # The axes of the indices, and of those of x that are left: as they come, and as NumPy has them.
    new = [f"index {i}" for i in range(max((i.ndim for i in index), default=0))]
    order: list[Any] = list(range(x.ndim))
    if len(chosen) < 2 or not new:
        for a, i in reversed([*zip(chosen, index, strict=True)]):
            found = b("Gather", found, i, axis=a)
            order[a : a + 1] = new
    else:
        rest = [a for a in order if a not in chosen]
        if chosen != order[: len(chosen)]:
            found = b("Transpose", found, perm=[*chosen, *rest])
        shape, last = _broadcast([i.shape for i in index]), _axes(-1)
        index = [i if tuple(i.shape) == shape else b("Expand", i, b.lengths(shape)) for i in index]
        joined = b("Concat", *[b("Unsqueeze", i, last) for i in index], axis=-1)
        found = b("GatherND", found, joined)
        order = [*new, *rest]
    layout: list[Any] = [n for n in labels if n not in chosen]
    places = [i for i, n in enumerate(labels) if n in chosen]
    together = places == list(range(places[0], places[-1] + 1)) if places else False
    at = places[0] if together else 0  # where they stood together, and else in front
    layout[at:at] = new
    perm = [order.index(n) for n in layout if n is not None]
    if perm != sorted(perm):
        found = b("Transpose", found, perm=perm)
    added = [i for i, n in enumerate(layout) if n is None]
    return b("Unsqueeze", found, _axes(added)) if added else found


def _broadcast(shapes: list[Any]) -> tuple[Any, ...]:
    width = max(map(len, shapes))
    found = []
    for lengths in zip(*[(1,) * (width - len(s)) + tuple(s) for s in shapes], strict=True):
        longer = [n for n in lengths if isinstance(n, Varying) or n != 1]
        found.append(longer[0] if longer else 1)
    return tuple(found)


@row("scatter")
def _scatter(b: Builder, s: Merged, x: Any, index: Any, shape: Any) -> Any:
    shape = b.fixed(s.shapes[0])
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


def _reduced(x: Any, kind: str, axis: Any = None, keepdims: Any = False) -> Any:
    axes = _axes(x.b.fixed(axis))
    none = axes is not None and not axes.size
    return x(
        kind, None if none else axes, keepdims=int(bool(keepdims)),
        noop_with_empty_axes=1 if none else None,
    )  # fmt: skip


formulas({name: functools.partial(_reduced, kind=kind) for name, kind in {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp", "euclidean_norm": "ReduceL2",
}.items()})  # fmt: skip


def _var(x: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
    off = x - _reduced(x, "ReduceMean", axis, True)
    found = _reduced(off * off, "ReduceMean", axis, keepdims)
    along = range(x.ndim) if axis is None else _axes(x.b.fixed(axis))
    n = math.prod(x.b.fixed(x.shape[int(a)]) for a in along) if ddof else 1
    return found * (n / (n - ddof)) if ddof else found


def _p_norm(x: Any, p: float, axis: Any = None, keepdims: Any = False) -> Any:
    if math.isinf(p):
        return _reduced(abs(x), "ReduceMax" if p > 0 else "ReduceMin", axis, keepdims)
    if p == 0:
        return _reduced(np.where(x == 0.0, 0.0, 1.0), "ReduceSum", axis, keepdims)
    return _reduced(abs(x) ** float(p), "ReduceSum", axis, keepdims) ** (1.0 / p)


def _cumsum(x: Any, axis: Any = None) -> Any:
    line = x.b.reshape(x.value, (-1,)) if axis is None else x
    return x.b("CumSum", line, np.array(axis or 0, np.int64))


formulas({
    "var": _var, "std": lambda x, **settings: np.sqrt(_var(x, **settings)), "p_norm": _p_norm,
    "cumsum": _cumsum, "einsum": lambda *x, subscripts: x[0]("Einsum", *x[1:], equation=subscripts),
})  # fmt: skip


@row("argmax", "argmin")
def _arg(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    kind = "ArgMax" if s.step.name == "argmax" else "ArgMin"
    if x.dtype == np.bool_:
        x = b.of(x, np.int32)
    if axis is None:
        found = b(kind, b.reshape(x, (-1,)), axis=0, keepdims=0)
        return b.reshape(found, s.shapes[0])
    return b(kind, x, axis=int(axis), keepdims=int(bool(keepdims)))


@row("any", "all", "count_nonzero")
def _count(b: Builder, s: Merged, x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    kind = {"any": "ReduceMax", "all": "ReduceMin"}.get(s.step.name, "ReduceSum")
    whole = b.term(b.of(x, np.bool_), np.int64)
    found = _reduced(whole, kind, axis, keepdims)
    return found if kind == "ReduceSum" else b("Cast", found, to=9)


@row("argsort")
def _argsort(b: Builder, s: Merged, x: Any, axis: Any = -1, *rest: Any) -> Any:
    if axis is None:
        b.refuse("sorting a flattened array is not in the table; give an axis")
    n = b.lengths([x.shape[axis]])
    return b("TopK", x, n, axis=int(axis), largest=0, sorted=1, outputs=2)[1]


# -- layers' operators -----------------------------------------------------------------------------


def _size(b: Builder, shape: Any) -> Any:
    """The height and width in a shape (N, C, H, W)."""
    return b.fixed(shape[2:])


def _places(windows: Windows, **more: Any) -> dict[str, Any]:
    """Where windows stand, as attributes of a node."""
    (top, bottom), (left, right) = windows.padding
    pads = [top, left, bottom, right]
    return {"kernel_shape": windows.kernel, "strides": windows.stride, "pads": pads, **more}


def _conv(b: Builder, x: Any, weight: Any, bias: Any, windows: Windows, groups: int) -> Any:
    places = _places(windows, dilations=windows.dilation, group=groups)
    return b("Conv", x, weight, bias, **places)


def _transposed(b: Builder, x: Any, weight: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """The transpose of a convolution over these windows."""
    spans = zip(
        windows.padded, windows.out, windows.kernel, windows.stride, windows.dilation, strict=True
    )
    extra = [n - ((o - 1) * st + d * (k - 1) + 1) for n, o, k, st, d in spans]
    places = _places(windows, dilations=windows.dilation, group=groups)
    return b("ConvTranspose", x, weight, bias, **places, output_padding=extra)


@row("conv2d")
def _conv2d(
    b: Builder, s: Merged, x: Any, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    windows = sliding("conv2d", _size(b, x.shape), weight.shape[2:], stride, padding, dilation)
    x, weight, bias = _all_of(b, s, x, weight, bias)
    return _conv(b, x, weight, bias, windows, groups)


@row("conv2d_input_grad")
def _conv2d_input_grad(
    b: Builder, s: Merged, g: Any, weight: Any, windows: Any, groups: int
) -> Any:  # fmt: skip
    g, weight = _all_of(b, s, g, weight)
    return _transposed(b, g, weight, None, Windows(*b.fixed(windows)), groups)


def _taps(windows: Windows, channels: int, dtype: Any) -> Any:
    """The kernels, one for each channel and place in the window, that pick one element each."""
    taps = math.prod(windows.kernel)
    return np.tile(np.eye(taps, dtype=dtype).reshape(taps, 1, *windows.kernel), (channels, 1, 1, 1))


@row("im2col")
def _im2col(b: Builder, s: Merged, x: Any, kernel_size: Any, **settings: Any) -> Any:
    windows = sliding("im2col", _size(b, x.shape), kernel_size, **settings)
    c = b.fixed(x.shape[1])
    return b.reshape(_conv(b, x, _taps(windows, c, x.dtype), None, windows, c), s.shapes[0])


@row("col2im")
def _col2im(
    b: Builder, s: Merged, cols: Any, x_shape: Any, kernel_size: Any, **settings: Any
) -> Any:
    n, c = s.shapes[0][:2]
    windows = sliding("col2im", _size(b, s.shapes[0]), kernel_size, **settings)
    image = b.reshape(cols, (n, cols.shape[1], *windows.out))
    return _transposed(b, image, _taps(windows, b.fixed(c), cols.dtype), None, windows, b.fixed(c))


@row("linear")
def _linear(b: Builder, s: Merged, x: Any, weight: Any, bias: Any = None) -> Any:
    x, weight, bias = _all_of(b, s, x, weight, bias)
    if x.ndim == 2:
        return b("Gemm", x, weight, bias, transB=1)
    product = b("MatMul", x, b("Transpose", weight, perm=[1, 0]))
    return product if bias is None else b("Add", product, bias)


@row("weigh")
def _weigh(b: Builder, s: Merged, x: Any, matrix: Any, axis: int) -> Any:
    x, matrix = b.of(x, s.dtypes[0]), np.asarray(b.fixed(matrix), s.dtypes[0])
    return b("MatMul", x, matrix.T.copy()) if axis == -1 else b("MatMul", matrix, x)


def _normalize(
    x: Any, weight: Any = None, bias: Any = None, axis: Any = (0,), eps: float = 1e-5,
    known: Any = None,
) -> Any:  # fmt: skip
    axes = sorted(a % x.ndim for a in axis)
    outer = x.ndim - len(axes)
    last = axes == list(range(outer, x.ndim))
    parts = [p for p in (weight, bias) if p is not None]
    if last and all(n == 1 for p in parts for n in p.shape[:outer]):
        shape = x.b.fixed(x.shape[outer:])
        if math.prod(shape):
            scale = np.ones(shape, x.dtype) if weight is None else _without_ones(weight, outer)
            shift = None if bias is None else _without_ones(bias, outer)
            return x("LayerNormalization", scale, shift, axis=outer - x.ndim, epsilon=float(eps))
    off = x - _reduced(x, "ReduceMean", axes, True)
    found = off / np.sqrt(_reduced(off * off, "ReduceMean", axes, True) + float(eps))
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def _without_ones(x: Any, count: int) -> Any:
    """The parameter that was given as many axes as the input, without these."""
    if not count:
        return x
    nodes = x.b.nodes
    made = next(
        (n for n in reversed(nodes) if n.output[0] == x.value and n.op_type == "Reshape"), None
    )
    if made is not None:
        nodes.remove(made)
        return made.input[0]
    return x("Squeeze", np.arange(count, dtype=np.int64))


@row("max_pool2d")
def _max_pool2d(b: Builder, s: Merged, x: Any, windows: Any) -> Any:
    windows = Windows(*b.fixed(windows))
    return b("MaxPool", x, **_places(windows), dilations=windows.dilation)


@row("sum_pool2d", "sum_pool2d_grad")
def _sum_pool2d(b: Builder, s: Merged, x: Any, windows: Any) -> Any:
    windows, c = Windows(*b.fixed(windows)), b.fixed(x.shape[1])
    write = _conv if s.step.name == "sum_pool2d" else _transposed
    ones = np.ones((c, 1, *windows.kernel), s.dtypes[0])
    return write(b, b.of(x, s.dtypes[0]), ones, None, windows, c)


def _gates(x: Any, count: int) -> Any:
    sizes = np.array([x.b.fixed(x.shape[-1]) // count] * count, np.int64)
    return x("Split", sizes, axis=-1, outputs=count)


def _lstm_cell(gates: Any, cell: Any) -> Any:
    i, f, g, _ = _gates(gates, 4)
    return f("Sigmoid") * cell + i("Sigmoid") * np.tanh(g)


def _gru_hidden(x: Any, h: Any, hidden: Any) -> Any:
    (xr, xz, xn), (hr, hz, hn) = _gates(x, 3), _gates(h, 3)
    r, z = (xr + hr)("Sigmoid"), (xz + hz)("Sigmoid")
    return (1.0 - z) * np.tanh(xn + r * hn) + z * hidden


formulas({
    "normalize": _normalize, "lstm_cell": _lstm_cell, "gru_hidden": _gru_hidden,
    "lstm_hidden": lambda gates, cell: _gates(gates, 4)[3]("Sigmoid") * np.tanh(cell),
})  # fmt: skip


@row("index_cross_entropy")
def _index_cross_entropy(b: Builder, s: Merged, logits: Any, labels: Any, reduction: str) -> Any:
    return b("SoftmaxCrossEntropyLoss", logits, b.of(labels, np.int64), reduction=reduction)


@row("convolve")
def _convolve(b: Builder, s: Merged, x: Any, y: Any) -> Any:
    x, y = _all_of(b, s, x, y)
    n = b.fixed(y.shape[0])
    turned = _slice(b, y, [(0, -1, START, -1)])
    image, kernel = (b("Unsqueeze", v, _axes([0, 1])) for v in (x, turned))
    found = b("Conv", image, kernel, kernel_shape=[n], pads=[n - 1, n - 1])
    return b("Squeeze", found, _axes([0, 1]))


# -- layers ----------------------------------------------------------------------------------------


def _held(b: Builder, s: Merged, *names: str) -> list[Any]:
    """Parameters or buffers of the layer as values, None where it has none."""
    tensors = [s.step.module.__dict__.get(name) for name in names]
    return _all_of(b, s, *[None if t is None else b.parameter(t) for t in tensors])


def _scale_and_shift(b: Builder, s: Merged, n: int) -> list[Any]:
    """The weight and bias of the layer, or what changes nothing."""
    weight, bias = _held(b, s, "weight", "bias")
    weight = np.ones(n, s.dtypes[0]) if weight is None else weight
    return [weight, np.zeros(n, s.dtypes[0]) if bias is None else bias]


@layer(nn.GELU)
def _gelu(b: Builder, s: Merged, x: Any) -> Any:
    term, module = b.term(x, s.dtypes[0]), s.step.module
    if module.approximate == "tanh":  # type: ignore[union-attr]
        return _gelu_tanh(term)
    return term("Gelu") if b.opset >= 20 else term * _normal_cdf(term)


@layer(nn.BatchNorm1d, nn.BatchNorm2d, fits=lambda module: module.running_mean is not None)
def _batch_norm(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    of = [b.of(x, s.dtypes[0]), *_scale_and_shift(b, s, module.num_features)]
    stats = _held(b, s, "running_mean", "running_var")
    return b("BatchNormalization", *of, *stats, epsilon=float(module.eps))


@layer(nn.Embedding, fits=lambda module: not isinstance(module, nn.EmbeddingBag))
def _embedding(b: Builder, s: Merged, x: Any) -> Any:
    return b("Gather", *_held(b, s, "weight"), x, axis=0)


@layer(nn.GroupNorm)
def _group_norm(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    x, groups, eps = b.of(x, s.dtypes[0]), module.num_groups, float(module.eps)
    if b.opset >= 21:
        of = _scale_and_shift(b, s, module.num_channels)
        return b("GroupNormalization", x, *of, num_groups=groups, epsilon=eps)
    # Before, the scales were those of groups: instances of one long signal for each group.
    lines = b("Reshape", x, np.array([0, groups, -1], np.int64))
    same = [make(groups, s.dtypes[0]) for make in (np.ones, np.zeros)]
    found = b.reshape(b("InstanceNormalization", lines, *same, epsilon=eps), x.shape)
    for kind, part in zip(("Mul", "Add"), _held(b, s, "weight", "bias"), strict=True):
        if part is not None:
            wide = b("Reshape", part, np.array([-1] + [1] * (x.ndim - 2), np.int64))
            found = b(kind, found, wide)
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
    m: Any = s.step.module
    windows = pooling("avg_pool2d", _size(b, x.shape), m.kernel_size, m.stride, m.padding)
    counted = int(m.count_include_pad)
    x = b.of(x, s.dtypes[0])
    return b("AveragePool", x, **_places(windows), count_include_pad=counted)


@layer(nn.LocalResponseNorm, fits=lambda module: module.size % 2 == 1)
def _local_response_norm(b: Builder, s: Merged, x: Any) -> Any:
    m: Any = s.step.module
    settings: Any = {"alpha": float(m.alpha), "beta": float(m.beta), "bias": float(m.k)}
    x = b.of(x, s.dtypes[0])
    wide = b("Unsqueeze", x, _axes(-1)) if x.ndim == 3 else x
    found = b("LRN", wide, size=m.size, **settings)
    return b("Squeeze", found, _axes(-1)) if x.ndim == 3 else found


@layer(nn.ConvTranspose2d, axes=4)
def _conv_transpose(b: Builder, s: Merged, x: Any) -> Any:
    m: Any = s.step.module
    weight, bias = _held(b, s, "weight", "bias")
    size, kernel, padding = _size(b, s.shapes[0]), weight.shape[2:], m.padding
    if isinstance(padding, (int, tuple)):
        padding = tuple([(p, p) for p in np.broadcast_to(padding, 2).tolist()])
    windows = sliding("conv2d", size, kernel, m.stride, padding, m.dilation)
    return _transposed(b, b.of(x, s.dtypes[0]), weight, bias, windows, m.groups)


@layer(nn.Upsample, fits=lambda module: module.mode in ("nearest", "bilinear"), axes=4)
def _upsample(b: Builder, s: Merged, x: Any) -> Any:
    module: Any = s.step.module
    settings: Any = {"mode": "nearest", "nearest_mode": "floor"}
    place = "asymmetric"
    if module.mode == "bilinear":
        settings = {"mode": "linear"}
        place = "align_corners" if module.align_corners else "half_pixel"
    sizes = scales = None
    if module.size is not None or place == "align_corners":
        sizes = np.array(_size(b, s.shapes[0]), np.int64)
    else:
        both = module.scale_factor
        both = both if isinstance(both, (tuple, list)) else (both, both)
        pairs = zip(both, x.shape[2:], s.shapes[0][2:], strict=True)
        scales = np.array([1.0 if n == m else f for f, n, m in pairs], np.float32)
    settings["coordinate_transformation_mode"] = place
    return b("Resize", x, None, scales, sizes, axes=[2, 3], **settings)


# Where the gates of ONNX stand in PyTorch's order: i o f c of i f g o; z r h of r z n.
ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}


def _same_dtypes(module: Any) -> bool:
    return len({p.dtype for p in module.parameters()}) == 1


@layer(nn.LSTM, nn.GRU, nn.RNN, fits=_same_dtypes)
def _recurrent(b: Builder, s: Merged, x: Any, state: Any = None) -> Any:
    module: Any = s.step.module
    kind, size, count = type(module).__name__, module.hidden_size, module.num_layers
    order = np.concatenate([np.arange(size) + i * size for i in ORDER[kind]]).astype(np.int64)
    ends = module._directions()
    x = b.of(x, s.dtypes[0])
    batched = x.ndim == 3
    now: Any = x
    if not batched:
        now = b("Unsqueeze", now, _axes(1))
    elif module.batch_first:
        now = b("Transpose", now, perm=[1, 0, 2])
    given = [] if state is None else state if isinstance(state, tuple) else [state]
    states = _all_of(b, s, *given)
    if not batched:
        states = [b("Unsqueeze", one, _axes(1)) for one in states]

    def gathered(name: str, layer_: int) -> Any:
        parts = _held(b, s, *[f"{name}_l{layer_}{end}" for end in ends])
        parts = parts if kind == "RNN" else [b("Gather", part, order, axis=0) for part in parts]
        return joined([b("Unsqueeze", part, _axes(0)) for part in parts])

    def joined(parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else b("Concat", *parts, axis=0)

    last = []
    for layer_ in range(count):
        weights = [gathered(n, layer_) for n in ("weight_ih", "weight_hh")]
        bias = None
        if module.bias:
            bias = b("Concat", *[gathered(n, layer_) for n in ("bias_ih", "bias_hh")], axis=1)
        rows = (0, layer_ * len(ends), (layer_ + 1) * len(ends), 1)
        here = states if count == 1 else [_slice(b, one, [rows]) for one in states]
        activation = None
        if kind == "RNN":
            activation = ["Relu" if module.nonlinearity == "relu" else "Tanh"] * len(ends)
        y, *end_states = b(
            kind, now, *weights, bias, None, *here, outputs=3 if kind == "LSTM" else 2,
            hidden_size=size, direction="bidirectional" if len(ends) == 2 else "forward",
            linear_before_reset=1 if kind == "GRU" else None, activations=activation,
        )  # fmt: skip
        if len(ends) == 1:
            now = b("Squeeze", y, _axes(1))
        else:
            turned = b("Transpose", y, perm=[0, 2, 1, 3])
            now = b("Reshape", turned, np.array([0, 0, -1], np.int64))
        last.append(end_states)
    outputs = [now, *[joined(list(one)) for one in zip(*last, strict=True)]]
    if not batched:
        outputs = [b("Squeeze", o, _axes(1)) for o in outputs]
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
