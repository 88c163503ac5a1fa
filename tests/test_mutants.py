"""The checker is itself proven: every derivative rule is made wrong, and it must notice.

Each rule of each operator is replaced by a mutant: a little too large, of the wrong sign, wrong in
one element, turned around, forgetful of its history. So is the engine's sum over broadcast axes.
Each mutant is tried on all samples of the operator with three seeds, so none is caught by luck: it
must be caught every time that it gives other numbers than the true rule.
"""

from functools import partial

import numpy as np
import operator_calls
import pytest
from operator_calls import call

import minigrad as mg
from minigrad.engine import backward
from minigrad.engine.tree import flatten
from minigrad.operators.declare import KEEP, OPERATORS
from minigrad.operators.domain import Sample, sample
from minigrad.testing.flat_function import FlatFunction
from minigrad.testing.probe import Probe
from minigrad.testing.report import GradientMismatch, Verdict

SEEDS = (0, 1, 2)

# -- mutations: each takes the cotangent of an input, and gives None where it does not apply -------


def one_element(factor, h, seed):
    """One element multiplied, chosen by the seed among those that rounding does not drown."""
    seen = np.flatnonzero(np.abs(h) > 1e-6 * np.max(np.abs(h), initial=0.0))
    if h.size < 2 or not seen.size:
        return None
    factors = np.ones(h.size)
    factors[seen[(seed * 7919) % seen.size]] = factor
    return h * factors.reshape(h.shape)


def transposed(h, seed):
    square = h.ndim > 1 and h.shape[-1] == h.shape[-2] > 1
    return np.swapaxes(h, -1, -2) if square else None


MUTATIONS = {
    "times 1.01": lambda h, seed: h * 1.01,
    "sign": lambda h, seed: -h,
    "one element zeroed": partial(one_element, 0.0),
    "one element times 1.01": partial(one_element, 1.01),
    "transposed": transposed,
    "reversed": lambda h, seed: np.flip(h) if h.size > 1 else None,
}

#: Slopes are constant between the kinks: held-constant inputs lose no second derivative.
LINEAR_IN_PIECES = {
    "abs": (0,), "clip": (0, 1, 2), "copysign": (0,), "fmax": (0, 1), "fmin": (0, 1),
    "fmod": (1,), "leaky_relu": (0,), "max": (0,), "max_pool2d": (0,), "maximum": (0, 1),
    "min": (0,), "minimum": (0, 1), "nan_to_num": (0,), "relu": (0,), "remainder": (1,),
}  # fmt: skip
#: Mutants that equal the original by mathematics, on every sample: (operator, input, mutation).
EQUAL = {
    (name, i, "inputs constant"): "linear in pieces"
    for name, inputs in LINEAR_IN_PIECES.items()
    for i in inputs
} | {
    ("eigh", 0, "transposed"): "the gradient of a symmetric matrix is symmetric",
    ("cholesky", 0, "transposed"): "the gradient of a symmetric matrix is symmetric",
    ("normalize", 2, "inputs constant"): "the shift is added: its gradient is the cotangent",
}


# -- one operator with one rule replaced ---------------------------------------------------------------


def as_rule(changed, true):
    """With the parameters of the true rule, which tell what an operator saves."""
    changed.__wrapped__ = getattr(true, "__wrapped__", true)
    return changed


class Mutated:
    """While entered, the rule for input ``i`` of the operator is ``change(rule, i, ...)``."""

    def __init__(self, op, i, change):
        self.op, self.i, self.change = op, i, change

    def __enter__(self):
        op = self.op
        self.true = op.rules, op.vjp_all
        if op.vjp_all is not None:
            op.vjp_all = as_rule(partial(self.vjp_all, op.vjp_all), op.vjp_all)
        else:
            true = op.rules[self.i]
            changed = as_rule(partial(self.change, true, self.i), true)
            op.rules = (*op.rules[: self.i], changed, *op.rules[self.i + 1 :])

    def __exit__(self, *_):
        self.op.rules, self.op.vjp_all = self.true

    def vjp_all(self, true_rule, g, wanted, *arguments, **metadata):
        def alone(g, *arguments, **metadata):
            return true_rule(g, [self.i], *arguments, **metadata)[0]

        found = list(true_rule(g, wanted, *arguments, **metadata))
        if self.i in wanted:
            changed = self.change(alone, self.i, g, *arguments, **metadata)
            found[list(wanted).index(self.i)] = changed
        return found


class WrongNumbers:
    """A rule whose result, summed to the shape of the input, is mutated."""

    def __init__(self, mutation, seed):
        self.mutation, self.seed = mutation, seed
        self.applies = self.differs = False

    def __call__(self, rule, i, g, ans, *inputs, **metadata):
        h = rule(g, ans, *inputs, **metadata)
        h = np.asarray(getattr(h, "_data", h))
        if h.shape != inputs[i].shape:
            h = backward._unbroadcast(h, inputs[i].shape, None)
        mutated = self.mutation(h, self.seed)
        self.applies |= mutated is not None
        if mutated is None or np.array_equal(h, mutated):
            return h
        self.differs = True
        return mutated


#: Where all samples of an operator happen to be alike in what a mutation changes.
MORE_SAMPLES = {"where": [sample(np.array([[True, False], [False, False]]), (2, 2), (2, 2))]}


def samples(name):
    """Those of the operator, and those with the last two axes made equal, to be transposed."""

    def square(shape):
        if isinstance(shape, list):
            return [square(one) for one in shape]
        return (*shape[:-2], 3, 3) if isinstance(shape, tuple) and len(shape) in (2, 3) else shape

    for each in (*operator_calls.samples(name), *MORE_SAMPLES.get(name, ())):
        yield each
        arrays = tuple(square(shape) for shape in each.arrays)
        if all(a is b or a == b for a, b in zip(arrays, each.arrays, strict=True)):
            continue
        squared = Sample(arrays, each.metadata)
        try:
            function, drawn = call(name, squared, np.random.default_rng(0))
            function(*drawn)
        except (ValueError, IndexError):  # the metadata wants the original shape
            continue
        yield squared


def subjects(name, most=None):
    """Operator calls with drawn arrays, each with its seed; none of them empty.

    ``most``: how many samples are enough, taken evenly from all.
    """
    found = [each for each in samples(name) if is_filled(name, each)]
    chosen = range(len(found))
    if most is not None and most < len(found):
        chosen = sorted({round(i) for i in np.linspace(0, len(found) - 1, most)})
    for number, each in ((i, found[i]) for i in chosen):
        for seed in SEEDS:
            function, arrays = call(name, each, np.random.default_rng([number, seed]))
            yield each, seed, FlatFunction(function, arrays, name)


def is_filled(name, each):
    function, arrays = call(name, each, np.random.default_rng(0))
    return all(np.size(a) for a in flatten(arrays)) and function(*arrays).size


def caught(check):
    try:
        return any(np.any(c.verdicts() == Verdict.FAIL) for c in check.compare())
    except GradientMismatch:  # the plain and the recorded value differ
        return True


def differentiated(op):
    return [i for i, rule in enumerate(op.rules) if rule is not None]


# -- first order -----------------------------------------------------------------------------------


def first_order_mutants(name, most):
    """(mutants that lived, mutants that apply but never gave other numbers)."""
    op, alive = OPERATORS[name], []
    applied, differed = set(), set()
    for each, seed, subject in subjects(name, most):
        check = Probe(subject, seed)
        assert not caught(check), f"the true rule fails: {each}, seed {seed}"
        for i in differentiated(op):
            for label, mutation in MUTATIONS.items():
                mutant = WrongNumbers(mutation, seed)
                with Mutated(op, i, mutant):
                    found = caught(check)
                if mutant.applies:
                    applied.add((name, i, label))
                if mutant.differs:
                    differed.add((name, i, label))
                    if not found:
                        alive.append((i, label, each, seed))
    assert {i for _, i, label in applied if label == "sign"} == set(differentiated(op))
    return alive, applied - differed


each_operator = pytest.mark.parametrize("name", sorted(OPERATORS))


def check_mutants(find, name, labels, most=None):
    alive, equal = find(name, most)
    assert not alive
    listed = {row for row in EQUAL if row[0] == name and row[2] in labels}
    assert listed <= equal
    # A few of the samples may not tell all of the mutants from the original.
    assert most or equal == listed


def test_equal_mutants_are_of_operators_that_exist():
    assert {name for name, _, _ in EQUAL} <= set(OPERATORS)


@each_operator
def test_every_mutant_of_a_rule_is_caught(name):
    check_mutants(first_order_mutants, name, MUTATIONS, most=2)


@pytest.mark.slow
@each_operator
def test_every_mutant_of_a_rule_is_caught_on_six_samples(name):
    check_mutants(first_order_mutants, name, MUTATIONS, most=6)


@pytest.mark.prove
@each_operator
def test_every_mutant_of_a_rule_is_caught_on_all_samples(name):
    check_mutants(first_order_mutants, name, MUTATIONS)


# -- second order: the rule is right, but not as it is recorded ------------------------------------


def detached(x):
    return x.detach() if isinstance(x, mg.Tensor) else x


def history_lost(rule, i, g, *arguments, **metadata):
    return detached(rule(g, *arguments, **metadata))


def inputs_constant(rule, i, g, *arguments, **metadata):
    return rule(g, *map(detached, arguments), **metadata)


def recorded_wrong(rule, i, g, *arguments, **metadata):
    h = rule(g, *arguments, **metadata)
    return h * 1.01 if isinstance(g, mg.Tensor) else h


FORGETFUL = {
    "history lost": history_lost,
    "inputs constant": inputs_constant,
    "recorded times 1.01": recorded_wrong,
}


def keeps_a_variable(op, i):
    """Whether rule i uses the output or an input that has a derivative."""
    if op.variadic:
        return KEEP in op.saves((True, True))
    output, *inputs = op.saves(tuple(at == i for at in range(op.arity)))
    return output == KEEP or any(inputs[at] == KEEP for at in differentiated(op))


def second_order_mutants(name, most):
    """As ``first_order_mutants``; a mutant differs when its second derivative does."""
    op, alive = OPERATORS[name], []
    applied, differed = set(), set()
    for each, seed, subject in subjects(name, most):
        check = Probe(Probe(subject, seed).gradient(), seed)
        assert not caught(check), f"the true rule fails: {each}, seed {seed}"
        true = check.function.pullback(check.function.point, check.cotangents)
        for i in differentiated(op):
            for label, change in FORGETFUL.items():
                if change is inputs_constant and not keeps_a_variable(op, i):
                    continue
                seen = []

                def noted(rule, i, *arguments, change=change, seen=seen, **metadata):
                    seen.append(i)
                    return change(rule, i, *arguments, **metadata)

                with Mutated(op, i, noted):
                    other = check.function.pullback(check.function.point, check.cotangents)
                    if not seen:  # the sample leaves this input out
                        continue
                    applied.add((name, i, label))
                    if all(
                        np.allclose(a, b, 1e-9, 1e-12) for a, b in zip(true, other, strict=True)
                    ):
                        continue
                    differed.add((name, i, label))
                    if not caught(check):
                        alive.append((i, label, each, seed))
    return alive, applied - differed


@each_operator
@pytest.mark.slow
def test_every_mutant_of_a_recorded_rule_is_caught(name):
    check_mutants(second_order_mutants, name, FORGETFUL, most=3)


@pytest.mark.prove
@each_operator
def test_every_mutant_of_a_recorded_rule_is_caught_on_all_samples(name):
    check_mutants(second_order_mutants, name, FORGETFUL)


# -- the engine's sum over broadcast axes -----------------------------------------------------------

true_unbroadcast = backward._unbroadcast


def split_axes(h, shape):
    """The axes that broadcasting has added in front, and those that it has stretched."""
    extra = h.ndim - len(shape)
    stretched = [i + extra for i, n in enumerate(shape) if n == 1 and h.shape[i + extra] != 1]
    return list(range(extra)), stretched


def first_of(h, axes):
    """The first element where the sum should be."""
    for axis in sorted(axes):
        h = np.take(h, [0], axis=axis)
    return h


def no_sum(h, shape, node):
    front, stretched = split_axes(h, shape)
    return np.reshape(first_of(h, front + stretched), shape)


def no_sum_in_front(h, shape, node):
    front, _ = split_axes(h, shape)
    return true_unbroadcast(np.reshape(first_of(h, front), h.shape[len(front) :]), shape, node)


def no_sum_of_stretched(h, shape, node):
    front, stretched = split_axes(h, shape)
    return np.reshape(np.sum(first_of(h, stretched), axis=tuple(front)), shape)


def mean_instead(h, shape, node):
    total = true_unbroadcast(h, shape, node)
    return total * (max(total.size, 1) / max(h.size, 1))


@pytest.mark.parametrize("change", [no_sum, no_sum_in_front, no_sum_of_stretched, mean_instead])
def test_a_dropped_broadcast_sum_is_caught(monkeypatch, change):
    differed = 0
    for name in ("add", "multiply", "divide", "maximum", "where", "matmul"):
        for each, seed, subject in subjects(name):
            differs = False

            def changed(h, shape, node):
                nonlocal differs
                wrong = change(h, shape, node)
                differs |= not np.allclose(wrong, true_unbroadcast(h, shape, node))
                return wrong

            check = Probe(subject, seed)
            with monkeypatch.context() as patch:
                patch.setattr(backward, "_unbroadcast", changed)
                found = caught(check)
            assert found == differs, f"{name}: {each}, seed {seed}"
            differed += differs
    assert differed > 20


def test_the_message_names_a_missing_broadcast_sum(monkeypatch):
    monkeypatch.setattr(backward, "_unbroadcast", no_sum)
    with pytest.raises(GradientMismatch) as caught:
        mg.testing.check_grads(mg.multiply, np.ones((4, 3)), np.array([1.0, 2.0, 3.0]))
    assert caught.value.argument == "argument 1 (x2)"
    assert caught.value.pattern.startswith("a broadcast sum is missing (over axis 0")
