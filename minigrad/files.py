"""Tensors on disk: safetensors files, written so that a crash never costs the old file.

The format holds named arrays and text, and no code; PyTorch, JAX and others read and write it too.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from minigrad.tensor import Tensor

__all__ = ["load", "load_metadata", "save"]

Array = NDArray[Any]

#: Names of the format for NumPy's dtypes.
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

#: Suffixes of other formats: a file of ours under such a name would mislead its readers.
_OTHER_FORMATS = (
    *(".pt", ".pth", ".pkl", ".pickle", ".npz", ".npy", ".h5", ".hdf5", ".keras", ".onnx"),
    *(".json", ".yaml", ".csv", ".zip", ".msgpack"),
)


def save(
    state_dict: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors (or ndarrays) to a safetensors file, e.g. ``model.state_dict()``.

    The write is atomic: killed at any moment, it leaves the old file or the new one, whole (and
    perhaps a hidden ``.tmp`` file beside it). A save that fails leaves the old one and no litter.
    ``metadata``: a dict of strings to keep with them. PyTorch reads the file with
    ``safetensors.torch.load_file``.

    Raises TypeError for anything but a dict of strings to tensors (nested state:
    :func:`save_checkpoint`; structure and weights: :func:`save_model`), ValueError for the suffix
    of another format, and FileNotFoundError where the folder is missing. Format:
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
        arrays[name] = value._data if isinstance(value, Tensor) else np.asarray(value)
    write(arrays, path, _checked_metadata(metadata), "save")


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a safetensors file, of :func:`save` or of PyTorch: a dict of names to constant tensors.

    Hand it to ``model.load_state_dict``. bfloat16, which NumPy lacks, becomes float32 exactly.

    Raises FileNotFoundError, and ValueError for a damaged file or one of another format. No code
    in a file is ever run.

    See :func:`save` for an example.
    """
    arrays, _ = read(path, "load")
    return {name: Tensor(array) for name, array in arrays.items()}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the text kept with the tensors of a safetensors file. Raises as :func:`load`.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> mg.save({"x": mg.ones(2)}, path, metadata={"epoch": "3"})
    >>> mg.load_metadata(path)
    {'epoch': '3'}
    """
    return read(path, "load_metadata")[1]


def _checked_metadata(metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(
        isinstance(text, str) for pair in metadata.items() for text in pair
    ):
        raise TypeError(
            f"save: metadata is a dict of strings to strings, got {metadata!r:.80}; "
            f"use json.dumps for other values"
        )
    return dict(metadata)


# -- the format ------------------------------------------------------------------------------------


def write(
    arrays: Mapping[str, Array],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str],
    function: str,
) -> None:
    """Write arrays and text to a safetensors file, atomically; ``function`` is for messages."""
    from safetensors import SafetensorError
    from safetensors.numpy import save as serialize

    target = _checked_path(path, function)
    plain: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(
                f"{function}: {name!r} has dtype {array.dtype}, which the format cannot hold; "
                f"expected one of {', '.join(DTYPES)}"
            )
        if name == "__metadata__":
            raise ValueError(f"{function}: the name '__metadata__' is the format's own")
        # safetensors writes the memory as it lies, whatever the strides. (ascontiguousarray alone
        # gives shape () an axis.)
        order = array.dtype.newbyteorder("=")
        plain[name] = np.ascontiguousarray(array, order).reshape(array.shape)
    try:
        content = serialize(plain, dict(metadata) or None)
    except SafetensorError as error:
        raise ValueError(f"{function}: {target}: {error}") from error
    with replacing(target) as file:
        file.write(content)


def read(path: str | os.PathLike[str], function: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Read arrays and text from a safetensors file; ``function`` is for messages."""
    from safetensors import SafetensorError, deserialize

    source = _as_path(path, function)
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(_not_found(source, function)) from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{function}: {source} is a folder, expected a file") from None
    try:
        entries: Any = deserialize(content)  # type: ignore[no-untyped-call]
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{function}: {source} is damaged or not a safetensors file "
            f"({len(content)} bytes{_looks_like(content)}): {error}"
        ) from None
    arrays = {name: _as_array(name, entry, source, function) for name, entry in entries}
    return arrays, header.get("__metadata__", {})


def _as_array(name: str, entry: dict[str, Any], source: Path, function: str) -> Array:
    kind, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if kind == "BF16":
        # bfloat16 is the upper half of a float32.
        halves = np.frombuffer(data, "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    dtype = _LITTLE_ENDIAN.get(kind)
    if dtype is None:
        raise ValueError(
            f"{function}: {source}: {name!r} has dtype {kind}, which NumPy lacks; convert it to "
            f"F32 where the file was made"
        )
    # A copy: an array of its own, aligned, in the machine's byte order.
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _looks_like(content: bytes) -> str:
    """What a foreign file is, told by its first bytes."""
    if not content:
        return ", empty"
    for start, meaning in (
        (b"PK", "a zip archive, as of .npz, .pt and .keras files"),
        (b"\x93NUMPY", "an .npy file"),
        (b"\x89HDF", "an HDF5 file, as of Keras"),
        (b"\x80", "a pickle"),
        (b"version https://git-lfs", "a pointer of Git LFS: run `git lfs pull`"),
    ):
        if content.startswith(start):
            return f"; it looks like {meaning}"
    return ""


def _not_found(source: Path, function: str) -> str:
    if not source.parent.is_dir():
        return f"{function}: there is no folder {source.parent}, so no file {source}"
    near = sorted(p.name for p in source.parent.glob("*.safetensors"))[:5]
    hint = f"; the folder holds {', '.join(near)}" if near else "; nothing was saved there"
    return f"{function}: there is no file {source}{hint}"


# -- the file system -------------------------------------------------------------------------------


def _as_path(path: Any, function: str) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise TypeError(f"{function}: path must be a file name, got {path!r:.80}")
    return Path(path).expanduser()


def _checked_path(path: Any, function: str) -> Path:
    target = _as_path(path, function)
    if target.suffix.lower() in _OTHER_FORMATS:
        raise ValueError(
            f"{function}: {target.name}: {target.suffix} names another format; this one is "
            f"safetensors: {target.with_suffix('.safetensors').name}"
        )
    if target.is_dir():
        raise IsADirectoryError(f"{function}: {target} is a folder; add a file name")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{function}: there is no folder {target.parent}; make it with "
            f"Path({str(target.parent)!r}).mkdir(parents=True)"
        )
    return target


@contextlib.contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file to write that takes the place of ``path`` at the end of the block, or never.

    It is written beside ``path``, flushed to disk and renamed, which is one step to every reader;
    then the folder is flushed, so that the rename outlives a power cut. An exception removes it.
    """
    target = path.resolve()  # a link stays, and what it points to is replaced
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
