"""Nothing is constant in silence: what changes a result is differentiated, refused, or listed."""

import inspect
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.tree import flatten
from minigrad.operators.declare import CONSTANTS, Operator, engine
from minigrad.operators.nondifferentiable import ALTHOUGH
from tests.operator_calls import DIFFERENTIABLE, call, entry
from tests.test_numpy_namespace import CALLS

STEP = 1e-4


def floats(result):
    found = flatten(list(result) if isinstance(result, tuple) else result)
    return [one for one in found if isinstance(one, mg.Tensor) and one.dtype.kind == "f"]


def moves(function, x):
    """Which results change when every element of x does, a little and each by its own amount."""
    shift = STEP * np.random.default_rng(0).uniform(0.5, 1.0, np.shape(x))
    pairs = zip(floats(function(x + shift)), floats(function(x - shift)), strict=True)
    return [
        a.shape != b.shape or (bool(a.size) and not np.array_equal(a.numpy(), b.numpy(), True))
        for a, b in pairs
    ]


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_a_constant_does_not_change_or_is_listed(name):
    def function(shift):  # 0.0371 leads away from whole numbers, where these jump
        moved = [
            given + (0.0371 + shift)
            if isinstance(given, np.ndarray) and given.dtype.kind == "f"
            else given
            for given in CALLS[name]
        ]
        return CONSTANTS[name](*moved)

    if name == "heaviside":
        moved = mg.heaviside(0.0, 0.5).item() != mg.heaviside(0.0, 0.6).item()
    else:
        moved = any(moves(function, 0.0))
    assert moved == (name in ALTHOUGH)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_results_that_change_with_an_input_are_tracked(name):
    for sample in entry(name).samples:
        function, arrays = call(name, sample, np.random.default_rng(0))
        for i, x in enumerate(arrays):

            def of_one(x, i=i, function=function, arrays=arrays):
                return function(*arrays[:i], x, *arrays[i + 1 :])

            if not x.size:
                continue
            tracked = [y.requires_grad for y in floats(of_one(mg.tensor(x, requires_grad=True)))]
            for y, moved in zip(tracked, moves(of_one, x), strict=True):
                assert y or not moved, (sample, i)


def settings():
    """(operator, sample, parameter, value): what may be given besides the arrays, as a number."""
    for name in DIFFERENTIABLE:
        declared = entry(name)
        value = (
            declared.forward if isinstance(declared, Operator) else declared.function.__wrapped__
        )
        if not isinstance(value, types.FunctionType):
            continue
        parameters = list(inspect.signature(value).parameters.values())
        for sample in declared.samples:
            for p in parameters[len(sample.arrays) :]:
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                    given = sample.metadata.get(p.name, p.default)
                    number = type(given) in (int, float)
                    for one in [float(given)] if number else [0.37, 1.3] if given is None else []:
                        yield name, sample, p.name, one


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_tracked_setting_gets_its_gradient_or_is_refused():
    refused, followed = set(), set()
    for name, sample, setting, number in settings():
        declared = entry(name)
        drawn = sample.draw(np.random.default_rng(0), declared.domains)

        def function(value, name=name, sample=sample, setting=setting, drawn=drawn):
            declared, metadata = entry(name), {**sample.metadata, setting: value}
            if isinstance(declared, Operator):
                return engine.record(declared, drawn, metadata)
            return declared.function(*drawn, **metadata)

        try:
            found = floats(function(mg.tensor(np.array(number), requires_grad=True)))
            moved = moves(function, number)
        except (TypeError, ValueError, IndexError, np.linalg.LinAlgError) as error:
            if "is a setting" in str(error):
                refused.add((name, setting))
            continue
        followed.add((name, setting))
        for y, one in zip(found, moved, strict=True):
            assert y.requires_grad or not one, (name, sample, setting)
    assert {("elu", "alpha"), ("mg.quantile", "q"), ("mg.pad", "constant_values")} <= refused
    assert {("clip", "max"), ("mg.interp", "left"), ("mg.diff", "append")} <= followed


def by_leaf(x):
    return mg.tensor(x, requires_grad=True)


def by_result(x):
    return by_leaf(x) * 1.0


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2, 4, 3)])
def test_a_full_svd_of_a_followed_rectangle_is_refused(shape):
    x = np.random.default_rng(0).normal(size=shape)
    for function in (np.linalg.svd, mg.linalg.svd):
        for made in (by_leaf, by_result):
            with pytest.raises(ValueError, match="full_matrices=False"):
                function(made(x))
        watched = mg.tensor(x)
        with mg.GradientTape() as tape:
            tape.watch(watched)
            with pytest.raises(ValueError, match="full_matrices=False"):
                function(watched)
        with pytest.raises(ValueError, match="full_matrices=False"):
            mg.grad(lambda x, f=function: f(x)[0].sum())(mg.tensor(x))
        with mg.no_grad():
            assert function(by_leaf(x))[0].shape[-1] == shape[-2]
        assert function(mg.tensor(x))[2].shape[-1] == shape[-1]


def test_a_full_svd_of_a_square_has_its_derivative():
    x = np.random.default_rng(0).normal(size=(3, 3))
    mg.testing.check_grads(lambda x: np.linalg.svd(x)[1], x)
    mg.testing.check_grads(lambda x: np.square(np.linalg.svd(x)[2]), x)
