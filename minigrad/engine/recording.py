"""How an operator runs on tensors, and how the history of its result is recorded.

Every operator goes through :func:`run`. Python's operators on two tensors and functions of one
tensor have a short path each, :func:`binary` and :func:`unary`, which do the same without loops
(``benchmarks/overhead.py`` measures them). All three end in :func:`attach`, the only place where a
value gets a history, or in :func:`constant`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.arguments import bind
from minigrad.engine.backward import reachable
from minigrad.engine.hooks import note_detached
from minigrad.engine.node import (
    NO_METADATA,
    STATE,
    Leaf,
    Node,
    ShapeDtype,
    State,
    in_module,
    next_number,
)
from minigrad.engine.rows import Rows, in_rows
from minigrad.engine.tensor import NUMERIC, Tensor, as_array, as_tensor, plain, unmasked
from minigrad.engine.tree import flatten
from minigrad.operators.declare import (
    KEEP,
    SHAPE_ONLY,
    Operator,
    dtypes_of,
    engine,
    in_real_numbers,
    weak,
)
from minigrad.operators.errors import FAILURES, explain

ndarray = np.ndarray
_new = object.__new__


def record(op: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Run an operator on the arguments of a call."""
    if len(args) == 1 and not kwargs and op.rules_for_one:
        (x,) = args
        if isinstance(x, Tensor):
            return unary(op, x)
    if kwargs or len(args) != op.arity or op.variadic:
        return run(op, *bind(op, args, kwargs))
    return run(op, args, NO_METADATA)


def run(op: Operator, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Tensor:
    """Run an operator on its inputs. The metadata must not change afterwards.

    The result has a history if an input has one, recording is on, and there is a rule.
    """
    arrays: list[Any] = []
    parents: list[Node | None] = []
    which: list[bool] = []
    concrete = foreign = False
    for x in inputs:
        if isinstance(x, Tensor):
            arrays.append(x._data)
            parents.append(x._node)
            concrete = True
            which.append(x._node is not None)
        else:
            arrays.append(x)
            parents.append(None)
            which.append(False)
            if x is not None or op.variadic or len(arrays) == 1:
                foreign = True
    tracked = True in which
    try:
        if foreign:
            if Rows in map(type, arrays):  # a rule calls an operator on its cotangents
                return in_rows(op, arrays, metadata)  # type: ignore[return-value]
            arrays = _arrays(op, arrays, concrete)
        if op.numbers and not tracked:
            arrays = _real(op, arrays)
        value = op.forward(arrays, **metadata) if op.variadic else op.forward(*arrays, **metadata)
    except FAILURES as error:
        # As they were given, not as converted to floats.
        given = [x if hasattr(x, "dtype") else a for x, a in zip(inputs, arrays, strict=False)]
        raise explain(op, given, metadata, error, in_module(op.shown)) from error
    if type(value) is not ndarray:
        value = np.asarray(value)
    if op.view and _is_mutable(inputs[0]):
        value = value.copy("K")  # in its own order of axes
    state = STATE.get()
    if not tracked:
        return constant(op, parents, arrays, metadata, value, state)
    if state.recording and value.dtype.kind == "f":
        inputs_tracked = tuple(which)
        saves = op._saves.get(inputs_tracked) or op.saves(inputs_tracked)
        if saves:
            saved = _save(saves, value, inputs, arrays, parents)
            return attach(op, tuple(parents), saved, arrays, metadata, value, state)
    if value.dtype.kind == "c":
        if op.numbers:  # not checked before the call, because tracked inputs are real
            in_real_numbers(in_module(op.shown), op.numbers, dict(zip(op.params, arrays)))
        if state.recording:
            raise _complex(op)
    return constant(op, parents, arrays, metadata, value, state)


def binary(op: Operator, x: Any, y: Any) -> Tensor:
    """``run`` for Python's operators on two operands."""
    if isinstance(x, Tensor):
        a, m = x._data, x._node
    else:
        a, m = _operand(x), None
        if a is NotImplemented:
            return NotImplemented  # type: ignore[no-any-return]
    if isinstance(y, Tensor):
        b, n = y._data, y._node
    else:
        b, n = _operand(y), None
        if b is NotImplemented:
            return NotImplemented  # type: ignore[no-any-return]
    try:
        value = op.forward(a, b)
    except FAILURES as error:
        raise explain(op, [a, b], NO_METADATA, error, in_module(op.shown)) from error
    if type(value) is not ndarray:
        value = np.asarray(value)
    state = STATE.get()
    if (m is None and n is None) or not state.recording:
        return constant(op, (m, n), (a, b), NO_METADATA, value, state)
    if (m is None or n is None) and value.dtype.kind == "c":  # tracked tensors are real
        raise _complex(op)
    saves = op.saves_y if m is None else op.saves_x if n is None else op.saves_both
    if saves is None:
        saved = None
    else:
        save_ans, save_x, save_y = saves
        # The caller may change an array before the backward pass, so it is copied; a tensor is not.
        saved = (
            value if save_ans else None,
            None if not save_x else a.copy() if a is x and type(a) is ndarray else a,
            None if not save_y else b.copy() if b is y and type(b) is ndarray else b,
        )
    return attach(op, (m, n), saved, (a, b), NO_METADATA, value, state)


def unary(op: Operator, x: Tensor) -> Tensor:
    """``run`` for one tensor and no metadata."""
    a, parent = x._data, x._node
    try:
        value = op.forward(*_real(op, [a])) if parent is None and op.numbers else op.forward(a)
    except FAILURES as error:
        raise explain(op, [a], NO_METADATA, error, in_module(op.shown)) from error
    if type(value) is not ndarray:
        value = np.asarray(value)
    if op.view and _is_mutable(x):
        value = value.copy("K")  # in its own order of axes
    state = STATE.get()
    if parent is None or not state.recording or value.dtype.kind != "f":
        return constant(op, (parent,), (a,), NO_METADATA, value, state)
    saves = op.saves_x
    saved = None if saves is None else (value if saves[0] else None, a if saves[1] else None)
    return attach(op, (parent,), saved, (a,), NO_METADATA, value, state)


def attach(
    op: Operator,
    parents: tuple[Node | None, ...],
    saved: tuple[Any, ...] | None,
    arrays: Any,
    metadata: dict[str, Any],
    value: Any,
    state: State,
) -> Tensor:
    """A tensor of this value, with a node that tells where the value came from."""
    # No __init__ sets these: it would take a fifth of the time of a small operator.
    node = Node()
    node.op = op
    node.parents = parents
    node.saved = saved
    node.metadata = metadata
    node.scope = state.scope
    node.shape = value.shape
    node.dtype = value.dtype
    node.seen = None
    node.number = next_number()
    if state.tapes:
        for tape in state.tapes:
            tape.nodes.append(node)
    if state.hook is not None:
        state.hook(op, arrays, metadata, value, node)
    tensor = _new(Tensor)
    tensor._data = value
    tensor._node = node
    return tensor


def constant(
    op: Operator, parents: Any, arrays: Any, metadata: dict[str, Any], value: Any, state: State
) -> Tensor:
    """A tensor of this value without history."""
    if state.hook is not None:
        state.hook(op, arrays, metadata, value, None)
        how = f"{op.shown}, which has no derivative" if state.recording else "no_grad()"
        for parent in parents:
            note_detached(parent, how)
    tensor = _new(Tensor)
    tensor._data = value
    tensor._node = None
    return tensor


def _complex(op: Operator) -> TypeError:
    return TypeError(
        f"{op.shown}: its result is complex, and complex numbers have no gradients here. Keep real "
        f"and imaginary parts in two tensors, or leave the graph on purpose with .detach()"
    )


def _arrays(op: Operator, inputs: list[Any], concrete: bool) -> list[Any]:
    """The inputs, with lists and the like converted to arrays. Raises TypeError for non-numbers.

    A Python number beside a tensor stays, so that it takes the dtype of the tensor; without a
    tensor, a Python float becomes float32.
    """
    found = []
    # NumPy's functions of a sequence take a Python float for float64.
    dtypes = dtypes_of(inputs) if op.variadic and concrete else ()
    for i, x in enumerate(inputs):
        name = op.params[0 if op.variadic else i]
        if x is None and (op.variadic or not i):
            raise TypeError(f"{op.shown}: {name} must be an array, got None")
        dtype = getattr(x, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind not in NUMERIC:
            raise TypeError(f"{op.shown}: {name} must hold numbers, got {dtype}")
        kept = x is None or isinstance(x, (Tensor, ndarray))
        number = concrete and isinstance(x, (int, float, complex, np.generic))
        found.append(unmasked(op.shown, weak(x, dtypes)) if kept or number else as_array(x))
    return found


def _real(op: Operator, arrays: list[Any]) -> list[Any]:
    given = dict(zip(op.params, arrays, strict=False))
    return [*in_real_numbers(op.shown, op.numbers, given).values()]


def _operand(x: Any) -> Any:
    if isinstance(x, (int, float)):
        return x
    if isinstance(x, (ndarray, np.generic)):
        # Python then tries NumPy, which calls the ufunc with the tensor: an error that names it.
        return unmasked("tensor", x) if x.dtype.kind in NUMERIC else NotImplemented
    if isinstance(x, (list, tuple)):
        return as_array(x)
    return NotImplemented


def _save(
    saves: tuple[int, ...], value: Any, inputs: Any, arrays: Any, parents: Any
) -> tuple[Any, ...]:
    """(output, inputs...), of each what ``saves`` says: the array, its shape and dtype, or None."""
    saved: list[Any] = [value if saves[0] == KEEP else None]
    for use, given, array, parent in zip(saves[1:], inputs, arrays, parents, strict=True):
        if use == KEEP:
            # The caller may change an array before the backward pass, so it is copied.
            saved.append(array.copy() if given is array and isinstance(array, ndarray) else array)
        elif parent is not None or not isinstance(array, ndarray):
            saved.append(None)
        else:
            saved.append(ShapeDtype(array.shape, array.dtype) if use == SHAPE_ONLY else None)
    return tuple(saved)


def _is_mutable(x: Any) -> bool:
    """Whether this input may be written in place later; a view of it must then be a copy."""
    if isinstance(x, Tensor):
        return type(x._node) is Leaf and x._node.trainable
    return isinstance(x, ndarray)


# -- what operators ask the engine -----------------------------------------------------------------


def _note_detached(name: str, args: tuple[Any, ...]) -> None:
    """A function without a derivative was called with these arguments."""
    if STATE.get().hook is not None:
        for x in args:
            if isinstance(x, Tensor):
                note_detached(x._node, f"{name}, which has no derivative")


def _tracked(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor) and value._node is None:  # as labels are
        return []
    if not STATE.get().recording:
        return []
    return [x for x in flatten(value) if isinstance(x, Tensor) and x._node is not None]


def _made_from(result: Any, tensor: Tensor, start: int) -> bool:
    nodes = [one._node for one in _tracked(result)]
    since = reachable((n for n in nodes if n is not None), lambda n: n.number > start)
    return tensor._node in since


engine.record = record
engine.run = run
engine.binary = binary
engine.tracked = _tracked
engine.now = next_number
engine.made_from = _made_from
engine.as_tensor = as_tensor
engine.constant = plain
engine.in_module = in_module
engine.note_detached = _note_detached
