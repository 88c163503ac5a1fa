"""A matrix as a table for notebooks: its numbers in rows and columns, with shape and dtype."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minigrad.debug.table import Row, html_table, readable_number

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

#: A larger matrix loses its middle rows and columns.
SHOWN = 12


def as_html(x: Tensor) -> str | None:
    """The table of a tensor with two axes; None for any other, which is shown as text."""
    if x.ndim != 2:
        return None
    rows, columns = (_places(size) for size in x.shape)
    cells: list[Row] = []
    for i in rows:
        if i is None:
            cells.append(["⋮", *("⋮" for _ in columns)])
        else:
            numbers = ("…" if j is None else readable_number(x._data[i, j]) for j in columns)
            cells.append([f"{i}", *numbers])
    header = ["", *("…" if j is None else f"{j}" for j in columns)]
    caption = f"{type(x).__name__} {x.shape}, {x.dtype}"
    if x.requires_grad:
        caption += ", requires_grad=True"
    table = html_table(header, cells, [True] * len(header))
    return f"<div>{table}<p>{html.escape(caption)}</p></div>"


def _places(size: int) -> Sequence[int | None]:
    """The positions that are shown; None where some are left out."""
    if size <= SHOWN:
        return range(size)
    half = SHOWN // 2
    return [*range(half), None, *range(size - half, size)]
