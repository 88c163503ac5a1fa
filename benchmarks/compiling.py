"""What compiled kernels cost before the first step: `python -m benchmarks.compiling [MODEL...]`.

Each model trains for a few steps in two new processes with numba's cache in an empty folder. The
first compiles, the second finds the kernels on disk.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.models import MODELS


def first_steps(name: str) -> None:
    """Print the seconds of the first training step, which imports numba, and of a later one."""
    from benchmarks.peers import with_minigrad

    step, _ = with_minigrad.build(name, MODELS[name].batch, MODELS[name].size)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(seconds[0], min(seconds))


def main(names: list[str]) -> None:
    if importlib.util.find_spec("numba") is None:
        print("numba is not installed: pip install 'minigrad[fast]'")
        return
    print("| model | first step, compiling, s | first step, from disk, s | later steps, ms |")
    print("| --- | ---: | ---: | ---: |")
    for name in names or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "MINIGRAD_KERNELS": "numba"}
            command = [sys.executable, "-m", "benchmarks.compiling", "first steps", name]
            found = [
                subprocess.run(
                    command,
                    env=environment,
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                ).stdout.split()
                for _ in range(2)
            ]
        (cold, _), (warm, later) = found
        row = f"{float(cold):.1f} | {float(warm):.2f} | {float(later) * 1e3:.2f}"
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["first steps"]:
        first_steps(sys.argv[2])
    else:
        main(sys.argv[1:])
