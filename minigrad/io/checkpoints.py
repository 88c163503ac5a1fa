"""Checkpoints: nested state on disk, dicts and lists of tensors, numbers and text, bit for bit.

An interrupted training run needs it to continue: the state of the model, of the optimizer, of
schedules and of random generators. The tensors are those of a safetensors file; their nesting, and
everything else, is JSON in its metadata.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.tensor import Tensor, unmasked
from minigrad.io.tensors import opened, write

Array = NDArray[Any]

KIND = "minigrad.kind"
VERSION = "1"
#: The checkpoint that was written last, for messages about a run that ends badly.
_latest: list[str] = [""]


def latest() -> str:
    """The path of the checkpoint that this process wrote last, or ""."""
    return _latest[0]


def note(path: str | os.PathLike[str]) -> None:
    """Remember that a checkpoint was written there, by this process or for it."""
    _latest[0] = os.fspath(path)


def save_checkpoint(path: str | os.PathLike[str], /, **state: Any) -> None:
    """Write nested state to one file, atomically (see :func:`minigrad.save`).

    Values: tensors, ndarrays, numbers, strings, bytes, None, booleans, and dicts, lists and tuples
    of them; keys are strings or integers. Of an object with ``state_dict()`` that is
    saved; of a ``np.random.Generator`` its state.

    Raises TypeError for a value of another type, with its path, and ValueError for state that
    holds itself or is nested too deeply.

    >>> import minigrad as mg, tempfile, os
    >>> from minigrad import optim
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.Adam([w])
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> mg.save_checkpoint(path, weights={"w": w}, optimizer=optimizer, epoch=3)
    >>> state = mg.load_checkpoint(path)
    >>> optimizer.load_state_dict(state["optimizer"])
    >>> state["epoch"], state["weights"]
    (3, {'w': tensor([1.])})
    """
    arrays: dict[str, Array] = {}
    try:
        tree = json.dumps(encode(state, "", arrays))
    except RecursionError:
        raise ValueError(
            "save_checkpoint: the state holds itself, or is nested thousands of levels deep; "
            "save its parts under names of their own"
        ) from None
    metadata = {KIND: "checkpoint", "version": VERSION, "tree": tree}
    write(arrays, path, metadata, "save_checkpoint")
    note(path)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote: the same nesting, types and bits.

    Raises FileNotFoundError, and ValueError for a damaged file or one that is not a checkpoint. No
    code in a file is ever run.

    See :func:`save_checkpoint` for an example.
    """
    with opened(path, "load_checkpoint") as file:
        check_kind(file.metadata, "checkpoint", path, "load_checkpoint")
        try:
            state = decode(json.loads(file.metadata["tree"]), file)
            if not isinstance(state, dict):
                raise TypeError("its state is not a dict")  # noqa: TRY301
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"load_checkpoint: {path} is damaged: {error!r:.400}") from None
    return state


def check_kind(metadata: dict[str, str], kind: str, path: Any, function: str) -> None:
    """Raise ValueError unless the file is a minigrad file of this kind, and of our version."""
    found = metadata.get(KIND)
    if found != kind:
        hint = {
            None: "a file of tensors: use mg.load",
            "checkpoint": "a checkpoint: use mg.load_checkpoint",
            "model": "a model: use mg.load_model",
        }.get(found, f"a {found!r}")
        raise ValueError(f"{function}: {path} is not a {kind}, but {hint}")
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{function}: {path} has format version {metadata.get('version')!r}, this minigrad "
            f"reads {VERSION!r}; load it with the version that wrote it"
        )


# A value in JSON: text, integers, booleans and None are themselves; everything else is a list
# that starts with its type.


def encode(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """A value as JSON; its arrays are added to ``arrays`` under their paths."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else ["float", repr(value)]
    if isinstance(value, Tensor):
        return ["tensor", _keep(value._data, path, arrays)]
    if isinstance(value, np.ndarray):
        return ["array", _keep(unmasked("save_checkpoint", value), path, arrays)]
    if isinstance(value, np.generic):
        return ["scalar", _keep(np.asarray(value), path, arrays)]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(
                    f"keys are strings or integers, got {key!r:.80} in {path or 'the state'}"
                )
        return ["dict", [[k, encode(v, join_path(path, k), arrays)] for k, v in value.items()]]
    if isinstance(value, (list, tuple)):
        items = [encode(v, join_path(path, i), arrays) for i, v in enumerate(value)]
        return ["list" if isinstance(value, list) else "tuple", items]
    if isinstance(value, np.random.Generator):
        return encode(value.bit_generator.state, path, arrays)
    if callable(getattr(value, "state_dict", None)):
        return encode(value.state_dict(), path, arrays)
    raise TypeError(
        f"{path} is {type(value).__name__}, expected tensors, numbers, text, or "
        f"dicts, lists and tuples of them"
    )


def join_path(path: str, key: Any) -> str:
    """The path of a part: ``encoder.0``; the root has the path ""."""
    return f"{path}.{key}" if path else str(key)


def _keep(array: Array, path: str, arrays: dict[str, Array]) -> str:
    """Add an array under its path; where keys with dots collide, a number is appended."""
    name, count = path, 1
    while name in arrays:
        count += 1
        name = f"{path} ({count})"
    arrays[name] = array
    return name


def decode(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The value that :func:`encode` turned into JSON."""
    if isinstance(value, dict):
        raise TypeError("found a JSON object, expected a value")
    if not isinstance(value, list):
        return value
    kind, content = value
    match kind:
        case "float":
            return float(content)
        case "tensor":
            return Tensor(arrays[content])
        case "array":
            return arrays[content]
        case "scalar":
            return arrays[content][()]
        case "bytes":
            return bytes.fromhex(content)
        case "dict":
            found = {key: decode(one, arrays) for key, one in content}
            if len(found) != len(content) or any(type(key) not in (str, int) for key in found):
                raise ValueError("its keys are not different strings or integers")
            return found
        case "list":
            return [decode(one, arrays) for one in content]
        case "tuple":
            return tuple(decode(one, arrays) for one in content)
        case _:
            raise ValueError(f"unknown type {kind!r}")
