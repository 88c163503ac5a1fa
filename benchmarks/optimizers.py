"""Time one step of each optimizer against PyTorch's, interleaved in one process.

    python benchmarks/optimizers.py [rounds]

Two sets of parameters: the dense model 784-100-10, and the convolutional DeepConvNet of "Deep
Learning from Scratch". Prints the median milliseconds of a step, and ours over PyTorch's.
"""

import statistics
import sys
import time

import numpy as np
import torch

import minigrad as mg
from minigrad import optim

torch.set_num_threads(1)

DENSE = [(100, 784), (100,), (10, 100), (10,)]
DEEP_CONV_NET = [
    *[(16, 1, 3, 3), (16,), (16, 16, 3, 3), (16,), (32, 16, 3, 3), (32,), (32, 32, 3, 3), (32,)],
    *[(64, 32, 3, 3), (64,), (64, 64, 3, 3), (64,), (50, 1024), (50,), (10, 50), (10,)],
]
OPTIMIZERS = {
    "SGD": {"momentum": 0.9},
    "Adagrad": {},
    "RMSprop": {},
    "Adadelta": {},
    "Adam": {},
    "AdamW": {},
    "NAdam": {},
}


def main(rounds: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{'parameters':14}{'optimizer':12}{'ours, ms':>10}{'torch, ms':>11}{'ratio':>8}")
    for model, shapes in {
        "dense": DENSE,
        "DeepConvNet": DEEP_CONV_NET,
        "4 million": [(2048, 2048)],
    }.items():
        for name, settings in OPTIMIZERS.items():
            values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
            gradients = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
            ours = [mg.tensor(value, requires_grad=True) for value in values]
            theirs = [torch.tensor(value, requires_grad=True) for value in values]
            for p, q, g in zip(ours, theirs, gradients, strict=True):
                p.grad, q.grad = mg.tensor(g), torch.tensor(g)
            our_step = getattr(optim, name)(ours, lr=1e-3, **settings).step
            their_step = getattr(torch.optim, name)(theirs, lr=1e-3, **settings).step
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                for step, found in zip((our_step, their_step), times, strict=True):
                    start = time.perf_counter()
                    step()
                    found.append(1e3 * (time.perf_counter() - start))
            a, b = (statistics.median(found) for found in times)
            print(f"{model:14}{name:12}{a:10.3f}{b:11.3f}{a / b:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
