"""Every Python block of the README, the guides and the docs runs, and prints what it says."""

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|pycon|torch)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(path, torch=False):
    """(line, code) of each Python block; of those that need PyTorch only if asked for."""
    text = path.read_text(encoding="utf-8")
    return [
        (text[: m.start()].count("\n") + 2, m[2])
        for m in BLOCK.finditer(text)
        if torch or m[1] != "torch"
    ]


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=str(p.relative_to(ROOT))) for p in DOCUMENTS if blocks(p)],
)
def test_blocks_run(path, tmp_path, monkeypatch):
    """The blocks of one document share their names, as a reader's session does."""
    monkeypatch.chdir(tmp_path)
    torch = importlib.util.find_spec("torch") is not None
    names = {"__name__": path.stem}
    for line, code in blocks(path, torch):
        if ">>>" in code:
            test = doctest.DocTestParser().get_doctest(code, {}, path.name, str(path), line - 1)
            test.globs = names
            out = []
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            runner.run(test, out=out.append, clear_globs=False)
            assert not runner.failures, "".join(out)
        else:
            exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)


def test_the_readme_has_blocks():
    assert len(blocks(ROOT / "README.md")) >= 3


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
