"""A linear VAE reaches the exact likelihood of probabilistic PCA, and collapses where the PCA predicts it."""

import math

import pytest
import torch

from scratchae.layers import Linear, Sequential
from scratchae.losses import GaussianNLLLoss
from scratchae.models import VAE
from scratchae.models.vae import SharedLogvar
from scratchae.noise import noise_keys
from scratchae.optim import Adam
from scratchae.step import train_step
from scratchae.training.likelihood import of_model
from scratchae.training.ppca import linear_log_likelihood, ppca
from tests.training.test_ppca import samples

SPECTRUM = [9.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.25, 0.2, 0.2, 0.1]


def linear(pixels, latent):
    """The model linear-vae, for fewer pixels."""
    generator = torch.Generator().manual_seed(0)
    encoder = Sequential(Linear(pixels, latent, generator=generator), SharedLogvar(latent))
    decoder = Sequential(Linear(latent, pixels, generator=generator))
    return VAE(encoder, decoder, (pixels,), GaussianNLLLoss(), latent=latent).to(torch.float64)


def trained(x, latent, variance=None, steps=500, lr=0.05):
    """Train on all of x in each step, with a learning rate that falls to 0. variance None: it is learned."""
    model = linear(x.shape[1], latent)
    parameters, log_sigma = model.parameters(), model.loss.log_sigma
    if variance is not None:
        log_sigma.fill_(0.5 * math.log(variance))
        parameters = [p for p in parameters if p is not log_sigma]
    optimizer = Adam(parameters, lr=lr)
    for step in range(steps):
        optimizer.lr = lr * (1 + math.cos(math.pi * step / steps)) / 2
        train_step(model, optimizer, x, keys=noise_keys(0, step, len(x)))
    return model


@pytest.mark.parametrize(("latent", "variance"), [(4, None), (5, 0.75)])
def test_a_linear_vae_reaches_probabilistic_pca_and_collapses_as_predicted(latent, variance):
    x = samples(SPECTRUM, n=300) - torch.arange(10) + 1
    best = ppca(x, latent, variance)  # before training
    model = trained(x, latent, variance)
    # the exact likelihood of the trained decoder
    sigma2 = (2 * model.loss.log_sigma).exp().item()
    own = linear_log_likelihood(x, model.decoder[0].weight, model.decoder[0].bias, sigma2)
    assert best.log_likelihood - 0.1 < own < best.log_likelihood + 1e-9
    assert sigma2 == pytest.approx(best.variance, rel=0.02)
    # the bound of the trained encoder and decoder
    found = of_model(model, x, samples=(1, 100))
    assert found.bounds[100].mean == pytest.approx(best.log_likelihood, abs=0.1)
    # the dimensions that collapse, and the KL of the others
    mu, logvar = model.posterior(x)
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(dim=0)
    assert found.active == best.active == 4
    torch.testing.assert_close(kl.sort(descending=True).values, best.kl, rtol=0, atol=0.02)
