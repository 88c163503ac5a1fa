"""The tape as a table: one row for each recorded operator, as text, as HTML and as records."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.debug.table import Row, html_table, readable_bytes, text_table
from minigrad.engine.node import FREED, Leaf, Node
from minigrad.engine.printable import shortened, visible

if TYPE_CHECKING:
    from minigrad.engine.tape import GradientTape

#: A longer tape is shown by its beginning and its end.
ROWS_SHOWN = 40
#: The keys of a record that are shown, and their headings.
_COLUMNS = {
    "number": "#", "module": "module", "op": "operator", "inputs": "inputs", "shape": "shape",
    "dtype": "dtype", "bytes": "kept", "line": "line",
}  # fmt: skip
_RIGHT = ("number", "bytes")


def records(tape: GradientTape) -> list[dict[str, Any]]:
    """One dict per recorded operator, oldest first: see ``GradientTape.to_records``."""
    numbers = {node: i for i, node in enumerate(tape.nodes, 1)}
    count_new = kept_bytes()
    rows = []
    for node, number in numbers.items():
        seen = node.seen
        row: dict[str, Any] = {
            "number": number,
            "module": str(node.scope),
            "op": node.shown,
            "inputs": [_input_text(parent, numbers) for parent in node.parents],
            "shape": node.shape,
            "dtype": str(node.dtype),
            "bytes": None if node.saved is FREED else count_new(node),
            "metadata": dict(node.metadata),
            "line": None,
        }
        if seen is not None:
            if seen.line is not None:
                row.update(
                    line=str(seen.line), file=seen.line.filename, line_number=seen.line.number
                )
            row["seconds"] = seen.seconds
            row["backward_seconds"] = seen.backward_seconds
            row["values"] = None if seen.values is None else str(seen.values)
            row["gradient_norm"] = seen.gradient_norm
        rows.append(row)
    return rows


def _input_text(parent: Node | None, numbers: dict[Node, int]) -> int | str:
    """The number of a row of this tape, the name of a leaf, "constant" or "earlier"."""
    if parent is None:
        return "constant"
    if isinstance(parent, Leaf):
        return parent.shown
    return numbers.get(parent, "earlier")


def kept_bytes() -> Callable[[Node], int]:
    """A counter of the bytes that nodes keep for the backward pass.

    An array that several operators keep is counted where it is met first; parameters, which live
    anyway, are not counted.
    """
    counted: set[int] = set()

    def count_new(node: Node) -> int:
        total = 0
        saved: tuple[Any, ...] = node.saved or ()
        for i, array in enumerate(saved):
            if not isinstance(array, np.ndarray):
                continue
            parent = node.parents[i - 1] if i else None
            if isinstance(parent, Leaf) and parent.trainable:
                continue
            while isinstance(array.base, np.ndarray):
                array = array.base
            if id(array) not in counted:
                counted.add(id(array))
                total += array.nbytes
        return total

    return count_new


def as_text(tape: GradientTape) -> str:
    """The table in a fixed-width font, and its totals."""
    found = records(tape)
    return "\n".join([*text_table(*_cells(found)), *_totals(tape, found)])


def as_html(tape: GradientTape) -> str:
    """The table for notebooks."""
    found = records(tape)
    totals = [f"<p>{html.escape(text)}</p>" for text in _totals(tape, found)]
    return "".join([html_table(*_cells(found)), *totals])


def _cells(found: list[dict[str, Any]]) -> tuple[list[str], list[Row], list[bool]]:
    """Headings, rows as text without the middle of a long tape, and which columns are numbers."""
    empty = {key for key in ("module", "line") if not any(row[key] for row in found)}
    keys = [key for key in _COLUMNS if key not in empty]
    half = ROWS_SHOWN // 2
    left_out = max(0, len(found) - ROWS_SHOWN)
    shown = found[:half] + found[-half:] if left_out else found
    rows: list[Row] = [[_cell(key, row[key]) for key in keys] for row in shown]
    if left_out:
        rows.insert(half, f"{left_out} more operators; tape.to_records() has them all")
    return [_COLUMNS[key] for key in keys], rows, [key in _RIGHT for key in keys]


def _cell(key: str, value: Any) -> str:
    if key == "bytes":
        return "released" if value is None else readable_bytes(value) if value else "–"
    if key == "inputs":
        return ", ".join(_cell("", one) for one in value)
    return "" if value is None else visible(shortened(str(value), 48))


def _totals(tape: GradientTape, found: list[dict[str, Any]]) -> list[str]:
    released = sum(row["bytes"] is None for row in found)
    leaves = {p for node in tape.nodes for p in node.parents if isinstance(p, Leaf) and p.trainable}
    elements = sum(leaf.size for leaf in leaves)
    parts = [
        _plural(len(found), "operator"),
        f"{readable_bytes(sum(row['bytes'] or 0 for row in found))} kept for the backward pass",
        f"{_plural(len(leaves), 'leaf', 'leaves')} with {_plural(elements, 'element')}",
    ]
    if released:
        parts.append(f"{released} released by a gradient")
    lines = [", ".join(parts)]
    if found and not any(row["line"] for row in found):
        lines.append("For your source lines, record inside `with mg.observe():`")
    return lines


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
