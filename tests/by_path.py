"""Modules of the project that are not installed: the programs of tools/ and those of docs/."""

import importlib.util
import sys


def load(path):
    """The module in this file, made anew. Others that are loaded later may import it by name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
