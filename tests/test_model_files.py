"""Files of whole models: structure and weights."""

import json
import re

import numpy as np
import pytest
from test_files import DAMAGES, damage, refusal, with_header

import minigrad as mg
from minigrad import models, nn
from minigrad.io import models as io_models
from minigrad.nn import functional as F

#: Every layer of the library, with all its arguments away from their defaults where that goes.
LAYERS = {
    "AdaptiveAvgPool1d": [nn.AdaptiveAvgPool1d(3)],
    "AdaptiveMaxPool1d": [nn.AdaptiveMaxPool1d(3, True)],
    "AdaptiveMaxPool2d": [nn.AdaptiveMaxPool2d((2, None), True), nn.AdaptiveMaxPool2d(3)],
    "AvgPool1d": [nn.AvgPool1d(3, 2, 1, True, False), nn.AvgPool1d(2)],
    "Conv1d": [nn.Conv1d(4, 6, 3, 2, "valid", 2, 2, False), nn.Conv1d(1, 2, (3,), padding=((0, 1),))],
    "ConvTranspose1d": [nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 1, dtype="float64")],
    "MaxPool1d": [nn.MaxPool1d(3, (2,), 1, 2, True, True), nn.MaxPool1d(2, ceil_mode=True)],
    "MaxUnpool1d": [nn.MaxUnpool1d(3, (2,), 1)],
    "MaxUnpool2d": [nn.MaxUnpool2d(3, (2, 1), 1)],
    "Bilinear": [nn.Bilinear(3, 2, 4, False, dtype="float64")],
    "EmbeddingBag": [nn.EmbeddingBag(5, 3, "max", True, 2)],
    "GRUCell": [nn.GRUCell(2, 3, False)],
    "LSTMCell": [nn.LSTMCell(2, 3, dtype="float64")],
    "RNNCell": [nn.RNNCell(2, 3, False, "relu")],
    "TransformerEncoder": [nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3), 2, nn.LayerNorm(4))],
    "TransformerEncoderLayer": [
        nn.TransformerEncoderLayer(4, 2, 3, 0.2, "gelu", 1e-3, True, True, False, dtype="float64"),
    ],
    **{
        f"{kind}Pad{axes}d": [getattr(nn, f"{kind}Pad{axes}d")(w)]
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for axes, w in ((1, (2, 1)), (2, 3))
    },
    "ConstantPad1d": [nn.ConstantPad1d(2, 1.5)],
    "ConstantPad2d": [nn.ConstantPad2d((1, 2, 3, -4), 1.5)],
    "CELU": [nn.CELU(0.5)],
    "CosineEmbeddingLoss": [nn.CosineEmbeddingLoss(0.5, "sum")],
    "CosineSimilarity": [nn.CosineSimilarity(0, 0.1)],
    "GLU": [nn.GLU(0)],
    "GaussianNLLLoss": [nn.GaussianNLLLoss(True, 0.1, "sum")],
    "Hardsigmoid": [nn.Hardsigmoid()],
    "Hardswish": [nn.Hardswish()],
    "Hardtanh": [nn.Hardtanh(-2.0, 3.0)],
    "HingeEmbeddingLoss": [nn.HingeEmbeddingLoss(0.5, "sum")],
    "InstanceNorm1d": [nn.InstanceNorm1d(3, 1e-3, 0.2, True, True, dtype="float64")],
    "InstanceNorm2d": [nn.InstanceNorm2d(3)],
    "KLDivLoss": [nn.KLDivLoss("batchmean", True)],
    "MarginRankingLoss": [nn.MarginRankingLoss(0.5, "sum")],
    "Mish": [nn.Mish()],
    "MultiLabelSoftMarginLoss": [nn.MultiLabelSoftMarginLoss(mg.ones(3), "sum")],
    "MultiMarginLoss": [nn.MultiMarginLoss(2, 0.5, mg.ones(3), "sum")],
    "PReLU": [nn.PReLU(3, 0.1, dtype="float64")],
    "PairwiseDistance": [nn.PairwiseDistance(1.0, 0.1, True)],
    "PoissonNLLLoss": [nn.PoissonNLLLoss(False, True, 0.1, "sum")],
    "RMSNorm": [nn.RMSNorm((2, 3), 1e-3), nn.RMSNorm(3, elementwise_affine=False)],
    "ReLU6": [nn.ReLU6()],
    "SoftMarginLoss": [nn.SoftMarginLoss("sum")],
    "Softmin": [nn.Softmin(0)],
    "Softsign": [nn.Softsign()],
    "TripletMarginLoss": [nn.TripletMarginLoss(2.0, 1.0, 0.1, True, "sum")],
    "AdaptiveAvgPool2d": [nn.AdaptiveAvgPool2d((2, None)), nn.AdaptiveAvgPool2d(3)],
    "AvgPool2d": [nn.AvgPool2d(3, (2, 1), 1, True, False, 5), nn.AvgPool2d(2)],
    "BCELoss": [nn.BCELoss(mg.tensor([1.0, 2.0]), "sum")],
    "BCEWithLogitsLoss": [nn.BCEWithLogitsLoss(mg.ones(2), "sum", mg.tensor([3.0, 4.0]))],
    "BatchNorm1d": [nn.BatchNorm1d(3, 1e-3, 0.2, dtype="float64"), nn.BatchNorm1d(3, affine=False)],
    "BatchNorm2d": [nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(3, track_running_stats=False)],
    "Conv2d": [nn.Conv2d(4, 6, (3, 2), (2, 1), "valid", 2, 2, False), nn.Conv2d(1, 2, 3, padding=1),
               nn.Conv2d(1, 2, 3, padding=((0, 1), (2, 3)))],
    "ConvTranspose2d": [nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 1, dtype="float64")],
    "CrossEntropyLoss": [nn.CrossEntropyLoss(np.array([1.0, 2.0]), 7, "sum", 0.1)],
    "Dropout": [nn.Dropout(0.3), nn.Dropout(0.2, np.random.default_rng(0))],
    "Dropout2d": [nn.Dropout2d(0.3)],
    "ELU": [nn.ELU(0.5)],
    "Embedding": [nn.Embedding(5, 3, 2), nn.Embedding(5, 3)],
    "Flatten": [nn.Flatten(0, -2)],
    "GELU": [nn.GELU("tanh")],
    "GRU": [nn.GRU(2, 3, 2, False, True, 0.1, True), nn.GRU(2, 3)],
    "GroupNorm": [nn.GroupNorm(2, 4, 1e-3, dtype="float64"), nn.GroupNorm(2, 4, affine=False)],
    "HuberLoss": [nn.HuberLoss("sum", 2.0)],
    "Identity": [nn.Identity()],
    "L1Loss": [nn.L1Loss("sum")],
    "LSTM": [nn.LSTM(2, 3, 2, False, True, 0.1, True)],
    "LayerNorm": [nn.LayerNorm((2, 3), 1e-3, bias=False), nn.LayerNorm(3, elementwise_affine=False)],
    "LazyConv2d": [nn.LazyConv2d(2, 3, 2, 1, bias=False)],
    "LazyLinear": [nn.LazyLinear(3, False, dtype="float64")],
    "LeakyReLU": [nn.LeakyReLU(0.2)],
    "Linear": [nn.Linear(3, 2, False), nn.Linear(3, 2, dtype="float64"), nn.Linear(0, 2)],
    "LocalResponseNorm": [nn.LocalResponseNorm(3, 1e-3, 0.5, 2.0)],
    "LogSigmoid": [nn.LogSigmoid()],
    "LogSoftmax": [nn.LogSoftmax(0)],
    "MSELoss": [nn.MSELoss("sum")],
    "MaxPool2d": [nn.MaxPool2d(3, 2, 1, 2, True, True), nn.MaxPool2d(3, ceil_mode=True)],
    "ModuleDict": [nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(2, 1)})],
    "ModuleList": [nn.ModuleList([nn.ReLU(), nn.Linear(2, 1)])],
    "MultiheadAttention": [nn.MultiheadAttention(4, 2, 0.1, False, 3, 5, True),
                           nn.MultiheadAttention(4, 2)],
    "NLLLoss": [nn.NLLLoss(mg.ones(3), 5, "sum")],
    "RNN": [nn.RNN(2, 3, 2, "relu", False, True, 0.1, True)],
    "ReLU": [nn.ReLU()],
    "SELU": [nn.SELU()],
    "Sequential": [nn.Sequential(), nn.Sequential(nn.ReLU()).add(nn.Linear(2, 1), "head")],
    "SiLU": [nn.SiLU()],
    "Sigmoid": [nn.Sigmoid()],
    "SmoothL1Loss": [nn.SmoothL1Loss("sum", 2.0)],
    "Softmax": [nn.Softmax(0)],
    "Softplus": [nn.Softplus(2.0)],
    "Tanh": [nn.Tanh()],
    "Unflatten": [nn.Unflatten(1, (2, 3))],
    "Upsample": [nn.Upsample((4, 6)), nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=True)],
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def layers_of_the_library():
    found = [(name, getattr(nn, name)) for name in nn.__all__]
    return {
        name
        for name, kind in found
        if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module
    }


def test_every_layer_has_a_row():
    assert set(LAYERS) == layers_of_the_library()


def same_module(found, expected):
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)
    assert found.training == expected.training
    for name, value in vars(expected).items():
        same_value(getattr(found, name), value)
    assert list(vars(found)) == list(vars(expected))
    assert list(found.state_dict()) == list(expected.state_dict())


def same_value(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, nn.Module):
        same_module(found, expected)
    elif isinstance(expected, mg.Tensor):
        assert found.dtype == expected.dtype
        assert found.requires_grad == expected.requires_grad
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        same_value(list(found.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same_value(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_comes_back(name, path):
    for layer in LAYERS[name]:
        mg.save_model(layer, path)
        if isinstance(layer, nn.Dropout):
            layer.generator = None  # as documented: it is not kept
        same_module(mg.load_model(path), layer)


def small_model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).add(nn.LazyLinear(3), name="head"),
    )


def test_a_trained_model_answers_as_before(path):
    model = small_model()
    x = mg.rand(5, 1, 6, 6)
    model(x)  # moves the statistics, and gives the lazy layer its size
    model.eval()
    mg.save_model(model, path)
    again = mg.load_model(path)
    same_module(again, model)
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
    assert [p._node.name for p in again.parameters()] == [p._node.name for p in model.parameters()]
    assert set(mg.load(path)) == set(model.state_dict())


def test_what_is_shared_frozen_and_in_evaluation_stays_so(path):
    layer, empty = nn.Linear(3, 3), nn.Sequential()
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(3, 3), nn.Dropout(0.5), empty, empty)
    model[3].weight = layer.weight
    model[3].bias.requires_grad = False
    model[4].eval()
    mg.save_model(model, path)
    again = mg.load_model(path)
    assert again[0] is again[2]
    assert again[5] is again[6]
    assert again[3].weight is again[0].weight
    assert again[3].bias is not again[0].bias
    assert [name for name, p in again.named_parameters() if not p.requires_grad] == ["3.bias"]
    assert [module.training for module in again.modules()] == [True, True, True, True, False, True]
    same_module(again, model)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 2)
        scale = nn.Parameter(np.ones(3))
        self.weights = [scale, (self.head.weight, scale)]


def test_a_parameter_in_a_list_stays_shared(path):
    model = nn.Sequential(Tied())
    mg.save_model(model, path, custom_layers={"Tied": Tied})
    again = mg.load_model(path, custom_layers={"Tied": Tied})
    same_module(again, model)
    assert again[0].weights[1][0] is again[0].head.weight
    assert again[0].weights[1][1] is again[0].weights[0]
    assert len(list(again.parameters())) == 3


def test_a_model_of_another_dtype_keeps_it(path):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(np.float64)
    model.add(nn.Linear(3, 1))
    model[0].bias = nn.Parameter(np.zeros(3, np.float16))
    mg.save_model(model, path)
    again = mg.load_model(path)
    same_module(again, model)
    again(mg.ones((2, 2), np.float64)).sum().backward()
    assert again[0].bias.grad.dtype == np.float16


def test_loading_draws_no_random_numbers(path):
    mg.manual_seed(3)
    model = nn.Linear(4, 4)
    expected = mg.rand(3).tolist()
    mg.manual_seed(3)
    model = nn.Linear(4, 4)
    mg.save_model(model, path)
    mg.load_model(path)
    assert mg.rand(3).tolist() == expected


def test_a_loaded_model_can_be_trained(path):
    mg.save_model(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), path)
    model = mg.load_model(path)
    optimizer = mg.optim.Adam(model.parameters(), lr=0.05)
    x = mg.rand(32, 2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((model(x) - x.sum(axis=1, keepdims=True)) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


# -- classes of one's own --------------------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self, size, factor=2.0, body=None):
        super().__init__()
        self.sizes = (size, [1.5, None])
        self.factor = factor
        self.weight = nn.Parameter(np.arange(size, dtype=np.float64))
        self.register_buffer("seen", mg.tensor(3))
        self.register_buffer("mask", mg.ones(size), persistent=False)
        self.activation = F.relu
        self.constant = mg.tensor([1.0, 2.0])
        self.array = np.arange(3)
        self.branches = [nn.Linear(size, size), {"deep": (body, nn.ReLU())}]

    def forward(self, x):
        x = self.branches[0](self.activation(x * self.weight * self.factor) * self.mask)
        body, activation = self.branches[1]["deep"]
        return activation(x if body is None else body(x))


class Opaque(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)


class Net(nn.Sequential):
    pass


CUSTOM = {"Scaled": Scaled, "Opaque": Opaque, "Net": Net}


def test_own_classes_are_refused_unless_named(path):
    model = nn.Sequential(Scaled(3), nn.Sequential(nn.ReLU(), Opaque(3)), Net())
    with pytest.raises(TypeError) as caught:
        mg.save_model(model, path)
    message = str(caught.value)
    assert "mg.save(model.state_dict(), path)" in message
    assert "0 is of class Scaled" in message
    assert "1.1 is of class Opaque" in message
    assert "2 is of class Net" in message
    assert not path.exists()


def test_own_classes_come_back_where_they_are_named(path):
    body = nn.Linear(3, 3)
    model = nn.Sequential(Scaled(3, 0.5), Scaled(3, body=body), Opaque(3), Net(nn.ReLU()), body)
    model[0].training = False
    mg.save_model(model, path, custom_layers=CUSTOM)
    again = mg.load_model(path, custom_layers=CUSTOM)
    same_module(again, model)
    assert again[1].branches[1]["deep"][0] is again[4]
    assert again[0].activation is F.relu
    assert again[0].sizes == (3, [1.5, None])
    assert list(again[0]._buffers.items()) == [("seen", True), ("mask", False)]
    x = mg.rand(4, 3)
    for i in (0, 1):
        np.testing.assert_array_equal(again[i](x).numpy(), model[i](x).numpy())
    names = [p._node.name for p in again.parameters()]
    assert names == [p._node.name for p in model.parameters()]
    with pytest.raises(ValueError, match="unknown layer") as caught:
        mg.load_model(path)
    lines = str(caught.value).split("\n  ")[1:]
    assert [line.split(";")[0] for line in lines] == [
        "0: unknown layer 'Scaled'",
        "1: unknown layer 'Scaled'",
        "2: unknown layer 'Opaque'",
        "3: unknown layer 'Net'",
        "4: is to be the same as '1.branches.1.deep.0', which is not there",
    ]


def test_an_attribute_that_no_file_holds_is_named(path):
    model = nn.Sequential(Scaled(3, factor=abs), Scaled(3, factor=lambda x: x))
    with pytest.raises(TypeError) as caught:
        mg.save_model(model, path, custom_layers=CUSTOM)
    assert "0.factor is builtin_function_or_method: expected modules" in str(caught.value)
    assert "1.factor is function" in str(caught.value)


def test_a_layer_that_its_arguments_would_not_bring_back_is_refused(path):
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight = nn.Parameter(np.ones((5, 2), np.float32))
    model[0].extra = nn.Parameter([1.0])
    with pytest.raises(ValueError, match="would not be the same") as caught:
        mg.save_model(model, path)
    assert "unexpected '0.extra'" in str(caught.value)
    assert "'0.weight': expected shape (2, 2), got (5, 2)" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.alexnet_small(10),
        lambda: models.resnet_small(10),
        lambda: models.googlenet_small(10),
        lambda: models.DeepConvNet(),
    ],
)
def test_the_models_of_the_library_come_back_also_when_changed(make, path):
    model = make().eval()
    model.head = nn.Linear(10, 2)
    mg.save_model(model, path)
    again = mg.load_model(path)
    same_module(again, model)
    channels = next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    x = mg.rand(2, channels, 28, 28)
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: mg.save_model({"w": mg.ones(1)}, p), TypeError, r"a Module, got dict.*mg\.save"),
        (lambda p: mg.save_model(nn.ReLU, p), TypeError, "a Module, got type"),
        (lambda p: mg.save_model(nn.ReLU(), p.with_suffix(".pt")), ValueError, "another format"),
        (lambda p: mg.save_model(nn.ReLU(), p, custom_layers=[Scaled]), TypeError, "'Name': Name"),
        (lambda p: mg.save_model(nn.ReLU(), p, custom_layers={"S": 3}), TypeError, "not a Module class"),
        (lambda p: mg.load_model(p, custom_layers={"ReLU": Scaled}), ValueError, "a layer of the library"),
        (lambda p: mg.load_model(p), FileNotFoundError, "load_model: there is no file"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(path, call, error, message):
    with pytest.raises(error, match=message):
        call(path)


# -- files that do not fit -------------------------------------------------------------------------


def change(path, structure=None, weights=None, version=None):
    """Write the file anew with changes."""
    arrays, metadata = mg.load(path), mg.load_metadata(path)
    if structure is not None:
        tree = json.loads(metadata["structure"])
        metadata["structure"] = json.dumps(structure(tree))
    if weights is not None:
        weights(arrays)
    mg.save(arrays, path, metadata={**metadata, "version": version or metadata["version"]})


def test_all_that_does_not_fit_is_told_at_once(path):
    mg.save_model(small_model(), path)

    def structure(tree):
        parts = tree["root"][2]
        parts["2"][1] = "Swish"
        parts["4"][2]["0"][1] = "os.system"
        parts["3"][2] = {"size": 2}
        return tree

    def weights(arrays):
        del arrays["0.bias"]
        arrays["0.weight"] = mg.ones((7, 7))
        arrays["1.running_mean"] = mg.tensor([1, 2, 3, 4])
        arrays["nowhere"] = mg.ones(1)
        arrays["4.nowhere"] = mg.ones(1)

    change(path, structure, weights)
    with pytest.raises(ValueError, match="load_model") as caught:
        mg.load_model(path)
    lines = str(caught.value).split("\n  ")[1:]
    assert len(lines) == 8
    for part in (
        "2: unknown layer 'Swish'",
        "4.0: unknown layer 'os.system'",
        "3: MaxPool2d cannot be built",
        "missing '0.bias' (4,)",
        "'0.weight': expected shape (4, 1, 3, 3), got (7, 7)",
        "'1.running_mean': expected float32, got int64",
        "unexpected 'nowhere'",
        "unexpected '4.nowhere'",
    ):
        assert any(part in line for line in lines), part
    assert [line for line in lines if line.startswith("unexp")] == sorted(lines)[-2:]


@pytest.mark.parametrize("count", [99, 100, 101, 150])
def test_a_hundred_problems_are_listed_and_no_more(path, count):
    mg.save_model(nn.Sequential(), path)
    change(path, weights=lambda arrays: arrays.update({f"{i}": mg.ones(1) for i in range(count)}))
    with pytest.raises(ValueError, match="load_model") as caught:
        mg.load_model(path)
    lines = str(caught.value).split("\n  ")[1:]
    listed = [f"unexpected {key!r}" for key in sorted(map(str, range(count)))]
    more = [f"and {count - 100} more"]
    assert lines == (listed if count <= 100 else listed[:100] + more)


def test_the_format_stays_as_it_is(path):
    """What is written today must be read by every version of the library: text, word for word."""
    shared = nn.Linear(2, 2, bias=False)
    model = nn.Sequential(shared, nn.Dropout(0.25), shared)
    model[1].eval()
    shared.weight.requires_grad = False
    mg.save_model(model, path)
    linear = {"in_features": 2, "out_features": 2, "bias": False, "dtype": "float32"}
    parts = {
        "0": ["layer", "Linear", linear],
        "1": ["layer", "Dropout", {"p": 0.25, "generator": None}],
        "2": ["same", "0"],
    }
    metadata = mg.load_metadata(path)
    assert json.loads(metadata.pop("structure")) == {
        "root": ["assembled", "Sequential", parts],
        "shared": [["0.weight", "2.weight"]],
        "frozen": ["0.weight"],
        "eval": ["1"],
    }
    assert metadata == {"minigrad.kind": "model", "version": "1"}
    mg.save_model(nn.Linear(2, 2), path)
    assert json.loads(mg.load_metadata(path)["structure"])["shared"] == []


def test_a_module_that_is_unknown_under_two_paths_is_named_once(path):
    shared = nn.Linear(2, 2)
    mg.save_model(nn.Sequential(nn.Sequential(shared), nn.Sequential(shared)), path)

    def structure(tree):
        tree["root"][2]["0"][2]["0"][1] = "Novel"
        return tree

    change(path, structure)
    with pytest.raises(ValueError, match="load_model") as caught:
        mg.load_model(path)
    (line,) = str(caught.value).split("\n  ")[1:]
    assert line == "0.0: unknown layer 'Novel'; name it in custom_layers"


def test_another_kind_or_version_of_file_is_named(path):
    mg.save({"x": mg.ones(1)}, path)
    with pytest.raises(ValueError, match=r"not a model, but a file of tensors: use mg\.load"):
        mg.load_model(path)
    mg.save_checkpoint(path, x=1)
    with pytest.raises(ValueError, match=r"a checkpoint: use mg\.load_checkpoint"):
        mg.load_model(path)
    mg.save_model(nn.ReLU(), path)
    with pytest.raises(ValueError, match=r"a model: use mg\.load_model"):
        mg.load_checkpoint(path)
    change(path, version="2")
    with pytest.raises(ValueError, match="format version '2', this minigrad reads '1'"):
        mg.load_model(path)


def test_a_damaged_structure_is_refused(path):
    mg.save_model(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), path)
    content = path.read_bytes()
    for wrong in (
        lambda tree: [],
        lambda tree: {"root": tree["root"]},
        *[
            lambda tree, root=root: {**tree, "root": root}
            for root in (
                *(3, [], ["layer"], ["novel", "Linear", {}], ["layer", ["Linear"], {}]),
                *(["layer", "Linear", [1]], ["layer", "Linear", {"in_features": ["novel", 1]}]),
                *(["layer", "Linear", {"in_features": 10**15, "out_features": 10**15}],),
                *(["layer", "Sequential", {}], ["assembled", "Linear", {}], ["same", "x"]),
                *(["assembled", "Sequential", 3], ["assembled", "Sequential", {"0": ["novel", 1]}]),
                *(["assembled", "Sequential", {"f": ["function", "as_tensor_of"]}],),
                *(["assembled", "Sequential", {"f": ["function", "__import__"]}],),
                *(["assembled", "Sequential", {"f": ["parameter", [-1], "float32"]}],),
                *(["assembled", "Sequential", {"f": ["dict", [["x", ["value", 1]]] * 2]}],),
                *(["assembled", "Sequential", {"f": ["dict", [[1.5, ["value", 1]]]]}],),
                *(["assembled", "Sequential", {"f": ["parameter", [10**15], "float32"]}],),
                *(["assembled", "Sequential", {"f": ["parameter", [1], "object"]}],),
            )
        ],
        lambda tree: {**tree, "shared": [["0.weight", "gone"]]},
        lambda tree: {**tree, "shared": 3},
    ):
        path.write_bytes(content)
        change(path, wrong)
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            mg.load_model(path)


def test_a_name_that_occurs_twice_in_a_structure_is_refused(path):
    mg.save_model(nn.Sequential(nn.Linear(2, 3)), path)
    content = path.read_bytes()
    text = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
    for name in ("root", "out_features"):
        found = re.search(rf'\\"{name}\\": ', text)
        twice = rf"\"{name}\": 5, " + text[found.start() :]
        path.write_bytes(with_header(text[: found.start()] + twice, content))
        with pytest.raises(ValueError, match=f"^load_model: .*a name occurs twice: '{name}'"):
            mg.load_model(path)


@pytest.mark.parametrize(
    ("keys", "fits"),
    [(["x", "x"], False), (["x", 1.5], False), ([None], False), ([True], False), (["x", 1], True),
     ([1, "1"], True), ([], True), ([2, 1, 2], False)],
    ids=str,
)  # fmt: skip
def test_the_keys_of_a_dict_are_different_strings_or_integers(path, keys, fits):
    mg.save_model(nn.Sequential(), path)
    entries = [[key, ["value", i]] for i, key in enumerate(keys)]
    root = ["assembled", "Sequential", {"f": ["dict", entries]}]
    change(path, lambda tree: {**tree, "root": root})
    if fits:
        assert mg.load_model(path).f == {key: i for i, key in enumerate(keys)}
        return
    with pytest.raises(ValueError, match="f: its keys are not different strings or integers"):
        mg.load_model(path)


@pytest.mark.parametrize("name", ["__class__", "__dict__", "_hooks", "_buffers"])
def test_a_file_cannot_assign_to_the_records_of_a_module(path, name):
    mg.save_model(nn.Sequential(nn.ReLU()), path)
    root = ["assembled", "Sequential", {name: ["value", ["dict", []]]}]
    change(path, lambda tree: {**tree, "root": root})
    with pytest.raises(ValueError, match=f"'{name}' is not an attribute of a model"):
        mg.load_model(path)


@pytest.mark.parametrize(
    "root",
    [
        ["layer", "Opaque", {"width": 3}],  # would call a constructor of one's own
        ["layer", "Sequential", {}],
        ["assembled", "Linear", {"weight": ["parameter", [2, 3], "float32"]}],  # without sizes
    ],
)
def test_a_class_is_described_in_one_way_only(path, root, monkeypatch):
    monkeypatch.setattr(Opaque, "__init__", lambda *_: pytest.fail("the constructor was called"))
    tree = {"root": root, "shared": [], "frozen": [], "eval": []}
    metadata = {"minigrad.kind": "model", "version": "1", "structure": json.dumps(tree)}
    mg.save({"weight": mg.ones((2, 3))}, path, metadata=metadata)
    with pytest.raises(ValueError, match=f"is not described by its {root[0]} form"):
        mg.load_model(path, custom_layers=CUSTOM)


@pytest.mark.parametrize("name", ["np", "Tensor", "Module", "_scale", "__import__", "no_such_name"])
def test_only_functions_of_nn_functional_are_taken_by_name(path, name):
    mg.save_model(nn.Sequential(nn.ReLU()), path)
    root = ["assembled", "Sequential", {"f": ["function", name]}]
    change(path, lambda tree: {**tree, "root": root})
    with pytest.raises(ValueError, match=f"f: unknown function '{name}'"):
        mg.load_model(path)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_never_crash(path, kind):
    shared = nn.Linear(2, 2)
    mg.save_model(
        nn.Sequential(shared, nn.BatchNorm1d(2), shared, nn.LSTM(2, 3, 2), nn.Conv2d(2, 2, 3)),
        path,
    )
    content = path.read_bytes()
    rng = np.random.default_rng(sum(map(ord, kind)))
    told = []
    for _ in range(100):
        path.write_bytes(damage(kind, content, rng))
        told.append(refusal(mg.load_model, path))
    refused = [message for message in told if message is not None]
    assert all(str(path) in message for message in refused)
    assert len(refused) > 50


def layer(kind, **arguments):
    return ["layer", kind, arguments]


def doubling():
    """Modules that hold the one before twice: 60 of them have 2**60 paths."""
    parts = {"0": ["assembled", "Sequential", {"0": ["layer", "ReLU", {}]}]}
    for i in range(1, 60):
        parts[str(i)] = ["assembled", "Sequential", {k: ["same", str(i - 1)] for k in "ab"}]
    return ["assembled", "Sequential", parts]


def alike(key):
    """Layers that would all have the weights of one."""
    twice = {
        "0": ["assembled", "Sequential", {"0": layer("Linear", in_features=2, out_features=2)}]
    }
    twice[key] = layer("Linear", in_features=2, out_features=2)
    return ["assembled", "Sequential", twice]


def hidden():
    """A parameter that takes the place of a layer's under the same path, in another shape."""
    inner = layer("Linear", in_features=2, out_features=2, bias=False)
    return ["assembled", "Sequential", {"0": inner, "0.weight": ["parameter", [9], "float32"]}]


#: Small files that ask for much: what a layer would take is compared with what the file has.
GREEDY = {
    "wide": (layer("Linear", in_features=20_000, out_features=20_000), r"missing 'weight' \(20000, 20000\)"),
    "endless": (layer("Linear", in_features=10**15, out_features=10**15), "Linear cannot be built"),
    "deep": (layer("LSTM", input_size=2, hidden_size=2, num_layers=100_000), "more weights than the file"),
    "deeper": (layer("RNN", input_size=1, hidden_size=1, num_layers=10**12), "more weights than the file"),
    "attention": (layer("MultiheadAttention", embed_dim=30_000, num_heads=1), "missing 'in_proj_weight'"),
    "batch norm": (layer("BatchNorm2d", num_features=10**9), r"missing 'running_mean' \(1000000000,\)"),
    "layer norm": (layer("LayerNorm", normalized_shape=["list", [10**5, 10**5]]), "missing 'weight'"),
    "group norm": (layer("GroupNorm", num_groups=1, num_channels=10**9), "missing 'weight'"),
    "embedding": (layer("Embedding", num_embeddings=10**6, embedding_dim=10**4, padding_idx=3), "missing 'weight'"),
    "convolution": (layer("Conv2d", in_channels=1, out_channels=1, kernel_size=10**5), "missing 'weight'"),
    "transposed": (layer("ConvTranspose2d", in_channels=1, out_channels=1, kernel_size=10**5), "missing 'weight'"),
    "lazy": (layer("LazyConv2d", out_channels=10**9, kernel_size=10**9), "missing 'weight'"),
    "dtype": (layer("Linear", in_features=2, out_features=2, dtype="S1000000000"), "must be a numeric dtype"),
    "parameter": (["assembled", "Sequential", {"x": ["parameter", [10**9], "float64"]}], "missing 'x'"),
    "buffer": (["assembled", "Sequential", {"x": ["buffer", [10**9], "float64"]}], "missing 'x'"),
    "element": (["assembled", "Sequential", {"x": ["buffer", [], "S1000000000"]}], "not a dtype of weights"),
    "many": (["assembled", "Sequential", {str(i): layer("Linear", in_features=9999, out_features=9999) for i in range(2000)}], "more weights than the file"),
    "unknown": (["assembled", "Sequential", {str(i): layer("Novel") for i in range(2000)}], "and 1900 more"),
    "doubling": (doubling(), "more than 10,000 paths"),
    "alike": (alike("0.0"), "'0.0' is described twice"),
    "hidden": (hidden(), r"(?s)missing '0.weight' \(9,\).*missing '0.weight' \(2, 2\)"),
    "itself": (["assembled", "Sequential", {"0": ["same", ""]}], "which is not there"),
}  # fmt: skip


@pytest.mark.parametrize("name", GREEDY)
def test_a_small_file_that_asks_for_much_is_refused_before_anything_is_built(name, path):
    root, message = GREEDY[name]
    tree = {"root": root, "shared": [], "frozen": [], "eval": []}
    metadata = {"minigrad.kind": "model", "version": "1", "structure": json.dumps(tree)}
    mg.save({}, path, metadata=metadata)
    assert re.search(message, refusal(mg.load_model, path))


def test_a_model_of_many_modules_has_a_path_for_each(monkeypatch):
    monkeypatch.setattr(io_models, "MORE_PATHS", 20)
    io_models._check_paths(nn.Sequential(*[nn.Identity() for _ in range(50)]))
    one = nn.Identity()
    io_models._check_paths(nn.Sequential(*[one] * 21))  # two modules, and 20 paths more
    with pytest.raises(ValueError, match="more than 20 paths"):
        io_models._check_paths(nn.Sequential(*[one] * 22))


def test_shapes_alone_are_made_for_a_file_only(path):
    mg.save_model(nn.Linear(3, 2), path)
    model = mg.load_model(path)
    assert model.weight.numpy().strides == (12, 4)
    model.weight.assign(np.ones((2, 3)))
    assert nn.Linear(200, 100).weight.numpy().std() > 0
