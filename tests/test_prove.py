"""The long proof: no correct rule fails, in thousands of drawn examples per operator.

Run by ``make prove``. Each operator's row is printed as soon as it is done, the sum at the end, also
after Ctrl-C. ``MINIGRAD_PROVE_EXAMPLES=300 make prove`` is shorter, and
``make prove ARGS="-k cholesky"`` takes some operators only.
"""

import os
import time
from itertools import cycle, islice

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, samples

from minigrad.engine.tree import flatten
from minigrad.testing import Verdict, check_grads

EXAMPLES = int(os.environ.get("MINIGRAD_PROVE_EXAMPLES", "10000"))
#: The parts of the examples that are checked to second order, and in float32 as well.
SECOND_ORDER, FLOAT32 = 0.02, 0.15

COLUMNS = "{:30}{:>10}{:>13}{:>10}{:>11}{:>9}"


@pytest.fixture(scope="module")
def table(request):
    capture = request.config.pluginmanager.getplugin("capturemanager")
    rows = []

    def write(*row):
        with capture.global_and_fixture_disabled():
            print("\n" + COLUMNS.format(*row), end=" ", flush=True)  # noqa: T201

    def add(name, *counts):
        rows.append(counts)
        write(name, *counts[:-1], f"{counts[-1]:.0f}")

    write("operator", "examples", "derivatives", "at kinks", "undecided", "seconds")
    yield add
    *counts, seconds = (sum(column) for column in zip(*rows, strict=True))
    write(f"{len(rows)} together", *counts, f"{seconds:.0f}")


def can_be_drawn(name, sample):
    """Whether there are numbers in it: of an empty array there is one example only."""
    function, arrays = call(name, sample, np.random.default_rng(0))
    return any(x.size for x in arrays) and any(y.size for y in flatten(function(*arrays)))


def check(name, sample, number):
    """The report on one drawn example."""
    rng = np.random.default_rng([number, 7])
    order = 2 if rng.random() < SECOND_ORDER else 1
    single = rng.random() < FLOAT32
    function, arrays = call(name, sample, rng)
    if single:
        arrays = tuple(x.astype(np.float32) for x in arrays)
    try:
        report = check_grads(function, *arrays, order=order, seed=number)
    except AssertionError as error:
        raise AssertionError(f"{sample}, example {number}") from error
    assert report.verdict in (Verdict.PASS, Verdict.KINK)
    return report


@pytest.mark.prove
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_correct_rule_fails(name, table):
    start = time.perf_counter()
    examples = compared = kinks = undecided = 0
    drawn = [sample for sample in samples(name) if can_be_drawn(name, sample)]
    assert drawn
    for number, sample in enumerate(islice(cycle(drawn), EXAMPLES)):
        report = check(name, sample, number)
        examples += 1
        compared += report.compared
        kinks += report.kinks
        undecided += report.inconclusive
    table(name, examples, compared, kinks, undecided, time.perf_counter() - start)


@pytest.mark.prove
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_correct_rule_fails_on_nothing(name):
    for number, sample in enumerate(samples(name)):
        if not can_be_drawn(name, sample):
            check(name, sample, number)
