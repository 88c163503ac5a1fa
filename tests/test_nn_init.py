"""Initialisers: their distributions, in place, from the library's generator."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import init
from minigrad.nn.weights import shapes_only


def parameter(*shape):
    return nn.Parameter(np.full(shape, 7.0))


SHAPE = (40, 30, 3, 3)
FAN_IN, FAN_OUT = 270, 360


@pytest.mark.parametrize(
    ("draw", "std", "uniform"),
    [
        (lambda w: init.xavier_uniform_(w), math.sqrt(2 / (FAN_IN + FAN_OUT)), True),
        (lambda w: init.xavier_normal_(w, gain=2.0), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), False),
        (lambda w: init.kaiming_uniform_(w), math.sqrt(2 / FAN_IN), True),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 3 / FAN_IN), True),
        (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / FAN_IN), False),
        (lambda w: init.kaiming_normal_(w, mode="fan_out"), math.sqrt(2 / FAN_OUT), False),
        (lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_IN), False),
        (lambda w: init.lecun_uniform_(w), math.sqrt(1 / FAN_IN), True),
        (lambda w: init.lecun_normal_(w), math.sqrt(1 / FAN_IN), False),
        (lambda w: init.uniform_(w, -0.5, 0.5), 1 / math.sqrt(12), True),
        (lambda w: init.normal_(w, std=0.3), 0.3, False),
    ],
)
def test_distribution(draw, std, uniform):
    w = parameter(*SHAPE)
    assert draw(w) is w
    x = w.numpy()
    assert abs(x.mean()) < 0.03 * std
    np.testing.assert_allclose(x.std(), std, rtol=0.03)
    limit = math.sqrt(3) * std
    assert (abs(x).max() <= limit) == uniform
    # A uniform variable has kurtosis 1.8, a normal one 3.
    np.testing.assert_allclose(np.mean(x**4) / std**4, 1.8 if uniform else 3.0, rtol=0.15)


def test_truncated_normal():
    x = init.trunc_normal_(parameter(200, 50), mean=0.5, std=2.0, a=-1.0, b=1.5).numpy()
    assert x.min() >= -1.0
    assert x.max() <= 1.5
    assert abs(x.mean() - 0.275) < 0.03  # by the formula of the truncated normal
    assert init.trunc_normal_(parameter(2), 1.0, 0.0).tolist() == [1.0, 1.0]
    for mean in (-2.0, 2.0):  # of the bounds themselves
        assert init.trunc_normal_(parameter(2), mean, 0.0).tolist() == [mean, mean]
    for bad in ({"a": 1.0, "b": 1.0}, {"mean": 20.0, "std": 0.0}):
        with pytest.raises(ValueError, match="trunc_normal_: expected a < b, and a mean between"):
            init.trunc_normal_(parameter(2), **bad)


INF = math.inf


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0), (0.0, 1e9, -2.0, 2.0), (0.0, 1.0, -0.1, 0.3), (0.0, 1.0, 8.0, INF),
        (0.0, 1.0, -INF, -3.0), (100.0, 2.0, -2.0, 90.0), (0.0, 1.0, 0.7, 2.1), (0.0, 1.0, 5.0, 5.1),
        (0.0, 1.0, -30.0, -2.5), (3.0, 0.5, -INF, INF), (0.0, 1.0, 1.5, 2.3),
    ],
)  # fmt: skip
def test_truncated_normal_follows_its_distribution_function(mean, std, a, b):
    n = 20000
    drawn = nn.Parameter(np.zeros((n,)))
    x = np.sort(init.trunc_normal_(drawn, mean, std, a, b, np.random.default_rng(5)).numpy())
    assert a <= x[0] <= x[-1] <= b
    sign = -1.0 if b <= mean else 1.0  # of two small tails, not of two numbers near 1
    beyond = [math.erfc(sign * (one - mean) / std / math.sqrt(2.0)) for one in (a, b)]
    share = [math.erfc(sign * (one - mean) / std / math.sqrt(2.0)) for one in x.tolist()]
    below = (beyond[0] - np.array(share)) / (beyond[0] - beyond[1])
    distance = np.abs(below - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.63 / math.sqrt(n)  # Kolmogorov and Smirnov, at 1 %


def test_the_square_of_truncated_normal_numbers_is_of_its_mean():
    b = 0.3  # where few normal numbers lie, and uniform ones are almost as good
    x = init.trunc_normal_(parameter(400_000), a=-b, b=b, generator=np.random.default_rng(6))
    mean = 1.0 - 2.0 * b * math.exp(-b * b / 2) / math.sqrt(2 * math.pi) / math.erf(
        b / math.sqrt(2)
    )
    squares = x.numpy() ** 2
    assert abs(squares.mean() - mean) < 4.0 * squares.std() / math.sqrt(squares.size)


def test_truncated_normal_ends_for_any_bounds():
    for std in (1e-300, 1e-9, 1.0, 1e9, 1e300):
        for a, b in ((-2.0, 2.0), (1e9, 2e9), (-1e300, -1e299), (0.0, 1e-300)):
            x = init.trunc_normal_(nn.Parameter(np.zeros(50)), 0.0, std, a, b).numpy()
            assert ((a <= x) & (x <= b)).all()


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (4, 2, 3, 3), (0, 3)])
def test_orthogonal(shape):
    w = (
        init.orthogonal_(parameter(*shape), gain=2.0)
        .numpy()
        .reshape(shape[0], math.prod(shape[1:]))
    )
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly():
    signs = {init.orthogonal_(parameter(1, 1)).item() for _ in range(20)}
    assert signs == {-1.0, 1.0}


def test_orthogonal_takes_the_signs_of_the_diagonal():
    for seed, shape in enumerate(((3, 3), (5, 2), (2, 5), *[(1, 1)] * 4, *[(2, 2)] * 4)):
        drawn = np.random.default_rng(seed).standard_normal(shape)
        q, r = np.linalg.qr(drawn if shape[0] >= shape[1] else drawn.T)
        q = q * np.sign(np.diag(r))
        w = init.orthogonal_(parameter(*shape), generator=np.random.default_rng(seed)).numpy()
        np.testing.assert_allclose(w, q if shape[0] >= shape[1] else q.T, atol=1e-12)


def test_a_weight_of_one_input_or_one_output_has_a_fan_of_1():
    for shape, mode in (((20_000, 1), "fan_in"), ((1, 20_000), "fan_out")):
        x = init.kaiming_uniform_(parameter(*shape), a=math.sqrt(5), mode=mode).numpy()
        assert 0.99 < np.abs(x).max() <= 1.0
        x = init.xavier_uniform_(parameter(*shape)).numpy() * math.sqrt(20_001 / 6)
        assert 0.99 < np.abs(x).max() <= 1.0
    x = init.xavier_uniform_(parameter(1, 1, 20_000)).numpy() * math.sqrt(40_000 / 6)
    assert 0.99 < np.abs(x).max() <= 1.0
    drawn = [init.xavier_uniform_(parameter(1, 1)).item() for _ in range(300)]
    assert 0.95 * math.sqrt(3) < np.abs(drawn).max() <= math.sqrt(3)


def test_layers_start_within_the_root_of_their_fan():
    for layer, fan in ((nn.Linear(50, 200), 50), (nn.Conv2d(6, 200, 3, groups=2), 27)):
        for drawn in (layer.weight, layer.bias):
            assert 0.95 < np.abs(drawn.numpy()).max() * math.sqrt(fan) <= 1.0


def test_constants():
    assert init.zeros_(parameter(2)).tolist() == [0, 0]
    assert init.ones_(parameter(2)).tolist() == [1, 1]
    assert init.constant_(parameter(2), 0.5).tolist() == [0.5, 0.5]
    assert init.eye_(parameter(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parity
def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("relu", "leaky_relu", "tanh", "selu", "linear", "sigmoid", "conv2d"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_gains_follow_their_formulas():
    for slope in (None, 0.0, 0.3, -0.5):
        gain = math.sqrt(2.0 / (1.0 + (0.01 if slope is None else slope) ** 2))
        assert math.isclose(init.calculate_gain("leaky_relu", slope), gain)
    gains = {"relu": math.sqrt(2.0), "tanh": 5.0 / 3.0, "selu": 0.75, "linear": 1.0, "sigmoid": 1.0}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == gain


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (5, 7)])
def test_numbers_are_the_same_in_pieces(shape, monkeypatch):
    monkeypatch.setattr(init, "PIECE", 4)
    for function, arguments, name in (
        (init.uniform_, (-2.0, 3.0), "uniform"), (init.normal_, (1.0, 2.0), "normal"),
    ):  # fmt: skip
        expected = getattr(np.random.default_rng(0), name)(*arguments, shape)
        w = nn.Parameter(mg.zeros(shape))
        function(w, *arguments, generator=np.random.default_rng(0))
        np.testing.assert_array_equal(w.numpy(), np.float32(expected))


def test_seeds_decide():
    def draw():
        return nn.Linear(3, 3).weight.tolist()

    mg.manual_seed(1)
    first = draw()
    assert draw() != first
    mg.manual_seed(1)
    assert draw() == first
    rng = np.random.default_rng(5)
    a = init.normal_(parameter(3), generator=rng).tolist()
    assert a == np.random.default_rng(5).normal(size=3).tolist()


def test_numpys_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()
    nn.Linear(3, 3)
    nn.Dropout(0.5)(mg.ones(10))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_a_layer_of_another_dtype_starts_with_the_same_numbers():
    mg.manual_seed(0)
    a = nn.Linear(3, 3).weight.numpy()
    mg.manual_seed(0)
    b = nn.Linear(3, 3, dtype=np.float64).weight.numpy()
    assert b.dtype == np.float64
    np.testing.assert_array_equal(a, b.astype(np.float32))


def test_old_graphs_refuse_a_parameter_that_was_drawn_anew():
    w = parameter(2, 2)
    y = (w * w).sum()
    init.zeros_(w)
    with pytest.raises(RuntimeError, match="updated in place"):
        y.backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.xavier_uniform_(parameter(3)), r"\(out, in, \.\.\.\), got \(3,\).*zeros_"),
        (lambda: init.kaiming_normal_(parameter(3, 3), mode="in"), "'fan_in' or 'fan_out'"),
        (lambda: init.kaiming_normal_(parameter(3, 3), nonlinearity="swish"), "known are relu"),
        (lambda: init.orthogonal_(parameter(3)), "two axes"),
        (lambda: init.eye_(parameter(3)), "two axes"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_as_many_shapes_as_the_limit_says():
    with shapes_only(4):
        nn.Linear(3, 2)
        nn.Linear(2, 1)
        with pytest.raises(ValueError, match="more weights than the file has"):
            nn.Linear(1, 1, bias=False)
    with shapes_only(2):
        nn.BatchNorm1d(10**9, affine=False, track_running_stats=False)
        layer = nn.Linear(10**6, 10**6)  # takes no memory
    assert layer.weight.shape == (10**6, 10**6)
    assert abs(nn.Linear(3, 2).weight).max().item() > 0


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_recurrent_weights_are_uniform_up_to_the_root_of_their_number(kind):
    k = 1 / math.sqrt(25)
    for parameter in getattr(nn, kind)(16, 25).parameters():
        largest = np.abs(parameter.numpy()).max()
        assert 0.9 * k < largest <= k
        assert parameter.numpy().std() == pytest.approx(k / math.sqrt(3), rel=0.25)
