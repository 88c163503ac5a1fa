"""The exchange of gradients: flat arrays of many of them, on their way while the pass goes on.

Small messages cost their latency, so gradients are gathered in buckets. A bucket is sent as soon as
all its gradients are complete, which the last layers' are first. The gradients that the optimizer
then reads are views of it: nothing is copied back.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.distributed.world import World
from minigrad.engine.node import Leaf, Node
from minigrad.engine.parameter import Parameter
from minigrad.engine.tensor import Tensor

Array = NDArray[Any]

WHAT = "the exchange of gradients"


class Bucket:
    """Gradients of one dtype end to end, and behind them for each whether some rank has it."""

    def __init__(self, params: list[Parameter]) -> None:
        self.params = params
        self.dtype = np.dtype(np.float32) if params[0].dtype == np.float16 else params[0].dtype
        self.bounds: list[int] = [0, *np.cumsum([p.size for p in params]).tolist()]

    def begin(self, expected: set[int]) -> None:
        """A pass begins that will give the gradients of these parameters (ids)."""
        self.given: list[Any] = [None] * len(self.params)
        self.missing = sum(id(p) in expected for p in self.params)
        self.sent = False

    def fill(self, share: float, earlier: float, accumulate: bool) -> Array:
        """A new flat array: this rank's part of the mean of each gradient.

        ``share``: the weight of this pass among those of all ranks; ``earlier``: that of what the
        parameters hold already, if the pass adds to it.
        """
        flat = self.flat = np.empty(self.bounds[-1] + len(self.params), self.dtype)
        for i, (p, g) in enumerate(zip(self.params, self.given, strict=True)):
            part = flat[self.bounds[i] : self.bounds[i + 1]]
            old = p.grad if accumulate else None
            use = g is not None and share > 0.0  # without samples, a gradient may be NaN
            if g is not None and use:
                np.multiply(g.reshape(-1), share, out=part, casting="same_kind")
            else:
                part.fill(0.0)
            if old is not None:
                part += old._data.reshape(-1) * np.asarray(earlier, part.dtype)
            flat[self.bounds[-1] + i] = use or old is not None
        self.given = []
        return flat

    def results(self) -> Iterable[tuple[Parameter, Tensor | None]]:
        """Each parameter with its mean gradient: None where no rank has one."""
        has = self.flat[self.bounds[-1] :] > 0.0
        for i, p in enumerate(self.params):
            part = self.flat[self.bounds[i] : self.bounds[i + 1]].reshape(p.shape)
            yield p, Tensor(part.astype(p.dtype, copy=False), None) if has[i] else None


def split(params: list[Parameter], size: int) -> list[Bucket]:
    """The parameters, last ones first, in buckets of one dtype and of about ``size`` bytes."""
    made: dict[Any, list[list[Parameter]]] = {}
    for p in reversed(params):
        groups = made.setdefault(p.dtype, [[]])
        if groups[-1] and sum(q._data.nbytes for q in groups[-1]) + p._data.nbytes > size:
            groups.append([])
        groups[-1].append(p)
    return [Bucket(group) for groups in made.values() for group in groups]


class Exchange:
    """A :class:`~minigrad.engine.backward.Reducer` that averages gradients over all ranks.

    Each rank's gradient counts by the samples of its batch, so that the mean is the gradient of
    the batches of all ranks taken as one.
    """

    def __init__(
        self, world: World, params: list[Parameter], buffers: list[Tensor], size: int
    ) -> None:
        self.world = world
        self.comm = world.comm.Dup()  # of its own, so that no other exchange comes between
        self.params = params
        self.buffers = buffers
        self.samples = math.nan  # of the last forward pass
        #: Gradients stay here until a later pass sends them.
        self.held_back = False
        #: Passes are of no concern to other ranks.
        self.paused = False
        self._buckets = split(params, size)
        self._place = {id(p): (b, i) for b in self._buckets for i, p in enumerate(b.params)}
        self._nodes: dict[Node, Parameter] = {}
        self._active = self._failed = False
        self._requests: list[Any] = []
        self._seen = [b._data for b in buffers]
        self._moving: list[Tensor] | None = None

    # -- the reducer -------------------------------------------------------------------------------

    def begin(self, leaves: set[Node], *, accumulate: bool, recorded: bool) -> Iterable[Node]:
        """A pass begins: agree on the weights, and say which gradients are wanted."""
        nodes = ((p._node, p) for p in self.params)
        self._nodes = {node: p for node, p in nodes if node is not None and node in leaves}
        self._failed |= self._active  # an error has ended the pass before it was finished
        self._active = False
        if not self._nodes or self.paused or (recorded and not accumulate):
            return ()
        self._refuse_after_error()
        if recorded:
            raise RuntimeError(
                "DataParallel: a recorded pass (create_graph=True, or backward() under an open "
                "tape) leaves its gradients on each rank; take them with tape.gradient, and "
                "average them with mg.distributed.all_reduce(g, 'mean')"
            )
        if math.isnan(self.samples):
            raise RuntimeError(
                "DataParallel: backward() has reached its parameters, but nothing has gone through "
                "it, so the samples of this rank are not known: call the DataParallel itself, and "
                "not the model in it"
            )
        self._start(accumulate)
        return () if self.held_back else self._nodes

    def _refuse_after_error(self) -> None:
        if self._failed:
            raise RuntimeError(
                "DataParallel: a backward pass of this rank has ended with an error, and "
                "the messages of the ranks no longer belong together: let the program end, and "
                "resume it from a checkpoint"
            )

    def _start(self, accumulate: bool) -> None:
        self._active = True
        self._accumulate = accumulate
        self._total = np.array([self.samples])
        mpi = self.world.mpi
        self._requests = [self.comm.Iallreduce(mpi.IN_PLACE, self._total, mpi.SUM)]
        self._next = 0
        expected = {id(p) for p in self._nodes.values()}
        for bucket in self._buckets:
            bucket.begin(expected)

    def ready(self, leaf: Node, g: Any) -> None:
        """Keep a gradient, and send the buckets that are complete, always in the same order."""
        bucket, i = self._place[id(self._nodes[leaf])]
        bucket.given[i] = g
        bucket.missing -= 1
        if bucket.missing == 0:
            self._send()
        elif self._requests:
            self.world.mpi.Request.Testall(self._requests)  # MPI moves on only when it is called

    def finish(self, sums: dict[Node, Any]) -> None:
        """Wait for all means, and put them in place of this rank's gradients."""
        if not self._active:
            return
        self._active = False
        if self.held_back:
            share = self._share() * self.world.size
            for leaf in self._nodes if share != 1.0 else ():
                if leaf in sums:
                    g = np.asarray(sums[leaf])
                    scaled = g * np.asarray(share, g.dtype) if share else np.zeros_like(g)
                    sums[leaf] = Tensor(scaled, None)
            return
        for leaf, p in self._nodes.items():
            bucket, i = self._place[id(p)]
            if not bucket.sent:
                bucket.given[i] = sums.get(leaf)
                bucket.missing = 0
        self._send()
        self.world.wait(self._requests, WHAT)
        self._requests = []
        for bucket in self._buckets:
            for p, mean in bucket.results():
                node = p._node
                if type(node) is not Leaf or not (self._accumulate or node in self._nodes):
                    continue
                sums.pop(node, None)
                if mean is not None:
                    sums[node] = mean
                    if self._accumulate:
                        node.grad = None  # it is in the mean
        start = 0
        for b in self._moving or ():
            b.assign(self._buffer_values[start : start + b.size].reshape(b.shape))
            start += b.size

    # -- sending -----------------------------------------------------------------------------------

    def _share(self) -> float:
        """The weight of this rank's batch among those of all ranks."""
        self.world.wait(self._requests[:1], WHAT)
        total = float(self._total[0])
        return self.samples / total if total else 1.0 / self.world.size

    def _send(self) -> None:
        mpi = self.world.mpi
        while self._next < len(self._buckets) and self._buckets[self._next].missing == 0:
            bucket = self._buckets[self._next]
            flat = bucket.fill(self._share(), 1.0 / self.world.size, self._accumulate)
            bucket.sent = True
            self._next += 1
            self._requests.append(self.comm.Iallreduce(mpi.IN_PLACE, flat, mpi.SUM))
            if self._next == len(self._buckets):
                self._send_buffers()

    def _send_buffers(self) -> None:
        """Send what a training step has changed in the buffers, such as running statistics."""
        if not self.buffers:
            return
        if self._moving is None:  # which they are, is agreed on in the first step
            changed = [b._data is not before for b, before in zip(self.buffers, self._seen)]
            agreed = self.world.reduce(np.array(changed), "max", WHAT)
            self._moving = [b for b, moves in zip(self.buffers, agreed) if moves]
            self._seen = []
        if self._moving:
            share = self._share()
            parts = [b._data.reshape(-1) for b in self._moving]
            self._buffer_values = np.concatenate(parts).astype(np.float64)
            self._buffer_values *= share
            mpi = self.world.mpi
            request = self.comm.Iallreduce(mpi.IN_PLACE, self._buffer_values, mpi.SUM)
            self._requests.append(request)

    @contextlib.contextmanager
    def flagged(self, flag: str) -> Generator[None]:
        """A block in which ``held_back`` or ``paused`` is set."""
        before = getattr(self, flag)
        setattr(self, flag, True)
        try:
            yield
        finally:
            setattr(self, flag, before)

    def take_part(self) -> None:
        """Make the exchange of a step without a batch, which other ranks have."""
        self._failed |= self._active
        self._refuse_after_error()
        self._nodes = {}
        before, self.samples = self.samples, 0.0
        try:
            self._start(accumulate=True)
            means: dict[Node, Any] = {}
            self.finish(means)
        finally:
            self.samples = before
        for node, mean in means.items():
            if isinstance(node, Leaf):
                node.grad = mean
