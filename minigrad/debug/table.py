"""Tables as text for a terminal and as HTML for a notebook, and the format of numbers in them.

A row is a sequence of cells, or a string: a remark that takes the place of rows left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

Row = Sequence[str] | str
#: A larger matrix loses its middle rows and columns.
SHOWN = 12


def text_table(header: Sequence[str], rows: Sequence[Row], right: Sequence[bool]) -> list[str]:
    """The lines of the table: headings, a rule under each, and the rows.

    ``right``: whether each column is aligned to the right.
    """
    cells = [header, *(row for row in rows if not isinstance(row, str))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Row) -> str:
        if isinstance(row, str):
            return f"{'⋮':>{widths[0]}}  {row}"
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return [line(header), "  ".join("─" * width for width in widths), *map(line, rows)]


def html_table(header: Sequence[str], rows: Sequence[Row], right: Sequence[bool]) -> str:
    """The table in HTML; spaces before a cell's text become an indent."""

    def line(tag: str, row: Row) -> str:
        if isinstance(row, str):
            return f'<tr><td>⋮</td><td colspan="{len(header) - 1}">{html.escape(row)}</td></tr>'
        cells = []
        for text, to_right in zip(row, right, strict=True):
            indent = 0.5 + 0.75 * (len(text) - len(text.lstrip()))
            style = f"text-align:{'right' if to_right else 'left'};padding-left:{indent:g}em"
            cells.append(f'<{tag} style="{style}">{html.escape(text.strip())}</{tag}>')
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>"


def matrix_html(x: Tensor) -> str | None:
    """A tensor with two axes as a table, its shape and dtype below; None for any other."""
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


def readable_number(value: np.generic, digits: int = 4) -> str:
    """As ``0.3333``; whole numbers have all their digits."""
    if isinstance(value, (np.floating, np.complexfloating)):
        return f"{value:.{digits}g}"
    return str(value)


def readable_bytes(count: int) -> str:
    """As ``1.5 MB``.

    >>> readable_bytes(1_500_000)
    '1.5 MB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
