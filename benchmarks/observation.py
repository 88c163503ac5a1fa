"""What observation costs: a chain of small operators without it, and inside `mg.observe()`.

    python -m benchmarks.observation

The medians of many short rounds, the contenders taking turns. They are the reason why source lines
are captured only on request.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import minigrad as mg
from benchmarks.timing import take_turns

ROUNDS, LENGTH = 200, 200
WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "not observed": nullcontext,
    "lines": lambda: mg.observe(time=False, values=False),
    "lines and time": lambda: mg.observe(values=False),
    "lines, time and values": mg.observe,
    "detect_anomaly": mg.detect_anomaly,
}


def main() -> None:
    x = mg.rand(4, 4)
    x.requires_grad = True

    def chain(block: Callable[[], AbstractContextManager[object]]) -> None:
        y = x
        with block():
            for _ in range(LENGTH):
                y = y * x

    rounds = take_turns({name: partial(chain, way) for name, way in WAYS.items()}, ROUNDS)
    medians = {name: statistics.median(t) / LENGTH * 1e6 for name, t in rounds.items()}
    plain = medians["not observed"]
    for name, one in medians.items():
        print(f"{name:<24} {one:6.2f} µs per operator  {one / plain:5.1f} x")


if __name__ == "__main__":
    main()
