"""The likelihood of images under a VAE: the ELBO, and the importance-weighted bound, closer to log p(x).

A VAE defines p(x) = ∫ p(x|z) p(z) dz with p(z) = N(0, I). With q(z|x) = N(mu, exp(logvar)), Jensen's
inequality gives a lower bound:

    log p(x) ≥ ELBO = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))

For z_1, ..., z_K from q(z|x), the weights w_k = p(x|z_k) p(z_k) / q(z_k|x) have the mean p(x). So

    log p_K(x) = log ((1/K) Σ_k w_k) = logsumexp_k(log w_k) − log K

is on average a lower bound too. It rises with K towards log p(x) (Burda et al. 2016). The mean of the
log w_k is something else: it is an estimate of the ELBO, however large K is.

With z = mu + exp(logvar / 2) ε, the constants of the two normal densities cancel:

    log p(z) − log q(z|x) = ½ Σ_d (ε_d² + logvar_d − z_d²)

All numbers are natural logarithms (nats). The decoder may compute in float32; the sums are in float64.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.kl import kl_forward
from scratchae.layers.sampling import sampling_forward
from scratchae.losses import BCEWithLogitsLoss, Loss
from scratchae.models import VAE
from scratchae.noise import noise_keys, normal, split_keys
from scratchae.step import loss_of
from scratchae.training.evaluation import evaluating

SAMPLES = (1, 10, 100, 1000, 5000)  # the numbers K of codes for each image
BLOCK = 50  # codes of an image that are drawn from one key
ROWS = 2000  # about this many codes are decoded at once
ACTIVE = 0.01  # least variance of mu_d over the images if dimension d is active

Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]
LogLikelihood = Callable[[Tensor, Tensor], Tensor]


class Estimate(NamedTuple):
    """A mean over images, and the standard error of this mean.

    >>> Estimate.of(torch.tensor([1.0, 3.0]))
    Estimate(mean=2.0, error=1.0)
    """

    mean: float
    error: float

    @staticmethod
    def of(values: Tensor) -> Estimate:
        """Return the mean of values (N,) and its standard error. For a single value the error is NaN."""
        values = values.double()
        spread = values.std().item() if len(values) > 1 else math.nan
        return Estimate(values.mean().item(), spread / math.sqrt(len(values)))


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood of a set of images under a VAE, in nats per image. Higher is better.

    elbo = reconstruction − kl: reconstruction is log p(x|z) for one z from q(z|x), kl is exact. bounds:
    log p_K for each K. variances: the variance of each mu_d over the images (L,).
    """

    images: int
    elbo: Estimate
    reconstruction: Estimate
    kl: Estimate
    bounds: dict[int, Estimate]
    variances: Tensor

    @property
    def active(self) -> int:
        """The number of active units: dimensions whose mu_d has a variance above 0.01."""
        return int((self.variances > ACTIVE).sum())

    @property
    def gap(self) -> float:
        """log p_K − ELBO for the largest K: how much the ELBO underestimates, as far as K shows it."""
        return self.bounds[max(self.bounds)].mean - self.elbo.mean


def log_ratio(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return log p(z) − log q(z|x) for z = mu + exp(logvar / 2) noise; the last axis (L) is summed.

    >>> zero = torch.zeros(1, 2)
    >>> log_ratio(zero, zero, torch.randn(1, 2)).abs().item()  # the posterior is the prior
    0.0
    """
    mu, logvar, noise = mu.double(), logvar.double(), noise.double()
    z = sampling_forward(mu, logvar, noise)
    return 0.5 * (noise.square() + logvar - z.square()).sum(dim=-1)


def kl_of_images(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, exp(logvar)) ‖ N(0, I)) of every image, (N,) in float64, for mu and logvar (N, L).

    >>> kl_of_images(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).tolist()  # (3² + 4²) / 2
    [12.5]
    """
    images = zip(mu.double().split(1), logvar.double().split(1), strict=True)
    return torch.stack([kl_forward(*image) for image in images])


def log_weights(
    posterior: Posterior, log_likelihood: LogLikelihood, x: Tensor, keys: Tensor, samples: int
) -> tuple[Tensor, Tensor]:
    """Return (log w_k, log p(x|z_k)), both (N, K) in float64, for images x (N, ...) and K = samples.

    posterior(x) gives mu and logvar (N, L). log_likelihood(z, x) gives log p(x|z) (M,) for z (M, L) and
    x (M, ...). keys (N,): an image gets the same noise in every batch, and the first k codes do not
    depend on K.

    >>> def posterior(x):
    ...     return x / 2, torch.full_like(x, 0.5).log()
    >>> def log_likelihood(z, x):
    ...     return -0.5 * ((x - z).square() + math.log(2 * math.pi)).sum(dim=1)
    >>> x = torch.tensor([[2.0]])  # p(x) = N(0, 2), and q(z|x) is exact, so every weight is p(x)
    >>> log_w, _ = log_weights(posterior, log_likelihood, x, noise_keys(0, 0, 1), 3)
    >>> (log_w.exp() * math.sqrt(4 * math.pi) * math.e).round(decimals=5).tolist()
    [[1.0, 1.0, 1.0]]
    """
    mu, logvar = (part.unsqueeze(1) for part in posterior(x))  # (N, 1, L)
    weights, fits = [], []
    for start in range(0, samples, BLOCK):
        count = min(BLOCK, samples - start)
        noise = normal(split_keys(keys, start // BLOCK), (BLOCK, mu.shape[-1]), mu.dtype)[:, :count]
        z = sampling_forward(mu, logvar, noise)  # (N, count, L)
        each = x.repeat_interleave(count, dim=0)  # (N * count, ...)
        fit = log_likelihood(z.flatten(0, 1), each).double().view(len(x), count)
        fits.append(fit)
        weights.append(fit + log_ratio(mu, logvar, noise))
    return torch.cat(weights, dim=1), torch.cat(fits, dim=1)


def importance_bound(log_w: Tensor, samples: int) -> Tensor:
    """Return log p_K(x) = logsumexp_k(log w_k) − log K of every image (N,), from its first K weights.

    log_w (N, at least K). Raises ScratchaeError if there are fewer weights than K.

    >>> log_w = torch.tensor([[1.0, 3.0]]).double().log()
    >>> importance_bound(log_w, 2).exp().item(), importance_bound(log_w, 1).exp().item()
    (2.0, 1.0)
    """
    if not 1 <= samples <= log_w.shape[1]:
        raise ScratchaeError(
            f"the bound expects K from 1 to the {log_w.shape[1]} weights of each image, but got "
            f"K = {samples}: draw more weights"
        )
    return log_w[:, :samples].double().logsumexp(dim=1) - math.log(samples)


def of_model(
    model: VAE,
    x: Tensor,
    samples: Sequence[int] = SAMPLES,
    seed: int = 0,
    progress: Callable[[int], object] = lambda images: None,
) -> Likelihood:
    """Return the likelihood of images x (N, *input_shape) under a VAE, in evaluation mode.

    The other arguments are those of `likelihood`. The KL has the weight 1, whatever the model's beta.

    >>> from scratchae.models import build
    >>> result = of_model(build("vae"), torch.zeros(3, 784), samples=(1, 10))
    >>> result.images, list(result.bounds), len(result.variances)
    (3, [1, 10], 20)
    """
    with evaluating(model):
        return likelihood(model.posterior, log_likelihood_of(model), x, samples, seed, progress)


def log_likelihood_of(model: VAE) -> LogLikelihood:
    """Return the function log p(x|z) of a VAE: minus its loss, summed over the pixels in float64.

    >>> from scratchae.models import build
    >>> log_likelihood_of(build("vae"))(torch.zeros(5, 20), torch.zeros(5, 784)).shape
    torch.Size([5])
    """
    loss = copy.copy(loss_of(model))
    assert isinstance(loss, Loss)
    loss.set_reduction("none")

    def log_likelihood(z: Tensor, x: Tensor) -> Tensor:
        return -loss.forward(model.decode(z), x).flatten(1).sum(dim=1, dtype=torch.float64)

    return log_likelihood


def kind(model: VAE, x: Tensor) -> str:
    """Say what the model's likelihood of x is, because the numbers of different kinds cannot be compared.

    >>> from scratchae.models import build
    >>> kind(build("vae"), torch.tensor([[0.0, 1.0]])), kind(build("vae"), torch.tensor([[0.5]]))
    ('the likelihood of binary pixels', 'grey pixels as BCE targets: not a likelihood')
    """
    if isinstance(model.loss, BCEWithLogitsLoss):
        binary = bool(((x == 0) | (x == 1)).all())
        if binary:
            return "the likelihood of binary pixels"
        return "grey pixels as BCE targets: not a likelihood"
    low, high = model.pixel_range
    return f"the density of pixels in [{low:g}, {high:g}]"


def likelihood(
    posterior: Posterior,
    log_likelihood: LogLikelihood,
    x: Tensor,
    samples: Sequence[int] = SAMPLES,
    seed: int = 0,
    progress: Callable[[int], object] = lambda images: None,
) -> Likelihood:
    """Return the likelihood of images x (N, ...) under a VAE: the ELBO, its two parts, and log p_K.

    posterior, log_likelihood: as in `log_weights`. samples: every K; all use the same codes. seed: decides
    the codes, which do not depend on how the images are divided into batches. progress: called with the
    number of images of each finished batch.

    >>> def posterior(x):
    ...     return x / 2, torch.full_like(x, 0.5).log()
    >>> def log_likelihood(z, x):
    ...     return -0.5 * ((x - z).square() + math.log(2 * math.pi)).sum(dim=1)
    >>> x = torch.tensor([[2.0], [-2.0]])
    >>> result = likelihood(posterior, log_likelihood, x, samples=(1, 10))
    >>> result.bounds[10].mean - result.bounds[1].mean < 1e-6, result.active  # the posterior is exact
    (True, 1)
    """
    if not samples or min(samples) < 1:
        raise ScratchaeError(f"the numbers of codes must be at least 1, but got {list(samples)}")
    most = max(samples)
    keys = noise_keys(seed, 0, len(x), x.device)
    size = max(1, ROWS // min(most, BLOCK))
    found: list[list[Tensor]] = []
    with torch.inference_mode():
        for batch, own in zip(x.split(size), keys.split(size), strict=True):
            mu, logvar = posterior(batch)
            log_w, fits = log_weights(lambda _: (mu, logvar), log_likelihood, batch, own, most)  # noqa: B023
            bounds = [importance_bound(log_w, k) for k in samples]
            found.append([mu.double(), fits[:, 0], kl_of_images(mu, logvar), *bounds])
            progress(len(batch))
    mus, fit, kl, *bounds = (torch.cat(part).cpu() for part in zip(*found, strict=True))
    return Likelihood(
        images=len(x),
        elbo=Estimate.of(fit - kl),
        reconstruction=Estimate.of(fit),
        kl=Estimate.of(kl),
        bounds={k: Estimate.of(bound) for k, bound in zip(samples, bounds, strict=True)},
        variances=mus.var(dim=0, correction=0),
    )
