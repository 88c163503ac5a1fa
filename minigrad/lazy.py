"""What is imported at its first use: rarely used names, and packages that are optional.

``import minigrad`` stays quick because a module that most programs do without is imported by the
first access to one of its names, and a package of an extra by the first call that needs it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def load_late(module: str) -> Any:
    """Import a module where it is used, rather than at the top of the file."""
    return importlib.import_module(module)


def late_names(
    package: str, places: Mapping[str, str], rest: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that imports some of its names at first use.

    ``places``: module -> the names that it defines, separated by spaces; under ``package`` itself
    stand the modules in it. Other names of the package's ``__all__`` are defined in ``rest``.
    """
    space: Any = sys.modules[package]
    found_in = {name: module for module, names in places.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in space.__all__:
            return spelled(package)(name)
        place = found_in.get(name, rest)
        if place == package:
            return load_late(f"{package}.{name}")  # which makes it an attribute
        value = getattr(load_late(place), name)
        setattr(space, name, value)
        return value

    return get, listed(package, "__version__")


def listed(package: str, *more: str) -> Callable[[], list[str]]:
    """``__dir__`` of a module that shows its public names only, and these."""
    space: Any = sys.modules[package]
    return lambda: sorted([*space.__all__, *more])


def spelled(package: str) -> Callable[[str], Any]:
    """``__getattr__`` of a package that tells people who know PyTorch what a name is called here.

    Raises AttributeError, unless the name means the same thing.
    """
    space: Any = sys.modules[package]

    def get(name: str) -> Any:
        if name.startswith("_"):
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=space)
        return load_late("minigrad.spellings").of_module(package, name, space)

    return get


def extra(module: str, name: str, purpose: str) -> Any:
    """Import ``module`` of an optional package; ``name`` is the extra that installs it.

    Raises ImportError with the command that installs it.

    >>> extra("no_such_package", "plot", "History.plot")
    Traceback (most recent call last):
    ImportError: History.plot needs no_such_package: pip install 'minigrad[plot]'
    """
    try:
        return load_late(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise  # the package is there, and something that it needs itself is not
        package = {"sklearn": "scikit-learn"}.get(package, package)
        raise ImportError(f"{purpose} needs {package}: pip install 'minigrad[{name}]'") from None
