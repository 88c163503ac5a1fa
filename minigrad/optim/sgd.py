"""Stochastic gradient descent, with momentum and Nesterov's variant of it.

One class has all of it, as in PyTorch; the first step of momentum takes the gradient as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.engine.settings import checked
from minigrad.kernels import current as kernels
from minigrad.optim.buffer import Array, Chunk, only_reads
from minigrad.optim.optimizer import Group, Optimizer, Params, settings, tensors


class SGD(Optimizer):
    """Gradient descent, optionally with momentum, after ``torch.optim.SGD``.

    `p -= lr * g`, where g is the gradient (negated by ``maximize``) plus `weight_decay * p`. With
    momentum μ and dampening d: `b = μ b + (1 - d) g`, where `b = g` in the first step, and
    `p -= lr * b`; with ``nesterov``, `p -= lr * (g + μ b)`.

    Keras adds the velocity `v = μ v - lr * g` to p instead, which is the same as long as the
    learning rate is constant. Its decay is a schedule of the learning rate, ours is L2.

    Raises ValueError for negative settings, and for ``nesterov`` without momentum or with
    dampening. Momentum: Polyak 1964; nesterov: Sutskever et al. 2013.

    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, 1.0]
    """

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum > 0 and dampening = 0, got momentum="
                f"{group['momentum']} and dampening={group['dampening']}"
            )

    def initial_state(self, group: Group) -> dict[str, float]:
        """The momentum buffer, when there is momentum."""
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def initial_scalars(self, group: Group) -> dict[str, float]:
        """Whether the momentum buffer has its first gradient."""
        return {"started": 0}

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Polyak: `b = μ b + (1 - d) g`; `p -= lr * b`. Sutskever et al.: `p -= lr * (g + μ b)`."""
        lr, momentum, nesterov = float(group["lr"]), float(group["momentum"]), group["nesterov"]
        fresh = 1.0 - group["dampening"] if scalars["started"] else 1.0
        if momentum:
            scalars["started"] = 1

        @only_reads
        def update(chunk: Chunk) -> None:
            b = chunk.state["momentum_buffer"] if momentum else None
            kernels.sgd(chunk.p, chunk.g, chunk.s, b, lr, momentum, fresh, nesterov)

        return update

    def export(self, scalars: dict[str, float], arrays: dict[str, Array]) -> dict[str, Any]:
        """The momentum buffer, as PyTorch lays it out."""
        return tensors(arrays) if scalars["started"] else {}

    def restore(self, scalars: dict[str, float], saved: dict[str, Any]) -> dict[str, Any]:
        """The momentum buffer; PyTorch saves None where there is no momentum."""
        found = {name: value for name, value in saved.items() if value is not None}
        scalars["started"] = int("momentum_buffer" in found)
        return found
