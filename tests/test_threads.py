"""How one operator's work is shared out over threads."""

import os
import threading
import weakref

import numpy as np
import pytest

from minigrad.kernels import threads


@pytest.fixture(autouse=True)
def helpers(monkeypatch):
    """Two helpers, whatever the machine has."""
    monkeypatch.setattr(threads, "threads", lambda: 3)
    monkeypatch.setattr(threads._helpers, "resting_until", 0.0)
    monkeypatch.setattr(threads, "LATE", 1e9)  # or a busy machine would have them rest
    return threads._helpers


def each(work, count, shares=1):
    """Share out so many pieces, and call ``work`` with each."""
    threads.run(lambda some: [work(k) for k in some], range(count), 1.0, shares=shares)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (1, [[0, 1], [2, 3, 4], [5, 6, 7]]),
        (2, [[0], [1], [2, 3], [4], [5], [6, 7]]),
        (4, [[k] for k in range(8)]),
    ],
)
@pytest.mark.parametrize("come", [True, False], ids=["helpers come", "no helper comes"])
def test_each_call_gets_neighbouring_pieces(shares, expected, come, helpers, monkeypatch):
    if not come:
        monkeypatch.setattr(helpers, "call", lambda *_: None)
    seen = []
    threads.run(lambda some: seen.append([*some]), range(8), 1.0, shares=shares)
    assert sorted(seen) == expected
    if not come:
        assert seen == expected


def test_all_threads_are_at_work_at_once():
    together = threading.Barrier(3)
    found = []
    each(lambda k: (together.wait(60), found.append(threading.current_thread().name)), 3)
    assert len({*found}) == 3
    assert sorted(name.partition("_")[0] for name in found) == ["MainThread", *["minigrad"] * 2]


@pytest.mark.parametrize(("part", "calls"), [(1.0, 1), (0.25, 3)])
def test_little_work_stays_on_its_thread(part, calls):
    seen = []
    seconds = threads.WORTH_SPLITTING / 2
    threads.run(seen.append, range(3), seconds, part)
    assert len(seen) == calls
    threads.run(seen.append, range(1), 1.0)
    assert len(seen) == calls + 1


@pytest.mark.parametrize("where", ["MainThread", "minigrad"])
@pytest.mark.parametrize("error", [ValueError, IndexError, KeyboardInterrupt])
def test_an_error_ends_the_work_and_arrives_after_the_others_have_ended(where, error, monkeypatch):
    together, stopped = threading.Barrier(3), threading.Event()
    begun, ended = [], []

    class Left(threads.deque):
        def clear(self):
            super().clear()
            stopped.set()

    def work(k):
        begun.append(k)
        together.wait(60)
        if threading.current_thread().name.startswith(where):
            raise error("here")
        assert stopped.wait(60)
        ended.append(k)

    with monkeypatch.context() as patch:
        patch.setattr(threads, "deque", Left)
        with pytest.raises(error, match="here"):
            each(work, 300, shares=100)
    assert sorted(begun) == [0, 1, 2], "the rest is left"
    assert len(ended) == (2 if where == "MainThread" else 1)
    seen = []
    each(seen.append, 300, shares=100)
    assert sorted(seen) == [*range(300)], "the threads go on helping"


def test_work_within_work_and_of_several_callers_is_done():
    found = []

    def inner(k):
        each(lambda i: found.append((k, i)), 5, shares=2)

    callers = [threading.Thread(target=each, args=(inner, 6, 2)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert sorted(found) == sorted([(k, i) for k in range(6) for i in range(5)] * 4)


def test_settings_of_numpy_hold_in_all_threads():
    together = threading.Barrier(3)
    with np.errstate(divide="raise"):
        found = []
        each(lambda _: (together.wait(60), found.append(np.geterr()["divide"])), 3)
    assert found == ["raise"] * 3


def test_nothing_is_kept_of_the_work():
    class Argument:
        pass

    def share_out(argument):
        together = threading.Barrier(3)
        each(lambda _: (together.wait(60), argument), 3)

    argument = Argument()
    gone = weakref.ref(argument)
    share_out(argument)
    del argument
    done = threading.Barrier(3)
    each(lambda _: done.wait(60), 3)  # now all of them have let the work before go
    assert gone() is None


def test_nothing_is_kept_of_work_that_busy_helpers_have_not_begun(helpers):
    begun, free = threading.Barrier(4), threading.Event()
    other = threading.Thread(target=each, args=(lambda _: (begun.wait(60), free.wait(60)), 3))
    other.start()
    begun.wait(60)  # the helpers and that thread now wait

    class Argument:
        pass

    argument = Argument()
    gone = weakref.ref(argument)

    def share_out(argument):
        each(lambda _: argument, 3)

    share_out(argument)
    del argument
    assert gone() is None
    assert helpers.calls.qsize() == 2, "which tell of work that is over"
    free.set()
    other.join(60)
    seen = []
    each(seen.append, 30, shares=10)
    assert sorted(seen) == [*range(30)]


def test_who_waits_for_others_works_alone_for_a_while(helpers, monkeypatch):
    now = [128.0]
    monkeypatch.setattr(threads, "LATE", 0.25)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    names = []

    def together(seconds, waited):
        barrier = threading.Barrier(3)

        def work(_):
            barrier.wait(60)
            names.append(threading.current_thread().name)
            if names[-1] == "MainThread":
                now[0] += seconds

        finish = threads._Job._finish

        def late(job, count):
            now[0] += waited
            return finish(job, count)

        monkeypatch.setattr(threads._Job, "_finish", late)
        each(work, 3)
        monkeypatch.setattr(threads._Job, "_finish", finish)

    together(1.0, 1.0)  # it waits, but no longer than it has worked
    together(0.0, threads.LATE)
    assert helpers.resting_until == 0.0
    together(0.5, 0.75)
    assert helpers.resting_until == now[0] + threads.ALONE
    alone = []
    threads.run(lambda some: alone.append(([*some], threading.current_thread().name)), range(3), 1)
    assert alone == [([k], "MainThread") for k in range(3)], "in the same groups"
    now[0] += 2 * threads.ALONE
    together(1.0, 0.0)


def test_helpers_keep_off_the_processor_of_who_calls(helpers, monkeypatch):
    allowed = []
    monkeypatch.setattr(threads, "_processor", lambda: -1)  # a system that does not tell
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(
        threads.os, "sched_setaffinity", lambda i, to: allowed.append((i, to)), raising=False
    )
    each(lambda _: None, 3)
    assert allowed == []
    numbers = [thread.native_id for thread in helpers.threads]
    for processor, to in [(1, {0}), (1, None), (0, {1}), (-1, None), (1, {0})]:
        monkeypatch.setattr(threads, "_processor", lambda processor=processor: processor)
        each(lambda _: None, 3)
        assert allowed == ([] if to is None else [(i, to) for i in numbers])
        del allowed[:]
    monkeypatch.setattr(threads, "_processor", lambda: 0)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0}, raising=False)
    each(lambda _: None, 3)
    assert allowed == [], "there is no other"

    def refuse(*_):
        raise OSError("it is gone")

    monkeypatch.setattr(threads, "_processor", lambda: 1)
    monkeypatch.setattr(threads.os, "sched_setaffinity", refuse, raising=False)
    each(lambda _: None, 3)


def test_helpers_end_when_they_are_told_to_and_start_again(helpers):
    each(lambda _: None, 3)
    before = [*helpers.threads]
    helpers.stop()
    assert not any(thread.is_alive() for thread in before)
    together = threading.Barrier(3)
    each(lambda _: together.wait(60), 3)
    assert len(helpers.threads) == 2


@pytest.mark.parametrize("when", ["before", "while", "after"])
def test_helpers_end_also_when_the_start_of_one_was_interrupted(when, helpers, monkeypatch):
    helpers.stop()
    start = threading.Thread.start

    def interrupted(thread):
        if when != "before":
            start(thread)
        if when == "while":  # before it is known that it runs
            monkeypatch.setattr(thread, "is_alive", lambda: False)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            each(lambda _: None, 3)
    assert len(helpers.threads) == (when == "after")
    together = threading.Barrier(3)
    each(lambda _: together.wait(60), 3)
    assert len(helpers.threads) == 2
    started = [one for one in threading.enumerate() if one.name.startswith("minigrad_")]
    assert len(started) == (3 if when == "while" else 2)
    stopping = threading.Thread(target=helpers.stop, daemon=True)
    stopping.start()
    for thread in [stopping, *started]:
        threading.Thread.join(thread, 10)
        assert not threading.Thread.is_alive(thread)


def test_a_signal_handler_may_share_out_work_while_helpers_start(helpers, monkeypatch):
    helpers.stop()
    start, seen = threading.Thread.start, []

    def interrupted(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        each(seen.append, 3)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    calling = threading.Thread(target=each, args=(seen.append, 3), daemon=True)
    start(calling)
    calling.join(10)
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]
    assert not calling.is_alive()


def test_work_is_done_where_no_thread_can_be_started(helpers, monkeypatch):
    helpers.stop()

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen = []
    each(seen.append, 5)
    assert seen == [*range(5)]
    assert not helpers.threads
    assert helpers.calls.empty()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_helpers_of_its_own():
    each(lambda _: None, 3)
    child = os.fork()
    if not child:
        together = threading.Barrier(3)
        each(lambda _: together.wait(60), 3)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_waiting_awake_ends_with_the_bell_or_after_a_while():
    waiting = pytest.importorskip("minigrad.kernels.compiled.waiting")
    look_out = waiting.prepare()
    if look_out is None:
        pytest.skip("this system does not let a thread give way")
    bell = np.zeros(1, np.int64)
    look_out(bell, 0)  # nobody rings
    look_out(bell, 1)
    started = threading.Event()

    def ring():
        started.wait(60)
        bell[0] += 1

    ringing = threading.Thread(target=ring)
    ringing.start()
    started.set()
    waiting._look_out(bell, 0, 1 << 62)  # for ever, if it did not hear
    ringing.join()
    assert bell[0] == 1
