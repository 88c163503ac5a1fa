"""Write tests/signatures.txt: the arguments of every public function and class, with defaults.

`python -m tools.write_signatures` after a change that is meant. A test compares the file with the
code, so that no argument is renamed, moved or given another default by accident.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "tests" / "signatures.txt"
MODULES = (
    "minigrad", "minigrad.callbacks", "minigrad.data", "minigrad.distributed", "minigrad.linalg",
    "minigrad.metrics", "minigrad.models", "minigrad.nn", "minigrad.nn.functional",
    "minigrad.nn.init", "minigrad.optim", "minigrad.optim.lr_scheduler", "minigrad.testing",
    "minigrad.viz",
)  # fmt: skip


def signatures() -> Iterator[str]:
    """One line for each public function, class and method that minigrad defines itself."""
    for path in MODULES:
        package, _, name = path.rpartition(".")
        module: Any = (
            getattr(importlib.import_module(package), name) if package else __import__(path)
        )
        for name in sorted(getattr(module, "__all__", None) or dir(module)):
            value = getattr(module, name)
            if name.startswith("_") or not _is_ours(value):
                continue
            yield f"{path}.{name}{_arguments(value)}"
            if inspect.isclass(value):
                for method, function in sorted(vars(value).items()):
                    if not method.startswith("_") and inspect.isfunction(function):
                        yield f"{path}.{name}.{method}{_arguments(function)}"


def _is_ours(value: Any) -> bool:
    callable_here = inspect.isclass(value) or inspect.isfunction(value)
    defined = str(getattr(value, "__module__", ""))
    return callable_here and defined.startswith("minigrad") and not defined.endswith(".settings")


def _arguments(function: Any) -> str:
    if isinstance(function, enum.EnumType):  # made by Python, with other arguments in each version
        return ""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a type alias, or a class of C
        return ""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


if __name__ == "__main__":
    FILE.write_text("\n".join(signatures()) + "\n", encoding="utf-8")
