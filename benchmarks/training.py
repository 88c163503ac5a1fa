"""Training steps and inference of some models, compared with every other installed framework.

    python -m benchmarks.training [--quick] [PART ...]

Each framework runs in a process of its own; they take turns, round by round, so that ratios hold
when the machine's speed drifts. A turn in which other programs used the processor is taken again.
A part is a model, "growth" or "profile"; without any, all are measured. What was measured is kept
in benchmarks/training.json; the tables are made of it, printed, and written to docs/benchmarks.md
and, between their marks, to both READMEs. With --quick there are fewer rounds and nothing is kept.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

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
#: Those in the README's table.
SHOWN = ("with_minigrad", "with_minigrad_fast", "with_pytorch", "with_keras", "with_jax")
#: How long each framework runs in one round, in seconds, and how many rounds there are.
TURN, ROUNDS = 0.25, 9
#: A turn is taken again where others took more than this part of one core's time, so often.
BUSY, AGAIN = 0.1, 2
#: What is kept of a framework with a model: name, version, memory, and the medians.
Result: TypeAlias = dict[str, Any]
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
    "A turn in which other programs used the processor is taken again, once. "
    "*minigrad* runs on NumPy alone, *minigrad[fast]* on compiled kernels. "
    "A step is forward, loss, backward and Adam, in float32. Frameworks use as many threads as "
    "they like. *minigrad's speed* is their time over minigrad's. The limit is the time for the "
    "products alone at the rate above, plus that for moving activations and parameters at the copy "
    "bandwidth. Peak memory is what a process needs for three steps beyond the imported framework; "
    "numba's compiler, which minigrad[fast] loads with its first kernel, is started before."
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
        """Run for so long; again, some times at most, where others have used the processor."""
        assert self.process.stdin is not None
        times: list[float] = []
        for _ in range(AGAIN):
            before = others_time(self.process.pid)
            self.process.stdin.write(f"{what} {seconds}\n")
            self.process.stdin.flush()
            times = self._read() or []
            if others_time(self.process.pid) - before <= BUSY * max(seconds, sum(times)):
                break
        self.times[what] += times

    def result(self) -> Result:
        """What is kept."""
        found = {what: self.median(what) for what, times in self.times.items() if times}
        return {**self.about, "module": self.module, **found}

    def median(self, what: str) -> float:
        """The median time in seconds."""
        return statistics.median(self.times[what])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def others_time(process: int) -> float:
    """The seconds that all processors have spent on anything but this process; only Linux tells."""
    system, own = Path("/proc/stat"), Path(f"/proc/{process}/stat")
    if not system.exists() or not own.exists():
        return 0.0
    fields = [int(n) for n in system.read_text().split("\n", 1)[0].split()[1:]]
    busy = sum(fields[:3]) + sum(fields[5:8])  # neither idle nor waiting; guests count as users
    used = own.read_text().rpartition(")")[2].split()
    return (busy - int(used[11]) - int(used[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(modules: tuple[str, ...], name: str, batch: int, size: int) -> Generator[list[Peer]]:
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


def measure(model: Model, rounds: int) -> list[Result]:
    """Let all frameworks take turns with this model."""
    with running(PEERS, model.name, model.batch, model.size) as peers:
        for _ in range(rounds):
            for peer in peers:
                peer.take_turn("step", TURN)
        for _ in range(max(3, rounds // 2)):
            for peer in peers:
                peer.take_turn("inference", TURN / 3)
        return [peer.result() for peer in peers]


def ms(seconds: float) -> str:
    """A time in milliseconds with three digits."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def model_table(model: Model, results: list[Result], rate: float, bandwidth: float) -> list[str]:
    """One model: a row for each framework, with its speed relative to minigrad's."""
    operations, moved = work(model.name, model.batch, model.size)
    limit = operations / rate + moved / bandwidth
    ours = next(r for r in results if r["module"] == "with_minigrad")
    lines = [
        f"### {model.name}: {model.text}; batch {model.batch}",
        "",
        PER_STEP.format(operations / 1e9, moved / 1e6, ms(limit)),
        "",
        COLUMNS,
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in results:
        step, inference = r["step"], r["inference"]
        lines.append(
            f"| {r['name']} {r['version']} | {ms(step)} | {step / ours['step']:.2f} "
            f"| {limit / step:.0%} | {ms(inference)} | {inference / ours['inference']:.2f} "
            f"| {r['memory']:.0f} |"
        )
    return [*lines, ""]


def summary_table(measured: dict[str, list[Result]], head: str = "training step, ms") -> list[str]:
    """All models in one table, for the README."""
    names = {r["module"]: r["name"] for results in measured.values() for r in results}
    columns = [module for module in SHOWN if module in names]
    lines = [
        f"| {head} | " + " | ".join(names[module] for module in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for model, results in measured.items():
        found = {r["module"]: ms(r["step"]) for r in results}
        cells = " | ".join(found.get(module, "–") for module in columns)
        lines.append(f"| {model}, batch {MODELS[model].batch} | {cells} |")
    return lines


def growth(rounds: int) -> list[list[Result]]:
    """How time and memory of a step grow with the batch and with the images."""
    found = []
    for name, batch, size in GROWTH:
        with running(("with_minigrad", "with_pytorch"), name, batch, size) as peers:
            for _ in range(rounds):
                for peer in peers:
                    peer.take_turn("step", TURN)
            found.append([peer.result() for peer in peers])
    return found


def growth_table(found: list[list[Result]]) -> list[str]:
    lines = [
        "## Growth with batch and image size",
        "",
        "One training step of DeepConvNet. The memory is what a process needs for it.",
        "",
        "| batch | image | minigrad, ms | PyTorch, ms | minigrad, MB | PyTorch, MB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for (_, batch, size), results in zip(GROWTH, found, strict=True):
        times = [ms(r["step"]) for r in results] + ["–"] * (2 - len(results))
        memory = [f"{r['memory']:.0f}" for r in results] + ["–"] * (2 - len(results))
        lines.append(f"| {batch} | {size} x {size} | " + " | ".join(times + memory) + " |")
    return [*lines, ""]


def described(rate: float, bandwidth: float) -> tuple[str, str]:
    """The machine, and what ran on it."""
    about = environment.describe()
    machine = (
        f"{about['processor']}; matrix products {rate / 1e9:.0f} GFLOP/s, copying "
        f"{bandwidth / 1e9:.0f} GB/s (read and written)"
    )
    software = (
        f"Python {platform.python_version()} on {platform.system()}, NumPy {about['NumPy']}, "
        f"{' '.join(about['BLAS'].split()[:2])} with its {about['BLAS kernel']} kernel, "
        f"{about['threads']} threads"
    )
    return machine, software


def document(kept: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The text for docs/benchmarks.md, and the table for each README."""
    machine, rate = kept["machine"], kept["rate"]
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {kept['date']}. {machine}. {kept['software']}.",
        "",
        EXPLANATION,
        "",
        "## Training and inference",
        "",
    ]
    measured = {name: kept[name] for name in MODELS if name in kept}
    for name, results in measured.items():
        lines += model_table(MODELS[name], results, rate, kept["bandwidth"])
    if "growth" in kept:
        lines += growth_table(kept["growth"])
    if "profile" in kept:
        lines += ["## Where the time goes", "", "Made by `python -m benchmarks.profile`.", ""]
        lines += ["<details><summary>Operator by operator</summary>", "", *kept["profile"]]
        lines += ["", "</details>", ""]
    lines += NOTES.read_text().splitlines() if NOTES.exists() else []
    below = f"{machine[0].upper()}{machine[1:]}."
    tables = {
        readme: "\n".join([*summary_table(measured, head), "", below])
        for readme, head in READMES.items()
    }
    return "\n".join(lines) + "\n", tables


#: The READMEs with this table, and the first cell of it.
READMES = {"README.md": "training step, ms", "README.ko.md": "학습 한 단계, ms"}
KEPT = ROOT / "benchmarks" / "training.json"
#: What the tables mean and where the time goes, written by hand, goes under them.
NOTES = ROOT / "benchmarks" / "notes.md"


def write(text: str, tables: dict[str, str]) -> None:
    (ROOT / "docs" / "benchmarks.md").write_text(text)
    for name, table in tables.items():
        readme = ROOT / name
        before = readme.read_text()
        if START in before and END in before:
            head, rest = before.split(START, 1)
            tail = rest.split(END, 1)[1]
            readme.write_text(f"{head}{START}\n{table}\n{END}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and keep nothing")
    parts = [*MODELS, "growth", "profile"]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {parts}")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.parts) - set(parts))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are: {', '.join(parts)}")
    quick, wanted = arguments.quick, arguments.parts or parts
    kept = json.loads(KEPT.read_text()) if KEPT.exists() and not quick else {}
    rate, bandwidth = limits()
    machine, software = described(rate, bandwidth)
    kept.update(
        date=str(dt.datetime.now(dt.UTC).date()), machine=machine, software=software,
        rate=rate, bandwidth=bandwidth,
    )  # fmt: skip
    for name in wanted:
        if name == "growth":
            kept[name] = growth(1 if quick else 3)
        elif name == "profile":
            steps = 5 if quick else profile.STEPS
            kept[name] = [line for m in MODELS.values() for line in profile.table(m, steps)]
        else:
            kept[name] = measure(MODELS[name], 3 if quick else ROUNDS)
    if not quick:
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    text, tables = document(kept)
    print(text)
    print(tables["README.md"])
    if not quick:
        write(text, tables)


if __name__ == "__main__":
    main()
