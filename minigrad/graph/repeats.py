"""Equal blocks in a row are drawn once, with their count.

A stretch of operators and modules repeats when each time round has the same operators with the
same shapes and the same wiring: to itself, to the time round before, to what all of them share, or
to results from before that look alike. Parameters of its own may differ in value and name, not in
shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.graph.modules import Group
from minigrad.graph.nodes import Box, consumers

Item = Group | Box
#: A stretch longer than this is not found to repeat.
LONGEST_PERIOD = 256
#: Folding must hide at least so many operators, or it explains less than it hides.
WORTHWHILE = 4


def fold(
    root: Group,
    boxes: list[Box],
    keep: Callable[[Group], bool],
    stands_for: dict[Box, Box],
    loose: bool = False,
) -> None:
    """Keep one of each run of equal blocks, and note in ``stands_for`` which box it hides.

    ``keep`` says which groups not to fold away. ``loose``: fold also operators outside modules
    whose parameters have names.
    """
    folder = _Folder(boxes, keep, stands_for, loose)
    # Inner groups first, and what gradients are wired to before the gradients.
    for group in sorted([root, *root.groups()], key=lambda group: (group.order, -group.depth)):
        folder.fold_children(group)


def shown_for(box: Box, stands_for: dict[Box, Box]) -> Box:
    """The box that is drawn for this one."""
    while box in stands_for:
        box = stands_for[box]
    return box


class _Folder:
    def __init__(
        self,
        boxes: list[Box],
        keep: Callable[[Group], bool],
        stands_for: dict[Box, Box],
        loose: bool,
    ) -> None:
        self.uses = consumers(boxes)
        self.stands_for = stands_for
        self.keep = keep
        self.loose = loose
        self._numbers: dict[object, int] = {}

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def signature(self, item: Item) -> int:
        """Equal for items that look alike, whatever they are wired to."""
        if isinstance(item, Box):
            # A loop that takes element t of a sequence does the same for each t.
            arguments = "" if item.name == "getitem" else item.arguments
            return self._number((item.kind, item.name, item.shape, item.dtype, arguments))
        inner = tuple(self.signature(child) for child in item.children)
        return self._number((item.kind, item.count, item.order, inner))

    def fold_children(self, group: Group) -> None:
        """Replace each run of equal blocks among the children by its first."""
        items = group.children
        if len(items) < 2:
            return
        sizes = [sum(1 for _ in _operators([item])) for item in items]
        reach = _Reach(np.array([self.signature(item) for item in items]), np.array(sizes))
        folded: list[Item] = []
        i = 0
        while i < len(items):
            for period, count in reach.candidates(i):
                count = self._equal_wiring(items, i, period, count)
                if count > 1 and self._worthwhile(items, i, period, count):
                    folded.append(self._folded(group, items, i, period, count))
                    i += period * count
                    break
            else:
                folded.append(items[i])
                i += 1
        group.children = folded

    def _equal_wiring(self, items: list[Item], start: int, period: int, count: int) -> int:
        """How many times round from the start are wired alike."""
        rounds = [
            list(_operators(items[start + k * period : start + (k + 1) * period]))
            for k in range(count)
        ]
        place = {box: (k, i) for k, round_ in enumerate(rounds) for i, box in enumerate(round_)}
        first = self._wiring(rounds[0], 0, place)
        model = self._wiring(rounds[1], 1, place)
        if len(first) != len(model) or not all(map(_agree, first, model)):
            return 1
        for k in range(2, count):
            if self._wiring(rounds[k], k, place) != model:
                count = k
                break
        return self._equal_use(rounds[:count], place)

    def _equal_use(self, rounds: list[list[Box]], place: dict[Box, tuple[int, int]]) -> int:
        """How many times round from the start are used alike by what comes after all of them.

        Only the last of a chain may be used in a way of its own. Rounds side by side, as the
        queries, keys and values of an attention, are a repetition only when nothing tells them
        apart.
        """
        chain = False
        outside: list[list[int]] = []
        for k, round_ in enumerate(rounds):
            found = []
            for box in round_:
                for user in (shown_for(user, self.stands_for) for user in self.uses.get(box, ())):
                    j = place[user][0] if user in place else len(rounds)
                    if j == len(rounds):
                        found.append(self.signature(user))
                    chain = chain or k < j < len(rounds)
            outside.append(found)
        count = len(rounds)
        for k in range(1, count):
            if outside[k] != outside[0]:
                return k + 1 if chain and k == count - 1 else k
        return count

    def _wiring(
        self, round_: list[Box], k: int, place: dict[Box, tuple[int, int]]
    ) -> list[tuple[object, ...]]:
        wires: list[tuple[object, ...]] = []
        for box in round_:
            wires.append(("operator",))
            for source in box.inputs:
                source = shown_for(source, self.stands_for)
                if source in place:
                    j, i = place[source]
                    wires.append(("round", k - j, i))
                elif source.kind == "operator":
                    # Each round may take a part of its own, if all the parts look alike.
                    wires.append(("outside", self.signature(source)))
                elif all(place.get(user, (-1,))[0] == k for user in self._users(source)):
                    wires.append(("own", source.kind, source.shape, source.dtype))
                else:
                    wires.append(("shared", source))
        return wires

    def _users(self, leaf: Box) -> Iterator[Box]:
        return (shown_for(user, self.stands_for) for user in self.uses[leaf])

    def _worthwhile(self, items: list[Item], start: int, period: int, count: int) -> bool:
        block = items[start : start + period]
        everything = items[start : start + period * count]
        if any(isinstance(item, Group) and self.keep(item) for item in everything):
            return False
        operators = list(_operators(block))
        if any(box.kind == "output" or box.mark == "first" for box in _operators(everything)):
            return False
        if len(operators) * (count - 1) < WORTHWHILE:
            return False
        if self.loose or any(isinstance(item, Group) for item in block):
            return True
        # Loose operators are somebody's own program: parameters that have names stay visible.
        return count > 2 and not any(
            source.kind == "parameter" and len(self.uses[source]) < count
            for box in operators
            for source in box.inputs
        )

    def _folded(
        self, parent: Group, items: list[Item], start: int, period: int, count: int
    ) -> Group:
        block = items[start : start + period]
        kept = list(_operators(block))
        for k in range(1, count):
            hidden = _operators(items[start + k * period : start + (k + 1) * period])
            for box, shown in zip(hidden, kept, strict=True):
                self.stands_for[box] = shown
        (only, *others) = block
        last = items[start + (count - 1) * period]
        if isinstance(only, Group) and not others and only.count == 1:
            only.count = count
            assert isinstance(last, Group)  # noqa: S101 (of equal signature)
            only.last = last.path
            return only
        group = Group("", "repeated", parent)
        group.count = count
        group.children = block
        for item in block:
            if isinstance(item, Group):
                item.parent = group
                for one in (item, *item.groups()):
                    one.depth += 1
                    one.level += 1
        return group


def _operators(items: list[Item]) -> Iterator[Box]:
    for item in items:
        if isinstance(item, Box):
            yield item
        else:
            yield from item.boxes()


def _agree(first: tuple[object, ...], later: tuple[object, ...]) -> bool:
    """Whether a wire of the first time round fits the later ones: it may start from outside."""
    if first == later:
        return True
    return later[0] == "round" and later[1] != 0 and first[0] in ("outside", "shared", "own")


class _Reach:
    """How far a sequence goes on repeating itself, for each start and period."""

    def __init__(self, tokens: Any, sizes: Any) -> None:
        count = len(tokens)
        longest = min(count // 2, LONGEST_PERIOD)
        self._periods = np.arange(1, longest + 1)
        self._before = np.concatenate([[0], np.cumsum(sizes)])
        #: For each period and start, how many tokens in a row equal the one a period later.
        self._runs = np.zeros((longest, count), np.int32)
        places = np.arange(count)
        for row, p in zip(self._runs, self._periods, strict=True):
            breaks = np.append(np.flatnonzero(tokens[:-p] != tokens[p:]), count - p)
            nearest = breaks[np.searchsorted(breaks, places[: count - p])]
            row[: count - p] = nearest - places[: count - p]

    def candidates(self, start: int) -> list[tuple[int, int]]:
        """(period, count) of the repetitions that begin here, those that cover most first."""
        counts = self._runs[:, start] // self._periods + 1
        ends = np.minimum(start + self._periods, len(self._before) - 1)
        hidden = (self._before[ends] - self._before[start]) * (counts - 1)
        found = np.flatnonzero((counts > 1) & (hidden >= WORTHWHILE))
        best = found[np.argsort(-(counts * self._periods)[found], kind="stable")][:4]
        return [(int(self._periods[i]), int(counts[i])) for i in best]
