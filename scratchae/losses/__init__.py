"""The losses: one number that says how far a prediction is from its target, and its gradient."""

from scratchae.layers.kl import kl_backward, kl_forward
from scratchae.losses.base import Loss, check_targets
from scratchae.losses.bce import (
    BCEWithLogitsLoss,
    bce_with_logits_backward,
    bce_with_logits_forward,
)
from scratchae.losses.continuous_bernoulli import (
    ContinuousBernoulliLoss,
    continuous_bernoulli_backward,
    continuous_bernoulli_forward,
    continuous_bernoulli_mean,
)
from scratchae.losses.cross_entropy import (
    CrossEntropyLoss,
    cross_entropy_backward,
    cross_entropy_forward,
)
from scratchae.losses.elbo import elbo_loss
from scratchae.losses.gaussian import (
    GaussianNLLLoss,
    gaussian_nll_backward,
    gaussian_nll_forward,
)
from scratchae.losses.mse import MSELoss, mse_backward, mse_forward

__all__ = [
    "BCEWithLogitsLoss",
    "ContinuousBernoulliLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "Loss",
    "MSELoss",
    "bce_with_logits_backward",
    "bce_with_logits_forward",
    "check_targets",
    "continuous_bernoulli_backward",
    "continuous_bernoulli_forward",
    "continuous_bernoulli_mean",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "elbo_loss",
    "gaussian_nll_backward",
    "gaussian_nll_forward",
    "kl_backward",
    "kl_forward",
    "mse_backward",
    "mse_forward",
]
