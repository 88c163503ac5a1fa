"""The long proof: no correct rule fails, in thousands of drawn examples per operator.

Run by ``make prove``; it ends with a table. ``MINIGRAD_PROVE_EXAMPLES=300 make prove`` is shorter.
"""

import os
from itertools import cycle, islice

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, samples

from minigrad.testing import Verdict, check_grads

EXAMPLES = int(os.environ.get("MINIGRAD_PROVE_EXAMPLES", "10000"))
#: The parts of the examples that are checked to second order, and in float32 as well.
SECOND_ORDER, FLOAT32 = 0.1, 0.15


@pytest.fixture(scope="module")
def table(request):
    rows: list[tuple[str, int, int, int, int]] = []
    yield rows
    total = ("together", *(sum(row[i] for row in rows) for i in range(1, 5)))
    lines = [f"{'operator':24}{'examples':>10}{'derivatives':>13}{'at kinks':>10}{'undecided':>11}"]
    for name, *counts in [*rows, total]:
        lines.append("{:24}{:10}{:13}{:10}{:11}".format(name, *counts))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n\n" + "\n".join(lines))  # noqa: T201


@pytest.mark.prove
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_correct_rule_fails(name, table):
    examples = compared = kinks = undecided = 0
    for number, sample in enumerate(islice(cycle(samples(name)), EXAMPLES)):
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
        examples += 1
        compared += report.compared
        kinks += report.kinks
        undecided += report.inconclusive
    table.append((name, examples, compared, kinks, undecided))
