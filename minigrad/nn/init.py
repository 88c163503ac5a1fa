"""Initial values of parameters, written in place, with PyTorch's names and formulas.

The variance of a layer's output is its number of summands (``fan_in``) times the variances of
weight and input; the initialisers choose the weights' variance so that signals (or, with
``fan_out``, gradients) neither grow nor fade from layer to layer. A weight has shape
(out, in, *kernel): fan_in = in * prod(kernel), fan_out = out * prod(kernel).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor
from minigrad.lazy import listed

__all__ = [
    "uniform_", "normal_", "trunc_normal_", "constant_", "zeros_", "ones_", "eye_",
    "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_",
    "lecun_uniform_", "lecun_normal_", "orthogonal_", "calculate_gain",
]  # fmt: skip

__dir__ = listed(__name__)


Generator = Any  # np.random.Generator: naming it would import numpy.random, which takes 10 ms


@checked(a="(-inf, inf)", b="(-inf, inf)")
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> Tensor:
    """Uniform in [a, b). Raises ValueError if a is larger than b.

    >>> w = nn.init.uniform_(nn.Parameter(mg.zeros(3)), 2.0, 3.0)
    >>> bool((w >= 2).all())
    True
    """
    if not a <= b:
        raise ValueError(f"uniform_: expected a <= b, got a={a} and b={b}")
    rng = generator or default_generator()
    return _draw(tensor, lambda count: rng.uniform(a, b, count))


@checked(mean="(-inf, inf)", std="[0, inf)")
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator = None
) -> Tensor:
    """Normal with this mean and standard deviation.

    >>> nn.init.normal_(nn.Parameter(mg.zeros(3)), std=0.01).shape
    (3,)
    """
    rng = generator or default_generator()
    return _draw(tensor, lambda count: rng.normal(mean, std, count))


@checked(mean="(-inf, inf)", std="[0, inf)")
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator = None,
) -> Tensor:
    """Normal, restricted to [a, b], which may be narrow or far from the mean.

    Raises ValueError unless a < b, or if ``std`` is 0 and the mean is not between them.

    >>> w = nn.init.trunc_normal_(nn.Parameter(mg.zeros(100)))
    >>> bool((abs(w) <= 2).all())
    True
    """
    if not a < b or (std == 0.0 and not a <= mean <= b):
        raise ValueError(
            f"trunc_normal_: expected a < b, and a mean between them where std is 0; "
            f"got mean={mean}, std={std}, a={a}, b={b}"
        )
    rng = generator or default_generator()
    if std == 0.0:
        return _write(tensor, np.full(tensor.shape, mean))
    drawn = _truncated((a - mean) / std, (b - mean) / std, tensor.size, rng)
    return _write(tensor, np.clip(drawn * std + mean, a, b).reshape(tensor.shape))


def _truncated(low: float, high: float, count: int, rng: Any) -> Any:
    """Standard normal numbers between two bounds, by rejection (Robert, 1995, arXiv:0907.4010).

    The proposals depend on the bounds, so that about one in four or more is accepted: normal
    numbers where many lie between the bounds, exponential ones in a tail, else uniform ones.
    """
    if high < 0.0:
        return -_truncated(-high, -low, count, rng)
    if low == math.inf:
        return np.full(count, low)
    inside = (math.erf(high * math.sqrt(0.5)) - math.erf(low * math.sqrt(0.5))) / 2.0
    tail = low * (high - low) > 1.0
    nearest = max(low, 0.0)

    def propose(n: int) -> tuple[Any, Any]:
        """Numbers, and which of them are accepted."""
        if inside >= 0.25:
            x = rng.standard_normal(n)
            return x, (x >= low) & (x <= high)
        u = rng.random(n)
        if tail:
            beyond = -np.log1p(u * math.expm1(-low * (high - low))) / low
            return low + beyond, rng.random(n) < np.exp(-0.5 * beyond * beyond)
        x = low + u * (high - low)
        # exp((nearest² - x²) / 2), without the difference of large squares
        return x, rng.random(n) < np.exp(0.5 * (nearest - x) * (nearest + x))

    drawn, accepted = propose(count)
    while not accepted.all():
        missing = ~accepted
        drawn[missing], accepted[missing] = propose(int(np.count_nonzero(missing)))
    return drawn


@checked()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """All elements equal to ``val``.

    >>> nn.init.constant_(nn.Parameter(mg.zeros(2)), 0.5).tolist()
    [0.5, 0.5]
    """
    return _write(tensor, np.full(tensor.shape, val))


@checked()
def zeros_(tensor: Tensor) -> Tensor:
    """All elements 0.

    >>> nn.init.zeros_(nn.Parameter([1.0])).tolist()
    [0.0]
    """
    return constant_(tensor, 0.0)


@checked()
def ones_(tensor: Tensor) -> Tensor:
    """All elements 1.

    >>> nn.init.ones_(nn.Parameter([0.0])).tolist()
    [1.0]
    """
    return constant_(tensor, 1.0)


@checked()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix.

    Raises ValueError unless the tensor has two axes.

    >>> nn.init.eye_(nn.Parameter(mg.zeros((2, 2)))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected two axes, got shape {tensor.shape}")
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@checked(gain="(-inf, inf)")
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Glorot's: uniform in [-l, l], `l = gain * sqrt(6 / (fan_in + fan_out))`.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010.

    >>> w = nn.init.xavier_uniform_(nn.Parameter(mg.zeros((3, 3))))
    >>> bool((abs(w) <= 1).all())
    True
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    return _uniform(tensor, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


@checked(gain="[0, inf)")
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Glorot's: normal with `std = gain * sqrt(2 / (fan_in + fan_out))`.

    >>> nn.init.xavier_normal_(nn.Parameter(mg.zeros((3, 3)))).shape
    (3, 3)
    """
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


@checked(a="(-inf, inf)")
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    """He's: uniform in [-l, l], `l = gain * sqrt(3 / fan)`, gain that of the nonlinearity.

    ``a``: the slope of leaky_relu for negative values; ``mode``: "fan_in" or "fan_out".
    He et al., "Delving deep into rectifiers", 2015.

    >>> w = nn.init.kaiming_uniform_(nn.Parameter(mg.zeros((4, 6))), nonlinearity="relu")
    >>> bool((abs(w) <= 1).all())
    True
    """
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _uniform(tensor, std, generator)


@checked(a="(-inf, inf)")
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    """He's: normal with `std = gain / sqrt(fan)`, gain that of the nonlinearity.

    Arguments as :func:`kaiming_uniform_`.

    >>> nn.init.kaiming_normal_(nn.Parameter(mg.zeros((4, 6))), nonlinearity="relu").shape
    (4, 6)
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator)


@checked()
def lecun_uniform_(tensor: Tensor, generator: Generator = None) -> Tensor:
    """LeCun's: uniform in [-l, l], `l = sqrt(3 / fan_in)`; for SELU and tanh.

    LeCun et al., "Efficient BackProp", 1998.

    >>> nn.init.lecun_uniform_(nn.Parameter(mg.zeros((4, 6)))).shape
    (4, 6)
    """
    return _uniform(tensor, math.sqrt(1.0 / _fans("lecun_uniform_", tensor)[0]), generator)


@checked()
def lecun_normal_(tensor: Tensor, generator: Generator = None) -> Tensor:
    """LeCun's: normal with `std = sqrt(1 / fan_in)`; for SELU and tanh.

    >>> nn.init.lecun_normal_(nn.Parameter(mg.zeros((4, 6)))).shape
    (4, 6)
    """
    return normal_(tensor, 0.0, math.sqrt(1.0 / _fans("lecun_normal_", tensor)[0]), generator)


@checked(gain="(-inf, inf)")
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """A random orthogonal matrix times ``gain``, of shape (first axis, all others).

    Its rows are orthonormal, or its columns if it has more rows. Raises ValueError for fewer than
    two axes. Saxe et al., "Exact solutions to the nonlinear dynamics of learning", 2013.

    >>> w = nn.init.orthogonal_(nn.Parameter(mg.zeros((2, 3))))
    >>> np.allclose(w @ w.T, np.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least two axes, got shape {tensor.shape}")
    if not tensor.size:
        return tensor
    rng = generator or default_generator()
    rows = tensor.shape[0]
    drawn = rng.standard_normal((rows, tensor.size // rows))
    tall = drawn if drawn.shape[0] >= drawn.shape[1] else drawn.T
    q, r = np.linalg.qr(tall)
    # QR leaves the signs open; taking those of R's diagonal makes the distribution uniform.
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    q = q if drawn.shape[0] >= drawn.shape[1] else q.T
    return _write(tensor, gain * q.reshape(tensor.shape))


@checked(param="(-inf, inf)")
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before this nonlinearity are scaled, as PyTorch's.

    ``param``: the negative slope of leaky_relu, 0.01 by default. Raises ValueError with a list of
    the known names for an unknown one.

    >>> round(nn.init.calculate_gain("relu"), 4)
    1.4142
    """
    gains = {
        "relu": math.sqrt(2.0),
        "leaky_relu": math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2)),
        "tanh": 5.0 / 3.0,
        "selu": 0.75,
    }
    gains |= dict.fromkeys(("linear", "conv1d", "conv2d", "conv_transpose2d", "sigmoid"), 1.0)
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known are {', '.join(gains)}"
        )
    return gains[nonlinearity]


@checked()
def weight_and_bias_(weight: Tensor, bias: Tensor | None, generator: Generator = None) -> None:
    """As linear and convolution layers start in PyTorch: uniform in [-k, k], `k = fan_in^-0.5`.

    >>> layer = nn.Linear(4, 1)
    >>> nn.init.weight_and_bias_(layer.weight, layer.bias)
    >>> bool((abs(layer.weight) <= 0.5).all())
    True
    """
    fan_in, _ = _fans("weight_and_bias_", weight)
    kaiming_uniform_(weight, a=math.sqrt(5.0), generator=generator)
    if bias is not None:
        k = 1.0 / math.sqrt(fan_in)
        uniform_(bias, -k, k, generator)


glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_
he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_


#: So many numbers are drawn at a time: they are float64 at first, and twice as large as a weight.
PIECE = 1 << 16


def _draw(tensor: Tensor, draw: Callable[[int], Any]) -> Tensor:
    """The tensor with numbers of which ``draw`` returns so many at a time."""
    array = np.empty(tensor.size, tensor.dtype)
    for start in range(0, tensor.size, PIECE):
        part = array[start : start + PIECE]
        part[...] = draw(len(part))
    tensor.assign(array.reshape(tensor.shape))
    return tensor


def _write(tensor: Tensor, array: Any) -> Tensor:
    tensor.assign(array.astype(tensor.dtype))
    return tensor


def _uniform(tensor: Tensor, std: float, generator: Generator) -> Tensor:
    """Uniform around 0 with this standard deviation."""
    limit = math.sqrt(3.0) * abs(std)
    return uniform_(tensor, -limit, limit, generator)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError(
            f"{name}: expected a weight of shape (out, in, ...), got {tensor.shape}; "
            f"use zeros_, constant_ or normal_ for a bias"
        )
    field = math.prod(tensor.shape[2:])
    # At least 1: an empty weight has nothing to draw, and must not divide by 0.
    return max(tensor.shape[1] * field, 1), max(tensor.shape[0] * field, 1)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)
