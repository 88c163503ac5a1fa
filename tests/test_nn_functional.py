"""Functions and layers without PyTorch: dropout, activations at extremes, finite differences."""

import functools

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# -- dropout ---------------------------------------------------------------------------------------


def test_dropout_keeps_the_expectation_and_the_gradient_follows_the_mask():
    x = mg.tensor(np.full((100, 100), 3.0), requires_grad=True)
    y = F.dropout(x, 0.25)
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(y.numpy()[kept], 4.0)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(kept, 4 / 3, 0))


def test_dropout_at_its_ends():
    x = mg.tensor([1.0, np.inf, 2.0], requires_grad=True)
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.7, training=False) is x
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0]
    assert x.grad.tolist() == [0, 0, 0]
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            F.dropout(x, p)
        with pytest.raises(ValueError, match="Dropout: p must be"):
            nn.Dropout(p)
    assert F.dropout(mg.zeros((0, 3)), 0.5).shape == (0, 3)


def test_dropout_layers_use_their_generator_and_stop_in_evaluation():
    layers = [nn.Dropout(0.5, generator=np.random.default_rng(3)) for _ in range(2)]
    x = mg.ones((4, 5))
    first = layers[0](x).tolist()
    assert first == layers[1](x).tolist()
    assert layers[0](x).tolist() != first
    assert layers[0].eval()(x) is x
    assert F.dropout(mg.ones(3, dtype=np.float64), 0.5).dtype == np.float64
    assert F.dropout(x, 0.5).dtype == np.float32


@pytest.mark.parametrize("mask", [None, "keys"])
def test_attention_between_lengths_has_its_batch_first_or_second(mask):
    q, k, v = draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 4, seed=1)
    first = nn.MultiheadAttention(4, 2, batch_first=True, dtype=np.float64)
    second = nn.MultiheadAttention(4, 2, dtype=np.float64)
    second.load_state_dict(first.state_dict())
    masks = {"key_padding_mask": np.arange(10).reshape(2, 5) % 3 == 0} if mask else {}
    with mg.no_grad():
        y, weights = first(q, k, v, **masks)
        other, same = second(*(x.swapaxes(0, 1) for x in (q, k, v)), **masks)
        np.testing.assert_allclose(y, other.swapaxes(0, 1), rtol=1e-12)
        np.testing.assert_allclose(weights, same, rtol=1e-12)
        if not mask:
            for i in range(2):  # and without a batch
                alone, shown = first(q[i], k[i], v[i])
                np.testing.assert_allclose(alone, y[i], rtol=1e-12)
                np.testing.assert_allclose(shown, weights[i], rtol=1e-12)
    for layer, (a, b) in ((first, (q, k[:1])), (second, (q.swapaxes(0, 1), k[:1].swapaxes(0, 1)))):
        with pytest.raises(ValueError, match="expected one batch size"):
            layer(a, b, b)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_attention_follows_its_formula_with_any_axes_before(shape, causal):
    q, k, v = draw(*shape, 4, 5), draw(*shape, 6, 5, seed=1), draw(*shape, 6, 2, seed=2)
    allowed = np.random.default_rng(3).uniform(size=(4, 6)) < 0.6
    allowed[2] = False  # a query that sees nothing
    found = F.scaled_dot_product_attention(q, k, v, allowed, is_causal=causal)
    seen = allowed & (np.arange(6) <= np.arange(4)[:, None]) if causal else allowed
    scores = np.where(seen, np.exp(np.einsum("...le,...se->...ls", q, k) / np.sqrt(5)), 0.0)
    total = scores.sum(-1, keepdims=True)
    weights = np.divide(scores, total, out=np.zeros_like(scores), where=total > 0)
    np.testing.assert_allclose(found, np.einsum("...ls,...sv->...lv", weights, v), rtol=1e-10)


def test_dropout_of_channels_at_its_ends():
    x = mg.ones((2, 3, 1, 1))
    assert nn.Dropout2d(0.5).eval()(x) is x
    assert nn.Dropout2d(0.0)(x) is x
    assert not nn.Dropout2d(1.0)(x).numpy().any()


def test_dropout_of_channels():
    y = nn.Dropout2d(0.5)(mg.ones((20, 30, 2, 2))).numpy()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y == y[:, :, :1, :1]).all()
    with pytest.raises(ValueError, match=r"Dropout2d: expected 4 axes"):
        nn.Dropout2d(0.5)(mg.ones((2, 3)))


# -- activations -----------------------------------------------------------------------------------

ACTIVATIONS = [
    F.relu, F.leaky_relu, F.elu, F.selu, F.gelu, functools.partial(F.gelu, approximate="tanh"),
    F.silu, F.sigmoid, F.logsigmoid, F.softplus, F.tanh, F.softmax, F.log_softmax,
]  # fmt: skip


@pytest.mark.parametrize("f", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_finite_to_second_order_at_extreme_inputs(f, dtype):
    big = 1e30 if dtype == np.float32 else 1e200
    values = np.array([-big, -1e4, -100.0, 0.0, 100.0, 1e4, big], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x = mg.tensor(values, requires_grad=True)
        y = f(x)
        y.sum().backward(create_graph=True)
        slope = x.grad
        x.grad = None
        if slope.requires_grad:  # a piecewise constant slope has no history
            (slope * mg.tensor(draw(7).astype(dtype))).sum().backward()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(slope.numpy()).all()
    assert x.grad is None or np.isfinite(x.grad.numpy()).all()


def test_unknown_approximation():
    with pytest.raises(ValueError, match="'none' or 'tanh'"):
        F.gelu(mg.ones(2), approximate="erf")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_zero_far_below_and_undefined_at_minus_infinity(approximate, dtype):
    x = mg.tensor(np.array([-1e9, -60.0, 1e9, -np.inf, np.nan] * 9, dtype))
    expected = np.array([0, 0, 1e9, np.nan, np.nan] * 9, dtype)
    with np.errstate(invalid="ignore"):  # 0 times infinity
        np.testing.assert_array_equal(F.gelu(x, approximate).numpy(), expected)


# -- embedding, one-hot, attention -----------------------------------------------------------------


def test_embedding_refuses_what_is_no_index():
    model = nn.Sequential(nn.Embedding(4, 2))
    with pytest.raises(IndexError, match=r"embedding in 0 \(Embedding\): index 4 .* rows 0 to 3"):
        model(mg.tensor([0, 4]))
    with pytest.raises(IndexError, match="index -1"):
        model(mg.tensor([0, -1]))
    with pytest.raises(TypeError, match=r"integers, got float32; .*astype"):
        model(mg.tensor([0.0]))
    with pytest.raises(ValueError, match="padding_idx=4"):
        nn.Embedding(4, 2, padding_idx=4)
    assert nn.Embedding(4, 2, padding_idx=-1).weight[3].tolist() == [0, 0]
    table = mg.ones((4, 2))
    for function in (F.embedding, F.embedding_bag):
        for allowed in (-4, 3):
            assert function([[1, 2]], table, padding_idx=allowed).shape[-1] == 2
        for wrong in (-5, 4):
            with pytest.raises(
                ValueError, match=rf"^{function.__name__}: padding_idx={wrong} is out"
            ):
                function([[1, 2]], table, padding_idx=wrong)
    assert model(mg.zeros((0, 3), dtype=np.int64)).shape == (0, 3, 2)


def test_embedding_refuses_a_weight_that_is_no_table():
    with pytest.raises(ValueError, match=r"weight must have shape \(num_embeddings"):
        F.embedding(mg.tensor([0]), mg.ones(3))
    with pytest.raises(ValueError, match="weight must have shape"):
        F.embedding(mg.tensor([0]), mg.ones(()))


def test_one_hot():
    assert F.one_hot(mg.tensor([[1], [0]]), 3).tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    with pytest.raises(ValueError, match="classes 0 to 1, got 0 to 2"):
        F.one_hot(mg.tensor([0, 2]), 2)
    with pytest.raises(TypeError, match="integers"):
        F.one_hot(mg.tensor([0.0]))


def test_a_query_that_may_look_at_nothing_gets_zeros():
    q = mg.tensor(draw(3, 4), requires_grad=True)
    mask = np.array([[True, False, True], [False] * 3, [True] * 3])
    for given in (mask, np.where(mask, 0.0, -np.inf)):
        y = F.scaled_dot_product_attention(q, q, q, attn_mask=given)
        assert y[1].tolist() == [0] * 4
        y.sum().backward()
        assert np.isfinite(q.grad.numpy()).all()


def test_attention_refuses_shapes_that_do_not_fit():
    q = mg.ones((2, 4))
    with pytest.raises(ValueError, match=r"query \(\.\.\., L, E\).*\(2, 4\) and \(2, 3\)"):
        F.scaled_dot_product_attention(q, mg.ones((2, 3)), q)
    with pytest.raises(ValueError, match="one value for each key"):
        F.scaled_dot_product_attention(q, q, mg.ones((3, 4)))
    with pytest.raises(ValueError, match=r"broadcasts to \(2, 2\), got \(3, 2\)"):
        F.scaled_dot_product_attention(q, q, q, attn_mask=np.ones((3, 2), bool))


def test_dropout_in_attention_is_for_training():
    attention = nn.MultiheadAttention(4, 2, dropout=0.9)
    x = mg.tensor(draw(5, 2, 4).astype(np.float32))
    y, weights = attention(x, x, x)
    assert (y.numpy() != attention(x, x, x)[0].numpy()).any()
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-6)
    attention.eval()
    np.testing.assert_array_equal(attention(x, x, x)[0].numpy(), attention(x, x, x)[0].numpy())


def test_dropout_between_recurrent_layers():
    layer = nn.GRU(3, 4, num_layers=2, dropout=1.0)
    x = mg.tensor(draw(5, 2, 3).astype(np.float32))
    y, _ = layer(x)
    other, _ = layer(x * 2)
    np.testing.assert_array_equal(y.numpy(), other.numpy())  # the second layer saw only zeros
    assert y.numpy().all()  # what the last layer gives is not dropped
    assert (layer.eval()(x)[0].numpy() != layer(x * 2)[0].numpy()).any()


def test_the_gradient_of_a_long_sequence_is_not_quadratic():
    layer = nn.RNN(1, 1, bias=False)

    def numbers_written(length):
        x = mg.ones((length, 1, 1), requires_grad=True)
        with mg.GradientTape() as tape:  # sees the operations of the backward pass, too
            layer(x)[0].sum().backward()
        return sum(node.size for node in tape.nodes)

    # By halves: one more level, n log n. Cut step by step from the whole, it would be 4 times.
    assert numbers_written(128) < 2.5 * numbers_written(64)


# -- shapes ----------------------------------------------------------------------------------------


def test_pad_counts_axes_as_pytorch():
    x = mg.ones((2, 3), requires_grad=True)
    y = F.pad(x, (1, 2, 3, 0), value=5.0)
    assert y.shape == (5, 6)
    assert y[3].tolist() == [5, 1, 1, 1, 5, 5]
    y.sum().backward()
    assert x.grad.tolist() == [[1] * 3] * 2
    assert F.pad(x, ()).shape == (2, 3)
    assert F.pad(x, (-1, 0)).tolist() == [[1, 1]] * 2  # a negative width cuts off
    line = mg.arange(4.0)
    assert F.pad(line, (-4, 3), "replicate").tolist() == [3, 3, 3]
    assert F.pad(line, (-2, 3), "reflect").tolist() == [2, 3, 2, 1, 0]  # of the whole line
    assert F.pad(line, (-2, 2), "circular").tolist() == [2, 3, 2, 3]  # of what is left
    for bad in ((1,), (1,) * 6):
        with pytest.raises(ValueError, match=r"two widths .* last axes of \(2, 3\)"):
            F.pad(x, bad)
    with pytest.raises(ValueError, match=r"one of .*'circular'.*, got 'edge'"):
        F.pad(x, (1, 1), mode="edge")


def test_flatten_and_unflatten():
    x = mg.zeros((2, 3, 4, 5))
    assert F.flatten(x).shape == (120,)
    assert F.flatten(mg.tensor(1.0)).shape == (1,)
    assert F.flatten(x, 1).shape == nn.Flatten()(x).shape == (2, 60)
    assert F.flatten(x, 1, 2).shape == (2, 12, 5)
    assert F.flatten(mg.zeros((0, 3, 4)), 1).shape == (0, 12)
    assert nn.Unflatten(-1, (5, 1))(x).shape == (2, 3, 4, 5, 1)
    assert nn.Unflatten(-x.ndim, (1, 2))(x).shape == (1, 2, 3, 4, 5)
    assert nn.Unflatten(1, (0, -1))(mg.zeros((2, 0))).shape == (2, 0, 0)
    with pytest.raises(ValueError, match=r"axes 1 to -1.*shape \(3,\)"):
        nn.Flatten()(mg.zeros(3))
    with pytest.raises(ValueError, match=r"length of \(2, 2\), got 3"):
        nn.Unflatten(1, (2, 2))(x)
    with pytest.raises(ValueError, match="an axis 7"):
        nn.Unflatten(7, (1,))(x)


@pytest.mark.parametrize(
    ("make", "shape", "out"),
    [
        (lambda: nn.Linear(4, 3), (0, 4), (0, 3)),
        (lambda: nn.Conv2d(2, 3, 3, padding=1), (0, 2, 5, 5), (0, 3, 5, 5)),
        (lambda: nn.MaxPool2d(2), (0, 2, 4, 4), (0, 2, 2, 2)),
        (lambda: nn.AvgPool2d(2), (0, 2, 4, 4), (0, 2, 2, 2)),
        (lambda: nn.BatchNorm2d(2), (0, 2, 4, 4), (0, 2, 4, 4)),
        (lambda: nn.LayerNorm(4), (0, 4), (0, 4)),
        (lambda: nn.GroupNorm(1, 2), (0, 2, 4), (0, 2, 4)),
        (lambda: nn.Flatten(), (0, 2, 4), (0, 8)),
        (lambda: nn.GELU(), (0, 2), (0, 2)),
        (lambda: nn.Softmax(), (0, 2), (0, 2)),
    ],
)
def test_empty_batches_pass_and_have_gradients(make, shape, out):
    layer = make()
    x = mg.zeros(shape, requires_grad=True)
    y = layer(x)
    assert y.shape == out
    y.sum().backward()
    assert x.grad.shape == shape
    for p in layer.parameters():
        assert p.grad is None or not p.grad.numpy().any()


W = np.float64(0.3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.dropout(x, W), lambda x: F.leaky_relu(x, W), lambda x: F.elu(x, W),
        lambda x: F.softplus(x, W), lambda x: F.huber_loss(x, x, delta=W),
        lambda x: F.smooth_l1_loss(x, x, beta=W), lambda x: F.l2_penalty([x], W),
        lambda x: F.cross_entropy(x, mg.tensor([0, 1]), label_smoothing=W),
        lambda x: F.cross_entropy(x, F.softmax(x), label_smoothing=W), lambda x: F.pad(x, (1, 1), value=W),
        lambda x: F.scaled_dot_product_attention(x, x, x, scale=W),
        lambda x: F.layer_norm(x, 2, eps=W), lambda x: F.group_norm(x, 1, eps=W),
        lambda x: F.batch_norm(x, None, None, training=True, eps=W),
        lambda x: F.batch_norm(x, mg.zeros(2), mg.ones(2), momentum=W, eps=W),
        lambda x: F.local_response_norm(x[..., None], 2, alpha=W, beta=W, k=W),
    ],
)  # fmt: skip
def test_settings_that_are_numpy_numbers_do_not_widen_float32(f):
    x = mg.tensor([[1.0, 2.0], [-1.0, 0.5]], requires_grad=True)
    y = f(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Linear(3, 2), (2, 3)),
        (lambda: nn.Conv2d(1, 2, 2), (1, 1, 3, 3)),
        (lambda: nn.ConvTranspose2d(1, 2, 2), (1, 1, 3, 3)),
        (lambda: nn.GRU(3, 2), (4, 1, 3)),
        (lambda: nn.LazyLinear(2), (2, 3)),
    ],
)
def test_integers_become_numbers_of_the_weights_dtype(make, shape, kind):
    y = make()(np.ones(shape, kind))
    assert (y[0] if isinstance(y, tuple) else y).dtype == np.float32


# -- what layers refuse ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: nn.Linear(3, 2), (), "expected 3 features, got a number"),
        (lambda: nn.Conv2d(3, 2, 3), (8, 8), r"4 axes .* or \(C, H, W\), got shape \(8, 8\)"),
        (lambda: nn.Conv2d(1, 2, 3), (5, 8, 8), r"expected 1 channels, got 5.*x\[:, None\]"),
        (lambda: nn.Conv2d(3, 2, 3), (1, 8, 8, 3), "expected 3 channels, got 8.*channels last"),
        (lambda: nn.Conv2d(3, 2, 3), (1, 3, 2, 8), "kernel of height 3 does not fit"),
        (lambda: nn.ConvTranspose2d(3, 2, 3), (1, 4, 2, 8), "expected 3 channels, got 4"),
        (lambda: nn.BatchNorm2d(3), (2, 3), r"\(N, C, H, W\), got shape \(2, 3\)"),
        (lambda: nn.BatchNorm1d(3), (2, 4), "expected 3 channels, got 4"),
        (lambda: nn.BatchNorm1d(3), (1, 3), r"more than one value per channel.*\.eval\(\)"),
        (lambda: nn.LayerNorm((3, 4)), (2, 4), r"\(\.\.\., 3, 4\), got shape \(2, 4\)"),
        (lambda: nn.GroupNorm(1, 4), (2, 3), r"\(N, 4, \.\.\.\)"),
        (lambda: nn.LocalResponseNorm(3), (2, 3), "N, C, L"),
        (lambda: nn.LSTM(3, 2), (5, 1, 4), "expected 3 features, got 4"),
        (lambda: nn.GRU(3, 2), (3,), r"\(L, N, features\) or \(L, features\)"),
        (lambda: nn.RNN(3, 2, batch_first=True), (2, 0, 3), "at least one time step"),
        (lambda: nn.LazyLinear(2), (), "got a number"),
        (lambda: nn.LazyConv2d(2, 3), (3, 3), "4 axes"),
        (lambda: nn.LazyConv2d(2, 3, groups=2), (1, 3, 5, 5), "must divide the 3 channels"),
    ],
)
def test_shape_errors_name_the_layer_and_tell_what_came(make, shape, message):
    model = nn.Sequential(nn.Identity(), nn.Sequential(make()))
    with pytest.raises(ValueError, match=message) as caught:
        model(mg.zeros(shape))
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "1.0" in told


def test_errors_without_a_path_get_a_note():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("oops")

    with pytest.raises(KeyError) as caught:
        nn.Sequential(nn.Sequential(Broken()))(1)
    assert caught.value.__notes__ == ["in module 0.0 (Broken)"]
    assert caught.value.module_path == "0.0"
    with pytest.raises(ValueError, match=r"0\.0 \(Linear\): expected 4 features") as caught:
        nn.Sequential(nn.Sequential(nn.Linear(4, 1)))(mg.zeros(3))
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: nn.Linear(3.0, 2), TypeError, "in_features must be an int, got 3.0"),
        (lambda: nn.Linear(3, -2), ValueError, "out_features must be 0 or more"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups=2 must divide in_channels=3"),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size must be at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride must be at least 1"),
        (lambda: nn.Upsample(), ValueError, "either size or scale_factor"),
        (
            lambda: nn.Upsample(2, mode="cubic"),
            ValueError,
            "mode must be 'nearest', .* or 'linear', got 'cubic'",
        ),
        (lambda: nn.GroupNorm(2, 3), ValueError, "num_groups=2 must divide"),
        (lambda: nn.LayerNorm(()), ValueError, "at least one axis"),
        (lambda: nn.LayerNorm(-6), ValueError, "no negative length, got -6"),
        (lambda: nn.LayerNorm(6.0), TypeError, "LayerNorm: normalized_shape must be an int or a t"),
        (lambda: nn.LocalResponseNorm(2.5), TypeError, "LocalResponseNorm: size must be an int"),
        (lambda: nn.LocalResponseNorm("2"), TypeError, "LocalResponseNorm: size must be an int"),
        (lambda: nn.LocalResponseNorm(0), ValueError, "size"),
        (lambda: nn.LSTM(3, 0), ValueError, "at least 1"),
        (lambda: nn.LSTM(3, 2, dropout=2.0), ValueError, "between 0 and 1"),
        (lambda: nn.RNN(3, 2, nonlinearity="gelu"), ValueError, "'tanh' or 'relu'"),
        (lambda: nn.MultiheadAttention(5, 2), ValueError, "divisible by num_heads"),
    ],
)
def test_constructors_refuse_what_cannot_be(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_states_and_masks_of_wrong_shape():
    x = mg.zeros((5, 2, 3))
    with pytest.raises(ValueError, match=r"2 tensor\(s\) of shape \(1, 2, 4\), got \(1, 2, 3\)"):
        nn.LSTM(3, 4)(x, (mg.zeros((1, 2, 3)), mg.zeros((1, 2, 4))))
    attention = nn.MultiheadAttention(4, 2)
    y = mg.zeros((5, 2, 4))
    with pytest.raises(ValueError, match=r"attn_mask \(5, 5\) or \(4, 5, 5\), got \(5, 4\)"):
        attention(y, y, y, attn_mask=mg.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"key_padding_mask \(2, 5\), got \(5, 2\)"):
        attention(y, y, y, key_padding_mask=mg.zeros((5, 2)))
    with pytest.raises(ValueError, match="4 features in the key, got 3"):
        attention(y, x, y)
    with pytest.raises(ValueError, match="as many keys as values"):
        attention(y, y, y[:3])
    with pytest.raises(ValueError, match=r"\(L, N, E\) or \(L, E\)"):
        attention(y, y[0], y)
    with pytest.raises(ValueError, match="expected one batch size"):
        attention(y, y[:, :1], y[:, :1])
    assert attention(y[:, 0], y[:3, 0], y[:3, 0])[0].shape == (5, 4)
    assert attention(y, y[:3], y[:3])[0].shape == (5, 2, 4)


# -- gradients by finite differences, to second order ----------------------------------------------

PROVEN = {
    "linear": (lambda: nn.Linear(3, 2), (2, 3)),
    "conv": (lambda: nn.Conv2d(2, 2, 2, stride=2, padding=1), (1, 2, 3, 3)),
    "transpose": (lambda: nn.ConvTranspose2d(2, 1, 2, stride=2), (1, 2, 2, 2)),
    "batch norm": (lambda: nn.BatchNorm1d(2, track_running_stats=False), (4, 2)),
    "layer norm": (lambda: nn.LayerNorm(4), (2, 4)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (1, 4, 3)),
    "local response": (lambda: nn.LocalResponseNorm(2, alpha=0.5), (1, 3, 2)),
    "rnn": (lambda: nn.RNN(2, 2, bidirectional=True), (3, 1, 2)),
    "lstm": (lambda: nn.LSTM(2, 2), (3, 1, 2)),
    "gru": (lambda: nn.GRU(2, 2), (3, 1, 2)),
    "attention": (lambda: nn.MultiheadAttention(2, 2), (2, 1, 2)),
    "gelu": (lambda: nn.GELU(), (5,)),
}


@pytest.mark.parametrize("name", PROVEN)
def test_gradients_by_input_and_parameters_are_proven_to_second_order(name):
    make, shape = PROVEN[name]
    layer = make().double()
    rng = np.random.default_rng(1)
    values = {k: rng.uniform(-0.8, 0.8, p.shape) for k, p in layer.named_parameters()}

    def f(x, parameters):
        arguments = (x, x, x) if name == "attention" else (x,)
        output = nn.functional_call(layer, parameters, *arguments)
        return output[0] if isinstance(output, tuple) else output

    mg.testing.check_grads(f, rng.uniform(-1, 1, shape), values, name=name)


RECURRENT = [
    lambda **settings: nn.RNN(3, 2, **settings),
    lambda **settings: nn.LSTM(3, 2, **settings),
    lambda **settings: nn.GRU(3, 2, **settings),
]


@pytest.mark.parametrize("make", RECURRENT, ids=["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_a_sequence_without_a_batch_starts_from_its_state(make, settings):
    layer, rng = make(**settings), np.random.default_rng(0)
    x = rng.uniform(-1, 1, (5, 3)).astype(np.float32)
    count = 4 if settings else 1
    states = [rng.uniform(-1, 1, (count, 2)).astype(np.float32) for _ in range(layer.states)]

    def run(x, states):
        output, last = layer(x, tuple(states) if layer.states > 1 else states[0])
        return [output, *(last if isinstance(last, tuple) else (last,))]

    alone = run(x, states)
    together = run(x[:, None], [s[:, None] for s in states])
    for one, batch in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.numpy(), batch.numpy()[:, 0])
    with pytest.raises(ValueError, match=rf"of shape \({count}, 2\), got \({count}, 1, 2\)"):
        run(x, [s[:, None] for s in states])


@pytest.mark.parametrize("as_numbers", [False, True])
def test_attention_of_a_query_that_may_see_nothing_is_zero(as_numbers):
    rng = np.random.default_rng(1)
    q, k = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 6, 5))
    allowed = rng.random((2, 1, 4, 6)) < 0.5
    allowed[0, 0, 1] = allowed[1, 0, 3] = False
    allowed[1, 0, :, 2] = False  # a key that no query sees
    mask = np.where(allowed, 0.25, -np.inf) if as_numbers else allowed
    weights = F.attention_weights(q, k, mask).numpy()
    scores = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(5)) * allowed
    sums = scores.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(weights, scores / np.where(sums == 0, 1, sums), 1e-12)
    assert (weights.sum(axis=-1) == 0).sum() == 6


@pytest.mark.parametrize(
    "make",
    [
        lambda w: nn.CrossEntropyLoss(weight=w), lambda w: nn.NLLLoss(weight=w),
        lambda w: nn.BCELoss(weight=w), lambda w: nn.BCEWithLogitsLoss(pos_weight=w),
    ],
)  # fmt: skip
def test_weights_of_zero_are_weights(make):
    make([0.0, 1.0])
    with pytest.raises(ValueError, match=r"must be 0 or more, got -0\.5"):
        make([-0.5, 1.0])


def test_output_padding_is_checked_by_the_layer():
    with pytest.raises(ValueError, match="output_padding must be 0 or more"):
        nn.ConvTranspose2d(1, 1, 2, stride=2, output_padding=-1)


@pytest.mark.parametrize(
    "which", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 1, 2), (0, 0, 0)]
)
def test_query_key_and_value_are_projected_each_by_its_own(which):
    # Also where two of them are one tensor: then they could share the product, but not all three.
    rng = np.random.default_rng(2)
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    given = [mg.tensor(rng.normal(size=(1, 3, 4)).astype(np.float32)) for _ in range(3)]
    q, k, v = (given[i] for i in which)
    output, _ = layer(q, k, v)
    copies = [mg.tensor(one.numpy().copy()) for one in (q, k, v)]
    np.testing.assert_allclose(output.numpy(), layer(*copies)[0].numpy(), 1e-5, 1e-6)


def test_shapes_that_are_too_small_for_attention_and_flatten():
    for q, k in (((2, 3), (3,)), ((3,), (2, 3)), ((3,), (3,)), ((), (2, 3)), ((2, 3), (4, 2))):
        with pytest.raises(ValueError, match=r"attention_weights: expected query .* and key"):
            F.attention_weights(mg.zeros(q), mg.zeros(k))
    assert F.flatten(mg.tensor(1.0), -1).shape == (1,)
    for axis in (-2, 1):
        with pytest.raises(ValueError, match="flatten: "):
            F.flatten(mg.tensor(1.0), axis)
    for ends in ((0, 2), (2, 2), (1, 0), (-3, 1), (0, -3)):
        with pytest.raises(ValueError, match="flatten: "):
            F.flatten(mg.zeros((2, 3)), *ends)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout2d(0.5)])
@pytest.mark.parametrize(
    ("given", "found"),
    [(np.float32, np.float32), (np.float64, np.float64), (np.float16, np.float16),
     (np.int64, np.float64), (np.uint8, np.float64), (bool, np.float64)],
)  # fmt: skip
def test_dropout_keeps_the_dtype_of_floats(layer, given, found):
    y = layer(np.ones((2, 3, 4, 5), given))
    assert y.dtype == found
    assert set(y.numpy().ravel().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_more_weights_than_fit_anywhere_are_refused_at_once(make):
    for sizes in ({"hidden_size": 2**21}, {"hidden_size": 2**10, "num_layers": 2**21}):
        with pytest.raises((ValueError, MemoryError), match="too large for any memory"):
            make(1, **sizes)


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_over_another_batch_is_refused(batch_first):
    layer = nn.MultiheadAttention(4, 2, batch_first=batch_first)
    one, two = mg.zeros((3, 3, 4)), mg.zeros((3, 2, 4) if not batch_first else (2, 3, 4))
    with pytest.raises(ValueError, match="MultiheadAttention: "):
        layer(one, two, two)
    with pytest.raises(ValueError, match="MultiheadAttention: "):
        layer(two, one, one)
    layer(two, two, two)


def test_prelu_of_positive_inputs_has_nothing_to_do_with_the_weight():
    x, w = mg.tensor([2.0, -3.0], requires_grad=True), mg.tensor(0.5, requires_grad=True)
    F.prelu(x, w).backward(mg.tensor([np.inf, 1.0]))
    assert (x.grad.tolist(), w.grad.tolist()) == ([np.inf, 0.5], -3.0)


def test_prelu_of_a_number():
    assert F.prelu(mg.tensor(-2.0), mg.tensor([0.5])).numpy() == np.float32(-1.0)
    assert nn.PReLU()(mg.tensor(-2.0)).shape == ()


def test_cosine_similarity_broadcasts_before_it_takes_norms():
    rng = np.random.default_rng(0)
    for shapes, axis in (
        ([(1, 2, 3), (2, 1, 3)], 1),
        ([(4, 3), (2, 4, 3)], 1),
        ([(3,), (4, 3)], 0),
    ):
        a, b = (rng.standard_normal(s) for s in shapes)
        found = F.cosine_similarity(mg.tensor(a), mg.tensor(b), axis)
        a, b = np.broadcast_arrays(a, b)
        product = np.linalg.norm(a, axis=axis) * np.linalg.norm(b, axis=axis)
        np.testing.assert_allclose(found, (a * b).sum(axis) / product, rtol=1e-12)


def test_kl_div_of_what_is_no_probability_is_nan():
    with np.errstate(invalid="ignore"):
        losses = F.kl_div(mg.zeros(3), mg.tensor([0.0, -1.0, np.nan]), reduction="none")
    np.testing.assert_array_equal(losses.numpy(), [0.0, np.nan, np.nan])


def test_prelu_has_the_weight_as_its_slope_at_0():
    x = mg.tensor([0.0, -0.0], requires_grad=True)
    F.prelu(x, mg.tensor([0.25])).sum().backward()
    assert x.grad.tolist() == [0.25, 0.25]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (6,)])
def test_weights_of_samples_are_for_sums_of_their_shape(mode, shape):
    index, table = np.array([[0, 1, 2], [2, 0, 0]]), draw(3, 4)
    factors = draw(*shape)
    if mode == "sum" and shape == (2, 3):
        found = F.embedding_bag(index, table, mode=mode, per_sample_weights=factors)
        np.testing.assert_allclose(found, np.einsum("bi,bik->bk", factors, table[index]))
        return
    with pytest.raises(
        ValueError, match=r"for mode='sum' and have the input's shape \(2, 3\), got"
    ):
        F.embedding_bag(index, table, mode=mode, per_sample_weights=factors)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_bag_leaves_out_the_index_that_pads_it(mode, rows):
    table = draw(rows, 4)
    index = np.random.default_rng(1).integers(0, rows, (6, 3))
    index[0] = 0
    for padding_idx in range(-rows, rows):
        expected = np.zeros((6, 4))
        for bag, one in zip(expected, index, strict=True):
            kept = table[one[one != padding_idx % rows]]
            if len(kept):
                bag[:] = getattr(np, mode)(kept, axis=0)
        settings = {"mode": mode, "padding_idx": padding_idx}
        np.testing.assert_allclose(F.embedding_bag(index, table, **settings), expected)
        flat = F.embedding_bag(index.ravel(), table, np.arange(0, 18, 3), **settings)
        np.testing.assert_allclose(flat, expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_widths_of_any_sign(mode):
    x = np.arange(1.0, 7.0).reshape(2, 3)
    for left, right in np.ndindex(7, 7):
        left, right = left - 4, right - 4
        if max(-left, 0) + max(-right, 0) > 3:
            with pytest.raises(ValueError, match="take away more than"):
                F.pad(x, (left, right), mode)
            continue
        wide = np.pad(
            x, [(0, 0), (max(left, 0), max(right, 0))], {"replicate": "edge"}.get(mode, mode)
        )
        kept = slice(max(-left, 0), wide.shape[1] - max(-right, 0))
        np.testing.assert_array_equal(F.pad(x, (left, right), mode), wide[:, kept])


def test_inputs_and_weight_of_bilinear_must_fit():
    x1, x2, w = draw(5, 2), draw(5, 3), draw(4, 2, 3)
    expected = np.einsum("ni,oij,nj->no", x1, w, x2)
    np.testing.assert_allclose(F.bilinear(x1, x2, w), expected)
    np.testing.assert_allclose(F.bilinear(x1[0], x2[0], w), expected[0])
    for a, b, c in ((x1, x2, w[0]), (x1[:, :1], x2, w), (x1, x2[:, :1], w), (x1[:4], x2, w),
                    (x1[:, :1], x2[:, :1], w[0, :1, :1]), (1.0, 1.0, w)):  # fmt: skip
        with pytest.raises(ValueError, match=r"expected inputs \(..., I\) and \(..., J\)"):
            F.bilinear(a, b, c)
