"""The shape of the package: imports run one way, and CONTRIBUTING tells the truth about it."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minigrad"
#: The rooms from left to right. A room imports from itself and from rooms to its left.
ROOMS = [
    "lazy", "kernels", "operators", "engine", "nn", "optim", "io", "debug", "graph", "data",
    "testing", "training", "models", "viz", "callbacks", "metrics",
]  # fmt: skip


def imported(tree: ast.AST) -> Iterator[str]:
    """What a file imports when it is imported itself: not in functions, nor for types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            if not for_types and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from imported(node)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOM = {module: module.split(".")[1] for module in FILES if "." in module}


def needs(module: str) -> set[str]:
    """The modules of the package that this one imports: ``a.b`` for the name b in a, or a."""
    names = imported(ast.parse(FILES[module].read_text(encoding="utf-8")))
    ours = (name for name in names if name.split(".")[0] == "minigrad")
    return {name if name in FILES else name.rpartition(".")[0] for name in ours} - {module}


NEEDS = {module: needs(module) for module in FILES}


def test_every_module_stands_in_a_room():
    assert set(ROOM.values()) == set(ROOMS)


@pytest.mark.parametrize("module", sorted(ROOM))
def test_a_room_imports_from_rooms_to_its_left(module):
    for other in NEEDS[module]:
        assert other in ROOM, f"{module} imports the names gathered in minigrad/__init__.py"
        assert ROOMS.index(ROOM[other]) <= ROOMS.index(ROOM[module]), f"{module} imports {other}"


def test_inside_a_room_there_are_no_circles():
    assert len([*TopologicalSorter(NEEDS).static_order()]) == len(FILES)


# -- what CONTRIBUTING says about reading the engine ----------------------------------------------

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TO_READ = re.findall(r"^\| `([\w/]+\.py)` \|", CONTRIBUTING, re.MULTILINE)


def test_the_engine_is_as_long_as_contributing_says():
    lines = sum(len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in TO_READ)
    (said,) = re.findall(r"^About ([\d,]+) lines", CONTRIBUTING, re.MULTILINE)
    assert abs(lines - int(said.replace(",", ""))) <= 100


def test_the_engine_is_read_in_an_order_in_which_each_file_needs_only_those_before_it():
    modules = [module_name(PACKAGE / name) for name in TO_READ]
    assert len(modules) > 5
    for i, module in enumerate(modules):
        assert not NEEDS[module] & set(modules[i:]), module
