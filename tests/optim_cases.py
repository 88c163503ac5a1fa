"""Settings of the optimizers and schedules, and parameters and gradients to run them on.

``RUNS`` runs each for the oracles: ``tools/write_oracles.py`` keeps what PyTorch does, and
``tests/test_oracles.py`` compares with it where there is no PyTorch.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.nn_cases import Array, numbers

#: Every option of every optimizer, alone and together.
CASES: list[tuple[str, dict[str, Any]]] = [
    *[("SGD", kw) for kw in (
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "weight_decay": 0.2},
        {"lr": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.2, "maximize": True},
        {"lr": 0.1, "momentum": 0.5, "dampening": 0.2, "weight_decay": 0.2, "maximize": True},
        {},
    )],
    *[("Adagrad", kw) for kw in (
        {},
        {"lr": 0.1, "lr_decay": 0.1},
        {"initial_accumulator_value": 0.5},
        {"weight_decay": 0.2},
        {"eps": 1e-2},
        {"maximize": True},
        {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.2, "eps": 0.1},
    )],
    *[("RMSprop", kw) for kw in (
        {},
        {"lr": 0.1, "alpha": 0.8},
        {"eps": 1e-2},
        {"momentum": 0.9},
        {"centered": True},
        {"weight_decay": 0.2},
        {"maximize": True},
        {"alpha": 0.8, "eps": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.2},
    )],
    *[("Adadelta", kw) for kw in (
        {},
        {"lr": 0.5, "rho": 0.7},
        {"eps": 1e-2},
        {"weight_decay": 0.2},
        {"maximize": True},
        {"rho": 0.7, "eps": 0.1, "weight_decay": 0.2, "maximize": True},
    )],
    *[(name, kw) for name in ("Adam", "AdamW") for kw in (
        {},
        {"lr": 0.1, "betas": (0.8, 0.9)},
        {"eps": 1e-2},
        {"weight_decay": 0.2},
        {"amsgrad": True},
        {"maximize": True},
        {"lr": 0.1, "betas": (0.0, 0.5), "eps": 0.1, "weight_decay": 0.2, "amsgrad": True, "maximize": True},
    )],
    ("Adam", {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    *[("NAdam", kw) for kw in (
        {},
        {"lr": 0.1, "betas": (0.8, 0.9)},
        {"eps": 1e-2},
        {"weight_decay": 0.2},
        {"weight_decay": 0.2, "decoupled_weight_decay": True},
        {"momentum_decay": 0.1},
        {"maximize": True},
    )],
    *[("RAdam", kw) for kw in (
        {},
        {"lr": 0.1, "betas": (0.8, 0.7)},
        {"eps": 1e-2, "betas": (0.9, 0.5)},
        {"weight_decay": 0.2},
        {"weight_decay": 0.2, "decoupled_weight_decay": True},
        {"maximize": True},
    )],
]  # fmt: skip
SHAPES: list[tuple[int, ...]] = [(3, 4), (4,), (2, 1, 2), ()]
STEPS = 25

#: Each schedule with settings, for an optimizer with two groups.
SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("LambdaLR", {"lr_lambda": lambda step: 0.9**step}),
    ("LambdaLR", {"lr_lambda": [lambda step: 1 / (1 + step), lambda step: min(1.0, step / 5)]}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 7}),
    ("StepLR", {"step_size": 1}),
    ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 9, 9, 20]}),
    ("MultiStepLR", {"milestones": [10, 2], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 25}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 31}),
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "epochs": 4, "steps_per_epoch": 8, "pct_start": 0.5}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 31, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 31, "three_phase": True, "div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 31, "final_div_factor": 10.0,
                    "base_momentum": [0.5, 0.6], "max_momentum": 0.7}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 31, "cycle_momentum": False}),
]  # fmt: skip
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5},
    {"patience": 1, "threshold": 0.1},
    {"patience": 1, "mode": "max", "threshold": 0.05},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    {"patience": 1, "mode": "max", "threshold": 0.05, "threshold_mode": "abs"},
    {"patience": 1, "cooldown": 3},
    {"patience": 0, "factor": 0.5, "min_lr": [0.1, 0.15]},
    {"patience": 0, "factor": 0.9, "eps": 0.04},
]


# -- what the oracles keep -------------------------------------------------------------------------


def _values(*tensors: Any) -> Array:
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def _path(name: str, settings: dict[str, Any], optim: Any, tensor: Callable[..., Any]) -> Array:
    """Two parameters after each of nine steps; in the fourth the second has no gradient."""
    params = [tensor(numbers(*s, seed=i)) for i, s in enumerate([(2, 3), (4,)])]
    for p in params:
        p.requires_grad = True
    optimizer = getattr(optim, name)(params, **settings)
    found = []
    for step in range(9):
        size = 10.0 ** (step % 3 - 1)
        for i, p in enumerate(params):
            missing = step == 3 and i == 1
            p.grad = None if missing else tensor(size * numbers(*p.shape, seed=10 * step + i))
        optimizer.step()
        found.append(_values(*params))
    return np.stack(found)


def _settings_of(optimizer: Any) -> list[list[float]]:
    """What schedules change, of each group."""
    return [
        [group["lr"], *[group[k] for k in ("momentum",) if k in group], *group.get("betas", ())]
        for group in optimizer.param_groups
    ]


def _two_groups(optim: Any, tensor: Callable[..., Any], name: str, **settings: Any) -> Any:
    """An optimizer of two groups, each of one parameter with a gradient."""
    groups = []
    for lr in (0.5, 0.2):
        p = tensor(np.zeros(1))
        p.requires_grad = True
        p.grad = tensor(np.ones(1))
        groups.append({"params": [p], "lr": lr})
    return getattr(optim, name)(groups, **settings)


def _rates(
    schedules: list[tuple[str, dict[str, Any]]],
    kind: str,
    options: dict[str, Any],
    optim: Any,
    tensor: Callable[..., Any],
) -> Array:
    """What schedules that act on one optimizer together make of its settings, step by step."""
    optimizer = _two_groups(optim, tensor, kind, **options)
    acting = [getattr(optim.lr_scheduler, name)(optimizer, **kw) for name, kw in schedules]
    found = [_settings_of(optimizer)]
    for _ in range(30):
        optimizer.step()
        for one in acting:
            one.step()
        found.append(_settings_of(optimizer))
    return np.array(found)


#: Schedules that follow one another.
SEQUENCES: list[tuple[list[tuple[str, dict[str, Any]]], list[int]]] = [
    ([("LinearLR", {"total_iters": 4}), ("ExponentialLR", {"gamma": 0.9})], [4]),
    ([("StepLR", {"step_size": 2}), ("CosineAnnealingLR", {"T_max": 6}),
      ("CosineAnnealingWarmRestarts", {"T_0": 3})], [7, 15]),
]  # fmt: skip


def _sequence(
    parts: list[tuple[str, dict[str, Any]]],
    milestones: list[int],
    optim: Any,
    tensor: Callable[..., Any],
) -> Array:
    optimizer = _two_groups(optim, tensor, "SGD")
    made = [getattr(optim.lr_scheduler, name)(optimizer, **kw) for name, kw in parts]
    schedule = optim.lr_scheduler.SequentialLR(optimizer, made, milestones)
    found = [_settings_of(optimizer)]
    for _ in range(24):
        optimizer.step()
        schedule.step()
        found.append([*_settings_of(optimizer)])
    return np.array(found)


#: How PyTorch searches along a line is its own, so it is tested without.
LBFGS: list[dict[str, Any]] = [
    {"lr": 0.5}, {"lr": 0.5, "history_size": 2}, {"lr": 0.3, "max_iter": 4},
    {"lr": 0.5, "max_eval": 3}, {"lr": 0.5, "tolerance_grad": 1.0},
    {"lr": 0.5, "tolerance_change": 0.2},
]  # fmt: skip


def _moves(settings: dict[str, Any], optim: Any, tensor: Callable[..., Any]) -> Array:
    """Two parameters after each of four steps on a loss of the fourth order."""
    params = [tensor(numbers(*s, seed=i)) for i, s in enumerate([(2, 3), (4,)])]
    for p in params:
        p.requires_grad = True
    optimizer = optim.LBFGS(params, **settings)

    def closure() -> Any:
        optimizer.zero_grad()
        scales = [tensor(np.abs(numbers(*p.shape, seed=7)) + 0.1) for p in params]
        loss = sum(
            (s * (p - 0.3) ** 2 + 0.1 * p**4).sum() for s, p in zip(scales, params, strict=True)
        )
        loss = loss + (params[0].sum() - params[1].sum()) ** 2
        loss.backward()
        return loss

    found = []
    for _ in range(4):
        first = float(optimizer.step(closure))
        found.append(np.append(_values(*params), first))
    return np.stack(found)


def _by_fractions(optim: Any, tensor: Callable[..., Any]) -> Array:
    optimizer = _two_groups(optim, tensor, "SGD")
    schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
    found = []
    for epoch in (0.5, 2.25, 3.0, 8.75, 20.0):
        optimizer.step()
        schedule.step(epoch)
        found.append(_settings_of(optimizer))
    return np.array(found)


def _plateaus(settings: dict[str, Any], optim: Any, tensor: Callable[..., Any]) -> Array:
    """The rates, and the best value, after each of 60 values that improve less and less."""
    optimizer = _two_groups(optim, tensor, "SGD")
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    noise, found = numbers(60), []
    for step in range(60):
        value = 1.0 + 2.0 ** (-step / 8) + 0.05 * float(noise[step])
        value = 5.0 - value if settings.get("mode") == "max" else 3.0 * value
        optimizer.step()
        schedule.step(math.nan if step == 7 else value)
        found.append([*(group["lr"] for group in optimizer.param_groups), schedule.best])
    return np.array(found)


def _runs() -> dict[str, Callable[..., Array]]:
    found: dict[str, Callable[..., Array]] = {
        f"{name} {settings}": partial(_path, name, settings) for name, settings in CASES
    }
    for i, (name, settings) in enumerate(SCHEDULES):
        found[f"{name} {i}"] = partial(_rates, [(name, settings)], "SGD", {"momentum": 0.9})
        if name == "OneCycleLR":
            found[f"{name} {i} of Adam"] = partial(_rates, [(name, settings)], "Adam", {})
    chain: list[tuple[str, dict[str, Any]]]
    chain = [("LinearLR", {"total_iters": 4}), ("ExponentialLR", {"gamma": 0.9})]
    found["LinearLR and ExponentialLR"] = partial(_rates, chain, "SGD", {})
    for i, (parts, milestones) in enumerate(SEQUENCES):
        found[f"SequentialLR {i}"] = partial(_sequence, parts, milestones)
    found["CosineAnnealingWarmRestarts by fractions"] = _by_fractions
    for settings in LBFGS:
        found[f"LBFGS {settings}"] = partial(_moves, settings)
    for settings in PLATEAUS:
        found[f"ReduceLROnPlateau {settings}"] = partial(_plateaus, settings)
    return found


#: Each optimizer and schedule: a function of PyTorch's ``optim`` or ours, and of ``tensor``.
RUNS = _runs()


# -- for the tests that compare with PyTorch itself ------------------------------------------------


@pytest.fixture
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps a number of its state in this dtype
    yield torch
    torch.set_default_dtype(default)


def values(dtype: Any, shapes: Any = SHAPES, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def gradients(dtype: Any, steps: int = STEPS, shapes: Any = SHAPES) -> Iterator[list[Any]]:
    """Gradients of every size; now and then one is None, and one is zero throughout."""
    rng = np.random.default_rng(1)
    for step in range(steps):
        scale = 10.0 ** rng.integers(-3, 2)
        found: list[Any] = [
            np.asarray(scale * rng.standard_normal(shape), dtype) for shape in shapes
        ]
        if step % 7 == 3:
            found[step % len(shapes)] = None
        if step % 5 == 1:
            found[1] = np.zeros(shapes[1], dtype)
        yield found


def tensors(arrays: Any) -> list[mg.Tensor]:
    return [mg.tensor(a, requires_grad=True) for a in arrays]


def give(params: Any, arrays: Any, make: Callable[..., Any]) -> None:
    for p, g in zip(params, arrays, strict=True):
        p.grad = None if g is None else make(g)
