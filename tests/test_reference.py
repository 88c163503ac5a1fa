"""The reference leaves out no public name, and each has something to say."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")  # minigrad.testing.strategies draws with it
pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[1] / "docs"
GROUP = re.compile(r"^\.\. names:: (\S+)\n((?:\n|   .*\n)*)", re.MULTILINE)
#: Modules of which only what they define themselves is for users.
OWN = {"minigrad.nn.functional", "minigrad.nn.init", "minigrad.optim.lr_scheduler"}
WHOLE = {
    "minigrad",
    "minigrad.callbacks",
    "minigrad.data",
    "minigrad.metrics",
    "minigrad.models",
    "minigrad.nn",
    "minigrad.optim",
    "minigrad.testing",
    "minigrad.testing.strategies",
    "minigrad.viz",
}


def load():
    path = DOCS / "public_names.py"
    spec = importlib.util.spec_from_file_location("public_names", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PUBLIC = load()


def documented():
    """Module -> the names that the pages document."""
    found = {}
    for page in sorted((DOCS / "reference").glob("*.md")):
        for where, origins in GROUP.findall(page.read_text(encoding="utf-8")):
            names = PUBLIC.group(where, origins.split())
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
