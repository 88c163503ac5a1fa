"""One peer and one model in a process of its own, which runs steps when it is told to.

Commands come as lines on the standard input, answers go out as lines of JSON. While another
peer's turn lasts, this process sleeps.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def memory(line: str) -> float:
    """The memory of this process in MB: "VmRSS" now, "VmHWM" at most. Only Linux tells."""
    status = Path("/proc/self/status")
    if status.exists():
        for found in status.read_text().splitlines():
            if found.startswith(line):
                return int(found.split()[1]) / 1024
    return float("nan")


def forget_highest() -> None:
    """Let the most memory count from now on, without what importing took."""
    references = Path("/proc/self/clear_refs")
    if references.exists():
        references.write_text("5")


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

    if module == "with_minigrad":  # the column without the extra `fast`, wherever it is made
        os.environ["MINIGRAD_KERNELS"] = "numpy"
    try:
        peer = importlib.import_module(f"benchmarks.peers.{module}")
        forget_highest()
        before = memory("VmRSS:")
        step, infer = peer.build(name, batch, size)
        for _ in range(3):
            step()
    except (ImportError, NotImplementedError) as error:
        answer({"missing": str(error)})
        return
    answer({"name": peer.NAME, "version": peer.version(), "memory": memory("VmHWM:") - before})
    infer()
    runs = {"step": step, "inference": infer}
    for line in sys.stdin:
        what, seconds = line.split()
        answer(timed(runs[what], float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
