"""The Gaussian likelihood learns its variance, and is trained and saved as a layer."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer
from scratchae.losses import GaussianNLLLoss, MSELoss, gaussian_nll_backward, gaussian_nll_forward
from scratchae.optim import Adam
from tests.helpers.tensors import assert_close
from tests.losses.cases import CASES, REDUCTIONS, Draw


@given(seed=st.integers(0, 2**32), reduction=st.sampled_from(REDUCTIONS))
def test_the_gradient_of_log_sigma_is_that_of_torch(seed, reduction):
    case = CASES["GaussianNLLLoss"](Draw(seed), reduction)
    leaf = case.loss.log_sigma.clone().requires_grad_()
    case.twin(case.prediction, leaf).sum().backward()
    case.loss(case.prediction, case.target)
    case.loss.backward()
    size = max(1.0, float(case.loss(case.prediction, case.target).abs().sum()))
    assert_close("dlog_sigma", case.loss.log_sigma.grad, leaf.grad, 1e-10, scale=size)


@given(seed=st.integers(0, 2**32))
def test_the_pure_functions_are_those_of_a_normal_distribution(seed):
    draw = Draw(seed)
    shape = draw.shape()
    prediction, target, log_sigma = draw.normal(*shape), draw.normal(*shape), draw.normal()
    leaves = [t.clone().requires_grad_() for t in (prediction, log_sigma.expand(shape))]
    expected = -torch.distributions.Normal(leaves[0], leaves[1].exp()).log_prob(target)
    assert_close("terms", gaussian_nll_forward(prediction, target, log_sigma), expected)
    dterms = draw.normal(*shape)
    expected.backward(dterms)
    for got, leaf in zip(gaussian_nll_backward(prediction, target, log_sigma), leaves, strict=True):
        assert_close("derivative", dterms * got, leaf.grad, 1e-10, scale=1e-2)


def test_gradients_are_added_until_they_are_emptied():
    loss, x = GaussianNLLLoss(), torch.ones(2, 3)
    for _ in range(2):
        loss(x, 3 * x)
        loss.backward()
    assert loss.log_sigma.grad.item() == 2 * 3 * (1 - 4)
    loss.zero_grad()
    assert loss.log_sigma.grad.item() == 0


def test_training_finds_the_variance_that_is_the_mean_squared_error():
    torch.manual_seed(0)
    prediction, target = torch.randn(2, 50, 7)
    loss = GaussianNLLLoss()
    optimizer = Adam(loss.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss(prediction, target)
        loss.backward()
        optimizer.step()
    mse = MSELoss()(prediction, target).item()
    assert math.exp(2 * loss.log_sigma.item()) == pytest.approx(mse, rel=1e-3)
    best = 7 * (1 + math.log(2 * math.pi * mse)) / 2  # the likelihood at its best σ
    assert loss(prediction, target).item() == pytest.approx(best, rel=1e-5)


def test_it_is_a_layer_whose_parameter_is_saved_and_moved():
    loss = GaussianNLLLoss()
    assert isinstance(loss, Layer) and list(loss.state_dict()) == ["log_sigma"]
    assert loss.log_sigma.shape == () and loss.reduction == "batchmean"
    assert loss.log_sigma.grad.item() == 0 and loss.training and not loss.eval().training
    loss.load_state_dict({"log_sigma": torch.tensor(0.5)})
    loss.to(torch.float64)
    assert loss.log_sigma.item() == 0.5 and loss.log_sigma.dtype == torch.float64
    with pytest.raises(
        ScratchaeError, match=r"GaussianNLLLoss\(\) expects float64 but got float32"
    ):
        loss(torch.zeros(2, 3), torch.zeros(2, 3))
    x = torch.zeros(2, 3, dtype=torch.float64)
    assert loss.expected(x) is x


def test_on_a_range_twice_as_wide_every_pixel_costs_log_2_more():
    torch.manual_seed(0)
    prediction, target = torch.rand(2, 4, 784, dtype=torch.float64)
    narrow, wide = GaussianNLLLoss().to(torch.float64), GaussianNLLLoss().to(torch.float64)
    narrow.log_sigma.fill_(-1.0)
    wide.log_sigma.fill_(-1.0 + math.log(2))
    more = wide(2 * prediction - 1, 2 * target - 1) - narrow(prediction, target)
    assert more.item() == pytest.approx(784 * math.log(2)) == pytest.approx(543.4, abs=0.05)
