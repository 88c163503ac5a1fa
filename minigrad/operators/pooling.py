"""Pooling: the largest or the mean element under a sliding window, and windows that adapt.

The gradient of a maximum goes to the first element that attains it: ``max_pool2d_grad`` sends it
there, ``max_pool2d_pick`` fetches from there. Each is the other's derivative, so derivatives of
every order exist. Neither needs stored indices: input and output tell where the maximum was.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.kernels.windows import (
    IntOrPair,
    Windows,
    as_int,
    check_image,
    check_rank,
    covered,
    pair,
    pooling,
)
from minigrad.operators.batches import on_images, unbatched
from minigrad.operators.declare import (
    OPERATORS,
    Array,
    composite,
    composite_of_floats,
    composite_of_many,
    engine,
    named,
    operator,
)
from minigrad.operators.domain import distinct, sample
from minigrad.operators.indexing import scatter, take_along_axis
from minigrad.operators.weighing import weigh

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


def _windows(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Windows:
    check_rank(name, "input", shape, "(N, C, H, W)")
    return pooling(name, shape[2:], kernel_size, stride, padding, dilation, ceil_mode)


_SAMPLES = [
    sample((2, 1, 4, 6), kernel_size=2), sample((0, 2, 4, 4), kernel_size=2),
    sample((1, 2, 5, 5), kernel_size=3, stride=2, padding=1),
]  # fmt: skip
#: Images, and windows over them.
_CASES = [
    (s.arrays[0], _windows("max_pool2d", s.arrays[0], **s.metadata))
    for s in (
        *_SAMPLES, sample((1, 1, 5, 6), kernel_size=(3, 2), stride=(1, 2)),
        sample((1, 2, 6, 7), kernel_size=2, dilation=2),
        sample((1, 1, 5, 5), kernel_size=2, ceil_mode=True),
    )
]  # fmt: skip
_WINDOWED = [sample(shape, windows=windows) for shape, windows in _CASES]


def _with_maxima(shape: tuple[int, ...], windows: Windows) -> tuple[Any, Any, Windows]:
    """A fixed image of which no two elements are equal, its maxima, and the windows."""
    size = math.prod(shape)
    x = np.reshape(np.arange(size) * 7.0 % max(size, 1), shape)
    # Not by the kernel nor with random numbers: importing either takes longer than this file.
    framed = np.pad(x, ((0, 0), (0, 0), *windows.padding), constant_values=-math.inf)
    under = np.lib.stride_tricks.sliding_window_view(framed, windows.kernel, (2, 3))
    rows, columns = windows.stride
    return x, under[:, :, ::rows, ::columns].max((4, 5)), windows


_MAXIMA = [_with_maxima(*case) for case in _CASES[:3]]


def _max_pool2d_grad_vjp(c: Any, _ans: Any, _g: Any, x: Any, ans: Any, windows: Windows) -> Any:
    return max_pool2d_pick(c, x, ans, windows)


@operator(
    vjp=(_max_pool2d_grad_vjp, None, None),
    samples=[sample(ans.shape, x, ans, windows=windows) for x, ans, windows in _MAXIMA],
)
def max_pool2d_grad(g: Array, x: Array, ans: Array, windows: Windows) -> Array:
    """Each element of g added where its window of x has the first maximum, ``ans``."""
    return kernels.max_pool2d_grad(g, x, ans, windows)


@operator(
    vjp=(lambda g, _ans, _c, x, ans, windows: max_pool2d_grad(g, x, ans, windows), None, None),
    samples=[sample(x.shape, x, ans, windows=windows) for x, ans, windows in _MAXIMA],
)
def max_pool2d_pick(c: Array, x: Array, ans: Array, windows: Windows) -> Array:
    """The elements of c at the first maximum, ``ans``, of each window of x."""
    return kernels.max_pool2d_pick(c, x, ans, windows)


@operator(
    numbers="real",
    vjp=lambda g, ans, x, windows: max_pool2d_grad(g, x, ans, windows),
    domain=distinct,
    samples=_WINDOWED,
)
def _max_pool2d(input: Array, windows: Windows) -> Array:
    """The largest element under each window."""
    return kernels.max_pool2d(input, windows)


_MAX_POOL = OPERATORS["max_pool2d"]


@overload
def max_pool2d(
    input: Array, kernel_size: IntOrPair, stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0, dilation: IntOrPair = 1, ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def max_pool2d(
    input: Array, kernel_size: IntOrPair, stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0, dilation: IntOrPair = 1, ceil_mode: bool = False,
    *, return_indices: Literal[True],
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
@unbatched(4)
@named
def max_pool2d(
    input: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element under each window, as PyTorch's; padding is -inf.

    input (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` when None; windows
    may overlap. Of equal elements the first (row by row) gets the gradient, of NaN the last. With
    ``return_indices`` it also gives the place of each maximum, row * W + column, for
    :func:`max_unpool2d`.
    Raises ValueError for a window that does not fit or padding of more than half the kernel, and
    TypeError for ``return_indices`` that is no boolean.

    >>> max_pool2d(tensor([[[[1.0, 5.0], [3.0, 2.0]]]]), 2)
    tensor([[[[5.]]]])
    """
    asked: Any = return_indices
    if not isinstance(asked, (bool, np.bool_)):
        raise TypeError(f"max_pool2d: return_indices must be True or False, got {asked!r}")
    x = engine.as_tensor(input)
    windows = _windows("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    y = engine.run(_MAX_POOL, (x,), {"windows": windows})
    if not asked:
        return y
    numbers = np.broadcast_to(np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:]), x.shape)
    places = kernels.max_pool2d_pick(numbers, engine.constant(x), engine.constant(y), windows)
    return y, engine.as_tensor(places)


def _sum_pool2d_vjp(g: Any, _ans: Any, _x: Any, windows: Windows) -> Any:
    return sum_pool2d_grad(g, windows)


@operator(vjp=_sum_pool2d_vjp, samples=_WINDOWED, wide=True)
def sum_pool2d(input: Array, windows: Windows) -> Array:
    """The sum of the elements under each window."""
    return kernels.sum_pool2d(input, windows)


@operator(
    vjp=lambda c, _ans, _g, windows: sum_pool2d(c, windows),
    samples=[sample((*shape[:2], *windows.out), windows=windows) for shape, windows in _CASES],
    wide=True,
)
def sum_pool2d_grad(g: Array, windows: Windows) -> Array:
    """Each element of g added to all places under its window: the adjoint of ``sum_pool2d``."""
    return kernels.sum_pool2d_grad(g, windows)


@unbatched(4)
@composite_of_floats(
    samples=[
        *_SAMPLES,
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        sample((1, 1, 5, 5), kernel_size=2, padding=1, ceil_mode=True),
        sample((1, 1, 4, 4), kernel_size=2, divisor_override=3),
    ]
)
def avg_pool2d(
    input: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair | str = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of the elements under each window, as PyTorch's.

    input (N, C, H, W) gives (N, C, out_h, out_w). ``stride`` is ``kernel_size`` when None. The
    zeros of the padding count as elements unless ``count_include_pad=False`` (those of "same"
    never do, as in TensorFlow);
    ``divisor_override`` divides by that number instead.
    Raises ValueError for a window that does not fit or padding of more than half the kernel.

    >>> avg_pool2d(tensor([[[[1.0, 5.0], [3.0, 3.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    windows = _windows("avg_pool2d", input.shape, kernel_size, stride, padding, 1, ceil_mode)
    total = sum_pool2d(input, windows)
    if divisor_override is not None:
        divisor = as_int("avg_pool2d", "divisor_override", divisor_override)
        if divisor == 0:
            raise ValueError("avg_pool2d: divisor_override must not be 0")
        return total * (1.0 / divisor)
    counted = count_include_pad and not isinstance(padding, str)  # never in TensorFlow
    limit = pair("avg_pool2d", "padding", padding, 0) if counted else (0, 0)
    rows, columns = (covered(windows, axis, limit[axis]) for axis in (0, 1))
    if rows.min() == rows.max() and columns.min() == columns.max():
        return total * (1.0 / (int(rows[0]) * int(columns[0])))
    return total * (1.0 / (rows[:, None] * columns)).astype(total.dtype)


@unbatched(4)
@composite_of_floats(
    samples=[
        sample((2, 1, 5, 7), output_size=(2, 3)), sample((1, 2, 4, 4), output_size=1),
        sample((1, 1, 2, 3), output_size=(None, 5)), sample((0, 1, 4, 4), output_size=2),
    ],
)  # fmt: skip
def adaptive_avg_pool2d(input: Array, output_size: int | tuple[int | None, int | None]) -> Array:
    """The means over windows chosen to give ``output_size``, as PyTorch's.

    Output row i is the mean of rows `floor(i H / out_h)` to `ceil((i + 1) H / out_h)`, and columns
    alike. input (N, C, H, W) gives (N, C, out_h, out_w); None keeps a length.
    Raises ValueError for a length below 1 or an empty image.

    >>> adaptive_avg_pool2d(tensor([[[[1.0, 2.0, 6.0]]]]), (1, 2))
    tensor([[[[1.5, 4. ]]]])
    """
    out = _output_size("adaptive_avg_pool2d", input.shape, output_size)
    if out == (1, 1):
        return np.mean(input, axis=(2, 3), keepdims=True)
    across, down = (_averaging(n, m) for n, m in zip(input.shape[2:], out, strict=True))
    return weigh(weigh(input, matrix=across, axis=-2), matrix=down, axis=-1)


def _output_size(name: str, shape: tuple[int, ...], output_size: Any) -> tuple[int, int]:
    """The size of what an adaptive pooling gives, None filled in. Raises ValueError, TypeError."""
    check_image(name, shape)
    both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(both) != 2:
        raise ValueError(f"{name}: output_size must be an int or a pair, got {output_size!r}")
    filled = tuple(n if m is None else m for n, m in zip(shape[2:], both, strict=True))
    return pair(name, "output_size", filled)


def _averaging(size: int, out: int) -> Any:
    """The matrix (out, size) that takes the means of adaptive windows."""
    i, place = np.arange(out)[:, None], np.arange(size)
    inside = (place >= i * size // out) & (place < -(-(i + 1) * size // out))
    return inside / inside.sum(axis=1, keepdims=True)


@overload
def adaptive_max_pool2d(
    input: Array, output_size: int | tuple[int | None, int | None],
    return_indices: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def adaptive_max_pool2d(
    input: Array, output_size: int | tuple[int | None, int | None], return_indices: Literal[True]
) -> tuple[Tensor, Tensor]: ...
@unbatched(4)
@composite_of_many(
    domain=distinct,
    samples=[
        sample((2, 1, 5, 7), output_size=(2, 3)), sample((1, 2, 4, 4), output_size=2),
        sample((1, 2, 3), output_size=(None, 5)), sample((0, 1, 5, 4), output_size=2),
    ],
)  # fmt: skip
def adaptive_max_pool2d(
    input: Array,
    output_size: int | tuple[int | None, int | None],
    return_indices: bool = False,
) -> Any:
    """The largest elements of windows chosen to give ``output_size``, as PyTorch's.

    The windows are those of :func:`adaptive_avg_pool2d`. input (N, C, H, W) gives (N, C, out_h,
    out_w); None keeps a length. Of equal elements the first gets the gradient.
    ``return_indices`` as for :func:`max_pool2d`. Raises ValueError for a length below 1 or an empty
    image.

    >>> adaptive_max_pool2d(tensor([[[[1.0, 6.0, 2.0]]]]), (1, 2))
    tensor([[[[6., 6.]]]])
    """
    out = _output_size("adaptive_max_pool2d", input.shape, output_size)
    n, c, h, w = input.shape
    if not h % out[0] and not w % out[1]:
        asked: Any = return_indices
        return max_pool2d(input, (h // out[0], w // out[1]), return_indices=asked)
    places = _adaptive_places(engine.constant(input), out)
    flat = np.reshape(input, (n, c, h * w))
    y = np.reshape(take_along_axis(flat, places.reshape(n, c, out[0] * out[1]), -1), places.shape)
    return (y, engine.as_tensor(places)) if return_indices else y


def _adaptive_places(x: Any, out: tuple[int, int]) -> Any:
    """Where in its image each window has its first maximum: row * W + column."""
    rows, columns = (_places(n, m) for n, m in zip(x.shape[2:], out, strict=True))
    places = np.reshape(rows[:, None, :, None] * x.shape[3] + columns[:, None], (*out, -1))
    flat = np.reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))
    which = np.argmax(flat[:, :, places], axis=-1)
    return places[(*np.indices(out, sparse=True), which)]


def _places(size: int, out: int) -> Any:
    """The places under each adaptive window (out, longest), the last one repeated."""
    i = np.arange(out)
    start, end = i * size // out, -(-(i + 1) * size // out)
    return np.minimum(start[:, None] + np.arange((end - start).max()), end[:, None] - 1)


@unbatched(4)
@composite(samples=[sample((2, 3, 4, 5)), sample((0, 2, 2, 2))], numbers="float")
def global_avg_pool2d(input: Array) -> Array:
    """The mean of each channel: (N, C, H, W) gives (N, C), as Keras's GlobalAveragePooling2D.

    >>> global_avg_pool2d(tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[3.]])
    """
    check_image("global_avg_pool2d", input.shape)
    return np.mean(input, axis=(2, 3))


@unbatched(4)
@composite(domain=distinct, samples=[sample((2, 3, 4, 5)), sample((0, 2, 2, 2))], numbers="real")
def global_max_pool2d(input: Array) -> Array:
    """The largest element of each channel: (N, C, H, W) gives (N, C).

    Of equal elements the first gets the gradient, as in :func:`max_pool2d`.

    >>> global_max_pool2d(tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[6.]])
    """
    check_image("global_max_pool2d", input.shape)
    return max_pool2d(input, input.shape[2:])[:, :, 0, 0]


# -- from places back to images --------------------------------------------------------------------


@unbatched(4)
@composite(
    samples=[
        sample((2, 1, 2, 2), indices=np.array([[[[0, 3], [9, 14]]], [[[5, 2], [8, 15]]]]),
               kernel_size=2),
        sample((1, 2, 1, 2), indices=np.array([[[[1, 1]], [[0, 9]]]]), kernel_size=2, stride=3,
               padding=1, output_size=(2, 5)),
        sample((0, 1, 2, 2), indices=np.zeros((0, 1, 2, 2), int), kernel_size=2),
    ],
)  # fmt: skip
def max_unpool2d(
    input: Array,
    indices: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    output_size: tuple[int, ...] | None = None,
) -> Array:
    """An image of zeros with the maxima put back where ``max_pool2d`` found them.

    input (N, C, H, W) and ``indices`` of its shape, from ``max_pool2d(..., return_indices=True)``,
    give (N, C, out_h, out_w) with `out_h = (H - 1) * stride - 2 * padding + kernel_size`, or
    ``output_size``, which may be the whole shape. Where windows overlap, the last of several values
    for one place stays. As PyTorch's; Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", 2014. Raises ValueError for places outside the image and for sizes that
    ``max_pool2d`` does not map to the input's.

    >>> y, places = max_pool2d(tensor([[[[1.0, 5.0], [3.0, 2.0]]]]), 2, return_indices=True)
    >>> max_unpool2d(y, places, 2)
    tensor([[[[0., 5.],
              [0., 0.]]]])
    """
    name = "max_unpool2d"
    check_rank(name, "input", input.shape, "(N, C, H, W)")
    places = np.asarray(engine.constant(indices))
    if places.ndim == 3:
        places = places[None]
    if places.shape != input.shape or places.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: indices must be integers of the input's shape {input.shape}, got "
            f"{places.dtype} {places.shape}"
        )
    out = _unpooled_size(name, input.shape, kernel_size, stride, padding, output_size)
    n, c = input.shape[:2]
    inner = out[0] * out[1]
    if places.size and not 0 <= places.min() <= places.max() < inner:
        raise ValueError(
            f"{name}: indices must be 0 to {inner - 1} in an image of {out[0]} x {out[1]}, got "
            f"{places.min()} to {places.max()}"
        )
    which = (np.arange(n)[:, None, None, None], np.arange(c)[:, None, None], places)
    order = np.arange(places.size).reshape(places.shape)
    last = np.zeros((n, c, inner), int)
    last[which] = order
    kept = np.where(last[which] == order, input, 0.0)
    return np.reshape(scatter(kept, which, (n, c, inner)), (n, c, *out))


def _unpooled_size(
    name: str, shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, wanted: Any
) -> tuple[int, int]:
    """The height and width of the image that was pooled. Raises ValueError, TypeError."""
    kernel = pair(name, "kernel_size", kernel_size)
    steps = kernel if stride is None else pair(name, "stride", stride)
    pads = pair(name, "padding", padding, 0)
    usual = [
        (m - 1) * s - 2 * p + k for m, s, p, k in zip(shape[2:], steps, pads, kernel, strict=True)
    ]
    if wanted is None:
        return pair(name, "output_size", tuple(usual))
    given = pair(name, "output_size", tuple(wanted)[-2:])
    if any(abs(a - b) >= s for a, b, s in zip(given, usual, steps, strict=True)):
        raise ValueError(
            f"{name}: output_size must be less than stride={steps} away from {tuple(usual)}, got "
            f"{given}"
        )
    return given


# -- signals, as images of height 1 ----------------------------------------------------------------

_SIGNALS = [sample((2, 3, 6), kernel_size=2), sample((0, 2, 4), kernel_size=2)]


@overload
def max_pool1d(
    input: Array, kernel_size: int | tuple[int], stride: int | tuple[int] | None = None,
    padding: int | tuple[int] | str = 0, dilation: int | tuple[int] = 1, ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def max_pool1d(
    input: Array, kernel_size: int | tuple[int], stride: int | tuple[int] | None = None,
    padding: int | tuple[int] | str = 0, dilation: int | tuple[int] = 1, ceil_mode: bool = False,
    *, return_indices: Literal[True],
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
@composite_of_many(
    domain=distinct,
    samples=[*_SIGNALS, sample((1, 2, 5), kernel_size=3, stride=2, padding=1, dilation=2)],
)
def max_pool1d(
    input: Array,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """max_pool2d on signals, images of height 1: (N, C, L) gives (N, C, out_l), as PyTorch's.

    Raises ValueError as :func:`max_pool2d`.

    >>> max_pool1d(tensor([[[1.0, 5.0, 2.0, 3.0]]]), 2)
    tensor([[[5., 3.]]])
    """
    return on_images(max_pool2d, "max_pool1d", **locals())


@composite_of_floats(
    samples=[*_SIGNALS, sample((1, 2, 5), kernel_size=3, stride=2, padding=1, ceil_mode=True)]
)
def avg_pool1d(
    input: Array,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] | str = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """avg_pool2d on signals, images of height 1: (N, C, L) gives (N, C, out_l), as PyTorch's.

    Raises ValueError as :func:`avg_pool2d`.

    >>> avg_pool1d(tensor([[[1.0, 5.0, 2.0, 4.0]]]), 2)
    tensor([[[3., 3.]]])
    """
    return on_images(avg_pool2d, "avg_pool1d", **locals())


@composite_of_floats(samples=[sample((2, 1, 7), output_size=3), sample((0, 1, 4), output_size=2)])
def adaptive_avg_pool1d(input: Array, output_size: int | tuple[int]) -> Array:
    """adaptive_avg_pool2d on signals: (N, C, L) gives (N, C, output_size), as PyTorch's.

    Raises ValueError as :func:`adaptive_avg_pool2d`.

    >>> adaptive_avg_pool1d(tensor([[[1.0, 2.0, 6.0]]]), 2)
    tensor([[[1.5, 4. ]]])
    """
    return on_images(adaptive_avg_pool2d, "adaptive_avg_pool1d", **locals())


@overload
def adaptive_max_pool1d(
    input: Array, output_size: int | tuple[int], return_indices: Literal[False] = False
) -> Tensor: ...
@overload
def adaptive_max_pool1d(
    input: Array, output_size: int | tuple[int], return_indices: Literal[True]
) -> tuple[Tensor, Tensor]: ...
@composite_of_many(
    domain=distinct,
    samples=[sample((2, 1, 7), output_size=3), sample((0, 1, 4), output_size=2)],
)
def adaptive_max_pool1d(
    input: Array, output_size: int | tuple[int], return_indices: bool = False
) -> Any:
    """adaptive_max_pool2d on signals: (N, C, L) gives (N, C, output_size), as PyTorch's.

    Raises ValueError as :func:`adaptive_max_pool2d`.

    >>> adaptive_max_pool1d(tensor([[[1.0, 6.0, 2.0]]]), 2)
    tensor([[[6., 6.]]])
    """
    return on_images(adaptive_max_pool2d, "adaptive_max_pool1d", **locals())


@composite(
    samples=[
        sample((2, 1, 2), indices=np.array([[[0, 3]], [[1, 2]]]), kernel_size=2),
        sample((0, 1, 2), indices=np.zeros((0, 1, 2), int), kernel_size=2),
    ],
)
def max_unpool1d(
    input: Array,
    indices: Array,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    output_size: tuple[int, ...] | None = None,
) -> Array:
    """max_unpool2d on signals: (N, C, L) and indices from ``max_pool1d`` give (N, C, out_l).

    Raises ValueError as :func:`max_unpool2d`.

    >>> y, places = max_pool1d(tensor([[[1.0, 5.0, 2.0, 3.0]]]), 2, return_indices=True)
    >>> max_unpool1d(y, places, 2)
    tensor([[[0., 5., 0., 3.]]])
    """
    if output_size is not None:
        output_size = tuple(output_size)[-1:]
    return on_images(max_unpool2d, "max_unpool1d", **locals())
