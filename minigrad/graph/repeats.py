"""Equal blocks in a row are drawn once, with their count.

A sequence of operators and modules repeats if each round has the same operators with the same
shapes and the same wiring: within the round, to the round before, to what all rounds share, or to
earlier results that look alike. Each round may have parameters of its own: their values and names
may differ, their shapes may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minigrad.graph.nodes import GraphNode, Group, consumers, nodes_in

Item = Group | GraphNode
#: No round is longer than this.
LONGEST_PERIOD = 256
#: Folding must hide at least this many operators to be worthwhile.
WORTHWHILE = 4


class Repeats:
    """Keeps the first of equal blocks in a row, but for groups that ``keep`` says not to fold."""

    def __init__(self, nodes: list[GraphNode], keep: Callable[[Group], bool]) -> None:
        self.uses = consumers(nodes)
        self.keep = keep
        #: For each hidden node, the one in its place in the block before.
        self.stands_for: dict[GraphNode, GraphNode] = {}
        self.signatures: dict[object, int] = {}
        self.loose = False

    def fold(self, root: Group, loose: bool = False) -> None:
        """Fold equal blocks; ``loose``: outside modules, even where parameters have names."""
        self.loose = loose
        # Inner groups before outer ones, and computations before their gradients.
        for group in sorted([root, *root.groups()], key=lambda group: (group.order, -group.depth)):
            self.fold_children(group)

    def shown_for(self, node: GraphNode) -> GraphNode:
        """The node that is drawn for this one."""
        while node in self.stands_for:
            node = self.stands_for[node]
        return node

    def signature(self, item: Item) -> int:
        """A number that is equal for items that look alike, whatever they are wired to."""
        if isinstance(item, GraphNode):
            # A loop that takes element t of a sequence does the same for each t.
            arguments = "" if item.name == "getitem" else item.arguments
            key: object = (item.kind, item.name, item.shape, item.dtype, arguments)
        else:
            inner = tuple(self.signature(child) for child in item.children)
            key = (item.kind, item.count, item.order, inner)
        return self.signatures.setdefault(key, len(self.signatures))

    def fold_children(self, group: Group) -> None:
        """Replace each run of equal blocks among the children by its first."""
        items = group.children
        if len(items) < 2:
            return
        sizes = [sum(1 for _ in nodes_in([item])) for item in items]
        repetitions = _Repetitions([self.signature(item) for item in items], sizes)
        folded: list[Item] = []
        i = 0
        while i < len(items):
            for period, count in repetitions.candidates(i):
                starts = range(i, i + period * count, period)
                rounds = self._equal_rounds([items[k : k + period] for k in starts])
                if len(rounds) > 1 and self._worthwhile(rounds):
                    folded.append(self._folded(group, rounds))
                    i += period * len(rounds)
                    break
            else:
                folded.append(items[i])
                i += 1
        group.children = folded

    def _equal_rounds(self, rounds: list[list[Item]]) -> list[list[Item]]:
        """The rounds from the start that are wired and used alike."""
        nodes = [list(nodes_in(items)) for items in rounds]
        place = {node: (k, i) for k, one in enumerate(nodes) for i, node in enumerate(one)}
        first, model = (self._wiring(nodes[k], k, place) for k in (0, 1))
        if len(first) != len(model) or not all(map(_agree, first, model)):
            return rounds[:1]
        count = 2
        while count < len(nodes) and self._wiring(nodes[count], count, place) == model:
            count += 1
        return rounds[: self._equal_use(nodes[:count], place)]

    def _equal_use(
        self, rounds: list[list[GraphNode]], place: dict[GraphNode, tuple[int, int]]
    ) -> int:
        """How many rounds from the start are used alike by what comes after all of them.

        In a chain, the last round may be used differently. Rounds side by side, such as the
        queries, keys and values of an attention, are a repetition only if nothing distinguishes
        them.
        """
        chain = False
        outside: list[list[int]] = []
        for k, round_ in enumerate(rounds):
            found = []
            for node in round_:
                for user in self._users(node):
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
        self, round_: list[GraphNode], k: int, place: dict[GraphNode, tuple[int, int]]
    ) -> list[tuple[object, ...]]:
        wires: list[tuple[object, ...]] = []
        for node in round_:
            wires.append(("operator",))
            for source in node.inputs:
                source = self.shown_for(source)
                if source in place:
                    j, i = place[source]
                    wires.append(("round", k - j, i))
                elif source.kind == "operator":
                    # Each round may use another earlier result, if these look alike.
                    wires.append(("outside", self.signature(source)))
                elif all(place.get(user, (-1,))[0] == k for user in self._users(source)):
                    wires.append(("own", source.kind, source.shape, source.dtype))
                else:
                    wires.append(("shared", source))
        return wires

    def _users(self, node: GraphNode) -> Iterator[GraphNode]:
        return map(self.shown_for, self.uses.get(node, ()))

    def _worthwhile(self, rounds: list[list[Item]]) -> bool:
        items = [item for one in rounds for item in one]
        if any(isinstance(item, Group) and self.keep(item) for item in items):
            return False
        if any(node.kind == "output" or node.mark == "first" for node in nodes_in(items)):
            return False
        operators, count = list(nodes_in(rounds[0])), len(rounds)
        if len(operators) * (count - 1) < WORTHWHILE:
            return False
        if self.loose or any(isinstance(item, Group) for item in rounds[0]):
            return True
        # Operators outside modules are the user's own program: named parameters stay visible.
        return count > 2 and not any(
            source.kind == "parameter" and len(self.uses[source]) < count
            for node in operators
            for source in node.inputs
        )

    def _folded(self, parent: Group, rounds: list[list[Item]]) -> Group:
        block, last = rounds[0], rounds[-1][0]
        for hidden in rounds[1:]:
            self.stands_for.update(zip(nodes_in(hidden), nodes_in(block), strict=True))
        only = block[0]
        if len(block) == 1 and isinstance(only, Group) and only.count == 1:
            only.count = len(rounds)
            assert isinstance(last, Group)  # noqa: S101 (of equal signature)
            only.last = last.path
            return only
        group = Group("", "repeated", parent)
        group.count = len(rounds)
        group.children = block
        for item in block:
            if isinstance(item, Group):
                item.parent = group
                for one in (item, *item.groups()):
                    one.depth += 1
                    one.level += 1
        return group


def _agree(first: tuple[object, ...], later: tuple[object, ...]) -> bool:
    """Whether a wire of the first round matches those of later ones: it may come from outside."""
    if first == later:
        return True
    return later[0] == "round" and later[1] != 0 and first[0] in ("outside", "shared", "own")


class _Repetitions:
    """How far a sequence repeats itself, for each start and period."""

    def __init__(self, signatures: list[int], sizes: list[int]) -> None:
        tokens = np.array(signatures)
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
