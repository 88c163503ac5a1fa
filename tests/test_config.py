"""What minigrad says about the machine, and how it handles BLAS, threads and scratch memory."""

import contextlib
import itertools
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.debug import environment as config
from minigrad.kernels import (
    blas,
    convolution,
    current,
    scratch as memory,
    threads as workers,
)
from minigrad.kernels.windows import sliding

#: Where the kernels are.
FOLDER = str(Path(blas.__file__).parent)


def test_show_config_names_what_matters(capsys):
    mg.show_config()
    out = capsys.readouterr().out
    for word in ("minigrad", "Python", platform.python_version(), "NumPy", np.__version__,
                 "processor", "features", "BLAS", "kernel", "threads"):  # fmt: skip
        assert word in out


@pytest.mark.parametrize(
    ("kernel", "features", "advice"),
    [
        ("Haswell", ["X86_V2", "X86_V3", "X86_V4"], "OPENBLAS_CORETYPE=SkylakeX"),
        ("Zen", ["SSE", "AVX2", "AVX512_SKX"], "OPENBLAS_CORETYPE=SkylakeX"),
        ("Nehalem", ["X86_V2", "X86_V3"], "OPENBLAS_CORETYPE=Haswell"),
        ("Prescott", ["SSE", "AVX2"], "OPENBLAS_CORETYPE=Haswell"),
        ("SkylakeX", ["X86_V4"], None),
        ("Cooperlake", ["X86_V4", "AVX512_ICL"], None),
        ("Haswell", ["X86_V3"], None),
        ("Nehalem", ["X86_V2"], None),
        (None, ["X86_V4"], None),
    ],
)
def test_advice_only_where_a_faster_kernel_would_run(kernel, features, advice, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    said = config.advise(kernel, features)
    assert (advice is None and said is None) or (said is not None and advice in said)


def test_no_advice_for_other_processors(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert config.advise("ARMV8", ["NEON"]) is None


def test_show_config_where_the_blas_is_not_known(monkeypatch, capsys):
    monkeypatch.setattr(blas, "_library", lambda: None)
    mg.show_config()
    assert "unknown" in capsys.readouterr().out
    with blas.one_thread():  # which changes nothing
        assert blas.threads() is None


class OtherBlas:
    """Another BLAS, as threadpoolctl describes it."""

    internal_api, version, dynlib, architecture = "blis", "1.0", None, "zen3"

    def __init__(self):
        self.seen = [4]

    def get_num_threads(self):
        return self.seen[-1]

    def set_num_threads(self, count):
        self.seen.append(count)


def test_a_blas_other_than_openblas_is_asked_through_threadpoolctl(monkeypatch):
    other = OtherBlas()
    monkeypatch.setattr(blas, "_library", lambda: other)
    assert (blas.name(), blas.architecture(), blas.threads()) == ("blis 1.0", None, 4)
    with blas.one_thread():
        assert blas.threads() == 1
    assert other.seen == [4, 1, 4]


@pytest.fixture
def other(monkeypatch):
    """Another BLAS in the place of NumPy's, on four threads."""
    other = OtherBlas()
    monkeypatch.setattr(blas, "_library", lambda: other)
    monkeypatch.setattr(blas, "_lock", blas._lock)
    kind = type(blas._lock)
    blas._after_fork()  # which makes a new one
    assert type(blas._lock) is kind
    return other


def block():
    with blas.one_thread():
        pass


def traced(function, files, happen):
    """Call a function, and ``happen(step)`` before each of the steps in these files."""
    steps = itertools.count()

    def trace(frame, *_):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        happen(next(steps))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return next(steps)


def test_an_interrupt_at_any_step_leaves_what_the_next_call_repairs(other):
    """Also while somebody keeps the traceback, as an interactive interpreter does."""
    kept = []
    for call in (block, blas.threads):
        for place in itertools.count():

            def happen(step, place=place):
                if step == place:
                    raise KeyboardInterrupt

            try:
                steps = traced(block, {blas.__file__, __file__}, happen)
            except KeyboardInterrupt as error:
                kept.append(error)
            else:
                break
            call()
            assert (other.get_num_threads(), blas.threads()) == (4, 4)
        assert steps > 20  # 160 in Python 3.11, 30 or so from 3.13 on


def ends(function):
    """Whether a function does within ten seconds."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


def test_a_signal_handler_may_use_blas_at_any_step(other):
    def work():
        for place in itertools.count():
            ran = []

            def happen(step, place=place, ran=ran):
                if step == place:
                    block()
                    ran.append(step)

            traced(block, {blas.__file__}, happen)
            assert (other.get_num_threads(), blas._inside, blas._before) == (4, {}, 1)
            if not ran:
                done.append(place)
                return

    done = []
    assert ends(work)
    assert done
    assert done[0] > 50


def test_threads_of_blas_that_are_set_meanwhile_stay(other):
    for within, after in [(other.set_num_threads, 3), (blas.set_threads, 2), (blas.set_threads, 1)]:
        blas.set_threads(4)
        with blas.one_thread():
            within(after)
            with blas.one_thread():
                pass
        assert blas.threads() == after
    for now in (3, 1):
        other.set_num_threads(now)
        block()
        assert blas.threads() == now


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_forked_process_has_all_threads_of_blas(where, other):
    """Of the thread that computed meanwhile there is nothing in it."""
    begun, over = threading.Event(), threading.Event()

    def work():
        with blas.one_thread():
            begun.set()
            over.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    with blas.one_thread() if where == "inside" else contextlib.nullcontext():
        child = os.fork()
    if not child:
        os._exit(other.get_num_threads())
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert blas.threads() == 4


needs_known_blas = pytest.mark.skipif(
    blas.threads() is None, reason="threadpoolctl does not know this BLAS"
)


@needs_known_blas
def test_blas_threads_are_put_back():
    before = blas.threads()
    with blas.one_thread():
        assert blas.threads() == 1
        with blas.one_thread():
            assert blas.threads() == 1
        assert blas.threads() == 1
    assert blas.threads() == before


@needs_known_blas
def test_blas_threads_are_put_back_when_threads_overlap_and_fail():
    script = """
import threading
from pathlib import Path
from minigrad.kernels import blas
before = blas.threads()
barrier = threading.Barrier(4)
def work(fail):
    try:
        with blas.one_thread():
            barrier.wait()
            assert blas.threads() == 1
            if fail:
                raise ValueError
    except ValueError:
        pass
threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(before, blas.threads())
"""
    env = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    out = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    before, after = out.stdout.split()
    assert before == after


def test_convolutions_are_the_same_on_any_number_of_threads(monkeypatch):
    import minigrad.nn.functional as F

    rng = np.random.default_rng(0)
    x = mg.tensor(rng.random((12, 8, 20, 20)), requires_grad=True)
    w = mg.tensor(rng.random((8, 8, 3, 3)), requires_grad=True)
    found = []
    monkeypatch.setattr(workers, "WORTH_SPLITTING", 0.0)
    for count in (1, 2, 5):
        monkeypatch.setattr(workers, "threads", lambda count=count: count)
        x.grad = w.grad = None
        y = F.max_pool2d(F.conv2d(x, w, padding=1), 2)
        y.sum().backward()
        found.append((y.numpy(), x.grad.numpy(), w.grad.numpy()))
    for one in found[1:]:
        for a, b in zip(one, found[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_convolutions_on_several_threads_of_the_user_do_not_share_scratch():
    import minigrad.nn.functional as F

    rng = np.random.default_rng(0)
    images = [mg.tensor(rng.random((2, 3, 16, 16))) for _ in range(4)]
    w = mg.tensor(rng.random((4, 3, 3, 3)))
    expected = [F.conv2d(x, w, padding=1).numpy() for x in images]
    wrong = []

    def work(i):
        results = [F.conv2d(images[i], w, padding=1).numpy() for _ in range(50)]
        wrong.extend(i for y in results if not np.array_equal(y, expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_scratch_is_bounded_and_used_again():
    def work(found):
        found += [
            memory.scratch("test", (10, 10), np.dtype(np.float32)),
            memory.scratch("test", (5, 5), np.dtype(np.float64)),
            memory.scratch("test", (memory.KEPT + 1,), np.dtype(np.uint8)),
        ]

    found, later = [], []
    memory.with_scratch(work, found)
    memory.with_scratch(work, later)
    small, again, huge = found
    assert np.shares_memory(small, again)
    assert np.shares_memory(small, later[0])
    assert not np.shares_memory(huge, again)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_work_that_is_shared_out_has_scratch(seconds, monkeypatch):
    monkeypatch.setattr(workers, "threads", lambda: 2)
    monkeypatch.setattr(workers._helpers, "call", lambda *_: None)  # all of it is done here
    found = []

    def work(_):
        found.append(memory.scratch("test", (5,), np.dtype(np.float32)))

    for _ in range(2):
        workers.run(work, range(2), seconds)
    assert all(np.shares_memory(found[0], one) for one in found)


@pytest.mark.parametrize("fails", [False, True])
def test_scratch_in_use_is_not_for_work_within_the_work(fails):
    dtype = np.dtype(np.float32)

    def inner(found):
        found.append(memory.scratch("test", (5,), dtype))
        if fails:
            raise KeyboardInterrupt

    def outer(found):
        found.append(memory.scratch("test", (5,), dtype))
        for _ in range(2):
            with contextlib.suppress(KeyboardInterrupt):
                memory.with_scratch(inner, found)
        found.append(memory.scratch("test", (5,), dtype))

    found = []
    memory.with_scratch(outer, found)
    first, second, third, last = found
    assert np.shares_memory(first, last)
    assert np.shares_memory(second, third)
    assert not np.shares_memory(first, second)
    outside = memory.scratch("test", (5,), dtype)
    assert not any(np.shares_memory(outside, one) for one in found)


@pytest.mark.parametrize(
    ("channels", "name"), [(c, name) for c in (3, 16) for name in ("conv2d", "pool")]
)
def test_a_signal_handler_may_compute_at_any_line_of_a_kernel(channels, name, monkeypatch):
    rng = np.random.default_rng(channels)
    windows = sliding("test", (7, 7), (3, 3), 1, (1, 1))

    def draw():
        x, g, c = (rng.standard_normal((1, channels, 7, 7)).astype(np.float32) for _ in range(3))
        w = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)
        if name == "pool":
            ans = current.max_pool2d(x, windows)
            return [
                lambda: current.max_pool2d(x, windows),
                lambda: current.max_pool2d_grad(g, x, ans, windows),
                lambda: current.max_pool2d_pick(c, x, ans, windows),
            ]
        return [
            lambda: current.conv2d(x, w, None, windows, 1),
            lambda: current.conv2d_input_grad(g, w, windows, 1),
            lambda: current.conv2d_weight_grad(x, g, windows, 1),
        ]

    monkeypatch.setattr(convolution, "FEW", 0)  # or small convolutions are the definition itself
    for here, there in zip(draw(), draw(), strict=True):
        expected, other = here(), there()

        def trace(frame, event, _, there=there, other=other):
            if not frame.f_code.co_filename.startswith(FOLDER):
                return None
            if event == "line":
                np.testing.assert_array_equal(there(), other)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            found = here()
        finally:
            sys.settrace(before)
        np.testing.assert_array_equal(found, expected)
