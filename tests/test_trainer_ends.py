"""What a Trainer leaves behind: after an interrupt, a false alarm, a search, and on each rank."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import threads_as_ranks

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.distributed import DistributedSampler, data_parallel
from minigrad.engine.random import default_generator
from minigrad.training import ranks as machinery
from minigrad.training.metrics import Accuracy, Metric, RunningMeans
from minigrad.training.ranks import Alone, Together

GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(12, 3)).astype(np.float32), GENERATOR.integers(3, size=12)


def trainer(**settings):
    mg.manual_seed(0)
    return mg.Trainer(nn.Linear(3, 3), optim.SGD(lr=0.1), metrics=(), **settings)


def raise_(error):
    raise error


# -- when what the processes have summed is brought together ---------------------------------------


class Told(Alone):
    """One process that notes what it is asked to do with others."""

    def __init__(self):
        self.asked = []

    def gather(self, running):
        self.asked.append("gather")

    def send(self):
        self.asked.append("send")


def saves(made, path):
    made.save_checkpoint(path)


def stops(made, path):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("act", "at", "accumulate", "asked"),
    [
        (saves, ("on_batch_end", 1), 1, ["gather"]),
        (saves, ("on_batch_end", 1), 3, ["send", "gather"]),
        (saves, ("on_batch_end", 2), 3, ["gather"]),
        (saves, ("on_batch_end", 3), 3, ["gather"]),  # the last one is a step by itself
        (saves, ("on_epoch_end", 0), 3, []),
        (saves, ("on_train_begin",), 3, []),
        (saves, ("on_train_end",), 3, []),
        (stops, ("on_batch_end", 1), 1, ["gather"]),
        (stops, ("on_batch_end", 1), 3, ["send", "gather"]),
        (stops, ("on_batch_end", 2), 3, ["gather"]),
        (stops, ("on_epoch_end", 0), 3, []),
        (stops, ("on_train_begin",), 3, []),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_sums_are_brought_together_inside_an_epoch_alone(act, at, accumulate, asked, tmp_path):
    name, *first = at
    path = tmp_path / "run.safetensors"
    made = trainer(accumulate=accumulate)
    made._ranks = Told()

    def look(*given):
        if [*given[:1]] == first:
            act(made, path)

    callback = mg.callbacks.LambdaCallback(**{name: look})
    settings = {"batch_size": 3, "shuffle": False, "verbose": 0}
    made.fit(X, Y, callbacks=callback, **settings)
    # A step over fewer batches at the end of an epoch does not come here: the last is always one.
    assert made._ranks.asked == asked
    # Out of fit nothing is exchanged, for others may not come.
    made.save_checkpoint(path)
    again = trainer(accumulate=accumulate)
    again._ranks = Told()
    again.save_checkpoint(tmp_path / "new.safetensors")
    again.load_checkpoint(path)
    again.save_checkpoint(path)
    assert [made._ranks.asked, again._ranks.asked] == [asked, []]
    assert made.interrupted == (act is stops)


@pytest.mark.parametrize("ends", [False, True])
def test_ranks_ask_in_each_step_only_where_training_goes_on_after_nan(ends):
    class Asking(Alone):
        several, asked = True, 0

        def every(self, flag):
            self.asked += 1
            return flag

    made = trainer()
    made._ranks = Asking()
    callbacks = [mg.callbacks.TerminateOnNaN()] * ends
    made.fit(X, Y, batch_size=3, epochs=2, verbose=0, callbacks=callbacks)
    assert made._ranks.asked == 2 * (1 + 4 * ends)  # after each epoch, and in each of its steps


# -- after an alarm --------------------------------------------------------------------------------


class Steep(nn.Module):
    """Outputs whose derivatives are finite, and whose sum is not in float32."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(np.zeros(4, np.float32))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x) * 0.0 + self.bias


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_false_alarm_changes_no_gradient_and_no_random_number():
    made = mg.Trainer(Steep(), optim.SGD(lr=1.0), lambda output, target: output.sum() * 2e38)
    seen = []
    note = mg.callbacks.LambdaCallback(
        on_batch_end=lambda _: seen.append((made.model.bias.numpy(), mg.rand(3).tolist()))
    )
    x = np.ones((1, 4), np.float32)
    mg.manual_seed(3)
    made.fit(x, x, verbose=0, shuffle=False, callbacks=note)
    ((bias, drawn),) = seen
    np.testing.assert_array_equal(bias, np.full(4, -2e38, np.float32))
    mg.manual_seed(3)
    made.model.dropout(mg.tensor(x))
    assert drawn == mg.rand(3).tolist()


def test_a_loss_that_is_not_finite_is_told_with_all_that_is_known():
    x, y = X[:8].copy(), Y[:8]
    x[0], x[1] = 3.0, -4.0

    class Second(ArrayDataset):
        """Bad numbers that the look before the first step cannot see."""

        def take(self, indices):
            images, labels = super().take(indices)
            return np.where(indices[:, None] == 6, np.float32(np.inf), images), labels

    model = nn.Linear(3, 3)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.25}]
    made = mg.Trainer(model, optim.SGD(groups, lr=0.1))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as caught:
        made.fit(DataLoader(Second(x, y), 4), verbose=0)
    text = str(caught.value)
    assert "in epoch 1, step 2, with the batch x float32 (4, 3) from " in text
    assert f", y int64 (4,) from {y[4:].min()} to {y[4:].max()}: " in text
    assert text.endswith(
        "\nOften a lower learning rate (now 0.1, 0.25) or clipped gradients help. "
        "trainer.history holds the epochs before."
    )


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_false_alarm_keeps_the_gradients_of_the_batches_before():
    class Sloping(Steep):
        def forward(self, x):
            return self.bias * x

    loss = lambda output, target: output.sum() * 2e38
    made = mg.Trainer(Sloping(), optim.SGD(lr=1.0), loss, accumulate=2)
    x = np.array([[0.25] * 4, [1.0] * 4], np.float32)
    made.fit(x, x, batch_size=1, epochs=1, verbose=0, shuffle=False)
    np.testing.assert_allclose(made.model.bias.numpy(), np.full(4, -1.25e38), rtol=1e-6)


# -- several ranks ---------------------------------------------------------------------------------


def on_two_ranks(function):
    """What a function gives that takes a rank and a model of its own."""

    def rank():
        return function(Together(data_parallel.world()), nn.Linear(2, 3))

    return threads_as_ranks.run(2, rank)


@pytest.mark.parametrize("error", [None, KeyError], ids=["goes well", "fails"])
def test_loaders_are_shared_while_training_goes_on(error):
    def program(ours, model):
        rank = ours._world.rank
        data = ArrayDataset(np.arange(6))
        loader, shared = DataLoader(data, 3), DataLoader(data, 3, sampler=DistributedSampler(data))
        shared._share = "as it was"
        told = []
        try:
            with ours.training(model, [], loader, None, shared, [1]):
                told = [loader._share, [x.tolist() for (x,) in loader], shared._share]
                if error:
                    raise error
        except KeyError:
            told.append("failed")
        return rank, told, loader._share, shared._share

    for rank, told, after, other in on_two_ranks(program):
        parts = [[0, 2], [3, 5]] if rank == 0 else [[1], [4]]
        assert told == [(rank, 2), parts, "as it was", *(["failed"] if error else [])]
        assert (after, other) == ((0, 1), "as it was")


def test_all_ranks_begin_with_the_random_numbers_of_the_first(monkeypatch):
    local = threading.local()

    def program(ours, model):
        local.generator = np.random.default_rng(ours._world.rank)
        with ours.training(model, []):
            return local.generator.integers(2**60)

    monkeypatch.setattr(machinery, "default_generator", lambda: local.generator)
    assert on_two_ranks(program) == [np.random.default_rng(0).integers(2**60)] * 2


def test_the_state_of_the_generator_is_that_which_all_share():
    ours = Together(SimpleNamespace(rank=1, size=2))
    own = np.random.default_rng(5)
    mg.manual_seed(4)
    common = default_generator().bit_generator.state
    assert ours.generator_state() == common
    steps = ours.steps(["first", "second"], 1, 0, {"dropout": own})
    assert ours.generator_state() == common
    assert next(steps) == "second"
    drawn = mg.rand(2).tolist(), own.random(2).tolist()
    assert drawn[0] != drawn[1]
    assert default_generator().bit_generator.state != common == ours.generator_state()
    assert next(steps, None) is None
    assert default_generator().bit_generator.state == common == ours.generator_state()
    mg.rand(1)
    after = default_generator().bit_generator.state
    ours.end_steps()  # a second time, where fit ends
    assert default_generator().bit_generator.state == after == ours.generator_state()


@pytest.mark.parametrize("pressed", [(), (0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("at", [0, 2])
def test_an_interrupt_of_one_rank_ends_all_after_the_same_step(pressed, at):
    def program(ours, model):
        now = []
        mine = ours._world.rank in pressed

        def check():
            if mine and len(now) == at + 1:
                raise KeyboardInterrupt

        try:
            with ours.training(model, []):
                agreed = ours.interrupts(check)
                for step in range(3):
                    now.append(step)
                    agreed()
                now.append("all steps")
        except KeyboardInterrupt:
            now.append("interrupted")
        return now

    # The answer comes with the next check, and that of the last step when training ends.
    steps = [[0, 1], [0, 1, 2, "all steps"]][at // 2] if pressed else [0, 1, 2, "all steps"]
    assert on_two_ranks(program) == [steps + ["interrupted"] * bool(pressed)] * 2


def test_what_ranks_ask_each_other():
    """Of each question the answers of both ranks, which gave other values."""

    def program(ours, model):
        mine = ours._world.rank
        with ours.training(model, []):
            exchange = ours._parallel._exchange
            found = {
                "first": ours.first,
                "several": ours.several,
                "counted": ours.counted(3 + mine),
                "every": [ours.every(flag) for flag in (True, False, mine == 0)],
                "told": [ours.first_told(t) for t in ("", f"rank {mine}", "late" * mine)],
            }
            for sends in (True, False):
                with ours.passing(5 + mine, sends):
                    found["passing", sends] = exchange.samples, exchange.held_back
            with ours.apart():
                found["apart"] = exchange.paused
            with pytest.raises(ZeroDivisionError), ours.apart():
                raise ZeroDivisionError
            found["after"] = exchange.held_back, exchange.paused
            found["read"] = ours.read(lambda: f"read by {mine}")
            for error in (OSError, ValueError, TypeError):
                with pytest.raises(error, match="by 0"):
                    ours.read(lambda error=error: raise_(error(f"by {mine}")))
            return found

    expected = {
        "several": True, "counted": 7, "every": [True, False, False],
        "told": ["", "rank 0", "late"], "apart": True, "after": (False, False),
        "read": "read by 0",
    }  # fmt: skip
    for mine, found in enumerate(on_two_ranks(program)):
        passing = {("passing", sends): (5.0 + mine, not sends) for sends in (True, False)}
        assert found == {**expected, "first": mine == 0, **passing}
    apart = Together(SimpleNamespace(rank=0, size=2))
    with apart.apart():  # before training there is nothing to pause
        assert apart._parallel is None


def test_sums_of_ranks_add_up_and_count_once():
    output, target = np.eye(3)[[0, 1, 1, 2]], np.array([0, 1, 2, 2])

    def program(ours, model):
        mine = ours._world.rank
        running = RunningMeans([Accuracy()])
        running.reset()
        for _ in range(2 + mine):
            running.update(1.0 + mine, output, target)
        logs = ours.logs(running)
        before = running.total, running.count, running.batches
        ours.gather(running)
        gathered = running.total, running.count, running.batches, running.metrics[0].count
        kept = RunningMeans([Accuracy()])
        kept.load_state_dict(running.state_dict())
        kept.batches = 7
        ours.keep(kept)
        return logs, before, gathered, (kept.total, kept.count, kept.batches)

    first, second = on_two_ranks(program)
    assert first[0] == second[0] == {"loss": (8 + 24) / 20, "accuracy": 0.75}
    assert (first[1], second[1]) == ((8.0, 8, 2), (24.0, 12, 3))
    assert (first[2], second[2]) == ((32.0, 20, 2, 20), (0.0, 0, 3, 0))
    assert (first[3], second[3]) == ((32.0, 20, 7), (0.0, 0, 7))


def test_a_metric_of_ones_own_needs_a_sum_of_its_sums():
    class Own(Metric):
        name = "own"

    def program(ours, model):
        with (
            pytest.raises(TypeError, match="metric 'own' is summed on each rank, and has no merge"),
            ours.training(model, [Accuracy(), Own()]),
        ):
            pytest.fail("training began")

    on_two_ranks(program)


class Uncounted:
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (DataLoader(np.zeros(6), 2), DataLoader(np.zeros(6), 2), ""),
        (DataLoader(np.zeros(6), 2), DataLoader(np.zeros(5), 2),
         "rank 1 was given 5 samples in 3 batches, rank 0 6 samples in 3 batches. Give all"),
        (DataLoader(np.zeros(6), 2), DataLoader(np.zeros(6), 3),
         "rank 1 was given 6 samples in 2 batches, rank 0 6 samples in 3 batches. Give all"),
        ([1, 2], [1, 2, 3], "rank 1 was given 3 batches, rank 0 2 batches. Give all"),
        (Uncounted(), [1], "rank 1 was given 1 batches, rank 0 . Give all"),
        (Uncounted(), Uncounted(), ""),
    ],
)  # fmt: skip
def test_ranks_get_the_same_data(first, second, text):
    def program(ours, model):
        given = second if ours._world.rank else first
        try:
            with ours.training(model, [], [0], given):
                return ""
        except ValueError as error:
            return str(error)

    for told in on_two_ranks(program):
        assert text in told
        assert bool(text) == bool(told)


@pytest.mark.parametrize(
    ("distributed", "installed", "starts", "expected"),
    [
        (False, True, True, Alone), (False, False, True, Alone),
        ("auto", True, False, Alone), ("auto", False, False, Alone), ("auto", True, True, Together),
        (True, True, False, Alone), (True, True, True, Together), (True, False, False, ImportError),
        (True, False, True, ImportError),
    ],
)  # fmt: skip
def test_which_processes_take_part(distributed, installed, starts, expected, monkeypatch):
    found = SimpleNamespace(rank=0, size=2) if starts else None
    monkeypatch.setattr(machinery, "world", lambda: found)
    monkeypatch.setattr(machinery.importlib.util, "find_spec", lambda _: installed or None)
    monkeypatch.setattr(machinery, "extra", lambda *told: raise_(ImportError(told)))
    if expected is ImportError:
        with pytest.raises(ImportError, match="'mpi4py', 'mpi', 'Trainer: distributed=True'"):
            machinery.ranks_for(distributed)
    else:
        assert type(machinery.ranks_for(distributed)) is expected
