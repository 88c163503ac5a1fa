"""The BLAS library behind NumPy's matrix products: its name, and how many threads it uses.

NumPy has no function for either; threadpoolctl finds the library and knows how to ask it. Where it
finds none that it knows, every answer is None and nothing is changed.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

#: To get and to set the number of threads.
_Functions: TypeAlias = tuple[Callable[[], int], Callable[[int], Any]]

#: OpenBLAS's functions have a prefix and a suffix that vary with how NumPy was built.
_AFFIXES = (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", ""), ("", "_64"))


@functools.cache
def _library() -> Any:
    """What threadpoolctl knows of NumPy's BLAS, or None."""
    from threadpoolctl import ThreadpoolController  # late: importing it takes 5 ms

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    # SciPy brings an OpenBLAS of its own.
    return min(found, key=lambda library: "numpy" not in library.filepath, default=None)


@functools.cache
def _functions(library: Any) -> _Functions | None:
    """The library's functions to get and to set the number of threads."""
    if library is None:
        return None
    # Called without threadpoolctl's help, which looks them up each time (0.6 us instead of 1.4 to
    # get, 8 us instead of 16 for `one_thread`) and lets only one Python thread set the number.
    for prefix, suffix in _AFFIXES:
        get, put = (
            getattr(library.dynlib, f"{prefix}openblas_{what}_num_threads{suffix}", None)
            for what in ("get", "set")
        )
        if get is not None and put is not None:
            return get, put
    return library.get_num_threads, library.set_num_threads


def name() -> str | None:
    """The library and its version, e.g. "openblas 0.3.31 (pthreads)", or None."""
    library = _library()
    if library is None:
        return None
    layer = getattr(library, "threading_layer", None)
    return f"{library.internal_api} {library.version}" + (f" ({layer})" if layer else "")


def architecture() -> str | None:
    """The kind of processor whose kernels OpenBLAS runs, e.g. "SkylakeX", or None."""
    library = _library()
    if library is None or library.internal_api != "openblas":
        return None
    found: str | None = library.architecture
    return found


@functools.cache
def multiplies_unpacked() -> bool:
    """Whether products below a million multiplications go without packing their operands first."""
    return architecture() in ("SkylakeX", "Cooperlake", "SapphireRapids")


def threads() -> int | None:
    """How many threads a matrix product may use, or None if that is not known."""
    functions = _functions(_library())
    if functions is None:
        return None
    if _inside or _before != 1:
        with _lock:
            _restore(functions)
    return functions[0]()


def set_threads(count: int) -> None:
    """Let matrix products, and the work that is split like them, use this many threads.

    Where a thread is inside ``one_thread``, from when the last one leaves.
    """
    global _before  # noqa: PLW0603 (the state of a library that is global itself)
    functions = _functions(_library())
    if functions is not None:
        with _lock:
            _restore(functions)
            if _inside:
                _before = count
            else:
                functions[1](count)


#: A signal handler may compute while the thread that it interrupts holds the lock.
_lock = threading.RLock()
#: The frame in which each thread came in.
_inside: dict[int, FrameType] = {}
#: What is restored when nobody is inside any more.
_before = 1


def _runs(frame: FrameType) -> bool:
    """Whether this thread is in the frame."""
    here: FrameType | None = sys._getframe()
    while here is not None and here is not frame:
        here = here.f_back
    return here is not None


def _restore(functions: _Functions) -> None:
    """If nobody is inside any more, put back the number of threads; the lock is held.

    Ctrl-C may arrive before the first step of ``__exit__``, which is never called again then. So
    the frame tells whether a block goes on, and whoever comes next does what was left.
    """
    global _before  # noqa: PLW0603
    me = threading.get_ident()
    frame = _inside.get(me)
    if frame is not None and not _runs(frame):
        _inside.pop(me, None)
    before = _before  # a signal handler may come in and leave from here on
    if before != 1 and not _inside:
        get, put = functions
        if get() == 1:  # otherwise somebody else has set it meanwhile
            put(before)
        _before = 1


def _after_fork() -> None:
    """In a forked process: no other thread is here to release the lock or to leave a block."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    for thread in {*_inside} - {threading.get_ident()}:
        del _inside[thread]
    if _before != 1:
        threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class one_thread:
    """Inside, each matrix product runs on the thread that calls it.

    The number is one for the whole process, so it is set when the first thread comes in and
    restored when the last one has left, unless somebody else has changed it meanwhile: to 1, which
    nobody can see here, does not last. (A generator would take more than twice as long.)
    """

    _functions: _Functions | None = None

    def __enter__(self) -> None:
        global _before  # noqa: PLW0603
        functions = _functions(_library())
        if functions is None:
            return
        get, put = functions
        with _lock:
            me = threading.get_ident()
            frame = _inside.get(me)
            if frame is not None and _runs(frame):
                return  # the block around this one does it
            self._functions = functions
            _inside[me] = sys._getframe(1)
            count = get()
            if count != 1:
                _before = count
                put(1)

    def __exit__(self, *_: object) -> None:
        if self._functions is not None:
            with _lock:
                _inside.pop(threading.get_ident(), None)
                _restore(self._functions)
