"""Tests that are generated from the declarations: every operator, composite and constant.

Nothing here names an operator, so one that is declared is tested: a row is a declaration with
samples. What is special about one operator is tested beside it, in ``test_operator_*.py``.
"""

import doctest
import importlib
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_calls import DECLARED, DIFFERENTIABLE

import minigrad as mg
from minigrad.engine.tree import flatten
from minigrad.operators.declare import COMPOSITES, CONSTANTS, OPERATORS, engine

# -- the cases -------------------------------------------------------------------------------------


@dataclass
class Case:
    """One call of one operator: its arguments with drawn arrays somewhere in them."""

    name: str
    function: Any
    reference: Any
    args: tuple[Any, ...]
    metadata: dict[str, Any]
    tracked: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}{[a.shape for a in self.flat]} {self.metadata}"

    @property
    def flat(self) -> list[Any]:
        """The arrays without the nesting."""
        return list(_arrays(self.args))

    def call(self, flat: list[Any]) -> list[Any]:
        """The operator with these arrays or tensors in the places of its own; outputs in a list."""
        args = _replaced(self.args, iter(flat))
        return _outputs(self.function(*args, **self.metadata))

    def value(self, flat: list[Any]) -> list[Any]:
        """The outputs as arrays."""
        return [np.asarray(y._data) for y in self.call([mg.Tensor(a) for a in flat])]

    def gradient(self, flat: list[Any], cotangents: list[Any]) -> list[Any]:
        """The gradients of the tracked inputs on the raw path."""
        tensors = [mg.Tensor(a) for a in flat]
        with mg.GradientTape() as tape:
            tape.watch([tensors[i] for i in self.tracked])
            outputs = _floats(self.call(tensors))
        return tape.gradient(
            outputs,
            [tensors[i] for i in self.tracked],
            [mg.Tensor(v) for v in cotangents],
            unconnected_gradients="zero",
        )

    def draw_cotangents(self, rng: np.random.Generator) -> list[Any]:
        return [
            rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
            for y in self.value(self.flat)
            if y.dtype.kind == "f"
        ]


def _arrays(nested: Any) -> Iterator[Any]:
    if isinstance(nested, (tuple, list)):
        for one in nested:
            yield from _arrays(one)
    elif isinstance(nested, np.ndarray):
        yield nested


def _replaced(nested: Any, flat: Iterator[Any]) -> Any:
    if isinstance(nested, (tuple, list)):
        return type(nested)(_replaced(one, flat) for one in nested)
    return next(flat) if isinstance(nested, np.ndarray) else nested


def _outputs(result: Any) -> list[Any]:
    return flatten(list(result) if isinstance(result, (tuple, list)) else [result])


def _floats(outputs: list[Any]) -> list[Any]:
    return [y for y in outputs if y.dtype.kind == "f"]


def _call_operator(op: Any) -> Any:
    return lambda *args, **kwargs: engine.record(op, args, kwargs)


def cases(name: str) -> list[Case]:
    """One case for each sample of the declaration, drawn from its domain."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    entry = DECLARED[name]
    function = _call_operator(entry) if name in OPERATORS else entry.function
    found = []
    for sample in entry.samples:
        args = sample.draw(rng, entry.domains)
        args = tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args)
        has_rule: list[bool] = []
        for i, arg in enumerate(args):
            rule = name not in OPERATORS or entry.variadic or entry.rules[i] is not None
            has_rule += [rule and a.dtype.kind == "f" for a in _arrays(arg)]
        tracked = tuple(i for i, rule in enumerate(has_rule) if rule)
        found.append(Case(name, function, entry.reference, args, sample.metadata, tracked))
    return found


each = pytest.mark.parametrize("name", DIFFERENTIABLE)


# -- the registry ----------------------------------------------------------------------------------


@each
def test_every_operator_has_samples_and_an_input_to_differentiate(name):
    found = cases(name)
    assert found
    assert any(case.tracked for case in found)


#: NumPy refuses nothing at all here, or answers NaN with a warning.
NEEDS_ELEMENTS = {
    "convolve", "mg.average", "mg.convolve", "mg.correlate", "mg.corrcoef", "mg.polymul", "mg.tensorinv",
}  # fmt: skip


@each
def test_every_operator_has_an_empty_sample(name):
    has_empty = any(a.size == 0 for case in cases(name) for a in case.flat)
    assert has_empty != (name in NEEDS_ELEMENTS)


def public_functions() -> list[Any]:
    """Every operator that ``mg``, ``F`` and ``mg.linalg`` have, and others that show an example."""
    spaces = (mg, mg.nn.functional, mg.linalg)
    names = [(name, getattr(space, name)) for space in spaces for name in space.__all__]
    declared = [op.declared for op in OPERATORS.values()]
    names += [(f.__name__, f) for f in declared if ">>> " in (f.__doc__ or "")]
    found = {}
    for name, function in names:
        home = getattr(function, "__module__", None) or ""
        if home.startswith("minigrad.operators."):
            found[home, name] = sys.modules[home], name
    return [found[key] for key in sorted(found)]


public = pytest.mark.parametrize(
    ("module", "name"), public_functions(), ids=[n for _, n in public_functions()]
)


@public
def test_every_public_operator_is_declared_and_explained(module, name):
    function = getattr(module, name)
    name = function.__name__  # of an alias, the operator's own
    name = next((n for n, c in COMPOSITES.items() if c.function is function), name)
    known = name in OPERATORS or name in COMPOSITES or name in CONSTANTS
    assert known, f"{name} is public but has no declaration, so nothing tests it"
    assert function.__doc__
    assert ">>>" in function.__doc__, f"{name} shows no example"


def test_doctests_find_the_examples_of_every_operator():
    """So that pytest runs each of them, once, with those of all other docstrings."""
    found = {
        one.docstring
        for module in {module for module, _ in public_functions()}
        for one in doctest.DocTestFinder().find(module)
        if one.examples
    }
    assert not [
        name for module, name in public_functions() if getattr(module, name).__doc__ not in found
    ]


def test_the_table_in_the_docs_is_up_to_date(monkeypatch):
    tools = Path(__file__).parent.parent / "tools"
    monkeypatch.syspath_prepend(str(tools))
    document_operators = importlib.import_module("document_operators")
    written = document_operators.PAGE.read_text(encoding="utf-8")
    version = ".".join(np.__version__.split(".")[:2])
    if f"NumPy {version}." not in written:
        pytest.skip(f"the table has the names of another NumPy than {version}")
    assert document_operators.page() == written, "run python tools/document_operators.py"


# -- the value ---------------------------------------------------------------------------------------


@each
def test_value_is_numpys(name):
    for case in cases(name):
        if case.reference is None:
            pytest.skip("no function of NumPy to compare with")
        expected = case.reference(*case.args, **case.metadata)
        expected = expected if isinstance(expected, (tuple, list)) else [expected]
        found = case.value(case.flat)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == np.shape(theirs), case
            assert ours.dtype == np.asarray(theirs).dtype, case
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=str(case))


def _whole(value: Any) -> Any:
    """float64 arrays as whole numbers, also inside lists and tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_whole, value))
    floats = isinstance(value, np.ndarray) and value.dtype == np.float64
    return np.asarray(np.rint(3.0 * np.nan_to_num(value)), dtype=np.int64) if floats else value


@each
def test_value_of_whole_numbers_is_numpys(name):
    for case in cases(name):
        if case.reference is None:
            pytest.skip("no function of NumPy to compare with")
        case.args = _whole(case.args)
        case.metadata = {k: _whole(v) for k, v in case.metadata.items()}
        try:
            with np.errstate(all="ignore"):
                expected = case.reference(*case.args, **case.metadata)
        except (ValueError, TypeError):  # a negative power, a singular matrix, ...
            continue
        expected = expected if isinstance(expected, (tuple, list)) else [expected]
        with np.errstate(all="ignore"):
            found = case.value(case.flat)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == np.asarray(theirs).dtype, case
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=str(case))


@each
def test_inputs_are_not_changed(name):
    rng = np.random.default_rng(0)
    for case in cases(name):
        before = [a.copy() for a in case.flat]
        tensors = [mg.tensor(a) for a in case.flat]
        cotangents = case.draw_cotangents(rng)
        given = [mg.Tensor(v) for v in cotangents]
        with mg.GradientTape() as tape:
            tape.watch([tensors[i] for i in case.tracked])
            outputs = _floats(case.call(tensors))
        values = [y._data.copy() for y in outputs]
        tape.gradient(outputs, [tensors[i] for i in case.tracked], given)
        for array, t in zip(before, tensors, strict=True):
            np.testing.assert_array_equal(array, t._data)
        for array, y in zip(values, outputs, strict=True):
            np.testing.assert_array_equal(array, y._data)
        for array, v in zip(cotangents, given, strict=True):
            np.testing.assert_array_equal(array, v._data)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_output_that_shares_memory_is_declared_a_view(name):
    op = OPERATORS[name]
    for case in cases(name):
        value = op.forward(*case.args, **case.metadata)
        shares = any(np.shares_memory(value, a) for a in case.flat)
        assert op.view or not shares, f"{case} returns a view of its input"


@each
def test_inputs_that_are_not_contiguous(name):
    rng = np.random.default_rng(0)
    for case in cases(name):
        strided = [np.repeat(a.T[..., None], 2, axis=-1)[..., 0].T for a in case.flat]
        cotangents = [
            np.repeat(v[..., None], 2, axis=-1)[..., 0] for v in case.draw_cotangents(rng)
        ]
        for ours, expected in zip(case.value(strided), case.value(case.flat), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)
        for g, h in zip(
            case.gradient(strided, cotangents), case.gradient(case.flat, cotangents), strict=True
        ):
            np.testing.assert_allclose(g._data, h._data, rtol=1e-11, atol=1e-11)


# -- dtype -------------------------------------------------------------------------------------------


def _narrow(value: Any) -> Any:
    """float64 arrays as float32, also inside lists and tuples."""
    if type(value) in (list, tuple):
        return type(value)(map(_narrow, value))
    wide = isinstance(value, np.ndarray) and value.dtype == np.float64
    return value.astype(np.float32) if wide else value


@each
def test_float32_is_kept_in_value_and_gradients(name):
    rng = np.random.default_rng(0)
    for case in cases(name):
        if case.metadata.get("dtype") is not None:
            continue
        narrow = [_narrow(a) for a in case.flat]
        case.metadata = {k: _narrow(v) for k, v in case.metadata.items()}
        cotangents = [v.astype(np.float32) for v in case.draw_cotangents(rng)]
        tensors = [mg.tensor(a) for a in narrow]
        xs = [tensors[i] for i in case.tracked]
        with mg.GradientTape() as outer:
            outer.watch(xs)
            with mg.GradientTape() as inner:
                inner.watch(xs)
                outputs = _floats(case.call(tensors))
            seeds = [mg.Tensor(v) for v in cotangents]
            gradients = inner.gradient(outputs, xs, seeds, unconnected_gradients="zero")
        second = outer.gradient(gradients, xs, unconnected_gradients="zero")
        for made in (*outputs, *gradients, *second):
            assert made.dtype == np.float32, case
        for node in outer.nodes:
            if node.dtype.kind == "f":
                assert node.dtype == np.float32, f"{case}: {node.op.name} widens to {node.dtype}"
        exact = [a.astype(np.float64) if a.dtype == np.float32 else a for a in narrow]
        wide = case.gradient(exact, [v.astype(np.float64) for v in cotangents])
        for g, h in zip(gradients, wide, strict=True):
            scale = max(1.0, np.max(np.abs(h._data), initial=0.0))
            np.testing.assert_allclose(g._data, h._data, rtol=1e-3, atol=1e-4 * scale)


# -- derivatives -------------------------------------------------------------------------------------


@each
def test_gradients_are_proven_to_second_order(name):
    """Element by element against differences; the recorded rule must give what the plain one does."""
    for case in cases(name):

        def function(*drawn, case=case):
            flat = case.flat
            for i, array in zip(case.tracked, drawn, strict=True):
                flat[i] = array
            return case.call([mg.tensor(a) if isinstance(a, np.ndarray) else a for a in flat])

        drawn = [case.flat[i] for i in case.tracked]
        report = mg.testing.check_grads(function, *drawn, order=2, name=str(case))
        assert report.verdict is mg.testing.Verdict.PASS


@each
def test_gradients_are_linear_in_the_cotangent(name):
    rng = np.random.default_rng(0)
    for case in cases(name):
        v, w = case.draw_cotangents(rng), case.draw_cotangents(rng)
        both = case.gradient(case.flat, [2.0 * a - 3.0 * b for a, b in zip(v, w, strict=True)])
        one, other = case.gradient(case.flat, v), case.gradient(case.flat, w)
        for g, a, b in zip(both, one, other, strict=True):
            np.testing.assert_allclose(
                g._data, 2.0 * a._data - 3.0 * b._data, rtol=1e-9, atol=1e-9, err_msg=str(case)
            )
