"""``mg.film``: records what runs, step by step, for a page that plays it forwards and backwards.

A step is an operator that computed a value, a rule that was applied to a cotangent, or a gradient
that is complete. Of the arrays only small snapshots are kept (``snapshot.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from minigrad.debug.source_line import current_line
from minigrad.engine.hooks import ApplyRules, Edges, Hook
from minigrad.engine.node import Leaf, Node, ShapeDtype
from minigrad.engine.printable import each_setting, shortened
from minigrad.engine.settings import checked
from minigrad.graph.from_history import ends_of, graph_of
from minigrad.graph.layout import arrange
from minigrad.graph.page import Page, write_page
from minigrad.graph.rule_text import rule_text
from minigrad.graph.snapshot import snapshot

#: A snapshot, with the part that the array plays.
Part = dict[str, Any]


class film(Hook):
    """Record what runs inside, to play it on a page: operators forwards, then rules backwards.

    The page shows the graph, and beside it each step: the operator's inputs, its output and what
    is kept for its rule; in the backward pass the cotangents, which add up where paths meet; your
    source line and the rule's. It is one file that needs no network. Buttons and a slider go
    through the steps, and the arrow keys and the space bar.

    ``steps``: no more are recorded; the page says how many were left out. Raises ValueError unless
    it is at least 1, and RuntimeError when a block is opened inside itself.

    >>> import minigrad as mg
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> with mg.film() as steps:
    ...     y = x * x + x
    ...     y.backward()
    >>> [step["title"] for step in steps.to_records()]  # doctest: +NORMALIZE_WHITESPACE
    ['multiply', 'add', 'rule of add', 'rule of multiply', 'gradient of leaf']
    >>> steps.to_records()[-1]["parts"][0]["numbers"]
    [['5']]

    In a notebook, ``steps`` as the last line of a cell opens the page there;
    ``steps.save("steps.html")`` writes it.
    """

    @checked(steps="[1, inf)")
    def __init__(self, *, steps: int = 500) -> None:
        self._most = steps
        self._steps: list[dict[str, Any]] = []
        self._nodes: list[Node] = []
        self._left_out = 0
        self._values: dict[Node, Part] = {}
        self._lines: dict[Node, tuple[str, str]] = {}
        #: How many cotangents have come to a node whose sum is not complete yet.
        self._arrived: Counter[Node] = Counter()

    def __len__(self) -> int:
        return len(self._steps)

    def __repr__(self) -> str:
        return f"<film of {len(self)} steps>"

    # -- recording ---------------------------------------------------------------------------------

    def __call__(
        self, op: Any, arrays: Any, metadata: dict[str, Any], value: Any, node: Any
    ) -> None:
        """Record what an operator did, if it is part of the history."""
        super().__call__(op, arrays, metadata, value, node)
        if node is None or not self._has_room():
            return
        count = len(node.parents)
        saved = node.saved or (None,) * (1 + count)
        kept = [not (one is None or isinstance(one, ShapeDtype)) for one in saved]
        arrays = arrays or (None,) * count
        parts: list[Part] = []
        inputs = zip(_names(op, count), node.parents, arrays, kept[1:], strict=True)
        for name, parent, array, keep in inputs:
            if array is None and parent is None:
                continue
            known = self._values.get(parent)  # what an earlier step made is shown as there
            if known is None:
                known = {} if array is None else snapshot(array, filters=name == "weight")
            parts.append({"part": name, **known, "kept": keep, "of": parent})
        self._values[node] = snapshot(value)
        parts.append({"part": "output", "kept": kept[0], **self._values[node]})
        line = current_line()
        self._lines[node] = (str(line), line.text) if line is not None else ("", "")
        settings = ", ".join(f"{k}={shortened(repr(v))}" for k, v in each_setting(metadata).items())
        self._add("forward", node, node.shown, parts, settings=settings)

    def backward(
        self, apply: ApplyRules, node: Node, edges: Edges, g: Any, tensor: Any
    ) -> list[Any]:
        """Record a cotangent and what the rules make of it."""
        count = self._arrived.pop(node, 0)
        found = super().backward(apply, node, edges, g, tensor)
        if not self._has_room():
            return found
        label = f"the sum of {count}" if count > 1 else ""
        if not edges:
            name = node.shown
            weight = name.endswith("weight")
            parts = [{"part": "gradient", "note": label, **snapshot(_plain(g), filters=weight)}]
            self._add("gradient", node, f"gradient of {name}", parts)
            return found
        parts = [{"part": "g, the cotangent of the output", "note": label, **snapshot(_plain(g))}]
        names = _names(node.op, len(node.parents))
        rules: list[str] = []
        for (i, parent), h in zip(edges, found, strict=True):
            if h is None:
                continue
            self._arrived[parent] += 1
            array = _plain(h)
            note = f"arrival {self._arrived[parent]}" if self._arrived[parent] > 1 else ""
            if array.shape != parent.shape:
                note = f"{note}; summed to {parent.shape}, the shape of the input".lstrip("; ")
            weight = names[i] == "weight"
            part = {"part": f"to {names[i]}", "of": parent, "to": parent, "note": note}
            parts.append(part | snapshot(array, filters=weight))
            text = rule_text(node.op, i)
            if text and text not in rules:
                rules.append(text)
        self._add("backward", node, f"rule of {node.shown}", parts, rule="\n".join(rules))
        return found

    def _has_room(self) -> bool:
        if len(self._steps) < self._most:
            return True
        self._left_out += 1
        return False

    def _add(self, kind: str, node: Node, title: str, parts: list[Part], **texts: str) -> None:
        scope = node.scope
        file, line = self._lines.get(node, ("", ""))
        where: Any = scope
        if scope.path in scope.kinds:  # the model itself has no path
            where = f"{scope.path}: {scope.kinds[scope.path]}".removeprefix(": ")
        module = f"{where} (gradient)" if scope.order and where is not scope else str(where)
        step = {"kind": kind, "title": title, "module": module, "file": file, "line": line}
        self._steps.append(step | {k: v for k, v in texts.items() if v} | {"parts": parts})
        self._nodes.append(node)

    # -- showing -----------------------------------------------------------------------------------

    def to_records(self) -> list[dict[str, Any]]:
        """A dict for each step, in order: what the page shows of it, for programs.

        Keys: kind ("forward", "backward" or "gradient"), title, module, file, line, settings and
        rule where there are any, and parts: a dict for each array, with part, shape, dtype, about,
        and numbers or image.
        """
        return [
            step | {"parts": [_part(part, _leaf_name(part.get("of"))) for part in step["parts"]]}
            for step in self._steps
        ]

    @checked(height="[1, inf)", depth="[0, inf)", max_nodes="[1, inf)")
    def page(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        height: int = 720,
        depth: int | None = None,
        expand: bool | str | Iterable[str] | None = None,
        max_nodes: int = 90,
    ) -> Page:
        """The page with the player, for a notebook; ``str(page)`` is its HTML.

        ``params``, ``depth``, ``expand``, ``max_nodes``: as for
        :func:`minigrad.make_dot`. ``height``: in pixels.

        Raises ValueError if no step was recorded.
        """
        if not self._steps:
            raise ValueError(
                "film: nothing was recorded. Run tensors that have requires_grad=True, or that a "
                "tape watches, inside `with mg.film() as steps:`"
            )
        graph = graph_of(ends_of(self._nodes), params)
        left_out = f"{self._left_out:,} more steps were not recorded" if self._left_out else ""
        layout = arrange(graph, (), [left_out], depth=depth, expand=expand, max_nodes=max_nodes)
        repeats = layout.repeats
        drawn = {node: repeats.shown_for(one) for node, one in graph.of_node.items()}
        rank = {node: i for i, node in enumerate(layout.root.nodes())}
        # A parameter of a block that is folded has the box of the first block's.
        first = {
            own: kept
            for hidden in repeats.stands_for
            for own, kept in zip(hidden.inputs, repeats.shown_for(hidden).inputs, strict=True)
            if own not in rank and kept in rank
        }
        at = {node: rank.get(first.get(one, one), -1) for node, one in drawn.items()}
        steps: list[dict[str, Any]] = []
        for step, node in zip(self._steps, self._nodes, strict=True):
            parts: list[Part] = []
            for part in step["parts"]:
                leaf = part.get("of")
                name = drawn[leaf].name if isinstance(leaf, Leaf) and leaf in drawn else ""
                to = {"to": at.get(part["to"], -1)} if "to" in part else {}
                parts.append(_part(part, name) | to)
            title = step["title"]
            if step["kind"] == "gradient" and node in drawn:
                title = f"gradient of {drawn[node].name}"
                if drawn[node] in first:
                    step = step | {"settings": f"drawn as {first[drawn[node]].name}"}
            steps.append(step | {"title": title, "at": at.get(node, -1), "parts": parts})
        return Page(write_page(layout, steps), height)

    def save(
        self,
        path: Any,
        params: Mapping[str, Any] | None = None,
        *,
        depth: int | None = None,
        expand: bool | str | Iterable[str] | None = None,
        max_nodes: int = 90,
    ) -> str:
        """Write the page to ``path`` (.html) and give the path, as :func:`minigrad.save` does.

        The rest is as for :meth:`page`. Raises ValueError for another suffix, or if no step was
        recorded, and OSError if the file cannot be written.
        """
        page = self.page(params, depth=depth, expand=expand, max_nodes=max_nodes)
        return page.save(path, "film.save")

    def _repr_html_(self) -> str | None:
        return self.page()._repr_html_() if self._steps else None


def _part(part: Part, leaf: str) -> Part:
    """A part without references to the history, ready for JSON; ``leaf`` is what it is called."""
    plain = {key: value for key, value in part.items() if key not in ("of", "to") and value != ""}
    return plain | ({"of": leaf} if leaf else {})


def _names(op: Any, count: int) -> list[str]:
    """What the inputs of an operator are called."""
    if op.variadic:
        return [f"{op.params[0]}[{i}]" for i in range(count)]
    return [op.params[i] if i < len(op.params) else f"input {i}" for i in range(count)]


def _leaf_name(node: Node | None) -> str:
    return node.shown if isinstance(node, Leaf) else ""


def _plain(g: Any) -> Any:
    """The array of a cotangent, which may be a tensor, or rows of several."""
    return getattr(g, "_data", getattr(g, "stack", g))
