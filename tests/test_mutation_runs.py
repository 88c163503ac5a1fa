"""``tools/mutants.py`` tells a change that the tests notice from one that they do not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: The functions stand in one file of a small package, and the tests in two files, so that setting
#: up and tearing down modules is part of it. One test fails whatever is changed.
LIBRARY = """
SIZES = [4]
WORDS = ["a"]
STEP = {"unseen": 1}

def double(x):
    return 2 * x

def unseen(x):
    return x + 1

def outer(x):
    def inner(y):
        return y - 1
    return inner(x)

def loop(x):
    while x > 0:
        x -= 1
    return x

def word():
    '''
    >>> word()
    'a'
    '''
    return WORDS[0]
"""
TESTS = {
    "test_a.py": """
from minigrad import thing
def test_passes(): pass
def test_outer(): assert thing.outer(3) == 2
""",
    "test_b.py": """
import minigrad.thing
def test_unfit(): assert False
def test_unseen(): assert minigrad.thing.unseen(1)
def test_double(): assert minigrad.thing.double(3) == 6
def test_loop(): assert minigrad.thing.loop(3) == 0
def test_sizes(): assert minigrad.thing.SIZES == [4]
""",
}
CHANGES = {
    "nothing": ("return 2 * x", "return x * 2", "survived", ""),
    "a value": ("return 2 * x", "return 3 * x", "killed", "tests/test_b.py::test_double"),
    "a value that no test compares": ("x + 1", "x + 2", "survived", ""),
    "a function in a function": ("y - 1", "y - 2", "killed", "tests/test_a.py::test_outer"),
    "a loop without end": ("x -= 1", "x -= 0", "timeout", "tests/test_b.py::test_loop"),
    "what is made at import": ("[4]", "[5]", "killed", "tests/test_b.py::test_sizes"),
    "what a doctest of the file shows": (
        '["a"]',
        '["b"]',
        "killed",
        "minigrad/thing.py::minigrad.thing.word",
    ),
    "what no test asks for": ('{"unseen": 1}', "{}", "survived", ""),
    "no library": ("SIZES = [4]", "SIZES = 1 / 0", "killed", ""),
    "no code": ("return 2 * x", "return (2 * x)", "same code", ""),
}
PROGRAM = """
import json, pickle, sys
from pathlib import Path
import pytest
from tools import mutants

mutants.ROOT, mutants.KEPT, mutants.PATIENCE = Path.cwd(), Path.cwd(), 0.2
mutants.mutated = lambda mutant: (mutant["before"], mutant["after"])
mutants.lines_at_import = dict
changes = json.loads(Path("changes.json").read_text())
tests = ["test_a.py::test_passes", "test_b.py::test_unfit", "test_a.py::test_outer",
         "test_b.py::test_unseen", "test_b.py::test_double", "test_b.py::test_loop",
         "test_b.py::test_sizes"]
tests = ["tests/" + test for test in tests] + ["minigrad/thing.py::minigrad.thing.word"]
reach = {"tests": tests, "seconds": [0.01] * 8, "lines": {"minigrad/thing.py": {3: 255}}}
Path("reach.pickle").write_bytes(pickle.dumps(reach))
mutants.STARTERS[:] = [mutants.Starter()]
hunt = mutants.Hunt(changes, Path("results.jsonl"))
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist"], plugins=[hunt]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants run in forks")
def test_what_becomes_of_a_change(tmp_path):
    for name, text in {
        "minigrad/__init__.py": "",
        "minigrad/thing.py": LIBRARY,
        **{f"tests/{name}": text for name, text in TESTS.items()},
        "pytest.ini": "[pytest]\naddopts = --doctest-modules\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    changes = [
        {"key": key, "file": "minigrad/thing.py", "line": 3, "before": LIBRARY}
        | {"after": LIBRARY.replace(old, new)}
        for key, (old, new, *_) in CHANGES.items()
    ]
    (tmp_path / "changes.json").write_text(json.dumps(changes), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    results = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    found = {row["key"]: (row["outcome"], row["by"]) for row in map(json.loads, results)}
    assert found == {key: tuple(end) for key, (_, _, *end) in CHANGES.items()}, done.stdout
