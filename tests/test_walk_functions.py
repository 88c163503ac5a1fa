"""A walk through all public functions: every kind of array, and what is no argument at all."""

import inspect
import logging
import operator
import types
import warnings

import numpy as np
import pytest
from operator_calls import DECLARED
from test_numpy_namespace import CALLS

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.tree import flatten
from minigrad.operators.declare import CONSTANTS, Operator

# -- calls that once crashed -----------------------------------------------------------------------

OBJECTS = np.ones((1, 1, 3, 3), object)
V = np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(OBJECTS, OBJECTS), "conv2d: input must hold numbers, got object"),
        (lambda: F.conv2d(mg.ones((1, 1, 3, 3)), OBJECTS), "conv2d: weight must hold numbers"),
        (lambda: F.max_pool2d(OBJECTS, 2), "max_pool2d: .*object"),
        (lambda: F.im2col(np.full((1, 1, 3, 3), "a"), 2), "im2col: x must hold numbers, got <U1"),
        (lambda: mg.Tensor(OBJECTS), "Tensor: .*object"),
        (lambda: mg.ones(2) + np.array(["a", "b"]), "add: x2 must hold numbers"),
        (lambda: np.array([None, 1]) * mg.ones(2), "multiply: x1 must hold numbers"),
        (lambda: mg.concatenate(3), "concatenate: arrays must be a list of arrays, got 3"),
    ],
)
def test_arrays_that_hold_no_numbers_never_reach_a_kernel(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_memory_for_kernels_is_never_read_as_references():
    from minigrad.kernels.scratch import scratch

    with pytest.raises(TypeError, match="object"):
        scratch("image", (2,), np.dtype(object))


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda x, w: x @ w, [(2, 3, 0), (0, 4)]),
        (F.linear, [(2, 0), (3, 0)]),
        (F.linear, [(2, 5, 0), (3, 0)]),
        (F.softmax, [(3, 0)]),
        (F.log_softmax, [(0,)]),
        (lambda x: F.softmax(x, 0), [(0, 2)]),
    ],
)
def test_gradients_of_empty_sums_are_empty(call, shapes):
    inputs = [mg.zeros(shape, requires_grad=True) for shape in shapes]
    call(*inputs).sum().backward()
    for x in inputs:
        assert x.grad.shape == x.shape


@pytest.mark.parametrize("axis", [-1, 0, (), None])
@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min, mg.logsumexp, np.ptp])
def test_reductions_of_a_number_along_its_last_axis(f, axis):
    x = mg.tensor(2.5, requires_grad=True)
    y = f(x, axis=axis)
    y.backward()
    assert y.shape == ()
    assert y.item() == (0.0 if f is np.ptp else 2.5)
    assert x.grad.tolist() == (0.0 if f is np.ptp else 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.transpose(0), lambda x: np.roll(x, [1, 2]), lambda x: np.roll(x, np.array([1])),
        lambda x: np.roll(x[None], [1, 2], [0, 1]), lambda x: np.tile(x, np.array([2, 2])),
        lambda x: np.repeat(x[0], 3), lambda x: np.repeat(x[0], 3, axis=None),
        lambda x: np.vstack([x, x], casting="same_kind"),
    ],
)  # fmt: skip
def test_calls_that_numpy_takes(call):
    x = mg.tensor(V, requires_grad=True)
    y = call(x)
    np.testing.assert_array_equal(y.numpy(), call(V))
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert x.grad.sum().item() == y.size


BINARY = [
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.mod,
    operator.floordiv, operator.pow, operator.add, operator.sub, operator.mul, operator.truediv,
    divmod,
]  # fmt: skip


@pytest.mark.parametrize("f", BINARY)
@pytest.mark.parametrize("other", [3, np.array([1, 2, 3]), [1, 2, 3], np.int64(2)], ids=repr)
def test_python_s_operators_work_from_both_sides(f, other):
    whole = np.array([4, 7, 1])
    for ours, theirs in [
        (f(mg.tensor(whole), other), f(whole, other)),
        (f(other, mg.tensor(whole)), f(other, whole)),
    ]:
        np.testing.assert_array_equal(np.array(ours), theirs)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.rot90(x, axes=(0, -2)), lambda x: np.rot90(x, 2, axes=(1, 1)),
        lambda x: np.gradient(x, axis=(0, 0)), lambda x: np.gradient(x, axis=(1, -1)),
        lambda x: mg.rollaxis(x, 0, 5), lambda x: mg.rollaxis(x, 2), lambda x: np.repeat(x, 2, 2),
    ],
)  # fmt: skip
def test_axes_that_repeat_or_are_not_there_are_refused(call):
    with pytest.raises(
        ValueError, match=r"^(rot90|gradient|rollaxis|repeat): .*ax[ie]s.*got [afm]="
    ):
        call(mg.ones((3, 3)))


# -- one valid call of every public function -------------------------------------------------------

IMAGE, X, Q = (
    np.arange(32.0).reshape(1, 2, 4, 4) / 7,
    np.array([[0.3, -1.2], [2.0, 0.7]]),
    np.eye(2),
)
#: Those without a row in the table of operators, and how to call them.
OTHERS = {
    "arange": (mg.arange, (3,), {}), "eye": (mg.eye, (3,), {}), "full": (mg.full, ((2,), 7.0), {}),
    "full_like": (mg.full_like, (X, 2.0), {}), "linspace": (mg.linspace, (0.0, 1.0, 3), {}),
    "ones": (mg.ones, ((2, 3),), {}), "ones_like": (mg.ones_like, (X,), {}),
    "zeros": (mg.zeros, ((2, 3),), {}), "zeros_like": (mg.zeros_like, (X,), {}),
    "tensor": (mg.tensor, ([1.0, 2.0],), {}), "rand": (mg.rand, (2, 3), {}),
    "randn": (mg.randn, (2, 3), {}), "manual_seed": (mg.manual_seed, (0,), {}),
    "attention_weights": (F.attention_weights, (X, Q), {}),
    "dropout": (F.dropout, (X,), {}), "flatten": (F.flatten, (IMAGE,), {}),
    "embedding": (F.embedding, (np.array([1, 0]), X), {}), "l2_penalty": (F.l2_penalty, ([Q],), {}),
    "embedding_bag": (F.embedding_bag, (np.array([[1, 0]]), X), {}),
    "bilinear": (F.bilinear, (X, Q, np.arange(12.0).reshape(3, 2, 2)), {}),
    "one_hot": (F.one_hot, (np.array([1, 0]),), {}),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, (X, Q, X), {}),
    "nn.functional.pad": (F.pad, (X, (1, 1)), {}),
    "max_pool2d": (F.max_pool2d, (IMAGE, 2), {"stride": 1, "padding": 1}),
}  # fmt: skip
#: What is no function of arrays, by the tests that walk through it.
ELSEWHERE = {
    "checkpoint", "custom_gradient", "grad", "hessian", "hvp", "is_recording", "jacobian", "jvp",
    "no_grad", "stop_gradient", "value_and_grad", "vjp", "default_generator", "as_tensor",
    "explain", "load", "load_checkpoint", "load_metadata", "load_model", "make_dot", "save",
    "save_checkpoint", "save_model", "show_config", "summary",
}  # fmt: skip

#: Where what declares functions is at home.
HELPERS = {"minigrad.operators.declare", "minigrad.operators.domain", "minigrad.engine.settings"}


class Call:
    """A function that users call, NumPy's of the same name, and arguments that both take."""

    def __init__(self, name, function, reference, args, metadata):
        self.name, self.function, self.reference = name, function, reference
        self.args, self.metadata = args, metadata

    def __repr__(self):
        return self.name


def calls():
    for name, declared in DECLARED.items():
        label = declared.name if isinstance(declared, Operator) else name.removeprefix("mg.")
        if label.startswith("linalg."):
            function = getattr(mg.linalg, label.removeprefix("linalg."))
        else:
            places = [place for place in (mg, F, mg.linalg) if label in place.__all__]
            function = getattr(places[0], label) if places else None
        # What has a row of its own but no public name, users reach through the function around it.
        if function is None or (isinstance(declared, Operator) and f"mg.{name}" in DECLARED):
            continue
        for given in declared.samples:
            if not given.metadata.keys() <= inspect.signature(function).parameters.keys():
                continue  # users give the settings of this operator in other words
            args = given.draw(np.random.default_rng(0), declared.domains)
            yield Call(label, function, declared.reference, args, given.metadata)
    for name, function in CONSTANTS.items():
        reference = getattr(np, name, None) or getattr(np.linalg, name)
        yield Call(name, function, reference, CALLS[name], {})
    for name, (function, args, metadata) in OTHERS.items():
        yield Call(name.rpartition(".")[2], function, None, args, metadata)


ALL = list(calls())
NAMES = sorted({c.name for c in ALL})
FIRST = {c.name: c for c in reversed(ALL)}


def test_every_public_function_is_walked():
    walked = {id(c.function) for c in ALL}
    for place in (mg, F, mg.linalg):
        for name in dir(place):
            function = getattr(place, name)
            if not isinstance(function, types.FunctionType) or name.startswith("_"):
                continue
            if function.__module__ not in HELPERS:
                assert id(function) in walked or name in ELSEWHERE, name


# -- every kind of array ---------------------------------------------------------------------------

#: What becomes of an array of floats. All else stays: indices, labels, masks.
KINDS = {
    "integers": lambda x: np.rint(np.nan_to_num(x) * 3).astype(np.int64),
    "booleans": lambda x: x > 0.3,
    "uint8": lambda x: (np.abs(np.rint(np.nan_to_num(x) * 90)) % 256).astype(np.uint8),
    "float16": lambda x: x.astype(np.float16),
    "complex": lambda x: x + 1j * np.roll(x, 1),
    "objects": lambda x: x.astype(object),
    "empty": lambda x: x[:0] if x.ndim else x,
    "empty last": lambda x: x[..., :0] if x.ndim else x,
    "0-d": lambda x: np.asarray(x.flat[0]) if x.size else x,
    "strided": lambda x: np.repeat(np.asfortranarray(x), 2, -1)[..., ::2] if x.ndim else x,
}
MAY_REFUSE = {"complex", "objects"}
#: Refused although NumPy has an answer; docs/conventions.md gives the reasons.
REFUSED = {
    ("compress", "empty last"), ("take", "empty last"),  # an index into nothing
    *[(f, kind) for f in ("matrix_norm", "norm", "vector_norm", "median", "nanmedian",
                          "nanquantile", "nanpercentile")
      for kind in ("empty", "empty last")],  # of nothing
    ("nanquantile", "booleans"), ("nanpercentile", "booleans"),  # nothing between them
    ("pad", "booleans"), ("cholesky", "uint8"),
}  # fmt: skip
#: Answered although NumPy refuses, or answered otherwise.
OWN_ANSWER = {
    ("average", "0-d"), ("average", "empty last"), ("cov", "empty"),
    ("nanquantile", "empty"), ("nanpercentile", "empty"), ("nanquantile", "empty last"),
    ("nanpercentile", "empty last"),
    ("interp", "booleans"),  # knots that do not ascend
    ("cholesky", "complex"),
    ("norm", "float16"), ("matrix_norm", "float16"),  # which LAPACK does not have
}  # fmt: skip


def changed(f, value):
    if isinstance(value, np.ndarray):
        return np.asarray(f(value)) if value.dtype.kind == "f" else value
    if isinstance(value, (list, tuple)):
        return type(value)(changed(f, one) for one in value)
    return value


def tensors(value, requires_grad=False):
    def one(x):
        return x if x.dtype == object else mg.tensor(x, requires_grad=requires_grad)

    if isinstance(value, np.ndarray):
        return one(value) if not requires_grad or value.dtype.kind == "f" else mg.Tensor(value)
    if isinstance(value, (list, tuple)):
        return type(value)(tensors(v, requires_grad) for v in value)
    return value


def outputs(value):
    if isinstance(value, (list, tuple)):
        return [one for part in value for one in outputs(part)]
    return [value]


def assert_refused(call, error, parameter=""):
    """An error names the function and an argument, and is of a kind to expect."""
    text = str(error)
    assert isinstance(error, (TypeError, ValueError, IndexError)), (parameter, repr(error))
    assert call.name.rpartition(".")[2] in text, (parameter, text)
    named = any(p in text for p in inspect.signature(call.function).parameters)
    assert named, (parameter, text)


def assert_may_refuse(call, kind, expected):
    wanted = isinstance(expected, list) and kind not in MAY_REFUSE
    assert not wanted or (call.name, kind) in REFUSED, "NumPy has an answer"


def assert_numpys(call, kind, found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, map(np.asarray, expected), strict=True):
        assert ours.shape == theirs.shape
        if kind == "float16" and theirs.dtype.kind == "f":
            # Where NumPy goes over to float64, floats keep their dtype.
            assert ours.dtype in (np.float16, theirs.dtype)
            np.testing.assert_allclose(ours, theirs, rtol=2e-2, atol=2e-2)
            continue
        wider = theirs.dtype.kind == "f" and ours.dtype == np.float64  # of integers
        assert ours.dtype == theirs.dtype or wider
        rough = theirs.dtype in (np.float16, np.float32)
        np.testing.assert_allclose(ours, theirs, rtol=2e-3 if rough else 1e-9, atol=1e-10)


BY_NAME = {name: [c for c in ALL if c.name == name] for name in {c.name for c in ALL}}


def each(kinds, name):
    """The calls of this function with each kind of array; the log of a failure tells the kind."""
    for kind in kinds:
        logging.getLogger("walk").info("%s of %s", name, kind)
        for call in BY_NAME[name]:
            yield kind, call


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_array_is_taken_as_numpy_takes_it_or_refused(name):
    for kind, call in each(KINDS, name):
        args = changed(KINDS[kind], call.args)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = None
            if call.reference is not None:
                try:
                    expected = outputs(call.reference(*args, **call.metadata))
                except Exception as error:  # noqa: BLE001 (whatever NumPy raises)
                    expected = error
            try:
                found = outputs(call.function(*tensors(args), **call.metadata))
            except Exception as error:  # noqa: BLE001 (its kind is what is tested)
                assert_refused(call, error)
                assert_may_refuse(call, kind, expected)
                continue
        if (name, kind) in OWN_ANSWER or call.reference is None:
            continue
        assert isinstance(expected, list), f"NumPy says {expected!r}"
        assert_numpys(call, kind, [y.numpy() for y in found], expected)


REAL = {"integers", "booleans", "uint8"}
OURS = sorted({c.name for c in ALL if hasattr(F, c.name) and not hasattr(mg, c.name)})


@pytest.mark.parametrize("name", OURS)
def test_functions_of_our_own_take_whole_numbers_for_their_value(name):
    """Neither wrapped nor cut off: as the same numbers in float64."""
    for kind, call in each(sorted(REAL), name):
        args = changed(KINDS[kind], call.args)
        with np.errstate(all="ignore"):
            mg.manual_seed(0)
            try:
                found = outputs(call.function(*tensors(args), **call.metadata))
            except (TypeError, ValueError) as error:
                assert_refused(call, error)
                continue
            floats = changed(lambda x, f=KINDS[kind]: f(x).astype(np.float64), call.args)
            mg.manual_seed(0)
            expected = outputs(call.function(*tensors(floats), **call.metadata))
        for ours, theirs in zip(found, expected, strict=True):
            rtol = 1e-12 if ours.dtype == np.float64 else 1e-3  # dropout keeps to float32
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=rtol)


@pytest.mark.parametrize("name", sorted({c.name for c in ALL} - set(CONSTANTS)))
def test_gradients_have_the_shape_and_dtype_of_their_arrays(name):
    def gradients(call, change):
        args = tensors(changed(change, call.args), requires_grad=True)
        leaves = [x for x in flatten(args) if isinstance(x, mg.Tensor) and x.requires_grad]
        found = outputs(call.function(*args, **call.metadata))
        floats = [y for y in found if isinstance(y, mg.Tensor) and y.requires_grad]
        for i, y in enumerate(floats):
            y.backward(mg.ones(y.shape, dtype=y.dtype), retain_graph=i + 1 < len(floats))
        return leaves

    for kind, call in each(["float16", "empty", "empty last", "0-d", "strided"], name):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            mg.manual_seed(0)
            try:
                leaves = gradients(call, KINDS[kind])
            except Exception as error:  # noqa: BLE001 (its kind is what is tested)
                if "float16" not in repr(error):  # LAPACK has none, and says so
                    assert_refused(call, error)
                continue
            mg.manual_seed(0)
            plain = gradients(call, np.copy) if kind == "strided" else leaves
        for x, y in zip(leaves, plain, strict=True):
            if x.grad is not None:
                assert x.grad.shape == x.shape
                assert x.grad.dtype == x.dtype
                np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)


# -- what is no argument ---------------------------------------------------------------------------


NONSENSE = [
    None, "nonsense", "", b"x", -1, -(10**18), 10**18, 10**30, float("nan"), float("inf"), 1.5,
    object(), [], {}, [None], tuple(range(1, 8)), np.zeros((2, 0, 3)), len, True, 1j,
    np.array(["a"]), 0, -0.5, ((1,), (2, 3)), slice(0), np.zeros(3, bool), np.int8(100),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_for_one_argument_is_taken_or_refused_by_name(name):
    call = FIRST[name]
    signature = inspect.signature(call.function)
    given = signature.bind(*tensors(call.args), **call.metadata).arguments
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        for value in NONSENSE:
            wrong = (value,) if parameter.kind is parameter.VAR_POSITIONAL else value
            named = {**given, parameter.name: wrong}
            arguments = {k: named[k] for k in signature.parameters if k in named}
            bound = inspect.BoundArguments(signature, arguments)
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    call.function(*bound.args, **bound.kwargs)
                except Exception as error:  # noqa: BLE001 (its kind is what is tested)
                    assert_refused(call, error, parameter.name)


NAN, ONE, HALF = float("nan"), np.ones((2, 3)), np.full((2, 3), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda e=e: F.layer_norm(ONE, 3, eps=e), "layer_norm: eps") for e in (-1.0, NAN)],
        *[(lambda e=e: F.group_norm(ONE, 1, eps=e), "group_norm: eps") for e in (-1.0, NAN)],
        *[
            (lambda e=e: F.batch_norm(ONE, None, None, training=True, eps=e), "batch_norm: eps")
            for e in (-1.0, NAN)
        ],
        (lambda: F.batch_norm(ONE, None, None, training=True, momentum=NAN), "momentum"),
        (lambda: F.local_response_norm(ONE[None], 2, alpha=NAN), "local_response_norm: alpha"),
        (lambda: F.cross_entropy(ONE, -HALF), "cross_entropy: target must hold probabilities"),
        (lambda: F.cross_entropy(ONE, HALF, label_smoothing=NAN), "label_smoothing"),
        (lambda: F.binary_cross_entropy(HALF, 2 * ONE), "binary_cross_entropy: target"),
        (lambda: F.binary_cross_entropy(HALF, -HALF), "binary_cross_entropy: target"),
        (lambda: F.binary_cross_entropy_with_logits(ONE, 2 * ONE), "with_logits: target"),
        (lambda: F.huber_loss(ONE, HALF, delta=NAN), "huber_loss: delta"),
        (lambda: F.smooth_l1_loss(ONE, HALF, beta=NAN), "smooth_l1_loss: beta"),
        (lambda: F.dropout(ONE, NAN), "dropout: p"),
        (lambda: F.scaled_dot_product_attention(ONE, ONE, ONE, scale=NAN), "scale"),
        (lambda: mg.pad(ONE, 1, reflect_type="odd"), "pad: reflect_type"),
        (lambda: mg.pad(ONE, 1, mode="edge", reflect_type="odd"), "pad: reflect_type"),
        (lambda: mg.pad(ONE, 1, stat_length=2), "pad: stat_length"),
        (lambda: mg.pad(ONE, 1, end_values=2), "pad: end_values"),
    ],
)
def test_settings_that_mean_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
