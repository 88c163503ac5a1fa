"""The names of PyTorch's OpInfo, and the minigrad call of the same meaning.

Each entry of ``COMPARED`` is a function with PyTorch's argument names, so that what it does not take
is what minigrad does not have. ``Unsupported`` says so where it depends on the value.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


class Unsupported(Exception):  # noqa: N818
    """A sample asks for something that minigrad does not have."""


def words(text: str) -> list[str]:
    return text.split()


def only(given: Any, *known: Any, name: str) -> None:
    """Refuse a value of an argument that has no counterpart."""
    if not any(given is k or (type(given) is type(k) and given == k) for k in known):
        raise Unsupported(f"{name}={given}")


def numbers(x: Any) -> Any:
    """The plain array of an index, a mask or a count."""
    return x.detach().numpy() if isinstance(x, mg.Tensor) else x


def axes_of(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


# -- reductions and functions along axes -----------------------------------------------------------


def not_of_scalars(x: Any, dim: Any) -> None:
    """PyTorch lets a 0-d array have an axis 0; NumPy mostly refuses it."""
    if not x.ndim and dim not in (None, (), []):
        raise Unsupported("an axis of a 0-d array")


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """An empty tuple of axes means all of them in PyTorch, none in NumPy."""

    def reduced(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if function in (mg.mean, mg.logsumexp):
            not_of_scalars(x, dim)
        axis = axes_of(dim) if dim not in ((), []) else None
        return function(x, axis=axis, keepdims=keepdim)

    return reduced


def summed(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        x = x if dtype is None else mg.astype(x, dtype)
        return reduction(function)(x, dim, keepdim)

    return reduced


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(
        x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = 1 if correction is None else correction
        ddof = correction if unbiased is None else int(unbiased)
        return reduction(lambda x, axis, keepdims: function(x, axis, ddof, keepdims))(
            x, dim, keepdim
        )

    return reduced


def chosen(function: Callable[..., Any], index: Callable[..., Any]) -> Callable[..., Any]:
    """The extreme along an axis and its index; without an axis only the extreme."""

    def reduced(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return function(x)
        return function(x, dim, keepdim), index(x, dim, keepdim)

    return reduced


def cast(function: Callable[..., Any]) -> Callable[..., Any]:
    def along(x: Any, dim: Any, *, dtype: Any = None) -> Any:
        if function in (mg.cumsum, mg.cumprod, mg.logcumsumexp):
            not_of_scalars(x, dim)  # NumPy gives an axis of length 1
        return function(x if dtype is None else mg.astype(x, dtype), axis=dim)

    return along


def quantile(function: Callable[..., Any]) -> Callable[..., Any]:
    def along(
        x: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Any:
        not_of_scalars(x, dim)
        if isinstance(q, mg.Tensor) and q.requires_grad:
            raise Unsupported("a gradient by q")
        return function(x, numbers(q), dim, interpolation, keepdim)

    return along


def median(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        not_of_scalars(x, dim)
        return function(x, dim, keepdim)

    return reduced


def gradient(x: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    axes = tuple(range(x.ndim)) if dim is None else axes_of(dim)
    steps = spacing if isinstance(spacing, tuple | list) else (spacing or 1.0,)
    return mg.gradient(x, *steps, axis=axes, edge_order=edge_order)


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    only(descending, False, name="descending")
    not_of_scalars(x, dim)
    return mg.sort(x, dim), mg.argsort(x, dim, "stable")


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    only(descending, False, name="descending")
    not_of_scalars(x, dim)
    return mg.argsort(x, dim, "stable")


def searchsorted(
    a: Any, v: Any, *, out_int32: bool = False, right: bool = False, side: Any = None,
    sorter: Any = None,
) -> Any:  # fmt: skip
    only(out_int32, False, name="out_int32")
    if a.ndim > 1:
        raise Unsupported("rows of sorted values")
    return mg.searchsorted(a, v, side or ("right" if right else "left"), sorter)


def unique(
    x: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: Any = None,
) -> Any:
    only(sorted, True, name="sorted")
    return mg.unique(x, False, return_inverse, return_counts, dim)


def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if not n and (prepend is not None or append is not None):
        raise Unsupported("n=0 with values put before or after")
    return mg.diff(x, n, dim, prepend, append)


def trapezoid(y: Any, x: Any = None, *, dx: Any = 1.0, dim: int = -1) -> Any:
    return mg.trapezoid(y, x, dx, dim)


# -- arithmetic ------------------------------------------------------------------------------------


def scaled(function: Callable[..., Any]) -> Callable[..., Any]:
    def combined(x: Any, y: Any, *, alpha: Any = None) -> Any:
        return function(x, y if alpha is None else alpha * y)

    return combined


def divide(x: Any, y: Any, *, rounding_mode: Any = None) -> Any:
    only(rounding_mode, None, "floor", name="rounding_mode")
    return floor_divide(x, y) if rounding_mode else mg.divide(x, y)


def with_numbers_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """The reflected operators, as methods of the second operand."""

    def reflected(x: Any, y: Any) -> Any:
        if not isinstance(x, mg.Tensor):
            raise Unsupported("a number as self")
        return function(x, y)

    return reflected


def ldexp(x: Any, y: Any) -> Any:
    y = np.asarray(numbers(y))
    if not np.all(np.abs(y) < 1000):
        raise Unsupported("exponents beyond 1000")
    return mg.ldexp(x, np.rint(y).astype(int))


def floor_divide(x: Any, y: Any) -> Any:
    if not isinstance(x, mg.Tensor) and not isinstance(y, mg.Tensor):
        raise Unsupported("two numbers")
    return mg.floor_divide(x, y)


def where(x: Any, condition: Any, y: Any) -> Any:
    if isinstance(x, complex) or isinstance(y, complex):
        raise Unsupported("complex numbers")
    if not isinstance(x, mg.Tensor) and not isinstance(y, mg.Tensor):
        raise Unsupported("two numbers")
    return mg.where(condition, x, y)


def isclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    only(equal_nan, False, name="equal_nan")
    return mg.isclose(x, y, rtol, atol)


def allclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    return np.allclose(x, y, rtol, atol, equal_nan)


# -- shapes and selection --------------------------------------------------------------------------


def expand(x: Any, *sizes: Any) -> Any:
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    kept = (1,) * (len(sizes) - x.ndim) + x.shape
    return mg.broadcast_to(x, tuple(k if n == -1 else n for n, k in zip(sizes, kept)))


def listed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arrays one by one or in a list."""
    return lambda *arrays: function(
        *arrays[0] if len(arrays) == 1 and isinstance(arrays[0], tuple | list) else arrays
    )


def meshgrid(*arrays: Any, indexing: str = "ij") -> Any:
    return listed(lambda *each: mg.meshgrid(*each, indexing=indexing))(*arrays)


def squeeze(x: Any, dim: Any = None) -> Any:
    """PyTorch passes over axes that are longer than 1, NumPy refuses them."""
    if dim is None:
        return mg.squeeze(x)
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    for axis in axes:
        not_of_scalars(x, axis)
    if any(x.shape[axis] != 1 for axis in axes):
        raise Unsupported("axes to squeeze that are longer than 1")
    return mg.squeeze(x, axes)


def repeat(x: Any, *sizes: Any) -> Any:
    return mg.tile(x, sizes[0] if isinstance(sizes[0], tuple | list) else sizes)


def diag_of_stack(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return mg.diagonal(x, offset, dim1, dim2)


def cross(x: Any, y: Any, dim: Any = None) -> Any:
    if dim is None:
        dim = x.shape.index(3)
    return mg.cross(x, y, axis=dim)


def linalg_cross(x: Any, y: Any, *, dim: int = -1) -> Any:
    return mg.cross(*mg.broadcast_arrays(x, y), axis=dim)


def tensordot(x: Any, y: Any, dims: Any = 2) -> Any:
    if not isinstance(dims, int):
        left, right = ([array.shape[axis] for axis in axes] for array, axes in zip((x, y), dims))
        if left != right:
            raise Unsupported("sums over axes of length 1 and n")
    return mg.tensordot(x, y, dims)


def covariance(x: Any, *, correction: int = 1) -> Any:
    return mg.cov(x, ddof=correction)


def reshape_like(x: Any, y: Any) -> Any:
    return mg.reshape(x, y.shape)


def roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    return mg.roll(x, shifts, None if dims == () else dims)


def nonzero(x: Any, *, as_tuple: bool = False) -> Any:
    if as_tuple and not x.ndim:
        raise Unsupported("a 0-d array")
    return mg.nonzero(x) if as_tuple else mg.argwhere(x)


def index_select(x: Any, dim: int, index: Any) -> Any:
    not_of_scalars(x, dim)
    return mg.take(x, index, dim)


def take_along_dim(x: Any, indices: Any, dim: Any = None) -> Any:
    if dim is None:
        x, indices, dim = mg.ravel(x), mg.ravel(indices), 0
    return mg.take_along_axis(x, indices, dim)


def concatenate(arrays: Any, dim: int = 0) -> Any:
    if len({getattr(x, "ndim", 0) for x in arrays}) > 1:
        raise Unsupported("empty arrays of another number of axes")
    return mg.concatenate(arrays, dim)


def swapaxes(x: Any, dim0: int, dim1: int) -> Any:
    not_of_scalars(x, dim0)
    return mg.swapaxes(x, dim0, dim1)


def diag(x: Any, diagonal: int = 0) -> Any:
    return mg.diag(x, diagonal)


# -- creation --------------------------------------------------------------------------------------


def created(function: Callable[..., Any], default: Any = np.float32) -> Callable[..., Any]:
    def make(*args: Any, dtype: Any = default, device: Any = None) -> Any:
        return function(*args, dtype=dtype)

    return make


def alike(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(x: Any, *args: Any, dtype: Any = None, device: Any = None) -> Any:
        return function(x, *args, dtype=dtype)

    return make


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = np.float32, device: Any = None
) -> Any:
    return mg.linspace(start, end, steps, dtype)


# -- linear algebra --------------------------------------------------------------------------------


def solve(a: Any, b: Any, *, left: bool = True) -> Any:
    only(left, True, name="left")
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    if vector and b.ndim > 1:  # NumPy 2 takes vectors of one axis only
        return mg.linalg.solve(a, b[..., None])[..., 0]
    return mg.linalg.solve(a, b)


def svd(x: Any, full_matrices: bool = True) -> Any:
    if full_matrices and x.requires_grad and x.shape[-1] != x.shape[-2]:
        raise Unsupported("a gradient of full matrices")
    return mg.linalg.svd(x, full_matrices)


def pinv(
    x: Any, rcond: Any = None, *, rtol: Any = None, atol: Any = None, hermitian: bool = False
) -> Any:
    only(atol, None, name="atol")
    return mg.linalg.pinv(x, numbers(rcond if rtol is None else rtol), hermitian)


def matrix_rank(
    x: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    only(rtol, None, name="rtol")
    return mg.linalg.matrix_rank(x, numbers(tol if atol is None else atol), hermitian)


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    not_of_scalars(x, dim)
    x = x if dtype is None else mg.astype(x, dtype)
    return mg.linalg.vector_norm(x, None if dim in ((), []) else axes_of(dim), keepdim, ord)


def matrix_norm(
    x: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    x = x if dtype is None else mg.astype(x, dtype)
    return mg.linalg.norm(x, ord, axes_of(dim), keepdim)


def norm(
    x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    x = x if dtype is None else mg.astype(x, dtype)
    return mg.linalg.norm(x, ord, axes_of(dim), keepdim)


def old_norm(
    x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """``torch.norm``: of the elements, unless it is a norm of matrices by name."""
    x = x if dtype is None else mg.astype(x, dtype)
    axes = axes_of(dim)
    if p == "nuc":
        return mg.linalg.norm(x, p, axes or (-2, -1), keepdim)
    return mg.linalg.vector_norm(x, axes or None, keepdim, 2 if p in ("fro", None) else p)


def vander(x: Any, N: Any = None) -> Any:
    if x.ndim != 1:
        raise Unsupported("stacks of vectors")
    return mg.vander(x, N, increasing=True)


def lstsq(a: Any, b: Any, rcond: Any = None, *, driver: Any = None) -> Any:
    only(driver, None, "gelsd", name="driver")
    if a.ndim > 2:
        raise Unsupported("stacks of matrices")
    return mg.linalg.lstsq(a, b, rcond)


# -- layers and losses -----------------------------------------------------------------------------


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return F.softplus(x, beta)


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
) -> Any:
    only(recompute_scale_factor, None, False, name="recompute_scale_factor")
    if x.ndim > 4:
        raise Unsupported(f"{x.ndim - 2} spatial axes")
    return F.interpolate(x, size, scale_factor, mode, align_corners)


def pairs(value: Any) -> Any:
    """PyTorch takes a list of one number for a pair, and an empty one for the default."""
    if isinstance(value, tuple | list) and not value:
        return None
    return value[0] if isinstance(value, tuple | list) and len(value) == 1 else value


def batches(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """Functions of images or sequences that take them in batches only."""

    @functools.wraps(function)
    def run(x: Any, *args: Any, **settings: Any) -> Any:
        if x.ndim == axes - 1:
            raise Unsupported("an input without a batch axis")
        args, settings = [pairs(a) for a in args], {k: pairs(v) for k, v in settings.items()}
        return function(x, *args, **settings)

    return run


def pad(x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    return F.pad(x, pad, mode, value or 0.0)


def sensible(function: Callable[..., Any]) -> Callable[..., Any]:
    """Normalisations refuse what means nothing: eps below 0, momentum outside [0, 1]."""

    @functools.wraps(function)
    def run(*args: Any, **settings: Any) -> Any:
        for name in ("eps", "momentum"):
            value = settings.get(name)
            if value is not None and (value < 0 or (name == "momentum" and value > 1)):
                raise Unsupported(f"{name} outside its range")
        return function(*args, **settings)

    return run


def batch_norm(x: Any, *args: Any, **settings: Any) -> Any:
    if x.ndim < 2:
        raise Unsupported("an input without channels")
    return sensible(F.batch_norm)(x, *args, **settings)


batch_norm.__wrapped__ = F.batch_norm  # type: ignore[attr-defined]


def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    return F.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def unpool(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    def run(
        x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        output_size: Any = None,
    ) -> Any:  # fmt: skip
        return batches(function, axes)(
            x, indices, kernel_size, stride, padding, output_size=output_size
        )

    return run


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    return F.im2col(x, kernel_size, stride, padding, dilation)


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    if training and 0.0 < p < 1.0:
        raise Unsupported("random numbers")
    return F.dropout(x, p, training)


def attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: Any = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    only(enable_gqa, False, name="enable_gqa")
    if dropout_p:
        raise Unsupported("random numbers")
    return F.scaled_dot_product_attention(query, key, value, attn_mask, 0.0, is_causal, scale)


def embedding_bag(
    weight: Any, indices: Any, offsets: Any = None, mode: str = "mean",
    per_sample_weights: Any = None, include_last_offset: bool = False, padding_idx: Any = None,
) -> Any:  # fmt: skip
    return F.embedding_bag(
        indices, weight, offsets, mode, per_sample_weights, include_last_offset, padding_idx
    )


def cosine_similarity(x: Any, y: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    not_of_scalars(x, dim)
    return F.cosine_similarity(x, y, dim, eps)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    if min_val == max_val:
        raise Unsupported("bounds that are equal")
    return F.hardtanh(x, min_val, max_val)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    if target.shape != input.shape:
        raise Unsupported("targets of another shape")
    check_variances(input, var)
    return F.gaussian_nll_loss(input, target, var, full, eps, reduction)


def check_variances(input: Any, var: Any) -> None:
    rows = input.shape[:-1]
    if tuple(var.shape) not in (tuple(input.shape), tuple(rows), (*rows, 1)):
        raise Unsupported("variances of another shape")


def of_one_shape(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """PyTorch broadcasts the arguments of these losses."""

    @functools.wraps(function)
    def run(*args: Any, **settings: Any) -> Any:
        if len({a.shape for a in args[:count]}) > 1:
            raise Unsupported("arguments of different shapes")
        return function(*args, **settings)

    return run


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    if weight is not None and weight.ndim != 1:
        raise Unsupported("a weight for each sample")
    return F.multilabel_soft_margin_loss(input, target, weight, reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    if input.ndim != target.ndim + 1:
        raise Unsupported("scores without an axis of classes")
    return F.multi_margin_loss(input, target, p, margin, weight, reduction)


def bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    only(out_int32, False, name="out_int32")
    return mg.digitize(x, boundaries, not right)


def histogram(
    x: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    only(weight, None, name="weight")
    counts, edges = mg.histogram(x, bins, range, density)
    return mg.astype(counts, edges.dtype), edges  # PyTorch counts in floats


def eye(
    n: int, m: Any = None, *, dtype: Any = np.float32, device: Any = None, layout: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    return mg.eye(n, m, dtype)


#: Under the same name, with the same arguments.
SAME = (
    "abs acos acosh asin asinh atan atan2 atanh bitwise_and "
    "bitwise_not bitwise_or bitwise_xor broadcast_to ceil column_stack copysign corrcoef cos cosh "
    "deg2rad diagflat dot dsplit dstack exp exp2 expm1 float_power floor fliplr "
    "flipud fmax fmin fmod gcd heaviside hsplit hstack hypot inner isfinite isin isinf isnan "
    "isneginf isposinf isreal kron lcm log log10 log1p log2 logaddexp logaddexp2 logical_and "
    "logical_not logical_or logical_xor matmul maximum minimum nan_to_num outer positive rad2deg "
    "ravel real reciprocal remainder reshape round sign signbit sin sinc sinh sqrt square tan tanh "
    "tile trace trunc vdot vsplit vstack angle"
)

COMPARED: dict[str, Callable[..., Any]] = {
    **{name: getattr(mg, name) for name in words(SAME)},
    **{f"linalg.{n}": getattr(mg.linalg, n) for n in ("det", "slogdet", "inv", "eigh", "eigvalsh",
       "svdvals", "tensorinv", "matrix_power")},
    **{f"nn.functional.{n}": getattr(F, n) for n in (
        "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
        "gelu", "huber_loss", "l1_loss", "linear", "mse_loss", "nll_loss",
        "one_hot", "smooth_l1_loss", "bilinear", "celu", "cosine_embedding_loss",
        "hardsigmoid", "hardswish", "kl_div", "mish",
        "poisson_nll_loss", "prelu", "relu6", "soft_margin_loss",
        "softsign", "triplet_margin_loss")},
    # arithmetic
    "add": scaled(mg.add), "sub": scaled(mg.subtract), "mul": mg.multiply, "div.no_rounding_mode": divide,
    "div.floor_rounding": divide, "true_divide": divide, "pow": mg.power, "neg": mg.negative,
    "rsub": lambda x, y, *, alpha=1: mg.subtract(y, alpha * x), "sgn": mg.sign, "frac": lambda x: mg.modf(x)[0],
    "round.decimals_0": lambda x, *, decimals: mg.round(x, decimals),
    "round.decimals_3": lambda x, *, decimals: mg.round(x, decimals),
    "round.decimals_neg_3": lambda x, *, decimals: mg.round(x, decimals),
    "__radd__": with_numbers_first(lambda x, y: y + x), "__rsub__": with_numbers_first(lambda x, y: y - x), "__rmul__": with_numbers_first(lambda x, y: y * x),
    "__rdiv__": with_numbers_first(lambda x, y: y / x), "__rpow__": with_numbers_first(lambda x, y: y**x), "__rmod__": with_numbers_first(lambda x, y: y % x),
    "__rmatmul__": with_numbers_first(lambda x, y: y @ x), "__rand__": with_numbers_first(lambda x, y: y & x), "__ror__": with_numbers_first(lambda x, y: y | x),
    "__rxor__": with_numbers_first(lambda x, y: y ^ x),
    "clamp": mg.clip, "clamp_min": lambda x, low: mg.clip(x, low, None),
    "clamp_max": lambda x, high: mg.clip(x, None, high),
    "max.binary": mg.maximum, "min.binary": mg.minimum, "conj": lambda x: x.conj(),
    "conj_physical": lambda x: x.conj(), "clone": mg.copy,
    "eq": mg.equal, "ne": mg.not_equal, "lt": mg.less, "le": mg.less_equal, "gt": mg.greater,
    "ge": mg.greater_equal, "isclose": isclose, "allclose": allclose,
    "equal": lambda x, y: np.array_equal(x, y),
    "bitwise_left_shift": mg.left_shift, "bitwise_right_shift": mg.right_shift,
    "ldexp": ldexp, "floor_divide": floor_divide,
    "where": where,
    # reductions
    "sum": summed(mg.sum), "mean": summed(mg.mean), "prod": summed(mg.prod), "nansum": summed(mg.nansum),
    "nanmean": summed(mg.nanmean), "amax": reduction(mg.max), "amin": reduction(mg.min),
    "all": reduction(mg.all), "any": reduction(mg.any), "argmax": reduction(mg.argmax),
    "argmin": reduction(mg.argmin), "count_nonzero": reduction(mg.count_nonzero),
    "logsumexp": reduction(mg.logsumexp), "std": spread(mg.std), "std.unbiased": spread(mg.std),
    "var": spread(mg.var), "var.unbiased": spread(mg.var),
    "max.reduction_with_dim": chosen(mg.max, mg.argmax), "max.reduction_no_dim": chosen(mg.max, mg.argmax),
    "min.reduction_with_dim": chosen(mg.min, mg.argmin), "min.reduction_no_dim": chosen(mg.min, mg.argmin),
    "median": median(mg.median), "nanmedian": median(mg.nanmedian),
    "quantile": quantile(mg.quantile), "nanquantile": quantile(mg.nanquantile),
    "cov": covariance, "bincount": lambda x, weights=None, minlength=0: mg.bincount(x, weights, minlength),
    # special functions
    "digamma": mg.digamma, "erf": mg.erf, "erfc": mg.erfc, "lgamma": mg.gammaln, "xlogy": mg.xlogy,
    # along an axis
    "logcumsumexp": cast(mg.logcumsumexp),
    "cumsum": cast(mg.cumsum), "cumprod": cast(mg.cumprod), "diff": diff, "gradient": gradient,
    "trapezoid": trapezoid, "trapz": trapezoid, "sort": sort, "msort": lambda x: mg.sort(x, 0),
    "argsort": argsort, "searchsorted": searchsorted, "bucketize": bucketize, "unique": unique,
    "histogram": histogram, "nonzero": nonzero, "argwhere": mg.argwhere,
    # shapes
    **{f"atleast_{n}d": listed(getattr(mg, f"atleast_{n}d")) for n in (1, 2, 3)},
    "view": mg.reshape, "reshape_as": reshape_like, "view_as": reshape_like,
    "flatten": lambda x, start_dim=0, end_dim=-1: F.flatten(x, start_dim, end_dim),
    "broadcast_tensors": mg.broadcast_arrays, "expand": expand, "expand_as": lambda x, y: mg.broadcast_to(x, y.shape),
    "tensor_split": lambda x, indices_or_sections, dim=0: mg.array_split(x, numbers(indices_or_sections), dim),
    "cat": concatenate, "stack": lambda arrays, dim=0: mg.stack(arrays, dim),
    "unbind": lambda x, dim=0: mg.unstack(x, dim), "meshgrid.variadic_tensors": meshgrid,
    "meshgrid.list_of_tensors": meshgrid, "movedim": mg.moveaxis, "transpose": swapaxes,
    "permute": mg.transpose, "T": lambda x: x.T, "mT": lambda x: x.mT, "t": mg.transpose,
    "squeeze": squeeze, "squeeze.multiple": squeeze, "unsqueeze": mg.expand_dims,
    "roll": roll, "flip": lambda x, dims: mg.flip(x, tuple(dims)), "rot90": lambda x, k=1, dims=(0, 1): mg.rot90(x, k, dims), "repeat": repeat,
    "repeat_interleave": lambda x, repeats, dim=None: mg.repeat(x, numbers(repeats), dim),
    "tril": lambda x, diagonal=0: mg.tril(x, diagonal), "triu": lambda x, diagonal=0: mg.triu(x, diagonal),
    "diag": diag,
    "diagonal": lambda x, offset=0, dim1=0, dim2=1: mg.diagonal(x, offset, dim1, dim2),
    "linalg.diagonal": diag_of_stack, "unravel_index": mg.unravel_index,
    "split_with_sizes": lambda x, split_sizes, dim=0: mg.split(x, np.cumsum(split_sizes)[:-1], dim),
    # selection
    "__getitem__": lambda x, index: x[index], "take": mg.take, "index_select": index_select,
    "select": lambda x, dim, index: mg.take(x, index, dim), "take_along_dim": take_along_dim,
    "masked_select": lambda x, mask: mg.extract(*mg.broadcast_arrays(mask, x)),
    # creation
    "arange": created(mg.arange, None), "zeros": created(mg.zeros), "ones": created(mg.ones), "full": created(mg.full),
    "zeros_like": alike(mg.zeros_like), "ones_like": alike(mg.ones_like), "full_like": alike(mg.full_like),
    "linspace": linspace, "eye": eye,
    # products and linear algebra
    "bmm": mg.matmul, "mm": mg.matmul, "mv": mg.matvec, "einsum": lambda operands, equation: mg.einsum(equation, *operands),
    "tensordot": tensordot, "cross": cross, "linalg.cross": linalg_cross,
    "linalg.vecdot": lambda x, y, *, dim=-1: mg.linalg.vecdot(x, y, dim), "linalg.multi_dot": lambda xs: mg.linalg.multi_dot(xs),
    "cholesky": lambda x, upper=False: mg.linalg.cholesky(x, upper),
    "linalg.cholesky": lambda x, *, upper=False: mg.linalg.cholesky(x, upper),
    "linalg.solve": solve, "linalg.solve_triangular": mg.linalg.solve_triangular, "matrix_exp": mg.linalg.matrix_exp, "linalg.svd": svd,
    "linalg.qr": lambda x, mode="reduced": mg.linalg.qr(x, mode), "qr": lambda x, some=True: mg.linalg.qr(x, "reduced" if some else "complete"),
    "pinverse": pinv, "linalg.pinv": pinv, "linalg.pinv.singular": lambda x, y: mg.linalg.pinv(x @ y.mT), "linalg.pinv.hermitian": pinv,
    "linalg.matrix_rank": matrix_rank, "linalg.matrix_rank.hermitian": matrix_rank,
    "linalg.vector_norm": vector_norm, "linalg.matrix_norm": matrix_norm, "linalg.norm": norm,
    "linalg.norm.subgradients_at_zero": norm, "norm": old_norm, "norm.nuc": old_norm, "norm.fro": old_norm,
    "norm.inf": old_norm, "linalg.cond": lambda x, p=None: mg.linalg.cond(x, p), "linalg.vander": vander,
    "linalg.tensorsolve": lambda x, y, dims=None: mg.linalg.tensorsolve(x, y, dims),
    "linalg.lstsq": lstsq, "linalg.lstsq.grad_oriented": lstsq,
    # layers and losses
    "softmax": cast(F.softmax), "softmax.with_dtype": cast(F.softmax), "log_softmax": cast(F.log_softmax),
    "log_softmax.with_dtype": cast(F.log_softmax), "sigmoid": F.sigmoid, "nn.functional.logsigmoid": F.logsigmoid,
    "nn.functional.relu": F.relu, "nn.functional.silu": F.silu, "nn.functional.selu": F.selu, "nn.functional.elu": F.elu,
    "nn.functional.leaky_relu": F.leaky_relu, "nn.functional.softplus": softplus,
    "nn.functional.conv1d": batches(F.conv1d, 3), "nn.functional.conv2d": batches(F.conv2d, 4),
    "nn.functional.conv_transpose1d": batches(F.conv_transpose1d, 3),
    "nn.functional.conv_transpose2d": batches(F.conv_transpose2d, 4),
    "nn.functional.avg_pool2d": batches(F.avg_pool2d, 4), "nn.functional.max_pool2d": batches(max_pool2d, 4),
    "nn.functional.adaptive_avg_pool2d": batches(F.adaptive_avg_pool2d, 4),
    "nn.functional.layer_norm": sensible(F.layer_norm), "nn.functional.group_norm": sensible(F.group_norm), "nn.functional.local_response_norm": F.local_response_norm,
    "nn.functional.embedding": lambda weight, indices, padding_idx=None: F.embedding(indices, weight, padding_idx), "nn.functional.unfold": unfold,
    **{f"nn.functional.interpolate.{mode}": interpolate
       for mode in ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area")},
    "nn.functional.upsample_nearest": interpolate,
    "nn.functional.upsample_bilinear": lambda x, size=None, scale_factor=None: interpolate(x, size, scale_factor, "bilinear", True),
    "nn.functional.dropout": dropout, "nn.functional.scaled_dot_product_attention": attention,
    **{f"nn.functional.pad.{mode}": pad
       for mode in ("constant", "reflect", "replicate", "replicate_negative", "circular")},
    "constant_pad_nd": lambda x, widths, value=0.0: pad(x, widths, "constant", value),
    "nn.functional.batch_norm": batch_norm, "nn.functional.instance_norm": sensible(F.instance_norm),
    "nn.functional.rms_norm": sensible(F.rms_norm),
    "nn.functional.softmin": cast(F.softmin), "nn.functional.softmin.with_dtype": cast(F.softmin),
    "nn.functional.glu": lambda x, dim=-1: F.glu(x, dim),
    "nn.functional.cosine_similarity": cosine_similarity, "nn.functional.hardtanh": hardtanh,
    "nn.functional.gaussian_nll_loss": gaussian_nll_loss, "nn.functional.multi_margin_loss": multi_margin_loss,
    "nn.functional.embedding_bag": embedding_bag, "nn.functional.multilabel_soft_margin_loss": multilabel_soft_margin_loss,
    "nn.functional.hinge_embedding_loss": of_one_shape(F.hinge_embedding_loss, 2),
    "nn.functional.margin_ranking_loss": of_one_shape(F.margin_ranking_loss, 3),
    "nn.functional.pairwise_distance": lambda x, y, p=2.0, eps=1e-6, keepdim=False: F.pairwise_distance(x, y, p, eps, keepdim),
    "nn.functional.avg_pool1d": batches(F.avg_pool1d, 3), "nn.functional.max_pool1d": batches(F.max_pool1d, 3),
    "nn.functional.adaptive_avg_pool1d": batches(F.adaptive_avg_pool1d, 3),
    "nn.functional.adaptive_max_pool1d": batches(F.adaptive_max_pool1d, 3),
    "nn.functional.adaptive_max_pool2d": batches(F.adaptive_max_pool2d, 4),
    **{f"nn.functional.max_unpool{n}d{form}": unpool(function, n + 2)
       for n, function in ((1, F.max_unpool1d), (2, F.max_unpool2d)) for form in ("", ".grad")},
}  # fmt: skip


# -- what goes in ----------------------------------------------------------------------------------


def signs(target: Any) -> Any:
    return (1 - 2 * (target.detach() < 0).int()).to(target.dtype)


def labels(target: Any) -> Any:
    return (target.detach() > 0).to(target.dtype)


#: Targets that PyTorch draws as any numbers, where the loss means something for a few of them only:
#: which argument it is, and what is taken instead.
TARGETS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "nn.functional.cosine_embedding_loss": (2, signs), "nn.functional.hinge_embedding_loss": (1, signs),
    "nn.functional.margin_ranking_loss": (2, signs), "nn.functional.soft_margin_loss": (1, signs),
    "nn.functional.multilabel_soft_margin_loss": (1, labels), "MarginRankingLoss": (2, signs),
}  # fmt: skip


def with_target(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    place, instead = TARGETS.get(name, (len(args), None))
    return tuple(instead(a) if instead and i == place else a for i, a in enumerate(args))


# -- what of the results is compared ---------------------------------------------------------------


def _vectors(both: Any) -> Any:
    return both[0], abs(both[1])


def _svd(parts: Any) -> Any:
    u, s, v = parts
    k = s.shape[-1]
    return abs(u[..., :k]), s, abs(v[..., :k, :])


def _qr(parts: Any) -> Any:
    q, r = parts
    if not q.shape[-1]:  # the mode "r"
        return r
    k = min(q.shape[-2], r.shape[-1])
    return abs(q[..., :k]), abs(r[..., :k, :])


#: Singular vectors are free in sign, and those without a singular value in direction too.
DEFINITE: dict[str, Callable[..., Any]] = {
    "linalg.eigh": _vectors, "linalg.svd": _svd, "linalg.qr": _qr, "qr": _qr,
    "linalg.lstsq": lambda parts: parts[0], "linalg.lstsq.grad_oriented": lambda parts: parts[0],
}  # fmt: skip


# -- what is not compared ---------------------------------------------------------------------------

#: By reason.
CANNOT: dict[str, str] = {
    **dict.fromkeys(
        words(
            """
        bernoulli cauchy exponential geometric log_normal multinomial nn.functional.alpha_dropout
        nn.functional.dropout2d nn.functional.dropout3d nn.functional.feature_alpha_dropout.with_train
        nn.functional.feature_alpha_dropout.without_train nn.functional.fractional_max_pool2d
        nn.functional.fractional_max_pool3d nn.functional.rrelu normal normal.in_place
        normal.number_mean pca_lowrank rand_like randint randint_like randn randn_like svd_lowrank
        uniform
        """
        ),
        "random numbers: the streams differ",
    ),
    **dict.fromkeys(
        words(
            """
        H cdouble cfloat chalf complex fft.fft fft.fft2 fft.fftn fft.fftshift fft.hfft fft.hfft2
        fft.hfftn fft.ifft fft.ifft2 fft.ifftn fft.ifftshift fft.ihfft fft.ihfft2 fft.ihfftn fft.irfft
        fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn imag istft linalg.eig linalg.eigvals mH
        nn.functional.silu.complex polar stft view_as_complex view_as_real
        """
        ),
        "complex numbers, which have no gradients here",
    ),
    **dict.fromkeys(
        words(
            """
        empty empty_like empty_permuted empty_strided new_empty new_empty_strided
        """
        ),
        "values are not determined: uninitialised memory",
    ),
    **dict.fromkeys(
        words(
            """
        alias_copy as_strided as_strided.partial_views as_strided_copy as_strided_scatter contiguous
        hash_tensor resize_ resize_as_ resolve_conj resolve_neg sum_to_size to view_copy
        """
        ),
        "strides and storage, which a value does not show",
    ),
    **dict.fromkeys(
        words(
            """
        bmm.triton_optimized jiterator_2inputs_2outputs jiterator_4inputs_with_extra_args
        jiterator_binary jiterator_binary_return_by_ref jiterator_unary
        nn.functional.batch_norm.without_cudnn sparse.mm.reduce sparse.sampled_addmm to_sparse
        torch._scaled_mm torch._scaled_mm_v2 torch.ops.aten._efficient_attention_forward
        torch.ops.aten._flash_attention_forward
        """
        ),
        "sparse, quantised or compiled for a GPU",
    ),
    **dict.fromkeys(
        words(
            """
        _batch_norm_with_update _chunk_cat _native_batch_norm_legit _segment_reduce.lengths
        _segment_reduce.offsets _softmax_backward_data _unsafe_masked_index
        _unsafe_masked_index_put_accumulate _upsample_bilinear2d_aa max_pool2d_with_indices_backward
        native_batch_norm native_dropout_backward native_group_norm native_layer_norm
        torch.ops.aten._safe_softmax.default
        """
        ),
        "a step of another operator's implementation",
    ),
}

#: minigrad has no such operator; one that it gets moves up.
NOT_HERE = words(
    """
    addbmm addcdiv addcmul addmm addmm.decomposed addmv addr aminmax baddbmm bfloat16 block_diag
    bool broadcast_shapes byte cartesian_prod cdist char cholesky_inverse cholesky_solve chunk
    combinations cummax cummin cumulative_trapezoid diag_embed diagonal_copy diagonal_scatter dist
    div.trunc_rounding double erfinv expand_copy fill float frexp gather geqrf grid_sampler_2d
    grid_sampler_3d half histc histogramdd i0 igamma igammac index_add index_copy index_fill
    index_put index_reduce.amax index_reduce.amin index_reduce.mean index_reduce.prod int item
    kthvalue lerp linalg.cholesky_ex linalg.householder_product linalg.inv_ex linalg.ldl_factor
    linalg.ldl_factor_ex linalg.ldl_solve linalg.lu linalg.lu_factor linalg.lu_factor_ex
    linalg.lu_solve linalg.solve_ex linspace.tensor_overload logdet logit logspace
    logspace.tensor_overload long lu lu_solve lu_unpack masked.amax masked.amin masked.argmax
    masked.argmin masked.cumprod masked.cumsum masked.log_softmax masked.logaddexp masked.logsumexp
    masked.mean masked.median masked.norm masked.normalize masked.prod masked.softmax masked.softmin
    masked.std masked.sum masked.var masked_fill masked_scatter mode mvlgamma.mvlgamma_p_1
    mvlgamma.mvlgamma_p_3 mvlgamma.mvlgamma_p_5 narrow narrow_copy new_full new_ones new_zeros
    nextafter nn.functional.adaptive_avg_pool3d nn.functional.adaptive_max_pool3d
    nn.functional.avg_pool3d nn.functional.channel_shuffle nn.functional.conv3d
    nn.functional.conv_transpose3d nn.functional.ctc_loss nn.functional.grid_sample
    nn.functional.hardshrink nn.functional.interpolate.trilinear nn.functional.linear_cross_entropy
    nn.functional.linear_cross_entropy.chunked nn.functional.linear_cross_entropy.chunked_none
    nn.functional.max_pool3d nn.functional.max_unpool3d nn.functional.max_unpool3d.grad
    nn.functional.multi_head_attention_forward nn.functional.multilabel_margin_loss
    nn.functional.normalize nn.functional.pdist nn.functional.pixel_shuffle
    nn.functional.pixel_unshuffle nn.functional.softshrink nn.functional.tanhshrink
    nn.functional.threshold nn.functional.triplet_margin_with_distance_loss nonzero_static ormqr
    permute_copy polygamma.polygamma_n_0 polygamma.polygamma_n_1 polygamma.polygamma_n_2
    polygamma.polygamma_n_3 polygamma.polygamma_n_4 put renorm rsqrt scalar_tensor scatter
    scatter_add scatter_reduce.amax scatter_reduce.amin scatter_reduce.mean scatter_reduce.prod
    scatter_reduce.sum select_scatter short signal.windows.bartlett signal.windows.blackman
    signal.windows.cosine signal.windows.exponential signal.windows.gaussian
    signal.windows.general_cosine signal.windows.general_hamming signal.windows.hamming
    signal.windows.hann signal.windows.kaiser signal.windows.nuttall slice slice_scatter
    special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1
    special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v
    special.chebyshev_polynomial_w special.entr special.erfcx special.hermite_polynomial_h
    special.hermite_polynomial_he special.i0e special.i1 special.i1e special.laguerre_polynomial_l
    special.legendre_polynomial_p special.log_ndtr special.modified_bessel_i0
    special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1 special.ndtr
    special.ndtri special.polygamma.special_polygamma_n_0 special.scaled_modified_bessel_k0
    special.scaled_modified_bessel_k1 special.shifted_chebyshev_polynomial_t
    special.shifted_chebyshev_polynomial_u special.shifted_chebyshev_polynomial_v
    special.shifted_chebyshev_polynomial_w special.spherical_bessel_j0 special.xlog1py special.zeta
    split split.list_args split_with_sizes_copy squeeze_copy std_mean std_mean.unbiased svd t_copy
    topk transpose_copy triangular_solve tril_indices triu_indices unbind_copy unflatten unfold
    unfold_copy unique_consecutive unsafe_chunk unsafe_split unsqueeze_copy var_mean
    var_mean.unbiased zero_
"""
)


# -- layers ------------------------------------------------------------------------------------

LAYERS: dict[str, Callable[..., Any]] = {
    name: getattr(nn, name)
    for name in words(
        """
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d AvgPool1d AvgPool2d
        BCELoss BCEWithLogitsLoss BatchNorm1d BatchNorm2d Bilinear CELU CircularPad1d CircularPad2d
        ConstantPad1d ConstantPad2d Conv1d Conv2d ConvTranspose1d ConvTranspose2d
        CosineEmbeddingLoss CrossEntropyLoss ELU Embedding GELU GLU GRU GRUCell GaussianNLLLoss
        GroupNorm Hardswish Hardtanh HingeEmbeddingLoss HuberLoss InstanceNorm1d InstanceNorm2d
        KLDivLoss L1Loss LSTM LSTMCell LayerNorm LazyConv2d LeakyReLU Linear LocalResponseNorm
        LogSigmoid LogSoftmax MSELoss MarginRankingLoss MaxPool1d MaxPool2d Mish
        MultiLabelSoftMarginLoss MultiMarginLoss MultiheadAttention NLLLoss PReLU PoissonNLLLoss
        RMSNorm RNN RNNCell ReLU ReLU6 ReflectionPad1d ReflectionPad2d ReplicationPad1d
        ReplicationPad2d SELU SiLU Sigmoid SmoothL1Loss SoftMarginLoss Softmax Softmin Softplus
        Softsign Tanh TransformerEncoderLayer ZeroPad1d ZeroPad2d
    """
    )
}

#: Those of PyTorch that minigrad does not have, or whose samples hold a layer of PyTorch.
OTHER_LAYERS = words(
    """
    TransformerEncoder
    AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d BatchNorm3d CTCLoss CircularPad3d ConstantPad3d
    Conv3d ConvTranspose3d FractionalMaxPool2d FractionalMaxPool3d Hardshrink InstanceNorm3d
    LPPool1d LPPool2d LPPool3d LazyConv1d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d
    LazyConvTranspose3d LinearCrossEntropyLoss MaxPool3d MultiLabelMarginLoss ReflectionPad3d
    ReplicationPad3d Softmax2d Softshrink Tanhshrink Threshold Transformer TransformerDecoderLayer
    ZeroPad3d
"""
)
