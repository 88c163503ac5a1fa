"""Tables as text for a terminal and as HTML for a notebook, and the format of numbers in them.

A row is a sequence of cells, or a string: a remark that takes the place of rows left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

Row = Sequence[str] | str


def column_widths(header: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """The length of the longest cell of each column."""
    cells = [header, *(row for row in rows if not isinstance(row, str))]
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def aligned(row: Row, widths: Sequence[int], right: Sequence[bool]) -> str:
    """A row as a line of text; ``right``: whether each column is aligned to the right."""
    if isinstance(row, str):
        return f"{'⋮':>{widths[0]}}  {row}"
    cells = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(row, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


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
