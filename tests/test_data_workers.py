"""Batches made by worker processes: the same ones, and nothing is left behind when it goes wrong."""

import functools
import gc
import mmap
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
import minigrad.data.workers as machinery
from minigrad.data import (
    ArrayDataset,
    Compose,
    DataLoader,
    RandomCrop,
    RandomHorizontalFlip,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tests fork")


class Drawing:
    """A data set that draws random numbers for its samples, in all the ways there are."""

    def __init__(self, count=23):
        self.count = count
        self.images = np.random.default_rng(5).random((count, 1, 6, 6)).astype(np.float32)

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return self.images[i] + mg.rand(1, 6, 6).numpy(), {"index": i, "name": f"no. {i}"}


def told(batches):
    return [(x.numpy(), rest["index"].tolist(), rest["name"]) for x, rest in batches]


def same(a, b):
    assert len(a) == len(b)
    for (x, *rest), (y, *others) in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
        assert rest == others


DESCRIPTORS = Path("/proc/self/fd")


def named_memory():
    """The pieces of shared memory with a name that Python makes."""
    return {path for path in Path("/dev/shm").glob("*") if path.name.startswith(("psm", "sem"))}


@pytest.fixture(autouse=True)
def nothing_is_left():
    resource_tracker.ensure_running()  # Python's own, which stays where it was started once
    gc.collect()  # what other tests have left open
    descriptors, shared = len(list(DESCRIPTORS.iterdir())), named_memory()
    yield
    assert not multiprocessing.active_children()
    assert len(list(DESCRIPTORS.iterdir())) <= descriptors
    assert named_memory() == shared


def loader(workers, **settings):
    crops = Compose([RandomCrop(6, padding=2), RandomHorizontalFlip()])
    settings = {"shuffle": True, "seed": 3, "transform": crops} | settings
    return DataLoader(Drawing(), 4, num_workers=workers, **settings)


@pytest.mark.parametrize(("workers", "prefetch"), [(0, 3), (1, 0), (2, 1), (3, 3), (9, 0)])
def test_workers_make_the_batches_that_one_process_makes(workers, prefetch):
    mg.manual_seed(1)
    expected = [told(loader(0)), mg.rand(2).tolist()]
    mg.manual_seed(1)
    found = [told(loader(workers, prefetch=prefetch)), mg.rand(2).tolist()]
    same(expected[0], found[0])
    assert expected[1] == found[1]


def test_epochs_differ_without_shuffling_when_a_data_set_draws():
    a, b = (loader(workers, shuffle=False, seed=0, transform=None) for workers in (0, 2))
    first, second = told(a), told(a)
    assert first[0][1] == second[0][1] == [0, 1, 2, 3]
    assert not np.array_equal(first[0][0], second[0][0])
    same(first + second, told(b) + told(b))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_with_workers_resumes_with_the_next_batch(workers):
    expected = told(loader(0))
    first, other = loader(2), loader(workers)
    running = iter(first)
    done = told([next(running) for _ in range(3)])
    other.load_state_dict(first.state_dict())
    del running
    same(done + told(other), expected)


class Sizes:
    """Samples of many shapes and dtypes, also none that shared memory could hold."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return i

    @staticmethod
    def collated(chosen):
        size = 10 ** (chosen[0] % 4) * 7
        return {
            "big": np.arange(size, dtype=np.float64),
            "every other": np.arange(10)[::-2],
            "turned": np.arange(12.0).reshape(3, 4).T,
            "empty": np.zeros((0, 3), np.int16),
            "number": np.array(chosen[0]),
            "flags": (np.arange(5) % 2 == 0, [mg.ones(2), "text", None]),
        }


def test_batches_of_any_size_and_kind_come_back_whole():
    def batches(workers):
        return list(DataLoader(Sizes(), collate_fn=Sizes.collated, num_workers=workers))

    for a, b in zip(batches(0), batches(2), strict=True):
        for key in ("big", "every other", "turned", "empty", "number"):
            assert (a[key].dtype, a[key].shape) == (b[key].dtype, b[key].shape)
            np.testing.assert_array_equal(a[key].numpy(), b[key].numpy())
        assert b["flags"][0].tolist() == [True, False, True, False, True]
        assert b["flags"][1][0].tolist() == [1.0, 1.0]
        assert b["flags"][1][1:] == ["text", None]


def test_batches_stay_as_they_came_while_later_ones_are_made():
    batches = list(DataLoader(np.arange(4000), 4, num_workers=2, prefetch=1))
    np.testing.assert_array_equal(np.concatenate([x.numpy() for (x,) in batches]), np.arange(4000))


def test_global_generators_differ_from_batch_to_batch_and_repeat():
    class Old:
        def __len__(self):
            return 12

        def __getitem__(self, i):
            return np.random.random()

    state = np.random.get_state()[1].copy()
    runs = [
        [x.tolist() for x in DataLoader(Old(), 2, seed=1, num_workers=workers)]
        for workers in (2, 3)
    ]
    assert runs[0] == runs[1]
    assert len({value for batch in runs[0] for value in batch}) == 12
    np.testing.assert_array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_without_shared_memory_and_without_fork_the_batches_are_pickled(method, monkeypatch):
    monkeypatch.setattr("minigrad.data.workers.METHOD", method)
    monkeypatch.setattr("minigrad.data.workers.SHARES", False)
    batches = list(DataLoader(np.arange(7.0), 3, num_workers=1))
    assert [x.tolist() for (x,) in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    if method == "spawn":
        with pytest.raises(TypeError, match=r"DataLoader: on this system num_workers needs a data"):
            list(DataLoader(np.arange(7.0), transform=lambda x: x, num_workers=1))


# -- what goes wrong -------------------------------------------------------------------------------


class AwkwardError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class Trouble:
    """A data set whose sample 7 does something."""

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 100

    def __getitem__(self, i):
        if i == 7:
            self.act()
        return i


def raise_it(error):
    raise error


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_comes_at_its_batch_with_the_sample(workers):
    batches = iter(
        DataLoader(Trouble(lambda: raise_it(ZeroDivisionError("oh"))), 2, num_workers=workers)
    )
    assert [next(batches).tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ZeroDivisionError, match=r"^oh") as caught:
        next(batches)
    notes = "\n".join(caught.value.__notes__)
    assert "DataLoader: while reading sample 7" in notes
    assert "in batch 3, of the samples 6, 7" in notes
    if workers:
        assert f"In worker process {3 % workers} of the DataLoader:\nTraceback" in notes
        assert "in raise_it" in notes


def test_an_error_that_cannot_be_pickled_is_told():
    trouble = Trouble(lambda: raise_it(AwkwardError(1, 2)))
    with pytest.raises(RuntimeError, match=r"^AwkwardError: 1 and 2") as caught:
        list(DataLoader(trouble, num_workers=1))
    assert "while reading sample 7" in caught.value.__notes__[0]

    local = [lambda: None]
    with pytest.raises((AttributeError, TypeError, RuntimeError), match="pickle"):
        list(DataLoader(local, collate_fn=lambda samples: samples, num_workers=1))


def hang_up():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL"),
        (hang_up, "was killed by SIGHUP"),
        (lambda: sys.exit(3), "ended with exit code 3"),
        (lambda: os._exit(0), "ended with exit code 0"),
    ],
    ids=["killed", "hung up", "exit", "exit 0"],
)
def test_a_worker_that_is_gone_is_noticed(act, text):
    with pytest.raises(
        RuntimeError, match=f"DataLoader: worker process 1 {text} while it made bat"
    ):
        list(DataLoader(Trouble(act), num_workers=2))


def test_stopping_early_ends_the_workers():
    for (batch,) in DataLoader(np.arange(1000), 2, num_workers=2):
        if batch.tolist() == [4, 5]:
            break
    assert not multiprocessing.active_children()
    unused = iter(DataLoader(np.arange(1000), 2, num_workers=2))
    del unused
    trainer = mg.Trainer(mg.nn.Linear(2, 1), loss="mse")
    data = ArrayDataset(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32))
    trainer.fit(DataLoader(data, 4, num_workers=2), epochs=2, verbose=0)
    assert len(trainer.history) == 2


PROGRAM = """
import sys, time
from minigrad.data import DataLoader

class Slow:
    def __len__(self):
        return 100
    def __getitem__(self, i):
        if i > 5 and sys.argv[1] == "workers":
            time.sleep(60)
        return i

for batch in DataLoader(Slow(), num_workers=2):
    if batch.item() == 5:
        print("ready", flush=True)
        if sys.argv[1] == "parent":
            time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("busy", "how"), [("workers", signal.SIGINT), ("parent", signal.SIGKILL)], ids=str
)
def test_workers_end_with_their_parent(busy, how):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, busy], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    if how == signal.SIGINT:  # as a terminal does it: to the whole group
        os.killpg(program.pid, how)
    else:
        program.kill()
    # The pipes end when the last process that holds them has ended.
    _, errors = program.communicate(timeout=30)
    assert errors.count("KeyboardInterrupt") == errors.count("Traceback") == (how == signal.SIGINT)


# -- one worker, in this process -------------------------------------------------------------------


@pytest.fixture
def in_this_process():
    """Lets the code of a worker run here, and gives the connection from which its parent reads."""
    handlers = [(s, signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)]
    state, global_state = random.getstate(), np.random.get_state()
    connections = []

    def run(make, numbers, ahead, index, seed=7):
        ours, theirs = multiprocessing.Pipe()
        connections.extend([ours, theirs])
        for number in numbers:
            ours.send(number)
        with socket.socket(fileno=os.dup(ours.fileno())) as end:
            end.shutdown(socket.SHUT_WR)  # no more numbers
        held, others = multiprocessing.Pipe()  # of the parent, where the process is a fork
        machinery._work(make, seed, theirs, ahead, index, [held, others])
        assert held.closed
        assert others.closed
        return ours

    yield run
    for connection in connections:
        connection.close()
    for number, handler in handlers:
        signal.signal(number, handler)
    random.setstate(state)
    np.random.set_state(global_state)


def answers(connection, count):
    """What a worker has sent that had a piece of memory for each batch."""
    seen = object.__new__(machinery._Worker)
    seen.connection = connection
    seen.turns = iter([machinery._Place() for _ in range(count)])
    silent, other = multiprocessing.Pipe()
    seen.process = SimpleNamespace(sentinel=silent)
    with silent, other:
        return [seen.answer(number) for number in range(count)]


def test_memory_is_made_anew_only_for_a_batch_that_does_not_fit():
    page = mmap.PAGESIZE
    theirs, ours = machinery._Place(), machinery._Place()
    for nbytes, pages in [(0, 0), (1, 1), (page, 0), (page + 1, 2), (10, 0), (5 * page, 8)]:
        array = np.random.default_rng(nbytes).integers(256, size=nbytes, dtype=np.uint8)
        parts, descriptor, size = theirs.write([memoryview(array)])
        assert (size, descriptor != 0) == (pages * page, pages > 0)
        if size:
            ours.map(descriptor, size)
        assert ours.read(parts) == [array.tobytes()]


def test_arrays_of_a_batch_lie_apart_and_aligned():
    place = machinery._Place()
    arrays = [bytes([i + 1]) * n for i, n in enumerate([1, 64, 65, 0, 1, 10])]
    parts, descriptor, size = place.write([memoryview(a) for a in arrays])
    os.close(descriptor)
    assert [part.start for part in parts] == [0, 64, 128, 256, 256, 320]
    assert size == mmap.PAGESIZE
    assert place.read(parts) == arrays


def test_a_worker_seeds_what_data_sets_draw_from_and_tells_of_errors(in_this_process):
    def make(number):
        if number == 3:
            error = KeyError("missing")
            error.add_note("a note before")
            raise error
        return mg.tensor([random.random(), np.random.random()])

    def drawn(seed, index):
        batches = answers(in_this_process(make, [0, 1, 2, 4], 4, index, seed), 4)
        return [batch.tolist() for batch in batches]

    first = drawn(seed=7, index=0)
    for number, found in zip([0, 1, 2, 4], first, strict=True):
        words = np.random.SeedSequence([7, number]).generate_state(2)
        random.seed(int(words[0]))
        expected = [random.random(), np.random.RandomState(words[1]).random_sample()]
        assert found == np.float32(expected).tolist()
    assert drawn(seed=7, index=5) == first  # which worker it is makes no difference
    values = [v for pair in first + drawn(seed=8, index=0) for v in pair]
    assert len(set(values)) == len(values) == 16
    with pytest.raises(KeyError, match="missing") as caught:
        answers(in_this_process(make, [3], 1, 4), 1)
    os.fstat(1)  # nothing was sent, and no descriptor was closed
    before, note = caught.value.__notes__
    assert before == "a note before"
    assert note.startswith("In worker process 4 of the DataLoader:\nTraceback")
    assert note.endswith("KeyError: 'missing'\na note before")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_fork_closes_the_ends_that_are_its_parents(method, monkeypatch):
    """Its own and those of the workers before; what is started anew holds none of them."""
    started = []

    class Process:
        def __init__(self, target, args, name, daemon):
            started.append((args[3:5], args[-1], name, daemon))

        def start(self):
            pass

    context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=Process)
    monkeypatch.setattr(machinery, "METHOD", method)
    monkeypatch.setattr(
        machinery.multiprocessing, "get_context", lambda found: {method: context}[found]
    )
    workers = []
    for index in range(3):
        workers.append(machinery._Worker(len, 7, index, 2, workers))
    ends = [worker.connection for worker in workers]
    for index, told in enumerate(started):
        held = ends[: index + 1] if method == "fork" else []
        assert told == ((2, index), held, f"minigrad-worker-{index}", True)
    for end in ends:
        end.close()


@pytest.mark.parametrize("ends_with", ["by itself", "terminate", "kill", None])
def test_a_worker_is_waited_for_and_then_made_to_end(ends_with):
    told = []

    class Process:
        exitcode = None

        def act(self, what, seconds=None):
            told.append(what if seconds is None else (what, seconds))
            if ends_with == what or (ends_with == "by itself" and what == "join"):
                self.exitcode = 0

        join = functools.partialmethod(act, "join")
        terminate = functools.partialmethod(act, "terminate")
        kill = functools.partialmethod(act, "kill")
        close = functools.partialmethod(act, "close")

    ended = object.__new__(machinery._Worker)
    ended.process, ended.places = Process(), [machinery._Place()]
    ended.places[0].memory = object()
    ended.end(until=time.monotonic() - 100)  # its time is over
    after = [("join", machinery.PATIENCE)]
    most = {"by itself": 1, "terminate": 2}.get(ends_with, 3)
    expected = [("join", 0.0), "terminate", *after, "kill", *after][: 2 * most - 1]
    assert told == [*expected, "close"]
    assert ended.places[0].memory is None
