"""Operators where one wrong number would show: rarer sizes, orders and places, beside a definition.

What is compared is a textbook formula, a sum or NumPy, never another way of the same function.
"""

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.operators import norms, pooling, rows, sorting, special
from minigrad.operators.declare import OPERATORS, engine

# -- order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*sorting.METHODS, *sorting.ROUNDED])
def test_methods_of_quantiles_of_rows_of_every_length(method):
    """METHODS and ROUNDED, at quantiles between, at and beyond the places of the elements."""
    rng = np.random.default_rng(0)
    q = np.concatenate([np.linspace(0.0, 1.0, 25), rng.uniform(size=8)])
    for n in (1, 2, 3, 4, 7, 10):
        x = rng.permutation(n * 6).reshape(2, 3, n) + rng.uniform(0.1, 0.9, (2, 3, n))
        found = mg.quantile(mg.tensor(x), q, axis=-1, method=method).numpy()
        np.testing.assert_allclose(found, np.quantile(x, q, axis=-1, method=method), rtol=1e-13)
        gaps = np.insert(x, [0, n], np.nan, axis=-1)
        found = mg.nanquantile(mg.tensor(gaps), q, axis=-1, method=method).numpy()
        np.testing.assert_allclose(found, np.quantile(x, q, axis=-1, method=method), rtol=1e-13)


@pytest.mark.parametrize("q", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_quantile_of_infinite_elements_at_their_places(q):
    """Between two infinities there is no number, but at the place of one there is."""
    for ends in ([-np.inf, -np.inf, 0.0, np.inf, np.inf], [-np.inf] * 5, [np.inf] * 5):
        x = mg.tensor(np.array(ends), requires_grad=True)
        with np.errstate(invalid="ignore"):  # of inf - inf, which is left out
            y = mg.quantile(x, q)
        assert y.item() == ends[int(4 * q)]
        y.backward()
        assert x.grad.numpy().tolist() == [float(i == int(4 * q)) for i in range(5)]


# -- special functions -----------------------------------------------------------------------------


def test_near_2_the_series_of_log_gamma_has_the_zetas_as_coefficients():
    special._near_2.cache_clear()
    *series, first = special._near_2()
    assert first == pytest.approx(1.0 - 0.5772156649015329, rel=1e-15)
    for n, c in zip(range(2, 25), reversed(series), strict=False):
        # The sum of 1 / k^n, and the integral with half of its first element for what is left.
        m = 3000
        rest = m ** (1.0 - n) / (n - 1) - 0.5 * m ** -float(n) + n / 12 * m ** (-1.0 - n)
        zeta = math.fsum([rest, *(k ** -float(n) for k in range(2, m + 1))])
        assert c == pytest.approx((-1.0) ** n * zeta / n, rel=1e-14)


def test_erfc_far_out_has_its_digits():
    """erfc_far: e^(-x^2) is taken in two parts, of which the first has few digits."""
    x = np.linspace(0.0, 26.0, 4001)
    exact = np.array([math.erfc(one) for one in x])
    found = mg.erfc(x).numpy()
    assert np.max(np.abs(found - exact) / np.spacing(exact)) < 16


def test_polygamma_at_0_is_that_of_the_numbers_above_it():
    found = [
        engine.record(OPERATORS["polygamma"], (np.zeros(1),), {"n": n}).item() for n in (1, 2, 3)
    ]
    assert found == [np.inf, -np.inf, np.inf]


def test_of_cotangent_as_polynomials_in_it():
    """The derivative of c is -(1 + c^2)."""
    special._of_cotangent.cache_clear()
    assert special._of_cotangent(0) == (1.0, 0.0)
    assert special._of_cotangent(1) == (-1.0, 0.0, -1.0)
    assert special._of_cotangent(2) == (2.0, 0.0, 2.0, 0.0)
    assert special._of_cotangent(3) == (-6.0, 0.0, -8.0, 0.0, -2.0)


@pytest.mark.parametrize("order", range(7))
def test_next_sinc_is_the_mean_of_a_cosine(order):
    """sinc(x) is the mean of cos(pi t x) over t in [0, 1], and so are its derivatives."""
    x = np.concatenate([np.linspace(-3.1, 3.1, 125), [0.0, 1e-8, 0.5, 1.0, 9.7]])
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = np.pi * (nodes + 1.0) / 2.0
    cosines = np.cos(np.multiply.outer(x, t) + order * np.pi / 2.0)
    exact = (cosines * t**order) @ (weights / 2.0)
    f = mg.sinc
    for _ in range(order):
        f = mg.grad(lambda x, f=f: f(x).sum())
    np.testing.assert_allclose(f(x), exact, rtol=0.0, atol=3e-13 * np.pi**order)


# -- logarithms of sums ----------------------------------------------------------------------------


@pytest.mark.parametrize("base", [math.e, 2.0])
def test_share_of_a_sum_beside_infinite_ones(base):
    """An infinite element does not change what its neighbours get, large as they may be."""
    log_of_sum = np.logaddexp if base == math.e else np.logaddexp2
    x = np.array([np.inf, 900.0, -900.0, 3.0, -np.inf, -np.inf, 5.0, np.inf])
    y = np.array([2.0, 901.0, -901.5, 3.0, -np.inf, 40.0, -np.inf, np.inf])
    with np.errstate(invalid="ignore"):
        share = np.where(
            np.isfinite(x - y), 1.0 / (1.0 + base ** (y - x)), [1, 0, 0, 0, 0, 0, 1, 0.5]
        )
    none = np.array([0, 0, 0, 0, 1, 0, 0, 0])
    leaves = [mg.tensor(a, requires_grad=True) for a in (x, y)]
    log_of_sum(*leaves).backward(np.ones(8))
    np.testing.assert_allclose(leaves[0].grad, share, rtol=1e-12)
    np.testing.assert_allclose(leaves[1].grad, 1.0 - share - none, rtol=1e-12)


# -- pooling and convolution -----------------------------------------------------------------------


@pytest.mark.parametrize("padding", [(1, 0), (0, 1), (1, 1), 0])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("ceil_mode", [True, False])
def test_avg_pool2d_counts_along_each_axis(padding, inside, ceil_mode):
    """The windows at a border hold fewer elements, along one axis or both, or none do."""
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 8))
    (top, left) = np.broadcast_to(padding, 2)
    found = F.avg_pool2d(
        mg.tensor(x), 3, 2, padding, ceil_mode=ceil_mode, count_include_pad=inside
    ).numpy()
    frame = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    counted = (
        np.ones_like(frame)
        if inside
        else np.pad(np.ones_like(x), [(0, 0)] * 2 + [(top,) * 2, (left,) * 2])
    )
    for i, j in np.ndindex(*found.shape[2:]):
        at = (..., slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))
        expected = frame[at].sum((2, 3)) / counted[at].sum((2, 3))
        np.testing.assert_allclose(found[..., i, j], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("padding", "before", "after"),
    [(0, 0, 0), (2, 2, 2), ((2,), 2, 2), ([1], 1, 1), (((1, 2),), 1, 2), ([[0, 3]], 0, 3),
     ("valid", 0, 0), ("same", 1, 1)],
)  # fmt: skip
def test_beside_a_signal_each_kind_of_padding(padding, before, after):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 7)), rng.normal(size=(4, 3, 3))
    found = F.conv1d(mg.tensor(x), mg.tensor(w), padding=padding).numpy()
    frame = np.pad(x, ((0, 0), (0, 0), (before, after)))
    windows = np.lib.stride_tricks.sliding_window_view(frame, 3, axis=2)
    np.testing.assert_allclose(
        found, np.einsum("nclk,ock->nol", windows, w), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    "padding", [((1, 2), 5), (5, (1, 2)), ((1, 2), (3, 4)), (1, 2), ((1,),), ()]
)
def test_beside_a_signal_there_is_one_pair_of_paddings(padding):
    with pytest.raises(ValueError, match=r"conv1d: padding must be an int or \(int,\), got"):
        F.conv1d(mg.ones((1, 1, 5)), mg.ones((1, 1, 2)), padding=padding)


@pytest.mark.parametrize("groups", [0, -1, -2, 3])
def test_check_weight_refuses_groups_that_do_not_divide(groups):
    with pytest.raises(ValueError, match=f"conv2d: groups={groups} must be at least 1 and divide"):
        F.conv2d(mg.ones((1, 2, 3, 3)), mg.ones((2, 1, 2, 2)), groups=groups)
    with pytest.raises(ValueError, match=f"conv_transpose2d: groups={groups} must be at least 1"):
        F.conv_transpose2d(mg.ones((1, 2, 3, 3)), mg.ones((2, 1, 2, 2)), groups=groups)


def test_sum_pool2d_leaves_out_what_fills_no_window():
    """Where it is called without ``ceil_mode``, and so is its adjoint."""
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    expected = x[:, :, :4, :6].reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
    np.testing.assert_allclose(pooling.sum_pool2d(mg.tensor(x), 2).numpy(), expected, rtol=1e-12)
    spread = pooling.sum_pool2d_grad(mg.tensor(expected), x.shape, 2).numpy()
    twice = np.repeat(np.repeat(expected, 2, axis=2), 2, axis=3)
    np.testing.assert_array_equal(spread, np.pad(twice, [(0, 0), (0, 0), (0, 1), (0, 1)]))


def test_max_unpool2d_keeps_the_last_of_several_values_for_one_place():
    x = mg.tensor(np.array([[[[2.0, 3.0], [5.0, 7.0]]]]), requires_grad=True)
    y = F.max_unpool2d(x, np.array([[[[1, 4], [1, 4]]]]), 2, stride=1)
    np.testing.assert_array_equal(y.detach().numpy().ravel(), [0, 5, 0, 0, 7, 0, 0, 0, 0])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().ravel(), [0, 0, 1, 1])


# -- powers, angles, polynomials -------------------------------------------------------------------


@pytest.mark.parametrize("x", [-3.0, -1.0, -0.5, -1e-3])
def test_power_of_a_negative_number_is_constant_in_its_exponent(x):
    x, y = np.array(x), np.array(2.0)
    assert mg.grad(mg.power, 1)(x, y) == 0.0
    assert mg.grad(lambda y: mg.grad(mg.power)(x, y))(y) == 0.0
    assert mg.grad(lambda x: mg.grad(mg.power, 1)(x, y))(x) == 0.0


@pytest.mark.parametrize("name", ["deg2rad", "rad2deg"])
def test_degrees_of_float16_are_rounded_once(name):
    """wide: the factor has more digits than float16."""
    x = np.linspace(-700.0, 700.0, 3001).astype(np.float16)
    exact = getattr(np, name)(x.astype(np.float32))
    with np.errstate(over="ignore"):
        found, expected = getattr(mg, name)(mg.tensor(x)).numpy(), exact.astype(np.float16)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32])
def test_polyder_and_polyint_of_short_integers(dtype):
    p = np.array([100, 120, 1, 0, 1]).astype(dtype)
    for m in (0, 1, 2, 3, 5, 6):
        found, expected = mg.polyder(mg.tensor(p), m), np.polyder(p, m)
        assert found.dtype == (np.float32 if dtype is np.float32 else expected.dtype)
        np.testing.assert_array_equal(found.numpy(), expected)
        for k in (None, 0.0, 2.0) if m else ():
            found, expected = mg.polyint(mg.tensor(p), m, k), np.polyint(p, m, k)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_polyint_has_a_limit():
    with pytest.raises(ValueError, match="m must be 0 to 10,000, got 10001"):
        mg.polyint(mg.ones(2), 10_001)
    with pytest.raises(ValueError, match="broadcast"):  # of constants, after m
        mg.polyint(mg.ones(2), 10_000, [1.0, 2.0, 3.0])


# -- matrices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_minors_of_a_recorded_gradient(n):
    """_det_vjp: at matrices of 0, the derivatives of a product of n factors on n! diagonals."""
    first = mg.grad(lambda x: mg.linalg.det(x) * 1.0)
    with mg.GradientTape() as tape:
        x = mg.tensor(np.zeros((n, n)))
        tape.watch(x)
        g = first(x)
        total = (g * np.arange(1.0, n * n + 1).reshape(n, n)).sum()
    np.testing.assert_array_equal(
        g.detach().numpy(), np.ones((n, n)) if n == 1 else np.zeros((n, n))
    )
    found = tape.gradient(total, x, unconnected_gradients="zero").numpy()
    expected = [[4.0, -3.0], [-2.0, 1.0]] if n == 2 else np.zeros((n, n))
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("many", [1, 9, 20])
def test_det_vjp_of_many_small_matrices_that_are_nearly_singular(many):
    """A recorded gradient is exact however many matrices a stack has."""
    x = np.array([[1.0, 2.0], [2.0, 4.0]]) + np.arange(1, many + 1)[:, None, None] * 1e-12 * np.eye(
        2
    )
    with mg.GradientTape() as outer:
        t = mg.tensor(x)
        outer.watch(t)
        with mg.GradientTape() as inner:
            inner.watch(t)
            y = mg.linalg.det(t)
        g = inner.gradient(y, t)
    exact = np.stack([[x[:, 1, 1], -x[:, 1, 0]], [-x[:, 0, 1], x[:, 0, 0]]]).transpose(2, 0, 1)
    np.testing.assert_allclose(g.detach().numpy(), exact, rtol=1e-12)


def test_matrix_exp_of_numbers_is_exp():
    """Just below the size from which on a matrix is halved first, and beyond."""
    x = np.concatenate([np.linspace(-6.4, 6.4, 1601), [-1e-9, 0.0, 1e-3]])
    np.testing.assert_allclose(mg.matrix_exp(x[:, None, None])[:, 0, 0], np.exp(x), rtol=4e-14)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e6])
def test_cut_pinv_vjp_of_matrices_of_any_size(size):
    """pinv(s a) = pinv(a) / s, so that its derivative goes with 1 / s^2."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(k, k)))[0][:, :3] for k in (5, 4))
    a, g = (u * [3.0, 2.0, 0.1]) @ v.T, rng.normal(size=(4, 5))
    slopes = []
    for factor in (1.0, size):
        x = mg.tensor(a * factor, requires_grad=True)
        mg.linalg.pinv(x, rcond=0.2).backward(g)
        slopes.append(x.grad.numpy() * factor**2)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-10, atol=1e-12)
    assert np.abs(slopes[0]).max() > 0.1


def test_matrix_norm_of_float16_and_cond_of_unknown_order():
    x = mg.tensor(np.array([[1.0, 2.0], [3.0, 4.0]], np.float16))
    for order in (*norms.MATRIX_ORDERS, "fro"):
        found = mg.linalg.matrix_norm(x, ord=order)
        assert found.dtype == np.float16
        assert found.item() == np.float16(np.linalg.norm(x.numpy().astype(float), order))
    for order in (3, -3, 0, 1.5):
        for function in (mg.linalg.cond, mg.linalg.norm):
            with pytest.raises(
                ValueError, match="ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
            ):
                function(x.astype(np.float64), order)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((6, 2, 3), None), ((6, 2, 3), (0,)), ((2, 6, 3), (1,)), ((2, 3, 6), (0, 1)), ((3, 6, 2), (2, 0))],
)  # fmt: skip
def test_tensorsolve_along_any_axes(shape, axes):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=6 if axes in (None, (0, 1), (2, 0)) else (2, 3))
    expected = np.linalg.tensorsolve(a, b, axes)
    a, b = mg.tensor(a), mg.tensor(b)
    np.testing.assert_allclose(mg.tensorsolve(a, b, axes).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(mg.tensorsolve(a, b=b, axes=axes).numpy(), expected, rtol=1e-9)


# -- rows ------------------------------------------------------------------------------------------


def test_first_line_of_what_numpy_says():
    assert rows.first_line(np.sin) == "Trigonometric sine, element-wise."

    def silent():
        pass

    def plain():
        """One line"""

    def long():
        """long(x)

        Of two words. And more.

        The rest.
        """

    def only():
        """only(x)"""

    assert rows.first_line(only) == "only(x)."
    assert rows.first_line(silent) == "."
    assert rows.first_line(plain) == "One line."
    assert rows.first_line(long) == "Of two words."


def test_a_signature_counts_the_parameters_without_defaults_as_arrays():
    def like(a, b, axis=None, keepdims=False, *, where=True):
        raise NotImplementedError

    assert rows.Signature(like)._arrays == 2
    assert rows.of_sets.sharing()._arrays == 2
    assert rows.over_axes.sharing()._arrays == 1
