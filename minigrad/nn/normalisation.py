"""Normalisation layers: of a batch, of features, of groups of channels, of neighbours.

The arithmetic is that of the functions in :mod:`minigrad.nn.functional`. Layers that can do without
weights check the number of channels themselves, because the function then cannot know it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer, SameShape
from minigrad.nn.weights import draw, new_buffer, new_parameter
from minigrad.operators.normalisation import lengths


class _Affine(Layer):
    """A normalisation that ends with a weight and a bias, unless they are switched off."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_weights(
        self, shape: int | tuple[int, ...], weight: bool, bias: bool, dtype: DTypeLike
    ) -> None:
        self.weight = new_parameter(shape, dtype) if weight else None
        self.bias = new_parameter(shape, dtype) if weight and bias else None
        draw(self)

    def reset_parameters(self) -> None:
        """Reset: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Affine):
    """Batch normalisation of inputs with certain numbers of axes."""

    _shown = "num_features, eps=, momentum=, affine=, bias=, track_running_stats="
    layouts: ClassVar[dict[int, str]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    @checked(num_features="[0, inf)", eps="[0, inf)", momentum="[0, 1]", dtype="floating")
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        kept = track_running_stats
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, new_buffer(num_features, dtype) if kept else None)
        self.register_buffer("num_batches_tracked", new_buffer((), np.int64) if kept else None)
        self._add_weights(num_features, affine, bias, dtype)

    def reset_running_stats(self) -> None:
        """Forget the batches seen so far."""
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            buffer = self.__dict__[name]
            if buffer is not None:
                buffer.assign(np.full(buffer.shape, name == "running_var"))

    def reset_parameters(self) -> None:
        """Reset: weight 1, bias 0, no batches seen."""
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise each channel; same shape."""
        x = as_tensor(x)
        shape = x._data.shape
        if len(shape) not in self.layouts:
            expected = " or ".join(self.layouts.values())
            near = len(shape) + 1 in self.layouts
            hint = "; if the axis of one channel is missing, x[:, None] adds it" if near else ""
            raise self._error(f"expected an input {expected}, got shape {shape}{hint}")
        self._check_channels(shape)
        counter = self.num_batches_tracked if self.training and x.size else None
        seen = 0 if counter is None else counter.item() + 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1.0 / seen if seen else 0.0
        ans = self._normalize(x, momentum)
        if counter is not None:
            counter.assign(seen)
        return ans

    def _check_channels(self, shape: tuple[int, ...]) -> None:
        if shape[1] != self.num_features:
            raise self._error(
                f"expected {self.num_features} channels, got {shape[1]} (input of shape {shape})"
            )

    def _normalize(self, x: Tensor, momentum: float) -> Tensor:
        return F.batch_norm(x, *self._arrays(), self.training, momentum, self.eps)

    def _arrays(self) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        return self.running_mean, self.running_var, self.weight, self.bias


class BatchNorm1d(_BatchNorm):
    """`(x - mean) / sqrt(var + eps) * weight + bias` for each feature, as ``torch.nn.BatchNorm1d``.

    x (N, C) or (N, C, L) to the same shape. In training mean and (biased) variance are those of
    the batch, and the buffers running_mean and running_var move towards them by ``momentum``
    (None: their plain average), running_var with the unbiased variance; in evaluation the buffers
    are used. Ioffe and Szegedy, "Batch normalization", 2015.

    Raises ValueError for other shapes, and in training for one value per channel.

    >>> layer = nn.BatchNorm1d(2)
    >>> layer(mg.tensor([[0.0, 5.0], [2.0, 7.0]])).shape
    (2, 2)
    >>> layer.running_mean
    tensor([0.1, 0.6])
    """

    layouts = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W), each channel by itself.

    As :class:`BatchNorm1d` otherwise, and as ``torch.nn.BatchNorm2d``.

    >>> nn.BatchNorm2d(3)(mg.zeros((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    layouts = {4: "(N, C, H, W)"}


class LayerNorm(_Affine):
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last axes, as ``torch.nn.LayerNorm``.

    x (..., *normalized_shape) to the same shape; weight and bias have ``normalized_shape``.
    Ba, Kiros and Hinton, "Layer normalization", 2016. Raises ValueError for other shapes.

    >>> nn.LayerNorm(4)(mg.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    _shown = "normalized_shape, eps=, elementwise_affine=, bias="

    @checked(eps="[0, inf)", dtype="floating")
    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = lengths("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_weights(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise over the last axes; same shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class GroupNorm(_Affine):
    """Normalisation of groups of channels within each image, as ``torch.nn.GroupNorm``.

    x (N, C, ...) to the same shape; weight and bias (C,). Wu and He, "Group normalization", 2018.
    Raises ValueError unless num_groups divides num_channels, and for other shapes.

    >>> nn.GroupNorm(2, 6)(mg.zeros((1, 6, 4, 4))).shape
    (1, 6, 4, 4)
    """

    _shown = "num_groups, num_channels, eps=, affine=, bias="

    @checked(num_groups="[1, inf)", num_channels="[0, inf)", eps="[0, inf)", dtype="floating")
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._add_weights(num_channels, affine, bias, dtype)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise each group; same shape."""
        x = as_tensor(x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise self._error(
                f"expected an input (N, {self.num_channels}, ...), got shape {x.shape}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class RMSNorm(_Affine):
    """`x / sqrt(mean(x**2) + eps) * weight` over the last axes, as ``torch.nn.RMSNorm``.

    x (..., *normalized_shape) to the same shape; weight has ``normalized_shape``. ``eps`` is by
    default that of the dtype. Zhang and Sennrich, "Root mean square layer normalization", 2019.
    Raises ValueError for other shapes.

    >>> nn.RMSNorm(4)(mg.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    _shown = "normalized_shape, eps=, elementwise_affine="

    @checked(eps="[0, inf)", dtype="floating")
    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = lengths("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_weights(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise over the last axes; same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class _InstanceNorm(_BatchNorm):
    """Normalisation of each channel of each image or signal; N may be missing."""

    _shown = "num_features, eps=, momentum=, affine=, track_running_stats="

    @checked(num_features="[0, inf)", eps="[0, inf)", momentum="[0, 1]", dtype="floating")
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise each channel of each example; same shape."""
        x = as_tensor(x)
        (axes, layout), *_ = self.layouts.items()
        if x.ndim == axes - 1:
            return self.forward(x[None])[0]
        if x.ndim != axes:
            raise self._error(
                f"expected an input {layout} or {layout.replace('N, ', '')}, got shape {x.shape}"
            )
        self._check_channels(x.shape)
        own = self.training or self.running_mean is None
        return F.instance_norm(x, *self._arrays(), own, self.momentum or 0.0, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """`(x - mean) / sqrt(var + eps) * weight + bias` of each channel of each signal.

    x (N, C, L) or (C, L) to the same shape, as ``torch.nn.InstanceNorm1d``: without weights and
    statistics unless ``affine`` and ``track_running_stats`` ask for them. Ulyanov et al., "Instance
    normalization", 2016. Raises ValueError for other shapes, and for signals of one value unless
    running statistics are used.

    >>> nn.InstanceNorm1d(3)(mg.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    layouts = {3: "(N, C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each image, (N, C, H, W) or (C, H, W).

    As :class:`InstanceNorm1d` otherwise, and as ``torch.nn.InstanceNorm2d``.

    >>> nn.InstanceNorm2d(3)(mg.zeros((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    layouts = {4: "(N, C, H, W)"}


class LocalResponseNorm(SameShape, function=F.local_response_norm):
    """`x / (k + alpha / size * s)**beta`, s the sum of squares of ``size`` neighbouring channels.

    x (N, C, ...) to the same shape, as ``torch.nn.LocalResponseNorm``. Raises ValueError for a size
    below 1 and for inputs without channels. Krizhevsky, Sutskever and Hinton, "ImageNet
    classification with deep convolutional neural networks", 2012.

    >>> nn.LocalResponseNorm(3)(mg.zeros((1, 4, 2, 2))).shape
    (1, 4, 2, 2)
    """

    _shown = "size, alpha=, beta=, k="
    size: Annotated[int, "[1, inf)"]
    alpha: Annotated[float, "(-inf, inf)"] = 1e-4
    beta: Annotated[float, "(-inf, inf)"] = 0.75
    k: Annotated[float, "[0, inf)"] = 1.0
