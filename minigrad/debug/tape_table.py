"""The tape as a table: one row for each recorded operator, as text, as HTML and as records."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.debug.names import leaf_name, op_name
from minigrad.debug.table import Row, aligned, column_widths, html_table, readable_bytes
from minigrad.engine.node import FREED, Leaf, Node
from minigrad.engine.printable import visible

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
            "op": op_name(node),
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
        return leaf_name(parent)
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
    header, rows, right = _cells(tape)
    widths = column_widths(header, rows)
    lines = [aligned(header, widths, right), "  ".join("─" * width for width in widths)]
    lines += [aligned(row, widths, right) for row in rows]
    return "\n".join([*lines, *_totals(tape)])


def as_html(tape: GradientTape) -> str:
    """The table for notebooks."""
    return html_table(*_cells(tape)) + "".join(f"<p>{html.escape(t)}</p>" for t in _totals(tape))


def _cells(tape: GradientTape) -> tuple[list[str], list[Row], list[bool]]:
    """Headings, rows as text without the middle of a long tape, and which columns are numbers."""
    found = records(tape)
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
        return ", ".join(_shortened(str(one)) for one in value)
    return "" if value is None else _shortened(str(value))


def _shortened(text: str) -> str:
    one_line = visible(" ".join(text.split()))
    return one_line if len(one_line) <= 48 else f"{one_line[:47]}…"


def _totals(tape: GradientTape) -> list[str]:
    nodes = tape.nodes
    count_new = kept_bytes()
    kept = sum(count_new(node) for node in nodes if node.saved is not FREED)
    released = sum(node.saved is FREED for node in nodes)
    leaves = {p for node in nodes for p in node.parents if isinstance(p, Leaf) and p.trainable}
    elements = sum(leaf.size for leaf in leaves)
    parts = [
        _plural(len(nodes), "operator"),
        f"{readable_bytes(kept)} kept for the backward pass",
        f"{_plural(len(leaves), 'leaf', 'leaves')} with {_plural(elements, 'element')}",
    ]
    if released:
        parts.append(f"{released} released by a gradient")
    lines = [", ".join(parts)]
    if nodes and not any(node.seen and node.seen.line for node in nodes):
        lines.append("For your source lines, record inside `with mg.observe():`")
    return lines


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
