"""The kernels that run, by name. This is where operators call them: ``current.conv2d(...)``.

They are the ones in this folder, written with NumPy, or those in ``compiled/``: ``choice.py``
decides. ``use`` replaces some of them by other functions of the same names and arguments; no code
outside this folder knows which run.

Kernels get arrays and geometry that have been checked. Four of them, ``total``, ``mean``,
``product`` and ``logistic``, are also called on tensors, which record what the plain definition
does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.kernels.choice import choose
from minigrad.kernels.sums import mean, total
from minigrad.lazy import late_names, load_late

if TYPE_CHECKING:
    from minigrad.kernels.activations import (
        elu,
        elu_grad,
        leaky_relu,
        leaky_relu_grad,
        logistic,
        logistic_grad,
        silu,
        silu_grad,
        softplus,
    )
    from minigrad.kernels.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
    from minigrad.kernels.im2col import col2im, im2col
    from minigrad.kernels.in_place import adam, sgd
    from minigrad.kernels.linear import linear, product
    from minigrad.kernels.normal_distribution import normal_cdf, normal_density
    from minigrad.kernels.normalisation import affine, moments, normalize, normalize_grad
    from minigrad.kernels.pooling import (
        max_pool2d,
        max_pool2d_grad,
        max_pool2d_pick,
        sum_pool2d,
        sum_pool2d_grad,
    )
    from minigrad.kernels.recurrence import (
        gru_hidden,
        gru_hidden_grad,
        lstm_cell,
        lstm_cell_grad,
        lstm_hidden,
        lstm_hidden_grad,
    )
    from minigrad.kernels.scatter import gather, scatter
    from minigrad.kernels.softmax import (
        cross_entropy,
        cross_entropy_grad,
        log_softmax,
        log_softmax_grad,
        logistic_loss,
        logistic_loss_grad,
        softmax,
        softmax_grad,
    )
    from minigrad.kernels.weighing import weigh

__all__ = [
    "elu", "elu_grad", "leaky_relu", "leaky_relu_grad", "logistic", "logistic_grad", "silu",
    "silu_grad", "softplus",
    "normal_cdf", "normal_density",
    "conv2d", "conv2d_input_grad", "conv2d_weight_grad",
    "col2im", "im2col",
    "adam", "sgd",
    "linear", "product",
    "affine", "moments", "normalize", "normalize_grad",
    "max_pool2d", "max_pool2d_grad", "max_pool2d_pick", "sum_pool2d", "sum_pool2d_grad",
    "gru_hidden", "gru_hidden_grad", "lstm_cell", "lstm_cell_grad", "lstm_hidden",
    "lstm_hidden_grad",
    "gather", "scatter",
    "softmax", "softmax_grad", "log_softmax", "log_softmax_grad", "cross_entropy",
    "cross_entropy_grad", "logistic_loss", "logistic_loss_grad",
    "mean", "total",
    "weigh",
]  # fmt: skip


if not TYPE_CHECKING:
    #: Imported at first use: together they would take as long as the rest of minigrad.
    _written_with_numpy, _ = late_names(
        __name__,
        {
            "minigrad.kernels.activations": (
                "elu elu_grad leaky_relu leaky_relu_grad logistic logistic_grad silu silu_grad "
                "softplus"
            ),
            "minigrad.kernels.convolution": "conv2d conv2d_input_grad conv2d_weight_grad",
            "minigrad.kernels.im2col": "col2im im2col",
            "minigrad.kernels.in_place": "adam sgd",
            "minigrad.kernels.linear": "linear product",
            "minigrad.kernels.normalisation": "affine moments normalize normalize_grad",
            "minigrad.kernels.normal_distribution": "normal_cdf normal_density",
            "minigrad.kernels.pooling": (
                "max_pool2d max_pool2d_grad max_pool2d_pick sum_pool2d sum_pool2d_grad"
            ),
            "minigrad.kernels.scatter": "gather scatter",
            "minigrad.kernels.softmax": (
                "cross_entropy cross_entropy_grad log_softmax log_softmax_grad logistic_loss "
                "logistic_loss_grad softmax softmax_grad"
            ),
            "minigrad.kernels.weighing": "weigh",
        },
        rest="minigrad.kernels.recurrence",
    )

    def __getattr__(name):
        kernel = choose(name, _written_with_numpy(name)) if name in __all__ else None
        if kernel is None:
            return _written_with_numpy(name)  # which raises
        vars(sys.modules[__name__])[name] = kernel
        return kernel


def use(kernels: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Replace the kernels of these names, and return the ones replaced.

    Raises ValueError for a name that no kernel has.
    """
    unknown = sorted(set(kernels) - set(__all__))
    if unknown:
        raise ValueError(f"use: there are no kernels named {unknown}; they are {__all__}")
    here = sys.modules[__name__]
    before = {name: getattr(here, name) for name in kernels}
    vars(here).update(kernels)
    return before


def on(*arrays: Any) -> Any:
    """The set for a derivative rule: the plain definitions as soon as one of these is a tensor."""
    for x in arrays:
        if not isinstance(x, (np.ndarray, np.generic)):
            return load_late("minigrad.kernels.plain")
    return sys.modules[__name__]
