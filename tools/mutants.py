"""Mutation testing: change the library in one place, and see whether the tests notice.

`make mutants` changes numbers, signs, comparisons, conditions and loops of the engine, the
operators, layers, optimizers and the trainer, one at a time, and runs the tests that reach the
changed line. A mutant that no test notices *survives*: a test is missing, or the change makes no
difference. The mutations are cosmic-ray's. Its own way to run them starts Python anew for each of
11,000 mutants; here a process that has collected all tests forks for each, replaces the code of
the changed function, and runs tests until one fails: half a second a mutant.

    python tools/mutants.py reach                   # which tests reach which lines: once
    python tools/mutants.py run nn optim --part 0/2 # the first half of the mutants of two folders
    python tools/mutants.py run nn --sample 200     # 200 of them, drawn with a fixed seed
    python tools/mutants.py report                  # the score by folder, and the survivors

What was found is kept in .mutants/, one line a mutant; a run goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import hashlib
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".mutants"
FOLDERS = ("engine", "kernels", "nn", "operators", "optim", "training")
#: cosmic-ray's operators, without those that mostly crash (every operator for every other one) and
#: those that replace names.
KINDS = [
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Gt_GtE", "GtE_Gt", "Lt_GtE", "Gt_LtE")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("LtE_Gt", "GtE_Lt", "Is_IsNot", "IsNot_Is")),
    *("ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "AddNot"),
    "ZeroIterationForLoop",
]
#: Tests run for one mutant at most: one of each file that reaches the line, then the quickest.
MOST = 250
SECONDS = 60
#: Ten thousand calls with nonsense, which are there for errors, not for values: left out.
WALKS = ("test_walk_functions", "test_walk_objects")


# -- the mutants -----------------------------------------------------------------------------------


def mutants_of(path: Path) -> Iterator[dict[str, Any]]:
    """Every mutation of a file: its kind, which occurrence of that kind, and its line."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    source = path.read_text(encoding="utf-8")
    left_out = Spans(source)
    nodes = list(ast_nodes(get_ast(source)))
    name = path.relative_to(ROOT).as_posix()
    for kind in KINDS:
        operator = get_operator(f"core/{kind}")()
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(places):
            if start not in left_out:
                key = f"{name}:{kind}:{occurrence}"
                yield {"key": key, "file": name, "kind": kind, "n": occurrence, "line": start[0]}


class Spans:
    """What is left out: annotations, text for people, and the tests' own part of a declaration."""

    def __init__(self, source: str) -> None:
        self.spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                self.add(node.returns, *(a.annotation for a in arguments))
                self.add(*(x and x.annotation for x in (node.args.vararg, node.args.kwarg)))
            elif isinstance(node, ast.AnnAssign):
                self.add(node.annotation)
            elif isinstance(node, ast.keyword) and node.arg in {"samples", "domain", "reference"}:
                self.add(node.value)
            elif isinstance(node, ast.Raise) or (
                isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            ):
                self.add(node)

    def add(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                place: Any = node
                start = (place.lineno, place.col_offset)
                self.spans.append((start, (place.end_lineno, place.end_col_offset)))

    def __contains__(self, place: tuple[int, int]) -> bool:
        return any(start <= place < end for start, end in self.spans)


def mutated(mutant: dict[str, Any]) -> tuple[str, str]:
    """The source of the mutant's file, before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    before = (ROOT / mutant["file"]).read_text(encoding="utf-8")
    after = mutate_code(before, get_operator(f"core/{mutant['kind']}")(), mutant["n"])
    return before, after


# -- replacing code in a running process -----------------------------------------------------------


def changed_functions(path: str, before: str, after: str) -> list[tuple[CodeType, CodeType]] | None:
    """The functions whose code differs, or None where code differs that runs at import."""
    pairs: list[tuple[CodeType, CodeType]] = []

    def compare(old: CodeType, new: CodeType, inside: bool) -> bool:
        inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
        if len(inner[0]) != len(inner[1]):
            return False
        if inside and old != new:
            pairs.append((old, new))
        elif not inside and own(old) != own(new):
            return False
        # The body of a class runs at import, though its code looks like a function's.
        return all(compare(a, b, inside or a.co_flags & 2 != 0) for a, b in zip(*inner))

    def own(code: CodeType) -> Any:
        consts = [c for c in code.co_consts if not isinstance(c, CodeType)]
        return code.co_code, code.co_names, [(type(c), c) for c in consts]

    same = compare(compile(before, path, "exec"), compile(after, path, "exec"), False)
    return pairs if same else None


def replace(pairs: list[tuple[CodeType, CodeType]]) -> int:
    """Give every function of this process that has the old code the new one."""
    count = 0
    for f in [f for f in gc.get_objects() if type(f) is FunctionType]:
        for old, new in pairs:
            if f.__code__ == old and f.__code__.co_filename.endswith(old.co_filename):
                f.__code__ = new
                count += 1
                break
    return count


def replace_at_import(file: str, before: str, after: str) -> bool | None:
    """Give live functions and modules the defaults and constants that the mutated module has.

    None when this cannot be done: the module cannot run twice, or something else has changed.
    """
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = sys.modules[name]
    plain = (bool, int, float, str, tuple, type(None))

    def execute(source: str) -> dict[str, Any]:
        declare = sys.modules["minigrad.operators.declare"]
        tables = [getattr(declare, t) for t in ("OPERATORS", "COMPOSITES", "CONSTANTS", "NUMPY")]
        saved = [dict(table) for table in tables]
        namespace = {**vars(module), "__name__": name}
        try:
            for table in tables[:2]:
                table.clear()
            exec(compile(source, file, "exec"), namespace)
        finally:
            for table, old in zip(tables, saved, strict=True):
                table.clear()
                table.update(old)
        return namespace

    def settings(namespace: dict[str, Any]) -> dict[tuple[str, int], FunctionType]:
        found = (f for f in gc.get_objects() if type(f) is FunctionType)
        mine = (f for f in found if f.__globals__ is namespace)
        return {(f.__qualname__, f.__code__.co_firstlineno): f for f in mine}

    try:
        execute(before)
    except Exception:  # noqa: BLE001
        return None
    try:
        namespace = execute(after)
    except Exception:  # noqa: BLE001  (the module cannot be imported: every test would fail)
        return True
    changed = False
    live = settings(vars(module))
    for key, function in settings(namespace).items():
        old = live.get(key)
        if old is None:
            continue
        for part in ("__defaults__", "__kwdefaults__"):
            if repr(getattr(old, part)) != repr(getattr(function, part)):
                setattr(old, part, getattr(function, part))
                changed = True
    for constant, value in namespace.items():
        was = vars(module).get(constant)
        if type(value) in plain and type(was) in plain and value != was and constant[:2] != "__":
            for other in [m for n, m in sys.modules.items() if n.startswith("minigrad")]:
                if vars(other).get(constant) == was:
                    setattr(other, constant, value)
            changed = True
    return changed or None


# -- tests -----------------------------------------------------------------------------------------


class Reach:
    """A pytest plugin that notes which test reaches which line, and how long each test takes."""

    def __init__(self) -> None:
        import coverage

        self.coverage = coverage.Coverage(
            data_file=None, source=[str(ROOT / "minigrad")], config_file=False
        )
        self.coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self.tests: list[str] = []
        self.seconds: list[float] = []
        self.lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.coverage.erase()
        began = time.perf_counter()
        self.coverage.start()
        try:
            result = yield
        finally:
            self.coverage.stop()
        self.seconds.append(time.perf_counter() - began)
        bit = 1 << len(self.tests)
        self.tests.append(item.nodeid)
        data = self.coverage.get_data()
        for file in data.measured_files():
            lines = self.lines[Path(file).relative_to(ROOT).as_posix()]
            for line in data.lines(file) or ():
                lines[line] |= bit
        return result

    def pytest_sessionfinish(self) -> None:
        KEPT.mkdir(exist_ok=True)
        found = {
            "tests": self.tests,
            "seconds": self.seconds,
            "lines": {file: dict(lines) for file, lines in self.lines.items()},
        }
        (KEPT / "reach.pickle").write_bytes(pickle.dumps(found))


class Hunt:
    """A pytest plugin that runs mutants, each in a fork, instead of the tests."""

    def __init__(self, mutants: list[dict[str, Any]], results: Path) -> None:
        self.mutants, self.results = mutants, results
        self.reach: dict[str, Any] = pickle.loads((KEPT / "reach.pickle").read_bytes())

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()
        for i, mutant in enumerate(self.mutants):
            began = time.perf_counter()
            outcome = self.hunt(mutant, items)
            row = {**mutant, "outcome": outcome, "seconds": round(time.perf_counter() - began, 2)}
            with self.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"\r{i + 1} of {len(self.mutants)}: {outcome:<10} {mutant['key']}", flush=True)
        return True

    def hunt(self, mutant: dict[str, Any], items: dict[str, pytest.Item]) -> str:
        before, after = mutated(mutant)
        chosen = [items[name] for name in self.chosen(mutant) if name in items]
        try:
            pairs = changed_functions(mutant["file"], before, after)
        except SyntaxError:  # `**settings` in a call is no power
            return "same code"
        if pairs is None:
            chosen = [items[name] for name in self.chosen(mutant, around=True) if name in items]
            quick = in_fork(lambda: self.try_at_import(mutant["file"], before, after, chosen))
            if quick != "impossible":
                return quick
            return at_import(mutant, after, [item.nodeid for item in chosen])
        if not pairs:
            return "same code"
        if not chosen:
            return "unreached"
        return in_fork(lambda: self.try_tests(pairs, chosen))

    def chosen(self, mutant: dict[str, Any], around: bool = False) -> list[str]:
        """The tests to run, quick ones first, one of each file before the rest.

        ``around``: those that reach the function that begins near the line, or else the file.
        """
        lines = self.reach["lines"].get(mutant["file"], {})
        line = mutant["line"]
        # A line inside a long statement, or of a function's head.
        near = [*range(line, line + 40)] if around else [*range(line, max(line - 25, 0), -1)]
        bits = next((lines[n] for n in near if lines.get(n)), 0)
        if around and not bits:
            for reached in lines.values():
                bits |= reached
        tests, seconds = self.reach["tests"], self.reach["seconds"]
        found = sorted((i for i in range(len(tests)) if bits >> i & 1), key=seconds.__getitem__)
        seen: Counter[str] = Counter()
        rank = {}
        for i in found:
            file = tests[i].partition("::")[0]
            rank[i] = seen[file]
            seen[file] += 1
        found.sort(key=lambda i: rank[i])
        return [tests[i] for i in found[:MOST]]

    @staticmethod
    def try_tests(pairs: list[tuple[CodeType, CodeType]], items: list[pytest.Item]) -> bool:
        """Whether a test fails with the new code."""
        replace(pairs)
        return Hunt.any_fails(items)

    @staticmethod
    def try_at_import(file: str, before: str, after: str, items: list[pytest.Item]) -> bool | None:
        """The same for a change of what runs at import; None where it takes a new Python."""
        done = replace_at_import(file, before, after)
        return None if done is None else Hunt.any_fails(items)

    @staticmethod
    def any_fails(items: list[pytest.Item]) -> bool:
        """Whether one of the tests fails; no more are run then."""
        from _pytest.runner import runtestprotocol

        for item in items:
            for report in runtestprotocol(item, log=False, nextitem=item):
                if report.failed:
                    return True
        return False


def in_fork(work: Callable[[], bool | None]) -> str:
    """Run the work in a copy of this process, for a minute of the processor's time at most."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            signal.alarm(10 * SECONDS)  # for a mutant that waits
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            code = {True: 1, False: 0, None: 2}[work()]
        except BaseException:  # noqa: BLE001  (a mutant may raise anything, anywhere)
            code = 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in {signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM}
        return "timeout" if late else "killed"
    return {0: "survived", 2: "impossible"}.get(os.WEXITSTATUS(status), "killed")


def at_import(mutant: dict[str, Any], after: str, tests: list[str]) -> str:
    """The same for code that runs at import: a new Python, with a copy of the package."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    if not tests:
        return "unreached"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in ("tests", "docs", "examples", "benchmarks", "tools", "pyproject.toml"):
            (copy / name).symlink_to(ROOT / name)
        for name in ("conftest.py", "README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(
            ROOT / "minigrad", copy / "minigrad", ignore=shutil.ignore_patterns("*.pyc")
        )
        (copy / mutant["file"]).write_text(after, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
        ]
        wanted = [t for group in files.values() for t in group[:8]]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [*command, *wanted[:200]],
                cwd=copy,
                env=environment,
                capture_output=True,
                timeout=180,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "timeout"
    return "survived" if done.returncode == 0 else "killed"


# -- commands --------------------------------------------------------------------------------------


def pytest_with(plugin: Any, tests: list[str]) -> int:
    walks = [f"--ignore=tests/{name}.py" for name in WALKS]
    return int(pytest.main(["-q", "-p", "no:cacheprovider", *walks, *tests], plugins=[plugin]))


def results() -> dict[str, dict[str, Any]]:
    """The latest result of each mutant of a file that has not changed since."""
    rows: dict[str, dict[str, Any]] = {}
    for file in sorted(KEPT.glob("results*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["hash"] == digest(row["file"]):
                rows[row["key"]] = row
    return rows


def alive(row: dict[str, Any]) -> bool:
    """Whether no test noticed this mutant."""
    return row.get("outcome") in {"survived", "unreached"}


def digest(file: str) -> str:
    path = ROOT / file
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else ""


def run(places: list[str], part: str, sample: int, again: bool) -> int:
    tests: list[str] = []
    found: list[dict[str, Any]] = []
    for place in places or FOLDERS:
        path = ROOT / place if place.endswith(".py") else ROOT / "minigrad" / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found += mutants_of(file)
    rng = random.Random(0)
    rng.shuffle(found)
    if sample:
        found = found[:sample]
    of = [int(n) for n in part.split("/")]
    known = results()
    mine = [{**m, "hash": digest(m["file"])} for m in found[of[0] :: of[1]]]
    if again:
        mine = [
            m for m in mine if known.get(m["key"], {}).get("outcome") in {"survived", "unreached"}
        ]
    else:
        mine = [m for m in mine if m["key"] not in known]
    return pytest_with(Hunt(mine, KEPT / f"results-{of[0]}.jsonl"), tests)


def report(show: bool) -> int:
    by_folder: dict[str, Counter[str]] = defaultdict(Counter)
    rows = results()
    for row in rows.values():
        if row["outcome"] != "same code":
            by_folder[row["file"].split("/")[1]][row["outcome"]] += 1
    print("| folder | mutants | killed | survived | score |\n| --- | ---: | ---: | ---: | ---: |")
    total: Counter[str] = Counter()
    for folder, counts in sorted(by_folder.items()):
        total += counts
        print(table_row(folder, counts))
    print(table_row("all", total))
    if show:
        for row in sorted(rows.values(), key=lambda r: (r["file"], r["line"])):
            if alive(row):
                before, after = mutated(row)
                print(f"\n{row['key']} line {row['line']} ({row['outcome']})")
                for line in difflib.unified_diff(
                    before.split("\n"), after.split("\n"), n=0, lineterm=""
                ):
                    if line[:1] in "+-":
                        print(f"  {line}")
    return 0


def table_row(name: str, counts: Counter[str]) -> str:
    number = counts.total()
    killed = counts["killed"] + counts["timeout"]
    return f"| {name} | {number} | {killed} | {number - killed} | {killed / max(number, 1):.1%} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation testing of minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    reaching = commands.add_parser("reach")
    reaching.add_argument("tests", nargs="*", help="files of tests, instead of all")
    running = commands.add_parser("run")
    running.add_argument("places", nargs="*", help="folders of minigrad/, or files")
    running.add_argument("--part", default="0/1", help="i/n: every n-th mutant, from the i-th on")
    running.add_argument("--sample", type=int, default=0, help="so many, drawn with a fixed seed")
    running.add_argument("--again", action="store_true", help="only those that survived")
    commands.add_parser("report").add_argument("--survivors", action="store_true")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments.command == "reach":
        return pytest_with(Reach(), arguments.tests)
    if arguments.command == "run":
        return run(arguments.places, arguments.part, arguments.sample, arguments.again)
    with contextlib.suppress(BrokenPipeError):
        return report(arguments.survivors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
