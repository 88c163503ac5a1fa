"""What pytest must know before it collects anything."""

from contextlib import suppress

import numpy as np
import pytest

import minigrad as mg

with suppress(ImportError):
    import hypothesis

    # The same examples each time, also in docstrings and documents.
    hypothesis.settings.register_profile("same", derandomize=True, database=None)
    hypothesis.settings.load_profile("same")

collect_ignore = [
    "nn", "optim",  # links to parts of minigrad/, which is collected itself
    "tests/torch_models.py",  # no tests, and no PyTorch on most machines
]  # fmt: skip


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace):
    """Spare every docstring the imports that its reader has made anyway."""
    doctest_namespace.update(mg=mg, np=np, nn=mg.nn, optim=mg.optim, tensor=mg.tensor)
