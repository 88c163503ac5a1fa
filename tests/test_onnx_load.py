"""Models that come in: their structure, their gradients, and that they leave as they came."""

import copy
import inspect
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from minigrad.onnx.load import NEWEST, OLDEST, build, settings_of  # noqa: E402
from minigrad.onnx.load_table import OPERATIONS, WITHOUT_EFFECT  # noqa: E402


def network():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3 * 4 * 4, 5), nn.Tanh(), nn.Linear(5, 2),
    ).eval()  # fmt: skip


@pytest.fixture
def pair(tmp_path):
    model = network()
    x = mg.randn(4, 1, 8, 8)
    mg.onnx.export(model, x, tmp_path / "a.onnx")
    return model, mg.onnx.load(tmp_path / "a.onnx"), x


def test_the_structure_is_visible(pair):
    model, loaded, x = pair
    text = str(loaded)
    for line in ("(0): Conv(", "(1): BatchNormalization(", "(2): Relu()", "(5): Gemm(transB=1)"):
        assert line in text
    summary = str(mg.summary(loaded, x.shape[1:]))
    assert "BatchNormalization" in summary
    assert f"Total params: {sum(p.size for p in model.parameters())}" in summary
    picture = mg.make_dot(loaded(x), params=dict(loaded.named_parameters())).source
    assert "0: Conv" in picture or "0.weight" in picture


def test_weights_are_parameters_and_statistics_buffers(pair):
    model, loaded, _ = pair
    assert dict(loaded.named_parameters()).keys() == dict(model.named_parameters()).keys()
    assert {n for n, _ in loaded.named_buffers()} == {"1.running_mean", "1.running_var"}
    for name, tensor in loaded.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), model.state_dict()[name].numpy())


def test_gradients_by_every_weight_are_those_of_the_model(pair):
    model, loaded, x = pair
    for one in (model, loaded):
        (one(x) ** 2).sum().backward()
    theirs = dict(model.named_parameters())
    for name, p in loaded.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), theirs[name].grad.numpy(), rtol=1e-4, atol=1e-6)
    loaded.to(np.float64)
    data = x.numpy().astype(np.float64)[:1] + 0.01
    loaded.inputs = tuple(one._replace(dtype="float64") for one in loaded.inputs)
    mg.testing.check_grads(lambda w: mg.nn.functional_call(loaded, {"7.weight": w}, data).sum(),
                           loaded.state_dict()["7.weight"].numpy())  # fmt: skip


def test_it_learns(pair):
    _, loaded, x = pair
    y = np.array([0, 1, 1, 0])
    optimizer = mg.optim.Adam(loaded.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(loaded(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_a_copy_is_a_model_of_its_own(pair):
    _, loaded, x = pair
    other = copy.deepcopy(loaded)
    np.testing.assert_array_equal(other(x).numpy(), loaded(x).numpy())
    with mg.no_grad():
        next(iter(other.parameters())).assign(next(iter(other.parameters())).numpy() + 1)
    assert not np.array_equal(other(x).numpy(), loaded(x).numpy())


@pytest.mark.parametrize("opset", [18, 21, 23])
def test_exported_again_it_is_the_same_file(opset, tmp_path):
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    models = [
        (network(), mg.randn(2, 1, 8, 8)), (nn.LSTM(4, 3, 2, bidirectional=True), mg.randn(5, 2, 4)),
        (nn.MultiheadAttention(6, 2, batch_first=True), tuple([mg.randn(2, 3, 6)] * 3)),
    ]  # fmt: skip
    for model, x in models:
        mg.onnx.export(model, x, first, opset=opset)
        mg.onnx.export(mg.onnx.load(first), x, second)
        a, b = onnx.load(first), onnx.load(second)
        assert [helper.printable_node(n) for n in a.graph.node] == [
            helper.printable_node(n) for n in b.graph.node
        ]
        assert list(a.graph.initializer) == list(b.graph.initializer)
        assert (list(a.graph.input), list(a.graph.output), list(a.opset_import)) == (
            list(b.graph.input), list(b.graph.output), list(b.opset_import),
        )  # fmt: skip


def test_the_layer_of_a_nan_is_named(pair):
    _, loaded, x = pair
    weight = dict(loaded.named_parameters())["5.weight"]
    weight.assign(np.full(weight.shape, 3e38, np.float32))
    with pytest.raises(mg.AnomalyError, match=r"\b5\b"), mg.detect_anomaly():
        loaded(x)


def test_what_does_not_fit_is_refused_with_the_name_of_the_input(pair):
    _, loaded, _ = pair
    with pytest.raises(ValueError, match=r"expected 1 inputs \(x\), got 2"):
        loaded(1.0, 2.0)
    with pytest.raises(ValueError, match=r"input x has shape \(\?, 1, 8, 8\), got \(4, 1, 8, 9\)"):
        loaded(mg.zeros((4, 1, 8, 9)))


def graph_of(nodes, inputs, outputs, initializers=(), opset=21):
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
             for names in (inputs, outputs)]  # fmt: skip
    graph = helper.make_graph(nodes, "g", *infos, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def weight_of(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def test_names_that_clash_with_modules_find_a_place():
    nodes = [
        helper.make_node("Add", ["x", "forward"], ["a"], name="training"),
        helper.make_node("Add", ["a", "a.b.c"], ["b"], name="parameters/a"),
        helper.make_node("Add", ["b", "a.b"], ["c"], name="a.b"),
        helper.make_node("Mul", ["c", "/odd name/"], ["y"]),
    ]
    weights = [weight_of(n, 2) for n in ("forward", "a.b.c", "a.b", "/odd name/")]
    model = build(onnx, graph_of(nodes, ["x"], ["y"], weights))
    np.testing.assert_array_equal(model(mg.zeros(2)).numpy(), [3.0, 3.0])
    assert len(list(model.parameters())) == 4
    assert str(model)


def test_what_sets_a_node_is_no_parameter():
    nodes = [
        helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["a"]),
        helper.make_node("Clip", ["a", "low"], ["y"]),
    ]
    low = numpy_helper.from_array(np.array(-1.0, np.float32), "low")
    weights = [*(weight_of(n, 3) for n in "sbmv"), low]
    model = build(onnx, graph_of(nodes, ["x"], ["y"], weights))
    assert {n for n, _ in model.named_parameters()} == {"s", "b"}
    assert {n for n, _ in model.named_buffers()} == {"m", "v"}


def test_of_two_updates_of_one_place_the_last_counts():
    at = numpy_helper.from_array(np.array([[1], [1], [0]]), "at")
    node = helper.make_node("ScatterND", ["x", "at", "u"], ["y"])
    model = build(onnx, graph_of([node], ["x", "u"], ["y"], [at]))
    u = mg.tensor([5.0, 6.0, 7.0], requires_grad=True)
    y = model(mg.zeros(3), u)
    np.testing.assert_array_equal(y.numpy(), [7.0, 6.0, 0.0])
    y.sum().backward()
    np.testing.assert_array_equal(u.grad.numpy(), [0.0, 1.0, 1.0])


def test_a_mask_of_attention_that_is_too_short_keeps_its_gradient():
    names = ["q", "k", "v", "m"]
    node = helper.make_node("Attention", names, ["y"])
    model = build(onnx, graph_of([node], names, ["y"], opset=23))
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, 1, n, 2)).astype(np.float32) for n in (2, 3, 3))
    m = mg.tensor(rng.normal(size=(2, 2)).astype(np.float32), requires_grad=True)
    model(q, k, v, m).sum().backward()
    weights = mg.nn.functional.softmax(q[0, 0] @ k[0, 0, :2].T / np.sqrt(2) + m.numpy(), 1).numpy()
    of_each = weights * v[0, 0, :2].sum(1)
    expected = of_each - weights * of_each.sum(1, keepdims=True)
    np.testing.assert_allclose(m.grad.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_weight_that_two_nodes_share_is_one_parameter():
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "w"], ["y"]),
    ]  # fmt: skip
    model = build(onnx, graph_of(nodes, ["x"], ["y"], [weight_of("w", 3)]))
    assert [n for n, _ in model.named_parameters()] == ["w"]
    model(mg.ones(3) * 2.0).sum().backward()
    np.testing.assert_array_equal(model.w.grad.numpy(), [4.0, 4.0, 4.0])


def test_weights_may_stand_in_a_file_beside(tmp_path):
    proto = graph_of(
        [helper.make_node("Add", ["x", "w"], ["y"])], ["x"], ["y"], [weight_of("w", 300)]
    )
    onnx.save(proto, tmp_path / "a.onnx", save_as_external_data=True, location="a.onnx.data",
              size_threshold=0)  # fmt: skip
    assert (tmp_path / "a.onnx.data").exists()
    model = mg.onnx.load(tmp_path / "a.onnx")
    np.testing.assert_array_equal(model(mg.zeros(300)).numpy(), np.ones(300))


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: mg.onnx.export(nn.ReLU(), mg.ones(2), tmp_path / "a.onnx"),
                 lambda: mg.onnx.load(tmp_path / "a.onnx")):  # fmt: skip
        with pytest.raises(ImportError, match=r"pip install 'minigrad\[onnx\]'"):
            call()


#: Texts and sparse arrays, which a Constant cannot be here.
NOT_TAKEN = {"value_string", "value_strings", "sparse_value"}


@pytest.mark.parametrize("opset", range(OLDEST, min(NEWEST, onnx.defs.onnx_opset_version()) + 1))
def test_every_attribute_of_every_operator_is_taken(opset):
    for kind, function in OPERATIONS.items():
        try:
            schema = onnx.defs.get_schema(kind, opset, "")
        except onnx.defs.SchemaError:  # an operator of a later set
            continue
        settings = settings_of(function, dict.fromkeys(schema.attributes, 0))
        assert set(schema.attributes) - set(settings) <= WITHOUT_EFFECT | NOT_TAKEN, kind
        more = {n: 1 for n in ("opset", "outputs") if n in inspect.signature(function).parameters}
        most = min(schema.max_input, 9)  # any number, where it is larger
        inspect.signature(function).bind(*range(most), **settings, **more)
