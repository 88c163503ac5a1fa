"""Layers, functions and losses with settings and inputs: what the oracles and PyTorch are asked.

A new layer is a line in ``LAYERS``, a new function one in ``FUNCTIONS``. ``tools/write_oracles.py``
asks PyTorch and keeps its figures, and ``tests/test_oracles.py`` compares with them where there is
no PyTorch.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def numbers(*shape: int, seed: int = 0) -> Array:
    """Distinct numbers between -1.6 and 1.6, the same on every machine and with every NumPy."""
    n = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) + np.uint64(10007 * seed + 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        n = (n ^ (n >> np.uint64(shift))) * np.uint64(factor)
    return ((n >> np.uint64(11)).astype(float) * 2.0**-53 * 3.2 - 1.6).reshape(shape)


class Library(NamedTuple):
    """minigrad or PyTorch, as far as a case may ask for it."""

    nn: Any
    F: Any
    tensor: Callable[[Any], Any]
    call: Callable[..., Any]  # functional_call


def _apply(layer: Any, *inputs: Any, **settings: Any) -> Any:
    return layer(*inputs, **settings)


@dataclass(frozen=True)
class Case:
    """One thing to compute: ``run(layer, *inputs)``, or without ``make`` ``run(library, *inputs)``.

    ``theirs`` takes the place of ``run`` where PyTorch's names or arguments differ.
    """

    inputs: tuple[Array, ...]
    run: Callable[..., Any] = _apply
    make: Callable[[Any], Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    training: bool = True
    theirs: Callable[..., Any] | None = None
    rtol: float = 1e-9
    #: 1 where an input lies at a kink, so that there is no second derivative.
    order: int = 2


def initial(name: str, shape: tuple[int, ...]) -> Array:
    """What a parameter or buffer of this name holds: no constants, and no negative variance."""
    if name.endswith("num_batches_tracked"):
        return np.array(3)
    values = numbers(*shape, seed=zlib.crc32(name.encode()) % 1000)
    return np.abs(values) + 0.3 if name.endswith("running_var") else values


def cotangent(i: int, shape: tuple[int, ...]) -> Array:
    """What output i is multiplied with before all are summed."""
    return numbers(*shape, seed=2000 + i)


def direction(i: int, shape: tuple[int, ...], seed: int) -> Array:
    """A direction for input or parameter i; two of them make one number of the second order."""
    return numbers(*shape, seed=3000 + 100 * seed + i)


def kept(array: Array) -> Array:
    """What is kept of an array: itself, or where it is long eight sums with drawn weights.

    A wrong element, or two that have changed places, change every sum.
    """
    array = np.asarray(array, float)
    if array.size <= 40:
        return array.ravel()
    sums = [np.vdot(array, numbers(*array.shape, seed=4000 + i)) for i in range(8)]
    return np.array([*sums, np.abs(array).max()])


# -- layers ----------------------------------------------------------------------------------------

IMAGES = numbers(2, 4, 7, 6)
#: Of one image and one signal without a batch axis, and of signals.
IMAGE, LINE, LINES = numbers(4, 7, 6, seed=5), numbers(4, 9, seed=6), numbers(2, 4, 9, seed=7)
TOKENS = np.array([[1, 5, 1], [0, 1, 1]])

#: Of which PyTorch has no second derivative.
FIRST_ORDER = {"hardsigmoid", "MultiMarginLoss", "multi_margin_loss", "embedding_bag"}

#: Of which PyTorch has some numbers in float32.
ROUGH = {"celu", "hardsigmoid"}

PADDINGS: list[tuple[int, Array, Any]] = [
    (1, LINES, (2, 1)), (2, IMAGES, 2), (2, IMAGE[None, :1], (1, 2, 3, 0)),
]  # fmt: skip


def _padding(kind: str, axes: int, widths: Any, n: Any) -> Any:
    return getattr(n, f"{kind}Pad{axes}d")(widths)


#: Each layer with settings, made of minigrad's nn or of PyTorch's, and an input.
LAYERS: dict[str, tuple[Callable[[Any], Any], Array]] = {
    "linear": (lambda n: n.Linear(4, 3), numbers(5, 4)),
    "linear of three axes": (lambda n: n.Linear(4, 3, bias=False), numbers(2, 5, 4)),
    "linear of a vector": (lambda n: n.Linear(4, 3), numbers(4)),
    "identity": (lambda n: n.Identity(1, a=2), numbers(5, 4)),
    "conv": (lambda n: n.Conv2d(4, 6, 3, padding=1), IMAGES),
    "conv strided": (lambda n: n.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0)), IMAGES),
    "conv dilated": (lambda n: n.Conv2d(4, 6, 2, dilation=2, groups=2, bias=False), IMAGES),
    "conv depthwise": (lambda n: n.Conv2d(4, 8, 3, groups=4), IMAGES),
    "conv same": (lambda n: n.Conv2d(4, 2, 3, padding="same"), IMAGES),
    "conv valid": (lambda n: n.Conv2d(4, 2, 3, padding="valid"), IMAGES),
    "transpose": (lambda n: n.ConvTranspose2d(4, 6, 3), IMAGES),
    "transpose strided": (
        lambda n: n.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, dilation=2), IMAGES,
    ),
    "transpose plain": (lambda n: n.ConvTranspose2d(4, 3, (2, 3), (3, 2), bias=False), IMAGES),
    "max pool": (lambda n: n.MaxPool2d(2), IMAGES),
    "max pool overlapping": (lambda n: n.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGES),
    "max pool dilated": (lambda n: n.MaxPool2d((2, 3), 1, dilation=(2, 1)), IMAGES),
    "avg pool": (lambda n: n.AvgPool2d(2), IMAGES),
    "avg pool padded": (lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES),
    "avg pool divided": (lambda n: n.AvgPool2d((2, 3), 2, 1, True, divisor_override=5), IMAGES),
    "adaptive": (lambda n: n.AdaptiveAvgPool2d((3, None)), IMAGES),
    "adaptive max": (lambda n: n.AdaptiveMaxPool2d((7, 3)), IMAGES),
    "adaptive max indices": (lambda n: n.AdaptiveMaxPool2d((1, None), True), IMAGES),
    "adaptive 1d": (lambda n: n.AdaptiveAvgPool1d(4), LINES),
    "adaptive max 1d": (lambda n: n.AdaptiveMaxPool1d(3), LINES),
    "conv 1d": (lambda n: n.Conv1d(4, 6, 3, padding=1), LINES),
    "conv 1d strided": (lambda n: n.Conv1d(4, 6, (3,), (2,), (1,), (2,), 2, False), LINES),
    "conv 1d same": (lambda n: n.Conv1d(4, 2, 3, padding="same"), LINES),
    "transpose 1d": (lambda n: n.ConvTranspose1d(4, 6, 3), LINES),
    "transpose 1d strided": (
        lambda n: n.ConvTranspose1d(4, 6, (3,), (2,), (1,), (1,), 2, False, (2,)), LINES,
    ),
    "max pool 1d": (lambda n: n.MaxPool1d(2), LINES),
    "max pool 1d overlapping": (lambda n: n.MaxPool1d((3,), (2,), (1,), ceil_mode=True), LINES),
    "max pool 1d dilated": (lambda n: n.MaxPool1d(3, 1, 0, 2), LINES),
    "avg pool 1d": (lambda n: n.AvgPool1d(2), LINES),
    "avg pool 1d padded": (lambda n: n.AvgPool1d((3,), (2,), (1,), True, False), LINES),
    "unbatched conv": (lambda n: n.Conv2d(4, 6, 3, padding=1), IMAGE),
    "unbatched transpose": (lambda n: n.ConvTranspose2d(4, 6, 3), IMAGE),
    "unbatched conv 1d": (lambda n: n.Conv1d(4, 6, 3), LINE),
    "unbatched max pool": (lambda n: n.MaxPool2d(3, 2, 1), IMAGE),
    "unbatched avg pool": (lambda n: n.AvgPool2d(3, 2), IMAGE),
    "unbatched adaptive": (lambda n: n.AdaptiveAvgPool2d(1), IMAGE),
    "unbatched adaptive max": (lambda n: n.AdaptiveMaxPool2d(1), IMAGE),
    "unbatched max pool 1d": (lambda n: n.MaxPool1d(2), LINE),
    **{
        f"{kind.lower()} pad {axes}d by {w}": (partial(_padding, kind, axes, w), x)
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for axes, x, w in PADDINGS
    },
    "constant pad 1d": (lambda n: n.ConstantPad1d((2, -3), 1.5), LINES),
    "constant pad 2d": (lambda n: n.ConstantPad2d((-1, 2, 3, -2), 1.5), IMAGES),
    "upsample bicubic": (lambda n: n.Upsample((9, 5), mode="bicubic"), IMAGES),
    "upsample area": (lambda n: n.Upsample((3, 5), mode="area"), IMAGES),
    "upsample linear": (lambda n: n.Upsample(5, mode="linear", align_corners=True), LINES),
    "upsample exact": (lambda n: n.Upsample(scale_factor=1.6, mode="nearest-exact"), IMAGES),
    "upsample": (lambda n: n.Upsample(scale_factor=2), IMAGES),
    "upsample bilinear": (lambda n: n.Upsample((9, 5), mode="bilinear"), IMAGES),
    "upsample corners": (
        lambda n: n.Upsample((9, 5), mode="bilinear", align_corners=True), IMAGES,
    ),
    "batch norm 1d": (lambda n: n.BatchNorm1d(4), numbers(5, 4)),
    "batch norm 1d of signals": (lambda n: n.BatchNorm1d(4, momentum=0.3), numbers(2, 4, 3)),
    "batch norm 1d plain": (
        lambda n: n.BatchNorm1d(4, 1e-2, affine=False, track_running_stats=False), numbers(5, 4),
    ),
    "batch norm 1d without bias": (lambda n: n.BatchNorm1d(4, bias=False), numbers(5, 4)),
    "batch norm 2d": (lambda n: n.BatchNorm2d(4, eps=1e-3), IMAGES),
    "batch norm 2d without bias": (lambda n: n.BatchNorm2d(4, bias=False), IMAGES),
    "batch norm average": (lambda n: n.BatchNorm2d(4, momentum=None), IMAGES),
    "batch norm plain": (
        lambda n: n.BatchNorm2d(4, affine=False, track_running_stats=False), IMAGES,
    ),
    "layer norm": (lambda n: n.LayerNorm(4), numbers(5, 4)),
    "layer norm of two axes": (lambda n: n.LayerNorm((7, 6), eps=1e-3), IMAGES),
    "layer norm plain": (lambda n: n.LayerNorm(4, elementwise_affine=False), numbers(5, 4)),
    "layer norm without bias": (lambda n: n.LayerNorm(4, bias=False), numbers(5, 4)),
    "group norm": (lambda n: n.GroupNorm(2, 4), IMAGES),
    "group norm without bias": (lambda n: n.GroupNorm(2, 4, bias=False), IMAGES),
    "group norm plain": (lambda n: n.GroupNorm(4, 4, eps=1e-2, affine=False), IMAGES),
    "instance norm": (lambda n: n.InstanceNorm2d(4), IMAGES),
    "instance norm with all": (lambda n: n.InstanceNorm2d(4, 1e-3, 0.3, True, True), IMAGES),
    "instance norm 1d": (lambda n: n.InstanceNorm1d(4, 1e-3, 0.3, True, True), LINES),
    "unbatched instance norm": (lambda n: n.InstanceNorm1d(4), LINE),
    "rms norm": (lambda n: n.RMSNorm(4), numbers(5, 4)),
    "rms norm of two axes": (lambda n: n.RMSNorm((7, 6), 1e-3, False), IMAGES),
    "local response": (lambda n: n.LocalResponseNorm(3, alpha=0.3, beta=0.6, k=1.5), IMAGES),
    "local response even": (lambda n: n.LocalResponseNorm(2, alpha=3.0), IMAGES),
    "embedding": (lambda n: n.Embedding(6, 3), TOKENS),
    "embedding padded": (lambda n: n.Embedding(6, 3, padding_idx=-5), TOKENS),
    "flatten": (lambda n: n.Flatten(), IMAGES),
    "flatten some": (lambda n: n.Flatten(1, 2), IMAGES),
    "flatten the last": (lambda n: n.Flatten(2), IMAGES),
    "unflatten": (lambda n: n.Unflatten(-1, (2, -1)), IMAGES),
    "relu": (lambda n: n.ReLU(), IMAGES),
    "leaky relu": (lambda n: n.LeakyReLU(0.2), IMAGES),
    "elu": (lambda n: n.ELU(0.7), IMAGES),
    "selu": (lambda n: n.SELU(), IMAGES),
    "gelu": (lambda n: n.GELU(), IMAGES),
    "gelu tanh": (lambda n: n.GELU(approximate="tanh"), IMAGES),
    "silu": (lambda n: n.SiLU(), IMAGES),
    "sigmoid": (lambda n: n.Sigmoid(), IMAGES),
    "log sigmoid": (lambda n: n.LogSigmoid(), IMAGES),
    "tanh": (lambda n: n.Tanh(), IMAGES),
    "softplus": (lambda n: n.Softplus(1.7), IMAGES),
    "softmin": (lambda n: n.Softmin(1), IMAGES),
    "softsign": (lambda n: n.Softsign(), IMAGES),
    "mish": (lambda n: n.Mish(), IMAGES),
    "celu": (lambda n: n.CELU(0.7), IMAGES),
    "glu": (lambda n: n.GLU(1), IMAGES),
    "hardtanh": (lambda n: n.Hardtanh(-0.7, 0.4), IMAGES),
    "relu6": (lambda n: n.ReLU6(), IMAGES * 6.0),
    "hardsigmoid": (lambda n: n.Hardsigmoid(), IMAGES * 3.0),
    "hardswish": (lambda n: n.Hardswish(), IMAGES * 3.0),
    "prelu": (lambda n: n.PReLU(), IMAGES),
    "prelu of channels": (lambda n: n.PReLU(4, 0.3), numbers(5, 4)),
    "softmax": (lambda n: n.Softmax(1), IMAGES),
    "log softmax": (lambda n: n.LogSoftmax(-1), IMAGES),
    "log softmax of channels": (lambda n: n.LogSoftmax(1), IMAGES),
    "rnn": (lambda n: n.RNN(4, 3), numbers(5, 2, 4)),
    "rnn batch first": (lambda n: n.RNN(4, 3, batch_first=True), numbers(2, 5, 4)),
    "rnn relu": (lambda n: n.RNN(4, 3, 2, nonlinearity="relu", bias=False), numbers(5, 2, 4)),
    "lstm": (lambda n: n.LSTM(4, 3), numbers(3, 2, 4)),
    "lstm of one step": (lambda n: n.LSTM(4, 3), numbers(1, 2, 4)),
    "lstm deep": (
        lambda n: n.LSTM(4, 3, 2, bidirectional=True, batch_first=True), numbers(2, 5, 4),
    ),
    "lstm unbatched": (lambda n: n.LSTM(4, 3, bias=False), numbers(5, 4)),
    "gru": (lambda n: n.GRU(4, 3), numbers(5, 2, 4)),
    "gru without bias": (lambda n: n.GRU(4, 3, bias=False), numbers(5, 2, 4)),
    "gru deep": (
        lambda n: n.GRU(4, 3, 3, bidirectional=True, batch_first=True), numbers(2, 7, 4),
    ),
    "gru unbatched": (lambda n: n.GRU(4, 3, batch_first=True), numbers(5, 4)),
    "sequential": (lambda n: n.Sequential(n.Linear(4, 3), n.Tanh(), n.Linear(3, 2)), numbers(5, 4)),
}  # fmt: skip

CAUSAL = np.triu(np.ones((5, 5), bool), 1)
PADDED = np.array([[False] * 5, [False, False, False, True, True]])
#: What may be asked of attention of five queries to themselves, in two examples and two heads.
ATTENTIONS: list[dict[str, Any]] = [
    {}, {"need_weights": False}, {"average_attn_weights": False}, {"attn_mask": CAUSAL},
    {"key_padding_mask": PADDED}, {"attn_mask": CAUSAL, "key_padding_mask": PADDED},
    {"attn_mask": numbers(5, 5)}, {"attn_mask": numbers(4, 5, 5) > 1.0},
]  # fmt: skip


#: Places of maxima in images and in signals, and the windows that they are from.
UNPOOLINGS: list[dict[str, Any]] = [
    {"indices": np.array([[[[3], [1]], [[0], [2]]]]), "window": (2,)},
    {"indices": np.array([[[[1], [4]], [[2], [3]]]]), "window": (3, 2, 0)},
    {"indices": np.array([[[1], [0]], [[2], [3]]]), "window": (4, 2, 1)},
]


#: Settings of a layer of a transformer, besides its widths; dropout draws random numbers.
ENCODERS: list[dict[str, Any]] = [
    {}, {"batch_first": True, "norm_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]  # fmt: skip


def _encoder(settings: dict[str, Any], n: Any) -> Any:
    return n.TransformerEncoderLayer(6, 2, 8, 0.0, **settings)


def _encoders(n: Any) -> Any:
    layer = n.TransformerEncoderLayer(6, 2, dim_feedforward=8, dropout=0.0, batch_first=True)
    return n.TransformerEncoder(layer, 2, n.LayerNorm(6))


def _make(kind: str, *args: Any, **options: Any) -> Any:
    """The layer of this kind in the nn that comes last."""
    *args_, n = args
    return getattr(n, kind)(*args_, **options)


def _limits(name: str) -> dict[str, Any]:
    """How far the figures of PyTorch go."""
    return {
        "order": 1 if name.split(maxsplit=1)[0] in FIRST_ORDER else 2, "rtol": 1e-6 if name in ROUGH else 1e-9,
    }  # fmt: skip


def _to_itself(layer: Any, x: Any, **settings: Any) -> Any:
    return layer(x, x, x, **settings)


def _with_state(layer: Any, x: Any, *state: Any) -> Any:
    return layer(x, state if len(state) > 1 else state[0])


def _layers() -> dict[str, Case]:
    found = {name: Case((x,), make=make, **_limits(name)) for name, (make, x) in LAYERS.items()}
    for name in [n for n in LAYERS if "norm" in n or "local" in n]:
        make, x = LAYERS[name]
        found[f"{name}, in evaluation"] = Case((x,), make=make, training=False)
    lazy: dict[str, tuple[Callable[[Any], Any], Array]] = {
        "LazyLinear": (lambda n: n.LazyLinear(3), numbers(5, 4)),
        "LazyLinear without bias": (lambda n: n.LazyLinear(3, bias=False), numbers(5, 4)),
        "LazyConv2d": (lambda n: n.LazyConv2d(3, (2, 3), 2, bias=False), IMAGES),
        "LazyConv2d grouped": (lambda n: n.LazyConv2d(6, 2, 1, (2, 1), 3, 2), IMAGES),
    }
    found |= {name: Case((x,), make=make) for name, (make, x) in lazy.items()}
    x, h, c = numbers(5, 2, 4), numbers(4, 2, 3), numbers(4, 2, 3, seed=1)
    for kind, state in (("RNN", (h,)), ("GRU", (h,)), ("LSTM", (h, c))):
        found[f"{kind} with a state"] = Case(
            (x, *state), _with_state, partial(_make, kind, 4, 3, 2, bidirectional=True)
        )
    for settings in ATTENTIONS:
        found[f"attention to itself, {label(settings)}"] = Case(
            (numbers(5, 2, 6),), _to_itself, lambda n: n.MultiheadAttention(6, 2), settings
        )
    found["attention to itself, batch first"] = Case(
        (numbers(2, 5, 6),), _to_itself, lambda n: n.MultiheadAttention(6, 2, batch_first=True)
    )
    sizes: tuple[dict[str, Any], ...] = ({}, {"bias": False}, {"kdim": 3, "vdim": 4})
    for kind, x in (("MaxPool2d", IMAGES), ("MaxPool1d", LINES)):
        found[f"{kind} with indices"] = Case(
            (x,), make=partial(_make, kind, 3, 2, 1, return_indices=True)
        )
    found["AdaptiveMaxPool1d with indices"] = Case(
        (LINES,), make=lambda n: n.AdaptiveMaxPool1d(1, True)
    )
    for settings in UNPOOLINGS:
        shape, places = settings["indices"].shape, settings["indices"]
        found[f"MaxUnpool2d {label(settings)}"] = Case(
            (numbers(*shape), places), make=partial(_make, "MaxUnpool2d", *settings["window"])
        )
        found[f"MaxUnpool1d {label(settings)}"] = Case(
            (numbers(*shape)[..., 0], places[..., 0]),
            make=partial(_make, "MaxUnpool1d", *[(w,) for w in settings["window"]]),
        )
    for options in sizes:
        k, v = options.get("kdim", 6), options.get("vdim", 6)
        found[f"attention across, {options}"] = Case(
            (numbers(4, 2, 6), numbers(5, 2, k, seed=1), numbers(5, 2, v, seed=2)),
            make=partial(_make, "MultiheadAttention", 6, 3, **options),
        )
    found["attention without a batch"] = Case(
        (numbers(4, 6), numbers(5, 6, seed=1), numbers(5, 6, seed=2)),
        make=lambda n: n.MultiheadAttention(6, 3),
    )
    for name, *xs, options in LOSS_LAYERS:
        for reduction in ("mean", "sum", "none"):
            found[f"{name} {reduction}"] = Case(
                tuple(xs),
                lambda lib, *xs, name=name, options=options, reduction=reduction: getattr(
                    lib.nn, name
                )(reduction=reduction, **_given(lib, options))(*xs),
                **_limits(name),
            )
    x, h, c = numbers(2, 4), numbers(2, 3), numbers(2, 3, seed=1)
    for kind, state in (("RNNCell", (h,)), ("GRUCell", (h,)), ("LSTMCell", (h, c))):
        found[f"{kind}"] = Case((x,), make=partial(_make, kind, 4, 3))
        found[f"{kind} with a state"] = Case(
            (x, *state), _with_state, partial(_make, kind, 4, 3, bias=False)
        )
        found[f"{kind} without a batch"] = Case(
            (x[0], *[one[0] for one in state]), _with_state, partial(_make, kind, 4, 3)
        )
    found["RNNCell relu"] = Case((x,), make=partial(_make, "RNNCell", 4, 3, nonlinearity="relu"))
    sequences = numbers(2, 5, 6)
    for settings in ENCODERS:
        found[f"TransformerEncoderLayer {label(settings)}"] = Case(
            (sequences,), make=partial(_encoder, settings)
        )
    for settings in ({"src_mask": CAUSAL}, {"src_key_padding_mask": PADDED}):
        found[f"TransformerEncoderLayer with a mask, {label(settings)}"] = Case(
            (sequences,), make=partial(_encoder, {"batch_first": True}), settings=settings
        )
    found["TransformerEncoder"] = Case((sequences,), make=_encoders)
    found["TransformerEncoder with a mask"] = Case(
        (sequences,), make=_encoders, settings={"mask": CAUSAL, "src_key_padding_mask": PADDED}
    )
    pair = (numbers(5, 3), numbers(5, 4, seed=1))
    found["Bilinear"] = Case(pair, make=lambda n: n.Bilinear(3, 4, 2))
    found["Bilinear without bias"] = Case(
        (numbers(2, 5, 3), numbers(2, 5, 4, seed=1)), make=lambda n: n.Bilinear(3, 4, 2, bias=False)
    )
    for mode in ("mean", "sum", "max"):
        found[f"EmbeddingBag {mode}"] = Case(
            (TOKENS,), make=partial(_make, "EmbeddingBag", 6, 3, mode=mode), order=1
        )
        found[f"EmbeddingBag {mode} with offsets"] = Case(
            (TOKENS.ravel(), np.array([0, 2, 2, 6])),
            make=partial(
                _make, "EmbeddingBag", 6, 3, mode=mode, include_last_offset=True, padding_idx=1
            ),
            order=1,
        )
    found["CosineSimilarity"] = Case(
        (NUMBERS, OTHERS), make=partial(_make, "CosineSimilarity", 0, 1e-2)
    )
    found["PairwiseDistance"] = Case(
        (NUMBERS, OTHERS), make=partial(_make, "PairwiseDistance", 3.0, 1e-2, True)
    )
    return found


def label(settings: dict[str, Any]) -> str:
    """The settings in words that are the same in every run."""
    return ", ".join(
        f"{k}={f'{v.dtype}{list(v.shape)}' if isinstance(v, np.ndarray) else v}"
        for k, v in settings.items()
        if not callable(v)
    )


def _given(lib: Library, settings: dict[str, Any]) -> dict[str, Any]:
    return {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}


# -- losses ----------------------------------------------------------------------------------------


def _softmax(x: Array) -> Array:
    e: Array = np.exp(x)
    return np.asarray(e / e.sum(1, keepdims=True))


LOGITS, MAPS = numbers(5, 3), numbers(2, 3, 4, 2)
LABELS, SOME = np.array([0, 2, 1, 1, 2]), np.array([0, -100, 1, -100, 2])
PIXELS = (np.abs(numbers(2, 4, 2, seed=1)) * 1e6).astype(np.int64) % 3
SOFT, SOFT_MAPS = _softmax(numbers(5, 3, seed=2)), _softmax(numbers(2, 3, 4, 2, seed=2))
LOG_P = np.log(_softmax(LOGITS))
WEIGHT = np.array([0.2, 1.5, 3.0])
NUMBERS, OTHERS = numbers(4, 3), numbers(4, 3, seed=1)
PROBABILITIES, TARGETS = (1.6 + NUMBERS) / 3.2, (1.6 + OTHERS) / 3.2

#: Each loss with settings: name, input, target.
LOSSES: list[tuple[str, Array, Array, dict[str, Any]]] = [
    ("mse_loss", NUMBERS, OTHERS, {}),
    ("mse_loss", np.array(1.5), np.array(0.5), {}),
    ("l1_loss", NUMBERS, OTHERS, {}),
    ("huber_loss", NUMBERS, OTHERS, {}),
    ("huber_loss", NUMBERS, OTHERS, {"delta": 0.7}),
    ("huber_loss", np.array([1.0, -1.0, 0.0]), np.zeros(3), {}),
    ("smooth_l1_loss", NUMBERS, OTHERS, {"beta": 0.7}),
    ("smooth_l1_loss", NUMBERS, OTHERS, {"beta": 0.0}),
    ("cross_entropy", LOGITS, LABELS, {}),
    ("cross_entropy", LOGITS, LABELS, {"weight": WEIGHT}),
    ("cross_entropy", LOGITS, LABELS, {"label_smoothing": 0.1}),
    ("cross_entropy", LOGITS, LABELS, {"weight": WEIGHT, "label_smoothing": 0.3}),
    ("cross_entropy", LOGITS, SOME, {"label_smoothing": 0.3}),
    ("cross_entropy", LOGITS, np.where(SOME == -100, 7, SOME), {"ignore_index": 7, "weight": WEIGHT}),
    ("cross_entropy", LOGITS, LABELS, {"ignore_index": 1}),
    ("cross_entropy", LOGITS, SOFT, {}),
    ("cross_entropy", LOGITS, SOFT, {"weight": WEIGHT, "label_smoothing": 0.3}),
    ("cross_entropy", MAPS, PIXELS, {"weight": WEIGHT, "label_smoothing": 0.3}),
    ("cross_entropy", MAPS, SOFT_MAPS, {"weight": WEIGHT}),
    ("cross_entropy", LOGITS[0], np.array(2), {"weight": WEIGHT}),
    ("cross_entropy", LOGITS[0], SOFT[0], {}),
    ("nll_loss", LOG_P, LABELS, {}),
    ("nll_loss", LOG_P, LABELS, {"ignore_index": 1}),
    ("nll_loss", LOG_P, SOME, {"weight": WEIGHT}),
    ("nll_loss", MAPS, PIXELS, {}),
    ("nll_loss", LOG_P[0], np.array(1), {}),
    ("binary_cross_entropy", PROBABILITIES, TARGETS, {}),
    ("binary_cross_entropy", PROBABILITIES, TARGETS, {"weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", NUMBERS, TARGETS, {}),
    ("binary_cross_entropy_with_logits", NUMBERS * 1000, TARGETS, {"pos_weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", NUMBERS, TARGETS, {"pos_weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", NUMBERS, TARGETS, {"weight": WEIGHT}),
]  # fmt: skip

SIGNS, MARKS = np.where(OTHERS > 0.2, 1, -1), np.array([1, -1, 1, -1])
COUNTS, THIRD = np.arange(12).reshape(4, 3) % 5 + 0.0, numbers(4, 3, seed=2)
VARIANCES = np.abs(numbers(4, 3, seed=3)) + 0.2
#: Of two inputs, or of three.
LOSSES_OF_MANY: list[tuple[Any, ...]] = [
    ("kl_div", LOG_P, SOFT, {}),
    ("kl_div", LOG_P, SOFT, {"reduction": "batchmean"}),
    ("kl_div", LOG_P, np.log(SOFT), {"log_target": True}),
    ("gaussian_nll_loss", NUMBERS, OTHERS, VARIANCES, {}),
    ("gaussian_nll_loss", NUMBERS, OTHERS, VARIANCES[:, :1], {"full": True, "eps": 0.5}),
    ("gaussian_nll_loss", NUMBERS, OTHERS, VARIANCES[:, 0], {"full": True}),
    ("poisson_nll_loss", NUMBERS, COUNTS, {}),
    ("poisson_nll_loss", VARIANCES, COUNTS + 1.0, {"log_input": False, "full": True, "eps": 0.1}),
    ("hinge_embedding_loss", NUMBERS, SIGNS, {}),
    ("hinge_embedding_loss", NUMBERS, SIGNS, {"margin": 0.3}),
    ("margin_ranking_loss", NUMBERS, OTHERS, SIGNS[:, ::-1].copy(), {}),
    ("margin_ranking_loss", NUMBERS, OTHERS, SIGNS, {"margin": 0.7}),
    ("soft_margin_loss", NUMBERS, SIGNS, {}),
    ("multilabel_soft_margin_loss", NUMBERS, TARGETS, {}),
    ("multilabel_soft_margin_loss", NUMBERS, 0.5 + 0.5 * SIGNS, {"weight": WEIGHT}),
    ("multi_margin_loss", LOGITS, LABELS, {}),
    ("multi_margin_loss", LOGITS, LABELS, {"p": 2, "margin": 0.6, "weight": WEIGHT}),
    ("multi_margin_loss", LOGITS[0], np.array(2), {}),
    ("cosine_embedding_loss", NUMBERS, OTHERS, MARKS, {}),
    ("cosine_embedding_loss", NUMBERS, OTHERS, MARKS, {"margin": -0.3}),
    ("cosine_embedding_loss", NUMBERS[0], OTHERS[0], np.array(-1), {}),
    ("triplet_margin_loss", NUMBERS, OTHERS, THIRD, {}),
    ("triplet_margin_loss", NUMBERS, OTHERS, THIRD,
     {"margin": 3.0, "p": 1.0, "eps": 0.1, "swap": True}),
]  # fmt: skip
LOSS_LAYERS: list[tuple[Any, ...]] = [
    ("KLDivLoss", LOG_P, np.log(SOFT), {"log_target": True}),
    ("GaussianNLLLoss", NUMBERS, OTHERS, VARIANCES, {"full": True, "eps": 0.5}),
    ("PoissonNLLLoss", VARIANCES, COUNTS + 1.0, {"log_input": False, "full": True, "eps": 0.1}),
    ("HingeEmbeddingLoss", NUMBERS, SIGNS, {"margin": 0.3}),
    ("MarginRankingLoss", NUMBERS, OTHERS, SIGNS, {"margin": 0.7}),
    ("SoftMarginLoss", NUMBERS, SIGNS, {}),
    ("MultiLabelSoftMarginLoss", NUMBERS, TARGETS, {"weight": WEIGHT}),
    ("MultiMarginLoss", LOGITS, LABELS, {"p": 2, "margin": 0.6, "weight": WEIGHT}),
    ("CosineEmbeddingLoss", NUMBERS, OTHERS, MARKS, {"margin": -0.3}),
    ("TripletMarginLoss", NUMBERS, OTHERS, THIRD,
     {"margin": 3.0, "p": 1.0, "eps": 0.1, "swap": True}),
    ("MSELoss", NUMBERS, OTHERS, {}),
    ("L1Loss", NUMBERS, OTHERS, {}),
    ("HuberLoss", NUMBERS, OTHERS, {"delta": 0.3}),
    ("SmoothL1Loss", NUMBERS, OTHERS, {"beta": 0.3}),
    ("CrossEntropyLoss", LOGITS, LABELS, {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 1}),
    ("NLLLoss", LOG_P, LABELS, {"weight": WEIGHT, "ignore_index": 1}),
    ("BCELoss", PROBABILITIES, TARGETS, {"weight": WEIGHT}),
    ("BCEWithLogitsLoss", NUMBERS, TARGETS, {"pos_weight": WEIGHT, "weight": WEIGHT * 2}),
]  # fmt: skip


# -- convolution and pooling -----------------------------------------------------------------------

# Geometries chosen so that each fast path of the kernels, and each way out of it, is taken.
GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # x, w, metadata
    ((2, 3, 6, 5), (4, 3, 3, 3), {}),
    ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 2}),
    ((1, 2, 5, 5), (3, 2, 3, 3), {"padding": (3, 4)}),
    ((3, 1, 7, 7), (2, 1, 5, 5), {"padding": 2}),
    ((2, 4, 5, 6), (3, 4, 1, 1), {}),
    ((2, 4, 5, 6), (3, 4, 1, 1), {"stride": 2}),
    ((2, 4, 5, 6), (3, 4, 1, 1), {"padding": 1}),
    ((2, 3, 7, 8), (4, 3, 3, 3), {"stride": 2}),
    ((2, 3, 7, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 3, 8, 7), (4, 3, 2, 4), {"stride": (3, 2), "padding": (1, 2)}),
    ((1, 2, 9, 9), (2, 2, 3, 3), {"dilation": 2}),
    ((1, 2, 9, 9), (2, 2, 3, 2), {"dilation": (3, 2), "padding": 2, "stride": 2}),
    ((2, 4, 6, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    ((2, 4, 6, 6), (8, 1, 3, 3), {"groups": 4, "stride": 2, "dilation": 2, "padding": 2}),
    ((2, 3, 1, 9), (4, 3, 1, 3), {"padding": (0, 1)}),
    ((2, 3, 9, 1), (4, 3, 3, 1), {"padding": (1, 0)}),
    ((1, 1, 4, 4), (1, 1, 4, 4), {}),
    ((5, 16, 8, 8), (16, 16, 3, 3), {"padding": 1}),
    ((2, 3, 40, 40), (5, 3, 3, 3), {"padding": 1}),
]  # fmt: skip
SIGNALS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8), (4, 3, 3), {}),
    ((2, 4, 9), (4, 2, 3), {"stride": 2, "padding": 1, "groups": 2, "dilation": 2}),
    ((2, 3, 8), (4, 3, 3), {"padding": "same"}),
    ((2, 3, 8), (4, 3, 3), {"padding": "valid", "stride": (2,)}),
]
TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 3), (3, 4, 3, 3), {}),
    ((2, 3, 4, 3), (3, 4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 3, 4, 3), (3, 4, 3, 2), {"stride": (2, 3), "padding": (1, 0), "output_padding": (0, 2)}),
    ((1, 4, 3, 3), (4, 3, 2, 2), {"groups": 2, "dilation": 2, "stride": 2}),
    ((1, 4, 3, 3), (4, 3, 3, 3), {"dilation": 3, "output_padding": 2}),
    ((1, 2, 3, 3), (2, 3, 3, 3), {"dilation": 3, "output_padding": 2, "padding": 1}),
    ((1, 2, 4, 4), (2, 3, 1, 1), {"stride": 3}),
]
TRANSPOSED_SIGNALS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5), (3, 2, 3), {"stride": 3, "padding": 1, "output_padding": 2, "dilation": 2}),
    ((2, 4, 5), (4, 3, 3), {"groups": 2}),
]
WINDOWS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "padding": 1},
    {"kernel_size": 2, "stride": 2, "padding": (1, 0)},
    {"kernel_size": (3, 2), "stride": (1, 2), "dilation": 2, "padding": 2},
    {"kernel_size": 1},
]
MAX_POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 6, 8), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 2, 7, 7), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 2, 7, 8), {"kernel_size": (3, 2), "stride": (1, 3)}),
    ((1, 2, 7, 8), {"kernel_size": (2, 3), "stride": (2, 3), "padding": (1, 0)}),
    ((1, 2, 9, 9), {"kernel_size": 3, "dilation": 2, "padding": 1}),
    ((1, 2, 6, 7), {"kernel_size": 2, "dilation": 2}),
    ((1, 2, 6, 6), {"kernel_size": 3, "padding": 1}),
    ((1, 2, 5, 5), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 6, 7), {"kernel_size": 2, "stride": 2, "ceil_mode": True}),
    ((1, 2, 6, 7), {"kernel_size": 3, "stride": 3, "ceil_mode": True}),
    ((1, 2, 6, 7), {"kernel_size": 10, "ceil_mode": True}),
    ((1, 2, 6, 7), {"kernel_size": (8, 3), "stride": (3, 1), "padding": 1, "ceil_mode": True}),
    ((1, 2, 4, 4), {"kernel_size": 4}),
    ((1, 2, 4, 4), {"kernel_size": 1}),
    ((0, 2, 4, 4), {"kernel_size": 2}),
]
AVERAGES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 2, 6, 7), {"kernel_size": 10, "ceil_mode": True}),
    ((2, 3, 6, 8), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 7, 9), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ((1, 2, 7, 8), {"kernel_size": (3, 2), "stride": (1, 3)}),
    ((1, 2, 5, 6), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 6, 7), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True,
                    "count_include_pad": False}),
    ((1, 2, 6, 7), {"kernel_size": 3, "stride": 2, "ceil_mode": True, "divisor_override": 5}),
]  # fmt: skip
SIGNAL_POOLS: list[dict[str, Any]] = [
    {"kernel_size": 2}, {"kernel_size": (3,), "stride": (2,), "padding": (1,), "ceil_mode": True},
    {"kernel_size": 2, "stride": 1, "dilation": 3, "return_indices": True},
]  # fmt: skip
SIGNAL_AVERAGES: list[dict[str, Any]] = [
    {"kernel_size": 2}, {"kernel_size": (3,), "stride": (2,), "padding": (1,), "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
]  # fmt: skip
SIZES: list[Any] = [1, 2, (3, 5), (7, 4), (None, 2), (10, 11)]
INTERPOLATIONS: list[dict[str, Any]] = [
    {"scale_factor": 2},
    {"scale_factor": (3, 2)},
    {"size": (5, 9)},
    {"size": 2},
    {"scale_factor": (1.6, 2.3)},
    {"scale_factor": (1.1, 2.1)},
    {"scale_factor": 2.2},
    {"size": (6, 10), "mode": "bilinear"},
    {"size": (2, 3), "mode": "bilinear"},
    {"scale_factor": 2, "mode": "bilinear"},
    {"scale_factor": (1.6, 0.7), "mode": "bilinear"},
    {"scale_factor": (1.1, 2.1), "mode": "bilinear"},
    {"size": (7, 1), "mode": "bilinear", "align_corners": True},
    {"scale_factor": 2.5, "mode": "bilinear", "align_corners": True},
    {"size": (7, 3), "mode": "bicubic"},
    {"scale_factor": (1.6, 0.7), "mode": "bicubic"},
    {"size": (7, 1), "mode": "bicubic", "align_corners": True},
    {"size": 2, "mode": "area"},
    {"scale_factor": (1.6, 0.5), "mode": "area"},
    {"size": (7, 3), "mode": "nearest-exact"},
    {"scale_factor": (2, 1.3), "mode": "nearest-exact"},
]
STRETCHES: list[dict[str, Any]] = [
    {"scale_factor": 2}, {"size": 5}, {"size": 5, "mode": "nearest-exact"},
    {"size": 12, "mode": "linear"}, {"size": 4, "mode": "area"},
    {"scale_factor": 1.7, "mode": "linear", "align_corners": True},
]  # fmt: skip


# -- functions -------------------------------------------------------------------------------------

QUERIES = (numbers(2, 3, 4, 6), numbers(2, 3, 5, 6, seed=1), numbers(2, 3, 5, 2, seed=2))
SCALED: list[dict[str, Any]] = [
    {}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": numbers(4, 5)},
    {"attn_mask": numbers(2, 1, 4, 5) > -0.5},
]  # fmt: skip
NORMS = {"axes 2": (5, 3), "axes 3": (4, 3, 6), "axes 4": (2, 3, 4, 5)}
POINTS = numbers(3, 4)
VALUE, BIAS, MEAN = numbers(3, seed=1), numbers(3, seed=2), numbers(3, seed=3)
VAR = np.abs(numbers(3, seed=4)) + 0.3


def _batch_norm(training: bool, statistics: bool = True) -> Callable[..., Any]:
    def run(lib: Library, x: Any, w: Any = None, b: Any = None) -> Any:
        running = (lib.tensor(MEAN), lib.tensor(VAR)) if statistics else (None, None)
        y = lib.F.batch_norm(x, *running, w, b, training, 0.3, 1e-3)
        return (y, *running)

    return run


#: Settings of the functions of two arrays.
PAIRS: dict[str, list[dict[str, Any]]] = {
    "cosine_similarity": [{}, {"axis": 0, "eps": 1e-2}],
    "pairwise_distance": [{}, {"p": 1.0, "eps": 0.1, "keepdims": True}, {"p": 3.0}],
}


def _instance_norm(own: bool) -> Callable[..., Any]:
    def run(lib: Library, x: Any, w: Any = None, b: Any = None) -> Any:
        running = (lib.tensor(MEAN), lib.tensor(VAR))
        return (lib.F.instance_norm(x, *running, w, b, own, 0.3, 1e-3), *running)

    return run


def _weights(lib: Library, q: Any, k: Any, mask: Any = 0.0) -> Any:
    """The weights of attention, which PyTorch keeps to itself."""
    return lib.F.softmax(q @ k.swapaxes(-1, -2) / math.sqrt(6) + mask, -1)


#: Each function with its inputs: what PyTorch has by the same name and arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "relu": (lambda F, x: F.relu(x), (POINTS,)),
    "leaky_relu": (lambda F, x: F.leaky_relu(x, 0.3), (POINTS,)),
    "leaky_relu by default": (lambda F, x: F.leaky_relu(x), (POINTS,)),
    "elu": (lambda F, x: F.elu(x, 0.7), (POINTS,)),
    "elu by default": (lambda F, x: F.elu(x), (POINTS,)),
    "selu": (lambda F, x: F.selu(x), (POINTS,)),
    "gelu": (lambda F, x: F.gelu(x), (POINTS,)),
    "gelu tanh": (lambda F, x: F.gelu(x, approximate="tanh"), (POINTS,)),
    "silu": (lambda F, x: F.silu(x), (POINTS,)),
    "sigmoid": (lambda F, x: F.sigmoid(x), (POINTS,)),
    "logsigmoid": (lambda F, x: F.logsigmoid(x), (POINTS,)),
    "tanh": (lambda F, x: F.tanh(x), (POINTS,)),
    "softplus": (lambda F, x: F.softplus(x), (POINTS,)),
    "softplus steep": (lambda F, x: F.softplus(x, 1.7), (POINTS,)),
    "softmin": (lambda F, x: F.softmin(x, 0), (POINTS,)),
    "softsign": (lambda F, x: F.softsign(x), (POINTS,)),
    "mish": (lambda F, x: F.mish(x), (POINTS,)),
    "celu": (lambda F, x: F.celu(x, 0.7), (POINTS,)),
    "glu": (lambda F, x: F.glu(x, 1), (POINTS,)),
    "hardtanh": (lambda F, x: F.hardtanh(x, -0.7, 0.4), (POINTS,)),
    "hardtanh by default": (lambda F, x: F.hardtanh(x), (POINTS,)),
    "relu6": (lambda F, x: F.relu6(x), (POINTS * 6.0,)),
    "hardsigmoid": (lambda F, x: F.hardsigmoid(x), (POINTS * 3.0,)),
    "hardswish": (lambda F, x: F.hardswish(x), (POINTS * 3.0,)),
    "prelu": (lambda F, x, w: F.prelu(x, w), (numbers(2, 3, 4), np.array([0.3, -0.2, 1.5]))),
    "prelu of one": (lambda F, x, w: F.prelu(x, w), (numbers(4), np.array([0.3]))),
    "rms_norm": (
        lambda F, x, w: F.rms_norm(x, (3, 5), w, 1e-3), (numbers(2, 3, 5), numbers(3, 5, seed=1)),
    ),
    "rms_norm plain": (lambda F, x: F.rms_norm(x, (4,)), (POINTS,)),
    "softmax": (lambda F, x: F.softmax(x, 0), (POINTS,)),
    "log_softmax": (lambda F, x: F.log_softmax(x, 0), (POINTS,)),
    "linear": (lambda F, x, w, b: F.linear(x, w, b), (POINTS, numbers(5, 4), numbers(5))),
    "linear without bias": (lambda F, x, w: F.linear(x, w), (POINTS, numbers(5, 4, seed=1))),
    "layer_norm": (
        lambda F, x, w, b: F.layer_norm(x, (3, 5), w, b, 1e-3),
        (numbers(2, 3, 5), numbers(3, 5, seed=1), numbers(3, 5, seed=2)),
    ),
    "layer_norm plain": (lambda F, x: F.layer_norm(x, (4,)), (POINTS,)),
    "group_norm": (
        lambda F, x, w, b: F.group_norm(x, 3, w, b, 1e-3),
        (numbers(2, 6, 5), numbers(6, seed=1), numbers(6, seed=2)),
    ),
    "group_norm plain": (lambda F, x: F.group_norm(x, 2), (numbers(3, 6, 2, 3),)),
    **{
        f"local_response_norm {size}": (
            lambda F, x, size=size: F.local_response_norm(x, size, 0.3, 0.6, 1.5),
            (numbers(2, 5, 3, 4),),
        )
        for size in (1, 2, 3, 5)
    },
    "local_response_norm by default": (
        lambda F, x: F.local_response_norm(x * 30.0, 4), (numbers(2, 5, 3, 4),),
    ),
    "embedding": (lambda F, i, w: F.embedding(i, w), (TOKENS, numbers(6, 3))),
    "embedding padded": (lambda F, i, w: F.embedding(i, w, padding_idx=1), (TOKENS, numbers(6, 3))),
    "embedding_bag": (lambda F, i, w: F.embedding_bag(i, w), (TOKENS, numbers(6, 3))),
    "embedding_bag of sums": (
        lambda F, i, w, f: F.embedding_bag(i, w, mode="sum", per_sample_weights=f),
        (TOKENS, numbers(6, 3), numbers(2, 3, seed=1)),
    ),
    "embedding_bag with offsets": (
        lambda F, i, w, o: F.embedding_bag(
            i, w, o, mode="max", include_last_offset=True, padding_idx=1
        ),
        (TOKENS.ravel(), numbers(6, 3), np.array([0, 4, 6])),
    ),
    "bilinear": (
        lambda F, x, y, w, b: F.bilinear(x, y, w, b),
        (numbers(5, 3), numbers(5, 4, seed=1), numbers(2, 3, 4, seed=2), numbers(2)),
    ),
    "bilinear plain": (
        lambda F, x, y, w: F.bilinear(x, y, w),
        (numbers(3), numbers(4, seed=1), numbers(2, 3, 4, seed=2)),
    ),
    "one_hot": (lambda F, i: F.one_hot(i), (TOKENS,)),
    "one_hot of seven": (lambda F, i: F.one_hot(i, 7), (TOKENS,)),
    "dropout in evaluation": (lambda F, x: F.dropout(x, 0.4, training=False), (POINTS,)),
    **{
        f"pad {mode}": (lambda F, x, mode=mode: F.pad(x, (1, 2, 3, 0), mode), (IMAGES,))
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    **{
        f"pad {mode} by negative widths": (
            lambda F, x, mode=mode: F.pad(x, (1, -2, -3, 2), mode), (IMAGES,),
        )
        for mode in ("constant", "reflect", "replicate")
    },
    "pad with a value": (lambda F, x: F.pad(x, (1, 0), value=2.5), (POINTS,)),
}  # fmt: skip


def _functions() -> dict[str, Case]:
    found = {
        name: Case(
            inputs,
            lambda lib, *xs, call=call: call(lib.F, *xs),
            **_limits(name),
        )
        for name, (call, inputs) in FUNCTIONS.items()
    }

    def add(name: str, inputs: tuple[Array, ...], settings: dict[str, Any], **how: Any) -> None:
        function, key = name.split(maxsplit=1)[0], f"{name} {label(settings)}"
        if key in found:
            raise ValueError(f"two cases named {key!r}")
        found[key] = Case(
            inputs,
            lambda lib, *xs: getattr(lib.F, function)(*xs, **_given(lib, settings)),
            **how,
        )

    for i, (name, x, y, settings) in enumerate(LOSSES):
        for reduction in ("mean", "sum", "none"):
            kink = name == "huber_loss" and bool(
                (np.abs(x - y) == settings.get("delta", 1.0)).any()
            )
            add(f"{name} {i}", (x, y), settings | {"reduction": reduction}, order=1 if kink else 2)
    for i, (name, *xs, settings) in enumerate(LOSSES_OF_MANY):
        words = ("mean", "sum", "none") if "reduction" not in settings else ("batchmean",)
        for reduction in words:
            add(f"{name} {i}", tuple(xs), settings | {"reduction": reduction}, **_limits(name))
    for name, keep in (("cosine_similarity", "axis"), ("pairwise_distance", "keepdims")):
        word = {"axis": "dim", "keepdims": "keepdim"}[keep]
        for settings in PAIRS[name]:
            renamed = {word if k == keep else k: v for k, v in settings.items()}
            add(
                name, (NUMBERS, OTHERS), settings,
                theirs=lambda lib, x, y, name=name, renamed=renamed: getattr(lib.F, name)(
                    x, y, **renamed
                ),
            )  # fmt: skip
    x = numbers(2, 3, 5)
    for training in (True, False):
        run = _instance_norm(training)
        found[f"instance_norm {training}"] = Case((x, VALUE, BIAS), run)
        found[f"instance_norm {training} plain"] = Case((x,), run)
    for name, table in (("conv2d", GEOMETRIES), ("conv1d", SIGNALS)):
        for shape, w, geometry in table:
            inputs = (numbers(*shape), numbers(*w, seed=1))
            add(f"{name} {shape} {w}", inputs, geometry)
            add(f"{name} {shape} {w} with bias", (*inputs, numbers(w[0], seed=2)), geometry)
    for name, table in (
        ("conv_transpose2d", TRANSPOSED), ("conv_transpose1d", TRANSPOSED_SIGNALS),
    ):  # fmt: skip
        for shape, w, geometry in table:
            bias = numbers(w[1] * geometry.get("groups", 1), seed=2)
            add(f"{name} {shape}", (numbers(*shape), numbers(*w, seed=1), bias), geometry)
            add(f"{name} {shape} without bias", (numbers(*shape), numbers(*w, seed=1)), geometry)
    for shape, geometry in MAX_POOLS:
        add(f"max_pool2d {shape}", (numbers(*shape),), geometry)
        ties = np.maximum(np.round(numbers(*shape) * 2), 0)  # as after ReLU
        add(f"max_pool2d with ties {shape}", (ties,), geometry)
    for shape, geometry in AVERAGES:
        add(f"avg_pool2d {shape}", (numbers(*shape),), geometry)
    for size in SIZES:
        add("adaptive_avg_pool2d", (numbers(2, 3, 7, 8),), {"output_size": size})
        settings = {"output_size": size, "return_indices": True}
        add("adaptive_max_pool2d", (numbers(2, 3, 7, 8),), settings)
        ties = np.maximum(np.round(numbers(2, 3, 7, 8)), 0)
        add("adaptive_max_pool2d with ties", (ties,), settings | {"return_indices": False})
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        for x, length in ((LINES, 4), (LINE, 3)):
            add(f"{name} {x.ndim}", (x,), {"output_size": length})
    add("adaptive_max_pool1d", (LINES,), {"output_size": 2, "return_indices": True})
    for name, pools in (("max_pool1d", SIGNAL_POOLS), ("avg_pool1d", SIGNAL_AVERAGES)):
        for window in pools:
            add(name, (LINES,), window)
    ties = np.maximum(np.round(numbers(2, 3, 7, 8) * 2), 0)
    settings = {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}
    add("max_pool2d with ties and indices", (ties,), settings)
    add("max_unpool2d", (numbers(1, 2, 1, 2), np.array([[[[1, 7]], [[0, 9]]]])),
        {"kernel_size": 2, "stride": 3, "padding": 1, "output_size": (2, 5)})  # fmt: skip
    add("max_unpool2d of windows close together", (numbers(1, 1, 2, 2), np.array([[[[3, 0], [4, 8]]]])),
        {"kernel_size": 2, "stride": 1})  # fmt: skip
    add("max_unpool1d", (numbers(1, 1, 3), np.array([[[1, 2, 5]]])),
        {"kernel_size": 2, "stride": 2, "padding": 0, "output_size": (1, 1, 7)})  # fmt: skip
    add("max_unpool1d padded", (numbers(1, 1, 3), np.array([[[1, 2, 3]]])),
        {"kernel_size": 2, "stride": 2, "padding": 1})  # fmt: skip
    for how in INTERPOLATIONS:
        # PyTorch computes the places of pixels in float32 for some modes.
        add("interpolate", (numbers(2, 3, 4, 5),), how, rtol=1e-6)
    for how in STRETCHES:
        add("interpolate of signals", (LINES,), how, rtol=1e-6)
    for settings in SCALED:
        add("scaled_dot_product_attention", QUERIES, settings)
    for window in WINDOWS:
        shape = (2, 3, 6, 7)
        add(
            "im2col", (numbers(*shape),), window,
            theirs=lambda lib, x, window=window: lib.F.unfold(x, **window),
        )  # fmt: skip
        cols = _columns(shape, **window)
        add(
            "col2im", (numbers(*cols),), {"x_shape": shape, **window},
            theirs=lambda lib, c, window=window: lib.F.fold(c, (6, 7), **window),
        )  # fmt: skip
    for name, shape in NORMS.items():
        x = numbers(*shape) + 0.4
        for training in (True, False):
            mode = "training" if training else "evaluation"
            run = _batch_norm(training)
            found[f"batch_norm {name} {mode}"] = Case((x, VALUE, BIAS), run)
            found[f"batch_norm {name} {mode} plain"] = Case((x,), run)
        found[f"batch_norm {name} without statistics"] = Case(
            (x, VALUE, BIAS), _batch_norm(True, statistics=False)
        )
    found |= {
        "flatten": Case(
            (IMAGES,), lambda lib, x: lib.F.flatten(x, 1, 2), theirs=lambda _lib, x: x.flatten(1, 2)
        ),
        "flatten all": Case(
            (POINTS,), lambda lib, x: lib.F.flatten(x), theirs=lambda _lib, x: x.flatten()
        ),
        # What PyTorch has no word for: the odd pixel of "same" goes to the bottom and right.
        "conv2d same with a stride": Case(
            (numbers(2, 3, 7, 8), numbers(4, 3, 3, 3, seed=1)),
            lambda lib, x, w: lib.F.conv2d(x, w, stride=2, padding="same"),
            theirs=lambda lib, x, w: lib.F.conv2d(lib.F.pad(x, (0, 1, 1, 1)), w, stride=2),
        ),
        "conv2d with four paddings": Case(
            (numbers(2, 3, 7, 8), numbers(4, 3, 3, 3, seed=1)),
            lambda lib, x, w: lib.F.conv2d(x, w, padding=((1, 2), (0, 3))),
            theirs=lambda lib, x, w: lib.F.conv2d(lib.F.pad(x, (0, 3, 1, 2)), w),
        ),
        "max_pool2d same": Case(
            (numbers(2, 3, 7, 8),),
            lambda lib, x: lib.F.max_pool2d(x, 3, 2, padding="same"),
            theirs=lambda lib, x: lib.F.max_pool2d(lib.F.pad(x, (0, 1, 1, 1), value=-9.0), 3, 2),
        ),
        "avg_pool2d same": Case(
            (numbers(2, 3, 7, 8),),
            lambda lib, x: lib.F.avg_pool2d(x, 3, 2, padding="same"),
            theirs=lambda lib, x: lib.F.avg_pool2d(lib.F.pad(x, (0, 1, 1, 1)), 3, 2)
            / lib.F.avg_pool2d(lib.F.pad(lib.tensor(np.ones((1, 1, 7, 8))), (0, 1, 1, 1)), 3, 2),
        ),
        "attention_weights": Case(
            QUERIES[:2], lambda lib, q, k: lib.F.attention_weights(q, k), theirs=_weights
        ),
        "attention_weights causal": Case(
            QUERIES[:2],
            lambda lib, q, k: lib.F.attention_weights(q, k, is_causal=True, scale=0.3),
            theirs=lambda lib, q, k: lib.F.scaled_dot_product_attention(
                q, k, lib.tensor(np.eye(5)).expand(2, 3, 5, 5), is_causal=True, scale=0.3
            ),
        ),
        "attention_weights masked": Case(
            QUERIES[:2],
            lambda lib, q, k: lib.F.attention_weights(q, k, lib.tensor(numbers(4, 5))),
            theirs=lambda lib, q, k: _weights(lib, q, k, mask=lib.tensor(numbers(4, 5))),
        ),
        "global_avg_pool2d": Case(
            (IMAGES,), lambda lib, x: lib.F.global_avg_pool2d(x), theirs=lambda _lib, x: x.mean((2, 3))
        ),
        "global_max_pool2d": Case(
            (IMAGES,), lambda lib, x: lib.F.global_max_pool2d(x), theirs=lambda _lib, x: x.amax((2, 3))
        ),
        "where": Case(
            (numbers(3, 4) > 0, POINTS, numbers(4)),
            lambda lib, c, x, y: lib.F.where(c, x, y),
            theirs=lambda _lib, c, x, y: x.where(c, y),
        ),
        "reshape": Case(
            (POINTS,), lambda lib, x: lib.F.reshape(x, (2, -1)), theirs=lambda _lib, x: x.reshape(2, -1)
        ),
        "l2_penalty": Case(
            (POINTS, VALUE),
            lambda lib, *xs: lib.F.l2_penalty(xs, 0.3),
            theirs=lambda _lib, x, y: 0.15 * ((x * x).sum() + (y * y).sum()),
        ),
        "functional_call": Case(
            (POINTS, numbers(2, 4), numbers(2, seed=1)),
            lambda lib, x, w, b: lib.call(lib.nn.Linear(4, 2).double(), {"weight": w, "bias": b}, (x,)),
        ),
    }  # fmt: skip
    return {f"F.{name}": case for name, case in found.items()}


def _columns(
    shape: tuple[int, ...], kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> tuple[int, int, int]:
    """The shape of all windows of such images as columns."""
    k, s, p, d = (np.broadcast_to(a, 2) for a in (kernel_size, stride, padding, dilation))
    places = [(shape[2 + i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in range(2)]
    return shape[0], shape[1] * int(k[0] * k[1]), int(places[0] * places[1])


#: All of the above by name.
CASES: dict[str, Case] = _layers() | _functions()
