"""Operators where one wrong number would show: rarer sizes, orders and places, beside a definition.

What is compared is a textbook formula, a sum or NumPy, never another way of the same function.
"""

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.kernels.windows import sliding
from minigrad.operators import convolution, declare, norms, pooling, rows, sorting, special
from minigrad.operators.declare import OPERATORS, engine
from minigrad.operators.weighing import weigh

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


@pytest.mark.parametrize("k", [0, 3, 7, 12, 20])
def test_digamma_far_below_0_keeps_its_digits(k):
    """At a quarter below a whole number the cotangent is -1, however far the number is."""
    x = np.array([-(2.0**k) - 0.25])
    np.testing.assert_allclose(mg.digamma(x), mg.digamma(1.0 - x).numpy() + np.pi, rtol=1e-14)
    first = [
        engine.record(OPERATORS["polygamma"], (one,), {"n": 1}).numpy() for one in (x, 1.0 - x)
    ]
    np.testing.assert_allclose(first[0], 2.0 * np.pi**2 - first[1], rtol=1e-14)


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


@pytest.mark.parametrize(
    ("x", "slopes"),
    [
        ([1.0, np.inf, 2.0, 3.0], [1.0, np.nan, 0.0, 0.0]),
        ([900.0, 1.0, np.inf], [2.0, 0.0, np.nan]),
        ([-np.inf, -np.inf, 3.0, 900.0], [0.0, 0.0, 1.0, 1.0]),
        ([-np.inf, np.inf, -np.inf, 5.0], [0.0, np.nan, 0.0, 0.0]),
    ],
)
def test_logcumsumexp_beside_infinite_elements(x, slopes):
    """As PyTorch: what is finite has no share of an infinite sum, but of those before it."""
    x = mg.tensor(np.array(x), requires_grad=True)
    with np.errstate(invalid="ignore"):
        mg.logcumsumexp(x).backward(np.ones(x.shape))
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-12, atol=1e-300)


# -- running sums, differences, areas --------------------------------------------------------------


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.longdouble])
def test_running_sums_of_every_dtype_are_numpys(name, dtype):
    short = np.array([[1, 0, 3], [2, 1, 1]]).astype(dtype)
    for x in (short, np.tile(short, (1, 200)), np.tile(short, (100, 1))):
        for axis in (0, 1, -1, None):
            with np.errstate(over="ignore"):
                found, expected = getattr(mg, name)(mg.tensor(x), axis), getattr(np, name)(x, axis)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3, None])
def test_logcumsumexp_vjp_along_each_axis(axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    mg.testing.check_grads(lambda x: mg.logcumsumexp(x, axis), x)


def test_logcumsumexp_of_one_number_has_an_axis():
    assert mg.logcumsumexp(mg.tensor(2.0)).numpy().tolist() == [2.0]


@pytest.mark.parametrize("ends", [np.int64, np.int8, np.float32, np.float64, bool])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ediff1d_keeps_its_dtype_whatever_the_ends(dtype, ends):
    x, given = np.array([1.0, 4.0, 9.0], dtype), np.array([1, 0]).astype(ends)
    found, expected = mg.ediff1d(mg.tensor(x), given, given), np.ediff1d(x, given, given)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_diff_beside_a_number_keeps_digits_and_dtype(dtype):
    x = np.array([1, 4, 9], dtype)
    for ends in ({"prepend": 0.1}, {"append": 0.7}, {"prepend": 0.1, "append": 2}):
        found = mg.diff(mg.tensor(x), **ends)
        expected = np.diff(x.astype(float), **ends)
        if dtype is np.float32:
            assert found.dtype == np.float32
        if dtype is np.float64:
            np.testing.assert_array_equal(found.numpy(), expected)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_gradient_of_uneven_spacing_at_both_ends():
    """_slopes: a parabola has its own slope at each place, with differences of second order."""
    x = np.array([0.0, 1.0, 3.0, 7.5, 8.0])
    found = mg.gradient(mg.tensor(2.0 * x * x - 3.0 * x), x, edge_order=2).numpy()
    np.testing.assert_allclose(found, 4.0 * x - 3.0, rtol=1e-12)
    rough = mg.gradient(mg.tensor(2.0 * x * x - 3.0 * x), x).numpy()
    np.testing.assert_allclose(rough, np.gradient(2.0 * x * x - 3.0 * x, x), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_trapezoid_along_each_axis(axis):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 4, 5))
    x = np.cumsum(rng.uniform(0.5, 1.5, y.shape[axis]))
    for places in (x, np.cumsum(np.abs(y) + 0.1, axis=axis)):
        found = mg.trapezoid(mg.tensor(y), places, axis=axis).numpy()
        np.testing.assert_allclose(found, np.trapezoid(y, places, axis=axis), rtol=1e-12)


# -- sequences -------------------------------------------------------------------------------------


def test_interp_at_its_ends_and_ends_that_are_no_numbers():
    x = np.array([-0.5, 0.0, 0.25, 1.0, 1.5])
    for ends in ((None, None), (-7.0, 9.0), (None, 9.0)):
        found = mg.interp(mg.tensor(x), [0.0, 1.0], [3.0, 5.0], *ends).numpy()
        np.testing.assert_array_equal(found, np.interp(x, [0.0, 1.0], [3.0, 5.0], *ends))
    for name, end in (("left", 1j), ("right", 2j)):
        with pytest.raises(TypeError, match=f"interp: {name} must be a real number, got"):
            mg.interp(mg.tensor(x), [0.0, 1.0], [3.0, 5.0], **{name: end})


def test_correlate_and_convolve_refuse_several_axes():
    for shapes in (((2, 2), 3), (3, (2, 2)), ((2, 2), (2, 2))):
        with pytest.raises(
            ValueError, match="correlate: expected sequences of one axis, got shapes"
        ):
            mg.correlate(*map(mg.ones, shapes))
        with pytest.raises(ValueError, match="convolve: "):
            mg.convolve(*map(mg.ones, shapes))


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


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_of_one_image_and_one_signal(groups):
    """conv1d, conv2d and their transposes by default, and without the axis of a batch."""
    rng = np.random.default_rng(0)
    for axes, conv, transpose in (
        (1, F.conv1d, F.conv_transpose1d),
        (2, F.conv2d, F.conv_transpose2d),
    ):
        x, w = (
            rng.normal(size=(4, 6, 5)[: axes + 1]),
            rng.normal(size=(4, 4 // groups, 3, 2)[: axes + 2]),
        )
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(1, 2)[:axes])
        per = 4 // groups
        one, many = (conv(mg.tensor(a), mg.tensor(w), groups=groups) for a in (x, x[None]))
        for found in (one.numpy(), many.numpy()[0]):
            for o in range(4):
                mine = windows[o // per * per : o // per * per + per]
                product = mine * w[o].reshape(per, *(1,) * axes, *w.shape[2:])
                over = (0, *range(axes + 1, 2 * axes + 1))
                np.testing.assert_allclose(found[o], product.sum(over), rtol=1e-10, atol=1e-12)
        g = rng.normal(size=found.shape)
        spread = transpose(mg.tensor(g), mg.tensor(w), groups=groups).numpy()
        assert np.sum(spread * x) == pytest.approx(np.sum(found * g), rel=1e-10)
        assert spread.shape == x.shape
        np.testing.assert_array_equal(
            transpose(mg.tensor(g[None]), mg.tensor(w), groups=groups)[0], spread
        )


def test_sliding_windows_leave_out_a_remainder():
    assert F.conv2d(mg.ones((1, 1, 5, 8)), mg.ones((1, 1, 2, 3)), stride=2).shape == (1, 1, 2, 3)
    assert F.im2col(mg.ones((1, 1, 5, 8)), (2, 3), stride=2).shape == (1, 6, 6)
    with pytest.raises(ValueError, match="a kernel of height 5 does not fit the input's height 4"):
        F.conv2d(mg.ones((1, 1, 4, 4)), mg.ones((1, 1, 5, 1)), stride=2)
    for kernel, gaps in (((2, 1), (1, 10**30)), ((1, 2), (10**30, 1))):
        found = F.conv2d(mg.ones((1, 1, 3, 3)), mg.ones((1, 1, *kernel)), dilation=gaps)
        assert found.shape == (1, 1, 4 - kernel[0], 4 - kernel[1])


def test_transposed_leaves_at_least_one_pixel():
    x, w = mg.ones((1, 1, 1, 2)), mg.ones((1, 1, 2, 2))
    assert F.conv_transpose2d(x, w, padding=(0, 1)).shape == (1, 1, 2, 1)
    with pytest.raises(ValueError, match="padding=1 leaves nothing of the output: it is at most 0"):
        F.conv_transpose2d(x, w, padding=1)


def test_check_channels_names_a_weight_that_fits():
    for call, words in (
        (lambda: F.conv2d(mg.ones((1, 4, 4, 4)), mg.ones((6, 3, 2, 2)), groups=2),
         "expected 6 channels, got 4 .*; 4 channels need a weight \\(6, 2, 2, 2\\)"),
        (lambda: F.conv_transpose2d(mg.ones((1, 3, 4, 4)), mg.ones((5, 2, 2, 2))),
         "expected 5 channels, got 3 .*; 3 channels need a weight \\(3, 2, 2, 2\\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            call()


def test_conv2d_and_its_gradients_of_float16_round_once():
    """wide: sums of many products, as in float32."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 8, 9, 9)), rng.normal(size=(4, 8, 3, 3))
    g = rng.normal(size=(2, 4, 7, 7))
    b = rng.normal(size=4) * 9.0
    x, w, g, b = (a.astype(np.float16) for a in (x, w, g, b))
    windows = convolution._windows(x.shape, w.shape)
    sums = sliding("", (9, 9), 3)
    for call in (
        lambda t: F.conv2d(t(x), t(w), t(b)),
        lambda t: convolution.conv2d_input_grad(t(g), t(w), *windows),
        lambda t: convolution.conv2d_weight_grad(t(x), t(g), *windows),
        lambda t: pooling.sum_pool2d(t(x), sums),
        lambda t: pooling.sum_pool2d_grad(t(g), sums),
    ):
        half = call(mg.tensor)
        single = call(lambda a: mg.tensor(a.astype(np.float32)))
        assert half.dtype == np.float16
        np.testing.assert_array_equal(half.numpy(), single.numpy().astype(np.float16))


def test_sum_pool2d_leaves_out_what_fills_no_window():
    """And so does its adjoint."""
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    expected = x[:, :, :4, :6].reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
    windows = sliding("", (5, 7), 2, stride=2)
    found = pooling.sum_pool2d(mg.tensor(x), windows).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    spread = pooling.sum_pool2d_grad(mg.tensor(expected), windows).numpy()
    twice = np.repeat(np.repeat(expected, 2, axis=2), 2, axis=3)
    np.testing.assert_array_equal(spread, np.pad(twice, [(0, 0), (0, 0), (0, 1), (0, 1)]))


def test_max_unpool2d_keeps_the_last_of_several_values_for_one_place():
    x = mg.tensor(np.array([[[[2.0, 3.0], [5.0, 7.0]]]]), requires_grad=True)
    y = F.max_unpool2d(x, np.array([[[[1, 4], [1, 4]]]]), 2, stride=1)
    np.testing.assert_array_equal(y.detach().numpy().ravel(), [0, 5, 0, 0, 7, 0, 0, 0, 0])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().ravel(), [0, 0, 1, 1])


def test_windows_of_a_pooling_by_default():
    windows = pooling._windows("max_pool2d", (1, 1, 5, 5), 2)
    assert (windows.stride, windows.padding, windows.dilation) == ((2, 2), ((0, 0),) * 2, (1, 1))
    assert windows.out == (2, 2)


def test_avg_pool2d_by_any_divisor_but_0():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    sums = x.reshape(1, 1, 2, 2, 2, 2).sum((3, 5))
    for divisor in (1, -1, 3, -5):
        found = F.avg_pool2d(mg.tensor(x), 2, divisor_override=divisor).numpy()
        np.testing.assert_allclose(found, sums / divisor, rtol=1e-15)


@pytest.mark.parametrize(
    "call",
    [F.global_avg_pool2d, F.global_max_pool2d, lambda x: F.adaptive_avg_pool2d(x, 2),
     lambda x: F.adaptive_max_pool2d(x, (2, 3)), lambda x: F.max_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)],
)  # fmt: skip
def test_poolings_of_one_image(call):
    """global_avg_pool2d and the others take (C, H, W), and nothing shorter."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(3, 4, 5)))
    np.testing.assert_array_equal(call(x).numpy(), call(x[None]).numpy()[0])
    for shape in ((4, 5), (5,), (1, 1, 3, 4, 5)):
        with pytest.raises(ValueError, match=r"must have 4 axes \(N, C, H, W\) or \(C, H, W\)"):
            call(mg.ones(shape))


@pytest.mark.parametrize("factor", [0, 0.0, -0.5, -1, (0.0, 1.0), (1.0, -0.25), np.inf])
def test_interpolate_by_a_factor_that_is_not_positive(factor):
    with pytest.raises(
        ValueError, match="interpolate: scale_factor must be a positive number or two"
    ):
        F.interpolate(mg.ones((1, 1, 4, 4)), scale_factor=factor)


@pytest.mark.parametrize("factor", [1.5, 2, 2.2, 3, 3.1, 3.3, 5.2])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_pixels_by_every_factor(factor, mode):
    """Also where as many come out as by a whole factor: they are not the same then."""
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    found = F.interpolate(mg.tensor(x), scale_factor=factor, mode=mode).numpy()[0, 0]
    at = []
    for n, m in zip((3, 4), found.shape, strict=True):
        assert m == int(n * factor)
        step = 0.5 if m == 2 * n and mode == "nearest" else 1.0 / factor
        at.append(((np.arange(m) + 0.5 * (mode != "nearest")) * step).astype(int))
    np.testing.assert_array_equal(found, x[0, 0][np.ix_(*at)])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_weigh_of_float16_rounds_once(mode):
    """wide: as in float32, rounded at the end."""
    x = np.random.default_rng(0).uniform(-9.0, 9.0, (1, 3, 20, 20)).astype(np.float16)
    half = F.interpolate(mg.tensor(x), 37, mode=mode).numpy()
    single = F.interpolate(mg.tensor(x.astype(np.float32)), 37, mode=mode).numpy()
    np.testing.assert_array_equal(half, single.astype(np.float16))
    matrix = np.random.default_rng(1).uniform(size=(30, 20))
    half = weigh(mg.tensor(x), matrix=matrix, axis=-1).numpy()
    single = weigh(mg.tensor(x.astype(np.float32)), matrix=matrix, axis=-1).numpy()
    np.testing.assert_array_equal(half, single.astype(np.float16))


# -- powers, angles, polynomials -------------------------------------------------------------------


def test_slopes_with_ln2_and_ln10():
    x = np.array([0.5, 3.0])
    for function, slope in (
        (mg.log2, 1.0 / (x * np.log(2.0))), (mg.log10, 1.0 / (x * np.log(10.0))),
        (mg.exp2, 2.0**x * np.log(2.0)), (mg.log, 1.0 / x), (mg.log1p, 1.0 / (1.0 + x)),
    ):  # fmt: skip
        np.testing.assert_allclose(mg.grad(lambda x, f=function: f(x).sum())(x), slope, rtol=1e-14)


@pytest.mark.parametrize("x", [-3.0, -1.0, -0.5, -1e-3])
def test_power_of_a_negative_number_is_constant_in_its_exponent(x):
    x, y = np.array(x), np.array(2.0)
    assert mg.grad(mg.power, 1)(x, y) == 0.0
    assert mg.grad(lambda y: mg.grad(mg.power)(x, y))(y) == 0.0
    assert mg.grad(lambda x: mg.grad(mg.power, 1)(x, y))(x) == 0.0


def test_power_at_0_has_a_slope_in_its_exponent_where_it_is_1():
    """y x^(y - 1), which is 1 there; as PyTorch."""
    x = np.array(0.0)
    found = [
        mg.grad(lambda y: mg.grad(mg.power)(x, y))(np.array(y)).item() for y in (1.0, 2.0, 3.5)
    ]
    assert found == [1.0, 0.0, 0.0]


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


OF_MATRICES = {
    "inv": mg.linalg.inv,
    "det": mg.linalg.det,
    "det of what is singular": lambda a: mg.linalg.det(a - a[..., :1]),
    "slogdet": lambda a: mg.linalg.slogdet(a).logabsdet,
    "solve": lambda a: mg.linalg.solve(a, a[..., :1] * 2.0),
    "solve by a vector": lambda a: mg.linalg.solve(a, np.array([1.0, 2.0, 4.0])),
    "matrix_exp": lambda a: mg.linalg.matrix_exp(a / 4.0),
    "pinv": lambda a: mg.linalg.pinv(a[..., :2]),
    "pinv that cuts": lambda a: mg.linalg.pinv(a, rcond=0.5),
    **{f"matrix_power {n}": lambda a, n=n: mg.linalg.matrix_power(a, n) for n in (0, 1, 3, -2)},
    "cholesky": lambda a: mg.linalg.cholesky(a @ a.mT),
    "eigh": lambda a: mg.linalg.eigh(a + a.mT).eigenvectors ** 2,
    "eigvalsh": lambda a: mg.linalg.eigvalsh(a + a.mT),
    "svd": lambda a: mg.linalg.svd(a).U ** 2,
    "svd of what is tall": lambda a: mg.linalg.svd(a[..., :2], full_matrices=False).U ** 2,
    "svd of what is wide": lambda a: mg.linalg.svd(a[..., :2, :], full_matrices=False).Vh ** 2,
    "svdvals": mg.linalg.svdvals,
    "qr": lambda a: mg.linalg.qr(a).R ** 2,
    "qr of what is tall": lambda a: mg.linalg.qr(a[..., :2]).Q ** 2,
    "qr of what is wide": lambda a: mg.linalg.qr(a[..., :2, :]).R ** 2,
    "lstsq": lambda a: mg.linalg.lstsq(a[..., :2], a[..., 2:])[0],
    "residuals": lambda a: mg.linalg.lstsq(a[..., :2], a[..., 2:])[1],
    "cond": mg.linalg.cond,
    **{f"norm {p}": lambda a, p=p: mg.linalg.matrix_norm(a, ord=p) for p in norms.MATRIX_ORDERS},
    "triangle": lambda a: mg.linalg.solve_triangular(a, a, upper=True),
    "triangle of ones": lambda a: mg.linalg.solve_triangular(a, a, upper=False, unitriangular=True),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_MATRICES)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_stacks_of_stacks_are_differentiated_matrix_by_matrix(name):
    """No two lengths are equal but those of a matrix; to second order, where rules are recorded."""
    function = OF_MATRICES[name]
    rng = np.random.default_rng(0)
    stack = rng.uniform(-1.0, 1.0, (2, 5, 3, 3)) + np.diag([3.0, 4.5, 6.0])

    def results(a):
        with mg.GradientTape() as outer:
            x = mg.tensor(a)
            outer.watch(x)
            with mg.GradientTape() as inner:
                inner.watch(x)
                y = function(x)
            g = inner.gradient(y, x, unconnected_gradients="zero")
            g = mg.zeros_like(x) if g is None else g
        second = outer.gradient(g, x, unconnected_gradients="zero")
        return [one.detach().numpy() for one in (y, g, second)]

    together = results(stack)
    for i, j in np.ndindex(2, 5):
        for found, one in zip(together, results(stack[i, j]), strict=True):
            one = np.reshape(one, found[i, j].shape)
            np.testing.assert_allclose(found[i, j], one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("many", [(), (1,), (3,), (5,), (2, 3)])
def test_solve_vjp_of_stacks_by_one_vector(many):
    """As many matrices as rows, too, where a stack of vectors could pass for columns."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1.0, 1.0, (*many, 3, 3)) + 3.0 * np.eye(3), rng.normal(size=3)
    np.testing.assert_allclose(mg.linalg.solve(a, b), np.linalg.solve(a, b), rtol=1e-12)
    mg.testing.check_grads(mg.linalg.solve, a, b)


def test_svd_vjp_of_a_square_matrix_has_no_part_outside_of_it():
    """However small a singular value is: what it is divided into is 0 but for rounding."""
    rng = np.random.default_rng(0)
    u, v, c = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(3))
    slopes = []
    for least in (0.0, 1e-13):
        x = mg.tensor((u * [2.0, 1.0, least]) @ v.T, requires_grad=True)
        found = mg.linalg.svd(x)
        ((found.U**2 * c).sum() + (found.Vh**2 * c).sum()).backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rcond", [None, -1.0, 0.0, 1e-30, 1e-12, 0.5, 0.9999, 1.0, 2.0])
def test_lstsq_cuts_off_what_numpy_does(rcond):
    """LAPACK takes an rcond outside of 0 to 1 for the smallest one that makes sense."""
    for values in ([1.0, 1e-20], [1.0, 3e-16], [1.0, 1e-14], [1.0, 0.7], [3.0, 3.0]):
        a, b = np.diag(values), np.array([2.0, 1.0])
        z, _, rank, _ = mg.linalg.lstsq(mg.tensor(a), mg.tensor(b), rcond)
        expected = np.linalg.lstsq(a, b, rcond)
        assert rank.item() == expected[2]
        np.testing.assert_allclose(z.numpy(), expected[0], rtol=1e-12)


def test_lstsq_by_a_number_and_tensorinv_of_a_number():
    with pytest.raises(ValueError, match="lstsq: expected matrices"):
        mg.linalg.lstsq(mg.ones((2, 2)), mg.ones(()))
    for rcond in (np.inf, np.nan):
        with pytest.raises(ValueError, match="lstsq: rcond must be a number, got"):
            mg.linalg.lstsq(mg.ones((2, 2)), mg.ones(2), rcond)
    assert mg.linalg.lstsq(mg.tensor([[2.0], [0.0]]), [4.0, 3.0])[0].tolist() == [2.0]
    np.testing.assert_array_equal(mg.linalg.tensorinv(mg.tensor([[4.0]]), 2).numpy(), [[0.25]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_scaled_norms_near_the_ends_of_the_range(dtype):
    """Squares of numbers of the root of the smallest one have no digits."""
    limits = np.finfo(dtype)
    root = 1.77 * float(limits.tiny) ** 0.5
    for size in (root, root / 2**10, float(limits.tiny) * 2**20, float(limits.max) / 8):
        x = (np.array([3.0, -4.0]) * size).astype(dtype)
        for order, exact in ((2, math.hypot(*x.tolist())), (3, 91.0 ** (1 / 3) * size)):
            found = mg.linalg.vector_norm(mg.tensor(x), ord=order)
            np.testing.assert_allclose(found, exact, rtol=8 * float(limits.eps))
    most = np.array([float(limits.max), 0.0], dtype)
    assert mg.linalg.norm(mg.tensor(most)).numpy() == limits.max
    assert mg.linalg.vector_norm(mg.tensor(most), ord=3).numpy() == limits.max


@pytest.mark.parametrize("p", [0.5, 1.5, 3.0, 4.0, -2.0])
def test_p_norm_has_its_slope_at_whole_numbers(p):
    """At 1 and -1 as elsewhere, and 0 at 0."""
    x = np.array([1.0, -1.0, 2.0, -3.0, *[0.0] * (p > 0)])
    t = mg.tensor(x, requires_grad=True)
    with np.errstate(all="raise"):
        y = mg.linalg.vector_norm(t, ord=p)
        y.backward()
    size = np.abs(np.where(x == 0, 1.0, x))
    slope = np.sign(x) * size ** (p - 1.0) * y.item() ** (1.0 - p)
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-12)


def test_vector_norm_of_order_1_has_the_signs_as_slopes():
    x = mg.tensor(np.array([np.inf, -2.0, 0.0]), requires_grad=True)
    mg.linalg.vector_norm(x, ord=1).backward()
    assert x.grad.numpy().tolist() == [1.0, -1.0, 0.0]


def test_pinv_leaves_out_what_is_at_its_limit():
    """kept: more than rcond times the largest, as NumPy; the slope is that of a higher limit."""
    a, g = np.diag([1.0, 0.5]), np.array([[1.0, 2.0], [3.0, 5.0]])
    slopes = []
    for rcond in (0.5, 0.6):
        x = mg.tensor(a, requires_grad=True)
        y = mg.linalg.pinv(x, rcond)
        np.testing.assert_array_equal(y.detach().numpy(), np.diag([1.0, 0.0]))
        y.backward(g)
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-12)


def test_cond_of_each_order_is_numpys():
    x = np.random.default_rng(0).normal(size=(2, 3, 3))
    for p in (None, *norms.MATRIX_ORDERS):
        np.testing.assert_allclose(
            mg.linalg.cond(mg.tensor(x), p), np.linalg.cond(x, p), rtol=1e-10
        )


@pytest.mark.parametrize("axis", [2, -3, (0, 2), (-3, 1)])
@pytest.mark.parametrize("order", [None, 1, "fro"])
def test_norm_names_an_axis_that_is_not_there(axis, order):
    for function in (
        lambda x: mg.linalg.norm(x, order, axis),
        lambda x: mg.linalg.vector_norm(x, axis),
    ):
        with pytest.raises(
            np.exceptions.AxisError, match=r"norm: axis -?\d is out of bounds.* \(got x"
        ):
            function(mg.ones((2, 3)))


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


@pytest.mark.parametrize("axes", [np.array([0.0]), mg.tensor([1.5]), np.float64(0), np.float64])
def test_axes_that_are_arrays_of_another_kind_are_named(axes):
    a, b = mg.ones((4, 2, 2)), mg.ones(4)
    with pytest.raises(TypeError, match=r"^tensorsolve: axes must be a tuple of ints, got "):
        mg.linalg.tensorsolve(a, b, axes=axes)


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

    def two():
        """two(x)

        Of one word.
        """

    assert rows.first_line(two) == "Of one word."
    assert rows.first_line(only) == "only(x)."
    assert rows.first_line(silent) == "."
    assert rows.first_line(plain) == "One line."
    assert rows.first_line(long) == "Of two words."


def test_samples_are_shapes_for_each_array_unless_a_declaration_says_otherwise():
    for arrays, count in ((1, 4), (2, 7), (3, 4)):
        entry = declare.Composite(max)
        table = {}
        declare._enter(table, "f", entry, max, None, arrays)
        assert table == {"f": entry}
        assert [len(one.arrays) for one in entry.samples] == [arrays] * count
        with pytest.raises(ValueError, match="'f' is declared twice"):
            declare._enter(table, "f", entry, max, None, arrays)


def test_named_rows_say_what_their_derivative_is_at_a_singular_point():
    made = rows.unary._named("double", np.sin, "2.0 -> 4.0", "Infinite at 0.")
    assert (
        made.__doc__
        == "Trigonometric sine, element-wise.\n\nInfinite at 0.\n\n>>> double(2.0)\n4.0\n"
    )
    made = rows.unary._named("double", np.sin, "2.0 -> 4.0", "")
    assert made.__doc__ == "Trigonometric sine, element-wise.\n\n>>> double(2.0)\n4.0\n"
