"""Optimisers: how a step changes the parameters, given their gradients.

Read adam.py or sgd.py, then base.py, and then what a step may do besides the update: schedules.py,
plateau.py and named.py (the learning rate), clipping.py (the gradient), average.py (averaged weights).
"""

from scratchae.optim.adam import Adam, AdamW, adam_update
from scratchae.optim.average import averaged, ema_update
from scratchae.optim.base import Optimizer
from scratchae.optim.clipping import clip_grad_norm, clip_grad_value
from scratchae.optim.named import named_schedule
from scratchae.optim.plateau import ReduceLROnPlateau
from scratchae.optim.schedules import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    Schedule,
    SequentialLR,
    StepLR,
    cosine_annealing_lr,
    linear_lr,
    one_cycle_lr,
    step_lr,
)
from scratchae.optim.sgd import SGD, sgd_update

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LinearLR",
    "OneCycleLR",
    "Optimizer",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "adam_update",
    "averaged",
    "clip_grad_norm",
    "clip_grad_value",
    "cosine_annealing_lr",
    "ema_update",
    "linear_lr",
    "named_schedule",
    "one_cycle_lr",
    "sgd_update",
    "step_lr",
]
