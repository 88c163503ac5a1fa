"""Which learning rate suits: a short run in which it grows from step to step.

While it is too small the loss hardly moves, then it falls, and where the rate is too large the loss
rises again. A good rate is where it falls fastest.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.settings import checked
from minigrad.lazy import load_late

#: How much of the smoothed loss comes from the steps before.
SMOOTH = 0.9
#: The search ends where the smoothed loss is this many times its least value.
DIVERGED = 4.0


class LearningRates:
    """What ``Trainer.lr_find`` found: ``rates``, the smoothed ``losses``, and a ``suggestion``.

    The suggestion is the rate at which the loss fell fastest. ``plot`` draws all.
    """

    def __init__(self, rates: NDArray[Any], losses: NDArray[Any]) -> None:
        self.rates = rates
        self.losses = losses
        # After its least value the loss only rises.
        upto = max(int(np.argmin(losses)) + 1, 2)
        self.suggestion = float(rates[int(np.argmin(np.gradient(losses[:upto])))])

    def __repr__(self) -> str:
        ends = f"{self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"<LearningRates {ends}, suggestion {self.suggestion:.3g}>"

    @checked()
    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the loss over the rates and mark the suggestion; returns the figure.

        ``path``: also write it there, as .png, .svg or .pdf. Needs matplotlib (``minigrad[plot]``).
        """
        draw = load_late("minigrad.viz").draw_learning_rates
        return draw(self.rates, self.losses, self.suggestion, path)


def search(
    step: Callable[[Any], float],
    source: Any,
    groups: list[dict[str, Any]],
    start: float,
    end: float,
    steps: int,
) -> LearningRates:
    """Run ``step`` on batches while the rate of each group grows from ``start`` to ``end``.

    ``step`` gives the loss of a batch, before the step. Groups keep the ratio of their rates.
    Raises ValueError for a search that ends before its third step.
    """
    first = groups[0]["lr"] or 1.0
    ratios = [group["lr"] / first for group in groups]
    rates: list[float] = []
    losses: list[float] = []
    smoothed = 0.0
    epochs = itertools.repeat(source, steps)  # more than enough
    found = itertools.islice(itertools.chain.from_iterable(epochs), steps)
    for number, batch in enumerate(found):
        rate = start * (end / start) ** (number / (steps - 1))
        for group, ratio in zip(groups, ratios, strict=True):
            group["lr"] = rate * ratio
        loss = step(batch)
        if not math.isfinite(loss):
            break
        smoothed = SMOOTH * smoothed + (1.0 - SMOOTH) * loss
        rates.append(rate)
        losses.append(smoothed / (1.0 - SMOOTH ** (number + 1)))
        if losses[-1] > DIVERGED * min(losses) > 0:
            break
    if len(rates) < 3:
        raise ValueError(
            f"lr_find: the loss was not finite after {len(rates)} steps, from a learning rate of "
            f"{start:g}; begin with a smaller one, start={start / 1000:g}"
        )
    return LearningRates(np.asarray(rates), np.asarray(losses))
