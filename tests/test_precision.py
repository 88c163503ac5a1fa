"""Elementwise operators are right to the last digits: over all exponents, in value and gradient.

float32 is compared with float64, and float64 with long double, of the same numbers.
"""

import functools

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, entry, samples

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.operators.activations import normal_cdf
from minigrad.operators.declare import OPERATORS, Operator, engine

WIDER = {np.float32: np.float64, np.float64: np.longdouble}
pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps, reason="long double is no wider here"
)


def spread_out(dtype, seed, count=600):
    """Numbers of both signs, over all exponents and, as many again, around 1."""
    rng = np.random.default_rng(seed)
    low, high = np.log2(np.finfo(dtype).tiny), np.log2(np.finfo(dtype).max)
    exponents = [np.linspace(low - 20, high - 1e-3, count), np.linspace(-8, 8, count)]
    sizes = np.exp2(np.concatenate(exponents) + rng.uniform(0, 1e-3, 2 * count)).astype(dtype)
    return rng.permutation(np.concatenate([sizes, -sizes]))


def units(found, exact, floor=0.0):
    """The error in units in the last place of the exact result; inf where only one is finite.

    Below ``floor``, a number or one for each element, the unit stays that of the floor.
    """
    dtype = found.dtype.type
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        last = np.maximum(np.spacing(np.abs(rounded)), np.asarray(floor, dtype))
        error = np.abs(found.astype(exact.dtype) - exact) / last
        same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
        both = np.isfinite(found) & np.isfinite(rounded)
        return np.where(same, 0.0, np.where(both, error, np.inf)).astype(float)


#: Elementwise only in their samples: by no turn, to the power 0.
MATRICES = ("mg.matrix_power", "mg.rot90")


def is_elementwise(name, sample):
    f, xs = call(name, sample, np.random.default_rng(0))
    shapes = {x.shape for x in xs}
    if len(shapes) != 1 or xs[0].size < 2 or any(not isinstance(a, tuple) for a in sample.arrays):
        return False
    y = f(*xs)
    if not isinstance(y, mg.Tensor) or y.shape != xs[0].shape or y.dtype != xs[0].dtype:
        return False
    moved = [np.concatenate([x.ravel()[:1] * 1.01, x.ravel()[1:]]).reshape(x.shape) for x in xs]
    rolled = [np.roll(x.ravel(), 1).reshape(x.shape) for x in xs]
    return np.array_equal(f(*moved).numpy().ravel()[1:], y.numpy().ravel()[1:]) and np.array_equal(
        f(*rolled).numpy().ravel(), np.roll(y.numpy().ravel(), 1)
    )


@functools.cache
def cases():
    found = []
    for name in DIFFERENTIABLE:
        for sample in samples(name):
            if name not in MATRICES and is_elementwise(name, sample):
                found.append((name, sample))
                break
    return found


def run(name, sample, xs):
    declared = entry(name)
    if isinstance(declared, Operator):
        return engine.record(declared, tuple(xs), sample.metadata)
    return declared.function(*xs, **sample.metadata)


def both(name, sample, dtype):
    """Value and gradients in this dtype and in a wider one."""
    arrays = [spread_out(dtype, seed) for seed in range(len(sample.arrays))]
    if name in PROBABILITIES:
        arrays[0] = np.abs(arrays[0]) / (dtype(1.0) + np.abs(arrays[0]))
        arrays[1] = np.float32(arrays[1] > 0).astype(dtype)
    if name in LOGITS:
        arrays[1] = np.abs(arrays[1]) / (dtype(1.0) + np.abs(arrays[1]))
    results = []
    for kind in (dtype, WIDER[dtype]):
        xs = [mg.tensor(x.astype(kind), requires_grad=True) for x in arrays]
        with np.errstate(all="ignore"):
            y = run(name, sample, xs)
            y.backward(mg.ones_like(y))
        results.append((y.numpy(), [x.grad.numpy() for x in xs if x.grad is not None]))
    return arrays, *results


PROBABILITIES = ("binary_cross_entropy_of_each", "mg.binary_cross_entropy")
#: The second array is a probability; the first is any number.
LOGITS = ("logistic_loss", "mg.binary_cross_entropy_with_logits")
#: Values that are further off than 4 units in the last place: in float32, in float64, and why.
VALUES = {
    "gelu_tanh": (
        256,
        2048,
        "the rounding of an exponent of up to 90, or 700, is multiplied by it",
    ),
    "silu": (64, 4, "below -87 sigmoid is subnormal, and has few digits to multiply"),
    "mg.kl_div": (16, 16, "the difference of a logarithm and the input"),
    "mish": (64, 4, "as silu"),
}
#: Of sums that may cancel, the sizes of the terms: of the value, and of each gradient. The rounding of
#: a term is half a unit of it or, for a logarithm, one, so the units are those of all terms together.
#: Where these overflow, the sum may be inf - inf, and nothing is asked.
TERMS = {
    "mg.kl_div": (
        lambda x, t: np.abs(t * np.log(t)) + np.abs(t * x),
        (None, lambda x, t: np.abs(np.log(t)) + np.abs(x) + 1.0),
    ),
    "mg.poisson_nll_loss": (
        lambda x, t: np.exp(x) + np.abs(t * x),
        (lambda x, t: np.exp(x) + np.abs(t), None),
    ),
}
#: Gradients that are off by more than 8 units in the last place, but by less than so many units of
#: 1: differences and squares in the rule cost them the digits below.
GRADIENTS = {
    "arctan": 2, "arctanh": 16, "gelu_tanh": 4, "log10": 4, "logistic_loss": 4,
    "mg.binary_cross_entropy_with_logits": 4, "silu": 4,
    "mish": 4,  # as silu: a sum of two terms of about 1, which is 0 near -1.19
    "binary_cross_entropy_of_each": 4, "mg.binary_cross_entropy": 4,
}  # fmt: skip
#: Those that series make, or float64, which a wider type does not make more exact.
BESIDE = (
    "mg.gelu", "normal_cdf", "mg.sinc", "sinc", "erf", "erfc", "gammaln", "digamma", "polygamma",
)  # fmt: skip


def test_every_bound_is_finite_and_used():
    names = {name for name, _ in cases()} - set(BESIDE)
    assert {*VALUES, *GRADIENTS, *TERMS} <= names
    assert np.isfinite(
        [*(m for row in VALUES.values() for m in row[:2]), *GRADIENTS.values()]
    ).all()
    for name, sample in cases():
        if name in TERMS:  # not too much is left out
            arrays = both(name, sample, np.float32)[0]
            for sizes in (TERMS[name][0], *filter(None, TERMS[name][1])):
                assert np.isfinite(of_terms(sizes, arrays)).mean() > 0.2


def of_terms(sizes, arrays):
    with np.errstate(all="ignore"):
        return sizes(*arrays)


def summed_units(found, exact, sizes, arrays):
    if sizes is None:
        return units(found, exact)
    whole = of_terms(sizes, arrays)
    with np.errstate(all="ignore"):
        return np.where(np.isinf(whole), 0.0, units(found, exact, np.spacing(whole)))


def test_the_elementwise_operators_are_found():
    names = {name for name, _ in cases()}
    assert len(names) > 50
    assert names >= {"sigmoid", "exp", "softplus", "mg.logsigmoid"}


@pytest.mark.parametrize("dtype", WIDER)
@pytest.mark.parametrize(("name", "sample"), cases(), ids=[name for name, _ in cases()])
def test_values_and_gradients_are_right_to_the_last_digits(name, sample, dtype):
    arrays, (y, gradients), (exact, exact_gradients) = both(name, sample, dtype)
    if name not in BESIDE:
        most = VALUES[name][dtype is np.float64] if name in VALUES else 4
        value_terms, gradient_terms = TERMS.get(name, (None, (None,) * len(gradients)))
        check(summed_units(y, exact, value_terms, arrays), most, arrays)
        for g, h, terms in zip(gradients, exact_gradients, gradient_terms, strict=True):
            if name in GRADIENTS:
                check(units(g, h, np.finfo(dtype).eps), GRADIENTS[name], arrays)
            else:
                check(summed_units(g, h, terms, arrays), 8, arrays)


def check(error, most, arrays):
    i = error.argmax()
    at = [x.ravel()[i % x.size] for x in arrays]
    assert error.flat[i] <= most, f"{error.flat[i]:.3g} units at {at}"


def normal_tail(a):
    """The probability beyond a > 0 in long double: by a series, or Laplace's continued fraction."""
    term = total = a
    for k in range(1, 120):
        term = term * a * a / (2 * k + 1)
        total = total + term
    below = a
    for k in range(400, 0, -1):
        below = a + k / below
    density = np.exp(-a * a / 2) / np.sqrt(2 * np.longdouble("3.14159265358979323846"))
    return np.where(a < 3, 0.5 - density * total, density / below)


@pytest.mark.parametrize(("dtype", "lowest", "most"), [(np.float32, 13, 8), (np.float64, 37, 12)])
def test_normal_cdf_and_gelu_keep_their_digits_in_the_tail(dtype, lowest, most):
    x = -np.concatenate([np.linspace(1e-3, lowest, 3000), np.exp2(np.linspace(-30, 3, 500))])
    x = x.astype(dtype)
    with np.errstate(over="ignore"):
        exact = normal_tail(-x.astype(np.longdouble))
    check(units(normal_cdf(mg.Tensor(x)).numpy(), exact), most, [x])
    check(units(F.gelu(mg.Tensor(x)).numpy(), x * exact), most + 1, [x])


#: Functions of rows that do not change, or only in size, when all elements grow by a factor.
OF_ANY_SIZE = {
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1], eps=0.0),
    "group_norm": lambda x: F.group_norm(x[:, :, None], 1, eps=0.0),
    "batch_norm": lambda x: F.batch_norm(mg.transpose(x), None, None, training=True, eps=0.0),
    "norm": lambda x: np.linalg.norm(x, axis=-1),
    "matrix_norm": lambda x: np.linalg.norm(x),
    **{
        f"norm of order {p}": lambda x, p=p: np.linalg.norm(x, ord=p, axis=-1)
        for p in (0.5, 1, 3, 7.5, -1, -3, np.inf)
    },
}


@pytest.mark.parametrize("size", [1e-36, 1e-30, 1e-15, 1.0, 1e15, 1e30, 1e36])
@pytest.mark.parametrize("name", OF_ANY_SIZE)
def test_rows_near_the_ends_of_float32(name, size):
    normal = name.endswith("_norm") and name != "matrix_norm"
    if size < 1e-15 and normal:
        pytest.skip("eps, which is never 0 then, is larger than their variance")
    x = np.random.default_rng(0).uniform(-3, 3, (4, 6)) * size
    x[:, 0] = 5 * size
    found = []
    for dtype in (np.float32, np.float64):
        t = mg.tensor(x.astype(np.float32).astype(dtype), requires_grad=True)
        y = OF_ANY_SIZE[name](t)
        g = np.random.default_rng(1).uniform(-1, 1, y.shape)
        y.backward(mg.tensor(g.astype(np.float32).astype(dtype)))
        found.append((y.numpy(), t.grad.numpy() * (size if normal else 1.0)))
    for ours, exact in zip(*found, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_the_norm_of_nothing_and_of_infinite_elements():
    x = mg.tensor([[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0], [3e38, 3e38]], requires_grad=True)
    for p in (2, 3):
        y = np.linalg.norm(x, ord=p, axis=-1)
        np.testing.assert_array_equal(y.numpy()[:3], [0.0, np.inf, np.nan])
    np.testing.assert_array_equal(np.linalg.norm(x, axis=-1).numpy()[3], np.inf)  # beyond the range


EXTREME = [
    -1e30,
    -1e4,
    -104.0,
    -88.0,
    -60.0,
    -20.0,
    -10.0,
    -1.0,
    0.0,
    1.0,
    10.0,
    20.0,
    88.0,
    1e4,
    1e30,
]
ALONE = {
    "sigmoid": F.sigmoid, "logsigmoid": F.logsigmoid, "softplus": F.softplus, "elu": F.elu,
    "selu": F.selu, "log_softmax": lambda x: F.log_softmax(mg.stack([x, x * 0.5]), 0),
    "softmax": lambda x: F.softmax(mg.stack([x, x * 0.5]), 0),
    "logsumexp": lambda x: mg.logsumexp(mg.stack([x, x * 0.5]), axis=0),
    "cross_entropy": lambda x: F.cross_entropy(
        mg.stack([x, x * 0.5], axis=1), np.arange(x.size) % 2, reduction="none"
    ),
    "bce, target 0": lambda x: F.binary_cross_entropy_with_logits(
        x, mg.zeros_like(x), reduction="none"
    ),
    "bce, target 1": lambda x: F.binary_cross_entropy_with_logits(
        x, mg.ones_like(x), reduction="none"
    ),
    "bce, weighted": lambda x: F.binary_cross_entropy_with_logits(
        x, mg.ones_like(x), pos_weight=np.array(3.0, x.dtype), reduction="none"
    ),
}  # fmt: skip


SUMS_TO_ONE = ("softmax", "log_softmax", "logsumexp", "cross_entropy")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ALONE)
def test_extreme_logits(name, dtype):
    x = np.array([v for v in EXTREME if abs(v) < float(np.finfo(dtype).max)], dtype)
    found = []
    for kind in (dtype, np.longdouble):
        t = mg.tensor(x.astype(kind), requires_grad=True)
        y = ALONE[name](t)
        y.backward(mg.ones_like(y) * np.arange(1, y.size + 1).reshape(y.shape).astype(kind))
        found.append((y.numpy(), t.grad.numpy()))
    for ours, exact in zip(*found, strict=True):
        # Of a sum of 1 and less, what lies below the digits of 1 is lost, as in every framework.
        floor = np.finfo(dtype).eps if name in SUMS_TO_ONE else np.finfo(dtype).tiny
        check(units(ours, exact, floor), 16 if name in SUMS_TO_ONE else 4, [x])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_keep_their_digits(dtype):
    gates, states = spread_out(dtype, 0).reshape(-1, 12), spread_out(dtype, 1).reshape(-1, 3)[:200]
    states = np.clip(states, -4, 4)
    for name, arrays in {
        "lstm_cell": (gates, states), "lstm_hidden": (gates, states),
        "gru_hidden": (gates[:, :9], np.zeros_like(gates[:, :9]), states),
    }.items():  # fmt: skip
        values = [
            OPERATORS[name].forward(*[a.astype(d) for a in arrays]) for d in (dtype, WIDER[dtype])
        ]
        check(units(*values, np.finfo(dtype).eps).ravel(), 8, [values[1].ravel()])
