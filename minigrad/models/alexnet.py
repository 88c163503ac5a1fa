"""AlexNet: the network that made deep learning the way to recognise images.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, which is the
form that torchvision has; Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
convolutional neural networks", 2012, with local response normalisation, for the small one.
"""

from __future__ import annotations

from minigrad import nn
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor


class FeaturesAndClassifier(nn.Module):
    """``features``, then ``avgpool``, then ``classifier``, which subclasses build, as VGG does."""

    features: nn.Module
    avgpool: nn.Module
    classifier: nn.Module

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, channels, H, W) to (N, num_classes)."""
        x = self.avgpool(self.features(x))
        ans: Tensor = self.classifier(nn.functional.flatten(x, 1))
        return ans


class AlexNet(FeaturesAndClassifier):
    """Five convolutions and three dense layers: (N, 3, H, W) to (N, num_classes).

    H and W are at least 63; 224 is usual. As ``torchvision.models.AlexNet``.

    See :func:`alexnet`.
    """

    @checked(num_classes="[0, inf)", dropout="[0, 1]")
    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, num_classes),
        )  # fmt: skip


class SmallAlexNet(FeaturesAndClassifier):
    """Five convolutions and three dense layers, for small images; see alexnet_small."""

    def __init__(self, num_classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, kernel_size=5, padding=2), nn.ReLU(),
            nn.LocalResponseNorm(5), nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.ReLU(),
            nn.LocalResponseNorm(5), nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 96, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(96, 96, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(96, 64, kernel_size=3, padding=1), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(64 * 2 * 2, 256), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(256, 256), nn.ReLU(),
            nn.Linear(256, num_classes),
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def alexnet(num_classes: int = 1000, dropout: float = 0.5) -> AlexNet:
    """AlexNet with 61,100,840 parameters (for 1,000 classes), as ``torchvision.models.alexnet``.

    >>> mg.models.alexnet(num_classes=10)(mg.zeros((1, 3, 63, 63))).shape
    (1, 10)
    """
    return AlexNet(num_classes, dropout)


@checked(num_classes="[0, inf)", in_channels="[0, inf)", dropout="[0, 1]")
def alexnet_small(
    num_classes: int = 10, in_channels: int = 1, dropout: float = 0.5
) -> SmallAlexNet:
    """AlexNet's layers with fewer channels, for images of 28 x 28 pixels.

    As in the paper of 2012, the first two convolutions are followed by local response
    normalisation, and the windows of the pooling overlap. Weights start with He's values.

    >>> mg.models.alexnet_small()(mg.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """
    return SmallAlexNet(num_classes, in_channels, dropout)
