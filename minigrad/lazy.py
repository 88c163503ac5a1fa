"""Packages that parts of minigrad need and the core does not: imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any


def extra(module: str, name: str, purpose: str) -> Any:
    """Import ``module``, which the extra ``name`` brings.

    Raises ImportError with the command that installs it.

    >>> extra("no_such_package", "plot", "History.plot")
    Traceback (most recent call last):
    ImportError: History.plot needs no_such_package: pip install 'minigrad[plot]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise  # the package is there, and something that it needs itself is not
        package = {"sklearn": "scikit-learn"}.get(package, package)
        raise ImportError(f"{purpose} needs {package}: pip install 'minigrad[{name}]'") from None


def load_late(module: str) -> Any:
    """Import a module of the library where it is needed, because that is rarely."""
    return importlib.import_module(module)
