"""Keras, with whatever framework it runs on, by train_on_batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from benchmarks.models import MODELS, inputs

NAME = f"Keras ({keras.backend.backend()})"


def version() -> str:
    return str(keras.__version__)


def network(name: str, size: int) -> Any:
    channels = MODELS[name].channels

    def convolution(filters: int, padding: str = "same") -> Any:
        return layers.Conv2D(filters, 3, padding=padding, activation="relu")

    head = layers.Dense(10, activation="softmax")
    if name == "residual block":
        x = start = keras.Input((size, size, channels))
        for filters in (channels, channels):
            x = x if x is start else layers.ReLU()(x)
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, start])))
        return keras.Model(start, head(x))
    inner: dict[str, list[Any]] = {
        "dense": [layers.Flatten(), layers.Dense(100, activation="relu")],
        "ConvolutionNetwork": [
            convolution(10, "valid"), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(10, activation="relu"),
        ],
        "DeepConvNet": [
            convolution(16), convolution(16), layers.MaxPooling2D(), convolution(32),
            layers.ZeroPadding2D(2), convolution(32, "valid"), layers.MaxPooling2D(),
            convolution(64), convolution(64), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(50, activation="relu"), layers.Dropout(0.5),
        ],
        "LeNet": [
            layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu"),
        ],
        "VGG block": [
            convolution(128), convolution(128), layers.MaxPooling2D(), layers.Flatten(),
        ],
    }  # fmt: skip
    return keras.Sequential([keras.Input((size, size, channels)), *inner[name], head])


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    model = network(name, size)
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = inputs(name, batch, size)
    x = images.transpose(0, 2, 3, 1).copy()
    return lambda: model.train_on_batch(x, labels), lambda: model.predict_on_batch(x)
