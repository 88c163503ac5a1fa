"""What a dense network is made of: units, optimizers, regularisation, starting values, files.

    MINIGRAD_DATA=~/data python examples/layers_from_scratch.py [--quick]

Five short lessons, each with its picture or figures:

1. Linear and logistic regression: one unit without and with a sigmoid.
2. The 784-32-10 network under seven optimizers, from SGD to Adam (Kingma and Ba, 2014).
3. Six layers of 100 units learn 300 images by heart; L2 and dropout (Srivastava et al., 2014)
   narrow the gap between training and test.
4. Where weights start: He's values (2015) keep the spread of ReLU's activations through the
   layers, Glorot's (Xavier, 2010) are made for tanh, and a fixed range lets signals fade or burst.
5. Saving a model and loading it again.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

mpl.use("Agg")  # draw into files, without a screen

GREY = "#e3e5e8"
Array = np.ndarray

OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "SGD": lambda: optim.SGD(lr=0.1),
    "Momentum": lambda: optim.SGD(lr=0.1, momentum=0.9),
    "NAG": lambda: optim.SGD(lr=0.1, momentum=0.9, nesterov=True),
    "Adagrad": lambda: optim.Adagrad(lr=0.01),
    "RMSProp": lambda: optim.RMSprop(lr=0.001, alpha=0.9),
    "AdaDelta": lambda: optim.Adadelta(lr=1.0),
    "Adam": lambda: optim.Adam(lr=0.001),
}


def regressions() -> None:
    """Lesson 1, on made-up points whose line and border are known."""
    generator = np.random.default_rng(0)
    x = mg.tensor(generator.normal(size=(200, 1)).astype(np.float32))
    y = 3 * x - 1 + 0.1 * mg.tensor(generator.normal(size=(200, 1)).astype(np.float32))
    line, optimizer = nn.Linear(1, 1), optim.SGD(lr=0.1)
    parameters = list(line.parameters())
    for _ in range(100):
        with mg.GradientTape() as tape:
            loss = F.mse_loss(line(x), y)
        optimizer.apply_gradients(zip(tape.gradient(loss, parameters), parameters, strict=True))
    slope, intercept = (float(p) for p in parameters)
    print(f"1. linear regression: y = {slope:.2f} x {intercept:+.2f}; made with y = 3 x - 1")

    points = generator.normal(size=(400, 2)).astype(np.float32)
    above = (points[:, 1] > 2 * points[:, 0]).astype(np.int64)
    unit = nn.Linear(2, 1)
    trainer = mg.Trainer(unit, optim.Adam(lr=0.1), loss="binary_cross_entropy_with_logits")
    trainer.fit(points[:300], above[:300], epochs=10, verbose=0)
    a, b = unit.weight.numpy()[0]
    print(
        f"   logistic regression: {trainer.score(points[300:], above[300:]):.0%} of 100 new points "
        f"right; border y = {-a / b:.2f} x, made with y = 2 x"
    )


def compare_optimizers(x: Array, y: Array, epochs: int, path: Path) -> bool:
    """Lesson 2: the same start and the same batches for each. False after Ctrl-C."""
    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    print(f"2. 784-32-10 after {epochs} epochs, loss and accuracy in training:")
    for (name, optimizer), style in zip(OPTIMIZERS.items(), ["-", "--"] * 4, strict=False):
        mg.manual_seed(0)
        model = nn.Sequential(nn.Linear(x.shape[1], 32), nn.Sigmoid(), nn.Linear(32, 10))
        trainer = mg.Trainer(model, optimizer())
        history = trainer.fit(x, y, epochs=epochs, batch_size=32).history
        if trainer.interrupted:
            break
        axes.plot(range(1, len(history["loss"]) + 1), history["loss"], style, label=name)
        print(f"   {name:10} {history['loss'][-1]:.4f}  {history['accuracy'][-1]:.2%}")
    axes.set(xlabel="epoch", ylabel="cross-entropy in training", yscale="log")
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter("{x:g}")
    axes.grid(axis="y", which="both", color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=150)
    return not trainer.interrupted


def six_layers(pixels: int, dropout: float = 0.0) -> nn.Sequential:
    """Five hidden layers of 100 ReLUs, after He; dropout in front of the first three layers."""
    model = nn.Sequential()
    for i, inputs in enumerate((pixels, 100, 100, 100, 100)):
        model.add(nn.Dropout(dropout if i < 3 else 0.0)).add(nn.Linear(inputs, 100)).add(nn.ReLU())
    model.add(nn.Linear(100, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


class Known(mg.callbacks.Callback):
    """Notes accuracy and loss on the training images after each epoch, with nothing dropped."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        found = self.trainer.evaluate(self.x, self.y, batch_size=300)
        logs.update({f"known_{name}": value for name, value in found.items()})


def close_the_gap(
    x: Array, y: Array, x_test: Array, y_test: Array, epochs: int, path: Path
) -> bool:
    """Lesson 3: 300 images are few enough to be learnt by heart. False after Ctrl-C."""
    cases = {"nothing": (0.0, 0.0), "L2": (0.02, 0.0), "dropout": (0.0, 0.5)}
    figure, panels = plt.subplots(
        2, 3, figsize=(10, 6), sharex=True, sharey="row", layout="constrained"
    )
    print(f"3. six layers on 300 images, {epochs} epochs: training, test, and the gap between them")
    print("                 accuracy             cross-entropy")
    for column, (name, (weight_decay, dropout)) in zip(panels.T, cases.items(), strict=True):
        mg.manual_seed(0)
        model = six_layers(x.shape[1], dropout)
        trainer = mg.Trainer(model, optim.SGD(lr=0.01, momentum=0.9, weight_decay=weight_decay))
        history = trainer.fit(
            x, y, epochs=epochs, batch_size=100, verbose=0, callbacks=Known(x, y),
            validation_data=(x_test, y_test),
        ).history  # fmt: skip
        if trainer.interrupted:
            print(f"   interrupted: the cases before are in {path}")
            break
        known, new = (trainer.evaluate(*data) for data in ((x, y), (x_test, y_test)))
        gaps = [abs(known[key] - new[key]) for key in ("accuracy", "loss")]
        print(
            f"   {name:8} {known['accuracy']:7.2%} {new['accuracy']:7.2%} {gaps[0]:7.2%}"
            f"   {known['loss']:7.4f} {new['loss']:7.4f} {gaps[1]:7.4f}"
        )
        steps = range(1, epochs + 1)
        for axes, key in zip(column, ("accuracy", "loss"), strict=True):
            axes.plot(steps, history[f"known_{key}"], label="training")
            axes.plot(steps, history[f"val_{key}"], label="test")
            axes.grid(axis="y", color=GREY)
            axes.spines[["top", "right"]].set_visible(False)
        column[0].set_title(f"{name}: test {new['accuracy']:.1%}", loc="left", fontsize=11)
        column[1].set(xlabel="epoch")
    panels[0, 0].set(ylabel="accuracy", ylim=(0, 1.03))
    panels[1, 0].set(ylabel="cross-entropy", ylim=(0, 2.4))
    if panels[0, 0].lines:
        panels[0, 0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)
    return not trainer.interrupted


def activations(path: Path) -> None:
    """Lesson 4: a thousand random inputs through five layers of 100 ReLUs."""
    starts: dict[str, Callable[[mg.Tensor], object]] = {
        "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "Xavier": nn.init.xavier_normal_,
        "uniform ±0.05": lambda w: nn.init.uniform_(w, -0.05, 0.05),
    }
    figure, rows = plt.subplots(
        3, 5, figsize=(10, 5), sharex=True, sharey=True, layout="constrained"
    )
    print("4. spread (standard deviation) of the activations, layer by layer:")
    for row, (name, start) in zip(rows, starts.items(), strict=True):
        mg.manual_seed(0)
        h, spreads = mg.randn(1000, 100), []
        for i, axes in enumerate(row):
            weight = nn.Parameter(np.zeros((100, 100), np.float32))
            start(weight)
            h = F.relu(h @ weight.T)
            spreads.append(float(h.std()))
            axes.hist(h.numpy().ravel(), bins=40, range=(0, 3), density=True, color="#0072b2")
            axes.text(
                0.95, 0.9, f"std {spreads[-1]:.3f}", transform=axes.transAxes, ha="right", va="top"
            )
            axes.spines[["top", "right"]].set_visible(False)
            if row is rows[0]:
                axes.set_title(f"layer {i + 1}", fontsize=11)
        row[0].set_ylabel(name, fontsize=11)
        print(f"   {name:14}" + "".join(f"{spread:8.3f}" for spread in spreads))
    rows[0, 0].set(ylim=(0, 2), yticks=[])
    figure.supxlabel("activation", fontsize=10)
    figure.savefig(path, dpi=150)


def save_and_load(x: Array, path: Path) -> None:
    """Lesson 5: the loaded model answers bit for bit as the saved one."""
    model = six_layers(x.shape[1]).eval()
    mg.save_model(model, path)
    loaded = mg.load_model(path)
    same = np.array_equal(model(mg.tensor(x[:10])).numpy(), loaded(mg.tensor(x[:10])).numpy())
    print(f"5. saved {path.stat().st_size / 1e3:.0f} kB and loaded it; same answers: {same}")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--epochs", type=int, default=10, help="of each optimizer")
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    if args.epochs < 1:
        options.error("--epochs must be at least 1")
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        load = mg.data.load_digits if args.quick else mg.data.load_mnist
        (x, y), (x_test, y_test) = load()
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    x, x_test = (a.reshape(len(a), -1).astype(np.float32) / a.max() for a in (x, x_test))

    mg.manual_seed(0)
    regressions()
    if not compare_optimizers(x, y, args.epochs, args.out / "layers_optimizers.png"):
        return
    few, tests = (x[:300], y[:300]), (x_test[:2000], y_test[:2000])
    if not close_the_gap(*few, *tests, 20 * args.epochs, args.out / "layers_overfitting.png"):
        return
    activations(args.out / "layers_activations.png")
    save_and_load(x, args.out / "layers_model.safetensors")
    print(f"pictures in {args.out}/: layers_*.png")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
