"""Where the tests of the operators draw their arguments: inside, to the ends, never at a kink."""

import numpy as np
import pytest

from minigrad.operators import domain
from minigrad.operators.domain import Domain, sample


def drawn(one, shape=(4000,)):
    return one.draw(np.random.default_rng(0), shape)


@pytest.mark.parametrize(
    ("settings", "pieces"),
    [
        ({}, [(-2.0, 2.0)]),
        ({"low": 0.5, "high": 3.0}, [(0.5, 3.0)]),
        ({"avoid": (0.0,)}, [(-2.0, -0.1), (0.1, 2.0)]),
        (
            {"low": -1.0, "avoid": (1.0, 0.0), "margin": 0.25},
            [(-1, -0.25), (0.25, 0.75), (1.25, 2)],
        ),
        ({"avoid": (2.0, -2.0), "margin": 0.5}, [(-1.5, 1.5)]),
        ({"avoid": (0.0, 0.1), "margin": 0.2}, [(-2.0, -0.2), (0.3, 2.0)]),
    ],
)
@pytest.mark.parametrize("distinct", [False, True])
def test_all_allowed_pieces_are_filled_to_their_ends(settings, pieces, distinct):
    values = drawn(Domain("d", **settings, **({"distinct": True} if distinct else {})))
    left = values
    for low, high in pieces:
        inside = values[(values >= low) & (values <= high)]
        left = left[(left < low) | (left > high)]
        length = sum(b - a for a, b in pieces)
        # As many as belong there, and no hole at the ends.
        np.testing.assert_allclose(inside.size / values.size, (high - low) / length, atol=0.03)
        assert low <= inside.min() < low + 0.01 * length
        assert high - 0.01 * length < inside.max() <= high
    assert not left.size
    gaps = np.diff(np.sort(values))
    assert (gaps > 0.49 * length / values.size).all() == distinct


def test_shapes_of_what_is_drawn():
    for distinct in (False, True):
        for shape in ((), (0,), (2, 0), (2, 3)):
            assert drawn(Domain("d", distinct=distinct), shape).shape == shape
            assert drawn(Domain("d", distinct=distinct), shape).dtype == np.float64


def test_a_single_number_may_be_drawn_from_anywhere():
    one = Domain("d", distinct=True)
    values = [one.draw(np.random.default_rng(seed), (1,)).item() for seed in range(40)]
    assert min(values) < -0.8
    assert max(values) > 0.8


def test_matrices_are_what_they_are_called():
    regular, definite = (
        drawn(domain.well_conditioned, (2, 25, 4, 4)),
        drawn(domain.positive_definite, (2, 25, 4, 4)),
    )
    assert np.linalg.cond(regular).max() < 20
    np.testing.assert_allclose(definite, np.swapaxes(definite, -1, -2))
    values = np.linalg.eigvalsh(definite)
    assert values.min() > 0.5
    assert np.diff(values, axis=-1).min() > 1e-3
    assert not np.allclose(regular, np.swapaxes(regular, -1, -2))


def test_two_lattices_never_meet():
    one, other = drawn(domain.lattice), drawn(domain.between)
    assert np.abs(one[:, None] - other).min() > 0.05
    assert min(np.abs(one).min(), np.abs(other).min()) > 0.04
    assert len(np.unique(np.rint(one / 0.4))) == len(np.unique(np.rint(other / 0.4))) == 10


def test_a_sample_draws_each_array_from_its_domain():
    ready = np.arange(3)
    one = sample((2,), [(3,), (0, 4)], ready, (5,), axis=0)
    domains = (Domain("low", -2.0, -1.0), Domain("high", 1.0, 2.0))
    first, several, given, last = one.draw(np.random.default_rng(0), domains)
    assert (first < 0).all()
    assert (several[0] > 0).all()
    assert [a.shape for a in several] == [(3,), (0, 4)]
    assert given is ready
    assert (last > 0).all()
    assert one.metadata == {"axis": 0}
    assert repr(sample((2,), axis=0)) == "sample((2,), axis=0)"
    assert repr(domain.positive) == "<domain positive>"
