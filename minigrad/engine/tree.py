"""Nested lists, tuples and dicts: taken apart into their leaves, and put together again.

Arguments, results and batches may be nested in any way. Whatever is none of the three is a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """The leaves, in order.

    >>> flatten({"a": 1, "b": [2, (3,)]})
    [1, 2, 3]
    """
    if isinstance(structure, dict):
        structure = structure.values()
    elif not isinstance(structure, (list, tuple)):
        return [structure]
    return [leaf for one in structure for leaf in flatten(one)]


def rebuild(structure: Any, leaves: Iterator[Any]) -> Any:
    """The same nesting with these leaves; named tuples keep their type.

    >>> rebuild({"a": 1, "b": [2, (3,)]}, iter("xyz"))
    {'a': 'x', 'b': ['y', ('z',)]}
    """
    if isinstance(structure, dict):
        return {key: rebuild(value, leaves) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        parts = [rebuild(value, leaves) for value in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*parts)
        return parts if isinstance(structure, list) else tuple(parts)
    return next(leaves)


def map_leaves(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """``function`` of each leaf, in the same nesting; of several structures, leaf by leaf.

    Raises ValueError if the structures have different numbers of leaves.

    >>> map_leaves(lambda x, y: x + y, [1, (2,)], [10, (20,)])
    [11, (22,)]
    """
    leaves = zip(*map(flatten, (structure, *others)), strict=True)
    return rebuild(structure, iter([function(*one) for one in leaves]))
