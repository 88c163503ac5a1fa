"""AlexNet's layers, fitted to images of 28 x 28 pixels, read MNIST: 99 % of the test set.

    MINIGRAD_DATA=~/data python examples/alexnet_mnist.py [--quick]

AlexNet (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
networks", 2012) won with five convolutions and three dense layers, ReLU, dropout, max-pooling with
overlapping windows, and local response normalisation, in which strong answers damp those of the
neighbouring channels. ``mg.models.alexnet`` is the network at its full size; this is the same with
fewer channels.

A loader shuffles the images and prepares batches of 64 in the background while the network learns
from the one before; Adam begins with steps of 0.001, which shrink along half a wave of the cosine
(Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import data, models, optim


def enlarged(images: np.ndarray) -> np.ndarray:
    """scikit-learn's digits (N, 1, 8, 8) at the size of MNIST's."""
    return np.pad(images.repeat(3, 2).repeat(3, 3), ((0, 0), (0, 0), (2, 2), (2, 2)))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        (x, y), (x_test, y_test) = data.load_digits() if args.quick else data.load_mnist()
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    if args.quick:
        x, y, x_test, y_test = enlarged(x[::3]), y[::3], enlarged(x_test[::3]), y_test[::3]
    else:
        x, x_test = x[:, None], x_test[:, None]
    # The images stay bytes; each batch is scaled when its turn comes.
    scale = data.Normalize(0.0, 1.0 if args.quick else 255.0)
    batches = data.DataLoader(
        data.ArrayDataset(x, y), batch_size=64, shuffle=True, transform=scale, prefetch=2
    )
    tests = data.DataLoader(data.ArrayDataset(x_test, y_test), batch_size=250, transform=scale)

    mg.manual_seed(args.seed)
    model = models.alexnet_small()
    print(mg.summary(model, (1, 28, 28)))
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    shrinking = optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=max(1, args.epochs * len(batches))
    )
    trainer = mg.Trainer(model, optimizer)
    clock = time.perf_counter()
    history = trainer.fit(
        batches, epochs=args.epochs, validation_data=tests,
        callbacks=mg.callbacks.LearningRateScheduler(shrinking, every="batch"),
    )  # fmt: skip
    print(f"trained for {len(history)} epochs in {(time.perf_counter() - clock) / 60:.1f} min")
    mg.save(model.state_dict(), args.out / "alexnet.safetensors")
    if len(history):
        history.plot(args.out / "alexnet_curve.png")
        print(f"learning curve: {args.out / 'alexnet_curve.png'}")
    print(f"test accuracy: {trainer.score(tests):.2%} of {len(y_test):,}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
