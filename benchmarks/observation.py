"""What looking on costs: a chain of small operators plain, and under `mg.observe`.

    python -m benchmarks.observation

The medians of many short rounds, the contenders taking turns. They are the reason why source lines
are captured on request only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import minigrad as mg

ROUNDS, LENGTH = 200, 200
WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "nobody looks": nullcontext,
    "lines": lambda: mg.observe(time=False, values=False),
    "lines and time": lambda: mg.observe(values=False),
    "lines, time and values": mg.observe,
    "detect_anomaly": mg.detect_anomaly,
}


def main() -> None:
    x = mg.rand(4, 4)
    x.requires_grad = True
    rounds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            y = x
            with way():
                start = time.perf_counter()
                for _ in range(LENGTH):
                    y = y * x
                rounds[name].append((time.perf_counter() - start) / LENGTH * 1e6)
    plain = statistics.median(rounds["nobody looks"])
    for name, times in rounds.items():
        one = statistics.median(times)
        print(f"{name:<24} {one:6.2f} µs per operator  {one / plain:5.1f} x")


if __name__ == "__main__":
    main()
