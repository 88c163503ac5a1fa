"""The shape of the package: imports run one way between the rooms, and inside them in no circle."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minigrad"
#: The rooms in CONTRIBUTING's order. A room imports from itself and from the rooms before it; the
#: last two are public paths of files in training/.
ROOMS = [
    "lazy", "spellings", "kernels", "operators", "engine", "nn", "optim", "io", "debug", "graph", "data", "distributed",
    "testing", "training", "models", "onnx", "viz", "callbacks", "metrics",
]  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}
ROOM = {module: ROOMS.index(module.split(".")[1]) for module in FILES if "." in module}


def imports(module: str, inside_functions: bool = False) -> set[str]:
    """The modules that this one imports: when it is imported itself, or only inside functions."""
    found = set()
    stack = [(TREES[module], False)]
    while stack:
        node, inside = stack.pop()
        inside = inside or isinstance(node, FUNCTIONS)
        names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        if isinstance(node, (ast.Import, ast.ImportFrom)) and inside == inside_functions:
            # ``a.b`` is the module b of a, or the name b in a.
            ours = [name for name in names if name.split(".")[0] == "minigrad"]
            found |= {name if name in FILES else name.rpartition(".")[0] for name in ours}
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        children = node.orelse if for_types else ast.iter_child_nodes(node)
        stack += [(child, inside) for child in children]
    return found - {module}


NEEDS = {module: imports(module) for module in FILES}


def test_every_module_stands_in_a_room():
    assert set(ROOM.values()) == set(range(len(ROOMS)))


@pytest.mark.parametrize("module", sorted(ROOM))
def test_a_room_imports_from_rooms_before_it(module):
    for other in NEEDS[module]:
        assert other in ROOM, f"{module} imports the names gathered in minigrad/__init__.py"
        assert ROOM[other] <= ROOM[module], f"{module} imports {other}"


def test_no_circles():
    assert len([*TopologicalSorter(NEEDS).static_order()]) == len(FILES)


@pytest.mark.parametrize("module", sorted(ROOM))
def test_what_is_imported_late_comes_from_rooms_before_or_through_lazy(module):
    late = imports(module, inside_functions=True)
    others = {other for other in late if other not in ROOM or ROOM[other] >= ROOM[module]}
    assert not others, f"{module} imports {others} in a function: use minigrad.lazy.load_late"
    by_name = {"import_module", "__import__"} & {
        getattr(node, "attr", getattr(node, "id", getattr(node, "name", "")))
        for node in ast.walk(TREES[module])
    }
    assert not by_name or module == "minigrad.lazy", f"{module}: use minigrad.lazy.load_late"


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


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_file_says_in_two_sentences_or_more_what_it_is_for(module):
    opening = ast.get_docstring(TREES[module]) or ""
    assert len(re.findall(r"[.:](?:\s|$)", opening)) >= 2, opening
