"""What ran in one call, as a list of steps: the one place of this room that looks into the engine.

A hook is shown every operator with its arrays. Arrays are the same objects from the operator
that makes them to the one that uses them, so their identity tells how the steps are linked. Two
recordings, with different batch sizes, are laid side by side: what differs in a shape is the batch,
and what else differs depends on the batch size or on the data, and cannot be exported.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

from minigrad.debug.source_line import SourceLine, current_line
from minigrad.engine.hooks import Hook
from minigrad.engine.node import STATE
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor
from minigrad.nn.module import Module
from minigrad.operators.declare import engine

#: One recording at a time shows functions without a derivative.
_LOCK = threading.RLock()


class Step:
    """One operator, or one call of a layer, with its arrays.

    ``inner`` holds the operators that the layer ran; they take its place where it has no row.
    """

    def __init__(
        self,
        name: str,
        inputs: Any,
        metadata: dict[str, Any],
        outputs: list[Any],
        module: Module | None = None,
        inner: list[Step] | None = None,
    ) -> None:
        self.name, self.inputs, self.metadata, self.outputs = name, inputs, metadata, outputs
        scope: Any = module._path if module is not None and module._path else STATE.get().scope
        self.path: str = getattr(scope, "path", scope)
        self.line: SourceLine | None = current_line()
        self.module = module
        self.inner = inner or []

    def refuse(self, why: str) -> NoReturn:
        """Raise ValueError with the operator, the module path and the line."""
        where = f"{self.name} in {self.path}" if self.path else self.name
        text = f"\n  {self.line.as_traceback()}" if self.line else ""
        raise ValueError(f"onnx.export: {where}: {why}{text}")


class Recorder(Hook):
    """Inside, every operator becomes a step, and every call of one of ``layers`` becomes one."""

    def __init__(self, layers: Iterable[Module] = ()) -> None:
        self.steps: list[Step] = []
        self._layers = list(layers)
        self._open: list[tuple[Module, int]] = []
        self._undo = contextlib.ExitStack()

    def __call__(self, op: Any, arrays: Any, metadata: dict[str, Any], value: Any, _: Any) -> None:
        """Note one operator."""
        super().__call__(op, arrays, metadata, value, _)
        if arrays is not None:
            self.steps.append(Step(op.name, list(arrays), metadata, [value]))

    def __enter__(self) -> Recorder:
        super().__enter__()
        for layer in self._layers:
            self._undo.callback(layer.register_forward_pre_hook(self._before).remove)
            self._undo.callback(layer.register_forward_hook(self._after).remove)
        self._undo.enter_context(_without_derivative(self.steps))
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._undo.close()
        finally:
            super().__exit__(*error)

    def _before(self, module: Module, _args: tuple[Any, ...]) -> None:
        self._open.append((module, len(self.steps)))

    def _after(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        found, start = self._open.pop()
        while found is not module:  # a layer failed, and its failure was caught
            found, start = self._open.pop()
        inner = self.steps[start:]
        del self.steps[start:]
        name, made = type(module).__name__, [array for _, array in flat(output)]
        self.steps.append(Step(name, mapped(_plain, args), {}, made, module, inner))


@contextlib.contextmanager
def _without_derivative(steps: list[Step]) -> Generator[None]:
    """Add the calls of functions that have no derivative, which a hook is not shown.

    They reach the engine three times: to leave the history, for each argument, for each result.
    """
    thread = threading.get_ident()
    leave, constant, as_tensor = engine.note_detached, engine.constant, engine.as_tensor
    name = ""
    given: list[Any] = []

    def seen_leave(function: str, args: tuple[Any, ...]) -> None:
        nonlocal name
        if threading.get_ident() == thread:
            name = function
            given.clear()
        leave(function, args)

    def seen_constant(value: Any) -> Any:
        plain = constant(value)
        if name and threading.get_ident() == thread:
            given.append(plain)
        return plain

    def seen_result(value: Any) -> Any:
        nonlocal name
        called = name if threading.get_ident() == thread else ""
        if called:
            name = ""
        tensor = as_tensor(value)
        if called:
            steps.append(Step(called, list(given), {}, [tensor._data]))
        return tensor

    with _LOCK:
        try:
            engine.note_detached, engine.constant, engine.as_tensor = (
                seen_leave, seen_constant, seen_result,
            )  # fmt: skip
            yield
        finally:
            engine.note_detached, engine.constant, engine.as_tensor = leave, constant, as_tensor


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of the tensors in a nested result, with names: of fields, keys and places."""
    if isinstance(value, Tensor):
        yield name, value._data
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (tuple, list)):
        for key, each in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            yield from flat(each, f"{name}_{key}" if name else str(key))


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """The same nested lists, tuples and dicts with ``change(x)`` in place of each x in them."""
    if isinstance(value, dict):
        return {key: mapped(change, each) for key, each in value.items()}
    if isinstance(value, (tuple, list)) and not isinstance(value, Link):
        found = [mapped(change, each) for each in value]
        return found if isinstance(value, list) else tuple(found)
    return change(value)


def _plain(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else value


class Recording(NamedTuple):
    """One call: its steps, and the arrays that went in and came out."""

    steps: list[Step]
    inputs: list[Any]
    outputs: list[tuple[str, Any]]


def record(function: Callable[..., Any], arrays: list[Any], layers: Iterable[Module]) -> Recording:
    """Call the function with tensors of these arrays. Nothing is recorded for a gradient."""
    tensors = [Tensor(array) for array in arrays]
    with no_grad(), Recorder(layers) as recorder:
        result = function(*tensors)
    return Recording(recorder.steps, [t._data for t in tensors], [*flat(result)])


# -- how the steps are linked ----------------------------------------------------------------------


class Link(NamedTuple):
    """What a step uses: an input of the call, a parameter, or an output of a step before it."""

    kind: str
    key: Any
    place: int = 0


class Varying:
    """An integer that is another one for another batch size."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second


DEPENDS = (
    "it uses a constant that depends on the batch size, on the data or on random numbers (dropout "
    "in training: leave it to nn.Dropout). Compute it with operators of minigrad, without len(), "
    ".shape, .numpy() and .item() (x.mean(axis=0) for x.sum(axis=0) / len(x)), or export with "
    "dynamic_batch=False where only the batch size is the reason"
)


class Unstable:
    """A constant that is another one in the other recording."""

    why = DEPENDS

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second


class Merged(NamedTuple):
    """A step as both recordings have it; ``shapes`` and ``dtypes`` are those of its outputs."""

    step: Step
    inputs: Any
    metadata: dict[str, Any]
    shapes: list[tuple[Any, ...]]
    dtypes: list[Any]


def merge(
    first: Recording,
    second: Recording,
    parameters: dict[int, str],
    has_row: Callable[[Step], bool],
) -> tuple[list[Merged], list[Any]]:
    """The steps of both recordings as one list, and the links of the outputs."""
    pairs = [_linked(r, parameters, has_row) for r in (first, second)]
    (steps, links, ends), (others, other_links, other_ends) = pairs
    for a, b in itertools.zip_longest(steps, others):
        if a is None or b is None:
            found = "it ran for one batch and not for another"
        elif (a.name, a.path, len(a.outputs)) != (b.name, b.path, len(b.outputs)):
            line = f" ({b.line})" if b.line else ""
            found = f"with another batch {b.name} ran in its place{line}"
        else:
            continue
        step: Any = a or b
        step.refuse(
            f"{found}: which operators run depends on the data or on the batch size, and a file "
            f"holds one course only"
        )
    merged: list[Merged] = []
    whole = [
        (Link("input", i), x, y)
        for i, (x, y) in enumerate(zip(first.inputs, second.inputs, strict=True))
        if x.dtype.kind in "iub"
    ]
    for i, (a, b, mine, theirs) in enumerate(zip(steps, others, links, other_links, strict=True)):
        inputs, metadata = _copies(both(mine, theirs), whole)
        made = [*zip(a.outputs, b.outputs, strict=True)]
        whole += [(Link("step", i, j), *p) for j, p in enumerate(made) if p[0].dtype.kind in "iub"]
        shapes = [both(x.shape, y.shape) if x.ndim == y.ndim else () for x, y in made]
        merged.append(Merged(a, inputs, metadata, shapes, [x.dtype for x, _ in made]))
    if len(ends) != len(other_ends):
        raise ValueError("onnx.export: the number of outputs depends on the batch size")
    return merged, both(ends, other_ends)


def _linked(
    recording: Recording, parameters: dict[int, str], has_row: Callable[[Step], bool]
) -> tuple[list[Step], list[Any], list[Any]]:
    steps = _opened(recording, parameters, has_row)
    known = {key: Link("parameter", name) for key, name in parameters.items()}
    known |= {id(array): Link("input", i) for i, array in enumerate(recording.inputs)}
    links = []
    for i, step in enumerate(steps):
        links.append(_resolved((step.inputs, step.metadata), known))
        known |= {id(array): Link("step", i, j) for j, array in enumerate(step.outputs)}
    return steps, links, [_resolved(array, known) for _, array in recording.outputs]


def _opened(
    recording: Recording, parameters: dict[int, str], has_row: Callable[[Step], bool]
) -> list[Step]:
    """The steps, with layers that cannot stand as one node replaced by what they ran."""
    steps, inputs = recording.steps, _ids(recording.inputs)
    while True:
        made = _ids([step.outputs for step in steps])
        #: The layer inside which each array was made that is no result of a step.
        home = {i: s for s in steps for i in _ids([inner.outputs for inner in s.inner]) - made}
        opened = {id(home[i]) for i in _ids(recording.outputs) & home.keys()}
        for step in steps:
            own = _ids(step.inputs)
            used = (own | _ids(step.metadata)) & home.keys()
            opened |= {id(home[i]) for i in used if home[i] is not step}
            inside = _ids([(inner.inputs, inner.metadata) for inner in step.inner])
            foreign = (inside & (made | inputs)) - own - _ids(step.outputs) - parameters.keys()
            if step.module is not None and (foreign or not has_row(step)):
                opened.add(id(step))
        if not opened:
            return steps
        steps = [s for step in steps for s in (step.inner if id(step) in opened else [step])]


def _ids(value: Any) -> set[int]:
    """What tells the arrays in nested arguments from others."""
    found: set[int] = set()

    def add(x: Any) -> None:
        array = _plain(x)
        if isinstance(array, np.ndarray):
            found.add(id(array))

    mapped(add, value)
    return found


def _resolved(value: Any, known: dict[int, Link]) -> Any:
    """The same with links in place of the arrays that are known."""
    return mapped(lambda x: known.get(id(_plain(x)), _plain(x)), value)


def _copies(value: Any, whole: list[tuple[Link, Any, Any]]) -> Any:
    """The same with links in place of what was copied on its way: indices, integers made floats."""

    def linked(value: Any) -> Any:
        if isinstance(value, Unstable) and isinstance(value.first, np.ndarray):
            for link, x, y in reversed(whole):
                if np.array_equal(x, value.first) and np.array_equal(y, value.second):
                    return link
        return value

    return mapped(linked, value)


def both(a: Any, b: Any) -> Any:
    """One value for both recordings, with :class:`Varying` and :class:`Unstable` inside."""
    if isinstance(a, Link) or isinstance(b, Link):
        return a if a == b and type(a) is type(b) else Unstable(a, b)
    if isinstance(a, (tuple, list)) and type(a) is type(b) and len(a) == len(b):
        found = [both(x, y) for x, y in zip(a, b, strict=True)]
        return found if isinstance(a, list) else tuple(found)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return {key: both(a[key], b[key]) for key in a}
    if isinstance(a, slice) and isinstance(b, slice):
        return slice(*[both(getattr(a, n), getattr(b, n)) for n in ("start", "stop", "step")])
    if isinstance(a, (np.ndarray, np.generic)) or isinstance(b, (np.ndarray, np.generic)):
        x, y = np.asarray(a), np.asarray(b)
        same = x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind in "fc")
        return a if same else Unstable(a, b)
    if type(a) is not type(b):
        return Unstable(a, b)
    return _both_numbers(a, b)


def _both_numbers(a: Any, b: Any) -> Any:
    if type(a) is int and a != b:
        return Varying(a, b)
    nan = type(a) is float and math.isnan(a) and math.isnan(b)
    return a if nan or a is b or a == b else Unstable(a, b)
