"""Sums over a million rows: float32 within 1e-5 of float64, however the array lies in memory."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.kernels.sums import mean, total
from minigrad.operators.indexing import scatter

MANY = 1_000_000


def assert_near(found, expected, rtol=1e-5):
    scale = np.abs(np.asarray(expected, np.float64)).max()
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=0, atol=rtol * scale)


def numbers(*shape):
    """float32 numbers around 0.1, all of one sign, whose naive sums drift."""
    return (0.1 + 0.001 * np.arange(np.prod(shape) % 97 + 1, dtype=np.float32))[
        np.arange(np.prod(shape)) % (np.prod(shape) % 97 + 1)
    ].reshape(shape)


LAYOUTS = {
    "rows": (lambda: numbers(MANY, 3), 0),
    "wide rows": (lambda: numbers(20_000, 100), 0),
    "columns": (lambda: np.asfortranarray(numbers(3, MANY)), 1),
    "part of the rows": (lambda: numbers(MANY, 3)[:, :2], 0),
    "every other row": (lambda: numbers(MANY, 2)[::2], 0),
    "backwards": (lambda: numbers(MANY, 2)[::-1], 0),
    "images": (lambda: numbers(300_000, 2, 2, 2), (0, 2, 3)),
    "channels last": (lambda: numbers(1000, 700, 2), (0, 1)),
    "both ends": (lambda: numbers(700, 3, 700), (0, 2)),
    "the middle": (lambda: numbers(2, MANY, 2), 1),
    "all of a part": (lambda: numbers(MANY, 3)[:, :2], None),
    "negative axes": (lambda: numbers(MANY, 3), (-2,)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_long_sums_do_not_drift(layout):
    make, axis = LAYOUTS[layout]
    x = make()
    exact = x.sum(axis=axis, dtype=np.float64)
    for keepdims in (False, True):
        expected = x.sum(axis=axis, dtype=np.float64, keepdims=keepdims)
        found = total(x, axis, keepdims)
        assert found.shape == expected.shape
        assert_near(found, expected, 5e-6)
        assert_near(mg.sum(mg.Tensor(x), axis=axis, keepdims=keepdims).numpy(), expected, 5e-6)
    assert_near(mean(x, axis), exact / (x.size // exact.size), 5e-6)
    wide = x.astype(np.float64)
    assert_near(mg.mean(mg.Tensor(x), axis=axis).numpy(), wide.mean(axis=axis), 5e-6)
    assert_near(mg.var(mg.Tensor(x), axis=axis).numpy(), wide.var(axis=axis))
    assert_near(mg.std(mg.Tensor(x), axis=axis).numpy(), wide.std(axis=axis))


def test_axes_that_are_wrong_are_numpys_errors():
    x = np.ones((1000, 2), np.float32)
    with pytest.raises(np.exceptions.AxisError):
        total(x, 2)
    with pytest.raises(ValueError, match="duplicate"):
        total(x, (0, -2))


def constant(*shape):
    return np.full(shape, 0.1, np.float32)


def bias_of(f, x, size, shape=None):
    """The gradient of a bias, of a cotangent of 0.1 everywhere."""
    bias = mg.tensor(np.zeros(shape or size, np.float32), requires_grad=True)
    y = f(mg.Tensor(x), bias)
    y.backward(mg.Tensor(constant(*y.shape)))
    return bias.grad.numpy()


BIASES = {
    "linear": (
        lambda x, b: F.linear(x, np.ones((2, 1), np.float32), b), lambda: constant(MANY, 1), MANY, 2,
    ),
    "convolution": (
        lambda x, b: F.conv2d(x, np.ones((2, 1, 2, 2), np.float32), b),
        lambda: constant(200_000, 1, 3, 3), 800_000, 2,
    ),
    "a row added": (lambda x, b: x + b, lambda: constant(MANY, 2), MANY, 2),
    "a factor": (lambda x, b: x * 10 * b, lambda: constant(MANY, 2), MANY, 2),
    "layer norm": (
        lambda x, b: F.layer_norm(x, 2, None, b), lambda: numbers(MANY, 2), MANY, 2,
    ),
    "batch norm": (
        lambda x, b: F.batch_norm(x, None, None, None, b, training=True),
        lambda: numbers(MANY, 2), MANY, 2,
    ),
    "group norm": (
        lambda x, b: F.group_norm(x, 1, None, b), lambda: numbers(MANY, 2), MANY, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BIASES)
def test_gradients_of_biases_do_not_drift(name):
    f, make, times, size = BIASES[name]
    assert_near(bias_of(f, make(), size), np.full(size, np.float64(np.float32(0.1)) * times))


def test_weight_gradients_do_not_drift():
    weight = mg.tensor(np.zeros((2, 1, 2, 2), np.float32), requires_grad=True)
    y = F.conv2d(mg.Tensor(constant(100_000, 1, 3, 3)), weight)
    y.backward(mg.Tensor(constant(*y.shape)))
    expected = np.full(weight.shape, 400_000 * np.float64(np.float32(0.1)) ** 2)
    assert_near(weight.grad.numpy(), expected, 1e-4)  # as exact as BLAS is within a block
    weight = mg.tensor(np.zeros((2, 2), np.float32), requires_grad=True)
    y = F.linear(mg.Tensor(constant(MANY, 2)), weight)
    y.backward(mg.Tensor(constant(*y.shape)))
    expected = np.full((2, 2), MANY * np.float64(np.float32(0.1)) ** 2)
    assert_near(weight.grad.numpy(), expected, 1e-4)


def test_the_rows_of_an_embedding_gather_many_gradients():
    rows = mg.tensor(np.zeros((3, 2), np.float32), requires_grad=True)
    places = np.arange(MANY) % 3 // 2  # row 0 twice as often as row 1, row 2 never
    F.embedding(places, rows).backward(mg.Tensor(constant(MANY, 2)))
    counts = np.bincount(places, minlength=3)[:, None] * np.ones(2)
    assert_near(rows.grad.numpy(), counts * np.float64(np.float32(0.1)))


def test_scattered_pairs_gather_many_gradients():
    index = (np.arange(200_000) % 2, np.zeros(200_000, int))
    found = scatter(mg.Tensor(constant(200_000)), index, (2, 1)).numpy()
    assert_near(found, np.full((2, 1), 100_000 * np.float64(np.float32(0.1))))


@pytest.mark.parametrize("shape", [(400_000, 2), (20_000, 2, 5)])
def test_statistics_of_batch_norm_over_many_rows(shape):
    x = numbers(*shape)
    axis = (0, *range(2, len(shape)))
    running = [mg.zeros(2), mg.ones(2)]
    F.batch_norm(mg.Tensor(x), *running, training=True, momentum=1.0)
    wide = x.astype(np.float64)
    assert_near(running[0].numpy(), wide.mean(axis=axis))
    assert_near(running[1].numpy(), wide.var(axis=axis, ddof=1))


LOSSES = {
    "mse_loss": lambda x, **kw: F.mse_loss(x, np.zeros(x.shape, np.float32), **kw),
    "l1_loss": lambda x, **kw: F.l1_loss(x, np.zeros(x.shape, np.float32), **kw),
    "huber_loss": lambda x, **kw: F.huber_loss(x, np.zeros(x.shape, np.float32), **kw),
    "cross_entropy": lambda x, **kw: F.cross_entropy(x, np.zeros(len(x), int), **kw),
    "smoothed": lambda x, **kw: F.cross_entropy(
        x, np.zeros(len(x), int), label_smoothing=0.1, **kw
    ),
    "bce": lambda x, **kw: F.binary_cross_entropy_with_logits(
        x, np.zeros(x.shape, np.float32), **kw
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_many_rows(name, reduction):
    x = numbers(200_000, 2)
    each = np.float64(LOSSES[name](mg.Tensor(x), reduction="none").numpy())
    assert_near(LOSSES[name](mg.Tensor(x), reduction=reduction).numpy(), getattr(each, reduction)())


STATISTICS = {
    "batch norm": lambda x, training=True: F.batch_norm(x, None, None, training=training),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x: F.group_norm(x, 2),
    "var": lambda x: mg.var(x, axis=0),
    "std": lambda x: mg.std(x, axis=0),
    "in evaluation": lambda x: F.batch_norm(
        x, np.full(4, 1e4, x.dtype), np.ones(4, x.dtype), np.full(4, 2.0, x.dtype),
        np.full(4, 0.5, x.dtype),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
def test_a_large_mean_does_not_hide_a_small_spread(name):
    x = np.random.default_rng(0).normal(1e4, 1.0, (64, 4, 30)).astype(np.float32)
    c = np.random.default_rng(1).normal(size=STATISTICS[name](mg.Tensor(x)).shape)
    found = []
    for dtype in (np.float32, np.float64):
        t = mg.tensor(x.astype(dtype), requires_grad=True)
        y = STATISTICS[name](t)
        y.backward(mg.Tensor(c.astype(dtype)))
        found.append((y.numpy(), t.grad.numpy()))
    for single, double in zip(*found, strict=True):
        assert_near(single, double, 1e-3)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_mean_of_float16_is_found_in_more_digits(axis):
    x = np.random.default_rng(0).uniform(50, 100, (300, 200)).astype(np.float16)
    found = mg.mean(mg.tensor(x), axis=axis)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.numpy(), np.mean(x, axis=axis, dtype=np.float64), rtol=6e-4)
