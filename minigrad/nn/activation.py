"""Activation functions as layers; each applies elementwise, or along one axis."""

from __future__ import annotations

from minigrad.engine.settings import checked
from minigrad.engine.tensor import ArrayLike, Tensor
from minigrad.nn import functional as F
from minigrad.nn.module import Module


class ReLU(Module):
    """max(x, 0). See :func:`minigrad.nn.functional.relu`.

    >>> nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where positive, negative_slope * x elsewhere.

    >>> nn.LeakyReLU(0.1)(mg.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    @checked(negative_slope="(-inf, inf)")
    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """Show the slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x where positive, alpha * (e^x - 1) elsewhere.

    >>> nn.ELU()(mg.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    @checked(alpha="(-inf, inf)")
    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """Show alpha."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """ELU with the constants that keep mean 0 and variance 1; start weights with lecun_normal_.

    >>> nn.SELU()(mg.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.selu(x)


class GELU(Module):
    """x times the probability that a standard normal variable is below x.

    ``approximate``: "none" or "tanh". See :func:`minigrad.nn.functional.gelu`.

    >>> nn.GELU()(mg.tensor([0.0]))
    tensor([0.])
    """

    @checked()
    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Show the approximation."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x), also called swish.

    >>> nn.SiLU()(mg.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.silu(x)


class Sigmoid(Module):
    """1 / (1 + e^-x).

    >>> nn.Sigmoid()(mg.tensor([0.0]))
    tensor([0.5])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.sigmoid(x)


class LogSigmoid(Module):
    """log(sigmoid(x)), exact also where sigmoid underflows.

    >>> nn.LogSigmoid()(mg.tensor([-1000.0]))
    tensor([-1000.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.logsigmoid(x)


class Tanh(Module):
    """sinh(x) / cosh(x).

    >>> nn.Tanh()(mg.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.tanh(x)


class Softplus(Module):
    """log(1 + e^(beta x)) / beta.

    PyTorch switches to the identity above a threshold; here every x is exact without one.

    >>> nn.Softplus()(mg.tensor([1000.0]))
    tensor([1000.])
    """

    @checked(beta="(0, inf)")
    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.softplus(x, self.beta)

    def extra_repr(self) -> str:
        """Show beta."""
        return f"beta={self.beta}"


class Softmax(Module):
    """e^x / sum(e^x) along one axis.

    >>> nn.Softmax(axis=-1)(mg.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    @checked()
    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """Show the axis."""
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """The logarithm of softmax along one axis.

    >>> nn.LogSoftmax(axis=-1)(mg.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Any shape to the same shape."""
        return F.log_softmax(x, self.axis)
