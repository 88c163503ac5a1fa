"""minigrad: define-by-run automatic differentiation on NumPy.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> with mg.GradientTape() as tape:
...     y = (x * x).sum()
>>> tape.gradient(y, x)
tensor([2., 4., 6.])
"""

# pyright: reportUnusedImport=false

from minigrad import nn, optim
from minigrad.checkpoint import checkpoint
from minigrad.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.custom_gradient import custom_gradient
from minigrad.derivatives import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from minigrad.operators.arithmetic import *
from minigrad.operators.exponential import *
from minigrad.operators.hyperbolic import *
from minigrad.operators.indexing import *
from minigrad.operators.nondifferentiable import *
from minigrad.operators.products import *
from minigrad.operators.reductions import *
from minigrad.operators.shapes import *
from minigrad.operators.trigonometric import *
from minigrad.random import manual_seed, rand, randn
from minigrad.tape import GradientTape, is_recording, no_grad, stop_gradient
from minigrad.tensor import Tensor

__version__ = "0.1.0"
