"""Adam and its variants: steps from running averages of the gradient and of its square.

Each class is one update rule: its formula is in the docstring, and ``update_rule`` computes it in
place. ``maximize`` and weight decay are applied before, by the base class.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.engine.settings import checked
from minigrad.kernels import current as kernels
from minigrad.kernels.in_place import average, average_square
from minigrad.optim.buffer import Chunk, only_reads
from minigrad.optim.optimizer import Group, Optimizer, Params, settings


class Adam(Optimizer):
    """Adam, after ``torch.optim.Adam``.

    `m = β1 m + (1 - β1) g` and `v = β2 v + (1 - β2) g²`, both from zero. Step t is
    `p -= lr * m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps)`. ``weight_decay`` adds
    `weight_decay * p` to g (L2), or with ``decoupled_weight_decay`` shrinks p by
    `lr * weight_decay * p` first, which is :class:`AdamW`. ``amsgrad`` uses the largest v so far.

    Keras adds its epsilon to `sqrt(v)` before the correction by `1 - β2^t`, and its default is 1e-7
    rather than 1e-8: early steps on small gradients differ.

    Raises ValueError for negative settings and betas outside [0, 1). Kingma and Ba 2015; amsgrad:
    Reddi et al. 2018.

    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    @checked()
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
        super().__init__(params, settings(locals()))

    def initial_state(self, group: Group) -> dict[str, float]:
        """The running averages of g and `g²`, and for amsgrad the largest of the latter."""
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        return dict.fromkeys(names, 0.0)

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Kingma and Ba, algorithm 1: m and v average g and `g²`, and p moves by `m / sqrt(v)`."""
        t, amsgrad = scalars["step"], group["amsgrad"]
        beta1, beta2 = map(float, group["betas"])
        # With c = 1 - beta2^t, sqrt(v / c) + eps = (sqrt(v) + eps * sqrt(c)) / sqrt(c): this saves
        # a division of the whole array.
        root = math.sqrt(1.0 - beta2**t)
        eps = group["eps"] * root
        size = float(group["lr"]) * root / (1.0 - beta1**t)

        @only_reads
        def update(chunk: Chunk) -> None:
            state = chunk.state
            m, v = state["exp_avg"], state["exp_avg_sq"]
            largest = state["max_exp_avg_sq"] if amsgrad else None
            kernels.adam(chunk.p, chunk.g, chunk.s, m, v, largest, beta1, beta2, size, eps)

        return update


class AdamW(Adam):
    """Adam with decoupled weight decay, after ``torch.optim.AdamW``.

    p shrinks by `lr * weight_decay * p` before the step of :class:`Adam`, instead of decay entering
    the running averages. Keras's default decay is 0.004 rather than 0.01.

    Raises ValueError for negative settings and betas outside [0, 1). Loshchilov and Hutter 2019.

    >>> w = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.AdamW([w], lr=0.5, weight_decay=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.0, -0.5]
    """

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, **settings(locals()), decoupled_weight_decay=True)


class NAdam(Optimizer):
    """Adam with Nesterov momentum, after ``torch.optim.NAdam``.

    With `μ(t) = β1 (1 - 0.96^(t * momentum_decay) / 2)` and `M(t)` the product of `μ(1)` to
    `μ(t)`, m and v as in :class:`Adam`, and `d = sqrt(v / (1 - β2^t)) + eps`:
    `p -= lr * ((1 - μ(t)) / (1 - M(t)) * g + μ(t+1) / (1 - M(t+1)) * m) / d`.
    ``weight_decay`` is L2, or with ``decoupled_weight_decay`` as in :class:`AdamW`.

    Keras has no ``momentum_decay``: its schedule is ours with 1 instead of 0.004. Its epsilon is
    1e-7 rather than 1e-8.

    Raises ValueError for negative settings and betas outside [0, 1). Dozat 2016.

    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.4718
    """

    _arrays = ("exp_avg", "exp_avg_sq")

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def initial_scalars(self, group: Group) -> dict[str, float]:
        """The count of steps, and the product of the momenta so far."""
        return {"step": 0, "mu_product": 1.0}

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Dozat, algorithm 8: Adam, with the gradient of this step beside the next momentum."""
        t, lr = scalars["step"], float(group["lr"])
        beta1, beta2 = map(float, group["betas"])
        mu, mu_next = (
            beta1 * (1.0 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (t, t + 1)
        )
        scalars["mu_product"] *= mu
        product = scalars["mu_product"]
        root = math.sqrt(1.0 - beta2**t)  # taken out of the denominator, as in Adam
        eps = group["eps"] * root
        size_of_g = lr * root * (1.0 - mu) / (1.0 - product)
        size_of_m = lr * root * mu_next / (1.0 - product * mu_next)

        def update(chunk: Chunk) -> None:
            p, g, s = chunk.p, chunk.g, chunk.s
            m, v = chunk.state["exp_avg"], chunk.state["exp_avg_sq"]
            g = average_square(v, g, s, beta2)
            average(m, g, s, beta1)
            np.multiply(g, size_of_g, out=g)
            np.multiply(m, size_of_m, out=s)
            np.add(g, s, out=g)
            np.sqrt(v, out=s)
            np.add(s, eps, out=s)
            np.divide(g, s, out=g)
            np.subtract(p, g, out=p)

        return update


class RAdam(Optimizer):
    """Adam that divides only once it has seen enough gradients, after ``torch.optim.RAdam``.

    m and v as in :class:`Adam`. With `ρ = 2 / (1 - β2) - 1` and
    `ρ(t) = ρ - 2 t β2^t / (1 - β2^t)`: while `ρ(t) <= 5`, `p -= lr * m / (1 - β1^t)`; then
    `p -= lr * r(t) * m / (1 - β1^t) * sqrt(1 - β2^t) / (sqrt(v) + eps)` with
    `r(t) = sqrt((ρ(t) - 4) (ρ(t) - 2) ρ / ((ρ - 4) (ρ - 2) ρ(t)))`. The learning rate needs no
    warm-up then. ``weight_decay`` is L2, or with ``decoupled_weight_decay`` as in :class:`AdamW`.

    Raises ValueError for negative settings and betas outside [0, 1). Liu et al., "On the variance
    of the adaptive learning rate and beyond", 2020.

    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.RAdam([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5]
    """

    _arrays = ("exp_avg", "exp_avg_sq")

    @checked()
    def __init__(
        self,
        params: Params = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Liu et al., algorithm 2: Adam times a factor, or momentum alone in the first steps."""
        t = scalars["step"]
        beta1, beta2 = map(float, group["betas"])
        size = float(group["lr"]) / (1.0 - beta1**t)
        limit = 2.0 / (1.0 - beta2) - 1.0
        left = 1.0 - beta2**t
        length = limit - 2.0 * t * beta2**t / left
        trusted = length > 5.0
        if trusted:
            grown = (length - 4.0) * (length - 2.0) * limit
            size *= math.sqrt(left * grown / ((limit - 4.0) * (limit - 2.0) * length))

        @only_reads
        def update(chunk: Chunk) -> None:
            p, g, s = chunk.p, chunk.g, chunk.s
            m, v = chunk.state["exp_avg"], chunk.state["exp_avg_sq"]
            if trusted:
                kernels.adam(p, g, s, m, v, None, beta1, beta2, size, group["eps"])
                return
            g = average_square(v, g, s, beta2)
            average(m, g, s, beta1)
            np.multiply(m, size, out=s)
            np.subtract(p, s, out=p)

        return update
