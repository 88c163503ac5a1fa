"""Residual networks: blocks that learn what to add to their input.

A block computes relu(x + f(x)), so that the identity is easy to learn and gradients pass through
the sum unchanged; networks of a hundred layers train. He, Zhang, Ren and Sun, "Deep residual
learning for image recognition", 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad import nn
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor

Norm = Callable[[int], nn.Module]


#: What the arguments of both kinds of blocks may be.
RANGES = {
    "inplanes": "[0, inf)", "planes": "[0, inf)", "stride": "[1, inf)", "groups": "[1, inf)",
    "base_width": "[1, inf)",
}  # fmt: skip


class _Block(nn.Module):
    """relu(x + f(x)), where ``_residual`` computes f and ``downsample`` adapts x if need be."""

    relu: nn.ReLU
    downsample: nn.Module | None

    def _residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) to (N, expansion * planes, H / stride, W / stride)."""
        residual = self._residual(x)
        ans: Tensor = self.relu(residual + (x if self.downsample is None else self.downsample(x)))
        return ans


class BasicBlock(_Block):
    """Two 3 x 3 convolutions around which the input is added to their output.

    x (N, inplanes, H, W) gives (N, planes, H / stride, W / stride). ``downsample`` brings x to that
    shape where it has another one. Raises ValueError for groups, base_width or dilation, which
    only :class:`Bottleneck` takes.

    >>> mg.models.BasicBlock(8, 8)(mg.zeros((1, 8, 4, 4))).shape
    (1, 8, 4, 4)
    """

    expansion = 1

    @checked(**RANGES)
    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64 or dilation != 1:
            raise ValueError(
                f"BasicBlock: expected groups=1, base_width=64 and dilation=1, got {groups}, "
                f"{base_width} and {dilation}; Bottleneck takes them"
            )
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = _conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU()
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def _residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        ans: Tensor = self.bn2(self.conv2(x))
        return ans


class Bottleneck(_Block):
    """1 x 1, 3 x 3 and 1 x 1 convolutions around which the input is added to their output.

    x (N, inplanes, H, W) gives (N, 4 * planes, H / stride, W / stride). As in torchvision the
    3 x 3 convolution has the stride ("v1.5"), which is better than the paper's first 1 x 1.

    >>> mg.models.Bottleneck(16, 4)(mg.zeros((1, 16, 4, 4))).shape
    (1, 16, 4, 4)
    """

    expansion = 4

    @checked(**RANGES)
    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = _conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = _conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = downsample
        self.stride = stride

    def _residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        ans: Tensor = self.bn3(self.conv3(x))
        return ans


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """Four stages of residual blocks, ``layers`` of them in each, as ``torchvision.models.ResNet``.

    x (N, 3, H, W) gives (N, num_classes); 224 is usual for H and W. ``zero_init_residual``: let
    each block start as the identity. ``groups`` and ``width_per_group`` widen
    bottlenecks (ResNeXt). ``replace_stride_with_dilation``: for the last three stages, whether
    they keep the size of their images. ``norm_layer``: ``nn.BatchNorm2d`` by default.

    Raises ValueError for settings that a block cannot have.

    >>> model = mg.models.ResNet(mg.models.BasicBlock, (1, 1, 1, 1), num_classes=10)
    >>> model(mg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    @checked(num_classes="[0, inf)", groups="[1, inf)")
    def __init__(
        self,
        block: Block,
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        dilated = (False, *(replace_stride_with_dilation or (False, False, False)))
        if len(dilated) != 4:
            raise ValueError(
                f"ResNet: replace_stride_with_dilation must be None or have 3 elements, "
                f"got {replace_stride_with_dilation!r}"
            )
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        planes, dilation = 64, 1
        for i, (count, keeps) in enumerate(zip(layers, dilated, strict=True)):
            stride = 1 if i == 0 or keeps else 2
            before, dilation = dilation, dilation * (2 if keeps else 1)
            stage = _stage(
                block, planes, 64 * 2**i, count, stride, norm,
                groups=groups, base_width=width_per_group, dilation=dilation, first_dilation=before,
            )  # fmt: skip
            self.add_module(f"layer{i + 1}", stage)
            planes = 64 * 2**i * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(planes, num_classes)
        _init_weights(self, zero_init_residual)

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, 3, H, W) to (N, num_classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        ans: Tensor = self.fc(nn.functional.flatten(self.avgpool(x), 1))
        return ans


class SmallResNet(nn.Module):
    """The residual network of the paper's section 4.2, for small images; see resnet_small."""

    @checked(num_classes="[0, inf)", in_channels="[0, inf)", width="[0, inf)")
    def __init__(self, blocks: int, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(BasicBlock, width, width, blocks, 1)
        self.layer2 = _stage(BasicBlock, width, 2 * width, blocks, 2)
        self.layer3 = _stage(BasicBlock, 2 * width, 4 * width, blocks, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(4 * width, num_classes)
        _init_weights(self)

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, in_channels, H, W) to (N, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        ans: Tensor = self.fc(nn.functional.flatten(self.avgpool(x), 1))
        return ans


@checked(num_classes="[0, inf)")
def resnet18(
    num_classes: int = 1000,
    zero_init_residual: bool = False,
    norm_layer: Norm | None = None,
) -> ResNet:
    """ResNet-18: 11,689,512 parameters for 1,000 classes, as ``torchvision.models.resnet18``.

    >>> mg.models.resnet18()(mg.zeros((2, 3, 32, 32))).shape
    (2, 1000)
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, zero_init_residual, norm_layer=norm_layer)


@checked(num_classes="[0, inf)")
def resnet34(
    num_classes: int = 1000,
    zero_init_residual: bool = False,
    norm_layer: Norm | None = None,
) -> ResNet:
    """ResNet-34: 21,797,672 parameters for 1,000 classes, as :func:`resnet18`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, zero_init_residual, norm_layer=norm_layer)


@checked(num_classes="[0, inf)", groups="[1, inf)")
def resnet50(
    num_classes: int = 1000,
    zero_init_residual: bool = False,
    groups: int = 1,
    width_per_group: int = 64,
    replace_stride_with_dilation: Sequence[bool] | None = None,
    norm_layer: Norm | None = None,
) -> ResNet:
    """ResNet-50: 25,557,032 parameters for 1,000 classes, as :func:`resnet18`."""
    return ResNet(
        Bottleneck, (3, 4, 6, 3), num_classes, zero_init_residual, groups, width_per_group,
        replace_stride_with_dilation, norm_layer,
    )  # fmt: skip


@checked(num_classes="[0, inf)", in_channels="[0, inf)", width="[0, inf)")
def resnet_small(
    num_classes: int = 10, in_channels: int = 3, blocks: int = 1, width: int = 16
) -> SmallResNet:
    """A residual network for images of about 32 x 32 pixels, with 6 * blocks + 2 layers.

    Three stages of ``blocks`` basic blocks each, with 1, 2 and 4 times ``width`` channels. With
    blocks=3, 5, 7, 9 these are the paper's ResNet-20, 32, 44 and 56 for CIFAR-10, but for its
    shortcuts, which here are 1 x 1 convolutions where shapes change.

    >>> model = mg.models.resnet_small(blocks=3)
    >>> model(mg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """
    return SmallResNet(blocks, num_classes, in_channels, width)


def _conv3x3(
    inplanes: int, planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        inplanes, planes, kernel_size=3, stride=stride, padding=dilation, dilation=dilation,
        groups=groups, bias=False,
    )  # fmt: skip


def _conv1x1(inplanes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, kernel_size=1, stride=stride, bias=False)


def _stage(
    block: Block,
    inplanes: int,
    planes: int,
    count: int,
    stride: int,
    norm: Norm = nn.BatchNorm2d,
    *,
    groups: int = 1,
    base_width: int = 64,
    dilation: int = 1,
    first_dilation: int = 1,
) -> nn.Sequential:
    """Blocks in a row, of which the first changes the number of channels and the size."""
    out = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != out:
        downsample = nn.Sequential(_conv1x1(inplanes, out, stride), norm(out))
    first = block(inplanes, planes, stride, downsample, groups, base_width, first_dilation, norm)
    rest = [
        block(out, planes, 1, None, groups, base_width, dilation, norm) for _ in range(count - 1)
    ]
    return nn.Sequential(first, *rest)


def _init_weights(model: nn.Module, zero_init_residual: bool = False) -> None:
    """He's values for the convolutions; batch norms start with scale 1 and shift 0 anyway."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
            last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
            for name, parameter in last.named_parameters():
                if name == "weight":
                    nn.init.zeros_(parameter)
