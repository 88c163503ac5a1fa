"""Batches made by other processes, for ``DataLoader(num_workers=n)``.

The workers make the batches in turn, and each knows the order of the epoch, so it is asked for a
batch by its number alone: what comes does not depend on how many workers there are, nor on which of
them is faster. On Linux the arrays come back in shared memory without a name, which is gone with
the last process that uses it, however that ends. Elsewhere they are pickled.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import multiprocessing
import os
import pickle
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels.blas import one_thread

#: Whether there is shared memory without a name.
SHARES = hasattr(os, "memfd_create")
#: Forked workers share the data set with their parent; elsewhere it is pickled for each of them.
METHOD = "fork" if sys.platform == "linux" else "spawn"
#: How long a worker may take to end by itself, in seconds.
PATIENCE = 1.0
#: Arrays begin at multiples of this many bytes.
ALIGNMENT = 64


def made_by_workers(
    make: Callable[[int], Any], numbers: range, seed: int, count: int, ahead: int
) -> Iterator[Any]:
    """``make(number)`` for each number, in order, computed by ``count`` processes.

    It gives nested ndarrays; each process is up to ``ahead`` results ahead. An error in
    a process is raised in place of its result. Raises RuntimeError for a process that ends before
    it should. The processes end with the iteration, also if that ends early.

    ``make`` should draw its random numbers itself; NumPy's and Python's global generators are
    seeded with ``seed`` and the number, so that no two batches draw the same from them.
    """
    workers: list[_Worker] = []
    try:
        for i in range(min(count, len(numbers))):
            workers.append(_Worker(make, seed, i, ahead, workers))
        in_turn = [workers[i % len(workers)] for i in range(len(numbers))]
        asked = len(workers) * ahead
        for worker, number in zip(in_turn, numbers[:asked], strict=False):
            worker.ask(number)
        for i, number in enumerate(numbers):
            made = in_turn[i].answer(number)
            if i + asked < len(numbers):  # now that its place in the memory has been copied
                in_turn[i].ask(numbers[i + asked])
            yield made
    finally:
        for worker in workers:
            worker.connection.close()
        until = time.monotonic() + PATIENCE
        for worker in workers:
            worker.end(until)


class _Worker:
    """A process, as its parent sees it."""

    def __init__(
        self,
        make: Callable[[int], Any],
        seed: int,
        index: int,
        ahead: int,
        others: list[_Worker],
    ) -> None:
        context: Any = multiprocessing.get_context(METHOD)
        self.connection, theirs = context.Pipe()
        # A fork holds the parent's ends, too; left open, they would hide that the parent is gone.
        open_ends = [worker.connection for worker in (*others, self)] if METHOD == "fork" else []
        self.index = index
        self.places = [_Place() for _ in range(ahead)]
        self.turns = itertools.cycle(self.places)
        self.process = context.Process(
            target=_work,
            args=(make, seed, theirs, ahead, index, open_ends),
            name=f"minigrad-worker-{index}",
            daemon=True,
        )
        with theirs, warnings.catch_warnings():
            # Python warns of locks that other threads hold at a fork. Ours are made anew.
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
            try:
                self.process.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                self.connection.close()
                raise TypeError(
                    f"DataLoader: on this system num_workers needs a data set, transform and "
                    f"collate_fn that can be pickled, with functions and classes defined at the "
                    f"top of a module: {error}"
                ) from error

    def ask(self, number: int) -> None:
        """Have the worker make this batch."""
        with contextlib.suppress(OSError):  # a worker that is gone is noticed in `answer`
            self.connection.send(number)

    def answer(self, number: int) -> Any:
        """The batch, copied out of the shared memory."""
        place = next(self.turns)
        try:
            answered = self.connection in wait([self.connection, self.process.sentinel])
            answer: _Answer | None = self.connection.recv() if answered else None
            if answer is not None and answer.size:
                place.map(reduction.recv_handle(self.connection), answer.size)
        except (EOFError, OSError):
            answer = None
        if answer is None:
            raise RuntimeError(self._death(number))
        if answer.error is not None:
            raise answer.error
        return pickle.loads(answer.batch, buffers=place.read(answer.parts))  # noqa: S301 (of our own worker)

    def _death(self, number: int) -> str:
        self.process.join(PATIENCE)
        code = self.process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return (
            f"DataLoader: worker process {self.index} {how} while it made batch {number}; if "
            f"memory ran out, take fewer workers or smaller batches"
        )

    def end(self, until: float) -> None:
        """Wait for the end of the process until this time, then make it end."""
        self.process.join(max(0.0, until - time.monotonic()))
        for stop in (self.process.terminate, self.process.kill):
            if self.process.exitcode is None:
                stop()
                self.process.join(PATIENCE)
        self.process.close()
        for place in self.places:  # which a traceback may hold
            place.memory = None


class _Answer(NamedTuple):
    """What a worker sends: a pickled batch, whose arrays are in shared memory, or an error.

    ``parts``: where they begin and end there. ``size``: of a new piece of it, whose descriptor
    follows; 0 if the old one is used.
    """

    batch: bytes
    parts: list[slice]
    size: int
    error: BaseException | None


class _Place:
    """A piece of shared memory, for one batch at a time; both processes map it."""

    memory: mmap.mmap | None = None

    def map(self, descriptor: int, size: int) -> None:
        """Map the memory with this descriptor, which is closed."""
        self.memory = mmap.mmap(descriptor, size)
        os.close(descriptor)

    def read(self, parts: list[slice]) -> list[bytearray]:
        """Copies of parts of the memory."""
        memory = memoryview(self.memory or b"")
        return [bytearray(memory[part]) for part in parts]

    def write(self, given: list[memoryview]) -> tuple[list[slice], int, int]:
        """Copy bytes to the memory: where they are, and a new piece's descriptor and size, or 0."""
        end, descriptor, size = 0, 0, 0
        parts: list[slice] = []
        for one in given:
            parts.append(slice(end, end + one.nbytes))
            end += -(-one.nbytes // ALIGNMENT) * ALIGNMENT
        if end > (0 if self.memory is None else len(self.memory)):
            size = max(mmap.PAGESIZE, 1 << (end - 1).bit_length())  # room for ragged batches
            descriptor = os.memfd_create("minigrad-batch")
            os.ftruncate(descriptor, size)
            self.map(os.dup(descriptor), size)
        if self.memory is not None:
            for part, one in zip(parts, given, strict=True):
                self.memory[part] = one
        return parts, descriptor, size


# -- in the worker ---------------------------------------------------------------------------------


def _work(
    make: Callable[[int], Any],
    seed: int,
    connection: Connection[Any, Any],
    ahead: int,
    index: int,
    open_ends: list[Connection[Any, Any]],
) -> None:
    """Make the batches that are asked for, until the parent closes the connection."""
    for end in open_ends:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(EOFError, OSError), one_thread():
        for place in itertools.cycle([_Place() for _ in range(ahead)]):
            number: int = connection.recv()
            descriptor = 0
            try:
                _seed_globals(seed, number)
                apart: list[pickle.PickleBuffer] = []  # the memory of the arrays, not copied
                keep = apart.append if SHARES else None
                batch = pickle.dumps(make(number), 5, buffer_callback=keep)
                parts, descriptor, size = place.write([one.raw() for one in apart])
                answer = _Answer(batch, parts, size, None)
            except Exception as error:  # noqa: BLE001 (the parent raises it again)
                answer = _Answer(b"", [], 0, _portable(error, index))
            connection.send(answer)
            if descriptor:
                reduction.send_handle(connection, descriptor, os.getppid())
                os.close(descriptor)


def _seed_globals(seed: int, number: int) -> None:
    """Seed what data sets may draw from besides the generator of the library."""
    words = np.random.SeedSequence([seed, number]).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 (the user's data set may use it)


def _portable(error: Exception, index: int) -> Exception:
    """The error, or if it cannot be pickled, one that tells of it; with a note of where it was."""
    note = f"In worker process {index} of the DataLoader:\n{traceback.format_exc()}"
    notes = [*getattr(error, "__notes__", ()), note.rstrip()]
    try:
        told: Exception | None = pickle.loads(pickle.dumps(error))  # noqa: S301 (made here)
    except Exception:  # noqa: BLE001 (whatever its class raises)
        told = None
    if not isinstance(told, type(error)):
        told = RuntimeError(f"{type(error).__name__}: {error}")
    told.__notes__ = notes
    return told
