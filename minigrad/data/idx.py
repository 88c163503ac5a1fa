"""The IDX format, in which MNIST and similar data sets are published: a header, then the numbers.

A file may be damaged, cut short, or made to exhaust memory. So the header is compared with the
length of the file, the numbers are read piece by piece, and memory grows only with what has been
read.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.settings import checked
from minigrad.io.file_system import open_to_read

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LIMIT = 2**30
PIECE = 2**20
#: Deflate cannot shrink data by more than this factor.
MOST_COMPRESSED = 1032


@checked(limit="[0, inf)")
def read_idx(path: str | os.PathLike[str], limit: int = LIMIT) -> NDArray[Any]:
    """The array in an IDX file, plain or compressed with gzip, in the machine's byte order.

    Raises ValueError for a file that is not an IDX file, is damaged, holds fewer or more numbers
    than its header says, or announces more than ``limit`` bytes; OSError if it cannot be read.

    Reference: http://yann.lecun.com/exdb/mnist/ (the file format, at the end).

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    ...     read_idx(path)
    array([7, 9], dtype=uint8)
    """
    with open_to_read(path, "read_idx") as raw:
        path = Path(path)
        length = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=raw) if compressed else raw
        try:
            return _read(stream, path, length * MOST_COMPRESSED if compressed else length, limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path}: the compressed file is damaged or cut short after {length} bytes "
                f"({error}); delete it and fetch it again"
            ) from None


def _read(stream: io.BufferedIOBase, path: Path, most: int, limit: int) -> NDArray[Any]:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES or head[3] == 0:
        raise ValueError(
            f"{path}: no IDX file: expected two zero bytes, a type code and the number of axes, "
            f"got {head.hex(' ') or 'nothing'}"
        )
    dtype, axes = np.dtype(DTYPES[head[2]]), head[3]
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise ValueError(f"{path}: cut short inside the header, which announces {axes} axes")
    shape = tuple(int.from_bytes(lengths[i : i + 4], "big") for i in range(0, 4 * axes, 4))
    size = math.prod(shape) * dtype.itemsize
    text = " x ".join(map(str, shape[:8])) + (" x ..." if len(shape) > 8 else "")
    announced = f"{text} numbers ({size} bytes)"
    if size > most:
        raise ValueError(
            f"{path}: the header announces {announced}, more than a file of this length can "
            f"hold; it is damaged"
        )
    if size > limit:
        raise ValueError(
            f"{path}: the header announces {size} bytes, more than the limit of {limit}; "
            f"pass read_idx(path, limit=...) if that is right"
        )
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(PIECE, size - len(data)))
        if not piece:
            raise ValueError(
                f"{path}: expected {announced}, got {len(data)} bytes; the file is cut short"
            )
        data += piece
    if stream.read(1):
        raise ValueError(
            f"{path}: expected {announced}, the file goes on after them; its header is damaged"
        )
    array = np.frombuffer(data, dtype)
    try:
        return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape)
    except ValueError as error:  # more axes than NumPy has
        raise ValueError(f"{path}: {error}") from None
