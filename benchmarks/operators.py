"""Every operator beside PyTorch's: value and gradient together, on one thread and on two.

`python -m benchmarks.operators`, or `... operators 1 softmax conv` for one number of threads and
the rows whose names hold one of the words. Worst ratios first, with the kernels written with NumPy
and with those that numba compiles, where it is installed; above 1, PyTorch is faster. With
"slower" among the words, only rows in which one of the sets takes more than twice as long.
Arrays have the sizes that training knows, about 256 x 1024 in float32.
"""

# ruff: noqa: B008 (each row keeps what it was made with)

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import shortest, take_turns
from minigrad.kernels.choice import VARIABLE

THREADS = (1, 2)
SETS = ("numpy", "numba")
#: Above this ratio, "slower" shows a row.
SLOWER = 2.0
#: Seconds for each row and framework, and in how many rounds.
SHARE, ROUNDS, WARM = 0.03, 5, 2
BIG, MATRIX, IMAGES = (256, 1024), (256, 256), (32, 32, 28, 28)

Row = tuple[Callable[..., Any], Callable[..., Any], list[Any]]


def positive(rng: Any, shape: Any) -> Any:
    return rng.uniform(0.2, 3.0, shape)


def unit(rng: Any, shape: Any) -> Any:
    return rng.uniform(-0.9, 0.9, shape)


def near_one(rng: Any, shape: Any) -> Any:
    return rng.uniform(0.95, 1.05, shape)


def above_one(rng: Any, shape: Any) -> Any:
    return rng.uniform(1.1, 4.0, shape)


def well(rng: Any, shape: Any) -> Any:
    return rng.uniform(-0.4, 0.4, shape) / shape[-1] ** 0.5 + np.eye(shape[-2], shape[-1])


ONE = {
    "abs arctan arcsinh ceil cos cosh deg2rad exp exp2 expm1 floor nan_to_num negative rint sign "
    "sin sinc sinh square tanh": None,
    "arccos arcsin arctanh tan": unit,
    "arccosh": above_one,
    "log log10 log1p log2 sqrt reciprocal": positive,
}
TWO = {
    "add arctan2 copysign divide fmax fmin hypot logaddexp logaddexp2 maximum minimum multiply "
    "subtract": None,
    "power": positive,
}
REDUCED = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "logsumexp": "logsumexp",
           "var": "var", "std": "std", "nansum": "nansum", "nanmean": "nanmean"}  # fmt: skip
ACTIVATIONS = (
    "relu leaky_relu elu selu gelu silu sigmoid softplus logsigmoid tanh softmax log_softmax"
)


def rows(mg: Any, torch: Any) -> dict[str, Row]:
    """What is measured: ours, theirs, and the arrays or shapes of the arguments."""
    F, T = mg.nn.functional, torch.nn.functional
    rng = np.random.default_rng(0)
    index = rng.integers(0, 4096, 8192)
    there = torch.tensor(index)
    few, many = rng.integers(0, 10, 256), rng.integers(0, 10_000, 256)
    mask = rng.random(BIG) < 0.5
    order = np.argsort(rng.random(BIG), axis=1)
    found: dict[str, Row] = {}
    for names, draw in ONE.items():
        for name in names.split():
            theirs = getattr(torch, {"rint": "round"}.get(name, name))
            found[name] = getattr(mg, name), theirs, [(draw, BIG)]
    for names, draw in TWO.items():
        for name in names.split():
            theirs = getattr(torch, {"power": "pow"}.get(name, name))
            found[name] = getattr(mg, name), theirs, [(draw, BIG), (draw, BIG)]
            if name in ("add", "multiply", "divide", "maximum"):
                found[f"{name} a row"] = found[name][0], theirs, [(draw, BIG), (draw, BIG[1:])]
                found[f"{name} a column"] = found[name][0], theirs, [(draw, BIG), (draw, (256, 1))]
    for ours, theirs in REDUCED.items():
        for axis in (0, 1, (0, 1)):
            found[f"{ours} {axis}"] = (
                lambda x, f=getattr(mg, ours), a=axis: f(x, axis=a),
                lambda x, f=getattr(torch, theirs), a=axis: f(x, dim=a),
                [BIG],
            )
    for name in ACTIVATIONS.split():
        along = "softmax" in name
        found[f"F.{name}" if name == "tanh" else name] = (
            getattr(F, name, mg.tanh),
            (lambda x, f=getattr(T, name): f(x, -1)) if along else getattr(T, name, torch.tanh),
            [BIG],
        )
    found |= {
        "x**2": (lambda x: x**2, lambda x: x**2, [BIG]),
        "x**3": (lambda x: x**3, lambda x: x**3, [BIG]),
        "x**-1": (lambda x: x**-1, lambda x: x**-1, [(positive, BIG)]),
        "x**0.5": (lambda x: x**0.5, lambda x: x**0.5, [(positive, BIG)]),
        "x**1.7": (lambda x: x**1.7, lambda x: x**1.7, [(positive, BIG)]),
        "gelu tanh": (
            lambda x: F.gelu(x, "tanh"), lambda x: T.gelu(x, approximate="tanh"), [BIG],
        ),
        "softmax 0": (lambda x: F.softmax(x, 0), lambda x: T.softmax(x, 0), [BIG]),
        "dropout": (lambda x: F.dropout(x, 0.5), lambda x: T.dropout(x, 0.5), [BIG]),
        "clip": (lambda x: mg.clip(x, -0.7, 0.8), lambda x: torch.clip(x, -0.7, 0.8), [BIG]),
        "where": (
            lambda x, y: mg.where(mask, x, y),
            lambda x, y, m=torch.tensor(mask): torch.where(m, x, y), [BIG, BIG],
        ),
        # along an axis
        **{
            f"{name} {a}": (
                lambda x, f=getattr(mg, name), a=a: f(x, axis=a),
                lambda x, f=theirs, a=a: f(x, a), [(near_one, BIG) if "prod" in name else BIG],
            )
            for name, theirs in {
                "cumsum": torch.cumsum, "cumprod": torch.cumprod,
                "prod": torch.prod,
                "median": lambda x, a: torch.median(x, a).values,
                "sort": lambda x, a: torch.sort(x, a).values,
                "quantile": lambda x, a: torch.quantile(x, 0.5, a),
                "diff": lambda x, a: torch.diff(x, dim=a), "flip": lambda x, a: torch.flip(x, (a,)),
                "roll": lambda x, a: torch.roll(x, 5, a),
            }.items() if name not in ("quantile", "roll") for a in (0, 1)
        },
        "roll": (lambda x: mg.roll(x, 5, 1), lambda x: torch.roll(x, 5, 1), [BIG]),
        "quantile": (
            lambda x: mg.quantile(x, 0.3, 1), lambda x: torch.quantile(x, 0.3, 1), [BIG],
        ),
        # shapes
        "transpose": (lambda x: x.T * 2.0, lambda x: x.T * 2.0, [BIG]),
        "reshape": (lambda x: x.reshape(-1) * 2.0, lambda x: x.reshape(-1) * 2.0, [BIG]),
        "broadcast_to": (
            lambda x: mg.broadcast_to(x, BIG) * 2.0, lambda x: x.broadcast_to(BIG) * 2.0,
            [(1, 1024)],
        ),
        "tile": (lambda x: mg.tile(x, (2, 3)), lambda x: x.tile(2, 3), [MATRIX]),
        "repeat": (
            lambda x: mg.repeat(x, 3, 0), lambda x: torch.repeat_interleave(x, 3, 0), [MATRIX],
        ),
        "pad": (lambda x: mg.pad(x, 2), lambda x: T.pad(x, (2, 2, 2, 2)), [BIG]),
        "pad reflect": (
            lambda x: mg.pad(x, ((0, 0), (2, 2)), mode="reflect"),
            lambda x: T.pad(x, (2, 2), "reflect"), [BIG],
        ),
        "tril": (mg.tril, torch.tril, [BIG]),
        "diagonal": (mg.diagonal, torch.diagonal, [MATRIX]),
        "concatenate 2": (
            lambda x, y: mg.concatenate([x, y], 1), lambda x, y: torch.cat([x, y], 1), [BIG, BIG],
        ),
        "stack 2": (lambda x, y: mg.stack([x, y]), lambda x, y: torch.stack([x, y]), [BIG, BIG]),
        "concatenate 3000": (
            lambda *xs: mg.concatenate(xs), lambda *xs: torch.cat(xs), [(8,)] * 3000,
        ),
        "stack 3000": (lambda *xs: mg.stack(xs), lambda *xs: torch.stack(xs), [(8,)] * 3000),
        "split": (
            lambda x: sum(mg.split(x, 4, 1)), lambda x: sum(torch.tensor_split(x, 4, 1)), [BIG],
        ),
        "unstack": (lambda x: sum(mg.unstack(x)), lambda x: sum(torch.unbind(x)), [(64, 1024)]),
        # choosing
        "x[rows]": (lambda x: x[index], lambda x: x[there], [(4096, 64)]),
        "x[few rows]": (lambda x: x[index % 32], lambda x: x[there % 32], [(4096, 64)]),
        "x[slice]": (lambda x: x[:, 1::2], lambda x: x[:, 1::2], [BIG]),
        "x[mask]": (lambda x: x[mask], lambda x, m=torch.tensor(mask): x[m], [BIG]),
        "x[i, j]": (
            lambda x: x[index, index % 7], lambda x: x[there, there % 7], [(4096, 64)],
        ),
        "take": (
            lambda x: mg.take(x, index % 1024, 1),
            lambda x: torch.index_select(x, 1, there % 1024), [(64, 1024)],
        ),
        "take_along_axis": (
            lambda x: mg.take_along_axis(x, order, 1),
            lambda x, o=torch.tensor(order): torch.take_along_dim(x, o, 1), [BIG],
        ),
        "embedding": (
            lambda w: F.embedding(index, w), lambda w: T.embedding(there, w), [(4096, 64)],
        ),
        # products
        "matmul": (mg.matmul, torch.matmul, [MATRIX, MATRIX]),
        "matmul of stacks": (mg.matmul, torch.matmul, [(64, 64, 64), (64, 64, 64)]),
        "einsum": (
            lambda x, y: mg.einsum("bhqd,bhkd->bhqk", x, y),
            lambda x, y: torch.einsum("bhqd,bhkd->bhqk", x, y), [(8, 4, 64, 32), (8, 4, 64, 32)],
        ),
        "outer": (mg.outer, torch.outer, [(512,), (512,)]),
        "linear": (F.linear, T.linear, [BIG, (256, 1024), (256,)]),
        "attention": (
            F.scaled_dot_product_attention, T.scaled_dot_product_attention, [(8, 4, 64, 32)] * 3,
        ),
        # linear algebra
        **{
            name: (getattr(mg.linalg, name), getattr(torch.linalg, name), [(well, (100, 100))])
            for name in ("det", "inv", "pinv", "svdvals", "qr")
        },
        "det of many": (mg.linalg.det, torch.linalg.det, [(well, (256, 8, 8))]),
        "solve": (mg.linalg.solve, torch.linalg.solve, [(well, (100, 100)), (100, 10)]),
        "slogdet": (
            lambda x: mg.linalg.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1],
            [(well, (100, 100))],
        ),
        "cholesky": (
            lambda x: mg.linalg.cholesky(x @ x.T), lambda x: torch.linalg.cholesky(x @ x.T),
            [(well, (100, 100))],
        ),
        "eigvalsh": (
            lambda x: mg.linalg.eigvalsh(x + x.T), lambda x: torch.linalg.eigvalsh(x + x.T),
            [(well, (100, 100))],
        ),
        "vector_norm": (mg.linalg.vector_norm, torch.linalg.vector_norm, [BIG]),
        # layers
        "layer_norm": (
            lambda x, w, b: F.layer_norm(x, 1024, w, b),
            lambda x, w, b: T.layer_norm(x, (1024,), w, b), [BIG, (1024,), (1024,)],
        ),
        "group_norm": (
            lambda x, w, b: F.group_norm(x, 8, w, b), lambda x, w, b: T.group_norm(x, 8, w, b),
            [IMAGES, (32,), (32,)],
        ),
        "batch_norm": (
            lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
            lambda x, w, b: T.batch_norm(x, None, None, w, b, True), [IMAGES, (32,), (32,)],
        ),
        "local_response_norm": (
            lambda x: F.local_response_norm(x, 5), lambda x: T.local_response_norm(x, 5), [IMAGES],
        ),
        "cross_entropy 10": (
            lambda x: F.cross_entropy(x, few),
            lambda x, y=torch.tensor(few): T.cross_entropy(x, y), [(256, 10)],
        ),
        "cross_entropy 10,000": (
            lambda x: F.cross_entropy(x, many),
            lambda x, y=torch.tensor(many): T.cross_entropy(x, y), [(256, 10_000)],
        ),
        "nll_loss": (
            lambda x: F.nll_loss(x, many),
            lambda x, y=torch.tensor(many): T.nll_loss(x, y), [(256, 10_000)],
        ),
        "binary_cross_entropy_with_logits": (
            lambda x: F.binary_cross_entropy_with_logits(x, mask.astype(np.float32)),
            lambda x, y=torch.tensor(mask, dtype=torch.float32):
            T.binary_cross_entropy_with_logits(x, y), [BIG],
        ),
        "mse_loss": (F.mse_loss, T.mse_loss, [BIG, BIG]),
        "l1_loss": (F.l1_loss, T.l1_loss, [BIG, BIG]),
        "huber_loss": (F.huber_loss, T.huber_loss, [BIG, BIG]),
        "smooth_l1_loss": (F.smooth_l1_loss, T.smooth_l1_loss, [BIG, BIG]),
        "max_pool2d": (lambda x: F.max_pool2d(x, 2), lambda x: T.max_pool2d(x, 2), [IMAGES]),
        "max_pool2d 3/2": (
            lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: T.max_pool2d(x, 3, 2, 1), [IMAGES],
        ),
        "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), lambda x: T.avg_pool2d(x, 2), [IMAGES]),
        "adaptive_avg_pool2d": (
            lambda x: F.adaptive_avg_pool2d(x, 7), lambda x: T.adaptive_avg_pool2d(x, 7), [IMAGES],
        ),
        "nearest": (
            lambda x: F.interpolate(x, scale_factor=2),
            lambda x: T.interpolate(x, scale_factor=2), [(16, 16, 28, 28)],
        ),
        "bilinear": (
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
            lambda x: T.interpolate(x, scale_factor=2, mode="bilinear"), [(16, 16, 28, 28)],
        ),
        **{
            f"conv2d {name}": (
                lambda x, w, b, k=kwargs: F.conv2d(x, w, b, **k),
                lambda x, w, b, k=kwargs: T.conv2d(x, w, b, **k),
                [IMAGES, weight, (weight[0],)],
            )
            for name, weight, kwargs in (
                ("3x3", (32, 32, 3, 3), {"padding": 1}), ("1x1", (64, 32, 1, 1), {}),
                ("5x5", (32, 32, 5, 5), {"padding": 2}),
                ("3x3/2", (64, 32, 3, 3), {"padding": 1, "stride": 2}),
                ("1x1/2", (64, 32, 1, 1), {"stride": 2}),
                ("depthwise", (32, 1, 3, 3), {"padding": 1, "groups": 32}),
                ("4 groups", (32, 8, 3, 3), {"padding": 1, "groups": 4}),
                ("dilated", (32, 32, 3, 3), {"padding": 2, "dilation": 2}),
            )
        },
        "conv_transpose2d": (
            lambda x, w: F.conv_transpose2d(x, w, stride=2),
            lambda x, w: T.conv_transpose2d(x, w, stride=2), [(16, 32, 14, 14), (32, 32, 2, 2)],
        ),
    }  # fmt: skip
    for name in ("RNN", "LSTM", "GRU"):
        ours, theirs = getattr(mg.nn, name)(64, 128), getattr(torch.nn, name)(64, 128)
        found[name] = (
            lambda x, m=ours: m(x)[0], lambda x, m=theirs: m(x)[0], [(32, 32, 64)],
        )  # fmt: skip
    ours, theirs = mg.nn.MultiheadAttention(64, 4), torch.nn.MultiheadAttention(64, 4)
    found["MultiheadAttention"] = (
        lambda x: ours(x, x, x)[0], lambda x: theirs(x, x, x)[0], [(32, 16, 64)],
    )  # fmt: skip
    return found


def prepared(framework: str, row: Row, mg: Any, torch: Any) -> Callable[[], object]:
    """The value and the gradients by all arguments, as a function to be timed."""
    ours, theirs, arguments = row
    f, tensor = (ours, mg.tensor) if framework == "minigrad" else (theirs, torch.tensor)
    rng = np.random.default_rng(1)
    inputs = []
    for a in arguments:
        draw, shape = a if callable(a[0]) or a[0] is None else (None, a)
        drawn = rng.standard_normal(shape) if draw is None else draw(rng, shape)
        inputs.append(tensor(drawn.astype(np.float32), requires_grad=True))
    shown = f(*inputs)
    shape = (shown[0] if isinstance(shown, tuple) else shown).shape
    g = tensor(rng.standard_normal(tuple(shape)).astype(np.float32))

    def call() -> None:
        value = f(*inputs)
        value = value[0] if isinstance(value, tuple) else value
        for x in inputs:
            x.grad = None
        if value.requires_grad:
            value.backward(g)

    return call


def serve(framework: str, threads: int) -> None:
    """Answer each number of a row that is read with the median time of a call."""
    import minigrad as mg

    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    table = list(rows(mg, torch).values())
    for line in sys.stdin:
        call = prepared(framework, table[int(line)], mg, torch)
        for _ in range(WARM):
            call()
        once = shortest(call, 1)
        calls = max(1, int(SHARE / ROUNDS / once))
        seconds = take_turns({"": call}, ROUNDS, calls)[""]
        print(statistics.median(seconds), flush=True)


def compare(threads: int, words: list[str], above: float) -> None:
    """Print the table for so many threads. Each framework has a process of its own."""
    import minigrad as mg

    limits = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)
    )
    command = [sys.executable, "-m", "benchmarks.operators", "serve"]
    sets = SETS if importlib.util.find_spec("numba") else SETS[:1]
    peers = [
        subprocess.Popen(
            [*command, framework, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits, VARIABLE: kernels},
        )
        for framework, kernels in [*[("minigrad", one) for one in sets], ("PyTorch", "")]
    ]

    def ask(peer: subprocess.Popen[str], number: int) -> float:
        assert peer.stdin is not None
        assert peer.stdout is not None
        print(number, file=peer.stdin, flush=True)
        return float(peer.stdout.readline())

    table = []
    for number, name in enumerate(rows(mg, importlib.import_module("torch"))):
        if not words or any(word in name for word in words):
            *ours, theirs = (ask(peer, number) for peer in peers)
            table.append(([one / theirs for one in ours], name, [*ours, theirs]))
    for peer in peers:
        peer.communicate()
    print(f"\n{threads} thread{'s' * (threads > 1)}: ms for value and gradients\n")
    names = [f"{kind}{one}" for kind in ("", "ratio, ") for one in sets]
    print("| operator |", " | ".join([*names[: len(sets)], "PyTorch", *names[len(sets) :]]), "|")
    print("| --- |" + " ---: |" * (2 * len(sets) + 1))
    shown = [row for row in sorted(table, reverse=True) if max(row[0]) > above]
    for ratios, name, times in shown:
        numbers = [f"{t * 1e3:.3f}" for t in times] + [f"{ratio:.2f}" for ratio in ratios]
        print(f"| {name} |", " | ".join(numbers), "|")
    if len(shown) < len(table):
        few = len(table) - len(shown)
        print(f"\nThe other {few} of {len(table)} take at most {above:g} times as long.")


def main(arguments: list[str]) -> None:
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed, so there is nothing to compare with; see make parity")
        return
    if arguments[:1] == ["serve"]:
        serve(arguments[1], int(arguments[2]))
        return
    chosen = [int(a) for a in arguments if a.isdigit() and int(a) in THREADS] or THREADS
    above = SLOWER if "slower" in arguments else 0.0
    for threads in chosen:
        compare(threads, [a for a in arguments if not a.isdigit() and a != "slower"], above)


if __name__ == "__main__":
    main(sys.argv[1:])
