"""Pictures of computations: boxes, grouped by module, as DOT, SVG, PNG, PDF or a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad.engine.settings import checked
from minigrad.graph.files import Picture, picture
from minigrad.graph.layout import drawing

__all__ = ["Picture", "make_dot"]

_DIRECTIONS = ("TB", "LR", "BT", "RL")


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
    direction: str = "TB",
) -> Picture:
    """Draw what ``target`` was computed from, as a ``graphviz.Digraph`` with ``.save(path)``.

    ``target``: a tensor, a list or a dict (name -> tensor) of them, or a GradientTape.
    ``params``: name -> tensor, e.g. ``dict(model.named_parameters(), x=x)``: the names that
    parameters and inputs are drawn with. An input that needs no gradient has arrows only to the
    operators that keep it for their backward pass (a sum does not): with ``requires_grad=True`` it
    has them all.
    ``depth``: close modules this deep (0: the model is one box, 1: its parts are, ...).
    ``expand``: paths of modules to open whatever ``depth`` says (``"layer1.*"``), or True to open
    all and fold nothing.
    ``show``: overlays, of ``"values"``, ``"gradients"``, ``"bytes"`` (kept for the backward pass),
    ``"time"``, ``"line"``, ``"shapes"`` (on the arrows). Most need ``with mg.observe():`` around
    the computation; NaN and infinities are marked in any case, as far as values are known.
    ``between``: (from, to), each a tensor or the path of a module or parameter: only what lies
    on a way from the first to the second.
    ``max_nodes``: with more boxes than this, the deepest modules close by themselves, and the
    picture says so. ``direction``: ``"TB"`` (down), ``"LR"``, ``"BT"`` or ``"RL"``.

    Equal blocks in a row are drawn once, with their count. A gradient that was itself recorded is
    drawn dashed, in modules of its own. Ids follow the order of the computation, so that the same
    program gives the same text.

    Raises TypeError for what is no tensor; ValueError for a tensor without history, an unknown
    overlay, direction or module, or an empty ``between``.

    >>> import minigrad as mg
    >>> w = mg.tensor([[1.0], [2.0]], requires_grad=True)
    >>> picture = mg.make_dot(mg.tensor([[3.0, 4.0]]) @ w, params={"w": w})
    >>> "matmul" in picture.source
    True
    """
    if direction not in _DIRECTIONS:
        raise ValueError(
            f"make_dot: direction must be one of {', '.join(_DIRECTIONS)}, got {direction!r}"
        )
    plan = drawing(
        target,
        params,
        depth=depth,
        expand=expand,
        show=show,
        between=between,
        max_nodes=max_nodes,
        direction=direction,
    )
    return picture(plan)
