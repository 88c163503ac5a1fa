"""Which set of kernels runs, what happens where numba is missing or broken, and bad input to it."""

import importlib.util
import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from minigrad.kernels import choice, convolution, current, plain
from minigrad.kernels.windows import sliding

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba, which the extra `fast` brings"
)


def python(code, folder=None, **environment):
    """What a program prints to stdout and stderr; modules in ``folder`` are found first."""
    before = {k: v for k, v in os.environ.items() if k != choice.VARIABLE}
    path = os.pathsep.join([str(folder)] * (folder is not None) + sys.path)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**before, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout, done.stderr


LARGE = """
    import numpy as np, minigrad as mg, minigrad.nn.functional as F
    x = np.ones((4, 4, 30, 30), np.float32)
    print(F.max_pool2d(mg.tensor(x), 2).numpy().sum())
    mg.show_config()
"""


@pytest.fixture
def fresh():
    """The question whether numba works is asked anew."""
    choice.problem.cache_clear()
    yield
    choice.problem.cache_clear()


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "cuda")
    with pytest.raises(ValueError, match="MINIGRAD_KERNELS must be numpy or numba, got 'cuda'"):
        choice.choose("conv2d", convolution.conv2d)


def test_numpy_is_numpy(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "numpy")
    assert choice.choose("conv2d", convolution.conv2d) is convolution.conv2d
    assert choice.describe() == "numpy (MINIGRAD_KERNELS=numpy)"


def test_where_numba_is_missing(monkeypatch, fresh):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.choose("conv2d", convolution.conv2d) is convolution.conv2d
    assert choice.describe() == "numpy (numba is not installed: pip install 'minigrad[fast]')"
    monkeypatch.setenv(choice.VARIABLE, "numba")
    with pytest.raises(ImportError, match=r"MINIGRAD_KERNELS=numba, but .*pip install 'minigrad"):
        choice.choose("conv2d", convolution.conv2d)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('Numba needs NumPy 1.0 or less')", "needs NumPy 1.0 or less"),
        ("raise OSError('libsvml.so: cannot open')", "OSError: libsvml.so: cannot open"),
        ("__version__ = '0.59.1'", "it is 0.59.1, and at least 0.61 is needed"),
        ("", "has no attribute '__version__'"),
    ],
)
def test_numpy_takes_over_where_numba_does_not_work(tmp_path, source, said):
    (tmp_path / "numba.py").write_text(source)
    out, err = python(LARGE, tmp_path)
    assert "3600.0" in out
    assert "numpy (numba does not work here: " in out
    assert said in out
    assert not err
    _, err = python(LARGE, tmp_path, MINIGRAD_KERNELS="numba")
    assert "ImportError: MINIGRAD_KERNELS=numba, but numba does not work here" in err
    assert said in err


def test_neither_the_import_nor_a_small_computation_loads_numba(tmp_path):
    (tmp_path / "numba.py").write_text("print('numba is imported')")
    code = """
        import numpy as np, minigrad as mg
        from minigrad import nn, optim
        import minigrad.nn.functional as F
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Flatten())
        loss = model(mg.tensor(np.ones((2, 1, 6, 6), np.float32))).sum()
        loss.backward()
        optim.Adam(model.parameters()).step()
        print("done")
    """
    assert python(code, tmp_path) == ("done\n", "")
    assert "numba is imported" in python(LARGE, tmp_path)[0]


# -- with numba ------------------------------------------------------------------------------------


@needs_numba
def test_where_numba_compiles_nothing_numpy_takes_over():
    out, _ = python(LARGE, NUMBA_DISABLE_JIT="1")
    assert "numpy (numba compiles nothing, as NUMBA_DISABLE_JIT is set)" in out


@needs_numba
def test_show_config_says_that_numba_runs():
    out, _ = python(LARGE)
    assert "kernels" in out
    assert "numba 0." in out
    assert "3600.0" in out


@needs_numba
def test_the_first_compilation_says_so_in_one_line_and_the_next_run_finds_it(tmp_path):
    _, err = python(LARGE, NUMBA_CACHE_DIR=str(tmp_path))
    assert err == "minigrad: compiling kernels; the next run finds them on disk\n"
    _, err = python(LARGE, NUMBA_CACHE_DIR=str(tmp_path))
    assert not err


@needs_numba
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    out, _ = python(LARGE, NUMBA_CACHE_DIR=str(tmp_path / "file" / "below"))
    assert "numba 0." in out
    assert "3600.0" in out


@needs_numba
@pytest.mark.parametrize(
    ("kernel", "groups", "stride", "last", "left"),
    [
        (3, 1, 1, False, False), (3, 4, 1, False, True), (3, 4, 1, True, True),
        (3, 4, 2, False, False), (3, 8, 1, False, False), (1, 1, 1, False, True),
        (1, 1, 1, True, False), (1, 1, 2, False, False),
    ],
)  # fmt: skip
def test_convolutions_go_where_they_are_faster(kernel, groups, stride, last, left, monkeypatch):
    from minigrad.kernels.compiled import convolution as compiled

    rng = np.random.default_rng(0)
    windows = sliding("test", (6, 6), kernel, stride)
    x, w, g = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((2, 8, 6, 6), (8, 8 // groups, kernel, kernel), (2, 8, *windows.out))
    )
    if last:
        x, g = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, g))
    calls = {
        "conv2d": (x, w, None, windows, groups),
        "conv2d_weight_grad": (x, g, windows, groups),
        "conv2d_input_grad": (g, w, windows, groups),
    }
    asked = []
    for name in ("conv2d", "conv2d_weight_grad"):
        theirs = getattr(convolution, name)
        monkeypatch.setattr(
            convolution, name, lambda *a, f=theirs, n=name: asked.append(n) or f(*a)
        )
    for name, arguments in calls.items():
        found, expected = getattr(compiled, name)(*arguments), getattr(plain, name)(*arguments)
        np.testing.assert_allclose(found, expected, 1e-4, 1e-4)
    expected = ["conv2d", "conv2d_weight_grad", "conv2d"]  # the last for the gradient by the image
    assert asked == (expected if left else [])


def odd_arrays():
    """The same images in every dtype and layout that loops are not compiled for."""
    x = np.random.default_rng(0).integers(-9, 9, (3, 4, 12, 10)).astype(np.float32)
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = buffer[1:].view(np.float32).reshape(x.shape)
    unaligned[...] = x
    reordered = np.ascontiguousarray(x.transpose(3, 0, 2, 1)).transpose(1, 3, 2, 0)
    return {
        "float16": x.astype(np.float16), "longdouble": x.astype(np.longdouble),
        "swapped": x.astype(">f4"), "unaligned": unaligned, "reversed": x[::-1, ::-1, ::-1, ::-1],
        "reordered": reordered, "read-only": np.broadcast_to(x[:1], x.shape),
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "steps": np.repeat(x, 2, axis=3)[..., ::2],
    }  # fmt: skip


@pytest.mark.parametrize("kind", odd_arrays())
def test_odd_dtypes_and_layouts_give_the_same_values(kind):
    x = odd_arrays()[kind]
    rng = np.random.default_rng(1)
    w, g = (rng.integers(-3, 3, shape).astype(x.dtype) for shape in ((5, 4, 3, 3), (3, 5, 12, 10)))
    windows = sliding("test", x.shape[2:], 3, 1, 1)
    for name, arguments in {
        "conv2d": (x, w, w[:, 0, 0, 0], windows, 1), "conv2d_weight_grad": (x, g, windows, 1),
        "conv2d_input_grad": (g, w, windows, 1), "moments": (x, (0, 2, 3)),
        "max_pool2d": (x, windows), "sum_pool2d": (x, windows), "sum_pool2d_grad": (x, windows),
    }.items():  # fmt: skip
        found = getattr(current, name)(*arguments)
        wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments]
        expected = getattr(plain, name)(*wide)
        for one, other in zip([*found], [*expected], strict=True):
            assert one.dtype.newbyteorder("=") == x.dtype.newbyteorder("=")
            np.testing.assert_allclose(one, other, rtol=2e-3 if kind == "float16" else 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stride", [1, 2])
def test_empty_images_give_what_the_definitions_give(stride, dtype):
    rng = np.random.default_rng(0)
    for n, channels, out_channels, *size in itertools.product(
        (0, 2), (0, 3), (0, 4), (0, 4), (0, 5)
    ):
        windows = sliding("test", tuple(size), 3, stride, 2)  # padding makes results of nothing
        x, w, g, by_channel, bias = (
            rng.standard_normal(shape).astype(dtype)
            for shape in (
                (n, channels, *size), (out_channels, channels, 3, 3),
                (n, out_channels, *windows.out), (n, channels, *windows.out), (out_channels,),
            )
        )  # fmt: skip
        for name, arguments in {
            "conv2d": (x, w, bias, windows, 1), "conv2d_weight_grad": (x, g, windows, 1),
            "conv2d_input_grad": (g, w, windows, 1), "sum_pool2d": (x, windows),
            "sum_pool2d_grad": (by_channel, windows), "max_pool2d": (x, windows),
        }.items():  # fmt: skip
            found, expected = (getattr(one, name)(*arguments) for one in (current, plain))
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found, expected, rtol=1e-5, atol=1e-5, err_msg=f"{name} of {x.shape}"
            )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_threads_run():
    code = """
        import os, threading
        import numpy as np, minigrad as mg, minigrad.nn.functional as F
        x = mg.tensor(np.ones((64, 16, 28, 28), np.float32), requires_grad=True)
        w = mg.tensor(np.ones((16, 16, 3, 3), np.float32), requires_grad=True)

        def work():
            F.max_pool2d(F.conv2d(x, w, padding=1), 2).sum().backward()

        work()
        busy = threading.Thread(target=lambda: [work() for _ in range(20)])
        busy.start()
        for _ in range(3):
            child = os.fork()
            if not child:
                work()
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        busy.join()
    """
    out, err = python(code)
    assert out == "7\n7\n7\n", err


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_compiles():
    code = """
        import os, sys, threading
        from numba.core.compiler_lock import global_compiler_lock as lock
        import minigrad.kernels.compiled.build

        held, go = threading.Event(), threading.Event()
        os.register_at_fork(before=go.set)

        def compile():
            with lock:
                held.set()
                go.wait(60)

        compiling = threading.Thread(target=compile)
        compiling.start()
        held.wait(60)
        sys.setswitchinterval(60)  # or that thread might let go before the fork
        child = os.fork()
        if not child:
            os._exit(7 if lock._lock.acquire(timeout=10) else 1)
        compiling.join()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        with lock:
            print("free")
    """
    out, err = python(code)
    assert out == "7\nfree\n", err
