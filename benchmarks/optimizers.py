"""The time of a step of each optimizer, compared with PyTorch's.

    python -m benchmarks.optimizers

The parameters are those of the dense model 784-100-10, those of the convolutional network of "Deep
Learning from Scratch", and one matrix of 4 million. Each figure is the median over many steps in
one run, the contenders taking turns, on one thread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.timing import take_turns
from minigrad import optim

MODELS: dict[str, list[tuple[int, ...]]] = {
    "dense": [(100, 784), (100,), (10, 100), (10,)],
    "DeepConvNet": [p.shape for p in mg.models.deep_convnet().parameters()],
    "4 million": [(2048, 2048)],
}
STEPS = {"dense": 300, "DeepConvNet": 300, "4 million": 40}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "Adagrad": {},
    "RMSprop": {},
    "Adadelta": {},
    "Adam": {},
    "AdamW": {},
    "NAdam": {},
}


def contenders(name: str, shapes: list[tuple[int, ...]]) -> dict[str, Callable[[], Any]]:
    """A step of our optimizer, and of PyTorch's where it is installed."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    ours = [mg.tensor(array, requires_grad=True) for array in arrays]
    for p in ours:
        p.grad = mg.ones(p.shape)
    run = {"minigrad": getattr(optim, name)(ours, lr=1e-3, **OPTIMIZERS[name]).step}
    try:
        import torch
    except ImportError:
        return run
    torch.set_num_threads(1)
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    for q in theirs:
        q.grad = torch.ones(q.shape)
    run["torch"] = getattr(torch.optim, name)(theirs, lr=1e-3, **OPTIMIZERS[name]).step
    return run


def main() -> None:
    print(f"{'ms per step':14}{'':12}{'minigrad':>10}{'torch':>10}{'ratio':>8}")
    for model, shapes in MODELS.items():
        for name in OPTIMIZERS:
            run = contenders(name, shapes)
            times = take_turns(run, STEPS[model])
            found = [1e3 * statistics.median(one) for one in times.values()]
            ratio = f"{found[0] / found[1]:8.2f}" if len(found) > 1 else ""
            print(f"{model:14}{name:12}" + "".join(f"{ms:10.3f}" for ms in found) + ratio)


if __name__ == "__main__":
    main()
