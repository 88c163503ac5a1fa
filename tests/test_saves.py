"""What a rule says that it reads is what it reads: the underscores decide what memory is kept.

A parameter named ``_x`` promises that only shape and dtype are read, ``_`` that nothing is. A name
without an underscore has the array kept until the backward pass, so it must be read. Generated from
the declarations: whoever renames a parameter of a rule hears of it.
"""

import copy
import inspect
import itertools
import warnings

import numpy as np
import pytest
from test_operators import cases

from minigrad.engine.arguments import bind
from minigrad.engine.node import ShapeDtype
from minigrad.operators.declare import KEEP, OPERATORS, SHAPE_ONLY, Operator, _rule_saves


def rules(op, inputs):
    """For each input that has a derivative: its index, what its rule asks for, and the rule."""
    for i, x in enumerate(inputs):
        if x is None:
            continue
        if op.vjp_all is not None:
            uses = _rule_saves(op.vjp_all, 1 + len(inputs), skip=2)
            yield (
                i,
                uses,
                lambda g, *arrays, i=i, **metadata: op.vjp_all(g, [i], *arrays, **metadata)[0],
            )
        elif op.rules[i] is not None:
            yield i, _rule_saves(op.rules[i], 1 + len(inputs), skip=1), op.rules[i]


def calls(op):
    """For each sample: the arrays that rules get, output first, the metadata and a cotangent."""
    for case in cases(op.name):
        inputs, metadata = bind(op, case.args, case.metadata)
        inputs = [np.asarray(x) if isinstance(x, (int, float)) else x for x in inputs]
        ans = op.forward(inputs, **metadata) if op.variadic else op.forward(*inputs, **metadata)
        g = np.random.default_rng(0).uniform(0.5, 1.5, ans.shape)
        yield [np.asarray(ans), *inputs], metadata, g


def applied(rule, g, arrays, metadata):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = rule(g, *arrays, **metadata)
    return None if h is None else np.asarray(getattr(h, "_data", h))


def same(first, second):
    if first is None or second is None:
        return first is second
    return first.shape == second.shape and np.array_equal(first, second, equal_nan=True)


def other_contents(array):
    """Arrays of the same shape and dtype that hold something else."""
    if array.dtype.kind == "f":
        yield np.full_like(array, np.nan)
        yield -1.7 * array + 0.3
        yield array * 0.0
    elif array.dtype.kind in "iub":
        yield np.zeros_like(array)
        yield np.ones_like(array)


def reads(rule, at, g, arrays, metadata):
    """Whether the rule gives something else, or fails, when this array holds something else."""
    expected = applied(rule, g, arrays, metadata)
    for other in other_contents(arrays[at]):
        try:
            found = applied(rule, g, [*arrays[:at], other, *arrays[at + 1 :]], metadata)
        except Exception:  # noqa: BLE001 (values that are impossible were read)
            return True
        if not same(found, expected):
            return True
    return False


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_a_rule_does_not_read_what_it_says_it_does_not_need(name):
    op = OPERATORS[name]
    for arrays, metadata, g in calls(op):
        for _, uses, rule in rules(op, arrays[1:]):
            given = [
                x if use == KEEP or not isinstance(x, np.ndarray)
                else ShapeDtype(x.shape, x.dtype) if use == SHAPE_ONLY
                else None
                for x, use in zip(arrays, uses, strict=True)
            ]  # fmt: skip
            assert same(applied(rule, g, given, metadata), applied(rule, g, arrays, metadata))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_a_rule_reads_every_array_that_it_has_kept(name):
    op = OPERATORS[name]
    unread = {}
    for arrays, metadata, g in calls(op):
        for i, uses, rule in rules(op, arrays[1:]):
            for at, use in enumerate(uses):
                if use != KEEP or not isinstance(arrays[at], np.ndarray) or not arrays[at].size:
                    continue
                key = ("all" if op.vjp_all else i, 0 if op.variadic else at)
                unread[key] = unread.get(key, True) and not reads(rule, at, g, arrays, metadata)
    assert not [key for key, never in unread.items() if never], (
        f"the rule of {name} does not read the values of these (input, array; 0 is the output): "
        f"name them with an underscore"
    )


def asked(rule, skip, count):
    """What the signature of a rule asks of the output and of each input."""
    parameters = [*inspect.signature(rule).parameters.values()][skip:]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    names += [p.name for p in parameters if p.kind is p.VAR_POSITIONAL] * count
    names += ["_"] * count
    return [2 if name == "_" else 1 if name.startswith("_") else 0 for name in names[:count]]


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_just_what_the_rules_of_the_tracked_inputs_read_is_kept(name):
    op = OPERATORS[name]
    for count in {1, 2, 5} if op.variadic else {op.arity}:
        for tracked in itertools.product([False, True], repeat=count):
            if op.vjp_all is not None:
                wanted = [asked(op.vjp_all, 2, 1 + count)] * any(tracked)
            else:
                kept = zip(op.rules, tracked, strict=True)
                wanted = [asked(r, 1, 1 + count) for r, needed in kept if needed and r]
            expected = tuple(map(min, *wanted)) if len(wanted) > 1 else tuple(*wanted)
            assert op.saves(tracked) == expected, tracked
            fresh = copy.copy(op)
            fresh._saves = {}
            assert fresh.saves(tracked) == expected, tracked


@pytest.mark.parametrize("name", [n for n in sorted(OPERATORS) if not OPERATORS[n].variadic])
def test_the_short_paths_keep_what_the_long_one_does(name):
    """``saves_x`` and its siblings, which Python's operators and functions of one tensor ask."""
    op = OPERATORS[name]
    if op.arity > 2:
        return
    fresh = Operator(op.name, op.forward, op.rules, op.params, vjp_all=op.vjp_all)
    assert fresh.rules_for_one == (len(op.rules) == 1 and None not in op.rules)
    which = {"saves_x": (True, False), "saves_y": (False, True), "saves_both": (True, True)}
    for attribute, tracked in which.items():
        if op.arity == 2 or attribute == "saves_x":
            kept = tuple(use == KEEP for use in op.saves(tracked[: op.arity]))
            assert getattr(fresh, attribute) == (kept if any(kept) else None), attribute
    with pytest.raises(AttributeError, match="saves_all"):
        _ = fresh.saves_all
