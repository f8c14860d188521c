"""The continuous Bernoulli is a density with its mean, also where its formulas are 0 / 0."""

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.losses import (
    ContinuousBernoulliLoss,
    bce_with_logits_forward,
    continuous_bernoulli_backward,
    continuous_bernoulli_forward,
    continuous_bernoulli_mean,
)
from scratchae.losses.continuous_bernoulli import NEAR, SERIES

LOGITS = [0.0, 1e-300, 1e-12, -1e-5, 1e-3, NEAR, -NEAR, NEAR - 1e-9, -0.7, 3.0, -40.0, 700.0]
nodes = torch.linspace(0, 1, 200_001, dtype=torch.float64)
weights = torch.ones_like(nodes)
weights[1:-1:2], weights[2:-1:2] = 4, 2
weights /= 3 * 200_000  # Simpson's rule


@pytest.mark.parametrize("logit", LOGITS)
def test_it_is_a_density_and_its_mean_is_the_integral(logit):
    z = torch.full_like(nodes, logit)
    density = weights * (-continuous_bernoulli_forward(z, nodes)).exp()
    assert density.sum().item() == pytest.approx(1, abs=1e-9)
    mean = continuous_bernoulli_mean(z[:1]).item()
    assert mean == pytest.approx((density * nodes).sum().item(), abs=1e-9)


@given(st.floats(-2, 2) | st.floats(-1e-6, 1e-6) | st.floats(0.49, 0.51))
def test_the_mean_is_exact_to_the_last_digits(logit):
    """1/2 + (z/12) times a continued fraction, which has no cancellation: another way than the series."""
    a = logit / 2
    fraction = 1.0
    for k in range(41, 3, -2):  # coth a = 1/a + a / (3 + a² / (5 + a² / (7 + ...)))
        fraction = k + a * a / fraction if k < 41 else k
    expected = 0.5 + a / (3 + a * a / fraction) / 2
    got = continuous_bernoulli_mean(torch.tensor(logit, dtype=torch.float64)).item()
    assert got == pytest.approx(expected, abs=1e-15)


def test_the_series_has_bernoullis_numbers_over_factorials():
    exact = [mpmath.bernoulli(2 * k) / mpmath.factorial(2 * k) for k in range(1, 8)]
    assert pytest.approx(list(map(float, exact)), rel=1e-15, abs=0) == SERIES


@given(
    st.floats(-1, 1) | st.floats(-1e-6, 1e-6) | st.floats(0.49, 0.51) | st.floats(-40, 40),
    st.floats(0, 1),
)
def test_near_one_half_no_digit_is_lost_against_50_digits(logit, pixel):
    """The logarithm A, the mean m and the normaliser C(λ) with λ = σ(z), by mpmath."""
    z, zero = torch.tensor(logit, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    digits = 50 - 2 * math.floor(math.log10(abs(logit) or 1.0))
    with mpmath.workdps(max(digits, 50)):
        exact = mpmath.mpf(logit)
        integral = mpmath.log(mpmath.expm1(exact) / exact) if logit else mpmath.mpf(0)
        mean = 1 - 1 / exact + 1 / mpmath.expm1(exact) if logit else mpmath.mpf(1) / 2
        term = integral - exact * mpmath.mpf(pixel)
        log_c = mpmath.log(exact / mpmath.tanh(exact / 2)) if logit else mpmath.log(2)
    got = continuous_bernoulli_forward(z, zero).item()
    assert got == pytest.approx(float(integral), rel=3e-15, abs=1e-300)
    got = continuous_bernoulli_forward(z, zero + pixel).item()
    assert got == pytest.approx(float(term), rel=0, abs=4e-16 * max(abs(logit), 1e-300))
    assert continuous_bernoulli_mean(z).item() == pytest.approx(float(mean), rel=4e-16)
    got = (bce_with_logits_forward(z, zero) - continuous_bernoulli_forward(z, zero)).item()
    assert got == pytest.approx(float(log_c), rel=1e-14)


@pytest.mark.parametrize("logit", [1e-20, -1e-6, 1e-4, -0.01, 0.499])
def test_near_one_half_no_digit_is_lost_in_float32(logit):
    z = torch.tensor(logit)
    exact = math.log(math.expm1(logit) / logit) if abs(logit) > 1e-3 else logit / 2 + logit**2 / 24
    got = continuous_bernoulli_forward(z, torch.tensor(0.0)).item()
    assert got == pytest.approx(exact, rel=3e-7)


def test_the_mean_of_torch_is_ours():
    z = torch.linspace(-15, 15, 1000, dtype=torch.float64)
    expected = torch.distributions.ContinuousBernoulli(logits=z).mean
    torch.testing.assert_close(continuous_bernoulli_mean(z), expected, rtol=0, atol=1e-10)


def test_it_is_bce_minus_the_logarithm_of_its_normaliser():
    z = torch.tensor([-3.0, -0.1, 0.2, 5.0], dtype=torch.float64)
    for pixel in (0.0, 0.4, 1.0):
        difference = bce_with_logits_forward(z, z * 0 + pixel)
        difference -= continuous_bernoulli_forward(z, z * 0 + pixel)
        torch.testing.assert_close(difference, torch.log(z / torch.tanh(z / 2)))


def test_the_gradient_is_zero_where_the_mean_is_the_target():
    z = torch.linspace(-20, 20, 81)
    assert not continuous_bernoulli_backward(z, continuous_bernoulli_mean(z)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_the_middle_the_forms_are_the_limits(dtype):
    z = torch.tensor([1e4, -1e4], dtype=dtype)
    target = torch.tensor([1.0, 0.0], dtype=dtype)
    expected = torch.full_like(z, -math.log(1e4))
    torch.testing.assert_close(continuous_bernoulli_forward(z, target), expected)
    mean = torch.tensor([1 - 1e-4, 1e-4], dtype=dtype)
    torch.testing.assert_close(continuous_bernoulli_mean(z), mean)


def test_what_it_expects_is_its_mean_and_its_default_is_for_an_elbo():
    loss, z = ContinuousBernoulliLoss(), torch.tensor([-3.0, 0.0, 8.0])
    assert torch.equal(loss.expected(z), continuous_bernoulli_mean(z))
    assert loss.reduction == "batchmean" and loss.target_range == (0.0, 1.0)
