"""Losses: against PyTorch, at extreme inputs, and what they refuse."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from tests.nn_cases import LABELS, LOG_P, LOGITS, LOSSES as CASES, SOFT, WEIGHT


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "x", "y", "kwargs"), CASES)
def test_loss_is_pytorchs(name, x, y, kwargs, reduction):
    torch = pytest.importorskip("torch")
    soft = y.dtype.kind == "f"
    ours = [mg.tensor(x, requires_grad=True), mg.tensor(y, requires_grad=soft)]
    theirs = [torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=soft)]
    plain = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    loss = getattr(F, name)(*ours, reduction=reduction, **kwargs)
    expected = getattr(torch.nn.functional, name)(*theirs, reduction=reduction, **plain)
    np.testing.assert_allclose(loss.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = draw(*loss.shape, seed=9)
    loss.backward(g)
    expected.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("module", "function", "x", "y", "kwargs"),
    [
        (nn.MSELoss, F.mse_loss, LOGITS, SOFT, {}),
        (nn.L1Loss, F.l1_loss, LOGITS, SOFT, {}),
        (nn.HuberLoss, F.huber_loss, LOGITS, SOFT, {"delta": 0.3}),
        (nn.SmoothL1Loss, F.smooth_l1_loss, LOGITS, SOFT, {"beta": 0.3}),
        (
            nn.CrossEntropyLoss,
            F.cross_entropy,
            LOGITS,
            LABELS,
            {"weight": WEIGHT, "label_smoothing": 0.2},
        ),
        (nn.CrossEntropyLoss, F.cross_entropy, LOGITS, LABELS, {"ignore_index": 1}),
        (nn.NLLLoss, F.nll_loss, LOG_P, LABELS, {"weight": WEIGHT, "ignore_index": 1}),
        (nn.BCELoss, F.binary_cross_entropy, SOFT, SOFT, {"weight": WEIGHT}),
        (
            nn.BCEWithLogitsLoss,
            F.binary_cross_entropy_with_logits,
            LOGITS,
            SOFT,
            {"pos_weight": WEIGHT, "weight": WEIGHT},
        ),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_modules_are_their_functions(module, function, x, y, kwargs, reduction):
    loss = module(reduction=reduction, **kwargs)
    np.testing.assert_array_equal(
        loss(mg.tensor(x), mg.tensor(y)).numpy(),
        function(mg.tensor(x), mg.tensor(y), reduction=reduction, **kwargs).numpy(),
    )
    assert f"reduction={reduction!r}" in repr(loss)


def test_class_weights_are_buffers_and_follow_the_dtype():
    loss = nn.CrossEntropyLoss(weight=[1, 2, 3])
    assert loss.weight.dtype == np.float32
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype == np.float64
    assert list(loss.parameters()) == []


@pytest.mark.parametrize(("name", "x", "y", "kwargs"), CASES)
def test_float32_stays_float32(name, x, y, kwargs):
    soft = y.dtype.kind == "f"
    t = mg.tensor(x.astype(np.float32), requires_grad=True)
    loss = getattr(F, name)(t, mg.tensor(y.astype(np.float32) if soft else y), **kwargs)
    loss.backward()
    assert loss.dtype == t.grad.dtype == np.float32


def test_extreme_logits_give_finite_losses_and_gradients():
    x = mg.tensor([[1e4, -1e4, 0.0], [-1e30, 1e30, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([0, 1]))
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]

    x = mg.tensor([1e30, -1e30], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, mg.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad.tolist() == [0, 0]


def test_certain_probabilities_give_finite_losses_and_gradients():
    p = mg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(p, mg.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    losses.sum().backward()
    assert losses.tolist() == [0, 0, 100, 100]
    assert np.isfinite(p.grad.numpy()).all()


def test_masked_classes_take_no_part():
    x = mg.tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([0]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [[-0.5, 0, 0.5]], rtol=1e-6)


def test_l2_penalty_is_half_the_sum_of_squares():
    p, q = mg.tensor([3.0, 4.0]), mg.tensor([[1.0], [2.0]])
    assert F.l2_penalty([p]).item() == 12.5
    assert F.l2_penalty([p, q, p], 0.5).item() == 7.5
    assert F.l2_penalty([mg.tensor([2])]).item() == 2.0


def test_l2_penalty_has_the_gradient_of_weight_decay():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    F.l2_penalty(model, 0.1).backward()
    for p in model.parameters():
        np.testing.assert_allclose(p.grad.numpy(), 0.1 * p.numpy())
    shared = nn.Sequential(model, model)
    assert F.l2_penalty(shared).item() == F.l2_penalty(model).item()
    assert F.l2_penalty(model).dtype == np.float64
    assert nn.l2_penalty([nn.Parameter([2.0])]).dtype == np.float32
    assert nn.l2_penalty([]).item() == 0.0


ONE = mg.tensor([[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.mse_loss(mg.ones((5, 1)), mg.ones(5)), r"\(5, 1\) and \(5,\); reshape one"),
        (lambda: F.l1_loss(mg.ones(5), mg.ones(4)), "one target for each"),
        (
            lambda: F.mse_loss(mg.ones(2), mg.ones(2), reduction="average"),
            "'mean', 'sum' or 'none'",
        ),
        (lambda: F.huber_loss(mg.ones(2), mg.ones(2), delta=0.0), "delta must be positive"),
        (lambda: F.smooth_l1_loss(mg.ones(2), mg.ones(2), beta=-1.0), "beta"),
        (lambda: F.cross_entropy(ONE, mg.tensor([3])), "3 classes, so labels are 0 to 2, got 3"),
        (lambda: F.cross_entropy(ONE, mg.tensor([-1])), "got -1"),
        (lambda: F.cross_entropy(ONE, mg.tensor([[1]])), r"target\.reshape\(\(1,\)\)"),
        (lambda: F.cross_entropy(ONE, mg.tensor([1.0])), r"astype\(np\.int64\)"),
        (lambda: F.cross_entropy(ONE, mg.tensor([1, 2])), r"of shape \(1,\), got int64 \(2,\)"),
        (lambda: F.cross_entropy(mg.tensor(1.0), mg.tensor(1)), "got a number"),
        (lambda: F.cross_entropy(ONE, mg.tensor([1]), weight=np.ones(2)), "3 classes"),
        (lambda: F.cross_entropy(ONE, ONE, weight=np.ones(2)), "3 classes"),
        (lambda: F.cross_entropy(ONE, mg.tensor([1]), label_smoothing=1.5), "between 0 and 1"),
        (lambda: F.nll_loss(ONE, mg.tensor([5])), "nll_loss.*got 5"),
        (lambda: F.binary_cross_entropy(mg.tensor([1.5]), mg.ones(1)), "with_logits"),
        (lambda: F.binary_cross_entropy_with_logits(mg.ones((2, 1)), mg.ones(2)), "reshape one"),
        (lambda: nn.MSELoss("average"), "MSELoss: reduction"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2.0), "between 0 and 1"),
        (lambda: nn.HuberLoss(delta=-1.0), "delta"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), "beta"),
    ],
)
def test_bad_input_is_refused_with_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integer_targets_of_a_regression_are_converted():
    assert F.mse_loss(mg.tensor([1.0, 2.0]), mg.tensor([1, 0])).item() == 2.0
    assert F.binary_cross_entropy_with_logits(mg.tensor([0.0]), mg.tensor([1])).dtype == np.float32


@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 3.0], np.float32)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_with_every_label_ignored_the_mean_is_nan_and_the_gradient_zero(weight, smoothing):
    x = mg.tensor([[1.0, 2.0, np.inf]], requires_grad=True)  # and no warning of 0 / 0
    loss = F.cross_entropy(x, np.array([-100]), weight, label_smoothing=smoothing)
    loss.backward()
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((1, 3)))


def test_labels_in_a_list_and_logits_in_an_array():
    logits, labels = np.array([[1.0, 2.0], [0.5, -1.0]], np.float32), [1, 0]
    expected = F.cross_entropy(mg.tensor(logits), mg.tensor(labels)).item()
    for one in (logits, mg.tensor(logits), logits.tolist()):
        for other in (labels, np.array(labels), mg.tensor(labels)):
            found = F.cross_entropy(one, other)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("ignored", [-100, -1, 0, 1, 2, 3])
def test_any_label_may_be_ignored(ignored):
    logits = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 2.0, 1.0], [0.3, 0.1, 0.2]])
    labels = np.array([0, 2, 1, 1])
    kept = labels != ignored
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(4), labels]
    x = mg.tensor(logits, requires_grad=True)
    loss = F.cross_entropy(x, labels, ignore_index=ignored)
    np.testing.assert_allclose(loss.item(), each[kept].mean())
    loss.backward()
    assert (np.abs(x.grad.numpy()).sum(1) > 0).tolist() == kept.tolist()
    found = F.cross_entropy(x, labels, ignore_index=ignored, reduction="none").detach()
    np.testing.assert_allclose(found, np.where(kept, each, 0.0), atol=1e-12)


@pytest.mark.parametrize("ignored", [1, 3, 4])
def test_a_label_beyond_the_number_of_examples_may_be_ignored(ignored):
    logits = np.array([[1.0, 2.0, 0.5, -1.0, 0.3], [0.0, -1.0, 3.0, 0.2, 1.5]])
    labels = np.array([4, ignored])
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(2), labels]
    found = F.cross_entropy(mg.tensor(logits), labels, ignore_index=ignored, reduction="none")
    np.testing.assert_allclose(found.numpy(), np.where(labels == ignored, 0.0, each), atol=1e-12)


def test_losses_of_nothing_are_nothing():
    none = mg.zeros((0, 3))
    assert F.kl_div(none, none, "batchmean").item() == 0.0
    assert F.multi_margin_loss(mg.zeros((0, 0)), np.zeros(0, int), reduction="sum").item() == 0.0
    assert F.multi_margin_loss(mg.zeros((0, 0)), np.zeros(0, int), reduction="none").shape == (0,)
    assert F.cross_entropy(none, np.zeros(0, int), reduction="sum").item() == 0.0
    assert F.nll_loss(none, np.zeros(0, int), reduction="none").shape == (0,)


def test_a_target_of_zero_counts_for_nothing_in_the_divergence():
    log_p = np.log(np.array([[0.25, 0.5, 0.25]]))
    x, t = (mg.tensor(a, requires_grad=True) for a in (log_p, np.array([[0.0, 0.5, 0.5]])))
    loss = F.kl_div(x, t, reduction="sum")
    np.testing.assert_allclose(loss.item(), 0.5 * np.log(1.0) + 0.5 * np.log(2.0))
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0.0, -0.5, -0.5]])
    # The slope of t log t, which has none at 0, is left out there.
    slopes = np.log([0.5, 0.5]) + 1.0 - log_p[0, 1:]
    np.testing.assert_allclose(t.grad, [[-log_p[0, 0], *slopes]])


def test_one_variance_stands_for_the_last_axis():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(2, 2, 3, 4))
    for var in (rng.uniform(0.5, 2.0, (2, 3)), rng.uniform(0.5, 2.0, (2, 3, 1))):
        full = np.broadcast_to(var.reshape(2, 3, 1), x.shape)
        expected = 0.5 * (np.log(full) + (x - t) ** 2 / full)
        found = F.gaussian_nll_loss(*map(mg.tensor, (x, t, var)), reduction="none")
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"var must have shape \(2, 3, 4\), \(2, 3\) or"):
        F.gaussian_nll_loss(mg.tensor(x), mg.tensor(t), mg.ones(2))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 4)])
def test_multilabel_margins_are_averaged_over_the_last_axis(shape):
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(size=shape), rng.integers(0, 2, shape), rng.uniform(0.5, 2.0, 4)
    s = 1.0 / (1.0 + np.exp(-x))
    expected = -(w * (t * np.log(s) + (1 - t) * np.log(1 - s))).mean(-1)
    found = F.multilabel_soft_margin_loss(mg.tensor(x), t, w, "none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_divergence_of_numbers_is_their_own():
    x, t = np.log(0.25), 0.5
    for reduction in ("mean", "sum", "none", "batchmean"):
        found = F.kl_div(mg.tensor(x), mg.tensor(t), reduction)
        np.testing.assert_allclose(found.item(), t * (np.log(t) - x), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [2.0]])
def test_labels_of_a_single_class_may_be_ignored(smoothing, weight):
    x = mg.tensor([[1.0], [3.0]], requires_grad=True)
    weight = None if weight is None else np.array(weight)
    found = F.cross_entropy(x, np.array([0, -100]), weight, label_smoothing=smoothing)
    assert found.item() == 0.0
    assert F.nll_loss(x, np.array([0, -100]), weight).item() == -1.0


def test_a_vector_of_zeros_has_no_angle_with_another():
    zeros, ones = mg.zeros((1, 3)), mg.ones((1, 3))
    for pair in ((zeros, ones), (ones, zeros), (zeros, zeros)):
        assert F.cosine_embedding_loss(*pair, np.array([1])).item() == 1.0
        assert F.cosine_embedding_loss(*pair, np.array([-1])).item() == 0.0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_taken_before_a_gradient_leave_it_alone(reduction):
    """What a loss keeps for its gradient belongs to its own logits, in its own thread."""
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 4, 5) for _ in range(3)]
    logits = [mg.tensor(rng.standard_normal((5, 4)), requires_grad=True) for _ in labels]

    def loss(i):
        return F.cross_entropy(logits[i], mg.tensor(labels[i]), reduction=reduction).sum()

    losses = [loss(i) for i in range(2)]
    thread = threading.Thread(target=lambda: losses.append(loss(2)))
    thread.start()
    thread.join()
    other = F.cross_entropy(logits[1], mg.tensor(labels[0])).sum()  # of the same logits
    for one in (*losses, other):
        one.backward()
    share = 5.0 if reduction == "mean" else 1.0
    for i, x in enumerate(logits):
        e = np.exp(x.numpy())
        expected = (e / e.sum(1, keepdims=True) - np.eye(4)[labels[i]]) / share
        if i == 1:
            expected += (e / e.sum(1, keepdims=True) - np.eye(4)[labels[0]]) / 5.0
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-14)


def test_a_loss_keeps_its_logits_no_longer_than_they_live():
    x = mg.tensor(np.zeros((3, 4)), requires_grad=True) * 2.0
    logits = weakref.ref(x._data)
    F.cross_entropy(x, mg.tensor([0, 1, 2])).item()
    del x
    gc.collect()
    assert logits() is None
