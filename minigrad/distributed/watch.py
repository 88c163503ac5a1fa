"""Watches the other ranks while this one waits, and finds out whether they will ever come.

A rank may be killed, stopped, hang, end early, or wait in another exchange than the rest. MPI then
waits for ever. Here a thread of each rank answers questions; while somebody waits, rank 0 asks all
ranks once a second where they are, and ends the program, by name, when one of them

- has not answered, or has stood at one place without using the processor, for ``PATIENCE`` seconds;
- has ended its program, or waits in another exchange.

A rank that computes is waited for as long as it takes. In a program in which nobody waits for long,
nothing is asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minigrad.distributed.herald import Herald
from minigrad.io import checkpoints

#: Seconds without any sign of life after which a rank counts as hung; 0: never.
PATIENCE = float(os.environ.get("MINIGRAD_MPI_PATIENCE", "8"))
#: Seconds between two looks, and between two questions; and how long a disagreement must last.
TICK, ASK, LASTING = 0.1, 1.0, 3.0
#: A rank that used less of the processor than this, in seconds, has done nothing.
IDLE = 0.05
#: Kinds of messages: somebody waits; where are you; here; a checkpoint; the program ends.
WAITING, QUESTION, ANSWER, CHECKPOINT, END = 1, 2, 3, 4, 5

#: Lets another process or thread run, if one is ready.
give_way = getattr(os, "sched_yield", lambda: time.sleep(0.0))

Status = dict[str, Any]


class Watch:
    """The part of a rank that knows about the other ranks."""

    def __init__(self, mpi: Any, comm: Any, herald: Herald) -> None:
        self.mpi, self.comm, self.herald = mpi, comm, herald
        self.rank: int = comm.rank
        self.size: int = comm.size
        #: How many waits have begun, and what the running one is for.
        self.calls = 0
        self.waiting: str | None = None
        self.ended = False
        self._main = threading.main_thread().ident
        self._own_work = 0.0  # of the thread below, in seconds of the processor
        self._waited = 0.0
        self._since_question = 0.0
        self._asked_for = 0.0  # how long rank 0 goes on asking
        self._silent_first = 0.0  # how long rank 0 has been silent, while this rank waits
        self._ranks = [_Known() for _ in range(self.size)]
        self._sent: list[Any] = []
        self.told = threading.Event()  # another rank has said why the program ends
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if mpi.Query_thread() == mpi.THREAD_MULTIPLE:
            self._thread = threading.Thread(target=self._run, name="minigrad-watch", daemon=True)
            self._thread.start()

    # -- in the main thread ----------------------------------------------------------------------

    def wait(self, requests: Sequence[Any], what: str) -> None:
        """Wait until these requests are complete."""
        self.calls += 1
        done = self.mpi.Request.Testall
        if done(requests):
            return
        self.waiting = what
        try:
            # Most waits are short: then this thread keeps the processor, unless another needs it.
            soon = time.perf_counter() + 0.002
            while not done(requests):
                if time.perf_counter() < soon:
                    give_way()
                else:
                    time.sleep(1e-4)
        finally:
            self.waiting = None

    def fail(self, text: str, code: int) -> None:
        """Say why, unless another rank has done so, and end all ranks."""
        if not self.told.is_set():
            path = checkpoints.latest()
            last = f"Last checkpoint: {path}" if path else "No checkpoint was written"
            with contextlib.suppress(OSError):  # past all buffers, as the process ends
                os.write(2, f"minigrad: {text}. {last}\n".encode())
        self.herald.tell("said")
        if self._thread is not None:  # tell all, so that none of them says why in its own way
            self._send_to_all(None, END)
            time.sleep(3 * TICK)
        self.mpi.COMM_WORLD.Abort(code)

    def leave(self) -> None:
        """Wait until all ranks have ended their programs, as long as it takes."""
        self.ended = True
        request = self.comm.Ibarrier()
        while not request.Test():
            time.sleep(1e-3)
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    # -- in a thread of its own ------------------------------------------------------------------

    def _run(self) -> None:
        known = ""
        while not self._stop.wait(TICK):
            # A program that was stopped and goes on has not been patient meanwhile.
            self._receive()
            if checkpoints.latest() != known:
                known = checkpoints.latest()
                self.herald.tell(f"checkpoint {known}")
                if self.rank == 0:
                    self._send_to_all(known, CHECKPOINT)
            self._waited = self._waited + TICK if self.waiting else 0.0
            self._since_question += TICK
            if self._since_question >= ASK:
                self._since_question = 0.0
                if self._waited >= ASK:
                    self._report()
                if self.rank == 0 and self._asked_for > 0.0:
                    self._ask()
            self._own_work = time.thread_time()

    def _send(self, value: Any, to: int, tag: int) -> None:
        self._sent = [one for one in self._sent if not one.Test()]
        self._sent.append(self.comm.isend(value, dest=to, tag=tag))

    def _send_to_all(self, value: Any, tag: int) -> None:
        for other in range(self.size):
            if other != self.rank:
                self._send(value, other, tag)

    def _receive(self) -> None:
        status = self.mpi.Status()
        while self.comm.iprobe(tag=self.mpi.ANY_TAG, status=status):
            source, tag = status.Get_source(), status.Get_tag()
            value = self.comm.recv(source=source, tag=tag)
            if tag == WAITING:
                if self._asked_for <= 0.0:
                    self._since_question = ASK  # at once: the other counts this rank's silence
                self._asked_for = 3 * ASK
            elif tag == QUESTION:
                self._silent_first = 0.0
                self._send(self.status(), source, ANSWER)
            elif tag == ANSWER:
                self._ranks[source].hear(value)
            elif tag == CHECKPOINT:
                checkpoints.note(value)
            elif tag == END:
                self.told.set()
                self.herald.tell("said")

    def status(self) -> Status:
        """Where this rank is."""
        frame = sys._current_frames().get(self._main or 0)
        place = ""
        at = None
        if frame is not None:
            code = frame.f_code
            at = (code.co_filename, frame.f_lasti)
            place = f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"
        return {
            "calls": self.calls,
            "waiting": self.waiting,
            "ended": self.ended,
            "place": place,
            "at": at,
            "work": time.process_time() - self._own_work,
        }

    def _report(self) -> None:
        """This rank has waited for a second: rank 0 must look for the reason."""
        if self.rank == 0:
            self._asked_for = 3 * ASK
            return
        self._send(None, 0, WAITING)
        self._silent_first += ASK
        # One after the other, so that one of them says it; and never before a question that rank 0
        # sends once a second could have come.
        if PATIENCE and self._silent_first >= PATIENCE + min(3, self.rank) * ASK:
            self._end("rank 0 does not answer: its process is stopped, or cannot be reached")

    def _ask(self) -> None:
        self._asked_for -= ASK
        self._ranks[0].hear(self.status())
        for other in range(1, self.size):
            self._ranks[other].silent += ASK
            self._send(None, other, QUESTION)
        if self._asked_for <= 0.0:
            self._ranks = [_Known() for _ in range(self.size)]
        problem = self._problem()
        if problem:
            self._end(problem)

    def _problem(self) -> str:
        """Why somebody will wait for ever, or ""."""
        ranks = self._ranks
        if PATIENCE:
            for r, one in enumerate(ranks):
                if one.silent >= PATIENCE:
                    return (
                        f"rank {r} of {self.size} does not answer: its process is stopped, or "
                        f"cannot be reached"
                    )
                if one.idle >= PATIENCE and one.last is not None:
                    return (
                        f"rank {r} of {self.size} hangs: it has stood at {one.last['place']} for "
                        f"{one.idle:.0f} s without using the processor, and others wait for it "
                        f"(longer waits: set MINIGRAD_MPI_PATIENCE, in seconds)"
                    )
        known = [one.last for one in ranks if one.last is not None and one.steady >= LASTING]
        if len(known) < self.size or not all(s["waiting"] or s["ended"] for s in known):
            return ""
        where = [
            "has ended its program"
            if one["ended"]
            else f"waits in {one['waiting']} (exchange {one['calls']})"
            for one in known
        ]
        if len(set(where)) == 1:
            return ""  # all of them wait for the network
        groups = {text: [r for r, other in enumerate(where) if other == text] for text in where}
        told = "; ".join(f"{_ranks(group)} {text}" for text, group in groups.items())
        return f"the ranks wait for each other: {told}. All ranks must make the same exchanges"

    def _end(self, text: str) -> None:
        if not self.told.is_set():
            self.fail(text, 1)


class _Known:
    """What rank 0 knows of a rank, and for how many seconds of asking nothing has changed."""

    def __init__(self) -> None:
        self.last: Status | None = None
        self.silent = self.idle = self.steady = 0.0
        self.work = 0.0

    def hear(self, status: Status) -> None:
        self.silent = 0.0
        before, self.last = self.last, status
        if before is None:
            self.work = status["work"]
            return
        same = all(before[key] == status[key] for key in ("calls", "waiting", "ended"))
        self.steady = self.steady + ASK if same else 0.0
        busy = status["waiting"] or status["ended"] or before["at"] != status["at"] or not same
        if busy or status["work"] - self.work > IDLE:
            self.idle, self.work = 0.0, status["work"]
        else:
            self.idle += ASK


def _ranks(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"rank {numbers[0]}"
    shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"each of the ranks {shown}"
