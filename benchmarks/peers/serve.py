"""One peer and one model in a process of its own, which runs steps when it is told to.

Commands come as lines on the standard input, answers go out as lines of JSON. While another
peer's turn lasts, this process sleeps.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def resident() -> float:
    """The memory of this process now, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return highest()


def highest() -> float:
    """The most memory this process has had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024


def timed(run: Callable[[], object], seconds: float) -> list[float]:
    """How long each run took, for about this long in all."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def main(module: str, name: str, batch: int, size: int) -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # what a framework prints is no answer

    def answer(what: object) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    try:
        peer = importlib.import_module(f"benchmarks.peers.{module}")
        before = resident()
        step, infer = peer.build(name, batch, size)
        for _ in range(3):
            step()
    except (ImportError, NotImplementedError) as error:
        answer({"missing": str(error)})
        return
    answer({"name": peer.NAME, "version": peer.version(), "memory": highest() - before})
    infer()
    runs = {"step": step, "inference": infer}
    for line in sys.stdin:
        what, seconds = line.split()
        answer(timed(runs[what], float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
