"""Weights of samples and classes in the loss of ``Trainer.fit``.

They follow Keras: the loss of each sample is multiplied by its weight, and the mean is taken over
the number of samples, not over the sum of the weights.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from minigrad import nn
from minigrad.engine.tensor import Tensor, plain, unmasked
from minigrad.training.losses import BINARY, CLASSES, IGNORED, OTHER, Loss

Array = NDArray[Any]


class Weighing:
    """The loss of a batch with weights: of its samples, of their classes, or both.

    ``class_weight``: a dict of class -> weight, an array of one for each class, "balanced", or
    None. ``labels``: all targets, for "balanced"; None if they are not at hand. Raises ValueError
    for a loss that does not tell the loss of each sample, and for weights that do not fit.
    """

    def __init__(self, loss: Loss, class_weight: Any, labels: Array | None) -> None:
        if loss.kind is OTHER:
            raise ValueError(
                f"fit: class_weight and sample_weight need the loss of each sample, which loss "
                f"{loss.name} does not give; name one of minigrad's, or weigh inside your function"
            )
        self.loss = loss
        self.of_samples = False  # whether the last part of a batch is the weights of its samples
        self.function, self.reduction = _of_each(loss.function)
        self.classes = None
        if class_weight is not None:
            if loss.kind not in (CLASSES, BINARY):
                raise ValueError(f"fit: class_weight needs a loss of classes, not {loss.name}")
            self.classes = _class_weights(class_weight, labels)

    def __call__(self, output: Tensor, target: Tensor, sample_weight: Tensor | None) -> Tensor:
        """The weighted loss of a batch."""
        each = self.function(output, target)
        counted = each.size
        weights = np.ones(each.shape, each.dtype)
        if self.loss.kind is CLASSES:
            counted -= int(np.count_nonzero(target._data == IGNORED))
        if self.classes is not None:
            count = output.shape[1] if self.loss.kind is CLASSES else 2
            weights = self._of_classes(target._data, count).astype(each.dtype).reshape(each.shape)
        if sample_weight is not None:
            of_samples = sample_weight._data.astype(each.dtype)
            weights = weights * of_samples.reshape(-1, *[1] * (each.ndim - 1))
        weighed: Tensor = (each * weights).sum()
        return weighed if self.reduction == "sum" else weighed * (1.0 / max(counted, 1))

    def _of_classes(self, target: Array, count: int) -> Array:
        """The weight of the class of each target, of so many classes."""
        known = cast("Array", self.classes)
        if len(known) > count:
            raise ValueError(
                f"fit: class_weight has a weight of class {len(known) - 1}, and the classes go "
                f"from 0 to {count - 1}"
            )
        labels = target.astype(np.int64)
        if (labels != target).any():
            raise ValueError("fit: class_weight needs targets that are classes, not probabilities")
        beyond = labels >= len(known)
        if beyond.any():
            raise ValueError(
                f"fit: class_weight has weights of the classes 0 to {len(known) - 1}, and y has "
                f"class {labels.max()}"
            )
        left_out = labels == IGNORED
        return np.where(left_out, 1.0, known[np.where(left_out, 0, labels)])


def checked_sample_weight(given: Any, count: int, split: bool) -> Array:
    """Weights of samples as an array (N,); of a split, those of the first part are taken.

    Raises ValueError if they do not fit.
    """
    weights = np.asarray(plain(unmasked("fit: sample_weight", given)))
    weights = weights[:count] if split and weights.ndim else weights
    if weights.shape != (count,) or weights.dtype.kind not in "fiub":
        raise ValueError(
            f"fit: sample_weight must be one number for each of the {count} samples, got "
            f"{weights.dtype} of shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("fit: sample_weight must be finite and not negative")
    return weights


def _of_each(function: Any) -> tuple[Any, str]:
    """The loss function without its reduction, and the reduction that it had."""
    if isinstance(function, nn.Module):
        alone: Any = copy.copy(function)
        reduction = alone.reduction
        alone.reduction = "none"
        return alone, reduction
    settings = function.keywords if isinstance(function, functools.partial) else {}
    return functools.partial(function, reduction="none"), settings.get("reduction", "mean")


def _class_weights(given: Any, labels: Array | None) -> Array:
    """The weight of each class, by its number."""
    if isinstance(given, str) and given == "balanced":
        if labels is None or labels.dtype.kind not in "iub" or labels.size == 0:
            raise ValueError(
                "fit: class_weight='balanced' counts the integer labels of arrays; beside a loader "
                "or other targets pass the weights, {class: weight}"
            )
        counts = np.bincount(labels[labels != IGNORED].astype(np.int64).ravel())
        present = np.count_nonzero(counts)
        return np.asarray(counts.sum() / (present * np.maximum(counts, 1)))
    if isinstance(given, Mapping):
        pairs: dict[Any, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        if not pairs or not all(isinstance(k, (int, np.integer)) and k >= 0 for k in pairs):
            raise ValueError(f"fit: class_weight must map class numbers to weights, got {given}")
        most = max(int(labels.max()) if labels is not None and labels.size else 0, *pairs)
        weights = np.ones(most + 1)
        for label, weight in pairs.items():
            weights[label] = weight
    else:
        weights = np.asarray(plain(unmasked("fit: class_weight", given)))
        if weights.ndim != 1 or weights.dtype.kind not in "fiu":
            raise ValueError(
                f"fit: class_weight must be a dict of class to weight, 'balanced', or one number "
                f"for each class, got {weights.dtype} of shape {weights.shape}"
            )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("fit: class_weight must be finite and not negative")
    return weights
