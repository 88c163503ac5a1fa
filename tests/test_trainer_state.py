"""What a Trainer keeps: a state that does not fit changes nothing, one saved anywhere continues."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import callbacks, nn, optim

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2


def trainer(optimizer="adam") -> mg.Trainer:
    mg.manual_seed(3)
    return mg.Trainer(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)), optimizer)


def as_lists(state):
    if isinstance(state, dict):
        return {key: as_lists(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [as_lists(one) for one in state]
    return state.tolist() if hasattr(state, "tolist") else state


def broken(state, how):
    state = dict(state)
    if how == "optimizer":
        state["optimizer"] = trainer("sgd").optimizer.state_dict()
    elif how == "metrics":
        state["running"] = {**state["running"], "metrics": [{}, {}]}
    elif how == "generator":
        state["own_generators"] = {"1.generator": state["generator"]}
    else:
        del state[how]
    return state


@pytest.mark.parametrize("how", ["optimizer", "metrics", "generator", "history", "model"])
def test_a_state_that_does_not_fit_leaves_everything_as_it_was(how):
    other = trainer()
    other.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    mine = trainer()
    mine.fit(X, Y, epochs=1, batch_size=4, verbose=0)
    state = broken(other.state_dict(), how)
    before, history = as_lists(mine.state_dict()), mine.history
    with pytest.raises(ValueError, match=r"."):
        mine.load_state_dict(state)
    assert as_lists(mine.state_dict()) == before
    assert mine.history is history


class Saver(callbacks.Callback):
    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_epoch_end(self, epoch, logs):
        logs["mine"] = float(epoch)
        if epoch == self.epoch:
            self.trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_run_saved_in_on_epoch_end_continues_bit_for_bit(tmp_path, place):
    def made(name):
        tools = [
            callbacks.CSVLogger(tmp_path / f"{name}.csv"),
            callbacks.EarlyStopping("loss", patience=2, min_delta=10.0),
        ]
        tools.insert(place, Saver(tmp_path / "saved.st", 1))
        tools.append(callbacks.ModelCheckpoint(tmp_path / f"{name}.st", "loss"))
        return tools

    def files(name):
        rows = (tmp_path / f"{name}.csv").read_text().splitlines()
        return [row.split(",")[:3] for row in rows], mg.load_checkpoint(tmp_path / f"{name}.st")

    whole = trainer()
    whole.fit(X, Y, epochs=5, batch_size=4, verbose=0, callbacks=made("whole"))
    resumed = trainer()
    resumed.load_checkpoint(tmp_path / "saved.st")
    assert resumed.epoch == len(resumed.history) == 2
    assert resumed.history.history["mine"] == [0.0, 1.0]
    resumed.fit(X, Y, epochs=5, batch_size=4, verbose=0, callbacks=made("resumed"))
    assert resumed.history.history == whole.history.history
    assert {len(values) for values in whole.history.history.values()} == {whole.epoch}
    assert as_lists(resumed.state_dict()) == as_lists(whole.state_dict())
    assert files("resumed")[0] == files("whole")[0]


def squared(output, target):
    return ((output - target) ** 2).mean()


def test_a_loss_that_spreads_outputs_over_targets_is_refused():
    net = nn.Linear(3, 1)
    made = mg.Trainer(net, optim.SGD(lr=0.1), squared)
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=r"loss squared .*\(12, 1\) and targets \(12,\)"):
            call(X, X[:, 0], batch_size=12, **({"verbose": 0} if call == made.fit else {}))


@pytest.mark.parametrize(
    "loss",
    [
        lambda o, t: squared(o[:, 0], t),
        lambda o, t: squared(o, t[:, None]),
        lambda o, t: o.mean(),
        lambda o, t: mg.concatenate([o, o], 1).mean() + t.sum(),
        lambda o, t: squared(mg.concatenate([o, o], 1), mg.stack([t, t], 1)),
    ],
)
def test_a_loss_that_minds_the_shapes_itself_is_left_alone(loss):
    made = mg.Trainer(nn.Linear(3, 1), optim.SGD(lr=0.1), loss)
    made.fit(X, X[:, 0], verbose=0)
    assert np.isfinite(made.history.history["loss"]).all()


def test_a_loss_of_ones_own_gets_targets_of_the_shape_of_outputs():
    made = mg.Trainer(nn.Linear(3, 1), optim.SGD(lr=0.1), squared)
    by_name = mg.Trainer(made.model, optim.SGD(lr=0.1), "mse")
    ours = made.evaluate(X, X[:, :1])["loss"]
    assert ours == by_name.evaluate(X, X[:, 0])["loss"]


def test_a_loss_may_multiply_targets_and_outputs_of_several_columns():
    made = mg.Trainer(nn.Linear(3, 2), "sgd", lambda output, target: (target @ output).sum())
    made.fit(X, Y.astype(np.float32), epochs=1, verbose=0)
    assert len(made.history) == 1


def test_a_state_of_an_earlier_version_is_taken():
    made = trainer()
    made.fit(X, Y, epochs=1, batch_size=5, verbose=0)
    state, found = made.state_dict(), []
    for left_out in ((), ("ending", "gathered")):
        again = trainer()
        again.load_state_dict({k: v for k, v in state.items() if k not in left_out})
        again.fit(X, Y, epochs=2, batch_size=5, verbose=0)
        found.append((as_lists(again.model.state_dict()), again.history.history))
    assert found[0] == found[1]
