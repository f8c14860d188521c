"""Collapse, predicted: a linear VAE on digits, compared with the probabilistic PCA of the same digits.

The eigenvalues of the digits' covariance tell before training which dimensions will collapse, the KL of the
others, and the log-likelihood (scratchae.training.ppca).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference.vae.store import once
from scratchae.data import load
from scratchae.models import VAE, build
from scratchae.noise import noise_keys
from scratchae.optim import Adam
from scratchae.step import train_step
from scratchae.training.likelihood import ACTIVE, of_model
from scratchae.training.ppca import linear_log_likelihood, ppca
from scratchae.training.preparation import pixels_for

IMAGES, BATCH, STEPS, LR = 2000, 200, 6000, 0.003


def collapse() -> None:
    """`linear-vae` with 8 codes and a learned σ², and with 16 codes and a fixed σ² that 10 eigenvalues exceed."""
    x = pixels_for(build("linear-vae"), load().train, torch.device("cpu"))[:IMAGES]
    eigenvalues = ppca(x, 16).eigenvalues
    between = math.sqrt(eigenvalues[9] * eigenvalues[10])
    once("collapse/8 codes, learned variance", lambda: run(x, 8, None))
    once("collapse/16 codes, fixed variance", lambda: run(x, 16, between))


def run(x: Tensor, latent: int, variance: float | None) -> dict:
    """Predict, train and compare. variance: a fixed σ²; None: it is learned."""
    predicted = ppca(x, latent, variance)
    model = build("linear-vae", latent=latent)
    train(model, x, variance)
    mu, logvar = model.posterior(x)
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(dim=0)
    found = of_model(model, x, samples=(1, 100))
    sigma2 = (2 * model.loss.log_sigma.double()).exp().item()
    weight, bias = model.decoder[0].weight, model.decoder[0].bias
    return {
        "images": len(x),
        "steps": STEPS,
        "latent": latent,
        "variance": [predicted.variance, sigma2],
        "active": [predicted.active, int((mu.var(dim=0) > ACTIVE).sum())],
        "kl": [predicted.kl.tolist(), kl.sort(descending=True).values.tolist()],
        "log_likelihood": [
            predicted.log_likelihood,
            linear_log_likelihood(x, weight, bias, sigma2),
        ],
        "elbo": list(found.elbo),
        "bound": list(found.bounds[100]),
    }


def train(model: VAE, x: Tensor, variance: float | None) -> None:
    """Train with Adam on random batches, with a learning rate that falls to 0 along a cosine."""
    parameters, log_sigma = model.parameters(), model.loss.log_sigma
    if variance is not None:
        log_sigma.fill_(0.5 * math.log(variance))
        parameters = [p for p in parameters if p is not log_sigma]
    optimizer = Adam(parameters, lr=LR)
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        optimizer.lr = LR * (1 + math.cos(math.pi * step / STEPS)) / 2
        index = torch.randint(len(x), (BATCH,), generator=generator)
        train_step(model, optimizer, x[index], keys=noise_keys(0, step, BATCH))
