"""Many models at once: models of one shape, trained in one batched step.

`sweep` trains every combination of learning rates, latent sizes and seeds. The tensors of M models
are joined, and the layers do for all M in one operation what they do for one model: M models are M
times as many groups of channels (`batched_layers`). That pays if one model leaves the machine
partly idle: small models or small batches on many cores or on a GPU. It does not pay if one model
keeps the machine busy, such as conv on a single core.

A trial of a sweep is the single run of its settings up to rounding: one step agrees to 1e-5, and in
float64 whole runs do. In float32 training makes rounding visible after many steps. In conv, the
biases in front of a BatchNorm have no gradient but rounding, and Adam makes whole steps of it.
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
    """Lets `scratchae.sweep(...)` be the function, although the package has the same name."""

    def __call__(self, *args, **kwargs) -> Sweep:
        return sweep(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
