"""Cases of the likelihoods, the KL divergence, the ELBO and the cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.checking.exercises import FLOAT32, PLAIN, Draw, exercise
from scratchae.losses import (
    bce_with_logits_backward,
    bce_with_logits_forward,
    continuous_bernoulli_backward,
    continuous_bernoulli_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    elbo_loss,
    gaussian_nll_backward,
    gaussian_nll_forward,
    kl_backward,
    kl_forward,
)

LARGE, NEAR_ZERO, IMAGES = "large logits", "logits near zero", "images (N, C, H, W)"
LARGEST = 1e3  # its exponential overflows in float64


@exercise(bce_with_logits_forward, "terms", corners=(*PLAIN, LARGE))
@exercise(bce_with_logits_backward, "dlogits", corners=(*PLAIN, LARGE))
@exercise(continuous_bernoulli_forward, "terms", corners=(*PLAIN, LARGE, NEAR_ZERO))
@exercise(continuous_bernoulli_backward, "dlogits", corners=(*PLAIN, LARGE, NEAR_ZERO))
def logits_and_pixels(draw: Draw) -> dict:
    shape = draw.batch(), draw.size(), draw.size()
    logits = 2 * draw.normal(*shape)
    if draw.corner == NEAR_ZERO:
        logits = logits * 1e-6
        logits[:, 0] = 0
    return {"logits": with_large(draw, logits), "target": pixels(draw, *shape)}


@exercise(gaussian_nll_forward, "terms")
@exercise(gaussian_nll_backward, "dprediction", "dlog_sigma")
def pixels_around_a_prediction(draw: Draw) -> dict:
    shape = draw.batch(), draw.size(), draw.size()
    log_sigma = torch.tensor(draw.pick.choice([-1.5, -0.7, 0.6]), dtype=torch.float64)
    return {
        "prediction": draw.normal(*shape),
        "target": draw.normal(*shape),
        "log_sigma": log_sigma.float() if draw.corner == FLOAT32 else log_sigma,
    }


@exercise(kl_forward, "loss")
@exercise(kl_backward, "dmu", "dlogvar")
def posterior(draw: Draw) -> dict:
    shape = draw.batch(), draw.size()
    return {"mu": draw.normal(*shape), "logvar": 2 * draw.normal(*shape)}


@exercise(elbo_loss, "loss", corners=(*PLAIN, LARGE, IMAGES))
def whole_elbo(draw: Draw) -> dict:
    N, L = draw.batch(), draw.size()
    shape = (N, 1, draw.size(), draw.size()) if draw.corner == IMAGES else (N, 11)
    return {
        "logits": with_large(draw, 2 * draw.normal(*shape)),
        "target": pixels(draw, *shape),
        "mu": draw.normal(N, L),
        "logvar": draw.normal(N, L),
    }


@exercise(cross_entropy_forward, "terms", corners=(*PLAIN, LARGE, IMAGES))
@exercise(cross_entropy_backward, "dlogits", corners=(*PLAIN, LARGE, IMAGES))
def logits_and_classes(draw: Draw) -> dict:
    N, C = draw.batch(), draw.size()
    shape = (N, C, 2, 4) if draw.corner == IMAGES else (N, C)
    target = torch.exp(draw.normal(*shape))  # weighted, so that its sum over the classes is not 1
    return {"logits": with_large(draw, draw.normal(*shape)), "target": target}


def pixels(draw: Draw, *shape: int) -> Tensor:
    """Return numbers from 0 to 1; some are exactly 0 or 1."""
    return (0.5 + 0.5 * draw.normal(*shape)).clamp(0, 1)


def with_large(draw: Draw, logits: Tensor) -> Tensor:
    """Return the logits, in the corner "large logits" with large ones of both signs."""
    if draw.corner == LARGE:
        logits[:, 0], logits[:, 1] = LARGEST, -LARGEST
        logits[0, 0] = 0  # so that not all samples have the same maximum
    return logits
