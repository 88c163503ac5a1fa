"""Well-known data sets: handwritten digits, MNIST and Fashion-MNIST.

Each is returned as arrays, ``(x_train, y_train), (x_test, y_test)``. The files are fetched by
``download.py`` and read by ``idx.py``.
"""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.download import FASHION_MNIST, MNIST, Source, fetch
from minigrad.data.idx import read_idx
from minigrad.engine.settings import checked
from minigrad.lazy import extra

Split: TypeAlias = tuple[NDArray[Any], NDArray[Any]]


def load_digits() -> tuple[Split, Split]:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, which need no download.

    Returns ``(x_train, y_train), (x_test, y_test)``: float32 images (N, 1, 8, 8) in [0, 1] and
    int64 labels (N,). A fifth of each class is held out, always the same images: 1,438 to train on
    and 359 to test on. Raises ImportError if scikit-learn is not installed.

    >>> (x_train, y_train), (x_test, y_test) = load_digits()
    >>> x_train.shape, x_test.shape, x_train.dtype, y_train.dtype
    ((1438, 1, 8, 8), (359, 1, 8, 8), dtype('float32'), dtype('int64'))
    """
    bunch = extra("sklearn.datasets", "data", "load_digits").load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[np.argsort(labels, kind="stable")[4::5]] = True
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


@checked()
def load_mnist(
    root: str | os.PathLike[str] | None = None, *, normalized: bool = False
) -> tuple[Split, Split]:
    """MNIST: 60,000 + 10,000 handwritten digits, as ``(x_train, y_train), (x_test, y_test)``.

    uint8 images (N, 28, 28) and int64 labels (N,) from 0 to 9. With ``normalized`` the images are
    float32 (N, 1, 28, 28) from 0 to 1, as convolutional layers take them.

    The official files are read from ``root/mnist/*.gz``, where root is the argument, else
    ``$MINIGRAD_DATA``, else the user's cache folder; missing files are downloaded there. Raises
    ConnectionError if that fails, ValueError for a damaged file.

    Reference: Y. LeCun et al., Gradient-based learning applied to document recognition, 1998.

    >>> (x_train, y_train), (x_test, y_test) = load_mnist(normalized=True)  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((60000, 1, 28, 28), (60000,))
    """
    return _load(MNIST, root, normalized)


@checked()
def load_fashion_mnist(
    root: str | os.PathLike[str] | None = None, *, normalized: bool = False
) -> tuple[Split, Split]:
    """Fashion-MNIST: 60,000 + 10,000 pictures of clothes in 10 classes; see :func:`load_mnist`.

    The files are those in ``root/fashion-mnist/*.gz``. The classes are T-shirt, trouser, pullover,
    dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Reference: H. Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
    """
    return _load(FASHION_MNIST, root, normalized)


def _load(
    source: Source, root: str | os.PathLike[str] | None, normalized: bool
) -> tuple[Split, Split]:
    splits: list[Split] = []
    for part in ("train", "t10k"):
        images_path = fetch(source, f"{part}-images-idx3-ubyte.gz", root)
        labels_path = fetch(source, f"{part}-labels-idx1-ubyte.gz", root)
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise ValueError(
                f"{images_path}: expected uint8 images (N, 28, 28), got {images.dtype} "
                f"{images.shape}"
            )
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{labels_path}: expected {len(images)} uint8 labels, one for each image, "
                f"got {labels.dtype} {labels.shape}"
            )
        if labels.size and labels.max() > 9:
            raise ValueError(f"{labels_path}: expected labels from 0 to 9, got {labels.max()}")
        if normalized:
            images = images[:, None].astype(np.float32)
            images /= 255
        splits.append((images, labels.astype(np.int64)))
    return splits[0], splits[1]
