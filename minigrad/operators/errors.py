"""Messages for calls that fail: the operator, what it expected, what it got, and a remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minigrad.operators.declare import Operator

#: Errors that wrong arguments may cause. FloatingPointError is not one of them: it is raised only
#: for those who ask NumPy for it, and passed on unchanged.
FAILURES = (
    ValueError, TypeError, LookupError, AttributeError, ZeroDivisionError, OverflowError,
    AssertionError, RecursionError, MemoryError,
)  # fmt: skip

#: Classes in which an error is raised again with a longer message, the special ones first. NumPy's
#: own subclasses of TypeError are missing, because they cannot be made from a message.
_KINDS = (np.exceptions.AxisError, np.linalg.LinAlgError, TypeError, IndexError, MemoryError)
UNFIT = "these arguments do not fit together: "
#: Errors that speak of our code rather than of the call: by their class, and by their text.
_INSIDE = (AttributeError, KeyError, AssertionError, ZeroDivisionError, RecursionError)
_WORDS = (
    r"object|iterable|subscriptable|unpack|unsupported operand|not supported between|indices must|"
    r"(?:tuple|list) index|unhashable|must be real number|argument must be"
)


def explain(
    op: Operator, arrays: list[Any], metadata: Mapping[str, Any], error: Exception, where: str
) -> Exception:
    """The same kind of exception, with the operator, its module (``where``) and the shapes."""
    pairs = zip(op.params, arrays, strict=False)
    given: dict[str, Any] = {k: v for k, v in pairs if v is not None}
    if op.variadic:
        given = {op.params[0]: arrays}
    shapes: list[tuple[int, ...]] = [getattr(a, "shape", ()) for a in arrays if a is not None]
    text, advice = "", ""
    if op.name == "matmul" and len(shapes) == 2 and isinstance(error, ValueError):
        text, advice = _matmul(*shapes)
    elif "broadcast" in str(error) and len(shapes) == 2 and "axis -" not in str(error):
        text, advice = _broadcast(*shapes)
    return refusal(op.shown, op.declared, {**given, **metadata}, error, where, text, advice)


def refusal(
    name: str,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    error: Exception,
    where: str = "",
    text: str = "",
    advice: str = "",
) -> Exception:
    """The error of a call as a TypeError, ValueError or similar, with the name and the arguments.

    The annotations of ``function`` tell what each argument may be.
    """
    where, said = where or name, str(error).partition(" (got ")[0]
    if refused := _not_of_the_signature(function, error):
        return TypeError(f"{where}: {refused}")
    got = ", ".join(f"{k}={_describe(v)}" for k, v in given.items())
    got = f" (got {got})" if got else ""
    if not text and said.startswith((f"{name}: ", f"{name} in ")) and "gufunc" not in said:
        head = where if where != name else said.partition(": ")[0]
        told = any(k in said for k in given) and said == str(error)
        return _kind(error)(f"{head}: {said.partition(': ')[2]}{'' if told else got}")
    if error.__cause__ is not None:  # an operator that this one calls has reported it already
        said = re.sub(r"^[\w.]+(?: in [\w.]+)?: ", "", said).removeprefix(UNFIT)
    wrong = _misfit(function, given)
    words = isinstance(error, (TypeError, IndexError)) or "unpack" in said
    inside = isinstance(error, _INSIDE) or (words and re.search(_WORDS, said))
    if not text and wrong:
        text = wrong
    elif not text and inside:
        text = f"{UNFIT}{said}"
    return _kind(error)(f"{where}: {text or said}{got}{advice}")


def bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, as far as they fit."""
    import inspect  # slow to import, and rarely needed

    try:
        return dict(inspect.signature(function).bind_partial(*args, **kwargs).arguments)
    except TypeError:
        return {**{f"argument {i}": v for i, v in enumerate(args, 1)}, **kwargs}


def unknown(key: str, params: Sequence[str]) -> str:
    """What to say of an argument that a function does not take: the name meant, or all names.

    >>> unknown("kernal_size", ["in_channels", "kernel_size"])
    "unknown argument 'kernal_size'; did you mean 'kernel_size'?"
    >>> unknown("colour", ["in_channels", "kernel_size"])
    "unknown argument 'colour'; it takes in_channels, kernel_size"
    """
    import difflib  # slow to import, and rarely needed

    near = difflib.get_close_matches(key, params, n=1)
    rest = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(params) or 'none'}"
    return f"unknown argument {key!r}; {rest}"


def with_article(word: str) -> str:
    """A name in a sentence.

    >>> with_article("int"), with_article("ndarray"), with_article("list")
    ('an int', 'an ndarray', 'a list')
    """
    return f"{'an' if word[0] in 'AEIOUaeiou' or word == 'ndarray' else 'a'} {word}"


def _not_of_the_signature(function: Callable[..., Any], error: Exception) -> str:
    """What to say of a call that Python refused, because its arguments are not those; else ""."""
    said = str(error)
    text = said.removeprefix(f"{getattr(function, '__qualname__', '')}() ")
    if not isinstance(error, TypeError) or text == said:
        return ""
    import inspect  # slow to import, and rarely needed

    known = [p for k, p in inspect.signature(function).parameters.items() if k != "self"]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_position = [p.name for p in known if p.kind in places]
    quoted = re.findall(r"'(\w+)'", text)
    if text.startswith("got an unexpected keyword"):
        return unknown(quoted[0], [p.name for p in known])
    if text.startswith("got multiple values"):
        return f"got {quoted[0]!r} twice, by its place and by its name"
    if text.startswith("missing"):
        return f"missing argument {' and '.join(map(repr, quoted))}"
    if too_many := re.search(r"but (\d+)", text):
        bound_to = "self" in inspect.signature(function).parameters
        by_name = [p.name for p in known if p.kind is p.KEYWORD_ONLY]
        names = f" ({', '.join(by_position)})" if by_position else ""
        rest = f"; write {', '.join(f'{name}=' for name in by_name)} by name" if by_name else ""
        most = f"{len(by_position) or 'no'} argument{'s' * (len(by_position) != 1)}"
        return f"takes {most} by place{names}, got {int(too_many[1]) - bound_to}{rest}"
    return ""


def _kind(error: Exception) -> type[Exception]:
    """The class to raise an error again in."""
    if isinstance(error, IndexError) and "index out of range" in str(error):
        return ValueError  # the index of a tuple in our code, not of an array
    if isinstance(error, AttributeError):
        return TypeError
    if isinstance(error, MemoryError) and _beyond_any_memory(error):
        return ValueError
    return next((kind for kind in _KINDS if isinstance(error, kind)), ValueError)


def _beyond_any_memory(error: MemoryError) -> bool:
    """Whether the size is so large that it must be a mistake, rather than memory too small."""
    shape: Any = getattr(error, "shape", None)
    dtype: Any = getattr(error, "dtype", None)
    return shape is None or math.prod(shape) * dtype.itemsize > 1 << 47


# -- what an argument may be -----------------------------------------------------------------------


def _is(*kinds: type) -> Callable[[Any], bool]:
    """Of one of these kinds, or an array or a tensor."""
    return lambda value: isinstance(value, kinds) or getattr(value, "dtype", None) is not None


def _is_whole(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(value, int) or (isinstance(dtype, np.dtype) and dtype.kind in "biu")


def _are_whole(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, (tuple, list)) and all(map(_is_whole, value)))


_an_array = (_is(bool, int, float, complex, list, tuple), "an array")
_ints = (_are_whole, "an int or a tuple of ints")
#: For an annotation: what fits, and how to say so.
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_whole, "an int"),
    "bool": (_is_whole, "True or False"),
    "float": (_is(int, float, np.number), "a number"),
    "str": (lambda value: isinstance(value, str), "a string"),
    "Axis": _ints,
    "tuple[int, ...]": (_are_whole, "a tuple of ints"),
    "int | tuple[int, ...]": _ints,
    "tuple[int, int]": (
        lambda v: isinstance(v, (tuple, list)) and len(v) == 2 and _are_whole(v),
        "a pair of ints",
    ),
    "Array": _an_array,
    "ArrayLike": _an_array,
    "Sequence[Array]": (lambda value: hasattr(value, "__len__"), "a list of arrays"),
}


def _misfit(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """The first argument that is not what its annotation says; empty when all are."""
    import inspect  # slow to import, and rarely needed

    for name, parameter in inspect.signature(function).parameters.items():
        hint = str(parameter.annotation)
        optional = parameter.default is None or hint.endswith(" | None")
        form = _FORMS.get(hint.removesuffix(" | None"))
        many = parameter.kind is parameter.VAR_POSITIONAL  # none of which may be meant
        needed = hint == "Array" and parameter.default is parameter.empty and not many
        if needed and name not in given:
            return f"missing argument {name!r}"
        if name not in given or form is None or (given[name] is None and optional):
            continue
        values = given[name] if many else [given[name]]
        for value in values:
            fits, words = form
            if not fits(value):
                return f"{name} must be {words}, got {_describe(value)}"
    return ""


def _describe(value: Any, depth: int = 0) -> str:
    """An argument in a few words: dtype and shape of an array, else its text, cut short."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype):
        return f"{dtype} {value.shape}"
    if isinstance(value, (list, tuple)) and depth < 3:
        few = [_describe(one, depth + 1) for one in value[:4]]
        text = ", ".join(few + ["..."] * (len(value) > 4))
        return f"[{text}]" if isinstance(value, list) else f"({text}{',' * (len(value) == 1)})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (of the user's own class)
        text = f"an object of {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


# -- shapes ----------------------------------------------------------------------------------------


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[str, str]:
    pairs = enumerate(zip(a[::-1], b[::-1], strict=False), 1)
    axis = next((-i for i, (m, n) in pairs if m != n and 1 not in (m, n)), None)
    if axis is None:
        return "", ""
    return (
        f"shapes {a} and {b} do not broadcast: axis {axis} has {a[axis]} and {b[axis]}",
        ". Lengths must be equal or 1, counted from the last axis; reshape one, e.g. x[..., None]",
    )


def _matmul(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[str, str]:
    if not a or not b:
        return "expected at least one axis on both sides", ". Use * to scale by a number"
    inner = b[-2:][0]
    if a[-1] == inner:
        return f"the leading axes of {a} and {b} do not broadcast", ""
    hint = ". Transpose one of them?" if a[-1] in b or inner in a else ""
    return f"expected (..., n, k) @ (..., k, m), but k is {a[-1]} and {inner}", hint
