"""The samples of an epoch, shared out to the ranks.

All ranks draw the same order from the same seed, and each takes its own part of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.samplers import Sampler, length_of
from minigrad.distributed.exchange import rank as own_rank, world_size
from minigrad.engine.settings import checked


class DistributedSampler(Sampler):
    """This rank's share of the samples: each sample comes once an epoch, on one of the ranks.

    ``dataset``: anything with a length. All ranks draw the same order, from ``seed`` and the
    number of the epoch, which :meth:`set_epoch` sets, and rank r takes the samples r, r + N,
    r + 2N, ... of it. So the batches of B / N samples that the ranks get at the same time are
    together the batch of B that one process would get. Where the number of samples is no multiple
    of N, some ranks have one less, and a DataLoader gives all ranks the same number of batches:
    the last one may be smaller than those of others, or empty. ``DataParallel`` weights each by
    its samples. ``drop_last``: leave out the samples that do not divide evenly.

    ``contiguous``: each rank keeps to its own part of the data, and shuffles inside it. Data on
    disk that do not fit in memory are then read by one rank only.

    Raises ValueError for a rank out of range.

    >>> data = range(5)
    >>> shares = [DistributedSampler(data, num_replicas=2, rank=r, shuffle=False) for r in (0, 1)]
    >>> [share.order().tolist() for share in shares]
    [[0, 2, 4], [1, 3]]
    """

    @checked(num_replicas="[1, inf)", rank="[0, inf)", seed="[0, inf)")
    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        *,
        contiguous: bool = False,
    ) -> None:
        count = length_of("DistributedSampler", dataset)
        self.num_replicas = world_size() if num_replicas is None else num_replicas
        self.rank = own_rank() if rank is None else rank
        if self.rank >= self.num_replicas:
            raise ValueError(
                f"DistributedSampler: rank must be below num_replicas={self.num_replicas}, "
                f"got {self.rank}"
            )
        self.count = count - count % self.num_replicas if drop_last else count
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.contiguous = contiguous
        self.epoch = 0

    @checked(epoch="[0, inf)")
    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch, on which the order depends. Call it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.count, self.num_replicas))

    def shared_lengths(self) -> tuple[int, int]:
        """The numbers of samples of the rank that has the fewest, and of the one with the most."""
        return self.count // self.num_replicas, -(-self.count // self.num_replicas)

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """This rank's indices in this epoch; those of all ranks come from one order."""
        order = np.arange(self.count)
        if self.contiguous:
            # Rank r has as many samples as in the other case, but neighbours.
            mine = np.array_split(order, self.num_replicas)[self.rank]
            if self.shuffle:
                np.random.default_rng([self.seed, self.epoch, self.rank]).shuffle(mine)
            return mine
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        return order[self.rank :: self.num_replicas]
