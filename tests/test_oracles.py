"""Every layer, loss, optimizer and schedule beside figures of PyTorch's, without PyTorch.

``tools/write_oracles.py`` wrote the figures. Metrics, initialisers and what draws random numbers
stand beside their textbook formulas in ``test_oracles_by_hand.py``.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from test_oracles_by_hand import HELD

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from tests import nn_cases, optim_cases

FOLDER = Path(__file__).parent / "oracles"
LIBRARY = nn_cases.Library(
    nn,
    F,
    mg.tensor,
    lambda module, parameters, inputs: nn.functional_call(module, parameters, *inputs),
)


def oracle(name):
    """Of each case, of each part: its shape and what is kept of it."""
    with np.load(FOLDER / f"{name}.npz") as file:
        contents, numbers = json.loads(bytes(file["contents"])), file["figures"]
    found, start = {}, 0
    for case, parts in contents.items():
        found[case] = {}
        for part, shape in parts.items():
            end = start + nn_cases.kept(np.zeros(shape)).size
            found[case][part] = tuple(shape), numbers[start:end]
            start = end
    assert start == numbers.size
    return found


ORACLES = {name: oracle(name) for name in ("nn", "optim")}


def compare(parts, expected, rtol):
    assert list(parts) == list(expected)
    for part, (shape, figures) in expected.items():
        array = np.asarray(parts[part])
        assert array.shape == shape, part
        scale = float(np.max(np.abs(figures), initial=0.0))
        np.testing.assert_allclose(
            nn_cases.kept(array), figures, rtol, rtol * max(scale, 1e-3), err_msg=part
        )


def flat(output):
    if isinstance(output, tuple):
        return [y for one in output for y in flat(one)]
    return [] if output is None else [output]


def computed(case):
    """The layer, the tensors that have a gradient, the outputs and their weighted sum."""
    xs = [mg.tensor(x, requires_grad=x.dtype.kind == "f") for x in case.inputs]
    sources = {f"input {i}": x for i, x in enumerate(xs) if x.requires_grad}
    layer = None
    if case.make is not None:
        layer = case.make(nn)
        if any(isinstance(p, nn.UninitializedParameter) for p in layer.parameters()):
            layer(mg.tensor(case.inputs[0].astype(np.float32)))
        layer = layer.double().train(case.training)
        state = {k: nn_cases.initial(k, v.shape) for k, v in layer.state_dict().items()}
        layer.load_state_dict({k: mg.tensor(v) for k, v in state.items()})
        sources |= dict(layer.named_parameters())
    settings = {
        k: mg.tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.settings.items()
    }
    outputs = flat(case.run(layer or LIBRARY, *xs, **settings))
    pairs = [(y, mg.tensor(nn_cases.cotangent(i, y.shape))) for i, y in enumerate(outputs)]
    return layer, sources, outputs, sum((y * g).sum() for y, g in pairs)


def figures(case):
    """What ``tools/write_oracles.py`` takes down of PyTorch, in the same order."""
    with mg.GradientTape(persistent=True) as outer:
        with mg.GradientTape(persistent=True) as inner:
            layer, sources, outputs, total = computed(case)
        given = list(sources.values())
        first = inner.gradient(total, given, unconnected_gradients="zero")
        along = sum((g * nn_cases.direction(i, g.shape, 0)).sum() for i, g in enumerate(first))
    parts = {f"output {i}": y.numpy() for i, y in enumerate(outputs)}
    if total.requires_grad:
        parts |= {f"gradient of {k}": g.numpy() for k, g in zip(sources, first, strict=True)}
        if case.order > 1:
            second = outer.gradient(along, given, unconnected_gradients="zero")
            parts["second order"] = sum(
                np.vdot(h.numpy(), nn_cases.direction(i, h.shape, 1)) for i, h in enumerate(second)
            )
    if layer is not None:
        parts |= {f"buffer {k}": b.numpy() for k, b in layer.named_buffers()}
    return parts


@pytest.mark.parametrize("name", nn_cases.CASES)
def test_layers_and_functions(name):
    case, expected = nn_cases.CASES[name], ORACLES["nn"][name]
    compare(figures(case), expected, case.rtol)
    # The rules once more on plain arrays, as when no tape listens to them.
    _, sources, _, total = computed(case)
    if total.requires_grad:
        total.backward()
        plain = {
            f"gradient of {k}": np.zeros(x.shape) if x.grad is None else x.grad.numpy()
            for k, x in sources.items()
        }
        compare(plain, {k: v for k, v in expected.items() if k in plain}, case.rtol)


@pytest.mark.parametrize("name", optim_cases.RUNS)
def test_optimizers_and_schedules(name):
    run = optim_cases.RUNS[name]
    compare({"all": run(optim, mg.tensor)}, ORACLES["optim"][name], 1e-12)


def test_the_figures_are_of_these_cases():
    """``python -m tools.write_oracles`` keeps them so."""
    assert set(ORACLES["nn"]) == set(nn_cases.CASES)
    assert set(ORACLES["optim"]) == set(optim_cases.RUNS)


# -- nothing is forgotten --------------------------------------------------------------------------

#: What computes nothing of its own.
BARE = {
    "nn": {
        "Module", "ModuleDict", "ModuleList", "Parameter", "UninitializedParameter",
        "functional", "init",
    },
    "functional": {"Tensor"},
    "init": {"Tensor"},
    "optim": {"Optimizer", "lr_scheduler"},
    "lr_scheduler": {"LRScheduler"},
    "metrics": {"Metric"},
}  # fmt: skip
SPACES = [nn, F, nn.init, optim, optim.lr_scheduler, mg.metrics]


def public(space):
    """All of ``__all__``, or what is defined here or listed in the ``__all__`` of a file of ours."""
    listed = getattr(space, "__all__", None)
    if listed is not None:
        return set(listed)
    found = set()
    for name, value in vars(space).items():
        file = getattr(value, "__module__", None) or ""
        if callable(value) and not name.startswith("_") and file.startswith("minigrad."):
            known = name in getattr(sys.modules[file], "__all__", ()) or file == space.__name__
            found |= {name} if known else set()
    return found


def held(space):
    """The names that a case above, or one by hand, is about."""
    found = HELD.get(space.__name__.split(".")[-1], set())
    layers = {type(c.make(nn)).__name__ for c in nn_cases.CASES.values() if c.make}
    first = {name.removeprefix("F.").split()[0] for name in (*nn_cases.CASES, *optim_cases.RUNS)}
    return found | first | (layers if space is nn else set())


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.__name__)
def test_every_public_name_has_an_oracle(space):
    bare = BARE[space.__name__.split(".")[-1]]
    assert public(space) - bare - held(space) == set(), "give it a case (tests/nn_cases.py)"
    assert bare <= public(space)


def test_the_numbers_of_the_cases_are_the_same_everywhere():
    assert nn_cases.numbers(3).tolist() == [
        1.1477647000754025,
        -1.2209291593082054,
        0.6955293986606894,
    ]
    assert len(set(nn_cases.numbers(10000).tolist())) == 10000
    assert abs(nn_cases.numbers(10000).mean()) < 0.02
    assert math.isclose(nn_cases.numbers(10000).std(), 3.2 / math.sqrt(12), rel_tol=0.02)
