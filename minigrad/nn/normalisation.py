"""Normalisation layers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F, init
from minigrad.nn.module import Module
from minigrad.nn.weights import draw, new_buffer, new_parameter
from minigrad.operators.normalisation import lengths


class _BatchNorm(Module):
    """Batch normalisation of inputs with certain numbers of axes."""

    layouts: ClassVar[dict[int, str]]
    weight: Parameter | None
    bias: Parameter | None
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
        self.weight = new_parameter(num_features, dtype) if affine else None
        self.bias = new_parameter(num_features, dtype) if affine and bias else None
        kept = track_running_stats
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, new_buffer(num_features, dtype) if kept else None)
        self.register_buffer("num_batches_tracked", new_buffer((), np.int64) if kept else None)
        draw(self)

    def reset_running_stats(self) -> None:
        """Forget the batches seen so far."""
        for buffer, value in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer.assign(np.full(buffer.shape, value))

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0, no batches seen."""
        self.reset_running_stats()
        _ones_and_zeros(self.weight, self.bias)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise each channel; same shape."""
        x = as_tensor(x)
        shape = x._data.shape
        if len(shape) not in self.layouts:
            expected = " or ".join(self.layouts.values())
            raise self._error(f"expected an input {expected}, got shape {shape}")
        if shape[1] != self.num_features:
            raise self._error(
                f"expected {self.num_features} channels, got {shape[1]} (input of shape {shape})"
            )
        if self.training and x.size == self.num_features:
            raise self._error(
                f"in training it needs more than one value per channel, got an input of shape "
                f"{shape}; use a larger batch, or call .eval()"
            )
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None and x.size:
            seen = self.num_batches_tracked.item() + 1
            self.num_batches_tracked.assign(seen)
            momentum = 1.0 / seen if momentum is None else momentum
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """(x - mean) / sqrt(var + eps) * weight + bias for each feature, as ``torch.nn.BatchNorm1d``.

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


class LayerNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes, as ``torch.nn.LayerNorm``.

    x (..., *normalized_shape) to the same shape; weight and bias have ``normalized_shape``.
    Ba, Kiros and Hinton, "Layer normalization", 2016. Raises ValueError for other shapes.

    >>> nn.LayerNorm(4)(mg.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

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
        shape = self.normalized_shape
        self.weight = new_parameter(shape, dtype) if elementwise_affine else None
        self.bias = new_parameter(shape, dtype) if elementwise_affine and bias else None
        draw(self)

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0."""
        _ones_and_zeros(self.weight, self.bias)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise over the last axes; same shape."""
        x = as_tensor(x)
        if x.shape[max(0, x.ndim - len(self.normalized_shape)) :] != self.normalized_shape:
            raise self._error(
                f"expected an input (..., {', '.join(map(str, self.normalized_shape))}), "
                f"got shape {x.shape}"
            )
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Normalisation of groups of channels within each image, as ``torch.nn.GroupNorm``.

    x (N, C, ...) to the same shape; weight and bias (C,). Wu and He, "Group normalization", 2018.
    Raises ValueError unless num_groups divides num_channels, and for other shapes.

    >>> nn.GroupNorm(2, 6)(mg.zeros((1, 6, 4, 4))).shape
    (1, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

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
        self.weight = new_parameter(num_channels, dtype) if affine else None
        self.bias = new_parameter(num_channels, dtype) if affine and bias else None
        draw(self)

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0."""
        _ones_and_zeros(self.weight, self.bias)

    def forward(self, x: ArrayLike) -> Tensor:
        """Normalise each group; same shape."""
        x = as_tensor(x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise self._error(
                f"expected an input (N, {self.num_channels}, ...), got shape {x.shape}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """x / (k + alpha / size * (sum of squares of ``size`` neighbouring channels))**beta.

    x (N, C, ...) to the same shape, as ``torch.nn.LocalResponseNorm``. Raises ValueError for a size
    below 1 and for inputs without channels. Krizhevsky, Sutskever and Hinton, "ImageNet
    classification with deep convolutional neural networks", 2012.

    >>> nn.LocalResponseNorm(3)(mg.zeros((1, 4, 2, 2))).shape
    (1, 4, 2, 2)
    """

    @checked(size="[1, inf)", alpha="(-inf, inf)", beta="(-inf, inf)", k="[0, inf)")
    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, C, ...) to the same shape."""
        x = as_tensor(x)
        if x.ndim < 3:
            raise self._error(f"expected an input (N, C, L, ...), got shape {x.shape}")
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _ones_and_zeros(weight: Tensor | None, bias: Tensor | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
