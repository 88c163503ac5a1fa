"""Encoders of transformers: layers of attention and of a small network, with residuals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor, as_tensor
from minigrad.nn import functional as F
from minigrad.nn.attention import MultiheadAttention
from minigrad.nn.container import ModuleList
from minigrad.nn.layer import Layer, from_integers
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.normalisation import LayerNorm


class TransformerEncoderLayer(Layer):
    """Attention of a sequence to itself, then a small network, each with a residual and a norm.

    `x = norm1(x + attention(x))`, then `norm2(x + linear2(activation(linear1(x))))`; with
    ``norm_first`` `x + attention(norm1(x))`, then `x + network(norm2(x))`, which trains more
    easily. As ``torch.nn.TransformerEncoderLayer``, with its parameters self_attn..., linear1...,
    linear2..., norm1... and norm2.... Vaswani et al., "Attention is all you need", 2017.

    src (L, N, d_model), or (N, L, d_model) with ``batch_first``, or (L, d_model) to the same shape.
    ``activation``: "relu", "gelu" or a function. ``dropout`` acts on the weights of the attention,
    inside the network and before each sum.

    Raises ValueError for another activation, for a d_model that ``nhead`` does not divide, and for
    shapes that do not fit.

    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(mg.zeros((3, 5, 8))).shape
    (3, 5, 8)
    """

    _shown = "d_model=, nhead=, dim_feedforward=, dropout=, norm_first?"

    @checked()
    def __init__(
        self,
        d_model: Annotated[int, "[1, inf)"],
        nhead: Annotated[int, "[1, inf)"],
        dim_feedforward: Annotated[int, "[1, inf)"] = 2048,
        dropout: Annotated[float, "[0, 1]"] = 0.1,
        activation: Literal["relu", "gelu"] | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: Annotated[float, "[0, inf)"] = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Annotated[DTypeLike, "floating"] = np.float32,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.nhead = nhead
        self.dim_feedforward = dim_feedforward
        self.dropout = dropout
        self.activation = activation
        self.layer_norm_eps = layer_norm_eps
        self.batch_first = batch_first
        self.norm_first = norm_first
        self.bias = bias
        if d_model % nhead:
            raise ValueError(
                f"TransformerEncoderLayer: nhead={nhead} must divide d_model={d_model}"
            )
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

    def forward(
        self,
        src: ArrayLike,
        src_mask: ArrayLike | None = None,
        src_key_padding_mask: ArrayLike | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """(L, N, d_model) to the same shape.

        ``src_mask`` (L, L), or one for each head, and ``src_key_padding_mask`` (N, L) as in
        :class:`MultiheadAttention`: True forbids, numbers are added to the scores. ``is_causal``
        forbids each place all those after it.
        """
        x = from_integers(src, self.linear1.weight)
        masks = src_mask, src_key_padding_mask, is_causal
        if self.norm_first:
            x = x + self._attend(self.norm1(x), *masks)
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self._attend(x, *masks))
        y: Tensor = self.norm2(x + self._feed(x))
        return y

    def _attend(
        self, x: Tensor, mask: ArrayLike | None, padding: ArrayLike | None, is_causal: bool
    ) -> Tensor:
        y, _ = self.self_attn(
            x, x, x, attn_mask=mask, key_padding_mask=padding, is_causal=is_causal,
            need_weights=False,
        )  # fmt: skip
        return F.dropout(y, self.dropout, self.training)

    def _feed(self, x: Tensor) -> Tensor:
        known = {"relu": F.relu, "gelu": F.gelu}
        function = known[self.activation] if isinstance(self.activation, str) else self.activation
        y = F.dropout(function(self.linear1(x)), self.dropout, self.training)
        return F.dropout(self.linear2(y), self.dropout, self.training)


class TransformerEncoder(Module):
    """Several copies of a layer, one after the other, as ``torch.nn.TransformerEncoder``.

    The copies start with the weights of ``encoder_layer`` and are trained apart. ``norm``, a layer,
    comes last. src and result (L, N, d_model), as the layer's.

    Raises ValueError for a number of layers below 1.

    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> encoder = nn.TransformerEncoder(layer, num_layers=2)
    >>> encoder(mg.zeros((3, 5, 8)), is_causal=True).shape
    (3, 5, 8)
    """

    @checked(num_layers="[1, inf)")
    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__()
        if num_layers > 10_000:
            raise ValueError(f"TransformerEncoder: num_layers={num_layers} is more than 10,000")
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: ArrayLike,
        mask: ArrayLike | None = None,
        src_key_padding_mask: ArrayLike | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """(L, N, d_model) to the same shape; masks as in the layer."""
        x = as_tensor(src)
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal)
        return x if self.norm is None else self.norm(x)
