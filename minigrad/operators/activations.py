"""Activation functions of neural networks.

Those with an exponential are written so that it cannot overflow; at a corner the derivative is the
one that PyTorch takes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, composite, composite_of_floats, operator
from minigrad.operators.domain import Domain, nonzero, sample
from minigrad.operators.indexing import one_axis, take_axis

EACH = [sample(()), sample((3,)), sample((2, 3)), sample((0, 2))]
ALONG = [sample((3,)), sample((2, 3)), sample((2, 3), axis=0), sample((0, 3))]


@operator(
    vjp=lambda g, ans, _x: kernels.on(g, ans).relu_grad(g, ans),
    spends=True,
    domain=nonzero,
    numbers="real",
)
def relu(x: Array) -> Array:
    """`max(x, 0)`; its derivative at 0 is 0.

    >>> relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return kernels.relu(x)


@operator(
    vjp=lambda g, _ans, x: kernels.on(g, x).logistic_grad(g, x),
    spends=True,
    wide=True,
    numbers="inexact",
)
def sigmoid(x: Array) -> Array:
    """`1 / (1 + e^-x)`, from 0 to 1.

    >>> sigmoid(tensor([0.0]))
    tensor([0.5])
    """
    return kernels.logistic(x)


kernels.Recorded.logistic = sigmoid


@operator(
    numbers="inexact",
    vjp=lambda g, ans, _x, axis=-1: kernels.on(g, ans).softmax_grad(g, ans, axis),
    samples=ALONG,
    wide=True,
)
def softmax(x: Array, axis: int = -1) -> Array:
    """`e^x / sum(e^x)` along ``axis``: not negative, and of sum 1.

    >>> softmax(tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    return kernels.softmax(x, axis)


@operator(
    numbers="inexact",
    vjp=lambda g, ans, _x, axis=-1: kernels.on(g, ans).log_softmax_grad(g, ans, axis),
    samples=ALONG,
    wide=True,
)
def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, exact also where softmax underflows.

    >>> log_softmax(tensor([0.0, 0.0]))
    tensor([-0.6931472, -0.6931472])
    """
    return kernels.log_softmax(x, axis)


@operator(
    numbers="float",
    vjp=lambda g, _ans, x, negative_slope=0.01: kernels.on(g, x).leaky_relu_grad(
        g, x, negative_slope
    ),
    spends=True,
    domain=nonzero,
    samples=[*EACH, sample((2, 3), negative_slope=0.3), sample((3,), negative_slope=-0.5)],
    wide=True,
)
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where it is positive, `negative_slope * x` elsewhere; its derivative at 0 is the slope.

    >>> leaky_relu(tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return kernels.leaky_relu(x, negative_slope)


@operator(
    numbers="float",
    vjp=lambda g, _ans, x, alpha=1.0: kernels.on(g, x).elu_grad(g, x, alpha, 1.0),
    spends=True,
    domain=nonzero,
    samples=[*EACH, sample((2, 3), alpha=0.3)],
    wide=True,
)
def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where it is positive, `alpha * (e^x - 1)` elsewhere.

    Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2016.

    >>> elu(tensor([-1.0, 2.0]))
    tensor([-0.63212055,  2.        ])
    """
    return kernels.elu(x, alpha, 1.0)


#: The fixed point of mean 0 and variance 1, from the paper.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@operator(
    numbers="float",
    vjp=lambda g, _ans, x: kernels.on(g, x).elu_grad(g, x, SELU_ALPHA, SELU_SCALE),
    spends=True,
    domain=nonzero,
    wide=True,
)
def selu(x: Array) -> Array:
    """elu with the alpha and the scale that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> selu(tensor([-1.0, 2.0]))
    tensor([-1.1113307,  2.101402 ])
    """
    return kernels.elu(x, SELU_ALPHA, SELU_SCALE)


@operator(
    numbers="float",
    vjp=lambda g, _ans, x, beta=1.0: g * kernels.logistic(beta * x),
    samples=[*EACH, sample((2, 3), beta=2.5)],
    wide=True,
)
def softplus(x: Array, beta: float = 1.0) -> Array:
    """`log(1 + e^(beta x)) / beta`, a smooth relu; exact where `beta x` is a number.

    >>> softplus(tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.])
    """
    return kernels.softplus(x, beta)


@composite(numbers="float")
def logsigmoid(x: Array) -> Array:
    """`log(sigmoid(x))`, exact also where sigmoid underflows.

    >>> logsigmoid(tensor([-1000.0]))
    tensor([-1000.])
    """
    return -softplus(-x)


@operator(
    vjp=lambda g, _ans, x: kernels.on(g, x).silu_grad(g, x),
    spends=True,
    wide=True,
    numbers="inexact",
)
def silu(x: Array) -> Array:
    """`x * sigmoid(x)`, also called swish.

    Elfwing et al., "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning", 2018.

    >>> silu(tensor([0.0, 1.0]))
    tensor([0.       , 0.7310586])
    """
    return kernels.silu(x)


@operator(
    vjp=lambda g, _ans, x: kernels.on(g, x).gelu_tanh_grad(g, x),
    spends=True,
    wide=True,
    numbers="float",
)
def gelu_tanh(x: Array) -> Array:
    """gelu with its distribution function approximated by tanh.

    >>> gelu_tanh(tensor([1.0]))
    tensor([0.841192])
    """
    return kernels.gelu_tanh(x)


@operator(
    vjp=lambda g, _ans, x: kernels.on(g, x).normal_density(g, x),
    spends=True,
    wide=True,
)
def normal_cdf(x: Array) -> Array:
    """The probability that a standard normal variable is below x: `(1 + erf(x / sqrt(2))) / 2`.

    Right to 8 units in the last place in float32, 12 in float64, also in the lower tail.

    >>> normal_cdf(tensor([0.0, -50.0, 50.0]))
    tensor([0.5, 0. , 1. ])
    """
    return kernels.normal_cdf(x)


@composite_of_floats(samples=[*EACH, sample((2, 3), approximate="tanh")])
def gelu(x: Array, approximate: str = "none") -> Array:
    """x times the probability that a standard normal variable is below x.

    ``approximate``: "none", or "tanh" for `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    Raises ValueError for another word. Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> gelu(tensor([0.0, 1.0]))
    tensor([0.       , 0.8413447])
    """
    if approximate == "tanh":
        return gelu_tanh(x)
    if approximate != "none":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return x * normal_cdf(x)


# -- made of straight pieces -----------------------------------------------------------------------

_off_corners = Domain("off_corners", low=-4.0, high=8.0, avoid=(-3.0, -1.0, 0.0, 1.0, 3.0, 6.0))


@operator(
    numbers="float",
    vjp=lambda g, _ans, x, min_val=-1.0, max_val=1.0: g * ((x > min_val) & (x < max_val)),
    domain=_off_corners,
    samples=[*EACH, sample((3, 4), min_val=-3.0, max_val=6.0)],
)
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x, not below min_val and not above max_val; its derivative at both is 0.

    Raises ValueError unless min_val is less than max_val.

    >>> hardtanh(tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if not min_val < max_val:
        raise ValueError(
            f"hardtanh: min_val must be less than max_val, got {min_val} and {max_val}"
        )
    return np.clip(x, min_val, max_val)


@composite(numbers="float", domain=_off_corners)
def relu6(x: Array) -> Array:
    """`min(max(x, 0), 6)`; its derivative at 0 and at 6 is 0.

    Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    >>> relu6(tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(x, 0.0, 6.0)


@composite(numbers="float", domain=_off_corners)
def hardsigmoid(x: Array) -> Array:
    """`min(max(x + 3, 0), 6) / 6`, sigmoid in three straight pieces.

    >>> hardsigmoid(tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """
    return hardtanh(x + 3.0, 0.0, 6.0) * (1.0 / 6.0)


def _hardswish_vjp(g: Any, _ans: Any, x: Any) -> Any:
    inside = np.where(x > -3.0, g * ((2.0 * x + 3.0) * (1.0 / 6.0)), 0.0)
    return np.where(x >= 3.0, g, inside)


@operator(vjp=_hardswish_vjp, numbers="float", domain=_off_corners, wide=True)
def hardswish(x: Array) -> Array:
    """`x * hardsigmoid(x)`, silu without an exponential.

    Howard et al., "Searching for MobileNetV3", 2019.

    >>> hardswish(tensor([-4.0, 0.0, 1.5]))
    tensor([-0.   ,  0.   ,  1.125])
    """
    return x * (np.clip(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))


@operator(
    vjp=(
        lambda g, _ans, x, weight: np.where(x > 0, g, g * weight),
        lambda g, _ans, x, _weight: np.where(x > 0, 0.0, g * x),
    ),
    domain=nonzero,
    samples=[sample((2, 3), (3,)), sample((2, 3, 2), (1, 3, 1)), sample((0, 2), (2,))],
    wide=True,
)
def _prelu(x: Array, weight: Array) -> Array:
    return np.where(x > 0, x, x * weight)


@composite(
    numbers="float",
    arrays=2,
    domain=nonzero,
    samples=[
        sample((2, 3), (3,)), sample((2, 3, 2), (3,)), sample((2, 3), (1,)), sample((2,), (1,)),
        sample((0, 2), (2,)), sample((), ()), sample((2, 3), ()),
    ],
)  # fmt: skip
def prelu(input: Array, weight: Array) -> Array:
    """input where it is positive, `weight * input` elsewhere, with a weight for each channel.

    input (N, C, ...), weight (C,), or (1,) or () for all channels together. Its derivative at 0 is
    the weight. He et al., "Delving deep into rectifiers", 2015. Raises ValueError for another
    number of weights.

    >>> prelu(tensor([[-1.0, -1.0]]), tensor([0.5, 0.25]))
    tensor([[-0.5 , -0.25]])
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ValueError(
            f"prelu: weight must have shape (1,) or ({channels},), one for each channel of the "
            f"input {input.shape}, got {weight.shape}"
        )
    shape = (1, weight.size, *(1,) * (input.ndim - 2)) if input.ndim > 1 else ()
    return _prelu(input, np.reshape(weight, shape))


# -- in terms of others ----------------------------------------------------------------------------


@operator(
    vjp=lambda g, _ans, x: g / (1.0 + np.abs(x)) / (1.0 + np.abs(x)),
    numbers="float",
    domain=nonzero,
    wide=True,
)
def softsign(x: Array) -> Array:
    """`x / (1 + abs(x))`, in (-1, 1).

    >>> softsign(tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    return x / (1.0 + np.abs(x))


def _mish_vjp(g: Any, _ans: Any, x: Any) -> Any:
    on = kernels.on(g, x)
    up, down = on.logistic(x), on.logistic(-x)
    near = 1.0 + down * down
    share = up / near
    return g * (share * (1.0 + down) + x * share * (4.0 * down * down / near))


@operator(vjp=_mish_vjp, numbers="float", wide=True)
def mish(x: Array) -> Array:
    """`x * tanh(softplus(x))`.

    Misra, "Mish: a self regularized non-monotonic activation function", 2020.

    >>> mish(tensor([0.0, 1.0]))
    tensor([0.       , 0.8650984])
    """
    # tanh(log(1 + e^x)) in terms of s = 1 / (1 + e^x) is (1 - s^2) / (1 + s^2).
    down = kernels.logistic(-x)
    return x * kernels.logistic(x) * ((1.0 + down) / (1.0 + down * down))


@composite_of_floats(domain=nonzero, samples=[*EACH, sample((2, 3), alpha=0.7)])
def celu(x: Array, alpha: float = 1.0) -> Array:
    """x where it is positive, `alpha * (e^(x / alpha) - 1)` elsewhere: its slope has no jump.

    Barron, "Continuously differentiable exponential linear units", 2017. Raises ValueError unless
    alpha is positive.

    >>> celu(tensor([-1.0, 2.0]), alpha=2.0)
    tensor([-0.7869387,  2.       ])
    """
    if not 0.0 < alpha < math.inf:
        raise ValueError(f"celu: alpha must be positive, got {alpha}")
    alpha = float(alpha)
    return elu(x * (1.0 / alpha)) * alpha


@composite_of_floats(samples=[sample((4,)), sample((3, 2)), sample((4, 3), axis=0), sample((0, 2))])
def glu(x: Array, axis: int = -1) -> Array:
    """`a * sigmoid(b)`, with a the first and b the second half of x along ``axis``.

    x (..., 2 n, ...) gives (..., n, ...). Dauphin et al., "Language modeling with gated
    convolutional networks", 2017. Raises ValueError for an odd length.

    >>> glu(tensor([2.0, 3.0, 0.0, 0.0]))
    tensor([1. , 1.5])
    """
    line = one_axis(axis, x.ndim)
    if x.shape[line] % 2:
        raise ValueError(f"glu: axis {axis} must have an even length, got shape {x.shape}")
    half = x.shape[line] // 2
    first, second = (take_axis(x, line, slice(i * half, (i + 1) * half)) for i in (0, 1))
    return first * sigmoid(second)


@composite_of_floats(samples=ALONG)
def softmin(x: Array, axis: int = -1) -> Array:
    """`softmax(-x)`: `e^-x / sum(e^-x)` along ``axis``.

    >>> softmin(tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    return softmax(-x, axis)
