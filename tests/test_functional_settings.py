"""Functions of networks with their rarer settings, beside figures of PyTorch's.

A line is one call, which means the same in both libraries, and two figures of PyTorch 2.13 for it:
the results and the slope along one direction, weighed and summed. Points that lie on a corner are
among the inputs. ``python tests/test_functional_settings.py`` writes the figures anew, where
PyTorch is installed; the calls stay.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

FIGURES = Path(__file__).with_name("functional_settings.txt")
RNG = np.random.default_rng(0)


def spread(*shape):
    """Numbers no two of which are close."""
    size = int(np.prod(shape))
    return (RNG.permutation(size) - size // 2 + RNG.uniform(0.3, 0.7, size)).reshape(shape) * (
        4 / size
    )


#: What has a gradient.
ARRAYS = {
    "x": spread(2, 3, 7, 6), "w": spread(4, 3, 3, 2), "b": spread(4), "e": spread(2, 4, 5, 5),
    "v": spread(4, 2, 3, 3), "r": spread(4, 2, 2, 3), "t": spread(3, 4, 3, 2), "l": spread(2, 3, 9),
    "k": spread(4, 3, 3), "m": spread(3, 4, 3), "s": spread(4, 5), "o": spread(4, 5), "a": spread(5),
    "c": np.array([-7.0, -6.0, -3.0, -2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 3.0, 6.0, 7.0, 25.0]),
    "p": 0.5 + np.arctan(spread(4, 5)) / 4, "q": np.abs(spread(4, 5)) + 0.1, "d": spread(4, 3, 5),
    "u": spread(4, 6), "h": spread(2, 6, 3, 4), "g": spread(6), "z": spread(3),
    "n": np.arange(20.0).reshape(4, 5) % 7 / 2 - 1.5, "j": np.arange(20.0).reshape(4, 5) % 5 / 2 - 1.0,
    "y": np.arange(64.0).reshape(1, 2, 4, 8) * 7 % 5, "f": np.arange(24.0).reshape(2, 3, 4) * 5 % 3,
}  # fmt: skip
#: What has none.
GIVEN = {
    "I": np.array([1, 0, 4, 2]), "J": np.array([3, -100, 0, 3]), "S": np.array([1.0, -1.0, -1.0, 1.0]),
    "M": np.array([[3, 0, -1, 1, 2], [4, -1, 1, 1, 1], [-1, 0, 0, 0, 0], [0, 1, 2, 3, 4]]),
    "T": np.arange(20.0).reshape(4, 5) % 2, "W": np.array([0.5, 2.0, 1.0, 0.25, 3.0]),
    "D": np.array([[0, 2, 1, 1, 2], [2, 2, -100, 0, 1], [1, 0, 0, 2, 2], [0, 0, 1, 1, 0]]),
    "Y": np.array([0, 2, 1, 2]), "V": np.array([0.5, 2.0, 1.0]), "Q": np.arange(20.0).reshape(4, 5) % 4,
}  # fmt: skip


def words(call):
    return set(re.findall(r"\b\w+\b", call))


def lines():
    rows = [row.rpartition("  # ") for row in FIGURES.read_text(encoding="utf-8").splitlines()]
    return [(call, figures) for call, _, figures in rows]


def weights(shape):
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape)


def figures(call, functional, leaf, plain):
    """The two figures, with the tensors that ``leaf`` and ``plain`` make of arrays."""
    names = [k for k in ARRAYS if k in words(call)]
    leaves = {k: leaf(ARRAYS[k]) for k in names}
    constants = {k: plain(a) for k, a in GIVEN.items()}
    found = eval(f"F.{call}", {"F": functional, **leaves, **constants})
    parts = found if isinstance(found, (tuple, list)) else [found]
    total = sum((part * plain(weights(tuple(part.shape)))).sum() for part in parts)
    total.backward()
    slope = sum((np.asarray(leaves[k].grad) * weights(ARRAYS[k].shape)).sum() for k in names)
    return float(total.detach()), float(slope)


@pytest.mark.parametrize(("call", "known"), lines(), ids=[call for call, _ in lines()])
def test_value_and_slope_are_pytorchs(call, known):
    found = figures(call, F, lambda a: mg.tensor(a, requires_grad=True), mg.tensor)
    np.testing.assert_allclose(found, [float(one) for one in known.split()], rtol=1e-9, atol=1e-9)


def write():
    import torch

    rows = []
    for call in [call for call, _ in lines()]:
        leaf, plain = (lambda a: torch.tensor(a, requires_grad=True)), torch.tensor
        value, slope = figures(call, torch.nn.functional, leaf, plain)
        rows.append(f"{call}  # {value!r} {slope!r}\n")
    FIGURES.write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    write()
