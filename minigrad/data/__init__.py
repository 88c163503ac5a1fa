"""Data sets, batches, splits, transforms of images, and the well-known collections.

They feed a Trainer, or a loop written by hand: a data set gives samples, a loader gives batches.
"""

from typing import TYPE_CHECKING

from minigrad.data.datasets import load_digits, load_fashion_mnist, load_mnist
from minigrad.data.idx import read_idx
from minigrad.data.loader import ArrayDataset, DataLoader, Subset, default_collate
from minigrad.data.samplers import (
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from minigrad.data.splits import random_split, train_test_split
from minigrad.data.transforms import (
    ColorJitter,
    Compose,
    MixUp,
    Normalize,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomTransform,
)
from minigrad.lazy import listed, spelled

__all__ = [
    "ArrayDataset", "DataLoader", "Subset", "default_collate", "random_split", "train_test_split",
    "Sampler", "RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler",
    "load_digits", "load_fashion_mnist", "load_mnist", "read_idx",
    "ColorJitter", "Compose", "MixUp", "Normalize", "RandomCrop", "RandomErasing",
    "RandomHorizontalFlip", "RandomResizedCrop", "RandomTransform",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__, __dir__ = spelled(__name__), listed(__name__)
