"""Where an operator is smooth, and how to draw points there: by construction, never by filtering.

Drawing plain random floats finds ties and neighbourhoods of zero in most arrays, and a derivative
means little at such points. A ``Domain`` therefore builds arrays that keep away from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Draw = Callable[["np.random.Generator", tuple[int, ...]], Any]


class Domain:
    """Values in ``[low, high]``, at least ``margin`` away from every point of ``avoid``.

    With ``distinct`` no two values are equal: they are a shuffled grid with jitter, so that
    ``max``, ``sort`` and their like have one answer. ``build`` overrides all of it, for matrices.
    """

    def __init__(
        self,
        name: str,
        low: float = -2.0,
        high: float = 2.0,
        avoid: tuple[float, ...] = (),
        margin: float = 0.1,
        distinct: bool = False,
        build: Draw | None = None,
    ) -> None:
        self.name = name
        self.low, self.high = low, high
        self.avoid, self.margin = avoid, margin
        self.distinct = distinct
        self.build = build

    def __repr__(self) -> str:
        return f"<domain {self.name}>"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        """A float64 array of this shape inside the domain."""
        if self.build is not None:
            return np.asarray(self.build(rng, shape))
        size = int(np.prod(shape, dtype=np.int64))
        if self.distinct:
            steps = rng.permutation(size) + rng.uniform(0.25, 0.75, size)
            unit = steps / max(size, 1)
        else:
            unit = rng.uniform(0.0, 1.0, size)
        return self._place(unit).reshape(shape)

    def _place(self, unit: Any) -> Any:
        """Map [0, 1] onto the allowed pieces of [low, high], in order."""
        cuts = [self.low]
        for point in sorted(self.avoid):
            around = np.clip([point - self.margin, point + self.margin], self.low, self.high)
            cuts += around.tolist()
        cuts.append(self.high)
        starts, ends = np.array(cuts[::2]), np.array(cuts[1::2])
        offsets = np.concatenate([[0.0], np.cumsum(np.maximum(ends - starts, 0.0))])
        along = unit * offsets[-1]
        piece = np.clip(np.searchsorted(offsets, along, side="right") - 1, 0, len(starts) - 1)
        return starts[piece] + (along - offsets[piece])


def _well_conditioned(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    n = shape[-1]
    return rng.uniform(-0.4, 0.4, shape) + 1.5 * np.eye(n) + np.diag(np.arange(n) * 0.3)


def _positive_definite(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    m = rng.uniform(-1.0, 1.0, shape)
    return (
        m @ np.swapaxes(m, -1, -2) + 0.5 * np.eye(shape[-1]) + np.diag(np.arange(shape[-1]) * 0.5)
    )


def _lattice(offset: float) -> Draw:
    """Whole multiples of 0.4, moved by ``offset`` and a little jitter."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return 0.4 * rng.integers(-5, 5, shape) + offset + rng.uniform(-0.05, 0.05, shape)

    return draw


anywhere = Domain("anywhere")
nonzero = Domain("nonzero", avoid=(0.0,))
positive = Domain("positive", low=0.2, high=3.0)
inside_unit = Domain("inside_unit", low=-0.9, high=0.9)
above_one = Domain("above_one", low=1.1, high=4.0)
distinct = Domain("distinct", distinct=True)
distinct_nonzero = Domain("distinct_nonzero", distinct=True, avoid=(0.0,), margin=0.05)
#: No value of one is near a value of the other, nor near 0.
lattice = Domain("lattice", build=_lattice(0.1))
between = Domain("between", build=_lattice(0.3))
well_conditioned = Domain("well_conditioned", build=_well_conditioned)
positive_definite = Domain("positive_definite", build=_positive_definite)


class Sample:
    """One call to test: shapes to draw (or ready values) for the arrays, and the metadata."""

    # No dataclasses here: importing them would cost more than importing all the operators.
    __slots__ = ("arrays", "metadata")

    def __init__(self, arrays: tuple[Any, ...], metadata: dict[str, Any]) -> None:
        self.arrays = arrays
        self.metadata = metadata

    def __repr__(self) -> str:
        named = [f"{k}={v!r}" for k, v in self.metadata.items()]
        return f"sample({', '.join([*map(repr, self.arrays), *named])})"

    def draw(self, rng: np.random.Generator, domains: tuple[Domain, ...]) -> tuple[Any, ...]:
        """The array arguments: a tuple is a shape to fill, a list a sequence of such shapes."""

        def make(spec: Any, domain: Domain) -> Any:
            if isinstance(spec, tuple):
                return domain.draw(rng, spec)
            if isinstance(spec, list):
                return [make(s, domain) for s in spec]
            return spec

        last = len(domains) - 1
        return tuple(make(spec, domains[min(i, last)]) for i, spec in enumerate(self.arrays))


def sample(*arrays: Any, **metadata: Any) -> Sample:
    """``sample((2, 3), axis=0)``: call with one drawn 2 x 3 array and ``axis=0``."""
    return Sample(arrays, metadata)


#: Shapes to try a function on, and those for two arrays: they broadcast in one way or another.
SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (0, 2))
PAIRS = [
    sample((), ()), sample((3,), ()), sample((2, 3), (3,)), sample((4, 1), (1, 3)),
    sample((2, 1, 3), (4, 1)), sample((0, 2), (2,)), sample((1,), (2, 2)),
]  # fmt: skip
