"""Atomic writes: a file that the library writes is replaced as a whole or not at all.

A new file is written under a hidden name beside the old one and renamed at the end. While it is
being written, its process holds a lock on it; the system releases the lock when the process ends,
however it ends. So a hidden file without a lock was abandoned, and the next save of the same path
removes it. Process numbers, which are used again, and clocks would be less certain.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
import zlib
from collections.abc import Generator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

if sys.platform != "win32":  # on Windows nothing is locked, and so nothing is removed
    import fcntl

#: Locks held by other machines on a shared folder are not visible here, so their files are kept
#: for a day (in seconds).
DAY = 86_400.0
#: The longest file name in bytes, less what is added to it.
LONGEST = 200
#: What is no ordinary file, by the letter that ``ls -l`` shows.
_SPECIAL = {"p": "a pipe", "c": "a device", "b": "a device", "s": "a socket"}
#: Suffixes of formats, of which a wrong one would mislead the readers of a file.
_FORMATS = (
    *(".pt", ".pth", ".pkl", ".pickle", ".npz", ".npy", ".h5", ".hdf5", ".keras", ".onnx"),
    *(".json", ".yaml", ".csv", ".zip", ".msgpack", ".safetensors"),
)


def as_path(path: Any, function: str) -> Path:
    """A file name as a Path; TypeError for anything else."""
    given = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(given, str) or not given:
        raise TypeError(f"{function}: path must be a file name, got {path!r:.80}")
    if "\0" in given:
        raise ValueError(f"{function}: a file name cannot hold a zero byte, got {given!r:.80}")
    return Path(given).expanduser()


def checked_suffix(target: Path, name: str, function: str) -> None:
    """Raise ValueError where the suffix names another format than the one of this name."""
    suffix = target.suffix.lower()
    if suffix in _FORMATS and suffix != f".{name}":
        raise ValueError(
            f"{function}: {target.name}: {target.suffix} names another format; this one is "
            f"{name}, so name the file {target.with_suffix(f'.{name}').name}"
        )


def checked_target(path: Any, function: str) -> Path:
    """The file to write, with links followed, after checking that it may be made or replaced.

    Raises ValueError for a pipe, a device or a socket, IsADirectoryError, FileNotFoundError where
    the folder is missing, and PermissionError for a file that may not be written.
    """
    given = as_path(path, function)
    # A link stays, and the file that it points to is replaced.
    target = Path(os.path.realpath(given))
    mode = None
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = target.stat().st_mode
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{function}: {given} is a folder; add a file name")
    if mode is not None and not stat.S_ISREG(mode):
        raise ValueError(
            f"{function}: {given} is {_special(mode)}, which a save would replace by a file; give "
            f"the name of a file"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{function}: there is no folder {target.parent}; make it with "
            f"Path({str(target.parent)!r}).mkdir(parents=True)"
        )
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(
            errno.EACCES, f"{function}: {given} may only be read; allow writing, or save elsewhere"
        )
    return target


def open_to_read(path: Any, function: str) -> BufferedReader:
    """Open a file; a pipe or a device, which might never end, is refused with ValueError."""
    source = as_path(path, function)
    try:
        mode = source.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(_not_found(source, function)) from None
    except NotADirectoryError:
        raise NotADirectoryError(f"{function}: {source.parent} is a file, not a folder") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{function}: {source} is a folder, expected a file")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{function}: {source} is {_special(mode)}, expected a file")
    return source.open("rb")


def _special(mode: int) -> str:
    return _SPECIAL.get(stat.filemode(mode)[0], "not an ordinary file")


def _not_found(source: Path, function: str) -> str:
    if not source.parent.is_dir():
        return f"{function}: there is no folder {source.parent}, so no file {source}"
    near: list[str] = []
    with contextlib.suppress(OSError):  # a folder that may not be listed
        near = sorted(p.name for p in source.parent.iterdir() if p.suffix == ".safetensors")[:5]
    hint = f"; the folder holds {', '.join(near)}" if near else "; nothing was saved there"
    return f"{function}: there is no file {source}{hint}"


# -- writing ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Any, function: str) -> Generator[BinaryIO]:
    """A file to write that replaces ``path`` at the end of the block; an exception removes it.

    It is written beside ``path``, flushed to disk and renamed, which is one step for every reader;
    then the folder is flushed, so that the rename survives a power cut. ``function`` is for
    messages. Raises the errors of :func:`checked_target`.
    """
    target = checked_target(path, function)
    _remove_abandoned(target)
    file, temporary = _new_file(target, function)
    try:
        with file:  # closed last, since closing releases the lock
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            if sys.platform == "win32":
                file.close()  # Windows does not rename an open file
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def write_file(path: Any, content: bytes, function: str) -> None:
    """Write a whole file atomically; see :func:`replacing`."""
    with replacing(path, function) as file:
        file.write(content)


def _new_file(target: Path, function: str) -> tuple[BinaryIO, Path]:
    """A new, locked file beside the target."""
    while True:
        temporary = target.with_name(f".{_stem(target)}.{_machine()}-{secrets.token_hex(6)}.tmp")
        try:
            file = temporary.open("xb")
        except PermissionError:
            raise PermissionError(
                errno.EACCES,
                f"{function}: no permission to make files in {target.parent}, where the new file "
                f"is written before it takes the place of the old one",
            ) from None
        try:
            _lock(file.fileno())
        except BlockingIOError:  # another save found it before it was locked, and removes it
            file.close()
            continue
        except OSError:  # a file system without locks, where no abandoned file is removed either
            return file, temporary
        if os.fstat(file.fileno()).st_nlink:
            return file, temporary
        file.close()  # removed already


def _lock(descriptor: int) -> None:
    """Lock an open file until it is closed; BlockingIOError if it is locked already."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _stem(target: Path) -> str:
    name = os.fsencode(target.name)
    return target.name if len(name) <= LONGEST else f"{zlib.crc32(name):08x}"


def _machine() -> str:
    """Eight digits that identify this machine."""
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(name.encode()):08x}"


def _remove_abandoned(target: Path) -> None:
    """Remove the hidden files of saves to this path that no running process holds locked."""
    if sys.platform == "win32":
        return
    pattern = re.compile(rf"\.{re.escape(_stem(target))}\.(?:([0-9a-f]{{8}})-)?[0-9a-f]{{12}}\.tmp")
    try:
        entries = [path.name for path in target.parent.iterdir()]
    except OSError:  # a folder that may be written to, but not listed
        return
    here = _machine()
    for name in entries:
        found, path = pattern.fullmatch(name), target.with_name(name)
        if found is None:
            continue
        with contextlib.suppress(OSError):  # locked, removed already, or of another user
            if found[1] != here and time.time() - path.lstat().st_mtime <= DAY:
                continue
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                _lock(descriptor)
                path.unlink()
            finally:
                os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # other systems cannot open a folder
    # Only a folder that may be listed can be flushed; the file itself is safe.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot do so
                raise
        finally:
            os.close(descriptor)
