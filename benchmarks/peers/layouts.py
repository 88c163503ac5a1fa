"""The models as lists of sizes, for frameworks in which they are written by hand."""

from __future__ import annotations

from typing import Any


class Layouts(dict[str, list[Any]]):
    """The models that are made of these layers."""

    def __missing__(self, name: str) -> list[Any]:
        raise NotImplementedError(f"{name} is not written for this framework")


#: (input channels, output channels, padding) of each 3 x 3 convolution with ReLU; 0 is pooling.
CONVOLUTIONS = Layouts({
    "dense": [],
    "ConvolutionNetwork": [(1, 10, 0), 0],
    "DeepConvNet": [
        (1, 16, 1), (16, 16, 1), 0, (16, 32, 1), (32, 32, 2), 0, (32, 64, 1), (64, 64, 1), 0,
    ],
    "VGG block": [(64, 128, 1), (128, 128, 1), 0],
})  # fmt: skip
#: The widths of the dense layers, with ReLU between them.
DENSE = {
    "dense": [100, 10],
    "ConvolutionNetwork": [10, 10],
    "DeepConvNet": [50, 10],
    "VGG block": [10],
}
