"""Where a sliding window may stand: the geometry shared by convolution, pooling and im2col.

Everything here is about integers: padding words, output lengths, and messages for windows that do
not fit.

A window on one axis covers ``kernel`` elements, ``dilation`` apart; it starts ``padding[0]``
before the first element and moves by ``stride``.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Pair: TypeAlias = tuple[int, int]
#: An int for both axes, a pair (vertical, horizontal), or ((top, bottom), (left, right)).
Padding: TypeAlias = int | Pair | tuple[Pair, Pair] | str
IntOrPair: TypeAlias = int | Pair


class Windows(NamedTuple):
    """The windows of one call: each field is (vertical, horizontal)."""

    size: Pair
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    out: Pair

    @property
    def settings(self) -> dict[str, Any]:
        """Those fields that are settings of the operator, by its names."""
        names = ("kernel_size", "stride", "padding", "dilation")
        return dict(zip(names, self[1:5], strict=True))

    @property
    def padded(self) -> Pair:
        """The height and width of the padded image."""
        (top, bottom), (left, right) = self.padding
        return self.size[0] + top + bottom, self.size[1] + left + right

    @property
    def taps(self) -> list[Pair]:
        """The places (i, j) in the kernel, row by row."""
        return [(i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1])]


def as_int(name: str, what: str, value: Any, form: str = "an int") -> int:
    """``value`` as an int. Raises TypeError for booleans and anything that is not an integer."""
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name}: {what} must be {form}, got {value!r}")


def pair(name: str, what: str, value: Any, least: int = 1) -> Pair:
    """``value`` as two integers. Raises TypeError, or ValueError below ``least``."""
    form = "an int or a pair of ints"
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2:
        raise ValueError(f"{name}: {what} must be {form}, got {value!r}")
    first, second = (as_int(name, what, one, form) for one in both)
    if min(first, second) < least:
        raise ValueError(f"{name}: {what} must be at least {least}, got {value!r}")
    return first, second


def single(name: str, what: str, value: Any) -> Any:
    """``value`` for one axis, given alone or as a tuple of one. Raises ValueError for more."""
    many = isinstance(value, (tuple, list))
    if many and (len(value) != 1 or isinstance(value[0], (tuple, list))):
        raise ValueError(f"{name}: {what} must be an int or (int,), got {value!r}")
    return value[0] if many else value


def padding_word(name: str, padding: Any) -> Any:
    """The padding, with a word in lower case: TensorFlow writes "SAME" and "VALID".

    Raises ValueError for other words.
    """
    if not isinstance(padding, str):
        return padding
    if padding.lower() not in ("same", "valid"):
        raise ValueError(
            f"{name}: unknown padding {padding!r}; it is 'same', 'valid' or numbers of zeros"
        )
    return padding.lower()


def sliding(
    name: str,
    size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> Windows:
    """The windows of a kernel on an image of height and width ``size``.

    ``padding``: an int, a pair, ((top, bottom), (left, right)), "valid" (none) or "same", as
    TensorFlow defines it: ceil(size / stride) windows, the odd pixel to the bottom and right.
    ``name``: the function that messages name. Raises ValueError for windows that do not fit.
    """
    return _sliding(name, size, *_keys(name, kernel_size, stride, padding, dilation))


def _keys(name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    """The arguments as hashable values: 1.0 and True, which equal 1, must not find its windows."""
    return (
        _key(name, "kernel_size", kernel_size),
        _key(name, "stride", stride),
        _key(name, "padding", padding),
        _key(name, "dilation", dilation),
    )


def _key(name: str, what: str, value: Any) -> Any:
    if type(value) is int or value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return tuple([_key(name, what, one) for one in value])
    return as_int(name, what, value, "an int or a pair of ints")


# Every call of a layer asks for the same windows: remembered, they cost 0.4 us instead of 6 us.
@functools.lru_cache(maxsize=1024)
def _sliding(
    name: str,
    size: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool = False,
) -> Windows:
    kernel = pair(name, "kernel_size", kernel_size)
    steps = pair(name, "stride", stride)
    gaps = pair(name, "dilation", dilation)
    pads = _padding(name, size, kernel, steps, padding, gaps)
    # A longer step leads out of the image as well, and need not fit into a machine integer;
    # nor need the gaps in a kernel of one element.
    longest = (
        max(n + sum(pad), reach(k, d))
        for n, k, pad, d in zip(size, kernel, pads, gaps, strict=True)
    )
    steps = min(steps[0], next(longest)), min(steps[1], next(longest))
    gaps = gaps[0] if kernel[0] > 1 else 1, gaps[1] if kernel[1] > 1 else 1
    out = tuple(
        1 + (n + sum(pad) - reach(k, d)) // s
        for n, k, s, pad, d in zip(size, kernel, steps, pads, gaps, strict=True)
    )
    for axis, n, k, pad, d, s in zip(
        ("height", "width"), size, kernel, pads, gaps, steps, strict=True
    ):
        padded = n + sum(pad)
        if padded + (s - 1 if ceil_mode and n else 0) < reach(k, d):
            dilated = f" (spread over {reach(k, d)} by dilation {d})" if d > 1 else ""
            fits = f"a kernel of at most {1 + (padded - 1) // d}, or " if padded > 0 else ""
            raise ValueError(
                f"{name}: a kernel of {axis} {k}{dilated} does not fit the input's {axis} {n} "
                f"padded to {padded}; use {fits}padding of {reach(k, d) - padded} more in all"
            )
    return Windows((size[0], size[1]), kernel, steps, pads, gaps, (out[0], out[1]))


def reach(kernel: int, dilation: int) -> int:
    """The elements from the first to the last that a dilated kernel touches."""
    return dilation * (kernel - 1) + 1


def _padding(
    name: str, size: tuple[int, ...], kernel: Pair, stride: Pair, padding: Any, dilation: Pair
) -> tuple[Pair, Pair]:
    if isinstance(padding, str):
        if padding_word(name, padding) == "valid":
            return (0, 0), (0, 0)
        both = zip(size, kernel, stride, dilation, strict=True)
        first, second = (_same(n, reach(k, d), s) for n, k, s, d in both)
        return first, second
    if isinstance(padding, tuple) and [len(p) for p in padding if isinstance(p, tuple)] == [2, 2]:
        return pair(name, "padding", padding[0], 0), pair(name, "padding", padding[1], 0)
    vertical, horizontal = pair(name, "padding", padding, 0)
    return (vertical, vertical), (horizontal, horizontal)


def _same(n: int, reached: int, stride: int) -> Pair:
    out = -(-n // stride)
    total = max((out - 1) * stride + reached - n, 0)
    return total // 2, total - total // 2


def pooling(
    name: str,
    size: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Windows:
    """The windows of a pooling: the stride is the kernel size when it is None, as in PyTorch.

    Every window must meet the image, so padding is at most half of the kernel. ``ceil_mode`` adds
    windows that reach beyond the padded image but start inside the image or its left padding.
    """
    return _pooling(name, size, *_keys(name, kernel_size, stride, padding, dilation), ceil_mode)


@functools.lru_cache(maxsize=1024)
def _pooling(
    name: str,
    size: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Windows:
    stride = kernel_size if stride is None else stride
    windows = _sliding(name, size, kernel_size, stride, padding, dilation, ceil_mode)
    for k, pad, d in zip(windows.kernel, windows.padding, windows.dilation, strict=True):
        if max(pad) > reach(k, d) // 2:
            raise ValueError(
                f"{name}: padding={padding!r} is more than half of the kernel {kernel_size!r}, so "
                f"a window could lie outside the image; use at most {reach(k, d) // 2}"
            )
    if not ceil_mode:
        return windows
    out, pads = [], []
    for n, k, s, (before, after), d in zip(
        size, windows.kernel, windows.stride, windows.padding, windows.dilation, strict=True
    ):
        count = 1 - (reach(k, d) - n - before - after) // s
        if (count - 1) * s >= n + before:
            count -= 1
        beyond = (count - 1) * s + reach(k, d) - n - before
        out.append(count)
        pads.append((before, max(after, beyond)))
    return windows._replace(out=(out[0], out[1]), padding=(pads[0], pads[1]))


def transposed(
    name: str,
    size: Pair,
    kernel: Pair,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
) -> tuple[Windows, Pair]:
    """The windows of the convolution whose transpose takes ``size`` to a larger image.

    Also how many rows and columns of zeros the image has below and to the right of what they cover.
    Raises ValueError for sizes that do not fit.
    """
    steps, gaps = pair(name, "stride", stride), pair(name, "dilation", dilation)
    reached = [reach(k, d) for k, d in zip(kernel, gaps, strict=True)]
    extras = pair(name, "output_padding", output_padding, 0)
    cuts: list[Any]
    if not isinstance(padding, str):
        cuts = [(p, p) for p in pair(name, "padding", padding, 0)]
    elif padding_word(name, padding) == "valid":
        cuts = [(0, 0), (0, 0)]
    else:
        # The image is that of a "same" convolution with this stride, which maps it to the input.
        if any(extras):
            raise ValueError(f"{name}: output_padding has no place beside padding={padding!r}")
        beyond = [max(r - s, 0) for r, s in zip(reached, steps, strict=True)]
        cuts = [(b // 2, b - b // 2) for b in beyond]
        first, second = (max(s - r, 0) for r, s in zip(reached, steps, strict=True))
        extras = first, second
    frame, inner, zeros = [], [], []
    for n_in, r, s, (before, after), extra, d in zip(
        size, reached, steps, cuts, extras, gaps, strict=True
    ):
        if extra >= max(s, d):
            raise ValueError(
                f"{name}: output_padding={output_padding!r} must be less than stride={stride!r} "
                f"or dilation={dilation!r}"
            )
        length = (n_in - 1) * s + r - before - after + extra
        if length < 1:
            raise ValueError(
                f"{name}: padding={padding!r} leaves nothing of the output: it is at most "
                f"{((n_in - 1) * s + r + extra - 1) // 2} here"
            )
        # Output padding first takes back what padding cut off; beyond the reach of the kernel,
        # conv2d ignores up to stride - 1 rows, and more of them are added as plain zeros.
        rest = max(extra - after - (s - 1), 0)
        frame.append((before, max(after - extra, 0)))
        inner.append(length - rest)
        zeros.append(rest)
    windows = Windows(
        (inner[0], inner[1]), kernel, steps, (frame[0], frame[1]), gaps, (size[0], size[1])
    )
    return windows, (zeros[0], zeros[1])


def covered(windows: Windows, axis: int, frame: int) -> Any:
    """How many places of the image, inside a frame of this width, each window covers: (out,)."""
    start = windows.stride[axis] * np.arange(windows.out[axis]) - windows.padding[axis][0]
    end = np.minimum(start + windows.kernel[axis], windows.size[axis] + frame)
    return end - np.maximum(start, -frame)


def check_image(name: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``shape`` is that of images with at least one pixel."""
    check_rank(name, "input", shape, "(N, C, H, W)")
    if 0 in shape[2:]:
        raise ValueError(f"{name}: the image is empty: {shape[2]} x {shape[3]}")


def check_rank(name: str, what: str, shape: tuple[int, ...], layout: str) -> None:
    """Raise ValueError unless ``shape`` has as many axes as ``layout``, e.g. "(N, C, H, W)"."""
    expected = layout.count(",") + 1
    if len(shape) != expected:
        one = f" or {layout.replace('N, ', '')}" if layout.startswith("(N, ") else ""
        raise ValueError(
            f"{name}: {what} must have {expected} axes {layout}{one}, got shape {shape}"
        )
