"""DeepConvNet reads handwritten digits: 99.3 % of MNIST's test set and more.

    MINIGRAD_DATA=~/data python examples/deep_convnet_mnist.py [--quick]
    MINIGRAD_DATA=~/data python examples/deep_convnet_mnist.py --weights deep_convnet_params.npz
    MINIGRAD_DATA=~/data mpiexec -n 4 python examples/deep_convnet_mnist.py --decay

Three pairs of 3 x 3 convolutions, each with ReLU, and each pair followed by 2 x 2 max-pooling, then
two dense layers with dropout. Small kernels one after the other see as much as one large kernel,
with fewer weights; He's starting values (He et al., "Delving deep into rectifiers", 2015) keep the
signal alive through eight layers, and Adam (Kingma and Ba, 2014) trains them in 20 epochs. With
--decay its rate falls to 0 along half a cosine (Loshchilov and Hutter, "SGDR", 2016), so that the
last epochs differ less from each other.

The network is that of chapter 8 of Saitoh, "Deep learning from scratch", 2016. With --weights the
weights that come with the book are read from their .npz file and scored instead.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

import minigrad as mg
from minigrad import models, optim, viz


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


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--weights", type=Path, help="score the book's weights (.npz) instead")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--decay", action="store_true", help="let the learning rate fall to 0")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        x, y, x_test, y_test = images_and_labels(args.quick)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    mg.manual_seed(args.seed)
    model = models.deep_convnet()
    trainer = mg.Trainer(model, optim.Adam(lr=1e-3), distributed="auto")
    if args.weights:
        try:
            with args.weights.open("rb") as file:
                model.load_book(np.load(file))
        except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
            sys.exit(f"cannot read the weights: {error}")
    else:
        if trainer.writes:  # of the processes that mpiexec starts, the first one
            viz.filters(model.features[0]).savefig(args.out / "deep_convnet_filters_at_start.png")
        clock = time.perf_counter()
        callbacks: list[mg.callbacks.Callback] = []
        if args.decay:
            cosine = optim.lr_scheduler.CosineAnnealingLR(trainer.optimizer, max(1, args.epochs))
            callbacks.append(mg.callbacks.LearningRateScheduler(cosine))
        history = trainer.fit(
            x, y, epochs=args.epochs, batch_size=25 if args.quick else 100,
            validation_data=(x_test, y_test), callbacks=callbacks,
        )  # fmt: skip
        if not trainer.writes:
            return
        minutes, seconds = divmod(round(time.perf_counter() - clock), 60)
        print(f"trained for {len(history)} epochs in {minutes} min {seconds} s")
        mg.save(model.state_dict(), args.out / "deep_convnet.safetensors")
        if len(history):
            history.plot(args.out / "deep_convnet_curve.png")

    scores = trainer.predict(x_test, batch_size=500)
    viz.filters(model.features[0]).savefig(args.out / "deep_convnet_filters.png")
    wrong = viz.misclassified(x_test, y_test, scores, limit=40)
    wrong.savefig(args.out / "deep_convnet_mistakes.png")
    right = int((scores.argmax(axis=1) == y_test).sum())
    print(f"test accuracy: {right:,} of {len(y_test):,} ({right / len(y_test):.2%})")
    print(f"pictures in {args.out}/: deep_convnet_*.png")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
