"""Arguments of every operator: defaults, lists in the place of arrays, former names, what lacks.

Generated from the declarations, as ``test_operators.py`` is.
"""

import inspect
from functools import partial
from typing import Any

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE
from test_operators import cases, public_functions

import minigrad as mg
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


def _outputs(result: Any) -> list[Any]:
    return [*result] if isinstance(result, (tuple, list)) else [result]
