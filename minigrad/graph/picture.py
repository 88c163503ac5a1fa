"""The picture as a ``graphviz.Digraph`` that is saved as .svg, .png, .pdf, .html or .dot.

Graphviz's ``dot`` lays it out if it is installed, otherwise the engine in pygraphviz's wheel; the
interactive page needs neither.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import graphviz

from minigrad.engine.settings import checked
from minigrad.graph.fitted import fitted
from minigrad.graph.layout import Layout
from minigrad.graph.page import Page, write_page
from minigrad.io.file_system import write_file

INSTALL = (
    "no layout engine was found. Install one of: (1) Graphviz, with `apt install graphviz`, "
    "`brew install graphviz` or `winget install graphviz`; (2) `pip install 'minigrad[viz]'`, "
    "whose pygraphviz wheel carries one. Or save as .html or .dot, which need neither"
)
_LAID_OUT = (".svg", ".png", ".pdf")


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A ``graphviz.Digraph`` of a computation, as :func:`minigrad.make_dot` makes it.

    Everything the graphviz package offers works, display in notebooks included; in addition
    :meth:`save` writes a file of the kind that its suffix says.
    """

    #: What the interactive page is made from.
    layout: Layout | None = None

    def copy(self) -> Picture:
        """An independent copy."""
        copy: Picture = super().copy()
        copy.layout = self.layout
        return copy

    def save(
        self, filename: Any = None, directory: Any = None, *, skip_existing: Any = False
    ) -> str:
        """Write the picture and give the path: .svg, .png, .pdf, .html (interactive), .dot or .gv.

        Without a file name, writes DOT as ``graphviz.Digraph.save`` does. .svg, .png and .pdf are
        laid out by ``dot``, or else by pygraphviz. The file is complete or not there at all, as
        with :func:`minigrad.save`.

        Raises ValueError for another suffix; RuntimeError, with the way to install one, if there
        is no layout engine; and OSError if the file cannot be written.
        """
        # graphviz's own render() and view() come through here for the DOT text: skip_existing=None.
        by_graphviz = filename is None or skip_existing is None
        path = Path(directory or "", filename or "")
        if by_graphviz:  # graphviz remembers the arguments
            known: Any = self
            known.filename = known.filename if filename is None else filename
            known.directory = known.directory if directory is None else directory
            path = Path(known.filepath)
        suffix = path.suffix.lower()
        if skip_existing and path.exists():
            return str(path)
        if by_graphviz or suffix in (".dot", ".gv"):
            content = self.source.encode()
        elif suffix == ".html":
            content = self.html.encode()
        elif suffix in _LAID_OUT:
            content = self.pipe(suffix[1:])
        else:
            raise ValueError(
                f"save: cannot write {path.name!r}: the suffix must be one of "
                f".svg, .png, .pdf, .html, .dot, .gv"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content, "save")
        return str(path)

    @property
    def html(self) -> str:
        """The interactive page, self-contained."""
        if self.layout is None:
            raise ValueError("html: only a picture that make_dot made has a page")
        return write_page(self.layout)

    @checked(height="[1, inf)")
    def page(self, height: int = 640) -> Page:
        """The interactive page inside a cell of a notebook, ``height`` pixels high.

        >>> x = mg.tensor(2.0, requires_grad=True)
        >>> page = mg.make_dot(x * x).page()  # as the last line of a cell, it shows itself
        """
        return Page(self.html, height)

    def pipe(
        self, format: str | None = None, *args: Any, encoding: Any = None, **kwargs: Any
    ) -> Any:
        """The picture as bytes, or as text with ``encoding``; see ``graphviz.Digraph.pipe``.

        The texts of an SVG keep the widths that they were laid out with, whatever the viewer's
        font.

        Raises RuntimeError if neither ``dot`` nor pygraphviz is installed.
        """
        engine = kwargs.get("engine") or self.engine
        format = format or self.format
        content: bytes
        if shutil.which(engine) is not None:
            content = super().pipe(format, *args, **kwargs)
        else:
            content = _pipe_in_process(self.source, format, engine)
        if format == "svg":
            content = fitted(content.decode()).encode()
        return content.decode(encoding) if encoding else content

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What a notebook shows: the picture, or the page if there is no layout engine."""
        try:
            bundle: dict[str, Any] = super()._repr_mimebundle_(*args, **kwargs)
        except RuntimeError:
            if self.layout is None:
                raise
            return {"text/html": self.page()._repr_html_()}
        return bundle


def _pipe_in_process(source: str, format: str, engine: str) -> bytes:
    try:
        import pygraphviz
    except ImportError:
        raise RuntimeError(f"{format}: {INSTALL}") from None
    with _without_font_warnings():
        drawn: Any = pygraphviz.AGraph(string=source).draw(format=format, prog=engine)
    return bytes(drawn)


@contextlib.contextmanager
def _without_font_warnings() -> Generator[None]:
    """Hold back what the wheel's fontconfig says of the system's configuration.

    The two are of different versions, which does no harm. Anything else that the C code writes to
    the standard error output is passed on at the end.
    """
    try:
        real = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not line.startswith(b"Fontconfig warning"):
                    os.write(2, line)
