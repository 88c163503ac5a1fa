"""Activation functions as layers; each applies elementwise, or along one axis.

The formulas and derivatives are those of the functions in :mod:`minigrad.nn.functional`.
"""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.nn import functional as F
from minigrad.nn.layer import SameShape


class ReLU(SameShape, function=F.relu):
    """max(x, 0). See :func:`minigrad.nn.functional.relu`.

    >>> nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """


class LeakyReLU(SameShape, function=F.leaky_relu):
    """x where positive, negative_slope * x elsewhere.

    >>> nn.LeakyReLU(0.1)(mg.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    @checked(negative_slope="(-inf, inf)")
    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope


class ELU(SameShape, function=F.elu):
    """x where positive, alpha * (e^x - 1) elsewhere.

    >>> nn.ELU()(mg.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    @checked(alpha="(-inf, inf)")
    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha


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

    @checked()
    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class SiLU(SameShape, function=F.silu):
    """x * sigmoid(x), also called swish.

    >>> nn.SiLU()(mg.tensor([0.0]))
    tensor([0.])
    """


class Sigmoid(SameShape, function=F.sigmoid):
    """1 / (1 + e^-x).

    >>> nn.Sigmoid()(mg.tensor([0.0]))
    tensor([0.5])
    """


class LogSigmoid(SameShape, function=F.logsigmoid):
    """log(sigmoid(x)), exact also where sigmoid underflows.

    >>> nn.LogSigmoid()(mg.tensor([-1000.0]))
    tensor([-1000.])
    """


class Tanh(SameShape, function=F.tanh):
    """sinh(x) / cosh(x).

    >>> nn.Tanh()(mg.tensor([0.0]))
    tensor([0.])
    """


class Softplus(SameShape, function=F.softplus):
    """log(1 + e^(beta x)) / beta.

    PyTorch switches to the identity above a threshold; here every x is exact without one.

    >>> nn.Softplus()(mg.tensor([1000.0]))
    tensor([1000.])
    """

    @checked(beta="(0, inf)")
    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta


class Softmax(SameShape, function=F.softmax):
    """e^x / sum(e^x) along one axis.

    >>> nn.Softmax(axis=-1)(mg.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    @checked()
    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis


class LogSoftmax(Softmax, function=F.log_softmax):
    """The logarithm of softmax along one axis.

    >>> nn.LogSoftmax(axis=-1)(mg.tensor([0.0]))
    tensor([0.])
    """
