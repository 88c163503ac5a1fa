"""Arguments of every operator: defaults, lists in the place of arrays, former names, what lacks.

Generated from the declarations, as ``test_operators.py`` is.
"""

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_calls import DECLARED, DIFFERENTIABLE
from test_operators import cases, public_functions

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.recording import run
from minigrad.engine.tree import flatten
from minigrad.operators.declare import OPERATORS


def _defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name.lstrip("_"): p.default for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_a_rule_has_the_defaults_of_its_operator(name):
    op = OPERATORS[name]
    given = _defaults(op.declared)
    for rule in {*op.rules, op.vjp_all} - {None}:
        for argument, default in _defaults(rule).items():
            assert repr(default) == repr(given[argument]), argument


def test_an_operator_that_others_call_has_the_defaults_of_public_functions():
    """Of ``conv2d_input_grad``, say, which has its stride and padding from ``conv2d``."""
    public = {getattr(module, name) for module, name in public_functions()}
    known = {(k, repr(v)) for function in public for k, v in _defaults(function).items()}
    for op in OPERATORS.values():
        given = {(k, repr(v)) for k, v in _defaults(op.declared).items() if v is not None}
        assert given <= known, op.name


def test_one_that_lacks_is_named_whatever_its_place():
    for name, op in OPERATORS.items():
        given = [None] * (1 if op.variadic else op.arity)
        with pytest.raises(TypeError) as error:
            run(op, tuple(given), {})
        assert str(error.value).startswith(
            f"{op.shown}: {op.params[0]} must be an array, got None"
        ), name


def test_of_many_arrays_each_may_lack():
    for joined in ([mg.ones(2), None], [None, mg.ones(2)]):
        with pytest.raises(TypeError, match=r"^concatenate: arrays must be an array, got None"):
            mg.concatenate(joined)


def _is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_a_list_is_as_good_as_its_array(name):
    """Beside a tensor it becomes an array of float32, as everywhere."""
    for case in cases(name):
        flat = case.flat
        places = [i for i, a in enumerate(case.args) if _is_float(a) and a.size and a.ndim]
        if len(places) < 2 or len(flat) != len(case.args):
            continue
        narrow = [a.astype(np.float32) if _is_float(a) else a for a in flat]
        expected = flatten(case.call([mg.Tensor(a) for a in narrow]))
        for i in places:
            given: list[Any] = [mg.Tensor(a) for a in narrow]
            given[i] = narrow[i].tolist()
            found = flatten(list(_outputs(case.function(*given, **case.metadata))))
            for ours, theirs in zip(found, expected, strict=True):
                assert ours.dtype == theirs.dtype, (case, i)
                np.testing.assert_allclose(
                    ours.numpy(), theirs.numpy(), rtol=1e-6, err_msg=str(case)
                )


@pytest.mark.parametrize(
    "function",
    [np.add, np.arctan2, np.fmax, np.hypot, np.logaddexp, np.maximum, np.power,
     np.remainder, np.outer, mg.xlogy, partial(mg.where, [True, False])],
)  # fmt: skip
def test_a_python_number_is_weak_on_both_sides(function):
    for given in ((mg.ones(2), 2.5), (2.5, mg.ones(2))):
        leaves = [mg.tensor(x, requires_grad=True) for x in given if isinstance(x, mg.Tensor)]
        tracked = [leaves[0] if isinstance(x, mg.Tensor) else x for x in given]
        for found in (function(*given), function(*tracked)):
            expected = function(*(np.asarray(x, np.float32) for x in given))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found.detach().numpy(), np.asarray(expected), rtol=1e-6)
        found.sum().backward()
        assert leaves[0].grad.dtype == np.float32
    # A number keeps the digits of the array beside it.
    for dtype in (np.float16, np.float64):
        array = np.array([0.3, 0.7], dtype)
        for given in ((array, 0.1), (0.1, array)):
            found = function(*(mg.tensor(a) if a is array else a for a in given))
            expected = function(*(np.asarray(a, dtype) for a in given))
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found.numpy(), np.asarray(expected), rtol=2e-3 if dtype is np.float16 else 1e-15
            )


def _outputs(result: Any) -> list[Any]:
    return [*result] if isinstance(result, (tuple, list)) else [result]


@pytest.mark.parametrize("name", [n for n, op in OPERATORS.items() if op.numbers])
def test_numbers_that_are_not_real_are_converted_or_refused(name):
    op = OPERATORS[name]
    for case in cases(name):
        if not all(_is_float(a) for a in case.args) or case.flat[0].size == 0:
            continue
        whole = [np.rint(np.abs(a)).astype(np.int64) + 1 for a in case.flat]
        single = [mg.Tensor(a) for a in whole]
        found = case.function(*single, **case.metadata)
        if op.numbers in ("float", "inexact"):
            assert found.dtype.kind != "f" or found.dtype == np.float64, case
            wide = case.function(*(a.astype(np.float64) for a in single), **case.metadata)
            np.testing.assert_array_equal(found.numpy(), wide.numpy())
        if op.numbers in ("float", "real"):
            for i in range(len(whole)):
                given = [
                    mg.Tensor(a.astype(complex)) if j == i else mg.Tensor(a.astype(float))
                    for j, a in enumerate(whole)
                ]
                with pytest.raises(
                    TypeError,
                    match=f"{op.shown}: expected real numbers, got {op.params[i]} of complex128",
                ):
                    case.function(*given, **case.metadata)


def test_methods_have_the_defaults_of_their_functions():
    seen = 0
    for name in dir(mg.Tensor):
        function, method = getattr(mg, name, None), getattr(mg.Tensor, name)
        if name.startswith("_") or not callable(function) or not callable(method):
            continue
        known, given = _defaults(function), _defaults(method)
        for argument in known.keys() & given.keys():
            seen += 1
            assert repr(given[argument]) == repr(known[argument]), (name, argument)
    assert seen > 30


#: Limits of settings: a call with the last value that is allowed, and with the first that is not.
ONE, IMAGE = mg.ones((2, 4)), mg.ones((1, 2, 4, 4))
LIMITS = {
    "group_norm: num_groups": (lambda n: F.group_norm(IMAGE, n), 1, 0),
    "local_response_norm: size": (lambda n: F.local_response_norm(IMAGE, n), 1, 0),
    "polyder: m": (lambda n: mg.polyder(mg.ones(3), n), 0, -1),
    "polyint: m": (lambda n: mg.polyint(mg.ones(3), n), 0, -1),
    "diff: n": (lambda n: mg.diff(ONE, n), 0, -1),
    "vander: N": (lambda n: mg.vander(mg.ones(3), n), 0, -1),
    "bincount: minlength": (lambda n: mg.bincount([1, 0], minlength=n), 0, -1),
    "bincount: place": (lambda n: mg.bincount([1, n]), 0, -1),
    "max_unpool2d: place": (lambda n: F.max_unpool2d(IMAGE, np.full((1, 2, 4, 4), n), 2), 0, -1),
    "max_unpool2d: last place": (lambda n: F.max_unpool2d(IMAGE, np.full((1, 2, 4, 4), n), 2), 63, 64),
    "choose: last": (lambda n: mg.choose([n, n], [mg.ones(2), mg.zeros(2)]), 1, 2),
    "choose: first": (lambda n: mg.choose([n, n], [mg.ones(2), mg.zeros(2)]), 0, -1),
    "cross_entropy: label": (lambda n: F.cross_entropy(ONE, [n, 0]), 3, 4),
    "cross_entropy: first label": (lambda n: F.cross_entropy(ONE, [n, 0]), 0, -1),
    "nll_loss: label": (lambda n: F.nll_loss(ONE, [n, 0]), 3, 4),
    "multi_margin_loss: label": (lambda n: F.multi_margin_loss(ONE, [n, 0]), 3, 4),
    "multi_margin_loss: first label": (lambda n: F.multi_margin_loss(ONE, [n, 0]), 0, -1),
    "label_smoothing": (lambda n: F.cross_entropy(ONE, [0, 1], label_smoothing=n), 1.0, 1.01),
    "label_smoothing from": (lambda n: F.cross_entropy(ONE, [0, 1], label_smoothing=n), 0.0, -0.01),
    "lstsq: rcond": (lambda n: np.linalg.lstsq(ONE, mg.ones(2), rcond=n), 0.5, np.nan),
    "lstsq: infinite rcond": (lambda n: np.linalg.lstsq(ONE, mg.ones(2), rcond=n), -1.0, np.inf),
    "quantile: q": (lambda n: mg.quantile(ONE, n), 1.0, 1.01),
    "quantile: first q": (lambda n: mg.quantile(ONE, n), 0.0, -0.01),
    "percentile: q": (lambda n: mg.percentile(ONE, n), 100.0, 100.5),
    "conv2d: groups": (lambda n: F.conv2d(IMAGE, mg.ones((2, 2 // max(n, 1), 1, 1)), groups=n), 2, 0),
    "conv2d: stride": (lambda n: F.conv2d(IMAGE, mg.ones((2, 2, 1, 1)), stride=n), 1, 0),
    "conv2d: dilation": (lambda n: F.conv2d(IMAGE, mg.ones((2, 2, 1, 1)), dilation=n), 1, 0),
    "conv2d: padding": (lambda n: F.conv2d(IMAGE, mg.ones((2, 2, 1, 1)), padding=n), 0, -1),
    "conv2d: kernel": (lambda n: F.conv2d(IMAGE, mg.ones((2, 2, n, n))), 4, 5),
    "conv_transpose2d: output_padding": (lambda n: F.conv_transpose2d(IMAGE, mg.ones((2, 1, 2, 2)), stride=2, output_padding=n), 1, 2),
    "conv_transpose2d: first output_padding": (lambda n: F.conv_transpose2d(IMAGE, mg.ones((2, 1, 2, 2)), stride=2, output_padding=n), 0, -1),
    "max_pool2d: kernel_size": (lambda n: F.max_pool2d(IMAGE, n), 1, 0),
    "max_pool2d: padding": (lambda n: F.max_pool2d(IMAGE, 2, padding=n), 1, 2),
    "avg_pool2d: stride": (lambda n: F.avg_pool2d(IMAGE, 2, n), 1, 0),
    "avg_pool2d: padding": (lambda n: F.avg_pool2d(IMAGE, 2, padding=n), 1, 2),
    "adaptive_avg_pool2d: output_size": (lambda n: F.adaptive_avg_pool2d(IMAGE, n), 1, 0),
    "adaptive_max_pool2d: output_size": (lambda n: F.adaptive_max_pool2d(IMAGE, (n, 2)), 1, 0),
    "interpolate: size": (lambda n: F.interpolate(IMAGE, n), 1, 0),
    "interpolate: scale_factor": (lambda n: F.interpolate(IMAGE, scale_factor=n), 0.25, 0.2),
    "batch_norm: momentum": (lambda n: F.batch_norm(IMAGE, None, None, training=True, momentum=n), 1, 1.1),
    "batch_norm: eps": (lambda n: F.batch_norm(IMAGE, None, None, training=True, eps=n), 0, -1e-9),
    "layer_norm: eps": (lambda n: F.layer_norm(ONE, 4, eps=n), 0, np.inf),
    "rms_norm: eps": (lambda n: F.rms_norm(ONE, 4, eps=n), 0, -1e-9),
    "gaussian_nll_loss: eps": (lambda n: F.gaussian_nll_loss(ONE, ONE, ONE, eps=n), 1e-9, 0.0),
    "gaussian_nll_loss: var": (lambda n: F.gaussian_nll_loss(ONE, ONE, ONE * n), 0.0, -0.1),
    "huber_loss: delta": (lambda n: F.huber_loss(ONE, ONE, delta=n), 1e-9, 0.0),
    "smooth_l1_loss: beta": (lambda n: F.smooth_l1_loss(ONE, ONE, beta=n), 0.0, -0.1),
    "dropout: p": (lambda n: F.dropout(ONE, n), 1.0, 1.01),
    "one_hot: label": (lambda n: F.one_hot([0, n], 3), 2, 3),
    "split": (lambda n: mg.split(ONE, n, axis=1), 1, 0),
    "repeat": (lambda n: mg.repeat(ONE, n), 0, -1),
    "matrix_power of no square": (lambda n: np.linalg.matrix_power(mg.ones((2, n)), 2), 2, 3),
    "moveaxis": (lambda n: mg.moveaxis(ONE, n, 0), -2, -3),
    "expand_dims": (lambda n: mg.expand_dims(ONE, n), 2, 3),
    "rollaxis": (lambda n: mg.rollaxis(ONE, 0, n), 2, 3),
    "take": (lambda n: mg.take(ONE, n, 1), -4, -5),
    "delete": (lambda n: mg.delete(ONE, n, 1), 3, 4),
    "insert": (lambda n: mg.insert(ONE, n, 0.0, 1), 4, 5),
    "gradient": (lambda n: mg.gradient(mg.ones(n), edge_order=2), 3, 2),
    "edge_order": (lambda n: mg.gradient(mg.ones(5), edge_order=n), 1, 0),
    "max_unpool2d: padding": (lambda n: F.max_unpool2d(IMAGE, np.zeros((1, 2, 4, 4), int), 2, padding=n), 0, -1),
    "avg_pool2d: first padding": (lambda n: F.avg_pool2d(IMAGE, 2, padding=n), 0, -1),
    "max_pool2d: first padding": (lambda n: F.max_pool2d(IMAGE, 2, padding=n), 0, -1),
    "rollaxis from": (lambda n: mg.rollaxis(ONE, 0, n), -2, -3),
    "rollaxis of": (lambda n: mg.rollaxis(ONE, n), -2, -3),
    "binary_cross_entropy: input": (lambda n: F.binary_cross_entropy(ONE * n, ONE), 0.0, -0.5),
    "binary_cross_entropy: largest input": (lambda n: F.binary_cross_entropy(ONE * n, ONE), 1.0, 1.5),
    "binary_cross_entropy: target": (lambda n: F.binary_cross_entropy(ONE, ONE * n), 0.0, -0.5),
    "cross_entropy: probability": (lambda n: F.cross_entropy(ONE, ONE * n), 0.0, -0.5),
    "with_logits: target": (lambda n: F.binary_cross_entropy_with_logits(ONE, ONE * n), 0.0, -0.5),
    "gaussian_nll_loss: least var": (lambda n: F.gaussian_nll_loss(ONE, ONE, ONE * n), 0.0, -0.5),
    "logsumexp: axis": (lambda n: mg.logsumexp(ONE, axis=n), 1, 2),
    "median: axis": (lambda n: mg.median(ONE, axis=n), 1, 2),
    "flip: axis": (lambda n: mg.flip(ONE, n), -2, -3),
    "max_unpool2d: output_size": (lambda n: F.max_unpool2d(IMAGE, np.zeros((1, 2, 4, 4), int), 2, output_size=(n, n)), 9, 10),
    "max_unpool2d: least output_size": (lambda n: F.max_unpool2d(IMAGE, np.zeros((1, 2, 4, 4), int), 2, output_size=(8, n)), 7, 6),
    "batch_norm: least momentum": (lambda n: F.batch_norm(IMAGE, None, None, training=True, momentum=n), 0, -0.5),
    "instance_norm: momentum": (lambda n: F.instance_norm(IMAGE, momentum=n), 1, 1.5),
    "instance_norm: least momentum": (lambda n: F.instance_norm(IMAGE, momentum=n), 0, -0.5),
    "gaussian_nll_loss: largest eps": (lambda n: F.gaussian_nll_loss(ONE, ONE, ONE, eps=n), 1e9, np.inf),
    "local_response_norm: alpha": (lambda n: F.local_response_norm(IMAGE, 2, alpha=n), 1e9, np.inf),
    "cosine_similarity: eps": (lambda n: F.cosine_similarity(ONE, ONE, eps=n), 1e9, np.inf),
    "cosine_similarity: least eps": (lambda n: F.cosine_similarity(ONE, ONE, eps=n), 1e-30, 0.0),
    "partition": (lambda n: mg.partition(ONE, n), 3, 4),
    "local_response_norm: least alpha": (lambda n: F.local_response_norm(IMAGE, 2, alpha=n), -1e9, -np.inf),
    "bincount of weights: minlength": (lambda n: mg.bincount([1, 0], mg.ones(2), n), 0, -1),
    "bincount of weights: place": (lambda n: mg.bincount([1, n], mg.ones(2)), 0, -1),
    "celu: alpha": (lambda n: F.celu(ONE, n), 1e9, np.inf),
    "celu: least alpha": (lambda n: F.celu(ONE, n), 1e-9, 0.0),
    "tensordot: axes": (lambda n: mg.tensordot(ONE, ONE, n), 2, 3),
    "tensordot: least axes": (lambda n: mg.tensordot(ONE, ONE, n), 0, -1),
    "layer_norm: normalized_shape": (lambda n: F.layer_norm(mg.ones((2, 0)), n), 0, -1),
    "huber_loss: largest delta": (lambda n: F.huber_loss(ONE, ONE, delta=n), 1e9, np.inf),
    "smooth_l1_loss: largest beta": (lambda n: F.smooth_l1_loss(ONE, ONE, beta=n), 1e9, np.inf),
    "binary_cross_entropy: largest target": (lambda n: F.binary_cross_entropy(ONE, ONE * n), 1.0, 1.5),
    "with_logits: largest target": (lambda n: F.binary_cross_entropy_with_logits(ONE, ONE * n), 1.0, 1.5),
    "hardtanh: max_val": (lambda n: F.hardtanh(ONE, 0.5, n), 0.6, 0.5),
    "multi_dot": (lambda n: mg.multi_dot([mg.ones((2, 2))] * n), 2, 1),
    "glu": (lambda n: F.glu(mg.ones((2, n))), 4, 3),
    "logsumexp: least axis": (lambda n: mg.logsumexp(ONE, axis=n), -2, -3),
    "prod: axis": (lambda n: mg.prod(ONE, axis=n), 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("what", LIMITS)
def test_the_limits_of_settings(what):
    call, allowed, refused = LIMITS[what]
    with np.errstate(all="ignore"):
        call(allowed)
    with pytest.raises((ValueError, IndexError), match=r"^\w+(\.\w+)?: "):
        call(refused)


class Odd:
    """An object without a text."""

    def __repr__(self) -> str:
        raise RuntimeError


def _messages() -> list[tuple[str, str]]:
    text = Path(__file__).with_name("messages.txt").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    return [(call, words.strip()) for call, words in zip(rows[::2], rows[1::2], strict=True)]


@pytest.mark.parametrize(("call", "words"), _messages(), ids=[call for call, _ in _messages()])
def test_messages_word_for_word(call, words):
    with pytest.raises(Exception) as error:
        eval(call, {"mg": mg, "F": F, "np": np, "o": mg.ones, "Odd": Odd})
    assert f"{error.type.__name__}: {error.value}" == words


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_former_names_of_arrays_are_still_taken(name):
    """``x`` and ``y`` of the first two, ``arrays`` and ``blocks`` of a list; ``p`` and ``q``, of polynomials."""
    entry = DECLARED[name]
    declared = entry.declared if name in OPERATORS else inspect.unwrap(entry.function)
    params = [
        p.name
        for p in inspect.signature(declared).parameters.values()
        if p.kind is not p.VAR_POSITIONAL
    ]
    case = next(iter(cases(name)))
    if len(params) < len(case.args) or len(inspect.signature(declared).parameters) != len(params):
        pytest.skip("it takes any number of arrays by place")
    polynomials = params[0] == "a1"
    olds = ["p", "q"] if polynomials else ["x", "y"]
    many = isinstance(case.args[0], list)
    spellings = [["arrays"], ["blocks"]] if many else [olds[:1], olds]
    expected = flatten(_outputs(case.function(*case.args, **case.metadata)))
    for old in spellings:
        if set(old) & set(params) or len(case.args) < len(old):
            continue
        if not many and not all(map(_is_float, case.args[: len(old)])):
            continue
        given = dict(zip([*old, *params[len(old) :]], case.args, strict=False))
        found = flatten(_outputs(case.function(**given, **case.metadata)))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("exponent", [6.5, -2.5, 0.5, 3, -2, -3, 4, 5, 7, -1, 0, 2, 2.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_powers_and_slopes_of_negative_numbers(exponent, dtype):
    x = np.array([-2, -1, 1, 2], dtype)
    if dtype is np.int64 and (exponent < 0 and isinstance(exponent, int)):
        with pytest.raises(ValueError, match="power"):
            mg.power(mg.Tensor(x), exponent)
        return
    with np.errstate(invalid="ignore"):
        expected = np.power(x, exponent)
        found = mg.power(mg.Tensor(x), exponent)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(
            found.numpy(), expected, rtol=1e-3 if dtype is np.float16 else 1e-6
        )
        if dtype is not np.int64:
            leaf = mg.tensor(x, requires_grad=True)
            mg.power(leaf, exponent).sum().backward()
            slope = exponent * np.power(x.astype(float), exponent - 1)
            np.testing.assert_allclose(
                leaf.grad.numpy(), slope, rtol=2e-3 if dtype is np.float16 else 1e-6
            )


def _several_arrays(name: str) -> Any:
    """A case of the function that takes two arrays of floats or more; None if there is none."""
    found = (c for c in cases(name) if len(c.flat) == len(c.args) > 1)
    return next((c for c in found if all(map(_is_float, c.args))), None)


COMPOSED = [
    n
    for n in DIFFERENTIABLE
    if n not in OPERATORS and any(len(one.arrays) > 1 for one in DECLARED[n].samples)
]


@pytest.mark.parametrize("name", COMPOSED)
def test_a_complex_array_is_refused_at_each_place_or_at_none(name):
    """The functions of real numbers name the argument, wherever it stands."""
    case = _several_arrays(name)
    if case is None:
        pytest.skip("not all of them hold floats")
    declared = inspect.unwrap(DECLARED[name].function)
    params = [*inspect.signature(declared).parameters]
    refused = []
    for i in range(len(case.args)):
        given = [mg.Tensor(a.astype(complex) if j == i else a) for j, a in enumerate(case.args)]
        try:
            with np.errstate(all="ignore"):
                case.function(*given, **case.metadata)
        except TypeError as error:
            refused.append(f": expected real numbers, got {params[i]} of complex128" in str(error))
        except Exception:  # noqa: BLE001 (whatever NumPy says)
            refused.append(False)
        else:
            refused.append(False)
    assert all(refused) or not any(refused), refused


def _declared(name: str) -> Any:
    return DECLARED[name].declared if name in OPERATORS else inspect.unwrap(DECLARED[name].function)


ALONG = [n for n in DIFFERENTIABLE if "axis" in inspect.signature(_declared(n)).parameters]


@pytest.mark.parametrize("name", ALONG)
def test_an_axis_is_one_of_those_that_are_there(name):
    case = next(
        (c for c in cases(name) if isinstance(c.metadata.get("axis", 0), int) and c.flat[0].size),
        None,
    )
    if case is None:
        pytest.skip("it takes several axes only")
    ndim = max(a.ndim for a in case.flat)
    for axis in (ndim + 1, -ndim - 2):
        with pytest.raises((ValueError, IndexError)) as error:
            case.function(*case.args, **{**case.metadata, "axis": axis})
        assert re.match(r"[\w.]+: ", str(error.value)), error.value


def test_operators_say_what_numpy_says_of_them():
    for function in (np.sin, np.exp, np.add, np.cumsum, np.floor, np.nansum, np.maximum):
        ours, first = getattr(mg, function.__name__), function.__doc__.split("\n\n")
        line = first[first[0].startswith(function.__name__)]
        assert ours.__doc__.splitlines()[0].rstrip(".") == " ".join(line.split()).partition(". ")[
            0
        ].rstrip(".")


def test_a_size_beyond_any_memory_is_a_mistake():
    from minigrad.operators.errors import _kind

    error = MemoryError()
    for shape, kind in (
        ((10,), MemoryError),
        ((1 << 44,), MemoryError),
        (((1 << 44) + 1,), ValueError),
        (None, ValueError),
    ):
        error.shape, error.dtype = shape, np.dtype(np.float64)
        assert _kind(error) is kind


@pytest.mark.parametrize(
    ("function", "shape", "rest"),
    [
        (F.conv2d, (2, 4, 4), (np.ones((3, 2, 2, 2)),)),
        (F.conv1d, (2, 4), (np.ones((3, 2, 2)),)),
        (F.max_pool2d, (2, 4, 4), (2,)),
        (F.max_pool1d, (2, 4), (2,)),
        (F.avg_pool2d, (2, 4, 4), (2,)),
        (F.conv_transpose1d, (2, 4), (np.ones((2, 3, 2)),)),
    ],
)
def test_lists_and_single_images_are_as_good_as_batches(function, shape, rest):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in rest]
    rest = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in rest]
    expected = function(mg.tensor(x[None]), *rest)[0].numpy()
    for given in (mg.tensor(x), x.tolist()):
        np.testing.assert_array_equal(function(given, *lists), expected)
        np.testing.assert_array_equal(function(input=given, **_by_name(function, lists)), expected)
    np.testing.assert_array_equal(function([x.tolist()], *lists)[0], expected)


def _by_name(function: Any, values: list[Any]) -> dict[str, Any]:
    return dict(zip([*inspect.signature(function).parameters][1:], values, strict=False))


def test_places_of_signals_may_be_lists():
    x = mg.tensor([[[1.0, 5.0, 2.0, 3.0]]])
    y, places = F.max_pool1d(x, 2, return_indices=True)
    expected = [[[0.0, 5.0, 0.0, 3.0]]]
    for given in (places, places.numpy(), places.tolist()):
        np.testing.assert_array_equal(F.max_unpool1d(y, given, 2), expected)


def _by_place(function: Any) -> list[str]:
    """The parameters that take a value by place; none where any number of values does."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return []
    return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]


CALLED = [
    pytest.param(getattr(*at), id=at[1]) for at in public_functions() if _by_place(getattr(*at))
]


@pytest.mark.parametrize("function", CALLED)
def test_arguments_that_are_not_those_of_the_signature(function):
    """Whether the function has a body, or only a signature and runs a function of NumPy."""
    x, params = mg.ones((2, 2)), _by_place(function)
    calls: list[tuple[list[Any], dict[str, Any], str]] = [
        ([x], {params[0]: x}, f"got '{params[0]}' twice"),
        ([x], {"colour": 1}, "unknown argument 'colour'"),
        ([x] * (len(params) + 1), {}, rf"takes {len(params)} arguments? .*, got {len(params) + 1}"),
        ([], {}, f"missing argument '{params[0]}'"),
    ]
    if len(params) > 1:
        calls.append(([x] * len(params), {params[-1]: x}, f"got '{params[-1]}' twice"))
    for args, named, words in calls:
        with pytest.raises(TypeError, match=rf"^[\w.]+: {words}"):
            function(*args, **named)
