"""The line of the user's program that is running: the innermost one outside this library.

Tables, error messages and pictures name it; see :class:`minigrad.observe`.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType
from typing import NamedTuple

import numpy as np

# No pathlib here: importing it would take 3 ms.
_LIBRARY = tuple(
    path.rsplit(os.sep, depth)[0] + os.sep for path, depth in ((__file__, 2), (np.__file__, 1))
)
_is_ours: dict[str, bool] = {}


class SourceLine(NamedTuple):
    """A line of a program."""

    filename: str
    number: int
    function: str

    def __str__(self) -> str:
        """As ``train.py:42``."""
        return f"{self.filename.rpartition(os.sep)[2]}:{self.number}"

    @property
    def text(self) -> str:
        """The text of the line; "" if the file cannot be read."""
        return linecache.getline(self.filename, self.number).strip()

    def as_traceback(self) -> str:
        """As in a Python traceback, so that editors make it a link."""
        text = f"\n    {self.text}" if self.text else ""
        return f'File "{self.filename}", line {self.number}, in {self.function}{text}'


def current_line() -> SourceLine | None:
    """Where the user's program is now; None when only library code is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = _is_ours.get(name)
        if ours is None:
            ours = _is_ours[name] = name.startswith(_LIBRARY)
        if not ours:
            return SourceLine(name, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None
