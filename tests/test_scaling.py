"""The cost model of data-parallel training: formulas against values worked out by hand."""

import json
import math

import numpy as np
import pytest

from benchmarks import cost, namespaces, scaling
from benchmarks.cost import Growth, Link, Step

#: A message takes 10 s, each byte 2 s more, and adding up a byte 1 s.
SLOW = Link(10.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("algorithm", "ranks", "expected"),
    [
        # Rounds of 10 + 24 * 2 + 24 * 1 = 82 s.
        (cost.recursive_doubling, 2, 82),
        (cost.recursive_doubling, 4, 164),
        # The third rank sends all (58 s), which is added up (24 s), and gets the sum (58 s).
        (cost.recursive_doubling, 3, 82 + 58 + 24 + 58),
        # Half of it to and fro, 10 + 24 s each, and 12 s to add up; then a quarter as well.
        (cost.halving_and_doubling, 2, 2 * 34 + 12),
        (cost.halving_and_doubling, 4, 2 * (34 + 22) + 12 + 6),
        (cost.halving_and_doubling, 3, 2 * 34 + 12 + 58 + 24 + 58),
        # Parts of 8 bytes, each sent in four rounds of 26 s and added up in two of them.
        (cost.ring, 3, 4 * 26 + 2 * 8),
        (cost.ring, 4, 6 * 22 + 3 * 6),
        (cost.ring, 2, 2 * 34 + 12),
        (cost.quickest, 1, 0),
        (cost.quickest, 2, 80),
        (cost.quickest, 3, 120),  # the ring
        (cost.quickest, 4, 130),  # halving and doubling
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_exchanges_take_what_their_messages_take(algorithm, ranks, expected):
    assert algorithm(SLOW, ranks, 24) == pytest.approx(expected)


def test_the_quickest_algorithm_depends_on_the_size():
    link = Link(10.0, 2.0, 0.0)
    assert cost.quickest(link, 8, 0) == cost.recursive_doubling(link, 8, 0) == 30
    assert cost.quickest(link, 8, 800) == cost.halving_and_doubling(link, 8, 800)
    assert cost.quickest(link, 7, 800) == cost.ring(link, 7, 800)


def test_a_network_is_told_by_its_bits():
    assert cost.network(8.0, 1e-4, 0.5) == Link(1e-4, 1e-9, 0.5)


def test_constants_are_found_again():
    true = Link(2e-5, 1e-9, 3e-10)
    sizes = [8.0, 1e3, 1e5, 1e6, 4e6]
    found = cost.fit_messages(sizes, [true.latency + true.per_byte * n for n in sizes])
    assert np.allclose(found[:2], true[:2], rtol=1e-9)
    for ranks in (2, 3, 4):
        taken = [cost.halving_and_doubling(true, ranks, n) for n in sizes]
        again = cost.fit_sums(found, sizes, taken, ranks)
        assert np.allclose(again, true, rtol=1e-6)


def test_constants_are_never_negative():
    assert cost.fit_messages([1.0, 100.0], [1.0, 1000.0]).latency == 0.0
    assert cost.fit_messages([1.0, 100.0], [1000.0, 1.0]).per_byte == 0.0
    assert cost.fit_sums(Link(1.0, 1.0), [4.0, 8.0], [0.1, 0.2]).per_sum == 0.0


#: Gradients of 24 bytes after a quarter, three quarters and all of a backward pass of 200 s.
STEP = Step(100.0, 200.0, 20.0, [(0.25, 24.0), (0.75, 24.0), (1.0, 24.0)])


def test_gradients_go_together_as_long_as_they_fit():
    assert cost.buckets(STEP.gradients, 1) == [*STEP.gradients]
    assert cost.buckets(STEP.gradients, 48) == [(0.75, 48.0), (1.0, 24.0)]
    assert cost.buckets(STEP.gradients, 47) == [*STEP.gradients]
    assert cost.buckets(STEP.gradients, math.inf) == [(1.0, 72.0)]
    assert cost.buckets([(0.5, 1.0), (0.25, 1.0)], 2) == [(0.5, 2.0)]


def test_an_exchange_hides_behind_the_backward_pass():
    # Each bucket takes 80 s: 50 to 130, 150 to 230, then 230 to 310, of which 200 are the pass.
    assert cost.exposed(STEP, SLOW, 2, 24) == pytest.approx(110)
    assert cost.step_time(STEP, SLOW, 2, 24) == pytest.approx(430)
    # One bucket: 2 * (10 + 72) + 36 s, all of it after the pass.
    assert cost.exposed(STEP, SLOW, 2, math.inf) == pytest.approx(200)
    # What is complete early, and sent before the end, costs nothing.
    early = STEP._replace(gradients=[(0.25, 24.0)])
    assert cost.exposed(early, SLOW, 2) == 0.0
    assert cost.exposed(STEP, SLOW, 1) == 0.0


def test_efficiency_is_useful_time_over_all_time():
    assert cost.weak(STEP, SLOW, 1) == 1.0
    assert cost.weak(STEP, SLOW, 2, 24) == pytest.approx(320 / 430)
    # A batch of one takes 20 + 40 s, one of nine 100 + 200 s; so one of five 60 + 120 s.
    growth = Growth(1, Step(20.0, 40.0, 9.0, []), 9, STEP)
    assert growth.step(5) == Step(60.0, 120.0, 20.0, STEP.gradients)
    assert growth.step(17).seconds == 180 + 360 + 20
    assert growth.step(5).size == 72
    # Buckets from 30 to 110, 190, 270 s: 150 s after the backward pass. A batch of ten: 335 + 20.
    assert cost.strong(growth, 10, SLOW, 1) == 1.0
    assert cost.strong(growth, 10, SLOW, 2, 24) == pytest.approx(350 / (2 * (200 + 150)))


def test_ranks_pay_until_efficiency_falls_below_a_half():
    assert cost.last_that_pays([(8, 0.9), (16, 0.5), (32, 0.49), (64, 0.6)]) == 16
    assert cost.last_that_pays([(8, 0.4)]) == 0


def test_of_two_measurements_the_shorter_rounds_count():
    first, second = (
        {"ranks": 2, **{kind: {"a": a, "b": b} for kind in ("seconds", "exchange", "medians")}}
        for a, b in ((1.0, 4.0), (2.0, 3.0))
    )
    both = {"a": 1.0, "b": 3.0}
    expected = {"ranks": 2, "seconds": both, "exchange": both, "medians": both}
    assert scaling.shorter(first, second) == expected


def test_the_page_says_what_follows_from_the_figures():
    figures = json.loads(scaling.FIGURES.read_text())
    written = scaling.PAGE.read_text().split(scaling.START)[1].split(scaling.END)[0]
    assert written.strip() == scaling.document(figures).strip()


def test_each_rank_is_started_in_its_namespace(monkeypatch):
    monkeypatch.setattr(namespaces, "mpiexec", lambda: "mpiexec")
    assert namespaces.command(["p", "x"], 3) == ["mpiexec", "-n", "3", "p", "x"]
    found = namespaces.command(["p"], 2, ["a", "b", "c"])
    assert " ".join(found) == "mpiexec -n 1 ip netns exec a p : -n 1 ip netns exec b p"
    monkeypatch.setattr(namespaces, "mpiexec", lambda: None)
    with pytest.raises(namespaces.NoNamespacesError, match="there is no mpiexec"):
        namespaces.command(["p"], 2)


def test_without_namespaces_the_reason_is_told(monkeypatch):
    with pytest.raises(namespaces.NoNamespacesError, match="need no-such-command"):
        namespaces.call("no-such-command netns add x")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(namespaces.NoNamespacesError, match="need ip"):
        namespaces.machines(2, 1).__enter__()


@pytest.mark.mpi
@pytest.mark.parametrize("gigabits", [1, 10])
def test_the_model_foretells_a_real_network(gigabits):
    size = 4_194_304
    try:
        with namespaces.machines(2, gigabits) as names:
            taken = dict(scaling.run("messages", ranks=2, names=names))
            added = dict(scaling.run("exchanges", ranks=2, names=names))
    except namespaces.NoNamespacesError as reason:
        pytest.skip(str(reason))
    link = cost.network(gigabits, taken[8])  # the rate that was set, and the latency of the system
    message = link.latency + size * link.per_byte
    # Headers of packets and a busy machine make it slower; no link is faster than its rate,
    # but for the first packets, which it lets through at once.
    assert 0.85 < taken[size] / message < 1.5
    assert 0.85 < added[size] / cost.quickest(link, 2, size) < 1.5
