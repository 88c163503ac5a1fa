"""Every function of NumPy's namespace is one of: differentiable, constant, plain or refused."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine import numpy_protocol
from minigrad.engine.numpy_protocol import PLAIN, REASONS
from minigrad.operators import on_demand
from minigrad.operators.declare import COMPOSITES, CONSTANTS, NUMPY, OPERATORS

assert [*on_demand.modules()]  # which fills the tables

DISPATCHED = type(np.sum)
NAMESPACES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
#: NumPy does not ask us about these. They make arrays, convert them or speak about other things;
#: that what converts refuses a tracked tensor is tested below.
NOT_ASKED = {
    "arange", "array", "asanyarray", "asarray", "asarray_chkfinite", "ascontiguousarray",
    "asfortranarray", "asmatrix", "bartlett", "base_repr", "binary_repr", "blackman", "bmat",
    "datetime_data", "diag_indices", "empty", "eye", "format_float_positional",
    "format_float_scientific", "from_dlpack", "frombuffer", "fromfile", "fromfunction",
    "fromiter", "frompyfunc", "fromregex", "fromstring", "full", "genfromtxt", "get_include",
    "get_printoptions", "getbufsize", "geterr", "geterrcall", "hamming", "hanning", "identity",
    "indices", "info", "isdtype", "isfortran", "isscalar", "issubdtype", "iterable", "kaiser",
    "load", "loadtxt", "mask_indices", "mintypecode", "nested_iters", "ones", "printoptions",
    "promote_types", "require", "row_stack", "set_printoptions", "setbufsize", "seterr",
    "seterrcall", "show_config", "show_runtime", "test", "tri", "tril_indices", "triu_indices",
    "typename", "zeros", "fftfreq", "rfftfreq", "in1d", "trapz",
}  # fmt: skip


def functions():
    for space, module in NAMESPACES.items():
        for name in sorted(dir(module)):
            found = getattr(module, name)
            if callable(found) and not isinstance(found, type) and not name.startswith("_"):
                yield pytest.param(found, f"{space}.{name}", id=f"{space}.{name}")


def tracked(shape=(3, 3)):
    return mg.tensor(np.arange(1.0, 10.0).reshape(3, 3), requires_grad=True)[: shape[0], : shape[1]]


@pytest.mark.parametrize(("function", "name"), list(functions()))
def test_every_function_of_numpy_has_its_class(function, name):
    if function in NUMPY:
        ours = NUMPY[function]
        kinds = [ours.__name__ in OPERATORS, ours.__name__ in CONSTANTS]
        kinds.append(any(c.function is ours for c in COMPOSITES.values()))
        creation = ours.__module__ == "minigrad.engine.creation"
        assert any(kinds) or creation, f"{name} stands for {ours}, which no table knows"
    elif function in PLAIN:
        return
    elif isinstance(function, (DISPATCHED, np.ufunc)):
        check_refused(function, name)
    else:
        assert name.rsplit(".", 1)[-1] in NOT_ASKED, f"{name} is in no class"


def check_refused(function, name):
    """However many tensors it takes: a TypeError that names the function and the way out."""
    refusals = 0
    for count in range(1, 5):
        try:
            result = function(*[tracked()] * count)
        except TypeError as error:
            refusals += name.rsplit(".", 1)[-1] in str(error) and ".numpy()" in str(error)
        else:
            pytest.fail(f"{name} gave {type(result).__name__}")
    assert refusals, f"{name} does not say who refuses"


def test_reasons_are_for_refused_functions():
    assert not set(REASONS) & set(NUMPY)
    assert not set(REASONS) & PLAIN


@pytest.mark.parametrize("alias", [
    ("amax", "max"), ("amin", "min"), ("absolute", "abs"), ("true_divide", "divide"),
    ("mod", "remainder"), ("concat", "concatenate"), ("permute_dims", "transpose"),
    ("acos", "arccos"), ("atan2", "arctan2"), ("pow", "power"), ("radians", "deg2rad"),
    ("degrees", "rad2deg"), ("around", "round"), ("conj", "positive"), ("real", "copy"),
    ("bitwise_not", "invert"),
])  # fmt: skip
def test_aliases_are_the_same_operator(alias):
    other, name = (getattr(np, one) for one in alias)
    assert NUMPY[other] is getattr(mg, alias[1])
    assert NUMPY.get(name, NUMPY[other]) is NUMPY[other]
    if hasattr(mg, alias[0]):
        assert getattr(mg, alias[0]) is getattr(mg, alias[1])


@pytest.mark.parametrize(
    "name", ["matmul", "outer", "cross", "tensordot", "vecdot", "matrix_transpose"]
)
def test_linalg_has_the_operators_of_numpy_again(name):
    if not hasattr(np.linalg, name):
        pytest.skip("this NumPy does not have it")
    assert NUMPY[getattr(np.linalg, name)] is getattr(mg, name)
    assert getattr(mg.linalg, name) is getattr(mg, name)


def test_the_namespace_of_linalg_is_numpys():
    for name in mg.linalg.__all__:
        assert getattr(mg.linalg, name)
    missing = {n for n in dir(np.linalg) if isinstance(getattr(np.linalg, n), DISPATCHED)}
    assert missing - set(mg.linalg.__all__) == {"eig", "eigvals"}


# -- NumPy's own names of arguments ----------------------------------------------------------------

X = np.array([[1.0, 2.0], [3.0, 5.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sum(a=x, axis=0),
        lambda x: np.sum(x, 0, None, None, True),
        lambda x: np.sum(x, axis=1, dtype=None, out=None, keepdims=np._NoValue, where=True),
        lambda x: np.mean(a=x, axis=1, keepdims=True),
        lambda x: np.mean(x, 0, None, None, True),
        lambda x: np.max(a=x, axis=0, out=None),
        lambda x: np.std(a=x, axis=0, ddof=1),
        lambda x: np.std(x, 0, None, None, 1),
        lambda x: np.prod(x, 1, None, None, True),
        lambda x: np.cumsum(a=x, axis=0, dtype=None),
        lambda x: np.reshape(x, 4),
        lambda x: np.reshape(x, (4,), "C"),
        lambda x: np.ravel(x, "C"),
        lambda x: np.ravel(a=x, order="K"),
        lambda x: np.transpose(a=x, axes=(1, 0)),
        lambda x: np.squeeze(a=np.expand_dims(a=x, axis=0), axis=0),
        lambda x: np.clip(x, a_min=2.0, a_max=None),
        lambda x: np.clip(x, 1.5, 4.0, None),
        lambda x: np.clip(a=x, a_min=1.5, a_max=4.0),
        lambda x: np.take(a=x, indices=[0, 0], axis=1, out=None),
        lambda x: np.take(x, [0, 1], 1, None, "clip"),
        lambda x: np.concatenate((x, x), axis=1, out=None),
        lambda x: np.stack(arrays=(x, x), axis=1),
        lambda x: np.vstack(tup=[x, x]),
        lambda x: np.where(x > 2, x, 0.0),
        lambda x: np.where(x > 2)[1] * 1.0,
        lambda x: np.sort(a=x, axis=0, kind="stable"),
        lambda x: np.sort(a=x, axis=0, stable=True),
        lambda x: np.median(a=x, axis=0, overwrite_input=False),
        lambda x: np.quantile(a=x, q=0.3, axis=0),
        lambda x: np.percentile(x, 30, 1),
        lambda x: np.pad(array=x, pad_width=1, mode="edge"),
        lambda x: np.pad(x, 1, "constant", constant_values=3.0),
        lambda x: np.dot(x, b=x),
        lambda x: np.tensordot(a=x, b=x, axes=1),
        lambda x: np.linalg.norm(x=x, ord="nuc"),
        lambda x: np.linalg.norm(x, None, 0, True),
        lambda x: np.linalg.solve(a=x, b=x),
        lambda x: np.linalg.pinv(a=x, rcond=1e-10),
        lambda x: np.diff(a=x, n=1, axis=0),
        lambda x: np.roll(a=x, shift=1, axis=0),
        lambda x: np.flip(m=x, axis=0),
        lambda x: np.tril(m=x, k=-1),
        lambda x: np.diag(v=x, k=1),
        lambda x: np.trace(x, 0, 0, 1, None, None),
        lambda x: np.repeat(a=x, repeats=2, axis=0),
        lambda x: np.tile(A=x, reps=2),
        lambda x: np.split(ary=x, indices_or_sections=2, axis=1)[1],
        lambda x: np.swapaxes(a=x, axis1=0, axis2=1),
        lambda x: np.moveaxis(a=x, source=0, destination=1),
        lambda x: np.broadcast_to(array=x, shape=(2, 2, 2)),
        lambda x: np.average(a=x, axis=0, weights=[1.0, 3.0]),
        lambda x: np.interp(x=x, xp=[0.0, 3.0, 6.0], fp=[0.0, 1.0, 5.0]),
        lambda x: np.convolve(a=x[0], v=x[1], mode="same"),
        lambda x: np.einsum("ij,jk", x, x, optimize=True),
        lambda x: np.nan_to_num(x=x, copy=True, nan=0.0),
        lambda x: np.add(x, x, out=None, where=True),
        lambda x: np.vecdot(x, x, axis=0),
        lambda x: np.argmax(a=x, axis=0, out=None) * 1.0,
        lambda x: np.round(a=x, decimals=1, out=None),
        lambda x: np.zeros_like(a=x, dtype=None, order="K"),
        lambda x: np.full_like(x, 2.0),
        lambda x: np.searchsorted(a=x[0], v=1.5) * 1.0,
        lambda x: np.ptp(a=x, axis=0),
        lambda x: np.trapezoid(y=x, x=None, dx=0.5, axis=0),
        lambda x: np.polyval(p=x[0], x=x),
        lambda x: np.rot90(m=x, k=3),
        lambda x: np.insert(arr=x, obj=1, values=0.0, axis=1),
        lambda x: np.meshgrid(x[0], x[1], indexing="ij")[1],
        lambda x: np.nansum(a=x, axis=0),
    ],
)
def test_numpys_argument_names_work(call):
    ours = call(mg.tensor(X, requires_grad=True))
    assert isinstance(ours, mg.Tensor)
    np.testing.assert_allclose(ours.detach().numpy(), call(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.cumsum(x, dtype=np.float32), r"np\.cumsum: the argument dtype= .*astype"),
        (lambda x: np.nansum(x, 0, np.float32), r"np\.nansum: the argument dtype="),
        (lambda x: np.nansum(x, where=x > 1), r"np\.nansum: the argument where= .*np\.where"),
        (lambda x: np.nansum(x, initial=1.0), r"np\.nansum: the argument initial="),
        (lambda x: np.mean(x, out=np.zeros(())), r"np\.mean: the argument out= .*value"),
        (lambda x: np.cumsum(x, 0, None, np.zeros(3)), r"np\.cumsum: the argument out="),
        (lambda x: np.reshape(x, 4, order="F"), r"np\.reshape: the argument order="),
        (lambda x: np.add(x, 1.0, where=x > 1), r"np\.add: the argument where="),
        (lambda x: np.add(x, 1.0, dtype=np.float32), r"np\.add: the argument dtype="),
        (lambda x: np.histogram(x, weights=x), r"np\.histogram: the argument weights="),
        (lambda x: np.concatenate([x, x], dtype=np.float32), r"np\.concatenate: .*dtype="),
        (lambda x: np.add.reduce(x), r"np\.add\.reduce.*np\.sum"),
        (lambda x: np.multiply.accumulate(x), r"np\.multiply\.accumulate.*np\.cumprod"),
        (lambda x: np.put(np.zeros(3), [0], x), r"np\.put .*np\.where"),
        (lambda x: np.fill_diagonal(x, 0.0), "fill_diagonal .*value"),
        (lambda x: np.linalg.eig(x), r"np\.linalg\.eig .*complex"),
        (lambda x: np.fft.rfft(x), r"np\.fft\.rfft .*complex"),
        (lambda x: np.fft.fftshift(x), r"np\.fft\.fftshift .*np\.roll"),
        (lambda x: np.empty_like(x), r"np\.empty_like .*np\.stack"),
        (lambda x: np.apply_along_axis(np.sum, 0, x), "apply_along_axis .*your function"),
    ],
)
def test_what_is_not_supported_is_refused_in_one_sentence(call, message):
    with pytest.raises(TypeError, match=message):
        call(mg.tensor(X, requires_grad=True))


@pytest.mark.parametrize(
    "call",
    [
        np.asarray, np.array, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require,
        np.asarray_chkfinite, lambda t: np.array([t, t]), lambda t: np.r_[t, t],
        lambda t: np.vectorize(lambda v: v + 1)(t), lambda t: np.frompyfunc(abs, 1, 1)(t),
        lambda t: np.ma.array(t),
    ],
)  # fmt: skip
def test_conversions_refuse_a_tracked_tensor(call):
    with pytest.raises(TypeError, match=r"\.numpy\(\)|graph"):
        call(mg.tensor(X, requires_grad=True))


# -- methods ---------------------------------------------------------------------------------------

#: Methods of ndarray that tensors leave out, by reason.
LEFT_OUT = {
    "in place": {"fill", "partition", "put", "resize", "setfield", "setflags", "sort"},
    "the position of elements in memory": {
        "base", "ctypes", "data", "flags", "flat", "getfield", "strides", "view", "byteswap",
        "tobytes", "tofile", "itemset", "itemsize", "dump", "dumps", "device", "to_device",
    },
    "gone from newer versions of NumPy": {"newbyteorder", "ptp", "tostring"},
    "tuples of indices are made by the function": {"argpartition"},
}  # fmt: skip


def test_tensors_have_the_methods_of_arrays():
    public = {n for n in dir(np.ndarray) if not n.startswith("_")}
    missing = public - set(dir(mg.Tensor)) - set().union(*LEFT_OUT.values())
    assert not missing


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.argmax(axis=0, keepdims=True) * 1.0, lambda x: x.argsort() * 1.0,
        lambda x: x.cumsum(), lambda x: x.cumprod(axis=0), lambda x: x.diagonal(offset=1),
        lambda x: x.trace(), lambda x: x.take([1, 0], axis=1), lambda x: x.repeat(2, axis=0),
        lambda x: x.compress([True, False], axis=0), lambda x: x.round(1), lambda x: x.copy(),
        lambda x: x.conj(), lambda x: x.real, lambda x: x.imag, lambda x: x.any(keepdims=True) * 1.0,
        lambda x: x[0].searchsorted(1.5) * 1.0, lambda x: (x > 2).nonzero()[1] * 1.0,
        lambda x: divmod(x, 2.0)[1], lambda x: divmod(7.0, x)[0], lambda x: x.ravel(),
        lambda x: (x > 2).astype(int).choose([x, -x]),
    ],
)  # fmt: skip
def test_methods_agree_with_numpys(call):
    ours = call(mg.tensor(X, requires_grad=True))
    np.testing.assert_allclose(ours.detach().numpy(), call(X))


# -- constants -------------------------------------------------------------------------------------

I, J, B = np.array([6, 4, 1]), np.array([4, 9, 1]), np.array([True, False, True])
F, G = np.array([1.5, -0.2, 3.0]), np.array([1.0, -0.2, 4.0])
#: A call of each constant, with arrays; each must give NumPy's value, untracked.
CALLS = {
    "angle": (F,), "all": (B,), "any": (B,), "argmax": (F,), "argmin": (F,), "argpartition": (F, 1),
    "argsort": (F,), "argwhere": (B,), "bitwise_and": (I, J), "bitwise_count": (I,),
    "bitwise_or": (I, J), "bitwise_xor": (I, J), "ceil": (F,), "count_nonzero": (B,),
    "digitize": (F, G[1:]), "equal": (F, G), "fix": (F,), "flatnonzero": (B,), "floor": (F,),
    "floor_divide": (F, G), "gcd": (I, J), "greater": (F, G), "greater_equal": (F, G),
    "heaviside": (F, G), "histogram": (F, 2), "histogram2d": (F, G, 2),
    "histogram_bin_edges": (F, 2), "histogramdd": (X, 2), "imag": (F,), "intersect1d": (F, G),
    "invert": (B,), "isclose": (F, G), "iscomplex": (F,), "isfinite": (F,), "isin": (F, G),
    "isinf": (F,), "isnan": (F,), "isneginf": (F,), "isposinf": (F,), "isreal": (F,), "lcm": (I, J),
    "left_shift": (I, J), "less": (F, G), "less_equal": (F, G), "lexsort": ((F, G),),
    "logical_and": (B, B), "logical_not": (B,), "logical_or": (B, B), "logical_xor": (B, B),
    "matrix_rank": (X,), "nanargmax": (F,), "nanargmin": (F,), "nonzero": (B,),
    "not_equal": (F, G), "packbits": (B,), "ravel_multi_index": ((I, J), (7, 10)),
    "right_shift": (I, J), "rint": (F,), "round": (F, 1), "searchsorted": (I[::-1], J),
    "setdiff1d": (F, G), "setxor1d": (F, G), "sign": (F,), "signbit": (F,), "trunc": (F,),
    "union1d": (F, G), "unique": (F,), "unpackbits": (I.astype(np.uint8),),
    "unravel_index": (I, (3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_constants_have_numpys_value_and_no_history(name):
    reference = getattr(np, name, None) or getattr(np.linalg, name)

    def tensors(given):
        if isinstance(given, tuple) and all(isinstance(g, np.ndarray) for g in given):
            return tuple(map(tensors, given))
        floats = isinstance(given, np.ndarray) and given.dtype.kind == "f"
        return mg.tensor(given, requires_grad=floats) if isinstance(given, np.ndarray) else given

    args = CALLS[name]
    expected = reference(*args)
    for function in (getattr(mg, name), reference):
        found = function(*map(tensors, args))
        flat = mg.engine.tape.flatten(list(found) if isinstance(found, tuple) else [found])
        other = np.atleast_1d(expected) if not isinstance(expected, tuple) else expected
        other = [expected] if not isinstance(expected, tuple) else flat_arrays(other)
        assert len(flat) == len(other)
        for ours, theirs in zip(flat, other, strict=True):
            assert not ours.requires_grad
            assert ours.dtype == np.asarray(theirs).dtype
            np.testing.assert_array_equal(ours.numpy(), theirs)


def flat_arrays(nested):
    found = []
    for one in nested:
        found += flat_arrays(one) if isinstance(one, (tuple, list)) else [one]
    return found


def test_signatures_of_translated_functions_are_known():
    for function in NUMPY:
        if isinstance(function, DISPATCHED):
            try:
                assert inspect.signature(function)
            except ValueError:
                assert function.__name__ in numpy_protocol._IN_C


# -- names of arguments ----------------------------------------------------------------------------

A, B = np.array([1.5, -2.0, 0.5]), np.array([2.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (mg.exp, {"x": A}), (mg.abs, {"x": A}), (mg.floor, {"x": A}), (mg.argmax, {"x": A}),
        (mg.all, {"x": A}), (mg.sum, {"x": A}), (mg.diff, {"x": A}), (mg.cumsum, {"x": A}),
        (mg.add, {"x": A, "y": B}), (mg.less, {"x": A, "y": B}), (mg.fmod, {"x": A, "y": B}),
        (mg.isclose, {"x": A, "y": B}), (mg.power, {"x": B, "y": A}), (mg.dot, {"x": A, "y": B}),
        (mg.polymul, {"p": A, "q": B}), (mg.hstack, {"arrays": [A, B]}),
        (mg.block, {"blocks": [A, B]}),
    ],
)  # fmt: skip
def test_arrays_may_be_called_as_before_they_took_numpys_names(function, arrays):
    positional = function(*arrays.values())
    by_name = function(**dict(reversed(arrays.items())))
    np.testing.assert_array_equal(by_name.numpy(), positional.numpy())
    with pytest.raises(TypeError, match=function.__name__):
        function(*arrays.values(), z=1.0)


def test_what_where_safe_fills_in_may_be_called_as_before():
    x = mg.tensor([4.0, -1.0])
    assert mg.where_safe(x > 0, np.sqrt, x, otherwise=3.0).tolist() == [2.0, 3.0]
    assert mg.zeros_like(x=x).tolist() == [0.0, 0.0]
    assert mg.full_like(x=x, fill_value=2).tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match=r"where_safe: .*fill"):
        mg.where_safe(x > 0, np.sqrt, x, fill=3.0)


def test_settings_of_a_function_without_derivative_go_by_position_too():
    x = mg.tensor([[1.0, 3.0], [4.0, 2.0]])
    assert mg.argmax(x, 1, True).shape == (2, 1)
    assert mg.argmax(a=x, axis=1).tolist() == [1, 0]
    assert mg.count_nonzero(x, 0, True).tolist() == [[2, 2]]
    for call in (
        lambda: mg.argmax(x, 1, True, None),
        lambda: mg.argmax(x, out=np.empty(2, int)),
        lambda: mg.floor(x, out=np.empty((2, 2))),
        lambda: mg.less(x),
        lambda: mg.argmax(),
    ):
        with pytest.raises(TypeError, match=r"argmax|floor|less"):
            call()


# -- tensors that nothing is lost from -------------------------------------------------------------

FREE = {
    "np.frexp": lambda x: np.frexp(x)[0], "np.spacing": np.spacing, "np.i0": np.i0,
    "np.fft.fft": np.fft.fft, "np.linalg.eigvals": np.linalg.eigvals, "np.roots": lambda x: np.roots(x[0]),
    "np.add.reduce": np.add.reduce, "np.add.outer": lambda x: np.add.outer(x, x),
    "np.multiply.accumulate": np.multiply.accumulate, "np.add.reduceat": lambda x: np.add.reduceat(x, [0, 1]),
    "np.add.at": lambda x: written(lambda a: np.add.at(a, [0, 0], x)),
    "out= of a ufunc": lambda x: written(lambda a: np.exp(x, out=a)),
    "out= in a tuple": lambda x: written(lambda a: np.add(x, 1.0, out=(a,))),
    "out= of a function": lambda x: written(lambda a: np.sum(x, axis=0, keepdims=True, out=a[:1])),
    "in place": lambda x: written(lambda a: a.__iadd__(x)),
    "np.copyto": lambda x: written(lambda a: np.copyto(a, x)),
    "np.put": lambda x: written(lambda a: np.put(a, [0, 3], x)),
    "order=": lambda x: np.reshape(x, 4, order="F"), "where= of a ufunc": lambda x: written(lambda a: np.add(x, 1, out=a, where=a < 0)),
    "dtype= of a ufunc": lambda x: np.add(x, 1, dtype=np.float32),
    "np.apply_along_axis": lambda x: np.apply_along_axis(np.sum, 0, x), "np.linspace": lambda x: np.linspace(0, x, 3),
}  # fmt: skip


def written(call):
    array = np.zeros((2, 2))
    call(array)
    return array


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FREE)
def test_untracked_tensors_pass_through_numpy_unhindered(name):
    function = FREE[name]
    found = function(mg.tensor(X))
    np.testing.assert_array_equal(np.asarray(found), function(X))
    assert np.asarray(found).dtype == np.asarray(function(X)).dtype
    tracked = mg.tensor(X, requires_grad=True)
    with pytest.raises(TypeError):
        function(tracked)
    with mg.no_grad():
        np.testing.assert_array_equal(np.asarray(function(tracked)), function(X))


def test_a_tensor_is_not_written_into_even_untracked():
    t = mg.tensor(X)
    for call in (
        lambda: np.copyto(t, X), lambda: np.put(t, 0, 1.0), lambda: np.fill_diagonal(t, 0.0),
        lambda: np.add(X, 1.0, out=t), lambda: np.sum(X, axis=0, keepdims=True, out=t),
        lambda: np.add(X, 1.0, out=(t,)), lambda: np.putmask(t, X > 0, 1.0),
        lambda: np.add.at(t, [0], 1.0),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=r"value|mg\.scatter"):
            call()
    np.testing.assert_array_equal(t, X)
