"""The tape as a table: one row per recorded operator, for people and for programs."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.engine.node import FREED, Leaf, Node
from minigrad.engine.printable import visible

if TYPE_CHECKING:
    from minigrad.engine.tape import GradientTape

#: A longer tape is shown by its beginning and its end.
ROWS_SHOWN = 40

_COLUMNS: dict[str, str] = {
    "number": "#",
    "module": "module",
    "op": "operator",
    "inputs": "inputs",
    "shape": "shape",
    "dtype": "dtype",
    "bytes": "kept",
    "line": "line",
}
_RIGHT = ("number", "bytes")


def records(tape: GradientTape) -> list[dict[str, Any]]:
    """One dict per recorded operator, oldest first: see ``GradientTape.to_records``."""
    rank = {node: i for i, node in enumerate(tape.nodes, 1)}
    count_new = kept_bytes()
    rows = []
    for node, number in rank.items():
        seen = node.seen
        row: dict[str, Any] = {
            "number": number,
            "module": str(node.scope),
            "op": op_name(node),
            "inputs": [_input(parent, rank) for parent in node.parents],
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


def _input(parent: Node | None, rank: dict[Node, int]) -> int | str:
    """A row of this tape, or the name of a leaf, or what else it is."""
    if parent is None:
        return "constant"
    if isinstance(parent, Leaf):
        return leaf_name(parent)
    return rank.get(parent, "earlier")


def op_name(node: Node) -> str:
    """The operator's name as its caller knows it: a constant exponent has a rule of its own."""
    return node.op.name.removesuffix("_constant")


def leaf_name(leaf: Leaf) -> str:
    """The name of a leaf, e.g. ``conv1.weight``, or what it is when it has none."""
    return leaf.name or ("leaf" if leaf.trainable else "watched")


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


def readable_bytes(count: int) -> str:
    """As ``1.5 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def as_text(tape: GradientTape) -> str:
    """The table in a fixed-width font, and its totals."""
    header, rows, elided = _cells(tape)
    lines = [_justify(header, widths := _widths([header, *rows]))]
    lines.append("  ".join("─" * width for width in widths.values()))
    for i, row in enumerate(rows):
        if elided and i == ROWS_SHOWN // 2:
            lines.append(f"{'⋮':>{widths['number']}}  {_elision(elided)}")
        lines.append(_justify(row, widths))
    return "\n".join([*lines, *_totals(tape)])


def as_html(tape: GradientTape) -> str:
    """The table for notebooks."""
    header, rows, elided = _cells(tape)
    parts = ["<table><thead><tr>"]
    parts += [f"<th>{html.escape(text)}</th>" for text in header.values()]
    parts.append("</tr></thead><tbody>")
    for i, row in enumerate(rows):
        if elided and i == ROWS_SHOWN // 2:
            parts.append(
                f'<tr><td>⋮</td><td colspan="{len(header) - 1}">{_elision(elided)}</td></tr>'
            )
        parts.append("<tr>")
        for key, text in row.items():
            align = "right" if key in _RIGHT else "left"
            parts.append(f'<td style="text-align:{align}">{html.escape(text)}</td>')
        parts.append("</tr>")
    parts.append("</tbody></table>")
    parts += [f"<p>{html.escape(line)}</p>" for line in _totals(tape)]
    return "".join(parts)


def _elision(count: int) -> str:
    return f"{count} more operators; tape.to_records() has them all"


def _cells(tape: GradientTape) -> tuple[dict[str, str], list[dict[str, str]], int]:
    """Header, rows as text, and how many rows were left out of the middle."""
    found = records(tape)
    elided = max(0, len(found) - ROWS_SHOWN)
    if elided:
        half = ROWS_SHOWN // 2
        found = found[:half] + found[len(found) - half :]
    header = dict(_COLUMNS)
    if not any(row["module"] for row in found):
        del header["module"]
    if not any(row["line"] for row in found):
        del header["line"]
    rows = [{key: _cell(key, row[key]) for key in header} for row in found]
    return header, rows, elided


def _cell(key: str, value: Any) -> str:
    if key == "bytes":
        return "released" if value is None else readable_bytes(value) if value else "–"
    if key == "inputs":
        return ", ".join(_short(str(one)) for one in value)
    if value is None:
        return ""
    return _short(str(value))


def _short(text: str) -> str:
    one_line = visible(" ".join(text.split()))
    return one_line if len(one_line) <= 48 else f"{one_line[:47]}…"


def _widths(rows: Iterable[dict[str, str]]) -> dict[str, int]:
    widths: dict[str, int] = {}
    for row in rows:
        for key, text in row.items():
            widths[key] = max(widths.get(key, 0), len(text))
    return widths


def _justify(row: dict[str, str], widths: dict[str, int]) -> str:
    cells = [
        text.rjust(widths[key]) if key in _RIGHT else text.ljust(widths[key])
        for key, text in row.items()
    ]
    return "  ".join(cells).rstrip()


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
