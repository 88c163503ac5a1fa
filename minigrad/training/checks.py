"""What is checked before the first step: whether the data, the model and the loss fit.

Most mistakes show on one batch. The model runs on it in evaluation mode and without a graph; the
model, the metrics and the order of the data are left as they were.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.loader import ArrayDataset, DataLoader
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor
from minigrad.nn.module import Module, float_dtype, modes_restored
from minigrad.training import batches
from minigrad.training.losses import Loss, check_finite
from minigrad.training.metrics import Metric


def check_data(
    what: str, source: Any, model: Module, loss: Loss, metrics: Sequence[Metric]
) -> None:
    """Run one batch and restore everything; raise if the data, the model and the loss do not fit.

    ``what``: put before "x" and "y" in messages, e.g. "validation ".
    """
    batch = batches.first_batch(source)
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError(
            f"{what}targets are missing: expected arrays x and y, or batches (x, y), got "
            f"batches of {type(batch).__name__}"
        )
    inputs, y = batches.parts_of(batch, float_dtype(model))
    names = [f"{what}x"] if len(inputs) == 1 else [f"{what}x[{i}]" for i in range(len(inputs))]
    everything: Sequence[NDArray[Any]] = [*[x._data for x in inputs], y]
    dataset = source.dataset if isinstance(source, DataLoader) else None
    if isinstance(dataset, ArrayDataset) and source.collate_fn is None:
        # All of them, unless they are on disk and may be larger than memory.
        everything = [
            batch if _on_disk(whole) else whole
            for batch, whole in zip(everything, dataset.arrays, strict=True)
        ]
    for name, array in zip(names, everything, strict=False):
        if array.dtype.kind == "f":
            check_finite(array, name)
    with evaluating(model):
        output = one_tensor(model(*inputs))
        if output.shape[:1] != y.shape[:1]:
            raise ValueError(
                f"the model gives {output.shape} for a batch of {len(y)} samples; its first "
                f"axis must be the samples"
            )
        loss.check_targets(everything[-1], output, f"{what}y")
        target = loss.target(y, output.shape, output.dtype)
        for one in metrics:
            trial = copy.deepcopy(one)
            trial.reset()
            trial.update(output._data, target)
        loss.try_out(output, Tensor(target))


def _on_disk(array: Any) -> bool:
    """Whether the array is a memory map, or a view of one."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


@contextlib.contextmanager
def evaluating(model: Module) -> Generator[None]:
    """Evaluation mode without a graph; afterwards each module is in the mode it was in."""
    with modes_restored(model), no_grad():
        model.eval()
        yield


def one_tensor(output: Any) -> Tensor:
    """The output of a model. Raises TypeError unless it is one tensor."""
    if not isinstance(output, Tensor):
        raise TypeError(
            f"the model gives {type(output).__name__}, expected one tensor; wrap the model in a "
            f"Module that returns the part to be trained"
        )
    return output
