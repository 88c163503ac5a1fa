"""im2col and col2im: the patches of an image as columns, and the sum of columns into an image.

Each is the other's adjoint, <im2col(x), c> = <x, col2im(c)>, and therefore the other's derivative
rule. Convolution and pooling are products and maxima over these columns. The arrays are copied in
``kernels/im2col.py``.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels import current as kernels
from minigrad.kernels.windows import IntOrPair, Padding, as_int, check_rank, sliding
from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample


def _im2col_vjp(g: Any, _ans: Any, _x: Any, **geometry: Any) -> Any:
    return col2im(g, _x.shape, **geometry)


@operator(
    vjp=_im2col_vjp,
    samples=[
        sample((2, 3, 4, 5), kernel_size=3), sample((1, 2, 4, 5), kernel_size=(2, 3), padding=1),
        sample((1, 1, 5, 6), kernel_size=2, stride=2),
        sample((2, 1, 5, 4), kernel_size=2, dilation=2, padding=((0, 1), (2, 0))),
        sample((1, 2, 5, 5), kernel_size=3, stride=2, padding="same"),
        sample((0, 2, 3, 3), kernel_size=2),
    ],
)  # fmt: skip
def im2col(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
) -> Array:
    """The patches under a sliding window as columns, as torch.nn.functional.unfold.

    x (N, C, H, W) gives (N, C * kh * kw, out_h * out_w): column p holds what the p-th window
    covers, channel by channel. ``padding`` as in :func:`conv2d`.
    Raises ValueError for a window that does not fit.

    >>> im2col(tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), kernel_size=(2, 1))
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    check_rank("im2col", "x", x.shape, "(N, C, H, W)")
    windows = sliding("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    return kernels.im2col(x, windows)


@operator(
    numbers="float",
    vjp=lambda g, _ans, _cols, x_shape, **geometry: im2col(g, **geometry),
    samples=[
        sample((2, 12, 6), x_shape=(2, 3, 3, 4), kernel_size=2),
        sample((1, 4, 9), x_shape=(1, 1, 3, 3), kernel_size=2, stride=2, padding=((1, 2), (2, 1))),
        sample((1, 4, 6), x_shape=(1, 1, 4, 5), kernel_size=2, dilation=2),
        sample((0, 4, 4), x_shape=(0, 1, 3, 3), kernel_size=2),
    ],
    wide=True,
)
def col2im(
    cols: Array,
    x_shape: tuple[int, ...],
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
) -> Array:
    """The columns of :func:`im2col` added up into an image, as torch.nn.functional.fold.

    cols (N, C * kh * kw, out_h * out_w) gives ``x_shape`` (N, C, H, W): each pixel is the sum of
    its appearances in the columns. Raises ValueError for columns of another shape.

    >>> col2im(tensor([[[1.0, 2.0], [3.0, 4.0]]]), (1, 1, 1, 3), kernel_size=(1, 2))
    tensor([[[[1., 5., 4.]]]])
    """
    if not isinstance(x_shape, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"col2im: x_shape must be four ints (N, C, H, W), got {x_shape!r}")
    check_rank("col2im", "x_shape", tuple(x_shape), "(N, C, H, W)")
    n, c, h, w = (as_int("col2im", "x_shape", m, "four ints (N, C, H, W)") for m in x_shape)
    if min(n, c, h, w) < 0:
        raise ValueError(f"col2im: x_shape must not have negative lengths, got {tuple(x_shape)}")
    windows = sliding("col2im", (h, w), kernel_size, stride, padding, dilation)
    (kh, kw), (oh, ow) = windows.kernel, windows.out
    expected = (n, c * kh * kw, oh * ow)
    if cols.shape != expected:
        raise ValueError(
            f"col2im: columns of an image {tuple(x_shape)} under a {kh} x {kw} window that fits "
            f"{oh} x {ow} times have shape {expected}, got {cols.shape}"
        )
    return kernels.col2im(cols, windows)
