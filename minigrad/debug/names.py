"""The names of operators and leaves in tables, messages and pictures.

They are written here alone, so that a table, a message and a picture call one thing by one name.
"""

from __future__ import annotations

from minigrad.engine.node import Leaf, Node, Scope


def op_name(node: Node) -> str:
    """The operator's name as its caller knows it."""
    return node.op.shown


def leaf_name(leaf: Leaf) -> str:
    """The name of a leaf, e.g. ``conv1.weight``; without a name, ``leaf`` or ``watched``."""
    return leaf.name or ("leaf" if leaf.trainable else "watched")


def within(name: str, scope: str) -> str:
    """A name with the module around it, as ``multiply in fc1`` or ``linear in 2 (Linear)``."""
    return f"{name} in {Scope.of(scope).told()}" if scope else name
