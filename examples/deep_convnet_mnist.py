"""DeepConvNet reads handwritten digits: 99.3 % of MNIST's test set and more.

    MINIGRAD_DATA=~/data python examples/deep_convnet_mnist.py [--quick]
    MINIGRAD_DATA=~/data python examples/deep_convnet_mnist.py --weights deep_convnet_params.npz

Three pairs of 3 x 3 convolutions, each with ReLU, and each pair followed by 2 x 2 max-pooling, then
two dense layers with dropout. Small kernels one after the other see as much as one large kernel,
with fewer weights; He's starting values (He et al., "Delving deep into rectifiers", 2015) keep the
signal alive through eight layers, and Adam (Kingma and Ba, 2014) trains them in 20 epochs.

The network is that of chapter 8 of Saitoh, "Deep learning from scratch", 2016. With --weights the
weights that come with the book are read from their .npz file and scored instead.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import models, optim

mpl.use("Agg")  # draw into files, without a screen


def images_and_labels(quick: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """MNIST, or scikit-learn's digits enlarged to its size; pixels from 0 to 1, (N, 1, 28, 28)."""
    if quick:
        (x, y), (x_test, y_test) = mg.data.load_digits()
        x, x_test = (
            np.pad(a.repeat(3, 2).repeat(3, 3), ((0, 0), (0, 0), (2, 2), (2, 2)))
            for a in (x[::3], x_test)
        )
        return x, y[::3], x_test, y_test
    (x, y), (x_test, y_test) = mg.data.load_mnist()
    x, x_test = (a[:, None].astype(np.float32) / 255 for a in (x, x_test))
    return x, y, x_test, y_test


def draw_filters(before: np.ndarray, after: np.ndarray, path: Path) -> None:
    """The 16 kernels of the first layer, as they started and as they are; 0 is white."""
    figure, rows = plt.subplots(2, 1, figsize=(8, 1.7), layout="constrained")
    for axes, kernels, title in zip(rows, (before, after), ("at the start", "now"), strict=True):
        strip = np.pad(kernels[:, 0], ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
        largest = np.abs(kernels).max()
        axes.imshow(np.hstack(list(strip))[:, :-1], cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_title(f"the first layer's filters {title}", loc="left", fontsize=10)
        axes.set_axis_off()
    figure.savefig(path, dpi=150)


def draw_mistakes(x: np.ndarray, y: np.ndarray, guess: np.ndarray, path: Path) -> None:
    """Images that were misread: what they are, and in red what the network takes them for."""
    wrong = np.flatnonzero(guess != y)[:40]
    figure, cells = plt.subplots(4, 10, figsize=(8, 4), layout="constrained")
    for axes, i in zip(cells.flat, wrong, strict=False):
        axes.imshow(x[i, 0], cmap="gray_r")
        axes.text(0, 0, y[i], va="top", fontsize=11)
        axes.text(27, 0, guess[i], va="top", ha="right", fontsize=11, color="#d55e00")
    for axes in cells.flat:
        axes.set_axis_off()
    figure.suptitle(
        f"{(guess != y).sum()} of {len(y)} misread: the label (black) and the guess (red)",
        fontsize=11,
    )
    figure.savefig(path, dpi=150)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--weights", type=Path, help="score the book's weights (.npz) instead")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    try:
        x, y, x_test, y_test = images_and_labels(args.quick)
    except (ConnectionError, ImportError) as error:
        sys.exit(f"no data: {error}")
    mg.manual_seed(args.seed)
    model = models.deep_convnet()
    trainer = mg.Trainer(model, optim.Adam(lr=1e-3))
    start = model.features[0].weight.numpy().copy()
    if args.weights:
        try:
            model.load_book(np.load(args.weights))
        except (OSError, ValueError) as error:
            sys.exit(f"cannot read the weights: {error}")
    else:
        clock = time.perf_counter()
        history = trainer.fit(
            x, y, epochs=args.epochs, batch_size=25 if args.quick else 100,
            validation_data=(x_test, y_test),
        )  # fmt: skip
        minutes, seconds = divmod(round(time.perf_counter() - clock), 60)
        print(f"trained for {len(history)} epochs in {minutes} min {seconds} s")
        mg.save(model.state_dict(), args.out / "deep_convnet.safetensors")
        if len(history):
            history.plot(args.out / "deep_convnet_curve.png")

    guess = trainer.predict(x_test, batch_size=500).argmax(axis=1)
    draw_filters(start, model.features[0].weight.numpy(), args.out / "deep_convnet_filters.png")
    draw_mistakes(x_test, y_test, guess, args.out / "deep_convnet_mistakes.png")
    right = int((guess == y_test).sum())
    print(f"test accuracy: {right:,} of {len(y_test):,} ({right / len(y_test):.2%})")
    print(f"pictures in {args.out}/: deep_convnet_*.png")


if __name__ == "__main__":
    main()
