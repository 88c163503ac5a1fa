"""Metrics: equal to scikit-learn's, whatever the size of the batches."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.training import metrics


def over_batches(metric, output, target, sizes=(7, 7, 1, 15)):
    metric.reset()
    start = 0
    while start < len(output):
        size = sizes[start % len(sizes)]
        metric.update(output[start : start + size], target[start : start + size])
        start += size
    return metric.result()


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    output = generator.normal(size=(40, 4)).astype(np.float32)
    target = generator.integers(3, size=40)  # class 3 is predicted and never true
    return output, target


SUMMED = ("accuracy", "top_5", "mae", "mse")
SCORES = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("name", SCORES)
def test_scores_per_class_are_scikit_learns(drawn, name, average):
    sk = pytest.importorskip("sklearn.metrics")
    output, target = drawn
    metric = type(metrics.metric(name))(average=average)
    found = over_batches(metric, output, target)
    expected = getattr(sk, SCORES[name])(
        target,
        output.argmax(1),
        average=average,
        zero_division=0,
        labels=None if average else range(4),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(30,), (30, 1)])
@pytest.mark.parametrize("name", SCORES)
def test_binary_scores_are_scikit_learns(name, shape):
    sk = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(1)
    output, target = generator.normal(size=shape), generator.integers(2, size=shape)
    found = over_batches(metrics.metric(name), output, target)
    expected = getattr(sk, SCORES[name])(target.ravel(), output.ravel() > 0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_confusion_matrix_is_scikit_learns(drawn):
    sk = pytest.importorskip("sklearn.metrics")
    output, target = drawn
    found = over_batches(metrics.ConfusionMatrix(), output, target)
    np.testing.assert_array_equal(
        found, sk.confusion_matrix(target, output.argmax(1), labels=range(4))
    )
    assert found.dtype == np.int64


def test_accuracy_of_classes_probabilities_and_pixels(drawn):
    output, target = drawn
    expected = (output.argmax(1) == target).mean()
    assert over_batches(metrics.Accuracy(), output, target) == pytest.approx(expected)
    one_hot = np.eye(4)[target]
    assert over_batches(metrics.Accuracy(), output, one_hot) == pytest.approx(expected)
    pixels = output.reshape(5, 4, 2, 4)
    labels = target.reshape(5, 2, 4)
    expected = (pixels.argmax(1) == labels).mean()
    assert over_batches(metrics.Accuracy(), pixels, labels, (2,)) == pytest.approx(expected)


def test_binary_accuracy_has_a_threshold():
    output, target = np.array([[0.4], [0.6], [-0.1]]), np.array([1.0, 1.0, 0.0])
    assert over_batches(metrics.Accuracy(), output, target) == 1
    assert over_batches(metrics.Accuracy(threshold=0.5), output, target) == pytest.approx(2 / 3)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.5])
@pytest.mark.parametrize("name", ["accuracy", "confusion_matrix"])
def test_what_lies_on_a_threshold_is_no(name, threshold):
    """Of outputs, and of targets between 0 and 1, whose threshold is 0.5 whatever the outputs' is."""
    middle = threshold or 0.0
    outputs = [(middle - 0.25, 0), (middle, 0), (middle + 0.25, 1)]
    targets = [(0.0, 0), (0.25, 0), (0.5, 0), (0.75, 1), (1.0, 1)]
    for output, predicted in outputs:
        for target, true in targets:
            metric = type(metrics.metric(name))(threshold=threshold)
            metric.update(np.array([[output]]), np.array([[target]]))
            counts = np.zeros((2, 2))
            counts[true, predicted] = 1
            expected = counts if name == "confusion_matrix" else predicted == true
            np.testing.assert_array_equal(metric.result(), expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_is_scikit_learns(drawn, k):
    sk = pytest.importorskip("sklearn.metrics")
    output, target = drawn
    found = over_batches(metrics.metric(f"top_{k}"), output, target)
    assert found == sk.top_k_accuracy_score(target, output, k=k, labels=range(4))


def test_top_k_among_equals_takes_the_lower_index():
    output = np.zeros((4, 4))
    assert over_batches(metrics.TopKAccuracy(2), output, np.arange(4)) == 0.5


@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_errors_are_means_over_all_elements(shape):
    generator = np.random.default_rng(2)
    output, target = generator.normal(size=shape), generator.normal(size=shape)
    for name, expected in (("mae", np.abs(output - target)), ("mse", (output - target) ** 2)):
        np.testing.assert_allclose(
            over_batches(metrics.metric(name), output, target), expected.mean()
        )


def test_a_function_is_weighted_by_samples():
    def bias(output, target):
        return (output - target).mean()

    metric = metrics.metric(bias)
    assert metric.name == "bias"
    assert over_batches(metric, np.arange(8.0), np.zeros(8), (7,)) == pytest.approx(3.5)


@pytest.mark.parametrize("name", metrics.KNOWN)
def test_reset_forgets_and_state_goes_on(drawn, name):
    output, target = drawn
    if name in ("mae", "mse"):
        target = np.eye(4)[target]
    if name == "top_5":
        output = np.concatenate([output, output[:, ::-1]], axis=1)
    metric, other = metrics.metric(name), metrics.metric(name)
    whole = over_batches(metric, output, target)
    np.testing.assert_array_equal(over_batches(metric, output, target), whole)
    metric.reset()
    metric.update(output[:9], target[:9])
    state = metric.state_dict()
    metric.update(output[9:20], target[9:20])  # the saved state stays as it was
    other.load_state_dict(state)
    other.update(output[9:], target[9:])
    np.testing.assert_allclose(other.result(), whole, rtol=1e-12)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("name", metrics.KNOWN)
def test_merged_halves_are_as_one(name, width):
    """Also those of which one has seen nothing, as the last process of several may have."""
    if width == 1 and name == "top_5":
        pytest.skip("needs five classes")
    rng = np.random.default_rng(0)
    output = rng.normal(size=(30, width))
    target = rng.integers(max(width, 2), size=30)
    if name in ("mae", "mse"):
        target = rng.normal(size=output.shape)
    elif width == 1 and name == "accuracy":
        target = target[:, None]
    whole = metrics.metric(name)
    whole.reset()
    whole.update(output, target)
    for at in (0, 11, 30):
        parts = [metrics.metric(name), metrics.metric(name)]
        for part, rows in zip(parts, (slice(at), slice(at, None)), strict=True):
            part.reset()
            if len(output[rows]):
                part.update(output[rows], target[rows])
        parts[0].merge(parts[1])
        np.testing.assert_allclose(parts[0].result(), whole.result(), rtol=1e-12)
    other = metrics.metric("accuracy" if name not in SUMMED else "confusion_matrix")
    with pytest.raises(TypeError, match=f"cannot merge a {type(other).__name__}"):
        whole.merge(other)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("width", [1, 3])
def test_scores_take_over_what_a_confusion_matrix_has_counted(name, width):
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=(30, width)), rng.integers(max(width, 2), size=30)
    whole, part, counts = metrics.metric(name), metrics.metric(name), metrics.ConfusionMatrix()
    whole.update(output, target)
    part.update(output[:11], target[:11])
    counts.update(output[11:], target[11:])
    part.merge(counts)
    assert part.result() == pytest.approx(whole.result())


def test_what_cannot_be_compared_is_told():
    with pytest.raises(ValueError, match="unknown metric 'acc'; known are accuracy, top_5,"):
        metrics.metric("acc")
    with pytest.raises(TypeError, match="got int"):
        metrics.metric(3)
    with pytest.raises(ValueError, match="average must be"):
        metrics.Precision(average="mean")
    with pytest.raises(ValueError, match="k must be at least 1"):
        metrics.metric("top_0")
    cases = [
        ("top_5", (3, 2), np.zeros(3, int), "at least 5 classes"),
        ("mae", (3, 1), np.zeros(3), r"\(3, 1\), targets \(3,\)"),
        ("f1", (3, 2), np.array([0, 1, 2]), "labels from 0 to 1, got 0 to 2"),
        ("accuracy", (3, 2), np.zeros((3, 4), int), "class indices of shape"),
    ]
    for name, shape, target, message in cases:
        metric = metrics.metric(name)
        metric.reset()
        with pytest.raises(ValueError, match=message):
            metric.update(np.zeros(shape), target)


@pytest.mark.parametrize("name", [*metrics.KNOWN, "top_1"])
def test_a_new_metric_counts_from_nothing(drawn, name):
    output, target = drawn
    output = np.repeat(output, 2, axis=1)  # 8 classes
    if name in ("mae", "mse"):
        target = output + 1
    new, reset = metrics.metric(name), metrics.metric(name)
    reset.reset()
    np.testing.assert_equal(new.result(), reset.result())
    new.update(output, target)
    reset.update(output, target)
    np.testing.assert_equal(new.result(), reset.result())


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 1), (1, 3)])
@pytest.mark.parametrize("name", ["accuracy", "top_1", "confusion_matrix", "f1"])
def test_targets_are_not_spread_over_outputs(name, shape):
    metric = metrics.metric(name)
    with pytest.raises(ValueError, match=r"outputs of shape \(4, 3\) with targets of shape"):
        metric.update(np.ones((4, 3)), np.zeros(shape, dtype=np.int64))


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("name", ["top_1", "confusion_matrix", "f1"])
def test_a_label_without_an_output_is_refused(name, label):
    metric = metrics.metric(name)
    with pytest.raises(ValueError, match=rf"{name}: expected labels from 0 to 2, got .*{label}"):
        metric.update(np.eye(3), np.array([0, 1, label]))


def test_top_k_takes_nan_for_the_largest_as_argmax_does():
    output = np.array([[np.nan, np.nan, 5.0], [0.0, np.nan, np.inf], [3.0, 2.0, 1.0]])
    for target in np.ndindex(3, 3, 3):
        accuracy, top = metrics.Accuracy(), metrics.TopKAccuracy(1)
        accuracy.update(output, np.array(target))
        top.update(output, np.array(target))
        assert top.result() == accuracy.result()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u4", "u8", "?", "f2"])
@pytest.mark.parametrize("name", ["mae", "mse"])
def test_errors_do_not_wrap_or_overflow(name, dtype):
    large = {"i1": 100, "?": 1}.get(dtype, 255)
    output = np.array([0, large, 0]).astype(dtype)
    target = np.array([large, 0, 0]).astype(dtype)
    metric = metrics.metric(name)
    metric.update(output, target)
    power = 1 if name == "mae" else 2
    np.testing.assert_allclose(metric.result(), 2 * large**power / 3, rtol=1e-6)


CLASSES = [
    lambda: metrics.Accuracy(), lambda: metrics.TopKAccuracy(2), lambda: metrics.Precision(),
    lambda: metrics.Recall(), lambda: metrics.F1(), lambda: metrics.ConfusionMatrix(),
]  # fmt: skip


@pytest.mark.parametrize("metric", CLASSES)
def test_what_judges_classes_has_no_place_beside_a_loss_of_numbers(metric):
    judge = metric()
    with pytest.raises(ValueError, match=f"Trainer: {judge.name} judges classes"):
        mg.Trainer(mg.nn.Linear(2, 1), loss="mse", metrics=(judge, metrics.MeanAbsoluteError()))
    mg.Trainer(mg.nn.Linear(2, 2), loss="cross_entropy", metrics=(judge,))
    mg.Trainer(mg.nn.Linear(2, 1), loss="mse", metrics=("mae", "mse"))


@pytest.mark.parametrize("inner", [(5,), (2, 3)])
def test_the_largest_of_each_place_of_an_image(inner):
    rng = np.random.default_rng(1)
    output, target = rng.normal(size=(6, 4, *inner)), rng.integers(4, size=(6, *inner))
    flat = np.moveaxis(output, 1, -1).reshape(-1, 4)
    for k in (1, 2, 3):
        best = np.argsort(-flat, axis=1)[:, :k]
        share = (best == target.reshape(-1, 1)).any(axis=1).mean()
        np.testing.assert_allclose(over_batches(metrics.TopKAccuracy(k), output, target), share)


def test_the_first_of_as_many_as_there_are():
    output, target = np.eye(3), np.array([2, 2, 2])
    assert over_batches(metrics.TopKAccuracy(3), output, target) == 1.0
    assert over_batches(metrics.TopKAccuracy(1), output, target) == 1 / 3
    for few in (output[:, :2], output[:, 0]):
        with pytest.raises(ValueError, match="top_3"):
            over_batches(metrics.TopKAccuracy(3), few, target)


def test_the_score_is_that_of_the_accuracy_that_was_given():
    x, y = np.array([[-1.0], [1.0], [3.0], [5.0]], np.float32), np.array([0, 0, 0, 1])
    loss, same = "binary_cross_entropy_with_logits", mg.nn.Linear(1, 1, bias=False)
    same.weight.assign([[1.0]])
    for threshold, score in ((0.0, 0.5), (2.0, 0.75), (4.0, 1.0)):
        trainer = mg.Trainer(same, "sgd", loss, (metrics.Accuracy(threshold),))
        assert trainer.score(x, y) == score
    assert mg.Trainer(same, "sgd", loss, ()).score(x, y) == 0.5


def test_the_score_is_that_of_an_accuracy_of_another_name():
    x, y = np.array([[-1.0], [1.0], [3.0], [5.0]], np.float32), np.array([0, 0, 0, 1])
    loss, same = "binary_cross_entropy_with_logits", mg.nn.Linear(1, 1, bias=False)
    same.weight.assign([[1.0]])
    low, high = metrics.Accuracy(0.0), metrics.Accuracy(4.0)
    low.name, high.name = "low", "high"
    assert mg.Trainer(same, "sgd", loss, (low, high)).score(x, y) == 0.5
    assert mg.Trainer(same, "sgd", loss, (high, low)).score(x, y) == 1.0


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("dtype", [np.int64, bool, np.float32])
def test_the_threshold_goes_with_the_loss_and_belongs_to_class_0(loss, dtype):
    middle = 0.5 if loss == "binary_cross_entropy" else 0.0
    outputs = np.array([[middle - 0.25], [middle], [middle + 2**-20], [middle + 0.25]], np.float32)
    same = mg.nn.Linear(1, 1, bias=False)
    same.weight.assign([[1.0]])
    made = mg.Trainer(same, "sgd", loss)
    right = np.array([0, 0, 1, 1], dtype)
    assert made.score(outputs, right) == made.evaluate(outputs, right)["accuracy"] == 1.0
    for i in range(4):
        wrong = right.copy()
        wrong[i] = 1 - right[i]
        assert made.score(outputs, wrong) == 0.75


def test_yes_and_no_are_classes_too():
    x, y = np.eye(4, dtype=np.float32), np.array([True, False, True, True])
    made = mg.Trainer(mg.nn.Linear(4, 2), "sgd")
    assert made.evaluate(x, y) == made.evaluate(x, y.astype(np.int64))
    assert made.loss.target(y, (4, 2), np.float32).dtype == np.int64
    assert made.loss.target(y.astype(np.int8), (4, 2), np.float32).dtype == np.int8


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, bool])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "smooth_l1_loss", "binary_cross_entropy"])
def test_targets_get_the_shape_and_the_dtype_of_the_outputs(loss, dtype):
    y, made = np.array([0, 1, 1], dtype), mg.Trainer(mg.nn.Linear(2, 1), loss=loss).loss
    for shape, to in (((3, 1), (3, 1)), ((3,), (3,)), ((3, 2), (3,)), ((3, 1, 1), (3,))):
        found = made.target(y, shape, np.float32)
        assert (found.shape, found.dtype) == (to, np.float32)
        np.testing.assert_array_equal(found.ravel(), [0, 1, 1])
    if dtype == np.float32:
        assert made.target(y, (3,), np.float32) is y
    pairs = np.stack([y, y], 1)  # an axis is added at the end alone
    for shape, to in (((3, 2, 1), (3, 2, 1)), ((3, 1, 2), (3, 2)), ((1, 3, 2), (3, 2))):
        assert made.target(pairs, shape, np.float32).shape == to
