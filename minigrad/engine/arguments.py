"""How the arguments of an operator are split into arrays and metadata.

Arrays may be tracked. Metadata, such as an axis, are copied, because the caller may change them
before the backward pass; a tracked tensor among them is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.lazy import load_late
from minigrad.operators.declare import PLAIN, Operator, engine, lost, with_numpys_names
from minigrad.operators.errors import unknown

_INT = {int}
Call = tuple[tuple[Any, ...], dict[str, Any]]


def bind(op: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """The array inputs and the metadata of a call, given by position or by name.

    Raises TypeError for arguments that the operator does not take.
    """
    if len(args) > len(op.params):
        more = load_late("minigrad.spellings").MORE.get(op.name)
        raise TypeError(
            f"{op.name}: takes {len(op.params)} argument{'s' * (len(op.params) != 1)} "
            f"({', '.join(op.params)}), got {len(args)}" + (f"; {more}" if more else "")
        )
    metadata = dict(zip(op.params, args, strict=False))
    if kwargs:
        kwargs = with_numpys_names(op.name, op.params, op.arity, kwargs)
    for key, value in kwargs.items():
        if key not in op.params:
            if key == "out":
                raise TypeError(f"{op.name}: out= is not supported: a tensor is a value")
            raise TypeError(f"{op.name}: {unknown(key, op.params)}")
        if key in metadata:
            raise TypeError(f"{op.name}: got {key!r} twice")
        metadata[key] = value
    inputs = tuple(metadata.pop(name, None) for name in op.params[: op.arity])
    if inputs[0] is None:
        raise TypeError(f"{op.name}: missing argument {op.params[0]!r}")
    for key, value in metadata.items():
        if type(value) is tuple and {*map(type, value)} == _INT:  # a shape, which stays as it is
            continue
        if value is not None:
            # An array in the place of a list of arrays has a better error, below.
            known = type(value) in PLAIN or (op.variadic and getattr(value, "ndim", 0) > 0)
            if not known and engine.tracked(value):
                raise TypeError(lost(op.name, key))
            metadata[key] = frozen(value)
    if op.variadic:
        if any(getattr(value, "ndim", 0) for value in metadata.values()):
            raise TypeError(
                f"{op.name}: the arrays go into one list, as in {op.name}([a, b]); "
                f"got an array for {' or '.join(metadata)}"
            )
        try:
            inputs = tuple(inputs[0])
        except TypeError as error:
            raise TypeError(
                f"{op.name}: {op.params[0]} must be a list of arrays, got {inputs[0]!r}"
            ) from error
        if not inputs:
            raise ValueError(
                f"{op.name}: {op.params[0]} must hold at least one array, got an empty sequence"
            )
    return inputs, metadata


def frozen(value: Any) -> Any:
    """A copy of metadata, because the caller may change it before the backward pass."""
    kind = type(value)
    if kind is int or kind is slice:
        return value
    if kind is np.ndarray:
        return value.copy()
    if kind is tuple or kind is list:
        return kind(map(frozen, value))
    if isinstance(value, np.generic):
        # A Python number, so that a slope taken from np.linspace keeps float32 as it is.
        return value.item()
    return engine.constant(value)
