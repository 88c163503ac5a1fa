"""History: the loss and metrics after every epoch of a training run, as a dict of lists.

It is the one callback that every run has. ``minigrad.viz`` draws it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minigrad.debug.table import Row, html_table
from minigrad.engine.settings import checked, entries
from minigrad.lazy import load_late
from minigrad.training.callbacks import Callback

#: A notebook shows no more epochs than these.
ROWS_SHOWN = 20


class History(Callback):
    """The loss and each metric after every epoch.

    ``history`` is a dict of lists, ``{"loss": [...], "accuracy": [...], ...}``, and with validation
    ``val_loss``, ``val_accuracy``, ... ``plot`` raises ValueError before the first epoch.

    >>> model = nn.Linear(2, 1)
    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> history = mg.Trainer(model, loss="mse").fit(x, y, epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        #: The names that have a value of the epoch that is ending.
        self.noted: set[str] = set()
        self._epoch: int | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Note the values of an epoch; a later call for the same epoch adds and replaces values."""
        if epoch != self._epoch:
            if self._epoch is not None:
                self.noted = set()
            self._epoch = epoch
        for name, value in logs.items():
            column = self.history.setdefault(name, [])
            if name in self.noted:
                column[-1] = value
            else:
                column.append(value)
                self.noted.add(name)

    def __len__(self) -> int:
        return max(map(len, self.history.values()), default=0)

    def __repr__(self) -> str:
        numbers = {n: v[-1] for n, v in self.history.items() if v and np.ndim(v[-1]) == 0}
        last = ", ".join(f"{name}={value:.4g}" for name, value in numbers.items())
        return f"<History of {len(self)} epochs{': ' + last if last else ''}>"

    def _repr_html_(self) -> str:
        """The table for notebooks: a row for each epoch, the middle of many left out."""
        names = [n for n, v in self.history.items() if v and np.ndim(v[-1]) == 0]
        count, half = len(self), ROWS_SHOWN // 2
        shown = [i for i in range(count) if count <= ROWS_SHOWN or not half <= i < count - half]
        rows: list[Row] = [[str(i + 1), *(self._cell(name, i) for name in names)] for i in shown]
        if len(shown) < count:
            rows.insert(half, f"{count - len(shown)} more epochs; .history has them all")
        return html_table(["epoch", *names], rows, [True] * (len(names) + 1))

    def _cell(self, name: str, epoch: int) -> str:
        """A value as text; a quantity that began later has none for the first epochs."""
        values = self.history[name]
        at = epoch - len(self) + len(values)
        return f"{values[at]:.4g}" if at >= 0 else ""

    def state_dict(self) -> dict[str, Any]:
        """A copy of the values."""
        return {name: list(values) for name, values in self.history.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the values of another history."""
        entries("History.load_state_dict", state)
        for name, values in state.items():
            if not isinstance(values, (list, tuple)):
                raise TypeError(
                    f"History.load_state_dict: expected a list of values of {name!r}, "
                    f"got {type(values).__name__}"
                )
        self.history = {name: list(values) for name, values in state.items()}

    @checked()
    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw every quantity over the epochs, training beside validation; returns the figure.

        ``path``: also write it there, e.g. history.png, .svg or .pdf. The best epoch of the
        validation (or else of the training) is marked. Needs matplotlib (``minigrad[plot]``).

        Raises ValueError if there is no epoch to draw.
        """
        return load_late("minigrad.viz").draw_curves(self.history, "History.plot", path)
