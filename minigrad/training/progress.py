"""What ``Trainer.fit`` shows while it runs: a bar for each epoch, or a line, or nothing.

``Progress`` is the silent one, and the base of the others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Logs = dict[str, Any]

#: How often a bar is redrawn, in seconds: more often would cost time and not be noticed.
REDRAW = 0.1


class Progress:
    """Shows nothing (``verbose=0``); the base of the others."""

    def begin(self, epoch: int, epochs: int, total: int | None, done: int) -> None:
        """An epoch begins; ``done`` of its ``total`` batches were run before it was resumed."""

    def step(self, batch: int, logs: Callable[[], Logs]) -> None:
        """A batch is done."""

    def end(self, logs: Logs) -> None:
        """The epoch is over, validation included."""

    def close(self) -> None:
        """Training is over, or was interrupted."""

    def say(self, text: str) -> None:
        """Show a line of text."""


class _Timed(Progress):
    """Measures the time of the steps, without that of the validation."""

    def begin(self, epoch: int, epochs: int, total: int | None, done: int) -> None:
        """Start the clock."""
        self.title = f"Epoch {epoch + 1}/{epochs}"
        self.total, self.done, self.steps = total, done, 0
        self.started = self.now = time.perf_counter()

    def step(self, batch: int, logs: Callable[[], Logs]) -> None:
        """Stop the clock."""
        self.now = time.perf_counter()
        self.steps += 1

    def describe(self, logs: Logs) -> str:
        """The values and the time of a step, as text."""
        each = (self.now - self.started) / max(self.steps, 1)
        pace = f"{each * 1e3:.3g} ms/step" if each < 1 else f"{each:.3g} s/step"
        shown = [f"{k} {_format_value(v)}" for k, v in logs.items() if np.ndim(v) == 0]
        return "  ".join([*shown, pace])

    def say(self, text: str) -> None:
        """Write a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class Lines(_Timed):
    """One line for each epoch (``verbose=2``), for log files."""

    def end(self, logs: Logs) -> None:
        """Write the line."""
        seconds = time.perf_counter() - self.started
        self.say(f"{self.title}  {seconds:.1f} s  {self.describe(logs)}")


class Bar(_Timed):
    """A tqdm bar for each epoch (``verbose=1``)."""

    bar: Any = None

    def begin(self, epoch: int, epochs: int, total: int | None, done: int) -> None:
        """Draw an empty bar."""
        from tqdm import tqdm

        super().begin(epoch, epochs, total, done)
        layout = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {unit}"
        if total is None:
            layout = "{desc} {n_fmt} {unit}"
        # Without tqdm's thread that watches for slow loops, since the bar is redrawn here.
        quiet: Any = type("EpochBar", (tqdm,), {"monitor_interval": 0})
        self.bar = quiet(desc=self.title, total=total, initial=done, bar_format=layout, unit="")
        self.drawn = self.started

    def step(self, batch: int, logs: Callable[[], Logs]) -> None:
        """Redraw the bar, if the last time was long ago."""
        super().step(batch, logs)
        if self.now - self.drawn > REDRAW:
            self.drawn = self.now
            self._draw(batch + 1, logs())

    def end(self, logs: Logs) -> None:
        """Draw the full bar with the values of the epoch; it stays."""
        if self.bar is not None:
            self._draw(self.done + self.steps, logs)
            self.close()

    def close(self) -> None:
        """Leave the bar as it is and begin a new line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _draw(self, done: int, logs: Logs) -> None:
        self.bar.n = done
        # Not as the postfix, in front of which tqdm puts a comma.
        self.bar.unit = self.describe(logs)
        self.bar.refresh()


def progress(verbose: int | str) -> Progress:
    """The display for ``verbose``: 0 nothing, 1 a bar, 2 a line per epoch, "auto" 1 or 2.

    "auto" is a bar on a terminal or in a notebook, else lines. Raises ValueError for other values.
    """
    if verbose == "auto":
        verbose = 1 if sys.stderr.isatty() or "ipykernel" in sys.modules else 2
    kinds: dict[Any, type[Progress]] = {0: Progress, 1: Bar, 2: Lines}
    if verbose not in kinds:
        raise ValueError(
            f'fit: verbose must be 0 (silent), 1 (bar), 2 (lines) or "auto", got {verbose!r}'
        )
    return kinds[verbose]()


def _format_value(value: Any) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3e}"
