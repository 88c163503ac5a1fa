"""What happened in training, epoch by epoch, and its picture."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from minigrad.engine.settings import checked, entries
from minigrad.io.file_system import as_path, write_file
from minigrad.lazy import extra
from minigrad.training.callbacks import Callback
from minigrad.training.metrics import best_is_smaller

#: Colours that are told apart with any colour vision: blue for training, orange for validation.
TRAINING, VALIDATION = "#0072b2", "#d55e00"
GREY = "#5f6368"


class History(Callback):
    """The loss and each metric after every epoch: ``history["val_loss"][3]``.

    ``history`` is a dict of lists: loss, accuracy, ..., and with validation val_loss, ... ``plot``
    raises ValueError before the first epoch.

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
        """Note the values of an epoch; again, when there are more of them."""
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
        last = ", ".join(
            f"{name}={values[-1]:.4g}" for name, values in self.history.items() if _plots(values)
        )
        return f"<History of {len(self)} epochs{': ' + last if last else ''}>"

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

        Raises ValueError when there is no epoch to draw.
        """
        names = [n for n, v in self.history.items() if not n.startswith("val_") and _plots(v)]
        if not names and any(self.history.values()):
            raise ValueError(
                f"History.plot: nothing to draw: {', '.join(self.history)} hold no finite numbers"
            )
        if not names:
            raise ValueError("History.plot: there is no finished epoch to draw yet; call fit first")
        figure_class = extra("matplotlib.figure", "plot", "History.plot").Figure
        columns = 2 if len(names) == 4 else min(len(names), 3)
        rows = -(-len(names) // columns)
        figure = figure_class(figsize=(4.6 * columns, 3.3 * rows), layout="constrained", dpi=150)
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.04, hspace=0.06)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for one, name in zip(axes, names, strict=False):
            self._draw(one, name)
        for one in axes[len(names) :]:
            one.set_axis_off()
        if path is not None:
            target = as_path(path, "History.plot")
            if not target.suffix:
                target = target.with_name(f"{target.name}.png")
            content = io.BytesIO()
            figure.savefig(content, format=target.suffix[1:])
            write_file(target, content.getvalue(), "History.plot")
        return figure

    def _draw(self, axes: Any, name: str) -> None:
        lines = [("training", self.history[name], TRAINING)]
        if _plots(self.history.get(f"val_{name}", [])):
            lines.append(("validation", self.history[f"val_{name}"], VALIDATION))
        epochs = np.arange(1, len(lines[0][1]) + 1)
        for label, values, colour in lines:
            marker = "o" if len(values) <= 20 else None
            axes.plot(
                epochs[-len(values) :], values, color=colour, label=label, marker=marker,
                markersize=3.5, linewidth=1.8,
            )  # fmt: skip
        label, values, colour = lines[-1]
        axes.set_title(name.replace("_", " "), loc="left", fontsize=11, fontweight="bold")
        if name != "lr":  # a learning rate is neither good nor bad
            smaller = best_is_smaller(name)
            best = int(np.nanargmin(values) if smaller else np.nanargmax(values))
            at = epochs[-len(values) :][best]
            axes.plot(at, values[best], "o", color=colour, markersize=7, zorder=3,
                      markeredgecolor="white", markeredgewidth=1.5)  # fmt: skip
            axes.set_title(
                f"best {values[best]:.4g}, epoch {at}", loc="right", fontsize=9, color=colour
            )
        axes.set_xlabel("epoch", fontsize=9, color=GREY)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color="#e3e5e8", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=GREY, labelsize=9, length=0)
        axes.margins(x=0.03, y=0.08)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#c4c7cc")
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")


def _plots(values: list[Any]) -> bool:
    return bool(values) and np.ndim(values[-1]) == 0 and bool(np.isfinite(values).any())
