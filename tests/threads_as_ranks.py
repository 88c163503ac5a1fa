"""Ranks that are threads of one process, so that what needs several can be tested without MPI.

``run(n, function)`` calls ``function`` in n threads, each of which is a rank to ``mg.distributed``.
The exchanges are those of mpi4py that the library uses, each complete when all ranks have come.
"""

import threading
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import numpy as np

from minigrad.distributed import data_parallel, exchange, sync_batch_norm
from minigrad.distributed.world import World
from minigrad.engine import tape, tensor

SECONDS = 30  # after which a rank counts as missing
OPERATIONS = {"SUM": np.add, "MAX": np.maximum, "MIN": np.minimum}


class Meeting:
    """One exchange: what each rank has brought."""

    def __init__(self):
        self.brought = {}
        self.done = threading.Event()


class Hall:
    """Where the ranks meet."""

    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()
        self.meetings = {}
        self.failed = threading.Event()

    def come(self, key, kind, rank, arrays, finish):
        with self.lock:
            meeting = self.meetings.setdefault(key, Meeting())
            assert all(other == kind for other, _ in meeting.brought.values()), (kind, meeting)
            meeting.brought[rank] = kind, arrays
            if len(meeting.brought) == self.size:
                finish([meeting.brought[r][1] for r in range(self.size)])
                meeting.done.set()
        return meeting.done


class Comm:
    def __init__(self, hall, rank, name="world"):
        self.hall, self.rank, self.size, self.name = hall, rank, hall.size, name
        self.calls = self.copies = 0

    def Dup(self):
        self.copies += 1
        return Comm(self.hall, self.rank, f"{self.name}.{self.copies}")

    def _come(self, kind, arrays, finish):
        self.calls += 1
        return self.hall.come((self.name, self.calls), kind, self.rank, arrays, finish)

    def Iallreduce(self, _in_place, array, op):
        def finish(arrays):
            assert len({(a.shape, a.dtype) for a in arrays}) == 1
            total = OPERATIONS[op].reduce(arrays)
            for a in arrays:
                a[...] = total

        return self._come(("allreduce", op), array, finish)

    def Ibcast(self, array, root):
        def finish(arrays):
            for a in arrays:
                a[...] = arrays[root]

        return self._come(("bcast", root), array, finish)

    def Iallgather(self, sent, found):
        def finish(pairs):
            for _, into in pairs:
                into[...] = np.concatenate([given for given, _ in pairs])

        return self._come("allgather", (sent, found), finish)

    def Iallgatherv(self, sent, found):
        return self.Iallgather(sent, found[0])

    def Ibarrier(self):
        return self._come("barrier", None, lambda _: None)


class ThreadWorld(World):
    def __init__(self, hall, rank):
        request = SimpleNamespace(Testall=lambda requests: all(r.is_set() for r in requests))
        self.mpi = SimpleNamespace(IN_PLACE=None, Request=request, **{op: op for op in OPERATIONS})
        self.rank, self.size = rank, hall.size
        self.comm, self._broadcasts, self._gathers, self._barriers = (
            Comm(hall, rank, name) for name in ("sums", "broadcasts", "gathers", "barriers")
        )

    def wait(self, requests, what):
        hall = self.comm.hall
        for request in requests:
            waited = 0.0
            while not request.wait(0.02):
                waited += 0.02
                if waited > SECONDS or hall.failed.is_set():
                    raise TimeoutError(f"rank {self.rank} waits in {what} and others do not come")


class OwnReducers(list):
    """The reducers of the thread that asks."""

    def __init__(self):
        self.local = threading.local()

    def _mine(self):
        return self.local.__dict__.setdefault("reducers", [])

    def append(self, one):
        self._mine().append(one)

    def __setitem__(self, where, values):
        self._mine()[where] = values

    def __iter__(self):
        return iter(self._mine())

    def __len__(self):
        return len(self._mine())


def run(size, function):
    """What ``function`` returns in each rank; raises what the first rank raised that did."""
    hall, local, reducers = Hall(size), threading.local(), OwnReducers()
    found, errors = [None] * size, [None] * size

    def work(rank):
        local.world = ThreadWorld(hall, rank)
        try:
            found[rank] = function()
        except BaseException as error:  # noqa: BLE001 (it is raised again)
            errors[rank] = error
            hall.failed.set()

    with ExitStack() as stack:
        for module in (data_parallel, exchange, sync_batch_norm):
            stack.enter_context(mock.patch.object(module, "world", lambda: local.world))  # noqa: PT008 (of each thread)
        for module in (data_parallel, tensor, tape):
            stack.enter_context(mock.patch.object(module, "REDUCERS", reducers))
        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, TimeoutError)):
        raise error
    return found
