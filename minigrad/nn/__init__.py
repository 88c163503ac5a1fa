"""Neural networks: modules, layers, losses, initialisers.

>>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
>>> model(mg.zeros((5, 4))).shape
(5, 2)
"""

from typing import TYPE_CHECKING

from minigrad.engine.parameter import Parameter
from minigrad.lazy import spelled
from minigrad.nn import functional as functional, init as init
from minigrad.nn.activation import (
    ELU,
    GELU,
    SELU,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minigrad.nn.attention import MultiheadAttention
from minigrad.nn.container import ModuleDict, ModuleList, Sequential
from minigrad.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, LazyConv2d
from minigrad.nn.dropout import Dropout, Dropout2d
from minigrad.nn.embedding import Embedding
from minigrad.nn.flatten import Flatten, Unflatten
from minigrad.nn.functional import l2_penalty
from minigrad.nn.functional_call import functional_call
from minigrad.nn.lazy import UninitializedParameter
from minigrad.nn.linear import Identity, LazyLinear, Linear
from minigrad.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from minigrad.nn.module import Module
from minigrad.nn.normalisation import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
)
from minigrad.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
    MaxUnpool1d,
    MaxUnpool2d,
)
from minigrad.nn.recurrent import GRU, LSTM, RNN
from minigrad.nn.upsampling import Upsample

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AvgPool1d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d",
    "Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "CrossEntropyLoss", "Dropout",
    "Dropout2d", "ELU", "Embedding", "Flatten", "GELU", "GRU", "GroupNorm", "HuberLoss",
    "Identity", "L1Loss", "LSTM", "LayerNorm", "LazyConv2d", "LazyLinear", "LeakyReLU",
    "Linear", "LocalResponseNorm", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d",
    "MaxPool2d", "MaxUnpool1d", "MaxUnpool2d", "Module", "ModuleDict", "ModuleList",
    "MultiheadAttention", "NLLLoss", "Parameter", "RNN", "ReLU", "SELU", "Sequential", "SiLU",
    "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "Unflatten",
    "UninitializedParameter", "Upsample", "functional", "functional_call", "init", "l2_penalty",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = spelled(__name__)


def __dir__() -> list[str]:
    return sorted(__all__)
