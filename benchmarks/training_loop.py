"""The cost of Trainer, compared with the same loop written by hand.

    python -m benchmarks.training_loop

The dense model 784-100-10 in batches of 32, Adam. Both loops shuffle, and sum up the loss and the
accuracy; the bare loop does neither. They take turns, a few epochs each, so that the ratios hold
when the machine's speed drifts: a ratio is the median of those within each round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from benchmarks.timing import take_turns
from minigrad import nn, optim

SAMPLES, BATCH, EPOCHS, ROUNDS = 3200, 32, 3, 25


def model() -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def trainer(x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    one = mg.Trainer(model(), optim.Adam(lr=1e-3))
    return lambda: one.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)


def by_hand(x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    net = model()
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    generator = np.random.default_rng(0)

    def epochs() -> list[tuple[float, float]]:
        history = []
        for _ in range(EPOCHS):
            total, right = 0.0, 0
            order = generator.permutation(len(x))
            for start in range(0, len(x), BATCH):
                chosen = order[start : start + BATCH]
                labels = y[chosen]
                output = net(mg.tensor(x[chosen]))
                loss = F.cross_entropy(output, mg.tensor(labels))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(chosen)
                right += int((output.numpy().argmax(axis=1) == labels).sum())
            history.append((total / len(x), right / len(x)))
        return history

    return epochs


def bare(x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    net = model()
    optimizer = optim.Adam(net.parameters(), lr=1e-3)

    def epochs() -> None:
        for _ in range(EPOCHS):
            for start in range(0, len(x), BATCH):
                output = net(mg.tensor(x[start : start + BATCH]))
                loss = F.cross_entropy(output, mg.tensor(y[start : start + BATCH]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return epochs


def main() -> None:
    generator = np.random.default_rng(0)
    x = generator.random((SAMPLES, 784), dtype=np.float32)
    y = generator.integers(10, size=SAMPLES)
    run = {"bare loop": bare(x, y), "loop by hand": by_hand(x, y), "Trainer": trainer(x, y)}
    times = take_turns(run, ROUNDS)
    for name, taken in times.items():
        each = statistics.median(taken) / (EPOCHS * SAMPLES // BATCH)
        ratios = [a / b for a, b in zip(taken, times["loop by hand"], strict=True)]
        print(f"{name:13} {each * 1e6:7.1f} us/step   {statistics.median(ratios):5.3f} of by hand")


if __name__ == "__main__":
    main()
