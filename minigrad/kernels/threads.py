"""Splitting one operator's work over threads.

NumPy lets other threads run while it computes, so two threads that each do half of a batch take
little more than half of the time, when BLAS itself keeps to one thread meanwhile.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
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
    with one_thread():
        # In this context, so that np.errstate holds there as well.
        futures: list[Future[None]] = [
            _executor().submit(copy_context().run, work, part) for part in others
        ]
        try:
            work(first)
        finally:
            for future in futures:
                future.result()


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
