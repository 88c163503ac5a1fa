"""What NumPy's own functions do when they meet a tensor.

There are three kinds: functions with an operator (in the table ``NUMPY``), functions whose result
needs no gradient (``PLAIN``: they get the arrays), and everything else, which raises TypeError with
a remedy. So no function converts a tensor to an array silently, which would lose the graph.

Where nothing is tracked, nothing can be lost: then the third kind, too, runs on the arrays, and
gives what NumPy or SciPy gives.
"""

from __future__ import annotations

import functools
import sys
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
#: Functions of scipy.special that have an operator: their names there, and where it is.
SCIPY = {
    "erf": "special.erf", "erfc": "special.erfc", "gammaln": "special.gammaln",
    "psi": "special.digamma", "xlogy": "special.xlogy", "expit": "activations.sigmoid",
    "log_expit": "activations.logsigmoid", "ndtr": "activations.normal_cdf",
}  # fmt: skip
#: What to do instead of an argument that NumPy knows and tensors do not.
INSTEAD = {
    "dtype": "convert with t.astype(dtype)",
    "where": "choose with np.where(mask, t, fill) first",
    "initial": "combine the result with it afterwards",
    "order": "elements are always in C order",
    "out": "a tensor is a value",
}
#: Values that are accepted for arguments that we do not have, because they change nothing.
USUAL: dict[str, tuple[Any, ...]] = {
    "where": (True,), "order": ("C", "K", "A"), "casting": ("same_kind",),
}  # fmt: skip
#: Names of arguments in a few of NumPy's functions, and our names for them.
RENAMED = {"a_min": "min", "a_max": "max", "newshape": "shape", "x1": "a", "x2": "b", "val": "a"}
#: Arguments that do not change the values of the result.
IGNORED = frozenset({"copy", "kind", "overwrite_input", "stable", "subok"})


def _on_demand(function: Function) -> Function | None:
    """The operator for a function that is not in the table yet, if there is one."""
    if function in PLAIN:
        return None
    known: Function | None = load_late("minigrad.operators.on_demand").standing_for(function)
    name = getattr(function, "__name__", "")
    if name in SCIPY and getattr(sys.modules.get("scipy.special"), name, None) is function:
        module, _, ours = SCIPY[name].rpartition(".")
        NUMPY[function] = getattr(load_late(f"minigrad.operators.{module}"), ours)
        known = NUMPY[function]
    return known


# -- ufuncs ----------------------------------------------------------------------------------------


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.exp(t)``, ``ndarray + t``, ``np.float64(2) * t``: run the operator on tensors."""
    known = NUMPY.get(ufunc) or _on_demand(ufunc)
    if method == "__call__" and known is not None:
        if not kwargs:
            return known(*inputs)
        if kwargs.get("out") is None:
            return _with_settings(known, ufunc, inputs, kwargs)
    name = _name(ufunc)
    if method == "at" and hasattr(inputs[0], "_data"):  # NumPy does not look at the read-only flag
        raise TypeError(
            f"{name}.at: a tensor is a value and cannot be written to. Use mg.scatter, which is "
            f"differentiable and makes a new one"
        )
    if not engine.tracked([inputs, [*kwargs.values()]]):
        run = ufunc if method == "__call__" else getattr(ufunc, method)
        return _on_arrays(run, inputs, kwargs)
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
    raise TypeError(f"{name} does not work on tensors: {NO_RULE}. {WAY_OUT}")


# -- functions -------------------------------------------------------------------------------------


def call_function(function: Function, args: tuple[Any, ...], kwargs: Any) -> Any:
    """``np.sum(t)``, ``np.where(c, t, 0)``, ``np.concatenate([t, u])``."""
    known = NUMPY.get(function) or _on_demand(function)
    if known is not None:
        if len(args) == 1 and not kwargs:
            return NUMPY[np.nonzero](*args) if function is np.where else known(*args)
        order, taken = _order(function), _parameters(known)
        if len(args) <= len(order) and order[: len(args)] != taken[: len(args)]:
            kwargs = {**dict(zip(order, args, strict=False)), **kwargs}
            args = ()  # passed by name, because our order differs or we have fewer
        for key, value in kwargs.items():
            if key not in taken or value is np._NoValue:
                return _with_settings(known, function, args, kwargs)
        return known(*args, **kwargs)
    if function in PLAIN or not engine.tracked([args, [*kwargs.values()]]):
        return _on_arrays(function, args, kwargs)
    raise TypeError(f"{_name(function)} does not work on tensors: {reason(function)}. {WAY_OUT}")


def reason(function: Function) -> str:
    """Why a function is refused."""
    if function.__module__ == "numpy.fft":  # not in the table: NumPy loads these on demand, too
        return "np.roll does the same" if function.__name__.endswith("fftshift") else COMPLEX
    return REASONS.get(function, NO_RULE)


def _with_settings(known: Function, function: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """Our function with these arguments, or NumPy's if ours lacks one and nothing is tracked."""
    try:
        given = _supported(function, _parameters(known), kwargs)
    except TypeError:
        if engine.tracked([args, [*kwargs.values()]]):
            raise
        return _on_arrays(function, args, kwargs)
    return known(*args, **given)


def _on_arrays(function: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """What NumPy gives for the arrays behind the tensors. Raises TypeError to write into one."""
    written = kwargs.get("out", args[0] if REASONS.get(function) is IN_PLACE else None)
    for one in written if isinstance(written, tuple) else (written,):
        if engine.constant(one) is not one:
            raise TypeError(f"{_name(function)} does not work on tensors: {IN_PLACE}")
    return function(*map(_shown, args), **{k: _shown(v) for k, v in kwargs.items()})


def _shown(value: Any) -> Any:
    """The arrays behind tensors, read-only: np.ix_ hands out views of them."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_shown, value))
    plain = engine.constant(value)
    if plain is not value:
        plain = plain.view()
        plain.flags.writeable = False
    return plain


@functools.cache
def _order(function: Function) -> tuple[str, ...]:
    """NumPy's order of the arguments; empty if it takes any number, or has no signature."""
    import inspect  # slow to import, and rarely needed

    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function in C, before NumPy 2.4
        return ()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return ()
    return tuple([p.name for p in parameters if p.kind is not p.VAR_KEYWORD])


def _supported(function: Function, taken: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that our function takes. Raises TypeError for others that ask for something."""
    found = {}
    for key, value in given.items():
        ours = key if key in taken else RENAMED.get(key, key)
        if value is np._NoValue or (ours not in taken and _says_nothing(key, value)):
            continue
        if ours not in taken:
            remedy = INSTEAD.get(key, "leave it out")
            raise TypeError(
                f"{_name(function)}: the argument {key}= is not supported for tensors; {remedy}"
            )
        found[ours] = value
    return found


def _says_nothing(name: str, value: Any) -> bool:
    """Whether an argument that we do not have has a value that changes nothing."""
    if value is None or name in IGNORED:
        return True
    usual: tuple[Any, ...] = USUAL.get(name, ())
    return any(value is one or (isinstance(one, str) and value == one) for one in usual)


@functools.cache
def _parameters(function: Any) -> tuple[str, ...]:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _name(function: Function) -> str:
    if isinstance(function, np.ufunc) and getattr(np, function.__name__, None) is not function:
        return function.__name__  # of SciPy, or the user's own
    module = getattr(function, "__module__", None) or "numpy"  # ufuncs may have none
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)
