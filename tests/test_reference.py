"""The reference leaves out no public name, and each has something to say."""

import ast
import functools
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from by_path import load

pytest.importorskip("hypothesis")  # minigrad.testing.strategies draws with it
pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[1] / "docs"
GROUP = re.compile(r"^\.\. names:: (\S+)\n((?:   :\w+: \S+\n)*)((?:\n|   .*\n)*)", re.MULTILINE)
#: Modules of which only what they define themselves is for users.
OWN = {"minigrad.nn.functional", "minigrad.nn.init", "minigrad.optim.lr_scheduler"}
WHOLE = {
    "minigrad",
    "minigrad.callbacks",
    "minigrad.data",
    "minigrad.distributed",
    "minigrad.metrics",
    "minigrad.models",
    "minigrad.nn",
    "minigrad.onnx",
    "minigrad.optim",
    "minigrad.testing",
    "minigrad.testing.strategies",
    "minigrad.viz",
}


load(DOCS / "formulas.py")  # which the next one imports
PUBLIC = load(DOCS / "public_names.py")


def documented():
    """Module -> the names that the pages document."""
    found = {}
    for page in sorted((DOCS / "reference").rglob("*.md")):
        for where, options, origins in GROUP.findall(page.read_text(encoding="utf-8")):
            part = dict(re.findall(r":(\w+): (\S+)", options))
            names = PUBLIC.group(where, origins.split(), **part)
            assert names, f"{page.name}: nothing in {where} comes from {origins.split()}"
            found.setdefault(where, {}).update(names)
    return found


DOCUMENTED = documented()


def test_there_are_pages():
    assert set(DOCUMENTED) == OWN | WHOLE


@pytest.mark.parametrize("where", sorted(OWN | WHOLE))
def test_every_public_name_is_documented(where):
    expected = PUBLIC.public(importlib.import_module(where))
    if where in OWN:
        expected = {n: v for n, v in expected.items() if v.__module__ == where}
    assert expected
    assert not set(expected) - set(DOCUMENTED[where])


def test_every_operator_is_documented():
    table = (DOCS / "operators.md").read_text(encoding="utf-8")
    for prefix, where in (("mg", "minigrad"), ("F", "minigrad.nn.functional")):
        names = set(re.findall(rf"^\| `{prefix}\.(\w+)`", table, re.MULTILINE))
        assert names
        assert not names - set(DOCUMENTED[where])


@pytest.mark.parametrize("where", sorted(OWN | WHOLE))
def test_every_name_has_a_docstring(where):
    assert not [name for name, value in DOCUMENTED[where].items() if not value.__doc__]


#: Where a docstring sends its reader for an example, shapes or errors.
ELSEWHERE = re.compile(r"\b(?:[Ss]ee|[Aa]s|[Ff]or) :(?:func|class):`([\w.]+)`")
#: Their examples are not run: they need files, or half a gigabyte of memory.
HEAVY = {"load_mnist", "load_fashion_mnist", "VGG"} | {
    f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")
}


def says(where, name, found):
    """Whether its docstring, or one that it refers to, has what `found` looks for."""
    doc = inspect.getdoc(DOCUMENTED[where][name])
    others = {n: v for names in (*DOCUMENTED.values(), DOCUMENTED[where]) for n, v in names.items()}
    referred = [others[full.rpartition(".")[2]] for full in ELSEWHERE.findall(doc)]
    return found(doc) or any(found(inspect.getdoc(value)) for value in referred)


@pytest.mark.parametrize("where", sorted(OWN | WHOLE))
def test_every_name_has_an_example(where):
    """And pytest runs it, with the other doctests."""

    def shown(doc):
        return any(">>>" in line and "+SKIP" not in line for line in doc.splitlines())

    assert all(says(where, name, lambda doc: ">>>" in doc) for name in DOCUMENTED[where])
    bare = {name for name in DOCUMENTED[where] if not says(where, name, shown)}
    assert bare <= HEAVY


@functools.cache
def definitions(module):
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {n.name: n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}


def errors_of(value):
    """The names of the exceptions that its source raises itself, and is meant to."""
    written = definitions(value.__module__).get(value.__name__, ast.Module([], []))  # else a row
    found = ast.walk(written)
    raised = [node.exc for node in found if isinstance(node, ast.Raise) and node.exc]
    names = {ast.unparse(one).partition("(")[0] for one in raised}
    return names - {"NotImplementedError", "error"}


@pytest.mark.parametrize("where", sorted(OWN | WHOLE))
def test_every_error_is_told(where):
    silent = [
        name
        for name, value in DOCUMENTED[where].items()
        if errors_of(value) and not says(where, name, lambda doc: "aises" in doc)
    ]
    assert not silent


SHAPE = re.compile(r"\((?:\.\.\.|[NL],|\w+, \w+\))|shape|elementwise")
#: Of one shape, as the page says: what goes in and what comes out.
KEEP_SHAPE = {"activation", "activations", "hyperbolic"}
#: They hold modules and values rather than compute any.
HOLDERS = {"Module", "ModuleDict", "ModuleList", "Parameter"}


@pytest.mark.parametrize("where", ["minigrad.nn", "minigrad.nn.functional"])
def test_every_layer_tells_its_shapes(where):
    silent = {
        name
        for name, value in DOCUMENTED[where].items()
        if value.__module__.rpartition(".")[2] not in KEEP_SHAPE
        and not says(where, name, SHAPE.search)
    }
    assert silent <= HOLDERS
