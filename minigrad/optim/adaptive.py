"""Steps scaled by the size of past gradients alone: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.engine.settings import checked
from minigrad.optim.flat import Part
from minigrad.optim.optimizer import Group, Optimizer, Params
from minigrad.optim.passes import add_decay, add_square, average, average_square


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients, after ``torch.optim.Adagrad``.

    v += g², from ``initial_accumulator_value``, and in step t
    p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(v) + eps). ``weight_decay`` is L2.

    Keras starts v at 0.1 rather than 0, so its first steps are shorter, and takes
    sqrt(v + eps) with eps = 1e-7 rather than sqrt(v) + 1e-10. It has no ``lr_decay``.

    Raises ValueError for negative settings. Duchi, Hazan and Singer 2011.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    @checked(
        lr="[0, inf)",
        lr_decay="[0, inf)",
        weight_decay="[0, inf)",
        initial_accumulator_value="[0, inf)",
        eps="[0, inf)",
    )
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
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def initial_state(self, group: Group) -> dict[str, float]:
        """The sum of g²."""
        return {"sum": group["initial_accumulator_value"]}

    def formula(self, group: Group, scalars: dict[str, float]) -> Callable[[Part], None]:
        """See the class."""
        scalars["step"] += 1
        eps, decay, maximize = group["eps"], float(group["weight_decay"]), group["maximize"]
        size = float(group["lr"]) / (1.0 + (scalars["step"] - 1) * group["lr_decay"])

        def update(part: Part) -> None:
            p, g, s, v = part.p, part.g, part.s, part.state["sum"]
            add_decay(p, g, s, decay, maximize)
            add_square(v, g, s)
            np.sqrt(v, out=s)
            np.add(s, eps, out=s)
            np.divide(g, s, out=s)
            np.multiply(s, size, out=s)
            np.subtract(p, s, out=p)

        return update


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of g², after ``torch.optim.RMSprop``.

    v = α v + (1 - α) g² and d = sqrt(v) + eps; ``centered``: d = sqrt(v - m²) + eps with
    m = α m + (1 - α) g. Then p -= lr * g / d, or with momentum b = momentum * b + g / d and
    p -= lr * b. ``weight_decay`` is L2.

    Keras takes sqrt(v + eps), not sqrt(v) + eps, and its defaults are rho (our alpha) = 0.9 and
    eps = 1e-7: where gradients are small its steps are much shorter.

    Raises ValueError for negative settings and alpha above 1. Tieleman and Hinton 2012; centered:
    Graves 2013.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.RMSprop([w], lr=0.05, alpha=0.96)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.75, -1.75]
    """

    @checked(
        lr="[0, inf)", alpha="[0, 1]", eps="[0, inf)", weight_decay="[0, inf)", momentum="[0, inf)"
    )
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
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def initial_state(self, group: Group) -> dict[str, float]:
        """The running average of g², and what momentum and centering need."""
        names = ["square_avg"]
        names += ["momentum_buffer"] * (group["momentum"] > 0) + ["grad_avg"] * group["centered"]
        return dict.fromkeys(names, 0.0)

    def formula(self, group: Group, scalars: dict[str, float]) -> Callable[[Part], None]:
        """See the class."""
        scalars["step"] += 1
        lr, eps, maximize = float(group["lr"]), group["eps"], group["maximize"]
        decay, momentum = float(group["weight_decay"]), float(group["momentum"])
        alpha, centered = float(group["alpha"]), group["centered"]

        def update(part: Part) -> None:
            p, g, s, v = part.p, part.g, part.s, part.state["square_avg"]
            add_decay(p, g, s, decay, maximize)
            average_square(v, g, s, alpha)
            if centered:
                m = part.state["grad_avg"]
                average(m, g, s, alpha)
                np.multiply(m, m, out=s)
                np.subtract(v, s, out=s)
                np.maximum(s, 0.0, out=s)  # a variance, but for rounding
                np.sqrt(s, out=s)
            else:
                np.sqrt(v, out=s)
            np.add(s, eps, out=s)
            np.divide(g, s, out=g)
            if momentum:
                b = part.state["momentum_buffer"]
                np.multiply(b, momentum, out=b)
                g = np.add(b, g, out=b)
            np.multiply(g, lr, out=s)
            np.subtract(p, s, out=p)

        return update


class Adadelta(Optimizer):
    """Steps in the units of the parameters themselves, after ``torch.optim.Adadelta``.

    v = ρ v + (1 - ρ) g²; δ = sqrt(u + eps) / sqrt(v + eps) * g; u = ρ u + (1 - ρ) δ²; p -= lr * δ;
    u and v start at zero. ``weight_decay`` is L2.

    Keras's defaults are lr = 0.001, rho = 0.95 and eps = 1e-7 rather than 1.0, 0.9 and 1e-6; eps
    sets the length of the first steps.

    Raises ValueError for negative settings and rho above 1. Zeiler 2012.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adadelta([w], rho=0.75, eps=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.1056, -1.0299]
    """

    @checked(lr="[0, inf)", rho="[0, 1]", eps="[0, inf)", weight_decay="[0, inf)")
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
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def initial_state(self, group: Group) -> dict[str, float]:
        """The running averages of g² and of the squared steps."""
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def formula(self, group: Group, scalars: dict[str, float]) -> Callable[[Part], None]:
        """See the class."""
        scalars["step"] += 1
        lr, rho, eps = float(group["lr"]), float(group["rho"]), group["eps"]
        decay, maximize = float(group["weight_decay"]), group["maximize"]

        def update(part: Part) -> None:
            p, g, s, t = part.p, part.g, part.s, part.t
            v, u = part.state["square_avg"], part.state["acc_delta"]
            add_decay(p, g, s, decay, maximize)
            average_square(v, g, s, rho)
            np.add(u, eps, out=s)
            np.add(v, eps, out=t)
            np.divide(s, t, out=s)
            np.sqrt(s, out=s)
            np.multiply(g, s, out=g)
            average_square(u, g, s, rho)
            np.multiply(g, lr, out=g)
            np.subtract(p, g, out=p)

        return update
