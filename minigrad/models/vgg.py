"""VGG: depth from nothing but 3 x 3 convolutions.

Two of them see as far as one of 5 x 5, with fewer parameters and one more nonlinearity. Simonyan
and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.
"""

from __future__ import annotations

from minigrad import nn
from minigrad.engine.settings import checked
from minigrad.models.alexnet import FeaturesAndClassifier

#: The paper's configurations A, B, D and E: how many convolutions stand in each stage.
_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
#: Their channels; a 2 x 2 max-pooling ends each stage.
_CHANNELS = (64, 128, 256, 512, 512)


class VGG(FeaturesAndClassifier):
    """``features``, average pooling to 7 x 7 and three dense layers, as ``torchvision.models.VGG``.

    x (N, 3, H, W) gives (N, num_classes); H and W are at least 32, 224 is usual. ``features``
    gives 512 channels. With ``init_weights`` convolutions start with He's values (fan_out), dense
    layers normal with std 0.01, biases at 0.

    See :func:`vgg11`.
    """

    @checked(num_classes="[0, inf)", dropout="[0, 1]")
    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0.0, 0.01)
                if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                    nn.init.zeros_(module.bias)


def _vgg(depth: int, batch_norm: bool, num_classes: int, init_weights: bool, dropout: float) -> VGG:
    features = nn.Sequential()
    channels = 3
    for out, convolutions in zip(_CHANNELS, _CONVOLUTIONS[depth], strict=True):
        for _ in range(convolutions):
            features.append(nn.Conv2d(channels, out, kernel_size=3, padding=1))
            if batch_norm:
                features.append(nn.BatchNorm2d(out))
            features.append(nn.ReLU())
            channels = out
        features.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return VGG(features, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg11(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 11 layers (A): 132,863,336 parameters for 1,000 classes.

    >>> model = mg.models.vgg11(num_classes=10)  # doctest: +SKIP
    >>> model(mg.zeros((1, 3, 32, 32))).shape  # doctest: +SKIP
    (1, 10)
    """
    return _vgg(11, False, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg11_bn(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 11 layers and batch normalisation: 132,868,840 parameters, as :func:`vgg11`."""
    return _vgg(11, True, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg13(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 13 layers (B): 133,047,848 parameters, as :func:`vgg11`."""
    return _vgg(13, False, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg13_bn(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 13 layers and batch normalisation: 133,053,736 parameters, as :func:`vgg11`."""
    return _vgg(13, True, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg16(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 16 layers (D): 138,357,544 parameters, as :func:`vgg11`."""
    return _vgg(16, False, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg16_bn(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 16 layers and batch normalisation: 138,365,992 parameters, as :func:`vgg11`."""
    return _vgg(16, True, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg19(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 19 layers (E): 143,667,240 parameters, as :func:`vgg11`."""
    return _vgg(19, False, num_classes, init_weights, dropout)


@checked(num_classes="[0, inf)", dropout="[0, 1]")
def vgg19_bn(num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> VGG:
    """VGG with 19 layers and batch normalisation: 143,678,248 parameters, as :func:`vgg11`."""
    return _vgg(19, True, num_classes, init_weights, dropout)
