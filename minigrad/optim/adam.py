"""Adam and its kin: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.optim.flat import Array, Part
from minigrad.optim.optimizer import Group, Optimizer, Params
from minigrad.optim.sgd import add_decay


class Adam(Optimizer):
    """Adam, after ``torch.optim.Adam``.

    m = β1 m + (1 - β1) g and v = β2 v + (1 - β2) g², both from zero, and in step t
    p -= lr * m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps). ``weight_decay`` adds decay * p to g
    (L2), or with ``decoupled_weight_decay`` shrinks p by lr * decay first, which is
    :class:`AdamW`. ``amsgrad`` uses the largest v so far.

    Keras adds its epsilon to sqrt(v) before the correction by 1 - β2^t, and its default is 1e-7
    rather than 1e-8: early steps on small gradients differ.

    Raises ValueError for negative settings and betas outside [0, 1). Kingma and Ba 2015; amsgrad:
    Reddi et al. 2018.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def initial_state(self, group: Group) -> dict[str, float]:
        """The running averages of g and g², and for amsgrad the largest of the latter."""
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        return dict.fromkeys(names, 0.0)

    def formula(self, group: Group, scalars: dict[str, float]) -> Callable[[Part], None]:
        """See the class."""
        scalars["step"] += 1
        t = scalars["step"]
        lr, decay, maximize = float(group["lr"]), float(group["weight_decay"]), group["maximize"]
        beta1, beta2 = map(float, group["betas"])
        amsgrad, decoupled = group["amsgrad"], group["decoupled_weight_decay"]
        # sqrt(v / c) + eps = (sqrt(v) + eps * sqrt(c)) / sqrt(c): one pass less.
        root = math.sqrt(1.0 - beta2**t)
        eps = group["eps"] * root
        size = lr * root / (1.0 - beta1**t)

        def update(part: Part) -> None:
            p, g, s = part.p, part.g, part.s
            if decoupled:
                np.multiply(p, 1.0 - lr * decay, out=p)
            add_decay(p, g, s, 0.0 if decoupled else decay, maximize)
            m, v = part.state["exp_avg"], part.state["exp_avg_sq"]
            average(m, g, s, beta1)
            average_square(v, g, s, beta2)
            if amsgrad:
                v = np.maximum(part.state["max_exp_avg_sq"], v, out=part.state["max_exp_avg_sq"])
            np.sqrt(v, out=s)
            np.add(s, eps, out=s)
            np.divide(m, s, out=s)
            np.multiply(s, size, out=s)
            np.subtract(p, s, out=p)

        return update


def average(m: Array, g: Array, s: Array, beta: float) -> None:
    """Update the running average m = beta * m + (1 - beta) * g, with s as scratch."""
    np.multiply(m, beta, out=m)
    np.multiply(g, 1.0 - beta, out=s)
    np.add(m, s, out=m)


def average_square(v: Array, g: Array, s: Array, beta: float) -> None:
    """Update the running average of the square, v = beta * v + (1 - beta) * g²."""
    np.multiply(v, beta, out=v)
    np.multiply(g, g, out=s)
    np.multiply(s, 1.0 - beta, out=s)
    np.add(v, s, out=v)
