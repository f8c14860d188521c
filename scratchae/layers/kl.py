"""KL: the divergence of a diagonal Gaussian from the standard normal distribution.

An encoder gives a mean μ and a log-variance v for each of the L numbers of a code. The divergence of
q = N(μ, σ²), σ² = eᵛ, from p = N(0, 1) is the mean of log q(z) − log p(z) over z from q. With

    log q(z) = −1/2 (log 2π + v + (z − μ)² / σ²)        log p(z) = −1/2 (log 2π + z²)

and the means E[(z − μ)²] = σ², E[z²] = μ² + σ² under q, the constants log 2π cancel and

    KL = 1/2 (−v − 1 + μ² + σ²) = 1/2 (μ² + eᵛ − 1 − v)

The numbers of a code are independent, so their divergences are added. The loss is the mean over the batch:

    L = 1/N Σₙ Σ_d 1/2 (μ² + eᵛ − 1 − v)        dμ = μ / N        dv = (eᵛ − 1) / (2 N)

L is never negative, and 0 only for μ = 0, v = 0. eᵛ − 1 is computed with expm1, which is exact near v = 0,
where the two parts cancel. Source: Kingma and Welling 2014, appendix B.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kl_forward(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence from N(0, 1), summed over the code and averaged over the batch: shape ().

    mu, logvar: (N, L), the mean and the logarithm of the variance.

    >>> kl_forward(torch.tensor([[3.0, 1.0], [0.0, 0.0]]), torch.zeros(2, 2)).item()  # (9 + 1) / 2 / 2
    2.5
    """
    return (mu.square() + torch.expm1(logvar) - logvar).sum() / (2 * len(mu))


def kl_backward(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Return (dmu, dlogvar), the gradients of `kl_forward`, each (N, L).

    >>> dmu, dlogvar = kl_backward(torch.tensor([[3.0], [1.0]]), torch.zeros(2, 1))
    >>> dmu.tolist(), dlogvar.tolist()
    ([[1.5], [0.5]], [[0.0], [0.0]])
    """
    return mu / len(mu), torch.expm1(logvar) / (2 * len(mu))
