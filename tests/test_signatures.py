"""No argument of a public function is renamed, moved or given another default by accident.

Nor is what a declaration says beside its arguments: which of them are arrays, whether the result
shares their memory, and whether float16 is computed in float32.
"""

import inspect
from itertools import takewhile
from types import FunctionType
from typing import Any

import numpy as np
from test_operators import cases

from minigrad.operators.declare import COMPOSITES, OPERATORS
from tools.write_signatures import FILE, signatures


def test_public_signatures_are_as_written_down():
    known = FILE.read_text(encoding="utf-8").splitlines()
    assert len(known) > 700
    assert list(signatures()) == known, "if it is meant: python -m tools.write_signatures"


#: Functions of which fewer parameters are arrays than are annotated so first: those that follow
#: have no derivative, or the function takes anything and makes tensors of it.
FEWER = {
    **dict.fromkeys(["where_safe", "compress", "extract", "choose", "power", "float_power"], 0),
    **dict.fromkeys(["bincount"], 0),
    **dict.fromkeys(["take", "take_along_axis", "nll_loss", "cross_entropy", "max_unpool1d"], 1),
    **dict.fromkeys(["hinge_embedding_loss", "soft_margin_loss", "max_unpool2d"], 1),
    **dict.fromkeys(["multilabel_soft_margin_loss", "multi_margin_loss"], 1),
    **dict.fromkeys(["quantile", "percentile", "nanquantile", "nanpercentile"], 1),
    **dict.fromkeys(["margin_ranking_loss", "cosine_embedding_loss"], 2),
}  # fmt: skip


def _first_arrays(function: Any, optional: bool) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = takewhile(
        lambda p: (
            p.kind in by_place and p.annotation == "Array" and (optional or p.default is p.empty)
        ),
        parameters,
    )
    return [p.name for p in first]


def _declared(composite: Any) -> dict[str, Any]:
    """What a declaration was given, and made of it."""
    call = composite.function
    while "inputs" not in call.__code__.co_freevars:
        call = call.__wrapped__
    cells = zip(call.__code__.co_freevars, call.__closure__, strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def test_arrays_are_those_that_the_annotations_say():
    """The others are settings, which stay as they are, and through which no gradient flows."""
    for name, op in OPERATORS.items():
        if op.variadic:
            assert op.arity == 1
        else:
            arrays = _first_arrays(op.declared, True)
            assert op.arity == (1 if name in ("index_cross_entropy", "weigh") else len(arrays)), (
                name
            )
            assert list(op.params[: len(arrays)]) == arrays, name
    for name, composite in COMPOSITES.items():
        found = _declared(composite)
        arrays = _first_arrays(inspect.unwrap(composite.function), False)
        expected = FEWER.get(name, len(arrays))
        assert list(found["inputs"]) == arrays[:expected], name
        assert found["arrays"] == expected, name


def test_rules_have_the_defaults_of_their_operators():
    for name, op in OPERATORS.items():
        assert op.rules_for_one == (op.arity == 1 and not op.variadic and op.rules[0] is not None)
        given = inspect.signature(op.declared).parameters
        for rule in {*op.rules, op.vjp_all} - {None}:
            for parameter in inspect.signature(rule).parameters.values():
                if parameter.default is not parameter.empty:
                    default = given[parameter.name.lstrip("_")].default
                    assert repr(parameter.default) == repr(default), name


def test_what_shares_memory_with_its_input_says_so():
    for name, op in OPERATORS.items():
        shared = False
        for case in cases(name):
            with np.errstate(all="ignore"):
                value = op.forward(*case.args, **case.metadata)
            shared |= any(np.shares_memory(value, a) for a in case.flat)
        assert op.view == shared, name


#: Operators that take float16 as it is: they move elements, or take one step, which NumPy's own
#: function rounds.
NARROW = """
affine astype binary_cross_entropy_of_each broadcast_to cholesky clip concatenate convolve det
diagonal digamma eigh einsum erf erfc expand_dims flip gammaln getitem hardtanh hypot im2col inv
linear logabsdet logaddexp logaddexp2 max max_pool2d max_pool2d_grad max_pool2d_pick min
moveaxis nan_to_num pad pinv polygamma power power_constant qr relu reshape roll scatter sinc
solve squeeze stack sum svd swapaxes transpose tril triu unwrap where xlogy
"""
#: Functions that leave it to the operators that they call.
NARROW_COMPOSITES = """
adaptive_max_pool1d adaptive_max_pool2d append array_split atleast_1d atleast_2d atleast_3d
average bincount block broadcast_arrays choose column_stack compress cond conv1d
conv_transpose1d conv_transpose2d convolve copy correlate cumulative_prod cumulative_sum delete
diag diagflat diff divmod dot dsplit dstack ediff1d eigh eigvalsh einsum extract fliplr flipud
float_power global_avg_pool2d global_max_pool2d gradient hardsigmoid hsplit hstack inner insert
interp kron linalg.diagonal linalg.trace logsigmoid lstsq matrix_power matrix_transpose matvec
max_pool1d max_unpool1d max_unpool2d median meshgrid modf multi_dot nancumprod nancumsum nanmax
nanmedian nanmin nanpercentile nanquantile outer pad partition percentile piecewise polyadd
polyder polyint polymul polysub polyval power prelu ptp qr quantile ravel relu6 repeat resize
rollaxis rot90 select slogdet solve_triangular sort split svd svdvals take take_along_axis
tensordot tensorinv tensorsolve tile trace trapezoid unstack vander vdot vecmat vsplit vstack
where_safe
"""


def _is_wide(function: Any) -> bool:
    return isinstance(function, FunctionType) and function.__code__.co_name == "wide"


def test_float16_is_computed_in_float32_but_for_what_is_listed():
    narrow = {n for n, op in OPERATORS.items() if not _is_wide(op.forward)}
    assert {n for n in narrow if not isinstance(OPERATORS[n].forward, np.ufunc)} == {
        *NARROW.split()
    }
    for name, op in OPERATORS.items():
        wide = {_is_wide(rule) for rule in {*op.rules, op.vjp_all} - {None}}
        assert wide == {name not in narrow or name in ("arctan", "arctan2")}, name
    made = {n for n, composite in COMPOSITES.items() if not _declared(composite)["wide"]}
    assert made == {*NARROW_COMPOSITES.split()}
