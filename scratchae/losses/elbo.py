"""The ELBO: the loss of a variational autoencoder, as one function.

The evidence lower bound of an image x is E[log p(x | z)] − KL(q(z | x) ‖ p(z)), which is never larger than
log p(x). The loss is its negative, a mean over the batch. With pixels that are Bernoulli variables (bce.py)
and a code that is a diagonal Gaussian (layers/kl.py),

    L = 1/N Σₙ [ Σ_pixels BCE + Σ_d 1/2 (μ² + eᵛ − 1 − v) ]

Both parts are sums for one image, over its pixels and over its code, and both are divided by N alone. If one
of them is a mean instead, it is too small by a factor: the number of pixels of an image (784 for MNIST), or
the size of the code. So MSELoss plus this KL weights the KL 392 = 784 / 2 times too much against a Gaussian
with σ = 1, whose negative log-likelihood is half the sum of squares and a constant.

The gradient of L is that of its parts: `bce_with_logits_backward` / N and `kl_backward`. A model computes
the parts where they belong: its loss the BCE, and its sampling layer the KL, as a penalty.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.layers.kl import kl_forward
from scratchae.losses.base import reduce_terms
from scratchae.losses.bce import bce_with_logits_forward


def elbo_loss(logits: Tensor, target: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Return the negative ELBO, shape (): BCE summed over pixels plus KL summed over the code, per image.

    logits, target: (N, ...) with targets in [0, 1]. mu, logvar: (N, L).

    >>> import torch
    >>> pixels, code = torch.zeros(2, 784), torch.zeros(2, 20)
    >>> round(elbo_loss(pixels, pixels, code + 1, code).item(), 1)  # 784 log 2 + 20 / 2
    553.4
    """
    reconstruction = reduce_terms(bce_with_logits_forward(logits, target), "batchmean")
    return reconstruction + kl_forward(mu, logvar)
