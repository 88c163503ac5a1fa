"""How loops are compiled: at their first call for a dtype, and kept on disk for the next run."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numba

#: The oldest numba whose behaviour these loops rely on.
LEAST = (0, 61)
if tuple(map(int, numba.__version__.split(".")[:2])) < LEAST:
    raise ImportError(
        f"it is {numba.__version__}, and at least {LEAST[0]}.{LEAST[1]} is needed: "
        f"pip install --upgrade 'minigrad[fast]'"
    )

from numba.core import event  # noqa: E402 (not where an old one puts it)
from numba.core.compiler_lock import global_compiler_lock  # noqa: E402

if hasattr(os, "register_at_fork"):
    # A fork waits until no other thread compiles: its process would not have that thread, and
    # would wait for ever for the lock that it held.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A loop over arrays, compiled when it is first called, that lets other threads run.

    Calls inside such a loop are resolved by numba. Divisions by zero give inf or NaN.
    """
    if function is None:
        return lambda loop: compiled(loop, **options)
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written to
        return numba.njit(**options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A few lines that become part of the loops that call them."""
    return numba.njit(inline="always", error_model="numpy")(function)


class _Announcement(event.Listener):  # type: ignore[misc]
    """Writes one line to stderr when the first loop is compiled; others follow it."""

    said = False

    def on_start(self, event: Any) -> None:
        name = event.data["dispatcher"].py_func.__module__
        if name.startswith(__package__) and not self.said:
            self.said = True
            sys.stderr.write("minigrad: compiling kernels; the next run finds them on disk\n")

    def on_end(self, event: Any) -> None:
        """Nothing: the calls that follow may compile more."""


event.register("numba:compile", _Announcement())
