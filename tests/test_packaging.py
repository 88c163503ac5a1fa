"""What is installed is what is here: the wheel, the links, the cost of an import."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parent.parent


def run(program):
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # Where kernels are compiled, the first run says so.
    done.stderr = re.sub(r"^minigrad: compiling .*\n", "", done.stderr)
    return done


def test_import_loads_no_extra():
    extras = {"hypothesis", "matplotlib", "mpi4py", "onnx", "pooch", "pygraphviz", "sklearn"}
    extras |= {"numba", "tensorboardX"}
    heavy = {"scipy", "pytest", "torch", "pandas", "IPython"}
    program = "import sys, minigrad; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = run(program).stdout.split()
    assert "minigrad" in loaded
    assert not (extras | heavy) & set(loaded)


def test_import_loads_nothing_slow_that_only_some_programs_need():
    """Beyond what NumPy has loaded: each of these takes as long as several files of the library."""
    found = run("""
import sys, numpy
before = {*sys.modules}
import minigrad
print(*{*sys.modules} - before)
""")
    loaded = set(found.stdout.split())
    assert "minigrad.engine.tape" in loaded
    late = {"joining", "trigonometric", "sets_and_bins", "cumulative", "convolution", "linalg"}
    slow = {"threading", "numpy.typing", "inspect", "numpy.random", "concurrent.futures"}
    slow |= {"minigrad.nn", "minigrad.kernels.scratch", *(f"minigrad.operators.{n}" for n in late)}
    assert not slow & loaded


@pytest.mark.parametrize(
    "line",
    [
        "mg.tensor([1.0]) * 2", "np.exp(mg.tensor([1.0]))", "mg.sum(mg.ones(2))", "mg.arange(3)[1:]",
        "mg.randn(2) == 0", "mg.median([1.0])", "mg.grad(np.sin)(1.0)", "mg.linalg.norm(mg.ones(2))",
        "mg.checkpoint(np.sin, mg.ones(2))", "mg.nn.Linear(2, 1)(mg.ones((1, 2)))",
    ],
)  # fmt: skip
def test_anything_may_be_the_first_that_a_program_does(line):
    # Nothing else has been imported then, on which it might depend.
    assert not run(f"import numpy as np, minigrad as mg; {line}").stderr


def test_a_first_program_loads_no_rarely_used_operator():
    found = run("""
import sys
import numpy as np, minigrad as mg, minigrad.nn.functional as F
from minigrad import nn, optim
model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
adam = optim.Adam(model.parameters())
loss = F.cross_entropy(model(mg.randn(4, 1, 8, 8)), [0, 1, 2, 0])
loss.backward()
adam.step()
assert np.shape(np.stack([np.exp(loss), loss.mean()])) == (2,)
print(*sys.modules)
""")
    assert not found.stderr
    loaded = set(found.stdout.split())
    assert "minigrad.operators.convolution" in loaded
    rare = {"minigrad.operators.on_demand", "minigrad.operators.linalg", "numpy.fft"}
    if "numba" in loaded:  # which was asked for, and imports it itself
        rare.remove("numpy.fft")
    assert not rare & loaded


@pytest.mark.parametrize(
    "use",
    [
        "assert np.linalg.inv(t).shape == (2, 2)",
        "assert np.cov(t).shape == (2, 2)",
        "assert mg.linalg.norm(t).shape == ()",
        "assert mg.median(t).item() == 0.5",
        "assert t.cumsum().shape == (4,) and t.trace().item() == 2.0",
        "from minigrad import cov, linalg; assert cov(t).shape == linalg.inv(t).shape",
        "from minigrad import *; assert cov(t).shape == (2, 2)",
        "assert {'cov', 'linalg', 'nn', 'exp'} <= set(dir(mg))",
        "assert not hasattr(mg, 'no_such_name')",
    ],
)
def test_rarely_used_operators_are_there_when_asked_for(use):
    assert not run(f"import numpy as np, minigrad as mg; t = mg.eye(2); {use}").stderr


def test_dir_shows_the_public_names_only():
    assert set(dir(mg)) == {*mg.__all__, "__version__"}
    assert len(mg.__all__) == len(set(mg.__all__))


def imports_of_the_package():
    tree = ast.parse(Path(mg.__file__).read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [(node.module, alias.name) for node in found for alias in node.names]


def test_a_late_name_is_what_type_checkers_take_it_for():
    """The imports for type checkers and the table of lazy.py say the same."""
    places = {name: module for module, name in imports_of_the_package()}
    assert set(mg.__all__) <= set(places)
    for name in mg.__all__:
        home = importlib.import_module(places[name])
        assert getattr(mg, name) is getattr(home, name), name


def test_a_misspelled_name_gets_a_hint():
    with pytest.raises(AttributeError, match="no attribute 'sofplus'"):
        mg.sofplus
    found = run("import minigrad as mg; mg.make_dott")
    assert "Did you mean: 'make_dot'?" in found.stderr


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
    # Where systems have no links, nn and optim are folders.
    for name, folder in {"nn": "minigrad/nn", "optim": "minigrad/optim"}.items():
        shutil.copytree(ROOT / folder, source / name, ignore=ignored)
    for name in ("minigrad", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    cache = source / "minigrad" / "__pycache__"
    cache.mkdir()
    for name in ("tape.cpython-311.pyc", "loop-1.py311.nbi", "loop-1.py311.1.nbc"):
        (cache / name).touch()
    program = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = ROOT / "minigrad"
    expected = {p.relative_to(ROOT).as_posix() for p in package.rglob("*") if p.is_file()}
    assert files == {name for name in expected if "__pycache__" not in name}
    assert "minigrad/py.typed" in files
