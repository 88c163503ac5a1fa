"""Weights of samples and classes, clipped gradients, steps over several batches."""

import functools
import math
import sys
import types

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import callbacks, nn, optim
from minigrad.data import ArrayDataset, DataLoader, default_collate
from minigrad.training.lr_finder import LearningRates, search
from minigrad.training.weights import _class_weights, checked_sample_weight

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(47, 3)).astype(np.float32)
Y = np.where(X[:, 0] > 0.8, 2, (X[:, 1] > 0).astype(int))
WEIGHTS = GENERATOR.uniform(0.0, 3.0, len(X))


def trainer(loss="cross_entropy", outputs=3, optimizer=None, **settings):
    mg.manual_seed(0)
    return mg.Trainer(
        nn.Linear(3, outputs), optimizer or optim.SGD(lr=0.5), loss, metrics=(), **settings
    )


def fitted(made, y=Y, **settings):
    settings = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 2} | settings
    made.fit(X, y, **settings)
    return np.concatenate([p.numpy().ravel() for p in made.model.parameters()])


def by_hand(losses_of, outputs=3, size=10):
    """Two epochs of plain gradient descent on the mean of the weighted losses of each batch."""
    mg.manual_seed(0)
    model = nn.Linear(3, outputs)
    for _ in range(2):
        for i in range(0, len(X), size):
            part = slice(i, i + size)
            model.zero_grad()
            losses_of(model(mg.tensor(X[part])), part).sum().backward()
            for p in model.parameters():
                p.assign(p.numpy() - 0.5 * p.grad.numpy())
    return np.concatenate([p.numpy().ravel() for p in model.parameters()])


# -- weights ---------------------------------------------------------------------------------------

CLASS_WEIGHT = np.array([0.5, 2.0, 4.0], np.float32)


@pytest.mark.parametrize("form", [dict(enumerate(CLASS_WEIGHT.tolist())), CLASS_WEIGHT])
@pytest.mark.parametrize("weighs_samples", [False, True])
def test_losses_are_multiplied_by_the_weights_and_divided_by_their_number(form, weighs_samples):
    w = CLASS_WEIGHT[Y] * (WEIGHTS if weighs_samples else 1.0)

    def losses_of(output, part):
        each = F.cross_entropy(output, mg.tensor(Y[part]), reduction="none")
        return each * w[part].astype(np.float32) / len(each)

    more = {"sample_weight": WEIGHTS} if weighs_samples else {}
    found = fitted(trainer(), class_weight=form, **more)
    np.testing.assert_allclose(found, by_hand(losses_of), rtol=1e-4)
    assert not np.allclose(found, fitted(trainer()), rtol=1e-2)


CLASSES = [
    "cross_entropy", "nll_loss", nn.CrossEntropyLoss(),
    functools.partial(F.cross_entropy, label_smoothing=0.2),
]  # fmt: skip
NUMBERS = ["mse", "huber", functools.partial(F.mse_loss, reduction="sum"), nn.L1Loss()]


@pytest.mark.parametrize(
    "loss",
    [*CLASSES, *NUMBERS, "binary_cross_entropy_with_logits"],
    ids=lambda loss: str(loss)[:30],
)
def test_weights_of_one_change_nothing(loss):
    if loss in CLASSES:
        outputs, y = 3, np.where(np.arange(len(Y)) % 9 == 0, -100, Y)  # some are left out
    else:
        outputs, y = 1, (Y > 0).astype(np.float32)

    def run(**weights):
        return fitted(trainer(loss, outputs, optim.SGD(lr=0.01)), y, **weights)

    plain = run()
    np.testing.assert_allclose(run(sample_weight=np.ones(len(X))), plain, rtol=1e-5, atol=1e-7)
    if loss not in NUMBERS:
        weighted = run(class_weight=dict.fromkeys(range(3 if loss in CLASSES else 2), 1.0))
        np.testing.assert_allclose(weighted, plain, rtol=1e-5, atol=1e-7)


def test_balanced_weights_make_classes_count_alike():
    w = len(Y) / (3 * np.bincount(Y))
    np.testing.assert_allclose(
        fitted(trainer(), class_weight="balanced"), fitted(trainer(), class_weight=w), rtol=1e-6
    )


def test_balanced_weights_count_the_labels_beside_several_inputs():
    made = mg.Trainer(nn.Bilinear(3, 3, 3))
    made.fit((X, X), Y, class_weight="balanced", epochs=1, verbose=0)
    np.testing.assert_allclose(made._weighing.classes, len(Y) / (3 * np.bincount(Y)))


def test_a_class_that_does_not_occur_weighs_nothing_and_hurts_nothing():
    y = np.where(Y == 1, 0, Y)  # 0 and 2 only
    w = [len(y) / (2 * np.count_nonzero(y == 0)), 9.0, len(y) / (2 * np.count_nonzero(y == 2))]
    np.testing.assert_allclose(
        fitted(trainer(), y, class_weight="balanced"),
        fitted(trainer(), y, class_weight=w),
        rtol=1e-6,
    )


def test_batches_in_which_all_is_left_out_change_nothing():
    made = trainer()
    before = [p.numpy().copy() for p in made.model.parameters()]
    after = fitted(made, np.full(len(Y), -100), class_weight={0: 2.0})
    assert made.history.history["loss"] == [0.0] * len(made.history)
    np.testing.assert_array_equal(after, np.concatenate([p.ravel() for p in before]))


def test_weights_go_with_the_samples_they_were_given_for():
    """A sample of weight 0 is as good as absent, wherever shuffling puts it."""
    w = np.where(np.arange(len(X)) < 20, 1.0, 0.0)
    y = np.where(w > 0, Y, (Y + 1) % 3)  # what would be learnt wrongly
    settings = {"batch_size": 47, "epochs": 3, "shuffle": True}
    mixed = trainer()
    mixed.fit(X, y, sample_weight=w, verbose=0, **settings)
    alone = trainer(optimizer=optim.SGD(lr=0.5 * 20 / 47))
    alone.fit(X[:20], Y[:20], verbose=0, **settings)
    for a, b in zip(mixed.model.parameters(), alone.model.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)
    # The loss of validation is not weighted, and a split leaves the weights of the first part.
    split = trainer()
    split.fit(X, Y, sample_weight=w, validation_split=0.5, verbose=0)
    assert split.evaluate(X[23:], Y[23:])["loss"] == pytest.approx(
        split.history.history["val_loss"][-1], rel=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sample_weight": np.ones(46)}, r"one number for each of the 47 samples, got float64 of"),
        ({"sample_weight": -np.ones(47)}, "sample_weight must be finite and not negative"),
        ({"sample_weight": "x"}, "sample_weight"),
        ({"class_weight": {0: 1.0, 1: np.nan}}, "class_weight must be finite and not negative"),
        ({"class_weight": [1.0, 2.0]}, "weights of the classes 0 to 1, and y has class 2"),
        ({"class_weight": {"a": 1.0}}, "must map class numbers to weights, got {'a': 1.0}"),
        ({"class_weight": {3: 2.0}}, "weight of class 3, and the classes go from 0 to 2"),
        ({"class_weight": np.ones(5)}, "weight of class 4, and the classes go from 0 to 2"),
        ({"class_weight": "even"}, "class_weight must be a dict of class to weight, 'balanced'"),
    ],
)
def test_weights_that_do_not_fit_are_told(settings, text):
    with pytest.raises(ValueError, match=f"fit: .*{text}"):
        fitted(trainer(), **settings)


def test_what_cannot_be_weighed_is_told():
    loader = DataLoader(ArrayDataset(X, Y), 10, transform=lambda x: x)
    with pytest.raises(ValueError, match=r"sampler=mg\.data\.WeightedRandomSampler"):
        trainer().fit(loader, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match=r"which loss <lambda> .your own. does not give"):
        fitted(trainer(lambda a, b: F.cross_entropy(a, b)), class_weight={0: 2.0})
    for given in ({2: 5.0}, np.ones(3)):
        with pytest.raises(ValueError, match="weight of class 2, and the classes go from 0 to 1"):
            fitted(trainer("binary_cross_entropy_with_logits", 1), Y % 2, class_weight=given)
    with pytest.raises(ValueError, match="class_weight needs a loss of classes, not mse_loss"):
        fitted(trainer("mse", 1), Y.astype(float), class_weight={0: 2.0})
    with pytest.raises(ValueError, match="counts the integer labels of arrays"):
        trainer().fit(Batches(), class_weight="balanced", verbose=0)


class Batches:
    def __iter__(self):
        return iter([(mg.tensor(X), mg.tensor(Y))])


def test_class_weights_go_with_a_loader():
    found, expected = trainer(), trainer()
    found.fit(Batches(), class_weight={2: 5.0}, verbose=0)
    expected.fit(X, Y, class_weight=[1.0, 1.0, 5.0], batch_size=47, shuffle=False, verbose=0)
    np.testing.assert_array_equal(found.model.weight.numpy(), expected.model.weight.numpy())


# -- clipping and accumulation ---------------------------------------------------------------------


def test_gradients_are_clipped_before_the_step():
    for settings, norm in (({"clip_norm": 0.01}, 2), ({"clip_value": 0.02}, np.inf)):
        made = trainer(optimizer=optim.SGD(lr=1.0), **settings)
        before = np.concatenate([p.numpy().ravel() for p in made.model.parameters()])
        step = fitted(made, epochs=1, batch_size=47) - before
        assert np.linalg.norm(step, norm) == pytest.approx(next(iter(settings.values())), rel=1e-3)
        assert next(iter(settings)) in repr(made)
    with pytest.raises(ValueError, match="clip_norm must be above 0, got 0"):
        trainer(clip_norm=0)


@pytest.mark.parametrize("size", [5, 7, 20])
@pytest.mark.parametrize("known_length", [True, False])
def test_batches_in_one_step_are_as_one_batch(size, known_length):
    """Also the last ones of an epoch: 47 is 2 * 4 * 5 + 5 + 2, 4 * 7 + 2 * 7 + 5, and 2 * 20 + 7."""

    def steps(batch_size, **settings):
        made = trainer(**settings)
        loader = DataLoader(ArrayDataset(X, Y), batch_size)

        class Endless:
            def __iter__(self):
                return iter(loader)

        made.fit(loader if known_length else Endless(), epochs=2, verbose=0)
        return [p.numpy() for p in made.model.parameters()]

    for a, b in zip(steps(size, accumulate=4), steps(4 * size), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 8])
def test_a_step_is_due_after_so_many_batches_and_at_the_end(accumulate):
    made, stepped = trainer(accumulate=accumulate), []
    note = callbacks.LambdaCallback(on_batch_end=lambda _: stepped.append(made.stepped))
    made.fit(X[:35], Y[:35], batch_size=5, epochs=2, verbose=0, callbacks=note)
    due = [number % accumulate == 0 or number == 7 for number in range(1, 8)]
    assert stepped == due * 2


def test_a_second_run_begins_without_the_gradients_of_the_first():
    made = trainer("mse", 1, optim.SGD(lr=1.0))
    found = []
    for _ in range(2):
        for p in made.model.parameters():
            p.assign(np.zeros(p.shape))
        made.fit(X, X[:, :1], batch_size=47, verbose=0, shuffle=False)
        found.append(made.model.weight.numpy())
    np.testing.assert_array_equal(*found)


class StopAt(callbacks.Callback):
    def __init__(self, batch):
        self.batch = batch

    def on_batch_end(self, batch):
        if batch == self.batch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("batch", [0, 2, 3, 8])
def test_a_run_goes_on_between_two_steps_bit_for_bit(batch, tmp_path):
    settings = {"epochs": 2, "batch_size": 5, "verbose": 0}
    whole = trainer(optimizer=optim.Adam(lr=0.1), accumulate=4)
    whole.fit(X, Y, **settings)
    broken = trainer(optimizer=optim.Adam(lr=0.1), accumulate=4)
    broken.fit(X, Y, callbacks=[StopAt(batch)], **settings)
    broken.save_checkpoint(tmp_path / "run.safetensors")
    mg.manual_seed(5)
    again = trainer(optimizer=optim.Adam(lr=0.1), accumulate=4)
    again.load_checkpoint(tmp_path / "run.safetensors")
    again.fit(X, Y, **settings)
    assert again.history.history == whole.history.history
    for a, b in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_schedule_of_steps_counts_steps():
    made = trainer(accumulate=4)
    schedule = optim.lr_scheduler.StepLR(made.optimizer, 1, 0.5)
    each = callbacks.LearningRateScheduler(schedule, every="batch")
    made.fit(X, Y, batch_size=5, verbose=0, callbacks=[each])
    assert schedule.last_epoch == 3  # of 10 batches: 4, 4 and 2


def test_weights_of_classes_by_number():
    assert _class_weights({0: 2.0}, None).tolist() == [2.0]
    assert _class_weights({2: 0.0}, None).tolist() == [1.0, 1.0, 0.0]
    assert _class_weights({0: 2.0}, np.array([1, 3])).tolist() == [2.0, 1.0, 1.0, 1.0]
    assert _class_weights({0: 2.0}, np.zeros(0, int)).tolist() == [2.0]
    assert _class_weights([0, 3], None).tolist() == [0, 3]
    assert _class_weights("balanced", np.array([0, 0, 0, 2, -100])).tolist() == [2 / 3, 2.0, 2.0]
    for labels in (None, np.array([0.0, 1.0]), np.zeros(0, int)):
        with pytest.raises(ValueError, match="class_weight='balanced' counts the integer labels"):
            _class_weights("balanced", labels)
    for wrong in ({}, {-1: 2.0}, {"a": 1.0}, [[1.0]], [-1.0], [np.nan], {0: np.inf}):
        with pytest.raises(ValueError, match="fit: class_weight must"):
            _class_weights(wrong, None)


def test_weights_go_with_batches_of_one_and_with_all_samples():
    x, y = np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])
    made = mg.Trainer(nn.Linear(3, 3, dtype=np.float64), optim.SGD(lr=0.0), metrics=())
    each = F.cross_entropy(mg.tensor(made.predict(x)), y, reduction="none").numpy()
    told = made.fit(x, y, batch_size=1, sample_weight=[1, 0, 3, 2], verbose=0).history["loss"]
    assert told == [pytest.approx((each * [1, 0, 3, 2]).mean())]
    for weights in ([1] * 3, [1] * 5):
        with pytest.raises(ValueError, match="one number for each of the 4 samples"):
            made.fit(x, y, sample_weight=weights, verbose=0)


@pytest.mark.parametrize(
    "loader",
    [
        lambda data: DataLoader([(a, b) for a, b in zip(*data.arrays, strict=True)], 2),
        lambda data: DataLoader(data, 2, collate_fn=default_collate),
        lambda data: DataLoader(data, 2, transform=lambda a: a),
    ],
)
def test_weights_of_samples_go_with_arrays_alone(loader):
    data = ArrayDataset(np.eye(4), np.array([0, 1, 2, 1]))
    made = mg.Trainer(nn.Linear(4, 3), metrics=())
    with pytest.raises(ValueError, match="fit: sample_weight goes with arrays; beside a loader"):
        made.fit(loader(data), sample_weight=[1] * 4, verbose=0)
    made.fit(DataLoader(data, 2), sample_weight=[1] * 4, verbose=0)


def test_weights_of_samples_are_finite_and_not_negative():
    assert checked_sample_weight([0.0, 1], 2, False).tolist() == [0, 1]
    assert checked_sample_weight([1, 2, 3], 2, True).tolist() == [1, 2]
    for wrong in ([1, 2, 3], [1], [[1, 2]], ["a", "b"], 1.0, [-1, 1], [np.inf, 1], [np.nan, 1]):
        with pytest.raises(ValueError, match="fit: sample_weight must be"):
            checked_sample_weight(wrong, 2, False)


# -- the search for a learning rate ----------------------------------------------------------------


def test_a_search_finds_a_rate_that_learns_and_changes_nothing(tmp_path):
    def outcome(rate):
        made = trainer(optimizer=optim.SGD(lr=rate))
        made.fit(X, Y, epochs=1, batch_size=5, verbose=0)
        return made.evaluate(X, Y)["loss"]

    made, other = (trainer(optimizer=optim.Adam(lr=0.01)) for _ in range(2))
    loader = DataLoader(ArrayDataset(X, Y), 5, shuffle=True, seed=3)
    found = made.lr_find(loader, start=1e-5, end=1e3)
    assert found.rates[0] == pytest.approx(1e-5)
    assert np.all(np.diff(np.log(found.rates)) > 0.1)
    assert len(found.losses) == len(found.rates) < 100  # it ends where the loss explodes
    assert outcome(found.suggestion) < min(outcome(found.rates[0]), outcome(found.rates[-1]))
    for one in (made, other):
        one.fit(loader, epochs=2, verbose=0)
        loader = DataLoader(ArrayDataset(X, Y), 5, shuffle=True, seed=3)
    assert made.history.history == other.history.history
    for a, b in zip(made.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    pytest.importorskip("matplotlib")
    figure = found.plot(tmp_path / "rates")  # without a suffix
    found.plot(tmp_path / "rates.svg")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "rates.svg").read_bytes()
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), found.losses)
    assert figure.axes[0].lines[1].get_xdata()[0] == found.suggestion


#: After three losses of 1 it makes the smoothed loss 4.
FOUR_TIMES = 11.317000000000002


@pytest.mark.parametrize(
    "given",
    [
        [3.0, 2.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 40.0, 1.0],  # smoothed, more than four times the least
        [1.0, 1.0, 1.0, 9.0, 9.0],
        [1.0, 1.0, 1.0, 11.0, 1.0],  # 3.9 times
        [1.0, 1.0, 1.0, 12.0, 1.0],  # 4.2 times
        [2.0, 2.0, 2.0, np.inf, 1.0],
        [-1.0, -2.0, 8.0, 50.0, 50.0],  # a loss below 0 says nothing of several times
        [0.0, 0.0, 0.0, 5.0, 5.0],
        [3.0, 1.0, 2.0],
        [0.01, 0.01, 0.01, 0.4, 0.01],
        [1.0, 1.0, 1.0, FOUR_TIMES, 1.0],
        [1.0, 1.0, 1.0, np.nextafter(FOUR_TIMES, 99.0), 1.0],
    ],
    ids=str,
)
def test_a_search_by_hand(given):
    groups, seen, losses = [{"lr": 0.2}, {"lr": 0.1}, {"lr": 0.0}], [], iter(given)

    def step(batch):
        seen.append((batch, [group["lr"] for group in groups]))
        return next(losses)

    found = search(step, ["a", "b"], groups, 1e-3, 10.0, len(given))
    rates, smoothed, total = [], [], 0.0
    for i, loss in enumerate(given):
        if not np.isfinite(loss):
            break
        total = 0.9 * total + (1 - 0.9) * loss
        rates.append(1e-3 * 1e4 ** (i / (len(given) - 1)))
        smoothed.append(total / (1 - 0.9 ** (i + 1)))
        if min(smoothed) > 0 and smoothed[-1] > 4 * min(smoothed):
            break
    assert len(found.rates) == len(rates)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-12)
    np.testing.assert_allclose(found.losses, smoothed, rtol=1e-12)
    assert [batch for batch, _ in seen] == ["a", "b", "a", "b", "a"][: len(seen)]
    for (_, lrs), rate in zip(seen, rates, strict=False):
        np.testing.assert_allclose(lrs, [rate, rate / 2, 0.0])


def test_a_search_needs_three_steps():
    def step(losses):
        waiting = iter(losses)
        return lambda _: next(waiting)

    for finite in (0, 1, 2, 3):
        losses = [1.0] * finite + [np.nan] * 9
        if finite == 3:
            assert len(search(step(losses), "ab", [{"lr": 0.1}], 0.5, 2.0, 5).rates) == 3
            continue
        with pytest.raises(ValueError, match=f"after {finite} steps, .* of 0.5; .* start=0.0005$"):
            search(step(losses), "ab", [{"lr": 0.1}], 0.5, 2.0, 5)
    with pytest.raises(ValueError, match="after 0 steps"):
        search(step([1.0]), [], [{"lr": 0.1}], 0.5, 2.0, 5)
    # Where the first group has a rate of 0, the others go by 1.
    groups = [{"lr": 0.0}, {"lr": 0.25}]
    search(step([1.0] * 3), "ab", groups, 0.5, 2.0, 3)
    assert [group["lr"] for group in groups] == [0.0, 0.5]


def test_a_search_draws_its_batches_and_takes_each_sample_once_an_epoch():
    seen = []

    class Noting(nn.Linear):
        def forward(self, x):
            seen.append(x.numpy()[:, 0])
            return super().forward(x)

    x = np.arange(12.0, dtype=np.float32)[:, None]
    mg.Trainer(Noting(1, 1), loss="mse").lr_find(x, x, batch_size=4, steps=6)
    epochs = np.array(seen[-6:]).reshape(2, 12)
    np.testing.assert_array_equal(np.sort(epochs), [range(12), range(12)])
    assert (np.diff(epochs) != 1).any(axis=1).all()
    assert (epochs[0] != epochs[1]).any()


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = np.logspace(-4, 0, 5)
    assert LearningRates(rates, np.array([4.0, 3.9, 3.0, 2.8, 9.0])).suggestion == rates[2]
    assert LearningRates(rates, np.array([4.0, 3.0, 2.9, 2.8, 2.7])).suggestion == rates[0]
    assert LearningRates(rates, np.array([1.0, 2.0, 3.0, 4.0, 0.5])).suggestion in rates
    assert LearningRates(rates, np.array([4.0, 3.9, 3.8, 1.0, 9.0])).suggestion == rates[3]
    assert LearningRates(rates, np.array([1.0, 2.0, 2.1, 3.0, 4.0])).suggestion == rates[0]
    assert LearningRates(rates, np.array([2.0, 1.0, 0.9, 3.0, 4.0])).suggestion == rates[0]
    shown = repr(LearningRates(rates, np.array([4.0, 3.9, 3.0, 2.8, 9.0])))
    assert shown == "<LearningRates 0.0001 to 1, suggestion 0.01>"


def test_groups_keep_the_ratio_of_their_rates():
    model, seen = nn.Linear(3, 3), []
    optimizer = optim.SGD(
        [{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.3}]
    )
    made = mg.Trainer(model, optimizer)
    step = optimizer.step
    optimizer.step = lambda: (seen.append([g["lr"] for g in optimizer.param_groups]), step())
    made.lr_find(X, Y, steps=3, start=0.01, end=1.0)
    np.testing.assert_allclose(seen, [[0.01, 0.03], [0.1, 0.3], [1.0, 3.0]])
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.3]


def test_an_impossible_search_is_told():
    with pytest.raises(ValueError, match=r"lr_find: end must be above start=0\.1, got 0\.01"):
        trainer().lr_find(X, Y, start=0.1, end=0.01)
    with pytest.raises(ValueError, match=r"lr_find: end must be above start=0\.1, got 0\.1"):
        trainer().lr_find(X, Y, start=0.1, end=0.1)
    broken = trainer(lambda output, target: output.sum() * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"lr_find: .*not finite after 0 steps.*start=1e-09"):
        broken.lr_find(X, Y)


# -- callbacks, and what is shown ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_terminate_on_nan_ends_instead_of_raising(capsys):
    made, ended = (trainer("mse", 1, optim.SGD(lr=1e9)) for _ in range(2))
    with pytest.raises(FloatingPointError, match="is not finite in epoch"):
        fitted(made, Y.astype(float), epochs=9)
    ended.fit(X, Y.astype(float), epochs=9, verbose=2, callbacks=[callbacks.TerminateOnNaN()])
    assert len(ended.history) < 9
    assert ended.stop_training
    assert "Training ended: " in capsys.readouterr().out

    class Raises(callbacks.Callback):
        def on_batch_end(self, batch):
            raise FloatingPointError("mine")

    with pytest.raises(FloatingPointError, match="mine"):
        fitted(trainer(), callbacks=[callbacks.TerminateOnNaN(), Raises()])


def test_a_callback_of_functions_is_called_as_any_other():
    calls = []

    def note(name):
        return lambda *args: calls.append((name, *args[:1]))

    names = ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end")
    made = callbacks.LambdaCallback(**{name: note(name) for name in names})
    fitted(trainer(), epochs=1, batch_size=30, callbacks=made)
    assert calls == [
        ("on_train_begin",), ("on_epoch_begin", 0), ("on_batch_end", 0), ("on_batch_end", 1),
        ("on_epoch_end", 0), ("on_train_end",),
    ]  # fmt: skip
    assert repr(callbacks.LambdaCallback(on_train_end=print)) == "LambdaCallback(on_train_end=...)"


def test_tensorboard_gets_each_number_of_each_epoch(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, *args):
            written.append(args)

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Writer))
    made = trainer()
    board = callbacks.TensorBoard(tmp_path / "a")
    rate = callbacks.LearningRateScheduler(lambda epoch: 0.25)
    made.fit(X, Y, epochs=2, verbose=0, validation_split=0.5, callbacks=[rate, board])
    history = made.history.history
    assert written == [
        (str(tmp_path / "a"), None),
        *[(tag, history[name][epoch], epoch + 1)
          for epoch in range(2)
          for tag, name in (("loss/training", "loss"), ("loss/validation", "val_loss"), ("lr", "lr"))],
        "closed",
    ]  # fmt: skip
    again = trainer()
    again.load_state_dict(made.state_dict())
    again.fit(X, Y, epochs=3, verbose=0, validation_split=0.5, callbacks=[rate, board])
    assert (str(tmp_path / "a"), 3) in written
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        ImportError, match=r"TensorBoard needs tensorboardX: pip install 'minigrad\[t"
    ):
        fitted(trainer(), callbacks=board)


def test_the_best_epoch_is_told_at_the_end(capsys):
    class Tells(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["val_loss"] = [3.0, 1.0, 2.0][epoch]
            logs["val_accuracy"] = [0.1, 0.2, 0.3][epoch]

    made = trainer()
    made.fit(X, Y, epochs=3, verbose=2, callbacks=Tells())
    *_, last = capsys.readouterr().out.splitlines()
    loss = made.history.history["loss"][1]
    assert last == f"Best of 3 epochs: 2  loss {loss:.4f}  val_loss 1.0000  val_accuracy 0.2000"
    stop = callbacks.EarlyStopping("val_accuracy", patience=5)
    made = mg.Trainer(nn.Linear(3, 3), "sgd")
    made.fit(X, Y, epochs=3, verbose=2, validation_split=0.2, callbacks=[Tells(), stop])
    assert "\nBest of 3 epochs: 3  " in capsys.readouterr().out
    fitted(trainer(), epochs=1, verbose=2)
    assert "Best" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([3.0, 1.0], "2  "), ([1.0, 3.0, 1.0], "1  "), ([math.nan, 2.0], "2  "),
        ([math.inf, 2.0], "2  "), ([math.nan, math.inf], None), ([math.nan] * 2, None), ([1.0], None),
        ([np.eye(2), np.eye(2)], None), ([np.ones(2), np.full(2, math.nan)], None),
        ([np.full(2, math.nan)] * 2, None),
    ],
)  # fmt: skip
def test_the_best_epoch_is_told_of_numbers_that_can_be_compared(values, best, capsys):
    class Tells(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["loss"] = values[epoch]

    trainer().fit(X, Y, epochs=len(values), verbose=2, callbacks=Tells())
    told = [t for t in capsys.readouterr().out.splitlines() if t.startswith("Best")]
    assert len(told) == (best is not None)
    for line in told:
        assert line.startswith(f"Best of {len(values)} epochs: {best}loss ")
