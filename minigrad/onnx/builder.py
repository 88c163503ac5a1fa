"""The file that is being written: its nodes, its constants, and the lengths that vary.

``Builder`` is what the rows of ``export_table`` are given: calling it adds a node.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from minigrad.engine.tensor import Tensor
from minigrad.onnx.graph import DEPENDS, Step, Unstable, Varying, mapped
from minigrad.onnx.load import free_name
from minigrad.onnx.load_table import COMPARISONS, LOGICAL, SAME

BATCH = "batch"
#: What formulas may use: NumPy's functions of each element, and the operators of ONNX for them.
UFUNCS = {
    **SAME, **COMPARISONS, **LOGICAL, "absolute": "Abs", "divide": "Div", "power": "Pow",
    "maximum": "Max", "minimum": "Min", "isnan": "IsNaN",
}  # fmt: skip


class Value(str):
    """The name of a value in the file, with its dtype and shape (with ``Varying`` in it)."""

    __slots__ = ("dtype", "shape")

    dtype: Any
    shape: tuple[Any, ...]

    def __new__(cls, name: str, dtype: Any, shape: tuple[Any, ...]) -> Value:
        """A value of this name."""
        value = str.__new__(cls, name)
        value.dtype, value.shape = np.dtype(dtype), shape
        return value

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


class Term(np.lib.mixins.NDArrayOperatorsMixin):
    """A value in a formula, which is written in plain NumPy: what NumPy would compute is a node.

    Calling it adds another node, whose first input it is: ``x("Erf")``. ``dtype`` is that of the
    formula: numbers are brought to it, and only what is tested is of booleans.
    """

    def __init__(self, b: Builder, dtype: Any, value: Value) -> None:
        self.b, self.dtype, self.value = b, dtype, value
        self.shape, self.ndim = value.shape, value.ndim

    def __call__(self, kind: str, *more: Any, **settings: Any) -> Any:
        """Add a node. Arrays stay of the dtype that they have."""
        made = self.b(kind, self, *more, **settings)
        return [*map(self._made, made)] if isinstance(made, list) else self._made(made)

    def _made(self, name: str) -> Term:
        return Term(self.b, self.dtype, Value(name, self.dtype, ()))

    def __array_ufunc__(self, function: Any, _method: str, *x: Any) -> Term:
        return self._made(self.b(UFUNCS[function.__name__], *map(self._of, x)))

    def __array_function__(self, function: Any, _types: Any, x: Any, _settings: Any) -> Term:
        return self._made(self.b({np.where: "Where"}[function], *map(self._of, x)))

    def _of(self, x: Any) -> Any:
        return x if isinstance(x, Term) else self.b.of(x, self.dtype)


class Builder:
    """The file so far. Calling it adds a node: ``b("Add", x, y)`` gives the name of the result.

    ``step`` is what is being translated; ``refuse`` raises with its name, module path and line.
    """

    def __init__(self, onnx: Any, opset: int) -> None:
        self.onnx = onnx
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.names: set[str] = set()
        self.batch_of: Value | None = None
        self.tensors: dict[str, Any] = {}
        self.used: dict[str, Any] = {}
        self.parameters: dict[int, str] = {}
        self.step: Step | None = None
        self._known: dict[tuple[Any, ...], Value] = {}
        self._batch_length = ""

    def refuse(self, why: str) -> NoReturn:
        """Raise ValueError: what is being translated cannot be."""
        if self.step is None:
            raise ValueError(f"onnx.export: {why}")
        self.step.refuse(why)

    def __call__(self, kind: str, *inputs: Any, outputs: int | None = None, **settings: Any) -> Any:
        """Add a node. Arrays among the inputs become constants, and None is left out.

        A setting of None is left out. ``outputs``: how many, when a list of them is wanted.
        """
        path = f"{self.step.path}/" if self.step is not None and self.step.path else ""
        name = free_name(f"{path}{kind}", self.names)
        made = self.node(name, kind, inputs, [f"{name}:{i}" for i in range(outputs or 1)], settings)
        return made if outputs is not None else made[0]

    def node(
        self, name: str, kind: str, inputs: Any, results: Sequence[str], settings: dict[str, Any]
    ) -> list[str]:
        """Add a node of this name; gives the names of its results, which are made unique."""
        names = [self._input(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        as_tensor = self.onnx.numpy_helper.from_array
        given = {
            k: as_tensor(v) if isinstance(v, np.ndarray) else self.fixed(v)
            for k, v in settings.items()
            if v is not None
        }
        made = [free_name(one, self.names) if one else "" for one in results]
        self.nodes.append(self.onnx.helper.make_node(kind, names, made, name=name, **given))
        return made

    def _input(self, x: Any) -> str:
        if x is None:
            return ""
        x = x.value if isinstance(x, Term) else x
        return x if isinstance(x, str) else self.constant(x)

    def fixed(self, value: Any) -> Any:
        """The value of a setting; refuses what depends on the batch size or the data."""

        def checked(one: Any) -> Any:
            if isinstance(one, Varying):
                self.refuse(
                    f"a setting is {one.first} for one batch size and {one.second} for another, "
                    f"and ONNX takes a fixed one there. Export with dynamic_batch=False"
                )
            if isinstance(one, Unstable):
                self.refuse(one.why)
            return one

        return mapped(checked, value)

    def constant(self, value: Any, dtype: Any = None) -> Value:
        """A constant of the file; equal ones stand there once."""
        array = np.ascontiguousarray(np.asarray(self.fixed(value), dtype))
        array = array.reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = free_name("constant", self.names)
            self._known[key] = Value(name, array.dtype, array.shape)
            self.constants[name] = array
        return self._known[key]

    def of(self, x: Any, dtype: Any) -> Value:
        """A value, array or number in this dtype."""
        if isinstance(x, Varying):
            self.refuse(DEPENDS)
        if not isinstance(x, Value):
            return self.constant(x, dtype)
        if x.dtype == dtype:
            return x
        to = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return Value(self("Cast", x, to=to), dtype, x.shape)

    def term(self, x: Any, dtype: Any) -> Term:
        """A value, array or number for a formula in this dtype."""
        return Term(self, np.dtype(dtype), self.of(x, dtype))

    def parameter(self, tensor: Tensor) -> Value:
        """A parameter or buffer of the model."""
        return self.stored(self.parameters[id(tensor._data)])

    def stored(self, name: str) -> Value:
        """The parameter or buffer of this name, which the file then holds."""
        array = self.used[name] = self.tensors[name]
        return Value(name, array.dtype, array.shape)

    # -- lengths of axes -------------------------------------------------------------------------

    def length(self, n: Varying) -> str:
        """The length of an axis that varies with the batch, as a value of shape (1,)."""
        size: Any = self.batch_of.shape[0] if self.batch_of is not None else n
        times, left = divmod(n.first, size.first)
        if left or n.second != times * size.second:
            self.refuse(
                f"a length is {n.first} for a batch of {size.first} and {n.second} for one of "
                f"{size.second}, which is no multiple of the batch. Export with dynamic_batch=False"
            )
        if not self._batch_length:
            self._batch_length = self("Shape", self.batch_of, start=0, end=1)
        if times == 1:
            return self._batch_length
        found: str = self("Mul", self._batch_length, np.array([times], np.int64))
        return found

    def lengths(self, shape: Iterable[Any]) -> Any:
        """A shape as a value: a constant where no length varies."""
        parts: list[Any] = []
        for varies, run in itertools.groupby(shape, lambda n: isinstance(n, Varying)):
            some: list[Any] = list(run)
            parts += map(self.length, some) if varies else [np.array(some, np.int64)]
        if len(parts) < 2:
            return parts[0] if parts else np.zeros(0, np.int64)
        return self("Concat", *parts, axis=0)

    def reshape(self, x: Any, shape: tuple[Any, ...]) -> str:
        """The same elements in another shape."""
        varying = sum(isinstance(n, Varying) for n in shape)
        if not varying and isinstance(x, Value) and tuple(x.shape) == tuple(shape):
            return x
        empty = any(n == 0 for n in shape if not isinstance(n, Varying))
        if varying == 1 and not empty:
            shape = tuple([-1 if isinstance(n, Varying) else n for n in shape])
        found: str = self("Reshape", x, self.lengths(shape), allowzero=1 if empty else None)
        return found
