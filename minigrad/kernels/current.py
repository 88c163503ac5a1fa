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
from typing import Any

import numpy as np

from minigrad.lazy import load_late

#: Kernels by their module in this folder; a module of the same name in ``compiled/`` has them once
#: more. Beside each kernel stands ``plain_`` and its name. Modules are imported at first use:
#: together they would take as long as the rest of minigrad.
COMPILED = {
    "activations": (
        "elu elu_grad gelu_tanh gelu_tanh_grad leaky_relu leaky_relu_grad logistic logistic_grad "
        "relu relu_grad silu silu_grad softplus"
    ),
    "convolution": "conv2d conv2d_input_grad conv2d_weight_grad",
    "in_place": "adam sgd",
    "normal_distribution": "normal_cdf normal_density",
    "normalisation": "affine moments normalize normalize_grad",
    "pooling": "max_pool2d max_pool2d_grad sum_pool2d sum_pool2d_grad",
    "recurrence": (
        "gru_hidden gru_hidden_grad lstm_cell lstm_cell_grad lstm_hidden lstm_hidden_grad"
    ),
    "scatter": "scatter",
    "softmax": (
        "cross_entropy cross_entropy_grad log_softmax log_softmax_grad logistic_loss "
        "logistic_loss_grad softmax softmax_grad"
    ),
    "sums": "running_product running_sum total",
}
#: Those that NumPy computes nearly as fast.
NOT_COMPILED = {
    "im2col": "col2im im2col",
    "linear": "linear product",
    "pooling": "max_pool2d_pick",
    "scatter": "gather",
    "sums": "mean",
    "triangle": "triangle",
    "weighing": "weigh",
}


class Recorded:
    """Functions of tensors that kernels need and NumPy does not have.

    They stand here because ``import minigrad`` sets them, and imports no kernel (0.6 ms of 12).
    """

    logistic: Callable[[Any], Any]


#: The module of each kernel.
MODULES = {
    name: module
    for places in (COMPILED, NOT_COMPILED)
    for module, names in places.items()
    for name in names.split()
}


def written_with_numpy(name: str, prefix: str = "") -> Callable[..., Any]:
    """The kernel of this name in this folder, or with "plain_" its definition.

    Raises AttributeError for a name that no kernel has.
    """
    if name not in MODULES:
        raise AttributeError(f"there is no kernel {name!r}")
    found: Callable[..., Any] = getattr(
        load_late(f"minigrad.kernels.{MODULES[name]}"), prefix + name
    )
    return found


def __getattr__(name: str) -> Any:
    choose = load_late("minigrad.kernels.choice").choose
    kernel = vars(sys.modules[__name__])[name] = choose(name, written_with_numpy(name))
    return kernel


def use(kernels: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Replace the kernels of these names, and return the ones replaced.

    Raises ValueError for a name that no kernel has.
    """
    unknown = sorted(set(kernels) - set(MODULES))
    if unknown:
        raise ValueError(f"use: there are no kernels named {unknown}; they are {[*MODULES]}")
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
