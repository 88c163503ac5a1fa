"""Sequences: sliding sums of products (convolve, correlate) and linear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, engine, operator
from minigrad.operators.domain import Domain, anywhere, sample


@operator(
    vjp=(
        lambda g, _ans, _x, y: np.correlate(g, y, "valid"),
        lambda g, _ans, x, _y: np.correlate(g, x, "valid"),
    ),
    samples=[sample((4,), (2,)), sample((2,), (3,)), sample((1,), (1,))],
    name="convolve",
    reference=np.convolve,
)
def _convolve_full(x: Array, y: Array) -> Array:
    return np.convolve(x, y)


def _middle(full: Any, n: int, m: int, mode: str) -> Any:
    """The part of a full convolution of lengths n and m that a mode wants."""
    short, long = min(n, m), max(n, m)
    if mode == "full":
        return full
    if mode == "same":
        start = (short - 1) // 2
        return full[start : start + long]
    if mode == "valid":
        return full[short - 1 : long]
    raise ValueError(f"mode must be 'full', 'same' or 'valid', got {mode!r}")


MODES = [
    sample(*lengths, mode=mode)
    for lengths in (((5,), (3,)), ((4,), (2,)), ((2,), (5,)), ((3,), (3,)))
    for mode in ("full", "same", "valid")
]


@composite(np.convolve, arrays=2, samples=MODES)
def convolve(a: Array, v: Array, mode: str = "full") -> Array:
    """The convolution of two sequences, `z[k] = sum over i of a[i] v[k - i]`.

    ``mode``: "full" (length n + m - 1), "same" (the middle max(n, m)) or "valid" (only where both
    overlap fully). Raises ValueError for another, for an empty sequence and for several axes.

    >>> convolve(tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0]))
    tensor([0., 1., 2., 3.])
    """
    a, v = np.atleast_1d(a), np.atleast_1d(v)
    return _middle(_convolve_full(a, v), a.size, v.size, mode)


@composite(np.correlate, numbers="real", arrays=2, samples=MODES)
def correlate(a: Array, v: Array, mode: str = "valid") -> Array:
    """The cross-correlation of two sequences, `z[k] = sum over i of a[i + k] v[i]`.

    Modes and errors as for :func:`minigrad.convolve`. a (n,) and v (m,) give (n + m - 1,) in mode
    "full".

    >>> correlate(tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0]))
    tensor([2., 3.])
    """
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError(f"expected sequences of one axis, got shapes {a.shape} and {v.shape}")
    if a.size < v.size:  # as NumPy does it, which decides where the middle is
        return np.flip(correlate(v, a, mode))
    return _middle(_convolve_full(a, np.flip(v)), a.size, v.size, mode)


_KNOTS = Domain(
    "ascending", build=lambda rng, shape: np.arange(*shape) + rng.uniform(0.0, 0.3, shape)
)
_BETWEEN = Domain(
    "between_knots",
    build=lambda rng, shape: rng.integers(-1, 4, shape) + rng.uniform(0.4, 0.9, shape),
)


@composite(
    np.interp,
    numbers="real",
    arrays=3,
    domain=(_BETWEEN, _KNOTS, anywhere),
    samples=[
        sample((5,), (4,), (4,)), sample((), (3,), (3,)), sample((0,), (2,), (2,)),
        sample((2, 3), (4,), (4,), left=-1.0, right=2.0), sample((3,), (1,), (1,)),
        sample((6,), (4,), (4,), period=4.5),
    ],
)  # fmt: skip
def interp(
    x: Array,
    xp: Array,
    fp: Array,
    left: Array = None,
    right: Array = None,
    period: float | None = None,
) -> Array:
    """Straight lines through the points (xp, fp), with xp ascending, read off at x.

    Outside, ``left`` and ``right`` (by default the first and last of fp); with a ``period`` the
    points repeat, in any order. Differentiable in x, xp and fp; at a point, the slope in x is that
    of the line to its right. Raises ValueError when xp and fp differ in length or are empty,
    TypeError for ends that are not real numbers.

    >>> interp(tensor([0.5, 3.0]), tensor([0.0, 1.0]), tensor([10.0, 20.0]))
    tensor([15., 20.])
    """
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"expected xp and fp of one length, got shapes {xp.shape} and {fp.shape}")
    dtype = np.result_type(x.dtype, xp.dtype, fp.dtype)
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    x, xp, fp = (t if t.dtype == dtype else t.astype(dtype) for t in (x, xp, fp))
    if period is not None:
        period = abs(float(period))
        if period == 0:
            raise ValueError("period must not be 0")
        x, xp, left, right = x % period, xp % period, None, None
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if xp.size > 1:
        place = np.searchsorted(engine.constant(xp), engine.constant(x), side="right") - 1
        i = np.clip(place, 0, xp.size - 2)
        x0, x1, f0, f1 = xp[i], xp[i + 1], fp[i], fp[i + 1]
        found = f0 + (x - x0) * ((f1 - f0) / (x1 - x0))
    else:
        found = np.broadcast_to(fp[0], x.shape)
    for name, end in (("left", left), ("right", right)):
        if end is not None and np.asarray(engine.constant(end)).dtype.kind not in "fiub":
            raise TypeError(f"{name} must be a real number, got {end!r}")
    found = np.where(x < xp[0], fp[0] if left is None else left, found)
    return np.where(x > xp[-1], fp[-1] if right is None else right, found)
