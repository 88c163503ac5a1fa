"""What ``Trainer.fit`` shows while it runs: a bar for each epoch, or a line, or nothing.

``Progress`` is the silent one, and the base of the others.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Logs = dict[str, Any]

#: How often a bar is redrawn, in seconds: more often would cost time and not be noticed.
REDRAW = 0.1
#: How long a bar is, in columns, and how long at least: a shorter one is left out.
BAR, NARROWEST = 20, 3


class Progress:
    """Shows nothing (``verbose=0``); the base of the others."""

    def begin(self, epoch: int, epochs: int, total: int | None, done: int) -> None:
        """An epoch begins; ``done`` of its ``total`` batches were run before it was resumed."""
        self.title = f"Epoch {epoch + 1}/{epochs}"
        self.total, self.done, self.steps = total, done, 0
        self.started = self.now = time.perf_counter()

    def step(self, batch: int, logs: Callable[[], Logs]) -> None:
        """A batch is done."""
        self.now = time.perf_counter()  # so that the validation does not count
        self.steps += 1

    def end(self, logs: Logs) -> None:
        """The epoch is over, validation included."""

    def close(self) -> None:
        """Training is over, or was interrupted."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def seconds_each(self) -> float:
        """How long a step took on average."""
        return (self.now - self.started) / max(self.steps, 1)

    def pace(self) -> str:
        """How long a step took, as text."""
        each = self.seconds_each()
        return f"{each * 1e3:.3g} ms/step" if each < 1 else f"{each:.3g} s/step"


class Lines(Progress):
    """One line for each epoch (``verbose=2``), for log files."""

    def say(self, text: str) -> None:
        """Write a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def end(self, logs: Logs) -> None:
        """Write the line."""
        seconds = time.perf_counter() - self.started
        values = [self.title, f"{seconds:.1f} s", *shown_values(logs), self.pace()]
        self.say("  ".join(values))


class Bar(Lines):
    """A tqdm bar for each epoch (``verbose=1``), on one line of the terminal.

    In a narrow one the bar shrinks, and then the times are left out, before the values are cut. In
    a notebook that has ipywidgets, as in ``tqdm.auto``, it is a widget.
    """

    bar: Any = None

    def begin(self, epoch: int, epochs: int, total: int | None, done: int) -> None:
        """Draw an empty bar."""
        super().begin(epoch, epochs, total, done)
        self.widget = has_widgets()
        if self.widget:
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
        # Without tqdm's thread that watches for slow loops, since the bar is redrawn here, and
        # without its cutting of lines, which would take the values first.
        quiet: Any = type("EpochBar", (tqdm,), {"monitor_interval": 0})
        self.bar = quiet(desc=self.title, total=total, initial=done, unit="", bar_format="{desc}")
        self.bar.ncols = self.bar.dynamic_ncols = None
        self.drawn = self.started
        self._draw(done, {})

    def step(self, batch: int, logs: Callable[[], Logs]) -> None:
        """Redraw the bar, if the last time was long ago."""
        super().step(batch, logs)
        if self.now - self.drawn > REDRAW:
            self.drawn = self.now
            self._draw(batch + 1, logs())

    def end(self, logs: Logs) -> None:
        """Draw the full bar with all there is to tell of the epoch; it stays."""
        if self.bar is not None:
            self._draw(self.done + self.steps, logs, whole=True)
            self.close()

    def close(self) -> None:
        """Leave the bar as it is and begin a new line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _draw(self, done: int, logs: Logs, whole: bool = False) -> None:
        self.bar.n = done
        width = None if self.widget else columns()
        times = [self.pace()] if self.steps else []
        if self.steps and self.total is not None and done < self.total:
            left = round((self.total - done) * self.seconds_each())
            times.append(f"{left // 60}:{left % 60:02} left")
        figures = shown_values(logs)
        # The bar at least, then the pace, then the time left make room for the values.
        texts = [[*figures, *times[i:]] for i in range(len(times) + 1)]
        fits = (text for text in texts if whole or self._room(done, text, width) >= 0)
        text = next(fits, figures)
        room = self._room(done, text, width)
        # Not as the postfix, in front of which tqdm puts a comma.
        self.bar.unit = "  ".join(text)
        if room < 0 and not whole:
            # Not even the values fit, and what is longer than a line cannot be redrawn.
            self.bar.unit = self.bar.unit[: room - 1] + "…"
        count = "{n_fmt}" if self.total is None else "{n_fmt}/{total_fmt}"
        size = "" if self.widget else f":{room}"  # a widget finds its own
        bar = f"|{{bar{size}}}| " if self.total is not None and room >= NARROWEST else " "
        self.bar.bar_format = f"{{desc}} {count} {bar}{{unit}}"
        self.bar.refresh()

    def _room(self, done: int, texts: list[str], width: int | None) -> int:
        """How many columns are left for the bar between its lines; below 0 without them."""
        if width is None:
            return BAR
        count = str(done) if self.total is None else f"{done}/{self.total}"
        rest = width - 1 - len("  ".join([f"{self.title} {count}", *texts]))
        return min(BAR, max(rest - len("||"), min(rest, 0)))


def columns() -> int | None:
    """The width of the terminal that shows the bar; None if it is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return None


def has_widgets() -> bool:
    """Whether this is a notebook that can show widgets."""
    return "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None


def progress(verbose: int | str) -> Progress:
    """The display for ``verbose``: 0 nothing, 1 a bar, 2 a line per epoch, "auto" 1 or 2.

    "auto" is a bar on a terminal or in a notebook, else lines, as on a terminal that has no width.
    Raises ValueError for other values.
    """
    if verbose == "auto":
        verbose = 1 if sys.stderr.isatty() or "ipykernel" in sys.modules else 2
    if verbose == 1 and columns() == 0:
        verbose = 2
    kinds: dict[Any, type[Progress]] = {0: Progress, 1: Bar, 2: Lines}
    if verbose not in kinds:
        raise ValueError(
            f'fit: verbose must be 0 (silent), 1 (bar), 2 (lines) or "auto", got {verbose!r}'
        )
    return kinds[verbose]()


def shown_values(logs: Logs) -> list[str]:
    """The single numbers of an epoch, as text."""
    return [f"{k} {_format_value(v)}" for k, v in logs.items() if np.ndim(v) == 0]


def _format_value(value: Any) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3e}"
