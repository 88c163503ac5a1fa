"""What NumPy's own functions do when they meet a tensor.

Three kinds: functions that stand in the operator table (``NUMPY``), functions that look without
computing (``PLAIN``: they get the plain arrays), and everything else, which is refused with the
way out. Nothing falls through to a conversion that would lose the graph without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.operators.declare import NUMPY, engine

PLAIN: frozenset[Callable[..., Any]] = frozenset(
    {
        np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type,
        np.common_type, np.iscomplexobj, np.isrealobj, np.allclose, np.array_equal,
        np.array_equiv, np.array_repr, np.array_str, np.array2string, np.shares_memory,
        np.may_share_memory, np.broadcast_shapes,
    }
)  # fmt: skip

WAY_OUT = (
    "Use minigrad's operators, or leave the graph on purpose with .numpy() "
    "(no gradient flows back from there)"
)


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.exp(t)``, ``ndarray + t``, ``np.float64(2) * t``: run the operator on tensors."""
    if method == "__call__" and not kwargs and ufunc in NUMPY:
        return NUMPY[ufunc](*inputs)
    name = f"np.{ufunc.__name__}"
    if kwargs.get("out") is not None:
        raise TypeError(
            f"{name}: cannot write a tensor into an existing array (out=, or an in-place operator "
            f"such as array += tensor): the result would leave the graph. "
            f"Write y = x + t instead, or use t.numpy()"
        )
    if method != "__call__":
        raise TypeError(f"{name}.{method} is not differentiable here. {WAY_OUT}")
    if ufunc not in NUMPY:
        raise TypeError(f"{name} has no derivative rule here. {WAY_OUT}")
    raise TypeError(f"{name}: unsupported argument {', '.join(sorted(kwargs))} for tensors")


def call_function(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.sum(t)``, ``np.where(c, t, 0)``, ``np.concatenate([t, u])``."""
    known = NUMPY.get(function)
    if known is not None:
        return known(*args, **kwargs)
    if function in PLAIN:
        plain = engine.constant
        return function(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
    name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
    raise TypeError(f"{name} does not work on tensors: it has no derivative rule here. {WAY_OUT}")
