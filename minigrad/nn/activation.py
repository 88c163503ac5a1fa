"""Activation functions as layers; each applies elementwise, or along one axis.

The formulas and derivatives are those of the functions in :mod:`minigrad.nn.functional`.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F, init
from minigrad.nn.layer import Layer, SameShape, SettingsLayer, from_integers
from minigrad.nn.weights import draw, new_parameter


class ReLU(SameShape, function=F.relu):
    """`max(x, 0)`. See :func:`minigrad.nn.functional.relu`.

    >>> nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """


class LeakyReLU(SameShape, function=F.leaky_relu):
    """x where positive, `negative_slope * x` elsewhere.

    >>> nn.LeakyReLU(0.1)(mg.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    negative_slope: Annotated[float, "(-inf, inf)"] = 0.01


class ELU(SameShape, function=F.elu):
    """x where positive, `alpha * (e^x - 1)` elsewhere.

    >>> nn.ELU()(mg.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    alpha: Annotated[float, "(-inf, inf)"] = 1.0


class SELU(SameShape, function=F.selu):
    """ELU with the constants that keep mean 0 and variance 1; start weights with lecun_normal_.

    >>> nn.SELU()(mg.tensor([0.0]))
    tensor([0.])
    """


class GELU(SameShape, function=F.gelu):
    """x times the probability that a standard normal variable is below x.

    ``approximate``: "none" or "tanh". See :func:`minigrad.nn.functional.gelu`.

    >>> nn.GELU()(mg.tensor([0.0]))
    tensor([0.])
    """

    approximate: str = "none"


class SiLU(SameShape, function=F.silu):
    """`x * sigmoid(x)`, also called swish.

    >>> nn.SiLU()(mg.tensor([0.0]))
    tensor([0.])
    """


class Sigmoid(SameShape, function=F.sigmoid):
    """`1 / (1 + e^-x)`.

    >>> nn.Sigmoid()(mg.tensor([0.0]))
    tensor([0.5])
    """


class LogSigmoid(SameShape, function=F.logsigmoid):
    """`log(sigmoid(x))`, exact also where sigmoid underflows.

    >>> nn.LogSigmoid()(mg.tensor([-1000.0]))
    tensor([-1000.])
    """


class Tanh(SameShape, function=F.tanh):
    """`sinh(x) / cosh(x)`.

    >>> nn.Tanh()(mg.tensor([0.0]))
    tensor([0.])
    """


class Softplus(SameShape, function=F.softplus):
    """`log(1 + e^(beta x)) / beta`.

    PyTorch switches to the identity above a threshold; here every x is exact without one.

    >>> nn.Softplus()(mg.tensor([1000.0]))
    tensor([1000.])
    """

    beta: Annotated[float, "(0, inf)"] = 1.0


class Softmax(SameShape, function=F.softmax):
    """`e^x / sum(e^x)` along one axis.

    >>> nn.Softmax(axis=-1)(mg.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    axis: int = -1


class LogSoftmax(Softmax, function=F.log_softmax):
    """The logarithm of softmax along one axis.

    >>> nn.LogSoftmax(axis=-1)(mg.tensor([0.0]))
    tensor([0.])
    """


class Softmin(Softmax, function=F.softmin):
    """`softmax(-x)` along one axis.

    >>> nn.Softmin(axis=-1)(mg.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """


class Softsign(SameShape, function=F.softsign):
    """`x / (1 + abs(x))`.

    >>> nn.Softsign()(mg.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """


class Mish(SameShape, function=F.mish):
    """`x * tanh(softplus(x))`. See :func:`minigrad.nn.functional.mish`.

    >>> nn.Mish()(mg.tensor([0.0]))
    tensor([0.])
    """


class CELU(SameShape, function=F.celu):
    """x where positive, `alpha * (e^(x / alpha) - 1)` elsewhere.

    >>> nn.CELU()(mg.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    alpha: Annotated[float, "(0, inf)"] = 1.0


class Hardtanh(SameShape, function=F.hardtanh):
    """x, not below min_val and not above max_val.

    Raises ValueError unless min_val is less than max_val.

    >>> nn.Hardtanh()(mg.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    min_val: Annotated[float, "(-inf, inf)"] = -1.0
    max_val: Annotated[float, "(-inf, inf)"] = 1.0

    def _settle(self, given: dict[str, Any]) -> None:
        low, high = given.values()
        if not low < high:
            raise ValueError(f"Hardtanh: min_val must be less than max_val, got {low} and {high}")


class ReLU6(SameShape, function=F.relu6):
    """`min(max(x, 0), 6)`.

    >>> nn.ReLU6()(mg.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """


class Hardsigmoid(SameShape, function=F.hardsigmoid):
    """`min(max(x + 3, 0), 6) / 6`.

    >>> nn.Hardsigmoid()(mg.tensor([-4.0, 0.0]))
    tensor([0. , 0.5])
    """


class Hardswish(SameShape, function=F.hardswish):
    """`x * min(max(x + 3, 0), 6) / 6`.

    >>> nn.Hardswish()(mg.tensor([0.0, 4.0]))
    tensor([0., 4.])
    """


class GLU(SettingsLayer, function=F.glu):
    """The first half of x along one axis, times the sigmoid of the second half.

    x (..., 2 n, ...) gives (..., n, ...). See :func:`minigrad.nn.functional.glu`. Raises AxisError,
    a ValueError, for an axis that is not there.

    >>> nn.GLU()(mg.tensor([2.0, 3.0, 0.0, 0.0]))
    tensor([1. , 1.5])
    """

    axis: int = -1

    def forward(self, x: ArrayLike) -> Tensor:
        """(..., 2 n, ...) to (..., n, ...)."""
        return self._function(x, self.axis)


class PReLU(Layer):
    """x where positive, `weight * x` elsewhere: a leaky ReLU that learns its slope.

    x (N, C, ...) to the same shape. ``weight`` (num_parameters,), one for all channels or one for
    each, starts at ``init``. He et al., "Delving deep into rectifiers", 2015. Raises ValueError
    for another number of channels.

    >>> nn.PReLU()(mg.tensor([-1.0, 2.0]))
    tensor([-0.25,  2.  ], op=prelu)
    """

    _shown = "num_parameters="
    weight: Parameter

    @checked(num_parameters="[1, inf)", init="(-inf, inf)", dtype="floating")
    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = new_parameter(num_parameters, dtype)
        draw(self)

    def reset_parameters(self) -> None:
        """Reset: every slope is ``init``."""
        init.constant_(self.weight, self.init)

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape with the channels second, to the same shape."""
        return F.prelu(from_integers(x, self.weight), self.weight)
