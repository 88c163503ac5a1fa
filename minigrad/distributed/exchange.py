"""Exchanges that programs ask for themselves: sums and means of tensors, copies, a barrier.

In a program that was not started by mpiexec each of them returns at once, with what it was given.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np

from minigrad.distributed.world import world
from minigrad.engine.custom_gradient import custom_gradient
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, named

T = TypeVar("T")


def rank() -> int:
    """The number of this process among those that mpiexec has started; 0 if it runs alone.

    >>> mg.distributed.rank(), mg.distributed.world_size()
    (0, 1)
    """
    found = world()
    return 0 if found is None else found.rank


def world_size() -> int:
    """How many processes mpiexec has started; 1 if this one runs alone. See :func:`rank`."""
    found = world()
    return 1 if found is None else found.size


@checked()
def all_reduce(x: T, op: Literal["sum", "mean", "max", "min"] = "sum") -> T:
    """Combine what all ranks give, element by element; each gets the result.

    ``x``: a tensor, an array or a number, of one shape and dtype on all ranks; so is the result
    (a mean of integers is float64). All ranks must call it, in the same order as their other
    exchanges. Sums and means are differentiable: the gradient of a sum is the sum of the
    gradients of all ranks.

    Raises TypeError for a tracked tensor with "max" or "min".

    >>> mg.distributed.all_reduce(mg.tensor([1.0, 2.0]), "mean")
    tensor([1., 2.])
    """
    found = world()
    tensor = named("all_reduce", x)
    if tensor._node is not None and op not in ("sum", "mean"):
        raise TypeError(
            f"all_reduce: {op!r} has no gradient; pass t.detach(), or use 'sum' or 'mean'"
        )
    if found is None:
        return x
    if tensor._node is None:
        ans: T = _like(x, found.reduce(tensor._data, op, "all_reduce"))
        return ans
    total = _sum_over_ranks(tensor)
    ans = total if op == "sum" else total / found.size
    return ans


@custom_gradient
def _sum_over_ranks(x: Tensor) -> Any:
    found: Any = world()
    return Tensor(found.reduce(x._data, "sum", "all_reduce")), _sum_over_ranks


@checked(root="[0, inf)")
def broadcast(x: T, root: int = 0) -> T:
    """What rank ``root`` has, on all ranks.

    ``x``: a tensor, an array or a number, of one shape and dtype on all ranks; a constant comes
    back. All ranks must call it. Raises ValueError for a rank that there is not.

    >>> mg.distributed.broadcast(mg.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if root >= world_size():
        raise ValueError(f"broadcast: there are {world_size()} ranks, so root={root} is none")
    found = world()
    if found is None:
        return x
    array = np.array(named("broadcast", x)._data, order="C")
    found.broadcast(array, root, "broadcast")
    ans: T = _like(x, array)
    return ans


def barrier() -> None:
    """Wait until all ranks have come here.

    >>> mg.distributed.barrier()
    """
    found = world()
    if found is not None:
        found.barrier()


def _like(given: Any, array: Any) -> Any:
    """The result as what was given: a tensor, an array, or a number."""
    if isinstance(given, Tensor):
        return Tensor(array)
    return array if isinstance(given, np.ndarray) else array[()].item() if not array.ndim else array
