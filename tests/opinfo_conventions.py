"""PyTorch's operators with minigrad's conventions, each told in docs/conventions.md.

A sample that differs from PyTorch's operator is compared with the function here; the words beside
it are those of the page.
"""

import math
from collections.abc import Callable
from typing import Any

import torch


def sign(x: Any) -> Any:
    return torch.where(torch.isnan(x), x, torch.sign(x)).detach()


def absolute(x: Any) -> Any:
    return x * sign(x)


def heaviside(x: Any, y: Any) -> Any:
    return torch.where(torch.isnan(x), x, torch.heaviside(x, y))


def angle(x: Any) -> Any:
    return torch.where(torch.signbit(x), math.pi, torch.angle(x)) + 0.0 * x.detach()


def acosh(x: Any) -> Any:
    outside = x < 1
    nothing = torch.where(outside, x, 1.0) ** 3 * math.nan
    return torch.where(outside, nothing, torch.acosh(torch.where(outside, 2.0, x)))


def flat_at_the_origin(function: Callable[..., Any]) -> Callable[..., Any]:
    def flat(x: Any, y: Any) -> Any:
        origin = (x == 0) & (y == 0)
        moved = function(torch.where(origin, 1.0, x), torch.where(origin, 1.0, y))
        return torch.where(origin, function(x, y).detach(), moved)

    return flat


def copysign(x: Any, y: Any) -> Any:
    return x * (sign(x) * torch.copysign(torch.ones_like(x), torch.as_tensor(y))).detach()


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """What both orders of the arguments give on average."""
    return lambda x, y: 0.5 * function(x, y) + 0.5 * function(y, x)


def shared_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    def half(x: Any, y: Any) -> Any:
        found = function(x, y)
        return torch.where(torch.isnan(found), 0.5 * found, found)

    return half


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    low = torch.as_tensor(-math.inf if min is None else min)
    high = torch.as_tensor(math.inf if max is None else max)
    found = torch.clamp(x, min, max)
    binding = torch.where(x > high, high, torch.where(x < low, low, x))
    return torch.where(torch.isnan(found), binding + math.nan, found)


def logaddexp(x: Any, y: Any) -> Any:
    missing = torch.isnan(x) | torch.isnan(y)
    equal = (x == y) & torch.isinf(x)
    high, low = torch.where(x > y, x, y), torch.where(x > y, y, x)
    far = torch.isinf(high) | torch.isinf(low)
    distance = torch.where(far | missing, 0.0, high) - torch.where(far | missing, 0.0, low)
    found = torch.where(far, high, high - torch.nn.functional.logsigmoid(distance))
    found = torch.where(equal, torch.where(x > 0, 0.5 * x + 0.5 * y, x.detach()), found)
    return torch.where(
        missing, torch.where(missing, x, 1.0) * torch.where(missing, y, 1.0) * math.nan, found
    )


def sinc(x: Any) -> Any:
    near = torch.abs(x) < 0.1
    z = torch.where(near, math.pi * x, 0.0) ** 2
    series = sum((-z) ** n / math.factorial(2 * n + 1) for n in range(9))
    return torch.where(near, series, torch.sinc(torch.where(near, 1.0, x)))


def steep_at_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient of NaN where x is NaN."""

    def steep(x: Any, *args: Any, **settings: Any) -> Any:
        missing = torch.isnan(x)
        nan = torch.where(missing, x, 0.0) ** 3
        return torch.where(missing, nan, function(x, *args, **settings))

    return steep


def relu(x: Any) -> Any:
    return torch.where(torch.isnan(x), x.detach(), torch.relu(x))


def power(x: Any, y: Any) -> Any:
    x, y = (torch.as_tensor(z, dtype=torch.float64) for z in (x, y))
    x, y = torch.broadcast_tensors(x, y)
    left = (x < 0) & torch.isfinite(torch.pow(x, y))
    constant = torch.pow(torch.where(left, x, 1.0), torch.where(left, y, 1.0).detach())
    return torch.where(
        left, constant, torch.pow(torch.where(left, 1.0, x), torch.where(left, 1.0, y))
    )


def constant_at_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *args, **kw: torch.where(torch.isnan(x), x.detach(), function(x, *args, **kw))


def constant_beyond(bound: float, function: Callable[..., Any]) -> Callable[..., Any]:
    """Derivatives of 0, where the formula of the second one is infinity times 0."""

    def tame(x: Any) -> Any:
        far = torch.abs(x) > bound
        return torch.where(far, function(x).detach(), function(torch.where(far, 0.0, x)))

    return tame


def silu(x: Any) -> Any:
    far = torch.isinf(x)
    limit = torch.where(x > 0, x, torch.nn.functional.silu(x).detach())
    return torch.where(far, limit, torch.nn.functional.silu(torch.where(far, 0.0, x)))


def celu(x: Any, alpha: float = 1.0) -> Any:
    low = torch.where(x >= 0, 0.0, x)
    return torch.where(x >= 0, x, alpha * torch.expm1(low / alpha))


def hardsigmoid(x: Any) -> Any:
    inside = torch.abs(x) < 3
    return torch.where(inside, x / 6 + 0.5, torch.nn.functional.hardsigmoid(x).detach())


def mish(x: Any) -> Any:
    down = torch.sigmoid(-x)
    return x * torch.sigmoid(x) * ((1 + down) / (1 + down * down))


def xlogy(x: Any, y: Any) -> Any:
    x, y = torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64)
    flat = (x == 0) & (y <= 0)
    moved = torch.xlogy(torch.where(flat, 1.0, x), torch.where(flat, 1.0, y))
    return torch.where(flat, torch.xlogy(x, y).detach(), moved)


def digamma(x: Any) -> Any:
    pole = (x <= 0) & (x == torch.round(x)) & torch.isfinite(x)
    steep = torch.sqrt(torch.where(pole, x - x.detach(), 1.0))  # at 0, where its slope is infinite
    low = (x < 0) & torch.isfinite(x) & ~pole
    mirrored = torch.where(low, x, -0.5)  # without rounding pi x, which costs digits
    rest = torch.digamma(1 - mirrored) - math.pi / torch.tan(
        math.pi * (mirrored - torch.round(mirrored).detach())
    )
    plain = torch.where(low, rest, torch.digamma(torch.where(pole | low, 1.0, x)))
    return torch.where(pole, torch.digamma(x).detach() + steep, plain)


def logcumsumexp(x: Any, dim: int) -> Any:
    parts = [x.narrow(dim, 0, k + 1) for k in range(x.shape[dim])]
    return torch.stack([torch.logsumexp(part, dim) for part in parts], dim)


def last_stays(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """A gradient only for the values that are still there."""

    def unpooled(x: Any, indices: Any, *args: Any, **settings: Any) -> Any:
        order = torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape)
        found = function(order, indices, *args, **settings).flatten(-axes)
        kept = found.gather(-1, indices.flatten(-axes)).reshape(x.shape) == order
        return function(torch.where(kept, x, x.detach()), indices, *args, **settings)

    return unpooled


def tangent(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function's value and slope, and no curvature."""

    def straight(x: Any, *args: Any, **settings: Any) -> Any:
        call = lambda x: function(x, *args, **settings)
        slope = torch.autograd.functional.jacobian(call, x.detach())
        return call(x.detach()) + torch.tensordot(slope, x - x.detach(), x.ndim)

    return straight


#: What is compared instead, and the words of docs/conventions.md that say so.
CONVENTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "abs": (absolute, "| `np.abs(x)` | `x=nan` |"),
    "sign": (sign, "`sign` and `heaviside` of NaN"),
    "sgn": (sign, "`sign` and `heaviside` of NaN"),
    "heaviside": (heaviside, "`sign` and `heaviside` of NaN"),
    "acosh": (acosh, "`arccosh` below -1"),
    "angle": (angle, "`angle` of -0.0"),
    "atan2": (flat_at_the_origin(torch.atan2), "| `np.arctan2(x, y)` | `x=0, y=0` |"),
    "hypot": (flat_at_the_origin(torch.hypot), "| `np.hypot(x, y)` | `x=0, y=0` |"),
    "xlogy": (xlogy, "| `mg.xlogy(x, y)` | `x=0, y=0` |"),
    "digamma": (digamma, "`digamma` at its poles"),
    "erf": (constant_beyond(30.0, torch.erf), "`erf`, `erfc` and `mish` far from 0"),
    "erfc": (constant_beyond(30.0, torch.erfc), "`erf`, `erfc` and `mish` far from 0"),
    "nn.functional.mish": (mish, "`erf`, `erfc` and `mish` far from 0"),
    "logcumsumexp": (logcumsumexp, "`logcumsumexp` has second derivatives of full precision"),
    "nn.functional.celu": (steep_at_nan(celu), "`celu` and `hardsigmoid` have derivatives of full precision"),
    "nn.functional.hardsigmoid": (hardsigmoid, "`celu` and `hardsigmoid` have derivatives of full precision"),
    "nn.functional.hardtanh": (constant_at_nan(torch.nn.functional.hardtanh), "| `F.hardtanh(x)` | `x=nan` |"),
    "nn.functional.relu6": (constant_at_nan(torch.nn.functional.relu6), "| `F.hardtanh(x)` | `x=nan` |"),
    "nn.functional.silu": (silu, "| `F.silu(x)` | `x=inf` |"),
    "nn.functional.softsign": (constant_beyond(1e300, torch.nn.functional.softsign), "| `F.softsign(x)` | `x=inf` |"),
    "nn.functional.max_unpool1d": (last_stays(torch.nn.functional.max_unpool1d, 1), "`max_unpool1d` and `max_unpool2d`"),
    "nn.functional.max_unpool2d": (last_stays(torch.nn.functional.max_unpool2d, 2), "`max_unpool1d` and `max_unpool2d`"),
    "copysign": (copysign, "| `np.copysign(x, y)` | `x=inf, y=1` |"),
    "fmax": (shared(torch.fmax), "| `np.fmax(x, y)` | `x=1, y=1` |"),
    "fmin": (shared(torch.fmin), "| `np.fmax(x, y)` | `x=1, y=1` |"),
    **dict.fromkeys(("maximum", "max.binary"), (shared_nan(torch.maximum), "| `np.maximum(x, y)` | `x=1, y=nan` |")),
    **dict.fromkeys(("minimum", "min.binary"), (shared_nan(torch.minimum), "| `np.maximum(x, y)` | `x=1, y=nan` |")),
    "clamp": (clamp, "| `np.clip(x, -1, 1)` | `x=nan` |"),
    "clamp_min": (lambda x, low: clamp(x, low), "| `np.clip(x, -1, 1)` | `x=nan` |"),
    "clamp_max": (lambda x, high: clamp(x, None, high), "| `np.clip(x, -1, 1)` | `x=nan` |"),
    "logaddexp": (logaddexp, "`logaddexp` has a second derivative of 0"),
    "sinc": (sinc, "`sinc` near 0"),
    "pow": (power, "`power` at 0"),
    "__rpow__": (lambda x, y: power(y, x), "`power` at 0"),
    "float_power": (power, "`power` at 0"),
    "nn.functional.elu": (steep_at_nan(torch.nn.functional.elu), "| `F.elu(x)` | `x=nan` |"),
    "nn.functional.selu": (steep_at_nan(torch.nn.functional.selu), "| `F.elu(x)` | `x=nan` |"),
    "nn.functional.softplus": (
        lambda x, beta=1.0, threshold=20.0: torch.nn.functional.softplus(x, beta, 1e3),
        "`softplus` has no threshold",
    ),
    "ldexp": (lambda x, y: torch.ldexp(x, y.detach().round()), "`ldexp` takes whole exponents"),
    "nn.functional.relu": (relu, "| `F.relu(x)` | `x=nan` |"),
    "linalg.eigh": (lambda x, UPLO: torch.linalg.eigh((x + x.mT) / 2), "`eigh` and `cholesky` of a matrix that is not symmetric"),
    "linalg.eigvalsh": (lambda x, UPLO: torch.linalg.eigvalsh((x + x.mT) / 2), "`eigh` and `cholesky` of a matrix that is not symmetric"),
    "linalg.norm.subgradients_at_zero": (tangent(torch.linalg.norm), "| `np.linalg.norm(x)` | `x=[0, 0]` | `[[0, 0], [0, 0]]` |"),
    "median": (lambda x, dim=None, keepdim=False: torch.quantile(x, 0.5, dim, keepdim), "`median` of an even number"),
    "nanmedian": (lambda x, dim=None, keepdim=False: torch.nanquantile(x, 0.5, dim, keepdim), "`median` of an even number"),
}  # fmt: skip

#: Whose second derivatives cannot be written in PyTorch: they are NaN there, as 0 times infinity.
FIRST_ORDER = {"pow", "__rpow__", "float_power", "digamma"}
