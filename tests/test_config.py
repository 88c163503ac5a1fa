"""What minigrad says about the machine, and how it handles BLAS, threads and scratch memory."""

import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.debug import environment as config
from minigrad.kernels import blas, scratch as memory, threads as workers


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


def test_an_interrupt_on_the_way_in_puts_the_threads_of_blas_back(monkeypatch):
    class Interrupted:
        ends = 0

        def __enter__(self):
            pass

        def __exit__(self, *_):
            self.ends += 1
            if self.ends == 1:
                raise KeyboardInterrupt

    other = OtherBlas()
    monkeypatch.setattr(blas, "_library", lambda: other)
    monkeypatch.setattr(blas, "_lock", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        blas.one_thread().__enter__()
    assert (blas.threads(), blas._inside) == (4, 0)


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
    small = memory.scratch("test", (10, 10), np.dtype(np.float32))
    again = memory.scratch("test", (5, 5), np.dtype(np.float64))
    assert np.shares_memory(small, again)
    huge = memory.scratch("test", (memory.KEPT + 1,), np.dtype(np.uint8))
    assert not np.shares_memory(huge, again)
