"""Probabilistic PCA: the exact optimum of a linear VAE with a Gaussian likelihood.

    z ~ N(0, I)   x | z ~ N(W z + b, σ² I)   so   x ~ N(b, C) with C = W Wᵀ + σ² I

S is the covariance of the data, with eigenvalues λ₁ ≥ λ₂ ≥ ... ≥ λ_D and eigenvectors u_j. For a given σ²
the most likely W has the columns √(λ_j − σ²) u_j for those of the first L eigenvalues that exceed σ², and
zeros for the others (Tipping and Bishop 1999). If σ² is learned too, it is the mean of the other D − L
eigenvalues. The log-likelihood of a sample at this optimum is then

    −½ (D log 2π + log |C| + trace(C⁻¹ S)) = −½ (D log 2π + Σ_active (log λ_j + 1) + Σ_others (log σ² + λ_j / σ²))

because C has the eigenvalue λ_j in the active directions and σ² in all others.

A linear VAE can reach exactly this value. The exact posterior of z has the covariance σ² (WᵀW + σ² I)⁻¹, the
same for every x, and it is diagonal if the columns of W are orthogonal. So its ELBO has no gap there. The
posterior variance of z_j is then σ² / λ_j, and the mean of mu_j² over the data is 1 − σ² / λ_j. So the mean KL
of dimension j is

    ½ (1 − σ² / λ_j + σ² / λ_j − 1 − log(σ² / λ_j)) = ½ log(λ_j / σ²)

A dimension without a column, one with λ_j ≤ σ², collapses: its q(z_j|x) is the prior, and its KL is 0 (Lucas
et al. 2019). So the PCA tells before training which dimensions will collapse, and the KL of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


@dataclass(frozen=True)
class PPCA:
    """The optimum of probabilistic PCA. log_likelihood: mean over the samples, in nats.

    eigenvalues (D,): of the data's covariance, the largest first. active: how many latent dimensions
    have a column, because their eigenvalue exceeds σ². kl (L,): of each latent dimension. weight (D, L), mean
    (D,), variance: W, b and σ².
    """

    eigenvalues: Tensor
    active: int
    kl: Tensor
    weight: Tensor
    mean: Tensor
    variance: float
    log_likelihood: float


def ppca(x: Tensor, latent: int, variance: float | None = None) -> PPCA:
    """Return the optimum for samples x (N, D) and L = latent, in float64.

    variance: a fixed σ²; None means that σ² is learned. Raises ScratchaeError if σ² would be 0, or if
    latent is not below D.

    >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # eigenvalues 2 and 1/2
    >>> result = ppca(x, latent=1)
    >>> result.variance, result.active, ppca(x, latent=1, variance=3.0).active
    (0.5, 1, 0)
    """
    x = x.double()
    N, D = x.shape
    if not 0 < latent < D:
        raise ScratchaeError(f"ppca expects latent from 1 to {D - 1}, but got {latent}")
    mean = x.mean(dim=0)
    covariance = (x - mean).T @ (x - mean) / N
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    eigenvalues, vectors = eigenvalues.flip(0).clamp_min(0), vectors.flip(1)
    if variance is None:
        variance = eigenvalues[latent:].mean().item()
    if not variance > 0:
        raise ScratchaeError(
            f"{latent} dimensions reproduce these samples exactly, so the likelihood has no maximum: "
            "use fewer dimensions, or fix the variance"
        )
    excess = (eigenvalues[:latent] - variance).clamp_min(0)
    active = int((excess > 0).sum())
    inside, outside = eigenvalues[:active], eigenvalues[active:]
    total = (inside.log() + 1).sum() + (math.log(variance) + outside / variance).sum()
    return PPCA(
        eigenvalues=eigenvalues,
        active=active,
        kl=0.5 * (eigenvalues[:latent] / variance).clamp_min(1).log(),
        weight=vectors[:, :latent] * excess.sqrt(),
        mean=mean,
        variance=variance,
        log_likelihood=-0.5 * (D * math.log(2 * math.pi) + total.item()),
    )


def linear_log_likelihood(x: Tensor, weight: Tensor, mean: Tensor, variance: float) -> float:
    """Return the mean of log N(x; mean, W Wᵀ + σ² I) over samples x (N, D), for any W (D, L) and σ².

    >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> best = ppca(x, latent=1)
    >>> own = linear_log_likelihood(x, best.weight, best.mean, best.variance)
    >>> abs(own - best.log_likelihood) < 1e-12
    True
    """
    x, weight, mean = x.double(), weight.double(), mean.double()
    D = x.shape[1]
    factor = torch.linalg.cholesky(weight @ weight.T + variance * torch.eye(D, dtype=x.dtype))
    scaled = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)  # (D, N)
    logdet = 2 * factor.diagonal().log().sum()
    return (-0.5 * (D * math.log(2 * math.pi) + logdet + scaled.square().sum(0).mean())).item()
