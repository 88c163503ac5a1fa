"""What is installed is what is here: the wheel, the links, the cost of an import."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parent.parent


def test_import_loads_no_extra():
    extras = {"hypothesis", "matplotlib", "mpi4py", "onnx", "pooch", "pygraphviz", "sklearn"}
    heavy = {"scipy", "pytest", "torch", "pandas", "IPython"}
    program = "import sys, minigrad; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "minigrad" in result.stdout.split()
    assert not (extras | heavy) & set(result.stdout.split())


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert mg.__version__ == project["version"]
    assert f"version: {project['version']}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", ["nn", "optim"])
def test_links_point_into_the_package(name):
    link = ROOT / name
    if link.is_symlink():
        assert link.resolve() == ROOT / "minigrad" / name
    else:  # a system without links checks them out as files that hold the target, or not at all
        assert not link.exists() or link.read_text() == f"minigrad/{name}"


def test_wheel_holds_the_whole_package_and_nothing_else(tmp_path):
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("minigrad", "nn", "optim", "tests"):  # with folders where systems have no links
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    program = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = ROOT / "minigrad"
    expected = {p.relative_to(ROOT).as_posix() for p in package.rglob("*") if p.is_file()}
    assert files == {name for name in expected if "__pycache__" not in name}
    assert "minigrad/py.typed" in files
