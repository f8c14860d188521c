"""Many models at once: a family of models of one shape, trained in one batched step.

`sweep` trains every combination of learning rates, latent sizes and seeds. The models' tensors are
stacked along a first axis M (`stack`), and a layer does for all M in one operation what it does for
one: a small model leaves most of a machine idle, and what M steps cost beside arithmetic is paid once.
"""

from scratchae.sweep.adam import StackedAdam, stacked_adam_update
from scratchae.sweep.batchnorm import (
    StackedBatchNorm,
    stacked_batchnorm_backward,
    stacked_batchnorm_forward,
)
from scratchae.sweep.convolution import (
    StackedConv2d,
    StackedConvTranspose2d,
    stacked_partial_w,
    stacked_partial_x,
    stacked_partial_y,
    stacked_patches,
)
from scratchae.sweep.family import Family, Member
from scratchae.sweep.grid import Sweep, sweep
from scratchae.sweep.pool import Pool
from scratchae.sweep.stack import stack, unstack
from scratchae.sweep.stacked import (
    StackedLinear,
    stacked_linear_forward,
    stacked_mse_backward,
    stacked_mse_forward,
)
from scratchae.sweep.values import numbers, seed_numbers, whole_numbers

__all__ = [
    "Family",
    "Member",
    "Pool",
    "StackedAdam",
    "StackedBatchNorm",
    "StackedConv2d",
    "StackedConvTranspose2d",
    "StackedLinear",
    "Sweep",
    "numbers",
    "seed_numbers",
    "stack",
    "stacked_adam_update",
    "stacked_batchnorm_backward",
    "stacked_batchnorm_forward",
    "stacked_linear_forward",
    "stacked_mse_backward",
    "stacked_mse_forward",
    "stacked_partial_w",
    "stacked_partial_x",
    "stacked_partial_y",
    "stacked_patches",
    "sweep",
    "unstack",
    "whole_numbers",
]
