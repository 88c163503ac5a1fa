"""Pooling and upsampling against PyTorch, ties, padding, bad input."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from tests.nn_cases import AVERAGES, INTERPOLATIONS, MAX_POOLS, SIZES
from tests.parity import compare


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape)


@pytest.mark.parity
@pytest.mark.parametrize(("shape", "geometry"), MAX_POOLS, ids=str)
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool2d_is_pytorchs(shape, geometry, ties):
    torch = pytest.importorskip("torch")
    x = draw(*shape)
    if ties:
        # As after ReLU: many equal elements, of which PyTorch, too, takes the first.
        x = np.maximum(np.round(x * 2), 0)
    compare(
        lambda x: F.max_pool2d(x, **geometry),
        lambda x: torch.nn.functional.max_pool2d(x, **geometry),
        [x],
    )


@pytest.mark.parametrize("kernel", [2, (3, 2)])
def test_the_first_of_equal_elements_gets_the_gradient(kernel):
    x = mg.tensor(np.ones((1, 1, 6, 6), np.float32), requires_grad=True)
    F.max_pool2d(x, kernel).sum().backward()
    expected = np.zeros((6, 6))
    expected[:: kernel if kernel == 2 else 3, ::2] = 1
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], expected)


def test_padding_of_a_maximum_is_minus_infinity():
    x = mg.tensor(-np.ones((1, 1, 4, 4), np.float32), requires_grad=True)
    y = F.max_pool2d(x, 3, stride=2, padding=1)
    assert (y.numpy() == -1).all()
    y.sum().backward()
    assert x.grad.numpy().sum() == 4


def singular(shape, seed=0):
    """Numbers among which whole regions are -inf or NaN, and some are inf or equal."""
    x = np.round(draw(*shape, seed=seed) * 4)
    kind = np.random.default_rng([seed, *shape]).integers(0, 6, shape)
    x[kind < 2] = -np.inf
    x[kind == 2] = np.nan if seed % 2 else np.inf
    x[:, :1, : shape[2] // 2 + 1] = -np.inf
    return x


def pooled_in_loops(x, c, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Windows one by one, as PyTorch's loop: the maxima, and c gathered where they are."""
    pair = [v if isinstance(v, tuple) else (v, v) for v in (kernel_size, padding, dilation)]
    (kernel, frame, gap), step = pair, kernel_size if stride is None else stride
    step = step if isinstance(step, tuple) else (step, step)
    out = F.max_pool2d(mg.tensor(x), kernel_size, stride, padding, dilation, ceil_mode).shape
    values, source = np.zeros(out), np.zeros(out, int)
    for n, channel, i, j in np.ndindex(*out):
        best, at = -np.inf, None
        for a, b in np.ndindex(*kernel):
            row, column = i * step[0] - frame[0] + a * gap[0], j * step[1] - frame[1] + b * gap[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                value = x[n, channel, row, column]
                if at is None or value > best or np.isnan(value):
                    best, at = value, (n, channel, row, column)
        values[n, channel, i, j] = best
        source[n, channel, i, j] = np.ravel_multi_index(at, x.shape)
    grad = np.bincount(source.ravel(), c.ravel(), x.size).reshape(x.shape)
    return values, grad, lambda u: u.ravel()[source]


@pytest.mark.parametrize(("shape", "geometry"), MAX_POOLS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_windows_without_a_finite_maximum(shape, geometry, seed):
    x = singular(shape, seed)
    c = draw(*F.max_pool2d(mg.tensor(x), **geometry).shape, seed=seed + 2)
    values, grad, picked = pooled_in_loops(x, c, **geometry)
    variable, cotangent = mg.tensor(x), mg.tensor(c)
    with mg.GradientTape() as outer:
        outer.watch(cotangent)
        with mg.GradientTape() as tape:
            tape.watch(variable)
            y = F.max_pool2d(variable, **geometry)
        g = tape.gradient(y, variable, cotangent)
    np.testing.assert_array_equal(y.detach().numpy(), values)
    np.testing.assert_allclose(g.detach().numpy(), grad, rtol=1e-12, atol=1e-15)
    u = draw(*shape, seed=seed + 4)
    np.testing.assert_array_equal(outer.gradient(g, cotangent, mg.tensor(u)).numpy(), picked(u))


@pytest.mark.parity
@pytest.mark.parametrize(("shape", "geometry"), MAX_POOLS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_windows_without_a_finite_maximum_are_pytorchs(shape, geometry, seed):
    torch = pytest.importorskip("torch")
    x = torch.tensor(singular(shape, seed), requires_grad=True)
    y = torch.nn.functional.max_pool2d(x, **geometry)
    c = draw(*y.shape, seed=seed + 2)
    y.backward(torch.tensor(c))
    values, grad, _ = pooled_in_loops(x.detach().numpy(), c, **geometry)
    np.testing.assert_array_equal(values, y.detach().numpy())
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_nan_shows_in_the_maximum():
    x = np.zeros((1, 1, 4, 4), np.float32)
    x[0, 0, 1, 1] = np.nan
    y = F.max_pool2d(mg.tensor(x), 2).numpy()[0, 0]
    assert np.isnan(y[0, 0])
    assert not np.isnan(y[1, 1])


#: Functions that choose elements: what is not chosen gets 0, whatever the cotangent.
CHOOSING = {
    "max": lambda x: mg.max(x, axis=-1),
    "min": lambda x: mg.min(x, axis=-1),
    "maximum": lambda x: mg.maximum(x, mg.roll(x, 1, axis=-1)),
    "where": lambda x: mg.where(x.numpy() > 0, x, 0.0),
    "clip": lambda x: mg.clip(x, -0.5, 0.5),
    "sort": lambda x: mg.sort(x, axis=-1),
    "index": lambda x: x[..., ::2],
    "leaky_relu": F.leaky_relu,
    **{
        f"max_pool2d {geometry}": lambda x, geometry=geometry: F.max_pool2d(x, **geometry)
        for _, geometry in MAX_POOLS
    },
}


@pytest.mark.parametrize("spoilt", [np.inf, np.nan])
@pytest.mark.parametrize("name", CHOOSING)
def test_an_infinite_cotangent_reaches_only_what_was_chosen(name, spoilt):
    x = mg.tensor(draw(2, 3, 9, 10), requires_grad=True)
    y = CHOOSING[name](x)
    g = draw(*y.shape)
    chosen = {}
    for one in (0, -1):  # the cotangent of one output is spoilt, and then that of no output
        for value in (spoilt, 1.0):
            h = g.copy()
            h.flat[one] = value
            x.grad = None
            y.backward(mg.tensor(h), retain_graph=True)
            chosen[value] = x.grad.numpy()
        different = ~np.isclose(chosen[spoilt], chosen[1.0])
        h = np.zeros(y.shape)
        h.flat[one] = 1.0
        x.grad = None
        y.backward(mg.tensor(h), retain_graph=True)
        np.testing.assert_array_equal(different, x.grad.numpy() != 0)


def test_overlapping_windows_add_up_their_gradients():
    x = mg.tensor(np.array([0.0, 5.0, 1.0]).reshape(1, 1, 1, 3), requires_grad=True)
    F.max_pool2d(x, (1, 2), stride=1).sum().backward()
    assert x.grad.numpy().ravel().tolist() == [0, 2, 0]


@pytest.mark.parity
@pytest.mark.parametrize(("shape", "geometry"), AVERAGES, ids=str)
def test_avg_pool2d_is_pytorchs(shape, geometry):
    torch = pytest.importorskip("torch")
    compare(
        lambda x: F.avg_pool2d(x, **geometry),
        lambda x: torch.nn.functional.avg_pool2d(x, **geometry),
        [draw(*shape)],
    )


@pytest.mark.parity
@pytest.mark.parametrize("size", SIZES)
def test_adaptive_avg_pool2d_is_pytorchs(size):
    torch = pytest.importorskip("torch")
    compare(
        lambda x: F.adaptive_avg_pool2d(x, size),
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, size),
        [draw(2, 3, 7, 8)],
    )


def test_global_pooling():
    x = mg.tensor(draw(2, 3, 4, 5))
    np.testing.assert_allclose(F.global_avg_pool2d(x).numpy(), x.numpy().mean((2, 3)))
    np.testing.assert_array_equal(F.global_max_pool2d(x).numpy(), x.numpy().max((2, 3)))


@pytest.mark.parity
@pytest.mark.parametrize("how", INTERPOLATIONS, ids=str)
def test_interpolate_is_pytorchs(how):
    torch = pytest.importorskip("torch")
    compare(
        lambda x: F.interpolate(x, **how),
        lambda x: torch.nn.functional.interpolate(x, **how),
        [draw(2, 3, 4, 5)],
        rtol=1e-6,  # PyTorch computes the places of pixels in float32 for some modes
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.max_pool2d(x, 7), ["max_pool2d", "7", "6", "at most 6"]),
        (lambda x: F.max_pool2d(x, 2, padding=2), ["max_pool2d", "padding=2", "half", "at most 1"]),
        (lambda x: F.max_pool2d(x, 2, stride=0), ["max_pool2d", "stride", "at least 1"]),
        (lambda x: F.max_pool2d(x[0, 0], 2), ["max_pool2d", "(N, C, H, W)", "(6, 6)"]),
        (lambda x: F.max_pool2d(x, (2, 2, 2)), ["max_pool2d", "kernel_size", "(2, 2, 2)"]),
        (lambda x: F.avg_pool2d(x, 3, padding=2), ["avg_pool2d", "padding=2", "at most 1"]),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), ["avg_pool2d", "divisor_override"]),
        (lambda x: F.adaptive_avg_pool2d(x, 0), ["adaptive_avg_pool2d", "at least 1", "0"]),
        (lambda x: F.global_avg_pool2d(x[0, 0]), ["global_avg_pool2d", "(N, C, H, W)"]),
        (lambda x: F.global_avg_pool2d(x[:, :, :0]), ["global_avg_pool2d", "empty: 0 x 6"]),
        (lambda x: F.global_max_pool2d(x[..., :0]), ["global_max_pool2d", "empty: 6 x 0"]),
        (lambda x: F.max_pool2d(x[:, :, :0], 2), ["height 0", "use padding of 2 more"]),
        (lambda x: F.max_pool2d(x, 10, 4, ceil_mode=True), ["max_pool2d", "10", "at most 6"]),
        (lambda x: F.interpolate(x, scale_factor=np.inf), ["interpolate", "positive", "inf"]),
        (lambda x: F.interpolate(x), ["interpolate", "size", "scale_factor"]),
        (lambda x: F.interpolate(x, 3, mode="cubic"), ["interpolate", "'cubic'", "bicubic"]),
        (lambda x: F.interpolate(x, scale_factor=-1), ["interpolate", "positive", "-1"]),
        (lambda x: F.interpolate(x, scale_factor=0.1), ["interpolate", "0.1", "6 x 6"]),
        (lambda x: F.interpolate(x, 3, align_corners=True), ["interpolate", "align_corners"]),
    ],
)  # fmt: skip
def test_bad_input_is_explained(call, words):
    with pytest.raises(ValueError) as error:
        call(mg.zeros((1, 2, 6, 6)))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.max_pool2d(x, 2.0), "max_pool2d: kernel_size must be an int or a pair"),
        (lambda x: F.max_pool2d(x, True), "max_pool2d: kernel_size must be an int or a pair"),
        (lambda x: F.avg_pool2d(x, 2, 1.0), "avg_pool2d: stride must be an int or a pair"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=2.0), "divisor_override must be an int"),
        (lambda x: F.adaptive_avg_pool2d(x, 2.0), "adaptive_avg_pool2d: output_size must be an"),
        (lambda x: F.adaptive_avg_pool2d(x, (True, 1)), "adaptive_avg_pool2d: output_size must be"),
        (lambda x: F.interpolate(x, 2.0), "interpolate: size must be an int"),
        (lambda x: F.interpolate(x, scale_factor="2"), "interpolate: scale_factor must be a num"),
        (lambda x: F.interpolate(x, scale_factor=2j), "interpolate: scale_factor must be a num"),
    ],
)
def test_sizes_that_are_no_numbers_are_type_errors(call, words):
    x = mg.zeros((1, 2, 6, 6))
    F.max_pool2d(x, 1), F.avg_pool2d(x, 2, 1)  # which are equal to some of these
    with pytest.raises(TypeError, match=words):
        call(x)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool])
def test_images_of_integers(dtype):
    """Maxima stay integers; means and their like become floats, and are not cut off."""
    x = (np.arange(32).reshape(1, 2, 4, 4) * 7 % 11 - (np.dtype(dtype).kind == "i") * 20).astype(
        dtype
    )
    ours, floats = mg.tensor(x), mg.tensor(x.astype(float))
    y = F.max_pool2d(ours, 3, 1, 1)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), F.max_pool2d(floats, 3, 1, 1).numpy().astype(dtype))
    for call in (
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.global_avg_pool2d(x),
        lambda x: F.interpolate(x, 6, mode="bilinear"),
        lambda x: F.local_response_norm(x, 3, 0.5),
        lambda x: F.batch_norm(x, mg.tensor([3.0, 1.0]), mg.tensor([2.0, 5.0])),
    ):
        y = call(ours)
        assert y.dtype.kind == "f"
        np.testing.assert_allclose(y.numpy(), call(floats).numpy(), rtol=1e-6)
