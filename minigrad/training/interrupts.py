"""Ctrl-C during training: it ends after the running step, so that no update is left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator


@contextlib.contextmanager
def interrupts_deferred() -> Generator[Callable[[], None]]:
    """Gives a function that raises KeyboardInterrupt if Ctrl-C was pressed since the block began.

    A second Ctrl-C interrupts at once. In other threads than the main one, and where the program
    handles the signal itself, nothing changes.
    """
    requested = False
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )

    def request(*_: object) -> None:
        nonlocal requested
        requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def check() -> None:
        if requested:
            raise KeyboardInterrupt

    if ours:
        signal.signal(signal.SIGINT, request)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
