"""Splitting one operator's work over threads.

NumPy lets other threads run while it computes, so two threads that each do half of a batch take
little more than half of the time, when BLAS itself keeps to one thread meanwhile.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from minigrad.kernels.blas import one_thread, threads
from minigrad.kernels.freed import keep_freed
from minigrad.lazy import load_late

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

#: Below this many seconds of work, handing half of it over (0.1 ms) does not pay.
WORTH_SPLITTING = 4e-4
#: A thread that starts so many seconds after it was asked for waits for other programs; and for how
#: long it may then run anywhere.
LATE, FREE = 1e-3, 1.0
#: Up to this many multiplications OpenBLAS uses one thread of itself.
UNSHARED = 1 << 18
#: A product is small up to this many multiplications (0.4 ms), and up to so many (some 2 ms) where
#: threads of ours would be disturbed.
SMALL_PRODUCT, SMALL_BESIDE_OURS = 2e7, 1e8
_nothing = nullcontext()
_pool: ThreadPoolExecutor | None = None
_pool_process = 0


def _executor() -> ThreadPoolExecutor:
    global _pool, _pool_process  # made on first use, and again after a fork
    if _pool is None or _pool_process != os.getpid():
        futures = load_late("concurrent.futures")  # a fifth of the time to import minigrad
        made: ThreadPoolExecutor = futures.ThreadPoolExecutor(thread_name_prefix="minigrad")
        _pool, _pool_process = made, os.getpid()
        return made
    return _pool


def run(work: Callable[[Sequence[T]], None], pieces: Sequence[T], seconds: float) -> None:
    """Call ``work`` on all pieces, on as many threads as BLAS may use, if it pays.

    ``seconds``: roughly how long one thread takes. Each thread gets neighbouring pieces.
    """
    keep_freed()
    count = min(threads() or 1, len(pieces))
    if count < 2 or seconds < WORTH_SPLITTING:
        work(pieces)
        return
    ends = [len(pieces) * i // count for i in range(count + 1)]
    first, *others = (pieces[a:b] for a, b in itertools.pairwise(ends))
    here, asked = _processor(), time.perf_counter()

    def elsewhere(part: Sequence[T]) -> None:
        _settle(here, asked)
        work(part)

    with one_thread():
        # In this context, so that np.errstate holds there as well.
        futures: list[Future[None]] = [
            _executor().submit(copy_context().run, elsewhere, part) for part in others
        ]
        try:
            work(first)
        finally:
            for future in futures:
                future.result()


def _find_processor() -> Callable[[], int]:
    """The C library's function for the number of the processor that runs this thread, or -1."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: -1
    found: Callable[[], int] = getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)
    return found


_processor = _find_processor()


class _Place(threading.local):
    """Whether this thread is kept off a processor, and until when it is not to be."""

    kept, free_until = False, 0.0


_place = _Place()


def _settle(processor: int, asked: float) -> None:
    """Keep this thread off the processor of the thread that asked for it, if both have met there.

    On two processors, Linux wakes a thread where it ran last and seldom looks for one that is idle.
    Once two threads have met on one, they may take turns there for good: two halves of 0.5 ms then
    take 1.05 ms instead of 0.6. Where other programs use the other processors, a thread that may
    not run here waits for them, 3 ms at a time, so it is let go again for a while.
    """
    if processor < 0:
        return
    now = time.perf_counter()
    if _place.kept and now - asked > LATE:
        _place.kept, _place.free_until = False, now + FREE
        _allow(os.sched_getaffinity(os.getpid()))
    elif _processor() == processor and now > _place.free_until:
        _place.kept = True
        _allow(os.sched_getaffinity(os.getpid()) - {processor})


def _allow(processors: set[int]) -> None:
    if processors:
        with suppress(OSError):  # where processors are taken away meanwhile
            os.sched_setaffinity(0, processors)


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
    if multiplications > (SMALL_PRODUCT if _pool is None else SMALL_BESIDE_OURS):
        return _nothing
    return one_thread()
