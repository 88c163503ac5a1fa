"""Bad input: each mistake is told before the first step, with the numbers, and harms nothing."""

import re

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader, Subset
from minigrad.training import batches, progress

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 4


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


class Reshapes(nn.Module):
    """Gives outputs of some wrong shape."""

    def __init__(self, change):
        super().__init__()
        self.linear, self.change = nn.Linear(3, 4), change

    def forward(self, x):
        return self.change(self.linear(x))


CASES = {
    "lengths": (X, Y[:39], {}, ValueError, "x has 40 samples and y has 39"),
    "empty": (X[:0], Y[:0], {}, ValueError, r"x is empty: its shape is \(0, 3\)"),
    "no features": (X[:, :0], Y, {}, ValueError, r"x is empty: its shape is \(40, 0\)"),
    "a number": (3.0, Y, {}, ValueError, "x is empty"),
    "nan in x": (
        changed(X, (33, 1), np.nan), Y, {}, ValueError,
        r"x: 1 of 120 values are not finite, the first is nan at index \(33, 1\)",
    ),
    "inf in x": (changed(X, 5, np.inf), Y, {}, ValueError, "3 of 120 values are not finite"),
    "label too large": (
        X, changed(Y, [20, 39], [4, 7]), {}, ValueError,
        "4 outputs, so labels go from 0 to 3; 2 of 40 are outside, from 0 to 7, the first at index 20",
    ),
    "label too small": (X, changed(Y, 39, -1), {}, ValueError, "1 of 40 are outside, from -1 to 3"),
    "labels from 1": (X, Y + 1, {}, ValueError, "10 of 40 are outside, from 1 to 4"),
    "float labels": (X, Y.astype(float), {}, TypeError, r"integer class indices, got float64; pass y\.astype"),
    "one-hot": (X, np.eye(4, dtype=int)[Y], {}, TypeError, r"looks one-hot: pass y\.argmax\(1\)"),
    "column": (X, Y[:, None], {}, ValueError, r"class indices \(N,\), got \(40, 1\); pass y\.ravel\(\)"),
    "text": (X, np.array(["a"] * 40), {}, TypeError, "expected arrays of numbers"),
    "no targets": (X, None, {}, ValueError, "targets are missing: pass y"),
    "targets twice": (DataLoader(ArrayDataset(X, Y)), Y, {}, ValueError, "leave y out beside a loader"),
    "unlabelled loader": (DataLoader(X, 8), None, {}, ValueError, r"expected arrays x and y, or batches \(x, y\)"),
    "iterator": (iter([(X, Y)]), None, {}, TypeError, "used up after one pass"),
    "empty loader": (
        DataLoader(ArrayDataset(X, Y), 50, drop_last=True), None, {}, ValueError,
        "no batch: 40 samples, batch_size=50, drop_last=True",
    ),
    "nan behind the first batch": (
        DataLoader(ArrayDataset(changed(X, 39, np.nan), Y), 8), None, {}, ValueError,
        r"the first is nan at index \(39, 0\)",
    ),
    "label behind the first batch": (
        DataLoader(ArrayDataset(X, changed(Y, 39, 9)), 8), None, {}, ValueError, "from 0 to 9",
    ),
    "negative epochs": (X, Y, {"epochs": -1}, ValueError, "epochs must be 0 or more, got -1"),
    "epochs in part": (X, Y, {"epochs": 2.5}, TypeError, "epochs must be an int, got 2.5"),
    "batch size in part": (X, Y, {"batch_size": 2.5}, TypeError, "batch_size must be an int, got 2.5"),
    "no callback": (X, Y, {"callbacks": [3]}, TypeError, "a callback is a .*, got 3"),
    "batch size": (X, Y, {"batch_size": 0}, ValueError, "at least 1, got 0"),
    "verbose": (X, Y, {"verbose": 3}, ValueError, '0 .silent., 1 .bar., 2 .lines. or "auto", got 3'),
    "split of 1": (X, Y, {"validation_split": 1.0}, ValueError, r"in \[0, 1\), got 1.0"),
    "split of nothing": (X[:2], Y[:2], {"validation_split": 0.9}, ValueError, "leaves 0 of 2 samples to train on and 2"),
    "split of a loader": (
        DataLoader(ArrayDataset(X, Y)), None, {"validation_split": 0.5}, ValueError, "needs arrays",
    ),
    "negative split": (X, Y, {"validation_split": -0.5}, ValueError, r"in \[0, 1\), got -0.5"),
    "two validations": (
        X, Y, {"validation_split": 0.5, "validation_data": (X, Y)}, ValueError, "not both",
    ),
    "split of other lengths": (X, Y[:39], {"validation_split": 0.5}, ValueError, "x has 40 samples and y has 39"),
    "validation labels": (
        X, Y, {"validation_data": (X, Y + 9)}, ValueError, "validation y: the model has 4 outputs",
    ),
    "validation nan": (
        X, Y, {"validation_data": (changed(X, 0, np.nan), Y)}, ValueError, "validation x: 3 of 120",
    ),
    "validation of three": (X, Y, {"validation_data": (X, Y, Y)}, ValueError, r"\(x, y\) or a loader, got 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_data_are_told_before_the_first_step(name):
    x, y, options, error, message = CASES[name]
    net = nn.Linear(3, 4)
    before = net.weight.numpy()
    trainer = mg.Trainer(net, optim.SGD(lr=1.0))
    with pytest.raises(error, match=message):
        trainer.fit(x, y, **{"verbose": 0, **options})
    np.testing.assert_array_equal(net.weight.numpy(), before)
    assert len(trainer.history) == 0


OUTPUTS = {
    "one output for classes": ("cross_entropy", lambda out: out[:, :1], Y, ValueError, r"one output per class.*gives \(32, 1\)"),
    "no class axis": ("cross_entropy", lambda out: out[:, 0], Y, ValueError, r"gives \(32,\)"),
    "samples lost": ("cross_entropy", lambda out: out.mean(axis=0, keepdims=True), Y, ValueError, "first axis must be the samples"),
    "two tensors": ("cross_entropy", lambda out: (out, out), Y, TypeError, "gives tuple, expected one tensor"),
    "regression": ("mse", lambda out: out, X, ValueError, r"the model gives \(N, 4\) and y is \(N, 3\)"),
    "regression of one": ("mse", lambda out: out, Y, ValueError, r"the model gives \(N, 4\) and y is \(N,\)"),
    "pixels": ("cross_entropy", lambda out: mg.stack([out, out], 2), Y, ValueError, r"for outputs \(N, 4, 2\) .* class indices \(N, 2\), got \(40,\)$"),
    "pixels in a column": ("cross_entropy", lambda out: mg.stack([out, out], 2), Y[:, None], ValueError, r"class indices \(N, 2\), got \(40, 1\)$"),
    "two labels": ("cross_entropy", lambda out: out, Y.reshape(40, 1) * [1, 1], ValueError, r"class indices \(N,\), got \(40, 2\)$"),
    "one for many": ("mse", lambda out: out[:, :1], np.zeros((40, 5)), ValueError, r"the model gives \(N, 1\) and y is \(N, 5\)"),
    "no broadcasting": ("mse", lambda out: out[:, 0], Y[:, None], ValueError, r"gives \(N,\) and y is \(N, 1\)"),
    "binary": ("binary_cross_entropy_with_logits", lambda out: out[:, 0], Y, ValueError, "targets from 0 to 1, got 0 to 3"),
    "no scalar": (lambda a, b: a[:, 0], lambda out: out, Y, TypeError, r"expected a scalar tensor, got shape \(32,\)"),
    "no tensor": (lambda a, b: 1.0, lambda out: out, Y, TypeError, "expected a scalar tensor, got float"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_that_do_not_fit_the_loss(name):
    loss, change, y, error, message = OUTPUTS[name]
    net = Reshapes(change)
    before = net.linear.weight.numpy()
    with pytest.raises(error, match=message):
        mg.Trainer(net, optim.SGD(lr=1.0), loss, metrics=()).fit(X, y, verbose=0)
    np.testing.assert_array_equal(net.linear.weight.numpy(), before)


def test_a_metric_that_does_not_fit_is_told_before_the_first_step():
    begun = mg.callbacks.LambdaCallback(on_train_begin=lambda: pytest.fail("training began"))
    for metric, text in (("top_5", "at least 5 classes"), (lambda a, b: float("x"), "convert")):
        made = mg.Trainer(nn.Linear(3, 4), metrics=["accuracy", metric])
        with pytest.raises((ValueError, TypeError), match=text):
            made.fit(X, Y, verbose=0, callbacks=begun)


@pytest.mark.parametrize("chosen", [None, np.arange(30)])
def test_a_data_set_is_cut_into_batches_as_its_arrays_are(chosen):
    data, weights = ArrayDataset(X, Y), []
    part = slice(None) if chosen is None else chosen
    whole = data if chosen is None else Subset(data, chosen)
    for given in ((whole,), (X[part], Y[part])):
        mg.manual_seed(3)
        made = mg.Trainer(nn.Linear(3, 4), "sgd")
        made.fit(*given, batch_size=7, verbose=0)
        weights.append(made.model.weight.numpy())
    np.testing.assert_array_equal(*weights)
    with pytest.raises((ValueError, TypeError)):
        made.fit(whole, Y, verbose=0)


def test_evaluate_predict_and_score_check_too():
    trainer = mg.Trainer(nn.Linear(3, 4))
    with pytest.raises(ValueError, match="x has 40 samples and y has 39"):
        trainer.fit(X, Y[:39], validation_split=0.25, verbose=0)
    for call in (trainer.evaluate, trainer.score):
        with pytest.raises(ValueError, match="x has 40 samples and y has 39"):
            call(X, Y[:39])
        with pytest.raises(ValueError, match="labels go from 0 to 3"):
            call(X, Y + 1)
    with pytest.raises(ValueError, match="x is empty"):
        trainer.predict(X[:0])
    with pytest.raises(ValueError, match="no batch to predict"):
        trainer.predict(DataLoader(X[:0], 4))


@pytest.mark.parametrize("wrong", [-0.5, -1, 1.25, 2])
def test_targets_of_yes_and_no_are_from_0_to_1(wrong):
    for loss in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        made = mg.Trainer(nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), loss=loss, metrics=())
        made.evaluate(X, np.linspace(0.0, 1.0, 40))
        y = np.zeros(40)
        y[7] = wrong
        with pytest.raises(ValueError, match=f"{loss} takes targets from 0 to 1, got"):
            made.evaluate(X, y)


@pytest.mark.parametrize("place", [0, 1, 3, 4, 7, 10])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_found_anywhere(place, wrong):
    from minigrad.training import losses

    array = np.arange(11.0)
    losses.check_finite(array, "x")
    array[place] = wrong
    with pytest.raises(ValueError, match=f"x: 1 of 11 values are not finite, .* at index {place};"):
        losses.check_finite(array, "x")


def test_shape_errors_name_the_layer():
    trainer = mg.Trainer(nn.Sequential(nn.Linear(3, 5), nn.Linear(4, 4)))
    with pytest.raises(ValueError, match=r"1 \(Linear\): expected 4 features, got 5"):
        trainer.fit(X, Y, verbose=0)


def test_names_and_objects_that_nobody_knows():
    net = nn.Linear(3, 4)
    with pytest.raises(ValueError, match=r"unknown optimizer 'adamm'; known are .*sgd.*adamw"):
        mg.Trainer(net, "adamm")
    with pytest.raises(ValueError, match="unknown loss 'crossentropy'; known are cross_entropy, "):
        mg.Trainer(net, loss="crossentropy")
    with pytest.raises(ValueError, match="unknown metric 'acc'; known are accuracy"):
        mg.Trainer(net, metrics=("acc",))
    with pytest.raises(TypeError, match=r"a class or an object of minigrad\.optim, got float"):
        mg.Trainer(net, 0.1)
    with pytest.raises(TypeError, match=r"function of \(output, target\), got float; known names"):
        mg.Trainer(net, loss=0.1)
    with pytest.raises(TypeError, match=r"model must be a Module, got <function"):
        mg.Trainer(lambda x: x)
    with pytest.raises(ValueError, match="two quantities are called 'accuracy'"):
        mg.Trainer(net, metrics=("accuracy", "accuracy"))
    with pytest.raises(ValueError, match="accuracy judges classes"):
        mg.Trainer(net, loss="mse", metrics="accuracy")
    with pytest.raises(ValueError, match="ReLU has no parameters to train"):
        mg.Trainer(nn.ReLU())
    with pytest.raises(ValueError, match="SGD holds 2 parameters, none of them of this Linear"):
        mg.Trainer(net, optim.SGD(nn.Linear(3, 4).parameters(), lr=0.1))


def test_cross_entropy_takes_probabilities_of_classes_and_nll_loss_does_not():
    probabilities = np.eye(4)[Y]
    history = mg.Trainer(nn.Linear(3, 4), metrics=()).fit(X, probabilities, epochs=1, verbose=0)
    assert len(history) == 1
    with pytest.raises(TypeError, match="looks one-hot"):
        mg.Trainer(nn.Linear(3, 4), loss="nll_loss", metrics=()).fit(X, probabilities, verbose=0)


@pytest.mark.parametrize("label", [0, 1])
def test_targets_of_one_class_are_allowed(label):
    net = mg.Trainer(nn.Linear(3, 1), loss="binary_cross_entropy_with_logits")
    assert len(net.fit(X, np.full(40, label), epochs=1, verbose=0)) == 1


def test_labels_to_be_ignored_are_allowed():
    trainer = mg.Trainer(nn.Linear(3, 4), metrics=())
    y = changed(Y, 3, -100)
    expected = F.cross_entropy(mg.tensor(trainer.predict(X)), mg.tensor(y)).item()
    assert trainer.evaluate(X, y, batch_size=40)["loss"] == pytest.approx(expected)


def test_the_trial_batch_leaves_no_trace():
    mg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    loader = DataLoader(ArrayDataset(X, Y), 8, shuffle=True, seed=3)
    before = mg.engine.random.default_generator().bit_generator.state
    mg.Trainer(net).fit(loader, epochs=0, verbose=0)
    assert mg.engine.random.default_generator().bit_generator.state == before
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])
    first = next(iter(loader))[1].numpy()
    np.testing.assert_array_equal(
        first, next(iter(DataLoader(ArrayDataset(X, Y), 8, shuffle=True, seed=3)))[1].numpy()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_a_fraction_bits_and_images_come_in_the_dtype_of_the_model(dtype):
    for given in "?BbHhIiLlQqefd":
        x = np.ones(3, given)
        found = batches.model_input(x, np.dtype(dtype))
        assert found.dtype == (dtype if given in "?Befd" else x.dtype)
        np.testing.assert_array_equal(found.numpy(), x)


def test_an_input_is_named_by_its_place_if_there_are_several():
    bad = np.ones((4, 2))
    bad[1, 1] = np.nan
    for x, name in ((bad, "x"), ((bad,), "x"), ((bad, bad), "x[0]"), ((np.ones(4), bad), "x[1]")):
        with pytest.raises(
            ValueError, match=rf"(^|: ){re.escape(name)}: 1 of 8 values are not finite"
        ):
            mg.Trainer(nn.Linear(2, 1), loss="mse").fit(x, np.ones((4, 1)), verbose=0)


class Scaled(nn.Linear):
    def forward(self, *factors):
        return super().forward(factors[0] * factors[1])


@pytest.mark.parametrize("first", [False, True])
def test_a_part_of_a_batch_may_be_one_number(first):
    x, y = np.arange(12.0, dtype=np.float32).reshape(6, 2) / 10, np.arange(6) % 3

    def trained(model, loader):
        for i, p in enumerate(model.parameters()):
            p.assign(np.full(p.shape, 0.1 * i, np.float32))
        mg.Trainer(model, optim.SGD(lr=0.1)).fit(loader, epochs=2, verbose=0)
        return model.weight.numpy()

    class Loader:
        def __init__(self, *parts):
            self.parts = parts

        def __iter__(self):
            return (tuple([p[i : i + 2] if p.ndim else p for p in self.parts]) for i in (0, 2, 4))

    expected = trained(nn.Linear(2, 3), Loader(2 * x, y))
    parts = [x, np.array(2.0, np.float32)]
    found = trained(Scaled(2, 3), Loader(*(parts[::-1] if first else parts), y))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_epoch_without_a_batch_is_told():
    class Once:
        """Batches of one epoch."""

        parts = ((X[:4], Y[:4]),)

        def __iter__(self):
            return iter(self.parts)

    loader = Once()
    used_up = mg.callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(loader, "parts", ()))
    made = mg.Trainer(nn.Linear(X.shape[1], int(Y.max()) + 1))
    with pytest.raises(ValueError, match="fit: epoch 2 had no batch; an iterator is used up"):
        made.fit(loader, epochs=3, verbose=0, callbacks=used_up)


def test_each_batch_is_shown_by_its_number(monkeypatch):
    shown = []

    class Noting(progress.Progress):
        def begin(self, epoch, epochs, total, done):
            shown.append((epoch, epochs, total, done))

        def step(self, batch, logs):
            shown.append(batch)

    monkeypatch.setattr("minigrad.training.trainer.progress", lambda verbose: Noting())
    mg.Trainer(nn.Linear(2, 1), loss="mse").fit(np.ones((5, 2)), np.ones(5), batch_size=2, epochs=2)
    assert shown == [(0, 2, 3, 0), 0, 1, 2, (1, 2, 3, 0), 0, 1, 2]
