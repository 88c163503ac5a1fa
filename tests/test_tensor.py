"""The tensor as a value: dtypes, conversions, refusals."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32), (1, np.int64), (True, np.bool_), ([1.0, 2.0], np.float32),
        ([1, 2], np.int64), (np.array([1.0]), np.float64), (np.float64(1), np.float64),
        (np.array([1], np.int32), np.int32), ([np.float64(1.0)], np.float64),
        (np.float16(1), np.float16),
    ],
)  # fmt: skip
def test_python_floats_are_float32_and_arrays_keep_their_dtype(data, dtype):
    assert mg.tensor(data).dtype == dtype


@pytest.mark.parametrize("other", [2.0, 3, True])
def test_python_scalars_are_weak(other):
    x = mg.ones(3, requires_grad=True)
    for y in (x + other, other - x, x * other, x / 2, x**2, 2.0**x, np.maximum(x, other)):
        assert y.dtype == np.float32
        (g,) = [mg.grad(lambda x: (x * other).sum())(mg.ones(3))]
        assert g.dtype == np.float32


def test_a_tensor_tells_how_it_came():
    x = mg.ones(1, requires_grad=True)
    assert [repr(t) for t in (x, x * 2, (x * 2).detach(), x.astype(np.float64))] == [
        "tensor([1.], requires_grad=True)", "tensor([2.], op=multiply)", "tensor([2.])",
        "tensor([1.], dtype=float64, op=astype)",
    ]  # fmt: skip


def test_a_list_operand_is_float32():
    assert (mg.ones(2) + [1.0, 2.0]).dtype == np.float32


def test_tensor_copies_what_it_is_given():
    source = np.array([1.0, 2.0])
    t = mg.tensor(source)
    source[0] = 9
    assert t.tolist() == [1.0, 2.0]


def test_the_value_cannot_be_written_to():
    t = mg.ones(3)
    with pytest.raises(ValueError, match="read-only"):
        t.numpy()[0] = 1
    with pytest.raises(TypeError, match=r"np\.where"):
        t[0] = 1.0


def test_augmented_assignment_makes_a_new_tensor():
    t = mg.ones(2)
    same = t
    t += 1
    assert same.tolist() == [1, 1]
    assert t.tolist() == [2, 2]


def test_an_array_operand_may_change_after_it_was_used():
    x = mg.tensor([1.0, 1.0], requires_grad=True)
    weights = np.array([2.0, 3.0], np.float32)
    y = (x * weights).sum()
    weights[:] = 100
    y.backward()
    assert x.grad.tolist() == [2, 3]


def test_an_index_array_may_change_after_it_was_used():
    x = mg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    index = np.array([0, 0])
    for one in (index, (index,)):
        x.grad = None
        index[:] = 0
        y = x[one].sum()
        index[:] = 2
        y.backward()
        assert x.grad.tolist() == [2, 0, 0]


def test_views_of_a_parameter_do_not_change_with_it():
    p = mg.nn.Parameter([1.0, 2.0])
    held = [p.numpy(), p.detach(), p[:1], p.T, mg.stop_gradient(p)]
    p.assign([5.0, 6.0])
    assert [h[0] for h in held] == [1, 1, 1, 1, 1]


def test_mixed_operators_with_numpy_give_tensors():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    for y in (np.ones(2) + t, np.float64(2) * t, np.ones((2, 2)) @ t, np.ones(2) - t, [1, 2] + t):
        assert isinstance(y, mg.Tensor)
        assert y.requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.asarray(t * 1), r"\.numpy\(\)"),
        (lambda t: np.array([t * 1, t * 1]), r"np\.stack"),
        (lambda t: np.zeros(3).__setitem__(slice(None), t), r"\.numpy\(\)"),
        (lambda t: np.zeros(3).__iadd__(t), "out="),
        (lambda t: np.add.at(np.zeros(3), [0, 1, 2], t), r"np\.add\.at"),
        (lambda t: np.add.reduce(t), r"np\.add\.reduce"),
        (lambda t: np.put_along_axis(np.zeros(3), np.array([0]), t, 0), "put_along_axis"),
        (lambda t: np.fft.fft(t), r"np\.fft\.fft"),
        (lambda t: np.sin(t, out=np.zeros(3)), "out="),
        (lambda t: np.sum(t, out=np.zeros(())), "out="),
        (lambda t: mg.tensor([t, t]), r"np\.stack"),
        (lambda t: mg.tensor(t), "detach"),
    ],
)
def test_numpy_never_loses_a_graph_silently(call, message):
    with pytest.raises(TypeError, match=message):
        call(mg.tensor([1.0, 2.0, 3.0], requires_grad=True))


def test_an_untracked_tensor_is_an_array_to_numpy():
    assert np.asarray(mg.ones(2)).tolist() == [1, 1]
    assert np.asarray(mg.ones(2), dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mg.ones((2, 3)) + mg.ones(4), ValueError, r"add: .*\(2, 3\) and \(4,\).*axis -1"),
        (lambda: mg.ones((2, 3)) @ mg.ones((2, 3)), ValueError, "matmul: .*k is 3 and 2"),
        (lambda: mg.Tensor([1.0]), TypeError, r"expected an ndarray, got list; mg\.tensor\(data\)"),
        (lambda: mg.Tensor(mg.ones(2)), TypeError, "got Tensor; mg.tensor"),
        (lambda: mg.tensor(["a"]), TypeError, "dtype"),
        (lambda: mg.tensor([[1], [1, 2]]), ValueError, "tensor:"),
        (lambda: mg.tensor([1, 2], requires_grad=True), TypeError, "floating-point.*int64"),
        (lambda: mg.tensor([1.0], dtype="nonsense"), TypeError, "nonsense"),
        (lambda: mg.ones(2).item(), ValueError, r"one element.*\(2,\)"),
        (lambda: bool(mg.ones(2)), ValueError, "any"),
        (lambda: mg.sum(mg.ones(2), wrong=1), TypeError, "sum: unknown argument 'wrong'"),
        (lambda: mg.ones(2)[5], IndexError, "getitem"),
        (lambda: mg.ones(2) < mg.ones(3), ValueError, "less: "),
        (lambda: ~mg.ones(2), TypeError, "invert: "),
        (lambda: mg.sum(mg.ones(2), axis=1), IndexError, "sum: .*axis 1"),
        (lambda: mg.tensor(np.array([1j]), requires_grad=True), TypeError, "complex128"),
        (lambda: mg.ones(2).backward(), RuntimeError, "requires_grad"),
        (lambda: mg.ones(2, requires_grad=True).backward(), RuntimeError, r"y\.sum\(\)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_tensor_of_numpys_scalars_and_special_arrays_holds_an_ndarray():
    masked = np.ma.array([1.0, 2.0])
    assert type(mg.Tensor(np.float32(2.0))._data) is np.ndarray
    assert type(mg.Tensor(masked)._data) is np.ndarray


def test_scalars_stay_tensors():
    x = mg.tensor(2.0, requires_grad=True)
    for y in (x + 1, x.sum(), mg.exp(x), x[...], x.reshape(())):
        assert isinstance(y, mg.Tensor)
        assert isinstance(y._data, np.ndarray)
        assert y.shape == ()


def test_deepcopy_of_a_leaf_is_a_new_leaf():
    p = mg.nn.Parameter([1.0])
    q = copy.deepcopy(p)
    q.assign([2.0])
    assert (p.tolist(), q.tolist()) == ([1.0], [2.0])
    (q * q).sum().backward()
    assert p.grad is None
    assert q.grad.tolist() == [4.0]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("wrap", [tuple, lambda parts: {"a": list(parts)}])
def test_a_leaf_is_not_copied_apart_from_its_results(order, wrap):
    x, other = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    with pytest.raises(TypeError, match=r"deepcopy: a leaf was copied together.*\.detach\(\)"):
        copy.deepcopy(wrap([x, mg.exp(x * x)][::order]))
    for harmless in (x * x).detach(), other * other:
        copies = copy.deepcopy([x, harmless][::order])
        assert copies[::order][0] is not x


MASKED = np.ma.array([1.0, 2.0], mask=[False, True])
WITH_MASKED = {
    "tensor": mg.tensor, "Tensor": mg.Tensor, "a list": lambda m: mg.tensor([m, m]),
    "t + m": lambda m: mg.ones(2) + m, "t * m": lambda m: mg.ones(2) * m,
    "np.add": lambda m: np.add(m, mg.ones(2, requires_grad=True)),
    "exp": mg.exp, "where": lambda m: np.where(m > 1.5, mg.ones(2), 0.0),
    "stack": lambda m: np.stack([mg.ones(2), m]), "sum": mg.sum,
    "matmul": lambda m: mg.ones((2, 2)) @ m,
    "linear": lambda m: mg.nn.Linear(2, 1).to("float64")(m),
    "assign": lambda m: mg.nn.Parameter([1.0, 1.0]).assign(m),
    "loss": lambda m: mg.nn.functional.mse_loss(m, mg.ones(2)),
    "gradient": lambda m: mg.grad(lambda x: mg.sum(x * m))(np.ones(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_MASKED)
def test_no_mask_is_lost(name):
    with pytest.raises(TypeError, match=r"a masked array would lose its mask here.*filled"):
        WITH_MASKED[name](MASKED)
    WITH_MASKED[name](np.ma.array([1.0, 2.0]))  # without a masked element


def test_pickle_keeps_the_value_and_refuses_a_history():
    p = pickle.loads(pickle.dumps(mg.nn.Parameter([1.0])))
    assert p.requires_grad
    assert isinstance(p, mg.nn.Parameter)
    with pytest.raises(TypeError, match="detach"):
        pickle.dumps(p * 2)


def test_a_graph_dies_with_its_output_without_the_collector():
    gc.disable()
    try:
        x = mg.tensor([1.0, 2.0], requires_grad=True)
        with mg.GradientTape() as outer:
            with mg.GradientTape() as inner:
                y = mg.tanh(mg.exp(x) * x) @ x
            g = inner.gradient(y, x) * y
        kept = [
            weakref.ref(a) for n in outer.nodes for a in n.saved or () if isinstance(a, np.ndarray)
        ]
        assert len(kept) > 10
        del y, g, outer, inner
        alive = [ref() for ref in kept if ref() is not None]
        assert all(np.shares_memory(a, x._data) for a in alive)
    finally:
        gc.enable()


def test_chains_of_fifty_thousand_operators():
    x = mg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    assert copy.deepcopy(y).item() == 50_001
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_gradient_mode_and_tapes_are_per_thread():
    seen = {}

    def work():
        x = mg.tensor(3.0, requires_grad=True)
        seen["recording"] = (x * x).requires_grad

    with mg.no_grad(), mg.GradientTape() as tape:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen["recording"] is True
    assert tape.nodes == []


def test_numpy_global_state_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    mg.manual_seed(1)
    mg.randn(3)
    mg.rand(3)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda x: x + np.array(1j), "add: its result is complex"),
        (lambda x: x * mg.tensor(1j), "multiply: its result is complex"),
        (lambda x: x**1j, "power: its result is complex"),
        (lambda x: x.assign(np.array([1j, 2.0])), "assign: expected float32, got complex"),
        (lambda x: x.assign(None), "dtype object is not supported"),
        (lambda x: setattr(x, "grad", np.ones(2)), "expected a tensor or None, got ndarray"),
        (lambda x: mg.concatenate(x, x), r"one list, as in concatenate\(\[a, b\]\)"),
        (lambda x: np.stack(x, x), r"one list, as in stack\(\[a, b\]\)"),
        (lambda x: x.data, r"no attribute 'data'; use \.numpy\(\)"),
        (lambda x: x.sort(), "no attribute 'sort'; use mg.sort"),
    ],
)
def test_ordinary_mistakes_are_told_the_way_out(use, says):
    with pytest.raises((TypeError, AttributeError), match=says):
        use(mg.tensor([1.0, 2.0], requires_grad=True))


def test_a_misspelt_attribute_is_given_the_nearest():
    x = mg.tensor([1.0])
    with pytest.raises(AttributeError) as caught:
        x.require_grad
    assert (caught.value.name, caught.value.obj) == ("require_grad", x)
    assert not hasattr(x, "__dlpack__")


def test_what_numpy_sees_of_a_tensor_is_read_only():
    x = mg.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        np.ix_(x)[0][0] = 3.0


def test_a_python_number_stays_weak_in_divmod_and_kron():
    x = mg.tensor([5.0, 7.5], requires_grad=True)
    for y in (*divmod(x, 2), *divmod(10, x), np.kron(x, 2)):
        assert y.dtype == np.float32


def test_creation_refuses_a_tracked_value_and_a_loose_shape():
    with pytest.raises(TypeError, match=r"full: the value is a tracked tensor.*broadcast_to"):
        mg.full((2,), mg.tensor(3.0, requires_grad=True))
    for make in (mg.zeros, mg.ones):
        with pytest.raises(TypeError, match="got 3; a shape is one tuple"):
            make(2, 3)


@pytest.mark.parametrize(
    "product",
    [
        lambda t, array: t * array,
        lambda t, array: array * t,
        lambda t, array: t.__rmul__(array),
        lambda t, array: mg.multiply(t, array),
        lambda t, array: mg.stack([t * array, t * array])[0],
    ],
)
def test_an_array_that_is_written_to_afterwards_does_not_change_the_gradient(product):
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    array = np.array([3.0, 4.0], np.float32)
    y = product(t, array)
    array[:] = 0.0
    y.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), [3.0, 4.0])


def test_membership_is_equality_of_an_element():
    t = mg.tensor([1.0, 2.0])
    assert 2.0 in t
    assert 3.0 not in t
    assert mg.tensor(1.0) in mg.tensor([1.0, 1.0])
    assert 1.0 not in mg.zeros((0,))


@pytest.mark.parametrize("draw", [mg.rand, mg.randn])
def test_the_shape_of_drawn_numbers(draw):
    assert [draw(*shape).shape for shape in ((), (4,), (2, 3), ((2, 3),), ((),))] == [
        (), (4,), (2, 3), (2, 3), (),
    ]  # fmt: skip
    assert draw(2, requires_grad=True).requires_grad
    assert not draw(2).requires_grad
    assert (draw(2).dtype, draw(2, dtype=np.float64).dtype) == (np.float32, np.float64)


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_a_second_length_is_no_dtype(name):
    make = getattr(mg, name)
    with pytest.raises(
        TypeError,
        match=rf"^{name}: dtype must be a numeric dtype, got 3; a shape is one tuple$",
    ):
        make(2, 3)
    assert make(2, bool).dtype == bool


@pytest.mark.parametrize("flags", [(1, False), (False, 1), (None, True), (True, None)])
def test_the_flags_of_backward_are_flags(flags):
    x = mg.tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match="backward: retain_graph and create_graph must be True or"):
        (x * x).backward(retain_graph=flags[0], create_graph=flags[1])


def test_the_cotangent_that_a_pass_starts_from_cannot_be_written_to():
    seen = []

    @mg.custom_gradient
    def f(x):
        def gradient(g):
            seen.append(g.numpy().flags.writeable or g._data.flags.writeable)
            return g

        return x * 1.0, gradient

    x = mg.tensor([1.0], requires_grad=True)
    f(x).backward()
    assert seen == [False]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64])
def test_a_cotangent_takes_the_dtype_of_its_tensor(dtype, given):
    x = mg.tensor(np.ones(2, dtype), requires_grad=True)
    (x * 1.0).backward(np.array([1.0, 2.0], given))
    assert (x.grad.dtype, x.grad.tolist()) == (dtype, [1.0, 2.0])


def test_a_copy_is_a_copy_and_a_view_cannot_be_written_to():
    t = mg.ones(3)
    for same in (np.asarray(t), t.numpy(), np.array(t, copy=None)):
        assert np.shares_memory(same, t._data)
        assert not same.flags.writeable
    for other in (np.array(t), np.array(t, copy=True), np.asarray(t, np.float64)):
        assert not np.shares_memory(other, t._data)
        assert other.flags.writeable
    with pytest.raises(ValueError, match="a copy is needed to turn float32 into float64"):
        np.array(t, dtype=np.float64, copy=False)
    assert np.shares_memory(np.array(t, dtype=np.float32, copy=False), t._data)


def test_only_a_leaf_holds_a_gradient():
    x = mg.tensor(1.0, requires_grad=True)
    y = x * 1.0
    y.grad = None  # as loops do that clear the gradients of whatever they are given
    for one in (y, mg.tensor(1.0)):
        with pytest.raises(RuntimeError, match="grad: only a leaf with requires_grad=True"):
            one.grad = mg.tensor(1.0)
    x.grad = mg.tensor(5.0)
    assert x.grad.item() == 5.0
    x.grad = None
    assert x.grad is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_wider_result_gives_a_gradient_of_the_input_s_dtype(dtype):
    x = mg.tensor(np.ones(2, dtype), requires_grad=True)
    y = x * np.array([2.0, 3.0]) + x
    assert y.dtype == np.float64
    y.sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (dtype, [3.0, 4.0])
    z = mg.tensor(np.ones(2), requires_grad=True)
    (z.astype(dtype) * x).sum().backward()
    assert z.grad.dtype == np.float64


def test_settings_in_a_tuple_are_copied_and_never_tracked():
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    widths = ([1, 2], [0, 1])
    y = mg.pad(x, widths)
    widths[0][0] = widths[1][0] = 3
    (y * np.arange(20.0).reshape(5, 4)).sum().backward()
    assert x.grad.tolist() == [[4.0, 5.0, 6.0], [8.0, 9.0, 10.0]]
    t = mg.tensor(1.0, requires_grad=True)
    from minigrad.operators.declare import OPERATORS, engine

    with pytest.raises(TypeError, match="pad: constant_values= is a setting"):
        engine.record(OPERATORS["pad"], (x,), {"pad_width": 1, "constant_values": (t, 2.0)})


def test_no_rule_is_asked_for_what_nobody_wants():
    from minigrad.engine.hooks import Hook

    class Asked(Hook):
        def __init__(self):
            self.edges = []

        def backward(self, apply, node, edges, g, tensor):
            self.edges.append((node.op.name, [i for i, _ in edges]))
            return super().backward(apply, node, edges, g, tensor)

    a, b = (mg.tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    for source, wanted in ((a, 0), (b, 1)):
        with mg.GradientTape() as tape:
            y = (mg.sin(a) @ mg.cos(b)).sum()
        with Asked() as asked:
            tape.gradient(y, source)
        assert dict(asked.edges)["matmul"] == [wanted]
        assert ("cos" in dict(asked.edges)) == (source is b)


def test_flatten_joins_the_axes_between_its_ends():
    t = mg.tensor(np.arange(24.0).reshape(2, 3, 4))
    shapes = {(): (24,), ("C",): (24,), (0,): (24,), (1,): (2, 12), (2,): (2, 3, 4), (-1,): (2, 3, 4),
              (-2,): (2, 12), (0, 1): (6, 4), (0, 0): (2, 3, 4), (0, -2): (6, 4), (-3, -1): (24,)}  # fmt: skip
    for axes, shape in shapes.items():
        assert t.flatten(*axes).shape == shape, axes
        assert t.flatten(*axes).numpy().ravel().tolist() == list(range(24))


def test_axes_are_joined_or_exchanged_by_the_methods():
    x = mg.zeros((2, 3, 4))
    assert x.flatten().shape == x.flatten("C").shape == (24,)
    assert x.flatten(-1).shape == (2, 3, 4)
    assert x.flatten(1).shape == (2, 12)
    assert x.flatten(0, 1).shape == (6, 4)
    assert x.transpose((1, 2, 0)).shape == x.transpose(1, 2, 0).shape == (3, 4, 2)
    for axes in ((0, 1), (1, 2)):
        with pytest.raises(ValueError, match=r"expected all 3 axes .* x\.swapaxes\("):
            x.transpose(*axes)
    assert mg.zeros((2, 3)).transpose(1, 0).shape == (3, 2)
