"""Transforms of images, for whole batches at once.

Images are arrays (N, C, H, W), or one image (C, H, W). Random numbers are drawn for each image,
from the loader's generator or from that of ``mg.manual_seed``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.printable import shown_settings
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked
from minigrad.engine.tensor import unmasked

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


def apply(
    transform: Callable[..., Any], images: Images, generator: Any, targets: Any = None
) -> tuple[Images, Any]:
    """The transformed images and targets, where a random transform draws from the generator."""
    if getattr(transform, "takes_targets", False):
        if targets is None:
            raise ValueError(
                f"{type(transform).__name__}: it mixes targets, too, so the loader's samples must "
                f"be (image, target)"
            )
        mixed: Any = transform
        return mixed.mix(images, targets, generator)  # type: ignore[no-any-return]
    random = isinstance(transform, RandomTransform)
    return transform(images, generator) if random else transform(images), targets


class Compose(RandomTransform):
    """Several transforms, one after another; plain functions of the images may be among them.

    >>> both = Compose([lambda x: x / 255, Normalize(0.5, 0.5)])
    >>> both(np.full((1, 1, 2), 255.0))
    array([[[1., 1.]]])
    """

    @checked()
    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)

    @property
    def takes_targets(self) -> bool:
        """Whether one of them mixes targets as well."""
        return any(getattr(transform, "takes_targets", False) for transform in self.transforms)

    def __call__(self, images: Images, generator: np.random.Generator | None = None) -> Images:
        """Apply all in turn."""
        return self.mix(images, None, generator)[0]

    @checked()
    def mix(
        self, images: Images, targets: Any, generator: np.random.Generator | None = None
    ) -> tuple[Images, Any]:
        """Apply all in turn, to targets as well where one of them mixes these."""
        for transform in self.transforms:
            images, targets = apply(transform, images, generator, targets)
        return images, targets


class Normalize:
    """`(x - mean) / std`, with one number for all channels or one for each.

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


class RandomResizedCrop(RandomTransform):
    """Cut a random window from each image and bring it to ``size``, with bilinear weights.

    ``size``: a number or (height, width). ``scale``: the least and the largest share of the image's
    area. ``ratio``: of width to height. A window that would be larger than the image in one
    direction ends at its border. Images (N, C, H, W) or (C, H, W) of any dtype, which they keep.

    Szegedy et al. 2015, section 6.

    >>> RandomResizedCrop(8)(np.ones((2, 3, 20, 30))).shape
    (2, 3, 8, 8)
    """

    @checked(size="[1, inf)", scale="(0, 1]", ratio="(0, inf)")
    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        self.scale, self.ratio = _range("scale", scale), _range("ratio", ratio)

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Crop and resize a batch (N, C, H, W)."""
        top, left, height, width = _windows(images.shape, self.scale, self.ratio, generator)
        wide = images if images.dtype.kind == "f" else images.astype(np.float32)
        wide = _resized(wide, 2, top, height, self.size[0])
        wide = _resized(wide, 3, left, width, self.size[1])
        return wide if images.dtype.kind == "f" else np.rint(wide).astype(images.dtype)


class ColorJitter(RandomTransform):
    """Change brightness, contrast and saturation of each image by random factors, in this order.

    Each factor is uniform in `[max(0, 1 - value), 1 + value]`. Images (N, C, H, W) or (C, H, W), of
    1 or 3 channels, floats in [0, 1] or uint8; both stay in their range. As torchvision's. Raises
    ValueError for another number of channels.

    >>> ColorJitter(brightness=0.2)(np.full((1, 2, 2), 0.5, np.float32)).shape
    (1, 2, 2)
    """

    @checked(brightness="[0, inf)", contrast="[0, inf)", saturation="[0, inf)")
    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0
    ) -> None:
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Change a batch (N, C, H, W)."""
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"ColorJitter: expected images of 1 or 3 channels, got shape {images.shape}"
            )
        most = 1.0 if images.dtype.kind == "f" else 255.0
        changed = images if images.dtype.kind == "f" else images.astype(np.float32)
        for value, towards in (
            (self.brightness, np.zeros_like),
            (self.contrast, lambda x: _grey(x).mean(axis=(2, 3), keepdims=True)),
            (self.saturation, _grey),
        ):
            if not value:
                continue
            factors = generator.uniform(max(0.0, 1.0 - value), 1.0 + value, len(images))
            f = factors.astype(changed.dtype)[:, None, None, None]
            other: Any = towards(changed)
            changed = np.clip(f * changed + (1 - f) * other, 0, most)
        return changed if images.dtype.kind == "f" else np.rint(changed).astype(images.dtype)


class RandomErasing(RandomTransform):
    """Fill a random rectangle of each image with ``value``, with probability ``p`` (cutout).

    ``scale``: the least and the largest share of the image's area. ``ratio``: of width to height.

    Zhong et al. 2017; DeVries and Taylor 2017.

    >>> erased = RandomErasing(p=1.0)(np.ones((1, 1, 10, 10)), np.random.default_rng(0))
    >>> 0 < (erased == 0).mean() < 0.4
    np.True_
    """

    @checked(p="[0, 1]", scale="(0, 1]", ratio="(0, inf)")
    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
    ) -> None:
        self.p = p
        self.scale, self.ratio = _range("scale", scale), _range("ratio", ratio)
        self.value = value

    def draw(self, images: Images, generator: np.random.Generator) -> Images:
        """Erase in a batch (N, C, H, W)."""
        chosen = generator.random(len(images)) < self.p
        top, left, height, width = _windows(images.shape, self.scale, self.ratio, generator)
        rows, columns = np.arange(images.shape[2]), np.arange(images.shape[3])
        in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
        in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
        inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
        inside &= chosen[:, None, None, None]
        return np.where(inside, np.asarray(self.value, images.dtype), images)


class MixUp(RandomTransform):
    """Mix each image, and its target, with those of another sample of the batch.

    The targets, class indices (N,), become probabilities (N, num_classes), which cross_entropy
    takes. x becomes w x + (1 - w) x', with one w from the distribution Beta(alpha, alpha) for each
    batch. For ``DataLoader(transform=)``, alone or in :class:`Compose`. Raises ValueError for a
    label out of range.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412.

    >>> images, labels = np.eye(2, dtype=np.float32).reshape(2, 1, 1, 2), np.array([0, 1])
    >>> x, y = MixUp(num_classes=2).mix(images, labels, np.random.default_rng(0))
    >>> y.shape, y.sum(axis=1)
    ((2, 2), array([1., 1.], dtype=float32))
    """

    takes_targets = True

    @checked(num_classes="[1, inf)", alpha="(0, inf)")
    def __init__(self, num_classes: int, alpha: float = 0.2) -> None:
        self.num_classes = num_classes
        self.alpha = alpha

    def __call__(self, images: Images, generator: np.random.Generator | None = None) -> Images:
        """Refuse images without targets."""
        raise TypeError("MixUp: it mixes targets, too: call mix(images, targets, generator)")

    @checked()
    def mix(
        self, images: Images, targets: Any, generator: np.random.Generator | None = None
    ) -> tuple[Images, Any]:
        """The mixed images and targets."""
        _check_images("MixUp", images)
        labels = np.asarray(targets)
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iub":
            raise ValueError(
                f"MixUp: expected class indices ({len(images)},), one for each image, got "
                f"{labels.dtype} of shape {labels.shape}"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            raise ValueError(
                f"MixUp: labels go from 0 to {self.num_classes - 1}, got {labels.min()} to "
                f"{labels.max()}"
            )
        generator = generator or default_generator()
        w = float(generator.beta(self.alpha, self.alpha))
        others = generator.permutation(len(images))
        wide = images if images.dtype.kind == "f" else images.astype(np.float32)
        one_hot = np.eye(self.num_classes, dtype=wide.dtype)[labels.astype(np.int64)]
        return w * wide + (1 - w) * wide[others], w * one_hot + (1 - w) * one_hot[others]


def _range(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"{name} must be (least, largest), got {ends}")
    return ends


def _windows(
    shape: tuple[int, ...],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[NDArray[Any], ...]:
    """Random windows of images of this shape: top, left, height and width of each."""
    count, _, rows, columns = shape
    area = rows * columns * generator.uniform(*scale, count)
    shapes = np.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1]), count))
    height = np.clip(np.rint(np.sqrt(area / shapes)), 1, rows).astype(np.int64)
    width = np.clip(np.rint(np.sqrt(area * shapes)), 1, columns).astype(np.int64)
    top = generator.integers(rows - height + 1, size=count)
    left = generator.integers(columns - width + 1, size=count)
    return top, left, height, width


def _resized(images: Images, axis: int, start: Any, length: Any, size: int) -> Images:
    """Along one axis, bring ``length`` pixels from ``start`` on, of each image, to ``size``."""
    middle = (np.arange(size) + 0.5) * (length[:, None] / size) - 0.5
    place = start[:, None] + np.clip(middle, 0, length[:, None] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, (start + length - 1)[:, None])
    along = (slice(None), *[slice(None) if i == axis else None for i in (1, 2, 3)])
    weight = (place - low).astype(images.dtype)[along]
    lower, upper = (np.take_along_axis(images, i[along], axis) for i in (low, high))
    return np.asarray(lower + (upper - lower) * weight)


def _grey(images: Images) -> Images:
    """The luminance, (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = np.array([0.299, 0.587, 0.114], images.dtype)
    return np.asarray(np.einsum("nchw,c->nhw", images, weights)[:, None])


def _check_images(name: str, images: Images) -> None:
    unmasked(name, images)
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{name}: expected images (N, C, H, W) or (C, H, W), got shape {images.shape}; "
            f"add the channels with x[:, None]"
        )
