"""The processes that train together: how many there are, and which one this is.

They are the ranks that ``mpiexec`` has started, and what they exchange goes through mpi4py. A
program that was started without ``mpiexec`` is alone: nothing here then needs MPI, or costs time.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pickle
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.distributed.herald import Herald
from minigrad.distributed.watch import Watch
from minigrad.kernels import blas
from minigrad.lazy import extra

Array = NDArray[Any]

#: What launchers (MPICH, Intel and Microsoft MPI; PMIx; Open MPI) give a process: its number, and
#: how many there are.
RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
#: With one of these set, the number of threads is the user's choice.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
#: How an exchange combines what the ranks give.
OPERATIONS = {"sum": "SUM", "mean": "SUM", "max": "MAX", "min": "MIN"}


class World:
    """The ranks of a program that mpiexec has started, and the exchanges between them.

    Every exchange is non-blocking underneath, so that a wait can be interrupted, and notices when
    another rank will never come (see ``watch.py``).
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi = mpi
        comm = mpi.COMM_WORLD
        self.rank: int = comm.rank
        self.size: int = comm.size
        # One for each kind of exchange. In a common one MPI may take the barrier of one rank for
        # a part of another's sum, and go on with wrong numbers.
        self.comm, self._broadcasts, self._gathers, self._barriers = (comm.Dup() for _ in range(4))
        node = comm.Split_type(mpi.COMM_TYPE_SHARED)
        _share_cores(node)
        self.herald = Herald(node, self.rank, self.size)
        self.watch = Watch(mpi, comm.Dup(), self.herald)
        #: Waits until requests are complete; its second argument names them in messages.
        self.wait = self.watch.wait
        node.Free()

    def reduce(self, array: Array, op: str, what: str) -> Array:
        """Combine arrays of all ranks by "sum", "mean", "max" or "min"; a new array."""
        # MPI knows no half precision, and no booleans.
        dtype = {"float16": np.float32, "bool": np.int8}.get(array.dtype.name, array.dtype)
        sent = np.array(array, dtype, order="C")
        operation = getattr(self.mpi, OPERATIONS[op])
        self.wait([self.comm.Iallreduce(self.mpi.IN_PLACE, sent, operation)], what)
        if op == "mean":
            sent = sent / self.size
        return sent if op == "mean" and array.dtype.kind != "f" else sent.astype(array.dtype)

    def broadcast(self, array: Array, root: int, what: str) -> None:
        """Write what rank ``root`` has in this contiguous array over what all others have."""
        self.wait([self._broadcasts.Ibcast(array.reshape(-1).view(np.uint8), root)], what)

    def barrier(self) -> None:
        """Wait until all ranks have come here."""
        self.wait([self._barriers.Ibarrier()], "barrier")

    def gather(self, value: Any, what: str) -> list[Any]:
        """The objects of all ranks, in their order, on all ranks."""
        sent = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.zeros(self.size, np.int64)
        self.wait([self._gathers.Iallgather(np.array([sent.size]), sizes)], what)
        found = np.empty(int(sizes.sum()), np.uint8)
        self.wait([self._gathers.Iallgatherv(sent, [found, sizes])], what)
        ends = np.cumsum(sizes)
        return [pickle.loads(found[e - n : e].tobytes()) for e, n in zip(ends, sizes)]  # noqa: S301 (of our own ranks)

    def send_to_all(self, value: Any, what: str) -> Any:
        """The object that rank 0 has, on all ranks."""
        return self.gather(value if self.rank == 0 else None, what)[0]

    def refuse_others(
        self, texts: list[str], kind: type[Exception], message: str, what: str
    ) -> None:
        """Raise on all ranks if one has other texts than rank 0; the message is about the first.

        It may hold {rank}, {here} for what that one has, and {there} for what rank 0 has.
        """
        gathered = self.gather(texts, what)
        for rank, theirs in enumerate(gathered):
            for here, there in itertools.zip_longest(theirs, gathered[0], fillvalue="nothing"):
                if here != there:
                    raise kind(message.format(rank=rank, here=here, there=there))


def _share_cores(node: Any) -> None:
    """Give BLAS, and our own threads, this rank's share of the cores of its machine."""
    if node.size < 2 or any(os.environ.get(name) for name in THREADS):
        return
    bound = hasattr(os, "sched_getaffinity")
    mine = frozenset(os.sched_getaffinity(0) if bound else range(os.cpu_count() or 1))
    sets = node.allgather(mine)
    sharing = sum(1 for other in sets if other & mine)  # a launcher may have bound each to its own
    blas.set_threads(max(1, len(mine) // sharing))


@functools.cache
def world() -> World | None:
    """The ranks of this program, or None if it runs alone.

    Raises ImportError under mpiexec without mpi4py, and RuntimeError if the two belong to
    different implementations of MPI.
    """
    mpi: Any = sys.modules.get("mpi4py.MPI")  # the program may have started MPI itself
    started = mpi is not None and mpi.Is_initialized() and mpi.COMM_WORLD.size > 1
    if not started and not any(name in os.environ for name in RANKS):
        return None
    mpi = extra("mpi4py.MPI", "mpi", "a program started by mpiexec")
    told = next((int(os.environ[name]) for name in SIZES if name in os.environ), 1)
    if told > 1 and mpi.COMM_WORLD.size == 1:
        version = mpi.Get_library_version().split("\n")[0].strip().rstrip("\0")
        raise RuntimeError(
            f"mpiexec has started {told} processes, but mpi4py uses another MPI ({version}) and "
            f"sees one. Start the program with the mpiexec of that MPI; pip install "
            f"'minigrad[mpi]' brings a pair that fits"
        )
    if mpi.COMM_WORLD.size == 1:
        return None
    made = World(mpi)
    atexit.register(_leave, made, os.getpid())
    sys.excepthook = functools.partial(_fail, made, os.getpid(), sys.excepthook)
    return made


def _leave(made: World, process: int) -> None:
    """Leave, unless this process is a fork of the one that joined."""
    if os.getpid() == process:
        made.watch.leave()
        made.herald.tell("bye")


def _fail(made: World, process: int, before: Any, kind: Any, error: Any, trace: Any) -> None:
    """Show the error that ends this rank, and end all others, which would wait for it for ever."""
    if os.getpid() != process:
        before(kind, error, trace)
        return
    # What all ranks have in common, such as a wrong argument, is shown by the first.
    if not made.watch.told.wait(0.0 if made.rank == 0 else 1.0):
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        before(kind, error, trace)
    interrupted = kind is KeyboardInterrupt
    what = "was interrupted" if interrupted else f"failed with {kind.__name__}"
    made.watch.fail(f"rank {made.rank} of {made.size} {what}", code=130 if interrupted else 1)
