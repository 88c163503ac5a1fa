"""Data sets, and the loader that gives their samples in batches, in a reproducible order.

The order of an epoch and the random numbers of its transforms depend only on one number drawn at
its start, so an interrupted epoch continues with the next batch, bit for bit.
"""

from __future__ import annotations

import functools
import mmap
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minigrad.data.samplers import Indices, Sampler, as_indices
from minigrad.data.transforms import apply
from minigrad.engine.printable import shown_settings
from minigrad.engine.random import default_generator, drawing_from
from minigrad.engine.settings import checked, entries
from minigrad.engine.tensor import Tensor, as_array, unmasked
from minigrad.engine.tree import map_leaves
from minigrad.lazy import load_late


class Dataset(Protocol):
    """The interface of a data set: a length, and samples by index.

    One that also has ``take(indices)`` gives many samples at once, stacked, which is faster.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...


def check_dataset(name: str, dataset: Any) -> None:
    """Raise TypeError if this is not a data set."""
    if isinstance(dataset, type):
        raise TypeError(
            f"{name}: expected a data set, got its class; write {dataset.__name__}(...)"
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            f"{name}: a data set needs a length and samples by index (__len__ and __getitem__), "
            f"got {type(dataset).__name__}"
        )


class ArrayDataset:
    """Arrays (or tensors) side by side: sample i is the tuple of row i of each.

    A memory map, as ``np.load(path, mmap_mode="r")`` gives it, is read row by row, so it may be
    larger than the memory.

    Raises ValueError if there is no array or their lengths differ.

    >>> data = ArrayDataset(np.eye(3), np.array([5, 6, 7]))
    >>> len(data), data[1]
    (3, (array([0., 1., 0.]), np.int64(6)))
    """

    arrays: tuple[NDArray[Any], ...]

    @checked()
    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ValueError("ArrayDataset: expected at least one array, got none")
        self.arrays = tuple(_as_rows(a, i) for i, a in enumerate(arrays))
        lengths = [str(len(a)) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"ArrayDataset: the arrays must have one length, got {' and '.join(lengths)}"
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __repr__(self) -> str:
        parts = ", ".join(f"{a.dtype} {a.shape}" for a in self.arrays)
        return f"ArrayDataset({parts})"

    def __getstate__(self) -> dict[str, Any]:
        # For worker processes that are not forked: a whole memory map is opened again.
        return {"arrays": [_opened_again(a) or a for a in self.arrays]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays: list[Any] = state["arrays"]
        self.arrays = tuple([a() if isinstance(a, functools.partial) else a for a in arrays])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple([a[index] for a in self.arrays])

    def take(self, indices: Indices) -> tuple[NDArray[Any], ...]:
        """The rows with these indices, copied."""
        if type(indices) is not np.ndarray or indices.dtype != np.int64:
            indices = as_indices("ArrayDataset.take", indices, len(self))
        return tuple([a.take(indices, axis=0) for a in self.arrays])


class Subset:
    """Some samples of another data set, given by their indices.

    ``indices`` (n,): integers, also repeated.

    >>> tens = Subset(ArrayDataset(np.arange(0, 50, 10)), [3, 1])
    >>> len(tens), int(tens[0][0])
    (2, 30)
    """

    @checked()
    def __init__(self, dataset: Dataset, indices: Any) -> None:
        check_dataset("Subset", dataset)
        self.dataset = dataset
        self.indices = as_indices("Subset", indices, len(dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {len(self.dataset)} samples)"

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def take(self, indices: Indices) -> tuple[NDArray[Any], ...]:
        """The samples with these indices, stacked."""
        if type(indices) is not np.ndarray or indices.dtype != np.int64:
            indices = as_indices("Subset.take", indices, len(self))
        batch = _collated(self.dataset, self.indices[indices])
        return batch if isinstance(batch, tuple) else (batch,)


class DataLoader:
    """Iterates over a data set in batches of tensors, like PyTorch's.

    ``dataset``: anything with ``len`` and ``[i]``, e.g. an :class:`ArrayDataset`, or one array.
    ``shuffle``: a new order each epoch. ``sampler``: which samples, in which order: a
    :class:`Sampler`, or indices. ``drop_last``: leave out a smaller last batch.
    ``seed`` or ``generator``: what determines the order; by default ``mg.manual_seed``.
    ``transform``: applied to the first array of each batch (images); a :class:`RandomTransform`
    draws from the loader's generator and so is reproducible, too, and :class:`MixUp` also changes
    the last array (targets). ``collate_fn``: makes a batch
    from a list of samples (:func:`default_collate`). ``prefetch``: how many batches a background
    thread prepares ahead. ``num_workers``: how many processes prepare them instead, each up to
    ``prefetch`` ahead, or 2. Neither changes the batches: for each of them, the transform and the
    data set draw from a generator of its own, also through ``mg.rand`` and its kind.

    ``state_dict()`` taken at any point and loaded into a loader with the same arguments continues
    with the next batch, bit for bit.

    An error in a worker is raised with notes of the sample and of the place where it happened;
    RuntimeError is raised for a worker that was killed. What a data set changes of itself in a
    worker is lost. Where processes are not forked (macOS, Windows), data set and functions are
    pickled for each of them, and a script needs ``if __name__ == "__main__":``.

    Raises ValueError for a batch size below 1, a negative ``prefetch``, a seed together with a
    generator or ``shuffle`` together with a sampler; TypeError for a data set without length.

    >>> loader = DataLoader(ArrayDataset(np.arange(5)), batch_size=2)
    >>> len(loader), [x.tolist() for x, in loader]
    (3, [[0, 1], [2, 3], [4]])
    """

    @checked(batch_size="[1, inf)", seed="[0, inf)", prefetch="[0, inf)", num_workers="[0, inf)")
    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Sampler | Collection[int] | None = None,
        drop_last: bool = False,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        transform: Callable[..., Any] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch: int = 0,
        num_workers: int = 0,
    ) -> None:
        if isinstance(dataset, (np.ndarray, Tensor)):
            dataset = ArrayDataset(dataset)
        check_dataset("DataLoader", dataset)
        if seed is not None and generator is not None:
            raise ValueError("DataLoader: give a seed or a generator, not both")
        if shuffle and sampler is not None:
            raise ValueError(
                "DataLoader: give shuffle or a sampler, not both: the sampler sets the order"
            )
        self.dataset: Dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.transform = transform
        self.collate_fn = collate_fn
        self.prefetch = prefetch
        self.num_workers = num_workers
        self._generator = generator if seed is None else np.random.default_rng(seed)
        #: The number that determines this epoch's order, and how many batches were given out.
        self._epoch_seed: int | None = None
        self._position = 0
        self._resumed = False
        #: Which process this is, of how many that share each batch.
        self._share: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        """How many batches there are; as many in every process that shares them."""
        fewest = most = self._samples()
        if isinstance(self.sampler, Sampler):
            fewest, most = self.sampler.shared_lengths()
        return fewest // self.batch_size if self.drop_last else -(-most // self.batch_size)

    def __repr__(self) -> str:
        of = f"{self._samples()} samples in {len(self)} batches of {self.batch_size}"
        settings = shown_settings(self).removeprefix("DataLoader(")
        return f"DataLoader({of}; {settings}"

    def _samples(self) -> int:
        """How many samples an epoch has."""
        return len(self.dataset if self.sampler is None else self.sampler)

    def __iter__(self) -> Iterator[Any]:
        if self._resumed:
            self._resumed = False
        else:
            self._position = 0
            draws = self.shuffle or isinstance(self.sampler, Sampler) or self._makes_own()
            generator = self._generator or default_generator()
            self._epoch_seed = int(generator.integers(2**63)) if draws else 0
        seed = self._epoch_seed or 0
        order = self._order(seed)
        numbers = range(self._position, len(self))
        make = functools.partial(self._arrays, order, seed)
        made: Iterator[Any]
        if self.num_workers:
            ahead = self.prefetch or 2
            workers = load_late("minigrad.data.workers")  # multiprocessing is slow to import
            made = workers.made_by_workers(make, numbers, seed, self.num_workers, ahead)
        else:
            made = map(make, numbers)
            made = _prefetched(made, self.prefetch) if self.prefetch else made
        return self._counted(made)

    def _makes_own(self) -> bool:
        """Whether code of the user's takes part in a batch, and may draw random numbers."""
        dataset = self.dataset
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
        plain = type(dataset) in (ArrayDataset, list, tuple)
        return not plain or self.transform is not None or self.collate_fn is not None

    def peek(self) -> Any:
        """A batch of the first samples, not shuffled; the loader stays as it is.

        Raises IndexError if there is no sample.
        """
        count = min(self.batch_size, self._samples())
        if not count:
            raise IndexError("DataLoader: the data set is empty")
        chosen = np.arange(count) if self.sampler is None else self._order(0)[:count]
        return _tensors(self._arrays(chosen, 0, 0))

    def state_dict(self) -> dict[str, Any]:
        """The position of the loader: its generator, the order of this epoch, the batches given."""
        own = self._generator
        return {
            "generator": None if own is None else own.bit_generator.state,
            "epoch_seed": self._epoch_seed,
            "position": self._position,
            "samples": self._samples(),
            "batch_size": self.batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at the position of another loader.

        Raises ValueError if that one, in the middle of an epoch, had other data or batches.
        """
        entries("DataLoader.load_state_dict", state, *self.state_dict())
        mine = {"samples": self._samples(), "batch_size": self.batch_size}
        theirs = {key: state[key] for key in mine}
        if state["epoch_seed"] is not None and mine != theirs:
            raise ValueError(
                f"DataLoader: the saved state is inside an epoch of {theirs['samples']} samples "
                f"in batches of {theirs['batch_size']}; this loader has {mine['samples']} in "
                f"batches of {mine['batch_size']}"
            )
        if self._generator is not None and state["generator"] is not None:
            self._generator.bit_generator.state = state["generator"]
        self._epoch_seed, self._position = state["epoch_seed"], state["position"]
        self._resumed = self._epoch_seed is not None

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._position += 1
            yield _tensors(batch)
        self._epoch_seed, self._position = None, 0

    def _order(self, epoch_seed: int) -> Indices:
        """The indices of the samples of an epoch."""
        count = len(self.dataset)
        if self.sampler is None:
            order = np.arange(count)
            if self.shuffle:
                np.random.default_rng(epoch_seed).shuffle(order)
            return order
        if isinstance(self.sampler, Sampler):
            chosen: Any = self.sampler.order(np.random.default_rng(epoch_seed))
        else:
            chosen = list(self.sampler)
        order = as_indices(f"DataLoader: {type(self.sampler).__name__}", chosen, count)
        if len(order) != self._samples():
            raise ValueError(
                f"DataLoader: {type(self.sampler).__name__} has length {self._samples()} and gave "
                f"{len(order)} indices"
            )
        return order

    def _arrays(self, order: Indices, epoch_seed: int, number: int) -> Any:
        """Batch number so-and-so of the samples in this order, as nested arrays."""
        chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
        which, of = self._share
        chosen = chosen[which::of]
        if not len(chosen) and len(self.dataset):  # other processes have samples for this batch
            one = order[:1] if len(order) else np.zeros(1, np.int64)
            sample = self._batch(one, epoch_seed, number)
            return map_leaves(lambda a: a[:0] if isinstance(a, np.ndarray) else a, sample)
        return self._batch(chosen, epoch_seed, number)

    def _batch(self, chosen: Indices, epoch_seed: int, number: int) -> Any:
        if not self._makes_own():
            return _collated(self.dataset, chosen)
        # A generator for each batch: neither skipping nor workers change its numbers. Processes
        # that share the samples draw other numbers for theirs.
        which = self._share[0] or getattr(self.sampler, "rank", 0)
        generator = np.random.default_rng([epoch_seed, number, which])
        try:
            with drawing_from(generator):
                batch = _collated(self.dataset, chosen, self.collate_fn)
                if self.transform is not None:
                    batch = _transform_first(batch, self.transform, generator)
        except Exception as error:
            first = ", ".join(map(str, chosen[:8].tolist()))
            rest = ", ..." if len(chosen) > 8 else ""
            error.add_note(f"DataLoader: in batch {number}, of the samples {first}{rest}")
            raise
        return batch


def _collated(
    dataset: Any, chosen: Indices, collate_fn: Callable[[list[Any]], Any] | None = None
) -> Any:
    rows: Any = dataset
    if hasattr(rows, "take") and collate_fn is None:
        return rows.take(chosen)
    samples: list[Any] = []
    for i in chosen.tolist():
        try:
            samples.append(rows[i])
        except Exception as error:
            error.add_note(f"DataLoader: while reading sample {i}")
            raise
    return (collate_fn or default_collate)(samples)


@checked()
def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples to one batch: tuples, lists and dicts part by part; strings become a list.

    Raises ValueError if the shapes of the samples differ.

    >>> default_collate([(np.zeros(2), 0), (np.ones(2), 1)])
    (array([[0., 0.], [1., 1.]]), array([0, 1]))
    """
    if not len(samples):
        raise ValueError("default_collate: expected at least one sample, got none")
    first = samples[0]
    if isinstance(first, dict):
        keys: list[Any] = list(first)  # pyright: ignore[reportUnknownArgumentType]
        return {key: default_collate([s[key] for s in samples]) for key in keys}
    if isinstance(first, (tuple, list)):
        parts = [default_collate(part) for part in zip(*samples, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    if isinstance(first, str):
        return list(samples)
    shapes = {np.shape(s) for s in samples}
    if len(shapes) > 1:
        raise ValueError(
            f"DataLoader: samples of one batch must have one shape, got "
            f"{' and '.join(map(str, sorted(shapes)))}; pass collate_fn= to pad or crop them"
        )
    if isinstance(first, (np.ndarray, np.generic)):
        return np.stack([unmasked("DataLoader", sample) for sample in samples])
    return as_array([s.numpy() if isinstance(s, Tensor) else s for s in samples])


def _transform_first(batch: Any, transform: Callable[..., Any], generator: Any) -> Any:
    if not isinstance(batch, (tuple, list)):
        return apply(transform, batch, generator)[0]
    parts: list[Any] = list(batch)  # pyright: ignore[reportUnknownArgumentType]
    targets = parts[-1] if len(parts) > 1 else None
    parts[0], targets = apply(transform, parts[0], generator, targets)
    if len(parts) > 1:
        parts[-1] = targets
    return tuple(parts) if isinstance(batch, tuple) else parts


def _tensors(batch: Any) -> Any:
    if type(batch) is tuple:
        return tuple([Tensor(a) if type(a) is np.ndarray else _tensors(a) for a in batch])
    return map_leaves(lambda a: Tensor(as_array(a)) if isinstance(a, np.ndarray) else a, batch)


_END = object()


def _prefetched(batches: Iterator[Any], count: int) -> Iterator[Any]:
    """The same batches, prepared by a thread that is up to ``count`` batches ahead.

    An error in the thread is raised in place of its batch. The thread ends with the iteration, even
    if that ends early.
    """
    made: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(count)
    stop = threading.Event()

    def work() -> None:
        try:
            for batch in batches:
                made.put((batch, None))
                if stop.is_set():
                    return
            made.put((_END, None))
        except BaseException as error:  # noqa: BLE001 (it is raised again by the consumer)
            made.put((_END, error))

    thread = threading.Thread(target=work, name="minigrad-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = made.get()
            if error is not None:
                raise error
            if batch is _END:
                return
            yield batch
    finally:
        stop.set()
        while thread.is_alive():
            # Make room for the batch that the thread is adding; it checks `stop` right after.
            while not made.empty():
                made.get()
            thread.join(0.01)


def _opened_again(array: NDArray[Any]) -> Callable[[], NDArray[Any]] | None:
    """What opens a memory map again; None for other arrays, and for parts of one."""
    base: Any = array.base
    if not isinstance(array, np.memmap) or not isinstance(base, mmap.mmap):
        return None
    order = "C" if array.flags.c_contiguous else "F"
    place = (array.filename, array.dtype, "r", array.offset, array.shape, order)
    return functools.partial(np.memmap, *place)


def _as_rows(data: Any, number: int) -> NDArray[Any]:
    if isinstance(data, Tensor):
        data = data.numpy()
    array = unmasked("ArrayDataset", data) if isinstance(data, np.ndarray) else as_array(data)
    if array.ndim == 0:
        raise ValueError(f"ArrayDataset: array {number} is a single number and has no rows")
    return array
