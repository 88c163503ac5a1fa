"""What pytest must know before it collects anything."""

import importlib.abc
import importlib.util
import os
import sys
from collections import defaultdict
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
    "tests/torch_models.py", "tests/opinfo_conventions.py",  # no tests, and mostly no PyTorch
]  # fmt: skip
if importlib.util.find_spec("numba") is None:
    collect_ignore.append("minigrad/kernels/compiled")
if importlib.util.find_spec("onnx") is None:  # which the examples there need
    collect_ignore += ["minigrad/onnx/export.py", "tests/onnx_checks.py"]


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace):
    """Spare every docstring the imports that its reader has made anyway."""
    doctest_namespace.update(mg=mg, np=np, nn=mg.nn, optim=mg.optim, tensor=mg.tensor)


class WithoutPyTorch(importlib.abc.MetaPathFinder):
    """Where no comparison with PyTorch is asked for, the tests run as if it were not installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torch":
            raise ModuleNotFoundError("only marked tests may import torch", name=fullname)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if report.skipped and "import 'torch'" in str(call.excinfo.value):
            report.outcome, report.longrepr = "failed", "needs PyTorch and is not marked parity"
        return report


class WithPyTorch:
    """A comparison in which every test was skipped has compared nothing, and fails."""

    executed = 0

    def pytest_runtest_logreport(self, report):
        self.executed += report.when == "call" and not report.skipped

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if not self.executed and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if not self.executed:
            text = "no test was executed: nothing was compared with PyTorch. Is it installed?"
            terminalreporter.write_line(text, red=True)


def pytest_configure(config):
    """Share the cores out, and hide PyTorch or demand it, as the options of this run ask."""
    if getattr(config.option, "numprocesses", None):  # the processes inherit this
        for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM"):
            os.environ.setdefault(f"{library}_THREADS", "1")
    marks = config.option.markexpr
    if marks and not eval(marks, {}, defaultdict(bool, parity=True, opinfo=True)):
        hidden = WithoutPyTorch()
        sys.meta_path.insert(0, hidden)
        config.pluginmanager.register(hidden)
    if marks in {"parity", "opinfo"} and not hasattr(config, "workerinput"):
        config.pluginmanager.register(WithPyTorch())
