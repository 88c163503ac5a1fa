"""The distribution function of the standard normal, which NumPy lacks and GELU needs.

Value and derivative are kernels: see kernels/normal_distribution.py for the formula.
"""

from __future__ import annotations

from minigrad.kernels import current as kernels
from minigrad.operators.declare import Array, operator


@operator(vjp=lambda g, _ans, x: kernels.on(g, x).normal_density(g, x), wide=True)
def normal_cdf(x: Array) -> Array:
    """The probability that a standard normal variable is below x: `(1 + erf(x / sqrt(2))) / 2`.

    Right to 8 units in the last place in float32, 12 in float64, also in the lower tail.

    >>> normal_cdf(tensor([0.0, -50.0, 50.0]))
    tensor([0.5, 0. , 1. ])
    """
    return kernels.normal_cdf(x)
