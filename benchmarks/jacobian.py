"""The Jacobian of a network with 256 outputs by its input: row by row, together, and PyTorch's.

    python -m benchmarks.jacobian

The least of several rounds, the contenders taking turns, on as many threads as there are.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.timing import take_turns
from minigrad import nn
from minigrad.engine import tape

ROUNDS, SIZES = 15, (784, 512, 512, 256)


def network() -> nn.Module:
    mg.manual_seed(0)
    first, second, third = (nn.Linear(m, n) for m, n in itertools.pairwise(SIZES))
    model = nn.Sequential(first, nn.Tanh(), second, nn.ReLU(), third)
    return model.requires_grad_(False)


def row_by_row(x: Any, model: nn.Module) -> Any:
    at_once, tape.AT_ONCE = tape.AT_ONCE, 0
    try:
        return mg.jacobian(model)(x)
    finally:
        tape.AT_ONCE = at_once


def with_pytorch(x: Any, model: nn.Module) -> Callable[[], Any]:
    import torch

    layers: list[Any] = []
    for part in model:  # type: ignore[attr-defined]
        kind = getattr(torch.nn, type(part).__name__)
        layers.append(kind(part.in_features, part.out_features) if part.state_dict() else kind())
    theirs = torch.nn.Sequential(*layers)
    state = {name: torch.tensor(w.numpy()) for name, w in model.state_dict().items()}
    theirs.load_state_dict(state)
    theirs.requires_grad_(False)
    return partial(torch.func.jacrev(theirs), torch.tensor(x))


def main() -> None:
    model = network()
    x = np.random.default_rng(0).standard_normal(SIZES[0]).astype(np.float32)
    run: dict[str, Callable[[], Any]] = {
        "row by row": partial(row_by_row, x, model),
        "mg.jacobian": partial(mg.jacobian(model), x),
    }
    if importlib.util.find_spec("torch"):
        run["torch.func.jacrev"] = with_pytorch(x, model)
    answers = [np.asarray(call()) for call in run.values()]
    for one in answers:
        np.testing.assert_allclose(one, answers[0], atol=1e-6)
    for name, seconds in take_turns(run, ROUNDS).items():
        print(f"{name:<20} {min(seconds) * 1e3:7.2f} ms")


if __name__ == "__main__":
    main()
