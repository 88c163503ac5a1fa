"""Callbacks: when they are called, what they stop, keep and write."""

import csv
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    _learning_rate,
)
from minigrad.training.metrics import best_is_smaller

X = np.random.default_rng(0).normal(size=(20, 2))
Y = (X[:, 0] > 0).astype(int)


def trainer(lr=0.1):
    mg.manual_seed(0)
    return mg.Trainer(nn.Linear(2, 2), optim.SGD(lr=lr))


class Tells(Callback):
    """Replaces a quantity by given values, as if training had gone that way."""

    def __init__(self, *values, name="val_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.values[epoch]


def run(*callbacks, epochs=6, **options):
    one = trainer()
    one.fit(X, Y, epochs=epochs, verbose=0, validation_split=0.5, callbacks=callbacks, **options)
    return one


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_file_that_cannot_be_written_is_told_before_training(tmp_path, weights_only):
    with pytest.raises(ValueError, match=r"ModelCheckpoint: best\.pt: \.pt names another format"):
        ModelCheckpoint(tmp_path / "best.pt", save_weights_only=weights_only)
    missing = ModelCheckpoint(tmp_path / "no" / "{epoch}-{val_loss:.2f}.safetensors")
    calls = []
    with pytest.raises(FileNotFoundError, match=r"ModelCheckpoint: there is no folder .*no; make"):
        run(missing, LearningRateScheduler(lambda epoch: calls.append(epoch) or 0.1))
    assert not calls
    late = ModelCheckpoint(tmp_path / "{epoch}-{lr:.2f}.safetensors")
    run(LearningRateScheduler(lambda epoch: 0.1), late, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["1-0.10.safetensors"]


def test_the_order_of_calls():
    calls = []

    class Notes(Callback):
        def on_train_begin(self):
            calls.append("train")

        def on_epoch_begin(self, epoch):
            calls.append(f"epoch {epoch}")

        def on_batch_end(self, batch):
            calls.append(batch)
            assert self.trainer.logs()["loss"] > 0

        def on_epoch_end(self, epoch, logs):
            calls.append(f"end {epoch}")
            assert {"loss", "accuracy"} == logs.keys()
            assert self.model is self.trainer.model

        def on_train_end(self):
            calls.append("done")

    trainer().fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=[Notes()])
    assert calls == ["train", "epoch 0", 0, 1, "end 0", "epoch 1", 0, 1, "end 1", "done"]


def test_on_train_end_is_called_after_an_error_too():
    class Fails(Callback):
        ended = False

        def on_epoch_begin(self, epoch):
            raise ZeroDivisionError

        def on_train_end(self):
            self.ended = True

    callback = Fails()
    with pytest.raises(ZeroDivisionError):
        run(callback)
    assert callback.ended


# -- EarlyStopping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "epochs"),
    [
        ([3, 2, 1, 1, 1, 1], {}, 4),
        ([3, 2, 1, 1, 1, 1], {"patience": 2}, 5),
        ([3, 2, 3, 1, 3, 0.5], {"patience": 2}, 6),
        ([3, 2.5, 2.2, 2.1, 2, 1], {"min_delta": 0.3}, 3),
        ([1, 2, 3, 3, 2, 1], {"mode": "max"}, 4),
        ([3, 3, 3, 3, 3, 3], {"start_from_epoch": 2}, 4),
        ([5, 4.5, 4.4, 4.3, 4.5, 4], {"baseline": 4, "patience": 2}, 5),
        ([np.nan, 1, 2, 3, 4, 5], {"patience": 2}, 4),
    ],
)
def test_early_stopping(values, options, epochs):
    callback = EarlyStopping(**options)
    one = run(Tells(*values), callback)
    assert one.epoch == epochs
    assert callback.stopped_epoch == (epochs - 1 if epochs < 6 else None)


def test_scores_are_better_when_larger():
    callback = EarlyStopping("val_accuracy", patience=2)
    one = run(Tells(0.5, 0.6, 0.6, 0.6, 0.9, 1.0, name="val_accuracy"), callback)
    assert one.epoch == 4
    assert callback.best == 0.6
    assert callback.best_epoch == 1


@pytest.mark.parametrize("epochs", [4, 10])
def test_the_best_weights_come_back(epochs):
    kept = {}

    class Keeps(Callback):
        def on_epoch_end(self, epoch, logs):
            kept[epoch] = self.model.weight.numpy()

    values = [3.0, 1.0, *range(2, 10)]
    stop = EarlyStopping(patience=5, restore_best_weights=True)
    one = run(Keeps(), Tells(*values), stop, epochs=epochs)
    assert one.epoch == min(epochs, 7)
    np.testing.assert_array_equal(one.model.weight.numpy(), kept[1])
    one = run(Keeps(), Tells(*values), EarlyStopping(patience=5), epochs=epochs)
    np.testing.assert_array_equal(one.model.weight.numpy(), kept[min(epochs, 7) - 1])


def test_a_callback_can_be_used_again():
    stop = EarlyStopping(restore_best_weights=True)
    assert run(Tells(3, 2, 2), stop).epoch == 3
    assert run(Tells(9, 8, 8), stop).epoch == 3


def test_what_is_monitored_must_be_there():
    with pytest.raises(ValueError, match="no 'val_loss' to monitor, only loss, accuracy; pass val"):
        trainer().fit(X, Y, verbose=0, callbacks=EarlyStopping())
    with pytest.raises(ValueError, match="no 'acc' to monitor"):
        trainer().fit(X, Y, verbose=0, callbacks=EarlyStopping("acc"))
    with pytest.raises(ValueError, match="mode must be 'auto' or 'min' or 'max', got 'best'"):
        EarlyStopping(mode="best")
    with pytest.raises(ValueError, match="patience must be 0 or more"):
        EarlyStopping(patience=-1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("val_loss", True), ("val_accuracy", True), ("val_f1", False), ("abc_loss", False), ("val_", False)],
)  # fmt: skip
def test_validation_is_asked_for_where_only_that_is_missing(name, hint):
    with pytest.raises(ValueError, match=f"no '{name}' to monitor, only loss, accuracy") as caught:
        trainer().fit(X, Y, verbose=0, callbacks=EarlyStopping(name))
    assert ("; pass validation_data= or validation_split= to fit" in str(caught.value)) == hint


# -- ModelCheckpoint -------------------------------------------------------------------------------


def test_weights_are_written_after_each_epoch(tmp_path):
    path = tmp_path / "w-{epoch:02d}-{val_loss:.1f}.safetensors"
    one = run(Tells(3, 2, 4), ModelCheckpoint(path, save_weights_only=True), epochs=3)
    names = ["w-01-3.0.safetensors", "w-02-2.0.safetensors", "w-03-4.0.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    last = mg.load(tmp_path / names[2])
    np.testing.assert_array_equal(last["weight"].numpy(), one.model.weight.numpy())


def test_only_the_best_is_written(tmp_path):
    written = []

    class Looks(ModelCheckpoint):
        def on_epoch_end(self, epoch, logs):
            path = tmp_path / "best.safetensors"
            path.unlink(missing_ok=True)
            super().on_epoch_end(epoch, logs)
            written.append(path.exists())

    run(Tells(3, 2, 4, 2, 1, 9), Looks(tmp_path / "best.safetensors", save_best_only=True))
    assert written == [True, True, False, False, True, False]


# -- LearningRateScheduler -------------------------------------------------------------------------


def test_the_learning_rate_follows_a_function():
    one = run(LearningRateScheduler(lambda epoch, lr: lr / 2), epochs=3)
    assert one.history.history["lr"] == [0.05, 0.025, 0.0125]
    one = run(LearningRateScheduler(lambda epoch: 1 / (epoch + 1)), epochs=2)
    assert one.history.history["lr"] == [1, 0.5]
    linear = nn.Linear(3, 3)
    groups = [{"params": [linear.weight], "lr": 0.5}, {"params": [linear.bias], "lr": 0.25}]
    two = mg.Trainer(linear, optim.SGD(groups))
    halve = LearningRateScheduler(lambda epoch, lr: lr / 2)
    two.fit(np.ones((2, 3), np.float32), [0, 1], epochs=2, verbose=0, callbacks=[halve])
    assert [group["lr"] for group in two.optimizer.param_groups] == [0.125, 0.0625]
    assert two.history.history["lr"] == [0.25, 0.125]  # of the first group
    with pytest.raises(ValueError, match="gave -1 for epoch 0"):
        run(LearningRateScheduler(lambda epoch: -1))
    with pytest.raises(TypeError, match="got float"):
        LearningRateScheduler(0.1)


def test_the_learning_rate_follows_a_schedule():
    one = trainer()
    schedule = optim.lr_scheduler.StepLR(one.optimizer, step_size=2, gamma=0.1)
    history = one.fit(X, Y, epochs=5, verbose=0, callbacks=LearningRateScheduler(schedule)).history
    np.testing.assert_allclose(history["lr"], [0.1, 0.1, 0.01, 0.01, 0.001])

    one = trainer()
    schedule = optim.lr_scheduler.ExponentialLR(one.optimizer, gamma=0.5)
    by_batch = LearningRateScheduler(schedule, every="batch")
    one.fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=by_batch)
    assert one.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 2**4)

    one = trainer()
    schedule = optim.lr_scheduler.ReduceLROnPlateau(one.optimizer, factor=0.1, patience=0)
    callbacks = [Tells(3, 2, 2, 1, name="loss"), LearningRateScheduler(schedule, monitor="loss")]
    history = one.fit(X, Y, epochs=4, verbose=0, callbacks=callbacks).history
    np.testing.assert_allclose(history["lr"], [0.1, 0.1, 0.1, 0.01])


def test_a_schedule_of_another_optimizer_is_refused():
    schedule = optim.lr_scheduler.StepLR(trainer().optimizer, 2)
    with pytest.raises(ValueError, match="another optimizer"):
        run(LearningRateScheduler(schedule))


# -- CSVLogger -------------------------------------------------------------------------------------


def test_a_row_for_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    one = run(CSVLogger(path), epochs=3)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["val_loss"]) for row in rows] == one.history.history["val_loss"]
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


# -- what a callback that watches a quantity does, written down once more --------------------------


def stopped_by_hand(values, smaller, min_delta, patience, baseline, start):
    """The epoch at which training ends, if it does, and the best one."""
    best, best_epoch, wait = None, None, 0
    for epoch, value in enumerate(values):
        if epoch < start:
            continue
        wait += 1
        gain = None if best is None else (best - value if smaller else value - best)
        if gain is None or gain > min_delta:
            best, best_epoch = value, epoch
            if baseline is None or (value < baseline if smaller else value > baseline):
                wait = 0
        elif wait >= max(patience, 1):
            return epoch, best_epoch
    return None, best_epoch


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("baseline", [None, 0.5])
@pytest.mark.parametrize("patience", [0, 1, 2, 3])
@pytest.mark.parametrize("min_delta", [0.0, 0.25])
@pytest.mark.parametrize(
    ("monitor", "mode", "smaller"),
    [("loss", "auto", True), ("val_accuracy", "auto", False), ("x", "min", True), ("x", "max", False)],
)  # fmt: skip
def test_training_ends_where_it_ends_by_hand(
    monitor, mode, smaller, min_delta, patience, baseline, start
):
    rng = np.random.default_rng(0)
    early = EarlyStopping(monitor, min_delta, patience, mode, baseline, start_from_epoch=start)
    for _ in range(12):
        values = (rng.integers(0, 9, 12) / 8).tolist()  # equal ones, too, and steps of min_delta
        early.trainer = types.SimpleNamespace(
            resumed=False, quantities=[monitor], stop_training=False
        )
        early.on_train_begin()
        for epoch, value in enumerate(values):
            early.on_epoch_end(epoch, {monitor: value})
            if early.trainer.stop_training:
                break
        ended, best = stopped_by_hand(values, smaller, min_delta, patience, baseline, start)
        assert (early.stopped_epoch, early.best_epoch) == (ended, best)
        assert early.trainer.stop_training == (ended is not None)
        early.trainer.resumed = True  # and then nothing is forgotten
        early.on_train_begin()
        assert early.best_epoch == best


def test_losses_are_better_when_smaller_and_scores_when_larger():
    for name in ("loss", "mae", "mse", "error", "lr"):
        assert best_is_smaller(name)
        assert best_is_smaller(f"val_{name}")
    for name in ("accuracy", "precision_1", "recall", "f1", "auc", "my_score", "top_5"):
        assert not best_is_smaller(name)
        assert not best_is_smaller(f"val_{name}")


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (lambda epoch: 0.5 / (1 + epoch), 0.125),
        (lambda epoch, lr: lr / 2, 0.4),
        (lambda *given: sum(given), 3.8),
        (lambda epoch, *, scale=3: scale, 3.0),
        (lambda _: 0, 0.0),
        (lambda _: np.float32(0.25), 0.25),
        (lambda _: -1e-9, None),
        (lambda _: float("inf"), None),
        (lambda _: float("nan"), None),
        (lambda _: "0.1", None),
    ],
)
def test_a_function_of_the_epoch_gives_a_rate(schedule, rate):
    if rate is None:
        with pytest.raises(ValueError, match="for epoch 3, expected a learning rate of at least 0"):
            _learning_rate(schedule, 3, 0.8)
        return
    found = _learning_rate(schedule, 3, 0.8)
    assert (type(found), found) == (float, pytest.approx(rate))
