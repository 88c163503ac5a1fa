"""The plain definitions, one for each kernel: a second set, short and slow.

The tests compare every other set with this one. Written in NumPy's functions alone, the
definitions that derivative rules are made of also work on tensors, and record themselves there.
"""

from __future__ import annotations

import sys
from typing import Any

from minigrad.kernels.current import written_with_numpy


def __getattr__(name: str) -> Any:
    found = vars(sys.modules[__name__])[name] = written_with_numpy(name, "plain_")
    return found
