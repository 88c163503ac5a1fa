"""Settings of the optimizers, and parameters and gradients to run them on."""

import numpy as np
import pytest

import minigrad as mg

#: Every option of every optimizer, alone and together.
CASES = [
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
        {"alpha": 0.8},
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
]  # fmt: skip
SHAPES = [(3, 4), (4,), (2, 1, 2), ()]
STEPS = 25


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps a number of its state in this dtype
    yield torch
    torch.set_default_dtype(default)


def values(dtype, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def gradients(dtype, steps=STEPS, shapes=SHAPES):
    """Gradients of every size; now and then one is None, and one is zero throughout."""
    rng = np.random.default_rng(1)
    for step in range(steps):
        scale = 10.0 ** rng.integers(-3, 2)
        found = [np.asarray(scale * rng.standard_normal(shape), dtype) for shape in shapes]
        if step % 7 == 3:
            found[step % len(shapes)] = None
        if step % 5 == 1:
            found[1] = np.zeros(shapes[1], dtype)
        yield found


def tensors(arrays):
    return [mg.tensor(a, requires_grad=True) for a in arrays]


def give(params, arrays, make):
    for p, g in zip(params, arrays, strict=True):
        p.grad = None if g is None else make(g)
