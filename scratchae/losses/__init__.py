"""The losses: one number that says how far a prediction is from its target, and its gradient."""

from scratchae.losses.base import Loss, check_targets
from scratchae.losses.bce import (
    BCEWithLogitsLoss,
    bce_with_logits_backward,
    bce_with_logits_forward,
)
from scratchae.losses.kl import kl_backward, kl_forward
from scratchae.losses.mse import MSELoss, mse_backward, mse_forward

__all__ = [
    "BCEWithLogitsLoss",
    "Loss",
    "MSELoss",
    "bce_with_logits_backward",
    "bce_with_logits_forward",
    "check_targets",
    "kl_backward",
    "kl_forward",
    "mse_backward",
    "mse_forward",
]
