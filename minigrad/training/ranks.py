"""What a Trainer does on several processes: it shares out each batch, and adds up what they find.

``Alone`` is a program of one process, and the base of ``Together``. The ranks take the same steps,
with the same callbacks, on their shares of the same batches. So they come to every exchange
together, and hold the same parameters, history and decisions; the first one shows and writes them.
"""

# ruff: noqa: D102 (a method has its docstring where it is defined first)
from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
import itertools
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from minigrad.data.loader import DataLoader
from minigrad.distributed import DataParallel, DistributedSampler, SyncBatchNorm
from minigrad.distributed.world import World, world
from minigrad.engine.random import default_generator
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import map_leaves
from minigrad.lazy import extra
from minigrad.nn.module import Module
from minigrad.training.metrics import Metric, RunningMeans

#: A block that does nothing.
NOTHING = contextlib.nullcontext()
Generators = dict[str, np.random.Generator]


class Alone:
    """The only process of a program."""

    #: Whether this process shows progress and writes files.
    first = True
    several = False

    @contextlib.contextmanager
    def training(self, model: Module, metrics: list[Metric], *sources: Any) -> Generator[None]:
        """A block in which the model is trained on one source and judged on others."""
        yield

    def batches(self, source: Any) -> Iterator[Any]:
        """This process's share of each batch."""
        return iter(source)

    def steps(self, source: Any, done: int, epoch: int, own: Generators) -> Iterator[Any]:
        """This process's share of each batch of an epoch, after those that were trained on.

        ``own``: the random generators of modules.
        """
        # A DataLoader that continues an epoch skips the finished batches by itself.
        behind = 0 if isinstance(source, DataLoader) else done
        return itertools.islice(self.batches(source), behind, None)

    def end_steps(self) -> None:
        """The steps of an epoch are over."""

    def generator_state(self) -> Any:
        """The state of the library's generator that a checkpoint holds."""
        return default_generator().bit_generator.state

    def counted(self, samples: int) -> int:
        """The number of samples of all shares of a batch."""
        return samples

    def passing(self, samples: int, sends: bool) -> AbstractContextManager[None]:
        """A block with the backward pass of a share; ``sends``: a step follows."""
        return NOTHING

    def forward_without_samples(self, loss: Callable[[], Tensor]) -> Tensor | None:
        """Take part in a forward pass for which only other processes have samples."""

    def backward_without_samples(self, loss: Tensor | None) -> None:
        """Take part in the backward pass that follows."""

    def send(self) -> None:
        """Send the gradients that passes without a step have left."""

    def apart(self) -> AbstractContextManager[None]:
        """A block in which backward passes are of no concern to other processes."""
        return NOTHING

    def first_told(self, text: str) -> str:
        """The text of the first process that has one."""
        return text

    def every(self, flag: bool) -> bool:
        """Whether the flag is set in all processes."""
        return flag

    def logs(self, running: RunningMeans) -> dict[str, Any]:
        """The values of an epoch, of all shares."""
        return running.logs()

    def gather(self, running: RunningMeans) -> None:
        """Leave the sums of all shares in the first process, whose state is saved."""

    def interrupts(self, check: Callable[[], None]) -> Callable[[], None]:
        """A check that raises KeyboardInterrupt in all processes after the same step."""
        return check

    def read(self, load: Callable[[], Any]) -> Any:
        """What the first process reads; its error is raised in all."""
        return load()

    def keep(self, running: RunningMeans) -> None:
        """Take over the sums of a saved run, which count once."""


ALONE = Alone()


class Together(Alone):
    """One of several ranks. What is not told here, :class:`Alone` tells."""

    several = True

    def __init__(self, found: World) -> None:
        self._world = found
        self.first = found.rank == 0
        self._parallel: Any = None  # the model, once it is trained
        self._common: Any = None  # the state of the generator that all ranks share
        self._flag: Any = None
        self._request: Any = None

    @contextlib.contextmanager
    def training(self, model: Module, metrics: list[Metric], *sources: Any) -> Generator[None]:
        """Share out the sources, copy rank 0's values and random numbers."""
        for one in metrics:
            if type(one).merge is Metric.merge:
                raise TypeError(
                    f"Trainer: metric {one.name!r} is summed on each rank, and has no "
                    f"merge(other) that would add up the sums"
                )
        if getattr(self._parallel, "module", None) is not model:
            self._parallel = DataParallel(model)
        else:
            self._parallel._copy_values(self._world)
        self._sync = any(isinstance(one, SyncBatchNorm) for one in model.modules())
        what = "the start of training"
        self._world.refuse_others(
            [_size(source) for source in sources],
            ValueError,
            "Trainer: rank {rank} was given {here}, rank 0 {there}. Give all ranks the same data; "
            "each takes its share of every batch",
            what,
        )
        generator = default_generator().bit_generator
        generator.state = self._world.send_to_all(generator.state, what)
        shared = [one for one in sources if isinstance(one, DataLoader)]
        shared = [one for one in shared if not isinstance(one.sampler, DistributedSampler)]
        try:
            for loader in shared:
                loader._share = (self._world.rank, self._world.size)
            yield
            self._answer()
        finally:
            for loader in shared:
                loader._share = (0, 1)

    def batches(self, source: Any) -> Iterator[Any]:
        if isinstance(source, DataLoader):
            return iter(source)
        rows = slice(self._world.rank, None, self._world.size)

        def share(part: Any) -> Any:
            return part[rows] if isinstance(part, (Tensor, np.ndarray)) and part.ndim else part

        return map(functools.partial(map_leaves, share), source)

    def steps(self, source: Any, done: int, epoch: int, own: Generators) -> Iterator[Any]:
        """Give each rank random numbers of its own, which depend on epoch and step alone."""
        shares = super().steps(source, done, epoch, own)
        generator = default_generator().bit_generator
        self._common = generator.state
        # Drawn from a copy, so that the order of the data is that of a program of one process.
        drawn = int(np.random.Generator(copy.deepcopy(generator)).integers(2**63))
        for number, share in enumerate(shares, done):
            for i, one in enumerate([default_generator(), *own.values()]):
                seed = [drawn, epoch, number, self._world.rank, i]
                one.bit_generator.state = np.random.default_rng(seed).bit_generator.state
            yield share
        self.end_steps()

    def end_steps(self) -> None:
        """Go on with the random numbers that all ranks share."""
        if self._common is not None:
            default_generator().bit_generator.state = self._common
            self._common = None

    def generator_state(self) -> Any:
        return super().generator_state() if self._common is None else self._common

    def counted(self, samples: int) -> int:
        return int(self._world.reduce(np.array([samples]), "sum", "a batch")[0])

    def passing(self, samples: int, sends: bool) -> AbstractContextManager[None]:
        """Weight the pass by its samples, and send nothing if no step follows."""
        self._parallel._exchange.samples = float(samples)
        return NOTHING if sends else self._parallel.no_sync()

    def forward_without_samples(self, loss: Callable[[], Tensor]) -> Tensor | None:
        if not self._sync:
            return None
        with _means_of_nothing():
            return loss()

    def backward_without_samples(self, loss: Tensor | None) -> None:
        if loss is None:
            self._parallel.skip()
            return
        with _means_of_nothing():
            loss.backward()

    def send(self) -> None:
        self._parallel.skip()

    def apart(self) -> AbstractContextManager[None]:
        return self._parallel._exchange.flagged("paused") if self._parallel else NOTHING

    def first_told(self, text: str) -> str:
        return next((t for t in self._world.gather(text, "the cause of a divergence") if t), "")

    def every(self, flag: bool) -> bool:
        return bool(self._world.reduce(np.array([flag]), "min", "a decision")[0])

    def logs(self, running: RunningMeans) -> dict[str, Any]:
        return self._merged(running).logs()

    def gather(self, running: RunningMeans) -> None:
        total, batches = self._merged(running), running.batches
        running.load_state_dict(total.state_dict())
        running.batches = batches
        self.keep(running)

    def _merged(self, running: RunningMeans) -> RunningMeans:
        states = self._world.gather(running.state_dict(), "the values of an epoch")
        total = RunningMeans(copy.deepcopy(running.metrics))
        for state in states:
            part = RunningMeans(copy.deepcopy(running.metrics))
            part.load_state_dict(state)
            total.merge(part)
        return total

    def interrupts(self, check: Callable[[], None]) -> Callable[[], None]:
        """Agree on whether a rank was interrupted: the answer to one check comes with the next."""

        def agreed() -> None:
            pressed = False
            try:
                check()
            except KeyboardInterrupt:
                pressed = True
            self._answer()
            mpi = self._world.mpi
            self._flag = np.array([pressed], np.int8)
            comm = self._parallel._exchange.comm
            self._request = comm.Iallreduce(mpi.IN_PLACE, self._flag, mpi.MAX)

        return agreed

    def _answer(self) -> None:
        """Raise KeyboardInterrupt if some rank had been interrupted by the last step."""
        if self._request is not None:
            self._world.wait([self._request], "the end of a step")
            self._request = None
            if self._flag[0]:
                raise KeyboardInterrupt

    def read(self, load: Callable[[], Any]) -> Any:
        found: Any = None
        error: Exception | None = None
        if self.first:
            try:
                found = load()
            except (OSError, ValueError, TypeError) as failed:
                error = failed
        found, error = self._world.send_to_all((found, error), "reading a checkpoint")
        if error is not None:
            raise error
        return found

    def keep(self, running: RunningMeans) -> None:
        if not self.first:
            batches = running.batches
            running.reset()
            running.batches = batches


@contextlib.contextmanager
def _means_of_nothing() -> Generator[None]:
    """A block without the warnings that come where there are no samples."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _size(source: Any) -> str:
    """How many samples and batches there are, as text; "" where that is not known."""
    try:
        samples = f"{len(source.dataset)} samples in " if isinstance(source, DataLoader) else ""
        return f"{samples}{len(source)} batches"
    except TypeError:
        return ""


def ranks_for(distributed: Any) -> Alone:
    """The other processes of a Trainer.

    ``True``: those that mpiexec has started, and ImportError without mpi4py; "auto": also without
    it, when the program was not started by mpiexec.
    """
    if distributed is True and importlib.util.find_spec("mpi4py") is None:
        extra("mpi4py", "mpi", "Trainer: distributed=True")
    found = world() if distributed else None
    return Alone() if found is None else Together(found)
