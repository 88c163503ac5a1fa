"""The public names of minigrad, and the reST directive that documents a group of them.

``.. names:: minigrad`` with the modules that define them below it documents every public name of
`minigrad` that comes from there; ``tests/test_reference.py`` shows that the pages leave none out.
"""

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from formulas import tex


def public(module: ModuleType) -> dict[str, Any]:
    """The classes and functions that users reach as `module.name`, if it is for users."""
    listed = getattr(module, "__all__", None) or dir(module)
    found = {name: getattr(module, name) for name in listed if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("minigrad")
    }


def group(where: str, origins: list[str], first: str = "", last: str = "~") -> dict[str, Any]:
    """The public names of `where` that one of these modules defines; all without origins.

    `first` and `last` are letters: only the names from the one up to the other, which is left out.
    """
    names = public(importlib.import_module(where))
    return {
        n: v
        for n, v in names.items()
        if (not origins or v.__module__ in origins) and first <= n.lower() < last
    }


def table(names: dict[str, Any], where: str) -> list[str]:
    """The reST of a table: each name, with the first sentence of its docstring."""
    lines = [".. list-table::", "   :class: names", "   :widths: auto", ""]
    for name in sorted(names, key=str.lower):
        first = (inspect.getdoc(names[name]) or "").partition("\n\n")[0]
        sentence = re.split(r"(?<=\.)\s", marked(" ".join(first.split())), maxsplit=1)[0]
        lines += [f"   * - :py:obj:`{name} <{where}.{name}>`", f"     - {sentence}"]
    return [*lines, ""]


def marked(text: str) -> str:
    """The text of a docstring as reST: ``code`` and roles stand, `formulas` are set.

    Elsewhere |x|, x* and x_ are no markup.
    """
    parts = re.split(r"(``.*?``|:[\w:]+:`[^`]*`|`[^`]+`)", text, flags=re.DOTALL)
    parts[::2] = [re.sub(r"[*|]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [one if one.startswith(("``", ":")) else formula(one) for one in parts[1::2]]
    return "".join(parts)


def formula(marked: str) -> str:
    return f":math:`{tex(' '.join(marked[1:-1].split())).strip()}`"


def reference(where: str, names: dict[str, Any]) -> list[str]:
    """The reST of a group: a table, then each thing once; other names point to it."""
    lines = [f".. py:currentmodule:: {where}", "", *table(names, where)]
    first: dict[int, str] = {}
    for name in sorted(names, key=lambda n: (getattr(names[n], "__name__", n) != n, n.lower())):
        value = names[name]
        if id(value) in first:
            lines += [f".. py:function:: {name}", "   :no-index-entry:", ""]
            lines += [f"   Another name of :py:obj:`{first[id(value)]}`.", ""]
            continue
        first[id(value)] = name
        if not inspect.isclass(value):
            lines += [f".. autofunction:: {name}", ""]
            continue
        lines += [f".. autoclass:: {name}", "   :members:"]
        if any(base.__name__ == "Module" for base in value.__mro__[1:]):
            # A layer has its forward from a family; what every module has stands under Module.
            lines.append("   :inherited-members: Module")
        lines.append("")
    return lines
