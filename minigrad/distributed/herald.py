"""The process that outlives the ranks of a machine, to say which of them was killed.

When a rank is killed, mpiexec kills all others at once, and none of them can say anything any more.
So the first rank of each machine starts this file as a program of its own. Each rank holds a pipe
to it, which the system closes when the rank ends, however it ends: the pipe that closes first,
without a word of farewell, is that of the rank that was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: How long to wait for an explanation, in seconds.
GRACE = 0.5


class Herald:
    """A rank's end of the pipe. ``node``: the communicator of the ranks of this machine."""

    def __init__(self, node: Any, rank: int, size: int) -> None:
        self._pipe: int | None = None
        ranks = node.allgather(rank)
        folder = _start(ranks, size) if node.rank == 0 and hasattr(os, "mkfifo") else None
        folder = node.bcast(folder, root=0)
        if folder is not None:
            with contextlib.suppress(OSError):
                self._pipe = os.open(Path(folder, str(rank)), os.O_WRONLY)
            node.Barrier()
            if node.rank == 0:
                with contextlib.suppress(OSError):
                    for path in Path(folder).iterdir():
                        path.unlink()
                    Path(folder).rmdir()

    def tell(self, text: str) -> None:
        """Pass on a line: "checkpoint PATH"; "said", when the end was explained; "bye"."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, f"{text}\n".encode())


def _start(ranks: list[int], size: int) -> str | None:
    """Start the program; returns the folder of its pipes, or None where that is not possible."""
    try:
        folder = tempfile.mkdtemp(prefix="minigrad-")
        for rank in ranks:
            os.mkfifo(Path(folder, str(rank)))
        command = [sys.executable, "-I", "-S", __file__, folder, str(size), *map(str, ranks)]
        with subprocess.Popen(  # noqa: S603 (this file)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        ) as started:
            assert started.stdout is not None  # noqa: S101 (for type checkers)
            ready = started.stdout.read(1)
            started.stdout.close()
            started.returncode = 0  # it outlives us: do not wait for it
    except OSError:
        return None
    return folder if ready else None


def _read(pipe: int) -> str:
    """What is in the pipe; "" if that is nothing yet, or nothing any more."""
    with contextlib.suppress(OSError):
        return os.read(pipe, 65536).decode(errors="replace")
    return ""


def main(folder: str, size: str, *ranks: str) -> None:
    """Wait until all ranks have ended, and name those that were killed first."""
    with contextlib.suppress(OSError):
        os.nice(-5)  # to be awake in time; only some users may
    poll = select.poll()
    pipes: dict[int, int] = {}
    for name in ranks:
        pipe = os.open(Path(folder, name), os.O_RDONLY | os.O_NONBLOCK)
        pipes[pipe] = int(name)
        poll.register(pipe, select.POLLIN)
    os.write(1, b"R")
    os.close(1)
    texts = dict.fromkeys(pipes.values(), "")
    killed: list[int] = []
    while pipes:
        for pipe, event in poll.poll():
            rank = pipes[pipe]
            while event & select.POLLIN and (data := _read(pipe)):
                texts[rank] += data
            if event & select.POLLHUP:
                poll.unregister(pipe)
                del pipes[pipe]
                if "bye\n" not in texts[rank]:
                    killed.append(rank)
        if killed:
            break
    if not killed:
        return
    time.sleep(GRACE)
    for pipe, rank in pipes.items():
        texts[rank] += _read(pipe)
    lines = [line for text in texts.values() for line in text.splitlines()]
    if "said" in lines:
        return
    written = [line.removeprefix("checkpoint ") for line in lines if line.startswith("checkpoint")]
    last = f"Last checkpoint: {written[-1]}" if written else "No checkpoint was written"
    named = f"rank {killed[0]} of {size} was"
    if len(killed) > 1:
        named = f"one of the ranks {', '.join(map(str, sorted(killed)))} of {size} was"
    os.write(2, f"minigrad: {named} killed, or crashed. {last}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
