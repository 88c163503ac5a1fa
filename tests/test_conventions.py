"""The tables of docs/conventions.md, row by row."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

PAGE = Path(__file__).parent.parent / "docs" / "conventions.md"
NAMES = {"np": np, "mg": mg, "F": F, "nan": math.nan, "inf": math.inf, "float": float}


def rows(columns):
    """The rows of the tables with so many columns, without their heads."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == columns:
            found.append(pytest.param(*cells, id=f"{cells[0]} at {cells[1]}"))
    return found


def evaluated(cell, **names):
    return eval(cell.strip("`"), NAMES | names)


def point(cell):
    """x=[1, 1], y=2 as arrays by name."""
    return {k: np.array(v, dtype=float) for k, v in evaluated(f"dict({cell.strip('`')})").items()}


def gradients(function, at):
    """The value, and the gradient by each variable or None where the value is not tracked."""
    variables = {k: mg.tensor(v, requires_grad=True) for k, v in at.items()}
    with np.errstate(all="ignore"):
        y = evaluated(function, **variables)
        if not y.requires_grad:
            return y, None
        y.backward(mg.ones_like(y))
    return y, [mg.zeros_like(v) if v.grad is None else v.grad for v in variables.values()]


def assert_equal(found, expected, count):
    expected = list(expected) if count > 1 else [expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, np.array(theirs, float), rtol=1e-12, atol=1e-15)


def test_the_tables_are_read():
    assert len(rows(5)) > 40
    assert len(rows(3)) > 12


@pytest.mark.parametrize(("function", "at", "ours", "torchs", "tensorflows"), rows(5))
def test_convention(function, at, ours, torchs, tensorflows):
    at = point(at)
    value, found = gradients(function, at)
    if "mg." not in function and "F." not in function:
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(value.detach().numpy(), evaluated(function, **at))
    if ours == "constant":
        assert found is None
    else:
        assert_equal([g.numpy() for g in found], evaluated(ours), len(at))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("function", "at", "ours", "torchs", "tensorflows"),
    [row for row in rows(5) if row.values[3] != "–"],
)
def test_convention_of_pytorch(function, at, ours, torchs, tensorflows):
    torch = pytest.importorskip("torch")
    call, expected = re.fullmatch(r"`(.*)`: `(.*)`", torchs).groups()
    at = point(at)
    variables = {k: torch.tensor(v, requires_grad=True) for k, v in at.items()}
    y = evaluated(call, torch=torch, **variables)
    y.backward(torch.ones_like(y))
    assert_equal([v.grad.numpy() for v in variables.values()], evaluated(expected), len(at))


@pytest.mark.parametrize(("function", "at", "hessian"), rows(3))
def test_second_order(function, at, hessian):
    (x,) = point(at).values()
    with np.errstate(all="ignore"):
        found = mg.hessian(lambda x: mg.sum(evaluated(function, x=x)))(mg.tensor(x))
    np.testing.assert_allclose(found.numpy(), np.array(evaluated(hessian)), rtol=1e-12, atol=1e-13)
