"""TensorFlow, eager: GradientTape around a Keras model that is called, Keras's Adam."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from benchmarks.models import inputs
from benchmarks.peers import with_keras

NAME = "TensorFlow eager"


def version() -> str:
    return str(tf.__version__)


def build(name: str, batch: int, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One training step (forward, loss, backward, Adam), and inference."""
    model = with_keras.network(name, size)
    optimizer = tf.keras.optimizers.Adam()
    images, labels = inputs(name, batch, size)
    x, y = tf.constant(images.transpose(0, 2, 3, 1)), tf.constant(labels)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy()

    def step() -> object:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss.numpy()

    return step, lambda: model(x, training=False).numpy()
