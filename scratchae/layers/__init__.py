"""The layers: each a pair of pure functions, forward and backward, and a thin class."""

from scratchae.layers.activations import (
    LeakyReLU,
    ReLU,
    Sigmoid,
    Tanh,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from scratchae.layers.base import Layer, accumulate, parameter
from scratchae.layers.batchnorm import (
    BatchNorm1d,
    BatchNorm2d,
    batchnorm_backward,
    batchnorm_eval_backward,
    batchnorm_eval_forward,
    batchnorm_forward,
    running_statistics,
)
from scratchae.layers.conv2d import Conv2d, conv2d_backward, conv2d_forward
from scratchae.layers.conv_transpose2d import (
    ConvTranspose2d,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from scratchae.layers.dropout import Dropout, dropout_backward, dropout_forward
from scratchae.layers.groupnorm import GroupNorm, groupnorm_backward, groupnorm_forward
from scratchae.layers.kl import kl_backward, kl_forward
from scratchae.layers.layernorm import LayerNorm, layernorm_backward, layernorm_forward
from scratchae.layers.linear import Linear, linear_backward, linear_forward
from scratchae.layers.observe import observed
from scratchae.layers.pooling import (
    AvgPool2d,
    MaxPool2d,
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from scratchae.layers.reshape import Flatten, Unflatten
from scratchae.layers.residual import Residual
from scratchae.layers.sampling import GaussianSampling, sampling_backward, sampling_forward
from scratchae.layers.sequential import Sequential
from scratchae.layers.smooth_activations import (
    GELU,
    SiLU,
    Softplus,
    gelu_backward,
    gelu_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)
from scratchae.layers.upsample import Upsample, upsample_backward, upsample_forward

__all__ = [
    "GELU",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GaussianSampling",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "Unflatten",
    "Upsample",
    "accumulate",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batchnorm_backward",
    "batchnorm_eval_backward",
    "batchnorm_eval_forward",
    "batchnorm_forward",
    "conv2d_backward",
    "conv2d_forward",
    "conv_transpose2d_backward",
    "conv_transpose2d_forward",
    "dropout_backward",
    "dropout_forward",
    "gelu_backward",
    "gelu_forward",
    "groupnorm_backward",
    "groupnorm_forward",
    "kl_backward",
    "kl_forward",
    "layernorm_backward",
    "layernorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "observed",
    "parameter",
    "relu_backward",
    "relu_forward",
    "running_statistics",
    "sampling_backward",
    "sampling_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softplus_backward",
    "softplus_forward",
    "tanh_backward",
    "tanh_forward",
    "upsample_backward",
    "upsample_forward",
]
