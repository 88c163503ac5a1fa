"""Normalisation and the linear layer against PyTorch, running statistics, bad input."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from tests.parity import compare


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape)


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 6), (2, 3, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_pytorchs(shape, affine, training):
    torch = pytest.importorskip("torch")
    x, w, b = draw(*shape) + 3.0, draw(3, seed=1), draw(3, seed=2)
    mean, var = draw(3, seed=3), draw(3, seed=4) + 2.0
    ours = (mg.tensor(mean), mg.tensor(var))
    theirs = (torch.tensor(mean), torch.tensor(var))

    def call_theirs(x, w, b):
        # PyTorch's running statistics are written in place, which a second call would notice.
        mean, var = (t.clone() for t in theirs)
        return torch.nn.functional.batch_norm(x, mean, var, w, b, training, 0.3, 1e-3)

    compare(
        lambda x, w, b: F.batch_norm(x, mg.tensor(mean), mg.tensor(var), w, b, training, 0.3, 1e-3),
        call_theirs,
        [x, w if affine else None, b if affine else None],
        rtol=1e-7,
    )
    F.batch_norm(mg.tensor(x), *ours, None, None, training, 0.3)
    torch.nn.functional.batch_norm(torch.tensor(x), *theirs, None, None, training, 0.3)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_running_statistics_use_the_unbiased_variance():
    mean, var = mg.tensor([0.0]), mg.tensor([0.0])
    F.batch_norm(mg.tensor([[1.0], [3.0]]), mean, var, training=True, momentum=1.0)
    assert mean.tolist() == [2.0]
    assert var.tolist() == [2.0]


def test_a_constant_batch_has_finite_gradients():
    x = mg.tensor(np.ones((4, 2), np.float32), requires_grad=True)
    (
        F.batch_norm(x, None, None, training=True) * mg.tensor(draw(4, 2).astype(np.float32))
    ).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_an_empty_batch_leaves_the_running_statistics_alone():
    mean, var = mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0])
    w = mg.tensor([1.0, 1.0], requires_grad=True)
    y = F.batch_norm(mg.zeros((0, 2, 3, 3)), mean, var, w, training=True)
    y.sum().backward()
    assert y.shape == (0, 2, 3, 3)
    assert (mean.tolist(), var.tolist(), w.grad.tolist()) == ([1, 2], [3, 4], [0, 0])


def test_a_large_mean_does_not_spoil_the_variance():
    x = (draw(64, 2) + 1e4).astype(np.float32)
    y = F.batch_norm(mg.tensor(x), None, None, training=True).numpy()
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=2e-2)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("shape", "normalized"), [((2, 3, 5), (5,)), ((2, 3, 5), (3, 5)), ((4, 6), (6,))]
)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_is_pytorchs(shape, normalized, affine):
    torch = pytest.importorskip("torch")
    parameters = [draw(*normalized, seed=1), draw(*normalized, seed=2)] if affine else [None, None]
    compare(
        lambda x, w, b: F.layer_norm(x, normalized, w, b, 1e-3),
        lambda x, w, b: torch.nn.functional.layer_norm(x, normalized, w, b, 1e-3),
        [draw(*shape), *parameters],
        rtol=1e-7,
    )


@pytest.mark.parity
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(2, 6, 5), (3, 6, 2, 3)])
def test_group_norm_is_pytorchs(groups, shape):
    torch = pytest.importorskip("torch")
    compare(
        lambda x, w, b: F.group_norm(x, groups, w, b, 1e-3),
        lambda x, w, b: torch.nn.functional.group_norm(x, groups, w, b, 1e-3),
        [draw(*shape), draw(6, seed=1), draw(6, seed=2)],
        rtol=1e-7,
    )


@pytest.mark.parity
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_local_response_norm_is_pytorchs(size):
    torch = pytest.importorskip("torch")
    compare(
        lambda x: F.local_response_norm(x, size, 0.3, 0.6, 1.5),
        lambda x: torch.nn.functional.local_response_norm(x, size, 0.3, 0.6, 1.5),
        [draw(2, 5, 3, 4)],
    )


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_pytorchs(shape, bias):
    torch = pytest.importorskip("torch")
    compare(
        F.linear,
        torch.nn.functional.linear,
        [draw(*shape), draw(5, 4), draw(5) if bias else None],
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.batch_norm(mg.zeros((1, 3)), None, None, training=True),
         ["batch_norm", "(1, 3)", "more than one"]),
        (lambda: F.batch_norm(mg.zeros((2, 3)), mg.zeros(2), mg.zeros(3)),
         ["batch_norm", "running_mean", "3 channels", "(2,)"]),
        (lambda: F.batch_norm(mg.zeros((2, 3)), None, None, mg.zeros(4), training=True),
         ["batch_norm", "weight", "(4,)"]),
        (lambda: F.batch_norm(mg.zeros(3), None, None, training=True), ["batch_norm", "(N, C, ...)"]),
        (lambda: F.batch_norm(mg.zeros((2, 3)), None, None, 2.0, training=True),
         ["batch_norm", "weight", "3 channels", "()"]),
        (lambda: F.batch_norm(mg.zeros((2, 3)), mg.zeros(3), None),
         ["batch_norm", "running_mean and running_var", "both"]),
        (lambda: F.layer_norm(mg.zeros((2, 3)), 3, 2.0), ["layer_norm", "weight", "(3,)", "()"]),
        (lambda: F.layer_norm(mg.zeros((2, 3)), 4), ["layer_norm", "(4,)", "(2, 3)"]),
        (lambda: F.layer_norm(mg.zeros((2, 3)), 3, mg.zeros(2)), ["layer_norm", "weight", "(2,)"]),
        (lambda: F.group_norm(mg.zeros((2, 3)), 2), ["group_norm", "num_groups=2", "3 channels"]),
        (lambda: F.local_response_norm(mg.zeros((2, 3)), 2), ["local_response_norm", "(2, 3)"]),
        (lambda: F.local_response_norm(mg.zeros((2, 3, 4)), 0), ["local_response_norm", "0"]),
        (lambda: F.linear(mg.zeros((2, 3)), mg.zeros((4, 5))), ["linear", "3 features", "(4, 5)", "5"]),
        (lambda: F.linear(mg.zeros((2, 3)), mg.zeros((4, 3)), mg.zeros(3)), ["linear", "(4,)", "(3,)"]),
    ],
)  # fmt: skip
def test_bad_input_is_explained(call, words):
    with pytest.raises(ValueError) as error:
        call()
    for word in words:
        assert word in str(error.value)


def test_running_statistics_that_cannot_be_assigned_are_refused():
    with pytest.raises(TypeError, match="running statistics must be tensors"):
        F.batch_norm(mg.zeros((2, 3)), np.zeros(3), np.ones(3), training=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.group_norm(x, 2.0), "group_norm: num_groups must be an int, got 2.0"),
        (lambda x: F.group_norm(x, True), "group_norm: num_groups must be an int, got True"),
        (lambda x: F.layer_norm(x, 3.0), "layer_norm: normalized_shape must be an int or a tuple"),
        (lambda x: F.layer_norm(x, (4, "3")), "layer_norm: normalized_shape must be an int or a"),
        (lambda x: F.local_response_norm(x, 1.5), "local_response_norm: size must be an int, got"),
    ],
)
def test_what_is_no_integer_is_a_type_error(call, words):
    with pytest.raises(TypeError, match=words):
        call(mg.zeros((2, 4, 3)))


def test_numbers_of_numpy_and_lists_are_taken():
    x = mg.tensor(draw(2, 4, 3))
    same = np.testing.assert_array_equal
    same(F.layer_norm(x, np.int64(3)).numpy(), F.layer_norm(x, 3).numpy())
    assert mg.nn.LayerNorm(np.int64(3))(x).shape == x.shape
    same(F.layer_norm(x, [4, 3]).numpy(), F.layer_norm(x, (4, 3)).numpy())
    same(F.group_norm(x, np.int8(2)).numpy(), F.group_norm(x, 2).numpy())
    mean, var = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 1.0, 2.0]
    same(
        F.batch_norm(x, mean, var).numpy(),
        F.batch_norm(x, mg.tensor(np.array(mean)), mg.tensor(np.array(var))).numpy(),
    )


def test_images_without_channels_are_told_what_adds_them():
    with pytest.raises(ValueError, match=r"got shape \(9, 8, 8\); if .* x\[:, None\] adds it"):
        mg.nn.BatchNorm2d(1)(mg.zeros((9, 8, 8)))
    with pytest.raises(ValueError, match=r"got shape \(8, 8\)$"):
        mg.nn.BatchNorm2d(1)(mg.zeros((8, 8)))
    with pytest.raises(ValueError, match=r"x\[:, None\]"):
        mg.nn.Conv2d(1, 2, 3)(mg.zeros((9, 8, 8)))


def test_rms_norm_of_large_numbers_counts_eps_at_its_size():
    x = mg.tensor(np.full((1, 4), 1e19, np.float32))
    np.testing.assert_allclose(F.rms_norm(x, 4, eps=1e38).numpy(), 0.5**0.5, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("BatchNorm1d", "23"),
        ("BatchNorm2d", "4"),
        ("InstanceNorm1d", "23"),
        ("InstanceNorm2d", "34"),
    ],
)
def test_a_layer_takes_arrays_of_its_ranks(name, ranks, rank):
    layer = getattr(mg.nn, name)(3)
    shape = {1: (3,), 2: (3, 3), 3: (3, 3, 5), 4: (2, 3, 4, 5), 5: (2, 3, 4, 5, 2)}[rank]
    if str(rank) in ranks:
        assert layer(mg.zeros(shape)).shape == shape
        return
    with pytest.raises(ValueError, match=rf"{name}: expected .*\(N, C"):
        layer(mg.zeros(shape))


@pytest.mark.parametrize("shape", [(), (3,), (4,), (2, 4), (2, 4, 5)])
def test_group_norm_needs_an_axis_of_its_channels(shape):
    with pytest.raises(ValueError, match="GroupNorm: expected"):
        mg.nn.GroupNorm(1, 3)(mg.zeros(shape))


def test_statistics_begin_anew_when_they_are_reset():
    layer = mg.nn.BatchNorm1d(2)
    layer(mg.tensor(np.random.default_rng(0).normal(3.0, 2.0, (8, 2)).astype(np.float32)))
    assert layer.num_batches_tracked.item() == 1
    assert (layer.running_mean.numpy() != 0).all()
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 2, 5, 2), (1, 5, 1, 2, 3)])
def test_local_response_norm_by_its_formula(size, shape):
    x = draw(*shape)
    expected = np.empty(shape)
    for c in range(shape[1]):
        low, high = max(c - size // 2, 0), c + (size - 1) // 2 + 1
        m = np.square(x[:, low:high]).sum(axis=1) / size
        expected[:, c] = x[:, c] / (1.5 + 0.3 * m) ** 0.6
    found = F.local_response_norm(mg.tensor(x), size, 0.3, 0.6, 1.5)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    whole = np.arange(24).reshape(2, 4, 3) * 100_000_000_000
    exact = F.local_response_norm(mg.tensor(whole.astype(float)), 2)
    np.testing.assert_array_equal(F.local_response_norm(mg.tensor(whole), 2), exact)


def test_images_without_channels_have_nothing_to_normalise():
    for function in (F.batch_norm, F.instance_norm):
        none = mg.zeros(0)
        settings = {"training": True} if function is F.batch_norm else {}
        found = function(mg.ones((2, 0, 3)), none, mg.zeros(0), none, none, **settings)
        assert found.shape == (2, 0, 3)
        assert function(
            mg.ones((2, 0, 3)), **{"running_mean": None, "running_var": None, **settings}
        ).shape == (2, 0, 3)


def test_numbers_whose_squares_float32_does_not_hold():
    x = draw(2, 4, 5)
    for normal in (
        lambda x: F.batch_norm(x, None, None, training=True, eps=0.0),
        lambda x: F.instance_norm(x, eps=0.0),
        lambda x: F.group_norm(x, 2, eps=0.0),
        lambda x: F.layer_norm(x, 5, eps=0.0),
    ):
        found = normal(mg.tensor((x * 1e25).astype(np.float32))).numpy()
        np.testing.assert_allclose(found, normal(mg.tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2])
def test_rms_norm_of_rows_of_every_size(axes):
    rows = draw(4, 3, 2) * np.array([1e-20, 1.0, 1e25, 3e38])[:, None, None]
    x = rows.astype(np.float32).astype(float)
    shape = x.shape[-axes:]
    over = tuple(range(-axes, 0))
    expected = x / np.sqrt(np.square(x).mean(axis=over, keepdims=True) + 1e-3)
    found = F.rms_norm(mg.tensor(x.astype(np.float32)), shape, eps=1e-3)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
