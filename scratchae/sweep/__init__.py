"""Many models at once: a family of models of one shape, trained in one batched step.

`sweep` trains every combination of learning rates, latent sizes and seeds. The models' tensors are
stacked along a first axis M (`stack`), and a layer does for all M in one operation what it does for
one. That pays where one model leaves the machine idle: small models or small batches on many cores or
on a GPU. It does not where the arithmetic of one fills it, such as conv's on a single core.

The products of a batch are those of its models, so a member is the single run of its settings up to
rounding: on a CPU bit for bit the run with one thread. (Several threads cut one large product into
parts and round otherwise, and over thousands of steps training makes any rounding visible.)
"""

import sys
from types import ModuleType

from scratchae.sweep.adam import StackedAdam, stacked_adam_update
from scratchae.sweep.batched_layers import (
    StackedLinear,
    stacked_linear_forward,
    stacked_mse_backward,
    stacked_mse_forward,
)
from scratchae.sweep.batched_trainer import Family, Member
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
from scratchae.sweep.grid import Sweep, sweep
from scratchae.sweep.parse_ranges import numbers, seed_numbers, whole_numbers
from scratchae.sweep.pool import Pool
from scratchae.sweep.stack import stack, unstack

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


class _CallableModule(ModuleType):
    """Lets `scratchae.sweep(...)` be the function, although the package has the same name."""

    def __call__(self, *args, **kwargs) -> Sweep:
        return sweep(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
