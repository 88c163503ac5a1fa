"""Training steps and inference of some models, compared with every other installed framework.

    python -m benchmarks.training [--quick]

Each framework runs in a process of its own; they take turns, round by round, so that ratios hold
when the machine's speed drifts. Prints tables, and writes them to docs/benchmarks.md and, between
its marks, to README.md; with --quick it does fewer rounds and writes nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import profile
from benchmarks.models import MODELS, Model, work
from benchmarks.timing import shortest
from minigrad.debug import environment

ROOT = Path(__file__).parent.parent
PEERS = (
    "with_minigrad", "with_minigrad_fast", "with_pytorch", "with_jax", "with_keras",
    "with_tensorflow", "with_mygrad", "with_autograd", "with_numpy",
)  # fmt: skip
#: How long each framework runs in one round, in seconds, and how many rounds there are.
TURN, ROUNDS = 0.25, 9
GROWTH = (
    [("DeepConvNet", batch, 28) for batch in (25, 50, 100, 200, 400)]
    + [("DeepConvNet", 25, size) for size in (56, 112)]
)  # fmt: skip
PER_STEP = (
    "A step is {:.3g} GFLOP in products and moves {:.3g} MB at least, which this machine could do "
    "in {} ms."
)
COLUMNS = (
    "| framework | step, ms | minigrad's speed | of the limit | inference, ms | minigrad's speed "
    "| peak memory, MB |"
)
EXPLANATION = (
    "Each framework has a process of its own and takes turns with the others; times are medians. "
    "A step is forward, loss, backward and Adam, in float32. Frameworks use as many threads as "
    "they like. *minigrad's speed* is their time over minigrad's. The limit is the time for the "
    "products alone at the rate above, plus that for moving activations and parameters at the copy "
    "bandwidth. Peak memory is what a process needs for three steps beyond the imported framework."
)
START, END = "<!-- speed table: made by `make bench` -->", "<!-- end of speed table -->"


class Peer:
    """A framework with one model, in a process that waits for its turn."""

    def __init__(self, module: str, name: str, batch: int, size: int) -> None:
        self.module = module
        command = [sys.executable, "-m", "benchmarks.peers.serve", module, name]
        self.process = subprocess.Popen(
            [*command, str(batch), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self.times: dict[str, list[float]] = {"step": [], "inference": []}
        self.about = self._read() or {"missing": "it failed"}

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def take_turn(self, what: str, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {seconds}\n")
        self.process.stdin.flush()
        self.times[what] += self._read() or []

    def median(self, what: str) -> float:
        """The median time in seconds."""
        return statistics.median(self.times[what])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def running(modules: tuple[str, ...], name: str, batch: int, size: int) -> Iterator[list[Peer]]:
    """The peers that can run this model, started one after the other."""
    peers = [Peer(module, name, batch, size) for module in modules]
    try:
        yield [p for p in peers if "missing" not in p.about]
    finally:
        for peer in peers:
            peer.close()


def limits() -> tuple[float, float]:
    """The machine's matrix-product rate (operations a second) and copy bandwidth (bytes)."""
    n = 2048
    a, b = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    out = np.empty_like(a)
    rate = 2 * n**3 / shortest(lambda: np.matmul(a, b, out=out), 10)
    source, target = np.ones(1 << 25, np.float32), np.empty(1 << 25, np.float32)
    return rate, 2 * source.nbytes / shortest(lambda: np.copyto(target, source), 10)


def measure(model: Model, rounds: int) -> list[Peer]:
    """Let all frameworks take turns with this model."""
    with running(PEERS, model.name, model.batch, model.size) as peers:
        for _ in range(rounds):
            for peer in peers:
                peer.take_turn("step", TURN)
        for _ in range(max(3, rounds // 2)):
            for peer in peers:
                peer.take_turn("inference", TURN / 3)
    return peers


def ms(seconds: float) -> str:
    """A time in milliseconds with three digits."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def model_table(model: Model, peers: list[Peer], rate: float, bandwidth: float) -> list[str]:
    """One model: a row for each framework, with its speed relative to minigrad's."""
    operations, moved = work(model.name, model.batch, model.size)
    limit = operations / rate + moved / bandwidth
    ours = next(p for p in peers if p.module == "with_minigrad")
    lines = [
        f"### {model.name}: {model.text}; batch {model.batch}",
        "",
        PER_STEP.format(operations / 1e9, moved / 1e6, ms(limit)),
        "",
        COLUMNS,
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for p in peers:
        step, inference = p.median("step"), p.median("inference")
        lines.append(
            f"| {p.about['name']} {p.about['version']} | {ms(step)} "
            f"| {step / ours.median('step'):.2f} | {limit / step:.0%} | {ms(inference)} "
            f"| {inference / ours.median('inference'):.2f} | {p.about['memory']:.0f} |"
        )
    return [*lines, ""]


def summary_table(measured: dict[str, list[Peer]]) -> list[str]:
    """All models in one table, for the README."""
    names = {p.module: p.about["name"] for peers in measured.values() for p in peers}
    lines = [
        "| training step, ms | " + " | ".join(names.values()) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for model, peers in measured.items():
        found = {p.module: ms(p.median("step")) for p in peers}
        cells = " | ".join(found.get(module, "–") for module in names)
        lines.append(f"| {model}, batch {MODELS[model].batch} | {cells} |")
    return lines


def growth_table(rounds: int) -> list[str]:
    """How time and memory of a step grow with the batch and with the images."""
    lines = [
        "## Growth with batch and image size",
        "",
        "One training step of DeepConvNet. The memory is what a process needs for it.",
        "",
        "| batch | image | minigrad, ms | PyTorch, ms | minigrad, MB | PyTorch, MB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for name, batch, size in GROWTH:
        with running(("with_minigrad", "with_pytorch"), name, batch, size) as peers:
            for _ in range(rounds):
                for peer in peers:
                    peer.take_turn("step", TURN)
        times = [ms(p.median("step")) for p in peers] + ["–"] * (2 - len(peers))
        memory = [f"{p.about['memory']:.0f}" for p in peers] + ["–"] * (2 - len(peers))
        lines.append(f"| {batch} | {size} x {size} | " + " | ".join(times + memory) + " |")
    return [*lines, ""]


def document(measured: dict[str, list[Peer]], quick: bool) -> tuple[str, str]:
    """The text for docs/benchmarks.md, and the table for the README."""
    rate, bandwidth = limits()
    about = environment.describe()
    machine = (
        f"{about['processor']}; matrix products {rate / 1e9:.0f} GFLOP/s, copying "
        f"{bandwidth / 1e9:.0f} GB/s (read and written)"
    )
    made = (
        f"Made by `make bench` on {dt.datetime.now(dt.UTC).date()}. {machine}. Python "
        f"{platform.python_version()} on {platform.system()}, NumPy {about['NumPy']}, "
        f"{' '.join(about['BLAS'].split()[:2])} with its {about['BLAS kernel']} kernel, "
        f"{about['threads']} threads."
    )
    lines = [
        "# Benchmarks",
        "",
        made,
        "",
        EXPLANATION,
        "",
        "## Training and inference",
        "",
    ]
    for name, peers in measured.items():
        lines += model_table(MODELS[name], peers, rate, bandwidth)
    lines += growth_table(1 if quick else 3)
    lines += ["## Where the time goes", "", "Made by `python -m benchmarks.profile`.", ""]
    for model in MODELS.values():
        lines += profile.table(model, 5 if quick else profile.STEPS)
    lines += NOTES.read_text().splitlines() if NOTES.exists() else []
    table = [*summary_table(measured), "", f"{machine[0].upper()}{machine[1:]}."]
    return "\n".join(lines) + "\n", "\n".join(table)


#: What the tables mean and where the time goes, written by hand, goes under them.
NOTES = ROOT / "benchmarks" / "notes.md"


def write(text: str, table: str) -> None:
    (ROOT / "docs" / "benchmarks.md").write_text(text)
    readme = ROOT / "README.md"
    before = readme.read_text()
    if START in before and END in before:
        head, rest = before.split(START, 1)
        tail = rest.split(END, 1)[1]
        readme.write_text(f"{head}{START}\n{table}\n{END}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and write nothing")
    quick = parser.parse_args().quick
    measured = {m.name: measure(m, 3 if quick else ROUNDS) for m in MODELS.values()}
    text, table = document(measured, quick)
    print(text)
    print(table)
    if not quick:
        write(text, table)


if __name__ == "__main__":
    main()
