"""The line of the user's program that is running: the innermost one outside this library."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType
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
        """What stands on the line, or nothing when the file cannot be read."""
        return linecache.getline(self.filename, self.number).strip()

    def as_traceback(self) -> str:
        """As Python writes it in a traceback, so that editors make a link of it."""
        text = f"\n    {self.text}" if self.text else ""
        return f'File "{self.filename}", line {self.number}, in {self.function}{text}'


def user_frame() -> FrameType | None:
    """The innermost frame of the user's program; None when only library code is running."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = _is_ours.get(name)
        if ours is None:
            ours = _is_ours[name] = name.startswith(_LIBRARY)
        if not ours:
            return frame
        frame = frame.f_back
    return None


def current_line() -> SourceLine | None:
    """Where the user's program is now; None when only library code is running."""
    frame = user_frame()
    if frame is None:
        return None
    return SourceLine(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def line_at(code: CodeType, instruction: int) -> SourceLine:
    """The line of an instruction, as a frame's ``f_lasti`` gives it."""
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end)
    return SourceLine(code.co_filename, next(lines, None) or code.co_firstlineno, code.co_name)
