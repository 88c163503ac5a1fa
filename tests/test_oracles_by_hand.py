"""Metrics, initialisers, clipping and what draws random numbers, beside their textbook formulas."""

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.nn import init
from tests.nn_cases import numbers

# -- dropout ---------------------------------------------------------------------------------------

RATES = (0.2, 0.5, 0.9)
#: Name of a function or layer, how to apply it with probability p, the axes that share one draw.
DROPOUTS = {
    "functional.dropout": (lambda x, p: F.dropout(x, p), ()),
    "nn.Dropout": (lambda x, p: nn.Dropout(p)(x), ()),
    "nn.Dropout2d": (lambda x, p: nn.Dropout2d(p)(x), (2, 3)),
}


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout(name, p):
    apply, shared = DROPOUTS[name]
    data = 2.0 + numbers(60, 50, 2, 3)
    x = mg.tensor(data, requires_grad=True)
    y = apply(x, p)
    kept = y.numpy() != 0
    np.testing.assert_allclose(y.numpy(), np.where(kept, data / (1 - p), 0), rtol=1e-7)
    if shared:
        assert (kept == kept[:, :, :1, :1]).all()
        kept = kept[:, :, 0, 0]
    assert abs(kept.mean() - (1 - p)) < 4 * math.sqrt(p * (1 - p) / kept.size)
    for axis in range(kept.ndim):  # every axis is drawn for by itself
        assert kept.any(axis).any()
        assert (kept != kept.take([0], axis)).any()
    y.backward(mg.tensor(data))
    np.testing.assert_allclose(x.grad.numpy(), y.numpy(), rtol=1e-7)


def test_dropout_of_attention():
    q, k, v = (mg.tensor(numbers(n, 8, seed=n)) for n in (40, 30, 31))
    weights = F.attention_weights(q, k).numpy()
    found = F.scaled_dot_product_attention(q, k, np.eye(30), dropout_p=0.25).numpy()
    kept = found != 0
    np.testing.assert_allclose(found, np.where(kept, weights / 0.75, 0), rtol=1e-7)
    assert abs(kept.mean() - 0.75) < 0.05
    layer = nn.MultiheadAttention(8, 2, dropout=1.0)
    init.constant_(layer.out_proj.bias, 0.5)
    x = mg.tensor(v.numpy().astype(np.float32))
    assert (layer(x, x, x)[0].numpy() == 0.5).all()
    assert (layer.eval()(x, x, x)[0].numpy() != 0.5).all()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_dropout_between_recurrent_layers(kind):
    """At probability 1 the second layer sees zeros, and its own output is left alone."""
    deep, top = (getattr(nn, kind)(w, 3, n, dropout=p) for w, n, p in ((4, 2, 1.0), (3, 1, 0.0)))
    for name, parameter in top.named_parameters():
        parameter.assign(dict(deep.named_parameters())[name.replace("l0", "l1")].numpy())
    x = mg.tensor(numbers(5, 2, 4).astype(np.float32))
    expected = top(mg.zeros((5, 2, 3)))[0].numpy()
    np.testing.assert_array_equal(deep(x)[0].numpy(), expected)
    assert (deep.eval()(x)[0].numpy() != expected).all()


# -- initialisers ----------------------------------------------------------------------------------

SHAPE = (60, 40, 3, 2)
FAN_IN, FAN_OUT = 240, 360  # 40 * 3 * 2 and 60 * 3 * 2
GAINS = {
    ("linear", None): 1.0, ("sigmoid", None): 1.0, ("conv1d", None): 1.0, ("conv2d", None): 1.0,
    ("conv_transpose2d", None): 1.0, ("tanh", None): 5 / 3, ("relu", None): 2**0.5,
    ("leaky_relu", None): (2 / 1.0001) ** 0.5, ("leaky_relu", 0.5): (2 / 1.25) ** 0.5,
    ("selu", None): 0.75,
}  # fmt: skip
#: Name, settings, mean, standard deviation, whether it is uniform (else normal).
DRAWN = [
    ("uniform_", {}, 0.5, 12**-0.5, True),
    ("uniform_", {"a": -1.0, "b": 5.0}, 2.0, 3**0.5, True),
    ("normal_", {}, 0.0, 1.0, False),
    ("normal_", {"mean": 3.0, "std": 0.2}, 3.0, 0.2, False),
    *[(f"{name}_uniform_", kw, 0.0, gain * (2 / (FAN_IN + FAN_OUT)) ** 0.5, True)
      for name in ("xavier", "glorot") for kw, gain in (({}, 1.0), ({"gain": 3.0}, 3.0))],
    *[(f"{name}_normal_", kw, 0.0, gain * (2 / (FAN_IN + FAN_OUT)) ** 0.5, False)
      for name in ("xavier", "glorot") for kw, gain in (({}, 1.0), ({"gain": 3.0}, 3.0))],
    *[(f"{name}_{kind}_", kw, 0.0, std, kind == "uniform")
      for name in ("kaiming", "he") for kind in ("uniform", "normal") for kw, std in (
          ({}, (2 / FAN_IN) ** 0.5),
          ({"mode": "fan_out"}, (2 / FAN_OUT) ** 0.5),
          ({"a": 1.0}, (1 / FAN_IN) ** 0.5),
          ({"nonlinearity": "relu"}, (2 / FAN_IN) ** 0.5),
          ({"nonlinearity": "tanh", "mode": "fan_out"}, 5 / 3 * FAN_OUT**-0.5))],
    ("lecun_uniform_", {}, 0.0, FAN_IN**-0.5, True),
    ("lecun_normal_", {}, 0.0, FAN_IN**-0.5, False),
]  # fmt: skip


def check_distribution(x, mean, std, uniform):
    """Mean, deviation, ends and shape; the bounds are four times what chance makes of them."""
    x = (np.ravel(x) - mean) / std
    n = x.size
    assert abs(x.mean()) < 4 / n**0.5
    kurtosis, end = (1.8, 3**0.5) if uniform else (3.0, math.inf)
    assert abs((x**2).mean() - 1) < 4 * ((kurtosis - 1) / n) ** 0.5
    assert abs(x).max() <= end * (1 + 1e-6)
    assert abs((x**4).mean() - kurtosis) < 4 * ((9 - kurtosis**2 if uniform else 96) / n) ** 0.5
    if uniform:
        assert x.min() < -end * (1 - 20 / n)
        assert x.max() > end * (1 - 20 / n)


@pytest.mark.parametrize(("name", "settings", "mean", "std", "uniform"), DRAWN, ids=str)
def test_drawn_weights(name, settings, mean, std, uniform):
    draw = getattr(init, name)
    found = [
        draw(
            nn.Parameter(np.zeros(SHAPE)), **settings, generator=np.random.default_rng(seed)
        ).numpy()
        for seed in (1, 1, 2)
    ]
    check_distribution(found[0], mean, std, uniform)
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).all()
    mg.manual_seed(3)
    seeded = draw(nn.Parameter(np.zeros(SHAPE)), **settings).numpy()
    mg.manual_seed(3)
    assert (draw(nn.Parameter(np.zeros(SHAPE)), **settings).numpy() == seeded).all()


@pytest.mark.parametrize("settings", [
    {}, {"std": 0.5, "a": -0.4, "b": 0.9}, {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 10.0},
    {"mean": -3.0},
], ids=str)  # fmt: skip
def test_truncated_normal(settings):
    given = {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0} | settings
    mean, std, a, b = given.values()
    x = init.trunc_normal_(nn.Parameter(np.zeros(SHAPE)), **settings).numpy()
    assert a <= x.min() < a + 0.02 * std
    assert b >= x.max()
    low, high = (a - mean) / std, (b - mean) / std
    density = [math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high)]
    below = [(1 + math.erf(z / math.sqrt(2))) / 2 for z in (low, high)]
    share = below[1] - below[0]
    shift = (density[0] - density[1]) / share
    spread = 1 + (low * density[0] - high * density[1]) / share - shift**2
    deviation = std * spread**0.5
    assert abs(x.mean() - mean - std * shift) < 4 * deviation / x.size**0.5
    np.testing.assert_allclose(x.std(), deviation, rtol=0.03)
    third = low + (high - low) / 3
    before = (1 + math.erf(third / math.sqrt(2))) / 2
    assert abs(np.mean(x < mean + std * third) - (before - below[0]) / share) < 2 / x.size**0.5


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (3, 2, 2, 2), (5, 5)])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_orthogonal(shape, gain):
    w = init.orthogonal_(nn.Parameter(np.zeros(shape)), gain).numpy().reshape(shape[0], -1)
    w = w if shape[0] <= w.shape[1] else w.T
    np.testing.assert_allclose(w @ w.T, gain**2 * np.eye(len(w)), atol=1e-12)
    again = init.orthogonal_(nn.Parameter(np.zeros(shape)), gain).numpy()
    assert (
        again.reshape(w.shape if shape[0] <= w.shape[1] else w.T.shape) != w
    ).any() or w.size == 1


CONSTANT = {
    "zeros_": (lambda w: init.zeros_(w), np.zeros((3, 5))),
    "ones_": (lambda w: init.ones_(w), np.ones((3, 5))),
    "constant_": (lambda w: init.constant_(w, 0.3), np.full((3, 5), 0.3)),
    "eye_": (lambda w: init.eye_(w), np.eye(3, 5)),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_constant_weights(name):
    write, expected = CONSTANT[name]
    w = nn.Parameter(numbers(3, 5))
    assert write(w) is w
    np.testing.assert_array_equal(w.numpy(), expected)


@pytest.mark.parametrize(("nonlinearity", "param"), GAINS)
def test_gains(nonlinearity, param):
    gain = init.calculate_gain(nonlinearity, param)
    assert math.isclose(gain, GAINS[nonlinearity, param], rel_tol=1e-12)


def _uniform(k):
    return ("uniform", k)


def _fed(layer, shape):
    layer(mg.zeros(shape))
    return layer


class _Pair(nn.Module):
    """A weight and a bias, drawn by ``weight_and_bias_``."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(np.zeros(SHAPE)), nn.Parameter(np.zeros(60))
        init.weight_and_bias_(self.weight, self.bias)


HIDDEN = _uniform(30**-0.5)
#: How each layer with parameters begins: of each, its distribution and scale.
STARTS = {
    "weight_and_bias_": (
        _Pair, {"weight": _uniform(FAN_IN**-0.5), "bias": _uniform(FAN_IN**-0.5)},
    ),
    "Linear": (lambda: nn.Linear(40, 50), dict.fromkeys(("weight", "bias"), _uniform(40**-0.5))),
    "Conv2d": (
        lambda: nn.Conv2d(12, 36, (3, 2), groups=2),
        dict.fromkeys(("weight", "bias"), _uniform(36**-0.5)),
    ),
    "ConvTranspose2d": (  # as PyTorch, which takes the second axis of the weight for the inputs
        lambda: nn.ConvTranspose2d(12, 36, (3, 2), groups=2),
        dict.fromkeys(("weight", "bias"), _uniform(108**-0.5)),
    ),
    "Conv1d": (lambda: nn.Conv1d(12, 36, 5), dict.fromkeys(("weight", "bias"), _uniform(60**-0.5))),
    "ConvTranspose1d": (
        lambda: nn.ConvTranspose1d(12, 36, 5), dict.fromkeys(("weight", "bias"), _uniform(180**-0.5)),
    ),
    "Bilinear": (
        lambda: nn.Bilinear(9, 4, 50), dict.fromkeys(("weight", "bias"), _uniform(9**-0.5)),
    ),
    "PReLU": (lambda: nn.PReLU(3), {"weight": ("constant", 0.25)}),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(60, 40), {"weight": ("normal", 1.0)}),
    "Embedding": (lambda: nn.Embedding(60, 40), {"weight": ("normal", 1.0)}),
    "RNN": (lambda: nn.RNN(40, 30), dict.fromkeys(
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), HIDDEN)),
    "LSTM": (lambda: nn.LSTM(40, 30), dict.fromkeys(
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), HIDDEN)),
    "GRU": (lambda: nn.GRU(40, 30), dict.fromkeys(
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), HIDDEN)),
    **{kind: (lambda kind=kind: getattr(nn, kind)(40, 30), dict.fromkeys(
        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), HIDDEN))
        for kind in ("RNNCell", "LSTMCell", "GRUCell")},
    "MultiheadAttention": (lambda: nn.MultiheadAttention(40, 2), {
        "in_proj_weight": _uniform((6 / 160) ** 0.5), "in_proj_bias": ("constant", 0.0),
        "out_proj.weight": _uniform(40**-0.5), "out_proj.bias": ("constant", 0.0),
    }),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(7), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(7), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(7, affine=True), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(7, affine=True), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "RMSNorm": (lambda: nn.RMSNorm(7), {"weight": ("constant", 1.0)}),
    "LayerNorm": (lambda: nn.LayerNorm(7), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6), {"weight": ("constant", 1.0), "bias": ("constant", 0.0)}),
    "LazyLinear": (
        lambda: _fed(nn.LazyLinear(50), (2, 40)), dict.fromkeys(("weight", "bias"), _uniform(40**-0.5)),
    ),
    "LazyConv2d": (
        lambda: _fed(nn.LazyConv2d(36, (3, 2), groups=2), (1, 12, 4, 4)),
        dict.fromkeys(("weight", "bias"), _uniform(36**-0.5)),
    ),
}  # fmt: skip


def test_every_layer_that_draws_its_parameters_has_a_start():
    kinds = {n for n in nn.__all__ if hasattr(getattr(nn, n), "reset_parameters")}
    assert kinds <= STARTS.keys()


@pytest.mark.parametrize("name", STARTS)
def test_how_layers_begin(name):
    make, expected = STARTS[name]
    drawn = [dict(make().named_parameters()) for _ in range(20)]
    assert drawn[0].keys() == expected.keys()
    for key, (kind, scale) in expected.items():
        x = np.concatenate([one[key].numpy().ravel() for one in drawn])
        if kind == "constant":
            assert (x == scale).all(), key
        else:
            check_distribution(
                x, 0.0, scale / 3**0.5 if kind == "uniform" else scale, kind == "uniform"
            )


# -- clipping --------------------------------------------------------------------------------------

GRADIENTS = [3.0 * numbers(2, 3), numbers(4, seed=1), np.array(0.7)]
CLIPPED = {"clip_grad_norm_", "clip_grad_value_", "clip_by_global_norm"}


def _owners():
    params = [mg.tensor(np.zeros(g.shape), requires_grad=True) for g in (*GRADIENTS, np.zeros(2))]
    for p, g in zip(params, GRADIENTS, strict=False):
        p.grad = mg.tensor(g)
    return params  # the last has no gradient


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("limit", [0.0, 0.5, 2.0, 1e3])
def test_clip_grad_norm(order, limit):
    params, together = _owners(), np.abs(np.concatenate([g.ravel() for g in GRADIENTS]))
    norm = together.max() if order == math.inf else (together**order).sum() ** (1 / order)
    found = optim.clip_grad_norm_(params, limit, order)
    np.testing.assert_allclose(found.item(), norm, rtol=1e-12)
    for p, g in zip(params, GRADIENTS, strict=False):
        expected = g * min(1.0, limit / (norm + 1e-6))
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-12)
    assert params[-1].grad is None


@pytest.mark.parametrize("limit", [0.0, 0.5, 1e3])
def test_clip_grad_value(limit):
    params = _owners()
    optim.clip_grad_value_(params, limit)
    for p, g in zip(params, GRADIENTS, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), np.minimum(np.maximum(g, -limit), limit))
    assert params[-1].grad is None


@pytest.mark.parametrize("limit", [0.0, 0.5, 1e3])
def test_clip_by_global_norm(limit):
    norm = math.sqrt(sum((g**2).sum() for g in GRADIENTS))
    clipped, found = optim.clip_by_global_norm([*map(mg.tensor, GRADIENTS), None], limit)
    np.testing.assert_allclose(found.item(), norm, rtol=1e-12)
    for one, g in zip(clipped, GRADIENTS, strict=False):
        np.testing.assert_allclose(one.numpy(), g * min(1.0, limit / norm), rtol=1e-12)
    assert clipped[-1] is None


# -- metrics ---------------------------------------------------------------------------------------

M = mg.metrics
SCORES, NUMBER = numbers(23, 4), numbers(23, seed=5)
TRUE = (np.abs(numbers(23, seed=6)) * 1e6).astype(int) % 4
TRUE[TRUE == 3] = np.where(np.arange(np.sum(TRUE == 3)) % 2, 3, 0)
YES = (numbers(23, seed=7) > 0.3).astype(int)


def predictions(scores, threshold=0.0):
    if scores.ndim > 1:
        return [max(range(len(row)), key=lambda c: row[c]) for row in scores.tolist()]
    return [int(s > threshold) for s in scores.tolist()]


def accuracy(scores, true, threshold=0.0):
    return sum(p == t for p, t in zip(predictions(scores, threshold), true, strict=True)) / len(
        true
    )


def top(k):
    def fraction(scores, true):
        order = [sorted(range(len(row)), key=lambda c: -row[c])[:k] for row in scores.tolist()]
        return sum(t in first for t, first in zip(true, order, strict=True)) / len(true)

    return fraction


def confusion(scores, true, threshold=0.0):
    size = scores.shape[1] if scores.ndim > 1 else 2
    found = np.zeros((size, size), int)
    for p, t in zip(predictions(scores, threshold), true, strict=True):
        found[t, p] += 1
    return found


def per_class(score, average):
    """``score`` of true positives, false positives and false negatives, by class."""

    def value(scores, true):
        predicted, classes = predictions(scores), range(scores.shape[1] if scores.ndim > 1 else 2)
        pairs = list(zip(predicted, true, strict=True))
        counts = [
            (
                sum(p == t == c for p, t in pairs),
                sum(p == c != t for p, t in pairs),
                sum(t == c != p for p, t in pairs),
            )
            for c in classes
        ]
        each = [score(*count) for count in counts]
        if average is None:
            return np.array(each)
        if average == "micro":
            return score(*(sum(column) for column in zip(*counts, strict=True)))
        if scores.ndim == 1:
            return each[1]
        if average == "weighted":
            return sum(s * (tp + fn) for s, (tp, _, fn) in zip(each, counts, strict=True)) / len(
                true
            )
        seen = [s for s, count in zip(each, counts, strict=True) if sum(count)]
        return sum(seen) / len(seen)

    return value


def precision(tp, fp, fn):
    return tp / (tp + fp) if tp + fp else 0.0


def recall(tp, fp, fn):
    return tp / (tp + fn) if tp + fn else 0.0


def f1(tp, fp, fn):
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


#: Name of the metric, itself, outputs, targets, its definition.
METRICS = [
    ("Accuracy", M.Accuracy(), SCORES, TRUE, accuracy),
    ("Accuracy", M.Accuracy(), NUMBER, YES, accuracy),
    ("Accuracy", M.Accuracy(0.5), NUMBER, YES, lambda s, t: accuracy(s, t, 0.5)),
    *[("TopKAccuracy", M.TopKAccuracy(k), SCORES, TRUE, top(k)) for k in (1, 2, 3, 4)],
    ("MeanAbsoluteError", M.MeanAbsoluteError(), SCORES, SCORES[::-1] * 0.5,
     lambda x, y: sum(abs(a - b) for a, b in zip(x.flat, y.flat, strict=True)) / x.size),
    ("MeanSquaredError", M.MeanSquaredError(), SCORES, SCORES[::-1] * 0.5,
     lambda x, y: sum((a - b) ** 2 for a, b in zip(x.flat, y.flat, strict=True)) / x.size),
    ("ConfusionMatrix", M.ConfusionMatrix(), SCORES, TRUE, confusion),
    ("ConfusionMatrix", M.ConfusionMatrix(0.5), NUMBER, YES, lambda s, t: confusion(s, t, 0.5)),
    *[
        (kind.__name__, kind(average), scores, true, per_class(score, average))
        for kind, score in ((M.Precision, precision), (M.Recall, recall), (M.F1, f1))
        for average in ("macro", "micro", "weighted", None)
        for scores, true in ((SCORES, TRUE), (SCORES[:, :3].repeat(2, 1), TRUE), (NUMBER, YES))
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "metric", "outputs", "targets", "definition"), METRICS)
def test_metrics(name, metric, outputs, targets, definition):
    assert type(metric).__name__ == name
    for start in (5, 0):  # a second time, after a reset, over other batches
        metric.reset()
        for a, b in ((0, start), (start, 20), (20, 23)):
            if a < b:
                metric.update(outputs[a:b], targets[a:b])
        np.testing.assert_allclose(metric.result(), definition(outputs, targets), rtol=1e-12)


#: What this file holds, by module: each name stands in a table above.
HELD = {
    "functional": {name.split(".")[1] for name in DROPOUTS if name.startswith("functional")},
    "nn": {name.split(".")[1] for name in DROPOUTS if name.startswith("nn")},
    "init": {name for name, *_ in DRAWN} | set(CONSTANT)
    | {"trunc_normal_", "orthogonal_", "calculate_gain", "weight_and_bias_"},
    "optim": CLIPPED,
    "metrics": {name for name, *_ in METRICS},
}  # fmt: skip
