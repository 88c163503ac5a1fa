"""A network of several machines on one: a namespace for each rank, joined by links of a set speed.

Linux lets its superuser make network namespaces, each with an interface and addresses of its own.
``tc`` holds what leaves an interface back to the rate of a real link; where the kernel has netem,
also for the time that a real link takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

#: The one-way delay of a shaped link, in milliseconds, where the kernel can delay packets.
DELAY = 0.1
#: Ranks that are on one machine must believe that they are not. (MPICH and UCX, from PyPI.)
APART = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "eth0"}


class NoNamespacesError(RuntimeError):
    """Namespaces are not to be had here; the message says why."""


def call(command: str) -> None:
    """Run a command of ``ip`` or ``tc``; raises NoNamespacesError with what it says."""
    words = command.split()
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        raise NoNamespacesError(f"network namespaces need {words[0]}: {error}") from None
    if done.returncode:
        raise NoNamespacesError(f"network namespaces: {command}: {done.stderr.strip()}")


@contextlib.contextmanager
def machines(count: int, gigabits: float) -> Generator[list[str]]:
    """The names of so many namespaces, joined by links of this rate; they end with the block.

    Raises NoNamespacesError without Linux, its superuser's rights, ``ip`` or ``tc``.
    """
    prefix = f"mg{os.getpid()}"
    hub, names = f"{prefix}-hub", [f"{prefix}-{i}" for i in range(count)]
    try:
        for name in (hub, *names):
            call(f"ip netns add {name}")
            call(f"ip -n {name} link set lo up")
        call(f"ip -n {hub} link add hub type bridge")
        call(f"ip -n {hub} link set hub up")
        for i, name in enumerate(names):
            call(f"ip link add eth0 netns {name} type veth peer name port{i} netns {hub}")
            call(f"ip -n {hub} link set port{i} master hub up")
            call(f"ip -n {name} addr add 10.213.0.{i + 1}/24 dev eth0")
            call(f"ip -n {name} link set eth0 up")
            shape(name, gigabits)
        yield names
    finally:
        for name in (*names, hub):
            with contextlib.suppress(NoNamespacesError):
                call(f"ip netns del {name}")


def shape(name: str, gigabits: float) -> bool:
    """Hold the interface of a namespace back to this rate; says whether packets are delayed too."""
    add = f"ip netns exec {name} tc qdisc replace dev eth0 root"
    try:
        call(f"{add} netem delay {DELAY}ms rate {gigabits}gbit limit 10000")
    except NoNamespacesError:
        burst = int(64_000 + 20_000 * gigabits)  # a packet, and what is missed by a late timer
        call(f"{add} tbf rate {gigabits}gbit burst {burst} latency 50ms")
        return False
    return True


def mpiexec() -> str | None:
    """The mpiexec that belongs to this Python, else any."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def command(program: Sequence[str], ranks: int, names: Sequence[str] = ()) -> list[str]:
    """The command that starts a program on ranks; each in a namespace of its own, if given."""
    launcher = mpiexec()
    if launcher is None:
        raise NoNamespacesError("there is no mpiexec: pip install 'minigrad[mpi]'")
    if not names:
        return [launcher, "-n", str(ranks), *program]
    parts = [["-n", "1", "ip", "netns", "exec", name, *program, ":"] for name in names[:ranks]]
    return [launcher, *(word for part in parts for word in part)][:-1]
