"""How an operator is declared: its value, its rules, its domain and its samples in one place.

A declaration is pure NumPy and knows nothing of tensors. The engine reads it to run the operator,
the backward pass reads it to find the rules, and the tests read it to check every rule against
finite differences. So every operator is tested as soon as it is declared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from minigrad.lazy import load_late
from minigrad.operators.domain import PAIRS, SHAPES, Domain, Sample, anywhere, sample
from minigrad.operators.errors import FAILURES, bound, refusal

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")

#: An ndarray inside an operator or a rule; anything array-like where the public function is called.
Array: TypeAlias = Any
Axis: TypeAlias = int | tuple[int, ...] | None
#: A rule: the cotangent, the output, the inputs, and metadata by name. With the numbers of
#: parameters written out, type checkers know those of a lambda.
Rule: TypeAlias = (
    Callable[[Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any, Any], Any]
    | Callable[..., Any]
)

#: What a rule asks of an array, the most demanding first.
KEEP, SHAPE_ONLY, UNUSED = 0, 1, 2


class Declared:
    """A differentiable function, with what the tests compare it with, and where."""

    reference: Callable[..., Any] | None
    domains: tuple[Domain, ...]
    samples: Sequence[Sample]


class Operator(Declared):
    """What the engine knows of an operator.

    ``rules[i]`` gives the cotangent of input ``i``: ``rule(g, ans, *inputs, **metadata)``, with
    ``g`` the cotangent of the output and ``ans`` the output. A parameter whose name starts with
    an underscore (``_x``) says that the rule needs only the shape and dtype of that array, so the
    engine does not keep it; a rule that ends in ``*_`` needs nothing of what follows. A rule runs
    twice without change: on plain arrays for a first derivative, on tensors (and is then recorded)
    for the higher ones. It returns a new array and never writes into what it is given.

    ``vjp_all``, where it is given, takes the place of the single rules: ``vjp_all(g, wanted, ans,
    *inputs, **metadata)`` gives a list, the cotangents of the inputs with the indices ``wanted``.
    ``rules`` then only tell which inputs have a derivative.

    ``numbers``: "real" refuses complex numbers; "inexact" computes in float64 if all inputs are
    integers or booleans; "float" does both.

    ``spends``: the rule hands ``g`` to a kernel that may, as an exception, write over it.
    """

    vjp_all: Rule | None

    saves_x: tuple[bool, ...] | None
    saves_y: tuple[bool, ...] | None
    saves_both: tuple[bool, ...] | None

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        rules: Sequence[Rule | None],
        params: tuple[str, ...],
        *,
        vjp_all: Rule | None = None,
        variadic: bool = False,
        view: bool = False,
        spends: bool = False,
        numbers: str = "",
        declared: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.shown = RUN_BY.get(name, name)
        self.forward = forward
        self.numbers = numbers
        self.declared = declared or forward
        self.rules = tuple(rules)
        self.arity = len(self.rules)
        self.params = params
        self.vjp_all = vjp_all
        self.variadic = variadic
        self.view = view
        self.spends = spends
        self.rules_for_one = self.arity == 1 and not variadic and self.rules[0] is not None
        self._saves: dict[tuple[bool, ...], tuple[int, ...]] = {}

    def __getattr__(self, name: str) -> tuple[bool, ...] | None:
        """What operators of one and two inputs save, worked out when it is first asked for.

        For the engine's short paths: (save the output, save x, save y), or None for nothing.
        """
        which = {"saves_x": (True, False), "saves_y": (False, True), "saves_both": (True, True)}
        if name not in which:
            raise AttributeError(name)
        uses = tuple(use == KEEP for use in self.saves(which[name][: self.arity]))
        found = uses if True in uses else None
        setattr(self, name, found)
        return found

    def saves(self, tracked: tuple[bool, ...]) -> tuple[int, ...]:
        """What to save of (output, input 0, input 1, ...) when just these inputs are tracked.

        Empty when none of the tracked inputs has a rule: the output is then a constant.
        """
        found = self._saves.get(tracked)
        if found is None:
            count = 1 + len(tracked)
            if self.vjp_all is not None:
                wanted = [_rule_saves(self.vjp_all, count, skip=2)] if any(tracked) else []
            else:
                asked = [rule for rule, needed in zip(self.rules, tracked) if needed and rule]
                wanted = [_rule_saves(rule, count, skip=1) for rule in asked]
            found = self._saves[tracked] = tuple(min(uses) for uses in zip(*wanted, strict=True))
        return found

    def __repr__(self) -> str:
        return f"<operator {self.name}>"


HALF = np.dtype(np.float16)


def _widened(arrays: Sequence[Any]) -> list[Any] | None:
    """The arrays and tensors with float32 in place of float16; None where there is no float16."""
    for x in arrays:
        if getattr(x, "dtype", None) == HALF:
            break
    else:
        return None
    return [
        x.astype(np.float32) if getattr(x, "dtype", None) == HALF and hasattr(x, "astype") else x
        for x in arrays
    ]


def _in_float32(function: Callable[..., Any], *, rounded: bool) -> Callable[..., Any]:
    """The function on float32 in place of float16. What a rule gives is rounded by the engine."""

    def wide(*arrays: Any, **metadata: Any) -> Any:
        widened = _widened(arrays)
        if widened is None:
            return function(*arrays, **metadata)
        if not rounded:
            return function(*widened, **metadata)
        dtype = np.result_type(*[x for x in arrays if x is not None])
        with np.errstate(over="ignore"):
            return function(*widened, **metadata).astype(dtype, copy=False)

    vars(wide)["__wrapped__"] = function
    return wide


def _rule_saves(rule: Rule, count: int, skip: int) -> list[int]:
    """What the rule asks of (output, inputs...): the array, or only its shape, or nothing."""
    code = getattr(rule, "__wrapped__", rule).__code__
    names = list(code.co_varnames[skip : code.co_argcount])
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & 4 else "_"
    names = names[:count] + [rest] * (count - len(names))
    return [
        UNUSED if name == "_" else SHAPE_ONLY if name.startswith("_") else KEEP for name in names
    ]


OPERATORS: dict[str, Operator] = {}

#: Operators of which people know only the function that runs them, by whose name they are shown.
RUN_BY = {
    "binary_cross_entropy_of_each": "binary_cross_entropy",
    "euclidean_norm": "norm",
    "gelu_tanh": "gelu",
    "index_cross_entropy": "cross_entropy",
    "logistic_loss": "binary_cross_entropy_with_logits",
    "p_norm": "norm",
    "power_constant": "power",
}


def operator_of(function: Callable[..., Any]) -> Operator:
    """The operator that a public function runs."""
    return OPERATORS[function.__name__]


#: What each NumPy function becomes when it is called with a tensor.
NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}


class engine:
    """Functions of the engine, which it sets when it is imported: operators do not import it.

    They are attributes of the class, where Python finds them faster than in an instance.
    """

    record: Callable[[Operator, tuple[Any, ...], dict[str, Any]], Tensor]
    as_tensor: Callable[[Any], Any]
    constant: Callable[[Any], Any]
    run: Callable[[Operator, tuple[Any, ...], dict[str, Any]], Tensor]
    binary: Callable[[Operator, Any, Any], Tensor]
    #: A function without a derivative is called with these arguments.
    note_detached: Callable[[str, tuple[Any, ...]], None]
    #: The name of a function and the module that calls it, as messages begin: "linear in head".
    in_module: Callable[[str], str]
    #: The tracked tensors in a value, also inside tuples and lists, while anything is recorded.
    tracked: Callable[[Any], list[Any]]
    #: A number smaller than that of any later operation.
    now: Callable[..., int]
    #: Whether a tensor, or one in a nested result, was made from another one since that number.
    made_from: Callable[[Any, Any, int], bool]


def lost(name: str, argument: str) -> str:
    """What to say of a tracked tensor that would get no gradient."""
    return (
        f"{name}: {argument}= is a setting, through which no gradient flows, and a tracked tensor "
        f"was given. Leave the graph on purpose with .item() or .detach(), or write the formula "
        f"with other operators"
    )


#: Common types of settings that hold no tensors.
PLAIN: set[type] = {bool, int, float, str, np.ndarray, slice}

#: Former names of array arguments, still accepted beside NumPy's, and the position of each.
OLD_NAMES = {"x": 0, "arrays": 0, "blocks": 0, "y": 1}
#: The same of functions of polynomials.
OLD_POLYNOMIALS = {"p": 0, "q": 1}
#: Former names of settings, still accepted, and the present ones.
OLD_SETTINGS = {"otherwise": "fill_value"}


def with_numpys_names(
    name: str, params: Sequence[str], arrays: int, given: dict[str, Any]
) -> dict[str, Any]:
    """Keyword arguments with former names, and PyTorch's, replaced by the present ones."""
    if given.keys() <= {*params}:
        return given
    places = {**OLD_NAMES, **OLD_POLYNOMIALS} if params[:1] == ("a1",) else OLD_NAMES
    old = {k: params[i] for k, i in places.items() if i < min(arrays, len(params))}
    old.update({k: new for k, new in OLD_SETTINGS.items() if new in params})
    given = {k if k in params else old.get(k, k): v for k, v in given.items()}
    if given.keys() <= {*params}:
        return given
    known: dict[str, Any] = load_late("minigrad.spellings").arguments(name, params, given, arrays)
    return known


def _documented() -> None:
    """A function that is only documented: it has the bytecode of all of them."""


def _is_body(function: Callable[..., Any]) -> bool:
    """Whether this function computes; one that has only a docstring gives a signature."""
    return cast("FunctionType", function).__code__.co_code != _documented.__code__.co_code


def by_name(numpy: Callable[..., Any], like: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function with the signature of ``like``.

    Settings are passed by name, because NumPy's function may have others between them.
    """
    params = _parameters(like)
    arrays = len(params) - len(like.__defaults__ or ())
    # Names are taken also where the signature says, as NumPy's, that there are only places.
    code = cast("FunctionType", like).__code__.replace(co_posonlyargcount=0)
    fits = FunctionType(code, {}, like.__name__, like.__defaults__)
    fits.__qualname__, fits.__kwdefaults__ = like.__qualname__, like.__kwdefaults__

    def forward(*args: Any, **named: Any) -> Any:
        if named or len(args) != arrays:
            fits(*args, **named)  # computes nothing: Python refuses what does not fit
            named = {**dict(zip(params, args, strict=False)), **named}
            args = tuple([named.pop(k) for k in params[:arrays]])
        return numpy(*args, **named)

    return forward


def _aliases(numpy: Any) -> tuple[Any, ...]:
    return numpy if isinstance(numpy, tuple) else (numpy,)


def _enter(
    table: dict[str, Any],
    name: str,
    entry: Declared,
    public: Callable[..., Any],
    numpy: Any,
    arrays: int,
    domain: Domain | tuple[Domain, ...] = anywhere,
    samples: Sequence[Sample] = (),
    reference: Callable[..., Any] | None = None,
) -> None:
    """Write down a declaration: ``domain``, ``samples`` and ``reference`` are for the tests."""
    if name in table:
        raise ValueError(f"{name!r} is declared twice")
    table[name] = entry
    NUMPY.update((one, public) for one in _aliases(numpy) if one)
    entry.reference = reference or _aliases(numpy)[0]
    entry.domains = domain if isinstance(domain, tuple) else (domain,)
    entry.samples = tuple(samples or _usual_samples(arrays))


@functools.cache
def _usual_samples(arrays: int) -> list[Sample]:
    return PAIRS if arrays == 2 else [sample(*[shape] * arrays) for shape in SHAPES]


def operator(
    numpy: Any = None,
    *,
    vjp: Rule | Sequence[Rule | None] = (),
    vjp_all: Rule | None = None,
    arrays: int = 1,
    variadic: bool = False,
    view: bool = False,
    spends: bool = False,
    name: str | None = None,
    numbers: str = "",
    wide: bool = False,
    runs: Callable[..., Any] | None = None,
    rarely: Callable[..., Any] | None = None,
    **tested: Any,
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Declare a differentiable operator; the decorated function computes it in plain NumPy.

    One that has only a docstring gives the signature, and the NumPy function computes.

    ``numpy``: the NumPy function it stands for (several for aliases), also the tests' reference.
    ``vjp``: one rule per array argument (None where there is no derivative); the parameters that
    follow are metadata. ``vjp_all``, instead: one rule for all inputs, the first ``arrays`` of the
    parameters. ``variadic``: the first argument is a sequence of arrays, whose gradients
    ``vjp_all`` gives. ``view``: the output may share memory with its input.
    ``spends``: the rule only hands g to a kernel, which may write its result over it.
    ``tested``: ``domain`` and ``samples``, where the tests try it; and ``reference``, what they
    compare it with when no function of NumPy is named.
    ``numbers``: "real", "inexact" or "float"; see :class:`Operator`.
    ``wide``: float16 is computed in float32, forward and in the rules, and rounded at the end.
    ``rarely``: what runs where one of the keyword-only parameters is given, with the function
    itself first; it combines operators.
    ``runs``: the function that computes, if the decorated one only gives the signature.
    """
    rules: tuple[Rule | None, ...] = (vjp,) if callable(vjp) else tuple(vjp)
    if vjp_all is not None:
        rules = (vjp_all,) * arrays
    if wide:
        rules = tuple([rule and _in_float32(rule, rounded=False) for rule in rules])
    first = _aliases(numpy)[0]

    def declare(forward: Callable[P, Any]) -> Callable[P, Tensor]:
        label = name or forward.__name__.strip("_")
        # A ufunc called directly saves a Python frame on every elementwise operator (60 ns).
        written = _is_body(forward) and not isinstance(first, np.ufunc)
        computes = runs or (forward if written else first)
        if wide and not isinstance(computes, np.ufunc):
            computes = _in_float32(computes, rounded=True)
        op = Operator(
            label,
            computes,
            rules,
            _parameters(forward),
            vjp_all=None if vjp_all is None else rules[0],
            variadic=variadic,
            view=view,
            spends=spends,
            numbers=numbers,
            declared=forward,
        )
        _give_tensors(forward)

        @functools.wraps(forward)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            return engine.record(op, args, kwargs)

        public = call if rarely is None else _with_rare_settings(call, op, forward, rarely)
        _enter(OPERATORS, label, op, public, numpy, len(rules), **tested)
        return public

    return declare


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters, but for ``*args``."""
    code = cast("FunctionType", function).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _with_rare_settings(
    call: Callable[P, Tensor], op: Operator, forward: Callable[..., Any], other: Callable[..., Any]
) -> Callable[P, Tensor]:
    """The function of an operator that runs ``other`` where its settings by name ask for more."""
    rare = frozenset(cast("FunctionType", forward).__kwdefaults__ or ())
    op.params = op.params[: -len(rare)]

    @functools.wraps(forward)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not kwargs or rare.isdisjoint(kwargs):
            return engine.record(op, args, kwargs)
        try:
            return cast("Tensor", other(call, *args, **kwargs))
        except FAILURES as error:
            raise _refused(op.shown, forward, args, kwargs, error) from error

    return chosen


def _give_tensors(function: Callable[..., Any]) -> None:
    """Let ``help`` say that tensors come back: the function itself is written for arrays."""
    given = function.__annotations__
    given["return"] = str(given.get("return", "Array")).replace("Array", "Tensor")


class Composite(Declared):
    """A differentiable function that is written with other operators."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def dtypes_of(arrays: Iterable[Any]) -> set[Any]:
    """The dtypes of those that have one."""
    found = {getattr(x, "dtype", None) for x in arrays}
    return {dtype for dtype in found if isinstance(dtype, np.dtype)}


def weak(value: Any, dtypes: Iterable[Any]) -> Any:
    """The value; a Python number as an array of the dtype that it has beside those of these."""
    if type(value) in (bool, int, float) and dtypes:
        return np.asarray(value, np.result_type(value, *dtypes))
    return value


COMPOSITES: dict[str, Composite] = {}
CONSTANTS: dict[str, Callable[..., Any]] = {}


def composite(
    numpy: Any = None,
    *,
    arrays: int = 1,
    sequence: bool = False,
    name: str | None = None,
    numbers: str = "",
    wide: bool = False,
    runs: Callable[..., Any] | None = None,
    short: Callable[..., Any] | None = None,
    **tested: Any,
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Declare a function that needs no rule of its own: its body calls other operators.

    ``arrays``: how many of the first parameters are arrays (the rest is metadata).
    ``sequence``: the first parameter is a sequence of arrays. ``short`` is tried first on two
    arrays, without the checks below, and returns NotImplemented where it takes more. The others
    are as for an operator.
    """

    def declare(function: Callable[P, Any]) -> Callable[P, Tensor]:
        body: Callable[..., Any] = runs or function
        label = name or function.__name__
        code = cast("FunctionType", function).__code__
        params = _parameters(function)
        inputs, settings = params[:arrays], params[arrays:]

        def tensors(value: Any, dtypes: Any) -> Any:
            if not sequence:
                return engine.as_tensor(weak(value, dtypes))
            dtypes = dtypes_of(value)
            return [engine.as_tensor(weak(v, dtypes)) for v in value]

        _give_tensors(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            if short is not None and len(args) == 2 and not kwargs:
                found = short(*args)
                if found is not NotImplemented:
                    return found
            given: tuple[Any, ...] = args
            named: Any = kwargs
            if kwargs:  # arrays by name go to their places
                named = {**with_numpys_names(label, params, arrays or 2, kwargs)}
                while len(given) < len(inputs) and inputs[len(given)] in named:
                    given = (*given, named.pop(inputs[len(given)]))
            held: list[tuple[str, Any]] = []
            start = 0
            if arrays and (named or len(given) > arrays):
                others: Any = dict(zip(settings, given[arrays:], strict=False))
                if code.co_flags & 4:  # *arguments, which stand before the settings
                    others = {code.co_varnames[len(params)]: given[arrays:]}
                held = [(k, t) for k, v in {**others, **named}.items() for t in engine.tracked(v)]
                start = engine.now() if held else 0
            try:
                dtypes: Any = dtypes_of(given[:arrays]) if arrays > 1 else ()
                first: Any = [tensors(v, dtypes) for v in given[:arrays]]
                if numbers:
                    checked = in_real_numbers(label, numbers, dict(zip(inputs, first)))
                    first = [*checked.values()]
                narrow = None
                if wide and (widened := _widened(first)) is not None:
                    narrow = np.result_type(*[x.dtype for x in first])
                    first = widened
                result = body(*first, *given[arrays:], **named)
            except FAILURES as error:
                raise _refused(label, function, args, kwargs, error) from error
            result = _each(engine.as_tensor, result)
            if narrow is not None and result.dtype != narrow:
                result = result.astype(narrow)
            for key, tensor in held:
                if not engine.made_from(result, tensor, start):
                    raise TypeError(lost(label, key))
            return result

        _enter(COMPOSITES, label, Composite(call), call, numpy, arrays, **tested)
        return call

    return declare


def composite_of_many(numpy: Any = None, **row: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``composite`` for a function with several outputs, in a list, tuple or named tuple."""
    return composite(numpy, **row)  # type: ignore[return-value]


#: ``composite`` of real numbers: integers become float64, float16 is computed in float32.
composite_of_floats = functools.partial(composite, numbers="float", wide=True)


def in_real_numbers(name: str, numbers: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs, converted to float64 if all are integers or booleans (not for "real").

    Raises TypeError for what is not a number, and for complex numbers (not for "inexact").
    """
    kinds = {k: v.dtype.kind for k, v in inputs.items() if hasattr(v, "dtype")}
    for k, kind in kinds.items():
        if kind not in ("fiubc" if numbers == "inexact" else "fiub"):
            raise TypeError(
                f"{name}: expected real numbers, got {k} of {inputs[k].dtype}; pass {k}.real and "
                f"{k}.imag as two inputs"
            )
    if numbers == "real" or not {"f", "c"}.isdisjoint(kinds.values()):
        return inputs
    return {k: v.astype(np.float64) if k in kinds else v for k, v in inputs.items()}


def _refused(
    name: str, function: Callable[..., Any], args: Any, kwargs: Any, error: Exception
) -> Exception:
    """The error of a call, with the function, the module that called it and the arguments."""
    return refusal(name, function, bound(function, args, kwargs), error, engine.in_module(name))


def named(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a public function that is no operator: its errors name it."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FAILURES as error:
            spelled = other_spelling(function.__name__, function, kwargs, error)
            if spelled is not None:
                return call(*args, **spelled)
            raise _refused(function.__name__, function, args, kwargs, error) from error

    return call


def other_spelling(
    name: str, function: Callable[..., Any], kwargs: dict[str, Any], error: Exception
) -> dict[str, Any] | None:
    """The arguments of a call by our names, if it failed because of PyTorch's; else None.

    Raises TypeError, with what to write, for one that means another thing.
    """
    if not isinstance(error, TypeError) or "unexpected keyword" not in str(error):
        return None
    undecorated: Any = function
    while hasattr(undecorated, "__wrapped__"):
        undecorated = undecorated.__wrapped__
    arguments = load_late("minigrad.spellings").arguments
    found: dict[str, Any] = arguments(name, _parameters(undecorated), kwargs)
    return None if found.keys() == kwargs.keys() else found


def _each(make: Callable[[Any], Any], result: Any) -> Any:
    """One output, or a list, tuple or named tuple of them, made into tensors."""
    if isinstance(result, (list, tuple)):
        made = [_each(make, r) for r in result]
        return type(result)(*made) if hasattr(result, "_fields") else type(result)(made)
    return make(result)


def constant(
    numpy: Any = None, *, runs: Callable[..., Any] | None = None
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Declare a function that has no derivative: its result is never tracked.

    One that has only a docstring gives the signature, and the NumPy function computes, or ``runs``.
    """

    def declare(function: Callable[P, Any]) -> Callable[P, Tensor]:
        body: Callable[..., Any] = function
        if runs is not None or not _is_body(function):
            body = by_name(runs or _aliases(numpy)[0], function)
        params = _parameters(function)

        _give_tensors(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            engine.note_detached(function.__name__, args)
            plain = [engine.constant(a) for a in args]
            named: dict[str, Any] = {k: engine.constant(v) for k, v in kwargs.items()}
            if named:
                named = with_numpys_names(function.__name__, params, 2, named)
            try:
                return cast("Tensor", _each(engine.as_tensor, body(*plain, **named)))
            except FAILURES as error:
                raise _refused(function.__name__, function, args, kwargs, error) from error

        CONSTANTS[function.__name__] = call
        NUMPY.update((one, call) for one in _aliases(numpy) if one)
        return call

    return declare


def constant_of_many(numpy: Any = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``constant`` for a function with several outputs, in a list, tuple or named tuple."""
    return constant(numpy)  # type: ignore[return-value]
