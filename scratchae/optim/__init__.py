"""Optimisers: how a step changes the parameters, given their gradients."""

from scratchae.optim.adam import Adam, AdamW, adam_update
from scratchae.optim.base import Optimizer
from scratchae.optim.sgd import SGD, sgd_update

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "adam_update", "sgd_update"]
