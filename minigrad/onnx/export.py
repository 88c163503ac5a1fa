"""``mg.onnx.export``: one recorded call as an ONNX file.

The rows of ``export_table`` translate operators and layers; here stands what is common to all: how
values are named and shaped, which constants a file holds, and what cannot be exported.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.io.file_system import as_path, checked_suffix, checked_target, write_file
from minigrad.lazy import extra
from minigrad.nn.module import Module
from minigrad.onnx.builder import BATCH, Builder, Term, Value
from minigrad.onnx.export_table import LAYERS, ROWS
from minigrad.onnx.graph import Link, Merged, Step, Unstable, Varying, both, mapped, merge, record
from minigrad.onnx.load import BUFFERS, Graph

__all__ = ["export"]

#: The versions of the operator set that the rows are written for.
OLDEST, NEWEST = 18, 23
#: What a file may hold: more does not fit into one message of its format.
MOST_BYTES = 2**31 - 2**20


def as_list(value: Any) -> list[Any]:
    """A value, or several, as a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


@checked(opset=f"[{OLDEST}, {NEWEST}]")
def export(
    model: Module | Callable[..., Any],
    args: Any,
    path: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_batch: bool = True,
    opset: int = 21,
) -> None:
    """Write a model, or any function of tensors, as an ONNX file, from one recorded call.

    ``args``: an example input, an array or a tensor, or a tuple of them. Parameters and buffers
    stand in the file under the names of ``state_dict()``, and the names of nodes begin with the
    path of the module. A model is exported as in evaluation, with its layers as ONNX's own (Conv,
    BatchNormalization, LSTM, ...); its mode is not changed.

    A model that :func:`load` has read is written as it was, in its own operator set.

    ``dynamic_batch``: the first axis of the first input, and of those of the same length, may have
    any length when the file is used. For this the model is called again with another length.
    ``input_names`` and ``output_names`` replace the names of the arguments and "output".
    ``opset``: the version of ONNX's operators, 18 to 23. The write is atomic.

    Raises ValueError that names operator, module path and line: for an operator that ONNX cannot
    express, for a constant that depends on the data or on the batch size, and for control flow that
    depends on them. Raises TypeError for examples that are no arrays or tensors, ImportError
    without the package onnx, and as :func:`minigrad.save`.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> mg.onnx.export(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), mg.zeros((4, 3)), path)
    >>> mg.onnx.load(path)(mg.zeros((5, 3))).shape
    (5, 2)
    """
    onnx = extra("onnx", "onnx", "mg.onnx.export")
    extra("onnx.shape_inference", "onnx", "mg.onnx.export")
    if isinstance(model, type):
        raise TypeError(
            f"onnx.export: expected a Module or a function, got the class {model.__name__}; make "
            f"one of it first, {model.__name__}(...)"
        )
    checked_suffix(as_path(path, "onnx.export"), "onnx", "onnx.export")
    checked_target(path, "onnx.export")
    examples = _examples(args)
    default = _parameters_of(model, len(examples))
    if isinstance(model, Graph):  # read from a file, whose nodes are written as they are
        default, opset = [one.name for one in model.inputs], model.opset
        output_names = model.outputs if output_names is None else output_names
    names = _names("input_names", input_names, default)
    content = _build(onnx, model, examples, names, output_names, dynamic_batch, opset)
    write_file(path, content, "onnx.export")


def _examples(args: Any) -> list[Any]:
    """The arrays of the example inputs."""
    given = as_list(args)
    if not given:
        raise ValueError("onnx.export: args must hold at least one example input")
    if len(given) > 1 and all(type(x) is int for x in given):
        raise TypeError(
            f"onnx.export: args must be example inputs, got the shape {tuple(given)}; give an "
            f"array or a tensor of it, mg.zeros({tuple(given)})"
        )
    if isinstance(args, list) and not all(isinstance(x, (Tensor, np.ndarray)) for x in given):
        raise TypeError(
            "onnx.export: args must be an array or a tensor, or a tuple of them, got a list of "
            f"{type(given[0]).__name__}; make an array of it, np.array(...)"
        )
    for x in given:
        if x is None or isinstance(x, (dict, str)):
            raise TypeError(
                "onnx.export: args must be an array or a tensor, or a tuple of them in the order "
                f"of the arguments, got {type(x).__name__}"
            )
    return [as_tensor(x)._data for x in given]


def _names(what: str, given: Sequence[str] | None, default: list[str]) -> list[str]:
    if given is None:
        return default
    names: Any = given
    if isinstance(names, str) or not all(isinstance(n, str) and n for n in names):
        raise TypeError(f"onnx.export: {what} must be a list of names, got {given!r:.80}")
    if len(given) != len(default) or len(set(given)) != len(given):
        raise ValueError(
            f"onnx.export: {what} must be {len(default)} different names, got {list(given)!r:.200}"
        )
    return list(names)


def _parameters_of(model: Callable[..., Any], count: int) -> list[str]:
    """What the arguments are called, where the signature tells."""
    try:
        signature = inspect.signature(getattr(model, "forward", model))
    except (TypeError, ValueError):
        names = []
    else:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [p.name for p in signature.parameters.values() if p.kind in kinds]
    return [names[i] if i < len(names) else f"input_{i}" for i in range(count)]


def _held(model: Any) -> list[tuple[str, Module]]:
    """The model, or the models that a function uses: in its closure, globals and arguments."""
    if isinstance(model, Module):
        return [("", model)]
    if isinstance(getattr(model, "__self__", None), Module):
        return [("", model.__self__)]
    found: dict[int, tuple[str, Module]] = {}
    function = inspect.unwrap(getattr(model, "func", model))
    values: dict[str, Any] = {}
    if inspect.isfunction(function):
        closure = inspect.getclosurevars(function)
        values = {**closure.globals, **closure.nonlocals}
    for part in (*getattr(model, "args", ()), *getattr(model, "keywords", {}).values()):
        values.setdefault(f"argument_{len(values)}", part)
    for name, value in values.items():
        if isinstance(value, Module):
            found.setdefault(id(value), (name, value))
    held = list(found.values())
    return [("", held[0][1])] if len(held) == 1 else held


def _another_batch(array: Any, batch: int) -> Any:
    """Rows of the same kind, one more, in another order and with other values."""
    if array.ndim == 0 or len(array) != batch:
        return array
    more = np.concatenate([array[::-1], array[:1]])
    return more * array.dtype.type(0.9375) if array.dtype.kind == "f" else more


def _build(
    onnx: Any,
    model: Callable[..., Any],
    examples: list[Any],
    input_names: list[str],
    output_names: Sequence[str] | None,
    dynamic_batch: bool,
    opset: int,
) -> bytes:
    held = _held(model)
    modules = [m for _, one in held for m in one.modules()]
    before = [(m, m.training) for m in modules]
    batch = len(examples[0]) if examples[0].ndim else 0
    dynamic = dynamic_batch and examples[0].ndim > 0
    if dynamic and batch == 0:
        raise ValueError("onnx.export: the example must have at least one row, got none")
    first_input = [np.array(x) for x in examples]
    again = [_another_batch(x, batch) if dynamic else np.array(x) for x in first_input]
    try:
        for m in modules:
            m.__dict__["training"] = False
        first = record(model, first_input, modules)
        try:
            second = record(model, again, modules)
        except Exception as error:
            if not dynamic:
                raise
            raise ValueError(
                f"onnx.export: with a batch of {batch + 1} instead of {batch} the model raised "
                f"{type(error).__name__}: {error}. Let it take any batch size, or export with "
                f"dynamic_batch=False"
            ) from error
    finally:
        for m, training in before:
            m.__dict__["training"] = training
    b = Builder(onnx, opset)
    tensors, parameters = b.tensors, b.parameters
    buffers = {name for prefix, one in held for name, _ in one.named_buffers(prefix)}
    for prefix, one in held:
        each: Any = [*one.named_parameters(prefix), *one.named_buffers(prefix)]
        for name, tensor in each:
            if parameters.setdefault(id(tensor._data), name) == name:
                tensors[name] = tensor._data
    steps, ends = merge(first, second, parameters, lambda step: _layer_row(step) is not None)

    b.names.update(input_names)
    ending = [name for name, _ in first.outputs]
    named = (
        ["output"]
        if ending == [""]
        else [n if not n[:1].isdigit() else f"output_{n}" for n in ending]
    )
    named = _names("output_names", output_names, named)
    b.names.update(named)
    b.names.update(tensors)
    given = zip(input_names, first.inputs, second.inputs, strict=True)
    inputs = [Value(name, x.dtype, both(x.shape, y.shape)) for name, x, y in given]
    if dynamic:
        b.batch_of = inputs[0]
    values: dict[Any, Any] = {("input", i, 0): v for i, v in enumerate(inputs)}

    def value_of(x: Any) -> Any:
        if isinstance(x, Link):
            if x.kind == "parameter":
                return b.stored(x.key)
            return values[(x.kind, x.key, x.place)]
        return b.constant(x) if isinstance(x, np.ndarray) else x

    for i, merged in enumerate(steps):
        b.step = merged.step
        made = _translated(b, merged, value_of)
        for j, name in enumerate(made):
            if name is not None:
                values[("step", i, j)] = Value(name, merged.dtypes[j], merged.shapes[j])
    b.step = None
    outputs, renamed = [], {}
    made_here = {name for node in b.nodes for name in node.output}
    for name, end, (_, array) in zip(named, ends, first.outputs, strict=True):
        if isinstance(end, Unstable):
            b.refuse(f"the output {name} is made without operators: {end.why}")
        source = value_of(end)
        if source in made_here and source not in renamed:
            renamed[source] = name
        else:
            identity = onnx.helper.make_node("Identity", [source], [name], name=f"{name}/Identity")
            b.nodes.append(identity)
        outputs.append(Value(name, array.dtype, source.shape))
    for node in b.nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name in renamed:
                    names[i] = renamed[name]
    return _serialized(onnx, b, model, inputs, outputs, buffers)


def _layer_row(step: Step) -> Any:
    """The row of the layer, or of a class that it is made from, where it holds for this call."""
    kind = next((kind for kind in type(step.module).__mro__ if kind in LAYERS), None)
    if kind is None:
        return None
    row, fits, axes = LAYERS[kind]
    return row if fits(step.module) and axes in (0, step.outputs[0].ndim) else None


def _translated(b: Builder, merged: Merged, value_of: Any) -> list[Any]:
    step = merged.step
    row: Any = _layer_row(step) if step.module is not None else ROWS.get(step.name)
    if row is None:
        b.refuse(f"ONNX export has no row for the operator {step.name!r}")
    if isinstance(row, str):
        b.refuse(f"it cannot be exported: {row}")
    given = [mapped(value_of, x) for x in merged.inputs]
    metadata = merged.metadata
    if "index" in metadata:
        metadata = {**metadata, "index": mapped(value_of, metadata["index"])}
    made = as_list(row(b, merged, *given, **metadata))
    return [one.value if isinstance(one, Term) else one for one in made]


def _serialized(
    onnx: Any,
    b: Builder,
    model: Any,
    inputs: list[Value],
    outputs: list[Value],
    buffers: set[str],
) -> bytes:
    helper = onnx.helper
    size = sum(a.nbytes for a in (*b.used.values(), *b.constants.values()))
    if size > MOST_BYTES:
        raise ValueError(
            f"onnx.export: the weights take {size / 2**30:.1f} GiB, and one file holds at most 2"
        )

    def info(value: Value) -> Any:
        shape = [_dimension(n, b) for n in value.shape]
        return helper.make_tensor_value_info(
            value, helper.np_dtype_to_tensor_dtype(value.dtype), shape
        )

    weights = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in b.used.items()}
    # As nodes, so that what else the file holds, its initializers, are the parameters and buffers.
    constants = [
        helper.make_node(
            "Constant", [], [name], name=name, value=onnx.numpy_helper.from_array(a, name)
        )
        for name, a in b.constants.items()
    ]
    name = type(model).__name__ if isinstance(model, Module) else _name_of(model)
    # It is checked with the weights as inputs, and then they are put in: each copy of them counts.
    given = [info(Value(name, a.dtype, a.shape)) for name, a in weights.items()]
    ends = [info(v) for v in outputs]
    graph = helper.make_graph([*constants, *b.nodes], name, [*map(info, inputs), *given], ends)
    opsets = [helper.make_opsetid("", b.opset)]
    version = helper.find_min_ir_version_for(opsets)
    made = helper.make_model(
        graph, opset_imports=opsets, producer_name="minigrad", ir_version=version
    )
    kept = [name for name in b.used if name in buffers]
    if kept:
        helper.set_model_props(made, {BUFFERS: json.dumps(kept)})
    onnx.checker.check_model(made, full_check=True)
    del made.graph.input[len(inputs) :]
    for name, array in weights.items():
        weight = made.graph.initializer.add()
        weight.name, weight.data_type = name, helper.np_dtype_to_tensor_dtype(array.dtype)
        weight.dims.extend(array.shape)
        weight.raw_data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    content: bytes = made.SerializeToString()
    return content


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", "function")
    return name if name.isidentifier() else "function"


def _dimension(n: Any, b: Builder) -> Any:
    if not isinstance(n, Varying):
        return n
    size: Any = b.batch_of.shape[0] if b.batch_of is not None else n
    return BATCH if (n.first, n.second) == (size.first, size.second) else None
