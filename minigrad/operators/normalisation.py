"""Normalisation: over the batch, over the features, over groups of channels, over neighbours.

The first three are one operator, ``normalize``, over different axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.kernels.windows import as_int
from minigrad.operators.declare import Array, composite_of_floats, engine, operator
from minigrad.operators.domain import nonzero, sample
from minigrad.operators.weighing import weigh


def _normalize_vjp(
    g: Any, needed: list[int], _ans: Any, x: Any, weight: Any, _bias: Any, **settings: Any
) -> Any:
    return kernels.on(g, x).normalize_grad(g, needed, x, weight, _bias, **settings)


@operator(
    vjp_all=_normalize_vjp,
    arrays=3,
    samples=[
        sample((4, 2, 3), (1, 2, 1), (1, 2, 1), axis=(0, 2), eps=1e-3),
        sample((2, 5), (1, 5), (1, 5), axis=(1,), eps=1e-5),
        sample((2, 5), axis=(1,), eps=1e-5),
        sample((0, 2), (1, 2), (1, 2), axis=(1,), eps=1e-5),
    ],
    wide=True,
)
def normalize(
    x: Array,
    weight: Array = None,
    bias: Array = None,
    *,
    axis: tuple[int, ...],
    eps: float,
    known: tuple[Array, Array] | None = None,
) -> Array:
    """`(x - mean) / sqrt(var + eps) * weight + bias`: moments over ``axis``, the variance biased.

    ``weight`` and ``bias`` have as many axes as x. ``known``: the mean and variance, or None.
    """
    return kernels.normalize(x, weight, bias, axis, eps, known)


def _moments(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """The mean and variance of a tensor, constant; infinite where the squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: tuple[Any, Any] = kernels.moments(engine.constant(x), axis)
    return found


def _normalize(
    x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, moments: Any = None
) -> Any:
    """``normalize``, in float64 where the squares of float32 numbers overflow."""
    known = moments or (_moments(x, axis) if x.size else None)
    if known and x.dtype == np.float32 and not np.isfinite(known[1]).all():
        x, dtype = x.astype(np.float64), x.dtype
        return normalize(x, weight, bias, axis=axis, eps=eps).astype(dtype)
    return normalize(x, weight, bias, axis=axis, eps=eps, known=known)


def _check_settings(name: str, eps: Any, momentum: Any = 0) -> None:
    if not 0 <= eps < math.inf:
        raise ValueError(f"{name}: eps must be 0 or a positive number, got {eps!r}")
    if not 0 <= momentum <= 1:
        raise ValueError(f"{name}: momentum must be between 0 and 1, got {momentum!r}")


@operator(
    vjp=(
        lambda g, _ans, _x, scale, _shift, mean: g * scale,
        lambda g, _ans, x, _scale, _shift, mean: g * (x - mean),
        lambda g, *_, mean: g,
    ),
    samples=[
        sample((4, 2, 3), (1, 2, 1), (1, 2, 1), mean=np.array([[[0.5], [2.0]]])),
        sample((2, 3), (1, 3), mean=np.array([[1.0, 0.0, -1.0]])),
        sample((0, 2), (1, 2), (1, 2), mean=np.array([[1.0, 0.0]])),
    ],
)
def _affine(x: Array, scale: Array, shift: Array = None, *, mean: Array) -> Array:
    return kernels.affine(x, scale, shift, mean)


def _per_channel(name: str, x: Any, **arrays: Any) -> list[Any]:
    """Arrays of one value per channel in shape (1, C, 1, ...), each of which may be None."""
    for what, array in arrays.items():
        if array is not None and np.shape(array) != (x.shape[1],):
            raise ValueError(
                f"{name}: {what} must have one value for each of the input's {x.shape[1]} "
                f"channels, got shape {np.shape(array)}"
            )
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return [None if array is None else np.reshape(array, shape) for array in arrays.values()]


def _check_channels(name: str, x: Any, layout: str = "(N, C, ...)") -> None:
    if x.ndim < layout.count(","):  # "..." may stand for no axis
        raise ValueError(f"{name}: input must have shape {layout}, got {x.shape}")


@composite_of_floats(
    samples=[
        sample((4, 2), running_mean=None, running_var=None, training=True),
        sample((3, 2, 2, 3), running_mean=None, running_var=None, training=True, eps=1e-3),
        sample((2, 3, 2), running_mean=np.arange(3.0), running_var=np.arange(1.0, 4.0)),
        sample((0, 2, 2), running_mean=None, running_var=None, training=True),
    ]
)
def batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """`(x - mean) / sqrt(var + eps) * weight + bias`, for each channel, as PyTorch's.

    input (N, C, ...), the rest (C,) or None. In training, mean and (biased) variance are those of
    the batch, and the running ones, tensors, are assigned
    `(1 - momentum) * running + momentum * batch`, with the unbiased variance. Otherwise
    the running ones are used, or those of the batch where there are none. Ioffe and Szegedy, 2015.
    Raises ValueError for one value per channel in training, which has no variance, and for
    shapes that do not fit.

    >>> batch_norm(tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    name = "batch_norm"
    _check_settings(name, eps, momentum)
    _check_channels(name, input)
    weight, bias = _per_channel(name, input, weight=weight, bias=bias)
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name}: give running_mean and running_var both, or neither")
    mean, var = _per_channel(
        name,
        input,
        running_mean=engine.constant(running_mean),
        running_var=engine.constant(running_var),
    )
    if not training and mean is not None:
        scale = (1.0 / np.sqrt(var + eps)).astype(input.dtype)
        scale = scale if weight is None else scale * weight
        return _affine(input, scale, bias, mean=mean.astype(input.dtype))
    axis = (0, *range(2, input.ndim))
    running = (running_mean, running_var) if training else ()
    remedy = "use a larger batch, or call .eval()"
    moments = _own_moments(name, input, axis, running, momentum, remedy)
    return _normalize(input, weight, bias, axis, eps, moments)


def _own_moments(
    name: str, x: Any, axis: tuple[int, ...], running: tuple[Any, ...], momentum: float, remedy: str
) -> Any:
    """The moments of x over ``axis``, which running ones follow; None of an empty x."""
    count = math.prod([x.shape[a] for a in axis])
    if count == 1:
        raise ValueError(
            f"{name}: its mean and variance need more than one value per channel, got an input of "
            f"shape {x.shape}; {remedy}"
        )
    if not x.size:
        return None
    moments = _moments(x, axis)
    mean, var = (m.ravel() if len(m) == 1 else np.mean(m, axis=0).ravel() for m in moments)
    for held, own in zip(running, (mean, var * (count / (count - 1))), strict=False):
        if held is None:
            continue
        if not hasattr(held, "assign"):
            raise TypeError(
                f"{name}: running statistics must be tensors, which training can assign, got "
                f"{type(held).__name__}"
            )
        held.assign((1.0 - momentum) * engine.constant(held) + momentum * own)
    return moments


@composite_of_floats(
    samples=[
        sample((2, 3, 4), normalized_shape=4), sample((3, 2, 3), normalized_shape=(2, 3), eps=1e-3),
        sample((0, 3), normalized_shape=(3,)),
    ],
)  # fmt: skip
def layer_norm(
    input: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array = None,
    bias: Array = None,
    eps: float = 1e-5,
) -> Array:
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last axes of each example.

    input (..., *normalized_shape); weight and bias of ``normalized_shape``. As PyTorch's; Ba,
    Kiros and Hinton, 2016. Raises ValueError for shapes that do not fit.

    >>> layer_norm(tensor([[1.0, 3.0]]), 2, eps=0.0)
    tensor([[-1.,  1.]])
    """
    _check_settings("layer_norm", eps)
    axis = _last_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    shape = (*[1] * (input.ndim - len(axis)), *input.shape[axis[0] :])
    weight, bias = (None if a is None else np.reshape(a, shape) for a in (weight, bias))
    return _normalize(input, weight, bias, axis, eps)


def _last_axes(name: str, input: Any, normalized_shape: Any, **weights: Any) -> tuple[int, ...]:
    """The axes of this shape. Raises ValueError unless input and weights have it."""
    shape = lengths(name, normalized_shape)
    if input.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: expected an input (..., {', '.join(map(str, shape))}), got shape "
            f"{input.shape}; normalized_shape is {shape}"
        )
    for what, array in weights.items():
        if array is not None and np.shape(array) != shape:
            raise ValueError(
                f"{name}: {what} must have normalized_shape {shape}, got {np.shape(array)}"
            )
    return tuple(range(-len(shape), 0))


def lengths(name: str, normalized_shape: Any) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple of at least one length. Raises TypeError, ValueError."""
    form = "an int or a tuple of ints"
    given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else [normalized_shape]
    shape = tuple([as_int(name, "normalized_shape", n, form) for n in given])
    if not shape or min(shape) < 0:
        raise ValueError(
            f"{name}: normalized_shape must have at least one axis and no negative length, "
            f"got {normalized_shape!r}"
        )
    return shape


@composite_of_floats(
    samples=[
        sample((2, 4, 3), num_groups=2), sample((2, 6, 2, 2), num_groups=3, eps=1e-3),
        sample((0, 2, 2), num_groups=1),
    ],
)  # fmt: skip
def group_norm(
    input: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Array:
    """`(x - mean) / sqrt(var + eps) * weight + bias` over groups of channels of each example.

    input (N, C, ...), weight and bias (C,). One group is layer norm, C groups are instance norm.
    As PyTorch's; Wu and He, 2018. Raises ValueError unless num_groups divides C.

    >>> group_norm(tensor([[[1.0, 3.0], [5.0, 9.0]]]), 2, eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    _check_settings("group_norm", eps)
    _check_channels("group_norm", input)
    n, channels, *inner = input.shape
    num_groups = as_int("group_norm", "num_groups", num_groups)
    if num_groups < 1 or channels % num_groups:
        raise ValueError(
            f"group_norm: num_groups={num_groups} does not divide the input's {channels} channels"
        )
    shape = (num_groups, channels // num_groups)
    weight, bias = (
        None if array is None else np.reshape(array, (1, *shape, *[1] * len(inner)))
        for array in _per_channel("group_norm", input, weight=weight, bias=bias)
    )
    grouped = np.reshape(input, (n, *shape, *inner))
    y = _normalize(grouped, weight, bias, tuple(range(2, grouped.ndim)), eps)
    return np.reshape(y, input.shape)


@composite_of_floats(
    domain=nonzero,
    samples=[
        sample((2, 5, 3), size=3), sample((1, 4, 2, 2), size=2, alpha=0.5, beta=0.5, k=2.0),
        sample((0, 2, 2), size=2),
    ],
)  # fmt: skip
def local_response_norm(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """`x / (k + alpha * m)**beta`, with m the mean of `x²` over ``size`` neighbouring channels.

    input (N, C, ...); channels beyond the ends count as zeros. As PyTorch's (alpha is not divided
    by size in Krizhevsky, Sutskever and Hinton, 2012). Raises ValueError for size below 1.

    >>> local_response_norm(tensor([[[3.0], [4.0]]]), size=2, alpha=2.0, beta=1.0, k=0.0)
    tensor([[[0.33333334],
             [0.16      ]]])
    """
    _check_channels("local_response_norm", input, "(N, C, L, ...)")
    for what, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        if not -math.inf < value < math.inf:
            raise ValueError(f"local_response_norm: {what} must be finite, got {value!r}")
    if as_int("local_response_norm", "size", size) < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    n, channels = input.shape[:2]
    ahead = np.arange(channels) - np.arange(channels)[:, None]
    # The sum over neighbours as a product with a band of ones: one pass, at any size.
    band = ((ahead >= -(size // 2)) & (ahead <= (size - 1) // 2)) * (alpha / size)
    flat = np.reshape(input, (n, channels, math.prod(input.shape[2:])))
    scale = weigh(flat * flat, matrix=band, axis=-2) + float(k)
    return np.reshape(flat * scale ** (-float(beta)), input.shape)


@composite_of_floats(
    samples=[
        sample((2, 3, 4)), sample((2, 2, 3, 2), eps=1e-3),
        sample((2, 2, 3), running_mean=np.arange(2.0), running_var=np.arange(1.0, 3.0),
               use_input_stats=False),
        sample((0, 2, 2)),
    ],
)  # fmt: skip
def instance_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array = None,
    bias: Array = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """`(x - mean) / sqrt(var + eps) * weight + bias`, for each channel of each example.

    input (N, C, L, ...), the rest (C,) or None. Mean and (biased) variance are those of each image
    or signal by itself; the running ones, tensors, are assigned
    `(1 - momentum) * running + momentum * batch`, with ``batch`` their mean over the batch, of the
    unbiased variance. Without ``use_input_stats`` the running
    ones are used. As PyTorch's; Ulyanov et al., "Instance normalization", 2016.
    Raises ValueError for images of one pixel, and for shapes that do not fit.

    >>> instance_norm(tensor([[[1.0, 3.0], [5.0, 9.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    name = "instance_norm"
    _check_settings(name, eps, momentum if use_input_stats else 0)
    _check_channels(name, input, "(N, C, L, ...)")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(f"{name}: use_input_stats=False needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    weight, bias = _per_channel(name, input, weight=weight, bias=bias)
    axis, running = tuple(range(2, input.ndim)), (running_mean, running_var)
    moments = _own_moments(name, input, axis, running, momentum, "use larger images")
    return _normalize(input, weight, bias, axis, eps, moments)


@composite_of_floats(
    domain=nonzero,
    samples=[
        sample((2, 3, 4), normalized_shape=4), sample((3, 2, 3), normalized_shape=(2, 3), eps=1e-3),
        sample((0, 3), normalized_shape=(3,)),
    ],
)  # fmt: skip
def rms_norm(
    input: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array = None,
    eps: float | None = None,
) -> Array:
    """`x / sqrt(mean(x**2) + eps) * weight` over the last axes of each example.

    input (..., *normalized_shape), weight of ``normalized_shape``; ``eps`` is by default the
    distance from 1 to the next number of the dtype. As PyTorch's; Zhang and Sennrich, "Root mean
    square layer normalization", 2019. Raises ValueError for shapes that do not fit.

    >>> rms_norm(tensor([[3.0, 3.0, 3.0]]), 3, eps=0.0)
    tensor([[1., 1., 1.]])
    """
    name = "rms_norm"
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    _check_settings(name, eps)
    axis = _last_axes(name, input, normalized_shape, weight=weight)
    size = np.abs(engine.constant(input))
    if np.max(size, initial=0.0) > math.sqrt(float(np.finfo(input.dtype).max) / max(size.size, 1)):
        # Scaled by a power of two, so that no square overflows.
        exponent = np.frexp(np.max(size, axis=axis, keepdims=True))[1]
        scale = np.ldexp(np.ones_like(exponent, input.dtype), np.minimum(1 - exponent, 0))
        input, eps = input * scale, eps * scale * scale
    y = input / np.sqrt(np.mean(input * input, axis=axis, keepdims=True) + eps)
    return y if weight is None else y * weight
