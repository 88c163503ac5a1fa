"""One hidden layer of 100 units tells clothes apart, under five optimizers.

    MINIGRAD_DATA=~/data python examples/dense_fashion_mnist.py [--quick]

A dense layer computes activation(x W + b); with a hidden layer between pixels and classes the
network can learn features of its own. A sigmoid is flat far from 0, so its gradients fade; ReLU
keeps them (Glorot, Bordes and Bengio, "Deep sparse rectifier neural networks", 2011). How fast
training goes depends on what the optimizer makes of the gradients: plain steps (SGD), a look ahead
along the way so far (Nesterov, 1983), or a step length for each weight from the sizes of its past
gradients (Adagrad, 2011; RMSprop, 2012; Adam, 2014).

The networks, the 80/20 split, 5 epochs and batches of 32 are those of a well-known course chapter
that uses Keras; the table at the end stands beside the figures printed there.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import nn, optim

mpl.use("Agg")  # draw into files, without a screen

#: What Keras starts and steps with, where it is something else than here.
RMSPROP = partial(optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)
ADAGRAD = partial(optim.Adagrad, lr=1e-3, initial_accumulator_value=0.1, eps=1e-7)
ADAM = partial(optim.Adam, lr=1e-3, eps=1e-7)
SGD = partial(optim.SGD, lr=1e-2)
NESTEROV = partial(optim.SGD, lr=1e-2, momentum=0.9, nesterov=True)

#: The activation and the optimizer of each run.
RUNS: dict[str, tuple[type[nn.Module], Callable[[], optim.Optimizer]]] = {
    "sigmoid, RMSprop": (nn.Sigmoid, RMSPROP),
    "ReLU, RMSprop": (nn.ReLU, RMSPROP),
    "ReLU, SGD": (nn.ReLU, SGD),
    "ReLU, SGD with Nesterov momentum": (nn.ReLU, NESTEROV),
    "ReLU, Adagrad": (nn.ReLU, ADAGRAD),
    "ReLU, Adam": (nn.ReLU, ADAM),
}
QUANTITIES = ("loss", "accuracy", "val_loss", "val_accuracy")

#: What the chapter prints after 5 epochs on Fashion-MNIST, at 2 to 3 ms a step.
PUBLISHED = {
    "sigmoid, RMSprop": (0.3344, 0.8784),
    "ReLU, RMSprop": (0.3203, 0.8853, 0.3713, 0.8717),
    "ReLU, Adam": (0.3081, 0.8867, 0.3296, 0.8806),
}


class Clock(mg.callbacks.Callback):
    """Adds up the time of the training steps, without validation."""

    seconds, steps = 0.0, 0

    def on_epoch_begin(self, epoch: int) -> None:
        self.last = time.perf_counter()

    def on_batch_end(self, batch: int) -> None:
        now = time.perf_counter()
        self.seconds, self.steps, self.last = self.seconds + now - self.last, self.steps + 1, now


def build(activation: type[nn.Module], pixels: int) -> nn.Sequential:
    """Weights start uniform after Glorot, biases at 0, as in Keras."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 100), activation(), nn.Linear(100, 10)
    )  # fmt: skip
    for layer in (model[1], model[3]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


def report(rows: list[tuple[str, list[float], float]], published: bool) -> None:
    """A table of what was reached, with the chapter's figures in brackets."""
    print(f"\n{'':33}{'loss':>9}{'accuracy':>17}{'val. loss':>18}{'val. accuracy':>20}  ms/step")
    for name, reached, step in rows:
        known = PUBLISHED.get(name, ()) if published else ()
        pairs = zip_longest(reached, known)
        cells = [f"{a:9.4f} " + (f"({b:.4f})" if b else " " * 8) for a, b in pairs]
        print(f"{name:33}{''.join(cells)}{step:9.3f}")
    if published:
        print("in brackets what the chapter prints, after 5 epochs and at 2 to 3 ms a step")


def draw(histories: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Loss and accuracy on the held-out images, epoch by epoch."""
    figure, both = plt.subplots(1, 2, figsize=(10, 4.3), layout="constrained")
    for axes, key, title in zip(
        both, ("val_loss", "val_accuracy"), ("loss", "accuracy"), strict=True
    ):
        for (name, history), marker in zip(histories.items(), "osD^vX", strict=False):
            epochs = range(1, len(history[key]) + 1)
            axes.set_xticks(epochs)
            axes.plot(epochs, history[key], marker=marker, markersize=4, label=name)
        axes.set_title(f"{title} on the held-out images", loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.grid(axis="y", color="#e3e5e8")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = both[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--seeds", type=int, default=1, help="runs of each, to print their mean")
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    if args.epochs < 1 or args.seeds < 1:
        options.error("--epochs must be at least 1, and --seeds, too")
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        load = mg.data.load_digits if args.quick else mg.data.load_fashion_mnist
        (x, y), _ = load()
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    x = x.astype(np.float32) / (1 if args.quick else 255)
    x, x_val, y, y_val = mg.data.train_test_split(x, y, test_size=0.2, seed=42)
    print(f"{len(x)} images to learn from, {len(x_val)} to validate with\n")
    print(mg.summary(build(nn.ReLU, x[0].size), x.shape[1:]))

    rows: list[tuple[str, list[float], float]] = []
    histories: dict[str, dict[str, list[float]]] = {}
    for name, (activation, optimizer) in RUNS.items():
        clock, reached = Clock(), []
        for seed in range(args.seeds):
            print(f"\n{name}")
            mg.manual_seed(seed)
            trainer = mg.Trainer(build(activation, x[0].size), optimizer())
            history = trainer.fit(
                x, y, epochs=args.epochs, batch_size=32, validation_data=(x_val, y_val),
                callbacks=clock,
            ).history  # fmt: skip
            if trainer.interrupted:
                break
            reached.append([history[key][-1] for key in QUANTITIES])
            histories[name] = history
        mg.save(trainer.model.state_dict(), args.out / "dense.safetensors")
        if reached:
            means = np.mean(reached, axis=0).tolist()
            rows.append((name, means, clock.seconds / clock.steps * 1e3))
        if trainer.interrupted:
            print(f"saved what was learnt: {args.out / 'dense.safetensors'}")
            break

    if histories:
        report(rows, published=not args.quick)
        draw(histories, args.out / "dense_curves.png")
        print(f"\nlearning curves: {args.out / 'dense_curves.png'}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
