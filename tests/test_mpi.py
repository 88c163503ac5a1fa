"""Several processes under mpiexec: run by ``make mpi``, which installs mpi4py and an MPI.

The programs are in ``mpi_programs.py``.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

pytestmark = pytest.mark.mpi
HERE = Path(__file__).parent
#: Seconds after which a run counts as endless. None should take long.
LIMIT = 100


def command(size, *arguments, warnings="error"):
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert mpiexec, "there is no mpiexec: pip install 'minigrad[mpi]'"
    start = [mpiexec, "-n", str(size)] if size else []
    return [*start, sys.executable, "-W", warnings, str(HERE / "mpi_programs.py"), *arguments]


def environment(**changes):
    one = {"OPENBLAS_NUM_THREADS": "1", "MINIGRAD_MPI_PATIENCE": "3"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "OPENBLAS", "MKL_"))}
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    return {k: v for k, v in {**kept, **one, "PYTHONPATH": path, **changes}.items() if v}


def run(size, *arguments, warnings="error", **changes):
    with subprocess.Popen(
        command(size, *map(str, arguments), warnings=warnings), env=environment(**changes),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        # A second at a time: while the machine is suspended, none of them passes.
        for _ in range(LIMIT):
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, told = started.communicate(timeout=1)
                return subprocess.CompletedProcess(started.args, started.returncode, out, told)
        started.kill()
    raise TimeoutError(f"{arguments} did not end within {LIMIT} s")


def succeed(size, *arguments, **changes):
    done = run(size, *arguments, **changes)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("done\n") == max(1, size)
    return done


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_as_one_process_does(size):
    succeed(size, "equal")


def test_trainers_on_ranks_give_what_one_process_gives(tmp_path):
    for size in (0, 2, 3):
        folder = tmp_path / str(size)
        folder.mkdir()
        done = succeed(size, "fit", folder, "values.npz")
        assert done.stdout.count("Epoch 1/3") == 1  # one rank shows progress
        assert sorted(p.name for p in folder.iterdir()) == [
            "each.safetensors", "log.csv", "run.safetensors", "values.npz",
        ]  # fmt: skip
        assert len((folder / "log.csv").read_text().splitlines()) == 4
        found = dict(np.load(folder / "values.npz"))
        if not size:
            expected = found
        assert sorted(found) == sorted(expected)
        for name, value in expected.items():
            assert np.abs(found[name] - value).max() < 1e-12, (size, name)


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path):
    succeed(2, "fit", tmp_path, "whole.npz", 0.5)
    # The middle of an epoch, and of the batches that make one step.
    succeed(2, "fit", tmp_path, "part.npz", 0.5, "1.5")
    succeed(2, "fit", tmp_path, "resumed.npz", 0.5, "", "run.safetensors")
    whole, resumed = (dict(np.load(tmp_path / f"{n}.npz")) for n in ("whole", "resumed"))
    assert len(np.load(tmp_path / "part.npz")["loss"]) == 1
    for name in ("weights", "val_loss", "accuracy", "confusion_matrix"):
        assert (whole[name] == resumed[name]).all(), name
    assert np.allclose(whole["loss"], resumed["loss"], rtol=1e-14)  # summed in another order


@pytest.mark.parametrize("size", [0, 3])
def test_a_run_is_resumed_with_another_number_of_ranks(tmp_path, size):
    succeed(2, "fit", tmp_path, "whole.npz")
    succeed(2, "fit", tmp_path, "part.npz", 0, "1.5")
    succeed(size, "fit", tmp_path, "resumed.npz", 0, "", "run.safetensors")
    whole, resumed = (dict(np.load(tmp_path / f"{n}.npz")) for n in ("whole", "resumed"))
    for name, value in whole.items():
        assert np.abs(resumed[name] - value).max() < 1e-12, name


def test_a_loss_that_is_nan_on_one_rank_ends_training_on_all():
    done = succeed(2, "diverge")
    assert "Training ended: the loss (nan) is not finite in epoch 1, step 1" in done.stdout


def test_batches_of_any_iterable_are_shared_out():
    succeed(2, "own_iterable")


def test_each_rank_drops_out_units_of_its_own():
    succeed(2, "dropout")


REFUSED = {
    "metric": "TypeError: Trainer: metric 'largest' is summed on each rank, and has no merge",
    "model": "RuntimeError: DataParallel: the model of rank 1 differs from that of rank 0: "
    "where rank 0 has 'weight' float32 (2, 2), rank 1 has 'weight' float32 (3, 2)",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_before_the_first_step_and_said_once(what):
    done = run(2, "refuse", what)
    assert done.returncode
    assert done.stderr.count(REFUSED[what]) == 1, done.stderr


FAULTS = {
    "kill": r"rank 1 of 3 was killed, or crashed",
    "raise": "rank 1 of 3 failed with ValueError",
    "exit": "rank 1 has ended its program",
    "barrier": "rank 1 waits in barrier",
    "interrupt": "rank 1 of 3 was interrupted",
    "hang": "rank 1 of 3 hangs: it has stood at mpi_programs.py",
    "stop": "rank 1 of 3 does not answer: its process is stopped",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_one_rank_ends_all_with_its_name_and_the_last_checkpoint(kind, tmp_path):
    done = run(3, "fault", kind, 1, tmp_path)
    assert done.returncode
    # Now and then several ranks are found dead at the same time.
    told = done.stderr.replace("one of the ranks 0, 1 of 3", "rank 1 of 3")
    told = told.replace("one of the ranks 1, 2 of 3", "rank 1 of 3")
    told = told.replace("one of the ranks 0, 1, 2 of 3", "rank 1 of 3")
    assert FAULTS[kind] in told, done.stderr
    path = tmp_path / "run.safetensors"
    assert f"Last checkpoint: {path}" in done.stderr
    assert mg.load_checkpoint(path)["step"] >= 20  # a whole file
    if kind == "raise":
        assert done.stderr.count("ValueError: no such luck") == 1


@pytest.mark.parametrize("kind", ["kill", "stop", "hang"])
def test_the_first_rank_may_fail_too(kind, tmp_path):
    done = run(2, "fault", kind, 0, tmp_path)
    assert done.returncode
    assert "rank 0" in done.stderr or "ranks 0, 1" in done.stderr
    assert f"Last checkpoint: {tmp_path / 'run.safetensors'}" in done.stderr
    assert mg.load_checkpoint(tmp_path / "run.safetensors")["step"] >= 19


def test_a_rank_that_computes_is_waited_for():
    succeed(2, "slow")


def test_ctrl_c_ends_all():
    with subprocess.Popen(
        command(2, "forever"), env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        assert started.stdout.readline() == "running\n"
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=LIMIT)
    assert started.returncode
    assert "was interrupted. No checkpoint was written" in told


def test_ranks_of_one_machine_share_its_cores():
    succeed(2, "cores", OPENBLAS_NUM_THREADS="")


def test_another_mpi_than_that_of_mpiexec_is_noticed():
    # mpi4py warns of it too, which is an error here.
    done = run(0, "cores", warnings="ignore", OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="2")
    assert done.returncode
    assert "mpiexec has started 2 processes, but mpi4py uses another MPI" in done.stderr


def test_the_program_of_the_course_says_what_its_chapter_says(tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    page = (HERE.parent / "docs" / "learn" / "parallel.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if "DataParallel(model)" in block]
    (tmp_path / "train.py").write_text(blocks[0] + whole[0], encoding="utf-8")
    line = re.search(r"^\$ mpiexec -n 2 python train.py\n(.*)$", page, re.MULTILINE)[1]
    start = [*command(2)[:-1], str(tmp_path / "train.py")]
    done = subprocess.run(
        start, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == [line]
