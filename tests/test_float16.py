"""float16 is computed in float32 and rounded: large numbers do not overflow on the way.

Generated over all operators: large but representable float16 arguments give what float32 gives.
"""

import numpy as np
import pytest
from operator_calls import DIFFERENTIABLE, call, samples

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.tree import flatten

LARGE = 200.0
#: What NumPy's own float16 does, or a product that does overflow on the way to what is small.
EXCEPTIONS = {
    "mg.multi_dot": "the products in between are tensors of float16 themselves",
    "mg.polyval": "as are the powers of x",
    "mg.matrix_power": "as are the lower powers",
    "prod": "its gradient is the product, which overflows, divided by the factor",
    "cumprod": "as prod",
    "mg.cumulative_prod": "its gradient divides products that overflow",
    "mg.nancumprod": "as cumulative_prod",
    "mg.sinc": "NumPy's own is computed in float16", "sinc": "as mg.sinc",
    "unwrap": "it counts the turns of angles in float16, as NumPy does",
}  # fmt: skip


def results(f, xs, dtype):
    """Values and gradients."""
    tensors = [mg.tensor(x.astype(dtype), requires_grad=True) for x in xs]
    ys = [y for y in flatten(f(*tensors)) if y.dtype.kind == "f"]
    for y in ys:
        if y.requires_grad:
            c = np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(np.float16)
            y.backward(mg.Tensor(c.astype(y.dtype)), retain_graph=True)
    grads = [t.grad.numpy() for t in tensors if t.grad is not None]
    return [y.numpy() for y in ys] + grads


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if n not in EXCEPTIONS])
def test_large_numbers_give_what_float32_gives(name):
    for sample in samples(name):
        f, xs = call(name, sample, np.random.default_rng(0))
        xs = [(x * LARGE).astype(np.float16) for x in xs]
        if name == "mg.binary_cross_entropy_with_logits":
            xs[1] = np.clip(xs[1], 0, 1)  # it takes large logits, and probabilities
        with np.errstate(all="ignore"):
            try:
                half = results(f, xs, np.float16)
            except (TypeError, ValueError) as error:
                # Refused in words: linear algebra in float16, probabilities of 200.
                assert "float16" in str(error) or "must be" in str(error)  # noqa: PT017
                continue
            single = results(f, xs, np.float32)
            for found, expected in zip(half, single, strict=True):
                if found.dtype == np.float16:
                    agree(found, expected, sample)


def agree(found, expected, sample):
    rounded = expected.astype(np.float16)
    finite = np.isfinite(rounded)
    size = np.abs(rounded[finite]).max(initial=0).astype(float)
    np.testing.assert_allclose(
        found.astype(float),
        rounded.astype(float),
        rtol=0.01,
        atol=0.002 * size + 2e-7,
        err_msg=str(sample),
    )


def test_running_statistics_of_float16_are_assigned():
    running = [mg.tensor(np.zeros(2, np.float16)), mg.tensor(np.ones(2, np.float16))]
    x = (np.arange(8).reshape(4, 2) * 10).astype(np.float16)
    F.batch_norm(mg.Tensor(x), *running, training=True, momentum=1.0)
    np.testing.assert_array_equal(running[0].numpy(), np.float16([30, 40]))


def test_attention_of_large_float16_numbers_is_that_of_float32():
    rng = np.random.default_rng(0)
    q, k = (rng.choice([-250.0, 250.0], (2, 3, 4)).astype(np.float16) for _ in range(2))
    v = rng.standard_normal((2, 3, 5)).astype(np.float16)
    half = results(F.scaled_dot_product_attention, (q, k, v), np.float16)
    single = results(F.scaled_dot_product_attention, (q, k, v), np.float32)
    assert {y.dtype.name for y in half} == {"float16"}
    for found, expected in zip(half, single, strict=True):
        agree(found, expected, "attention")


#: What NumPy computes in float16 itself, or where several operators round one after the other.
SEVERAL_ROUNDINGS = {
    "cbrt", "divide", "log_softmax", "logaddexp", "logaddexp2", "matmul", "mg.float_power",
    "mg.gradient", "mg.interp", "mg.matrix_power", "mg.matvec", "mg.median", "mg.multi_dot", "mg.nancumprod",
    "mg.nanmedian", "mg.nanpercentile", "mg.nanquantile", "mg.pad", "mg.polyval", "mg.power",
    "mg.quantile", "multiply", "power", "sinc", "softmax", "tanh", "xlogy",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if n not in SEVERAL_ROUNDINGS])
def test_results_are_those_of_float32_rounded_once(name):
    for sample in samples(name):
        f, xs = call(name, sample, np.random.default_rng(0))
        xs = [x.astype(np.float16) for x in xs]
        with np.errstate(all="ignore"):
            try:
                half = results(f, xs, np.float16)
            except TypeError as error:  # linear algebra
                assert "float16 is unsupported" in str(error)  # noqa: PT017
                return
            single = results(f, xs, np.float32)
        for found, expected in zip(half, single, strict=True):
            if found.dtype == np.float16:
                rounded = expected.astype(np.float16)
                step = np.spacing(np.maximum(np.abs(rounded), np.float16(1e-3))).astype(float)
                apart = np.abs(found.astype(float) - rounded.astype(float)) / step
                assert (apart[np.isfinite(rounded)] <= 1.0).all(), sample


def test_arguments_by_name_are_computed_in_float32_too():
    x, zeros = np.float16([256, 0, 0, 0]), np.zeros(4, np.float16)
    for loss in (
        lambda: F.mse_loss(mg.tensor(x), mg.tensor(zeros)),
        lambda: F.mse_loss(mg.tensor(x), target=mg.tensor(zeros)),
        lambda: F.mse_loss(input=mg.tensor(x), target=mg.tensor(zeros)),
    ):
        assert loss().dtype == np.float16
        assert loss().item() == 16384.0
