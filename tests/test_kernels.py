"""Every kernel agrees with its plain definition, and another set can take the kernels' place."""

import ast
import functools
import importlib
import inspect
import math
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.kernels import (
    activations,
    blas,
    blocks,
    convolution,
    current,
    elementwise,
    lent,
    linear as kernels_linear,
    normal_distribution,
    normalisation,
    plain,
    pooling as kernels_pooling,
    scatter as kernels_scatter,
    softmax as kernels_softmax,
    threads,
    winograd,
)
from minigrad.kernels.windows import pooling, sliding
from minigrad.operators.indexing import scatter

#: How many arguments are drawn for each kernel; convolutions have many ways to go.
DRAWS, CONVOLUTIONS = 40, 100


class Draw:
    """Random arguments of one dtype: now and then empty arrays, and arrays that are not contiguous."""

    def __init__(self, seed, dtype):
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)

    def int(self, least, most):
        return int(self.rng.integers(least, most + 1))

    def of(self, *choices):
        return choices[self.int(0, len(choices) - 1)]

    def pair(self, least, most):
        return self.int(least, most), self.int(least, most)

    def array(self, *shape, low=-1.0):
        """Numbers in [low, 1) in C order or another: Fortran's, with steps, images' channels last."""
        x = self.rng.uniform(low, 1, shape).astype(self.dtype)
        order = self.int(0, 3)
        if x.ndim == 4 and self.int(0, 2) == 0:
            return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
        if order == 1:
            return np.asfortranarray(x)
        if order == 2:
            wide = np.zeros((*shape, 2), self.dtype)
            wide[..., 1] = x
            return wide[..., 1]
        return x[::-1] if order == 3 and x.ndim else x

    def batch(self):
        return self.of(0, 1, 2, 5)

    def windows(self, size):
        """Windows with any stride, dilation and kind of padding."""
        kernel, dilation = self.pair(1, 3), self.pair(1, 2)
        padding = self.of(
            0, self.pair(0, 3), (self.pair(0, 2), self.pair(0, 2)), "same", "valid", 2,
            ((self.of(0, 7), self.of(0, 7)), (1, 0)),  # whole bands of nothing but padding
        )  # fmt: skip
        stride = self.of(1, self.pair(1, 3))
        return sliding("test", size, kernel, stride, padding, dilation)

    def image(self, most=9):
        """An image and windows on it."""
        n, c, size = self.batch(), self.int(1, 4), self.pair(5, most)
        return self.array(n, c, *size), self.windows(size)

    def convolution(self):
        """x, w, g, windows and groups; one in four large enough for Winograd's algorithm."""
        if self.int(0, 3) == 0:
            n, c, o, size = self.of(1, 3), self.of(16, 33), self.of(16, 40), self.pair(8, 12)
            windows = sliding(
                "test",
                size,
                (3, self.of(2, 3)),
                1,
                self.of(0, 1, ((0, 2), (1, 0)), ((7, 9), (1, 2))),
            )
            groups = 1
        else:
            groups = self.int(1, 3)
            n, c, o, size = self.batch(), self.int(0, 3), self.int(1, 3), self.pair(5, 14)
            windows = self.windows(size) if self.int(0, 3) else sliding("test", size, 1)
        x = self.array(n, c * groups, *size)
        w, g = self.array(o * groups, c, *windows.kernel), self.array(n, o * groups, *windows.out)
        return x, w, g, windows, groups

    def pooled(self):
        """An image with ties, now and then with NaN and -inf, its maxima, and windows."""
        x = self.array(self.batch(), self.of(self.int(1, 3), 18), *self.pair(6, 9))
        if self.int(0, 1):
            x = np.round(x * 2)
        if self.int(0, 2) == 0:
            x = x - self.dtype.type(3)  # below the zeros that padding could be mistaken for
        if self.int(0, 3) == 0:
            x = np.where(x > 0.7, np.nan, np.where(x < -0.3, -np.inf, x)).astype(self.dtype)
        kernel = self.pair(1, 3)
        padding = (self.int(0, kernel[0] // 2), self.int(0, kernel[1] // 2))
        stride = self.of(None, self.pair(1, 3))
        dilation = self.of(1, 2)
        windows = pooling(
            "test", x.shape[2:], kernel, stride, padding, dilation, bool(self.int(0, 1))
        )
        return x, plain.max_pool2d(x, windows), windows

    def normal(self):
        """x, weight, bias, axis and moments (or None), as batch, layer and group norm give them."""
        last = self.of(self.int(0, 3), self.int(1, 3), 1100)  # longer than one run of a sum
        shape = (self.batch(), self.int(1, 3), self.int(1, 4), last)
        axis = self.of((0, 2, 3), (2, 3), (-1,), (1, 2, 3))
        gone = {a % 4 for a in axis}
        along = self.of(gone, set(range(4)) - gone)
        if axis == (2, 3) and self.int(0, 2):
            # Group norm has one number for each channel of a group, instance norm one for each.
            along = self.of({0, 3}, {0, 2, 3})
        like = [1 if a in along else n for a, n in enumerate(shape)]
        x = self.array(*shape)
        x = np.ascontiguousarray(x) if self.int(0, 2) else x
        weight, bias = (self.of(None, self.array(*like)) for _ in range(2))
        return x, weight, bias, axis, self.of(None, plain.moments(x, axis))

    def states(self, gates):
        lead = self.of((), (0,), (3,), (2, 4))
        return lead, self.of(self.int(0, 4), 19), gates


def _convolution(name, draw):
    x, w, g, windows, groups = draw.convolution()
    bias = draw.of(None, draw.array(len(w)))
    return {
        "conv2d": (x, w, bias, windows, groups),
        "conv2d_input_grad": (g, w, windows, groups),
        "conv2d_weight_grad": (x, g, windows, groups),
    }[name]


def _pooling(name, draw):
    x, ans, windows = draw.pooled()
    g, c = draw.array(*ans.shape), draw.array(*x.shape)
    return {
        "max_pool2d": (x, windows),
        "max_pool2d_grad": (g, x, ans, windows),
        "max_pool2d_pick": (c, x, ans, windows),
        "sum_pool2d": (c, windows),
        "sum_pool2d_grad": (g, windows),
    }[name]


def _normalisation(name, draw):
    x, weight, bias, axis, known = draw.normal()
    if name == "moments":
        return x, axis
    if name == "normalize":
        return x, weight, bias, axis, 1e-3, known
    needed = [0] + [i for i, a in ((1, weight), (2, bias)) if a is not None and draw.int(0, 3)]
    return draw.array(*x.shape), needed, x, weight, bias, axis, 1e-3, known


def _affine(draw):
    n, c, m = draw.batch(), draw.int(0, 3), draw.int(1, 4)
    each = (1, c, 1)
    return (
        draw.array(n, c, m), draw.array(*each), draw.of(None, draw.array(*each)), draw.array(*each),
    )  # fmt: skip


def _activation(name, draw):
    """The arguments of an activation function or its gradient, now and then with NaN and inf."""
    shape = draw.of((1,), (0,), (3, 2), (70, 3))
    x = draw.of(1, 10, 100) * draw.array(*shape)
    if draw.int(0, 3) == 0:
        x = np.where(x > 0, np.round(x), draw.of(np.nan, np.inf, -0.0)).astype(draw.dtype)
    g = draw.of(draw.array(*shape), np.broadcast_to(draw.dtype.type(0.7), shape))
    settings = {
        "leaky_relu": (draw.of(0.01, 0.0, 1.0, -0.5, 2.0),), "softplus": (draw.of(1.0, 2.5),),
        "elu": (draw.of(1.0, 0.3, 1.7, 0.0, -0.5), draw.of(1.0, 1.05)),
    }  # fmt: skip
    given = settings.get(name.removesuffix("_grad"), ())
    return (g, x, *given) if name.endswith(("_grad", "_density")) else (x, *given)


def _rows(name, draw):
    """The arguments of softmax and of losses, now and then with infinite logits."""
    # Compiled loops begin at 16 columns, and go on in float64 after 4096.
    shape = (draw.of(0, 1, 5, 40), draw.of(draw.int(1, 4), 37, 4100)) if "cross" in name else draw.of(
        (1,), (5, 4), (0, 3), (2, 3, 9), (3, 2, 16), (7, 37), (2, 4100)
    )  # fmt: skip
    x = draw.of(1, 100) * draw.array(*shape)
    if draw.int(0, 3) == 0 and x.size and "log_softmax_grad" not in name:
        x = x.copy()
        x.flat[0] = draw.of(-np.inf, np.inf, np.nan)
    g = draw.array(*shape)
    if "cross" in name:
        labels = draw.rng.integers(0, shape[1], shape[0])
        g = draw.of(g[:, 0], np.asarray(0.3, draw.dtype))
        return (g, x, labels) if name.endswith("_grad") else (x, labels)
    if "loss" in name:
        t = draw.of(np.abs(draw.array(*shape)), np.broadcast_to(draw.dtype.type(1), shape))
        return (g, x, t) if name.endswith("_grad") else (x, t)
    axis = draw.int(-len(shape), len(shape) - 1)
    if name == "log_softmax_grad":
        x = -np.abs(x)
    return (g, x, axis) if name.endswith("_grad") else (x, axis)


def _recurrence(name, draw):
    lead, n, of = draw.states(3 if name.startswith("gru") else 4)
    gates = [8 * draw.array(*lead, of * n) for _ in range(2 if of == 3 else 1)]
    arrays = [*gates, draw.array(*lead, n)]
    return (draw.array(*lead, n), *arrays) if name.endswith("_grad") else tuple(arrays)


def _index(draw):
    """A shape and an index of any kind, with places that repeat, few or many times."""
    rows, width = draw.int(1, 5), draw.int(0, 3)
    places = draw.rng.integers(-rows, rows, draw.of((4,), (2, 3), (0,), (50,), (700,)))
    columns = draw.rng.integers(-width, max(width, 1), places.shape)
    index = draw.of(
        places, (places,), (places, slice(None)), draw.rng.random(rows) < 0.5, slice(None, None, -2),
        draw.int(0, rows - 1), (..., None, 0) if width else ..., (np.array([0, 0, -1]), slice(None)),
        draw.rng.random((rows, width)) < 0.5, (places, columns) if width else places,
        (draw.rng.permutation(rows)[:, None], np.arange(width)), (slice(None), columns[:0]),
        (slice(None), columns) if width else ..., places % min(rows, 2),
    )  # fmt: skip
    return (rows, width), index


def _gather(draw):
    shape, index = _index(draw)
    return draw.array(*shape), index


def _scatter(draw):
    shape, index = _index(draw)
    return draw.array(*np.zeros(shape)[index].shape), index, shape


def _linear(draw):
    lead, inner, outer = draw.of((), (0,), (1,), (7,), (2, 3)), draw.int(0, 5), draw.int(0, 9)
    bias = draw.of(None, draw.array(outer))
    return draw.array(*lead, inner), draw.array(outer, inner), bias


def _triangle(draw):
    m, n = draw.of(0, 1, 4, 33, 70), draw.of(0, 1, 5, 40, 70)
    shape = draw.of((m, n), (draw.batch(), m, n), (m,))
    return (
        draw.array(*shape),
        draw.int(-75, 75) if draw.int(0, 1) else draw.int(-3, 3),
        bool(draw.int(0, 1)),
    )


def _weigh(draw):
    matrix = np.where(draw.rng.random((4, 3)) < 0.5, 0.0, draw.rng.uniform(-1, 1, (4, 3)))
    axis = draw.of(-1, -2)
    x = draw.array(draw.batch(), *((3, 2) if axis == -2 else (2, 3)))
    if draw.int(0, 2) == 0:
        x = np.where(x > 0.5, draw.of(np.nan, np.inf, -np.inf), x).astype(draw.dtype)
        x = np.where(x < -0.7, np.inf, x).astype(draw.dtype)
    return x, matrix, axis


def _adam(draw):
    n = draw.int(0, 40)
    p, g, s, m = (draw.array(n).copy() for _ in range(4))
    v, largest = draw.array(n, low=0.0).copy(), draw.of(None, draw.array(n, low=0.0).copy())
    return p, g, s, m, v, largest, 0.9, 0.99, 0.01, draw.of(1e-3, 0.1)


def _sgd(draw):
    n = draw.int(0, 40)
    p, g, s, b = (draw.array(n).copy() for _ in range(4))
    return p, g, s, draw.of(None, b), 0.1, 0.9, draw.of(1.0, 0.5), bool(draw.int(0, 1))


def _sums(draw):
    shape = draw.of((3000, 3), (2, 1500, 2), (0, 3), (5,), ())
    axis = draw.of(None, *range(-len(shape), len(shape)), tuple(range(len(shape))))
    return draw.array(*shape, low=0.0), axis, bool(draw.int(0, 1))


def _running(draw):
    shape = draw.of((5,), (3, 7), (41, 2), (0, 3), (2, 0), (3, 4, 70), (6, 33, 1))
    x = draw.array(*shape)
    if draw.int(0, 3) == 0:
        x = np.where(x > 0.7, draw.of(np.nan, np.inf, -np.inf), x).astype(draw.dtype)
    return x, draw.int(0, len(shape) - 1)


def _columns(draw):
    x, windows = draw.image()
    columns = (len(x), x.shape[1] * math.prod(windows.kernel), math.prod(windows.out))
    return draw.array(*columns), windows


#: The drawn arguments of each kernel.
ARGUMENTS = {
    **{name: functools.partial(_activation, name)
       for name in ("logistic", "relu", "silu", "gelu_tanh", "leaky_relu", "elu", "softplus", "normal_cdf")},
    **{name: functools.partial(_activation, name)
       for name in ("logistic_grad", "relu_grad", "silu_grad", "gelu_tanh_grad", "leaky_relu_grad", "elu_grad", "normal_density")},
    "im2col": lambda draw: draw.image(),
    "col2im": _columns,
    "linear": _linear,
    "product": lambda draw: (draw.array(draw.batch(), 3), draw.array(3, draw.int(0, 4))),
    "adam": _adam,
    "affine": _affine,
    "gather": _gather,
    "running_product": _running,
    "running_sum": _running,
    "scatter": _scatter,
    "sgd": _sgd,
    "mean": lambda draw: _sums(draw),
    "total": _sums,
    "triangle": _triangle,
    "weigh": _weigh,
    **{name: functools.partial(_convolution, name)
       for name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")},
    **{name: functools.partial(_pooling, name)
       for name in ("max_pool2d", "max_pool2d_grad", "max_pool2d_pick", "sum_pool2d", "sum_pool2d_grad")},
    **{name: functools.partial(_normalisation, name)
       for name in ("moments", "normalize", "normalize_grad")},
    **{name: functools.partial(_rows, name)
       for name in ("softmax", "softmax_grad", "log_softmax", "log_softmax_grad", "cross_entropy",
                    "cross_entropy_grad", "logistic_loss", "logistic_loss_grad")},
    **{name: functools.partial(_recurrence, name)
       for name in ("lstm_cell", "lstm_cell_grad", "lstm_hidden", "lstm_hidden_grad",
                    "gru_hidden", "gru_hidden_grad")},
}  # fmt: skip
KERNELS = sorted(current.MODULES)
#: The arguments that a kernel writes to, by their number, and those that it may spoil.
WRITTEN = {"adam": ((0, 3, 4, 5), (1, 2)), "sgd": ((0, 3), (1, 2))}


def is_plain(module, name, found):
    return name.startswith("plain_") and found.__module__ == module.__name__


def test_a_name_that_no_kernel_has_is_no_attribute():
    for kernels in (current, plain):
        with pytest.raises(AttributeError, match="there is no kernel 'conv9d'"):
            kernels.conv9d


def test_every_kernel_has_a_plain_definition_with_the_same_arguments():
    modules = {importlib.import_module(f"minigrad.kernels.{m}") for m in current.MODULES.values()}
    plains = [name for m in modules for name, f in vars(m).items() if is_plain(m, name, f)]
    assert sorted(plains) == [f"plain_{name}" for name in KERNELS]
    assert sorted(ARGUMENTS) == KERNELS
    for name in KERNELS:
        fast, definition = getattr(current, name), getattr(plain, name)
        assert definition.__name__ == f"plain_{name}"
        place = fast.__module__.replace(".compiled", "")
        assert place == definition.__module__, "the definition stands beside the kernel"
        assert inspect.signature(fast) == inspect.signature(definition)


def results(found):
    return list(found) if isinstance(found, (list, tuple)) else [found]


def compiled_modules():
    return [m for name, m in sys.modules.items() if name.startswith("minigrad.kernels.compiled.")]


def copied(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_every_kernel_agrees_with_its_plain_definition(name, dtype, monkeypatch):
    monkeypatch.setattr(convolution, "FEW", 0)  # or small convolutions are the definition itself
    monkeypatch.setattr(activations, "LARGE", 0)
    monkeypatch.setattr(elementwise, "PIECE", 64)
    monkeypatch.setattr(threads, "WORTH_SPLITTING", 0.0)
    monkeypatch.setattr(normalisation, "PIECE", 16)
    monkeypatch.setattr(normalisation, "BLOCK", 16)
    monkeypatch.setattr(kernels_softmax, "PIECE", 16)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for seed in range(CONVOLUTIONS if name.startswith(("conv", "norm")) else DRAWS):
        arguments = ARGUMENTS[name](Draw([seed, len(name), KERNELS.index(name)], dtype))
        written, spoilt = WRITTEN.get(name, ((), ()))
        before = copied(arguments)
        if seed % 3:  # in bands of one row or of some, as of large images
            for module in [blocks, convolution, kernels_pooling, *compiled_modules()]:
                if hasattr(module, "BLOCK"):
                    monkeypatch.setattr(module, "BLOCK", (2000, 12_000)[seed % 3 - 1])
            convolution._plan.cache_clear()
        twin = copied(arguments) if written else arguments
        found = results(getattr(current, name)(*arguments))
        expected = results(getattr(plain, name)(*twin))
        if written:
            found, expected = (
                [a[i] for i in written if a[i] is not None] for a in (arguments, twin)
            )
        for i, (a, b) in enumerate(zip(arguments, before, strict=True)):
            if isinstance(a, np.ndarray) and i not in written + spoilt:
                np.testing.assert_array_equal(a, b, "the arguments are only read")
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert one.dtype == other.dtype == dtype
            finite = np.abs(other[np.isfinite(other)])
            scale = max(1.0, finite.max()) if finite.size else 1.0
            np.testing.assert_allclose(one, other, tolerance, tolerance * scale)
    convolution._plan.cache_clear()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_every_kernel_gives_the_same_on_any_number_of_threads(name, monkeypatch):
    for module in [elementwise, normalisation, kernels_softmax, *compiled_modules()]:
        for size in {"PIECE", "BLOCK"} & {*vars(module)}:
            monkeypatch.setattr(module, size, 64)
    monkeypatch.setattr(threads, "WORTH_SPLITTING", 0.0)
    written = WRITTEN.get(name, ((), ()))[0]
    for seed in range(5):
        arguments = ARGUMENTS[name](Draw([seed, len(name)], np.float32))
        found = []
        for count in (1, 2, 5):
            monkeypatch.setattr(threads, "threads", lambda count=count: count)
            given = copied(arguments) if written else arguments
            values = results(getattr(current, name)(*given))
            found.append([*values, *[given[i] for i in written]])
        for one in found[1:]:
            for a, b in zip(one, found[0], strict=True):
                if a is not None:
                    np.testing.assert_array_equal(a, b)


def takes_a_cotangent(name):
    return next(iter(inspect.signature(getattr(plain, name)).parameters)) == "g"


@pytest.mark.parametrize("name", [*filter(takes_a_cotangent, KERNELS)])
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_a_gradient_may_take_the_place_of_a_cotangent_that_is_lent(name, monkeypatch):
    for module in [elementwise, *compiled_modules()]:
        for size in {"PIECE", "BLOCK"} & {*vars(module)}:
            monkeypatch.setattr(module, size, 64)
    monkeypatch.setattr(activations, "LARGE", 0)
    for seed in range(DRAWS):
        g, *others = ARGUMENTS[name](Draw([seed, len(name)], np.float32))
        expected, g = results(getattr(plain, name)(g, *others)), np.array(g)
        monkeypatch.setattr(lent._lent, "array", g)
        for one, other in zip(results(getattr(current, name)(g, *others)), expected, strict=True):
            finite = np.abs(other[np.isfinite(other)])
            scale = max(1.0, finite.max()) if finite.size else 1.0
            np.testing.assert_allclose(one, other, 1e-5, 1e-5 * scale)


def test_groups_of_rows_may_be_cut_between_threads():
    rng = np.random.default_rng(0)
    shape, like = (701, 3, 40), (1, 3, 40)  # the pieces begin in all groups
    g, x, w, b = (rng.uniform(-1, 1, one) for one in (shape, shape, like, like))
    arguments = (g, [0, 1, 2], x, w, b, (2,), 1e-3)
    found, expected = (kernels.normalize_grad(*arguments) for kernels in (current, plain))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("channels", [1, 6, 15, 16, 20, 33])
@pytest.mark.parametrize("size", [(6, 8), (7, 5), (2, 2), (1, 3)])
def test_pooling_of_squares_agrees_with_its_definition(channels, size):
    rng = np.random.default_rng(channels)
    x = rng.integers(-2, 3, (3, channels, *size)).astype(np.float32)  # many ties
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = np.inf
    x[0] = -np.inf
    for padding, ceil_mode in ((0, False), (0, True), (1, False)):
        if padding == 0 and not ceil_mode and min(size) < 2:
            continue
        windows = pooling("test", size, 2, 2, padding, 1, ceil_mode)
        ans = plain.max_pool2d(x, windows)
        g = rng.standard_normal(ans.shape).astype(np.float32)
        np.testing.assert_array_equal(current.max_pool2d(x, windows), ans)
        np.testing.assert_array_equal(
            current.max_pool2d_grad(g, x, ans, windows),
            plain.max_pool2d_grad(g, x, ans, windows),
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("out_channels", "wide", "stride"), [(1, 12, 1), (3, 9, 1), (6, 14, 1), (6, 8, 2)]
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_pixels_computed_together_keep_what_is_not_finite_apart(out_channels, wide, stride, value):
    rng = np.random.default_rng(wide)
    x = rng.standard_normal((2, 2, 9, wide)).astype(np.float32)
    w = rng.standard_normal((out_channels, 2, 3, 5)).astype(np.float32)
    windows = sliding("test", x.shape[2:], w.shape[2:], stride, (1, 2))
    g = rng.standard_normal((2, out_channels, *windows.out)).astype(np.float32)
    for place in ((slice(0),) * 4, (0, 1, 4, 5), (1, 0, 0, wide - 1)):
        x[place], g[0, 0, -1, -1] = value, value if x[place].size == 1 else 0.0
        for name, arguments in {
            "conv2d": (x, w, None, windows, 1), "conv2d_weight_grad": (x, g, windows, 1),
            "conv2d_input_grad": (g, w, windows, 1),
        }.items():  # fmt: skip
            found, expected = (getattr(one, name)(*arguments) for one in (current, plain))
            np.testing.assert_allclose(found, expected, 1e-5, 1e-5, err_msg=name)
    x = np.ones_like(x)
    w[0, 0, 0, 0] = value  # which meets padding as well
    found, expected = (one.conv2d(x, w, None, windows, 1) for one in (current, plain))
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


def test_float64_keeps_all_of_its_digits():
    """Winograd's transforms would round them."""
    rng, windows = np.random.default_rng(0), sliding("test", (12, 12), (3, 3), 1, (1, 1))
    x, g = (rng.integers(-9, 10, (4, 16, 12, 12)).astype(float) for _ in range(2))
    w = rng.integers(-9, 10, (16, 16, 3, 3)).astype(float)
    for name, arguments in {
        "conv2d": (x, w, None, windows, 1), "conv2d_weight_grad": (x, g, windows, 1),
    }.items():  # fmt: skip
        found, expected = (getattr(one, name)(*arguments) for one in (current, plain))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [9, 10_000])
def test_a_weight_is_finite_also_where_its_squares_are_not(size):
    w = np.full(size, 1e30, np.float32)
    assert convolution.is_finite(w)
    w[-1] = -np.inf
    assert not convolution.is_finite(w)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("channels", "out_channels", "groups", "kernel", "stride", "padding", "dilation", "size"),
    [
        (4, 4, 1, 3, 1, 0, 1, (9, 9)), (4, 8, 2, 3, 1, 1, 1, (9, 9)), (8, 8, 8, 3, 1, 1, 1, (9, 9)),
        (16, 16, 1, 3, 1, 0, 1, (9, 9)), (16, 16, 1, 3, 1, 1, 1, (12, 9)),
        (3, 6, 1, 5, 1, 2, 1, (12, 12)), (130, 8, 1, 3, 1, 1, 1, (8, 8)),
        (5, 6, 1, 3, 2, 1, 1, (9, 9)), (4, 4, 1, 3, 1, 1, 2, (12, 12)), (4, 4, 1, 1, 1, 1, 1, (9, 9)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_reaches_what_it_does_by_definition(
    channels, out_channels, groups, kernel, stride, padding, dilation, size, value, monkeypatch
):
    monkeypatch.setattr(convolution, "FEW", 0)  # or small convolutions are the definition itself
    windows = sliding("test", size, (kernel,) * 2, stride, (padding,) * 2, dilation)
    shapes = (
        (5, channels, *size),
        (out_channels, channels // groups, kernel, kernel),
        (5, out_channels, *windows.out),
    )
    for spoilt in range(3):
        height, width = shapes[spoilt][2:]
        for place in ((height // 2, 0), (height // 2, -1), (height // 2, width // 2), (-1, -1)):
            x, w, g = arrays = [np.ones(shape, np.float32) for shape in shapes]
            arrays[spoilt][0, -1, *place] = value
            for name, arguments in {
                "conv2d": (x, w, None, windows, groups),
                "conv2d_weight_grad": (x, g, windows, groups),
                "conv2d_input_grad": (g, w, windows, groups),
            }.items():
                found, expected = (getattr(one, name)(*arguments) for one in (current, plain))
                np.testing.assert_allclose(found, expected, 1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("channels", "out_channels", "kernel", "stride", "padding", "dilation", "size"),
    [
        (6, 16, 5, 1, 0, 1, (14, 14)), (3, 9, 5, 1, 2, 1, (7, 11)), (8, 4, 5, 1, 0, 1, (5, 5)),
        (5, 3, (2, 7), 2, (1, 3), (2, 1), (12, 10)), (20, 2, 3, 2, 1, 1, (10, 8)),
        (1, 6, 2, 3, 0, 1, (12, 13)), (2, 33, 3, (1, 2), 1, 1, (6, 9)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value")
def test_slopes_spread_over_windows_agree_with_the_definition(
    channels, out_channels, kernel, stride, padding, dilation, size
):
    rng = np.random.default_rng(channels)
    windows = sliding("test", size, kernel, stride, padding, dilation)
    w = rng.standard_normal((out_channels, channels, *windows.kernel)).astype(np.float32)
    g = rng.standard_normal((5, out_channels, *windows.out)).astype(np.float32)
    pick = rng.standard_normal((5, channels, *size)).astype(np.float32)
    for value in (None, np.nan, np.inf):
        if value is not None:
            g[1, -1, -1, -1], g[3, 0, 0, 0] = value, -value
        found, expected = (one.conv2d_input_grad(g, w, windows, 1) for one in (current, plain))
        np.testing.assert_allclose(found, expected, 1e-5, 1e-4)
        if value is None:  # the adjoint of the convolution
            there, back = (pick * found).sum(), (g * plain.conv2d(pick, w, None, windows, 1)).sum()
            np.testing.assert_allclose(there, back, 1e-3)


@pytest.mark.parametrize("wide", [*range(1, 22), 26, 33])
def test_direct_convolution_of_rows_of_any_length_agrees_with_the_definition(wide):
    rng = np.random.default_rng(wide)
    stride, dilation = [(1, 1), (2, 1), (1, 2)][wide % 3], [(1, 1), (2, 1), (1, 2)][wide // 3 % 3]
    size = (39 + wide % 4, (wide - 1) * stride[1] + 2 * dilation[1] - 1)
    windows = sliding("test", size, 3, stride, 1, dilation)
    assert windows.out[1] == wide
    for out_channels in (5, 16, 19):
        x = rng.standard_normal((2, 3, *size)).astype(np.float32)
        w = rng.standard_normal((out_channels, 3, 3, 3)).astype(np.float32)
        g = rng.standard_normal((2, out_channels, *windows.out)).astype(np.float32)
        for name, arguments in {
            "conv2d": (x, w, None, windows, 1), "conv2d_weight_grad": (x, g, windows, 1),
        }.items():  # fmt: skip
            found, expected = (getattr(one, name)(*arguments) for one in (current, plain))
            np.testing.assert_allclose(found, expected, 1e-4, 1e-4, err_msg=name)


@pytest.mark.parametrize("columns", [1, 3, 10, 16, 17])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_sums_of_rows_lose_no_digits(columns, value):
    matrix = np.full((200_011, columns), 1.1, np.float32)  # equal numbers drift the most
    matrix[777, 0] = value
    pixels = matrix[:200_000].reshape(2, 100, 1000, columns).transpose(0, 3, 1, 2)
    for x, axis in ((matrix, 0), (matrix, -2), (pixels, (0, 2, 3)), (pixels, (0, -1, 2))):
        for keepdims in (False, True):
            found = current.total(x, axis, keepdims)
            expected = np.sum(x.astype(np.float64), axis, keepdims=keepdims)
            assert (found.shape, found.dtype) == (expected.shape, np.float32)
            np.testing.assert_allclose(found, expected, rtol=6e-6)


def places_of_every_kind():
    """A shape, and an index that leads to some of its places again and again."""
    rng = np.random.default_rng(0)
    whole, some, none = slice(None), rng.integers(-7, 7, 40), np.zeros(0, int)
    return {
        "rows": ((7, 5), some), "rows of images": ((7, 2, 3), some.reshape(4, 10)),
        "columns": ((3, 7), (whole, some)), "the middle": ((2, 7, 3), (whole, some)),
        "small": ((7, 20), some.astype(np.int8)), "unsigned": ((7, 2), (some % 7).astype(np.uint16)),
        "elements": ((7, 7), (some, some[::-1])), "mask": ((7, 3), rng.random((7, 3)) < 0.5),
        "one row": ((1, 3), some * 0), "nowhere": ((7, 2), none), "of nothing": ((7, 0), some),
        "broadcast": ((7, 7), (some[:, None], some[:3])), "with a number": ((3, 7), (1, some)),
        "too often": ((7, 2), np.resize(some, 8000)), "one place": ((4,), np.full(90_000, -1)),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", places_of_every_kind())
def test_adding_at_places_of_every_kind(kind, dtype):
    shape, index = places_of_every_kind()[kind]
    like = np.zeros(shape)[index]
    rng = np.random.default_rng(1)
    for value in (0.1, np.nan, np.inf):
        x = rng.uniform(0.1, 1, like.shape).astype(dtype)
        x.flat[:1] = value
        found = current.scatter(x, index, shape)
        expected = plain.scatter(x.astype(np.float64), index, shape)
        assert (found.shape, found.dtype) == (shape, dtype)
        np.testing.assert_allclose(found, expected, 2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("index", [np.array([0, 7]), (slice(None), np.array([-4, 0]))])
def test_adding_beyond_an_axis_is_refused(index):
    axis, size, wrong = (0, 7, 7) if isinstance(index, np.ndarray) else (1, 3, -4)
    with pytest.raises(
        IndexError, match=f"index {wrong} is out of bounds for axis {axis} with size {size}"
    ):
        current.scatter(np.ones((2, 3) if axis == 0 else (7, 2), np.float32), index, (7, 3))


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e4), (np.float64, 1e8)])
@pytest.mark.parametrize("axis", [(0, 2, 3), (1, 2, 3), (2, 3), (3,)])
def test_a_large_mean_costs_the_variance_no_digits(axis, dtype, far):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 3, 2, 9000))
    x[:, :, :, :600] *= 3  # the first numbers tell little about the rest
    x = (x + far).astype(dtype)
    centred = x.astype(np.float64) - far  # exact
    mean, var = current.moments(x, axis)
    units = 4 * np.spacing(dtype(far))
    np.testing.assert_allclose(mean - far, centred.mean(axis, keepdims=True), atol=units)
    np.testing.assert_allclose(var, centred.var(axis, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_in_pieces_agrees_with_its_definition(dtype, bias, monkeypatch):
    pieces = []
    rows_at_once = kernels_linear._rows_at_once
    monkeypatch.setattr(kernels_linear, "multiplies_unpacked", lambda: True)
    monkeypatch.setattr(
        kernels_linear, "_rows_at_once", lambda *a: pieces.append(rows_at_once(*a)) or pieces[-1]
    )
    draw = Draw([0], dtype)
    x, w = draw.array(33, 784), draw.array(60, 784)
    b = draw.array(60) if bias else None
    found, expected = current.linear(x, w, b), plain.linear(x, w, b)
    assert pieces == [20]  # which leaves 13
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5)
    current.linear(x[:21], w, b), current.linear(x.astype("f2"), w.astype("f2"), None)
    assert pieces[1:] == [0, 0], "a small product, and a dtype that BLAS does not know"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "pieces"), [(100, [34, 34, 32]), (78, [39, 39]), (40, [20, 20]), (39, [])]
)
def test_a_product_in_pieces_agrees_with_its_definition(rows, pieces, dtype, monkeypatch):
    monkeypatch.setattr(kernels_linear, "multiplies_unpacked", lambda: True)
    draw = Draw([0], dtype)
    a, b = draw.array(32, rows).T, np.ascontiguousarray(draw.array(32, 784))
    seen, multiply = [], np.matmul

    def counted(x, y, out):
        seen.append(len(x))
        return multiply(x, y, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    found = current.product(a, b)
    monkeypatch.undo()
    assert seen == pieces
    assert found.dtype == dtype
    np.testing.assert_allclose(found, plain.product(a, b), 1e-5, 1e-5)
    flat = np.ascontiguousarray(draw.array(16, 5000))
    assert not kernels_linear._rows_at_once(flat.T[:30], flat, 30 * 16 * 5000), "12 rows do not pay"
    assert not kernels_linear._rows_at_once(a.astype("f2"), b.astype("f2"), 2_000_000)


def test_small_products_leave_the_threads_of_blas_asleep(monkeypatch):
    asked = []

    def alone():
        asked.append(1)
        return threads._nothing

    monkeypatch.setattr(threads, "one_thread", alone)
    for size, beside_ours, expected in [
        (1 << 18, False, 0), (1 << 19, False, 1), (3e7, False, 0), (3e7, True, 1), (2e8, True, 0),
    ]:  # fmt: skip
        asked.clear()
        monkeypatch.setattr(threads._helpers, "threads", [None] * beside_ours)
        with threads.small_product(size):
            assert len(asked) == expected, size


def test_small_convolutions_are_the_definition(monkeypatch):
    def refuse(*_):
        raise AssertionError("blocks are for large convolutions")

    monkeypatch.setattr(convolution, "_plan", refuse)
    x, w = np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3))
    windows = sliding("test", (8, 8), 3, padding=1)
    y = convolution.conv2d(x, w, None, windows, 1)
    assert convolution.conv2d_weight_grad(x, y, windows, 1).shape == w.shape
    with pytest.raises(AssertionError, match="for large"):
        convolution.conv2d(np.ones((64, 3, 8, 8)), w, None, windows, 1)


def channels_last(x):
    return x.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_what_winograd_takes_lies_with_its_channels_last(channels, monkeypatch):
    """Or each layer would turn its images around; other images lie as their axes say."""
    monkeypatch.setattr(convolution, "FEW", 0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, channels, 8, 8)).astype(np.float32)
    w = rng.standard_normal((16, channels, 3, 3)).astype(np.float32)
    windows = sliding("test", (8, 8), 3, padding=1)
    for bias in (None, rng.standard_normal(16).astype(np.float32)):
        y = convolution.conv2d(x, w, bias, windows, 1)
        np.testing.assert_allclose(y, plain.conv2d(x, w, bias, windows, 1), 1e-5, 1e-4)
        assert channels_last(y)
        assert not y.flags.c_contiguous
    assert convolution.conv2d(x, w[:4], None, windows, 1).flags.c_contiguous, "too few channels"
    assert convolution.conv2d(x.astype(np.float64), w, None, windows, 1).flags.c_contiguous
    five = np.zeros((16, channels, 5, 5), np.float32)
    wide = sliding("test", (8, 8), 5, padding=2)
    assert convolution.conv2d(x, five, None, wide, 1).flags.c_contiguous


@pytest.mark.parametrize("last", [False, True])
def test_pooling_and_activations_keep_the_order_of_images(last):
    x = np.random.default_rng(0).standard_normal((4, 16, 40, 42)).astype(np.float32)
    x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if last else x
    for windows in (
        pooling("test", x.shape[2:], 2, None, 0, 1, False),
        pooling("test", x.shape[2:], 3, 2, 1, 1, False),
    ):
        y = kernels_pooling.max_pool2d(x, windows)
        turned = np.ascontiguousarray(y.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for g in (y.copy(), turned):
            back = kernels_pooling.max_pool2d_grad(g, x, y, windows)
            if windows.padded == x.shape[2:]:
                assert channels_last(back) == last
            np.testing.assert_array_equal(back, plain.max_pool2d_grad(g, x, y, windows))
        assert channels_last(y) == last
    ans = activations.relu(x)
    assert channels_last(ans) == channels_last(activations.relu_grad(ans, ans)) == last


# -- another set -----------------------------------------------------------------------------------


@pytest.fixture
def counted():
    """The plain definitions in place of the kernels, and how often each was called."""
    calls = Counter()

    def counting(name):
        def kernel(*arguments, **named):
            calls[name] += 1
            return getattr(plain, name)(*arguments, **named)

        return kernel

    before = current.use({name: counting(name) for name in KERNELS})
    yield calls
    current.use(before)


def run_operators():
    """Values and gradients of operators that reach every kernel."""
    draw = Draw(0, np.float64)
    x = mg.tensor(draw.array(2, 4, 6, 6), requires_grad=True)
    w, b = (mg.tensor(draw.array(*s), requires_grad=True) for s in ((4, 2, 3, 3), (4,)))
    rows = mg.tensor(draw.array(5, 3), requires_grad=True)
    steps = mg.tensor(draw.array(2, 3, 4), requires_grad=True)
    mg.manual_seed(0)
    recurrent = [layer(4, 3, batch_first=True) for layer in (nn.LSTM, nn.GRU)]
    y = F.conv2d(x, w, b, padding=1, groups=2)
    outputs = [
        F.max_pool2d(y, 2), F.avg_pool2d(y, 3, 2), F.adaptive_avg_pool2d(y, 4),
        F.batch_norm(y, None, None, b, training=True), F.layer_norm(y, 6), F.group_norm(y, 2, b),
        F.batch_norm(y, np.zeros(4), np.ones(4), b), F.sigmoid(y), F.relu(y), F.silu(y), F.leaky_relu(y),
        F.selu(y), F.softplus(y), F.gelu(y), F.gelu(y, "tanh"), F.softmax(y), F.log_softmax(y), F.cross_entropy(rows, [0] * 5),
        F.binary_cross_entropy_with_logits(rows, rows.detach() ** 2 / 2),
        F.im2col(x, 2), F.col2im(F.im2col(x, 2), x.shape, 2),
        F.linear(steps, rows[:, :1] @ rows[:1, [0, 1, 2, 2]], None), rows[[0, 0, 4]],
        *[layer(steps)[0] for layer in recurrent], scatter(b, [0, 1, 1, 0], (2,)),
        mg.mean(y, axis=1), mg.tril(y), F.linear(rows, rows, rows[:, 0]),
        mg.cumsum(y, 1), mg.cumprod(y, 1),
    ]  # fmt: skip
    with mg.GradientTape() as tape:
        tape.watch(x)
        loss = sum((mg.sum(out * out) for out in outputs), F.max_pool2d(x, 2).sum())
        loss = loss + F.global_max_pool2d(x * x).sum()
    loss.backward()
    for optimizer in (optim.Adam([b], lr=0.1), optim.SGD([rows], lr=0.1)):
        optimizer.step()
    inputs = [x, w, b, rows, steps, *[p for layer in recurrent for p in layer.parameters()]]
    second = mg.grad(lambda t: (mg.grad(lambda u: (F.max_pool2d(u, 2) ** 3).sum())(t) ** 2).sum())
    return [*[out.detach().numpy() for out in outputs], *[t.grad.numpy() for t in inputs],
            second(x.detach().numpy())]  # fmt: skip


def test_another_set_takes_the_place_of_the_kernels(counted):
    found = run_operators()
    assert sorted(counted) == KERNELS, "an operator goes past current.py, or none uses this kernel"
    counted_before = dict(counted)
    with pytest.MonkeyPatch.context() as patch:
        for name in KERNELS:
            patch.setattr(current, name, SHIPPED[name])
        expected = run_operators()
    assert dict(counted) == counted_before
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


SHIPPED = {name: getattr(current, name) for name in KERNELS}


def test_a_set_may_be_incomplete_and_is_taken_back():
    before = current.use({"im2col": plain.im2col})
    try:
        assert current.im2col is plain.im2col
        assert current.conv2d is SHIPPED["conv2d"]
    finally:
        current.use(before)
    assert current.im2col is SHIPPED["im2col"]
    with pytest.raises(ValueError, match=r"no kernels named \['conv3d'\]"):
        current.use({"conv3d": plain.conv2d})


def test_no_code_outside_the_folder_knows_which_set_runs():
    """Only the table of kernels, and what is no kernel: geometry, BLAS, memory that is kept."""
    package = Path(mg.__file__).parent
    open_to_all = {"current", "windows", "indices", "blas", "scratch", "freed", "lent"}
    open_to_all |= {"in_place", "choice", "normal_distribution"}
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "kernels" in path.relative_to(package).parts or "minigrad.kernels" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "minigrad.kernels"
            ):
                below = node.module.split(".")[2:]
                names = {below[0]} if below else {alias.name for alias in node.names}
                assert names <= open_to_all, f"{path} imports {names}"


# -- parts of kernels, by their definitions --------------------------------------------------------


@pytest.mark.parametrize("degree", [10, 22])
def test_the_tail_of_the_normal_distribution_is_a_polynomial(degree):
    scale, tolerance = 4.0, {10: 3e-8, 22: 2e-15}[degree]
    found = normal_distribution.coefficients.__wrapped__(degree)
    assert len(found) == degree + 1
    for a in [*np.linspace(0.0, 6.0, 61), 8.0, 20.0, 37.0]:
        tail = 0.5 * math.erfc(a / math.sqrt(2)) * math.exp(a * a / 2)
        t = 1 - 2 * scale / (a + scale)
        assert np.polyval(found, t) == pytest.approx((a + scale) * tail, rel=100 * tolerance)
        assert normal_distribution._scaled_tail(a) == pytest.approx((a + scale) * tail, rel=2e-13)


@pytest.mark.parametrize("dtypes", ["ffd", "fdd", "dff", "fff", "ddf", "eee", "eef"], ids=str)
@pytest.mark.parametrize("rows", [(2,), (9,), (2, 3), ()], ids=str)
def test_a_linear_layer_of_several_dtypes_has_that_of_its_definition(dtypes, rows):
    draw = np.random.default_rng(0)
    x, w, b = (
        draw.normal(size=shape).astype(dtype)
        for shape, dtype in zip(((*rows, 4), (5, 4), (5,)), dtypes, strict=True)
    )
    for bias in (b, None):
        found, expected = current.linear(x, w, bias), plain.linear(x, w, bias)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-2 if "e" in dtypes else 1e-5, atol=1e-2)


def test_a_kernel_of_one_element_has_no_gaps():
    for kernel, gaps in (((1, 3), (1, 2)), ((3, 1), (2, 1)), ((1, 1), (1, 1)), ((3, 3), (2, 2))):
        windows = sliding("f", (9, 8), kernel, 1, 0, tuple(10**9 if k == 1 else 2 for k in kernel))
        assert windows.dilation == gaps
        assert windows.out == (9 - gaps[0] * (kernel[0] - 1), 8 - gaps[1] * (kernel[1] - 1))
    assert sliding("f", (9, 8), (2, 3), 1, 0, (5, 1)).dilation == (5, 1)


def test_most_of_float16_and_of_other_dtypes_is_kept_finite():
    x = np.concatenate([np.linspace(-30, 30, 241), [-6e4, 6e4]])
    for name in ("logistic", "gelu_tanh"):
        for dtype in "efd":
            given = x.astype(dtype)
            with np.errstate(over="ignore"):
                wide = getattr(plain, name)(given.astype("d"))
            found = getattr(current, name)(given)
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found, wide, rtol={"e": 2e-2, "f": 3e-6, "d": 1e-12}[dtype], atol=1e-6
            )


@pytest.mark.parametrize(
    ("kernel", "settings", "suits"),
    [
        ((3, 3), {}, True),
        ((3, 2), {}, True),
        ((3, 7), {}, True),
        ((3, 1), {}, False),
        ((5, 5), {}, False),
        ((1, 3), {}, False),
        ((2, 3), {}, False),
        ((3, 3), {"stride": 2}, False),
        ((3, 3), {"stride": (1, 2)}, False),
        ((3, 3), {"dilation": 2}, False),
        ((3, 3), {"dilation": (1, 2)}, False),
        ((3, 3), {"groups": 2}, False),
    ],
)
def test_winograds_rows_are_for_kernels_of_three_rows_at_every_pixel(kernel, settings, suits):
    groups = settings.pop("groups", 1)
    for height, tiles in ((8, True), (3, True), (4, True), (2, False), (5, False), (9, True)):
        # Of whole tiles of 4 rows, at most a quarter is of no use.
        size = (height + 20, 40)
        windows = sliding("conv2d", size, kernel, **settings)._replace(out=(height, 9))
        assert winograd.suits(blocks.Shape(windows, 32, 32, groups)) == (suits and tiles)


@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("bias", [False, True])
def test_kernels_of_one_pixel_agree_with_their_definition(padding, bias, monkeypatch):
    monkeypatch.setattr(convolution, "FEW", 0)
    monkeypatch.setattr(threads, "WORTH_SPLITTING", 0.0)
    monkeypatch.setattr(threads, "threads", lambda: 2)
    draw = Draw([3], np.float64)
    x, w, b = draw.array(5, 4, 6, 7), draw.array(8, 4, 1, 1), draw.array(8) if bias else None
    windows = sliding("conv2d", (6, 7), 1, padding=padding)
    found, expected = (one.conv2d(x, w, b, windows, 1) for one in (current, plain))
    np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


def test_the_functions_of_blas_are_taken_in_pairs():
    def library(**functions):
        return SimpleNamespace(
            dynlib=SimpleNamespace(**functions), get_num_threads="get", set_num_threads="set"
        )

    found = blas._functions.__wrapped__
    assert found(None) is None
    assert found(library()) == ("get", "set")
    assert found(library(openblas_get_num_threads="g")) == ("get", "set")
    assert found(library(openblas_set_num_threads="s")) == ("get", "set")
    pair = {"openblas_get_num_threads": "g", "openblas_set_num_threads": "s"}
    assert found(library(**pair)) == ("g", "s")
    longer = {f"scipy_{name}64_": f"{value}64" for name, value in pair.items()}
    assert found(library(**pair, **longer)) == ("g64", "s64")


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 2, 3, 1)])
def test_moments_of_nothing_have_the_shape_of_moments(shape):
    x = np.zeros(shape, np.float32)
    for axis in ((0,), (1,), (-1,), (0, -1), (-2,), tuple(range(-len(shape), 0))):
        mean, variance = current.moments(x, axis)
        expected = x.sum(axis=axis, keepdims=True).shape
        assert mean.shape == variance.shape == expected
        assert (mean == 0).all()
        assert (variance == 1).all()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_transformed_rows_give_what_the_definition_gives(last, bias, monkeypatch):
    monkeypatch.setattr(convolution, "FEW", 0)
    draw = Draw([5], np.float32)
    x, w = draw.array(3, 16, 12, 11), draw.array(17, 16, 3, 3)
    b = draw.array(17) if bias else None
    if last:  # the channels lie side by side
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    windows = sliding("conv2d", (12, 11), 3, padding=1)
    assert winograd.saves(blocks.Shape(windows, 16, 17, 1))
    found, expected = (one.conv2d(x, w, b, windows, 1) for one in (current, plain))
    np.testing.assert_allclose(found, expected, 1e-4, 1e-4)
    g = draw.array(*expected.shape)
    found, expected = (one.conv2d_weight_grad(x, g, windows, 1) for one in (current, plain))
    np.testing.assert_allclose(found, expected, 1e-4, 1e-4)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_linear_layer_by_itself_agrees_with_its_definition(rows, monkeypatch):
    monkeypatch.setattr(kernels_linear, "UNSHARED", 0)
    draw = Draw([6], np.float64)
    x, w, b = draw.array(rows, 5), draw.array(7, 5), draw.array(7)
    for bias in (b, None):
        np.testing.assert_allclose(current.linear(x, w, bias), plain.linear(x, w, bias), 1e-12)


@pytest.mark.parametrize("g", [np.float64(0.25), np.linspace(-1.0, 2.0, 9)], ids=["one", "each"])
def test_slopes_of_cross_entropy_are_for_all_rows_or_for_each(g, monkeypatch):
    monkeypatch.setattr(kernels_softmax, "PIECE", 8)
    draw = Draw([7], np.float64)
    logits, labels = draw.array(9, 4), np.arange(9) % 4
    g = np.asarray(g)
    found, expected = (one.cross_entropy_grad(g, logits, labels) for one in (current, plain))
    np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


@pytest.mark.parametrize("size", [(2, 5), (4, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolution_of_images_that_are_not_square(size, stride):
    draw = Draw([8], np.float64)
    x, w = draw.array(2, 3, *size), draw.array(3, 4, 2, 3)
    height, width = ((n - 1) * stride + k for n, k in zip(size, (2, 3), strict=True))
    expected = np.zeros((2, 4, height, width))
    for i, j in np.ndindex(size):
        part = np.einsum("nc,cokl->nokl", x[:, :, i, j], w)
        expected[:, :, i * stride : i * stride + 2, j * stride : j * stride + 3] += part
    np.testing.assert_allclose(F.conv_transpose2d(x, w, stride=stride), expected, 1e-12, 1e-12)


@pytest.mark.parametrize(
    "places",
    [[], [4], [0, 1, 2], [2, 0, 1], [0, 1, 1], [1, 0, 1], [2, 2, 0], [0, 3, 2, 1, 3]],
    ids=str,
)
def test_places_differ_where_no_two_are_equal(places):
    for n in (5, 10**7):
        assert kernels_scatter._differ(np.array(places, np.intp), n) == (
            len({*places}) == len(places)
        )
