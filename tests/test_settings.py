"""Arguments by their annotations and ranges; words for padding; gradients too large to square."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from numpy.typing import DTypeLike

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.engine.settings import Interval, checked
from minigrad.kernels.in_place import add_square, overflow_noted, square


@checked(p="[0, 1)", size="[1, inf)", dtype="floating")
def f(
    p: float = 0.5,
    size: int | tuple[int, int] = 1,
    flag: bool = False,
    word: str | None = None,
    dtype: DTypeLike = np.float32,
) -> tuple[object, ...]:
    return p, size, flag, word


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"p": True}, TypeError, "f: p must be a number, got True"),
        ({"p": "1"}, TypeError, "f: p must be a number, got '1'"),
        ({"p": np.nan}, ValueError, "f: p must be a number, got NaN"),
        ({"p": 1}, ValueError, r"f: p must be in \[0, 1\), got 1"),
        ({"size": 0}, ValueError, "f: size must be at least 1, got 0"),
        ({"size": (1, -1)}, ValueError, r"f: size must be at least 1, got \(1, -1\)"),
        ({"size": (1, 2, 3)}, ValueError, "f: size must be an int or a tuple of 2 values"),
        ({"size": 1.0}, TypeError, "f: size must be an int or a tuple of 2 values, each an int"),
        ({"flag": 1}, TypeError, "f: flag must be True or False, got 1"),
        ({"word": 3}, TypeError, "f: word must be a string or None, got 3"),
        (
            {"other": 3},
            TypeError,
            "^f: unknown argument 'other'; it takes p, size, flag, word, dtype$",
        ),
        ({"flags": 3}, TypeError, r"^f: unknown argument 'flags'; did you mean 'flag'\?$"),
    ],
)
def test_what_an_annotation_or_a_range_rules_out(given, error, message):
    with pytest.raises(error, match=message):
        f(**given)


def test_numbers_become_those_of_python():
    p, size, flag, _ = f(np.float64(0.25), [np.int64(2), 3], np.True_)
    assert [type(p), type(size[0]), type(flag)] == [float, int, bool]
    assert (p, size, flag) == (0.25, (2, 3), True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Conv1d(3, 8), "Conv1d: missing argument 'kernel_size'"),
        (lambda: nn.Conv1d(3), "Conv1d: missing argument 'out_channels' and 'kernel_size'"),
        (lambda: nn.Conv1d(3, 8, 3, in_channels=3), "Conv1d: got 'in_channels' twice, by its place and by its name"),
        (lambda: nn.ELU(1.0, True), "ELU: takes 1 argument by place (alpha), got 2"),
        (lambda: mg.film(3), "film: takes no arguments by place, got 1; write steps= by name"),
        (lambda: mg.tensor(), "tensor: missing argument 'data'"),
        (lambda: mg.tensor([1.0], require_grad=True), "tensor: unknown argument 'require_grad'; did you mean 'requires_grad'?"),
        (lambda: mg.sum(mg.ones(3), axs=0), "sum: unknown argument 'axs'; did you mean 'axis'?"),
        (lambda: F.conv2d(mg.ones((1, 1, 3, 3))), "conv2d: missing argument 'weight' (got input=float32 (1, 1, 3, 3))"),
        (lambda: optim.clip_grad_norm_(nn.Identity(), 1.0), "clip_grad_norm_: parameters must be a Tensor or an iterable, got Identity(); write model.parameters()"),
        (lambda: mg.make_dot(mg.ones(3), param={}), "make_dot: unknown argument 'param'; did you mean 'params'?"),
    ],
)  # fmt: skip
def test_what_a_signature_rules_out(call, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("text", "words", "inside", "outside"),
    [
        ("[0, 1]", "between 0 and 1", [0, 0.5, 1], [-0.1, 1.1]),
        ("[0, 1)", "in [0, 1)", [0, 0.5], [-0.1, 1, 1.5]),
        ("(0, 1]", "in (0, 1]", [0.5, 1], [-1, 0, 1.1]),
        ("(-1, 1)", "in (-1, 1)", [-0.5, 0, 0.5], [-1, 1, 2]),
        ("[0, inf)", "0 or more", [0, 1e300], [-1e-9, np.inf]),
        ("(0, inf)", "above 0", [1e-9, 1e300], [-1, 0, np.inf]),
        ("[2, inf)", "at least 2", [2, 3], [1, np.inf]),
        ("[1, inf]", "in [1, inf]", [1, np.inf], [0]),
        ("(-inf, inf)", "finite", [-1e300, 0, 1e300], [-np.inf, np.inf]),
        ("(-inf, 3)", "in (-inf, 3)", [-1e300, 2], [3, 4, -np.inf]),
    ],
)
def test_a_range_holds_what_its_brackets_say(text, words, inside, outside):
    interval = Interval(text)
    assert interval.words() == words
    assert all(map(interval.holds, inside))
    assert not any(map(interval.holds, outside))


class Long:
    """A value of the user's whose text takes 90 letters, and one that has none."""

    def __repr__(self):
        return "x" * 90


class Mute:
    def __repr__(self):
        raise RuntimeError


class Holder:
    named_parameters = None

    def read(self):
        return self


@checked(parts="[0, inf)")
def g(
    parts: tuple[int, ...] = (1,),
    names: Sequence[str] = (),
    sizes: list[float] | None = None,
    table: Mapping[str, int] | None = None,
    mode: Literal["sum", "mean"] | int = "sum",
    call: Callable[[int], int] | None = None,
    anything: Any = None,
    generator: Any = None,
    dtype: DTypeLike = np.float32,
    parameters: Iterable[Any] = (),
    holder: Holder | None = None,
    mixed: tuple[int, str] = (1, "a"),
    number: float = 1.0,
) -> dict[str, Any]:
    return locals()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"parts": 3}, TypeError, "parts must be a tuple of several values, each an int, got 3"),
        ({"parts": (1, "a")}, TypeError, "parts must be a tuple of several values, each an int, got (1, 'a')"),
        ({"parts": (1, -2)}, ValueError, "parts must be 0 or more, got (1, -2)"),
        ({"names": "ab"}, TypeError, "names must be a sequence of which each is a string, got 'ab'"),
        ({"names": ["a", 1]}, TypeError, "names must be a sequence of which each is a string, got ['a', 1]"),
        ({"names": {"a": 1}}, TypeError, "names must be a sequence of which each is a string, got {'a': 1}"),
        ({"sizes": [1.0, None]}, TypeError, "sizes must be a list of which each is a number or None, got [1.0, None]"),
        ({"sizes": np.array(1.0)}, TypeError, "sizes must be a list of which each is a number or None, got array(1.)"),
        ({"table": [("a", 1)]}, TypeError, "table must be a mapping or None, got [('a', 1)]"),
        ({"mode": "max"}, ValueError, "mode must be 'sum' or 'mean' or an int, got 'max'"),
        ({"mode": 2.5}, TypeError, "mode must be 'sum' or 'mean' or an int, got 2.5"),
        ({"call": 3}, TypeError, "call must be a function or None, got 3"),
        ({"generator": 3}, TypeError, "generator must be None or a np.random.Generator, got 3"),
        ({"generator": np.random.PCG64}, TypeError, "generator must be None or a np.random.Generator, got <class 'numpy.random._pcg64.PCG64'>; write PCG64()"),
        ({"dtype": 3}, TypeError, "dtype must be a numeric dtype, got 3; a shape is one tuple"),
        ({"dtype": "U1"}, TypeError, "dtype must be a numeric dtype, got 'U1'"),
        ({"parameters": nn.Identity()}, TypeError, "parameters must be an iterable, got Identity(); write model.parameters()"),
        ({"holder": Holder}, TypeError, "holder must be a Holder or None, got <class 'test_settings.Holder'>; write Holder()"),
        ({"holder": int}, TypeError, "holder must be a Holder or None, got <class 'int'>; write int()"),
        ({"mixed": (1,)}, ValueError, "mixed must be a tuple of 2 values, each an int, got (1,)"),
        ({"mixed": (1, 2)}, TypeError, "mixed must be a tuple of 2 values, each an int, got (1, 2)"),
        ({"mixed": 1}, TypeError, "mixed must be a tuple of 2 values, each an int, got 1"),
        ({"number": Long()}, TypeError, f"number must be a number, got {'x' * 77}..."),
        ({"number": "y" * 78}, TypeError, f"number must be a number, got '{'y' * 78}'"),
        ({"number": "y" * 79}, TypeError, f"number must be a number, got '{'y' * 76}..."),
        ({"number": Mute()}, TypeError, "number must be a number, got Mute"),
        ({"number": np.ones(9)}, TypeError, "number must be a number, got ndarray of shape (9,)"),
        ({"number": np.ones(8)}, TypeError, "number must be a number, got array([1., 1., 1., 1., 1., 1., 1., 1.])"),
        ({"number": np.array(True)}, TypeError, "number must be a number, got array(True); no gradient flows through a setting, pass .item() to leave the graph"),
        ({"number": 1j}, TypeError, "number must be a number, got 1j"),
    ],
)  # fmt: skip
def test_what_each_kind_of_annotation_rules_out(given, error, message):
    with pytest.raises(error, match=f"^{re.escape(f'g: {message}')}$"):
        g(**given)


@pytest.mark.parametrize(
    "other", [np.random.RandomState(0), np.random.PCG64(0)], ids=["state", "bits"]
)
def test_other_sources_of_random_numbers_are_no_generator(other):
    with pytest.raises(
        TypeError, match=r"g: generator must be None or a np\.random\.Generator, got"
    ):
        g(generator=other)


def test_a_method_in_the_place_of_its_result_is_told():
    with pytest.raises(TypeError, match=r"holder must be a Holder.*; call it, read\(\)$"):
        g(holder=Holder().read)


def test_what_each_kind_of_annotation_takes():
    rng = np.random.default_rng(0)
    assert g([np.int64(2), 3])["parts"] == (2, 3)
    assert g(())["parts"] == ()
    assert g(sizes=np.array([1, 2]))["sizes"] == [1, 2]
    assert type(g(sizes=np.array([1, 2]))["sizes"]) is list
    assert g(sizes=None)["sizes"] is None
    assert g(table={"a": 1})["table"] == {"a": 1}
    assert (g(mode="mean")["mode"], g(mode=3)["mode"]) == ("mean", 3)
    assert g(call=len)["call"] is len
    assert g(anything=rng)["anything"] is rng
    assert g(generator=rng)["generator"] is rng
    assert (g(dtype=None)["dtype"], g(dtype="float64")["dtype"]) == (np.float32, "float64")
    parameters = iter([1])
    assert g(parameters=parameters)["parameters"] is parameters
    assert g(names=("a",), mixed=[2, "b"])["mixed"] == (2, "b")
    whole, real = g(number=np.uint8(3))["number"], g(number=mg.tensor(0.5))["number"]
    assert [(type(n), n) for n in (whole, real)] == [(int, 3), (float, 0.5)]


def test_a_range_for_an_argument_that_is_not_checked_is_a_mistake():
    @checked(nothing="[0, 1]")
    def h(x: float) -> float:
        return x

    with pytest.raises(TypeError, match=r"^checked: .*h has no checked argument nothing$"):
        h(1.0)


CLASSES = [
    *((nn, name) for name in nn.__all__),
    *((optim, name) for name in optim.__all__),
    *((mg.callbacks, name) for name in mg.callbacks.__all__),
]


def test_a_class_in_the_place_of_a_data_set_is_told():
    with pytest.raises(
        TypeError,
        match=r"DataLoader: expected a data set, got its class; write ArrayDataset\(\.\.\.\)",
    ):
        mg.data.DataLoader(mg.data.ArrayDataset)


def test_every_constructor_names_the_argument_that_it_does_not_take():
    silent = []
    for module, name in CLASSES:
        cls = getattr(module, name)
        takes = inspect.signature(cls).parameters.values() if isinstance(cls, type) else ()
        if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in takes):
            continue
        try:
            cls(colour=1)
        except TypeError as error:
            if f"{name}: unknown argument 'colour'; it takes" in str(error):
                continue
        silent.append(name)
    assert silent == []


# -- padding in words -----------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(2, 4, 7, 6))
W = np.random.default_rng(1).normal(size=(4, 4, 3, 2))


@pytest.mark.parametrize("word", ["SAME", "VALID", "Same", "valid"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, p: F.conv2d(x, W, padding=p, stride=2),
        lambda x, p: F.conv1d(x[..., 0], W[..., 0], padding=p),
        lambda x, p: F.conv_transpose2d(x, W, padding=p, stride=2),
        lambda x, p: F.conv_transpose1d(x[..., 0], W[..., 0], padding=p),
        lambda x, p: F.max_pool2d(x, 2, 1, padding=p),
        lambda x, p: F.avg_pool2d(x, 3, 2, padding=p),
        lambda x, p: F.im2col(x, 3, padding=p),
        lambda x, p: nn.Conv2d(4, 4, 3, padding=p, dtype=np.float64)(x).shape,
        lambda x, p: nn.ConvTranspose2d(4, 4, 3, padding=p, dtype=np.float64)(x).shape,
        lambda x, p: nn.LazyConv2d(4, 3, padding=p, dtype=np.float64)(x).shape,
        lambda x, p: nn.MaxPool2d(3, padding=p)(x),
        lambda x, p: nn.AvgPool2d(3, padding=p)(x),
    ],
)
def test_padding_may_be_written_as_in_tensorflow(function, word):
    got, expected = function(X, word), function(X, word.lower())
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
    with pytest.raises(
        ValueError, match=r"unknown padding 'full'; it is 'same', 'valid' or numbers"
    ):
        function(X, "full")


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_transposed_convolution_with_same_padding_is_adjoint_to_convolution(stride, kernel):
    rng = np.random.default_rng(2)
    small, weight = rng.normal(size=(1, 2, 3, 4)), rng.normal(size=(2, 3, kernel, kernel))
    large = rng.normal(size=(1, 3, 3 * stride, 4 * stride))
    up = F.conv_transpose2d(small, weight, stride=stride, padding="same")
    assert up.shape == large.shape
    down = F.conv2d(large, weight, stride=stride, padding="same")
    np.testing.assert_allclose((up.numpy() * large).sum(), (down.numpy() * small).sum())


def test_same_padding_is_no_part_of_a_mean():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    got = F.avg_pool2d(x, 3, 1, padding="SAME").numpy()[0, 0]
    expected = [
        [x[0, 0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean() for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(got, expected)


# -- gradients too large to square ----------------------------------------------------------------

ADAPTIVE = {
    "Adam": {}, "AdamW": {}, "NAdam": {}, "RMSprop": {}, "Adadelta": {}, "Adagrad": {},
    "Adam with amsgrad": {"amsgrad": True}, "RMSprop with momentum": {"momentum": 0.9},
}  # fmt: skip


def moved(kind: str, dtype: type, gradients: list[float]) -> np.ndarray:
    w = mg.tensor(np.array([1.0, -1.0], dtype), requires_grad=True)
    optimizer = getattr(optim, kind.split(maxsplit=1)[0])([w], lr=0.125, **ADAPTIVE[kind])
    for g in gradients:
        optimizer.apply_gradients([(mg.tensor(np.array([g, -g], dtype)), w)])
    return w.numpy()


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 1e25), (np.float16, 6e4)])
def test_a_gradient_whose_square_overflows_still_moves_its_parameter(kind, dtype, large):
    tolerance = 1e-5 if dtype is np.float32 else 2e-2
    steps = 1 if kind == "Adagrad" else 4
    got, expected = moved(kind, dtype, [large] * steps), moved(kind, np.float64, [large] * steps)
    np.testing.assert_allclose(got, expected, rtol=tolerance)
    again = moved(kind, dtype, [large] * (steps + 3))
    assert (np.abs(again - got) > 1e-3).all() or kind == "Adadelta"  # it is not frozen


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_an_infinite_gradient_is_seen(kind):
    assert not np.isfinite(moved(kind, np.float32, [np.inf, 1.0])).any()


def test_squares_stop_at_the_largest_number_and_no_earlier():
    most = np.finfo(np.float32).max
    g, s = np.array([1e25, -1e25, 3.0, np.inf], np.float32), np.empty(4, np.float32)
    with overflow_noted():
        limited = square(g, s)
    np.testing.assert_array_equal(g, np.array([1e25, -1e25, 3.0, np.inf], np.float32))
    np.testing.assert_allclose(s, [most, most, 9.0, np.inf], rtol=1e-5)
    np.testing.assert_allclose(limited, [most**0.5, -(most**0.5), 3.0, np.inf], rtol=1e-5)
    v = np.array([most, 1.0, 2.0, 1.0], np.float32)
    with overflow_noted():
        add_square(v, g, s)
    np.testing.assert_allclose(v, [most, most, 11.0, np.inf], rtol=1e-5)


# -- layers and the numbers that they take --------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 3)), (nn.Conv2d(3, 2, 1), (1, 3, 4, 4)), (nn.RNN(3, 2), (5, 1, 3)),
        (nn.LSTM(3, 2), (5, 1, 3)), (nn.GRU(3, 2), (5, 1, 3)),
        (nn.ConvTranspose2d(3, 2, 1), (1, 3, 4, 4)),
    ],
)  # fmt: skip
def test_complex_input_is_refused(layer, shape):
    with pytest.raises(TypeError, match=rf"{type(layer).__name__}: expected real numbers, got"):
        layer(np.ones(shape) * 1j)
    whole = layer(np.ones(shape, np.int64))
    whole = whole[0] if isinstance(whole, tuple) else whole
    assert whole.dtype == np.float32


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"])
def test_negative_weights_are_refused(kind):
    for bad in ([1.0, -1.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match=rf"{kind}: weight must be 0 or more"):
            getattr(nn, kind)(weight=bad)


@pytest.mark.parametrize(
    "use",
    [
        lambda t: nn.LeakyReLU(t)(mg.tensor([-1.0])),
        lambda t: nn.functional.l2_penalty([mg.tensor([2.0])], t),
        lambda t: nn.Softplus(t)(mg.tensor([1.0])),
    ],
    ids=["LeakyReLU", "l2_penalty", "Softplus"],
)
def test_a_setting_does_not_drop_the_gradient_of_a_tensor(use):
    t = mg.tensor(0.5)
    use(t)  # outside of a derivative it is a number
    with mg.GradientTape() as tape:
        tape.watch(t)
        with pytest.raises(TypeError, match=r"must be a number, got .*pass \.item\(\)"):
            use(t)
        use(t.item())
        use(t.detach())
    with pytest.raises(TypeError, match=r"no gradient flows through a setting"):
        mg.grad(lambda t: use(t).sum())(t)


NORMS = {
    "norm": lambda x, t: np.linalg.norm(x, ord=t),
    "vector_norm": lambda x, t: mg.linalg.vector_norm(x[0], ord=t),
    "matrix_norm": lambda x, t: mg.linalg.matrix_norm(x, ord=t),
    "cond": lambda x, t: mg.linalg.cond(x, p=t),
    "gradient": lambda x, t: np.gradient(x, t, axis=0),
}
SETTING = {"cond": "p", "gradient": "spacing"}


@pytest.mark.parametrize("name", NORMS)
def test_the_setting_that_is_a_tensor_is_named(name):
    x, use = mg.tensor([[2.0, 1.0], [0.5, 3.0]]), NORMS[name]
    expected = use(x, 2.0).numpy()
    for number in mg.tensor(2.0), np.array(2.0), np.float32(2.0):
        np.testing.assert_allclose(use(x, number).numpy(), expected)
    words = rf"^{name}: {SETTING.get(name, 'ord')}= is a setting"
    with pytest.raises(TypeError, match=words):
        use(x, mg.tensor(2.0, requires_grad=True))
    for wrong in ([2.0, 1.0, 3.0], [], [[2.0, 1.0]]):
        with pytest.raises((TypeError, ValueError), match=rf"^{name}: .*got (an array of )?shape"):
            use(x, mg.tensor(wrong))


def test_the_number_of_classes_is_a_whole_number():
    classes = mg.tensor([0, 2])
    assert nn.functional.one_hot(classes, mg.tensor(4)).shape == (2, 4)
    for wrong in (mg.tensor(3.0), mg.tensor([3, 3]), 3.0, None, True):
        with pytest.raises(TypeError, match=r"one_hot: num_classes must be an int, got "):
            nn.functional.one_hot(classes, wrong)


def test_fit_where_nothing_is_recorded_is_refused():
    net = nn.Linear(2, 2)
    trainer, before = mg.Trainer(net), net.weight.numpy()
    x, y = np.ones((4, 2), np.float32), np.zeros(4, int)
    with mg.no_grad():
        assert trainer.evaluate(x, y)["loss"] > 0
        with pytest.raises(RuntimeError, match=r"fit: nothing is recorded inside mg\.no_grad"):
            trainer.fit(x, y, verbose=0)
    np.testing.assert_array_equal(net.weight.numpy(), before)


def test_a_setting_that_is_its_default_is_not_shown_even_if_it_equals_nothing():
    from minigrad.engine.printable import shown_settings

    class Limit:
        def __init__(self, bound=np.nan, lengths=(1, 2), name=None):
            self.bound, self.lengths, self.name = bound, lengths, name

    assert shown_settings(Limit()) == "Limit()"
    assert shown_settings(Limit(1.0, (1, 2), "a")) == "Limit(bound=1.0, name='a')"


def test_a_range_may_stand_beside_the_kind():
    @checked(size="[1, inf)")
    def f(p: Annotated[float | None, "[0, 1)"] = None, size: int = 1) -> None: ...

    assert str(inspect.signature(f)) == "(p: 'float | None' = None, size: 'int' = 1) -> 'None'"
    f(0.5)
    f()
    for wrong, message in (
        (lambda: f(1.0), r"^f: p must be in \[0, 1\), got 1\.0$"),
        (lambda: f(-1), r"^f: p must be in \[0, 1\), got -1$"),
        (lambda: f(size=0), "^f: size must be at least 1, got 0$"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match=r"^f: p must be a number or None, got 'a'$"):
        f("a")
