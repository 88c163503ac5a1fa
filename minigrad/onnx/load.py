"""``mg.onnx.load``: an ONNX file as a module that can be called, trained, drawn and looked into.

Each node becomes a module, at the place that the names of its weights or its own name give, so that
the structure of the model it came from is to be seen again. The file is data: everything in it is
checked before anything runs, its nodes are looked up in ``load_table``, and no code is run.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigrad.engine.parameter import Parameter
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.io.file_system import as_path, open_to_read
from minigrad.lazy import extra
from minigrad.nn.module import Module
from minigrad.onnx.load_table import OPERATIONS, TYPES, WITHOUT_EFFECT

__all__ = ["load"]

#: The versions of the operator set that the table is written for.
OLDEST, NEWEST = 13, 28
MOST_BYTES = 2**31
#: The entry of metadata that names the buffers in a file that was written here.
BUFFERS = "minigrad.buffers"
#: What a node may raise whose settings or inputs do not fit.
FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
#: Deeper paths become one name.
DEEPEST = 16
#: Inputs that set something rather than being learned: operator -> their places.
SETTINGS = {
    "Resize": (1, 2),
    "Clip": (1, 2),
    "Pad": (2,),
    "OneHot": (2,),
    "BatchNormalization": (3, 4),
}
#: The field of a tensor that holds the elements of each type, where they are not raw.
FIELDS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
UNSUPPORTED = {
    "If": "control flow", "Loop": "control flow", "Scan": "control flow",
    "SequenceMap": "sequences",
}  # fmt: skip


class Group(Module):
    """Modules and parameters that stand below one name."""


class Operation(Module):
    """One node: a function of the table with its settings.

    ``sources`` and ``results`` are the names of the values that go in and come out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = self.node = ""
        self.settings: dict[str, Any] = {}
        self.given: dict[str, Any] = {}
        self.sources: tuple[str, ...] = ()
        self.results: tuple[str, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        """The results of the node. Raises ValueError, with the name of the node, where it fails."""
        try:
            return OPERATIONS[type(self).__name__](*inputs, **self.settings)
        except FloatingPointError:
            raise  # what looks for NaN has found one
        except FAILURES as error:
            raise ValueError(f"{self.node}: {error}") from error

    def extra_repr(self) -> str:
        """Show the attributes as they stand in the file."""
        return ", ".join(f"{k}={_short(v)}" for k, v in self.given.items())


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"{value.dtype}{list(value.shape)}"
    return f"{value.tolist() if isinstance(value, np.ndarray) else value!r:.80}"


@functools.cache
def _kind(name: str) -> type[Operation]:
    """The class of the nodes of an operator, whose name shows when a model is printed."""
    return type(name, (Operation,), {"__module__": __name__})


class Graph(Module):
    """A model that was read from an ONNX file. Its parameters are the weights in the file.

    Called with as many tensors as the file has inputs; gives its output, or a tuple of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opset = NEWEST
        self.inputs: tuple[Input, ...] = ()
        self.outputs: tuple[str, ...] = ()
        #: The paths of the operations in the order in which they run.
        self.order: tuple[str, ...] = ()
        #: The path and attribute of each parameter and buffer, and the other constants.
        self.places: dict[str, tuple[str, str]] = {}
        self.constants: dict[str, Any] = {}

    def forward(self, *inputs: ArrayLike) -> Any:
        """Run the nodes in order."""
        if len(inputs) != len(self.inputs):
            names = ", ".join(one.name for one in self.inputs)
            raise self._error(f"expected {len(self.inputs)} inputs ({names}), got {len(inputs)}")
        modules = dict(self.named_modules())
        values: dict[str, Any] = {"": None}
        for expected, given in zip(self.inputs, inputs, strict=True):
            values[expected.name] = expected.checked(self, as_tensor(given))
        values |= {name: Tensor(array) for name, array in self.constants.items()}
        for name, (path, attribute) in self.places.items():
            values[name] = getattr(modules[path], attribute)
        for path in self.order:
            operation: Any = modules[path]
            made = operation(*[values[name] for name in operation.sources])
            results = operation.results
            made = made if isinstance(made, (tuple, list)) else (made,)
            if len(made) < len(results):
                raise self._error(
                    f"{operation.node} has {len(results)} outputs, and makes {len(made)}"
                )
            values.update((name, one) for name, one in zip(results, made, strict=False) if name)
        found = tuple(as_tensor(values[name]) for name in self.outputs)
        return found[0] if len(found) == 1 else found


class Input(NamedTuple):
    """An input of a file: its dtype, and its lengths where they are fixed."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def checked(self, model: Graph, given: Tensor) -> Tensor:
        """The tensor in this dtype; ValueError where it does not fit."""
        dtype = np.dtype(self.dtype)
        if given.dtype != dtype:
            if given.dtype.kind == "f" and dtype.kind != "f":
                raise model._error(f"input {self.name} is {dtype}, got {given.dtype}")
            given = given.astype(dtype)
        if self.shape is not None:
            fits = len(self.shape) == given.ndim and all(
                n is None or n == m for n, m in zip(self.shape, given.shape, strict=True)
            )
            if not fits:
                batch = self.shape and self.shape[0] is not None and given.ndim == len(self.shape)
                hint = "; the file fixes the batch size, so use it, or export with a free one"
                raise model._error(
                    f"input {self.name} has shape {_shown(self.shape)}, got {given.shape}"
                    f"{hint if batch and self.shape[1:] == given.shape[1:] else ''}"
                )
        return given


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in shape)})"


def load(path: str | os.PathLike[str]) -> Module:
    """Read a model from an ONNX file (operator sets 13 to 28), to be called, trained and drawn.

    The floating-point weights are parameters, under their names in the file; the running
    statistics of BatchNormalization are buffers and stay as they are. ``print(model)`` and
    ``mg.summary`` show the nodes at the places that the names give; ``mg.onnx.export`` writes the
    same nodes again. As the file says, dropout does nothing.

    Weights may stand in a second file beside the first one whose name begins alike
    (``model.onnx.data``). No other file is read, and no code is run.

    Raises FileNotFoundError; ImportError without the package onnx; ValueError for a damaged file
    and for what is not supported (control flow, sequences, text, quantised numbers, operators that
    are not in the table), with the name of the node.

    See :func:`minigrad.onnx.export` for an example.
    """
    onnx = extra("onnx", "onnx", "mg.onnx.load")
    with open_to_read(path, "onnx.load") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise _wrong(f"{path} has {size} bytes; a file of this format has at most 2 GiB")
        content = file.read()
    try:
        proto = onnx.ModelProto.FromString(content)
    except Exception as error:  # noqa: BLE001 (protobuf has its own, of no common class)
        raise _wrong(f"{path} is damaged, or no ONNX file: {error}") from None
    return build(onnx, proto, as_path(path, "onnx.load"))


def settings_of(function: Any, declared: dict[str, Any], given: Any = ()) -> dict[str, Any]:
    """The attributes that a function of the table is called with: those that it takes.

    Those that a file has ``given`` are left out only where they are known to change nothing.
    """
    parameters = inspect.signature(function).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {
        name: value
        for name, value in declared.items()
        if name in parameters or ((every or name in given) and name not in WITHOUT_EFFECT)
    }


def _wrong(text: str) -> ValueError:
    return ValueError(f"onnx.load: {text}")


def build(onnx: Any, proto: Any, path: Path | None = None) -> Graph:
    """The module of a parsed file. Raises ValueError for what is damaged or not supported."""
    return _Reader(onnx, proto, path).model()


class _Reader:
    """Checks a file and builds its module."""

    def __init__(self, onnx: Any, proto: Any, path: Path | None) -> None:
        self._onnx, self._proto, self._path = onnx, proto, path
        self._graph = proto.graph
        self._arrays: dict[str, Any] = {}
        self._modules: dict[str, Module] = {}
        self._operations: dict[str, Operation] = {}

    def model(self) -> Graph:
        graph = self._graph
        if not graph.node and not graph.output:
            raise _wrong("the file holds no graph: it is damaged, or no ONNX file")
        for what, text in self._texts():
            if not isinstance(text, str):  # protobuf gives bytes where a text is none
                raise _wrong(f"{what} is no text: {text!r:.80}; the file is damaged")
        opset = self._opset()
        if self._proto.functions:
            names = sorted({f.name for f in self._proto.functions})
            raise _wrong(f"functions in the file are not supported: {', '.join(names):.200}")
        if graph.sparse_initializer:
            raise _wrong("sparse initializers are not supported")
        nodes = [self._node(i, node, opset) for i, node in enumerate(graph.node)]
        for tensor in graph.initializer:
            if not tensor.name or tensor.name in self._arrays:
                raise _wrong(f"two initializers have the name {tensor.name!r:.80}, or none")
            self._arrays[tensor.name] = self._array(tensor, f"initializer {tensor.name!r:.80}")
        inputs = tuple([self._input(v) for v in graph.input if v.name not in self._arrays])
        outputs = self._outputs()
        self._check_links(nodes, inputs, outputs)
        return self._built(opset, nodes, inputs, outputs)

    def _texts(self) -> Iterator[tuple[str, Any]]:
        """Every name in the file that is used."""
        graph = self._graph
        yield from (("the domain of an operator set", o.domain) for o in self._proto.opset_import)
        yield from (("the name of a function", f.name) for f in self._proto.functions)
        for entry in self._proto.metadata_props:
            yield from (("an entry of metadata", text) for text in (entry.key, entry.value))
        for value in (*graph.input, *graph.output, *graph.initializer):
            yield "a name", value.name
        constants = [a.t for node in graph.node for a in node.attribute]
        for tensor in (*graph.initializer, *constants):
            for entry in tensor.external_data:
                yield from (("a place of weights", text) for text in (entry.key, entry.value))
        for node in graph.node:
            yield from (("an operator", text) for text in (node.op_type, node.domain, node.name))
            yield from (("an input or output", text) for text in (*node.input, *node.output))
            for attribute in node.attribute:
                texts = (attribute.name, attribute.ref_attr_name)
                yield from (("the name of an attribute", text) for text in texts)

    def _opset(self) -> int:
        versions = [o.version for o in self._proto.opset_import if o.domain in ("", "ai.onnx")]
        if len(versions) != 1:
            raise _wrong("the file does not say which version of ONNX's operators it uses")
        if not 1 <= versions[0] <= NEWEST:
            raise _wrong(f"operator set {versions[0]} is not supported, only {OLDEST} to {NEWEST}")
        return int(versions[0])

    # -- arrays ----------------------------------------------------------------------------------

    def _array(self, tensor: Any, what: str) -> Any:
        """The array of a tensor in the file, whose size is compared with its shape first."""
        dtype = np.dtype(self._type(tensor.data_type, what))
        shape = tuple(tensor.dims)
        if len(shape) > 32 or any(n < 0 for n in shape):
            raise _wrong(f"{what} has the shape {shape!r:.80}")
        count = math.prod(shape)
        if tensor.data_location == 1:
            raw: Any = self._external(tensor, what, count * dtype.itemsize)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            field = getattr(tensor, FIELDS.get(tensor.data_type, "int32_data"))
            if len(field) != count:
                raise _wrong(f"{what} of shape {shape} has {len(field)} elements")
            try:
                if dtype == np.float16:
                    return np.array(field, np.uint16).view(np.float16).reshape(shape)
                return np.array(field).astype(dtype).reshape(shape)
            except (OverflowError, ValueError) as error:
                raise _wrong(f"{what} holds numbers that do not fit {dtype}: {error}") from None
        if len(raw) != count * dtype.itemsize:
            raise _wrong(
                f"{what} of shape {shape} and type {dtype} has {len(raw)} bytes, and "
                f"{count * dtype.itemsize} are expected"
            )
        array = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)
        if dtype == np.bool_:
            return np.frombuffer(raw, np.uint8).reshape(shape) != 0
        return array.astype(dtype)

    def _external(self, tensor: Any, what: str, size: int) -> bytes:
        """The bytes of a tensor from the file of weights beside the model."""
        told = {entry.key: entry.value for entry in tensor.external_data}
        name = told.get("location", "")
        path = self._path
        if path is None or not name or name != Path(name).name or not name.startswith(path.stem):
            raise _wrong(
                f"{what} stands in the file {name!r:.80}; only a file in the same folder whose "
                f"name begins as that of the model is read"
            )
        try:
            offset, length = int(told.get("offset", "0")), int(told.get("length", str(size)))
        except ValueError:
            raise _wrong(f"{what} has no numbers for its place in {name}") from None
        beside = path.with_name(name)
        if beside.is_symlink():
            raise _wrong(f"{what} stands in {name}, which is a link; only a file is read")
        with open_to_read(beside, "onnx.load") as file:
            whole = os.fstat(file.fileno()).st_size
            if length != size or offset < 0 or offset + size > whole:
                raise _wrong(
                    f"{what} takes {size} bytes, and stands at {offset} to {offset + length} of "
                    f"{name}, which has {whole}"
                )
            file.seek(offset)
            return file.read(size)

    def _type(self, number: int, what: str) -> str:
        """The name of the dtype. Raises ValueError for types that are not supported."""
        if number in TYPES:
            return TYPES[number]
        names = self._onnx.TensorProto.DataType
        name = names.Name(number) if number in names.values() else number
        raise _wrong(f"{what} has type {name}, which is not supported")

    # -- nodes -----------------------------------------------------------------------------------

    def _node(self, i: int, node: Any, opset: int) -> Operation:
        label = f"node {node.name or i!r:.80} ({node.op_type:.80})"
        if node.domain not in ("", "ai.onnx"):
            raise _wrong(f"{label} is of the domain {node.domain!r:.80}, which is not supported")
        if node.op_type in UNSUPPORTED:
            raise _wrong(f"{label}: {UNSUPPORTED[node.op_type]} is not supported")
        function = OPERATIONS.get(node.op_type)
        if function is None:
            raise _wrong(f"{label}: this operator is not supported")
        operation = _kind(node.op_type)()
        operation.name, operation.node = node.name, label
        operation.sources, operation.results = tuple(node.input), tuple(node.output)
        operation.given = self._attributes(node, label)
        if not any(operation.results):
            raise _wrong(f"{label} has no outputs")
        schema = self._schema(node, operation.given, label, opset)
        settings = {n: self._value(a.default_value, label) for n, a in schema.attributes.items()}
        settings |= operation.given
        operation.settings = settings_of(function, settings, operation.given)
        known = inspect.signature(function).parameters
        more = {"opset": opset, "outputs": len(node.output)}
        operation.settings |= {k: v for k, v in more.items() if k in known}
        try:
            inspect.signature(function).bind(*operation.sources, **operation.settings)
        except TypeError as error:
            raise _wrong(f"{label}: {error}") from None
        return operation

    def _schema(self, node: Any, given: dict[str, Any], label: str, opset: int) -> Any:
        """ONNX's own declaration, with which inputs, outputs and attributes are compared."""
        try:
            schema = self._onnx.defs.get_schema(node.op_type, opset, "")
        except Exception:  # noqa: BLE001 (onnx has its own, of no common class)
            raise _wrong(f"{label}: operator set {opset} has no such operator") from None
        oldest = self._onnx.defs.get_schema(node.op_type, max(opset, OLDEST), "")
        if oldest.since_version != schema.since_version:
            raise _wrong(
                f"{label}: operator set {opset} is not supported, only {OLDEST} to {NEWEST}; "
                f"convert the file with onnx.version_converter"
            )
        counts = (
            ("inputs", len(node.input), schema.min_input, schema.max_input),
            ("outputs", len(node.output), schema.min_output, schema.max_output),
        )
        for what, n, least, most in counts:
            if not least <= n <= most:
                raise _wrong(f"{label} has {n} {what}, expected {least} to {most}")
        for attribute in node.attribute:
            declared = schema.attributes.get(attribute.name)
            if declared is None or int(declared.type.value) != attribute.type:
                raise _wrong(
                    f"{label}: the attribute {attribute.name!r:.80} has no place, or another type"
                )
        for name, declared in schema.attributes.items():
            if declared.required and name not in given:
                raise _wrong(f"{label}: the attribute {name} is missing")
        return schema

    def _attributes(self, node: Any, label: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for attribute in node.attribute:
            name = attribute.name
            if name in found:
                raise _wrong(f"{label} has two attributes {name!r:.80}")
            if attribute.ref_attr_name:
                raise _wrong(f"{label}: the attribute {name!r:.80} refers to that of a function")
            found[name] = self._value(attribute, label)
        return found

    def _value(self, attribute: Any, label: str) -> Any:
        """The value of an attribute; None for a default where there is none."""
        kinds, kind = self._onnx.AttributeProto, attribute.type
        if kind == kinds.TENSOR:
            return self._array(attribute.t, f"{label}: the attribute {attribute.name!r:.80}")
        if kind == kinds.STRING:
            return attribute.s.decode("utf-8", "replace")
        if kind == kinds.STRINGS:
            return [s.decode("utf-8", "replace") for s in attribute.strings]
        if kind in (kinds.INT, kinds.FLOAT, kinds.INTS, kinds.FLOATS):
            return self._onnx.helper.get_attribute_value(attribute)
        if kind == kinds.UNDEFINED:
            return None
        raise _wrong(f"{label}: an attribute {attribute.name!r:.80} of this type is not supported")

    # -- inputs and outputs ----------------------------------------------------------------------

    def _tensor_type(self, value: Any, what: str) -> Any:
        what = f"{what} {value.name!r:.80}"
        if not value.type.HasField("tensor_type"):
            kind = value.type.WhichOneof("value") or "no type"
            raise _wrong(f"{what} is no tensor but {kind}, which is not supported")
        self._type(value.type.tensor_type.elem_type, what)
        return value.type.tensor_type

    def _input(self, value: Any) -> Input:
        if not value.name:
            raise _wrong("an input has no name")
        tensor, shape = self._tensor_type(value, "the input"), None
        if tensor.HasField("shape"):
            dims = tensor.shape.dim
            shape = tuple([d.dim_value if d.HasField("dim_value") else None for d in dims])
            if any(n is not None and n < 0 for n in shape):
                raise _wrong(f"the input {value.name!r:.80} has the shape {shape!r:.80}")
        return Input(value.name, TYPES[tensor.elem_type], shape)

    def _outputs(self) -> tuple[str, ...]:
        for value in self._graph.output:
            if value.type.WhichOneof("value"):
                self._tensor_type(value, "the output")
        names = tuple(value.name for value in self._graph.output)
        if not names:
            raise _wrong("the graph has no outputs")
        return names

    def _check_links(
        self, nodes: list[Operation], inputs: tuple[Input, ...], outputs: tuple[str, ...]
    ) -> None:
        """Every value is made once, and before it is used: so there is no circle."""
        known = {*self._arrays, ""}
        later = {name for node in nodes for name in node.results}
        for one in inputs:
            if one.name in known:
                raise _wrong(f"two inputs have the name {one.name!r:.80}")
            known.add(one.name)
        for node in nodes:
            for name in node.sources:
                if name not in known:
                    why = "which nothing makes"
                    if name in later:
                        why = "which is made later: the nodes form a cycle or are out of order"
                    raise _wrong(f"{node.node} uses {name!r:.80}, {why}")
            for name in node.results:
                if name and name in known:
                    raise _wrong(f"{node.node} makes {name!r:.80}, which is there already")
                known.add(name)
        for name in outputs:
            if not name or name not in known:
                raise _wrong(f"nothing makes the output {name!r:.80}")

    # -- the module ------------------------------------------------------------------------------

    def _built(
        self,
        opset: int,
        nodes: list[Operation],
        inputs: tuple[Input, ...],
        outputs: tuple[str, ...],
    ) -> Graph:
        root = Graph()
        root.opset, root.inputs, root.outputs = opset, inputs, outputs
        learned, buffers = self._learned(nodes)
        self._modules = {"": root}
        names = _places([*learned, *buffers])
        homes = _homes(nodes, self._graph.node, {n: names[n] for n in (*learned, *buffers)})
        self._operations = dict(zip(homes, nodes, strict=True))
        for path in homes:
            self._put(path)
        root.order = tuple(homes)
        for name, array in self._arrays.items():
            if name in learned or name in buffers:
                path, _, attribute = names[name].rpartition(".")
                owner = self._put(path)
                if name in learned:
                    setattr(owner, attribute, Parameter(array))
                else:
                    owner.register_buffer(attribute, Tensor(array))
                root.places[name] = (path, attribute)
            else:
                root.constants[name] = array
        return root

    def _put(self, path: str) -> Module:
        """The module at this path, made with those above it where there is none."""
        if path in self._modules:
            return self._modules[path]
        above, _, name = path.rpartition(".")
        made = self._operations.get(path) or Group()
        owner = self._put(above)
        setattr(owner, name, made)
        self._modules[path] = made
        return made

    def _learned(self, nodes: list[Operation]) -> tuple[set[str], set[str]]:
        """The names of the initializers that are parameters, and of those that are buffers."""
        learned = {n for n, a in self._arrays.items() if a.dtype.kind == "f"}
        buffers: set[str] = set()
        used: set[str] = set()
        for node in nodes:
            settings = SETTINGS.get(type(node).__name__, ())
            for i, name in enumerate(node.sources):
                used.add(name)
                if i in settings and name in learned:
                    learned.discard(name)
                    if type(node).__name__ == "BatchNormalization":
                        buffers.add(name)
        for entry in self._proto.metadata_props:
            if entry.key == BUFFERS:
                try:
                    told = json.loads(entry.value)
                except (ValueError, RecursionError):
                    told = []
                for name in told if isinstance(told, list) else []:
                    if isinstance(name, str) and name in self._arrays:
                        learned.discard(name)
                        buffers.add(name)
        return learned & used, buffers & used


def _clean(part: str) -> str:
    """A part of a path that can be the name of an attribute."""
    while hasattr(Graph, part) or part in _OWN or not part:
        part += "_"
    return part


_OWN = {*vars(Graph()), *vars(Operation()), *Module.__slots__}


def _path(name: str) -> str:
    parts = [part for part in name.replace("/", ".").split(".") if part]
    if len(parts) > DEEPEST:
        parts = ["_".join(parts)]
    return ".".join(_clean(part) for part in parts)


def free_name(wanted: str, taken: set[str]) -> str:
    """This name, or it with a number where it is taken; it is taken then."""
    found, n = wanted, 0
    while found in taken:
        n += 1
        found = f"{wanted}_{n}"
    taken.add(found)
    return found


def _above(paths: Iterable[str]) -> set[str]:
    """The beginnings of these paths, at which modules stand."""
    return {path[:i] for path in paths for i, letter in enumerate(path) if letter == "."}


def _places(names: list[str]) -> dict[str, str]:
    """Where the initializers of these names stand: path and attribute."""
    taken: set[str] = set()
    wanted = {name: _path(name) or "weight" for name in names}
    # A name that is also the beginning of another cannot be both a tensor and a module.
    above = _above(wanted.values())
    return {
        name: free_name(f"{path}_tensor" if path in above else path, taken)
        for name, path in wanted.items()
    }


def _homes(nodes: list[Operation], protos: Any, names: dict[str, str]) -> list[str]:
    """Where each node stands: where its weights do, or where its own name says."""
    wanted = []
    for i, (node, proto) in enumerate(zip(nodes, protos, strict=True)):
        owners = {names[n].rpartition(".")[0] for n in node.sources if n in names}
        above, _, last = _path(proto.name).rpartition(".")
        last = last or f"{type(node).__name__}_{i}"
        home = owners.pop() if len(owners) == 1 else above
        wanted.append((home, last))
    count = Counter(home for home, _ in wanted)
    tensors = set(names.values())
    shared = {home for home in count if count[home] > 1}
    taken = {"", *tensors, *shared, *_above(count)}
    homes = []
    for home, last in wanted:
        path = home
        if home in taken:
            path = free_name(f"{home}.{last}" if home else last, taken | _above(tensors))
        taken.add(path)
        homes.append(path)
    return homes
