"""Columns for the products of a convolution: what each window covers, for one block at a time.

There are two layouts here: ``Runs`` for stride 1, where one copy moves whole rows of the image at
once, and ``Patches`` for everything else. ``winograd.py`` has a third, with fewer multiplications.
Each has the same methods: ``columns`` copies a block, ``multiply`` makes output of it,
``gradient`` lays a cotangent out like the columns, and ``correlate`` and ``weight`` turn both into
the gradient by the weight.

All times are of one thread, float32, on an AMD EPYC (Zen 4) with OpenBLAS, for the 3 x 3
convolution of 100 images 16 x 28 x 28 to 16 channels, unless something else is said.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.blocks import Block, Shape, cut, pitch, view
from minigrad.kernels.im2col import pad_image, patches
from minigrad.kernels.scratch import scratch
from minigrad.kernels.sums import total
from minigrad.kernels.windows import reach

#: Up to this depth, a cotangent that is not transposed multiplies as fast.
SHALLOW = 32


def as_matrix(w: Any, groups: int) -> Any:
    """The weight (O, C / groups, kh, kw) as (groups, O / groups, depth)."""
    return w.reshape(groups, len(w) // groups, w.shape[1] * w.shape[2] * w.shape[3])


class Layout:
    """What layouts share."""

    def correlate(self, cols: Any, slopes: Any) -> Any:
        """The summed products of columns and cotangents."""
        product = scratch("product", (*cols.shape[:-1], slopes.shape[-1]), cols.dtype)
        np.matmul(cols, slopes, out=product)
        return self.reduce(product)

    @staticmethod
    def reduce(product: Any) -> Any:
        """The product itself: it is of all images."""
        return product

    @staticmethod
    def matrix(w: Any, shape: Shape, dtype: Any) -> Any:
        """The weight as the left-hand side of products with columns."""
        return as_matrix(np.ascontiguousarray(w, dtype), shape.groups)

    @staticmethod
    def weight(summed: Any, shape: tuple[int, ...]) -> Any:
        """The summed products of columns and cotangents, as a weight."""
        return np.ascontiguousarray(np.swapaxes(summed, 1, 2)).reshape(shape)


class Runs(Layout):
    """Columns for stride 1, from images that lie flat: a patch row is one slice of them.

    In a zero-padded image flattened to (C, rows * pitch), what tap (i, j) of the kernel meets is
    the slice that begins at i * pitch + j. One copy moves all of it, in place of a copy for each
    row: 0.8 ms instead of 3. At the end of each output row come a few columns that wrap around to
    the next row: they are computed and dropped (one in 29 here, as neighbouring rows share their
    padding).
    """

    def __init__(self, shape: Shape, largest: Block, dtype: Any) -> None:
        self.shape = shape
        windows = shape.windows
        self.pitch = pitch(windows)
        self.images = n = largest.last - largest.first
        self.rows = largest.bottom - largest.top
        (kh, kw), (dh, dw) = windows.kernel, windows.dilation
        (left, _), width, c = windows.padding[1], windows.size[1], shape.channels
        self.rows_in = self.rows - 1 + reach(kh, dh)
        self.parts, self.part = cut(self.rows * self.pitch, shape.depth * shape.out_depth)
        self.length = self.parts * self.part
        ahead = (kh - 1) * dh * self.pitch + (kw - 1) * dw
        plane = max(self.length + ahead, left + self.rows_in * self.pitch)
        image = scratch("image", (n, c, plane), dtype)
        image.fill(0.0)
        inner = (n, c, self.rows_in, width)
        self.inner = view(image, inner, (c * plane, plane, self.pitch, 1), left)
        #: The rows of the images that are not zero.
        self.filled = (0, self.rows_in)
        self.source = view(
            image,
            (n, self.parts, c, kh, kw, self.part),
            (c * plane, self.part, plane, dh * self.pitch, dw, 1),
        )
        self.target = scratch("columns", self.source.shape, dtype)
        self.cols = self.target.reshape(n, self.parts, shape.groups, shape.depth, self.part)

    def columns(self, x: Any, block: Block) -> Any:
        """(images, parts, groups, depth, part): column p of a part is one window."""
        first, last, top, _ = block
        n = last - first
        start = top - self.shape.windows.padding[0][0]
        end = start + self.rows_in
        inner = self.inner[:n]
        # A band may lie in the padding as a whole.
        before, height = min(max(-start, 0), self.rows_in), self.shape.windows.size[0]
        after = max(min(end, height) - start, before)
        if self.filled != (before, after):
            self.inner[:, :, :before] = 0.0
            self.inner[:, :, after:] = 0.0
            self.filled = (before, after)
        inner[:, :, before:after] = x[first:last, :, start + before : start + after]
        np.copyto(self.target[:n], self.source[:n])
        return self.cols[:n]

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write the product, plus a bias if there is one, to (images, O, rows, out_w)."""
        n, g, o = len(cols), self.shape.groups, self.shape.out_depth
        out = scratch("product", (n, g * o, self.length), cols.dtype)
        steps = (g * o * self.length, self.part, o * self.length, self.length, 1)
        np.matmul(matrix, cols, out=view(out, (n, self.parts, g, o, self.part), steps))
        if bias is not None:
            # In long runs: 0.3 ms; while rows are copied to the output it would be 0.7.
            out += bias[:, None]
        rows = out[:, :, : self.rows * self.pitch].reshape(n, g * o, self.rows, self.pitch)
        target[...] = rows[:, :, : target.shape[2], : target.shape[3]]

    @staticmethod
    def reduce(product: Any) -> Any:
        """The sum over images and parts."""
        return total(product, (0, 1))

    def prepare_gradient(self) -> None:
        """Memory for ``gradient``, zero where columns wrap around."""
        o, length = self.shape.out_channels, self.length
        deep = self.shape.depth > SHALLOW
        size = (self.images, *((length, o) if deep else (o, length)))
        self.g = scratch("gradient", size, self.target.dtype)
        self.g.fill(0.0)
        #: Elements from one place to the next, and from one channel to the next.
        self.steps = (o, 1) if deep else (1, length)

    def gradient(self, g: Any, block: Block) -> Any:
        """The cotangent like the columns: (images, parts, groups, part, out_depth).

        Transposed so that it is the right-hand side of a plain product. The other way about, the
        product runs at half the speed: 8.8 ms instead of 4.4, of which transposing takes 0.6.
        """
        first, last, top, bottom = block
        n, o, shape = last - first, self.shape.out_channels, self.shape
        (place, channel), image = self.steps, self.length * o
        size = (n, self.rows, shape.windows.out[1], o)
        rows = view(self.g, size, (image, self.pitch * place, place, channel))
        used = bottom - top
        rows[:, :used] = g[first:last, :, top:bottom].transpose(0, 2, 3, 1)
        rows[:, used:] = 0.0
        return view(
            self.g,
            (n, self.parts, shape.groups, self.part, shape.out_depth),
            (image, self.part * place, shape.out_depth * channel, place, channel),
        )


class Patches(Layout):
    """Columns for any windows, without a surplus: each row of the output is copied by itself."""

    def __init__(self, shape: Shape, _largest: Block, dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype

    def columns(self, x: Any, block: Block) -> Any:
        """(groups, depth, images * rows * out_w)."""
        first, last, top, bottom = block
        shape, windows = self.shape, self.shape.windows
        (above, _), sides = windows.padding
        start = top * windows.stride[0] - above
        covered = reach(windows.kernel[0], windows.dilation[0])
        end = (bottom - 1) * windows.stride[0] - above + covered
        rows = x[first:last, :, max(start, 0) : max(end, 0)]
        ahead = min(max(-start, 0), end - start)
        band = windows._replace(
            size=rows.shape[2:],
            padding=((ahead, end - start - ahead - rows.shape[2]), sides),
            out=(bottom - top, windows.out[1]),
        )
        under = patches(pad_image(rows, band), band).transpose(1, 2, 3, 0, 4, 5)
        target = scratch("columns", under.shape, self.dtype)
        np.copyto(target, under)
        self.places = under.shape[3:]
        return target.reshape(shape.groups, shape.depth, -1)

    def multiply(self, matrix: Any, cols: Any, bias: Any, target: Any) -> None:
        """Write the product, plus a bias if there is one, to (images, O, rows, out_w)."""
        shape = self.shape
        out = scratch("product", (shape.groups, shape.out_depth, cols.shape[-1]), cols.dtype)
        np.matmul(matrix, cols, out=out)
        if bias is not None:
            out += bias.reshape(shape.groups, shape.out_depth, 1)
        target[...] = out.reshape(shape.out_channels, *self.places).transpose(1, 0, 2, 3)

    def prepare_gradient(self) -> None:
        """Nothing: the cotangent has no surplus to be zero."""

    def gradient(self, g: Any, block: Block) -> Any:
        """The cotangent like the columns: (groups, images * rows * out_w, out_depth)."""
        first, last, top, bottom = block
        shape = self.shape
        part = g[first:last, :, top:bottom].transpose(0, 2, 3, 1)
        target = scratch("gradient", part.shape, self.dtype)
        np.copyto(target, part)
        return target.reshape(-1, shape.groups, shape.out_depth).transpose(1, 0, 2)
