"""``mg.summary``: a model as a table of its layers, found by running it once.

Hooks on the modules note the shapes of outputs, and a hook around the operators counts the
multiply-adds.
"""

from __future__ import annotations

import copy
import html
import math
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from minigrad.debug.table import html_table, readable_bytes, text_table
from minigrad.engine.hooks import Hook
from minigrad.engine.node import Node
from minigrad.engine.printable import visible
from minigrad.engine.random import generator_restored
from minigrad.engine.settings import checked
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor
from minigrad.engine.tree import flatten
from minigrad.nn import Module, UninitializedParameter
from minigrad.nn.module import float_dtype, modes_restored
from minigrad.operators.declare import Operator

Shape: TypeAlias = tuple[int, ...]

#: Samples in the batch that is run: more than one, so that a batch axis shows.
BATCH = 2
#: The operators that multiply and add; conv2d_input_grad is the transposed convolution.
PRODUCTS = {"matmul", "linear", "conv2d", "conv2d_input_grad"}
HEADINGS = ("Layer", "Type", "Output shape", "Params", "Multiply-adds")
RIGHT = (False, False, False, True, True)


@dataclass
class LayerSummary:
    """A row of the table: a module, and its parameters and work without those of its children."""

    path: str
    name: str
    depth: int
    kind: str
    #: The shape of the output as text, with None for the batch; "" when it was not run.
    output_shape: str = ""
    params: int = 0
    #: Whether all its parameters are counted at a layer above, which has the same ones.
    shared: bool = False
    #: For one sample, over all calls.
    multiply_adds: int = 0
    is_parent: bool = False
    #: If the model failed: "failed here", or "failed inside" for the modules around it.
    failure: str = ""

    def cells(self) -> tuple[str, ...]:
        """Cell texts."""
        state = self.failure or self.output_shape or "not run"
        params = "shared" if self.shared else f"{self.params:,}"
        if self.is_parent and not self.params and not self.shared:
            params = ""
        work = "" if self.is_parent and not self.multiply_adds else f"{self.multiply_adds:,}"
        name = "  " * self.depth + visible(self.name)
        return name, visible(self.kind), state, params, work


@dataclass
class Summary:
    """The table: ``print`` it, or let a notebook show it; its totals are attributes.

    >>> mg.summary(nn.Linear(3, 2), (3,)).total_params
    8
    """

    model: str
    layers: list[LayerSummary] = field(default_factory=list["LayerSummary"])
    total_params: int = 0
    trainable_params: int = 0
    #: Bytes of all parameters.
    size: int = 0
    #: Numbers in buffers, such as running statistics.
    buffers: int = 0

    @property
    def non_trainable_params(self) -> int:
        """Parameters with ``requires_grad=False``."""
        return self.total_params - self.trainable_params

    @property
    def multiply_adds(self) -> int:
        """Multiplications with an addition in products and convolutions, for one sample."""
        return sum(layer.multiply_adds for layer in self.layers)

    def totals(self) -> list[tuple[str, str]]:
        """The lines below the table."""
        lines = [
            ("Total params", f"{self.total_params:,} ({readable_bytes(self.size)})"),
            ("Trainable params", f"{self.trainable_params:,}"),
            ("Non-trainable params", f"{self.non_trainable_params:,}"),
        ]
        if self.buffers:
            lines.append(("Buffers", f"{self.buffers:,}"))
        return [*lines, ("Multiply-adds", f"{self.multiply_adds:,} per sample")]

    def __str__(self) -> str:
        header, rule, *rows = text_table(HEADINGS, [layer.cells() for layer in self.layers], RIGHT)
        rule = "─" * len(rule)
        totals = [f"{name}: {value}" for name, value in self.totals()]
        model = f"Model: {visible(self.model)}"
        return "\n".join([model, rule, header, rule, *rows, rule, *totals])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        table = html_table(HEADINGS, [layer.cells() for layer in self.layers], RIGHT)
        totals = "<br>".join(f"{name}: {html.escape(value)}" for name, value in self.totals())
        model = html.escape(visible(self.model))
        return f"<div><b>Model: {model}</b>{table}<p>{totals}</p></div>"


@checked()
def summary(
    model: Module,
    input_shape: int | Sequence[Any],
    *,
    dtype: DTypeLike | Sequence[DTypeLike] | None = None,
) -> Summary:
    """A table of the layers of a model: type, output shape, parameters, multiply-adds.

    ``input_shape``: the shape of one sample, without the batch: ``(1, 28, 28)``; a list of shapes
    for a model of several inputs. ``dtype``: that of the input, or a list; by default that of the
    parameters. Use an integer one for indices (they are 0).

    The model is run once, on a batch of 2, in evaluation mode and without a graph; its weights,
    statistics and modes, and the random numbers, stay as they were. Lazy layers stay lazy. Shared
    layers and parameters count once; the work of a layer is that of all its calls.

    If the model fails, the table so far is printed, and the error raised. Raises TypeError if
    ``model`` is not a module or ``input_shape`` not a shape, and ValueError if the numbers of
    shapes and dtypes differ or a size is negative.

    >>> print(mg.summary(nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10)), 784))
    Model: Sequential
    ───────────────────────────────────────────────────────────
    Layer       Type        Output shape  Params  Multiply-adds
    ───────────────────────────────────────────────────────────
    Sequential  Sequential  (None, 10)
      0         Linear      (None, 100)   78,500         78,400
      1         ReLU        (None, 100)        0              0
      2         Linear      (None, 10)     1,010          1,000
    ───────────────────────────────────────────────────────────
    Total params: 79,510 (318 kB)
    Trainable params: 79,510
    Non-trainable params: 0
    Multiply-adds: 79,400 per sample
    """
    shapes = _shapes(input_shape)
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        model = copy.deepcopy(model)
    inputs = _inputs(shapes, dtype, model)
    trace = _Trace(model)
    try:
        with _undisturbed(model), trace, no_grad(), np.errstate(all="ignore"):
            model(*inputs)
    except BaseException:
        sys.stdout.write(f"{trace.table()}\n")
        raise
    return trace.table()


class _Trace(Hook):
    """Notes the output shape of each module, and counts the multiply-adds done in it."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.running: list[Module] = []
        self.outputs: dict[Module, str] = {}
        self.work: dict[Module, int] = {}

    def _begin(self) -> None:
        for module in self.model.modules():
            module.register_forward_pre_hook(self._enters)
            module.register_forward_hook(self._leaves)
        super()._begin()

    def _end(self) -> None:
        # Our hooks are found by what they call: Ctrl-C may come before a handle is kept.
        for module in self.model.modules():
            for hooks in (module._pre_hooks, module._hooks):
                for key in [k for k, hook in hooks.items() if hook in (self._enters, self._leaves)]:
                    hooks.pop(key, None)
        super()._end()

    def _enters(self, module: Module, args: Any) -> None:
        self.running.append(module)

    def _leaves(self, module: Module, args: Any, output: Any) -> None:
        self.running.pop()
        self.outputs[module] = _shape_text(output)

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        """Count the multiply-adds of an operator for the module that runs it."""
        super().__call__(op, arrays, metadata, value, node)
        if op.name in PRODUCTS and self.running:
            module = self.running[-1]
            self.work[module] = self.work.get(module, 0) + _multiply_adds(op.name, arrays, value)

    def table(self) -> Summary:
        """The table of all modules, or of those up to the one that failed."""
        table = Summary(type(self.model).__name__)
        failures = dict.fromkeys(self.running, "failed inside")
        failures.update(dict.fromkeys(self.running[-1:], "failed here"))
        seen: set[int] = set()
        depths = {"": -1}
        for path, module in self.model.named_modules():
            if failures and module not in self.outputs and module not in failures:
                continue
            # A plain list in between has no module of its own.
            parent = next((p for p in reversed(depths) if path.startswith(f"{p}.")), "")
            depths[path] = depths[parent] + 1 if path else 0
            own = dict(module.named_parameters(recurse=False))
            new = [p for p in own.values() if id(p) not in seen]
            seen.update(id(p) for p in new)
            table.layers.append(
                LayerSummary(
                    path,
                    path[len(parent) :].lstrip(".") if path else type(self.model).__name__,
                    depths[path],
                    type(module).__name__,
                    self.outputs.get(module, ""),
                    sum(p.size for p in new),
                    bool(own) and not new,
                    self.work.get(module, 0) // BATCH,
                    next(module.children(), None) is not None,
                    failures.get(module, ""),
                )
            )
            table.total_params += sum(p.size for p in new)
            table.trainable_params += sum(p.size for p in new if p.requires_grad)
            table.size += sum(p.nbytes for p in new)
        table.buffers = sum(b.size for b in self.model.buffers())
        return table


def _multiply_adds(name: str, arrays: Any, value: Any) -> int:
    if name == "matmul":
        return int(value.size) * int(arrays[0].shape[-1])
    places = arrays[0] if name == "conv2d_input_grad" else value
    return int(places.size) * int(math.prod(arrays[1].shape[1:]))


@contextmanager
def _undisturbed(model: Module) -> Generator[None]:
    """Evaluation mode inside; modes, buffers and the random generator are restored afterwards."""
    buffers = [(buffer, buffer._data.copy()) for buffer in model.buffers()]
    try:
        with modes_restored(model), generator_restored():
            model.eval()
            yield
    finally:
        for buffer, values in buffers:
            buffer.assign(values)


def _inputs(shapes: list[Shape], dtype: Any, model: Module) -> list[Tensor]:
    own = float_dtype(model)
    dtypes: list[Any] = list(dtype) if isinstance(dtype, (list, tuple)) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ValueError(f"summary: got {len(shapes)} shapes and {len(dtypes)} dtypes")
    generator = np.random.default_rng(0)
    inputs: list[Tensor] = []
    for shape, one in zip(shapes, dtypes, strict=True):
        kind = own if one is None else np.dtype(one)
        draw = generator.standard_normal if kind.kind == "f" else np.zeros
        inputs.append(Tensor(draw((BATCH, *shape)).astype(kind)))
    return inputs


def _shapes(given: Any) -> list[Shape]:
    """``input_shape`` as a list of one shape for each input, without the batch."""
    if isinstance(given, (int, np.integer)):
        return [(int(given),)]
    several = isinstance(given, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in given)
    shapes: list[Shape] = []
    for shape in given if several else [given]:
        if not isinstance(shape, (list, tuple)):
            raise TypeError(
                f"summary: input_shape must be a shape or a list of them, got {given!r}"
            )
        sizes: list[Any] = list(shape)  # pyright: ignore[reportUnknownArgumentType]
        sizes = sizes[1:] if sizes[:1] == [None] else sizes
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sizes):
            raise ValueError(
                f"summary: a shape is a tuple of numbers, without the batch, got {shape!r}"
            )
        shapes.append(tuple(int(n) for n in sizes))
    return shapes


def _shape_text(output: Any) -> str:
    if isinstance(output, Tensor):
        batch = output.shape[:1] == (BATCH,)
        numbers = [str(n) for n in output.shape]
        numbers = ["None", *numbers[1:]] if batch else numbers
        return f"({', '.join(numbers)}{',' * (len(numbers) == 1)})"
    if isinstance(output, (dict, list, tuple)):
        return ", ".join(_shape_text(part) for part in flatten(output) if part is not None)
    return type(output).__name__
