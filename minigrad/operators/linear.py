"""The linear layer as one operator: a product and a bias."""

from __future__ import annotations

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, operator
from minigrad.operators.domain import sample
from minigrad.operators.products import rows


@operator(
    numbers="float",
    vjp=(
        lambda g, _ans, _x, weight, *_: kernels.product(g, weight),
        lambda g, _ans, x, *_: kernels.product(rows(g).T, rows(x)),
        lambda g, *_: kernels.total(rows(g), 0),
    ),
    samples=[
        sample((2, 3), (4, 3), (4,)), sample((2, 3), (4, 3)), sample((3,), (2, 3), (2,)),
        sample((2, 1, 3), (2, 3), (2,)), sample((0, 3), (2, 3), (2,)),
    ],
)  # fmt: skip
def linear(input: Array, weight: Array, bias: Array = None) -> Array:
    """`x W^T + b`, as PyTorch's: input (..., in), weight (out, in), bias (out,) give (..., out).

    Raises ValueError for shapes that do not fit.

    >>> linear(tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]]), tensor([0.5]))
    tensor([[11.5]])
    """
    if weight.ndim != 2:
        raise ValueError(f"linear: weight must have shape (out, in), got {weight.shape}")
    if not input.ndim or input.shape[-1] != weight.shape[1]:
        out, features = weight.shape
        got = "a number"
        if input.ndim:
            n = input.shape[-1]
            got = (
                f"{n} (input of shape {input.shape}); {n} features need a weight {(out, n)}, "
                f"not {weight.shape}"
            )
        raise ValueError(f"linear: expected {features} features, got {got}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, got {bias.shape}")
    return kernels.linear(input, weight, bias)
