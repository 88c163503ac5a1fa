"""How the benchmarks measure time: the contenders take turns, since a machine's speed drifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def take_turns(
    run: Mapping[str, Callable[[], object]], rounds: int, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds per call of each contender in each round; a round makes ``calls`` calls of each."""
    seconds: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(rounds):
        for name, call in run.items():
            start = time.perf_counter()
            for _ in range(calls):
                call()
            seconds[name].append((time.perf_counter() - start) / calls)
    return seconds


def shortest(call: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of the shortest of several calls."""
    return min(take_turns({"": call}, rounds)[""])
