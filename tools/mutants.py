"""Mutation testing: change the library in one place, and see whether the tests notice.

`make mutants` changes numbers, signs, comparisons, conditions and loops of the engine, the
operators, layers, optimizers and the trainer, one at a time, and runs the tests that reach the
changed line. A mutant that no test notices *survives*: a test is missing, or the change makes no
difference. The mutations are cosmic-ray's. Its own way to run them starts Python anew for each of
11,000 mutants; here a process that has collected all tests forks for each, replaces the code of
the changed function, and runs tests until one fails: half a second a mutant. Where the change
could show at import only, a new Python runs a copy of the package after all.

    python tools/mutants.py reach                   # which tests reach which lines: once
    python tools/mutants.py run nn optim --part 0/2 # the first half of the mutants of two folders
    python tools/mutants.py run nn --sample 200     # 200 of them, drawn with a fixed seed
    python tools/mutants.py run nn --again          # those that lived, after `reach` of new tests
    python tools/mutants.py report --survivors      # the score by folder, and who lives

What was found is kept in .mutants/, one line a mutant; a run goes on where the last one stopped.
A test counts as one that noticed only if it passes, after the same tests as before, when nothing
was changed. Changes that make no difference stand in `mutants_equivalent.txt`, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import hashlib
import importlib
import json
import mmap
import os
import pickle
import pkgutil
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
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
#: Tests run for one mutant at most: of those that reach the line each with one of its parameters,
#: then with the others.
MOST = 120
#: The processor's time that all of them may take: who is alive then has survived.
SECONDS = 20
#: Where a test takes so many times as long as it did, and at least the seconds, it has noticed.
SLOWER, PATIENCE = 20, 5.0
#: Seconds by the clock after which a mutant only waits; other work may hold up the machine, too.
WAIT = 240
#: Tests that look at what was declared instead of running it, so that no line tells of them.
DECLARED = ("tests/test_signatures.py",)
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
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
        if inside and content(old) != content(new):
            pairs.append((old, new))
        elif not inside and content(old, False) != content(new, False):
            return False
        # The body of a class runs at import, though its code looks like a function's.
        return all(compare(a, b, inside or a.co_flags & 2 != 0) for a, b in zip(*inner))

    same = compare(compile(before, path, "exec"), compile(after, path, "exec"), False)
    return pairs if same else None


def content(code: CodeType, deep: bool = True) -> Any:
    """What a code does, whatever the places of its words in the line, and whether it has run.

    (``==`` of codes looks at the places, and at what the interpreter has noted since.)
    """
    consts = [
        (content(c) if deep else None) if isinstance(c, CodeType) else (type(c), repr(c))
        for c in code.co_consts
    ]
    return code.co_qualname, code.co_firstlineno, code.co_code, code.co_names, consts


def live_functions() -> dict[str, list[FunctionType]]:
    """Every function of the library that lives in this process, by file.

    Asked before ``gc.freeze``, which hides from ``gc.get_objects`` what it has frozen.
    """
    for module in pkgutil.walk_packages([str(ROOT / "minigrad")], "minigrad."):
        with contextlib.suppress(ImportError):  # of packages that are not installed
            importlib.import_module(module.name)  # also what is loaded on demand
    found: dict[str, list[FunctionType]] = defaultdict(list)
    for f in gc.get_objects():
        if type(f) is FunctionType:
            path = Path(f.__code__.co_filename)
            if path.is_relative_to(ROOT):
                found[path.relative_to(ROOT).as_posix()].append(f)
    return found


def replace(pairs: list[tuple[CodeType, CodeType]], functions: list[FunctionType]) -> int:
    """Give every function that has the old code the new one, and tell how many there were."""
    changes = [(content(old), new) for old, new in pairs]
    count = 0
    for f in functions:
        for old, new in changes:
            if f.__code__.co_firstlineno == new.co_firstlineno and content(f.__code__) == old:
                f.__code__ = new
                count += 1
                break
    return count


def replace_at_import(
    file: str, before: str, after: str, functions: list[FunctionType]
) -> bool | None:
    """Give live functions and modules the defaults and constants that the mutated module has.

    False when the mutated module cannot be imported; None when this cannot be done: the module
    cannot run twice, or something else has changed.
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

    def settings(functions: Iterable[FunctionType]) -> dict[tuple[str, int], FunctionType]:
        return {(f.__qualname__, f.__code__.co_firstlineno): f for f in functions}

    try:
        execute(before)
    except Exception:  # noqa: BLE001
        return None
    try:
        namespace = execute(after)
    except Exception:  # noqa: BLE001
        return False
    changed = False
    live = settings(functions)
    new = [f for f in gc.get_objects() if type(f) is FunctionType and f.__globals__ is namespace]
    for key, function in settings(new).items():
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
    """A pytest plugin that notes which test reaches which line, and how long each test takes.

    ``more``: add to what was noted before.
    """

    def __init__(self, more: bool) -> None:
        import coverage

        self.more = more

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
        path = KEPT / "reach.pickle"
        if self.more and path.exists():
            known = pickle.loads(path.read_bytes())
            old = dict(zip(known["tests"], known["seconds"], strict=True))
            old.update(zip(self.tests, self.seconds, strict=True))
            bits = {test: 1 << i for i, test in enumerate(old)}
            for file, lines in self.lines.items():
                kept = known["lines"].setdefault(file, {})
                for line, reached in lines.items():
                    for i, test in enumerate(self.tests):
                        if reached >> i & 1:
                            kept[line] = kept.get(line, 0) | bits[test]
            self.tests, self.seconds, self.lines = [*old], [*old.values()], known["lines"]
        plain = {file: dict(lines) for file, lines in self.lines.items()}
        found = {"tests": self.tests, "seconds": self.seconds, "lines": plain}
        path.write_bytes(pickle.dumps(found))


class Hunt:
    """A pytest plugin that runs mutants, each in a fork, instead of the tests."""

    def __init__(self, mutants: list[dict[str, Any]], results: Path) -> None:
        self.mutants, self.results = mutants, results
        self.reach: dict[str, Any] = pickle.loads((KEPT / "reach.pickle").read_bytes())
        self.seconds = dict(zip(self.reach["tests"], self.reach["seconds"], strict=True))
        self.noticed: dict[str, Counter[str]] = defaultdict(Counter)
        self.fit: set[str] = set()
        self.unfit: set[str] = set()
        self.items: dict[str, pytest.Item] = {}
        self.functions: dict[str, list[FunctionType]] = {}
        self.at_import: dict[str, set[int]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.functions = live_functions()
        self.at_import = lines_at_import()
        gc.collect()
        gc.freeze()
        for i, mutant in enumerate(self.mutants):
            began = time.perf_counter()
            outcome, test = self.hunt(mutant)
            row = {**mutant, "outcome": outcome, "seconds": round(time.perf_counter() - began, 2)}
            with self.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "by": test}) + "\n")
            print(f"{i + 1} of {len(self.mutants)}: {outcome:<10} {mutant['key']}", flush=True)
        return True

    def hunt(self, mutant: dict[str, Any]) -> tuple[str, str]:
        """What became of a mutant, and the test that noticed it."""
        before, after = mutated(mutant)
        try:
            pairs = changed_functions(mutant["file"], before, after)
        except SyntaxError:  # `**settings` in a call is no power
            return "same code", ""
        if pairs == []:
            return "same code", ""
        functions = self.functions[mutant["file"]]

        def change() -> bool | None:
            if pairs is None:
                return replace_at_import(mutant["file"], before, after, functions)
            return replace(pairs, functions) > 0 or None

        declared = pairs is None
        outcome, test = self.until_fit(
            lambda: self.chosen(mutant, declared),
            lambda tests: self.in_fork(change, tests),
            lambda tests: self.in_fork(lambda: True, tests),
        )
        if outcome not in {"killed", "timeout"} and (
            declared or outcome == "impossible" or self.ran_at_import(mutant["file"], pairs)
        ):
            outcome, test = self.until_fit(
                lambda: self.chosen(mutant, around=True),
                lambda tests: in_new_python(mutant["file"], after, tests),
                lambda tests: in_new_python(mutant["file"], before, tests),
            )
        self.noticed[mutant["file"]][test] += 1
        return outcome, test

    def until_fit(
        self,
        choose: Callable[[], list[str]],
        attempt: Callable[[list[str]], tuple[str, str]],
        control: Callable[[list[str]], tuple[str, str]],
    ) -> tuple[str, str]:
        """The outcome by a test that passes, after those before it, where nothing is changed."""
        while tests := choose():
            outcome, test = attempt(tests)
            if not test or test in self.fit:
                return outcome, test
            fails, other = control(tests[: tests.index(test) + 1])
            if fails == "survived":
                self.fit.add(test)
                return outcome, test
            self.unfit.add(other or test)
            print(f"left out, as it fails without a change: {other or test}", flush=True)
        return "unreached", ""

    def ran_at_import(self, file: str, pairs: list[tuple[CodeType, CodeType]] | None) -> bool:
        """Whether a changed function runs while the library is imported."""
        lines = self.at_import.get(file, set())
        heads = {old.co_firstlineno for old, _ in pairs or ()}
        inside = {line for old, _ in pairs or () for _, _, line in old.co_lines() if line}
        return bool((inside - heads) & lines)

    def chosen(self, mutant: dict[str, Any], around: bool = False) -> list[str]:
        """The tests to run: those that noticed changes of the file before, then quick ones.

        ``around``: those that reach what is named at the line, or the function that begins near it,
        or else the file.
        """
        lines = self.reach["lines"].get(mutant["file"], {})
        line = mutant["line"]
        bits = 0
        if around:
            bits = self.users(mutant)
        # A line inside a long statement, or of a function's head.
        near = [*range(line, line + 40)] if around else [*range(line, max(line - 25, 0), -1)]
        bits |= next((lines[n] for n in near if lines.get(n)), 0)
        if around and not bits:
            for reached in lines.values():
                bits |= reached
        tests, seconds = self.reach["tests"], self.reach["seconds"]
        found = sorted((i for i in range(len(tests)) if bits >> i & 1), key=seconds.__getitem__)
        before = {test: -count for test, count in self.noticed[mutant["file"]].most_common(8)}
        seen: Counter[str] = Counter()
        rank = {}
        for i in found:
            function = tests[i].partition("[")[0]
            rank[i] = (before.get(tests[i], 0), seen[function])
            seen[function] += 1
        found.sort(key=rank.__getitem__)
        first = [t for t in self.items if around and t.startswith(DECLARED)]
        ranked = [*first, *(tests[i] for i in found)]
        return [t for t in ranked if t in self.items and t not in self.unfit][:MOST]

    def users(self, mutant: dict[str, Any]) -> int:
        """The tests that reach a line with the name to which the mutant's line assigns."""
        text = (ROOT / mutant["file"]).read_text(encoding="utf-8").splitlines()
        name = re.match(r"\s*(\w+)\s*(:[^=]*)?=", text[mutant["line"] - 1])
        bits = 0
        if name is None:
            return bits
        for file, lines in self.reach["lines"].items():
            if (ROOT / file).exists():
                source = (ROOT / file).read_text(encoding="utf-8").splitlines()
                for number in lines:
                    if re.search(rf"\b{name[1]}\b", source[number - 1]):
                        bits |= lines[number]
        return bits

    def in_fork(self, change: Callable[[], bool | None], tests: list[str]) -> tuple[str, str]:
        """Change a copy of this process, and run the tests there until one fails."""
        items = [self.items[test] for test in tests]
        running = mmap.mmap(-1, 4096)  # the child tells here which test it is at
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setpgid(0, 0)
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                done = change()
                code = 3 if done is False else 2 if done is None else self.any_fails(items, running)
            except BaseException:  # noqa: BLE001  (a mutant may raise anything, anywhere)
                code = 1
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # what it has left running
        test = running[:].rstrip(b"\0").decode()
        running.close()
        if os.WIFSIGNALED(status):
            late = os.WTERMSIG(status) in {signal.SIGKILL, signal.SIGPROF, signal.SIGALRM}
            return ("timeout" if late else "killed"), test
        code = os.WEXITSTATUS(status)
        if code in {0, 2}:
            return ("survived" if code == 0 else "impossible"), ""
        return "killed", ("" if code == 3 else test)

    def any_fails(self, items: list[pytest.Item], running: mmap.mmap) -> int:
        """Whether one of the tests fails; no more are run then."""
        from _pytest.runner import runtestprotocol

        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > SECONDS:
                return 0
            name = item.nodeid.encode()[:4096]
            running[:] = name + bytes(4096 - len(name))
            usual = self.seconds.get(item.nodeid, 0.0)
            signal.setitimer(signal.ITIMER_PROF, max(SLOWER * usual, PATIENCE))
            signal.alarm(WAIT)  # for a mutant that waits
            for report in runtestprotocol(item, log=False, nextitem=following):
                if report.failed:
                    return 1
        return 0


def lines_at_import() -> dict[str, set[int]]:
    """Which lines run while the library is imported."""
    program = (
        "import coverage, importlib, json, pkgutil, sys\n"
        "measured = coverage.Coverage(data_file=None, source=['minigrad'], config_file=False)\n"
        "measured.start()\n"
        "import minigrad\n"
        "for module in pkgutil.walk_packages(minigrad.__path__, 'minigrad.'):\n"
        "    try: importlib.import_module(module.name)\n"
        "    except ImportError: pass\n"
        "measured.stop()\n"
        "data = measured.get_data()\n"
        "print(json.dumps({f: data.lines(f) for f in data.measured_files()}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {Path(f).relative_to(ROOT).as_posix(): set(lines) for f, lines in found.items()}


def in_new_python(file: str, source: str, tests: list[str]) -> tuple[str, str]:
    """The same for code that runs at import: a new Python, with a copy of the package."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    wanted = [t for group in files.values() for t in group[:8]][:200]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name in {"tests", "docs", "examples", "benchmarks", "tools"}:
                (copy / path.name).symlink_to(path)
            elif path.is_file() and path.name != ".git":
                shutil.copy(path, copy)
        without = shutil.ignore_patterns("*.pyc")
        shutil.copytree(ROOT / "minigrad", copy / "minigrad", ignore=without)
        (copy / file).write_text(source, encoding="utf-8")
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-rfE", "--tb=no"]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *wanted],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        except subprocess.TimeoutExpired:  # perhaps only held up by other work
            return "survived", ""
    if done.returncode == 0:
        return "survived", ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    # What cannot be imported fails before any test.
    return "killed", (failed[1] if failed and failed[1] in wanted else "")


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
    reached = pickle.loads((KEPT / "reach.pickle").read_bytes())["tests"]
    tests = sorted({test.partition("::")[0] for test in reached})
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


def equivalents() -> dict[tuple[str, str, str], str]:
    """The changes that make no difference: file, line before and after, and the reason."""
    found: dict[tuple[str, str, str], str] = {}
    reason: list[str] = []
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            reason.append(line[1:].strip())
        elif not line:
            reason = []
        else:
            file, _, change = line.partition(": ")
            before, _, after = change.partition("  =>  ")
            found[file, before, after] = " ".join(reason)
    return found


def difference(row: dict[str, Any]) -> tuple[str, str, str]:
    """The file of a mutant, and the line before and after."""
    old, new = (source.split("\n") for source in mutated(row))
    _, _, _, *changed = difflib.unified_diff(old, new, n=0, lineterm="")
    before, after = ([c[1:].strip() for c in changed if c[0] == sign] for sign in "-+")
    return row["file"], " ".join(before).strip(), " ".join(after).strip()


def report(show: bool) -> int:
    by_folder: dict[str, Counter[str]] = defaultdict(Counter)
    rows = [row for row in results().values() if row["outcome"] != "same code"]
    known = equivalents()
    lives = []
    for row in sorted(rows, key=lambda r: (r["file"], r["line"])):
        outcome = "alive" if alive(row) else "killed"
        if outcome == "alive" and difference(row) in known:
            outcome = "equivalent"
        elif outcome == "alive":
            lives.append(row)
        by_folder[row["file"].split("/")[1]][outcome] += 1
    print("| folder | mutants | killed | equivalent | alive | score |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total: Counter[str] = Counter()
    for folder, counts in sorted(by_folder.items()):
        total += counts
        print(table_row(folder, counts))
    print(table_row("all", total))
    for row in lives if show else ():
        file, before, after = difference(row)
        print(
            f"\n{row['key']} line {row['line']} ({row['outcome']})\n{file}: {before}  =>  {after}"
        )
    return 0


def table_row(name: str, counts: Counter[str]) -> str:
    killed, equal, lives = (counts[kind] for kind in ("killed", "equivalent", "alive"))
    score = f"{killed / max(killed + lives, 1):.1%}"
    return f"| {name} | {counts.total():,} | {killed:,} | {equal} | {lives} | {score} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation testing of minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    reaching = commands.add_parser("reach")
    reaching.add_argument("tests", nargs="*", help="files of tests that are new, instead of all")
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
        return pytest_with(Reach(bool(arguments.tests)), arguments.tests)
    if arguments.command == "run":
        return run(arguments.places, arguments.part, arguments.sample, arguments.again)
    with contextlib.suppress(BrokenPipeError):
        return report(arguments.survivors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
