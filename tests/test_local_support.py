"""One inf or NaN changes only the results that depend on it, in values and in gradients.

Which results depend on an element is found by moving it by finite amounts. A product with a matrix
of zeros, a transform or a difference of running sums would spread it further: 0 * inf is NaN.
"""

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, entry, samples

import minigrad as mg
from minigrad.engine.tree import flatten
from minigrad.operators.declare import COMPOSITES

#: The files with the functions of nn.functional, and others whose sums take in a neighbourhood.
FILES = (
    "activations", "convolution", "cumulative", "diagonals", "einsum", "im2col", "indexing",
    "joining", "linear", "losses", "normalisation", "padding", "pooling", "products", "recurrence",
    "shapes", "signals", "upsampling", "weighing",
)  # fmt: skip
#: Where an infinite argument may reach further, and why.
WEIGHTS = "an infinite weight meets the zeros of the padding, as in PyTorch"
HITS = "a helper's cotangent of a maximum, within its window"
MEDIAN = "a median or maximum with NaN is NaN"
POINTS = "the line through a point that is not finite has no slope"
SLOPES = "a weight counts only where its input is negative"
EXCEPTIONS = {
    "conv2d": WEIGHTS, "conv2d_input_grad": WEIGHTS, "conv2d_weight_grad": WEIGHTS,
    "mg.conv1d": WEIGHTS, "mg.conv_transpose1d": WEIGHTS, "mg.conv_transpose2d": WEIGHTS,
    "max_pool2d_grad": HITS, "max_pool2d_pick": HITS, "mg.interp": POINTS, "mg.pad": MEDIAN,
    "prelu": SLOPES, "mg.prelu": SLOPES,
}  # fmt: skip
MOST = 5


def declared_in(name):
    function = entry(name)
    if function in COMPOSITES.values():
        return function.function.__module__
    return function.declared.__module__


NAMES = [n for n in DIFFERENTIABLE if declared_in(n).rpartition(".")[2] in FILES]


def joined(arrays):
    return np.concatenate([np.ravel(a).astype(float) for a in arrays])


def outputs(f, xs):
    return joined([y._data for y in flatten(f(*xs)) if y.dtype.kind == "f"])


def gradients(f, xs, cotangent):
    tensors = [mg.Tensor(x) for x in xs]
    with mg.GradientTape() as tape:
        tape.watch(tensors)
        ys = [y for y in flatten(f(*tensors)) if y.dtype.kind == "f"]
    ends = np.cumsum([y.size for y in ys])[:-1]
    cotangents = [
        mg.Tensor(c.reshape(y.shape)) for c, y in zip(np.split(cotangent, ends), ys, strict=True)
    ]
    found = tape.gradient(ys, tensors, cotangents, unconnected_gradients="zero")
    return joined([g._data for g in found])


def with_one(xs, k, i, value):
    changed = [x.copy() for x in xs]
    changed[k].flat[i] = value
    return changed


def differ(a, b):
    return ~((a == b) | (np.isnan(a) & np.isnan(b)))


def dependence(f, xs):
    """Which outputs move with which inputs: also at another point, for zeros in a sample."""
    places = [(k, i) for k, x in enumerate(xs) for i in range(x.size)]
    found = np.zeros((len(places), outputs(f, xs).size), bool)
    for at in (xs, [x + 0.1 + 0.01 * np.arange(x.size).reshape(x.shape) for x in xs]):
        base = outputs(f, at)
        for row, (k, i) in enumerate(places):
            for value in (at[k].flat[i] + 0.37, 1e6, -1e6, 0.0, 1.0):
                found[row] |= differ(outputs(f, with_one(at, k, i, value)), base)
    return places, found


def some(count):
    return range(0, count, max(1, count // MOST))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in EXCEPTIONS])
def test_one_infinite_element_changes_only_what_depends_on_it(name):
    with np.errstate(all="ignore"):
        for sample in samples(name):
            f, xs = call(name, sample, np.random.default_rng(1))
            if any(x.size for x in xs) and outputs(f, xs).size:
                spread(f, xs, sample)


def spread(f, xs, sample):
    try:
        places, depends = dependence(f, xs)
    except (ValueError, IndexError):  # probabilities and orders that other values break
        return
    y, c = outputs(f, xs), np.linspace(0.5, 1.5, depends.shape[1])
    g = gradients(f, xs, c)
    for j in some(len(c)):
        for bad in (np.inf, np.nan):
            cotangent = c.copy()
            cotangent[j] = bad
            wrong = differ(gradients(f, xs, cotangent), g) & ~depends[:, j]
            assert not wrong.any(), f"{sample}: cotangent {j} {bad} reaches {np.flatnonzero(wrong)}"
    for row in some(len(places)):
        for bad in (np.inf, -np.inf, np.nan):
            poisoned = with_one(xs, *places[row], bad)
            wrong = differ(outputs(f, poisoned), y) & ~depends[row]
            assert not wrong.any(), f"{sample}: input {row} {bad} reaches {np.flatnonzero(wrong)}"
            beside = (depends & depends[row]).any(axis=1)
            wrong = differ(gradients(f, poisoned, c), g) & ~beside
            assert not wrong.any(), f"{sample}: the gradient, input {row} {bad}: {wrong}"
