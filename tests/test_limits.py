"""Arguments at the limits of what is allowed, and just beyond: the value, or the error."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.kernels.windows import sliding

ONE, TWO = mg.ones((1, 1, 3, 3)), mg.ones((2, 2))
HUGE = 10**30
SHARED = nn.Sequential(nn.ReLU(), nn.ReLU())
SHARED[1] = SHARED[0]


def window(kernel, dilation):
    return F.conv2d(ONE, mg.ones((1, 1, *kernel)), dilation=dilation).shape


def bags(offsets):
    return F.embedding_bag([0, 1, 1], mg.ones((2, 1)), offsets).shape


def attention(scale):
    return F.scaled_dot_product_attention(TWO, TWO, TWO, scale=scale)


def bytes_gradient(length, dtype, index):
    """The rows of a table that get a gradient when these are taken."""
    table = mg.tensor(np.zeros((length, 2)), requires_grad=True)
    table[np.array(index, dtype)].sum().backward()
    return np.flatnonzero(table.grad.numpy().sum(axis=1)).tolist()


def slope(function, x):
    return mg.grad(function)(np.float64(x)).item()


ALLOWED = {
    "the first row by a negative number": (lambda: nn.Embedding(3, 2, padding_idx=-3).padding_idx, 0),
    "the last row": (lambda: nn.Embedding(3, 2, padding_idx=2).padding_idx, 2),
    "no labels": (lambda: F.one_hot(np.zeros(0, int)).shape, (0, 0)),
    "no classes": (lambda: F.one_hot(np.zeros(0, int), 0).shape, (0, 0)),
    "no labels of three": (lambda: F.one_hot(np.zeros(0, int), 3).shape, (0, 3)),
    "one label": (lambda: F.one_hot([0]).shape, (1, 1)),
    "gaps in one element": (lambda: window((1, 1), HUGE), (1, 1, 3, 3)),
    "gaps in a row of one element": (lambda: window((1, 2), (HUGE, 1)), (1, 1, 3, 2)),
    "gaps in a column of one element": (lambda: window((2, 1), (1, HUGE)), (1, 1, 2, 3)),
    "one bag": (lambda: bags([0]), (1, 1)),
    "an image alone": (lambda: nn.LazyConv2d(2, 2)(mg.ones((3, 4, 5))).shape, (2, 3, 4)),
    "zeros around a signal": (lambda: nn.ZeroPad1d(1)(mg.ones((1, 1))).tolist(), [[0.0, 1.0, 0.0]]),
    "zeros around an image": (lambda: nn.ZeroPad2d(1)(mg.ones((1, 1, 1))).sum().item(), 1.0),
    "means as long as the signal": (lambda: nn.AvgPool1d(3, 1, padding="same")(mg.ones((1, 1, 5))).shape, (1, 1, 5)),
    "means with one more at each end": (lambda: nn.AvgPool1d(3, 1, padding=1).padding, (1,)),
    "numbers of no range": (lambda: nn.init.uniform_(nn.Parameter(np.zeros(2)), 2.0, 2.0).tolist(), [2.0, 2.0]),
    "a module under its second name": (lambda: SHARED.get_submodule("1") is SHARED[0], True),
    "no padding at all": (lambda: F.pad(TWO, (0, 0, 0, 0), "reflect").shape, (2, 2)),
    "all taken away": (lambda: F.pad(TWO, (-1, -1)).shape, (2, 0)),
    "whole numbers padded": (lambda: F.pad(mg.tensor([1, 2]), (1, 0), value=3).dtype, np.int64),
    "padded by a fraction": (lambda: F.pad(mg.tensor([1]), (1, 0), value=0.5).numpy().tolist(), [0.5, 1.0]),
    "bags of which one is empty": (lambda: bags([0, 0, 2]), (3, 1)),
    "no bags of nothing": (lambda: F.embedding_bag(np.zeros(0, int), TWO, np.zeros(0, int)).shape, (0, 2)),
    "a period of 1": (lambda: mg.interp(mg.tensor([1.25]), [0.0, 0.5], [0.0, 1.0], period=1).item(), 0.5),
    "a root's norm beside 0": (lambda: mg.grad(lambda x: mg.vector_norm(x, ord=0.5))(np.array([0.0, 4.0])).tolist(), [0.0, 1.0]),
    "hardswish at 3": (lambda: slope(F.hardswish, 3.0), 1.0),
    "hardswish at -3": (lambda: slope(F.hardswish, -3.0), 0.0),
    "hardswish below 3": (lambda: slope(F.hardswish, 2.4), pytest.approx(1.3)),
    "the last argument": (lambda: mg.grad(lambda _, x: x * x, argnums=-1)(1.0, 3.0), 6.0),
    "the first argument": (lambda: mg.grad(lambda x, _: x * x, argnums=-2)(3.0, 1.0), 6.0),
    "a byte that is an index": (lambda: bytes_gradient(256, np.uint8, [255]), [255]),
    "a byte from behind": (lambda: bytes_gradient(200, np.int8, [-128, 127]), [72, 127]),
    "one axis made flat": (lambda: [F.flatten(ONE, i, i).shape for i in range(4)], [(1, 1, 3, 3)] * 4),
    "the first two axes made flat": (lambda: F.flatten(mg.ones((2, 3, 4)), 0, 1).shape, (6, 4)),
    "softmax of one number": (lambda: F.softmax(mg.tensor(1.0), -1).item(), 1.0),
    "windows without a word of padding": (lambda: sliding("f", (5, 4), 3).out, (3, 2)),
    "softmax of the last axis": (lambda: F.softmax(mg.zeros((1, 2)), 1).tolist(), [[0.5, 0.5]]),
    "scattered to the first place": (lambda: mg.scatter(mg.ones(2), np.array([-3, 2]), (3,)).tolist(), [1.0, 0.0, 1.0]),
    "whole numbers as logits": (lambda: F.binary_cross_entropy_with_logits(mg.tensor([0]), [1.0]).dtype, np.float64),
    "the first of three kinds": (lambda: F.cross_entropy(mg.zeros((1, 3)), np.array([0], np.uint8)).item(), pytest.approx(np.log(3.0))),
}  # fmt: skip
REFUSED = {
    "before the first row": (lambda: nn.Embedding(3, 2, padding_idx=-4), "padding_idx=-4 is out of"),
    "after the last row": (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx=3 is out of"),
    "infinite scale": (lambda: attention(np.inf), "scale must be a finite number, got inf"),
    "minus infinite scale": (lambda: attention(-np.inf), "scale must be a finite number, got -inf"),
    "padding": (lambda: nn.Conv2d(1, 1, 1, padding=-1), "padding must be 0 or more, got -1"),
    "one side's padding": (lambda: nn.Conv2d(1, 1, 1, padding=(-1, 0)), "padding must be 0 or more"),
    "one side's output padding": (lambda: nn.ConvTranspose2d(1, 1, 1, 2, output_padding=(0, -1)), "output_padding must be 0 or more"),
    "the axis after the last": (lambda: nn.Unflatten(2, (1, 2))(TWO), "expected an axis 2, got"),
    "the axis before the first": (lambda: nn.Unflatten(-3, (1, 2))(TWO), "expected an axis -3, got"),
    "a label and no class": (lambda: F.one_hot([0], 0), "expected classes 0 to -1, got 0 to 0"),
    "a row of indices without bags": (lambda: F.embedding_bag([0, 1], TWO), r"expected indices \(B, n\), or \(n,\) with"),
    "bags that begin in bags": (lambda: F.embedding_bag([[0, 1]], TWO, [0]), r"expected indices \(B, n\), or \(n,\) with"),
    "an activation that is unknown": (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), "must be 'relu' or 'gelu' or a function, got 'tanh'"),
    "a kernel that a step would let fit": (lambda: F.conv2d(ONE, mg.ones((1, 1, 4, 4)), stride=2), "does not fit the input's height 3"),
    "padding that leaves nothing": (lambda: F.conv_transpose2d(mg.ones((1, 1, 1, 1)), mg.ones((1, 1, 2, 2)), padding=1), "leaves nothing of the output"),
    "a row of values": (lambda: F.scaled_dot_product_attention(TWO, TWO, mg.ones(2)), "expected one value for each key"),
    "a range of one number": (lambda: nn.Hardtanh(1.0, 1.0), "min_val must be less than max_val, got 1.0 and 1.0"),
    "more than there is": (lambda: F.pad(TWO, (-1, -2)), "take away more than"),
    "bags that go back": (lambda: bags([0, 2, 1]), "offsets must be integers that ascend"),
    "bags from 1": (lambda: bags([1, 2]), "offsets must be integers that ascend"),
    "bags beyond the end": (lambda: bags([0, 4]), "offsets must be integers that ascend"),
    "bags at halves": (lambda: bags([0.0, 1.5]), "offsets must be integers that ascend"),
    "no bags of something": (lambda: bags(np.zeros(0, int)), "offsets must be integers that ascend"),
    "no period": (lambda: mg.interp(mg.ones(1), [0.0], [0.0], period=0), "period must not be 0"),
    "covariance of cubes": (lambda: mg.cov(mg.ones((2, 2, 2))), "cov: expected at most two axes"),
    "after the last argument": (lambda: mg.grad(np.sum, argnums=1)(TWO), "was called with 1 arguments"),
    "before the first argument": (lambda: mg.grad(np.sum, argnums=-2)(TWO), "argnums=-2: sum was called"),
    **{f"{name} along axis {axis}": (lambda name=name, axis=axis: getattr(F, name)(TWO, axis), f"axis {axis} is out of bounds")
       for name in ("softmax", "log_softmax", "softmin") for axis in (2, 3, -3, -5)},
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_just_allowed(name):
    call, expected = ALLOWED[name]
    assert call() == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_just_not_allowed(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("function", [mg.tril, mg.triu])
def test_a_diagonal_is_a_whole_number_and_may_be_far_away(function):
    large = mg.ones((70, 70))
    with pytest.raises(TypeError, match="k must be an int"):
        function(large, 0.5)
    for k in (2**63 - 1, -(2**70)):
        kept = (k > 0) == (function is mg.tril)
        assert function(large, k).numpy().all() if kept else not function(large, k).numpy().any()


@pytest.mark.parametrize("place", [3, -4, 9])
@pytest.mark.parametrize("after", [(), (2,)])
def test_nothing_is_scattered_beyond_the_end(place, after):
    with pytest.raises(IndexError, match=f"scatter: index {place} is out of bounds for axis 0"):
        mg.scatter(mg.ones((2, *after)), np.array([0, place]), (3, *after))


def test_rows_beyond_16_bits_add_up_in_their_own_places():
    table = mg.tensor(np.zeros((70_000, 2)), requires_grad=True)
    rows = np.array([69_999, 69_999 - 2**16, 69_999])
    (table[rows] * np.array([[1.0], [2.0], [4.0]])).sum().backward()
    expected = np.zeros((70_000, 2))
    expected[rows[:2]] = [[5.0], [2.0]]
    np.testing.assert_array_equal(table.grad.numpy(), expected)


def test_the_first_operator_after_a_tape_is_not_in_it():
    x = mg.ones(2, requires_grad=True)
    with mg.GradientTape(persistent=True) as tape:
        y = x * 2.0
        with tape.stop_recording():
            paused = y * 3.0
        again = paused * x
    after = y * 3.0
    assert tape.gradient(paused, x) is None
    assert tape.gradient(after, x) is None
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 2.0]
    assert tape.gradient(again, x).numpy().tolist() == [6.0, 6.0]
