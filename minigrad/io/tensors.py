"""Named tensors on disk: safetensors files, written atomically and checked before they are read.

The format holds named arrays and text, and no code; PyTorch, JAX and others read and write it too.
A file begins with a header: JSON with the dtype, the shape and the position of each array. Files
may come from anybody, so the library of the format compares the header with the length of the file
before any array is read, and each array is read when it is first used.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.tensor import Tensor, plain, unmasked
from minigrad.io.file_system import (
    as_path,
    checked_suffix,
    checked_target,
    open_to_read,
    write_file,
)

Array = NDArray[Any]

#: NumPy's dtypes and their names in the format.
DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
_LITTLE_ENDIAN = {name: np.dtype(dtype).newbyteorder("<") for dtype, name in DTYPES.items()}
#: bfloat16 is the upper half of a float32.
_LITTLE_ENDIAN["BF16"] = np.dtype("<u2")
#: How files of other formats begin, and how to read them.
_FOREIGN = {
    b"PK": "a zip archive, as .npz, .pt and .keras files are: read an .npz with np.load(path), and "
    "convert a .pt with PyTorch's safetensors.torch.save_file",
    b"\x93NUMPY": "an .npy file: read it with np.load(path)",
    b"\x89HDF": "an HDF5 file, as Keras writes: read it with h5py",
    b"\x80": "a pickle, which could run code: if you trust it, read it and write it again with "
    "mg.save, or with safetensors.torch.save_file",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
}


def save(
    state_dict: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors (or ndarrays) to a safetensors file, e.g. ``model.state_dict()``.

    The write is atomic: if it is killed at any moment, the old file or the new one is there, whole.
    A save that fails leaves the old file and nothing else; one that is killed may leave a hidden
    ``.tmp`` file beside it, which the next save of that path removes. A symbolic link stays, and
    the file that it points to is replaced. PyTorch reads the file with
    ``safetensors.torch.load_file``. ``metadata``: a dict of strings to keep with the tensors.

    Raises TypeError for anything but a dict of strings to tensors (nested state:
    :func:`save_checkpoint`; structure and weights: :func:`save_model`), ValueError for the suffix
    of another format and for a pipe or a device, FileNotFoundError where the folder is missing, and
    PermissionError for a file or a folder that may only be read. Format:
    https://huggingface.co/docs/safetensors.

    >>> import minigrad as mg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> mg.save({"weight": mg.ones((2, 3))}, path)
    >>> mg.load(path)["weight"].shape
    (2, 3)
    """
    given: Any = state_dict
    if not isinstance(given, Mapping):
        hint = (
            "; pass model.state_dict(), or use mg.save_model(model, path)"
            if hasattr(state_dict, "state_dict")
            else "; name it: {'x': tensor}"
        )
        raise TypeError(
            f"save: expected a dict of names to tensors, got {type(state_dict).__name__}{hint}"
        )
    arrays: dict[str, Array] = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names are strings, got {name!r:.80} ({type(name).__name__})")
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            raise TypeError(
                f"save: {name!r} is {type(value).__name__}, expected a tensor or an ndarray; for "
                f"nested state with numbers and text use mg.save_checkpoint(path, ...)"
            )
        arrays[name] = np.asarray(plain(unmasked("save", value)))
    texts: Any = {} if metadata is None else metadata
    if not isinstance(texts, Mapping) or not all(
        isinstance(text, str) for pair in texts.items() for text in pair
    ):
        raise TypeError(
            f"save: metadata is a dict of strings to strings, got {texts!r:.80}; "
            f"use json.dumps for other values"
        )
    write(arrays, path, texts, "save")


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a safetensors file, of :func:`save` or PyTorch: a dict of names to constant tensors.

    Pass it to ``model.load_state_dict``. bfloat16, which NumPy does not have, is converted to
    float32 exactly.

    Raises FileNotFoundError, and ValueError for a damaged file or one of another format, before
    more than its header is read. No code in a file is ever run.

    See :func:`save` for an example.
    """
    with opened(path, "load") as file:
        return {name: Tensor(file[name]) for name in file}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the metadata of a safetensors file, a dict of strings, and none of its tensors.

    Raises FileNotFoundError, and ValueError for a damaged file or one of another format.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> mg.save({"x": mg.ones(2)}, path, metadata={"epoch": "3"})
    >>> mg.load_metadata(path)
    {'epoch': '3'}
    """
    with opened(path, "load_metadata") as file:
        return file.metadata


# -- the format ------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """An array in the header: its dtype here, its shape, its dtype in the file, its offset."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    kind: str
    start: int


class Arrays(Mapping[str, Array]):
    """The arrays of an open file whose header was checked, each read when it is first used."""

    def __init__(self, file: BinaryIO, source: str, metadata: dict[str, str]) -> None:
        self.metadata = metadata
        self.entries: dict[str, Entry] = {}
        self._file = file
        self._source = source
        self._read: dict[str, Array] = {}
        try:
            header, end = _header(file)
        except ValueError as error:
            raise ValueError(f"{source} is damaged: {error}") from None
        for name, described in header.items():
            kind = described["dtype"]
            if kind not in _LITTLE_ENDIAN:
                raise ValueError(f"{source}: {_unknown_dtype(name, kind)}")
            dtype = np.dtype(np.float32 if kind == "BF16" else _LITTLE_ENDIAN[kind])
            start = end + described["data_offsets"][0]
            shape = tuple(described["shape"])
            self.entries[name] = Entry(dtype.newbyteorder("="), shape, kind, start)

    def __getitem__(self, name: str) -> Array:
        if name not in self._read:
            self._read[name] = self._fetch(name, self.entries[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _fetch(self, name: str, entry: Entry) -> Array:
        """A new array, aligned, in the machine's byte order."""
        array = np.empty(math.prod(entry.shape), _LITTLE_ENDIAN[entry.kind])
        self._file.seek(entry.start)
        if self._file.readinto(array.view(np.uint8)) != array.nbytes:  # type: ignore[attr-defined]
            raise ValueError(f"{self._source} was cut short while it was read, at {name!r}")
        if entry.kind == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        elif entry.kind == "BOOL":
            array = array.view(np.uint8) != 0  # True is 1, whatever byte a damaged file has
        try:
            return array.astype(entry.dtype, copy=False).reshape(entry.shape)
        except (ValueError, OverflowError) as error:  # more or longer axes than NumPy has
            raise ValueError(f"{self._source}: {name!r}: {error}") from None


def write(
    arrays: Mapping[str, Array],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str],
    function: str,
) -> None:
    """Write arrays and text to a safetensors file, atomically; ``function`` is for messages."""
    from safetensors import SafetensorError
    from safetensors.numpy import save as serialize

    target = as_path(path, function)
    checked_suffix(target, "safetensors", function)
    checked_target(target, function)
    plain: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(
                f"{function}: {name!r} has dtype {array.dtype}, which the format cannot hold; "
                f"expected one of {', '.join(DTYPES)}"
            )
        if name == "__metadata__":
            raise ValueError(f"{function}: the name '__metadata__' is reserved by the format")
        # safetensors writes the memory in its order, whatever the strides. (ascontiguousarray alone
        # gives shape () an axis.)
        order = array.dtype.newbyteorder("=")
        plain[name] = np.ascontiguousarray(array, order).reshape(array.shape)
    try:
        content = serialize(plain, dict(metadata) or None)
    except (SafetensorError, UnicodeEncodeError) as error:
        raise ValueError(f"{function}: {target}: {error}") from error
    write_file(target, content, function)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], function: str) -> Generator[Arrays]:
    """Open a safetensors file to read; ``function`` is for messages.

    Raises FileNotFoundError, and ValueError unless the header is whole and the arrays in it fill
    the file, each byte once.
    """
    from safetensors import SafetensorError, safe_open

    with open_to_read(path, function) as file:
        source = f"{function}: {path}"
        try:
            with safe_open(file.name, "numpy") as whole:
                metadata = whole.metadata() or {}
        except SafetensorError as error:
            size, start = os.fstat(file.fileno()).st_size, file.read(32)
            if start.startswith(b"PK\x03\x04") and str(path).endswith(".npz"):
                raise ValueError(
                    f"{source} is an .npz file of NumPy: read it with np.load(path), and write it "
                    f"again with mg.save(dict(np.load(path)), 'name.safetensors')"
                ) from None
            file.seek(0)
            if fault := _fault_in_header(file, str(error)):
                raise ValueError(f"{source}: {fault}") from None
            guesses = [meaning for begins, meaning in _FOREIGN.items() if start.startswith(begins)]
            guess = f"; it looks like {guesses[0]}" if guesses else ""
            guess = guess if start else ", empty"
            raise ValueError(
                f"{source} is damaged or not a safetensors file ({size} bytes{guess}): {error}"
            ) from None
        yield Arrays(file, source, metadata)


def strict_json(text: str | bytes) -> Any:
    """What JSON says. Raises ValueError for a name twice in a dict: readers differ in which counts.

    >>> strict_json('{"w": 1, "w": 2}')
    Traceback (most recent call last):
    ValueError: a name occurs twice: 'w'
    """
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"a name occurs twice: {name!r:.80}")
    return found


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """How each array is described at the beginning of a file, and where the header ends."""
    length = int.from_bytes(file.read(8), "little")
    header = strict_json(file.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


def _unknown_dtype(name: str, kind: str) -> str:
    return (
        f"{name!r} has dtype {kind:.20}, which NumPy does not have; convert it to F32 before it is "
        f"saved"
    )


def _fault_in_header(file: BinaryIO, said: str) -> str:
    """The array that made the library refuse a header, and the cure, where it does not say so.

    What it ``said`` of them shows that the length of the header is right.
    """
    sizes = "invalid shape" in said  # then all of the header has the right types
    if not sizes and "unknown variant" not in said:
        return ""
    with contextlib.suppress(AttributeError, LookupError, RecursionError, TypeError, ValueError):
        for name, described in _header(file)[0].items():
            kind, shape = described["dtype"], described["shape"]
            if kind not in _LITTLE_ENDIAN:
                return _unknown_dtype(name, kind)
            if not sizes or len(shape) > 64:  # more axes than NumPy has, slow to multiply
                continue
            begin, end = described["data_offsets"]
            needed = math.prod(shape) * _LITTLE_ENDIAN[kind].itemsize
            if end - begin != needed:
                return (
                    f"{name!r} has {end - begin} bytes, its shape {tuple(shape)} of {kind} needs "
                    f"{needed}; the file is damaged: copy it again"
                )
    return ""
