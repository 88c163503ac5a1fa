"""Well-known convolutional networks, with torchvision's names, arguments and state_dict keys.

Weights trained there load unchanged: save them with safetensors, then
``mg.models.resnet18().load_state_dict(mg.load("resnet18.safetensors"))``. The ``*_small``
networks carry the same ideas over to images of 28 x 28 or 32 x 32 pixels.

>>> model = mg.models.resnet_small(num_classes=10, in_channels=1)
>>> model(mg.zeros((2, 1, 28, 28))).shape
(2, 10)
"""

from minigrad.lazy import listed
from minigrad.models.alexnet import AlexNet, alexnet, alexnet_small
from minigrad.models.deep_convnet import DeepConvNet, deep_convnet
from minigrad.models.googlenet import (
    GoogLeNet,
    GoogLeNetOutputs,
    Inception,
    googlenet,
    googlenet_small,
)
from minigrad.models.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet_small,
)
from minigrad.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)

__all__ = [
    "AlexNet", "alexnet", "alexnet_small",
    "VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "GoogLeNet", "GoogLeNetOutputs", "Inception", "googlenet", "googlenet_small",
    "BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet_small",
    "DeepConvNet", "deep_convnet",
]  # fmt: skip

__dir__ = listed(__name__)
