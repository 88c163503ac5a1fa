"""Many parameters as one array, so that an update is a few long passes instead of many short ones.

The parameters of a group lie end to end in one buffer, of which each parameter becomes a view;
so does each kind of state. An update formula then runs over stretches of that buffer that fit in
cache, to which the gradients are copied, and allocates nothing. A model of many small parameters
costs the calls of one (``python -m benchmarks.optimizers``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.node import Leaf, next_number
from minigrad.engine.tensor import Tensor

Array = NDArray[Any]

#: Elements updated at a time: parameter, two states, gradient and scratch arrays stay in cache.
STRETCH = 65536
#: Ranges whose parts are remembered: many where another set of parameters is used at each step.
MOST_RUNS = 64


class Part:
    """A stretch of the buffer with its gradient and state, all one-dimensional, for one update.

    ``g`` may be overwritten by the formula; ``s`` and ``t`` are scratch of the same length.
    """

    __slots__ = ("g", "p", "pieces", "s", "state", "t")

    def __init__(
        self, p: Array, state: dict[str, Array], scratch: Array, pieces: list[tuple[int, int, int]]
    ) -> None:
        self.p, self.state = p, state
        self.g, self.s, self.t = scratch[:, : len(p)]
        #: Where the gradient comes from: (parameter, start, stop).
        self.pieces = pieces

    def fetch(self, gradients: list[Array]) -> None:
        """Copy the gradient of this stretch from those of the parameters, flattened."""
        pieces = [gradients[i][start:stop] for i, start, stop in self.pieces]
        np.concatenate(pieces, out=self.g, casting="same_kind")


class Flat:
    """Parameters of one dtype end to end in one buffer, with their state.

    ``initial``: the name and start value of each array of state. ``scalars``: for each parameter
    its state that is a number, such as the count of its steps.
    """

    def __init__(self, params: list[Tensor], initial: dict[str, float]) -> None:
        self.params = params
        self.shapes = [p.shape for p in params]
        self.dtype = params[0].dtype
        ends = np.cumsum([p.size for p in params]).tolist()
        self.bounds: list[int] = [0, *ends]
        size = self.bounds[-1]
        self.data = np.empty(size, self.dtype)
        self.state = {name: np.full(size, value, self.dtype) for name, value in initial.items()}
        self.scratch = np.empty((3, min(size, STRETCH)), self.dtype)
        self.scalars: list[dict[str, float]] = [{} for _ in params]
        self._cut()

    def _cut(self) -> None:
        """Views of the buffer for each parameter; they take over its value when next updated."""
        self.views = [self._cut_one(self.data, i) for i in range(len(self.params))]
        self.parts: dict[tuple[int, int], list[Part]] = {}

    def _cut_one(self, array: Array, i: int) -> Array:
        return array[self.bounds[i] : self.bounds[i + 1]].reshape(self.shapes[i])

    def __getstate__(self) -> dict[str, Any]:
        # A copied view would be an array of its own.
        return {k: v for k, v in self.__dict__.items() if k not in ("views", "parts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cut()

    def fits(self) -> bool:
        """Whether every parameter still has the shape and dtype it came with."""
        return all(
            p._data is view or (p.shape == view.shape and p.dtype == self.dtype)
            for p, view in zip(self.params, self.views)
        )

    def state_of(self, i: int) -> dict[str, Array]:
        """Views of the arrays of state that belong to parameter i."""
        return {name: self._cut_one(array, i) for name, array in self.state.items()}

    def take(self, i: int, scalars: dict[str, float], arrays: dict[str, Array]) -> None:
        """Set the state of parameter i."""
        self.scalars[i] = dict(scalars)
        for name, view in self.state_of(i).items():
            if name in arrays and arrays[name].shape == view.shape:
                view[...] = arrays[name]

    def extend(self, initial: dict[str, float]) -> None:
        """Add arrays of state that a changed setting calls for."""
        for name, value in initial.items():
            if name not in self.state:
                self.state[name] = np.full(self.bounds[-1], value, self.dtype)
                self.parts.clear()

    def update(
        self,
        gradients: list[Array | None],
        formula: Callable[[dict[str, float]], Callable[[Part], None]],
    ) -> None:
        """Update every parameter that has a gradient.

        ``formula`` is called with the scalars of a parameter, brings them up to date and returns
        the function that updates a part. Neighbours with equal scalars are updated as one.
        """
        number = next_number()
        for first, last in self._runs(gradients):
            for i in range(first, last):
                p, view = self.params[i], self.views[i]
                if p._data is not view:
                    # New, or assigned by somebody who replaced its buffer.
                    view[...] = p._data
                    p._data = view
                if isinstance(p._node, Leaf):
                    p._node.assigned = number
            scalars = self.scalars[first]
            update = formula(scalars)
            for other in self.scalars[first + 1 : last]:
                other.update(scalars)
            flat = [g.reshape(-1) for g in gradients[first:last] if g is not None]
            for part in self._parts(first, last):
                part.fetch(flat)
                update(part)

    def _runs(self, gradients: list[Array | None]) -> Iterator[tuple[int, int]]:
        """Ranges of neighbours that have a gradient and equal scalars."""
        first = 0
        while first < len(gradients):
            if gradients[first] is None:
                first += 1
                continue
            last = first + 1
            while (
                last < len(gradients)
                and gradients[last] is not None
                and self.scalars[last] == self.scalars[first]
            ):
                last += 1
            yield first, last
            first = last

    def _parts(self, first: int, last: int) -> list[Part]:
        """The parameters from first to last cut into parts of at most STRETCH elements."""
        found = self.parts.get((first, last))
        if found is None:
            if len(self.parts) > MOST_RUNS:
                self.parts.clear()
            found = []
            bounds = self.bounds[first : last + 1]
            for a in range(bounds[0], bounds[-1], STRETCH):
                b = min(a + STRETCH, bounds[-1])
                pieces = [
                    (i, max(a, start) - start, min(b, stop) - start)
                    for i, (start, stop) in enumerate(itertools.pairwise(bounds))
                    if start < b and stop > a
                ]
                state = {name: array[a:b] for name, array in self.state.items()}
                found.append(Part(self.data[a:b], state, self.scratch, pieces))
            self.parts[first, last] = found
        return found
