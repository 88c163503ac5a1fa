"""Trainer: the same steps as by hand, right values, honest modes, clean ends."""

import functools
import os
import re
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.training import batches, progress
from minigrad.training.callbacks import Callback


@pytest.fixture
def points():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 3)).astype(np.float32)
    return x, (x @ generator.normal(size=(3, 4))).argmax(1)


def model(seed=0, dropout=0.0, outputs=4):
    mg.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, outputs))


def weights(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# -- training --------------------------------------------------------------------------------------


def test_fit_takes_the_steps_of_a_loop_by_hand(points):
    x, y = points
    trainer = mg.Trainer(model(), optim.SGD(lr=0.1, momentum=0.9))
    history = trainer.fit(x, y, epochs=3, batch_size=16, verbose=0, shuffle=False)

    hand = model()
    optimizer = optim.SGD(hand.parameters(), lr=0.1, momentum=0.9)
    losses, right = [], []
    for _ in range(3):
        total = hits = 0.0
        for start in range(0, 50, 16):
            xb, yb = x[start : start + 16], y[start : start + 16]
            output = hand(mg.tensor(xb))
            loss = F.cross_entropy(output, mg.tensor(yb))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(xb)
            hits += (output.numpy().argmax(1) == yb).sum()
        losses.append(total / 50)
        right.append(hits / 50)
    assert_same(weights(trainer.model), weights(hand))
    assert history.history == {"loss": losses, "accuracy": right}
    assert trainer.history is history
    assert trainer.epoch == len(history) == 3


def test_the_same_seed_gives_the_same_bits(points):
    x, y = points
    found = []
    for seed in (1, 1, 2):
        trainer = mg.Trainer(model(seed, dropout=0.5))
        trainer.fit(x, y, epochs=2, batch_size=8, verbose=0, validation_split=0.2)
        found.append((trainer.history.history, weights(trainer.model)))
    assert found[0][0] == found[1][0]
    assert_same(found[0][1], found[1][1])
    assert found[0][0] != found[2][0]


def test_arrays_and_a_loader_train_alike(points):
    x, y = points
    one, other = mg.Trainer(model()), mg.Trainer(model())
    mg.manual_seed(5)
    one.fit(x, y, epochs=2, batch_size=16, verbose=0)
    mg.manual_seed(5)
    loader = DataLoader(ArrayDataset(x, y), 16, shuffle=True, prefetch=2)
    other.fit(loader, epochs=2, verbose=0)
    assert_same(weights(one.model), weights(other.model))


def test_evaluate_is_right_with_a_smaller_last_batch(points):
    x, y = points
    trainer = mg.Trainer(model(dropout=0.5), metrics=("accuracy", "confusion_matrix"))
    found = trainer.evaluate(x, y, batch_size=16)
    output = trainer.predict(x, batch_size=7)
    assert found["loss"] == pytest.approx(F.cross_entropy(mg.tensor(output), mg.tensor(y)).item())
    assert found["accuracy"] == (output.argmax(1) == y).mean() == trainer.score(x, y)
    assert found["confusion_matrix"].sum() == 50
    assert trainer.evaluate(DataLoader(ArrayDataset(x, y), 9)).keys() == found.keys()


def test_validation_split_is_the_last_part_and_never_trained_on(points):
    x, y = points
    split = mg.Trainer(model())
    mg.manual_seed(3)
    a = split.fit(x, y, epochs=2, validation_split=0.25, verbose=0).history
    given = mg.Trainer(model())
    mg.manual_seed(3)
    b = given.fit(x[:37], y[:37], epochs=2, validation_data=(x[37:], y[37:]), verbose=0).history
    assert list(a) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert a == b
    assert a["val_loss"][-1] == given.evaluate(x[37:], y[37:])["loss"]


def test_predict_makes_no_graph_and_keeps_modes_and_statistics(points):
    x, _ = points
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    net[1].eval()
    trainer = mg.Trainer(net)
    made = []
    net.register_forward_hook(lambda module, args, output: made.append(output.requires_grad))
    output = trainer.predict(x)
    assert isinstance(output, np.ndarray)
    assert output.shape == (50, 2)
    assert made == [False, False]
    assert [m.training for m in net.modules()] == [True, True, False, True]
    np.testing.assert_array_equal(output, trainer.predict(DataLoader(x, 4)))


def test_fit_restores_the_modes_and_trains_in_training_mode(points):
    x, y = points
    net = model(dropout=0.5).eval()
    seen = []
    net[2].register_forward_hook(lambda module, args, output: seen.append(module.training))
    mg.Trainer(net).fit(x, y, epochs=1, batch_size=25, validation_split=0.5, verbose=0)
    # a trial batch of each part, then a step, then the validation
    assert seen == [False, False, True, False]
    assert not any(m.training for m in net.modules())


def test_float64_uint8_and_lists_become_the_models_dtype():
    x = np.random.default_rng(0).integers(256, size=(10, 3))
    for given in (x.astype(np.uint8), x.astype(np.float64), x.astype(float).tolist()):
        trainer = mg.Trainer(model())
        trainer.fit(given, np.arange(10) % 4, verbose=0)
        assert trainer.predict(given).dtype == np.float32


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.numbers = nn.Linear(2, 3), nn.Linear(4, 3)

    def forward(self, a, b):
        return self.words(a) + self.numbers(b)


def test_a_model_of_several_inputs():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(20, 2)), generator.normal(size=(20, 4))
    y = (a[:, 0] > 0) + (b[:, 0] > 0).astype(int)
    trainer = mg.Trainer(Twice(), optim.Adam(lr=0.1))
    history = trainer.fit((a, b), y, epochs=20, validation_split=0.2, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    assert trainer.predict((a, b)).shape == (20, 3)
    loader = DataLoader(ArrayDataset(a, b, y), 8)
    np.testing.assert_array_equal(trainer.predict(loader), trainer.predict((a, b), batch_size=8))


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "smooth_l1_loss", nn.MSELoss(), F.mse_loss]
)
def test_regression_takes_targets_of_one_axis_for_one_output(loss):
    x = np.linspace(-1, 1, 40)[:, None]
    noise = np.random.default_rng(0).normal(scale=0.1, size=40)
    y = 3 * x[:, 0] - 1 + noise  # (N,) and float64, for outputs (N, 1) of float32
    trainer = mg.Trainer(nn.Linear(1, 1), optim.Adam(lr=0.1), loss, metrics=("mae", "mse"))
    history = trainer.fit(x, y, epochs=60, batch_size=8, verbose=0).history
    assert history["mae"][-1] < 0.15
    found = trainer.evaluate(x, y, batch_size=7)
    error = trainer.predict(x)[:, 0] - y
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert found["mse"] == pytest.approx((error**2).mean(), rel=1e-4)
    with pytest.raises(ValueError, match="accuracy of a classifier"):
        trainer.score(x, y)


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "binary_cross_entropy"])
def test_binary_classification(loss, column):
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    y = y[:, None] if column else y
    layers = [nn.Linear(2, 1)] + [nn.Sigmoid()] * (loss == "binary_cross_entropy")
    trainer = mg.Trainer(
        nn.Sequential(*layers), optim.Adam(lr=0.1), loss, metrics=("accuracy", "f1")
    )
    history = trainer.fit(x, y, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.95
    assert history["f1"][-1] > 0.95
    assert trainer.score(x, y) > 0.95


def test_losses_may_be_functions_with_arguments(points):
    x, y = points
    loss = functools.partial(F.cross_entropy, label_smoothing=0.1)
    trainer = mg.Trainer(model(), "sgd", loss)
    assert [m.name for m in trainer.metrics] == ["accuracy"]
    expected = loss(mg.tensor(trainer.predict(x)), mg.tensor(y)).item()
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(expected)

    def own(output, target):
        return (output[:, 0] - 1.0).abs().mean() + 0.0 * target.sum()

    trainer = mg.Trainer(model(), optim.Adam(lr=0.05), own)
    assert trainer.metrics == []
    assert trainer.fit(x, y, epochs=20, verbose=0).history["loss"][-1] < 0.2


@pytest.mark.parametrize("given", ["adam", "SGD", optim.RMSprop, optim.Adam(lr=0.01)])
def test_optimizers_by_name_class_or_object(points, given):
    trainer = mg.Trainer(model(), given)
    held = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(p) for p in trainer.model.parameters()]
    before = weights(trainer.model)
    trainer.fit(*points, verbose=0)
    assert all((before[name] != value).any() for name, value in weights(trainer.model).items())


def test_frozen_parameters_stay(points):
    net = model()
    net[0].requires_grad_(False)
    before = weights(net)
    mg.Trainer(net).fit(*points, verbose=0)
    after = weights(net)
    assert (before["0.weight"] == after["0.weight"]).all()
    assert (before["3.weight"] != after["3.weight"]).any()


def test_lazy_layers_take_their_size_from_the_data(points):
    x, y = points
    trainer = mg.Trainer(nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(4)))
    trainer.fit(x, y, epochs=1, verbose=0)
    assert trainer.model[0].weight.shape == (8, 3)


def test_an_epoch_of_any_batches(points):
    x, y = points
    batches = [(x[:20], y[:20]), (x[20:], y[20:])]

    class Batches:
        def __iter__(self):
            return iter(batches)

    trainer = mg.Trainer(model(), metrics=())
    assert len(trainer.fit(Batches(), epochs=3, validation_data=Batches(), verbose=0)) == 3


# -- ends ------------------------------------------------------------------------------------------


class Interrupts(Callback):
    """Presses Ctrl-C after some batch."""

    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def on_batch_end(self, batch):
        if (self.trainer.epoch, batch) == self.at:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_after_the_step_and_keeps_the_history(points, capsys):
    x, y = points
    before = signal.getsignal(signal.SIGINT)
    trainer = mg.Trainer(model())
    history = trainer.fit(x, y, epochs=9, batch_size=10, verbose=2, callbacks=Interrupts(2, 1))
    assert len(history) == 2
    assert trainer.interrupted
    assert signal.getsignal(signal.SIGINT) is before
    assert "Interrupted in epoch 3/9" in capsys.readouterr().out
    assert trainer.logs()["loss"] > 0


@pytest.mark.parametrize("handles_it", [False, True])
def test_ctrl_c_waits_for_the_end_of_a_step_unless_the_program_handles_it(points, handles_it):
    told, noted = [], []

    class Presses(Callback):
        def on_batch_end(self, batch):
            if batch == 1:
                signal.raise_signal(signal.SIGINT)
            told.append(batch)

    def note(*given):
        noted.append(given[0])

    before = signal.getsignal(signal.SIGINT)
    handler = note if handles_it else signal.default_int_handler
    try:
        signal.signal(signal.SIGINT, handler)
        trainer = mg.Trainer(model())
        trainer.fit(*points, batch_size=10, verbose=0, callbacks=Presses())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert trainer.interrupted == (not handles_it)
    assert told == ([0, 1, 2, 3, 4] if handles_it else [0, 1])
    assert noted == [signal.SIGINT] * handles_it


def test_a_second_ctrl_c_ends_at_once(points):
    class Twice(Callback):
        def on_batch_end(self, batch):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("not reached")

    trainer = mg.Trainer(model())
    assert len(trainer.fit(*points, epochs=3, verbose=0, callbacks=Twice())) == 0
    assert trainer.interrupted


def test_fit_runs_in_other_threads(points):
    trainer = mg.Trainer(model())
    thread = threading.Thread(target=lambda: trainer.fit(*points, epochs=2, verbose=0))
    thread.start()
    thread.join()
    assert len(trainer.history) == 2


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x):
        return self.linear(mg.sqrt(x - self.shift)) if hasattr(self, "shift") else self.linear(x)


def test_a_loss_of_nothing_is_told_from_one_that_met_a_nan():
    x, y = np.ones((4, 2), np.float32), np.full(4, -100)
    with pytest.raises(
        FloatingPointError, match="the loss itself makes it, as the mean over no sample"
    ):
        mg.Trainer(nn.Linear(2, 3), loss=nn.CrossEntropyLoss()).fit(x, y, verbose=0)


class Spoils(Callback):
    def __init__(self, shift):
        self.shift = shift

    def on_batch_end(self, batch):
        if (self.trainer.epoch, batch) == (1, 1):
            self.model.shift = self.shift


def test_a_nan_loss_stops_with_step_batch_and_operator(points):
    x, y = np.abs(points[0]), points[1]
    trainer = mg.Trainer(Root())
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as raised:
        trainer.fit(x, y, epochs=3, batch_size=10, verbose=0, callbacks=Spoils(100.0))
    text = str(raised.value)
    assert "the loss (nan) is not finite in epoch 2, step 3" in text
    assert "x float32 (10, 3) from " in text
    assert "sqrt" in text
    assert "30 NaN" in text
    assert "test_trainer.py" in text  # the line that called sqrt
    assert len(trainer.history) == 1


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.linear.bias.assign(np.zeros(3))

    def forward(self, x):
        return mg.sqrt(mg.sum(mg.square(self.linear(x)), axis=1, keepdims=True))


def test_a_nan_gradient_stops_before_it_reaches_the_weights():
    x = np.zeros((8, 3))  # sqrt has no derivative at 0
    trainer = mg.Trainer(Norm(), loss="mse")
    before = weights(trainer.model)
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            FloatingPointError, match=r"(?s)the gradient is not finite.*derivative of sqrt"
        ),
    ):
        trainer.fit(x, np.ones(8), verbose=0)
    assert_same(weights(trainer.model), before)


def test_a_nan_gradient_is_told_at_its_batch_also_between_two_steps():
    x = np.ones((8, 3))
    x[:4] = 0.0
    trainer = mg.Trainer(Norm(), loss="mse", accumulate=2)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"epoch 1, step 1, with"),
    ):
        trainer.fit(x, np.ones(8), batch_size=4, shuffle=False, verbose=0)


def test_weights_that_are_nan_already_are_named(points):
    net = model()
    net[3].bias.assign(np.full(4, np.nan))
    loader = DataLoader(ArrayDataset(*points), 10)
    with pytest.raises(FloatingPointError, match=r"made 3\.bias NaN"):
        mg.Trainer(net, metrics=()).fit(loader, verbose=0)


def test_a_new_trainer_has_done_nothing():
    made = mg.Trainer(nn.Linear(2, 2))
    flags = (made.stop_training, made.interrupted, made.resumed, made.stepped)
    assert flags == (False, False, False, True)
    assert (made.epoch, made.quantities, len(made.history)) == (0, [], 0)
    state = made.state_dict()
    names = ("inside", "trained", "stop_training", "epoch", "gathered", "ending", "loader")
    assert [state[name] for name in names] == [False, False, False, 0, None, None, None]
    assert state["running"] == {"total": 0.0, "count": 0, "batches": 0, "metrics": []}
    assert np.isnan(made.logs()["loss"])
    assert made.evaluate(np.eye(2), [0, 1])["loss"] > 0
    assert made.state_dict()["gathered"] is None


def test_labels_of_a_model_of_several_inputs_are_its_last_part():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 3)

        def forward(self, a, b):
            return self.linear(a) + self.linear(b)

    x, y = np.linspace(-1, 1, 80, dtype=np.float32).reshape(40, 2), np.arange(40) % 3
    made = mg.Trainer(Both())
    assert len(made.fit((x, x[::-1].copy()), y, verbose=0)) == 1
    y[39] = 3
    with pytest.raises(ValueError, match=r"y: the model has 3 outputs.*the first at index 39"):
        made.fit((x, x), y, batch_size=4, verbose=0)


# -- what is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "Adam(lr=0.001), loss cross_entropy, metrics accuracy"),
        ({"metrics": ()}, "Adam(lr=0.001), loss cross_entropy"),
        ({"loss": "mse", "optimizer": "sgd"}, "SGD(lr=0.001), loss mse_loss"),
        (
            {"loss": lambda a, b: a.sum(), "accumulate": 1},
            "Adam(lr=0.001), loss <lambda> (your own)",
        ),
        (
            {"metrics": "top_5", "clip_norm": 0.5, "clip_value": 2, "accumulate": 2},
            "Adam(lr=0.001), loss cross_entropy, metrics top_5, clip_norm=0.5, clip_value=2, accumulate=2",
        ),
    ],
)  # fmt: skip
def test_a_trainer_shows_its_settings(settings, shown):
    made = mg.Trainer(nn.Linear(200, 6), **settings)
    assert repr(made) == f"Trainer(Linear of 1,206 parameters, {shown}, 0 epochs done)"


def test_judging_draws_no_random_numbers(points):
    made = mg.Trainer(nn.Sequential(model(), nn.Dropout(0.5)))
    mg.manual_seed(4)
    expected = mg.rand(3).tolist()
    for call in (made.evaluate, made.score, lambda x, _: made.predict(x)):
        mg.manual_seed(4)
        call(*points)
        assert mg.rand(3).tolist() == expected


def test_optimizers_by_name_are_those_of_the_library():
    every = {n.lower(): k for n, k in vars(optim).items() if isinstance(k, type)}
    known = {n: k for n, k in every.items() if issubclass(k, optim.Optimizer) and n != "optimizer"}
    for name, kind in known.items():
        for given in (name, name.upper(), kind):
            assert type(mg.Trainer(nn.Linear(2, 2), given).optimizer) is kind
    for wrong in ("optimizer", "clip_grad_norm_", "lr_scheduler", "parambuffer"):
        with pytest.raises(ValueError, match="unknown optimizer") as caught:
            mg.Trainer(nn.Linear(2, 2), wrong)
        assert sorted(str(caught.value).partition("known are ")[2].split(", ")) == sorted(known)


@pytest.mark.parametrize(
    ("count", "fraction", "trained"),
    [(2, 0.5, 1), (3, 0.1, 2), (3, 0.99, 0), (10, 0.3, 7), (1, 0.5, 0)],
)
def test_validation_split_needs_a_sample_in_each_part(count, fraction, trained):
    x, y = np.arange(2.0 * count).reshape(count, 2), np.arange(count)
    if not trained:
        with pytest.raises(
            ValueError, match=f"leaves 0 of {count} samples to train on and {count}"
        ):
            batches.held_out(batches.batches_of(x, y, 1, False, "fit"), y, fraction, None)
        return
    source = batches.batches_of((x, x), y, 3, True, "fit")
    rest = batches.held_out(source, y, fraction, None)
    assert (rest.batch_size, rest.shuffle) == (3, False)
    *first, labels = source.dataset.arrays
    *last, others = rest.dataset.arrays
    assert [labels.tolist(), others.tolist()] == [[*range(trained)], [*range(trained, count)]]
    for a, b in zip(first, last, strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), x)
        assert len(a) == trained


def test_validation_split_by_less_than_rounding_leaves_nothing_to_validate_with():
    with pytest.raises(ValueError, match="leaves 3 of 3 samples to train on and 0 to validate"):
        mg.Trainer(nn.Linear(2, 3)).fit(np.ones((3, 2)), np.arange(3), validation_split=1e-17)


def test_verbose_0_is_silent_and_2_is_a_line_per_epoch(points, capsys):
    mg.Trainer(model()).fit(*points, epochs=2, verbose=0)
    assert capsys.readouterr() == ("", "")
    mg.Trainer(model()).fit(*points, epochs=2, verbose=2, validation_split=0.2)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert [line[:9] for line in lines] == ["Epoch 1/2", "Epoch 2/2", "Best of 2"]
    for word in ("loss", "accuracy", "val_loss", "val_accuracy", "ms/step"):
        assert word in lines[1]


def test_verbose_1_draws_a_bar_that_ends_full(points, capsys):
    pytest.importorskip("tqdm")
    threads = threading.active_count()
    mg.Trainer(model()).fit(*points, epochs=2, batch_size=10, verbose=1)
    assert threading.active_count() == threads
    out, err = capsys.readouterr()
    assert out.startswith("Best of 2 epochs: ")
    assert out.count("\n") == 1
    drawn = [part for line in err.splitlines() for part in line.split("\r") if part.strip()]
    assert drawn[-1].startswith("Epoch 2/2 5/5 |████")
    assert "accuracy" in drawn[-1]
    assert "ms/step" in drawn[-1]
    assert err.endswith("\n")


def test_the_bar_is_for_terminals_and_lines_are_for_files(points, capsys, monkeypatch):
    mg.Trainer(model()).fit(*points, epochs=1)
    assert capsys.readouterr().out.startswith("Epoch 1/1  ")
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    mg.Trainer(model()).fit(*points, epochs=1)
    assert "|████" in capsys.readouterr().err


@pytest.mark.parametrize("width", [None, 120, 80, 70, 60, 50, 40, 20])
def test_a_bar_fits_the_terminal_and_keeps_its_values(points, capsys, monkeypatch, width):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "REDRAW", -1.0)
    monkeypatch.setattr(progress, "columns", lambda: width)
    mg.Trainer(model()).fit(*points, epochs=1, batch_size=10, verbose=1)
    drawn = [part.rstrip() for part in capsys.readouterr().err.split("\r") if part.strip()]
    values = r"loss \d\.\d{4}  accuracy \d\.\d{4}"
    running = [line for line in drawn if re.match(r"Epoch 1/1 [1-4]/5", line)]
    assert len(running) == 4
    assert all(len(line) < (width or 999) for line in running)
    # What gives way to what: the bar, the time of a step, the time left, and last the values.
    parts = (r"\|.{20}\|", "s/step", r"\d:\d\d left", values)
    shown = [bool(re.search(part, running[2])) for part in parts]
    assert shown == [width in (None, 120), width in (None, 120, 80, 70), width not in (50, 40, 20),
                     width not in (40, 20)]  # fmt: skip
    assert re.fullmatch(rf"Epoch 1/1 5/5 (\|█+\|)? ?{values}  [\d.]+ m?s/step", drawn[-1])


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("total", [None, 4, 8, 63, 64, 100])
def test_a_bar_of_any_width_shows_as_much_as_fits(total, steps, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    bar = progress.Bar()
    bar.begin(1, 3, total, 0)
    bar.steps, bar.now = steps, 2.0 * steps  # two seconds a step
    figures, done = ["loss 0.2500", "accuracy 1.0000"], 4
    count = "4" if total is None else f"4/{total}"
    left = {8: "0:08 left", 63: "1:58 left", 64: "2:00 left", 100: "3:12 left"}.get(total)
    times = ["2 s/step", *([left] if left else [])] if steps else []
    drawn = {}
    for width in [*range(22, 90), None]:
        for whole in (False, True):
            capsys.readouterr()
            monkeypatch.setattr(progress, "columns", lambda width=width: width)
            bar._draw(done, {"loss": 0.25, "accuracy": 1.0, "matrix": np.eye(2)}, whole)
            line = capsys.readouterr().err.split("\r")[-1].rstrip()
            drawn[width, whole] = re.sub(r"\|[█▏▎▍▌▋▊▉ ]*\|", lambda m: f"|{len(m[0]) - 2}|", line)
    for (width, whole), line in drawn.items():
        room = 1000 if width is None else width - 1
        # The time of a step makes room first, then the time left.
        choices = [[*figures, *times[i:]] for i in range(len(times) + 1)]
        texts = [["Epoch 2/3 " + count, *choice] for choice in choices]
        lines = [text for text in texts if len("  ".join(text)) <= room or whole]
        head, *shown = lines[0] if lines else texts[-1]
        rest = room - len("  ".join([head, *shown])) - 2
        if total is not None and rest >= 3:
            expected = f"{head} |{min(20, rest)}| {'  '.join(shown)}"
        else:
            expected = "  ".join([head, *shown])
        if len(expected) > room and not whole:
            expected = expected[: room - 1] + "…"
        assert line == expected
    bar.close()


def test_a_bar_is_closed_once_and_only_if_it_was_drawn(capsys):
    pytest.importorskip("tqdm")
    bar = progress.Bar()
    bar.close()
    bar.end({})
    assert capsys.readouterr().err == ""
    for close in (bar.close, lambda: bar.end({"loss": 1.0})):
        bar.begin(0, 1, 3, 0)
        close()
        assert bar.bar is None
        assert capsys.readouterr().err.endswith("\n")
        bar.close()
        assert capsys.readouterr().err == ""


def test_a_notebook_with_ipywidgets_shows_a_widget(monkeypatch):
    monkeypatch.setattr(progress, "has_widgets", lambda: True)
    monkeypatch.setattr("tqdm.notebook.display", lambda widget: None)  # of IPython
    bar = progress.Bar()
    bar.begin(2, 5, 8, 3)
    widget = bar.bar.container
    bar.step(3, dict)
    assert [part.value for part in widget.children[:2]] == ["Epoch\u20073/5\u20073/8\u2007", 3]
    bar.steps = 5
    bar.end({"loss": 0.25})
    title, drawn, values = (part.value for part in widget.children)
    assert (title, drawn) == ("Epoch\u20073/5\u20078/8\u2007", 8)
    assert values.startswith("\u2007loss\u20070.2500\u2007\u2007")
    assert widget.children[1].bar_style == "success"


@pytest.mark.parametrize(
    ("seconds", "steps", "shown"),
    [
        (0.0, 0, "0 ms/step"),
        (0.9994, 1, "999 ms/step"),
        (1.0, 1, "1 s/step"),
        (1.5, 1, "1.5 s/step"),
        (0.5, 4, "125 ms/step"),
        (0.0, 3, "0 ms/step"),
    ],
)
def test_a_pace_is_told_in_milliseconds_up_to_a_second(seconds, steps, shown):
    lines = progress.Lines()
    lines.begin(0, 1, None, 0)
    lines.started, lines.now, lines.steps = 100.0, 100.0 + seconds, steps
    assert lines.pace() == shown


def test_times_and_drawings_follow_the_clock(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def epoch(shown, moments):
        now[0] = 100.0
        shown.begin(1, 3, len(moments), 0)
        for batch, now[0] in enumerate(moments):
            shown.step(batch, lambda: {"loss": 0.25})
        now[0] += 10.0  # the validation, which is no part of the steps
        shown.end({"loss": 0.25})

    epoch(progress.Lines(), [100.5, 101.0, 101.5, 102.0])
    assert capsys.readouterr().out == "Epoch 2/3  12.0 s  loss 0.2500  500 ms/step\n"
    epoch(progress.Lines(), [103.0])
    assert capsys.readouterr().out == "Epoch 2/3  13.0 s  loss 0.2500  3 s/step\n"

    drawn = []
    monkeypatch.setattr(progress.Bar, "_draw", lambda self, done, *_, **__: drawn.append(done))
    # Ten times a second at most.
    epoch(progress.Bar(), [100.0 + 0.025 * i for i in range(1, 13)])
    assert drawn == [0, 5, 10, 12]  # with the empty bar at the start


def test_values_are_shown_in_four_digits():
    shown = progress.shown_values(
        {"a": 0.0, "b": 1.0, "c": 1e-3, "d": 9.99e-4, "e": -2e-7, "f": 12}
    )
    assert shown[:5] == ["a 0.0000", "b 1.0000", "c 0.0010", "d 9.990e-04", "e -2.000e-07"]


def test_a_history_tells_its_last_values():
    history = mg.History()
    assert repr(history) == "<History of 0 epochs>"
    history.history = {"loss": [0.25], "confusion": [np.eye(2)]}
    assert repr(history) == "<History of 1 epochs: loss=0.25>"
    history.history = {"loss": [2.0, 0.5, 0.25], "f1": [0.75, 1.0], "confusion": [np.eye(2)] * 2}
    assert repr(history) == "<History of 3 epochs: loss=0.25, f1=1>"


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("widgets", [False, True])
def test_widgets_need_a_notebook_that_has_them(kernel, widgets, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    util = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: widgets or None))
    monkeypatch.setattr(progress, "importlib", util)
    assert progress.has_widgets() == (kernel and widgets)


def test_a_terminal_without_width_gets_lines(monkeypatch):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        for width, kind in ((77, "Bar"), (0, "Lines")):
            termios.tcsetwinsize(theirs, (24, width))
            assert progress.columns() == width
            assert type(progress.progress("auto")).__name__ == kind
            assert type(progress.progress(1)).__name__ == kind


def test_the_first_use_loads_the_trainer():
    import subprocess

    code = "import sys, minigrad; print([m for m in ('minigrad.training.trainer', 'tqdm', 'matplotlib') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# -- history ---------------------------------------------------------------------------------------


def test_history_draws_every_number(points, tmp_path):
    pytest.importorskip("matplotlib")
    trainer = mg.Trainer(model(), metrics=("accuracy", "confusion_matrix"))
    history = trainer.fit(*points, epochs=3, validation_split=0.2, verbose=0)
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        path = tmp_path / f"history{suffix}"
        history.plot(path)
        assert path.read_bytes().startswith(start)
    axes = history.plot().axes
    assert [a.get_title("left") for a in axes] == ["loss", "accuracy"]
    for a, name in zip(axes, ("loss", "accuracy"), strict=True):
        np.testing.assert_array_equal(a.lines[0].get_ydata(), history.history[name])
        np.testing.assert_array_equal(a.lines[1].get_ydata(), history.history[f"val_{name}"])
    best = int(np.argmin(history.history["val_loss"]))
    assert axes[0].lines[2].get_xdata()[0] == best + 1
    assert "3 epochs" in repr(history)
    history.history["lr"] = [0.1, 0.2, 0.1]
    assert history.plot().axes[2].get_title("right") == ""
    with pytest.raises(ValueError, match="no finished epoch"):
        mg.History().plot()


@pytest.mark.parametrize("values", [0.5, None, "loss", {"a": 1}])
def test_a_history_is_of_lists(values):
    history = mg.History()
    with pytest.raises(TypeError, match="expected a list of values of 'loss', got"):
        history.load_state_dict({"loss": values})
    history.load_state_dict({"loss": [0.5, 0.25], "accuracy": (1.0, 1.0)})
    assert history.history == {"loss": [0.5, 0.25], "accuracy": [1.0, 1.0]}
