"""What an exported model is compared with: onnxruntime and ONNX's own reference."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

import minigrad as mg
from minigrad.onnx.graph import flat

Array = NDArray[Any]
onnxruntime.set_default_logger_severity(3)


def close(found: Any, wanted: Array, what: str) -> None:
    """Equal dtype and shape, and differences of at most 1e-5 of the largest number, or of 1."""
    found = np.asarray(found)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), what
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted, err_msg=what)
        return
    largest = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * largest, err_msg=what)


def longer(x: Array, batch: int) -> Array:
    """Two more rows, where the first axis is the batch."""
    return np.concatenate([x[::-1], x[:2]]) if x.ndim and len(x) == batch else x


def check_export(
    function: Callable[..., Any],
    inputs: Sequence[Array],
    path: Path,
    *,
    reference: bool = True,
    **options: Any,
) -> onnx.ModelProto:
    """Export; compare with minigrad for two batch sizes; read the file and compare again."""
    mg.onnx.export(function, tuple(inputs), path, **options)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    again = mg.onnx.load(path)
    names = [one.name for one in model.graph.input]
    batch = len(inputs[0]) if inputs[0].ndim else -1
    sizes = [list(inputs)]
    if options.get("dynamic_batch", True):
        sizes.append([longer(x, batch) for x in inputs])
    for given in sizes:
        wanted = [y for _, y in flat(function(*[mg.Tensor(x) for x in given]))]
        feed = dict(zip(names, given, strict=True))
        found = {"onnxruntime": session.run(None, feed)}
        if reference:
            found["onnx.reference"] = ReferenceEvaluator(model).run(None, feed)
        found["mg.onnx.load"] = [y for _, y in flat(again(*given))]
        for what, outputs in found.items():
            for y, w in zip(outputs, wanted, strict=True):
                close(y, w, what)
    return model
