"""A walk through all public functions: every kind of array, and what is no argument at all."""

import operator

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

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
        (lambda: mg.ones(2) + np.array(["a", "b"]), "add: y must hold numbers"),
        (lambda: np.array([None, 1]) * mg.ones(2), "multiply: x must hold numbers"),
        (lambda: mg.concatenate(3), "concatenate: arrays must be a list of arrays, got 3"),
    ],
)
def test_arrays_that_hold_no_numbers_never_reach_a_kernel(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_memory_for_kernels_is_never_read_as_references():
    from minigrad.memory import scratch

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
        ValueError, match=r"^(rot90|gradient|rollaxis|repeat): .*ax[ie]s.*got x?f?="
    ):
        call(mg.ones((3, 3)))
