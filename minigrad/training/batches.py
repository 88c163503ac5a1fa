"""The data that a Trainer gets, arrays or batches, and the batches that are made of them.

Errors in the data are raised here, so that messages can name what the caller passed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.loader import ArrayDataset, DataLoader, Subset
from minigrad.engine.random import generator_restored
from minigrad.engine.tensor import Tensor, as_array, as_tensor, unmasked

Array = NDArray[Any]


def batches_of(
    x: Any, y: Any, batch_size: int, shuffle: bool, caller: str, *, targets: bool = True
) -> Any:
    """Batches of the arrays, or the iterable of batches that was given."""
    if isinstance(x, (ArrayDataset, Subset)) and y is None:
        return DataLoader(x, batch_size, shuffle)
    if hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, (list, tuple)):
        if y is not None:
            raise ValueError(f"{caller}: leave y out beside a loader: its batches are (x, y)")
        return x
    if targets and y is None:
        raise ValueError(f"{caller}: targets are missing: pass y, or a DataLoader of (x, y)")
    xs = [_numeric_array(a) for a in (x if isinstance(x, tuple) else (x,))]
    arrays = [*xs, _numeric_array(y)] if targets else xs
    names = ["x"] if len(xs) == 1 else [f"x[{i}]" for i in range(len(xs))]
    for name, array in zip([*names, "y"], arrays, strict=False):
        if array.ndim == 0 or array.size == 0:
            raise ValueError(f"{caller}: {name} is empty: its shape is {array.shape}")
        if len(array) != len(arrays[0]):
            raise ValueError(
                f"{caller}: {names[0]} has {len(arrays[0])} samples and {name} has {len(array)}; "
                f"the numbers must be equal"
            )
    return DataLoader(ArrayDataset(*arrays), batch_size, shuffle)


def held_out(source: Any, y: Any, fraction: float, validation_data: Any) -> DataLoader:
    """Take the last fraction of its samples from a loader of arrays; gives a loader of these."""
    if validation_data is not None:
        raise ValueError("fit: give validation_split or validation_data, not both")
    if y is None:
        raise ValueError("fit: validation_split needs arrays; give validation_data beside a loader")
    arrays, count = source.dataset.arrays, len(source.dataset)
    at = math.floor(count * (1 - fraction))
    if not 0 < at < count:
        raise ValueError(
            f"fit: validation_split={fraction} leaves {at} of {count} samples to train on and "
            f"{count - at} to validate with; both need at least one"
        )
    source.dataset = ArrayDataset(*[a[:at] for a in arrays])
    return DataLoader(ArrayDataset(*[a[at:] for a in arrays]), source.batch_size)


def first_batch(source: Any) -> Any:
    """The first batch, without changing what comes later."""
    if isinstance(source, DataLoader):
        if not len(source):
            raise ValueError(
                f"the loader has no batch: {len(source.dataset)} samples, batch_size="
                f"{source.batch_size}, drop_last={source.drop_last}"
            )
        return source.peek()
    if iter(source) is source:
        raise TypeError(
            "an iterator is used up after one pass; pass a DataLoader or another collection of "
            "batches that can be gone through again"
        )
    with generator_restored():
        try:
            return next(iter(source))
        except StopIteration:
            raise ValueError("the data are empty: there is no batch") from None


def parts_of(batch: Any, dtype: Any) -> tuple[list[Tensor], Array]:
    """The inputs of the model as tensors, and the targets as an array."""
    *inputs, y = batch
    return [model_input(x, dtype) for x in inputs], (
        y._data if type(y) is Tensor else _numeric_array(y)
    )


def model_input(x: Any, dtype: Any) -> Tensor:
    """One input as a tensor; floating-point numbers, booleans and uint8 images in this dtype."""
    tensor = as_tensor(x)
    given = tensor._data.dtype
    if given != dtype and (given.kind in "fb" or given == np.uint8):
        return Tensor(tensor._data.astype(dtype))
    return tensor


def _numeric_array(data: Any) -> Array:
    if isinstance(data, Tensor):
        return data.numpy()
    array = np.asarray(unmasked("targets", data)) if hasattr(data, "__array__") else as_array(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected arrays of numbers, got dtype {array.dtype}")
    return array
