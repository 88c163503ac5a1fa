"""Every layer as a function: ``import minigrad.nn.functional as F``, after PyTorch's module.

The functions are defined where their derivatives are, in ``minigrad/operators``.
"""

# -- convolution and pooling ---------------------------------------------------------------
from minigrad.operators.convolution import *
from minigrad.operators.im2col import *
from minigrad.operators.pooling import *
