"""Many models at once: models of one shape, trained in one batched step.

`sweep` trains every combination of learning rates, latent sizes and seeds. The tensors of M models
are joined, so that each layer needs one operation for all M models (see `batched_layers`). This is
faster if one model alone does not use the whole machine, as with small models or small batches on many
cores or on a GPU. It is not faster if one model alone keeps the machine busy, such as conv on a single
core.

Up to rounding, a trial of a sweep is equal to a single run with the same settings: one step agrees to
1e-5, and in float64 whole runs agree to 1e-5. In float32 the differences grow over many steps. For
example, the gradient of a bias before a BatchNorm, as in conv, consists only of rounding errors, but
Adam makes steps of full size from it.
"""

import sys
from types import ModuleType

from scratchae.sweep.batched_layers import BatchedLayer, BatchedLinear, Folded, Looped, batched
from scratchae.sweep.batched_model import BatchedLoss, BatchedModel
from scratchae.sweep.batched_trainer import BatchedTrainer, Trial
from scratchae.sweep.grid import Sweep, sweep
from scratchae.sweep.parse_ranges import numbers, seed_numbers, whole_numbers
from scratchae.sweep.pool import ImagePool

__all__ = [
    "BatchedLayer",
    "BatchedLinear",
    "BatchedLoss",
    "BatchedModel",
    "BatchedTrainer",
    "Folded",
    "ImagePool",
    "Looped",
    "Sweep",
    "Trial",
    "batched",
    "numbers",
    "seed_numbers",
    "sweep",
    "whole_numbers",
]


class _CallableModule(ModuleType):
    """Let `scratchae.sweep(...)` call the function `sweep`, although the package has the same name."""

    def __call__(self, *args, **kwargs) -> Sweep:
        return sweep(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
