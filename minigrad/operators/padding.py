"""Padding: elements put around an array, in the modes of np.pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, operator
from minigrad.operators.domain import distinct, sample
from minigrad.operators.indexing import take_axis


def _pad_vjp(g: Any, _ans: Any, _x: Any, pad_width: Any, constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(pad_width, (_x.ndim, 2))
    inner = tuple(
        slice(int(low), int(low) + n) for (low, _), n in zip(widths, _x.shape, strict=True)
    )
    return g[inner]


@operator(
    vjp=_pad_vjp,
    samples=[
        sample((2, 3), pad_width=1), sample((2, 3), pad_width=((0, 1), (2, 0))),
        sample((3,), pad_width=(1, 2), constant_values=5.0), sample((0, 2), pad_width=1),
        sample((2, 2), pad_width=1, constant_values=((1.0, 2.0), (3.0, 4.0))),
    ],
    name="pad",
    reference=np.pad,
)  # fmt: skip
def _pad_constant(x: Array, pad_width: Any, constant_values: Any = 0) -> Array:
    return np.pad(x, pad_width, constant_values=constant_values)


#: Modes that repeat elements: NumPy pads the numbers of the places, and we go and get them.
REPEATING = ("edge", "reflect", "symmetric", "wrap")
STATISTICS: dict[str, Any] = {
    "maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min,
}  # fmt: skip


def _statistic(x: Any, axis: int, widths: Any, mode: str, length: Any) -> Any:
    n = x.shape[axis]
    low, high = np.broadcast_to(n if length is None else length, (x.ndim, 2))[axis]
    sides = []
    for width, part in zip(widths, (slice(0, int(low)), slice(max(0, n - int(high)), n))):
        one = STATISTICS[mode](take_axis(x, axis, part), axis=axis, keepdims=True)
        one = np.rint(one).astype(x.dtype) if x.dtype.kind != "f" else one
        shape = [int(width) if a == axis else m for a, m in enumerate(x.shape)]
        sides.append(np.broadcast_to(one, shape))
    return np.concatenate([sides[0], x, sides[1]], axis=axis)


def _ramp(x: Any, axis: int, widths: Any, ends: Any) -> Any:
    line = [-1 if a == axis else 1 for a in range(x.ndim)]
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    sides = []
    for width, end, edge, step in zip(widths, ends, (slice(0, 1), slice(-1, None)), (1, -1)):
        share = np.reshape(np.arange(width)[::step] / max(width, 1), line).astype(dtype)
        ramp = float(end) + (take_axis(x, axis, edge) - float(end)) * share
        sides.append(ramp.astype(x.dtype))
    return np.concatenate([sides[0], x, sides[1]], axis=axis)


def _refuse_unused(mode: str, reflect_type: str, end_values: Any, stat_length: Any) -> None:
    """Raise ValueError for a setting that this mode would pass over."""
    if reflect_type != "even":
        known = "'even'" if mode in ("reflect", "symmetric") else f"left out for mode {mode!r}"
        raise ValueError(f"reflect_type must be {known}, got {reflect_type!r}")
    if mode != "linear_ramp" and np.any(np.not_equal(end_values, 0)):
        raise ValueError(f"end_values is for mode 'linear_ramp', got mode {mode!r}")
    if mode not in STATISTICS and stat_length is not None:
        raise ValueError(
            f"stat_length is for {', '.join(map(repr, STATISTICS))}, got mode {mode!r}"
        )


@composite(
    np.pad,
    domain=distinct,
    samples=[
        sample((3,), pad_width=2), sample((2, 3), pad_width=((1, 2), (0, 1))),
        *[sample((3, 4), pad_width=((1, 2), (0, 3)), mode=m) for m in (*REPEATING, *STATISTICS)],
        sample((4,), pad_width=6, mode="reflect"),
        sample((2, 0), pad_width=((1, 1), (0, 0)), mode="edge"),
        sample((3, 4), pad_width=1, mode="mean", stat_length=2),
        sample((3, 2), pad_width=(2, 1), mode="linear_ramp", end_values=(1.0, -1.0)),
    ],
)  # fmt: skip
def pad(
    array: Array,
    pad_width: Any,
    mode: str = "constant",
    constant_values: Any = 0,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Array:
    """The array with ``pad_width`` elements put around it.

    ``pad_width``: one number for all sides, (before, after) for all axes, or such a pair for each.
    ``mode``: "constant" (with ``constant_values``), "edge", "reflect", "symmetric", "wrap",
    "linear_ramp" (to ``end_values``), "maximum", "mean", "median", "minimum" (of the
    ``stat_length`` elements at each side), as in np.pad. Raises ValueError for another mode.

    >>> pad(tensor([1.0, 2.0]), 1)
    tensor([0., 1., 2., 0.])
    >>> pad(tensor([1.0, 2.0, 3.0]), 1, mode="reflect")
    tensor([2., 1., 2., 3., 2.])
    """
    _refuse_unused(mode, reflect_type, end_values, stat_length)
    if mode == "constant":
        return _pad_constant(array, pad_width, constant_values)
    known = (*REPEATING, *STATISTICS, "linear_ramp")
    if mode not in known:
        raise ValueError(
            f"unknown mode {mode!r}; expected 'constant', {', '.join(map(repr, known))}"
        )
    kind, smooth = array.dtype.kind, mode in ("linear_ramp", "mean", "median")
    if (kind == "b" and smooth) or (kind == "c" and mode not in REPEATING):
        raise TypeError(f"mode {mode!r} is for real numbers, got array of {array.dtype}")
    for axis, widths in enumerate(np.broadcast_to(pad_width, (array.ndim, 2))):
        if not np.any(widths):
            continue
        if not array.shape[axis]:
            raise ValueError(f"axis {axis} is empty: mode {mode!r} has nothing to pad with")
        if mode in REPEATING:
            numbers: Any = np.pad(np.arange(array.shape[axis]), widths, mode=mode)  # type: ignore[call-overload]
            array = take_axis(array, axis, numbers)
        elif mode == "linear_ramp":
            array = _ramp(array, axis, widths, np.broadcast_to(end_values, (array.ndim, 2))[axis])
        else:
            array = _statistic(array, axis, widths, mode, stat_length)
    return array
