"""The plain definitions, one for each kernel: a second set, short and slow.

The tests compare every other set with this one. Written in NumPy's functions alone, the
definitions that derivative rules are made of also work on tensors, and record themselves there.
"""

from minigrad.kernels.activations import (
    plain_elu as elu,
    plain_elu_grad as elu_grad,
    plain_leaky_relu as leaky_relu,
    plain_leaky_relu_grad as leaky_relu_grad,
    plain_logistic as logistic,
    plain_logistic_grad as logistic_grad,
    plain_silu as silu,
    plain_silu_grad as silu_grad,
    plain_softplus as softplus,
)
from minigrad.kernels.convolution import (
    plain_conv2d as conv2d,
    plain_conv2d_input_grad as conv2d_input_grad,
    plain_conv2d_weight_grad as conv2d_weight_grad,
)
from minigrad.kernels.im2col import plain_col2im as col2im, plain_im2col as im2col
from minigrad.kernels.in_place import plain_adam as adam, plain_sgd as sgd
from minigrad.kernels.linear import plain_linear as linear, plain_product as product
from minigrad.kernels.normal_distribution import (
    plain_normal_cdf as normal_cdf,
    plain_normal_density as normal_density,
)
from minigrad.kernels.normalisation import (
    plain_affine as affine,
    plain_moments as moments,
    plain_normalize as normalize,
    plain_normalize_grad as normalize_grad,
)
from minigrad.kernels.pooling import (
    plain_max_pool2d as max_pool2d,
    plain_max_pool2d_grad as max_pool2d_grad,
    plain_max_pool2d_pick as max_pool2d_pick,
    plain_sum_pool2d as sum_pool2d,
    plain_sum_pool2d_grad as sum_pool2d_grad,
)
from minigrad.kernels.recurrence import (
    plain_gru_hidden as gru_hidden,
    plain_gru_hidden_grad as gru_hidden_grad,
    plain_lstm_cell as lstm_cell,
    plain_lstm_cell_grad as lstm_cell_grad,
    plain_lstm_hidden as lstm_hidden,
    plain_lstm_hidden_grad as lstm_hidden_grad,
)
from minigrad.kernels.scatter import plain_gather as gather, plain_scatter as scatter
from minigrad.kernels.softmax import (
    plain_cross_entropy as cross_entropy,
    plain_cross_entropy_grad as cross_entropy_grad,
    plain_log_softmax as log_softmax,
    plain_log_softmax_grad as log_softmax_grad,
    plain_logistic_loss as logistic_loss,
    plain_logistic_loss_grad as logistic_loss_grad,
    plain_softmax as softmax,
    plain_softmax_grad as softmax_grad,
)
from minigrad.kernels.sums import plain_mean as mean, plain_total as total
from minigrad.kernels.weighing import plain_weigh as weigh

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
