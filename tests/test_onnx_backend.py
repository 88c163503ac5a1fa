"""ONNX's own tests of its operators, run on what ``mg.onnx.load`` makes of them.

Each either passes or holds something that is out of scope: a type, an operator or a version that
stands in the lists below. ``docs/reference/onnx.md`` has their numbers.
"""

import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.version_converter")

from minigrad.onnx.load import build  # noqa: E402
from minigrad.onnx.load_table import OPERATIONS, TYPES  # noqa: E402

pytestmark = pytest.mark.onnx
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "onnx.md"

#: Why an operator is not in the table.
OUT_OF_SCOPE = {
    "control flow": "If Loop Scan SequenceMap",
    "sequences and optional values": "SequenceEmpty SequenceInsert SequenceLength SequenceAt "
    "SequenceConstruct SplitToSequence ConcatFromSequence OptionalHasElement OptionalGetElement Optional",
    "text": "StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer",
    "quantised numbers": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv "
    "QLinearMatMul ConvInteger MatMulInteger",
    "random numbers": "Bernoulli RandomUniformLike",
    "decoding of images": "ImageDecoder",
    "Fourier transforms": "DFT STFT MelWeightMatrix",
    "newer than operator set 23": "LinearAttention CausalConvWithState",
}
REASON = {name: why for why, names in OUT_OF_SCOPE.items() for name in names.split()}


def elements(graph):
    """The types of the inputs and outputs, and those that Cast asks for."""
    found = set()
    for value in (*graph.input, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            found.add("sequences and optional values")
            continue
        found.add(value.type.tensor_type.elem_type)
    for tensor in graph.initializer:
        found.add(tensor.data_type)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and node.op_type in ("Cast", "BitCast"):
                found.add(attribute.i)
            if attribute.type == onnx.AttributeProto.TENSOR:
                found.add(attribute.t.data_type)
    return found


def why_not(model):
    """Why a test is out of scope; None where it must pass."""
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            return f"operators of the domain {node.domain}"
        if node.op_type in REASON:
            return REASON[node.op_type]
    for kind in sorted(map(str, elements(model.graph))):
        if not kind.isdigit():
            return kind
        if int(kind) not in TYPES:
            name = onnx.TensorProto.DataType.Name(int(kind))
            if name == "STRING":
                return "text"
            return (
                "numbers of 16 bits of which 8 are the exponent (bfloat16)"
                if (name == "BFLOAT16")
                else "numbers of 2, 4 and 8 bits that NumPy does not have"
            )
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    for node in model.graph.node:
        since = {
            v: onnx.defs.get_schema(node.op_type, v, "").since_version
            for v in {opset, 13}
            if opset < 13
        }
        if len(set(since.values())) > 1:
            return "as operator sets before 13 had it"
    return None


def load_tests(kind="node"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return {test.name: test for test in load_model_tests(kind=kind)}


@pytest.fixture(scope="module")
def tests():
    return load_tests()


def arrays(data):
    return [onnx.numpy_helper.to_array(x) if hasattr(x, "dims") else np.asarray(x) for x in data]


def run(test):
    compare(build(onnx, test.model), test.data_sets, test)


def compare(graph, data_sets, test):
    assert data_sets
    for inputs, outputs in data_sets:
        with np.errstate(all="ignore"):
            found = graph(*map(mg.Tensor, arrays(inputs)[: len(graph.inputs)]))
        found = found if isinstance(found, tuple) else (found,)
        for y, wanted in zip(found, arrays(outputs), strict=True):
            assert (y.dtype, y.shape) == (wanted.dtype, wanted.shape)
            if wanted.dtype.kind == "f":
                np.testing.assert_allclose(y.numpy(), wanted, rtol=test.rtol, atol=test.atol)
            else:
                np.testing.assert_array_equal(y.numpy(), wanted)


@pytest.mark.parametrize("part", range(16))
def test_every_node_test_in_scope_passes(tests, part):
    failed = {}
    for name in sorted(tests)[part::16]:
        if why_not(tests[name].model) is None:
            try:
                run(tests[name])
            except Exception as error:  # noqa: BLE001
                failed[name] = f"{type(error).__name__}: {error}"[:300]
    assert not failed


#: Their slopes are one number for each channel, which the converter does not turn to fit.
NOT_CONVERTED = {f"test_PReLU_{n}d_multiparam" for n in (1, 2, 3)}


def stored(folder, what):
    for path in sorted(Path(folder).glob(f"{what}_*.pb")):
        yield onnx.TensorProto.FromString(path.read_bytes())


@pytest.mark.parametrize("kind", ["simple", "pytorch-converted", "pytorch-operator"])
def test_every_small_model_in_scope_passes(kind):
    """They are of 2017, and brought to a later operator set by ONNX's own converter first."""
    passed = 0
    for name, test in load_tests(kind).items():
        model = test.model
        if model is None:
            model = onnx.load(Path(test.model_dir) / "model.onnx")
        if any(o.domain == "" and o.version < 13 for o in model.opset_import):
            model = onnx.version_converter.convert_version(model, 17)
        names = {node.op_type for node in model.graph.node}
        domains = {node.domain for node in model.graph.node}
        if names & set(REASON) or domains - {""} or name in NOT_CONVERTED:
            continue
        data = test.data_sets
        if data is None:
            folders = sorted(Path(test.model_dir).glob("test_data_set_*"))
            data = [(list(stored(f, "input")), list(stored(f, "output"))) for f in folders]
        compare(build(onnx, model), data, test)
        passed += 1
    assert passed == {"simple": 7, "pytorch-converted": 79, "pytorch-operator": 35}[kind]


def test_what_is_out_of_scope_is_refused_by_name(tests):
    for name, test in tests.items():
        if why_not(test.model) is not None:
            with pytest.raises(ValueError, match=r"onnx.load: "):
                build(onnx, test.model)
            assert name


def test_nothing_in_the_table_is_out_of_scope():
    assert not set(OPERATIONS) & set(REASON)


def test_the_numbers_in_the_docs(tests):
    text = PAGE.read_text(encoding="utf-8")
    counts = Counter(why_not(test.model) or "pass" for test in tests.values())
    rows = "\n".join(f"| {why} | {n} |" for why, n in sorted(counts.items(), key=lambda c: -c[1]))
    print(f"onnx {onnx.__version__}\n{rows}")  # noqa: T201
    if f"onnx {onnx.__version__}" not in text:
        pytest.skip("the docs have the numbers of another version of onnx")
    told = dict(re.findall(r"^\| (.+) \| (\d+) \|$", text, re.MULTILINE))
    assert told == {why: str(n) for why, n in counts.items()}
