"""Every layer, loss, optimizer and schedule beside figures of PyTorch's, without PyTorch.

``tools/write_oracles.py`` wrote the figures. Metrics, initialisers and what draws random numbers
stand beside their textbook formulas in ``test_oracles_by_hand.py``.
"""

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest
from test_oracles_by_hand import HELD

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from tests import nn_cases, optim_cases

FOLDER = Path(__file__).parent / "oracles"


def library(dtype):
    """minigrad with numbers of this dtype."""

    def tensor(data):
        data = np.asarray(data)
        return mg.tensor(data.astype(dtype) if data.dtype.kind == "f" else data)

    def call(module, parameters, inputs):
        return nn.functional_call(module, parameters, *inputs)

    return nn_cases.Library(nn, F, tensor, call)


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


def computed(case, dtype=np.float64):
    """The layer, the tensors that have a gradient, the outputs and their weighted sum."""
    lib = library(dtype)
    xs = [lib.tensor(x) for x in case.inputs]
    for x in xs:
        x.requires_grad = x.dtype == dtype
    sources = {f"input {i}": x for i, x in enumerate(xs) if x.requires_grad}
    layer = None
    if case.make is not None:
        layer = case.make(nn)
        if any(isinstance(p, nn.UninitializedParameter) for p in layer.parameters()):
            layer(mg.tensor(case.inputs[0].astype(np.float32)))
        layer = layer.to(dtype).train(case.training)
        state = {k: nn_cases.initial(k, v.shape) for k, v in layer.state_dict().items()}
        layer.load_state_dict({k: lib.tensor(v) for k, v in state.items()})
        sources |= dict(layer.named_parameters())
    settings = {
        k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.settings.items()
    }
    outputs = flat(case.run(lib if layer is None else layer, *xs, **settings))
    pairs = [(y, lib.tensor(nn_cases.cotangent(i, y.shape))) for i, y in enumerate(outputs)]
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


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-9), (np.float32, 1e-4)])
@pytest.mark.parametrize("name", nn_cases.CASES)
def test_layers_and_functions_without_a_tape(name, dtype, rtol):
    """The rules on plain arrays, and what the kernels do for float32."""
    case, expected = nn_cases.CASES[name], ORACLES["nn"][name]
    _, sources, outputs, total = computed(case, dtype)
    parts = {f"output {i}": y for i, y in enumerate(outputs)}
    if total.requires_grad:
        total.backward()
        parts |= {f"gradient of {k}": x.grad for k, x in sources.items() if x.grad is not None}
        assert {part.dtype for part in parts.values()} <= {np.dtype(dtype), np.dtype(np.int64)}
        for k, x in sources.items():
            parts.setdefault(f"gradient of {k}", mg.zeros(x.shape))
    first = {k: v for k, v in expected.items() if k.startswith(("output", "gradient"))}
    compare({k: parts[k].numpy() for k in first}, first, max(rtol, case.rtol))


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("name", optim_cases.RUNS)
def test_optimizers_and_schedules(name, dtype, rtol):
    found = optim_cases.RUNS[name](optim, library(dtype).tensor)
    compare({"all": found}, ORACLES["optim"][name], rtol)


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
    "functional": set(),
    "init": set(),
    "optim": {"Optimizer", "lr_scheduler"},
    "lr_scheduler": {"LRScheduler"},
    "metrics": {"Metric"},
}  # fmt: skip
SPACES = [nn, F, nn.init, optim, optim.lr_scheduler, mg.metrics]


def public(space):
    return set(space.__all__)


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


class Watched:
    """A module, and which options of its functions have been given other values than by default."""

    def __init__(self, space):
        self.space, self.called, self.tried = space, set(), set()

    def __getattr__(self, name):
        function = getattr(self.space, name)
        self.called.add(name)

        def call(*args, **kwargs):
            signature = inspect.signature(function)
            for option, value in signature.bind(*args, **kwargs).arguments.items():
                default = signature.parameters[option].default
                if type(value) is not type(default) or value != default:
                    self.tried.add((name, option))
            return function(*args, **kwargs)

        return call

    def untried(self):
        return sorted(
            (name, option)
            for name in self.called
            for option, p in inspect.signature(getattr(self.space, name)).parameters.items()
            if p.default is not inspect.Parameter.empty and option not in BY_HAND
            if (name, option) not in self.tried
        )


#: Options that the tests by hand, or those of dtypes, are about.
BY_HAND = {"dtype", "generator", "dropout", "dropout_p", "p"}


def test_every_option_of_a_layer_or_a_function_is_tried():
    watched = library(np.float64)._replace(nn=Watched(nn), F=Watched(F))
    for case in nn_cases.CASES.values():
        if case.make is None:
            case.run(watched, *map(watched.tensor, case.inputs))
        else:
            case.make(watched.nn)
    assert watched.nn.untried() == []
    assert watched.F.untried() == []


def test_every_option_of_an_optimizer_or_a_schedule_is_tried():
    tried = {}
    plateaus = [("ReduceLROnPlateau", settings) for settings in optim_cases.PLATEAUS]
    for name, settings in optim_cases.CASES + optim_cases.SCHEDULES + plateaus:
        tried.setdefault(name, {"params", "optimizer", "last_epoch"}).update(settings)
    for name, options in tried.items():
        kind = getattr(optim, name, None) or getattr(optim.lr_scheduler, name)
        assert set(inspect.signature(kind).parameters) <= options, name


def test_the_numbers_of_the_cases_are_the_same_everywhere():
    assert nn_cases.numbers(3).tolist() == [
        1.1477647000754025,
        -1.2209291593082054,
        0.6955293986606894,
    ]
    assert len(set(nn_cases.numbers(10000).tolist())) == 10000
    assert abs(nn_cases.numbers(10000).mean()) < 0.02
    assert math.isclose(nn_cases.numbers(10000).std(), 3.2 / math.sqrt(12), rel_tol=0.02)
