"""Running sums and products, and their opposites: differences, gradients, areas."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, composite, engine, operator, weak
from minigrad.operators.domain import nonzero, sample
from minigrad.operators.indexing import on_axis, one_axis, one_line, take_axis
from minigrad.operators.rows import along_axis

ALONG = [
    sample((4,), axis=0), sample((2, 3), axis=1), sample((2, 3), axis=0), sample((2, 3)),
    sample((0, 3), axis=0), sample((2, 3, 2), axis=-2),
]  # fmt: skip


def _in_line(x: Any, axis: int | None) -> tuple[Any, int]:
    """x, flattened when the axis is None or x one number, and that axis."""
    return one_line(x, axis if x.ndim else None)


def _running(numpy: Any, kernel: str) -> Any:
    """NumPy's function; of floats along one axis, a kernel."""

    def forward(x: Any, axis: int | None = None) -> Any:
        if type(x) is not np.ndarray or axis is None or x.dtype.char not in "fd" or not x.ndim:
            return numpy(x, axis=axis)
        return getattr(kernels, kernel)(x, one_axis(axis, x.ndim))

    return forward


_cumsum = _running(np.cumsum, "running_sum")


def _cumsum_vjp(g: Any, _ans: Any, _x: Any, axis: int | None = None) -> Any:
    line = 0 if axis is None else axis
    return np.reshape(np.flip(_cumsum(np.flip(g, line), axis=line), line), _x.shape)


cumsum = along_axis(
    np.cumsum,
    _cumsum_vjp,
    runs=_cumsum,
    samples=ALONG,
    wide=True,
    example="tensor([1.0, 2.0, 3.0]) -> tensor([1., 3., 6.])",
)
"""The sum of each element and all before it along ``axis``; flattened first when None."""


def _weighted_tails(g: Any, x: Any) -> Any:
    """s[k] = g[k] + x[k+1] s[k+1] along the last axis: sums of g times products of x, by doubling.

    No division, so zeros do no harm, and log2(n) steps.
    """
    n = x.shape[-1]
    factors = np.concatenate([x[..., 1:], np.zeros_like(x[..., :1])], axis=-1)
    step = 1
    while step < n:
        ahead = np.concatenate([g[..., step:], np.zeros_like(g[..., :step])], axis=-1)
        g = g + factors * ahead
        further = np.concatenate([factors[..., step:], np.zeros_like(x[..., :step])], axis=-1)
        factors = factors * further
        step *= 2
    return g


def _cumprod_vjp(g: Any, ans: Any, x: Any, axis: int | None = None) -> Any:
    flat, line = _in_line(x, axis)
    if np.all(ans != 0):
        total = np.flip(_cumsum(np.flip(g * ans, line), axis=line), line)
        return np.reshape(total, x.shape) / x
    flat = np.moveaxis(flat, line, -1)
    before = np.moveaxis(ans, line, -1)[..., :-1]
    before = np.concatenate([np.ones_like(flat[..., :1]), before], axis=-1)
    total = before * _weighted_tails(np.moveaxis(g, line, -1), flat)
    return np.reshape(np.moveaxis(total, -1, line), x.shape)


cumprod = along_axis(
    np.cumprod,
    _cumprod_vjp,
    runs=_running(np.cumprod, "running_product"),
    domain=nonzero,
    samples=[
        *ALONG, sample(np.array([2.0, 0.0, 3.0, -1.5])),
        sample(np.array([0.0, 2.0, 0.0, 3.0, 0.5])),
        sample(np.array([[0.0, 2.0], [1.5, 0.0], [3.0, 2.0]]), axis=0),
    ],
    wide=True,
    says="Right also where factors are 0.",
    example="tensor([1.0, 2.0, 3.0]) -> tensor([1., 2., 6.])",
)  # fmt: skip
"""The product of each element and all before it along ``axis``; flattened first when None."""


def _logcumsumexp_vjp(g: Any, ans: Any, x: Any, axis: int | None = None) -> Any:
    flat, line = _in_line(x, axis)
    flat, ans, g = (np.moveaxis(one, line, -1) for one in (flat, ans, g))
    # A sum is the next sum times a ratio of at most 1, so nothing overflows on the way back.
    # Of nothing but -inf each share is 0; beside an infinite sum, that of what is finite.
    finite = np.where(ans == -np.inf, 0.0, ans)
    ahead = finite[..., 1:]
    ratios = np.exp(np.where(ans[..., :-1] == ans[..., 1:], 0.0, ans[..., :-1] - ahead))
    tails = _weighted_tails(g, np.concatenate([np.ones_like(ratios[..., :1]), ratios], axis=-1))
    return np.reshape(np.moveaxis(np.exp(flat - finite) * tails, -1, line), x.shape)


@operator(vjp=_logcumsumexp_vjp, samples=ALONG, wide=True, numbers="inexact")
def logcumsumexp(x: Array, axis: int | None = None) -> Array:
    """`log(cumsum(exp(x)))` along ``axis``, without overflow; flattened first when None.

    As ``torch.logcumsumexp``.

    >>> logcumsumexp(tensor([1000.0, 1000.0]))
    tensor([1000.   , 1000.693])
    """
    flat, line = _in_line(x, axis)
    return np.logaddexp.accumulate(flat, axis=line)


_ONE_OR_GIVEN = [
    sample((4,)), sample((2, 3), axis=1), sample((2, 3), axis=0, include_initial=True),
    sample((0, 2), axis=0, include_initial=True),
]  # fmt: skip


def _cumulative(running: Any, empty: Any, x: Any, axis: int | None, include_initial: bool) -> Any:
    """Running sums or products; with ``include_initial`` the empty one comes first."""
    if axis is None and x.ndim > 1:
        raise ValueError(f"expected axis= for {x.ndim} axes; it may be left out for one axis only")
    axis = 0 if axis is None else axis
    x = np.atleast_1d(x)
    total = running(x, axis=axis)
    if not include_initial:
        return total
    return np.concatenate([empty(np.sum(x, axis=axis, keepdims=True)), total], axis=axis)


@composite(getattr(np, "cumulative_sum", None), samples=_ONE_OR_GIVEN)
def cumulative_sum(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    """cumsum after the array API standard: ``include_initial`` puts the empty sum, 0, first.

    >>> cumulative_sum(tensor([1.0, 2.0]), include_initial=True)
    tensor([0., 1., 3.])
    """
    return _cumulative(np.cumsum, np.zeros_like, x, axis, include_initial)


@composite(getattr(np, "cumulative_prod", None), domain=nonzero, samples=_ONE_OR_GIVEN)
def cumulative_prod(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    """cumprod after the array API standard: ``include_initial`` puts the empty product, 1, first.

    >>> cumulative_prod(tensor([2.0, 3.0]), include_initial=True)
    tensor([1., 2., 6.])
    """
    return _cumulative(np.cumprod, np.ones_like, x, axis, include_initial)


def _beside(value: Any, x: Any) -> Any:
    """A number as a tensor that does not widen x."""
    made = engine.as_tensor(weak(value, [x.dtype]))
    if made.dtype.kind == "c":
        raise TypeError(f"prepend and append must be real, got {value!r}")
    return made.astype(x.dtype) if x.dtype.kind == "f" else made


@composite(
    np.diff,
    samples=[
        sample((5,)), sample((2, 4), n=2), sample((4, 2), axis=0), sample((0, 3)),
        sample((3,), n=0),
        sample((3,), prepend=1.0, append=np.array([2.0, 3.0])), sample((3,), n=5),
    ],
)  # fmt: skip
def diff(
    a: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None
) -> Array:
    """The differences of neighbours along ``axis``, taken ``n`` times.

    ``prepend``, ``append``: values put before and after ``a`` first. Raises ValueError for n < 0.

    >>> diff(tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if n == 0:
        return a
    if a.ndim == 0:
        raise ValueError("expected at least one axis, got shape ()")
    parts = [part for part in (prepend, a, append) if part is not None]
    if len(parts) > 1:
        one = [*a.shape]
        one[axis] = 1
        a = np.concatenate(
            [p if np.ndim(p) else np.broadcast_to(_beside(p, a), one) for p in parts],
            axis=axis,
        )
    for _ in range(min(n, a.shape[one_axis(axis, a.ndim)])):
        after, before = take_axis(a, axis, slice(1, None)), take_axis(a, axis, slice(None, -1))
        a = np.not_equal(after, before) if a.dtype.kind == "b" else after - before
    return a


@composite(
    np.ediff1d, samples=[sample((5,)), sample((2, 3)), sample((0,)), sample((3,), to_end=[1.0])]
)
def ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Array:
    """The differences of neighbours of the flattened ary, with values put before and after.

    Raises TypeError for ends that would not fit ary's kind of numbers.

    >>> ediff1d(tensor([1.0, 4.0, 9.0]), to_end=[0.0])
    tensor([3., 5., 0.])
    """
    ary = np.ravel(ary)
    parts = [ary[1:] - ary[:-1]]
    for name, ends in (("to_begin", to_begin), ("to_end", to_end)):
        if ends is None:
            continue
        ends = np.ravel(engine.as_tensor(weak(ends, [ary.dtype])))  # a number has ary's digits
        if not np.can_cast(ends.dtype, ary.dtype, "same_kind"):
            raise TypeError(f"{name} has dtype {ends.dtype}, which does not fit {ary.dtype}")
        ends = ends if ends.dtype == ary.dtype else ends.astype(ary.dtype)
        parts = [ends, *parts] if name == "to_begin" else [*parts, ends]
    return np.concatenate(parts)


def _slopes(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """Second-order differences inside, one-sided ones of ``edge_order`` at both ends."""
    f = np.moveaxis(f, axis, -1)
    n = f.shape[-1]
    if n < edge_order + 1:
        raise ValueError(f"expected at least {edge_order + 1} elements along axis {axis}, got {n}")
    if np.shape(spacing) not in ((), (n,)):
        raise ValueError(
            f"expected one step or {n} coordinates along axis {axis}, got shape {np.shape(spacing)}"
        )
    h = np.diff(spacing) if np.ndim(spacing) else np.full(n - 1, spacing)
    h = np.asarray(h, dtype=f.dtype)
    a, b = h[:-1], h[1:]
    inner = f[..., :-2] * (-b / (a * (a + b))) + f[..., 2:] * (a / (b * (a + b)))
    middle = (b - a) / (a * b)
    if middle.any():  # with even spacing the point itself has no part, even inf
        inner = inner + f[..., 1:-1] * middle
    if edge_order == 1:
        first = (f[..., 1:2] - f[..., :1]) / h[0]
        last = (f[..., -1:] - f[..., -2:-1]) / h[-1]
    else:
        first = _end(f[..., 0:1], f[..., 1:2], f[..., 2:3], h[0], h[1])
        last = -_end(f[..., -1:], f[..., -2:-1], f[..., -3:-2], h[-1], h[-2])
    return np.moveaxis(np.concatenate([first, inner, last], axis=-1), -1, axis)


def _end(f0: Any, f1: Any, f2: Any, a: Any, b: Any) -> Any:
    return (
        f0 * (-(2.0 * a + b) / (a * (a + b))) + f1 * ((a + b) / (a * b)) - f2 * (a / (b * (a + b)))
    )


@composite(
    np.gradient,
    samples=[
        sample((5,)), sample((4, 3), axis=0), sample((4, 3), axis=-1, edge_order=2),
        sample((2, 0), axis=0),
    ],
)  # fmt: skip
def gradient(f: Array, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The slopes of sampled values f along each axis, as np.gradient: one tensor or a tuple.

    ``spacing``: nothing (1), one step for all axes, or a step or coordinates for each axis.
    Raises ValueError for an ``edge_order`` other than 1 or 2, for one axis named twice and for too
    few elements, TypeError for booleans.

    >>> gradient(tensor([1.0, 4.0, 9.0]))
    tensor([3., 4., 5.])
    """
    if f.dtype.kind == "b":
        raise TypeError(f"f must hold numbers, got {f.dtype}")
    f = f if f.dtype.kind in "fc" else f.astype(np.float64)
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order must be 1 or 2, got {edge_order!r}")
    given = range(f.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [one_axis(a, f.ndim) for a in given]
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis must not name one axis twice, got {axis}")
    steps = [engine.constant(s) for s in spacing] or [1.0]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes):
        raise ValueError(f"expected 1 or {len(axes)} spacings, got {len(steps)}")
    made = tuple(_slopes(f, a, s, edge_order) for a, s in zip(axes, steps, strict=True))
    return made[0] if len(made) == 1 else made


@composite(
    np.trapezoid,
    samples=[
        sample((5,)), sample((2, 4), axis=0, dx=0.5), sample((2, 3), x=np.array([0.0, 1.0, 3.0])),
        sample((0, 3)),
    ],
)  # fmt: skip
def trapezoid(y: Array, x: Array = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """The area under sampled values y by the trapezoidal rule.

    ``x``: the places of the samples, else they lie ``dx`` apart.

    >>> trapezoid(tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    if x is not None:
        dx = np.diff(x, axis=-1 if np.ndim(x) == 1 else axis)
        dx = on_axis(dx, axis, y.ndim) if np.ndim(x) == 1 else dx
    pairs = take_axis(y, axis, slice(1, None)) + take_axis(y, axis, slice(None, -1))
    return np.sum(0.5 * (dx * pairs), axis=axis)
