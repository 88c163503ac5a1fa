"""PyTorch's own samples of its operators and layers: value, gradients, second order, in float64.

Run by ``make opinfo``, which installs PyTorch; ``make opinfo ARGS="-k linalg"`` takes some operators
only. The samples are those with which PyTorch tests itself, reference inputs included.
"""

import collections
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.opinfo_table import (
    CANNOT,
    COMPARED,
    DEFINITE,
    LAYERS,
    NOT_HERE,
    OTHER_LAYERS,
    Unsupported,
    check_variances,
    with_target,
)

#: Relative, and absolute in units of 1 or of the largest element, whichever is more.
RTOL, ATOL = 1e-9, 1e-12

PAGE = Path(__file__).parent.parent / "docs" / "conventions.md"
TOTALS: collections.Counter[str] = collections.Counter()
UNSUPPORTED: collections.Counter[str] = collections.Counter()


class Mismatch(AssertionError):  # noqa: N818
    """minigrad and PyTorch differ."""


class NoReference(Exception):  # noqa: N818
    """PyTorch cannot do it itself."""


@pytest.fixture(scope="module")
def torch() -> Any:
    """PyTorch: without it these tests fail, as they would show nothing."""
    import torch

    return torch


@pytest.fixture(scope="module")
def operators(torch: Any) -> dict[str, Any]:
    """PyTorch's description of each operator, by name and variant."""
    from torch.testing._internal.common_methods_invocations import op_db

    return {op.name + (op.variant_test_name and f".{op.variant_test_name}"): op for op in op_db}


@pytest.fixture(scope="module")
def layers(torch: Any) -> dict[str, Any]:
    from torch.testing._internal.common_modules import module_db

    return {info.name.removeprefix("nn."): info for info in module_db}


@pytest.fixture(scope="module", autouse=True)
def _summary(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nunsupported")  # noqa: T201
        for what, count in sorted(UNSUPPORTED.items()):
            print(f"{count:7,}  {what}")  # noqa: T201
        print("\ntogether")  # noqa: T201
        for what, count in TOTALS.items():
            print(f"{count:7,}  {what}")  # noqa: T201
    assert TOTALS["values"], "nothing was compared"


# -- from PyTorch to minigrad ----------------------------------------------------------------------


def rebuilt(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The arguments of a sample with every tensor replaced."""
    if type(value).__name__ in ("Tensor", "Parameter"):
        return leaf(value)
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(rebuilt(v, leaf) for v in value)
    if isinstance(value, dict):
        return {k: rebuilt(v, leaf) for k, v in value.items()}
    return value


def once(function: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], dict[int, Any]]:
    """The function, called once for each object, and what it gave by the object's id."""
    done: dict[int, Any] = {}
    kept = []

    def call(value: Any) -> Any:
        if id(value) not in done:
            done[id(value)] = function(value)
            kept.append(value)
        return done[id(value)]

    return call, done


def fresh(tensor: Any) -> Any:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def ours(tensor: Any) -> mg.Tensor:
    return mg.tensor(tensor.detach().numpy(), requires_grad=tensor.requires_grad)


def settings(value: Any) -> Any:
    """Dtypes among the arguments are NumPy's."""
    if type(value).__name__ == "dtype":
        return np.dtype(str(value).removeprefix("torch.")).type
    return {k: settings(v) for k, v in value.items()} if isinstance(value, dict) else value


def bound(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call the function if it takes these arguments."""
    known = inspect.signature(function)
    try:
        known.bind(*args, **kwargs)
    except TypeError:
        extra = [name for name in kwargs if name not in known.parameters]
        raise Unsupported(", ".join(extra) or f"{len(args)} arguments") from None
    return function(*args, **settings(kwargs))


def flat(results: Any) -> list[Any]:
    if isinstance(results, list | tuple):
        return [y for result in results for y in flat(result)]
    return [results]


def array(x: Any) -> Any:
    if isinstance(x, mg.Tensor):
        return x.detach().numpy()
    return x.numpy(force=True) if hasattr(x, "requires_grad_") else np.asarray(x)


# -- comparing -------------------------------------------------------------------------------------


def same(found: Any, expected: Any, what: str) -> None:
    """Shape, dtype and values agree, NaN and infinities in the same places."""
    a, b = array(found), array(expected)
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        raise Mismatch(f"{what}: {a.dtype} {a.shape} for {b.dtype} {b.shape}")
    scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0.0)) if a.dtype.kind == "f" else 0.0
    if not np.allclose(a, b, RTOL, ATOL * scale, equal_nan=True):
        differ = ~np.isclose(a, b, RTOL, ATOL * scale, equal_nan=True)
        raise Mismatch(f"{what}: {a[differ][:4]} for {b[differ][:4]}, {differ.sum()} of {a.size}")


def differentiated(torch: Any, results: Any, leaves: Any, cotangents: Any, recorded: bool) -> Any:
    """PyTorch's gradients, zeros where there is no way."""
    try:
        found = torch.autograd.grad(
            results, leaves, cotangents, create_graph=recorded, allow_unused=True
        )
    except RuntimeError as error:  # not implemented, or a broadcast that PyTorch does not undo
        raise NoReference(str(error)) from error
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found)]


def compare(
    torch: Any,
    function: Callable[[], Any],
    reference: Callable[[], Any],
    pairs: list[tuple[Any, Any]],
    *,
    order: int = 2,
) -> dict[str, int]:
    """Compare two functions of no arguments, and their derivatives by pairs of leaves."""
    counts: collections.Counter[str] = collections.Counter()
    xs, ts = [x for x, _ in pairs], [t for _, t in pairs]
    rng = np.random.default_rng(0)
    with mg.GradientTape() as outer:
        with mg.GradientTape() as inner:
            ys = flat(function())
        try:
            rs = flat(reference())
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise NoReference(str(error)) from error
        if len(ys) != len(rs):
            raise Mismatch(f"{len(ys)} results for {len(rs)}")
        for y, r in zip(ys, rs):
            same(y, r, "value")
        counts["values"] += len(ys)
        cotangents = [rng.uniform(-1.0, 1.0, array(y).shape) for y in ys]
        tracked = [
            (r, torch.tensor(c))
            for r, c in zip(rs, cotangents)
            if getattr(r, "requires_grad", False)
        ]
        mine = [
            (y, mg.tensor(c))
            for y, c in zip(ys, cotangents)
            if isinstance(y, mg.Tensor) and y.requires_grad
        ]
        if not pairs or not tracked:
            if pairs and mine:
                raise Mismatch("tracked, and constant in PyTorch")
            return counts
        expected = differentiated(torch, [r for r, _ in tracked], ts, [c for _, c in tracked], True)
        gradient = [mg.zeros_like(x) for x in xs]
        if mine:
            gradient = inner.gradient(
                [y for y, _ in mine], xs, [c for _, c in mine], unconnected_gradients="zero"
            )
        directions = [rng.uniform(-1.0, 1.0, x.shape) for x in xs]
        along = sum((g * u).sum() for g, u in zip(gradient, directions))
    for g, b in zip(gradient, expected):
        same(g, b, "gradient")
    if mine:
        with mg.GradientTape() as alone:
            again = [y for y in flat(function()) if isinstance(y, mg.Tensor) and y.requires_grad]
        plain = alone.gradient(again, xs, [c for _, c in mine], unconnected_gradients="zero")
        for g, b in zip(plain, expected):
            same(g, b, "gradient without recording")
    counts["gradients"] += len(xs)
    if order < 2:
        return counts
    projected = sum((b * torch.tensor(u)).sum() for b, u in zip(expected, directions))
    second = [torch.zeros_like(t) for t in ts]
    if projected.requires_grad:
        try:
            second = differentiated(torch, projected, ts, None, False)
        except NoReference:
            counts["second order not in PyTorch"] += 1
            return counts
    for h, b in zip(outer.gradient(along, xs, unconnected_gradients="zero"), second):
        same(h, b, "second order")
    counts["second order"] += len(xs)
    return counts


def check(
    torch: Any, name: str, function: Any, reference: Any, args: Any, kwargs: Any, order: int = 2
) -> Any:
    """Compare one sample."""
    definite = DEFINITE.get(name, lambda results: results)
    theirs, leaves = once(fresh)
    args, kwargs = rebuilt(args, theirs), rebuilt(kwargs, theirs)
    mine, made = once(ours)
    my_args, my_kwargs = rebuilt(args, mine), rebuilt(kwargs, mine)
    pairs = [(made[id(t)], t) for t in leaves.values() if t.requires_grad and id(t) in made]
    return compare(
        torch,
        lambda: definite(bound(function, my_args, my_kwargs)),
        lambda: definite(reference(*args, **kwargs)),
        pairs,
        order=order,
    )


def samples(torch: Any, op: Any) -> list[Any]:
    """PyTorch's samples in float64, or int64 where it takes no floats."""
    torch.manual_seed(0)
    dtype = torch.float64 if torch.float64 in op.dtypes else torch.int64
    tracked = op.supports_autograd and dtype.is_floating_point
    try:
        return list(op.reference_inputs("cpu", dtype, requires_grad=tracked))
    except ValueError:  # some draw integers with requires_grad, which PyTorch itself refuses
        found = list(op.reference_inputs("cpu", dtype, requires_grad=False))
        for sample in found:
            rebuilt(
                (sample.input, sample.args, sample.kwargs),
                lambda t: t.is_floating_point() and t.requires_grad_(),
            )
        return found


def described(value: Any) -> Any:
    return rebuilt(value, lambda t: f"{str(t.dtype).removeprefix('torch.')}{tuple(t.shape)}")


@pytest.mark.opinfo
@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.filterwarnings("ignore")
def test_operator(name: str, torch: Any, operators: dict[str, Any]) -> None:
    from tests.opinfo_conventions import CONVENTIONS, FIRST_ORDER

    op, function, counts, bad = operators[name], COMPARED[name], collections.Counter(), []
    convention, _ = CONVENTIONS.get(name, (None, ""))
    for sample in samples(torch, op):
        args, kwargs = with_target(name, (sample.input, *sample.args)), sample.kwargs
        counts["samples"] += 1
        with np.errstate(all="ignore"):
            try:
                counts.update(check(torch, name, function, op.op, args, kwargs))
            except Unsupported as error:
                UNSUPPORTED[f"{name}: {error}"] += 1
                counts["samples unsupported"] += 1
            except NoReference:
                counts["samples of which PyTorch has no value or gradient"] += 1
            except Mismatch as error:
                try:
                    if not convention:
                        raise
                    order = 1 if name in FIRST_ORDER else 2
                    counts.update(check(torch, name, function, convention, args, kwargs, order))
                    counts["samples at conventions"] += 1
                except Mismatch as second:
                    bad.append(f"{error} / {second} <- {described(args)} {described(kwargs)}")
            except Exception as error:  # noqa: BLE001
                bad.append(f"{error!r:.300} <- {described(args)} {described(kwargs)}")
    TOTALS["operators"] += 1
    TOTALS.update(counts)
    TOTALS["mismatches"] += len(bad)
    assert not bad, f"{len(bad)} of {counts['samples']}:\n" + "\n".join(bad[:8])
    assert counts["values"], "nothing was compared"
    assert not convention or counts["samples at conventions"], "this convention has no sample"


@pytest.mark.opinfo
@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.filterwarnings("ignore")
def test_what_pytorch_refuses(name: str, torch: Any, operators: dict[str, Any]) -> None:
    """Answered as NumPy would, or refused by TypeError or ValueError."""
    if operators[name].error_inputs_func is None:
        return
    bad: list[str] = []
    for error_input in operators[name].error_inputs("cpu"):
        sample = error_input.sample_input
        try:
            args, kwargs = rebuilt(((sample.input, *sample.args), sample.kwargs), ours)
        except (TypeError, ValueError, RuntimeError):  # sparse, on no device, of 65 axes
            TOTALS["refused inputs that NumPy has no array for"] += 1
            continue
        with np.errstate(all="ignore"):
            try:
                bound(COMPARED[name], args, kwargs)
            except Unsupported:
                TOTALS["refused inputs with unsupported arguments"] += 1
            except (TypeError, ValueError):
                TOTALS["refused inputs refused here too"] += 1
            except Exception as error:  # noqa: BLE001
                if isinstance(error, IndexError) and error_input.error_type is IndexError:
                    TOTALS["refused inputs refused here too"] += 1
                else:
                    bad.append(f"{error!r:.200} <- {described(args)} {kwargs}")
            else:
                TOTALS["refused inputs with an answer in NumPy"] += 1
    assert not bad, "\n".join(bad)


@pytest.mark.opinfo
def test_every_operator_of_pytorch_is_in_one_list(operators: dict[str, Any]) -> None:
    lists = [*COMPARED, *NOT_HERE, *CANNOT]
    assert sorted(lists) == sorted(operators)


@pytest.mark.opinfo
def test_every_layer_of_pytorch_is_in_one_list(layers: dict[str, Any]) -> None:
    assert sorted([*LAYERS, *OTHER_LAYERS]) == sorted(layers)


@pytest.mark.opinfo
def test_conventions_are_told(torch: Any) -> None:
    from tests.opinfo_conventions import CONVENTIONS

    text = PAGE.read_text(encoding="utf-8")
    assert not [words for _, words in CONVENTIONS.values() if words not in text]


# -- layers ----------------------------------------------------------------------------------------


def layer_samples(torch: Any, info: Any, training: bool) -> Iterator[Any]:
    """Each sample of a layer: PyTorch's layer, what it was made of, and what goes in.

    Some weights are drawn below 0, which minigrad refuses; they are taken without their signs.
    """
    torch.manual_seed(0)
    for given in info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    ):
        built, forward = given.constructor_input, given.forward_input
        kwargs = {k: v.abs() if k == "weight" else v for k, v in built.kwargs.items()}
        theirs = info.module_cls(*built.args, **kwargs).double().train(training)
        name = info.name.removeprefix("nn.")
        yield theirs, (built.args, kwargs), (with_target(name, forward.args), forward.kwargs)


#: Arguments of PyTorch's layers that change nothing at these values.
NEUTRAL = {"proj_size": 0, "add_bias_kv": False, "add_zero_attn": False}
BATCHED = {"AdaptiveAvgPool2d", "AvgPool2d", "Conv2d", "ConvTranspose2d", "LazyConv2d", "MaxPool2d"}


def ours_like(name: str, theirs: Any, built: Any, forward: Any) -> Any:
    """minigrad's layer with the same settings and weights."""
    make = LAYERS[name]
    known = inspect.signature(make).parameters
    if any(inspect.isbuiltin(a) for a in built[0]):
        raise Unsupported("a function of PyTorch")
    args, kwargs = rebuilt(built, ours)
    kwargs = {
        {"dim": "axis"}.get(k, k): v for k, v in kwargs.items() if k not in ("device", "dtype")
    }
    if "dtype" in known:
        kwargs["dtype"] = np.float64
    layer = bound(
        make, args, {k: v for k, v in kwargs.items() if not (k in NEUTRAL and v == NEUTRAL[k])}
    )
    if name in BATCHED and forward[0].ndim != 4:
        raise Unsupported("an input without a batch axis")
    if name == "GaussianNLLLoss":
        check_variances(forward[0], forward[2])
    if name.startswith("Lazy"):
        layer(*forward)  # which learns its size
    layer.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    return layer.train(theirs.training)


def check_layer(torch: Any, name: str, theirs: Any, built: Any, forward: Any) -> Any:
    """Compare one sample of a layer: forward, and the gradients by inputs and parameters."""
    leaf, leaves = once(fresh)
    args, kwargs = rebuilt(forward, leaf)
    twin, made = once(ours)
    my_args, my_kwargs = rebuilt((args, kwargs), twin)
    with torch.no_grad():
        theirs(*args, **kwargs)  # a lazy layer learns its size
    layer = ours_like(name, theirs, built, my_args)
    parameters = dict(theirs.named_parameters())
    pairs = [(p, parameters[key]) for key, p in layer.named_parameters()]
    pairs += [(made[id(t)], t) for t in leaves.values() if t.requires_grad and id(t) in made]
    return compare(
        torch,
        lambda: bound(layer.forward, my_args, my_kwargs),
        lambda: theirs(*args, **kwargs),
        pairs,
    )


@pytest.mark.opinfo
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_layer(name: str, training: bool, torch: Any, layers: dict[str, Any]) -> None:
    counts, bad = collections.Counter(), []
    for theirs, built, forward in layer_samples(torch, layers[name], training):
        counts["layer samples"] += 1
        try:
            with np.errstate(all="ignore"):
                counts.update(check_layer(torch, name, theirs, built, forward))
        except Unsupported as error:
            UNSUPPORTED[f"nn.{name}: {error}"] += 1
            counts["layer samples unsupported"] += 1
        except NoReference:
            counts["layer samples that PyTorch refuses"] += 1
        except Exception as error:  # noqa: BLE001
            bad.append(f"{error!r:.400} <- {described(built)} {described(forward)}")
    TOTALS["layers"] += not training
    TOTALS.update(counts)
    TOTALS["mismatches"] += len(bad)
    assert not bad, f"{len(bad)} of {counts['layer samples']}:\n" + "\n".join(bad[:8])
    assert counts["values"], "nothing was compared"
