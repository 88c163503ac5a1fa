"""Every argument of every public class, method and function, with what should not be there.

The calls come from a table, their arguments from the signatures. Whatever is passed: the call
gives a result, or an error that says where and what, never one that escaped from inside.
"""

import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import object_calls
import pytest
from object_calls import Call

import minigrad as mg
from minigrad import nn

TABLE = object_calls.calls()


def methods() -> dict[str, Any]:
    """The methods with arguments that the public classes define themselves, by name in the table."""
    found: dict[str, Any] = {}
    for name, kind in object_calls.public_names():
        for method, function in vars(kind).items() if isinstance(kind, type) else ():
            public = not method.startswith("_") and inspect.isfunction(function)
            skipped = method in object_calls.FOR_SUBCLASSES
            if public and not skipped and len(inspect.signature(function).parameters) > 1:
                found[f"{name}.{method}"] = function
    return found


def test_every_public_name_has_a_valid_call():
    public = {name for name, _ in object_calls.public_names()} | set(methods())
    assert not public - set(TABLE)


class Own:
    """A class that nobody knows."""


HUGE = 2**62
#: Values by a name for messages. Each fits some argument; none fits them all.
NONSENSE: dict[str, Any] = {
    "None": None, "text": "banana", "bytes": b"x", "True": True, "-1": -1, "0": 0, "1.5": 1.5,
    "-0.5": -0.5, "nan": float("nan"), "inf": float("inf"), "-inf": -float("inf"), "huge": HUGE,
    "-huge": -HUGE, "1j": 1j, "object": Own(), "class": Own, "function": lambda: None, "[]": [],
    "{}": {}, "()": (), "[None]": [None], "text array": np.array(["a"]),
    "NumPy's nan": np.float64("nan"), "NumPy's True": np.True_, "tensor": mg.ones((2, 3)),
    "object array": np.array([None, 1], dtype=object), "int tensor": mg.tensor([1, 2]),
}  # fmt: skip

#: Errors that tell how a call was wrong, not that something inside did not expect it.
TELLING = (
    TypeError, ValueError, IndexError, RuntimeError, NotImplementedError, FileNotFoundError,
)  # fmt: skip
#: What Python and NumPy say when a value gets where nobody looked at it.
FROM_INSIDE = re.compile(
    r"not iterable|not subscriptable|unsupported operand|not supported between|has no attribute"
    r"|object is not callable|has no len|cannot unpack|values to unpack|must be real number"
    r"|cannot be interpreted|bad operand|unhashable|truth value of|positional argument"
    r"|could not convert|inhomogeneous|can't multiply|invalid literal|not all arguments"
)


def parameters(call: Call) -> list[inspect.Parameter]:
    return [
        p for p in inspect.signature(call.function).parameters.values() if p.kind != p.VAR_KEYWORD
    ]


def run(call: Call, changed: dict[str, Any], use: bool = True) -> Any:
    """Make the call, by position where there are ``*args``, else by name."""
    given = call.arguments | changed
    several = next((p.name for p in parameters(call) if p.kind == p.VAR_POSITIONAL), None)
    args: list[Any] = []
    if several is not None or any(p.kind == p.POSITIONAL_ONLY for p in parameters(call)):
        for p in parameters(call):
            if p.kind == p.VAR_POSITIONAL:
                args += given.pop(p.name, [])
            elif p.name in given and p.kind != p.KEYWORD_ONLY:
                args.append(given.pop(p.name))
    result = call.function(*args, **given)
    return call.use(result) if call.use is not None and use else result


def complaint(name: str, parameter: str, error: Exception) -> str:
    """What is wrong with an error, or nothing."""
    text = " ".join([str(error), *getattr(error, "__notes__", ())])
    if "<lambda>()" in text or "Own()" in text or raised_in_the_table(error):
        return ""  # a function was wanted, and this one fails
    if type(error) not in TELLING and not documented(name, error):
        return f"{type(error).__name__}: {text}"
    named = re.match(r"([\w.]+)(?: in [\w.]+)?(?: \(\w+\))?: ", text.strip("\"'"))
    if text.startswith(f"{parameter}="):
        return ""
    words = {part.lower() for part in re.split(r"[.\s\"']", text)}
    if named is None and not words & {part.lower() for part in name.split(".")[1:]}:
        return f"does not name {name}: {text}"
    if named is not None and named[1] == "tensor" and name != "mg.tensor":
        return f"names another: {text}"
    return f"from inside: {text}" if named is None and FROM_INSIDE.search(text) else ""


def raised_in_the_table(error: Exception) -> bool:
    """Whether it comes out of a function of the table, as it would of a user's."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_name in ("square", "<lambda>")


def documented(name: str, error: Exception) -> bool:
    """Whether the docstring of the function, or of its class, names this error."""
    group, *path = name.split(".")
    if group == "nn" and path[0] == "init":
        path = path[1:]
        found: Any = mg.nn.init
    else:
        found = object_calls.GROUPS[group]
    texts = []
    for part in path:
        found = getattr(found, part)
        texts.append(inspect.getdoc(found) or "")
    texts += [inspect.getdoc(base) or "" for base in getattr(found, "__mro__", ())]
    return type(error).__name__ in " ".join(texts)


def tries(p: inspect.Parameter) -> dict[str, Any]:
    if p.kind == p.VAR_POSITIONAL:
        return {name: [value] for name, value in NONSENSE.items()}
    return NONSENSE


#: What is right, and never ends.
ENDLESS = {"epochs=huge", "order=huge"}


def must_refuse(p: inspect.Parameter) -> set[str]:
    """The nonsense that the annotation of an argument rules out."""
    if not isinstance(p.annotation, str):
        return set()
    kinds = {part.strip() for part in p.annotation.split("|")}
    if not kinds <= {"int", "float", "bool", "str", "None"}:
        return set()
    wrong = {"1j", "object", "class", "function", "[]", "{}", "()", "[None]", "text array",
             "object array", "nan", "NumPy's nan", "bytes", "int tensor", "tensor"}  # fmt: skip
    if "str" not in kinds:
        wrong.add("text")
    if "bool" not in kinds:
        wrong |= {"True", "NumPy's True"}
    if "float" not in kinds:
        wrong |= {"1.5", "-0.5", "inf", "-inf"}
    if "None" not in kinds:
        wrong.add("None")
    if not kinds & {"int", "float"}:
        wrong |= {"-1", "0", "huge", "-huge"}
    return wrong


def walk(name: str) -> list[str]:
    found: list[str] = []
    if not TABLE[name]().heavy:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(TABLE[name](), {})
    for p in parameters(TABLE[name]()):
        refused = must_refuse(p)
        for label, value in tries(p).items():
            call = TABLE[name]()
            if (call.heavy and label not in refused) or f"{p.name}={label}" in ENDLESS:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    run(call, {p.name: value})
            except Exception as error:  # noqa: BLE001 (that is the question)
                text = complaint(name, p.name, error)
                if text:
                    found.append(f"{name}({p.name}={label}): {text}")
            else:
                if label in refused:
                    found.append(f"{name}({p.name}={label}) was accepted")
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some of the nonsense is a name for a file


@pytest.mark.parametrize("name", sorted(TABLE))
def test_nonsense_is_refused_in_words(name: str):
    found = walk(name)
    assert not found, "\n".join(found)


# -- inputs of other kinds ------------------------------------------------------------------------

LAYERS = sorted(
    name
    for name, make in TABLE.items()
    if getattr(make, "func", None) is object_calls.layer and name != "nn.Embedding"
)
LOSSES = ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCEWithLogitsLoss")


def apply(name: str, x: Any) -> Any:
    """A new layer, always with the same weights and random numbers, on this input."""
    mg.manual_seed(1)
    call = TABLE[name]()
    # A model warns of a float64 input, once for each line.
    with mg.no_grad(), np.errstate(over="ignore"), warnings.catch_warnings(action="ignore"):
        result = call.function(**call.arguments)(x)
    return result[0] if isinstance(result, tuple) else result


def sample(name: str) -> np.ndarray:
    mg.manual_seed(2)
    return TABLE[name].args[1]().numpy()  # type: ignore[attr-defined]


def close(got: Any, expected: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(
        np.asarray(got), np.asarray(expected), rtol=rtol, atol=rtol * 0.1 + 2e-6
    )


def named(error: pytest.ExceptionInfo[Exception], name: str) -> None:
    assert not complaint(name, "x", error.value)


@pytest.mark.filterwarnings("ignore:.* the input .* is float64 and the parameters are float32")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_a_layer_takes_whole_numbers_for_what_they_are(name: str, dtype: Any):
    if name == "nn.Identity":
        pytest.skip("gives back whatever it gets")
    x = np.abs(sample(name) * 100).astype(dtype)
    try:
        got = apply(name, x)
    except (TypeError, ValueError) as error:
        assert not complaint(name, "x", error)  # noqa: PT017
    else:
        half = got.dtype == np.float16  # what NumPy makes of 8 bits
        with warnings.catch_warnings():  # of layers in float32 that compute in float64
            warnings.simplefilter("ignore")
            expected = apply(name, x.astype(np.float64))
        close(got, expected, 2e-3 if half else 1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_does_not_mind_how_its_input_lies_in_memory(name: str):
    x = sample(name)
    wide = np.repeat(x, 2, axis=-1)[..., ::2]
    for other in (wide, x.T.copy().T, np.asfortranarray(x), x.tolist()):
        close(apply(name, other), apply(name, x))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_in_half_precision_or_better(name: str):
    x = sample(name).astype(np.float16)
    got = apply(name, x)
    close(got, apply(name, x.astype(np.float32)), 2e-2)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_keeps_complex_numbers_or_refuses_them(name: str):
    x = sample(name) * (1.0 + 2.0j)
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            got = apply(name, x)
        except (TypeError, ValueError) as error:
            assert not complaint(name, "x", error)  # noqa: PT017
        else:
            assert np.asarray(got).dtype.kind == "c"


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "x", [np.array([[None, 1]], object), np.array(1.0), np.zeros((0, 4)), np.zeros((2, 0)), "text"]
)
def test_a_layer_refuses_in_words_or_gives_a_result(name: str, x: Any):
    try:
        got = apply(name, x)
    except (TypeError, ValueError, IndexError) as error:
        assert not complaint(name, "x", error)  # noqa: PT017
    else:
        assert name == "nn.Identity" or np.asarray(got).dtype.kind == "f"


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_a_loss_takes_whole_numbers_for_what_they_are(name: str, dtype: Any):
    loss = getattr(nn, name)()
    x, y = np.array([[0, 1, 1]], dtype), np.array([[1, 0, 1]], dtype)
    close(loss(x, y), loss(x.astype(np.float64), y.astype(np.float64)), 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.complex128, object])
def test_embedding_takes_integers_only(dtype: Any):
    with pytest.raises(TypeError) as error:
        apply("nn.Embedding", np.array([1, 0]).astype(dtype))
    named(error, "nn.Embedding")
    for kind in (np.int8, np.uint8, np.uint64):
        close(
            apply("nn.Embedding", np.array([1, 0], kind)), apply("nn.Embedding", np.array([1, 0]))
        )


SHOWN = ("data.", "metrics.", "callbacks.", "lr_scheduler.", "mg.Trainer", "mg.History")


@pytest.mark.parametrize(
    "name", [n for n in TABLE if n.startswith(SHOWN) and isinstance(TABLE[n]().function, type)]
)
def test_what_people_print_says_what_it_is(name):
    call = TABLE[name]()
    made = run(call, {}, use=False)
    text = repr(made)
    assert text.lstrip("<").startswith(type(made).__name__)
    assert " at 0x" not in text
    assert "\n" not in text
    for key, value in call.arguments.items():  # a setting that is not the default is shown
        if isinstance(value, (int, str)) and hasattr(made, key):
            shown = f"{key}={value!r}" in text or str(value) in text
            assert shown or value == inspect.signature(type(made)).parameters[key].default


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 4), (2, 4)),
        (nn.Conv1d(4, 4, 1), (2, 4, 3)),
        (nn.Conv2d(4, 4, 1), (2, 4, 3, 3)),
        (nn.TransformerEncoderLayer(4, 2, 8), (3, 2, 4)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), 2), (3, 2, 4)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_whole_numbers_enter_in_the_dtype_of_the_weights(layer, shape):
    assert layer(np.ones(shape, np.int64)).dtype == np.float32
