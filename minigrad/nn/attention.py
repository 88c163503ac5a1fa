"""Multi-head attention: each query takes a weighted mean of the values, weighted by their keys.

The arithmetic is :func:`minigrad.nn.functional.scaled_dot_product_attention`; this layer adds the
projections, the heads and PyTorch's kinds of masks.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer
from minigrad.nn.linear import Linear
from minigrad.nn.weights import draw, new_parameter


class MultiheadAttention(Layer):
    """Several attentions side by side, each on its share of the features.

    `head_i = attention(query Wq_i^T, key Wk_i^T, value Wv_i^T)`, with a bias added to each of the
    three products by default; the output is ``out_proj`` of the heads, joined. As
    ``torch.nn.MultiheadAttention``, with its parameters in_proj_weight (3 E, E) (or q_proj_weight,
    k_proj_weight, v_proj_weight when ``kdim`` or ``vdim`` differ from E = ``embed_dim``),
    in_proj_bias, out_proj.weight and out_proj.bias. Vaswani et al., "Attention is all you need",
    2017.

    query (L, N, E), key (S, N, kdim) and value (S, N, vdim) give (output (L, N, E), weights
    (N, L, S)). With ``batch_first``, N stands first everywhere; it may also be left out.

    Raises ValueError when embed_dim is not divisible by num_heads, and for shapes that do not fit.

    >>> attention = nn.MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = mg.ones((3, 5, 8))
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    _shown = "embed_dim=, num_heads="
    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    @checked()
    def __init__(
        self,
        embed_dim: Annotated[int, "[1, inf)"],
        num_heads: Annotated[int, "[1, inf)"],
        dropout: Annotated[float, "[0, 1]"] = 0.0,
        bias: bool = True,
        kdim: Annotated[int | None, "[0, inf)"] = None,
        vdim: Annotated[int | None, "[0, inf)"] = None,
        batch_first: bool = False,
        *,
        dtype: Annotated[DTypeLike, "floating"] = np.float32,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim must be divisible by num_heads, "
                f"got {embed_dim} and {num_heads}"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.bias = bias
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = new_parameter((3 * embed_dim, embed_dim), dtype)
            self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        else:
            self.in_proj_weight = None
            self.q_proj_weight = new_parameter((embed_dim, embed_dim), dtype)
            self.k_proj_weight = new_parameter((embed_dim, self.kdim), dtype)
            self.v_proj_weight = new_parameter((embed_dim, self.vdim), dtype)
        self.in_proj_bias = new_parameter(3 * embed_dim, dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        draw(self)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot's for the projections in, biases 0."""
        for name, parameter in self.named_parameters(recurse=False):
            if name == "in_proj_bias":
                init.zeros_(parameter)
            else:
                init.xavier_uniform_(parameter)
        self.out_proj.reset_parameters()
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: ArrayLike,
        key: ArrayLike,
        value: ArrayLike,
        key_padding_mask: ArrayLike | None = None,
        need_weights: bool = True,
        attn_mask: ArrayLike | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights); weights is None without ``need_weights``.

        In both masks, as in PyTorch, True forbids: ``key_padding_mask`` (N, S) forbids a key to
        all queries, ``attn_mask`` (L, S) or (N * num_heads, L, S) a key to a query; floats are
        added to the scores instead. A query for which all keys are forbidden gets weights 0.
        Weights are (N, num_heads, L, S) unless ``average_attn_weights``.
        """
        given = [as_tensor(one) for one in (query, key, value)]
        batched = self._is_batched(given)
        shared = key is query and value is query
        if not batched:
            given = [one[None] for one in given]
        elif not self.batch_first:
            given = [one.swapaxes(0, 1) for one in given]
        q, k, v = map(self._split_heads, self._project(given, shared))
        mask = self._mask(q, k, key_padding_mask, attn_mask, batched)
        weights = F.attention_weights(q, k, mask, is_causal)
        # (N, heads, L, E / heads) to (N, L, E)
        mixed = (F.dropout(weights, self.dropout, self.training) @ v).swapaxes(1, 2)
        output = self.out_proj(mixed.reshape((*mixed.shape[:2], self.embed_dim)))
        if not batched:
            output = output[0]
        elif not self.batch_first:
            output = output.swapaxes(0, 1)
        if not need_weights:
            return output, None
        shown = weights.mean(axis=1) if average_attn_weights else weights
        return output, shown if batched else shown[0]

    def _is_batched(self, given: list[Tensor]) -> bool:
        """Whether there is a batch axis. Raises ValueError if the shapes do not fit together."""
        q, k, v = given
        layout = "(N, L, E)" if self.batch_first else "(L, N, E)"
        if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
            raise self._error(
                f"expected query, key and value {layout} or (L, E), "
                f"got {q.shape}, {k.shape} and {v.shape}"
            )
        widths = (self.embed_dim, self.kdim, self.vdim)
        for name, one, width in zip(("query", "key", "value"), given, widths, strict=True):
            if one.shape[-1] != width:
                raise self._error(
                    f"expected {width} features in the {name}, got {one.shape[-1]} "
                    f"(shape {one.shape})"
                )
        batch = 0 if self.batch_first else 1
        if k.shape[:-1] != v.shape[:-1] or (q.ndim == 3 and q.shape[batch] != k.shape[batch]):
            raise self._error(
                f"expected one batch size, and as many keys as values, "
                f"got query {q.shape}, key {k.shape} and value {v.shape}"
            )
        return q.ndim == 3

    def _project(self, given: list[Tensor], shared: bool) -> list[Tensor]:
        """Queries, keys and values, each (N, length, E)."""
        e = self.embed_dim
        if shared and self.in_proj_weight is not None:
            joined = F.linear(given[0], self.in_proj_weight, self.in_proj_bias)
            return [joined[..., i * e : (i + 1) * e] for i in range(3)]
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        projected: list[Tensor] = []
        for i, (one, weight) in enumerate(zip(given, separate, strict=True)):
            rows = slice(i * e, (i + 1) * e)
            w = weight if self.in_proj_weight is None else self.in_proj_weight[rows]
            bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
            projected.append(F.linear(one, w, bias))
        return projected

    def _split_heads(self, x: Tensor) -> Tensor:
        """(N, length, E) to (N, heads, length, E / heads)."""
        n, length, e = x.shape
        return x.reshape((n, length, self.num_heads, e // self.num_heads)).swapaxes(1, 2)

    def _mask(
        self,
        q: Tensor,
        k: Tensor,
        key_padding_mask: ArrayLike | None,
        attn_mask: ArrayLike | None,
        batched: bool,
    ) -> Tensor | None:
        """Both masks as one to be added to the scores, or None."""
        n, heads, length, _ = q.shape
        keys = k.shape[2]
        total: Tensor | None = None
        if attn_mask is not None:
            mask = self._to_add(as_tensor(attn_mask), q.dtype)
            if mask.shape == (n * heads, length, keys):
                mask = mask.reshape((n, heads, length, keys))
            elif mask.shape != (length, keys):
                raise self._error(
                    f"expected attn_mask {(length, keys)} or {(n * heads, length, keys)}, "
                    f"got {mask.shape}"
                )
            total = mask
        if key_padding_mask is not None:
            mask = self._to_add(as_tensor(key_padding_mask), q.dtype)
            expected = (n, keys) if batched else (keys,)
            if mask.shape != expected:
                raise self._error(f"expected key_padding_mask {expected}, got {mask.shape}")
            mask = mask.reshape((n, 1, 1, keys))
            total = mask if total is None else total + mask
        return total

    @staticmethod
    def _to_add(mask: Tensor, dtype: np.dtype[np.generic]) -> Tensor:
        """A mask as numbers to add: -inf where a boolean one is True."""
        if mask.dtype != np.bool_:
            return mask
        return Tensor(np.where(mask._data, -np.inf, 0.0).astype(dtype))
