"""DataParallel: a model of which each rank has a copy, trained as one, after PyTorch's."""

from __future__ import annotations

import contextlib
import copy
import weakref
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from minigrad.distributed.buckets import Exchange
from minigrad.distributed.world import World, world
from minigrad.engine.backward import REDUCERS
from minigrad.engine.node import STATE
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import flatten
from minigrad.lazy import load_late
from minigrad.nn.module import Module


class DataParallel(Module):
    """A model whose gradients are averaged over all ranks, in each of which a copy of it trains.

    Each rank computes the gradients of its own samples. While the backward pass goes on, the
    gradients that are complete travel in buckets of ``bucket_size`` bytes; when ``backward()`` (or
    ``tape.gradient``) returns, all ranks have their mean, weighted by the number of samples, which
    is the length of the first input along ``batch_axis``. So N ranks that take B / N samples each
    train as one process does with B. The starting values are those of rank 0, and so are buffers;
    buffers that training changes, such as running statistics, are averaged with the gradients. A
    parameter that no rank uses in a step keeps the gradient None.

    Keep the DataParallel while you train, for nothing is exchanged without it, and call it once
    before each backward pass: its last call tells how many samples the rank has. The loss must be
    a mean over samples. Sums, and means by the weights of classes or without ignored labels, are
    averaged as if they were that. A rule that raises an error ends the exchange for good.

    ``module`` is the model itself: ``parallel.module.state_dict()``. In a program that was not
    started by mpiexec nothing is exchanged. After ``torch.nn.parallel.DistributedDataParallel``; Li
    et al., "PyTorch distributed", 2020.

    Raises RuntimeError, on all ranks and with the name of the first parameter that differs, if the
    models of the ranks are not alike, and ValueError for a model with lazy layers that has not run.

    >>> model = mg.distributed.DataParallel(nn.Linear(2, 1))
    >>> model(mg.ones((3, 2))).shape
    (3, 1)
    """

    __slots__ = ("_exchange",)

    @checked(bucket_size="[1, inf)")
    def __init__(self, module: Module, batch_axis: int = 0, bucket_size: int = 4_000_000) -> None:
        super().__init__()
        self.module = module
        self.batch_axis = batch_axis
        self.bucket_size = bucket_size
        self._exchange: Exchange | None = None
        found = world()
        if found is not None:
            self._join(found)

    def _join(self, found: World) -> None:
        """Compare the models, take over rank 0's values, and take part in backward passes."""
        module = self.module
        lazy = load_late("minigrad.nn.lazy").UninitializedParameter
        waiting = [name for name, p in module.named_parameters() if isinstance(p, lazy)]
        if waiting:
            raise ValueError(
                f"DataParallel: parameter {waiting[0]!r} is lazy: run one batch through the model "
                f"first"
            )
        tensors = (*module.named_parameters(), *module.named_buffers())
        found.refuse_others(
            [
                f"{name!r} {t.dtype} {t.shape}{'' if t.requires_grad else ', frozen'}"
                for name, t in tensors
            ],
            RuntimeError,
            "DataParallel: the model of rank {rank} differs from that of rank 0: where rank 0 has "
            "{there}, rank {rank} has {here}. All ranks must make the same model",
            "DataParallel (comparing the models)",
        )
        self._copy_values(found)
        params = [p for p in module.parameters() if p.requires_grad]
        buffers = [b for b in module.buffers() if b.dtype.kind == "f"]
        exchange = self._exchange = Exchange(found, params, buffers, self.bucket_size)
        REDUCERS[:] = [ref for ref in REDUCERS if ref() is not None]
        REDUCERS.append(weakref.ref(exchange))

    def _copy_values(self, found: World) -> None:
        """Take over rank 0's parameters and buffers."""
        for tensor in [*self.module.parameters(), *self.module.buffers()]:
            array = np.array(tensor._data, order="C")
            found.broadcast(array, 0, "DataParallel (the starting values)")
            tensor.assign(array)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module."""
        exchange = self._exchange
        if exchange is not None and STATE.get().recording:
            exchange.samples = float(_length((args, kwargs), self.batch_axis))
        return self.module(*args, **kwargs)

    def no_sync(self) -> AbstractContextManager[None]:
        """A block whose backward passes add to the gradients of this rank, and send nothing.

        The next pass outside sends the sum, which is cheaper than sending each part. It weights the
        sum by its own samples: share out all batches of a step in the same way.

        >>> model = mg.distributed.DataParallel(nn.Linear(2, 1))
        >>> with model.no_sync():
        ...     model(mg.ones((3, 2))).sum().backward()
        """
        exchange = self._exchange
        return contextlib.nullcontext() if exchange is None else exchange.flagged("held_back")

    def skip(self) -> None:
        """Take part in the exchange of a step for which this rank has no samples.

        >>> mg.distributed.DataParallel(nn.Linear(2, 1)).skip()
        """
        if self._exchange is not None:
            self._exchange.take_part()

    def __deepcopy__(self, memo: dict[int, Any]) -> DataParallel:
        return DataParallel(copy.deepcopy(self.module, memo), self.batch_axis, self.bucket_size)

    def extra_repr(self) -> str:
        """The settings that differ from the defaults."""
        return f"batch_axis={self.batch_axis}" if self.batch_axis else ""


def _length(args: Any, axis: int) -> int:
    """The length of the first array among these arguments; 1 if there is none."""
    for one in flatten(args):
        shape: tuple[int, ...] = one.shape if isinstance(one, (Tensor, np.ndarray)) else ()
        if len(shape) > axis:
            return shape[axis]
    return 1
