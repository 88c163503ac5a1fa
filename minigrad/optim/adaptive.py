"""Steps divided by the size of past gradients: Adagrad, RMSprop and Adadelta.

Each class is one update rule: its formula is in the docstring, and ``update_rule`` computes it in
place. ``maximize`` and weight decay are applied before, by the base class.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.engine.settings import checked
from minigrad.kernels.in_place import add_square, average, average_square, scaled_step
from minigrad.optim.buffer import Chunk, only_reads
from minigrad.optim.optimizer import Group, Optimizer, Params, settings


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients, after ``torch.optim.Adagrad``.

    `v += g²`, from ``initial_accumulator_value``. Step t is
    `p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(v) + eps)`. ``weight_decay`` is L2.

    Keras starts v at 0.1 rather than 0, so its first steps are shorter, and takes
    `sqrt(v + eps)` with eps = 1e-7 rather than `sqrt(v) + 1e-10`. It has no ``lr_decay``.

    Raises ValueError for negative settings. Duchi, Hazan and Singer 2011.

    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def initial_state(self, group: Group) -> dict[str, float]:
        """The sum of `g²`."""
        return {"sum": group["initial_accumulator_value"]}

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Duchi et al., section 1.1: `v += g²`; `p -= size * g / (sqrt(v) + eps)`."""
        eps = group["eps"]
        size = float(group["lr"]) / (1.0 + (scalars["step"] - 1) * group["lr_decay"])

        @only_reads
        def update(chunk: Chunk) -> None:
            p, g, s, v = chunk.p, chunk.g, chunk.s, chunk.state["sum"]
            g = add_square(v, g, s)
            scaled_step(p, g, v, s, size, eps)

        return update


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of `g²`, after ``torch.optim.RMSprop``.

    `v = α v + (1 - α) g²` and `d = sqrt(v) + eps`; ``centered``: `d = sqrt(v - m²) + eps` with
    `m = α m + (1 - α) g`. Then `p -= lr * g / d`, or with momentum `b = momentum * b + g / d` and
    `p -= lr * b`. ``weight_decay`` is L2.

    Keras takes `sqrt(v + eps)`, not `sqrt(v) + eps`, and its defaults are rho (our alpha) = 0.9 and
    eps = 1e-7: where gradients are small its steps are much shorter.

    Raises ValueError for negative settings and alpha above 1. Tieleman and Hinton 2012; centered:
    Graves 2013.

    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.RMSprop([w], lr=0.05, alpha=0.96)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.75, -1.75]
    """

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def initial_state(self, group: Group) -> dict[str, float]:
        """The running average of `g²`, and what momentum and centering need."""
        names = ["square_avg"]
        names += ["momentum_buffer"] * (group["momentum"] > 0) + ["grad_avg"] * group["centered"]
        return dict.fromkeys(names, 0.0)

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Tieleman and Hinton, lecture 6.5: v averages `g²`; `p -= lr * g / (sqrt(v) + eps)`."""
        lr, eps, momentum = float(group["lr"]), group["eps"], float(group["momentum"])
        alpha, centered = float(group["alpha"]), group["centered"]

        def update(chunk: Chunk) -> None:
            p, g, s, v = chunk.p, chunk.g, chunk.s, chunk.state["square_avg"]
            g = average_square(v, g, s, alpha)
            if centered:
                m = chunk.state["grad_avg"]
                average(m, g, s, alpha)
                np.multiply(m, m, out=s)
                np.subtract(v, s, out=s)
                v = np.maximum(s, 0.0, out=s)  # rounding can make this variance negative
            np.sqrt(v, out=s)
            np.add(s, eps, out=s)
            np.divide(g, s, out=g)
            if momentum:
                b = chunk.state["momentum_buffer"]
                np.multiply(b, momentum, out=b)
                g = np.add(b, g, out=b)
            np.multiply(g, lr, out=s)
            np.subtract(p, s, out=p)

        return update


class Adadelta(Optimizer):
    """Steps in the units of the parameters themselves, after ``torch.optim.Adadelta``.

    `v = ρ v + (1 - ρ) g²`; `δ = sqrt(u + eps) / sqrt(v + eps) * g`; `u = ρ u + (1 - ρ) δ²`;
    `p -= lr * δ`. u and v start at zero. ``weight_decay`` is L2.

    Keras's defaults are lr = 0.001, rho = 0.95 and eps = 1e-7 rather than 1.0, 0.9 and 1e-6; eps
    sets the length of the first steps.

    Raises ValueError for negative settings and rho above 1. Zeiler 2012.

    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adadelta([w], rho=0.75, eps=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.1056, -1.0299]
    """

    _arrays = ("square_avg", "acc_delta")

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Zeiler, algorithm 1: `δ = sqrt((u + eps) / (v + eps)) * g`; `p -= lr * δ`."""
        lr, rho, eps = float(group["lr"]), float(group["rho"]), group["eps"]

        def update(chunk: Chunk) -> None:
            p, g, s, t = chunk.p, chunk.g, chunk.s, chunk.t
            v, u = chunk.state["square_avg"], chunk.state["acc_delta"]
            g = average_square(v, g, s, rho)
            np.add(u, eps, out=s)
            np.add(v, eps, out=t)
            np.divide(s, t, out=s)
            np.sqrt(s, out=s)
            np.multiply(g, s, out=g)
            g = average_square(u, g, s, rho)
            np.multiply(g, lr, out=g)
            np.subtract(p, g, out=p)

        return update
