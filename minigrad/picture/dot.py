"""The picture as text in the DOT language, and as the files that layout engines make of it."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path
from typing import Any

import graphviz

from minigrad.picture.boxes import Box
from minigrad.picture.modules import Group
from minigrad.picture.style import (
    ARROW,
    FONT,
    GRADIENT,
    INK,
    LOOKS,
    MODULE_FILLS,
    MODULE_LINE,
    MUTED,
)

INSTALL = (
    "no layout engine was found. Install one of: (1) Graphviz, with `apt install graphviz`, "
    "`brew install graphviz` or `winget install graphviz`; (2) `pip install 'minigrad[viz]'`, "
    "whose pygraphviz wheel carries one. Or save as .dot, which needs neither"
)
_LAID_OUT = (".svg", ".png", ".pdf")


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A ``graphviz.Digraph`` of a computation, as :func:`minigrad.make_dot` makes it.

    Everything the graphviz package offers works, display in notebooks included; in addition
    :meth:`save` writes a file of the kind that its suffix says.
    """

    def save(
        self, filename: Any = None, directory: Any = None, *, skip_existing: Any = False
    ) -> str:
        """Write the picture and give the path: .svg, .png, .pdf, .dot or .gv.

        Without a file name, writes DOT as ``graphviz.Digraph.save`` does. .svg, .png and .pdf are
        laid out by ``dot``, else by pygraphviz; RuntimeError says how to install either when there
        is none. Raises ValueError for another suffix.
        """
        # graphviz's own render() and view() come through here for the DOT text: skip_existing=None.
        if filename is None or skip_existing is None:
            return str(super().save(filename, directory, skip_existing=skip_existing))
        path = Path(directory or "", filename)
        suffix = path.suffix.lower()
        if suffix in (".dot", ".gv"):
            content = self.source.encode()
        elif suffix in _LAID_OUT:
            content = self.pipe(suffix[1:])
        else:
            raise ValueError(
                f"save: cannot write {path.name!r}: the suffix must be one of "
                f".svg, .png, .pdf, .dot, .gv"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def pipe(
        self, format: str | None = None, *args: Any, encoding: Any = None, **kwargs: Any
    ) -> Any:
        """The laid-out picture as bytes (or text, with ``encoding``), as ``graphviz.Digraph.pipe``.

        Raises RuntimeError when there is neither ``dot`` nor pygraphviz.
        """
        engine = kwargs.get("engine") or self.engine
        if shutil.which(engine) is not None:
            return super().pipe(format, *args, encoding=encoding, **kwargs)
        content = _pipe_in_process(self.source, format or self.format, engine)
        return content.decode(encoding) if encoding else content


def _pipe_in_process(source: str, format: str, engine: str) -> bytes:
    try:
        import pygraphviz
    except ImportError:
        raise RuntimeError(f"{format}: {INSTALL}") from None
    drawn: Any = pygraphviz.AGraph(string=source).draw(format=format, prog=engine)
    return bytes(drawn)


def picture(root: Group) -> Picture:
    """The picture of these groups."""
    graph = Picture("computation")
    graph.attr(
        "graph", rankdir="TB", fontname=FONT, fontsize="11", fontcolor=INK, nodesep="0.22",
        ranksep="0.32", pad="0.15", bgcolor="white", newrank="true", compound="true",
    )  # fmt: skip
    graph.attr(
        "node", fontname=FONT, fontsize="11", fontcolor=INK, height="0.3", margin="0.11,0.05",
        penwidth="1",
    )  # fmt: skip
    graph.attr("edge", color=ARROW, arrowsize="0.6", penwidth="1", fontname=FONT, fontsize="8",
               fontcolor=MUTED)  # fmt: skip
    shown: dict[Box, str] = {}
    _draw_group(graph, root, shown)
    lines: dict[tuple[str, str], int] = {}
    for box in root.boxes():
        for source in box.inputs:
            line = shown[source], shown[box]
            if line[0] != line[1]:
                lines[line] = lines.get(line, 0) + 1
    for tail, head in lines:
        graph.edge(tail, head)
    return graph


def _draw_group(graph: Any, group: Group, shown: dict[Box, str]) -> None:
    for child in group.children:
        if isinstance(child, Box):
            shown[child] = child.id
            _draw_box(graph, child)
        else:
            with graph.subgraph(name=f"cluster_{child.id}") as cluster:
                cluster.attr(
                    label=_module_label(child), labeljust="l", style="rounded,filled",
                    color=MODULE_LINE, fillcolor=MODULE_FILLS[(child.depth - 1) % 2], margin="9",
                )  # fmt: skip
                _draw_group(cluster, child, shown)


def _draw_box(graph: Any, box: Box) -> None:
    look = GRADIENT if box.kind == "operator" and _order(box) else LOOKS[box.kind]
    lines = [_bold(box.name) if box.kind != "operator" else _text(box.name)]
    lines.append(_small(shape_and_dtype(box)))
    graph.node(
        box.id, label=f"<{'<BR/>'.join(line for line in lines if line)}>", shape=look.shape,
        style=look.style, fillcolor=look.fill, color=look.line,
        tooltip=_attribute(f"{box.name} {shape_and_dtype(box)} {box.arguments}".strip()),
    )  # fmt: skip


def _order(box: Box) -> int:
    order: int = getattr(box.scope, "order", 0)
    return order


def _module_label(group: Group) -> str:
    name = group.path or "model"
    kind = f'<FONT COLOR="{MUTED}">: {_text(group.kind)}</FONT>' if group.kind else ""
    return f"<<B>{_text(name)}</B>{kind}>"


def shape_and_dtype(box: Box) -> str:
    """As ``32 × 10`` (float32, the rule, is not mentioned)."""
    if box.shape is None:
        return ""
    shape = " × ".join(map(str, box.shape)) or "scalar"
    return shape if box.dtype == "float32" else f"{shape}  {box.dtype}"


# What XML and DOT cannot hold, in whatever way it is written.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _text(text: str) -> str:
    """Any text inside an HTML-like label."""
    clean = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
    return "<BR/>".join(html.escape(line, quote=True) for line in clean.splitlines()) or " "


def _bold(text: str) -> str:
    return f"<B>{_text(text)}</B>"


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="8.5" COLOR="{MUTED}">{_text(text)}</FONT>' if text else ""


def _attribute(text: str) -> str:
    """Any text as the value of an attribute."""
    clean = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
    return str(graphviz.escape(" ".join(clean.splitlines())))
