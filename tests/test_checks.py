"""The checks themselves: they fail when they have checked nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path):
    """Run pytest, with this project's conftest.py, on one file."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = parity\n")

    def run(text, *options):
        (tmp_path / "test_one.py").write_text(f"import pytest\n{text}")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    return run


SKIPPED = "@pytest.mark.parity\ndef test_a(): pytest.skip('not there')\n"


def test_a_comparison_that_executed_nothing_fails(run):
    pytest.importorskip("xdist")
    code, out = run(SKIPPED, "-m", "parity", "-n", "1")
    assert code == 1
    assert "1 skipped" in out
    assert "nothing was compared with PyTorch" in out


def test_a_comparison_that_executed_something_passes(run, tmp_path):
    (tmp_path / "torch.py").touch()
    code, out = run(
        f"import torch\n{SKIPPED}@pytest.mark.parity\ndef test_b(): pass", "-m", "parity"
    )
    assert code == 0, out
    assert "nothing was compared" not in out


def test_the_other_tests_do_not_see_pytorch(run, tmp_path):
    """One that needs it fails, rather than being skipped wherever it runs."""
    (tmp_path / "torch.py").touch()
    bare = "def test_a():\n    with pytest.raises(ModuleNotFoundError):\n        import torch\n"
    unmarked = "def test_b(): pytest.importorskip('torch')\n"
    code, out = run(bare + unmarked, "-m", "not parity")
    assert code == 1
    assert "1 failed, 1 passed" in out
    assert "is not marked parity" in out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("found", [False, True])
def test_parity_needs_pytorch(found, tmp_path):
    """With a Python that only notes what it is asked for, and may or may not have PyTorch."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    answer = 0 if found else 1
    python.write_text(f'#!/bin/sh\necho "$@"\ncase "$*" in *torch*) exit {answer};; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "parity"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == found
    assert ("-m pytest" in done.stdout) == found
    assert ("install --quiet torch==2.13.0 " in done.stdout) != found
