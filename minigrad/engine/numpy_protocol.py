"""What NumPy's own functions do when they meet a tensor.

Three kinds: functions that stand in the operator table (``NUMPY``), functions that look without
computing (``PLAIN``: they get the plain arrays), and everything else, which is refused with the
way out. Nothing falls through to a conversion that would lose the graph without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.lazy import load_late
from minigrad.operators.declare import NUMPY, engine

Function = Callable[..., Any]

PLAIN: frozenset[Function] = frozenset(
    {
        np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type,
        np.common_type, np.iscomplexobj, np.isrealobj, np.allclose, np.array_equal,
        np.array_equiv, np.array_repr, np.array_str, np.array2string, np.shares_memory,
        np.may_share_memory, np.broadcast_shapes, np.diag_indices_from, np.tril_indices_from,
        np.triu_indices_from, np.ix_, np.einsum_path, np.save, np.savetxt, np.savez,
        np.savez_compressed,
    }
)  # fmt: skip

WAY_OUT = (
    "Use minigrad's operators, or leave the graph on purpose with .numpy() "
    "(no gradient flows back from there)"
)
NO_RULE = "it has no derivative rule here"
IN_PLACE = (
    "it writes into its argument, and a tensor is a value; np.where(mask, new, t) makes a new one"
)
COMPLEX = "it needs complex numbers, which have no gradients here"
CALLS_BACK = (
    "it would call your function on bare arrays; call it on tensors, with axis= where needed"
)
#: Why a function is refused, where there is more to say than that it has no rule.
REASONS: dict[Function, str] = {
    **dict.fromkeys(
        (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask), IN_PLACE
    ),
    **dict.fromkeys((np.linalg.eig, np.linalg.eigvals, np.roots, np.sort_complex), COMPLEX),
    **dict.fromkeys((np.apply_along_axis, np.apply_over_axes), CALLS_BACK),
    np.empty_like: "it makes an array to be written to; np.stack and np.concatenate join parts",
    np.linspace: "write start + (stop - start) * np.linspace(0, 1, n)",
}
REDUCTIONS = {
    ("add", "reduce"): "np.sum", ("multiply", "reduce"): "np.prod",
    ("maximum", "reduce"): "np.max",
    ("minimum", "reduce"): "np.min", ("logaddexp", "reduce"): "mg.logsumexp",
    ("add", "accumulate"): "np.cumsum", ("multiply", "accumulate"): "np.cumprod",
    ("multiply", "outer"): "np.outer", ("add", "at"): "mg.scatter",
}  # fmt: skip
#: What to do instead of an argument that NumPy knows and tensors do not.
INSTEAD = {
    "dtype": "convert with t.astype(dtype)",
    "where": "choose with np.where(mask, t, fill) first",
    "initial": "combine the result with it afterwards",
    "order": "elements are always in C order",
    "out": "a tensor is a value",
}
#: Values of arguments that we do not have which ask for what happens anyway.
USUAL: dict[str, tuple[Any, ...]] = {
    "where": (True,), "order": ("C", "K", "A"), "casting": ("same_kind",),
}  # fmt: skip
#: Arguments about how, not what: the result is the same.
IGNORED = frozenset({"copy", "kind", "overwrite_input", "stable", "subok"})


def _on_demand(function: Function) -> Function | None:
    """The operator for a function that is not in the table yet, if there is one."""
    if function in PLAIN:
        return None
    load_late("minigrad.operators.on_demand")  # which fills the table
    return NUMPY.get(function)


# -- ufuncs ----------------------------------------------------------------------------------------


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.exp(t)``, ``ndarray + t``, ``np.float64(2) * t``: run the operator on tensors."""
    known = NUMPY.get(ufunc) or _on_demand(ufunc)
    if method == "__call__" and known is not None:
        if not kwargs:
            return known(*inputs)
        taken = _parameters(known)
        extra = {k: v for k, v in kwargs.items() if k in taken or not _says_nothing(k, v)}
        if all(name in taken for name in extra):
            return known(*inputs, **extra)
    name = f"np.{ufunc.__name__}"
    if kwargs.get("out") is not None:
        raise TypeError(
            f"{name}: cannot write a tensor into an existing array (out=, or an in-place operator "
            f"such as array += tensor): the result would leave the graph. "
            f"Write y = x + t instead, or use t.numpy()"
        )
    if method != "__call__":
        other = REDUCTIONS.get((ufunc.__name__, method))
        hint = f"Use {other}, which is" if other else WAY_OUT
        raise TypeError(f"{name}.{method} is not differentiable here. {hint}")
    if known is None:
        raise TypeError(f"{name} does not work on tensors: {NO_RULE}. {WAY_OUT}")
    raise _unknown(name, next(k for k in kwargs if k not in _parameters(known)))


# -- functions -------------------------------------------------------------------------------------


def call_function(function: Function, args: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.sum(t)``, ``np.where(c, t, 0)``, ``np.concatenate([t, u])``."""
    known = NUMPY.get(function) or _on_demand(function)
    if known is not None:
        if len(args) == 1 and not kwargs:
            return NUMPY[np.nonzero](*args) if function is np.where else known(*args)
        key = (function, len(args), *kwargs)
        if key not in _TRANSLATIONS:
            _TRANSLATIONS[key] = _translation(function, known, len(args), tuple(kwargs))
        names = _TRANSLATIONS[key]
        if names is None:
            return known(*args, **kwargs)
        return known(**_translated(function, names, (*args, *kwargs.values())))
    if function in PLAIN:
        return function(*map(_shown, args), **{k: _shown(v) for k, v in kwargs.items()})
    raise TypeError(f"{_name(function)} does not work on tensors: {reason(function)}. {WAY_OUT}")


def reason(function: Function) -> str:
    """Why a function is refused."""
    if function.__module__ == "numpy.fft":  # not in the table: NumPy loads these on demand, too
        return "np.roll does the same" if function.__name__.endswith("fftshift") else COMPLEX
    return REASONS.get(function, NO_RULE)


def _shown(value: Any) -> Any:
    """The arrays behind tensors, read-only: np.ix_ hands out views of them."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_shown, value))
    plain = engine.constant(value)
    if plain is not value:
        plain = plain.view()
        plain.flags.writeable = False
    return plain


#: For each way to call a function: None to pass the call on as it is, or pairs of NumPy's name and
#: ours (None where we have no such argument) for the arguments in turn.
_TRANSLATIONS: dict[Any, list[tuple[str, str | None]] | None] = {}
_IN_C = {
    "bincount": ("x", "weights", "minlength"),
    "concatenate": ("arrays", "axis", "out", "dtype", "casting"),
    "dot": ("a", "b", "out"),
    "inner": ("a", "b"),
    "lexsort": ("keys", "axis"),
    "packbits": ("a", "axis", "bitorder"),
    "ravel_multi_index": ("multi_index", "dims", "mode", "order"),
    "unpackbits": ("a", "axis", "count", "bitorder"),
    "unravel_index": ("indices", "shape", "order"),
    "vdot": ("a", "b"),
    "where": ("condition", "x", "y"),
}
_RENAMED = {"a_min": "min", "a_max": "max"}


def _translation(
    function: Function, known: Function, count: int, keywords: tuple[str, ...]
) -> list[tuple[str, str | None]] | None:
    """How a call of NumPy's function with these arguments reads as a call of ours."""
    import inspect  # slow to import, and rarely needed

    try:
        theirs = inspect.signature(function).parameters
        order, kinds = list(theirs), [p.kind for p in theirs.values()]
    except ValueError:  # a function in C, before NumPy 2.4
        order, kinds = list(_IN_C.get(function.__name__, ())), []
    ours = inspect.signature(known).parameters
    own, own_kinds = list(ours), [p.kind for p in ours.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds + own_kinds or not order:
        return None
    anything = inspect.Parameter.VAR_KEYWORD in own_kinds

    def ours_for(name: str) -> str | None:
        place = order.index(name) if name in order else len(own)
        if name in ours or name in _RENAMED:
            return _RENAMED.get(name, name)
        if place < len(own) and own[place] not in order:
            return own[place]  # the array: NumPy's a is our x
        return name if anything or name not in order else None

    pairs = [(name, ours_for(name)) for name in (*order[:count], *keywords)]
    direct = [mine for _, mine in pairs] == [*own[:count], *keywords]
    return None if direct or count > len(order) else pairs


def _translated(
    function: Function, names: list[tuple[str, str | None]], values: tuple[Any, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (theirs, ours), value in zip(names, values, strict=True):
        if ours is not None:
            if value is not np._NoValue:
                found[ours] = value
        elif not _says_nothing(theirs, value):
            raise _unknown(_name(function), theirs)
    return found


def _says_nothing(name: str, value: Any) -> bool:
    """Whether an argument that we do not have asks for what happens anyway."""
    if value is None or value is np._NoValue or name in IGNORED:
        return True
    usual: tuple[Any, ...] = USUAL.get(name, ())
    return any(value is one or (isinstance(one, str) and value == one) for one in usual)


def _parameters(function: Function) -> tuple[str, ...]:
    code = function.__wrapped__.__code__  # type: ignore[attr-defined]
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def _unknown(name: str, argument: str) -> TypeError:
    remedy = INSTEAD.get(argument, "leave it out")
    return TypeError(f"{name}: the argument {argument}= is not supported for tensors; {remedy}")


def _name(function: Function) -> str:
    return f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
