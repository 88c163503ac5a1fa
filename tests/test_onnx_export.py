"""Exported models compute what minigrad computes, in onnxruntime and in ONNX's reference."""

import ast
import functools
import inspect
import string
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.tree import map_leaves
from minigrad.nn import functional as F
from minigrad.operators.declare import OPERATORS
from tests.nn_cases import LAYERS, Case, _layers
from tests.test_operators import cases

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from minigrad.onnx.export_table import ROWS  # noqa: E402
from tests.onnx_checks import check_export  # noqa: E402


def narrow(value):
    """float64 arrays as float32, also inside lists and tuples."""

    def of(leaf):
        wide = isinstance(leaf, np.ndarray) and leaf.dtype == np.float64
        return leaf.astype(np.float32) if wide else leaf

    return map_leaves(of, value)


def kinds(model):
    return [node.op_type for node in model.graph.node if node.op_type != "Constant"]


# -- operators -------------------------------------------------------------------------------------

#: Samples that ONNX's reference, which is written for clarity, does not compute.
NOT_IN_REFERENCE = {
    "softsign": "it takes arrays only", "where": "it takes the length of numbers", "einsum": "it takes the length of numbers",
    "logsumexp": "it has no sums of numbers",
    "conv2d_input_grad": "its ConvTranspose has no groups", "col2im": "its ConvTranspose has no groups",
}  # fmt: skip


#: Before pages of the documentation, which tests run, declare operators of their own.
DECLARED = sorted(OPERATORS)


def test_every_operator_has_a_row_or_a_reason_why_it_has_none():
    assert sorted(set(DECLARED) & set(ROWS)) == DECLARED


@pytest.mark.parametrize("name", sorted(n for n in OPERATORS if callable(ROWS.get(n))))
def test_operators(name, tmp_path):
    compared = 0
    for case in cases(name):
        case.args = narrow(case.args)
        case.metadata = {k: narrow(v) for k, v in case.metadata.items()}
        if not case.flat or any(x.size == 0 for x in case.flat) or case.metadata.get("order"):
            continue  # of sinc, the derivatives have no row
        check_export(
            lambda *given, case=case: case.call(list(given)), case.flat, tmp_path / "a.onnx",
            dynamic_batch=False, reference=name not in NOT_IN_REFERENCE,
        )  # fmt: skip
        compared += 1
    assert compared


@pytest.mark.parametrize("name", sorted(n for n in OPERATORS if isinstance(ROWS.get(n), str)))
def test_an_operator_without_a_row_is_refused_with_its_name_path_and_line(name, tmp_path):
    case = next(c for c in cases(name) if all(x.size for x in c.flat))

    class Inner(nn.Module):
        def forward(self, *x):
            return case.call(list(x))

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Inner()

        def forward(self, *x):
            return self.part(*x)

    with pytest.raises(ValueError, match=rf"onnx.export: {name} in part: [\s\S]*line \d+") as error:
        mg.onnx.export(Outer(), tuple(case.flat), tmp_path / "a.onnx", dynamic_batch=False)
    assert str(ROWS[name]) in str(error.value)
    assert not list(tmp_path.iterdir())


X = np.array([[0.5, -1.5, 2.0], [-0.25, 3.0, 1.0]], np.float32)
IDS = np.array([[1, 0, 2], [2, 2, 1]])
FUNCTIONS = {
    "comparison": lambda x: mg.where(x > 0, x, x * 0.1),
    "comparisons": lambda x: (x >= 1, x < x.T.T * 2, x <= 0, x == 2, x != 2),
    "logic": lambda x: (mg.logical_and(x > 0, x < 2), ~(x > 0), (x > 0) | (x < -1)),
    "argmax": lambda x: (x.argmax(axis=1), mg.argmin(x, axis=-1), mg.argmax(x, 1)),
    "any": lambda x: ((x > 2).any(axis=1), mg.all(x > -2, axis=1, keepdims=True)),
    "rounding": lambda x: (mg.floor(x), mg.ceil(x), mg.rint(x), mg.trunc(x), mg.sign(x)),
    "finite": lambda x: (mg.isnan(x), mg.isinf(x / 0.5), mg.isfinite(x)),
    "floor divide": lambda x: (x // 0.75, x % 0.75),
    "argsort": lambda x: mg.argsort(x, axis=1),
    "numbers": lambda x: 1.0 - 2 / (x * x + 3),
    "slices": lambda x: (x[:, 1:], x[..., ::-1], x[:, -1], x[:, None, 0], x[:-1]),
    "indices apart": lambda x: (
        x[:, None][[0, 1], :, [2, 0]],
        x.T[..., None][np.array([[0], [2]]), 0],
        x[:, None, None][..., 0, np.array([1, 2])],
        x.T[:, None][0, :, np.array([1, 0])],
    ),
    "integer arrays": lambda x: (x[:, [2, 0]], x[:, np.array([[1], [2]])], x.T[[0, 2]]),
    "sort": lambda x: mg.take(x, np.array([2, 0]), axis=1),
    "tile": lambda x: mg.concatenate([x, mg.broadcast_to(x[:, :1], x.shape)], axis=1),
    "broadcast": lambda x: mg.broadcast_to(x[:, None], (len(x), 4, 3)),
    "reshape": lambda x: x.reshape(len(x), 3, 1).swapaxes(0, 1).reshape(3, -1),
    "reshape all": lambda x: x.reshape(-1),
    "two axes of the batch": lambda x: mg.matmul(x, x.T).reshape(len(x), len(x), 1),
    "half": lambda x: x.astype(np.float64).mean(axis=0),
    "pad": lambda x: F.pad(x, (1, 2), value=0.5),
    "reflect": lambda x: F.pad(x, (1, 2), mode="reflect"),
    "interpolate": lambda x: F.interpolate(x[:, None, None], size=(2, 5), mode="bilinear"),
    "attention": lambda x: F.scaled_dot_product_attention(
        x[:, :, None], x[:, :, None], x[:, :, None], is_causal=True
    ),
    "loss": lambda x: F.mse_loss(x, x * 0.5, reduction="none"),
    "softmax": lambda x: F.softmax(x, 1) @ mg.ones((3, 2)),
    "named": lambda x: {"up": x + 1, "down": {"far": x - 9}},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, tmp_path):
    check_export(FUNCTIONS[name], [X], tmp_path / "a.onnx")


#: Another NaN in each row than in X, and a row of nothing else.
MISSING = np.array([[np.nan, 2.0, 5.0], [-1.0, 0.5, np.nan], [np.nan, np.nan, np.nan]], np.float32)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("given", [X, MISSING[:2]], ids=["without", "with NaN"])
@pytest.mark.parametrize("name", ["nanmean", "nanvar", "nanstd", "nanmax", "nanmin"])
def test_nan_is_looked_for_in_what_the_model_is_given(name, given, dynamic, tmp_path):
    def function(x):
        return getattr(mg, name)(x, axis=1)

    check_export(function, [given], tmp_path / "a.onnx", dynamic_batch=dynamic)
    again = mg.onnx.load(tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    for other in [MISSING[1:], MISSING[:2]]:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            wanted = getattr(np, name)(other, axis=1)
            loaded = again(mg.Tensor(other)).numpy()
        (found,) = session.run(None, {session.get_inputs()[0].name: other})
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        np.testing.assert_allclose(loaded, wanted, rtol=1e-6)


@pytest.mark.parametrize("opset", range(18, 24))
def test_opsets(opset, tmp_path):
    def function(x):
        y = F.gelu(x) + F.gelu(x, approximate="tanh")
        return model(mg.concatenate([y, x, y[:, :2]], axis=1)).std(axis=1)

    model = nn.Sequential(nn.GroupNorm(2, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    check_export(function, [X], tmp_path / "a.onnx", opset=opset)


def test_integers_may_choose_rows(tmp_path):
    table = nn.Embedding(3, 4, padding_idx=1)
    model = check_export(table, [IDS], tmp_path / "a.onnx")
    assert kinds(model) == ["Gather"]
    check_export(lambda i: mg.arange(6.0).reshape(3, 2)[i], [IDS], tmp_path / "a.onnx")
    check_export(lambda x, i: x[i[:, 0] // 2], [X, IDS], tmp_path / "a.onnx")
    check_export(lambda i: i.mean(axis=1), [IDS], tmp_path / "a.onnx")


# -- layers ----------------------------------------------------------------------------------------

#: What onnx.reference does not compute as the standard has it.
LAYERS_NOT_IN_REFERENCE = {
    "transpose strided": "its ConvTranspose has no groups",
    "transpose 1d strided": "its ConvTranspose has no groups",
    "local response": "its LRN leaves out the last neighbour",
    "local response, in evaluation": "its LRN leaves out the last neighbour",
    "rnn relu": "its RNN has no Relu",
}
CASES = {n: c for n, c in _layers().items() if c.make is not None}


def runs(case: Case, layer):
    return functools.partial(case.run, layer, **case.settings)


@pytest.mark.parametrize("name", CASES)
def test_layers(name, tmp_path):
    case = CASES[name]
    layer = case.make(nn)
    x = [narrow(one) for one in case.inputs]
    with mg.no_grad():
        layer.train()
        runs(case, layer)(*map(mg.Tensor, x))  # so that statistics are not 0 and 1
    layer.eval()
    function = layer if case.run.__name__ == "_apply" else runs(case, layer)
    # Of masked attention the first axis is no batch, and neither is that of one vector.
    fixed = "mask" in name or "vector" in name or "unbatched" in name
    fixed |= "without a batch" in name
    # Places of maxima and bags are found by looking, not by an operator.
    if "indices" in name or "offsets" in name:
        with pytest.raises(ValueError, match=r"onnx\.export"):
            check_export(function, x, tmp_path / "a.onnx", dynamic_batch=not fixed)
        return
    check_export(
        function, x, tmp_path / "a.onnx", dynamic_batch=not fixed,
        reference=name not in LAYERS_NOT_IN_REFERENCE,
    )  # fmt: skip


NATIVE = {
    "linear": ["Gemm"], "conv": ["Conv"], "conv same": ["Conv"], "transpose": ["ConvTranspose"],
    "max pool": ["MaxPool"], "avg pool": ["AveragePool"], "upsample": ["Resize"],
    "batch norm 2d, in evaluation": ["BatchNormalization"], "layer norm": ["LayerNormalization"],
    "group norm": ["GroupNormalization"], "local response": ["LRN"], "embedding": ["Gather"],
    "gelu": ["Gelu"], "flatten": ["Reshape"], "softmax": ["Softmax"],
    "sequential": ["Gemm", "Tanh", "Gemm"],
}  # fmt: skip


@pytest.mark.parametrize("name", NATIVE)
def test_layers_are_nodes_of_their_own(name, tmp_path):
    case = CASES[name]
    layer = case.make(nn).eval()
    mg.onnx.export(layer, narrow(case.inputs[0]), tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    assert kinds(model) == NATIVE[name]
    initializers = {one.name for one in model.graph.initializer}
    buffers = {"num_batches_tracked"}
    assert initializers == set(layer.state_dict()) - buffers


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_layers_take_any_length(name, tmp_path):
    make, x = LAYERS[name]
    model = check_export(make(nn), [narrow(x)], tmp_path / "a.onnx")
    assert name.upper() in kinds(model)
    assert "Sigmoid" not in kinds(model)


def test_a_state_passed_by_name_is_not_lost(tmp_path):
    layer = nn.LSTM(3, 2)
    x, state = X[:, None], np.full((1, 1, 2), 0.5, np.float32)
    model = check_export(
        lambda x, h: layer(x, hx=(h, h * 2.0))[0], [x, state], tmp_path / "a.onnx",
        dynamic_batch=False,
    )  # fmt: skip
    assert "LSTM" not in kinds(model)


# -- models ----------------------------------------------------------------------------------------

SHAPES = {
    "alexnet_small": (2, 1, 28, 28), "deep_convnet": (2, 1, 28, 28),
    "googlenet_small": (2, 1, 28, 28), "resnet_small": (2, 1, 28, 28),
}  # fmt: skip
#: With millions of weights, which take seconds to write and to read.
LARGE = {
    "resnet18": (2, 3, 40, 40), "resnet34": (1, 3, 33, 33), "resnet50": (1, 3, 33, 33),
    "googlenet": (1, 3, 48, 48), "alexnet": (1, 3, 63, 63),
    **dict.fromkeys([f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")], (1, 3, 32, 32)),
}  # fmt: skip
#: With local response normalisation, of which onnx.reference leaves out the last neighbour.
WITH_LRN = {"alexnet_small", "googlenet_small"}


def check_network(network, shape, path, reference, whole=False):
    """Export the network with statistics that are not 0 and 1, and compare; ``whole``: integers."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 50, shape) if whole else rng.normal(size=shape).astype(np.float32)
    if isinstance(network, nn.Module):
        with mg.no_grad():
            network.train()(np.concatenate([x, x // 2 if whole else x * 0.5]))
        network.eval()
    check_export(network, [x], path, reference=reference)


@pytest.mark.parametrize(
    "name", [*SHAPES, *[pytest.param(name, marks=pytest.mark.slow) for name in LARGE]]
)
def test_models(name, tmp_path):
    shape = {**SHAPES, **LARGE}[name]
    options = {"in_channels": 1} if name.endswith("_small") else {}
    model = getattr(mg.models, name)(**options)
    check_network(model, shape, tmp_path / "a.onnx", reference=name not in WITH_LRN)


def test_every_model_is_there():
    assert {*SHAPES, *LARGE} == {name for name in mg.models.__all__ if name.islower()}


#: The networks of each example, as they are written there, and the shape of what they are given.
IMAGES = (2, 1, 28, 28)
EXAMPLES = {
    "alexnet_mnist": {"models.alexnet_small()": IMAGES},
    "convolution_network": {
        "ConvolutionNetwork(batch_size=16 if args.quick else 128, lr=args.lr)": IMAGES,
    },
    "deep_convnet_mnist": {"models.deep_convnet()": IMAGES},
    "dense_fashion_mnist": {
        "build(nn.ReLU, x[0].size)": IMAGES, "build(activation, x[0].size)": IMAGES,
    },
    "digits": {
        "nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), "
        "nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), "
        "nn.Dropout(0.5), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10))": (2, 1, 8, 8),
    },
    "googlenet_fashion": {
        "models.googlenet_small(num_classes=10, in_channels=1)": IMAGES,
        "models.googlenet(aux_logits=False)": (1, 3, 48, 48),
    },
    "layers_from_scratch": {
        "nn.Linear(1, 1)": (2, 1), "nn.Linear(2, 1)": (3, 2),
        "nn.Sequential(nn.Linear(x.shape[1], 32), nn.Sigmoid(), nn.Linear(32, 10))": (2, 784),
        "six_layers(x.shape[1], dropout)": (2, 784), "six_layers(x.shape[1])": (2, 784),
    },
    "resnet_fashion": {
        "models.resnet_small(num_classes=10, in_channels=1, blocks=args.blocks)": IMAGES,
        "models.resnet18()": (1, 3, 33, 33), "models.resnet50()": (1, 3, 33, 33),
    },
    "transformer_text": {"Transformer(width)": (2, 64), "Recurrent(width, 2 * width)": (2, 64)},
    "vgg16": {
        "models.vgg11(init_weights=False)": (1, 3, 32, 32), "models.vgg16()": (1, 3, 32, 32),
    },
}  # fmt: skip
FOLDER = Path(__file__).parents[1] / "examples"
#: What else the networks are made with: the options of the command line, and other variables.
VARIABLES = {"args": SimpleNamespace(quick=True, lr=0.01, blocks=1), "dropout": 0.5, "width": 8}
#: What the definitions of an example refer to.
CONSTANTS = {"CONTEXT": 64, "LETTERS": string.printable[:96]}


def definitions(name):
    """The names that an example defines, by its tree without what it runs."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    alias = [one for one in tree.body if isinstance(getattr(one, "value", None), ast.Attribute)]
    bare = ast.Module([one for one in tree.body if isinstance(one, kept) or one in alias], [])
    names = {"__name__": f"examples.{name}", **CONSTANTS}
    exec(compile(bare, name, "exec"), names)
    return tree, names


def makes_a_network(called, names):
    """Whether a call of this makes a network: a layer, a model, or what an example defines."""
    try:
        made = eval(ast.unparse(called), dict(names))
    except (NameError, AttributeError):
        return False
    if isinstance(made, type):
        own = made.__module__ == names["__name__"] and hasattr(made, "forpass")
        return own or issubclass(made, nn.Module)
    function = inspect.unwrap(made) if inspect.isfunction(made) else None
    if function is None or not function.__module__.startswith(("minigrad.models", "examples.")):
        return False
    annotated = function.__annotations__.get("return")
    if isinstance(annotated, str):
        annotated = function.__globals__.get(annotated)
    return inspect.isclass(annotated) and issubclass(annotated, nn.Module)


def networks_in(node, names):
    """The outermost calls that make a network, outside of functions that return one."""
    if isinstance(node, ast.Call) and makes_a_network(node.func, names):
        return {ast.unparse(node)}
    defines = isinstance(node, (ast.FunctionDef, ast.ClassDef))
    if defines and makes_a_network(ast.Name(node.name), names):
        return set()  # its calls make parts of it
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):  # for f in (g, h): f()
        makers = [one for one in node.iter.elts if makes_a_network(one, names)]
        if makers:
            return {f"{ast.unparse(one)}()" for one in makers}
    return {one for child in ast.iter_child_nodes(node) for one in networks_in(child, names)}


def test_every_example_has_a_row():
    assert sorted(EXAMPLES) == sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_network_of_an_example_has_a_row(name):
    pytest.importorskip("matplotlib")
    found = networks_in(*definitions(name))
    pieces = {one for one in found if "*layers" in one or "model." in one}  # of a network
    assert sorted(found - pieces) == sorted(EXAMPLES[name])


@pytest.mark.parametrize(
    ("name", "network"),
    [
        pytest.param(
            name, one, id=f"{name}: {one[:60]}",
            marks=[pytest.mark.slow] if shape[1] == 3 else [],
        )
        for name, networks in EXAMPLES.items()
        for one, shape in networks.items()
    ],
)  # fmt: skip
def test_networks_of_examples(name, network, tmp_path):
    pytest.importorskip("matplotlib")
    shape = EXAMPLES[name][network]
    names = {**definitions(name)[1], **VARIABLES, "x": np.zeros(shape, np.float32)}
    for names["activation"] in (nn.Sigmoid, nn.ReLU) if "activation" in network else (None,):
        made = eval(network, names)
        if not isinstance(made, nn.Module):
            made.init_weights(*shape[1:], 10)
            made = made.forpass
        reference = not any(f"{one}(" in network for one in WITH_LRN)
        check_network(made, shape, tmp_path / "a.onnx", reference, name == "transformer_text")


# -- what is around a model ------------------------------------------------------------------------


class Shifted(nn.Module):
    """With a buffer, in training."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.register_buffer("shift", mg.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        return self.body(x) + self.shift


def test_the_mode_and_the_state_of_a_model_stay(tmp_path):
    model = Shifted()
    model.body[2].eval()
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    mg.onnx.export(model, X, tmp_path / "a.onnx")
    assert [m.training for m in model.modules()] == [True, True, True, True, False]
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    assert not any(m._hooks or m._pre_hooks for m in model.modules())


def test_a_buffer_stays_a_buffer(tmp_path):
    check_export(Shifted().eval(), [X], tmp_path / "a.onnx")
    loaded = mg.onnx.load(tmp_path / "a.onnx")
    assert {n for n, _ in loaded.named_buffers()} == {
        "shift", "body.1.running_mean", "body.1.running_var",
    }  # fmt: skip


def test_a_function_of_models_has_their_names(tmp_path):
    encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
    model = check_export(lambda x: decoder(encoder(x)), [X], tmp_path / "a.onnx")
    assert {one.name for one in model.graph.initializer} == {
        "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias",
    }  # fmt: skip
    model = check_export(lambda x: F.softmax(encoder(x), 1), [X], tmp_path / "a.onnx")
    assert {one.name for one in model.graph.initializer} == {"weight", "bias"}


def test_recomputing_and_own_gradients_are_what_they_run(tmp_path):
    @mg.custom_gradient
    def double(x):
        return x * 2.0, lambda g: g

    layer = nn.Linear(3, 3)
    check_export(lambda x: double(mg.checkpoint(layer, x)), [X], tmp_path / "a.onnx")


WRONG = {
    "a class": (lambda x, p: (nn.Linear, x, p), TypeError, "the class Linear; make one of it"),
    "its state": (lambda x, p: ({}, x, p), TypeError, "must be a Module or a function"),
    "a shape": (lambda x, p: (nn.Linear(3, 2), (2, 3), p), TypeError, "mg.zeros.*2, 3"),
    "numbers": (lambda x, p: (nn.Linear(3, 2), x.tolist(), p), TypeError, "a list of list; make"),
    "a dict": (lambda x, p: (nn.Linear(3, 2), {"x": x}, p), TypeError, "a tuple .*, got dict"),
    "nothing": (lambda x, p: (nn.Linear(3, 2), None, p), TypeError, "a tuple .*, got NoneType"),
    "no rows": (lambda x, p: (nn.Linear(3, 2), x[:0], p), ValueError, "at least one row"),
    "features": (lambda x, p: (nn.Linear(4, 2), x, p), ValueError, "expected 4 features, got 3"),
    "suffix": (lambda x, p: (nn.Linear(3, 2), x, p.with_suffix(".pt")), ValueError, "a.onnx"),
    "folder": (lambda x, p: (nn.Linear(3, 2), x, p.parent), IsADirectoryError, "add a file name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_says_what_to_do(name, tmp_path):
    arguments, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        mg.onnx.export(*arguments(X, tmp_path / "a.onnx"))
    assert not list(tmp_path.iterdir())


def test_a_fixed_batch_is_said(tmp_path):
    mg.onnx.export(nn.Linear(3, 2), X, tmp_path / "a.onnx", dynamic_batch=False)
    model = mg.onnx.load(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"shape \(2, 3\), got \(5, 3\); the file fixes the batch"):
        model(mg.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"shape \(2, 3\), got \(2, 4\)$"):
        model(mg.zeros((2, 4)))


def test_names_of_inputs_and_outputs(tmp_path):
    def function(image, scale):
        return {"up": image * scale, "down": image / scale}

    model = check_export(function, [X, X + 5], tmp_path / "a.onnx")
    assert [one.name for one in model.graph.input] == ["image", "scale"]
    assert [one.name for one in model.graph.output] == ["up", "down"]
    names = {"input_names": ["a", "b"], "output_names": ["c", "d"]}
    model = check_export(function, [X, X + 5], tmp_path / "a.onnx", **names)
    assert [one.name for one in model.graph.input] == ["a", "b"]
    assert [one.name for one in model.graph.output] == ["c", "d"]
    for wrong in (["a"], ["a", "a"]):
        with pytest.raises(ValueError, match="input_names must be 2 different names"):
            mg.onnx.export(function, (X, X), tmp_path / "b.onnx", input_names=wrong)


def branch(x):
    return x * 2.0 if x.sum().item() > 4.0 else x - 1.0


def loop(x):
    for i in range(len(x)):
        x = x + float(i)
    return x


REFUSED = {
    "a branch on the data": (branch, "(multiply|subtract) in 1: with another batch"),
    "a loop over the batch": (loop, "depends on the data or on the batch size"),
    "the length of the batch": (lambda x: x.sum(axis=0) / len(x), "divide: it uses a constant"),
    "a number from the data": (lambda x: x - x.max().item(), "subtract: it uses a constant"),
    "an array from the data": (lambda x: x * np.sign(x.numpy()), "multiply: it uses a constant"),
    "an array of the batch": (lambda x: x + np.ones((len(x), 3)), "add: it uses a constant"),
    "a slice of the batch": (lambda x: x[: len(x) - 1], "is no multiple of the batch"),
    "a mask as an index": (lambda x: x[x > 0], "with a mask|depends on"),
    "chance": (lambda x: x + mg.rand(3), "add: it uses a constant [\\s\\S]*random numbers"),
    "dropout in training": (lambda x: F.dropout(x, 0.5, training=True), "leave it to nn.Dropout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_the_data_or_the_batch_is_refused(name, tmp_path):
    function, message = REFUSED[name]

    class Part(nn.Module):
        def forward(self, x):
            return function(x)

    model = nn.Sequential(nn.Tanh(), Part())
    with pytest.raises(ValueError, match=message) as error:
        mg.onnx.export(model, X + 0.75, tmp_path / "a.onnx")
    assert "onnx.export: " in str(error.value)
    assert "test_onnx_export.py" in str(error.value)
    assert " in 1" in str(error.value)


def test_the_length_of_the_batch_may_be_fixed(tmp_path):
    check_export(lambda x: x.sum(axis=0) / len(x), [X], tmp_path / "a.onnx", dynamic_batch=False)


def test_nothing_of_it_is_imported_until_it_is_used():
    code = """
import sys, minigrad as mg
assert not {"onnx", "minigrad.onnx"} & set(sys.modules)
mg.onnx.load
assert "onnx" not in sys.modules and "minigrad.onnx" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
