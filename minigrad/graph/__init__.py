"""Pictures of computations, grouped by module, as DOT, SVG, PNG, PDF or an interactive page.

A picture is made in the steps of :func:`make_dot`: the history becomes a graph, overlays are added,
modules are grouped, repeated blocks folded and deep modules closed; the result is written as DOT
and, on request, as a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from minigrad.engine.settings import checked
from minigrad.graph.dot import write_dot
from minigrad.graph.film import film
from minigrad.graph.from_history import graph_of
from minigrad.graph.layout import arrange
from minigrad.graph.overlays import OVERLAYS, add_overlays
from minigrad.graph.picture import Picture

__all__ = ["Picture", "film", "make_dot"]


@checked(depth="[0, inf)", max_nodes="[1, inf)")
def make_dot(
    target: Any,
    params: Mapping[str, Any] | None = None,
    *,
    depth: int | None = None,
    expand: bool | str | Iterable[str] | None = None,
    show: Iterable[str] | str = (),
    between: tuple[Any, Any] | None = None,
    max_nodes: int = 90,
    direction: Literal["TB", "LR", "BT", "RL"] = "TB",
) -> Picture:
    """Draw what ``target`` was computed from, as a ``graphviz.Digraph`` with ``.save(path)``.

    ``target``: a tensor, a list or a dict (name -> tensor) of them, or a GradientTape.
    ``params``: name -> tensor, e.g. ``dict(model.named_parameters(), x=x)``: the names that
    parameters and inputs are drawn with. An input that needs no gradient has arrows only to the
    operators that keep it for their backward pass (a sum does not). With ``requires_grad=True`` it
    has them all.
    ``depth``: close modules this deep (0: the model is one box, 1: its parts are, ...).
    ``expand``: paths of modules to open regardless of ``depth`` (``"layer1.*"``), or True to open
    all and fold nothing.
    ``show``: overlays, any of ``"values"``, ``"gradients"``, ``"bytes"`` (kept for the backward
    pass), ``"time"``, ``"line"``, ``"shapes"`` (on the arrows). Most need ``with mg.observe():``
    around the computation. NaN and infinities are marked in any case, where values are known.
    ``between``: (from, to), each a tensor or the path of a module or parameter: draws only what
    lies on a path from the first to the second.
    ``max_nodes``: with more boxes than this, the deepest modules are closed, and the picture says
    so. ``direction``: ``"TB"`` (down), ``"LR"``, ``"BT"`` or ``"RL"``.

    Equal blocks in a row are drawn once, with their count. A gradient that was itself recorded is
    drawn dashed, in modules of its own. Ids follow the order of the computation, so that the same
    program gives the same text.

    Raises TypeError if the target or a value of ``params`` is not a tensor, and ValueError for a
    tensor without history, an unknown overlay, direction or module, or an empty ``between``.

    >>> import minigrad as mg
    >>> w = mg.tensor([[1.0], [2.0]], requires_grad=True)
    >>> picture = mg.make_dot(mg.tensor([[3.0, 4.0]]) @ w, params={"w": w})
    >>> "matmul" in picture.source
    True
    """
    overlays = (show,) if isinstance(show, str) else tuple(show)
    for name in overlays:
        if name not in OVERLAYS:
            raise ValueError(
                f"make_dot: show has no {name!r}; choose from {', '.join(map(repr, OVERLAYS))}"
            )
    graph = graph_of(target, params, between)
    unknown = add_overlays(graph, overlays)
    picture = Picture("computation")
    picture.layout = arrange(
        graph, overlays, [unknown], depth=depth, expand=expand, max_nodes=max_nodes,
        direction=direction,
    )  # fmt: skip
    write_dot(picture, picture.layout)
    return picture
