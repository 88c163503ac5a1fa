"""Layers and losses as functions, with PyTorch's names and argument order (``axis`` for ``dim``).

``__all__`` is the table of contents. Most of these functions are operators, declared with their
derivatives in ``minigrad/operators/``; those that combine operators are written out below.

>>> import minigrad.nn.functional as F
>>> F.relu(mg.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.kernels.windows import as_int
from minigrad.lazy import listed, spelled
from minigrad.nn.module import Module
from minigrad.operators.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softsign,
)
from minigrad.operators.convolution import (
    col2im,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    im2col,
)
from minigrad.operators.declare import engine, in_real_numbers, named, operator_of
from minigrad.operators.hyperbolic import tanh
from minigrad.operators.indexing import scatter, where
from minigrad.operators.joining import concatenate
from minigrad.operators.linear import linear
from minigrad.operators.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from minigrad.operators.margin_losses import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_loss,
)
from minigrad.operators.normalisation import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from minigrad.operators.padding import pad as pad_axes
from minigrad.operators.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    max_pool1d,
    max_pool2d,
    max_unpool1d,
    max_unpool2d,
)
from minigrad.operators.shapes import reshape
from minigrad.operators.upsampling import interpolate

__all__ = [
    # linear maps and convolution
    "linear", "bilinear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "im2col",
    "col2im",
    # activations
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "logsigmoid", "tanh",
    "softplus", "softmax", "log_softmax", "softmin", "celu", "glu", "hardsigmoid", "hardswish",
    "hardtanh", "mish", "prelu", "relu6", "softsign",
    # pooling, and images of another size
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "global_avg_pool2d",
    "global_max_pool2d", "max_unpool1d", "max_unpool2d", "interpolate", "pad",
    # normalisation and dropout
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm",
    "dropout",
    # indices, shapes and attention
    "embedding", "embedding_bag", "one_hot", "flatten", "scaled_dot_product_attention",
    "attention_weights",
    # losses
    "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "cross_entropy", "nll_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "l2_penalty", "kl_div",
    "gaussian_nll_loss", "poisson_nll_loss", "hinge_embedding_loss", "margin_ranking_loss",
    "soft_margin_loss", "multilabel_soft_margin_loss", "multi_margin_loss",
    "cosine_embedding_loss", "triplet_margin_loss", "cosine_similarity", "pairwise_distance",
]  # fmt: skip

_reshape = operator_of(reshape)


@named
def dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """In training, zero each element with probability p and divide the others by 1 - p.

    This keeps the expected value, so that evaluation needs no correction ("inverted" dropout).
    input (...) to the same shape. Srivastava et al., "Dropout", 2014. Raises ValueError for p
    outside [0, 1].

    >>> dropout(mg.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be between 0 and 1, got {p}")
    x = as_tensor(input)
    if not training or p == 0.0:
        return x
    x = x.astype(np.float64) if x.dtype.kind in "iub" else x
    if p == 1.0:
        return where(np.zeros(x.shape, bool), x, 0.0)
    drawn = (generator or default_generator()).random(x.shape, np.float32)
    scale = np.asarray(1.0 / (1.0 - p), x.dtype)
    return x * Tensor((drawn >= p) * scale)


@named
def flatten(input: ArrayLike, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from ``start_axis`` to ``end_axis`` joined into one, as ``torch.flatten``.

    The layer :class:`minigrad.nn.Flatten` keeps the first axis by default, this function does not.
    x (N, C, H, W) gives (N, C * H * W) from ``start_axis`` 1. Raises ValueError for axes that x
    does not have.

    >>> flatten(mg.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    x = input if isinstance(input, Tensor) else as_tensor(input)
    shape = x._data.shape
    ndim = len(shape)
    if not ndim and start_axis in (0, -1):
        return reshape(x, (1,))
    start = start_axis + ndim if start_axis < 0 else start_axis
    end = end_axis + ndim if end_axis < 0 else end_axis
    if not 0 <= start <= end < ndim:
        raise ValueError(
            f"flatten: expected axes {start_axis} to {end_axis} in an input with at least "
            f"{max(start, 0) + 1} axes, got shape {shape}"
        )
    # The length is worked out here: -1 is ambiguous for an empty array.
    joined = math.prod(shape[start : end + 1])
    metadata = {"shape": (*shape[:start], joined, *shape[end + 1 :])}
    return engine.run(_reshape, (x,), metadata)  # 3 us instead of 5


@named
def embedding(input: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Tensor:
    """The rows of ``weight`` (num_embeddings, embedding_dim) at these indices.

    Integers of shape (...) give (..., embedding_dim). The row ``padding_idx`` gets no gradient.
    Raises TypeError unless the indices are integers, IndexError for those out of range, and
    ValueError unless the weight has 2 axes and a row ``padding_idx``.

    >>> embedding(mg.tensor([1, 1, 0]), mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """
    index, rows = as_tensor(input)._data, as_tensor(weight)
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"embedding: indices must be integers, got {index.dtype}; "
            f"convert them with .astype(np.int64)"
        )
    if rows.ndim != 2:
        raise ValueError(
            f"embedding: weight must have shape (num_embeddings, embedding_dim), got {rows.shape}"
        )
    count = rows.shape[0]
    if index.size and not 0 <= index.min() <= index.max() < count:
        wrong = index.min() if index.min() < 0 else index.max()
        raise IndexError(
            f"embedding: index {wrong} is out of range: weight {rows.shape} has "
            f"rows 0 to {count - 1}"
        )
    found = rows[index]
    if padding_idx is None:
        return found
    left_out = _padding_row("embedding", padding_idx, count)
    constant = Tensor(rows._data[left_out].copy())
    return where((index != left_out)[..., None], found, constant)


def _padding_row(name: str, padding_idx: int, count: int) -> int:
    """The row that stands for padding, counted from the first."""
    if not -count <= padding_idx < count:
        raise ValueError(f"{name}: padding_idx={padding_idx} is out of range for {count} rows")
    return padding_idx % count


@named
def embedding_bag(
    input: ArrayLike,
    weight: ArrayLike,
    offsets: ArrayLike | None = None,
    mode: str = "mean",
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of ``weight`` in each bag of indices.

    Integers (B, n), a bag in each row, or (n,) with ``offsets`` (B,), where each bag begins (and
    with ``include_last_offset`` (B + 1,), also where the last one ends), give (B, embedding_dim).
    ``mode``: "sum", "mean" or "max". ``per_sample_weights``, of the input's shape, multiply the
    rows of a sum. Indices ``padding_idx`` count for nothing. A bag of nothing gives zeros. Equal
    maxima share the gradient. As PyTorch's otherwise. Raises TypeError unless the indices are
    integers, IndexError for those out of range, ValueError for another mode, a ``padding_idx`` that
    is not there, and shapes and offsets that do not fit.

    >>> table = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> embedding_bag(mg.tensor([0, 1, 1]), table, mg.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [3., 4.]])
    """
    name = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    index = as_tensor(input)._data
    factors = None if per_sample_weights is None else as_tensor(per_sample_weights)
    if factors is not None and (mode != "sum" or factors.shape != index.shape):
        raise ValueError(
            f"{name}: per_sample_weights are for mode='sum' and have the input's shape "
            f"{index.shape}, got mode={mode!r} and shape {factors.shape}"
        )
    if index.ndim == 2 and offsets is None:
        count, bag = len(index), np.repeat(np.arange(len(index)), index.shape[1])
    elif index.ndim == 1 and offsets is not None:
        starts = as_tensor(offsets)._data
        count, bag = _bags(name, starts, index.size, include_last_offset)
    else:
        raise ValueError(
            f"{name}: expected indices (B, n), or (n,) with offsets, got shape {index.shape} and "
            f"offsets={offsets!r}"
        )
    table = in_real_numbers(name, "float", {"weight": as_tensor(weight)})["weight"]
    rows = embedding(index, table)
    if factors is not None:
        rows = rows * factors[..., None]
    if index.ndim == 2 and index.size and padding_idx is None:
        whole: Callable[..., Tensor] = getattr(rows, mode)
        return whole(axis=1)
    rows = reshape(rows, (index.size, rows.shape[-1]))
    if padding_idx is not None:
        kept = index.ravel() != _padding_row(name, padding_idx, len(table))
        rows, bag = rows[kept], bag[kept]
    if mode == "max":
        return _largest_of_each(rows, bag, count)
    total = scatter(rows, (bag,), (count, rows.shape[1]))
    if mode == "sum":
        return total
    many = np.maximum(np.bincount(bag, minlength=count), 1).astype(rows.dtype)
    return total / many[:, None]


def _bags(
    name: str, starts: NDArray[Any], size: int, include_last: bool
) -> tuple[int, NDArray[Any]]:
    """How many bags there are, and in which one each index is."""
    ends = starts[1:] if include_last else np.append(starts[1:], size)
    starts = starts[:-1] if include_last else starts
    fits = (
        starts.ndim == 1
        and starts.dtype.kind in "iu"
        and (not starts.size or (starts[0] == 0 and ends[-1] == size))
        and bool((starts <= ends).all())
        and (starts.size > 0 or size == 0)
    )
    if not fits:
        raise ValueError(
            f"{name}: offsets must be integers that ascend from 0 to at most the {size} indices, "
            f"got {starts.tolist()}"
        )
    return len(starts), np.repeat(np.arange(len(starts)), ends - starts)


def _largest_of_each(rows: Tensor, bag: NDArray[Any], count: int) -> Tensor:
    """The largest of the rows of each bag; equal ones share the gradient."""
    many = np.bincount(bag, minlength=count)
    # The number of each row in its bag, and then that of a row of -inf.
    places = np.full((count, many.max(initial=1)), len(rows))
    inside = np.arange(places.shape[1]) < many[:, None]
    places[inside] = np.arange(len(rows))
    lowest = Tensor(np.full((1, rows.shape[1]), -np.inf, rows.dtype))
    largest = concatenate([rows, lowest])[places].max(axis=1)
    return where(many[:, None] > 0, largest, 0.0)


@named
def bilinear(
    input1: ArrayLike, input2: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None
) -> Tensor:
    """`y[o] = input1^T weight[o] input2 + bias[o]`.

    input1 (..., I), input2 (..., J), weight (O, I, J) and bias (O,) give (..., O). As PyTorch's.
    Raises ValueError for shapes that do not fit.

    >>> bilinear(mg.tensor([2.0]), mg.tensor([3.0]), mg.tensor([[[4.0]]]))
    tensor([24.])
    """
    given = {"input1": as_tensor(input1), "input2": as_tensor(input2), "weight": as_tensor(weight)}
    x1, x2, w = in_real_numbers("bilinear", "float", given).values()
    o, i, j = w.shape if w.ndim == 3 else (0, -1, -1)
    if not x1.ndim or x1.shape[-1] != i or x2.shape != (*x1.shape[:-1], j):
        raise ValueError(
            f"bilinear: expected inputs (..., I) and (..., J) and weight (O, I, J), got "
            f"{x1.shape}, {x2.shape} and {w.shape}"
        )
    if bias is not None and as_tensor(bias).shape != (o,):
        raise ValueError(f"bilinear: bias must have shape ({o},), got {as_tensor(bias).shape}")
    halfway = x1 @ reshape(w.swapaxes(0, 1), (i, o * j))
    y: Tensor = (reshape(halfway, (*x1.shape[:-1], o, j)) @ x2[..., None])[..., 0]
    return y if bias is None else y + as_tensor(bias)


@named
def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """`softmax(query key^T * scale + mask) value`, with `scale = 1 / sqrt(E)` by default.

    query (..., L, E), key (..., S, E), value (..., S, V) give (..., L, V). ``attn_mask``
    (broadcast to (..., L, S)): booleans, True where query l may look at key s, or numbers to add.
    ``is_causal``: query l sees keys 0 to l. A query that may look at nothing gets zeros.
    ``dropout_p`` applies always: pass 0 in evaluation. Vaswani et al., "Attention is all you
    need", 2017. Raises ValueError for shapes that do not fit.

    >>> q = mg.tensor([[1.0, 0.0]])
    >>> scaled_dot_product_attention(q, q, mg.tensor([[5.0]]))
    tensor([[5.]])
    """
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    v = as_tensor(value)
    if v.ndim < 2 or v.shape[-2] != weights.shape[-1]:
        raise ValueError(
            f"scaled_dot_product_attention: expected one value for each key, got "
            f"value {v.shape} and key {as_tensor(key).shape}"
        )
    return dropout(weights, dropout_p) @ v


@named
def attention_weights(
    query: ArrayLike,
    key: ArrayLike,
    attn_mask: ArrayLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much each query looks at each key: (..., L, S).

    Each row has sum 1, or is 0 where the mask forbids every key. The first half of
    :func:`scaled_dot_product_attention`, with its arguments. Raises ValueError for shapes that do
    not fit.

    >>> attention_weights(mg.zeros((1, 2)), mg.zeros((4, 2)))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """
    given = {"query": as_tensor(query), "key": as_tensor(key)}
    q, k = in_real_numbers("attention_weights", "float", given).values()
    if q.ndim < 2 or k.ndim < 2 or q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"attention_weights: expected query (..., L, E) and key "
            f"(..., S, E), got {q.shape} and {k.shape}"
        )
    if q.dtype == k.dtype == np.float16:  # the scores would overflow; as PyTorch
        q, k = q.astype(np.float32), k.astype(np.float32)
        return attention_weights(q, k, attn_mask, is_causal, scale).astype(np.float16)
    factor = max(q.shape[-1], 1) ** -0.5 if scale is None else float(scale)
    if not -math.inf < factor < math.inf:
        raise ValueError(f"attention_weights: scale must be a finite number, got {scale}")
    scores = (q * factor) @ k.mT
    allowed = None
    if attn_mask is not None:
        mask = as_tensor(attn_mask)
        try:
            np.broadcast_to(mask._data, scores.shape)
        except ValueError:
            raise ValueError(
                f"attention_weights: expected a mask that broadcasts to "
                f"{scores.shape}, got {mask.shape}"
            ) from None
        if mask.dtype == np.bool_:
            allowed = mask._data
        else:
            allowed = mask._data != -np.inf
            scores = scores + where(allowed, mask, 0.0).astype(scores.dtype)
    if is_causal:
        causal = np.tri(*scores.shape[-2:], dtype=np.bool_)
        allowed = causal if allowed is None else allowed & causal
    if allowed is None:
        return softmax(scores, -1)
    # A number that vanishes in softmax, not -inf: that would give NaN where all is forbidden.
    scores = where(allowed, scores, -0.5 * float(np.finfo(scores.dtype).max))
    weights = softmax(scores, -1)
    blind = ~allowed.any(axis=-1, keepdims=True)
    return where(blind, 0.0, weights) if blind.any() else weights


@named
def one_hot(input: ArrayLike, num_classes: int = -1) -> Tensor:
    """Integers (...) as rows of 0 and 1: (..., num_classes), by default the largest plus one.

    Raises ValueError for classes out of range, TypeError unless they are integers.

    >>> one_hot(mg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    index = as_tensor(input)._data
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integers, got {index.dtype}")
    count = as_int("one_hot", "num_classes", num_classes)
    count = count if count >= 0 else int(index.max(initial=-1)) + 1
    if index.size and not 0 <= index.min() <= index.max() < count:
        raise ValueError(
            f"one_hot: expected classes 0 to {count - 1}, got {index.min()} to {index.max()}"
        )
    return Tensor((index[..., None] == np.arange(count)).astype(np.int64))


if not TYPE_CHECKING:
    __getattr__, __dir__ = spelled(__name__), listed(__name__)

#: PyTorch's words for NumPy's ways of padding.
PAD_MODES = {
    "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
}  # fmt: skip


@named
def pad(input: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """The last axes made longer: `pad = (left, right, top, bottom, ...)`, as PyTorch's.

    input (..., H, W) gives (..., H + top + bottom, W + left + right). The pairs go from the last
    axis backwards; negative widths take away, and "reflect" and "replicate" look at the input
    before that. ``mg.pad`` takes NumPy's widths instead. ``mode``:
    "constant" (``value``), "reflect", "replicate" (the edge) or "circular". Raises ValueError for
    an odd number of widths, more pairs than axes, taking away more than there is, or another mode.

    >>> pad(mg.ones((1, 2)), (1, 0))
    tensor([[0., 1., 1.]])
    """
    x = as_tensor(input)
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode must be one of {tuple(PAD_MODES)}, got {mode!r}")
    pairs = list(zip(pad[::2], pad[1::2], strict=False))
    if len(pad) % 2 or len(pairs) > x.ndim:
        raise ValueError(
            f"pad: expected two widths for each of the last axes of {x.shape}, from the last "
            f"backwards, got {tuple(pad)}"
        )
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    if min(pad, default=0) < 0:
        taken = [(max(-low, 0), max(-high, 0)) for low, high in widths]
        widths = [(max(low, 0), max(high, 0)) for low, high in widths]
        if any(low + high > n for (low, high), n in zip(taken, x.shape, strict=True)):
            raise ValueError(f"pad: widths {tuple(pad)} take away more than {x.shape} has")
        if mode in ("reflect", "replicate"):  # of the input as it came, not of what is left of it
            x = pad_axes(x, widths, mode=PAD_MODES[mode])
            widths = [(0, 0)] * x.ndim
        x = x[tuple([slice(low, n - high) for (low, high), n in zip(taken, x.shape, strict=True)])]
    if mode == "constant":
        with np.errstate(invalid="ignore"):
            kept = np.asarray(value).astype(x.dtype) == value
        x = x if kept or x.dtype.kind not in "iub" else x.astype(np.float64)
        return pad_axes(x, widths, constant_values=value)
    return pad_axes(x, widths, mode=PAD_MODES[mode])


@checked(weight="(-inf, inf)")
def l2_penalty(parameters: Module | Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """``weight / 2`` times the sum of the squares of all parameters, to be added to a loss.

    Its gradient is `weight * p`, which is what ``weight_decay=weight`` adds in SGD. ``parameters``:
    tensors, or a model with all of its parameters. Shared ones count once. The sum has shape ().

    >>> l2_penalty([mg.tensor([3.0, 4.0])], weight=0.1)
    tensor(1.25)
    """
    given = parameters.parameters() if isinstance(parameters, Module) else parameters
    total = Tensor(np.zeros((), np.float32))
    for p in {id(p): p for p in given}.values():
        p = p.astype(np.float64) if p.dtype.kind in "iub" else p
        total = total + (p * p).sum()
    return total * (0.5 * float(weight))
