"""L-BFGS: Newton steps with a curvature that is estimated from the last few gradients.

It evaluates the loss several times in a step, so ``step`` needs a closure; it sees all parameters
as one vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from minigrad.engine.settings import checked
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor
from minigrad.kernels.in_place import overflow_noted
from minigrad.optim.buffer import Array
from minigrad.optim.optimizer import Group, Optimizer, Params, settings


class Point(NamedTuple):
    """A step along the direction: its length, the loss there, the gradient and its slope."""

    t: float
    loss: float
    g: Array
    slope: float


class LBFGS(Optimizer):
    """Limited-memory BFGS, after ``torch.optim.LBFGS``.

    ``step(closure)`` makes up to ``max_iter`` moves `p += t d`. The direction `d = -H g` takes the
    inverse curvature H from the last ``history_size`` differences of p and of g (the two-loop
    recursion). The first move has `t = min(1, 1 / sum(abs(g))) * lr`, the others `t = lr`; or with
    ``line_search_fn="strong_wolfe"`` a t that lowers the loss and its slope enough. It ends early
    when every abs(g) is at most ``tolerance_grad``, when moves or the change of the loss are below
    ``tolerance_change``, or after ``max_eval`` evaluations (by default `1.25 * max_iter`).

    For losses without noise: a whole data set rather than mini-batches. All parameters are one
    group. The history is not part of ``state_dict``: a run that continues starts it again.

    Raises ValueError for settings out of range and for several groups, TypeError from ``step``
    without a closure. Liu and Nocedal, "On the limited memory BFGS method for large scale
    optimization", 1989.

    >>> w = mg.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1.0) ** 2 * mg.tensor([1.0, 10.0])).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> w.numpy().round(4).tolist()
    [1.0, 1.0]
    """

    @checked()
    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: Annotated[int, "[1, inf)"] = 20,
        max_eval: Annotated[int | None, "[1, inf)"] = None,
        tolerance_grad: Annotated[float, "[0, inf)"] = 1e-7,
        tolerance_change: Annotated[float, "[0, inf)"] = 1e-9,
        history_size: Annotated[int, "[1, inf)"] = 100,
        line_search_fn: Literal["strong_wolfe"] | None = None,
    ) -> None:
        if params is None:
            raise ValueError("LBFGS: it needs its parameters from the start, got None")
        super().__init__(params, settings(locals()))
        self._moves: list[tuple[Array, Array]] = []
        self._before: tuple[Array, Array, float] | None = None
        self._scale = 1.0

    def add_param_group(self, group: Any) -> None:
        """Refused but for the first group: L-BFGS sees all parameters as one vector.

        Raises ValueError for a second group.
        """
        if self.param_groups:
            raise ValueError("LBFGS: all parameters are one group, got another")
        super().add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to ``max_iter`` moves; returns the loss of the first evaluation.

        ``closure`` computes the gradients again: zero_grad, forward, backward, return the loss.
        Raises TypeError without one.
        """
        if closure is None or not callable(closure):
            raise TypeError(
                f"LBFGS: step needs a function that computes the gradients and returns the loss: "
                f"step(closure), got {closure!r}"
            )
        group = self.param_groups[0]
        self.steps += 1
        with overflow_noted():
            return self._moved(closure, group)

    def _moved(self, closure: Callable[[], Any], group: Group) -> Any:
        lr, wolfe = float(group["lr"]), group["line_search_fn"] is not None
        limit = group["max_eval"] or group["max_iter"] * 5 // 4
        first = closure()
        loss, g = _loss_of(first), self._gradient()
        evaluations, small = 1, float(group["tolerance_change"])
        if _largest(g) <= group["tolerance_grad"]:
            return first
        for move in range(1, group["max_iter"] + 1):
            fresh = self._before is None
            d = self._direction(g, group["history_size"])
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * lr if fresh else lr
            slope = float(g @ d)
            if not slope < -small:
                break
            x, previous = self._vector(), loss
            self._before = (g, d, t)
            if wolfe:

                def at(length: float, x: Array = x, d: Array = d) -> Point:
                    self._write(x + length * d)
                    value = _loss_of(closure())
                    here = self._gradient()
                    return Point(length, value, here, float(here @ d))

                found, count = strong_wolfe(at, Point(0.0, loss, g, slope), t, small)
                t, loss, g, _ = found
                self._write(x + t * d)
                self._before = (self._before[0], d, t)
            else:
                self._write(x + t * d)
                count = 0
                if move != group["max_iter"]:
                    loss, g, count = _loss_of(closure()), self._gradient(), 1
            evaluations += count
            if (
                evaluations >= limit
                or _largest(g) <= group["tolerance_grad"]
                or _largest(t * d) <= small
                or abs(loss - previous) < small
            ):
                break
        return first

    def _direction(self, g: Array, history: int) -> Array:
        """-H g by the two-loop recursion."""
        if self._before is None:
            return -g
        old, d, t = self._before
        y, s = g - old, t * d
        ys = float(y @ s)
        if ys > 1e-10:
            self._moves = [*self._moves, (y, s)][-history:]
            self._scale = ys / float(y @ y)
        q, shares = -g, list[float]()
        for y, s in reversed(self._moves):
            shares.append(float(s @ q) / float(y @ s))
            q = q - shares[-1] * y
        q = q * self._scale
        for (y, s), share in zip(self._moves, reversed(shares), strict=True):
            q = q + s * (share - float(y @ q) / float(y @ s))
        return q

    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def _gradient(self) -> Array:
        """The gradients of all parameters side by side, zeros where there is none."""
        parts = [
            np.zeros(p.size, p.dtype) if p.grad is None else p.grad._data.ravel()
            for p in self._params()
        ]
        return np.concatenate(parts)

    def _vector(self) -> Array:
        return np.concatenate([p._data.ravel() for p in self._params()])

    def _write(self, x: Array) -> None:
        start = 0
        with no_grad():
            for p in self._params():
                p.assign(x[start : start + p.size].reshape(p.shape).astype(p.dtype))
                start += p.size


def _loss_of(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"step: the closure must return the loss, got {value!r:.80}") from error


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


# -- how far to go ---------------------------------------------------------------------------------

#: The constants of the Wolfe conditions: the loss falls by at least ``FALL`` times what the slope
#: at the start promises, and the slope itself falls to at most ``FLATTER`` times that one.
FALL, FLATTER = 1e-4, 0.9
#: A search tries at most so many points.
MOST = 25


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, small: float
) -> tuple[Point, int]:
    """A point that meets the strong Wolfe conditions, and how many were tried.

    Nocedal and Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6: longer steps until
    the minimum lies between two of them, then shorter ones between those.
    """

    def too_high(point: Point) -> bool:
        return not point.loss <= start.loss + FALL * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -FLATTER * start.slope

    low, high = start, start
    tried = 0
    while high is start:
        if tried == MOST:
            return low, tried
        point = at(t)
        tried += 1
        if too_high(point) or (tried > 1 and point.loss >= low.loss):
            high = point
        elif flat(point):
            return point, tried
        elif point.slope >= 0:
            low, high = point, low
            break
        else:
            low, t = point, _between(low, point, point.t * 1.01, point.t * 10.0)
    while tried < MOST and abs(high.t - low.t) * _largest(low.g) >= small:
        near, far = sorted((low.t, high.t))
        margin = 0.1 * (far - near)
        point = at(_between(low, high, near + margin, far - margin))
        tried += 1
        if too_high(point) or point.loss >= low.loss:
            high = point
            continue
        if flat(point):
            return point, tried
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, tried


def _between(a: Point, b: Point, least: float, most: float) -> float:
    """The minimum of the cubic through two points with their slopes, inside [least, most]."""
    if a.t > b.t:
        a, b = b, a
    middle = 0.5 * (least + most)
    if not a.t < b.t:
        return middle
    rise = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t)
    square = rise * rise - a.slope * b.slope
    if not 0.0 <= square < math.inf:
        return middle
    root = math.sqrt(square)
    below = b.slope - a.slope + 2.0 * root
    if not below:
        return middle
    found = b.t - (b.t - a.t) * (b.slope + root - rise) / below
    return min(max(found, least), most) if math.isfinite(found) else middle
