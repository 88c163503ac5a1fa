"""Transforms of images, for whole batches at once.

Images are arrays (N, C, H, W), or one image (C, H, W). Random numbers are drawn for each image,
from the loader's generator or from that of ``mg.manual_seed``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.printable import shown_settings
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked

Images: TypeAlias = NDArray[Any]


class RandomTransform:
    """Base of transforms that draw random numbers: write ``draw(images, generator)``.

    Raises ValueError for images of another rank than (N, C, H, W) or (C, H, W).

    >>> class Noise(RandomTransform):
    ...     def draw(self, images, generator):
    ...         return images + generator.normal(size=images.shape)
    >>> Noise()(np.zeros((2, 1, 4, 4))).shape
    (2, 1, 4, 4)
    """

    @checked()
    def __call__(self, images: Images, generator: np.random.Generator | None = None) -> Images:
        """Transform (N, C, H, W) or (C, H, W) with numbers from the generator."""
        _check_images(type(self).__name__, images)
        generator = generator or default_generator()
        batch = self.draw(images if images.ndim == 4 else images[None], generator)
        return batch.reshape(batch.shape[4 - images.ndim :])

    def __repr__(self) -> str:
        return shown_settings(self)

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Transform a batch (N, C, H, W); written by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no draw method")


def apply(transform: Callable[..., Any], images: Images, generator: Any) -> Images:
    """The transformed images, where a random transform draws from the generator."""
    random = isinstance(transform, RandomTransform)
    changed: Images = transform(images, generator) if random else transform(images)
    return changed


class Compose(RandomTransform):
    """Several transforms, one after another; plain functions of the images may be among them.

    >>> both = Compose([lambda x: x / 255, Normalize(0.5, 0.5)])
    >>> both(np.full((1, 1, 2), 255.0))
    array([[[1., 1.]]])
    """

    @checked()
    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Images, generator: np.random.Generator | None = None) -> Images:
        """Apply all in turn."""
        for transform in self.transforms:
            images = apply(transform, images, generator)
        return images


class Normalize:
    """(x - mean) / std, with one number for all channels or one for each.

    Integer images become float32 first. Raises ValueError if std is not positive or the channels do
    not match.

    >>> Normalize([1.0, 2.0], [1.0, 2.0])(np.ones((2, 1, 2)))
    array([[[ 0. ,  0. ]], [[-0.5, -0.5]]])
    """

    @checked()
    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = np.atleast_1d(mean), np.atleast_1d(std)
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std must be positive, got {std}")

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"

    def __call__(self, images: Images) -> Images:
        """Normalize (N, C, H, W) or (C, H, W)."""
        _check_images("Normalize", images)
        channels = images.shape[-3]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ValueError(
                    f"Normalize: expected 1 or {channels} values of {name} for images of shape "
                    f"{images.shape}, got {len(values)}"
                )
        dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
        mean, std = (v.astype(dtype)[:, None, None] for v in (self.mean, self.std))
        return (images.astype(dtype, copy=False) - mean) / std


class RandomCrop(RandomTransform):
    """Cut a random window of ``size`` from each image, padded by ``padding`` zeros on every side.

    ``size``: a number or (height, width). Raises ValueError if it does not fit.

    >>> RandomCrop(4, padding=1)(np.ones((2, 1, 4, 4))).shape
    (2, 1, 4, 4)
    """

    @checked(size="[1, inf)", padding="[0, inf)")
    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        self.padding = padding

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Crop a batch (N, C, H, W)."""
        p, (height, width) = self.padding, self.size
        rows, columns = images.shape[2] + 2 * p - height, images.shape[3] + 2 * p - width
        if min(rows, columns) < 0:
            raise ValueError(
                f"RandomCrop: a window of {height} x {width} does not fit into images of "
                f"{images.shape[2]} x {images.shape[3]} with padding {p}"
            )
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p))) if p else images
        count = len(images)
        top = generator.integers(rows + 1, size=count)
        left = generator.integers(columns + 1, size=count)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        return windows[np.arange(count), :, top, left]


class RandomHorizontalFlip(RandomTransform):
    """Mirror each image, left to right, with probability ``p``.

    Images (N, C, H, W) to the same shape. Raises ValueError for p outside [0, 1].

    >>> RandomHorizontalFlip(p=1.0)(np.array([[[1, 2, 3]]]))
    array([[[3, 2, 1]]])
    """

    @checked(p="[0, 1]")
    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Mirror some of a batch (N, C, H, W)."""
        chosen = generator.random(len(images)) < self.p
        return np.where(chosen[:, None, None, None], images[..., ::-1], images)


def _check_images(name: str, images: Images) -> None:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{name}: expected images (N, C, H, W) or (C, H, W), got shape {images.shape}; "
            f"add the channels with x[:, None]"
        )
