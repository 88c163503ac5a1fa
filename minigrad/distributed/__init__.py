"""Training on several processes, on one machine or many, over MPI.

``mpiexec -n 4 python train.py`` starts a program four times. Each of the processes, a rank, takes
its share of every batch, and :class:`DataParallel` averages the gradients, so that all ranks take
the step that one process would take with the whole batch. It needs ``pip install minigrad[mpi]``.
A program started without mpiexec runs alone, with the same code.
"""

from minigrad.distributed.data_parallel import DataParallel
from minigrad.distributed.exchange import all_reduce, barrier, broadcast, rank, world_size
from minigrad.distributed.sampler import DistributedSampler
from minigrad.distributed.sync_batch_norm import SyncBatchNorm, convert_sync_batchnorm

__all__ = [
    "rank", "world_size", "all_reduce", "broadcast", "barrier",
    "DataParallel", "DistributedSampler", "SyncBatchNorm", "convert_sync_batchnorm",
]  # fmt: skip
