"""Batch normalisation over the batches of all ranks taken as one.

Sums over the ranks take the place of sums over the batch, in the gradient too, so that N ranks with
batches of b compute what one process with N * b does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.distributed.world import World, world
from minigrad.engine.custom_gradient import custom_gradient
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import flatten, map_leaves
from minigrad.nn.module import Module
from minigrad.nn.normalisation import BatchNorm1d, BatchNorm2d, _BatchNorm

WHAT = "SyncBatchNorm"


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation whose mean and variance are those of the batches of all ranks.

    Use it where the share of one rank is too small for statistics of its own. x (N, C), (N, C, L)
    or (N, C, H, W), with any N on each rank, to the same shape. The gradient goes through the
    exchange, so that inside :class:`DataParallel` all ranks train as one process with one
    :class:`minigrad.nn.BatchNorm2d` does. In evaluation, and in a program that was not started by
    mpiexec, it is that layer. After ``torch.nn.SyncBatchNorm``.

    Raises ValueError for other shapes, and in training for one value per channel on all ranks.

    >>> mg.distributed.SyncBatchNorm(3)(mg.zeros((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    layouts = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)"}

    def _normalize(self, x: Tensor, momentum: float) -> Tensor:
        found = world()
        if found is None or not self.training:
            return super()._normalize(x, momentum)
        axis = (0, *range(2, x.ndim))
        per_channel = (1, -1) + (1,) * (x.ndim - 2)
        values = np.array([x.size // max(1, self.num_features)], np.int64)
        count = int(found.reduce(values, "sum", WHAT)[0])
        if count < 2:
            raise self._error("in training it needs more than one value per channel on all ranks")
        samples = x.shape[0]
        mean = _total(found, x.sum(axis), samples) / count
        centred = x - mean.reshape(per_channel)
        var = _total(found, (centred * centred).sum(axis), samples) / count
        for running, batch, factor in (
            (self.running_mean, mean, 1.0),
            (self.running_var, var, count / (count - 1)),
        ):
            if running is not None:
                moved = (1.0 - momentum) * running._data + momentum * factor * batch._data
                running.assign(moved)
        scale = 1.0 / (var + self.eps) ** 0.5
        ans = centred * (scale if self.weight is None else scale * self.weight).reshape(per_channel)
        return ans if self.bias is None else ans + self.bias.reshape(per_channel)


def _total(found: World, x: Tensor, samples: int) -> Tensor:
    """The sum of x over all ranks.

    DataParallel counts the gradients of each rank by its samples. So do these, which come from the
    losses of all ranks.
    """

    @custom_gradient
    def total(x: Tensor) -> Any:
        return Tensor(found.reduce(x._data, "sum", WHAT)), grad

    def grad(g: Any) -> Any:
        # The loss of a rank without samples is NaN, and counts nothing.
        weighted = g * float(samples) if samples else Tensor(np.zeros(g.shape, g.dtype))
        return total(weighted) / float(max(1, samples))

    ans: Tensor = total(x)
    return ans


@checked()
def convert_sync_batchnorm(module: Module) -> Module:
    """Replace each BatchNorm1d and BatchNorm2d in a model by a SyncBatchNorm with its values.

    Returns the model, or the new layer where the module is one itself. Do so before the optimizer
    is made. After ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> type(mg.distributed.convert_sync_batchnorm(model)[1]).__name__
    'SyncBatchNorm'
    """
    kinds = (BatchNorm1d, BatchNorm2d)
    made = {id(one): _converted(one) for one in module.modules() if isinstance(one, kinds)}

    for one in module.modules():
        for name, held in list(one.__dict__.items()):
            if any(id(leaf) in made for leaf in flatten(held)):
                setattr(one, name, map_leaves(lambda leaf: made.get(id(leaf), leaf), held))
    return made.get(id(module), module)


def _converted(layer: _BatchNorm) -> SyncBatchNorm:
    made = SyncBatchNorm(
        layer.num_features,
        layer.eps,
        layer.momentum,
        layer.affine,
        layer.track_running_stats,
        bias=layer.bias is not None,
    )
    made.__dict__.update(layer.__dict__)
    return made
