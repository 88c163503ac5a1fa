"""A convolutional network from its parts: parameters, forward pass, tape, mini-batches, fit.

    MINIGRAD_DATA=~/data python examples/convolution_network.py [--quick]

A convolution slides a few small kernels over the image, so that it finds the same feature wherever
it stands, with few weights; pooling keeps the strongest answer of each 2 x 2 square; dense layers
decide (LeCun et al., "Gradient-based learning applied to document recognition", 1998). The tape
records the forward pass and gives the gradient of the loss, so the class below writes no backward
pass at all: it is a class of the kind that TensorFlow courses build with ``tf.GradientTape``.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim, viz


class ConvolutionNetwork:
    """3 x 3 "same" convolution, ReLU, 2 x 2 max-pooling, a dense layer with ReLU, a dense layer."""

    def __init__(
        self, n_kernels: int = 10, units: int = 100, batch_size: int = 128, lr: float = 0.01
    ) -> None:
        self.n_kernels = n_kernels
        self.units = units
        self.batch_size = batch_size
        self.optimizer = optim.SGD(lr=lr)
        self.weights: dict[str, nn.Parameter] = {}
        self.losses: list[float] = []
        self.val_losses: list[float] = []

    def init_weights(self, channels: int, height: int, width: int, n_classes: int) -> None:
        """Kernels and matrices uniform after Glorot, biases 0."""
        pooled = self.n_kernels * (height // 2) * (width // 2)
        shapes = {
            "conv": (self.n_kernels, channels, 3, 3),
            "hidden": (self.units, pooled),
            "output": (n_classes, self.units),
        }
        for name, shape in shapes.items():
            self.weights[f"{name}.weight"] = nn.Parameter(np.zeros(shape, np.float32))
            self.weights[f"{name}.bias"] = nn.Parameter(np.zeros(shape[0], np.float32))
            nn.init.xavier_uniform_(self.weights[f"{name}.weight"])

    def forpass(self, x: mg.Tensor) -> mg.Tensor:
        """The logits (N, n_classes) of images (N, C, H, W)."""
        w = self.weights
        maps = F.relu(F.conv2d(x, w["conv.weight"], w["conv.bias"], padding="same"))
        pooled = F.max_pool2d(maps, 2)
        flat = pooled.reshape(len(x), -1)
        hidden = F.relu(flat @ w["hidden.weight"].T + w["hidden.bias"])
        return hidden @ w["output.weight"].T + w["output.bias"]

    def training(self, x: mg.Tensor, y: mg.Tensor) -> float:
        """One step of gradient descent; returns the loss before it."""
        parameters = list(self.weights.values())
        with mg.GradientTape() as tape:
            loss = F.cross_entropy(self.forpass(x), y)
        gradients = tape.gradient(loss, parameters)
        self.optimizer.apply_gradients(zip(gradients, parameters, strict=True))
        value: float = loss.item()
        return value

    def gen_batch(self, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[mg.Tensor, mg.Tensor]]:
        """All images in a new random order, a batch at a time."""
        order = self.generator.permutation(len(x))
        for i in range(0, len(x), self.batch_size):
            chosen = order[i : i + self.batch_size]
            yield mg.tensor(x[chosen]), mg.tensor(y[chosen])

    def fit(
        self, x: np.ndarray, y: np.ndarray, *, epochs: int, x_val: np.ndarray, y_val: np.ndarray,
        seed: int = 42,
    ) -> None:  # fmt: skip
        """Train; Ctrl-C ends it and keeps what was learnt."""
        if epochs < 0:
            raise ValueError(f"fit: epochs must be 0 or more, got {epochs}")
        self.generator = mg.manual_seed(seed)
        _, channels, height, width = x.shape
        self.init_weights(channels, height, width, n_classes=int(y.max()) + 1)
        try:
            for epoch in range(epochs):
                bar = tqdm(
                    self.gen_batch(x, y), total=-(-len(x) // self.batch_size), ncols=80,
                    desc=f"epoch {epoch + 1:2}/{epochs}",
                )  # fmt: skip
                batch_losses = []
                for batch in bar:
                    batch_losses.append(self.training(*batch))
                    bar.set_postfix(loss=f"{batch_losses[-1]:.3f}")
                self.losses.append(float(np.mean(batch_losses)))
                self.val_losses.append(self.get_loss(x_val, y_val))
        except KeyboardInterrupt:
            print("\ninterrupted: what was learnt so far is kept")

    def logits(self, x: np.ndarray) -> np.ndarray:
        """In batches, and without recording."""
        with mg.no_grad():
            parts = [self.forpass(mg.tensor(x[i : i + 500])) for i in range(0, len(x), 500)]
        whole: np.ndarray = np.concatenate([part.numpy() for part in parts])
        return whole

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most likely class of each image."""
        guess: np.ndarray = self.logits(x).argmax(axis=1)
        return guess

    def score(self, x: np.ndarray, y: np.ndarray) -> float:
        """The fraction of images whose class is found."""
        return float((self.predict(x) == y).mean())

    def get_loss(self, x: np.ndarray, y: np.ndarray) -> float:
        """The mean cross-entropy."""
        return float(F.cross_entropy(mg.tensor(self.logits(x)), mg.tensor(y)))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--lr", type=float, default=0.01)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        load = mg.data.load_digits if args.quick else mg.data.load_fashion_mnist
        (x, y), (x_test, y_test) = load()
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    if not args.quick:
        x, x_test = (a[:, None].astype(np.float32) / 255 for a in (x, x_test))
    x, x_val, y, y_val = mg.data.train_test_split(x, y, test_size=0.2, stratify=y, seed=42)

    network = ConvolutionNetwork(batch_size=16 if args.quick else 128, lr=args.lr)
    network.fit(x, y, epochs=args.epochs, x_val=x_val, y_val=y_val)
    mg.save(network.weights, args.out / "convolution_network.safetensors")
    print(f"validation accuracy: {network.score(x_val, y_val):.4f} of {len(x_val):,}")
    print(f"test accuracy:       {network.score(x_test, y_test):.4f} of {len(x_test):,}")

    if network.val_losses:
        curves = {"loss": network.losses, "val_loss": network.val_losses}
        viz.learning_curves(curves).savefig(args.out / "convolution_network_curve.png")
        print(f"learning curve: {args.out / 'convolution_network_curve.png'}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
