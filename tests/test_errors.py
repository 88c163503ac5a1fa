"""What messages are made of: an argument in a few words, the one that does not fit, the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.operators import errors
from minigrad.operators.declare import OPERATORS

if TYPE_CHECKING:
    from minigrad.operators.declare import Array


def f(a: Array, axis: int | None = 0, p: float | None = None, name: str = "x") -> None: ...


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("ab", "'ab'"),
        (np.ones((2, 3)), "float64 (2, 3)"),
        ([1, 2, 3, 4], "[1, 2, 3, 4]"),
        ([1, 2, 3, 4, 5], "[1, 2, 3, 4, ...]"),
        ((1,), "(1,)"),
        ((), "()"),
        ((1, 2), "(1, 2)"),
        ([(1, [2, 3, 4, 5, 6])], "[(1, [2, 3, 4, 5, ...])]"),
        ([[[np.ones(2)]]], "[[[float64 (2,)]]]"),
        ([[[[1, 2, 3, 4, 5]]]], "[[[[1, 2, 3, 4, 5]]]]"),
        ([[[[np.ones(1)]]]], "[[[[array([1.])]]]]"),
        ("x" * 78, repr("x" * 78)),
        ("x" * 79, "'" + "x" * 76 + "..."),
    ],
)
def test_describe_shows_few_elements_and_few_levels(value, text):
    assert errors._describe(value) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"a": 1.0}, ""),
        ({}, "missing argument 'a'"),
        ({"axis": 1}, "missing argument 'a'"),
        ({"a": "q"}, "a must be an array, got 'q'"),
        ({"a": 1.0, "axis": None, "p": None, "name": "y"}, ""),
        ({"a": 1.0, "axis": "q"}, "axis must be an int, got 'q'"),
        ({"a": 1.0, "axis": None, "p": "z"}, "p must be a number, got 'z'"),
        ({"a": 1.0, "axis": 2, "p": 0.5, "name": 3}, "name must be a string, got 3"),
        ({"a": 1.0, "name": None}, "name must be a string, got None"),
    ],
)
def test_misfit_is_the_first_argument_that_is_not_as_annotated(given, text):
    assert errors._misfit(f, given) == text


def test_misfit_looks_at_each_of_many_arguments():
    def many(*arrays: Array, axis: int = 0) -> None: ...

    assert errors._misfit(many, {"arrays": (1.0, "q")}) == "arrays must be an array, got 'q'"
    for given in ((1.0, 2.0), (), None):
        arrays = {} if given is None else {"arrays": given}
        assert errors._misfit(many, {**arrays, "axis": 0.5}) == "axis must be an int, got 0.5"
        assert errors._misfit(many, arrays) == ""
    with pytest.raises(ValueError, match="meshgrid: indexing must be 'xy' or 'ij', got 'no'"):
        mg.meshgrid(indexing="no")


def test_broadcast_names_the_axis_that_does_not_fit():
    for a, b, axis in (
        ((2, 1), (3, 4), -2),
        ((0,), (3,), -1),
        ((3,), (0,), -1),
        ((5, 2, 1, 4), (3, 2, 7, 4), -4),
        ((2, 3), (4, 3, 3), -2),
    ):
        text, advice = errors._broadcast(a, b)
        assert f"axis {axis} has {a[axis]} and {b[axis]}" in text
        assert advice
    assert errors._broadcast((2, 1), (1, 3)) == ("", "")


def test_matmul_says_what_may_have_been_meant():
    said = errors._matmul
    assert said((), (3,))[1] == said((3,), ())[1] == ". Use * to scale by a number"
    assert said((2, 2, 3), (3, 3, 4))[0].startswith("the leading axes of (2, 2, 3) and (3, 3, 4)")
    assert said((2, 2, 3), (3, 4, 4))[0].endswith("k is 3 and 4")
    for a, b, transposed in (
        ((2, 3), (2, 3), True),
        ((4, 3), (5, 4), False),
        ((5, 3), (5, 4), True),
        ((4, 3), (5, 3), True),
        ((4, 3), (5, 6), False),
    ):
        assert (said(a, b)[1] == ". Transpose one of them?") == transposed, (a, b)


def refusal(error: Exception, given: Any = None, **more: str) -> str:
    return str(errors.refusal("f", f, given or {"a": 1.0}, error, **more)).partition(" (got ")[0]


def test_refusal_strips_the_name_of_an_operator_that_is_called_inside():
    said = "add in layer.0: shapes differ"
    inner = ValueError(said)
    assert refusal(inner) == f"f: {said}"
    inner.__cause__ = ValueError("numpy's")
    assert refusal(inner) == "f: shapes differ"
    assert refusal(ValueError("f: no such axis")) == "f: no such axis"
    assert refusal(ValueError("f in layer: no"), where="f in layer") == "f in layer: no"
    assert refusal(ValueError("no"), where="f in layer") == "f in layer: no"


@pytest.mark.parametrize(
    ("error", "inside"),
    [
        (AttributeError("'int' object has no attribute 'ndim'"), True),
        (KeyError("k"), True),
        (AssertionError("a"), True),
        (ZeroDivisionError("division by zero"), True),
        (TypeError("'int' object is not iterable"), True),
        (TypeError("only whole numbers"), False),
        (IndexError("tuple index out of range"), True),
        (IndexError("index 3 is out of bounds for axis 0"), False),
        (ValueError("not enough values to unpack (expected 2)"), True),
        (ValueError("an object of another kind"), False),
    ],
)
def test_refusal_says_when_an_error_speaks_of_our_code(error, inside):
    assert (errors.UNFIT in refusal(error)) == inside
    text = refusal(error, text="told", advice=". Do this")
    assert text == "f: told"
    assert str(errors.refusal("f", f, {"a": 1.0}, error, text="told", advice=". Do")).endswith(
        ". Do"
    )
    # An argument that does not fit is named instead, but not in the place of what is known.
    wrong = {"a": 1.0, "axis": "q"}
    assert refusal(error, wrong) == "f: axis must be an int, got 'q'"
    assert refusal(error, wrong, text="told") == "f: told"


def test_refusal_puts_what_python_says_in_our_words():
    said = "f() got an unexpected keyword argument 'axs'. Did you mean 'axis'?"
    assert refusal(TypeError(said)) == "f: unknown argument 'axs'; did you mean 'axis'?"
    assert refusal(TypeError("f() got multiple values for argument 'a'")) == (
        "f: got 'a' twice, by its place and by its name"
    )
    said = "f() missing 2 required positional arguments: 'a' and 'b'"
    assert refusal(TypeError(said)) == "f: missing argument 'a' and 'b'"
    assert refusal(TypeError("it holds 3 but 4 were expected")) == (
        "f: it holds 3 but 4 were expected"
    )
    assert refusal(ValueError("f() takes 1 but 2 were given")) == "f: f() takes 1 but 2 were given"


def test_kind_of_an_error():
    kind = errors._kind
    assert kind(IndexError("tuple index out of range")) is ValueError
    assert kind(IndexError("index 3 is out of bounds")) is IndexError
    assert kind(ValueError("index out of range")) is ValueError
    assert kind(TypeError("an index out of range")) is TypeError
    assert kind(AttributeError("no")) is TypeError
    assert kind(np.linalg.LinAlgError("no")) is np.linalg.LinAlgError


def test_bound_names_arguments_by_place_where_they_do_not_fit():
    def one(a: Any, b: Any = 2) -> None: ...

    assert errors.bound(one, (1,), {"b": 3}) == {"a": 1, "b": 3}
    found = errors.bound(one, (1, 2, 3), {"c": 4})
    assert found == {"argument 1": 1, "argument 2": 2, "argument 3": 3, "c": 4}


def test_unknown_arguments_are_told_the_nearest():
    assert errors.unknown("padding_", ["pad", "padding"]).endswith("did you mean 'padding'?")
    assert errors.unknown("q", []).endswith("it takes none")
    assert errors.unknown("q", ["a", "b"]).endswith("it takes a, b")


def test_explain_shows_the_arrays_of_a_sequence_together():
    arrays = [np.ones(2), np.ones(3)]
    error = errors.explain(OPERATORS["stack"], arrays, {"axis": 1}, ValueError("no"), "")
    assert str(error) == "stack: no (got arrays=[float64 (2,), float64 (3,)], axis=1)"
    error = errors.explain(OPERATORS["add"], arrays, {}, ValueError("cannot broadcast"), "")
    assert "axis -1 has 2 and 3" in str(error)
    with pytest.raises(ValueError, match=r"linear: bias must have shape"):
        mg.nn.functional.linear(mg.ones((2, 3)), mg.ones((4, 3)), mg.ones(5))
