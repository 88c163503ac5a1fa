"""Mutation testing: change the library in one place, and see whether the tests notice.

`make mutants` changes numbers, signs, comparisons, conditions and loops of the engine, the
operators, layers, optimizers, files, data and the trainer, one at a time, and runs the tests that
reach the changed line. A mutant that no test notices *survives*: a test is missing, or the change
makes no difference. The mutations are cosmic-ray's. Its own way to run them starts Python anew for
each of 18,000 mutants; here a process that has collected all tests forks for each, replaces the
code of the changed function, and runs tests until one fails, first those that carry its name or
have noticed changes near it: a tenth of a second for most. Where the change could show at import
only, a process that has not imported the library forks after all, and imports it changed.

    python tools/mutants.py reach                 # which tests reach which lines: once
    python tools/mutants.py reach tests/test_x.py --name x  # the same for tests that are new
    python tools/mutants.py run nn optim          # the mutants of two folders
    python tools/mutants.py run nn --sample 200   # 200 of them, drawn with a fixed seed
    python tools/mutants.py run nn --sample 200 --seed 1  # 200 others, as far as chance has it
    python tools/mutants.py run nn --again        # those that lived, after `reach` of new tests
    python tools/mutants.py run nn --again --most 4000 --seconds 8  # by more tests than usual
    python tools/mutants.py run nn --again --thorough  # by all tests that reach the line
    python tools/mutants.py run nn --judged       # those said to make no difference, after all
    python tools/mutants.py report --survivors    # the score by folder, and who lives

What was found is kept in .mutants/, one line a mutant; a run goes on where the last one stopped.
A test counts as one that noticed only if it passes, after the same tests as before, when nothing
was changed. Changes that make no difference stand in `mutants_equivalent.txt`, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import functools
import gc
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import mmap
import os
import pickle
import pkgutil
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import chain, zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TypeAlias

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".mutants"
FOLDERS = ("data", "engine", "io", "kernels", "nn", "operators", "optim", "training")
#: What does not run where numba is not installed.
COMPILED = "minigrad/kernels/compiled/"
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
#: Tests run for one mutant at most, and with ``--thorough``.
MOST, ALL = 100, 100_000
#: A line that so many tests reach at most says which of them are about it.
FEW = 400
#: The processor's time that all of them may take: who is alive then has survived.
SECONDS, LONG = 5, 40
#: Where a test takes so many times as long as it did, and at least the seconds, it has noticed.
SLOWER, PATIENCE = 10, 3.0
#: A mutant that only waits is rung so often, and has waited too long then. (A clock would go on
#: while other work holds up the machine, but rings only once.)
RINGS, BETWEEN = 4, 8
#: The processor's time of a new Python.
FRESH = 60
#: Tests that look at what was declared instead of running it, so that no line tells of them.
DECLARED = ("tests/test_signatures.py",)
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
#: Left out: ten thousand calls with nonsense, which are there for errors, not for values; and
#: files that mostly start other programs, where nothing is changed.
LEFT_OUT = (
    *(
        "walk_functions",
        "walk_objects",
        "benchmarks",
        "demo",
        "documents",
        "editor",
    ),
    *("examples", "links", "local_support", "mpi", "mutation_runs", "old_files"),
    *("packaging", "reference", "setup", "structure"),
)


# -- the mutants -----------------------------------------------------------------------------------


def mutants_of(path: Path) -> Iterator[dict[str, Any]]:
    """Every mutation of a file: its kind, which occurrence of that kind, and its line.

    Its key holds as long as the function or statement around it stays as it is.
    """
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    left_out = Spans(text)
    around = statements(text)
    seen: Counter[str] = Counter()
    for (kind, occurrence), (start, _, _) in places_of(name).items():
        # A star before arguments that have names is no product.
        if start not in left_out and not text.startswith("*,", offset(text, start)):
            place = f"{name}:{around.get(start[0], '')}:{kind}"
            key = f"{place}:{seen[place]}"
            seen[place] += 1
            yield {"key": key, "file": name, "kind": kind, "n": occurrence, "line": start[0]}


def statements(text: str) -> dict[int, str]:
    """For each line a short hash of the function, or the statement outside of any, around it."""
    found: dict[int, str] = {}
    lines = text.split("\n")
    seen: Counter[str] = Counter()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            decorators = getattr(node, "decorator_list", [])
            first = min(part.lineno for part in [node, *decorators])
            source = "\n".join(lines[first - 1 : node.end_lineno])
            seen[source] += 1
            digest = hashlib.sha256(f"{seen[source]} {source}".encode()).hexdigest()[:10]
            found.update(dict.fromkeys(range(first, (node.end_lineno or first) + 1), digest))
            if isinstance(node, ast.ClassDef):
                visit(node.body)

    visit(ast.parse(text).body)
    return found


@functools.cache
def places_of(name: str) -> dict[tuple[str, int], tuple[tuple[int, int], Any, int]]:
    """For each kind and occurrence, where it is, the node, and which of the node's mutations."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    nodes = list(ast_nodes(get_ast((ROOT / name).read_text(encoding="utf-8"))))
    found: dict[tuple[str, int], tuple[tuple[int, int], Any, int]] = {}
    for kind in KINDS:
        operator = get_operator(f"core/{kind}")()
        places = (
            (start, node, index)
            for node in nodes
            for index, (start, _) in enumerate(operator.mutation_positions(node))
        )
        found.update({(kind, n): place for n, place in enumerate(places)})
    return found


#: What a declaration says for the tests, as `sample(...)` does, and the check of `zip` that
#: lengths are as they must be.
NOT_CODE = {"domain", "reference", "samples", "strict"}


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
            elif isinstance(node, ast.keyword) and node.arg in NOT_CODE:
                self.add(node.value)
            elif (
                isinstance(node, ast.Raise)
                or (isinstance(node, ast.Call) and ast.unparse(node.func) in {"sample", "Domain"})
                or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
            ):
                self.add(node)
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING":
                self.add(node.test)

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
    from cosmic_ray.plugins import get_operator

    before = (ROOT / mutant["file"]).read_text(encoding="utf-8")
    _, node, index = places_of(mutant["file"])[mutant["kind"], mutant["n"]]
    begin, end = (offset(before, at) for at in (node.get_start_pos_of_prefix(), node.end_pos))
    parent, node.parent = node.parent, None  # which would be copied too
    copy = deepcopy(node)
    node.parent = copy.parent = parent
    text = get_operator(f"core/{mutant['kind']}")().mutate(copy, index).get_code()
    return before, before[:begin] + text + before[end:]


def offset(text: str, place: tuple[int, int]) -> int:
    """How many characters are before a place, given as line and column."""
    line, column = place
    return sum(len(part) for part in text.splitlines(keepends=True)[: line - 1]) + column


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

    same = compare(compiled(path, before), compile(after, path, "exec"), False)
    return pairs if same else None


@functools.cache
def compiled(path: str, source: str) -> CodeType:
    code: CodeType = compile(source, path, "exec")
    return code


def content(code: CodeType, deep: bool = True) -> Any:
    """What a code does, whatever the places of its words in the line, and whether it has run.

    (``==`` of codes looks at the places, and at what the interpreter has noted since.)
    """
    consts = [
        (content(c) if deep else None) if isinstance(c, CodeType) else (type(c), repr(c))
        for c in code.co_consts
    ]
    return code.co_qualname, code.co_firstlineno, code.co_code, code.co_names, consts


def live_functions() -> tuple[dict[str, list[FunctionType]], list[Any]]:
    """Every function of the library that lives in this process, by file, and every cache.

    Asked before ``gc.freeze``, which hides from ``gc.get_objects`` what it has frozen.
    """
    for module in pkgutil.walk_packages([str(ROOT / "minigrad")], "minigrad."):
        with contextlib.suppress(ImportError):  # of packages that are not installed
            importlib.import_module(module.name)  # also what is loaded on demand
    found: dict[str, list[FunctionType]] = defaultdict(list)
    caches = []
    for f in gc.get_objects():
        if type(f) is FunctionType:
            path = Path(f.__code__.co_filename)
            if path.is_relative_to(ROOT):
                found[path.relative_to(ROOT).as_posix()].append(f)
        elif type(f) is functools._lru_cache_wrapper and f.__module__.startswith("minigrad."):
            caches.append(f)
    return found, caches


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


@functools.cache
def definitions(file: str) -> list[tuple[str, range]]:
    """The functions, classes and variables that a file defines, and their lines."""
    found = []
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if names:
            place: Any = node
            first = min(part.lineno for part in [place, *getattr(node, "decorator_list", ())])
            found += [(name, range(first, place.end_lineno + 1)) for name in names]
    return [(name, lines) for name, lines in found if len(name.strip("_")) > 2]


# -- tests -----------------------------------------------------------------------------------------


class Reach:
    """A pytest plugin that notes which test reaches which line, and how long each test takes."""

    def __init__(self, name: str) -> None:
        import coverage

        self.path = KEPT / f"reach-{name}.pickle"
        self.coverage = coverage.Coverage(
            data_file=None, source=[str(ROOT / "minigrad")], config_file=False
        )
        self.coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self.tests: list[str] = []
        self.seconds: list[float] = []
        self.lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def pytest_collection_finish(self) -> None:
        self.coverage.start()
        self.collected()

    def collected(self) -> dict[str, set[int]]:
        """The lines that ran since the last call.

        The tracer's own sets are read and emptied: stopping and starting it for each of 20,000
        tests would take longer than the tests.
        """
        found = {}
        for file, lines in [*self.coverage._collector.data.items()]:
            found[file] = {line for line in [*lines] if isinstance(line, int)}
            lines.clear()
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.collected()
        began = time.process_time()
        result = yield
        self.seconds.append(time.process_time() - began)
        bit = 1 << len(self.tests)
        self.tests.append(item.nodeid)
        for file, reached in self.collected().items():
            if reached:
                lines = self.lines[Path(file).relative_to(ROOT).as_posix()]
                for line in reached:
                    lines[line] |= bit
        return result

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        KEPT.mkdir(exist_ok=True)
        plain = {file: dict(lines) for file, lines in self.lines.items()}
        found = {"tests": self.tests, "seconds": self.seconds, "lines": plain}
        self.path.write_bytes(pickle.dumps(found))


def read_reach() -> dict[str, Any]:
    """What all runs of ``reach`` have noted, the later ones in place of the earlier."""
    tests: dict[str, int] = {}
    seconds: list[float] = []
    all_lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted(KEPT.glob("reach*.pickle"), key=lambda path: path.stat().st_mtime):
        known = pickle.loads(path.read_bytes())
        places = []
        for test, taken in zip(known["tests"], known["seconds"], strict=True):
            if test not in tests:
                tests[test] = len(tests)
                seconds.append(taken)
            places.append(tests[test])
        together = places == [*range(places[0], places[0] + len(places))]
        for file, lines in known["lines"].items():
            for line in lines.keys() - heads(file):
                bits = lines[line]
                if together:
                    all_lines[file][line] |= bits << places[0]
                else:
                    all_lines[file][line] |= sum(1 << places[i] for i in ones(bits))
    return {"tests": [*tests], "seconds": seconds, "lines": all_lines}


def heads(file: str) -> set[int]:
    """The lines from ``def`` to the function's first statement, which run when it is imported."""
    found: set[int] = set()
    if (ROOT / file).exists():
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.update(range(node.lineno, node.body[0].lineno))
    return found


def ones(bits: int) -> list[int]:
    """The places of the ones of a number, from the last one on."""
    return [i for i, digit in enumerate(reversed(f"{bits:b}")) if digit == "1"]


#: Whether a change (file, line before and after) is one of those that make no difference.
Judge: TypeAlias = Callable[[tuple[str, str, str]], bool]


class Hunt:
    """A pytest plugin that runs mutants, each in a fork, instead of the tests."""

    def __init__(
        self, mutants: list[dict[str, Any]], results: Path, workers: int = 1, skips: bool = True
    ) -> None:
        self.mutants, self.results, self.workers = mutants, results, workers
        self.reach = read_reach()
        self.judged = equivalents() if skips else lambda _: False
        self.seconds = dict(zip(self.reach["tests"], self.reach["seconds"], strict=True))
        self.noticed: dict[str, Counter[str]] = defaultdict(Counter)
        self.fit: set[str] = set()
        self.unfit: set[str] = set()
        self.items: dict[str, pytest.Item] = {}
        self.functions: dict[str, list[FunctionType]] = {}
        self.caches: list[Any] = []
        self.failed = False
        self._rarities: dict[tuple[str, range], Counter[int]] = {}
        self.at_import: dict[str, set[int]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.functions, self.caches = live_functions()
        self.at_import = lines_at_import()
        gc.collect()
        gc.freeze()
        others = []
        for number in range(1, self.workers):
            others.append(os.fork())
            if others[-1] == 0:
                os.setsid()
                try:
                    self.work(number)
                finally:
                    os._exit(0)
        self.work(0)
        for other in others:
            os.waitpid(other, 0)
        return True

    def work(self, number: int) -> None:
        """Hunt every n-th mutant."""
        STARTERS[:] = STARTERS[number : number + 1]
        mine = self.mutants[number :: self.workers]
        for i, mutant in enumerate(mine):
            began = time.perf_counter()
            outcome, test = self.hunt(mutant)
            self.note(mutant, outcome, test, began)
            if i % 50 == 49:
                print(f"{i + 1} of {len(mine)} by worker {number}", flush=True)

    def note(self, mutant: dict[str, Any], outcome: str, test: str, began: float) -> None:
        row = {**mutant, "outcome": outcome, "seconds": round(time.perf_counter() - began, 2)}
        line = json.dumps({**row, "by": test}) + "\n"
        with self.results.open("a", encoding="utf-8") as file:
            file.write(line)

    def hunt(self, mutant: dict[str, Any]) -> tuple[str, str]:
        """What became of a mutant, and the test that noticed it."""
        if self.judged(difference(mutant)):  # would take longest, as no test stops it
            return "judged", ""
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
        if outcome not in {"killed", "timeout", "no import"} and (
            declared or outcome == "impossible" or self.ran_at_import(mutant["file"], pairs)
        ):
            return self.until_fit(
                lambda: self.chosen(mutant, around=True),
                lambda tests: in_new_python(mutant["file"], after, tests),
                lambda tests: in_new_python(mutant["file"], before, tests),
            )
        for place in self.places(mutant):
            self.noticed[place][test] += 1
        return outcome, test

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def until_fit(
        self,
        choose: Callable[[], list[str]],
        attempt: Callable[[list[str]], tuple[str, str]],
        control: Callable[[list[str]], tuple[str, str]],
    ) -> tuple[str, str]:
        """The outcome by a test that passes, after those before it, where nothing is changed."""
        while tests := choose():
            outcome, test = attempt(tests)
            if outcome in {"survived", "impossible", "no import"} or test in self.fit:
                return outcome, test
            fails, other = control(tests[: tests.index(test) + 1] if test else tests)
            if not test:  # what cannot be imported fails before any test
                return ("killed" if fails == "survived" else "survived"), ""
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
        """The tests to run: those that noticed changes near it, then the best for their time.

        Of a line that thousands reach, those are the best that carry the function's name, or reach
        other lines of the function, or of the file, that few reach.

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
        inside = [span for _, span in definitions(mutant["file"]) if line in span]
        if around and inside:
            for n in min(inside, key=len):
                bits |= lines.get(n, 0)
        else:
            bits |= next((lines[n] for n in near if lines.get(n)), 0)
        if around and not bits:
            for reached in lines.values():
                bits |= reached
        tests, seconds = self.reach["tests"], self.reach["seconds"]
        found = [i for i in ones(bits) if tests[i] in self.items and tests[i] not in self.unfit]
        found.sort(key=seconds.__getitem__)
        before: list[str] = []
        for place in self.places(mutant):
            before += [test for test, _ in self.noticed[place].most_common(4)]
        around_it = self.rarities(mutant["file"], min(inside, key=len, default=range(line, line)))
        in_file = self.rarities(mutant["file"], range(1_000_000))
        names = re.compile("|".join(self.places(mutant)[:-1]).lower())
        seen: Counter[tuple[str, bool]] = Counter()
        rank = {}
        for i in found:
            # One test of each function first, but not a slow one before many quick ones.
            function = tests[i].partition("[")[0]
            named = names.search(tests[i].lower()) is not None
            seen[function, named] += 1
            cost = (seconds[i] + 0.003) * seen[function, named]
            worth = 0.02 + around_it[i] + 0.1 * in_file[i] + 0.5 * named
            rank[i] = (tests[i] not in before, cost / worth)
        found.sort(key=rank.__getitem__)
        first = [t for t in self.items if around and t.startswith(DECLARED)]
        ranked = [*first, *(tests[i] for i in found)]
        return [t for t in ranked if t not in self.unfit][:MOST]

    def rarities(self, file: str, span: range) -> Counter[int]:
        """For each test the sum of 1 / how many reach a line, over the lines that it reaches."""
        if (file, span) not in self._rarities:
            found: Counter[int] = Counter()
            for line, bits in self.reach["lines"].get(file, {}).items():
                count = bits.bit_count()
                if line in span and count <= FEW:
                    found.update(dict.fromkeys(ones(bits), 1 / count))
            self._rarities[file, span] = found
        return self._rarities[file, span]

    def places(self, mutant: dict[str, Any]) -> list[str]:
        """What stands around a mutant, from its function to its file."""
        file = mutant["file"]
        inside = [name for name, lines in definitions(file) if mutant["line"] in lines]
        stem = Path(file).stem.strip("_")
        return [*(re.escape(name.strip("_")) for name in reversed(inside)), stem, file]

    def users(self, mutant: dict[str, Any]) -> int:
        """The tests that reach a line with a name to which the mutant's statement assigns."""
        around = (
            node
            for node in ast.walk(ast.parse((ROOT / mutant["file"]).read_text(encoding="utf-8")))
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            and node.lineno <= mutant["line"] <= (node.end_lineno or 0)
        )
        names = {
            n.id
            for a in around
            for n in ast.walk(a)
            if isinstance(getattr(n, "ctx", 0), ast.Store) and isinstance(n, ast.Name)
        }
        bits = 0
        if not names:
            return bits
        name = re.compile(rf"\b({'|'.join(names)})\b")
        for file, lines in self.reach["lines"].items():
            if (ROOT / file).exists():
                source = (ROOT / file).read_text(encoding="utf-8").splitlines()
                for number in lines:
                    # The file may have become shorter since.
                    if number <= len(source) and name.search(source[number - 1]):
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
                for cache in self.caches:
                    cache.cache_clear()
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
        return ("no import", "") if code == 3 else ("killed", test)

    def any_fails(self, items: list[pytest.Item], running: mmap.mmap) -> int:
        """Whether one of the tests fails; no more are run then."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > SECONDS:
                return 0
            name = item.nodeid.encode()[:4096]
            running[:] = name + bytes(4096 - len(name))
            usual = self.seconds.get(item.nodeid, 0.0)
            signal.setitimer(signal.ITIMER_PROF, max(SLOWER * usual, PATIENCE))
            ring_often()
            # Through the hook, so that each test has the warnings that it asks for.
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return 1
        return 0


def ring_often() -> None:
    """End this process when it has waited for a long time."""
    rings = 0

    def ring(*_: object) -> None:
        nonlocal rings
        rings += 1
        if rings == RINGS:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.alarm(BETWEEN)

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(BETWEEN)


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


class Starter:
    """A process that has imported pytest, but not the library, and forks for code run at import."""

    def __init__(self) -> None:
        requests, self.requests = os.pipe()
        self.answers, answers = os.pipe()
        self.process = os.fork()
        if self.process:
            os.close(requests)
            os.close(answers)
            return
        importlib.import_module("numpy")  # which would be imported each time
        os.close(self.requests)
        os.close(self.answers)
        try:
            with os.fdopen(requests, encoding="utf-8") as lines:
                for line in lines:
                    self.serve(json.loads(line), answers)
        finally:
            os._exit(0)

    def serve(self, request: dict[str, Any], answers: int) -> None:
        child = os.fork()
        if child == 0:
            answer = "killed", ""
            try:
                os.setpgid(0, 0)
                null = os.open(os.devnull, os.O_RDWR)
                for stream in range(3):
                    os.dup2(null, stream)
                resource.setrlimit(resource.RLIMIT_CPU, (FRESH, FRESH))
                sys.meta_path.insert(0, Changed(request["file"], request["source"]))
                first = FirstFailure()
                # Plain assertions, because pytest imports what it rewrites itself, unchanged: the
                # doctests' own file, too.
                options = ["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "--tb=no"]
                options += ["-p", "no:xdist"]
                code = pytest.main([*options, *request["tests"]], plugins=[first])
                answer = ("survived" if code == 0 else "killed"), first.test
            finally:
                os.write(answers, (json.dumps(answer) + "\n").encode())
                os._exit(0)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        if os.WIFSIGNALED(status):  # perhaps only held up
            os.write(answers, b'["survived", ""]\n')

    def ask(self, **request: Any) -> tuple[str, str]:
        os.write(self.requests, (json.dumps(request) + "\n").encode())
        answer = b""
        while not answer.endswith(b"\n"):
            answer += os.read(self.answers, 1000)
        outcome, test = json.loads(answer)
        return outcome, test


class Changed(importlib.abc.MetaPathFinder):
    """Finds one file of the library with another source."""

    def __init__(self, file: str, source: str) -> None:
        self.path, self.source = ROOT / file, source
        self.name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> Any:
        if name != self.name:
            return None
        loader = ChangedLoader(name, str(self.path), self.source)
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class ChangedLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.source, self.path, "exec", dont_inherit=True)
        return code


class FirstFailure:
    """A pytest plugin that notes the first test that fails."""

    test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


STARTERS: list[Starter] = []


def in_new_python(file: str, source: str, tests: list[str]) -> tuple[str, str]:
    """The same for code that runs at import: in a fork of a process that has not imported it."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    wanted = [t for group in [*files.values()][:12] for t in group[:16]]
    outcome, test = STARTERS[-1].ask(file=file, source=source, tests=wanted)
    # What cannot be imported fails before any test.
    return outcome, (test if test in wanted else "")


# -- commands --------------------------------------------------------------------------------------


def pytest_with(plugin: Any, tests: list[str]) -> int:
    files = (f"tests/test_{name}.py" for name in LEFT_OUT)
    out = [f"--ignore={file}" for file in files if file not in tests]
    return int(pytest.main(["-q", "-p", "no:cacheprovider", *out, *tests], plugins=[plugin]))


def results() -> dict[str, dict[str, Any]]:
    """The latest result of each mutant."""
    rows: dict[str, dict[str, Any]] = {}
    for file in sorted(KEPT.glob("results*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["key"]] = row
    return rows


def alive(row: dict[str, Any]) -> bool:
    """Whether no test noticed this mutant."""
    return row.get("outcome") in {"survived", "unreached"}


def run(places: list[str], sample: int, again: bool, judged: bool, workers: int, seed: int) -> int:
    tests = sorted({test.partition("::")[0] for test in read_reach()["tests"]})
    known, equal = results(), equivalents()
    # One of each folder in turn: what has been done at any time is a sample of each.
    turns = zip_longest(*(drawn(place, seed)[: sample or None] for place in places or FOLDERS))
    mine = [
        mutant
        for mutant in chain.from_iterable(turns)
        if mutant and wanted({**known.get(mutant["key"], {}), **mutant}, again, judged, equal)
    ]
    STARTERS[:] = [Starter() for _ in range(workers)]
    return pytest_with(Hunt(mine, KEPT / "results.jsonl", workers, not judged), tests)


def wanted(row: dict[str, Any], again: bool, judged: bool, equal: Judge) -> bool:
    """Whether to run this mutant, of which this is known."""
    outcome = row.get("outcome")
    if outcome is None or judged:
        return outcome == "judged" if judged else not again
    if outcome == "judged" and not equal(difference(row)):
        return not again  # The judgement has been taken back.
    return again and alive(row) and not equal(difference(row))


def drawn(place: str, seed: int = 0) -> list[dict[str, Any]]:
    """The mutants of a folder of the library, or of a file, shuffled with a seed."""
    path = ROOT / place if place.endswith(".py") else ROOT / "minigrad" / place
    found: list[dict[str, Any]] = []
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        if COMPILED not in file.as_posix():
            found += mutants_of(file)
    random.Random(seed).shuffle(found)
    return found


def equivalents() -> Judge:
    """Whether a change (file, line before and after) is one of those that make no difference."""
    exact: set[tuple[str, str, str]] = set()
    patterns: list[tuple[str, re.Pattern[str]]] = []
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        file, _, change = line.partition(": ")
        before, _, after = change.partition("  =>  ")
        if change.startswith("~ "):
            patterns.append((file, re.compile(change[2:])))
        elif change and not line.startswith("#"):
            exact.add((file, before, after))

    def known(change: tuple[str, str, str]) -> bool:
        text = "  =>  ".join(change[1:])
        return change in exact or any(f in {"*", change[0]} and p.search(text) for f, p in patterns)

    return known


def difference(row: dict[str, Any]) -> tuple[str, str, str]:
    """The file of a mutant, and the line before and after."""
    old, new = (source.split("\n") for source in mutated(row))
    _, _, _, *changed = difflib.unified_diff(old, new, n=0, lineterm="")
    before, after = ([c[1:].strip() for c in changed if c[0] == sign] for sign in "-+")
    return row["file"], " ".join(before).strip(), " ".join(after).strip()


def report(show: bool, sample: int, seed: int) -> int:
    known, equal = results(), equivalents()
    print("| folder | mutants | run | noticed | no difference | not noticed | score |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    lives = []
    for folder in FOLDERS:
        everything = drawn(folder, seed)
        found = everything[: sample or None]
        counts: Counter[str] = Counter()
        rows = ({**known[m["key"]], **m} for m in found if m["key"] in known)
        for row in sorted(rows, key=place_of):
            outcome = row["outcome"] if row["outcome"] == "same code" else "killed"
            if alive(row) or row["outcome"] == "judged":
                outcome = "equal" if equal(difference(row)) else "alive"
            if outcome == "alive":
                lives.append(row)
            counts[outcome] += 1
        run, killed, alone = counts.total() - counts["same code"], counts["killed"], counts["alive"]
        whole = len(everything) == counts.total()
        figures = f"{run:,} | {killed:,} | {counts['equal']} | {alone}"
        print(f"| {folder} | {len(everything):,} | {figures} | {score(killed, alone, whole)} |")
    for row in lives if show else ():
        file, before, after = difference(row)
        print(
            f"\n{row['key']} line {row['line']} ({row['outcome']})\n{file}: {before}  =>  {after}"
        )
    return 0


def place_of(row: dict[str, Any]) -> tuple[str, int]:
    return row["file"], row["line"]


def score(killed: int, lives: int, whole: bool) -> str:
    """The share that was killed; for a sample with Wilson's interval at 95 %."""
    n = killed + lives
    if n == 0:
        return "–"
    share = killed / n
    if whole:
        return f"{share:.1%}"
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{share:.1%} ({middle - half:.1%} to {middle + half:.1%})"


def main() -> int:
    global MOST, SECONDS
    parser = argparse.ArgumentParser(description="Mutation testing of minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    reaching = commands.add_parser("reach")
    reaching.add_argument("tests", nargs="*", help="some files of tests, instead of all")
    reaching.add_argument("--name", default="all", help="of the file in .mutants/ for the result")
    running = commands.add_parser("run")
    running.add_argument("places", nargs="*", help="folders of minigrad/, or files")
    running.add_argument("--sample", type=int, default=0, help="so many of each, drawn by a seed")
    running.add_argument("--again", action="store_true", help="only those that survived")
    running.add_argument("--judged", action="store_true", help="only those said to be equal")
    running.add_argument("--thorough", action="store_true", help="all tests that reach the line")
    running.add_argument("--seconds", type=int, default=SECONDS, help="for each that lives")
    running.add_argument("--most", type=int, default=MOST, help="tests for each that lives")
    running.add_argument("--workers", type=int, default=2, help="processes that run mutants")
    running.add_argument("--seed", type=int, default=0, help="of the order, and so of the sample")
    reporting = commands.add_parser("report")
    reporting.add_argument("--survivors", action="store_true")
    reporting.add_argument("--sample", type=int, default=0, help="only so many of each folder")
    reporting.add_argument("--seed", type=int, default=0, help="those that the seed draws")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments.command == "reach":
        return pytest_with(Reach(arguments.name), arguments.tests)
    if arguments.command == "run":
        MOST, SECONDS = arguments.most, arguments.seconds
        if arguments.thorough:
            MOST, SECONDS = ALL, LONG
        which = arguments.sample, arguments.again, arguments.judged
        return run(arguments.places, *which, arguments.workers, arguments.seed)
    with contextlib.suppress(BrokenPipeError):
        return report(arguments.survivors, arguments.sample, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
