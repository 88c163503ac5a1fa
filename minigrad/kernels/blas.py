"""The BLAS library behind NumPy's matrix products: its name, and how many threads it uses.

NumPy has no function for either; threadpoolctl finds the library and knows how to ask it. Where it
finds none that it knows, every answer is None and nothing is changed.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

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
def _functions(library: Any) -> tuple[Callable[[], int], Callable[[int], Any]] | None:
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
    return None if functions is None else functions[0]()


def set_threads(count: int) -> None:
    """Let matrix products, and the work that is split like them, use this many threads."""
    functions = _functions(_library())
    if functions is not None:
        functions[1](count)


_lock = threading.Lock()
_inside = 0
_before = 1


def _after_fork() -> None:
    """In a forked process: no other thread is here to release the lock or to leave a block."""
    global _lock, _inside
    _lock, _inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class one_thread:
    """Inside, each matrix product runs on the thread that calls it.

    The number is one for the whole process, so it is set when the first thread comes in and
    restored when the last one has left. (A generator would take more than twice as long.)
    """

    _functions: tuple[Callable[[], int], Callable[[int], Any]] | None

    def __enter__(self) -> None:
        global _inside, _before  # noqa: PLW0603 (the state of a library that is global itself)
        self._functions = _functions(_library())
        if self._functions is None:
            return
        get, put = self._functions
        entered = False
        try:
            with _lock:
                if _inside == 0:
                    _before = get() or 1
                    if _before != 1:
                        put(1)
                _inside += 1
                entered = True
        except BaseException:  # Ctrl-C: then __exit__ is not called
            if entered:
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        global _inside  # noqa: PLW0603
        if self._functions is not None:
            with _lock:
                _inside -= 1
                if _inside == 0 and _before != 1:
                    self._functions[1](_before)
