"""L-BFGS at its limits: where it stops, and which points its line search takes."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.optim.lbfgs import Point, strong_wolfe


def moved(slope, start=0.0, **settings):
    """How far one step goes along a line of this slope, on which the loss begins there."""
    p = mg.tensor(np.zeros(1), requires_grad=True)
    opt = optim.LBFGS([p], **settings)

    def closure():
        opt.zero_grad()
        loss = (p * slope).sum() + start
        loss.backward()
        return loss

    opt.step(closure)
    return -p.item(), opt


def test_lbfgs_stops_at_its_tolerances():
    assert moved(0.5, tolerance_grad=0.5)[0] == 0.0
    assert moved(0.5, tolerance_grad=0.25, max_iter=1)[0] == 0.5
    assert moved(1.0, tolerance_change=1.0)[0] == 0.0
    assert moved(1.0, tolerance_change=0.5, lr=0.5)[0] == 0.5
    # The loss changes by less than that, though the way is longer: 0.729 and 0.81.
    assert moved(0.9, tolerance_change=0.75, lr=0.9, max_iter=5, start=50.0)[0] == pytest.approx(
        0.81
    )
    # Its moves get longer along a line, so that it would go on where this one is too short.
    assert moved(4.0, tolerance_change=0.5, lr=0.5, max_iter=5)[0] == 0.5
    assert moved(4.0, tolerance_change=0.25, lr=0.5, max_iter=5)[0] > 0.5


def test_lbfgs_stops_where_the_gradient_has_reached_its_tolerance():
    p = mg.tensor(np.array([-2.0]), requires_grad=True)
    opt = optim.LBFGS([p], tolerance_grad=1.0)

    def closure():
        opt.zero_grad()
        loss = 0.5 * (p * p).sum()
        loss.backward()
        return loss

    opt.step(closure)
    assert p.item() == -1.0  # half of the way, as the first move is not longer than 1


def test_lbfgs_needs_a_function_and_counts_its_steps():
    opt = moved(1.0)[1]
    for wrong in (None, 3, "closure"):
        with pytest.raises(TypeError, match="LBFGS: step needs a function"):
            opt.step(wrong)
    assert opt.steps == 1
    opt.step(lambda: 1.0)
    assert opt.steps == 2


def searched(*points):
    """What a line search from 0 with slope -1 makes of these losses and slopes."""
    left = list(points)

    def at(t):
        loss, slope = left.pop(0)
        return Point(t, loss, np.ones(1), slope)

    return strong_wolfe(at, Point(0.0, 0.0, np.ones(1), -1.0), 1.0, 1e-9)


def test_strong_wolfe_takes_the_first_point_that_is_low_and_flat_enough():
    found, tried = searched((-1e-4, 0.0))  # just low enough
    assert (found.t, tried) == (1.0, 1)
    found, tried = searched((-0.5, -0.9))  # just flat enough
    assert (found.t, tried) == (1.0, 1)
    found, tried = searched((-5e-5, 0.0), (-0.3, 0.0))  # flat, but not low enough
    assert (found.loss, tried) == (-0.3, 2)
    assert found.t < 1.0
    # Low and flat, but no lower than the point before, between which and this one it goes on.
    found, tried = searched((-1.0, -0.95), (-0.9, -0.5), (-2.0, 0.0))
    assert (found.loss, tried) == (-2.0, 3)


def test_strong_wolfe_goes_on_from_equal_losses_and_gives_up_in_the_end():
    # The third point is no lower than the first, so that the next one lies between these.
    found, tried = searched((-1.0, -0.95), (-0.5, 0.5), (-1.0, 0.0), (-2.0, 0.0))
    assert (found.loss, tried) == (-2.0, 4)
    found, tried = searched((-1.0, -0.95), (-1.0, -0.5), (-2.0, 0.0))
    assert (found.loss, tried) == (-2.0, 3)
    # The first point may be as low as the start, where what is asked for is lost in its digits.
    flat = Point(1.0, 1e6, np.ones(1), 0.0)
    start = Point(0.0, 1e6, np.ones(1), -1e-9)
    assert strong_wolfe(lambda _: flat, start, 1.0, 1e-12) == (flat, 1)
    assert searched(*[(-1.0 - i, -1.0) for i in range(40)])[1] == 25
