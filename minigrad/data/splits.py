"""Random splits of data, such as into training and test sets.

A split draws from a seed or a generator, so that a run can be repeated; one of labelled samples can
keep the share of each label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.loader import ArrayDataset, Dataset, Subset, check_dataset
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked


@checked(seed="[0, inf)")
def random_split(
    dataset: Dataset,
    lengths: Sequence[float],
    *,
    seed: int | None = None,
    generator: np.random.Generator | None = None,
) -> list[Subset]:
    """Divide a data set at random into parts of these lengths, like PyTorch's.

    ``lengths``: numbers of samples, or fractions that add up to 1 (the first parts get
    what rounding leaves). Raises ValueError if they do not add up.

    >>> [len(part) for part in random_split(ArrayDataset(np.arange(10)), [0.7, 0.3])]
    [7, 3]
    """
    check_dataset("random_split", dataset)
    count = len(dataset)
    if any(n < 0 for n in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if all(isinstance(n, (int, np.integer)) for n in lengths):
        sizes = [int(n) for n in lengths]
        if sum(sizes) != count:
            raise ValueError(
                f"random_split: lengths {sizes} add up to {sum(sizes)}, the data set has {count}"
            )
    else:
        if not math.isclose(sum(lengths), 1.0):
            raise ValueError(
                f"random_split: expected whole numbers, or fractions that add up to 1, "
                f"got {list(lengths)}"
            )
        sizes = [math.floor(count * n) for n in lengths]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    order = _generator(seed, generator).permutation(count)
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - n : end]) for n, end in zip(sizes, ends, strict=True)]


@checked(seed="[0, inf)")
def train_test_split(
    *arrays: Any,
    test_size: float = 0.25,
    stratify: Any = None,
    seed: int | None = None,
    generator: np.random.Generator | None = None,
) -> list[NDArray[Any]]:
    """Divide arrays at random, like scikit-learn's: x_train, x_test, y_train, y_test, ...

    ``test_size``: a fraction, or a number of samples. ``stratify``: labels (N,) that then have the
    same frequency in both parts, up to one sample. Raises ValueError if lengths differ or a part
    would be empty.

    >>> x, y = np.arange(8), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y)
    >>> y_train, y_test
    (array([0, 0, 0, 1, 1, 1]), array([0, 1]))
    """
    dataset = ArrayDataset(*arrays)
    count = len(dataset)
    wanted = test_size if isinstance(test_size, int) else math.ceil(test_size * count)
    if not 0 < wanted < count:
        raise ValueError(
            f"train_test_split: test_size={test_size} leaves {wanted} of {count} samples for the "
            f"test part; both parts need at least one"
        )
    order = _generator(seed, generator).permutation(count)
    if stratify is not None:
        order = _stratified(order, np.asarray(stratify), wanted)
    test, train = np.sort(order[:wanted]), np.sort(order[wanted:])
    return [part for a in dataset.arrays for part in (a[train], a[test])]


def _stratified(order: NDArray[Any], labels: NDArray[Any], wanted: int) -> NDArray[Any]:
    """The same samples, where the first ``wanted`` have each label in proportion."""
    if labels.shape != order.shape:
        raise ValueError(
            f"train_test_split: stratify needs one label for each of the {len(order)} samples, "
            f"got shape {labels.shape}"
        )
    _, numbers, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    shares = counts * (wanted / len(order))
    quotas = np.floor(shares).astype(int)
    most_cut = np.argsort(quotas - shares, kind="stable")
    quotas[most_cut[: wanted - quotas.sum()]] += 1
    by_label = np.argsort(numbers, kind="stable")
    rank = np.empty_like(by_label)
    rank[by_label] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = rank < quotas[numbers]
    return np.concatenate([order[chosen], order[~chosen]])


def _generator(seed: int | None, generator: np.random.Generator | None) -> np.random.Generator:
    if seed is not None:
        return np.random.default_rng(seed)
    return generator or default_generator()
