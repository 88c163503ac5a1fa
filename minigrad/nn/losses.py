"""Losses as modules, for those who like to configure them once.

Each is a function of :mod:`minigrad.nn.functional` with its settings; the checks and messages are
the function's. Weights of classes or elements are buffers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.layer import SettingsLayer

Reduction = Literal["mean", "sum", "none"]


class Loss(SettingsLayer):
    """A function of predictions and targets."""

    def forward(self, input: Any, target: Any) -> Tensor:
        """Predictions and targets to a scalar, or with reduction "none" to the loss of each."""
        return self._function(input, target, *map(self.__dict__.__getitem__, self._settings))


class _Weighted(Loss):
    """A loss of classes or elements that count by weights: buffers, which follow ``to``."""

    _shown = "reduction="

    def _settle(self, given: dict[str, Any]) -> None:
        for name in [name for name in given if name.endswith("weight")]:
            weight = given.pop(name)
            tensor = None if weight is None else as_tensor(weight).detach()
            if tensor is not None and not (tensor._data >= 0).all():
                raise ValueError(
                    f"{type(self).__name__}: {name} must be 0 or more, got {np.min(tensor._data)}"
                )
            if tensor is not None and tensor.dtype.kind != "f":
                tensor = tensor.astype(np.float32)
            self.register_buffer(name, tensor)


class PairLoss(SettingsLayer):
    """A function of two inputs for each target."""

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        """Two inputs and targets 1 or -1 to a scalar, or to the loss of each."""
        return self._of(input1, input2, target)


class MSELoss(Loss, function=F.mse_loss):
    """Mean squared error. See :func:`minigrad.nn.functional.mse_loss`.

    >>> nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(2.5)
    """

    reduction: Reduction = "mean"


class L1Loss(Loss, function=F.l1_loss):
    """Mean absolute error. See :func:`minigrad.nn.functional.l1_loss`.

    >>> nn.L1Loss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(1.5)
    """

    reduction: Reduction = "mean"


class HuberLoss(Loss, function=F.huber_loss):
    """Squared near 0, linear beyond delta. See :func:`minigrad.nn.functional.huber_loss`.

    Raises ValueError unless delta is positive.

    >>> nn.HuberLoss(delta=1.0)(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    reduction: Reduction = "mean"
    delta: Annotated[float, "(0, inf)"] = 1.0


class SmoothL1Loss(Loss, function=F.smooth_l1_loss):
    """`huber_loss(delta=beta) / beta`. See :func:`minigrad.nn.functional.smooth_l1_loss`.

    Raises ValueError for a negative beta.

    >>> nn.SmoothL1Loss()(mg.tensor([3.0]), mg.tensor([0.0]))
    tensor(2.5)
    """

    reduction: Reduction = "mean"
    beta: Annotated[float, "[0, inf)"] = 1.0


class CrossEntropyLoss(_Weighted, function=F.cross_entropy):
    """From logits (N, C, ...) and labels. See :func:`minigrad.nn.functional.cross_entropy`.

    Raises ValueError for a ``label_smoothing`` beyond [0, 1].

    >>> nn.CrossEntropyLoss()(mg.tensor([[0.0, 1000.0]]), mg.tensor([1]))
    tensor(0.)
    """

    _shown = "reduction=, label_smoothing="

    weight: Any = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: Annotated[float, "[0, 1]"] = 0.0


class NLLLoss(_Weighted, function=F.nll_loss):
    """From log-probabilities (N, C, ...) and labels. See :func:`minigrad.nn.functional.nll_loss`.

    >>> nn.NLLLoss()(mg.tensor([[-0.1, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """

    weight: Any = None
    ignore_index: int = -100
    reduction: Reduction = "mean"


class BCELoss(_Weighted, function=F.binary_cross_entropy):
    """From probabilities. See :func:`minigrad.nn.functional.binary_cross_entropy`.

    >>> nn.BCELoss()(mg.tensor([1.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    weight: Any = None
    reduction: Reduction = "mean"


class BCEWithLogitsLoss(_Weighted, function=F.binary_cross_entropy_with_logits):
    """From logits. See :func:`minigrad.nn.functional.binary_cross_entropy_with_logits`.

    >>> nn.BCEWithLogitsLoss()(mg.tensor([1000.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    weight: Any = None
    reduction: Reduction = "mean"
    pos_weight: Any = None


class KLDivLoss(Loss, function=F.kl_div):
    """Divergence from probabilities. See :func:`minigrad.nn.functional.kl_div`.

    ``reduction`` may also be "batchmean", which is the divergence as it is defined. Raises
    ValueError for another word.

    >>> nn.KLDivLoss("batchmean")(mg.log(mg.tensor([[0.5, 0.5]])), mg.tensor([[0.5, 0.5]]))
    tensor(0.)
    """

    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean"
    log_target: bool = False


class GaussianNLLLoss(SettingsLayer, function=F.gaussian_nll_loss):
    """For normal targets. See :func:`minigrad.nn.functional.gaussian_nll_loss`.

    >>> nn.GaussianNLLLoss()(mg.tensor([1.0]), mg.tensor([1.0]), mg.tensor([1.0]))
    tensor(0.)
    """

    full: bool = False
    eps: Annotated[float, "(0, inf)"] = 1e-6
    reduction: Reduction = "mean"

    def forward(self, input: Any, target: Any, var: Any) -> Tensor:
        """Means, targets and variances to a scalar, or to the loss of each."""
        return self._of(input, target, var)


class PoissonNLLLoss(Loss, function=F.poisson_nll_loss):
    """For counts. See :func:`minigrad.nn.functional.poisson_nll_loss`.

    >>> nn.PoissonNLLLoss()(mg.tensor([0.0]), mg.tensor([2.0]))
    tensor(1.)
    """

    log_input: bool = True
    full: bool = False
    eps: Annotated[float, "[0, inf)"] = 1e-8
    reduction: Reduction = "mean"


class HingeEmbeddingLoss(Loss, function=F.hinge_embedding_loss):
    """For distances. See :func:`minigrad.nn.functional.hinge_embedding_loss`.

    >>> nn.HingeEmbeddingLoss()(mg.tensor([0.5, 0.25]), mg.tensor([1, -1]))
    tensor(0.625)
    """

    margin: Annotated[float, "(-inf, inf)"] = 1.0
    reduction: Reduction = "mean"


class MarginRankingLoss(PairLoss, function=F.margin_ranking_loss):
    """Which of two is the larger. See :func:`minigrad.nn.functional.margin_ranking_loss`.

    >>> nn.MarginRankingLoss()(mg.tensor([1.0]), mg.tensor([3.0]), mg.tensor([1]))
    tensor(2.)
    """

    margin: Annotated[float, "(-inf, inf)"] = 0.0
    reduction: Reduction = "mean"


class SoftMarginLoss(Loss, function=F.soft_margin_loss):
    """For targets 1 and -1. See :func:`minigrad.nn.functional.soft_margin_loss`.

    >>> nn.SoftMarginLoss()(mg.tensor([1000.0]), mg.tensor([1]))
    tensor(0.)
    """

    reduction: Reduction = "mean"


class MultiLabelSoftMarginLoss(_Weighted, function=F.multilabel_soft_margin_loss):
    """For several labels. See :func:`minigrad.nn.functional.multilabel_soft_margin_loss`.

    >>> nn.MultiLabelSoftMarginLoss()(mg.tensor([[1000.0, -1000.0]]), mg.tensor([[1, 0]]))
    tensor(0.)
    """

    weight: Any = None
    reduction: Reduction = "mean"


class MultiMarginLoss(_Weighted, function=F.multi_margin_loss):
    """For labels. See :func:`minigrad.nn.functional.multi_margin_loss`.

    Raises ValueError for a ``p`` other than 1 and 2.

    >>> nn.MultiMarginLoss()(mg.tensor([[5.0, 0.5, 3.0]]), mg.tensor([0]))
    tensor(0.)
    """

    _shown = "p=, margin=, reduction="

    p: Annotated[int, "[1, 2]"] = 1
    margin: Annotated[float, "(-inf, inf)"] = 1.0
    weight: Any = None
    reduction: Reduction = "mean"


class CosineEmbeddingLoss(PairLoss, function=F.cosine_embedding_loss):
    """For angles. See :func:`minigrad.nn.functional.cosine_embedding_loss`.

    >>> x = mg.tensor([[3.0, 4.0]])
    >>> nn.CosineEmbeddingLoss()(x, x, mg.tensor([-1]))
    tensor(1.)
    """

    margin: Annotated[float, "[-1, 1]"] = 0.0
    reduction: Reduction = "mean"


class TripletMarginLoss(SettingsLayer, function=F.triplet_margin_loss):
    """For distances. See :func:`minigrad.nn.functional.triplet_margin_loss`.

    >>> x, other = mg.tensor([[0.0, 0.0]]), mg.tensor([[3.0, 4.0]])
    >>> nn.TripletMarginLoss()(x, x, other)
    tensor(0.)
    """

    margin: Annotated[float, "(-inf, inf)"] = 1.0
    p: Annotated[float, "(0, inf]"] = 2.0
    eps: Annotated[float, "[0, inf)"] = 1e-6
    swap: bool = False
    reduction: Reduction = "mean"

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        """Three arrays of one shape to a scalar, or to the loss of each."""
        return self._of(anchor, positive, negative)


# -- distances and angles --------------------------------------------------------------------------


class CosineSimilarity(SettingsLayer, function=F.cosine_similarity):
    """The cosine of the angle between vectors (N, D), along one axis, as (N,).

    See :func:`minigrad.nn.functional.cosine_similarity`. Raises AxisError, a ValueError, for an
    axis that is not there.

    >>> nn.CosineSimilarity()(mg.tensor([[3.0, 4.0]]), mg.tensor([[4.0, 3.0]]))
    tensor([0.96])
    """

    axis: int = 1
    eps: Annotated[float, "(0, inf)"] = 1e-8

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """Two arrays to one that lacks the axis."""
        return self._function(x1, x2, self.axis, self.eps)


class PairwiseDistance(SettingsLayer, function=F.pairwise_distance):
    """The p-norm of the differences of vectors (N, D), as (N,).

    See :func:`minigrad.nn.functional.pairwise_distance`.

    >>> nn.PairwiseDistance(eps=0.0)(mg.tensor([[3.0, 4.0]]), mg.tensor([[0.0, 0.0]]))
    tensor([5.])
    """

    p: Annotated[float, "(0, inf]"] = 2.0
    eps: Annotated[float, "[0, inf)"] = 1e-6
    keepdims: bool = False

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """(..., D) and (..., D) to (...)."""
        return self._function(x1, x2, self.p, self.eps, self.keepdims)
