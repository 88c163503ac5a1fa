"""Files from strangers: damaged, hostile or out of scope, they give a ValueError and do nothing."""

import builtins
import io
import os
import struct

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def info(name, kind=TensorProto.FLOAT, shape=("n", 3)):
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name="w", shape=(3,)):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def add(source="x", result="y", other="w", **settings):
    return helper.make_node("Add", [source, other], [result], **settings)


def file_of(nodes, *, inputs=None, outputs=None, initializers=None, opset=21, change=None):
    graph = helper.make_graph(
        nodes, "g", [info("x")] if inputs is None else inputs,
        [info("y")] if outputs is None else outputs,
        [weight()] if initializers is None else initializers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    if change is not None:
        change(model)
    return model.SerializeToString()


def external(location, **more):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)

    return change


def dims(*shape):
    def change(model):
        model.graph.initializer[0].ClearField("dims")
        model.graph.initializer[0].dims.extend(shape)

    return change


def branch():
    inner = helper.make_graph([add()], "inner", [], [info("y")])
    return helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)


FUNCTION = helper.make_function(
    "me", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 21)]
)
SEQUENCE = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)

#: What is wrong: the file, and what the message says.
WRONG = {
    "empty": (b"", "holds no graph"),
    "text": (b"hello, this is no model", "damaged"),
    "zip": (b"PK\x03\x04" + bytes(60), "damaged|holds no graph"),
    "cycle": (file_of([add("b", "a"), add("a", "b"), add("a", "y")]), "'b', which is made later"),
    "itself": (file_of([add("y", "y")]), "cycle"),
    "order": (file_of([add("a", "y"), add("x", "a")]), "out of order"),
    "missing": (file_of([add("nobody")]), "'nobody', which nothing makes"),
    "output": (file_of([add(result="z")]), "nothing makes the output 'y'"),
    "no outputs": (file_of([add()], outputs=[]), "no outputs"),
    "twice made": (file_of([add(), add()]), "'y', which is there already"),
    "input made": (file_of([add(result="x"), add()]), "'x', which is there already"),
    "two weights": (file_of([add()], initializers=[weight(), weight()]), "two initializers"),
    "two inputs": (file_of([add()], inputs=[info("x"), info("x")]), "two inputs have the name 'x'"),
    "nameless": (file_of([add()], initializers=[weight(""), weight()]), "or none"),
    "absurd": (file_of([add()], change=dims(2**40, 2**20)), "has 12 bytes"),
    "negative": (file_of([add()], change=dims(-3)), "has the shape"),
    "many axes": (file_of([add()], change=dims(*[1] * 60, 3)), "has the shape"),
    "few bytes": (file_of([add()], change=dims(4)), "16 are expected"),
    "outside": (file_of([add()], change=external("../secret.bin")), "only a file in the same"),
    "absolute": (file_of([add()], change=external("/etc/passwd")), "only a file in the same"),
    "other file": (file_of([add()], change=external("secret.bin")), "only a file in the same"),
    "no place": (file_of([add()], change=external("")), "only a file in the same"),
    "beyond": (file_of([add()], change=external("bad.onnx.data", offset=2**50)), "no file|which has"),
    "no number": (file_of([add()], change=external("bad.onnx.data", offset="x")), "no numbers"),
    "negative offset": (file_of([add()], change=external("bad.onnx.data", offset=-4)), "no file|at -4"),
    "unknown": (file_of([helper.make_node("Frobnicate", ["x"], ["y"])]), "Frobnicate.*not supported"),
    "domain": (file_of([add(domain="com.evil")]), "domain 'com.evil'"),
    "if": (file_of([branch()]), "If.*control flow"),
    "text type": (file_of([add()], inputs=[info("x", TensorProto.STRING)]), "STRING"),
    "bfloat16": (file_of([add()], inputs=[info("x", TensorProto.BFLOAT16)]), "BFLOAT16"),
    "sequence": (file_of([add()], inputs=[SEQUENCE]), "sequence_type"),
    "quantised": (file_of([helper.make_node("QuantizeLinear", ["x", "w"], ["y"])]), "QuantizeLinear"),
    "functions": (file_of([add()], change=lambda m: m.functions.append(FUNCTION)), "functions"),
    "opset": (file_of([add()], opset=99), "operator set 99"),
    "old opset": (file_of([helper.make_node("Softmax", ["x"], ["y"])], opset=11), "operator set 11"),
    "no opset": (file_of([add()], change=lambda m: m.ClearField("opset_import")), "which version"),
    "attribute": (file_of([add(axis=1)]), "axis"),
    "attribute type": (
        file_of([helper.make_node("Softmax", ["x"], ["y"], axis="one")]), "axis.*another type",
    ),
    "needs attribute": (file_of([helper.make_node("Concat", ["x"], ["y"])]), "axis"),
    "inputs": (file_of([helper.make_node("Relu", ["x", "w"], ["y"])]), "Relu"),
    "outputs": (file_of([helper.make_node("Relu", ["x"], ["y", "z"])]), "2 outputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name, tmp_path):
    content, message = WRONG[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    (tmp_path / "secret.bin").write_bytes(struct.pack("<3f", 1, 2, 3))
    (tmp_path.parent / "secret.bin").write_bytes(struct.pack("<3f", 1, 2, 3))
    with pytest.raises((ValueError, FileNotFoundError), match=f"onnx.load: .*({message})") as error:
        mg.onnx.load(path)
    assert type(error.value) is ValueError or "no file" in str(error.value)


def test_a_link_is_not_followed_to_weights(tmp_path):
    (tmp_path / "elsewhere").write_bytes(bytes(12))
    (tmp_path / "a.onnx.data").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a.onnx").write_bytes(file_of([add()], change=external("a.onnx.data")))
    with pytest.raises(ValueError, match="is a link"):
        mg.onnx.load(tmp_path / "a.onnx")


def test_no_other_file_is_opened(tmp_path, monkeypatch):
    path = tmp_path / "a.onnx"
    path.write_bytes(file_of([add()]))
    opened = []
    real = io.open

    def watched(file, *args, **kwargs):
        opened.append(os.fspath(file))
        return real(file, *args, **kwargs)

    mg.onnx.load(path)  # which imports what it needs
    monkeypatch.setattr(io, "open", watched)
    monkeypatch.setattr(builtins, "open", watched)
    mg.onnx.load(path)
    assert opened == [str(path)]


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe"])
def test_what_is_no_file(kind, tmp_path):
    path = tmp_path / "a.onnx"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises((OSError, ValueError), match=r"onnx\.load: "):
        mg.onnx.load(path)


def asking(kind, shape, **settings):
    """A node that makes something of a shape that stands in the file."""
    wanted = numpy_helper.from_array(np.array(shape, np.int64), "w")
    node = helper.make_node(kind, settings.pop("inputs", ["x", "w"]), ["y"], **settings)
    return file_of([node], initializers=[wanted])


ABSURD = {
    "Expand": asking("Expand", [2**40, 2**20, 3]),
    "Tile": asking("Tile", [2**40, 2**20]),
    "ConstantOfShape": asking("ConstantOfShape", [2**30, 2**30], inputs=["w"]),
    "Pad": asking("Pad", [0, 2**50, 0, 0]),
    "Reshape": asking("Reshape", [2**40, -1]),
    "Resize": asking("Resize", [2**40, 2**20], inputs=["x", "", "", "w"]),
    "TopK": file_of(
        [helper.make_node("TopK", ["x", "w"], ["y", "i"])],
        initializers=[numpy_helper.from_array(np.array([2**40]), "w")],
    ),
    "MaxPool": file_of([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2**40])],
                       inputs=[info("x", shape=None)]),
    "Split": file_of([helper.make_node("Split", ["x"], ["y"], num_outputs=2**40)]),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_sizes_are_refused_when_they_are_asked_for(name, tmp_path):
    (tmp_path / "a.onnx").write_bytes(ABSURD[name])
    model = mg.onnx.load(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=name):
        model(mg.ones((1, 1, 3) if name == "MaxPool" else (2, 3)))


def seeds(tmp_path):
    path = tmp_path / "seed.onnx"
    models = [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)),
         mg.ones((2, 1, 6, 6))),
        (nn.GRU(3, 2, batch_first=True), mg.ones((2, 3, 3))),
        (lambda x: mg.pad(x[:, ::2], 1).reshape(-1).cumsum(0), mg.ones((2, 4))),
    ]  # fmt: skip
    for model, x in models:
        mg.onnx.export(model, x, path)
        yield path.read_bytes(), x


def mutant(content, rng):
    """Bytes changed, cut out, doubled or cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data)))
        way = rng.integers(5)
        if way <= 1:
            data[at] = int(rng.integers(256))
        elif way == 2:
            del data[at : at + int(rng.integers(1, 9))]
        elif way == 3:
            data[at:at] = data[at : at + int(rng.integers(1, 30))]
        elif len(data) > 40:
            del data[max(at, 40) :]
        if not data:
            break
    return bytes(data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_500_mutants_load_or_give_a_value_error(tmp_path):
    rng = np.random.default_rng(16)
    path = tmp_path / "mutant.onnx"
    refused = 0
    contents = list(seeds(tmp_path))
    for i in range(500):
        content, x = contents[i % len(contents)]
        path.write_bytes(mutant(content, rng))
        try:
            model = mg.onnx.load(path)
            model(x)
        except ValueError:
            refused += 1
    assert 250 < refused < 500
