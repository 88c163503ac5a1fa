"""The parameters of a group as one array, so that an update is a few long passes over memory.

The parameters lie end to end in one buffer, of which each parameter becomes a view; so does each
kind of state. An update rule then runs over chunks of that buffer that fit in cache, to which the
gradients are copied, and allocates nothing. A model of many small parameters costs as many calls
as a model of one (``python -m benchmarks.optimizers``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.node import Leaf, next_number
from minigrad.engine.tensor import Tensor
from minigrad.kernels.scratch import PAGE, aligned

Array = NDArray[Any]

#: Elements updated at a time: parameter, two states, gradient and scratch arrays stay in cache.
CHUNK_SIZE = 65536
#: Ranges whose chunks are remembered: many where each step uses another set of parameters.
MOST_RANGES = 64
#: What updates a chunk.
Rule: TypeAlias = Callable[["Chunk"], None]


def only_reads(rule: Rule) -> Rule:
    """Mark a function that updates chunks and leaves ``g`` as it is."""
    rule.reads = True  # type: ignore[attr-defined]
    return rule


class Chunk:
    """A range of the buffer with its gradient and state, all one-dimensional, for one update.

    The update rule may overwrite ``g``, unless it is marked by ``only_reads``; ``s`` and ``t`` are
    scratch arrays of the same length.
    """

    __slots__ = ("g", "memory", "p", "pieces", "s", "state", "t")

    def __init__(
        self,
        p: Array,
        state: dict[str, Array],
        scratch: list[Array],
        pieces: list[tuple[int, int, int]],
    ) -> None:
        self.p, self.state = p, state
        self.memory, self.s, self.t = (memory[: len(p)] for memory in scratch)
        self.g = self.memory
        #: Where the gradient comes from: (parameter, start, stop).
        self.pieces = pieces

    def update(self, rule: Rule, gradients: list[Array]) -> None:
        """Apply the rule to ``g``, the flattened gradients of the parameters or a copy of them."""
        if len(self.pieces) == 1 and hasattr(rule, "reads"):
            i, start, stop = self.pieces[0]
            g = gradients[i][start:stop]
            if g.dtype == self.p.dtype:
                # Most of a large parameter is not copied: a fifth of a step of compiled Adam.
                self.g = g
                rule(self)
                self.g = self.memory  # nothing keeps the gradient
                return
        pieces = [gradients[i][start:stop] for i, start, stop in self.pieces]
        np.concatenate(pieces, out=self.g, casting="same_kind")
        rule(self)


class ParameterBuffer:
    """Parameters of one dtype end to end in one array, with their state.

    ``initial``: the name and start value of each array of state. ``scalars``: for each parameter
    the part of its state that is a number, such as the count of its steps.
    """

    def __init__(self, params: list[Tensor], initial: dict[str, float]) -> None:
        self.params = params
        self.shapes = [p.shape for p in params]
        self.dtype = params[0].dtype
        self.bounds: list[int] = [0, *np.cumsum([p.size for p in params]).tolist()]
        size = self.bounds[-1]
        self.state: dict[str, Array] = {}
        self.data = self._empty(size, 0)
        self.scratch = [self._empty(min(size, CHUNK_SIZE), i) for i in (5, 6, 7)]
        self.scalars: list[dict[str, float]] = [{} for _ in params]
        self._make_views()
        self.add_state(initial)

    def _empty(self, size: int, place: int) -> Array:
        """A new array, in one of eight places in a page."""
        made: Array = aligned((size,), self.dtype, place % 8 * (PAGE // 8))
        return made

    def _make_views(self) -> None:
        """Make a view of the buffer for each parameter; it gets the value at the next update."""
        self.views = [self._view(self.data, i) for i in range(len(self.params))]
        self.chunks: dict[tuple[int, int], list[Chunk]] = {}

    def _view(self, array: Array, i: int) -> Array:
        return array[self.bounds[i] : self.bounds[i + 1]].reshape(self.shapes[i])

    def __getstate__(self) -> dict[str, Any]:
        # Views are made again, because a copy of a view does not share the buffer.
        return {k: v for k, v in self.__dict__.items() if k not in ("views", "chunks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_views()

    def fits(self) -> bool:
        """Whether every parameter still has the shape and dtype that the buffer was made for."""
        for p, view in zip(self.params, self.views):
            if p._data is not view and (p.shape != view.shape or p.dtype != self.dtype):
                return False
        return True

    def add_state(self, initial: dict[str, float]) -> None:
        """Add the arrays of state that are not there yet, such as after a change of a setting."""
        for name, value in initial.items():
            if name not in self.state:
                self.state[name] = self._empty(self.bounds[-1], 1 + len(self.state))
                self.state[name][...] = value
                self.chunks.clear()

    def state_of(self, i: int) -> dict[str, Array]:
        """Views of the arrays of state that belong to parameter i."""
        return {name: self._view(array, i) for name, array in self.state.items()}

    def set_state(self, i: int, scalars: dict[str, float], arrays: dict[str, Array]) -> None:
        """Set the state of parameter i; arrays of another name or shape are left out."""
        self.scalars[i] = dict(scalars)
        for name, view in self.state_of(i).items():
            if name in arrays and arrays[name].shape == view.shape:
                view[...] = arrays[name]

    def update(
        self,
        gradients: list[Array | None],
        update_rule: Callable[[dict[str, float]], Rule],
    ) -> None:
        """Update every parameter that has a gradient.

        ``update_rule`` is called with the scalars of a parameter, brings them up to date and
        returns the function that updates a chunk. Neighbours with equal scalars are updated
        together.
        """
        number = next_number()
        for first, last in self._ranges(gradients):
            for i in range(first, last):
                p, view = self.params[i], self.views[i]
                if p._data is not view:
                    # New, or its buffer has been replaced by an assignment.
                    view[...] = p._data
                    p._data = view
                if isinstance(p._node, Leaf):
                    p._node.assigned = number
            scalars = self.scalars[first]
            update = update_rule(scalars)
            for other in self.scalars[first + 1 : last]:
                other.update(scalars)
            flat = [g.reshape(-1) for g in gradients[first:last] if g is not None]
            for chunk in self._chunks(first, last):
                chunk.update(update, flat)

    def _ranges(self, gradients: list[Array | None]) -> list[tuple[int, int]]:
        """Ranges of neighbours that have a gradient and equal scalars."""
        found = []
        states = (None if g is None else s for g, s in zip(gradients, self.scalars))
        first = 0
        for state, alike in itertools.groupby(states):
            last = first + len(list(alike))
            if state is not None:
                found.append((first, last))
            first = last
        return found

    def _chunks(self, first: int, last: int) -> list[Chunk]:
        """The parameters from first to last, cut into chunks of at most CHUNK_SIZE elements."""
        found = self.chunks.get((first, last))
        if found is None:
            if len(self.chunks) > MOST_RANGES:
                self.chunks.clear()
            found = []
            bounds = self.bounds[first : last + 1]
            for a in range(bounds[0], bounds[-1], CHUNK_SIZE):
                b = min(a + CHUNK_SIZE, bounds[-1])
                pieces = [
                    (i, max(a, start) - start, min(b, stop) - start)
                    for i, (start, stop) in enumerate(itertools.pairwise(bounds))
                    if start < b and stop > a
                ]
                state = {name: array[a:b] for name, array in self.state.items()}
                found.append(Chunk(self.data[a:b], state, self.scratch, pieces))
            self.chunks[first, last] = found
        return found
