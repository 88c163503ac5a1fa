"""A run that is broken off anywhere, saved, and resumed in a new process, ends with the same bits."""

import signal

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import ArrayDataset, Compose, DataLoader, RandomCrop, RandomHorizontalFlip
from minigrad.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
)

X = np.random.default_rng(0).random((43, 1, 4, 4)).astype(np.float32)
Y = (X.mean(axis=(1, 2, 3)) > 0.5).astype(int)


class Interrupts(Callback):
    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def on_batch_end(self, batch):
        if (self.trainer.epoch, batch) == self.at:
            signal.raise_signal(signal.SIGINT)


class Parts:
    """What a script makes at its start, in the first process as in the second."""

    def __init__(self, seed, folder, way):
        mg.manual_seed(seed)
        own = nn.Dropout(0.2, generator=np.random.default_rng(seed))
        layers = [
            nn.Flatten(),
            nn.Linear(16, 12),
            nn.BatchNorm1d(12),
            own,
            nn.ReLU(),
            nn.Dropout(0.3),
        ]
        net = nn.Sequential(*layers, nn.Linear(12, 2))
        self.trainer = mg.Trainer(net, optim.Adam(lr=0.01), metrics=("accuracy", "f1"))
        schedule = optim.lr_scheduler.ExponentialLR(self.trainer.optimizer, 0.8)
        self.stopping = EarlyStopping(patience=50, restore_best_weights=True)
        self.callbacks = [
            LearningRateScheduler(schedule),
            CSVLogger(folder / "log.csv"),
            self.stopping,
        ]
        self.data = {"validation_data": (X[30:], Y[30:])}
        if way == "arrays":
            self.data |= {"x": X[:30], "y": Y[:30], "batch_size": 8}
        else:
            transform = Compose([RandomCrop(4, padding=1), RandomHorizontalFlip()])
            train = ArrayDataset(X[:30], Y[:30])
            own = {} if way == "loader" else {"seed": 5}
            loader = DataLoader(train, 8, shuffle=True, transform=transform, prefetch=2, **own)
            self.data |= {"x": loader}

    def fit(self, *more, epochs=5):
        callbacks = [*self.callbacks, *more]
        return self.trainer.fit(**self.data, epochs=epochs, verbose=0, callbacks=callbacks)

    def end(self, folder):
        state = self.trainer.state_dict()
        arrays = {name: value.numpy() for name, value in state["model"].items()}
        for number, one in state["optimizer"]["state"].items():
            arrays |= {
                f"{number}.{k}": v.numpy() if isinstance(v, mg.Tensor) else np.asarray(v)
                for k, v in one.items()
            }
        text = {
            name: state[name]
            for name in ("epoch", "history", "generator", "own_generators", "loader")
        }
        text["best"] = self.stopping.best, self.stopping.best_epoch, self.stopping.wait
        return arrays, text, (folder / "log.csv").read_text()


def assert_same_end(a, b):
    assert a[0].keys() == b[0].keys()
    for name in a[0]:
        np.testing.assert_array_equal(a[0][name], b[0][name], err_msg=name)
    assert a[1] == b[1]
    assert a[2] == b[2]


@pytest.mark.parametrize("way", ["arrays", "loader", "seeded loader"])
@pytest.mark.parametrize("at", [(0, 0), (2, 1), (2, 3), (4, 3)])
def test_interrupted_and_resumed_bit_for_bit(tmp_path, way, at):
    whole = Parts(1, tmp_path, way)
    whole.fit()
    expected = whole.end(tmp_path)

    first = Parts(1, tmp_path, way)
    first.fit(Interrupts(*at))
    assert first.trainer.interrupted
    assert first.trainer.epoch == at[0]
    first.trainer.save_checkpoint(tmp_path / "run.safetensors")

    second = Parts(99, tmp_path, way)  # another seed: everything must come from the file
    second.trainer.load_checkpoint(tmp_path / "run.safetensors")
    second.fit()
    assert_same_end(second.end(tmp_path), expected)


class StopsIn(Callback):
    """Presses Ctrl-C in the validation of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_begin(self):
        self.handle = self.model.register_forward_hook(self.look)

    def look(self, module, args, output):
        if self.trainer.epoch == self.epoch and not module.training:
            self.epoch = None  # once: a second time would end it at once
            signal.raise_signal(signal.SIGINT)

    def on_train_end(self):
        self.handle.remove()


class Tells(Callback):
    def on_epoch_end(self, epoch, logs):
        logs["loss"] = [1.0, 2.0, 1.5][epoch]


def test_a_resumed_run_knows_its_best_value(tmp_path):
    def made():
        parts = Parts(1, tmp_path, "arrays")
        stop = EarlyStopping("loss", patience=5)
        best = ModelCheckpoint(tmp_path / "best.st", "loss", save_best_only=True)
        each = ModelCheckpoint(tmp_path / "each.st", "loss")
        return parts, stop, [each, best, Tells(), stop]

    parts, _, tools = made()
    parts.fit(*tools, epochs=2)
    (tmp_path / "best.st").unlink()
    parts, stop, tools = made()
    parts.trainer.load_checkpoint(tmp_path / "each.st")  # written after the others had their turn
    parts.fit(*tools, epochs=3)
    assert (stop.best, stop.best_epoch, stop.wait) == (1.0, 0, 2)
    assert not (tmp_path / "best.st").exists()


def test_interrupted_in_the_validation(tmp_path):
    whole = Parts(1, tmp_path, "arrays")
    whole.fit()
    expected = whole.end(tmp_path)
    first = Parts(1, tmp_path, "arrays")
    first.fit(StopsIn(2))
    assert len(first.trainer.history) == 2
    state = first.trainer.state_dict()
    second = Parts(99, tmp_path, "arrays")
    second.trainer.load_state_dict(state)
    second.fit()
    assert_same_end(second.end(tmp_path), expected)


def test_model_checkpoint_writes_a_run_that_goes_on(tmp_path):
    path = tmp_path / "run-{epoch}.safetensors"
    whole = Parts(1, tmp_path, "arrays")
    whole.fit(ModelCheckpoint(path))
    expected = whole.end(tmp_path)
    for epoch in (1, 3):
        second = Parts(99, tmp_path, "arrays")
        second.trainer.load_checkpoint(tmp_path / f"run-{epoch}.safetensors")
        assert second.trainer.epoch == epoch
        second.fit(ModelCheckpoint(tmp_path / "again.safetensors"))
        assert_same_end(second.end(tmp_path), expected)


def test_a_finished_run_stays_finished_and_a_new_one_starts_at_zero(tmp_path):
    parts = Parts(1, tmp_path, "arrays")
    history = parts.fit(epochs=2)
    parts.trainer.load_state_dict(parts.trainer.state_dict())
    assert len(parts.fit(epochs=2)) == 2
    again = parts.fit(epochs=1)
    assert len(again) == 1
    assert len(history) == 2


def test_early_stopping_stays_stopped(tmp_path):
    parts = Parts(1, tmp_path, "arrays")
    parts.callbacks = [EarlyStopping(patience=0, min_delta=9.0)]
    parts.fit(ModelCheckpoint(tmp_path / "run.safetensors"))
    assert parts.trainer.epoch == 2
    second = Parts(1, tmp_path, "arrays")
    second.callbacks = [EarlyStopping(patience=0, min_delta=9.0)]
    second.trainer.load_checkpoint(tmp_path / "run.safetensors")
    assert len(second.fit()) == 2


def test_batches_of_any_kind_resume_at_the_batch(tmp_path):
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 40, 10)]

    class Batches:
        def __iter__(self):
            return iter(batches)

    def make():
        mg.manual_seed(1)
        return mg.Trainer(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), optim.SGD(lr=0.1))

    whole = make()
    whole.fit(Batches(), epochs=3, verbose=0)
    first = make()
    first.fit(Batches(), epochs=3, verbose=0, callbacks=Interrupts(1, 2))
    second = make()
    second.load_state_dict(first.state_dict())
    assert second.fit(Batches(), epochs=3, verbose=0).history == whole.history.history


@pytest.mark.parametrize("first", ["arrays", "batches"])
@pytest.mark.parametrize("then", ["arrays", "batches"])
def test_a_run_goes_on_with_data_of_another_kind_after_an_epoch(first, then):
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 40, 10)]

    class Batches:
        def __iter__(self):
            return iter(batches)

    ways = {
        "arrays": {"x": X[:40], "y": Y[:40], "batch_size": 10, "shuffle": False},
        "batches": {"x": Batches()},
    }

    def run(*kinds):
        mg.manual_seed(1)
        made = mg.Trainer(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), optim.SGD(lr=0.1))
        for epochs, kind in enumerate(kinds, 1):
            if epochs > 1:
                made.load_state_dict(made.state_dict())
            made.fit(**ways[kind], epochs=epochs, verbose=0)
        return made.history.history

    assert run(first, then) == run("arrays", "arrays")


def test_what_does_not_fit_is_told(tmp_path):
    parts = Parts(1, tmp_path, "arrays")
    parts.fit(Interrupts(1, 1))
    parts.trainer.save_checkpoint(tmp_path / "run.safetensors")

    other = mg.Trainer(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="load_state_dict"):
        other.load_checkpoint(tmp_path / "run.safetensors")
    mg.save_checkpoint(tmp_path / "other.safetensors", epoch=3)
    with pytest.raises(
        ValueError,
        match=r"expected what state_dict\(\) returned, a dict with model, optimizer, .*; "
        r"the state has no model, optimizer.*, its keys are \['epoch'\]",
    ):
        other.load_checkpoint(tmp_path / "other.safetensors")

    second = Parts(1, tmp_path, "arrays")
    second.callbacks = second.callbacks[:2]
    second.trainer.load_checkpoint(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="pass them again: EarlyStopping is missing"):
        second.fit()
    second = Parts(1, tmp_path, "arrays")
    second.data["batch_size"] = 10
    second.trainer.load_checkpoint(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="30 samples in batches of 8; this loader has 30 in batch"):
        second.fit()
