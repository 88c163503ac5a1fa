"""Vectors for words, or for other things that have an index.

The gradient of a table adds up the rows that were looked up, however often each occurs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer
from minigrad.nn.weights import draw, new_parameter


class Embedding(Layer):
    """A table of vectors: integers (...) give (..., embedding_dim), as ``torch.nn.Embedding``.

    ``weight`` (num_embeddings, embedding_dim) starts standard normal. The row ``padding_idx``
    starts at 0 and gets no gradient.

    Raises TypeError unless the indices are integers, IndexError for those out of range.

    >>> nn.Embedding(10, 3)(mg.tensor([[1, 2], [4, 4]])).shape
    (2, 2, 3)
    """

    _shown = "num_embeddings, embedding_dim, padding_idx?"
    weight: Parameter

    @checked(num_embeddings="[0, inf)", embedding_dim="[0, inf)", dtype="floating")
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"Embedding: padding_idx={padding_idx} is out of range for {num_embeddings} "
                    f"embeddings"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = new_parameter((num_embeddings, embedding_dim), dtype)
        draw(self)

    def reset_parameters(self) -> None:
        """Draw new vectors."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            table = self.weight.numpy().copy()
            table[self.padding_idx] = 0
            self.weight.assign(table)

    def forward(self, x: ArrayLike) -> Tensor:
        """Integers (...) to (..., embedding_dim)."""
        return F.embedding(x, self.weight, self.padding_idx)


class EmbeddingBag(Embedding):
    """Sums, means or maxima of the vectors in each bag of indices, as ``torch.nn.EmbeddingBag``.

    Integers (B, n), or (n,) with ``offsets`` (B,), where each bag begins, give (B, embedding_dim).
    ``mode``: "mean", "sum" or "max". ``weight`` and ``padding_idx`` as in :class:`Embedding`.
    Raises ValueError for another mode, TypeError unless the indices are integers, IndexError for
    those out of range.

    >>> nn.EmbeddingBag(10, 3)(mg.tensor([1, 2, 4, 4]), mg.tensor([0, 3])).shape
    (2, 3)
    """

    _shown = "num_embeddings, embedding_dim, mode=, include_last_offset?, padding_idx?"

    @checked(num_embeddings="[0, inf)", embedding_dim="[0, inf)", dtype="floating")
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        mode: Literal["mean", "sum", "max"] = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, dtype=dtype)
        self.mode = mode
        self.include_last_offset = include_last_offset

    def forward(
        self,
        x: ArrayLike,
        offsets: ArrayLike | None = None,
        per_sample_weights: ArrayLike | None = None,
    ) -> Tensor:
        """Integers (B, n), or (n,) with offsets, to (B, embedding_dim)."""
        return F.embedding_bag(
            x,
            self.weight,
            offsets,
            self.mode,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
