"""A residual network tells clothes apart: 92 % of Fashion-MNIST's test set and more.

    MINIGRAD_DATA=~/data python examples/resnet_fashion.py [--quick]

A residual block computes relu(x + f(x)): where there is nothing to add, f need only be 0, and
gradients pass the sum unchanged. So networks of a hundred layers train where plain ones fail (He,
Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015). Trained here is the
paper's small network for 32 x 32 images (section 4.2) with 8 layers; the large ones are printed
with their size.

Half of the images are mirrored, at random, and the learning rate goes up and down once (Smith and
Topin, "Super-convergence", 2018), which reaches in few epochs what takes many otherwise.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import minigrad as mg
from minigrad import data, models, optim, viz

CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    options.add_argument("--blocks", type=int, default=1, help="in each of the three stages")
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    if args.epochs < 1:
        options.error("--epochs must be at least 1")
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    try:
        load = data.load_digits if args.quick else data.load_fashion_mnist
        (x, y), (x_test, y_test) = load()
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"no data: {error}")
    if args.quick:
        x, y, x_test, y_test = x[::2], y[::2], x_test[::2], y_test[::2]
    else:
        x, x_test = x[:, None], x_test[:, None]
        for build in (models.resnet18, models.resnet50):
            size = sum(p.size for p in build().parameters())
            print(f"{build.__name__} for 1,000 classes has {size:,} parameters")

    scale = data.Normalize(float(x.mean()), float(x.std()))
    mirror = data.RandomHorizontalFlip(0.0 if args.quick else 0.5)
    batches = data.DataLoader(
        data.ArrayDataset(x, y), batch_size=50 if args.quick else 100, shuffle=True,
        transform=data.Compose([mirror, scale]), prefetch=2,
    )  # fmt: skip
    tests = data.DataLoader(data.ArrayDataset(x_test, y_test), batch_size=500, transform=scale)

    mg.manual_seed(args.seed)
    model = models.resnet_small(num_classes=10, in_channels=1, blocks=args.blocks)
    print(mg.summary(model, x.shape[1:]))
    optimizer = optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    cycle = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, epochs=args.epochs, steps_per_epoch=len(batches)
    )
    trainer = mg.Trainer(model, optimizer)
    clock = time.perf_counter()
    history = trainer.fit(
        batches, epochs=args.epochs, validation_data=tests,
        callbacks=mg.callbacks.LearningRateScheduler(cycle, every="batch"),
    )  # fmt: skip
    print(f"trained for {len(history)} epochs in {(time.perf_counter() - clock) / 60:.1f} min")
    mg.save(model.state_dict(), args.out / "resnet.safetensors")
    if len(history):
        history.plot(args.out / "resnet_curve.png")
        print(f"learning curve: {args.out / 'resnet_curve.png'}")
    guess = trainer.predict(tests).argmax(axis=1)
    matrix = viz.confusion_matrix(y_test, guess, names=None if args.quick else CLASSES)
    matrix.savefig(args.out / "resnet_confusion.png")
    print(f"test accuracy: {(guess == y_test).mean():.2%} of {len(y_test):,}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
