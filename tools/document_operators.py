"""Write docs/operators.md, the table of everything that has or refuses a derivative.

    python tools/document_operators.py

The table is made from the declarations; a test fails when it is out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
import minigrad.operators
from minigrad.engine.numpy_protocol import PLAIN, reason
from minigrad.operators.declare import COMPOSITES, CONSTANTS, NUMPY, OPERATORS

PAGE = Path(__file__).parent.parent / "docs" / "operators.md"
SPACES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
INTRODUCTION = """\
# Operators

This page is written by `python tools/document_operators.py` from the declarations in
`minigrad/operators/`; `tests/test_operators.py` tests every row, to second order.

Each function can be called by the name in the first column, by NumPy's names in the second, and
as a method of a tensor where there is a dot in the third. *Differentiable in* lists the arguments
that have a derivative. There are {operators} functions with rules of their own (**rule**),
{composites} that are written with others (composite), and {constants} constant ones: declared to
have no derivative, their results are not tracked. *Tested on* is where the points of the tests are
drawn from. The names are those of NumPy {numpy}.
"""


#: All modules of operators: those that are loaded on demand fill the tables, too.
MODULES = [
    importlib.import_module(f"minigrad.operators.{found.name}")
    for found in sorted(pkgutil.iter_modules(minigrad.operators.__path__), key=lambda m: m.name)
]


def numpy_names() -> dict[Callable[..., Any], list[str]]:
    """The names in NumPy of each function, e.g. np.amax and np.max."""
    names: dict[Callable[..., Any], list[str]] = defaultdict(list)
    for space, module in SPACES.items():
        for name in sorted(dir(module)):
            found = getattr(module, name)
            if callable(found) and not isinstance(found, type) and not name.startswith("_"):
                names[found].append(f"{space}.{name}")
    return names


def home(name: str, function: Any) -> str:
    """Where users find a public function."""
    for prefix, space in (("mg", mg), ("mg.linalg", mg.linalg), ("F", F)):
        if name in space.__all__ and getattr(space, name) is function:
            return f"{prefix}.{name}"
    return ""


def declaration(function: Any) -> tuple[str, Any]:
    """(kind, entry) of a public function."""
    for entry in COMPOSITES.values():
        if entry.function is function:
            return "composite", entry
    if function.__name__ in CONSTANTS and CONSTANTS[function.__name__] is function:
        return "constant", None
    return "rule", OPERATORS[function.__name__]


def row(name: str, function: Any, stands_for: list[str]) -> str:
    kind, entry = declaration(function)
    names = inspect.unwrap(function).__code__.co_varnames
    if kind == "constant":
        inputs, where = "–", "–"
    else:
        rules = entry.rules if kind == "rule" else ()
        inputs = ", ".join(n for n, r in zip(names, rules, strict=False) if r is not None)
        inputs = inputs or "by its parts"
        where = ", ".join(dict.fromkeys(d.name.replace("_", " ") for d in entry.domains))
    method = "•" if callable(getattr(mg.Tensor, name, None)) else ""
    theirs = ", ".join(f"`{n}`" for n in stands_for)
    what = f"**{kind}**" if kind == "rule" else kind
    return f"| `{home(name, function)}` | {theirs} | {method} | {what} | {inputs} | {where} |"


def page() -> str:
    names = numpy_names()
    ours: dict[Any, list[str]] = defaultdict(list)
    for function, mine in NUMPY.items():
        ours[mine] += names.get(function, [])
    kinds: dict[str, int] = defaultdict(int)
    sections = []
    for module in MODULES:
        public = [n for n, found in vars(module).items() if n[0] != "_" and home(n, found)]
        lines = []
        for name in sorted(public):
            function = getattr(module, name)
            if getattr(function, "__module__", "") != module.__name__ or function.__name__ != name:
                continue  # an alias, which stands beside the operator's own name
            kinds[declaration(function)[0]] += 1
            lines.append(row(name, function, sorted(ours[function])))
        if lines:
            title = (module.__doc__ or "").strip().splitlines()[0].rstrip(".")
            head = f"## {title}\n\n`{module.__name__.replace('.', '/')}.py`\n\n"
            table = "| function | in NumPy | method | kind | differentiable in | tested on |\n"
            table += "| --- | --- | --- | --- | --- | --- |\n" + "\n".join(lines)
            sections.append(head + folded(f"{len(lines)} functions", table))
    introduction = INTRODUCTION.format(
        operators=kinds["rule"],
        composites=kinds["composite"],
        constants=kinds["constant"],
        numpy=".".join(np.__version__.split(".")[:2]),
    )
    return "\n\n".join([introduction.rstrip(), *sections, others(names)]) + "\n"


def others(names: dict[Callable[..., Any], list[str]]) -> str:
    """NumPy's functions that look without computing, and those that are refused."""
    plain = sorted(n for f in PLAIN for n in names.get(f, []))
    refused = []
    for function, known in names.items():
        asked = isinstance(function, (type(np.sum), np.ufunc))
        if asked and function not in NUMPY and function not in PLAIN:
            listed = ", ".join(f"`{n}`" for n in sorted(known))
            refused.append(f"| {listed} | {reason(function)} |")
    return (
        "## What looks without computing\n\nThese get the values of tensors and return what they "
        f"return for arrays: {', '.join(f'`{n}`' for n in plain)}.\n\n"
        "## What is refused\n\nA call with a tensor raises TypeError, which says this and the way "
        "out.\n\n"
        + folded(
            f"{len(refused)} functions",
            "| function | because |\n| --- | --- |\n" + "\n".join(sorted(refused)),
        )
    )


def folded(title: str, table: str) -> str:
    """A table that opens on a click, so that the page can be overlooked."""
    return f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
