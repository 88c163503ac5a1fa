"""Inference here and in onnxruntime, side by side: the same models, exported and served.

    python -m benchmarks.serving [WORD ...]

Words choose the models whose names hold one of them. Printed are the medians of short rounds, the
contenders taking turns, each on the threads that it chooses.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.timing import take_turns
from minigrad import nn

ROUNDS = 15


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def models() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    return {
        "dense, 1 row": (dense, (1, 784)),
        "dense, 32 rows": (dense, (32, 784)),
        "LSTM, 20 steps": (partial(nn.LSTM, 32, 64), (20, 8, 32)),
        "ResNet small, 32 images": (
            partial(mg.models.resnet_small, in_channels=1),
            (32, 1, 28, 28),
        ),
        "ResNet-18, 1 image": (mg.models.resnet18, (1, 3, 224, 224)),
        "ResNet-50, 1 image": (mg.models.resnet50, (1, 3, 224, 224)),
    }


def served(model: nn.Module, x: Any, folder: Path) -> Any:
    import onnxruntime

    path = folder / "model.onnx"
    mg.onnx.export(model, x, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return partial(session.run, None, {session.get_inputs()[0].name: x})


def ours(model: nn.Module, x: Any) -> None:
    with mg.no_grad():
        model(x)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("words", nargs="*", metavar="WORD")
    words = [word.lower() for word in options.parse_args().words]
    known = models()
    chosen = [name for name in known if not words or any(word in name.lower() for word in words)]
    if not chosen:
        options.error(f"no model has such a name; there are: {'; '.join(known)}")
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            sys.exit(f"benchmarks.serving needs {package}: pip install onnx onnxruntime")
    print(f"{'':<26} {'minigrad':>12} {'onnxruntime':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            make, shape = known[name]
            model = make().eval()
            x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            ways = {
                "minigrad": partial(ours, model, x),
                "onnxruntime": served(model, x, Path(folder)),
            }
            rounds = take_turns(ways, ROUNDS)
            times = [statistics.median(rounds[way]) * 1e3 for way in ways]
            print(f"{name:<26} {times[0]:>9.3f} ms {times[1]:>9.3f} ms")


if __name__ == "__main__":
    main()
