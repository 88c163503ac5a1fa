"""Hyperbolic functions and their inverses.

Each is a row: NumPy's function, its derivative rule and an example (see ``rows.py``). In a rule,
``g`` is the cotangent of the output and ``ans`` the output.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import current as kernels
from minigrad.operators.domain import above_one, inside_unit
from minigrad.operators.rows import unary

sinh = unary(np.sinh, lambda g, _ans, x: g * np.cosh(x), example="tensor([0.0]) -> tensor([0.])")
"""(e^x - e^-x) / 2."""

cosh = unary(np.cosh, lambda g, _ans, x: g * np.sinh(x), example="tensor([0.0]) -> tensor([1.])")
"""(e^x + e^-x) / 2."""

# The slope 1 / cosh(x)**2 is 4 s(2x) s(-2x), with s the logistic function: 1 - tanh(x)**2 has no
# digits left where tanh is almost 1.
tanh = unary(
    np.tanh,
    lambda g, _ans, x: kernels.on(g, x).logistic_grad(4.0 * g, 2.0 * x),
    example="tensor([0.0]) -> tensor([0.])",
)
"""sinh(x) / cosh(x), in (-1, 1)."""

arcsinh = unary(
    np.arcsinh, lambda g, _ans, x: g / np.hypot(x, 1.0), example="tensor([0.0]) -> tensor([0.])"
)
"""The inverse of sinh."""

arccosh = unary(
    np.arccosh,
    lambda g, _ans, x: g / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),
    domain=above_one,
    example="tensor([1.0]) -> tensor([0.])",
)
"""The inverse of cosh, for x >= 1."""

arctanh = unary(
    np.arctanh,
    lambda g, _ans, x: g / ((1.0 - x) * (1.0 + x)),
    domain=inside_unit,
    example="tensor([0.0]) -> tensor([0.])",
)
"""The inverse of tanh, for x in (-1, 1)."""

acosh, asinh, atanh = arccosh, arcsinh, arctanh
