"""Learning-rate schedules, step for step beside PyTorch's."""

import copy
import math
import re

import numpy as np
import pytest
from optim_cases import PLATEAUS, SCHEDULES as CASES

import minigrad as mg
from minigrad import optim
from minigrad.optim import lr_scheduler

STEPS = 30


def label(value):
    """A test's name without the address of a function: that differs from one process to the next."""
    return re.sub(r" at 0x\w+", "", str(value))


def ours(name="SGD", **settings):
    """An optimizer of two groups, each of one parameter with a gradient."""
    groups = []
    for lr in (0.5, 0.2):
        p = mg.tensor(np.zeros(1), requires_grad=True)
        p.grad = mg.ones(1, np.float64)
        groups.append({"params": [p], "lr": lr})
    return getattr(optim, name)(groups, **settings)


def theirs(torch, name="SGD", **settings):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.5, 0.2)]
    return getattr(torch.optim, name)(groups, **settings)


def settings_of(optimizer):
    """What schedules change, of each group."""
    return [
        [group["lr"], *[group[k] for k in ("momentum",) if k in group], *group.get("betas", ())]
        for group in optimizer.param_groups
    ]


@pytest.mark.parity
@pytest.mark.parametrize(("optimizer", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=label)
def test_equals_pytorch_step_for_step(name, settings, optimizer, options):
    torch = pytest.importorskip("torch")
    mine, oracle = ours(optimizer, **options), theirs(torch, optimizer, **options)
    schedule = getattr(lr_scheduler, name)(mine, **settings)
    reference = getattr(torch.optim.lr_scheduler, name)(oracle, **settings)
    for _ in range(STEPS):
        np.testing.assert_allclose(settings_of(mine), settings_of(oracle), 1e-12, 1e-15)
        np.testing.assert_allclose(schedule.get_last_lr(), reference.get_last_lr(), 1e-12, 1e-15)
        mine.step()
        oracle.step()
        schedule.step()
        reference.step()
    np.testing.assert_allclose(settings_of(mine), settings_of(oracle), 1e-12, 1e-15)


@pytest.mark.parity
@pytest.mark.parametrize("settings", PLATEAUS, ids=str)
def test_reduce_on_plateau_equals_pytorch(settings):
    torch = pytest.importorskip("torch")
    mine, oracle = ours(), theirs(torch)
    schedule = lr_scheduler.ReduceLROnPlateau(mine, **settings)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(oracle, **settings)
    rng = np.random.default_rng(0)
    for step in range(60):
        value = 1.0 + math.exp(-step / 10) + 0.05 * rng.standard_normal()
        mine.step()
        oracle.step()
        schedule.step(math.nan if step == 7 else value)
        reference.step(math.nan if step == 7 else value)
        np.testing.assert_allclose(settings_of(mine), settings_of(oracle), 1e-12)
        assert schedule.best == reference.best
    assert settings_of(mine) != settings_of(ours()), "the case never reduces anything"


@pytest.mark.parity
def test_schedules_in_chain_equal_pytorch():
    torch = pytest.importorskip("torch")
    mine, oracle = ours(), theirs(torch)
    lib = torch.optim.lr_scheduler
    warm = [s(o, total_iters=4) for s, o in ((lr_scheduler.LinearLR, mine), (lib.LinearLR, oracle))]
    fall = [s(o, 0.9) for s, o in ((lr_scheduler.ExponentialLR, mine), (lib.ExponentialLR, oracle))]
    for _ in range(10):
        mine.step()
        oracle.step()
        for schedule in (*warm, *fall):
            schedule.step()
        np.testing.assert_allclose(settings_of(mine), settings_of(oracle), 1e-12)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=label)
def test_a_resumed_schedule_goes_on_bit_for_bit(name, settings, tmp_path):
    def advance(optimizer, schedule, steps):
        found = []
        for _ in range(steps):
            optimizer.step()
            schedule.step()
            found.append(settings_of(optimizer))
        return found

    make = getattr(lr_scheduler, name)
    whole, first, second = (ours(momentum=0.9) for _ in range(3))
    expected = advance(whole, make(whole, **settings), STEPS)
    schedule = make(first, **settings)
    assert advance(first, schedule, 11) == expected[:11]

    mg.save_checkpoint(tmp_path / "run.safetensors", optimizer=first, schedule=schedule)
    state = mg.load_checkpoint(tmp_path / "run.safetensors")
    resumed = make(second, **settings)
    second.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["schedule"])
    assert advance(second, resumed, STEPS - 11) == expected[11:]


def test_a_plateau_is_remembered_by_a_resumed_schedule():
    whole, first, second = ours(), ours(), ours()
    losses = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    make = lr_scheduler.ReduceLROnPlateau
    schedules = [make(o, patience=2) for o in (whole, first, second)]
    for optimizer in (whole, first, second):
        optimizer.step()
    for loss in losses:
        schedules[0].step(loss)
    for loss in losses[:4]:
        schedules[1].step(loss)
    second.load_state_dict(first.state_dict())
    schedules[2].load_state_dict(schedules[1].state_dict())
    for loss in losses[4:]:
        schedules[2].step(loss)
    assert settings_of(second) == settings_of(whole)


@pytest.mark.parity
@pytest.mark.parametrize(("name", "settings"), CASES[2:12], ids=label)
def test_last_epoch_goes_on_as_in_pytorch(name, settings):
    torch = pytest.importorskip("torch")
    pair = []
    for optimizer, library in ((ours(), lr_scheduler), (theirs(torch), torch.optim.lr_scheduler)):
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        schedule = getattr(library, name)(optimizer, **settings, last_epoch=3)
        rates = [settings_of(optimizer)]
        for _ in range(10):
            optimizer.step()
            schedule.step()
            rates.append(settings_of(optimizer))
        pair.append(rates)
    np.testing.assert_allclose(*pair, 1e-12, 1e-15)


def test_a_schedule_sets_the_rate_of_an_optimizer_that_meets_its_parameters_later():
    optimizer = optim.SGD(lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 1, 0.5)
    w = mg.tensor([0.0], requires_grad=True)
    for _ in range(3):
        optimizer.apply_gradients([(mg.ones(1), w)])
        schedule.step()
    assert w.item() == -1.75


def test_a_schedule_before_the_first_step_warns():
    schedule = lr_scheduler.StepLR(ours(), 1)
    with pytest.warns(UserWarning, match=r"call optimizer.step\(\) first") as caught:
        schedule.step()
    assert caught[0].filename == __file__  # where the user called
    schedule.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: lr_scheduler.StepLR([1], 3), TypeError, "optimizer must be an Optimizer, got .1."),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size must be at least 1"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max"),
        (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=4), ValueError, "no 'initial_lr'"),
        (lambda o: lr_scheduler.LinearLR(o, 0.0), ValueError, "start_factor must be in .0, 1., got 0.0"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError, "1 values, the optimizer 2"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "total_steps, or both"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, epochs=3), ValueError, "total_steps, or both"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, steps_per_epoch=3), ValueError, "or both"),
        (lambda o: lr_scheduler.OneCycleLR(o, [1.0, True], 9), TypeError, "max_lr must be a number"),
        (lambda o: lr_scheduler.OneCycleLR(o, ["a", 1.0], 9), TypeError, "max_lr must be a number"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2.0), ValueError, "pct_start"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="exp"), ValueError, "'cos' or"),
        (lambda o: lr_scheduler.OneCycleLR(ours("Adagrad"), 1.0, 9), ValueError, "cycle_momentum=False"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "up"), ValueError, "'min' or 'max', got 'up'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "'rel' or 'abs'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o).step(), TypeError, r"step\(val_loss\)"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(ours())


@pytest.mark.parametrize(("name", "settings"), CASES[2:12], ids=label)
def test_a_schedule_that_goes_on_leaves_the_rate_as_it_is(name, settings):
    optimizer = ours()
    for group in optimizer.param_groups:
        group["initial_lr"] = 2 * group["lr"]
    before = settings_of(optimizer)
    getattr(lr_scheduler, name)(optimizer, **settings, last_epoch=3)
    if name not in (
        "LambdaLR",
        "OneCycleLR",
        "StepLR",
    ):  # which tell the rate of a step without the last one
        assert settings_of(optimizer) == before


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.5**t),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 1),
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    ],
    ids=["LambdaLR", "CosineAnnealingLR", "ReduceLROnPlateau"],
)
def test_a_group_that_comes_after_its_schedule_is_refused(make):
    optimizer = ours()
    schedule = make(optimizer)
    optimizer.add_param_group({"params": [mg.tensor([1.0], requires_grad=True)]})
    optimizer.step()
    measured = [1.0] if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else []
    with pytest.raises(ValueError, match="zip"):
        [schedule.step(*measured) for _ in range(3)]


class Plateau:
    """The textbook's: the best value, the bad epochs since, and the epochs still to wait."""

    def __init__(self, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps):
        self.sign = 1.0 if mode == "min" else -1.0
        self.settings = factor, patience, threshold, threshold_mode, cooldown, min_lr, eps
        self.best, self.bad, self.waits = math.inf, 0, 0

    def __call__(self, lr, value):
        factor, patience, threshold, how, cooldown, least, eps = self.settings
        margin = threshold * abs(self.best) if how == "rel" else threshold
        better = math.isinf(self.best) or self.sign * value < self.best - margin
        self.best, self.bad = (self.sign * value, 0) if better else (self.best, self.bad + 1)
        if self.waits:
            self.waits, self.bad = self.waits - 1, 0
        if self.bad <= patience:
            return lr
        self.bad, self.waits = 0, cooldown
        lower = max(lr * factor, least)
        return lower if lr - lower > eps else lr


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("how", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (1, 0), (0, 1), (2, 3)])
@pytest.mark.parametrize(("least", "eps"), [(0.0, 0.0), (0.03125, 0.0), (0.0, 0.125)])
def test_a_plateau_as_the_textbook_has_it(mode, how, patience, cooldown, least, eps):
    settings = {
        "mode": mode, "factor": 0.5, "patience": patience, "threshold": 0.25,
        "threshold_mode": how, "cooldown": cooldown, "min_lr": least, "eps": eps,
    }  # fmt: skip
    optimizer = optim.SGD([mg.tensor([1.0], requires_grad=True)], lr=1.0)
    schedule, textbook = lr_scheduler.ReduceLROnPlateau(optimizer, **settings), Plateau(**settings)
    # With steps of 1/4 a value is often better by just the threshold, which is not enough.
    values = np.round(np.cumsum(np.random.default_rng(3).integers(-1, 2, 60)) * 0.25 + 4.0, 2)
    rate = 1.0
    for value in [4.0, 3.0, 2.25, 2.0, 3.0, 5.0, 6.25, 6.5, *values]:
        optimizer.step()
        schedule.step(value)
        rate = textbook(rate, value)
        assert optimizer.param_groups[0]["lr"] == rate
        assert schedule.get_last_lr() == [rate]


@pytest.mark.parametrize("value", [[1.0, 2.0], "low", np.array(["low"]), np.array([True]), 1j])
def test_a_plateau_is_one_of_numbers(value):
    optimizer = ours()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer)
    optimizer.step()
    with pytest.raises((TypeError, ValueError), match="ReduceLROnPlateau: "):
        schedule.step(value)


def test_a_first_value_of_nan_is_no_progress():
    optimizer = ours()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    optimizer.step()
    schedule.step(math.nan)
    assert schedule.get_last_lr() == [0.25, 0.1]


def test_one_cycle_goes_on_for_one_step_after_its_end():
    # As PyTorch's: the last phase, from step 1.4 to 7, is followed beyond its end.
    optimizer = ours(momentum=0.9)
    settings = {"pct_start": 0.3, "anneal_strategy": "linear", "final_div_factor": 10.0}
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=8, **settings)
    for _ in range(8):
        optimizer.step()
        schedule.step()
    low, part = 1.0 / 25.0 / 10.0, (8 - 1.4) / (7 - 1.4)
    np.testing.assert_allclose(schedule.get_last_lr()[0], 1.0 + (low - 1.0) * part, 1e-12)


def test_one_cycle_refuses_steps_beyond_its_end():
    optimizer = ours(momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=3)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    with pytest.raises(ValueError, match="step 4 of 3"):
        schedule.step()


def test_the_state_of_another_schedule_is_refused():
    optimizer = ours()
    saved = lr_scheduler.ExponentialLR(optimizer, 0.5).state_dict()
    schedule = lr_scheduler.StepLR(optimizer, 3)
    before = copy.deepcopy(schedule.state_dict())
    with pytest.raises(ValueError, match=r"missing \['step_size'\]"):
        schedule.load_state_dict(saved)
    assert schedule.state_dict() == before


@pytest.mark.parametrize("array", [np.array, mg.tensor])
def test_an_array_of_values_is_a_list_of_them(array):
    def made(**values):
        leaves = [mg.tensor([1.0], requires_grad=True) for _ in range(2)]
        optimizer = optim.SGD([{"params": p} for p in leaves], lr=0.1, momentum=0.9)
        schedule = optim.lr_scheduler.OneCycleLR(optimizer, total_steps=5, **values)
        optimizer.step()
        schedule.step()
        return [(group["lr"], group["momentum"]) for group in optimizer.param_groups]

    lists = {"max_lr": [0.5, 0.25], "base_momentum": [0.5, 0.75], "max_momentum": [0.875, 0.9375]}
    arrays = {name: array(values) for name, values in lists.items()}
    np.testing.assert_allclose(made(**arrays), made(**lists))
    with pytest.raises(ValueError, match=r"base_momentum must be in \[0, 1\)"):
        made(max_lr=0.1, base_momentum=array([0.5, 7.0]))
    with pytest.raises(ValueError, match="max_momentum has 1 values, the optimizer 2"):
        made(max_lr=0.1, max_momentum=array([0.5]))


def test_warm_restarts_count_whole_epochs():
    optimizer = optim.SGD([mg.tensor([1.0], requires_grad=True)], lr=1.0)
    schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3)
    schedule.step(1.5)
    assert schedule.last_epoch == 1


def test_a_sequence_takes_its_own_states_only():
    def made():
        optimizer = ours()
        optimizer.step()
        parts = [lr_scheduler.StepLR(optimizer, 3), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[5])

    first, second = made(), made()
    first.step()
    state = first.state_dict()
    second.load_state_dict(copy.deepcopy(state))
    for _ in range(7):
        first.step()
        second.step()
        assert second.get_last_lr() == first.get_last_lr()
    for wrong in (None, (), "xy", state["schedulers"][:1], 3 * state["schedulers"]):
        with pytest.raises(ValueError, match="expected the states of 2 schedules, got"):
            second.load_state_dict({**state, "schedulers": wrong})
    with pytest.raises(ValueError, match="SequentialLR: load_state_dict: missing"):
        second.load_state_dict({"schedulers": state["schedulers"]})


def test_a_sequence_needs_a_milestone_between_two_schedules():
    optimizer = optim.SGD([mg.tensor([1.0], requires_grad=True)], lr=1.0)

    def steps():
        return lr_scheduler.StepLR(optimizer, 2)

    for parts, milestones in (
        ([], []),
        ([steps()], [1]),
        ([steps(), steps()], []),
        ([steps()] * 2, [1, 2]),
    ):
        with pytest.raises(ValueError, match="SequentialLR"):
            lr_scheduler.SequentialLR(optimizer, parts, milestones)
    for wrong in (lr_scheduler.ReduceLROnPlateau(optimizer), 3, optimizer):
        with pytest.raises(TypeError, match="SequentialLR"):
            lr_scheduler.SequentialLR(optimizer, [steps(), wrong], [1])


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("epoch", [0, 0.5, 2, 2.75, 3, 5, 7.5, 9, 20.25, 2.0**60])
def test_warm_restarts_go_to_any_epoch(epoch, times):
    optimizer = optim.SGD([mg.tensor([1.0], requires_grad=True)], lr=0.8)
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, times, eta_min=0.1)
    schedule.step(epoch)
    since, length = epoch % 3 if times == 1 else epoch, 3
    while since >= length:
        since, length = since - length, length * times
    expected = 0.1 + 0.7 * (1 + np.cos(np.pi * since / length)) / 2
    assert schedule.get_last_lr() == [pytest.approx(expected, rel=1e-12)]


def test_sequential_schedules_load_the_states_of_their_parts():
    def made():
        opt = optim.SGD([mg.tensor(np.ones(1), requires_grad=True)], lr=1.0)
        parts = [optim.lr_scheduler.StepLR(opt, 2, 0.5), optim.lr_scheduler.ExponentialLR(opt, 0.9)]
        return opt, parts, optim.lr_scheduler.SequentialLR(opt, parts, [3])

    opt, parts, schedule = made()
    for _ in range(5):
        opt.step()
        schedule.step()
    _, loaded, again = made()
    again.load_state_dict(schedule.state_dict())
    assert [one.last_epoch for one in loaded] == [one.last_epoch for one in parts]
    assert [one.state_dict() for one in loaded] == [one.state_dict() for one in parts]
    assert again.state_dict() == schedule.state_dict()
