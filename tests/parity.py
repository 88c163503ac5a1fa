"""Comparing a function with PyTorch's: value, gradients, and second order along a direction."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: list[Any],
    *,
    rtol: float = 1e-9,
    seed: int = 0,
    order: int = 2,
) -> None:
    """Call both on the arrays (None stays None) and compare up to ``order``; sizes are relative.

    The cotangent and the direction of the second derivative are drawn, so that no constant
    cotangent can hide a mistake.
    """
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    xs = [None if a is None else mg.tensor(a, requires_grad=True) for a in arrays]
    ts = [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]
    mine, real = [x for x in xs if x is not None], [t for t in ts if t is not None]

    expected = theirs(*ts)
    seed_array = rng.uniform(-1.0, 1.0, tuple(expected.shape)).astype(arrays[0].dtype)
    directions = [rng.uniform(-1.0, 1.0, x.shape).astype(arrays[0].dtype) for x in mine]
    with mg.GradientTape(persistent=True) as outer:
        with mg.GradientTape(persistent=True) as inner:
            y = ours(*xs)
        g = inner.gradient(y, mine, mg.tensor(seed_array), unconnected_gradients="zero")
        along = sum((a * u).sum() for a, u in zip(g, directions, strict=True))
    _close(y, expected, rtol, "value")
    real_g = torch.autograd.grad(
        expected, real, torch.tensor(seed_array), create_graph=True, allow_unused=True
    )
    real_g = [torch.zeros_like(t) if b is None else b for t, b in zip(real, real_g, strict=True)]
    for a, b in zip(g, real_g, strict=True):
        _close(a, b, rtol, "gradient")
    raw = mg.GradientTape()
    with raw:
        y = ours(*xs)
    plain = raw.gradient(y, mine, mg.tensor(seed_array), unconnected_gradients="zero")
    for a, b in zip(plain, real_g, strict=True):
        _close(a, b, rtol, "gradient without recording")
    if order < 2:
        return
    real_along = sum((b * torch.tensor(u)).sum() for b, u in zip(real_g, directions, strict=True))
    h = outer.gradient(along, mine, unconnected_gradients="zero")
    if real_along.requires_grad:
        real_h = torch.autograd.grad(real_along, real, allow_unused=True)
    else:
        real_h = [None] * len(real)
    for a, b, x in zip(h, real_h, mine, strict=True):
        _close(a, np.zeros(x.shape) if b is None else b, rtol, "second order")


def _close(a: Any, b: Any, rtol: float, what: str) -> None:
    a = np.asarray(a.numpy())
    b = b.numpy(force=True) if hasattr(b, "detach") else b
    assert a.shape == b.shape, what
    scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=what)
