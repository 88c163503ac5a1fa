"""The public names of minigrad, and the reST directive that documents a group of them.

``.. names:: minigrad`` with the modules that define them below it documents every public name of
`minigrad` that comes from there; ``tests/test_reference.py`` shows that the pages leave none out.
"""

import importlib
import inspect
from types import ModuleType
from typing import Any


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


def group(where: str, origins: list[str]) -> dict[str, Any]:
    """The public names of `where` that one of these modules defines; all without origins."""
    names = public(importlib.import_module(where))
    return {n: v for n, v in names.items() if not origins or v.__module__ in origins}


def reference(where: str, origins: list[str]) -> list[str]:
    """The reST that documents a group: each thing once, its other names with a pointer."""
    lines = [f".. py:currentmodule:: {where}", ""]
    first: dict[int, str] = {}
    names = group(where, origins)
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
