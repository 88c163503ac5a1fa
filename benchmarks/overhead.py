"""The cost of recording: small operators compared with the same call in NumPy and in PyTorch.

    python -m benchmarks.overhead

Each figure is the median over many short rounds in one run, the contenders taking turns, so that
the ratios hold when the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.timing import take_turns

ROUNDS, CALLS = 60, 400
#: The same expression for every framework; ``xp`` is numpy, minigrad or torch.
CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a + b": lambda xp, a, b: a + b,
    "a * b": lambda xp, a, b: a * b,
    "a @ b": lambda xp, a, b: a @ b,
    "exp(a)": lambda xp, a, b: xp.exp(a),
}


def contenders(f: Callable[[Any, Any, Any], Any]) -> dict[str, Callable[[], Any]]:
    """For one operator: NumPy's call, then each framework's forward, and forward and backward."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((4, 4)).astype(np.float32) for _ in range(2))
    a, b = mg.tensor(x, requires_grad=True), mg.tensor(y, requires_grad=True)
    seed = mg.ones((4, 4))
    run = {"numpy": lambda: f(np, x, y), "forward": lambda: f(mg, a, b)}

    def both() -> None:
        a.grad = b.grad = None
        f(mg, a, b).backward(seed)

    run["both"] = both
    try:
        import torch
    except ImportError:
        return run
    p, q = (torch.tensor(v, requires_grad=True) for v in (x, y))
    ones = torch.ones(4, 4)
    run["torch forward"] = lambda: f(torch, p, q)

    def torch_both() -> None:
        p.grad = q.grad = None
        f(torch, p, q).backward(ones)

    run["torch both"] = torch_both
    return run


def medians(run: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Nanoseconds per call of each."""
    rounds = take_turns(run, ROUNDS, CALLS)
    return {name: statistics.median(times) * 1e9 for name, times in rounds.items()}


def import_seconds(module: str) -> float:
    """The median time of importing a module in a new interpreter."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(11)]
    return statistics.median(times)


def chain(length: int = 50_000) -> float:
    """Seconds to differentiate a chain of so many operators."""
    x = mg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1.0
    start = time.perf_counter()
    y.backward()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    print("4 x 4 float32, tracked; NumPy in ns, the others as multiples of it")
    print(f"{'':8}{'NumPy':>8}{'forward':>9}{'torch':>8}{'+backward':>11}{'torch':>8}")
    for name, f in CASES.items():
        t = medians(contenders(f))
        cells = [
            f"{t[k] / t['numpy']:.2f}" if k in t else "-"
            for k in ("forward", "torch forward", "both", "torch both")
        ]
        row = "".join(f"{c:>{w}}" for c, w in zip(cells, (9, 8, 11, 8), strict=True))
        print(f"{name:8}{t['numpy']:8.0f}{row}")
    bare, ours = import_seconds("numpy"), import_seconds("minigrad")
    print(f"import: numpy {bare * 1e3:.0f} ms, minigrad {(ours - bare) * 1e3:+.0f} ms")
    print(f"chain of 50,000 operators, backward pass: {chain():.2f} s")


if __name__ == "__main__":
    main()
