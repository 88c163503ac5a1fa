"""How training gains from more ranks: measured on this machine, and foretold for many.

    python -m benchmarks.scaling [messages] [steps] [beside] [crowd] [network] [profile] [report]
        [again]

Needs ``pip install minigrad[mpi,plot]``. Each part but the last measures, for less than a minute,
and keeps its figures in benchmarks/scaling.json; ``report`` fits the constants of the cost model
(benchmarks/cost.py) to them, and writes the tables and the plot of docs/explain/scaling.md. Without
arguments all of it is done. ``again``: steps are measured once more, and the shorter rounds count.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cost
from benchmarks.cost import Growth, Link, Step
from benchmarks.namespaces import APART, DELAY, NoNamespacesError, command, machines, shape

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "benchmarks" / "scaling.json"
PAGE = ROOT / "docs" / "explain" / "scaling.md"
PLOT = ROOT / "docs" / "images" / "scaling.png"
START, END = "<!-- made by benchmarks.scaling -->", "<!-- end of what benchmarks.scaling makes -->"
#: What the ranks of the forecast are joined by: gigabits a second, and seconds a message takes.
NETWORKS = {"1 Gbit/s": (1.0, 1e-4), "10 Gbit/s": (10.0, 1e-4), "100 Gbit/s": (100.0, 5e-6)}
RANKS = [1 << i for i in range(3, 13)]
#: Samples of a step: of each rank (weak scaling), and of all ranks together (strong scaling).
BATCHES = {"DeepConvNet": (100, 4096), "ResNet-50": (32, 8192)}
BATCH = 100
#: Ways in which two processes take part: with an exchange, and without; and under mpiexec or not.
BESIDE = {"ranks": 2, "separate": 1}
#: Messages between these sizes, in bytes, leave a shaped link partly at once, partly held back.
SMALL, LARGE = 256, 1_000_000


def run(
    job: str, *args: object, ranks: int = 1, names: Sequence[str] = (), threads: int = 1
) -> Any:
    """What ``benchmarks.ranks`` prints on rank 0."""
    program = [sys.executable, "-m", "benchmarks.ranks", job, *map(str, args)]
    start = command(program, ranks, names) if ranks > 1 else program
    own = {"OPENBLAS_NUM_THREADS": str(threads), "MINIGRAD_MPI_PATIENCE": "0"}
    env = {**os.environ, **own, **(APART if names else {})}
    done = subprocess.run(start, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def messages() -> dict[str, Any]:
    """Messages and sums over shared memory."""
    return {"messages": run("messages", ranks=2), "exchanges": {"2": run("exchanges", ranks=2)}}


def steps() -> dict[str, Any]:
    """Steps of DeepConvNet on one and two ranks of one thread, and on one of two threads."""
    return {
        "1": run("steps", "DeepConvNet", BATCH),
        "2 threads": run("steps", "DeepConvNet", BATCH, threads=2),
        "2 weak": run("steps", "DeepConvNet", BATCH, ranks=2),
        "2 strong": run("steps", "DeepConvNet", BATCH // 2, ranks=2),
    }


def beside() -> dict[str, Any]:
    """Two ranks, and two processes without any exchange, each in turns with one process."""
    return {way: run(way, "DeepConvNet", BATCH, ranks=n) for way, n in BESIDE.items()}


def crowd() -> dict[str, Any]:
    """Steps of DeepConvNet on four ranks."""
    return {
        "1": run("steps", "DeepConvNet", BATCH),
        "4 weak": run("steps", "DeepConvNet", BATCH, ranks=4),
        "4 strong": run("steps", "DeepConvNet", BATCH // 4, ranks=4),
    }


def network() -> dict[str, Any]:
    """Messages, sums and steps of ranks that are joined by shaped links."""
    found: dict[str, Any] = {}
    for gigabits in (1, 10):
        with machines(4, gigabits) as names:
            found[f"{gigabits} Gbit/s"] = {
                "delayed": shape(names[0], gigabits),
                "messages": run("messages", ranks=2, names=names),
                "exchanges": {str(n): run("exchanges", ranks=n, names=names) for n in (2, 4)},
                "steps": run("steps", "DeepConvNet", BATCH // 2, ranks=2, names=names),
            }
    return found


def profile() -> dict[str, Any]:
    """The parts of a step of one rank that has all cores, for one image and for several."""
    cores = os.cpu_count() or 1
    batches = {"DeepConvNet": (1, BATCH), "ResNet-50": (1, 4)}
    return {
        name: [run("profile", name, n, threads=cores) for n in each]
        for name, each in batches.items()
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "messages": messages, "steps": steps, "beside": beside, "crowd": crowd, "network": network,
    "profile": profile,
}  # fmt: skip


def shorter(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Of two measurements of the same steps, the shorter rounds."""
    pick = {w: min((one["seconds"][w], i) for i, one in enumerate((first, second)))[1]
            for w in first["seconds"]}  # fmt: skip
    kinds = [kind for kind, each in first.items() if isinstance(each, dict)]
    both = {kind: {w: (first, second)[i][kind][w] for w, i in pick.items()} for kind in kinds}
    return {**first, **both}


def keep(part: str, found: dict[str, Any], again: bool = False) -> None:
    """Write what a part has measured beside what the others have.

    ``again``: more rounds of the same steps, of which the shorter ones stay.
    """
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if again and part in ("steps", "beside", "crowd"):
        found = {name: shorter(figures[part][name], one) for name, one in found.items()}
    figures[part] = {"day": str(dt.datetime.now(dt.UTC).date()), **found}
    lines = [f"{json.dumps(name)}: {json.dumps(_short(one))}" for name, one in figures.items()]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _short(value: Any) -> Any:
    """Numbers with four digits, which is more than is repeatable."""
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


# -- the model, and what it foretells ------------------------------------------------------------


def fitted(measured: dict[str, Any], shaped: bool = False) -> Link:
    """The link that explains messages and sums of two ranks.

    ``shaped``: leave out messages that ``tc`` lets through before it holds others back.
    """
    used = [(n, t) for n, t in measured["messages"] if not (shaped and SMALL < n < LARGE)]
    link = cost.fit_messages(*zip(*used, strict=True))
    large = [(n, t) for n, t in measured["exchanges"]["2"] if n >= (LARGE if shaped else 65_536)]
    sizes, seconds = zip(*large, strict=True)
    return cost.fit_sums(link, sizes, seconds)


def growth(figures: dict[str, Any], name: str) -> Growth:
    """The steps of a model that were measured, and those of other batches."""
    found: list[Any] = []
    for one in figures["profile"][name]:
        parts = (one[part] for part in ("forward", "backward", "update", "gradients"))
        found += [one["batch"], Step(*parts)]
    return Growth(*found)


def networks(figures: dict[str, Any]) -> dict[str, Any]:
    """What was measured behind shaped links, by their rate."""
    return {text: one for text, one in figures.get("network", {}).items() if text != "day"}


def curves(figures: dict[str, Any], name: str) -> dict[str, dict[str, list[float]]]:
    """Efficiencies by network, for each of RANKS: weak and strong scaling, hidden and not."""
    each, together = BATCHES[name]
    model = growth(figures, name)
    step = model.step(each)
    per_sum = fitted(figures["messages"]).per_sum
    found = {}
    for text, (gigabits, latency) in NETWORKS.items():
        link = cost.network(gigabits, latency, per_sum)
        found[text] = {
            "weak": [cost.weak(step, link, n) for n in RANKS],
            "weak, not hidden": [cost.weak(step, link, n, math.inf) for n in RANKS],
            "strong": [cost.strong(model, together, link, n) for n in RANKS],
            "strong, not hidden": [cost.strong(model, together, link, n, math.inf) for n in RANKS],
        }
    return found


# -- the page ------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of text, the first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def three(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def constants_table(figures: dict[str, Any]) -> list[str]:
    """The fitted constants."""
    links = {"shared memory": fitted(figures["messages"])}
    links |= {f"{text}, shaped": fitted(one, True) for text, one in networks(figures).items()}
    rows = [
        [text, three(x.latency * 1e6), three(8e-9 / x.per_byte), three(x.per_sum * 1e9)]
        for text, x in links.items()
    ]
    return table(["link", "latency, µs", "rate, Gbit/s", "adding up, ns per byte"], rows)


def exchanges_table(figures: dict[str, Any]) -> list[str]:
    """Sums over ranks behind shaped links, measured and foretold."""
    rows = []
    for text, one in networks(figures).items():
        for ranks, found in one["exchanges"].items():
            for n, seconds in found:
                if n < LARGE:
                    continue
                link = cost.network(float(text.split()[0]), one["messages"][0][1])
                both = (cost.quickest, cost.recursive_doubling)
                foretold = [three(f(link, int(ranks), n) * 1e3) for f in both]
                rows.append([text, ranks, f"{n:,}", three(seconds * 1e3), *foretold])
    head = ["link", "ranks", "bytes", "measured, ms", "quickest way, ms", "recursive doubling, ms"]
    return table(head, rows)


def steps_table(figures: dict[str, Any]) -> list[str]:
    """Steps on one, two and four ranks over shared memory."""
    rows = []
    alone = {"steps": figures["steps"]["1"], "crowd": figures["crowd"]["1"]}
    for part in ("steps", "crowd"):
        one = alone[part]["seconds"]["plain"]
        for what, found in figures[part].items():
            if " weak" not in what and " strong" not in what:
                continue
            ranks, seconds = found["ranks"], found["seconds"]
            gain = (ranks if "weak" in what else 1.0) * one
            rows.append([
                what, *(three(seconds[way] * 1e3) for way in seconds),
                f"{gain / seconds['default']:.2f}", f"{gain / seconds['default'] / ranks:.0%}",
                f"{found['exchange']['default'] / seconds['default']:.0%}",
            ])  # fmt: skip
    head = [
        "ranks", "no exchange, ms", "buckets of 4 MB", "of 0.1 MB", "one bucket",
        "gain", "efficiency", "in the exchange",
    ]  # fmt: skip
    return table(head, rows)


def beside_table(figures: dict[str, Any]) -> list[str]:
    """What two ranks gain, of what two processes gain that know nothing of each other."""
    found = {way: figures["beside"][way]["seconds"] for way in BESIDE}
    one = min(each["one"] for each in found.values())
    rows = []
    for what, images, factor in (("strong", BATCH // 2, 1), ("weak", BATCH, 2)):
        gains = {way: factor * one / each[what] for way, each in found.items()}
        rows.append([
            f"{what}: {images} images each", *(three(found[way][what] * 1e3) for way in BESIDE),
            *(f"{gains[way]:.2f}" for way in BESIDE),
            f"{gains['ranks'] / gains['separate']:.0%}",
        ])  # fmt: skip
    head = [
        "scaling", "two ranks, ms", "two separate processes, ms", "gain of ranks",
        "gain of separate processes", "of what two separate processes reach",
    ]  # fmt: skip
    return table(head, rows)


def overlap_table(figures: dict[str, Any]) -> list[str]:
    """What the exchange adds to a step behind a shaped link, measured and foretold."""
    rows = []
    for text, one in networks(figures).items():
        found, link = one["steps"], fitted(one, True)
        step = growth(figures, "DeepConvNet").of_large
        scale = found["seconds"]["none"] / step.seconds  # it had more threads, and samples
        step = step._replace(forward=scale * step.forward, backward=scale * step.backward)
        for way, size in {"of 0.1 MB": 1e5, "one": math.inf}.items():
            key = "hidden" if size == 1e5 else "after"
            added = found["seconds"][key] - found["seconds"]["none"]
            foretold = cost.exposed(step, link, 2, size)
            rows.append([
                text, way, three(found["seconds"]["none"] * 1e3), f"{added * 1e3:.1f}",
                f"{found['exchange'][key] * 1e3:.1f}", f"{foretold * 1e3:.1f}",
            ])  # fmt: skip
    head = [
        "link", "buckets", "step, ms", "exchange adds, ms", "in the exchange, ms",
        "foretold, ms",
    ]  # fmt: skip
    return table(head, rows)


def forecast_table(figures: dict[str, Any]) -> list[str]:
    """Efficiencies for some numbers of ranks, and how many still pay."""
    shown = (8, 64, 512, 4096)
    rows = []
    for name in BATCHES:
        for text, found in curves(figures, name).items():
            for kind in ("weak", "strong"):
                values = dict(zip(RANKS, found[kind], strict=True))
                last = cost.last_that_pays(values.items())
                until = f"{last:,}" if last < RANKS[-1] else f"more than {last:,}"
                rows.append([
                    name, text, kind, *(f"{values[n]:.0%}" for n in shown),
                    until if last else f"fewer than {RANKS[0]}",
                ])  # fmt: skip
    return table(["model", "network", "scaling", *(f"{n:,}" for n in shown), "pays up to"], rows)


def overhead(figures: dict[str, Any]) -> str:
    """What was measured on one rank."""
    one, two = figures["steps"]["1"]["seconds"], figures["steps"]["2 threads"]["seconds"]
    return (
        f"A step of DeepConvNet with {BATCH} images takes {three(one['plain'] * 1e3)} ms on one "
        f"rank of one thread, and with `DataParallel` around it "
        f"{one['wrapped'] / one['plain']:.3f} times as long; one process with two threads takes "
        f"{three(two['plain'] * 1e3)} ms."
    )


def separate_text(figures: dict[str, Any]) -> str:
    """How the ceiling was measured."""
    one = min(figures["beside"][way]["seconds"]["one"] for way in BESIDE)
    return (
        f"Two processes that exchange nothing, each held to a core of its own, show what the "
        f"machine itself allows. One process takes {three(one * 1e3)} ms for {BATCH} images."
    )


def parameters_text(figures: dict[str, Any]) -> str:
    """What the forecast starts from."""
    texts = []
    for name, (each, together) in BATCHES.items():
        step = growth(figures, name).step(each)
        texts.append(
            f"{name}: {step.size / 1e6:.3g} MB of gradients, {three(step.seconds)} s for "
            f"the {each} images of a rank (weak scaling); {together:,} images together (strong)."
        )
    return " ".join(texts)


def plot(figures: dict[str, Any]) -> None:
    """Efficiency over ranks: a picture for each model and kind of scaling."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    picture, axes = plt.subplots(2, 2, figsize=(9, 6.5), sharex=True, sharey=True)
    for row, kind in zip(axes, ("weak", "strong"), strict=True):
        for ax, name in zip(row, BATCHES, strict=True):
            for i, (text, found) in enumerate(curves(figures, name).items()):
                ax.plot(RANKS, found[kind], f"C{i}o-", ms=4, label=text)
                ax.plot(RANKS, found[f"{kind}, not hidden"], f"C{i}--", lw=1)
            ax.axhline(0.5, color="0.6", lw=1)
            each, together = BATCHES[name]
            batch = f"{each} images a rank" if kind == "weak" else f"{together:,} images in all"
            ax.set_title(f"{name}, {batch}", fontsize=11)
            ax.set_xscale("log", base=2)
            ax.set_xticks(RANKS[::3], [f"{n:,}" for n in RANKS[::3]])
            ax.set_ylim(0, 1.05)
            ax.grid(alpha=0.3)
            if kind == "strong":
                ax.set_xlabel("ranks")
            if name == "DeepConvNet":
                ax.set_ylabel("efficiency")
    axes[0, 0].legend(loc="lower left", fontsize=9)
    kinds = {"exchange hidden behind the backward pass": "ko-", "not hidden": "k--"}
    handles = [axes[0, 1].plot([], [], style, ms=4, lw=1)[0] for style in kinds.values()]
    axes[0, 1].legend(handles, kinds, loc="lower left", fontsize=9)
    picture.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    picture.savefig(PLOT, dpi=110, metadata={"Software": None})
    plt.close(picture)


def document(figures: dict[str, Any]) -> str:
    """The part of the page that follows from the figures."""
    delayed = all(one["delayed"] for one in networks(figures).values())
    about = (
        f"Measured on {figures['steps']['day']}, on two cores: the shortest of several rounds, "
        f"because whatever else runs on the machine only makes them longer."
    )
    lines = [
        about, "",
        "### Constants", "", *constants_table(figures),
        "### Sums over ranks behind shaped links", "",
        f"The kernel delays packets by {DELAY} ms." if delayed else
        "The kernel holds links back to their rate, but cannot delay packets (it has no netem), so "
        "the latency is that of its own network stack.", "",
        *exchanges_table(figures),
        "### Steps over shared memory", "", overhead(figures), "", *steps_table(figures),
        "### Beside two separate processes", "", separate_text(figures), "",
        *beside_table(figures),
        "### Steps behind shaped links", "", *overlap_table(figures),
        "### What to expect of many ranks", "", parameters_text(figures), "",
        *forecast_table(figures),
    ]  # fmt: skip
    return "\n".join(lines)


def report() -> None:
    """Write the page's tables and its plot, and print the tables."""
    figures = json.loads(FIGURES.read_text())
    text = document(figures)
    print(text)
    head, rest = PAGE.read_text().split(START, 1)
    PAGE.write_text(f"{head}{START}\n\n{text}\n{END}{rest.split(END, 1)[1]}")
    plot(figures)


def main(parts: list[str]) -> None:
    again = "again" in parts
    parts = [part for part in parts if part != "again"]
    unknown = sorted(set(parts) - {*PARTS, "report"})
    if unknown:
        sys.exit(f"no part named {', '.join(unknown)}; there are: {', '.join([*PARTS, 'report'])}")
    for part, measure in PARTS.items():
        if not parts or part in parts:
            try:
                keep(part, measure(), again)
            except NoNamespacesError as error:
                print(f"{part}: not measured: {error}", file=sys.stderr)
    if not parts or "report" in parts:
        report()


if __name__ == "__main__":
    main(sys.argv[1:])
