"""Where the time of a training step goes: each operator's share, forwards and backwards.

    python -m benchmarks.profile [model]

Medians over many steps, on as many threads as BLAS has. "the rest" is the optimizer, the engine's
own work and Python between the operators.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict

import minigrad as mg
import minigrad.nn.functional as F
from benchmarks.models import MODELS, Model, inputs
from benchmarks.peers.with_minigrad import network
from minigrad import optim

STEPS = 30


def profile(model: Model, steps: int = STEPS) -> tuple[dict[str, tuple[float, float]], float]:
    """For each operator the seconds of its value and of its rules; and those of a whole step."""
    net = network(model.name, model.size)
    params = list(net.parameters())
    optimizer = optim.Adam(params)
    images, labels = inputs(model.name, model.batch, model.size)
    x, y = mg.tensor(images), mg.tensor(labels)
    found: list[dict[str, list[float]]] = []
    whole: list[float] = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        with mg.observe(lines=False, values=False):
            with mg.GradientTape() as tape:
                loss = F.cross_entropy(net(x), y)
            grads = tape.gradient(loss, params)
        optimizer.apply_gradients(zip(grads, params, strict=True))
        whole.append(time.perf_counter() - start)
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for node in tape.nodes:
            if node.seen is not None:
                sums[node.op.name][0] += node.seen.seconds or 0.0
                sums[node.op.name][1] += node.seen.backward_seconds or 0.0
        found.append(sums)
    kept = found[2:]
    medians = {
        name: (
            statistics.median(one[name][0] for one in kept),
            statistics.median(one[name][1] for one in kept),
        )
        for name in kept[0]
    }
    return medians, statistics.median(whole[2:])


def table(model: Model, steps: int = STEPS) -> list[str]:
    """The profile of a model as lines of Markdown."""
    medians, whole = profile(model, steps)
    rest = whole - sum(a + b for a, b in medians.values())
    lines = [
        f"| {model.name} | forwards, ms | backwards, ms | share |",
        "|---|---:|---:|---:|",
    ]
    for name, (value, rules) in sorted(medians.items(), key=lambda item: -sum(item[1])):
        share = (value + rules) / whole
        lines.append(f"| {name} | {value * 1e3:.3g} | {rules * 1e3:.3g} | {share:.0%} |")
    lines.append(f"| the rest | {rest * 1e3:.3g} | | {rest / whole:.0%} |")
    return [*lines, ""]


def main(names: list[str]) -> None:
    for name in names or MODELS:
        if name not in MODELS:
            sys.exit(f"no model named {name}; there are: {', '.join(MODELS)}")
        print("\n".join(table(MODELS[name])))


if __name__ == "__main__":
    main(sys.argv[1:])
