"""Pictures of computations: boxes, grouped by module, as DOT, SVG, PNG, PDF or a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.picture.boxes import boxes_of
from minigrad.picture.dot import Picture, picture
from minigrad.picture.modules import tree

__all__ = ["Picture", "make_dot"]


def make_dot(target: Any, params: Mapping[str, Any] | None = None) -> Picture:
    """Draw what ``target`` was computed from, as a ``graphviz.Digraph`` with ``.save(path)``.

    ``target``: a tensor, a list or a dict (name -> tensor) of them, or a GradientTape.
    ``params``: name -> tensor, e.g. ``dict(model.named_parameters(), x=x)``: the names that
    parameters and inputs are drawn with.

    Raises TypeError for what is no tensor and ValueError for a tensor without history.

    >>> import minigrad as mg
    >>> w = mg.tensor([[1.0], [2.0]], requires_grad=True)
    >>> picture = mg.make_dot(mg.tensor([[3.0, 4.0]]) @ w, params={"w": w})
    >>> "matmul" in picture.source
    True
    """
    return picture(tree(boxes_of(target, params)))
