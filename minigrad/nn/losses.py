"""Losses as modules, for those who like to configure them once."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.module import Module


class _Loss(Module):
    @checked()
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', "
                f"got {reduction!r}"
            )
        self.reduction = reduction

    def _hold(self, **weights: Any) -> None:
        """Keep weights as buffers, so that they follow ``to`` and ``state_dict``."""
        for name, weight in weights.items():
            tensor = None if weight is None else as_tensor(weight).detach()
            if tensor is not None and not (tensor._data >= 0).all():
                raise ValueError(
                    f"{type(self).__name__}: {name} must be 0 or more, got {np.min(tensor._data)}"
                )
            if tensor is not None and tensor.dtype.kind != "f":
                tensor = tensor.astype(np.float32)
            self.register_buffer(name, tensor)

    def extra_repr(self) -> str:
        """Show the reduction."""
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Mean squared error. See :func:`minigrad.nn.functional.mse_loss`.

    >>> nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(2.5)
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean absolute error. See :func:`minigrad.nn.functional.l1_loss`.

    >>> nn.L1Loss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(1.5)
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """Squared near 0, linear beyond delta. See :func:`minigrad.nn.functional.huber_loss`.

    Raises ValueError unless delta is positive.

    >>> nn.HuberLoss(delta=1.0)(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    @checked(delta="(0, inf)")
    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.huber_loss(input, target, self.reduction, self.delta)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"{super().extra_repr()}, delta={self.delta}"


class SmoothL1Loss(_Loss):
    """huber_loss(delta=beta) / beta. See :func:`minigrad.nn.functional.smooth_l1_loss`.

    Raises ValueError for a negative beta.

    >>> nn.SmoothL1Loss()(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    @checked(beta="[0, inf)")
    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"{super().extra_repr()}, beta={self.beta}"


class CrossEntropyLoss(_Loss):
    """From logits (N, C, ...) and labels. See :func:`minigrad.nn.functional.cross_entropy`.

    Raises ValueError for a ``label_smoothing`` beyond [0, 1].

    >>> nn.CrossEntropyLoss()(mg.tensor([[0.0, 1000.0]]), mg.tensor([1]))
    tensor(0.)
    """

    weight: Tensor | None

    @checked(label_smoothing="[0, 1]")
    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self._hold(weight=weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Tensor:
        """Logits and labels (or probabilities) to a scalar."""
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"{super().extra_repr()}, label_smoothing={self.label_smoothing}"


class NLLLoss(_Loss):
    """From log-probabilities (N, C, ...) and labels. See :func:`minigrad.nn.functional.nll_loss`.

    >>> nn.NLLLoss()(mg.tensor([[-0.1, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """

    weight: Tensor | None

    @checked()
    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self._hold(weight=weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Tensor:
        """Log-probabilities and labels to a scalar."""
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """From probabilities. See :func:`minigrad.nn.functional.binary_cross_entropy`.

    >>> nn.BCELoss()(mg.tensor([1.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    weight: Tensor | None

    @checked()
    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._hold(weight=weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """From logits. See :func:`minigrad.nn.functional.binary_cross_entropy_with_logits`.

    >>> nn.BCEWithLogitsLoss()(mg.tensor([1000.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    @checked()
    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self._hold(weight=weight, pos_weight=pos_weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two tensors of one shape to a scalar."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )
