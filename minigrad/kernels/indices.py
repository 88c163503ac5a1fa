"""What kind an index is.

A basic index makes a view, and its gradient can be placed by assignment rather than by addition.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def is_basic(index: Any) -> bool:
    """Whether an index picks every element at most once, as slices and integers do."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is Ellipsis
        or (isinstance(part, (slice, int, np.integer)) and not isinstance(part, bool))
        for part in parts
    )
