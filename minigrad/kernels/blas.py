"""The BLAS library behind NumPy's matrix products: which one it is, and how many threads it uses.

NumPy has no function for either, so the library that it loaded is asked directly. Where it is not
OpenBLAS, or cannot be found, every answer is None and nothing is changed.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Names of OpenBLAS's functions vary by how NumPy was built: scipy_openblas_get_config64_ etc.
_VARIANTS = (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", ""), ("", "_64"))


def _candidates() -> list[str]:
    """The files of OpenBLAS that this process has loaded."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        names = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines()}
        return sorted(n for n in names if "openblas" in n.rsplit("/", 1)[-1])
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs", package / ".libs"]
    return [str(f) for folder in folders if folder.is_dir() for f in folder.glob("*openblas*")]


@functools.cache
def _openblas(name: str) -> Callable[..., Any] | None:
    """OpenBLAS's function of this name, e.g. "openblas_get_config", or None."""
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for prefix, suffix in _VARIANTS:
            found = getattr(library, f"{prefix}{name}{suffix}", None)
            if found is not None:
                function: Callable[..., Any] = found
                return function
    return None


def _text(name: str) -> str | None:
    function: Any = _openblas(name)
    if function is None:
        return None
    function.restype = ctypes.c_char_p
    answer: bytes = function()
    return answer.decode()


def config() -> str | None:
    """How OpenBLAS was built, e.g. "OpenBLAS 0.3.31 ... DYNAMIC_ARCH", or None."""
    return _text("openblas_get_config")


def kernel() -> str | None:
    """The kind of processor whose kernels OpenBLAS runs, e.g. "SkylakeX", or None."""
    return _text("openblas_get_corename")


def threads() -> int | None:
    """How many threads a matrix product may use, or None when that is not known."""
    get = _openblas("openblas_get_num_threads")
    return None if get is None else int(get())


_lock = threading.Lock()
_inside = 0
_before = 1


@contextmanager
def one_thread() -> Generator[None]:
    """Inside, each matrix product runs on the thread that calls it.

    The number is one for the whole process, so it is set when the first thread comes in and put
    back when the last one has left.
    """
    global _inside, _before  # noqa: PLW0603 (the state of a library that is global itself)
    set_threads = _openblas("openblas_set_num_threads")
    if set_threads is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _before = threads() or 1
            if _before != 1:
                set_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before != 1:
                set_threads(_before)
