"""The plan that AlexNet and VGG share: convolutions, average pooling to one size, dense layers."""

from __future__ import annotations

from minigrad import nn
from minigrad.engine.tensor import ArrayLike, Tensor


class FeaturesAndClassifier(nn.Module):
    """``features``, then ``avgpool``, then ``classifier``; subclasses build the three."""

    features: nn.Module
    avgpool: nn.Module
    classifier: nn.Module

    def forward(self, x: ArrayLike) -> Tensor:
        """(N, channels, H, W) to (N, num_classes)."""
        x = self.avgpool(self.features(x))
        ans: Tensor = self.classifier(nn.functional.flatten(x, 1))
        return ans
