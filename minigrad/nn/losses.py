"""Losses as modules, for those who like to configure them once.

Each is a function of :mod:`minigrad.nn.functional` with its settings; the checks and messages are
the function's. Weights of classes or elements are buffers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.layer import FunctionLayer


class Loss(FunctionLayer):
    """A function of predictions and targets, with its settings."""

    @checked()
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', "
                f"got {reduction!r}"
            )
        self.reduction = reduction

    def _register_weight(self, name: str, weight: Any) -> None:
        """Keep a weight as a buffer, so that it follows ``to`` and ``state_dict``."""
        tensor = None if weight is None else as_tensor(weight).detach()
        if tensor is not None and not (tensor._data >= 0).all():
            raise ValueError(
                f"{type(self).__name__}: {name} must be 0 or more, got {np.min(tensor._data)}"
            )
        if tensor is not None and tensor.dtype.kind != "f":
            tensor = tensor.astype(np.float32)
        self.register_buffer(name, tensor)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Predictions and targets to a scalar, or with reduction "none" to the loss of each."""
        return self._function(input, target, *map(self.__dict__.__getitem__, self._settings))


class MSELoss(Loss, function=F.mse_loss):
    """Mean squared error. See :func:`minigrad.nn.functional.mse_loss`.

    >>> nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(2.5)
    """


class L1Loss(Loss, function=F.l1_loss):
    """Mean absolute error. See :func:`minigrad.nn.functional.l1_loss`.

    >>> nn.L1Loss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(1.5)
    """


class HuberLoss(Loss, function=F.huber_loss):
    """Squared near 0, linear beyond delta. See :func:`minigrad.nn.functional.huber_loss`.

    Raises ValueError unless delta is positive.

    >>> nn.HuberLoss(delta=1.0)(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    @checked(delta="(0, inf)")
    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta


class SmoothL1Loss(Loss, function=F.smooth_l1_loss):
    """huber_loss(delta=beta) / beta. See :func:`minigrad.nn.functional.smooth_l1_loss`.

    Raises ValueError for a negative beta.

    >>> nn.SmoothL1Loss()(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    @checked(beta="[0, inf)")
    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class CrossEntropyLoss(Loss, function=F.cross_entropy):
    """From logits (N, C, ...) and labels. See :func:`minigrad.nn.functional.cross_entropy`.

    Raises ValueError for a ``label_smoothing`` beyond [0, 1].

    >>> nn.CrossEntropyLoss()(mg.tensor([[0.0, 1000.0]]), mg.tensor([1]))
    tensor(0.)
    """

    _shown = "reduction=, label_smoothing="
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
        self._register_weight("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing


class NLLLoss(Loss, function=F.nll_loss):
    """From log-probabilities (N, C, ...) and labels. See :func:`minigrad.nn.functional.nll_loss`.

    >>> nn.NLLLoss()(mg.tensor([[-0.1, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """

    _shown = "reduction="
    weight: Tensor | None

    @checked()
    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = ignore_index


class BCELoss(Loss, function=F.binary_cross_entropy):
    """From probabilities. See :func:`minigrad.nn.functional.binary_cross_entropy`.

    >>> nn.BCELoss()(mg.tensor([1.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    _shown = "reduction="
    weight: Tensor | None

    @checked()
    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)


class BCEWithLogitsLoss(Loss, function=F.binary_cross_entropy_with_logits):
    """From logits. See :func:`minigrad.nn.functional.binary_cross_entropy_with_logits`.

    >>> nn.BCEWithLogitsLoss()(mg.tensor([1000.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    _shown = "reduction="
    weight: Tensor | None
    pos_weight: Tensor | None

    @checked()
    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self._register_weight("pos_weight", pos_weight)
