"""GaussianSampling: draw the code of a variational autoencoder, and add the KL divergence to the loss.

The encoder gives the mean μ and the logarithm of the variance, ℓ = ln σ², of each number of the code. The
layer draws the code from this normal distribution. The noise ε has a standard normal distribution and does
not depend on any parameter, so z is differentiable in μ and ℓ (the reparameterisation of Kingma and
Welling 2014):

    σ = exp(ℓ / 2)        z = μ + σ ε                 μ, ℓ, ε, z (N, L)

The layer also adds a penalty to the loss: β times the KL divergence from the prior N(0, 1), summed over
the code and averaged over the batch (see scratchae.layers.kl).

    penalty = β / N · Σ 1/2 (μ² + σ² − 1 − ℓ)

Backward. Given dz, with ε held fixed: ∂z/∂μ = 1 and ∂z/∂ℓ = σ ε / 2, so

    dμ = dz        dℓ = dz σ ε / 2

and the gradient of the penalty is added to both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor
from scratchae.layers.kl import kl_backward, kl_forward
from scratchae.noise import normal


def sampling_forward(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """Return z = μ + σ ε for μ, ln σ² and ε of one shape.

    >>> sampling_forward(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([0.5])).tolist()
    [1.5]
    """
    return mu + (logvar / 2).exp() * eps


def sampling_backward(dz: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return (dmu, dlogvar) for dz, ln σ² and ε of one shape.

    >>> dmu, dlogvar = sampling_backward(torch.tensor([8.0]), torch.tensor([0.0]), torch.tensor([0.5]))
    >>> dmu.tolist(), dlogvar.tolist()
    ([8.0], [2.0])
    """
    dmu = dz.clone()
    dlogvar = dz * (logvar / 2).exp() * eps / 2
    return dmu, dlogvar


class GaussianSampling(Layer):
    """Draw z (N, L) from normal distributions. Input (N, 2 L): the means μ, then the log-variances ln σ².

    beta: the weight β of the penalty; 1 makes the loss of a model the negative ELBO. With keys (see
    `Layer.set_keys`), the noise is a function of them. Without keys, it is drawn by torch's own generator
    in training mode; in evaluation mode, z is the mean μ.

    Raises ScratchaeError if beta is negative, or if the input does not have two equal halves.

    >>> layer = GaussianSampling().eval()
    >>> layer(torch.tensor([[3.0, 0.0]])).tolist(), layer.penalty.item()  # KL: 1/2 (3² + 1 − 1 − 0)
    ([[3.0]], 4.5)
    """

    random = True

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta >= 0:
            raise ScratchaeError(f"GaussianSampling expects beta >= 0, got {beta!r}: 1 is usual")
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        if x.ndim != 2 or x.shape[1] % 2:
            raise ScratchaeError(
                f"{self!r} expects (N, 2 L), the means beside the log-variances, but got "
                f"{tuple(x.shape)}: end the encoder with Linear(..., 2 * L)"
            )
        mu, logvar = x.chunk(2, dim=1)  # (N, L) each
        eps = self.noise(mu)
        self.penalty = self.beta * kl_forward(mu, logvar)
        return self.remember(sampling_forward(mu, logvar, eps), mu, logvar, eps)

    def backward(self, dy: Tensor) -> Tensor:
        mu, logvar, eps = self.recall(dy)
        dmu, dlogvar = sampling_backward(dy, logvar, eps)
        dmu_penalty, dlogvar_penalty = kl_backward(mu, logvar)
        dmu += self.beta * dmu_penalty
        dlogvar += self.beta * dlogvar_penalty
        return torch.cat([dmu, dlogvar], dim=1)  # (N, 2 L)

    def noise(self, mu: Tensor) -> Tensor:
        """Return ε (N, L) for μ (N, L)."""
        if self.keys is not None:
            self.check_keys(len(mu))
            real = mu.dtype.to_real()  # gradcheck may compute with complex numbers
            return normal(self.keys, mu.shape[1:], real)
        return torch.randn_like(mu) if self.training else torch.zeros_like(mu)
