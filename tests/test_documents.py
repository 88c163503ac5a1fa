"""Every Python block of the README, the guides and the docs runs, and prints what it says."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
PICTURE = re.compile(r"\]\(\.\./images/learn/([^)]+)\)")


def load():
    spec = importlib.util.spec_from_file_location("course", ROOT / "docs" / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COURSE = load()


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=str(p.relative_to(ROOT))) for p in DOCUMENTS if COURSE.blocks(p)],
)
def test_blocks_run(path, tmp_path, monkeypatch):
    """And in the course, the pictures that a chapter shows are those that its code saves."""
    monkeypatch.chdir(tmp_path)
    COURSE.run(path, torch=importlib.util.find_spec("torch") is not None)
    for name in PICTURE.findall(path.read_text(encoding="utf-8")):
        assert (tmp_path / name).is_file(), f"no block saves {name}"
        assert (ROOT / "docs" / "images" / "learn" / name).is_file(), "run docs/course.py"


def test_the_readme_has_blocks():
    assert len(COURSE.blocks(ROOT / "README.md")) >= 3


QUOTED = re.compile(r"^```\{literalinclude\} (\S+)\n:pyobject: (\S+)", re.MULTILINE)


def definitions(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{prefix}{node.name}.")


def test_quoted_code_exists():
    """Code that a page shows by name is there; Sphinx finds out only when the docs are built."""
    quotes = [
        ((path.parent / file).resolve(), name)
        for path in DOCUMENTS
        for file, name in QUOTED.findall(path.read_text(encoding="utf-8"))
    ]
    assert quotes
    for file, name in quotes:
        assert name in set(definitions(ast.parse(file.read_text(encoding="utf-8")))), (file, name)
