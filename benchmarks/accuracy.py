"""The accuracy after training, compared with PyTorch: same start, batches and steps, three seeds.

    MINIGRAD_DATA=~/data python -m benchmarks.accuracy [dense] [alexnet] [deep_convnet]
                                                       [--epochs N] [--seeds N]

For each seed both frameworks start from the same weights and see the same batches in the same
order; only the random numbers of dropout differ. As it takes long, `python -m benchmarks` leaves it
out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad import nn, optim


def dense() -> nn.Module:
    """784-100-10 with ReLU, as in examples/dense_fashion_mnist.py."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    for layer in (model[1], model[3]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


#: For each network: how it is made, its data, epochs and batch size. Adam takes steps of 0.001.
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], int, int]] = {
    "dense": (dense, mg.data.load_fashion_mnist, 5, 32),
    "alexnet": (mg.models.alexnet_small, mg.data.load_mnist, 5, 64),
    "deep_convnet": (mg.models.deep_convnet, mg.data.load_mnist, 20, 100),
}


def twin(model: nn.Module) -> Any:
    """The same network in PyTorch, with a copy of the weights.

    The networks here are Sequentials one after the other, with nothing between but flattening.
    """
    layers: list[Any] = []
    for layer in model.modules():
        match layer:
            case nn.Linear():
                if not any(isinstance(one, torch.nn.Flatten) for one in layers):
                    layers.append(torch.nn.Flatten())
                layers.append(torch.nn.Linear(layer.in_features, layer.out_features))
            case nn.Conv2d():
                padding: Any = layer.padding
                layers.append(
                    torch.nn.Conv2d(
                        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                        padding,
                    )
                )  # fmt: skip
            case nn.MaxPool2d():
                layers.append(torch.nn.MaxPool2d(layer.kernel_size, layer.stride))
            case nn.AdaptiveAvgPool2d():
                layers.append(torch.nn.AdaptiveAvgPool2d(layer.output_size))
            case nn.LocalResponseNorm():
                layers.append(
                    torch.nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
                )
            case nn.Dropout():
                layers.append(torch.nn.Dropout(layer.p))
            case nn.ReLU():
                layers.append(torch.nn.ReLU())
            case _ if list(layer.children()) or isinstance(layer, nn.Flatten):
                pass
            case _:
                raise TypeError(f"no twin of {layer!r}")
    made = torch.nn.Sequential(*layers)
    with torch.no_grad():
        pairs = zip(model.parameters(), made.parameters(), strict=True)
        for ours, theirs in pairs:
            theirs.copy_(torch.tensor(ours.numpy()))
    return made


def train_ours(model: nn.Module, x: Any, y: Any, orders: list[Any], test: Any) -> float:
    """The accuracy on the test set after training in these orders."""
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for batches in orders:
        for chosen in batches:
            loss = nn.functional.cross_entropy(model(mg.tensor(x[chosen])), mg.tensor(y[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return mg.Trainer(model).score(*test, batch_size=500)


def train_torch(model: Any, x: Any, y: Any, orders: list[Any], test: Any) -> float:
    """The same in PyTorch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.tensor(x), torch.tensor(y)
    for batches in orders:
        for chosen in batches:
            loss: Any = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    images: Any = torch.tensor(test[0])
    with torch.no_grad():
        guesses = [model(part).argmax(1) for part in images.split(500)]
    return float((torch.cat(guesses).numpy() == test[1]).mean())


def compare(name: str, epochs: int | None, seeds: int) -> None:
    """Print a row for each framework."""
    build, load, usual, size = CASES[name]
    epochs = epochs or usual
    (x, y), test = load()
    x, x_test = (a[:, None].astype(np.float32) / 255 for a in (x, test[0]))
    reached: dict[str, list[float]] = {"minigrad": [], "PyTorch": []}
    seconds = dict.fromkeys(reached, 0.0)
    for seed in range(seeds):
        mg.manual_seed(seed)
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        count = len(x) // size * size
        orders = [generator.permutation(len(x))[:count].reshape(-1, size) for _ in range(epochs)]
        model = build()
        theirs = twin(model)
        for framework, train, net in (
            ("PyTorch", train_torch, theirs),
            ("minigrad", train_ours, model),
        ):
            clock = time.perf_counter()
            reached[framework].append(train(net, x, y, orders, (x_test, test[1])))
            seconds[framework] += time.perf_counter() - clock
    print(f"\n{name}, {epochs} epochs, batches of {size}, {seeds} seeds: test accuracy")
    print(f"{'':10}{'mean':>9}{'lowest':>9}{'highest':>9}{'seconds a run':>15}")
    for framework, values in reached.items():
        print(
            f"{framework:10}{statistics.mean(values):>9.2%}{min(values):>9.2%}{max(values):>9.2%}"
            f"{seconds[framework] / seeds:>15.0f}",
            flush=True,
        )


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", help=", ".join(CASES), default=["dense"])
    options.add_argument("--epochs", type=int, help="instead of the usual number")
    options.add_argument("--seeds", type=int, default=3)
    args = options.parse_args()
    for name in args.names:
        compare(name, args.epochs, args.seeds)


if __name__ == "__main__":
    main()
