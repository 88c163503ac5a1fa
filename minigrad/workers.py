"""Splitting one operator's work over threads, and memory that each thread uses again and again.

NumPy lets other threads run while it computes, so two threads that each do half of a batch take
little more than half of the time, when BLAS itself keeps to one thread meanwhile.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from minigrad import blas

T = TypeVar("T")

#: Below this many seconds of work, handing half of it over (0.1 ms) does not pay.
WORTH_SPLITTING = 4e-4
#: The most that a thread keeps of one kind of scratch memory between calls, in bytes.
KEPT = 1 << 23

_local = threading.local()
_pool: ThreadPoolExecutor | None = None
_pool_process = 0


def _executor() -> ThreadPoolExecutor:
    global _pool, _pool_process  # noqa: PLW0603 (made on first use, and again after a fork)
    if _pool is None or _pool_process != os.getpid():
        _pool = ThreadPoolExecutor(thread_name_prefix="minigrad")
        _pool_process = os.getpid()
    return _pool


def run(work: Callable[[Sequence[T]], None], pieces: Sequence[T], seconds: float) -> None:
    """Call ``work`` on all pieces, on as many threads as BLAS may use, if it pays.

    ``seconds``: roughly how long one thread takes. Each thread gets neighbouring pieces.
    """
    count = min(blas.threads() or 1, len(pieces))
    if count < 2 or seconds < WORTH_SPLITTING:
        work(pieces)
        return
    ends = [len(pieces) * i // count for i in range(count + 1)]
    first, *others = (pieces[a:b] for a, b in itertools.pairwise(ends))
    with blas.one_thread():
        futures: list[Future[None]] = [_executor().submit(work, part) for part in others]
        try:
            work(first)
        finally:
            for future in futures:
                future.result()


def scratch(role: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uninitialised memory of this thread: yours until the next call for the same role.

    Reused memory is in cache and has no page faults: a third of the time of a convolution.
    """
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > KEPT:
        return np.empty(shape, dtype)
    arenas: dict[str, Any] = _local.__dict__
    arena = arenas.get(role)
    if arena is None or arena.nbytes < wanted:
        arena = arenas[role] = np.empty(wanted, np.uint8)
    return arena[:wanted].view(dtype).reshape(shape)
