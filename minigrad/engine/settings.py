"""Checks of arguments: kinds from the annotations of a function, ranges from its decorator.

``@checked(eps="[0, inf)")`` refuses, before the function runs, whatever an annotation does not
allow (a boolean where a number belongs, a string where a flag does, NaN anywhere) and numbers
outside the range. So the signature that people read is also what is enforced.
"""

from __future__ import annotations

import functools
import math
import opcode
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from types import MethodType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from minigrad.operators.declare import other_spelling
from minigrad.operators.errors import bound, refusal, with_article

F = TypeVar("F", bound=Callable[..., Any])

#: The value does not suit this kind.
UNFIT: Any = object()
#: The bytecode of a ``raise`` statement: it tells errors that we raise from those of NumPy.
RAISE = opcode.opmap["RAISE_VARARGS"]


# No named tuples here: they are slow to make, and every import of minigrad would wait for them.


class Kind:
    """What one alternative of an annotation allows: in words, and as a function of the value.

    The function returns the value as a plain Python one, or ``UNFIT``.
    """

    def __init__(
        self,
        words: str,
        take: Callable[[Any], Any],
        choices: bool = False,
        length: int | None = None,
    ) -> None:
        self.words, self.take = words, take
        self.choices, self.length = choices, length


class Interval:
    """A range as mathematics writes it, such as "(0, 1]"; the text is shown in messages.

    >>> Interval("(0, 1]").holds(0), Interval("(0, 1]").holds(1)
    (False, True)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.low, self.high = (float(end) for end in text[1:-1].split(","))
        self.open_low, self.open_high = text[0] == "(", text[-1] == ")"

    def holds(self, value: float) -> bool:
        """Whether a number lies inside."""
        low = self.low < value if self.open_low else self.low <= value
        return low and (value < self.high if self.open_high else value <= self.high)

    def words(self) -> str:
        """The range as a message says it."""
        if self.text == "[0, 1]":
            return "between 0 and 1"
        low = f"{self.low:g}"
        if self.text == "[0, inf)":
            return "0 or more"
        if self.high == math.inf and self.open_high and self.low > -math.inf:
            return f"above {low}" if self.open_low else f"at least {low}"
        return "finite" if self.text == "(-inf, inf)" else f"in {self.text}"


def checked(**ranges: str) -> Callable[[F], F]:
    """Decorate a function so that it refuses arguments its annotations and ranges do not allow.

    A range is an interval for numbers, and "floating" for a dtype. It may also stand beside the
    kind, as in ``p: Annotated[float, "[0, 1]"]``. Raises TypeError for values of another kind,
    ValueError for NaN, numbers out of range, and sizes that no memory can hold.

    >>> @checked(p="[0, 1]")
    ... def drop(p: float) -> float:
    ...     return p
    >>> drop(True)
    Traceback (most recent call last):
    TypeError: drop: p must be a number, got True
    """

    def decorate(f: F) -> F:
        of_class = f.__name__ in ("__init__", "__call__")
        allowed = {**ranges, **_annotated(f)}
        rules: dict[str, Rule] = {}
        names: list[str] = []

        @functools.wraps(f)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not names:  # at the first call, when every name of the annotations is defined
                rules.update(_rules(f, allowed))
                names.extend(f.__code__.co_varnames[: f.__code__.co_argcount])
            name = type(args[0]).__name__ if of_class else f.__name__
            given = [
                rules[key](name, value) if key in rules else value
                for key, value in zip(names, args, strict=False)
            ]
            given += args[len(given) :]
            for key, value in kwargs.items():
                if key in rules:
                    kwargs[key] = rules[key](name, value)
            try:
                return f(*given, **kwargs)
            except FAILURES as error:
                spelled = other_spelling(name, f, kwargs, error)
                if spelled is not None:
                    return call(*args, **spelled)
                told = _told(name, call, tuple(given), kwargs, error)
                if told is error:
                    raise
                raise told from error

        return call  # type: ignore[return-value]

    return decorate


class Rule:
    """The check of one argument."""

    def __init__(self, what: str, kinds: list[Kind], allowed: str, default: Any) -> None:
        self.what = what
        self.kinds = kinds
        self.default = default
        self.floating = allowed == "floating"
        self.range = Interval(allowed) if allowed and not self.floating else None

    def __call__(self, name: str, value: Any) -> Any:
        """Check the value and return it, a number as a Python number."""
        for kind in self.kinds:
            taken = kind.take(value)
            if taken is not UNFIT:
                break
        else:
            words = " or ".join(dict.fromkeys(kind.words for kind in self.kinds))
            if isinstance(value, str) and any(kind.choices for kind in self.kinds):
                raise ValueError(f"{name}: {self.what} must be {words}, got {value!r}")
            long = len(value) if isinstance(value, (tuple, list)) else None
            lengths = [kind.length for kind in self.kinds if kind.length is not None]
            wrong = ValueError if lengths and long not in (None, *lengths) else TypeError
            hint = (
                "; a shape is one tuple"
                if self.kinds == [DTYPE] and _whole_number(value) is not UNFIT
                else ""
            )
            if SIMPLE[float] in self.kinds and getattr(value, "shape", None) == ():
                hint = "; no gradient flows through a setting, pass .item() to leave the graph"
            if isinstance(value, type) and with_article(value.__name__) != words:
                hint = f"; write {value.__name__}()"
            if isinstance(value, MethodType):
                hint = f"; call it, {value.__name__}()"
            if hasattr(value, "named_parameters"):  # a model
                hint = {
                    "parameters": "; write model.parameters()",
                    "params": "; write dict(model.named_parameters())",
                }.get(self.what, hint)
            raise wrong(f"{name}: {self.what} must be {words}, got {_short(value)}{hint}")
        if kind is DTYPE:
            if self.floating and value is not None and np.dtype(value).kind != "f":
                raise TypeError(
                    f"{name}: {self.what} must be floating-point, such as np.float32, got {value!r}"
                )
            return self.default if value is None else value
        for number in _numbers_in(taken):
            if isinstance(number, float) and math.isnan(number):
                raise ValueError(f"{name}: {self.what} must be a number, got NaN")
            if self.range is not None and not self.range.holds(number):
                raise ValueError(
                    f"{name}: {self.what} must be {self.range.words()}, got {_short(value)}"
                )
        return taken


def entries(name: str, state: Any, *keys: str) -> None:
    """Raise TypeError unless a saved state is a dict, ValueError unless it has these entries."""
    if not isinstance(state, dict):
        raise TypeError(f"{name}: expected what state_dict() returned, got {_short(state)}")
    missing = [key for key in keys if key not in state]
    if missing:
        raise ValueError(
            f"{name}: expected what state_dict() returned, a dict with {', '.join(keys)}; the "
            f"state has no {', '.join(missing)}, its keys are {_short([*state])}"
        )


# -- kinds -----------------------------------------------------------------------------------------


def _whole_number(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return UNFIT
    try:
        return operator.index(value)
    except (TypeError, ValueError):
        return UNFIT


def _real_number(value: Any) -> Any:
    if isinstance(value, (float, int)) and not isinstance(value, (bool, np.generic)):
        return value
    # As a Python number, because NumPy's float64, or an array or tensor of it, would widen float32.
    array: Any = value
    single = getattr(value, "shape", None) == () and hasattr(value, "item")
    if not single or array.dtype.kind not in "fiu":
        return UNFIT
    try:
        return float(array) if array.dtype.kind == "f" else int(array)
    except TypeError:  # a tensor that a tape or a derivative follows
        return UNFIT


def _dtype(value: Any) -> Any:
    try:
        return value if np.dtype(value).kind in "fiubc" else UNFIT
    except Exception:  # noqa: BLE001 (NumPy raises several kinds of them)
        return UNFIT


DTYPE = Kind("a numeric dtype", _dtype)

SIMPLE: dict[Any, Kind] = {
    NoneType: Kind("None", lambda v: v if v is None else UNFIT),
    bool: Kind("True or False", lambda v: bool(v) if isinstance(v, (bool, np.bool_)) else UNFIT),
    int: Kind("an int", _whole_number),
    float: Kind("a number", _real_number),
    str: Kind("a string", lambda v: v if isinstance(v, str) else UNFIT),
}


FUNCTION = Kind("a function", lambda v: v if callable(v) else UNFIT)
GENERATOR = [
    SIMPLE[NoneType],
    Kind(
        "a np.random.Generator",
        # Importing numpy.random takes 10 ms.
        lambda v: (
            v
            if type(v).__module__.startswith("numpy.random") and isinstance(v, np.random.Generator)
            else UNFIT
        ),
    ),
]


class _DType:
    """Stands for ``DTypeLike``, which is slow to import, so few modules have it at run time."""


def _kinds(meant: Any) -> list[Kind] | None:
    """What this annotation allows; None if it cannot be checked."""
    meant = NoneType if meant is None else meant
    if meant is _DType:
        return [DTYPE]
    if meant in SIMPLE:
        return [SIMPLE[meant]]
    origin, parts = get_origin(meant), get_args(meant)
    if origin is Literal:
        words = " or ".join(map(repr, parts))
        return [Kind(words, lambda v: v if isinstance(v, str) and v in parts else UNFIT, True)]
    if origin in (Union, UnionType):
        alternatives = [_kinds(part) for part in parts]
        # Unless one of them can be anything.
        return None if None in alternatives else [k for kinds in alternatives for k in kinds or ()]
    if origin is tuple:
        return _tuple_of(parts)
    kind = origin or meant
    if (
        kind is Any
        or not isinstance(kind, type)
        or (getattr(kind, "_is_protocol", False) and origin is None)
    ):
        return None
    if kind.__module__ == "collections.abc" and hasattr(kind, "__iter__"):
        return [_iterable(kind, parts)]
    if kind is list:
        return [_iterable(kind, parts)]
    if kind.__module__ == "collections.abc":
        return [FUNCTION]
    words = with_article(kind.__name__)
    return [Kind(words, lambda v: v if isinstance(v, kind) else UNFIT)]


def _tuple_of(parts: tuple[Any, ...]) -> list[Kind] | None:
    """A tuple, or a list instead of it, of these kinds."""
    any_length = parts[-1] is Ellipsis
    each = [_kinds(part) for part in parts if part is not Ellipsis]
    length = "several" if any_length else str(len(each))

    def take(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or (not any_length and len(value) != len(each)):
            return UNFIT
        taken: list[Any] = []
        for i, one in enumerate(value):
            kinds = each[0 if any_length else i]
            options = [one] if kinds is None else [k.take(one) for k in kinds]
            good = [option for option in options if option is not UNFIT]
            if not good:
                return UNFIT
            taken.append(good[0])
        return tuple(taken)

    inner = " or ".join(kind.words for kind in each[0] or ())
    words = f"a tuple of {length} values" + (f", each {inner}" if inner else "")
    return [Kind(words, take, length=None if any_length else len(each))]


def _iterable(kind: type, parts: tuple[Any, ...]) -> Kind:
    """An iterable. Numbers, strings and functions inside lists and tuples are checked, too."""
    mapping = hasattr(kind, "keys")
    inner = (_kinds(parts[0]) or []) if len(parts) == 1 else []
    if not all(one is FUNCTION or one in SIMPLE.values() for one in inner):
        inner = []

    def take(value: Any) -> Any:
        if isinstance(value, (str, bytes)) or (mapping and not isinstance(value, kind)):
            return UNFIT
        if isinstance(value, dict) and kind in (list, Sequence):
            return UNFIT
        # To Python an array is not a Sequence, and a 0-d array cannot be iterated over.
        shape = getattr(value, "shape", None)
        if shape == () or not hasattr(value, "__iter__"):
            return UNFIT
        looked_at: Any = value if inner and (shape or isinstance(value, (list, tuple))) else ()
        if any(all(k.take(one) is UNFIT for k in inner) for one in looked_at):
            return UNFIT
        return looked_at.tolist() if inner and shape and kind is list else value

    words = with_article(kind.__name__.lower())
    return Kind(f"{words} of which each is {inner[0].words}" if inner else words, take)


# -- annotations -----------------------------------------------------------------------------------


def _annotated(f: Callable[..., Any]) -> dict[str, str]:
    """The ranges in annotations, which then hold the kinds alone, as people are to read them."""
    found: dict[str, str] = {}
    # Python keeps annotations as text, with single quotes: "Annotated[float, '[0, 1]']".
    for name, text in f.__annotations__.items():
        if isinstance(text, str) and text.startswith("Annotated["):
            kind, _, found[name] = text[len("Annotated[") : -len("']")].partition(", '")
            f.__annotations__[name] = kind
    return found


def _rules(f: Callable[..., Any], ranges: dict[str, str]) -> dict[str, Rule]:
    import inspect  # slow to import

    found: dict[str, Rule] = {}
    for name, parameter in inspect.signature(f).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.annotation is parameter.empty:
            continue
        # The annotation of a generator is often Any, because its class is imported late.
        kinds = GENERATOR if name == "generator" else _kinds(_meant(parameter.annotation, f))
        if kinds is not None:
            found[name] = Rule(name, kinds, ranges.get(name, ""), parameter.default)
    unused = set(ranges) - set(found)
    if unused:
        raise TypeError(f"checked: {f.__qualname__} has no checked argument {', '.join(unused)}")
    return found


def _meant(annotation: Any, f: Callable[..., Any]) -> Any:
    """The annotation, evaluated where the function is defined; Any for a name unknown there."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, f.__globals__, {"DTypeLike": _DType})  # noqa: S307 (our own source)
    except NameError:  # imported for type checkers only
        return Any


def _numbers_in(taken: Any) -> Iterator[Any]:
    if isinstance(taken, (tuple, list)):
        for one in taken:
            yield from _numbers_in(one)
    elif isinstance(taken, (int, float)) and not isinstance(taken, bool):
        yield taken


#: Errors that wrong arguments may cause.
FAILURES = (
    ValueError, TypeError, LookupError, AttributeError, ZeroDivisionError, OverflowError,
    MemoryError,
)  # fmt: skip
#: The beginning of a message that says where it comes from.
NAMED = r"[\w.]+( in [\w.]+)?( \(\w+\))?: "


def _told(
    name: str,
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception,
) -> Exception:
    """The error to raise: the same if it is the user's or names its origin, else one that does."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    home = str(last and last.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    if last is None or home not in ("minigrad", "numpy"):
        return error  # raised in a function of the user's
    if home == "minigrad" and last.tb_frame.f_code.co_code[last.tb_lasti] == RAISE:
        text = str(error.args[0]) if error.args else ""
        told = re.sub("^[Tt]ensor: ", "", text)
        if isinstance(error, (ValueError, TypeError)) and not re.match(NAMED, told):
            error.args = (f"{name}: {told}",)
        return error
    given = bound(f, args, kwargs)
    given.pop("self", None)
    found = refusal(name, f, given, error)
    return ValueError(*found.args) if isinstance(error, (MemoryError, LookupError)) else found


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (it is only for a message)
        text = type(value).__name__
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and math.prod(shape) > 8:
        return f"{type(value).__name__} of shape {shape}"
    return text if len(text) <= 80 else f"{text[:77]}..."
