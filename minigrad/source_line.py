"""The line of the user's program that is running: the innermost one outside this library."""

from __future__ import annotations

import linecache
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

_LIBRARY = tuple(str(Path(path).parent) + os.sep for path in (__file__, np.__file__))
_is_ours: dict[str, bool] = {}


class SourceLine(NamedTuple):
    """A line of a program."""

    filename: str
    number: int
    function: str

    def __str__(self) -> str:
        """As ``train.py:42``."""
        return f"{Path(self.filename).name}:{self.number}"

    @property
    def text(self) -> str:
        """What stands on the line, or nothing when the file cannot be read."""
        return linecache.getline(self.filename, self.number).strip()

    def as_traceback(self) -> str:
        """As Python writes it in a traceback, so that editors make a link of it."""
        text = f"\n    {self.text}" if self.text else ""
        return f'File "{self.filename}", line {self.number}, in {self.function}{text}'


def current_line() -> SourceLine | None:
    """Where the user's program is now; None when only library code is running."""
    frame = sys._getframe(1)
    while True:
        code = frame.f_code
        name = code.co_filename
        ours = _is_ours.get(name)
        if ours is None:
            ours = _is_ours[name] = name.startswith(_LIBRARY)
        if not ours:
            return SourceLine(name, frame.f_lineno, code.co_name)
        if frame.f_back is None:
            return None
        frame = frame.f_back
