"""What ``benchmarks.scaling`` measures on ranks: run by it as ``mpiexec -n N python -m ...``.

    python -m benchmarks.ranks messages | exchanges | JOB MODEL BATCH

JOB: steps, profile, ranks or separate. Rank 0 prints what was measured as one line of JSON.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import statistics
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import distributed, nn, optim
from minigrad.engine.backward import REDUCERS
from minigrad.lazy import extra

#: Bytes of messages and exchanges: from a number to the gradients of a small network.
SIZES = (8, 256, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)
ROUNDS = 11
#: How long a round of steps lasts at least, in seconds.
ROUND = 0.25
#: Steps of a round in which ranks and separate processes are compared.
CALLS = 4
#: How gradients travel: in buckets of so many bytes; None: they stay where they are.
WAYS: dict[str, float | None] = {"none": None, "default": 4e6, "hidden": 1e5, "after": math.inf}


def times_of(call: Callable[[], None], comm: Any, calls: int) -> float:
    """The shortest time of a call that all ranks make together."""
    found = []
    for _ in range(calls):
        comm.Barrier()
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def calls_for(size: int) -> int:
    """Many calls of short messages, few of long ones."""
    return 200 if size < 1e5 else 12


def messages() -> list[tuple[int, float]]:
    """Bytes and seconds of messages between the first two ranks: half of the way to and fro."""
    comm = _comm()
    found = []
    for size in SIZES:
        data = np.zeros(size, np.uint8)

        def swap(data: Any = data) -> None:
            if comm.rank == 0:
                comm.Send(data, 1)
                comm.Recv(data, 1)
            elif comm.rank == 1:
                comm.Recv(data, 0)
                comm.Send(data, 0)

        found.append((size, times_of(swap, comm, calls_for(size)) / 2))
    return found


def exchanges() -> list[tuple[int, float]]:
    """Bytes and seconds of sums over all ranks, started as ``DataParallel`` starts them."""
    comm = _comm()
    mpi: Any = sys.modules["mpi4py.MPI"]
    crowded = comm.size > (os.cpu_count() or 1)
    found = []

    def pause() -> None:
        """Let the other ranks, and the network, have this core."""
        if crowded:
            time.sleep(1e-5)
        else:
            os.sched_yield()

    for size in SIZES:
        data = np.zeros(size // 4, np.float32)

        def add(data: Any = data) -> None:
            request = comm.Iallreduce(mpi.IN_PLACE, data, mpi.SUM)
            while not request.Test():
                pause()

        found.append((size, times_of(add, comm, calls_for(size))))
    return found


def _comm() -> Any:
    return extra("mpi4py.MPI", "mpi", "benchmarks.ranks").COMM_WORLD


class Training:
    """A model with its optimizer, and what a step of it costs."""

    def __init__(self, name: str, batch: int, way: float | str | None) -> None:
        mg.manual_seed(0)
        self.model, shape, self.classes = network(name)
        rng = np.random.default_rng(distributed.rank())
        self.x = mg.tensor(rng.random((batch, *shape), np.float32))
        self.y = mg.tensor(rng.integers(0, self.classes, batch))
        self.optimizer = optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.parallel: Any = self.model
        self.sends = isinstance(way, float)
        self.exchange = 0.0
        if way != "plain":
            size = min(way, 1e18) if isinstance(way, float) else 4e6
            self.parallel = distributed.DataParallel(self.model, bucket_size=int(size))
            self._time_exchange(self.parallel._exchange)

    def _time_exchange(self, exchange: Any) -> None:
        """Add up the time that the training thread spends in the exchange, waits included."""
        for name in ("begin", "ready", "finish") if exchange is not None else ():
            method = getattr(exchange, name)

            def timed(*args: Any, method: Any = method, **kwargs: Any) -> Any:
                start = time.perf_counter()
                try:
                    return method(*args, **kwargs)
                finally:
                    self.exchange += time.perf_counter() - start

            setattr(exchange, name, timed)

    def step(self) -> None:
        self.optimizer.zero_grad()
        if self.sends or not isinstance(self.parallel, distributed.DataParallel):
            F.cross_entropy(self.parallel(self.x), self.y).backward()
        else:
            with self.parallel.no_sync():
                F.cross_entropy(self.parallel(self.x), self.y).backward()
        self.optimizer.step()


def network(name: str) -> tuple[nn.Module, tuple[int, ...], int]:
    """A model, the shape of a sample, and the number of classes."""
    if name == "ResNet-50":
        return mg.models.resnet50(), (3, 224, 224), 1000
    return mg.models.deep_convnet(), (1, 28, 28), 10


def steps(name: str, batch: int) -> dict[str, Any]:
    """Seconds of a step, on the slowest rank, and how many of them a rank is in the exchange."""
    size = distributed.world_size()
    ways: dict[str, Any] = {"plain": "plain", "wrapped": 4e6} if size == 1 else dict(WAYS)
    runs = {way: Training(name, batch, value) for way, value in ways.items()}
    for run in runs.values():
        run.step()
        run.step()
    start = time.perf_counter()
    for run in runs.values():
        run.step()
    once = (time.perf_counter() - start) / len(runs)
    calls = int(distributed.all_reduce(np.array(max(1.0, ROUND / once)), "min"))
    rounds: dict[str, list[tuple[float, float]]] = {way: [] for way in runs}
    for _ in range(ROUNDS):
        for way, run in runs.items():
            run.exchange = 0.0
            distributed.barrier()
            start = time.perf_counter()
            for _ in range(calls):
                run.step()
            seconds = np.array((time.perf_counter() - start) / calls)
            slowest = float(distributed.all_reduce(seconds, "max"))
            share = float(distributed.all_reduce(np.array(run.exchange / calls), "mean"))
            rounds[way].append((slowest, share))
    # Whatever else runs on the machine only makes a round longer.
    best = {way: min(each) for way, each in rounds.items()}
    return {
        "ranks": size,
        "seconds": {way: seconds for way, (seconds, _) in best.items()},
        "exchange": {way: share for way, (_, share) in best.items()},
        "medians": {way: statistics.median(s for s, _ in each) for way, each in rounds.items()},
    }


#: Ways to compute, for `ranks` and `separate`: the share of the batch, and whether all take part.
TOGETHER = {"one": (1, False), "strong": (2, True), "weak": (1, True)}


def rounds_beside(
    first: bool, wait: Callable[[], object], runs: dict[str, Training], calls: int
) -> list[list[float]]:
    """Seconds that a batch took this process, in rounds that take turns; see TOGETHER."""
    found = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        row = []
        for way, run in runs.items():
            wait()
            start = time.perf_counter()
            if first or TOGETHER[way][1]:
                for _ in range(calls):
                    run.step()
            row.append((time.perf_counter() - start) / calls)
        found.append(row)
    return found[1:]


def gains(rows: Any) -> dict[str, Any]:
    """What the slower of two processes took, in the shortest round and in the middle one."""
    slowest = np.max(rows, axis=0)
    kinds = {"seconds": slowest.min(axis=0), "medians": np.median(slowest, axis=0)}
    return {kind: dict(zip(TOGETHER, each.tolist(), strict=True)) for kind, each in kinds.items()}


def ranks(name: str, batch: int) -> dict[str, Any]:
    """Two ranks, and in turns with them the first one alone."""
    runs = {
        way: Training(name, batch // parts, 4e6 if together else "plain")
        for way, (parts, together) in TOGETHER.items()
    }
    first = distributed.rank() == 0
    mine = rounds_beside(first, distributed.barrier, runs, CALLS)
    size = distributed.world_size()
    table = np.zeros((size, *np.shape(mine)))
    table[distributed.rank()] = mine
    return gains(distributed.all_reduce(table))


def separate(name: str, batch: int) -> dict[str, Any]:
    """Two processes that know nothing of each other, each on a core of its own, and one alone."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    started = [
        context.Process(target=_separate, args=(core, name, batch, barrier, answers))
        for core in range(2)
    ]
    for process in started:
        process.start()
    rows = [answers.get(timeout=120) for _ in started]
    for process in started:
        process.join()
    return gains(rows)


def _separate(core: int, name: str, batch: int, barrier: Any, answers: Any) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[core]])
    runs = {way: Training(name, batch // n, "plain") for way, (n, _) in TOGETHER.items()}
    answers.put(rounds_beside(core == 0, barrier.wait, runs, CALLS))


class Clock:
    """A reducer that only notes when the gradient of each parameter is complete."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def begin(self, leaves: Any, *, accumulate: bool, recorded: bool) -> Any:
        self.found = []
        return leaves

    def ready(self, leaf: Any, g: Any) -> None:
        self.found.append((time.perf_counter(), float(g.nbytes)))

    def finish(self, sums: Any) -> None:
        pass


def profile(name: str, batch: int) -> dict[str, Any]:
    """The parts of a step of one process, and when its gradients are complete."""
    run = Training(name, batch, "plain")
    run.step()
    clock = Clock()
    REDUCERS.append(weakref.ref(clock))
    found: list[list[float]] = []
    ready = []
    for _ in range(ROUNDS if name == "DeepConvNet" else 5):
        run.optimizer.zero_grad()
        times = [time.perf_counter()]
        loss = F.cross_entropy(run.model(run.x), run.y)
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        run.optimizer.step()
        times.append(time.perf_counter())
        parts = np.diff(times).tolist()
        found.append(parts)
        ready.append([((t - times[1]) / parts[1], n) for t, n in clock.found])
    REDUCERS.pop()
    middle = sorted(range(len(found)), key=lambda i: sum(found[i]))[len(found) // 2]
    forward, backward, update = found[middle]
    return {
        "forward": forward, "backward": backward, "update": update, "gradients": ready[middle],
        "batch": batch,
    }  # fmt: skip


JOBS: dict[str, Callable[..., Any]] = {
    "messages": messages, "exchanges": exchanges, "steps": steps, "profile": profile,
    "ranks": ranks, "separate": separate,
}  # fmt: skip


def main(job: str, *args: str) -> None:
    name, batch = (args[0], int(args[1])) if args else ("", 0)
    found = JOBS[job](name, batch) if args else JOBS[job]()
    if distributed.rank() == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
