"""Every layer as a function: ``import minigrad.nn.functional as F``, after PyTorch's module.

The functions are defined where their derivatives are, in ``minigrad/operators``.
"""

# -- linear layers, convolution, pooling, normalisation -------------------------------------
from minigrad.operators.convolution import *
from minigrad.operators.im2col import *
from minigrad.operators.linear import *
from minigrad.operators.normalisation import *
from minigrad.operators.pooling import *
from minigrad.operators.upsampling import *
