"""Probabilistic PCA: its closed form is the best of all linear Gaussian models."""

import math

import pytest
import torch

from scratchae import ScratchaeError
from scratchae.training.ppca import linear_log_likelihood, ppca


def samples(eigenvalues, n=200, seed=0):
    """Samples (n, D) whose covariance has exactly these eigenvalues, about a mean that is not 0."""
    generator = torch.Generator().manual_seed(seed)
    D = len(eigenvalues)
    white = torch.randn(n, D, generator=generator, dtype=torch.float64)
    white = torch.linalg.qr(white - white.mean(dim=0))[0] * math.sqrt(n)
    turn = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))[0]
    return white * torch.tensor(eigenvalues, dtype=torch.float64).sqrt() @ turn + torch.arange(D)


SPECTRUM = [9.0, 4.0, 2.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize("variance", [None, 0.1, 0.75, 3.0, 20.0])
@pytest.mark.parametrize("latent", [1, 3, 5])
def test_the_optimum_has_the_likelihood_of_its_own_normal_distribution(latent, variance):
    x = samples(SPECTRUM)
    best = ppca(x, latent, variance)
    torch.testing.assert_close(best.eigenvalues, torch.tensor(SPECTRUM).double())
    own = linear_log_likelihood(x, best.weight, best.mean, best.variance)
    assert own == pytest.approx(best.log_likelihood, abs=1e-10)
    C = best.weight @ best.weight.T + best.variance * torch.eye(6).double()
    theirs = torch.distributions.MultivariateNormal(best.mean, C).log_prob(x).mean().item()
    assert own == pytest.approx(theirs, abs=1e-10)
    # no small change of the weights is better
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        change = 0.01 * torch.randn(6, latent, generator=generator).double()
        assert linear_log_likelihood(x, best.weight + change, best.mean, best.variance) < own


@pytest.mark.parametrize(("variance", "active"), [(0.1, 5), (0.5, 4), (2.5, 2), (9.1, 0)])
def test_dimensions_at_or_below_the_variance_collapse(variance, active):
    best = ppca(samples(SPECTRUM), 5, variance)
    assert best.active == active
    assert (best.weight.abs().amax(dim=0) > 1e-8).sum() == active


def test_a_learned_variance_is_the_mean_of_the_other_eigenvalues_and_the_best():
    x = samples(SPECTRUM)
    best = ppca(x, 2)
    assert best.variance == pytest.approx((2 + 1 + 0.5 + 0.25) / 4)
    for factor in (0.9, 1.1):
        assert ppca(x, 2, factor * best.variance).log_likelihood < best.log_likelihood


def test_a_likelihood_without_a_maximum_is_refused():
    x = samples([4.0, 1.0, 0.5])
    with pytest.raises(ScratchaeError, match="latent from 1 to 2"):
        ppca(x, 3)
    flat = torch.cat([x, torch.zeros(len(x), 2)], dim=1)
    flat[:, 3:] = 1.0
    with pytest.raises(ScratchaeError, match="reproduce these samples exactly"):
        ppca(flat[:, 2:], 1)
