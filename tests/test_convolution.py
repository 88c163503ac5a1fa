"""Convolution against PyTorch, the adjoint identities, padding words, bad input, memory."""

import itertools
import tracemalloc

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.kernels import convolution
from minigrad.operators import convolution as operators
from tests.nn_cases import GEOMETRIES, SIGNALS, TRANSPOSED, TRANSPOSED_SIGNALS, WINDOWS
from tests.parity import compare

parity = pytest.mark.parity


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape).astype(dtype)


@pytest.fixture(autouse=True)
def _without_short_cut(monkeypatch):
    """Small convolutions go the way of large ones here; tests/test_kernels.py has the short cut."""
    monkeypatch.setattr(convolution, "FEW", 0)


def input_grad(g, w, x_shape, **geometry):
    return operators.conv2d_input_grad(g, w, *operators._windows(x_shape, w.shape, **geometry))


def weight_grad(x, g, w_shape, **geometry):
    return operators.conv2d_weight_grad(x, g, *operators._windows(x.shape, w_shape, **geometry))


EACH = pytest.mark.parametrize(("x", "w", "geometry"), GEOMETRIES, ids=str)


@parity
@EACH
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d_is_pytorchs(x, w, geometry, bias):
    torch = pytest.importorskip("torch")
    arrays = [draw(*x), draw(*w), draw(w[0]) if bias else None]
    compare(
        lambda x, w, b: F.conv2d(x, w, b, **geometry),
        lambda x, w, b: torch.nn.functional.conv2d(x, w, b, **geometry),
        arrays,
    )


@EACH
def test_conv2d_is_its_definition(x, w, geometry):
    image, kernel = draw(*x), draw(*w)
    sh, sw = np.broadcast_to(geometry.get("stride", 1), 2)
    dh, dw = np.broadcast_to(geometry.get("dilation", 1), 2)
    ph, pw = np.broadcast_to(geometry.get("padding", 0), 2)
    groups = geometry.get("groups", 1)
    padded = np.pad(image, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    y = F.conv2d(mg.tensor(image), mg.tensor(kernel), **geometry).numpy()
    per_in, per_out = x[1] // groups, w[0] // groups
    # A sample of the outputs is enough: all of them would take minutes in Python.
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, o, i, j = (int(rng.integers(m)) for m in y.shape)
        start = o // per_out * per_in
        patch = padded[
            n, start : start + per_in,
            i * sh : i * sh + dh * (w[2] - 1) + 1 : dh, j * sw : j * sw + dw * (w[3] - 1) + 1 : dw,
        ]  # fmt: skip
        assert y[n, o, i, j] == pytest.approx((patch * kernel[o]).sum(), rel=1e-10, abs=1e-12)


@EACH
def test_the_three_faces_are_adjoint(x, w, geometry):
    """<g, conv(x, w)> = <input_grad(g, w), x> = <weight_grad(x, g), w>."""
    image, kernel = mg.tensor(draw(*x)), mg.tensor(draw(*w))
    y = F.conv2d(image, kernel, **geometry)
    g = mg.tensor(draw(*y.shape, seed=1))
    form = (g * y).sum().item()
    by_input = (input_grad(g, kernel, x, **geometry) * image).sum().item()
    by_weight = (weight_grad(image, g, w, **geometry) * kernel).sum().item()
    assert by_input == pytest.approx(form, rel=1e-10)
    assert by_weight == pytest.approx(form, rel=1e-10)


@EACH
def test_conv2d_in_float32_stays_near_float64(x, w, geometry):
    arrays = [draw(*x), draw(*w)]
    y = F.conv2d(*map(mg.tensor, arrays), **geometry)
    g = draw(*y.shape, seed=1)

    def all_three(dtype):
        image, kernel, cotangent = (mg.tensor(a.astype(dtype)) for a in (*arrays, g))
        return (
            F.conv2d(image, kernel, **geometry),
            input_grad(cotangent, kernel, x, **geometry),
            weight_grad(image, cotangent, w, **geometry),
        )

    for narrow, wide in zip(all_three(np.float32), all_three(np.float64), strict=True):
        assert narrow.dtype == np.float32
        error = np.max(np.abs(narrow.numpy() - wide.numpy()))
        assert error <= 2e-5 * np.max(np.abs(wide.numpy()))


@pytest.mark.parametrize(
    ("batch", "channels", "size", "kernel"),
    [
        (9, (64, 64), (20, 23), (3, 3)),
        (9, (16, 48), (20, 23), (3, 3)),
        (1, (64, 128), (61, 60), (3, 3)),
        (3, (32, 40), (7, 9), (3, 2)),
        (37, (32, 32), (8, 8), (3, 5)),
    ],
)
@pytest.mark.parametrize("padding", [0, 1, 2, ((0, 2), (1, 0))])
def test_large_convolutions_in_float32_stay_near_float64(batch, channels, size, kernel, padding):
    """Sizes at which the kernels split the work, and take Winograd's way."""
    c, o = channels
    x, w = draw(batch, c, *size), draw(o, c, *kernel)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), padding=padding)
    g = draw(*y.shape, seed=1)
    x32, w32, g32 = (mg.tensor(a.astype(np.float32)) for a in (x, w, g))
    x64, w64, g64 = map(mg.tensor, (x, w, g))
    pairs = [
        (F.conv2d(x32, w32, padding=padding), y),
        (input_grad(g32, w32, x.shape, padding=padding),
         input_grad(g64, w64, x.shape, padding=padding)),
        (weight_grad(x32, g32, w.shape, padding=padding),
         weight_grad(x64, g64, w.shape, padding=padding)),
    ]  # fmt: skip
    for narrow, wide in pairs:
        error = np.max(np.abs(narrow.numpy() - wide.numpy()))
        assert error <= 1e-5 * np.max(np.abs(wide.numpy()))


# -- padding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"),
    list(itertools.product([4, 5, 7], [1, 2, 3, 4], [1, 2, 3], [1, 2])),
)
def test_same_padding_is_tensorflows(size, kernel, stride, dilation):
    """ceil(size / stride) outputs; the odd zero to the end."""
    x, w = draw(1, 1, size, 1), draw(1, 1, kernel, 1)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), None, (stride, 1), "same", (dilation, 1)).numpy()
    out = -(-size // stride)
    total = max((out - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    padded = np.pad(x[0, 0, :, 0], (total // 2, total - total // 2))
    expected = [
        sum(padded[i * stride + p * dilation] * w[0, 0, p, 0] for p in range(kernel))
        for i in range(out)
    ]
    np.testing.assert_allclose(y[0, 0, :, 0], expected, atol=1e-12)


def test_asymmetric_padding():
    x, w = draw(2, 3, 5, 6), draw(4, 3, 3, 3)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), padding=((0, 2), (1, 3)))
    framed = np.pad(x, ((0, 0), (0, 0), (0, 2), (1, 3)))
    np.testing.assert_allclose(y.numpy(), F.conv2d(mg.tensor(framed), mg.tensor(w)).numpy())


def test_lists_are_taken_for_pairs():
    x, w = mg.tensor(draw(1, 1, 5, 5)), mg.tensor(draw(1, 1, 2, 2))
    y = F.conv2d(x, w, stride=[2, 1], padding=[[1, 0], [0, 1]], dilation=[1, 1])
    assert y.shape == (1, 1, 3, 5)


# -- conv1d and transposes -------------------------------------------------------------------------


@parity
@pytest.mark.parametrize(("x", "w", "geometry"), SIGNALS, ids=str)
def test_conv1d_is_pytorchs(x, w, geometry):
    torch = pytest.importorskip("torch")
    compare(
        lambda x, w, b: F.conv1d(x, w, b, **geometry),
        lambda x, w, b: torch.nn.functional.conv1d(x, w, b, **geometry),
        [draw(*x), draw(*w), draw(w[0])],
    )


@parity
@pytest.mark.parametrize(("x", "w", "geometry"), TRANSPOSED, ids=str)
def test_conv_transpose2d_is_pytorchs(x, w, geometry):
    torch = pytest.importorskip("torch")
    compare(
        lambda x, w, b: F.conv_transpose2d(x, w, b, **geometry),
        lambda x, w, b: torch.nn.functional.conv_transpose2d(x, w, b, **geometry),
        [draw(*x), draw(*w), draw(w[1] * geometry.get("groups", 1))],
    )


@parity
@pytest.mark.parametrize(("x", "w", "geometry"), TRANSPOSED_SIGNALS, ids=str)
def test_conv_transpose1d_is_pytorchs(x, w, geometry):
    torch = pytest.importorskip("torch")
    compare(
        lambda x, w, b: F.conv_transpose1d(x, w, b, **geometry),
        lambda x, w, b: torch.nn.functional.conv_transpose1d(x, w, b, **geometry),
        [draw(*x), draw(*w), draw(w[1] * geometry.get("groups", 1))],
    )


# -- im2col and col2im -----------------------------------------------------------------------------


@parity
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_im2col_and_col2im_are_unfold_and_fold(window):
    torch = pytest.importorskip("torch")
    shape = (2, 3, 6, 7)
    functional = torch.nn.functional
    compare(
        lambda x: F.im2col(x, **window), lambda x: functional.unfold(x, **window), [draw(*shape)]
    )
    cols = F.im2col(mg.zeros(shape), **window).shape
    compare(
        lambda c: F.col2im(c, shape, **window),
        lambda c: functional.fold(c, shape[2:], **window),
        [draw(*cols)],
    )


@pytest.mark.parametrize(
    "window", [*WINDOWS, {"kernel_size": 3, "stride": 2, "padding": "same"},
               {"kernel_size": 2, "padding": ((0, 1), (2, 0))}], ids=str
)  # fmt: skip
def test_im2col_and_col2im_are_adjoint(window):
    x = mg.tensor(draw(2, 3, 6, 7))
    cols = F.im2col(x, **window)
    c = mg.tensor(draw(*cols.shape, seed=1))
    one = (cols * c).sum().item()
    other = (x * F.col2im(c, x.shape, **window)).sum().item()
    assert one == pytest.approx(other, rel=1e-12)


def test_each_side_is_padded_for_itself():
    x = draw(1, 2, 3, 4)
    for top, bottom, left, right in itertools.product((0, 1), (0, 2), (0, 1), (0, 2)):
        frame = ((top, bottom), (left, right))
        expected = F.im2col(np.pad(x, ((0, 0), (0, 0), *frame)), 2)
        np.testing.assert_array_equal(F.im2col(x, 2, padding=frame).numpy(), expected.numpy())


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "w", "kwargs", "words"),
    [
        ((1, 1, 4, 4), (1, 1, 5, 3), {}, ["conv2d", "5", "4", "at most 4"]),
        ((1, 1, 4, 4), (1, 1, 3, 3), {"dilation": 2}, ["conv2d", "dilation 2", "5", "at most 2"]),
        ((1, 3, 4, 4), (2, 2, 3, 3), {}, ["conv2d", "3 channels", "(2, 3, 3, 3)"]),
        ((1, 3, 4, 4), (2, 1, 3, 3), {"groups": 2}, ["conv2d", "groups=2", "3 channels"]),
        ((1, 4, 4, 4), (3, 2, 3, 3), {"groups": 2}, ["conv2d", "groups=2", "3 output"]),
        ((1, 1, 4, 4), (1, 1, 3, 3), {"stride": 0}, ["conv2d", "stride", "at least 1", "0"]),
        ((1, 1, 4, 4), (1, 1, 3, 3), {"padding": -1}, ["conv2d", "padding", "at least 0", "-1"]),
        ((1, 1, 4, 4), (1, 1, 3, 3), {"padding": "full"}, ["conv2d", "'full'", "'same'", "'valid'"]),
        ((1, 1, 4, 4), (1, 1, 3, 3), {"stride": (1, 2, 3)}, ["conv2d", "stride", "(1, 2, 3)"]),
        ((4, 4), (1, 1, 3, 3), {}, ["conv2d", "(N, C, H, W)", "(C, H, W)", "(4, 4)"]),
        ((1, 1, 4, 4), (3, 3), {}, ["conv2d", "weight", "(3, 3)"]),
        ((1, 1, 4, 4), (2, 1, 3, 3), {"bias": np.zeros(3)}, ["conv2d", "bias", "(2,)", "(3,)"]),
    ],
)  # fmt: skip
def test_impossible_convolutions_say_what_would_fit(x, w, kwargs, words):
    with pytest.raises(ValueError) as error:
        F.conv2d(mg.zeros(x), mg.zeros(w), **kwargs)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"stride": 1.5}, {"stride": 1.0}, {"stride": True}, {"stride": np.float64(1)},
        {"stride": (1, 1.0)}, {"stride": np.array([1, 1])}, {"stride": None}, {"padding": 1.0},
        {"padding": None}, {"padding": {1: 2}}, {"padding": ((1, 0), 1)}, {"dilation": 1.0},
        {"groups": 1.0}, {"groups": True}, {"groups": None}, {"groups": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_integer_is_a_type_error(kwargs):
    """Also after the same call with integers, which are equal to some of these."""
    x, w = mg.zeros((1, 1, 4, 4)), mg.zeros((1, 1, 3, 3))
    F.conv2d(x, w, stride=1, padding=1, dilation=1, groups=1)
    F.conv2d(x, w, stride=(1, 1), padding=((1, 0), (1, 1)))
    (what,) = kwargs
    with pytest.raises(TypeError, match=f"^conv2d: {what} must be an int"):
        F.conv2d(x, w, **kwargs)


def test_integers_of_any_kind_are_sizes():
    x, w = mg.zeros((1, 2, 6, 6)), mg.zeros((2, 1, 3, 3))
    y = F.conv2d(x, w, stride=np.int64(2), padding=np.int8(1), groups=np.int32(2))
    assert y.shape == (1, 2, 3, 3)
    assert nn.Conv2d(2, 2, np.int64(3), padding=np.int64(1))(x).shape == (1, 2, 6, 6)


@pytest.mark.parametrize("large", [7, 10**9, 10**30])
def test_a_stride_beyond_the_image(large):
    x, w = draw(2, 1, 5, 6), draw(3, 1, 2, 2)
    x, w = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
    y = F.conv2d(x, w, stride=large, padding=((0, 1), (0, 0)))
    np.testing.assert_allclose(y.numpy(), F.conv2d(x[:, :, :2, :2], w).numpy())
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[:, 0, :2, :2], [w.numpy().sum(axis=(0, 1))] * 2)
    assert not x.grad.numpy()[:, :, 2:].any()
    assert F.conv2d(x, mg.zeros((1, 1, 1, 1)), dilation=large).shape == (2, 1, 5, 6)
    assert F.max_pool2d(x, 2, stride=large, ceil_mode=True).shape == (2, 1, 1, 1)


def test_a_bias_that_is_a_number():
    with pytest.raises(ValueError, match=r"conv2d: bias must have shape \(1,\), got \(\)"):
        F.conv2d(mg.zeros((1, 1, 4, 4)), mg.zeros((1, 1, 3, 3)), 3.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.im2col(mg.zeros((1, 1, 3, 3)), 4), ["im2col", "4", "3"]),
        (lambda: F.col2im(mg.zeros((1, 4, 5)), (1, 1, 3, 3), 2), ["col2im", "(1, 4, 4)", "(1, 4, 5)"]),
        (lambda: F.col2im(mg.zeros((1, 4, 4)), (1, -1, 3, 3), 2), ["col2im", "negative", "(1, -1, 3, 3)"]),
        (lambda: F.conv1d(mg.zeros((1, 1, 3, 3)), mg.zeros((1, 1, 2))), ["conv1d", "(N, C, L)"]),
        (lambda: F.conv1d(mg.zeros((1, 1, 3)), mg.zeros((1, 1, 2)), stride=(1, 2)), ["conv1d", "(1, 2)"]),
        (lambda: F.conv_transpose2d(mg.zeros((1, 2, 3, 3)), mg.zeros((3, 1, 2, 2))),
         ["conv_transpose2d", "2 channels", "(3, 1, 2, 2)"]),
        (lambda: F.conv_transpose2d(mg.zeros((1, 1, 3, 3)), mg.zeros((1, 1, 2, 2)), output_padding=1),
         ["conv_transpose2d", "output_padding=1", "stride=1"]),
        (lambda: F.conv_transpose2d(mg.zeros((1, 1, 2, 2)), mg.zeros((1, 1, 2, 2)), padding=2),
         ["conv_transpose2d", "padding=2", "at most 1"]),
    ],
)  # fmt: skip
def test_other_impossible_windows(call, words):
    with pytest.raises(ValueError) as error:
        call()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("steps", [(1, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("gaps", [(1, 1), (3, 1), (1, 4), (4, 3)])
@pytest.mark.parametrize("cuts", [(0, 0), (1, 0), (0, 2), (2, 1)])
def test_a_transposed_convolution_spreads_each_pixel(steps, gaps, cuts):
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(2, 3, 4, 5)), draw.normal(size=(3, 2, 2, 3))
    for extra in ((0, 0), (0, 1), (2, 0), (3, 2)):
        settings = {"stride": steps, "padding": cuts, "dilation": gaps, "output_padding": extra}
        if any(e >= max(s, d) for e, s, d in zip(extra, steps, gaps, strict=True)):
            with pytest.raises(ValueError, match="must be less than stride="):
                F.conv_transpose2d(x, w, **settings)
            continue
        # Each pixel times the kernel, added where it belongs, then the frame is cut off.
        size = [
            (n - 1) * s + d * (k - 1) + 1
            for n, s, d, k in zip((4, 5), steps, gaps, (2, 3), strict=True)
        ]
        whole = np.zeros((2, 2, size[0] + extra[0], size[1] + extra[1]))
        for i, j, a, b in np.ndindex(4, 5, 2, 3):
            place = i * steps[0] + a * gaps[0], j * steps[1] + b * gaps[1]
            whole[:, :, place[0], place[1]] += x[:, :, i, j] @ w[:, :, a, b]
        expected = whole[
            :, :, cuts[0] : whole.shape[2] - cuts[0], cuts[1] : whole.shape[3] - cuts[1]
        ]
        np.testing.assert_allclose(F.conv_transpose2d(x, w, **settings), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 3.0, 3), (1, 1, 2.5, 3), 5, "abcd", None], ids=str)
def test_a_shape_that_is_none_is_a_type_error(shape):
    with pytest.raises(TypeError, match=r"^col2im: x_shape must be four ints \(N, C, H, W\), got"):
        F.col2im(mg.zeros((1, 4, 4)), shape, 2)


# -- what is computed, and what it costs -----------------------------------------------------------


def test_the_input_gradient_of_a_first_layer_is_not_computed(monkeypatch):
    from minigrad.kernels import current as kernels

    def refuse(*args):
        raise AssertionError("the images are constant: nobody asked for their gradient")

    monkeypatch.setattr(kernels, "conv2d_input_grad", refuse)
    w = mg.tensor(draw(2, 3, 3, 3), requires_grad=True)
    F.conv2d(mg.tensor(draw(1, 3, 5, 5)), w).sum().backward()
    assert w.grad is not None


def test_a_large_convolution_needs_little_memory_beyond_its_arrays():
    x, w = draw(1, 64, 224, 224, dtype=np.float32), draw(64, 64, 3, 3, dtype=np.float32)
    x, w = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
    tracemalloc.start()
    try:
        y = F.conv2d(x, w, padding=1)
        forward = tracemalloc.get_traced_memory()[1] - y.nbytes
        g = mg.ones_like(y)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        y.backward(g)
        backward = tracemalloc.get_traced_memory()[1] - before - x.nbytes - w.nbytes
    finally:
        tracemalloc.stop()
    assert forward <= 100e6
    assert backward <= 100e6


def test_an_image_that_is_no_float_is_promoted():
    w = mg.tensor(draw(2, 1, 3, 3).astype(np.float32), requires_grad=True)
    x = mg.tensor(np.arange(25, dtype=np.uint8).reshape(1, 1, 5, 5))
    y = F.conv2d(x, w)
    assert y.dtype == np.float32
    y.sum().backward()
    expected = F.conv2d(x.astype(np.float32), w.detach())
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-5)
    assert w.grad.dtype == np.float32


def test_an_empty_batch():
    w = mg.tensor(draw(2, 3, 3, 3), requires_grad=True)
    x = mg.tensor(np.zeros((0, 3, 5, 5)), requires_grad=True)
    y = F.conv2d(x, w, padding=1)
    assert y.shape == (0, 2, 5, 5)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.numpy().any()


# -- what is not finite ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_pixel_that_is_not_finite_stays_under_its_windows(value):
    """Winograd's algorithm would spread it over a tile, and overflow with 3e38."""
    c, size = 32, 12
    x, w = draw(2, c, size, size, dtype=np.float32), draw(c, c, 3, 3, dtype=np.float32)
    g = np.ones((2, c, size, size), np.float32)
    x[0, 3, 2, 2] = value
    touched = np.zeros((2, c, size, size), bool)
    touched[0, :, 1:4, 1:4] = True
    with np.errstate(all="ignore"):
        y = F.conv2d(mg.tensor(x), mg.tensor(w), padding=1).numpy()
        by_x = input_grad(mg.tensor(x), mg.tensor(w), x.shape, padding=1).numpy()
        by_w = weight_grad(mg.tensor(x), mg.tensor(g), w.shape, padding=1).numpy()
    assert np.isfinite(y[~touched]).all()
    assert np.isfinite(by_x[~touched]).all()
    if value == 3e38:
        assert np.isfinite(by_w).all()
        assert not np.isnan(y).any()
    else:
        assert not np.isfinite(y[touched]).any()
        assert np.isfinite(np.delete(by_w, 3, axis=1)).all()
        assert not np.isfinite(by_w[:, 3]).any()


def test_large_finite_numbers_give_no_warning():
    x, w = draw(2, 32, 12, 12, dtype=np.float32), draw(32, 32, 3, 3, dtype=np.float32)
    x[0, 3, 2, 2] = 3e38
    with np.errstate(all="raise", under="ignore"):
        y = F.conv2d(mg.tensor(x), mg.tensor(w * np.float32(0.1)), padding=1)
    assert np.isfinite(y.numpy()).all()


@pytest.mark.parametrize(("stride", "size"), [(1, 4), (2, 2)])
def test_no_channels_at_all(stride, size):
    x, w = (mg.tensor(np.zeros(s), requires_grad=True) for s in ((2, 0, 6, 6), (4, 0, 3, 3)))
    y = F.conv2d(x, w, mg.tensor(np.arange(4.0)), stride)
    assert y.shape == (2, 4, size, size)
    np.testing.assert_array_equal(y.numpy()[0, :, 0, 0], np.arange(4.0))
    y.sum().backward()
    assert (x.grad.shape, w.grad.shape) == (x.shape, w.shape)
    none = F.conv_transpose2d(mg.zeros((1, 0, 3, 3)), mg.zeros((0, 2, 3, 3)), stride=stride)
    assert none.shape[1] == 2
    assert not none.numpy().any()
