"""The importance-weighted bound: exact where log p(x) is known, and none of the known mistakes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae import ScratchaeError
from scratchae.layers.kl import kl_forward
from scratchae.losses import ContinuousBernoulliLoss
from scratchae.models import build
from scratchae.noise import noise_keys, normal, split_keys
from scratchae.training import likelihood as module
from scratchae.training.evaluation import evaluating
from scratchae.training.likelihood import (
    importance_bound,
    kind,
    kl_of_images,
    likelihood,
    log_ratio,
    log_weights,
    of_model,
)
from scratchae.training.preparation import pixels_for
from tests.helpers.runs import few_digits

LOG_2PI = math.log(2 * math.pi)


class Random:
    """A small VAE with random weights: pixels (N, D) in {0, 1} or real numbers, a code of L numbers."""

    def __init__(self, seed=0, pixels=12, latent=2, binary=True):
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.encoder, self.decoder = 0.2 * draw(pixels, 2 * latent), draw(latent, pixels)
        self.bias, self.binary = 0.5 * draw(pixels), binary
        self.x = draw(40, pixels)
        if binary:
            self.x = (self.x > 0).double()

    def posterior(self, x):
        mu, logvar = (x.flatten(1) @ self.encoder.to(x.dtype)).tanh().chunk(2, dim=1)
        return mu, 0.3 * logvar + 0.4  # wider than the prior: no weight is far above the others

    def log_likelihood(self, z, x):
        y, x = (3 * z).tanh() @ self.decoder.to(z.dtype) + self.bias.to(z.dtype), x.flatten(1)
        if self.binary:
            return (x * y - torch.nn.functional.softplus(y)).sum(dim=1)
        return (-0.5 * ((x - y).square() + LOG_2PI)).sum(dim=1)


def quadrature(log_likelihood, x, limit=7.0, steps=141):
    """log ∫ p(x|z) N(z; 0, I) dz for a code of two numbers, as a sum over a grid: (N,)."""
    line = torch.linspace(-limit, limit, steps, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    prior = -0.5 * z.square().sum(dim=1) - LOG_2PI + 2 * math.log(line[1] - line[0])
    each = [log_likelihood(z, image.expand(len(z), *image.shape)) for image in x]
    return torch.stack([(fit + prior).logsumexp(dim=0) for fit in each])


@pytest.mark.parametrize(("seed", "binary"), [(0, True), (1, False), (2, True)])
def test_with_a_code_of_two_numbers_the_bound_is_the_integral_over_a_grid(seed, binary):
    vae = Random(seed, binary=binary)
    exact = quadrature(vae.log_likelihood, vae.x)
    torch.testing.assert_close(  # the grid is fine and wide enough
        quadrature(vae.log_likelihood, vae.x[:3], 8.0, 241), exact[:3], rtol=1e-6, atol=1e-6
    )
    log_w, _ = log_weights(
        vae.posterior, vae.log_likelihood, vae.x, noise_keys(seed, 0, len(vae.x)), 5000
    )
    difference = importance_bound(log_w, 5000) - exact
    error = difference.std() / math.sqrt(len(exact))
    assert difference.mean().abs() < 2 * error and error < 0.02
    # each image too, with the standard error of its own 5,000 weights
    weights = (log_w - log_w.max(dim=1, keepdim=True).values).exp()
    own = weights.std(dim=1) / weights.mean(dim=1) / math.sqrt(5000)
    assert ((difference / own).abs() < 2).double().mean() > 0.85
    # the ELBO is no such estimate
    result = likelihood(vae.posterior, vae.log_likelihood, vae.x, samples=(1, 10, 100))
    assert result.elbo.mean < result.bounds[10].mean < result.bounds[100].mean + 0.01
    assert result.elbo.mean < exact.mean() - 10 * error


@given(n=st.integers(1, 12), rows=st.integers(1, 400), samples=st.integers(1, 120))
@settings(max_examples=25)
def test_the_numbers_do_not_depend_on_the_size_of_the_batches(n, rows, samples):
    vae = Random()
    keys = noise_keys(0, 0, n)
    whole, _ = log_weights(vae.posterior, vae.log_likelihood, vae.x[:n], keys, 120)
    fewer, _ = log_weights(vae.posterior, vae.log_likelihood, vae.x[n - 1 : n], keys[-1:], samples)
    torch.testing.assert_close(fewer, whole[-1:, :samples], rtol=1e-12, atol=1e-12)
    before = module.ROWS
    module.ROWS = rows
    try:
        result = likelihood(vae.posterior, vae.log_likelihood, vae.x[:n], samples=(1, samples))
    finally:
        module.ROWS = before
    for k in (1, samples):
        expected = importance_bound(whole, k).mean().item()
        assert result.bounds[k].mean == pytest.approx(expected, abs=1e-10)


def test_the_seed_decides_the_codes():
    vae = Random()

    def bound(seed):
        return likelihood(vae.posterior, vae.log_likelihood, vae.x, (1, 7), seed).bounds

    assert bound(3) == bound(3) and bound(3) != bound(4)


def test_a_decoder_in_float32_gives_the_same_to_float32_precision():
    vae = Random()
    single = likelihood(vae.posterior, vae.log_likelihood, vae.x.float(), (1, 100))
    double = likelihood(vae.posterior, vae.log_likelihood, vae.x, (1, 100))
    assert single.bounds[100].mean == pytest.approx(double.bounds[100].mean, abs=1e-3)


def test_elbo_is_reconstruction_minus_kl_and_one_weight_has_the_mean_of_the_elbo():
    vae = Random()
    result = likelihood(vae.posterior, vae.log_likelihood, vae.x.repeat(100, 1), (1, 50))
    assert result.images == 4000
    parts = result.reconstruction.mean - result.kl.mean
    assert result.elbo.mean == pytest.approx(parts, abs=1e-12)
    assert result.kl.mean == pytest.approx(kl_of_images(*vae.posterior(vae.x)).mean().item())
    one = result.bounds[1]
    assert abs(one.mean - result.elbo.mean) < 4 * one.error
    assert result.gap == result.bounds[50].mean - result.elbo.mean > 0


def test_the_log_ratio_is_the_difference_of_two_normal_densities():
    mu, logvar, noise = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    z = mu + (logvar / 2).exp() * noise
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(log_ratio(mu, logvar, noise), expected.sum(dim=1))
    prior = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    expected = torch.distributions.kl_divergence(q, prior).sum(dim=1)
    torch.testing.assert_close(kl_of_images(mu, logvar), expected)


def test_the_bound_averages_weights_not_their_logarithms():
    log_w = torch.tensor([[0.0, 4.0]], dtype=torch.float64)
    assert importance_bound(log_w, 2).exp().item() == pytest.approx((1 + math.exp(4)) / 2)
    assert importance_bound(log_w, 2).item() > log_w.mean().item()  # the estimate of the ELBO


def test_the_bound_has_the_sign_of_a_log_likelihood():
    vae = Random()  # 12 binary pixels, so p(x) < 1
    result = likelihood(vae.posterior, vae.log_likelihood, vae.x, (1, 100))
    assert all(bound.mean < 0 for bound in result.bounds.values())


def test_every_k_asked_for_is_the_k_that_is_used():
    vae = Random()
    drawn = []

    def counting(z, x):
        drawn.append(len(z))
        return vae.log_likelihood(z, x)

    result = likelihood(vae.posterior, counting, vae.x[:7], (1, 33, 130))
    assert list(result.bounds) == [1, 33, 130] and sum(drawn) == 7 * 130
    keys = noise_keys(0, 0, 7)
    log_w, _ = log_weights(vae.posterior, vae.log_likelihood, vae.x[:7], keys, 130)
    expected = (log_w[:, :33].logsumexp(dim=1) - math.log(33)).mean().item()
    assert result.bounds[33].mean == pytest.approx(expected, abs=1e-12)
    for k in (0, 131):
        with pytest.raises(ScratchaeError, match="draw more weights"):
            importance_bound(log_w, k)
    with pytest.raises(ScratchaeError, match="at least 1"):
        likelihood(vae.posterior, vae.log_likelihood, vae.x, (0, 5))


def test_standard_errors_are_over_images():
    vae = Random()
    result = likelihood(vae.posterior, vae.log_likelihood, vae.x, (1, 20))
    log_w, _ = log_weights(vae.posterior, vae.log_likelihood, vae.x, noise_keys(0, 0, 40), 20)
    expected = importance_bound(log_w, 20).std().item() / math.sqrt(40)
    assert result.bounds[20].error == pytest.approx(expected, rel=1e-9)


def test_active_units_are_those_whose_mean_varies_with_the_image():
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1.0, 0.2, 0.05, 0.0])  # variances 1, 0.04, 0.0025, 0

    def posterior(x):
        return x * scale + 7, torch.zeros_like(x)

    def log_likelihood(z, x):
        return -0.5 * (x - z).square().sum(dim=1)

    result = likelihood(posterior, log_likelihood, x, (1,))
    assert result.active == 2 and result.variances[3] == 0


def test_images_that_are_very_unlikely_do_not_underflow():
    def posterior(x):
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    def log_likelihood(z, x):
        return -1e5 - z.square().sum(dim=1)

    result = likelihood(posterior, log_likelihood, torch.zeros(3, 5), (1, 5000))
    assert result.bounds[5000].mean == pytest.approx(
        -1e5 - math.log(3), abs=0.1
    )  # E exp(−z²) = 1/√3


@pytest.mark.parametrize("name", ["vae,latent=3", "conv-vae", "linear-vae", "vae,latent=2,beta=4"])
def test_the_likelihood_of_a_model_is_that_of_its_loss(name):
    model = build(name, seed=1)
    x = pixels_for(model, few_digits(20, 5).train, torch.device("cpu"))
    result = of_model(model, x, samples=(1, 10))
    with evaluating(model):
        mu, logvar = model.posterior(x)
        assert result.kl.mean == pytest.approx(kl_forward(mu, logvar).item(), rel=1e-5)
        noise = normal(split_keys(noise_keys(0, 0, 20), 0), (module.BLOCK, model.latent))[:, 0]
        loss = model.loss.forward(model.decode(mu + (logvar / 2).exp() * noise), x)
    assert loss.shape == ()  # "batchmean", summed over the pixels
    assert result.reconstruction.mean == pytest.approx(-loss.item(), rel=1e-5)
    assert result.bounds[10].mean > result.elbo.mean - 1 and len(result.variances) == model.latent
    assert model.loss.reduction == "batchmean" and model.training


def test_the_output_says_what_kind_of_likelihood_it_is():
    model, grey, binary = build("vae"), torch.rand(2, 784), torch.rand(2, 784).round()
    assert kind(model, grey) == "grey pixels as BCE targets: not a likelihood"
    assert kind(model, binary) == "the likelihood of binary pixels"
    assert kind(build("linear-vae"), grey) == "the density of pixels in [-1, 1]"
    model.loss = ContinuousBernoulliLoss(reduction="batchmean")
    assert kind(model, grey) == "the density of pixels in [0, 1]"
    assert math.isfinite(of_model(model, grey, samples=(1, 5)).gap)
