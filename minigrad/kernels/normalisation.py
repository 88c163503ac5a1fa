"""Normalisation to mean 0 and variance 1, for batch, layer and group norm.

The three differ only in the axes over which the moments are taken. The plain gradient is written
in NumPy's functions alone, so that it records itself on tensors: derivatives of second and higher
order are taken through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels.blas import one_thread
from minigrad.kernels.sums import mean as mean_of, total
from minigrad.kernels.threads import run_each, slices


def plain_moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """The mean and the biased variance over ``axis``, axes kept; 0 and 1 if there is no element."""
    if not x.size:
        return _moments_of_nothing(x, axis)
    mean = np.mean(x, axis=axis, keepdims=True)
    return mean, np.mean((x - mean) ** 2, axis=axis, keepdims=True)


def plain_normalize(
    x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, known: Any = None
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias.

    ``weight`` and ``bias``, with as many axes as x, may be None; ``known``: the moments, or None.
    """
    mean, var = known or plain_moments(x, axis)
    ans = (x - mean) / np.sqrt(var + eps)
    ans = ans if weight is None else ans * weight
    return ans if bias is None else ans + bias


def plain_normalize_grad(
    g: Any,
    needed: list[int],
    x: Any,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    known: Any = None,  # noqa: ARG001 (the arguments of every set are the same)
) -> list[Any]:
    """The gradients by x (0), weight (1) and bias (2), as far as they are needed.

    Of ``bias`` only the shape is asked. The moments are functions of x, so they are taken again.
    """
    mean, var = plain_moments(x, axis)
    inv = 1.0 / np.sqrt(var + eps)
    normal = (x - mean) * inv
    found: list[Any] = []
    for i in needed:
        if i == 0:
            gw = g if weight is None else g * weight
            level, slope = (plain_moments(part, axis)[0] for part in (gw, gw * normal))
            found.append((gw - level - normal * slope) * inv)
        else:
            found.append(_sum_to(g * normal, weight) if i == 1 else _sum_to(g, bias))
    return found


def plain_affine(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """(x - mean) * scale + shift; ``shift`` may be None."""
    ans = (x - mean) * scale
    return ans if shift is None else ans + shift


def _moments_of_nothing(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    gone = {a % x.ndim for a in axis}
    shape = [1 if a in gone else n for a, n in enumerate(x.shape)]
    return np.zeros(shape, x.dtype), np.ones(shape, x.dtype)


def _sum_to(x: Any, like: Any) -> Any:
    """The sum over the axes along which ``like``, which has as many axes as x, has length 1."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return total(x, axes, keepdims=True) if axes else x


def moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """``plain_moments``, whose sums do not drift."""
    if not x.size:
        return _moments_of_nothing(x, axis)
    rows = _Rows.of(x, axis)
    if rows is not None:
        return rows.moments()
    mean = mean_of(x, axis, keepdims=True)
    parts, count = _examples(x, axis), math.prod([x.shape[a] for a in axis])
    if len(parts) == 1:
        centred = x - mean
        return mean, mean_of(centred * centred, axis, keepdims=True)

    def squares(some: slice) -> list[Any]:
        centred = x[some] - mean
        return [total(np.multiply(centred, centred, out=centred), axis, keepdims=True)]

    (summed,) = _sums(squares, parts, x.size)
    return mean, (summed / count).astype(x.dtype)


#: The elements of the examples that one thread does at once, in batch norm. Smaller pieces would
#: stay in cache, but threads wait for each other: 32 x 64 x 28 x 28 numbers take 2.2 ms backwards,
#: 3.5 in pieces of 131,072, and 3.8 in one.
BLOCK = 1 << 19


def _examples(x: Any, axis: tuple[int, ...], *others: Any) -> list[slice]:
    """Slices of the first axis, if the moments are taken over it, of some elements each; or one.

    ``others``: weight and bias, which may be None, and may not be sliced.
    """
    sliced = 0 not in {a % x.ndim for a in axis} or any(
        a is not None and len(a) > 1 for a in others
    )
    if sliced or x.dtype.char not in "fd" or x.size <= BLOCK:
        return [slice(None)]
    return slices(len(x), BLOCK * len(x) // x.size)


def _sums(work: Callable[[slice], list[Any]], parts: Sequence[slice], size: int) -> list[Any]:
    """The sums over all parts of the arrays that ``work`` finds for each, in float64."""
    found: dict[int, list[Any]] = {}

    def keep(part: slice) -> None:
        found[part.start] = work(part)

    run_each(keep, parts, size * 1e-9)
    # In an order that does not depend on which thread was first.
    columns = zip(*[found[start] for start in sorted(found)], strict=True)
    return [np.sum(np.stack(column), axis=0, dtype=np.float64) for column in columns]


def _folds(weight: Any, mean: Any) -> bool:
    """Whether the weight, or the bias, is constant where the mean is taken, as in batch norm."""
    return weight is None or weight.shape == mean.shape


def normalize(
    x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, known: Any = None
) -> Any:
    """``plain_normalize``, in few passes."""
    mean, var = known or moments(x, axis)
    rows = _Rows.of(x, axis, weight, bias)
    if rows is not None:
        return rows.normalize(mean, var, eps, weight, bias)
    inv = 1.0 / np.sqrt(var + eps)
    scale = inv
    if weight is not None and _folds(weight, mean):
        scale, weight = inv * weight, None
    ans = np.empty_like(x, np.result_type(x, mean), subok=False)

    def work(some: slice) -> None:
        part = np.subtract(x[some], mean, out=ans[some])
        part *= scale
        if weight is not None:
            part *= weight
        if bias is not None:
            part += bias

    run_each(work, _examples(x, axis, weight, bias), x.size * 1e-9)
    return ans


def normalize_grad(
    g: Any,
    needed: list[int],
    x: Any,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    known: Any = None,
) -> list[Any]:
    """``plain_normalize_grad``, in few passes.

    2.8 ms in place of 4.8 for batch norm of 100 x 16 x 28 x 28.
    """
    mean, var = known or moments(x, axis)
    rows = _Rows.of(x, axis, weight, bias, g)
    if rows is not None:
        found = rows.normalize_grad(g, needed, mean, var, eps, weight, bias)
        return [found[i] for i in needed]
    inv = 1.0 / np.sqrt(var + eps)
    if _folds(weight, mean) and _folds(bias, mean):
        found = _grad_by_examples(g, 0 in needed, x, mean, inv, weight, axis)
        return [found[i] for i in needed]
    gw = g if weight is None else g * weight
    rules = {
        0: lambda: normalize_grad(gw, [0], x, None, None, axis, eps, (mean, var))[0],
        1: lambda: _sum_to(g * ((x - mean) * inv), weight),
        2: lambda: _sum_to(g, bias),
    }
    return [rules[i]() for i in needed]


def _grad_by_examples(
    g: Any, by_input: bool, x: Any, mean: Any, inv: Any, weight: Any, axis: tuple[int, ...]
) -> dict[int, Any]:
    """The gradients where weight and bias are constant where a mean is taken, by some examples."""
    dtype, parts = np.result_type(g, x, mean), _examples(x, axis)
    if g.strides != x.strides:  # one pass that jumps, in place of two
        g, given = np.empty_like(x, g.dtype), g
        g[...] = given

    def sums(some: slice) -> list[Any]:
        product = np.subtract(x[some], mean, dtype=dtype)
        product *= g[some]
        return [total(a, axis, keepdims=True) for a in (g[some], product)]

    by_bias, slope = (a.astype(dtype) for a in _sums(sums, parts, 2 * x.size))
    found = {1: slope * inv, 2: by_bias}
    if by_input:
        found[0] = ans = np.empty_like(x, dtype, subok=False)
        count = max(1, math.prod([x.shape[a] for a in axis]))
        level, bend = by_bias / count, slope / count * (inv * inv)
        scale = inv if weight is None else inv * weight

        def work(some: slice) -> None:
            part = np.subtract(x[some], mean, out=ans[some])
            part *= bend
            np.subtract(g[some], part, out=part)
            part -= level
            part *= scale

        run_each(work, parts, x.size * 2e-9)
    return found


def affine(x: Any, scale: Any, shift: Any, mean: Any) -> Any:
    """``plain_affine``, in place where the dtype allows it."""
    # The mean is taken away first: afterwards, a large one would have cost digits.
    ans = x - mean
    ans = np.multiply(ans, scale, out=ans if ans.dtype == np.result_type(ans, scale) else None)
    if shift is None:
        return ans
    return np.add(ans, shift, out=ans if ans.dtype == np.result_type(ans, shift) else None)


# -- layer and group norm: rows that lie side by side ----------------------------------------------


class Runs(NamedTuple):
    """Rows of what is normalised together, each of ``channels`` runs of ``run`` elements.

    Weight and bias have a number for each run of ``groups`` rows after each other, which are those
    of one example: in layer norm for each element (``run`` 1), in group norm for each channel.
    """

    groups: int
    channels: int
    run: int

    @property
    def length(self) -> int:
        """The elements of one row."""
        return self.channels * self.run

    @classmethod
    def of(cls, x: Any, axis: tuple[int, ...], weight: Any, bias: Any) -> Runs | None:
        """The runs of an array that is not empty, or None where the elements lie otherwise."""
        first = x.ndim - len(axis)
        shapes = {a.shape for a in (weight, bias) if a is not None}
        if (
            not axis
            or not x.size
            or {a % x.ndim for a in axis} != {*range(first, x.ndim)}
            or len(shapes) > 1
        ):
            return None
        if not shapes:
            return cls(1, 1, math.prod(x.shape[first:]))
        like = shapes.pop()
        if like == (*[1] * first, *x.shape[first:]):
            return cls(1, math.prod(like), 1)
        for inner in range(first, x.ndim + 1) if first else ():
            if like == (1, *x.shape[1:inner], *[1] * (x.ndim - inner)):
                each = (slice(1, first), slice(first, inner), slice(inner, None))
                return cls(*[math.prod(x.shape[some]) for some in each])
        return None


#: Rows up to this length, and so many rows, may be added up by BLAS, which does not add pairwise.
LONGEST, MOST_ROWS = 4096, 1024
#: The elements of the rows that one thread does at once.
PIECE = 1 << 18


def _dots(rows: Any, w: Any = None) -> Any:
    """The sum of each row, or of its products with w, as a column: a third of np.sum's time."""
    w = np.ones(rows.shape[1], rows.dtype) if w is None else w
    return (rows @ w)[:, None]


def _squares(rows: Any) -> Any:
    """The sum of the squares of each row, as a column."""
    return np.vecdot(rows, rows)[:, None]


class _Rows(NamedTuple):
    """x as rows of what is normalised together; ``groups`` and ``run`` as in ``Runs``."""

    x: Any
    shape: tuple[int, ...]
    kept: tuple[int, ...]
    groups: int
    run: int

    @classmethod
    def of(
        cls, x: Any, axis: tuple[int, ...], weight: Any = None, bias: Any = None, g: Any = None
    ) -> _Rows | None:
        """The rows, or None for what is laid out in another way."""
        first = x.ndim - len(axis)
        given = [a for a in (weight, bias, g) if a is not None]
        if (
            not x.size
            or not first
            or x.dtype.char not in "fd"
            or not x.flags.c_contiguous
            or {a % x.ndim for a in axis} != {*range(first, x.ndim)}
            or math.prod(x.shape[first:]) > LONGEST
            or any(a.dtype != x.dtype for a in given)
        ):
            return None
        runs = Runs.of(x, axis, weight, bias)
        if runs is None or (runs.run == 1 and runs.groups > 1):
            return None
        groups, run = (1, 1) if weight is None and bias is None else (runs.groups, runs.run)
        rows = x.reshape(-1, runs.length)
        kept = (*x.shape[:first], *[1] * len(axis))
        return cls(rows, x.shape, kept, groups, run)

    def pieces(self, work: Callable[[slice], None]) -> None:
        """Call ``work`` for the rows of some examples at a time, which stay in cache.

        On one thread: sharing them out gained 10 % in one measurement and lost 6 in another.
        """
        most = min(PIECE // self.x.shape[1], MOST_ROWS)
        many = max(1, most // self.groups) * self.groups
        with one_thread():
            for some in slices(len(self.x), many):
                work(some)

    def flat(self, a: Any) -> Any:
        """Weight or bias beside the runs: (1, groups, channels, 1), or (length,) in layer norm."""
        return a.reshape(-1) if self.run == 1 else a.reshape(1, self.groups, -1, 1)

    def beside(self, column: Any) -> Any:
        """A number for each row beside the runs."""
        return column.reshape(-1, self.groups, 1, 1)

    def runs(self, rows: Any) -> Any:
        """Rows as (examples, groups, channels, run), or as they are in layer norm."""
        if self.run == 1:
            return rows
        return rows.reshape(-1, self.groups, rows.shape[1] // self.run, self.run)

    def near(self, some: slice, mean: Any, var: Any) -> tuple[Any, Any]:
        """Some rows and their means; a large mean is taken away from its row, and zero then.

        Sums of squares and products would lose digits to it. Rows with a small mean keep their
        bits, whatever stands beside them.
        """
        rows, level = self.x[some], mean[some]
        small = level * level <= var[some]
        if small.all():
            return rows, level
        return rows - np.where(small, 0.0, level), np.where(small, level, 0.0)

    def moments(self) -> tuple[Any, Any]:
        n, count = self.x.shape
        mean, var = np.empty((2, n, 1), self.x.dtype)

        def work(some: slice) -> None:
            rows = self.x[some]
            mean[some] = _dots(rows) / count
            var[some] = _squares(rows) / count - mean[some] * mean[some]
            centred, level = self.near(some, mean, var)
            if centred is not rows:
                again = level != mean[some]
                var[some] = np.where(again, _squares(centred) / count, var[some])

        self.pieces(work)
        return mean.reshape(self.kept), var.reshape(self.kept)

    def normalize(self, mean: Any, var: Any, eps: float, weight: Any, bias: Any) -> Any:
        ans = np.empty(self.shape, self.x.dtype)
        to = ans.reshape(self.x.shape)
        mean, var = mean.reshape(-1, 1), var.reshape(-1, 1)
        inv = 1.0 / np.sqrt(var + eps)
        w, b = (None if a is None else self.flat(a) for a in (weight, bias))

        def work(some: slice) -> None:
            if self.run == 1:
                part = np.subtract(self.x[some], mean[some], out=to[some])
                part *= inv[some]
                if w is not None:
                    part *= w
                if b is not None:
                    part += b
                return
            rows, level = self.near(some, mean, var)
            scale = self.beside(inv[some]) if w is None else w * self.beside(inv[some])
            shift = self.beside(level) * -scale if b is None else b - self.beside(level) * scale
            part = np.multiply(self.runs(rows), scale, out=self.runs(to[some]))
            part += shift

        self.pieces(work)
        return ans

    def normalize_grad(
        self, g: Any, needed: Sequence[int], mean: Any, var: Any, eps: float, weight: Any, bias: Any
    ) -> dict[int, Any]:
        n, count = self.x.shape
        g = np.ascontiguousarray(g).reshape(n, count)
        mean, var = mean.reshape(-1, 1), var.reshape(-1, 1)
        inv = 1.0 / np.sqrt(var + eps)
        w = None if weight is None else self.flat(weight)
        by_x = np.empty(self.shape, self.x.dtype)
        to = by_x.reshape(n, count)
        sums: dict[int, tuple[Any, Any]] = {}

        def work(some: slice) -> None:
            back, scale, target = g[some], inv[some], to[some]
            rows, near = self.near(some, mean, var)
            if self.run == 1:
                product = back * rows
                level = _dots(back, w) / count
                slope = _dots(product, w) / count - near * level
                if w is not None or bias is not None:
                    by_bias = np.ones_like(scale[:, 0]) @ back
                    sums[some.start] = scale[:, 0] @ product - (scale * near)[:, 0] @ back, by_bias
                bend = slope * (scale * scale)
                np.multiply(rows, bend, out=product)
                np.subtract(back if w is None else back * w, product, out=target)
                target -= level - near * bend
                target *= scale
                return
            levels, slopes = self.of_runs(back), self.of_runs(back, rows)
            slopes -= self.beside(near) * levels
            scale = self.beside(scale)
            sums[some.start] = np.sum(slopes * scale, axis=0), np.sum(levels, axis=0)
            level, slope = (
                np.sum(a if w is None else a * w, axis=2, keepdims=True) / count * scale
                for a in (levels, slopes)
            )
            bend = slope * (scale * scale)
            np.multiply(self.runs(back), scale if w is None else w * scale, out=self.runs(target))
            target -= rows * bend.reshape(-1, 1)
            target -= (level - self.beside(near) * bend).reshape(-1, 1)

        self.pieces(work)
        found = {0: by_x}
        for i, like in ((1, weight), (2, bias)):
            if i in needed and like is not None:
                # In an order that does not depend on which thread was first.
                parts = np.stack([sums[start][i - 1] for start in sorted(sums)])
                summed = np.sum(parts, axis=0, dtype=np.float64)
                found[i] = summed.astype(self.x.dtype).reshape(like.shape)
        return found

    def of_runs(self, rows: Any, other: Any = None) -> Any:
        """The sum of each run, or of its products with another, beside the runs."""
        flat = rows.reshape(-1, self.run)
        found = _dots(flat) if other is None else np.vecdot(flat, other.reshape(-1, self.run))
        return found.reshape(-1, self.groups, rows.shape[1] // self.run, 1)
