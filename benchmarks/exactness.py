"""How exact float32 is on both sets of kernels, and in PyTorch where it is installed.

    python -m benchmarks.exactness [--train]

Prints the largest errors of single convolutions, then that of the gradient of a whole network, and
how many decisions of relu and of max-pooling rounding has turned around in it. With --train it also
trains DeepConvNet with three seeds on each of them, which takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from benchmarks.models import inputs
from benchmarks.peers.with_minigrad import network
from minigrad import nn, optim
from minigrad.kernels import current, plain
from minigrad.kernels.windows import sliding
from minigrad.lazy import load_late

#: Images, channels, side, output channels.
SHAPES = [(10, 16, 28, 16), (10, 64, 28, 64), (4, 128, 28, 128), (4, 256, 14, 256)]
SETS = ("numpy", "numba")


@contextmanager
def kernels_of(name: str) -> Generator[None]:
    """Run the kernels of this set inside."""
    folder = "minigrad.kernels.compiled" if name == "numba" else "minigrad.kernels"
    before = current.use(
        {
            kernel: getattr(load_late(f"{folder}.{file}"), kernel)
            for file, names in current.COMPILED.items()
            for kernel in names.split()
        }
    )
    try:
        yield
    finally:
        current.use(before)


def error(found: Any, exact: Any) -> float:
    """The largest difference, in terms of the largest value."""
    return float(np.max(np.abs(found - exact)) / np.max(np.abs(exact)))


# -- single convolutions ---------------------------------------------------------------------------


def convolutions() -> None:
    print("| images, channels, side | set | forward | by input | by weight |")
    print("|---|---|---:|---:|---:|")
    for n, channels, side, out in SHAPES:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, channels, side, side)).astype(np.float32)
        w = rng.standard_normal((out, channels, 3, 3)).astype(np.float32)
        g = rng.standard_normal((n, out, side, side)).astype(np.float32)
        windows = sliding("conv2d", (side, side), 3, padding=1)
        calls: dict[str, tuple[Any, ...]] = {
            "conv2d": (x, w, None, windows, 1),
            "conv2d_input_grad": (g, w, windows, 1),
            "conv2d_weight_grad": (x, g, windows, 1),
        }
        exact = {
            name: getattr(plain, name)(
                *(a.astype(float) if isinstance(a, np.ndarray) else a for a in arguments)
            )
            for name, arguments in calls.items()
        }
        found = {}
        for name in SETS:
            with kernels_of(name):
                found[name] = [getattr(current, call)(*calls[call]) for call in calls]
        torch = with_pytorch(x, w, g)
        if torch:
            found["PyTorch"] = torch
        for name, results in found.items():
            errors = [error(y, e) for y, e in zip(results, exact.values(), strict=True)]
            cells = " | ".join(f"{e:.1e}" for e in errors)
            print(f"| {n}, {channels} to {out}, {side} x {side} | {name} | {cells} |")
    print()


def with_pytorch(x: Any, w: Any, g: Any) -> list[Any]:
    """What PyTorch gives, or nothing without it."""
    try:
        torch = load_late("torch")
    except ImportError:
        return []
    a, b = (torch.from_numpy(v).requires_grad_() for v in (x, w))
    y = torch.nn.functional.conv2d(a, b, padding=1)
    y.backward(torch.from_numpy(g))
    return [t.detach().numpy() for t in (y, a.grad, b.grad)]


# -- a whole network -------------------------------------------------------------------------------


def gradient(smooth: bool, dtype: Any) -> tuple[Any, list[Any]]:
    """The gradient of DeepConvNet, and what relu and max-pooling have decided."""
    mg.manual_seed(0)
    decided: list[Any] = []
    layers: list[nn.Module] = []
    for layer in network("DeepConvNet", 28):
        if isinstance(layer, nn.Dropout):
            continue
        if smooth and isinstance(layer, nn.ReLU):
            layer = nn.Softplus()
        elif smooth and isinstance(layer, nn.MaxPool2d):
            layer = nn.AvgPool2d(2)
        layers.append(layer)
    model = nn.Sequential(*layers).astype(dtype)
    images, labels = inputs("DeepConvNet", 100, 28)
    x = mg.tensor(images.astype(dtype))
    for layer in model:
        if isinstance(layer, nn.ReLU):
            decided.append(x.detach().numpy() > 0)
        elif isinstance(layer, nn.MaxPool2d):
            decided.append(largest(x.detach().numpy()))
        x = layer(x)
    F.cross_entropy(x, mg.tensor(labels)).backward()
    flat = [p.grad.numpy().astype(float).ravel() for p in model.parameters() if p.grad is not None]
    return np.concatenate(flat), decided


def pytorch_gradient() -> tuple[Any, list[Any]] | None:
    """The same of PyTorch in float32, or None without it."""
    try:
        torch = load_late("torch")
        peer = load_late("benchmarks.peers.with_pytorch")
    except ImportError:
        return None
    mg.manual_seed(0)
    ours = network("DeepConvNet", 28)
    images, labels = inputs("DeepConvNet", 100, 28)
    model = peer.network("DeepConvNet", 28)
    x = torch.from_numpy(images)
    ours(mg.tensor(images))  # which gives lazy layers their shapes
    model.load_state_dict(
        {k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()}
    )
    decided: list[Any] = []
    for layer in model:
        if isinstance(layer, torch.nn.ReLU):
            decided.append((x > 0).numpy())
        elif isinstance(layer, torch.nn.MaxPool2d):
            decided.append(largest(x.detach().numpy()))
        if not isinstance(layer, torch.nn.Dropout):
            x = layer(x)
    torch.nn.functional.cross_entropy(x, torch.from_numpy(labels)).backward()
    return np.concatenate(
        [p.grad.numpy().astype(float).ravel() for p in model.parameters()]
    ), decided


def largest(x: Any) -> Any:
    """Which element of each 2 x 2 window is the largest."""
    n, c, h, w = x.shape
    windows = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)
    return windows.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4).argmax(axis=-1)


def whole_network() -> None:
    print("| network | set | error of its gradient | decisions turned around |")
    print("|---|---|---:|---:|")
    for smooth in (False, True):
        text = "softplus and mean pooling" if smooth else "relu and max-pooling"
        with kernels_of("numpy"):
            exact, right = gradient(smooth, np.float64)
        found_by: dict[str, Any] = {}
        for name in SETS:
            with kernels_of(name):
                found_by[name] = gradient(smooth, np.float32)
        if not smooth and (torch := pytorch_gradient()):
            found_by["PyTorch"] = torch
        for name, (found, decided) in found_by.items():
            turned = sum(int((a != b).sum()) for a, b in zip(decided, right, strict=True))
            count = sum(a.size for a in right)
            off = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
            print(f"| {text} | {name} | {off:.1e} | {turned} of {count:,} |")
    print()


# -- training --------------------------------------------------------------------------------------

IMAGES, TESTS, EPOCHS, BATCH, SEEDS = 5_000, 5_000, 4, 100, 3


def train(seed: int, images: Any, labels: Any, tests: Any, answers: Any) -> float:
    """The accuracy of minigrad's DeepConvNet on the test images."""
    mg.manual_seed(seed)
    model = network("DeepConvNet", 28)
    trainer = mg.Trainer(model, optimizer=optim.Adam(model.parameters()))
    trainer.fit(images, labels, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return float(trainer.score(tests, answers))


def train_pytorch(seed: int, images: Any, labels: Any, tests: Any, answers: Any) -> float:
    """That of PyTorch's, trained in the same way."""
    torch, peer = load_late("torch"), load_late("benchmarks.peers.with_pytorch")
    torch.manual_seed(seed)
    model = peer.network("DeepConvNet", 28)
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    for _ in range(EPOCHS):
        for some in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[some]), y[some]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in torch.from_numpy(tests).split(500)])
    return float((found.numpy() == answers).mean())


def training() -> None:
    (images, labels), (tests, answers) = mg.data.load_mnist()
    images, tests = (
        (a[:count, None].astype(np.float32) / 255)
        for a, count in ((images, IMAGES), (tests, TESTS))
    )
    data = (images, labels[:IMAGES], tests, answers[:TESTS])
    columns = [*SETS]
    if importlib.util.find_spec("torch") is not None:
        columns.append("PyTorch")
    print(
        f"Accuracy of DeepConvNet on {TESTS:,} test images after {EPOCHS} epochs on {IMAGES:,} "
        f"images of MNIST:\n"
    )
    print("| seed | " + " | ".join(columns) + " |")
    print("|---:|" + "---:|" * len(columns))
    for seed in range(SEEDS):
        cells = []
        for name in SETS:
            with kernels_of(name):
                cells.append(train(seed, *data))
        if "PyTorch" in columns:
            cells.append(train_pytorch(seed, *data))
        print(f"| {seed} | " + " | ".join(f"{c:.2%}" for c in cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--train", action="store_true", help="train with three seeds, too")
    arguments = parser.parse_args()
    convolutions()
    whole_network()
    if arguments.train:
        training()


if __name__ == "__main__":
    main()
