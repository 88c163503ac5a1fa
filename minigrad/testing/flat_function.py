"""The function under test as a function F from one flat vector to another.

All floating-point arguments, wherever they are nested, are one vector in float64, and so are all
outputs; of a module, the parameters are arguments, too. The gradient of F is again such a function,
of the arguments and the cotangents, so the second order is checked by the code of the first.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.engine.tape import GradientTape
from minigrad.engine.tensor import Tensor, plain, tensors_in
from minigrad.engine.tree import flatten, rebuild
from minigrad.testing.differences import Vector

SIGNS = np.array([-1.0, 1.0])


class Argument:
    """A floating-point array among the arguments: its value, its label, and its range in x."""

    def __init__(self, label: str, leaf: Any, start: int) -> None:
        self.label = label
        self.given = np.asarray(plain(leaf))
        self.shape = self.given.shape
        self.dtype = self.given.dtype
        self._contiguous = self.given.flags.c_contiguous
        self.at = slice(start, start + self.given.size)

    @cached_property
    def units(self) -> Vector:
        """The size of each element, by which steps are scaled: 0 where it is not finite.

        An element smaller than a tenth of the largest gets the size of that tenth.
        """
        x = self.given.ravel().astype(np.float64)
        usable = np.isfinite(x)
        largest = float(np.max(np.abs(x), initial=0.0, where=usable)) or 1.0
        return np.where(usable, np.maximum(np.abs(x), 0.1 * largest), 0.0)

    def arrange(self, flat: Vector, dtype: Any = None) -> Vector:
        """This argument, taken from a flat vector, in the memory layout of the given array."""
        return self._in_given_layout(np.array(flat[self.at], dtype=dtype).reshape(self.shape))

    def arrange_each(self, points: Vector) -> list[Vector]:
        """The same for each row of a matrix, without copies if the argument is contiguous."""
        block = points[:, self.at].reshape(len(points), *self.shape)
        arrays = list(block) if self.shape else [block[i, ...] for i in range(len(points))]
        return arrays if self._contiguous else list(map(self._in_given_layout, arrays))

    def _in_given_layout(self, values: Vector) -> Vector:
        if self._contiguous:
            return values
        like = np.empty_like(self.given, dtype=values.dtype)
        if like.flags.c_contiguous:  # the given array is a strided view
            return np.repeat(values, 2, axis=-1)[..., ::2]
        like[...] = values
        return like


def is_float(leaf: Any) -> bool:
    """Whether this is differentiated; everything else among the arguments is held constant."""
    if isinstance(leaf, (Tensor, np.ndarray, np.generic)):
        return leaf.dtype.kind == "f"
    return isinstance(leaf, float)


class FlatFunction:
    """A function at a point. ``order`` is 1 for the user's, 2 for its gradient, and so on."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        name: str,
        labels: Sequence[str] | None = None,
        order: int = 1,
    ) -> None:
        self.f, self.args, self.name, self.order = f, args, name, order
        self._leaves = flatten(args)
        self.labels = labels = labels or argument_labels(f, args)
        self._active: dict[int, Argument] = {}
        start = 0
        for i, (leaf, label) in enumerate(zip(self._leaves, labels, strict=True)):
            if is_float(leaf):
                self._active[i] = Argument(label, leaf, start)
                start = self._active[i].at.stop
        self.arguments = list(self._active.values())
        #: Whether no argument is nested or held constant.
        self._plain = all(map(is_float, args))
        self.point = _join([argument.given for argument in self.arguments])
        #: The size of the numbers from which this function's values are computed.
        self.magnitude = 0.0
        #: Of a gradient: whether the function has a kink at the point.
        self.beside_kinks = False
        #: Of a gradient: the label of the argument that each output belongs to.
        self.sources: list[str] = []
        self.output_shapes: list[tuple[int, ...]] = []
        self.output_dtypes: list[Any] = []

    @property
    def kinds(self) -> str:
        """The types of the arguments, for messages."""
        names = {str(getattr(leaf, "dtype", type(leaf).__name__)) for leaf in self._leaves}
        return ", ".join(sorted(names)) or "no arrays"

    # -- calls ---------------------------------------------------------------------------------

    def _tensors(self, flat: Vector, dtype: Any) -> list[Tensor]:
        return [Tensor(a.arrange(flat, dtype or a.dtype)) for a in self.arguments]

    def _call(self, tensors: Iterable[Tensor]) -> Any:
        if self._plain:
            return self.f(*tensors)
        leaves = list(self._leaves)
        for i, tensor in zip(self._active, tensors, strict=True):
            leaves[i] = tensor
        return self.f(*rebuild(self.args, iter(leaves)))

    def _outputs(self, result: Any) -> list[Tensor]:
        """The floating-point tensors that f returned; integers among them are constants."""
        must = f"{self.name}: must return a tensor (or a nested list, tuple or dict of them)"
        return [one for one in tensors_in(result, must) if one.dtype.kind in "fc"]

    def _flat_output(self, result: Any) -> Vector:
        if type(result) is Tensor and result._data.dtype.char in "dD":
            return result._data.reshape(-1)  # a short path for one output
        return _join([t._data for t in self._outputs(result)])

    def values(self, points: Vector) -> list[Vector | None]:
        """F at each row of a matrix; None where it cannot be evaluated, e.g. outside its domain."""
        found: list[Vector | None] = []
        for arrays in zip(*(a.arrange_each(points) for a in self.arguments), strict=True):
            try:
                found.append(self._flat_output(self._call(map(Tensor, arrays))))
            except (ValueError, ArithmeticError):
                found.append(None)
        return found

    def pullback(
        self, flat: Vector, cotangents: Sequence[Vector], dtype: Any = np.float64
    ) -> tuple[Vector, Vector]:
        """F at a point, and for each flat cotangent v the product v J that the tape gives."""
        variables = self._tensors(flat, dtype)
        with GradientTape(persistent=True) as tape:
            tape.watch(variables)
            outputs = self._outputs(self._call(variables))
        rows = []
        for cotangent in cotangents:
            seeds, start = [], 0
            for t in outputs:
                part = cotangent[start : start + t.size]
                seeds.append(Tensor(part.reshape(t.shape).astype(t.dtype)))
                start += t.size
            found = tape.gradient(outputs, variables, seeds, unconnected_gradients="zero")
            rows.append(_join([g._data for g in found]))
        value = _join([t._data for t in outputs])
        return value, np.array(rows).reshape(len(rows), len(flat))

    # -- checks before a gradient means anything -----------------------------------------------

    def examine(self) -> Vector:
        """F at the point, after checking that f depends on its arguments alone.

        Raises TypeError if f returns no tensor, RuntimeError if it writes into its arguments or
        returns another value when called again, ValueError if the value is not finite.
        """
        constants = [_snapshot(leaf) for leaf in self._leaves]
        tensors = self._tensors(self.point, np.float64)
        given = dict(zip(self._active, tensors, strict=True))
        call = rebuild(self.args, (given.get(i, x) for i, x in enumerate(self._leaves)))
        before = flatten(call)
        try:
            result = self.f(*call)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise RuntimeError(
                f"{self.name}: tried to write into an array that is read-only, as a tensor's is; a "
                f"function under test must leave its arguments as they are: work on a copy"
            ) from error
        after = flatten(call)
        if len(after) != len(before) or any(a is not b for a, b in zip(after, before, strict=True)):
            raise RuntimeError(
                f"{self.name}: changed a list or dict that it was called with; work on a copy"
            )
        for i, leaf in enumerate(self._leaves):
            if i in given:
                was, now = self._active[i].arrange(self.point), given[i]._data
            else:
                was, now = constants[i], _snapshot(leaf)
            if not _identical(was, now):
                raise RuntimeError(
                    f"{self.name}: wrote into {self.labels[i]}; a function under test must leave "
                    f"its arguments as they are: work on a copy"
                )
        outputs = self._outputs(result)
        if not outputs:
            raise TypeError(f"{self.name}: returned no floating-point tensor, so has no gradient")
        self.output_shapes = [t.shape for t in outputs]
        self.output_dtypes = [t.dtype for t in outputs]
        first = _join([t._data for t in outputs])
        self.confirm(first, calls=1)
        if not np.isfinite(first).all():
            what = "value" if self.order == 1 else "gradient"
            raise ValueError(
                f"{self.name}: the {what} is not finite at this point, so it has no derivative "
                f"there; choose arguments inside the domain of the function"
            )
        return first

    def confirm(self, first: Vector, calls: int) -> None:
        """Raise RuntimeError unless f returns its first value again."""
        for _ in range(calls):
            again = self._flat_output(self._call(self._tensors(self.point, np.float64)))
            if not _identical(first, again) and not self._is_close(first, again):
                raise RuntimeError(
                    f"{self.name}: is not deterministic: two calls with the same arguments gave "
                    f"different values. Draw random numbers outside it, seed it inside, or put "
                    f"layers such as dropout into evaluation mode"
                )

    def _is_close(self, first: Vector, again: Vector) -> bool:
        """Sums may differ in the last bits with the alignment of memory; nothing else may."""
        room = 256 * self.epsilon
        size = np.max(np.abs(first), initial=0.0, where=~np.isnan(first))
        return first.shape == again.shape and np.allclose(
            first, again, rtol=room, atol=room * size, equal_nan=True
        )

    @property
    def epsilon(self) -> float:
        """The rounding unit of the outputs when the arguments are float64."""
        return max(float(np.finfo(d).eps) for d in self.output_dtypes)

    def output_label(self, position: int) -> str:
        """Name an element of the flat output, e.g. ``output 1[0, 2]``."""
        starts = np.cumsum([0, *map(math.prod, self.output_shapes)])
        number = int(np.searchsorted(starts, position, side="right")) - 1
        index = np.unravel_index(position - starts[number], self.output_shapes[number])
        label = "the output" if len(self.output_shapes) == 1 else f"output {number}"
        if self.sources:
            label = f"the gradient of {self.sources[number]}"
        return element_label(label, tuple(map(int, index)))

    def gradient(self, rng: np.random.Generator) -> FlatFunction:
        """The gradient of this function, as a function of its arguments and the cotangents."""

        def gradient(args: tuple[Any, ...], cotangents: list[Tensor]) -> Any:
            leaves = flatten(args)
            variables = [leaves[i] for i in self._active]
            with GradientTape() as tape:
                tape.watch(variables)
                outputs = self._outputs(self.f(*args))
            return tape.gradient(outputs, variables, cotangents, unconnected_gradients="zero")

        count = len(self.output_shapes)
        seeds = [
            random_signs(rng, shape).astype(dtype)
            for shape, dtype in zip(self.output_shapes, self.output_dtypes, strict=True)
        ]
        which = [f"the cotangent of output {i}" for i in range(count)]
        labels = [*self.labels, *(which if count > 1 else ["the cotangent"])]
        found = FlatFunction(gradient, (self.args, seeds), self.name, labels, self.order + 1)
        found.sources = [argument.label for argument in self.arguments]
        return found


def random_signs(rng: np.random.Generator, shape: Any) -> Vector:
    """Random numbers of either sign with sizes between 0.5 and 1.5."""
    return rng.uniform(0.5, 1.5, shape) * SIGNS[rng.integers(0, 2, shape)]


def _join(parts: list[Vector]) -> Vector:
    kind = np.complex128 if any(p.dtype.kind == "c" for p in parts) else np.float64
    return np.concatenate([np.zeros(0, kind), *(np.ravel(p) for p in parts)])


def _identical(a: Vector, b: Vector) -> bool:
    if a.shape != b.shape:
        return False
    # Comparing NaN as equal to itself is slower and seldom needed.
    return bool(np.all(a == b)) or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _snapshot(leaf: Any) -> Vector:
    array = leaf._data if isinstance(leaf, Tensor) else leaf
    return array.copy() if isinstance(array, np.ndarray) else np.zeros(0)


def _signature(f: Callable[..., Any]) -> inspect.Signature | None:
    """What a function takes, or the forward of a module; some builtins have no signature."""
    try:
        return inspect.signature(getattr(f, "forward", f))
    except (TypeError, ValueError):
        return None


def argument_labels(f: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """A label for each leaf: the argument's number, its name if known, and the path inside it."""
    signature = _signature(f)
    parameters = () if signature is None else signature.parameters.values()
    names = [f" ({p.name})" for p in parameters if p.kind < p.VAR_POSITIONAL]
    names += [""] * len(args)
    return [
        label
        for i, (arg, name) in enumerate(zip(args, names, strict=False))
        for label in paths(arg, f"argument {i}{name}")
    ]


def paths(structure: Any, path: str) -> Iterator[str]:
    """The label of each leaf, in the order of ``flatten``."""
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from paths(value, f"{path}[{key!r}]")
    elif isinstance(structure, (list, tuple)):
        for i, value in enumerate(structure):
            yield from paths(value, f"{path}[{i}]")
    else:
        yield path


def check_arity(f: Callable[..., Any], args: tuple[Any, ...], name: str) -> None:
    """Raise TypeError when f cannot be called with this many arguments."""
    signature = _signature(f)
    if signature is None:
        return
    try:
        signature.bind(*args)
    except TypeError as error:
        raise TypeError(
            f"{name}: takes {signature}, but check_grads was given {len(args)} "
            f"argument{'' if len(args) == 1 else 's'} for it ({error}). Fix other parameters with "
            f"a lambda, e.g. check_grads(lambda x: f(x, axis=0), x)"
        ) from None


def element_label(label: str, index: tuple[int, ...]) -> str:
    """``x[1, 2]``, or the label alone for a single number."""
    return f"{label}[{', '.join(map(str, index))}]" if index else label


def flat_module(module: Any, args: tuple[Any, ...], name: str) -> FlatFunction:
    """A module as a function of its arguments and its parameters.

    While it runs, each parameter has the value and the history of the tensor given for it;
    afterwards it is as before. Raises ValueError for parameters that have no value yet.
    """
    parameters: dict[str, Tensor] = dict(module.named_parameters())
    waiting = [key for key, p in parameters.items() if hasattr(p, "materialize")]
    if waiting:
        raise ValueError(
            f"{name}: {', '.join(waiting)} have no values before the first batch; call the module "
            f"once, then check it"
        )

    def call(*given: Any) -> Any:
        *rest, tensors = given
        before = {key: (p._data, p._node) for key, p in parameters.items()}
        try:
            for key, p in parameters.items():
                p._data, p._node = tensors[key]._data, tensors[key]._node
            return module(*rest)
        finally:
            for key, p in parameters.items():
                p._data, p._node = before[key]

    labels = argument_labels(module, args) + [f"parameter {key}" for key in parameters]
    values = {key: Tensor(p._data.copy()) for key, p in parameters.items()}
    return FlatFunction(call, (*args, values), name, labels)
