"""Random tensors, and the generator that the library draws from.

It is the library's own: NumPy's global state is neither used nor changed.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.creation import constant_or_leaf
from minigrad.engine.settings import checked
from minigrad.engine.switches import afterwards
from minigrad.engine.tensor import Tensor

# Made when it is first asked for: importing numpy.random takes 10 ms.
_generators: list[np.random.Generator] = []


class _Lent(threading.local):
    """The generator that this thread draws from instead."""

    generator: np.random.Generator | None = None


_lent = _Lent()


@checked(seed="[0, inf)")
def manual_seed(seed: int) -> np.random.Generator:
    """Seed the library's generator: the same seed gives the same numbers. Returns it.

    >>> import minigrad as mg
    >>> _ = mg.manual_seed(0)
    >>> a = mg.rand(3)
    >>> _ = mg.manual_seed(0)
    >>> bool((a == mg.rand(3)).all())
    True
    """
    generator = default_generator()
    # In place, so that all who hold the generator are seeded, too.
    generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    return generator


def default_generator() -> np.random.Generator:
    """The generator that is used where none is passed in.

    >>> default_generator() is default_generator()
    True
    """
    if _lent.generator is not None:
        return _lent.generator
    if not _generators:
        _generators.append(np.random.default_rng())
    return _generators[0]


@contextmanager
def drawing_from(generator: np.random.Generator) -> Generator[None]:
    """A block in which this thread draws from another generator than the library's."""
    before, _lent.generator = _lent.generator, generator
    try:
        yield
    finally:
        _lent.generator = before


@contextmanager
def generator_restored() -> Generator[None]:
    """A block that restores the state of the library's generator at its end."""
    generator = default_generator().bit_generator
    before = generator.state
    with afterwards(lambda: setattr(generator, "state", before)):
        yield


@checked(dtype="floating")
def randn(
    *shape: Any,
    dtype: DTypeLike = np.float32,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Numbers from the standard normal distribution.

    >>> randn(2, 3).shape
    (2, 3)
    """
    draw = (generator or default_generator()).standard_normal
    return _drawn(draw, shape, dtype, requires_grad)


@checked(dtype="floating")
def rand(
    *shape: Any,
    dtype: DTypeLike = np.float32,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Numbers uniform in [0, 1).

    >>> rand(2, 3).shape
    (2, 3)
    """
    draw = (generator or default_generator()).random
    return _drawn(draw, shape, dtype, requires_grad)


def _drawn(draw: Any, shape: tuple[Any, ...], dtype: DTypeLike, requires_grad: bool) -> Tensor:
    """A tensor of drawn numbers. ``randn((2, 3))`` is taken as ``randn(2, 3)``."""
    one_tuple = len(shape) == 1 and isinstance(shape[0], tuple)
    numbers = np.asarray(draw(shape[0] if one_tuple else shape))
    return constant_or_leaf(numbers.astype(dtype), requires_grad)
