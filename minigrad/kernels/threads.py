"""Splitting one operator's work over threads.

NumPy lets other threads run while it computes, so two threads that share the work on a batch take
little more than half of the time, when BLAS itself keeps to one thread meanwhile.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np

from minigrad.kernels.blas import one_thread, threads
from minigrad.kernels.lent import keep_freed
from minigrad.kernels.scratch import with_scratch

T = TypeVar("T")

#: Below this many seconds of work, waking a thread for a part of it (0.06 ms) does not pay.
WORTH_SPLITTING = 4e-4
#: Who waits so many seconds for a helper waits for other programs, and then does without helpers
#: for so long.
LATE, ALONE = 1e-3, 0.03
#: Up to this many multiplications OpenBLAS uses one thread of itself.
UNSHARED = 1 << 18
#: A product is small up to this many multiplications (0.4 ms), and up to so many (some 2 ms) where
#: threads of ours would be disturbed.
SMALL_PRODUCT, SMALL_BESIDE_OURS = 2e7, 1e8
_nothing = nullcontext()

#: Waits for a short while until a number differs from the one given; only the compiled kernels
#: have a function that can do so while Python runs elsewhere (``compiled/waiting.py``).
look_out: Callable[[Any, int], None] | None = None


class _Job(Generic[T]):
    """The work on some groups of pieces, which threads take one by one until none is left.

    The thread that called begins at once, and a helper when it is awake: a late one costs nothing.
    """

    def __init__(self, work: Callable[[Sequence[T]], None], groups: list[Sequence[T]]) -> None:
        self.work, self.left = work, deque(groups)
        self.places: deque[None] = deque()
        self.ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self.bell = np.zeros(1, np.int64)

    def run(self, helpers: int) -> None:
        """Do everything, with so many helpers."""
        start = time.perf_counter()
        if start < _helpers.resting_until:
            with_scratch(_Job._take, self)
            return
        error, end = None, start
        self.places.extend([None] * helpers)
        try:
            _helpers.call(self, helpers)
            with_scratch(_Job._take, self)
        finally:
            end = time.perf_counter()
            error = self._finish(helpers)
            del self.work  # with its arrays: helpers that are busy elsewhere still hold the job
        now = time.perf_counter()
        if now - end > max(LATE, end - start):
            _helpers.resting_until = now + ALONE
        if error is not None:
            raise error

    def help(self) -> None:
        """What a helper does."""
        try:
            self.places.pop()
        except IndexError:  # it is over
            return
        error = None
        try:
            with_scratch(_Job._take, self)
        except BaseException as found:  # noqa: BLE001 (it is raised where it was called)
            error = found
        self.ends.put(error)
        self.bell[0] += 1

    def _take(self) -> None:
        """Do what is left, group by group."""
        try:
            while self.left:
                try:
                    group = self.left.popleft()
                except IndexError:  # another thread was faster
                    return
                self.work(group)
        except BaseException:
            self.left.clear()
            raise

    def _finish(self, helpers: int) -> BaseException | None:
        """Let no more helpers begin, wait for those at work, and return what one has raised."""
        with suppress(IndexError):
            while True:
                self.places.pop()
                helpers -= 1
        found = None
        for _ in range(helpers):
            _linger(self.bell, self.ends)
            found = self.ends.get() or found
        return found


def _linger(bell: Any, queue: SimpleQueue[Any]) -> None:
    """Stay awake for a while, unless something is in the queue; the bell rings when it comes."""
    if look_out is not None:
        heard = int(bell[0])
        if queue.empty():
            look_out(bell, heard)


class _Helpers:
    """Threads that help whoever calls; they start when they are first needed."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Context, _Job[Any]] | None] = SimpleQueue()
        self.bell = np.zeros(1, np.int64)
        self.threads: list[threading.Thread] = []
        self.lock = threading.RLock()  # of which a signal handler may make use, too
        self.avoided, self.resting_until = -1, 0.0

    def call(self, job: _Job[Any], count: int) -> None:
        """Ask so many of them for help."""
        processor = _processor()
        if len(self.threads) < count or processor != self.avoided:
            with self.lock:
                self._start(count)
                self._avoid(processor)
        for _ in range(min(count, len(self.threads))):
            # In this context, so that np.errstate holds there as well.
            self.calls.put((copy_context(), job))
        self.bell[0] += 1

    def stop(self) -> None:
        """Let all of them end, after what they do now."""
        with self.lock:
            calls, self.calls = self.calls, SimpleQueue()
            threads, self.threads = self.threads, []
        calls.put(None)
        for thread in threads:
            thread.join()

    def _start(self, count: int) -> None:
        with suppress(RuntimeError):  # there may be no new threads: then work is done without
            while len(self.threads) < count:
                name = f"minigrad_{len(self.threads)}"
                thread = threading.Thread(
                    target=self._stand_by, name=name, args=(self.calls,), daemon=True
                )
                try:
                    thread.start()
                finally:  # after Ctrl-C as well, or nobody would wait for its end
                    if thread.is_alive():
                        self.threads.append(thread)

    def _avoid(self, processor: int) -> None:
        """Keep all of them off the processor of the thread that calls.

        On two processors, Linux wakes a thread where it ran last and seldom looks for one that is
        idle. Once two threads have met on one, they may take turns there for good: two halves of
        0.5 ms then take 1.05 ms instead of 0.6.
        """
        self.avoided = processor
        elsewhere = os.sched_getaffinity(os.getpid()) - {processor} if processor >= 0 else None
        if elsewhere:
            for thread in self.threads:
                with suppress(OSError):  # where processors are taken away meanwhile
                    if thread.native_id:
                        os.sched_setaffinity(thread.native_id, elsewhere)

    def _stand_by(self, calls: SimpleQueue[tuple[Context, _Job[Any]] | None]) -> None:
        while call := calls.get():
            context, job = call
            context.run(job.help)
            del call, context, job  # and what it worked on
            _linger(self.bell, calls)
        calls.put(None)  # for the next of them, also one that Ctrl-C has kept out of the list


_helpers = _Helpers()


@atexit.register
def _stop() -> None:
    """None of them may look out any more when the interpreter goes."""
    _helpers.stop()


def _after_fork() -> None:
    """In a forked process there are no helpers yet."""
    global _helpers  # noqa: PLW0603 (as many for everybody)
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(
    work: Callable[[Sequence[T]], None],
    pieces: Sequence[T],
    seconds: float,
    part: float = 1.0,
    shares: int = 1,
) -> None:
    """Call ``work`` on all pieces, on as many threads as BLAS may use, if it pays.

    ``seconds``: roughly how long one thread takes; it pays from ``part`` of WORTH_SPLITTING on.
    Each call gets neighbouring pieces, and there are ``shares`` calls for each thread, made by
    whichever is free. Which pieces these are depends on the number of threads alone, so sums are
    the same in each run.
    """
    keep_freed()
    count = min(threads() or 1, len(pieces))
    if count < 2 or seconds < WORTH_SPLITTING * part:
        with_scratch(work, pieces)
        return
    groups = min(count * shares, len(pieces))
    ends = [len(pieces) * i // groups for i in range(groups + 1)]
    job = _Job(work, [pieces[a:b] for a, b in itertools.pairwise(ends)])
    with one_thread():
        job.run(count - 1)


def run_each(
    work: Callable[[T], object],
    pieces: Sequence[T],
    seconds: float,
    part: float = 1.0,
    shares: int = 1,
) -> None:
    """``run``, with a function of one piece."""

    def some(pieces: Sequence[T]) -> None:
        for piece in pieces:
            work(piece)

    run(some, pieces, seconds, part, shares)


def slices(total: int, most: int) -> list[slice]:
    """The numbers below ``total`` as slices of up to ``most``, or of one."""
    most = max(1, most)
    return [slice(start, start + most) for start in range(0, total, most)]


def _find_processor() -> Callable[[], int]:
    """The C library's function for the number of the processor that runs this thread, or -1."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: -1
    found: Callable[[], int] = getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)
    return found


_processor = _find_processor()


def small_product(multiplications: float) -> AbstractContextManager[None]:
    """Inside, a small product keeps to one thread of BLAS.

    OpenBLAS's own threads stay awake for some 25 ms after a product that they shared, and take the
    cores meanwhile. From threads of ours: with the dense layers on two threads, a training step of
    DeepConvNet takes 83 ms instead of 55. And from other programs: beside a single busy one, that
    of a dense model on two cores takes 24 to 48 ms instead of 0.4, because the two threads wait for
    each other at every product. On a quiet machine, sharing saves it 0.03 ms.
    """
    if multiplications <= UNSHARED:
        return _nothing
    if multiplications > (SMALL_BESIDE_OURS if _helpers.threads else SMALL_PRODUCT):
        return _nothing
    return one_thread()
