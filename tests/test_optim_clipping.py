"""Gradient clipping, beside PyTorch's."""

import re

import numpy as np
import pytest
from optim_cases import gradients, tensors, torch, values

import minigrad as mg
from minigrad import optim

__all__ = ["torch"]  # a fixture


def with_gradients(dtype=np.float64):
    params = tensors(values(dtype))
    arrays = list(gradients(dtype, 4))[3]  # one of them is None
    assert any(g is None for g in arrays)
    for p, g in zip(params, arrays, strict=True):
        p.grad = None if g is None else mg.tensor(g)
    return params, arrays


def torch_gradients(torch, arrays):
    theirs = [torch.zeros(g.shape if g is not None else (1,)) for g in arrays]
    theirs = [q.to(torch.float64).requires_grad_() for q in theirs]
    for q, g in zip(theirs, arrays, strict=True):
        q.grad = None if g is None else torch.tensor(g)
    return theirs


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.0, 1e-3, 0.5, 1e6])
def test_clip_grad_norm_equals_pytorch(torch, max_norm, norm_type):
    params, arrays = with_gradients()
    theirs = torch_gradients(torch, arrays)
    norm = optim.clip_grad_norm_(iter(params), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(norm.numpy(), expected.numpy(), 1e-12)
    for p, q, g in zip(params, theirs, arrays, strict=True):
        if g is None:
            assert p.grad is None
        else:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), 1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite(torch, bad):
    params, arrays = with_gradients()
    arrays[1][2] = bad
    params[1].grad = mg.tensor(arrays[1])
    params[1]._node.name = "bias"
    with pytest.raises(RuntimeError, match="not finite in: 'bias'"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == arrays[0].tolist()
    theirs = torch_gradients(torch, arrays)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    optim.clip_grad_norm_(params, 1.0)
    for p, q in zip(params, theirs, strict=True):
        if q.grad is not None:
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


@pytest.mark.parity
def test_clip_grad_value_equals_pytorch(torch):
    params, arrays = with_gradients()
    theirs = torch_gradients(torch, arrays)
    optim.clip_grad_value_(params, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    for p, q, g in zip(params, theirs, arrays, strict=True):
        if g is not None:
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999, 1.001, 3.0])
def test_clip_grad_norm_follows_its_formula(share, norm_type):
    params, arrays = with_gradients()
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in arrays if g is not None]), norm_type)
    found = optim.clip_grad_norm_(iter(params), share * norm, norm_type)
    np.testing.assert_allclose(found.item(), norm, 1e-12)
    for p, g in zip(params, arrays, strict=True):
        if g is None:
            assert p.grad is None
        else:
            clipped = g * min(1.0, share * norm / (norm + 1e-6))
            np.testing.assert_allclose(p.grad.numpy(), clipped, 1e-12)


@pytest.mark.parametrize("name", ["bias", ""])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_named(bad, name):
    params, arrays = with_gradients()
    arrays[1][2] = bad
    params[1].grad = mg.tensor(arrays[1])
    params[1]._node.name = name
    where = f"'bias' {arrays[1].shape}" if name else f"a tensor of shape {arrays[1].shape}"
    with pytest.raises(RuntimeError, match=f"not finite in: {re.escape(where)}$"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == arrays[0].tolist()
    optim.clip_grad_norm_(
        params[:1], 1e9, error_if_nonfinite=True
    )  # the norm of this one is finite
    optim.clip_grad_norm_(params, 1.0)
    expected = np.nan if np.isnan(bad) else 0.0
    np.testing.assert_array_equal(params[0].grad.numpy(), np.full_like(arrays[0], expected))


def test_clip_grad_value_limits_both_sides():
    params, arrays = with_gradients()
    optim.clip_grad_value_(params, 0.01)
    for p, g in zip(params, arrays, strict=True):
        if g is not None:
            np.testing.assert_array_equal(p.grad.numpy(), np.clip(g, -0.01, 0.01))


def test_the_old_gradient_is_a_value_and_stays():
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    old = w.grad = mg.tensor([3.0, 4.0])
    optim.clip_grad_norm_(w, 1.0)
    optim.clip_grad_value_(w, 0.5)
    assert old.tolist() == [3.0, 4.0]
    assert w.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_stay_and_norms_do_not_overflow(dtype):
    big = np.sqrt(float(np.finfo(dtype).max)) * 10 if dtype != np.float64 else 1e100
    w = mg.tensor(np.full(4, big, dtype), requires_grad=True)
    w.grad = mg.tensor(np.full(4, big, dtype))
    norm = optim.clip_grad_norm_([w], 1.0)
    assert norm.dtype == w.grad.dtype == dtype
    np.testing.assert_allclose(norm.item(), 2 * big, 1e-3)
    np.testing.assert_allclose(w.grad.numpy(), np.full(4, 0.5), 1e-2)


def test_a_shared_parameter_counts_once():
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    w.grad = mg.tensor([3.0, 4.0])
    assert optim.clip_grad_norm_([w, w], 100.0).item() == 5.0


def test_nothing_to_clip():
    w = mg.tensor([3.0], requires_grad=True)
    assert optim.clip_grad_norm_([w], 1.0).item() == 0.0
    assert optim.clip_grad_norm_([], 1.0).item() == 0.0
    w.grad = mg.zeros(1)
    assert optim.clip_grad_norm_([w], 0.0).item() == 0.0
    assert w.grad.tolist() == [0.0]
    empty = mg.tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    empty.grad = mg.zeros((0, 3))
    assert optim.clip_grad_norm_([empty], 1.0, float("inf")).item() == 0.0


def test_clip_by_global_norm_follows_its_formula():
    _, arrays = with_gradients()
    given = [None if g is None else mg.tensor(g) for g in arrays]
    norm = np.sqrt(sum((g**2).sum() for g in arrays if g is not None))
    for limit in (norm / 10, norm * 10):
        clipped, found = optim.clip_by_global_norm(given, limit)
        np.testing.assert_allclose(found.item(), norm, 1e-12)
        for h, g in zip(clipped, arrays, strict=True):
            if g is None:
                assert h is None
            else:
                np.testing.assert_allclose(h.numpy(), g * min(1.0, limit / norm), 1e-12)
    (zeros,), found = optim.clip_by_global_norm([mg.zeros(2)], 0.0)
    assert (zeros.tolist(), found.item()) == ([0.0, 0.0], 0.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda w: optim.clip_grad_norm_([w], -1.0), ValueError, "max_norm must be 0 or more"),
        (lambda w: optim.clip_grad_norm_([w], 1.0, 0.0), ValueError, "norm_type must be in .0, inf., got 0.0"),
        (lambda w: optim.clip_grad_norm_([np.ones(2)], 1.0), TypeError, "expected tensors, got ndarray"),
        (lambda w: optim.clip_grad_value_([w], float("nan")), ValueError, "clip_value must be a number, got NaN"),
        (lambda w: optim.clip_by_global_norm(w, 1.0), TypeError, "list of gradients"),
        (lambda w: optim.clip_by_global_norm([w], float("inf")), ValueError, "max_norm"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(call, error, message):
    w = mg.tensor([3.0], requires_grad=True)
    w.grad = mg.ones(1)
    with pytest.raises(error, match=message):
        call(w)
