"""The KL divergence equals torch's, and the ELBO is a sum over pixels and codes, a mean over images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from scratchae.checking import gradcheck
from scratchae.losses import (
    BCEWithLogitsLoss,
    bce_with_logits_backward,
    elbo_loss,
    kl_backward,
    kl_forward,
)
from tests.helpers.tensors import assert_close, share_memory, unchanged
from tests.losses.cases import Draw
from tests.test_written_by_hand import Recorder, only_arithmetic


@given(seed=st.integers(0, 2**32))
def test_the_divergence_and_its_gradients_equal_torch(seed):
    draw = Draw(seed)
    N, L = draw.pick.choice((1, 2, 5)), draw.pick.choice((1, 3, 7))
    mu, logvar = draw.normal(N, L), 3 * draw.normal(N, L)
    leaves = [t.clone().requires_grad_() for t in (mu, logvar)]
    normal = Normal(leaves[0], (leaves[1] / 2).exp())
    expected = kl_divergence(normal, Normal(0.0, 1.0)).sum() / N
    factor = draw.normal()
    expected.backward(factor)
    with unchanged(mu=mu, logvar=logvar):
        value, gradients = kl_forward(mu, logvar), kl_backward(mu, logvar)
    assert_close("KL", value, expected)
    for name, got, leaf, given_ in zip(
        ("dmu", "dlogvar"), gradients, leaves, (mu, logvar), strict=True
    ):
        assert_close(name, factor * got, leaf.grad, 1e-10, scale=1e-2)
        assert not share_memory(got, given_)


def test_gradcheck_and_the_operators():
    torch.manual_seed(0)
    mu, logvar = torch.randn(2, 4, 3, dtype=torch.float64)

    def backward(dy, mu, logvar):
        return tuple(dy * gradient for gradient in kl_backward(mu, logvar))

    assert gradcheck(kl_forward, mu, logvar, backward=backward)
    with Recorder() as recorder:
        kl_forward(mu, logvar)
        kl_backward(mu, logvar)
    only_arithmetic(recorder)


@pytest.mark.parametrize("small", [1e-4, 1e-7])
def test_near_the_prior_no_digit_is_lost(small):
    v = torch.full((1, 1), small)  # in float32, exp(v) - 1 - v would be wrong in most digits
    exact = (small**2 / 2 + small**3 / 6) / 2
    assert kl_forward(torch.zeros(1, 1), v).item() == pytest.approx(exact, abs=1e-7 * small)
    dlogvar = kl_backward(torch.zeros(1, 1), v)[1].item()
    assert dlogvar == pytest.approx((small + small**2 / 2) / 2, rel=1e-6)


def test_the_elbo_is_a_sum_over_pixels_and_codes_and_a_mean_over_images():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 2, 3, 5), torch.rand(4, 2, 3, 5)
    mu, logvar = torch.randn(2, 4, 7)
    one_by_one = [
        elbo_loss(*(t[n : n + 1] for t in (logits, target, mu, logvar))) for n in range(4)
    ]
    whole = elbo_loss(logits, target, mu, logvar)
    torch.testing.assert_close(whole, torch.stack(one_by_one).mean())
    parts = BCEWithLogitsLoss(reduction="sum")(logits, target) / 4 + kl_forward(mu, logvar)
    torch.testing.assert_close(whole, parts)


def elbo_gradients(logits, target, mu, logvar):
    """dlogits, dmu and dlogvar: those of its parts."""
    return bce_with_logits_backward(logits, target) / len(mu), *kl_backward(mu, logvar)


@given(seed=st.integers(0, 2**32))
def test_the_elbo_and_its_gradients_equal_torch(seed):
    draw = Draw(seed)
    N, *pixels = draw.shape(at_least=2)
    logits, target = 4 * draw.normal(N, *pixels), draw.uniform(N, *pixels)
    L = draw.pick.choice((1, 3, 7))
    mu, logvar = draw.normal(N, L), 3 * draw.normal(N, L)
    leaves = [t.clone().requires_grad_() for t in (logits, mu, logvar)]
    bce = torch.nn.functional.binary_cross_entropy_with_logits(leaves[0], target, reduction="sum")
    posterior = Normal(leaves[1], (leaves[2] / 2).exp())
    expected = (bce + kl_divergence(posterior, Normal(0.0, 1.0)).sum()) / N
    expected.backward()
    with unchanged(logits=logits, target=target, mu=mu, logvar=logvar):
        value = elbo_loss(logits, target, mu, logvar)
    assert_close("ELBO", value, expected)
    for got, leaf in zip(elbo_gradients(logits, target, mu, logvar), leaves, strict=True):
        assert_close("gradient", got, leaf.grad, 1e-10, scale=1e-2)


def test_gradcheck_of_the_elbo_and_its_operators():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 7, dtype=torch.float64), torch.rand(4, 7, dtype=torch.float64)
    mu, logvar = torch.randn(2, 4, 3, dtype=torch.float64)

    def forward(logits, mu, logvar):
        return elbo_loss(logits, target, mu, logvar)

    def backward(dy, logits, mu, logvar):
        return tuple(dy * gradient for gradient in elbo_gradients(logits, target, mu, logvar))

    assert gradcheck(forward, logits, mu, logvar, backward=backward)
    with Recorder() as recorder:
        elbo_loss(logits, target, mu, logvar)
        elbo_gradients(logits, target, mu, logvar)
    only_arithmetic(recorder)
