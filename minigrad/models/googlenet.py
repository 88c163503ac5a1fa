"""GoogLeNet: modules that look at the image at several scales at once.

An Inception module runs 1 x 1, 3 x 3 and 5 x 5 convolutions and a max-pooling side by side and
stacks what they give; 1 x 1 convolutions before the large ones keep the cost down. Szegedy et al.,
"Going deeper with convolutions", 2014; with batch normalisation as in Ioffe and Szegedy, 2015.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.operators.joining import concatenate


class GoogLeNetOutputs(NamedTuple):
    """What a GoogLeNet with auxiliary heads gives in training, each (N, num_classes).

    See :class:`GoogLeNet`.
    """

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class BasicConv2d(nn.Module):
    """Convolution without bias, batch normalisation (eps 0.001), ReLU."""

    @checked(in_channels="[0, inf)", out_channels="[0, inf)")
    def __init__(self, in_channels: int, out_channels: int, **geometry: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **geometry)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, out_h, out_w)."""
        ans: Tensor = nn.functional.relu(self.bn(self.conv(x)))
        return ans


class Inception(nn.Module):
    """Four branches side by side, their channels stacked.

    x (N, in_channels, H, W) gives (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W). ``ch3x3red`` and
    ``ch5x5red`` are the channels of the 1 x 1 convolutions before the larger ones. As in
    torchvision, whose weights have this shape, the "5x5" branch has a 3 x 3 kernel.

    >>> block = mg.models.Inception(192, 64, 96, 128, 16, 32, 32)
    >>> block(mg.zeros((1, 192, 7, 7))).shape
    (1, 256, 7, 7)
    """

    @checked(in_channels="[0, inf)")
    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch3x3red, kernel_size=1),
            BasicConv2d(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, ch5x5red, kernel_size=1),
            BasicConv2d(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, H, W) to (N, sum of the branches' channels, H, W)."""
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return concatenate(branches, axis=1)


class InceptionAux(nn.Module):
    """An auxiliary head, which brings gradients to the middle of the network in training."""

    @checked(in_channels="[0, inf)", num_classes="[0, inf)", dropout="[0, 1]")
    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d((4, 4))
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, H, W) to (N, num_classes)."""
        x = nn.functional.flatten(self.conv(self.avgpool(x)), 1)
        ans: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return ans


class GoogLeNet(nn.Module):
    """Nine Inception modules, as ``torchvision.models.GoogLeNet``.

    x (N, 3, H, W) gives (N, num_classes); 224 is usual for H and W. With ``aux_logits``, in
    training, it gives :class:`GoogLeNetOutputs`: weigh the auxiliary losses with 0.3. In
    evaluation the auxiliary heads are not run. ``transform_input``: the images are normalised with
    ImageNet's mean and deviation of each channel, and the weights want [-1, 1] (torchvision's do).

    >>> model = mg.models.GoogLeNet(num_classes=3, init_weights=False)
    >>> [logits.shape for logits in model(mg.zeros((2, 3, 32, 32)))]
    [(2, 3), (2, 3), (2, 3)]
    >>> model.eval()(mg.zeros((2, 3, 32, 32))).shape
    (2, 3)
    """

    @checked(num_classes="[0, inf)", dropout="[0, 1]")
    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            _init_weights(self)

    def forward(self, x: ArrayLike) -> Tensor | GoogLeNetOutputs:
        """(N, 3, H, W) to (N, num_classes), or three of them; see the class."""
        x = _to_unit_range(as_tensor(x)) if self.transform_input else x
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = middle = self.inception4a(x)
        x = late = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits: Tensor = self.fc(self.dropout(nn.functional.flatten(self.avgpool(x), 1)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return GoogLeNetOutputs(logits, self.aux2(late), self.aux1(middle))
        return logits


class SmallGoogLeNet(nn.Module):
    """Four Inception modules, for small images; see googlenet_small."""

    @checked(num_classes="[0, inf)", in_channels="[0, inf)", dropout="[0, 1]")
    def __init__(self, num_classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = BasicConv2d(in_channels, 32, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(2)
        self.inception2a = Inception(32, 16, 16, 32, 8, 16, 16)
        self.inception2b = Inception(80, 24, 24, 48, 8, 24, 16)
        self.maxpool2 = nn.MaxPool2d(2, ceil_mode=True)
        self.inception3a = Inception(112, 32, 32, 64, 8, 32, 32)
        self.inception3b = Inception(160, 64, 48, 96, 16, 32, 32)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(224, num_classes)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, H, W) to (N, num_classes)."""
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.inception2b(self.inception2a(x)))
        x = self.inception3b(self.inception3a(x))
        ans: Tensor = self.fc(self.dropout(nn.functional.flatten(self.avgpool(x), 1)))
        return ans


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def googlenet(
    num_classes: int = 1000,
    aux_logits: bool = True,
    transform_input: bool = False,
    init_weights: bool = True,
    dropout: float = 0.2,
    dropout_aux: float = 0.7,
) -> GoogLeNet:
    """GoogLeNet, as ``torchvision.models.googlenet``.

    For 1,000 classes it has 6,624,904 parameters, and 13,004,888 with the auxiliary heads.

    See :class:`GoogLeNet`.
    """
    return GoogLeNet(num_classes, aux_logits, transform_input, init_weights, dropout, dropout_aux)


@checked(num_classes="[0, inf)", in_channels="[0, inf)", dropout="[0, 1]")
def googlenet_small(
    num_classes: int = 10, in_channels: int = 3, dropout: float = 0.2
) -> SmallGoogLeNet:
    """Four Inception modules in two stages, for images of about 32 x 32 pixels.

    >>> mg.models.googlenet_small(in_channels=1)(mg.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """
    return SmallGoogLeNet(num_classes, in_channels, dropout)


def _init_weights(model: nn.Module) -> None:
    """Small weights: normal with std 0.01, cut at 2, as torchvision's."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, mean=0.0, std=0.01, a=-2, b=2)


def _to_unit_range(x: Tensor) -> Tensor:
    """From ImageNet's mean and deviation of each channel to (pixel - 0.5) / 0.5."""
    mean = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    return x * (std / 0.5).astype(x.dtype) + ((mean - 0.5) / 0.5).astype(x.dtype)
