"""ReLU of large arrays, which is computed in another way than of small ones."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32])
@pytest.mark.parametrize("shape", [(3, 4), (300, 300), (40, 3, 32, 32), (100_000,), (2, 70_000)])
def test_relu_is_the_maximum_with_zero(dtype, shape):
    x = (np.random.default_rng(0).standard_normal(shape) * 10).astype(dtype)
    y = F.relu(mg.tensor(x)).numpy()
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.maximum(x, 0))


@pytest.mark.parametrize("shape", [(2, 3), (300, 300)])
def test_relu_keeps_nan_and_infinity(shape):
    x = np.zeros(shape, np.float32)
    x[0, :3] = [np.nan, np.inf, -np.inf]
    y = F.relu(mg.tensor(x)).numpy()
    assert np.isnan(y[0, 0])
    assert y[0, 1] == np.inf
    assert y[0, 2] == 0


def test_relu_of_arrays_that_are_not_contiguous():
    x = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    turned = mg.tensor(x).T
    np.testing.assert_array_equal(F.relu(turned).numpy(), np.maximum(x.T, 0))
    strided = mg.tensor(x)[:, ::2]
    np.testing.assert_array_equal(F.relu(strided).numpy(), np.maximum(x[:, ::2], 0))
