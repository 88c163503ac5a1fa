"""The shape of the package: imports run one way, and CONTRIBUTING tells the truth about it."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minigrad"
#: What each part may import at module level: its own group and those above it.
GROUPS = [
    {"blas", "extras", "file_system", "memory", "printable", "progress", "settings"}
    | {"source_line", "workers"},  # Python and the machine
    {"operators"},
    {"arguments", "backward", "departures", "inspection", "methods", "node", "numpy_protocol"}
    | {"switches", "tape", "tensor"},  # the engine
    {"creation", "custom_rule", "derivatives", "parameter", "random", "recompute"},
    {"anomaly", "checkpoint_files", "config", "explanation", "files", "metrics", "observation"}
    | {"tape_table"},
    {"data", "nn", "optim", "picture", "testing"},
    {"batches", "callbacks", "history", "model_files", "model_table", "models", "objective"}
    | {"trainer", "viz"},
]
#: Beside each other: none of these needs another.
SIDE_BY_SIDE = {"data", "nn", "optim", "picture", "testing"}


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


def needs(module: str) -> set[str]:
    """The modules of the package that this one imports: ``a.b`` for the name b in a, or a."""
    names = imported(ast.parse(FILES[module].read_text(encoding="utf-8")))
    ours = (name for name in names if name.split(".")[0] == "minigrad")
    return {name if name in FILES else name.rpartition(".")[0] for name in ours} - {module}


NEEDS = {module: needs(module) for module in FILES}
PARTS = {module: module.split(".")[1] for module in FILES if "." in module}


def test_every_part_has_its_place():
    assert set(PARTS.values()) == set().union(*GROUPS)
    assert sum(map(len, GROUPS)) == len(set().union(*GROUPS))


def test_there_are_no_circles():
    assert len([*TopologicalSorter(NEEDS).static_order()]) == len(FILES)


@pytest.mark.parametrize("module", sorted(PARTS))
def test_imports_run_one_way(module):
    place = {part: i for i, group in enumerate(GROUPS) for part in group}
    part = PARTS[module]
    for other in NEEDS[module]:
        assert other in PARTS, f"{module} needs the names gathered in minigrad/__init__.py"
        assert place[PARTS[other]] <= place[part], f"{module} needs {other}, which is above it"
        beside = {part, PARTS[other]} <= SIDE_BY_SIDE
        assert PARTS[other] == part or not beside, f"{module} needs {other}, which is beside it"


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
