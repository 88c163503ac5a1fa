"""Samplers: which samples an epoch takes, and in which order, for ``DataLoader(sampler=)``.

The order depends on nothing but the sampler and the generator that it is given, which the loader
seeds anew for each epoch. So an epoch that was interrupted continues where it was, every worker
process finds the same batches, and all processes of a distributed run can agree on one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.printable import shown_settings
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_array, unmasked

Indices = NDArray[np.int64]


class Sampler:
    """Base of samplers: write ``draw(generator)`` and ``__len__``.

    Iterating over a sampler gives the indices of one epoch, drawn with ``mg.manual_seed``. Raises
    NotImplementedError for a method that a subclass does not define.

    >>> class EveryOther(Sampler):
    ...     def __init__(self, count):
    ...         self.count = count
    ...     def __len__(self):
    ...         return -(-self.count // 2)
    ...     def draw(self, generator):
    ...         return np.arange(0, self.count, 2)
    >>> list(EveryOther(7))
    [0, 2, 4, 6]
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__ method")

    def shared_lengths(self) -> tuple[int, int]:
        """The lengths of the shortest and the longest share, where processes share an epoch.

        >>> RandomSampler([10, 20, 30]).shared_lengths()
        (3, 3)
        """
        return len(self), len(self)

    @checked()
    def order(self, generator: np.random.Generator | None = None) -> Indices:
        """The indices of one epoch, random ones with numbers from the generator."""
        return np.asarray(self.draw(generator or default_generator()))

    def draw(self, generator: np.random.Generator) -> Any:
        """The indices of one epoch, ``len(self)`` of them; written by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no draw method")

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __repr__(self) -> str:
        return shown_settings(self)


class RandomSampler(Sampler):
    """All samples in a random order; with ``replacement`` any of them, also several times.

    ``data_source``: the data set, of which only the length counts. ``num_samples``: how many to
    draw, by default as many as there are. Raises ValueError for more than that without replacement,
    TypeError for a data set without length.

    >>> sorted(RandomSampler([10, 20, 30]))
    [0, 1, 2]
    """

    @checked(num_samples="[0, inf)")
    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None
    ) -> None:
        self.count = length_of("RandomSampler", data_source)
        self.replacement = replacement
        self.num_samples = self.count if num_samples is None else num_samples
        _check_number(self, self.count, "samples")

    def __len__(self) -> int:
        return self.num_samples

    def draw(self, generator: np.random.Generator) -> Indices:
        """The indices of one epoch."""
        if self.replacement:
            return generator.integers(self.count, size=self.num_samples)
        return generator.permutation(self.count)[: self.num_samples]


class SubsetRandomSampler(Sampler):
    """These samples in a random order.

    ``indices`` (n,): integers. Raises TypeError for anything else.

    >>> sorted(SubsetRandomSampler([4, 2, 9]))
    [2, 4, 9]
    """

    @checked()
    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = as_indices("SubsetRandomSampler", indices)

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, generator: np.random.Generator) -> Indices:
        """The indices of one epoch."""
        return generator.permutation(self.indices)


class WeightedRandomSampler(Sampler):
    """Samples drawn with these probabilities, so that rare classes come as often as others.

    ``weights`` (n,): one for each sample, of any sum. ``num_samples``: how many to draw. Without
    ``replacement`` none comes twice. Raises ValueError for negative weights, for weights of sum 0,
    and where too few of them are positive to draw from without replacement.

    >>> labels = np.array([0, 0, 0, 1])
    >>> balanced = WeightedRandomSampler(1 / np.bincount(labels)[labels], num_samples=1000)
    >>> drawn = labels[balanced.order(np.random.default_rng(0))]
    >>> bool(abs(drawn.mean() - 0.5) < 0.05)
    True
    """

    @checked(num_samples="[0, inf)")
    def __init__(self, weights: Any, num_samples: int, replacement: bool = True) -> None:
        array = np.asarray(weights._data if isinstance(weights, Tensor) else as_array(weights))
        if array.ndim != 1 or array.dtype.kind not in "fiub":
            raise TypeError(
                f"WeightedRandomSampler: weights must be numbers (n,), one for each sample, got "
                f"{array.dtype} of shape {array.shape}"
            )
        array = array.astype(np.float64)
        if not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
            raise ValueError(
                "WeightedRandomSampler: weights must be finite and not negative, and one of them "
                "above 0"
            )
        self.probabilities = array / array.sum()
        self.num_samples = num_samples
        self.replacement = replacement
        _check_number(self, int(np.count_nonzero(array)), "samples of a weight above 0")

    def __len__(self) -> int:
        return self.num_samples

    def draw(self, generator: np.random.Generator) -> Indices:
        """The indices of one epoch."""
        return generator.choice(
            len(self.probabilities), self.num_samples, self.replacement, self.probabilities
        )


def as_indices(name: str, indices: Any, count: int | None = None) -> Indices:
    """An int64 array of indices. Raises TypeError for other types, IndexError out of range."""
    array = np.asarray(unmasked(name, indices))
    if array.ndim != 1 or not (array.dtype.kind in "iu" or array.size == 0):
        raise TypeError(
            f"{name}: indices must be integers (n,), got {array.dtype} of shape {array.shape}"
        )
    if count is not None and array.size and not -count <= array.min() <= array.max() < count:
        raise IndexError(
            f"{name}: indices go up to {count - 1}, got {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def length_of(name: str, dataset: Any) -> int:
    """The number of samples of a data set; TypeError for anything without a length."""
    if not hasattr(dataset, "__len__"):
        raise TypeError(f"{name}: expected a data set with a length, got {type(dataset).__name__}")
    return len(dataset)


def _check_number(sampler: RandomSampler | WeightedRandomSampler, count: int, what: str) -> None:
    """Raise ValueError unless so many samples can be drawn."""
    wanted, name = sampler.num_samples, type(sampler).__name__
    if wanted > count and (not sampler.replacement or not count):
        raise ValueError(
            f"{name}: num_samples={wanted} cannot be drawn from {count} {what}"
            + ("; pass replacement=True" if count else "")
        )
